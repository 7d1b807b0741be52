/* SPDX-License-Identifier: Apache-2.0 */
/* The set of references: nothing gets lost, nothing comes twice, packs come in order. */
#include "repo/refset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "tests/harness/harness.h"

/* Item number n: of pack n % packs, everything else follows from n. */
static struct refset_item item_of(uint64_t n, unsigned packs, uint8_t flags)
{
	struct refset_item x = { .domain = (uint16_t)(n % 3), .flags = flags };
	unsigned pack = (unsigned)(n % packs);

	x.ref.kind = pack % 5 == 0 ? CHUNK_NODE : CHUNK_DATA;
	x.ref.pack[0] = (uint8_t)(pack * 37);
	x.ref.pack[15] = (uint8_t)pack;
	memcpy(x.ref.id, &n, sizeof(n));
	x.ref.off = (uint32_t)(n / packs * 100);
	x.ref.stored = 50;
	x.ref.plain = 34;
	return x;
}

static void add(struct refset *s, const struct refset_item *x)
{
	struct err e = ERR_INIT;

	if (refset_add(s, x, 1, &e) < 0)
		fail_msg("%s", e.msg);
}

/* Reads all; every pack must come once and in order, items by offset. Returns how many items. */
static uint64_t read_all(struct refset *s, uint64_t *ret_flags)
{
	CLEANUP(refset_group_clear) struct refset_group g = { 0 };
	struct refset_item last = { 0 };
	bool any = false;
	uint64_t n = 0;
	uint8_t kind;
	uint8_t pack[FORMAT_PACK_ID_BYTES];
	struct err e = ERR_INIT;

	*ret_flags = 0;
	assert_int_equal(refset_rewind(s, &e), 0);
	while (refset_peek(s, &kind, pack)) {
		assert_int_equal(refset_take(s, &g, &e), 0);
		assert_true(g.n > 0);
		for (size_t i = 0; i < g.n; i++) {
			const struct refset_item *x = &g.items[i];

			assert_int_equal(refset_pack_cmp(x->ref.kind, x->ref.pack, kind, pack), 0);
			if (i > 0)
				assert_true(g.items[i - 1].ref.off < x->ref.off);
			*ret_flags += x->flags;
		}
		if (any)
			assert_true(refset_pack_cmp(last.ref.kind, last.ref.pack, kind, pack) < 0);
		last = g.items[0];
		any = true;
		n += g.n;
	}
	assert_int_equal(refset_take(s, &g, &e), 0);
	assert_int_equal(g.n, 0);
	return n;
}

static void test_refset__empty_one_has_nothing(void **state)
{
	auto_refset struct refset *s = refset_new(NULL);
	uint64_t flags;

	(void)state;
	assert_true(refset_empty(s));
	assert_int_equal(read_all(s, &flags), 0);
}

static void test_refset__doubles_become_one_and_their_flags_add_up(void **state)
{
	auto_refset struct refset *s = refset_new(NULL);
	uint64_t flags;

	(void)state;
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < 20; i++) {
			const uint8_t flag = round % 2 ? REFSET_POINT : REFSET_INDEX;
			struct refset_item x = item_of(i, 4, flag);

			add(s, &x);
		}
	}
	assert_false(refset_empty(s));
	assert_int_equal(read_all(s, &flags), 20);
	assert_int_equal(flags, 20 * (REFSET_POINT | REFSET_INDEX));
	assert_int_equal(read_all(s, &flags), 20); /* and once more */
}

static void test_refset__items_that_differ_in_anything_stay_apart(void **state)
{
	auto_refset struct refset *s = refset_new(NULL);
	CLEANUP(refset_group_clear) struct refset_group g = { 0 };
	struct refset_item base = item_of(7, 1, REFSET_POINT);
	struct refset_item v[8];
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		v[i] = base;
	v[1].ref.id[31]++;
	v[2].ref.stored++;
	v[3].ref.plain++;
	v[4].ref.counter++;
	v[5].ref.key++;
	v[6].ref.compression++;
	v[7].domain++;
	assert_int_equal(refset_add(s, v, ARRAY_LEN(v), &e), 0);
	assert_int_equal(refset_add(s, v, ARRAY_LEN(v), &e), 0);
	assert_int_equal(refset_rewind(s, &e), 0);
	assert_int_equal(refset_take(s, &g, &e), 0);
	assert_int_equal(g.n, ARRAY_LEN(v));
}

