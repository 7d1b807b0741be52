/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of snapshot/snapshot.h as one suite, run over every driver with a
 * volume that it works for. What differs between them is in the table of
 * fixtures and in their capability bits; no test asks which driver it has.
 */
#include "snapshot/snapshot.h"

#include "common/now.h"
#include "tests/unit/snapshot/frozen.h"

struct fixture {
	const struct snapshot_ops *driver;
	const char *mkfs; /* of the volume's file system; NULL: any directory will do */
	struct frozen_world w;
	const char *missing; /* why it cannot run here; NULL: it can */
};

static struct fixture fixtures[] = {
	{ .driver = &snapshot_btrfs, .mkfs = "mkfs.btrfs" },
	{ .driver = &snapshot_reflink, .mkfs = "mkfs.xfs" },
	{ .driver = &snapshot_reflink, .mkfs = "mkfs.btrfs" },
	{ .driver = &snapshot_freeze, .mkfs = "mkfs.ext4" },
	{ .driver = &snapshot_live, .mkfs = NULL },
};

/* Drivers whose volumes need more of a machine, and where they are tried instead. */
static const struct snapshot_ops *const elsewhere[] = { &snapshot_lvm_thin };

static bool can_mount;

static int open_fixtures(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fixtures); i++) {
		struct fixture *f = &fixtures[i];
		bool there = true;

		if (f->mkfs && !can_mount)
			f->missing = "this process may not mount";
		else
			there = frozen_open(&f->w, f->mkfs ? f->mkfs : "true");
		if (!there && f->mkfs)
			f->missing = "its file system cannot be had here";
		if (f->missing)
			print_message("%s: left out: %s\n", f->driver->name, f->missing);
	}
	return 0;
}

static int close_fixtures(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fixtures); i++)
		if (fixtures[i].w.dir)
			frozen_close(&fixtures[i].w);
	return 0;
}

/* Notes that are left in the journal. */
static size_t notes(const struct fixture *f)
{
	auto_free char *dir = path_join(f->w.dir, "journal");

	return count_files(dir);
}

static void over_all(void (*body)(struct fixture *f))
{
	for (size_t i = 0; i < ARRAY_LEN(fixtures); i++) {
		struct fixture *f = &fixtures[i];

		if (f->missing)
			continue;
		frozen_empty(&f->w);
		write_text(f->w.volume, "dir/file", "content");
		write_text(f->w.volume, "other", "more content");
		body(f);
		assert_int_equal(notes(f), 0);
	}
}

static struct snapshot *take(struct fixture *f)
{
	struct err e = ERR_INIT;
	struct snapshot *s = snapshot_take(&f->w.env, f->driver, f->w.volume, &e);

	if (!s)
		fail_msg("%s: %s", f->driver->name, e.msg);
	return s;
}

static void release(struct snapshot *s)
{
	struct err e = ERR_INIT;

	if (snapshot_release(s, &e) < 0)
		fail_msg("%s", e.msg);
}

static void test_snapshot_drivers__each_one_is_tried(void **state)
{
	const struct snapshot_ops *const *d = snapshot_drivers();

	(void)state;
	for (; *d; d++) {
		bool found = false;

		for (size_t i = 0; i < ARRAY_LEN(fixtures); i++)
			found |= fixtures[i].driver == *d;
		for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++)
			found |= elsewhere[i] == *d;
		if (!found)
			fail_msg("the driver '%s' has no fixture", (*d)->name);
	}
}

static void supports(struct fixture *f)
{
	const struct snapshot_env none = { 0 };
	struct err e = ERR_INIT;
	auto_free char *before = show_walk(f->w.volume, NULL, false);

	assert_int_equal(f->driver->supports(&f->w.env, f->w.volume, &e), 1);
	int bare = f->driver->supports(&none, f->w.volume, &e);
	assert_in_range(bare, 0, 1);
	if (bare == 0)
		assert_true(e.msg[0] != '\0');
	/* looking makes nothing */
	auto_free char *after = show_walk(f->w.volume, NULL, false);
	assert_same_text(before, after);
	assert_int_equal(notes(f), 0);
}

