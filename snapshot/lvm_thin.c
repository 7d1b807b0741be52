/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of thin volumes of LVM. The volume is a logical volume's device, or the file system
 * on one. While the snapshot is made the device mapper suspends the volume and has the file
 * system on it frozen, so that the snapshot is a clean file system: ext4 has an empty journal
 * then, and XFS has everything in place and needs its log for orphans alone. It is mounted
 * without a replay, by a mount that has no place in the tree: it is gone with this process,
 * whatever becomes of it.
 *
 * A view is a read-only volume `aksdr-ID` beside the original with the tag `aksdr.view`, noted
 * in the journal before. The view of a device whose point was committed becomes the base of the
 * next one: it stays, not active, with the tag `aksdr.base` instead, in place of the one
 * before; what has that tag is never cleaned up. What differs from it is found by thin_delta. A
 * block of a thin pool that two snapshots share is written to by nobody, so where both have the
 * same block the bytes are the same, even if somebody wrote to the base.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/hex.h"
#include "common/now.h"
#include "common/num.h"
#include "common/secret.h"
#include "snapshot/block.h"
#include "snapshot/dm.h"
#include "snapshot/lvm_parse.h"
#include "snapshot/mount.h"
#include "snapshot/snapshot.h"
#include "snapshot/tool.h"

#define NAME_PREFIX "aksdr-"
#define ID_BYTES 8
#define TAG_VIEW "aksdr.view"
#define TAG_BASE "aksdr.base"
#define TAG_OF "aksdr.of." /* and the uuid of the original */
#define UUID_PREFIX "LVM-"
#define NOTE_VIEW "view "   /* VG NAME */
#define NOTE_DELTA "delta " /* uuid of the pool's device */

#define REPORT_MAX (8 * MIB)
#define LOOK_MS 60000
#define CHANGE_MS 120000
#define DELTA_MS 600000

#define METADATA_FULL 95 /* per cent used: no snapshot is made any more */

struct view {
	struct lvm_lv origin, lv; /* lv is known once it is made */
	dev_t dev, pool;          /* of the original and of its pool */
	char pool_uuid[DM_UUID_LEN];
	const char *fs; /* type of the file system; NULL: a device */
	char name[sizeof(NAME_PREFIX) + (size_t)2 * ID_BYTES];
	struct journal_note *note;
	bool made; /* or may have been */
};

/* ---- looking ---- */

static int refuse(struct err *e, const char *why)
{
	(void)err_set(e, ERR_UNSUPPORTED, "it %s", why);
	return 0;
}

/*
 * The uuid of a thin volume as LVM writes it, from that of its device. false: it is of no
 * volume.
 */
static bool lv_uuid(const char *dm, char ret[LVM_UUID_LEN + 1])
{
	static const char groups[] = { 6, 4, 4, 4, 4, 4, 6 };
	const char *at = dm + strlen(UUID_PREFIX) + 32;
	size_t n = 0;

	if (strlen(dm) != strlen(UUID_PREFIX) + 64 ||
	    strncmp(dm, UUID_PREFIX, strlen(UUID_PREFIX)) != 0)
		return false;
	for (size_t i = 0; i < sizeof(groups); i++) {
		memcpy(ret + n, at, (size_t)groups[i]);
		n += (size_t)groups[i];
		at += groups[i];
		ret[n++] = '-';
	}
	ret[n - 1] = '\0';
	return lvm_parse_is_uuid(ret);
}

/* The type of the file system that fd is the root of: "ext4" or "xfs"; NULL: none of these. */
static const char *whole_fs(int fd, const char *path)
{
	auto_mounts struct mount_table t = { 0 };
	struct err ignored = ERR_INIT;
	struct mount_place place;

	if (mount_read(&t, &ignored) < 0 || mount_find(&t, fd, path, &place, &ignored) < 0 ||
	    !place.is_point || place.is_part)
		return NULL;
	return strcmp(place.mount->type, "ext4") == 0  ? "ext4"
	       : strcmp(place.mount->type, "xfs") == 0 ? "xfs"
	                                               : NULL;
}

static bool is_mounted(dev_t dev)
{
	auto_mounts struct mount_table t = { 0 };
	struct err ignored = ERR_INIT;

	return mount_read(&t, &ignored) == 0 && mount_first(&t, dev);
}

