/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a standby knows of its volumes: which point each copy has, which it should have, and what is
 * to be done next. Pure: what there is and a time in, a decision out. The caller locks.
 */
#ifndef AKSDR_RESTORE_STANDBY_TABLE_H
#define AKSDR_RESTORE_STANDBY_TABLE_H

#include "common/buf.h"
#include "kube/kube.h"
#include "restore/standby_name.h"

#define STANDBY_RETRY_S 60 /* after the first failure; doubled with each */
#define STANDBY_RETRY_MAX_S 3600

/* One claim that stands by. */
struct standby_copy {
	char point[33];  /* that it has, "": none, or a mixture */
	int64_t at_ns;   /* moment of that; 0: not known */
	uint64_t gaps;   /* places that are missing in it */
	bool there;      /* the claim is */
	bool mixed;      /* a point was being put into it */
	bool busy;       /* we are at it */
	bool taken_over; /* its volume belongs to the claim that it stood by for */
	bool seen;       /* while claims are listed */
};

struct standby_volume {
	char ns[KUBE_NAME_MAX + 1], name[KUBE_NAME_MAX + 1]; /* that it stands by for */
	char wanted[33];                                     /* point; "": none can be used */
	int64_t wanted_ns;                                   /* its moment */
	bool planned;                                        /* the plan has it */
	size_t item;                                         /* number of it in the plan */
	struct standby_copy copies[STANDBY_COPIES_MAX];
	/* since the program began */
	uint64_t applied, failures, fetched, written;
	unsigned failed;       /* tries since the last one that went well */
	int64_t not_before_ns; /* of the monotonic clock */
	char why[ERR_MSG_MAX]; /* of the last failure, "" when the last try went well */
};

struct standby_table {
	unsigned copies;
	struct standby_volume **v; /* owned; in the plan's order, then those that it has no more */
	size_t n;
};
void standby_table_clear(struct standby_table *t);

/* The volume of this name, made when it is missing. NULL: no memory. */
struct standby_volume *standby_table_get(struct standby_table *t, const char *ns, const char *name);

/* Before and after all claims are told by standby_table_claim(): what is not told is not there. */
void standby_table_begin(struct standby_table *t);
void standby_table_end(struct standby_table *t);

/*
 * A claim of ours, as the cluster has it. Not of one that we are at. *ret_copy: what is known of it
 * now; NULL: it is none. ERR_NOMEM
 */
MUST_CHECK int standby_table_claim(struct standby_table *t, unsigned copy, const json_t *claim,
                                   struct standby_copy **ret_copy, struct err *e);

/* Puts volumes into the order of the plan, and forgets those without plan and claim. */
void standby_table_sort(struct standby_table *t);

/*
 * The copy that is filled next, if there is something to do now. One that is whole stays as long as
 * another one is filled.
 */
bool standby_table_next(const struct standby_table *t, int64_t mono_ns,
                        struct standby_volume **ret_v, unsigned *ret_copy);

/* When standby_table_next() may say something else; INT64_MAX: not by itself. */
int64_t standby_table_wake(const struct standby_table *t, int64_t mono_ns);

/* What came of a try. why NULL: it went well. */
void standby_table_tried(struct standby_volume *v, const struct err *why, int64_t mono_ns);

/* The newest copy that is one point as a whole; NULL: there is none. */
const struct standby_copy *standby_table_best(const struct standby_table *t,
                                              const struct standby_volume *v);

/* Seconds that the best copy is behind what is wanted; -1: there is none, or nobody knows. */
int64_t standby_table_lag_s(const struct standby_table *t, const struct standby_volume *v);

/* "current", "behind", "applying", "empty", "blocked", "taken over", "not planned". */
const char *standby_table_state(const struct standby_table *t, const struct standby_volume *v);

/* Metrics of volumes, each with the label plan. */
void standby_table_metrics(const struct standby_table *t, const char *plan, struct buf *b);

#endif
