/* SPDX-License-Identifier: Apache-2.0 */
/* Notes of freezes. Opening a directory of a frozen file system for reading does not wait. */
#include "freezer/note.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/num.h"

int note_boot(char *ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(NOTE_BOOT_MAX);

	if (fd_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &b, e) < 0)
		return -1;
	while (b.len > 0 && b.data[b.len - 1] == '\n')
		b.len--;
	if (b.len == 0)
		return err_set(e, ERR_UNSUPPORTED, "the kernel tells no id of its boot");
	memcpy(ret, b.data, b.len);
	ret[b.len] = '\0';
	return 0;
}

void note_put(struct buf *b, const struct note *n)
{
	char hex[2 * sizeof(n->fs[0].uuid) + 1];

	(void)buf_printf(b, "%s\n", n->boot);
	for (size_t i = 0; i < n->n; i++) {
		const struct mount_fs *fs = &n->fs[i];

		hex_encode(hex, fs->uuid, sizeof(fs->uuid));
		(void)buf_printf(b, "%u:%u %u:%u %s\n", major(fs->st_dev), minor(fs->st_dev),
		                 major(fs->dev), minor(fs->dev), fs->has_uuid ? hex : "-");
	}
}

static int bad(struct err *e)
{
	return err_set(e, ERR_FORMAT, "the note of a freeze is not understood");
}

/* Copies up to a byte `end`, which is there, and goes on after it. */
static bool word(const char **at, char end, char *to, size_t max)
{
	const char *stop = strchr(*at, end);

	if (!stop || stop == *at || (size_t)(stop - *at) > max)
		return false;
	size_t n = (size_t)(stop - *at);
	memcpy(to, *at, n);
	to[n] = '\0';
	*at = stop + 1;
	return true;
}

static bool device(const char **at, dev_t *ret)
{
	char high[11], low[11];
	uint64_t hi, lo;
	struct err ignored = ERR_INIT;

	if (!word(at, ':', high, sizeof(high) - 1) || !word(at, ' ', low, sizeof(low) - 1) ||
	    num_u64("a device", high, 0, UINT32_MAX, &hi, &ignored) < 0 ||
	    num_u64("a device", low, 0, UINT32_MAX, &lo, &ignored) < 0)
		return false;
	*ret = makedev((unsigned)hi, (unsigned)lo);
	return true;
}

static bool line(const char **at, struct mount_fs *ret)
{
	char uuid[2 * sizeof(ret->uuid) + 1];

	*ret = (struct mount_fs){ 0 };
	if (!device(at, &ret->st_dev) || !device(at, &ret->dev) ||
	    !word(at, '\n', uuid, sizeof(uuid) - 1))
		return false;
	ret->has_uuid = strcmp(uuid, "-") != 0;
	return !ret->has_uuid || hex_decode(ret->uuid, sizeof(ret->uuid), uuid) == 0;
}

int note_parse(const char *text, struct note *ret, struct err *e)
{
	struct note n = { 0 };
	const char *at = text;

	if (!word(&at, '\n', n.boot, NOTE_BOOT_MAX))
		return bad(e);
	for (; *at; n.n++)
		if (n.n == FREEZER_FDS_MAX || !line(&at, &n.fs[n.n]))
			return bad(e);
	*ret = n;
	return 0;
}

/* The device as people know it. */
static const char *name_of(const struct mount_fs *fs, char *to, size_t max)
{
	dev_t dev = fs->dev ? fs->dev : fs->st_dev;

	(void)snprintf(to, max, "%u:%u", major(dev), minor(dev));
	return to;
}

/* May it be the file system of m? Whether it is, the descriptor tells. */
static bool may_be(const struct mount_fs *fs, const struct mount *m)
{
	if (fs->dev != 0)
		return m->dev == fs->dev;
	return fs->has_uuid ? strcmp(m->type, "btrfs") == 0 : m->dev == fs->st_dev;
}

/* A descriptor of the file system; -1: not by this mount, which another one may hide. */
static int open_mount(const struct mount_table *t, const struct mount *m, const struct mount_fs *fs)
{
	const int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	struct err ignored = ERR_INIT;
	struct mount_fs found;

	auto_close int fd = open(m->point, flags | O_NOATIME);
	if (fd < 0 && errno == EPERM)
		fd = open(m->point, flags);
	if (fd < 0 || mount_fs_of(t, fd, &found, &ignored) < 0 || !mount_fs_equal(&found, fs))
		return -1;
	return steal_fd(&fd);
}

static int thaw(const struct mount_table *t, const struct mount_fs *fs, struct note_thawed *did,
                struct err *e)
{
	char name[32];

	for (size_t i = 0; i < t->n; i++) {
		auto_close int fd = may_be(fs, &t->v[i]) ? open_mount(t, &t->v[i], fs) : -1;

		if (fd < 0)
			continue;
		if (ioctl(fd, FITHAW, 0) == 0) {
			if (did->n < ARRAY_LEN(did->points))
				(void)snprintf(did->points[did->n], sizeof(did->points[0]), "%s",
				               t->v[i].point);
			did->n++;
			return 0;
		}
		if (errno == EINVAL) /* it was not frozen */
			return 0;
		return err_sys(e, errno, "thawing the file system at '%s'", t->v[i].point);
	}
	return err_set(e, ERR_NOT_FOUND,
	               "the file system %s, which an earlier freezer may have left frozen, is not "
	               "mounted here; if writing to it hangs, run fsfreeze --unfreeze on its mount "
	               "point",
	               name_of(fs, name, sizeof(name)));
}

int note_thaw(void *arg, const char *driver, const char *text, struct err *e)
{
	auto_mounts struct mount_table t = { 0 };
	char boot[NOTE_BOOT_MAX + 1];
	struct note n;
	int rc = 0;

	if (strcmp(driver, NOTE_DRIVER) != 0)
		return err_set(e, ERR_FORMAT, "a note of '%.32s' is not the freezer's", driver);
	if (note_parse(text, &n, e) < 0 || note_boot(boot, e) < 0)
		return -1;
	if (strcmp(n.boot, boot) != 0)
		return 0;
	if (mount_read(&t, e) < 0)
		return -1;
	/* One that fails must not keep the others frozen. */
	for (size_t i = 0; i < n.n; i++) {
		struct err one = ERR_INIT;

		if (thaw(&t, &n.fs[i], arg, &one) == 0)
			continue;
		*e = one;
		rc = -1;
	}
	return rc;
}
