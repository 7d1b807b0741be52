/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a bucket's replication is, without reading the copy: each object
 * says of itself whether it has been replicated (x-amz-replication-status in
 * the answer to a HEAD). Those that are not yet known to be are asked, some at
 * a time. An object that says nothing was stored before there was a rule, so
 * it lacks in the copy.
 *
 * Times are whole seconds. What was received in the same second as an object
 * that lacks may have come after it, so the cut is just before that second.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/team.h"
#include "store/s3_impl.h"

#define NS_PER_S INT64_C(1000000000)
#define BATCH 2048 /* objects that are gathered */
#define THREADS 16 /* that ask of them */

struct asked {
	char *key;
	int64_t received_ns;
};

struct survey {
	struct s3 *s;
	int64_t since_ns;
	struct asked *batch;
	size_t n;
	struct team_tasks tasks;
	pthread_mutex_t lock;
	uint64_t lacking;  /* guarded by lock, as what follows */
	int64_t oldest_ns; /* of those */
	bool any_status;   /* some object knows of replication */
	bool any_failed;
};

enum status { STATUS_NONE, STATUS_THERE, STATUS_PENDING, STATUS_FAILED, STATUS_GONE };

static int status_of(struct s3 *s, const char *key, enum status *ret, struct err *e)
{
	struct err why = ERR_INIT;

	auto_s3_ask struct s3_ask *x = s3_ask_new(s, CALL_HEAD, "HEAD", key, e);
	if (!x)
		return -1;
	if (s3_ask_send(x, &why) < 0) {
		*ret = STATUS_GONE;
		if (why.class == ERR_NOT_FOUND)
			return 0;
		*e = why;
		return -1;
	}
	const char *text = http_header(&x->answer, "x-amz-replication-status");
	if (!text)
		*ret = STATUS_NONE;
	else if (strcmp(text, "COMPLETED") == 0 || strcmp(text, "COMPLETE") == 0 ||
	         strcmp(text, "REPLICA") == 0)
		*ret = STATUS_THERE;
	else
		*ret = strcmp(text, "FAILED") == 0 ? STATUS_FAILED : STATUS_PENDING;
	return 0;
}

static int ask_some(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct survey *v = arg;
	size_t at;

	(void)i;
	while (!atomic_load(stop) && team_take(&v->tasks, &at)) {
		const struct asked *o = &v->batch[at];
		enum status status;

		if (status_of(v->s, o->key, &status, e) < 0)
			return -1;
		if (status == STATUS_GONE)
			continue;
		(void)pthread_mutex_lock(&v->lock);
		v->any_status |= status != STATUS_NONE;
		v->any_failed |= status == STATUS_FAILED;
		if (status != STATUS_THERE) {
			v->lacking++;
			if (o->received_ns < v->oldest_ns)
				v->oldest_ns = o->received_ns;
		}
		(void)pthread_mutex_unlock(&v->lock);
	}
	return 0;
}

static void batch_empty(struct survey *v)
{
	for (size_t i = 0; i < v->n; i++)
		free(v->batch[i].key);
	v->n = 0;
}

static int batch_ask(struct survey *v, struct err *e)
{
	if (v->n == 0)
		return 0;
	v->tasks = (struct team_tasks){ .n = v->n };
	int r = team_run(THREADS, "s3-replication", ask_some, v, e);
	batch_empty(v);
	return r;
}

static int see(void *arg, const struct store_item *item, struct err *e)
{
	struct survey *v = arg;

	if (item->st.received_ns <= v->since_ns)
		return 0;
	char *key = strdup(item->key);
	if (!key)
		return s3_no_memory(e);
	v->batch[v->n++] = (struct asked){ key, item->st.received_ns };
	return v->n == BATCH ? batch_ask(v, e) : 0;
}

/* 1: there is a rule; 0: there is none, nor a service that knows of rules; 2: we may not know. */
static int has_rule(struct s3 *s, int64_t *ret_at_ns, struct err *e)
{
	struct err why = ERR_INIT;

	auto_s3_ask struct s3_ask *x = s3_ask_new(s, CALL_HEAD, "GET", NULL, e);
	if (!x)
		return -1;
	wire_query(&x->w, "replication", "");
	x->answer.date_s = 0;
	int r = s3_ask_send(x, &why);
	*ret_at_ns = x->answer.date_s * NS_PER_S;
	if (r == 0)
		return 1;
	if (strcmp(x->code, "AccessDenied") == 0)
		return 2;
	if ((why.class == ERR_IO && strcmp(x->code, "NoSuchBucket") != 0) ||
	    why.class == ERR_NOT_FOUND || why.class == ERR_UNSUPPORTED)
		return 0;
	*e = why;
	return -1;
}

int s3_cut(struct store *base, int64_t since_ns, struct store_cut *ret, struct err *e)
{
	struct survey v = { .s = (struct s3 *)base,
		            .since_ns = since_ns,
		            .lock = PTHREAD_MUTEX_INITIALIZER,
		            .oldest_ns = INT64_MAX };
	int64_t at_ns = 0;

	*ret = (struct store_cut){ .kind = CUT_NONE };
	int rule = has_rule(v.s, &at_ns, e);
	if (rule <= 0)
		return rule;
	v.batch = calloc(BATCH, sizeof(*v.batch));
	if (!v.batch)
		return s3_no_memory(e);
	int r = s3_list(base, "", "", see, &v, e);
	if (r == 0)
		r = batch_ask(&v, e);
	batch_empty(&v);
	free(v.batch);
	if (r < 0)
		return -1;
	if (rule == 2 && !v.any_status)
		return 0; /* nothing that could be asked knows of any replication */
	ret->kind = at_ns > 0 ? CUT_REPLICATION : CUT_UNKNOWN;
	ret->at_ns = at_ns;
	ret->behind = v.lacking;
	if (at_ns > 0)
		ret->cut_ns = (v.oldest_ns < at_ns ? v.oldest_ns : at_ns) - 1;
	(void)snprintf(ret->status, sizeof(ret->status), "%s",
	               v.any_failed    ? "FAILED"
	               : v.lacking > 0 ? "PENDING"
	                               : "COMPLETED");
	return 0;
}
