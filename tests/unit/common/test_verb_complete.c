/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion scripts. The one for bash is run by bash with the words before
 * the cursor; those for zsh and fish are compared line by line, and parsed by
 * their shells where these are installed.
 */
#include "common/verb_impl.h"

#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/harness.h"
#include "tests/unit/common/verb_sample.h"

static char *script_of(const char *shell)
{
	struct err e = ERR_INIT;
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (verb_complete(f, &sample, shell, &e) < 0)
		fail_msg("%s", e.msg);
	(void)fclose(f);
	return text;
}

static int run_bash(void *arg)
{
	(void)execlp("bash", "bash", "--norc", "-euc", (const char *)arg, (char *)NULL);
	return 127;
}

/*
 * What bash offers for these words, the last being the one at the cursor, in a
 * directory with names.txt and place/key: the script defines the function,
 * which is then called as the shell does.
 */
static void check_bash(const char *words, const char *want)
{
	auto_free char *script = script_of("bash");
	auto_free char *program = NULL;
	auto_tmpdir char *dir = tmpdir_new();

	write_text(dir, "names.txt", "");
	write_text(dir, "place/key", "");
	if (asprintf(&program,
	             "cd '%s'\nshopt -s progcomp\ncompopt() { :; }\n%s\n"
	             "COMP_WORDS=(aksdr-agent %s)\n"
	             "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
	             "_aksdr_agent\necho \"${COMPREPLY[*]}\"\n",
	             dir, script, words) < 0)
		harness_die("no memory");
	auto_run struct harness_run r = harness_run(run_bash, program);
	assert_string_equal(r.err, "");
	assert_int_equal(r.status, 0);
	if (strncmp(r.out, want, strlen(want)) != 0 || strcmp(r.out + strlen(want), "\n") != 0)
		fail_msg("%s: %s", words, r.out);
}

static void test_verb_complete__bash_offers_verbs(void **state)
{
	(void)state;
	check_bash("''", "backup audit doctor help");
	check_bash("b", "backup");
	check_bash("zz", "");
	check_bash("audit ''", "verify show");
	check_bash("audit v", "verify");
	check_bash("--quiet do", "doctor");
	check_bash("--output csv do", "doctor");
	check_bash("--output = csv do", "doctor");
}

static void test_verb_complete__bash_offers_options_of_the_verb(void **state)
{
	(void)state;
	check_bash("backup --d", "--driver --dry-run");
	check_bash("backup a=/b --f", "--from --force");
	check_bash("doctor --d", "");
	check_bash("doctor --st", "--state");
	check_bash("audit show --d", "");
	check_bash("audit verify --sto", "--store");
	check_bash("--d", "--dry-run");
}

static void test_verb_complete__bash_offers_values(void **state)
{
	(void)state;
	check_bash("backup --driver ''", "auto live btrfs");
	check_bash("backup --driver = l", "live");
	check_bash("backup --driver =", "auto live btrfs");
	check_bash("backup -d b", "btrfs");
	check_bash("backup --set x", "");
	check_bash("doctor --output j", "json");
	check_bash("--log-level = w", "warn");
	check_bash("backup --from na", "names.txt");
	check_bash("backup --into na", "");
	check_bash("backup --into p", "place");
	check_bash("--key = place/", "place/key");
}

