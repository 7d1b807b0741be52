/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing of the file driver, seen as the system calls it makes: what is
 * synced when, what is made once only, and what becomes of files in .tmp.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "common/now.h"
#include "store/file.h"
#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"
#include "tests/harness/syshook.h"

#define DAY_S (24 * 3600)

struct setting {
	char *dir;
	struct store *s;
	struct buf calls; /* names of what was called */
	bool no_tmpfile;
	int os; /* what the call below fails with, once */
	enum syshook_call fail;
};

static int setup(void **state)
{
	struct setting *t = calloc(1, sizeof(*t));
	struct err e = ERR_INIT;

	assert_non_null(t);
	t->calls = (struct buf)BUF_INIT(MIB);
	t->dir = tmpdir_new();
	t->s = store_file_open(t->dir, 0, &e);
	assert_non_null(t->s);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct setting *t = *state;

	syshook_set(NULL, NULL);
	store_free(t->s);
	tmpdir_remove(t->dir);
	buf_clear(&t->calls);
	free(t);
	return 0;
}

/* Writes down what changes the disk or makes it durable. */
static int record(void *arg, enum syshook_call call, int flags)
{
	struct setting *t = arg;

	switch (call) {
	case HOOK_MKDIRAT:
	case HOOK_WRITEV:
	case HOOK_FDATASYNC:
	case HOOK_FSYNC:
	case HOOK_LINKAT:
	case HOOK_RENAMEAT2:
	case HOOK_UNLINKAT:
		(void)buf_printf(&t->calls, "%s ", syshook_name(call));
		break;
	default:
		break;
	}
	if (call == HOOK_OPENAT && (flags & O_TMPFILE) == O_TMPFILE && t->no_tmpfile)
		return EOPNOTSUPP;
	if (t->os && call == t->fail) {
		int os = t->os;

		t->os = 0;
		return os;
	}
	return 0;
}

