/* SPDX-License-Identifier: Apache-2.0 */
/* How it stands (catalog/standing.h) as a page (common/html.h). */
#ifndef AKSDR_CATALOG_STANDING_HTML_H
#define AKSDR_CATALOG_STANDING_HTML_H

#include "catalog/standing.h"
#include "common/html.h"

/* What a server has besides. */
struct standing_html_more {
	int64_t synced_ns;             /* when the catalog was brought up to the store; 0: never */
	const struct html_link *links; /* to reports */
	size_t nlinks;
};

/* Appends the whole page; a failure of b is sticky. more may be NULL. */
void standing_html(const struct standing_answer *a, int64_t now_ns,
                   const struct standing_html_more *more, struct buf *b);

#endif
