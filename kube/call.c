/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request: who we are in its headers, its repetitions, and the server's Status objects as
 * errors (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/). What is
 * repeated: no connection, 429, 5xx; and at once, after a look at our files, a refused token and a
 * server's certificate that is not accepted.
 */
#include "kube/call.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "common/backoff.h"
#include "common/later.h"
#include "common/now.h"
#include "common/num.h"
#include "common/secret.h"
#include "common/url.h"
#include "kube/kube_impl.h"

#define AUTH_MAX (64 * KIB)
#define URL_MAX (CALL_PATH_MAX + 2 * KIB)
#define REFUSAL_MAX (64 * KIB) /* bytes of what the server says when it refuses */
#define BODY_MAX (4 * MIB)     /* the server takes 3 MiB */

/* ---- paths ---- */

void call_path(struct buf *b, const struct kube_kind *kind, const char *ns, const char *name,
               const char *sub)
{
	if (*kind->group)
		(void)buf_printf(b, "/apis/%s/%s", kind->group, kind->version);
	else
		(void)buf_printf(b, "/api/%s", kind->version);
	if (ns && !kind->cluster) {
		(void)buf_str(b, "/namespaces/");
		(void)url_encode(b, ns, false);
	}
	(void)buf_printf(b, "/%s", kind->plural);
	if (name) {
		(void)buf_u8(b, '/');
		(void)url_encode(b, name, false);
	}
	if (sub)
		(void)buf_printf(b, "/%s", sub);
}

void call_query(struct buf *b, const char *name, const char *value)
{
	bool first = b->len == 0 || !memchr(b->data, '?', b->len);

	if (!value || !*value)
		return;
	(void)buf_printf(b, "%c%s=", first ? '?' : '&', name);
	(void)url_encode(b, value, false);
}

void call_select(struct buf *b, const struct kube_select *s)
{
	call_query(b, "labelSelector", s->labels);
	call_query(b, "fieldSelector", s->fields);
}

struct call_name call_name(const struct kube_kind *kind, const char *ns, const char *name)
{
	struct call_name n;

	if (kind->cluster || !ns)
		(void)snprintf(n.s, sizeof(n.s), "%s '%s'", kind->kind, name);
	else
		(void)snprintf(n.s, sizeof(n.s), "%s '%s/%s'", kind->kind, ns, name);
	return n;
}

/* ---- what the server says ---- */

static enum err_class class_of(int code, const char *reason, const char *said)
{
	switch (code) {
	case 400:
	case 422:
		return ERR_INVALID;
	case 401:
		return ERR_DENIED;
	case 403:
		return strstr(said, "exceeded quota") ? ERR_QUOTA : ERR_DENIED;
	case 404:
		return ERR_NOT_FOUND;
	case 409:
		return strcmp(reason, "AlreadyExists") == 0 ? ERR_EXISTS : ERR_BUSY;
	case 405:
	case 406:
	case 415:
	case 501:
		return ERR_UNSUPPORTED;
	case 413:
		return ERR_TOO_BIG;
	case 410: /* a list that has become too old: a new one is not */
		return ERR_RETRY;
	default:
		return later_is(code) ? ERR_RETRY : ERR_FORMAT;
	}
}

int call_status(const json_t *status, int code, struct err *e)
{
	const char *reason = kube_text_at(status, "reason");
	const char *said = kube_text_at(status, "message");
	int64_t wait_s = kube_number_at(status, "details.retryAfterSeconds", 0);

	code = (int)kube_number_at(status, "code", code);
	enum err_class class = class_of(code, reason, said);
	/* "the server could not find the requested resource": no object is named. */
	bool unknown = code == 404 && !*kube_text_at(status, "details.name");
	(void)err_set(e, class, "the API server says %d%s%s: %s", code, *reason ? " " : "", reason,
	              *said ? said : "nothing more");
	if (unknown)
		(void)err_wrap(e, "this kind of object is not known there");
	e->os = code == 410 ? CALL_GONE : unknown ? CALL_UNKNOWN : 0;
	if (class == ERR_RETRY && wait_s > 0 && wait_s <= 3600)
		e->wait_ms = 1000 * wait_s;
	return -1;
}

