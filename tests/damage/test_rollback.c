/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that takes back what it had: commits, statements, collections, the
 * config, or everything since some moment. Each case says who notices: a
 * check, a collection, a catalog that was in step before, or the machine that
 * made the last backup. What nobody notices is said as well, and why.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "catalog/sync.h"
#include "common/now.h"
#include "common/secret.h"
#include "repo/expiry.h"
#include "tests/harness/damage_judge.h"
#include "tests/harness/harness.h"

#define SEED 77

enum noticed {
	BY_CHECK = 1,
	BY_GC = 2,      /* it refuses to work */
	BY_CATALOG = 4, /* sync tells of points that are lost, or of a chain that is broken */
	BY_WRITER = 8,  /* the machine that made the last backup of volume 0, at the next one */
	NOBODY = 0
};

struct scene {
	struct damage_world w;
	char *catalog, *state; /* of a machine that saw everything */
	char newest[96];       /* its last point, of volume 0 */
	uint64_t hold;         /* its last hold, of that point */
};

static struct scene scene;

#define must(call)                                        \
	do {                                              \
		struct err e_ = ERR_INIT;                 \
		struct err *e = &e_;                      \
		if ((call) < 0)                           \
			harness_die("%s: %s", #call, e_.msg); \
	} while (0)

/* ---- who notices ---- */

static struct sync_result sync_catalog(struct damage_store *s, const char *path)
{
	const struct sync_params p = { .now_ns = now_wall_ns(), .threads = 1 };
	auto_catalog struct catalog *c = NULL;
	auto_repo struct repo *r = NULL;
	struct sync_result result = { 0 };
	struct err e = ERR_INIT;

	must(catalog_open(path, CATALOG_WRITE, &c, e));
	/* What does not open, or fails, is noticed as well. */
	if (damage_world_open(&scene.w, s, "audit", NULL, &r, &e) < 0 ||
	    sync_run(c, r, &p, &result, &e) < 0)
		result.lost = 1;
	return result;
}

static bool catalog_notices(struct damage_store *s)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "catalog.db");
	size_t n;
	auto_free char *file = read_file(scene.w.dir, "catalog.db", &n);

	write_file(dir, "catalog.db", file, n);
	struct sync_result r = sync_catalog(s, path);
	return r.lost > 0 || r.open > 0;
}

static bool check_notices(struct damage_store *s)
{
	const struct check_params p = { .level = 2, .threads = 1 };
	auto_repo struct repo *r = NULL;
	struct check_result result;
	struct err e = ERR_INIT;

	return damage_world_open(&scene.w, s, "audit", NULL, &r, &e) < 0 ||
	       check_run(r, &p, &result, &e) < 0 || result.problems > 0;
}

static bool gc_notices(struct damage_store *s)
{
	auto_damage_store struct damage_store *copy = damage_store_copy(s);
	auto_repo struct repo *r = NULL;
	struct gc_result result;
	struct err e = ERR_INIT;

	return damage_world_open(&scene.w, copy, "agent", NULL, &r, &e) < 0 ||
	       gc_run(r, &damage_eager, &result, &e) < 0;
}

/* The next point says that the one before it is missing, or the config is older than it was. */
static bool writer_notices(struct damage_store *s)
{
	CLEANUP(point_clear) struct point p = { 0 };
	auto_damage_store struct damage_store *copy = damage_store_copy(s);
	auto_repo struct repo *r = NULL;
	struct err e = ERR_INIT;

	if (damage_world_open(&scene.w, copy, "agent", scene.state, &r, &e) < 0)
		return true;
	if (damage_world_backup(&scene.w, r, 0, 3, &p, &e) < 0)
		return true;
	/* As it was before, for the next case. */
	struct err ignored = ERR_INIT;
	auto_repo struct repo *again = NULL;
	bool noticed = p.previous_missing;
	char name[POINT_SESSION_LEN + 1];
	(void)snprintf(name, sizeof(name), "%s", p.previous_session);
	assert_string_equal(name, noticed ? scene.newest : name);
	(void)damage_world_open(&scene.w, copy, "audit", NULL, &again, &ignored);
	return noticed;
}

static unsigned who_notices(struct damage_store *s)
{
	auto_tmpdir char *kept = tmpdir_new();
	unsigned by = 0;

	by |= check_notices(s) ? BY_CHECK : 0;
	by |= gc_notices(s) ? BY_GC : 0;
	by |= catalog_notices(s) ? BY_CATALOG : 0;
	by |= writer_notices(s) ? BY_WRITER : 0;
	return by;
}
