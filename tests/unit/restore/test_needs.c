/* SPDX-License-Identifier: Apache-2.0 */
/* The table of rights, and what is told of those that are missing. */
#include "restore/needs.h"

#include "tests/harness/kube_cluster.h"

static const char *denied; /* a text of the requests that are not allowed */

static int reviews(void *arg, const struct http_seen *q, struct buf *reply)
{
	char body[4096];
	const char *answer = "{\"status\": {\"allowed\": true}}";

	(void)arg;
	(void)snprintf(body, sizeof(body), "%.*s", (int)q->body_len, (const char *)q->body);
	if (denied && strstr(body, denied))
		answer = "{\"status\": {\"allowed\": false}}";
	http_reply(reply, 201, "", answer, strlen(answer));
	return 0;
}

static int setup(void **state)
{
	denied = NULL;
	(void)cluster_setup(state);
	kit.own = reviews;
	return 0;
}

static const char *const targets[] = { "shop", "web" };

static void look(struct findings *l, const char *text)
{
	denied = text;
	finding_clear(l);
	ok(needs_look(kit.kube, "aksdr", targets, 2, l, e));
	finding_sort(l);
}

static void test_rules__all_say_what_is_lost(void **state)
{
	size_t n;
	const struct needs_rule *rules = needs_rules(&n);

	(void)state;
	assert_true(n > 0);
	for (size_t i = 0; i < n; i++) {
		assert_true(strlen(rules[i].verbs) > 0);
		assert_true(strlen(rules[i].lost) > 0);
		assert_null(strchr(rules[i].verbs, '*'));
	}
}

static void test_look__what_is_given_is_not_told(void **state)
{
	auto_findings struct findings l = FINDINGS_INIT;

	(void)state;
	look(&l, NULL);
	assert_int_equal(l.n, 0);
	/* Of targets it was asked once for all. */
	assert_null(strstr(kit.body, "shop"));
}

static void test_look__a_right_that_is_missing_blocks(void **state)
{
	auto_findings struct findings l = FINDINGS_INIT;

	(void)state;
	look(&l, "\"namespace\":\"aksdr\",\"resource\":\"pods\",\"verb\":\"create\"");
	assert_int_equal(l.n, 1);
	assert_int_equal(l.list[0].severity, FINDING_BLOCK);
	assert_string_equal(l.list[0].code, "RightMissing");
	assert_string_equal(l.list[0].object, "create pods in aksdr");
	assert_non_null(strstr(l.list[0].what, "no mover can be started"));
	look(&l, "\"subresource\":\"log\"");
	assert_int_equal(l.n, 1);
	assert_int_equal(l.list[0].severity, FINDING_WARNING);
	look(&l, "\"resource\":\"restoreplans\",\"verb\":\"get\"");
	assert_string_equal(l.list[0].object, "get restoreplans.aksdr.io");
}

static int in_shop_only(void *arg, const struct http_seen *q, struct buf *reply)
{
	char body[4096];

	(void)snprintf(body, sizeof(body), "%.*s", (int)q->body_len, (const char *)q->body);
	bool claims = strstr(body, "persistentvolumeclaims") && !strstr(body, "\"aksdr\"");
	denied = claims && !strstr(body, "\"shop\"") ? "persistentvolumeclaims" : NULL;
	return reviews(arg, q, reply);
}

static void test_look__rights_in_the_targets_alone_are_enough(void **state)
{
	auto_findings struct findings l = FINDINGS_INIT;

	(void)state;
	kit.own = in_shop_only;
	ok(needs_look(kit.kube, "aksdr", targets, 1, &l, e));
	assert_int_equal(l.n, 0);
	ok(needs_look(kit.kube, "aksdr", targets, 2, &l, e));
	finding_sort(&l);
	assert_int_equal(l.n, 4);
	assert_string_equal(l.list[0].object, "create persistentvolumeclaims in web");
}

static void test_gates__ask_where_they_look_and_once(void **state)
{
	auto_findings struct findings l = FINDINGS_INIT;
	auto_json json_t *plan = json_loads(
		"{\"apiVersion\": \"aksdr.io/v1alpha1\", \"kind\": \"RestorePlan\","
		"\"metadata\": {\"name\": \"shop\"}, \"spec\": {\"mode\": \"hot/cold\","
		"\"primary\": {\"cluster\": \"we\"}, "
		"\"selector\": {}, \"stages\": [{\"name\": \"a\","
		"\"selector\": {}, \"gates\": [{\"name\": \"g\", \"kind\": \"approval\"},"
		"{\"name\": \"c\", \"kind\": \"command\", \"command\": [\"true\"],"
		"\"pod\": {\"namespace\": \"shop\", \"selector\": \"a=b\"}}],"
		"\"hooks\": [{\"name\": \"d\", \"kind\": \"command\", \"command\": [\"true\"],"
		"\"pod\": {\"namespace\": \"shop\", \"selector\": \"a=c\"}},"
		"{\"name\": \"j\", \"kind\": \"job\","
		"\"job\": {\"namespace\": \"web\", \"name\": \"m\"}}]}]}}",
		0, NULL);
	auto_recipe struct recipe *r = NULL;

	(void)state;
	ok(recipe_read(plan, "aksdr", &r, e));
	ok(needs_gates(kit.kube, r, &l, e));
	assert_int_equal(l.n, 0);
	denied = "\"subresource\":\"exec\"";
	ok(needs_gates(kit.kube, r, &l, e));
	finding_sort(&l);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.list[0].severity, FINDING_BLOCK);
	assert_string_equal(l.list[0].object, "create pods/exec in shop");
	assert_string_equal(l.list[1].object, "get pods/exec in shop");
	denied = "\"resource\":\"jobs\"";
	finding_clear(&l);
	ok(needs_gates(kit.kube, r, &l, e));
	assert_int_equal(l.n, 1);
	assert_string_equal(l.list[0].object, "get jobs.batch in web");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, cluster_teardown)
		CASE(test_rules__all_say_what_is_lost),
		CASE(test_look__what_is_given_is_not_told),
		CASE(test_look__a_right_that_is_missing_blocks),
		CASE(test_look__rights_in_the_targets_alone_are_enough),
		CASE(test_gates__ask_where_they_look_and_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
