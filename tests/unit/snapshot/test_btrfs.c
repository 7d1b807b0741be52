/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of a btrfs on a loop device: what is in them, what is not, what is left behind, and
 * whether what they call unchanged is, after thousands of changes of every kind.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "common/fd.h"
#include "snapshot/snapshot.h"
#include "tests/unit/snapshot/mounts.h"

static bool can_mount;

/* A mounted btrfs with a journal beside it. */
struct world {
	char *dir, *mnt;
	struct journal *journal;
	struct snapshot_env env;
};

static const char *world_make(struct world *w)
{
	struct err e = ERR_INIT;

	memset(w, 0, sizeof(*w));
	if (!can_mount)
		return "this process may not mount";
	w->dir = tmpdir_new();
	w->mnt = path_join(w->dir, "mnt");
	if (!mounts_loop(w->dir, "mkfs.btrfs", NULL, NULL))
		return "no btrfs can be made and mounted";
	auto_free char *journal = path_join(w->dir, "journal");
	w->journal = journal_open(journal, &e);
	assert_non_null(w->journal);
	w->env.journal = w->journal;
	return NULL;
}

static void world_end(struct world *w)
{
	journal_close(w->journal);
	if (w->dir)
		mounts_undo(w->dir, "mnt");
	tmpdir_remove(w->dir);
	free(w->mnt);
}

static struct snapshot *take(const struct world *w, const char *path)
{
	struct err e = ERR_INIT;
	struct snapshot *s = snapshot_take(&w->env, &snapshot_btrfs, path, &e);

	if (!s)
		print_error("%s\n", e.msg);
	assert_non_null(s);
	return s;
}

static void give_up(struct snapshot *s, bool committed)
{
	struct err e = ERR_INIT;

	s->committed = committed;
	if (snapshot_release(s, &e) < 0) {
		print_error("%s\n", e.msg);
		fail();
	}
}

static size_t notes_in(const struct world *w)
{
	auto_free char *journal = path_join(w->dir, "journal");

	return count_files(journal);
}

static char *text_of(const char *dir, const char *name)
{
	return file_exists(dir, name) ? read_file(dir, name, NULL) : strdup("(none)");
}

static void subvolume(const char *path)
{
	const char *argv[] = { "btrfs", "subvolume", "create", path, NULL };

	assert_int_equal(mounts_command(argv), 0);
}

/* ---- where it works ---- */

static const char *supports_body(struct world *w)
{
	auto_free char *inner = path_join(w->mnt, "inner");
	auto_free char *frozen = path_join(w->mnt, "frozen");
	auto_free char *file = path_join(w->mnt, "file");
	const char *snap[] = { "btrfs", "subvolume", "snapshot", "-r", w->mnt, frozen, NULL };
	const char *read_only[] = { "mount", "-o", "remount,ro", w->mnt, NULL };
	struct snapshot_env bare = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(snapshot_btrfs.supports(&w->env, w->mnt, &e), 1);
	assert_int_equal(snapshot_btrfs.supports(&bare, w->mnt, &e), 0);
	assert_non_null(strstr(e.msg, "journal"));
	assert_int_equal(mkdir(inner, 0755), 0);
	assert_int_equal(snapshot_btrfs.supports(&w->env, inner, &e), 0);
	assert_non_null(strstr(e.msg, "not the root of a btrfs subvolume"));
	write_text(w->mnt, "file", "x");
	assert_int_equal(snapshot_btrfs.supports(&w->env, file, &e), 0);
	assert_int_equal(mount(w->mnt, inner, NULL, MS_BIND, NULL), 0);
	assert_int_equal(snapshot_btrfs.supports(&w->env, inner, &e), 1);
	assert_int_equal(umount(inner), 0);
	assert_int_equal(mounts_command(snap), 0);
	assert_int_equal(snapshot_btrfs.supports(&w->env, frozen, &e), 0);
	assert_non_null(strstr(e.msg, "read-only subvolume"));
	assert_int_equal(snapshot_btrfs.supports(&w->env, w->dir, &e), 0);
	assert_non_null(strstr(e.msg, "not on a btrfs"));
	assert_ptr_equal(snapshot_choose(&w->env, "auto", w->mnt, &e), &snapshot_btrfs);
	assert_int_equal(mounts_command(read_only), 0);
	assert_int_equal(snapshot_btrfs.supports(&w->env, w->mnt, &e), 0);
	assert_non_null(strstr(e.msg, "mounted read-only"));
	return NULL;
}

