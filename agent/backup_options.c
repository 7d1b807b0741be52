/* SPDX-License-Identifier: Apache-2.0 */
/* See backup_options.h. */
#include "agent/backup_options.h"

#include <stdio.h>
#include <stdlib.h>

int backup_options_exclude(struct backup_options *o, const char *pattern, struct err *e)
{
	if (o->job.nexcludes == BACKUP_EXCLUDES_MAX)
		return err_set(e, ERR_INVALID,
		               "there are more than %d patterns of what to leave out",
		               BACKUP_EXCLUDES_MAX);
	o->excludes[o->job.nexcludes++] = pattern;
	return 0;
}

int backup_options_hook(struct backup_options *o, enum hook_phase phase, const char *line,
                        struct err *e)
{
	if (o->moment.nhooks == MOMENT_HOOKS_MAX)
		return err_set(e, ERR_INVALID,
		               "there are more than %d commands by --pre and --post",
		               MOMENT_HOOKS_MAX);
	o->hooks[o->moment.nhooks++] = (struct hook){ .phase = phase, .line = line };
	return 0;
}

/* A limit that is set already is the node's share, which knows of the policy's. */
static int limit(uint64_t bytes_s, struct err *e)
{
	char rate[32];

	(void)snprintf(rate, sizeof(rate), "%llu", (unsigned long long)bytes_s);
	if (bytes_s > 0 && (setenv("AKSDR_LIMIT_UPLOAD", rate, 0) < 0 ||
	                    setenv("AKSDR_LIMIT_DOWNLOAD", rate, 0) < 0))
		return err_set(e, ERR_NOMEM, "no memory for the bandwidth of a policy");
	return 0;
}

int backup_options_policy(struct backup_options *o, const struct policy *p, struct err *e)
{
	if (policy_check(p, e) < 0)
		return -1;
	o->policy = p;
	if (!o->driver)
		o->driver = p->driver;
	if (!o->leases.class)
		o->leases.class = p->snapshot_class;
	if (!o->place.domain && *p->domain)
		o->place.domain = p->domain;
	if (o->reader == POLICY_READ_AUTO)
		o->reader = p->reader;
	if (!o->env.freeze_max_ms)
		o->env.freeze_max_ms = (unsigned)(p->freeze_timeout_s * 1000);
	for (size_t i = 0; i < p->exclude.n; i++)
		if (backup_options_exclude(o, p->exclude.v[i], e) < 0)
			return -1;
	o->job.skip_caches |= p->skip_caches;
	o->job.allow_empty |= p->allow_empty;
	o->job.changed_blocks |= p->changed_blocks;
	if (p->changed_blocks)
		o->job.full_every = (uint64_t)p->full_every;
	o->want = p->want;
	o->strict = p->on_less == POLICY_LESS_FAIL;
	return limit(p->bandwidth_bytes_s, e);
}

void backup_options_end(struct backup_options *o, bool dry_run)
{
	o->moment.driver = o->driver ? o->driver : "auto";
	o->moment.set = o->job.set;
	o->job.dry_run = dry_run;
	for (size_t i = 0; i < o->moment.nhooks; i++) {
		o->hooks[i].timeout_ms = o->hook_timeout_ms;
		o->hooks[i].on_error = o->on_hook_error;
	}
	if (dry_run) {
		o->moment.nhooks = 0;
		o->moment.driver = "live";
	}
}