static void test_supports__looks_and_makes_nothing(void **state)
{
	(void)state;
	over_all(supports);
}

static void fields(struct fixture *f)
{
	int64_t before = now_wall_ns();
	struct snapshot *s = take(f);

	assert_ptr_equal(s->ops, f->driver);
	assert_string_equal(s->origin, f->w.volume);
	assert_non_null(s->path);
	assert_true(s->fd >= 0);
	assert_false(s->block);
	assert_true(s->consistency <= f->driver->consistency);
	assert_true(s->freeze_ns >= before && s->freeze_ns <= now_wall_ns());
	assert_int_equal(s->freeze, (f->driver->caps & SNAP_CAP_FREEZE) != 0);
	if (s->freeze) {
		assert_true(s->window.asked_ns >= before);
		assert_true(s->window.frozen_ns >= s->window.asked_ns);
		assert_true(s->window.thawed_ns >= s->window.frozen_ns);
	} else {
		assert_int_equal(s->window.frozen_ns, 0);
	}
	if (!(f->driver->caps & SNAP_CAP_DIFF))
		assert_string_equal(s->token, "");
	release(s);
}

static void test_take__says_when_and_how_well(void **state)
{
	(void)state;
	over_all(fields);
}

/* A view as names and contents: times and numbers of inodes are the drivers' own matter. */
static char *names_and_contents(const struct snapshot *snap)
{
	struct err e = ERR_INIT;
	struct source *s = snapshot_source(snap, NULL, NULL, &e);
	static char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct batch *b;

	if (!s || !out)
		harness_die("%s", e.msg);
	while (s->ops->next(s, &b, &e) == 0 && b) {
		for (size_t i = 0; i < b->n; i++) {
			struct entry *n = &b->entries[i];

			(void)fprintf(out, "%s %o %" PRIu64, n->path, n->st.mode, n->st.size);
			if (S_ISREG(n->st.mode))
				show_content(out, s, n, false);
			(void)fputc('\n', out);
		}
		s->ops->batch_free(s, b);
	}
	s->ops->free(s);
	(void)fclose(out);
	return STEAL(&text);
}

static void stays(struct fixture *f)
{
	struct err e = ERR_INIT;
	auto_free char *other = path_join(f->w.volume, "other");
	bool empty = true;
	struct snapshot *s = take(f);

	auto_free char *before = names_and_contents(s);
	assert_non_null(strstr(before, "dir/file 100644 7 crc"));
	assert_int_equal(snapshot_is_empty(s, &empty, &e), 0);
	assert_false(empty);
	write_text(f->w.volume, "dir/file", "other content");
	write_text(f->w.volume, "dir/new", "new");
	assert_int_equal(unlink(other), 0);
	auto_free char *after = names_and_contents(s);
	if (f->driver->caps & SNAP_CAP_ATOMIC)
		assert_same_text(before, after);
	else
		assert_non_null(strstr(after, "dir/new"));
	release(s);
	assert_true(file_exists(f->w.volume, "dir/new"));
}

static void test_view__does_not_change_when_it_is_of_one_moment(void **state)
{
	(void)state;
	over_all(stays);
}

static void steps_alone(struct fixture *f)
{
	struct err e = ERR_INIT;
	struct snapshot *s = snapshot_prepare(&f->w.env, f->driver, f->w.volume, &e);

	assert_non_null(s);
	release(s);
	s = snapshot_prepare(&f->w.env, f->driver, f->w.volume, &e);
	assert_non_null(s);
	assert_int_equal(snapshot_capture(&s, 1, &e), 0);
	release(s);
	auto_free char *left = show_walk(f->w.volume, NULL, false);
	assert_non_null(strstr(left, "dir/file"));
	assert_int_equal(frozen_left_over(f->w.volume), 0);
}

static void test_release__works_after_any_step(void **state)
{
	(void)state;
	over_all(steps_alone);
}