static int lvm_supports(const struct snapshot_env *env, const char *path, struct err *e)
{
	struct dm_info info;
	struct err why = ERR_INIT;
	char dm[DM_UUID_LEN], uuid[LVM_UUID_LEN + 1];
	struct stat st;

	auto_close int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "looking at '%s'", path);
	if (!S_ISBLK(st.st_mode) && !S_ISDIR(st.st_mode))
		return refuse(e, "is neither a device nor a directory");
	dev_t dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	dm_uuid(dev, dm);
	if (!lv_uuid(dm, uuid))
		return refuse(e, "is not on a logical volume");
	if (dm_get(dev, NULL, DM_TABLE, &info, &why) < 0) {
		*e = why;
		(void)err_wrap(e, "'%s' is on a logical volume, but", path);
		return 0;
	}
	if (strcmp(info.type, "thin") != 0)
		return refuse(e, "is on a logical volume that is not thin");
	if (S_ISDIR(st.st_mode) && !whole_fs(fd, path))
		return refuse(e,
		              "is not the root of an ext4 or XFS that is mounted from its volume; "
		              "name the mount point");
	if (!tool_exists("lvs") || !tool_exists("lvcreate") || !tool_exists("lvremove") ||
	    !tool_exists("lvchange"))
		return refuse(e, "is on a thin volume, but the tools of LVM are missing (lvm2)");
	if (!env->journal)
		return refuse(e, "can have no snapshot without a journal");
	return 1;
}

/* ---- the tools ---- */

static int run(const char *const *argv, bool patient, struct err *e)
{
	const struct tool t = { .argv = argv, .timeout_ms = CHANGE_MS, .patient = patient };

	return tool_run(&t, e);
}

/* The volumes that a selection of lvs fits. The caller frees. */
static int list(const char *selection, struct lvm_lv **ret, size_t *ret_n, struct err *e)
{
	const char *argv[] = { "lvs",      "--reportformat", "json",      "--units",
		               "b",        "--nosuffix",     "--options", LVM_COLUMNS,
		               "--select", selection,        NULL };
	CLEANUP(buf_clear) struct buf out = BUF_INIT(REPORT_MAX);
	const struct tool t = {
		.argv = argv, .timeout_ms = LOOK_MS, .sink = tool_keep, .arg = &out
	};

	if (tool_run(&t, e) < 0 || lvm_parse_lvs(out.data, out.len, ret, ret_n, e) < 0)
		return err_wrap(e, "looking for logical volumes");
	return 0;
}

/* The one volume that an uuid names. 1 there is one, 0 there is none, -1 with e. */
static int find_lv(const char *uuid, struct lvm_lv *ret, struct err *e)
{
	char selection[64 + LVM_UUID_LEN];
	auto_free struct lvm_lv *v = NULL;
	size_t n;

	(void)snprintf(selection, sizeof(selection), "lv_uuid=\"%s\"", uuid);
	if (list(selection, &v, &n, e) < 0)
		return -1;
	if (n != 1)
		return 0;
	*ret = v[0];
	return 1;
}

static int remove_lv(const char *vg, const char *name, struct err *e)
{
	char target[2 * LVM_NAME_MAX + 2];
	const char *argv[] = { "lvremove", "--force", "--yes", "--autobackup",
		               "n",        "--quiet", target,  NULL };

	(void)snprintf(target, sizeof(target), "%s/%s", vg, name);
	return run(argv, true, e);
}

/* Removes a view, unless it has become a base. It need not be there. */
static int remove_view(const char *vg, const char *name, struct err *e)
{
	char selection[64 + 2 * LVM_NAME_MAX];
	auto_free struct lvm_lv *lv = NULL;
	size_t n;

	(void)snprintf(selection, sizeof(selection), "vg_name=\"%s\" && lv_name=\"%s\"", vg, name);
	if (list(selection, &lv, &n, e) < 0)
		return -1;
	if (n != 1 || lvm_parse_has_tag(&lv[0], TAG_BASE))
		return 0;
	if (remove_lv(vg, name, e) < 0)
		return err_wrap(e, "removing the snapshot '%s/%s'", vg, name);
	return 0;
}

/* ---- the steps ---- */

