/* SPDX-License-Identifier: Apache-2.0 */
/* Help and man pages: exact texts, and what groff says to the pages. */
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

#ifndef AKSDR_VERSION
#define AKSDR_VERSION "0.0.0-dev"
#endif

static const struct verb *verb(const char *name)
{
	for (const struct verb *v = sample_verbs; v->name; v++) {
		if (strcmp(v->name, name) == 0)
			return v;
	}
	fail_msg("no verb '%s'", name);
	return NULL;
}

enum form { FORM_HELP, FORM_MAN };

/* The help or page of a verb, or of the program; the caller frees. */
static char *text_of(enum form form, const char *name)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (form == FORM_MAN)
		verb_help_man(f, &sample, name ? verb(name) : NULL);
	else if (name)
		verb_help_verb(f, &sample, verb(name));
	else
		verb_help_program(f, &sample);
	(void)fclose(f);
	return text;
}

static const char common_options[] =
	"      --state DIR          local state and cache; all of it can be deleted\n"
	"                           (AKSDR_STATE)\n"
	"      --output table|json|csv\n"
	"                           form of the data on standard output\n"
	"%s"
	"      --quiet              no progress, and only warnings and errors\n"
	"      --progress auto|always|never\n"
	"                           progress on standard error\n"
	"      --log-format text|json\n"
	"                           form of messages on standard error\n"
	"      --log-level debug|info|warn|error\n"
	"                           least important messages to show\n"
	"%s"
	"      --version            print name and version\n"
	"      --help               print this help\n";
static const char audit[] =
	"      --reason TEXT        why this is done, for the audit trail (AKSDR_REASON)\n"
	"      --audit best|required\n"
	"                           whether something that cannot be recorded is done\n"
	"                           all the same (AKSDR_AUDIT)\n"
	"      --audit-reads        record listing and showing, too, where the key signs\n"
	"                           (AKSDR_AUDIT_READS)\n";
static const char dry_run[] =
	"      --dry-run            say what would be done, and change nothing\n";
static const char store_and_key[] =
	"      --store URL          where the repository is (AKSDR_STORE)\n"
	"      --key FILE           key file that opens it (AKSDR_KEY)\n";

/* Compares a text with a start, the common options, and an end. */
static void check(const char *text, const char *start, bool store, bool dry, const char *end)
{
	char want[8000];
	int n = snprintf(want, sizeof(want), "%s%s", start, store ? store_and_key : "");

	n += snprintf(want + n, sizeof(want) - (size_t)n, common_options, dry ? dry_run : "",
	              store ? audit : "");
	(void)snprintf(want + n, sizeof(want) - (size_t)n, "%s", end);
	assert_string_equal(text, want);
}

static void test_verb_help_verb__has_text_options_and_examples(void **state)
{
	auto_free char *text = text_of(FORM_HELP, "backup");

	(void)state;
	check(text,
	      "usage: aksdr-agent backup [OPTION]... NAME=PATH...\n"
	      "\n"
	      "Back up volumes.\n"
	      "\n"
	      "Backs up each PATH as NAME. \\ stays.\n"
	      "\n"
	      "'Quoted' and .dotted starts are kept, and what is long is filled over as many\n"
	      "lines as it takes.\n"
	      "\n"
	      "  .as it\n"
	      "  stands - here\n"
	      "\n"
	      "And after.\n"
	      "\n"
	      "Options:\n"
	      "  -d, --driver auto|live|btrfs\n"
	      "                           how the volume is read\n"
	      "      --set ID             points taken together; a long text that goes on for\n"
	      "                           more than a line\n"
	      "      --from FILE          list of names\n"
	      "      --into DIR           where it's put [if at all]: a directory\n"
	      "  -f, --force              even when it hurts\n"
	      "\n"
	      "Common options:\n",
	      true, true,
	      "\n"
	      "Examples:\n"
	      "  aksdr-agent backup data=/srv\n"
	      "  .hidden\n");
}

