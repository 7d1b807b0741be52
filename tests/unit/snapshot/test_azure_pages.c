/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of pages, whole, torn and wrong. */
#include "snapshot/azure_pages.h"

#include <stdio.h>
#include <string.h>

#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"

#define LIST(x) "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<PageList>" x "</PageList>"
#define PAGES(a, b) "<PageRange><Start>" #a "</Start><End>" #b "</End></PageRange>"
#define CLEAR(a, b) "<ClearRange><Start>" #a "</Start><End>" #b "</End></ClearRange>"

static struct azure_pages *made(void)
{
	struct err e = ERR_INIT;
	struct azure_pages *p = azure_pages_new(&e);

	assert_non_null(p);
	return p;
}

/* Feeds a document in pieces; the marker. */
static const char *fed(struct azure_pages *p, const char *xml, size_t step)
{
	const char *marker = NULL;

	for (size_t at = 0, n = strlen(xml); at < n; at += step)
		ok(azure_pages_feed(p, xml + at, n - at < step ? n - at : step, e));
	ok(azure_pages_end(p, &marker, e));
	return marker;
}

/* "0-512 1024-2048", as ranges are with their ends outside. */
static void assert_ranges(struct azure_pages *p, uint64_t size, bool cleared, const char *expected)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4096);
	auto_ranges struct ranges *r = NULL;

	ok(azure_pages_ranges(p, size, cleared, &r, e));
	for (size_t i = 0; i < r->n; i++)
		(void)buf_printf(&b, "%s%llu-%llu", i ? " " : "", (unsigned long long)r->v[i].start,
		                 (unsigned long long)r->v[i].end);
	assert_string_equal(buf_cstr(&b), expected);
}

static void refuse(const char *xml, enum err_class class, const char *text)
{
	auto_azure_pages struct azure_pages *p = made();
	struct err e = ERR_INIT;
	const char *marker;

	if (azure_pages_feed(p, xml, strlen(xml), &e) == 0 && azure_pages_end(p, &marker, &e) == 0)
		fail_msg("accepted: %s", xml);
	if (e.class != class || !strstr(e.msg, text))
		fail_msg("%s: %s", err_class_name(e.class), e.msg);
}

static void test_ranges__are_sorted_joined_and_cut(void **state)
{
	auto_azure_pages struct azure_pages *p = made();

	(void)state;
	assert_string_equal(fed(p,
	                        LIST(PAGES(4096, 8191) PAGES(0, 511) PAGES(512, 1023)
	                                     PAGES(65536, 66047) CLEAR(8192, 12287)
	                                             CLEAR(2048, 2559)),
	                        7),
	                    "");
	assert_ranges(p, 65536, false, "0-1024 4096-8192");
	assert_ranges(p, 65536, true, "0-1024 2048-2560 4096-12288");
	assert_ranges(p, 6000, true, "0-1024 2048-2560 4096-6000");
}

static void test_ranges__of_an_empty_list_are_none(void **state)
{
	auto_azure_pages struct azure_pages *p = made();

	(void)state;
	assert_string_equal(fed(p, "<PageList/>", 1), "");
	assert_ranges(p, 65536, true, "");
}

static void test_end__names_where_the_next_document_begins(void **state)
{
	auto_azure_pages struct azure_pages *p = made();

	(void)state;
	assert_string_equal(fed(p, LIST(PAGES(512, 1023) "<NextMarker>a&amp;b</NextMarker>"), 3),
	                    "a&b");
	assert_string_equal(fed(p, LIST("<NextMarker>c</NextMarker>"), 99), "c");
	assert_string_equal(fed(p, LIST(PAGES(0, 511) "<NextMarker />"), 99), "");
	assert_ranges(p, 65536, false, "0-1024");
}

