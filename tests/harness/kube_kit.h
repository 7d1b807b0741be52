/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An API server that plays a script, for faults that a real one does not have at hand: each request
 * gets the next answer, the last one again and again, and is written down. The real one is in
 * tests/kube.
 */
#ifndef AKSDR_TESTS_KUBE_KIT_H
#define AKSDR_TESTS_KUBE_KIT_H

#include <stdio.h>
#include <string.h>

#include "kube/kube.h"
#include "tests/harness/harness.h"
#include "tests/harness/http_server.h"
#include "tests/harness/store_kit.h"

enum kit_how {
	KIT_WHOLE, /* an answer of that body */
	KIT_RESET, /* none, the connection is reset */
	KIT_CUT,   /* headers that promise more than comes */
	KIT_OPEN,  /* what is there is sent, and more might come */
	KIT_ENDS   /* a stream that ends behind the body */
};

struct kit_answer {
	enum kit_how how;
	int status;          /* 0: 200 */
	const char *headers; /* or NULL */
	const char *body;    /* or NULL */
};

struct kit {
	struct http_server *server;
	struct kube *kube;
	char *dir;
	char url[64];
	const struct kit_answer *script;
	unsigned n, at;
	struct buf log;  /* "METHOD TARGET\n" */
	char auth[256];  /* of the last request */
	char body[4096]; /* of the last request that had one */
	char type[64];
	http_answer_fn *own; /* instead of the script */
};

static struct kit kit;

static int kit_answers(void *arg, const struct http_seen *q, struct buf *reply)
{
	(void)arg;
	(void)buf_printf(&kit.log, "%s %s\n", q->method, q->target);
	http_seen_header(q, "authorization", kit.auth, sizeof(kit.auth));
	http_seen_header(q, "content-type", kit.type, sizeof(kit.type));
	if (q->body_len > 0)
		(void)snprintf(kit.body, sizeof(kit.body), "%.*s", (int)q->body_len,
		               (const char *)q->body);
	if (kit.own)
		return kit.own(NULL, q, reply);
	const struct kit_answer *a = &kit.script[kit.at < kit.n ? kit.at++ : kit.n - 1];
	const char *headers = a->headers ? a->headers : "";
	const char *body = a->body ? a->body : "{}";
	int status = a->status ? a->status : 200;
	size_t n = strlen(body);
	switch (a->how) {
	case KIT_RESET:
		return -1;
	case KIT_CUT:
		(void)buf_printf(reply, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n%s", status,
		                 n + 10, body);
		return 1;
	case KIT_OPEN:
	case KIT_ENDS:
		(void)buf_printf(reply, "HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n",
		                 status);
		if (n > 0)
			(void)buf_printf(reply, "%zx\r\n%s\r\n", n, body);
		if (a->how == KIT_ENDS)
			(void)buf_str(reply, "0\r\n\r\n");
		return 0;
	case KIT_WHOLE:
	default:
		http_reply(reply, status, headers, body, n);
		return 0;
	}
}

#define PLAY(s) (kit.script = (s), kit.n = ARRAY_LEN(s), kit.at = 0)

static inline struct kube *kit_open(const char *user)
{
	char text[2048];
	struct err e;
	auto_free char *path = path_join(kit.dir, "config");
	const struct kube_params params = { .kubeconfig = path, .budget_ms = 20000 };

	(void)snprintf(text, sizeof(text),
	               "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u, "
	               "namespace: here}}]\nclusters: [{name: c, cluster: {server: \"%s/\"}}]\n"
	               "users: [{name: u, user: {%.1000s}}]\n",
	               kit.url, user);
	write_text(kit.dir, "config", text);
	struct kube *k = kube_open(&params, &e);
	if (!k)
		fail_msg("%s", e.msg);
	return k;
}

static inline int kit_setup(void **state)
{
	(void)state;
	kit = (struct kit){ .log = BUF_INIT(MIB), .dir = tmpdir_new() };
	kit.server = http_server_start(kit_answers, NULL);
	(void)snprintf(kit.url, sizeof(kit.url), "http://127.0.0.1:%u",
	               http_server_port(kit.server));
	kit.kube = kit_open("token: first");
	return 0;
}

static inline int kit_teardown(void **state)
{
	(void)state;
	http_server_stop(kit.server);
	kube_close(kit.kube);
	buf_clear(&kit.log);
	tmpdir_remove(kit.dir);
	return 0;
}

/* The requests so far. The server's lock is passed, so that what it wrote is seen. */
static inline const char *kit_log(void)
{
	(void)http_server_requests(kit.server);
	return buf_cstr(&kit.log);
}

#define KIT_CASE(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

#endif
