/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents of object stores, by expat. The path of the element that is open
 * is kept as a text and looked up in the table of the form; text is gathered
 * in one place of fixed size. What expat calls us with cannot fail there and
 * then: the first failure is kept, the parser is stopped, and xml_feed() tells.
 */
#include "store/xml.h"

#include <expat.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/now.h"
#include "common/num.h"
#include "common/secret.h"
#include "store/place.h"

#define BLOB "EnumerationResults/Blobs/Blob"
static const struct xml_path azure_list[] = {
	{ BLOB, XML_ITEM, 0 },
	{ BLOB "/Name", XML_KEY, 0 },
	{ BLOB "/Properties/Content-Length", XML_SIZE, 0 },
	{ BLOB "/Properties/Last-Modified", XML_TIME, 0 },
	{ BLOB "/Properties/ResourceType", XML_FOLDER, 0 },
	{ "EnumerationResults/NextMarker", XML_TEXT, XML_NEXT },
};

#define GEO "StorageServiceStats/GeoReplication"
static const struct xml_path azure_stats[] = {
	{ GEO "/Status", XML_TEXT, XML_STATUS },
	{ GEO "/LastSyncTime", XML_TEXT, XML_SYNCED },
};

#define BUCKET "ListBucketResult"
static const struct xml_path s3_list[] = {
	{ BUCKET "/Contents", XML_ITEM, 0 },
	{ BUCKET "/Contents/Key", XML_KEY, 0 },
	{ BUCKET "/Contents/Size", XML_SIZE, 0 },
	{ BUCKET "/Contents/LastModified", XML_TIME, 0 },
	{ BUCKET "/NextContinuationToken", XML_TEXT, XML_NEXT },
	{ BUCKET "/IsTruncated", XML_TEXT, XML_MORE },
	{ BUCKET "/EncodingType", XML_TEXT, XML_ENCODING },
};

static const struct xml_path s3_upload[] = {
	{ "InitiateMultipartUploadResult/UploadId", XML_TEXT, XML_UPLOAD },
	{ "CompleteMultipartUploadResult/ETag", XML_TEXT, XML_STATUS },
	{ "Error/Code", XML_TEXT, XML_CODE },
	{ "Error/Message", XML_TEXT, XML_MESSAGE },
};

#define STS "AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult/Credentials"
static const struct xml_path sts[] = {
	{ STS "/AccessKeyId", XML_TEXT, XML_KEY_ID },
	{ STS "/SecretAccessKey", XML_TEXT, XML_SECRET },
	{ STS "/SessionToken", XML_TEXT, XML_TOKEN },
	{ STS "/Expiration", XML_TEXT, XML_EXPIRES },
};

static const struct xml_path errors[] = {
	{ "Error/Code", XML_TEXT, XML_CODE },
	{ "Error/Message", XML_TEXT, XML_MESSAGE },
	{ "Error/Region", XML_TEXT, XML_REGION },
	{ "ErrorResponse/Error/Code", XML_TEXT, XML_CODE },
	{ "ErrorResponse/Error/Message", XML_TEXT, XML_MESSAGE },
};

const struct xml_form xml_azure_list = { "a listing", azure_list, ARRAY_LEN(azure_list) };
const struct xml_form xml_azure_stats = { "the statistics of the service", azure_stats,
	                                  ARRAY_LEN(azure_stats) };
const struct xml_form xml_s3_list = { "a listing", s3_list, ARRAY_LEN(s3_list) };
const struct xml_form xml_s3_upload = { "the state of an upload", s3_upload, ARRAY_LEN(s3_upload) };
const struct xml_form xml_sts = { "credentials", sts, ARRAY_LEN(sts) };
const struct xml_form xml_errors = { "an error", errors, ARRAY_LEN(errors) };

/* Of 1970 to 2200, as struct store_stat says. */
#define RECEIVED_MAX_NS (INT64_C(7258118400) * 1000000000)

/* Which parts of an item there are. */
enum { HAVE_KEY = 1, HAVE_SIZE = 2, HAVE_TIME = 4, HAVE_ALL = 7 };

/* An item as it lies in the page: this, and the key as the document has it. */
struct packed {
	uint64_t size;
	int64_t received_ns;
	uint32_t key_len;
	bool encoded;
};

struct xml {
	const struct xml_form *form;
	const char *strip;
	size_t strip_len;
	XML_Parser parser;
	uint64_t fed;
	struct err *e; /* of the call that feeds */
	bool failed;

