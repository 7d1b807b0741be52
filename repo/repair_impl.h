/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of repair.h share: repair.c runs them, repair_copy.c puts back, repair_index.c. */
#ifndef AKSDR_REPO_REPAIR_IMPL_H
#define AKSDR_REPO_REPAIR_IMPL_H

#include "repo/repair.h"

struct repair_domain {
	struct domain_keys *keys;  /* owned */
	struct segment_writer *to; /* owned; NULL until needed */
};

/* An object that the check complains of. */
struct repair_object {
	char *key;  /* owned */
	bool there; /* but not what it should be */
};

struct repair {
	const struct repo *repo;
	const struct repair_params *params;
	struct repair_result *result;
	struct repair_domain *domains;
	size_t ndomains;
	struct repair_object *objects; /* of the last look */
	size_t nobjects, objects_cap;
	char **segments; /* owned keys of those that do not open */
	size_t nsegments, segments_cap;
	struct pack_list unindexed;
	struct pack_list replaced; /* packs that are good again */
	struct place *places;      /* of all looks */
	size_t nplaces, places_cap;
};

/* The domain of this tag, or NULL. */
struct repair_domain *repair_domain_of(const struct repair *rp, const uint8_t tag[8]);

/* Tells what was done, and counts failures. text NULL: "". */
MUST_CHECK int repair_tell(struct repair *rp, enum repair_what what, const char *object,
                           uint64_t chunks, const char *text, struct err *e);

/* ---- repair_copy.c ---- */

/*
 * Puts back one object from the second store. 1: done (or would be); 0: it cannot be, *why says why
 * not; -1: e.
 */
MUST_CHECK int repair_copy(struct repair *rp, const struct repair_object *o, uint64_t *ret_bytes,
                           struct err *why, struct err *e);

/* ---- repair_index.c ---- */

/* Names packs without a name in new segments, and takes away those that do not open. */
MUST_CHECK int repair_index(struct repair *rp, struct err *e);

#endif
