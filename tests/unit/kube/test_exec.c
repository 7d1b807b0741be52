/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands over a WebSocket: the example of RFC 6455 as the handshake, frames that are torn, cut in
 * pieces or broken, and a whole run against a scripted server.
 */
#include "kube/exec.h"

#include "kube/exec_impl.h"
#include "tests/harness/kube_kit.h"

#include <openssl/evp.h>

#include "common/hex.h"

static void test_head__is_an_answer_to_our_key(void **state)
{
	static const char key[] = "dGhlIHNhbXBsZSBub25jZQ==";
	static const char good[] = "HTTP/1.1 101 Switching Protocols\r\n"
				   "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
				   "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n";
	static const char other[] = "HTTP/1.1 101 X\r\n"
				    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\n\r\n";
	static const char old[] = "HTTP/1.1 101 X\r\n"
				  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
				  "Sec-WebSocket-Protocol: channel.k8s.io\r\n\r\n";
	int code = 0;

	(void)state;
	ok(exec_head(good, strlen(good), key, &code, e));
	assert_int_equal(code, 101);
	fails_saying(ERR_FORMAT, "another request", exec_head(other, strlen(other), key, &code, e));
	fails(ERR_UNSUPPORTED, exec_head(old, strlen(old), key, &code, e));
	ok(exec_head("HTTP/1.1 403 Forbidden\r\n\r\n", 26, key, &code, e));
	assert_int_equal(code, 403);
	fails(ERR_FORMAT, exec_head("SSH-2.0-x\r\n\r\n\r\n", 15, key, &code, e));
}

/* ---- frames ---- */

static void frame(struct buf *b, unsigned first, const char *p, size_t n)
{
	(void)buf_u8(b, (uint8_t)first);
	if (n < 126) {
		(void)buf_u8(b, (uint8_t)n);
	} else {
		(void)buf_u8(b, 126);
		(void)buf_u8(b, (uint8_t)(n >> 8));
		(void)buf_u8(b, (uint8_t)n);
	}
	(void)buf_put(b, p, n);
}

