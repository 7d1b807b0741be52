/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which list of segments the local tables are of, so that a session that stores nothing need not
 * list them again. A file ".listed" beside the tables: a title, four numbers and a keyed sum.
 */
#include <fcntl.h>
#include <sodium.h>
#include <string.h>

#include "common/fd.h"
#include "common/rd.h"
#include "repo/index_impl.h"

#define FILE_NAME ".listed"
#define TITLE "AKSDLST1"
#define SUM_BYTES 32
#define FILE_MAX 256

void index_known_add(const struct index_keys *k, const char *session, struct index_known *x)
{
	uint8_t hash[8 * ARRAY_LEN(x->sum)];

	(void)crypto_generichash(hash, sizeof(hash), (const uint8_t *)session, strlen(session),
	                         k->head, sizeof(k->head));
	struct rd rd = rd_of(hash, sizeof(hash));
	for (size_t i = 0; i < ARRAY_LEN(x->sum); i++)
		x->sum[i] += rd_u64(&rd);
	x->commits++;
}

bool index_known_of(const struct index_keys *k, const struct view *view, struct index_known *ret)
{
	*ret = (struct index_known){ .done = view->collection.done };
	for (size_t i = 0; i < view->commits.n; i++)
		index_known_add(k, view->commits.v[i].session, ret);
	return view->collection.open == 0;
}

static int encode(const struct index_keys *k, const struct index_known *x, struct buf *b)
{
	uint8_t sum[SUM_BYTES];

	(void)buf_str(b, TITLE);
	(void)buf_u64(b, x->done);
	(void)buf_u64(b, x->commits);
	for (size_t i = 0; i < ARRAY_LEN(x->sum); i++)
		(void)buf_u64(b, x->sum[i]);
	if (b->failed)
		return -1;
	(void)crypto_generichash(sum, sizeof(sum), b->data, b->len, k->head, sizeof(k->head));
	return buf_put(b, sum, sizeof(sum));
}

bool index_known_is(const struct index_keys *k, int dir, const struct index_known *x)
{
	CLEANUP(buf_clear) struct buf have = BUF_INIT(FILE_MAX);
	CLEANUP(buf_clear) struct buf want = BUF_INIT(FILE_MAX);
	struct err ignored = ERR_INIT;

	return fd_read_file(dir, FILE_NAME, &have, &ignored) == 0 && encode(k, x, &want) == 0 &&
	       have.len == want.len && memcmp(have.data, want.data, want.len) == 0;
}

/* Best effort: without it the next session lists the segments. */
void index_known_write(const struct index_keys *k, int dir, const struct index_known *x)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FILE_MAX);
	struct err ignored = ERR_INIT;

	if (encode(k, x, &b) == 0)
		(void)!fd_create_file(dir, FILE_NAME, b.data, b.len, 0600, FD_REPLACE, &ignored);
}
