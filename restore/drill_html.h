/* SPDX-License-Identifier: Apache-2.0 */
/* The report of a drill as a page for people (restore/drill_report.h). */
#ifndef AKSDR_RESTORE_DRILL_HTML_H
#define AKSDR_RESTORE_DRILL_HTML_H

#include "common/buf.h"
#include "restore/drill_report.h"

/*
 * One page that needs nothing else: no script, no picture, no other file; light and dark; for
 * paper, too. Appended to b, whose failure is sticky. All texts of the report are escaped.
 */
void drill_html_put(const struct drill_report *r, struct buf *b);

#endif
