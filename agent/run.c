/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's main loop, which waits for changes of the cluster, for processes, and for the time
 * that the planner names. All decisions are the planner's; here is what they do.
 */
#include "agent/run.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "agent/run_impl.h"
#include "agent/run_keep.h"
#include "catalog/metrics.h"
#include "common/status.h"
#include "agent/tell.h"
#include "common/log.h"
#include "common/metric.h"
#include "common/now.h"
#include "store/traffic.h"

#define BUDGET_MS 15000 /* of one request, which the end of the agent may have to wait for */
#define LOOK_MS 30000   /* at least so often */
#define DEAF_NS (300 * 1000000000LL) /* a main loop that was not there for so long hangs */
#define BEGIN_MAX 16                 /* commands of one step */

/* ---- what began and ended ---- */

static void tell(struct run *r, const char *ns, const char *name, const char *uid,
                 enum tell_outcome outcome, const char *why)
{
	struct tell t = { .outcome = outcome, .why = why };
	struct err e = ERR_INIT;

	t.ns = ns;
	t.name = name;
	t.uid = uid;
	if (tell_claim(r->kube, r->events, &t, &e) < 0)
		log_warn("an event was not told", LOG_S("claim", name), LOG_S("why", e.msg));
}

static enum planner_end meaning(const struct runner_end *end)
{
	if (end->status == EXIT_OK || end->status == EXIT_PARTIAL)
		return PLANNER_DONE;
	return end->status == EXIT_FENCED ? PLANNER_BUSY : PLANNER_FAILED;
}

/* The claim of "NAMESPACE/NAME"; with the lock. */
static struct world_claim *claim_of_locked(struct run *r, const char *name)
{
	const char *slash = strchr(name, '/');
	char ns[64];

	(void)snprintf(ns, sizeof(ns), "%.*s", (int)(slash - name), name);
	return world_claim(r->world, ns, slash + 1);
}

static void ended_one(struct run *r, const struct runner_end *end, const char *name,
                      enum planner_end how, const char *why)
{
	const char *slash = strchr(name, '/');
	char ns[64], uid[64] = "";

	(void)snprintf(ns, sizeof(ns), "%.*s", (int)(slash - name), name);
	pthread_mutex_lock(&r->lock);
	struct world_claim *c = claim_of_locked(r, name);
	if (c) {
		planner_ended(c, how, why, end->slot_s, run_now_s());
		(void)snprintf(uid, sizeof(uid), "%s", c->uid);
	}
	pthread_mutex_unlock(&r->lock);
	/* What ended by itself has told its claims, unless it says why it could not. */
	if (c && why && how == PLANNER_FAILED)
		tell(r, ns, slash + 1, uid, end->cancelled ? TELL_SKIPPED : TELL_FAILED, why);
}

static void ended(void *arg, const struct runner_end *end)
{
	struct run *r = arg;
	const enum planner_end how = meaning(end);
	const char *why = end->why;
	char note[128];

	if (end->signal != 0) {
		(void)snprintf(note, sizeof(note), "the run was ended by signal %d (%s)",
		               end->signal,
		               /* lint: allow strsignal: one thread calls it */
		               strsignal(end->signal));
		why = note;
	}
	atomic_fetch_add(&r->runs[how], 1);
	run_traffic(r, &end->traffic);
	for (size_t i = 0; i < end->n; i++)
		ended_one(r, end, end->names[i], how, why);
	log_info("a run has ended", LOG_S("claim", end->names[0]), LOG_U("claims", end->n),
	         LOG_S("slot", now_rfc3339(end->slot_s * 1000000000).s),
	         LOG_I("status", end->status), LOG_I("signal", end->signal),
	         LOG_U("points", end->points), LOG_B("cancelled", end->cancelled));
}

/* What a run needs, copied out of the world. */
struct job {
	char names[RUNNER_NAMES_MAX][512];
	size_t n;
	int64_t slot_s;
	uint64_t bandwidth_bytes_s;
	json_t *policy;
};

