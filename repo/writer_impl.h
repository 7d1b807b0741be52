/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stages of the backup pipeline share. Private to writer.c,
 * writer_read.c, writer_assemble.c and writer_big.c.
 *
 * Groups flow from the join to the assembler in order (a queue of their own)
 * while the pool fills in what has to be read; spans of finished records flow
 * from the assembler to the tree.
 */
#ifndef AKSDR_REPO_WRITER_IMPL_H
#define AKSDR_REPO_WRITER_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/queue.h"
#include "common/source.h"
#include "repo/arena.h"
#include "repo/chunker.h"
#include "repo/delta.h"
#include "repo/local.h"
#include "repo/seal.h"
#include "repo/session.h"
#include "repo/view.h"
#include "repo/writer.h"

#define SMALL_FILE (256 * KIB) /* below: shares chunks with its neighbours */
#define GROUP_DATA MIB         /* small contents read ahead in one group */
#define GROUPS_MAX 12          /* groups between join and assembler */
#define SPAN_RECORDS 256
#define SPANS_MAX 256           /* spans between assembler and tree */
#define PAYLOAD_MIN (256 * KIB) /* shared chunks end from here on, by content */
#define PAYLOAD_AVG MIB
#define PAYLOAD_MAX (2 * MIB)

enum action {
	DO_SKIP,  /* not stored: unreadable or gone */
	DO_REUSE, /* the old record's extents */
	DO_STAT,  /* no content: new details only */
	DO_SMALL, /* content comes with the group */
	DO_BIG,   /* content is streamed by the assembler */
	DO_LINK   /* a further name of an inode */
};

/* A file with several names, as its first one was listed. */
struct link {
	uint64_t ino, size;
	uint32_t type; /* S_IFMT of its mode */
	struct timestamp mtime;
	struct link *next;
	bool bad; /* the first name was not stored; the assembler's own, as is path from then on */
	size_t path_len;
	char *path;
};

struct item {
	struct entry *n;
	enum action action;
	const struct record *old; /* in leaf */
	struct leaf *leaf;        /* borrowed from the group */
	struct entry_detail detail;
	uint8_t *data; /* DO_SMALL: in the group's data */
	size_t len;
	bool changed;
	bool apart; /* not linked to an earlier name of its inode number, which looked different */
	struct link *link;
	struct err why; /* DO_SKIP found while reading */
};

struct job;

struct batch_ref {
	struct batch *batch;
	atomic_uint refs;
};

struct group {
	struct job *job;
	struct batch_ref *batch;
	struct leaf **leaves; /* references held */
	size_t nleaves;
	uint8_t *data; /* GROUP_DATA bytes, from the job's list */
	size_t planned;
	bool done; /* guarded by job->lock */
	size_t n;
	struct item items[];
};

/* A record with the chunks it waits for. */
struct wrecord {
	struct record r;
	struct extent *extents;         /* r.extents, to be filled in */
	const struct chunk_ref *base;   /* extents index this, or … */
	const struct chunk_ref **list;  /* … this */
	struct pending_chunk **pending; /* references held */
	size_t npending;
};

struct span {
	struct arena arena;
	struct leaf **leaves; /* references held */
	size_t nleaves, leaves_cap;
	size_t n;
	struct wrecord records[SPAN_RECORDS];
};

/* A chunk that several pieces share: small files, or pages changed in place. */
struct payload {
	struct chunk_buf *buf; /* NULL: none is open */
	struct pending_chunk *chunk;
	bool with_pages;
	size_t align;
};

struct job {
	const struct repo *repo;
	const struct writer_params *params;
	struct source *source;
	struct domain_keys *domain;
	struct crypt_hasher hasher;
	struct chunker chunker;
	struct pages *pages;
	struct view view;
	struct index *index;
	struct segment_writer *segments; /* NULL in a dry run */
	struct local local;
	bool single; /* single-writer mode */
	struct sealer *sealer;
	struct session_pulse pulse; /* not in a dry run */
	bool has_previous;
	bool based;                     /* the previous point is the base of source->changed() */
	struct capture_changes changes; /* so far; the assembler's */
	struct point previous;
	struct tree *join_tree; /* the join's; NULL: no previous point */
	struct tree *big_tree;  /* the assembler's */
	struct queue groups, spans;

	pthread_mutex_t lock;
	pthread_cond_t group_done;
	uint8_t **free_data; /* guarded by lock */
	size_t nfree_data;
	struct point *point; /* its problems and counts; guarded by lock while threads run */
	atomic_ullong bytes_read;

	/* the join's */
	struct link **links;
	size_t nlinks, links_cap;
	const struct record *old;
	struct leaf *old_leaf;
	bool old_ended;
	struct leaf *density_leaf; /* a reference: whose chunks sparse_chunks is about */
	bool *sparse_chunks;
	size_t sparse_cap;

	/* the assembler's */
	struct group *stuck; /* left when the job failed; the pool may be at it */
	struct span *span;
	struct payload small, pages_payload;
	struct delta *delta;
	uint8_t *window; /* DELTA_WINDOW and a page */

	/* the tree's */
	struct tree_builder *builder;
	struct tree_sink sink;
	atomic_uint spans_waiting;
};

/* Shows now and then that the session lives; cheap when it is not time. */
void job_beat(struct job *j);

/* Fails the job with e and gives -1. */
int job_fail(struct job *j, const struct err *e);
void job_problem(struct job *j, const struct entry *n, enum entry_state state, const char *why);

void group_free(struct group *g);

/* writer_read.c: fills in what the group's items need; runs on the pool. */
void writer_read_group(void *group);
/* Opens, reads and closes a small file into it->data (room bytes). 1: too big now. */
int writer_read_small(struct job *j, struct item *it, size_t room, struct err *e);

/* writer_assemble.c */
int writer_assemble(struct job *j, struct err *e);
struct wrecord *span_record(struct job *j, size_t nextents, size_t npending, struct err *e);
int span_hold(struct job *j, struct leaf *leaf, struct err *e);
int span_flush(struct job *j, struct err *e);
void span_free(struct span *s);
void record_of_item(struct record *r, const struct item *it);
int record_keep(struct job *j, struct record *r, struct err *e);
/* Appends n bytes to the shared chunk; *ret_chunk (borrowed) and *ret_off say where. */
int payload_add(struct job *j, struct payload *p, const uint8_t *data, size_t n,
                struct pending_chunk **ret_chunk, uint32_t *ret_off, struct err *e);
int payload_cut(struct job *j, struct payload *p, struct err *e);

/* writer_big.c: streams one file or device. */
int writer_big(struct job *j, struct item *it, struct err *e);
/* Whether all chunks of an unchanged file with continuations can be referred to. -1: e. */
int writer_continued_known(struct job *j, const struct item *it, struct err *e);
/* The records of such a file. */
int writer_reuse_continued(struct job *j, struct item *it, struct err *e);

#endif
