/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sealing stage of the backup pipeline: a pool that turns plain chunks
 * into places in packs (id, dedup, compress, verify, encrypt), packs that go
 * out as they fill, and the failure that stops everything. The pool runs
 * other tasks of the pipeline too, so that the CPUs have one queue.
 */
#ifndef AKSDR_REPO_SEAL_H
#define AKSDR_REPO_SEAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/progress.h"
#include "repo/index.h"
#include "repo/pack.h"
#include "repo/pages.h"
#include "repo/repo.h"
#include "repo/segment.h"
#include "repo/tree.h"

struct sealer;

/* A chunk on its way: its place is known once it is placed. Reference-counted. */
struct pending_chunk {
	struct chunk_ref ref;
	atomic_int refs;
	atomic_bool placed;
};

/* Plain bytes of a chunk in the making; from a fixed number of buffers. */
struct chunk_buf {
	uint8_t *data;
	size_t len, cap;
};

struct sealer_params {
	const struct domain_keys *domain;
	struct index *index;
	struct pages *pages;           /* may be NULL */
	const struct chunker *chunker; /* for marks of pages */
	int level;
	bool verify;
	bool dry_run;
	unsigned threads;
	struct progress_counts *counts; /* may be NULL */
	struct segment_writer
		*segments; /* is told of each pack once it is on the store; may be NULL */
	/* Called now and then by an uploader, when new segments were written. May be NULL. */
	int (*checkpoint)(void *arg, struct err *e);
	void *arg;
};

struct sealer_totals {
	uint64_t new_chunks, new_bytes; /* plain, data chunks */
	uint64_t packs, stored_bytes;
};

MUST_CHECK int sealer_open(const struct repo *r, const struct sealer_params *p, struct sealer **ret,
                           struct err *e);
void sealer_free(struct sealer *s); /* stops the threads, whatever they are at */

/* A free buffer of cut_max bytes or more; waits. NULL once the job has failed. */
struct chunk_buf *sealer_buf(struct sealer *s);
void sealer_buf_return(struct sealer *s, struct chunk_buf *take_b); /* unused */

struct pending_chunk *sealer_pending(void); /* NULL: no memory; one reference */
void sealer_pending_unref(struct pending_chunk *c);

/*
 * Hands a filled buffer to the pool; c (borrowed, gets a reference of its own) learns
 * the place. with_pages: its pages' fingerprints go to the cache. false: the job has failed.
 */
bool sealer_submit(struct sealer *s, struct chunk_buf *take_b, struct pending_chunk *c,
                   bool with_pages);

/* Runs fn(arg, worker) on the pool. false: the job has failed and fn will not run. */
bool sealer_task(struct sealer *s, void (*fn)(void *arg), void *arg);

/* Waits until the chunk has its place. false: the job has failed. */
bool sealer_wait(struct sealer *s, struct pending_chunk *c);

/* Stores a tree node (as tree_sink.put; arg is the sealer). One thread at a time. */
int sealer_put_node(void *arg, const uint8_t *plain, size_t n, struct chunk_ref *ref,
                    struct err *e);

/* Everything submitted is placed, and every pack is on the store. */
MUST_CHECK int sealer_finish(struct sealer *s, struct err *e);

void sealer_totals(const struct sealer *s, struct sealer_totals *ret);

/* The first failure of the job stops everything; later ones are dropped. Thread-safe. */
void sealer_fail(struct sealer *s, const struct err *why);
bool sealer_failed(const struct sealer *s);
/* -1 with the first failure, or 0. */
int sealer_error(struct sealer *s, struct err *e);
/* Called once, from the failing thread, to wake whoever waits outside. */
void sealer_on_failure(struct sealer *s, void (*fn)(void *arg), void *arg);

#endif
