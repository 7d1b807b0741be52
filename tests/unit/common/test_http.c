/* SPDX-License-Identifier: Apache-2.0 */
#include "common/http.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/now.h"
#include "tests/harness/harness.h"
#include "tests/harness/http_server.h"
#include "tests/harness/store_kit.h"

struct world {
	struct http_server *server;
	struct http *http;
	char url[64];
	/* what the server shall answer, and what it saw */
	http_answer_fn *answer;
	char method[16], target[64], header[64], length[16], type[64];
	char body[64];
	unsigned connections;
};

static struct world w;

static int answer(void *arg, const struct http_seen *q, struct buf *reply)
{
	(void)arg;
	(void)snprintf(w.method, sizeof(w.method), "%s", q->method);
	(void)snprintf(w.target, sizeof(w.target), "%.60s", q->target);
	http_seen_header(q, "x-one", w.header, sizeof(w.header));
	http_seen_header(q, "content-length", w.length, sizeof(w.length));
	http_seen_header(q, "content-type", w.type, sizeof(w.type));
	(void)snprintf(w.body, sizeof(w.body), "%.*s", (int)(q->body_len < 60 ? q->body_len : 60),
	               (const char *)q->body);
	if (q->connection + 1 > w.connections)
		w.connections = q->connection + 1;
	if (w.answer)
		return w.answer(NULL, q, reply);
	http_reply(reply, 200, "X-Two: 2\r\n", "hello", 5);
	return 0;
}

static int setup(void **state)
{
	const struct http_params params = { 0 };
	struct err e;

	(void)state;
	w = (struct world){ 0 };
	w.server = http_server_start(answer, NULL);
	w.http = http_new(&params, &e);
	assert_non_null(w.http);
	(void)snprintf(w.url, sizeof(w.url), "http://127.0.0.1:%u/a?b=c",
	               http_server_port(w.server));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	http_free(w.http);
	http_server_stop(w.server);
	return 0;
}

/* From now on; what the thread of a connection that was reset wrote is seen as well. */
static void answers(http_answer_fn *f)
{
	(void)http_server_requests(w.server);
	w.answer = f;
}

static struct http_request get(struct buf *b)
{
	return (struct http_request){
		.op = 1, .method = "GET", .url = w.url, .niov = -1, .sink = http_sink_buf, .arg = b
	};
}

static void test_do__gives_status_headers_and_body(void **state)
{
	static const char *const headers[] = { "X-One: 1" };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100);
	struct http_request rq = get(&b);
	static struct http_answer a;

	(void)state;
	rq.headers = headers;
	rq.nheaders = 1;
	ok(http_do(w.http, &rq, &a, e));
	assert_int_equal(a.status, 200);
	assert_string_equal(http_header(&a, "x-two"), "2");
	assert_null(http_header(&a, "x-three"));
	assert_string_equal(buf_cstr(&b), "hello");
	assert_string_equal(w.method, "GET");
	assert_string_equal(w.target, "/a?b=c");
	assert_string_equal(w.header, "1");
}

static void test_do__sends_a_body_of_pieces_and_no_type_of_its_own(void **state)
{
	char text[] = "abcde";
	struct iovec iov[] = { { text, 2 }, { NULL, 0 }, { text + 2, 3 } };
	struct http_request rq = get(NULL);
	static struct http_answer a;

	(void)state;
	rq.method = "PUT";
	rq.sink = NULL;
	rq.iov = iov;
	rq.niov = 3;
	ok(http_do(w.http, &rq, &a, e));
	assert_string_equal(w.method, "PUT");
	assert_string_equal(w.body, "abcde");
	assert_string_equal(w.length, "5");
	assert_string_equal(w.type, "");
	rq.niov = 0;
	ok(http_do(w.http, &rq, &a, e));
	assert_string_equal(w.length, "0");
}

