/* SPDX-License-Identifier: Apache-2.0 */
/* What counts as absent: lists of packs and of places, and the form they are kept in. */
#include "repo/absent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/harness/harness.h"

/* Pack number n. */
static void pack_id(unsigned n, uint8_t ret[FORMAT_PACK_ID_BYTES])
{
	fill_random(n, ret, FORMAT_PACK_ID_BYTES);
}

static void add(struct pack_list *l, uint8_t kind, unsigned n)
{
	uint8_t id[FORMAT_PACK_ID_BYTES];
	struct err e = ERR_INIT;

	pack_id(n, id);
	assert_int_equal(pack_list_add(l, kind, id, &e), 0);
}

static bool has(const struct pack_list *l, uint8_t kind, unsigned n)
{
	uint8_t id[FORMAT_PACK_ID_BYTES];

	pack_id(n, id);
	return pack_list_has(l, kind, id);
}

static void assert_sorted(const struct pack_list *l)
{
	for (size_t i = 1; i < l->n; i++) {
		const struct pack_name *a = &l->v[i - 1];
		const struct pack_name *b = &l->v[i];

		assert_true(a->kind < b->kind ||
		            (a->kind == b->kind && memcmp(a->id, b->id, sizeof(a->id)) < 0));
	}
}

static void test_pack_list__an_empty_one_has_nothing(void **state)
{
	CLEANUP(pack_list_clear) struct pack_list l = { 0 };

	(void)state;
	assert_false(has(&l, CHUNK_DATA, 1));
	pack_list_sort(&l);
	assert_int_equal(l.n, 0);
	assert_false(has(&l, CHUNK_NODE, 1));
}

static void test_pack_list__has_what_was_added_of_its_kind(void **state)
{
	CLEANUP(pack_list_clear) struct pack_list l = { 0 };

	(void)state;
	for (unsigned n = 300; n > 0; n--)
		add(&l, n % 3 == 0 ? CHUNK_NODE : CHUNK_DATA, n);
	pack_list_sort(&l);
	assert_int_equal(l.n, 300);
	assert_sorted(&l);
	for (unsigned n = 1; n <= 300; n++) {
		assert_int_equal(has(&l, CHUNK_NODE, n), n % 3 == 0);
		assert_int_equal(has(&l, CHUNK_DATA, n), n % 3 != 0);
	}
	for (unsigned n = 301; n < 400; n++)
		assert_false(has(&l, CHUNK_DATA, n) || has(&l, CHUNK_NODE, n));
}

static void test_pack_list_sort__drops_doubles(void **state)
{
	CLEANUP(pack_list_clear) struct pack_list l = { 0 };

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		add(&l, CHUNK_DATA, i % 10);
		add(&l, CHUNK_NODE, i % 5);
	}
	pack_list_sort(&l);
	assert_int_equal(l.n, 15);
	assert_sorted(&l);
	pack_list_sort(&l);
	assert_int_equal(l.n, 15);
}

static void test_pack_list_clear__it_can_be_used_again(void **state)
{
	struct pack_list l = { 0 };

	(void)state;
	add(&l, CHUNK_DATA, 1);
	pack_list_clear(&l);
	assert_int_equal(l.n, 0);
	assert_false(has(&l, CHUNK_DATA, 1));
	add(&l, CHUNK_DATA, 2);
	assert_true(has(&l, CHUNK_DATA, 2));
	pack_list_clear(&l);
	pack_list_clear(&l);
}

