/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "Am I safe?": what the catalog knows that answers it, and the answer. Reading and judging are
 * apart; judging is pure.
 */
#ifndef AKSDR_CATALOG_STANDING_H
#define AKSDR_CATALOG_STANDING_H

#include <jansson.h>

#include "catalog/catalog.h"
#include "common/buf.h"

#define STANDING_NAME_MAX 256
#define STANDING_PLANS_MAX 64
#define STANDING_FINDINGS_MAX (12 + 2 * STANDING_PLANS_MAX)

/* From when on something is worth attention; those of helm/aksdr/files/alerts.yaml. */
#define STANDING_AGE_S (2 * 86400) /* of a newest point, where its policy asks for nothing */
#define STANDING_GEO_S 86400       /* of the newest one in the second region */
#define STANDING_VERIFIED_S (35 * 86400)
#define STANDING_DRILL_S (100 * 86400)
#define STANDING_SYNC_S 7200
#define STANDING_INVENTORY_S 129600

struct standing_worst {
	char name[STANDING_NAME_MAX]; /* "": none */
	int64_t age_s;
};

struct standing_plan { /* the last drill of a plan, or a run of it that has not ended */
	char plan[STANDING_NAME_MAX];
	int64_t began_ns;
	bool passed, damaged;
};

/* Counts; times are ns, 0: never. */
struct standing {
	int64_t synced_ns;
	int64_t volumes;        /* that have restore points */
	int64_t without_points; /* claims with a policy for a day, and none */
	int64_t late;           /* older than their target, or STANDING_AGE_S */
	struct standing_worst oldest, oldest_late;
	int64_t partial, fuzzy; /* volumes whose newest point is */
	int64_t inventory_ns;   /* of the cluster whose newest is the oldest */
	int64_t clusters;       /* with an inventory */
	int64_t protected_, exposed, exposed_other, excluded; /* exposed: what could be protected */
	char exposed_name[STANDING_NAME_MAX];                 /* one of them */
	bool geo, geo_known;                                  /* there is a second region */
	struct standing_worst geo_oldest;
	int64_t geo_missing; /* volumes of which nothing is there */
	int64_t verified_ns; /* when the newest check of everything began that found nothing */
	int64_t problems, check_level; /* of the newest check; level -1: there was none */
	int64_t anomalies, lost, holds;
	int64_t unlocked,
		looked_ns; /* points, by the last look at the locks of all; when that was */
	int64_t recipients, signers, revoked;
	int64_t fences, fenced_ns;           /* that stand; since when the newest of them does */
	char fenced_name[STANDING_NAME_MAX]; /* what it is of */
	struct standing_plan drills[STANDING_PLANS_MAX], open[STANDING_PLANS_MAX];
	size_t ndrills, nopen;
};

MUST_CHECK int standing_read(struct catalog *c, int64_t now_ns, struct standing *ret,
                             struct err *e);

enum standing_level { STANDING_OK, STANDING_ATTENTION, STANDING_DAMAGE };
extern const char *const standing_levels[]; /* "ok", "attention", "damage" */

struct standing_finding {
	enum standing_level level;
	const char *area; /* "backups", ...; static */
	char text[512];   /* a sentence */
};

struct standing_answer {
	enum standing_level level; /* the worst of them */
	struct standing_finding v[STANDING_FINDINGS_MAX];
	size_t n;
	char verdict[128]; /* the answer in a line */
};

/* Pure. */
void standing_judge(const struct standing *s, int64_t now_ns, struct standing_answer *ret);

/* As {"schema": "aksdr/status/v1", ...}; NULL: no memory. */
json_t *standing_json(const struct standing_answer *a, int64_t now_ns);
/* As text: the verdict, and a line for each finding. colour: for a terminal. */
void standing_print(const struct standing_answer *a, bool colour, struct buf *b);
/* The verdict and what needs attention in one line; whether the levels are others than before. */
void standing_line(const struct standing_answer *a, struct buf *b);
bool standing_changed(const struct standing_answer *a, const struct standing_answer *before);
/* 0; or -1 with ERR_PARTIAL or ERR_CORRUPT, and the verdict, for the exit status. */
MUST_CHECK int standing_status(const struct standing_answer *a, struct err *e);

#endif
