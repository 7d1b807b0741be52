/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file driver beyond the contract: rights, what is no object, a store
 * that vanishes, descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "store/file.h"
#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"

struct setting {
	char *dir;
	struct store *s;
};

static int setup(void **state)
{
	struct setting *t = calloc(1, sizeof(*t));
	struct err e = ERR_INIT;

	assert_non_null(t);
	t->dir = tmpdir_new();
	t->s = store_file_open(t->dir, 0, &e);
	assert_non_null(t->s);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct setting *t = *state;

	store_free(t->s);
	tmpdir_remove(t->dir);
	free(t);
	return 0;
}

static void test_file__an_object_is_a_file_of_its_key(void **state)
{
	struct setting *t = *state;
	size_t n;

	ok(put_text(t->s, "pack/aa/one", "content", e));
	auto_free char *text = read_file(t->dir, "pack/aa/one", &n);
	assert_int_equal(n, 7);
	assert_string_equal(text, "content");
}

static unsigned mode_of(const char *dir, const char *name)
{
	auto_free char *path = path_join(dir, name);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void test_file__only_the_owner_may_read_it(void **state)
{
	struct setting *t = *state;
	mode_t before = umask(0);

	ok(put_text(t->s, "pack/aa/one", "x", e));
	(void)umask(before);
	assert_int_equal(mode_of(t->dir, "pack"), 0700);
	assert_int_equal(mode_of(t->dir, "pack/aa"), 0700);
	assert_int_equal(mode_of(t->dir, "pack/aa/one"), 0600);
}

static void test_file_head__receipt_is_the_time_of_the_file(void **state)
{
	struct setting *t = *state;
	auto_free char *path = path_join(t->dir, "a");
	const struct timespec times[2] = { { 1, 0 }, { 1700000000, 123456789 } };
	struct store_stat st;

	ok(put_text(t->s, "a", "x", e));
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	ok(store_head(t->s, "a", &st, e));
	assert_true(st.received_ns == INT64_C(1700000000123456789));
}

static void test_file_head__a_time_far_off_is_the_nearest_that_can_be(void **state)
{
	static const struct {
		time_t mtime;
		int64_t received_s;
	} cases[] = {
		{ -1, 0 },
		{ 7258118399, 7258118399 },
		{ 7258118400, 7258118400 },
		{ INT64_C(10000000000), 7258118400 },
	};
	struct setting *t = *state;
	auto_free char *path = path_join(t->dir, "a");
	struct store_stat st;
	struct stat have;

	ok(put_text(t->s, "a", "x", e));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct timespec times[2] = { { 1, 0 }, { cases[i].mtime, 0 } };

		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
		assert_int_equal(stat(path, &have), 0);
		if (have.st_mtime != cases[i].mtime)
			continue; /* not every file system goes so far */
		ok(store_head(t->s, "a", &st, e));
		assert_true(st.received_ns == cases[i].received_s * 1000000000);
	}
}

/* Puts a thing that is no object beside the objects. */
static void make_things(const char *dir)
{
	auto_close int d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(mkfifoat(d, "fifo", 0600), 0);
	assert_int_equal(symlinkat("/etc", d, "link-to-dir"), 0);
	assert_int_equal(symlinkat("/etc/passwd", d, "link-to-file"), 0);
	assert_int_equal(mkdirat(d, "lost+found", 0700), 0);
	assert_int_equal(mkdirat(d, "Upper", 0700), 0);
	assert_int_equal(mkdirat(d, "empty", 0700), 0);
	write_text(dir, ".hidden", "x");
	write_text(dir, ".tmp/half", "x");
	write_text(dir, "lost+found/a", "x");
	write_text(dir, "Upper/a", "x");
	write_text(dir, "name with blanks", "x");
}

static void test_file__what_is_no_object_is_not_there(void **state)
{
	struct setting *t = *state;

	make_things(t->dir);
	ok(put_text(t->s, "g/object", "x", e));
	assert_list(t->s, "", NULL, "g/object=1");
	assert_absent(t->s, "fifo");
	assert_absent(t->s, "empty");
	assert_absent(t->s, "link-to-file");
	assert_absent(t->s, "link-to-dir");
	assert_absent(t->s, "link-to-dir/passwd");
	assert_list(t->s, "link-to-dir/", NULL, "");
	assert_list(t->s, "fifo/", NULL, "");
	assert_list(t->s, "empty/", NULL, "");
}

