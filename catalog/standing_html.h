/* SPDX-License-Identifier: Apache-2.0 */
/* How it stands (catalog/standing.h) as a page (common/html.h). */
#ifndef AKSDR_CATALOG_STANDING_HTML_H
#define AKSDR_CATALOG_STANDING_HTML_H

#include "catalog/standing.h"

/* Appends the whole page; a failure of b is sticky. */
void standing_html(const struct standing_answer *a, int64_t now_ns, struct buf *b);

#endif
