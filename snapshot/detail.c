/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes are asked for with buffers on the stack that fit nearly all
 * files; only large lists and values take memory. An attribute that goes away
 * between listing and reading is left out, as it would be a moment later.
 */
#include "snapshot/detail.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#define LIST_TRY 1024  /* bytes of names on the stack */
#define VALUE_TRY 1024 /* bytes of a value on the stack */
#define NAMES_TRY 32   /* names on the stack */

struct subject {
	int fd;
	const char *path;
	const char *name;
};

static ssize_t sys_list(const struct subject *s, char *p, size_t n)
{
	return s->fd >= 0 ? flistxattr(s->fd, p, n) : listxattr(s->path, p, n);
}

static ssize_t sys_get(const struct subject *s, const char *attr, void *p, size_t n)
{
	return s->fd >= 0 ? fgetxattr(s->fd, attr, p, n) : getxattr(s->path, attr, p, n);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Appends one attribute to b. */
static int put_one(const struct subject *s, const char *attr, struct buf *b, struct err *e)
{
	char small[VALUE_TRY];
	auto_free char *large = NULL;
	char *p = small;

	ssize_t n = sys_get(s, attr, small, sizeof(small));
	if (n < 0 && errno == ERANGE) {
		large = malloc(XATTR_SIZE_MAX);
		if (!large)
			return err_set(e, ERR_NOMEM, "no memory for an attribute of '%s'", s->name);
		p = large;
		n = sys_get(s, attr, large, XATTR_SIZE_MAX);
	}
	if (n < 0 && (errno == ENODATA || errno == EOPNOTSUPP))
		return 0;
	if (n < 0)
		return err_sys(e, errno, "reading attribute '%s' of '%s'", attr, s->name);
	(void)source_xattr_put(b, attr, p, (size_t)n); /* a failure sticks, and is told below */
	return 0;
}

static int put_all(const struct subject *s, const char *list, size_t len, struct buf *b,
                   struct err *e)
{
	const char *few[NAMES_TRY];
	auto_free const char **many = NULL;
	const char **names = few;
	size_t n = 0, at = 0;

	for (const char *p = list; p < list + len; p += strlen(p) + 1)
		n++;
	if (n > NAMES_TRY) {
		many = reallocarray(NULL, n, sizeof(*many));
		if (!many)
			return err_set(e, ERR_NOMEM, "no memory for %zu attributes of '%s'", n,
			               s->name);
		names = many;
	}
	for (const char *p = list; p < list + len; p += strlen(p) + 1)
		names[at++] = p;
	if (n > 1)
		qsort(names, n, sizeof(*names), by_bytes);
	for (size_t i = 0; i < n; i++)
		if (put_one(s, names[i], b, e) < 0)
			return -1;
	if (buf_check(b, "the list of attributes", e) < 0)
		return err_wrap(e, "reading '%s'", s->name);
	return 0;
}

int detail_xattrs(int fd, const char *path, const char *name, struct entry_detail *ret,
                  struct err *e)
{
	const struct subject s = { .fd = fd, .path = path, .name = name };
	char small[LIST_TRY];
	auto_free char *large = NULL;
	char *list = small;

	ssize_t n = sys_list(&s, small, sizeof(small));
	if (n < 0 && errno == ERANGE) {
		large = malloc(XATTR_LIST_MAX);
		if (!large)
			return err_set(e, ERR_NOMEM, "no memory for the attributes of '%s'", name);
		list = large;
		n = sys_list(&s, large, XATTR_LIST_MAX);
	}
	if (n == 0 || (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)))
		return 0;
	if (n < 0)
		return err_sys(e, errno, "listing the attributes of '%s'", name);

	CLEANUP(buf_clear) struct buf b = BUF_INIT(SOURCE_XATTRS_MAX);
	if (put_all(&s, list, (size_t)n, &b, e) < 0)
		return -1;
	ret->xattrs = buf_steal(&b, &ret->xattrs_len);
	return 0;
}

static bool plain_has(struct detail_plain *p, uint64_t dev)
{
	for (unsigned i = 0; i < DETAIL_PLAIN; i++)
		if (atomic_load_explicit(&p->dev[i], memory_order_relaxed) == dev)
			return true;
	return false;
}

static void plain_add(struct detail_plain *p, uint64_t dev)
{
	for (unsigned i = 0; i < DETAIL_PLAIN; i++) {
		uint64_t none = 0;

		if (atomic_compare_exchange_strong(&p->dev[i], &none, dev) || none == dev)
			return;
	}
}

/* The answers of file systems, and of layers above them, that have no such call. */
static bool is_unknown_call(int os)
{
	return os == ENOTTY || os == EOPNOTSUPP || os == ENOSYS;
}

/* An overlay answers for the layer that the file is on, so one answer says nothing of others. */
static bool is_overlay(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) < 0 || fs.f_type == OVERLAYFS_SUPER_MAGIC;
}

int detail_flags(struct detail_plain *plain, uint64_t dev, int fd, const char *name,
                 struct entry_detail *ret, struct err *e)
{
	struct fsxattr x;
	unsigned int flags = 0; /* the kernel writes 32 bits, whatever the call's number says */

	if (plain_has(plain, dev))
		return 0;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0) {
		if (errno == EINVAL)
			return 0;
		if (!is_unknown_call(errno))
			return err_sys(e, errno, "reading the flags of '%s'", name);
		if (!is_overlay(fd))
			plain_add(plain, dev);
		return 0;
	}
	ret->fsflags = flags & DETAIL_FSFLAGS;
	if (ioctl(fd, FS_IOC_FSGETXATTR, &x) == 0)
		ret->projid = x.fsx_projid;
	else if (!is_unknown_call(errno) && errno != EINVAL)
		return err_sys(e, errno, "reading the project id of '%s'", name);
	return 0;
}

int detail_link(int at, const char *base, const char *name, struct entry_detail *ret, struct err *e)
{
	char target[PATH_MAX];

	ssize_t n = readlinkat(at, base, target, sizeof(target));
	if (n < 0)
		return err_sys(e, errno == EINVAL ? ENOENT : errno, "reading the link '%s'", name);
	if ((size_t)n == sizeof(target))
		return err_set(e, ERR_TOO_BIG, "the target of the link '%s' is over %d bytes", name,
		               PATH_MAX - 1);
	ret->link = malloc(n > 0 ? (size_t)n : 1);
	if (!ret->link)
		return err_set(e, ERR_NOMEM, "no memory for the target of '%s'", name);
	memcpy(ret->link, target, (size_t)n);
	ret->link_len = (size_t)n;
	return 0;
}
