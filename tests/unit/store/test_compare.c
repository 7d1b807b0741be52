/* SPDX-License-Identifier: Apache-2.0 */
/* Two stores side by side, and how far a copy is. */
#include "store/compare.h"

#include "common/now.h"
#include "store/driver.h"
#include "tests/harness/store_kit.h"

#define S ((int64_t)1000000000)

/* ---- a store whose times of receipt are what a test says ---- */

struct entry {
	const char *key;
	uint64_t size;
	int64_t received_ns;
	bool vanishes; /* it is listed, and gone when asked for */
	bool hidden;   /* it is not listed, and there when asked for */
};

struct shelf {
	struct store base;
	const struct entry *v; /* ascending; ends with a key NULL */
	unsigned heads;
};

static int shelf_list(struct store *s, const char *prefix, const char *after,
                      int (*each)(void *arg, const struct store_item *item, struct err *e),
                      void *arg, struct err *e)
{
	const struct shelf *x = (const struct shelf *)s;

	for (const struct entry *v = x->v; v->key; v++) {
		struct store_item item = { .st.size = v->size, .st.received_ns = v->received_ns };

		if (v->hidden || strncmp(v->key, prefix, strlen(prefix)) != 0 ||
		    strcmp(v->key, after) <= 0)
			continue;
		(void)snprintf(item.key, sizeof(item.key), "%s", v->key);
		int rc = each(arg, &item, e);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
	}
	return 0;
}

static int shelf_head(struct store *s, const char *key, struct store_stat *ret, struct err *e)
{
	struct shelf *x = (struct shelf *)s;

	x->heads++;
	for (const struct entry *v = x->v; v->key; v++) {
		if (strcmp(v->key, key) == 0 && !v->vanishes) {
			*ret = (struct store_stat){ .size = v->size,
				                    .received_ns = v->received_ns };
			return 0;
		}
	}
	return err_set(e, ERR_NOT_FOUND, "no such object on the shelf");
}

static const struct store_ops shelf_ops = { .name = "shelf",
	                                    .list = shelf_list,
	                                    .head = shelf_head };
static char primary_url[] = "mem:primary";
static char copy_url[] = "mem:copy";

static struct store_cut cut_of(const struct entry *primary, const struct entry *copy,
                               int64_t since_ns)
{
	struct shelf p = { .base = { .ops = &shelf_ops, .url = primary_url }, .v = primary };
	struct shelf c = { .base = { .ops = &shelf_ops, .url = copy_url }, .v = copy };
	struct store_cut cut = { 0 };

	ok(store_compare_cut(&p.base, &c.base, since_ns, &cut, e));
	assert_int_equal(cut.kind, CUT_COMPARED);
	assert_string_equal(cut.status, "");
	return cut;
}

/* ---- comparing ---- */

static int note(void *arg, const struct store_pair *p, struct err *e)
{
	struct buf *b = arg;
	static const char *const names[] = {
		[SIDE_BOTH] = "both", [SIDE_LEFT] = "left", [SIDE_RIGHT] = "right"
	};

	(void)e;
	return buf_printf(b, "%s:%s:%d:%d ", p->key, names[p->side], (int)p->left.size,
	                  (int)p->right.size);
}

static struct store *with(const char *const *keys)
{
	struct store *s = NULL;

	ok((s = store_mem_new(e)) ? 0 : -1);
	for (; *keys; keys += 2)
		ok(put_text(s, keys[0], keys[1], e));
	return s;
}

static void test_store_compare__tells_of_each_key_who_has_it(void **state)
{
	static const char *const left[] = { "a", "1", "c", "333", "d/x", "22", "z", "1", NULL };
	static const char *const right[] = { "b", "22", "c", "333", "d/x", "1", NULL };
	auto_store struct store *l = with(left);
	auto_store struct store *r = with(right);
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4096);
	struct store_compared c;

	(void)state;
	ok(store_compare(l, r, "", note, &b, &c, e));
	assert_string_equal(buf_cstr(&b),
	                    "a:left:1:0 b:right:0:2 c:both:3:3 d/x:both:2:1 z:left:1:0 ");
	assert_int_equal(c.both, 1);
	assert_int_equal(c.both_bytes, 3);
	assert_int_equal(c.differ, 1);
	assert_int_equal(c.left, 2);
	assert_int_equal(c.left_bytes, 2);
	assert_int_equal(c.right, 1);
	assert_int_equal(c.right_bytes, 2);
	assert_true(c.newest_ns > 0);
}

