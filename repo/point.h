/* SPDX-License-Identifier: Apache-2.0 */
/* Restore points: the content of commit/S (docs/FORMAT.md 9), and finding them in a store. */
#ifndef AKSDR_REPO_POINT_H
#define AKSDR_REPO_POINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "repo/capture.h"
#include "repo/pack.h"
#include "store/store.h"

#define POINT_NAME_MAX 256
#define POINT_PROBLEMS_MAX 1000

struct point_volume {
	char name[POINT_NAME_MAX], cluster[POINT_NAME_MAX], namespace[POINT_NAME_MAX], uid[64];
	bool block;
};

struct point_problem {
	char *path; /* escaped text */
	char *why;
};

struct point {
	char session[96]; /* "2026-11-22/VOLTAG-RANDOM" */
	char id[33];      /* RANDOM */
	char set[33];
	struct point_volume volume;
	char domain[128];
	uint64_t sequence;
	char previous_session[96]; /* "" for the first */
	uint8_t previous_hash[32];
	bool previous_missing; /* when it was made, the store did not show the one before */
	int64_t started_ns, frozen_ns, finished_ns;
	char consistency[16], driver[32];
	struct chunk_ref root;
	uint32_t levels;
	char **index;
	size_t nindex;
	uint64_t files, directories, others;
	uint64_t bytes_logical, bytes_read, bytes_new, bytes_stored;
	uint64_t unreadable, changed, gone;
	struct point_problem *problems;
	size_t nproblems;
	char host[POINT_NAME_MAX], agent[64];
	uint64_t epoch;
	uint64_t config; /* revision that its writer went by; 0: it does not say */
	struct point_capture capture;
	/* not in the JSON: */
	uint8_t hash[32];    /* SHA-256 of the whole object */
	int64_t received_ns; /* store's time of receipt */
	uint8_t signer[8];
};

void point_clear(struct point *p);
static inline void point_free(struct point *p)
{
	if (p)
		point_clear(p);
	free(p);
}
static inline void clean_point(struct point *const *p)
{
	point_free(*p);
}
#define auto_point CLEANUP(clean_point)

/* p as JSON. NULL: no memory, or a name that is no text. Caller decrefs. */
MUST_CHECK json_t *point_json(const struct point *p, struct err *e);

/* JSON text of p appended to b / decoded and validated from text. */
MUST_CHECK int point_encode(const struct point *p, struct buf *b, struct err *e);
MUST_CHECK int point_decode(const uint8_t *json, size_t n, struct point *ret, struct err *e);

/* True for a well-formed session name: DAY/VOLTAG-RANDOM. Its RANDOM is at POINT_SESSION_RANDOM. */
#define POINT_SESSION_LEN 60
#define POINT_SESSION_VOLTAG 11
#define POINT_SESSION_RANDOM 28
bool point_session_valid(const char *session);

/* hexadecimal VOLTAG of a volume. */
MUST_CHECK int point_voltag(const struct keys *k, const struct point_volume *v, char ret[17],
                            struct err *e);

/*
 * Adds one line to p's problems: the first POINT_PROBLEMS_MAX are kept, and fewer when their texts
 * are so long that the point would not fit its object. path is escaped here. 0, or -1: no memory.
 */
int point_problem_add(struct point *p, const char *path, size_t path_len, const char *why);

/*
 * Whether something was wrong with the entry of this path when p was made, as far as its list
 * goes; true too when the list is not of all that was.
 */
bool point_problem_has(const struct point *p, const char *path, size_t path_len);

/*
 * The order of points of one volume: sequence, then store's time of receipt, then session. <0,
 * 0, >0
 */
int point_cmp(const struct point *a, const struct point *b);

#endif
