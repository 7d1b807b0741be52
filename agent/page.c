/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See page.h. A request goes from the thread that serves (who is it, as far as is known) to the one
 * that asks, if nothing is known, and to the one that makes pages. A token is in locked memory
 * until it was asked for, and nowhere else.
 */
#include "agent/page.h"

#include <assert.h>
#include <string.h>

#include "agent/verdicts.h"
#include "common/html.h"
#include "common/log.h"
#include "common/now.h"
#include "common/queue.h"
#include "common/secret.h"
#include "common/server.h"
#include "common/thread.h"
#include "common/visitor.h"
#include "kube/review.h"

#define REQUEST_S 60
#define CONNECTIONS 32
#define ASKS_MAX 16
#define MAKES_MAX 16
#define PAGES_BYTES (8 * MIB) /* of all that are being sent: no further one is made then */
#define MAKE_NS (45 * INT64_C(1000000000)) /* for a page */
#define WAIT_NS (REQUEST_S * INT64_C(1000000000))
#define AGAIN_S "5"

/* A request on its way. */
struct job {
	uint64_t id;
	int64_t until_ns; /* then its client was let go */
	struct verdicts_id who;
	char user[VERDICTS_USER_MAX];
	char path[64]; /* for the log */
	struct site_request site;
	struct err wrong; /* class NONE: there is such a page */
	char *token;      /* secret; NULL: it is known who asks */
};

struct page {
	struct page_params params;
	struct server *server;
	struct queue asks, makes;
	pthread_t asker, maker;
	bool asking, making;       /* they were started */
	struct server_alive alive; /* pages */
	bool failed;               /* of the thread that asks: it could not, the last time */
	char csp[256];

	pthread_mutex_t lock;
	struct verdicts verdicts; /* guarded by lock */
};

static void job_free(struct job *j)
{
	if (!j)
		return;
	secret_free(j->token);
	free(j);
}

static void clean_job(struct job *const *j)
{
	job_free(*j);
}
#define auto_job CLEANUP(clean_job)

/* ---- answers ---- */

/* What no answer is without, whoever gets it. */
static struct server_reply *guarded(const struct page *p, struct server_reply *r)
{
	server_reply_add(r, "Content-Security-Policy", p->csp);
	server_reply_add(r, "X-Content-Type-Options", "nosniff");
	server_reply_add(r, "X-Frame-Options", "DENY");
	server_reply_add(r, "Referrer-Policy", "no-referrer");
	server_reply_add(r, "Cross-Origin-Resource-Policy", "same-origin");
	return r;
}

static struct server_reply *say(const struct page *p, unsigned status, const char *line)
{
	struct server_reply *r = guarded(p, server_reply_line(status, line));

	if (status == 401) {
		/* A browser asks for a name and a password; the name is ignored. */
		server_reply_add(r, "WWW-Authenticate",
		                 "Basic realm=\"aksdr: the password is a token of the cluster\", "
		                 "charset=\"UTF-8\"");
		server_reply_add(r, "WWW-Authenticate", "Bearer realm=\"aksdr\"");
	}
	if (status == 503)
		server_reply_add(r, "Retry-After", AGAIN_S);
	return r;
}

static struct server_reply *say_refused(const struct page *p, enum verdict verdict,
                                        const char *user)
{
	char line[ERR_MSG_MAX];

	if (verdict == VERDICT_STRANGER)
		return say(p, 401,
		           "the API server knows nobody by this token, or it has expired: "
		           "'kubectl create token' makes one");
	(void)snprintf(line, sizeof(line),
	               "'%s' may not see this page: it takes the verb get of the URL " PAGE_URL
	               ", which the chart's ClusterRole '...-page-reader' gives: an administrator "
	               "binds it",
	               user);
	return say(p, 403, line);
}

static unsigned status_of(const struct err *e)
{
	switch (e->class) {
	case ERR_NOT_FOUND:
		return 404;
	case ERR_INVALID:
		return 400;
	case ERR_BUSY:
	case ERR_RETRY:
	case ERR_CANCELLED:
	case ERR_TOO_BIG:
		return 503;
	default:
		return 500;
	}
}

/* ---- making pages ---- */

