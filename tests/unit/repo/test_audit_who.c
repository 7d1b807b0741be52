/* SPDX-License-Identifier: Apache-2.0 */
/* Who acts: what a token of a service account says, and nothing from what is none. */
#include "repo/audit_who.h"

#include "common/hex.h"
#include "tests/harness/store_kit.h"

/* A token with this payload, as base64url without padding. */
static char *token_of(const char *payload)
{
	char b64[2048];
	char *ret = NULL;

	assert_int_equal(base64_encode(b64, sizeof(b64), payload, strlen(payload)), 0);
	for (char *c = b64; *c; c++)
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	b64[strcspn(b64, "=")] = '\0';
	assert_true(asprintf(&ret, "e30.%s.c2ln", b64) > 0);
	return ret;
}

static void assert_says(const char *token, const char *account, const char *pod)
{
	struct audit_who who;

	memset(&who, 'x', sizeof(who));
	audit_who_token(token, strlen(token), &who);
	assert_string_equal(who.account, account);
	assert_string_equal(who.pod, pod);
}

static void test_audit_who_token__tells_account_and_pod(void **state)
{
	auto_free char *token = token_of(
		"{\"sub\":\"system:serviceaccount:aksdr:agent\",\"kubernetes.io\":{\"namespace\":"
		"\"aksdr\",\"pod\":{\"name\":\"agent-7x\",\"uid\":\"1\"},\"note\":\"\?\?>\"}}");
	auto_free char *short_one = token_of("{\"sub\":\"a\\nb\"}");

	(void)state;
	assert_says(token, "system:serviceaccount:aksdr:agent", "aksdr/agent-7x");
	assert_says(short_one, "a\\x0ab", "");
}

static void test_audit_who_token__says_nothing_of_what_is_no_token(void **state)
{
	static const char *const wrong[] = { "",      ".",        "..",      "a.b",
		                             "a.b.c", "a.!!!!.c", "a.e30.c", "a.bnVsbA.c" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_says(wrong[i], "", "");
}

static void test_audit_who__knows_user_and_host(void **state)
{
	struct audit_who who;

	(void)state;
	audit_who(&who);
	assert_true(who.actor.user[0] && who.actor.host[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_audit_who_token__tells_account_and_pod),
		cmocka_unit_test(test_audit_who_token__says_nothing_of_what_is_no_token),
		cmocka_unit_test(test_audit_who__knows_user_and_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
