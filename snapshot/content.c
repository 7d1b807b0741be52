/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading by pread() at the offsets that the caller asks for, and a second
 * look at the stat at the end: what differs from the first was torn.
 */
#include "snapshot/content.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>

#include "common/fd.h"
#include "snapshot/extent.h"

void content_start(struct content *c)
{
	if (c->st.size >= CONTENT_BIG)
		(void)posix_fadvise(c->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
}

int content_data(struct content *c, uint64_t off, uint64_t *ret_start, uint64_t *ret_end,
                 struct err *e)
{
	if (!c->sparse) {
		*ret_start = off < c->st.size ? off : c->st.size;
		*ret_end = c->st.size;
		return 0;
	}
	if (extent_next(c->fd, c->st.size, off, ret_start, ret_end) < 0)
		return err_sys(e, errno, "looking for data in '%s' from byte %" PRIu64, c->name,
		               off);
	return 0;
}

int content_changed(struct content *c, uint64_t off, bool *ret_known, uint64_t *ret_start,
                    uint64_t *ret_end, struct err *e)
{
	if (c->diff && !c->asked) {
		if (c->diff->find(c->diff, c->fd, c->name, &c->ranges, e) < 0)
			return err_wrap(e, "finding what changed in '%s'", c->name);
		c->asked = true;
	}
	*ret_known = c->ranges != NULL;
	if (c->ranges) {
		ranges_next(c->ranges, off, c->st.size, ret_start, ret_end);
		return 0;
	}
	*ret_start = off < c->st.size ? off : c->st.size;
	*ret_end = c->st.size;
	return 0;
}

int64_t content_read(struct content *c, void *p, size_t n, uint64_t off, struct err *e)
{
	ssize_t got = fd_pread_full(c->fd, p, n, off);

	if (got < 0)
		return err_sys(e, errno, "reading '%s' at byte %" PRIu64, c->name, off);
	return got;
}

static bool same_time(struct timestamp a, struct timestamp b)
{
	return a.s == b.s && a.ns == b.ns;
}

static int look_again(struct content *c, struct entry_stat *ret_st, struct err *e)
{
	struct statx stx;

	if (c->device) {
		*ret_st = c->st;
		return 0;
	}
	if (below_stat(c->fd, "", &stx) < 0)
		return err_sys(e, errno, "looking at '%s' again after reading it", c->name);
	if (c->below)
		below_entry_stat(c->below, c->fd, &stx, ret_st);
	else
		below_plain_stat(&stx, ret_st);
	return 0;
}

int content_close(struct content *take_c, struct entry_stat *ret_st, bool *ret_changed,
                  struct err *e)
{
	struct content *c = take_c;
	struct entry_stat now = c->st;
	int rc = look_again(c, &now, e);

	if (rc == 0) {
		*ret_changed = now.size != c->st.size || !same_time(now.mtime, c->st.mtime) ||
		               !same_time(now.ctime, c->st.ctime);
		*ret_st = now;
	}
	if (c->drop && c->st.size >= CONTENT_BIG)
		(void)posix_fadvise(c->fd, 0, 0, POSIX_FADV_DONTNEED);
	(void)close(c->fd);
	if (c->done)
		c->done(c->arg);
	ranges_free(c->ranges);
	free(c);
	return rc;
}
