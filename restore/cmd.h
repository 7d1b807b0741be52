/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of aksdr-restore, one file each, and what they share. */
#ifndef AKSDR_RESTORE_CMD_H
#define AKSDR_RESTORE_CMD_H

#include "common/verb.h"
#include "repo/note.h"
#include "repo/repo.h"
#include "repo/tree.h"
#include "restore/scope.h"

extern const struct verb cmd_points, cmd_show, cmd_ls, cmd_diff, cmd_get, cmd_export, cmd_mount;
extern const struct verb cmd_volume;
extern const struct verb cmd_serve, cmd_promote, cmd_drill, cmd_drills;
extern const struct verb cmd_plan;
extern const struct verb cmd_plan, cmd_run, cmd_failover, cmd_failback, cmd_approve, cmd_populate,
	cmd_standby;
extern const struct verb cmd_fence, cmd_unfence, cmd_accept, cmd_fences;

/* Opens the repository for reading, with the program's token for stopping. */
MUST_CHECK int cmd_open(const struct verb_common *common, struct repo **ret, struct err *e);

/* Opens it, and the point that text names. The caller clears the point. */
MUST_CHECK int cmd_open_point(const struct verb_common *common, const char *text, struct repo **ret,
                              struct point *ret_point, struct err *e);

/*
 * Another point of the volume that NAME[@POINT] names: by POINT alone, or NAME@POINT. The caller
 * clears it.
 */
MUST_CHECK int cmd_find_other(const struct repo *r, const char *name, const char *other,
                              struct point *ret_point, struct err *e);

/* Opens the repository for reading contents. ERR_DENIED: the key cannot. */
MUST_CHECK int cmd_open_contents(const struct verb_common *common, struct repo **ret,
                                 struct err *e);

/*
 * As cmd_open_point(), for verbs that read contents. ERR_DENIED: the key cannot, before anything is
 * made.
 */
MUST_CHECK int cmd_open_data(const struct verb_common *common, const char *text, struct repo **ret,
                             struct point *ret_point, struct err *e);

/* What `plan` tells, for others' --dry-run. */
MUST_CHECK int cmd_plan_tell(const struct scope *s, const struct verb_common *common,
                             const struct repo *r, bool fences, struct err *e);

/*
 * A note in the store that the point is being read, so that no collection takes it away should it
 * expire meanwhile. Only where the key signs and the store can be written: a restore must not
 * depend on it. It goes with the scope.
 */
struct cmd_pin {
	const struct repo *repo;
	char key[NOTE_KEY_MAX]; /* "": there is none */
};
void cmd_pin(const struct verb_common *common, const struct repo *r, const struct point *p,
             struct cmd_pin *ret);
void cmd_unpin(struct cmd_pin *p);
#define auto_unpin CLEANUP(cmd_unpin)

#endif
