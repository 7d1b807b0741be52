/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page with an API server that knows a few tokens: who is let in, who is told what, and that
 * one who waits does not make others wait. With a real API server: tests/kube/page.sh.
 */
#include "agent/page.h"

#include <poll.h>
#include <semaphore.h>

#include "common/secret.h"
#include "tests/harness/http_client.h"
#include "tests/harness/kube_kit.h"

#define GET(token) "GET / HTTP/1.1\r\nAuthorization: Bearer " token
#define OK "HTTP/1.1 200 "

static struct page *page;
static sem_t asked, go;        /* of the token `slow` */
static enum err_class failing; /* of make() */
static size_t bytes;           /* of a page; 0: few */
static char shown[1024];       /* what make() was asked for */
static sem_t making, made;     /* where pages wait */
static bool waits;

static int api(void *arg, const struct http_seen *q, struct buf *reply)
{
	static const char *const names[] = { "good", "poor", "slow", "lost", "clumsy" };
	const char *sent = (const char *)q->body;
	char body[256] = "{\"status\":{\"authenticated\":false}}";
	char text[4096];

	(void)arg;
	(void)snprintf(text, sizeof(text), "%.*s", (int)q->body_len, sent ? sent : "");
	const bool token = strstr(q->target, "/tokenreviews") != NULL;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char quoted[32];

		(void)snprintf(quoted, sizeof(quoted), "\"%s\"", names[i]);
		if (token && strstr(text, quoted))
			(void)snprintf(
				body, sizeof(body),
				"{\"spec\":{\"token\":\"%s\"},\"status\":{\"authenticated\":true,"
				"\"user\":{\"username\":\"%s\",\"groups\":[\"g\"]}}}",
				names[i], names[i]);
	}
	if (token && strstr(text, "\"slow\"")) {
		(void)sem_post(&asked);
		while (sem_wait(&go) < 0)
			;
	}
	if (!token)
		(void)snprintf(body, sizeof(body), "{\"status\":{\"allowed\":%s}}",
		               strstr(text, "\"poor\"") ? "false" : "true");
	if (!token && strstr(text, "\"clumsy\""))
		(void)snprintf(body, sizeof(body), "{\"status\":{}}");
	if (token && strstr(text, "\"lost\"")) {
		http_reply(reply, 403, "", "no", 2);
		return 0;
	}
	http_reply(reply, 201, "", body, strlen(body));
	return 0;
}

static int make(void *arg, const struct site_request *q, int64_t until_ns, struct buf *b,
                struct err *e)
{
	(void)arg;
	assert_true(until_ns > 0);
	(void)snprintf(shown, sizeof(shown), "%s namespace=%s", q->report ? q->report->name : "/",
	               q->namespace);
	if (waits) {
		(void)sem_post(&making);
		while (sem_wait(&made) < 0)
			;
	}
	if (failing != ERR_NONE)
		return err_set(e, failing, "the reason why there is none");
	for (size_t i = 0; i < bytes; i++)
		(void)buf_u8(b, 'x');
	(void)buf_str(b, "<!DOCTYPE html>");
	return 0;
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	if (secret_init(&e) < 0 || kit_setup(state) < 0)
		return -1;
	kit.own = api;
	const struct page_params p = {
		.listen = "0", .hosts = "backups.example", .kube = kit.kube, .make = make
	};
	(void)sem_init(&asked, 0, 0);
	(void)sem_init(&go, 0, 0);
	(void)sem_init(&making, 0, 0);
	(void)sem_init(&made, 0, 0);
	failing = ERR_NONE;
	bytes = 0;
	shown[0] = '\0';
	waits = false;
	return page_start(&p, &page, &e);
}

