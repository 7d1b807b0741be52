/* SPDX-License-Identifier: Apache-2.0 */
/* Names of images as clusters have them. */
#include "restore/image.h"

#include <stdio.h>
#include <string.h>

#include "tests/harness/store_kit.h"

#define HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SHA "sha256:" HASH

static void check(const char *text, const char *host, const char *repository, const char *reference)
{
	struct image i;

	ok(image_parse(text, &i, e));
	assert_string_equal(i.host, host);
	assert_string_equal(i.repository, repository);
	assert_string_equal(i.reference, reference);
	assert_int_equal(i.digest, strchr(reference, ':') != NULL);
}

static void test_parse__short_names_are_of_docker_hub(void **state)
{
	(void)state;
	check("redis", "docker.io", "library/redis", "latest");
	check("redis:7", "docker.io", "library/redis", "7");
	check("bitnami/redis:7@" SHA, "docker.io", "bitnami/redis", SHA);
	check("docker.io/redis", "docker.io", "library/redis", "latest");
	check("index.docker.io/redis", "docker.io", "library/redis", "latest");
	check("docker.io/library/redis@" SHA, "docker.io", "library/redis", SHA);
	check("docker-pullable://redis@" SHA, "docker.io", "library/redis", SHA);
}

static void test_parse__a_dot_a_colon_or_localhost_make_a_host(void **state)
{
	(void)state;
	check("shopne.azurecr.io/shop/orders@" SHA, "shopne.azurecr.io", "shop/orders", SHA);
	check("127.0.0.1:5000/a:v1", "127.0.0.1:5000", "a", "v1");
	check("localhost/a", "localhost", "a", "latest");
	check("registry:5000/a/b/c__d-e.f:T_1.x-y", "registry:5000", "a/b/c__d-e.f", "T_1.x-y");
	check("redis:7/a", "redis:7", "a", "latest");
}

static void test_parse__what_is_no_name_is_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "", "no repository has" },
		{ "@" SHA, "no repository has" },
		{ "A", "no repository has" },
		{ "a//b", "no repository has" },
		{ "a/", "no repository has" },
		{ "a___b", "no repository has" },
		{ "a..b", "no repository has" },
		{ "-a", "no repository has" },
		{ "a-", "no repository has" },
		{ "a b", "no repository has" },
		{ "a?b", "no repository has" },
		{ "a.b/../c", "no repository has" },
		{ "a:", "no tag" },
		{ "a:.b", "no tag" },
		{ "a:b c", "no tag" },
		{ "a@sha256:12", "no digest" },
		{ "a@md5:" HASH, "no digest" },
		{ "a@" SHA "0", "no digest" },
		{ SHA, "a digest alone" },
		{ ".x/a", "its host" },
		{ "x:y/a", "its host" },
		{ "x:123456/a", "its host" },
		{ "x.y@z/a", "no digest" },
		{ "[::1]:5000/a", "its host" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct image image;

		fails_saying(ERR_INVALID, cases[i].why, image_parse(cases[i].text, &image, e));
	}
}

static void test_parse__long_names_are_refused(void **state)
{
	char text[2000];
	struct image image;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	fails_saying(ERR_INVALID, "too long", image_parse(text, &image, e));
	text[300] = '\0';
	fails_saying(ERR_INVALID, "255", image_parse(text, &image, e));
	text[298] = '.';
	text[299] = '/';
	fails_saying(ERR_INVALID, "its host", image_parse(text, &image, e));
	text[200] = '\0';
	ok(image_parse(text, &image, e));
	text[0] = 'a';
	memcpy(text + 1, ":", 2);
	memset(text + 2, 'b', 129);
	text[131] = '\0';
	fails_saying(ERR_INVALID, "no tag", image_parse(text, &image, e));
	text[130] = '\0';
	ok(image_parse(text, &image, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse__short_names_are_of_docker_hub),
		cmocka_unit_test(test_parse__a_dot_a_colon_or_localhost_make_a_host),
		cmocka_unit_test(test_parse__what_is_no_name_is_refused),
		cmocka_unit_test(test_parse__long_names_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
