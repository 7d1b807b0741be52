/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine remembers of a volume: comes back, belongs to one run, and is never a danger. */
#include "repo/local.h"

#include <errno.h>
#include <sodium.h>

#include "tests/harness/repo_kit.h"
#include "tests/harness/syshook.h"

#define S1 "2026-11-22/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"
#define S2 "2026-11-23/03fa41b2c19de077-6a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"
#define VOLTAG "03fa41b2c19de077"
#define FILE_NAME "volume-" VOLTAG
#define HASH "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define TITLE "aksdr volume 1\n"

static void clean_local(struct local *l)
{
	local_close(l);
}
#define auto_local CLEANUP(clean_local)

/* All that local.c looks at. */
static struct repo repo_at(const char *state)
{
	struct repo r = { 0 };

	assert_true(strlen(state) < sizeof(r.state));
	(void)snprintf(r.state, sizeof(r.state), "%s", state);
	return r;
}

static void fill(struct local *l)
{
	(void)snprintf(l->session, sizeof(l->session), "%s", S1);
	(void)snprintf(l->head, sizeof(l->head), "%s", S2);
	l->sequence = 12345678901;
	for (size_t i = 0; i < sizeof(l->hash); i++)
		l->hash[i] = (uint8_t)i;
}

static void assert_filled(const struct local *l)
{
	assert_string_equal(l->session, S1);
	assert_string_equal(l->head, S2);
	assert_int_equal(l->sequence, 12345678901);
	for (size_t i = 0; i < sizeof(l->hash); i++)
		assert_int_equal(l->hash[i], i);
}

static void assert_blank(const struct local *l)
{
	assert_string_equal(l->session, "");
	assert_string_equal(l->head, "");
}

/* A new file each time: one that is cut to nothing is flushed by some file systems. */
static void put_file(const char *dir, const void *p, size_t n)
{
	auto_free char *path = path_join(dir, FILE_NAME);

	(void)unlink(path);
	write_file(dir, FILE_NAME, p, n);
}

/* Writes what is remembered, with its right sum. */
static void write_text_with_sum(const char *dir, const void *text, size_t n)
{
	auto_free uint8_t *p = malloc(n + 32);

	assert_non_null(p);
	memcpy(p, text, n);
	assert_int_equal(crypto_generichash(p + n, 32, p, n, NULL, 0), 0);
	put_file(dir, p, n + 32);
}

/* Opens, looks and closes. */
static struct local look(const char *dir)
{
	struct repo r = repo_at(dir);
	struct local l;

	memset(&l, 0xff, sizeof(l));
	local_open(&r, VOLTAG, &l);
	assert_true(l.lock >= 0);
	struct local copy = l;
	local_close(&l);
	return copy;
}

/* ---- remembering ---- */

