/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journals of runs, reports of drills, and who serves which plan (docs/FORMAT.md 17), taken over
 * into the catalog: names are listed, and only records that are new here are fetched.
 */
#ifndef AKSDR_CATALOG_JOURNAL_H
#define AKSDR_CATALOG_JOURNAL_H

#include "catalog/catalog.h"
#include "repo/repo.h"

struct journal_params {
	/* A record that does not open or is none; it is asked for again by the next sync. */
	int (*bad)(void *arg, const char *key, const struct err *why, struct err *e);
	void *arg;
};

struct journal_result {
	uint64_t records; /* that are new here */
	uint64_t drills;  /* reports of drills that are new here */
};

/* Two LISTs, and a GET for each new record. Errors of the store and the catalog. */
MUST_CHECK int journal_sync(struct catalog *c, const struct repo *r,
                            const struct journal_params *params, struct journal_result *ret,
                            struct err *e);

#endif
