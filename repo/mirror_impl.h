/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of mirror.h share: mirror.c decides, mirror_copy.c moves bytes. */
#ifndef AKSDR_REPO_MIRROR_IMPL_H
#define AKSDR_REPO_MIRROR_IMPL_H

#include <pthread.h>

#include "common/runs.h"
#include "repo/mirror.h"

#define MIRROR_KEY_MAX 112 /* with the NUL: no key of a repository is longer */

/*
 * The order of copying. What an object of one class needs is of a class before it, and is in the
 * copy before the first object of the next class is put.
 */
enum mirror_class {
	MIRROR_PACKS,       /* and trees */
	MIRROR_SEGMENTS,    /* of the index: name packs */
	MIRROR_MAINTENANCE, /* commits that make segments count, and aborts */
	MIRROR_KEYS,        /* configs and what they name, damage marks */
	MIRROR_HOLDS,       /* before the tombstones that they stand against */
	MIRROR_COLLECTIONS, /* finals say what is dead: after segments, which say where it is now */
	MIRROR_TOMBSTONES,  /* before the points that they expire */
	MIRROR_POINTS,
	MIRROR_GUARDS /* lists of what was live: points that are there before anybody misses them */
};

#define COMMITS "commit/" /* before the session in a key */

struct mirror_item {
	uint8_t class; /* enum mirror_class */
	bool there;    /* for reading only: both have it */
	int64_t order; /* within its class, then by key */
	uint64_t size;
	char key[MIRROR_KEY_MAX];
};

struct mirror {
	struct store *from, *to;
	const struct mirror_params *params;
	struct mirror_result result;
	pthread_mutex_t lock; /* of result and of calls of tell() while threads are at work */
	pthread_cond_t room;  /* memory was given back */
	uint64_t held;        /* bytes; guarded by lock */
	bool vanished;        /* something was gone when it was to be copied; guarded by lock */
};

/* For what mirror_item says; both stores are read when it is `there`. */
typedef int mirror_act(struct mirror *m, const struct mirror_item *item, struct err *e);

/* Sorted by class, order, key. NULL: no memory. */
struct runs *mirror_items_new(const char *scratch);

/* Calls act() for the items up to the first of another class than theirs, in several threads. */
MUST_CHECK int mirror_each(struct mirror *m, struct runs *items, unsigned threads, mirror_act *act,
                           struct err *e);

/* Copies one object. */
MUST_CHECK int mirror_copy(struct mirror *m, const struct mirror_item *item, struct err *e);

/* Reads one object of both stores; another content is told as a conflict. */
MUST_CHECK int mirror_compare(struct mirror *m, const struct mirror_item *item, struct err *e);

/* Tells, and counts nothing. m->lock is not held. */
MUST_CHECK int mirror_say(struct mirror *m, enum mirror_what what, const char *key,
                          const char *text, struct err *e);

void mirror_init(struct mirror *m, struct store *from, struct store *to,
                 const struct mirror_params *params);
void mirror_clear(struct mirror *m);

/* Whether the content of both is the same. ERR_NOT_FOUND when one is gone. */
MUST_CHECK int mirror_same(struct mirror *m, const char *key, uint64_t size, bool *ret,
                           struct err *e);

#endif
