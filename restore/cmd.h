/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of aksdr-restore, one file each, and what they share. */
#ifndef AKSDR_RESTORE_CMD_H
#define AKSDR_RESTORE_CMD_H

#include "common/verb.h"
#include "repo/repo.h"
#include "repo/tree.h"

extern const struct verb cmd_points, cmd_show, cmd_ls, cmd_get, cmd_export, cmd_volume;

/* Opens the repository for reading, with the program's token for stopping. */
MUST_CHECK int cmd_open(const struct verb_common *common, struct repo **ret, struct err *e);

/* Opens it, and the point that text names. The caller clears the point. */
MUST_CHECK int cmd_open_point(const struct verb_common *common, const char *text, struct repo **ret,
                              struct point *ret_point, struct err *e);

/* The same for verbs that read contents. ERR_DENIED: the key cannot, before anything is made. */
MUST_CHECK int cmd_open_data(const struct verb_common *common, const char *text, struct repo **ret,
                             struct point *ret_point, struct err *e);

#endif
