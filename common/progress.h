/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person sees of a long job: on a terminal one line redrawn at most
 * four times a second (bytes, share, rate, time left, files), elsewhere one
 * log line every 30 s. Counters are atomics that pipeline threads add to;
 * a thread of its own draws.
 */
#ifndef AKSDR_COMMON_PROGRESS_H
#define AKSDR_COMMON_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum progress_mode { PROGRESS_AUTO, PROGRESS_ALWAYS, PROGRESS_NEVER };

struct progress_counts {
	_Atomic uint64_t bytes_total; /* 0: not known */
	_Atomic uint64_t bytes_done;
	_Atomic uint64_t files_total; /* 0: not known */
	_Atomic uint64_t files_done;
	_Atomic uint64_t bytes_stored; /* uploaded or fetched */
	_Atomic uint64_t errors;
};

struct progress;

/*
 * verb: "backing up 'data'". NULL when mode says nothing is to be shown, or no
 * memory: both are fine. AUTO: a line on a terminal, else log lines.
 */
struct progress *progress_start(const char *verb, enum progress_mode mode,
                                const struct progress_counts *counts);
/* The same, drawing or logging every every_ms, for tests; 0: as often as progress_start(). */
struct progress *progress_start_every(const char *verb, enum progress_mode mode,
                                      const struct progress_counts *counts, int64_t every_ms);
void progress_stop(struct progress *take_p); /* clears the line; NULL is fine */

/* The line itself, for tests: pure. elapsed_ms > 0. */
void progress_line(char *ret, size_t ret_max, const char *verb, const struct progress_counts *c,
                   int64_t elapsed_ms, unsigned columns);

#endif
