/* SPDX-License-Identifier: Apache-2.0 */
/* Reports as one page (common/html.h), with charts and with what their columns mean. */
#ifndef AKSDR_CATALOG_REPORT_HTML_H
#define AKSDR_CATALOG_REPORT_HTML_H

#include "catalog/report.h"
#include "common/html.h"

struct report_html_how {
	uint64_t limit; /* rows of each report (0: all); that there are more is said in the page */
	const struct html_link *up; /* to where the reader came from; NULL: nowhere */
};

/* Writes the page of n reports to f, row by row. */
MUST_CHECK int report_html_print(struct catalog *c, const struct report *const *reports, size_t n,
                                 const struct report_params *p, const struct report_html_how *how,
                                 FILE *f, struct err *e);

#endif
