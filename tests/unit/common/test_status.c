/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status server over real sockets: what it answers, and what clients that
 * mean no good get from it. Reads wait for the server's answer or its end; a
 * limit of half a minute only keeps a test from hanging.
 */
#include "common/status.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/metric.h"
#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"

#define GUARD_S 30
#define OK_HEAD "HTTP/1.1 200 OK\r\n"

/* ---- what the server asks ---- */

struct agent {
	atomic_uint calls;
	size_t bytes;   /* of the metrics; 0: a sample with the number of the call */
	bool blocks;    /* a call posts begun, and waits for go */
	const char *no; /* why it is not ready or has no metrics; NULL: it is, and has */
	sem_t begun, go;
};

static int give_metrics(void *arg, struct buf *b, struct err *e)
{
	struct agent *a = arg;
	unsigned call = atomic_fetch_add(&a->calls, 1) + 1;

	if (a->no)
		return err_set(e, ERR_BUSY, "%s", a->no);
	if (a->blocks) {
		(void)sem_post(&a->begun);
		while (sem_wait(&a->go) < 0)
			;
	}
	if (a->bytes > 0)
		return buf_zero(b, a->bytes) < 0 ? err_set(e, ERR_TOO_BIG, "no room here") : 0;
	metric_family(b, "aksdr_calls", METRIC_GAUGE, "Calls.");
	metric_sample(b, "aksdr_calls", NULL, 0, call);
	return 0;
}

static int is_ready(void *arg, struct err *e)
{
	const struct agent *a = arg;

	return a->no ? err_set(e, ERR_BUSY, "%s", a->no) : 0;
}

static struct status *serve(struct agent *a, struct status_params p)
{
	struct status *s = NULL;

	p.listen = p.listen ? p.listen : "127.0.0.1:0";
	p.metrics = give_metrics;
	p.ready = is_ready;
	p.arg = a;
	ok(status_start(&p, &s, e));
	assert_true(status_port(s) > 0);
	return s;
}

/* ---- clients ---- */

/* from: an address of this machine, or NULL. */
static int dial_from(const struct status *s, const char *from)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(status_port(s)) };
	const struct timeval guard = { .tv_sec = GUARD_S };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &guard, sizeof(guard)), 0);
	if (from) {
		struct sockaddr_in me = { .sin_family = AF_INET };

		assert_int_equal(inet_pton(AF_INET, from, &me.sin_addr), 1);
		assert_int_equal(bind(fd, (struct sockaddr *)&me, sizeof(me)), 0);
	}
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		fail_msg("connecting: %s", strerror(errno));
	return fd;
}

static int dial(const struct status *s)
{
	return dial_from(s, NULL);
}

/* False: the server has gone away. */
static bool put(int fd, const void *p, size_t n)
{
	while (n > 0) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

		if (k < 0)
			return false;
		p = (const char *)p + k;
		n -= (size_t)k;
	}
	return true;
}

static void say(int fd, const char *text)
{
	assert_true(put(fd, text, strlen(text)));
}

/* Everything until the server's end; a reset is one, too. */
static void hear_all(int fd, struct buf *b)
{
	char part[65536];
	ssize_t n;

	while ((n = recv(fd, part, sizeof(part), 0)) > 0)
		assert_int_equal(buf_put(b, part, (size_t)n), 0);
	if (n < 0 && errno != ECONNRESET)
		fail_msg("waiting for the server: %s", strerror(errno));
}

/* Until that text is there, once. */
static void hear(int fd, const char *wanted)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	char byte;

	while (!strstr(buf_cstr(&b), wanted)) {
		if (recv(fd, &byte, 1, 0) != 1)
			fail_msg("'%s' did not come, but: %s", wanted, buf_cstr(&b));
		assert_int_equal(buf_put(&b, &byte, 1), 0);
	}
}

/*
 * One request in a connection of its own; the whole answer. An empty line that ends the head is
 * put after it, with a word that ends the connection, so request lacks it.
 */
static void ask(const struct status *s, const char *request, struct buf *b)
{
	auto_close int fd = dial(s);

	say(fd, request);
	say(fd, "Connection: close\r\n\r\n");
	buf_reset(b);
	hear_all(fd, b);
}

