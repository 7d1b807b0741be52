/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of restore.h share: restore.c walks, dirs.c and links.c see to
 * directories and hard links, fill.c fills windows, deliver.c writes.
 */
#ifndef AKSDR_RESTORE_RESTORE_IMPL_H
#define AKSDR_RESTORE_RESTORE_IMPL_H

#include <pthread.h>

#include "repo/node_cache.h"
#include "repo/reader.h"
#include "restore/crew.h"
#include "restore/restore.h"
#include "restore/window.h"

/* What a thread works with; taken from a stack and put back, so the one used last is warm. */
struct context {
	struct context *next;
	struct target_worker worker;
	uint8_t *buf;
	size_t cap;
};

/* What a directory of the point has in it, as hashes of names: all else is to be removed. */
struct name_set {
	uint64_t *hashes; /* sorted once the directory is left */
	size_t n, cap;
	bool overflow; /* too many: the tree is asked for each name */
};

/* A directory's metadata, kept until it is left. */
struct dir_meta {
	struct record rec;     /* path is set when it is used */
	struct name_set names; /* with TARGET_DELETE */
	uint8_t xattrs[];
};
struct dir_meta *dir_meta_new(const struct record *r); /* NULL: no memory */
void dir_meta_free(struct dir_meta *m);

/* A directory that is being filled. */
struct frame {
	size_t len;            /* of its path, a prefix of restore.dir */
	struct dir_meta *meta; /* NULL: not to be touched */
	struct name_set names;
	bool existing;
};

struct alias; /* of links.c */
struct base;  /* of base.c */

struct restore {
	const struct repo *repo;
	const struct point *point;
	struct target *target;
	const struct restore_params *params;
	struct report *report;
	struct domain_keys *domain;
	struct crypt_hasher hasher; /* of data chunks */
	struct tree *tree;
	struct tree *aux;         /* for looking up beside the walk; opened when needed */
	struct node_cache *nodes; /* of all trees, where much is looked up; else NULL */
	struct reader *reader;
	struct crew *crew;        /* when existing content counts */
	bool in_place;            /* existing content is looked at: in place, or comparing */
	bool compare;             /* nothing is written */
	struct base *base;        /* the point that the target is; NULL: that is not known */
	const struct record *old; /* what that has of the file that is filled next; NULL: nothing */

	struct window *now;           /* being filled */
	uint64_t window_bytes;        /* plain_max of new ones */
	struct window *first, **last; /* under way, oldest first */
	unsigned nunder_way;
	struct window *spare;
	uint64_t next_id;            /* of place_dirs */
	struct target_worker worker; /* of the walking thread */
	struct rfile *large;         /* files that may outlive a window */
	struct rfile *cur;           /* the large file that more extents may come for */

	char *dir; /* path of the directory being filled; the root is "" */
	size_t dir_len, dir_cap;
	struct frame *frames;
	size_t nframes, frames_cap;

	struct alias **aliases; /* lists by hash; NULL until there is one */
	size_t naliases;
	bool pins;     /* some entry forbids changes to itself */
	bool damaged;  /* part of the tree was skipped */
	bool unwanted; /* the record, and parts of it that follow, are passed over */

	pthread_mutex_t lock;
	struct context *contexts; /* guarded by lock */
};

struct context *context_get(struct restore *x); /* NULL: no memory */
void context_put(struct restore *x, struct context *c);

/*
 * Something is lost because of why: 0 and a gap in the report, or -1 with
 * ERR_CORRUPT when losses are not allowed, or with why when it is no loss.
 */
MUST_CHECK int restore_damage(struct restore *x, const struct record *r, uint64_t off, uint64_t len,
                              const struct err *why, struct err *e);

/* True for the classes that mean: these bytes are not to be had. */
bool restore_is_loss(const struct err *why);

/* ---- restore.c ---- */

int restore_no_memory(struct err *e); /* -1 */

/* Opens the tree that is used for looking up. */
MUST_CHECK int restore_open_aux(struct restore *x, struct err *e);

/* Length of the directory part ("a/b/c" gives 3, "a" and "" give 0), and the name behind it. */
size_t path_parent_len(const char *path, size_t len);
const char *path_name(const char *path, size_t len);

/* True when path is dir or lies below it. */
bool path_within(const char *path, size_t len, const char *dir, size_t dir_len);

/* Is the path, which is no directory, part of what is restored? */
bool restore_selected(const struct restore *x, const char *path, size_t len);

/* The root gets its metadata from r when all is done. */
MUST_CHECK int restore_root(struct restore *x, const struct record *r, struct err *e);

/* Goes into the directory that holds a path of the point. */
MUST_CHECK int restore_go(struct restore *x, const char *path, size_t len, struct err *e);

/* An entry that is no directory; its directory is entered. */
MUST_CHECK int restore_entry(struct restore *x, const struct record *r, struct leaf *leaf,
                             struct err *e);

/* What waited in a window. */
MUST_CHECK int restore_later(struct restore *x, struct later *l, struct err *e);

