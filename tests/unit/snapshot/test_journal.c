/* SPDX-License-Identifier: Apache-2.0 */
/* Notes of what is going to be made: they outlive their owner, and only then are acted on. */
#include "snapshot/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/secret.h"
#include "tests/harness/harness.h"

struct seen {
	unsigned calls;
	char driver[64], text[JOURNAL_TEXT_MAX + 1];
	bool fail;
};

static int see(void *arg, const char *driver, const char *text, struct err *e)
{
	struct seen *s = arg;

	s->calls++;
	(void)snprintf(s->driver, sizeof(s->driver), "%s", driver);
	(void)snprintf(s->text, sizeof(s->text), "%s", text);
	return s->fail ? err_set(e, ERR_BUSY, "still mounted") : 0;
}

static void test_journal_each__a_note_counts_once_its_owner_is_gone(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "journal");
	struct err e = ERR_INIT;
	struct seen seen = { 0 };
	size_t cleaned = 9;

	(void)state;
	auto_journal struct journal *j = journal_open(path, &e);
	assert_non_null(j);
	struct journal_note *n = journal_add(j, "btrfs", "path /a b\nsubvolume 5\n", &e);
	assert_non_null(n);
	assert_int_equal(journal_each(j, see, &seen, &cleaned, &e), 0);
	assert_int_equal(seen.calls, 0);
	assert_int_equal(cleaned, 0);
	journal_leave(n);
	seen.fail = true;
	assert_int_equal(journal_each(j, see, &seen, &cleaned, &e), -1);
	assert_int_equal(e.class, ERR_BUSY);
	assert_non_null(strstr(e.msg, "cleaning up after the note"));
	assert_int_equal(cleaned, 0);
	seen.fail = false;
	e = ERR_INIT;
	assert_int_equal(journal_each(j, see, &seen, &cleaned, &e), 0);
	assert_int_equal(cleaned, 1);
	assert_string_equal(seen.driver, "btrfs");
	assert_string_equal(seen.text, "path /a b\nsubvolume 5\n");
	assert_int_equal(journal_each(j, see, &seen, &cleaned, &e), 0);
	assert_int_equal(cleaned, 0);
	assert_int_equal(seen.calls, 2);
}

static void test_journal_done__removes_the_note(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	struct seen seen = { 0 };
	size_t cleaned;

	(void)state;
	auto_journal struct journal *j = journal_open(dir, &e);
	assert_non_null(j);
	assert_int_equal(journal_done(journal_add(j, "x", "", &e), &e), 0);
	assert_int_equal(journal_done(NULL, &e), 0);
	assert_int_equal(journal_each(j, see, &seen, &cleaned, &e), 0);
	assert_int_equal(seen.calls, 0);
}

static void test_journal_each__after_a_kill(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	struct seen seen = { 0 };
	size_t cleaned;
	int p[2];
	char c;

	(void)state;
	auto_journal struct journal *j = journal_open(dir, &e);
	assert_non_null(j);
	assert_int_equal(pipe(p), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct journal_note *n = journal_add(j, "reflink", "here", &e);
		(void)!write(p[1], n ? "y" : "n", 1);
		(void)pause();
		_exit(0);
	}
	assert_int_equal(read(p[0], &c, 1), 1);
	assert_int_equal(c, 'y');
	assert_int_equal(journal_each(j, see, &seen, &cleaned, &e), 0);
	assert_int_equal(cleaned, 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(journal_each(j, see, &seen, &cleaned, &e), 0);
	assert_int_equal(cleaned, 1);
	assert_string_equal(seen.text, "here");
	(void)close(p[0]);
	(void)close(p[1]);
}

static void test_journal_each__what_is_no_note_is_left_alone_or_told(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	struct seen seen = { 0 };
	size_t cleaned;

	(void)state;
	auto_journal struct journal *j = journal_open(dir, &e);
	assert_non_null(j);
	write_text(dir, "readme", "x");
	write_text(dir, "half.note.new", "aksdr-journ"); /* a crash while it was written */
	assert_int_equal(journal_each(j, see, &seen, &cleaned, &e), 0);
	assert_true(file_exists(dir, "readme"));
	assert_false(file_exists(dir, "half.note.new"));
	write_text(dir, "odd.note", "aksdr-journal 2\nbtrfs\nx");
	assert_int_equal(journal_each(j, see, &seen, &cleaned, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
	assert_non_null(strstr(e.msg, "odd.note"));
	assert_true(file_exists(dir, "odd.note"));
	assert_int_equal(seen.calls, 0);
}

static void test_journal_add__limits(void **state)
{
	static char text[JOURNAL_TEXT_MAX + 2];
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *none = path_join(dir, "a/b");
	struct err e = ERR_INIT;

	(void)state;
	auto_journal struct journal *j = journal_open(dir, &e);
	assert_non_null(j);
	memset(text, 'x', JOURNAL_TEXT_MAX);
	assert_int_equal(journal_done(journal_add(j, "d", text, &e), &e), 0);
	text[JOURNAL_TEXT_MAX] = 'x';
	assert_null(journal_add(j, "d", text, &e));
	assert_int_equal(e.class, ERR_TOO_BIG);
	assert_null(journal_open(none, &e));
	assert_int_equal(e.class, ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_journal_each__a_note_counts_once_its_owner_is_gone),
		cmocka_unit_test(test_journal_done__removes_the_note),
		cmocka_unit_test(test_journal_each__after_a_kill),
		cmocka_unit_test(test_journal_each__what_is_no_note_is_left_alone_or_told),
		cmocka_unit_test(test_journal_add__limits),
	};
	struct err e = ERR_INIT;

	if (secret_init(&e) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
