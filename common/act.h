/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program is doing, for the record of it: the verb says what it is,
 * whoever works on something names that, and the end is told with the exit
 * status. A program does one thing; what a daemon does besides is noted in an
 * act of its own. Nothing here knows where records go.
 */
#ifndef AKSDR_COMMON_ACT_H
#define AKSDR_COMMON_ACT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clean.h"

#define ACT_OBJECTS_MAX 32 /* that are named; the others are counted */
#define ACT_OBJECT_MAX 256 /* bytes of a name, with a NUL */
#define ACT_WHY_MAX 1025
#define ACT_RUN_MAX 33

enum {
	ACT_READS = 1 << 0, /* it reads, and what data says is not told: recorded when asked for */
	ACT_LONG = 1 << 1,  /* it is recorded when it begins, too */
	ACT_WAITS = 1 << 2, /* another signed object shows that it was done: its record may wait */
	ACT_OPENS = 1 << 3, /* the verb opens no repository itself */
	ACT_ARGS = 1 << 4,  /* all arguments are names, up to a '=' */
	ACT_ARG = 1 << 5    /* the first one is */
};

struct act {
	pthread_mutex_t lock;                  /* of what follows `flags` */
	const char *name;                      /* "backup"; NULL: none is under way */
	const char *program, *version, *store; /* borrowed; store: URL, or NULL */
	int64_t began_ns, began_mono_ns;
	unsigned flags;
	char objects[ACT_OBJECTS_MAX][ACT_OBJECT_MAX];
	size_t nobjects;
	uint64_t count;
	char why[ACT_WHY_MAX];
	char run[ACT_RUN_MAX]; /* 32 hexadecimal digits, or "" */
	bool required;         /* nothing is done unless that it begins is on record */
	bool reads_too;        /* what only reads is recorded, too */
};

/* An act of its own; name is borrowed. */
void act_init(struct act *a, const char *name, unsigned flags);
void act_add(struct act *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The one that this process is for. NULL: none. */
struct act *act_current(void);
/* a is borrowed until it is NULL again. While no other thread runs. */
void act_set_current(struct act *a);

/* Of the current one; without one they do nothing. From any thread. */
void act_object(const char *fmt, ...) PRINTF_LIKE(1, 2); /* once, however often it is named */
void act_why(const char *fmt, ...) PRINTF_LIKE(1, 2);    /* unless a reason was given */
void act_run(const char *run);
void act_hurry(void); /* its record may not wait */

#endif
