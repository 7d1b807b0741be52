/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The extent items of a file in both snapshots, side by side. As long as both are there no
 * extent of them is written to or used again: not even one of a file without copy-on-write,
 * because it is shared. So where both have the same stretch of the same extent at an offset,
 * the bytes are the same, whatever was done in between; where they have not, they may differ.
 *
 * The generation of an extent item is no proof: an extent that is cloned into a file (a reflink, or
 * a deduplication) keeps that of where it came from, which may be older than the base.
 * https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html
 */
#include "snapshot/btrfs_diff.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <string.h>
#include <sys/ioctl.h>

#include "common/rd.h"

#define SEARCH_BYTES (64 * KIB)
#define RANGES_MAX ((size_t)1 << 20) /* a file in more pieces is read as a whole */
#define INLINE_HEAD 21               /* bytes of an inline extent item before its data */

struct diff {
	struct content_diff pub;
	struct below below; /* of the base */
	int base, lock;
};

/* A stretch of a file that has an extent item. */
struct extent {
	uint64_t start, end;
	uint64_t disk;  /* where the extent lies */
	uint64_t shift; /* offset in the extent minus offset in the file, mod 2^64 */
	uint64_t generation, ram_bytes;
	uint32_t encoding; /* compression and the like */
	uint8_t type;
};

/* Goes through the extent items of a file. */
struct cursor {
	int fd;             /* of the file; borrowed */
	uint64_t ino, next; /* offset from which to search */
	uint32_t left;      /* items left in what was found */
	bool end;
	struct extent at; /* the present one; meaningless at the end */
	struct rd rd;
	struct btrfs_ioctl_search_args_v2 *search; /* owned */
};

static void cursor_clear(struct cursor *c)
{
	free(c->search);
}

static int search(struct cursor *c, const char *path, struct err *e)
{
	c->search->key = (struct btrfs_ioctl_search_key){
		.min_objectid = c->ino,
		.max_objectid = c->ino,
		.min_type = BTRFS_EXTENT_DATA_KEY,
		.max_type = BTRFS_EXTENT_DATA_KEY,
		.min_offset = c->next,
		.max_offset = UINT64_MAX,
		.max_transid = UINT64_MAX,
		.nr_items = UINT32_MAX,
	};
	c->search->buf_size = SEARCH_BYTES;
	if (ioctl(c->fd, BTRFS_IOC_TREE_SEARCH_V2, c->search) < 0)
		return err_sys(e, errno, "listing the extents of '%s'", path);
	c->left = c->search->key.nr_items;
	c->rd = rd_of(c->search->buf, SEARCH_BYTES);
	return 0;
}

/* Decodes an extent item of len bytes that starts at offset in its file. false: it is none. */
static bool decode(struct extent *x, uint64_t offset, const uint8_t *p, size_t len)
{
	struct rd rd = rd_of(p, len);
	uint64_t bytes;

	*x = (struct extent){ .start = offset };
	x->generation = rd_u64(&rd);
	x->ram_bytes = rd_u64(&rd);
	x->encoding = rd_u32(&rd); /* compression, encryption, other encoding */
	x->type = rd_u8(&rd);
	if (x->type == BTRFS_FILE_EXTENT_INLINE) {
		x->end = offset + x->ram_bytes;
		return rd_ok(&rd) && len >= INLINE_HEAD && x->end > offset;
	}
	x->disk = rd_u64(&rd);
	(void)rd_u64(&rd); /* its length there follows from its place */
	x->shift = rd_u64(&rd) - offset;
	bytes = rd_u64(&rd);
	x->end = offset + bytes;
	return rd_done(&rd) && x->end > offset;
}

/* The next extent that is no hole. */
static int step(struct cursor *c, const char *path, struct err *e)
{
	struct btrfs_ioctl_search_header h;

	for (;;) {
		if (c->left == 0 && search(c, path, e) < 0)
			return -1;
		if (c->left == 0) {
			c->end = true;
			return 0;
		}
		rd_copy(&c->rd, &h, sizeof(h));
		const uint8_t *item = rd_take(&c->rd, h.len);
		if (!item || h.objectid != c->ino || h.type != BTRFS_EXTENT_DATA_KEY ||
		    h.offset < c->next || !decode(&c->at, h.offset, item, h.len))
			return err_set(e, ERR_FORMAT,
			               "an extent of '%s' at byte %" PRIu64
			               " is nothing that is known here",
			               path, (uint64_t)h.offset);
		c->left--;
		c->next = h.offset + 1;
		if (c->at.type == BTRFS_FILE_EXTENT_INLINE || c->at.disk != 0)
			return 0;
	}
}

static int cursor_open(struct cursor *c, int fd, uint64_t ino, const char *path, struct err *e)
{
	*c = (struct cursor){ .fd = fd, .ino = ino };
	c->search = malloc(sizeof(*c->search) + SEARCH_BYTES);
	if (!c->search)
		return err_set(e, ERR_NOMEM, "no memory to list the extents of '%s'", path);
	return step(c, path, e);
}

