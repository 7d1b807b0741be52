/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small set of objects that are kept open for reading, because a restore
 * reads hundreds of ranges of one pack and an open for each would double its
 * system calls. Objects never change, so an open descriptor cannot be stale;
 * it can only belong to an object that was deleted meanwhile.
 *
 * A user holds a reference while it reads; the descriptor of an entry that is
 * dropped or replaced closes with the last reference. All calls are
 * thread-safe and none does I/O but close.
 */
#ifndef AKSDR_STORE_FDCACHE_H
#define AKSDR_STORE_FDCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clean.h"

struct fdcache;

struct fdcache_ref {
	int fd;
	uint64_t size;         /* of the object, when it was opened */
	struct fdcache *cache; /* NULL: not kept, closes with the reference */
	size_t slot;
};

#define FDCACHE_REF_NONE \
	{                \
		.fd = -1 \
	}

/* A cache of at most cap descriptors, or NULL when memory is short. */
MUST_CHECK struct fdcache *fdcache_new(size_t cap);

/* All references must have been released. */
void fdcache_free(struct fdcache *c);

/* True and a reference when the object is kept open. now_ms says when it was used last. */
bool fdcache_get(struct fdcache *c, const char *key, int64_t now_ms, struct fdcache_ref *ret);

/* Counts drops; read it before opening what fdcache_add() is to keep. */
uint64_t fdcache_generation(struct fdcache *c);

/*
 * Keeps take_fd for key in place of the entry that was not used for the
 * longest time, and gives a reference. It is not kept, and closes with the
 * reference, when every entry is in use, or when something was dropped since
 * `generation`: the object may have been deleted after it was opened.
 */
void fdcache_add(struct fdcache *c, const char *key, int take_fd, uint64_t size,
                 uint64_t generation, int64_t now_ms, struct fdcache_ref *ret);

/* Ends the use; ret becomes FDCACHE_REF_NONE. Fine for FDCACHE_REF_NONE. */
void fdcache_release(struct fdcache_ref *ref);

/* Forgets one object. */
void fdcache_drop(struct fdcache *c, const char *key);

/*
 * Forgets what is not in use and was not used since before_ms: a descriptor
 * keeps the space of a deleted object taken. Returns how many.
 */
size_t fdcache_trim(struct fdcache *c, int64_t before_ms);

#endif
