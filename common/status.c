/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See status.h; common/server.h serves. A request for metrics waits until a thread has made them,
 * and all that wait then get the same bytes. Those bytes live as long as somebody still reads them;
 * there are a few such at most.
 */
#include "common/status.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/metric.h"
#include "common/now.h"
#include "common/server.h"
#include "common/thread.h"

#define CONNECTIONS 64
#define KEEP_MS 1000
#define ANSWERS_MAX 4 /* texts of metrics in memory at once */
#define NS_MS 1000000

struct status {
	struct status_params params;
	struct server *server;
	pthread_t maker;
	struct server_alive alive; /* metrics, with those that are still being sent */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock */
	bool stop;
	bool wanted, asked;        /* the maker shall make metrics; it is not done with them */
	struct server_reply *kept; /* the last metrics that were good; or NULL */
	int64_t kept_ns;           /* when */
	uint64_t *waiting;         /* requests, as many as connections at most */
	size_t nwaiting;
};

/* ---- metrics ---- */

static void drop_kept_locked(struct status *s)
{
	server_reply_unref(STEAL(&s->kept));
}

static bool is_fresh_locked(const struct status *s)
{
	return s->kept && now_mono_ns() - s->kept_ns <= s->params.keep_ms * NS_MS;
}

/* A connection that was cut has left its request behind: there is always room for the newest. */
static void wait_locked(struct status *s, uint64_t id)
{
	if (s->nwaiting == s->params.connections)
		memmove(s->waiting, s->waiting + 1, --s->nwaiting * sizeof(*s->waiting));
	s->waiting[s->nwaiting++] = id;
}

static struct server_reply *answer_metrics_locked(struct status *s, uint64_t id, bool *later)
{
	if (!s->asked && is_fresh_locked(s))
		return server_reply_ref(s->kept);
	if (!s->asked) {
		drop_kept_locked(s);
		if (atomic_load(&s->alive.n) >= ANSWERS_MAX)
			return server_reply_line(503, "too many clients read older metrics slowly; "
			                              "try again");
		s->asked = s->wanted = true;
		(void)pthread_cond_signal(&s->changed);
	}
	wait_locked(s, id);
	*later = true;
	return NULL;
}

static struct server_reply *make_reply(struct status *s, bool *ret_good)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(s->params.metrics_max);
	struct err e = ERR_INIT;
	size_t n;

	if (s->params.metrics(s->params.arg, &b, &e) < 0 ||
	    buf_check(&b, "the text of the metrics", &e) < 0)
		return server_reply_line(500, e.msg);
	uint8_t *p = buf_steal(&b, &n);
	*ret_good = true;
	return server_reply_bytes(200, "text/plain; version=0.0.4; charset=utf-8", p, n, &s->alive);
}

