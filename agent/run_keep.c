/* SPDX-License-Identifier: Apache-2.0 */
/* The store: whether it can be reached, and the catalog of what is there. */
#include "agent/run_keep.h"

#include <poll.h>
#include <string.h>

#include "agent/run_impl.h"
#include "catalog/metrics.h"
#include "catalog/sync.h"
#include "common/backoff.h"
#include "common/log.h"
#include "common/now.h"
#include "common/secret.h"
#include "repo/fence.h"
#include "repo/key.h"
#include "repo/repo.h"
#include "repo/trail.h"

#define ANCHOR_NS ((int64_t)86400 * 1000000000)
#define SYNC_MS 300000 /* between two looks at the store */

void run_pause(const struct run *r, int64_t ms)
{
	struct pollfd fd = { .fd = r->stop.fd, .events = POLLIN };

	if (!cancel_requested(&r->stop))
		(void)poll(&fd, 1, (int)ms);
}

int run_keep_check(struct run *r, struct err *e)
{
	struct keys *keys = NULL;

	if (keys_load(r->p->key, r->p->passphrase_file, &keys, e) < 0)
		return -1;
	keys_free(keys);
	return 0;
}

/* An event of our own pod. */
static void tell_pod(struct run *r, const char *reason, const char *action, const char *text)
{
	struct err e = ERR_INIT;
	json_t *pod = NULL;

	if (kube_get(r->kube, &kube_pod, r->p->ns, r->p->pod, &pod, &e) == 0) {
		const struct event_about about = { .kind = &kube_pod,
			                           .ns = r->p->ns,
			                           .name = r->p->pod,
			                           .uid = kube_text_at(pod, "metadata.uid") };

		if (events_tell(r->events, &about, true, reason, action, text, &e) == 0)
			e.class = ERR_NONE;
	}
	if (e.class != ERR_NONE)
		log_debug("the reason was not told as an event", LOG_S("why", e.msg));
	json_decref(pod);
}

void run_keep_tell(struct run *r, const struct err *why)
{
	tell_pod(r, "AgentFailed", "Start", why->msg);
}

/*
 * Whether this cluster is fenced as a whole (docs/REGIONS.md). Runs would find out for themselves;
 * so none has to begin, and what is there is left to whoever goes on.
 */
static void note_fence(struct run *r, const struct repo *repo)
{
	struct point_volume site = { .block = false };
	struct err why = ERR_INIT;

	(void)snprintf(site.cluster, sizeof(site.cluster), "%s", r->p->cluster);
	const bool fenced = fence_refuse(repo, &site, fence_epoch(repo), &why) < 0 &&
	                    fence_is(&why);
	if (atomic_exchange(&r->fenced, fenced) == fenced)
		return;
	if (fenced) {
		log_error("this cluster is fenced: nothing is backed up", LOG_S("why", why.msg));
		tell_pod(r, "ClusterFenced", "Backup", why.msg);
	} else {
		log_info("this cluster is no longer fenced");
		tell_pod(r, "ClusterGivenBack", "Backup",
		         "this cluster is no longer fenced: backups go on");
	}
	run_wake(r);
}

/* What the catalog tells now, for whoever asks. */
static int measure(struct run *r, struct catalog *c, struct err *e)
{
	const struct metrics_params params = { .now_ns = now_wall_ns() };
	struct metrics *fresh;

	if (metrics_load(c, &params, &fresh, e) < 0)
		return -1;
	pthread_mutex_lock(&r->metrics_lock);
	struct metrics *before = r->metrics;
	r->metrics = fresh;
	pthread_mutex_unlock(&r->metrics_lock);
	metrics_free(before);
	return 0;
}

/* Once a day, when the audit trail has grown: what stands for it so far. */
static void anchor(struct run *r, struct catalog *c, const struct repo *repo)
{
	auto_store struct store *store = NULL;
	struct repo writable = *repo;
	struct err e = ERR_INIT;
	uint64_t number;
	int64_t at_ns;

	if (!repo->keys->has_sign || audit_sync_anchored(c, &at_ns, &e) < 0 ||
	    now_wall_ns() - at_ns < ANCHOR_NS)
		return;
	store = store_open_cancel(r->p->store, 0, &r->stop, &e);
	writable.store = store;
	/* Another one may have come first: the next look tells. */
	if ((!store || audit_sync_anchor(c, &writable, now_wall_ns(), &number, &e) < 0) &&
	    e.class != ERR_BUSY && e.class != ERR_CANCELLED)
		log_warn("the audit trail was not anchored", LOG_S("why", e.msg));
	run_asked(r, store);
}

