/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of drivers and the life of a snapshot. */
#include "snapshot/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "tests/harness/harness.h"
#include "tests/harness/syshook.h"

static const struct snapshot_env env;

static void test_snapshot_drivers__every_one_is_whole_and_named_once(void **state)
{
	const struct snapshot_ops *const *d = snapshot_drivers();
	size_t n = 0;

	(void)state;
	for (; d[n]; n++) {
		assert_non_null(d[n]->name);
		assert_true(d[n]->supports && d[n]->capture && d[n]->finish && d[n]->release);
		for (size_t i = 0; i < n; i++)
			assert_string_not_equal(d[i]->name, d[n]->name);
	}
	assert_true(n >= 1);
	assert_ptr_equal(d[n - 1], &snapshot_live); /* works always, so it is the last resort */
}

static void test_snapshot_consistency_name__the_words_of_the_catalog(void **state)
{
	(void)state;
	assert_string_equal(snapshot_consistency_name(SNAP_FUZZY), "fuzzy");
	assert_string_equal(snapshot_consistency_name(SNAP_CRASH), "crash");
	assert_string_equal(snapshot_consistency_name(SNAP_FILESYSTEM), "filesystem");
	assert_string_equal(snapshot_consistency_name(SNAP_APPLICATION), "application");
}

static void test_snapshot_choose__by_name_and_by_itself(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;

	(void)state;
	assert_ptr_equal(snapshot_choose(&env, "live", dir, &e), &snapshot_live);
	assert_non_null(snapshot_choose(&env, "auto", dir, &e));
	assert_ptr_equal(snapshot_choose(&env, NULL, dir, &e),
	                 snapshot_choose(&env, "auto", dir, &e));
	assert_null(snapshot_choose(&env, "liv", dir, &e));
	assert_int_equal(e.class, ERR_INVALID);
	assert_non_null(strstr(e.msg, "'liv'"));
}

static void test_snapshot_choose__a_source_must_be_there_and_hold_data(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *none = path_join(dir, "none");
	auto_free char *fifo = path_join(dir, "fifo");
	auto_free char *under_file = path_join(dir, "file/x");
	struct err e = ERR_INIT;

	(void)state;
	write_text(dir, "file", "x");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_null(snapshot_choose(&env, "auto", none, &e));
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "does not exist; check its path"));
	assert_null(snapshot_choose(&env, "live", "", &e));
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_null(snapshot_choose(&env, "live", fifo, &e));
	assert_int_equal(e.class, ERR_INVALID);
	assert_null(snapshot_choose(&env, "live", "/dev/null", &e));
	assert_int_equal(e.class, ERR_INVALID);
	assert_null(snapshot_choose(&env, "live", under_file, &e));
	assert_int_equal(e.class, ERR_IO);
	assert_null(snapshot_take(&env, &snapshot_live, none, &e));
	assert_int_equal(e.class, ERR_NOT_FOUND);
}

static void assert_empty(const char *path, bool expected)
{
	struct err e = ERR_INIT;
	bool empty = !expected;
	struct snapshot *s = snapshot_take(&env, &snapshot_live, path, &e);

	assert_non_null(s);
	assert_int_equal(snapshot_is_empty(s, &empty, &e), 0);
	assert_int_equal(empty, expected);
	assert_int_equal(snapshot_release(s, &e), 0);
}

static void test_snapshot_is_empty__no_entries_or_no_bytes(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *hidden = path_join(dir, "d/.hidden");
	auto_free char *d = path_join(dir, "d");
	auto_free char *void_file = path_join(dir, "d/void");
	auto_free char *file = path_join(dir, "file");

	(void)state;
	write_text(dir, "d/.hidden", "");
	assert_empty(d, false);
	assert_int_equal(unlink(hidden), 0);
	assert_empty(d, true);
	write_text(dir, "d/void", "");
	assert_empty(d, false);
	assert_empty(void_file, true);
	write_text(dir, "file", "x");
	assert_empty(file, false);
}

