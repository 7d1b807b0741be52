/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repairs when the store fails or memory is short: the Nth call fails, for
 * every N. A repair that fails says why, leaves everything that was there, and
 * the next one does what is left.
 */
#include <errno.h>

#include "repo/repair.h"
#include "tests/harness/fault_kit.h"
#include "tests/harness/keys_kit.h"
#include "tests/harness/syshook.h"

#define FILES 6
#define CALLS_MAX 3000

static const struct kit_content content = {
	.volume = "v", .domain = "d", .n = 1, .files = FILES, .bytes = 2000, .seed = 1000
};

/* A repository whose index and one chunk are damaged, and the same whole. */
struct world {
	struct kit k;
	struct point point;
	struct store *broken, *whole; /* patterns: never changed */
	char data[PACK_KEY_MAX];
};

struct copying {
	struct store *from, *to;
};

static int copy_object(void *arg, const struct store_item *item, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * MIB);
	const struct copying *c = arg;

	return store_get_all(c->from, item->key, &b, e) < 0
	               ? -1
	               : put_bytes(c->to, item->key, b.data, b.len, e);
}

static struct store *copy_of(struct store *from)
{
	struct copying c = { .from = from };

	ok((c.to = store_mem_new(e)) ? 0 : -1);
	ok(store_list(from, "", NULL, copy_object, &c, e));
	return c.to;
}

static void world_init(struct world *w)
{
	static struct kit_names names;

	memset(w, 0, sizeof(*w));
	w->k = kit_new();
	w->point = kit_backup(&w->k, &content);
	w->whole = copy_of(w->k.store);
	kit_list(&w->k, "pack/", &names);
	assert_int_equal(names.n, 1);
	(void)snprintf(w->data, sizeof(w->data), "%.47s", names.keys[0]);
	kit_flip(&w->k, w->data, 400);
	kit_list(&w->k, "idx/", &names);
	kit_flip(&w->k, names.keys[0], 60);
	w->broken = copy_of(w->k.store);
}

static void world_clear(struct world *w)
{
	store_free(w->broken);
	store_free(w->whole);
	point_clear(&w->point);
	kit_clear(&w->k);
}
#define auto_world CLEANUP(world_clear)

/* The kit's handle of this key, but with another store. */
static struct repo in_store(const struct repo *like, struct store *s)
{
	struct repo r = *like;

	r.store = s;
	return r;
}

static int repair(const struct world *w, struct store *s, struct store *from,
                  struct repair_result *ret, struct err *e)
{
	const struct repo here = in_store(w->k.agent, s);
	const struct repo second = in_store(w->k.agent, from);
	const struct repair_params p = { .level = 3, .threads = 1, .from = from ? &second : NULL };

	return repair_run(&here, &p, ret, e);
}

/* Whatever happened before: after one more repair all is well, but for the chunk that is lost. */
static void assert_mends(const struct world *w, struct store *s, bool from)
{
	const struct repo recovery = in_store(w->k.recovery, s);
	struct repo r = recovery;
	struct repair_result result;

	ok(repair(w, s, from ? w->whole : NULL, &result, e));
	const struct kit_reading x = kit_read(&r, &w->point, &content);
	assert_int_equal(x.good, from ? FILES : FILES - 1);
	assert_int_equal(x.bad, from ? 0 : 1);
	assert_int_equal(result.after.problems == 0, from);
}

/* ---- the store fails ---- */

static void each_call(enum store_fault first, enum store_fault after, bool from)
{
	auto_world struct world w;
	uint64_t at = 0;

	world_init(&w);
	for (;; at++) {
		struct store *s = copy_of(w.broken);
		struct fault_lent *lent = NULL;
		struct store *bad = fault_store(s, at, first, after, &lent);
		struct repair_result result;
		struct err e = ERR_INIT;
		int rc = repair(&w, bad, from ? w.whole : NULL, &result, &e);
		bool reached = atomic_load(&lent->calls) > at;

		if (rc < 0 && (e.class == ERR_NONE || e.class == ERR_BUG || !e.msg[0]))
			fail_msg("call %llu: %s: '%s'", (unsigned long long)at,
			         err_class_name(e.class), e.msg);
		if (!reached && rc < 0)
			fail_msg("it fails unharmed: %s", e.msg);
		store_free(bad);
		assert_mends(&w, s, from);
		store_free(s);
		if (!reached)
			break;
		assert_true(at < CALLS_MAX);
	}
	assert_true(at > 20);
}

static void test_repair_run__any_call_to_the_store_may_fail(void **state)
{
	(void)state;
	each_call(FAULT_FAIL, FAULT_NONE, false);
	each_call(FAULT_FAIL, FAULT_NONE, true);
}

static void test_repair_run__any_answer_of_the_store_may_be_lost(void **state)
{
	(void)state;
	each_call(FAULT_APPLIED_LOST, FAULT_NONE, false);
	each_call(FAULT_APPLIED_LOST, FAULT_NONE, true);
}

static void test_repair_run__the_store_may_be_away_from_any_call_on(void **state)
{
	(void)state;
	each_call(FAULT_APPLIED_LOST, FAULT_FAIL, false);
	each_call(FAULT_FAIL, FAULT_FAIL, true);
}

/* ---- memory is short ---- */

static unsigned allocations;
static unsigned failing;

static int fail_one(void *arg, enum syshook_call call, int flags)
{
	(void)arg;
	(void)flags;
	return call == HOOK_ALLOC &&
	                       __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED) == failing
	               ? ENOMEM
	               : 0;
}

static void each_allocation(bool from)
{
	auto_world struct world w;

	world_init(&w);
	for (failing = 0;; failing++) {
		struct store *s = copy_of(w.broken);
		struct repair_result result;
		struct err e = ERR_INIT;

		allocations = 0;
		syshook_set(fail_one, NULL);
		int rc = repair(&w, s, from ? w.whole : NULL, &result, &e);
		syshook_set(NULL, NULL);
		bool reached = allocations > failing;
		if (rc < 0 && (e.class == ERR_NONE || !e.msg[0]))
			fail_msg("allocation %u: an error that says nothing", failing);
		if (!reached && rc < 0)
			fail_msg("it fails unharmed: %s", e.msg);
		assert_mends(&w, s, from);
		store_free(s);
		if (!reached)
			break;
	}
	assert_true(failing > 100);
}

static void test_repair_run__any_allocation_may_fail(void **state)
{
	(void)state;
	each_allocation(false);
	each_allocation(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_repair_run__any_call_to_the_store_may_fail),
		cmocka_unit_test(test_repair_run__any_answer_of_the_store_may_be_lost),
		cmocka_unit_test(test_repair_run__the_store_may_be_away_from_any_call_on),
		cmocka_unit_test(test_repair_run__any_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
