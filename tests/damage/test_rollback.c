/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that takes back what it had: commits, statements, collections, the
 * config, or everything since some moment. Each case says who notices: a
 * check, a collection, a catalog that was in step before, or the machine that
 * made the last backup. What nobody notices is said as well, and why.
 */
#include <ftw.h>
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
	char *copy;            /* of the state, for one case */
	char newest[96];       /* its last point, of volume 0 */
	uint64_t hold;         /* its last hold, of that point */
};

static struct scene scene;

#define must(call)                                            \
	do {                                                  \
		struct err e_ = ERR_INIT;                     \
		struct err *e = &e_;                          \
		if ((call) < 0)                               \
			harness_die("%s: %s", #call, e_.msg); \
	} while (0)

/* ---- who notices ---- */

static struct sync_result sync_catalog(struct damage_store *s, const char *path)
{
	const struct sync_params p = { .now_ns = now_wall_ns(), .threads = 1 };
	auto_catalog struct catalog *c = NULL;
	auto_repo struct repo *r = NULL;
	struct sync_result result = { 0 };
	struct err why = ERR_INIT;

	must(catalog_open(path, CATALOG_WRITE, &c, e));
	/* What does not open, or fails, is noticed as well. */
	if (damage_world_open(&scene.w, s, "audit", NULL, &r, &why) < 0 ||
	    sync_run(c, r, &p, &result, &why) < 0)
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

static int copy_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
	const char *below = path + strlen(scene.state) + 1;
	size_t n;

	(void)st;
	(void)at;
	if (type != FTW_F)
		return 0;
	auto_free uint8_t *p = (uint8_t *)read_file(scene.state, below, &n);
	write_file(scene.copy, below, p, n);
	return 0;
}

/* The machine's memory is copied, so that no case changes it. */
static char *copy_state(void)
{
	scene.copy = tmpdir_new();
	if (nftw(scene.state, copy_file, 8, FTW_PHYS) != 0)
		harness_die("'%s' cannot be copied", scene.state);
	return scene.copy;
}

/* The next point says that the one before it is missing, or the config is older than it was. */
static bool writer_notices(struct damage_store *s)
{
	CLEANUP(point_clear) struct point p = { 0 };
	auto_tmpdir char *state = copy_state();
	auto_damage_store struct damage_store *copy = damage_store_copy(s);
	auto_repo struct repo *r = NULL;
	struct err e = ERR_INIT;

	if (damage_world_open(&scene.w, copy, "agent", state, &r, &e) < 0 ||
	    damage_world_backup(&scene.w, r, 0, 3, &p, &e) < 0)
		return true;
	if (p.previous_missing)
		assert_string_equal(p.previous_session, scene.newest);
	return p.previous_missing;
}

static unsigned who_notices(struct damage_store *s)
{
	return (check_notices(s) ? BY_CHECK : 0) | (gc_notices(s) ? BY_GC : 0) |
	       (catalog_notices(s) ? BY_CATALOG : 0) | (writer_notices(s) ? BY_WRITER : 0);
}

static void assert_notices(const char *what, struct damage_store *s, unsigned expected)
{
	unsigned by = who_notices(s);

	if (by != expected)
		fail_msg("%s: noticed by%s%s%s%s%s, and not by%s%s%s%s%s", what,
		         by & BY_CHECK ? " check" : "", by & BY_GC ? " gc" : "",
		         by & BY_CATALOG ? " catalog" : "", by & BY_WRITER ? " writer" : "",
		         by ? "" : " nobody", expected & BY_CHECK ? " check" : "",
		         expected & BY_GC ? " gc" : "", expected & BY_CATALOG ? " catalog" : "",
		         expected & BY_WRITER ? " writer" : "", expected ? "" : " nobody");
}

/* ---- the scene ---- */

static void scene_make(void)
{
	CLEANUP(point_clear) struct point p = { 0 };
	auto_repo struct repo *r = NULL;

	damage_world_make(&scene.w, SEED);
	scene.catalog = path_join(scene.w.dir, "catalog.db");
	scene.state = path_join(scene.w.dir, "state");
	must(damage_world_open(&scene.w, scene.w.now, "agent", scene.state, &r, e));
	must(damage_world_backup(&scene.w, r, 0, 3, &p, e));
	memcpy(scene.newest, p.session, sizeof(scene.newest));
	must(expiry_put_hold(r, p.session, NULL, "a case", "a judge", &scene.hold, e));
	struct sync_result sync = sync_catalog(scene.w.now, scene.catalog);
	if (sync.lost > 0 || sync.open > 0)
		harness_die("the catalog is not in step at first");
}

static void scene_clear(void)
{
	free(scene.catalog);
	free(scene.state);
	damage_world_clear(&scene.w);
}

/* The newest n points of a volume. */
static void remove_newest(struct damage_store *s, unsigned volume, unsigned n)
{
	char key[128];

	if (volume == 0 && n > 0) {
		(void)snprintf(key, sizeof(key), "commit/%s", scene.newest);
		damage_store_remove(s, key);
		n--;
	}
	for (unsigned i = scene.w.npoints; i-- > 0 && n > 0;) {
		if (scene.w.points[i].volume != volume)
			continue;
		(void)snprintf(key, sizeof(key), "commit/%s", scene.w.points[i].session);
		damage_store_remove(s, key);
		n--;
	}
}

static void remove_below(struct damage_store *s, const char *prefix)
{
	auto_damage_store struct damage_store *empty = damage_store_new();

	damage_store_take(s, empty, prefix);
}

static void remove_number(struct damage_store *s, const char *prefix, uint64_t n)
{
	char key[64];

	(void)snprintf(key, sizeof(key), "%s%08llu", prefix, (unsigned long long)n);
	assert_non_null(damage_store_find(s, key));
	damage_store_remove(s, key);
}

/* ---- the cases ---- */

static void test_rollback__of_nothing_is_noticed_by_nobody(void **state)
{
	auto_damage_store struct damage_store *s = damage_store_copy(scene.w.now);

	(void)state;
	assert_notices("nothing", s, NOBODY);
}

/* A check has no memory: what nothing follows may never have been. */
static void test_rollback__newest_points_are_missed_by_who_saw_them(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 2; n++) {
		auto_damage_store struct damage_store *s = damage_store_copy(scene.w.now);

		remove_newest(s, 0, n);
		assert_notices("the newest points", s, BY_CATALOG | BY_WRITER);
	}
	auto_damage_store struct damage_store *s = damage_store_copy(scene.w.now);
	remove_newest(s, 1, 1);
	assert_notices("the newest point of another volume", s, BY_CATALOG);
}

