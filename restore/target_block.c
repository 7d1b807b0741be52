/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume as one run of bytes: an image file, sparse where the volume is
 * empty, or a block device. A device is opened exclusively, which the kernel
 * refuses while it is mounted or part of something else. Its old content
 * shows through wherever the point has a hole, so holes are zeroed there.
 */
#include "restore/target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "common/fd.h"

#define LOOK_BYTES MIB /* from both ends of a device, when it should be empty */

struct target_block {
	struct target base;
	int fd;
	bool device;
	bool made;     /* this run made the image file */
	bool used;     /* open() gave the descriptor out */
	uint64_t size; /* of the volume */
	uint64_t old_size;
};

static struct target_block *block_of(struct target *t)
{
	return (struct target_block *)t;
}

static int block_open(struct target *t, struct target_worker *w, const struct target_place *at,
                      const struct record *r, enum target_how how, struct target_file *ret,
                      struct err *e)
{
	struct target_block *b = block_of(t);

	(void)w;
	(void)at;
	(void)how;
	*ret = (struct target_file){ .fd = -1 };
	if (r->st.size != b->size)
		return err_set(e, ERR_CORRUPT, "the volume's size differs from that of its point");
	if (b->fd < 0)
		return 0;
	ret->fd = fcntl(b->fd, F_DUPFD_CLOEXEC, 0);
	if (ret->fd < 0)
		return err_sys(e, errno, "opening '%s'", t->path);
	target_forget(t, ret->fd);
	b->used = true;
	ret->existing = !b->made;
	ret->old_size = b->old_size;
	return 0;
}

/* Zeroes a range of the device or file: without space, else as the system can. */
static int block_hole(struct target *t, const struct target_file *f, uint64_t off, uint64_t len,
                      struct err *e)
{
	struct target_block *b = block_of(t);
	static const int modes[] = { FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		                     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };

	if (!f->existing || off >= b->old_size)
		return 0;
	if (len > b->old_size - off)
		len = b->old_size - off;
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		if (fallocate(f->fd, modes[i], (off_t)off, (off_t)len) == 0)
			return 0;
		/* EINVAL: a device wants whole sectors */
		if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL && errno != ENODEV)
			return err_sys(e, errno, "zeroing %llu bytes of '%s'",
			               (unsigned long long)len, t->path);
	}
	return target_write_zeros(f->fd, off, len, e);
}

static int block_zeros(struct target *t, const struct target_file *f, uint64_t off, uint64_t len,
                       struct err *e)
{
	if (f->existing)
		return block_hole(t, f, off, len, e);
	if (fallocate(f->fd, 0, (off_t)off, (off_t)len) < 0 && errno != EOPNOTSUPP &&
	    errno != ENOSYS)
		return err_sys(e, errno, "allocating %llu bytes of '%s'", (unsigned long long)len,
		               t->path);
	return 0;
}

static int block_sync(struct target *t, struct err *e)
{
	if (fsync(block_of(t)->fd) < 0)
		return err_sys(e, errno, "syncing '%s'", t->path);
	return 0;
}

/* A device tells of failed writes here and nowhere else, so this is never left out. */
static int block_finish(struct target *t, const struct target_place *at, const struct record *r,
                        struct target_file *f, struct err *e)
{
	(void)at;
	(void)r;
	clean_close(&f->fd);
	f->fd = -1;
	return t->flags & TARGET_COMPARE ? 0 : block_sync(t, e);
}

static void block_discard(struct target *t, struct target_worker *w, const struct target_place *at,
                          struct target_file *f)
{
	struct target_block *b = block_of(t);

	(void)w;
	(void)at;
	clean_close(&f->fd);
	f->fd = -1;
	if (b->made)
		(void)unlink(t->path);
}

static void block_free(struct target *t)
{
	struct target_block *b = block_of(t);

	clean_close(&b->fd);
	/* A file that was made and never written to is no image. */
	if (b->made && !b->used && t->path)
		(void)unlink(t->path);
	free(b);
}

static const struct target_ops target_block = {
	.name = "block",
	.whole = true,
	.open = block_open,
	.hole = block_hole,
	.zeros = block_zeros,
	.finish = block_finish,
	.discard = block_discard,
	.sync = block_sync,
	.free = block_free,
};

static int no_place(const char *path, struct err *e)
{
	return err_set(e, ERR_INVALID,
	               "the target '%s' is neither a file nor a block device, and the point "
	               "is of a block volume",
	               path);
}

