/* SPDX-License-Identifier: Apache-2.0 */
/* Programs as their users meet them: parsing, messages, exit statuses. */
#include "common/verb.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/harness/harness.h"
#include "tests/harness/syshook.h"
#include "tests/unit/common/verb_sample.h"

#ifndef AKSDR_VERSION
#define AKSDR_VERSION "0.0.0-dev"
#endif

/* How a program is called. */
struct call {
	const char *words;      /* its arguments, separated by blanks */
	const char *const *env; /* NAME, value, NAME, value, NULL; may be NULL */
	void (*before)(void);   /* runs first, may be NULL */
	int fail_alloc;         /* the allocation that fails, counted from 1; 0: none */
};

static int fail_nth(void *arg, enum syshook_call call, int flags)
{
	int *left = arg;

	(void)flags;
	return call == HOOK_ALLOC && --(*left) == 0 ? ENOMEM : 0;
}

static int call_main(void *arg)
{
	const struct call *c = arg;
	auto_free char *text = strdup(c->words);
	char *argv[64] = { (char[]){ "aksdr-agent" } };
	int left = c->fail_alloc;
	int argc = 1;

	for (const char *const *v = c->env; v && *v; v += 2)
		(void)setenv(v[0], v[1], 1);
	for (char *rest = text, *word; (word = strsep(&rest, " "));) {
		if (*word)
			argv[argc++] = word;
	}
	if (c->before)
		c->before();
	if (left)
		syshook_set(fail_nth, &left);
	int status = verb_main(&sample, argc, argv);
	syshook_set(NULL, NULL);
	if (seteuid(getuid()) < 0) /* the end of a process may have files to write */
		return 97;
	return MB_CUR_MAX > 1 ? status : 98; /* names are UTF-8, whatever the locale */
}

static struct harness_run run(const char *words)
{
	static const char *const env[] = { "AKSDR_STATE", "/state", NULL };
	struct call c = { .words = words, .env = env };

	return harness_run(call_main, &c);
}

/* Calls and compares all that can be seen. */
static void check(const char *words, int status, const char *out, const char *err)
{
	auto_run struct harness_run r = run(words);

	if (r.status != status || strcmp(r.out, out) != 0 || strcmp(r.err, err) != 0)
		fail_msg("'%s': status %d\n%s\n%s", words, r.status, r.out, r.err);
}

/* What a verb prints with --quiet --log-level error and nothing else given. */
#define PLAIN "store=- key=- state=/state passphrase=- output=0 progress=0\n"
#define ERRORS "--log-level error "

static void test_verb_main__runs_the_verb(void **state)
{
	(void)state;
	check(ERRORS "doctor", 0, PLAIN, "");
	check(ERRORS "doctor here", 0, PLAIN "arg here\n", "");
	check(ERRORS "audit show", 0, PLAIN, "");
	check(ERRORS "audit show 7", 0, PLAIN "arg 7\n", "");
}

static void test_verb_main__options_stand_anywhere_after_the_verb(void **state)
{
	static const char want[] =
		"set 100=live\nset 102=\nset 300=x=y\n"
		"store=mem:a key=k state=/s passphrase=- output=1 progress=0 dry\n"
		"arg a=/b\narg c=/d\n";

	(void)state;
	check("backup " ERRORS
	      "--driver live a=/b -f --set=x=y c=/d --store mem:a --key k --state /s --dry-run "
	      "--output json",
	      0, want, "");
	check("--store=mem:a --key k " ERRORS
	      "--state=/s --dry-run --output=json backup -d live -f --set x=y a=/b c=/d",
	      0, want, "");
	check("backup " ERRORS "-fdlive --set x=y --store mem:a --key k --state /s --dry-run "
	      "--output json a=/b c=/d",
	      0,
	      "set 102=\nset 100=live\nset 300=x=y\n"
	      "store=mem:a key=k state=/s passphrase=- output=1 progress=0 dry\n"
	      "arg a=/b\narg c=/d\n",
	      "");
}

static void test_verb_main__two_dashes_end_the_options(void **state)
{
	(void)state;
	check(ERRORS "doctor -- --help", 0, PLAIN "arg --help\n", "");
	check(ERRORS "doctor -", 0, PLAIN "arg -\n", "");
	check(ERRORS "-- doctor x", 0, PLAIN "arg x\n", "");
}

