/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports: questions that auditors and operators ask again and again (docs/REPORTS.md). Each is
 * one statement of catalog/report/NAME.sql behind what all begin with (common.sql), and a
 * description of its columns. What a report says depends on the rows of the catalog and on the
 * parameters alone: no clock, no time zone, no locale.
 */
#ifndef AKSDR_CATALOG_REPORT_H
#define AKSDR_CATALOG_REPORT_H

#include <stdio.h>

#include "catalog/catalog.h"
#include "common/cancel.h"
#include "common/table.h"

#define REPORT_PAGE_ROWS 1000                               /* of a report in a page */
#define REPORT_PERIOD_NS ((int64_t)30 * 86400 * 1000000000) /* where none is given */
#define REPORTS_MAX 32                                      /* of one page */

struct report_column {
	const char *name, *title; /* as of struct table_column; title never NULL */
	enum table_kind kind;
	bool wide;        /* left out of a table on a terminal */
	const char *help; /* what it is, for people */
};

enum report_chart_kind {
	REPORT_BARS, /* rows of a text and a number */
	REPORT_LINE  /* rows of a time in ns and a number */
};

struct report_chart {
	enum report_chart_kind kind;
	const char *title; /* with its unit */
	const char *sql;
};

struct report {
	const char *name, *title;
	const char *text; /* what it answers, and what it cannot know */
	const char *sql;
	const struct report_column *columns;
	size_t ncolumns;
	const struct report_chart *chart; /* NULL: none */
	unsigned uses;                    /* REPORT_USES_* */
};

enum {
	REPORT_USES_TARGET = 1 << 0, /* :target_s */
	REPORT_USES_PERIOD = 1 << 1, /* :from, :to */
	REPORT_USES_POLICY = 1 << 2,
	REPORT_USES_PRICES = 1 << 3 /* and cannot do without */
};

extern const struct report report_all[];
extern const size_t report_count;
extern const struct report report_sample; /* which is none of them: it needs a seed */

/* ERR_INVALID names the nearest. */
MUST_CHECK int report_find(const char *name, const struct report **ret, struct err *e);

struct report_prices {
	const char *currency;               /* NULL: there are no prices */
	double storage_gib_month, read_gib; /* of one copy; of one GiB that is read back */
	int64_t copies;                     /* that are paid for */
};

struct report_params {
	int64_t as_of_ns, from_ns, to_ns;                  /* from < to <= as_of */
	int64_t target_s;                                  /* 0: none */
	const char *cluster, *namespace, *volume, *policy; /* NULL: all */
	struct report_prices prices;
	const char *seed;            /* of a sample; NULL: none */
	int64_t n;                   /* points of a sample */
	const struct cancel *cancel; /* may be NULL */
	int64_t until_ns;            /* as now_mono_ns(): longer is ERR_TOO_BIG; 0: any time */
};

/* The end of what the catalog has seen: no time before it is `now`. */
MUST_CHECK int report_newest(struct catalog *c, int64_t *ret_ns, struct err *e);

/*
 * Calls each() for each row of sql (of a report or a chart) with its statement. each() may end it
 * by 1.
 *   ERR_CANCELLED, ERR_TOO_BIG, those of catalog_step(), of each()
 */
MUST_CHECK int report_each(struct catalog *c, const char *sql, const struct report_params *p,
                           int (*each)(void *arg, sqlite3_stmt *row, struct err *e), void *arg,
                           struct err *e);

/* How many rows have which `state`, in the order of names. As report_each(): a text, a number. */
MUST_CHECK int report_states(struct catalog *c, const struct report *r,
                             const struct report_params *p,
                             int (*each)(void *arg, sqlite3_stmt *row, struct err *e), void *arg,
                             struct err *e);
bool report_has_state(const struct report *r);

/* The parameters as JSON, for the head of an answer. NULL: e. The caller decrefs. */
struct json_t;
MUST_CHECK struct json_t *report_head(const struct report *r, const struct report_params *p,
                                      struct err *e);

/*
 * Writes the rows as a table, as JSON ("aksdr/report/NAME/v1") or as CSV. limit: rows of a table
 * (0: all); *ret_more: there are more.
 */
MUST_CHECK int report_print(struct catalog *c, const struct report *r,
                            const struct report_params *p, enum output output, uint64_t limit,
                            FILE *f, bool *ret_more, struct err *e);

#endif
