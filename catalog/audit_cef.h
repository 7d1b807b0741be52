/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the audit trail in the Common Event Format, version 0 (ArcSight
 * CEF Implementation Standard): "CEF:0|vendor|product|version|id|name|severity|
 * extension". Within the header '\' and '|' are escaped, within values of the
 * extension '\' and '=', and ends of lines. docs/AUDIT.md has the mapping. Pure.
 */
#ifndef AKSDR_CATALOG_AUDIT_CEF_H
#define AKSDR_CATALOG_AUDIT_CEF_H

#include "common/buf.h"
#include "repo/audit_record.h"

/* Appends one line with its end. signed_by: the key of the batch; chain: "WRITER/PLACE". */
void audit_cef_put(struct buf *b, const struct audit_record *r, const char *signed_by,
                   const char *chain);

#endif
