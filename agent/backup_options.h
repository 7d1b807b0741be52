/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a backup is told: by options, and for what no option says by a BackupPolicy. Texts are
 * borrowed for as long as the options live.
 */
#ifndef AKSDR_AGENT_BACKUP_OPTIONS_H
#define AKSDR_AGENT_BACKUP_OPTIONS_H

#include "agent/claim_job.h"
#include "agent/claim_leases.h"
#include "agent/job.h"
#include "agent/volume_name.h"

#define BACKUP_EXCLUDES_MAX 256
#define BACKUP_VOLUMES_MAX 64

struct backup_options {
	struct volume_place place;
	struct snapshot_env env;
	struct moment_params moment; /* of env and hooks; the driver at backup_options_end() */
	struct hook hooks[MOMENT_HOOKS_MAX];
	unsigned hook_timeout_ms; /* 0: the usual one */
	enum hook_on_error on_hook_error;
	struct job_params job; /* of excludes */
	const char *excludes[BACKUP_EXCLUDES_MAX];
	const char *driver;  /* NULL: not said */
	const char *metrics; /* file that is written; NULL: none */
	bool extend_locks;

	/* of claims */
	struct claim_leases_params leases;
	const char *mover_file; /* template; NULL: none */
	const char *kubelet_dir;
	enum policy_reader reader;
	enum snapshot_consistency want; /* with strict: less makes no point */
	bool strict;
	const char *azure_disks; /* NULL: not said */
	const struct policy *policy;

	/* of a mover, which is given its view */
	const char *given_view, *given_result;
};

/* For an object at o: nothing is said yet. */
#define BACKUP_OPTIONS(o)                                                                     \
	{                                                                                     \
		.place = { .cluster = "", .namespace = "", .uid = "" },                       \
		.moment = { .env = &(o).env, .driver = "auto", .hooks = (o).hooks },          \
		.on_hook_error = HOOK_FAIL,                                                   \
		.job = { .excludes = (o).excludes, .verify_encode = true, .full_every = 10 }, \
		.leases = { .slot_s = SCHED_NONE },                                           \
	}

/* ERR_INVALID: there are too many. */
MUST_CHECK int backup_options_exclude(struct backup_options *o, const char *pattern, struct err *e);
MUST_CHECK int backup_options_hook(struct backup_options *o, enum hook_phase phase,
                                   const char *line, struct err *e);

/*
 * The policy, which must outlive o, for what is not said. Its bandwidth becomes this process's
 * limit, unless it has one. ERR_INVALID: the policy has a mistake, or too much to leave out.
 */
MUST_CHECK int backup_options_policy(struct backup_options *o, const struct policy *p,
                                     struct err *e);

/* All is said. dry_run: nothing is made or run, volumes are looked at as they are. */
void backup_options_end(struct backup_options *o, bool dry_run);

#endif