static void two_at_once(struct fixture *f)
{
	struct err e = ERR_INIT, errs[2] = { ERR_INIT, ERR_INIT };
	struct snapshot *set[2];

	for (size_t i = 0; i < 2; i++) {
		set[i] = snapshot_prepare(&f->w.env, f->driver, f->w.volume, &e);
		assert_non_null(set[i]);
	}
	if (snapshot_capture(set, 2, errs) < 0)
		fail_msg("%s%s", errs[0].msg, errs[1].msg);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(snapshot_finish(set[i], &e), 0);
	auto_free char *a = names_and_contents(set[0]);
	auto_free char *b = names_and_contents(set[1]);
	assert_same_text(a, b);
	release(set[0]);
	auto_free char *still = names_and_contents(set[1]);
	assert_same_text(a, still);
	release(set[1]);
}

static void test_capture__two_of_one_volume_do_not_disturb_each_other(void **state)
{
	(void)state;
	over_all(two_at_once);
}

static void ordered_writes(struct fixture *f)
{
	if (!(f->driver->caps & SNAP_CAP_ATOMIC))
		return;
	/* A power cut keeps no order of what was not synced (docs/SNAPSHOTS.md). */
	pid_t writer = writer_start(f->driver->consistency == SNAP_CRASH ? writer_synced_records
	                                                                 : writer_records,
	                            f->w.volume, 0);

	for (int i = 0; i < 3; i++) {
		struct snapshot *s = take(f);

		(void)assert_records_prefix(s);
		release(s);
	}
	writer_stop(writer);
}

static void test_view__has_no_write_without_those_before_it(void **state)
{
	(void)state;
	over_all(ordered_writes);
}

static void dies_with_it(struct fixture *f)
{
	struct err e = ERR_INIT;
	size_t removed;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct snapshot *s = snapshot_take(&f->w.env, f->driver, f->w.volume, &e);

		_exit(s ? 0 : 1);
	}
	assert_true(waitpid(pid, &status, 0) == pid);
	assert_int_equal(status, 0);
	assert_true(file_exists(f->w.volume, "dir/file"));
	if (snapshot_reconcile(f->w.journal, &removed, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(frozen_left_over(f->w.volume) + frozen_left_over(f->w.scratch), 0);
	auto_free char *left = show_walk(f->w.volume, NULL, false);
	assert_non_null(strstr(left, "dir/file"));
}

static void test_reconcile__removes_what_a_process_that_died_has_left(void **state)
{
	(void)state;
	over_all(dies_with_it);
}

static void given_up(struct fixture *f)
{
	struct err e = ERR_INIT;
	struct batch *b;
	struct snapshot *s = take(f);
	struct source *one = snapshot_source(s, NULL, NULL, &e);
	struct source *two = snapshot_source(s, NULL, NULL, &e);

	assert_true(one && two);
	assert_int_equal(one->ops->next(one, &b, &e), 0);
	assert_string_equal(b->entries[0].path, "");
	one->ops->batch_free(one, b);
	one->ops->free(one);
	auto_free char *text = show_source(two, false);
	assert_non_null(strstr(text, "other"));
	release(s);
}

static void test_source__several_at_once_and_given_up_early(void **state)
{
	(void)state;
	over_all(given_up);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snapshot_drivers__each_one_is_tried),
		cmocka_unit_test(test_supports__looks_and_makes_nothing),
		cmocka_unit_test(test_take__says_when_and_how_well),
		cmocka_unit_test(test_view__does_not_change_when_it_is_of_one_moment),
		cmocka_unit_test(test_release__works_after_any_step),
		cmocka_unit_test(test_capture__two_of_one_volume_do_not_disturb_each_other),
		cmocka_unit_test(test_view__has_no_write_without_those_before_it),
		cmocka_unit_test(test_reconcile__removes_what_a_process_that_died_has_left),
		cmocka_unit_test(test_source__several_at_once_and_given_up_early),
	};
	const char *bin = getenv("BIN");
	auto_free char *freezer = path_join(bin ? bin : "build/release", "aksdr-freezer");

	(void)setenv("AKSDR_FREEZER", freezer, 1);
	can_mount = mounts_private();
	return cmocka_run_group_tests(tests, open_fixtures, close_fixtures);
}
