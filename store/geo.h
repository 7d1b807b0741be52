/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the second region is asked instead of the first: a circuit breaker.
 * It opens after some failures in a row, and lets one call at a time try the
 * first region again after a while; its success closes it. Pure; the caller
 * brings the time and guards it.
 */
#ifndef AKSDR_STORE_GEO_H
#define AKSDR_STORE_GEO_H

#include <stdbool.h>
#include <stdint.h>

struct store;

struct geo_breaker {
	unsigned threshold; /* failures in a row that open it */
	int64_t rest_ms;    /* how long it stays open before a trial */
	unsigned failed;    /* in a row */
	bool open, trying;
	int64_t trial_ms;  /* when the next trial may begin */
	int64_t opened_ms; /* since when it is open */
};

/* True: ask the first region (and tell how it went). False: do not. */
bool geo_breaker_ask(struct geo_breaker *b, int64_t now_ms);

/* How it went: answered (whatever the answer was), or not. */
void geo_breaker_tell(struct geo_breaker *b, bool answered, int64_t now_ms);

/* Another monotonic clock for a store of store_geo_new(), before its first call. */
void geo_clock(struct store *geo, int64_t (*now_ms)(void *arg), void *arg);

/*
 * The first region has been away for so long that a trial failed as well: what the second lacks is
 * not to be had for now.
 */
bool geo_breaker_gone(const struct geo_breaker *b, int64_t now_ms);

#endif