static void test_verb_help_verb__leaves_out_what_the_verb_has_not(void **state)
{
	auto_free char *local = text_of(FORM_HELP, "doctor");
	auto_free char *plain = text_of(FORM_HELP, "audit verify");

	(void)state;
	check(local, "usage: aksdr-agent doctor [OPTION]...\n\nLook around.\n\nCommon options:\n",
	      false, false, "");
	check(plain,
	      "usage: aksdr-agent audit verify [OPTION]...\n\nVerify the log.\n\nCommon options:\n",
	      true, false, "");
}

static void test_verb_help_program__lists_verbs_and_statuses(void **state)
{
	auto_free char *text = text_of(FORM_HELP, NULL);

	(void)state;
	check(text,
	      "usage: aksdr-agent VERB [OPTION]... [ARGUMENT]...\n"
	      "\n"
	      "Backs up volumes.\n"
	      "\n"
	      "Reads volumes and writes them into a store.\n"
	      "\n"
	      "Verbs:\n"
	      "  backup        back up volumes\n"
	      "  audit verify  verify the log\n"
	      "  audit show    show it\n"
	      "  doctor        look around\n"
	      "\n"
	      "Common options:\n",
	      true, true,
	      "\n"
	      "Environment:\n"
	      "  AKSDR_STORE              store, where --store is not given\n"
	      "  AKSDR_KEY                key file, where --key is not given\n"
	      "  AKSDR_STATE              local state, where --state is not given; without\n"
	      "                           either it is /var/lib/aksdr for root and the cache\n"
	      "                           directory of the user for others\n"
	      "  AKSDR_PASSPHRASE_FILE    file whose content is the passphrase of a wrapped\n"
	      "                           key\n"
	      "\n"
	      "Exit status:\n"
	      "  0                        done\n"
	      "  1                        failed\n"
	      "  2                        usage: a verb, an option or a value makes no sense\n"
	      "  3                        done in part; what is missing was listed\n"
	      "  4                        not found, or ambiguous\n"
	      "  5                        integrity: stored bytes are not what was written\n"
	      "  6                        fenced or locked by another\n"
	      "  130                      cancelled\n"
	      "\n"
	      "'aksdr-agent help VERB' tells more about one verb.\n");
}

static void test_verb_help__a_text_may_end_without_a_line_end(void **state)
{
	static const struct verb bare = { .name = "v", .summary = "s", .text = "  as it is" };
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	(void)state;
	verb_help_verb(f, &sample, &bare);
	verb_help_man(f, &sample, &bare);
	(void)fclose(f);
	assert_non_null(strstr(text, "\nS.\n\n  as it is\n\nCommon options:\n"));
	assert_non_null(strstr(text, "\n.PP\n.nf\n  as it is\n.fi\n"));
	free(text);
}

static void test_verb_help_man__escapes_what_roff_would_take(void **state)
{
	static const char start[] =
		".\\\" generated from the tables of the program\n"
		".TH AKSDR\\-AGENT\\-BACKUP 1 \"\" \"aksdr " AKSDR_VERSION "\" \"User Commands\"\n"
		".SH NAME\n"
		"aksdr\\-agent\\-backup \\- back up volumes\n"
		".SH SYNOPSIS\n"
		"\\fBaksdr\\-agent backup\\fR [\\fIOPTION\\fR]... \\fINAME=PATH...\\fR\n"
		".SH DESCRIPTION\n"
		".PP\n"
		"Back up volumes.\n"
		".PP\n"
		"Backs up each\n"
		"PATH as NAME. \\e stays.\n"
		".PP\n"
		"\\&'Quoted' and\n"
		"\\&.dotted starts\n"
		"are kept, and what is long is filled over as many lines as it takes.\n"
		".PP\n"
		".nf\n"
		"  .as it\n"
		"  stands \\- here\n"
		".fi\n"
		".PP\n"
		"And after.\n"
		".TP\n"
		"\\fB\\-d\\fR, \\fB\\-\\-driver\\fR \\fIauto|live|btrfs\\fR\n"
		"how the volume is read\n";
	auto_free char *text = text_of(FORM_MAN, "backup");

	(void)state;
	assert_true(strlen(text) > strlen(start));
	assert_memory_equal(text, start, strlen(start));
	assert_non_null(
		strstr(text, "\n.PP\n.nf\naksdr\\-agent backup data=/srv\n\\&.hidden\n.fi\n"));
	assert_non_null(strstr(text, "\nKnows \\fB\\-\\-dry\\-run\\fR.\n"));
}

