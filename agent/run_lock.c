/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks, where the store's URL asks for them (docs/STORES.md, Immutability): a point that uses
 * older objects again needs their locks longer. Once a day the agent that leads extends those that
 * are too short, and notes in the catalog until when each point is safe. It reads trees, as long as
 * a collection that only looks, so a thread of its own does it.
 */
#include <inttypes.h>

#include "agent/run_keep.h"
#include "catalog/catalog.h"
#include "catalog/locks.h"
#include "common/act.h"
#include "common/log.h"
#include "common/now.h"
#include "repo/key.h"
#include "repo/trail.h"

#define EVERY_NS ((int64_t)86400 * 1000000000)
#define THREADS 2                             /* backups go on beside it */
#define AGAIN_NS ((int64_t)3600 * 1000000000) /* after one that failed */

bool run_lock_due(int64_t looked_ns, int64_t now_ns)
{
	/* By a clock that was put back the last one may lie far ahead. */
	return looked_ns == 0 || now_ns - looked_ns >= EVERY_NS || looked_ns - now_ns >= EVERY_NS;
}

/* What was done, and what failed, is in the audit trail. */
static void record(const struct run *r, const struct repo *repo, const struct protect_result *x,
                   const struct err *why)
{
	const bool failed = why->class != ERR_NONE;
	struct act a;

	if (x->extended == 0 && !failed)
		return;
	act_init(&a, "lock", 0);
	a.program = "aksdr-agent";
	a.version = AKSDR_VERSION;
	(void)snprintf(a.why, sizeof(a.why),
	               "locks of the store, daily, by cluster '%s': %" PRIu64 " objects extended",
	               r->p->cluster, x->extended);
	act_add(&a, "all restore points: %" PRIu64, x->points);
	trail_put(repo, &a, failed ? why : NULL);
}

int run_lock_look(const struct run *r, const struct repo *repo, struct catalog *c, struct err *e)
{
	const struct protect_params params = {
		.lock_s = repo->store->lock_s,
		.margin_s = repo->store->lock_s / PROTECT_MARGIN_SHARE,
		.threads = THREADS,
	};
	struct protect_result result = { .points = 0 };
	struct err why = ERR_INIT;

	const int rc = locks_look(c, repo, &params, &result, &why) < 0
	                       ? -1
	                       : protect_verdict(&result, &why);
	if (why.class != ERR_CANCELLED)
		record(r, repo, &result, &why);
	if (rc < 0) {
		*e = why;
		return -1;
	}
	log_info("restore points are locked", LOG_U("points", result.points),
	         LOG_U("extended", result.extended));
	return 0;
}

static int look(struct run *r, struct err *e)
{
	const struct run_params *p = r->p;
	auto_repo struct repo *repo = NULL;
	auto_catalog struct catalog *c = NULL;
	auto_free char *path = NULL;

	if (repo_open_url(p->store, 0, p->key, p->passphrase_file, p->state, &r->stop, &repo, e) <
	    0)
		return -1;
	int rc = catalog_path(NULL, p->state, p->key, &path, e);
	if (rc == 0)
		rc = catalog_open(path, CATALOG_WRITE, &c, e);
	if (rc == 0)
		rc = run_lock_look(r, repo, c, e);
	run_asked(r, repo->store);
	return rc;
}

static void *lock_all(void *arg)
{
	struct run *r = arg;
	struct err e = ERR_INIT;

	const int rc = look(r, &e);
	if (rc < 0 && e.class != ERR_CANCELLED)
		log_warn("not all restore points are locked", LOG_S("why", e.msg));
	atomic_store(&r->locker.failed, rc < 0);
	atomic_store(&r->locker.runs, false);
	run_keep_look(r); /* what came of it is in the catalog */
	return NULL;
}

void run_lock_stop(struct run *r)
{
	if (r->locker.started)
		(void)pthread_join(r->locker.thread, NULL);
	r->locker.started = false;
}

void run_lock(struct run *r, struct catalog *c, int64_t lock_s)
{
	const int64_t mono_ns = now_mono_ns();
	struct err e = ERR_INIT;
	int64_t looked_ns;

	if (lock_s <= 0 || r->p->no_locks || !r->me.begins || atomic_load(&r->locker.runs))
		return;
	run_lock_stop(r);
	const int64_t tried_ns = atomic_load(&r->locker.tried_ns);
	if (tried_ns > 0 && mono_ns - tried_ns < AGAIN_NS)
		return;
	int rc = locks_looked(c, &looked_ns, &e);
	/* Another program may have looked, and found what a look of ours has to mend. */
	if (rc == 0 && !atomic_load(&r->locker.failed) && !run_lock_due(looked_ns, now_wall_ns()))
		return;
	atomic_store(&r->locker.tried_ns, mono_ns);
	atomic_store(&r->locker.runs, true);
	if (rc == 0 && pthread_create(&r->locker.thread, NULL, lock_all, r) != 0)
		rc = err_set(&e, ERR_NOMEM, "no thread can be started");
	if (rc < 0) {
		atomic_store(&r->locker.runs, false);
		atomic_store(&r->locker.failed, true);
		log_warn("not all restore points are locked", LOG_S("why", e.msg));
		return;
	}
	r->locker.started = true;
	(void)pthread_setname_np(r->locker.thread, "lock");
}
