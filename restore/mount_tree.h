/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mount shows, by the numbers that the kernel knows it by: one point,
 * or the directories of all volumes and points (restore/shelf.h) with the
 * points below. A number says what it stands for, so nothing is kept of what
 * the kernel knows, however much it looks at. Points are opened when somebody
 * goes into them. A block volume is a directory with one file.
 *
 * Thread-safe. Nothing here knows FUSE.
 */
#ifndef AKSDR_RESTORE_MOUNT_TREE_H
#define AKSDR_RESTORE_MOUNT_TREE_H

#include "restore/browse.h"
#include "restore/shelf.h"

#define MOUNT_ROOT 1
#define MOUNT_IMAGE "disk.img" /* the file that a block volume is */

struct mount_tree_params {
	const struct browse_shared *shared; /* borrowed */
	const struct point *point;          /* this point alone, or NULL: */
	const struct shelf *shelf;          /* borrowed: all of these */
	/* Opens one of them; the caller clears the point. One call at a time. */
	int (*open_point)(void *arg, const struct shelf_point *p, struct point *ret, struct err *e);
	void *arg;
};

struct mount_tree;
MUST_CHECK int mount_tree_new(const struct mount_tree_params *params, struct mount_tree **ret,
                              struct err *e);
void mount_tree_free(struct mount_tree *t);

/* Errors of all of these are as those of restore/browse.h. *st has its number as st_ino. */
MUST_CHECK int mount_tree_stat(struct mount_tree *t, uint64_t id, struct stat *ret, struct err *e);
MUST_CHECK int mount_tree_lookup(struct mount_tree *t, uint64_t dir, const char *name,
                                 bool *ret_found, struct stat *ret, struct err *e);

/* As browse_list(). full false: of st only the number and the type are known. */
typedef bool mount_tree_each_fn(void *arg, const char *name, size_t len, const struct stat *st,
                                bool full, uint64_t next);
MUST_CHECK int mount_tree_list(struct mount_tree *t, uint64_t dir, uint64_t from,
                               mount_tree_each_fn *each, void *arg, bool *ret_damaged,
                               struct err *why, struct err *e);
MUST_CHECK int mount_tree_link(struct mount_tree *t, uint64_t id, struct buf *to, struct err *e);

/*
 * The entry of a point that a number stands for; *ret NULL: it is none of a point's. An image's
 * directory is none.
 */
MUST_CHECK int mount_tree_entry(struct mount_tree *t, uint64_t id, struct browse **ret,
                                uint64_t *ret_number, struct err *e);

/* Appends the path in the mount, for a message, as far as it can be told. */
void mount_tree_path(struct mount_tree *t, uint64_t id, struct buf *to);

#endif
