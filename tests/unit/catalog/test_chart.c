/* SPDX-License-Identifier: Apache-2.0 */
/* Charts: the same numbers give the same bytes, and nothing of a label is markup. */
#include "catalog/chart.h"

#include "tests/harness/store_kit.h"

#define DAY_NS ((int64_t)86400 * 1000000000)

static void assert_has(struct buf *b, const char *text)
{
	if (!strstr(buf_cstr(b), text))
		fail_msg("'%s' is not in: %s", text, buf_cstr(b));
}

static void test_chart_line__goes_from_left_to_right_and_has_gaps(void **state)
{
	const struct chart_point v[] = {
		{ .at_ns = 0, .value = 0 },
		{ .at_ns = DAY_NS, .value = 4 },
		{ .at_ns = 2 * DAY_NS, .none = true },
		{ .at_ns = 4 * DAY_NS, .value = 5 },
	};
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	(void)state;
	chart_line(&b, "a <title>", v, 4);
	assert_has(&b, "d=\"M56.0 192.0h.1L219.0 48.0M708.0 12.0h.1\"");
	assert_has(&b, "aria-label=\"a &lt;title&gt;\"");
	assert_has(&b, ">1970-01-05</text>");
	assert_has(&b, "<th scope=\"row\">1970-01-03</th><td class=\"n\">–</td>");
}

static void test_chart_line__one_point_and_none(void **state)
{
	const struct chart_point v = { .at_ns = 0, .value = 3 };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	(void)state;
	chart_line(&b, "t", NULL, 0);
	assert_int_equal(b.len, 0);
	chart_line(&b, "t", &v, 1);
	assert_has(&b, "d=\"M382.0 84.0h.1\"");
}

static void test_chart_bars__highest_is_below_a_round_number(void **state)
{
	const struct chart_point v[] = { { .label = "<a>", .value = 30 }, { .label = "b" } };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	(void)state;
	chart_bars(&b, "t", v, 2);
	assert_has(&b, ">50</text>");
	assert_has(&b, "y=\"84.0\" width=\"228.2\" height=\"108.0\"");
	assert_has(&b, ">&lt;a&gt;</text>");
	assert_has(&b, "height=\"0.0\"");
}

static void test_chart_shares__fill_the_width(void **state)
{
	const struct chart_point v[] = { { .label = "x", .value = 1 },
		                         { .label = "y", .value = 3 } };
	const unsigned classes[] = { 0, 2 };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	(void)state;
	chart_shares(&b, "t", v, classes, 2);
	assert_has(&b, "class=\"s0\" x=\"0.0\" y=\"2\" width=\"180.0\"");
	assert_has(&b, "class=\"s2\" x=\"180.0\" y=\"2\" width=\"540.0\"");
	buf_reset(&b);
	chart_shares(&b, "t", (const struct chart_point[]){ { .label = "x" } }, classes, 1);
	assert_int_equal(b.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chart_line__goes_from_left_to_right_and_has_gaps),
		cmocka_unit_test(test_chart_line__one_point_and_none),
		cmocka_unit_test(test_chart_bars__highest_is_below_a_round_number),
		cmocka_unit_test(test_chart_shares__fill_the_width),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
