/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A repository with every kind of object, in a store that can be damaged:
 * three volumes in two domains, points of two agents of which one was revoked
 * later, expired points, held and pinned ones, a second recipient with
 * re-sealed keys, records of checks, marks of damage, one collection that is
 * done, and one that waits for a session that is at work. What it looked like
 * at some moments before is kept, for stores that go back to it.
 */
#ifndef AKSDR_TESTS_DAMAGE_WORLD_H
#define AKSDR_TESTS_DAMAGE_WORLD_H

#include "repo/absent.h"
#include "repo/check.h"
#include "repo/gc.h"
#include "repo/repo.h"
#include "tests/harness/damage_store.h"
#include "tests/harness/damage_target.h"

#define DAMAGE_POINTS 16
#define DAMAGE_PAST 4

/* A restore point that was made. */
struct damage_point {
	char session[96];
	unsigned volume;
	bool live; /* in the end; else it is expired */
	bool pinned;
	struct damage_digest digest;
};

/* What part an object has; each has its own line in the table. */
enum damage_kind {
	DAMAGE_CONFIG,
	DAMAGE_REVISION, /* of the config, not the newest */
	DAMAGE_NEWEST_REVISION,
	DAMAGE_REVOKED,
	DAMAGE_RESEAL,
	DAMAGE_POINT,   /* commit of a live point that another one follows */
	DAMAGE_HEAD,    /* commit of the newest point of a volume */
	DAMAGE_EXPIRED, /* commit of an expired point */
	DAMAGE_COPIES,  /* maintenance commit of who copied what is left of packs */
	DAMAGE_MERGED,  /* one of who merged segments */
	DAMAGE_ABORT,
	DAMAGE_MARKER,      /* of a session that has ended */
	DAMAGE_MARKER_OPEN, /* of one that has not */
	DAMAGE_BEAT,
	DAMAGE_INDEX,      /* segment that counts */
	DAMAGE_INDEX_OPEN, /* of a session at work, or one that was fenced */
	DAMAGE_PACK,       /* of data, that live points need */
	DAMAGE_NODES,      /* of tree nodes, the same */
	DAMAGE_SPARE,      /* pack without which all comes back from copies elsewhere */
	DAMAGE_CONDEMNED,  /* pack that the open collection names, and that nothing needs */
	DAMAGE_MARKED,     /* the same, of which all is marked as damaged */
	DAMAGE_CONDEMN,    /* parts of the open collection */
	DAMAGE_SESSIONS,
	DAMAGE_FINAL, /* parts of the one that is done */
	DAMAGE_FINALS,
	DAMAGE_LIVE,
	DAMAGE_DONE,
	DAMAGE_MARK,
	DAMAGE_TOMB, /* not the newest */
	DAMAGE_NEWEST_TOMB,
	DAMAGE_HOLD, /* all but the newest, which is a release */
	DAMAGE_NEWEST_HOLD,
	DAMAGE_PIN,
	DAMAGE_RECORD,
	DAMAGE_KINDS
};

extern const char *const damage_kind_names[DAMAGE_KINDS];

struct damage_world {
	char *dir; /* keys and sources */
	uint64_t seed;
	struct damage_store *now;
	struct damage_store *past[DAMAGE_PAST]; /* oldest first */
	unsigned npast;
	struct damage_point points[DAMAGE_POINTS];
	unsigned npoints;
	char (*needed)[160]; /* packs that live points need; sorted by key */
	size_t needed_count;
	struct pack_list condemned; /* by the collection that is open */
	struct pack_name marked;
};

/* Makes it; what fails ends the program. */
void damage_world_make(struct damage_world *w, uint64_t seed);
void damage_world_clear(struct damage_world *w);

enum damage_kind damage_world_kind(const struct damage_world *w, const char *key);

/* The bytes of a pack between its chunks and its footer. False: it is no pack. */
bool damage_world_padding(const struct damage_world *w, const char *key, uint64_t *ret_start,
                          uint64_t *ret_end);

/* Opens the repository in a store; state NULL: without local memory. */
MUST_CHECK int damage_world_open(const struct damage_world *w, struct damage_store *s,
                                 const char *key, const char *state, struct repo **ret,
                                 struct err *e);

#define DAMAGE_VOLUMES 3
struct point_volume damage_world_volume(unsigned volume);

/* Backs a volume up, as it was at its newest point. */
MUST_CHECK int damage_world_backup(const struct damage_world *w, const struct repo *r,
                                   unsigned volume, unsigned state, struct point *ret,
                                   struct err *e);

/* Of the directory of this volume and state. */
struct damage_digest damage_world_digest(const struct damage_world *w, unsigned volume,
                                         unsigned state);

/* Collects without waiting for anybody; as it comes. */
extern const struct gc_params damage_eager;

#endif
