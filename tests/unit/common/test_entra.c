/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens by a service of the test. How they are renewed, and what becomes of bad answers, is seen
 * where a store uses them (tests/unit/store/test_azure_auth.c).
 */
#include "common/entra.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/harness/harness.h"
#include "tests/harness/http_server.h"
#include "tests/harness/store_kit.h"

struct world {
	struct http_server *server;
	struct http *http;
	char *dir, *file;
	char host[64];
	int status;
	unsigned tokens;
	char target[512], form[2048];
};

static struct world w;

static int answer(void *arg, const struct http_seen *q, struct buf *reply)
{
	char json[128];

	(void)arg;
	(void)snprintf(w.target, sizeof(w.target), "%.500s", q->target);
	(void)snprintf(w.form, sizeof(w.form), "%.*s",
	               (int)(q->body_len < 2000 ? q->body_len : 2000), (const char *)q->body);
	(void)snprintf(json, sizeof(json), "{\"expires_in\":3600,\"access_token\":\"t%u\"}",
	               ++w.tokens);
	http_reply(reply, w.status, "", json, strlen(json));
	return 0;
}

static int setup(void **state)
{
	const struct http_params params = { .stall_ms = 2000 };
	struct err e;

	(void)state;
	w = (struct world){ .status = 200 };
	w.server = http_server_start(answer, NULL);
	w.http = http_new(&params, &e);
	assert_non_null(w.http);
	w.dir = tmpdir_new();
	w.file = path_join(w.dir, "token");
	write_text(w.dir, "token", "jwt\n");
	(void)snprintf(w.host, sizeof(w.host), "http://127.0.0.1:%u//", http_server_port(w.server));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	http_free(w.http);
	if (w.server)
		http_server_stop(w.server);
	free(w.file);
	tmpdir_remove(w.dir);
	return 0;
}

/* What is set up in this test; arg: a name that is not, or NULL. */
static const char *settings(const void *arg, const char *name)
{
	if (arg && strcmp(arg, name) == 0)
		return NULL;
	if (strcmp(name, "AZURE_FEDERATED_TOKEN_FILE") == 0)
		return w.file;
	if (strcmp(name, "AZURE_CLIENT_ID") == 0)
		return "c 1";
	if (strcmp(name, "AZURE_TENANT_ID") == 0)
		return "t/1";
	return w.host;
}

static struct entra_params params_of(bool machine)
{
	return (struct entra_params){
		.machine = machine,
		.resource = "https://management.example",
		.http = w.http,
		.setting = settings,
		.absent = "no service at all",
	};
}

static void assert_bearer(struct entra *x, const char *expected)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(256);

	ok(entra_bearer(x, &b, e));
	assert_string_equal(buf_cstr(&b), expected);
}

static void test_bearer__a_workloads_token_is_for_the_resource(void **state)
{
	const struct entra_params p = params_of(false);
	struct err e = ERR_INIT;

	(void)state;
	assert_true(entra_has_workload(&p));
	auto_entra struct entra *x = entra_new(&p, &e);
	assert_non_null(x);
	assert_string_equal(entra_who(x), "the identity 'c 1'");
	assert_bearer(x, "Bearer t1");
	assert_bearer(x, "Bearer t1");
	assert_string_equal(w.target, "/t%2F1/oauth2/v2.0/token");
	assert_non_null(strstr(w.form, "&scope=https%3A%2F%2Fmanagement.example%2F.default&"));
	assert_non_null(strstr(w.form, "&client_assertion=jwt"));
}

static void test_bearer__the_machines_token_is_for_the_resource(void **state)
{
	const struct entra_params p = params_of(true);
	struct err e = ERR_INIT;

	(void)state;
	auto_entra struct entra *x = entra_new(&p, &e);
	assert_non_null(x);
	assert_bearer(x, "Bearer t1");
	assert_string_equal(w.target, "/metadata/identity/oauth2/token?api-version=2018-02-01&"
	                              "resource=https%3A%2F%2Fmanagement.example%2F&"
	                              "client_id=c%201");
}

static void test_bearer__a_machine_without_the_service_is_told_in_the_callers_words(void **state)
{
	const struct entra_params p = params_of(true);
	CLEANUP(buf_clear) struct buf b = BUF_INIT(256);
	struct err e = ERR_INIT;

	(void)state;
	auto_entra struct entra *x = entra_new(&p, &e);
	assert_non_null(x);
	http_server_stop(w.server);
	w.server = NULL;
	assert_int_equal(entra_bearer(x, &b, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
	assert_non_null(strstr(e.msg, "no service at all"));
}

static void test_rejected__drops_that_token_and_no_other(void **state)
{
	const struct entra_params p = params_of(false);
	struct err e = ERR_INIT;

	(void)state;
	auto_entra struct entra *x = entra_new(&p, &e);
	assert_non_null(x);
	assert_bearer(x, "Bearer t1");
	entra_rejected(x, "Bearer t0");
	entra_rejected(x, "Basic t1");
	entra_rejected(x, "Bea");
	assert_bearer(x, "Bearer t1");
	entra_rejected(x, "Bearer t1");
	assert_bearer(x, "Bearer t2");
}

static void test_new__what_is_missing_is_named(void **state)
{
	static const char *const names[] = { "AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID",
		                             "AZURE_TENANT_ID" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct entra_params p = params_of(false);
		struct err e = ERR_INIT;

		p.arg = names[i];
		assert_int_equal(entra_has_workload(&p), i > 0);
		assert_null(entra_new(&p, &e));
		assert_int_equal(e.class, ERR_INVALID);
		assert_non_null(strstr(e.msg, names[i]));
	}
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(test_bearer__a_workloads_token_is_for_the_resource),
		in_world(test_bearer__the_machines_token_is_for_the_resource),
		in_world(test_bearer__a_machine_without_the_service_is_told_in_the_callers_words),
		in_world(test_rejected__drops_that_token_and_no_other),
		in_world(test_new__what_is_missing_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
