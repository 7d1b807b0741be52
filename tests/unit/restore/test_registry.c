/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of registries, and what their answers mean, by a server that plays one. A real one,
 * with tokens of a real service, is in tests/kube/registry.sh.
 */
#include "restore/registry.h"

#include <stdio.h>
#include <string.h>

#include "tests/harness/http_server.h"
#include "tests/harness/store_kit.h"

#define SHA "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define OTHER "sha256:0000000098fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static struct {
	struct http_server *server;
	struct auths *auths;
	char host[32];
	struct buf log; /* "METHOD TARGET AUTHORIZATION|BODY\n" */
	void (*answer)(const char *target, const char *auth, struct buf *reply);
	unsigned failures; /* so many answers are 503 first */
} w;

static int answers(void *arg, const struct http_seen *q, struct buf *reply)
{
	char auth[256];

	(void)arg;
	http_seen_header(q, "authorization", auth, sizeof(auth));
	(void)buf_printf(&w.log, "%s %s %s|%.*s\n", q->method, q->target, auth, (int)q->body_len,
	                 (const char *)q->body);
	if (w.failures > 0) {
		w.failures--;
		http_reply(reply, 503, "", "", 0);
		return 0;
	}
	w.answer(q->target, auth, reply);
	return 0;
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	memset(&w, 0, sizeof(w));
	w.log = BUF_INIT(MIB);
	w.auths = auths_new(&e);
	assert_non_null(w.auths);
	w.server = http_server_start(answers, NULL);
	(void)snprintf(w.host, sizeof(w.host), "127.0.0.1:%u", http_server_port(w.server));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	http_server_stop(w.server);
	auths_free(w.auths);
	buf_clear(&w.log);
	return 0;
}

static void know(const char *entry)
{
	char text[512];

	(void)snprintf(text, sizeof(text), "{\"auths\": {\"%s\": {%s}}}", w.host, entry);
	ok(auths_add(w.auths, "the test's", text, strlen(text), e));
}

/* An image of our server: what became of it. */
static struct registry_result look(const char *name)
{
	const struct registry_params p = { .auths = w.auths, .budget_ms = 3000 };
	struct registry_result ret = { .answer = REGISTRY_UNKNOWN };
	char image[512];
	const char *images[] = { image };

	(void)snprintf(image, sizeof(image), "%s/%s", w.host, name);
	ok(registry_look(&p, images, 1, &ret, e));
	return ret;
}

static void expect(const char *name, enum registry_answer answer, const char *why)
{
	struct registry_result r = look(name);

	if (r.answer != answer || !strstr(r.why, why))
		fail_msg("%s: %d %s", name, r.answer, r.why);
}

static const char *seen(void)
{
	(void)http_server_requests(w.server);
	return buf_cstr(&w.log);
}

static void reply(struct buf *to, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void reply(struct buf *to, int status, const char *fmt, ...)
{
	char headers[3000];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(headers, sizeof(headers), fmt, ap);
	va_end(ap);
	http_reply(to, status, headers, "", 0);
}

/* ---- without credentials ---- */

static void open_registry(const char *target, const char *auth, struct buf *to)
{
	(void)auth;
	if (strstr(target, "/there/"))
		reply(to, 200, "Docker-Content-Digest: " SHA "\r\n");
	else if (strstr(target, "/silent/"))
		reply(to, 200, "%s", "");
	else if (strstr(target, "/teapot/"))
		reply(to, 418, "%s", "");
	else if (strstr(target, "/secret/"))
		reply(to, 403, "%s", "");
	else
		reply(to, 404, "%s", "");
}

static void test_look__tells_what_is_there_and_what_is_not(void **state)
{
	(void)state;
	w.answer = open_registry;
	expect("a/there@" SHA, REGISTRY_THERE, "");
	assert_string_equal(seen(), "HEAD /v2/a/there/manifests/" SHA " |\n");
	expect("silent@" SHA, REGISTRY_THERE, "");
	expect("there:tag", REGISTRY_THERE, "");
	expect("there@" OTHER, REGISTRY_OTHER, "answers with the digest " SHA);
	expect("none@" SHA, REGISTRY_MISSING, "does not have it");
	expect("teapot:x", REGISTRY_UNKNOWN, "status 418");
	expect("secret:x", REGISTRY_DENIED, "there are no credentials");
	expect("NoName", REGISTRY_UNKNOWN, "is no name of an image");
}

static void test_look__a_registry_in_trouble_is_asked_again(void **state)
{
	(void)state;
	w.answer = open_registry;
	w.failures = 2;
	expect("there@" SHA, REGISTRY_THERE, "");
	w.failures = 1000;
	expect("there@" SHA, REGISTRY_UNKNOWN, "status 503");
}

static void test_look__many_images_have_their_results_in_order(void **state)
{
	enum { N = 40 };
	const struct registry_params p = { .auths = NULL };
	struct registry_result ret[N];
	char names[N][128];
	const char *images[N];

	(void)state;
	w.answer = open_registry;
	for (int i = 0; i < N; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "%s/%s:%d", w.host,
		               i % 3 == 0 ? "none" : "there", i);
		images[i] = names[i];
	}
	ok(registry_look(&p, images, N, ret, e));
	for (int i = 0; i < N; i++)
		assert_int_equal(ret[i].answer, i % 3 == 0 ? REGISTRY_MISSING : REGISTRY_THERE);
}

