/* SPDX-License-Identifier: Apache-2.0 */
/* See backup.h. */
#include "agent/backup.h"

#include <stdio.h>
#include <string.h>

#include "agent/backup_table.h"
#include "agent/given.h"
#include "agent/workplace.h"
#include "common/act.h"
#include "common/log.h"
#include "common/metric.h"
#include "repo/fence.h"
#include "repo/protect.h"
#include "store/traffic.h"

/* ---- one after the other ---- */

static void tell_problems(const struct point *p)
{
	for (size_t i = 0; i < p->nproblems; i++)
		log_warn("file not saved as it is", LOG_S("volume", p->volume.name),
		         LOG_S("path", p->problems[i].path), LOG_S("why", p->problems[i].why));
	if (p->unreadable + p->changed > p->nproblems)
		log_warn("more files not saved as they are", LOG_S("volume", p->volume.name),
		         LOG_U("count", p->unreadable + p->changed - p->nproblems));
}

static void note_failure(struct backup *b, const char *name, const struct err *why, bool last)
{
	if (!b->failed)
		b->first = *why;
	b->failed = true;
	if (!last && why->class != ERR_CANCELLED)
		log_error("volume not backed up", LOG_S("volume", name), LOG_S("why", why->msg));
}

static void note_point(struct backup *b, const struct point *p, uint64_t requests, struct table *t)
{
	tell_problems(p);
	act_object("%s@%s", p->volume.name, p->id);
	b->unreadable += p->unreadable;
	memcpy(b->sessions[b->done++], p->session, POINT_SESSION_LEN);
	backup_table_row(t, p, requests, b->common->output == OUTPUT_TABLE);
	b->last = *p;
}

/* Reads the view of volume i to the commit. */
static int read_one(struct backup *b, const struct repo *r, size_t i, struct job_params *job,
                    struct point *p, uint64_t *ret_requests, struct err *e)
{
	/* The first one pays for opening the repository. */
	const uint64_t before = i > 0 ? store_requests(r->store) : 0;
	struct store_traffic moved = { 0 };

	const int rc = b->claims
	                       ? backup_claims_read(b->claims, i, r, job, job->moment, p, &moved, e)
	                       : job_backup(r, job, p, e);
	*ret_requests = store_requests(r->store) - before + traffic_requests(&moved);
	traffic_sum(&b->traffic, &moved);
	return rc;
}

/* What is not wanted any more is not read. */
static void read_all(struct backup *b, const struct repo *r, struct moment *m, struct table *t)
{
	struct job_params *job = &b->options->job;

	job->moment = m;
	for (size_t i = 0; i < m->n; i++) {
		struct moment_volume *v = &m->volumes[i];
		struct point p = { 0 };
		struct err why = v->why;
		uint64_t requests = 0;

		job->volume = b->volumes[i];
		job->view = i;
		job->last = true;
		for (size_t k = i + 1; k < m->n; k++)
			job->last = job->last && !m->volumes[k].snapshot;
		/* The other volumes are still worth saving. */
		bool made = v->snapshot && read_one(b, r, i, job, &p, &requests, &why) == 0;
		moment_release(v, made);
		if (b->claims)
			backup_claims_end(b->claims, i, made ? &p : NULL, &why);
		if (made) {
			note_point(b, &p, requests, t);
			point_clear(&p);
			continue;
		}
		if (!v->snapshot && why.class != ERR_NONE)
			err_wrap(&why, "volume '%s'", v->name);
		note_failure(b, v->name, &why, i + 1 == m->n);
		if (why.class == ERR_CANCELLED)
			return;
	}
}

/* ---- the end ---- */

static int may_lock(const struct backup *b, const struct repo *r, struct err *e)
{
	if (!b->options->extend_locks || r->store->lock_s > 0)
		return 0;
	return err_set(e, ERR_INVALID,
	               "--extend-locks needs a store that locks what it gets: add lock=30d to its "
	               "URL");
}

/* The points are made; whatever fails here is done by the next `aksdr-catalog lock`. */
static int lock_made(const struct backup *b, const struct repo *r, struct err *e)
{
	const char *names[BACKUP_VOLUMES_MAX];
	const struct protect_params params = {
		.sessions = names,
		.nsessions = b->done,
		.lock_s = r->store->lock_s,
		.margin_s = r->store->lock_s / PROTECT_MARGIN_SHARE,
		.threads = b->options->job.threads,
	};
	struct protect_result result;

	if (!b->options->extend_locks || b->options->job.dry_run || b->done == 0)
		return 0;
	for (size_t i = 0; i < b->done; i++)
		names[i] = b->sessions[i];
	if (protect_run(r, &params, &result, e) < 0) {
		err_wrap(e, "the restore points are made, and not locked");
		e->class = ERR_PARTIAL;
		return -1;
	}
	if (result.covered == result.points && result.unreadable == 0)
		return 0;
	return err_set(e, ERR_PARTIAL, "the restore points are made, and not locked: %.300s",
	               result.refusal.class == ERR_NONE ? "not all that they use can be read"
	                                                : result.refusal.msg);
}

