/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands at the names of a session. The low bits of the first byte say
 * which: 0: its marker; 1: an abort; 2: a maintenance commit; 3: a restore
 * point. The rest is its JSON, well sealed; with bit 2 the object itself.
 */
#include "repo/commits.h"
#include "repo/note.h"
#include "repo/session.h"
#include "tests/fuzz/fuzz_repo.h"

#define COMMIT "commit/" FUZZ_SESSION
#define MAINTENANCE "2026-11-22/0000000000000000-" FUZZ_RANDOM

static void marker(const struct repo *r)
{
	struct session_info info;
	struct err e = ERR_INIT;
	unsigned last;
	bool there;

	if (session_info(r, FUZZ_SESSION, &info, &e) < 0)
		fuzz_refused(&e, FUZZ_BAD);
	holds(strnlen(info.domain, sizeof(info.domain)) < sizeof(info.domain));
	holds(strnlen(info.host, sizeof(info.host)) < sizeof(info.host));
	holds(session_last_beat(r, FUZZ_SESSION, &last, &there, &e) == 0 && there && last == 0);
}

static void abortion(const struct repo *r)
{
	struct err e = ERR_INIT;
	enum session_end end;

	if (session_abort_verify(r, FUZZ_SESSION, &e) < 0)
		fuzz_refused(&e, FUZZ_BAD);
	holds(session_look(r, FUZZ_SESSION, &end, &e) == 0 && end != SESSION_OPEN);
	holds(session_abort(r, FUZZ_SESSION, "fuzz", &end, &e) == 0 && end != SESSION_OPEN);
}

static void free_names(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

static void maintenance(const struct repo *r)
{
	char **names;
	char **again;
	size_t n;
	size_t m;
	struct err e = ERR_INIT;

	if (session_segments(r, MAINTENANCE, &names, &n, &e) < 0) {
		fuzz_refused(&e, FUZZ_BAD);
		return;
	}
	fuzz_empty(r->store);
	works(session_commit_index(r, MAINTENANCE, "fuzz", names, n, &e));
	holds(session_segments(r, MAINTENANCE, &again, &m, &e) == 0 && m == n);
	for (size_t i = 0; i < n; i++)
		holds(store_key_valid(names[i]) && strcmp(names[i], again[i]) == 0);
	free_names(names, n);
	free_names(again, m);
}

struct count {
	unsigned points, bad;
};

static int each(void *arg, const struct point *p, struct err *e)
{
	(void)e;
	((struct count *)arg)->points++;
	holds(strcmp(p->session, FUZZ_SESSION) == 0);
	return 0;
}

static int bad(void *arg, const char *key, const struct err *why, struct err *e)
{
	(void)e;
	((struct count *)arg)->bad++;
	holds(strcmp(key, COMMIT) == 0);
	fuzz_refused(why, FUZZ_BAD);
	return 0;
}

static void point(const struct repo *r)
{
	CLEANUP(point_clear) struct point p = { 0 };
	CLEANUP(point_clear) struct point q = { 0 };
	CLEANUP(buf_clear) struct buf one = BUF_INIT(4 * FORMAT_POINT_MAX);
	CLEANUP(buf_clear) struct buf two = BUF_INIT(4 * FORMAT_POINT_MAX);
	struct count count = { 0 };
	struct err e = ERR_INIT;
	enum session_end end;

	int rc = repo_point(r, FUZZ_SESSION, &p, &e);
	if (rc < 0)
		fuzz_refused(&e, FUZZ_BAD);
	/* By its length alone an object is an abort or not. */
	works(session_look(r, FUZZ_SESSION, &end, &e));
	works(repo_points(r, FUZZ_VOLTAG, each, bad, &count, &e));
	if (end == SESSION_COMMITTED)
		holds(count.points == (rc == 0) && count.bad == (rc < 0));
	else
		holds(count.points == 0);
	if (rc < 0)
		return;
	fuzz_empty(r->store);
	works(session_commit(r, &p, &e));
	works(repo_point(r, FUZZ_SESSION, &q, &e));
	holds(memcmp(p.hash, q.hash, sizeof(p.hash)) == 0);
	works(point_encode(&p, &one, &e));
	works(point_encode(&q, &two, &e));
	holds(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		char kind;
		const char *key;
		void (*look)(const struct repo *r);
	} objects[] = {
		{ FORMAT_KIND_SESSION, "sess/" FUZZ_SESSION, marker },
		{ FORMAT_KIND_ABORT, COMMIT, abortion },
		{ FORMAT_KIND_MAINTENANCE, "commit/" MAINTENANCE, maintenance },
		{ FORMAT_KIND_POINT, COMMIT, point },
	};
	static struct repo r;

	if (!r.store) {
		const struct point_volume v = { .name = FUZZ_VOLUME };
		char voltag[17];
		struct err e = ERR_INIT;

		r = fuzz_repo_new();
		works(point_voltag(r.keys, &v, voltag, &e));
		holds(strcmp(voltag, FUZZ_VOLTAG) == 0);
	}
	if (size == 0 || size > 64 * KIB)
		return 0;
	unsigned which = data[0] & 3;
	if (data[0] & 4)
		fuzz_put(&r, objects[which].key, data + 1, size - 1);
	else
		fuzz_put_sealed(&r, objects[which].kind, objects[which].key, data + 1, size - 1);
	objects[which].look(&r);
	fuzz_empty(r.store);
	return 0;
}
