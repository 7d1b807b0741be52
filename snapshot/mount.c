/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of mountinfo, and questions about them. The text is cut and unescaped in place. */
#include "snapshot/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "common/fd.h"
#include "common/num.h"

/* ---- the text ---- */

/* Cuts the next field, which ends at a blank or at the end, off *at. NULL: there is none. */
static char *field(char **at)
{
	char *f = *at;

	if (!f)
		return NULL;
	*at = strchr(f, ' ');
	if (*at)
		*(*at)++ = '\0';
	return f;
}

static int octal(const char *p)
{
	int v = 0;

	for (int i = 0; i < 3; i++) {
		if (p[i] < '0' || p[i] > '7')
			return -1;
		v = v * 8 + (p[i] - '0');
	}
	return v;
}

/* Turns \040 and the like back. false: a backslash that is none of these, or a NUL. */
static bool unescape(char *s)
{
	char *to = s;

	for (const char *from = s; *from; from++) {
		int v = (uint8_t)*from;

		if (*from == '\\') {
			v = octal(from + 1);
			if (v < 1 || v > 255)
				return false;
			from += 3;
		}
		*to++ = (char)v;
	}
	*to = '\0';
	return true;
}

static bool number(const char *text, uint64_t max, uint64_t *ret)
{
	struct err ignored = ERR_INIT;

	return text && num_u64("a number", text, 0, max, ret, &ignored) == 0;
}

static bool parse_dev(char *text, dev_t *ret)
{
	uint64_t high, low;
	char *colon = text ? strchr(text, ':') : NULL;

	if (!colon)
		return false;
	*colon = '\0';
	if (!number(text, UINT32_MAX, &high) || !number(colon + 1, UINT32_MAX, &low))
		return false;
	*ret = makedev((unsigned)high, (unsigned)low);
	return true;
}

/* 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue */
static bool parse_line(char *line, struct mount *ret)
{
	char *at = line, *f;
	struct mount m = { 0 };

	f = field(&at);
	if (!number(f, UINT64_MAX, &m.id))
		return false;
	f = field(&at);
	if (!number(f, UINT64_MAX, &m.parent) || !parse_dev(field(&at), &m.dev))
		return false;
	char *root = field(&at), *point = field(&at), *options = field(&at);
	do
		f = field(&at); /* any number of optional fields */
	while (f && strcmp(f, "-") != 0);
	char *type = field(&at), *source = field(&at);
	if (!f || !root || !point || !options || !type || !*type || !source)
		return false;
	if (!unescape(root) || !unescape(point) || !unescape(type) || !unescape(source))
		return false;
	m.root = root;
	m.point = point;
	m.type = type;
	m.source = source;
	*ret = m;
	return *point == '/' && *root;
}

static size_t count_lines(const char *p, size_t n)
{
	size_t lines = n > 0 && p[n - 1] != '\n';

	for (const char *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
		lines++;
	return lines;
}

int mount_parse(const void *text, size_t n, struct mount_table *ret, struct err *e)
{
	if (n > MOUNT_TEXT_MAX)
		return err_set(e, ERR_TOO_BIG, "a list of mounts of %zu bytes is too long", n);
	if (n > 0 && memchr(text, '\0', n))
		return err_set(e, ERR_FORMAT, "a list of mounts has bytes that are no text");
	size_t lines = n > 0 ? count_lines(text, n) : 0;
	CLEANUP(mount_clear)
	struct mount_table t = { .text = malloc(n + 1), .v = calloc(lines + 1, sizeof(*t.v)) };
	if (!t.text || !t.v)
		return err_set(e, ERR_NOMEM, "no memory for %zu mounts", lines);
	if (n > 0)
		memcpy(t.text, text, n);
	t.text[n] = '\0';
	char *rest = t.text;
	for (; t.n < lines; t.n++) {
		char *line = strsep(&rest, "\n");

		if (!parse_line(line, &t.v[t.n]))
			return err_set(e, ERR_FORMAT,
			               "line %zu of the list of mounts is not understood", t.n + 1);
	}
	*ret = t;
	t = (struct mount_table){ 0 };
	return 0;
}

int mount_read(struct mount_table *ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MOUNT_TEXT_MAX);

	if (fd_read_file(AT_FDCWD, "/proc/self/mountinfo", &b, e) < 0 ||
	    mount_parse(b.data, b.len, ret, e) < 0)
		return err_wrap(e, "reading the list of mounts '/proc/self/mountinfo'");
	return 0;
}

