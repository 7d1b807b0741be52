/* SPDX-License-Identifier: Apache-2.0 */
#include "store/traffic.h"

#include <stdio.h>

#include "tests/harness/http_server.h"
#include "tests/harness/store_kit.h"

static int answer(void *arg, const struct http_seen *q, struct buf *reply)
{
	(void)arg;
	http_reply(reply, q->n == 1 ? 503 : 200, "", "abc", 3);
	return 0;
}

static void test_add__counts_by_what_it_was_for(void **state)
{
	struct http_server *server = http_server_start(answer, NULL);
	const struct http_params params = { 0 };
	struct store_traffic t = { .ops[CALL_PUT] = { .requests = 10 } };
	char hello[] = "hello";
	struct iovec iov = { hello, 5 };
	static struct http_answer a;
	char url[64];
	struct err why;

	(void)state;
	auto_http struct http *h = http_new(&params, &why);
	assert_non_null(h);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", http_server_port(server));
	struct http_request put = {
		.op = CALL_PUT, .method = "PUT", .url = url, .iov = &iov, .niov = 1
	};
	struct http_request auth = { .op = TRAFFIC_AUTH, .method = "GET", .url = url, .niov = -1 };
	ok(http_do(h, &put, &a, e));
	ok(http_do(h, &put, &a, e));
	ok(http_do(h, &auth, &a, e));
	traffic_add(&t, h);
	assert_int_equal(t.ops[CALL_PUT].requests, 12);
	assert_int_equal(t.ops[CALL_PUT].failures, 1);
	assert_int_equal(t.ops[CALL_PUT].sent_bytes, 10);
	assert_int_equal(t.ops[CALL_PUT].received_bytes, 6);
	assert_int_equal(t.ops[TRAFFIC_AUTH].requests, 1);
	assert_int_equal(t.ops[TRAFFIC_AUTH].received_bytes, 3);
	assert_int_equal(t.ops[CALL_GET].requests, 0);
	assert_int_equal(TRAFFIC_AUTH, STORE_TRAFFIC_OPS - 1);
	assert_string_equal(store_traffic_name(TRAFFIC_AUTH), "auth");
	http_server_stop(server);
}

static void test_put__has_a_sample_for_what_was_asked(void **state)
{
	const struct store_traffic t = {
		.ops[CALL_GET] = { .requests = 3, .failures = 1, .received_bytes = 1000 }
	};
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4 * KIB);

	(void)state;
	traffic_put(&t, &b);
	const char *text = buf_cstr(&b);
	assert_non_null(strstr(text, "# TYPE aksdr_store_requests gauge\n"));
	assert_non_null(strstr(text, "\naksdr_store_requests{operation=\"get\"} 3\n"));
	assert_non_null(strstr(text, "\naksdr_store_failures{operation=\"get\"} 1\n"));
	assert_non_null(strstr(text, "\naksdr_store_received_bytes{operation=\"get\"} 1000\n"));
	assert_null(strstr(text, "put"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add__counts_by_what_it_was_for),
		cmocka_unit_test(test_put__has_a_sample_for_what_was_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
