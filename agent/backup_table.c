/* SPDX-License-Identifier: Apache-2.0 */
/* See backup_table.h. */
#include "agent/backup_table.h"

#include <stdio.h>

#include "common/clean.h"

#define SHORT_ID 8 /* digits that people are shown */

static const struct table_column columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT },
	{ "point", "POINT", TABLE_TEXT },
	{ "sequence", "SEQ", TABLE_NUMBER },
	{ "frozen", NULL, TABLE_TIME },
	{ "consistency", "CONSISTENCY", TABLE_TEXT },
	{ "files", "FILES", TABLE_NUMBER },
	{ "logical_bytes", "SIZE", TABLE_BYTES },
	{ "read_bytes", "READ", TABLE_BYTES },
	{ "new_bytes", "NEW", TABLE_BYTES },
	{ "stored_bytes", "STORED", TABLE_BYTES },
	{ "duration_ms", "TOOK", TABLE_DURATION },
	{ "unreadable", "UNREADABLE", TABLE_NUMBER },
	{ "changed", "CHANGED", TABLE_NUMBER },
	{ "session", NULL, TABLE_TEXT },
	{ "set", NULL, TABLE_TEXT },
	{ "requests", NULL, TABLE_NUMBER },
	{ "driver", NULL, TABLE_TEXT },
	{ "frozen_ms", NULL, TABLE_NUMBER },
	{ "moment", NULL, TABLE_TEXT },
	{ "fallback", NULL, TABLE_TEXT },
};

struct table *backup_table_new(enum output output, struct err *e)
{
	return table_new("aksdr/backup/v1", columns, ARRAY_LEN(columns), output, e);
}

void backup_table_row(struct table *t, const struct point *p, uint64_t requests, bool people)
{
	char id[33];

	(void)snprintf(id, people ? SHORT_ID + 1 : sizeof(id), "%s", p->id);
	table_row(t);
	table_text(t, p->volume.name);
	table_text(t, id);
	table_number(t, (int64_t)p->sequence);
	table_number(t, p->frozen_ns);
	table_text(t, p->consistency);
	table_number(t, (int64_t)(p->files + p->directories + p->others));
	table_number(t, (int64_t)p->bytes_logical);
	table_number(t, (int64_t)p->bytes_read);
	table_number(t, (int64_t)p->bytes_new);
	table_number(t, (int64_t)p->bytes_stored);
	table_number(t, (p->finished_ns - p->started_ns) / 1000000);
	table_number(t, (int64_t)p->unreadable);
	table_number(t, (int64_t)p->changed);
	table_text(t, p->session);
	table_text(t, p->set);
	table_number(t, (int64_t)requests);
	table_text(t, p->driver);
	table_number(t, (p->capture.thawed_ns - p->capture.frozen_ns) / 1000000);
	table_text(t, p->capture.moment);
	table_text(t, p->capture.fallback ? p->capture.fallback : "");
}
