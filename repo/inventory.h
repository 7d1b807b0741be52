/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inventories, ctl/inventory/DAY/RANDOM: what holds data in a cluster, and of each whether it is
 * protected, left out or exposed, and why (docs/FORMAT.md 19). An agent puts one when something has
 * changed, so that an auditor sees it without rights in the cluster.
 */
#ifndef AKSDR_REPO_INVENTORY_H
#define AKSDR_REPO_INVENTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/note.h"
#include "repo/repo.h"

#define INVENTORY_ITEMS_MAX 50000                             /* of one record */
#define INVENTORY_PLAIN_MAX (32 * MIB)                        /* its items as text */
#define INVENTORY_TEXT_MAX 512                                /* bytes of a text of an item */
#define INVENTORY_KEEP_NS ((int64_t)400 * 86400 * 1000000000) /* a collection takes older ones */

enum inventory_kind {
	INVENTORY_CLAIM,     /* of a PersistentVolumeClaim */
	INVENTORY_VOLUME,    /* a PersistentVolume without a claim */
	INVENTORY_TEMPLATE,  /* claims that a StatefulSet will make */
	INVENTORY_EMPTY_DIR, /* of a pod, as the following are */
	INVENTORY_HOST_PATH,
	INVENTORY_INLINE, /* a volume that the pod's own spec names: CSI, NFS and the like */
	INVENTORY_KINDS
};

enum inventory_state {
	INVENTORY_EXPOSED,
	INVENTORY_EXCLUDED,
	INVENTORY_PROTECTED,
	INVENTORY_STATES
};

enum inventory_reason {
	INVENTORY_BY_POLICY,     /* protected */
	INVENTORY_BY_OPT_OUT,    /* excluded: somebody has said so */
	INVENTORY_BY_NATURE,     /* excluded: it holds no data that could be lost */
	INVENTORY_NO_POLICY,     /* exposed, as all that follow: none selects it */
	INVENTORY_PAUSED,        /* its policy begins nothing now */
	INVENTORY_INVALID,       /* its policy has a mistake */
	INVENTORY_UNPROTECTABLE, /* nothing of this kind can be backed up */
	INVENTORY_UNCLAIMED,     /* what no claim has cannot be */
	INVENTORY_REASONS
};

extern const char *const inventory_kinds[INVENTORY_KINDS];   /* "claim", ... */
extern const char *const inventory_states[INVENTORY_STATES]; /* "exposed", ... */
extern const char *const inventory_reasons[INVENTORY_REASONS];

/* What the texts of an item are; "": none. The first three and the kind name it. */
enum inventory_text {
	INVENTORY_NS,
	INVENTORY_NAME,
	INVENTORY_OWNER,  /* the workload, "StatefulSet/db" */
	INVENTORY_CLASS,  /* StorageClass */
	INVENTORY_DRIVER, /* CSI driver, or the member of the spec, as "nfs" */
	INVENTORY_POLICY, /* "namespace/name" that it falls under */
	INVENTORY_WHY,    /* a sentence */
	INVENTORY_TEXTS
};

struct inventory_item {
	enum inventory_kind kind;
	enum inventory_state state;
	enum inventory_reason reason;
	uint64_t bytes; /* that it may hold; 0: not said */
	uint64_t rpo_s; /* that its policy asks for; 0: nothing */
	uint64_t count; /* how many it stands for, of the same workload and name; 1 of claims */
	const char *texts[INVENTORY_TEXTS]; /* owned, of what is in an inventory */
};

struct inventory {
	char cluster[256];
	int64_t at_ns; /* by the clock of who looked */
	struct note_actor by;
	struct inventory_item *v;
	size_t n, cap;
	uint64_t omitted; /* items that had no room */
	/* set by inventory_digest() and by reading: of all items, the same for the same ones */
	char digest[65];
	/* set by reading */
	char key[NOTE_KEY_MAX];
	int64_t received_ns;
	uint8_t signer[FORMAT_SIGNER_BYTES];
};

void inventory_clear(struct inventory *v);

/*
 * Adds a copy of the item (NULL of texts: ""; what is too long is cut). An item that is there
 * already by kind, namespace, name and owner is counted in it when inventory_settle() is called.
 * ERR_NOMEM.
 */
MUST_CHECK int inventory_add(struct inventory *v, const struct inventory_item *item, struct err *e);

/*
 * Sorts, joins what has the same name, and leaves out what is over max (INVENTORY_ITEMS_MAX),
 * protected items first; then makes the digest.
 */
MUST_CHECK int inventory_settle(struct inventory *v, size_t max, struct err *e);

/* Puts a record of one that is settled. ERR_DENIED: the key cannot sign. */
MUST_CHECK int inventory_put(const struct repo *r, const struct inventory *v, struct err *e);

/* The names of the records that there are, in their order. */
MUST_CHECK int inventory_list(const struct repo *r,
                              int (*each)(void *arg, const char *key, int64_t received_ns,
                                          struct err *e),
                              void *arg, struct err *e);

/*
 * Reads a record into ret, an empty one. What note_is_bad() says of the error tells whether it is
 * about the record itself.
 */
MUST_CHECK int inventory_get(const struct repo *r, const char *key, int64_t received_ns,
                             struct inventory *ret, struct err *e);

/* The items as text, one JSON object a line; and back, into an empty one. */
MUST_CHECK int inventory_encode(const struct inventory *v, struct buf *b, struct err *e);
MUST_CHECK int inventory_decode(const char *what, const uint8_t *p, size_t n, struct inventory *v,
                                struct err *e);

#endif
