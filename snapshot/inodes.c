/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing with linear probes, at most two thirds full; nothing is ever taken out. */
#include "snapshot/inodes.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "common/fd.h"

#define FIRST 1024 /* places of the first table */
#define MEMORY (8 * MIB)

_Static_assert(sizeof(struct inode) == 64, "the place of an inode is one line of the cache");

void inodes_clear(struct inodes *t)
{
	if (t->v)
		(void)munmap(t->v, t->cap * sizeof(*t->v));
	t->v = NULL;
	t->cap = t->n = 0;
}

/* The place where ino is, or would be put. There is always a free one. */
static struct inode *probe(struct inode *v, size_t cap, uint64_t ino)
{
	size_t at = (size_t)((ino * 0x9e3779b97f4a7c15) >> 32) & (cap - 1);

	while (v[at].pass != 0 && v[at].ino != ino)
		at = (at + 1) & (cap - 1);
	return &v[at];
}

static int grow(struct inodes *t)
{
	size_t cap = t->cap ? 2 * t->cap : FIRST;
	size_t bytes;

	if (__builtin_mul_overflow(cap, sizeof(*t->v), &bytes)) {
		errno = EFBIG;
		return -1;
	}
	/* scratch memory is zero at first: every place is free */
	struct inode *v = fd_map_scratch(bytes > MEMORY ? t->scratch_dir : NULL, bytes);
	if (!v)
		return -1;
	for (size_t i = 0; i < t->cap; i++)
		if (t->v[i].pass != 0)
			*probe(v, cap, t->v[i].ino) = t->v[i];
	if (t->v)
		(void)munmap(t->v, t->cap * sizeof(*t->v));
	t->v = v;
	t->cap = cap;
	return 0;
}

struct inode *inodes_place(struct inodes *t, uint64_t ino)
{
	if (t->n >= t->cap / 3 * 2 && grow(t) < 0)
		return NULL;
	struct inode *n = probe(t->v, t->cap, ino);
	if (n->pass == 0) {
		n->ino = ino;
		n->pass = 1;
		t->n++;
	}
	return n;
}

const struct inode *inodes_find(const struct inodes *t, uint64_t ino)
{
	if (t->cap == 0)
		return NULL;
	const struct inode *n = probe(t->v, t->cap, ino);
	return n->pass != 0 ? n : NULL;
}

bool inodes_same(const struct inode *n, const struct entry_stat *st)
{
	const uint16_t both = INODE_KNOWN | INODE_SETTLED;

	return (n->flags & both) == both && n->type == (st->mode & S_IFMT) && n->size == st->size &&
	       n->ctime_s == st->ctime.s && n->ctime_ns == st->ctime.ns &&
	       n->mtime_s == st->mtime.s && n->mtime_ns == st->mtime.ns;
}

void inodes_note(struct inode *n, const struct entry_stat *st, int64_t wall_ns, int64_t margin_ns)
{
	int64_t ctime_ns;
	bool old = !__builtin_mul_overflow(st->ctime.s, (int64_t)1000000000, &ctime_ns) &&
	           !__builtin_add_overflow(ctime_ns, (int64_t)st->ctime.ns, &ctime_ns) &&
	           ctime_ns <= wall_ns - margin_ns;

	n->size = st->size;
	n->type = st->mode & S_IFMT;
	n->mtime_s = st->mtime.s;
	n->mtime_ns = st->mtime.ns;
	n->ctime_s = st->ctime.s;
	n->ctime_ns = st->ctime.ns;
	n->flags = (uint16_t)((n->flags & ~(unsigned)INODE_SETTLED) | INODE_KNOWN |
	                      (old ? INODE_SETTLED : 0U));
}
