/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token buckets. A rate times a time needs more than 64 bits (1 GB/s for ten
 * seconds in billionths of a token), so those products have 128.
 */
#include "store/bucket.h"

#define NS_PER_S 1000000000U

static uint64_t burst_of(uint64_t rate)
{
	return rate / 4 > 0 ? rate / 4 : 1;
}

/* Credits the time since b->at_ns. A clock that goes back gives nothing. */
static void earn(struct bucket *b, int64_t now_ns)
{
	uint64_t burst = burst_of(b->rate);

	if (now_ns > b->at_ns) {
		uint64_t ns = (uint64_t)now_ns - (uint64_t)b->at_ns;
		unsigned __int128 earned = (unsigned __int128)b->rate * ns + b->part;
		unsigned __int128 level = earned / NS_PER_S + b->level;

		b->at_ns = now_ns;
		b->part = (uint64_t)(earned % NS_PER_S);
		b->level = level < burst ? (uint64_t)level : burst;
	}
	if (b->level >= burst) {
		b->level = burst;
		b->part = 0;
	}
}

void bucket_init(struct bucket *b, uint64_t rate, int64_t now_ns)
{
	*b = (struct bucket){ .rate = rate, .level = burst_of(rate), .at_ns = now_ns };
}

void bucket_set(struct bucket *b, uint64_t rate, int64_t now_ns)
{
	earn(b, now_ns);
	b->rate = rate;
	earn(b, now_ns); /* no more than the new burst */
}

uint64_t bucket_take(struct bucket *b, uint64_t want, int64_t now_ns)
{
	if (b->rate == 0)
		return want;
	earn(b, now_ns);
	uint64_t got = want < b->level ? want : b->level;
	b->level -= got;
	return got;
}

int64_t bucket_wait_ns(const struct bucket *b, uint64_t want)
{
	uint64_t burst = burst_of(b->rate);

	if (want > burst)
		want = burst;
	if (b->rate == 0 || b->level >= want)
		return 0;
	/* at most a second's worth, a billion billionths of the rate: it fits 64 bits */
	unsigned __int128 missing = (unsigned __int128)(want - b->level) * NS_PER_S - b->part;
	return (int64_t)((missing + b->rate - 1) / b->rate);
}
