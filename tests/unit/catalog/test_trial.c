/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trial restores. The program that restores is looked for beside the one that
 * runs; so this test copies itself beside a script that acts as the other.
 */
#include "catalog/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/harness/harness.h"

#define MODE "trial" /* first argument of the copy */

/* ---- the copy ---- */

/* Arguments: MODE, the scratch directory, "stop" or "go". Tells what came of it on stdout. */
static int act(char **argv)
{
	const struct verb_common common = { .store = "mem:x", .key = "a.key", .state = "/state" };
	struct cancel cancel;
	struct trial t = { .common = &common, .scratch = argv[2] };
	struct err e = ERR_INIT;
	char why[ERR_MSG_MAX];

	if (cancel_init(&cancel) < 0)
		return 99;
	t.cancel = &cancel;
	if (strcmp(argv[3], "stop") == 0)
		cancel_request(&cancel);
	int rc = trial_restore(&t, "c1/shop/data@00000001", why, &e);
	printf("%d %s|%s|%s", rc, err_class_name(e.class), rc == 0 ? why : "", e.msg);
	cancel_clear(&cancel);
	return 0;
}

/* ---- the test ---- */

struct place {
	char *dir; /* bin/ and scratch/ are in it */
	char *copy, *scratch;
};

static void place_init(struct place *p, const char *script)
{
	size_t n;
	auto_free char *self = read_file("/proc/self", "exe", &n);

	p->dir = tmpdir_new();
	write_file(p->dir, "bin/copy", self, n);
	write_text(p->dir, "scratch/other", "of somebody else");
	p->copy = path_join(p->dir, "bin/copy");
	p->scratch = path_join(p->dir, "scratch");
	assert_int_equal(chmod(p->copy, 0755), 0);
	if (!script)
		return;
	write_text(p->dir, "bin/aksdr-restore", script);
	auto_free char *path = path_join(p->dir, "bin/aksdr-restore");
	assert_int_equal(chmod(path, 0755), 0);
}

static void place_clear(struct place *p)
{
	free(p->copy);
	free(p->scratch);
	tmpdir_remove(p->dir);
}
#define auto_place CLEANUP(place_clear)

struct call {
	const struct place *p;
	const char *how;
};

static int exec_copy(void *arg)
{
	const struct call *c = arg;

	(void)execl(c->p->copy, c->p->copy, MODE, c->p->scratch, c->how, (char *)NULL);
	return 98;
}

/* What the copy says; nothing is left in the scratch directory. */
static char *run(const struct place *p, const char *how)
{
	struct call c = { .p = p, .how = how };
	auto_run struct harness_run r = harness_run(exec_copy, &c);

	assert_int_equal(r.status, 0);
	assert_int_equal(count_files(p->scratch), 1);
	return strdup(r.out);
}

static void assert_says(const char *script, const char *wanted)
{
	auto_place struct place p;

	place_init(&p, script);
	auto_free char *said = run(&p, "go");
	assert_string_equal(said, wanted);
}

static void test_trial_restore__that_works_says_nothing(void **state)
{
	(void)state;
	assert_says("#!/bin/sh\nmkdir \"$4\" && echo x >\"$4/file\"\n", "0 none||");
}

static void test_trial_restore__hands_on_store_key_and_state(void **state)
{
	auto_place struct place p;

	(void)state;
	place_init(&p, "#!/bin/sh\nprintf '%s\\n' \"$@\" >\"$0.args\"\n");
	auto_free char *said = run(&p, "go");
	assert_string_equal(said, "0 none||");
	auto_free char *args = read_file(p.dir, "bin/aksdr-restore.args", NULL);
	assert_non_null(strstr(args, "volume\nc1/shop/data@00000001\n--target\n"));
	assert_non_null(strstr(args, "/volume\n--verify\n--quiet\n--store\nmem:x\n--key\na.key\n"
	                             "--state\n/state\n"));
	assert_int_equal(strstr(args, "--no-owner") == NULL, geteuid() == 0);
}

static void test_trial_restore__tells_why_a_point_does_not_come_back(void **state)
{
	(void)state;
	assert_says("#!/bin/sh\necho first >&2\necho 'aksdr-restore: it is damaged' >&2\nexit 5\n",
	            "0 none|it is damaged|");
	assert_says("#!/bin/sh\necho 'a file is missing' >&2\nexit 3\n",
	            "0 none|a file is missing|");
	assert_says("#!/bin/sh\necho 'no such point' >&2\nexit 4\n", "0 none|no such point|");
	assert_says("#!/bin/sh\nexit 5\n", "0 none|it does not say why|");
}

static void test_trial_restore__that_could_not_be_tried_is_an_error(void **state)
{
	auto_place struct place p;
	auto_place struct place none;

	(void)state;
	place_init(&p, "#!/bin/sh\necho 'the disk is full' >&2\nexit 6\n");
	auto_free char *said = run(&p, "go");
	assert_int_equal(strncmp(said, "-1 io|", 6), 0);
	assert_non_null(strstr(said, "exit status 6"));
	assert_non_null(strstr(said, "the disk is full"));
	place_init(&none, NULL);
	auto_free char *missing = run(&none, "go");
	assert_int_equal(strncmp(missing, "-1 not_found|", 13), 0);
	assert_non_null(strstr(missing, "aksdr-restore"));
}

static void test_trial_restore__program_that_is_killed_is_an_error(void **state)
{
	auto_place struct place p;

	(void)state;
	place_init(&p, "#!/bin/sh\nkill -KILL $$\n");
	auto_free char *said = run(&p, "go");
	assert_non_null(strstr(said, "was ended by signal 9"));
}

/* The program would wait for ever; it is asked to stop, and waited for. */
static void test_trial_restore__is_ended_when_the_check_is(void **state)
{
	auto_place struct place p;

	(void)state;
	place_init(&p, "#!/bin/sh\nmkdir \"$4\"\nmkfifo \"$4/never\"\nread -r x <\"$4/never\"\n");
	auto_free char *said = run(&p, "stop");
	assert_int_equal(strncmp(said, "-1 cancelled|", 13), 0);
}

static void test_trial_restore__removes_what_forbids_it(void **state)
{
	(void)state;
	assert_says("#!/bin/sh\nmkdir -p \"$4/a/b\" && echo x >\"$4/a/b/c\" && chmod 0 \"$4/a/b\" "
	            "\"$4/a\"\n",
	            "0 none||");
}

/* What a point says reaches a terminal. */
static void test_trial_restore__shows_no_control_characters(void **state)
{
	auto_place struct place p;

	(void)state;
	place_init(&p, "#!/bin/sh\nprintf 'a\\033[31mb\\n' >&2\nexit 5\n");
	auto_free char *said = run(&p, "go");
	assert_null(strchr(said, '\033'));
	assert_non_null(strstr(said, "[31mb"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trial_restore__that_works_says_nothing),
		cmocka_unit_test(test_trial_restore__hands_on_store_key_and_state),
		cmocka_unit_test(test_trial_restore__tells_why_a_point_does_not_come_back),
		cmocka_unit_test(test_trial_restore__that_could_not_be_tried_is_an_error),
		cmocka_unit_test(test_trial_restore__program_that_is_killed_is_an_error),
		cmocka_unit_test(test_trial_restore__is_ended_when_the_check_is),
		cmocka_unit_test(test_trial_restore__removes_what_forbids_it),
		cmocka_unit_test(test_trial_restore__shows_no_control_characters),
	};

	if (argc == 4 && strcmp(argv[1], MODE) == 0)
		return act(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