/* Whether the pool can take another snapshot. */
static int check_pool(const struct snapshot *s, const struct dm_info *pool, struct err *e)
{
	struct lvm_pool p;

	if (strcmp(pool->type, "thin-pool") != 0 || !lvm_parse_pool_status(pool->text, &p))
		return err_set(e, ERR_UNSUPPORTED,
		               "the thin pool '%.120s' of '%s' is in no state to "
		               "make snapshots",
		               pool->name, s->origin);
	if (!p.writable)
		return err_set(e, ERR_QUOTA,
		               "the thin pool '%.120s' of '%s' is full or read-only; extend it "
		               "(lvextend)",
		               pool->name, s->origin);
	/* both are below 2^34 blocks (16 GiB of metadata) */
	if (p.metadata_used * 100 > p.metadata_blocks * METADATA_FULL)
		return err_set(
			e, ERR_QUOTA,
			"the metadata of the thin pool '%.120s' of '%s' are %d per cent full, "
			"and a snapshot needs some; extend them (lvextend --poolmetadatasize)",
			pool->name, s->origin, METADATA_FULL);
	return 0;
}

static struct view *view_new(struct snapshot *s)
{
	struct view *v = calloc(1, sizeof(*v));
	uint8_t random[ID_BYTES];
	char id[2 * ID_BYTES + 1];

	if (!v)
		return NULL;
	secret_random(random, sizeof(random));
	hex_encode(id, random, sizeof(random));
	(void)snprintf(v->name, sizeof(v->name), NAME_PREFIX "%s", id);
	s->priv = v;
	return v;
}

/* Finds the original volume and its pool. */
static int find_origin(const struct snapshot *s, struct view *v, struct err *e)
{
	struct dm_info info;
	char dm[DM_UUID_LEN], uuid[LVM_UUID_LEN + 1];
	uint64_t id;
	struct stat st;

	if (fstat(s->origin_fd, &st) < 0)
		return err_sys(e, errno, "looking at '%s'", s->origin);
	v->dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	v->fs = S_ISBLK(st.st_mode) ? NULL : whole_fs(s->origin_fd, s->origin);
	dm_uuid(v->dev, dm);
	if (!lv_uuid(dm, uuid) || (S_ISDIR(st.st_mode) && !v->fs))
		return err_set(e, ERR_UNSUPPORTED, "'%s' is on a thin volume no longer", s->origin);
	if (dm_get(v->dev, NULL, DM_TABLE, &info, e) < 0)
		return err_wrap(e, "looking at the volume of '%s'", s->origin);
	if (!lvm_parse_thin_table(info.text, &v->pool, &id))
		return err_set(e, ERR_UNSUPPORTED,
		               "the table of the volume of '%s' is not known here", s->origin);
	if (dm_get(v->pool, NULL, DM_STATUS, &info, e) < 0)
		return err_wrap(e, "looking at the thin pool of '%s'", s->origin);
	(void)snprintf(v->pool_uuid, sizeof(v->pool_uuid), "%s", info.uuid);
	if (check_pool(s, &info, e) < 0)
		return -1;
	int rc = find_lv(uuid, &v->origin, e);
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND,
		               "LVM does not know the volume %s that '%s' is on; is it of another "
		               "system?",
		               uuid, s->origin);
	return rc < 0 ? -1 : 0;
}

static int lvm_prepare(struct snapshot *s, struct err *e)
{
	struct view *v = view_new(s);
	char text[sizeof(NOTE_VIEW) + LVM_NAME_MAX + 1 + sizeof(v->name)];

	if (!v)
		return err_set(e, ERR_NOMEM, "no memory for a snapshot of '%s'", s->origin);
	if (find_origin(s, v, e) < 0)
		return -1;
	/* A device that is not mounted is frozen by nobody. */
	if (!v->fs && !is_mounted(v->dev))
		s->consistency = SNAP_CRASH;
	(void)snprintf(text, sizeof(text), NOTE_VIEW "%s %s", v->origin.vg_name, v->name);
	v->note = journal_add(s->env->journal, snapshot_lvm_thin.name, text, e);
	return v->note ? 0 : -1;
}

static int lvm_capture(struct snapshot *s, struct err *e)
{
	struct view *v = s->priv;
	char origin[2 * LVM_NAME_MAX + 2], of[sizeof(TAG_OF) + LVM_UUID_LEN];
	/*
	 * A snapshot needs no size: it is thin, too. No backup of the metadata in /etc is wanted,
	 * which may lie on what is being suspended.
	 */
	const char *argv[] = { "lvcreate",
		               "--type",
		               "thin",
		               "--quiet",
		               "--name",
		               v->name,
		               "--permission",
		               "r",
		               "--addtag",
		               TAG_VIEW,
		               "--addtag",
		               of,
		               "--autobackup",
		               "n",
		               "--setactivationskip",
		               "n",
		               "--yes",
		               origin,
		               NULL };

	(void)snprintf(origin, sizeof(origin), "%s/%s", v->origin.vg_name, v->origin.lv_name);
	(void)snprintf(of, sizeof(of), TAG_OF "%s", v->origin.lv_uuid);
	v->made = true;
	/* All that had been written by now is in it. */
	s->freeze_ns = now_wall_ns();
	if (run(argv, true, e) < 0)
		return err_wrap(e, "making a snapshot of the volume '%s'", origin);
	return 0;
}