static void test_end__a_marker_that_leads_to_itself_is_refused(void **state)
{
	auto_azure_pages struct azure_pages *p = made();
	static const char xml[] = LIST("<NextMarker>a</NextMarker>");
	struct err e = ERR_INIT;
	const char *marker;

	(void)state;
	assert_string_equal(fed(p, xml, 99), "a");
	assert_int_equal(azure_pages_feed(p, xml, strlen(xml), &e), 0);
	assert_int_equal(azure_pages_end(p, &marker, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
}

static void test_again__what_was_not_whole_does_not_count(void **state)
{
	auto_azure_pages struct azure_pages *p = made();
	static const char half[] = "<PageList>" PAGES(0, 511) "<PageRange><Start>10";
	struct err e = ERR_INIT;
	const char *marker;

	(void)state;
	assert_string_equal(fed(p, LIST(PAGES(4096, 4607)), 99), "");
	assert_int_equal(azure_pages_feed(p, half, strlen(half), &e), 0);
	assert_int_equal(azure_pages_end(p, &marker, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
	assert_int_equal(azure_pages_feed(p, half, strlen(half), &e), -1);
	azure_pages_again(p);
	assert_string_equal(fed(p, LIST(PAGES(8192, 8703)), 99), "");
	assert_ranges(p, 65536, false, "4096-4608 8192-8704");
}

static void test_feed__what_is_no_list_is_refused(void **state)
{
	(void)state;
	refuse("", ERR_FORMAT, "no whole XML");
	refuse("<PageList>", ERR_FORMAT, "no whole XML");
	refuse("<html/>", ERR_FORMAT, "'html' and not a list");
	refuse("<!DOCTYPE a [<!ENTITY b \"c\">]><PageList>&b;</PageList>", ERR_FORMAT,
	       "a document type");
	refuse(LIST("<PageRange><Start>0</Start></PageRange>"), ERR_FORMAT, "a range that is none");
	refuse(LIST("<PageRange><End>511</End></PageRange>"), ERR_FORMAT, "a range that is none");
	refuse(LIST(PAGES(1, 511)), ERR_FORMAT, "a range that is none");
	refuse(LIST(PAGES(0, 510)), ERR_FORMAT, "a range that is none");
	refuse(LIST(PAGES(1024, 511)), ERR_FORMAT, "a range that is none");
	refuse(LIST(PAGES(-1, 511)), ERR_FORMAT, "where an offset should be");
	refuse(LIST(PAGES(0, 140737488355839)), ERR_FORMAT, "where an offset should be");
	refuse(LIST(PAGES(0, 99999999999999999999999)), ERR_FORMAT, "a text of more than 20");
	refuse("<PageList><a><a><a><a><a><a><a><a>", ERR_FORMAT, "elements in 8 elements");
}

static void test_feed__passes_over_what_it_does_not_know(void **state)
{
	auto_azure_pages struct azure_pages *p = made();

	(void)state;
	assert_string_equal(fed(p,
	                        LIST("<New a=\"b\"><PageRange><Start>x</Start></PageRange></New>"
	                             "<PageRange><Kind>1<Start>7</Start></Kind><Start>0</Start>"
	                             "<End>511</End></PageRange>"),
	                        5),
	                    "");
	assert_ranges(p, 65536, false, "0-512");
}

static void test_feed__a_marker_has_an_end(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * KIB);

	(void)state;
	(void)buf_str(&b, "<PageList><NextMarker>");
	for (size_t i = 0; i <= AZURE_PAGES_MARKER_MAX; i++)
		(void)buf_u8(&b, 'm');
	(void)buf_str(&b, "</NextMarker></PageList>");
	refuse(buf_cstr(&b), ERR_FORMAT, "a text of more than 1024");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges__are_sorted_joined_and_cut),
		cmocka_unit_test(test_ranges__of_an_empty_list_are_none),
		cmocka_unit_test(test_end__names_where_the_next_document_begins),
		cmocka_unit_test(test_end__a_marker_that_leads_to_itself_is_refused),
		cmocka_unit_test(test_again__what_was_not_whole_does_not_count),
		cmocka_unit_test(test_feed__what_is_no_list_is_refused),
		cmocka_unit_test(test_feed__passes_over_what_it_does_not_know),
		cmocka_unit_test(test_feed__a_marker_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