static void test_look__cancel_ends_it(void **state)
{
	struct cancel c;
	const char *images[] = { w.host };
	const struct registry_params p = { .cancel = &c };
	struct registry_result ret;
	char image[128];

	(void)state;
	w.answer = open_registry;
	w.failures = 1000;
	(void)snprintf(image, sizeof(image), "%s/a:b", w.host);
	images[0] = image;
	assert_int_equal(cancel_init(&c), 0);
	cancel_request(&c);
	struct err why = ERR_INIT;
	assert_int_equal(registry_look(&p, images, 1, &ret, &why), -1);
	assert_int_equal(why.class, ERR_CANCELLED);
	cancel_clear(&c);
}

/* ---- with them ---- */

static void basic_registry(const char *target, const char *auth, struct buf *to)
{
	(void)target;
	if (strcmp(auth, "Basic dTpw") == 0)
		reply(to, 200, "Docker-Content-Digest: " SHA "\r\n");
	else
		reply(to, 401, "WWW-Authenticate: Basic realm=\"r\"\r\n");
}

static void test_look__basic_credentials_are_given_when_asked_for(void **state)
{
	(void)state;
	w.answer = basic_registry;
	expect("a@" SHA, REGISTRY_DENIED, "there are no credentials for it");
	know("\"auth\": \"dTpw\"");
	buf_reset(&w.log);
	expect("a@" SHA, REGISTRY_THERE, "");
	assert_string_equal(seen(), "HEAD /v2/a/manifests/" SHA " |\n"
	                            "HEAD /v2/a/manifests/" SHA " Basic dTpw|\n");
}

static void test_look__wrong_credentials_are_told_and_not_shown(void **state)
{
	(void)state;
	w.answer = basic_registry;
	know("\"auth\": \"dTpx\"");
	struct registry_result r = look("a@" SHA);
	assert_int_equal(r.answer, REGISTRY_DENIED);
	assert_non_null(strstr(r.why, "does not accept our credentials"));
	assert_null(strstr(r.why, "dTpx"));
}

static char realm[2048];

static void token_registry(const char *target, const char *auth, struct buf *to)
{
	static const char token[] = "{\"token\": \"t1\"}";

	if (strncmp(target, "/token", 6) == 0) {
		if (strcmp(auth, "Basic dTpx") == 0)
			reply(to, 401, "%s", "");
		else
			http_reply(to, 200, "", token, strlen(token));
	} else if (strcmp(auth, "Bearer t1") == 0) {
		reply(to, 200, "Docker-Content-Digest: " SHA "\r\n");
	} else {
		reply(to, 401,
		      "WWW-Authenticate: Bearer realm=\"%s\",service=\"s 1\","
		      "scope=\"registry:catalog:*\"\r\n",
		      realm);
	}
}

static void use_realm(const char *before, const char *host, const char *path)
{
	(void)snprintf(realm, sizeof(realm), "%s%s%s", before, host, path);
	w.answer = token_registry;
}

static void test_look__a_token_is_for_reading_this_repository_alone(void **state)
{
	(void)state;
	use_realm("http://", w.host, "/token");
	expect("a/b@" SHA, REGISTRY_THERE, "");
	assert_string_equal(seen(), "HEAD /v2/a/b/manifests/" SHA " |\n"
	                            "GET /token?service=s%201&scope=repository%3Aa%2Fb%3Apull |\n"
	                            "HEAD /v2/a/b/manifests/" SHA " Bearer t1|\n");
	know("\"auth\": \"dTpw\"");
	buf_reset(&w.log);
	use_realm("http://", w.host, "/token?x=1");
	expect("a@" SHA, REGISTRY_THERE, "");
	assert_non_null(strstr(seen(), "GET /token?x=1&service=s%201&scope=repository%3Aa%3Apull "
	                               "Basic dTpw|\n"));
}

static void test_look__a_refresh_token_is_exchanged(void **state)
{
	(void)state;
	use_realm("http://", w.host, "/token");
	know("\"auth\": \"MDAwOg==\", \"identitytoken\": \"r+1\"");
	expect("a@" SHA, REGISTRY_THERE, "");
	assert_non_null(strstr(seen(), "POST /token |service=s%201&scope=repository%3Aa%3Apull&"
	                               "client_id=aksdr&grant_type=refresh_token&"
	                               "refresh_token=r%2B1\n"));
}