/* The calls of a put of one byte. */
static void assert_calls(struct setting *t, const char *key, const char *expected)
{
	char c = 'x';
	struct iovec one = { .iov_base = &c, .iov_len = 1 };
	struct err e = ERR_INIT;

	buf_reset(&t->calls);
	syshook_set(record, t);
	int r = store_put(t->s, key, &one, 1, &e);
	syshook_set(NULL, NULL);
	if (r < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(buf_cstr(&t->calls), expected);
}

static void test_file_put__syncs_the_data_before_the_name_and_the_name_before_it_returns(
	void **state)
{
	struct setting *t = *state;

	assert_calls(t, "a", "writev fdatasync linkat fsync fsync ");
}

static void test_file_put__makes_and_syncs_a_folder_once(void **state)
{
	struct setting *t = *state;

	assert_calls(t, "p/q/a",
	             "mkdirat fsync mkdirat fsync writev fdatasync linkat fsync fsync ");
	assert_calls(t, "p/q/b", "writev fdatasync linkat fsync fsync ");
	assert_calls(t, "p/r/b", "mkdirat mkdirat fsync writev fdatasync linkat fsync fsync ");
	assert_calls(t, "p/b", "writev fdatasync linkat fsync fsync ");
}

static void test_file_put__syncs_a_folder_that_another_process_made(void **state)
{
	struct setting *t = *state;
	auto_free char *path = path_join(t->dir, "p");

	assert_int_equal(mkdir(path, 0700), 0);
	assert_calls(t, "p/a", "mkdirat fsync writev fdatasync linkat fsync fsync ");
	assert_calls(t, "p/b", "writev fdatasync linkat fsync fsync ");
}

static void test_file_put__syncs_a_folder_again_that_was_made_again(void **state)
{
	struct setting *t = *state;

	ok(put_text(t->s, "p/a", "x", e));
	tmpdir_remove(path_join(t->dir, "p"));
	assert_calls(t, "p/b", "mkdirat fsync writev fdatasync linkat fsync fsync ");
}

static void test_file_put__without_unnamed_files_uses_one_in_tmp(void **state)
{
	struct setting *t = *state;
	auto_free char *tmp = path_join(t->dir, ".tmp");

	t->no_tmpfile = true;
	assert_calls(t, "a", "mkdirat writev fdatasync linkat fsync fsync unlinkat ");
	assert_int_equal(count_files(tmp), 0);
	t->no_tmpfile = false; /* and is not tried again */
	assert_calls(t, "b", "mkdirat writev fdatasync linkat fsync fsync unlinkat ");
	assert_text(t->s, "a", "x");
}

static void test_file_put__without_links_renames(void **state)
{
	struct setting *t = *state;
	auto_free char *tmp = path_join(t->dir, ".tmp");

	t->no_tmpfile = true;
	t->os = EPERM;
	t->fail = HOOK_LINKAT;
	assert_calls(t, "a", "mkdirat writev fdatasync linkat renameat2 fsync fsync unlinkat ");
	assert_calls(t, "b", "mkdirat writev fdatasync renameat2 fsync fsync unlinkat ");
	assert_int_equal(count_files(tmp), 0);
	assert_text(t->s, "a", "x");
	fails(ERR_EXISTS, put_text(t->s, "a", "y", e));
	assert_int_equal(count_files(tmp), 0);
}

static void test_file_put__syncs_what_has_the_key_before_it_says_so(void **state)
{
	struct setting *t = *state;
	struct err why = ERR_INIT;

	ok(put_text(t->s, "a", "x", e));
	syshook_set(record, t);
	assert_int_equal(store_put(t->s, "a", NULL, 0, &why), -1);
	syshook_set(NULL, NULL);
	assert_int_equal(why.class, ERR_EXISTS);
	assert_string_equal(buf_cstr(&t->calls), "fdatasync linkat fsync fsync ");
}

static void test_file_put__what_is_no_object_can_have_the_key(void **state)
{
	struct setting *t = *state;
	auto_close int d = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(mkfifoat(d, "fifo", 0600), 0);
	assert_int_equal(symlinkat("nowhere", d, "link"), 0);
	fails_saying(ERR_INVALID, "something that is no object", put_text(t->s, "fifo", "x", e));
	fails_saying(ERR_INVALID, "something that is no object", put_text(t->s, "link", "x", e));
}

static void test_file_put__a_sync_of_folders_that_is_unknown_is_no_failure(void **state)
{
	struct setting *t = *state;

	t->os = EINVAL;
	t->fail = HOOK_FSYNC;
	assert_calls(t, "p/a", "mkdirat fsync writev fdatasync linkat fsync fsync ");
}

static void test_file_put__interrupted_syncs_are_repeated(void **state)
{
	struct setting *t = *state;

	t->os = EINTR;
	t->fail = HOOK_FDATASYNC;
	assert_calls(t, "a", "writev fdatasync fdatasync linkat fsync fsync ");
	t->os = EINTR;
	t->fail = HOOK_FSYNC;
	assert_calls(t, "b", "writev fdatasync linkat fsync fsync fsync ");
	t->os = EINTR;
	assert_calls(t, "p/b", "mkdirat fsync fsync writev fdatasync linkat fsync fsync ");
}

static int no_names(void *arg, enum syshook_call call, int flags)
{
	(void)arg;
	(void)flags;
	return call == HOOK_LINKAT ? EOPNOTSUPP : call == HOOK_RENAMEAT2 ? EINVAL : 0;
}

static void test_file_put__a_file_system_that_can_only_replace_is_unsupported(void **state)
{
	struct setting *t = *state;

	syshook_set(no_names, NULL);
	fails_saying(ERR_UNSUPPORTED, "can neither link nor rename", put_text(t->s, "a", "x", e));
	syshook_set(NULL, NULL);
	assert_list(t->s, "", NULL, "");
	assert_int_equal(count_files(t->dir), 1); /* .tmp, empty */
}

/* The name of the only file in .tmp; the caller frees. */
static char *tmp_name(const struct setting *t)
{
	auto_free char *tmp = path_join(t->dir, ".tmp");
	char *found = NULL;
	DIR *d = opendir(tmp);
	const struct dirent *n;

	assert_non_null(d);
	while ((n = readdir(d))) {
		if (n->d_name[0] == '.')
			continue;
		assert_null(found);
		found = path_join(".tmp", n->d_name);
	}
	(void)closedir(d);
	assert_non_null(found);
	return found;
}

/* As NFS does when an answer is lost: the link is made, and the repeated request finds it. */
static int link_made_twice(void *arg, enum syshook_call call, int flags)
{
	struct setting *t = arg;
	int root = file_of(t->s)->root;

	if (call == HOOK_OPENAT && (flags & O_TMPFILE) == O_TMPFILE)
		return EOPNOTSUPP;
	if (call != HOOK_LINKAT)
		return 0;
	syshook_set(NULL, NULL);
	auto_free char *name = tmp_name(t);
	assert_int_equal(linkat(root, name, root, "a", 0), 0);
	return EEXIST;
}

static void test_file_put__its_own_link_is_no_other_object(void **state)
{
	struct setting *t = *state;
	auto_free char *tmp = path_join(t->dir, ".tmp");

	syshook_set(link_made_twice, t);
	ok(put_text(t->s, "a", "x", e));
	assert_text(t->s, "a", "x");
	assert_int_equal(count_files(tmp), 0);
}

/* ---- what uploads left ---- */

static void age(const char *dir, const char *name, int64_t s)
{
	auto_free char *path = path_join(dir, name);
	int64_t at = now_wall_ns() / 1000000000 - s;
	const struct timespec times[2] = { { at, 0 }, { at, 0 } };

	assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void reopen(struct setting *t, unsigned flags)
{
	struct err e = ERR_INIT;
	struct store *s = store_file_open(t->dir, flags, &e);

	assert_non_null(s);
	store_free(s);
}

static void test_file_open__removes_what_dead_uploads_left(void **state)
{
	struct setting *t = *state;

	write_text(t->dir, ".tmp/0123-old", "x");
	write_text(t->dir, ".tmp/0123-young", "x");
	write_text(t->dir, "object", "x");
	age(t->dir, ".tmp/0123-old", DAY_S + 60);
	age(t->dir, ".tmp/0123-young", DAY_S - 60);
	age(t->dir, "object", 1000 * DAY_S);
	reopen(t, STORE_READONLY);
	assert_true(file_exists(t->dir, ".tmp/0123-old"));
	reopen(t, 0);
	assert_false(file_exists(t->dir, ".tmp/0123-old"));
	assert_true(file_exists(t->dir, ".tmp/0123-young"));
	assert_text(t->s, "object", "x");
}

static void test_file_open__leaves_what_a_living_upload_holds(void **state)
{
	struct setting *t = *state;
	auto_free char *path = path_join(t->dir, ".tmp/0123-held");

	write_text(t->dir, ".tmp/0123-held", "x");
	age(t->dir, ".tmp/0123-held", 3 * DAY_S);
	auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	reopen(t, 0);
	assert_true(file_exists(t->dir, ".tmp/0123-held"));
	assert_int_equal(flock(fd, LOCK_UN), 0);
	reopen(t, 0);
	assert_false(file_exists(t->dir, ".tmp/0123-held"));
}

static void test_file_open__removes_nothing_that_it_did_not_make(void **state)
{
	struct setting *t = *state;
	auto_tmpdir char *outside = tmpdir_new();
	auto_free char *victim = path_join(outside, "victim");
	auto_free char *link = path_join(t->dir, ".tmp/link");
	auto_free char *tmp = path_join(t->dir, ".tmp");

	write_text(outside, "victim", "x");
	age(outside, "victim", 3 * DAY_S);
	write_text(t->dir, ".tmp/sub/file", "x");
	age(t->dir, ".tmp/sub/file", 3 * DAY_S);
	age(t->dir, ".tmp/sub", 3 * DAY_S);
	assert_int_equal(symlink(victim, link), 0);
	age(t->dir, ".tmp/link", 3 * DAY_S);
	reopen(t, 0);
	assert_true(file_exists(outside, "victim"));
	assert_true(file_exists(t->dir, ".tmp/sub/file"));

	tmpdir_remove(tmp);
	tmp = NULL;
	assert_int_equal(symlinkat(outside, file_of(t->s)->root, ".tmp"), 0);
	reopen(t, 0);
	assert_true(file_exists(outside, "victim"));
	t->no_tmpfile = true;
	syshook_set(record, t);
	fails(ERR_IO, put_text(t->s, "a", "x", e));
	assert_int_equal(count_files(outside), 1);
}

/* Another process opens the store while an upload has lain still for days. */
static int opened_meanwhile(void *arg, enum syshook_call call, int flags)
{
	struct setting *t = arg;

	if (call == HOOK_OPENAT && (flags & O_TMPFILE) == O_TMPFILE)
		return EOPNOTSUPP;
	if (call != HOOK_LINKAT)
		return 0;
	syshook_set(NULL, NULL);
	auto_free char *name = tmp_name(t);
	age(t->dir, name, 3 * DAY_S);
	reopen(t, 0);
	return 0;
}

static void test_file_put__its_file_in_tmp_is_not_removed_under_it(void **state)
{
	struct setting *t = *state;

	syshook_set(opened_meanwhile, t);
	ok(put_text(t->s, "a", "x", e));
	assert_text(t->s, "a", "x");
}

static void test_file_put__one_that_fails_leaves_nothing_in_tmp(void **state)
{
	struct setting *t = *state;
	auto_free char *tmp = path_join(t->dir, ".tmp");

	t->no_tmpfile = true;
	t->os = EIO;
	t->fail = HOOK_LINKAT;
	syshook_set(record, t);
	fails(ERR_IO, put_text(t->s, "a", "x", e));
	assert_int_equal(count_files(tmp), 0);
	assert_absent(t->s, "a");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_file_put__syncs_the_data_before_the_name_and_the_name_before_it_returns),
		CASE(test_file_put__makes_and_syncs_a_folder_once),
		CASE(test_file_put__syncs_a_folder_that_another_process_made),
		CASE(test_file_put__syncs_a_folder_again_that_was_made_again),
		CASE(test_file_put__without_unnamed_files_uses_one_in_tmp),
		CASE(test_file_put__without_links_renames),
		CASE(test_file_put__syncs_what_has_the_key_before_it_says_so),
		CASE(test_file_put__what_is_no_object_can_have_the_key),
		CASE(test_file_put__a_sync_of_folders_that_is_unknown_is_no_failure),
		CASE(test_file_put__interrupted_syncs_are_repeated),
		CASE(test_file_put__a_file_system_that_can_only_replace_is_unsupported),
		CASE(test_file_put__its_own_link_is_no_other_object),
		CASE(test_file_put__its_file_in_tmp_is_not_removed_under_it),
		CASE(test_file_put__one_that_fails_leaves_nothing_in_tmp),
		CASE(test_file_open__removes_what_dead_uploads_left),
		CASE(test_file_open__leaves_what_a_living_upload_holds),
		CASE(test_file_open__removes_nothing_that_it_did_not_make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