static void test_btrfs_supports__roots_of_subvolumes_that_can_be_written_to(void **state)
{
	struct world w;

	(void)state;
	const char *why = world_make(&w);
	why = why ? why : supports_body(&w);
	world_end(&w);
	left_out(why);
}

/* ---- the view ---- */

static const char *moment_body(struct world *w)
{
	auto_free char *mapped = path_join(w->mnt, "mapped");
	struct stat now, then;

	write_text(w->mnt, "dir/dirty", "before");
	write_text(w->mnt, "mapped", "....");
	auto_close int fd = open(mapped, O_RDWR | O_CLOEXEC);
	char *map = mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	map[1] = '!';
	struct snapshot *s = take(w, w->mnt);
	map[2] = '?';
	write_text(w->mnt, "dir/dirty", "after");
	write_text(w->mnt, "later", "x");
	auto_free char *dirty = text_of(s->path, "dir/dirty");
	auto_free char *seen = text_of(s->path, "mapped");
	assert_string_equal(dirty, "before");
	assert_string_equal(seen, ".!..");
	assert_false(file_exists(s->path, "later"));
	assert_int_equal(s->consistency, SNAP_CRASH);
	assert_false(s->block);
	assert_int_equal(notes_in(w), 1);

	/* Inode numbers and times are those of the volume. */
	auto_free char *in_view = path_join(s->path, "mapped");
	assert_int_equal(munmap(map, 4), 0);
	assert_int_equal(stat(in_view, &then), 0);
	assert_int_equal(fstat(fd, &now), 0);
	assert_int_equal(now.st_ino, then.st_ino);
	auto_free char *dir_there = path_join(s->path, "dir");
	auto_free char *dir_here = path_join(w->mnt, "dir");
	assert_int_equal(stat(dir_there, &then), 0);
	assert_int_equal(stat(dir_here, &now), 0);
	assert_int_equal(now.st_ino, then.st_ino);
	assert_memory_equal(&now.st_ctim, &then.st_ctim, sizeof(now.st_ctim));

	give_up(s, false);
	assert_int_equal(count_files(w->mnt), 3);
	assert_int_equal(notes_in(w), 0);
	return NULL;
}

static void test_btrfs_take__the_view_has_all_that_was_written_before(void **state)
{
	struct world w;

	(void)state;
	const char *why = world_make(&w);
	why = why ? why : moment_body(&w);
	world_end(&w);
	left_out(why);
}

/* Paths of all entries, one a line. */
static char *list(const struct snapshot *s, const struct walk_params *p)
{
	struct buf b = BUF_INIT(MIB);
	struct err e = ERR_INIT;
	struct source *src = snapshot_source(s, p, NULL, &e);
	struct batch *batch;

	assert_non_null(src);
	assert_true(src->ops->changed == NULL);
	for (;;) {
		assert_int_equal(src->ops->next(src, &batch, &e), 0);
		if (!batch)
			break;
		for (size_t i = 0; i < batch->n; i++)
			(void)buf_printf(&b, "%s\n", batch->entries[i].path);
		src->ops->batch_free(src, batch);
	}
	src->ops->free(src);
	char *text = strdup(buf_cstr(&b));
	buf_clear(&b);
	return text;
}

static const char *nested_body(struct world *w)
{
	const char *excludes[] = { "*.tmp" };
	const struct walk_params p = { .excludes = excludes, .nexcludes = 1 };
	auto_free char *b = path_join(w->mnt, "a/b");

	write_text(w->mnt, "a/f", "x");
	write_text(w->mnt, "x.tmp", "x");
	subvolume(b);
	write_text(w->mnt, "a/b/g", "x");
	struct snapshot *s = take(w, w->mnt);
	assert_int_equal(s->nnotes, 1);
	assert_non_null(strstr(s->notes[0], "the subvolume 'a/b' in it is not in the backup"));
	auto_free char *paths = list(s, &p);
	assert_string_equal(paths, "\na\na/b\na/f\n");
	give_up(s, false);

	/* The nested one is a volume too. */
	s = take(w, b);
	assert_int_equal(s->nnotes, 0);
	auto_free char *inner = list(s, NULL);
	assert_string_equal(inner, "\ng\n");
	give_up(s, false);
	return NULL;
}

