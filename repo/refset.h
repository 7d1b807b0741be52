/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A large set of chunk references that is filled from many threads and then
 * read pack by pack. It lives in sorted runs of scratch memory that the
 * kernel may write back, so that a check of a large repository needs little
 * memory of its own.
 */
#ifndef AKSDR_REPO_REFSET_H
#define AKSDR_REPO_REFSET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/pack.h"

enum refset_flags {
	REFSET_POINT = 1, /* a restore point needs it */
	REFSET_INDEX = 2, /* an index segment names it */
	REFSET_MOVED = 4  /* not where the tree says: found through the index */
};

struct refset_item {
	struct chunk_ref ref;
	uint16_t domain; /* the user's number for a dedup domain */
	uint8_t flags;   /* REFSET_*; items that differ in nothing else become one */
	/* the same of the latest, for who asks until when something is needed: s since 1970 */
	uint32_t until_s;
};

struct refset;

/* scratch_dir: where the runs are kept; NULL: anonymous memory. NULL: no memory. */
struct refset *refset_new(const char *scratch_dir);
void refset_free(struct refset *s);
static inline void clean_refset(struct refset *const *s)
{
	refset_free(*s);
}
#define auto_refset CLEANUP(clean_refset)

/* Copies n items in. Thread-safe. Not between refset_rewind() and the end of reading. */
MUST_CHECK int refset_add(struct refset *s, const struct refset_item *items, size_t n,
                          struct err *e);

bool refset_empty(const struct refset *s);

/* Reading starts, or starts again. -1: no memory. */
MUST_CHECK int refset_rewind(struct refset *s, struct err *e);

/* The pack that comes next: data packs before node packs, then by id. false: no more. */
bool refset_peek(const struct refset *s, uint8_t *ret_kind, uint8_t ret_pack[FORMAT_PACK_ID_BYTES]);

/* The items of one pack, by offset and without doubles. The next call uses the array again. */
struct refset_group {
	struct refset_item *items;
	size_t n, cap;
};
void refset_group_clear(struct refset_group *g);

/*
 * Takes the items of the pack that refset_peek() tells; leaves g empty at the
 * end. One caller at a time.
 */
MUST_CHECK int refset_take(struct refset *s, struct refset_group *g, struct err *e);

/* Order of kind and pack id, for merging with other lists. */
int refset_pack_cmp(uint8_t kind_a, const uint8_t *pack_a, uint8_t kind_b, const uint8_t *pack_b);

#endif
