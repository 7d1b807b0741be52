/* SPDX-License-Identifier: Apache-2.0 */
/* Records of verification: what goes in comes out, and the ages of packs that follow. */
#include "repo/checked.h"

#include "tests/harness/repo_kit.h"

static void add_pack(struct pack_list *l, uint8_t kind, unsigned n)
{
	uint8_t id[16] = { (uint8_t)(n >> 8), (uint8_t)n };

	ok(pack_list_add(l, kind, id, e));
}

static int64_t age(const struct checked_ages *a, uint8_t kind, unsigned n)
{
	const uint8_t id[16] = { (uint8_t)(n >> 8), (uint8_t)n };

	return checked_age_of(a, kind, id);
}

static void put(const struct kit *k, struct checked *x, unsigned from, unsigned to)
{
	CLEANUP(pack_list_clear) struct pack_list l = { 0 };

	for (unsigned i = to; i-- > from;)
		add_pack(&l, CHUNK_DATA, i);
	ok(checked_put(k->agent, x, &l, e));
}

static int keep(void *arg, const struct checked *x, const struct pack_list *packs, struct err *e)
{
	(void)e;
	assert_int_equal(packs->n, x->packs);
	*(struct checked *)arg = *x;
	return 0;
}

static int none_wanted(void *arg, const char *key, struct err *e)
{
	(void)arg;
	(void)e;
	assert_int_equal(strncmp(key, "check/", 6), 0);
	return 0;
}

static void test_checked_put__comes_back(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(pack_list_clear) struct pack_list l = { 0 };
	struct checked x = {
		.level = 3,
		.ended = true,
		.all = true,
		.started_ns = 1000,
		.finished_ns = 2000,
		.points = 3,
		.objects = 4,
		.bytes_read = 5,
		.problems = 6,
		.hurt_points = 7,
		.hurt_entries = 8,
		.packs_verified = 9,
		.bytes_verified = 10,
	};
	struct checked back = { 0 };

	(void)state;
	checked_new_run(x.run);
	add_pack(&l, CHUNK_NODE, 9);
	add_pack(&l, CHUNK_DATA, 300);
	add_pack(&l, CHUNK_DATA, 300);
	ok(checked_put(k.agent, &x, &l, e));
	ok(checked_each(k.audit, NULL, keep, &back, e));
	assert_string_equal(back.run, x.run);
	assert_int_equal(back.level, 3);
	assert_true(back.ended && back.all);
	assert_int_equal(back.started_ns, 1000);
	assert_int_equal(back.finished_ns, 2000);
	assert_int_equal(back.points, 3);
	assert_int_equal(back.objects, 4);
	assert_int_equal(back.bytes_read, 5);
	assert_int_equal(back.problems, 6);
	assert_int_equal(back.hurt_points, 7);
	assert_int_equal(back.hurt_entries, 8);
	assert_int_equal(back.packs_verified, 9);
	assert_int_equal(back.bytes_verified, 10);
	assert_int_equal(back.packs, 2); /* each once */
	assert_true(back.received_ns > 0);
	assert_true(back.by.host[0]);
	assert_memory_equal(back.signer, k.agent->keys->signer_id, 8);
	assert_int_equal(strncmp(back.key, "check/", 6), 0);

	/* What is known is not read again. */
	struct checked none = { 0 };
	ok(checked_each(k.audit, none_wanted, keep, &none, e));
	assert_int_equal(none.received_ns, 0);
}

static void test_checked_put__needs_a_key_that_signs(void **state)
{
	auto_kit struct kit k = kit_new();
	struct pack_list none = { 0 };
	struct checked x = { .level = 2 };

	(void)state;
	checked_new_run(x.run);
	fails(ERR_DENIED, checked_put(k.audit, &x, &none, e));
}

static void test_checked_each__passes_over_what_does_not_open(void **state)
{
	auto_kit struct kit k = kit_new();
	struct checked x = { .level = 3 };
	struct kit_names names;
	struct checked back = { 0 };

	(void)state;
	checked_new_run(x.run);
	put(&k, &x, 0, 3);
	kit_list(&k, "check/", &names);
	kit_flip(&k, names.keys[0], -100);
	ok(put_text(k.store, "check/readme", "hello", e));
	ok(checked_each(k.audit, NULL, keep, &back, e));
	assert_int_equal(back.received_ns, 0);
}

static void test_checked_ages__newest_of_each_pack_at_the_level(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(checked_ages_clear) struct checked_ages a = { 0 };
	struct checked x = { .level = 3, .all = true, .started_ns = 10 };
	struct checked last = { 0 };

	(void)state;
	ok(checked_ages(k.audit, 3, &a, e));
	assert_int_equal(age(&a, CHUNK_DATA, 1), 0);
	checked_ages_clear(&a);
	checked_new_run(x.run);
	put(&k, &x, 0, 6000);
	ok(checked_ages(k.audit, 3, &a, e));
	int64_t first_ns = age(&a, CHUNK_DATA, 5999);
	assert_true(first_ns > 0);
	assert_int_equal(age(&a, CHUNK_DATA, 6000), 0);
	assert_int_equal(age(&a, CHUNK_NODE, 1), 0);
	assert_string_equal(a.open_run, x.run);
	assert_int_equal(a.open_started_ns, 10);
	checked_ages_clear(&a);

	x.level = 4;
	x.ended = true;
	x.started_ns = 20;
	checked_new_run(x.run);
	put(&k, &x, 5000, 7000);
	ok(checked_each(k.audit, NULL, keep, &last, e));
	ok(checked_ages(k.audit, 3, &a, e));
	assert_int_equal(a.n, 7000);
	assert_string_equal(a.open_run, "");
	assert_true(age(&a, CHUNK_DATA, 4999) <= age(&a, CHUNK_DATA, 5000));
	assert_true(age(&a, CHUNK_DATA, 6999) > 0);
	checked_ages_clear(&a);
	ok(checked_ages(k.audit, 4, &a, e));
	assert_int_equal(a.n, 2000);
	assert_int_equal(age(&a, CHUNK_DATA, 4999), 0);
}

static void test_checked_ages__damage_ends_what_was_said_before(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(checked_ages_clear) struct checked_ages a = { 0 };
	struct checked x = { .level = 4 };

	(void)state;
	checked_new_run(x.run);
	put(&k, &x, 0, 4);
	x.damaged = true;
	x.level = 3;
	put(&k, &x, 2, 3);
	struct checked last = { 0 };
	ok(checked_each(k.audit, NULL, keep, &last, e));
	ok(checked_ages(k.audit, 4, &a, e));
	assert_true(age(&a, CHUNK_DATA, 1) > 0);
	assert_int_equal(age(&a, CHUNK_DATA, 2), 0);
	/* A later look that found it good counts again. */
	checked_ages_clear(&a);
	x.damaged = false;
	x.level = 4;
	put(&k, &x, 2, 3);
	ok(checked_ages(k.audit, 4, &a, e));
	assert_true(age(&a, CHUNK_DATA, 2) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checked_put__comes_back),
		cmocka_unit_test(test_checked_ages__damage_ends_what_was_said_before),
		cmocka_unit_test(test_checked_put__needs_a_key_that_signs),
		cmocka_unit_test(test_checked_each__passes_over_what_does_not_open),
		cmocka_unit_test(test_checked_ages__newest_of_each_pack_at_the_level),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
