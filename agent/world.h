/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an agent knows of its cluster, fed by watches: of each object the few members that decide
 * who is backed up, when and by whom. Claims, namespaces, classes, policies and the Leases of
 * volumes are those of the whole cluster, pods those of its own node. About 1.5 KiB a claim with
 * its Lease and three labels.
 *
 * No input or output, no clock, no lock: the caller has one.
 */
#ifndef AKSDR_AGENT_WORLD_H
#define AKSDR_AGENT_WORLD_H

#include "agent/claim_record.h"
#include "agent/policy.h"

enum world_kind {
	WORLD_CLAIMS,
	WORLD_NAMESPACES,
	WORLD_CLASSES,
	WORLD_POLICIES,
	WORLD_PODS,   /* of our node */
	WORLD_AGENTS, /* pods of all agents */
	WORLD_LEASES, /* of volumes */
	WORLD_KINDS
};

/* Begins each object of the world. */
struct world_key {
	char *ns, *name; /* ns is "" for kinds of the cluster */
};

/* Objects of a kind, by namespace and name. */
struct world_shelf {
	struct world_key **v;
	size_t n, cap;
};

/* What the planner (agent/planner.h) knows of a claim; all zero: nothing yet. */
struct world_plan {
	uint64_t rules, pods; /* of the world, when it was judged; 0: it must be judged */
	enum policy_verdict verdict;
	const struct policy *policy; /* or NULL */
	char *set;                   /* owned; NULL: alone */
	bool due;                    /* slot_s is to be run, by whomever */
	int64_t slot_s;
	int64_t at_s;     /* due: since when; else when to look again */
	int64_t waits_s;  /* due: since when without a run, of whatever slot */
	int64_t begins_s; /* when we may begin what is due */
	int64_t judged_s;

	/* What this agent did itself, which the Lease may not tell yet, or never. */
	bool running;
	int64_t own_done_s, own_tried_s, own_ended_s; /* as in struct sched_record; 0: none */
	unsigned own_failures;
	char *own_why; /* owned; of the last run, when nobody but us knows why it failed; or NULL */
	int64_t not_before_s;
	int64_t told_s; /* slot that was told as skipped */
};

struct world_claim {
	struct world_key key;
	char uid[64];
	char *class; /* "" without one */
	struct claim_lease lease;
	bool bound, leaving;
	uint64_t bytes; /* that it has or asks for; 0: it does not say */
	int64_t created_s;
	int64_t cancel_s;             /* runs that began before are to end; 0: none */
	json_t *labels, *annotations; /* or NULL; of annotations only ours */
	struct world_plan plan;
};

struct world_scope { /* a namespace or a class */
	struct world_key key;
	json_t *labels, *annotations;
	bool known; /* it was there before */
};

struct world_policy {
	struct world_key key;
	struct policy *policy;
	char *uid;
	int64_t created_s, generation;
	json_t *status; /* as it is in the cluster, or NULL */
};

struct world_pod {
	struct world_key key;
	char *node;
	bool ready;
	char **claims; /* names, in the pod's namespace */
	size_t n;
};

struct world_lease {
	struct world_key key;
	bool has_holder;
	int64_t lasts_s;   /* how long a holder has it after a change */
	int64_t changed_s; /* when we saw it change last */
	char *version;
	struct sched_record held,
		free;               /* what it tells while somebody has it, and when nobody has */
	int64_t ended_s, success_s; /* SCHED_NONE */
	enum claim_outcome outcome;
	char *message; /* "" */
};

struct world {
	const char *agent_ns; /* borrowed */
	const char *zones;    /* as of zone_open() */
	struct world_shelf shelves[WORLD_KINDS];
	bool synced[WORLD_KINDS];
	bool nomem;              /* something was not taken in: it must be begun anew */
	uint64_t rules;          /* grows with policies, namespaces and classes; begins with 1 */
	uint64_t pods;           /* grows with pods and agents; begins with 1 */
	struct policy_list list; /* the policies, borrowed from their shelf */
	const char **nodes;      /* with an agent that is ready, borrowed */
	size_t nnodes;
};

MUST_CHECK struct world *world_new(const char *agent_ns, const char *zones, struct err *e);
void world_free(struct world *w);
static inline void clean_world(struct world *const *w)
{
	world_free(*w);
}
#define auto_world CLEANUP(clean_world)

/* An object as the API server has it is there, or has changed. */
void world_put(struct world *w, enum world_kind kind, const json_t *object, int64_t now_s);
void world_gone(struct world *w, enum world_kind kind, const char *ns, const char *name);
/* All there is of a kind has been told. */
void world_synced(struct world *w, enum world_kind kind);
/* All kinds have been told. */
bool world_ready(const struct world *w);

/* Borrowed until the next change; NULL: there is none. */
struct world_claim *world_claim(const struct world *w, const char *ns, const char *name);
const struct world_lease *world_lease(const struct world *w, const char *name);
const struct world_lease *world_lease_of(const struct world *w, const struct world_claim *c);
const struct world_policy *world_policy_of(const struct world *w, const struct policy *p);
/* As policy_choose() wants it. */
struct policy_claim world_view(const struct world *w, const struct world_claim *c);
/* A pod of our node uses it. */
bool world_uses(const struct world *w, const char *ns, const char *claim);
/* Somebody has it, as far as can be seen: its holder has written within the time that it lasts. */
bool world_lease_held(const struct world_lease *l, int64_t now_s);

#endif
