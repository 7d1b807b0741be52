/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of check.h share: check_gather.c gets what has a name,
 * check_walk.c goes through the trees, check_pack.c through the packs, and
 * check.c runs them and tells what was found.
 *
 * Work is handed out pack by pack to a pool that lives for one pass. What the
 * passes find goes into lists that are sorted before anything is told, so
 * that the order in which threads ran does not show.
 */
#ifndef AKSDR_REPO_CHECK_IMPL_H
#define AKSDR_REPO_CHECK_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "repo/check.h"
#include "repo/checked.h"
#include "repo/compress.h"
#include "repo/expiry.h"
#include "repo/frame.h"
#include "repo/index.h"
#include "repo/nodes.h"
#include "repo/refset.h"
#include "repo/segment.h"
#include "repo/tree.h"
#include "repo/view.h"

#define CHECK_RANGE_BYTES (4 * MIB) /* of one read; one chunk may be longer */

struct check_domain {
	struct domain_keys *keys; /* owned */
	struct crypt_hasher id;   /* of chunks; only with content keys */
	struct crypt_hasher node;
};

struct check_point {
	char *session, *volume; /* owned */
	char *previous;         /* owned; NULL: none, or known to be missing */
	struct chunk_ref root;
	uint64_t entries;
	uint32_t levels;
	uint16_t domain;
};

/* A pack in the store. */
/* What the index says of a pack. */
enum check_named {
	CHECK_UNNAMED,
	CHECK_NAMED_IN_VAIN, /* by segments of fenced sessions, on which nobody relies */
	CHECK_NAMED
};

struct check_listed {
	uint8_t id[FORMAT_PACK_ID_BYTES];
	uint8_t kind;       /* CHUNK_DATA or CHUNK_NODE */
	uint8_t named;      /* enum check_named */
	bool body;          /* is to be read in full */
	bool framed;        /* its frame was read, and is whole */
	bool verified;      /* was read in full, and is good */
	uint32_t len;       /* as the list says; UINT32_MAX: as much or more */
	uint32_t index_len; /* 0: no segment says */
};

struct check_segment {
	char *key; /* owned */
	uint64_t size;
	uint16_t domain;
	uint8_t state; /* enum segment_state */
	bool damaged;
};

/* The last one of an object and a kind stands. */
struct check_finding {
	char *object, *text; /* owned */
	enum check_what what;
	uint64_t chunks, seq;
};

/* What outlives a pass that has to be repeated because a collection was at work. */
struct check_pass {
	char name[33]; /* in records */
	int64_t started_ns;
	pthread_mutex_t lock;
	/* read, and not recorded yet; guarded by lock, as what follows */
	struct pack_list fresh, damaged;
	uint64_t packs, bytes;  /* verified */
	int64_t recorded_ns;    /* by the monotonic clock */
	struct pack_name *done; /* verified in passes before this one; sorted; scratch memory */
	size_t ndone, done_cap;
	unsigned recorded;     /* records that were put */
	struct err unrecorded; /* why the last one was not */
};

struct check {
	const struct repo *repo;
	const struct check_params *params;
	const char *scratch; /* directory or NULL */
	unsigned threads;
	struct check_pass *run;
	struct view view;
	struct marker_list markers;
	struct expiry expiry;
	struct session_names
		gone; /* points that a collection has taken, and that are there (living.h) */
	struct check_domain *domains;
	size_t ndomains, domains_cap;
	struct check_point *points; /* by session, once all are read */
	size_t npoints, points_cap;
	struct check_segment *segments;
	size_t nsegments, segments_cap;
	struct segment_gate gate;
	struct check_listed *listed; /* by kind and id; scratch memory */
	size_t nlisted, listed_cap;
	struct refset *nodes[FORMAT_LEVELS_MAX]; /* of each level; NULL: none */
	struct refset *moved[FORMAT_LEVELS_MAX]; /* those that the index found elsewhere */
	struct refset *all;                      /* chunks, and nodes that were read */

	pthread_mutex_t lock;
	struct refset_item
		*lost; /* where nothing is, or damage is; guarded by lock, as what follows */
	size_t nlost, lost_cap;
	uint64_t expired; /* points */
	uint64_t config;  /* highest revision of the config that a point names */
	char config_session[POINT_SESSION_LEN + 1]; /* the first of those points, by name */
	uint64_t unindexed; /* packs that points need and no segment names */
	const struct check_listed *unindexed_first;
	struct check_finding *findings;
	size_t nfindings, findings_cap;
	uint64_t unkept; /* findings beyond what is kept */
	struct refset_item
		*damage; /* what restore points need and cannot have; sorted by id between passes */
	size_t ndamage, damage_cap;
	struct place *bad; /* for the sink, unsorted */
	size_t nbad, bad_cap;
	uint64_t untold;          /* beyond what is kept of them */
	struct refset_item *hurt; /* nodes with damage below them, sorted by id between passes */
	size_t nhurt, hurt_cap;
	struct refset_item *hurt_new;
	size_t nhurt_new, hurt_new_cap;
	size_t next;    /* task of the pass under way */
	struct err err; /* the first that ends the check */

	_Atomic bool stop;
	_Atomic bool stale;       /* something that was listed was gone: a collection is at work */
	_Atomic uint64_t revoked; /* objects that do not count, since their key was revoked */
	_Atomic uint64_t bytes_read, objects, nodes_read, chunks, segments_read, unknown_packs,
		unreferenced, unreferenced_bytes, known_damaged;
};

