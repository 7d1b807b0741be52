/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One view of a device, looked at as a whole, for the script beside: what the driver calls
 * unchanged is compared with the copy of the view before.
 *
 *	view DRIVER DEVICE JOURNAL COPY [TOKEN]
 *
 * COPY has the content of the view before and gets that of the new one; TOKEN names the one before.
 * The new one is kept as if a point of it had been committed. Prints in one line: bytes, bytes that
 * may have changed by the driver (all when it knows nothing), bytes that have, bytes that have and
 * were not named, consistency, token.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/fd.h"
#include "common/secret.h"
#include "snapshot/snapshot.h"

#define PIECE 4096

struct sums {
	uint64_t bytes, claimed, differ, wrong;
};

/* Compares a piece with the copy, and brings that up to date. */
static int piece(struct source *s, struct content *c, int copy, uint64_t at, bool claimed,
                 struct sums *sums, struct err *e)
{
	uint8_t now[PIECE], then[PIECE] = { 0 };

	int64_t n = s->ops->read(c, now, sizeof(now), at, e);
	if (n < 0)
		return -1;
	if (fd_pread_full(copy, then, (size_t)n, at) < 0)
		return err_sys(e, errno, "reading the copy");
	bool same = memcmp(now, then, (size_t)n) == 0;
	sums->differ += same ? 0 : (uint64_t)n;
	sums->wrong += same || claimed ? 0 : (uint64_t)n;
	if (!same && fd_pwrite_full(copy, now, (size_t)n, at) < 0)
		return err_sys(e, errno, "writing the copy");
	return 0;
}

static int look(struct source *s, struct content *c, uint64_t size, int copy, struct sums *sums,
                struct err *e)
{
	uint64_t start = 0, end = size;
	bool known = false;

	sums->bytes = size;
	for (uint64_t at = 0; at < size; at += PIECE) {
		if (s->ops->changed && (at == 0 || at >= end) && start < size &&
		    s->ops->changed(c, at, &known, &start, &end, e) < 0)
			return -1;
		bool claimed = at + PIECE > start && at < end;

		if (claimed)
			sums->claimed += PIECE;
		if (piece(s, c, copy, at, claimed, sums, e) < 0)
			return -1;
	}
	return 0;
}

static int look_at(const struct snapshot *view, const char *token, int copy, struct sums *sums,
                   struct err *e)
{
	struct entry_stat st;
	struct content *c;
	struct batch *b;
	bool torn;
	int rc = -1;

	struct source *s = snapshot_source(view, NULL, token, e);
	if (!s)
		return -1;
	if (s->ops->next(s, &b, e) == 0) {
		if (s->ops->open(s, &b->entries[0], &c, e) == 0) {
			rc = look(s, c, b->entries[0].st.size, copy, sums, e);
			if (s->ops->close(c, &st, &torn, e) < 0)
				rc = -1;
		}
		s->ops->batch_free(s, b);
	}
	s->ops->free(s);
	return rc;
}

static int take(const char *driver, const char *path, const char *journal, const char *to,
                const char *token, struct err *e)
{
	auto_journal struct journal *j = journal_open(journal, e);
	struct snapshot_env env = { .journal = j };
	struct sums sums = { 0 };

	auto_close int copy = open(to, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (!j || copy < 0)
		return j ? err_sys(e, errno, "opening '%s'", to) : -1;
	const struct snapshot_ops *ops = snapshot_choose(&env, driver, path, e);
	struct snapshot *s = ops ? snapshot_take(&env, ops, path, e) : NULL;
	if (!s)
		return -1;
	int rc = look_at(s, token, copy, &sums, e);
	if (rc == 0)
		printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s %s\n", sums.bytes,
		       sums.claimed, sums.differ, sums.wrong,
		       snapshot_consistency_name(s->consistency), s->token);
	s->committed = rc == 0;
	return snapshot_release(s, e) < 0 ? -1 : rc;
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;

	if (argc < 5 || argc > 6) {
		fprintf(stderr, "usage: view DRIVER DEVICE JOURNAL COPY [TOKEN]\n");
		return 2;
	}
	if (secret_init(&e) == 0 &&
	    take(argv[1], argv[2], argv[3], argv[4], argc > 5 ? argv[5] : NULL, &e) == 0)
		return 0;
	fprintf(stderr, "view: %s\n", e.msg);
	return 1;
}