static void job_of(struct job *j, const struct planner_run *run)
{
	*j = (struct job){ .n = run->n,
		           .slot_s = run->slot_s,
		           .bandwidth_bytes_s = run->policy->bandwidth_bytes_s,
		           .policy = json_deep_copy(run->policy->document) };
	for (size_t i = 0; i < run->n; i++) {
		const struct world_key *k = &run->claims[i]->key;

		(void)snprintf(j->names[i], sizeof(j->names[i]), "%s/%s", k->ns, k->name);
		planner_began(run->claims[i]);
	}
}

static void start(struct run *r, struct job *j)
{
	struct runner_job job = { .n = j->n,
		                  .slot_s = j->slot_s,
		                  .bandwidth_bytes_s = j->bandwidth_bytes_s,
		                  .policy = j->policy };
	struct err e = ERR_INIT;

	for (size_t i = 0; i < j->n; i++)
		job.names[i] = j->names[i];
	int rc = j->policy ? runner_start(r->runner, &job, run_now_s(), &e)
	                   : err_set(&e, ERR_NOMEM, "no memory for a policy");
	if (rc == 0) {
		log_info("a run begins", LOG_S("claim", j->names[0]), LOG_U("claims", j->n),
		         LOG_S("slot", now_rfc3339(j->slot_s * 1000000000).s));
	} else {
		const struct runner_end end = { .names = job.names,
			                        .n = j->n,
			                        .slot_s = j->slot_s,
			                        .status = EXIT_FAILED,
			                        .why = e.msg };

		log_error("a run could not be started", LOG_S("claim", j->names[0]),
		          LOG_S("why", e.msg));
		ended(r, &end);
	}
	json_decref(j->policy);
}

/* ---- one step ---- */

/* A slot of a paused claim that passes is told once, by the agent whose claim it is. */
struct skipped {
	char ns[64], name[254], uid[64];
	char note[EVENT_NOTE_MAX];
};

static size_t skipped_locked(struct run *r, struct skipped *ret, size_t max)
{
	const struct world_shelf *s = &r->world->shelves[WORLD_CLAIMS];
	const int64_t now_s = run_now_s();
	size_t n = 0;

	for (size_t i = 0; i < s->n && n < max; i++) {
		struct world_claim *c = (struct world_claim *)s->v[i];
		struct world_plan *p = &c->plan;

		if (!p->due || p->verdict != POLICY_PAUSED || p->begins_s > now_s ||
		    p->told_s == p->slot_s)
			continue;
		p->told_s = p->slot_s;
		const struct policy_claim view = world_view(r->world, c);
		const struct policy_choice why = policy_choose(&r->world->list, r->p->ns, &view);
		/* A policy that is paused says so itself, and not on each of its claims. */
		if (why.policy && why.policy->paused)
			continue;
		struct skipped *k = &ret[n++];
		(void)snprintf(k->ns, sizeof(k->ns), "%s", c->key.ns);
		(void)snprintf(k->name, sizeof(k->name), "%s", c->key.name);
		(void)snprintf(k->uid, sizeof(k->uid), "%s", c->uid);
		/* The same words each time: one event that counts, and not one for each slot. */
		(void)snprintf(k->note, sizeof(k->note), "not backed up: %.700s", why.why);
	}
	return n;
}

/* Whom somebody wants ended. */
static void cancel_locked(struct run *r)
{
	const struct world_shelf *s = &r->world->shelves[WORLD_CLAIMS];
	char name[512];

	for (size_t i = 0; i < s->n; i++) {
		const struct world_claim *c = (const struct world_claim *)s->v[i];

		if (c->cancel_s == 0 || !c->plan.running)
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", c->key.ns, c->key.name);
		if (runner_cancel(r->runner, name, c->cancel_s))
			log_info("a run is ended, as its claim says", LOG_S("claim", name));
	}
}

