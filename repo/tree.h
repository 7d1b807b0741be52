/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of a restore point: a content-defined search tree over paths
 * (docs/FORMAT.md 9). Encoding and decoding of nodes, a builder that takes
 * records in order, an iterator that gives them back, lookup, and node
 * fetching through the local cache.
 */
#ifndef AKSDR_REPO_TREE_H
#define AKSDR_REPO_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/source.h"
#include "repo/pack.h"
#include "repo/repo.h"

/* A piece of a file. chunk: index into the leaf's chunks, or one of these. */
#define EXTENT_HOLE (-1)
#define EXTENT_ZERO (-2)
struct extent {
	int64_t chunk;
	uint32_t off; /* in the chunk */
	uint64_t len;
};

struct record {
	const char *path;
	size_t path_len;
	uint64_t position; /* > 0: continuation, only extents are set */
	struct entry_stat st;
	uint32_t flags; /* RECORD_* */
	const uint8_t *link;
	size_t link_len;
	const uint8_t *xattrs;
	size_t xattrs_len;
	uint32_t fsflags, projid;
	const char *hardlink; /* path of the first entry */
	size_t hardlink_len;
	const struct extent *extents; /* sorted, no gaps */
	size_t nextents;
};

/* A decoded leaf: records point into it. Reference-counted, thread-safe. */
struct leaf {
	int refs;
	struct chunk_ref *chunks;
	size_t nchunks;
	struct record *records;
	size_t nrecords;
	void *arena;
};
struct leaf *leaf_ref(struct leaf *l);
void leaf_unref(struct leaf *l);

/* Decodes the plain text of a leaf; validates everything (sorted keys, bounds, extents). */
MUST_CHECK int tree_leaf_decode(const uint8_t *p, size_t n, struct leaf **ret, struct err *e);

struct tree_child {
	const char *path;
	size_t path_len;
	uint64_t position;
	struct chunk_ref ref;
	uint64_t records, bytes;
};
/* Reference-counted, thread-safe, as leaves are. */
struct inner {
	int refs;
	unsigned level;
	struct tree_child *children;
	size_t n;
	void *arena;
};
struct inner *inner_ref(struct inner *i);
void inner_free(struct inner *i); /* one reference; with the last one the node goes */
MUST_CHECK int tree_inner_decode(const uint8_t *p, size_t n, struct inner **ret, struct err *e);

/* ---- reading ---- */

/* Opens nodes of one point. One per thread. */
struct tree;
MUST_CHECK int tree_open(const struct repo *r, const struct point *p, struct tree **ret,
                         struct err *e);
void tree_free(struct tree *t);
static inline void clean_tree(struct tree *const *t)
{
	tree_free(*t);
}
#define auto_tree CLEANUP(clean_tree)

/*
 * For a writer, who may only refer to what its session's index knows: the chunks of each leaf that
 * is opened from now on are where the index has them; those that it does not know have no bytes
 * (chunk_absent()). The index (borrowed) outlives the tree.
 */
struct index;
void tree_use_index(struct tree *t, struct index *index);
static inline bool chunk_absent(const struct chunk_ref *ref)
{
	return ref->stored == 0;
}

/*
 * Nodes are taken from the cache (borrowed), and kept there. Not together with tree_use_index(),
 * which changes leaves.
 */
struct node_cache;
void tree_use_cache(struct tree *t, struct node_cache *cache);

/*
 * Positions before the first record whose path is >= path (NULL: the
 * beginning). tree_next gives records one after the other: *ret is valid
 * while *ret_leaf is (the caller may leaf_ref it to keep it); NULL at the end.
 *   ERR_CORRUPT, ERR_NOT_FOUND (a pack is gone), ERR_DENIED
 */
MUST_CHECK int tree_seek(struct tree *t, const char *path, size_t len, struct err *e);
MUST_CHECK int tree_next(struct tree *t, const struct record **ret, struct leaf **ret_leaf,
                         struct err *e);

/* Positions before the last record that is not behind this path and position in a file. */
MUST_CHECK int tree_seek_part(struct tree *t, const char *path, size_t len, uint64_t position,
                              struct err *e);

/*
 * Records have numbers, from 0 in their order, continuations too. tree_seek_number() positions
 * before the record of this number, tree_number() tells which tree_next() gave last.
 *   ERR_FORMAT  there is none, or nodes hold more or fewer records than those above them say;
 *               and as tree_next()
 */
MUST_CHECK int tree_seek_number(struct tree *t, uint64_t number, struct err *e);
uint64_t tree_number(const struct tree *t);

/*
 * For walking two points side by side: where both are between two nodes, passes over all that come
 * next in both and are the same, without reading them (*ret_skipped: there was something). What it
 * does not pass over comes from tree_next(). Errors as that.
 */
MUST_CHECK int tree_skip_same(struct tree *a, struct tree *b, bool *ret_skipped, struct err *e);

/*
 * After ERR_CORRUPT or ERR_NOT_FOUND from tree_next: steps over the node that cannot be read.
 * false: nothing left.
 */
bool tree_skip_damaged(struct tree *t);

/* The entry of exactly this path. ERR_NOT_FOUND. */
MUST_CHECK int tree_lookup(struct tree *t, const char *path, size_t len, const struct record **ret,
                           struct leaf **ret_leaf, struct err *e);

/* Records and logical bytes of the whole tree, from the root node. */
MUST_CHECK int tree_totals(struct tree *t, uint64_t *ret_records, uint64_t *ret_bytes,
                           struct err *e);

/* Calls each() for every node of the tree (children before parents), for check and GC. */
MUST_CHECK int tree_each_node(struct tree *t,
                              int (*each)(void *arg, const struct chunk_ref *ref, unsigned level,
                                          struct err *e),
                              void *arg, struct err *e);

/* ---- building ---- */

/* Stores one node: id, kind are set in ref; the sink fills the place. */
struct tree_sink {
	int (*put)(void *arg, const uint8_t *plain, size_t n, struct chunk_ref *ref, struct err *e);
	void *arg;
};

struct tree_builder;
struct tree_builder *tree_builder_new(const struct domain_keys *domain,
                                      const struct tree_sink *sink); /* NULL: no memory */
void tree_builder_free(struct tree_builder *b);

/*
 * Adds the next record, in order. Extents name chunks by index into base[]
 * when that is given, else into list[]; their places must be final.
 */
MUST_CHECK int tree_builder_add(struct tree_builder *b, const struct record *r,
                                const struct chunk_ref *const *list, const struct chunk_ref *base,
                                struct err *e);

/* Writes what is left; *ret_root and *ret_levels name the tree. At least one record was added. */
MUST_CHECK int tree_builder_finish(struct tree_builder *b, struct chunk_ref *ret_root,
                                   uint32_t *ret_levels, struct err *e);

#endif
