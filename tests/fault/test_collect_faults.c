/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collections, checks, and retention when memory is short or the disk fails: the Nth allocation, or
 * the Nth system call of the file driver and of scratch files, in every way that one can fail.
 * The class of the error is that of its cause, nothing leaks, a check tells no damage that is none,
 * and afterwards the same call does its work and every live point is whole.
 *
 *   TEST_SEED=N   which calls, when not all; else 1
 */
#include "tests/harness/repo_kit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "catalog/retain_plan.h"
#include "catalog/sync.h"
#include "common/num.h"
#include "repo/check.h"
#include "repo/commits.h"
#include "repo/expiry.h"
#include "repo/gc.h"
#include "tests/harness/storm_store.h"
#include "tests/harness/syshook.h"

#define HOUR_NS ((int64_t)3600 * 1000000000)
#define FEW 30   /* calls that fail, of each kind, when TEST_SIZE is small */
#define MANY 150 /* else */
#define POINTS 5

static const struct gc_params eager = {
	.fence_after_ns = -HOUR_NS,
	.young_ns = -HOUR_NS,
	.repack_percent = GC_REPACK_DEFAULT,
	.share_percent = 100,
	.threads = 1,
};

/* ---- what fails ---- */

/* Which calls can fail so. */
enum can { ALLOCATE = 1, GROW = 2, MOVE = 4, LOOK = 8, TAKE = 16 };

static enum can can_of(enum syshook_call call, int flags)
{
	switch (call) {
	case HOOK_ALLOC:
		return ALLOCATE;
	case HOOK_OPENAT:
		return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? GROW : LOOK;
	case HOOK_MKDIRAT:
	case HOOK_LINKAT:
	case HOOK_RENAMEAT2:
	case HOOK_FSYNC:
	case HOOK_FDATASYNC:
		return GROW;
	case HOOK_WRITEV:
	case HOOK_PREAD:
		return MOVE;
	case HOOK_UNLINKAT:
		return TAKE;
	default:
		return LOOK;
	}
}

static const struct failure {
	const char *name;
	unsigned calls; /* enum can */
	int how;        /* errno, or SYSHOOK_SHORT */
	enum err_class class;
} failures[] = {
	{ "no memory", ALLOCATE, ENOMEM, ERR_NOMEM },
	{ "a full disk", GROW, ENOSPC, ERR_QUOTA },
	{ "a broken disk", GROW | MOVE | LOOK | TAKE, EIO, ERR_IO },
	{ "an interruption", MOVE, EINTR, ERR_NONE },
	{ "a part of it", MOVE, SYSHOOK_SHORT, ERR_NONE },
};

struct plan_of_failure {
	const struct failure *f;
	uint64_t nth;  /* counted from 0 */
	uint64_t seen; /* calls so far */
	bool fired;
};

static int hook(void *arg, enum syshook_call call, int flags)
{
	struct plan_of_failure *p = arg;

	if (!(p->f->calls & can_of(call, flags)) ||
	    __atomic_fetch_add(&p->seen, 1, __ATOMIC_RELAXED) != p->nth)
		return 0;
	p->fired = true;
	return p->f->how;
}

/* ---- the repository ---- */

struct world {
	char *base; /* store, keys, and the state of everybody */
	struct point live;
};

struct scene {
	const struct world *w;
	char *dir; /* a copy of base */
	char *catalog;
	struct store *store;
	struct repo *agent, *recovery;
};

static void open_one(const char *dir, const char *key, struct store *store, struct repo **ret)
{
	struct keys *keys = NULL;
	char path[600];
	char state[600];

	(void)snprintf(path, sizeof(path), "%s/keys/%s.key", dir, key);
	(void)snprintf(state, sizeof(state), "%s/state", dir);
	ok(keys_load(path, NULL, &keys, e));
	ok(repo_open(store, keys, state, NULL, ret, e));
}

static void copy_dir(const char *from, const char *to)
{
	char command[2048];

	(void)snprintf(command, sizeof(command), "cp -a '%s/.' '%s'", from, to);
	assert_int_equal(system(command), 0);
}

static struct scene scene_new(const struct world *w)
{
	struct scene s = { .w = w, .dir = tmpdir_new() };

	copy_dir(w->base, s.dir);
	s.catalog = path_join(s.dir, "catalog.db");
	auto_free char *path = path_join(s.dir, "store");
	ok((s.store = store_file_open(path, 0, e)) ? 0 : -1);
	open_one(s.dir, "agent", s.store, &s.agent);
	open_one(s.dir, "recovery", s.store, &s.recovery);
	return s;
}

