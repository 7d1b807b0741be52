/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read-only snapshots of a btrfs subvolume. The snapshot is made by the kernel in one transaction,
 * after it has written out what is dirty in the subvolume: all that was written before, by whatever
 * way, is in it, and nothing that was written later; applications see it as after a power cut.
 *
 * Within the volume there is for each view a directory `.aksdr-view-ID` that only root may enter,
 * with the snapshot `view` in it; whoever made it has a lock on the directory. One that nobody has
 * locked was left by a crash: the next backup of the volume removes it, as reconciling does by the
 * journal's note. The view of a point that was committed is renamed to `.aksdr-view-base-ID` and
 * stays until the next one is: as long as it is there, extents that it shares with a later view
 * have not changed (btrfs_diff.c), and what was overwritten since takes up space.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include "common/hex.h"
#include "common/now.h"
#include "common/num.h"
#include "common/secret.h"
#include "snapshot/btrfs_diff.h"
#include "snapshot/snapshot.h"

#define VIEW_PREFIX WALK_VIEW_PREFIX
#define BASE_PREFIX VIEW_PREFIX "base-"
#define VIEW_NAME "view"
#define ID_LEN 32 /* hex digits */
#define UUID_LEN 32
#define NAME_ROOM (sizeof(BASE_PREFIX) + ID_LEN)
#define TRIES 8
#define SUBVOLS_MAX 100000 /* nested ones that are looked at */

struct view {
	int root; /* the volume, open for reading */
	int dir;  /* our directory in it, locked; -1: not made */
	char id[ID_LEN + 1];
	char name[NAME_ROOM]; /* of dir */
	struct journal_note *note;
};

struct uuid_text {
	char s[UUID_LEN + 1];
};

static struct uuid_text uuid_text(const void *uuid)
{
	struct uuid_text t;

	hex_encode(t.s, uuid, UUID_LEN / 2);
	return t;
}

/* ---- directories of views ---- */

/* The identity in the name of a directory, with this prefix; NULL: it is none of ours. */
static const char *id_of(const char *name, const char *prefix)
{
	size_t n = strlen(prefix);

	if (strncmp(name, prefix, n) != 0 || strlen(name) != n + ID_LEN ||
	    strspn(name + n, "0123456789abcdef") != ID_LEN)
		return NULL;
	return name + n;
}

/* Opens a view's directory and locks it. -1 with errno; EWOULDBLOCK: somebody uses it. */
static int lock_dir(int root, const char *name, int how)
{
	auto_close int fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || flock(fd, how) < 0)
		return -1;
	return steal_fd(&fd);
}

/*
 * Removes the snapshot in the directory open at dir, if any, and the directory. Both may be
 * gone.
 */
static int remove_view(int root, int dir, const char *name, struct err *e)
{
	struct btrfs_ioctl_vol_args args = { .name = VIEW_NAME };

	if (dir >= 0 && ioctl(dir, BTRFS_IOC_SNAP_DESTROY, &args) < 0 && errno != ENOENT)
		return err_sys(e, errno, "deleting the snapshot '%s/" VIEW_NAME "'", name);
	if (unlinkat(root, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_sys(e, errno, "removing the directory '%s' of a snapshot", name);
	return 0;
}

/* Removes what has the prefix and is in nobody's use, but for the one named keep. */
static void sweep(int root, const char *prefix, const char *keep)
{
	struct err ignored = ERR_INIT;
	int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);

	if (!list) {
		clean_close(&fd);
		return;
	}
	for (struct dirent *d; (d = readdir(list));) {
		if (!id_of(d->d_name, prefix) || (keep && strcmp(d->d_name, keep) == 0))
			continue;
		auto_close int dir = lock_dir(root, d->d_name, LOCK_EX | LOCK_NB);
		if (dir >= 0)
			(void)!remove_view(root, dir, d->d_name, &ignored);
	}
	(void)closedir(list);
}

/* ---- can it be done ---- */

static int refuse(struct err *e, const char *why)
{
	(void)err_set(e, ERR_UNSUPPORTED, "it %s", why);
	return 0;
}

/* Anything that only the privileged may do to a btrfs, and that changes nothing. */
static bool has_privilege(int fd)
{
	struct btrfs_ioctl_search_args args = {
		.key = { .tree_id = BTRFS_ROOT_TREE_OBJECTID,
		         .max_objectid = UINT64_MAX,
		         .max_type = UINT32_MAX,
		         .max_offset = UINT64_MAX,
		         .max_transid = UINT64_MAX,
		         .nr_items = 1 },
	};

	return ioctl(fd, BTRFS_IOC_TREE_SEARCH, &args) == 0;
}

static int btrfs_supports(const struct snapshot_env *env, const char *path, struct err *e)
{
	struct statfs fs;
	struct statvfs vfs;
	struct stat st;
	uint64_t flags = 0;

	auto_close int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES ? refuse(e, "may not be read")
		                       : err_sys(e, errno, "opening '%s'", path);
	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0 || fstatvfs(fd, &vfs) < 0)
		return err_sys(e, errno, "looking at '%s'", path);
	if (fs.f_type != BTRFS_SUPER_MAGIC)
		return refuse(e, "is not on a btrfs");
	if (!S_ISDIR(st.st_mode) || st.st_ino != BTRFS_FIRST_FREE_OBJECTID)
		return refuse(e,
		              "is not the root of a btrfs subvolume; name the subvolume, or make "
		              "it one (btrfs subvolume create)");
	if (vfs.f_flag & ST_RDONLY)
		return refuse(e, "is mounted read-only, and no snapshot can be made in it");
	if (ioctl(fd, BTRFS_IOC_SUBVOL_GETFLAGS, &flags) == 0 && flags & BTRFS_SUBVOL_RDONLY)
		return refuse(e, "is a read-only subvolume, and no snapshot can be made in it; it "
		                 "does not change, so that it can be read live");
	if (!has_privilege(fd))
		return refuse(e,
		              "is a btrfs subvolume, but making and removing snapshots needs the "
		              "capability CAP_SYS_ADMIN");
	if (!env->journal)
		return refuse(e, "can have no snapshot without a journal");
	return 1;
}

