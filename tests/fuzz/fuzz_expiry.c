/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements of expiry. The input is pieces that end in a byte 0xff, each an
 * object: a letter (t: tombstone, h: hold, p: pin, d: what a collection has
 * done), a digit for its number, and its JSON, which is well sealed; with a
 * capital letter the object itself. No input makes the reading fail, and what
 * does not open keeps no point from living. The catalog, whose rules are
 * written in SQL, judges as the repository does.
 */
#include <fcntl.h>
#include <unistd.h>

#include "catalog/row.h"
#include "catalog/statement.h"
#include "common/fd.h"
#include "repo/collection.h"
#include "repo/expiry.h"
#include "tests/fuzz/fuzz_catalog.h"

#define PIECES_MAX 8
#define WRITTEN_MAX 40 /* points of tombstones that are written again */

static void put_done(const struct repo *r, const uint8_t *json, size_t n)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(n + 4);

	(void)buf_u32(&b, (uint32_t)n);
	(void)buf_put(&b, json, n);
	holds(!b.failed);
	fuzz_put_sealed(r, FORMAT_KIND_COLLECT, "ctl/gc/00000001/done", b.data, b.len);
}

/* Puts the object of a piece; one whose name is taken already is left out. */
static void put_piece(const struct repo *r, const uint8_t *p, size_t n)
{
	static const char letters[] = "thpd";
	static const char kinds[] = { FORMAT_KIND_TOMB, FORMAT_KIND_HOLD, FORMAT_KIND_PIN };
	char key[NOTE_KEY_MAX];
	struct store_stat st;
	struct err ignored = ERR_INIT;

	if (n < 2 || p[1] < '0' || p[1] > '9' || !p[0])
		return;
	const char *letter = strchr(letters, p[0] | 0x20);
	if (!letter)
		return;
	if (*letter == 'p')
		(void)snprintf(key, sizeof(key), "pin/2026-11-22/%032u", p[1] - '0');
	else if (*letter == 'd')
		(void)snprintf(key, sizeof(key), "ctl/gc/00000001/done");
	else
		(void)snprintf(key, sizeof(key), "%s/0000000%c", *letter == 't' ? "tomb" : "hold",
		               p[1]);
	if (store_head(r->store, key, &st, &ignored) == 0)
		return;
	if (!(p[0] & 0x20))
		fuzz_put(r, key, p + 2, n - 2);
	else if (*letter == 'd')
		put_done(r, p + 2, n - 2);
	else
		fuzz_put_sealed(r, kinds[letter - letters], key, p + 2, n - 2);
}

static void check_tombs(const struct expiry *x)
{
	uint64_t points = 0;

	for (size_t i = 0; i < x->nacts; i++) {
		points += x->acts[i].points;
		holds(x->acts[i].points <= EXPIRY_POINTS_MAX);
		holds(i == 0 || x->acts[i - 1].number < x->acts[i].number);
	}
	holds(points == x->ntombs);
	for (size_t i = 0; i < x->ntombs; i++) {
		const struct expiry_tomb *t = &x->tombs[i];
		size_t n;

		holds(point_session_valid(t->session) && t->why && t->number > 0);
		holds(i == 0 || strcmp(t[-1].session, t->session) <= 0);
		const struct expiry_tomb *first = expiry_tombs(x, t->session, &n);
		holds(first && first <= t && t < first + n);
		enum expiry_state s = expiry_of(x, t->session);
		holds(s != EXPIRY_LIVE && *expiry_state_name(s));
		holds((s == EXPIRY_EXPIRED) == expiry_is_gone(x, t->session));
		holds(s != EXPIRY_EXPIRED || !expiry_held_by(x, t->session));
	}
}

static void check_holds(const struct expiry *x)
{
	for (size_t i = 0; i < x->nholds; i++) {
		const struct expiry_hold *h = &x->holds[i];

		holds(i == 0 || h[-1].number < h->number);
		holds(h->session[0] ? point_session_valid(h->session) : strlen(h->voltag) == 16);
		holds(memchr(h->reason, 0, sizeof(h->reason)) &&
		      memchr(h->name, 0, sizeof(h->name)));
		holds(!h->released || (h->releases >= x->signatures && h->released > h->number));
		if (!h->released && h->session[0])
			holds(expiry_of(x, h->session) != EXPIRY_EXPIRED);
	}
	for (size_t i = 0; i < x->npins; i++) {
		holds(memchr(x->pins[i].session, 0, sizeof(x->pins[i].session)));
		holds(expiry_of(x, x->pins[i].session) != EXPIRY_EXPIRED);
	}
}