static void test_store_compare__of_empty_stores_tells_nothing(void **state)
{
	static const char *const none[] = { NULL };
	static const char *const one[] = { "a", "1", NULL };
	auto_store struct store *l = with(none);
	auto_store struct store *r = with(none);
	auto_store struct store *x = with(one);
	struct store_compared c;

	(void)state;
	ok(store_compare(l, r, "", NULL, NULL, &c, e));
	assert_int_equal(c.both + c.differ + c.left + c.right, 0);
	assert_int_equal(c.newest_ns, 0);
	ok(store_compare(x, r, "", NULL, NULL, &c, e));
	assert_int_equal(c.left, 1);
	ok(store_compare(l, x, "b", NULL, NULL, &c, e));
	assert_int_equal(c.right, 0);
}

static int end_at_once(void *arg, const struct store_pair *p, struct err *e)
{
	(void)p;
	(void)e;
	return *(const int *)arg;
}

static int refuse(void *arg, const struct store_pair *p, struct err *e)
{
	(void)arg;
	(void)p;
	return err_set(e, ERR_BUSY, "this pair is not wanted by the test");
}

static void test_store_compare__ends_or_fails_as_it_is_told(void **state)
{
	static const char *const two[] = { "a", "1", "b", "1", NULL };
	auto_store struct store *l = with(two);
	auto_store struct store *r = with(two);
	struct store_compared c;
	int one = 1;

	(void)state;
	ok(store_compare(l, r, "", end_at_once, &one, &c, e));
	assert_int_equal(c.both, 1);
	fails_saying(ERR_BUSY, "not wanted", store_compare(l, r, "", refuse, NULL, &c, e));
}

static enum store_fault deny_lists(void *arg, uint64_t n, enum store_call call, const char *key)
{
	(void)arg;
	(void)n;
	(void)key;
	return call == CALL_LIST ? FAULT_DENIED : FAULT_NONE;
}

static void test_store_compare__names_the_store_that_fails(void **state)
{
	static const char *const one[] = { "a", "1", NULL };
	struct err err = ERR_INIT;
	auto_store struct store *l = with(one);
	auto_store struct store *bad = store_fault_new(store_mem_named("lost", &err), deny_lists,
	                                               NULL, &err);

	(void)state;
	fails_saying(ERR_DENIED, "mem:lost", store_compare(l, bad, "", NULL, NULL, NULL, e));
	fails_saying(ERR_DENIED, "mem:lost", store_compare(bad, l, "", NULL, NULL, NULL, e));
}

static void test_store_compare_is_local__of_what_is_about_the_place(void **state)
{
	(void)state;
	assert_true(store_compare_is_local("sess/2026-11-22/x"));
	assert_true(store_compare_is_local("pin/2026-11-22/x"));
	assert_true(store_compare_is_local("probe/x"));
	assert_true(store_compare_is_local("check/2026-11-22/x"));
	assert_false(store_compare_is_local("commit/2026-11-22/x"));
	assert_false(store_compare_is_local("config"));
	assert_false(store_compare_is_local("ctl/gc/00000001/final"));
	assert_false(store_compare_is_local("session"));
}

/* ---- the cut ---- */

static void test_store_compare_cut__is_the_newest_commit_while_nothing_lacks(void **state)
{
	static const struct entry same[] = { { "commit/a", 1, 100 * S + 5, false, false },
		                             { "commit/b", 1, 200 * S + 7, false, false },
		                             { "pack/1", 9, 300 * S + 1, false, false },
		                             { 0 } };
	struct store_cut c = cut_of(same, same, 0);

	(void)state;
	assert_int_equal(c.cut_ns, 200 * S + 7);
	assert_int_equal(c.at_ns, 300 * S + 1);
	assert_int_equal(c.behind, 0);
}

