/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials, and a service of the test that gives tokens. */
#include "store/azure_auth.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/harness/harness.h"
#include "tests/harness/http_server.h"
#include "tests/harness/store_kit.h"

#define S INT64_C(1000000000)
#define SECRET "s3cr3t"

static const char *const known[] = { "auth", NULL };

struct world {
	struct http_server *server;
	struct http *http;
	char *dir;
	char authority[64];
	int64_t now_ns;
	/* what the server answers, and what it saw */
	int status;
	const char *headers, *body; /* body NULL: the token "tN" for life seconds */
	int life;
	unsigned tokens;
	char method[16], target[512], metadata[16], form[2048];
};

static struct world w;

static int answer(void *arg, const struct http_seen *q, struct buf *reply)
{
	char json[128];

	(void)arg;
	(void)snprintf(w.method, sizeof(w.method), "%s", q->method);
	(void)snprintf(w.target, sizeof(w.target), "%.500s", q->target);
	(void)snprintf(w.form, sizeof(w.form), "%.*s",
	               (int)(q->body_len < 2000 ? q->body_len : 2000), (const char *)q->body);
	http_seen_header(q, "metadata", w.metadata, sizeof(w.metadata));
	if (w.status < 0)
		return -1;
	if (w.status == 200 && !w.body) {
		(void)snprintf(json, sizeof(json),
		               "{\"token_type\":\"Bearer\",\"expires_in\":%d,"
		               "\"access_token\":\"t%u\"}",
		               w.life, ++w.tokens);
		http_reply(reply, 200, "Content-Type: application/json\r\n", json, strlen(json));
		return 0;
	}
	http_reply(reply, w.status, w.headers ? w.headers : "", w.body, strlen(w.body));
	return 0;
}

static int64_t clock_of_test(void *arg)
{
	(void)arg;
	return w.now_ns;
}

