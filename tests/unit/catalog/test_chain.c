/* SPDX-License-Identifier: Apache-2.0 */
/* The chain of a volume's points: what is missing, replaced, or there twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "catalog/chain.h"
#include "common/buf.h"

static int tell(void *arg, const struct chain_anomaly *a, struct err *e)
{
	struct buf *b = arg;

	(void)e;
	assert_true(strlen(a->text) > 10);
	(void)buf_printf(b, "%s %s %s;", chain_kind_name(a->kind), a->point->session,
	                 a->other[0] ? a->other : "-");
	return 0;
}

static void assert_anomalies(const struct chain_point *points, size_t n, const char *expected)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4096);
	struct err e = ERR_INIT;

	assert_int_equal(chain_check(points, n, tell, &b, &e), 0);
	assert_string_equal(buf_cstr(&b), expected);
}

static void test_chain_check__points_that_follow_each_other_are_fine(void **state)
{
	const struct chain_point points[] = {
		{ .session = "a", .hash = "ha", .sequence = 1 },
		{ .session = "b",
		  .hash = "hb",
		  .sequence = 2,
		  .previous = "a",
		  .previous_hash = "ha" },
		{ .session = "c",
		  .hash = "hc",
		  .sequence = 3,
		  .previous = "b",
		  .previous_hash = "hb" },
	};

	(void)state;
	assert_anomalies(points, 0, "");
	assert_anomalies(points, 1, "");
	assert_anomalies(points, 3, "");
}

static void test_chain_check__missing_predecessor_is_a_gap(void **state)
{
	const struct chain_point points[] = {
		{ .session = "a", .hash = "ha", .sequence = 1 },
		{ .session = "c",
		  .hash = "hc",
		  .sequence = 3,
		  .previous = "b",
		  .previous_hash = "hb" },
	};

	(void)state;
	assert_anomalies(points, 2, "gap c b;");
}

static void test_chain_check__predecessor_that_is_gone_is_a_gap_like_an_unknown_one(void **state)
{
	const struct chain_point points[] = {
		{ .session = "a", .hash = "ha", .sequence = 1, .gone = true },
		{ .session = "b",
		  .hash = "hb",
		  .sequence = 2,
		  .previous = "a",
		  .previous_hash = "ha" },
	};

	(void)state;
	assert_anomalies(points, 2, "gap b a;");
	assert_anomalies(points + 1, 1, "gap b a;");
}

static void test_chain_check__nothing_is_said_of_points_that_are_gone(void **state)
{
	const struct chain_point points[] = {
		{ .session = "b", .sequence = 2, .previous = "x", .hash = "hb", .gone = true },
		{ .session = "c", .sequence = 2, .previous = "x", .hash = "hc", .gone = true },
	};

	(void)state;
	assert_anomalies(points, 2, "");
}

static void test_chain_check__first_point_that_is_not_number_1_is_a_gap(void **state)
{
	const struct chain_point points[] = {
		{ .session = "a", .hash = "ha", .sequence = 4, .previous = "" },
	};

	(void)state;
	assert_anomalies(points, 1, "gap a -;");
}

static void test_chain_check__two_first_points_are_a_fork(void **state)
{
	const struct chain_point points[] = {
		{ .session = "a", .hash = "ha", .sequence = 1 },
		{ .session = "b", .hash = "hb", .sequence = 1, .previous = "" },
	};

	(void)state;
	assert_anomalies(points, 2, "fork b a;");
}

static void test_chain_check__two_points_after_one_are_a_fork_told_of_the_later(void **state)
{
	const struct chain_point points[] = {
		{ .session = "a", .hash = "ha", .sequence = 1 },
		{ .session = "z",
		  .hash = "hz",
		  .sequence = 2,
		  .previous = "a",
		  .previous_hash = "ha" },
		{ .session = "b",
		  .hash = "hb",
		  .sequence = 2,
		  .previous = "a",
		  .previous_hash = "ha" },
		{ .session = "c",
		  .hash = "hc",
		  .sequence = 3,
		  .previous = "b",
		  .previous_hash = "hb" },
		{ .session = "d",
		  .hash = "hd",
		  .sequence = 3,
		  .previous = "a",
		  .previous_hash = "ha" },
	};

	(void)state;
	assert_anomalies(points, 5, "fork b z;fork d z;");
}

static void test_chain_check__predecessor_with_another_hash_is_a_fork(void **state)
{
	const struct chain_point points[] = {
		{ .session = "a", .hash = "other", .sequence = 1 },
		{ .session = "b",
		  .hash = "hb",
		  .sequence = 2,
		  .previous = "a",
		  .previous_hash = "ha" },
		{ .session = "c",
		  .hash = "hc",
		  .sequence = 3,
		  .previous = "b",
		  .previous_hash = NULL },
	};

	(void)state;
	assert_anomalies(points, 3, "fork b a;fork c b;");
}

static void test_chain_check__numbers_must_go_up_by_one(void **state)
{
	const struct chain_point skips[] = {
		{ .session = "a", .hash = "ha", .sequence = 1 },
		{ .session = "b",
		  .hash = "hb",
		  .sequence = 3,
		  .previous = "a",
		  .previous_hash = "ha" },
	};
	const struct chain_point stays[] = {
		{ .session = "a", .hash = "ha", .sequence = 1 },
		{ .session = "b",
		  .hash = "hb",
		  .sequence = 1,
		  .previous = "a",
		  .previous_hash = "ha" },
	};

	(void)state;
	assert_anomalies(skips, 2, "gap b a;");
	assert_anomalies(stays, 2, "fork b a;");
}

static int refuse(void *arg, const struct chain_anomaly *a, struct err *e)
{
	(void)arg;
	return err_set(e, ERR_BUSY, "the test does not want '%s'", a->point->session);
}

static void test_chain_check__passes_on_the_error_of_its_caller(void **state)
{
	const struct chain_point point = { .session = "a", .hash = "ha", .sequence = 2 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(chain_check(&point, 1, refuse, NULL, &e), -1);
	assert_int_equal(e.class, ERR_BUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain_check__points_that_follow_each_other_are_fine),
		cmocka_unit_test(test_chain_check__missing_predecessor_is_a_gap),
		cmocka_unit_test(
			test_chain_check__predecessor_that_is_gone_is_a_gap_like_an_unknown_one),
		cmocka_unit_test(test_chain_check__nothing_is_said_of_points_that_are_gone),
		cmocka_unit_test(test_chain_check__first_point_that_is_not_number_1_is_a_gap),
		cmocka_unit_test(test_chain_check__two_first_points_are_a_fork),
		cmocka_unit_test(
			test_chain_check__two_points_after_one_are_a_fork_told_of_the_later),
		cmocka_unit_test(test_chain_check__predecessor_with_another_hash_is_a_fork),
		cmocka_unit_test(test_chain_check__numbers_must_go_up_by_one),
		cmocka_unit_test(test_chain_check__passes_on_the_error_of_its_caller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
