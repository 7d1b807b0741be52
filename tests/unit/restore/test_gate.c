/* SPDX-License-Identifier: Apache-2.0 */
/* When gates open, and what they say until then. Commands in pods are in tests/kube. */
#include "restore/gate.h"

#include "tests/harness/kube_cluster.h"

#define RUN "0123456789abcdef0123456789abcdef"

static struct gate_params params(void)
{
	return (struct gate_params){ .kube = kit.kube,
		                     .ns = "aksdr",
		                     .run = RUN,
		                     .plan_ns = "aksdr",
		                     .plan = "shop",
		                     .stage = "rest",
		                     .every_ms = 1 };
}

static void opens(const struct recipe_gate *g)
{
	const struct gate_params p = params();

	ok(gate_wait(&p, g, e));
}

/* It is not open, and says why. */
static void waits(const struct recipe_gate *g, const char *why)
{
	const struct gate_params p = params();
	char text[GATE_WHY_MAX];

	ok(gate_look(&p, g, 0, text, e));
	if (!strstr(text, why))
		fail_msg("'%s' is not in '%s'", why, text);
}

/* ---- approvals ---- */

static void test_is_approved__the_run_and_the_gate_are_named(void **state)
{
	static const struct {
		const char *words;
		bool is;
	} cases[] = {
		{ "", false },
		{ "rest/up", false },
		{ "01234567/rest/up", true },
		{ RUN "/rest/up", true },
		{ RUN "0/rest/up", false },
		{ "0123456/rest/up", false },
		{ "01234568/rest/up", false },
		{ "01234567/rest/upper", false },
		{ "01234567/rest/u", false },
		{ "01234567/db/up", false },
		{ "01234567rest/up", false },
		{ "76543210/rest/up, 01234567/db/up  01234567/rest/up,", true },
		{ "/", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (gate_is_approved(cases[i].words, RUN, "rest", "up") != cases[i].is)
			fail_msg("'%s'", cases[i].words);
}

static const struct recipe_gate approval = { .name = "up", .kind = RECIPE_APPROVAL };

static void test_wait__an_annotation_of_the_plan_opens(void **state)
{
	(void)state;
	waits(&approval, "aksdr-restore approve 01234567 rest/up");
	cluster_put("restoreplans/aksdr/shop",
	            "{'metadata': {'name': 'shop', 'annotations': {'aksdr.io/approve': "
	            "'fedcba98/rest/up'}}}");
	waits(&approval, "nobody has approved it");
	cluster_put("restoreplans/aksdr/shop",
	            "{'metadata': {'name': 'shop', 'annotations': {'aksdr.io/approve': "
	            "'01234567/rest/up'}}}");
	opens(&approval);
}

static void test_approve__opens_until_it_is_forgotten(void **state)
{
	static const struct recipe_gate other = { .name = "other", .kind = RECIPE_APPROVAL };

	(void)state;
	ok(gate_approve(kit.kube, "aksdr", "0123456789", "rest/up", e));
	ok(gate_approve(kit.kube, "aksdr", "0123456789", "rest/up", e));
	assert_non_null(cluster_get("configmaps/aksdr/aksdr-approve-01234567-rest.up"));
	opens(&approval);
	waits(&other, "nobody has approved it");
	ok(gate_approve(kit.kube, "aksdr", "fedcba98", "rest/other", e));
	waits(&other, "nobody has approved it");
	ok(gate_forget(kit.kube, "aksdr", RUN, e));
	assert_null(cluster_get("configmaps/aksdr/aksdr-approve-01234567-rest.up"));
	assert_non_null(cluster_get("configmaps/aksdr/aksdr-approve-fedcba98-rest.other"));
	waits(&approval, "nobody has approved it");
}

static void test_approve__what_is_no_run_or_gate_is_refused(void **state)
{
	static const char *const gates[] = { "",         "up",       "/up",  "rest/",
		                             "rest/u p", "re.st/up", "a/b/c" };

	(void)state;
	fails_saying(ERR_INVALID, "no run", gate_approve(kit.kube, "aksdr", "0123456", "a/b", e));
	fails_saying(ERR_INVALID, "no run", gate_approve(kit.kube, "aksdr", "0123456z", "a/b", e));
	fails_saying(ERR_INVALID, "no run", gate_approve(kit.kube, "aksdr", RUN "0", "a/b", e));
	for (size_t i = 0; i < ARRAY_LEN(gates); i++)
		fails_saying(ERR_INVALID, "no gate",
		             gate_approve(kit.kube, "aksdr", RUN, gates[i], e));
}

/* ---- jobs ---- */

static const struct recipe_gate job = {
	.name = "migrated", .kind = RECIPE_JOB, .ns = "shop", .job = "migrate"
};

#define JOB(type, status)                                                                    \
	"{'metadata': {'name': 'migrate'}, 'status': {'conditions': [{'type': 'Suspended', " \
	"'status': 'False'}, {'type': '" type "', 'status': '" status                        \
	"', 'message': 'Job has reached the limit'}]}}"

static void test_wait__a_job_opens_when_it_is_complete(void **state)
{
	(void)state;
	waits(&job, "Job 'shop/migrate'");
	cluster_put("jobs/shop/migrate", "{'metadata': {'name': 'migrate'}}");
	waits(&job, "is not complete");
	cluster_put("jobs/shop/migrate", JOB("Complete", "False"));
	waits(&job, "is not complete");
	cluster_put("jobs/shop/migrate", JOB("Complete", "True"));
	opens(&job);
}

static void test_wait__a_job_that_failed_ends_it(void **state)
{
	const struct gate_params p = params();

	(void)state;
	cluster_put("jobs/shop/migrate", JOB("Failed", "True"));
	fails_saying(ERR_IO, "has failed: Job has reached the limit", gate_wait(&p, &job, e));
}

static void test_wait__what_may_not_be_looked_at_ends_it(void **state)
{
	const struct gate_params p = params();

	(void)state;
	cluster.fail = "GET jobs";
	cluster.fail_status = 403;
	cluster.fail_message = "may not";
	fails_saying(ERR_DENIED, "'rest/migrated'", gate_wait(&p, &job, e));
}

/* ---- commands ---- */

static void test_choose_pod__the_first_ready_one(void **state)
{
#define POD(name, phase, ready)                                                     \
	"{\"metadata\": {\"name\": \"" name "\"}, \"status\": {\"phase\": \"" phase \
	"\", \"conditions\": [{\"type\": \"Ready\", \"status\": \"" ready "\"}]}}"
	static const char going[] =
		"{\"metadata\": {\"name\": \"0\", \"deletionTimestamp\": \"x\"}, "
		"\"status\": {\"phase\": \"Running\"}}";
	char text[2048];
	struct err e = ERR_INIT;
	auto_json json_t *none = json_array();

	(void)state;
	(void)snprintf(text, sizeof(text), "[%s, %s, %s, %s, %s, {}]", POD("c", "Running", "True"),
	               POD("b", "Running", "True"), POD("a", "Running", "False"),
	               POD("A", "Succeeded", "True"), going);
	auto_json json_t *pods = json_parse("pods", text, strlen(text), &e);
	assert_non_null(pods);
	assert_string_equal(kube_text_at(gate_choose_pod(pods), "metadata.name"), "b");
	assert_null(gate_choose_pod(none));
}

static void test_wait__a_command_needs_a_pod(void **state)
{
	static const char *words[] = { "true" };
	const struct recipe_gate g = { .name = "c",
		                       .kind = RECIPE_COMMAND,
		                       .ns = "shop",
		                       .selector = "app=db",
		                       .command = { words, 1 } };

	(void)state;
	waits(&g, "no pod of 'app=db' in 'shop' is ready");
	assert_non_null(strstr(kit_log(), "labelSelector=app%3Ddb"));
}

/* ---- http ---- */

static int status;

static int answers(void *arg, const struct http_seen *q, struct buf *reply)
{
	(void)arg;
	assert_string_equal(q->method, "GET");
	http_reply(reply, status, status == 302 ? "Location: /else\r\n" : "", "text", 4);
	return 0;
}

static void test_wait__an_answer_of_one_of_the_codes_opens(void **state)
{
	struct http_server *s = http_server_start(answers, NULL);
	char url[64];
	struct recipe_gate g = { .name = "answers",
		                 .kind = RECIPE_HTTP,
		                 .url = url,
		                 .codes = { 200, 204 },
		                 .ncodes = 2 };

	(void)state;
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/x", http_server_port(s));
	status = 503;
	waits(&g, "answers with status 503");
	status = 302;
	waits(&g, "answers with status 302");
	status = 204;
	opens(&g);
	http_server_stop(s);
	waits(&g, "127.0.0.1");
}

static void test_wait__a_gate_that_does_not_open_in_time_is_told(void **state)
{
	const struct gate_params p = params();
	struct recipe_gate g = job;

	(void)state;
	g.timeout_s = 1;
	fails_saying(ERR_BUSY, "'rest/migrated' was not open within 1s: ", gate_wait(&p, &g, e));
}

static void test_wait__cancel_ends_it(void **state)
{
	struct gate_params p = params();
	struct cancel c;

	(void)state;
	assert_int_equal(cancel_init(&c), 0);
	cancel_request(&c);
	p.cancel = &c;
	fails(ERR_CANCELLED, gate_wait(&p, &approval, e));
	cancel_clear(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_approved__the_run_and_the_gate_are_named),
		CLUSTER_CASE(test_wait__an_annotation_of_the_plan_opens),
		CLUSTER_CASE(test_approve__opens_until_it_is_forgotten),
		CLUSTER_CASE(test_approve__what_is_no_run_or_gate_is_refused),
		CLUSTER_CASE(test_wait__a_job_opens_when_it_is_complete),
		CLUSTER_CASE(test_wait__a_job_that_failed_ends_it),
		CLUSTER_CASE(test_wait__what_may_not_be_looked_at_ends_it),
		cmocka_unit_test(test_choose_pod__the_first_ready_one),
		CLUSTER_CASE(test_wait__a_command_needs_a_pod),
		CLUSTER_CASE(test_wait__an_answer_of_one_of_the_codes_opens),
		CLUSTER_CASE(test_wait__a_gate_that_does_not_open_in_time_is_told),
		CLUSTER_CASE(test_wait__cancel_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
