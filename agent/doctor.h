/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What measurements of a store mean for backups: judgements without clock,
 * store or output. agent/examine.c measures, agent/cmd_doctor.c shows.
 */
#ifndef AKSDR_AGENT_DOCTOR_H
#define AKSDR_AGENT_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "store/store.h"

enum doctor_result {
	DOCTOR_OK,
	DOCTOR_WARNING, /* backups work; somebody should look */
	DOCTOR_FAILED,  /* backups do not work, or not as the store's URL asks */
	DOCTOR_NONE     /* not looked at, or there is nothing to look at: the detail says why */
};

/* "ok", "warning", "FAILED", "-". */
const char *doctor_result_name(enum doctor_result r);

struct doctor_verdict {
	enum doctor_result result;
	char detail[512]; /* what was seen, for people; no full stop */
	char remedy[320]; /* what to do; "": nothing */
};

/* printf for the detail, with the result and without a remedy. */
struct doctor_verdict doctor_say(enum doctor_result result, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The cause in a message of the store: without what its calls put before it, URL and all. */
const char *doctor_cause(const char *msg, const char *url);

/* The first request, with all that comes before one, and the next. */
struct doctor_verdict doctor_judge_answer(int64_t first_ns, int64_t next_ns, bool remote);

/* ---- rights ---- */

/* Credentials that are accepted, and end then (ns since 1970; 0: never, or not known). */
struct doctor_verdict doctor_judge_end(int64_t end_ns, int64_t now_ns);

/*
 * One right, tried out: why is what the call failed with (class NONE: it did
 * not). needs: store_right(). Of RIGHT_DELETE both outcomes are fine.
 */
struct doctor_verdict doctor_judge_right(enum store_right right, const struct err *why,
                                         const char *needs, const char *url);

/* ---- guarantees ---- */

struct doctor_race {
	unsigned racers, rounds;
	unsigned single; /* rounds with one winner, whose object was there afterwards */
	unsigned many;   /* rounds with several */
	unsigned other;  /* rounds without one, or with another object than the winner's */
};
/* forgiven: the repository has one writer at a time and does not need it. */
struct doctor_verdict doctor_judge_race(const struct doctor_race *r, bool forgiven);

/* A list of what was just written, or of what was just deleted, against what it must be. */
struct doctor_list {
	unsigned wanted;  /* objects that must be in it */
	unsigned found;   /* of them */
	unsigned foreign; /* others, which must not */
	bool disorder;    /* not in ascending order of bytes, or something twice */
};
struct doctor_verdict doctor_judge_list(const struct doctor_list *after_write,
                                        const struct doctor_list *from_middle);
struct doctor_verdict doctor_judge_gone(const struct doctor_list *after_delete, unsigned still_read,
                                        unsigned deleted);

/*
 * An object that was stored with a lock. put and del: what the calls failed
 * with, or class NONE. asked: the parameter `lock` as given.
 */
struct doctor_lock {
	const char *asked;
	struct err put, del;
	int64_t locked_until_ns; /* struct store_stat */
	bool deleted;            /* del was tried, and the object is not found any more */
};
struct doctor_verdict doctor_judge_lock(const struct doctor_lock *l, const char *needs,
                                        const char *url);

/* ---- the clock ---- */

/* Store's clock minus ours, from objects' times of receipt: between lo_ns and hi_ns. */
struct doctor_clock {
	int64_t lo_ns, hi_ns;
	unsigned samples;
	bool jumps; /* samples contradict each other */
};
/* An object that was sent between two of our times, and received at one of the store's. */
void doctor_clock_add(struct doctor_clock *c, int64_t sent_ns, int64_t done_ns,
                      int64_t received_ns);
struct doctor_verdict doctor_judge_clock(const struct doctor_clock *c);

/* ---- the second region ---- */

/* now_ns: the store's time. Its lag goes to *ret_lag_ns, -1: not known. */
struct doctor_verdict doctor_judge_cut(const struct store_cut *cut, int64_t now_ns,
                                       int64_t *ret_lag_ns);

/* It could not be asked. */
struct doctor_verdict doctor_judge_no_cut(const struct err *why, const char *url);

/* ---- speed ---- */

struct doctor_spread {
	int64_t min_ns, median_ns, max_ns;
};
/* Sorts the n > 0 values. */
struct doctor_spread doctor_spread_of(int64_t *ns, size_t n);
struct doctor_verdict doctor_judge_latency(const struct doctor_spread *s, size_t n);

/* One direction: bytes moved and how long it took, one object at a time and many. 0: not done. */
struct doctor_rate {
	uint64_t bytes;
	int64_t ns;
};
uint64_t doctor_rate_of(struct doctor_rate r); /* bytes a second */
struct doctor_verdict doctor_judge_rate(struct doctor_rate one, struct doctor_rate many,
                                        unsigned streams, bool up);

/*
 * How large each of `streams` objects is that are moved at once, so that it
 * takes about `seconds` at the rate of one stream alone, or less; between 64
 * KiB and max_bytes.
 */
size_t doctor_share(uint64_t one_bytes_s, unsigned streams, unsigned seconds, size_t max_bytes);

/* ---- text ---- */

/*
 * The store's URL without its parameter `lock`, and with `lock` (NULL: none)
 * in its place. *ret_asked: its value before, owned by the caller, or NULL.
 */
MUST_CHECK int doctor_url(const char *url, const char *lock, char **ret_url, char **ret_asked,
                          struct err *e);

/*
 * Appends a check as people read it: name, result, and the detail in lines of
 * `columns` characters; the remedy below it. At least 50 columns are used.
 */
int doctor_lines(struct buf *b, const char *check, const struct doctor_verdict *v,
                 unsigned columns);

#endif
