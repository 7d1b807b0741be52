/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, URLs, and what the calls add to the drivers' work. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"

static void test_store_key_valid__knows_keys(void **state)
{
	static const char *const good[] = {
		"a",      "0",     "_",
		"-",      "a.",    "a..b",
		"config", "a/b/c", "commit/2026-11-22/03fa41b2c19de077-5a0c"
	};
	static const char *const bad[] = { "",     "/",    "a/",  "/a",  "a//b", ".",  "..",
		                           ".a",   "a/.b", "A",   "a b", "a+b",  "a~", "a\xc3\xa9",
		                           "a/..", "a\n",  "a\\", "a:b", "\x7f", "@" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!store_key_valid(good[i]))
			fail_msg("'%s' is a key", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (store_key_valid(bad[i]))
			fail_msg("'%s' is no key", bad[i]);
}

static void test_store_key_valid__bounds_lengths(void **state)
{
	char key[STORE_KEY_MAX + 2];

	(void)state;
	memset(key, 'a', sizeof(key));
	key[255] = '\0';
	assert_true(store_key_valid(key));
	key[255] = 'a';
	key[256] = '\0';
	assert_false(store_key_valid(key));
	key[256] = 'a';
	key[255] = '/';
	key[511] = '/';
	key[512] = '\0';
	assert_false(store_key_valid(key));
	key[510] = '/';
	key[511] = 'a';
	assert_true(store_key_valid(key));
	key[512] = 'a';
	key[513] = '\0';
	assert_false(store_key_valid(key));
}

static int open_url(const char *url, unsigned flags, struct err *e)
{
	struct store *s = store_open(url, flags, e);

	store_free(s);
	return s ? 0 : -1;
}

static void test_store_open__says_what_is_wrong_with_a_url(void **state)
{
	(void)state;
	fails_saying(ERR_INVALID,
	             "is empty; azure://ACCOUNT/CONTAINER, s3://BUCKET, "
	             "file:///DIRECTORY and mem:NAME are known",
	             open_url("", 0, e));
	fails_saying(ERR_INVALID, "the kind 'gopher:' are not known here; azure://",
	             open_url("gopher://x", 0, e));
	fails_saying(ERR_INVALID, "did you mean 'file:///backup/x'", open_url("/backup/x", 0, e));
	fails_saying(ERR_INVALID, "begins with its kind and a colon", open_url("backup", 0, e));
	fails_saying(ERR_INVALID, "begins with its kind and a colon", open_url(":x", 0, e));
	fails_saying(ERR_INVALID, "'file:backup' has none", open_url("file:backup", 0, e));
	fails_saying(ERR_INVALID, "'file:/backup' has none", open_url("file:/backup", 0, e));
	fails_saying(ERR_INVALID, "'file://backup' has none", open_url("file://backup", 0, e));
	fails_saying(ERR_INVALID, "is the root of the file system", open_url("file:///", 0, e));
	fails_saying(ERR_INVALID, "is the root of the file system", open_url("file://////", 0, e));
	fails_saying(ERR_INVALID, "control character", open_url("file:///a\nb", 0, e));
	fails_saying(ERR_INVALID, "mem:NAME", open_url("mem:", 0, e));
	fails_saying(ERR_INVALID, "mem:NAME", open_url("mem:a/b", 0, e));
}

static void test_store_open__never_repeats_what_may_be_a_secret(void **state)
{
	static const char *const urls[] = {
		"https://a.blob.core.windows.net/c?sv=2022&sig=SECRET",
		"s3://id:SECRET@host/bucket",
		"DefaultEndpointsProtocol=https;AccountName=a;AccountKey=SECRET",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(open_url(urls[i], 0, &e), -1);
		assert_int_equal(e.class, ERR_INVALID);
		assert_null(strstr(e.msg, "SECRET"));
	}
}

static void test_store_open__a_path_that_is_too_long_is_invalid(void **state)
{
	auto_free char *url = malloc(8000);

	(void)state;
	assert_non_null(url);
	memset(url, 'x', 8000);
	memcpy(url, "file:///", 8);
	url[7999] = '\0';
	fails_saying(ERR_INVALID, "7992 bytes", open_url(url, 0, e));
	memset(url, 'm', 300);
	memcpy(url, "mem:", 4);
	url[300] = '\0';
	fails(ERR_INVALID, open_url(url, 0, e));
}

static void test_store_open__creates_only_when_told(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	char url[300];
	struct stat st;

	(void)state;
	(void)snprintf(url, sizeof(url), "file://%s/deep/er/store//", dir);
	fails_saying(ERR_NOT_FOUND, "is mounted", open_url(url, 0, e));
	assert_false(file_exists(dir, "deep"));
	fails(ERR_NOT_FOUND, open_url(url, STORE_READONLY, e));
	ok(open_url(url, STORE_CREATE, e));
	assert_int_equal(fstatat(AT_FDCWD, url + 7, &st, 0), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0700);
	ok(open_url(url, STORE_CREATE, e));
	ok(open_url(url, 0, e));
}

static void test_store_open__a_file_is_no_store(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	char url[300];

	(void)state;
	write_text(dir, "file", "x");
	(void)snprintf(url, sizeof(url), "file://%s/file", dir);
	fails_saying(ERR_INVALID, "is no directory", open_url(url, 0, e));
	fails_saying(ERR_INVALID, "is no directory", open_url(url, STORE_CREATE, e));
	(void)snprintf(url, sizeof(url), "file://%s/file/below", dir);
	fails(ERR_INVALID, open_url(url, 0, e));
	fails(ERR_INVALID, open_url(url, STORE_CREATE, e));
}

static void test_store_open__every_byte_after_the_slashes_is_path(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	char url[300];
	struct err e = ERR_INIT;

	(void)state;
	(void)snprintf(url, sizeof(url), "file://%s/a %%41?b#c", dir);
	auto_store struct store *s = store_open(url, STORE_CREATE, &e);
	assert_non_null(s);
	assert_true(file_exists(dir, "a %41?b#c"));
	assert_string_equal(s->url, url);
}

static void test_store_open__readonly_refuses_to_write(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	char url[300];
	struct err why = ERR_INIT;

	(void)state;
	(void)snprintf(url, sizeof(url), "file://%s", dir);
	auto_store struct store *s = store_open(url, STORE_READONLY, &why);
	assert_non_null(s);
	assert_false(s->caps & STORE_CAP_WRITE);
	fails_saying(ERR_DENIED, "for reading only", put_text(s, "a", "x", e));
	assert_int_equal(count_files(dir), 0);
}

static void test_store_free__of_nothing_is_fine(void **state)
{
	(void)state;
	store_free(NULL);
}

static enum store_fault get_fails(void *arg, uint64_t n, enum store_call call, const char *key)
{
	(void)arg;
	(void)n;
	(void)key;
	return call == CALL_GET ? FAULT_DENIED : FAULT_NONE;
}

static void test_store_get_all__leaves_the_buffer_alone_when_it_fails(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100);
	struct err why = ERR_INIT;
	auto_store struct store *s = store_mem_new(&why);

	(void)state;
	assert_non_null(s);
	ok(put_text(s, "a", "12345", e));
	assert_int_equal(buf_str(&b, "before"), 0);
	s = store_fault_new(STEAL(&s), get_fails, NULL, &why);
	assert_non_null(s);
	fails(ERR_DENIED, store_get_all(s, "a", &b, e));
	assert_int_equal(b.len, 6);
	assert_memory_equal(b.data, "before", 6);
}

