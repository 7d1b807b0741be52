/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions by name, as lists of the store tell them without anything being
 * opened: which have ended, how, and which are under way (docs/CONCURRENCY.md).
 */
#ifndef AKSDR_REPO_COMMITS_H
#define AKSDR_REPO_COMMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/point.h"

/* What stands at commit/S. */
enum commit_kind {
	COMMIT_POINT,
	COMMIT_MAINTENANCE, /* index segments only */
	COMMIT_ABORT        /* the session was fenced; by the object's length */
};

/* What stands at commit/S, by the name and the length of the object. */
enum commit_kind commit_kind_of(const char *session, uint64_t size);

struct commit_item {
	char session[POINT_SESSION_LEN + 1];
	uint8_t kind; /* enum commit_kind */
	uint64_t size;
	int64_t received_ns;
};

/* By session, ascending. */
struct commit_list {
	struct commit_item *v;
	size_t n, cap;
	uint64_t foreign; /* keys below commit/ that are no session's */
};

/* Lists commit/. The list is empty before. Clear also after a failure. */
MUST_CHECK int commit_list_load(struct store *store, struct commit_list *l, struct err *e);
void commit_list_clear(struct commit_list *l);
const struct commit_item *commit_list_find(const struct commit_list *l, const char *session);

/* A session marker and its beats. */
struct marker_item {
	char session[POINT_SESSION_LEN + 1];
	unsigned last_beat;  /* its number; 0: none */
	int64_t received_ns; /* of the marker */
	int64_t alive_ns;    /* receipt of the newest sign of life */
};

/* By session, ascending. */
struct marker_list {
	struct marker_item *v;
	size_t n, cap;
};

/* Lists sess/; as commit_list_load(). */
MUST_CHECK int marker_list_load(struct store *store, struct marker_list *l, struct err *e);
void marker_list_clear(struct marker_list *l);
const struct marker_item *marker_list_find(const struct marker_list *l, const char *session);

#endif
