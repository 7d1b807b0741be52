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
#include <time.h>

#include "common/fd.h"
#include "common/now.h"
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

/*
 * Times are set when a write begins, with the granularity of a tick of the kernel (10 ms at most),
 * and its bytes come after: what is read meanwhile is torn, and its times stay as they are. A
 * writer has this long to come to an end, its share of a busy processor included.
 */
#define SETTLED_NS 100000000

/* How long until the last change is so old; 0: it is. A clock that is behind tells nothing. */
static int64_t unsettled_ns(const struct entry_stat *st)
{
	int64_t changed_ns, age_ns;

	if (__builtin_mul_overflow(st->ctime.s, (int64_t)1000000000, &changed_ns) ||
	    __builtin_add_overflow(changed_ns, (int64_t)st->ctime.ns, &changed_ns) ||
	    __builtin_sub_overflow(now_wall_ns(), changed_ns, &age_ns))
		return 0;
	return age_ns < 0 || age_ns >= SETTLED_NS ? 0 : SETTLED_NS - age_ns;
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

int content_settle(struct content *c, struct err *e)
{
	int64_t ns = c->live ? unsettled_ns(&c->st) : 0;
	const struct timestamp before = c->st.ctime;

	if (ns == 0)
		return 0;
	const int64_t until_ns = now_mono_ns() + ns;
	const struct timespec until = { .tv_sec = until_ns / 1000000000,
		                        .tv_nsec = until_ns % 1000000000 };
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
	}
	if (look_again(c, &c->st, e) < 0)
		return -1;
	/* By the file's own times: the clock may have been set back meanwhile. */
	c->young = !same_time(c->st.ctime, before);
	return 0;
}

int content_close(struct content *take_c, struct entry_stat *ret_st, bool *ret_changed,
                  struct err *e)
{
	struct content *c = take_c;
	struct entry_stat now = c->st;
	int rc = look_again(c, &now, e);

	if (rc == 0) {
		*ret_changed = c->young || now.size != c->st.size ||
		               !same_time(now.mtime, c->st.mtime) ||
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
