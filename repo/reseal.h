/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Re-seal objects (docs/KEYS.md): data keys of packs that were written before
 * somebody became a recipient, sealed to them. They are found by the key's
 * commitment, which goes wherever a repack takes the key.
 */
#ifndef AKSDR_REPO_RESEAL_H
#define AKSDR_REPO_RESEAL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/progress.h"
#include "repo/pack.h"
#include "repo/repo.h"

#define RESEAL_ENTRIES_MAX 65536 /* of one object */

/* What a recovery key was re-sealed; loaded when it is first wanted. Thread-safe. */
struct reseal;
struct reseal *reseal_new(void); /* NULL: no memory */
void reseal_free(struct reseal *x);

/*
 * Opens a data key as pack_header_dek(), and where the pack has no slot for r's key, by the re-seal
 * objects. Errors as there, and those of the store.
 */
MUST_CHECK int reseal_dek(const struct repo *r, const uint8_t *p, const struct pack_header *h,
                          uint16_t key, const struct domain_keys *domain, uint8_t *out,
                          struct err *e);

struct reseal_params {
	const char *to; /* name or id of the recipient */
	bool dry_run;
	unsigned threads;               /* 0: two a CPU */
	size_t entries_max;             /* of an object; 0: RESEAL_ENTRIES_MAX */
	struct progress_counts *counts; /* may be NULL; files are packs */
};

struct reseal_result {
	uint64_t packs;         /* of data */
	uint64_t present;       /* data keys that the recipient can open already */
	uint64_t sealed;        /* that were sealed to it, or would be */
	uint64_t objects;       /* that were written */
	uint64_t bad_packs;     /* whose header, or a key in it, does not open with r's key */
	char bad[PACK_KEY_MAX]; /* one of them */
};

/*
 * Seals to the recipient what it cannot open yet; only headers of packs are
 * read. It can be stopped and called again. What does not open is counted.
 *   ERR_NOT_FOUND  no such recipient
 *   ERR_DENIED     r's key is not the admin's
 */
MUST_CHECK int reseal_run(const struct repo *r, const struct reseal_params *params,
                          struct reseal_result *ret, struct err *e);

/*
 * Pure: n entries of an object's list are well-formed, and ascend by commitment. For the fuzz
 * target, and for reading.
 */
bool reseal_list_valid(const uint8_t *p, size_t n);

#endif
