/* SPDX-License-Identifier: Apache-2.0 */
/* Which objects are locked, what a lock does, and that every wrapper hands it on. */
#include "store/lock.h"

#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"

#define S INT64_C(1000000000)
#define NOON (INT64_C(1795348800) * S) /* 2026-11-22T12:00:00Z */
#define HOUR (3600 * S)

/* ---- which, and until when ---- */

static void test_lock_applies__to_all_that_is_not_there_to_be_deleted(void **state)
{
	static const char *const locked[] = {
		"config",
		"ctl/config/00000002",
		"ctl/revoked/2026-11-22/00",
		"ctl/damage/2026-11-22/00",
		"ctl/gc/00000001/final",
		"ctl/gc/00000001/finals",
		"ctl/gc/00000001/done",
		"pack/ab/abcd",
		"meta/ab/abcd",
		"idx/00/2026-11-22/11-22-0000",
		"commit/2026-11-22/11-22",
		"tomb/00000001",
		"hold/00000001",
		"reseal/11/2026-11-22/22",
		"check/2026-11-22/11",
		"session",
		"what/is/not/known/live",
	};
	static const char *const not_locked[] = {
		"sess/2026-11-22/11-22",   "sess/2026-11-22/11-22-0001",
		"pin/2026-11-22/11",       "probe/11",
		"ctl/gc/00000001/condemn", "ctl/gc/00000001/sessions",
		"ctl/gc/00000001/live",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(locked); i++)
		if (!lock_applies(locked[i]))
			fail_msg("'%s' is not locked", locked[i]);
	for (size_t i = 0; i < ARRAY_LEN(not_locked); i++)
		if (lock_applies(not_locked[i]))
			fail_msg("'%s' is locked", not_locked[i]);
}

static void test_lock_until_s__is_an_hour_more_than_asked_for(void **state)
{
	(void)state;
	assert_int_equal(lock_until_s(1000, 86400), 1000 + 86400 + 3600);
}

/* ---- what it does ---- */

static struct store *mem_at_noon(void)
{
	struct store *s = NULL;

	ok((s = store_mem_new(e)) ? 0 : -1);
	store_mem_set_now(s, NOON);
	return s;
}

static int64_t until(struct store *s, const char *key)
{
	struct store_stat st;

	ok(store_head(s, key, &st, e));
	return st.locked_until_ns;
}

static void test_store_lock__keeps_an_object_until_its_time(void **state)
{
	auto_store struct store *s = mem_at_noon();

	(void)state;
	assert_true(s->caps & STORE_CAP_OBJECT_LOCK);
	ok(put_text(s, "a", "x", e));
	assert_int_equal(until(s, "a"), 0);
	ok(store_lock(s, "a", NOON + HOUR, e));
	assert_int_equal(until(s, "a"), NOON + HOUR);
	fails_saying(ERR_BUSY,
	             "deleting object 'a' of 'mem:': it is locked until 2026-11-22T13:00:00",
	             store_delete(s, "a", e));
	store_mem_set_now(s, NOON + HOUR - 1);
	fails(ERR_BUSY, store_delete(s, "a", e));
	assert_text(s, "a", "x");
	store_mem_set_now(s, NOON + HOUR);
	ok(store_delete(s, "a", e));
	assert_absent(s, "a");
}

static void test_store_lock__is_never_made_shorter(void **state)
{
	auto_store struct store *s = mem_at_noon();

	(void)state;
	ok(put_text(s, "a", "x", e));
	ok(store_lock(s, "a", NOON + 2 * HOUR, e));
	ok(store_lock(s, "a", NOON + HOUR, e));
	assert_int_equal(until(s, "a"), NOON + 2 * HOUR);
	ok(store_lock(s, "a", NOON + 3 * HOUR, e));
	assert_int_equal(until(s, "a"), NOON + 3 * HOUR);
}

static void test_store_lock__needs_an_object_and_a_key(void **state)
{
	auto_store struct store *s = mem_at_noon();

	(void)state;
	fails_saying(ERR_NOT_FOUND, "locking object 'a' of 'mem:'", store_lock(s, "a", NOON, e));
	fails(ERR_INVALID, store_lock(s, "A", NOON, e));
}