	char path[XML_PATH_MAX + 1];
	size_t ends[XML_DEPTH_MAX]; /* length of path before each open element */
	unsigned depth;
	unsigned lost; /* depth at which the path became longer than any that counts; 0: not */

	const struct xml_path *at; /* whose text is being gathered, or NULL */
	char text[XML_TEXT_MAX + 1];
	size_t text_len;
	bool too_long;
	bool encoded; /* Encoded="true" */

	struct packed item; /* that is open */
	unsigned have;
	bool foreign; /* it is none of ours */
	char *key;    /* XML_TEXT_MAX + 1 bytes; of the item that is open */

	char *texts[XML_TEXTS];
	struct buf page;
	size_t page_at;
	char last[STORE_KEY_MAX + 1];
};

#define FAIL(x, class, ...)                                   \
	do {                                                  \
		if (!(x)->failed)                             \
			err_set((x)->e, class, __VA_ARGS__);  \
		(x)->failed = true;                           \
		(void)XML_StopParser((x)->parser, XML_FALSE); \
	} while (0)

static const struct xml_path *find(const struct xml *x)
{
	for (unsigned i = 0; i < x->form->n && !x->lost; i++)
		if (strcmp(x->form->paths[i].path, x->path) == 0)
			return &x->form->paths[i];
	return NULL;
}

static bool is_root(const struct xml_form *form, const char *name)
{
	size_t n = strlen(name);

	for (unsigned i = 0; i < form->n; i++)
		if (strncmp(form->paths[i].path, name, n) == 0 && form->paths[i].path[n] == '/')
			return true;
	return false;
}

static void path_push(struct xml *x, const char *name)
{
	size_t at = strlen(x->path);
	size_t n = strlen(name);

	x->ends[x->depth++] = at;
	if (x->lost)
		return;
	if (n + 1 > XML_PATH_MAX - at) {
		x->lost = x->depth;
		return;
	}
	if (at > 0)
		x->path[at++] = '/';
	memcpy(x->path + at, name, n + 1);
}

static void path_pop(struct xml *x)
{
	if (x->lost == x->depth)
		x->lost = 0;
	x->path[x->ends[--x->depth]] = '\0';
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct xml *x = arg;

	if (x->failed)
		return;
	if (x->depth == 0 && !is_root(x->form, name)) {
		FAIL(x, ERR_FORMAT, "the answer is '%.40s' and not %s", name, x->form->name);
		return;
	}
	if (x->depth == XML_DEPTH_MAX || x->at) {
		FAIL(x, ERR_FORMAT, "%s has an element '%.40s' where there can be none",
		     x->form->name, name);
		return;
	}
	path_push(x, name);
	const struct xml_path *p = find(x);
	if (!p)
		return;
	if (p->what == XML_ITEM) {
		x->item = (struct packed){ 0 };
		x->have = 0;
		x->foreign = false;
		return;
	}
	x->at = p;
	x->text_len = 0;
	x->too_long = false;
	x->encoded = false;
	for (; attributes[0]; attributes += 2)
		if (strcmp(attributes[0], "Encoded") == 0)
			x->encoded = strcmp(attributes[1], "true") == 0;
}

static void on_text(void *arg, const XML_Char *text, int len)
{
	struct xml *x = arg;
	size_t n = (size_t)len;

	if (x->failed || !x->at)
		return;
	if (n > XML_TEXT_MAX - x->text_len) {
		x->too_long = true;
		return;
	}
	memcpy(x->text + x->text_len, text, n);
	x->text_len += n;
}

static void take_time(struct xml *x)
{
	bool name = x->text[0] >= 'A' && x->text[0] <= 'Z'; /* of a day */
	struct err e = ERR_INIT;
	int64_t ns = 0;

	if ((name ? now_http_parse(x->text, &ns, &e) : now_parse(x->text, &ns, &e)) < 0 || ns < 0 ||
	    ns > RECEIVED_MAX_NS) {
		FAIL(x, ERR_FORMAT, "%s has '%.40s' where the time of an object should be",
		     x->form->name, x->text);
		return;
	}
	x->item.received_ns = ns;
	x->have |= HAVE_TIME;
}

static void take_size(struct xml *x)
{
	struct err e = ERR_INIT;

	if (num_u64("size", x->text, 0, INT64_MAX, &x->item.size, &e) < 0) {
		FAIL(x, ERR_FORMAT, "%s has '%.40s' where the size of an object should be",
		     x->form->name, x->text);
		return;
	}
	x->have |= HAVE_SIZE;
}

