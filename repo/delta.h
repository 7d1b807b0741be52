/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fine deltas: which parts of a changed file are ranges of chunks that the
 * previous point already has. New data are compared page by page, by keyed
 * fingerprint, with the page of the old file that is expected there; after a
 * run of misses the old pages nearby are searched by their weak marks with a
 * rolling hash, so that insertions and deletions shift the expectation and
 * nothing more (the idea of rsync, Tridgell and Mackerras 1996, with the
 * signatures of the old file kept instead of computed).
 */
#ifndef AKSDR_REPO_DELTA_H
#define AKSDR_REPO_DELTA_H

#include <stdbool.h>
#include <stdint.h>

#include "repo/chunker.h"
#include "repo/crypt.h"
#include "repo/pages.h"
#include "repo/tree.h"

#define DELTA_WINDOW MIB /* new bytes looked at in one step */

/* One stretch of a window. */
enum delta_kind { DELTA_LITERAL, DELTA_OLD, DELTA_ZERO };
struct delta_piece {
	enum delta_kind kind;
	uint64_t off; /* in the new file */
	uint64_t len;
	const struct chunk_ref *ref; /* DELTA_OLD: valid as long as `leaf` */
	struct leaf *leaf;           /* borrowed until the next delta_window() */
	uint32_t chunk_off;
};

/* A stretch of the old file. */
struct delta_old {
	int64_t kind; /* 0: in a chunk, EXTENT_HOLE, EXTENT_ZERO */
	uint64_t len;
	const struct chunk_ref *ref; /* kind 0: valid as long as `leaf` */
	struct leaf *leaf;           /* borrowed until the next call */
	uint32_t chunk_off;
};

/* How bytes compare with those of the old file. */
enum delta_same { DELTA_UNKNOWN, DELTA_SAME, DELTA_DIFFERS };

struct delta;

/*
 * Starts on a file whose old record is `old` in `leaf`; tree (may be NULL when
 * the record is not continued) gives the continuations. pages may be NULL: then nothing can be
 * compared. NULL: no memory.
 */
struct delta *delta_new(const struct chunker *chunker, const struct crypt_hasher *hasher,
                        struct pages *pages);
void delta_free(struct delta *d);
void delta_start(struct delta *d, struct tree *tree, const struct record *old, struct leaf *leaf);

/*
 * Looks at new bytes p[0 .. n) at offset off of the new file, of which `avail`
 * >= n can be read (a last page may reach beyond n). Fills pieces without gaps
 * from off on; *ret_consumed >= n says how far they go. Returns their number.
 * Offsets must not decrease. The pieces are valid until the next call.
 */
size_t delta_window(struct delta *d, const uint8_t *p, size_t n, size_t avail, uint64_t off,
                    const struct delta_piece **ret_pieces, size_t *ret_consumed);

/*
 * What the old file has at off, up to the end of its extent. false: it has nothing there, or
 * nothing that may be referred to, for ret->len bytes (UINT64_MAX: to its end). From here on pages
 * are expected where they were. Offsets must not decrease.
 */
bool delta_old_at(struct delta *d, uint64_t off, struct delta_old *ret);

/*
 * Compares one page of the old file, or a stretch of zeros of it, that begins at off with new bytes
 * p[0 .. avail); p NULL: a hole of avail bytes. *ret_len > 0: how many bytes the answer is
 * for; UNKNOWN: when there is nothing to compare with, UINT64_MAX to its end.
 */
enum delta_same delta_compare(struct delta *d, const uint8_t *p, uint64_t avail, uint64_t off,
                              uint64_t *ret_len);

#endif