static void test_store_open__is_limited_by_the_environment(void **state)
{
	struct err why = ERR_INIT;

	(void)state;
	setenv("AKSDR_LIMIT_UPLOAD", "fast", 1);
	fails_saying(ERR_INVALID, "AKSDR_LIMIT_UPLOAD", open_url("mem:limited", 0, e));
	setenv("AKSDR_LIMIT_UPLOAD", "64MiB", 1);
	auto_store struct store *s = store_open("mem:limited", 0, &why);
	assert_non_null(s);
	ok(put_text(s, "a", "x", e));
	unsetenv("AKSDR_LIMIT_UPLOAD");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_store_key_valid__knows_keys),
		cmocka_unit_test(test_store_key_valid__bounds_lengths),
		cmocka_unit_test(test_store_open__is_limited_by_the_environment),
		cmocka_unit_test(test_store_open__says_what_is_wrong_with_a_url),
		cmocka_unit_test(test_store_open__never_repeats_what_may_be_a_secret),
		cmocka_unit_test(test_store_open__a_path_that_is_too_long_is_invalid),
		cmocka_unit_test(test_store_open__creates_only_when_told),
		cmocka_unit_test(test_store_open__a_file_is_no_store),
		cmocka_unit_test(test_store_open__every_byte_after_the_slashes_is_path),
		cmocka_unit_test(test_store_open__readonly_refuses_to_write),
		cmocka_unit_test(test_store_free__of_nothing_is_fine),
		cmocka_unit_test(test_store_get_all__leaves_the_buffer_alone_when_it_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
