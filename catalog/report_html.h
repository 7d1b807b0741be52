/* SPDX-License-Identifier: Apache-2.0 */
/* Reports as one page (common/html.h), with charts and with what their columns mean. */
#ifndef AKSDR_CATALOG_REPORT_HTML_H
#define AKSDR_CATALOG_REPORT_HTML_H

#include "catalog/report.h"

/*
 * Writes the page of n reports to f, row by row. limit: rows of each (0: all); that there are more
 * is said in the page.
 */
MUST_CHECK int report_html_print(struct catalog *c, const struct report *const *reports, size_t n,
                                 const struct report_params *p, uint64_t limit, FILE *f,
                                 struct err *e);

#endif
