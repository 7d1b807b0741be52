/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authorization by an account key: "Authorize with Shared Key" of the Azure
 * Storage REST reference. Pure.
 */
#ifndef AKSDR_STORE_AZURE_SIGN_H
#define AKSDR_STORE_AZURE_SIGN_H

#include "common/buf.h"
#include "store/wire.h"

/*
 * Appends what is signed. body_bytes: of the request, 0 also for none. The
 * wire is sorted, and has its x-ms-date.
 */
void azure_sign_text(struct wire *w, const char *account, uint64_t body_bytes, struct buf *ret);

/* Sorts the wire and adds the header `authorization`. account: without "-secondary". */
MUST_CHECK int azure_sign(struct wire *w, const char *account, const uint8_t *key, size_t key_bytes,
                          uint64_t body_bytes, struct err *e);

#endif
