/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store in bad weather, for tests: it keeps what docs/CONCURRENCY.md asks
 * of a store (create-if-absent, reads and lists that show what is there), and
 * does everything else that a network may do. Calls fail before or after they
 * were applied; puts and deletes are applied twice, or later, by whoever looks
 * into the directory of late calls next, when the caller has given up or is
 * dead; lists take long and break off. Several processes share the store
 * below, and the directory of late calls.
 */
#ifndef AKSDR_TESTS_STORM_STORE_H
#define AKSDR_TESTS_STORM_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

/* A number that follows from another one, with every bit mixed. */
static inline uint64_t storm_mix(uint64_t z)
{
	z += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* How many of 10000 calls meet what. All zero: fair weather. */
struct storm_weather {
	unsigned fail;    /* not applied, and an error */
	unsigned lost;    /* applied, and an error */
	unsigned taken;   /* puts: applied, and ERR_EXISTS, as when a proxy has sent them twice */
	unsigned late;    /* puts and deletes: an error, and applied later */
	unsigned twice;   /* puts and deletes: applied, and once more later */
	unsigned late_ms; /* at most so much later; most are sooner */
	unsigned slow;    /* a wait before or after, of up to slow_us */
	unsigned slow_us;
	unsigned paged;   /* lists that wait between items */
	unsigned cut;     /* lists that end with an error after some items */
	unsigned outage;  /* from here on everything fails, for up to 50 calls */
	unsigned refused; /* reads: ERR_DENIED, once */
	unsigned hidden;  /* items that a list leaves out: this breaks the contract */
	/* Puts are late and applied twice below this prefix only; NULL: wherever */
	const char *below;
};

struct storm_plan {
	uint64_t seed;
	struct storm_weather weather;
	const char *late_dir; /* of late calls; NULL: none are late */
	int trace_fd;         /* a line for each call; -1: none */
	/* The process is killed at this call, from 1 on, before or after it is made; 0: never */
	uint64_t dies_at;
	bool dies_after;
};

/* Takes the store below, also when it fails. plan is copied, late_dir borrowed. */
MUST_CHECK struct store *storm_store_new(struct store *take_inner, const struct storm_plan *plan,
                                         struct err *e);

/* How many calls were made. */
uint64_t storm_store_calls(const struct store *s);

/* Applies late calls that are due (all: every one) to the store. Returns how many there were. */
size_t storm_late_apply(struct store *store, const char *late_dir, bool all, int trace_fd);

#endif
