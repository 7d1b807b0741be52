/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume, a repository in memory and targets, for tests of restoring. A tree
 * is described as text, line by line all that counts of it, so that two trees
 * are the same when their texts are.
 */
#ifndef AKSDR_TESTS_UNIT_RESTORE_WORLD_H
#define AKSDR_TESTS_UNIT_RESTORE_WORLD_H

#include "tests/harness/repo_kit.h"

#include <dirent.h>
#include <errno.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "common/buf.h"
#include "common/fd.h"
#include "repo/writer.h"
#include "restore/restore.h"
#include "snapshot/snapshot.h"

struct world {
	struct kit kit;
	char *dir;            /* all of it: */
	char *src;            /* the volume */
	char *out;            /* a target; not made */
	struct report report; /* of the last restore */
};

static inline struct world world_new(void)
{
	struct world w = { .kit = kit_new(), .dir = tmpdir_new() };

	w.src = path_join(w.dir, "src");
	w.out = path_join(w.dir, "out");
	assert_int_equal(mkdir(w.src, 0755), 0);
	report_init(&w.report);
	(void)umask(0);
	return w;
}

static inline void world_remove(const char *path)
{
	auto_free char *command = NULL;

	/* trees may be deeper than one path can name, and hold pinned files */
	if (asprintf(&command,
	             "chattr -R -f -i -a '%s' 2>/dev/null; chmod -R u+rwx '%s' 2>/dev/null; "
	             "rm -rf --one-file-system '%s'",
	             path, path, path) < 0 ||
	    system(command) != 0)
		harness_die("removing '%s'", path);
}

static inline void world_clear(struct world *w)
{
	report_clear(&w->report);
	world_remove(w->dir);
	free(w->src);
	free(w->out);
	free(w->dir);
	kit_clear(&w->kit);
}
#define auto_world CLEANUP(world_clear)

/* ---- backing up and restoring ---- */

static inline void world_backup_of(struct world *w, const char *path, struct point *ret)
{
	static const struct snapshot_env env;
	const struct walk_params walk = { 0 };
	struct point_volume volume = { .name = "vol" };
	struct err err = ERR_INIT;

	const struct snapshot_ops *driver = snapshot_choose(&env, "live", path, &err);
	struct snapshot *s = driver ? snapshot_take(&env, driver, path, &err) : NULL;
	struct source *source = s ? snapshot_source(s, &walk, NULL, &err) : NULL;
	if (!source)
		fail_msg("%s", err.msg);
	volume.block = s->block;
	const struct writer_params params = {
		.volume = &volume,
		.domain = "d",
		.consistency = "fuzzy",
		.driver = "live",
		.frozen_ns = s->freeze_ns,
		.threads = 2,
		.retries = 1,
		.verify_encode = true,
	};
	ok(writer_backup(w->kit.agent, source, &params, ret, e));
	source->ops->free(source);
	ok(snapshot_release(s, e));
	assert_int_equal(ret->unreadable, 0);
}

/* The volume as it is now. */
static inline struct point world_backup(struct world *w)
{
	struct point p = { 0 };

	world_backup_of(w, w->src, &p);
	return p;
}

/* Restores to path; params NULL: defaults. 0, or -1 with e. The report is in w->report. */
static inline int world_try(struct world *w, const struct point *p, const char *path,
                            unsigned flags, const struct restore_params *params, struct err *e)
{
	const struct restore_params defaults = { .threads = 2 };
	struct target *t = NULL;

	report_clear(&w->report);
	report_init(&w->report);
	w->report.quiet = true;
	int rc = p->volume.block ? target_block_open(path, p->bytes_logical, flags,
	                                             &w->report.losses, &t, e)
	                         : target_dir_open(path, flags, &w->report.losses, &t, e);
	if (rc == 0)
		rc = restore_run(w->kit.recovery, p, t, params ? params : &defaults, &w->report, e);
	target_free(t);
	return rc;
}

/* Restores to w->out, which must go well and lose nothing. */
static inline void world_restore(struct world *w, const struct point *p, unsigned flags)
{
	ok(world_try(w, p, w->out, flags, NULL, e));
	ok(report_verdict(&w->report, e));
}

/* ---- what a tree is ---- */

struct world_inode {
	ino_t ino;
	char *path;
};

struct world_look {
	struct buf text;
	struct world_inode inodes[4096];
	size_t ninodes;
};

static inline int world_by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline void world_put_xattrs(struct buf *b, int dir, const char *name)
{
	char path[512], list[8192], value[65536], *names[256];
	size_t n = 0;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir, name);
	ssize_t len = llistxattr(path, list, sizeof(list));
	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(list + at) + 1)
		names[n++] = list + at;
	qsort(names, n, sizeof(char *), world_by_text);
	for (size_t i = 0; i < n; i++) {
		ssize_t got = lgetxattr(path, names[i], value, sizeof(value));

		(void)buf_printf(b, " %s=", names[i]);
		for (ssize_t k = 0; k < got; k++)
			(void)buf_printf(b, "%02x", (uint8_t)value[k]);
	}
}

