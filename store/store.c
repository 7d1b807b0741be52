/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of store.h: each checks its arguments, lets the driver work, and
 * on failure says once which object of which store it was about. URLs are
 * resolved by one table of schemes. A URL that is not understood may hold a
 * secret (a SAS token, a password): of it only the scheme is repeated.
 */
#include "store/store.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/num.h"
#include "store/azure.h"
#include "store/driver.h"
#include "store/s3.h"
#include "store/traffic.h"

#define COMPONENT_MAX 255 /* characters between two slashes of a key, NAME_MAX of Linux */

static bool key_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool store_key_valid(const char *key)
{
	size_t n = 0;         /* characters */
	size_t component = 0; /* of them in this component */

	for (; key[n]; n++) {
		if (n == STORE_KEY_MAX)
			return false;
		if (key[n] == '/') {
			if (component == 0)
				return false;
			component = 0;
			continue;
		}
		if (!key_char(key[n]) || (key[n] == '.' && component == 0) ||
		    component == COMPONENT_MAX)
			return false;
		component++;
	}
	return component > 0;
}

static int key_check(const struct store *s, const char *key, struct err *e)
{
	if (store_key_valid(key))
		return 0;
	return err_set(e, ERR_INVALID,
	               "'%.80s' is no key for an object of '%s': a key is 1 to %d characters of "
	               "a-z 0-9 . _ - in components between slashes that begin with no dot",
	               key, s->url, STORE_KEY_MAX);
}

void store_free(struct store *s)
{
	if (s)
		s->ops->free(s);
}

int store_put(struct store *s, const char *key, const struct iovec *iov, int niov, struct err *e)
{
	uint64_t total = 0;

	assert(niov >= 0);
	if (key_check(s, key, e) < 0)
		return -1;
	for (int i = 0; i < niov; i++) {
		if (iov[i].iov_len > STORE_OBJECT_MAX - total)
			return err_set(e, ERR_TOO_BIG,
			               "object '%s' for '%s' is over the limit of %llu bytes", key,
			               s->url, (unsigned long long)STORE_OBJECT_MAX);
		total += iov[i].iov_len;
	}
	if (s->ops->put(s, key, iov, niov, e) < 0)
		return err_wrap(e, "storing object '%s' in '%s'", key, s->url);
	return 0;
}

int store_get(struct store *s, const char *key, uint64_t off, void *p, size_t n, struct err *e)
{
	if (key_check(s, key, e) < 0)
		return -1;
	if (s->ops->get(s, key, off, p, n, e) < 0)
		return err_wrap(e, "reading object '%s' of '%s'", key, s->url);
	return 0;
}

int store_get_all(struct store *s, const char *key, struct buf *b, struct err *e)
{
	size_t len = b->len;

	if (key_check(s, key, e) < 0)
		return -1;
	if (store_base_get_all(s, key, b, e) < 0) {
		b->len = len;
		return err_wrap(e, "reading object '%s' of '%s'", key, s->url);
	}
	return 0;
}

int store_cut(struct store *s, int64_t since_ns, struct store_cut *ret, struct err *e)
{
	*ret = (struct store_cut){ .kind = CUT_NONE };
	if (!s->ops->cut || s->ops->cut(s, since_ns, ret, e) == 0)
		return 0;
	return err_wrap(e, "asking '%s' for the state of its second region", s->url);
}

int store_head(struct store *s, const char *key, struct store_stat *ret, struct err *e)
{
	if (key_check(s, key, e) < 0)
		return -1;
	*ret = (struct store_stat){ 0 };
	if (s->ops->head(s, key, ret, e) < 0)
		return err_wrap(e, "looking for object '%s' in '%s'", key, s->url);
	return 0;
}

/* Tells the caller's own failure from one of the store: only the latter is wrapped. */
struct listing {
	int (*each)(void *arg, const struct store_item *item, struct err *e);
	void *arg;
	bool each_failed;
};

static int listing_each(void *arg, const struct store_item *item, struct err *e)
{
	struct listing *l = arg;
	int r = l->each(l->arg, item, e);

	l->each_failed = r < 0;
	return r;
}

int store_list(struct store *s, const char *prefix, const char *after,
               int (*each)(void *arg, const struct store_item *item, struct err *e), void *arg,
               struct err *e)
{
	struct listing l = { .each = each, .arg = arg };
	size_t n = 0;

