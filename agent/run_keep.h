/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Within agent/run*.c: what goes on beside the main loop. A thread asks whether the store is
 * there, and another one leads: one agent of all, by the Lease `aksdr-leader`, writes the policies'
 * status, removes what nobody owns, keeps the catalog of the restore points, expires those that the
 * policies let go, and keeps the others locked where the store has locks.
 */
#ifndef AKSDR_AGENT_RUN_KEEP_H
#define AKSDR_AGENT_RUN_KEEP_H

#include "agent/run_impl.h"
#include "common/buf.h"

#define RUN_LEADER "aksdr-leader" /* the Lease of who leads */

struct catalog;

/* Whether the key can be read; the store is not asked yet. */
MUST_CHECK int run_keep_check(struct run *r, struct err *e);
/* An event of our own pod with the reason why the agent ends. */
void run_keep_tell(struct run *r, const struct err *why);

MUST_CHECK int run_keep_start(struct run *r, struct err *e);
/* Ends the threads, whose stop has been requested. */
void run_keep_stop(struct run *r);

/* The store is looked at now: this agent leads, and knows of the cluster. */
void run_keep_look(struct run *r);

/* Appends what the catalog told at the last look, where this agent leads. */
void run_keep_metrics(struct run *r, struct buf *b);

/*
 * What the policies let go expires, when it is due: run_retain.c. c: the catalog, up to the store.
 * Nothing does where this agent is a secondary. For the keeper's thread, while it leads.
 */
void run_retain(struct run *r, struct catalog *c);

/*
 * Puts an inventory of the cluster into the store, at most one an hour, when it is another one than
 * the newest, or that is a day old: run_inventory.c. For the keeper's thread, while it leads.
 */
void run_inventory(struct run *r, struct catalog *c);
struct stock_newest;
/* Whether one with this digest is to be put. Pure. */
bool run_inventory_wanted(const struct stock_newest *newest, const char *digest, int64_t now_ns);

/*
 * Extends the locks of the store once a day, in a thread that it starts: run_lock.c. lock_s: of the
 * store, 0: it has none. Nothing happens where this agent is a secondary. For the keeper's thread,
 * while it leads; run_lock_stop() waits for the end, which the stop brings soon.
 */
void run_lock(struct run *r, struct catalog *c, int64_t lock_s);
void run_lock_stop(struct run *r);
struct repo;
/*
 * All of it, now: what came of it is in the catalog, and in the audit trail.
 *   ERR_PARTIAL  points can be deleted before their time
 *   ERR_CORRUPT  not all can be read that they need
 * and those of locks_look().
 */
MUST_CHECK int run_lock_look(const struct run *r, const struct repo *repo, struct catalog *c,
                             struct err *e);
/* Whether it is time for the next one; looked_ns: when the last one was, 0: never. Pure. */
bool run_lock_due(int64_t looked_ns, int64_t now_ns);

/* Pages of the catalog, where they are wanted: run_page.c. Only the agent that leads has them. */
MUST_CHECK int run_page_start(struct run *r, struct err *e);
void run_page_stop(struct run *r);

/* The leader's thread, run_lead.c. */
void *run_lead(void *arg);
/* Removes what was made for runs that no Lease knows of; *ret_removed: how many. */
MUST_CHECK int run_sweep(struct run *r, size_t *ret_removed, struct err *e);
/* Waits so long, or until the stop. */
void run_pause(const struct run *r, int64_t ms);

#endif