/* ---- the steps ---- */

static struct view *view_new(struct snapshot *s)
{
	struct view *v = calloc(1, sizeof(*v));
	uint8_t random[ID_LEN / 2];

	if (!v)
		return NULL;
	v->root = v->dir = -1;
	secret_random(random, sizeof(random));
	hex_encode(v->id, random, sizeof(random));
	(void)snprintf(v->name, sizeof(v->name), VIEW_PREFIX "%s", v->id);
	s->priv = v;
	return v;
}

/*
 * Makes our directory. Another backup may take it for an old one before it is locked: once
 * more, then.
 */
static int make_dir(struct view *v, const char *origin, struct err *e)
{
	struct stat st, named;

	for (int i = 0; i < TRIES; i++) {
		if (mkdirat(v->root, v->name, 0700) < 0 && errno != EEXIST)
			return err_sys(e, errno, "making a directory for the snapshot in '%s'",
			               origin);
		clean_close(&v->dir);
		v->dir = lock_dir(v->root, v->name, LOCK_EX);
		if (v->dir < 0 && errno != ENOENT)
			return err_sys(e, errno, "locking '%s' in '%s'", v->name, origin);
		if (v->dir >= 0 && fstat(v->dir, &st) == 0 &&
		    fstatat(v->root, v->name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_ino == named.st_ino)
			return 0;
	}
	return err_set(e, ERR_BUSY, "another backup removes the snapshots of '%s'; try again",
	               origin);
}

static int btrfs_prepare(struct snapshot *s, struct err *e)
{
	auto_free char *text = NULL;
	struct view *v = view_new(s);

	if (!v)
		return err_set(e, ERR_NOMEM, "no memory for a snapshot of '%s'", s->origin);
	v->root = openat(s->origin_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v->root < 0)
		return err_sys(e, errno, "opening '%s'", s->origin);
	sweep(v->root, VIEW_PREFIX, NULL);
	if (asprintf(&text, "%s\n%s", v->id, s->origin) < 0) {
		text = NULL;
		return err_set(e, ERR_NOMEM, "no memory for a note in the journal");
	}
	v->note = journal_add(s->env->journal, snapshot_btrfs.name, text, e);
	if (!v->note)
		return -1;
	return make_dir(v, s->origin, e);
}

static int btrfs_capture(struct snapshot *s, struct err *e)
{
	struct view *v = s->priv;
	struct btrfs_ioctl_vol_args_v2 args = {
		.fd = v->root,
		.flags = BTRFS_SUBVOL_RDONLY,
		.name = VIEW_NAME,
	};

	s->freeze_ns = now_wall_ns();
	if (ioctl(v->dir, BTRFS_IOC_SNAP_CREATE_V2, &args) == 0)
		return 0;
	if (errno == ETXTBSY)
		return err_set(e, ERR_BUSY,
		               "a swap file in '%s' is in use, and btrfs takes no snapshot then; "
		               "move it into a subvolume of its own",
		               s->origin);
	return err_sys(e, errno, "making a snapshot of the subvolume '%s'", s->origin);
}

/* The path in the volume of a nested subvolume; "": it is not known. */
static void nested_path(int root, uint64_t dirid, uint64_t treeid, char *ret, size_t max)
{
	struct btrfs_ioctl_ino_lookup_user_args a = { .dirid = dirid, .treeid = treeid };

	ret[0] = '\0';
	if (ioctl(root, BTRFS_IOC_INO_LOOKUP_USER, &a) == 0)
		(void)snprintf(ret, max, "%s%s", a.path, a.name);
}

/* Notes the subvolumes in this one: in the view there are empty directories in their places. */
static void note_nested(struct snapshot *s, const struct view *v)
{
	auto_free struct btrfs_ioctl_get_subvol_rootref_args *a = malloc(sizeof(*a));
	uint64_t seen = 0;
	char path[BTRFS_INO_LOOKUP_USER_PATH_MAX + BTRFS_VOL_NAME_MAX + 2];

	if (!a)
		return;
	for (a->min_treeid = 0; seen < SUBVOLS_MAX;) {
		int rc = ioctl(v->root, BTRFS_IOC_GET_SUBVOL_ROOTREF, a);
		if (rc < 0 && errno != EOVERFLOW) {
			snapshot_note(s,
			              "whether subvolumes lie in '%s' cannot be told here (%s); "
			              "what is in them would not be in the backup",
			              s->origin, strerrordesc_np(errno));
			return;
		}
		for (unsigned i = 0; i < a->num_items; i++, seen++) {
			uint64_t tree = a->rootref[i].treeid;

			nested_path(v->root, a->rootref[i].dirid, tree, path, sizeof(path));
			if (strncmp(path, VIEW_PREFIX, strlen(VIEW_PREFIX)) == 0)
				continue;
			if (path[0])
				snapshot_note(s,
				              "the subvolume '%s' in it is not in the backup; back "
				              "it up as a volume of its own",
				              path);
			else
				snapshot_note(s,
				              "a subvolume in it, number %" PRIu64
				              ", is not in the backup; back it up as a volume of "
				              "its own",
				              tree);
		}
		if (rc == 0 || a->num_items == 0)
			return;
	}
}

static int btrfs_finish(struct snapshot *s, struct err *e)
{
	struct view *v = s->priv;
	struct btrfs_ioctl_get_subvol_info_args info;
	struct btrfs_ioctl_fs_info_args fs = { 0 };

	if (asprintf(&s->path, "%s/%s/" VIEW_NAME, s->origin, v->name) < 0) {
		s->path = NULL;
		return err_set(e, ERR_NOMEM, "no memory for the path of a snapshot");
	}
	s->fd = openat(v->dir, VIEW_NAME, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->fd < 0 && errno == ENOENT)
		return err_set(e, ERR_IO, "the snapshot '%s' was deleted before it could be read",
		               s->path);
	if (s->fd < 0)
		return err_sys(e, errno, "opening the snapshot '%s'", s->path);
	note_nested(s, v);
	auto_close int fd = openat(v->dir, VIEW_NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Without these no differences are known the next time. */
	if (fd < 0 || ioctl(fd, BTRFS_IOC_GET_SUBVOL_INFO, &info) < 0 ||
	    ioctl(fd, BTRFS_IOC_FS_INFO, &fs) < 0)
		return 0;
	(void)snprintf(s->token, sizeof(s->token), "btrfs:%s:%s:%s:%s:%" PRIu64,
	               uuid_text(fs.fsid).s, uuid_text(info.parent_uuid).s, v->id,
	               uuid_text(info.uuid).s, (uint64_t)info.ctransid);
	return 0;
}

/* The view becomes the base of the next one. */
static int keep(struct view *v, struct err *e)
{
	char name[NAME_ROOM];

	(void)snprintf(name, sizeof(name), BASE_PREFIX "%s", v->id);
	if (renameat(v->root, v->name, v->root, name) < 0)
		return err_sys(e, errno, "renaming '%s' to '%s'", v->name, name);
	sweep(v->root, BASE_PREFIX, name);
	return 0;
}

static int btrfs_release(struct snapshot *s, struct err *e)
{
	struct view *v = s->priv;
	int rc = 0;

	if (!v)
		return 0;
	if (s->committed && s->env->keep_no_base)
		sweep(v->root, BASE_PREFIX, NULL);
	if (s->committed && s->token[0] && !s->env->keep_no_base)
		rc = keep(v, e);
	else if (v->note)
		rc = remove_view(v->root, v->dir, v->name, e);
	if (rc == 0)
		rc = journal_done(v->note, e);
	else
		journal_leave(v->note);
	clean_close(&v->dir);
	clean_close(&v->root);
	free(v);
	return rc;
}

/* ---- a base ---- */

struct token {
	char fsid[UUID_LEN + 1], origin[UUID_LEN + 1], id[ID_LEN + 1], view[UUID_LEN + 1];
	uint64_t generation;
};

/* The next part of a token: exactly as many hex digits, then a ':'. */
static bool hex_part(const char **at, char ret[UUID_LEN + 1])
{
	size_t n = strspn(*at, "0123456789abcdef");

	if (n != UUID_LEN || (*at)[n] != ':')
		return false;
	memcpy(ret, *at, n);
	ret[n] = '\0';
	*at += n + 1;
	return true;
}

static bool parse_token(const char *text, struct token *ret)
{
	struct err ignored = ERR_INIT;
	const char *at = text + strlen("btrfs:");

	return strncmp(text, "btrfs:", strlen("btrfs:")) == 0 && hex_part(&at, ret->fsid) &&
	       hex_part(&at, ret->origin) && hex_part(&at, ret->id) && hex_part(&at, ret->view) &&
	       num_u64("generation", at, 0, UINT64_MAX, &ret->generation, &ignored) == 0;
}

/*
 * Whether the snapshot open at fd is what the token names, as it was. ctransid is the transaction
 * of the last change of a file; the generation moves too when the kernel removes orphans.
 */
static bool is_base(int fd, const struct token *t)
{
	struct btrfs_ioctl_get_subvol_info_args info;

	/* What is not below 0 is success: some kernels give 1. */
	return ioctl(fd, BTRFS_IOC_GET_SUBVOL_INFO, &info) >= 0 &&
	       info.flags & BTRFS_ROOT_SUBVOL_RDONLY && info.ctransid == t->generation &&
	       strcmp(uuid_text(info.uuid).s, t->view) == 0 &&
	       strcmp(uuid_text(info.parent_uuid).s, t->origin) == 0;
}

/* Differences to the view that a token names; *ret NULL: it is not known. */
static int find_base(const struct snapshot *s, const char *base, struct content_diff **ret,
                     struct err *e)
{
	const struct view *v = s->priv;
	struct token now, then;
	char name[NAME_ROOM];

	*ret = NULL;
	if (!base || !parse_token(s->token, &now) || !parse_token(base, &then) ||
	    strcmp(now.fsid, then.fsid) != 0 || strcmp(now.origin, then.origin) != 0)
		return 0;
	(void)snprintf(name, sizeof(name), BASE_PREFIX "%s", then.id);
	auto_close int lock = lock_dir(v->root, name, LOCK_SH | LOCK_NB);
	if (lock < 0)
		return 0;
	auto_close int fd = openat(lock, VIEW_NAME,
	                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || !is_base(fd, &then))
		return 0;
	*ret = btrfs_diff_new(steal_fd(&fd), steal_fd(&lock), e);
	return *ret ? 0 : -1;
}

static struct source *btrfs_source(const struct snapshot *s, const struct walk_params *params,
                                   const char *base, struct err *e)
{
	struct walk_params p = params ? *params : (struct walk_params){ 0 };

	if (find_base(s, base, &p.take_diff, e) < 0)
		return NULL;
	return walk_open(s->path, &p, e);
}

static int btrfs_clean(const char *text, struct err *e)
{
	char name[NAME_ROOM];
	char id[ID_LEN + 1];

	const char *path = strchr(text, '\n');
	if (!path || path - text != ID_LEN || strspn(text, "0123456789abcdef") != ID_LEN)
		return err_set(e, ERR_FORMAT, "a note of a btrfs snapshot names none");
	memcpy(id, text, ID_LEN);
	id[ID_LEN] = '\0';
	(void)snprintf(name, sizeof(name), VIEW_PREFIX "%s", id);
	/*
	 * A volume that is not there any more, or is mounted elsewhere: its next backup finds
	 * what is left of the view.
	 */
	auto_close int root = open(path + 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return errno == ENOENT || errno == ENOTDIR
		               ? 0
		               : err_sys(e, errno, "opening '%s'", path + 1);
	auto_close int dir = lock_dir(root, name, LOCK_EX | LOCK_NB);
	if (dir < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "locking '%s/%s'", path + 1, name);
	if (remove_view(root, dir, name, e) < 0)
		return err_wrap(e, "cleaning up in '%s'", path + 1);
	return 0;
}

const struct snapshot_ops snapshot_btrfs = {
	.name = "btrfs",
	.caps = SNAP_CAP_ATOMIC | SNAP_CAP_DIFF | SNAP_CAP_NEEDS_PRIVILEGE,
	.consistency = SNAP_CRASH,
	.supports = btrfs_supports,
	.prepare = btrfs_prepare,
	.capture = btrfs_capture,
	.finish = btrfs_finish,
	.release = btrfs_release,
	.source = btrfs_source,
	.clean = btrfs_clean,
};
