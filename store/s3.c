/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects in S3, by its REST interface (Amazon S3 API Reference): reads,
 * listings, deletions, and what a URL means. Uploads are in s3_put.c, requests
 * and what their answers mean in s3_ask.c, replication in s3_cut.c.
 *
 * Times are whole seconds: a HEAD knows no more, and a listing must not say
 * another time than that.
 */
#include "store/s3.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/now.h"
#include "common/num.h"
#include "store/driver.h"
#include "store/s3_impl.h"
#include "store/traffic.h"
#include "store/xml.h"

#define NS_PER_S INT64_C(1000000000)
#define PART_BYTES ((uint64_t)512 << 20)
#define PART_LEAST ((uint64_t)5 << 20) /* the service's own limits */
#define PART_MOST ((uint64_t)5 << 30)
#define FAIL_OVER_MS 5000 /* to connect, for those who can go elsewhere */

static const char *const params[] = { "endpoint", "region",    "style",       "secondary", "class",
	                              "lock",     "lock-mode", "legal-hold",  "ca",        "proxy",
	                              "checksum", "part",      "credentials", NULL };

/* ---- reading ---- */

int64_t s3_time_of(const struct http_answer *a, const char *name)
{
	const char *text = http_header(a, name);
	struct err ignored;
	int64_t ns;

	if (!text ||
	    (now_http_parse(text, &ns, &ignored) < 0 && now_parse(text, &ns, &ignored) < 0))
		return 0;
	return ns > 0 ? ns : 0;
}

int s3_head(struct store *base, const char *key, struct store_stat *ret, struct err *e)
{
	struct err why = ERR_INIT;
	uint64_t size;

	auto_s3_ask struct s3_ask *x = s3_ask_new((struct s3 *)base, CALL_HEAD, "HEAD", key, e);
	if (!x || s3_ask_send(x, e) < 0)
		return -1;
	const char *length = http_header(&x->answer, "content-length");
	if (!length || num_u64("Content-Length", length, 0, INT64_MAX, &size, &why) < 0)
		return err_set(e, ERR_RETRY, "the service does not tell the object's size");
	*ret = (struct store_stat){ .size = size,
		                    .received_ns = s3_time_of(&x->answer, "last-modified"),
		                    .locked_until_ns = s3_time_of(&x->answer, S3_UNTIL) };
	return 0;
}

/* No bytes, or bytes where no object can have them. */
static int get_none(struct store *base, const char *key, uint64_t off, size_t n, struct err *e)
{
	struct store_stat st;

	if (s3_head(base, key, &st, e) < 0)
		return -1;
	if (n == 0 && off <= st.size)
		return 0;
	return err_set(e, ERR_CORRUPT, "the object has %llu bytes only",
	               (unsigned long long)st.size);
}

/* Some server may ignore the range: what it sends then is not what was asked for. */
static int range_sink(void *arg, const struct http_answer *a, const void *p, size_t n,
                      struct err *e)
{
	if (a->status != 206)
		return err_set(e, ERR_UNSUPPORTED,
		               "the service answers with a whole object to who asks for a part "
		               "(status %d)",
		               a->status);
	return http_sink_fill(arg, a, p, n, e);
}

static int s3_get(struct store *base, const char *key, uint64_t off, void *p, size_t n,
                  struct err *e)
{
	struct http_fill fill = { .p = p, .n = n };

	if (n == 0 || off > INT64_MAX - n)
		return get_none(base, key, off, n, e);
	auto_s3_ask struct s3_ask *x = s3_ask_new((struct s3 *)base, CALL_GET, "GET", key, e);
	if (!x)
		return -1;
	wire_header(&x->w, "range", "bytes=%llu-%llu", (unsigned long long)off,
	            (unsigned long long)(off + n - 1));
	x->rq.sink = range_sink;
	x->rq.arg = &fill;
	if (s3_ask_send(x, e) < 0)
		return -1;
	if (fill.got < n)
		return err_set(e, ERR_CORRUPT, "the object ends at byte %llu, before %llu",
		               (unsigned long long)(off + fill.got), (unsigned long long)(off + n));
	return 0;
}