static int write_metrics(const struct backup *b, const struct repo *r, struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(METRIC_TEXT_MAX);
	struct store_traffic t = store_traffic(r->store);

	traffic_sum(&t, &b->traffic);
	traffic_put(&t, METRIC_GAUGE, &text);
	return metric_write(&text, b->options->metrics, e);
}

static int conclude(struct backup *b, const struct repo *r, struct table *t, struct err *e)
{
	const struct verb_common *c = b->common;
	struct err unlocked = ERR_INIT;
	bool locked = lock_made(b, r, &unlocked) == 0;

	if (!locked && (b->failed || b->unreadable))
		log_warn("restore points not locked", LOG_S("why", unlocked.msg));
	if (b->options->metrics && write_metrics(b, r, e) < 0)
		return -1;
	if (b->done && !(c->quiet && c->output == OUTPUT_TABLE) &&
	    table_print(t, stdout, NULL, e) < 0)
		return -1;
	if (b->failed) {
		*e = b->first;
		if (b->done && e->class != ERR_CANCELLED)
			e->class = ERR_PARTIAL;
		return -1;
	}
	if (b->unreadable)
		return err_set(e, ERR_PARTIAL,
		               "%llu %s could not be read and %s not in the restore point",
		               (unsigned long long)b->unreadable,
		               b->unreadable == 1 ? "entry" : "entries",
		               b->unreadable == 1 ? "is" : "are");
	if (!locked) {
		*e = unlocked;
		return -1;
	}
	return 0;
}

int backup_tell_result(const struct backup *b, const struct err *why, struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(RESULT_MAX);

	if (given_result_write(b->done && why ? &b->last : NULL, why, &b->traffic, &text, e) < 0)
		return -1;
	return result_save(b->options->given_result, &text, e);
}

/* ---- all of it ---- */

/* Where snapshots are noted; what earlier runs left is removed. Without it: live reads. */
static void open_workplace(struct backup_options *o, const char *state, struct workplace *w)
{
	struct err why = ERR_INIT;
	size_t removed = 0;

	if (workplace_open(state, w, &why) < 0) {
		log_warn("no snapshots can be made", LOG_S("why", why.msg));
		return;
	}
	o->env.keep_no_base = !o->job.changed_blocks;
	o->env.journal = w->journal;
	o->env.scratch_dir = w->scratch;
	if (workplace_tidy(w, &removed, &why) < 0)
		log_warn("what an earlier run left could not be removed", LOG_S("why", why.msg));
	if (removed > 0)
		log_info("removed what earlier runs left", LOG_U("count", removed));
}

/* The views, ready to be read: taken by us, or given. */
static int take_views(struct backup *b, const struct repo *r, struct moment *m, struct err *e)
{
	const struct backup_options *o = b->options;
	const char *unhooked = b->claims ? b->claims->in_pods.unused : NULL;

	for (size_t i = 0; i < b->n; i++) {
		b->views[i] = (struct moment_volume){ .name = b->volumes[i].name,
			                              .path = b->paths[i],
			                              .epoch = fence_epoch(r) };
		*m = (struct moment){ .volumes = b->views, .n = i + 1 };
		if (unhooked && capture_add_note(&b->views[i].capture, unhooked, e) < 0)
			return -1;
	}
	if (b->claims && backup_claims_describe(b->claims, b->views, b->n, e) < 0)
		return -1;
	if (!o->given_view) {
		moment_take(m, &o->moment, b->views, b->n);
		return 0;
	}
	*m = (struct moment){ .params = &o->moment, .volumes = b->views, .n = 1 };
	return given_read(o->given_view, &o->env, &b->views[0], e);
}

static int back_up(struct backup *b, const struct repo *r, struct err *e)
{
	const struct verb_common *c = b->common;
	struct backup_options *o = b->options;

	if (may_lock(b, r, e) < 0)
		return -1;
	for (size_t i = 0; i < b->n; i++) {
		if (fence_refuse(r, &b->volumes[i], fence_epoch(r), e) < 0)
			return -1;
	}
	if (r->params.single_writer && !o->job.dry_run)
		log_warn("this repository has a single writer at a time: its store cannot keep "
		         "writers apart");
	auto_table struct table *t = backup_table_new(c->output, e);
	if (!t)
		return -1;
	CLEANUP(workplace_close) struct workplace w = { NULL, NULL };
	if (!o->job.dry_run)
		open_workplace(o, c->state, &w);
	CLEANUP(moment_end) struct moment m = { .n = 0 };
	if (take_views(b, r, &m, e) < 0)
		return -1;
	read_all(b, r, &m, t);
	return conclude(b, r, t, e);
}

int backup_run(struct backup *b, struct err *e)
{
	const struct verb_common *c = b->common;
	const struct backup_options *o = b->options;
	auto_repo struct repo *r = NULL;

	if (repo_open_url(c->store, o->job.dry_run ? STORE_READONLY : 0, c->key, c->passphrase_file,
	                  c->state, o->moment.cancel, &r, e) < 0)
		return -1;
	const int rc = back_up(b, r, e);
	const struct store_traffic own = store_traffic(r->store);
	traffic_sum(&b->traffic, &own);
	return rc;
}
