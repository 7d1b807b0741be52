/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening, opening up and removing things below a directory, whatever their
 * depth, without following a link or leaving the file system. Where a user
 * without root's rights stands in his own way, modes are changed for it.
 */
#ifndef AKSDR_RESTORE_BENEATH_H
#define AKSDR_RESTORE_BENEATH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "common/err.h"

/* fd_open_beneath() for paths of any length; len 0 is root itself. -1 with errno. */
int beneath_open(int root, const char *path, size_t len, int flags);

/* A directory that was made passable for a moment. */
struct beneath_opened {
	int fd;
	mode_t mode;
};

/*
 * As beneath_open() with O_PATH, for a user without root's rights: directories
 * on the way that have their final mode already, and do not let their owner
 * pass, are opened up; the caller gives them to beneath_shut(), also after a
 * failure. -1 with errno.
 */
int beneath_force(int root, const char *path, struct beneath_opened *up, size_t max, size_t *ret_n);
void beneath_shut(struct beneath_opened *up, size_t n);

/* chmod by an O_PATH descriptor, which fchmod refuses. -1 with errno. */
int beneath_chmod(int fd, mode_t mode);

/* Takes the flags that forbid changes off an entry. True when there were any. */
bool beneath_unpin(int dir, const char *name);

/*
 * Removes name from dir with all that is in it. What is not there is fine;
 * shown names the directory in messages. *unpinned becomes true when flags were
 * taken off a file to do so, which may have other names.
 *   ERR_BUSY  another file system than dev is mounted in it
 */
MUST_CHECK int beneath_remove(int dir, dev_t dev, const char *name, const char *shown,
                              atomic_bool *unpinned, struct err *e);

#endif