int call_refused(int status, int64_t wait_ms, const void *text, size_t n, struct err *e)
{
	struct err none;
	auto_json json_t *j = n ? json_parse("answer", text, n, &none) : NULL;

	if (j && strcmp(kube_text_at(j, "kind"), "Status") == 0) {
		(void)call_status(j, status, e);
	} else {
		/* Of a proxy, or of the server before it knows what is asked for. */
		int len = (int)(n < 200 ? n : 200);

		while (len > 0 && strchr("\r\n ", ((const char *)text)[len - 1]))
			len--;
		(void)err_set(e, class_of(status, "", ""), "the API server says %d: %.*s", status,
		              len, n ? (const char *)text : "");
		if (status == 404)
			(void)err_wrap(e, "this kind of object is not known there");
		e->os = status == 404 ? CALL_UNKNOWN : status == 410 ? CALL_GONE : 0;
	}
	if (e->class == ERR_RETRY && wait_ms > e->wait_ms)
		e->wait_ms = wait_ms;
	return -1;
}

/* ---- one request ---- */

static void began(void *arg, const struct http_answer *a)
{
	const struct call *c = arg;

	(void)a;
	if (c->began)
		c->began(c->arg);
}

static int sink(void *arg, const struct http_answer *a, const void *p, size_t n, struct err *e)
{
	const struct call *c = arg;

	if (c->sink)
		return c->sink(c->arg, a, p, n, e);
	return c->into ? http_sink_buf(c->into, a, p, n, e) : 0;
}

/* One try with the headers that belong to a round. *ret_status 0: there was no answer. */
static int send_it(struct kube *k, struct call *c, const struct buf *body, struct buf *auth,
                   int *ret_status, struct err *e)
{
	CLEANUP(buf_clear) struct buf url = BUF_INIT(URL_MAX);
	CLEANUP(buf_clear) struct buf text = BUF_INIT(REFUSAL_MAX);
	char type[128];
	const char *headers[4] = { "Accept: application/json",
		                   "User-Agent: " KUBE_MANAGER "/" AKSDR_VERSION };
	struct iovec iov = { body->data, body->len };
	struct http_answer a;

	(void)buf_printf(&url, "%s%s", login_server(k->login), c->path);
	if (buf_check(&url, "a request", e) < 0)
		return -1;
	struct http_request rq = {
		.method = c->method,
		.url = buf_cstr(&url),
		.headers = headers,
		.nheaders = 2,
		.iov = &iov,
		.niov = c->body ? 1 : -1,
		.began = began,
		.sink = sink,
		.arg = c,
		.text = &text,
		.stall_ms = c->stall_ms,
		.cancel = c->cancel,
	};
	if (c->body) {
		(void)snprintf(type, sizeof(type), "Content-Type: %s",
		               c->type ? c->type : "application/json");
		headers[rq.nheaders++] = type;
	}
	if (auth->len > 0)
		headers[rq.nheaders++] = buf_cstr(auth);
	size_t had = c->into ? c->into->len : 0;
	int rc = http_do(k->http, &rq, &a, e);
	*ret_status = rc < 0 ? 0 : a.status;
	if (rc == 0 && a.status / 100 == 2)
		return 0;
	/* Half of an answer is none. */
	if (c->into)
		c->into->len = had;
	if (rc < 0)
		return -1;
	if (a.status == 429)
		atomic_fetch_add(&k->throttled, 1);
	return call_refused(a.status, a.wait_ms, text.data, text.len, e);
}