static void test_file__a_symbolic_link_leads_nowhere(void **state)
{
	struct setting *t = *state;
	auto_tmpdir char *outside = tmpdir_new();
	auto_free char *link = path_join(t->dir, "pack");

	write_text(outside, "old", "x");
	assert_int_equal(symlink(outside, link), 0);
	fails(ERR_INVALID, put_text(t->s, "pack/new", "x", e));
	fails(ERR_INVALID, put_text(t->s, "pack/below/new", "x", e));
	assert_absent(t->s, "pack/old");
	ok(store_delete(t->s, "pack/old", e));
	assert_int_equal(count_files(outside), 1);
}

static void test_file__the_root_itself_may_be_a_link(void **state)
{
	struct setting *t = *state;
	auto_tmpdir char *other = tmpdir_new();
	auto_free char *link = path_join(other, "link");
	struct err why = ERR_INIT;

	ok(put_text(t->s, "a", "x", e));
	assert_int_equal(symlink(t->dir, link), 0);
	auto_store struct store *s = store_file_open(link, 0, &why);
	assert_non_null(s);
	assert_text(s, "a", "x");
}

static void test_file_get__an_object_that_was_cut_is_corrupt(void **state)
{
	struct setting *t = *state;
	auto_free char *path = path_join(t->dir, "a");
	char got[10];

	ok(put_text(t->s, "a", "0123456789", e));
	ok(store_get(t->s, "a", 0, got, 10, e)); /* and is open from now on */
	assert_int_equal(truncate(path, 4), 0);
	fails_saying(ERR_CORRUPT, "it has 4 bytes, 10 at offset 0",
	             store_get(t->s, "a", 0, got, 10, e));
	ok(store_get(t->s, "a", 0, got, 4, e));
	struct err why = ERR_INIT;
	auto_store struct store *fresh = store_file_open(t->dir, 0, &why);
	assert_non_null(fresh);
	fails_saying(ERR_CORRUPT, "it has 4 bytes, 1 at offset 9",
	             store_get(fresh, "a", 9, got, 1, e));
}

/* Removes the root, and makes another directory of its name: that one is not the store. */
static void vanish(const struct setting *t)
{
	char *dir = strdup(t->dir);

	assert_non_null(dir);
	tmpdir_remove(dir);
	assert_int_equal(mkdir(t->dir, 0700), 0);
}

static void test_file__a_store_that_vanishes_is_not_an_empty_one(void **state)
{
	struct setting *t = *state;
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;
	struct store_stat st;
	char c;

	ok(put_text(t->s, "pack/a", "x", e));
	ok(put_text(t->s, "b", "x", e));
	vanish(t);
	fails_saying(ERR_IO, "was removed or unmounted", store_get(t->s, "pack/a", 0, &c, 1, e));
	fails_saying(ERR_IO, "was removed or unmounted", store_head(t->s, "pack/a", &st, e));
	fails_saying(ERR_IO, "was removed or unmounted", store_head(t->s, "b", &st, e));
	fails_saying(ERR_IO, "was removed or unmounted", put_text(t->s, "pack/c", "x", e));
	fails_saying(ERR_IO, "was removed or unmounted", put_text(t->s, "c", "x", e));
	fails_saying(ERR_IO, "was removed or unmounted", put_text(t->s, "new/c", "x", e));
	fails_saying(ERR_IO, "was removed or unmounted", store_delete(t->s, "pack/a", e));
	fails_saying(ERR_IO, "was removed or unmounted", store_delete(t->s, "b", e));
	fails_saying(ERR_IO, "was removed or unmounted", store_list(t->s, "", NULL, see, &l, e));
	fails_saying(ERR_IO, "was removed or unmounted", store_list(t->s, "p/", NULL, see, &l, e));
	fails_saying(ERR_IO, "was removed or unmounted", store_list(t->s, "p//", NULL, see, &l, e));
	assert_int_equal(l.count, 0);
}

