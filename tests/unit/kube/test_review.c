/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked, and which answers are none. */
#include "kube/review.h"

#include "tests/harness/kube_kit.h"

static const struct review what = {
	.verb = "create", .group = "", .resource = "pods", .sub = "exec"
};

static void test_self__gives_what_the_server_says(void **state)
{
	static const struct kit_answer script[] = {
		{ .body = "{\"status\":{\"allowed\":true,\"reason\":\"by role x\"}}" },
		{ .body = "{\"status\":{}}" },
	};
	bool allowed = false;
	char *why = NULL;

	(void)state;
	PLAY(script);
	ok(review_self(kit.kube, &what, &allowed, &why, e));
	assert_true(allowed);
	assert_string_equal(why, "by role x");
	free(why);
	assert_non_null(strstr(kit.body,
	                       "\"resourceAttributes\":{\"group\":\"\",\"resource\":\"pods\","
	                       "\"subresource\":\"exec\",\"verb\":\"create\"}"));
	fails(ERR_FORMAT, review_self(kit.kube, &what, &allowed, NULL, e));
}

static void test_verb__gives_each_once(void **state)
{
	char verb[REVIEW_VERB_MAX];
	size_t at = 0;

	(void)state;
	assert_true(review_verb("get list", &at, verb));
	assert_string_equal(verb, "get");
	assert_true(review_verb("get list", &at, verb));
	assert_string_equal(verb, "list");
	assert_false(review_verb("get list", &at, verb));
}

static void note_verb(void *arg, const char *verb)
{
	(void)snprintf(arg, REVIEW_VERB_MAX, "%s", verb);
}

static void test_self_verbs__tells_what_is_missing(void **state)
{
	static const struct kit_answer script[] = {
		{ .body = "{\"status\":{\"allowed\":true}}" },
		{ .body = "{\"status\":{\"allowed\":false}}" },
	};
	char verb[REVIEW_VERB_MAX] = "";
	const struct review_verbs r = { "", "pods/log", "get list", "n", note_verb, verb };
	unsigned asked = 0, missing = 0;

	(void)state;
	PLAY(script);
	ok(review_self_verbs(kit.kube, &r, &asked, &missing, e));
	assert_int_equal(asked, 2);
	assert_int_equal(missing, 1);
	assert_string_equal(verb, "list");
	assert_non_null(strstr(kit.body, "\"namespace\":\"n\",\"resource\":\"pods\","
	                                 "\"subresource\":\"log\",\"verb\":\"list\""));
}

static void test_other__names_user_and_groups(void **state)
{
	static const struct kit_answer script[] = {
		{ .body = "{\"status\":{\"allowed\":false}}" },
	};
	static const char *const groups[] = { "g", "h", NULL };
	bool allowed = true;

	(void)state;
	PLAY(script);
	ok(review_other(kit.kube, "u", groups, &what, &allowed, NULL, e));
	assert_false(allowed);
	assert_non_null(strstr(kit.body, "\"groups\":[\"g\",\"h\"]"));
	assert_non_null(strstr(kit.body, "\"user\":\"u\""));
}

static void test_token__gives_it_and_its_end(void **state)
{
	static const struct kit_answer script[] = {
		{ .status = 201,
		  .body = "{\"status\":{\"token\":\"t\",\"expirationTimestamp\":"
		          "\"2026-11-22T10:04:05Z\"}}" },
		{ .body = "{\"status\":{\"token\":\"t\"}}" },
	};
	char *token = NULL;
	int64_t expires_s = 0;

	(void)state;
	PLAY(script);
	ok(review_token(kit.kube, "n", "sa", "aud", 600, &token, &expires_s, e));
	assert_string_equal(token, "t");
	assert_int_equal(expires_s, 1795341845);
	free(token);
	assert_string_equal(kit_log(), "POST /api/v1/namespaces/n/serviceaccounts/sa/token\n");
	fails_saying(ERR_FORMAT, "'n/sa'",
	             review_token(kit.kube, "n", "sa", "aud", 600, &token, &expires_s, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_CASE(test_self__gives_what_the_server_says),
		KIT_CASE(test_verb__gives_each_once),
		KIT_CASE(test_self_verbs__tells_what_is_missing),
		KIT_CASE(test_other__names_user_and_groups),
		KIT_CASE(test_token__gives_it_and_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