struct check_worker {
	struct check *ck;
	struct nodes *nodes;        /* for reading trees */
	struct crypt_box *boxes[3]; /* by cipher */
	struct compress *z;
	uint8_t *dek; /* locked memory */
	struct buf head, stored, plain, scratch, tail;
	struct refset_group group;
	struct refset_item *found; /* references to pass on, in batches */
	size_t nfound, found_cap;
	/* of the pass under way */
	unsigned level; /* of nodes */
	struct refset *from;
	struct inner *inner; /* what check_walk_open() left for a walk along one path */
	struct leaf *leaf;
};

/* ---- check.c ---- */

/* True for an error of one object; others end the check. */
static inline bool check_is_finding(const struct err *e)
{
	return nodes_is_finding(e);
}

/* CHECK_MISSING, CHECK_UNREADABLE or CHECK_DAMAGED, by what went wrong. */
enum check_what check_what_of(const struct err *e);

/* Notes a problem; what was noted of the same object and kind before is replaced. Thread-safe. */
void check_find(struct check *ck, enum check_what what, const char *object, uint64_t chunks,
                const char *fmt, ...) PRINTF_LIKE(5, 6);

/* Notes that restore points cannot have the chunk at this place. Thread-safe. */
void check_hurts(struct check *ck, const struct refset_item *item);

/*
 * Notes for the sink that no chunk can be had at this place. Thread-safe; the second is called with
 * ck->lock.
 */
void check_bad(struct check *ck, const struct chunk_ref *ref);
void check_bad_locked(struct check *ck, const struct chunk_ref *ref);

/* Puts what check_hurts() noted in order, for check_is_hurt(). Not while a pass is under way. */
void check_settle(struct check *ck);

/* True when the chunk of a tree is among those. Not while a pass is under way. */
bool check_is_hurt(const struct check *ck, const struct chunk_ref *ref);

/* Appends one element to an array that grows; ck->lock is held, or nothing runs. */
MUST_CHECK int check_push(void *array, size_t *n, size_t *cap, size_t size, const void *element,
                          struct err *e);

/* store_get() that counts. */
MUST_CHECK int check_get(struct check *ck, const char *key, uint64_t off, void *p, size_t n,
                         struct err *e);

struct check_listed *check_listed_find(const struct check *ck, uint8_t kind,
                                       const uint8_t id[FORMAT_PACK_ID_BYTES]);

/* True when what is at this place can be had there: it is listed, and stays, and is not marked. */
bool check_place_good(const struct check *ck, const struct chunk_ref *ref);
/* True when it was marked as damaged. */
bool check_place_marked(const struct check *ck, uint8_t kind,
                        const uint8_t id[FORMAT_PACK_ID_BYTES], uint32_t off);

/* Runs fn in the pool until all have returned; the first error ends the pass. */
MUST_CHECK int check_pool(struct check *ck, int (*fn)(struct check_worker *w, struct err *e),
                          unsigned level, struct refset *from, struct err *e);

MUST_CHECK int check_worker_init(struct check_worker *w, struct check *ck, struct err *e);
void check_worker_clear(struct check_worker *w);

/* The box for a cipher with the key `key` of the pack in w->head. NULL with e. */
struct crypt_box *check_box(struct check_worker *w, const struct pack_header *h, uint16_t key,
                            const struct check_domain *d, struct err *e);

/* For reading the frame of a pack, with check_get(). */
struct frame check_frame(struct check *ck, const char *name, const uint8_t *id, uint64_t len);

/* ---- check_gather.c ---- */

/* Reads and lists what has a name, and compares it. */
MUST_CHECK int check_gather(struct check *ck, struct check_result *result, struct err *e);

/* ---- check_index.c ---- */

/* Lists index and packs, and compares them. */
MUST_CHECK int check_index(struct check *ck, struct check_result *result, struct err *e);

/*
 * Looks in the index for what is in ck->lost: what is found elsewhere goes to `into`, as does what
 * can be had where it is for now; the rest is noted as missing. Empties ck->lost. Not while a pass
 * is under way.
 */
MUST_CHECK int check_resolve(struct check *ck, struct refset *into, struct err *e);

/* ---- check_choose.c ---- */

/*
 * Everything that the level asks for is to be read, now or by the run that this one goes on with.
 */
bool check_is_all(const struct check_params *p);

/* Chooses the packs that are read in full. */
MUST_CHECK int check_choose(struct check *ck, struct check_result *r, struct err *e);

/* The pack was read in full, and is good or not. Thread-safe. */
MUST_CHECK int check_read(struct check *ck, const struct check_listed *x, bool good, struct err *e);

/*
 * Puts a record of what was verified since the last one; ended: the last one, with r. That it could
 * not be put is noted, and does not end the check.
 */
void check_record(struct check *ck, const struct check_result *r, bool ended);

/* ---- check_walk.c ---- */

/* Reads all nodes from the roots down; fills ck->all with what they refer to. */
MUST_CHECK int check_walk(struct check *ck, struct err *e);

/* Tells the files that are hurt. */
MUST_CHECK int check_walk_hurt(struct check *ck, struct check_result *result, struct err *e);

/* ---- check_pack.c ---- */

/* Looks into every pack, as deep as the level asks for. */
MUST_CHECK int check_packs(struct check *ck, struct err *e);

#endif