static void test_verb_complete__zsh_describes_verbs_and_options(void **state)
{
	static const char *const parts[] = {
		"#compdef aksdr-agent\n",
		"\t\t'--output=[form of the data on standard output]:value:(table json csv)' \\\n",
		"\t\t\t'backup:back up volumes'\n\t\t\t'audit:more than one verb'\n"
		"\t\t\t'doctor:look around'\n\t\t)\n\t\t_describe verb verbs\n",
		"\tbackup)\n\t\t_arguments \\\n\t\t\t'(-d --driver)'{-d+,--driver=}'"
		"[how the volume is read]:value:(auto live btrfs)' \\\n",
		"'--set=[points taken together; a long text that goes on for more than a line]",
		"'--from=[list of names]:file:_files'",
		"'--into=[where it'\\''s put \\[if at all\\]\\: a directory]:directory:_files -/'",
		"'(-f --force)'{-f,--force}'[even when it hurts]'",
		"\taudit)\n\t\tif (( CURRENT == 2 )); then\n\t\t\tverbs=(\n"
		"\t\t\t\t'verify:verify the log'\n\t\t\t\t'show:show it'\n\t\t\t)\n",
		"\t\tverify)\n\t\t\tshift words; (( CURRENT-- ))\n",
	};
	auto_free char *text = script_of("zsh");
	const char *at = text;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const char *found = strstr(at, parts[i]);

		if (!found)
			fail_msg("not there or not in order: %s", parts[i]);
		at = found;
	}
}

static void test_verb_complete__fish_describes_verbs_and_options(void **state)
{
	static const char *const lines[] = {
		"complete -c aksdr-agent -l quiet -d 'no progress, and only warnings and errors'\n",
		"complete -c aksdr-agent -l key -r -F -d 'key file that opens it (AKSDR_KEY)'\n",
		"complete -c aksdr-agent -n '__fish_use_subcommand' -f -a 'backup' -d 'back up "
		"volumes'\n",
		"complete -c aksdr-agent -n '__fish_seen_subcommand_from backup' -s d -l driver "
		"-x -a 'auto live btrfs' -d 'how the volume is read'\n",
		"-l into -x -a '(__fish_complete_directories)' -d 'where it\\'s put [if at all]: a "
		"directory'\n",
		"complete -c aksdr-agent -n '__fish_use_subcommand' -f -a 'audit' "
		"-d 'more than one verb'\n",
		"complete -c aksdr-agent -n '__fish_seen_subcommand_from audit; and not "
		"__fish_seen_subcommand_from verify show' -f -a 'verify' -d 'verify the log'\n",
	};
	auto_free char *text = script_of("fish");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		if (!strstr(text, lines[i]))
			fail_msg("not there: %s", lines[i]);
	}
	/* the group itself is offered once */
	const char *first = strstr(text, "-a 'audit'");
	assert_non_null(first);
	assert_null(strstr(first + 1, "-a 'audit'"));
}

/* "SHELL -n FILE" */
static int parse_script(void *arg)
{
	char *const *words = arg;

	(void)execlp(words[0], words[0], "-n", words[1], (char *)NULL);
	return 77;
}

static void test_verb_complete__the_shells_parse_it(void **state)
{
	static char shells[][5] = { "bash", "zsh", "fish" };
	auto_tmpdir char *dir = tmpdir_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
		auto_free char *text = script_of(shells[i]);
		auto_free char *path = path_join(dir, "script");
		char *words[] = { shells[i], path };

		write_text(dir, "script", text);
		auto_run struct harness_run r = harness_run(parse_script, words);
		if (i > 0 && r.status == 77)
			continue; /* not installed */
		assert_int_equal(r.status, 0);
		assert_string_equal(r.err, "");
	}
}

static void test_verb_complete__refuses_other_shells(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(verb_complete(stdout, &sample, "ksh", &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_string_equal(e.msg,
	                    "no completion for the shell 'ksh', only for bash, zsh and fish");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verb_complete__bash_offers_verbs),
		cmocka_unit_test(test_verb_complete__bash_offers_options_of_the_verb),
		cmocka_unit_test(test_verb_complete__bash_offers_values),
		cmocka_unit_test(test_verb_complete__zsh_describes_verbs_and_options),
		cmocka_unit_test(test_verb_complete__fish_describes_verbs_and_options),
		cmocka_unit_test(test_verb_complete__the_shells_parse_it),
		cmocka_unit_test(test_verb_complete__refuses_other_shells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
