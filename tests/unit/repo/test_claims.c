/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges that a source claims: in order, by windows, and whatever it answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "repo/claims.h"
#include "tests/harness/harness.h"

#define PAGE FORMAT_PAGE_BYTES

struct content {
	struct claims_range r[200];
	size_t n;
	bool unknown, fails;
	unsigned asked;
};

static int changed(struct content *c, uint64_t off, bool *ret_known, uint64_t *ret_start,
                   uint64_t *ret_end, struct err *e)
{
	size_t i = 0;

	c->asked++;
	*ret_known = !c->unknown;
	if (c->fails)
		return err_set(e, ERR_IO, "no list");
	while (i < c->n && c->r[i].end <= off)
		i++;
	*ret_start = i < c->n ? c->r[i].start : UINT64_MAX;
	*ret_end = i < c->n ? c->r[i].end : UINT64_MAX;
	return 0;
}

static const struct source_ops ops = { .changed = changed };
static const struct source_ops none = { .name = "none" };

static void test_claims_begin__false_when_nothing_is_known(void **state)
{
	struct content unknown = { .unknown = true };
	struct content fails = { .fails = true };
	struct content known = { .n = 0 };
	struct claims c;

	(void)state;
	assert_false(claims_begin(&c, &none, &known, 100));
	assert_false(claims_begin(&c, &ops, &unknown, 100));
	assert_false(claims_begin(&c, &ops, &fails, 100));
	assert_true(claims_begin(&c, &ops, &known, 100));
	assert_int_equal(c.at.start, 100);
	assert_int_equal(c.bytes, 0);
}

static void test_claims_move__goes_through_them_once(void **state)
{
	struct content x = { .r = { { 10, 20 }, { 50, 60 }, { 90, 200 } }, .n = 3 };
	struct claims c;

	(void)state;
	assert_true(claims_begin(&c, &ops, &x, 100));
	assert_int_equal(c.at.start, 10);
	claims_move(&c, 19);
	assert_int_equal(c.at.start, 10);
	claims_move(&c, 20);
	assert_int_equal(c.at.start, 50);
	assert_int_equal(c.at.end, 60);
	claims_move(&c, 95);
	assert_int_equal(c.at.start, 95);
	assert_int_equal(c.at.end, 100);
	claims_move(&c, 100);
	assert_int_equal(x.asked, 3);
	assert_int_equal(c.bytes, 10 + 10 + 5);
}

/* Answers with whatever is in its first range. */
static int odd(struct content *c, uint64_t off, bool *ret_known, uint64_t *ret_start,
               uint64_t *ret_end, struct err *e)
{
	(void)e;
	*ret_known = true;
	*ret_start = off == 0 ? 0 : c->r[0].start;
	*ret_end = off == 0 ? 10 : c->r[0].end;
	return 0;
}

static void test_claims_move__what_makes_no_sense_is_changed(void **state)
{
	static const struct source_ops odd_ops = { .changed = odd };
	static const struct claims_range odds[] = { { 30, 30 }, { 40, 20 }, { 0, 0 }, { 5, 25 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(odds); i++) {
		struct content x = { .r = { odds[i] }, .n = 1 };
		struct claims c;

		assert_true(claims_begin(&c, &odd_ops, &x, 100));
		claims_move(&c, 25);
		assert_int_equal(c.at.start, 25);
		assert_int_equal(c.at.end, 100);
	}
}

static void test_claims_end__counts_the_rest(void **state)
{
	struct content x = { .r = { { 10, 20 }, { 50, 60 }, { 90, 95 } }, .n = 3 };
	struct claims c;

	(void)state;
	assert_true(claims_begin(&c, &ops, &x, 100));
	claims_end(&c);
	assert_int_equal(c.bytes, 25);
}

static void test_claims_window__rounds_to_pages_and_joins(void **state)
{
	struct content x = { .r = { { PAGE + 1, PAGE + 2 },
		                    { 2 * PAGE + 5, 3 * PAGE - 5 },
		                    { 6 * PAGE, 7 * PAGE },
		                    { 9 * PAGE + 1, 20 * PAGE } },
		             .n = 4 };
	struct claims_range r[CLAIMS_MAX];
	struct claims c;

	(void)state;
	assert_true(claims_begin(&c, &ops, &x, 100 * PAGE));
	assert_int_equal(claims_window(&c, 0, 10 * PAGE, r), 3);
	assert_int_equal(r[0].start, PAGE);
	assert_int_equal(r[0].end, 3 * PAGE);
	assert_int_equal(r[1].start, 6 * PAGE);
	assert_int_equal(r[1].end, 7 * PAGE);
	assert_int_equal(r[2].start, 9 * PAGE);
	assert_int_equal(r[2].end, 10 * PAGE);
	/* the rest of the last one */
	assert_int_equal(claims_window(&c, 10 * PAGE, 50 * PAGE, r), 1);
	assert_int_equal(r[0].start, 10 * PAGE);
	assert_int_equal(r[0].end, 20 * PAGE);
	assert_int_equal(claims_window(&c, 50 * PAGE, 100 * PAGE, r), 0);
}

static void test_claims_window__too_many_are_one(void **state)
{
	struct content x = { .n = 65 };
	struct claims_range r[CLAIMS_MAX];
	struct claims c;

	(void)state;
	for (size_t i = 0; i < 65; i++)
		x.r[i] = (struct claims_range){ 2 * i * PAGE, (2 * i + 1) * PAGE };
	assert_true(claims_begin(&c, &ops, &x, 1000 * PAGE));
	assert_int_equal(claims_window(&c, 0, 128 * PAGE, r), 64);
	assert_int_equal(r[63].start, 126 * PAGE);
	assert_true(claims_begin(&c, &ops, &x, 1000 * PAGE));
	assert_int_equal(claims_window(&c, 0, 129 * PAGE, r), 1);
	assert_int_equal(r[0].start, 0);
	assert_int_equal(r[0].end, 129 * PAGE);
	assert_true(claims_begin(&c, &ops, &x, 1000 * PAGE));
	assert_int_equal(claims_window(&c, 0, 500 * PAGE, r), 1);
	assert_int_equal(r[0].end, 500 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_claims_begin__false_when_nothing_is_known),
		cmocka_unit_test(test_claims_move__goes_through_them_once),
		cmocka_unit_test(test_claims_move__what_makes_no_sense_is_changed),
		cmocka_unit_test(test_claims_end__counts_the_rest),
		cmocka_unit_test(test_claims_window__rounds_to_pages_and_joins),
		cmocka_unit_test(test_claims_window__too_many_are_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
