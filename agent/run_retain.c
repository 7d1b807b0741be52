/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leader has expired what the policies let go, as `aksdr-catalog retain` does: tombstones by
 * the agent's key. Volumes are judged one by one, by the policy of the claim of that name, so that
 * memory does not grow with their points. What is told of it: a condition of the policy, metrics.
 */
#include <string.h>

#include "agent/run_keep.h"
#include "catalog/retain_plan.h"
#include "catalog/sync.h"
#include "common/log.h"
#include "common/now.h"
#include "repo/trail.h"

#define BATCH 2000 /* points of which tombstones are put together */

struct work {
	struct run *r;
	struct catalog *c;
	struct repo *repo;
	struct expiry x;
	struct retention rules;
	struct retain_plan plan; /* what goes, and is not put yet */
	uint64_t expired;        /* tombstones name so many */
};

static void work_clear(struct work *w)
{
	retain_plan_clear(&w->plan);
	expiry_clear(&w->x);
	retention_clear(&w->rules);
	if (w->repo)
		run_asked(w->r, w->repo->store);
	repo_free(w->repo);
}

/* ---- one volume after the other ---- */

/* Whether it goes on: another agent may lead by now, or this one is to end. */
static int goes_on(const struct work *w, struct err *e)
{
	if (!cancel_requested(&w->r->stop) && atomic_load(&w->r->leads))
		return 0;
	return err_set(e, ERR_CANCELLED, "this agent does not lead any more");
}

static int put(struct work *w, struct err *e)
{
	if (w->plan.npoints == 0)
		return 0;
	if (goes_on(w, e) < 0)
		return -1;
	if (retain_plan_put(w->repo, &w->plan, e) < 0) {
		if (e->class != ERR_DENIED)
			return err_wrap(e, "expiring restore points");
		return err_wrap(e, "the agent may not expire restore points: let its identity "
		                   "create objects below 'tomb/' of the store, or take "
		                   "'retention' out of the policies and run 'aksdr-catalog "
		                   "retain' as one that may");
	}
	for (size_t i = 0; i < w->plan.nvolumes; i++) {
		const struct retain_plan_volume *v = &w->plan.volumes[i];

		for (size_t k = 0; k < w->rules.n; k++) {
			if (v->policy == &w->rules.v[k].policy)
				w->rules.v[k].expired += v->expire;
		}
	}
	atomic_fetch_add(&w->r->expired, w->plan.npoints);
	w->expired += w->plan.npoints;
	retain_plan_clear(&w->plan);
	return 0;
}

static int judge(struct work *w, const char *voltag, const char *ns, const char *name,
                 struct err *e)
{
	CLEANUP(retain_plan_clear) struct retain_plan one = { .npoints = 0 };
	struct err refused = ERR_INIT;
	char any[] = "*";
	char *patterns[] = { any };

	pthread_mutex_lock(&w->r->lock);
	struct retention_rule *rule = retention_of(&w->rules, w->r->world, ns, name);
	pthread_mutex_unlock(&w->r->lock);
	if (!rule)
		return 0;
	struct retain_entry entry = { .policy = rule->policy,
		                      .patterns = patterns,
		                      .npatterns = 1 };
	const struct retain_policies only = { .items = &entry, .n = 1 };
	if (retain_plan_make(w->c, &w->x, &only, voltag, w->repo->keys->signer_id, &one, e) < 0)
		return -1;
	if (retain_plan_check_share(&one, RETAIN_PLAN_SHARE_DEFAULT, &refused) < 0) {
		retention_fails(rule, refused.msg);
		return 0;
	}
	for (size_t i = 0; i < one.nvolumes; i++)
		one.volumes[i].policy = &rule->policy; /* which lives as long as the plan */
	if (retain_plan_move(&w->plan, &one, e) < 0)
		return -1;
	return w->plan.npoints >= BATCH ? put(w, e) : 0;
}

