/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views made of copies, over every file system and both ways of copying: that
 * they are what the frozen original was, whatever went on before and after.
 */
#include "snapshot/precopy.h"

#include "tests/unit/snapshot/frozen.h"

static bool can_mount;

struct kind {
	const struct snapshot_ops *driver;
	const char *mkfs;
};

static const struct kind kinds[] = {
	{ &snapshot_reflink, "mkfs.xfs" },  { &snapshot_reflink, "mkfs.btrfs" },
	{ &snapshot_freeze, "mkfs.ext4" },  { &snapshot_freeze, "mkfs.xfs" },
	{ &snapshot_freeze, "mkfs.btrfs" },
};

static struct frozen_world worlds[ARRAY_LEN(kinds)];
static bool there[ARRAY_LEN(kinds)];

static int open_worlds(void **state)
{
	(void)state;
	for (size_t i = 0; can_mount && i < ARRAY_LEN(kinds); i++) {
		there[i] = frozen_open(&worlds[i], kinds[i].mkfs);
		if (!there[i])
			print_message("no %s here\n", kinds[i].mkfs);
	}
	return 0;
}

static int close_worlds(void **state)
{
	(void)state;
	for (size_t i = 0; can_mount && i < ARRAY_LEN(kinds); i++)
		frozen_close(&worlds[i]);
	return 0;
}

/* Runs body in a world of each kind; a file system that cannot be had is left out. */
static void over_all(void (*body)(struct frozen_world *w, const struct kind *k))
{
	size_t ran = 0;

	if (!can_mount) {
		left_out("this process may not mount");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (!there[i])
			continue;
		frozen_empty(&worlds[i]);
		body(&worlds[i], &kinds[i]);
		assert_int_equal(frozen_left_over(worlds[i].volume), 0);
		assert_int_equal(frozen_left_over(worlds[i].scratch), 0);
		ran++;
	}
	left_out(ran ? NULL : "no file system that can be frozen");
}

static struct snapshot *prepared(const struct frozen_world *w, const struct kind *k,
                                 const char *path)
{
	struct err e = ERR_INIT;
	struct snapshot *s = snapshot_prepare(&w->env, k->driver, path, &e);

	if (!s)
		fail_msg("%s on %s: %s", k->driver->name, k->mkfs, e.msg);
	return s;
}

static void released(struct snapshot *s)
{
	struct err e = ERR_INIT;

	if (snapshot_release(s, &e) < 0)
		fail_msg("%s", e.msg);
}

/* Captures, finishes, and compares the view with the original as it was while frozen. */
static void assert_view_is_original(struct frozen_world *w, struct snapshot *s, bool holes)
{
	struct err e = ERR_INIT;
	auto_free char *then = frozen_capture(s, w->volume, holes, &e);

	if (!then)
		fail_msg("%s", e.msg);
	if (snapshot_finish(s, &e) < 0)
		fail_msg("%s", e.msg);
	auto_free char *view = show_view(s, NULL, holes);
	assert_same_text(then, view);
}

static void make_tree(const char *dir)
{
	static uint8_t bytes[300000];
	auto_free char *big = path_join(dir, "sub/big");
	auto_free char *link2 = path_join(dir, "sub/again");
	auto_free char *sym = path_join(dir, "sym");
	auto_free char *fifo = path_join(dir, "fifo");
	auto_free char *node = path_join(dir, "node");
	auto_free char *sparse = path_join(dir, "sparse");
	auto_free char *odd = path_join(dir, "sub/odd \n\x01\xff name");
	auto_free char *empty_dir = path_join(dir, "void");

	fill_random(1, bytes, sizeof(bytes));
	write_text(dir, "a", "small");
	write_text(dir, "empty", "");
	write_file(dir, "sub/big", bytes, sizeof(bytes));
	write_text(dir, "sub/deep/er/file", "down here");
	write_text(dir, "sub/odd \n\x01\xff name", "odd");
	assert_int_equal(link(big, link2), 0);
	assert_int_equal(symlink("nowhere/\xfe", sym), 0);
	assert_int_equal(mkfifo(fifo, 0640), 0);
	assert_int_equal(mknod(node, S_IFCHR | 0600, 0x103), 0);
	assert_int_equal(mkdir(empty_dir, 01777), 0);
	assert_int_equal(setxattr(odd, "user.note", "value", 5, 0), 0);
	assert_int_equal(setxattr(empty_dir, "trusted.note", "v", 1, 0), 0);
	assert_int_equal(lsetxattr(sym, "trusted.link", "l", 1, 0), 0);
	assert_int_equal(chown(big, 1234, 4321), 0);
	auto_close int fd = open(sparse, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "x", 1, 4 * (off_t)MIB), 1);
	assert_int_equal(ftruncate(fd, 9 * (off_t)MIB), 0);
}

