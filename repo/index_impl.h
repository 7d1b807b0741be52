/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local tables of the index: immutable sorted arrays in the state directory
 * (or in memory), each covering one or more segments of the store. Private to
 * index.c, index_table.c, index_known.c and index_load.c.
 */
#ifndef AKSDR_REPO_INDEX_IMPL_H
#define AKSDR_REPO_INDEX_IMPL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cancel.h"
#include "common/err.h"
#include "repo/index.h"
#include "repo/segment.h"
#include "repo/view.h"

/* Keys of the local form: what was damaged or changed on disk is never believed. */
struct index_keys {
	uint8_t head[32];  /* of the head and the names */
	uint8_t entry[16]; /* of each entry */
};

struct index_table {
	uint8_t *map;
	size_t len;
	const char *names; /* nnames lines, each a segment's name below idx/DTAG/ */
	size_t names_len;
	uint32_t nnames, npacks, nentries;
	const uint8_t *packs;   /* npacks pack ids */
	const uint8_t *entries; /* nentries, ascending by id */
	int dir;                /* borrowed; -1: in memory */
	char file[48];          /* in dir */
};

/* A text of lines and their number. */
struct index_names {
	const char *text;
	size_t len;
	uint32_t n;
};

/* A table in memory from a segment's content. NULL: no memory. */
struct index_table *index_table_new(const struct index_keys *k, const char *name,
                                    const struct segment_view *v);

/* A file of the directory. NULL: it is none, damaged, or gone. */
struct index_table *index_table_open(const struct index_keys *k, int dir, const char *file);

/* One table of all the n; into a file of dir, or into memory when dir is -1. NULL with errno. */
struct index_table *index_table_merge(const struct index_keys *k, struct index_table *const *tables,
                                      size_t n, int dir);

void index_table_free(struct index_table *t);   /* the file stays */
void index_table_remove(struct index_table *t); /* takes its file away; it can still be used */

/* Entry i. false: it is damaged. */
bool index_table_get(const struct index_table *t, const struct index_keys *k, uint32_t i,
                     struct chunk_ref *ret);

/* Calls each() for every entry with this id, until it returns false. */
void index_table_find(const struct index_table *t, const struct index_keys *k, const uint8_t id[32],
                      bool (*each)(void *arg, const struct chunk_ref *ref), void *arg);

/* A growing list of tables. */
struct index_tables {
	struct index_table **t;
	size_t n, cap;
};
int index_tables_add(struct index_tables *ts,
                     struct index_table *take_t); /* -1: no memory, t is freed */
void index_tables_clear(struct index_tables *ts);

/*
 * Merges tables until few are left, each much larger than the next, so that
 * an entry is copied O(log n) times in its life. What cannot be merged stays.
 */
void index_tables_compact(struct index_tables *ts, const struct index_keys *k, int dir);

/* Names of segments below idx/DTAG/; owned. */
struct index_names_list {
	char **v;
	size_t n, cap;
};

/*
 * What a list of the segments was made of: the commits, and the generation that was done. With the
 * same of both there is nothing settled that was not there then (docs/CONCURRENCY.md).
 */
struct index_known {
	uint64_t done;    /* generation */
	uint64_t commits; /* how many */
	uint64_t sum[4];  /* of a keyed hash of each, so that the order does not matter */
};
/* false: a collection is open, and nothing is to be remembered. */
bool index_known_of(const struct index_keys *k, const struct view *view, struct index_known *ret);
void index_known_add(const struct index_keys *k, const char *session, struct index_known *x);
/* Whether the directory says that its tables are of just that. */
bool index_known_is(const struct index_keys *k, int dir, const struct index_known *x);
void index_known_write(const struct index_keys *k, int dir, const struct index_known *x);

/*
 * The tables of dir, without asking the store; false: there is one that is not only of sessions
 * that the view knows to be settled, and ts is empty.
 */
bool index_load_known(const struct index_keys *k, int dir, const struct view *view,
                      struct index_tables *ts);

/*
 * Lists and fetches: settled segments into ts, which may be kept in dir (-1: none), those of
 * sessions that did not end into tentative, in memory; names of void ones into voids. Without a
 * view all are settled.
 */
int index_load(struct store *store, const struct keys *keys, const struct domain_keys *domain,
               const struct index_keys *k, int dir, const struct view *view,
               const struct cancel *cancel, struct index_tables *ts, struct index_tables *tentative,
               struct index_names_list *voids, size_t *ret_damaged, struct err *e);

#endif
