/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoded tree nodes by their ids, for who comes back to the same nodes from
 * many threads (a mounted point): at most so many bytes, those that were not
 * used for the longest time go first. A node's id is a keyed hash of its
 * content, so points share what they have in common, and nothing goes stale.
 * Thread-safe.
 */
#ifndef AKSDR_REPO_NODE_CACHE_H
#define AKSDR_REPO_NODE_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "repo/tree.h"

struct node_cache;

/* bytes: of decoded nodes. NULL: no memory. */
struct node_cache *node_cache_new(size_t bytes);
void node_cache_free(struct node_cache *c); /* nodes that are in use elsewhere live on */

/* A reference to the node of this id, or NULL: it is not here, or of the other kind. */
struct leaf *node_cache_leaf(struct node_cache *c, const uint8_t id[FORMAT_ID_BYTES]);
struct inner *node_cache_inner(struct node_cache *c, const uint8_t id[FORMAT_ID_BYTES]);

/* Keeps a node by a reference of its own, if memory allows. One that is here already stays. */
void node_cache_put_leaf(struct node_cache *c, const uint8_t id[FORMAT_ID_BYTES], struct leaf *l);
void node_cache_put_inner(struct node_cache *c, const uint8_t id[FORMAT_ID_BYTES], struct inner *i);

/* Bytes that it holds now. */
size_t node_cache_bytes(struct node_cache *c);

#endif