static void test_file__a_folder_that_vanishes_is_made_again(void **state)
{
	struct setting *t = *state;

	ok(put_text(t->s, "pack/aa/1", "x", e));
	tmpdir_remove(path_join(t->dir, "pack"));
	assert_absent(t->s, "pack/aa/1");
	ok(put_text(t->s, "pack/aa/2", "y", e));
	assert_list(t->s, "", NULL, "pack/aa/2=1");
}

static void test_file_get__keeps_few_descriptors_open(void **state)
{
	struct setting *t = *state;
	size_t before = count_files("/proc/self/fd");
	char key[32];
	char c;

	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "k%u", i);
		write_text(t->dir, key, "x");
		ok(store_get(t->s, key, 0, &c, 1, e));
		ok(store_get(t->s, key, 0, &c, 1, e));
	}
	assert_true(count_files("/proc/self/fd") <= before + 64);
	assert_true(count_files("/proc/self/fd") > before + 32);
	store_free(t->s);
	t->s = NULL;
	assert_int_equal(count_files("/proc/self/fd"), before - 1);
}

/* Sets the limit of descriptors; returns the one before. */
static rlim_t limit_descriptors(rlim_t n)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	rlim_t before = limit.rlim_cur;
	limit.rlim_cur = n;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return before;
}

static void test_file_get__gives_descriptors_back_when_they_run_out(void **state)
{
	struct setting *t = *state;
	char key[32];
	char c;

	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "k%u", i);
		write_text(t->dir, key, "x");
	}
	rlim_t before = limit_descriptors(24);
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "k%u", i);
		ok(store_get(t->s, key, 0, &c, 1, e));
	}
	(void)limit_descriptors(before);
}

static void test_file__without_descriptors_it_is_worth_a_retry(void **state)
{
	struct setting *t = *state;
	struct store_stat st;
	char c;

	write_text(t->dir, "a", "x");
	rlim_t before = limit_descriptors(3);
	fails(ERR_RETRY, store_get(t->s, "a", 0, &c, 1, e));
	fails(ERR_RETRY, store_head(t->s, "a", &st, e));
	fails(ERR_RETRY, put_text(t->s, "b", "x", e));
	(void)limit_descriptors(before);
	assert_text(t->s, "a", "x");
}

/* ---- rights ---- */

#define NOBODY 65534

static int cwd_before = -1;

/*
 * Goes into the directory, whose parents may be shut to others, and gives up
 * the rights of root until regain_rights(). The process is then not dumpable,
 * as the programs are: what /proc has of it belongs to root.
 */
static void drop_rights(const char *dir)
{
	cwd_before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(cwd_before >= 0);
	assert_int_equal(chmod(dir, 0777), 0);
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(setegid(NOBODY), 0);
	assert_int_equal(seteuid(NOBODY), 0);
	assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
}

static void regain_rights(void)
{
	if (cwd_before < 0)
		return;
	if (seteuid(0) < 0 || setegid(0) < 0 || fchdir(cwd_before) < 0 ||
	    prctl(PR_SET_DUMPABLE, 1) < 0)
		harness_die("rights do not come back");
	(void)close(steal_fd(&cwd_before));
}

static int rights_teardown(void **state)
{
	regain_rights();
	return teardown(state);
}

/* A directory below dir, of nobody or of root. */
static void make_dir(const char *dir, const char *name, bool of_nobody, mode_t mode)
{
	auto_free char *path = path_join(dir, name);

	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, mode), 0);
	if (of_nobody)
		assert_int_equal(chown(path, NOBODY, NOBODY), 0);
}

static struct store *open_here(const char *dir, unsigned flags)
{
	struct err e = ERR_INIT;
	struct store *s = store_file_open(dir, flags, &e);

	if (!s)
		fail_msg("%s", e.msg);
	return s;
}

static int open_fails(const char *dir, unsigned flags, struct err *e)
{
	struct store *s = store_file_open(dir, flags, e);

	store_free(s);
	return s ? 0 : -1;
}

static void test_file__a_user_without_capabilities_can_write(void **state)
{
	struct setting *t = *state;

	if (geteuid() != 0)
		skip(); /* then all the other tests show it */
	make_dir(t->dir, "own", true, 0700);
	drop_rights(t->dir);
	auto_store struct store *s = open_here("own", 0);
	assert_true(s->caps & STORE_CAP_WRITE);
	ok(put_text(s, "p/a", "text", e));
	assert_text(s, "p/a", "text");
	fails(ERR_EXISTS, put_text(s, "p/a", "other", e));
	assert_false(file_of(s)->no_tmpfile);
	ok(store_delete(s, "p/a", e));
}

