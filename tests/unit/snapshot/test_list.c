/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and sorting the names of a directory. getdents64() is wrapped, so
 * that a test can play a file system that answers in small pieces, gives a
 * name twice or fails half-way.
 */
#include "snapshot/list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "tests/harness/harness.h"

ssize_t __real_getdents64(int fd, void *buffer, size_t n);
ssize_t __wrap_getdents64(int fd, void *buffer, size_t n);

/* The directory that is played when names is set. */
static struct {
	const char *const *names;
	size_t n, at;
	size_t piece;   /* names in one answer */
	size_t fail_at; /* error EIO in place of this name; SIZE_MAX: never */
} play = { .fail_at = SIZE_MAX };

ssize_t __wrap_getdents64(int fd, void *buffer, size_t n)
{
	if (!play.names)
		return __real_getdents64(fd, buffer, n);

	size_t used = 0;
	for (size_t i = 0; i < play.piece && play.at < play.n; i++, play.at++) {
		struct dirent64 *d = (void *)((char *)buffer + used);
		size_t len = strlen(play.names[play.at]);
		size_t size = (offsetof(struct dirent64, d_name) + len + 1 + 7) & ~(size_t)7;

		if (play.at == play.fail_at) {
			if (used > 0)
				break;
			errno = EIO;
			return -1;
		}
		if (used + size > n)
			break;
		memset(d, 0, size);
		d->d_reclen = (unsigned short)size;
		d->d_type = DT_REG;
		memcpy(d->d_name, play.names[play.at], len + 1);
		used += size;
	}
	return (ssize_t)used;
}

static _Alignas(8) char buffer[LIST_BUFFER];