/* Mounts the snapshot nowhere. -1 with e. */
static int mount_view(const struct view *v, struct err *e)
{
	auto_close int fs = fsopen(v->fs, FSOPEN_CLOEXEC);

	/*
	 * XFS: the log of a snapshot is of no use but for orphans; its uuid is that of the
	 * original.
	 */
	bool xfs = strcmp(v->fs, "xfs") == 0;
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "source", v->lv.dm_path, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
	    (xfs && (fsconfig(fs, FSCONFIG_SET_FLAG, "norecovery", NULL, 0) < 0 ||
	             fsconfig(fs, FSCONFIG_SET_FLAG, "nouuid", NULL, 0) < 0)) ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(e, errno, "mounting the snapshot '%s' (%s)", v->lv.dm_path, v->fs);
	int fd = fsmount(fs, FSMOUNT_CLOEXEC,
	                 MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
	                         MOUNT_ATTR_NOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "mounting the snapshot '%s'", v->lv.dm_path);
	return fd;
}

static int find_view(struct snapshot *s, struct view *v, struct err *e)
{
	char selection[64 + 2 * LVM_NAME_MAX];
	auto_free struct lvm_lv *lv = NULL;
	size_t n;

	(void)snprintf(selection, sizeof(selection), "vg_uuid=\"%s\" && lv_name=\"%s\"",
	               v->origin.vg_uuid, v->name);
	if (list(selection, &lv, &n, e) < 0)
		return -1;
	if (n != 1 || lv[0].dm_path[0] != '/')
		return err_set(e, ERR_IO, "the snapshot '%s/%s' of '%s' is not there",
		               v->origin.vg_name, v->name, s->origin);
	v->lv = lv[0];
	return 0;
}

static int lvm_finish(struct snapshot *s, struct err *e)
{
	struct view *v = s->priv;

	if (find_view(s, v, e) < 0)
		return -1;
	if (v->fs) {
		s->fd = mount_view(v, e);
		if (s->fd < 0)
			return -1;
		if (asprintf(&s->path, "/proc/self/fd/%d", s->fd) < 0) {
			s->path = NULL;
			return err_set(e, ERR_NOMEM, "no memory for the path of a snapshot");
		}
		return 0;
	}
	s->block = true;
	s->path = strdup(v->lv.dm_path);
	if (!s->path)
		return err_set(e, ERR_NOMEM, "no memory for the path of a snapshot");
	s->fd = open(s->path, O_PATH | O_CLOEXEC);
	if (s->fd < 0)
		return err_sys(e, errno, "opening the snapshot '%s'", s->path);
	(void)snprintf(s->token, sizeof(s->token), "lvm-thin:%s:%s:%s:%" PRIu64, v->origin.vg_uuid,
	               v->origin.lv_uuid, v->lv.lv_uuid, v->lv.thin_id);
	return 0;
}