static int open_device(struct target_block *b, struct err *e)
{
	bool compare = b->base.flags & TARGET_COMPARE;
	const char *path = b->base.path;

	b->fd = open(path, (compare ? O_RDONLY : O_RDWR | O_EXCL) | O_CLOEXEC);
	if (b->fd < 0 && errno == EBUSY)
		return err_set(e, ERR_BUSY,
		               "the block device '%s' is mounted or in use; unmount it first",
		               path);
	if (b->fd < 0)
		return err_sys(e, errno, "opening the block device '%s'", path);
	if (ioctl(b->fd, BLKGETSIZE64, &b->old_size) < 0)
		return err_sys(e, errno, "asking for the size of '%s'", path);
	if (b->old_size < b->size)
		return err_set(e, ERR_TOO_BIG,
		               "the volume has %llu bytes and the block device '%s' only %llu",
		               (unsigned long long)b->size, path, (unsigned long long)b->old_size);
	if (b->base.flags & (TARGET_IN_PLACE | TARGET_FORCE))
		return 0;
	uint64_t tail = b->old_size > LOOK_BYTES ? b->old_size - LOOK_BYTES : 0;
	int zero = target_is_zero(b->fd, 0, LOOK_BYTES, e);
	if (zero > 0)
		zero = target_is_zero(b->fd, tail, b->old_size - tail, e);
	if (zero < 0)
		return err_wrap(e, "looking at '%s'", path);
	if (zero == 0)
		return err_set(e, ERR_EXISTS,
		               "the block device '%s' is not empty; use --in-place to write what "
		               "differs, or --force to overwrite it",
		               path);
	return 0;
}

static int open_file(struct target_block *b, bool exists, struct err *e)
{
	unsigned flags = b->base.flags;
	const char *path = b->base.path;
	struct stat st;

	if (exists && !(flags & TARGET_IN_PLACE))
		return err_set(e, ERR_EXISTS,
		               "the image file '%s' exists already; name a new one, or use "
		               "--in-place to write what differs",
		               path);
	if (!exists && flags & TARGET_COMPARE)
		return 0;
	int how = flags & TARGET_COMPARE ? O_RDONLY : O_RDWR;
	if (!exists)
		how |= O_CREAT | O_EXCL;
	b->fd = open(path, how | O_CLOEXEC | O_NOCTTY, 0600);
	if (b->fd < 0)
		return err_sys(e, errno, "%s the image file '%s'", exists ? "opening" : "creating",
		               path);
	b->made = !exists;
	if (fstat(b->fd, &st) < 0)
		return err_sys(e, errno, "looking at '%s'", path);
	b->old_size = (uint64_t)st.st_size;
	if (!(flags & TARGET_COMPARE) && b->old_size != b->size &&
	    ftruncate(b->fd, (off_t)b->size) < 0)
		return err_sys(e, errno, "making the image file '%s' %llu bytes long", path,
		               (unsigned long long)b->size);
	return 0;
}

int target_block_open(const char *path, uint64_t size, unsigned flags, struct losses *losses,
                      struct target **ret, struct err *e)
{
	auto_target struct target *t = NULL;
	struct stat st;

	struct target_block *b = calloc(1, sizeof(*b));
	if (!b)
		return err_set(e, ERR_NOMEM, "no memory for the target '%s'", path);
	b->fd = -1;
	b->size = size;
	b->base = (struct target){ .ops = &target_block, .flags = flags, .losses = losses };
	t = &b->base;
	t->path = strdup(path);
	if (!t->path)
		return err_set(e, ERR_NOMEM, "no memory for the target '%s'", path);
	bool exists = stat(path, &st) == 0;
	if (!exists && errno != ENOENT)
		return err_sys(e, errno, "looking at the target '%s'", path);
	b->device = exists && S_ISBLK(st.st_mode);
	if (exists && !b->device && !S_ISREG(st.st_mode))
		return no_place(path, e);
	if ((b->device ? open_device(b, e) : open_file(b, exists, e)) < 0)
		return -1;
	/* What would be overwritten anyway is not worth comparing. */
	if (flags & TARGET_COMPARE && !(flags & TARGET_IN_PLACE)) {
		clean_close(&b->fd);
		b->fd = -1;
	}
	*ret = STEAL(&t);
	return 0;
}
