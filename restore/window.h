/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a restore that is under way at one time: some thousand files at
 * most and the chunks that they need, each chunk once, with the list of all
 * places that it goes to. Because a window is bounded, so is the memory of a
 * restore, however many files it has. What must wait for files (hard links,
 * metadata of directories) waits in the window as well, and is done in order
 * once this window and those before it are.
 *
 * Pure: no I/O. One thread builds a window; then deliveries count it down.
 */
#ifndef AKSDR_RESTORE_WINDOW_H
#define AKSDR_RESTORE_WINDOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "repo/arena.h"
#include "repo/reader.h"
#include "repo/tree.h"
#include "restore/target.h"

/* A window is full when it has one of these. */
#define WINDOW_PLAIN_BYTES (48 * MIB) /* of chunks, plain; see plain_max */
/*
 * Where each read is a request: chunks of a pack that are in two windows are fetched by two of
 * them. A window has no bytes of chunks, so it costs no memory.
 */
#define WINDOW_PLAIN_REMOTE GIB
#define WINDOW_WANTS 4096
#define WINDOW_FILES 4096
#define WINDOW_SHARED 256      /* files that are open while they wait for several chunks */
#define WINDOW_LATER 8192      /* hard links and directories that wait */
#define WINDOW_ARENA (8 * MIB) /* bytes of its own */

/* A regular file on its way. */
struct rfile {
	struct rfile *next; /* in its window, or among the large ones */
	const struct record *rec;
	struct target_place place;
	struct target_file file; /* fd -1: made by the one delivery that it waits for */
	uint32_t groups;         /* building: chunks of this window that it waits for */
	atomic_uint pending;     /* shared files: deliveries it waits for */
	atomic_bool differs;     /* comparing: something of it differs */
	bool shared;             /* open, and finished by the last of its deliveries */
	bool based;              /* an older state is there, and known: base_stretch() compares */
	atomic_bool done;        /* closed as it should be */
	/* large files, which may outlive a window: */
	bool large;
	struct leaf *leaf; /* keeps rec alive */
	uint64_t next_off; /* where the next extent must start */
};

/* Bytes [chunk_off, chunk_off + len) of a chunk go to byte off of a file. */
struct piece {
	struct piece *next;
	struct rfile *file;
	uint64_t off;
	uint32_t chunk_off, len;
	bool same; /* the target has these bytes already */
};

struct window;

/* A chunk of a window. */
struct want {
	struct want *next;
	struct window *window;
	struct chunk_ref ref;
	struct piece *head, *tail; /* pieces of one file are neighbours */
	bool same;                 /* the target has all of it: nothing to fetch */
};

enum later_kind { LATER_LINK, LATER_LEAVE };

struct later {
	struct later *next;
	enum later_kind kind;
	struct target_place place; /* LINK: the link; LEAVE: its directory in place.dir */
	struct target_place to;    /* LINK: what it links to */
	const struct record *rec;  /* LINK */
	void *meta;                /* LEAVE: owned by who runs it */
	bool existing;             /* LEAVE: it was there before */
};

struct window {
	struct window *next;
	struct arena arena;
	struct leaf **leaves; /* what records point into */
	size_t nleaves, leaves_cap;
	struct want **table; /* by chunk id, open addressing */
	struct want *wants, **wants_tail;
	size_t nwants, nfiles, nshared, nlater;
	uint64_t plain, plain_max;
	struct rfile *files;
	struct later *later, **later_tail;
	const struct target_parent *dir; /* of the last file */
	atomic_size_t outstanding;       /* wants not delivered */
};

/* plain_max: full with so many bytes of chunks, plain. NULL: no memory. */
struct window *window_new(uint64_t plain_max);
void window_free(struct window *w);

/* Empties it for the next use. */
void window_reset(struct window *w);

static inline bool window_empty(const struct window *w)
{
	return w->nwants == 0 && w->nfiles == 0 && w->nlater == 0;
}

bool window_full(const struct window *w);

/* Keeps the leaf until the window is reset. 0, or -1: no memory. */
int window_hold(struct window *w, struct leaf *l);

/*
 * The directory of this path, as place_dir of the window; the same one as
 * before when it is. *next_id counts up. NULL: no memory.
 */
const struct target_parent *window_dir(struct window *w, const char *path, size_t len,
                                       uint64_t *next_id);

/* A file of the window, zeroed, or NULL: no memory. */
struct rfile *window_file(struct window *w);

/*
 * The file gets len bytes of the chunk from chunk_off on at byte off.
 * *ret_new: this chunk was not wanted by the file before. 0, or -1: no memory.
 */
int window_piece(struct window *w, struct rfile *f, const struct chunk_ref *ref, uint64_t off,
                 uint32_t chunk_off, uint32_t len, bool *ret_new);

/* Something that waits, or NULL: no memory. */
struct later *window_later(struct window *w, enum later_kind kind);

#endif