static void test_do__uses_a_connection_again(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100);
	struct http_request rq = get(&b);
	static struct http_answer a;

	(void)state;
	for (int i = 0; i < 5; i++)
		ok(http_do(w.http, &rq, &a, e));
	assert_int_equal(w.connections, 1);
	struct http_count c = http_counted(w.http, 1);
	assert_int_equal(c.requests, 5);
	assert_int_equal(c.received, 25);
	assert_int_equal(c.failures, 0);
	assert_int_equal(http_counted(w.http, 2).requests, 0);
}

static int say_busy(void *arg, const struct http_seen *q, struct buf *reply)
{
	(void)arg;
	(void)q;
	http_reply(reply, 503, "Retry-After: 7\r\nDate: Sun, 22 Nov 2026 10:04:05 GMT\r\n",
	           "<Error><Code>ServerBusy</Code></Error>", 38);
	return 0;
}

static void test_do__an_answer_of_any_status_is_one(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100);
	struct http_request rq = get(&b);
	static struct http_answer a;

	(void)state;
	answers(say_busy);
	ok(http_do(w.http, &rq, &a, e));
	assert_int_equal(a.status, 503);
	assert_int_equal(a.wait_ms, 7000);
	assert_int_equal(a.date_s, 1795341845);
	assert_string_equal(a.text, "<Error><Code>ServerBusy</Code></Error>");
	assert_int_equal(b.len, 0);
	assert_int_equal(http_counted(w.http, 1).failures, 1);
	assert_int_equal(http_counted(w.http, 1).throttled, 1);
}

static int say_later(void *arg, const struct http_seen *q, struct buf *reply)
{
	(void)arg;
	(void)q;
	http_reply(reply, 429,
	           "Retry-After: Sun, 22 Nov 2026 10:05:05 GMT\r\n"
	           "Date: Sun, 22 Nov 2026 10:04:05 GMT\r\n",
	           "", 0);
	return 0;
}

static void test_do__a_time_to_try_again_is_one_of_the_servers_clock(void **state)
{
	struct http_request rq = get(NULL);
	static struct http_answer a;

	(void)state;
	rq.sink = NULL;
	answers(say_later);
	ok(http_do(w.http, &rq, &a, e));
	assert_int_equal(a.wait_ms, 60000);
}

static int reset(void *arg, const struct http_seen *q, struct buf *reply)
{
	(void)arg;
	(void)q;
	(void)reply;
	return -1;
}

static int cut_short(void *arg, const struct http_seen *q, struct buf *reply)
{
	(void)arg;
	(void)q;
	buf_str(reply, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
	return 1;
}

static void test_do__what_breaks_off_may_be_tried_again(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1000);
	struct http_request rq = get(&b);
	static struct http_answer a;

	(void)state;
	answers(reset);
	fails_saying(ERR_RETRY, "127.0.0.1", http_do(w.http, &rq, &a, e));
	answers(cut_short);
	fails_saying(ERR_RETRY, "127.0.0.1", http_do(w.http, &rq, &a, e));
	http_server_stop(w.server);
	w.server = NULL;
	fails_saying(ERR_RETRY, "127.0.0.1", http_do(w.http, &rq, &a, e));
}

static int stall(void *arg, const struct http_seen *q, struct buf *reply)
{
	(void)arg;
	(void)q;
	buf_str(reply, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
	return 0;
}

static void test_do__what_stands_still_is_given_up(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1000);
	const struct http_params params = { .stall_ms = 300 };
	struct http_request rq = get(&b);
	static struct http_answer a;
	struct err why;

	(void)state;
	auto_http struct http *h = http_new(&params, &why);
	assert_non_null(h);
	answers(stall);
	fails_saying(ERR_RETRY, "nothing for", http_do(h, &rq, &a, e));
}

