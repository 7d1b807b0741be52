/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long to wait before a failed call is repeated: exponential with full
 * jitter, within a budget of time. Pure: the caller brings the time that has
 * passed and the random number. Full jitter, a wait drawn evenly from zero to
 * the current ceiling, spreads many clients that failed at one moment best
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 */
#ifndef AKSDR_COMMON_BACKOFF_H
#define AKSDR_COMMON_BACKOFF_H

#include <stdint.h>

struct backoff {
	int64_t budget_ms;  /* no repetition starts later than this after the first call */
	int64_t first_ms;   /* ceiling of the first wait; it doubles with each further one */
	int64_t longest_ms; /* the ceiling stops here */
};

/*
 * Milliseconds to wait before the next try, at least 1: `failed` tries have
 * failed (1 or more), elapsed_ms have passed since the first one began,
 * random is any 64-bit number. A wait that would pass the budget ends with
 * it, so that the last try stands at the end of the budget. -1: the budget is
 * used up, give up.
 */
int64_t backoff_wait_ms(const struct backoff *b, unsigned failed, int64_t elapsed_ms,
                        uint64_t random);

#endif
