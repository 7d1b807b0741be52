/* SPDX-License-Identifier: Apache-2.0 */
#include "store/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"

static const char *const known[] = { "endpoint", "credentials", "proxy", "tier", NULL };

/* Parses a URL that is to be refused: the message has the text, and none of the others. */
static void refused(const char *url, const char *text, const char *const *never)
{
	auto_place struct place p = { 0 };
	struct err e;

	if (place_parse(url, known, &p, &e) != -1)
		fail_msg("'%s' was not refused", url);
	if (e.class != ERR_INVALID || !strstr(e.msg, text))
		fail_msg("'%s': %s: %s", url, err_class_name(e.class), e.msg);
	for (; never && *never; never++)
		if (strstr(e.msg, *never))
			fail_msg("'%s': the message has '%s': %s", url, *never, e.msg);
}

static void test_parse__takes_a_url_apart(void **state)
{
	auto_place struct place p = { 0 };

	(void)state;
	ok(place_parse("azure://acct1/data/a/b/?tier=cool&endpoint=https%3A%2F%2fh%3a1", known, &p,
	               e));
	assert_string_equal(p.plain, "azure://acct1/data/a/b");
	assert_string_equal(p.host, "acct1");
	assert_string_equal(p.rest, "data/a/b");
	assert_string_equal(place_param(&p, "tier"), "cool");
	assert_string_equal(place_param(&p, "endpoint"), "https://h:1");
	assert_null(place_param(&p, "proxy"));
}

static void test_parse__a_name_alone_is_a_place(void **state)
{
	auto_place struct place p = { 0 };

	(void)state;
	ok(place_parse("s3://bucket?", known, &p, e));
	assert_string_equal(p.host, "bucket");
	assert_string_equal(p.rest, "");
}

static void test_parse__what_makes_no_sense_has_a_sentence(void **state)
{
	(void)state;
	refused("azure:", "SCHEME://NAME", NULL);
	refused("azure://", "has no name", NULL);
	refused("azure:///data", "has no name", NULL);
	refused("azure://a b/data", "something else", NULL);
	refused("azure://a/x//y", "empty part", NULL);
	refused("azure://a//x", "empty part", NULL);
	refused("azure://a/x?color=red", "'color' is no parameter", NULL);
	refused("azure://a/x?tier", "has no value", NULL);
	refused("azure://a/x?tier=", "has no value", NULL);
	refused("azure://a/x?tier=%4", "not percent-encoded", NULL);
	refused("azure://a/x?tier=a%00b", "not percent-encoded", NULL);
	refused("azure://a/x?tier=hot&tier=cool", "given twice", NULL);
}

static void test_parse__a_long_url_is_refused(void **state)
{
	static char url[5000];

	(void)state;
	memset(url, 'a', sizeof(url) - 1);
	memcpy(url, "azure://", 8);
	refused(url, "longer than 4096", NULL);
}

static void test_parse__a_secret_is_refused_and_not_repeated(void **state)
{
	static const char *const never[] = { "s3cr3t", NULL };
	static const char text[] = "secret";

	(void)state;
	refused("azure://a/x?sig=s3cr3t", text, never);
	refused("azure://a/x?KEY=s3cr3t", text, never);
	refused("azure://a/x?AccountKey=s3cr3t", text, never);
	refused("s3://a/x?secret=s3cr3t", text, never);
	/* as people paste them: a whole signature, of which the first field is none */
	refused("azure://a/x?sv=2022-11-02&ss=b&se=2027&sp=rl&sig=s3cr3t%3D", text, never);
	refused("azure://a/x?tier=hot&sv=2022-11-02&sig=s3cr3t%3D", text, never);
	refused("azure://a/x?proxy=http%3A%2F%2Fme%3As3cr3t%40proxy%3A3128", text, never);
	refused("azure://a/x?endpoint=https://me:s3cr3t@host/", text, never);
	refused("azure://a/x?endpoint=https%3A%2F%2Fhost%2F%3Fsig%3Ds3cr3t", text, never);
	refused("azure://a:s3cr3t@h/x", "something else", never);
	refused("key=s3cr3t://a//x", "SCHEME://NAME", never);
	refused("azure://a/x?s3cr3tBASE64+/==", "no parameter of", never);
}

static char *credentials(const char *dir, const char *text, mode_t mode)
{
	char *path = path_join(dir, "credentials");
	char *url = NULL;

	write_text(dir, "credentials", text);
	assert_int_equal(chmod(path, mode), 0);
	assert_true(asprintf(&url, "azure://a/x?credentials=%s", path) > 0);
	free(path);
	return url;
}

