/* SPDX-License-Identifier: Apache-2.0 */
/* Pages: what is given is text, whatever is in it, and the policy fits the style. */
#include "common/html.h"

#include <sodium.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/hex.h"
#include "tests/harness/harness.h"

static void assert_is(struct buf *b, const char *expected)
{
	assert_string_equal(buf_cstr(b), expected);
	buf_reset(b);
}

static void test_text__is_never_markup(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(KIB);

	(void)state;
	html_text(&b, "</td><b a=\"x\" c='y'>&\n\x01\xff\xc3\xa9");
	assert_is(&b,
	          "&lt;/td&gt;&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;\\x0a\\x01\\xff\xc3\xa9");
	html_lines(&b, "a\n<b>\t");
	assert_is(&b, "a\n&lt;b&gt;\\x09");
}

static void test_table__has_caption_scopes_and_a_box(void **state)
{
	static const struct html_column columns[] = {
		{ .title = "A<", .help = "what \"a\" is" },
		{ .title = "N", .right = true },
	};
	CLEANUP(buf_clear) struct buf b = BUF_INIT(KIB);

	(void)state;
	html_table_begin(&b, "x & y", columns, 2);
	html_row_begin(&b);
	html_head_cell(&b, "<r>");
	html_cell(&b, NULL, true, "1");
	html_cell(&b, "bad", true, "2");
	html_cell(&b, "bad", false, "3");
	html_cell(&b, NULL, false, "4");
	html_row_end(&b);
	html_table_end(&b);
	assert_is(&b,
	          "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"x &amp; y\">\n"
	          "<table>\n<caption>x &amp; y</caption>\n<thead><tr>"
	          "<th scope=\"col\" title=\"what &quot;a&quot; is\">A&lt;</th>"
	          "<th scope=\"col\" class=\"n\">N</th></tr></thead>\n<tbody>\n"
	          "<tr><th scope=\"row\">&lt;r&gt;</th><td class=\"n\">1</td>"
	          "<td class=\"n bad\">2</td><td class=\"bad\">3</td><td>4</td></tr>\n"
	          "</tbody>\n</table>\n</div>\n");
	html_table_begin(&b, "none", NULL, 0);
	html_table_end(&b);
	assert_is(&b, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"none\">\n"
	              "<table>\n<caption>none</caption>\n<tbody>\n</tbody>\n</table>\n</div>\n");
}

static void test_cards_and_elements__escape(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(KIB);

	(void)state;
	html_cards_begin(&b);
	html_card(&b, "<n>", "good", "<v>");
	html_card(&b, "n", NULL, "v");
	html_cards_end(&b);
	html_element(&b, "p", NULL, "<p>");
	html_element(&b, "h2", "bad", "x");
	assert_is(&b, "<dl class=\"cards\">\n"
	              "<div><dt>&lt;n&gt;</dt><dd class=\"good\">&lt;v&gt;</dd></div>\n"
	              "<div><dt>n</dt><dd>v</dd></div>\n</dl>\n"
	              "<p>&lt;p&gt;</p>\n<h2 class=\"bad\">x</h2>\n");
}

static void test_page__its_policy_allows_its_style_and_nothing_else(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * KIB);
	uint8_t hash[crypto_hash_sha256_BYTES];
	char text[64];

	(void)state;
	html_page_begin(&b, "a <title>");
	html_page_end(&b);
	const char *page = buf_cstr(&b);
	const char *style = strstr(page, "<style>");
	assert_non_null(style);
	style += strlen("<style>");
	const char *end = strstr(style, "</style>");
	assert_non_null(end);
	(void)crypto_hash_sha256(hash, (const uint8_t *)style, (size_t)(end - style));
	assert_int_equal(base64_encode(text, sizeof(text), hash, sizeof(hash)), 0);
	assert_non_null(strstr(html_csp().s, text));
	assert_non_null(strstr(page, html_csp().s));
	/* The policy comes before what it is about. */
	assert_true(strstr(page, html_csp().s) < style);
	assert_non_null(strstr(page, "<title>a &lt;title&gt;</title>"));
	assert_null(strstr(page, "<script"));
	assert_null(strstr(page, "url("));
	assert_null(strstr(page, "@import"));
}

static void test_page__is_sticky_where_there_is_no_room(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100);

	(void)state;
	html_page_begin(&b, "x");
	html_page_end(&b);
	assert_true(b.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text__is_never_markup),
		cmocka_unit_test(test_table__has_caption_scopes_and_a_box),
		cmocka_unit_test(test_cards_and_elements__escape),
		cmocka_unit_test(test_page__its_policy_allows_its_style_and_nothing_else),
		cmocka_unit_test(test_page__is_sticky_where_there_is_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