static void test_do__sends_nothing_in_clear_to_other_machines(void **state)
{
	static const char *const bad[] = {
		"http://example.com/",
		"http://127.0.0.1.example.com/",
		"http://10.0.0.1/",
		"http://localhost.evil/",
		"http://127.0.0.1@example.com/",
		"ftp://127.0.0.1/",
		"http://u:p@127.0.0.1/",
		"file:///etc/passwd",
		"127.0.0.1",
		"http://169.254.169.25/",
		"",
	};
	static struct http_answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct http_request rq = { .method = "GET", .url = bad[i], .niov = -1 };

		fails(ERR_INVALID, http_do(w.http, &rq, &a, e));
	}
	assert_true(http_url_allowed("https://example.com/"));
	assert_true(http_url_allowed("http://[::1]:80/"));
	assert_true(http_url_allowed("http://localhost/"));
	assert_true(http_url_allowed("http://169.254.169.254/metadata"));
	assert_int_equal(http_server_requests(w.server), 0);
}

static void test_do__ends_when_cancelled(void **state)
{
	struct cancel cancel;
	const struct http_params params = { .cancel = &cancel };
	struct http_request rq = get(NULL);
	static struct http_answer a;
	struct err e;

	(void)state;
	assert_int_equal(cancel_init(&cancel), 0);
	auto_http struct http *h = http_new(&params, &e);
	cancel_request(&cancel);
	rq.sink = NULL;
	assert_int_equal(http_do(h, &rq, &a, &e), -1);
	assert_int_equal(e.class, ERR_CANCELLED);
	cancel_clear(&cancel);
}

static void test_do__a_request_may_stall_by_its_own_time(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1000);
	const struct http_params params = { 0 };
	struct http_request rq = get(&b);
	static struct http_answer a;
	struct err why;

	(void)state;
	auto_http struct http *h = http_new(&params, &why);
	assert_non_null(h);
	answers(stall);
	rq.stall_ms = 200;
	fails_saying(ERR_RETRY, "nothing for", http_do(h, &rq, &a, e));
}

static void *request_it(void *cancel)
{
	cancel_request(cancel);
	return NULL;
}

static int begin(void *arg, const struct http_answer *a, const void *p, size_t n, struct err *e)
{
	pthread_t thread;

	(void)a;
	(void)p;
	(void)n;
	(void)e;
	assert_int_equal(pthread_create(&thread, NULL, request_it, arg), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	return 0;
}

static void test_do__ends_when_another_thread_cancels_it_on_its_way(void **state)
{
	const struct http_params params = { 0 };
	struct http_request rq = get(NULL);
	static struct http_answer a;
	struct cancel cancel;
	struct err e;

	(void)state;
	auto_http struct http *h = http_new(&params, &e);
	assert_non_null(h);
	assert_int_equal(cancel_init(&cancel), 0);
	answers(stall);
	rq.cancel = &cancel;
	rq.sink = begin;
	rq.arg = &cancel;
	assert_int_equal(http_do(h, &rq, &a, &e), -1);
	assert_int_equal(e.class, ERR_CANCELLED);
	assert_int_equal(http_do(h, &rq, &a, &e), -1);
	assert_int_equal(e.class, ERR_CANCELLED);
	cancel_clear(&cancel);
}

static void test_do__the_text_of_a_failure_goes_where_it_is_wanted(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100);
	CLEANUP(buf_clear) struct buf text = BUF_INIT(7);
	struct http_request rq = get(&b);
	static struct http_answer a;

	(void)state;
	answers(say_busy);
	rq.text = &text;
	ok(http_do(w.http, &rq, &a, e));
	assert_int_equal(b.len, 0);
	assert_string_equal(a.text, "");
	assert_string_equal(buf_cstr(&text), "<Error>");
}

static void test_dial__a_line_carries_bytes_both_ways(void **state)
{
	static const char request[] = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
	char got[512];
	size_t n = 0;
	size_t all = 0;
	struct err why;

	(void)state;
	auto_http_line struct http_line *l = http_dial(w.http, w.url, NULL, &why);
	assert_non_null(l);
	ok(http_line_send(l, request, strlen(request), 0, e));
	while (all < 5 || memcmp(got + all - 5, "hello", 5) != 0) {
		ok(http_line_recv(l, got + all, sizeof(got) - all, 0, &n, e));
		all += n;
	}
	assert_memory_equal(got, "HTTP/1.1 200 Status", 19);
	fails_saying(ERR_IO, "in time", http_line_recv(l, got, 1, now_mono_ns(), &n, e));
	http_server_stop(w.server);
	w.server = NULL;
	ok(http_line_recv(l, got, 1, 0, &n, e));
	assert_int_equal(n, 0);
	assert_null(http_dial(w.http, w.url, NULL, &why));
	assert_int_equal(why.class, ERR_RETRY);
	assert_null(http_dial(w.http, "http://10.0.0.1/", NULL, &why));
	assert_int_equal(why.class, ERR_INVALID);
}