/* The last collection has written down what was live. */
static void test_rollback__points_of_before_the_last_collection_are_missed_by_all(void **state)
{
	auto_damage_store struct damage_store *s = damage_store_copy(scene.w.now);

	(void)state;
	remove_newest(s, 0, DAMAGE_POINTS);
	assert_notices("all points of a volume", s, BY_CHECK | BY_GC | BY_CATALOG | BY_WRITER);
	remove_below(s, "commit/");
	assert_notices("all commits", s, BY_CHECK | BY_GC | BY_CATALOG | BY_WRITER);
}

static void test_rollback__statements_in_between_are_missed_in_the_order_of_numbers(void **state)
{
	(void)state;
	for (uint64_t n = 1; n < 5; n++) {
		auto_damage_store struct damage_store *s = damage_store_copy(scene.w.now);

		remove_number(s, "tomb/", n);
		assert_notices("an older tombstone", s, n < 3 ? BY_CHECK : BY_CHECK | BY_GC);
	}
	for (uint64_t n = 1; n < scene.hold; n++) {
		auto_damage_store struct damage_store *s = damage_store_copy(scene.w.now);

		remove_number(s, "hold/", n);
		assert_notices("an older hold", s, BY_CHECK | BY_GC | BY_CATALOG);
	}
}

/*
 * The last of them may never have been put. Without the tombstone the point lives, so nothing is
 * lost; without the hold it may be expired, until a collection has seen the hold. A catalog knows.
 */
static void test_rollback__the_newest_statements_are_missed_by_who_saw_them(void **state)
{
	auto_damage_store struct damage_store *s = damage_store_copy(scene.w.now);

	(void)state;
	remove_number(s, "tomb/", 5);
	assert_notices("the newest tombstone", s, BY_CATALOG);
	auto_damage_store struct damage_store *t = damage_store_copy(scene.w.now);
	remove_number(t, "hold/", scene.hold);
	assert_notices("the newest hold", t, BY_CATALOG);
}

/* What the last collection saw must be there. */
static void test_rollback__all_holds_are_missed_by_all(void **state)
{
	auto_damage_store struct damage_store *s = damage_store_copy(scene.w.now);

	(void)state;
	remove_below(s, "hold/");
	assert_notices("all holds", s, BY_CHECK | BY_GC | BY_CATALOG);
}