	while (n <= STORE_KEY_MAX && (key_char(prefix[n]) || prefix[n] == '/'))
		n++;
	if (n > STORE_KEY_MAX || prefix[n])
		return err_set(e, ERR_INVALID, "'%.80s' cannot begin the key of an object of '%s'",
		               prefix, s->url);
	if (s->ops->list(s, prefix, after ? after : "", listing_each, &l, e) == 0)
		return 0;
	if (l.each_failed)
		return -1;
	return err_wrap(e, "listing objects '%s*' of '%s'", prefix, s->url);
}

int store_delete(struct store *s, const char *key, struct err *e)
{
	if (key_check(s, key, e) < 0)
		return -1;
	if (s->ops->del(s, key, e) < 0)
		return err_wrap(e, "deleting object '%s' of '%s'", key, s->url);
	return 0;
}

int store_lock(struct store *s, const char *key, int64_t until_ns, struct err *e)
{
	if (key_check(s, key, e) < 0)
		return -1;
	if (store_base_lock(s, key, until_ns, e) < 0)
		return err_wrap(e, "locking object '%s' of '%s'", key, s->url);
	return 0;
}

bool store_away(struct store *s)
{
	return s->ops->away && s->ops->away(s);
}

const char *store_right(struct store *s, enum store_right right)
{
	return s->ops->right ? s->ops->right(s, right) : NULL;
}

int64_t store_ends(struct store *s)
{
	return s->ops->ends ? s->ops->ends(s) : 0;
}

struct store_traffic store_traffic(struct store *s)
{
	struct store_traffic t = { 0 };

	if (s->ops->traffic)
		s->ops->traffic(s, &t);
	return t;
}

uint64_t store_requests(struct store *s)
{
	struct store_traffic t = store_traffic(s);

	return traffic_requests(&t);
}

const char *store_traffic_name(unsigned op)
{
	static const char *const names[STORE_TRAFFIC_OPS] = { "put",    "get",  "head", "list",
		                                              "delete", "lock", "auth" };

	return names[op];
}

static struct store *no_second(const char *url, struct err *e)
{
	err_set(e, ERR_UNSUPPORTED, "'%s' has no second region", url);
	return NULL;
}

static struct store *open_file(const char *url, unsigned flags, const struct cancel *cancel,
                               struct err *e)
{
	const char *rest = url + strlen("file:");
	char dir[PATH_MAX];

	if (strncmp(rest, "//", 2) != 0 || rest[2] != '/') {
		err_set(e, ERR_INVALID,
		        "a file store is written file:///DIRECTORY, with an absolute path after "
		        "the two slashes; 'file:%.100s' has none",
		        rest);
		return NULL;
	}
	const char *path = rest + 2;
	size_t n = strlen(path);
	while (n > 0 && path[n - 1] == '/')
		n--;
	if (n == 0) {
		err_set(e, ERR_INVALID,
		        "'file://%.100s' is the root of the file system; give a directory below it",
		        path);
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)path[i] < 0x20 || path[i] == 0x7f) {
			err_set(e, ERR_INVALID,
			        "the path in 'file://%.100s' has a control character", path);
			return NULL;
		}
	}
	if (n >= sizeof(dir)) {
		err_set(e, ERR_INVALID,
		        "the path in 'file://%.60s...' has %zu bytes, %d are allowed", path, n,
		        PATH_MAX - 1);
		return NULL;
	}
	(void)cancel;
	if (flags & STORE_SECOND)
		return no_second(url, e);
	memcpy(dir, path, n);
	dir[n] = '\0';
	return store_file_open(dir, flags, e);
}

static struct store *open_mem(const char *url, unsigned flags, const struct cancel *cancel,
                              struct err *e)
{
	const char *rest = url + strlen("mem:");
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	(void)cancel;
	if (!*rest || rest[strspn(rest, allowed)] || strlen(rest) > COMPONENT_MAX) {
		err_set(e, ERR_INVALID,
		        "a memory store is written mem:NAME, with 1 to %d letters, digits or "
		        ". _ -; 'mem:%.100s' has none",
		        COMPONENT_MAX, rest);
		return NULL;
	}
	if (flags & STORE_SECOND)
		return no_second(url, e);
	auto_store struct store *s = store_mem_named(rest, e);
	if (!s)
		return NULL;
	if (flags & STORE_READONLY)
		return store_readonly_new(STEAL(&s), e);
	return STEAL(&s);
}

