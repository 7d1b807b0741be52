/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two seeks a range. A file that shrinks meanwhile looks like a hole up to
 * its old size; one that grows is not followed: both show when the file is
 * looked at again after reading.
 */
#include "snapshot/extent.h"

#include <errno.h>
#include <unistd.h>

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int extent_next(int fd, uint64_t size, uint64_t off, uint64_t *ret_start, uint64_t *ret_end)
{
	if (off >= size) {
		*ret_start = *ret_end = size;
		return 0;
	}
	off_t start = lseek(fd, (off_t)off, SEEK_DATA);
	if (start < 0 && errno == ENXIO) {
		*ret_start = *ret_end = size;
		return 0;
	}
	if (start < 0 && (errno == EINVAL || errno == EOPNOTSUPP || errno == ENOTTY)) {
		*ret_start = off;
		*ret_end = size;
		return 0;
	}
	if (start < 0)
		return -1;
	off_t end = lseek(fd, start, SEEK_HOLE);
	if (end < 0 && errno != ENXIO)
		return -1;
	if (end <= start) /* cut off between the two calls */
		end = (off_t)size;
	*ret_start = least((uint64_t)start, size);
	*ret_end = least((uint64_t)end, size);
	return 0;
}
