/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of page fingerprints. The first byte says which of its files the
 * rest is: 0, 1: the blocks of a generation; 2, 3: its table; 4: which one is
 * the newer. The other files are as the cache made them. What it gives is what
 * was put into it; all else is a miss.
 */
#include <fcntl.h>
#include <unistd.h>

#include "repo/pages.h"
#include "tests/fuzz/fuzz.h"

#define CAP (64 * KIB)
#define SETS 3
#define PAGES 3
#define TABLE_BYTES (1025 * 8)

static const uint8_t key[32] = { 7 };

struct set {
	uint8_t fps[PAGES_CHUNK_MAX][CRYPT_FP_BYTES];
	uint32_t marks[PAGES_CHUNK_MAX];
	struct page_set s;
};

static struct set *set_new(unsigned i)
{
	struct set *x = calloc(1, sizeof(*x));

	holds(x);
	x->s.fps = x->fps;
	x->s.marks = x->marks;
	x->s.plain = PAGES * FORMAT_PAGE_BYTES - i;
	x->s.n = PAGES;
	x->s.id[0] = (uint8_t)i;
	x->s.id[9] = 0x51;
	fill_random(i, x->fps, sizeof(x->fps[0]) * PAGES);
	fill_random(i + 100, x->marks, sizeof(x->marks[0]) * PAGES);
	return x;
}

/* Changes the start of a file; the rest of it stays. */
static void write_over(const char *name, const uint8_t *p, size_t n)
{
	auto_free char *path = path_join(fuzz_dir(), name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	holds(fd >= 0 && pwrite(fd, p, n, 0) == (ssize_t)n);
	(void)close(fd);
}

/* True when the set is there: as it was put. */
static bool same(struct pages *p, const struct set *want, struct set *scratch)
{
	if (!pages_get(p, want->s.id, want->s.plain, &scratch->s))
		return false;
	holds(scratch->s.n == PAGES && scratch->s.plain == want->s.plain);
	holds(memcmp(scratch->fps, want->fps, sizeof(want->fps[0]) * PAGES) == 0);
	holds(memcmp(scratch->marks, want->marks, sizeof(want->marks[0]) * PAGES) == 0);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "pages.0", "pages.1", "pages.0.table", "pages.1.table",
		                             "newer" };
	static struct set *sets[SETS + 1];

	if (!sets[0]) {
		for (unsigned i = 0; i <= SETS; i++)
			sets[i] = set_new(i);
	}
	if (size == 0 || size > 16 * KIB)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		auto_free char *path = path_join(fuzz_dir(), names[i]);

		(void)unlink(path);
	}
	struct pages *p = pages_open(fuzz_dir(), key, CAP);
	holds(p);
	for (unsigned i = 0; i < SETS; i++) {
		pages_put(p, &sets[i]->s);
		holds(same(p, sets[i], sets[SETS]));
	}
	pages_close(p);
	write_over(names[data[0] % ARRAY_LEN(names)], data + 1, size - 1);
	p = pages_open(fuzz_dir(), key, CAP);
	holds(p);
	for (unsigned i = 0; i < SETS; i++)
		(void)same(p, sets[i], sets[SETS]);
	for (unsigned i = 0; i < SETS; i++) {
		pages_put(p, &sets[i]->s);
		(void)same(p, sets[i], sets[SETS]);
	}
	pages_close(p);
	return 0;
}