static void test_pack_list_encode__and_back(void **state)
{
	CLEANUP(pack_list_clear) struct pack_list l = { 0 };
	CLEANUP(pack_list_clear) struct pack_list back = { 0 };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(KIB);
	uint8_t id[FORMAT_PACK_ID_BYTES];
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(pack_list_encode(&l, &b, &e), 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(pack_list_decode(&back, b.data, 0, &e), 0);
	assert_int_equal(back.n, 0);
	add(&l, CHUNK_NODE, 5);
	add(&l, CHUNK_DATA, 3);
	assert_int_equal(pack_list_encode(&l, &b, &e), 0);
	assert_int_equal(b.len, 2 * FORMAT_PACK_NAME_BYTES);
	assert_int_equal(b.data[0], 1);
	pack_id(5, id);
	assert_memory_equal(b.data + 1, id, 16);
	assert_int_equal(b.data[17], 0);
	assert_int_equal(pack_list_decode(&back, b.data, 2, &e), 0);
	assert_int_equal(back.n, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(back.v[i].kind, l.v[i].kind);
		assert_memory_equal(back.v[i].id, l.v[i].id, 16);
	}
	/* it is appended to what is there */
	assert_int_equal(pack_list_decode(&back, b.data, 1, &e), 0);
	assert_int_equal(back.n, 3);
}

static void test_pack_list_encode__over_the_limit_is_an_error(void **state)
{
	CLEANUP(pack_list_clear) struct pack_list l = { 0 };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(2 * FORMAT_PACK_NAME_BYTES - 1);
	struct err e = ERR_INIT;

	(void)state;
	add(&l, CHUNK_DATA, 1);
	add(&l, CHUNK_DATA, 2);
	assert_int_equal(pack_list_encode(&l, &b, &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
}

static void test_pack_list_decode__refuses_kinds_that_are_none(void **state)
{
	static const uint8_t kinds[] = { 2, 3, 'P', 'M', 255 };
	uint8_t bytes[3 * FORMAT_PACK_NAME_BYTES] = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		CLEANUP(pack_list_clear) struct pack_list l = { 0 };
		struct err e = ERR_INIT;

		bytes[(size_t)2 * FORMAT_PACK_NAME_BYTES] = kinds[i];
		assert_int_equal(pack_list_decode(&l, bytes, 2, &e), 0);
		assert_int_equal(pack_list_decode(&l, bytes, 3, &e), -1);
		assert_int_equal(e.class, ERR_FORMAT);
	}
}

/* ---- places ---- */

static struct chunk_ref ref_at(uint8_t kind, unsigned pack, uint32_t off)
{
	struct chunk_ref r = { .kind = kind, .off = off, .stored = 100, .plain = 84 };

	pack_id(pack, r.pack);
	return r;
}

static void add_place(struct absent *a, uint8_t kind, unsigned pack, uint32_t off)
{
	struct place p = { .pack = { .kind = kind }, .off = off };
	struct err e = ERR_INIT;

	pack_id(pack, p.pack.id);
	assert_int_equal(absent_add_place(a, &p, &e), 0);
}

static bool absent_at(const struct absent *a, uint8_t kind, unsigned pack, uint32_t off)
{
	struct chunk_ref r = ref_at(kind, pack, off);

	return absent_has(a, &r);
}

static void test_absent_has__nothing_when_empty(void **state)
{
	CLEANUP(absent_clear) struct absent a = { 0 };

	(void)state;
	absent_sort(&a);
	assert_false(absent_at(&a, CHUNK_DATA, 1, 0));
}

static void test_absent_has__all_places_of_a_pack(void **state)
{
	CLEANUP(absent_clear) struct absent a = { 0 };

	(void)state;
	add(&a.packs, CHUNK_DATA, 7);
	add(&a.packs, CHUNK_DATA, 2);
	absent_sort(&a);
	assert_true(absent_at(&a, CHUNK_DATA, 7, 0));
	assert_true(absent_at(&a, CHUNK_DATA, 2, UINT32_MAX));
	assert_false(absent_at(&a, CHUNK_NODE, 7, 0));
	assert_false(absent_at(&a, CHUNK_DATA, 3, 0));
}

static void test_absent_has__one_place_and_not_its_neighbours(void **state)
{
	CLEANUP(absent_clear) struct absent a = { 0 };

	(void)state;
	for (unsigned n = 100; n > 0; n--) {
		add_place(&a, CHUNK_DATA, n, n * 10);
		add_place(&a, CHUNK_DATA, n, n * 10 + 2);
	}
	add_place(&a, CHUNK_NODE, 200, UINT32_MAX);
	add_place(&a, CHUNK_NODE, 200, 0);
	add_place(&a, CHUNK_NODE, 200, 0); /* marked twice */
	absent_sort(&a);
	for (unsigned n = 1; n <= 100; n++) {
		assert_true(absent_at(&a, CHUNK_DATA, n, n * 10));
		assert_false(absent_at(&a, CHUNK_DATA, n, n * 10 + 1));
		assert_true(absent_at(&a, CHUNK_DATA, n, n * 10 + 2));
		assert_false(absent_at(&a, CHUNK_NODE, n, n * 10));
		assert_false(absent_at(&a, CHUNK_DATA, n, n * 10 - 1));
	}
	assert_true(absent_at(&a, CHUNK_NODE, 200, 0));
	assert_true(absent_at(&a, CHUNK_NODE, 200, UINT32_MAX));
	assert_false(absent_at(&a, CHUNK_DATA, 200, 0));
}

static void test_absent_clear__it_can_be_used_again(void **state)
{
	struct absent a = { 0 };

	(void)state;
	add(&a.packs, CHUNK_DATA, 1);
	add_place(&a, CHUNK_DATA, 2, 5);
	absent_clear(&a);
	assert_false(absent_at(&a, CHUNK_DATA, 1, 0));
	assert_false(absent_at(&a, CHUNK_DATA, 2, 5));
	add_place(&a, CHUNK_DATA, 2, 6);
	absent_sort(&a);
	assert_true(absent_at(&a, CHUNK_DATA, 2, 6));
	absent_clear(&a);
	absent_clear(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pack_list__an_empty_one_has_nothing),
		cmocka_unit_test(test_pack_list__has_what_was_added_of_its_kind),
		cmocka_unit_test(test_pack_list_sort__drops_doubles),
		cmocka_unit_test(test_pack_list_clear__it_can_be_used_again),
		cmocka_unit_test(test_pack_list_encode__and_back),
		cmocka_unit_test(test_pack_list_encode__over_the_limit_is_an_error),
		cmocka_unit_test(test_pack_list_decode__refuses_kinds_that_are_none),
		cmocka_unit_test(test_absent_has__nothing_when_empty),
		cmocka_unit_test(test_absent_has__all_places_of_a_pack),
		cmocka_unit_test(test_absent_has__one_place_and_not_its_neighbours),
		cmocka_unit_test(test_absent_clear__it_can_be_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
