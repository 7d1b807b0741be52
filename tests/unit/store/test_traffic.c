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
	assert_int_equal(t.ops[CALL_PUT].throttled, 1);
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
	const struct store_traffic t = { .ops[CALL_GET] = { .requests = 3,
		                                            .failures = 1,
		                                            .throttled = 1,
		                                            .received_bytes = 1000 } };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4 * KIB);

	(void)state;
	traffic_put(&t, METRIC_GAUGE, &b);
	const char *text = buf_cstr(&b);
	assert_non_null(strstr(text, "# TYPE aksdr_store_requests gauge\n"));
	assert_non_null(strstr(text, "\naksdr_store_requests{operation=\"get\"} 3\n"));
	assert_non_null(strstr(text, "\naksdr_store_failures{operation=\"get\"} 1\n"));
	assert_non_null(strstr(text, "\naksdr_store_received_bytes{operation=\"get\"} 1000\n"));
	assert_null(strstr(text, "put"));
	b.len = 0;
	traffic_put(&t, METRIC_COUNTER, &b);
	text = buf_cstr(&b);
	assert_non_null(strstr(text, "# TYPE aksdr_store_throttled_total counter\n"));
	assert_non_null(strstr(text, "\naksdr_store_throttled_total{operation=\"get\"} 1\n"));
}

static struct store_traffic sample(void)
{
	struct store_traffic t = { 0 };

	for (unsigned i = 0; i < STORE_TRAFFIC_OPS; i += 2)
		t.ops[i] = (struct store_op_traffic){ INT64_MAX - i, i, 1, UINT32_MAX, 7 };
	return t;
}

static void test_json__comes_back_and_is_small(void **state)
{
	const struct store_traffic t = sample(), none = { 0 };
	struct store_traffic full = t, back;
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4 * KIB);

	(void)state;
	auto_json json_t *o = traffic_to_json(&t);
	ok(traffic_from_json(o, "a test", &back, e));
	assert_memory_equal(&back, &t, sizeof(t));
	ok(traffic_from_json(NULL, "a test", &back, e));
	assert_memory_equal(&back, &none, sizeof(none));
	for (unsigned i = 0; i < STORE_TRAFFIC_OPS; i++)
		full.ops[i] = (struct store_op_traffic){ INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX,
			                                 INT64_MAX };
	auto_json json_t *large = traffic_to_json(&full);
	ok(json_write(large, &b, e));
	assert_true(b.len <= 800);
}

static void test_from_json__refuses_what_is_none(void **state)
{
	static const char *const bad[] = { "[]", "{\"get\": 1}", "{\"get\": [1, 2, 3, 4]}",
		                           "{\"get\": [1, 2, 3, 4, -5]}",
		                           "{\"get\": [1, 2, 3, 4, \"x\"]}" };
	struct store_traffic t;
	struct err why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		auto_json json_t *o = json_parse("a test", bad[i], strlen(bad[i]), &why);
		assert_int_equal(traffic_from_json(o, "a test", &t, &why), -1);
		assert_int_equal(why.class, ERR_FORMAT);
		assert_non_null(strstr(why.msg, "a test: .traffic"));
	}
}

static void test_sum__adds_every_number(void **state)
{
	struct store_traffic t = { 0 };
	const struct store_traffic more = { .ops[CALL_LIST] = { 5, 4, 3, 2, 1 } };

	(void)state;
	traffic_sum(&t, &more);
	traffic_sum(&t, &more);
	assert_int_equal(t.ops[CALL_LIST].requests, 10);
	assert_int_equal(t.ops[CALL_LIST].failures, 8);
	assert_int_equal(t.ops[CALL_LIST].throttled, 6);
	assert_int_equal(t.ops[CALL_LIST].sent_bytes, 4);
	assert_int_equal(t.ops[CALL_LIST].received_bytes, 2);
	assert_int_equal(traffic_requests(&t), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add__counts_by_what_it_was_for),
		cmocka_unit_test(test_put__has_a_sample_for_what_was_asked),
		cmocka_unit_test(test_json__comes_back_and_is_small),
		cmocka_unit_test(test_from_json__refuses_what_is_none),
		cmocka_unit_test(test_sum__adds_every_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