static struct server_reply *make_reply(struct page *p, const struct job *j)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(SITE_PAGE_MAX);
	struct err e = j->wrong;
	const int64_t end_ns = now_mono_ns() + MAKE_NS;
	size_t n;

	if (e.class != ERR_NONE)
		return say(p, status_of(&e), e.msg);
	if (atomic_load(&p->alive.bytes) >= PAGES_BYTES)
		return say(p, 503, "too many clients read their pages slowly; try again");
	if (p->params.make(p->params.arg, &j->site, j->until_ns < end_ns ? j->until_ns : end_ns, &b,
	                   &e) < 0 ||
	    buf_check(&b, "the page", &e) < 0) {
		if (status_of(&e) == 500)
			log_warn("a page was not made", LOG_S("path", j->path),
			         LOG_S("why", e.msg));
		return say(p, status_of(&e), e.msg);
	}
	uint8_t *bytes = buf_steal(&b, &n);
	log_info("a page was shown", LOG_S("user", j->user), LOG_S("path", j->path));
	return guarded(p, server_reply_bytes(200, "text/html; charset=utf-8", bytes, n, &p->alive));
}

static void *make_pages(void *arg)
{
	struct page *p = arg;
	struct job *next;

	while ((next = queue_pop(&p->makes))) {
		auto_job struct job *j = next;

		if (now_mono_ns() < j->until_ns)
			server_tell(p->server, j->id, make_reply(p, j));
	}
	return NULL;
}

/* Takes the job. NULL: its answer comes later. */
static struct server_reply *want_page(struct page *p, struct job *take_j)
{
	if (queue_try_push(&p->makes, take_j))
		return NULL;
	job_free(take_j);
	return say(p, 503, "too many pages are wanted at once; try again");
}

/* ---- asking the API server ---- */

static int ask(struct page *p, struct job *j, enum verdict *ret, struct err *e)
{
	auto_json json_t *person = NULL;
	bool allowed = false;

	*ret = VERDICT_STRANGER;
	if (review_bearer(p->params.kube, j->token, p->params.audience, &person, e) < 0)
		return -1;
	if (!person)
		return 0;
	(void)snprintf(j->user, sizeof(j->user), "%s", kube_text_at(person, "username"));
	if (review_url(p->params.kube, person, "get", PAGE_URL, &allowed, e) < 0)
		return -1;
	*ret = allowed ? VERDICT_ALLOWED : VERDICT_FORBIDDEN;
	return 0;
}

static enum verdict known(struct page *p, struct job *j)
{
	(void)pthread_mutex_lock(&p->lock);
	const enum verdict v = verdicts_find(&p->verdicts, &j->who, now_mono_ns(), j->user);
	(void)pthread_mutex_unlock(&p->lock);
	return v;
}

/* Takes the job. NULL: its answer comes later. */
static struct server_reply *decide(struct page *p, struct job *take_j)
{
	auto_job struct job *j = take_j;
	struct err e = ERR_INIT;
	/* A request before this one may have been of the same token. */
	enum verdict verdict = known(p, j);

	if (verdict == VERDICT_NONE) {
		const bool failed = ask(p, j, &verdict, &e) < 0;

		/* Anybody can make it fail again and again: the first time is told. */
		if (failed && !p->failed && e.class != ERR_CANCELLED)
			log_warn("who asks for a page cannot be found out", LOG_S("why", e.msg));
		p->failed = failed;
		if (failed)
			return say(p, 503,
			           "the API server cannot be asked who you are; the agent's log "
			           "says why");
		(void)pthread_mutex_lock(&p->lock);
		verdicts_put(&p->verdicts, &j->who, verdict, j->user, now_mono_ns());
		(void)pthread_mutex_unlock(&p->lock);
		if (verdict == VERDICT_FORBIDDEN)
			log_warn("a page was refused", LOG_S("user", j->user),
			         LOG_S("path", j->path));
	}
	secret_free(STEAL(&j->token));
	if (verdict != VERDICT_ALLOWED)
		return say_refused(p, verdict, j->user);
	return want_page(p, STEAL(&j));
}

static void *ask_who(void *arg)
{
	struct page *p = arg;
	struct job *j;

	while ((j = queue_pop(&p->asks))) {
		const uint64_t id = j->id;

		if (now_mono_ns() >= j->until_ns) {
			job_free(j);
			continue;
		}
		struct server_reply *r = decide(p, j);
		if (r)
			server_tell(p->server, id, r);
	}
	return NULL;
}

/* ---- requests, in the thread that serves ---- */

static int on_argument(void *arg, const char *name, const char *value)
{
	struct job *j = arg;

	return site_argument(&j->site, name, value, &j->wrong);
}

static struct job *job_new(const struct server_request *q)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->id = q->id;
	j->until_ns = now_mono_ns() + WAIT_NS;
	(void)snprintf(j->path, sizeof(j->path), "%s", q->path);
	if (site_path(q->path, &j->site, &j->wrong) == 0)
		(void)server_arguments(q, on_argument, j);
	return j;
}

