/* SPDX-License-Identifier: Apache-2.0 */
/* An identity is tried with the token of its service account. */
#include "restore/identity.h"

#include "tests/harness/kube_cluster.h"

static struct {
	struct http_server *server;
	char form[8192];
	int status;
	const char *answer;
} entra;

static int gives(void *arg, const struct http_seen *q, struct buf *reply)
{
	(void)arg;
	(void)snprintf(entra.form, sizeof(entra.form), "%s %.*s", q->target, (int)q->body_len,
	               (const char *)q->body);
	http_reply(reply, entra.status, "", entra.answer, strlen(entra.answer));
	return 0;
}

static int tokens(void *arg, const struct http_seen *q, struct buf *reply)
{
	static const char answer[] = "{\"status\": {\"token\": \"jwt-1\", \"expirationTimestamp\": "
				     "\"2026-11-22T10:04:05Z\"}}";

	if (strstr(q->target, "/serviceaccounts/mover/token"))
		http_reply(reply, 201, "", answer, strlen(answer));
	else
		return cluster_answers(arg, q, reply);
	return 0;
}

static int setup(void **state)
{
	char url[64];

	(void)cluster_setup(state);
	kit.own = tokens;
	entra.status = 200;
	entra.answer = "{\"access_token\": \"t\", \"expires_in\": 3600}";
	entra.form[0] = '\0';
	entra.server = http_server_start(gives, NULL);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", http_server_port(entra.server));
	assert_int_equal(setenv("AZURE_AUTHORITY_HOST", url, 1), 0);
	assert_int_equal(unsetenv("AZURE_TENANT_ID"), 0);
	return 0;
}

static int teardown(void **state)
{
	http_server_stop(entra.server);
	(void)unsetenv("AZURE_AUTHORITY_HOST");
	return cluster_teardown(state);
}

#define ACCOUNT(notes) \
	"{'metadata': {'name': 'mover', 'namespace': 'aksdr', 'annotations': {" notes "}}}"
#define CLIENT "'azure.workload.identity/client-id': 'c 1'"
#define TENANT ", 'azure.workload.identity/tenant-id': 't1'"

/* What is found: "SEVERITY CODE", "" for nothing; and a text that is told. */
static void tried(const char *wanted, const char *says)
{
	auto_findings struct findings l = FINDINGS_INIT;
	char text[128] = "";

	ok(identity_try(kit.kube, "aksdr", "mover", NULL, &l, e));
	assert_true(l.n <= 1);
	if (l.n == 1) {
		const struct finding *f = &l.list[0];

		(void)snprintf(text, sizeof(text), "%s %s", finding_severity_name(f->severity),
		               f->code);
		assert_string_equal(f->object, "ServiceAccount aksdr/mover");
		if (!strstr(f->what, says) && !strstr(f->remedy, says))
			fail_msg("'%s' => '%s'", f->what, f->remedy);
		assert_null(strstr(f->what, "jwt-1"));
	}
	assert_string_equal(text, wanted);
}

static void test_try__an_identity_that_works_is_not_told(void **state)
{
	(void)state;
	cluster_put("serviceaccounts/aksdr/mover", ACCOUNT(CLIENT TENANT));
	tried("", "");
	assert_non_null(strstr(entra.form, "/t1/oauth2/v2.0/token "));
	assert_non_null(strstr(entra.form, "client_assertion=jwt-1"));
	assert_non_null(strstr(entra.form, "client_id=c%201"));
	assert_non_null(strstr(kit.body, "api://AzureADTokenExchange"));
}

static void test_try__one_that_is_refused_blocks(void **state)
{
	(void)state;
	cluster_put("serviceaccounts/aksdr/mover", ACCOUNT(CLIENT TENANT));
	entra.status = 401;
	entra.answer = "{\"error_description\": \"AADSTS700211: no matching record\"}";
	tried("block IdentityRefused", "--subject system:serviceaccount:aksdr:mover");
}

static void test_try__without_an_identity_there_is_nothing_to_try(void **state)
{
	(void)state;
	cluster_put("serviceaccounts/aksdr/mover", ACCOUNT(""));
	tried("", "");
	assert_string_equal(entra.form, "");
}

static void test_try__without_a_tenant_it_is_noted(void **state)
{
	(void)state;
	cluster_put("serviceaccounts/aksdr/mover", ACCOUNT(CLIENT));
	tried("note IdentityNotTried", "AZURE_TENANT_ID");
	assert_int_equal(setenv("AZURE_TENANT_ID", "t2", 1), 0);
	tried("", "");
	assert_non_null(strstr(entra.form, "/t2/oauth2"));
	assert_int_equal(unsetenv("AZURE_TENANT_ID"), 0);
}

static void test_try__an_account_that_is_missing_blocks(void **state)
{
	(void)state;
	tried("block ServiceAccountMissing", "install the chart");
}

static void test_try__without_the_right_to_tokens_it_is_a_warning(void **state)
{
	(void)state;
	kit.own = cluster_answers;
	cluster_put("serviceaccounts/aksdr/mover", ACCOUNT(CLIENT TENANT));
	cluster.fail = "POST serviceaccounts";
	cluster.fail_status = 403;
	cluster.fail_message = "may not";
	tried("warning IdentityNotTried", "serviceaccounts/token");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		CASE(test_try__an_identity_that_works_is_not_told),
		CASE(test_try__one_that_is_refused_blocks),
		CASE(test_try__without_an_identity_there_is_nothing_to_try),
		CASE(test_try__without_a_tenant_it_is_noted),
		CASE(test_try__an_account_that_is_missing_blocks),
		CASE(test_try__without_the_right_to_tokens_it_is_a_warning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
