/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a drill has shown: which points were restored, how old they were, whether everything that
 * was read back is as it was, what the check command said, how long all of it took, and whether
 * that is what the plan asks for. It is kept as JSON in the last record of the drill's run
 * (repo/run_log.h), and so signed and sealed as all records are; `drills` reads it back.
 */
#ifndef AKSDR_RESTORE_DRILL_REPORT_H
#define AKSDR_RESTORE_DRILL_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define DRILL_SCHEMA "aksdr/drill/v1"
#define DRILL_VOLUMES_MAX 2000 /* that are kept of one drill; all are counted */
#define DRILL_CHECKS_MAX 64
#define DRILL_PHASES_MAX 16
#define DRILL_WHYS_MAX 16
#define DRILL_WHY_MAX 384
#define DRILL_TEXT_MAX 2048 /* bytes of any text of a report */

struct drill_phase {
	const char *name; /* "choose", "restore", "check" */
	int64_t began_ns;
	double seconds;
};

struct drill_volume {
	const char *volume; /* CLUSTER/NAMESPACE/NAME */
	const char *claim;  /* NAMESPACE/NAME that it was restored to */
	const char *point;  /* 32 hexadecimal digits; "": there is none that can be used */
	const char *why;    /* what is wrong with it; "": nothing */
	int64_t frozen_ns;  /* the point's moment; 0: there is no point */
	uint64_t bytes, files, fetched_bytes;
	uint64_t gaps; /* places that are missing */
	double seconds;
	bool restored; /* it is there, whole or with gaps */
	bool verified; /* read back from the volume, and as in the point */
	bool damaged;  /* data are missing in the store, or were not what they should be */
};

/* A pod with the command of the plan, in one namespace. */
struct drill_check {
	const char *ns;
	const char *why;  /* "": it ended with 0 */
	const char *said; /* the end of its output */
	double seconds;
	bool passed;
};

/* Texts are borrowed, of a report that was read from `document`. */
struct drill_report {
	const char *run, *plan, *user, *host, *version;
	const char *from, *to; /* clusters */
	int64_t began_ns, ended_ns;
	int64_t rpo_s, rto_s; /* what the plan asks for; 0: nothing */
	struct drill_phase phases[DRILL_PHASES_MAX];
	size_t nphases;
	struct drill_volume *volumes; /* owned */
	size_t nvolumes;
	size_t left_out;            /* volumes that are not kept */
	struct drill_check *checks; /* owned */
	size_t nchecks;
	bool check_wanted;  /* the plan has a command */
	const char *broken; /* what ended it before its end; NULL or "": nothing. Not kept itself */
	/* from these: */
	int64_t age_s;  /* of the oldest point at its begin: the RPO achieved; -1: unknown */
	double took_s;  /* from its begin to its end: the RTO that was achieved */
	uint64_t bytes; /* of all volumes */
	bool passed, damaged;
	char whys[DRILL_WHYS_MAX][DRILL_WHY_MAX]; /* why it did not pass */
	size_t nwhys;
	json_t *document; /* owned; NULL: it was not read */
};
void drill_report_clear(struct drill_report *r);
#define auto_drill_report CLEANUP(drill_report_clear)

/* Sets what follows from the rest. Pure. */
void drill_report_judge(struct drill_report *r);

/* NULL: no memory, or a text is no UTF-8. The caller decrefs. */
json_t *drill_report_json(const struct drill_report *r);

/* Reads one; document is kept (borrowed, and referenced). ERR_FORMAT, ERR_NOMEM */
MUST_CHECK int drill_report_read(const json_t *document, struct drill_report *ret, struct err *e);

#endif