static void scene_clear(struct scene *s)
{
	repo_free(s->agent);
	repo_free(s->recovery);
	store_free(s->store);
	free(s->catalog);
	tmpdir_remove(s->dir);
}
#define auto_scene CLEANUP(scene_clear)

static void expire(const struct repo *r, const char *session)
{
	const struct expiry_point p = { .session = session, .why = "a test" };
	uint64_t number;

	ok(expiry_put_tomb(r, "", &p, 1, &number, e));
}

/* Points of a volume, each with half of the files of the one before; the oldest is expired. */
static struct world world_new(void)
{
	struct world w = { .base = tmpdir_new() };
	auto_free char *path = path_join(w.base, "store");
	struct point points[POINTS];
	struct store *store = NULL;

	ok((store = store_file_open(path, STORE_CREATE, e)) ? 0 : -1);
	struct kit k = kit_new_in(store);
	for (unsigned i = 0; i < POINTS; i++) {
		const struct kit_content c = { .volume = "v",
			                       .domain = "d",
			                       .n = i + 1,
			                       .files = 16,
			                       .bytes = 3000,
			                       .seed = 1 + i * 8,
			                       .previous = i ? &points[i - 1] : NULL };

		points[i] = kit_backup(&k, &c);
	}
	expire(k.agent, points[0].session);
	expire(k.agent, points[1].session);
	w.live = points[POINTS - 1];
	for (unsigned i = 0; i + 1 < POINTS; i++)
		point_clear(&points[i]);
	copy_dir(k.dir, w.base);
	kit_clear(&k);
	return w;
}

static void world_clear(struct world *w)
{
	point_clear(&w->live);
	tmpdir_remove(w->base);
}
#define auto_world CLEANUP(world_clear)

/* ---- what is done ---- */

static bool disk_is_broken;

/* What a broken disk does not give is a problem of some kind; nothing else is one. */
static int take_problem(void *arg, const struct check_problem *p, struct err *e)
{
	bool *damage = arg;

	(void)e;
	if (disk_is_broken)
		return 0;
	*damage = true;
	print_error("%s %s: %s\n", check_what_name(p->what), p->object, p->text);
	return 0;
}

static int op_check(const struct scene *s, struct err *e)
{
	bool damage = false;
	const struct check_params p = {
		.level = 4, .threads = 1, .problem = take_problem, .arg = &damage
	};
	struct check_result r;

	int rc = check_run(s->recovery, &p, &r, e);
	syshook_set(NULL, NULL);
	assert_false(damage);
	return rc;
}

/* And nothing that cannot be read. */
static void assert_clean(const struct scene *s)
{
	const struct check_params p = { .level = 4, .threads = 1 };
	struct check_result r;

	ok(check_run(s->recovery, &p, &r, e));
	assert_int_equal(r.problems, 0);
	assert_int_equal(r.hurt_entries, 0);
}

static int op_collect(const struct scene *s, struct err *e)
{
	struct gc_result r;

	return gc_run(s->agent, &eager, &r, e);
}

static int op_retain(const struct scene *s, struct err *e)
{
	static const char *const patterns[] = { "*" };
	struct retain_entry entry = {
		.policy = { .name = "p", .last = 2, .floor_points = 1 },
		.patterns = (char **)(uintptr_t)patterns,
		.npatterns = 1,
	};
	const struct retain_policies policies = { .items = &entry, .n = 1 };
	const struct sync_params params = { .now_ns = KIT_EPOCH_NS, .threads = 1 };
	CLEANUP(expiry_clear) struct expiry x = { 0 };
	CLEANUP(retain_plan_clear) struct retain_plan plan = { 0 };
	CLEANUP(clean_catalog) struct catalog *c = NULL;
	struct sync_result r;

	if (catalog_open(s->catalog, CATALOG_WRITE, &c, e) < 0 ||
	    sync_run(c, s->agent, &params, &r, e) < 0 || expiry_now(s->agent, &x, e) < 0 ||
	    retain_plan_make(c, &x, &policies, NULL, s->agent->keys->signer_id, &plan, e) < 0)
		return -1;
	return retain_plan_put(s->agent, &plan, e);
}

