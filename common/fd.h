/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files by descriptor: full reads and writes, opening beneath a directory
 * without following symbolic links, and durable creation.
 */
#ifndef AKSDR_COMMON_FD_H
#define AKSDR_COMMON_FD_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "common/buf.h"
#include "common/err.h"

/* Bytes read until n or end of file, or -1 with errno (EINTR is retried). */
ssize_t fd_pread_full(int fd, void *p, size_t n, uint64_t off);
ssize_t fd_read_full(int fd, void *p, size_t n);

/* 0 when all n bytes are written, or -1 with errno. */
int fd_pwrite_full(int fd, const void *p, size_t n, uint64_t off);
int fd_write_full(int fd, const void *p, size_t n);
int fd_writev_full(int fd, struct iovec *iov, int n); /* changes iov */

/*
 * Opens path below the directory dir: openat2 with RESOLVE_BENEATH and
 * RESOLVE_NO_SYMLINKS (and NO_MAGICLINKS); a kernel without openat2 walks
 * the components with O_NOFOLLOW and refuses "..". The descriptor has
 * O_CLOEXEC. -1 with errno.
 */
int fd_open_beneath(int dir, const char *path, int flags, mode_t mode);

/* mkdir -p for a relative path below dir, 0 or -1 with errno; no symbolic link is followed. */
int fd_mkdir_beneath(int dir, const char *path, mode_t mode);

/* Makes the directory path (mode 0700) and those above it that are missing. 0, or -1 with errno. */
int fd_make_dirs(const char *path);

/* Whole file into b (its cap is the limit: ERR_TOO_BIG). Any error class of err_sys. */
MUST_CHECK int fd_read_file(int dir, const char *path, struct buf *b, struct err *e);

/*
 * Creates the file path (relative to dir) with exactly these bytes, durable
 * when it returns: temporary name, write, fsync, link or rename, fsync of
 * the directory. FD_EXCL: ERR_EXISTS when the name is taken, the old file
 * stays; else it is replaced. Mode is exact, whatever the umask.
 */
enum fd_create_flags { FD_REPLACE = 0, FD_EXCL = 1 };
MUST_CHECK int fd_create_file(int dir, const char *path, const void *p, size_t n, mode_t mode,
                              enum fd_create_flags flags, struct err *e);

/* A file in dir_path without a name, for reading and writing, or -1 with errno. */
int fd_open_scratch(const char *dir_path);

/*
 * Scratch memory that the kernel may write back instead of killing us: n
 * bytes of an unlinked temporary file in dir_path (or anonymous memory when
 * dir_path is NULL), mapped shared. NULL with errno. Free with munmap.
 */
void *fd_map_scratch(const char *dir_path, size_t n);

/*
 * Makes room for one more of n elements in an array of scratch memory (*v NULL and *cap 0: none
 * yet); anonymous memory serves where the disk is full. Free with munmap: *cap elements. -1: none
 * left, with errno, and the array is as it was.
 */
int fd_grow_scratch(const char *dir_path, void **v, size_t n, size_t *cap, size_t size);

#endif