/* Tombstones of the same points expire the same points. */
static void write_again(const struct expiry *x)
{
	static struct repo r;
	CLEANUP(expiry_clear) struct expiry y = { 0 };
	struct expiry_point points[WRITTEN_MAX];
	uint64_t number;
	struct err e = ERR_INIT;

	if (!r.store)
		r = fuzz_repo_new();
	if (x->ntombs == 0 || x->ntombs > WRITTEN_MAX)
		return;
	for (size_t i = 0; i < x->ntombs; i++)
		points[i] = (struct expiry_point){ .session = x->tombs[i].session,
			                           .why = x->tombs[i].why };
	works(expiry_put_tomb(&r, x->acts[0].policy, points, x->ntombs, &number, &e));
	holds(expiry_load(&r, 0, &y, &e) == 0 && y.bad == 0 && y.ntombs == x->ntombs);
	holds(y.nacts == 1 && strcmp(y.acts[0].policy, x->acts[0].policy) == 0);
	for (size_t i = 0; i < y.ntombs; i++) {
		holds(strcmp(x->tombs[i].session, y.tombs[i].session) == 0);
		holds(expiry_of(&y, y.tombs[i].session) == EXPIRY_EXPIRED);
	}
	fuzz_empty(r.store);
}

/* ---- the catalog's judgement ---- */

#define SECOND "2026-11-21/" FUZZ_VOLTAG "-" FUZZ_RANDOM

/* The bytes of a catalog that has two points and no statement. */
static struct buf make_catalog(void)
{
	struct catalog *c = fuzz_catalog_new("good.db");
	auto_free char *path = path_join(fuzz_dir(), "good.db");
	struct buf b = BUF_INIT(8 * MIB);
	struct err e = ERR_INIT;
	struct point p = {
		.session = FUZZ_SESSION,
		.id = FUZZ_RANDOM,
		.volume = { .name = FUZZ_VOLUME },
		.domain = "d",
		.sequence = 1,
		.consistency = "crash",
		.levels = 1,
	};

	holds(row_add_point(c, &p, FUZZ_VOLTAG, &e) == 1);
	memcpy(p.session, SECOND, sizeof(SECOND));
	holds(row_add_point(c, &p, FUZZ_VOLTAG, &e) == 1);
	works(catalog_exec(c, "PRAGMA journal_mode = DELETE; VACUUM", &e));
	catalog_free(c);
	works(fd_read_file(AT_FDCWD, path, &b, &e));
	return b;
}

static const char *in_catalog(enum expiry_state s)
{
	switch (s) {
	case EXPIRY_LIVE:
		return "";
	case EXPIRY_PROPOSED:
		return "proposed";
	case EXPIRY_HELD:
		return "held";
	case EXPIRY_PINNED: /* it passes, so the catalog does not know it */
	case EXPIRY_EXPIRED:
		break;
	}
	return "expired";
}

static void judge(const struct repo *r, const struct expiry *x)
{
	static struct buf good;
	auto_free char *path = path_join(fuzz_dir(), "catalog.db");
	struct statement_result result;
	struct catalog *c;
	struct err e = ERR_INIT;
	int rc;

	if (!good.data)
		good = make_catalog();
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	holds(fd >= 0 && write(fd, good.data, good.len) == (ssize_t)good.len && close(fd) == 0);
	works(catalog_open(path, CATALOG_WRITE, &c, &e));
	works(statement_sync(c, r, &result, &e));
	holds(result.tombstones == x->nacts && result.holds == x->nholds);
	sqlite3_stmt *s = catalog_prepare(c, "SELECT session, expiry FROM points", &e);
	holds(s);
	while ((rc = catalog_step(c, s, &e)) > 0) {
		enum expiry_state state = expiry_of(x, catalog_text(s, 0));

		holds(strcmp(in_catalog(state), catalog_text(s, 1)) == 0);
	}
	holds(rc == 0);
	(void)sqlite3_finalize(s);
	catalog_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct repo r;
	CLEANUP(expiry_clear) struct expiry x = { 0 };
	CLEANUP(expiry_clear) struct expiry later = { 0 };
	const uint8_t *piece;
	size_t n;
	struct expiry_settled settled;
	struct err e = ERR_INIT;
	const bool ask_catalog = (size & 7) == 0;

	if (!r.store)
		r = fuzz_repo_new();
	if (size > 64 * KIB)
		return 0;
	for (int i = 0; i < PIECES_MAX && fuzz_piece(&data, &size, 0xff, &piece, &n); i++)
		put_piece(&r, piece, n);
	works(expiry_load(&r, 0, &x, &e));
	check_tombs(&x);
	check_holds(&x);
	write_again(&x);
	if (ask_catalog && x.nacts > 0)
		judge(&r, &x);
	if (expiry_settled(&r, &settled, &e) < 0)
		fuzz_refused(&e, FUZZ_BAD);
	else
		holds(expiry_now(&r, &later, &e) == 0 && later.ntombs <= x.ntombs);
	fuzz_empty(r.store);
	return 0;
}