static int read_played(struct list *l, const char *const *names, size_t n, size_t piece)
{
	play.names = names;
	play.n = n;
	play.at = 0;
	play.piece = piece;
	int rc = list_read(l, -1, NULL, buffer, NULL);
	play.names = NULL;
	return rc;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void assert_sorted(const struct list *l, const char **names, size_t n)
{
	qsort(names, n, sizeof(*names), by_text);
	assert_int_equal(l->n, n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(list_name(l, i), names[i]);
}

static void test_list_read__names_come_in_the_order_of_their_bytes(void **state)
{
	static const char *const names[] = { "b",
		                             "a.b",
		                             "a",
		                             "ab",
		                             "\x01",
		                             "\xff",
		                             "a\n",
		                             "Z",
		                             "same-start-1",
		                             "same-start-10",
		                             "same-start-2",
		                             ".",
		                             "..",
		                             "...",
		                             ".hidden",
		                             "-" };
	static const char *const sorted[] = { "\x01",
		                              "-",
		                              "...",
		                              ".hidden",
		                              "Z",
		                              "a",
		                              "a\n",
		                              "a.b",
		                              "ab",
		                              "b",
		                              "same-start-1",
		                              "same-start-10",
		                              "same-start-2",
		                              "\xff" };
	struct list l = { 0 };

	(void)state;
	assert_int_equal(read_played(&l, names, ARRAY_LEN(names), 3), 0);
	assert_int_equal(l.n, ARRAY_LEN(sorted));
	for (size_t i = 0; i < l.n; i++) {
		assert_string_equal(list_name(&l, i), sorted[i]);
		assert_int_equal(list_type(&l, i), DT_REG);
		assert_int_equal(list_find(&l, sorted[i]), i);
	}
	assert_int_equal(list_find(&l, "none"), l.n);
	list_clear(&l);
}

/* Names of 1 to 255 bytes from small and large alphabets: long common starts, early ends. */
static void test_list_read__sorts_as_strcmp_does(void **state)
{
	struct list l = { 0 };

	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		size_t n = seed * 31 % 997 + 1;
		const char **names = calloc(n, sizeof(*names));
		uint8_t bytes[256];

		assert_non_null(names);
		for (size_t i = 0; i < n; i++) {
			char tail[24];
			uint8_t kinds = (uint8_t)(seed % 5 == 0 ? 255 : 2);

			fill_random(seed * 100000 + i, bytes, sizeof(bytes));
			size_t len = bytes[0] % 200 + 1;
			char *name = calloc(1, 256);
			assert_non_null(name);
			for (size_t j = 0; j < len; j++) {
				uint8_t c = (uint8_t)(bytes[1 + j] % kinds + 1);

				name[j] = (char)(c == '/' ? 'x' : c);
			}
			/* makes it the only one of its kind */
			int k = snprintf(tail, sizeof(tail), "%zu", i);
			memcpy(name + len, tail, (size_t)k + 1);
			names[i] = name;
		}
		assert_int_equal(read_played(&l, names, n, 50), 0);
		assert_sorted(&l, names, n);
		for (size_t i = 0; i < n; i++)
			free((void *)(uintptr_t)names[i]);
		free(names);
	}
	list_clear(&l);
}

/* Ascending, descending, all with one long start: what makes simple quicksorts quadratic. */
static void test_list_read__orders_that_are_hard_to_sort(void **state)
{
	enum { N = 50000, LEN = 48 };
	char(*text)[LEN] = calloc(N, LEN);
	const char **names = calloc(N, sizeof(*names));
	struct list l = { 0 };

	(void)state;
	assert_true(text && names);
	for (int shape = 0; shape < 3; shape++) {
		for (int i = 0; i < N; i++) {
			int v = shape == 0 ? i : shape == 1 ? N - i : i * 7919 % N;

			(void)snprintf(text[i], LEN, "%s%09d",
			               shape == 2 ? "a-long-start-of-all-" : "", v);
			names[i] = text[i];
		}
		assert_int_equal(read_played(&l, names, N, 1000), 0);
		assert_sorted(&l, names, N);
	}
	list_clear(&l);
	free(names);
	free(text);
}

static void test_list_read__a_name_given_twice_counts_once(void **state)
{
	static const char *const few[] = { "b", "a",
		                           "b", "long-name-that-is-twice",
		                           "c", "long-name-that-is-twice" };
	struct list l = { 0 };

	(void)state;
	assert_int_equal(read_played(&l, few, ARRAY_LEN(few), 10), 0);
	assert_int_equal(l.n, 4);
	assert_string_equal(list_name(&l, 3), "long-name-that-is-twice");

	/* enough of them for each of the ways of sorting */
	enum { N = 600 };
	char text[N][32];
	const char *many[N];
	for (int i = 0; i < N; i++) {
		(void)snprintf(text[i], sizeof(text[i]), i % 2 ? "%d" : "and-the-same-%d", i / 6);
		many[i] = text[i];
	}
	assert_int_equal(read_played(&l, many, N, 10), 0);
	assert_int_equal(l.n, N / 6 * 2);
	for (size_t i = 1; i < l.n; i++)
		assert_true(strcmp(list_name(&l, i - 1), list_name(&l, i)) < 0);
	list_clear(&l);
}

static void test_list_read__an_error_half_way_leaves_nothing(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d" };
	struct list l = { 0 };

	(void)state;
	play.fail_at = 3;
	assert_int_equal(read_played(&l, names, ARRAY_LEN(names), 2), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(l.n, 0);
	play.fail_at = SIZE_MAX;
	assert_int_equal(read_played(&l, names, ARRAY_LEN(names), 2), 0);
	assert_int_equal(l.n, 4);
	list_clear(&l);
}

/*
 * Reads n names of len characters in an order that is none, and looks at what
 * came of it. More than LIST_HEAP_MAX bytes of names or index get mapped.
 */
static void read_large(const char *scratch_dir, int n, int len, bool index_too)
{
	char *text = malloc((size_t)n * (size_t)(len + 1));
	const char **names = calloc((size_t)n, sizeof(*names));
	struct list l = { 0 };

	assert_true(text && names);
	for (int i = 0; i < n; i++) {
		char *at = text + (size_t)i * (size_t)(len + 1);

		(void)snprintf(at, (size_t)len + 1, "%0*d", len, (int)((int64_t)i * 7919 % n));
		names[i] = at;
	}
	play.names = names;
	play.n = (size_t)n;
	play.at = 0;
	play.piece = 2000;
	assert_int_equal(list_read(&l, -1, NULL, buffer, scratch_dir), 0);
	play.names = NULL;
	assert_true(l.names.mapped);
	assert_int_equal(l.items.mapped, index_too);
	assert_int_equal(l.n, n);
	for (int i = 0; i < n; i += 999) {
		char want[128];

		(void)snprintf(want, sizeof(want), "%0*d", len, i);
		assert_string_equal(list_name(&l, (size_t)i), want);
	}
	list_reset(&l, 1 * MIB);
	assert_int_equal(l.n, 0);
	assert_null(l.names.p);
	assert_null(l.items.p);
	list_clear(&l);
	free(names);
	free(text);
}

static void test_list_read__large_directories_are_mapped(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();

	(void)state;
	read_large(dir, (int)(LIST_HEAP_MAX / sizeof(struct list_item)) + 7920, 10, true);
	assert_int_equal(count_files(dir), 0);
}

static void test_list_read__without_a_usable_scratch_directory_memory_serves(void **state)
{
	(void)state;
	read_large("/nonexistent/scratch", 200000, 100, false);
	read_large(NULL, 200000, 100, false);
}

static bool keep_short(void *arg, const char *name, size_t len, unsigned char type)
{
	unsigned *calls = arg;

	(*calls)++;
	assert_int_equal(len, strlen(name));
	assert_true(type == DT_REG || type == DT_DIR);
	return len < 4;
}

static void test_list_read__a_real_directory_through_a_filter(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	unsigned calls = 0;
	const struct list_filter filter = { .keep = keep_short, .arg = &calls };
	struct list l = { 0 };

	(void)state;
	write_text(dir, "two", "x");
	write_text(dir, "one", "x");
	write_text(dir, "three", "x");
	write_text(dir, "sub/x", "x");
	auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(list_read(&l, fd, &filter, buffer, NULL), 0);
	assert_int_equal(calls, 4);
	assert_int_equal(l.n, 3);
	assert_string_equal(list_name(&l, 0), "one");
	assert_string_equal(list_name(&l, 1), "sub");
	assert_string_equal(list_name(&l, 2), "two");
	assert_int_equal(list_type(&l, 1), DT_DIR);
	list_keep_one(&l, 1);
	assert_int_equal(l.n, 1);
	assert_string_equal(list_name(&l, 0), "sub");

	/* at its end, the directory has nothing more to give */
	assert_int_equal(list_read(&l, fd, NULL, buffer, NULL), 0);
	assert_int_equal(l.n, 0);
	assert_int_equal(list_find(&l, "one"), 0);
	list_clear(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list_read__names_come_in_the_order_of_their_bytes),
		cmocka_unit_test(test_list_read__sorts_as_strcmp_does),
		cmocka_unit_test(test_list_read__orders_that_are_hard_to_sort),
		cmocka_unit_test(test_list_read__a_name_given_twice_counts_once),
		cmocka_unit_test(test_list_read__an_error_half_way_leaves_nothing),
		cmocka_unit_test(test_list_read__large_directories_are_mapped),
		cmocka_unit_test(test_list_read__without_a_usable_scratch_directory_memory_serves),
		cmocka_unit_test(test_list_read__a_real_directory_through_a_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