static void test_store_compare_cut__is_just_before_the_oldest_that_lacks(void **state)
{
	static const struct entry primary[] = { { "commit/a", 1, 100 * S, false, false },
		                                { "commit/b", 1, 200 * S, false, false },
		                                { "commit/c", 1, 300 * S, false, false },
		                                { "pack/1", 9, 90 * S, false, false },
		                                { "pack/2", 9, 190 * S, false, false },
		                                { "pack/3", 9, 290 * S, false, false },
		                                { 0 } };
	static const struct entry copy[] = { { "commit/a", 1, 900 * S, false, false },
		                             { "commit/b", 1, 900 * S, false, false },
		                             { "pack/1", 9, 900 * S, false, false },
		                             { "pack/3", 9, 900 * S, false, false },
		                             { 0 } };
	struct store_cut c = cut_of(primary, copy, 150 * S);

	(void)state;
	assert_int_equal(c.cut_ns, 190 * S - 1);
	assert_int_equal(c.at_ns, 300 * S);
	assert_int_equal(c.behind, 2);
}

static void test_store_compare_cut__an_object_of_another_size_lacks(void **state)
{
	static const struct entry primary[] = { { "commit/a", 1, 100 * S, false, false },
		                                { "pack/1", 9, 50 * S, false, false },
		                                { 0 } };
	static const struct entry copy[] = { { "commit/a", 1, 100 * S, false, false },
		                             { "pack/1", 8, 50 * S, false, false },
		                             { 0 } };
	struct store_cut c = cut_of(primary, copy, 0);

	(void)state;
	assert_int_equal(c.cut_ns, 50 * S - 1);
	assert_int_equal(c.behind, 1);
}

static void test_store_compare_cut__surplus_and_local_objects_do_not_count(void **state)
{
	static const struct entry primary[] = {
		{ "check/x", 1, 10 * S, false, false }, { "commit/a", 1, 100 * S, false, false },
		{ "pin/x", 1, 10 * S, false, false },   { "probe/x", 1, 10 * S, false, false },
		{ "sess/x", 1, 10 * S, false, false },  { 0 }
	};
	static const struct entry copy[] = { { "commit/a", 1, 100 * S, false, false },
		                             { "pack/old", 9, 1, false, false },
		                             { 0 } };
	struct store_cut c = cut_of(primary, copy, 0);

	(void)state;
	assert_int_equal(c.cut_ns, 100 * S);
	assert_int_equal(c.behind, 0);
}

static void test_store_compare_cut__what_was_deleted_meanwhile_is_not_behind(void **state)
{
	static const struct entry primary[] = { { "commit/a", 1, 100 * S, false, false },
		                                { "pack/1", 9, 50 * S, true, false },
		                                { 0 } };
	static const struct entry copy[] = { { "commit/a", 1, 100 * S, false, false }, { 0 } };
	struct store_cut c = cut_of(primary, copy, 0);

	(void)state;
	assert_int_equal(c.cut_ns, 100 * S);
	assert_int_equal(c.behind, 0);
}

static void test_store_compare_cut__what_was_copied_meanwhile_is_not_behind(void **state)
{
	static const struct entry primary[] = { { "commit/a", 1, 100 * S, false, false },
		                                { "pack/1", 9, 50 * S, false, false },
		                                { 0 } };
	static const struct entry copy[] = { { "commit/a", 1, 100 * S, false, false },
		                             { "pack/1", 9, 60 * S, false, true },
		                             { 0 } };
	struct store_cut c = cut_of(primary, copy, 0);

	(void)state;
	assert_int_equal(c.cut_ns, 100 * S);
	assert_int_equal(c.behind, 0);
}

static void test_store_compare_cut__of_many_that_lack_few_are_asked_for(void **state)
{
	static const struct entry primary[] = {
		{ "commit/a", 1, 100 * S, false, false }, { "pack/1", 9, 50 * S, false, false },
		{ "pack/2", 9, 51 * S, false, false },    { "pack/3", 9, 52 * S, false, false },
		{ "pack/4", 9, 53 * S, false, false },    { 0 }
	};
	static const struct entry copy[] = { { "commit/a", 1, 100 * S, false, false }, { 0 } };
	struct shelf p = { .base = { .ops = &shelf_ops, .url = primary_url }, .v = primary };
	struct shelf c = { .base = { .ops = &shelf_ops, .url = copy_url }, .v = copy };
	struct store_cut cut;

	(void)state;
	ok(store_compare_cut(&p.base, &c.base, 0, &cut, e));
	assert_int_equal(cut.behind, 4);
	assert_int_equal(cut.cut_ns, 50 * S - 1);
	assert_int_equal(p.heads, 1);
	assert_int_equal(c.heads, 1);
}

