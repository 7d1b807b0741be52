/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fences (docs/REGIONS.md; docs/FORMAT.md 16): after a failover the old site
 * makes no points that count, whatever its agents know or do. A fence is a
 * member of the config, which the admin signs: of which volumes it is, and
 * which of their points count, by lists. Each fence and each lifting raises the
 * fencing epoch by one; a point names the epoch that its writer knew before it
 * looked at the volume.
 *
 * A point of a fenced volume counts when a list of that fence has it, or when
 * its writer knew that the fence was lifted. Nothing else is asked: neither
 * clocks, nor when the store got it, nor what the writer has looked at. What a
 * writer looks at only spares it work, and tells it the truth.
 */
#ifndef AKSDR_REPO_FENCE_H
#define AKSDR_REPO_FENCE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/config.h"
#include "repo/point.h"

struct repo;

#define FENCES_MAX 256         /* of a config */
#define FENCE_TARGETS_MAX 1024 /* of a fence */
#define FENCE_TAG_BYTES 8
#define FENCE_ID_BYTES 16 /* of a point in a list */
#define FENCE_SCHEMA "aksdr/fence/v1"
#define FENCE_PREFIX "ctl/fence"

struct fence {
	uint64_t epoch;  /* that it began */
	int64_t at_ns;   /* by the clock of who fenced */
	uint64_t lifted; /* the epoch that ended it; 0: it stands */
	int64_t lifted_ns;
	uint8_t (*tags)[FENCE_TAG_BYTES]; /* of what it is; owned */
	size_t ntags;
	struct key_list record, lift_record; /* facts for people; object "": none */
	struct key_list *lists;              /* owned */
	size_t nlists;
	bool closing; /* what counts is not yet said: all does, and nobody of its scope writes */
	/* What the lists say, read when it is first asked for; guarded by fences.lock. */
	bool read, lost;
	uint8_t (*ids)[FENCE_ID_BYTES]; /* owned; sorted */
	size_t nids;
};

struct fences; /* of an opened repository; struct repo owns them */

/* What the config of r says, for repo_open(), instead of what it said before. ERR_FORMAT */
MUST_CHECK int fence_load(struct repo *r, struct err *e);
void fence_free(struct fences *f);

/* How often the repository's fences were changed; 0: there was never one. */
uint64_t fence_epoch(const struct repo *r);

/* Fence number i, in the order of their epochs; NULL: there are no more. */
const struct fence *fence_at(const struct repo *r, size_t i);

/* What a fence is of: a cluster, a namespace of it, or a volume (docs/FORMAT.md 16). */
enum fence_depth { FENCE_CLUSTER, FENCE_NAMESPACE, FENCE_VOLUME };
MUST_CHECK int fence_tag(const struct keys *k, const struct point_volume *v, enum fence_depth depth,
                         uint8_t ret[FENCE_TAG_BYTES], struct err *e);

/* The tags of everything that a volume is part of. */
struct fence_tags {
	uint8_t v[3][FENCE_TAG_BYTES];
};
MUST_CHECK int fence_tags(const struct keys *k, const struct point_volume *v,
                          struct fence_tags *ret, struct err *e);
bool fence_covers(const struct fence *f, const struct fence_tags *tags);

/*
 * Whether a point counts, as far as fences go; what names it in messages.
 *   ERR_DENIED   it does not: key_is_void() is true for that error
 *   ERR_CORRUPT  a list is lost, and nobody can say
 *   others       of the store
 */
MUST_CHECK int fence_judge(const struct repo *r, const struct point_volume *v, const char *session,
                           uint64_t epoch, const char *what, struct err *e);

/*
 * For who is about to write points of v, of a view that was taken when this epoch was known:
 * ERR_BUSY when it is fenced; fence_is() tells that from other things that are busy. By the config
 * that r was opened with. v may be a cluster alone, of which volumes are asked for later.
 */
MUST_CHECK int fence_refuse(const struct repo *r, const struct point_volume *v, uint64_t epoch,
                            struct err *e);

/*
 * The same as data: the first fence that is of v and is not lifted, or was lifted at an epoch above
 * this one; NULL: there is none. Borrowed from r. ERR_DENIED
 */
MUST_CHECK int fence_over(const struct repo *r, const struct point_volume *v, uint64_t epoch,
                          const struct fence **ret, struct err *e);

/*
 * As fence_refuse() by a later revision of the config (config_newer()), for a point p of a writer
 * that went by r: before it commits, and, `committed`, after it: then a list may have the point.
 */
MUST_CHECK int fence_recheck(const struct repo *r, const struct config *newer,
                             const struct point *p, bool committed, struct err *e);

/* True for an error of fence_judge() that says that the point came too late to count. */
bool fence_is_late(const struct err *e);

/* True for an error that says that the site is fenced: the same will fail until that is lifted. */
bool fence_is(const struct err *e);

/*
 * The facts for people that a fence (or its lifting) has: JSON as in docs/FORMAT.md 16. The caller
 * decrefs. ERR_NOT_FOUND, ERR_CORRUPT, ERR_FORMAT, or the store's
 */
MUST_CHECK int fence_facts(const struct repo *r, const struct key_list *record, json_t **ret,
                           struct err *e);

/* The same for who tells them: *ret NULL where there are none, or they are lost. The store's. */
MUST_CHECK int fence_facts_left(const struct repo *r, const struct key_list *record, json_t **ret,
                                struct err *e);

#endif
