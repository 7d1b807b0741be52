/* SPDX-License-Identifier: Apache-2.0 */
/* Stores in Azure Blob: azure://ACCOUNT/CONTAINER[/PREFIX][?parameters], see docs/STORES.md. */
#ifndef AKSDR_STORE_AZURE_H
#define AKSDR_STORE_AZURE_H

#include "store/store.h"

/*
 * No request is made. With its second region around it as docs/STORES.md says. cancel is borrowed
 * and may be NULL. ERR_INVALID, ERR_NOMEM, and what place_parse() fails with.
 */
MUST_CHECK struct store *store_azure_open(const char *url, unsigned flags,
                                          const struct cancel *cancel, struct err *e);

#endif
