/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of object stores: what is put together, and what is handed to http_do(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "store/wire.h"
#include "tests/harness/syshook.h"

/* What http_do() was called with last; the linker puts this in its place. */
static struct {
	unsigned calls;
	char method[16];
	char url[512];
	char headers[4][128];
	unsigned nheaders;
	int niov;
} sent;

int __wrap_http_do(struct http *h, const struct http_request *rq, struct http_answer *ret,
                   struct err *e);
int __wrap_http_do(struct http *h, const struct http_request *rq, struct http_answer *ret,
                   struct err *e)
{
	(void)h;
	sent.calls++;
	(void)snprintf(sent.method, sizeof(sent.method), "%s", rq->method);
	(void)snprintf(sent.url, sizeof(sent.url), "%s", rq->url);
	sent.nheaders = rq->nheaders;
	for (unsigned i = 0; i < rq->nheaders && i < ARRAY_LEN(sent.headers); i++)
		(void)snprintf(sent.headers[i], sizeof(sent.headers[i]), "%s", rq->headers[i]);
	sent.niov = rq->niov;
	ret->status = 200;
	if (strcmp(rq->method, "FAIL") == 0)
		return err_set(e, ERR_RETRY, "no connection");
	return 0;
}

static void test_wire_path__appends_pieces(void **state)
{
	auto_wire struct wire w;

	(void)state;
	wire_init(&w, "GET", "https://h:1");
	assert_string_equal(wire_path_text(&w), "/");
	wire_path(&w, "bucket");
	wire_path(&w, "a/b c");
	assert_string_equal(wire_path_text(&w), "/bucket/a/b%20c");
	assert_string_equal(buf_cstr(&w.base), "https://h:1");
}

static void test_wire_init__knows_the_path_of_the_service(void **state)
{
	static const struct {
		const char *base, *path, *host;
	} cases[] = {
		{ "http://127.0.0.1:10000/acct", "/acct/c", "127.0.0.1:10000" },
		{ "http://127.0.0.1:10000/a%20b//", "/a%20b/c", "127.0.0.1:10000" },
		{ "https://h.example/", "/c", "h.example" },
		{ "https://h.example:443", "/c", "h.example" },
		{ "https://h.example:80", "/c", "h.example:80" },
		{ "http://localhost:80", "/c", "localhost" },
		{ "http://localhost:443", "/c", "localhost:443" },
		{ "http://[::1]:8443", "/c", "[::1]:8443" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_wire struct wire w;

		wire_init(&w, "GET", cases[i].base);
		wire_path(&w, "c");
		assert_string_equal(wire_path_text(&w), cases[i].path);
		assert_string_equal(wire_host(&w), cases[i].host);
	}
}

static void test_wire_sort__orders_by_bytes_and_keeps_equals(void **state)
{
	static const char *const want[] = { "List", "a=2", "a=1", "a-b=3", "b=" };
	auto_wire struct wire w;
	struct err e = ERR_INIT;

	(void)state;
	wire_init(&w, "GET", "https://h");
	wire_query(&w, "b", "");
	wire_query(&w, "a-b", "3");
	wire_query(&w, "a", "2");
	wire_query(&w, "List", "");
	wire_query(&w, "a", "1");
	wire_header(&w, "x-b", "%d", 2);
	wire_header(&w, "host", "h");
	wire_header(&w, "x-a", "%s", "1");
	wire_sort(&w);
	assert_int_equal(wire_check(&w, &e), 0);
	assert_int_equal(w.nquery, 5);
	for (size_t i = 0; i < 5; i++)
		assert_memory_equal(w.query[i].name, want[i], strcspn(want[i], "="));
	assert_string_equal(w.query[1].value, "2");
	assert_string_equal(w.query[2].value, "1");
	assert_string_equal(w.headers[0].name, "host");
	assert_string_equal(w.headers[1].name, "x-a");
	assert_string_equal(w.headers[2].name, "x-b");
}

static void test_wire_header_get__finds_values(void **state)
{
	auto_wire struct wire w;

	(void)state;
	wire_init(&w, "GET", "https://h");
	wire_header(&w, "x-n", "%llu bytes", 7ULL);
	wire_header(&w, "x-empty", "%s", "");
	assert_string_equal(wire_header_get(&w, "x-n"), "7 bytes");
	assert_string_equal(wire_header_get(&w, "x-empty"), "");
	assert_null(wire_header_get(&w, "x"));
}

static void test_wire_check__says_what_does_not_fit(void **state)
{
	auto_wire struct wire w;
	struct err e = ERR_INIT;

	(void)state;
	wire_init(&w, "GET", "https://h");
	for (unsigned i = 0; i < WIRE_PAIRS; i++) {
		wire_query(&w, "q", "");
		wire_header(&w, "x-h", "%u", i);
	}
	assert_int_equal(wire_check(&w, &e), 0);
	wire_header(&w, "x-last", "%u", 1);
	wire_query(&w, "more", "1");
	assert_int_equal(wire_check(&w, &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
	assert_string_equal(e.msg, "a request has more than 24 headers or parameters: 'x-last'");
}

static void test_wire_check__refuses_control_characters_without_repeating_them(void **state)
{
	auto_wire struct wire w;
	struct err e = ERR_INIT;

	(void)state;
	wire_init(&w, "GET", "https://h");
	wire_header(&w, "authorization", "Bearer %s", "secret\r\nx-evil: 1");
	assert_int_equal(wire_check(&w, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_string_equal(e.msg, "the value of the header 'authorization' has a control "
	                           "character, so it cannot be sent");
}

static void test_wire_check__bounds_the_path(void **state)
{
	auto_wire struct wire w;
	struct err e = ERR_INIT;
	char text[9000];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	wire_init(&w, "GET", "https://h");
	wire_path(&w, text);
	assert_int_equal(wire_check(&w, &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
}

static void test_wire_send__hands_over_url_and_headers(void **state)
{
	auto_wire struct wire w;
	struct http_request rq = { .op = 3, .niov = -1 };
	struct http_answer a;
	struct err e = ERR_INIT;

	(void)state;
	wire_init(&w, "GET", "https://h:9/s");
	wire_path(&w, "b/k y");
	wire_query(&w, "prefix", "a/b+c");
	wire_query(&w, "list-type", "2");
	wire_header(&w, "range", "bytes=%u-%u", 1U, 2U);
	wire_header(&w, "x-a", "1");
	sent.calls = 0;
	assert_int_equal(wire_send(&w, NULL, "sig=a%2Bb&se=1", &rq, &a, &e), 0);
	assert_int_equal(sent.calls, 1);
	assert_string_equal(sent.method, "GET");
	assert_string_equal(sent.url,
	                    "https://h:9/s/b/k%20y?prefix=a%2Fb%2Bc&list-type=2&sig=a%2Bb&se=1");
	assert_int_equal(sent.nheaders, 2);
	assert_string_equal(sent.headers[0], "range: bytes=1-2");
	assert_string_equal(sent.headers[1], "x-a: 1");
	assert_int_equal(sent.niov, -1);
	assert_int_equal(a.status, 200);
	/* nothing of the request points to what is gone */
	assert_null(rq.url);
	assert_null(rq.headers);
	assert_int_equal(rq.nheaders, 0);
	assert_int_equal(rq.op, 3);
}

static void test_wire_send__needs_no_query(void **state)
{
	auto_wire struct wire w;
	struct http_request rq = { .niov = 0 };
	struct http_answer a;
	struct err e = ERR_INIT;

	(void)state;
	wire_init(&w, "PUT", "https://h");
	assert_int_equal(wire_send(&w, NULL, NULL, &rq, &a, &e), 0);
	assert_string_equal(sent.url, "https://h/");
	wire_path(&w, "k");
	assert_int_equal(wire_send(&w, NULL, "", &rq, &a, &e), 0);
	assert_string_equal(sent.url, "https://h/k");
	assert_int_equal(wire_send(&w, NULL, "sig=1", &rq, &a, &e), 0);
	assert_string_equal(sent.url, "https://h/k?sig=1");
}

static void test_wire_send__fails_as_http_does_and_sends_nothing_that_is_marked(void **state)
{
	auto_wire struct wire w;
	auto_wire struct wire bad;
	struct http_request rq = { .niov = -1 };
	struct http_answer a;
	struct err e = ERR_INIT;

	(void)state;
	wire_init(&w, "FAIL", "https://h");
	assert_int_equal(wire_send(&w, NULL, NULL, &rq, &a, &e), -1);
	assert_int_equal(e.class, ERR_RETRY);
	assert_null(rq.url);
	wire_init(&bad, "GET", "https://h");
	wire_header(&bad, "x-a", "%s", "\n");
	sent.calls = 0;
	assert_int_equal(wire_send(&bad, NULL, NULL, &rq, &a, &e), -1);
	assert_int_equal(sent.calls, 0);
	assert_int_equal(e.class, ERR_INVALID);
}

static int fail_at;

static int fail_from(void *arg, enum syshook_call call, int flags)
{
	(void)arg;
	(void)flags;
	return call == HOOK_ALLOC && fail_at-- <= 0 ? ENOMEM : 0;
}

/* From each allocation on there is none: told as what it is, and nothing is sent. */
static void test_wire_send__no_memory_is_told(void **state)
{
	int failures = 0;

	(void)state;
	for (int at = 0;; at++) {
		auto_wire struct wire w;
		struct http_request rq = { .niov = -1 };
		struct http_answer a;
		struct err e = ERR_INIT;

		sent.calls = 0;
		fail_at = at;
		syshook_set(fail_from, NULL);
		wire_init(&w, "GET", "https://h");
		wire_path(&w, "k");
		wire_query(&w, "a", "1");
		wire_header(&w, "x-b", "%d", 2);
		int r = wire_send(&w, NULL, NULL, &rq, &a, &e);
		syshook_set(NULL, NULL);
		if (r == 0) {
			assert_string_equal(sent.url, "https://h/k?a=1");
			assert_string_equal(sent.headers[0], "x-b: 2");
			break;
		}
		assert_int_equal(e.class, ERR_NOMEM);
		assert_int_equal(sent.calls, 0);
		failures++;
	}
	assert_true(failures >= 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wire_path__appends_pieces),
		cmocka_unit_test(test_wire_init__knows_the_path_of_the_service),
		cmocka_unit_test(test_wire_sort__orders_by_bytes_and_keeps_equals),
		cmocka_unit_test(test_wire_header_get__finds_values),
		cmocka_unit_test(test_wire_check__says_what_does_not_fit),
		cmocka_unit_test(
			test_wire_check__refuses_control_characters_without_repeating_them),
		cmocka_unit_test(test_wire_check__bounds_the_path),
		cmocka_unit_test(test_wire_send__hands_over_url_and_headers),
		cmocka_unit_test(test_wire_send__needs_no_query),
		cmocka_unit_test(
			test_wire_send__fails_as_http_does_and_sends_nothing_that_is_marked),
		cmocka_unit_test(test_wire_send__no_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