static int s3_get_all(struct store *base, const char *key, struct buf *b, struct err *e)
{
	auto_s3_ask struct s3_ask *x = s3_ask_new((struct s3 *)base, CALL_GET, "GET", key, e);

	if (!x)
		return -1;
	x->rq.sink = http_sink_buf;
	x->rq.arg = b;
	return s3_ask_send(x, e);
}

/*
 * In a bucket with versions this hides the object and keeps what it was, until a rule of the bucket
 * removes it; in all that a store can see it is deleted.
 */
static int s3_del(struct store *base, const char *key, struct err *e)
{
	struct err why = ERR_INIT;

	auto_s3_ask struct s3_ask *x = s3_ask_new((struct s3 *)base, CALL_DELETE, "DELETE", key, e);
	if (!x)
		return -1;
	if (s3_ask_send(x, &why) == 0 || why.class == ERR_NOT_FOUND)
		return 0;
	*e = why;
	return -1;
}

/* ---- listing ---- */

/* What is asked for, from page to page. */
struct listing {
	const char *within, *after; /* as the caller said; what the service adds is left out */
	const char *prefix;         /* full, with the store's own */
	const char *from;           /* full, or "": the service begins behind it */
	char *next;                 /* where the service said it goes on; NULL: at the beginning */
};

static int page(struct s3 *s, const struct listing *l, struct xml *xml, struct err *e)
{
	auto_s3_ask struct s3_ask *x = s3_ask_new(s, CALL_LIST, "GET", NULL, e);

	if (!x)
		return -1;
	wire_query(&x->w, "list-type", "2");
	/* else a key with a character that XML has not would spoil the page for us */
	wire_query(&x->w, "encoding-type", "url");
	if (*l->prefix)
		wire_query(&x->w, "prefix", l->prefix);
	if (l->next)
		wire_query(&x->w, "continuation-token", l->next);
	else if (*l->from)
		wire_query(&x->w, "start-after", l->from);
	x->rq.sink = xml_sink;
	x->rq.arg = xml;
	return s3_ask_send(x, e) < 0 || xml_end(xml, e) < 0 ? -1 : 0;
}

/* 1: there is another page. */
static int next_page(const struct xml *xml, struct listing *l, struct err *e)
{
	const char *more = xml_text(xml, XML_MORE);
	const char *next = xml_text(xml, XML_NEXT);

	if (!more || strcmp(more, "true") != 0)
		return 0;
	if (!next || !*next)
		return err_set(e, ERR_FORMAT, "the service does not say where a listing goes on");
	free(l->next);
	l->next = strdup(next);
	return l->next ? 1 : s3_no_memory(e);
}

static int list_pages(struct s3 *s, struct listing *l, struct xml *xml,
                      int (*each)(void *arg, const struct store_item *item, struct err *e),
                      void *arg, struct err *e)
{
	auto_free struct store_item *item = malloc(sizeof(*item));
	int more;

	if (!item)
		return s3_no_memory(e);
	do {
		int rc;

		if (page(s, l, xml, e) < 0)
			return -1;
		while ((rc = xml_next(xml, item, e)) > 0) {
			if (strcmp(item->key, l->after) <= 0 ||
			    strncmp(item->key, l->within, strlen(l->within)) != 0)
				continue;
			item->st.received_ns -= item->st.received_ns % NS_PER_S;
			rc = each(arg, item, e);
			if (rc != 0)
				return rc < 0 ? -1 : 0;
		}
		if (rc < 0)
			return -1;
		more = next_page(xml, l, e);
		xml_reset(xml);
	} while (more > 0);
	return more;
}

/*
 * How much of `after` the service is told. Some take what is the name of a "directory" for all
 * that is in it, so that it would be passed over: the last character is left out, or more, until
 * what would be passed over is not behind `after`. That gives a few keys too many.
 */
static size_t start_of(const char *after)
{
	size_t n = strlen(after);

	if (n == 0 || after[n - 1] == '/')
		return n;
	while (n > 0 && (uint8_t)after[n - 1] <= '/')
		n--;
	return n > 0 ? n - 1 : 0;
}

