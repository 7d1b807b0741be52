/* SPDX-License-Identifier: Apache-2.0 */
/* Stores in S3 and what speaks like it: s3://BUCKET[/PREFIX][?parameters], see docs/STORES.md. */
#ifndef AKSDR_STORE_S3_H
#define AKSDR_STORE_S3_H

#include "store/store.h"

/*
 * No request is made, and no bucket. With its second region around it as docs/STORES.md says.
 * cancel is borrowed and may be NULL. ERR_INVALID, ERR_DENIED (no credentials), ERR_NOMEM, and
 * what place_parse() fails with.
 */
MUST_CHECK struct store *store_s3_open(const char *url, unsigned flags, const struct cancel *cancel,
                                       struct err *e);

#endif