/* ---- dirs.c: directories on the way of the walk ---- */

/* Makes a directory and goes into it; its parent is entered. r NULL: its metadata is not known. */
MUST_CHECK int dirs_enter(struct restore *x, const char *path, size_t len, const struct record *r,
                          struct err *e);

/* Goes into a directory that is there. */
MUST_CHECK int dirs_push(struct restore *x, const char *path, size_t len, const struct record *r,
                         bool existing, struct err *e);

/* Leaves the innermost directory: its metadata waits for the window. */
MUST_CHECK int dirs_pop(struct restore *x, struct err *e);

/* Goes up until the innermost directory holds the path. The root stays. */
MUST_CHECK int dirs_climb(struct restore *x, const char *path, size_t len, struct err *e);

/* Makes the directories above path that the walk did not bring. */
MUST_CHECK int dirs_enter_missing(struct restore *x, const char *path, size_t len, struct err *e);

/* The innermost directory has this entry, so it is not to be removed. */
MUST_CHECK int dirs_remember(struct restore *x, const struct record *r, struct err *e);

/* What is left to do for a directory when all below it is done. */
MUST_CHECK int dirs_leave(struct restore *x, struct later *l, struct err *e);

/* ---- base.c: the target is a known point ---- */

/* Restores what of the point differs from params->base, as the walk does all of it. */
MUST_CHECK int base_run(struct restore *x, struct err *e);
void base_free(struct base *b); /* NULL is fine */

/*
 * Of [off, off + len) of the file that is filled, which are the bytes of chunk ref (NULL: none,
 * and kind says what) from chunk_off on: how many from off are, all of them or none, in the same
 * place of the base. *ret_len >= 1.
 */
MUST_CHECK int base_stretch(struct restore *x, const struct record *r, const struct extent *n,
                            const struct chunk_ref *ref, uint64_t off, uint64_t done,
                            uint64_t *ret_len, bool *ret_same, struct err *e);

/* -1: e, which ended the run; where it comes from a target that is not the base, it says so. */
int base_explain(struct err *e);

/* -1: the open file is not what the base has. */
MUST_CHECK int base_check(const struct restore *x, const struct rfile *f, struct err *e);

/* -1: the directory that was entered just now was there, or was not, other than expected. */
MUST_CHECK int base_entered(struct restore *x, const struct record *r, bool expected,
                            struct err *e);

/* The path is not what the base has, because of why: ERR_CORRUPT, and what to do. */
int base_not_so(const struct restore *x, const char *path, size_t len, const char *why,
                struct err *e);

/* ---- links.c: hard links ---- */

MUST_CHECK int links_add(struct restore *x, const struct record *r, struct leaf *leaf,
                         struct err *e);
void links_clear(struct restore *x);

/* ---- fill.c: from records to windows ---- */

/* Sends the window off and gets an empty one. */
MUST_CHECK int fill_submit(struct restore *x, struct err *e);

/* Sends off what is left, and waits until all is done. */
MUST_CHECK int fill_finish(struct restore *x, struct err *e);

/*
 * A regular file; at is its place in the window. r must stay valid while leaf
 * does. Large files go on with fill_more(), all of them end with fill_end().
 */
MUST_CHECK int fill_file(struct restore *x, const struct target_place *at, const struct record *r,
                         struct leaf *leaf, struct err *e);
MUST_CHECK int fill_more(struct restore *x, const struct record *r, struct leaf *leaf,
                         struct err *e);
MUST_CHECK int fill_end(struct restore *x, struct err *e);

/*
 * Of a file that the base has, too: goes on with a large one from a place on, or passes over what
 * is the same up to a place (of the one that fill_more() would go on with; else nothing happens).
 */
MUST_CHECK int fill_from(struct restore *x, const struct target_place *at, const struct record *r,
                         struct leaf *leaf, uint64_t from, struct err *e);
void fill_pass(struct restore *x, uint64_t to);

/*
 * Frees everything that is under way; the reader has ended. Files that are not whole are
 * discarded.
 */
void fill_abort(struct restore *x);

/* ---- deliver.c: from chunks to files ---- */

/* reader_deliver_fn; ctx is the restore, the argument of a want is a struct want. */
int deliver_chunk(void *ctx, struct reader_want *w, const uint8_t *plain, size_t n,
                  const struct err *why, struct err *e);

/* Marks what the target has already. arg: the restore; its window's wants are in `wants`. */
struct deliver_check {
	struct restore *x;
	struct want **wants;
};
void deliver_check(void *arg, size_t i);

/* One delivery of a shared file less; the last one finishes it. */
MUST_CHECK int deliver_count(struct restore *x, struct rfile *f, struct err *e);

/* Makes [off, off + len) of an open file a hole, or allocated zeros. */
MUST_CHECK int deliver_blank(struct restore *x, struct rfile *f, bool allocate, uint64_t off,
                             uint64_t len, struct err *e);

void restore_progress(struct restore *x, uint64_t bytes, uint64_t files);

#endif