static void forget_settings(void)
{
	static const char *const names[] = {
		"AZURE_FEDERATED_TOKEN_FILE",
		"AZURE_CLIENT_ID",
		"AZURE_TENANT_ID",
		"AZURE_AUTHORITY_HOST",
		"AZURE_STORAGE_SAS_TOKEN",
		"AZURE_STORAGE_KEY",
		"AZURE_STORAGE_CONNECTION_STRING",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unsetenv(names[i]);
}

static int setup(void **state)
{
	const struct http_params params = { .stall_ms = 2000 };
	struct err e;

	(void)state;
	w = (struct world){ .status = 200, .life = 3600, .now_ns = 1000 * S };
	w.server = http_server_start(answer, NULL);
	w.http = http_new(&params, &e);
	assert_non_null(w.http);
	w.dir = tmpdir_new();
	forget_settings();
	(void)snprintf(w.authority, sizeof(w.authority), "http://127.0.0.1:%u/",
	               http_server_port(w.server));
	setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", w.authority, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	http_free(w.http);
	http_server_stop(w.server);
	tmpdir_remove(w.dir);
	return 0;
}

static void clean_auth(struct azure_auth *const *a)
{
	azure_auth_free(*a);
}
#define auto_auth CLEANUP(clean_auth)

/* url may be "azure://acct1/data?auth=...". NULL with e. */
static struct azure_auth *make(const char *url, struct err *e)
{
	auto_place struct place p = { 0 };
	struct azure_auth *a = NULL;

	assert_int_equal(place_parse(url, known, &p, e), 0);
	if (azure_auth_new(&p, w.http, 5, &a, e) < 0)
		return NULL;
	azure_auth_clock(a, clock_of_test, NULL);
	return a;
}

static struct azure_auth *made(const char *url)
{
	struct err e = ERR_INIT;
	struct azure_auth *a = make(url, &e);

	if (!a)
		fail_msg("%s", e.msg);
	return a;
}

static void not_made(const char *url, enum err_class class, const char *text)
{
	struct err e = ERR_INIT;
	auto_auth struct azure_auth *a = make(url, &e);

	if (a || e.class != class || !strstr(e.msg, text) || strstr(e.msg, SECRET))
		fail_msg("%s: %s", err_class_name(e.class), e.msg);
}

static void workload(const char *token)
{
	auto_free char *path = path_join(w.dir, "token");

	write_text(w.dir, "token", token);
	setenv("AZURE_FEDERATED_TOKEN_FILE", path, 1);
	setenv("AZURE_CLIENT_ID", "the client", 1);
	setenv("AZURE_TENANT_ID", "the tenant", 1);
	setenv("AZURE_AUTHORITY_HOST", w.authority, 1);
}

/* What a request is authorized with; wire is cleared by the caller. */
static int applied(struct azure_auth *a, struct wire *wire, const char **query, struct err *e)
{
	wire_init(wire, "GET", "https://acct1.blob.core.windows.net");
	wire_path(wire, "data");
	wire_header(wire, "x-ms-date", "Sun, 22 Nov 2026 10:04:05 GMT");
	return azure_auth_apply(a, wire, 0, query, e);
}

static void assert_bearer(struct azure_auth *a, const char *expected)
{
	auto_wire struct wire wire = { 0 };
	const char *query;

	ok(applied(a, &wire, &query, e));
	assert_string_equal(query, "");
	assert_string_equal(wire_header_get(&wire, "authorization"), expected);
}

static void assert_no_token(struct azure_auth *a, enum err_class class, const char *text)
{
	auto_wire struct wire wire = { 0 };
	struct err e = ERR_INIT;
	const char *query;

	if (applied(a, &wire, &query, &e) != -1)
		fail_msg("there is a token");
	if (e.class != class || !strstr(e.msg, text) || strstr(e.msg, SECRET))
		fail_msg("%s: %s", err_class_name(e.class), e.msg);
}

/* ---- what is chosen ---- */

static void test_new__takes_the_first_that_is_set(void **state)
{
	(void)state;
	auto_auth struct azure_auth *imds = made("azure://acct1/data");
	assert_int_equal(azure_auth_kind(imds), AZURE_IMDS);
	setenv("AZURE_STORAGE_KEY", "a2V5", 1);
	auto_auth struct azure_auth *key = made("azure://acct1/data");
	assert_int_equal(azure_auth_kind(key), AZURE_KEY);
	setenv("AZURE_STORAGE_SAS_TOKEN", "?sv=1&sig=" SECRET, 1);
	auto_auth struct azure_auth *sas = made("azure://acct1/data");
	assert_int_equal(azure_auth_kind(sas), AZURE_SAS);
	workload("jwt");
	auto_auth struct azure_auth *wi = made("azure://acct1/data");
	assert_int_equal(azure_auth_kind(wi), AZURE_WORKLOAD);
	assert_string_equal(azure_auth_who(wi), "the identity 'the client'");
	auto_auth struct azure_auth *only = made("azure://acct1/data?auth=key");
	assert_int_equal(azure_auth_kind(only), AZURE_KEY);
}

static void test_new__what_auth_names_must_be_there(void **state)
{
	(void)state;
	not_made("azure://acct1/data?auth=workload", ERR_INVALID, "AZURE_FEDERATED_TOKEN_FILE");
	not_made("azure://acct1/data?auth=sas", ERR_INVALID, "AZURE_STORAGE_SAS_TOKEN");
	not_made("azure://acct1/data?auth=key", ERR_INVALID, "AZURE_STORAGE_KEY");
	not_made("azure://acct1/data?auth=me", ERR_INVALID, "none of workload, sas, key, imds");
	setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=acct1;AccountKey=a2V5", 1);
	not_made("azure://acct1/data?auth=sas", ERR_INVALID, "wants a SharedAccessSignature");
	setenv("AZURE_STORAGE_CONNECTION_STRING", "SharedAccessSignature=sig=" SECRET, 1);
	not_made("azure://acct1/data?auth=key", ERR_INVALID, "wants an AccountKey");
}

static void test_new__half_a_workload_identity_is_told(void **state)
{
	(void)state;
	workload("jwt");
	unsetenv("AZURE_CLIENT_ID");
	not_made("azure://acct1/data", ERR_INVALID, "AZURE_CLIENT_ID is not");
	setenv("AZURE_CLIENT_ID", "c", 1);
	unsetenv("AZURE_TENANT_ID");
	not_made("azure://acct1/data", ERR_INVALID, "AZURE_TENANT_ID is not");
}

static void test_new__secrets_that_are_none_are_not_repeated(void **state)
{
	(void)state;
	setenv("AZURE_STORAGE_KEY", SECRET "!", 1);
	not_made("azure://acct1/data", ERR_INVALID, "is no base64");
	setenv("AZURE_STORAGE_KEY", SECRET "!=", 1);
	not_made("azure://acct1/data", ERR_INVALID, "is no base64");
	setenv("AZURE_STORAGE_SAS_TOKEN", "sv=" SECRET, 1);
	not_made("azure://acct1/data", ERR_INVALID, "'sig'");
	setenv("AZURE_STORAGE_SAS_TOKEN", "sig=" SECRET "\r\nEvil: 1", 1);
	not_made("azure://acct1/data", ERR_INVALID, "'sig'");
	setenv("AZURE_STORAGE_SAS_TOKEN", "https://acct1/data?sig=" SECRET " x", 1);
	not_made("azure://acct1/data", ERR_INVALID, "'sig'");
}

static void test_new__a_connection_string(void **state)
{
	(void)state;
	setenv("AZURE_STORAGE_CONNECTION_STRING",
	       "DefaultEndpointsProtocol=https;AccountName=acct1;accountkey=a2V5;"
	       "EndpointSuffix=core.chinacloudapi.cn;",
	       1);
	auto_auth struct azure_auth *china = made("azure://acct1/data");
	assert_int_equal(azure_auth_kind(china), AZURE_KEY);
	assert_string_equal(azure_auth_endpoint(china), "https://acct1.blob.core.chinacloudapi.cn");
	assert_null(azure_auth_secondary(china));
	setenv("AZURE_STORAGE_CONNECTION_STRING",
	       "BlobEndpoint=https://a/;BlobSecondaryEndpoint=https://b/;EndpointSuffix=x;"
	       "SharedAccessSignature=sv=1&se=2026-11-22T10%3A04%3A05Z&sig=a%2Bb%3D",
	       1);
	auto_auth struct azure_auth *sas = made("azure://acct1/data");
	assert_int_equal(azure_auth_kind(sas), AZURE_SAS);
	assert_string_equal(azure_auth_who(sas), "the shared access signature");
	assert_string_equal(azure_auth_endpoint(sas), "https://a/");
	assert_string_equal(azure_auth_secondary(sas), "https://b/");
	assert_string_equal(azure_auth_expiry(sas), "2026-11-22T10:04:05Z");
}

static void test_new__a_connection_string_of_another_account(void **state)
{
	(void)state;
	setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=other;AccountKey=a2V5", 1);
	not_made("azure://acct1/data", ERR_INVALID, "the account 'other', and the URL for 'acct1'");
	setenv("AZURE_STORAGE_CONNECTION_STRING", "UseDevelopmentStorage=true", 1);
	not_made("azure://acct1/data", ERR_INVALID, "neither an AccountKey nor");
	setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountKey=" SECRET "!", 1);
	not_made("azure://acct1/data", ERR_INVALID, "is no base64");
}

/* ---- signatures ---- */

static void test_apply__a_signature_is_appended_as_it_is(void **state)
{
	auto_wire struct wire wire = { 0 };
	const char *query;

	(void)state;
	setenv("AZURE_STORAGE_SAS_TOKEN", "?sv=1&sig=a%2Bb%3D", 1);
	auto_auth struct azure_auth *a = made("azure://acct1/data");
	ok(applied(a, &wire, &query, e));
	assert_string_equal(query, "sv=1&sig=a%2Bb%3D");
	assert_null(wire_header_get(&wire, "authorization"));
	assert_null(azure_auth_expiry(a));
	assert_false(azure_auth_rejected(a, &wire));
}

static void test_apply__a_key_signs(void **state)
{
	auto_wire struct wire wire = { 0 };
	const char *query;

	(void)state;
	setenv("AZURE_STORAGE_KEY", "a2V5", 1);
	auto_auth struct azure_auth *a = made("azure://acct1/data");
	ok(applied(a, &wire, &query, e));
	assert_string_equal(query, "");
	assert_string_equal(wire_header_get(&wire, "authorization"),
	                    "SharedKey acct1:ubF/JFaI4cSD3TTqto+NJXB/0InfUJNxVnmIiO1ZTAA=");
	assert_false(azure_auth_rejected(a, &wire));
}

/* ---- tokens ---- */

static void test_apply__exchanges_the_federated_token(void **state)
{
	(void)state;
	workload("the.jwt+/=\n");
	auto_auth struct azure_auth *a = made("azure://acct1/data");
	assert_int_equal(http_server_requests(w.server), 0);
	assert_bearer(a, "Bearer t1");
	assert_string_equal(w.method, "POST");
	assert_string_equal(w.target, "/the%20tenant/oauth2/v2.0/token");
	assert_string_equal(w.form,
	                    "grant_type=client_credentials&client_assertion_type="
	                    "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
	                    "&client_id=the%20client"
	                    "&scope=https%3A%2F%2Fstorage.azure.com%2F.default"
	                    "&client_assertion=the.jwt%2B%2F%3D");
	assert_int_equal(http_counted(w.http, 5).requests, 1);
}

static void test_apply__a_token_is_renewed_at_half_its_life(void **state)
{
	(void)state;
	workload("one");
	auto_auth struct azure_auth *a = made("azure://acct1/data");
	assert_bearer(a, "Bearer t1");
	w.now_ns += 1799 * S;
	assert_bearer(a, "Bearer t1");
	w.now_ns += 1 * S;
	write_text(w.dir, "token", "two");
	assert_bearer(a, "Bearer t2");
	assert_non_null(strstr(w.form, "client_assertion=two")); /* the file was read again */
	assert_int_equal(http_server_requests(w.server), 2);
}

static void test_apply__a_token_without_life_serves_once(void **state)
{
	(void)state;
	workload("jwt");
	w.life = 0;
	auto_auth struct azure_auth *a = made("azure://acct1/data");
	assert_bearer(a, "Bearer t1");
	assert_bearer(a, "Bearer t2");
}

static void test_apply__the_old_token_serves_while_no_new_one_comes(void **state)
{
	(void)state;
	workload("jwt");
	auto_auth struct azure_auth *a = made("azure://acct1/data");
	assert_bearer(a, "Bearer t1");
	w.status = 503;
	w.body = "";
	w.now_ns += 1800 * S;
	assert_bearer(a, "Bearer t1");
	assert_bearer(a, "Bearer t1");
	assert_int_equal(http_server_requests(w.server), 2); /* and not for each request */
	w.now_ns += 10 * S;
	assert_bearer(a, "Bearer t1");
	assert_int_equal(http_server_requests(w.server), 3);
	w.now_ns += (3600 - 1810 - 30) * S;
	assert_no_token(a, ERR_RETRY, "answered with status 503");
	w.status = 200;
	w.body = NULL;
	assert_bearer(a, "Bearer t2");
}

static void test_rejected__a_token_that_is_refused_is_replaced_once(void **state)
{
	auto_wire struct wire first = { 0 };
	auto_wire struct wire second = { 0 };
	const char *query;

	(void)state;
	workload("jwt");
	auto_auth struct azure_auth *a = made("azure://acct1/data");
	ok(applied(a, &first, &query, e));
	ok(applied(a, &second, &query, e));
	assert_true(azure_auth_rejected(a, &first));
	assert_bearer(a, "Bearer t2");
	/* the other request had the old one, too: the new one stays */
	assert_true(azure_auth_rejected(a, &second));
	assert_bearer(a, "Bearer t2");
}

static void test_apply__a_token_file_that_is_no_good(void **state)
{
	auto_free char *gone = path_join(w.dir, "gone");

	(void)state;
	workload(" \n");
	auto_auth struct azure_auth *empty = made("azure://acct1/data");
	assert_no_token(empty, ERR_DENIED, "is empty");
	setenv("AZURE_FEDERATED_TOKEN_FILE", gone, 1);
	auto_auth struct azure_auth *a = made("azure://acct1/data");
	assert_no_token(a, ERR_NOT_FOUND, "reading the federated token '");
}

static void test_apply__what_entra_refuses_has_its_remedy(void **state)
{
	static const struct {
		const char *text;
		const char *remedy;
	} table[] = {
		{ "AADSTS700211: No matching federated identity record found for presented "
		  "assertion issuer 'https://oidc/'.",
		  "add a federated credential for this cluster's issuer" },
		{ "AADSTS700213: No matching ... subject", "add a federated credential" },
		{ "AADSTS70021: No matching federated identity record", "add a federated" },
		{ "AADSTS700212: ... audience", "the token is for another audience" },
		{ "AADSTS700024: Client assertion is not within its valid time range", "clock" },
		{ "AADSTS700016: Application not found in the directory",
		  "AZURE_CLIENT_ID is no identity of this tenant" },
		{ "AADSTS90002: Tenant not found", "AZURE_TENANT_ID is no tenant" },
		{ "AADSTS900023: Specified tenant identifier", "AZURE_TENANT_ID is no tenant" },
		{ "AADSTS7002130: what nobody has seen", "look at the identity's set-up" },
		{ "\\u001b[31mred", "status 400: look at the identity's set-up" },
	};
	char body[512];

	(void)state;
	workload(SECRET);
	w.status = 400;
	w.body = body;
	auto_auth struct azure_auth *a = made("azure://acct1/data");
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		(void)snprintf(body, sizeof(body),
		               "{\"error\":\"invalid_request\",\"error_description\":"
		               "\"%s\\r\\nTrace ID: 1\"}",
		               table[i].text);
		assert_no_token(a, ERR_DENIED, table[i].remedy);
		assert_no_token(a, ERR_DENIED, "the identity 'the client' gets no token");
	}
	w.body = "<html>";
	assert_no_token(a, ERR_DENIED, "status 400: look at");
}

