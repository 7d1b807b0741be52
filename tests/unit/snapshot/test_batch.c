/* SPDX-License-Identifier: Apache-2.0 */
/* Batches, their paths and directories, and the pool they come from. */
#include "snapshot/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static const char text[] = "0123456789";

static int open_any(void)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void test_batch_add__paths_are_joined_and_names_lie_inside(void **state)
{
	struct source source = { 0 };
	struct batch_pool pool;

	(void)state;
	batch_pool_init(&pool, &source);
	struct walk_batch *b = batch_new(&pool, NULL);
	struct entry *root = batch_add(b, "", 0, "", 0);
	struct entry *top = batch_add(b, "", 0, "top", 3);
	struct entry *deep = batch_add(b, "a/b", 3, "name", 4);
	assert_ptr_equal(b->pub.source, &source);
	assert_int_equal(b->pub.n, 3);
	assert_string_equal(root->path, "");
	assert_string_equal(root->name, "");
	assert_string_equal(top->path, "top");
	assert_string_equal(top->name, "top");
	assert_string_equal(deep->path, "a/b/name");
	assert_int_equal(deep->path_len, 8);
	assert_ptr_equal(deep->name, deep->path + 4);
	assert_int_equal(deep->state, ENTRY_OK);
	assert_ptr_equal(batch_mark(deep)->batch, b);
	assert_int_equal(batch_mark(deep)->todo, BATCH_STAT);
	batch_unref(b);
	batch_pool_clear(&pool);
}

static void test_batch_add__is_full_by_entries_or_by_bytes_of_paths(void **state)
{
	struct source source = { 0 };
	struct batch_pool pool;
	static char dir[100000];

	(void)state;
	memset(dir, 'd', sizeof(dir));
	batch_pool_init(&pool, &source);
	struct walk_batch *b = batch_new(&pool, NULL);
	for (int i = 0; i < SOURCE_BATCH_MAX; i++)
		assert_non_null(batch_add(b, "", 0, text, 10));
	assert_null(batch_add(b, "", 0, text, 10));
	batch_unref(b);

	b = batch_new(&pool, NULL);
	assert_int_equal(b->pub.n, 0);
	size_t n = 0;
	while (batch_add(b, dir, 4000, text, 10))
		n++;
	assert_int_equal(n, BATCH_PATHS / 4012);
	batch_unref(b);

	/* an entry alone may have any length, and leaves no large memory behind */
	b = batch_new(&pool, NULL);
	struct entry *e = batch_add(b, dir, sizeof(dir), text, 10);
	assert_non_null(e);
	assert_int_equal(e->path_len, sizeof(dir) + 11);
	assert_null(batch_add(b, dir, sizeof(dir), text, 10));
	batch_unref(b);
	b = batch_new(&pool, NULL);
	assert_true(b->paths_cap <= BATCH_PATHS);
	batch_unref(b);
	batch_pool_clear(&pool);
}

static void test_batch_unref__the_last_one_closes_the_directory(void **state)
{
	struct source source = { 0 };
	struct batch_pool pool;

	(void)state;
	batch_pool_init(&pool, &source);
	struct batch_dir *dir = batch_dir_new(&pool, open_any());
	int fd = dir->fd;
	struct walk_batch *a = batch_new(&pool, dir);
	struct walk_batch *b = batch_new(&pool, dir);
	assert_int_equal(atomic_load(&pool.dirs), 1);
	batch_dir_unref(dir);
	batch_ref(a);
	batch_unref(a);
	batch_unref(b);
	assert_true(is_open(fd));
	batch_unref(a);
	assert_false(is_open(fd));
	assert_int_equal(atomic_load(&pool.dirs), 0);
	batch_dir_unref(NULL);
	batch_pool_clear(&pool);
}

static void test_batch_new__memory_is_used_again_and_bounded(void **state)
{
	enum { N = BATCH_SPARE + 5 };
	struct source source = { 0 };
	struct batch_pool pool;
	struct walk_batch *all[N];

	(void)state;
	batch_pool_init(&pool, &source);
	struct walk_batch *first = batch_new(&pool, NULL);
	batch_unref(first);
	assert_ptr_equal(batch_new(&pool, NULL), first);
	batch_unref(first);
	for (int i = 0; i < N; i++) {
		all[i] = batch_new(&pool, NULL);
		assert_non_null(all[i]);
	}
	for (int i = 0; i < N; i++)
		batch_unref(all[i]);
	assert_int_equal(pool.nspare, BATCH_SPARE);
	batch_pool_clear(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batch_add__paths_are_joined_and_names_lie_inside),
		cmocka_unit_test(test_batch_add__is_full_by_entries_or_by_bytes_of_paths),
		cmocka_unit_test(test_batch_unref__the_last_one_closes_the_directory),
		cmocka_unit_test(test_batch_new__memory_is_used_again_and_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