#define BINARY 0x82
#define SUCCESS "\3{\"status\":\"Success\"}"
#define FAILED                                                                              \
	"\3{\"status\":\"Failure\",\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":" \
	"[{\"reason\":\"ExitCode\",\"message\":\"42\"}]}}"

static void output(void *arg, bool err, const void *p, size_t n)
{
	(void)buf_printf(arg, "%s%.*s", err ? "!" : "", (int)n, (const char *)p);
}

static void test_feed__puts_messages_together_wherever_bytes_end(void **state)
{
	CLEANUP(buf_clear) struct buf in = BUF_INIT(4096);

	(void)state;
	frame(&in, BINARY, "\1", 1);
	frame(&in, BINARY, "\1hello ", 7);
	frame(&in, 0x02, "\1wo", 3); /* a message in three frames, and a ping between them */
	frame(&in, 0x00, "rl", 2);
	frame(&in, 0x89, "ping", 4);
	frame(&in, 0x80, "d", 1);
	frame(&in, BINARY, "\2oh", 3);
	frame(&in, BINARY, "\377\1", 2);
	frame(&in, BINARY, FAILED, strlen(FAILED));
	frame(&in, 0x88, "\3\350", 2);
	for (size_t step = 1; step <= in.len; step++) {
		CLEANUP(buf_clear) struct buf out = BUF_INIT(100);
		CLEANUP(buf_clear) struct buf reply = BUF_INIT(100);
		struct err why;
		bool end = false;
		int status = 0;
		struct exec_stream *s = exec_stream_new(output, &out, &why);

		assert_non_null(s);
		for (size_t at = 0; at < in.len; at += step) {
			size_t n = in.len - at < step ? in.len - at : step;

			assert_false(end);
			ok(exec_stream_feed(s, in.data + at, n, &reply, &end, e));
		}
		assert_true(end);
		assert_string_equal(buf_cstr(&out), "hello world!oh");
		ok(exec_stream_status(s, &status, e));
		assert_int_equal(status, 42);
		/* A pong of 4 bytes and a close of 2, masked; behind a close no pong is sent. */
		assert_int_equal(reply.len, reply.data[0] == 0x8a ? 10 + 8 : 8);
		if (step == 1)
			assert_int_equal(reply.data[0], 0x8a);
		exec_stream_free(s);
	}
}

static int status_of(const char *text, int *ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf in = BUF_INIT(4096);
	CLEANUP(buf_clear) struct buf reply = BUF_INIT(100);
	struct exec_stream *s = exec_stream_new(NULL, NULL, e);
	bool end = false;

	assert_non_null(s);
	if (text)
		frame(&in, BINARY, text, strlen(text));
	int rc = exec_stream_feed(s, in.data, in.len, &reply, &end, e);
	if (rc == 0)
		rc = exec_stream_status(s, ret, e);
	exec_stream_free(s);
	return rc;
}

static void test_status__says_how_the_command_ended(void **state)
{
	int status = -1;

	(void)state;
	ok(status_of(SUCCESS, &status, e));
	assert_int_equal(status, 0);
	ok(status_of(FAILED, &status, e));
	assert_int_equal(status, 42);
	fails_saying(ERR_RETRY, "before the command told", status_of(NULL, &status, e));
	fails_saying(ERR_NOT_FOUND, "executable file not found",
	             status_of("\3{\"status\":\"Failure\",\"reason\":\"InternalError\",\"message\":"
	                       "\"exec: \\\"x\\\": executable file not found in $PATH\"}",
	                       &status, e));
	fails(ERR_IO, status_of("\3{\"status\":\"Failure\",\"message\":\"the node is on fire\"}",
	                        &status, e));
	fails(ERR_FORMAT, status_of("\3garbage", &status, e));
}

static int feed(const char *p, size_t n, struct err *e)
{
	CLEANUP(buf_clear) struct buf reply = BUF_INIT(1000);
	struct exec_stream *s = exec_stream_new(NULL, NULL, e);
	bool end = false;

	assert_non_null(s);
	int rc = exec_stream_feed(s, p, n, &reply, &end, e);
	exec_stream_free(s);
	return rc;
}

static void test_feed__refuses_what_is_no_websocket(void **state)
{
	(void)state;
	fails(ERR_FORMAT, feed("\xf2\1\1", 3, e)); /* reserved bits */
	fails(ERR_FORMAT, feed("\x80\1x", 3, e));  /* the rest of nothing */
	fails(ERR_FORMAT, feed("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff\1", 11, e));
}

/* ---- a run ---- */

static const char *frames;
static size_t frames_n;
static bool frames_end;

static int upgrade(void *arg, const struct http_seen *q, struct buf *reply)
{
	char key[64];
	char text[128];
	char accept[29];
	uint8_t digest[EVP_MAX_MD_SIZE];

	(void)arg;
	http_seen_header(q, "sec-websocket-key", key, sizeof(key));
	int n = snprintf(text, sizeof(text), "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
	assert_int_equal(EVP_Digest(text, (size_t)n, digest, NULL, EVP_sha1(), NULL), 1);
	assert_int_equal(base64_encode(accept, sizeof(accept), digest, 20), 0);
	(void)buf_printf(reply,
	                 "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n"
	                 "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n",
	                 accept);
	(void)buf_put(reply, frames, frames_n);
	return frames_end;
}

static int run(int64_t timeout_ms, struct buf *out, int *ret, struct err *e)
{
	static const char *const argv[] = { "sh", "-c", "a&b", "", NULL };
	const struct exec_params params = { .ns = "n",
		                            .pod = "p",
		                            .container = "c",
		                            .argv = argv,
		                            .timeout_ms = timeout_ms,
		                            .output = output,
		                            .arg = out };

	return exec_run(kit.kube, &params, ret, e);
}

static void test_run__gives_output_and_status(void **state)
{
	CLEANUP(buf_clear) struct buf in = BUF_INIT(4096);
	CLEANUP(buf_clear) struct buf out = BUF_INIT(100);
	int status = -1;

	(void)state;
	frame(&in, BINARY, "\1hello", 6);
	frame(&in, BINARY, FAILED, strlen(FAILED));
	frames = (const char *)in.data;
	frames_n = in.len;
	frames_end = true;
	kit.own = upgrade;
	ok(run(0, &out, &status, e));
	assert_int_equal(status, 42);
	assert_string_equal(buf_cstr(&out), "hello");
	assert_string_equal(kit.auth, "Bearer first");
	assert_string_equal(kit_log(),
	                    "GET /api/v1/namespaces/n/pods/p/exec?container=c&command=sh&"
	                    "command=-c&command=a%26b&command=&stdout=true&stderr=true\n");
}

static void test_run__a_connection_that_ends_early_is_no_success(void **state)
{
	CLEANUP(buf_clear) struct buf out = BUF_INIT(100);
	int status = -1;

	(void)state;
	frames = "\x82\6\1hel";
	frames_n = 6;
	frames_end = true;
	kit.own = upgrade;
	fails_saying(ERR_RETRY, "running 'sh' in Pod 'n/p'", run(0, &out, &status, e));
	frames_end = false;
	fails_saying(ERR_IO, "in time", run(100, &out, &status, e));
	assert_int_equal(status, -1);
}

static void test_run__a_refusal_says_why(void **state)
{
	static const struct kit_answer script[] = {
		{ .status = 403,
		  .body = "{\"kind\":\"Status\",\"code\":403,"
		          "\"message\":\"cannot create pods/exec\"}" },
		{ .status = 404,
		  .body = "{\"kind\":\"Status\",\"code\":404,\"details\":{\"name\":\"p\"},"
		          "\"message\":"
		          "\"pods p not found\"}" },
		{ .status = 200, .body = "hello" },
	};
	int status = -1;

	(void)state;
	PLAY(script);
	fails_saying(ERR_DENIED, "cannot create pods/exec", run(0, NULL, &status, e));
	fails_saying(ERR_NOT_FOUND, "pods p not found", run(0, NULL, &status, e));
	fails(ERR_FORMAT, run(0, NULL, &status, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_head__is_an_answer_to_our_key),
		cmocka_unit_test(test_feed__puts_messages_together_wherever_bytes_end),
		cmocka_unit_test(test_status__says_how_the_command_ended),
		cmocka_unit_test(test_feed__refuses_what_is_no_websocket),
		KIT_CASE(test_run__gives_output_and_status),
		KIT_CASE(test_run__a_connection_that_ends_early_is_no_success),
		KIT_CASE(test_run__a_refusal_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
