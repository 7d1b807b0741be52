/* SPDX-License-Identifier: Apache-2.0 */
/* VolumeRestores as people write them. */
#include "restore/request.h"

#include <stdio.h>
#include <string.h>

#include "common/yaml.h"
#include "tests/harness/store_kit.h"

static int read_text(const char *spec, struct request *ret, struct err *e)
{
	char text[1200];

	(void)snprintf(text, sizeof(text), "metadata: {name: x}\nspec: {%s}\n", spec);
	auto_json json_t *j = yaml_parse("test", text, strlen(text), e);
	if (!j)
		fail_msg("%s", e->msg);
	return request_read(j, ret, e);
}

static void test_read__gives_volume_and_point(void **state)
{
	struct request r;

	(void)state;
	ok(read_text("volume: prod-we/shop/orders.1", &r, e));
	assert_string_equal(r.cluster, "prod-we");
	assert_string_equal(r.ns, "shop");
	assert_string_equal(r.name, "orders.1");
	assert_string_equal(r.id, "");
	assert_int_equal(r.as_of_ns, 0);
	assert_false(r.geo);
	ok(read_text("volume: a b/shop/o, point: latest, geoDurable: true", &r, e));
	assert_string_equal(r.cluster, "a b");
	assert_true(r.geo);
	ok(read_text("volume: a/shop/o, point: 00c0ffee", &r, e));
	assert_string_equal(r.id, "00c0ffee");
	ok(read_text("volume: a/shop/o, point: '2026-11-22T10:04:05Z'", &r, e));
	assert_string_equal(r.id, "");
	assert_true(r.as_of_ns == INT64_C(1795341845) * 1000000000);
}

static void test_read__a_mistake_names_its_field(void **state)
{
	static const struct {
		const char *spec, *says;
	} cases[] = {
		{ "", "spec.volume: is missing" },
		{ "volume: orders", "spec.volume" },
		{ "volume: shop/orders", "is CLUSTER/NAMESPACE/NAME" },
		{ "volume: a/b/c/d", "is CLUSTER/NAMESPACE/NAME" },
		{ "volume: /b/c-d", "is CLUSTER/NAMESPACE/NAME" },
		{ "volume: a//c-d", "is CLUSTER/NAMESPACE/NAME" },
		{ "volume: abc/b/", "is CLUSTER/NAMESPACE/NAME" },
		{ "volume: 'a/b*/c'", "names no namespace" },
		{ "volume: 'a/b/C'", "names no namespace" },
		{ "volume: a/b/c, point: newest", "spec.point" },
		{ "volume: a/b/c, point: abc", "spec.point" },
		{ "volume: a/b/c, geoDurable: yes", "spec.geoDurable" },
		{ "volume: a/b/c, geo: true", "spec.geo" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct request r;

		fails_saying(ERR_INVALID, cases[i].says, read_text(cases[i].spec, &r, e));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read__gives_volume_and_point),
		cmocka_unit_test(test_read__a_mistake_names_its_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
