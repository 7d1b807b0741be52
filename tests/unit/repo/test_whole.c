/* SPDX-License-Identifier: Apache-2.0 */
/* A point is whole when the store lists all that it names, wherever a collection has put it. */
#include "repo/whole.h"

#include "tests/harness/repo_kit.h"

static int setup(void **state)
{
	static struct kit k;

	k = kit_new();
	*state = &k;
	return 0;
}

static int teardown(void **state)
{
	kit_clear(*state);
	return 0;
}

static const struct kit_content content = {
	.volume = "data", .domain = "default", .n = 1, .files = 12, .bytes = 3000, .seed = 7
};

static void assert_whole(const struct repo *r, const struct point *p, bool wanted)
{
	bool whole = !wanted;

	ok(whole_look(r, p, &whole, e));
	assert_int_equal(whole, wanted);
}

static void remove_first(const struct kit *k, const char *prefix)
{
	struct kit_names names = { .n = 0 };

	kit_list(k, prefix, &names);
	assert_true(names.n > 0);
	kit_remove(k, names.keys[0]);
}

static void test_look__a_committed_point_is_whole(void **state)
{
	struct kit *k = *state;
	auto_kit_point struct point p = kit_backup(k, &content);

	assert_whole(k->recovery, &p, true);
	assert_whole(k->audit, &p, true);
}

static void test_look__a_point_without_its_contents_is_not(void **state)
{
	struct kit *k = *state;
	auto_kit_point struct point p = kit_backup(k, &content);

	remove_first(k, "pack/");
	assert_whole(k->recovery, &p, false);
}

static void test_look__a_point_without_its_tree_is_not(void **state)
{
	struct kit *k = *state;
	auto_kit_point struct point p = kit_backup(k, &content);

	remove_first(k, "meta/");
	assert_whole(k->recovery, &p, false);
}

static void test_look__packs_of_others_make_no_difference(void **state)
{
	struct kit *k = *state;
	struct kit_content other = content;
	auto_kit_point struct point p = kit_backup(k, &content);

	other.volume = "other";
	other.seed = 1000;
	for (other.n = 2; other.n < 6; other.n++) {
		auto_kit_point struct point q = kit_backup(k, &other);

		assert_whole(k->recovery, &q, true);
	}
	assert_whole(k->recovery, &p, true);
}

static void test_look__what_was_moved_is_where_the_index_says(void **state)
{
	struct kit *k = *state;
	struct kit_content moved = content;

	moved.moved = true;
	auto_kit_point struct point p = kit_backup(k, &moved);
	assert_whole(k->recovery, &p, true);
	remove_first(k, "pack/");
	assert_whole(k->recovery, &p, false);
}

static void test_point__one_list_for_several(void **state)
{
	struct kit *k = *state;
	struct kit_content other = content;
	bool whole[2] = { false, false };

	other.n = 2;
	other.seed = 1000;
	auto_kit_point struct point p = kit_backup(k, &content);
	auto_kit_point struct point q = kit_backup(k, &other);
	for (int round = 0; round < 2; round++) {
		auto_whole struct whole *w = NULL;

		ok(whole_new(k->recovery, &w, e));
		ok(whole_point(w, &p, &whole[0], e));
		ok(whole_point(w, &q, &whole[1], e));
		assert_int_equal(whole[0] + whole[1], 2 - round);
		if (round == 0)
			remove_first(k, "pack/");
	}
}

static void test_look__a_store_that_does_not_answer_says_nothing_of_the_point(void **state)
{
	struct kit *k = *state;
	struct cancel cancel;
	auto_kit_point struct point p = kit_backup(k, &content);
	struct err why = ERR_INIT;
	bool whole;

	assert_int_equal(cancel_init(&cancel), 0);
	cancel_request(&cancel);
	k->recovery->cancel = &cancel;
	assert_int_equal(whole_look(k->recovery, &p, &whole, &why), -1);
	assert_int_equal(why.class, ERR_CANCELLED);
	k->recovery->cancel = NULL;
	cancel_clear(&cancel);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_look__a_committed_point_is_whole),
		CASE(test_look__a_point_without_its_contents_is_not),
		CASE(test_look__a_point_without_its_tree_is_not),
		CASE(test_look__packs_of_others_make_no_difference),
		CASE(test_look__what_was_moved_is_where_the_index_says),
		CASE(test_point__one_list_for_several),
		CASE(test_look__a_store_that_does_not_answer_says_nothing_of_the_point),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
