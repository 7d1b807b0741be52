/* SPDX-License-Identifier: Apache-2.0 */
/* Headers as registries send them. */
#include "restore/challenge.h"

#include <stdio.h>
#include <string.h>

#include "tests/harness/store_kit.h"

static void check(const char *header, enum challenge_kind kind, const char *realm,
                  const char *service)
{
	struct challenge c = challenge_parse(header);

	if (c.kind != kind || strcmp(c.realm, realm) != 0 || strcmp(c.service, service) != 0)
		fail_msg("'%s': %d '%s' '%s'", header, c.kind, c.realm, c.service);
}

static void test_parse__takes_the_best_of_what_is_asked(void **state)
{
	(void)state;
	check("Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\","
	      "scope=\"repository:library/redis:pull\"",
	      CHALLENGE_BEARER, "https://auth.docker.io/token", "registry.docker.io");
	check("Basic realm=\"r\"", CHALLENGE_BASIC, "r", "");
	check("Basic", CHALLENGE_BASIC, "", "");
	check("Basic realm=r, Bearer service = s , realm = \"https://x/y\"", CHALLENGE_BEARER,
	      "https://x/y", "s");
	check("bearer realm=\"a\\\"b\\\\c, d\"", CHALLENGE_BEARER, "a\"b\\c, d", "");
	check("Negotiate abc==, Basic realm=r", CHALLENGE_BASIC, "r", "");
	check("Digest realm=\"x\"", CHALLENGE_NONE, "", "");
	check("Digest realm=\"x\", ,Bearer realm=z,error=\"invalid_token\"", CHALLENGE_BEARER, "z",
	      "");
}

static void test_parse__what_does_not_parse_is_none(void **state)
{
	char header[2000];

	(void)state;
	check("", CHALLENGE_NONE, "", "");
	check("Bearer", CHALLENGE_NONE, "", "");
	check("Bearer realm=", CHALLENGE_NONE, "", "");
	check("Bearer realm=\"x", CHALLENGE_NONE, "", "");
	check("Bearer realm=\"x\\", CHALLENGE_NONE, "", "");
	check("\"Bearer\" realm=x", CHALLENGE_NONE, "", "");
	check("(Bearer realm=x", CHALLENGE_NONE, "", "");
	(void)snprintf(header, sizeof(header), "Bearer realm=\"%01024d\"", 0);
	check(header, CHALLENGE_NONE, "", "");
	(void)snprintf(header, sizeof(header), "Bearer realm=x,service=%0256d", 0);
	check(header, CHALLENGE_NONE, "", "");
	(void)snprintf(header, sizeof(header), "Bearer realm=x,scope=\"%01500d\"", 0);
	check(header, CHALLENGE_BEARER, "x", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse__takes_the_best_of_what_is_asked),
		cmocka_unit_test(test_parse__what_does_not_parse_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