/* Moves to the extent that covers pos or comes next; where the piece of pos ends. */
static int piece_end(struct cursor *c, uint64_t pos, const char *path, uint64_t *ret, struct err *e)
{
	while (!c->end && c->at.end <= pos) {
		if (step(c, path, e) < 0)
			return -1;
	}
	*ret = c->end ? UINT64_MAX : c->at.start > pos ? c->at.start : c->at.end;
	return 0;
}

static bool in_hole(const struct cursor *c, uint64_t pos)
{
	return c->end || c->at.start > pos;
}

/* Whether both have the same at pos. */
static bool same_at(const struct cursor *a, const struct cursor *b, uint64_t pos)
{
	const struct extent *x = &a->at, *y = &b->at;

	if (in_hole(a, pos) || in_hole(b, pos))
		return in_hole(a, pos) && in_hole(b, pos);
	return x->type != BTRFS_FILE_EXTENT_INLINE && x->type == y->type && x->disk == y->disk &&
	       x->shift == y->shift && x->generation == y->generation &&
	       x->ram_bytes == y->ram_bytes && x->encoding == y->encoding;
}

static int compare(struct cursor *a, struct cursor *b, uint64_t size, const char *path,
                   struct ranges *r, struct err *e)
{
	for (uint64_t pos = 0; pos < size && r->n < RANGES_MAX;) {
		uint64_t end, end_b;

		if (piece_end(a, pos, path, &end, e) < 0 || piece_end(b, pos, path, &end_b, e) < 0)
			return -1;
		end = end_b < end ? end_b : end;
		end = size < end ? size : end;
		if (!same_at(a, b, pos) && ranges_add(r, pos, end) < 0)
			return err_set(e, ERR_NOMEM, "no memory for what changed in '%s'", path);
		pos = end;
	}
	return 0;
}

/*
 * The file at path in the base, of which *ret_stx is filled. -1: there is none, or it cannot be
 * read.
 */
static int open_base(struct diff *d, const char *path, struct statx *ret_stx)
{
	const char *slash = strrchr(path, '/');

	auto_close int dir = below_open_path(&d->below, path, slash ? (size_t)(slash - path) : 0);
	if (dir < 0)
		return -1;
	auto_close int fd = below_open_file(&d->below, dir, slash ? slash + 1 : path, UINT32_MAX);
	if (fd < 0 || below_stat(fd, "", ret_stx) < 0 || !S_ISREG(ret_stx->stx_mode))
		return -1;
	return steal_fd(&fd);
}

static int diff_find(struct content_diff *pub, int fd, const char *path, struct ranges **ret,
                     struct err *e)
{
	struct diff *d = (struct diff *)pub;
	CLEANUP(cursor_clear) struct cursor now = { 0 };
	CLEANUP(cursor_clear) struct cursor then = { 0 };
	struct statx stx, base_stx;

	*ret = NULL;
	auto_close int base = open_base(d, path, &base_stx);
	if (base < 0)
		return 0;
	if (below_stat(fd, "", &stx) < 0)
		return err_sys(e, errno, "looking at '%s'", path);
	auto_ranges struct ranges *r = ranges_new();
	if (!r)
		return err_set(e, ERR_NOMEM, "no memory for what changed in '%s'", path);
	uint64_t both = stx.stx_size < base_stx.stx_size ? stx.stx_size : base_stx.stx_size;
	if (cursor_open(&now, fd, stx.stx_ino, path, e) < 0 ||
	    cursor_open(&then, base, base_stx.stx_ino, path, e) < 0 ||
	    compare(&now, &then, both, path, r, e) < 0)
		return -1;
	if (ranges_add(r, both, stx.stx_size) < 0)
		return err_set(e, ERR_NOMEM, "no memory for what changed in '%s'", path);
	*ret = r->n < RANGES_MAX ? STEAL(&r) : NULL;
	return 0;
}

static void diff_free(struct content_diff *pub)
{
	struct diff *d = (struct diff *)pub;

	clean_close(&d->base);
	clean_close(&d->lock);
	free(d);
}

struct content_diff *btrfs_diff_new(int take_base, int take_lock, struct err *e)
{
	auto_close int base = take_base, lock = take_lock;
	struct diff *d = calloc(1, sizeof(*d));

	if (!d) {
		err_set(e, ERR_NOMEM, "no memory to compare snapshots");
		return NULL;
	}
	d->pub = (struct content_diff){ .find = diff_find, .free = diff_free };
	if (below_init(&d->below, base, false) < 0) {
		err_sys(e, errno, "looking at the snapshot of an earlier backup");
		free(d);
		return NULL;
	}
	d->base = steal_fd(&base);
	d->lock = steal_fd(&lock);
	return &d->pub;
}