static void quiet_tree(struct frozen_world *w, const struct kind *k)
{
	make_tree(w->volume);
	struct snapshot *s = prepared(w, k, w->volume);
	assert_view_is_original(w, s, true);
	assert_int_equal(s->consistency, SNAP_FILESYSTEM);
	assert_true(s->freeze);
	assert_false(s->block);
	released(s);
}

static void test_precopy__the_view_has_everything_that_the_original_has(void **state)
{
	(void)state;
	over_all(quiet_tree);
}

static void busy_tree(struct frozen_world *w, const struct kind *k)
{
	bool full = strcmp(getenv("TEST_SIZE") ? getenv("TEST_SIZE") : "small", "full") == 0;

	for (unsigned round = 0; round < (full ? 10U : 2U); round++) {
		frozen_empty(w);
		make_tree(w->volume);
		pid_t a = writer_start(writer_chaos, w->volume, round);
		pid_t b = writer_start(writer_records, w->volume, 0);
		pid_t c = writer_start(writer_mapped, w->volume, round);

		writer_begun(w->volume);
		struct snapshot *s = prepared(w, k, w->volume);
		assert_view_is_original(w, s, false);
		writer_stop(a);
		writer_stop(b);
		writer_stop(c);
		assert_true(assert_records_prefix(s) > 0);
		released(s);
	}
}

static void test_precopy__is_of_one_moment_while_others_write(void **state)
{
	(void)state;
	over_all(busy_tree);
}

/* Each way in which a file can differ from its copy, done between the copy and the freeze. */
static void each_change(struct frozen_world *w, const struct kind *k)
{
	static const char *const names[] = { "longer", "shorter",  "middle", "hole",
		                             "gone",   "moved",    "mode",   "attr",
		                             "filled", "replaced", "same",   "cut-and-grown" };
	static uint8_t bytes[200000];
	char at[600], to[600];
	int fds[ARRAY_LEN(names)];

	fill_random(7, bytes, sizeof(bytes));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		write_file(w->volume, names[i], bytes, sizeof(bytes));
		(void)snprintf(at, sizeof(at), "%s/%s", w->volume, names[i]);
		fds[i] = open(at, O_RDWR | O_CLOEXEC);
		assert_true(fds[i] >= 0);
	}
	assert_int_equal(fallocate(fds[8], 0, 1000000, 500000), 0); /* allocated, not written */
	struct snapshot *s = prepared(w, k, w->volume);

	assert_int_equal(pwrite(fds[0], bytes, 5000, 199999), 5000);
	assert_int_equal(ftruncate(fds[1], 12345), 0);
	assert_int_equal(pwrite(fds[2], "changed", 7, 100001), 7);
	assert_int_equal(fallocate(fds[3], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 65536),
	                 0);
	(void)snprintf(at, sizeof(at), "%s/gone", w->volume);
	assert_int_equal(unlink(at), 0);
	(void)snprintf(at, sizeof(at), "%s/moved", w->volume);
	(void)snprintf(to, sizeof(to), "%s/d", w->volume);
	assert_int_equal(mkdir(to, 0700), 0);
	(void)snprintf(to, sizeof(to), "%s/d/elsewhere", w->volume);
	assert_int_equal(rename(at, to), 0);
	assert_int_equal(fchmod(fds[6], 0600), 0);
	assert_int_equal(fsetxattr(fds[7], "user.x", "y", 1, 0), 0);
	assert_int_equal(pwrite(fds[8], bytes, 9000, 1200000), 9000);
	(void)snprintf(at, sizeof(at), "%s/replaced", w->volume);
	(void)snprintf(to, sizeof(to), "%s/new", w->volume);
	write_text(w->volume, "new", "another file under its name");
	assert_int_equal(rename(to, at), 0);
	assert_int_equal(ftruncate(fds[11], 5000), 0);
	assert_int_equal(ftruncate(fds[11], 190000), 0);
	write_text(w->volume, "d/fresh", "made after the copy");
	assert_view_is_original(w, s, true);

	/* and nothing that is done afterwards is in it */
	auto_free char *before = show_view(s, NULL, true);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(pwrite(fds[i], "later", 5, 3), 5);
		(void)close(fds[i]);
	}
	(void)snprintf(at, sizeof(at), "%s/same", w->volume);
	assert_int_equal(unlink(at), 0);
	auto_free char *after = show_view(s, NULL, true);
	assert_same_text(before, after);
	released(s);
}

