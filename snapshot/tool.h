/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of the system, called with an argument vector and no shell. They are looked up in the
 * usual directories, whatever PATH says, run in a process group of their own (an interrupt from the
 * terminal is for us, not for them), with no input, the locale C, and a time limit.
 */
#ifndef AKSDR_SNAPSHOT_TOOL_H
#define AKSDR_SNAPSHOT_TOOL_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/err.h"

#define TOOL_ARGS_MAX 32

/* Whether a program of this name is there. */
bool tool_exists(const char *name);

struct tool {
	const char *const *argv; /* ends with NULL; the first is a name without '/' */
	unsigned timeout_ms;     /* then it is asked to end (SIGTERM) */
	/*
	 * It is never killed: it may be in the middle of what must come to an end. Else it is
	 * killed when it does not end within a few seconds of being asked.
	 */
	bool patient;
	/* Gets its output piece by piece; -1 with e: no more of it is wanted. NULL: thrown away. */
	int (*sink)(void *arg, const void *p, size_t n, struct err *e);
	void *arg;
};

/*
 * Runs it to its end.
 *   ERR_UNSUPPORTED  there is no such program
 *   ERR_IO           it failed: the last that it said is in the text
 *   ERR_RETRY        it took too long
 * and what sink said.
 */
MUST_CHECK int tool_run(const struct tool *t, struct err *e);

/* A sink that appends to the struct buf arg; ERR_TOO_BIG, ERR_NOMEM. */
int tool_keep(void *arg, const void *p, size_t n, struct err *e);

#endif
