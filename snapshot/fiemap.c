/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both files are gone through side by side, some dozens of extents at a
 * time. Extents that were allocated and never written read as zeros, and count as
 * holes: a clone on XFS does not have them, one on btrfs does.
 */
#include "snapshot/fiemap.h"

#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

/* Of these the physical place says nothing, or not exactly where a byte is. */
#define INEXACT                                                                                 \
	(FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_ENCODED |               \
	 FIEMAP_EXTENT_DATA_ENCRYPTED | FIEMAP_EXTENT_NOT_ALIGNED | FIEMAP_EXTENT_DATA_INLINE | \
	 FIEMAP_EXTENT_DATA_TAIL)

_Static_assert(sizeof(struct fiemap) == 32 && sizeof(struct fiemap_extent) == 56,
               "the room for answers is counted by these");

void fiemap_open(struct fiemap_reader *r, int fd, uint64_t size)
{
	r->fd = fd;
	r->size = size;
	r->n = r->at = 0;
	r->end = fd < 0;
}

static int ask(struct fiemap_reader *r, uint64_t off)
{
	struct fiemap *m = (struct fiemap *)(void *)r->answer;

	memset(m, 0, sizeof(*m));
	m->fm_start = off;
	m->fm_length = FIEMAP_MAX_OFFSET - off;
	m->fm_extent_count = FIEMAP_AHEAD;
	if (ioctl(r->fd, FS_IOC_FIEMAP, m) < 0)
		return -1;
	r->n = m->fm_mapped_extents;
	r->at = 0;
	r->end = r->n < FIEMAP_AHEAD || m->fm_extents[r->n - 1].fe_flags & FIEMAP_EXTENT_LAST;
	return 0;
}

int fiemap_at(struct fiemap_reader *r, uint64_t off, struct fiemap_range *ret)
{
	const struct fiemap *m = (const struct fiemap *)(const void *)r->answer;

	for (;;) {
		for (; r->at < r->n; r->at++) {
			const struct fiemap_extent *x = &m->fm_extents[r->at];
			uint64_t end = x->fe_logical + x->fe_length;

			if (end <= off)
				continue;
			if (x->fe_logical > off) {
				ret->kind = FIEMAP_HOLE;
				ret->end = x->fe_logical < r->size ? x->fe_logical : r->size;
				return 0;
			}
			ret->kind = x->fe_flags & FIEMAP_EXTENT_UNWRITTEN ? FIEMAP_HOLE
			            : x->fe_flags & INEXACT               ? FIEMAP_OPAQUE
			                                                  : FIEMAP_PLACE;
			ret->end = end < r->size ? end : r->size;
			ret->place = x->fe_physical + (off - x->fe_logical);
			return 0;
		}
		if (r->end) {
			ret->kind = FIEMAP_HOLE;
			ret->end = r->size;
			return 0;
		}
		if (ask(r, off) < 0)
			return -1;
	}
}

enum verdict { SAME, HOLE, DATA };

/* What holds of a from off on, and up to where. b may be shorter: behind its end is nothing. */
static int judge(struct fiemap_reader *a, struct fiemap_reader *b, uint64_t off, uint64_t *ret_end,
                 enum verdict *ret)
{
	struct fiemap_range x, y = { .kind = FIEMAP_HOLE, .end = a->size };

	if (fiemap_at(a, off, &x) < 0 || (off < b->size && fiemap_at(b, off, &y) < 0))
		return -1;
	*ret_end = x.end < y.end ? x.end : y.end;
	if (x.kind == FIEMAP_HOLE)
		*ret = y.kind == FIEMAP_HOLE ? SAME : HOLE;
	else
		*ret = x.kind == FIEMAP_PLACE && y.kind == FIEMAP_PLACE && x.place == y.place
		               ? SAME
		               : DATA;
	return 0;
}

int fiemap_differ(struct fiemap_reader *a, struct fiemap_reader *b, uint64_t *off,
                  uint64_t *ret_end, bool *ret_hole)
{
	enum verdict found = SAME, v;
	uint64_t at = *off, end;

	while (at < a->size) {
		if (judge(a, b, at, &end, &v) < 0)
			return -1;
		if (found != SAME && v != found)
			break;
		if (found == SAME && v != SAME) {
			found = v;
			*off = at;
		}
		at = end;
	}
	if (found == SAME)
		*off = at = a->size;
	*ret_end = at;
	*ret_hole = found == HOLE;
	return 0;
}
