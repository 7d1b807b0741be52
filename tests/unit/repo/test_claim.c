/* SPDX-License-Identifier: Apache-2.0 */
/* What a point says of a claim: everything, nothing, what makes no sense, and limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/json.h"
#include "repo/claim.h"
#include "tests/harness/harness.h"

static json_t *parse(const char *text)
{
	struct err e = ERR_INIT;
	json_t *o = json_parse("test", text, strlen(text), &e);

	if (!o)
		harness_die("%s", e.msg);
	return o;
}

static void test_check__takes_what_is_known_and_what_is_not(void **state)
{
	static const char *const good[] = {
		"{}",
		"{'storage_class': '', 'driver': 'd', 'size_bytes': 0, 'access_modes': [],"
		" 'zones': ['a', 'b'], 'labels': {'app': 'x'}, 'annotations': {},"
		" 'owners': [{'kind': 'StatefulSet', 'name': 'db', 'uid': 1}],"
		" 'images': ['r/i@sha256:00'], 'of a later version': {'a': [1]}}",
	};
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		char text[1024];

		(void)snprintf(text, sizeof(text), "%s", good[i]);
		for (char *p = text; (p = strchr(p, '\'')); p++)
			*p = '"';
		auto_json json_t *claim = parse(text);
		assert_int_equal(claim_check(claim, &e), 0);
	}
}

static void test_check__names_what_makes_no_sense(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "[]", ".claim: expected an object" },
		{ "{\"size_bytes\": -1}", ".size_bytes: it is no number" },
		{ "{\"size_bytes\": \"1Gi\"}", ".size_bytes: it is no number" },
		{ "{\"storage_class\": 1}", ".storage_class: it is no text" },
		{ "{\"driver\": []}", ".driver: it is no text" },
		{ "{\"access_modes\": \"x\"}", ".access_modes: it is no list" },
		{ "{\"access_modes\": [\"1\",\"2\",\"3\",\"4\",\"5\"]}",
		  ".access_modes: it is no" },
		{ "{\"zones\": [1]}", ".zones: one of it is no text" },
		{ "{\"images\": {}}", ".images: it is no list" },
		{ "{\"labels\": []}", ".labels: expected an object" },
		{ "{\"annotations\": {\"a\": 1}}", ".annotations: one of it is no text" },
		{ "{\"owners\": [{\"kind\": \"x\"}]}", ".owners: one of it has no kind" },
		{ "{\"owners\": [1]}", ".owners: one of it has no kind" },
		{ "{\"owners\": 1}", ".owners: it is no list" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_json json_t *o = json_loads(rows[i].text, 0, NULL);
		struct err e = ERR_INIT;

		assert_int_equal(claim_check(o, &e), -1);
		assert_int_equal(e.class, ERR_FORMAT);
		if (!strstr(e.msg, rows[i].says))
			fail_msg("%s: %s", rows[i].text, e.msg);
	}
}

static void test_check__has_a_limit(void **state)
{
	auto_json json_t *o = json_pack("{s:{}}", "annotations");
	static char text[CLAIM_MAX];
	struct err e = ERR_INIT;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	json_object_set_new(json_object_get(o, "annotations"), "a", json_string(text));
	assert_int_equal(claim_check(o, &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
	text[CLAIM_MAX - 100] = '\0';
	json_object_set_new(json_object_get(o, "annotations"), "a", json_string(text));
	assert_int_equal(claim_check(o, &e), 0);
}

static void test_text_and_size__of_nothing_are_nothing(void **state)
{
	auto_json json_t *o = parse("{\"driver\": \"d\", \"size_bytes\": 7}");
	auto_json json_t *none = json_object();

	(void)state;
	assert_string_equal(claim_text(o, "driver"), "d");
	assert_int_equal(claim_size(o), 7);
	assert_string_equal(claim_text(none, "driver"), "");
	assert_int_equal(claim_size(none), 0);
}

static void test_join__leaves_out_what_does_not_fit(void **state)
{
	auto_json json_t *o = parse("{\"zones\": [\"one\", \"two\", \"three\"]}");
	char text[32];

	(void)state;
	claim_join(o, "zones", text, sizeof(text));
	assert_string_equal(text, "one, two, three");
	claim_join(o, "zones", text, 9);
	assert_string_equal(text, "one, two");
	claim_join(o, "zones", text, 8);
	assert_string_equal(text, "one");
	claim_join(o, "images", text, sizeof(text));
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check__takes_what_is_known_and_what_is_not),
		cmocka_unit_test(test_check__names_what_makes_no_sense),
		cmocka_unit_test(test_check__has_a_limit),
		cmocka_unit_test(test_text_and_size__of_nothing_are_nothing),
		cmocka_unit_test(test_join__leaves_out_what_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