static void test_file__missing_rights_are_told_from_absence(void **state)
{
	struct setting *t = *state;
	struct store_stat st;
	char c;

	if (geteuid() != 0)
		skip(); /* only root can become somebody without rights */
	make_dir(t->dir, "shut", false, 0700);
	make_dir(t->dir, "fixed", false, 0755);
	make_dir(t->dir, "fixed/closed", false, 0700);
	write_text(t->dir, "fixed/object", "x");
	auto_free char *object = path_join(t->dir, "fixed/object");
	assert_int_equal(chmod(object, 0600), 0);
	drop_rights(t->dir);
	fails(ERR_DENIED, open_fails("shut", 0, e));
	fails(ERR_DENIED, open_fails("shut/below", STORE_CREATE, e));
	auto_store struct store *s = open_here("fixed", 0);
	assert_false(s->caps & STORE_CAP_WRITE);
	fails_saying(ERR_DENIED, "has no right to do this in 'fixed'", put_text(s, "a", "x", e));
	fails(ERR_DENIED, put_text(s, "p/a", "x", e));
	fails(ERR_DENIED, put_text(s, "closed/a", "x", e));
	fails(ERR_DENIED, store_delete(s, "object", e));
	fails(ERR_DENIED, store_get(s, "object", 0, &c, 1, e));
	ok(store_head(s, "object", &st, e));
	assert_int_equal(st.size, 1);
	/* half of a listing would be taken for the whole */
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;
	fails(ERR_DENIED, store_list(s, "", NULL, see, &l, e));
	fails(ERR_DENIED, store_list(s, "closed/", NULL, see, &l, e));
}

static void test_file_put__a_stranger_s_object_has_its_key(void **state)
{
	struct setting *t = *state;

	if (geteuid() != 0)
		skip(); /* only root can store what others may not read */
	write_text(t->dir, "object", "x");
	auto_free char *object = path_join(t->dir, "object");
	assert_int_equal(chmod(object, 0600), 0);
	drop_rights(t->dir);
	auto_store struct store *s = open_here(".", 0);
	fails(ERR_EXISTS, put_text(s, "object", "y", e));
}

static void test_file_open__makes_a_directory_in_one_that_it_may_not_read(void **state)
{
	struct setting *t = *state;

	if (geteuid() != 0)
		skip(); /* root may read everything; a user owns what it makes here */
	make_dir(t->dir, "blind", false, 0333);
	drop_rights(t->dir);
	auto_store struct store *s = open_here("blind/new", STORE_CREATE);
	ok(put_text(s, "a", "x", e));
}

static void test_file_open__says_where_it_cannot_make_a_directory(void **state)
{
	(void)state;
	fails_saying(ERR_NOT_FOUND, "making the store's directory '/proc/none/x'",
	             open_fails("/proc/none/x", STORE_CREATE, e));
	fails_saying(ERR_DENIED, "making the store's directory '/sys/none'",
	             open_fails("/sys/none", STORE_CREATE, e));
}

static void test_file_open__a_link_to_nowhere_is_not_found(void **state)
{
	struct setting *t = *state;
	auto_free char *link = path_join(t->dir, "link");

	assert_int_equal(symlink("nowhere", link), 0);
	fails(ERR_NOT_FOUND, open_fails(link, 0, e));
	fails(ERR_NOT_FOUND, open_fails(link, STORE_CREATE, e));
}

/* ---- a file system that is full, or read-only, in a mount namespace of its own ---- */