void mount_clear(struct mount_table *t)
{
	free(t->v);
	free(t->text);
	*t = (struct mount_table){ 0 };
}

/* ---- questions about it ---- */

const struct mount *mount_by_id(const struct mount_table *t, uint64_t id)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].id == id)
			return &t->v[i];
	return NULL;
}

const struct mount *mount_of_dev(const struct mount_table *t, dev_t dev, const struct mount *after)
{
	for (size_t i = after ? (size_t)(after - t->v) + 1 : 0; i < t->n; i++)
		if (t->v[i].dev == dev)
			return &t->v[i];
	return NULL;
}

const struct mount *mount_first(const struct mount_table *t, dev_t dev)
{
	const struct mount *best = NULL;
	int best_worth = -1;

	for (const struct mount *m = NULL; (m = mount_of_dev(t, dev, m));) {
		int worth = (mount_is_part(m) ? 0 : 2) + (mount_is_hidden(t, m) ? 0 : 1);

		if (worth > best_worth) {
			best = m;
			best_worth = worth;
		}
	}
	return best;
}

bool mount_is_part(const struct mount *m)
{
	return strcmp(m->root, "/") != 0;
}

/* True when path is dir or below it. */
static bool is_at_or_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (n > 0 && dir[n - 1] == '/')
		n--; /* "/" alone */
	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Something was mounted on m's own root. */
static bool is_stacked_on(const struct mount_table *t, const struct mount *m)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].parent == m->id && t->v[i].id != m->id &&
		    strcmp(t->v[i].point, m->point) == 0)
			return true;
	return false;
}

/* Something was mounted on the way from the root of m's parent to m: on that root itself, too. */
static bool is_covered(const struct mount_table *t, const struct mount *m)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct mount *o = &t->v[i];

		/* a root may be its own parent, and is no sibling of what is mounted on it */
		if (o->id == m->id || o->id == m->parent)
			continue;
		if (o->parent == m->parent && is_at_or_below(m->point, o->point))
			return true;
	}
	return false;
}

bool mount_is_hidden(const struct mount_table *t, const struct mount *m)
{
	if (is_stacked_on(t, m))
		return true;
	/* a circle of parents, which the kernel does not make, ends too */
	for (size_t depth = 0; m && depth <= t->n; depth++) {
		const struct mount *parent = mount_by_id(t, m->parent);

		if (is_covered(t, m))
			return true;
		if (parent == m)
			break;
		m = parent;
	}
	return false;
}

/* ---- descriptors ---- */

/* From /proc/self/fdinfo, for kernels before 5.8. */
static int fdinfo_id(int fd, uint64_t *ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * KIB);
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (fd_read_file(AT_FDCWD, path, &b, e) < 0)
		return -1;
	(void)buf_u8(&b, '\0');
	if (buf_check(&b, path, e) < 0)
		return -1;
	char *at = strstr((char *)b.data, "mnt_id:\t");
	if (at) {
		at += strlen("mnt_id:\t");
		at[strcspn(at, "\n")] = '\0';
	}
	if (!number(at, UINT64_MAX, ret))
		return err_set(e, ERR_UNSUPPORTED, "this kernel does not tell mounts by number");
	return 0;
}

int mount_id(int fd, uint64_t *ret, struct err *e)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) == 0 && stx.stx_mask & STATX_MNT_ID) {
		*ret = stx.stx_mnt_id;
		return 0;
	}
	return fdinfo_id(fd, ret, e);
}

