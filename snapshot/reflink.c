/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A view made of clones, for trees and image files on XFS with reflinks and on
 * btrfs. The clones lie on the same file system, in a directory in the root of
 * its mount, so that they are part of no volume but one that is the whole mount,
 * of which they are left out. A tree is completed while its file system is
 * frozen (precopy.h); an image file is one clone, of one moment by itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "common/num.h"
#include "snapshot/below.h"
#include "snapshot/copies.h"
#include "snapshot/precopy.h"

/*
 * XFS_IOC_FSGEOMETRY_V1, which has no header outside of xfsprogs: 112 bytes, the
 * flags are the 32 bits at 92. https://man7.org/linux/man-pages/man2/ioctl_xfs_fsgeometry.2.html
 */
struct geometry {
	uint32_t before[23];
	uint32_t flags;
	uint32_t behind[4];
};
#define GET_GEOMETRY _IOR('X', 100, struct geometry)
#define GEOMETRY_REFLINK (1U << 20)
_Static_assert(sizeof(struct geometry) == 112, "the size is part of the call's number");

/* What must be free: what the application overwrites from now on takes room twice. */
#define RESERVE_SHARE 20 /* one part of so many of the file system, */
#define RESERVE_MAX_BYTES (10 * GIB)
#define RESERVE_MIN_BYTES (16 * MIB)

static int no(struct err *e, const char *why)
{
	(void)err_set(e, ERR_UNSUPPORTED, "%s", why);
	return 0;
}

/* The volume, open for reading. */
static int open_volume(const char *path, struct stat *ret, struct err *e)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, ret) < 0)
		return err_sys(e, errno, "opening '%s'", path);
	return steal_fd(&fd);
}

/* The directory that the volume is, or that the image is in. */
static int open_dir(const char *path, const struct stat *st)
{
	char proc[64], real[PATH_MAX];

	if (S_ISDIR(st->st_mode))
		return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_close int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -1;
	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(proc, real, sizeof(real) - 1);
	if (n <= 0)
		return -1;
	while (n > 1 && real[n - 1] != '/')
		n--;
	real[n] = '\0';
	return open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The root of the mount that the volume is on, as far as this process sees. */
static int open_mount_root(const char *path, const struct stat *volume)
{
	auto_close int fd = open_dir(path, volume);
	struct statx here, up;

	while (fd >= 0) {
		if (below_stat(fd, "", &here) < 0)
			return -1;
		if (!(here.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) ||
		    here.stx_attributes & STATX_ATTR_MOUNT_ROOT)
			break;
		auto_close int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (parent < 0 || below_stat(parent, "", &up) < 0)
			return -1;
		if (up.stx_ino == here.stx_ino && below_dev(&up) == below_dev(&here))
			break;
		(void)close(fd);
		fd = steal_fd(&parent);
	}
	return steal_fd(&fd);
}

/* Whether files can be cloned there: 1, 0 with e, or -1 with e. */
static int can_clone(int fd, const char *path, struct err *e)
{
	struct geometry g = { 0 };
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return err_sys(e, errno, "looking at the file system of '%s'", path);
	if ((unsigned long)fs.f_type == BTRFS_SUPER_MAGIC)
		return 1;
	if ((unsigned long)fs.f_type != XFS_SUPER_MAGIC)
		return no(e, "only XFS and btrfs can clone files");
	if (ioctl(fd, GET_GEOMETRY, &g) < 0 || !(g.flags & GEOMETRY_REFLINK))
		return no(e, "this XFS was made without reflinks");
	return 1;
}

static int has_room(int fd, const char *path, struct err *e)
{
	struct statvfs vfs;

	if (fstatvfs(fd, &vfs) < 0)
		return err_sys(e, errno, "looking at the file system of '%s'", path);
	if (vfs.f_flag & ST_RDONLY)
		return no(e, "the file system is mounted read-only");
	uint64_t want = (uint64_t)vfs.f_blocks * vfs.f_frsize / RESERVE_SHARE;
	uint64_t free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	if (want > RESERVE_MAX_BYTES)
		want = RESERVE_MAX_BYTES;
	if (want < RESERVE_MIN_BYTES)
		want = RESERVE_MIN_BYTES;
	if (free_bytes >= want)
		return 1;
	struct num_text has = num_bytes_text(free_bytes), needs = num_bytes_text(want);
	(void)err_set(e, ERR_QUOTA,
	              "the file system has %s free, and clones that are written to want %s", has.s,
	              needs.s);
	return 0;
}

static int reflink_supports(const struct snapshot_env *env, const char *path, struct err *e)
{
	struct stat st, top;
	int rc = precopy_env(env, e);

	if (rc <= 0)
		return rc;
	auto_close int fd = open_volume(path, &st, e);
	if (fd < 0)
		return -1;
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return no(e, "a device has no files to clone");
	rc = can_clone(fd, path, e);
	if (rc > 0)
		rc = has_room(fd, path, e);
	if (rc > 0 && S_ISDIR(st.st_mode)) {
		if (stat("/", &top) == 0 && top.st_dev == st.st_dev)
			return no(e, "the root file system must not be frozen");
		rc = precopy_scratch(env, fd, e);
	}
	if (rc <= 0)
		return rc;
	auto_close int root = open_mount_root(path, &st);
	if (root < 0)
		return err_sys(e, errno, "looking for the root of the mount of '%s'", path);
	if (faccessat(root, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return no(e, "this user may not write to the root of its mount; run as root");
	return 1;
}

static int reflink_prepare(struct snapshot *s, struct err *e)
{
	uint64_t max = s->env->copy_max_bytes ? s->env->copy_max_bytes : SNAPSHOT_COPY_MAX;
	struct stat st;

	if (precopy_env(s->env, e) <= 0)
		return -1;
	auto_close int fd = open_volume(s->origin, &st, e);
	if (fd < 0 || has_room(fd, s->origin, e) <= 0)
		return -1;
	if (!S_ISDIR(st.st_mode)) {
		s->freeze = false;
		s->consistency = SNAP_CRASH;
	}
	auto_close int root = open_mount_root(s->origin, &st);
	if (root < 0)
		return err_sys(e, errno, "looking for the root of the mount of '%s'", s->origin);
	return precopy_prepare(s, PRECOPY_CLONE, root, max, e);
}

const struct snapshot_ops snapshot_reflink = {
	.name = "reflink",
	.caps = SNAP_CAP_ATOMIC | SNAP_CAP_FREEZE | SNAP_CAP_NEEDS_PRIVILEGE,
	.consistency = SNAP_FILESYSTEM,
	.supports = reflink_supports,
	.prepare = reflink_prepare,
	.capture = precopy_capture,
	.finish = precopy_finish,
	.release = precopy_release,
	.source = precopy_source,
	.is_empty = precopy_is_empty,
	.clean = copies_clean,
};