static void test_local__comes_back(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct repo r = repo_at(dir);
	struct local l;
	struct stat st;

	(void)state;
	local_open(&r, VOLTAG, &l);
	assert_true(l.lock >= 0);
	assert_blank(&l);
	fill(&l);
	local_save(&l);
	local_close(&l);
	assert_int_equal(l.lock, -1);
	l = look(dir);
	assert_filled(&l);
	/* nobody else may read it */
	auto_free char *path = path_join(dir, FILE_NAME);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_local_save__replaces_what_was(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct repo r = repo_at(dir);
	auto_local struct local l;

	(void)state;
	local_open(&r, VOLTAG, &l);
	fill(&l);
	local_save(&l);
	/* the run has ended */
	l.session[0] = '\0';
	l.sequence++;
	local_save(&l);
	local_close(&l);
	local_open(&r, VOLTAG, &l);
	assert_string_equal(l.session, "");
	assert_string_equal(l.head, S2);
	assert_int_equal(l.sequence, 12345678902);
	/* a run before there is a point */
	l.head[0] = '\0';
	(void)snprintf(l.session, sizeof(l.session), "%s", S2);
	local_save(&l);
	local_close(&l);
	local_open(&r, VOLTAG, &l);
	assert_string_equal(l.session, S2);
	assert_string_equal(l.head, "");
	/* nothing at all */
	l.session[0] = '\0';
	local_save(&l);
	local_close(&l);
	local_open(&r, VOLTAG, &l);
	assert_blank(&l);
}

static void test_local__volumes_are_apart(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct repo r = repo_at(dir);
	auto_local struct local a;
	auto_local struct local b;

	(void)state;
	local_open(&r, VOLTAG, &a);
	local_open(&r, "ffffffffffffffff", &b);
	assert_true(a.lock >= 0 && b.lock >= 0);
	fill(&a);
	local_save(&a);
	local_close(&b);
	local_open(&r, "ffffffffffffffff", &b);
	assert_blank(&b);
}

static void test_local__without_a_state_directory(void **state)
{
	struct repo r = repo_at("");
	auto_local struct local l;

	(void)state;
	memset(&l, 0xff, sizeof(l));
	local_open(&r, VOLTAG, &l);
	assert_int_equal(l.lock, -1);
	assert_string_equal(l.path, "");
	assert_blank(&l);
	fill(&l);
	local_save(&l); /* nowhere */
	local_close(&l);
	local_close(&l);
}

/* ---- one run at a time ---- */

static void test_local_open__another_run_has_it(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct repo r = repo_at(dir);
	auto_local struct local first;
	auto_local struct local second;

	(void)state;
	local_open(&r, VOLTAG, &first);
	fill(&first);
	local_save(&first);
	memset(&second, 0xff, sizeof(second));
	local_open(&r, VOLTAG, &second);
	assert_int_equal(second.lock, -1);
	assert_blank(&second); /* the session of a run that lives is not to be continued */
	(void)snprintf(second.session, sizeof(second.session), "%s", S2);
	local_save(&second); /* and cannot be disturbed */
	local_close(&second);
	local_close(&first);
	struct local after = look(dir);
	assert_filled(&after);
}

static int hold_and_die(void *arg)
{
	struct repo r = repo_at(arg);
	struct local l;

	local_open(&r, VOLTAG, &l);
	if (l.lock < 0)
		return 1;
	fill(&l);
	local_save(&l);
	abort(); /* nothing is closed */
}

static void test_local_open__a_run_that_died_is_no_obstacle(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_run struct harness_run run = harness_run(hold_and_die, dir);

	(void)state;
	assert_int_not_equal(run.status, 0);
	assert_int_not_equal(run.status, 1);
	struct local l = look(dir);
	assert_filled(&l);
}

/* ---- what lies on the disk ---- */

static void test_local_open__any_damage_is_as_if_nothing_was_there(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct repo r = repo_at(dir);
	struct local l;
	size_t n;

	(void)state;
	local_open(&r, VOLTAG, &l);
	fill(&l);
	local_save(&l);
	local_close(&l);
	auto_free char *good = read_file(dir, FILE_NAME, &n);
	auto_free char *bad = malloc(n + 1);
	assert_non_null(bad);
	for (size_t at = 0; at < n; at++) {
		memcpy(bad, good, n);
		bad[at] ^= 1;
		put_file(dir, bad, n);
		l = look(dir);
		assert_blank(&l);
	}
	for (size_t len = 0; len < n; len++) {
		put_file(dir, good, len);
		l = look(dir);
		assert_blank(&l);
	}
	memcpy(bad, good, n);
	bad[n] = 'x';
	put_file(dir, bad, n + 1);
	l = look(dir);
	assert_blank(&l);
	put_file(dir, good, n);
	l = look(dir);
	assert_filled(&l);
}

static void test_local_open__lines_that_make_no_sense_are_passed_over(void **state)
{
	static const char *const lines[] = {
		"",
		"\n\n\n",
		"session",
		"session ",
		"session x",
		"session ../../etc/passwd",
		"session " S1 "0",
		"session  " S1,
		"Session " S1,
		"head",
		"head " S1,
		"head " S1 " 1",
		"head " S1 " 0 " HASH,
		"head " S1 " -1 " HASH,
		"head " S1 " 9223372036854775808 " HASH,
		"head " S1 " 99999999999999999999999 " HASH,
		"head " S1 " 1 ",
		"head " S1 " 1 " HASH "00",
		"head " S1 " 1 " HASH " ",
		"head " S1 " 1 x" HASH,
		"head x 1 " HASH,
		"head  1 " HASH,
		"\xff\xff",
		"session\t" S1,
	};
	static const char good[] = "session " S1 "\nhead " S2 " 7 " HASH "\n";
	auto_tmpdir char *dir = tmpdir_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		char text[512];
		struct local l;

		(void)snprintf(text, sizeof(text), TITLE "%s\n", lines[i]);
		write_text_with_sum(dir, text, strlen(text));
		l = look(dir);
		assert_blank(&l);
		/* nor do they spoil what is right, before them or behind */
		for (int behind = 0; behind < 2; behind++) {
			(void)snprintf(text, sizeof(text), TITLE "%s%s\n%s", behind ? good : "",
			               lines[i], behind ? "" : good);
			write_text_with_sum(dir, text, strlen(text));
			l = look(dir);
			assert_string_equal(l.session, S1);
			assert_string_equal(l.head, S2);
			if (l.sequence != 7 || l.hash[0] != 0 || l.hash[31] != 0x1f)
				fail_msg("line %zu has changed what another one says", i);
		}
	}
}

