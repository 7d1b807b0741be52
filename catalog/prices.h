/* SPDX-License-Identifier: Apache-2.0 */
/* What storage costs, by a file that a person wrote (docs/REPORTS.md). */
#ifndef AKSDR_CATALOG_PRICES_H
#define AKSDR_CATALOG_PRICES_H

#include <jansson.h>

#include "catalog/report.h"

/*
 * Reads the YAML or JSON file: storageGibMonth, readGib (numbers from 0 to 1e6), copies (1 to 100),
 * currency. Texts are borrowed from *ret_document, which the caller decrefs.
 *   ERR_INVALID  "prices 'FILE': storageGibMonth: ..."
 *   ERR_FORMAT   no YAML
 *   others       of reading a file
 */
MUST_CHECK int prices_load(const char *path, struct report_prices *ret, json_t **ret_document,
                           struct err *e);
/* The same of a document. */
MUST_CHECK int prices_read(const json_t *document, struct report_prices *ret, struct err *e);

#endif
