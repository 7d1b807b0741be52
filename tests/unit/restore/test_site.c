/* SPDX-License-Identifier: Apache-2.0 */
/* Names of sites. */
#include "restore/site.h"

#include "common/json.h"
#include "tests/harness/store_kit.h"

static void test_site_parse__says_how_deep_a_name_goes(void **state)
{
	static const struct {
		const char *text;
		enum fence_depth depth;
		const char *cluster, *namespace, *name;
	} rows[] = {
		{ "c1", FENCE_CLUSTER, "c1", "", "" },
		{ "c1/shop", FENCE_NAMESPACE, "c1", "shop", "" },
		{ "c1/shop/data", FENCE_VOLUME, "c1", "shop", "data" },
		{ "//data", FENCE_VOLUME, "", "", "data" },
		{ "//srv/data", FENCE_VOLUME, "", "", "srv/data" },
		{ "/shop/data", FENCE_VOLUME, "", "shop", "data" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fence_target t;

		ok(site_parse(rows[i].text, &t, e));
		assert_int_equal(t.depth, rows[i].depth);
		assert_string_equal(t.volume.cluster, rows[i].cluster);
		assert_string_equal(t.volume.namespace, rows[i].namespace);
		assert_string_equal(t.volume.name, rows[i].name);
	}
}

static void test_site_parse__refuses_what_names_nothing(void **state)
{
	static const char *const bad[] = { "", "/", "//", "c1/", "c1//data", "c1/shop/", "/shop" };
	char longest[POINT_NAME_MAX + 1];
	struct fence_target t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		fails_saying(ERR_INVALID, "is no site", site_parse(bad[i], &t, e));
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	fails_saying(ERR_INVALID, "is over 255 bytes", site_parse(longest, &t, e));
}

static void test_site_names__writes_them_as_they_are_read(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1000);
	auto_json json_t *volumes = json_pack("[{s:s}, {s:s, s:s}, {s:s, s:s, s:s}]", "cluster",
	                                      "c1", "cluster", "c2", "namespace", "shop", "cluster",
	                                      "", "namespace", "", "name", "data");

	(void)state;
	assert_non_null(volumes);
	site_names(volumes, &b);
	assert_string_equal(buf_cstr(&b), "c1, c2/shop, //data");
	buf_reset(&b);
	site_names(NULL, &b);
	assert_int_equal(b.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_site_parse__says_how_deep_a_name_goes),
		cmocka_unit_test(test_site_parse__refuses_what_names_nothing),
		cmocka_unit_test(test_site_names__writes_them_as_they_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