static void *make(void *arg)
{
	struct status *s = arg;

	(void)pthread_mutex_lock(&s->lock);
	for (;;) {
		while (!s->wanted && !s->stop)
			(void)pthread_cond_wait(&s->changed, &s->lock);
		if (s->stop)
			break;
		s->wanted = false;
		(void)pthread_mutex_unlock(&s->lock);
		bool good = false;
		struct server_reply *r = make_reply(s, &good);

		(void)pthread_mutex_lock(&s->lock);
		s->asked = false;
		for (size_t i = 0; i < s->nwaiting; i++)
			server_tell(s->server, s->waiting[i], r ? server_reply_ref(r) : NULL);
		s->nwaiting = 0;
		drop_kept_locked(s);
		if (good && r) {
			s->kept = server_reply_ref(r);
			s->kept_ns = now_mono_ns();
		}
		server_reply_unref(r);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- other answers ---- */

static struct server_reply *answer_state(struct status *s, int (*fn)(void *arg, struct err *e))
{
	struct err e = ERR_INIT;

	if (fn && fn(s->params.arg, &e) < 0)
		return server_reply_line(503, e.msg);
	return server_reply_line(200, "ok");
}

enum path { PATH_NONE, PATH_METRICS, PATH_HEALTHY, PATH_READY };

static enum path path_of(const char *url)
{
	return strcmp(url, "/metrics") == 0   ? PATH_METRICS
	       : strcmp(url, "/healthz") == 0 ? PATH_HEALTHY
	       : strcmp(url, "/readyz") == 0  ? PATH_READY
	                                      : PATH_NONE;
}

static struct server_reply *answer_none(const struct status *s)
{
	char line[ERR_MSG_MAX];

	if (s->params.paths)
		(void)snprintf(line, sizeof(line),
		               "there are /metrics, /healthz, /readyz and %s here",
		               s->params.paths);
	else
		(void)snprintf(line, sizeof(line), "there are /metrics, /healthz and /readyz here");
	return server_reply_line(404, line);
}

static struct server_reply *answer(void *arg, const struct server_request *q, bool *later)
{
	struct status *s = arg;
	const enum path path = path_of(q->path);
	char line[ERR_MSG_MAX] = "";
	unsigned own = 0;

	if (path == PATH_NONE && s->params.path)
		own = s->params.path(s->params.arg, q->path, line);
	if (path == PATH_NONE && own == 0)
		return answer_none(s);
	if (!q->reads)
		return server_reply_line(405, "only GET and HEAD are done here");
	if (own > 0)
		return server_reply_line(own, line);
	if (path != PATH_METRICS)
		return answer_state(s, path == PATH_READY ? s->params.ready : s->params.healthy);
	(void)pthread_mutex_lock(&s->lock);
	struct server_reply *r = answer_metrics_locked(s, q->id, later);
	(void)pthread_mutex_unlock(&s->lock);
	return r;
}

/* ---- start and stop ---- */

static void free_status(struct status *s)
{
	drop_kept_locked(s);
	(void)pthread_cond_destroy(&s->changed);
	(void)pthread_mutex_destroy(&s->lock);
	free(s->waiting);
	free(s);
}

static void end_maker(struct status *s)
{
	(void)pthread_mutex_lock(&s->lock);
	s->stop = true;
	(void)pthread_cond_signal(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
	(void)pthread_join(s->maker, NULL);
}

static int start(struct status *s, const char *listen, struct err *e)
{
	const struct server_params params = { .listen = listen,
		                              .name = "status",
		                              .connections = s->params.connections,
		                              .address_connections = s->params.address_connections,
		                              .request_s = s->params.request_s,
		                              .answer = answer,
		                              .arg = s };

	s->waiting = calloc(s->params.connections, sizeof(*s->waiting));
	if (!s->waiting)
		return err_set(e, ERR_NOMEM, "no memory for the status server");
	if (server_start(&params, &s->server, e) < 0)
		return -1;
	/* It tells the server, which has to be there. */
	if (thread_start(&s->maker, make, s, "status-metrics", e) < 0) {
		server_stop(s->server);
		return -1;
	}
	return 0;
}

int status_start(const struct status_params *params, struct status **ret, struct err *e)
{
	struct status *s = calloc(1, sizeof(*s));

	assert(params->listen && params->metrics);
	if (!s)
		return err_set(e, ERR_NOMEM, "no memory for the status server");
	s->params = *params;
	s->params.listen = NULL;
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_cond_init(&s->changed, NULL);
	if (!params->connections)
		s->params.connections = CONNECTIONS;
	if (!params->keep_ms)
		s->params.keep_ms = KEEP_MS;
	if (!params->metrics_max)
		s->params.metrics_max = METRIC_TEXT_MAX;
	if (start(s, params->listen, e) < 0) {
		free_status(s);
		return err_wrap(e, "starting the status server");
	}
	*ret = s;
	return 0;
}

uint16_t status_port(const struct status *s)
{
	return server_port(s->server);
}

void status_stop(struct status *s)
{
	if (!s)
		return;
	end_maker(s);
	server_stop(s->server);
	free_status(s);
}