/* Removes the bases of the volume, but for the one named keep. */
static int remove_bases(const struct view *v, const char *keep, struct err *e)
{
	char selection[64 + LVM_UUID_LEN], of[sizeof(TAG_OF) + LVM_UUID_LEN];
	auto_free struct lvm_lv *lv = NULL;
	size_t n;

	(void)snprintf(selection, sizeof(selection), "vg_uuid=\"%s\" && lv_tags={\"" TAG_BASE "\"}",
	               v->origin.vg_uuid);
	(void)snprintf(of, sizeof(of), TAG_OF "%s", v->origin.lv_uuid);
	if (list(selection, &lv, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (lvm_parse_has_tag(&lv[i], of) && (!keep || strcmp(lv[i].lv_name, keep) != 0) &&
		    remove_lv(lv[i].vg_name, lv[i].lv_name, e) < 0)
			return err_wrap(e, "removing the snapshot of an earlier backup");
	}
	return 0;
}

/* The view becomes the base of the next one: one step, then it is no longer a view. */
static int keep(const struct view *v, struct err *e)
{
	char target[2 * LVM_NAME_MAX + 2];
	const char *retag[] = { "lvchange", "--addtag",     TAG_BASE, "--deltag",
		                TAG_VIEW,   "--autobackup", "n",      "--setactivationskip",
		                "y",        "--quiet",      target,   NULL };
	const char *sleep_now[] = { "lvchange", "--activate", "n", "--quiet", target, NULL };

	(void)snprintf(target, sizeof(target), "%s/%s", v->origin.vg_name, v->name);
	if (run(retag, true, e) < 0 || run(sleep_now, true, e) < 0)
		return err_wrap(e, "keeping the snapshot for the next backup");
	return remove_bases(v, v->name, e);
}

static int lvm_release(struct snapshot *s, struct err *e)
{
	struct view *v = s->priv;
	int rc = 0;

	if (!v)
		return 0;
	clean_close(&s->fd); /* the mount, too: the volume is to be free */
	s->fd = -1;
	if (s->committed && s->token[0] && !s->env->keep_no_base)
		rc = keep(v, e);
	else if (v->made)
		rc = remove_view(v->origin.vg_name, v->name, e);
	if (rc == 0 && s->block && s->committed && s->env->keep_no_base)
		rc = remove_bases(v, NULL, e);
	if (rc == 0)
		rc = journal_done(v->note, e);
	else
		journal_leave(v->note);
	free(v);
	return rc;
}

/* ---- a base ---- */

struct token {
	char vg[LVM_UUID_LEN + 1], origin[LVM_UUID_LEN + 1], view[LVM_UUID_LEN + 1];
	uint64_t id; /* of the view in its pool */
};

static bool uuid_part(const char **at, char ret[LVM_UUID_LEN + 1])
{
	size_t n = strcspn(*at, ":");

	if (n != LVM_UUID_LEN || (*at)[n] != ':')
		return false;
	memcpy(ret, *at, n);
	ret[n] = '\0';
	*at += n + 1;
	return lvm_parse_is_uuid(ret);
}

static bool parse_token(const char *text, struct token *ret)
{
	struct err ignored = ERR_INIT;
	const char *at = text + strlen("lvm-thin:");

	return strncmp(text, "lvm-thin:", strlen("lvm-thin:")) == 0 && uuid_part(&at, ret->vg) &&
	       uuid_part(&at, ret->origin) && uuid_part(&at, ret->view) &&
	       num_u64("device", at, 1, UINT32_MAX, &ret->id, &ignored) == 0;
}

/* The volume that a token names. 1; 0 when it is not there, or no base of this view; -1 with e. */
static int find_base(const struct view *v, const char *base, struct lvm_lv *ret, struct err *e)
{
	struct token t;

	if (!base || !parse_token(base, &t) || strcmp(t.vg, v->origin.vg_uuid) != 0 ||
	    strcmp(t.origin, v->origin.lv_uuid) != 0)
		return 0;
	int rc = find_lv(t.view, ret, e);
	if (rc <= 0)
		return rc;
	return lvm_parse_has_tag(ret, TAG_BASE) && ret->read_only && ret->thin_id == t.id &&
	       strcmp(ret->vg_uuid, t.vg) == 0 && strcmp(ret->pool, v->lv.pool) == 0;
}

static int feed(void *arg, const void *p, size_t n, struct err *e)
{
	return lvm_parse_delta_feed(arg, p, n, e);
}

static void clean_delta(struct lvm_delta *const *d)
{
	lvm_parse_delta_free(*d);
}

/* Runs thin_delta on the metadata, of which the pool holds a snapshot. */
static int run_delta(const struct view *v, uint64_t base, struct ranges **ret, struct err *e)
{
	struct dm_info pool, metadata;
	dev_t where;
	char left[24], right[24], path[DM_NAME_LEN + 16];
	const char *argv[] = {
		"thin_delta", "--metadata-snap", "--snap1", left, "--snap2", right, path, NULL
	};

	if (dm_get(v->pool, NULL, DM_TABLE, &pool, e) < 0)
		return -1;
	if (!lvm_parse_pool_table(pool.text, &where))
		return err_set(e, ERR_UNSUPPORTED,
		               "the table of the pool '%.120s' is not known here", pool.name);
	if (dm_get(where, NULL, DM_TABLE, &metadata, e) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "/dev/mapper/%s", metadata.name);
	(void)snprintf(left, sizeof(left), "%" PRIu64, base);
	(void)snprintf(right, sizeof(right), "%" PRIu64, v->lv.thin_id);
	CLEANUP(clean_delta) struct lvm_delta *d = lvm_parse_delta_new(e);
	if (!d)
		return -1;
	const struct tool t = { .argv = argv, .timeout_ms = DELTA_MS, .sink = feed, .arg = d };
	if (tool_run(&t, e) < 0)
		return -1;
	return lvm_parse_delta_end(d, base, v->lv.thin_id, ret, e);
}

/*
 * What differs from the base. A pool has one snapshot of its metadata at a time; when somebody else
 * holds it, ours cannot be made, and his is let alone.
 */
static int find_delta(const struct snapshot *s, const struct lvm_lv *base, struct ranges **ret,
                      struct err *e)
{
	const struct view *v = s->priv;
	char text[sizeof(NOTE_DELTA) + DM_UUID_LEN];
	struct err second = ERR_INIT;

	(void)snprintf(text, sizeof(text), NOTE_DELTA "%s", v->pool_uuid);
	struct journal_note *note = journal_add(s->env->journal, snapshot_lvm_thin.name, text, e);
	if (!note)
		return -1;
	if (dm_message(v->pool, "reserve_metadata_snap", e) < 0) {
		(void)!journal_done(note, &second);
		return -1;
	}
	int rc = run_delta(v, base->thin_id, ret, e);
	if (dm_message(v->pool, "release_metadata_snap", &second) < 0)
		journal_leave(note);
	else
		(void)!journal_done(note, &second);
	return rc;
}

static struct source *lvm_source(const struct snapshot *s, const struct walk_params *params,
                                 const char *base, struct err *e)
{
	const struct view *v = s->priv;
	auto_ranges struct ranges *r = NULL;
	struct err why = ERR_INIT;
	struct lvm_lv lv;

	if (!s->block)
		return walk_open(s->path, params, e);
	bool drop = params && params->drop_cache;
	/*
	 * Whatever keeps the differences from being known is no failure: everything is read
	 * then.
	 */
	if (!tool_exists("thin_delta") || find_base(v, base, &lv, &why) <= 0 ||
	    find_delta(s, &lv, &r, &why) < 0)
		return block_open(s->path, drop, e);
	/*
	 * thin_delta tells of blocks that there are: of a volume that grew, the rest is not in
	 * the base.
	 */
	if (v->lv.size > lv.size && ranges_add_tail(r, lv.size, v->lv.size) < 0)
		return block_open(s->path, drop, e);
	return block_open_changed(s->path, drop, STEAL(&r), e);
}

/* ---- what is left ---- */

/* Lets go of a snapshot of a pool's metadata that a run of ours left. */
static int clean_metadata(const char *uuid, struct err *e)
{
	struct lvm_pool p;
	struct dm_info pool;
	struct err why = ERR_INIT;

	if (dm_get(0, uuid, DM_STATUS, &pool, &why) < 0) {
		if (why.class == ERR_NOT_FOUND)
			return 0; /* it is not active: nothing of it is held */
		*e = why;
		return -1;
	}
	if (!lvm_parse_pool_status(pool.text, &p) || !p.held)
		return 0;
	return dm_message(pool.dev, "release_metadata_snap", e);
}

static int lvm_clean(const char *text, struct err *e)
{
	char vg[LVM_NAME_MAX + 1], name[LVM_NAME_MAX + 1];
	char end;

	if (strncmp(text, NOTE_DELTA UUID_PREFIX, strlen(NOTE_DELTA UUID_PREFIX)) == 0 &&
	    strlen(text) < strlen(NOTE_DELTA) + DM_UUID_LEN)
		return clean_metadata(text + strlen(NOTE_DELTA), e);
	if (sscanf(text, NOTE_VIEW "%127[^ ] %127[^ ]%c", vg, name, &end) != 2 ||
	    !lvm_parse_is_name(vg) || !lvm_parse_is_name(name) ||
	    strncmp(name, NAME_PREFIX, strlen(NAME_PREFIX)) != 0)
		return err_set(e, ERR_FORMAT, "a note of a thin snapshot names none");
	return remove_view(vg, name, e);
}

const struct snapshot_ops snapshot_lvm_thin = {
	.name = "lvm-thin",
	.caps = SNAP_CAP_ATOMIC | SNAP_CAP_DIFF | SNAP_CAP_NEEDS_PRIVILEGE,
	.consistency = SNAP_FILESYSTEM,
	.supports = lvm_supports,
	.prepare = lvm_prepare,
	.capture = lvm_capture,
	.finish = lvm_finish,
	.release = lvm_release,
	.source = lvm_source,
	.clean = lvm_clean,
};
