/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file is opened once; a content has a duplicate of its descriptor, and so
 * the same file even when its name has gone to another one meanwhile. All
 * reads and seeks name their offset, so it does not matter that duplicates
 * share a position.
 */
#include "snapshot/block.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "common/now.h"
#include "snapshot/below.h"
#include "snapshot/content.h"
#include "snapshot/detail.h"

struct block {
	struct source source;
	char *path; /* for messages */
	int fd;
	bool device;
	bool drop_cache;
	bool given; /* the entry has been handed out */
	uint64_t dev;
	struct entry_stat st;
	struct ranges *ranges; /* that may differ from the base; NULL: there is none */
	struct detail_plain plain;
};

int block_size(int fd, uint64_t *ret_bytes)
{
	struct statx stx;
	uint64_t bytes;

	if (below_stat(fd, "", &stx) < 0)
		return -1;
	if (S_ISREG(stx.stx_mode)) {
		*ret_bytes = stx.stx_size;
		return 0;
	}
	if (ioctl(fd, BLKGETSIZE64, &bytes) < 0)
		return -1;
	*ret_bytes = bytes;
	return 0;
}

static int block_next(struct source *s, struct batch **ret, struct err *e)
{
	struct block *k = (struct block *)s;

	if (k->given) {
		*ret = NULL;
		return 0;
	}
	struct batch *b = calloc(1, sizeof(*b));
	if (!b)
		return err_set(e, ERR_NOMEM, "no memory for the list of files");
	b->source = s;
	b->n = 1;
	b->entries[0] = (struct entry){ .path = "", .name = "", .st = k->st, .block = true };
	k->given = true;
	*ret = b;
	return 0;
}

static void block_batch_free(struct source *s, struct batch *b)
{
	(void)s;
	free(b);
}

static int block_load(struct source *s, struct entry *n, struct entry_detail *ret, struct err *e)
{
	struct block *k = (struct block *)s;
	CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };

	(void)n;
	/* the attributes of a device are those of its node, not of the volume */
	if (!k->device && (detail_xattrs(k->fd, NULL, k->path, &d, e) < 0 ||
	                   detail_flags(&k->plain, k->dev, k->fd, k->path, &d, e) < 0))
		return -1;
	*ret = d;
	d = (struct entry_detail){ 0 };
	return 0;
}

/* Stat of the image or device open at fd. */
static int look(const struct block *k, int fd, struct statx *ret_stx, struct entry_stat *ret,
                struct err *e)
{
	uint64_t bytes;

	if (below_stat(fd, "", ret_stx) < 0 || block_size(fd, &bytes) < 0)
		return err_sys(e, errno, "finding the size of '%s'", k->path);
	below_plain_stat(ret_stx, ret);
	ret->size = bytes;
	if (k->device) {
		int64_t now = now_wall_ns();

		ret->mode = S_IFREG | (ret->mode & 07777);
		ret->rdev_major = ret->rdev_minor = 0;
		ret->nlink = 1;
		ret->mtime.s = now / 1000000000;
		ret->mtime.ns = (uint32_t)(now % 1000000000);
		ret->ctime = ret->mtime;
	}
	return 0;
}

static int block_changed(struct content *c, uint64_t off, bool *ret_known, uint64_t *ret_start,
                         uint64_t *ret_end, struct err *e)
{
	const struct block *k = c->arg;

	(void)e;
	*ret_known = true;
	ranges_next(k->ranges, off, c->st.size, ret_start, ret_end);
	return 0;
}

static int block_content(struct source *s, struct entry *n, struct content **ret, struct err *e)
{
	struct block *k = (struct block *)s;
	struct statx stx;

	auto_close int fd = fcntl(k->fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return err_sys(e, errno, "opening '%s'", k->path);
	auto_free struct content *c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(e, ERR_NOMEM, "no memory to open '%s'", k->path);
	if (look(k, fd, &stx, &c->st, e) < 0)
		return -1;
	c->fd = steal_fd(&fd);
	c->name = k->path;
	c->device = k->device;
	c->sparse = !k->device && stx.stx_blocks * 512 < stx.stx_size;
	c->drop = k->drop_cache;
	c->arg = k;
	content_start(c);
	n->st = c->st;
	*ret = STEAL(&c);
	return 0;
}

static void block_free(struct source *s)
{
	struct block *k = (struct block *)s;

	clean_close(&k->fd);
	ranges_free(k->ranges);
	free(k->path);
	free(k);
}

static const struct source_ops block_ops = {
	.name = "block",
	.next = block_next,
	.batch_free = block_batch_free,
	.load = block_load,
	.open = block_content,
	.data = content_data,
	.read = content_read,
	.close = content_close,
	.free = block_free,
};

static const struct source_ops block_changed_ops = {
	.name = "block",
	.next = block_next,
	.batch_free = block_batch_free,
	.load = block_load,
	.open = block_content,
	.data = content_data,
	.changed = block_changed,
	.read = content_read,
	.close = content_close,
	.free = block_free,
};

/* Fills k, which is freed by the caller also when this fails. */
static int start(struct block *k, const char *path, struct err *e)
{
	struct statx stx;

	k->path = strdup(path);
	if (!k->path)
		return err_set(e, ERR_NOMEM, "no memory to open '%s'", path);
	/* O_NONBLOCK: a fifo must not hold us up before it is refused */
	k->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (k->fd < 0 && errno == ENOENT)
		return err_set(e, ERR_NOT_FOUND, "the source '%s' does not exist; check its path",
		               path);
	if (k->fd < 0 && errno != ENXIO)
		return err_sys(e, errno, "opening the source '%s'", path);
	if (k->fd >= 0 && below_stat(k->fd, "", &stx) < 0)
		return err_sys(e, errno, "looking at the source '%s'", path);
	if (k->fd < 0 || (!S_ISREG(stx.stx_mode) && !S_ISBLK(stx.stx_mode)))
		return err_set(e, ERR_INVALID,
		               "the source '%s' is neither a block device nor an image file", path);
	k->device = S_ISBLK(stx.stx_mode);
	k->dev = below_dev(&stx);
	return look(k, k->fd, &stx, &k->st, e);
}

static struct source *open_any(const char *path, bool drop_cache, const struct source_ops *ops,
                               struct ranges *take_ranges, struct err *e)
{
	struct block *k = calloc(1, sizeof(*k));

	if (!k) {
		ranges_free(take_ranges);
		err_set(e, ERR_NOMEM, "no memory to open '%s'", path);
		return NULL;
	}
	k->source.ops = ops;
	k->fd = -1;
	k->drop_cache = drop_cache;
	k->ranges = take_ranges;
	if (start(k, path, e) < 0) {
		block_free(&k->source);
		return NULL;
	}
	return &k->source;
}

struct source *block_open(const char *path, bool drop_cache, struct err *e)
{
	return open_any(path, drop_cache, &block_ops, NULL, e);
}

struct source *block_open_changed(const char *path, bool drop_cache, struct ranges *take_ranges,
                                  struct err *e)
{
	return open_any(path, drop_cache, &block_changed_ops, take_ranges, e);
}
