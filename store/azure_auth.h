/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks an Azure store: a workload's identity, a shared access signature,
 * an account key, or the machine's identity; the first of these that is set
 * up, or the one that the parameter `auth` names.
 *
 * Tokens of Entra are kept in locked memory and fetched anew at half their
 * life; the federated token's file is read again each time, since the kubelet
 * replaces it.
 */
#ifndef AKSDR_STORE_AZURE_AUTH_H
#define AKSDR_STORE_AZURE_AUTH_H

#include "common/http.h"
#include "store/place.h"
#include "store/wire.h"

enum azure_auth_kind { AZURE_WORKLOAD, AZURE_SAS, AZURE_KEY, AZURE_IMDS };

struct azure_auth;

/*
 * h (borrowed) is used for token requests, counted as op. ERR_INVALID (a
 * setting makes no sense, or `auth` names what is not set up), ERR_NOMEM.
 */
MUST_CHECK int azure_auth_new(const struct place *p, struct http *h, unsigned op,
                              struct azure_auth **ret, struct err *e);
void azure_auth_free(struct azure_auth *a);

/* Another monotonic clock, before the first request. */
void azure_auth_clock(struct azure_auth *a, int64_t (*now_ns)(void *arg), void *arg);

enum azure_auth_kind azure_auth_kind(const struct azure_auth *a);

/* "the identity 'CLIENT-ID'", "the shared access signature", ...: for messages. */
const char *azure_auth_who(const struct azure_auth *a);

/* What a connection string says of the service's address and its secondary, or NULL. */
const char *azure_auth_endpoint(const struct azure_auth *a);
const char *azure_auth_secondary(const struct azure_auth *a);

/*
 * Adds to w what proves who asks; *ret_query is to be appended to the URL's
 * query ("" for most), valid as long as a. Thread-safe.
 *   ERR_DENIED  the identity gets no token; says why and what to do
 *   ERR_RETRY   who gives tokens does not answer
 */
MUST_CHECK int azure_auth_apply(struct azure_auth *a, struct wire *w, uint64_t body_bytes,
                                const char **ret_query, struct err *e);

/* The token that w was sent with was refused: it is dropped. True: another one may be accepted. */
bool azure_auth_rejected(struct azure_auth *a, const struct wire *w);

/* When the shared access signature ends, as it says itself, or NULL. */
const char *azure_auth_expiry(const struct azure_auth *a);

#endif