static void test_rollback__collections_that_are_hidden(void **state)
{
	auto_damage_store struct damage_store *s = damage_store_copy(scene.w.now);

	(void)state;
	remove_below(s, "ctl/gc/00000002/");
	assert_notices("the open collection", s, NOBODY);
	remove_below(s, "ctl/gc/00000001/live");
	assert_notices("the guard of the last collection", s, NOBODY);
	auto_damage_store struct damage_store *t = damage_store_copy(scene.w.now);
	remove_below(t, "ctl/gc/00000001/final");
	assert_notices("both lists of what the last collection took", t, BY_CHECK);
	auto_damage_store struct damage_store *u = damage_store_copy(scene.w.now);
	remove_below(u, "ctl/gc/00000001/");
	assert_notices("the last collection", u, BY_CHECK | BY_GC | BY_WRITER);
}

/* Points name the revision that they were made under; machines remember the newest. */
static void test_rollback__the_config_is_missed_by_all(void **state)
{
	auto_damage_store struct damage_store *s = damage_store_copy(scene.w.now);

	(void)state;
	remove_number(s, "ctl/config/", 5);
	assert_notices("the newest config", s, BY_CHECK | BY_GC | BY_WRITER);
	remove_below(s, "ctl/config/");
	assert_notices("all revisions", s, BY_CHECK | BY_GC | BY_WRITER);
}

/* Nothing in it contradicts anything: only who saw more can know. */
static void test_rollback__of_everything_is_missed_by_who_saw_more(void **state)
{
	(void)state;
	for (unsigned i = 0; i < scene.w.npast; i++) {
		auto_damage_store struct damage_store *s = damage_store_copy(scene.w.past[i]);

		assert_notices("everything", s, BY_CATALOG | BY_WRITER);
	}
}

static void test_rollback__of_one_prefix(void **state)
{
	static const struct {
		const char *prefix;
		unsigned by;
	} cases[] = {
		{ "commit/", BY_CHECK | BY_GC | BY_CATALOG | BY_WRITER },
		{ "idx/", BY_CHECK | BY_GC },
		{ "pack/", BY_CHECK | BY_GC },
		{ "meta/", BY_CHECK | BY_GC },
		{ "ctl/", BY_CHECK | BY_GC | BY_WRITER },
		{ "tomb/", BY_CHECK | BY_CATALOG },
		{ "hold/", BY_CHECK | BY_GC | BY_CATALOG },
		{ "sess/", NOBODY },
		{ "check/", NOBODY },
		{ "reseal/", NOBODY },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_damage_store struct damage_store *s = damage_store_copy(scene.w.now);

		damage_store_take(s, scene.w.past[0], cases[i].prefix);
		assert_notices(cases[i].prefix, s, cases[i].by);
	}
}

/* Whatever nobody notices takes nothing away that is not expired. */
static void test_rollback__unnoticed_ones_lose_no_point_of_others(void **state)
{
	static const char *const prefixes[] = { "sess/", "check/", "reseal/", "tomb/" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		auto_damage_store struct damage_store *s = damage_store_copy(scene.w.now);
		struct damage_verdict v;

		damage_store_take(s, scene.w.past[0], prefixes[i]);
		damage_judge(&scene.w, s, DAMAGE_LEG_COLLECT | DAMAGE_LEG_REPAIR | DAMAGE_UNSEEN,
		             &v);
		assert_string_equal(v.silences, "");
		assert_int_equal(v.lost, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rollback__of_nothing_is_noticed_by_nobody),
		cmocka_unit_test(test_rollback__newest_points_are_missed_by_who_saw_them),
		cmocka_unit_test(
			test_rollback__points_of_before_the_last_collection_are_missed_by_all),
		cmocka_unit_test(
			test_rollback__statements_in_between_are_missed_in_the_order_of_numbers),
		cmocka_unit_test(test_rollback__the_newest_statements_are_missed_by_who_saw_them),
		cmocka_unit_test(test_rollback__all_holds_are_missed_by_all),
		cmocka_unit_test(test_rollback__collections_that_are_hidden),
		cmocka_unit_test(test_rollback__the_config_is_missed_by_all),
		cmocka_unit_test(test_rollback__of_everything_is_missed_by_who_saw_more),
		cmocka_unit_test(test_rollback__of_one_prefix),
		cmocka_unit_test(test_rollback__unnoticed_ones_lose_no_point_of_others),
	};

	scene_make();
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	scene_clear();
	return rc;
}