static void test_store_compare_cut__of_a_second_that_may_still_last_is_before_it(void **state)
{
	int64_t now_ns = now_wall_ns();
	const struct entry whole[] = { { "commit/a", 1, now_ns - now_ns % S, false, false },
		                       { 0 } };
	const struct entry exact[] = { { "commit/a", 1, now_ns - now_ns % S + 1, false, false },
		                       { 0 } };

	(void)state;
	assert_int_equal(cut_of(whole, whole, 0).cut_ns, whole[0].received_ns - 1);
	assert_int_equal(cut_of(exact, exact, 0).cut_ns, exact[0].received_ns);
}

static void test_store_compare_cut__does_not_go_back_while_nothing_lacks(void **state)
{
	static const struct entry same[] = { { "commit/a", 1, 100 * S, false, false }, { 0 } };

	(void)state;
	assert_int_equal(cut_of(same, same, 150 * S).cut_ns, 150 * S);
	assert_int_equal(cut_of(same, same, 50 * S).cut_ns, 100 * S);
}

static void test_store_compare_cut__of_an_empty_copy_is_before_everything(void **state)
{
	static const struct entry primary[] = { { "commit/a", 1, 0, false, false }, { 0 } };
	static const struct entry none[] = { { 0 } };
	struct store_cut c = cut_of(primary, none, 70 * S);

	(void)state;
	assert_int_equal(c.cut_ns, 0);
	assert_int_equal(c.behind, 1);
	assert_int_equal(cut_of(none, none, 0).cut_ns, 0);
}

static void test_store_compare_cut__without_commits_goes_by_all_objects(void **state)
{
	static const struct entry same[] = { { "a", 1, 100 * S + 1, false, false },
		                             { "b", 1, 50 * S, false, false },
		                             { 0 } };

	(void)state;
	assert_int_equal(cut_of(same, same, 0).cut_ns, 100 * S + 1);
}

static void test_store_compare_cut__says_which_stores_cannot_be_compared(void **state)
{
	struct err err = ERR_INIT;
	auto_store struct store *good = store_mem_named("good", &err);
	auto_store struct store *bad = store_fault_new(store_mem_named("bad", &err), deny_lists,
	                                               NULL, &err);
	struct store_cut c;

	(void)state;
	fails_saying(ERR_DENIED, "comparing 'mem:good' with its copy 'mem:bad'",
	             store_compare_cut(good, bad, 0, &c, e));
	fails_saying(ERR_DENIED, "mem:bad", store_compare_cut(bad, good, 0, &c, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_store_compare__tells_of_each_key_who_has_it),
		cmocka_unit_test(test_store_compare__of_empty_stores_tells_nothing),
		cmocka_unit_test(test_store_compare__ends_or_fails_as_it_is_told),
		cmocka_unit_test(test_store_compare__names_the_store_that_fails),
		cmocka_unit_test(test_store_compare_is_local__of_what_is_about_the_place),
		cmocka_unit_test(test_store_compare_cut__is_the_newest_commit_while_nothing_lacks),
		cmocka_unit_test(test_store_compare_cut__is_just_before_the_oldest_that_lacks),
		cmocka_unit_test(test_store_compare_cut__an_object_of_another_size_lacks),
		cmocka_unit_test(test_store_compare_cut__surplus_and_local_objects_do_not_count),
		cmocka_unit_test(test_store_compare_cut__what_was_deleted_meanwhile_is_not_behind),
		cmocka_unit_test(test_store_compare_cut__what_was_copied_meanwhile_is_not_behind),
		cmocka_unit_test(test_store_compare_cut__of_many_that_lack_few_are_asked_for),
		cmocka_unit_test(
			test_store_compare_cut__of_a_second_that_may_still_last_is_before_it),
		cmocka_unit_test(test_store_compare_cut__does_not_go_back_while_nothing_lacks),
		cmocka_unit_test(test_store_compare_cut__of_an_empty_copy_is_before_everything),
		cmocka_unit_test(test_store_compare_cut__without_commits_goes_by_all_objects),
		cmocka_unit_test(test_store_compare_cut__says_which_stores_cannot_be_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
