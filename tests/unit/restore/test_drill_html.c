/* SPDX-License-Identifier: Apache-2.0 */
/* The page of a report: it says all of it, needs nothing else, and no text in it is markup. */
#include "restore/drill_html.h"

#include "tests/unit/restore/drill_kit.h"

static void assert_has(const struct buf *b, const char *text)
{
	if (!memmem(b->data, b->len, text, strlen(text)))
		fail_msg("'%s' is not in: %.*s", text, (int)b->len, (const char *)b->data);
}

static void assert_has_not(const struct buf *b, const char *text)
{
	if (memmem(b->data, b->len, text, strlen(text)))
		fail_msg("'%s' is in: %.*s", text, (int)b->len, (const char *)b->data);
}

/* Every element that is opened is closed, in order. */
static void assert_nested(const struct buf *b)
{
	static const char *const alone[] = { "meta", "br", "!DOCTYPE" };
	char open[64][16];
	size_t n = 0;
	const char *text = (const char *)b->data;
	const char *end = text + b->len;

	while ((text = memchr(text, '<', (size_t)(end - text)))) {
		char name[16];
		const bool closes = text[1] == '/';
		const size_t len = strcspn(text + 1 + closes, " >\n");
		bool single = false;

		assert_in_range(len, 1, sizeof(name) - 1);
		(void)snprintf(name, sizeof(name), "%.*s", (int)len, text + 1 + closes);
		for (size_t i = 0; i < ARRAY_LEN(alone); i++)
			single |= strcmp(alone[i], name) == 0;
		text++;
		if (single)
			continue;
		if (!closes) {
			assert_true(n < ARRAY_LEN(open));
			memcpy(open[n++], name, sizeof(name));
			continue;
		}
		assert_true(n > 0);
		assert_string_equal(open[--n], name);
	}
	assert_int_equal(n, 0);
}

static void put(struct drill_report *r, struct buf *b)
{
	drill_report_judge(r);
	buf_reset(b);
	drill_html_put(r, b);
	assert_false(b->failed);
	assert_nested(b);
}

static void test_put__says_what_was_achieved(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	auto_drill_report struct drill_report r;

	(void)state;
	drill_kit(&r);
	put(&r, &b);
	assert_has(&b, "<!DOCTYPE html>\n<html lang=\"en\">");
	assert_has(&b, "<title>Drill of shop, 2026-11-22: passed</title>");
	assert_has(&b,
	           "<td class=\"n\">20m00s</td><td class=\"n\">20m00s</td><td class=\"good\">met");
	assert_has(&b,
	           "<td class=\"n\">1m30s</td><td class=\"n\">1m30s</td><td class=\"good\">met");
	assert_has(&b, "we/shop/orders</th><td class=\"good\">verified");
	assert_has(&b, "<pre>all is well\n</pre>");
	assert_has(&b, "prefers-color-scheme:dark");
	assert_has(&b, "@page{size:A4");
	/* Nothing is fetched, and nothing runs. */
	assert_has(&b, "default-src 'none'");
	assert_has_not(&b, "<script");
	assert_has_not(&b, "src=");
	assert_has_not(&b, "href=\"h");
	assert_has_not(&b, "url(");
}

static void test_put__says_what_is_wrong(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	auto_drill_report struct drill_report r;

	(void)state;
	drill_kit(&r);
	r.volumes[0].damaged = true;
	r.volumes[0].why = "2 places are missing";
	r.volumes[1].restored = false;
	r.volumes[1].frozen_ns = 0;
	r.checks[0].passed = false;
	r.checks[0].why = "it ended with status 1";
	r.rto_s = 10;
	r.rpo_s = 0;
	r.left_out = 4;
	put(&r, &b);
	assert_has(&b, "not passed</title>");
	assert_has(&b, "class=\"bad\">damaged: 2 places are missing");
	assert_has(&b, "class=\"bad\">missing");
	assert_has(&b, "<td class=\"n\">10s</td><td class=\"bad\">missed");
	assert_has(&b, "<td class=\"soft\">no target");
	assert_has(&b, "<p>it ended with status 1</p>");
	assert_has(&b, "4 more volumes are left out");
	r.nchecks = 0;
	put(&r, &b);
	assert_has(&b, "The check was not run");
	r.check_wanted = false;
	put(&r, &b);
	assert_has(&b, "The plan has no check");
}

static void test_put__no_text_is_markup(void **state)
{
	static const char evil[] = "</pre><script>alert('1')</script>&\"\x01\xff";
	static const char said[] =
		"&lt;/pre&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;"
		"&quot;\\x01\\xff";
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	auto_drill_report struct drill_report r;

	(void)state;
	drill_kit(&r);
	r.plan = r.user = r.host = r.from = r.to = r.run = r.version = evil;
	r.phases[0].name = evil;
	for (size_t i = 0; i < 2; i++) {
		r.volumes[i].volume = r.volumes[i].claim = r.volumes[i].why = evil;
		r.volumes[i].point = evil;
		r.volumes[i].restored = false;
	}
	r.checks[0].ns = r.checks[0].why = r.checks[0].said = evil;
	r.checks[0].passed = false;
	put(&r, &b);
	assert_has(&b, said);
	assert_has_not(&b, "<script");
	assert_has_not(&b, "alert('1')");
}

static void test_put__is_sticky_where_there_is_no_room(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1000);
	auto_drill_report struct drill_report r;

	(void)state;
	drill_kit(&r);
	drill_report_judge(&r);
	drill_html_put(&r, &b);
	assert_true(b.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put__says_what_was_achieved),
		cmocka_unit_test(test_put__says_what_is_wrong),
		cmocka_unit_test(test_put__no_text_is_markup),
		cmocka_unit_test(test_put__is_sticky_where_there_is_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
