/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server over real sockets: requests that are answered at once and later. What clients that
 * mean no good get from it is in test_status.c, which serves by it.
 */
#include "common/server.h"

#include <semaphore.h>

#include "tests/harness/http_client.h"

struct site {
	struct server_alive alive;
	struct server *server;
	sem_t asked;    /* a request for /later has come */
	uint64_t id[4]; /* of those */
	size_t n;
};

static int add_argument(void *arg, const char *name, const char *value)
{
	(void)buf_printf(arg, " %s=%s", name, value ? value : "none");
	return strcmp(name, "stop") == 0 ? -1 : 0;
}

static struct server_reply *tell_headers(const struct server_request *q)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(KIB);
	const char *secret = NULL;
	const char *none = NULL;
	const unsigned n = server_header(q, "secret", &secret);

	(void)buf_printf(&b, "%u %s", n, secret ? secret : "-");
	assert_int_equal(server_header(q, "other", &none), 0);
	assert_null(none);
	server_forget(q, "Secret");
	(void)server_header(q, "Secret", &secret);
	(void)buf_printf(&b, ", then '%s'", secret ? secret : "-");
	return server_reply_line(200, buf_cstr(&b));
}

static struct server_reply *answer(void *arg, const struct server_request *q, bool *later)
{
	struct site *site = arg;

	if (strcmp(q->path, "/later") == 0) {
		site->id[site->n++ % ARRAY_LEN(site->id)] = q->id;
		*later = true;
		(void)sem_post(&site->asked);
		return NULL;
	}
	if (strcmp(q->path, "/headers") == 0)
		return tell_headers(q);
	if (strcmp(q->path, "/bytes") == 0) {
		uint8_t *p = calloc(1, 5);

		memcpy(p, "bytes", 5);
		struct server_reply *r = server_reply_bytes(200, "a/b", p, 5, &site->alive);
		server_reply_add(r, "X-More", "there");
		return r;
	}
	if (strcmp(q->path, "/arguments") == 0) {
		CLEANUP(buf_clear) struct buf b = BUF_INIT(KIB);
		const int rc = server_arguments(q, add_argument, &b);

		return server_reply_line(rc == 0 ? 200 : 400, buf_cstr(&b));
	}
	if (strcmp(q->path, "/none") == 0)
		return NULL; /* as without memory */
	return server_reply_line(404, q->reads ? "reads" : "writes");
}

static void serve(struct site *site, struct server_params p)
{
	p.listen = "127.0.0.1:0";
	p.name = "site";
	p.answer = answer;
	p.arg = site;
	*site = (struct site){ .n = 0 };
	(void)sem_init(&site->asked, 0, 0);
	ok(server_start(&p, &site->server, e));
}

static void end(struct site *site)
{
	server_stop(site->server);
	(void)sem_destroy(&site->asked);
	assert_int_equal(site->alive.n, 0);
}

static int ask(const struct site *site, const char *head)
{
	return client_ask(server_port(site->server), head);
}

static void assert_answer(const struct site *site, const char *head, const char *begin,
                          const char *has)
{
	client_assert(server_port(site->server), head, begin, has);
}

static void wait_asked(struct site *site)
{
	while (sem_wait(&site->asked) < 0)
		;
}

static void test_server_start__tells_headers_and_forgets_them(void **state)
{
	struct site site;

	(void)state;
	serve(&site, (struct server_params){ .connections = 4 });
	assert_answer(&site, "GET /headers HTTP/1.1", "HTTP/1.1 200 ", "\r\n\r\n0 -, then '-'\n");
	assert_answer(&site, "GET /headers HTTP/1.1\r\nSECRET: word", "HTTP/1.1 200 ",
	              "\r\n\r\n1 word, then ''\n");
	assert_answer(&site, "GET /headers HTTP/1.1\r\nSecret: a\r\nsecret: b", "HTTP/1.1 200 ",
	              "\r\n\r\n2 b, then ''\n");
	end(&site);
}

static void test_server_start__tells_arguments(void **state)
{
	struct site site;

	(void)state;
	serve(&site, (struct server_params){ .connections = 4 });
	assert_answer(&site, "GET /arguments?a=b%20c&d HTTP/1.1", "HTTP/1.1 200 ",
	              "\r\n\r\n a=b c d=none\n");
	assert_answer(&site, "GET /arguments?stop=1&a=b HTTP/1.1", "HTTP/1.1 400 ",
	              "\r\n\r\n stop=1\n");
	end(&site);
}

static void test_server_start__sends_bytes_and_headers(void **state)
{
	struct site site;

	(void)state;
	serve(&site, (struct server_params){ .connections = 4 });
	assert_answer(&site, "GET /bytes HTTP/1.1", "HTTP/1.1 200 ", "\r\n\r\nbytes");
	assert_answer(&site, "GET /bytes HTTP/1.1", "HTTP/1.1 200 ", "\r\nContent-Type: a/b\r\n");
	assert_answer(&site, "GET /bytes HTTP/1.1", "HTTP/1.1 200 ", "\r\nX-More: there\r\n");
	assert_answer(&site, "HEAD /bytes HTTP/1.1", "HTTP/1.1 200 ",
	              "\r\nCache-Control: no-store\r\n");
	assert_answer(&site, "GET /x HTTP/1.1", "HTTP/1.1 404 ", "\r\n\r\nreads\n");
	assert_answer(&site, "PUT /x HTTP/1.1", "HTTP/1.1 404 ", "\r\n\r\nwrites\n");
	assert_answer(&site, "GET /none HTTP/1.1", "", ""); /* let go */
	end(&site);
}