static void test_apply__who_gives_tokens_may_be_busy(void **state)
{
	static const int statuses[] = { 408, 429, 500, 502, 503, 504 };
	auto_wire struct wire wire = { 0 };
	struct err e = ERR_INIT;
	const char *query;

	(void)state;
	workload("jwt");
	w.headers = "Retry-After: 3\r\n";
	w.body = "";
	auto_auth struct azure_auth *a = made("azure://acct1/data");
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		w.status = statuses[i];
		assert_no_token(a, ERR_RETRY, "the service that gives tokens");
	}
	assert_int_equal(applied(a, &wire, &query, &e), -1);
	assert_int_equal(e.wait_ms, 3000);
	w.status = -1;
	assert_no_token(a, ERR_RETRY, "127.0.0.1");
}

static void test_apply__answers_that_have_no_token(void **state)
{
	static const char *const bodies[] = {
		"",
		"{",
		"<html>" SECRET,
		"{\"access_token\":\"" SECRET,
		"{\"access_token\":" SECRET "}",
		"{\"expires_in\":1}",
		"{\"access_token\":\"" SECRET "\"}",
		"{\"access_token\":\"\",\"expires_in\":1}",
		"{\"access_token\":\"" SECRET "\\r\\nEvil: 1\",\"expires_in\":1}",
		"{\"access_token\":\"" SECRET "\",\"expires_in\":-1}",
		"{\"access_token\":\"" SECRET "\",\"expires_in\":\"soon\"}",
		"{\"access_token\":17,\"expires_in\":1}",
	};

	(void)state;
	workload("jwt");
	auto_auth struct azure_auth *a = made("azure://acct1/data");
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		auto_wire struct wire wire = { 0 };
		struct err e = ERR_INIT;
		const char *query;

		w.body = bodies[i];
		if (applied(a, &wire, &query, &e) != -1 || strstr(e.msg, SECRET) ||
		    (e.class != ERR_FORMAT && e.class != ERR_INVALID))
			fail_msg("%s: %s: %s", bodies[i], err_class_name(e.class), e.msg);
	}
}