int s3_list(struct store *base, const char *prefix, const char *after,
            int (*each)(void *arg, const struct store_item *item, struct err *e), void *arg,
            struct err *e)
{
	struct s3 *s = (struct s3 *)base;
	const char *slash = *s->place.rest ? "/" : "";
	CLEANUP(buf_clear) struct buf strip = BUF_INIT(2 * STORE_KEY_MAX);
	CLEANUP(buf_clear) struct buf full = BUF_INIT(4 * STORE_KEY_MAX);
	CLEANUP(buf_clear) struct buf from = BUF_INIT(4 * STORE_KEY_MAX);
	size_t start = start_of(after);
	int before = strncmp(after, prefix, strlen(prefix));

	/* all that begins with the prefix is before what is asked for */
	if (before > 0)
		return 0;
	(void)buf_printf(&strip, "%s%s", s->place.rest, slash);
	(void)buf_printf(&full, "%s%s%s", s->place.rest, slash, prefix);
	/* not every server bears one that is outside of the prefix */
	if (before == 0 && start > strlen(prefix) && start <= STORE_KEY_MAX)
		(void)buf_printf(&from, "%s%s%.*s", s->place.rest, slash, (int)start, after);
	if (buf_check(&strip, "a prefix", e) < 0 || buf_check(&full, "a prefix", e) < 0 ||
	    buf_check(&from, "a prefix", e) < 0)
		return -1;
	struct listing l = {
		.within = prefix, .after = after, .prefix = buf_cstr(&full), .from = buf_cstr(&from)
	};
	auto_xml struct xml *xml = xml_new(&xml_s3_list, buf_cstr(&strip), e);
	if (!xml)
		return -1;
	int r = list_pages(s, &l, xml, each, arg, e);
	free(l.next);
	return r;
}

/* ---- the driver ---- */

static const char *s3_right(struct store *base, enum store_right right)
{
	(void)base;
	switch (right) {
	case RIGHT_CREATE:
		return "s3:PutObject on the objects of the bucket";
	case RIGHT_READ:
		return "s3:GetObject on the objects of the bucket, and s3:ListBucket on it";
	case RIGHT_LIST:
		return "s3:ListBucket on the bucket";
	case RIGHT_DELETE:
		return "s3:DeleteObject on the objects of the bucket";
	case RIGHT_LOCK:
		break;
	}
	return "s3:PutObjectRetention and s3:GetObjectRetention on the objects of the bucket";
}

static void s3_traffic(struct store *base, struct store_traffic *ret)
{
	traffic_add(ret, ((struct s3 *)base)->http);
}

static void s3_free(struct store *base)
{
	struct s3 *s = (struct s3 *)base;

	s3_auth_free(s->auth);
	http_free(s->http);
	free(s->service);
	place_clear(&s->place);
	store_base_clear(&s->base);
	free(s);
}

static const struct store_ops s3_ops = {
	.name = "s3",
	.put = s3_put,
	.get = s3_get,
	.head = s3_head,
	.list = s3_list,
	.del = s3_del,
	.lock = s3_lock,
	.get_all = s3_get_all,
	.cut = s3_cut,
	.right = s3_right,
	.traffic = s3_traffic,
	.free = s3_free,
};

/* ---- opening ---- */

