/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects of a collection, ctl/gc/N/…, and of damage marks, ctl/damage/…:
 * putting and reading them, and what state they are in (docs/CONCURRENCY.md;
 * FORMAT.md 12). What to collect is decided in gc.c.
 */
#ifndef AKSDR_REPO_COLLECTION_H
#define AKSDR_REPO_COLLECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/absent.h"
#include "repo/repo.h"

#define COLLECTION_PACKS_MAX ((size_t)1 << 18) /* of one generation; more wait for the next */

/* Session names, sorted, each once. */
struct session_names {
	char (*v)[POINT_SESSION_LEN + 1];
	size_t n, cap;
};
MUST_CHECK int session_names_add(struct session_names *l, const char *session, struct err *e);
void session_names_sort(struct session_names *l);
bool session_names_has(const struct session_names *l, const char *session); /* sorted */
void session_names_clear(struct session_names *l);

enum collection_part {
	COLLECTION_CONDEMN,  /* packs */
	COLLECTION_SESSIONS, /* sessions to wait for */
	COLLECTION_FINAL,    /* packs, and points that go */
	COLLECTION_FINALS,   /* packs of all finals so far, every so often */
	COLLECTION_LIVE,     /* points that were live */
	COLLECTION_DONE,
	COLLECTION_PARTS
};

/* What generations there are. */
struct collection_state {
	uint64_t done;            /* newest that is done; 0: none */
	uint64_t finals;          /* newest done one that has the list of all finals; 0: none */
	bool done_live;           /* it has a list of what was live */
	uint64_t open;            /* done + 1 when some of its objects are there; else 0 */
	unsigned open_parts;      /* 1 << enum collection_part */
	int64_t open_received_ns; /* receipt of its condemn; 0 while there is none */
};

/*
 * One LIST, and, when a key was revoked, a look into the newest objects: those of a revoked key may
 * not count. ERR_CORRUPT when the generations contradict each other, also when listed again.
 */
MUST_CHECK int collection_state(const struct repo *r, struct collection_state *ret, struct err *e);

/*
 * The same, and the marks of damage into marks, unsorted (it has no places before): one LIST of
 * ctl/ and a GET for each mark.
 */
MUST_CHECK int collection_state_and_marks(const struct repo *r, struct collection_state *ret,
                                          struct absent *marks, struct err *e);

/*
 * Deletes objects of collections that do not count since their key was revoked: their names are
 * wanted. ERR_DENIED when the store refuses.
 */
MUST_CHECK int collection_drop_voids(const struct repo *r, struct err *e);

/* What such an object holds; its packs and sessions are sorted. */
struct collection_list {
	struct pack_list packs;
	struct session_names sessions;
};
void collection_list_clear(struct collection_list *l);

/*
 * Puts part of generation n; what: facts for people, taken into its JSON (may be NULL; borrowed).
 *   ERR_EXISTS  another one stands there
 */
MUST_CHECK int collection_put(const struct repo *r, uint64_t n, enum collection_part part,
                              const struct collection_list *l, const json_t *what, struct err *e);

/* Reads it. ret is empty before; ret_what (may be NULL) gets its JSON. */
MUST_CHECK int collection_get(const struct repo *r, uint64_t n, enum collection_part part,
                              struct collection_list *ret, json_t **ret_what, struct err *e);

/* "ctl/gc/00000001/condemn" */
void collection_key(uint64_t n, enum collection_part part, char ret[64]);
bool collection_key_parse(const char *key, uint64_t *ret_n, enum collection_part *ret_part);

/* ---- damage marks ---- */

/*
 * Marks places as damaged, and ids as lost (a place with an id whose pack is gone counts as such).
 * The next session treats them as absent.
 */
MUST_CHECK int damage_put(const struct repo *r, const struct place *places, size_t n,
                          struct err *e);

/*
 * Reads all marks into a, unsorted. each, when not NULL, is told the key of each mark and its
 * places.
 */
MUST_CHECK int damage_load(const struct repo *r, struct absent *a,
                           int (*each)(void *arg, const char *key, const struct place *places,
                                       size_t n, struct err *e),
                           void *arg, struct err *e);

#endif
