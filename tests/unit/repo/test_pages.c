/* SPDX-License-Identifier: Apache-2.0 */
/* The page cache: what was put comes back, damage is a miss, and its size is bounded. */
#include "repo/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/harness/harness.h"

#define PAGES 64

static const uint8_t key[32] = { 4 };

struct sample {
	struct page_set set;
	uint8_t fps[PAGES][CRYPT_FP_BYTES];
	uint32_t marks[PAGES];
};

static void make(struct sample *s, uint64_t seed)
{
	fill_random(seed, s->fps, sizeof(s->fps));
	fill_random(seed + 1, s->marks, sizeof(s->marks));
	s->set = (struct page_set){
		.plain = PAGES * 4096 - 5, .n = PAGES, .fps = s->fps, .marks = s->marks
	};
	fill_random(seed + 2, s->set.id, sizeof(s->set.id));
}

/* What comes back goes here: as large as pages_get() may need. */
static uint8_t got_fps[PAGES_CHUNK_MAX][CRYPT_FP_BYTES];
static uint32_t got_marks[PAGES_CHUNK_MAX];

static bool get(struct pages *p, const struct sample *s)
{
	struct page_set got = { .fps = got_fps, .marks = got_marks };

	if (!pages_get(p, s->set.id, s->set.plain, &got))
		return false;
	assert_int_equal(got.n, PAGES);
	assert_memory_equal(got_fps, s->fps, sizeof(s->fps));
	assert_memory_equal(got_marks, s->marks, sizeof(s->marks));
	return true;
}

static void test_pages_get__gives_what_was_put_also_after_reopening(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct sample a, b;

	(void)state;
	make(&a, 1);
	make(&b, 100);
	struct pages *p = pages_open(dir, key, 64 * MIB);
	assert_non_null(p);
	assert_false(get(p, &a));
	pages_put(p, &a.set);
	assert_true(get(p, &a));
	assert_false(get(p, &b));
	pages_close(p);
	p = pages_open(dir, key, 64 * MIB);
	assert_non_null(p);
	assert_true(get(p, &a));
	pages_close(p);
}

static void test_pages_get__wants_the_same_length(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct page_set got = { .fps = got_fps, .marks = got_marks };
	struct sample a;

	(void)state;
	make(&a, 1);
	struct pages *p = pages_open(dir, key, 64 * MIB);
	pages_put(p, &a.set);
	assert_false(pages_get(p, a.set.id, a.set.plain + 1, &got));
	pages_close(p);
}

static void test_pages_get__damage_and_another_key_are_misses(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	static const uint8_t other[32] = { 5 };
	struct sample a;
	size_t n;

	(void)state;
	make(&a, 1);
	struct pages *p = pages_open(dir, key, 64 * MIB);
	pages_put(p, &a.set);
	pages_close(p);
	p = pages_open(dir, other, 64 * MIB);
	assert_false(get(p, &a));
	pages_close(p);
	auto_free char *bytes = read_file(dir, "pages.0", &n);
	bytes[n / 2] ^= 1;
	write_file(dir, "pages.0", bytes, n);
	p = pages_open(dir, key, 64 * MIB);
	assert_false(get(p, &a));
	pages_close(p);
}

static void test_pages_open__only_one_process_has_it(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();

	(void)state;
	struct pages *p = pages_open(dir, key, 64 * MIB);
	assert_non_null(p);
	assert_null(pages_open(dir, key, 64 * MIB));
	pages_close(p);
}

static void test_pages_put__drops_the_oldest_when_full(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct sample first, hot, s;
	struct stat st;

	(void)state;
	struct pages *p = pages_open(dir, key, MIB);
	make(&first, 1);
	make(&hot, 2);
	pages_put(p, &first.set);
	pages_put(p, &hot.set);
	for (uint64_t i = 0; i < 2000; i++) {
		make(&s, 1000 + 10 * i);
		pages_put(p, &s.set);
		assert_true(get(p, &s));
		assert_true(get(p, &hot));
	}
	assert_false(get(p, &first));
	pages_close(p);
	for (unsigned i = 0; i < 2; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "pages.%u", i);
		auto_free char *path = path_join(dir, name);
		assert_int_equal(stat(path, &st), 0);
		assert_true((size_t)st.st_size <= MIB / 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages_get__gives_what_was_put_also_after_reopening),
		cmocka_unit_test(test_pages_get__wants_the_same_length),
		cmocka_unit_test(test_pages_get__damage_and_another_key_are_misses),
		cmocka_unit_test(test_pages_open__only_one_process_has_it),
		cmocka_unit_test(test_pages_put__drops_the_oldest_when_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
