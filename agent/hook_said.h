/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hook says, as it comes: the end of its output as text, and its facts (agent/hook.h), into
 * a struct hook_result. The same for a process here and for one in a pod. Not thread-safe.
 */
#ifndef AKSDR_AGENT_HOOK_SAID_H
#define AKSDR_AGENT_HOOK_SAID_H

#include "agent/hook.h"

#define HOOK_SAID_LINE_MAX \
	(sizeof("aksdr-fact ") - 1 + HOOK_FACT_NAME_MAX + 1 + HOOK_FACT_VALUE_MAX)
#define HOOK_SAID_SHOWN 300 /* bytes of its last line in a message */

struct hook_said {
	struct hook_result *ret; /* written, facts, output; set by the caller, zeroed */

	uint8_t tail[HOOK_OUTPUT_MAX]; /* a ring; the next byte goes to written % its size */

	char line[HOOK_SAID_LINE_MAX + 1]; /* the present line of standard output */
	size_t line_len;
	bool line_long;
};

/* n bytes that it wrote; out: to its standard output, where facts are. */
void hook_said_take(struct hook_said *s, bool out, const void *p, size_t n);

/* No more comes: the output as text, the last steps of it that fit. ERR_NOMEM. */
MUST_CHECK int hook_said_end(struct hook_said *s, struct err *e);

/* ": " and the last line that is not blank, for a message; else nothing. */
void hook_said_last_line(const struct hook_result *r, char ret[HOOK_SAID_SHOWN]);

/* The text on one line, cut after a whole character when it has more than max - 1 bytes. */
void hook_said_one_line(char *ret, size_t max, const char *text);

#endif