/* Begins what is due; *ret_next: when to look again. */
static int step(struct run *r, bool begins, int64_t *ret_next, struct err *e)
{
	static struct job jobs[BEGIN_MAX];
	static struct skipped skipped[BEGIN_MAX];
	static struct planner_run runs[BEGIN_MAX];
	const int64_t now_s = run_now_s();
	size_t n = 0;
	size_t nskipped = 0;
	int rc = 0;

	*ret_next = SCHED_NEVER;
	pthread_mutex_lock(&r->lock);
	if (r->world->nomem)
		rc = err_set(e, ERR_NOMEM, "no memory for what is known of the cluster");
	if (rc == 0 && begins && !atomic_load(&r->fenced) && world_ready(r->world)) {
		*ret_next = planner_pass(r->world, &r->me, now_s);
		rc = planner_pick(r->world, now_s, r->p->concurrency, runs, BEGIN_MAX, &n, e);
		for (size_t i = 0; rc == 0 && i < n; i++)
			job_of(&jobs[i], &runs[i]);
		nskipped = skipped_locked(r, skipped, BEGIN_MAX);
	}
	cancel_locked(r);
	pthread_mutex_unlock(&r->lock);
	for (size_t i = 0; rc == 0 && i < n; i++)
		start(r, &jobs[i]);
	if (n == BEGIN_MAX) /* there may be more */
		*ret_next = now_s;
	for (size_t i = 0; i < nskipped; i++)
		tell(r, skipped[i].ns, skipped[i].name, skipped[i].uid, TELL_SKIPPED,
		     skipped[i].note);
	atomic_store(&r->running, (unsigned)runner_running(r->runner));
	return rc;
}

static int until(int64_t next_s)
{
	const int64_t ms = next_s == SCHED_NEVER ? LOOK_MS : (next_s - run_now_s()) * 1000;

	return ms < 0 ? 0 : ms > LOOK_MS ? LOOK_MS : (int)ms;
}

/* Waits for something to do. */
static void rest(struct run *r, int64_t next_s, bool stopping)
{
	struct pollfd fds[2 + 2 * RUNNER_MAX] = { { .fd = r->wake, .events = POLLIN } };
	uint64_t count;
	size_t n = 1;

	if (!stopping && r->p->cancel->fd >= 0)
		fds[n++] = (struct pollfd){ .fd = r->p->cancel->fd, .events = POLLIN };
	n += runner_poll(r->runner, fds + n, ARRAY_LEN(fds) - n);
	(void)poll(fds, n, until(next_s));
	if (fds[0].revents & POLLIN) {
		const ssize_t got = read(r->wake, &count, sizeof(count));

		(void)got;
	}
}

void run_traffic(struct run *r, const struct store_traffic *more)
{
	pthread_mutex_lock(&r->metrics_lock);
	traffic_sum(&r->traffic, more);
	pthread_mutex_unlock(&r->metrics_lock);
}

void run_asked(struct run *r, struct store *s)
{
	if (s) {
		const struct store_traffic t = store_traffic(s);

		run_traffic(r, &t);
	}
}

void run_fail(struct run *r, const struct err *why)
{
	pthread_mutex_lock(&r->lock);
	r->why = *why;
	pthread_mutex_unlock(&r->lock);
	atomic_store(&r->failed, true);
	run_wake(r);
}

static int loop(struct run *r, struct err *e)
{
	bool stopping = false;
	int64_t next_s;

	for (;;) {
		atomic_store(&r->ticked_ns, now_mono_ns());
		if (atomic_load(&r->failed)) {
			pthread_mutex_lock(&r->lock);
			*e = r->why;
			pthread_mutex_unlock(&r->lock);
			return -1;
		}
		runner_step(r->runner, ended, r);
		if (!stopping && cancel_requested(r->p->cancel)) {
			stopping = true;
			log_info("nothing is begun any more",
			         LOG_U("running", runner_running(r->runner)));
			runner_cancel_all(r->runner);
		}
		if (stopping && runner_running(r->runner) == 0)
			return 0;
		if (step(r, !stopping, &next_s, e) < 0)
			return -1;
		rest(r, next_s, stopping);
	}
}

/* ---- status ---- */

static int healthy(void *arg, struct err *e)
{
	struct run *r = arg;

	if (now_mono_ns() - atomic_load(&r->ticked_ns) > DEAF_NS)
		return err_set(e, ERR_BUG, "the main loop does not go round");
	return 0;
}

static int ready(void *arg, struct err *e)
{
	struct run *r = arg;

	pthread_mutex_lock(&r->lock);
	const bool known = world_ready(r->world);
	pthread_mutex_unlock(&r->lock);
	if (!known)
		return err_set(e, ERR_BUSY, "the cluster is not known yet");
	if (!atomic_load(&r->store_ready))
		return err_set(e, ERR_BUSY, "the store was not reached yet");
	return 0;
}

