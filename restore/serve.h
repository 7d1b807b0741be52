/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether this cluster serves a plan, for who sends traffic (docs/REGIONS.md).
 * The store is looked at every so often, and what it said is kept: an answer
 * is given from memory at once, whatever the store does. A look asks for the
 * next revision of the config and for the next record of each plan, and
 * nothing else.
 *
 * It says yes when the newest record of the plan names this cluster (where
 * there is none: when it is the plan's primary) and no fence stands against
 * that: one that was raised and given back since the record does. So nothing
 * but a new record brings traffic back to a cluster that was fenced.
 */
#ifndef AKSDR_RESTORE_SERVE_H
#define AKSDR_RESTORE_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/cancel.h"
#include "common/err.h"
#include "repo/owner.h"

#define SERVE_PLANS_MAX 256
#define SERVE_NAMESPACES_MAX 32 /* of a plan, that fences are looked at for */
#define SERVE_NAMESPACE_MAX 64  /* bytes, with a NUL */
#define SERVE_PATH "/traffic/"

/* ---- the decision ---- */

struct serve_facts {
	const char *plan, *cluster, *primary; /* cluster: that asks */
	struct owner owner;                   /* n 0: there is none */
	int64_t fenced_ns;                    /* when; 0: no fence stands against it */
	const char *fenced;                   /* the namespace that was; NULL: all of the cluster */
};

/* Whether the cluster serves the plan; line: that, or why not. Pure. */
bool serve_decide(const struct serve_facts *f, char line[ERR_MSG_MAX]);

/* ---- the look-out ---- */

struct serve;

struct serve_plan {
	char name[OWNER_PLAN_MAX], primary[POINT_NAME_MAX];
	/* Of the cluster; a fence of one of them is one of the plan. None: only of the cluster. */
	char namespaces[SERVE_NAMESPACES_MAX][SERVE_NAMESPACE_MAX];
	size_t nnamespaces;
};

struct serve_params {
	const char *cluster; /* this one */
	const struct serve_plan *plans;
	size_t nplans;
	const char *store, *key, *passphrase_file, *state; /* as repo_open_url() has them */
	int64_t max_age_s; /* what was read longer ago counts no more; 0: it always does */
	const struct cancel *cancel;  /* may be NULL */
	int64_t (*now_ns)(void *arg); /* NULL: the monotonic clock */
	void *arg;
};

/* params is copied, and so are the plans; its texts stay borrowed. ERR_INVALID, ERR_NOMEM */
MUST_CHECK int serve_new(const struct serve_params *params, struct serve **ret, struct err *e);
void serve_free(struct serve *s);
static inline void clean_serve(struct serve *const *s)
{
	serve_free(*s);
}
#define auto_serve CLEANUP(clean_serve)

/*
 * Looks at the store, and opens it before where that is to be done. On failure the answers stay as
 * they are. Of one thread; those below are of any, and return at once.
 */
MUST_CHECK int serve_look(struct serve *s, struct err *e);

/* As status_params: answers SERVE_PATH and a plan's name. */
unsigned serve_path(void *serve, const char *path, char line[ERR_MSG_MAX]);
int serve_ready(void *serve, struct err *e);
int serve_metrics(void *serve, struct buf *b, struct err *e);

#endif
