/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One freeze, from FIFREEZE to FITHAW, in two processes of its own that are
 * forked for it:
 *
 *   holder  freezes, waits, thaws. FIFREEZE can take as long as it takes to write
 *           out what is dirty, and cannot be broken off: here it blocks nobody else
 *   guard   thaws what the holder does not: when the holder or the main process is dead,
 *           and a little after the deadline
 *
 * Each of the three notices the death of each other by the end of a
 * connection, and any one that is left thaws. A thaw that comes while
 * FIFREEZE is under way fails; so whoever thaws forbids further freezes
 * before, the holder looks when FIFREEZE returns, and where the holder was killed
 * inside of it the guard waits for its end and thaws then. What they know
 * of each other is on a page of shared memory.
 */
#ifndef AKSDR_FREEZER_HOLD_H
#define AKSDR_FREEZER_HOLD_H

#include <stdbool.h>
#include <sys/types.h>

#include "snapshot/freezer.h"

#define HOLD_GUARD_MS 250 /* that the guard gives the holder after the deadline */

/* Why it ends; the first reason stays. */
enum hold_why {
	HOLD_ON,       /* it does not */
	HOLD_ASKED,    /* the client wants it */
	HOLD_CLIENT,   /* the client is gone */
	HOLD_STOP,     /* the freezer ends */
	HOLD_DEADLINE, /* the time is up */
	HOLD_DEATH,    /* one of the processes died */
	HOLD_REFUSED   /* one could not be frozen: hold_result.at and os say which and why */
};

enum hold_state {
	HOLD_FREEZING,
	HOLD_FROZEN,
	HOLD_ENDED /* all that was frozen is thawed, and both processes are gone */
};

struct hold;

/*
 * Starts freezing the file systems of n descriptors, all of which differ, in their order.
 * keep: a descriptor that the two processes keep open (it has the lock of a note), or -1.
 * The descriptors are borrowed for the call. Does not block.
 */
MUST_CHECK struct hold *hold_start(const int *fds, size_t n, unsigned deadline_ms, int keep,
                                   struct err *e);

/* Waits until it has ended if it has not, after asking for that. NULL is fine. */
void hold_free(struct hold *take_h);

/* Gives it up without waiting: its processes notice, thaw and end. NULL is fine. */
void hold_leave(struct hold *take_h);

/*
 * Descriptors to poll for input; when one has any, hold_step() is due. -1: not any more. The last
 * one becomes readable at the deadline, and stays so.
 */
struct hold_fds {
	int holder, guard, deadline;
};
struct hold_fds hold_fds(const struct hold *h);

/* Takes notice of what happened. Blocks only for the end of a process that is ending. */
enum hold_state hold_step(struct hold *h);

/* Asks for the end. Harmless at any time. */
void hold_end(struct hold *h, enum hold_why why);

bool hold_is_late(const struct hold *h); /* the deadline has passed */

struct hold_result {
	enum hold_why why;
	bool others; /* something was thawed by somebody who is not us */
	size_t at;   /* with HOLD_REFUSED, and when thaw_os is not 0 */
	int os;      /* errno of FIFREEZE */
	int thaw_os; /* errno of a FITHAW that failed: what is at `at` may be frozen still */
};
struct hold_result hold_result(const struct hold *h);

/* Of descriptor i. */
struct freezer_times hold_times(const struct hold *h, size_t i);

#endif
