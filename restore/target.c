/* SPDX-License-Identifier: Apache-2.0 */
/* What all targets share. */
#include "restore/target.h"

#include <errno.h>
#include <fcntl.h>

#include "common/fd.h"

#define ZEROS_BYTES (256 * KIB)

static const uint8_t zeros[ZEROS_BYTES];

void target_free(struct target *t)
{
	if (!t)
		return;
	char *path = t->path;
	t->ops->free(t);
	free(path);
}

void target_forget(const struct target *t, int fd)
{
	/* A hint: where it is not taken, memory has what the medium should have. */
	if (t->flags & TARGET_REREAD)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

int target_write_zeros(int fd, uint64_t off, uint64_t len, struct err *e)
{
	while (len > 0) {
		size_t n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

		if (fd_pwrite_full(fd, zeros, n, off) < 0)
			return err_sys(e, errno, "writing %zu zeros", n);
		off += n;
		len -= n;
	}
	return 0;
}

int target_is_zero(int fd, uint64_t off, uint64_t len, struct err *e)
{
	auto_free uint8_t *p = NULL;
	uint64_t end = off + len;

	while (off < end) {
		/* Holes need not be read. A file system that knows none says: data. */
		off_t data = lseek(fd, (off_t)off, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return 1;
		if (data > 0 && (uint64_t)data > off)
			off = (uint64_t)data;
		if (off >= end)
			return 1;
		if (!p)
			p = malloc(ZEROS_BYTES);
		if (!p)
			return err_set(e, ERR_NOMEM, "no memory for comparing");
		size_t n = end - off < ZEROS_BYTES ? (size_t)(end - off) : ZEROS_BYTES;
		ssize_t got = fd_pread_full(fd, p, n, off);
		if (got < 0)
			return err_sys(e, errno, "reading for comparison");
		if (memcmp(p, zeros, (size_t)got) != 0)
			return 0;
		if ((size_t)got < n)
			return 1;
		off += n;
	}
	return 1;
}
