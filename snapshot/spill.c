/* SPDX-License-Identifier: Apache-2.0 */
/* The memory is taken at once, and becomes resident as it is used. */
#include "snapshot/spill.h"

#include <errno.h>
#include <string.h>

#include "common/fd.h"

int spill_open(struct spill *ret, const char *scratch_dir, size_t memory, struct err *e)
{
	*ret = (struct spill){ .fd = fd_open_scratch(scratch_dir), .cap = memory };
	if (ret->fd < 0)
		return err_sys(e, errno, "making a scratch file in '%s'", scratch_dir);
	ret->tail = malloc(memory);
	if (!ret->tail)
		return err_set(e, ERR_NOMEM, "no memory for what a snapshot notes");
	return 0;
}

void spill_close(struct spill *s)
{
	clean_close(&s->fd);
	free(s->tail);
	*s = SPILL_NONE;
}

int spill_flush(struct spill *s, struct err *e)
{
	if (fd_pwrite_full(s->fd, s->tail, (size_t)(s->len - s->base), s->base) < 0)
		return err_sys(e, errno, "writing a scratch file");
	s->base = s->len;
	return 0;
}

int spill_add(struct spill *s, const void *p, size_t n, struct err *e)
{
	if (n > s->cap - (size_t)(s->len - s->base) && spill_flush(s, e) < 0)
		return -1;
	if (n > s->cap) {
		if (fd_pwrite_full(s->fd, p, n, s->base) < 0)
			return err_sys(e, errno, "writing a scratch file");
		s->base += n;
	} else {
		memcpy(s->tail + (s->len - s->base), p, n);
	}
	s->len += n;
	return 0;
}

int spill_read(const struct spill *s, void *p, size_t n, uint64_t off, struct err *e)
{
	size_t low = 0;

	if (off > s->len || n > s->len - off)
		return err_set(e, ERR_BUG, "%zu bytes at %llu of a scratch file of %llu", n,
		               (unsigned long long)off, (unsigned long long)s->len);
	if (off < s->base) {
		low = s->base - off < n ? (size_t)(s->base - off) : n;
		ssize_t got = fd_pread_full(s->fd, p, low, off);

		if (got < 0)
			return err_sys(e, errno, "reading a scratch file");
		if ((size_t)got < low)
			return err_set(e, ERR_IO,
			               "a scratch file does not have what was written to it");
	}
	if (low < n)
		memcpy((uint8_t *)p + low, s->tail + (off + low - s->base), n - low);
	return 0;
}
