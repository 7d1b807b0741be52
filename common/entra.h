/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of Entra for one service of Azure, for who asks without a person: a workload's identity,
 * whose federated token is exchanged, or the machine's own (IMDS).
 *
 * Tokens are kept in locked memory and fetched anew at half their life; the federated token's file
 * is read again each time, since the kubelet replaces it.
 */
#ifndef AKSDR_COMMON_ENTRA_H
#define AKSDR_COMMON_ENTRA_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/http.h"

#define ENTRA_TOKEN_MAX (32 * KIB) /* bytes of a token */

struct entra;

struct entra_params {
	bool machine;         /* the machine's identity, not the workload's */
	const char *resource; /* what the tokens are for: "https://storage.azure.com" */
	struct http *http; /* borrowed, for as long as the struct entra; may be NULL till asked */
	unsigned op;       /* token requests are counted as */
	/* NULL or not empty; of AZURE_CLIENT_ID and so on. NULL: the environment. */
	const char *(*setting)(const void *arg, const char *name);
	const void *arg;
	const char *absent; /* said when the machine never had the service; copied */
};

/* Whether AZURE_FEDERATED_TOKEN_FILE is set. */
bool entra_has_workload(const struct entra_params *p);

/* ERR_INVALID (a setting is missing, and which), ERR_NOMEM. */
MUST_CHECK struct entra *entra_new(const struct entra_params *p, struct err *e);
void entra_free(struct entra *x);
static inline void clean_entra(struct entra *const *x)
{
	entra_free(*x);
}
#define auto_entra CLEANUP(clean_entra)

/* Another monotonic clock, before the first request. */
void entra_clock(struct entra *x, int64_t (*now_ns)(void *arg), void *arg);

/* "the identity 'CLIENT-ID'", "the machine's identity": for messages. */
const char *entra_who(const struct entra *x);

/*
 * Appends "Bearer TOKEN" to b, which the caller wipes. Thread-safe; blocks while one is fetched.
 *   ERR_DENIED  the identity gets no token; says why and what to do
 *   ERR_RETRY   who gives tokens does not answer
 */
MUST_CHECK int entra_bearer(struct entra *x, struct buf *b, struct err *e);

/* This "Bearer TOKEN" was refused: the token is dropped, unless there is another one by now. */
void entra_rejected(struct entra *x, const char *bearer);

#endif