/* What a look is for: where we lead, what is in the store into the catalog. */
static int see(struct run *r, struct repo *repo, struct err *e)
{
	auto_catalog struct catalog *c = NULL;
	auto_free char *path = NULL;
	const struct sync_params params = { .now_ns = now_wall_ns() };
	struct sync_result result;

	note_fence(r, repo);
	trail_flush(repo, r->p->store);
	if (!atomic_exchange(&r->store_ready, true))
		log_info("the store is reached");
	if (!atomic_load(&r->leads)) {
		r->retained = (struct retention_clock){ .ran = false };
		return 0;
	}
	if (catalog_path(NULL, r->p->state, r->p->key, &path, e) < 0 ||
	    catalog_make_dir(path, e) < 0 || catalog_open(path, CATALOG_WRITE, &c, e) < 0 ||
	    sync_run(c, repo, &params, &result, e) < 0)
		return err_wrap(e, "keeping the catalog");
	r->retained.came |= result.added > 0;
	anchor(r, c, repo);
	run_lock(r, c, repo->store->lock_s);
	if (!atomic_load(&r->fenced)) {
		run_retain(r, c);
		run_inventory(r, c);
	}
	return measure(r, c, e);
}

/* One look at the store. */
static int look(struct run *r, struct err *e)
{
	auto_repo struct repo *repo = NULL;

	if (repo_open_url(r->p->store, STORE_READONLY, r->p->key, r->p->passphrase_file,
	                  r->p->state, &r->stop, &repo, e) < 0)
		return -1;
	atomic_store(&r->ends_ns, store_ends(repo->store));
	const int rc = see(r, repo, e);
	run_asked(r, repo->store);
	return rc;
}

/* Whether trying again makes sense, where nobody changes anything. */
static bool is_fatal(const struct err *e)
{
	switch (e->class) {
	case ERR_DENIED:
	case ERR_FORMAT:
	case ERR_CORRUPT:
	case ERR_INVALID:
	case ERR_NOT_FOUND:
		return true;
	default:
		return false;
	}
}

void run_keep_look(struct run *r)
{
	const uint64_t one = 1;
	const ssize_t n = write(r->look, &one, sizeof(one));

	(void)n; /* it is to look already when this does not fit */
}

/* Waits so long, until the stop, or until somebody wants a look. */
static void rest(const struct run *r, int64_t ms)
{
	struct pollfd fds[] = { { .fd = r->stop.fd, .events = POLLIN },
		                { .fd = r->look, .events = POLLIN } };
	uint64_t count;

	if (cancel_requested(&r->stop))
		return;
	(void)poll(fds, ARRAY_LEN(fds), (int)ms);
	if (fds[1].revents & POLLIN) {
		const ssize_t n = read(r->look, &count, sizeof(count));

		(void)n;
	}
}

static void *keep(void *arg)
{
	const struct backoff backoff = { .budget_ms = INT64_MAX,
		                         .first_ms = 2000,
		                         .longest_ms = 60000 };
	struct run *r = arg;
	unsigned failed = 0;

	while (!cancel_requested(&r->stop)) {
		struct err e = ERR_INIT;
		int64_t wait_ms = SYNC_MS;

		const int rc = look(r, &e);
		atomic_store(&r->store_failed, rc < 0 && e.class != ERR_CANCELLED);
		if (rc < 0 && e.class != ERR_CANCELLED) {
			/* An agent that has worked goes on: what it cannot do its runs tell. */
			if (!atomic_load(&r->store_ready) && is_fatal(&e)) {
				run_fail(r, &e);
				return NULL;
			}
			if (failed++ == 0)
				log_warn("the store is not reached", LOG_S("why", e.msg));
			uint64_t random;
			secret_random(&random, sizeof(random));
			wait_ms = backoff_wait_ms(&backoff, failed, 0, random);
		} else {
			failed = 0;
		}
		rest(r, wait_ms);
	}
	return NULL;
}

int run_keep_start(struct run *r, struct err *e)
{
	int os = pthread_create(&r->keeper, NULL, keep, r);

	if (os != 0)
		return err_sys(e, os, "starting a thread");
	r->keeps = true;
	(void)pthread_setname_np(r->keeper, "keep");
	os = pthread_create(&r->leader, NULL, run_lead, r);
	if (os != 0)
		return err_sys(e, os, "starting a thread");
	r->leading = true;
	(void)pthread_setname_np(r->leader, "lead");
	return 0;
}

void run_keep_stop(struct run *r)
{
	if (r->keeps)
		(void)pthread_join(r->keeper, NULL);
	if (r->leading)
		(void)pthread_join(r->leader, NULL);
	run_lock_stop(r);
	r->keeps = false;
	r->leading = false;
}

void run_keep_metrics(struct run *r, struct buf *b)
{
	/* One agent of all tells of the volumes, else each would be there several times. */
	if (!atomic_load(&r->leads))
		return;
	pthread_mutex_lock(&r->metrics_lock);
	if (r->metrics)
		metrics_print(r->metrics, now_wall_ns(), b);
	pthread_mutex_unlock(&r->metrics_lock);
}
