/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether volumes are backed up as rules ask for it (docs/REPORTS.md): rules are read from a
 * document that a person wrote, facts come from the catalog (catalog/report/comply.sql), and what
 * follows of both is a verdict for each volume and requirement, with what proves it. Judging is
 * pure.
 */
#ifndef AKSDR_CATALOG_COMPLY_H
#define AKSDR_CATALOG_COMPLY_H

#include "catalog/report.h"
#include "common/fields.h"

#define COMPLY_API "aksdr.io/v1alpha1"
#define COMPLY_KIND "ComplianceRules"
#define COMPLY_SETS_MAX 64
#define COMPLY_EXCEPTIONS_MAX 1000
#define COMPLY_TEXT_MAX 256

enum comply_what {
	COMPLY_RPO,
	COMPLY_GEO_RPO,
	COMPLY_VERIFIED,
	COMPLY_TESTED,
	COMPLY_KEEP_POINTS,
	COMPLY_KEEP_FOR,
	COMPLY_LOCKED_FOR,
	COMPLY_CONSISTENCY,
	COMPLY_ENCRYPTED,
	COMPLY_SIGNERS,
	COMPLY_KEY_AGE,
	COMPLY_WHATS
};

/* Which requirement of which framework it is evidence for. Help, and no certification. */
struct comply_kind {
	const char *name; /* as in the rules */
	const char *iso27001, *soc2, *nist80053, *pci, *hipaa, *gdpr;
};
extern const struct comply_kind comply_kinds[COMPLY_WHATS];

struct comply_set {
	const char *name;
	struct fields_texts clusters, namespaces, volumes; /* patterns; none: any */
	int64_t wants[COMPLY_WHATS]; /* seconds, a count, a rank, 1; 0: nothing is asked for */
};

struct comply_exception {
	const char *volume; /* pattern */
	const char *what;   /* a requirement, or "*" */
	const char *reason, *approver;
	int64_t until_ns; /* outside */
};

struct comply_rules {
	json_t *document; /* owned; texts are borrowed from it */
	const char *name;
	struct comply_set *sets; /* owned */
	size_t nsets;
	struct comply_exception *exceptions; /* owned */
	size_t nexceptions;
};
void comply_rules_free(struct comply_rules *r);
static inline void clean_comply_rules(struct comply_rules *const *r)
{
	comply_rules_free(*r);
}
#define auto_comply_rules CLEANUP(clean_comply_rules)

/* ERR_INVALID "spec.rules[1].require.rpo: ..."; ERR_NOMEM. */
MUST_CHECK int comply_read(const json_t *document, struct comply_rules **ret, struct err *e);
/* The same from a file of YAML or JSON. */
MUST_CHECK int comply_load(const char *path, struct comply_rules **ret, struct err *e);

/* What the catalog knows of a volume; times in ns, 0: there is none. Texts are borrowed. */
struct comply_facts {
	const char *volume, *cluster, *namespace, *name;
	const char *session; /* of the newest point; "": there is none that could be restored */
	const char *consistency, *signer, *check_run, *drill_run;
	int64_t frozen_ns, worst_ns, geo_frozen_ns, verified_frozen_ns, checked_ns, tested_ns;
	int64_t oldest_ns, key_ns;
	int64_t points, signers; /* signers 0: the catalog does not know */
	bool geo_known;
	/* Of points younger than the lock that is asked for (comply_run() asks each time anew): */
	struct comply_locks {
		int64_t points;
		int64_t short_;  /* of them: something can be deleted before that time */
		int64_t unasked; /* of them: nobody has asked, or not for so long */
	} locks;
	int64_t looked_ns; /* the last look at the locks of all points; 0: none */
};

enum comply_state { COMPLY_PASS, COMPLY_FAIL, COMPLY_UNKNOWN, COMPLY_EXCEPTED };
const char *comply_state_name(enum comply_state s); /* "pass", "fail", "unknown", "excepted" */

struct comply_row {
	const char *volume, *set; /* borrowed */
	enum comply_what what;
	enum comply_state state;
	char wanted[64], got[64];
	char evidence[COMPLY_TEXT_MAX];           /* a point, a check, a drill */
	char why[COMPLY_TEXT_MAX];                /* of all but pass */
	const struct comply_exception *exception; /* NULL: none */
};

/* Judges one requirement of a set by the facts, at this time. Pure. */
void comply_judge(const struct comply_rules *r, const struct comply_set *s, enum comply_what what,
                  const struct comply_facts *f, int64_t as_of_ns, struct comply_row *ret);
/* Whether the set is about the volume. Pure. */
bool comply_selects(const struct comply_set *s, const struct comply_facts *f);

struct comply_result {
	uint64_t states[4];           /* of requirements, by enum comply_state */
	uint64_t volumes, unselected; /* that no set is about */
};

/* Calls each() for each requirement of each volume, in their order. */
MUST_CHECK int comply_run(struct catalog *c, const struct comply_rules *r,
                          const struct report_params *p,
                          int (*each)(void *arg, const struct comply_row *row, struct err *e),
                          void *arg, struct comply_result *ret, struct err *e);

#endif