static void test_apply__an_authority_in_clear_gets_nothing(void **state)
{
	(void)state;
	workload(SECRET);
	setenv("AZURE_AUTHORITY_HOST", "http://login.example.com", 1);
	auto_auth struct azure_auth *clear = made("azure://acct1/data");
	assert_no_token(clear, ERR_INVALID, "must be by https");
	setenv("AZURE_AUTHORITY_HOST", "login.example.com", 1);
	auto_auth struct azure_auth *bare = made("azure://acct1/data");
	assert_no_token(bare, ERR_INVALID, "must be by https");
}

/* ---- the machine's identity ---- */

static void test_apply__asks_the_machines_service(void **state)
{
	(void)state;
	w.body = "{\"access_token\":\"m1\",\"expires_in\":\"86399\"}";
	auto_auth struct azure_auth *a = made("azure://acct1/data");
	assert_bearer(a, "Bearer m1");
	assert_string_equal(w.method, "GET");
	assert_string_equal(w.target, "/metadata/identity/oauth2/token?api-version=2018-02-01"
	                              "&resource=https%3A%2F%2Fstorage.azure.com%2F");
	assert_string_equal(w.metadata, "true");
	setenv("AZURE_CLIENT_ID", "c/1", 1);
	auto_auth struct azure_auth *one = made("azure://acct1/data");
	assert_bearer(one, "Bearer m1");
	assert_non_null(strstr(w.target, "&client_id=c%2F1"));
}

