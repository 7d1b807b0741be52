/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See serve.h. The thread that looks owns the repository; the lock is held to copy, never to
 * ask.
 */
#include "restore/serve.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metric.h"
#include "common/now.h"
#include "common/num.h"
#include "repo/fence.h"

#define RETRY_MS 2000 /* a look is tried again for so long, and then the next one is due */
#define NS_S ((int64_t)1000000000)

/* ---- the decision ---- */

bool serve_decide(const struct serve_facts *f, char line[ERR_MSG_MAX])
{
	const bool told = f->owner.n > 0;

	if (strcmp(told ? f->owner.cluster : f->primary, f->cluster) != 0) {
		if (told)
			(void)snprintf(line, ERR_MSG_MAX,
			               "plan '%s' is served by '%s' since %s, and not by '%s'",
			               f->plan, f->owner.cluster, now_rfc3339(f->owner.at_ns).s,
			               f->cluster);
		else
			(void)snprintf(line, ERR_MSG_MAX,
			               "plan '%s' is served by its primary '%s', and not by '%s'",
			               f->plan, f->primary, f->cluster);
		return false;
	}
	if (f->fenced_ns != 0) {
		(void)snprintf(line, ERR_MSG_MAX,
		               "%s%s%scluster '%s' was fenced on %s, and no later record says that "
		               "it serves plan '%s'",
		               f->fenced ? "namespace '" : "", f->fenced ? f->fenced : "",
		               f->fenced ? "' of " : "", f->cluster, now_rfc3339(f->fenced_ns).s,
		               f->plan);
		return false;
	}
	(void)snprintf(line, ERR_MSG_MAX, "plan '%s' is served by '%s'", f->plan, f->cluster);
	return true;
}

/* ---- the look-out ---- */

struct plan {
	struct serve_plan p;
	/* of the thread that looks */
	struct chain chain;
	struct owner owner;
	/* guarded by lock */
	bool served;
	uint64_t record; /* the newest one; 0: there is none */
	char line[ERR_MSG_MAX];
};

struct serve {
	struct serve_params params;
	struct plan *plans;
	/* of the thread that looks */
	struct store *store;
	struct repo *repo;
	uint64_t next_config; /* the revision that is looked for */

	pthread_mutex_t lock;
	/* guarded by lock */
	bool known;      /* the store was read once */
	bool away;       /* it was the second region that answered last */
	int64_t read_ns; /* when the store was read last */
	uint64_t looks, failures, requests;
	uint64_t epoch;
};

static int64_t real_now(void *arg)
{
	(void)arg;
	return now_mono_ns();
}

int serve_new(const struct serve_params *params, struct serve **ret, struct err *e)
{
	if (params->nplans == 0 || params->nplans > SERVE_PLANS_MAX)
		return err_set(e, ERR_INVALID, "give the names of 1 to %d plans", SERVE_PLANS_MAX);
	if (!params->cluster[0] || strlen(params->cluster) >= POINT_NAME_MAX)
		return err_set(e, ERR_INVALID, "the name of this cluster is missing, or too long");
	for (size_t i = 0; i < params->nplans; i++) {
		const struct serve_plan *p = &params->plans[i];

		if (owner_check_plan(p->name, e) < 0)
			return -1;
		for (size_t n = 0; n < i; n++) {
			if (strcmp(params->plans[n].name, p->name) == 0)
				return err_set(e, ERR_INVALID, "plan '%s' is given twice", p->name);
		}
	}
	CLEANUP(clean_serve) struct serve *s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, ERR_NOMEM, "no memory for the plans");
	(void)pthread_mutex_init(&s->lock, NULL);
	s->params = *params;
	s->params.plans = NULL;
	if (!s->params.now_ns)
		s->params.now_ns = real_now;
	s->plans = calloc(params->nplans, sizeof(*s->plans));
	if (!s->plans)
		return err_set(e, ERR_NOMEM, "no memory for the plans");
	for (size_t i = 0; i < params->nplans; i++)
		s->plans[i].p = params->plans[i];
	*ret = STEAL(&s);
	return 0;
}

