/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials of registries, as docker, podman, `az acr login` and Kubernetes write them. */
#include "restore/auths.h"

#include <stdio.h>
#include <string.h>

#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"

static struct auths *made(const char *text)
{
	struct err why = ERR_INIT;
	struct auths *a = auths_new(&why);

	assert_non_null(a);
	ok(auths_add(a, "the file", text, strlen(text), e));
	return a;
}

static void check(const struct auths *a, const char *host, const char *basic, const char *token)
{
	const struct auths_entry *x = auths_find(a, host);

	assert_non_null(x);
	assert_string_equal(x->basic, basic);
	assert_string_equal(x->token, token);
}

static void test_add__takes_what_docker_and_kubernetes_write(void **state)
{
	auto_auths struct auths *a = made(
		"{\"auths\": {\"a.example.com\": {\"auth\": \"dTpw\"},"
		"\"https://index.docker.io/v1/\": {\"username\": \"u\", \"password\": \"p:q\"},"
		"\"B.example.com:5000\": {\"auth\": \"MDAwOg==\", \"identitytoken\": \"ey.J-x\"},"
		"\"helped.example.com\": {}}, \"credsStore\": \"secretservice\"}");

	(void)state;
	check(a, "a.example.com", "dTpw", "");
	check(a, "docker.io", "dTpwOnE=", "");
	check(a, "b.example.com:5000", "MDAwOg==", "ey.J-x");
	assert_null(auths_find(a, "helped.example.com"));
	assert_null(auths_find(a, "b.example.com"));
}

static void test_add__what_is_known_first_stays(void **state)
{
	static const char more[] = "{\"auths\": {\"a\": {\"auth\": \"eDp5\"}, \"b\": {\"auth\": "
				   "\"eDp5\"}}}";
	auto_auths struct auths *a = made("{\"auths\": {\"a\": {\"auth\": \"dTpw\"}}}");

	(void)state;
	ok(auths_add(a, "a secret", more, strlen(more), e));
	check(a, "a", "dTpw", "");
	check(a, "b", "eDp5", "");
}

static void test_add__a_mistake_adds_nothing_and_repeats_no_secret(void **state)
{
	static const char *const texts[] = {
		"hunter2",
		"[\"hunter2\"]",
		"{\"auths\": [\"hunter2\"]}",
		"{\"auths\": {\"b\": {\"auth\": \"dTpw\"}, \"c\": {\"auth\": \"hunter2\"}}}",
		"{\"auths\": {\"b\": {\"auth\": \"dTpw\"}, \"c\": {\"auth\": \"aHVudGVyMg==\"}}}",
		"{\"auths\": {\"b\": {\"auth\": \"dTpw\"}, \"c\": \"hunter2\"}}",
		"{\"auths\": {\"b\": {\"auth\": \"dTpw\"}, \"c\": {"
		"\"identitytoken\": \"hunter2 \"}}}",
		"{\"auths\": {\"b\": {\"auth\": \"dTpw\"}, \"c\": {\"password\": [\"hunter2\"]}}}",
	};
	auto_auths struct auths *a = made("{}");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(auths_add(a, "the file", texts[i], strlen(texts[i]), &e), -1);
		assert_int_equal(e.class, ERR_FORMAT);
		assert_null(strstr(e.msg, "hunter2"));
		assert_null(auths_find(a, "b"));
	}
}

static void test_add__is_bounded(void **state)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(AUTHS_BYTES_MAX + 10);
	auto_auths struct auths *a = made("{}");

	(void)state;
	(void)buf_str(&text, "{\"auths\": {");
	for (int i = 0; i <= AUTHS_MAX; i++)
		(void)buf_printf(&text, "%s\"h%d\": {\"auth\": \"dTpw\"}", i ? ", " : "", i);
	(void)buf_str(&text, "}}");
	fails_saying(ERR_TOO_BIG, "256", auths_add(a, "the file", text.data, text.len, e));
	assert_null(auths_find(a, "h0"));
	buf_reset(&text);
	(void)buf_zero(&text, AUTHS_BYTES_MAX + 1);
	fails(ERR_TOO_BIG, auths_add(a, "the file", text.data, text.len, e));
}

static void test_load__finds_the_file_by_the_environment(void **state)
{
	static const char text[] = "{\"auths\": {\"a\": {\"auth\": \"dTpw\"}}}";
	char *dir = tmpdir_new();
	auto_auths struct auths *a = made("{}");
	auto_free char *none = path_join(dir, "none.json");
	auto_free char *file = path_join(dir, "config.json");

	(void)state;
	assert_int_equal(setenv("DOCKER_CONFIG", dir, 1), 0);
	ok(auths_load(a, NULL, e));
	assert_null(auths_find(a, "a"));
	write_text(dir, "config.json", text);
	ok(auths_load(a, NULL, e));
	check(a, "a", "dTpw", "");
	ok(auths_load(a, file, e));
	fails_saying(ERR_NOT_FOUND, "none.json", auths_load(a, none, e));
	write_text(dir, "config.json", "dTpw");
	fails_saying(ERR_FORMAT, "config.json", auths_load(a, NULL, e));
	assert_int_equal(unsetenv("DOCKER_CONFIG"), 0);
	tmpdir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add__takes_what_docker_and_kubernetes_write),
		cmocka_unit_test(test_add__what_is_known_first_stays),
		cmocka_unit_test(test_add__a_mistake_adds_nothing_and_repeats_no_secret),
		cmocka_unit_test(test_add__is_bounded),
		cmocka_unit_test(test_load__finds_the_file_by_the_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