static void test_dial__a_line_ends_when_cancelled(void **state)
{
	struct cancel cancel;
	char got[8];
	size_t n;
	struct err e;

	(void)state;
	assert_int_equal(cancel_init(&cancel), 0);
	auto_http_line struct http_line *l = http_dial(w.http, w.url, &cancel, &e);
	assert_non_null(l);
	cancel_request(&cancel);
	assert_int_equal(http_line_recv(l, got, sizeof(got), 0, &n, &e), -1);
	assert_int_equal(e.class, ERR_CANCELLED);
	cancel_clear(&cancel);
}

static int long_headers(void *arg, const struct http_seen *q, struct buf *reply)
{
	(void)arg;
	(void)q;
	buf_str(reply, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
	for (int i = 0; i < 400; i++)
		buf_printf(reply, "X-%d: %0100d\r\n", i, i);
	buf_str(reply, "\r\n");
	return 0;
}

static void test_do__bounds_what_an_answer_holds(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(3);
	struct http_request rq = get(&b);
	static struct http_answer a;
	uint8_t p[4];
	struct http_fill fill = { .p = p, .n = sizeof(p) };

	(void)state;
	fails(ERR_TOO_BIG, http_do(w.http, &rq, &a, e));
	rq.sink = http_sink_fill;
	rq.arg = &fill;
	fails(ERR_CORRUPT, http_do(w.http, &rq, &a, e));
	answers(long_headers);
	rq.sink = NULL;
	fails(ERR_RETRY, http_do(w.http, &rq, &a, e));
}

static void test_new__wants_a_file_of_certificates_that_is_there(void **state)
{
	const struct http_params params = { .ca_file = "/no/such/file.pem" };
	struct err e = ERR_INIT;

	(void)state;
	assert_null(http_new(&params, &e));
	assert_int_equal(e.class, ERR_INVALID);
	assert_non_null(strstr(e.msg, "/no/such/file.pem"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void test_do__a_loopback_address_has_no_proxy(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100);
	struct http_request rq = get(&b);
	static struct http_answer a;

	(void)state;
	/* a proxy that is not there: what goes to it fails */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	unsetenv("no_proxy");
	unsetenv("NO_PROXY");
	ok(http_do(w.http, &rq, &a, e));
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	assert_string_equal(w.target, "/a?b=c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_do__gives_status_headers_and_body),
		CASE(test_do__sends_a_body_of_pieces_and_no_type_of_its_own),
		CASE(test_do__uses_a_connection_again),
		CASE(test_do__an_answer_of_any_status_is_one),
		CASE(test_do__a_time_to_try_again_is_one_of_the_servers_clock),
		CASE(test_do__what_breaks_off_may_be_tried_again),
		CASE(test_do__what_stands_still_is_given_up),
		CASE(test_do__sends_nothing_in_clear_to_other_machines),
		CASE(test_do__ends_when_cancelled),
		CASE(test_do__a_request_may_stall_by_its_own_time),
		CASE(test_do__ends_when_another_thread_cancels_it_on_its_way),
		CASE(test_do__the_text_of_a_failure_goes_where_it_is_wanted),
		CASE(test_dial__a_line_carries_bytes_both_ways),
		CASE(test_dial__a_line_ends_when_cancelled),
		CASE(test_do__bounds_what_an_answer_holds),
		CASE(test_new__wants_a_file_of_certificates_that_is_there),
		CASE(test_do__a_loopback_address_has_no_proxy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