static inline void world_put_content(struct buf *b, int dir, const char *name)
{
	auto_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	auto_free uint8_t *p = malloc(MIB + 8);
	uint64_t sum = 14695981039346656037ULL;
	ssize_t n;

	if (fd < 0) {
		(void)buf_str(b, " unreadable");
		return;
	}
	while ((n = read(fd, p, MIB)) > 0) {
		memset(p + n, 0, 8);
		for (ssize_t i = 0; i < n; i += 8) {
			uint64_t v;

			memcpy(&v, p + i, 8);
			sum = (sum ^ v) * 1099511628211ULL;
			sum ^= sum >> 29;
		}
	}
	(void)buf_printf(b, " %016llx", (unsigned long long)sum);
}

static inline void world_put_entry(struct world_look *l, int dir, const char *name,
                                   const char *path);

static inline void world_put_dir(struct world_look *l, int dir, const char *name, const char *path)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char *names[8192];
	size_t n = 0;

	if (fd < 0) {
		(void)buf_str(&l->text, "  (closed)\n");
		return;
	}
	DIR *list = fdopendir(fd);
	assert_non_null(list);
	for (struct dirent *d; (d = readdir(list));) {
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0) {
			assert_true(n < ARRAY_LEN(names));
			names[n++] = strdup(d->d_name);
		}
	}
	qsort(names, n, sizeof(char *), world_by_text);
	for (size_t i = 0; i < n; i++) {
		auto_free char *below = path_join(path, names[i]);

		world_put_entry(l, dirfd(list), names[i], below);
		free(names[i]);
	}
	(void)closedir(list);
}

static inline void world_put_entry(struct world_look *l, int dir, const char *name,
                                   const char *path)
{
	struct stat st;
	char link[4097] = "";

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		fail_msg("looking at '%s': %s", path, strerror(errno));
	(void)buf_printf(&l->text, "%s %o %u:%u %lld.%09ld", path, st.st_mode, st.st_uid, st.st_gid,
	                 (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	if (S_ISLNK(st.st_mode) && readlinkat(dir, name, link, sizeof(link) - 1) >= 0)
		(void)buf_printf(&l->text, " -> %s", link);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		(void)buf_printf(&l->text, " %u,%u", major(st.st_rdev), minor(st.st_rdev));
	world_put_xattrs(&l->text, dir, name);
	if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) {
		size_t i = 0;

		while (i < l->ninodes && l->inodes[i].ino != st.st_ino)
			i++;
		assert_true(i < ARRAY_LEN(l->inodes));
		if (i == l->ninodes)
			l->inodes[l->ninodes++] = (struct world_inode){ .ino = st.st_ino,
				                                        .path = strdup(path) };
		(void)buf_printf(&l->text, " is %s", l->inodes[i].path);
	}
	if (S_ISREG(st.st_mode)) {
		(void)buf_printf(&l->text, " %lld", (long long)st.st_size);
		world_put_content(&l->text, dir, name);
	}
	(void)buf_str(&l->text, "\n");
	if (S_ISDIR(st.st_mode))
		world_put_dir(l, dir, name, path);
}

/* All that counts of a tree; the caller frees. */
static inline char *world_text(const char *dir)
{
	auto_free struct world_look *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	l->text.max = 64 * MIB;
	world_put_entry(l, AT_FDCWD, dir, ".");
	assert_false(l->text.failed);
	for (size_t i = 0; i < l->ninodes; i++)
		free(l->inodes[i].path);
	char *text = strdup(buf_cstr(&l->text));
	buf_clear(&l->text);
	assert_non_null(text);
	return text;
}

/* Fails with the first line that differs. */
static inline void world_assert_text(const char *got, const char *want)
{
	const char *g = got;
	const char *w = want;

	if (strcmp(got, want) == 0)
		return;
	while (*g && *g == *w) {
		g++;
		w++;
	}
	while (g > got && g[-1] != '\n') {
		g--;
		w--;
	}
	fail_msg("trees differ:\n  is     %.*s\n  wanted %.*s", (int)strcspn(g, "\n"), g,
	         (int)strcspn(w, "\n"), w);
}

static inline void assert_same_tree(const char *a, const char *b)
{
	auto_free char *x = world_text(a);
	auto_free char *y = world_text(b);

	world_assert_text(y, x);
}

/* ---- making things ---- */

static inline void world_file(struct world *w, const char *name, uint64_t seed, size_t n)
{
	auto_free uint8_t *p = malloc(n + 1);

	assert_non_null(p);
	fill_random(seed, p, n);
	write_file(w->src, name, p, n);
}

static inline char *world_at(const struct world *w, const char *name)
{
	return path_join(w->src, name);
}

static inline bool is_root(void)
{
	return geteuid() == 0;
}

/* A file as long as size with n bytes at off; nothing else is allocated. */
static inline void world_sparse(struct world *w, const char *name, off_t size, off_t off, size_t n)
{
	auto_free char *path = world_at(w, name);
	auto_free uint8_t *p = malloc(n + 1);
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	fill_random(99, p, n);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(fd_pwrite_full(fd, p, n, (uint64_t)off), 0);
}

/* Changes one byte of a file in place; its time stays. */
static inline void world_poke(const char *dir, const char *name, off_t off)
{
	auto_free char *path = path_join(dir, name);
	struct stat st;
	uint8_t b;

	auto_close int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pread(fd, &b, 1, off), 1);
	b ^= 1;
	assert_int_equal(pwrite(fd, &b, 1, off), 1);
	const struct timespec times[2] = { st.st_atim, st.st_mtim };
	assert_int_equal(futimens(fd, times), 0);
}

#endif
