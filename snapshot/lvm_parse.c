/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports by jansson, differences by expat. What expat calls us with cannot fail there and
 * then: the first failure is kept, the parser is stopped, and feed() tells.
 */
#include "snapshot/lvm_parse.h"

#include <expat.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "common/json.h"
#include "common/num.h"

#define WHAT "the report of lvs"
#define BLOCK_MAX (1U << 21) /* sectors of the largest block that a thin pool has: 1 GiB */

/* ---- texts ---- */

bool lvm_parse_is_name(const char *text)
{
	size_t n = strspn(text,
	                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_.-");

	return n > 0 && n <= LVM_NAME_MAX && !text[n] && text[0] != '-' && strcmp(text, ".") != 0 &&
	       strcmp(text, "..") != 0;
}

bool lvm_parse_is_uuid(const char *text)
{
	if (strlen(text) != LVM_UUID_LEN)
		return false;
	for (size_t i = 0; i < LVM_UUID_LEN; i++) {
		bool dash = i == 6 || i == 11 || i == 16 || i == 21 || i == 26 || i == 31;
		char c = text[i];

		if (dash ? c != '-'
		         : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		             (c >= 'A' && c <= 'Z')))
			return false;
	}
	return true;
}

bool lvm_parse_has_tag(const struct lvm_lv *lv, const char *tag)
{
	size_t n = strlen(tag);

	for (const char *at = lv->tags; *at;) {
		size_t len = strcspn(at, ",");

		if (len == n && strncmp(at, tag, n) == 0)
			return true;
		at += len + (at[len] == ',');
	}
	return false;
}

/* ---- lvs ---- */

static int copy_text(const json_t *o, const char *key, char *ret, size_t max, struct err *e)
{
	const char *text;

	if (json_get_str(o, WHAT, key, &text, e) < 0)
		return -1;
	size_t n = strlen(text);
	if (n >= max)
		return err_set(e, ERR_FORMAT, WHAT ": .%s is too long", key);
	memcpy(ret, text, n + 1);
	return 0;
}

static int copy_number(const json_t *o, const char *key, uint64_t *ret, struct err *e)
{
	const char *text;

	if (json_get_str(o, WHAT, key, &text, e) < 0)
		return -1;
	*ret = 0;
	if (*text && num_u64(key, text, 0, INT64_MAX, ret, e) < 0) {
		e->class = ERR_FORMAT;
		return err_wrap(e, WHAT);
	}
	return 0;
}

static int parse_lv(const json_t *o, struct lvm_lv *ret, struct err *e)
{
	char mode[32];

	if (copy_text(o, "vg_name", ret->vg_name, sizeof(ret->vg_name), e) < 0 ||
	    copy_text(o, "vg_uuid", ret->vg_uuid, sizeof(ret->vg_uuid), e) < 0 ||
	    copy_text(o, "lv_name", ret->lv_name, sizeof(ret->lv_name), e) < 0 ||
	    copy_text(o, "lv_uuid", ret->lv_uuid, sizeof(ret->lv_uuid), e) < 0 ||
	    copy_text(o, "pool_lv", ret->pool, sizeof(ret->pool), e) < 0 ||
	    copy_text(o, "lv_dm_path", ret->dm_path, sizeof(ret->dm_path), e) < 0 ||
	    copy_text(o, "lv_tags", ret->tags, sizeof(ret->tags), e) < 0 ||
	    copy_text(o, "lv_permissions", mode, sizeof(mode), e) < 0 ||
	    copy_number(o, "thin_id", &ret->thin_id, e) < 0 ||
	    copy_number(o, "lv_size", &ret->size, e) < 0)
		return -1;
	ret->read_only = strncmp(mode, "read-only", strlen("read-only")) == 0;
	if (!lvm_parse_is_name(ret->vg_name) || !lvm_parse_is_name(ret->lv_name) ||
	    !lvm_parse_is_uuid(ret->vg_uuid) || !lvm_parse_is_uuid(ret->lv_uuid) ||
	    (ret->pool[0] && !lvm_parse_is_name(ret->pool)))
		return err_set(e, ERR_FORMAT, WHAT " has names that LVM does not give");
	return 0;
}

