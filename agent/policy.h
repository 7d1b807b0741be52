/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BackupPolicy (aksdr.io/v1alpha1): what is backed up, when, how, and how long it is kept; and
 * which policy a claim falls under. Pure, but for policy_load(). The fields are described in
 * docs/KUBERNETES.md and helm/aksdr/crds/; what the API server refuses by that schema is refused
 * here too, by the same field.
 */
#ifndef AKSDR_AGENT_POLICY_H
#define AKSDR_AGENT_POLICY_H

#include "common/fields.h"
#include "common/selector.h"
#include "catalog/retain.h"
#include "common/cron.h"
#include "common/zone.h"
#include "snapshot/snapshot.h"

#define POLICY_API "aksdr.io/v1alpha1"
#define POLICY_KIND "BackupPolicy"
#define POLICY_NAME_MAX 253
#define POLICY_LIST_MAX 64 /* names or patterns in a list */
#define POLICY_HOOKS_MAX 16
#define POLICY_WORDS_MAX 64 /* of a hook's command */
#define POLICY_SETS_MAX 16
#define POLICY_SET_MAX 16 /* claims of a set */
#define POLICY_PRIORITY_MAX 1000000
#define POLICY_JITTER_MAX_S 86400
#define POLICY_AGE_MAX_S (INT64_C(100) * 366 * 86400) /* of rpo and ages in retention */
#define POLICY_FILES_MAX 1000                         /* policies of a directory */

enum policy_on_less {
	POLICY_LESS_RECORD, /* a point of less consistency than wanted is made and labelled */
	POLICY_LESS_FAIL    /* it is none */
};

/* Who reads a view. */
enum policy_reader { POLICY_READ_AUTO, POLICY_READ_MOVER, POLICY_READ_NODE };

struct policy_hook {
	const char *name; /* for messages; "" when it has none */
	bool post;
	bool go_on;            /* onError: continue */
	struct selector pods;  /* among those that use the claim; without rules: all of them */
	const char *container; /* "": the first one */
	struct fields_texts command;
	int64_t timeout_s;
};

struct policy_select {
	/* Patterns of fnmatch(); without any: all. */
	struct fields_texts namespaces, claims, classes;
	struct fields_texts not_namespaces, not_claims, not_classes;
	struct selector namespace_labels, claim_labels;
};

/* Texts are borrowed from the document, of which it holds a reference. */
struct policy {
	json_t *document;
	const char *ns, *name;
	/* Why it cannot be used: "spec.schedule.cron: ..."; "" when it can. Then all below but
	 * priority and select may be empty; select is read where it can be, selects says so. */
	char invalid[ERR_MSG_MAX];
	bool selects;

	bool paused;
	int64_t priority;
	struct policy_select select;

	const char *cron_text;
	struct cron cron;
	struct zone *zone; /* owned; NULL: UTC */
	int64_t jitter_s;

	int64_t rpo_s; /* 0: no target */
	bool retains;  /* there is a retention; else nothing goes */
	struct retain_policy retention;

	enum snapshot_consistency want;
	enum policy_on_less on_less;
	struct policy_hook *hooks;
	size_t nhooks;

	const char *driver;         /* "auto", or a name */
	const char *snapshot_class; /* "": found by the driver */
	int64_t freeze_timeout_s;   /* 0: the freezer's own */
	enum policy_reader reader;
	bool changed_blocks;
	int64_t full_every;

	uint64_t bandwidth_bytes_s; /* 0: no limit of its own */
	const char *domain;         /* "": cluster/namespace */
	struct fields_texts *sets;  /* names of claims that are of one moment */
	size_t nsets;
	const char *set_label; /* or claims with the same value of this label; "" */
	struct fields_texts exclude;
	bool skip_caches, allow_empty;
};

/*
 * Reads one object. zones: as dir of zone_open(). default_ns: for a document without
 * metadata.namespace, and borrowed for as long as the policy lives. A policy with a mistake in its
 * spec is returned too, with `invalid` set, so that it can be told to the claims it selects.
 *   ERR_INVALID  it is no BackupPolicy of this version, or has no name
 *   ERR_NOMEM
 */
MUST_CHECK int policy_read(const json_t *document, const char *zones, const char *default_ns,
                           struct policy **ret, struct err *e);
void policy_free(struct policy *p);
static inline void clean_policy(struct policy *const *p)
{
	policy_free(*p);
}
#define auto_policy CLEANUP(clean_policy)

/* 0, or ERR_INVALID: "policy 'ns/name': spec.schedule.cron: ...". */
MUST_CHECK int policy_check(const struct policy *p, struct err *e);

/* ---- files ---- */

struct policy_list {
	struct policy **items; /* owned, by namespace and name */
	size_t n;
};
void policy_list_clear(struct policy_list *l);

/*
 * Adds the policies of a file of YAML or JSON, any number of documents; others than BackupPolicy
 * are refused but for RestorePlan, which is left out. what names it in messages.
 *   ERR_FORMAT, ERR_TOO_BIG  as yaml_each()
 *   ERR_INVALID  as policy_read(), and a name that is there twice
 */
MUST_CHECK int policy_load_text(const char *what, const void *p, size_t n, const char *zones,
                                const char *default_ns, struct policy_list *l, struct err *e);
MUST_CHECK int policy_load_file(const char *path, const char *zones, const char *default_ns,
                                struct policy_list *l, struct err *e);
/* All files of a directory whose names end in .yaml, .yml or .json and begin with no dot. */
MUST_CHECK int policy_load_dir(const char *path, const char *zones, const char *default_ns,
                               struct policy_list *l, struct err *e);

/* ---- which policy a claim falls under ---- */

/* Labels and annotations are objects of texts, or NULL. */
struct policy_claim {
	const char *ns, *name;
	const char *storage_class; /* "" or NULL: none */
	const json_t *labels, *annotations;
	const json_t *ns_labels, *ns_annotations;
	const json_t *class_annotations;
};

enum policy_verdict {
	POLICY_PROTECTED,
	POLICY_PAUSED,   /* it has a policy, and begins nothing now */
	POLICY_EXCLUDED, /* somebody has said so */
	POLICY_NONE,     /* none selects it, or the one that is named is not there */
	POLICY_INVALID   /* the policy it falls under has a mistake */
};
const char *policy_verdict_name(enum policy_verdict v); /* "protected", ... */

struct policy_choice {
	enum policy_verdict verdict;
	const struct policy *policy; /* of all verdicts but EXCLUDED and NONE */
	char why[ERR_MSG_MAX];       /* a sentence for people */
};

/*
 * By the rules of docs/KUBERNETES.md. agent_ns: where policies may select claims of any namespace.
 * The order of the list does not count.
 */
struct policy_choice policy_choose(const struct policy_list *l, const char *agent_ns,
                                   const struct policy_claim *c);

/* Whether its selector fits; a policy whose selector has a mistake fits nothing. */
bool policy_selects(const struct policy *p, const char *agent_ns, const struct policy_claim *c);

/*
 * The set that a claim of this policy belongs to, as a name that its other members give too:
 * "NAMESPACE/label=VALUE", "NAMESPACE/sets[0]"; "" when it is alone.
 */
struct policy_set_name {
	char s[512];
};
struct policy_set_name policy_set_of(const struct policy *p, const struct policy_claim *c);

#endif