static int on_a_small_file_system(void *arg)
{
	const char *dir = arg;
	struct err e = ERR_INIT;
	struct store_stat st;
	static uint8_t big[2 * 1024 * 1024];
	struct iovec one = { .iov_base = big, .iov_len = sizeof(big) };

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", dir, "tmpfs", 0, "size=1m") < 0)
		return 77;
	auto_store struct store *s = store_file_open(dir, 0, &e);
	if (!s)
		return 1;
	if (store_put(s, "pack/big", &one, 1, &e) == 0 || e.class != ERR_QUOTA || e.os != ENOSPC ||
	    !strstr(e.msg, "no space is left on the file system of") || !strstr(e.msg, dir))
		return 2;
	if (store_head(s, "pack/big", &st, &e) == 0 || e.class != ERR_NOT_FOUND)
		return 3;
	one.iov_len = 512 * KIB;
	if (store_put(s, "pack/small", &one, 1, &e) < 0)
		return 4;
	if (mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
		return 77;
	if (store_put(s, "other", &one, 1, &e) == 0 || e.class != ERR_DENIED ||
	    !strstr(e.msg, "is mounted read-only"))
		return 5;
	if (store_delete(s, "pack/small", &e) == 0 || e.class != ERR_DENIED)
		return 6;
	if (store_head(s, "pack/small", &st, &e) < 0 || st.size != 512 * KIB)
		return 7;
	auto_store struct store *again = store_file_open(dir, 0, &e);
	return again && !(again->caps & STORE_CAP_WRITE) ? 0 : 8;
}

static void test_file__a_full_or_read_only_file_system_is_named(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();

	(void)state;
	CLEANUP(harness_run_clear) struct harness_run r = harness_run(on_a_small_file_system, dir);
	if (r.status == 77)
		skip(); /* no right to mount */
	assert_int_equal(r.status, 0);
}

/* ---- errnos ---- */

static void test_file_fail__gives_class_and_words(void **state)
{
	struct setting *t = *state;
	static const struct {
		int os;
		enum err_class class;
		const char *words;
	} rows[] = {
		{ ENOSPC, ERR_QUOTA, "free some or enlarge it" },
		{ EDQUOT, ERR_QUOTA, "the disk quota for" },
		{ EROFS, ERR_DENIED, "is mounted read-only" },
		{ EACCES, ERR_DENIED, "has no right to do this in" },
		{ EPERM, ERR_DENIED, "has no right to do this in" },
		{ ETIMEDOUT, ERR_RETRY, "timed out" },
		{ EMFILE, ERR_RETRY, "Too many open files" },
		{ EIO, ERR_IO, "Input/output error" },
		{ ENOMEM, ERR_NOMEM, "Cannot allocate memory" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(file_fail(file_of(t->s), rows[i].os, "writing", &e), -1);
		if (e.class != rows[i].class || e.os != rows[i].os ||
		    strncmp(e.msg, "writing: ", 9) != 0 || !strstr(e.msg, rows[i].words))
			fail_msg("errno %d: %s: %s", rows[i].os, err_class_name(e.class), e.msg);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define RIGHTS_CASE(f) cmocka_unit_test_setup_teardown(f, setup, rights_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_file__an_object_is_a_file_of_its_key),
		CASE(test_file__only_the_owner_may_read_it),
		CASE(test_file_head__receipt_is_the_time_of_the_file),
		CASE(test_file_head__a_time_far_off_is_the_nearest_that_can_be),
		CASE(test_file__what_is_no_object_is_not_there),
		CASE(test_file__a_symbolic_link_leads_nowhere),
		CASE(test_file__the_root_itself_may_be_a_link),
		CASE(test_file_get__an_object_that_was_cut_is_corrupt),
		CASE(test_file__a_store_that_vanishes_is_not_an_empty_one),
		CASE(test_file__a_folder_that_vanishes_is_made_again),
		CASE(test_file_get__keeps_few_descriptors_open),
		CASE(test_file_get__gives_descriptors_back_when_they_run_out),
		CASE(test_file__without_descriptors_it_is_worth_a_retry),
		RIGHTS_CASE(test_file__a_user_without_capabilities_can_write),
		RIGHTS_CASE(test_file__missing_rights_are_told_from_absence),
		RIGHTS_CASE(test_file_put__a_stranger_s_object_has_its_key),
		RIGHTS_CASE(test_file_open__makes_a_directory_in_one_that_it_may_not_read),
		CASE(test_file_open__says_where_it_cannot_make_a_directory),
		CASE(test_file_open__a_link_to_nowhere_is_not_found),
		CASE(test_file__a_full_or_read_only_file_system_is_named),
		CASE(test_file_fail__gives_class_and_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