int lvm_parse_lvs(const void *p, size_t n, struct lvm_lv **ret, size_t *ret_n, struct err *e)
{
	auto_json json_t *all = json_parse(WHAT, p, n, e);

	if (!all)
		return -1;
	const json_t *report = json_object_get(all, "report");
	const json_t *lvs = json_array_size(report) == 1
	                            ? json_object_get(json_array_get(report, 0), "lv")
	                            : NULL;
	if (!json_is_array(lvs))
		return err_set(e, ERR_FORMAT, WHAT " has no list of volumes");
	size_t count = json_array_size(lvs);
	if (count > LVM_LVS_MAX)
		return err_set(e, ERR_FORMAT, WHAT " has %zu volumes; the most is %d", count,
		               LVM_LVS_MAX);
	auto_free struct lvm_lv *v = calloc(count + 1, sizeof(*v));
	if (!v)
		return err_set(e, ERR_NOMEM, "no memory for " WHAT);
	for (size_t i = 0; i < count; i++) {
		if (parse_lv(json_array_get(lvs, i), &v[i], e) < 0)
			return -1;
	}
	*ret = STEAL(&v);
	*ret_n = count;
	return 0;
}

/* ---- tables and states ---- */

/*
 * The next word of a line: a number, which ends at stop or at the end of the line when that is
 * ' '.
 */
static bool number(const char **at, char stop, uint64_t max, uint64_t *ret)
{
	struct err ignored = ERR_INIT;
	char digits[24];
	size_t n = strspn(*at, "0123456789");

	if (n == 0 || n >= sizeof(digits) || ((*at)[n] != stop && !(stop == ' ' && !(*at)[n])))
		return false;
	memcpy(digits, *at, n);
	digits[n] = '\0';
	*at += n + ((*at)[n] != '\0');
	return num_u64("number", digits, 0, max, ret, &ignored) == 0;
}

static bool device(const char **at, dev_t *ret)
{
	uint64_t major_no, minor_no;

	if (!number(at, ':', 0xfff, &major_no) || !number(at, ' ', 0xfffff, &minor_no))
		return false;
	*ret = makedev((unsigned)major_no, (unsigned)minor_no);
	return true;
}

bool lvm_parse_thin_table(const char *text, dev_t *ret_pool, uint64_t *ret_id)
{
	return device(&text, ret_pool) && number(&text, ' ', (1U << 24) - 1, ret_id);
}

bool lvm_parse_pool_table(const char *text, dev_t *ret_metadata)
{
	dev_t data;

	return device(&text, ret_metadata) && device(&text, &data);
}

bool lvm_parse_pool_status(const char *text, struct lvm_pool *ret)
{
	uint64_t transaction, held;

	if (!number(&text, ' ', UINT64_MAX, &transaction) ||
	    !number(&text, '/', UINT64_MAX, &ret->metadata_used) ||
	    !number(&text, ' ', UINT64_MAX, &ret->metadata_blocks) ||
	    !number(&text, '/', UINT64_MAX, &ret->data_used) ||
	    !number(&text, ' ', UINT64_MAX, &ret->data_blocks))
		return false;
	ret->held = strncmp(text, "- ", 2) != 0;
	if (!ret->held)
		text += 2;
	else if (!number(&text, ' ', UINT64_MAX, &held))
		return false;
	size_t n = strcspn(text, " ");
	ret->writable = n == 2 && strncmp(text, "rw", 2) == 0;
	return n > 0;
}

/* ---- thin_delta ---- */

enum place { OUTSIDE, IN_SUPERBLOCK, IN_DIFF, IN_RANGE, BEHIND_DIFF, AFTER };

struct lvm_delta {
	XML_Parser xml;
	struct ranges *ranges;
	enum place place;
	uint64_t block_bytes;
	uint64_t left, right; /* devices */
	uint64_t at;          /* no later range may begin before */
	bool failed;
	struct err why;
};

static void give_up(struct lvm_delta *d, enum err_class class, const char *why)
{
	if (d->failed)
		return;
	d->failed = true;
	(void)err_set(&d->why, class, "the output of thin_delta %s", why);
	(void)XML_StopParser(d->xml, XML_FALSE);
}

/* The attribute of this name as a number; false when it is missing or none. */
static bool attribute(const char **attrs, const char *name, uint64_t max, uint64_t *ret)
{
	for (; attrs[0]; attrs += 2) {
		const char *text = attrs[1];

		if (strcmp(attrs[0], name) == 0)
			return number(&text, ' ', max, ret) && !*text;
	}
	return false;
}