static void test_apply__the_machines_service_may_be_starting(void **state)
{
	(void)state;
	w.body = "";
	auto_auth struct azure_auth *a = made("azure://acct1/data");
	w.status = 404;
	assert_no_token(a, ERR_RETRY, "status 404");
	w.status = 410;
	assert_no_token(a, ERR_RETRY, "status 410");
	w.status = 400;
	w.body = "{\"error\":\"invalid_request\",\"error_description\":\"Identity not found\"}";
	assert_no_token(a, ERR_DENIED, "Identity not found");
}

static void test_apply__no_service_and_no_credentials_are_one_sentence(void **state)
{
	(void)state;
	auto_auth struct azure_auth *a = made("azure://acct1/data");
	auto_auth struct azure_auth *asked = made("azure://acct1/data?auth=imds");
	http_server_stop(w.server);
	w.server = NULL;
	assert_no_token(a, ERR_DENIED, "there are no credentials: neither workload identity nor");
	assert_no_token(asked, ERR_DENIED, "auth=imds");
}

static void test_apply__a_service_that_was_there_is_asked_again(void **state)
{
	(void)state;
	w.life = 0;
	auto_auth struct azure_auth *a = made("azure://acct1/data");
	assert_bearer(a, "Bearer t1");
	w.status = -1;
	assert_no_token(a, ERR_RETRY, "127.0.0.1");
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(test_new__takes_the_first_that_is_set),
		in_world(test_new__what_auth_names_must_be_there),
		in_world(test_new__half_a_workload_identity_is_told),
		in_world(test_new__secrets_that_are_none_are_not_repeated),
		in_world(test_new__a_connection_string),
		in_world(test_new__a_connection_string_of_another_account),
		in_world(test_apply__a_signature_is_appended_as_it_is),
		in_world(test_apply__a_key_signs),
		in_world(test_apply__exchanges_the_federated_token),
		in_world(test_apply__a_token_is_renewed_at_half_its_life),
		in_world(test_apply__a_token_without_life_serves_once),
		in_world(test_apply__the_old_token_serves_while_no_new_one_comes),
		in_world(test_rejected__a_token_that_is_refused_is_replaced_once),
		in_world(test_apply__a_token_file_that_is_no_good),
		in_world(test_apply__what_entra_refuses_has_its_remedy),
		in_world(test_apply__who_gives_tokens_may_be_busy),
		in_world(test_apply__answers_that_have_no_token),
		in_world(test_apply__an_authority_in_clear_gets_nothing),
		in_world(test_apply__asks_the_machines_service),
		in_world(test_apply__the_machines_service_may_be_starting),
		in_world(test_apply__no_service_and_no_credentials_are_one_sentence),
		in_world(test_apply__a_service_that_was_there_is_asked_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