static void take_key(struct xml *x)
{
	x->have |= HAVE_KEY;
	/* longer than a key of ours when each of its characters is encoded */
	if (x->too_long || x->text_len > 3 * (x->strip_len + STORE_KEY_MAX)) {
		x->foreign = true;
		return;
	}
	memcpy(x->key, x->text, x->text_len);
	x->item.key_len = (uint32_t)x->text_len;
	x->item.encoded = x->encoded;
}

static void take_item(struct xml *x)
{
	if (x->foreign)
		return;
	if (x->have != HAVE_ALL) {
		FAIL(x, ERR_FORMAT, "%s has an object without %s", x->form->name,
		     !(x->have & HAVE_KEY)    ? "name"
		     : !(x->have & HAVE_SIZE) ? "size"
		                              : "time");
		return;
	}
	(void)buf_put(&x->page, &x->item, sizeof(x->item));
	if (buf_put(&x->page, x->key, x->item.key_len) == 0)
		return;
	if (x->page.nomem)
		FAIL(x, ERR_NOMEM, "no memory for %s", x->form->name);
	else
		FAIL(x, ERR_TOO_BIG, "%s has more than %zu bytes in one page", x->form->name,
		     XML_PAGE_MAX);
}

static void text_free(char *text)
{
	if (text)
		secret_wipe(text, strlen(text));
	free(text);
}

static void take_text(struct xml *x, enum xml_text which)
{
	char *copy = strdup(x->text);

	if (!copy) {
		FAIL(x, ERR_NOMEM, "no memory for %s", x->form->name);
		return;
	}
	text_free(x->texts[which]);
	x->texts[which] = copy;
}

static void on_end(void *arg, const XML_Char *name)
{
	struct xml *x = arg;
	const struct xml_path *p = x->at;

	(void)name;
	if (x->failed)
		return;
	if (!p) {
		p = find(x);
		if (p && p->what == XML_ITEM)
			take_item(x);
		path_pop(x);
		return;
	}
	x->at = NULL;
	x->text[x->text_len] = '\0';
	path_pop(x);
	if (x->too_long && p->what != XML_KEY) {
		FAIL(x, ERR_TOO_BIG, "%s has a text of more than %zu bytes in '%s'", x->form->name,
		     XML_TEXT_MAX, p->path);
		return;
	}
	switch (p->what) {
	case XML_KEY:
		take_key(x);
		break;
	case XML_SIZE:
		take_size(x);
		break;
	case XML_TIME:
		take_time(x);
		break;
	case XML_FOLDER:
		if (strcmp(x->text, "directory") == 0)
			x->foreign = true;
		break;
	case XML_TEXT:
		take_text(x, p->text);
		break;
	case XML_ITEM:
		break;
	}
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *sysid,
                       const XML_Char *pubid, int subset)
{
	struct xml *x = arg;

	(void)name;
	(void)sysid;
	(void)pubid;
	(void)subset;
	FAIL(x, ERR_FORMAT, "%s has a document type, which no store sends", x->form->name);
}

void xml_reset(struct xml *x)
{
	(void)XML_ParserReset(x->parser, NULL);
	XML_SetUserData(x->parser, x);
	XML_SetElementHandler(x->parser, on_start, on_end);
	XML_SetCharacterDataHandler(x->parser, on_text);
	XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
	for (unsigned i = 0; i < XML_TEXTS; i++)
		text_free(STEAL(&x->texts[i]));
	x->fed = 0;
	x->failed = false;
	x->path[0] = '\0';
	x->depth = 0;
	x->lost = 0;
	x->at = NULL;
	buf_reset(&x->page);
	x->page_at = 0;
}

struct xml *xml_new(const struct xml_form *form, const char *strip, struct err *e)
{
	auto_xml struct xml *x = calloc(1, sizeof(*x));

	if (x) {
		x->form = form;
		x->strip = strip ? strip : "";
		x->strip_len = strlen(x->strip);
		x->page = BUF_INIT(XML_PAGE_MAX);
		x->key = malloc(XML_TEXT_MAX + 1);
		x->parser = XML_ParserCreate(NULL);
	}
	if (!x || !x->key || !x->parser) {
		err_set(e, ERR_NOMEM, "no memory to read %s", form->name);
		return NULL;
	}
	xml_reset(x);
	return STEAL(&x);
}

void xml_free(struct xml *x)
{
	if (!x)
		return;
	for (unsigned i = 0; i < XML_TEXTS; i++)
		text_free(x->texts[i]);
	if (x->parser)
		XML_ParserFree(x->parser);
	secret_wipe(x->text, sizeof(x->text));
	buf_clear(&x->page);
	free(x->key);
	free(x);
}

