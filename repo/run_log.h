/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journals of runs (docs/FORMAT.md 17): what a failover, failback, drill or
 * restore has come to, step by step, so that somebody else can go on with it
 * after whatever happens to who began it, and so that it can be shown later.
 * A journal is a chain (repo/chain.h), ctl/run/RUN.
 */
#ifndef AKSDR_REPO_RUN_LOG_H
#define AKSDR_REPO_RUN_LOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/chain.h"

#define RUN_LOG_SCHEMA "aksdr/run/v1"
#define RUN_LOG_PREFIX "ctl/run"
#define RUN_LOG_ID 33       /* bytes of a run's name, with a NUL: 32 hexadecimal digits */
#define RUN_LOG_STEP_MAX 64 /* bytes of a step's name, with a NUL */

/* What all records have; of the kinds see docs/FORMAT.md. Borrowed from the JSON. */
struct run_entry {
	const char *kind; /* "failover", "drill", "failback", "restore" */
	const char *plan; /* "": of none */
	const char *step;
	int64_t at_ns; /* by the clock of who put it */
	const char *user, *host;
	bool by_admin; /* it was signed by the admin; set by run_log_list() alone */
};

void run_log_new(char ret[RUN_LOG_ID]);

/* The chain of a run, of which nothing was read yet. ERR_INVALID: no name of a run. */
MUST_CHECK int run_log_open(const char *run, struct chain *ret, struct err *e);

/* ERR_FORMAT unless the record is one of a journal. */
MUST_CHECK int run_log_entry(const json_t *record, const char *what, struct run_entry *ret,
                             struct err *e);

/*
 * The record of a step, as run_log_add() puts it. NULL with e; the caller decrefs.
 */
MUST_CHECK json_t *run_log_record(const char *kind, const char *plan, const char *step,
                                  const json_t *more, struct err *e);

/*
 * Adds a step: schema, at_ns and actor are set here, and the members of `more` (an object,
 * borrowed; NULL: none) are put beside the others. Errors as chain_add(); ERR_INVALID: a text
 * that is too long or no UTF-8, an unknown kind.
 */
MUST_CHECK int run_log_add(const struct repo *r, struct chain *c, const char *kind,
                           const char *plan, const char *step, const json_t *more, struct err *e);

/*
 * Calls each() for every run, in no particular order, with its first record. One that does not open
 * is passed over: a check tells of it. One LIST, and a GET a run. each() may stop by 1.
 */
MUST_CHECK int run_log_list(const struct repo *r,
                            int (*each)(void *arg, const char run[RUN_LOG_ID],
                                        const struct run_entry *first, const json_t *record,
                                        struct err *e),
                            void *arg, struct err *e);

#endif
