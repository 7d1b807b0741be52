/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a preflight finds: how much it matters, a word for programs, which object, one sentence
 * what, and one what to do. `doctor` has a verdict for each check, also for those that are fine;
 * here is only what somebody should know.
 */
#ifndef AKSDR_RESTORE_FINDING_H
#define AKSDR_RESTORE_FINDING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/clean.h"
#include "common/err.h"

enum finding_severity {
	FINDING_BLOCK,   /* the plan cannot be run, or a volume of it not restored */
	FINDING_WARNING, /* it can; somebody should look before */
	FINDING_NOTE,    /* nothing to do, but good to know */
};
#define FINDING_SEVERITIES 3

struct finding {
	enum finding_severity severity;
	char code[48];    /* upper camel case, as reasons of Kubernetes: "StorageClassMissing" */
	char object[384]; /* "StorageClass managed-csi", "PersistentVolumeClaim shop/orders" */
	char what[512];   /* no full stop */
	char remedy[384]; /* "": nothing */
};

#define FINDINGS_MAX 2000 /* that are kept; all are counted */

struct findings {
	struct finding *list; /* owned; in order once finding_sort() was called */
	size_t n, cap;
	size_t counts[FINDING_SEVERITIES]; /* with those that were left out */
	size_t left_out;
	bool nomem; /* one was lost; told by finding_check() */
};
#define FINDINGS_INIT ((struct findings){ .list = NULL })

/*
 * The next finding, to be filled by the two functions below before another one is added. NULL where
 * there is no room: they take that. Once the list is full a finding that matters more takes the
 * place of one that matters less, so that what blocks is not hidden by notes. One thread.
 */
struct finding *finding_add(struct findings *l, enum finding_severity severity, const char *code,
                            const char *object, ...) PRINTF_LIKE(4, 5);
void finding_what(struct finding *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
void finding_remedy(struct finding *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Whether something of this code is told already. */
bool finding_has(const struct findings *l, const char *code);

void finding_clear(struct findings *l);
#define auto_findings CLEANUP(finding_clear)

/* ERR_NOMEM: memory was short, and the list is not whole. */
MUST_CHECK int finding_check(const struct findings *l, struct err *e);

/* What matters most comes first, then by code and object; the same findings in the same order. */
void finding_sort(struct findings *l);

/* "block", "warning", "note". */
const char *finding_severity_name(enum finding_severity s);

/* An array of objects with the same members. NULL: no memory. The caller decrefs. */
json_t *finding_json(const struct findings *l);

#endif