static void test_setting__the_file_counts_before_the_environment(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *url = credentials(dir,
	                                  "# who we are\n\n AZURE_STORAGE_KEY=a=b== \r\n"
	                                  "AZURE_CLIENT_ID=\nAZURE_STORAGE_KEY=second",
	                                  0600);
	auto_place struct place p = { 0 };

	(void)state;
	setenv("AZURE_STORAGE_KEY", "of the environment", 1);
	setenv("AZURE_CLIENT_ID", "of the environment", 1);
	setenv("AZURE_TENANT_ID", "tenant", 1);
	setenv("AZURE_AUTHORITY_HOST", "", 1);
	ok(place_parse(url, known, &p, e));
	assert_string_equal(place_setting(&p, "AZURE_STORAGE_KEY"), "a=b==");
	assert_string_equal(place_setting(&p, "AZURE_TENANT_ID"), "tenant");
	assert_null(place_setting(&p, "AZURE_CLIENT_ID"));
	assert_null(place_setting(&p, "AZURE_AUTHORITY_HOST"));
	assert_null(place_setting(&p, "AZURE_STORAGE"));
}

static void test_parse__a_file_that_others_may_read_is_refused(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *url = credentials(dir, "A=s3cr3t\n", 0640);
	auto_place struct place p = { 0 };

	(void)state;
	fails_saying(ERR_DENIED, "chmod 600", place_parse(url, known, &p, e));
}

static void test_parse__a_line_that_is_none_is_named_by_its_number(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *url = credentials(dir, "A=1\n\nexport s3cr3t=1\n", 0600);
	auto_place struct place p = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(place_parse(url, known, &p, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
	assert_non_null(strstr(e.msg, "line 3"));
	assert_null(strstr(e.msg, "s3cr3t"));
}

static void test_parse__other_things_than_files_hold_no_credentials(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *fifo = path_join(dir, "fifo");
	auto_free char *gone = NULL;
	auto_free char *folder = NULL;
	auto_free char *pipe = NULL;
	auto_place struct place p = { 0 };

	(void)state;
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_true(asprintf(&gone, "azure://a/x?credentials=%s/gone", dir) > 0);
	assert_true(asprintf(&folder, "azure://a/x?credentials=%s", dir) > 0);
	assert_true(asprintf(&pipe, "azure://a/x?credentials=%s", fifo) > 0);
	fails_saying(ERR_NOT_FOUND, "/gone'", place_parse(gone, known, &p, e));
	fails_saying(ERR_INVALID, "no regular file", place_parse(folder, known, &p, e));
	fails_saying(ERR_INVALID, "no regular file", place_parse(pipe, known, &p, e));
}

static void test_parse__a_file_that_is_no_text_is_refused(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *url = credentials(dir, "", 0600);
	auto_place struct place empty = { 0 };
	auto_place struct place p = { 0 };
	static char big[64 * 1024 + 1];

	(void)state;
	ok(place_parse(url, known, &empty, e));
	write_file(dir, "credentials", "A=1\0B=2", 7);
	fails(ERR_FORMAT, place_parse(url, known, &p, e));
	memset(big, '#', sizeof(big));
	write_file(dir, "credentials", big, sizeof(big));
	fails(ERR_FORMAT, place_parse(url, known, &p, e));
}

static void test_unescape__decodes_in_place(void **state)
{
	char good[] = "a%2Fb%2fc+%25";
	char cut[] = "a%2";
	char alone[] = "%";
	char word[] = "%zz";
	char nul[] = "%00";

	(void)state;
	assert_true(place_unescape(good));
	assert_string_equal(good, "a/b/c+%");
	assert_false(place_unescape(cut));
	assert_false(place_unescape(alone));
	assert_false(place_unescape(word));
	assert_false(place_unescape(nul));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse__takes_a_url_apart),
		cmocka_unit_test(test_parse__a_name_alone_is_a_place),
		cmocka_unit_test(test_parse__what_makes_no_sense_has_a_sentence),
		cmocka_unit_test(test_parse__a_long_url_is_refused),
		cmocka_unit_test(test_parse__a_secret_is_refused_and_not_repeated),
		cmocka_unit_test(test_setting__the_file_counts_before_the_environment),
		cmocka_unit_test(test_parse__a_file_that_others_may_read_is_refused),
		cmocka_unit_test(test_parse__a_line_that_is_none_is_named_by_its_number),
		cmocka_unit_test(test_parse__other_things_than_files_hold_no_credentials),
		cmocka_unit_test(test_parse__a_file_that_is_no_text_is_refused),
		cmocka_unit_test(test_unescape__decodes_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
