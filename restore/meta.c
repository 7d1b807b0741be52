/* SPDX-License-Identifier: Apache-2.0 */
/* See meta.h. Each step looks first whether there is anything to do: most files need times only. */
#include "restore/meta.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#include "snapshot/detail.h"

#define EARLY_FLAGS ((uint32_t)(FS_NOCOW_FL | FS_COMPR_FL | FS_NOCOMP_FL))
/* A directory that hands its project down refuses links to files of other projects. */
#define HINDRANCES (META_PINS | (uint32_t)FS_PROJINHERIT_FL)
#define ACL_ACCESS "system.posix_acl_access"

_Static_assert(META_PINS == (FS_IMMUTABLE_FL | FS_APPEND_FL), "pins");

void meta_init(struct meta *m, struct losses *losses, bool no_owner)
{
	m->losses = losses;
	m->no_owner = no_owner;
	m->root = geteuid() == 0;
	atomic_init(&m->no_chown, false);
}

static void lost(struct meta *m, enum loss_kind kind, const struct meta_subject *s, int os)
{
	loss_add(m->losses, kind, s->path, s->path_len, os);
}

/* A path that reaches what has only a name, for calls that take paths; /proc must be mounted. */
static const char *proc_path(const struct meta_subject *s, char *ret, size_t max)
{
	(void)snprintf(ret, max, "/proc/self/fd/%d/%s", s->dir, s->name);
	return ret;
}

#define PROC_PATH_MAX (NAME_MAX + 64)

/* ---- owner ---- */

static int set_owner(const struct meta_subject *s, uid_t uid, gid_t gid)
{
	return s->fd >= 0 ? fchown(s->fd, uid, gid)
	                  : fchownat(s->dir, s->name, uid, gid, AT_SYMLINK_NOFOLLOW);
}

/* Brings have to what r says, as far as the system allows. True when something changed. */
static bool apply_owner(struct meta *m, const struct meta_subject *s, const struct record *r,
                        struct meta_have *have)
{
	bool changed = false;
	int os = EPERM;

	if (m->no_owner || (r->st.uid == have->uid && r->st.gid == have->gid))
		return false;
	if (r->st.uid == have->uid || !atomic_load_explicit(&m->no_chown, memory_order_relaxed)) {
		if (set_owner(s, r->st.uid, r->st.gid) == 0) {
			have->uid = r->st.uid;
			have->gid = r->st.gid;
			return true;
		}
		os = errno;
		if (os == EPERM && r->st.uid != have->uid)
			atomic_store_explicit(&m->no_chown, true, memory_order_relaxed);
	}
	/* A group that the user belongs to can be set nevertheless. */
	if (r->st.gid != have->gid && r->st.uid != have->uid &&
	    set_owner(s, (uid_t)-1, r->st.gid) == 0) {
		have->gid = r->st.gid;
		changed = true;
	}
	lost(m, LOSS_OWNER, s, os);
	return changed;
}

/* ---- mode ---- */

static int set_mode(const struct meta_subject *s, mode_t mode)
{
	char path[PROC_PATH_MAX];

	if (s->fd >= 0)
		return fchmod(s->fd, mode);
	/* No call takes a name that must not be followed: an O_PATH descriptor holds the entry. */
	auto_close int fd = openat(s->dir, s->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, mode);
}

static void apply_mode(struct meta *m, const struct meta_subject *s, const struct record *r,
                       const struct meta_have *have, bool again)
{
	mode_t want = r->st.mode & 07777;

	if (S_ISLNK(r->st.mode))
		return;
	if (have->uid != r->st.uid)
		want &= (mode_t)~S_ISUID;
	if (have->gid != r->st.gid && !S_ISDIR(r->st.mode))
		want &= (mode_t)~S_ISGID;
	/* What was written to a file that was there may have taken these away. */
	if (!have->fresh && want & (S_ISUID | S_ISGID))
		again = true;
	if ((again || want != have->mode) && set_mode(s, want) < 0)
		lost(m, LOSS_MODE, s, errno);
}

/* ---- attributes ---- */

