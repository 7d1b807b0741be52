/* SPDX-License-Identifier: Apache-2.0 */
/* Which page is wanted, and that it is there. */
#include "catalog/site.h"

#include "common/now.h"
#include "tests/unit/catalog/catalog_kit.h"

static void test_site_path__knows_the_pages(void **state)
{
	static const char *const none[] = { "",
		                            "x",
		                            "//",
		                            "/reports",
		                            "/reports/",
		                            "/reports/rp",
		                            "/reports/rpo/",
		                            "/reports/../rpo",
		                            "/Reports/rpo",
		                            "/metrics",
		                            "/favicon.ico" };
	struct site_request q;

	(void)state;
	ok(site_path("/", &q, e));
	assert_null(q.report);
	ok(site_path("/reports/rpo", &q, e));
	assert_string_equal(q.report->name, "rpo");
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		fails_saying(ERR_NOT_FOUND, "no such page", site_path(none[i], &q, e));
	fails_saying(ERR_NOT_FOUND, "needs prices", site_path("/reports/cost", &q, e));
}

static void test_site_argument__takes_names_and_a_target(void **state)
{
	struct site_request q;
	char large[SITE_NAME_MAX + 1];

	(void)state;
	ok(site_path("/reports/coverage", &q, e));
	ok(site_argument(&q, "cluster", "c1", e));
	ok(site_argument(&q, "namespace", "shop", e));
	ok(site_argument(&q, "volume", "c1/shop/*", e));
	ok(site_argument(&q, "target", "26h", e));
	ok(site_argument(&q, "volume", NULL, e)); /* a form that was not filled */
	ok(site_argument(&q, "other", "", e));
	assert_string_equal(q.cluster, "c1");
	assert_string_equal(q.namespace, "shop");
	assert_string_equal(q.volume, "c1/shop/*");
	assert_int_equal(q.target_s, 26 * 3600);
	fails_saying(ERR_INVALID, "has the arguments", site_argument(&q, "limit", "9", e));
	fails(ERR_INVALID, site_argument(&q, "target", "soon", e));
	fails_saying(ERR_INVALID, "is an age", site_argument(&q, "target", "0s", e));
	memset(large, 'n', sizeof(large));
	large[sizeof(large) - 1] = '\0';
	fails_saying(ERR_INVALID, "not that long", site_argument(&q, "namespace", large, e));
	ok(site_path("/reports/exceptions", &q, e));
	fails_saying(ERR_INVALID, "no meaning", site_argument(&q, "target", "26h", e));
	ok(site_path("/", &q, e));
	fails_saying(ERR_INVALID, "no arguments", site_argument(&q, "cluster", "c1", e));
}

struct world {
	struct kit k;
	struct catalog *c;
	struct buf b;
};

static void world_init(struct world *w, size_t max)
{
	const struct point_volume web = kit_volume("ns", "<b>web");

	*w = (struct world){ .k = kit_new(), .b = BUF_INIT(max) };
	w->c = kit_catalog(w->k.dir, "catalog.db");
	auto_kit_point struct point a = kit_commit(&w->k, &web, 1, NULL);
	(void)kit_sync(&w->k, w->c);
}

static void world_clear(struct world *w)
{
	buf_clear(&w->b);
	catalog_free(w->c);
	kit_clear(&w->k);
}
#define auto_world CLEANUP(world_clear)

static const struct site_params now = { .now_ns = KIT_NOW_NS };

static const char *shown(struct world *w, const char *path)
{
	struct site_request q;

	buf_reset(&w->b);
	ok(site_path(path, &q, e));
	ok(site_page(w->c, &q, &now, &w->b, e));
	const char *text = buf_cstr(&w->b);
	assert_int_equal(strncmp(text, "<!DOCTYPE html>", 15), 0);
	assert_non_null(strstr(text, "</html>"));
	assert_null(strstr(text, "<b>web"));
	assert_null(strstr(text, "<script"));
	return text;
}

static void test_site_page__leads_to_every_report_and_back(void **state)
{
	auto_world struct world w;
	char path[80];
	char link[100];
	size_t served = 0;

	(void)state;
	world_init(&w, SITE_PAGE_MAX);
	assert_non_null(strstr(shown(&w, "/"), "The catalog was brought up to the store "));
	for (size_t i = 0; i < report_count; i++) {
		(void)snprintf(path, sizeof(path), "/reports/%s", report_all[i].name);
		(void)snprintf(link, sizeof(link), "<a href=\"%s\">", path);
		if (strcmp(report_all[i].name, "cost") == 0) {
			assert_null(strstr(shown(&w, "/"), link));
			continue;
		}
		assert_non_null(strstr(shown(&w, "/"), link));
		const char *text = shown(&w, path);
		assert_non_null(strstr(text, "<a href=\"/\">"));
		assert_non_null(strstr(text, report_all[i].title));
		served++;
	}
	assert_int_equal(served, report_count - 1);
}

static void test_site_page__shows_what_is_asked_for(void **state)
{
	auto_world struct world w;
	struct site_request q;

	(void)state;
	world_init(&w, SITE_PAGE_MAX);
	ok(site_path("/reports/inventory", &q, e));
	ok(site_argument(&q, "namespace", "other", e));
	ok(site_page(w.c, &q, &now, &w.b, e));
	assert_non_null(strstr(buf_cstr(&w.b), "Only where the namespace is <b>other</b>"));
	assert_non_null(strstr(buf_cstr(&w.b), "There is nothing to tell."));
	assert_null(strstr(buf_cstr(&w.b), "web"));
	assert_non_null(strstr(shown(&w, "/reports/inventory"), "&lt;b&gt;web"));
}

static void test_site_page__keeps_its_limits(void **state)
{
	auto_world struct world w;
	struct site_request q;
	struct site_params late = now;
	struct cancel cancel = { .fd = -1 };
	struct site_params stopped = { .now_ns = KIT_NOW_NS, .cancel = &cancel };

	(void)state;
	world_init(&w, 4 * KIB);
	ok(site_path("/reports/rpo", &q, e));
	fails_saying(ERR_TOO_BIG, "'aksdr-catalog report rpo' no such limit",
	             site_page(w.c, &q, &now, &w.b, e));
	buf_reset(&w.b);
	ok(site_path("/", &q, e));
	fails(ERR_TOO_BIG, site_page(w.c, &q, &now, &w.b, e));

	/* A machine's step is looked at now and then only: a long statement. */
	ok(catalog_exec(
		w.c,
		"INSERT INTO volumes (voltag, cluster, namespace, name) "
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
		"SELECT printf('%016x', i + 1000), 'c1', 'n', i FROM n",
		e));
	w.b.max = SITE_PAGE_MAX;
	late.until_ns = now_mono_ns() - 1;
	buf_reset(&w.b);
	ok(site_path("/reports/rpo", &q, e));
	fails_saying(ERR_TOO_BIG, "takes too long", site_page(w.c, &q, &late, &w.b, e));
	atomic_store(&cancel.requested, true);
	buf_reset(&w.b);
	fails(ERR_CANCELLED, site_page(w.c, &q, &stopped, &w.b, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_site_path__knows_the_pages),
		cmocka_unit_test(test_site_argument__takes_names_and_a_target),
		cmocka_unit_test(test_site_page__leads_to_every_report_and_back),
		cmocka_unit_test(test_site_page__shows_what_is_asked_for),
		cmocka_unit_test(test_site_page__keeps_its_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