static void add(struct lvm_delta *d, const char **attrs, bool same)
{
	uint64_t begin, length, start, bytes, end;

	if (!attribute(attrs, "begin", UINT64_MAX, &begin) ||
	    !attribute(attrs, "length", UINT64_MAX, &length) || length == 0 ||
	    __builtin_mul_overflow(begin, d->block_bytes, &start) ||
	    __builtin_mul_overflow(length, d->block_bytes, &bytes) ||
	    __builtin_add_overflow(start, bytes, &end) || end > INT64_MAX || start < d->at) {
		give_up(d, ERR_FORMAT, "has a range that makes no sense");
		return;
	}
	d->at = end;
	if (same)
		return;
	if (d->ranges->n >= LVM_RANGES_MAX)
		give_up(d, ERR_TOO_BIG, "has more ranges than are of use");
	else if (ranges_add(d->ranges, start, end) < 0)
		give_up(d, ERR_NOMEM, "is too large for the memory that is left");
}

static void XMLCALL on_start(void *arg, const char *name, const char **attrs)
{
	struct lvm_delta *d = arg;
	uint64_t sectors;

	if (d->place == OUTSIDE && strcmp(name, "superblock") == 0 &&
	    attribute(attrs, "data_block_size", BLOCK_MAX, &sectors) && sectors > 0) {
		d->block_bytes = sectors * 512;
		d->place = IN_SUPERBLOCK;
	} else if (d->place == IN_SUPERBLOCK && strcmp(name, "diff") == 0 &&
	           attribute(attrs, "left", UINT64_MAX, &d->left) &&
	           attribute(attrs, "right", UINT64_MAX, &d->right)) {
		d->place = IN_DIFF;
	} else if (d->place == IN_DIFF && strcmp(name, "same") == 0) {
		d->place = IN_RANGE;
		add(d, attrs, true);
	} else if (d->place == IN_DIFF &&
	           (strcmp(name, "different") == 0 || strcmp(name, "left_only") == 0 ||
	            strcmp(name, "right_only") == 0)) {
		d->place = IN_RANGE;
		add(d, attrs, false);
	} else {
		give_up(d, ERR_FORMAT, "has an element that is not known");
	}
}

static void XMLCALL on_end(void *arg, const char *name)
{
	struct lvm_delta *d = arg;

	(void)name; /* expat sees to it that it is the one that is open */
	d->place = d->place == IN_RANGE ? IN_DIFF : d->place == IN_DIFF ? BEHIND_DIFF : AFTER;
}

static void XMLCALL on_doctype(void *arg, const char *name, const char *system, const char *public,
                               int internal)
{
	(void)name;
	(void)system;
	(void)public;
	(void)internal;
	give_up(arg, ERR_FORMAT, "has a document type");
}

struct lvm_delta *lvm_parse_delta_new(struct err *e)
{
	struct lvm_delta *d = calloc(1, sizeof(*d));

	if (d) {
		d->xml = XML_ParserCreate("UTF-8");
		d->ranges = ranges_new();
	}
	if (!d || !d->xml || !d->ranges) {
		lvm_parse_delta_free(d);
		err_set(e, ERR_NOMEM, "no memory for a difference of devices");
		return NULL;
	}
	XML_SetUserData(d->xml, d);
	XML_SetElementHandler(d->xml, on_start, on_end);
	XML_SetStartDoctypeDeclHandler(d->xml, on_doctype);
	return d;
}

void lvm_parse_delta_free(struct lvm_delta *d)
{
	if (!d)
		return;
	if (d->xml)
		XML_ParserFree(d->xml);
	ranges_free(d->ranges);
	free(d);
}

static int parse(struct lvm_delta *d, const void *p, size_t n, bool last, struct err *e)
{
	if (!d->failed && XML_Parse(d->xml, p, (int)n, last) == XML_STATUS_ERROR && !d->failed)
		give_up(d, XML_GetErrorCode(d->xml) == XML_ERROR_NO_MEMORY ? ERR_NOMEM : ERR_FORMAT,
		        "is no whole XML");
	if (!d->failed)
		return 0;
	*e = d->why;
	return -1;
}

int lvm_parse_delta_feed(struct lvm_delta *d, const void *p, size_t n, struct err *e)
{
	for (size_t at = 0; at < n;) {
		size_t piece = n - at < INT_MAX / 2 ? n - at : INT_MAX / 2;

		if (parse(d, (const char *)p + at, piece, false, e) < 0)
			return -1;
		at += piece;
	}
	return 0;
}

int lvm_parse_delta_end(struct lvm_delta *d, uint64_t left, uint64_t right, struct ranges **ret,
                        struct err *e)
{
	if (parse(d, "", 0, true, e) < 0)
		return -1;
	if (d->place != AFTER || d->left != left || d->right != right)
		return err_set(e, ERR_FORMAT,
		               "the output of thin_delta is not about the devices %" PRIu64
		               " and %" PRIu64,
		               left, right);
	*ret = STEAL(&d->ranges);
	return 0;
}