static void test_verb_main__choices_become_values(void **state)
{
	(void)state;
	check(ERRORS "doctor --output table", 0, PLAIN, "");
	check(ERRORS "doctor --output csv --progress always", 0,
	      "store=- key=- state=/state passphrase=- output=2 progress=1\n", "");
	check(ERRORS "doctor --progress never", 0,
	      "store=- key=- state=/state passphrase=- output=0 progress=2\n", "");
	check(ERRORS "doctor --quiet --progress always", 0,
	      "store=- key=- state=/state passphrase=- output=0 progress=2 quiet\n", "");
}

static void test_verb_main__unknown_words_name_the_nearest(void **state)
{
	static const struct {
		const char *words;
		const char *err;
	} cases[] = {
		{ "bakcup", "unknown verb 'bakcup'; did you mean 'backup'?" },
		{ "docto", "unknown verb 'docto'; did you mean 'doctor'?" },
		{ "hlep", "unknown verb 'hlep'; did you mean 'help'?" },
		{ "audit vreify", "unknown verb 'audit vreify'; did you mean 'audit verify'?" },
		{ "audti verify", "unknown verb 'audti verify'; did you mean 'audit verify'?" },
		{ "audit xyz", "unknown verb 'audit xyz'; 'aksdr-agent help' lists the verbs" },
		{ "xyzzy a", "unknown verb 'xyzzy'; 'aksdr-agent help' lists the verbs" },
		{ "audit", "verb 'audit' needs a second word: verify show" },
		{ "audit --quiet", "verb 'audit' needs a second word: verify show" },
		{ "help bakcup", "unknown verb 'bakcup'; did you mean 'backup'?" },
		{ "backup --drivr live", "unknown option '--drivr'; did you mean '--driver'?" },
		{ "doctor --driver live", "unknown option '--driver'" },
		{ "doctor --zzz=4", "unknown option '--zzz'" },
		{ "--quite doctor", "unknown option '--quite'; did you mean '--quiet'?" },
		{ "--driver live backup",
		  "unknown option '--driver'; options of a verb stand after the verb" },
		{ "doctor -x", "unknown option '-x'; --help lists the options" },
		{ "backup a -x", "unknown option '-x'; --help lists the options" },
		{ "-x doctor", "unknown option '-x'; --help lists the options" },
		{ "", "no verb given; 'aksdr-agent help' lists the verbs" },
		{ "--quiet", "no verb given; 'aksdr-agent help' lists the verbs" },
		{ "--", "no verb given; 'aksdr-agent help' lists the verbs" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char err[300];

		(void)snprintf(err, sizeof(err), "aksdr-agent: %s\n", cases[i].err);
		check(cases[i].words, 2, "", err);
	}
}

static void test_verb_main__wrong_use_says_what_is_wanted(void **state)
{
	static const struct {
		const char *words;
		const char *out;
		const char *err;
	} cases[] = {
		{ "backup --store", "", "option '--store' needs a value: URL" },
		{ "--store", "", "option '--store' needs a value: URL" },
		{ "backup --driver", "", "option '--driver' needs a value: auto|live|btrfs" },
		{ "backup a -d", "", "option '-d' needs a value: auto|live|btrfs" },
		{ "backup -fd", "set 102=\n", "option '-d' needs a value: auto|live|btrfs" },
		{ "backup -fx a", "set 102=\n", "unknown option '-x'; --help lists the options" },
		{ "backup --force=1", "", "option '--force' takes no value" },
		{ "doctor --quiet=yes", "", "option '--quiet' takes no value" },
		{ "backup --driver zfs a", "", "--driver 'zfs' is not one of auto, live, btrfs" },
		{ "backup --driver= a", "", "--driver '' is not one of auto, live, btrfs" },
		{ "backup --driver liv a", "", "--driver 'liv' is not one of auto, live, btrfs" },
		{ "doctor --output xml", "", "--output 'xml' is not one of table, json, csv" },
		{ "backup --set bad a", "", "--set 'bad' is refused" },
		{ "backup", "", "'backup' needs NAME=PATH..." },
		{ "backup a", "", "'backup' needs a store: give --store URL or set AKSDR_STORE" },
		{ "audit verify", "",
		  "'audit verify' needs a key: give --key FILE or set AKSDR_KEY" },
		{ "audit verify x", "", "'audit verify' takes no arguments; 'x' is one too many" },
		{ "audit show a b", "", "'audit show' takes [ID]; 'b' is one too many" },
		{ "doctor --dry-run", "", "'doctor' has no --dry-run" },
		{ "--dry-run doctor", "", "'doctor' has no --dry-run" },
		{ "completion", "", "'completion' needs bash|zsh|fish" },
		{ "completion ksh", "",
		  "no completion for the shell 'ksh', only for bash, zsh and fish" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char err[300];

		(void)snprintf(err, sizeof(err), "aksdr-agent: %s\n", cases[i].err);
		check(cases[i].words, 2, cases[i].out, err);
	}
}

static void test_verb_main__takes_settings_from_the_environment(void **state)
{
	static const char *const env[] = {
		"AKSDR_STORE",           "mem:e", "AKSDR_KEY", "/key", "AKSDR_STATE", "/st",
		"AKSDR_PASSPHRASE_FILE", "/pass", NULL
	};
	struct call c = { .words = ERRORS "backup a", .env = env };
	struct call over = { .words = ERRORS "backup a --store mem:o --key=/o", .env = env };

	(void)state;
	auto_run struct harness_run r = harness_run(call_main, &c);
	assert_string_equal(r.out, "store=mem:e key=/key state=/st passphrase=/pass output=0 "
	                           "progress=0\narg a\n");
	auto_run struct harness_run o = harness_run(call_main, &over);
	assert_string_equal(o.out, "store=mem:o key=/o state=/st passphrase=/pass output=0 "
	                           "progress=0\narg a\n");
}

static void test_verb_main__an_empty_variable_is_none(void **state)
{
	static const char *const env[] = { "AKSDR_STORE", "", NULL };
	struct call c = { .words = "backup a", .env = env };
	auto_run struct harness_run r = harness_run(call_main, &c);

	(void)state;
	assert_int_equal(r.status, 2);
}

static void become_nobody(void)
{
	if (geteuid() == 0 && seteuid(65534) < 0)
		_exit(99);
}

static void become_nobody_without_home(void)
{
	(void)unsetenv("HOME");
	become_nobody();
}

static void test_verb_main__state_has_a_place_by_default(void **state)
{
	static const char *const xdg[] = { "AKSDR_STATE", "", "XDG_CACHE_HOME", "/x", NULL };
	static const char *const home[] = { "AKSDR_STATE", "",     "XDG_CACHE_HOME",
		                            "relative",    "HOME", "/h",
		                            NULL };
	static const char *const none[] = { "AKSDR_STATE", "",  "XDG_CACHE_HOME", "", "HOME",
		                            "h",           NULL };
	static const struct {
		const char *const *env;
		void (*before)(void);
		const char *want;
	} cases[] = {
		{ xdg, become_nobody, " state=/x/aksdr " },
		{ home, become_nobody, " state=/h/.cache/aksdr " },
		{ none, become_nobody, " state=/var/lib/aksdr " },
		/* by the user's entry in the password file */
		{ none, become_nobody_without_home, "/.cache/aksdr " },
		{ home, NULL, " state=/var/lib/aksdr " }, /* root */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct call c = { ERRORS "doctor", cases[i].env, cases[i].before, 0 };

		if (!cases[i].before && geteuid() != 0)
			continue;
		auto_run struct harness_run r = harness_run(call_main, &c);
		assert_int_equal(r.status, 0);
		if (!strstr(r.out, cases[i].want))
			fail_msg("case %zu: %s", i, r.out);
	}
}

static void test_verb_main__characters_are_utf8_in_any_locale(void **state)
{
	static const char *const env[] = { "LC_ALL", "C", NULL };
	struct call c = { .words = "--version", .env = env };
	auto_run struct harness_run r = harness_run(call_main, &c);

	(void)state;
	assert_int_equal(r.status, 0);
}

static void test_verb_main__version_is_one_line(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		auto_run struct harness_run r = run(i ? "doctor --version" : "--version");

		assert_int_equal(r.status, 0);
		assert_string_equal(r.out, "aksdr-agent " AKSDR_VERSION "\n");
		assert_string_equal(r.err, "");
	}
}

static void test_verb_main__help_comes_by_word_and_option(void **state)
{
	static const char *const of_program[] = { "help", "--help", "-h", "--help --quiet" };
	static const char *const of_verb[] = { "help backup", "backup --help", "backup -h x",
		                               "--help backup" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(of_program); i++) {
		auto_run struct harness_run r = run(of_program[i]);

		assert_int_equal(r.status, 0);
		assert_memory_equal(r.out, "usage: aksdr-agent VERB ", 24);
		assert_string_equal(r.err, "");
	}
	for (size_t i = 0; i < ARRAY_LEN(of_verb); i++) {
		auto_run struct harness_run r = run(of_verb[i]);

		assert_int_equal(r.status, 0);
		assert_memory_equal(r.out, "usage: aksdr-agent backup ", 26);
	}
	auto_run struct harness_run two = run("help audit verify");
	assert_memory_equal(two.out, "usage: aksdr-agent audit verify ", 32);
	auto_run struct harness_run man = run("help --man");
	assert_non_null(strstr(man.out, ".TH AKSDR\\-AGENT 1 "));
	auto_run struct harness_run one = run("help audit show --man");
	assert_non_null(strstr(one.out, ".TH AKSDR\\-AGENT\\-AUDIT\\-SHOW 1 "));
	auto_run struct harness_run bash = run("completion bash");
	assert_memory_equal(bash.out, "# bash completion for aksdr-agent\n", 34);
}

static void test_verb_main__errors_have_the_status_of_their_class(void **state)
{
	(void)state;
	check(ERRORS "doctor fail=corrupt", 5, PLAIN "arg fail=corrupt\n",
	      "aksdr-agent: pack 'a\\x0ab' is damaged\n");
	check(ERRORS "doctor fail=none", 1, PLAIN "arg fail=none\n",
	      "aksdr-agent: failed without a reason\n");
}

static void test_verb_main__errors_may_be_json(void **state)
{
	static const char *const words[] = { "doctor fail=corrupt --log-format json " ERRORS,
		                             "--log-format=json " ERRORS "doctor fail=corrupt" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		auto_run struct harness_run r = run(words[i]);
		json_t *j = json_loads(r.err, 0, NULL);

		assert_int_equal(r.status, 5);
		assert_non_null(j);
		assert_string_equal(json_string_value(json_object_get(j, "class")), "corrupt");
		assert_string_equal(json_string_value(json_object_get(j, "message")),
		                    "pack 'a\\x0ab' is damaged");
		assert_string_equal(json_string_value(json_object_get(j, "program")),
		                    "aksdr-agent");
		assert_int_equal(json_integer_value(json_object_get(j, "exit_status")), 5);
		json_decref(j);
	}
	/* also what goes wrong before the options are understood */
	auto_run struct harness_run r = run("bakcup --log-format json");
	json_t *j = json_loads(r.err, 0, NULL);
	assert_int_equal(r.status, 2);
	assert_string_equal(json_string_value(json_object_get(j, "class")), "invalid");
	json_decref(j);
}

static size_t count_lines(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

static void test_verb_main__log_level_follows_the_options(void **state)
{
	static const struct {
		const char *words;
		size_t lines; /* of debug, info, warn */
	} cases[] = {
		{ "doctor", 2 },
		{ "doctor --quiet", 1 },
		{ "doctor --log-level debug", 3 },
		{ "doctor --log-level warn", 1 },
		{ "doctor --quiet --log-level info", 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_run struct harness_run r = run(cases[i].words);

		assert_int_equal(count_lines(r.err), cases[i].lines);
	}
}

static void stdout_to_full(void)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || dup2(fd, 1) < 0)
		_exit(99);
}

static void stdout_closed(void)
{
	(void)close(1);
}

static void all_closed(void)
{
	(void)close(0);
	(void)close(1);
	(void)close(2);
}

static void stdout_to_nobody(void)
{
	int fds[2];

	if (pipe(fds) < 0 || dup2(fds[1], 1) < 0)
		_exit(99);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void stdout_to_nobody_unbuffered(void)
{
	stdout_to_nobody();
	(void)setvbuf(stdout, NULL, _IONBF, 0);
}

static void test_verb_main__output_that_is_lost_is_a_failure(void **state)
{
	static const struct {
		void (*before)(void);
		const char *words;
		int status;
		const char *err;
	} cases[] = {
		{ stdout_to_full, ERRORS "doctor", 1,
		  "aksdr-agent: writing to standard output: No space left on device\n" },
		{ stdout_to_full, ERRORS "doctor fail=corrupt", 5,
		  "aksdr-agent: pack 'a\\x0ab' is damaged\n" },
		{ stdout_closed, ERRORS "doctor", 1,
		  "aksdr-agent: writing to standard output: Bad file descriptor\n" },
		{ all_closed, ERRORS "doctor", 1, "" },
		/* `| head` is no reason for a message */
		{ stdout_to_nobody, ERRORS "doctor", 1, "" },
		{ stdout_to_nobody, ERRORS "doctor fail=pipe", 1, "" },
		{ stdout_to_nobody_unbuffered, ERRORS "doctor", 1,
		  "aksdr-agent: writing to standard output failed\n" },
	};
	static const char *const env[] = { "AKSDR_STATE", "/state", NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct call c = { cases[i].words, env, cases[i].before, 0 };
		auto_run struct harness_run r = harness_run(call_main, &c);

		if (r.status != cases[i].status || strcmp(r.err, cases[i].err) != 0)
			fail_msg("case %zu: status %d: %s", i, r.status, r.err);
	}
}

static void test_verb_main__any_allocation_may_fail(void **state)
{
	static const char *const words[] = { ERRORS "backup -d live a --store mem:x", "bakcup",
		                             "doctor --driver x", "backup --driver zfs",
		                             "audit vreify" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		auto_run struct harness_run good = run(words[i]);
		bool same = false;

		for (int n = 1; !same; n++) {
			assert_true(n < 500);
			static const char *const env[] = { "AKSDR_STATE", "/state", NULL };
			struct call c = { words[i], env, NULL, n };
			auto_run struct harness_run r = harness_run(call_main, &c);

			/* a sentence may come out short, but there is no crash and no success */
			assert_true(r.status == good.status || r.status == 1);
			same = r.status == good.status && strcmp(r.err, good.err) == 0 &&
			       strcmp(r.out, good.out) == 0 && n > 20;
		}
	}
}

static void test_verb_nearest__finds_small_mistakes(void **state)
{
	static const char *const words[] = { "backup", "restore", "audit verify",
		                             "points", "get",     NULL };
	static const struct {
		const char *text;
		const char *want; /* NULL: none */
	} cases[] = {
		{ "backup", "backup" },
		{ "bakcup", "backup" },
		{ "bckup", "backup" },
		{ "backupp", "backup" },
		{ "backip", "backup" },
		{ "Backup", "backup" },
		{ "rest", "restore" },
		{ "re", "restore" },
		{ "point", "points" },
		{ "audit", "audit verify" },
		{ "auditverify", "audit verify" },
		{ "gte", "get" },
		{ "ge", "get" },
		{ "x", NULL },
		{ "", NULL },
		{ "pack", NULL },
		{ "xyz", NULL },
		{ "restart", "restore" },
	};
	char text[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *near = verb_nearest(cases[i].text, words);

		if (near != cases[i].want &&
		    (!near || !cases[i].want || strcmp(near, cases[i].want)))
			fail_msg("'%s' gives '%s'", cases[i].text, near ? near : "nothing");
	}
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	const char *const word[] = { text, NULL };
	assert_null(verb_nearest(text, words));
	assert_null(verb_nearest("aaaa", word));
	assert_null(verb_nearest("aaaa", word + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verb_main__runs_the_verb),
		cmocka_unit_test(test_verb_main__options_stand_anywhere_after_the_verb),
		cmocka_unit_test(test_verb_main__two_dashes_end_the_options),
		cmocka_unit_test(test_verb_main__choices_become_values),
		cmocka_unit_test(test_verb_main__unknown_words_name_the_nearest),
		cmocka_unit_test(test_verb_main__wrong_use_says_what_is_wanted),
		cmocka_unit_test(test_verb_main__takes_settings_from_the_environment),
		cmocka_unit_test(test_verb_main__an_empty_variable_is_none),
		cmocka_unit_test(test_verb_main__state_has_a_place_by_default),
		cmocka_unit_test(test_verb_main__characters_are_utf8_in_any_locale),
		cmocka_unit_test(test_verb_main__version_is_one_line),
		cmocka_unit_test(test_verb_main__help_comes_by_word_and_option),
		cmocka_unit_test(test_verb_main__errors_have_the_status_of_their_class),
		cmocka_unit_test(test_verb_main__errors_may_be_json),
		cmocka_unit_test(test_verb_main__log_level_follows_the_options),
		cmocka_unit_test(test_verb_main__output_that_is_lost_is_a_failure),
		cmocka_unit_test(test_verb_main__any_allocation_may_fail),
		cmocka_unit_test(test_verb_nearest__finds_small_mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
