/* SPDX-License-Identifier: Apache-2.0 */
/* Listing of the file driver: big directories, and which ones are read at all. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "store/file.h"
#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"
#include "tests/harness/syshook.h"

struct setting {
	char *dir;
	struct store *s;
	unsigned opened; /* directories read */
	unsigned names;  /* and entries of them */
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

	syshook_set(NULL, NULL);
	store_free(t->s);
	tmpdir_remove(t->dir);
	free(t);
	return 0;
}

static int count_reads(void *arg, enum syshook_call call, int flags)
{
	struct setting *t = arg;

	(void)flags;
	t->opened += call == HOOK_FDOPENDIR;
	t->names += call == HOOK_READDIR;
	return 0;
}

/* Directories that a listing reads. */
static unsigned reads_of(struct setting *t, const char *prefix, const char *after)
{
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;

	t->opened = 0;
	t->names = 0;
	syshook_set(count_reads, t);
	ok(store_list(t->s, prefix, after, see, &l, e));
	syshook_set(NULL, NULL);
	return t->opened;
}

static void test_file_list__reads_no_directory_that_cannot_match(void **state)
{
	struct setting *t = *state;
	char name[64];

	for (unsigned i = 0; i < 16; i++) {
		(void)snprintf(name, sizeof(name), "pack/%x/object", i);
		write_text(t->dir, name, "");
		(void)snprintf(name, sizeof(name), "sess/2026-11-%02u/s", i + 1);
		write_text(t->dir, name, "");
	}
	assert_int_equal(reads_of(t, "", NULL), 1 + 1 + 16 + 1 + 16);
	assert_int_equal(reads_of(t, "pack/", NULL), 1 + 16);
	assert_int_equal(reads_of(t, "pack/a/", NULL), 1);
	assert_int_equal(reads_of(t, "pack/a", NULL), 1 + 1);
	assert_int_equal(reads_of(t, "pa", NULL), 1 + 1 + 16);
	assert_int_equal(reads_of(t, "sess/2026-11-1", NULL), 1 + 7);
	assert_int_equal(reads_of(t, "sess/", "sess/2026-11-14"), 1 + 3);
	assert_int_equal(reads_of(t, "sess/", "sess/2026-11-14/s"), 1 + 3);
	assert_int_equal(reads_of(t, "", "sess/2026-11-14/s"), 1 + 1 + 3);
	assert_int_equal(reads_of(t, "none/", NULL), 0);
	assert_true(t->names <= 2);
}

static int count(void *arg, const struct store_item *item, struct err *e)
{
	char expected[64];
	unsigned *n = arg;

	(void)e;
	/* a file and a directory in turn */
	(void)snprintf(expected, sizeof(expected), *n % 100 == 99 ? "big/%06u/x" : "big/%06u", *n);
	assert_string_equal(item->key, expected);
	++*n;
	return 0;
}

static void test_file_list__a_directory_of_any_size_is_in_order(void **state)
{
	struct setting *t = *state;
	enum { ALL = 40000 }; /* more than are kept in memory at once */
	auto_free char *path = path_join(t->dir, "big");
	char name[64];
	unsigned n = 0;

	assert_int_equal(mkdir(path, 0700), 0);
	auto_close int d = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	write_text(t->dir, "file", "");
	/* 12347 is prime to 40000: every number once, in no order; a link is made faster */
	for (unsigned i = 0; i < ALL; i++) {
		unsigned k = i * 12347U % ALL;

		(void)snprintf(name, sizeof(name), "%06u", k);
		if (k % 100 == 99) {
			assert_int_equal(mkdirat(d, name, 0700), 0);
			(void)snprintf(name, sizeof(name), "%06u/x", k);
		}
		assert_int_equal(linkat(file_of(t->s)->root, "file", d, name, 0), 0);
	}
	assert_int_equal(unlinkat(file_of(t->s)->root, "file", 0), 0);
	ok(store_list(t->s, "", NULL, count, &n, e));
	assert_int_equal(n, ALL);
	n = 35000;
	ok(store_list(t->s, "big/", "big/034999/x", count, &n, e));
	assert_int_equal(n, ALL);
}

static void test_file_list__paths_that_are_too_long_are_no_keys(void **state)
{
	struct setting *t = *state;
	char name[200];
	int at = dup(file_of(t->s)->root);

	memset(name, 'd', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(mkdirat(at, name, 0700), 0);
		int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		auto_close int fd = openat(next, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		(void)close(at);
		at = next;
	}
	(void)close(at);

	CLEANUP(seen_clear) struct seen l = SEEN_INIT;
	ok(store_list(t->s, "", NULL, see, &l, e));
	assert_int_equal(l.count, 2); /* 204 and 404 characters; the next ones have over 512 */
}

/* Removes what is being listed, at the moment given. */
struct removal {
	struct setting *t;
	enum syshook_call at;
	unsigned skip;
	const char *name; /* relative to the root */
	int flags;
};

static int remove_then(void *arg, enum syshook_call call, int flags)
{
	struct removal *r = arg;

	(void)flags;
	if (call != r->at || r->skip-- != 0)
		return 0;
	syshook_set(NULL, NULL);
	assert_int_equal(unlinkat(file_of(r->t->s)->root, r->name, r->flags), 0);
	return 0;
}

static void test_file_list__what_is_deleted_meanwhile_is_left_out(void **state)
{
	struct setting *t = *state;
	struct removal file = { .t = t, .at = HOOK_FSTATAT, .skip = 1, .name = "b" };
	struct removal folder = { .t = t, .at = HOOK_FSTATAT, .name = "d", .flags = AT_REMOVEDIR };
	auto_free char *path = path_join(t->dir, "d");

	write_text(t->dir, "a", "");
	write_text(t->dir, "b", "");
	write_text(t->dir, "c", "");
	assert_int_equal(mkdir(path, 0700), 0);
	syshook_set(remove_then, &file);
	assert_list(t->s, "", NULL, "a=0 c=0");
	syshook_set(remove_then, &folder);
	assert_list(t->s, "", NULL, "a=0 c=0");
	assert_false(file_exists(t->dir, "d"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_file_list__reads_no_directory_that_cannot_match),
		CASE(test_file_list__a_directory_of_any_size_is_in_order),
		CASE(test_file_list__paths_that_are_too_long_are_no_keys),
		CASE(test_file_list__what_is_deleted_meanwhile_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