static int set_xattr(const struct meta_subject *s, const char *name, const void *value, size_t n)
{
	char path[PROC_PATH_MAX];

	if (s->fd >= 0)
		return fsetxattr(s->fd, name, value, n, 0);
	return lsetxattr(proc_path(s, path, sizeof(path)), name, value, n, 0);
}

static ssize_t get_xattr(const struct meta_subject *s, const char *name, void *value, size_t n)
{
	char path[PROC_PATH_MAX];

	if (s->fd >= 0)
		return fgetxattr(s->fd, name, value, n);
	return lgetxattr(proc_path(s, path, sizeof(path)), name, value, n);
}

static int remove_xattr(const struct meta_subject *s, const char *name)
{
	char path[PROC_PATH_MAX];

	if (s->fd >= 0)
		return fremovexattr(s->fd, name);
	return lremovexattr(proc_path(s, path, sizeof(path)), name);
}

static ssize_t list_xattrs(const struct meta_subject *s, char *p, size_t n)
{
	char path[PROC_PATH_MAX];

	if (s->fd >= 0)
		return flistxattr(s->fd, p, n);
	return llistxattr(proc_path(s, path, sizeof(path)), p, n);
}

/* True when the record has an attribute of this name. */
static bool has_xattr(const struct record *r, const char *name)
{
	size_t pos = 0;
	const char *at;
	const uint8_t *value;
	size_t at_len;
	size_t value_len;
	bool bad;

	while (source_xattr_next(r->xattrs, r->xattrs_len, &pos, &at, &at_len, &value, &value_len,
	                         &bad)) {
		if (strlen(name) == at_len && memcmp(at, name, at_len) == 0)
			return true;
	}
	return false;
}

/* Labels that the system gives by its own rules are not ours to remove. */
static bool is_removable(const char *name)
{
	return strncmp(name, "user.", 5) == 0 || strncmp(name, "trusted.", 8) == 0 ||
	       strncmp(name, "system.posix_acl_", 17) == 0 ||
	       strcmp(name, "security.capability") == 0;
}

/* Removes what the record does not have. True when an ACL went, which changes the mode. */
static bool drop_xattrs(struct meta *m, const struct meta_subject *s, const struct record *r)
{
	bool acl = false;
	ssize_t n = list_xattrs(s, NULL, 0);

	if (n <= 0)
		return false;
	auto_free char *list = malloc((size_t)n);
	if (!list || (n = list_xattrs(s, list, (size_t)n)) < 0) {
		lost(m, LOSS_XATTR, s, list ? errno : ENOMEM);
		return false;
	}
	for (const char *name = list; name < list + n; name += strlen(name) + 1) {
		if (!is_removable(name) || has_xattr(r, name))
			continue;
		if (remove_xattr(s, name) < 0 && errno != ENODATA)
			lost(m, LOSS_XATTR, s, errno);
		else if (strcmp(name, ACL_ACCESS) == 0)
			acl = true;
	}
	return acl;
}

/* True when the attribute is there with this value. */
static bool same_xattr(const struct meta_subject *s, const char *name, const uint8_t *value,
                       size_t n)
{
	auto_free uint8_t *now = malloc(n + 1);

	if (!now)
		return false;
	ssize_t got = get_xattr(s, name, now, n + 1);
	return got >= 0 && (size_t)got == n && memcmp(now, value, n) == 0;
}

/* True when the mode may have changed with it. */
static bool apply_xattrs(struct meta *m, const struct meta_subject *s, const struct record *r,
                         const struct meta_have *have)
{
	bool acl = have->fresh ? false : drop_xattrs(m, s, r);
	bool opened = false;
	size_t pos = 0;
	const char *at;
	const uint8_t *value;
	size_t at_len;
	size_t value_len;
	bool bad;

	while (source_xattr_next(r->xattrs, r->xattrs_len, &pos, &at, &at_len, &value, &value_len,
	                         &bad)) {
		char name[XATTR_NAME_MAX + 1];

		if (at_len >= sizeof(name)) {
			lost(m, LOSS_XATTR, s, ENAMETOOLONG);
			continue;
		}
		memcpy(name, at, at_len);
		name[at_len] = '\0';
		if (!have->fresh && same_xattr(s, name, value, value_len))
			continue;
		/* Attributes of users need the right to write, whoever owns the file. */
		if (!opened && !m->root && !(have->mode & S_IWUSR) && !S_ISLNK(r->st.mode)) {
			opened = set_mode(s, have->mode | S_IWUSR) == 0;
			acl |= opened;
		}
		if (set_xattr(s, name, value, value_len) < 0)
			lost(m, LOSS_XATTR, s, errno);
		else if (strcmp(name, ACL_ACCESS) == 0)
			acl = true;
	}
	return acl;
}

