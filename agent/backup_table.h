/* SPDX-License-Identifier: Apache-2.0 */
/* What `aksdr-agent backup` prints: a row for each restore point that was made. */
#ifndef AKSDR_AGENT_BACKUP_TABLE_H
#define AKSDR_AGENT_BACKUP_TABLE_H

#include "common/table.h"
#include "repo/point.h"

/* NULL with ERR_NOMEM. */
MUST_CHECK struct table *backup_table_new(enum output output, struct err *e);

/* requests: of the store, for this point. people: ids are short. */
void backup_table_row(struct table *t, const struct point *p, uint64_t requests, bool people);

#endif
