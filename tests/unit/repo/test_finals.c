/* SPDX-License-Identifier: Apache-2.0 */
/* What collections have decided is known for ever, from few objects, and of this store only. */
#include "repo/finals.h"

#include "tests/unit/repo/note_kit.h"

/* Puts a part of a generation that names this pack. */
static void put_part(const struct kit *k, uint64_t n, enum collection_part part, unsigned pack)
{
	CLEANUP(collection_list_clear) struct collection_list l = { 0 };
	uint8_t id[FORMAT_PACK_ID_BYTES];

	fill_random(pack, id, sizeof(id));
	ok(pack_list_add(&l.packs, CHUNK_DATA, id, e));
	ok(collection_put(k->agent, n, part, &l, NULL, e));
}

static void remove_part(const struct kit *k, uint64_t n, enum collection_part part)
{
	char key[64];

	collection_key(n, part, key);
	kit_remove(k, key);
}

/* Generation n, done, whose final names this pack. */
static void collect(const struct kit *k, uint64_t n, unsigned pack)
{
	put_part(k, n, COLLECTION_FINAL, pack);
	put_part(k, n, COLLECTION_DONE, 0);
}

static bool has(const struct pack_list *l, unsigned pack)
{
	uint8_t id[FORMAT_PACK_ID_BYTES];

	fill_random(pack, id, sizeof(id));
	return pack_list_has(l, CHUNK_DATA, id);
}

/* Exactly these of the packs 0 to 7 are dead, by a look at the state of now. */
static void assert_dead(const struct kit *k, unsigned packs, uint64_t bad)
{
	CLEANUP(pack_list_clear) struct pack_list l = { 0 };
	struct collection_state s;
	uint64_t got = 99;

	ok(collection_state(k->agent, &s, e));
	ok(finals_load(k->agent, &s, &l, &got, e));
	assert_int_equal(got, bad);
	for (unsigned n = 0; n < 8; n++) {
		if (has(&l, n) != ((packs & 1U << n) != 0))
			fail_msg("pack %u is %sdead", n, has(&l, n) ? "" : "not ");
	}
}

static void use_state(struct kit *k)
{
	(void)snprintf(k->agent->state, sizeof(k->agent->state), "%s", k->dir);
}

static void test_finals_load__a_list_of_all_stands_for_those_before(void **state)
{
	auto_kit struct kit k = kit_new();

	(void)state;
	assert_dead(&k, 0, 0);
	collect(&k, 1, 1);
	collect(&k, 2, 2);
	assert_dead(&k, 1U << 1 | 1U << 2, 0);
	remove_part(&k, 1, COLLECTION_FINAL);
	assert_dead(&k, 1U << 2, 1);
	put_part(&k, 2, COLLECTION_FINALS, 3);
	collect(&k, 3, 4);
	assert_dead(&k, 1U << 3 | 1U << 4, 0);
}

static void test_finals_load__what_was_read_once_is_kept(void **state)
{
	auto_kit struct kit k = kit_new();

	(void)state;
	use_state(&k);
	collect(&k, 1, 1);
	collect(&k, 2, 2);
	assert_dead(&k, 1U << 1 | 1U << 2, 0);
	remove_part(&k, 1, COLLECTION_FINAL);
	remove_part(&k, 2, COLLECTION_FINAL);
	collect(&k, 3, 3);
	assert_dead(&k, 1U << 1 | 1U << 2 | 1U << 3, 0);
}

static void test_finals_load__a_store_that_was_put_back_has_not_decided_it(void **state)
{
	auto_kit struct kit k = kit_new();

	(void)state;
	use_state(&k);
	collect(&k, 1, 1);
	collect(&k, 2, 2);
	assert_dead(&k, 1U << 1 | 1U << 2, 0);

	/* It is as it was before the second one, whose packs are there again, and needed. */
	remove_part(&k, 2, COLLECTION_FINAL);
	remove_part(&k, 2, COLLECTION_DONE);
	assert_dead(&k, 1U << 1, 0);
	collect(&k, 2, 3);
	assert_dead(&k, 1U << 1 | 1U << 3, 0);
}

static void test_finals_load__another_process_may_have_read_more(void **state)
{
	CLEANUP(pack_list_clear) struct pack_list l = { 0 };
	auto_kit struct kit k = kit_new();
	struct collection_state before;

	(void)state;
	use_state(&k);
	collect(&k, 1, 1);
	ok(collection_state(k.agent, &before, e));
	collect(&k, 2, 2);
	assert_dead(&k, 1U << 1 | 1U << 2, 0);
	ok(finals_load(k.agent, &before, &l, NULL, e));
	assert_true(has(&l, 1));
	assert_true(has(&l, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finals_load__a_list_of_all_stands_for_those_before),
		cmocka_unit_test(test_finals_load__what_was_read_once_is_kept),
		cmocka_unit_test(test_finals_load__a_store_that_was_put_back_has_not_decided_it),
		cmocka_unit_test(test_finals_load__another_process_may_have_read_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
