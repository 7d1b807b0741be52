/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a file has data and where it has holes, by SEEK_DATA and SEEK_HOLE.
 * https://man7.org/linux/man-pages/man2/lseek.2.html
 */
#ifndef AKSDR_SNAPSHOT_EXTENT_H
#define AKSDR_SNAPSHOT_EXTENT_H

#include <stdint.h>

#include "common/clean.h"

/*
 * The next data range at or after off of a file of size bytes:
 * [*ret_start, *ret_end), both <= size; *ret_start == size when only a hole is
 * left. A file system that knows no holes has one range. Moves the position
 * of fd. 0, or -1 with errno.
 */
MUST_CHECK int extent_next(int fd, uint64_t size, uint64_t off, uint64_t *ret_start,
                           uint64_t *ret_end);

#endif
