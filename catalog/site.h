/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of a catalog for somebody who serves them: "/", how it stands, with links, and
 * "/reports/NAME" for each report that needs no prices, with a few arguments. Which page is wanted
 * is told apart from what is in it, and is pure.
 */
#ifndef AKSDR_CATALOG_SITE_H
#define AKSDR_CATALOG_SITE_H

#include "catalog/report.h"
#include "common/buf.h"

#define SITE_NAME_MAX 512
#define SITE_PAGE_MAX (4 * MIB) /* bytes of a page */

struct site_request {
	const struct report *report; /* NULL: how it stands */
	char cluster[SITE_NAME_MAX], namespace[SITE_NAME_MAX], volume[SITE_NAME_MAX]; /* "": all */
	int64_t target_s;                                                             /* 0: none */
};

/* ERR_NOT_FOUND: there is no such page. */
MUST_CHECK int site_path(const char *path, struct site_request *ret, struct err *e);
/*
 * An argument of it: cluster, namespace, volume (a pattern), and target (an age) where the report
 * has a meaning for it. value may be NULL. ERR_INVALID
 */
MUST_CHECK int site_argument(struct site_request *q, const char *name, const char *value,
                             struct err *e);

struct site_params {
	int64_t now_ns;
	int64_t until_ns;            /* as now_mono_ns(): it must be done by then; 0: any time */
	const struct cancel *cancel; /* may be NULL */
};

/*
 * Appends the page to b, whose limit it keeps.
 *   ERR_TOO_BIG    it takes too long, or does not fit
 *   ERR_CANCELLED  and those of the catalog
 */
MUST_CHECK int site_page(struct catalog *c, const struct site_request *q,
                         const struct site_params *p, struct buf *b, struct err *e);

#endif
