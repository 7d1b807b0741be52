/* SPDX-License-Identifier: Apache-2.0 */
/* Runs in processes of their own; a shell script stands for the program. */
#include "agent/runner.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/err.h"
#include "tests/harness/harness.h"

static char *dir, *program;
static char said[2048]; /* how runs ended, in order */

static int setup(void **state)
{
	(void)state;
	dir = tmpdir_new();
	said[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(program);
	program = NULL;
	tmpdir_remove(dir);
	return 0;
}

static void script(const char *text)
{
	char whole[1024];

	(void)snprintf(whole, sizeof(whole), "#!/bin/sh\n%s\n", text);
	write_text(dir, "program", whole);
	program = path_join(dir, "program");
	assert_int_equal(chmod(program, 0755), 0);
}

static struct store_traffic asked; /* by the last one that ended */

static void ended(void *arg, const struct runner_end *end)
{
	const size_t n = strlen(said);

	(void)arg;
	asked = end->traffic;
	(void)snprintf(said + n, sizeof(said) - n, "%s+%zu status %d signal %d points %zu%s%s%s; ",
	               end->names[0], end->n - 1, end->status, end->signal, end->points,
	               end->cancelled ? " cancelled" : "", end->why ? " since " : "",
	               end->why ? end->why : "");
}

static void begin(struct runner *r, const char *name, const char *second, int64_t at_s)
{
	auto_json json_t *policy = json_pack("{s:s}", "kind", "BackupPolicy");
	const struct runner_job job = { .names = { name, second },
		                        .n = second ? 2 : 1,
		                        .slot_s = 1795737600,
		                        .bandwidth_bytes_s = 3000000,
		                        .policy = policy };

	struct err e = ERR_INIT;
	if (runner_start(r, &job, at_s, &e) < 0)
		fail_msg("%s", e.msg);
}

/* Until none runs. */
static void finish(struct runner *r)
{
	struct pollfd fds[2 * RUNNER_MAX];

	for (;;) {
		runner_step(r, ended, NULL);
		if (runner_running(r) == 0)
			return;
		const size_t n = runner_poll(r, fds, ARRAY_LEN(fds));
		assert_true(n >= 1);
		(void)poll(fds, (nfds_t)n, -1);
	}
}

static struct runner *runner(struct runner_params *p)
{
	p->program = program;
	struct err e = ERR_INIT;
	struct runner *r = runner_new(p, &e);

	assert_non_null(r);
	return r;
}

static void test_runner__gives_arguments_environment_and_the_policy(void **state)
{
	static const char *const args[] = { "--node", "node1", NULL };
	static const char *const env[] = { "AKSDR_STORE=mem:x", NULL };
	struct runner_params p = {
		.args = args, .env = env, .concurrency = 2, .bandwidth_bytes_s = 10000000
	};
	char text[1024];

	(void)state;
	setenv("AKSDR_STORE", "other", 1);
	setenv("AKSDR_LIMIT_UPLOAD", "1", 1);
	script("cd \"${0%/*}\"; { echo \"$*\"; echo $AKSDR_STORE $AKSDR_LIMIT_UPLOAD "
	       "$AKSDR_LIMIT_DOWNLOAD; cat; } >out");
	auto_runner struct runner *r = runner(&p);
	begin(r, "shop/db", "shop/wal", 100);
	finish(r);
	assert_string_equal(said, "shop/db+1 status 0 signal 0 points 0; ");
	auto_free char *out = path_join(dir, "out");
	FILE *f = fopen(out, "re");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	(void)fclose(f);
	assert_string_equal(
		text,
		"backup --node node1 --result /dev/fd/3 --policy - --slot 2026-11-27T00:00:00.000Z "
		"pvc:shop/db pvc:shop/wal\nmem:x 3000000 3000000\n"
		"{\"kind\":\"BackupPolicy\"}");
	unsetenv("AKSDR_STORE");
	unsetenv("AKSDR_LIMIT_UPLOAD");
}

static void test_runner__tells_how_each_ended_and_counts_points(void **state)
{
	struct runner_params p = { .concurrency = 2 };

	(void)state;
	script("for last; do :; done; case $last in\n"
	       "pvc:a/good) echo '{\"items\": [{\"point\": \"p\"}, {\"point\": null}]}';;\n"
	       "pvc:a/odd) echo '{\"items\": [';;\n"
	       "pvc:a/busy) exit 6;;\n"
	       "pvc:a/killed) kill -KILL $$;;\n"
	       "esac");
	auto_runner struct runner *r = runner(&p);
	static const char *const names[] = { "a/good", "a/odd", "a/busy", "a/killed" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		begin(r, names[i], NULL, 100);
		assert_int_equal(runner_running(r), 1);
		finish(r);
	}
	assert_string_equal(said, "a/good+0 status 0 signal 0 points 1; "
	                          "a/odd+0 status 0 signal 0 points 0; "
	                          "a/busy+0 status 6 signal 0 points 0; "
	                          "a/killed+0 status -1 signal 9 points 0; ");
}

static void test_runner__takes_what_a_run_could_not_tell_its_claims(void **state)
{
	struct runner_params p = { .concurrency = 1 };

	(void)state;
	script("for last; do :; done; case $last in\n"
	       "pvc:a/why) echo '{\"class\": \"not_found\", \"error\": \"there is no claim\"}'"
	       " >/dev/fd/3; exit 4;;\n"
	       "pvc:a/odd) head -c 9000 /dev/zero >/dev/fd/3; exit 1;;\n"
	       "pvc:a/told) echo '{\"traffic\": {\"get\": [3, 2, 1, 0, 0]}}' >/dev/fd/3; exit 1;;\n"
	       "esac");
	auto_runner struct runner *r = runner(&p);
	static const char *const names[] = { "a/why", "a/odd", "a/told" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		begin(r, names[i], NULL, 100);
		finish(r);
	}
	assert_non_null(
		strstr(said, "a/why+0 status 4 signal 0 points 0 since there is no claim; "));
	assert_non_null(strstr(said, "a/odd+0 status 1 signal 0 points 0 since a result: "));
	assert_non_null(strstr(said, "a/told+0 status 1 signal 0 points 0; "));
	assert_int_equal(asked.ops[CALL_GET].requests, 3);
	assert_int_equal(asked.ops[CALL_GET].throttled, 1);
}

static void test_runner__much_output_does_not_hold_a_run_up(void **state)
{
	struct runner_params p = { .concurrency = 2 };

	(void)state;
	script("head -c 3000000 /dev/zero");
	auto_runner struct runner *r = runner(&p);
	begin(r, "a/b", NULL, 100);
	finish(r);
	assert_string_equal(said, "a/b+0 status 0 signal 0 points 0; ");
}

static void test_runner_cancel__asks_only_what_began_before(void **state)
{
	struct runner_params p = { .concurrency = 2 };

	(void)state;
	script("trap 'exit 130' TERM; echo; while :; do read x || sleep 0.01; done");
	auto_runner struct runner *r = runner(&p);
	begin(r, "a/b", NULL, 100);
	/* it has set its trap when it has said something */
	struct pollfd fds[4];
	assert_int_equal(runner_poll(r, fds, 4), 2);
	(void)poll(&fds[1], 1, -1);
	assert_false(runner_cancel(r, "a/b", 100));
	assert_false(runner_cancel(r, "a/c", 200));
	assert_true(runner_cancel(r, "a/b", 101));
	assert_false(runner_cancel(r, "a/b", 101));
	finish(r);
	assert_string_equal(said, "a/b+0 status 130 signal 0 points 0 cancelled; ");
}

static void test_runner_start__fails_when_there_is_no_such_program(void **state)
{
	struct runner_params p = { .concurrency = 1 };
	auto_json json_t *policy = json_object();
	const struct runner_job job = { .names = { "a/b" }, .n = 1, .policy = policy };
	struct err e = ERR_INIT;

	(void)state;
	program = path_join(dir, "missing");
	auto_runner struct runner *r = runner(&p);
	assert_int_equal(runner_start(r, &job, 1, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_int_equal(runner_running(r), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_runner__gives_arguments_environment_and_the_policy),
		T(test_runner__tells_how_each_ended_and_counts_points),
		T(test_runner__takes_what_a_run_could_not_tell_its_claims),
		T(test_runner__much_output_does_not_hold_a_run_up),
		T(test_runner_cancel__asks_only_what_began_before),
		T(test_runner_start__fails_when_there_is_no_such_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