static int teardown(void **state)
{
	page_stop(page);
	(void)sem_destroy(&asked);
	(void)sem_destroy(&go);
	(void)sem_destroy(&making);
	(void)sem_destroy(&made);
	return kit_teardown(state);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void assert_answer(const char *head, const char *begin, const char *has)
{
	client_assert(page_port(page), head, begin, has);
}

static unsigned count(const char *what)
{
	unsigned n = 0;

	for (const char *p = kit_log(); (p = strstr(p, what)); p++)
		n++;
	return n;
}

static void test_page_start__shows_it_to_who_has_the_right(void **state)
{
	(void)state;
	assert_answer(GET("good"), OK, "\r\n\r\n<!DOCTYPE html>");
	assert_string_equal(shown, "/ namespace=");
	assert_non_null(strstr(kit.body, "\"nonResourceAttributes\":{\"path\":\"/aksdr\","
	                                 "\"verb\":\"get\"},\"user\":\"good\""));
	/* A browser sends it as a password: any:good */
	assert_answer("GET /reports/rpo?namespace=shop HTTP/1.1\r\nAuthorization: Basic "
	              "YW55Omdvb2Q=",
	              OK, "<!DOCTYPE html>");
	assert_string_equal(shown, "rpo namespace=shop");
	assert_answer("HEAD / HTTP/1.1\r\nAuthorization: Bearer good", OK, "\r\n\r\n");
	/* The API server was asked once, and nothing of the token is in what was asked for. */
	assert_int_equal(count("POST /apis/authentication.k8s.io/v1/tokenreviews\n"), 1);
	assert_int_equal(count("POST /apis/authorization.k8s.io/v1/subjectaccessreviews\n"), 1);
	assert_null(strstr(kit_log(), "good"));
}

static void test_page_start__tells_strangers_how_to_come_in(void **state)
{
	(void)state;
	assert_answer("GET / HTTP/1.1", "HTTP/1.1 401 ", "\r\nWWW-Authenticate: Basic realm=");
	assert_answer("GET / HTTP/1.1", "HTTP/1.1 401 ", "\r\nWWW-Authenticate: Bearer realm=");
	assert_answer(GET("good\r\nAuthorization: Bearer good"), "HTTP/1.1 400 ", "more than one");
	assert_answer("GET / HTTP/1.1\r\nAuthorization: Digest x", "HTTP/1.1 401 ",
	              "neither a bearer token");
	assert_int_equal(http_server_requests(kit.server), 0);
	assert_answer(GET("bad"), "HTTP/1.1 401 ", "knows nobody by this token");
	assert_answer(GET("bad"), "HTTP/1.1 401 ", "knows nobody by this token");
	assert_answer("GET /nothing HTTP/1.1\r\nAuthorization: Bearer bad", "HTTP/1.1 401 ",
	              "knows nobody");
	assert_int_equal(http_server_requests(kit.server), 1);
}

static void test_page_start__tells_who_may_not_what_he_lacks(void **state)
{
	(void)state;
	assert_answer(GET("poor"), "HTTP/1.1 403 ", "'poor' may not see this page");
	assert_answer(GET("poor"), "HTTP/1.1 403 ", "page-reader");
	assert_int_equal(count("tokenreviews"), 1);
}

static void test_page_start__has_one_kind_of_host_and_two_methods(void **state)
{
	(void)state;
	assert_answer(GET("good\r\nHost: evil.example"), "HTTP/1.1 421 ", "of localhost");
	assert_answer(GET("good\r\nHost: localhost\r\nHost: evil.example"), "HTTP/1.1 4", "");
	assert_answer(GET("good\r\nHost: Backups.Example:8443"), OK, "");
	assert_answer(GET("good\r\nHost: 127.0.0.1:1"), OK, "");
	assert_answer("POST / HTTP/1.1\r\nAuthorization: Bearer good", "HTTP/1.1 405 ", "Allow: ");
	assert_answer("DELETE / HTTP/1.1", "HTTP/1.1 405 ", "Allow: GET, HEAD");
}

static void test_page_start__guards_every_answer(void **state)
{
	static const char *const heads[] = { GET("good"), GET("bad"), GET("poor"), "GET / HTTP/1.1",
		                             GET("good\r\nHost: evil.example") };
	static const char *const headers[] = { "\r\nContent-Security-Policy: default-src 'none'; "
		                               "style-src 'sha256-",
		                               "frame-ancestors 'none'\r\n",
		                               "\r\nCache-Control: no-store\r\n",
		                               "\r\nX-Content-Type-Options: nosniff\r\n",
		                               "\r\nX-Frame-Options: DENY\r\n",
		                               "\r\nReferrer-Policy: no-referrer\r\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		for (size_t k = 0; k < ARRAY_LEN(headers); k++)
			assert_answer(heads[i], "HTTP/1.1 ", headers[k]);
	}
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	assert_null(
		strstr(client_hear(client_ask(page_port(page), GET("good")), &b), "Set-Cookie"));
}

static void test_page_start__says_why_there_is_no_page(void **state)
{
	(void)state;
	assert_answer("GET /x HTTP/1.1\r\nAuthorization: Bearer good", "HTTP/1.1 404 ",
	              "there is no such page");
	assert_answer("GET /reports/rpo?x=1 HTTP/1.1\r\nAuthorization: Bearer good",
	              "HTTP/1.1 400 ", "has the arguments");
	assert_string_equal(shown, "");
	failing = ERR_BUSY;
	assert_answer(GET("good"), "HTTP/1.1 503 ", "\r\n\r\nthe reason why there is none\n");
	assert_answer(GET("good"), "HTTP/1.1 503 ", "\r\nRetry-After: ");
	failing = ERR_TOO_BIG;
	assert_answer(GET("good"), "HTTP/1.1 503 ", "the reason why");
	failing = ERR_CORRUPT;
	assert_answer(GET("good"), "HTTP/1.1 500 ", "the reason why");
	failing = ERR_NONE;
	bytes = SITE_PAGE_MAX;
	assert_answer(GET("good"), "HTTP/1.1 503 ", "the page");
}

/* The reason is the agent's, and nothing for strangers. */
static void test_page_start__says_that_the_api_server_cannot_be_asked(void **state)
{
	(void)state;
	assert_answer(GET("lost"), "HTTP/1.1 503 ", "cannot be asked who you are");
	assert_answer(GET("clumsy"), "HTTP/1.1 503 ", "cannot be asked who you are");
	assert_answer(GET("good"), OK, "<!DOCTYPE html>"); /* and nothing of it is kept */
}

static void test_page_start__serves_others_while_one_is_asked_about(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	(void)state;
	assert_answer(GET("good"), OK, "<!DOCTYPE html>");
	const int slow = client_ask(page_port(page), GET("slow"));
	while (sem_wait(&asked) < 0)
		;
	/* The one who was let in does not wait, nor one without a token. */
	assert_answer(GET("good"), OK, "<!DOCTYPE html>");
	assert_answer("GET / HTTP/1.1", "HTTP/1.1 401 ", "");
	/* Who else is to be asked about waits in a queue; beyond that it is said at once. */
	struct pollfd waiting[20];
	for (size_t i = 0; i < ARRAY_LEN(waiting); i++)
		waiting[i] = (struct pollfd){ .fd = client_ask(page_port(page), GET("bad")),
			                      .events = POLLIN };
	int full = 0;
	while (full < 4) {
		full = poll(waiting, ARRAY_LEN(waiting), CLIENT_GUARD_S * 1000);
		assert_true(full > 0);
	}
	assert_int_equal(full, 4);
	(void)sem_post(&go);
	for (size_t i = 0; i < ARRAY_LEN(waiting); i++) {
		const bool told = waiting[i].revents != 0;
		const char *text = client_hear(waiting[i].fd, &b);

		assert_non_null(strstr(text, told ? "too many want to be let in" : "knows nobody"));
	}
	assert_non_null(strstr(client_hear(slow, &b), "<!DOCTYPE html>"));
	assert_int_equal(count("tokenreviews"), 3); /* good, slow, bad */
}

static void test_page_start__has_so_many_pages_wait(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	struct pollfd waiting[20];
	int full = 0;

	(void)state;
	assert_answer(GET("good"), OK, "<!DOCTYPE html>");
	waits = true;
	for (size_t i = 0; i < ARRAY_LEN(waiting); i++) {
		waiting[i] = (struct pollfd){ .fd = client_ask(page_port(page), GET("good")),
			                      .events = POLLIN };
		while (i == 0 && sem_wait(&making) < 0)
			;
	}
	/* One is being made, 16 wait; three are told, and so is a stranger. */
	while (full < 3) {
		full = poll(waiting, ARRAY_LEN(waiting), CLIENT_GUARD_S * 1000);
		assert_true(full > 0);
	}
	assert_int_equal(full, 3);
	assert_answer("GET / HTTP/1.1", "HTTP/1.1 401 ", "");
	for (size_t i = 0; i < ARRAY_LEN(waiting); i++)
		(void)sem_post(&made);
	for (size_t i = 0; i < ARRAY_LEN(waiting); i++) {
		const bool told = waiting[i].revents != 0;
		const char *text = client_hear(waiting[i].fd, &b);

		assert_non_null(
			strstr(text, told ? "too many pages are wanted" : "<!DOCTYPE html>"));
	}
}

/* What is too large to be sent at once waits in memory, and then no more is made. */
static void test_page_start__keeps_few_bytes_for_slow_readers(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(8 * MIB);
	int slow[3];

	(void)state;
	bytes = SITE_PAGE_MAX - 100;
	for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
		char byte;

		slow[i] = client_ask_through(client_dial(page_port(page), 4096), GET("good"));
		assert_int_equal(recv(slow[i], &byte, 1, MSG_PEEK), 1);
	}
	assert_answer(GET("good"), "HTTP/1.1 503 ", "read their pages slowly");
	for (size_t i = 0; i < ARRAY_LEN(slow); i++)
		assert_non_null(strstr(client_hear(slow[i], &b), "<!DOCTYPE html>"));
	assert_answer(GET("good"), OK, "<!DOCTYPE html>");
}

