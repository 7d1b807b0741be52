/* SPDX-License-Identifier: Apache-2.0 */
/* See probe.h. The name is random, so that probes do not meet. */
#include "repo/probe.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/now.h"
#include "common/secret.h"

#define DAY_S (24 * 60 * 60)
#define STAMP "probed"

struct seen {
	const char *key;
	bool found;
};

static int see(void *arg, const struct store_item *item, struct err *e)
{
	struct seen *s = arg;

	(void)e;
	s->found = strcmp(item->key, s->key) == 0;
	return s->found ? 1 : 0;
}

static int refuse(const struct store *store, const char *what, struct err *e)
{
	return err_set(e, ERR_UNSUPPORTED,
	               "'%s' %s, so writers would destroy each other's work; use a store with "
	               "conditional writes and consistent lists, or single-writer mode",
	               store->url, what);
}

static int probe(struct store *store, const char *key, int64_t *ret_now_ns, struct err *e)
{
	char first[] = "first", second[] = "second", back[sizeof(first)] = "";
	struct iovec a = { .iov_base = first, .iov_len = sizeof(first) };
	struct iovec b = { .iov_base = second, .iov_len = sizeof(second) };
	struct seen s = { .key = key };
	struct store_stat st;
	struct err why = ERR_INIT;

	if (store_put(store, key, &a, 1, e) < 0)
		return -1;
	if (store_put(store, key, &b, 1, &why) == 0)
		return refuse(store, "replaced an object that was to be created only once", e);
	if (why.class != ERR_EXISTS) {
		*e = why;
		return -1;
	}
	why = (struct err)ERR_INIT;
	if (store_head(store, key, &st, &why) < 0 ||
	    store_get(store, key, 0, back, sizeof(back), &why) < 0) {
		if (why.class == ERR_NOT_FOUND || why.class == ERR_CORRUPT)
			return refuse(store, "does not give what was just written", e);
		*e = why;
		return -1;
	}
	if (st.size != sizeof(first) || memcmp(back, first, sizeof(first)) != 0)
		return refuse(store, "gives other bytes than were written", e);
	/* Up to this key, the list is of what other probes left. */
	if (store_list(store, key, NULL, see, &s, e) < 0)
		return -1;
	if (!s.found)
		return refuse(store, "does not list what was just written", e);
	*ret_now_ns = st.received_ns;
	return 0;
}

int probe_store(struct store *store, int64_t *ret_now_ns, struct err *e)
{
	struct err ignored = ERR_INIT;
	uint8_t random[16];
	char hex[33];
	char key[64];

	secret_random(random, sizeof(random));
	hex_encode(hex, random, sizeof(random));
	(void)snprintf(key, sizeof(key), "probe/%s", hex);
	int rc = probe(store, key, ret_now_ns, e);
	(void)!store_delete(store, key, &ignored);
	return rc < 0 ? err_wrap(e, "probing what the store guarantees") : 0;
}

int probe_writer(const struct repo *r, bool *ret_single, struct err *e)
{
	char path[640];
	struct stat st;
	struct err ignored = ERR_INIT;
	int64_t now_ns;

	*ret_single = r->params.single_writer;
	if (r->params.single_writer)
		return 0;
	(void)snprintf(path, sizeof(path), "%s/" STAMP, r->state);
	if (r->state[0] && stat(path, &st) == 0) {
		int64_t age_s = now_wall_ns() / 1000000000 - st.st_mtime;

		if (age_s >= 0 && age_s < DAY_S)
			return 0;
	}
	if (probe_store(r->store, &now_ns, e) < 0)
		return -1;
	if (r->state[0])
		(void)!fd_create_file(AT_FDCWD, path, "", 0, 0600, FD_REPLACE, &ignored);
	return 0;
}