void serve_free(struct serve *s)
{
	if (!s)
		return;
	repo_free(s->repo);
	store_free(s->store);
	free(s->plans);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

/* Opens the repository as it is now, instead of as it was before. */
static int open_repo(struct serve *s, struct err *e)
{
	const struct serve_params *p = &s->params;
	const struct store_retry_params retry = { .budget_ms = RETRY_MS,
		                                  .longest_ms = RETRY_MS / 4,
		                                  .cancel = p->cancel };
	auto_keys struct keys *keys = NULL;
	struct repo *r = NULL;

	if (!s->store) {
		s->store = store_open_retry(p->store, STORE_READONLY | STORE_FAIL_OVER, &retry, e);
		if (!s->store)
			return err_wrap(e, "opening the store");
	}
	if (keys_load(p->key, p->passphrase_file, &keys, e) < 0 ||
	    repo_open(s->store, STEAL(&keys), p->state, p->cancel, &r, e) < 0)
		return -1;
	repo_free(s->repo);
	s->repo = r;
	s->next_config = r->config.revision + 1;
	for (size_t i = 0; i < p->nplans; i++) {
		struct plan *x = &s->plans[i];

		if (!x->chain.next && owner_open(r, x->p.name, &x->chain, e) < 0)
			return -1;
	}
	return 0;
}

/* The next revision, if there is one: fences may have changed. */
static int look_at_config(struct serve *s, struct err *e)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(CONFIG_OBJECT_MAX);
	CLEANUP(config_clear) struct config newer = { 0 };
	struct err why = ERR_INIT;
	char key[32];

	config_key(s->next_config, key);
	if (store_get_all(s->store, key, &object, &why) < 0) {
		if (why.class == ERR_NOT_FOUND)
			return 0;
		/* One that is too long is none of ours. */
		if (why.class != ERR_TOO_BIG) {
			*e = why;
			return err_wrap(e, "looking for a new revision of the config");
		}
	}
	int rc = config_newer(s->store, s->repo->keys, s->repo->config.revision, &newer, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return open_repo(s, e);
	/* What stands there does not count, and a revision takes the next number that is free. */
	s->next_config++;
	return 0;
}

/* A fence of the cluster, or of a namespace of the plan in it. */
static int look_for_fence(const struct serve *s, const struct plan *x, struct serve_facts *f,
                          struct err *e)
{
	struct point_volume us = { .name = "" };
	const struct fence *over;

	(void)snprintf(us.cluster, sizeof(us.cluster), "%s", s->params.cluster);
	if (fence_over(s->repo, &us, x->owner.epoch, &over, e) < 0)
		return -1;
	for (size_t i = 0; !over && i < x->p.nnamespaces; i++) {
		f->fenced = x->p.namespaces[i];
		(void)snprintf(us.namespace, sizeof(us.namespace), "%s", f->fenced);
		if (fence_over(s->repo, &us, x->owner.epoch, &over, e) < 0)
			return -1;
	}
	f->fenced_ns = over ? over->at_ns : 0;
	return 0;
}

static int decide(struct serve *s, struct plan *x, struct err *e)
{
	struct serve_facts f = {
		.plan = x->p.name,
		.cluster = s->params.cluster,
		.primary = x->p.primary,
		.owner = x->owner,
	};
	char line[ERR_MSG_MAX];

	if (look_for_fence(s, x, &f, e) < 0)
		return -1;
	const bool served = serve_decide(&f, line);
	(void)pthread_mutex_lock(&s->lock);
	const bool news = !x->line[0] || served != x->served;
	x->served = served;
	x->record = x->owner.n;
	memcpy(x->line, line, sizeof(line));
	(void)pthread_mutex_unlock(&s->lock);
	if (news)
		log_info(served ? "traffic: served here" : "traffic: not served here",
		         LOG_S("plan", x->p.name), LOG_S("why", line));
	return 0;
}

static int look(struct serve *s, struct err *e)
{
	if (!s->repo ? open_repo(s, e) < 0 : look_at_config(s, e) < 0)
		return -1;
	for (size_t i = 0; i < s->params.nplans; i++) {
		struct plan *x = &s->plans[i];

		if (owner_newest(s->repo, &x->chain, &x->owner, e) < 0)
			return err_wrap(e, "plan '%s'", x->p.name);
		if (decide(s, x, e) < 0)
			return -1;
	}
	return 0;
}

int serve_look(struct serve *s, struct err *e)
{
	int rc = look(s, e);
	const bool away = s->store && store_away(s->store);

	(void)pthread_mutex_lock(&s->lock);
	s->looks++;
	s->failures += rc < 0;
	s->away = away;
	s->requests = s->store ? store_requests(s->store) : 0;
	if (rc == 0) {
		/* A second region may be behind: what it says counts, and is as old as before. */
		if (!away || !s->known)
			s->read_ns = s->params.now_ns(s->params.arg);
		s->known = true;
		s->epoch = fence_epoch(s->repo);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return rc;
}

/* ---- what is told ---- */

static int64_t age_ns_locked(const struct serve *s)
{
	return s->params.now_ns(s->params.arg) - s->read_ns;
}

/* NULL: what is known counts; else why it does not. */
static const char *unknown_locked(const struct serve *s, char line[ERR_MSG_MAX])
{
	if (!s->known)
		return "the store was not read yet";
	if (s->params.max_age_s == 0 || age_ns_locked(s) <= s->params.max_age_s * NS_S)
		return NULL;
	(void)snprintf(line, ERR_MSG_MAX, "the store was not read for %s",
	               num_duration_text(age_ns_locked(s) / NS_S).s);
	return line;
}

unsigned serve_path(void *serve, const char *path, char line[ERR_MSG_MAX])
{
	struct serve *s = serve;
	const size_t n = strlen(SERVE_PATH);
	unsigned status = 0;

	if (strncmp(path, SERVE_PATH, n) != 0)
		return 0;
	(void)pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->params.nplans && status == 0; i++) {
		const struct plan *x = &s->plans[i];
		char text[ERR_MSG_MAX];

		if (strcmp(x->p.name, path + n) != 0)
			continue;
		const char *why = unknown_locked(s, text);
		status = !why && x->served ? 200 : 503;
		(void)snprintf(line, ERR_MSG_MAX, "%s", why ? why : x->line);
	}
	(void)pthread_mutex_unlock(&s->lock);
	if (status > 0)
		return status;
	(void)snprintf(line, ERR_MSG_MAX, "there is no such plan here");
	return 404;
}

int serve_ready(void *serve, struct err *e)
{
	struct serve *s = serve;

	(void)pthread_mutex_lock(&s->lock);
	const bool known = s->known;
	(void)pthread_mutex_unlock(&s->lock);
	return known ? 0 : err_set(e, ERR_BUSY, "the store was not read yet");
}

int serve_metrics(void *serve, struct buf *b, struct err *e)
{
	struct serve *s = serve;

	(void)e;
	(void)pthread_mutex_lock(&s->lock);
	const bool unknown = !s->known;
	metric_family(b, "aksdr_traffic_served", METRIC_GAUGE,
	              "Whether this cluster serves the plan.");
	for (size_t i = 0; i < s->params.nplans; i++) {
		const struct metric_label label = { "plan", s->plans[i].p.name };
		char line[ERR_MSG_MAX];

		metric_sample(b, "aksdr_traffic_served", &label, 1,
		              s->plans[i].served && !unknown_locked(s, line));
	}
	metric_family(b, "aksdr_traffic_record", METRIC_GAUGE,
	              "Number of the newest record of who serves the plan; 0: there is none.");
	for (size_t i = 0; i < s->params.nplans; i++) {
		const struct metric_label label = { "plan", s->plans[i].p.name };

		metric_sample(b, "aksdr_traffic_record", &label, 1, (double)s->plans[i].record);
	}
	if (!unknown) {
		metric_family(b, "aksdr_traffic_age_seconds", METRIC_GAUGE,
		              "Time since the store was read, from which the answers are.");
		metric_sample(b, "aksdr_traffic_age_seconds", NULL, 0,
		              (double)age_ns_locked(s) / NS_S);
		metric_family(b, "aksdr_traffic_epoch", METRIC_GAUGE,
		              "How often the repository's fences were changed.");
		metric_sample(b, "aksdr_traffic_epoch", NULL, 0, (double)s->epoch);
	}
	metric_family(b, "aksdr_traffic_away", METRIC_GAUGE,
	              "Whether the second region answered instead of the first.");
	metric_sample(b, "aksdr_traffic_away", NULL, 0, s->away);
	metric_family(b, "aksdr_traffic_looks_total", METRIC_COUNTER, "Looks at the store.");
	metric_sample(b, "aksdr_traffic_looks_total", NULL, 0, (double)s->looks);
	metric_family(b, "aksdr_traffic_failed_looks_total", METRIC_COUNTER,
	              "Looks at the store that failed.");
	metric_sample(b, "aksdr_traffic_failed_looks_total", NULL, 0, (double)s->failures);
	metric_family(b, "aksdr_traffic_requests_total", METRIC_COUNTER, "Requests to the store.");
	metric_sample(b, "aksdr_traffic_requests_total", NULL, 0, (double)s->requests);
	(void)pthread_mutex_unlock(&s->lock);
	return 0;
}