static void test_precopy__keeps_each_kind_of_change_until_the_freeze_and_none_after(void **state)
{
	(void)state;
	over_all(each_change);
}

static void below_the_root(struct frozen_world *w, const struct kind *k)
{
	auto_free char *sub = path_join(w->volume, "sub");
	auto_free char *void_dir = path_join(w->volume, "void");
	struct err e = ERR_INIT;
	bool empty = true;

	make_tree(w->volume);
	struct snapshot *s = prepared(w, k, sub);
	assert_view_is_original(w, s, true);
	assert_int_equal(snapshot_is_empty(s, &empty, &e), 0);
	assert_false(empty);
	assert_int_equal(frozen_left_over(sub), 0);

	/* copies of other snapshots are in no view and in no live walk, left over ones neither */
	struct snapshot *whole = prepared(w, k, w->volume);
	assert_view_is_original(w, whole, true);
	auto_free char *text = show_view(whole, NULL, true);
	assert_null(strstr(text, ".aksdr-view-"));
	released(whole);
	released(s);

	s = prepared(w, k, void_dir);
	assert_view_is_original(w, s, true);
	assert_int_equal(snapshot_is_empty(s, &empty, &e), 0);
	assert_true(empty);
	released(s);
}

static void test_precopy__takes_a_directory_below_the_mount(void **state)
{
	(void)state;
	over_all(below_the_root);
}

static void leaves_out(struct frozen_world *w, const struct kind *k)
{
	static const char *const excludes[] = { "*.tmp", "sub/deep/", "/c2/CACHEDIR.TAG" };
	static const char tag[] = "Signature: 8a477f597d28d172789f06886806bc55\n";
	const struct walk_params params = { .excludes = excludes,
		                            .nexcludes = ARRAY_LEN(excludes),
		                            .skip_caches = true };
	struct err e = ERR_INIT;

	make_tree(w->volume);
	write_text(w->volume, "x.tmp", "x");
	write_text(w->volume, "dir.tmp/y", "y");
	write_text(w->volume, "cache/A", "left out");
	write_text(w->volume, "cache/CACHEDIR.TAG", tag);
	write_text(w->volume, "cache/more/B", "left out");
	write_text(w->volume, "cachet/C", "stays");
	write_text(w->volume, "c2/CACHEDIR.TAG", tag);
	write_text(w->volume, "c2/D", "stays");
	write_text(w->volume, "c3/CACHEDIR.TAG", "no signature");
	write_text(w->volume, "c3/E", "stays");
	auto_free char *walked = show_walk(w->volume, &params, true);
	struct snapshot *s = prepared(w, k, w->volume);
	auto_free char *then = frozen_capture(s, w->volume, true, &e);
	assert_non_null(then);
	assert_int_equal(snapshot_finish(s, &e), 0);
	auto_free char *view = show_view(s, &params, true);
	auto_free char *all = show_view(s, NULL, true);
	assert_non_null(strstr(all, "cache/more/B"));
	assert_null(strstr(view, "cache/more"));
	assert_non_null(strstr(view, "c2/D"));
	/* the root itself has another time when copies were made in it */
	assert_same_text(strchr(walked, '\n'), strchr(view, '\n'));
	released(s);
}

static void test_precopy_source__leaves_out_what_a_walk_leaves_out(void **state)
{
	(void)state;
	over_all(leaves_out);
}

static void too_much(struct frozen_world *w, const struct kind *k)
{
	static uint8_t bytes[400000];
	struct err e = ERR_INIT;

	write_text(w->volume, "a", "x");
	w->env.copy_max_bytes = 300000;
	struct snapshot *s = prepared(w, k, w->volume);
	fill_random(2, bytes, sizeof(bytes));
	write_file(w->volume, "a", bytes, sizeof(bytes));
	assert_null(frozen_capture(s, w->volume, true, &e));
	assert_int_equal(e.class, ERR_TOO_BIG);
	released(s);

	/* no time at all */
	w->env.copy_max_bytes = 0;
	w->env.freeze_max_ms = 0;
	s = prepared(w, k, w->volume);
	write_text(w->volume, "a", "changed");
	struct snapshot_env hasty = w->env;
	hasty.freeze_max_ms = 1;
	s->env = &hasty;
	for (int i = 0; i < 400; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "f%d", i);
		write_file(w->volume, name, bytes, 100000);
	}
	assert_null(frozen_capture(s, w->volume, true, &e));
	assert_int_equal(e.class, ERR_RETRY);
	released(s);
}

static void test_precopy_capture__gives_up_over_its_bounds(void **state)
{
	(void)state;
	over_all(too_much);
}