static int judge_all(struct work *w, struct err *e)
{
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(w->c,
	                        "SELECT voltag, namespace, name FROM volumes WHERE cluster = ?1",
	                        e);
	int rc;

	if (!s)
		return -1;
	catalog_bind_text(s, 1, w->r->p->cluster);
	while ((rc = catalog_step(w->c, s, e)) > 0) {
		if (judge(w, catalog_text(s, 0), catalog_text(s, 1), catalog_text(s, 2), e) < 0)
			return -1;
	}
	return rc < 0 ? -1 : put(w, e);
}

/* What went, and what failed to go, is recorded. */
static int judge_recorded(struct work *w, struct err *e)
{
	struct act a;

	act_init(&a, "retain", 0);
	a.program = "aksdr-agent";
	a.version = AKSDR_VERSION;
	(void)snprintf(a.why, sizeof(a.why), "retention of the policies of cluster '%s'",
	               w->r->p->cluster);
	int rc = expiry_now(w->repo, &w->x, e) < 0 ? -1 : judge_all(w, e);
	for (size_t i = 0; i < w->rules.n; i++) {
		const struct retention_rule *rule = &w->rules.v[i];

		if (rule->expired > 0)
			act_add(&a, "%s: %zu", rule->policy.name, rule->expired);
	}
	if (w->expired > 0 || rc < 0)
		trail_put(w->repo, &a, rc < 0 ? e : NULL);
	return rc;
}

/* ---- all of it ---- */

static int retain(struct work *w, struct err *e)
{
	const struct run_params *p = w->r->p;
	const struct sync_params sync = { .now_ns = now_wall_ns() };
	struct sync_result ignored;

	if (w->rules.n == 0)
		return 0;
	if (repo_open_url(p->store, 0, p->key, p->passphrase_file, p->state, &w->r->stop, &w->repo,
	                  e) < 0)
		return -1;
	if (!w->repo->keys->has_sign)
		return err_set(e, ERR_DENIED, "'%s' cannot sign: the agent needs an agent key",
		               p->key);
	if (judge_recorded(w, e) < 0)
		return -1;
	return sync_run(w->c, w->repo, &sync, &ignored, e);
}

/* What came of it, to the log and to whoever asks. true: all went that was to go. */
static bool tell(struct work *w)
{
	bool good = true;

	for (size_t i = 0; i < w->rules.n; i++) {
		const struct retention_rule *rule = &w->rules.v[i];

		if (rule->expired > 0)
			log_info("restore points have expired", LOG_S("policy", rule->policy.name),
			         LOG_U("points", rule->expired));
		if (rule->why)
			log_warn("restore points that are to go stay",
			         LOG_S("policy", rule->policy.name), LOG_S("why", rule->why));
		good = good && !rule->why;
	}
	pthread_mutex_lock(&w->r->lock);
	retention_clear(&w->r->retention);
	w->r->retention = w->rules;
	pthread_mutex_unlock(&w->r->lock);
	w->rules = (struct retention){ .n = 0 };
	return good;
}

void run_retain(struct run *r, struct catalog *c)
{
	CLEANUP(work_clear) struct work w = { .r = r, .c = c };
	const int64_t now_s = run_now_s();
	struct err e = ERR_INIT;

	pthread_mutex_lock(&r->lock);
	const bool known = world_ready(r->world);
	const uint64_t rules = r->world->rules;
	int rc = known ? retention_read(r->world, &w.rules, &e) : 0;
	pthread_mutex_unlock(&r->lock);
	if (!known || !r->me.begins || !retention_due(&r->retained, rules, now_s))
		return;
	rc = rc < 0 ? rc : retain(&w, &e);
	if (rc < 0 && e.class == ERR_CANCELLED)
		return;
	for (size_t i = 0; rc < 0 && i < w.rules.n; i++)
		retention_fails(&w.rules.v[i], e.msg);
	const bool good = tell(&w) && rc == 0;
	r->retained = (struct retention_clock){
		.ran = true, .ran_s = now_s, .rules = rules, .failed = !good
	};
	atomic_store(&r->unretained, !good);
}
