/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of gc.h share: gc_gather.c reads what there is, gc_mark.c goes
 * through the trees, gc_repack.c copies, gc_index.c makes the index anew, and
 * gc.c runs the steps and deletes.
 *
 * Lists that grow with the repository lie in scratch memory: packs (64 bytes
 * each) and marks (12 bytes for each place that is needed).
 */
#ifndef AKSDR_REPO_GC_IMPL_H
#define AKSDR_REPO_GC_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/runs.h"
#include "common/team.h"
#include "repo/crypt.h"
#include "repo/expiry.h"
#include "repo/gc.h"
#include "repo/index.h"
#include "repo/nodes.h"
#include "repo/view.h"

struct gc_domain {
	struct domain_keys *keys; /* owned */
	struct crypt_hasher node;
	struct index *index; /* owned; NULL until it is wanted */
};

struct gc_point {
	char session[POINT_SESSION_LEN + 1];
	struct chunk_ref root;
	uint32_t levels;
	uint16_t domain;
	uint32_t until_s; /* how long it is needed, for who sets g->needs; s since 1970 */
	int64_t received_ns;
	uint64_t logical_bytes;
};

enum gc_fate {
	GC_KEEP,
	GC_GARBAGE, /* nothing needs it */
	GC_YOUNG,   /* the same, but it may be of a session under way */
	GC_SPARSE,  /* to be repacked */
	GC_SMALL    /* to be merged with others */
};

/* A pack in the store. */
struct gc_pack {
	uint8_t id[FORMAT_PACK_ID_BYTES];
	uint64_t live; /* bytes of stored chunks that are needed */
	int64_t received_ns;
	uint32_t len;
	uint32_t nlive;
	uint8_t kind; /* CHUNK_DATA or CHUNK_NODE */
	uint8_t fate; /* enum gc_fate */
};

/* A place that is needed. */
struct gc_mark {
	uint32_t pack; /* number in g->packs */
	uint32_t off, stored;
};

struct gc {
	const struct repo *repo;
	const struct gc_params *params;
	struct gc_result *result;
	const char *scratch; /* directory or NULL */
	unsigned threads;
	int64_t now_ns; /* the store's */
	/* Points that go by the final of the open generation, whatever came later; NULL: none */
	const struct session_names *final;
	/* Who only asks what is needed (repo/protect.h): */
	const struct session_names *only; /* of these points; NULL: of all */
	bool lenient;                     /* what cannot be read is counted, and stops nothing */
	/* of each pack until when it is needed, by gc_mark(); NULL: nobody wants to know */
	_Atomic uint32_t *needs;

	/* of one look at the repository, by gc_gather() */
	struct view view;
	struct marker_list markers;
	struct expiry expiry;
	struct gc_domain *domains;
	size_t ndomains, domains_cap;
	struct gc_point *points; /* live ones */
	size_t npoints, points_cap;
	struct session_names going; /* expired points whose commit is there; sorted */
	struct session_names voids; /* guarded by lock: points that do not count, of revoked keys */
	/* of them: those that a collection has taken before (living.h) */
	struct session_names gone;
	struct gc_pack *packs; /* by kind and id; scratch memory */
	size_t npacks, packs_cap;
	size_t ndata; /* of them of data, which come first */
	/* Their ids once more, so that a search needs a third of the memory; scratch memory */
	uint8_t (*ids)[FORMAT_PACK_ID_BYTES];
	size_t ids_cap;
	uint8_t (*lost_ids)[FORMAT_ID_BYTES]; /* of damage marks, sorted */
	size_t nlost_ids;

	/* of one mark, by gc_mark() */
	const struct pack_list *condemned; /* what the generation has named; NULL: first mark */
	struct runs *marks;
	struct refset *nodes[FORMAT_LEVELS_MAX];
	pthread_mutex_t lock;
	struct pack_list released;   /* guarded by lock: condemned, and needed all the same */
	uint64_t known_lost;         /* guarded by lock */
	uint64_t lost;               /* guarded by lock */
	uint64_t unreadable;         /* guarded by lock; lenient: points and nodes */
	struct chunk_ref lost_first; /* guarded by lock, as its pack's name */
	char lost_name[PACK_KEY_MAX];
};

/* ---- gc.c ---- */

/* Segments that the last generation has replaced and could not delete. */
struct gc_names;
MUST_CHECK int gc_replaced(struct gc *g, struct gc_names *ret, struct err *e);

/* Deletes an object; one that the store keeps is not gone, and no error. */
MUST_CHECK int gc_delete(struct gc *g, const char *key, bool *ret_gone, struct err *e);

/* ---- gc_gather.c ---- */

/* The guard's words for a commit that is there and not in the list. -1. */
int gc_list_lies(const char *session, struct err *e);

/* Reads everything that has a name, anew. Guards: what does not open, what is missing. */
MUST_CHECK int gc_gather(struct gc *g, struct err *e);
void gc_forget(struct gc *g); /* what gc_gather() and gc_mark() made */

/* The number of the domain of this name, made when it is new. -1: e. */
MUST_CHECK int gc_domain_number(struct gc *g, const char *name, struct err *e);

/* The pack's number, or npacks. */
size_t gc_pack_find(const struct gc *g, uint8_t kind, const uint8_t id[FORMAT_PACK_ID_BYTES]);

/* Opens the index of every domain by the view. */
MUST_CHECK int gc_open_indexes(struct gc *g, struct err *e);

/* ---- gc_mark.c ---- */

/*
 * Marks all places that live points need; sets live and nlive of each pack. With
 * g->condemned set, places in those packs must be found elsewhere, or the pack is released.
 */
MUST_CHECK int gc_mark(struct gc *g, struct err *e);

/* Gives each pack its fate. */
void gc_judge(struct gc *g);

/* ---- gc_repack.c ---- */

/*
 * Copies what is live of sparse and small packs, in a session of its own, which it commits. Those
 * that were not copied in full become GC_KEEP.
 */
MUST_CHECK int gc_repack(struct gc *g, struct err *e);

/* ---- gc_index.c ---- */

/* Keys of index segments, sorted. */
struct gc_names {
	char **v; /* owned */
	size_t n, cap;
};
MUST_CHECK int gc_names_add(struct gc_names *l, const char *name, struct err *e);
void gc_names_sort(struct gc_names *l);
bool gc_names_has(const struct gc_names *l, const char *name);
void gc_names_clear(struct gc_names *l);

/*
 * Makes the index anew without packs that any final names, and without segments of sessions whose
 * commits are going. locked: keys of segments that were replaced by generations before and could
 * not be deleted; those that cannot be deleted now, on return.
 *   ERR_BUSY  another collector has ended generation n, or fenced this one
 */
MUST_CHECK int gc_index(struct gc *g, uint64_t n, const struct session_names *going,
                        struct gc_names *locked, struct err *e);

/* True when there are so many small segments that merging them is worth a generation. */
MUST_CHECK int gc_index_due(struct gc *g, bool *ret, struct err *e);

#endif