static void test_local_open__texts_that_are_none(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *large = malloc(5000);
	struct local l;

	(void)state;
	assert_non_null(large);
	/* of a later version */
	write_text_with_sum(dir, "aksdr volume 2\nsession " S1 "\n", 24 + 60);
	l = look(dir);
	assert_blank(&l);
	/* the title alone, and less than it */
	write_text_with_sum(dir, TITLE, strlen(TITLE));
	l = look(dir);
	assert_blank(&l);
	write_text_with_sum(dir, "aksdr", 5);
	l = look(dir);
	assert_blank(&l);
	/* no line end; a NUL */
	write_text_with_sum(dir, TITLE "session " S1, strlen(TITLE) + 68);
	l = look(dir);
	assert_string_equal(l.session, S1);
	write_text_with_sum(dir, TITLE "\0session " S1, strlen(TITLE) + 69);
	l = look(dir);
	assert_blank(&l);
	/* over all limits */
	memset(large, '\n', 5000);
	memcpy(large, TITLE, strlen(TITLE));
	memcpy(large + strlen(TITLE), "session " S1, 68);
	write_text_with_sum(dir, large, 5000);
	l = look(dir);
	assert_blank(&l);
	for (uint64_t seed = 0; seed < 300; seed++) {
		uint8_t noise[300];

		fill_random(seed, noise, sizeof(noise));
		if (seed % 2)
			memcpy(noise, TITLE, strlen(TITLE));
		write_text_with_sum(dir, noise, seed);
		l = look(dir);
		assert_blank(&l);
	}
}

static void test_local_open__something_else_is_in_the_place(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, FILE_NAME);
	auto_free char *lock = path_join(dir, FILE_NAME ".lock");
	struct repo r = repo_at(dir);
	struct local l;

	(void)state;
	assert_int_equal(mkdir(path, 0700), 0);
	l = look(dir);
	assert_blank(&l);
	/* it cannot be saved then, and nothing comes of it */
	local_open(&r, VOLTAG, &l);
	fill(&l);
	local_save(&l);
	local_close(&l);
	assert_int_equal(rmdir(path), 0);
	/* a link is not followed for the lock */
	assert_int_equal(unlink(lock), 0);
	assert_int_equal(symlink("elsewhere", lock), 0);
	local_open(&r, VOLTAG, &l);
	assert_int_equal(l.lock, -1);
	assert_string_equal(l.path, "");
	assert_false(file_exists(dir, "elsewhere"));
	local_close(&l);
}

static void test_local_open__a_state_directory_that_is_none(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *missing = path_join(dir, "missing");
	auto_free char *file = path_join(dir, "file");
	const char *const bad[] = { missing, file };

	(void)state;
	write_text(dir, "file", "x");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct repo r = repo_at(bad[i]);
		struct local l;

		local_open(&r, VOLTAG, &l);
		assert_int_equal(l.lock, -1);
		assert_blank(&l);
		fill(&l);
		local_save(&l);
		local_close(&l);
	}
	assert_int_equal(count_files(dir), 1);
}

static int fail_syncs(void *arg, enum syshook_call call, int flags)
{
	(void)arg;
	(void)flags;
	return call == HOOK_FSYNC ? EIO : 0;
}

static int fail_allocs(void *arg, enum syshook_call call, int flags)
{
	(void)arg;
	(void)flags;
	return call == HOOK_ALLOC ? ENOMEM : 0;
}

static void test_local_save__an_old_text_is_worse_than_none(void **state)
{
	static syshook_fn *const hooks[] = { fail_syncs, fail_allocs };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
		auto_tmpdir char *dir = tmpdir_new();
		struct repo r = repo_at(dir);
		struct local l;

		local_open(&r, VOLTAG, &l);
		fill(&l);
		local_save(&l);
		(void)snprintf(l.session, sizeof(l.session), "%s", S2);
		syshook_set(hooks[i], NULL);
		local_save(&l);
		syshook_set(NULL, NULL);
		local_close(&l);
		l = look(dir);
		assert_string_equal(l.session, "");
	}
}

static void test_local_open__short_memory_is_as_if_nothing_was_there(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct repo r = repo_at(dir);
	auto_local struct local l;

	(void)state;
	local_open(&r, VOLTAG, &l);
	fill(&l);
	local_save(&l);
	local_close(&l);
	syshook_set(fail_allocs, NULL);
	local_open(&r, VOLTAG, &l);
	syshook_set(NULL, NULL);
	assert_true(l.lock >= 0);
	assert_blank(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_local__comes_back),
		cmocka_unit_test(test_local_save__replaces_what_was),
		cmocka_unit_test(test_local__volumes_are_apart),
		cmocka_unit_test(test_local__without_a_state_directory),
		cmocka_unit_test(test_local_open__another_run_has_it),
		cmocka_unit_test(test_local_open__a_run_that_died_is_no_obstacle),
		cmocka_unit_test(test_local_open__any_damage_is_as_if_nothing_was_there),
		cmocka_unit_test(test_local_open__lines_that_make_no_sense_are_passed_over),
		cmocka_unit_test(test_local_open__texts_that_are_none),
		cmocka_unit_test(test_local_open__something_else_is_in_the_place),
		cmocka_unit_test(test_local_open__a_state_directory_that_is_none),
		cmocka_unit_test(test_local_save__an_old_text_is_worse_than_none),
		cmocka_unit_test(test_local_open__short_memory_is_as_if_nothing_was_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