static void test_look__credentials_that_give_no_token_are_told(void **state)
{
	(void)state;
	use_realm("http://", w.host, "/token");
	know("\"auth\": \"dTpx\"");
	expect("a@" SHA, REGISTRY_DENIED, "service for tokens answers with status 401");
}

static void test_look__a_service_for_tokens_is_not_anywhere(void **state)
{
	(void)state;
	know("\"auth\": \"dTpw\"");
	use_realm("http://", "169.254.169.254", "/token");
	expect("a@" SHA, REGISTRY_DENIED, "by HTTPS only");
	use_realm("http://", "example.com", "/token");
	expect("a@" SHA, REGISTRY_DENIED, "by HTTPS only");
	use_realm("file://", "", "/token");
	expect("a@" SHA, REGISTRY_DENIED, "by HTTPS only");
}

static void odd_token(const char *target, const char *auth, struct buf *to)
{
	static char long_token[64 * 1024] = "{\"token\": \"";

	if (strncmp(target, "/token", 6) != 0) {
		token_registry(target, auth, to);
	} else if (strstr(target, "space")) {
		http_reply(to, 200, "", "{\"token\": \"a b\"}", 16);
	} else if (strstr(target, "secret")) {
		http_reply(to, 200, "", "hunter2", 7);
	} else if (strstr(target, "long")) {
		memset(long_token + 11, 'a', sizeof(long_token) - 14);
		memcpy(long_token + sizeof(long_token) - 3, "\"}", 2);
		http_reply(to, 200, "", long_token, sizeof(long_token) - 1);
	} else {
		http_reply(to, 200, "", "{}", 2);
	}
}

static void test_look__an_answer_without_a_token_is_told_and_not_shown(void **state)
{
	static const char *const names[] = { "space", "secret", "none" };

	(void)state;
	use_realm("http://", w.host, "/token");
	w.answer = odd_token;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct registry_result r = look(names[i]);

		assert_int_equal(r.answer, REGISTRY_UNKNOWN);
		assert_non_null(strstr(r.why, "answers with none"));
		assert_null(strstr(r.why, "hunter2"));
	}
	expect("long", REGISTRY_UNKNOWN, "");
}

/* ---- redirections ---- */

static void moved_registry(const char *target, const char *auth, struct buf *to)
{
	(void)auth;
	if (strstr(target, "/moved/"))
		reply(to, 307, "Location: /v2/there/manifests/x?a=b\r\n");
	else if (strstr(target, "/loop/"))
		reply(to, 302, "Location: %s\r\n", target);
	else if (strstr(target, "/plain/"))
		reply(to, 302, "Location: http://%s/v2/there/manifests/x\r\n", w.host);
	else if (strstr(target, "/double/"))
		reply(to, 302, "Location: //example.com/x\r\n");
	else if (strstr(target, "/user/"))
		reply(to, 302, "Location: https://u:p@example.com/x\r\n");
	else if (strstr(target, "/nowhere/"))
		reply(to, 302, "%s", "");
	else
		open_registry(target, auth, to);
}

static void test_look__a_redirection_is_followed_where_it_may_be(void **state)
{
	(void)state;
	w.answer = moved_registry;
	expect("moved@" SHA, REGISTRY_THERE, "");
	expect("loop@" SHA, REGISTRY_UNKNOWN, "more and more");
	expect("plain@" SHA, REGISTRY_UNKNOWN, "where we do not go");
	expect("double@" SHA, REGISTRY_UNKNOWN, "where we do not go");
	expect("user@" SHA, REGISTRY_UNKNOWN, "where we do not go");
	expect("nowhere@" SHA, REGISTRY_UNKNOWN, "where we do not go");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		CASE(test_look__tells_what_is_there_and_what_is_not),
		CASE(test_look__a_registry_in_trouble_is_asked_again),
		CASE(test_look__many_images_have_their_results_in_order),
		CASE(test_look__cancel_ends_it),
		CASE(test_look__basic_credentials_are_given_when_asked_for),
		CASE(test_look__wrong_credentials_are_told_and_not_shown),
		CASE(test_look__a_token_is_for_reading_this_repository_alone),
		CASE(test_look__a_refresh_token_is_exchanged),
		CASE(test_look__credentials_that_give_no_token_are_told),
		CASE(test_look__a_service_for_tokens_is_not_anywhere),
		CASE(test_look__an_answer_without_a_token_is_told_and_not_shown),
		CASE(test_look__a_redirection_is_followed_where_it_may_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