static void test_put__locks_what_a_store_that_locks_gets(void **state)
{
	auto_store struct store *s = mem_at_noon();

	(void)state;
	store_mem_set_lock(s, 86400);
	assert_int_equal(s->lock_s, 86400);
	ok(put_text(s, "commit/a", "x", e));
	ok(put_text(s, "sess/a", "x", e));
	assert_int_equal(until(s, "commit/a"), NOON + 25 * HOUR);
	assert_int_equal(until(s, "sess/a"), 0);
	fails(ERR_BUSY, store_delete(s, "commit/a", e));
	ok(store_delete(s, "sess/a", e));
}

static void test_store_lock__is_not_what_a_directory_can_do(void **state)
{
	char *dir = tmpdir_new();
	struct store *s = NULL;

	(void)state;
	ok((s = store_file_open(dir, STORE_CREATE, e)) ? 0 : -1);
	assert_false(s->caps & STORE_CAP_OBJECT_LOCK);
	ok(put_text(s, "a", "x", e));
	assert_int_equal(until(s, "a"), 0);
	fails_saying(ERR_UNSUPPORTED, "cannot keep objects from being deleted",
	             store_lock(s, "a", NOON, e));
	struct err why = ERR_INIT;
	auto_store struct store *wrapped = store_retry_new(s, NULL, &why);
	assert_non_null(wrapped);
	fails(ERR_UNSUPPORTED, store_lock(wrapped, "a", NOON, e));
	tmpdir_remove(dir);
}

/* ---- wrappers ---- */

struct plan {
	enum store_fault next[4];
	unsigned n;
};

static enum store_fault decide(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct plan *p = arg;

	(void)n;
	if (call != CALL_LOCK)
		return FAULT_NONE;
	assert_string_equal(key, "a");
	return p->n < ARRAY_LEN(p->next) ? p->next[p->n++] : FAULT_NONE;
}

static void no_wait(void *arg, int64_t ms)
{
	(void)arg;
	(void)ms;
}

static void test_wrappers__hand_a_lock_on(void **state)
{
	struct plan plan = { .next = { FAULT_FAIL, FAULT_APPLIED_LOST } };
	const struct store_retry_params params = { .wait_ms = no_wait };
	struct err why = ERR_INIT;
	struct store *mem = mem_at_noon();

	(void)state;
	store_mem_set_lock(mem, 60);
	struct store *faulty = store_fault_new(mem, decide, &plan, &why);
	struct store *second = store_mem_new(&why);
	struct store *geo = store_geo_new(faulty, second, STORE_FAIL_OVER, true, &why);
	struct store *limit = store_limit_new(geo, 0, 0, 1000000, &why);
	auto_store struct store *s = store_retry_new(limit, &params, &why);
	assert_non_null(s);
	assert_int_equal(s->lock_s, 60);
	ok(put_text(s, "a", "x", e));
	ok(store_lock(s, "a", NOON + 4 * HOUR, e));
	assert_int_equal(plan.n, 3);
	assert_int_equal(until(s, "a"), NOON + 4 * HOUR);
	fails(ERR_BUSY, store_delete(s, "a", e));
	plan = (struct plan){ .next = { FAULT_DENIED } };
	fails(ERR_DENIED, store_lock(s, "a", NOON + 5 * HOUR, e));
	assert_int_equal(until(s, "a"), NOON + 4 * HOUR);
}

static void test_readonly__refuses_a_lock(void **state)
{
	struct err why = ERR_INIT;
	struct store *mem = mem_at_noon();

	(void)state;
	ok(put_text(mem, "a", "x", e));
	auto_store struct store *s = store_readonly_new(mem, &why);
	assert_non_null(s);
	fails_saying(ERR_DENIED, "opened for reading only", store_lock(s, "a", NOON + HOUR, e));
	assert_int_equal(until(s, "a"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lock_applies__to_all_that_is_not_there_to_be_deleted),
		cmocka_unit_test(test_lock_until_s__is_an_hour_more_than_asked_for),
		cmocka_unit_test(test_store_lock__keeps_an_object_until_its_time),
		cmocka_unit_test(test_store_lock__is_never_made_shorter),
		cmocka_unit_test(test_store_lock__needs_an_object_and_a_key),
		cmocka_unit_test(test_put__locks_what_a_store_that_locks_gets),
		cmocka_unit_test(test_store_lock__is_not_what_a_directory_can_do),
		cmocka_unit_test(test_wrappers__hand_a_lock_on),
		cmocka_unit_test(test_readonly__refuses_a_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
