/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An S3 service of a test: it answers with what the test has prepared, in
 * order, and keeps what it was asked. The store speaks to it without retry.
 */
#ifndef AKSDR_TESTS_UNIT_STORE_S3_KIT_H
#define AKSDR_TESTS_UNIT_STORE_S3_KIT_H

#include <stdio.h>
#include <stdlib.h>

#include "store/s3.h"
#include "tests/harness/harness.h"
#include "tests/harness/http_server.h"
#include "tests/harness/store_kit.h"

#define S3_ASKED_MAX 64

struct s3_reply {
	int status;          /* 0: the connection is reset instead */
	const char *headers; /* "A: b\r\n..." or NULL */
	const char *body;    /* or NULL */
};

static struct s3_kit {
	struct http_server *server;
	struct store *store;
	const struct s3_reply *replies;
	unsigned nreplies, replied;
	struct {
		char line[512]; /* "METHOD TARGET" */
		char headers[4096];
		char body[512];
	} asked[S3_ASKED_MAX];
	unsigned nasked;
} kit;

static inline int s3_kit_answer(void *arg, const struct http_seen *q, struct buf *reply)
{
	static const struct s3_reply none = { .status = 599, .body = "no answer was prepared" };

	(void)arg;
	if (kit.nasked < S3_ASKED_MAX) {
		(void)snprintf(kit.asked[kit.nasked].line, 512, "%s %.480s", q->method, q->target);
		(void)snprintf(kit.asked[kit.nasked].headers, 4096, "%.4000s", q->headers);
		(void)snprintf(kit.asked[kit.nasked].body, 512, "%.*s",
		               (int)(q->body_len < 500 ? q->body_len : 500), (const char *)q->body);
		kit.nasked++;
	}
	const struct s3_reply *r = kit.replied < kit.nreplies ? &kit.replies[kit.replied++] : &none;
	if (r->status == 0) {
		kit.replied--; /* curl tries a connection that it has kept once more */
		return -1;
	}
	const char *body = r->body ? r->body : "";
	http_reply(reply, r->status, r->headers ? r->headers : "", body, strlen(body));
	/* the length that a HEAD tells is that of the object */
	if (strcmp(q->method, "HEAD") == 0)
		reply->len -= strlen(body);
	return 0;
}

/* Answers from now on, and forgets what was asked. */
#define s3_kit_says(...)                                                            \
	do {                                                                        \
		static const struct s3_reply replies_[] = { __VA_ARGS__ };          \
		/* also what the threads of a reset connection wrote is seen now */ \
		(void)http_server_requests(kit.server);                             \
		kit.replies = replies_;                                             \
		kit.nreplies = ARRAY_LEN(replies_);                                 \
		kit.replied = 0;                                                    \
		kit.nasked = 0;                                                     \
	} while (0)

/* Opens s3://bucket/p with more parameters ("&lock=1h" or ""); in place of the one before. */
static inline void s3_kit_open(const char *more)
{
	char url[512];
	struct err e = ERR_INIT;

	store_free(kit.store);
	(void)snprintf(url, sizeof(url), "s3://bucket/p?endpoint=http://127.0.0.1:%u%s",
	               http_server_port(kit.server), more);
	kit.store = store_s3_open(url, 0, NULL, &e);
	if (!kit.store)
		fail_msg("%s", e.msg);
}

static inline int s3_kit_setup(void **state)
{
	(void)state;
	(void)setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
	(void)setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	(void)setenv("AWS_REGION", "eu-west-3", 1);
	(void)setenv("no_proxy", "127.0.0.1", 1);
	kit = (struct s3_kit){ .server = http_server_start(s3_kit_answer, NULL) };
	return 0;
}

static inline int s3_kit_teardown(void **state)
{
	(void)state;
	store_free(kit.store);
	http_server_stop(kit.server);
	return 0;
}

/* Request `n` was this, and has a header line like that (NULL: whatever). */
static inline void s3_kit_asked(unsigned n, const char *line, const char *header)
{
	if (n >= kit.nasked)
		fail_msg("only %u requests, no '%s'", kit.nasked, line);
	assert_string_equal(kit.asked[n].line, line);
	if (header && !strstr(kit.asked[n].headers, header))
		fail_msg("no '%s' in\n%s", header, kit.asked[n].headers);
}

#define S3_ERROR(code, message) "<Error><Code>" code "</Code><Message>" message "</Message></Error>"
#define S3_TEST(f) cmocka_unit_test_setup_teardown(f, s3_kit_setup, s3_kit_teardown)

#endif