static int check_names(const struct s3 *s, struct err *e)
{
	const char *bucket = s->place.host;
	const char *prefix = s->place.rest;
	size_t n = strlen(bucket);

	if (n < 3 || n > 63 || bucket[strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789.-")] ||
	    !isalnum((unsigned char)bucket[0]) || !isalnum((unsigned char)bucket[n - 1]) ||
	    strstr(bucket, ".."))
		return err_set(e, ERR_INVALID,
		               "an S3 store is written s3://BUCKET[/PREFIX]; '%.70s' is no bucket: "
		               "those have 3 to 63 small letters, digits, dots and dashes",
		               bucket);
	/* Keys of the store begin after the prefix, and are bounded with it. */
	if (*prefix && (!store_key_valid(prefix) || strlen(prefix) > STORE_KEY_MAX / 2))
		return err_set(e, ERR_INVALID,
		               "the prefix '%.100s' is none: it has a-z 0-9 . _ - in parts between "
		               "slashes, at most %d characters",
		               prefix, STORE_KEY_MAX / 2);
	return 0;
}

/* "https://x.example/y" with the bucket in front of the host. */
static int add_host(char **ret, const char *endpoint, const char *bucket)
{
	const char *host = strstr(endpoint, "://") + 3;

	return asprintf(ret, "%.*s%s.%s", (int)(host - endpoint), endpoint, bucket, host);
}

static int set_service(struct s3 *s, struct err *e)
{
	const struct place *p = &s->place;
	const char *endpoint = place_param(p, "endpoint");
	const char *style = place_param(p, "style");
	const char *china = strncmp(s->region, "cn-", 3) == 0 ? ".cn" : "";
	auto_free char *usual = NULL;

	if (style && strcmp(style, "path") != 0 && strcmp(style, "host") != 0)
		return err_set(e, ERR_INVALID,
		               "the store's parameter style=%.20s is neither path nor host", style);
	if (s->region[strspn(s->region, "abcdefghijklmnopqrstuvwxyz0123456789-")])
		return err_set(e, ERR_INVALID, "'%.40s' is no region", s->region);
	if (endpoint && !http_url_allowed(endpoint))
		return err_set(e, ERR_INVALID,
		               "the service's address '%.100s' must begin with https:// (http:// "
		               "is for loopback addresses)",
		               endpoint);
	if (!endpoint && asprintf(&usual, "https://s3.%s.amazonaws.com%s", s->region, china) < 0) {
		usual = NULL;
		return s3_no_memory(e);
	}
	/* The certificate of the service is not for names with more dots. */
	s->path_style = style ? strcmp(style, "path") == 0
	                      : endpoint != NULL || strchr(p->host, '.') != NULL;
	if (!endpoint)
		endpoint = usual;
	s->tls = strncmp(endpoint, "https:", 6) == 0;
	if (s->path_style)
		s->service = strdup(endpoint);
	else if (add_host(&s->service, endpoint, p->host) < 0)
		s->service = NULL;
	return s->service ? 0 : s3_no_memory(e);
}

static int set_class(struct s3 *s, struct err *e)
{
	static const char *const slow[] = { "GLACIER", "DEEP_ARCHIVE" };
	const char *class = place_param(&s->place, "class");

	if (!class)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(slow); i++)
		if (strcmp(class, slow[i]) == 0)
			return err_set(e, ERR_INVALID,
			               "the store's parameter class=%s: what is in this class is "
			               "readable hours later, which is no restore",
			               class);
	if (class[strspn(class, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")])
		return err_set(e, ERR_INVALID,
		               "the store's parameter class=%.30s is no storage class; they are "
		               "written as in STANDARD_IA",
		               class);
	s->class = class;
	return 0;
}

static int set_lock(struct s3 *s, struct err *e)
{
	static const char *const modes[][2] = { { "governance", "GOVERNANCE" },
		                                { "compliance", "COMPLIANCE" } };
	const char *lock = place_param(&s->place, "lock");
	const char *mode = place_param(&s->place, "lock-mode");
	const char *hold = place_param(&s->place, "legal-hold");

	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		if (strcmp(mode ? mode : "governance", modes[i][0]) == 0)
			s->lock_mode = modes[i][1];
	if (!s->lock_mode)
		return err_set(e, ERR_INVALID,
		               "the store's parameter lock-mode=%.20s is neither governance nor "
		               "compliance",
		               mode);
	if (hold && strcmp(hold, "on") != 0)
		return err_set(e, ERR_INVALID, "the store's parameter legal-hold=%.20s is not 'on'",
		               hold);
	s->legal_hold = hold;
	if (!lock)
		return 0;
	if (num_duration("the store's parameter 'lock'", lock, &s->base.lock_s, e) < 0)
		return -1;
	if (s->base.lock_s > 0 && s->checksum == S3_NO_CHECKSUM)
		return err_set(e, ERR_INVALID,
		               "the store's parameters lock and checksum=none exclude each other: "
		               "the service takes no locked object without a checksum");
	return 0;
}

static int set_rest(struct s3 *s, struct err *e)
{
	static const char *const checksums[] = {
		[S3_CRC64] = "crc64", [S3_SHA256] = "sha256", [S3_NO_CHECKSUM] = "none"
	};
	const char *checksum = place_param(&s->place, "checksum");
	const char *part = place_param(&s->place, "part");
	unsigned i = 0;

	while (checksum && i < ARRAY_LEN(checksums) && strcmp(checksum, checksums[i]) != 0)
		i++;
	if (i == ARRAY_LEN(checksums))
		return err_set(e, ERR_INVALID,
		               "the store's parameter checksum=%.20s is none of crc64, sha256 "
		               "and none",
		               checksum);
	s->checksum = i;
	s->part_bytes = PART_BYTES;
	if (part &&
	    num_size("the store's parameter 'part'", part, PART_MOST, &s->part_bytes, e) < 0)
		return -1;
	if (s->part_bytes < PART_LEAST)
		return err_set(e, ERR_INVALID, "the store's parameter 'part' is below 5 MiB");
	return set_class(s, e) < 0 || set_lock(s, e) < 0 ? -1 : 0;
}

static const char *region_of(const struct place *p)
{
	static const char *const settings[] = { "AWS_REGION", "AWS_DEFAULT_REGION" };
	const char *region = place_param(p, "region");

	for (size_t i = 0; i < ARRAY_LEN(settings) && !region; i++)
		region = place_setting(p, settings[i]);
	return region ? region : "us-east-1";
}

static struct store *open_one(const char *url, unsigned flags, const struct cancel *cancel,
                              struct err *e)
{
	struct s3 *s = calloc(1, sizeof(*s));
	unsigned caps = STORE_CAP_CONDITIONAL_PUT | STORE_CAP_OBJECT_LOCK | STORE_CAP_WRITE;

	if (!s) {
		(void)s3_no_memory(e);
		return NULL;
	}
	s->base.ops = &s3_ops;
	auto_store struct store *owned = &s->base;
	if (place_parse(url, params, &s->place, e) < 0 ||
	    store_base_init(&s->base, &s3_ops, caps, "", s->place.plain, e) < 0)
		return NULL;
	s->region = region_of(&s->place);
	const struct http_params http = { .ca_file = place_param(&s->place, "ca"),
		                          .proxy = place_param(&s->place, "proxy"),
		                          .connect_ms = flags & STORE_FAIL_OVER ? FAIL_OVER_MS : 0,
		                          .cancel = cancel };
	s->http = http_new(&http, e);
	if (!s->http || check_names(s, e) < 0 || set_service(s, e) < 0 || set_rest(s, e) < 0)
		return NULL;
	s->auth = s3_auth_new(&s->place, s->http, s->region, e);
	if (!s->auth)
		return NULL;
	if (s->checksum != S3_NO_CHECKSUM)
		s->base.caps |= STORE_CAP_CHECKSUM;
	return STEAL(&owned);
}

struct store *store_s3_open(const char *url, unsigned flags, const struct cancel *cancel,
                            struct err *e)
{
	auto_store struct store *s = open_one(url, flags, cancel, e);

	if (!s)
		return NULL;
	const char *other = place_param(&((struct s3 *)s)->place, "secondary");
	if (flags & STORE_SECOND) {
		if (other && strcmp(other, "none") != 0)
			return store_open_driver(other, STORE_READONLY, cancel, e);
		err_set(e, ERR_UNSUPPORTED, "'%s' has no second region that can be read", s->url);
		return NULL;
	}
	if (other && strcmp(other, "none") != 0) {
		struct store *second = store_open_driver(other, flags | STORE_READONLY, cancel, e);

		if (!second) {
			err_wrap(e, "opening the second region");
			return NULL;
		}
		s = store_geo_new(STEAL(&s), second, flags, true, e);
	}
	if (s && flags & STORE_READONLY)
		return store_readonly_new(STEAL(&s), e);
	return STEAL(&s);
}
