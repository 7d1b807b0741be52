/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting other programs: none of our descriptors but those that are named, every signal unblocked
 * and with its usual effect, and a process group or session of their own, so that what is sent to
 * ours is not for them.
 * https://man7.org/linux/man-pages/man3/posix_spawn.3.html
 */
#ifndef AKSDR_COMMON_SPAWN_H
#define AKSDR_COMMON_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

struct spawn {
	const char *program;     /* looked up in PATH when there is no '/' in it */
	const char *const *argv; /* ends with NULL */
	const char *const *env;  /* ends with NULL; NULL: ours */
	int in;                  /* becomes its standard input; 0: /dev/null */
	int out;                 /* becomes its standard output; -1: /dev/null */
	int err;                 /* becomes its standard error; -1: ours */
	int third;               /* becomes its descriptor 3; -1: none */
	bool session;            /* of its own; else a process group */
};

/* Starts it. 0, or an errno, of which those of the program itself come from exec. Thread-safe. */
int spawn_start(const struct spawn *s, pid_t *ret);

#endif
