/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a session must treat as absent although it is there: packs that a
 * collection has named, and places that were found damaged. Pure; read-only
 * once it is sorted, and then usable from any thread.
 */
#ifndef AKSDR_REPO_ABSENT_H
#define AKSDR_REPO_ABSENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/pack.h"

struct pack_name {
	uint8_t kind; /* CHUNK_DATA or CHUNK_NODE */
	uint8_t id[FORMAT_PACK_ID_BYTES];
};

/* A list of packs; sorted by kind and id when it says so. */
struct pack_list {
	struct pack_name *v;
	size_t n, cap;
};
MUST_CHECK int pack_list_add(struct pack_list *l, uint8_t kind, const uint8_t *id, struct err *e);
void pack_list_sort(struct pack_list *l); /* and drops doubles */
bool pack_list_has(const struct pack_list *l, uint8_t kind, const uint8_t *id); /* sorted */
void pack_list_clear(struct pack_list *l);

/* The form of docs/FORMAT.md 12: 17 bytes a pack. */
MUST_CHECK int pack_list_encode(const struct pack_list *l, struct buf *b, struct err *e);
/* Takes n packs from the cursor's bytes. ERR_FORMAT. */
MUST_CHECK int pack_list_decode(struct pack_list *l, const uint8_t *p, size_t n, struct err *e);

struct place {
	struct pack_name pack;
	uint32_t off;
	uint8_t id[FORMAT_ID_BYTES]; /* of the chunk */
};

struct absent {
	struct pack_list packs;
	struct place *places; /* by pack and offset */
	size_t nplaces, places_cap;
};
/* For qsort(): by pack, offset and id. */
int absent_place_cmp(const void *va, const void *vb);
MUST_CHECK int absent_add_place(struct absent *a, const struct place *p, struct err *e);
void absent_sort(struct absent *a);
bool absent_has(const struct absent *a, const struct chunk_ref *ref);
bool absent_has_place(const struct absent *a, const struct chunk_ref *ref); /* whatever its pack */
void absent_clear(struct absent *a);

#endif