/* One try, and at once another one when the server did not know us and we have something newer. */
static int try_it(struct kube *k, struct call *c, const struct buf *body, struct err *e)
{
	CLEANUP(buf_clear) struct buf auth = BUF_INIT(AUTH_MAX);
	int rc = -1;

	for (int round = 0; round < 2; round++) {
		uint64_t number;
		int status = 0;

		buf_reset(&auth);
		if (login_header(k->login, k->http, &auth, &number, e) < 0)
			break;
		rc = send_it(k, c, body, &auth, &status, e);
		bool stranger = rc < 0 && e->class == ERR_DENIED && (status == 0 || status == 401);
		if (!stranger || !login_refused(k->login, k->http, number))
			break;
	}
	if (auth.len > 0)
		secret_wipe(auth.data, auth.len);
	return rc;
}

uint64_t call_random(void)
{
	uint64_t random = 0;

	/* It cannot fail once the kernel has random numbers; before, the wait is the shortest. */
	ssize_t n = getrandom(&random, sizeof(random), GRND_NONBLOCK);
	(void)n;
	return random;
}

/* After a try that failed: 0, the wait is over; -1, *e is what the call fails with. */
static int wait_for_next(struct kube *k, struct call *c, int64_t start_ns, struct err *e)
{
	const struct backoff schedule = { k->budget_ms, 200, 10000 };
	int64_t elapsed_ms = (now_mono_ns() - start_ns) / 1000000;
	int64_t wait_ms = backoff_wait_ms(&schedule, c->failed, elapsed_ms, call_random());
	struct err stop;

	/* Earlier than the server wants is in vain, and later than the budget no try. */
	if (wait_ms >= 0 && e->wait_ms > wait_ms)
		wait_ms = elapsed_ms + e->wait_ms > k->budget_ms ? -1 : e->wait_ms;
	if (wait_ms < 0)
		return err_wrap(e, "gave up after %u tries in %s", c->failed,
		                num_duration_text(elapsed_ms / 1000).s);
	if (cancel_wait(k->cancel, c->cancel, wait_ms, &stop) == 0)
		return 0;
	(void)err_wrap(e, "cancelled between two tries");
	e->class = ERR_CANCELLED;
	return -1;
}

int call_do(struct kube *k, struct call *c, struct err *e)
{
	CLEANUP(buf_clear) struct buf body = BUF_INIT(BODY_MAX);
	int64_t start_ns = now_mono_ns();
	struct err why;
	int rc;

	if (c->body && json_write(c->body, &body, e) < 0)
		return err_wrap(e, "writing a request");
	while ((rc = try_it(k, c, &body, &why)) < 0 && why.class == ERR_RETRY && !c->once &&
	       why.os != CALL_GONE) {
		c->failed++;
		if (wait_for_next(k, c, start_ns, &why) < 0)
			break;
	}
	/* Secrets are objects too. */
	if (body.len > 0)
		secret_wipe(body.data, body.len);
	if (rc < 0)
		*e = why;
	return rc;
}

/* ---- lines ---- */

int call_line(struct kube *k, const char *path, const struct cancel *cancel, struct http_line **ret,
              struct buf *ret_auth, uint64_t *ret_round, struct err *e)
{
	CLEANUP(buf_clear) struct buf url = BUF_INIT(URL_MAX);

	for (int round = 0;; round++) {
		buf_reset(ret_auth);
		buf_reset(&url);
		(void)buf_printf(&url, "%s%s", login_server(k->login), path);
		if (buf_check(&url, "a request", e) < 0 ||
		    login_header(k->login, k->http, ret_auth, ret_round, e) < 0)
			return -1;
		*ret = http_dial(k->http, buf_cstr(&url), cancel, e);
		if (*ret)
			return 0;
		if (e->class != ERR_DENIED || round > 0 || !call_again(k, *ret_round))
			return -1;
	}
}

bool call_again(struct kube *k, uint64_t round)
{
	return login_refused(k->login, k->http, round);
}

const char *call_host(const struct kube *k)
{
	const char *at = strstr(login_server(k->login), "://");

	return at ? at + 3 : login_server(k->login);
}