static int metrics(void *arg, struct buf *b, struct err *e)
{
	static const char *const results[] = { "done", "failed", "busy" };
	struct run *r = arg;

	(void)e;
	metric_build_info(b);
	metric_family(b, "aksdr_agent_running", METRIC_GAUGE,
	              "Runs of this agent that are going on.");
	metric_sample(b, "aksdr_agent_running", NULL, 0, atomic_load(&r->running));
	metric_family(b, "aksdr_agent_leader", METRIC_GAUGE,
	              "Whether this agent writes the policies' status and the catalog.");
	metric_sample(b, "aksdr_agent_leader", NULL, 0, atomic_load(&r->leads));
	metric_family(b, "aksdr_agent_fenced", METRIC_GAUGE,
	              "Whether this cluster is fenced, and nothing is backed up.");
	metric_sample(b, "aksdr_agent_fenced", NULL, 0, atomic_load(&r->fenced));
	metric_family(b, "aksdr_agent_runs_total", METRIC_COUNTER,
	              "Runs of this agent that have ended, by their result.");
	for (size_t i = 0; i < ARRAY_LEN(results); i++) {
		const struct metric_label label = { "result", results[i] };

		metric_sample(b, "aksdr_agent_runs_total", &label, 1,
		              (double)atomic_load(&r->runs[i]));
	}
	metric_family(b, "aksdr_agent_store_failed", METRIC_GAUGE,
	              "Whether the last look of this agent at the store failed.");
	metric_sample(b, "aksdr_agent_store_failed", NULL, 0, atomic_load(&r->store_failed));
	if (atomic_load(&r->ends_ns) > 0) {
		metric_family(b, "aksdr_agent_credentials_end_timestamp_seconds", METRIC_GAUGE,
		              "When what proves this agent to the store ends.");
		metric_sample(b, "aksdr_agent_credentials_end_timestamp_seconds", NULL, 0,
		              (double)atomic_load(&r->ends_ns) / 1e9);
	}
	metric_family(b, "aksdr_throttled_requests_total", METRIC_COUNTER,
	              "Requests of this agent that the API server told to come later.");
	metric_sample(b, "aksdr_throttled_requests_total", NULL, 0,
	              (double)kube_counted(r->kube).throttled);
	if (atomic_load(&r->leads)) {
		pthread_mutex_lock(&r->lock);
		const size_t nodes = r->world->nnodes;
		pthread_mutex_unlock(&r->lock);
		metric_family(b, "aksdr_agent_nodes", METRIC_GAUGE,
		              "Nodes with an agent that is ready.");
		metric_sample(b, "aksdr_agent_nodes", NULL, 0, (double)nodes);
		metric_family(b, "aksdr_agent_retention_failed", METRIC_GAUGE,
		              "Whether restore points that the policies let go could not expire.");
		metric_sample(b, "aksdr_agent_retention_failed", NULL, 0,
		              atomic_load(&r->unretained));
	}
	if (atomic_load(&r->leads) && atomic_load(&r->locker.tried_ns) > 0) {
		metric_family(b, "aksdr_agent_locks_failed", METRIC_GAUGE,
		              "Whether restore points could not be locked that were to be.");
		metric_sample(b, "aksdr_agent_locks_failed", NULL, 0,
		              atomic_load(&r->locker.failed));
	}
	metric_family(b, "aksdr_agent_expired_points_total", METRIC_COUNTER,
	              "Restore points that this agent has expired, as the policies say.");
	metric_sample(b, "aksdr_agent_expired_points_total", NULL, 0,
	              (double)atomic_load(&r->expired));
	pthread_mutex_lock(&r->metrics_lock);
	traffic_put(&r->traffic, METRIC_COUNTER, b);
	pthread_mutex_unlock(&r->metrics_lock);
	run_keep_metrics(r, b);
	return 0;
}

static int serve(struct run *r, struct status **ret, struct err *e)
{
	const struct status_params params = { .listen = r->p->listen,
		                              .metrics = metrics,
		                              .healthy = healthy,
		                              .ready = ready,
		                              .arg = r };

	if (!*r->p->listen)
		return 0;
	return status_start(&params, ret, e);
}

