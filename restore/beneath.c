/* SPDX-License-Identifier: Apache-2.0 */
/* See beneath.h. All of it works on names in an open directory, never on paths from the root. */
#include "restore/beneath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "common/fd.h"
#include "restore/meta.h"

#define PATH_STEP (PATH_MAX - 256) /* bytes of path for one system call */

int beneath_open(int root, const char *path, size_t len, int flags)
{
	auto_close int held = -1;
	char part[PATH_MAX];
	int at = root;

	while (len > PATH_STEP) {
		size_t n = PATH_STEP;

		while (n > 0 && path[n] != '/')
			n--;
		if (n == 0) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(part, path, n);
		part[n] = '\0';
		int next = fd_open_beneath(at, part, O_PATH | O_DIRECTORY, 0);
		if (next < 0)
			return -1;
		clean_close(&held);
		held = next;
		at = next;
		path += n + 1;
		len -= n + 1;
	}
	return fd_open_beneath(at, len > 0 ? path : ".", flags, 0);
}

int beneath_chmod(int fd, mode_t mode)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, mode);
}

bool beneath_unpin(int dir, const char *name)
{
	auto_close int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return fd >= 0 && meta_unpin(fd);
}

static int empty_dir(int take_fd, dev_t dev, const char *shown, atomic_bool *unpinned,
                     struct err *e)
{
	DIR *list = fdopendir(take_fd);

	if (!list) {
		int os = errno;

		(void)close(take_fd);
		return err_sys(e, os, "listing '%s'", shown);
	}
	int rc = 0;
	while (rc == 0) {
		errno = 0;
		struct dirent *n = readdir(list);
		if (!n) {
			if (errno)
				rc = err_sys(e, errno, "listing '%s'", shown);
			break;
		}
		if (strcmp(n->d_name, ".") != 0 && strcmp(n->d_name, "..") != 0)
			rc = beneath_remove(dirfd(list), dev, n->d_name, shown, unpinned, e);
	}
	(void)closedir(list);
	return rc;
}

static int unlink_any(int dir, const char *name, int flags, atomic_bool *unpinned)
{
	if (unlinkat(dir, name, flags) == 0 || errno == ENOENT)
		return 0;
	/* Either may be pinned: what is to go, or the directory it is in. */
	if (errno != EPERM)
		return -1;
	bool freed = beneath_unpin(dir, name);
	if (freed && !(flags & AT_REMOVEDIR))
		atomic_store(unpinned, true);
	freed |= beneath_unpin(dir, ".");
	if (freed && (unlinkat(dir, name, flags) == 0 || errno == ENOENT))
		return 0;
	if (!freed)
		errno = EPERM;
	return -1;
}

/* Removes name from dir with all that is in it; never crosses into another file system. */
int beneath_remove(int dir, dev_t dev, const char *name, const char *shown, atomic_bool *unpinned,
                   struct err *e)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0
		                       : err_sys(e, errno, "looking at '%s' in '%s'", name, shown);
	if (!S_ISDIR(st.st_mode)) {
		if (unlink_any(dir, name, 0, unpinned) < 0)
			return err_sys(e, errno, "removing '%s' from '%s'", name, shown);
		return 0;
	}
	if (st.st_dev != dev)
		return err_set(
			e, ERR_BUSY,
			"'%s' in '%s' is where another file system is mounted; unmount it first",
			name, shown);
	auto_close int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES) {
		/* Ours, but without the right to look into it. */
		auto_close int held = openat(dir, name,
		                             O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (held >= 0 && beneath_chmod(held, 0700) == 0)
			fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		return err_sys(e, errno, "opening '%s' in '%s'", name, shown);
	if (geteuid() != 0 && (st.st_mode & S_IRWXU) != S_IRWXU)
		(void)fchmod(fd, (st.st_mode & 07777) | S_IRWXU);
	if (empty_dir(steal_fd(&fd), dev, shown, unpinned, e) < 0)
		return -1;
	if (unlink_any(dir, name, AT_REMOVEDIR, unpinned) < 0)
		return err_sys(e, errno, "removing the directory '%s' from '%s'", name, shown);
	return 0;
}

int beneath_force(int root, const char *path, struct beneath_opened *up, size_t max, size_t *ret_n)
{
	auto_close int held = -1;
	int at = root;

	while (*path) {
		char name[NAME_MAX + 1];
		size_t n = strcspn(path, "/");
		struct stat st;

		if (n > NAME_MAX || *ret_n == max) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(name, path, n);
		name[n] = '\0';
		path += n + (path[n] == '/');
		auto_close int next = openat(at, name,
		                             O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0 || fstat(next, &st) < 0)
			return -1;
		if (!(st.st_mode & S_IXUSR)) {
			int keep = fcntl(next, F_DUPFD_CLOEXEC, 0);

			if (keep < 0)
				return -1;
			up[(*ret_n)++] = (struct beneath_opened){ .fd = keep,
				                                  .mode = st.st_mode & 07777 };
			if (beneath_chmod(keep, (st.st_mode & 07777) | S_IRWXU) < 0)
				return -1;
		}
		clean_close(&held);
		held = steal_fd(&next);
		at = held;
	}
	return steal_fd(&held);
}

void beneath_shut(struct beneath_opened *up, size_t n)
{
	while (n > 0) {
		n--;
		(void)beneath_chmod(up[n].fd, up[n].mode);
		(void)close(up[n].fd);
	}
}
