/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention: which restore points of a volume stay, which go, and why; and
 * the file that gives policies to volumes. Only the store's time of receipt
 * and the sequence decide: a client's clock does not. Ages are counted back
 * from the newest point, not from now, so that a volume whose backups stopped
 * loses nothing. Pure: nothing is removed here.
 */
#ifndef AKSDR_CATALOG_RETAIN_H
#define AKSDR_CATALOG_RETAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

/* ---- the decision ---- */

#define RETAIN_ALL UINT32_MAX    /* a count without limit */
#define RETAIN_FLOOR_DEFAULT 3   /* floor_points of a policy that does not say */
#define RETAIN_COUNT_MAX 1000000 /* counts in a file, other than "all" */

/*
 * Rules for themselves: what one of them keeps stays. 0: there is no such
 * rule. Hours, days, ISO weeks, months and years are those of UTC.
 */
struct retain_policy {
	char name[64];
	uint32_t last; /* the newest points; RETAIN_ALL: nothing goes */
	/* the newest point of each of so many hours (days, ...): the newest ones that have any */
	uint32_t hourly, daily, weekly, monthly, yearly;
	int64_t within_s; /* the points that are at most so much older than the newest one */
	/* The floor, which is no rule by itself. */
	uint32_t floor_points; /* the newest points, and as many verified ones; 0 counts as 1 */
	int64_t floor_s;       /* as within_s */
};

struct retain_point {
	const char *session;
	uint64_t sequence;
	int64_t received_ns; /* by the store, since 1970 */
	bool verified;
	bool held, pinned; /* stays; for the rules it is a point like any other */
	bool expired;      /* on its way out: as if it were not there */
};

/* Why a point stays, as bits. */
enum retain_rule {
	RETAIN_EVERYTHING = 1 << 0, /* nothing goes; in place of RETAIN_LAST */
	RETAIN_LAST = 1 << 1,
	RETAIN_HOURLY = 1 << 2,
	RETAIN_DAILY = 1 << 3,
	RETAIN_WEEKLY = 1 << 4,
	RETAIN_MONTHLY = 1 << 5,
	RETAIN_YEARLY = 1 << 6,
	RETAIN_WITHIN = 1 << 7,
	RETAIN_FLOOR_POINTS = 1 << 8,
	RETAIN_FLOOR_VERIFIED = 1 << 9,
	RETAIN_FLOOR_AGE = 1 << 10,
	RETAIN_FLOOR_LATEST = 1 << 11, /* it has the highest sequence: `latest` means it */
	RETAIN_HELD = 1 << 12,
	RETAIN_PINNED = 1 << 13
};

struct retain_verdict {
	bool goes;      /* no rule keeps it; never true of a point that is expired */
	uint32_t rules; /* that keep it; 0 when it goes or is expired */
};

/*
 * Judges the points of one volume, which come in any order; ret[i] is of
 * pts[i]. Newer is what has the greater received_ns, then sequence, then
 * session. policy NULL: nothing goes.
 *
 * The newest point and the one with the highest sequence always stay. What
 * stays does not change when what goes is taken out and the rest is judged
 * again; a greater count or age never makes another point go.
 *   ERR_INVALID  the policy has no rule, and would remove all but the floor
 *   ERR_NOMEM
 */
MUST_CHECK int retain_mark(const struct retain_policy *policy, const struct retain_point *pts,
                           size_t n, struct retain_verdict *ret, struct err *e);

/*
 * Why, for people and reports: "last 3, daily 2026-11-22, hold", "no rule
 * keeps it", "expired already". policy is the one that the verdict is by.
 */
struct retain_text {
	char s[320];
};
struct retain_text retain_why(const struct retain_policy *policy, const struct retain_point *pt,
                              const struct retain_verdict *v);

/* ---- the file ---- */

#define RETAIN_POLICIES_MAX 1000
#define RETAIN_PATTERNS_MAX 100   /* of a policy */
#define RETAIN_PATTERN_MAX 767    /* bytes: the longest "cluster/namespace/name" */
#define RETAIN_TEXT_MAX (4 * MIB) /* bytes of the file */

struct retain_entry {
	struct retain_policy policy;
	char **patterns;
	size_t npatterns;
};

struct retain_policies {
	struct retain_entry *items; /* owned, with the patterns */
	size_t n;
};
void retain_policies_clear(struct retain_policies *set);

/*
 * Decodes
 *     {"schema": "aksdr/retention/v1",
 *      "policies": [{"name": "gold",
 *                    "volumes": ["shop/orders-*", "db-?"],
 *                    "keep": {"last": 3, "hourly": 24, "daily": 7, "weekly": 5, "monthly": 12,
 *                             "yearly": "all", "within": "2d"},
 *                    "floor": {"points": 3, "age": "1d"}}]}
 * what names the document in messages, which name the path of what they
 * refuse. Every member of keep may be missing, but not all; floor too. A name
 * is of letters, digits, '.', '_' and '-', and there once. Ages are in the
 * form of num_duration().
 *   ERR_INVALID  no JSON, of another schema, an unknown or missing member, a
 *                value out of its range, a policy without a rule
 *   ERR_TOO_BIG  over one of the limits above
 *   ERR_NOMEM
 * The caller clears ret after success.
 */
MUST_CHECK int retain_policies_parse(const char *what, const uint8_t *text, size_t n,
                                     struct retain_policies *ret, struct err *e);

/*
 * The policy of a volume, "cluster/namespace/name" without the parts that are
 * empty: the first one with a pattern that fits the name or its end after a
 * '/'. Patterns are those of fnmatch(); '*' and '?' also stand for '/'. NULL:
 * none, and the volume is not to be touched.
 */
const struct retain_policy *retain_policy_for(const struct retain_policies *set,
                                              const char *volume);

#endif