static void assert_answer(const struct status *s, const char *request, const char *begin,
                          const char *end)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	ask(s, request, &b);
	const char *text = buf_cstr(&b);
	if (strncmp(text, begin, strlen(begin)) != 0 || strlen(text) < strlen(end) ||
	    strcmp(text + strlen(text) - strlen(end), end) != 0)
		fail_msg("'%.60s' is answered with: %s", request, text);
}

static void assert_serves(const struct status *s)
{
	assert_answer(s, "GET /healthz HTTP/1.1\r\nHost: a\r\n", OK_HEAD, "\r\n\r\nok\n");
}

/* ---- answers ---- */

static void test_status_start__tells_metrics_in_the_text_format(void **state)
{
	struct agent a = { .no = NULL };
	auto_status struct status *s = serve(&a, (struct status_params){ .keep_ms = -1 });
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	(void)state;
	ask(s, "GET /metrics?a=b HTTP/1.1\r\nHost: a\r\n", &b);
	const char *text = buf_cstr(&b);
	assert_non_null(
		strstr(text, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_non_null(strstr(text, "\r\nContent-Length: 65\r\n"));
	assert_non_null(strstr(text, "\r\n\r\n# HELP aksdr_calls Calls.\n"
	                             "# TYPE aksdr_calls gauge\n"
	                             "aksdr_calls 1\n"));
	assert_answer(s, "GET /metrics HTTP/1.0\r\n", OK_HEAD, "\naksdr_calls 2\n");
	assert_answer(s, "HEAD /metrics HTTP/1.1\r\nHost: a\r\n", OK_HEAD, "\r\n\r\n");
}

static void test_status_start__tells_young_metrics_again(void **state)
{
	struct agent a = { .no = NULL };
	auto_status struct status *s = serve(&a,
	                                     (struct status_params){ .keep_ms = INT64_C(3600000) });

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_answer(s, "GET /metrics HTTP/1.1\r\nHost: a\r\n", OK_HEAD,
		              "\naksdr_calls 1\n");
	assert_int_equal(a.calls, 1);
}

static void test_status_start__says_why_there_are_no_metrics(void **state)
{
	struct agent a = { .no = "the catalog is busy" };
	auto_status struct status *s = serve(&a, (struct status_params){ .keep_ms = 3600000 });

	(void)state;
	assert_answer(s, "GET /metrics HTTP/1.1\r\nHost: a\r\n",
	              "HTTP/1.1 500 Internal Server Error\r\n", "\r\n\r\nthe catalog is busy\n");
	a.no = NULL; /* a failure is not kept */
	assert_answer(s, "GET /metrics HTTP/1.1\r\nHost: a\r\n", OK_HEAD, "\naksdr_calls 2\n");
}

static void test_status_start__refuses_metrics_that_are_too_large(void **state)
{
	struct agent a = { .bytes = 1001 };
	auto_status struct status *s = serve(&a, (struct status_params){ .metrics_max = 1000 });

	(void)state;
	assert_answer(s, "GET /metrics HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 500 ",
	              "\r\n\r\nno room here\n");
}

static void test_status_start__tells_whether_it_is_ready(void **state)
{
	struct agent a = { .no = "the claims are not known yet" };
	auto_status struct status *s = serve(&a, (struct status_params){ .keep_ms = -1 });

	(void)state;
	assert_answer(s, "GET /readyz HTTP/1.1\r\nHost: a\r\n",
	              "HTTP/1.1 503 Service Unavailable\r\n",
	              "\r\n\r\nthe claims are not known yet\n");
	assert_serves(s); /* healthy is another question */
	a.no = NULL;
	assert_answer(s, "GET /readyz HTTP/1.1\r\nHost: a\r\n", OK_HEAD, "\r\n\r\nok\n");
}

static void test_status_start__knows_three_paths_and_two_methods(void **state)
{
	struct agent a = { .no = NULL };
	auto_status struct status *s = serve(&a, (struct status_params){ .keep_ms = -1 });
	static const struct {
		const char *request, *begin;
	} cases[] = {
		{ "GET / HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 404 Not Found\r\n" },
		{ "GET /metrics/ HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 404 " },
		{ "GET /../metrics HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 404 " },
		{ "DELETE /nothing HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 404 " },
		{ "POST /metrics HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 405 Method Not Allowed\r\n" },
		{ "OPTIONS /healthz HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 405 " },
		{ "get /metrics HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 405 " },
		{ "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n", "HTTP/1.1 413 " },
		{ "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n",
		  "HTTP/1.1 413 " },
		{ "GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n",
		  "HTTP/1.1 413 " },
		{ "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n", "HTTP/1.1 200 " },
		{ "GET /healthz HTTP/1.1\r\n", "HTTP/1.1 400 " },
		{ "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n", "HTTP/1.1 400 " },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_answer(s, cases[i].request, cases[i].begin, "");
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	ask(s, "PUT /metrics HTTP/1.1\r\nHost: a\r\n", &b);
	assert_non_null(strstr(buf_cstr(&b), "\r\nAllow: GET, HEAD\r\n"));
	assert_int_equal(a.calls, 0);
}

static unsigned own_path(void *arg, const char *path, char line[ERR_MSG_MAX])
{
	const struct agent *a = arg;

	if (strncmp(path, "/own/", 5) != 0)
		return 0;
	(void)snprintf(line, ERR_MSG_MAX, "asked for '%s'", path + 5);
	return a->no ? 503 : 200;
}

static void test_status_start__asks_the_program_for_other_paths(void **state)
{
	struct agent a = { .no = NULL };
	auto_status struct status *s = serve(&a, (struct status_params){ .path = own_path,
	                                                                 .paths = "/own/NAME" });

	(void)state;
	assert_answer(s, "GET /own/a HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 200 OK\r\n",
	              "\r\n\r\nasked for 'a'\n");
	assert_answer(s, "GET /own/a?x=1 HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 200 ",
	              "asked for 'a'\n");
	assert_answer(s, "HEAD /own/a HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 200 ", "\r\n\r\n");
	assert_answer(s, "POST /own/a HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 405 ",
	              "only GET and HEAD are done here\n");
	a.no = "no";
	assert_answer(s, "GET /own/a HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 503 ", "asked for 'a'\n");
	assert_answer(s, "GET /other HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 404 ",
	              "there are /metrics, /healthz, /readyz and /own/NAME here\n");
}

static void test_status_start__answers_several_requests_of_a_connection(void **state)
{
	struct agent a = { .no = NULL };
	auto_status struct status *s = serve(&a, (struct status_params){ .keep_ms = -1 });
	auto_close int fd = dial(s);

	(void)state;
	for (int i = 0; i < 3; i++) {
		say(fd, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
		hear(fd, "\r\n\r\nok\n");
	}
	/* And two at once. */
	say(fd, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
	hear(fd, "\naksdr_calls 1\n");
	hear(fd, "HTTP/1.1 404 ");
}

static void test_status_start__serves_while_metrics_are_made(void **state)
{
	struct agent a = { .blocks = true };
	sem_init(&a.begun, 0, 0);
	sem_init(&a.go, 0, 0);
	struct status *s = serve(&a, (struct status_params){ .keep_ms = -1 });
	auto_close int first = dial(s);
	auto_close int second = dial(s);

	(void)state;
	say(second, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
	hear(second, "\r\n\r\nok\n");
	say(first, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
	while (sem_wait(&a.begun) < 0)
		;
	say(second, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_serves(s);
	(void)sem_post(&a.go);
	/* Both get the same. */
	hear(first, "\naksdr_calls 1\n");
	hear(second, "\naksdr_calls 1\n");
	assert_int_equal(a.calls, 1);

	/* Who waits when it is stopped is let go. */
	say(first, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
	while (sem_wait(&a.begun) < 0)
		;
	(void)sem_post(&a.go);
	status_stop(s);
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	hear_all(first, &b);
	(void)sem_destroy(&a.begun);
	(void)sem_destroy(&a.go);
}

/* ---- clients that mean no good ---- */

static void test_status_start__ends_a_request_that_never_ends(void **state)
{
	struct agent a = { .no = NULL };
	auto_status struct status *s = serve(&a, (struct status_params){ .request_s = 1 });
	static const char *const halves[] = { "", "G", "GET /metrics HTTP/1.1\r\n",
		                              "GET /metrics HTTP/1.1\r\nHost: a\r\nX: " };
	int fds[ARRAY_LEN(halves)];
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(halves); i++) {
		fds[i] = dial(s);
		say(fds[i], halves[i]);
	}
	/* A byte now and then is no progress: the time of the whole request counts. */
	auto_close int slow = dial(s);
	struct pollfd p = { .fd = slow, .events = POLLIN };
	say(slow, "GET /metrics HTTP/1.1\r\nHost: a\r\nX: ");
	while (poll(&p, 1, 50) == 0)
		(void)put(slow, "a", 1);
	hear_all(slow, &b);
	for (size_t i = 0; i < ARRAY_LEN(halves); i++) {
		hear_all(fds[i], &b);
		(void)close(fds[i]);
	}
	assert_int_equal(b.len, 0);
	assert_serves(s);
}

static void test_status_start__ends_an_answer_that_nobody_reads(void **state)
{
	struct agent a = { .bytes = 15 * MIB };
	auto_status struct status *s = serve(&a, (struct status_params){ .request_s = 1 });
	CLEANUP(buf_clear) struct buf b = BUF_INIT(16 * MIB);
	auto_close int fd = dial(s);

	(void)state;
	say(fd, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
	hear(fd, OK_HEAD);
	/* The next one is cut later than the first. */
	auto_close int next = dial(s);
	hear_all(next, &b);
	assert_int_equal(b.len, 0);
	hear_all(fd, &b);
	assert_true(b.len < 15 * MIB);
	assert_serves(s);
}

static void test_status_start__keeps_few_texts_for_slow_readers(void **state)
{
	struct agent a = { .bytes = 15 * MIB };
	auto_status struct status *s = serve(&a, (struct status_params){ .keep_ms = -1 });
	int fds[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = dial(s);
		say(fds[i], "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
		hear(fds[i], OK_HEAD);
	}
	assert_answer(s, "GET /metrics HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 503 ",
	              "too many clients read older metrics slowly; try again\n");
	assert_int_equal(a.calls, 4);
	/* When they have read, there is room again. */
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		CLEANUP(buf_clear) struct buf b = BUF_INIT(16 * MIB);

		hear_all(fds[i], &b);
		assert_true(b.len > 15 * MIB);
		(void)close(fds[i]);
	}
	CLEANUP(buf_clear) struct buf all = BUF_INIT(16 * MIB);
	ask(s, "GET /metrics HTTP/1.1\r\nHost: a\r\n", &all);
	assert_true(all.len > 15 * MIB);
}

static bool is_open(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

static void test_status_start__outlives_a_thousand_connections(void **state)
{
	enum { FLOOD = 1000 };
	struct agent a = { .no = NULL };
	auto_status struct status *s = serve(&a, (struct status_params){ .listen = "0.0.0.0:0" });
	static int fds[FLOOD];
	struct rlimit files;
	size_t open = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	if (files.rlim_cur < FLOOD + 200) {
		files.rlim_cur = FLOOD + 200;
		if (setrlimit(RLIMIT_NOFILE, &files) < 0)
			skip();
	}
	/* Ten of each of a hundred addresses, with half a request each. */
	for (int i = 0; i < FLOOD; i++) {
		char from[32];

		(void)snprintf(from, sizeof(from), "127.0.1.%d", 1 + i / 10);
		fds[i] = dial_from(s, from);
		(void)put(fds[i], "GET /metr", 9);
	}
	assert_serves(s);
	for (int i = 0; i < FLOOD; i++)
		open += is_open(fds[i]);
	assert_in_range(open, 1, 64);
	assert_true(is_open(fds[FLOOD - 1]));
	for (int i = 0; i < FLOOD; i++)
		(void)close(fds[i]);
	assert_serves(s);
}

static void test_status_start__lets_one_address_have_a_part_only(void **state)
{
	enum { FLOOD = 40 };
	struct agent a = { .no = NULL };
	auto_status struct status *s = serve(&a, (struct status_params){ .listen = "0.0.0.0:0" });
	int fds[FLOOD];
	size_t open = 0;

	(void)state;
	for (int i = 0; i < FLOOD; i++)
		fds[i] = dial_from(s, "127.0.2.1");
	assert_serves(s);
	for (int i = 0; i < FLOOD; i++)
		open += is_open(fds[i]);
	assert_int_equal(open, 16);
	for (int i = 0; i < FLOOD; i++)
		(void)close(fds[i]);
}

static void test_status_start__bears_headers_of_any_size(void **state)
{
	struct agent a = { .no = NULL };
	auto_status struct status *s = serve(&a, (struct status_params){ .keep_ms = -1 });
	static const size_t sizes[] = { 5000, 100000, 10000000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		auto_close int fd = dial(s);
		CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
		CLEANUP(buf_clear) struct buf rq = BUF_INIT(16 * MIB);

		(void)buf_str(&rq, "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: ");
		while (rq.len < sizes[i])
			(void)buf_str(&rq,
			              "*/*;q=0.1,a/b;q=\"\\\\,;,\",application/openmetrics-text,");
		(void)buf_str(&rq, "\r\nConnection: close\r\n\r\n");
		(void)put(fd, rq.data, rq.len);
		hear_all(fd, &b);
		const char *text = buf_cstr(&b);
		/* What is far too long may be cut off while it is still being sent. */
		if (i == 0)
			assert_non_null(strstr(text, "\naksdr_calls 1\n"));
		else if (b.len > 0 && strncmp(text, "HTTP/1.1 4", 10) != 0)
			fail_msg("a header of %zu bytes is answered with: %s", sizes[i], text);
	}
	assert_int_equal(a.calls, 1);
	assert_serves(s);
}

static void test_status_start__outlives_any_bytes(void **state)
{
	struct agent a = { .no = NULL };
	auto_status struct status *s = serve(&a, (struct status_params){ .listen = "0.0.0.0:0" });
	static const char base[] = "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
	static const char *const words[] = { "\r\n",    "\n",       "\r",   ":",
		                             " ",       "\t",       "%",    "%00",
		                             "?",       "HTTP/1.",  "\xff", "Content-Length: ",
		                             "chunked", "\r\n\r\n", "/",    "\"" };

	(void)state;
	for (uint64_t i = 0; i < 400; i++) {
		char from[32];
		CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
		uint8_t bytes[600];
		size_t n = sizeof(base) - 1;

		/* Some stay until others need their place. */
		(void)snprintf(from, sizeof(from), "127.0.3.%u", 1 + (unsigned)i % 200);
		auto_close int fd = dial_from(s, from);
		fill_random(i, bytes, sizeof(bytes));
		if (i % 4 != 0) { /* a request with bytes and words put over it; else noise alone */
			uint8_t at[16];

			memcpy(at, bytes + sizeof(bytes) - sizeof(at), sizeof(at));
			memcpy(bytes, base, n);
			for (size_t k = 0; k < 1 + i % 4; k++) {
				const char *w = words[at[2 * k] % ARRAY_LEN(words)];

				memcpy(bytes + at[2 * k + 1] % n, w, strlen(w));
			}
		} else {
			n = sizeof(bytes);
		}
		(void)put(fd, bytes, n);
		(void)shutdown(fd, SHUT_WR);
		assert_serves(s); /* it is done with those bytes, as it takes them in turn */
		ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (got > 0)
			(void)buf_put(&b, bytes, (size_t)got);
		if (b.len > 0 && strncmp(buf_cstr(&b), "HTTP/1.", 7) != 0)
			fail_msg("case %u is answered with: %s", (unsigned)i, buf_cstr(&b));
	}
	assert_serves(s);
}

/* ---- places to listen at ---- */

static int try(const char *listen, struct err *e)
{
	struct agent a = { .no = NULL };
	const struct status_params p = { .listen = listen, .metrics = give_metrics, .arg = &a };
	struct status *s = NULL;

	if (status_start(&p, &s, e) < 0)
		return -1;
	status_stop(s);
	return 0;
}

static void test_status_start__listens_where_it_is_told(void **state)
{
	(void)state;
	ok(try("0", e));
	ok(try("127.0.0.1:0", e));
	ok(try("0.0.0.0:0", e));
	fails_saying(ERR_INVALID, "'' is no place to listen at", try("", e));
	fails_saying(ERR_INVALID,
	             "no place to listen at; it is PORT, ADDRESS:PORT or [ADDRESS]:PORT",
	             try("x", e));
	fails_saying(ERR_INVALID, "'65536' is no place", try("65536", e));
	fails_saying(ERR_INVALID, "'::1:80' is no place", try("::1:80", e));
	fails_saying(ERR_INVALID, "':80' is no place", try(":80", e));
	fails_saying(ERR_INVALID, "'[]:80' is no place", try("[]:80", e));
	fails_saying(ERR_INVALID, "'1.2.3.4:' is no place", try("1.2.3.4:", e));
	fails_saying(ERR_INVALID, "'localhost:80' is no address to listen at",
	             try("localhost:80", e));
	fails_saying(ERR_INVALID,
	             "starting the status server: '192.0.2.1:0' is no address of this machine",
	             try("192.0.2.1:0", e));
}

static void test_status_start__takes_both_families(void **state)
{
	struct agent a = { .no = NULL };
	struct err e = ERR_INIT;

	(void)state;
	if (try("[::1]:0", &e) < 0)
		skip();
	auto_status struct status *s = serve(&a, (struct status_params){ .listen = "0" });
	struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_port = htons(status_port(s)) };
	auto_close int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin6_addr = in6addr_loopback;
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	say(fd, "GET /healthz HTTP/1.1\r\nHost: [::1]\r\n\r\n");
	hear(fd, "\r\n\r\nok\n");
	assert_serves(s);
}

static void test_status_start__says_that_the_port_is_taken(void **state)
{
	struct agent a = { .no = NULL };
	auto_status struct status *s = serve(&a, (struct status_params){ .keep_ms = -1 });
	char listen[32];

	(void)state;
	(void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", status_port(s));
	fails_saying(ERR_BUSY, "another program listens at '127.0.0.1:", try(listen, e));
	assert_serves(s);
}

static void test_status_stop__frees_the_port_at_once(void **state)
{
	struct agent a = { .no = NULL };
	struct status *s = serve(&a, (struct status_params){ .keep_ms = -1 });
	auto_close int fd = dial(s);
	char listen[32];
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	(void)state;
	say(fd, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
	hear(fd, "\r\n\r\nok\n");
	(void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", status_port(s));
	status_stop(s);
	hear_all(fd, &b);
	ok(try(listen, e));
	status_stop(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_start__tells_metrics_in_the_text_format),
		cmocka_unit_test(test_status_start__tells_young_metrics_again),
		cmocka_unit_test(test_status_start__says_why_there_are_no_metrics),
		cmocka_unit_test(test_status_start__refuses_metrics_that_are_too_large),
		cmocka_unit_test(test_status_start__tells_whether_it_is_ready),
		cmocka_unit_test(test_status_start__knows_three_paths_and_two_methods),
		cmocka_unit_test(test_status_start__asks_the_program_for_other_paths),
		cmocka_unit_test(test_status_start__answers_several_requests_of_a_connection),
		cmocka_unit_test(test_status_start__serves_while_metrics_are_made),
		cmocka_unit_test(test_status_start__ends_a_request_that_never_ends),
		cmocka_unit_test(test_status_start__ends_an_answer_that_nobody_reads),
		cmocka_unit_test(test_status_start__keeps_few_texts_for_slow_readers),
		cmocka_unit_test(test_status_start__outlives_a_thousand_connections),
		cmocka_unit_test(test_status_start__lets_one_address_have_a_part_only),
		cmocka_unit_test(test_status_start__bears_headers_of_any_size),
		cmocka_unit_test(test_status_start__outlives_any_bytes),
		cmocka_unit_test(test_status_start__listens_where_it_is_told),
		cmocka_unit_test(test_status_start__takes_both_families),
		cmocka_unit_test(test_status_start__says_that_the_port_is_taken),
		cmocka_unit_test(test_status_stop__frees_the_port_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
