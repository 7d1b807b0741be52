/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A view made of copies, for small trees on any file system that can be
 * frozen: all bytes go to another file system first, and what changed
 * meanwhile goes there whole while the tree's is frozen (precopy.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "common/num.h"
#include "snapshot/below.h"
#include "snapshot/copies.h"
#include "snapshot/precopy.h"

#define LEAST_BYTES 4096 /* that a file counts for: it takes an inode and a block */

/* Those of Linux that have the operation freeze_fs and a use for volumes. */
static const unsigned long can_freeze[] = {
	EXT4_SUPER_MAGIC, /* ext2 and ext3 as well */
	XFS_SUPER_MAGIC,   BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC,
	NILFS_SUPER_MAGIC, 0x3153464a, /* jfs */
	0xca451a4e                     /* bcachefs */
};

static int no(struct err *e, const char *why)
{
	(void)err_set(e, ERR_UNSUPPORTED, "%s", why);
	return 0;
}

static uint64_t max_bytes(const struct snapshot_env *env)
{
	return env->copy_max_bytes ? env->copy_max_bytes : SNAPSHOT_COPY_MAX;
}

static int too_large(uint64_t max, struct err *e)
{
	struct num_text text = num_bytes_text(max);

	(void)err_set(e, ERR_TOO_BIG,
	              "it is larger than the %s that are copied at most; raise the limit, or use "
	              "another driver",
	              text.s);
	return 0;
}

/* What n takes, holes left out. */
static uint64_t bytes_of(int fd, const struct entry *n)
{
	struct statx stx;
	uint64_t bytes = n->st.size;

	if (bytes > LEAST_BYTES && below_stat(fd, n->path, &stx) == 0 &&
	    stx.stx_blocks * 512 < bytes)
		bytes = stx.stx_blocks * 512;
	return bytes > LEAST_BYTES ? bytes : LEAST_BYTES;
}

/* Whether the tree is small enough: 1, 0 with e, or -1 with e. */
static int measure(const struct snapshot_env *env, const char *path, int fd, struct err *e)
{
	const struct walk_params params = { .scratch_dir = env->scratch_dir };
	uint64_t sum = 0, max = max_bytes(env);
	struct source *s = walk_open(path, &params, e);
	struct batch *b;
	int rc;

	if (!s)
		return -1;
	while ((rc = s->ops->next(s, &b, e)) == 0 && b && sum <= max) {
		for (size_t i = 0; i < b->n; i++)
			if (S_ISREG(b->entries[i].st.mode))
				sum += bytes_of(fd, &b->entries[i]);
		s->ops->batch_free(s, b);
	}
	if (rc == 0 && b)
		s->ops->batch_free(s, b);
	s->ops->free(s);
	if (rc < 0)
		return -1;
	return sum > max ? too_large(max, e) : 1;
}

static int freezable(int fd, const char *path, struct err *e)
{
	struct statfs fs;
	struct stat st, top;

	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "looking at the file system of '%s'", path);
	size_t i = 0;
	while (i < ARRAY_LEN(can_freeze) &&
	       can_freeze[i] != ((unsigned long)fs.f_type & UINT32_MAX))
		i++;
	if (i == ARRAY_LEN(can_freeze))
		return no(e, "its file system cannot be frozen");
	if ((unsigned long)fs.f_flags & ST_RDONLY)
		return no(e, "the file system is mounted read-only: nothing changes on it");
	if (stat("/", &top) == 0 && top.st_dev == st.st_dev)
		return no(e, "the root file system must not be frozen");
	return 1;
}

static int freeze_supports(const struct snapshot_env *env, const char *path, struct err *e)
{
	struct stat st;
	int rc = precopy_env(env, e);

	if (rc <= 0)
		return rc;
	if (stat(path, &st) < 0)
		return err_sys(e, errno, "looking at '%s'", path);
	if (!S_ISDIR(st.st_mode))
		return no(e, "it copies the files of a directory, not devices and images");
	auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "opening '%s'", path);
	rc = freezable(fd, path, e);
	if (rc > 0)
		rc = precopy_scratch(env, fd, e);
	return rc > 0 ? measure(env, path, fd, e) : rc;
}

static int freeze_prepare(struct snapshot *s, struct err *e)
{
	if (precopy_env(s->env, e) <= 0)
		return -1;
	auto_close int scratch = open(s->env->scratch_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (scratch < 0)
		return err_sys(e, errno, "opening the directory for scratch files '%s'",
		               s->env->scratch_dir);
	return precopy_prepare(s, PRECOPY_BYTES, scratch, max_bytes(s->env), e);
}

const struct snapshot_ops snapshot_freeze = {
	.name = "freeze",
	.caps = SNAP_CAP_ATOMIC | SNAP_CAP_FREEZE | SNAP_CAP_NEEDS_PRIVILEGE,
	.consistency = SNAP_FILESYSTEM,
	.supports = freeze_supports,
	.prepare = freeze_prepare,
	.capture = precopy_capture,
	.finish = precopy_finish,
	.release = precopy_release,
	.source = precopy_source,
	.is_empty = precopy_is_empty,
	.clean = copies_clean,
};
