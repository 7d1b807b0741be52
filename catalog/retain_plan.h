/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What retention would do now: every restore point of every volume with what
 * becomes of it and why, by the catalog and the statements in the store; and
 * the tombstones that do it.
 */
#ifndef AKSDR_CATALOG_RETAIN_PLAN_H
#define AKSDR_CATALOG_RETAIN_PLAN_H

#include "catalog/catalog.h"
#include "catalog/retain.h"
#include "repo/expiry.h"

#define RETAIN_PLAN_SHARE_DEFAULT 50 /* percent of a volume's points that may go at once */
#define RETAIN_PLAN_SHARE_FROM 10    /* points that may always go */

enum retain_plan_action {
	RETAIN_PLAN_KEEP,
	RETAIN_PLAN_EXPIRE,
	RETAIN_PLAN_PROPOSED, /* it goes, and this key has said so: another signer is waited for */
	RETAIN_PLAN_EXPIRED   /* already */
};
const char *retain_plan_action_name(
	enum retain_plan_action a); /* "keep", "expire", "proposed", "expired" */

struct retain_plan_point {
	char session[POINT_SESSION_LEN + 1];
	size_t volume; /* number in volumes */
	uint64_t sequence;
	int64_t received_ns, frozen_ns;
	uint64_t bytes_stored;
	enum retain_plan_action action;
	struct retain_text why;
};

struct retain_plan_volume {
	char *name;                         /* owned */
	const struct retain_policy *policy; /* borrowed from the policies; NULL: none */
	size_t points, expire;              /* how many, and of them: how many go */
};

struct retain_plan {
	struct retain_plan_point *points; /* by volume, oldest first */
	size_t npoints, points_cap;
	struct retain_plan_volume *volumes; /* by name */
	size_t nvolumes, volumes_cap;
};
void retain_plan_clear(struct retain_plan *p);

/*
 * Makes the plan. voltag: of one volume, or NULL. me: the signer whose tombstones this key puts.
 * Nothing of a volume that no policy is for goes.
 *   ERR_INVALID  a policy has no rule
 *   ERR_CORRUPT  holds are missing or do not open: what is held is not known for sure
 */
MUST_CHECK int retain_plan_make(struct catalog *c, const struct expiry *x,
                                const struct retain_policies *policies, const char *voltag,
                                const uint8_t me[FORMAT_SIGNER_BYTES], struct retain_plan *ret,
                                struct err *e);

/*
 * Refuses a plan by which more than this share of a volume's points, and more than
 * RETAIN_PLAN_SHARE_FROM, would go at once: a policy that is new, or a mistake, or a store whose
 * times of receipt say nothing because it was copied.
 *   ERR_INVALID
 */
MUST_CHECK int retain_plan_check_share(const struct retain_plan *p, unsigned percent,
                                       struct err *e);

/*
 * Moves what goes by the plan `from` to the end of `into`, the volumes with it, and clears `from`:
 * plans of many volumes, made one by one, are put together without those of all that stays.
 */
MUST_CHECK int retain_plan_move(struct retain_plan *into, struct retain_plan *from, struct err *e);

/* Puts the tombstones. */
MUST_CHECK int retain_plan_put(const struct repo *r, const struct retain_plan *p, struct err *e);

#endif
