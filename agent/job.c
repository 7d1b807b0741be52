/* SPDX-License-Identifier: Apache-2.0 */
/* See job.h. */
#include "agent/job.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "repo/fence.h"
#include "repo/writer.h"
#include "snapshot/snapshot.h"

#define TRIES_MAX 3 /* when a collection fences */

static int check_not_empty(const struct snapshot *s, const struct job_params *p, struct err *e)
{
	bool empty;

	if (p->allow_empty)
		return 0;
	if (snapshot_is_empty(s, &empty, e) < 0)
		return -1;
	if (empty)
		return err_set(
			e, ERR_INVALID,
			"'%s' is empty: a mount may be missing; pass --allow-empty if it is meant "
			"to be",
			s->origin);
	return 0;
}

static void tell_mounts(struct source *source, const struct snapshot *s, const char *volume)
{
	const char *const *paths;
	size_t total;

	if (s->block)
		return;
	size_t n = walk_mounts(source, &paths, &total);
	for (size_t i = 0; i < n; i++)
		log_warn("other file system left out", LOG_S("volume", volume),
		         LOG_S("path", paths[i]));
}

static const struct moment_volume *view_of(const struct job_params *p)
{
	return &p->moment->volumes[p->view];
}

/* The application may go on once the last volume that is read as it is has been read. */
static int all_read(void *arg, struct err *e)
{
	const struct job_params *p = arg;

	return p->last ? moment_posts(p->moment, p->view, e) : 0;
}

/* Whether the view's driver can tell what changed since the previous point: that one is in *ret. */
static bool find_base(const struct repo *r, const struct job_params *p, struct writer_previous *ret)
{
	const struct snapshot *s = view_of(p)->snapshot;
	struct point_volume volume = p->volume;
	struct err why = ERR_INIT;

	volume.block = s->block;
	if (!p->changed_blocks || p->force || !(s->ops->caps & SNAP_CAP_DIFF) || !s->token[0])
		return false;
	if (writer_previous(r, &volume, p->domain, ret, &why) < 0) {
		log_warn("all of the volume is read: its previous restore point cannot be",
		         LOG_S("volume", volume.name), LOG_S("why", why.msg));
		return false;
	}
	return ret->session[0] && ret->token[0] && strcmp(ret->driver, s->ops->name) == 0;
}

static void tell_changes(const struct point *p)
{
	const struct capture_changes *c = &p->capture.changes;

	if (c->wrong_bytes > 0)
		log_error("a driver's list of changes was wrong: it is not used for this volume "
		          "until a comparison finds it right again",
		          LOG_S("volume", p->volume.name), LOG_S("driver", p->driver),
		          LOG_U("bytes", c->wrong_bytes));
}

static int read_view(const struct repo *r, const struct job_params *p, struct point *ret,
                     struct err *e)
{
	const struct moment_volume *v = view_of(p);
	const struct snapshot *s = v->snapshot;
	const struct walk_params walk = {
		.cross_mounts = p->cross_mounts,
		.skip_caches = p->skip_caches,
		.drop_cache = p->drop_cache,
		.excludes = p->excludes,
		.nexcludes = p->nexcludes,
		.scratch_dir = r->state[0] ? r->state : NULL,
	};
	struct point_volume volume = p->volume;
	struct progress_counts counts = { 0 };
	struct writer_previous previous = { .session = "" };
	struct job_params args = *p;
	char label[POINT_NAME_MAX + 32];

	volume.block = s->block;
	bool based = find_base(r, p, &previous);
	struct source *source = snapshot_source(s, &walk, based ? previous.token : NULL, e);
	if (!source)
		return -1;
	const struct writer_params w = {
		.volume = &volume,
		.domain = p->domain,
		.set = p->set,
		.consistency = snapshot_consistency_name(s->consistency),
		.driver = s->ops->name,
		.capture = &v->capture,
		.all_read = all_read,
		.arg = &args,
		.base_session = based ? previous.session : NULL,
		.compare = previous.distrusted ||
		           (p->full_every && previous.unread_points + 1 >= p->full_every),
		.frozen_ns = s->freeze_ns,
		.epoch = v->epoch,
		.level = p->level,
		.verify_encode = p->verify_encode,
		.ignore_ctime = p->ignore_ctime,
		.still = s->ops->caps & SNAP_CAP_ATOMIC,
		.force = p->force,
		.take_over = p->take_over,
		.dry_run = p->dry_run,
		.threads = p->threads,
		.retries = WALK_RETRIES,
		.page_cache_bytes = p->page_cache_bytes,
		.counts = &counts,
	};
	(void)snprintf(label, sizeof(label), "backing up '%s'", volume.name);
	struct progress *shown = progress_start(label, p->progress, &counts);
	int rc = writer_backup(r, source, &w, ret, e);
	progress_stop(shown);
	if (rc == 0) {
		tell_mounts(source, s, volume.name);
		tell_changes(ret);
	}
	source->ops->free(source);
	return rc;
}

int job_backup(const struct repo *r, const struct job_params *p, struct point *ret, struct err *e)
{
	if (check_not_empty(view_of(p)->snapshot, p, e) < 0)
		return err_wrap(e, "volume '%s'", p->volume.name);
	const bool held = p->moment->posts_due;
	for (unsigned try = 1;; try++) {
		struct err why = ERR_INIT;

		if (read_view(r, p, ret, &why) == 0)
			break;
		/*
		 * Where there is one writer at a time, the other one is still there. And an
		 * application that was let go on is not as its hooks made it any more. And a site
		 * that is fenced stays so.
		 */
		if (why.class != ERR_BUSY || fence_is(&why) || r->params.single_writer ||
		    try == TRIES_MAX || held != p->moment->posts_due) {
			*e = why;
			return err_wrap(e, "volume '%s'", p->volume.name);
		}
		/* Most of what was uploaded is found again. */
		log_warn("fenced by a collection, which took the backup for dead; it is run again",
		         LOG_S("volume", p->volume.name));
	}
	if (ret->previous_missing)
		log_warn("the store does not show the restore point before this one, which was "
		         "not expired: it was lost, or is hidden",
		         LOG_S("volume", p->volume.name), LOG_S("missing", ret->previous_session));
	return 0;
}