/* ---- flags and project ---- */

/* Makes the flags under mask like want. 0, or -1 with errno. */
static int set_flags(int fd, uint32_t mask, uint32_t want)
{
	unsigned int now = 0; /* the kernel takes 32 bits, whatever the call's number says */

	if (ioctl(fd, FS_IOC_GETFLAGS, &now) < 0)
		return (want & mask) == 0 ? 0 : -1;
	unsigned int next = (now & ~mask) | (want & mask);
	if (next == now || ioctl(fd, FS_IOC_SETFLAGS, &next) == 0)
		return 0;
	/* One that is unknown here must not cost the others. */
	int os = errno;
	for (uint32_t bit = 1; bit; bit <<= 1) {
		if (!(mask & bit) || (now & bit) == (want & bit))
			continue;
		next = now ^ bit;
		if (ioctl(fd, FS_IOC_SETFLAGS, &next) == 0)
			now = next;
	}
	errno = os;
	return -1;
}

static void apply_flags(struct meta *m, const struct meta_subject *s, const struct record *r,
                        const struct meta_have *have)
{
	uint32_t mask = DETAIL_FSFLAGS & ~META_PINS;

	if (s->fd < 0 || (have->fresh && !(r->fsflags & mask)))
		return;
	if (set_flags(s->fd, mask, r->fsflags) < 0)
		lost(m, LOSS_FLAGS, s, errno);
}

static void apply_project(struct meta *m, const struct meta_subject *s, const struct record *r,
                          const struct meta_have *have)
{
	struct fsxattr x;

	if (s->fd < 0 || (have->fresh && r->projid == 0))
		return;
	if (ioctl(s->fd, FS_IOC_FSGETXATTR, &x) < 0) {
		if (r->projid)
			lost(m, LOSS_PROJECT, s, errno);
		return;
	}
	if (x.fsx_projid == r->projid)
		return;
	x.fsx_projid = r->projid;
	if (ioctl(s->fd, FS_IOC_FSSETXATTR, &x) < 0)
		lost(m, LOSS_PROJECT, s, errno);
}

void meta_early(int fd, const struct record *r)
{
	uint32_t early = r->fsflags & EARLY_FLAGS;

	/* A failure shows again in meta_apply(), which counts it. */
	if (early)
		(void)set_flags(fd, early, early);
}

/* ---- all ---- */

void meta_apply(struct meta *m, const struct meta_subject *s, const struct record *r,
                struct meta_have have)
{
	struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = (time_t)r->st.mtime.s, .tv_nsec = (long)r->st.mtime.ns },
	};
	bool again = apply_owner(m, s, r, &have) && (r->st.mode & (S_ISUID | S_ISGID));

	if (r->xattrs_len > 0 || !have.fresh)
		again |= apply_xattrs(m, s, r, &have);
	apply_mode(m, s, r, &have, again);
	if (S_ISREG(r->st.mode) || S_ISDIR(r->st.mode)) {
		apply_project(m, s, r, &have);
		apply_flags(m, s, r, &have);
	}
	int rc = s->fd >= 0 ? futimens(s->fd, times)
	                    : utimensat(s->dir, s->name, times, AT_SYMLINK_NOFOLLOW);
	if (rc < 0)
		lost(m, LOSS_TIMES, s, errno);
}

void meta_pin(struct meta *m, const struct meta_subject *s, const struct record *r)
{
	uint32_t pins = r->fsflags & META_PINS;

	if (pins && set_flags(s->fd, pins, pins) < 0)
		lost(m, LOSS_FLAGS, s, errno);
}

bool meta_unpin(int fd)
{
	unsigned int now = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &now) < 0 || !(now & HINDRANCES))
		return false;
	now &= ~HINDRANCES;
	return ioctl(fd, FS_IOC_SETFLAGS, &now) == 0;
}