/* Where the child dies. */
enum step { AFTER_PREPARE, AFTER_CAPTURE, AFTER_FINISH, STEPS };

static void die_at(const struct frozen_world *w, const struct kind *k, enum step at)
{
	struct err e = ERR_INIT;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct snapshot *s = snapshot_prepare(&w->env, k->driver, w->volume, &e);

		if (!s)
			_exit(1);
		if (at > AFTER_PREPARE) {
			struct freeze f = freeze_begin(w->volume);
			int rc = s->ops->capture(s, &e);

			/* the guard thaws */
			if (rc < 0 || (at == AFTER_CAPTURE && raise(SIGKILL)))
				_exit(1);
			freeze_end(&f);
			if (snapshot_finish(s, &e) < 0)
				_exit(1);
		}
		(void)raise(SIGKILL);
	}
	assert_true(waitpid(pid, &status, 0) == pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void dies(struct frozen_world *w, const struct kind *k)
{
	struct err e = ERR_INIT;
	size_t removed;

	make_tree(w->volume);
	for (enum step at = 0; at < STEPS; at++) {
		die_at(w, k, at);
		assert_int_equal(frozen_left_over(w->volume) + frozen_left_over(w->scratch), 1);
		if (snapshot_reconcile(w->journal, &removed, &e) < 0)
			fail_msg("%s", e.msg);
		assert_int_equal(removed, 1);
		assert_int_equal(frozen_left_over(w->volume) + frozen_left_over(w->scratch), 0);
	}
	/* the file system is not frozen any more */
	write_text(w->volume, "a", "can be written");
}

static void test_precopy__whatever_step_dies_its_copies_are_removed_by_the_journal(void **state)
{
	(void)state;
	over_all(dies);
}

static void many(struct frozen_world *w, const struct kind *k)
{
	char name[40];

	w->env.copy_max_bytes = 64 * MIB;
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(name, sizeof(name), "d%d/f%d", i % 7, i);
		write_text(w->volume, name, name);
	}
	struct snapshot *s = prepared(w, k, w->volume);
	for (int i = 0; i < 5000; i += 50) {
		(void)snprintf(name, sizeof(name), "d%d/f%d", i % 7, i);
		write_text(w->volume, name, "changed");
	}
	assert_view_is_original(w, s, true);
	assert_int_equal(precopy_stats(s).entries, 5000 + 7 + 1);
	released(s);
}

static void test_precopy__takes_thousands_of_files(void **state)
{
	(void)state;
	over_all(many);
}

static void mounts_below(struct frozen_world *w, const struct kind *k)
{
	auto_free char *at = path_join(w->volume, "other");
	struct err e = ERR_INIT;

	assert_int_equal(mkdir(at, 0755), 0);
	assert_int_equal(mount("none", at, "tmpfs", 0, NULL), 0);
	write_text(w->volume, "other/file", "not ours");
	write_text(w->volume, "file", "ours");
	struct snapshot *s = prepared(w, k, w->volume);
	auto_free char *then = frozen_capture(s, w->volume, true, &e);
	assert_non_null(then);
	assert_int_equal(snapshot_finish(s, &e), 0);
	auto_free char *view = show_view(s, NULL, true);
	assert_same_text(then, view);
	assert_null(strstr(view, "other/file"));
	assert_int_equal(s->nnotes, 1);
	assert_string_equal(s->notes[0],
	                    "another file system is mounted on 'other'; it is not in the view");
	released(s);
	assert_int_equal(umount2(at, MNT_DETACH), 0);
}

static void test_precopy__stays_on_its_mount_and_says_so(void **state)
{
	(void)state;
	over_all(mounts_below);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_precopy__the_view_has_everything_that_the_original_has),
		cmocka_unit_test(test_precopy__is_of_one_moment_while_others_write),
		cmocka_unit_test(
			test_precopy__keeps_each_kind_of_change_until_the_freeze_and_none_after),
		cmocka_unit_test(test_precopy__takes_a_directory_below_the_mount),
		cmocka_unit_test(test_precopy_source__leaves_out_what_a_walk_leaves_out),
		cmocka_unit_test(test_precopy_capture__gives_up_over_its_bounds),
		cmocka_unit_test(
			test_precopy__whatever_step_dies_its_copies_are_removed_by_the_journal),
		cmocka_unit_test(test_precopy__takes_thousands_of_files),
		cmocka_unit_test(test_precopy__stays_on_its_mount_and_says_so),
	};

	can_mount = mounts_private();
	return cmocka_run_group_tests(tests, open_worlds, close_worlds);
}
