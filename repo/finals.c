/* SPDX-License-Identifier: Apache-2.0 */
/* See finals.h. The file has a title, a number, the list, and a checksum. */
#include "repo/finals.h"

#include <fcntl.h>
#include <sodium.h>
#include <string.h>

#include "common/fd.h"
#include "common/rd.h"
#include "repo/note.h"

#define TITLE "aksdr finals 1\n"
#define SUM_BYTES 32
#define CACHE_MAX (256 * MIB)

/* ---- the file ---- */

static void path_of(const struct repo *r, char ret[640])
{
	(void)snprintf(ret, 640, "%s/finals", r->state);
}

static void sum_of(uint8_t ret[SUM_BYTES], const struct repo *r, const uint8_t *p, size_t n)
{
	(void)crypto_generichash(ret, SUM_BYTES, p, n, r->keys->repo, sizeof(r->keys->repo));
}

/* The number up to which the file has the finals; 0: there is none that is whole. */
static uint64_t cache_read(const struct repo *r, struct pack_list *ret)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CACHE_MAX);
	uint8_t sum[SUM_BYTES];
	struct err ignored = ERR_INIT;
	char path[640];

	path_of(r, path);
	if (!r->state[0] || fd_read_file(AT_FDCWD, path, &b, &ignored) < 0 || b.len < sizeof(sum))
		return 0;
	sum_of(sum, r, b.data, b.len - sizeof(sum));
	if (memcmp(sum, b.data + b.len - sizeof(sum), sizeof(sum)) != 0)
		return 0;
	struct rd rd = rd_of(b.data, b.len - sizeof(sum));
	const uint8_t *title = rd_take(&rd, strlen(TITLE));
	uint64_t number = rd_u64(&rd);
	size_t bytes = rd_left(&rd);
	if (!title || memcmp(title, TITLE, strlen(TITLE)) != 0 || !rd_ok(&rd) ||
	    bytes % FORMAT_PACK_NAME_BYTES != 0)
		return 0;
	if (bytes > 0 && pack_list_decode(ret, rd_take(&rd, bytes), bytes / FORMAT_PACK_NAME_BYTES,
	                                  &ignored) < 0) {
		pack_list_clear(ret);
		return 0;
	}
	return number;
}

/* Best effort: without it the next run reads a little more. */
static void cache_write(const struct repo *r, uint64_t number, const struct pack_list *l)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CACHE_MAX);
	uint8_t sum[SUM_BYTES];
	struct err ignored = ERR_INIT;
	char path[640];

	if (!r->state[0])
		return;
	path_of(r, path);
	(void)buf_str(&b, TITLE);
	(void)buf_u64(&b, number);
	if (pack_list_encode(l, &b, &ignored) < 0 || b.failed)
		return;
	sum_of(sum, r, b.data, b.len);
	if (buf_put(&b, sum, sizeof(sum)) == 0)
		(void)!fd_create_file(AT_FDCWD, path, b.data, b.len, 0600, FD_REPLACE, &ignored);
}

/* ---- packs ---- */

/* Adds the packs of a list. 1: added; 0: it does not open; -1: e. */
static int add(const struct repo *r, uint64_t n, enum collection_part part, struct pack_list *to,
               struct err *e)
{
	CLEANUP(collection_list_clear) struct collection_list l = { 0 };
	struct err why = ERR_INIT;

	if (cancel_check(r->cancel, e) < 0)
		return -1;
	if (collection_get(r, n, part, &l, NULL, &why) < 0) {
		if (note_is_bad(&why))
			return 0;
		*e = why;
		return -1;
	}
	for (size_t i = 0; i < l.packs.n; i++) {
		if (pack_list_add(to, l.packs.v[i].kind, l.packs.v[i].id, e) < 0)
			return -1;
	}
	return 1;
}

/*
 * Whether the store knows generation n, which is later than those that were listed: another process
 * may have kept it meanwhile, or the store was put back to an earlier moment, where packs that it
 * took are there and needed.
 */
static int is_known(const struct repo *r, uint64_t n, bool *ret, struct err *e)
{
	struct store_stat st;
	struct err why = ERR_INIT;
	char key[64];

	collection_key(n, COLLECTION_DONE, key);
	*ret = store_head(r->store, key, &st, &why) == 0;
	if (*ret || why.class == ERR_NOT_FOUND)
		return 0;
	*e = why;
	return err_wrap(e, "reading what collections have decided");
}

int finals_load(const struct repo *r, const struct collection_state *s, struct pack_list *ret,
                uint64_t *ret_bad, struct err *e)
{
	uint64_t have = cache_read(r, ret);
	bool known = true;
	uint64_t bad = 0;
	int rc = 0;

	if (have > s->done && is_known(r, have, &known, e) < 0)
		return -1;
	if (!known) {
		pack_list_clear(ret);
		have = 0;
	}
	uint64_t from = have;
	if (s->finals > have) {
		rc = add(r, s->finals, COLLECTION_FINALS, ret, e);
		if (rc > 0)
			have = s->finals;
	}
	/* What the file has stays in it up to the first that does not open. */
	uint64_t whole = have;
	for (uint64_t n = have + 1; rc >= 0 && n <= s->done; n++) {
		rc = add(r, n, COLLECTION_FINAL, ret, e);
		bad += rc == 0;
		if (rc > 0 && bad == 0)
			whole = n;
	}
	if (rc < 0)
		return err_wrap(e, "reading what collections have decided");
	pack_list_sort(ret);
	if (whole > from)
		cache_write(r, whole, ret);
	if (ret_bad)
		*ret_bad = bad;
	return 0;
}

/* ---- sessions ---- */

int finals_sessions(const struct repo *r, const struct collection_state *s,
                    const struct session_names *wanted, struct session_names *ret, struct err *e)
{
	uint64_t n = s->done;

	if (s->open_parts & 1U << COLLECTION_FINAL)
		n = s->open;
	for (; n > 0 && ret->n < wanted->n; n--) {
		CLEANUP(collection_list_clear) struct collection_list l = { 0 };
		struct err why = ERR_INIT;

		if (cancel_check(r->cancel, e) < 0)
			return -1;
		if (collection_get(r, n, COLLECTION_FINAL, &l, NULL, &why) < 0) {
			if (note_is_bad(&why))
				continue;
			*e = why;
			return err_wrap(e, "reading what collections have decided");
		}
		for (size_t i = 0; i < wanted->n; i++) {
			if (session_names_has(&l.sessions, wanted->v[i]) &&
			    session_names_add(ret, wanted->v[i], e) < 0)
				return -1;
		}
	}
	session_names_sort(ret);
	return 0;
}
