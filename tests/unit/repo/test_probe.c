/* SPDX-License-Identifier: Apache-2.0 */
/* Trying out a store: one that keeps its word passes, each way to break it is found. */
#include "repo/probe.h"

#include <sys/time.h>

#include "tests/unit/repo/note_kit.h"

/* A store around a memory store that does not keep its word. */
struct liar {
	struct store base;
	struct store *inner; /* owned */
	enum lie {
		TRUE_STORE,
		LIE_REPLACES,   /* a second put wins */
		LIE_IGNORES,    /* a second put is said to have won */
		LIE_NOT_LISTED, /* what is new is not listed */
		LIE_LISTS_OTHER,
		LIE_NOT_READ, /* what is new is not there */
		LIE_SHORT,    /* it is cut when it is read */
		LIE_BYTES,    /* another content */
		LIE_SIZE,     /* another length */
		LIE_KEEPS     /* nothing can be deleted: no lie */
	} lie;
	unsigned puts;
};

static int liar_put(struct store *s, const char *key, const struct iovec *iov, int niov,
                    struct err *e)
{
	struct liar *l = (struct liar *)s;
	struct store_stat st;
	struct err ignored = ERR_INIT;

	l->puts++;
	if (l->lie == LIE_REPLACES && store_delete(l->inner, key, e) < 0)
		return -1;
	if (l->lie == LIE_IGNORES && store_head(l->inner, key, &st, &ignored) == 0)
		return 0;
	return store_put(l->inner, key, iov, niov, e);
}

static int liar_get(struct store *s, const char *key, uint64_t off, void *p, size_t n,
                    struct err *e)
{
	struct liar *l = (struct liar *)s;

	if (l->lie == LIE_SHORT)
		return err_set(e, ERR_CORRUPT, "it ends too early");
	if (store_get(l->inner, key, off, p, n, e) < 0)
		return -1;
	if (l->lie == LIE_BYTES)
		((uint8_t *)p)[n - 1] ^= 1;
	return 0;
}

static int liar_head(struct store *s, const char *key, struct store_stat *ret, struct err *e)
{
	struct liar *l = (struct liar *)s;

	if (l->lie == LIE_NOT_READ)
		return err_set(e, ERR_NOT_FOUND, "no such object");
	if (store_head(l->inner, key, ret, e) < 0)
		return -1;
	ret->size += l->lie == LIE_SIZE;
	return 0;
}

static int liar_list(struct store *s, const char *prefix, const char *after,
                     int (*each)(void *arg, const struct store_item *item, struct err *e),
                     void *arg, struct err *e)
{
	struct liar *l = (struct liar *)s;
	struct store_item other = { .key = "probe/00000000000000000000000000000000" };

	if (l->lie == LIE_LISTS_OTHER)
		return each(arg, &other, e) < 0 ? -1 : 0;
	if (l->lie == LIE_NOT_LISTED)
		return 0;
	return store_list(l->inner, prefix, after, each, arg, e);
}

static int liar_del(struct store *s, const char *key, struct err *e)
{
	struct liar *l = (struct liar *)s;

	if (l->lie == LIE_KEEPS)
		return err_set(e, ERR_DENIED, "nothing is deleted here");
	return store_delete(l->inner, key, e);
}

static void liar_free(struct store *s)
{
	store_free(((struct liar *)s)->inner);
	free(s->url);
	free(s);
}

static struct liar *liar_new(struct store *take_inner)
{
	static const struct store_ops ops = {
		.name = "liar",
		.put = liar_put,
		.get = liar_get,
		.head = liar_head,
		.list = liar_list,
		.del = liar_del,
		.free = liar_free,
	};
	struct liar *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	l->base = (struct store){ .ops = &ops, .caps = take_inner->caps, .url = strdup("liar:") };
	l->inner = take_inner;
	return l;
}

static struct liar *liar_in_memory(void)
{
	struct err err = ERR_INIT;
	struct store *mem = store_mem_new(&err);

	ok(secret_init(e));
	assert_non_null(mem);
	return liar_new(mem);
}

/* ---- the store ---- */

static void test_probe_store__a_good_one_tells_its_time(void **state)
{
	struct liar *l = liar_in_memory();
	auto_store struct store *s = &l->base;
	int64_t before = now_wall_ns();
	int64_t now_ns = 0;

	(void)state;
	for (int i = 0; i < 3; i++)
		ok(probe_store(s, &now_ns, e));
	assert_true(now_ns >= before && now_ns <= now_wall_ns());
	assert_list(l->inner, "", NULL, ""); /* it is taken away again */
}

static void test_probe_store__each_lie_is_found(void **state)
{
	static const struct {
		enum lie lie;
		const char *says;
	} cases[] = {
		{ LIE_REPLACES, "replaced" },   { LIE_IGNORES, "replaced" },
		{ LIE_NOT_LISTED, "not list" }, { LIE_LISTS_OTHER, "not list" },
		{ LIE_NOT_READ, "not give" },   { LIE_SHORT, "not give" },
		{ LIE_BYTES, "other bytes" },   { LIE_SIZE, "other bytes" },
	};
	struct liar *l = liar_in_memory();
	auto_store struct store *s = &l->base;
	int64_t now_ns = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		l->lie = cases[i].lie;
		fails_saying(ERR_UNSUPPORTED, cases[i].says, probe_store(s, &now_ns, e));
		assert_int_equal(now_ns, 7);
		assert_list(l->inner, "", NULL, "");
	}
	l->lie = TRUE_STORE;
	ok(probe_store(s, &now_ns, e));
}

