/* SPDX-License-Identifier: Apache-2.0 */
/* How it stands, as a page: whole, in words, and with nothing of anybody's in its markup. */
#include "catalog/standing_html.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_standing_html__says_the_verdict_and_every_finding(void **state)
{
	struct standing_answer a = {
		.level = STANDING_DAMAGE,
		.verdict = "DAMAGE: 1 thing needs you",
		.n = 2,
		.v = { { STANDING_OK, "backups", "3 volumes; the worst is <b>x</b>" },
		       { STANDING_DAMAGE, "verified", "found 2 problems" } },
	};
	CLEANUP(buf_clear) struct buf b = BUF_INIT(256 * KIB);
	struct err e = ERR_INIT;

	(void)state;
	standing_html(&a, 0, NULL, &b);
	assert_int_equal(buf_check(&b, "the page", &e), 0);
	const char *page = buf_cstr(&b);
	assert_int_equal(strncmp(page, "<!DOCTYPE html>", 15), 0);
	assert_non_null(strstr(page, "DAMAGE: 1 thing needs you"));
	assert_non_null(strstr(page, "As of 1970-01-01T00:00:00"));
	assert_non_null(strstr(page, "found 2 problems"));
	assert_non_null(strstr(page, ">damage<"));
	assert_null(strstr(page, "<b>x"));
	assert_null(strstr(page, "<script"));
	assert_non_null(strstr(page, "</html>"));
	assert_null(strstr(page, "brought up"));
}

static void test_standing_html__says_what_a_server_has_besides(void **state)
{
	static const struct html_link links[] = { { "/reports/rpo", "Recovery <points>" } };
	const struct standing_answer a = { .verdict = "SAFE" };
	struct standing_html_more more = { .synced_ns = 1000000000, .links = links, .nlinks = 1 };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(256 * KIB);

	(void)state;
	standing_html(&a, 121 * INT64_C(1000000000), &more, &b);
	assert_non_null(
		strstr(buf_cstr(&b), "brought up to the store 2m00s ago, at 1970-01-01T00:00:01"));
	assert_non_null(strstr(buf_cstr(&b),
	                       "<li><a href=\"/reports/rpo\">Recovery &lt;points&gt;</a></li>"));
	more.synced_ns = 0;
	buf_reset(&b);
	standing_html(&a, 121 * INT64_C(1000000000), &more, &b);
	assert_non_null(strstr(buf_cstr(&b), "never brought up to the store"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_standing_html__says_the_verdict_and_every_finding),
		cmocka_unit_test(test_standing_html__says_what_a_server_has_besides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