static int parse(struct xml *x, const char *p, size_t n, bool last, struct err *e)
{
	if (x->failed)
		return err_set(e, ERR_FORMAT, "%s could not be read before", x->form->name);
	x->e = e;
	enum XML_Status status = XML_Parse(x->parser, p, (int)n, last);
	x->e = NULL;
	if (x->failed)
		return -1;
	if (status == XML_STATUS_OK)
		return 0;
	x->failed = true;
	enum XML_Error why = XML_GetErrorCode(x->parser);
	if (why == XML_ERROR_NO_MEMORY)
		return err_set(e, ERR_NOMEM, "no memory to read %s", x->form->name);
	return err_set(e, ERR_FORMAT, "the answer is no XML that %s could be: %s at its byte %lld",
	               x->form->name, XML_ErrorString(why),
	               (long long)XML_GetCurrentByteIndex(x->parser));
}

int xml_feed(struct xml *x, const void *p, size_t n, struct err *e)
{
	const char *at = p;

	if (n > XML_DOCUMENT_MAX - x->fed)
		return err_set(e, ERR_TOO_BIG, "%s is longer than %zu bytes", x->form->name,
		               XML_DOCUMENT_MAX);
	x->fed += n;
	while (n > 0) {
		size_t part = n < MIB ? n : MIB;

		if (parse(x, at, part, false, e) < 0)
			return -1;
		at += part;
		n -= part;
	}
	return 0;
}

int xml_sink(void *arg, const struct http_answer *a, const void *p, size_t n, struct err *e)
{
	(void)a;
	return xml_feed(arg, p, n, e);
}

int xml_end(struct xml *x, struct err *e)
{
	return parse(x, "", 0, true, e);
}

const char *xml_text(const struct xml *x, enum xml_text which)
{
	return x->texts[which];
}

/* The key as it is in the store, into x->key; false: it is none of ours. */
static bool key_of(struct xml *x, const struct packed *item, bool encoded, char **ret)
{
	char *key = x->key;

	memcpy(key, x->page.data + x->page_at, item->key_len);
	key[item->key_len] = '\0';
	if ((encoded || item->encoded) && !place_unescape(key))
		return false;
	if (strncmp(key, x->strip, x->strip_len) != 0)
		return false;
	*ret = key + x->strip_len;
	return store_key_valid(*ret);
}

int xml_next(struct xml *x, struct store_item *ret, struct err *e)
{
	bool encoded = x->texts[XML_ENCODING] && strcmp(x->texts[XML_ENCODING], "url") == 0;
	struct packed item;
	char *key;

	for (;;) {
		if (x->page.len - x->page_at < sizeof(item))
			return 0;
		memcpy(&item, x->page.data + x->page_at, sizeof(item));
		x->page_at += sizeof(item);
		bool ours = key_of(x, &item, encoded, &key);
		x->page_at += item.key_len;
		if (ours)
			break;
	}
	if (strcmp(key, x->last) <= 0)
		return err_set(e, ERR_UNSUPPORTED,
		               "the server lists '%.100s' after '%.100s', which is not the order "
		               "of bytes: it cannot be a store",
		               key, x->last);
	size_t n = strlen(key) + 1;
	memcpy(x->last, key, n);
	memcpy(ret->key, key, n);
	ret->st = (struct store_stat){ .size = item.size, .received_ns = item.received_ns };
	return 1;
}

/* Up to its first line end, control characters as spaces, cut between characters. */
static void copy_line(char *ret, size_t max, const char *text)
{
	size_t n = 0;

	while (text && text[n] && text[n] != '\n' && n < max - 1) {
		unsigned char c = (unsigned char)text[n];

		ret[n++] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
	}
	/* not in the midst of a character of UTF-8 */
	while (text && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	ret[n] = '\0';
}

struct xml_error xml_error_of(const char *text, size_t n)
{
	struct xml_error ret = { 0 };
	struct err e = ERR_INIT;

	auto_xml struct xml *x = xml_new(&xml_errors, NULL, &e);
	/* what came before it failed counts: the text may be cut */
	if (!x || (xml_feed(x, text, n, &e) < 0 && e.class == ERR_NOMEM))
		return ret;
	copy_line(ret.code, sizeof(ret.code), xml_text(x, XML_CODE));
	copy_line(ret.message, sizeof(ret.message), xml_text(x, XML_MESSAGE));
	copy_line(ret.region, sizeof(ret.region), xml_text(x, XML_REGION));
	return ret;
}