/* How many points are offered, and that the newest one is among them. */
static void assert_points(const struct scene *s, size_t most)
{
	CLEANUP(expiry_clear) struct expiry x = { 0 };
	CLEANUP(commit_list_clear) struct commit_list l = { 0 };
	size_t n = 0;

	ok(expiry_now(s->agent, &x, e));
	ok(commit_list_load(s->store, &l, e));
	for (size_t i = 0; i < l.n; i++)
		n += l.v[i].kind == COMMIT_POINT && !expiry_is_gone(&x, l.v[i].session);
	assert_true(n <= most);
	assert_non_null(commit_list_find(&l, s->w->live.session));
	assert_int_equal(expiry_of(&x, s->w->live.session), EXPIRY_LIVE);
}

struct op {
	const char *name;
	int (*run)(const struct scene *s, struct err *e);
	size_t points; /* that are left when it has done its work */
};

static void afterwards(const struct scene *s, const struct op *op)
{
	ok(op->run(s, e));
	assert_points(s, op->points);
	ok(op_collect(s, e));
	assert_clean(s);
}

/* ---- each failure ---- */

/* True: a call failed. */
static bool one(const struct world *w, const struct op *op, const struct failure *f, uint64_t nth,
                uint64_t *ret_calls)
{
	auto_scene struct scene s = scene_new(w);
	struct plan_of_failure p = { .f = f, .nth = nth };
	struct err e = ERR_INIT;

	disk_is_broken = f->how == EIO;
	syshook_set(hook, &p);
	int rc = op->run(&s, &e);
	syshook_set(NULL, NULL);
	*ret_calls = p.seen;
	if (!p.fired) {
		if (rc < 0)
			fail_msg("%s fails unharmed: %s", op->name, e.msg);
		return false;
	}
	if (rc == 0 && e.class != ERR_NONE)
		fail_msg("%s, %s, call %llu: success with an error", op->name, f->name,
		         (unsigned long long)nth);
	/* What can be gone on with is not an error. */
	if (rc < 0 && (e.class != f->class || !e.msg[0]))
		fail_msg("%s, %s, call %llu: %s: %s", op->name, f->name, (unsigned long long)nth,
		         err_class_name(e.class), e.msg);
	afterwards(&s, op);
	return true;
}

static uint64_t seed_of(void)
{
	const char *text = getenv("TEST_SEED");
	struct err e = ERR_INIT;
	uint64_t n;

	return text && num_u64("TEST_SEED", text, 0, UINT64_MAX, &n, &e) == 0 ? n : 1;
}

static void each(const struct op *op, bool memory)
{
	const char *size = getenv("TEST_SIZE");
	const uint64_t most = size && strcmp(size, "small") == 0 ? FEW : MANY;
	auto_world struct world w = world_new();
	uint64_t seed = seed_of();

	for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
		const struct failure *f = &failures[i];
		uint64_t calls;
		uint64_t done = 0;

		if ((f->calls == ALLOCATE) != memory)
			continue;
		assert_false(one(&w, op, f, UINT64_MAX, &calls));
		assert_true(calls > 20 || !memory);
		for (uint64_t n = 0; n < calls && n < most; n++, done++) {
			uint64_t nth = calls > most ? storm_mix(seed ^ storm_mix(n)) % calls : n;

			(void)one(&w, op, f, nth, &(uint64_t){ 0 });
		}
		(void)printf("TEST_SEED=%llu: %s, %s: %llu of %llu calls\n",
		             (unsigned long long)seed, op->name, f->name, (unsigned long long)done,
		             (unsigned long long)calls);
	}
}

static const struct op collection = { "a collection", op_collect, POINTS - 2 };
static const struct op checking = { "a check", op_check, POINTS - 2 };
static const struct op retention = { "retention", op_retain, 2 };

static void test_gc_run__any_allocation_may_fail(void **state)
{
	(void)state;
	each(&collection, true);
}

static void test_gc_run__any_system_call_may_fail(void **state)
{
	(void)state;
	each(&collection, false);
}

static void test_check_run__any_allocation_may_fail(void **state)
{
	(void)state;
	each(&checking, true);
}

static void test_check_run__any_system_call_may_fail(void **state)
{
	(void)state;
	each(&checking, false);
}

static void test_retain_plan_put__any_allocation_may_fail(void **state)
{
	(void)state;
	each(&retention, true);
}

static void test_retain_plan_put__any_system_call_may_fail(void **state)
{
	(void)state;
	each(&retention, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gc_run__any_allocation_may_fail),
		cmocka_unit_test(test_gc_run__any_system_call_may_fail),
		cmocka_unit_test(test_check_run__any_allocation_may_fail),
		cmocka_unit_test(test_check_run__any_system_call_may_fail),
		cmocka_unit_test(test_retain_plan_put__any_allocation_may_fail),
		cmocka_unit_test(test_retain_plan_put__any_system_call_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
