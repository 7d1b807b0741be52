/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of verification, check/DAY/RANDOM: that a check ran, what it found,
 * and which packs it read in full and found good, or damaged
 * (docs/FORMAT.md 14). A check puts one every so often while it runs, and one
 * at its end, so that what it did counts although it was interrupted. Ages of
 * packs follow from them.
 */
#ifndef AKSDR_REPO_CHECKED_H
#define AKSDR_REPO_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/absent.h"
#include "repo/note.h"
#include "repo/repo.h"

#define CHECKED_PACKS_MAX 65536                             /* of one record */
#define CHECKED_KEEP_NS ((int64_t)400 * 86400 * 1000000000) /* a collection takes older ones away */

struct checked {
	char run[33]; /* shared by the records of one check */
	unsigned level;
	bool ended;                      /* the last record of its check, which came to its end */
	bool all;                        /* it was to read everything that its level asks for */
	bool damaged;                    /* its packs are not good: what was said before is over */
	int64_t started_ns, finished_ns; /* by the clock of who checked; finished 0: not ended */
	uint64_t points, objects, bytes_read, problems, hurt_points, hurt_entries;
	uint64_t packs_verified, bytes_verified; /* in all records of the check; of an ended one */
	uint64_t packs;                          /* that this record is about */
	struct note_actor by;
	/* set by reading */
	char key[NOTE_KEY_MAX];
	int64_t received_ns;
	uint8_t signer[FORMAT_SIGNER_BYTES];
};

/* "": makes a new name for a run. */
void checked_new_run(char ret[33]);

/* Puts a record; at most CHECKED_PACKS_MAX packs, sorted here. ERR_DENIED: the key cannot sign. */
MUST_CHECK int checked_put(const struct repo *r, const struct checked *record,
                           struct pack_list *packs, struct err *e);

/*
 * Reads the records, in the order of their keys; those that do not open are passed over. want, when
 * not NULL, is asked for each key: 1: it is read, 0: not, -1: e. packs are valid during the call.
 */
MUST_CHECK int checked_each(const struct repo *r,
                            int (*want)(void *arg, const char *key, struct err *e),
                            int (*each)(void *arg, const struct checked *record,
                                        const struct pack_list *packs, struct err *e),
                            void *arg, struct err *e);

/* When packs were verified last, by the store's time of receipt of the record. */
struct checked_ages {
	struct checked_age {
		struct pack_name pack;
		int64_t at_ns; /* negative: it was damaged then */
	} * v;                 /* by kind and id; scratch memory */
	size_t n, cap;
	/*
	 * newest check of this level or above that was to read all and did not end: its name, or ""
	 */
	char open_run[33];
	int64_t open_started_ns;
};

/* Of records of this level and above, and of damage at any. */
MUST_CHECK int checked_ages(const struct repo *r, unsigned level, struct checked_ages *ret,
                            struct err *e);
void checked_ages_clear(struct checked_ages *a);
int64_t checked_age_of(const struct checked_ages *a, uint8_t kind,
                       const uint8_t id[FORMAT_PACK_ID_BYTES]); /* 0: never, or damaged */

#endif
