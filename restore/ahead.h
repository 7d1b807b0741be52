/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to read before it is asked for: reads of one file that follow each
 * other are told from reads here and there, and a run of them gets a window
 * that doubles. The kernel's own reads of a run come from several threads and
 * need not be in order. Pure; the caller locks.
 */
#ifndef AKSDR_RESTORE_AHEAD_H
#define AKSDR_RESTORE_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

/* One that reads. Zeroed: has read nothing. */
struct ahead {
	uint64_t next;   /* where a run goes on */
	uint64_t end;    /* up to there it was asked for */
	uint64_t window; /* 0: no run */
};

/*
 * [off, off + n) is being read. True: *ret_from and *ret_n are what to fetch now. max: bytes, at
 * least AHEAD_FIRST.
 */
#define AHEAD_FIRST ((uint64_t)1024 * 1024)
bool ahead_next(struct ahead *a, uint64_t off, uint64_t n, uint64_t max, uint64_t *ret_from,
                uint64_t *ret_n);

#endif