/* Whether fd is of the root of its mount m. */
static bool is_point(int fd, const struct mount *m)
{
	struct statx stx;
	struct stat st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_INO, &stx) < 0)
		return false;
	if (stx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)
		return stx.stx_attributes & STATX_ATTR_MOUNT_ROOT;
	/* a kernel before 5.8: the same thing as at the mount point, if that is still it */
	return stat(m->point, &st) == 0 && st.st_ino == stx.stx_ino &&
	       st.st_dev == makedev(stx.stx_dev_major, stx.stx_dev_minor);
}

int mount_find(const struct mount_table *t, int fd, const char *path, struct mount_place *ret,
               struct err *e)
{
	uint64_t id;

	if (mount_id(fd, &id, e) < 0)
		return err_wrap(e, "finding the mount of '%s'", path);
	const struct mount *m = mount_by_id(t, id);
	if (!m)
		return err_set(e, ERR_NOT_FOUND,
		               "'%s' is on a mount that cannot be seen from here: it was "
		               "unmounted, or belongs to another mount namespace",
		               path);
	*ret = (struct mount_place){
		.mount = m,
		.is_point = is_point(fd, m),
		.is_part = mount_is_part(m),
		.is_hidden = mount_is_hidden(t, m),
	};
	return 0;
}

int mount_require(const char *path, struct err *e)
{
	auto_mounts struct mount_table t = { 0 };
	struct mount_place place;

	auto_close int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "opening '%s', which must be a mount point", path);
	if (mount_read(&t, e) < 0 || mount_find(&t, fd, path, &place, e) < 0)
		return -1;
	if (place.is_point)
		return 0;
	return err_set(e, ERR_NOT_FOUND,
	               "'%s' is no mount point but a part of what is mounted at '%.160s' (%.40s, "
	               "'%.80s'): its volume is not mounted; mount it, or do not ask for a mount",
	               path, place.mount->point, place.mount->type, place.mount->source);
}

/* ---- file systems ---- */

/* The uuid of a btrfs; 0, or -1 with errno. An O_PATH descriptor is opened once more. */
static int btrfs_uuid(int fd, uint8_t *ret)
{
	struct btrfs_ioctl_fs_info_args info = { 0 };
	char path[64];

	int rc = ioctl(fd, BTRFS_IOC_FS_INFO, &info);
	if (rc < 0 && errno == EBADF) {
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		auto_close int again = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (again < 0)
			return -1;
		rc = ioctl(again, BTRFS_IOC_FS_INFO, &info);
	}
	if (rc == 0)
		memcpy(ret, info.fsid, sizeof(info.fsid));
	return rc;
}

int mount_fs_of(const struct mount_table *t, int fd, struct mount_fs *ret, struct err *e)
{
	struct mount_fs fs = { 0 };
	struct statfs sfs;
	struct stat st;
	uint64_t id;

	if (fstat(fd, &st) < 0 || fstatfs(fd, &sfs) < 0)
		return err_sys(e, errno, "looking at a file system");
	fs.st_dev = st.st_dev;
	if (t) {
		if (mount_id(fd, &id, e) < 0)
			return -1;
		const struct mount *m = mount_by_id(t, id);
		fs.dev = m ? m->dev : 0;
	}
	if ((unsigned long)sfs.f_type == BTRFS_SUPER_MAGIC) {
		if (btrfs_uuid(fd, fs.uuid) < 0)
			return err_sys(e, errno, "looking at a btrfs");
		fs.has_uuid = true;
	}
	*ret = fs;
	return 0;
}

bool mount_fs_equal(const struct mount_fs *a, const struct mount_fs *b)
{
	if (a->dev != 0 && b->dev != 0)
		return a->dev == b->dev;
	if (a->has_uuid && b->has_uuid)
		return memcmp(a->uuid, b->uuid, sizeof(a->uuid)) == 0;
	return a->st_dev == b->st_dev;
}

int mount_same_fs(int a, int b, bool *ret_same, struct err *e)
{
	auto_mounts struct mount_table t = { 0 };
	struct mount_fs fa, fb;

	if (mount_read(&t, e) < 0 || mount_fs_of(&t, a, &fa, e) < 0 ||
	    mount_fs_of(&t, b, &fb, e) < 0)
		return -1;
	*ret_same = mount_fs_equal(&fa, &fb);
	return 0;
}
