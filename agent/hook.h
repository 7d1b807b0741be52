/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks: commands that run before and after the moment of a snapshot, so that an application is
 * ready for it. A hook has a session and process group of its own, no standard input, no
 * descriptor of ours, and none of our secrets in its environment; it has a time limit, and what it
 * says is kept: its end as text, and facts, which are lines of its standard output
 *
 *	aksdr-fact NAME VALUE
 *
 * docs/RECIPES.md tells people how to write one.
 */
#ifndef AKSDR_AGENT_HOOK_H
#define AKSDR_AGENT_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cancel.h"
#include "common/err.h"

#define HOOK_TIMEOUT_MS 30000U        /* unless told otherwise */
#define HOOK_TIMEOUT_MAX_MS 86400000U /* a day */
#define HOOK_GRACE_MS 2000U           /* between asking it to end and killing it */
#define HOOK_OUTPUT_MAX (8 * KIB)     /* of the end of its output */
#define HOOK_FACTS_MAX 32
#define HOOK_FACT_NAME_MAX 64
#define HOOK_FACT_VALUE_MAX 256

enum hook_phase {
	HOOK_PRE, /* before the moment */
	HOOK_POST /* after it, also when there was none: a cancel does not end it */
};

/* What a failure means. hook_run() does the same for both: the caller decides by it. */
enum hook_on_error {
	HOOK_FAIL,    /* no restore point is made */
	HOOK_CONTINUE /* it is made, and the failure is told */
};

struct hook_result;

struct hook {
	enum hook_phase phase;
	/* Either a line for /bin/sh -c, or, while that is NULL, arguments that end with NULL; the
	 * first is the program, looked up in PATH when there is no '/' in it. Borrowed. */
	const char *line;
	const char *const *argv;
	/* In place of a process here, with the contract of hook_run(); name is needed then. */
	int (*run)(const struct hook *h, struct cancel *cancel, struct hook_result *ret,
	           struct err *e);
	void *arg;           /* of run */
	const char *name;    /* for messages and records; NULL: line, or argv[0] */
	unsigned timeout_ms; /* 0: HOOK_TIMEOUT_MS; more than HOOK_TIMEOUT_MAX_MS is that */
	unsigned grace_ms;   /* 0: HOOK_GRACE_MS */
	enum hook_on_error on_error;
};

/* A variable of the hook's environment, beside those that are inherited. */
struct hook_var {
	const char *name, *value;
};

struct hook_fact {
	char name[HOOK_FACT_NAME_MAX + 1];   /* [a-z0-9.-]+ */
	char value[HOOK_FACT_VALUE_MAX + 1]; /* UTF-8 without control characters; may be empty */
};

struct hook_result {
	bool started;
	bool timed_out;
	bool cancelled;
	int status;          /* exit status; -1: none, it never ran or was ended by a signal */
	int signal;          /* that ended it; 0: none */
	int64_t duration_ns; /* from its start until its end */

	/*
	 * The end of what it wrote, standard output and error as they came, with a NUL: UTF-8; what
	 * is not, and control characters but for line ends and tabs, are written as \xNN.
	 */
	char output[HOOK_OUTPUT_MAX + 1];
	size_t output_len;
	uint64_t written; /* bytes that it wrote in all */

	/* In the order that they came first; a later one of the same name replaces the value. */
	struct hook_fact facts[HOOK_FACTS_MAX];
	size_t nfacts;
	size_t facts_lost; /* lines that began as a fact and were none, or were too many */
};

/*
 * Runs the hook and waits for its end. The environment is ours without AKSDR_KEY,
 * AKSDR_PASSPHRASE_FILE, AZURE_* and AWS_*, with AKSDR_HOOK (pre or post) and the nvars variables
 * given: by convention AKSDR_SET, AKSDR_VOLUMES (names separated by spaces), and for HOOK_POST
 * AKSDR_RESULT (captured or failed).
 *
 * At the time limit, and for HOOK_PRE when cancel (may be NULL) is requested, the group gets
 * SIGTERM and after grace_ms, unless all of it that holds the output has ended, SIGKILL. What the
 * command leaves behind when it ends by itself lives on, and is not waited for.
 *
 * 0 when it ended with status 0. Else -1 with e, a sentence with the last line that it wrote:
 *   ERR_NOT_FOUND, ERR_DENIED  there is no such program, or it cannot be executed
 *   ERR_IO                     it ended with another status, by a signal, or not in time
 *   ERR_CANCELLED
 *   ERR_INVALID                it has neither line nor argv, or a variable's name is none
 *   ERR_NOMEM, ERR_UNSUPPORTED
 * *ret is written in any case; it is large, so better not on the stack. Thread-safe. Blocks up to
 * timeout_ms, twice grace_ms, and what a started program takes to be killed.
 */
MUST_CHECK int hook_run(const struct hook *h, const struct hook_var *vars, size_t nvars,
                        struct cancel *cancel, struct hook_result *ret, struct err *e);

/* What people know it by. */
const char *hook_name(const struct hook *h);

/* "pre" or "post". */
const char *hook_phase_name(enum hook_phase phase);

#endif