static const struct {
	const char *name; /* with the colon */
	struct store *(*open)(const char *url, unsigned flags, const struct cancel *cancel,
	                      struct err *e);
} schemes[] = {
	{ "azure:", store_azure_open },
	{ "s3:", store_s3_open },
	{ "file:", open_file },
	{ "mem:", open_mem },
};

#define SCHEMES "azure://ACCOUNT/CONTAINER, s3://BUCKET, file:///DIRECTORY and mem:NAME are known"

struct store *store_open_driver(const char *url, unsigned flags, const struct cancel *cancel,
                                struct err *e)
{
	static const char scheme_chars[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-";
	size_t n = strspn(url, scheme_chars);

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t len = strlen(schemes[i].name);

		if (strncmp(url, schemes[i].name, len) == 0)
			return schemes[i].open(url, flags, cancel, e);
	}
	if (!*url)
		err_set(e, ERR_INVALID, "the store's URL is empty; " SCHEMES);
	else if (url[n] == ':' && n > 0)
		err_set(e, ERR_INVALID, "stores of the kind '%.*s:' are not known here; " SCHEMES,
		        n < 40 ? (int)n : 40, url);
	else if (*url == '/')
		err_set(e, ERR_INVALID,
		        "'%.100s' is a path and no store's URL; did you mean 'file://%.100s'?", url,
		        url);
	else
		err_set(e, ERR_INVALID, "a store's URL begins with its kind and a colon; " SCHEMES);
	return NULL;
}

/* "BUDGET[/FIRST]": a duration, and the ceiling of the first wait in ms. */
static int retry_setting(struct store_retry_params *p, struct err *e)
{
	const char *text = getenv("AKSDR_RETRY");
	uint64_t first_ms;
	int64_t s;

	if (!text || !*text)
		return 0;
	auto_free char *budget = strdup(text);
	if (!budget)
		return err_set(e, ERR_NOMEM, "no memory for a setting");
	char *slash = strchr(budget, '/');
	if (slash) {
		*slash = '\0';
		if (num_u64("AKSDR_RETRY", slash + 1, 1, 60000, &first_ms, e) < 0)
			return -1;
		p->first_ms = (int64_t)first_ms;
	}
	if (num_duration("AKSDR_RETRY", budget, &s, e) < 0)
		return -1;
	p->budget_ms = s <= 0 ? 1 : s < 86400 ? s * 1000 : 86400000;
	return 0;
}

/* Limits of the environment around a driver: bytes a second each way, and requests a second. */
static struct store *limited(struct store *take_inner, const struct cancel *cancel, struct err *e)
{
	static const char *const names[] = { "AKSDR_LIMIT_UPLOAD", "AKSDR_LIMIT_DOWNLOAD",
		                             "AKSDR_LIMIT_REQUESTS" };
	auto_store struct store *inner = take_inner;
	uint64_t limits[ARRAY_LEN(names)] = { 0 };
	bool any = false;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *text = getenv(names[i]);

		if (!text || !*text)
			continue;
		if (num_size(names[i], text, INT64_MAX, &limits[i], e) < 0)
			return NULL;
		any = true;
	}
	if (!any)
		return STEAL(&inner);
	struct store *s = store_limit_new(STEAL(&inner), limits[0], limits[1], limits[2], e);
	if (s)
		store_limit_cancel(s, cancel);
	return s;
}

struct store *store_open_retry(const char *url, unsigned flags,
                               const struct store_retry_params *params, struct err *e)
{
	struct store_retry_params p = params ? *params : (struct store_retry_params){ 0 };

	if (retry_setting(&p, e) < 0)
		return NULL;
	struct store *s = store_open_driver(url, flags, p.cancel, e);

	if (s)
		s = limited(s, p.cancel, e);
	return s ? store_retry_new(s, &p, e) : NULL;
}

struct store *store_open_cancel(const char *url, unsigned flags, const struct cancel *cancel,
                                struct err *e)
{
	const struct store_retry_params params = { .cancel = cancel };

	return store_open_retry(url, flags, &params, e);
}

struct store *store_open(const char *url, unsigned flags, struct err *e)
{
	return store_open_cancel(url, flags, NULL, e);
}
