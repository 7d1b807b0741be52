/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches of entries with the memory of their paths and their directory's
 * descriptor, used again and again. A walk makes them; the batch of
 * common/source.h is their first member.
 */
#ifndef AKSDR_SNAPSHOT_BATCH_H
#define AKSDR_SNAPSHOT_BATCH_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/source.h"

#define BATCH_PATHS (32 * KIB) /* bytes of paths in a batch; one entry alone may have more */
#define BATCH_SPARE 320        /* batches kept for use again */

struct batch_pool {
	struct source *source;
	pthread_mutex_t lock;
	struct walk_batch *spare; /* guarded by lock */
	size_t nspare;            /* guarded by lock */
	atomic_size_t dirs;       /* directories open at present */
};

/* An open directory, shared by the walk and by batches. */
struct batch_dir {
	struct batch_pool *pool;
	atomic_uint refs;
	int fd;
};

/* What is still to be done for an entry before it is handed out. */
enum batch_todo {
	BATCH_STAT,   /* stat it; it is no directory, or it is gone */
	BATCH_CLOSED, /* stat it; a directory that is not entered */
	BATCH_DONE
};

/* The walk's own part of an entry; entry.priv points here. */
struct batch_mark {
	struct walk_batch *batch;
	struct content *content; /* while it is open */
	uint64_t dev;
	enum batch_todo todo;
	bool mount; /* another file system is mounted there */
};

struct walk_batch {
	struct batch pub;
	struct walk_batch *next;
	struct batch_pool *pool;
	struct batch_dir *dir; /* of all its entries; NULL: to be opened by path */
	atomic_uint refs;      /* whoever holds it, and each open content */
	char *paths;
	size_t paths_len, paths_cap;
	struct batch_mark marks[SOURCE_BATCH_MAX];
};

void batch_pool_init(struct batch_pool *p, struct source *source);
void batch_pool_clear(struct batch_pool *p);

/*
 * An empty batch with one reference, for entries of dir (which gets one more;
 * may be NULL). NULL: no memory.
 */
struct walk_batch *batch_new(struct batch_pool *p, struct batch_dir *dir);
void batch_ref(struct walk_batch *b);
void batch_unref(struct walk_batch *b);

/*
 * Adds the entry name of the directory with this path ("" is the root), to be
 * stat'ed. The pointers stay valid as long as the batch. NULL: it does not
 * fit; a batch without entries takes any entry, or memory is short.
 */
struct entry *batch_add(struct walk_batch *b, const char *dir, size_t dir_len, const char *name,
                        size_t name_len);

static inline struct batch_mark *batch_mark(const struct entry *n)
{
	return n->priv;
}

/* Takes fd. NULL: no memory, fd is closed. */
struct batch_dir *batch_dir_new(struct batch_pool *p, int take_fd);
struct batch_dir *batch_dir_ref(struct batch_dir *d);
void batch_dir_unref(struct batch_dir *d); /* NULL is fine */

#endif