/* The token of the request; NULL: there is none, and *ret_reply says so. */
static char *token_of(struct page *p, const struct server_request *q,
                      struct server_reply **ret_reply)
{
	const char *given = NULL;
	struct err e = ERR_INIT;
	const unsigned n = server_header(q, "Authorization", &given);

	if (n != 1) {
		*ret_reply = n == 0 ? say(p, 401, "this page is for those who have a token")
		                    : say(p, 400, "there is more than one Authorization");
		return NULL;
	}
	char *token = secret_new(VISITOR_TOKEN_MAX);
	if (!token)
		return NULL;
	if (visitor_token(given, token, &e) == 0)
		return token;
	secret_free(token);
	*ret_reply = say(p, 401, e.msg);
	return NULL;
}

/* Takes the token. */
static struct server_reply *answer_who(struct page *p, const struct server_request *q,
                                       char *take_token)
{
	auto_secret char *token = take_token;
	auto_job struct job *j = job_new(q);

	if (!j)
		return say(p, 503, "there is no memory for a request; try again");
	j->who = verdicts_id(&p->verdicts, token); /* its key is constant */
	const enum verdict verdict = known(p, j);
	if (verdict == VERDICT_ALLOWED)
		return want_page(p, STEAL(&j));
	if (verdict != VERDICT_NONE)
		return say_refused(p, verdict, j->user);
	j->token = STEAL(&token);
	if (!queue_try_push(&p->asks, j))
		return say(p, 503, "too many want to be let in at once; try again");
	(void)STEAL(&j);
	return NULL;
}

static struct server_reply *answer_asked(struct page *p, const struct server_request *q,
                                         bool *later)
{
	struct server_reply *r = NULL;
	const char *host = NULL;

	if (server_header(q, "Host", &host) != 1 || !visitor_host(host, p->params.hosts))
		return say(p, 421,
		           "this page is of localhost, and of the names that --page-hosts "
		           "has, alone");
	if (!q->reads)
		return say(p, 405, "only GET and HEAD are done here");
	char *token = token_of(p, q, &r);
	if (!token)
		return r;
	r = answer_who(p, q, token);
	*later = r == NULL;
	return r;
}

static struct server_reply *answer(void *arg, const struct server_request *q, bool *later)
{
	struct server_reply *r = answer_asked(arg, q, later);

	server_forget(q, "Authorization");
	return r;
}

/* ---- start and stop ---- */

static void free_page(struct page *p)
{
	struct job *j;

	queue_close(&p->asks);
	queue_close(&p->makes);
	if (p->asking)
		(void)pthread_join(p->asker, NULL);
	if (p->making)
		(void)pthread_join(p->maker, NULL);
	server_stop(p->server);
	while ((j = queue_try_pop(&p->asks)) || (j = queue_try_pop(&p->makes)))
		job_free(j);
	queue_clear(&p->asks);
	queue_clear(&p->makes);
	(void)pthread_mutex_destroy(&p->lock);
	free(p);
}

static int start(struct page *p, struct err *e)
{
	const struct server_params server = { .listen = p->params.listen,
		                              .name = "page",
		                              .loopback = true,
		                              .connections = CONNECTIONS,
		                              .address_connections = CONNECTIONS,
		                              .request_s = REQUEST_S,
		                              .answer = answer,
		                              .arg = p };

	if (server_start(&server, &p->server, e) < 0 ||
	    thread_start(&p->asker, ask_who, p, "page-asks", e) < 0)
		return -1;
	p->asking = true;
	if (thread_start(&p->maker, make_pages, p, "page-makes", e) < 0)
		return -1;
	p->making = true;
	return 0;
}

int page_start(const struct page_params *params, struct page **ret, struct err *e)
{
	struct page *p = calloc(1, sizeof(*p));

	assert(params->listen && params->kube && params->make);
	if (!p || queue_init(&p->asks, ASKS_MAX) < 0) {
		free(p);
		return err_set(e, ERR_NOMEM, "no memory for the page");
	}
	if (queue_init(&p->makes, MAKES_MAX) < 0) {
		queue_clear(&p->asks);
		free(p);
		return err_set(e, ERR_NOMEM, "no memory for the page");
	}
	p->params = *params;
	(void)pthread_mutex_init(&p->lock, NULL);
	verdicts_init(&p->verdicts);
	(void)snprintf(p->csp, sizeof(p->csp), "%s; frame-ancestors 'none'", html_csp().s);
	if (start(p, e) < 0) {
		free_page(p);
		return err_wrap(e, "starting the page");
	}
	*ret = p;
	return 0;
}

uint16_t page_port(const struct page *p)
{
	return server_port(p->server);
}

void page_stop(struct page *p)
{
	if (p)
		free_page(p);
}
