/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One image after the other in each thread: a request, what its answer asks for, and the request
 * again. Credentials go to the host that they are for, and, for a token, to the service that this
 * host names; never along a redirection to another one.
 */
#include "restore/registry.h"

#include <stdio.h>
#include <string.h>

#include "common/backoff.h"
#include "common/http.h"
#include "common/json.h"
#include "common/later.h"
#include "common/now.h"
#include "common/secret.h"
#include "common/team.h"
#include "common/url.h"
#include "restore/challenge.h"
#include "restore/image.h"

#define TOKEN_MAX (32 * KIB)
#define STEPS_MAX 8 /* requests for one manifest, with those after a challenge or redirection */
#define URL_MAX 4096
#define HOST_MAX 256
#define BUDGET_MS 20000

#define ACCEPT                                                        \
	"Accept: application/vnd.oci.image.index.v1+json, "           \
	"application/vnd.oci.image.manifest.v1+json, "                \
	"application/vnd.docker.distribution.manifest.list.v2+json, " \
	"application/vnd.docker.distribution.manifest.v2+json"

struct work {
	const struct registry_params *p;
	struct http *http;
	const char *const *images;
	struct registry_result *ret;
	struct team_tasks tasks;
};

/* One image on its way. */
struct look {
	const struct work *w;
	struct image image;
	char url[URL_MAX], host[HOST_MAX]; /* what is asked now */
	bool asked;                        /* that host was given what it asked for */
	struct buf auth;                   /* "Authorization: ...", or empty; wiped */
	struct http_answer answer;
};

static void forget(struct buf *b)
{
	if (b->data)
		secret_wipe(b->data, b->cap);
	buf_reset(b);
}

static void look_free(struct look *l)
{
	if (!l)
		return;
	forget(&l->auth);
	buf_clear(&l->auth);
	free(l);
}
static void clean_look(struct look *const *l)
{
	look_free(*l);
}

