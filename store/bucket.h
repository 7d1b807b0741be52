/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token bucket without a clock: tokens come in at a rate, up to a burst of
 * a quarter of a second's worth (at least one), and are taken as they are
 * there. Exact: what is earned is the same however the time is cut, since
 * parts of tokens are carried over. Pure; the caller brings the time and
 * guards the bucket.
 */
#ifndef AKSDR_STORE_BUCKET_H
#define AKSDR_STORE_BUCKET_H

#include <stdint.h>

struct bucket {
	uint64_t rate;  /* tokens a second, 0: no limit */
	uint64_t level; /* whole tokens at hand */
	uint64_t part;  /* and this many billionths of one */
	int64_t at_ns;  /* when that was so */
};

/* Starts full, or changes the rate: what was earned at the old rate stays, up to the new burst. */
void bucket_init(struct bucket *b, uint64_t rate, int64_t now_ns);
void bucket_set(struct bucket *b, uint64_t rate, int64_t now_ns);

/* Takes up to `want` tokens and says how many. */
uint64_t bucket_take(struct bucket *b, uint64_t want, int64_t now_ns);

/* Nanoseconds from b->at_ns until `want` tokens (at most a burst) are there; 0: they are. */
int64_t bucket_wait_ns(const struct bucket *b, uint64_t want);

#endif
