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

static void test_bearer__says_whose_token_it_is(void **state)
{
	static const struct kit_answer script[] = {
		{ .status = 201,
		  .body = "{\"spec\":{\"token\":\"abc\"},\"status\":{\"authenticated\":true,"
		          "\"user\":{\"username\":\"u\",\"groups\":[\"g\"]},"
		          "\"audiences\":[\"https://server\"]}}" },
		{ .body = "{\"status\":{\"error\":\"no\"}}" },
		{ .body = "{\"status\":{\"authenticated\":true,\"user\":{}}}" },
		{ .status = 403, .body = "{\"kind\":\"Status\",\"code\":403}" },
	};
	json_t *person = NULL;

	(void)state;
	PLAY(script);
	ok(review_bearer(kit.kube, "abc", NULL, &person, e));
	assert_string_equal(kube_text_at(person, "username"), "u");
	json_decref(person);
	assert_string_equal(kit.body, "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":"
	                              "\"TokenReview\",\"spec\":{\"token\":\"abc\"}}");
	ok(review_bearer(kit.kube, "abc", NULL, &person, e));
	assert_null(person);
	fails_saying(ERR_FORMAT, "names nobody", review_bearer(kit.kube, "a", NULL, &person, e));
	fails(ERR_DENIED, review_bearer(kit.kube, "a", NULL, &person, e));
}

static void test_bearer__takes_a_token_for_its_audience_alone(void **state)
{
	static const struct kit_answer script[] = {
		{ .body = "{\"status\":{\"authenticated\":true,\"user\":{\"username\":\"u\"},"
		          "\"audiences\":[\"x\",\"page\"]}}" },
		{ .body = "{\"status\":{\"authenticated\":true,\"user\":{\"username\":\"u\"},"
		          "\"audiences\":[\"x\"]}}" },
		/* an old authenticator that knows no audiences: good for the server itself */
		{ .body = "{\"status\":{\"authenticated\":true,\"user\":{\"username\":\"u\"}}}" },
	};
	json_t *person = NULL;

	(void)state;
	PLAY(script);
	ok(review_bearer(kit.kube, "abc", "page", &person, e));
	assert_non_null(person);
	json_decref(person);
	assert_non_null(strstr(kit.body, "\"audiences\":[\"page\"]"));
	ok(review_bearer(kit.kube, "abc", "page", &person, e));
	assert_null(person);
	ok(review_bearer(kit.kube, "abc", "page", &person, e));
	assert_null(person);
}

static void test_url__asks_for_the_whole_person(void **state)
{
	static const struct kit_answer script[] = {
		{ .body = "{\"status\":{\"allowed\":true}}" },
		{ .body = "{\"status\":{\"allowed\":false}}" },
	};
	auto_json json_t *person = json_pack("{s:s, s:s, s:[s], s:{s:[s]}}", "username", "u", "uid",
	                                     "1", "groups", "g", "extra", "k", "v");
	auto_json json_t *bare = json_pack("{s:s}", "username", "u");
	bool allowed = false;

	(void)state;
	PLAY(script);
	ok(review_url(kit.kube, person, "get", "/aksdr", &allowed, e));
	assert_true(allowed);
	assert_non_null(strstr(kit.body, "\"spec\":{\"extra\":{\"k\":[\"v\"]},\"groups\":[\"g\"],"
	                                 "\"nonResourceAttributes\":{\"path\":\"/aksdr\","
	                                 "\"verb\":\"get\"},\"uid\":\"1\",\"user\":\"u\"}"));
	ok(review_url(kit.kube, bare, "get", "/aksdr", &allowed, e));
	assert_false(allowed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_CASE(test_self__gives_what_the_server_says),
		KIT_CASE(test_verb__gives_each_once),
		KIT_CASE(test_self_verbs__tells_what_is_missing),
		KIT_CASE(test_other__names_user_and_groups),
		KIT_CASE(test_bearer__says_whose_token_it_is),
		KIT_CASE(test_bearer__takes_a_token_for_its_audience_alone),
		KIT_CASE(test_url__asks_for_the_whole_person),
		KIT_CASE(test_token__gives_it_and_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