static void test_snapshot_is_empty__a_view_that_went_away_is_no_empty_one(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *d = path_join(dir, "d");
	auto_free char *f = path_join(dir, "f");
	struct err e = ERR_INIT;
	bool empty = true;

	(void)state;
	assert_int_equal(mkdir(d, 0755), 0);
	write_text(dir, "f", "x");
	struct snapshot *s = snapshot_take(&env, &snapshot_live, d, &e);
	struct snapshot *image = snapshot_take(&env, &snapshot_live, f, &e);
	assert_true(s && image);
	assert_int_equal(rmdir(d), 0);
	assert_int_equal(unlink(f), 0);
	assert_int_equal(snapshot_is_empty(s, &empty, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_int_equal(snapshot_is_empty(image, &empty, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_int_equal(snapshot_release(s, &e), 0);
	assert_int_equal(snapshot_release(image, &e), 0);
	assert_int_equal(snapshot_release(NULL, &e), 0);
}

static size_t count_entries(const char *path, bool *ret_block)
{
	struct err e = ERR_INIT;
	struct snapshot *snap = snapshot_take(&env, &snapshot_live, path, &e);
	size_t n = 0;

	assert_non_null(snap);
	struct source *s = snapshot_source(snap, NULL, NULL, &e);
	assert_non_null(s);
	for (;;) {
		struct batch *b;

		assert_int_equal(s->ops->next(s, &b, &e), 0);
		if (!b)
			break;
		n += b->n;
		*ret_block = b->entries[0].block;
		s->ops->batch_free(s, b);
	}
	s->ops->free(s);
	assert_int_equal(snapshot_release(snap, &e), 0);
	return n;
}

static void test_snapshot_source__walks_directories_and_takes_files_as_images(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *d = path_join(dir, "d");
	auto_free char *f = path_join(dir, "d/a");
	bool block = true;

	(void)state;
	write_text(dir, "d/a", "x");
	write_text(dir, "d/b/c", "x");
	assert_int_equal(count_entries(d, &block), 4);
	assert_false(block);
	assert_int_equal(count_entries(f, &block), 1);
	assert_true(block);
}

static int cannot_take(struct snapshot *s, struct err *e)
{
	(void)s;
	return err_set(e, ERR_BUSY, "the volume is being frozen by somebody else");
}

static int takes(struct snapshot *s, struct err *e)
{
	(void)s;
	(void)e;
	return 0;
}

static int cannot_release(struct snapshot *s, struct err *e)
{
	(void)s;
	return err_set(e, ERR_BUSY, "still in use");
}

static void test_snapshot_take_and_release__failures_are_told_with_the_driver(void **state)
{
	const struct snapshot_ops failing = {
		.name = "failing", .capture = cannot_take, .finish = takes, .release = takes
	};
	const struct snapshot_ops sticky = { .name = "sticky",
		                             .consistency = SNAP_CRASH,
		                             .capture = takes,
		                             .finish = takes,
		                             .release = cannot_release };
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;

	(void)state;
	assert_null(snapshot_take(&env, &failing, dir, &e));
	assert_int_equal(e.class, ERR_BUSY);
	assert_non_null(strstr(e.msg, "taking a failing snapshot: the volume"));
	struct snapshot *s = snapshot_take(&env, &sticky, dir, &e);
	assert_non_null(s);
	assert_int_equal(s->consistency, SNAP_CRASH);
	assert_int_equal(snapshot_release(s, &e), -1);
	assert_non_null(strstr(e.msg, "releasing the sticky snapshot of '"));
	assert_non_null(strstr(e.msg, "still in use"));
}

struct failing {
	unsigned calls, at;
};

static int fail_at(void *arg, enum syshook_call call, int flags)
{
	struct failing *f = arg;

	(void)flags;
	return call == HOOK_ALLOC && f->calls++ == f->at ? ENOMEM : 0;
}

static void test_snapshot_take__each_failing_allocation_is_a_clean_error(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	unsigned failures = 0;

	(void)state;
	for (struct failing f = { .at = 0 };; f.at++) {
		struct err e = ERR_INIT, e2 = ERR_INIT;

		f.calls = 0;
		syshook_set(fail_at, &f);
		struct snapshot *s = snapshot_take(&env, &snapshot_live, dir, &e);
		syshook_set(NULL, NULL);
		assert_int_equal(snapshot_release(s, &e2), 0);
		if (s)
			break;
		assert_int_equal(e.class, ERR_NOMEM);
		failures++;
	}
	assert_int_equal(failures, 3); /* the snapshot, and two paths */
}

/* One view of a set: frozen from a to b, or taken at a by itself. */
static struct snapshot member(const struct snapshot_ops *ops, bool freeze, int64_t a, int64_t b)
{
	struct snapshot s = { .ops = ops, .freeze = freeze, .freeze_ns = a };

	if (freeze)
		s.window = (struct snapshot_window){ a - 1, a, b };
	return s;
}

static bool one_moment(struct snapshot a, struct snapshot b, struct snapshot c)
{
	const struct snapshot *set[] = { &a, &b, &c };

	return snapshot_one_moment(set, 3);
}

static void test_snapshot_one_moment__frozen_together_and_at_most_one_by_itself(void **state)
{
	const struct snapshot_ops frozen = { .caps = SNAP_CAP_ATOMIC | SNAP_CAP_FREEZE };
	const struct snapshot_ops atomic = { .caps = SNAP_CAP_ATOMIC };
	const struct snapshot_ops live = { .caps = 0 };
	struct snapshot a = member(&frozen, true, 10, 20), b = member(&frozen, true, 12, 22);

	(void)state;
	assert_true(one_moment(a, b, member(&frozen, true, 11, 19)));
	assert_true(one_moment(a, b, member(&atomic, false, 15, 0)));
	assert_false(one_moment(a, b, member(&atomic, false, 11, 0))); /* b was not frozen yet */
	assert_false(one_moment(a, b, member(&atomic, false, 21, 0))); /* a went on */
	assert_false(one_moment(a, b, member(&live, false, 15, 0)));
	assert_false(one_moment(a, b, member(&frozen, true, 20, 30)));
	assert_false(one_moment(a, member(&atomic, false, 14, 0), member(&atomic, false, 15, 0)));
}

static int moves_on(struct snapshot *s, struct err *e)
{
	(void)e;
	s->freeze_ns = 1;
	return 0;
}

static void test_snapshot_capture__one_that_fails_spoils_no_other(void **state)
{
	const struct snapshot_ops failing = {
		.name = "failing", .capture = cannot_take, .finish = takes, .release = takes
	};
	const struct snapshot_ops good = {
		.name = "good", .capture = moves_on, .finish = takes, .release = takes
	};
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT, errs[2] = { ERR_INIT, ERR_INIT };

	(void)state;
	struct snapshot *set[] = { snapshot_prepare(&env, &failing, dir, &e),
		                   snapshot_prepare(&env, &good, dir, &e) };
	assert_true(set[0] && set[1]);
	assert_int_equal(snapshot_capture(set, 2, errs), -1);
	assert_int_equal(errs[0].class, ERR_BUSY);
	assert_int_equal(errs[1].class, ERR_NONE);
	assert_int_equal(set[1]->freeze_ns, 1);
	assert_int_equal(snapshot_release(set[0], &e), 0);
	assert_int_equal(snapshot_release(set[1], &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snapshot_drivers__every_one_is_whole_and_named_once),
		cmocka_unit_test(test_snapshot_consistency_name__the_words_of_the_catalog),
		cmocka_unit_test(test_snapshot_choose__by_name_and_by_itself),
		cmocka_unit_test(test_snapshot_choose__a_source_must_be_there_and_hold_data),
		cmocka_unit_test(test_snapshot_is_empty__no_entries_or_no_bytes),
		cmocka_unit_test(test_snapshot_is_empty__a_view_that_went_away_is_no_empty_one),
		cmocka_unit_test(test_snapshot_source__walks_directories_and_takes_files_as_images),
		cmocka_unit_test(test_snapshot_take_and_release__failures_are_told_with_the_driver),
		cmocka_unit_test(test_snapshot_take__each_failing_allocation_is_a_clean_error),
		cmocka_unit_test(
			test_snapshot_one_moment__frozen_together_and_at_most_one_by_itself),
		cmocka_unit_test(test_snapshot_capture__one_that_fails_spoils_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
