/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names are single components wherever they come from a listing, so
 * O_NOFOLLOW is enough against links; openat2 adds the mounts. Paths longer
 * than the kernel takes at once are opened in pieces.
 */
#include "snapshot/below.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#define MASK                                                                           \
	(STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_UID | STATX_GID | STATX_MTIME | \
	 STATX_CTIME | STATX_INO | STATX_SIZE | STATX_BLOCKS)
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define FILE_FLAGS (O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define PIECE_MAX 4000 /* bytes of path in one system call */

static int sys_openat2(int at, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = { .flags = (unsigned int)flags, .resolve = resolve };

	return (int)syscall(SYS_openat2, at, path, &how, sizeof(how));
}

int below_init(struct below *b, int root, bool cross)
{
	struct statx stx;

	if (below_stat(root, "", &stx) < 0)
		return -1;
	memset(b, 0, sizeof(*b));
	b->root = root;
	b->dev = below_dev(&stx);
	b->cross = cross;
	b->euid = geteuid();
	atomic_init(&b->noatime, true);
	int fd = sys_openat2(root, ".", DIR_FLAGS, RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
	b->openat2 = fd >= 0;
	if (fd >= 0)
		(void)close(fd);
	return 0;
}

/* One try: the kernel's check of mounts where it has one, else ours. */
static int open_once(struct below *b, int at, const char *path, int flags)
{
	struct statx stx;

	if (b->openat2) {
		uint64_t resolve = RESOLVE_NO_SYMLINKS;

		return sys_openat2(at, path, flags, b->cross ? resolve : resolve | RESOLVE_NO_XDEV);
	}
	auto_close int fd = openat(at, path, flags);
	if (fd < 0 || b->cross ||
	    strcmp(path, ".") == 0) /* the root may be a mount's root itself */
		return steal_fd(&fd);
	if (below_stat(fd, "", &stx) < 0)
		return -1;
	if (below_crosses(b, &stx)) {
		errno = EXDEV;
		return -1;
	}
	return steal_fd(&fd);
}

/* O_NOATIME is for owners and the privileged; the first refusal ends it for what is not ours. */
static int open_quietly(struct below *b, int at, const char *path, int flags, bool ours)
{
	if (ours || atomic_load_explicit(&b->noatime, memory_order_relaxed)) {
		int fd = open_once(b, at, path, flags | O_NOATIME);

		if (fd >= 0 || errno != EPERM)
			return fd;
		atomic_store_explicit(&b->noatime, false, memory_order_relaxed);
	}
	return open_once(b, at, path, flags);
}

int below_open_dir(struct below *b, int at, const char *name)
{
	return open_quietly(b, at, name, DIR_FLAGS, false);
}

int below_open_file(struct below *b, int at, const char *name, uint32_t uid)
{
	return open_quietly(b, at, name, FILE_FLAGS, uid == b->euid);
}

int below_hold(struct below *b, int at, const char *name)
{
	return open_once(b, at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

int below_open_path(struct below *b, const char *path, size_t len)
{
	char piece[PIECE_MAX + 1];
	auto_close int fd = below_open_dir(b, b->root, ".");

	for (size_t at = 0; at < len;) {
		/* openat2 checks every component of a piece; without it a piece is one component */
		size_t n = len - at;
		const char *cut = b->openat2 ? NULL : memchr(path + at, '/', n);

		if (cut)
			n = (size_t)(cut - path) - at;
		else if (n > PIECE_MAX) {
			cut = memrchr(path + at, '/', PIECE_MAX);
			if (!cut) {
				errno = ENAMETOOLONG;
				return -1;
			}
			n = (size_t)(cut - path) - at;
		}
		if (fd < 0)
			return -1;
		memcpy(piece, path + at, n);
		piece[n] = '\0';
		int next = below_open_dir(b, fd, piece);
		if (next < 0)
			return -1;
		(void)close(fd);
		fd = next;
		at += n + 1;
	}
	return steal_fd(&fd);
}

int below_stat(int at, const char *name, struct statx *ret)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name ? 0 : AT_EMPTY_PATH);

	return statx(at, name, flags, MASK, ret);
}

bool below_crosses(const struct below *b, const struct statx *stx)
{
	if (b->cross)
		return false;
	if (stx->stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)
		return stx->stx_attributes & STATX_ATTR_MOUNT_ROOT;
	return below_dev(stx) != b->dev;
}

/*
 * What tells the inodes of fd's device from those of others: the number of
 * the subvolume on btrfs, which is the same after every mount, else the device's
 * number. Several file systems may number their subvolumes alike, so across
 * mounts only the device serves.
 * https://btrfs.readthedocs.io/en/latest/btrfs-ioctl.html
 */
static uint64_t salt_find(const struct below *b, int fd, uint64_t dev)
{
	struct btrfs_ioctl_ino_lookup_args args = { .objectid = BTRFS_FIRST_FREE_OBJECTID };

	if (!b->cross && ioctl(fd, BTRFS_IOC_INO_LOOKUP, &args) == 0)
		return args.treeid;
	return dev;
}

static uint64_t salt_of(struct below *b, int fd, uint64_t dev)
{
	for (unsigned i = 0; i < BELOW_SALTS; i++)
		if (atomic_load_explicit(&b->salts[i].dev, memory_order_acquire) == dev)
			return atomic_load_explicit(&b->salts[i].salt, memory_order_relaxed);

	uint64_t salt = salt_find(b, fd, dev);
	unsigned at = atomic_fetch_add(&b->nsalts, 1);
	if (at < BELOW_SALTS) {
		atomic_store_explicit(&b->salts[at].salt, salt, memory_order_relaxed);
		atomic_store_explicit(&b->salts[at].dev, dev, memory_order_release);
	}
	return salt;
}

void below_plain_stat(const struct statx *stx, struct entry_stat *ret)
{
	bool device = S_ISBLK(stx->stx_mode) || S_ISCHR(stx->stx_mode);

	*ret = (struct entry_stat){
		.mode = stx->stx_mode,
		.uid = stx->stx_uid,
		.gid = stx->stx_gid,
		.nlink = stx->stx_nlink,
		.rdev_major = device ? stx->stx_rdev_major : 0,
		.rdev_minor = device ? stx->stx_rdev_minor : 0,
		.ino = stx->stx_ino,
		.size = S_ISREG(stx->stx_mode) ? stx->stx_size : 0,
		.mtime = { .s = stx->stx_mtime.tv_sec, .ns = stx->stx_mtime.tv_nsec },
		.ctime = { .s = stx->stx_ctime.tv_sec, .ns = stx->stx_ctime.tv_nsec },
	};
}

void below_entry_stat(struct below *b, int fd, const struct statx *stx, struct entry_stat *ret)
{
	uint64_t dev = below_dev(stx);

	below_plain_stat(stx, ret);
	if (dev != b->dev)
		ret->ino ^= (salt_of(b, fd, dev) + 1) * 0x9e3779b97f4a7c15;
}