static int say(struct registry_result *ret, enum registry_answer answer, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
static int say(struct registry_result *ret, enum registry_answer answer, const char *fmt, ...)
{
	va_list ap;

	ret->answer = answer;
	va_start(ap, fmt);
	(void)vsnprintf(ret->why, sizeof(ret->why), fmt, ap);
	va_end(ap);
	return 0;
}

/* ---- one request ---- */

/* As http_do(), and again what may work later, within the budget. ERR_RETRY: it is used up. */
static int ask(const struct look *l, const struct http_request *rq, struct http_answer *ret,
               struct err *e)
{
	const struct registry_params *p = l->w->p;
	const struct backoff schedule = { p->budget_ms ? p->budget_ms : BUDGET_MS, 300, 5000 };
	int64_t start_ns = now_mono_ns();

	for (unsigned failed = 1;; failed++) {
		struct buf *into = rq->arg;
		uint64_t random;

		if (into)
			forget(into);
		*e = ERR_INIT;
		int rc = http_do(l->w->http, rq, ret, e);
		if (rc == 0 && !later_is(ret->status))
			return 0;
		if (rc == 0)
			(void)later_set(e, ret, "status %d", ret->status);
		if (e->class != ERR_RETRY)
			return -1;
		secret_random(&random, sizeof(random));
		int64_t elapsed_ms = (now_mono_ns() - start_ns) / 1000000;
		int64_t wait_ms = backoff_wait_ms(&schedule, failed, elapsed_ms, random);
		if (wait_ms >= 0 && e->wait_ms > wait_ms)
			wait_ms = elapsed_ms + e->wait_ms > schedule.budget_ms ? -1 : e->wait_ms;
		if (wait_ms < 0)
			return -1;
		if (cancel_wait(p->cancel, NULL, wait_ms, e) < 0)
			return -1;
	}
}

/* ---- what a registry asks for ---- */

static const struct auths_entry *entry_of(const struct look *l)
{
	static const struct auths_entry none = { "", "" };
	const struct auths_entry *x = l->w->p->auths ? auths_find(l->w->p->auths, l->host) : NULL;

	return x ? x : &none;
}

/* The token in an answer, behind "Authorization: Bearer ". */
static int take_token(struct look *l, struct buf *body, struct err *e)
{
	struct err why = ERR_INIT;
	const char *token = NULL;
	size_t n = 0;

	/* What the parser says of a text that is none may quote a token. */
	auto_json json_t *j = json_parse("the answer", body->data, body->len, &why);
	forget(body);
	if (why.class == ERR_NOMEM)
		return err_set(e, ERR_NOMEM, "no memory for a token of a registry");
	token = json_string_value(json_object_get(j, "token"));
	if (!token)
		token = json_string_value(json_object_get(j, "access_token"));
	while (token && token[n] > ' ' && token[n] < 0x7f)
		n++;
	if (!token || n == 0 || token[n] || n > TOKEN_MAX)
		return err_set(e, ERR_FORMAT, "its service for tokens answers with none");
	(void)buf_printf(&l->auth, "Authorization: Bearer %s", token);
	secret_wipe((void *)(uintptr_t)token, n);
	return buf_check(&l->auth, "a token", e);
}

/* What is asked of the service for tokens: a query, or the form of a refresh token. */
static void put_request(const struct look *l, const struct challenge *c, struct buf *b)
{
	if (c->service[0]) {
		(void)buf_str(b, "service=");
		(void)url_encode(b, c->service, false);
		(void)buf_str(b, "&");
	}
	/* To read this repository: no more, whatever the registry says. */
	(void)buf_str(b, "scope=");
	(void)url_encode(b, "repository:", false);
	(void)url_encode(b, l->image.repository, false);
	(void)url_encode(b, ":pull", false);
}

/* True when a token may be asked for there. */
static bool realm_allowed(const struct look *l, const char *realm)
{
	if (strncmp(realm, "https://", 8) == 0)
		return true;
	/* A registry elsewhere has no say in what is asked here. */
	return strncmp(l->url, "http://", 7) == 0 && strncmp(realm, "http://", 7) == 0 &&
	       http_url_allowed(realm) && strncmp(realm, "http://169.254.", 15) != 0;
}

/* A token, from the service that the challenge names. */
static int fetch_token(struct look *l, const struct challenge *c, struct err *e)
{
	const struct auths_entry *x = entry_of(l);
	CLEANUP(buf_clear) struct buf url = BUF_INIT(URL_MAX);
	CLEANUP(buf_clear) struct buf text = BUF_INIT(2 * TOKEN_MAX);
	CLEANUP(buf_clear) struct buf basic = BUF_INIT(2 * TOKEN_MAX);
	CLEANUP(buf_clear) struct buf form = BUF_INIT(4 * TOKEN_MAX);
	const char *headers[2] = { "Accept: application/json" };
	struct http_request rq = { .headers = headers, .nheaders = 1, .sink = http_sink_buf };
	struct iovec iov;

	if (!realm_allowed(l, c->realm))
		return err_set(e, ERR_DENIED,
		               "it names a service for tokens that is asked by HTTPS only");
	(void)buf_str(&url, c->realm);
	if (*x->token) {
		put_request(l, c, &form);
		(void)buf_str(&form, "&client_id=aksdr&grant_type=refresh_token&refresh_token=");
		(void)url_encode(&form, x->token, false);
		rq.method = "POST";
		headers[rq.nheaders++] = "Content-Type: application/x-www-form-urlencoded";
		iov = (struct iovec){ form.data, form.len };
		rq.iov = &iov;
		rq.niov = 1;
	} else {
		(void)buf_str(&url, strchr(c->realm, '?') ? "&" : "?");
		put_request(l, c, &url);
		if (*x->basic) {
			(void)buf_printf(&basic, "Authorization: Basic %s", x->basic);
			headers[rq.nheaders++] = buf_cstr(&basic);
		}
		rq.method = "GET";
		rq.niov = -1;
	}
	rq.url = buf_cstr(&url);
	rq.arg = &text;
	int rc = buf_check(&url, "the address for tokens", e) < 0 ||
	                         buf_check(&form, "the request for a token", e) < 0 ||
	                         buf_check(&basic, "the request for a token", e) < 0
	                 ? -1
	                 : ask(l, &rq, &l->answer, e);
	forget(&form);
	forget(&basic);
	if (rc < 0)
		return err_wrap(e, "asking for a token");
	if (l->answer.status != 200)
		return err_set(e, ERR_DENIED, "its service for tokens answers with status %d",
		               l->answer.status);
	return take_token(l, &text, e);
}

/* After 401: gets what is asked for. ERR_DENIED: it cannot be had. */
static int authorize(struct look *l, struct err *e)
{
	const char *header = http_header(&l->answer, "www-authenticate");
	struct challenge c = challenge_parse(header ? header : "");
	const struct auths_entry *x = entry_of(l);

	forget(&l->auth);
	if (l->asked)
		return err_set(e, ERR_DENIED, "it does not accept %s",
		               *x->basic || *x->token ? "our credentials for it"
		                                      : "that we have no credentials for it");
	l->asked = true;
	if (c.kind == CHALLENGE_BEARER)
		return fetch_token(l, &c, e);
	if (c.kind == CHALLENGE_NONE)
		return err_set(e, ERR_DENIED,
		               "it asks for a kind of credentials that is not "
		               "known here");
	if (!*x->basic)
		return err_set(e, ERR_DENIED, "there are no credentials for it");
	(void)buf_printf(&l->auth, "Authorization: Basic %s", x->basic);
	return buf_check(&l->auth, "credentials", e);
}

/* ---- one image ---- */

static bool loopback(const char *host)
{
	return strncmp(host, "127.", 4) == 0 || strcmp(host, "localhost") == 0 ||
	       strncmp(host, "localhost:", 10) == 0;
}

/* The first request. Nothing in it needs an escape: image_parse() has seen to that. */
static void begin(struct look *l)
{
	const struct image *i = &l->image;
	bool hub = strcmp(i->host, "docker.io") == 0;

	(void)snprintf(l->host, sizeof(l->host), "%s", i->host);
	(void)snprintf(l->url, sizeof(l->url), "%s://%s/v2/%s/manifests/%s",
	               loopback(i->host) ? "http" : "https", hub ? "registry-1.docker.io" : i->host,
	               i->repository, i->reference);
}

/* To where an answer sends us. False: nowhere where we go. */
static bool redirect(struct look *l)
{
	const char *to = http_header(&l->answer, "location");
	char before[HOST_MAX];
	int n;

	if (!to || !*to)
		return false;
	if (to[0] == '/' && to[1] != '/') {
		size_t scheme = strcspn(l->url, "/") + 2;
		char base[URL_MAX];

		(void)snprintf(base, sizeof(base), "%.*s",
		               (int)(scheme + strcspn(l->url + scheme, "/?#")), l->url);
		n = snprintf(l->url, sizeof(l->url), "%s%s", base, to);
		return n > 0 && (size_t)n < sizeof(l->url);
	}
	if (strncmp(to, "https://", 8) != 0)
		return false;
	(void)snprintf(before, sizeof(before), "%s", l->host);
	n = snprintf(l->url, sizeof(l->url), "%s", to);
	size_t host = strcspn(to + 8, "/?#");
	if (n < 0 || (size_t)n >= sizeof(l->url) || host == 0 || host >= sizeof(l->host) ||
	    memchr(to + 8, '@', host))
		return false;
	(void)snprintf(l->host, sizeof(l->host), "%.*s", (int)host, to + 8);
	if (strcmp(before, l->host) != 0) {
		forget(&l->auth);
		l->asked = false;
	}
	return true;
}

/* What an answer of 200 means. */
static int judge_there(const struct look *l, struct registry_result *ret)
{
	const char *digest = http_header(&l->answer, "docker-content-digest");

	if (l->image.digest && digest && strcmp(digest, l->image.reference) != 0)
		return say(ret, REGISTRY_OTHER, "the registry '%s' answers with the digest %.140s",
		           l->image.host, digest);
	*ret = (struct registry_result){ .answer = REGISTRY_THERE };
	return 0;
}

static int denied(const struct look *l, struct registry_result *ret, const char *why)
{
	return say(ret, REGISTRY_DENIED, "the registry '%s' does not tell: %.300s", l->host, why);
}

static int unknown(const struct look *l, struct registry_result *ret, const char *why)
{
	return say(ret, REGISTRY_UNKNOWN, "the registry '%s' cannot be asked: %.300s", l->host,
	           why);
}

/* An error becomes an answer, but for those that end all. */
static int failed(const struct look *l, struct registry_result *ret, const struct err *why,
                  struct err *e)
{
	if (why->class == ERR_NOMEM || why->class == ERR_CANCELLED) {
		*e = *why;
		return -1;
	}
	return why->class == ERR_DENIED ? denied(l, ret, why->msg) : unknown(l, ret, why->msg);
}

/* The next request. 1: another one is to be made; 0: *ret is the answer. */
static int step(struct look *l, struct registry_result *ret, struct err *e)
{
	const char *headers[2] = { ACCEPT };
	struct http_request rq = {
		.method = "HEAD", .url = l->url, .headers = headers, .nheaders = 1, .niov = -1
	};
	struct err why = ERR_INIT;

	if (l->auth.len > 0)
		headers[rq.nheaders++] = buf_cstr(&l->auth);
	if (ask(l, &rq, &l->answer, &why) < 0)
		return failed(l, ret, &why, e);
	switch (l->answer.status) {
	case 200:
		return judge_there(l, ret);
	case 404:
		return say(ret, REGISTRY_MISSING, "the registry '%s' does not have it",
		           l->image.host);
	case 401:
		return authorize(l, &why) < 0 ? failed(l, ret, &why, e) : 1;
	case 403:
		return denied(l, ret,
		              *entry_of(l)->basic || *entry_of(l)->token
		                      ? "our credentials may not read it"
		                      : "there are no credentials for it");
	case 301:
	case 302:
	case 303:
	case 307:
	case 308:
		return redirect(l) ? 1 : unknown(l, ret, "it sends us to where we do not go");
	default:
		(void)err_set(&why, ERR_IO, "it answers with status %d", l->answer.status);
		return failed(l, ret, &why, e);
	}
}

static int look_for(const struct work *w, const char *name, struct registry_result *ret,
                    struct err *e)
{
	CLEANUP(clean_look) struct look *l = calloc(1, sizeof(*l));
	struct err why = ERR_INIT;

	if (!l)
		return err_set(e, ERR_NOMEM, "no memory to ask a registry");
	l->w = w;
	l->auth = BUF_INIT(2 * TOKEN_MAX);
	if (image_parse(name, &l->image, &why) < 0)
		return say(ret, REGISTRY_UNKNOWN, "%.400s", why.msg);
	begin(l);
	for (int i = 0; i < STEPS_MAX; i++) {
		int rc = step(l, ret, e);

		if (rc <= 0)
			return rc;
	}
	return unknown(l, ret, "it asks for more and more");
}

static int each(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct work *w = arg;
	size_t at;

	(void)i;
	while (!atomic_load_explicit(stop, memory_order_relaxed) && team_take(&w->tasks, &at)) {
		if (look_for(w, w->images[at], &w->ret[at], e) < 0)
			return -1;
	}
	return 0;
}

int registry_look(const struct registry_params *p, const char *const *images, size_t n,
                  struct registry_result *ret, struct err *e)
{
	const struct http_params params = { .inflight = REGISTRY_AT_ONCE,
		                            .ca_file = p->ca_file,
		                            .connect_ms = 5000,
		                            .stall_ms = 15000,
		                            .cancel = p->cancel };
	struct work w = { .p = p, .images = images, .ret = ret, .tasks = { .n = n } };

	if (n == 0)
		return 0;
	auto_http struct http *http = http_new(&params, e);
	if (!http)
		return -1;
	w.http = http;
	return team_run((unsigned)(n < REGISTRY_AT_ONCE ? n : REGISTRY_AT_ONCE), "registry", each,
	                &w, e);
}