static void test_btrfs_source__nested_subvolumes_are_named(void **state)
{
	struct world w;

	(void)state;
	const char *why = world_make(&w);
	why = why ? why : nested_body(&w);
	world_end(&w);
	left_out(why);
}

/* ---- what is left ---- */

/* Takes a snapshot and dies. */
static int die_with_view(void *arg)
{
	const struct world *w = arg;
	struct err e = ERR_INIT;
	auto_free char *journal = path_join(w->dir, "journal");
	struct journal *j = journal_open(journal, &e);
	const struct snapshot_env env = { .journal = j };

	return j && snapshot_take(&env, &snapshot_btrfs, w->mnt, &e) ? 0 : 1;
}

static void leave_view(struct world *w)
{
	auto_run struct harness_run r = harness_run(die_with_view, w);

	assert_int_equal(r.status, 0);
	assert_int_equal(count_files(w->mnt), 2); /* the view, and a file */
}

static const char *left_body(struct world *w)
{
	struct err e = ERR_INIT;
	size_t n = 0;

	write_text(w->mnt, "f", "x");
	leave_view(w);
	assert_int_equal(snapshot_reconcile(w->journal, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(count_files(w->mnt), 1);
	assert_int_equal(notes_in(w), 0);
	assert_int_equal(snapshot_reconcile(w->journal, &n, &e), 0);
	assert_int_equal(n, 0);

	/* Without the journal the next backup sees to it; the note then names nothing. */
	leave_view(w);
	struct snapshot *s = take(w, w->mnt);
	assert_int_equal(count_files(w->mnt), 2);
	give_up(s, false);
	assert_int_equal(count_files(w->mnt), 1);
	assert_int_equal(snapshot_reconcile(w->journal, &n, &e), 0);
	assert_int_equal(n, 1);

	/* A view in use stays, and so does what only looks like one. */
	auto_free char *other = path_join(w->mnt, ".aksdr-view-mine");
	assert_int_equal(mkdir(other, 0755), 0);
	s = take(w, w->mnt);
	struct snapshot *second = take(w, w->mnt);
	assert_true(file_exists(s->path, "f") && file_exists(second->path, "f"));
	assert_int_equal(snapshot_reconcile(w->journal, &n, &e), 0);
	assert_int_equal(n, 0);
	give_up(s, false);
	give_up(second, false);
	assert_int_equal(count_files(w->mnt), 2);
	return NULL;
}

static void test_btrfs_clean__what_a_crash_left_is_removed_once(void **state)
{
	struct world w;

	(void)state;
	const char *why = world_make(&w);
	why = why ? why : left_body(&w);
	world_end(&w);
	left_out(why);
}

static void test_btrfs_clean__a_note_that_names_nothing(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(snapshot_btrfs.clean("0123456789abcdef0123456789abcdef\n/nowhere/at/all",
	                                      &e),
	                 0);
	assert_int_equal(snapshot_btrfs.clean("0123456789abcdef0123456789abcdef\n/", &e), 0);
	assert_int_equal(snapshot_btrfs.clean("../0123456789abcdef0123456789abc\n/", &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
	assert_int_equal(snapshot_btrfs.clean("", &e), -1);
}

/* ---- bases ---- */

/* What may differ in the file name of a view since the one that base names, as "0-4096 8192-…". */
static char *changes(const struct snapshot *s, const char *base, const char *name)
{
	struct buf b = BUF_INIT(MIB);
	struct err e = ERR_INIT;
	struct source *src = snapshot_source(s, NULL, base, &e);
	struct batch *batch;

	assert_non_null(src);
	if (!src->ops->changed)
		(void)buf_printf(&b, "no base");
	for (;;) {
		assert_int_equal(src->ops->next(src, &batch, &e), 0);
		if (!batch)
			break;
		for (size_t i = 0; i < batch->n && src->ops->changed; i++) {
			struct entry *n = &batch->entries[i];
			uint64_t start = 0, end = 0;
			struct content *c;
			bool known, torn;

			if (strcmp(n->path, name) != 0)
				continue;
			assert_int_equal(src->ops->open(src, n, &c, &e), 0);
			do {
				assert_int_equal(src->ops->changed(c, end, &known, &start, &end,
				                                   &e),
				                 0);
				if (!known)
					(void)buf_printf(&b, "not known");
				else if (start < end)
					(void)buf_printf(&b, "%s%llu-%llu", b.len ? " " : "",
					                 (unsigned long long)start,
					                 (unsigned long long)end);
			} while (known && start < end);
			assert_int_equal(src->ops->close(c, &n->st, &torn, &e), 0);
		}
		src->ops->batch_free(src, batch);
	}
	src->ops->free(src);
	char *text = strdup(buf_cstr(&b));
	buf_clear(&b);
	return text;
}

static void assert_changes(const struct snapshot *s, const char *base, const char *name,
                           const char *expected)
{
	auto_free char *got = changes(s, base, name);

	assert_string_equal(got, expected);
}

static void poke(const char *dir, const char *name, uint64_t off, const char *text)
{
	auto_free char *path = path_join(dir, name);
	auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fd_pwrite_full(fd, text, strlen(text), off), 0);
}

static const char *base_body(struct world *w)
{
	auto_free uint8_t *noise = malloc(MIB);
	char old[SNAPSHOT_TOKEN_MAX], older[SNAPSHOT_TOKEN_MAX];
	auto_free char *a = path_join(w->mnt, "a");

	fill_random(1, noise, MIB);
	write_file(w->mnt, "a", noise, MIB);
	write_file(w->mnt, "b", noise, MIB);
	write_text(w->mnt, "small", "x");
	struct snapshot *s = take(w, w->mnt);
	assert_memory_equal(s->token, "btrfs:", 6);
	(void)snprintf(older, sizeof(older), "%s", s->token);
	give_up(s, true);
	assert_int_equal(count_files(w->mnt), 4);
	assert_int_equal(notes_in(w), 0);

	poke(w->mnt, "a", 5000, "!");
	s = take(w, w->mnt);
	assert_changes(s, older, "a", "4096-8192");
	assert_changes(s, older, "b", "");
	assert_changes(s, older, "small", "0-1");
	assert_changes(s, "", "a", "no base");
	assert_changes(s, s->token, "a", "no base");
	assert_changes(s, "btrfs:00", "a", "no base");
	assert_changes(s, "lvm-thin:00", "a", "no base");
	(void)snprintf(old, sizeof(old), "%s", older);
	old[strlen(old) - 1] ^= 1; /* another generation */
	assert_changes(s, old, "a", "no base");
	(void)snprintf(old, sizeof(old), "%s", older);
	old[6] = old[6] == '0' ? '1' : '0'; /* another file system */
	assert_changes(s, old, "a", "no base");
	give_up(s, false);

	/* A point that was not made changes nothing: the base is still the one before. */
	assert_int_equal(truncate(a, 3 * MIB), 0);
	write_text(w->mnt, "new", "x");
	s = take(w, w->mnt);
	assert_changes(s, older, "a", "4096-8192 1048576-3145728");
	assert_changes(s, older, "new", "not known");
	(void)snprintf(old, sizeof(old), "%s", s->token);
	give_up(s, true);

	/* There is one base at a time. */
	poke(w->mnt, "b", 0, "!");
	s = take(w, w->mnt);
	assert_changes(s, older, "b", "no base");
	assert_changes(s, old, "b", "0-4096");
	assert_changes(s, old, "a", "");
	w->env.keep_no_base = true;
	give_up(s, true);
	assert_int_equal(count_files(w->mnt), 4);
	return NULL;
}

static void test_btrfs_source__knows_the_changes_since_the_view_of_the_point_before(void **state)
{
	struct world w;

	(void)state;
	const char *why = world_make(&w);
	why = why ? why : base_body(&w);
	world_end(&w);
	left_out(why);
}

static const char *tampered_body(struct world *w)
{
	char token[SNAPSHOT_TOKEN_MAX], id[33];
	auto_free char *view = NULL;
	auto_free uint8_t *noise = malloc(MIB);

	/* An orphan in the view is no reason to distrust it. */
	auto_close int orphan = open(w->mnt, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	assert_int_equal(fd_pwrite_full(orphan, "x", 1, 0), 0);
	fill_random(1, noise, MIB);
	write_file(w->mnt, "a", noise, MIB);
	struct snapshot *s = take(w, w->mnt);
	(void)snprintf(token, sizeof(token), "%s", s->token);
	memcpy(id, token + 6 + 33 + 33, 32);
	id[32] = '\0';
	give_up(s, true);
	sync();
	poke(w->mnt, "a", 0, "!");
	s = take(w, w->mnt);
	assert_changes(s, token, "a", "0-4096");
	give_up(s, false);

	assert_true(asprintf(&view, "%s/.aksdr-view-base-%s/view", w->mnt, id) > 0);
	const char *argv[] = { "btrfs", "property", "set", "-t", "s", view, "ro", "false", NULL };
	assert_int_equal(mounts_command(argv), 0);
	s = take(w, w->mnt);
	assert_changes(s, token, "a", "no base");
	give_up(s, false);
	poke(view, "a", 8192, "!");
	sync();
	argv[7] = "true";
	assert_int_equal(mounts_command(argv), 0);
	s = take(w, w->mnt);
	assert_changes(s, token, "a", "no base");
	give_up(s, false);
	return NULL;
}

static void test_btrfs_source__a_base_that_was_written_to_is_none(void **state)
{
	struct world w;

	(void)state;
	const char *why = world_make(&w);
	why = why ? why : tampered_body(&w);
	world_end(&w);
	left_out(why);
}

/* An old extent that is cloned into a file has an old generation there too. */
static const char *clone_body(struct world *w)
{
	auto_free uint8_t *noise = malloc(MIB);
	auto_free char *a = path_join(w->mnt, "a");
	auto_free char *b = path_join(w->mnt, "b");
	char token[SNAPSHOT_TOKEN_MAX];

	fill_random(1, noise, MIB);
	write_file(w->mnt, "a", noise, MIB);
	fill_random(2, noise, MIB);
	write_file(w->mnt, "b", noise, MIB);
	struct snapshot *s = take(w, w->mnt);
	(void)snprintf(token, sizeof(token), "%s", s->token);
	give_up(s, true);

	auto_close int to = open(a, O_WRONLY | O_CLOEXEC);
	auto_close int from = open(b, O_RDONLY | O_CLOEXEC);
	struct file_clone_range range = {
		.src_fd = from, .src_offset = 8192, .src_length = 4096, .dest_offset = 65536
	};
	assert_int_equal(ioctl(to, FICLONERANGE, &range), 0);
	s = take(w, w->mnt);
	assert_changes(s, token, "a", "65536-69632");
	give_up(s, false);

	/* The whole file replaced by a clone of itself has changed nothing. */
	auto_free char *copy = path_join(w->mnt, "copy");
	auto_close int fresh = open(copy, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ioctl(fresh, FICLONE, to), -1); /* open for writing only */
	auto_close int again = open(a, O_RDONLY | O_CLOEXEC);
	assert_int_equal(ioctl(fresh, FICLONE, again), 0);
	assert_int_equal(rename(copy, a), 0);
	s = take(w, w->mnt);
	assert_changes(s, token, "a", "65536-69632");
	give_up(s, false);
	return NULL;
}

static void test_btrfs_source__a_clone_of_old_data_is_a_change(void **state)
{
	struct world w;

	(void)state;
	const char *why = world_make(&w);
	why = why ? why : clone_body(&w);
	world_end(&w);
	left_out(why);
}

/* ---- thousands of changes ---- */

#define FILES 4
#define FILE_MAX (2 * MIB)

struct dice {
	uint64_t at;
};

static uint64_t roll(struct dice *d, uint64_t n)
{
	uint64_t v;

	fill_random(d->at++, &v, sizeof(v));
	return v % n;
}

static uint64_t block(struct dice *d)
{
	return roll(d, FILE_MAX / 4096) * 4096;
}

static char *file_path(const struct world *w, size_t i)
{
	static const char *const names[FILES] = { "plain", "other", "nocow", "packed" };

	return path_join(w->mnt, names[i]);
}

static int open_file(const struct world *w, size_t i)
{
	auto_free char *path = file_path(w, i);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

static void set_flag(int fd, int flag)
{
	int flags = 0;

	assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
	flags |= flag;
	assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
}

/* Makes a range of one file the same as that of another, then one extent of both. */
static void dedupe(struct dice *d, int from, int to)
{
	auto_free struct file_dedupe_range *r = calloc(1, sizeof(*r) + sizeof(r->info[0]));
	uint8_t p[65536];

	assert_non_null(r);
	r->src_offset = block(d);
	r->src_length = sizeof(p);
	r->dest_count = 1;
	if (fd_pread_full(from, p, sizeof(p), r->src_offset) != (ssize_t)sizeof(p))
		return;
	r->info[0].dest_fd = to;
	r->info[0].dest_offset = block(d);
	if (roll(d, 2) == 0)
		assert_int_equal(fd_pwrite_full(to, p, sizeof(p), r->info[0].dest_offset), 0);
	(void)ioctl(from, FIDEDUPERANGE, r);
}

static void act(const struct world *w, struct dice *d)
{
	size_t i = roll(d, FILES), k = roll(d, FILES);
	auto_close int fd = open_file(w, i);
	auto_close int from = open_file(w, k);
	uint64_t off = roll(d, FILE_MAX), len = 1 + roll(d, roll(d, 4) ? 20000 : 400000);
	uint8_t *noise = malloc(len);
	struct file_clone_range clone = { .src_fd = from,
		                          .src_offset = block(d),
		                          .src_length = 4096 * (1 + roll(d, 64)),
		                          .dest_offset = block(d) };
	struct btrfs_ioctl_defrag_range_args defrag = { .start = off,
		                                        .len = len,
		                                        .flags = BTRFS_DEFRAG_RANGE_START_IO };

	fill_random(roll(d, 1000), noise, len);
	if (roll(d, 3) == 0) /* something that can be compressed */
		memset(noise, (int)roll(d, 256), len);
	len = off + len > FILE_MAX ? FILE_MAX - off : len;
	/* What a kernel or file refuses is no matter. */
	switch (roll(d, 14)) {
	case 0:
		(void)!ftruncate(fd, (off_t)roll(d, FILE_MAX));
		break;
	case 1:
		(void)!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
		                 (off_t)len);
		break;
	case 2:
		(void)!fallocate(fd, FALLOC_FL_ZERO_RANGE, (off_t)off, (off_t)len);
		break;
	case 3:
		(void)!fallocate(fd, roll(d, 2) ? FALLOC_FL_KEEP_SIZE : 0, (off_t)off, (off_t)len);
		break;
	case 4:
		(void)!fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, (off_t)block(d), 4096);
		break;
	case 5:
	case 6:
		(void)ioctl(fd, FICLONERANGE, &clone);
		break;
	case 7:
		dedupe(d, from, fd);
		break;
	case 8:
		(void)ioctl(fd, BTRFS_IOC_DEFRAG_RANGE, &defrag);
		break;
	case 9:
		(void)!fsync(fd);
		break;
	default:
		assert_int_equal(fd_pwrite_full(fd, noise, len, off), 0);
	}
	free(noise);
}

/* What the file held in the view before. */
struct memory {
	uint8_t *p;
	size_t n;
};

struct tally {
	uint64_t claimed, differ, bytes;
};

/* Compares the claims for one file with what is in it; remembers it. */
static void judge(struct source *src, struct entry *n, struct memory *m, struct tally *t)
{
	struct err e = ERR_INIT;
	struct content *c;
	uint8_t *p = malloc(2 * FILE_MAX);
	bool known = false, torn;
	uint64_t at = 0;

	assert_non_null(p);
	assert_int_equal(src->ops->open(src, n, &c, &e), 0);
	int64_t got = src->ops->read(c, p, 2 * FILE_MAX, 0, &e);
	assert_int_equal(got, n->st.size);
	for (;;) {
		uint64_t start = 0, end = 0;

		if (!src->ops->changed)
			break;
		assert_int_equal(src->ops->changed(c, at, &known, &start, &end, &e), 0);
		assert_true(known && start >= at && end >= start && end <= n->st.size);
		assert_true(start <= m->n || at >= m->n);
		if (start > at && memcmp(p + at, m->p + at, start - at) != 0)
			fail_msg("%s: bytes from %llu to %llu were called unchanged", n->path,
			         (unsigned long long)at, (unsigned long long)start);
		t->claimed += end - start;
		if (start == end)
			break;
		at = end;
	}
	for (size_t i = 0; i < n->st.size; i += 4096) {
		size_t len = n->st.size - i < 4096 ? n->st.size - i : 4096;

		t->differ += i + len > m->n || memcmp(p + i, m->p + i, len) != 0 ? len : 0;
	}
	t->bytes += n->st.size;
	assert_int_equal(src->ops->close(c, &n->st, &torn, &e), 0);
	free(m->p);
	*m = (struct memory){ .p = p, .n = n->st.size };
}

static void look(const struct snapshot *s, const char *base, struct memory *m, struct tally *t)
{
	struct err e = ERR_INIT;
	struct source *src = snapshot_source(s, NULL, base, &e);
	struct batch *b;
	size_t seen = 0;

	assert_non_null(src);
	assert_true(!base || src->ops->changed);
	for (;;) {
		assert_int_equal(src->ops->next(src, &b, &e), 0);
		if (!b)
			break;
		for (size_t i = 0; i < b->n; i++)
			if (S_ISREG(b->entries[i].st.mode))
				judge(src, &b->entries[i], &m[seen++], t);
		src->ops->batch_free(src, b);
	}
	src->ops->free(src);
	assert_int_equal(seen, FILES);
}

static const char *steps_body(struct world *w)
{
	const char *size = getenv("TEST_SIZE"), *seed = getenv("TEST_SEED");
	struct dice d = { .at = seed ? strtoull(seed, NULL, 10) * 1000000007 : 1 };
	int rounds = size && strcmp(size, "full") == 0 ? 400 : 60;
	struct memory m[FILES] = { 0 };
	struct tally t = { 0 };
	char token[SNAPSHOT_TOKEN_MAX] = "";

	for (size_t i = 0; i < FILES; i++) {
		auto_close int fd = open_file(w, i);

		if (i == 2)
			set_flag(fd, FS_NOCOW_FL);
		if (i == 3)
			set_flag(fd, FS_COMPR_FL);
		assert_int_equal(ftruncate(fd, FILE_MAX), 0);
	}
	for (int i = 0; i < rounds; i++) {
		for (uint64_t n = roll(&d, 25); n > 0; n--)
			act(w, &d);
		struct snapshot *s = take(w, w->mnt);
		look(s, token[0] ? token : NULL, m, &t);
		(void)snprintf(token, sizeof(token), "%s", s->token);
		give_up(s, true);
	}
	print_message("seed %s: %llu KiB looked at, %llu called changed, %llu had\n",
	              seed ? seed : "1", (unsigned long long)t.bytes / 1024,
	              (unsigned long long)t.claimed / 1024, (unsigned long long)t.differ / 1024);
	assert_true(t.claimed < t.bytes);
	for (size_t i = 0; i < FILES; i++)
		free(m[i].p);
	return NULL;
}

static void test_btrfs_source__never_calls_unchanged_what_changed(void **state)
{
	struct world w;

	(void)state;
	const char *why = world_make(&w);
	why = why ? why : steps_body(&w);
	world_end(&w);
	left_out(why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_btrfs_supports__roots_of_subvolumes_that_can_be_written_to),
		cmocka_unit_test(test_btrfs_take__the_view_has_all_that_was_written_before),
		cmocka_unit_test(test_btrfs_source__nested_subvolumes_are_named),
		cmocka_unit_test(test_btrfs_clean__what_a_crash_left_is_removed_once),
		cmocka_unit_test(test_btrfs_clean__a_note_that_names_nothing),
		cmocka_unit_test(
			test_btrfs_source__knows_the_changes_since_the_view_of_the_point_before),
		cmocka_unit_test(test_btrfs_source__a_base_that_was_written_to_is_none),
		cmocka_unit_test(test_btrfs_source__a_clone_of_old_data_is_a_change),
		cmocka_unit_test(test_btrfs_source__never_calls_unchanged_what_changed),
	};

	can_mount = mounts_private();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