static void test_probe_store__without_the_right_to_delete(void **state)
{
	struct liar *l = liar_in_memory();
	auto_store struct store *s = &l->base;
	int64_t now_ns = 0;
	CLEANUP(seen_clear) struct seen seen = SEEN_INIT;

	(void)state;
	l->lie = LIE_KEEPS;
	for (int i = 0; i < 3; i++)
		ok(probe_store(s, &now_ns, e));
	/* what other probes left is no obstacle; all of it lies below probe/ */
	ok(store_list(l->inner, "probe/", NULL, see, &seen, e));
	assert_int_equal(seen.count, 3);
	seen.count = 0;
	ok(store_list(l->inner, "", NULL, see, &seen, e));
	assert_int_equal(seen.count, 3);
}

static void test_probe_store__the_stores_failure_is_no_verdict(void **state)
{
	static const struct trouble plans[] = {
		{ .call = CALL_PUT, .fault = FAULT_FAIL, .times = 1 },
		{ .call = CALL_PUT, .fault = FAULT_FAIL, .times = 1, .skip = 1 },
		{ .call = CALL_HEAD, .fault = FAULT_FAIL, .times = 1 },
		{ .call = CALL_GET, .fault = FAULT_FAIL, .times = 1 },
		{ .call = CALL_LIST, .fault = FAULT_FAIL, .times = 1 },
	};
	struct trouble t = { 0 };
	struct err err = ERR_INIT;
	auto_store struct store *s = store_fault_new(&liar_in_memory()->base, trouble_decide, &t,
	                                             &err);
	int64_t now_ns = 7;

	(void)state;
	assert_non_null(s);
	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		t = plans[i];
		fails(ERR_RETRY, probe_store(s, &now_ns, e));
		assert_int_equal(now_ns, 7);
	}
	t = (struct trouble){ .call = CALL_PUT, .fault = FAULT_DENIED, .times = 1 };
	fails(ERR_DENIED, probe_store(s, &now_ns, e));
}

/* ---- a writer ---- */

/* A kit whose store can be made to lie. */
static struct liar *kit_liar(struct kit *k)
{
	struct liar *l = liar_new(k->store);

	kit_use_store(k, &l->base);
	return l;
}

static void test_probe_writer__once_a_day(void **state)
{
	auto_kit struct kit k = kit_new();
	struct liar *l = kit_liar(&k);
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *stamp = path_join(dir, "probed");
	struct repo *r = k.agent;
	bool single = true;

	(void)state;
	(void)snprintf(r->state, sizeof(r->state), "%s", dir);
	ok(probe_writer(r, &single, e));
	assert_false(single);
	assert_int_equal(l->puts, 2);
	ok(probe_writer(r, &single, e));
	assert_int_equal(l->puts, 2);
	/* by age of the stamp in hours; the clock may have gone back, too */
	static const struct {
		int hours;
		bool again;
	} cases[] = { { 1, false }, { 23, false }, { 25, true }, { 24 * 400, true }, { -1, true } };
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t at_s = now_wall_ns() / 1000000000 - (int64_t)cases[i].hours * 3600;
		const struct timeval times[2] = { { .tv_sec = at_s }, { .tv_sec = at_s } };

		assert_int_equal(utimes(stamp, times), 0);
		l->puts = 0;
		ok(probe_writer(r, &single, e));
		assert_int_equal(l->puts, cases[i].again ? 2 : 0);
		/* and it counts from now on */
		ok(probe_writer(r, &single, e));
		assert_int_equal(l->puts, cases[i].again ? 2 : 0);
	}
}

static void test_probe_writer__a_store_that_fails_is_asked_again(void **state)
{
	auto_kit struct kit k = kit_new();
	struct liar *l = kit_liar(&k);
	auto_tmpdir char *dir = tmpdir_new();
	bool single = false;

	(void)state;
	(void)snprintf(k.agent->state, sizeof(k.agent->state), "%s", dir);
	l->lie = LIE_REPLACES;
	fails(ERR_UNSUPPORTED, probe_writer(k.agent, &single, e));
	fails(ERR_UNSUPPORTED, probe_writer(k.agent, &single, e));
	l->lie = TRUE_STORE;
	ok(probe_writer(k.agent, &single, e));
}

static void test_probe_writer__without_a_state_directory_each_time(void **state)
{
	auto_kit struct kit k = kit_new();
	struct liar *l = kit_liar(&k);
	bool single = true;

	(void)state;
	for (unsigned i = 1; i <= 3; i++) {
		ok(probe_writer(k.agent, &single, e));
		assert_false(single);
		assert_int_equal(l->puts, 2 * i);
	}
	/* one that cannot be written to does no harm */
	(void)snprintf(k.agent->state, sizeof(k.agent->state), "%s/missing", k.dir);
	ok(probe_writer(k.agent, &single, e));
	ok(probe_writer(k.agent, &single, e));
	assert_int_equal(l->puts, 10);
}

static void test_probe_writer__single_writer_mode_needs_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	struct liar *l = kit_liar(&k);
	bool single = false;

	(void)state;
	l->lie = LIE_REPLACES;
	k.agent->params.single_writer = true;
	ok(probe_writer(k.agent, &single, e));
	assert_true(single);
	assert_int_equal(l->puts, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probe_store__a_good_one_tells_its_time),
		cmocka_unit_test(test_probe_store__each_lie_is_found),
		cmocka_unit_test(test_probe_store__without_the_right_to_delete),
		cmocka_unit_test(test_probe_store__the_stores_failure_is_no_verdict),
		cmocka_unit_test(test_probe_writer__once_a_day),
		cmocka_unit_test(test_probe_writer__a_store_that_fails_is_asked_again),
		cmocka_unit_test(test_probe_writer__without_a_state_directory_each_time),
		cmocka_unit_test(test_probe_writer__single_writer_mode_needs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