/* ---- start and end ---- */

static int set_up_runner(struct run *r, struct err *e)
{
	static const char *const names[] = { "AKSDR_STORE", "AKSDR_KEY", "AKSDR_STATE" };
	const char *const values[] = { r->p->store, r->p->key, r->p->state };
	const struct run_params *p = r->p;
	size_t n = 0;

	const char *const args[] = { "--output", "json",         "--progress",
		                     "never",    "--log-format", log_is_json() ? "json" : "text",
		                     "--node",   p->node,        "--agent-namespace",
		                     p->ns };
	memcpy(r->args, args, sizeof(args));
	n = ARRAY_LEN(args);
	const struct {
		const char *name, *value;
	} more[] = { { "--cluster", *p->cluster ? p->cluster : NULL },
		     { "--mover-template", p->mover_template },
		     { "--kubelet-dir", p->kubelet_dir } };
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		if (more[i].value) {
			r->args[n++] = more[i].name;
			r->args[n++] = more[i].value;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (asprintf(&r->env[i], "%s=%s", names[i], values[i] ? values[i] : "") < 0) {
			r->env[i] = NULL;
			return err_set(e, ERR_NOMEM, "no memory for the environment of runs");
		}
	}
	r->runner_params = (struct runner_params){ .args = r->args,
		                                   .env = (const char *const *)r->env,
		                                   .concurrency = p->concurrency,
		                                   .bandwidth_bytes_s = p->bandwidth_bytes_s };
	r->runner = runner_new(&r->runner_params, e);
	return r->runner ? 0 : -1;
}

static void run_clear(struct run *r)
{
	cancel_request(&r->stop);
	run_page_stop(r);
	run_watch_stop(r);
	run_keep_stop(r);
	runner_free(r->runner);
	events_free(r->events);
	world_free(r->world);
	retention_clear(&r->retention);
	kube_close(r->kube);
	for (size_t i = 0; i < ARRAY_LEN(r->env); i++)
		free(r->env[i]);
	if (r->wake >= 0)
		(void)close(r->wake);
	if (r->look >= 0)
		(void)close(r->look);
	cancel_clear(&r->stop);
	metrics_free(r->metrics);
	(void)pthread_mutex_destroy(&r->metrics_lock);
	(void)pthread_mutex_destroy(&r->lock);
}

static int set_up(struct run *r, struct err *e)
{
	/* Not ended by the stop: a Lease is given up behind it. */
	const struct kube_params params = { .budget_ms = BUDGET_MS };

	if (cancel_init(&r->stop) < 0)
		return err_sys(e, errno, "setting up the stop of threads");
	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->look = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->wake < 0 || r->look < 0)
		return err_sys(e, errno, "setting up the main loop");
	r->kube = kube_open(&params, e);
	if (!r->kube)
		return err_wrap(e, "'run' needs a cluster");
	r->events = events_new(r->kube, r->p->pod, e);
	r->world = r->events ? world_new(r->p->ns, NULL, e) : NULL;
	return r->world ? set_up_runner(r, e) : -1;
}

int run_daemon(const struct run_params *params, struct err *e)
{
	CLEANUP(run_clear)
	struct run r = {
		.p = params,
		.me = { .node = params->node, .begins = !params->secondary },
		.wake = -1,
		.look = -1,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.metrics_lock = PTHREAD_MUTEX_INITIALIZER,
		.stop = { .fd = -1 },
		.ticked_ns = now_mono_ns(),
	};
	auto_status struct status *status = NULL;

	if (set_up(&r, e) < 0)
		return -1;
	if (run_keep_check(&r, e) < 0) {
		run_keep_tell(&r, e);
		return -1;
	}
	if (serve(&r, &status, e) < 0 || run_page_start(&r, e) < 0 || run_watch_start(&r, e) < 0 ||
	    run_keep_start(&r, e) < 0)
		return -1;
	log_info("the agent has started", LOG_S("node", params->node),
	         LOG_S("namespace", params->ns), LOG_U("concurrency", params->concurrency),
	         LOG_B("begins", r.me.begins));
	if (loop(&r, e) == 0)
		return 0;
	run_keep_tell(&r, e);
	return -1;
}