/* More than one run, in memory and in files, with and without doubles. */
static void test_refset__many_items_fill_several_runs(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	const uint64_t many = 700000; /* three runs of 16 MiB */

	(void)state;
	for (unsigned in_file = 0; in_file < 2; in_file++) {
		auto_refset struct refset *s = refset_new(in_file ? dir : NULL);
		uint64_t flags;

		/* in an order that is not that of the packs */
		for (uint64_t i = 0; i < many; i++) {
			struct refset_item x = item_of(i * 7919 % many, 100, REFSET_POINT);

			add(s, &x);
		}
		for (uint64_t i = 0; i < many; i += 2) {
			struct refset_item x = item_of(i, 100, REFSET_INDEX);

			add(s, &x);
		}
		assert_int_equal(read_all(s, &flags), many);
		assert_int_equal(flags, many * REFSET_POINT + many / 2 * REFSET_INDEX);
		assert_int_equal(count_files(dir), 0); /* scratch has no names */
	}
}

static void test_refset__doubles_need_no_room(void **state)
{
	auto_refset struct refset *s = refset_new("/no/such/directory");
	struct refset_item x[64];
	struct err e = ERR_INIT;
	uint64_t flags;

	(void)state;
	/* the first run is in memory; as long as doubles make room there, no other is made */
	for (unsigned i = 0; i < ARRAY_LEN(x); i++)
		x[i] = item_of(i, 8, REFSET_POINT);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(refset_add(s, x, ARRAY_LEN(x), &e), 0);
	assert_int_equal(read_all(s, &flags), ARRAY_LEN(x));
}

static void test_refset_add__scratch_that_cannot_be_made_is_an_error(void **state)
{
	auto_refset struct refset *s = refset_new("/no/such/directory");
	struct err e = ERR_INIT;
	int rc = 0;

	(void)state;
	for (uint64_t i = 0; rc == 0 && i < 100000; i++) {
		struct refset_item x = item_of(i, 8, REFSET_POINT);

		rc = refset_add(s, &x, 1, &e);
	}
	assert_int_equal(rc, -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "/no/such/directory"));
}

struct adder {
	struct refset *s;
	uint64_t from;
};

static void *add_some(void *arg)
{
	const struct adder *a = arg;
	struct err e = ERR_INIT;

	for (uint64_t i = 0; i < 20000; i += 100) {
		struct refset_item x[100];

		for (unsigned k = 0; k < 100; k++)
			x[k] = item_of(a->from + i + k, 30, REFSET_POINT);
		if (refset_add(a->s, x, 100, &e) < 0)
			return arg;
	}
	return NULL;
}

static void test_refset_add__from_many_threads(void **state)
{
	auto_refset struct refset *s = refset_new(NULL);
	struct adder adders[4];
	pthread_t threads[4];
	uint64_t flags;
	void *failed;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		adders[i] = (struct adder){ .s = s, .from = i * 10000 }; /* they overlap */
		assert_int_equal(pthread_create(&threads[i], NULL, add_some, &adders[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(read_all(s, &flags), 50000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refset__empty_one_has_nothing),
		cmocka_unit_test(test_refset__doubles_become_one_and_their_flags_add_up),
		cmocka_unit_test(test_refset__items_that_differ_in_anything_stay_apart),
		cmocka_unit_test(test_refset__many_items_fill_several_runs),
		cmocka_unit_test(test_refset__doubles_need_no_room),
		cmocka_unit_test(test_refset_add__scratch_that_cannot_be_made_is_an_error),
		cmocka_unit_test(test_refset_add__from_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