static void test_verb_help_man__one_page_has_all_verbs(void **state)
{
	static const char *const parts[] = {
		".TH AKSDR\\-AGENT 1 ",
		"\n.SH NAME\naksdr\\-agent \\- backs up volumes\n",
		"\n.SH SYNOPSIS\n\\fBaksdr\\-agent backup\\fR [",
		"\n.br\n\\fBaksdr\\-agent audit verify\\fR [",
		"\n.SH DESCRIPTION\n.PP\nReads volumes and writes",
		"\n.SH VERBS\n.SS backup\n",
		"\n.SS audit verify\n",
		"\n.SS audit show\n",
		"\n.SS doctor\n",
		"\n.SH COMMON OPTIONS\n",
		"\n\\fB\\-\\-dry\\-run\\fR\n",
		"\n.SH ENVIRONMENT\n.TP\n\\fBAKSDR_STORE\\fR\nstore, where \\-\\-store is ",
		"\n.SH EXIT STATUS\n.TP\n\\fB0\\fR\ndone\n",
		"\n.SH SEE ALSO\n",
	};
	auto_free char *text = text_of(FORM_MAN, NULL);
	const char *at = text;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const char *found = strstr(at, parts[i]);

		if (!found)
			fail_msg("not there or not in order: %s", parts[i]);
		at = found + strlen(parts[i]) - 1;
	}
}

static int groff(void *arg)
{
	(void)execlp("groff", "groff", "-man", "-ww", "-z", (const char *)arg, (char *)NULL);
	return 77;
}

static void test_verb_help_man__groff_has_nothing_to_say(void **state)
{
	static const char *const names[] = { NULL, "backup", "audit show" };
	auto_tmpdir char *dir = tmpdir_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		auto_free char *text = text_of(FORM_MAN, names[i]);
		auto_free char *path = path_join(dir, "page.1");

		write_text(dir, "page.1", text);
		auto_run struct harness_run r = harness_run(groff, path);
		if (r.status == 77)
			break; /* a machine without groff: the other tests stand */
		assert_int_equal(r.status, 0);
		assert_string_equal(r.err, "");
	}
}

static void test_verb_is_choices__means_lower_case_words(void **state)
{
	(void)state;
	assert_true(verb_is_choices("fail|skip"));
	assert_false(verb_is_choices("FILE"));
	assert_false(verb_is_choices("file"));
	assert_false(verb_is_choices("TIME|latest"));
	assert_false(verb_is_choices(NULL));
}

static void test_verb_is_short__means_a_letter_or_digit(void **state)
{
	(void)state;
	assert_true(verb_is_short('a'));
	assert_true(verb_is_short('Z'));
	assert_true(verb_is_short('1'));
	assert_false(verb_is_short('-'));
	assert_false(verb_is_short(0));
	assert_false(verb_is_short(-1));
	assert_false(verb_is_short(200));
	assert_false(verb_is_short(300));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verb_help_verb__has_text_options_and_examples),
		cmocka_unit_test(test_verb_help_verb__leaves_out_what_the_verb_has_not),
		cmocka_unit_test(test_verb_help_program__lists_verbs_and_statuses),
		cmocka_unit_test(test_verb_help__a_text_may_end_without_a_line_end),
		cmocka_unit_test(test_verb_help_man__escapes_what_roff_would_take),
		cmocka_unit_test(test_verb_help_man__one_page_has_all_verbs),
		cmocka_unit_test(test_verb_help_man__groff_has_nothing_to_say),
		cmocka_unit_test(test_verb_is_choices__means_lower_case_words),
		cmocka_unit_test(test_verb_is_short__means_a_letter_or_digit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