static void test_page_start__listens_on_this_machine_alone(void **state)
{
	const struct page_params p = { .listen = "0.0.0.0:0", .kube = kit.kube, .make = make };
	struct page *other = NULL;

	(void)state;
	fails_saying(ERR_INVALID, "starting the page: '0.0.0.0:0' can be reached",
	             page_start(&p, &other, e));
}

static void test_page_stop__lets_go_who_waits(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	(void)state;
	assert_answer(GET("good"), OK, "<!DOCTYPE html>");
	waits = true;
	const int first = client_ask(page_port(page), GET("good"));
	while (sem_wait(&making) < 0)
		;
	const int slow = client_ask(page_port(page), GET("slow"));
	while (sem_wait(&asked) < 0)
		;
	const int behind = client_ask(page_port(page), GET("other"));
	for (int i = 0; i < 4; i++) {
		(void)sem_post(&go);
		(void)sem_post(&made);
	}
	page_stop(STEAL(&page));
	(void)client_hear(first, &b);
	(void)client_hear(slow, &b);
	(void)client_hear(behind, &b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_page_start__shows_it_to_who_has_the_right),
		CASE(test_page_start__tells_strangers_how_to_come_in),
		CASE(test_page_start__tells_who_may_not_what_he_lacks),
		CASE(test_page_start__has_one_kind_of_host_and_two_methods),
		CASE(test_page_start__guards_every_answer),
		CASE(test_page_start__says_why_there_is_no_page),
		CASE(test_page_start__says_that_the_api_server_cannot_be_asked),
		CASE(test_page_start__serves_others_while_one_is_asked_about),
		CASE(test_page_start__has_so_many_pages_wait),
		CASE(test_page_start__keeps_few_bytes_for_slow_readers),
		CASE(test_page_start__listens_on_this_machine_alone),
		CASE(test_page_stop__lets_go_who_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
