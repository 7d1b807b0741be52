/* SPDX-License-Identifier: Apache-2.0 */
/* The agent that leads shows its catalog; another one says who leads. */
#include "agent/page.h"
#include "agent/run_keep.h"
#include "catalog/catalog.h"
#include "common/secret.h"
#include "tests/harness/http_client.h"
#include "tests/harness/kube_kit.h"

#define GET "GET / HTTP/1.1\r\nAuthorization: Bearer good"

static struct run_params params;
static struct run r;
static const char *holder; /* of the Lease; NULL: there is none */
static char state_dir[512];

static int api(void *arg, const struct http_seen *q, struct buf *reply)
{
	char body[256];

	(void)arg;
	if (strstr(q->target, "/tokenreviews")) {
		(void)snprintf(body, sizeof(body),
		               "{\"status\":{\"authenticated\":true,"
		               "\"user\":{\"username\":\"u\"}}}");
	} else if (strstr(q->target, "/subjectaccessreviews")) {
		(void)snprintf(body, sizeof(body), "{\"status\":{\"allowed\":true}}");
	} else if (strstr(q->target, "/namespaces/aksdr/leases/aksdr-leader") && holder) {
		(void)snprintf(body, sizeof(body), "{\"spec\":{\"holderIdentity\":\"%s\"}}",
		               holder);
	} else {
		http_reply(reply, holder ? 403 : 404, "", "no", 2);
		return 0;
	}
	http_reply(reply, 200, "", body, strlen(body));
	return 0;
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	if (secret_init(&e) < 0 || kit_setup(state) < 0)
		return -1;
	kit.own = api;
	auto_free char *config = path_join(kit.dir, "config");
	assert_int_equal(setenv("KUBECONFIG", config, 1), 0);
	(void)snprintf(state_dir, sizeof(state_dir), "%s/state", kit.dir);
	params = (struct run_params){
		.ns = "aksdr", .pod = "agent-a", .page = "127.0.0.1:0", .state = state_dir
	};
	r = (struct run){ .p = &params, .stop = { .fd = -1 } };
	holder = "agent-b";
	if (run_page_start(&r, &e) < 0)
		fail_msg("%s", e.msg);
	return 0;
}

static int teardown(void **state)
{
	run_page_stop(&r);
	return kit_teardown(state);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void assert_answer(const char *head, const char *begin, const char *has)
{
	client_assert(page_port(r.page), head, begin, has);
}

static void test_run_page_start__says_who_leads(void **state)
{
	(void)state;
	assert_answer("GET / HTTP/1.1", "HTTP/1.1 401 ", "");
	assert_answer(GET, "HTTP/1.1 503 ",
	              "that is the pod 'agent-b': kubectl -n aksdr port-forward pod/agent-b 0\n");
	holder = "agent-a"; /* which it was before */
	assert_answer(GET, "HTTP/1.1 503 ", "no agent leads now; one will in a minute\n");
	holder = NULL;
	assert_answer(GET, "HTTP/1.1 503 ", "no agent leads now");
}

static void test_run_page_start__shows_the_catalog_where_it_leads(void **state)
{
	auto_catalog struct catalog *c = NULL;
	char path[600];

	(void)state;
	atomic_store(&r.leads, true);
	assert_answer(GET, "HTTP/1.1 503 ", "its catalog is not made yet");
	(void)snprintf(path, sizeof(path), "%s/id/" CATALOG_FILE, state_dir);
	ok(catalog_make_dir(path, e));
	ok(catalog_open(path, CATALOG_WRITE, &c, e));
	assert_answer(GET, "HTTP/1.1 200 ", "<h1>Am I safe?</h1>");
	/* The keeper may be writing to it. */
	ok(catalog_exec(c, "BEGIN IMMEDIATE", e));
	assert_answer("GET /reports/rpo HTTP/1.1\r\nAuthorization: Bearer good", "HTTP/1.1 200 ",
	              "</html>");
	ok(catalog_exec(c, "ROLLBACK", e));
}

static void test_run_page_start__has_none_where_none_is_wanted(void **state)
{
	struct run other = { .p = &params };

	(void)state;
	params.page = NULL;
	ok(run_page_start(&other, e));
	assert_null(other.page);
	run_page_stop(&other);
	params.page = "192.0.2.1:0";
	fails_saying(ERR_INVALID, "can be reached from other machines", run_page_start(&other, e));
	run_page_stop(&other);
	params.page = "127.0.0.1:0";
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_run_page_start__says_who_leads),
		CASE(test_run_page_start__shows_the_catalog_where_it_leads),
		CASE(test_run_page_start__has_none_where_none_is_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
