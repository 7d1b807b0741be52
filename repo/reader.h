/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetching chunks, many at a time: wants are sorted by pack and offset,
 * neighbours merged into one range read (gaps up to 512 KiB), several reads
 * in flight, then decrypted, checked and expanded by a pool, and delivered
 * out of order. Memory is bounded by `memory` whatever is asked for.
 */
#ifndef AKSDR_REPO_READER_H
#define AKSDR_REPO_READER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/pack.h"
#include "repo/repo.h"

struct reader;

struct reader_params {
	unsigned threads;          /* decode threads; 0: the CPUs, at most 8 */
	unsigned inflight;         /* range reads at once, at most; 0: 16 */
	uint64_t memory;           /* bytes; 0: 64 MiB, of a distant store up to 176 MiB */
	bool rehash;               /* also compute each chunk's id again */
	_Atomic uint64_t *fetched; /* gets the bytes read from the store added; may be NULL */
};

struct reader_want {
	struct chunk_ref ref;
	void *arg;
};

/*
 * Called from pool threads, for different wants at the same time. plain is
 * NULL when the chunk cannot be had: why says so (ERR_CORRUPT,
 * ERR_NOT_FOUND, ERR_DENIED, or the store's error). plain is valid during the
 * call; w->ref names the place it came from, which may be another one than was
 * submitted. Returns 0, or -1 with e to end the whole reading.
 */
typedef int reader_deliver_fn(void *ctx, struct reader_want *w, const uint8_t *plain, size_t n,
                              const struct err *why, struct err *e);

/* deliver NULL: only reader_chunk() will be used, and no thread is started. */
MUST_CHECK int reader_open(const struct repo *r, const struct reader_params *params,
                           reader_deliver_fn *deliver, void *ctx, struct reader **ret,
                           struct err *e);

/*
 * Submits wants (copied). Blocks while too much is under way. The domain's
 * keys are needed for the fallback: a pack that is gone is looked for by id
 * in the index. Thread-safe. -1: an earlier delivery failed, e says how; or of a place that cannot
 * be (ERR_FORMAT), and then nothing was taken.
 */
MUST_CHECK int reader_submit(struct reader *r, const struct domain_keys *domain,
                             const struct reader_want *wants, size_t n, struct err *e);

/* Waits until done(arg), which is asked after each range of deliveries. -1 as reader_submit(). */
MUST_CHECK int reader_wait(struct reader *r, bool (*done)(void *arg), void *arg, struct err *e);

/* Lets those in reader_wait() ask again. */
void reader_wake(struct reader *r);

/* Waits until everything submitted is delivered. */
MUST_CHECK int reader_drain(struct reader *r, struct err *e);
void reader_free(struct reader *r); /* cancels what is under way */

/* One chunk, synchronously, into out (ref->plain bytes). Thread-safe only for different readers. */
MUST_CHECK int reader_chunk(struct reader *r, const struct domain_keys *domain,
                            const struct chunk_ref *ref, uint8_t *out, struct err *e);

#endif