static void test_server_tell__answers_each_who_waits(void **state)
{
	struct site site;
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	(void)state;
	serve(&site, (struct server_params){ .connections = 4 });
	const int first = ask(&site, "GET /later HTTP/1.1");
	wait_asked(&site);
	const int second = ask(&site, "GET /later HTTP/1.1");
	wait_asked(&site);
	/* Others are served meanwhile, and the second before the first. */
	assert_answer(&site, "GET /x HTTP/1.1", "HTTP/1.1 404 ", "reads");
	server_tell(site.server, site.id[1], server_reply_line(200, "to the second"));
	(void)client_hear(second, &b);
	assert_non_null(strstr(buf_cstr(&b), "\r\n\r\nto the second\n"));
	/* Whom nobody knows gets nothing, and one that is told twice gets the first. */
	server_tell(site.server, 4711, server_reply_line(200, "to nobody"));
	server_tell(site.server, site.id[1], server_reply_line(200, "again"));
	server_tell(site.server, site.id[0], server_reply_line(200, "to the first"));
	(void)client_hear(first, &b);
	assert_non_null(strstr(buf_cstr(&b), "\r\n\r\nto the first\n"));

	struct server_reply *both = server_reply_line(200, "to both");
	const int third = ask(&site, "GET /later HTTP/1.1");
	wait_asked(&site);
	const int fourth = ask(&site, "GET /later HTTP/1.1");
	wait_asked(&site);
	server_tell(site.server, site.id[2], server_reply_ref(both));
	server_tell(site.server, site.id[3], both);
	(void)client_hear(third, &b);
	assert_non_null(strstr(buf_cstr(&b), "\r\n\r\nto both\n"));
	(void)client_hear(fourth, &b);
	assert_non_null(strstr(buf_cstr(&b), "\r\n\r\nto both\n"));
	end(&site);
}

static void test_server_tell__lets_go_whom_there_is_nothing_for(void **state)
{
	struct site site;
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	(void)state;
	serve(&site, (struct server_params){ .connections = 4 });
	const int fd = ask(&site, "GET /later HTTP/1.1");
	wait_asked(&site);
	server_tell(site.server, site.id[0], NULL);
	(void)client_hear(fd, &b);
	assert_int_equal(b.len, 0);
	end(&site);
}

static void test_server_start__ends_who_waits_too_long(void **state)
{
	struct site site;
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	(void)state;
	serve(&site, (struct server_params){ .request_s = 1 });
	const int fd = ask(&site, "GET /later HTTP/1.1");
	wait_asked(&site);
	(void)client_hear(fd, &b);
	assert_int_equal(b.len, 0);
	server_tell(site.server, site.id[0], server_reply_line(200, "too late"));
	assert_answer(&site, "GET /x HTTP/1.1", "HTTP/1.1 404 ", "reads");
	end(&site);
}

static void test_server_stop__lets_go_who_waits(void **state)
{
	struct site site;
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	(void)state;
	serve(&site, (struct server_params){ .connections = 4 });
	const int fd = ask(&site, "GET /later HTTP/1.1");
	wait_asked(&site);
	end(&site);
	(void)client_hear(fd, &b);
	assert_int_equal(b.len, 0);
	server_stop(NULL);
}

static void test_server_start__refuses_what_others_can_reach(void **state)
{
	struct site site = { .n = 0 };
	const struct server_params p = { .listen = "0.0.0.0:0",
		                         .name = "site",
		                         .loopback = true,
		                         .answer = answer,
		                         .arg = &site };

	(void)state;
	fails_saying(ERR_INVALID, "can be reached from other machines",
	             server_start(&p, &site.server, e));
}

static void test_server_reply_bytes__counts_those_that_live(void **state)
{
	struct server_alive alive = { .n = 0 };
	struct server_reply *r = server_reply_bytes(200, "a/b", calloc(1, 8), 8, &alive);

	(void)state;
	assert_non_null(r);
	assert_int_equal(alive.n, 1);
	assert_int_equal(alive.bytes, 8);
	server_reply_unref(server_reply_ref(r));
	assert_int_equal(alive.n, 1);
	assert_int_equal(alive.bytes, 8);
	server_reply_unref(r);
	assert_int_equal(alive.n, 0);
	assert_int_equal(alive.bytes, 0);
	server_reply_unref(NULL);
	server_reply_add(NULL, "A", "b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_server_start__tells_headers_and_forgets_them),
		cmocka_unit_test(test_server_start__tells_arguments),
		cmocka_unit_test(test_server_start__sends_bytes_and_headers),
		cmocka_unit_test(test_server_tell__answers_each_who_waits),
		cmocka_unit_test(test_server_tell__lets_go_whom_there_is_nothing_for),
		cmocka_unit_test(test_server_start__ends_who_waits_too_long),
		cmocka_unit_test(test_server_stop__lets_go_who_waits),
		cmocka_unit_test(test_server_start__refuses_what_others_can_reach),
		cmocka_unit_test(test_server_reply_bytes__counts_those_that_live),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
