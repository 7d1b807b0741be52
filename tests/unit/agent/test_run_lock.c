/* SPDX-License-Identifier: Apache-2.0 */
/* Restore points in a store that locks what it gets stay locked, and whoever asks learns of it. */
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/run_keep.h"
#include "catalog/locks.h"
#include "common/now.h"
#include "repo/protect.h"
#include "tests/harness/repo_kit.h"

#define DAY_S INT64_C(86400)
#define LOCK_S (30 * DAY_S)

static struct kit k;
static struct store *mem; /* which k's store wraps */
static bool refuses;      /* locks */
static struct run r;
static struct run_params params;
static struct catalog *c;

static enum store_fault refuse(void *arg, uint64_t n, enum store_call call, const char *key)
{
	(void)arg;
	(void)n;
	(void)key;
	return refuses && call == CALL_LOCK ? FAULT_DENIED : FAULT_NONE;
}

static int setup(void **state)
{
	struct err err = ERR_INIT;
	struct store *s;

	(void)state;
	refuses = false;
	mem = store_mem_new(&err);
	assert_non_null(mem);
	store_mem_set_lock(mem, LOCK_S);
	s = store_fault_new(mem, refuse, NULL, &err);
	assert_non_null(s);
	k = kit_new_in(s);
	k.agent->store->lock_s = LOCK_S; /* as its URL would say */
	auto_free char *file = path_join(k.dir, "catalog.db");
	params = (struct run_params){ .ns = "aksdr", .cluster = "c1" };
	r = (struct run){ .p = &params, .me = { .begins = true } };
	assert_int_equal(cancel_init(&r.stop), 0);
	ok(catalog_open(file, CATALOG_WRITE, &c, e));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	run_lock_stop(&r);
	catalog_free(c);
	cancel_clear(&r.stop);
	kit_clear(&k);
	return 0;
}

static int64_t number(const char *sql)
{
	struct err e = ERR_INIT;
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, sql, &e);

	assert_non_null(s);
	assert_int_equal(catalog_step(c, s, &e), 1);
	return sqlite3_column_int64(s, 0);
}

/* Two points, of which the second uses what the first has brought. */
static void points(int64_t from_ns)
{
	const struct kit_content first = {
		.volume = "v", .domain = "d", .n = 1, .files = 8, .bytes = 3000, .seed = 1
	};
	struct kit_content again = first;

	store_mem_set_now(mem, from_ns);
	auto_kit_point struct point p = kit_backup(&k, &first);
	again.n = 2;
	again.from = 8;
	again.files = 9;
	again.previous = &p;
	store_mem_set_now(mem, from_ns + 10 * DAY_S * 1000000000);
	auto_kit_point struct point q = kit_backup(&k, &again);
}

static void test_run_lock_due__once_a_day(void **state)
{
	const int64_t day_ns = DAY_S * 1000000000;
	const int64_t now_ns = 1000 * day_ns;

	(void)state;
	assert_true(run_lock_due(0, now_ns));
	assert_false(run_lock_due(now_ns, now_ns));
	assert_false(run_lock_due(now_ns - day_ns + 1, now_ns));
	assert_true(run_lock_due(now_ns - day_ns, now_ns));
	/* a clock that was put back, by a little and by much */
	assert_false(run_lock_due(now_ns + day_ns - 1, now_ns));
	assert_true(run_lock_due(now_ns + day_ns, now_ns));
}

static void test_run_lock_look__extends_and_notes_until_when(void **state)
{
	const int64_t now_ns = now_wall_ns();

	(void)state;
	points(now_ns - 15 * DAY_S * 1000000000);
	store_mem_set_now(mem, now_ns);
	ok(run_lock_look(&r, k.agent, c, e));
	assert_int_equal(number("SELECT points FROM lock_looks"), 2);
	assert_int_equal(number("SELECT locked FROM lock_looks"), 2);
	assert_true(number("SELECT extended FROM lock_looks") > 0);
	assert_true(number("SELECT all_points FROM lock_looks"));
	int64_t looked_ns = 0;
	ok(locks_looked(c, &looked_ns, e));
	assert_in_range(looked_ns, now_ns, now_wall_ns());
	assert_false(run_lock_due(looked_ns, now_wall_ns()));
	/* The next one has nothing to do. */
	ok(run_lock_look(&r, k.agent, c, e));
	assert_int_equal(number("SELECT extended FROM lock_looks ORDER BY id DESC"), 0);
}

static void test_run_lock_look__says_what_is_not_safe(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	points(now_wall_ns() - 15 * DAY_S * 1000000000);
	store_mem_set_now(mem, 0);
	refuses = true;
	assert_int_equal(run_lock_look(&r, k.agent, c, &e), -1);
	assert_int_equal(e.class, ERR_PARTIAL);
	assert_non_null(
		strstr(e.msg,
	               "1 restore points can be deleted, or parts of them, before their time: "));
	assert_int_equal(number("SELECT points - locked - over FROM lock_looks"), 1);
}

static void test_run_lock__does_nothing_where_there_is_nothing_to_do(void **state)
{
	(void)state;
	run_lock(&r, c, 0);
	params.no_locks = true;
	run_lock(&r, c, LOCK_S);
	params.no_locks = false;
	r.me.begins = false;
	run_lock(&r, c, LOCK_S);
	assert_false(r.locker.started);
	assert_int_equal(r.locker.tried_ns, 0);
}

/* The store cannot be opened: it says so, and does not try it again at once. */
static void test_run_lock__tries_again_later(void **state)
{
	(void)state;
	params.store = "file:///nowhere/at/all";
	params.key = "/nowhere/key";
	r.look = eventfd(0, EFD_CLOEXEC);
	run_lock(&r, c, LOCK_S);
	assert_true(r.locker.started);
	const int64_t tried_ns = r.locker.tried_ns;
	while (atomic_load(&r.locker.runs))
		sched_yield();
	assert_true(atomic_load(&r.locker.failed));
	run_lock(&r, c, LOCK_S);
	assert_int_equal(r.locker.tried_ns, tried_ns);
	close(r.look);
}

#define CASE(x) cmocka_unit_test_setup_teardown(x, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run_lock_due__once_a_day),
		CASE(test_run_lock_look__extends_and_notes_until_when),
		CASE(test_run_lock_look__says_what_is_not_safe),
		CASE(test_run_lock__does_nothing_where_there_is_nothing_to_do),
		CASE(test_run_lock__tries_again_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
