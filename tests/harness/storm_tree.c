/* SPDX-License-Identifier: Apache-2.0 */
/* See storm_tree.h. A file's version is the last step at which it changed. */
#include "tests/harness/storm_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/num.h"
#include "tests/harness/harness.h"
#include "tests/harness/storm_store.h"

#define DIRS 8
#define LARGE_BYTES (64 * KIB) /* from here on a file changes page by page */
#define FILE_BYTES_MAX (300 * KIB)
#define PAGE_BYTES 4096
#define CHANGE_PERCENT 8 /* of files from one step to the next */
#define ABSENT_STEPS 6   /* a file that is absent is so for up to this many steps */

static uint64_t mix3(uint64_t a, uint64_t b, uint64_t c)
{
	return storm_mix(a ^ storm_mix(b ^ storm_mix(c)));
}

/* What the file's content follows from: half of the files are shared by all volumes. */
static uint64_t file_seed(const struct storm_tree *t, unsigned i)
{
	return mix3(t->seed, i, i % 2 ? t->volume + 1 : 0);
}

static size_t size_of(const struct storm_tree *t, unsigned i)
{
	uint64_t r = storm_mix(file_seed(t, i));
	unsigned kind = r % 16;
	uint64_t n = r >> 8;

	if (kind < 9)
		return n % (4 * KIB);
	return kind < 14 ? n % (40 * KIB) : LARGE_BYTES + n % (FILE_BYTES_MAX - LARGE_BYTES);
}

static bool changes(const struct storm_tree *t, unsigned i, unsigned step)
{
	return step > 0 && mix3(file_seed(t, i), step, 1) % 100 < CHANGE_PERCENT;
}

static bool is_present(const struct storm_tree *t, unsigned i, unsigned step)
{
	return mix3(file_seed(t, i), step / ABSENT_STEPS, 2) % 10 != 0;
}

static unsigned version_of(const struct storm_tree *t, unsigned i, unsigned step)
{
	while (step > 0 && !changes(t, i, step))
		step--;
	return step;
}

static void path_of(unsigned i, char ret[256])
{
	/* Long names, so that a tree has several leaves. */
	(void)snprintf(ret, 256, "d%u/file-%05u-%0120u", i % DIRS, i, i * 7);
}

/* The content at a step; ret has FILE_BYTES_MAX bytes. */
static size_t content_of(const struct storm_tree *t, unsigned i, unsigned step, uint8_t *ret)
{
	size_t n = size_of(t, i);

	if (n < LARGE_BYTES) {
		fill_random(mix3(file_seed(t, i), version_of(t, i, step), 3), ret, n);
		/* Some of it compresses. */
		memset(ret, 'x', n / 4);
		return n;
	}
	fill_random(mix3(file_seed(t, i), 0, 3), ret, n);
	for (unsigned s = 1; s <= step; s++) {
		uint64_t r = mix3(file_seed(t, i), s, 4);

		if (changes(t, i, s))
			fill_random(r, ret + r % (n / PAGE_BYTES) * PAGE_BYTES, PAGE_BYTES);
	}
	return n;
}

/* ---- making ---- */

static void write_pages(const char *path, const uint8_t *p, size_t n, const uint8_t *old)
{
	auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		harness_die("opening '%s': %s", path, strerror(errno));
	for (size_t off = 0; off < n; off += PAGE_BYTES) {
		size_t len = n - off < PAGE_BYTES ? n - off : PAGE_BYTES;

		if (memcmp(p + off, old + off, len) != 0 &&
		    fd_pwrite_full(fd, p + off, len, off) < 0)
			harness_die("writing '%s': %s", path, strerror(errno));
	}
}

static void make_file(const struct storm_tree *t, const char *root, unsigned i, int from,
                      uint8_t *p, uint8_t *old)
{
	bool was = from >= 0 && is_present(t, i, (unsigned)from);
	char name[256];

	path_of(i, name);
	auto_free char *path = path_join(root, name);
	if (!is_present(t, i, t->step)) {
		if (was)
			(void)unlink(path);
		return;
	}
	if (was && version_of(t, i, (unsigned)from) == version_of(t, i, t->step))
		return;
	size_t n = content_of(t, i, t->step, p);
	if (!was || n < LARGE_BYTES) {
		write_file(root, name, p, n);
		return;
	}
	(void)content_of(t, i, (unsigned)from, old);
	write_pages(path, p, n, old);
}

int storm_tree_step(const char *dir, const char *name)
{
	struct err ignored = ERR_INIT;
	char at[64];
	uint64_t step;

	(void)snprintf(at, sizeof(at), "%s.at", name);
	if (!file_exists(dir, at))
		return -1;
	auto_free char *text = read_file(dir, at, NULL);
	return num_u64("step", text, 0, STORM_STEPS - 1, &step, &ignored) < 0 ? -1 : (int)step;
}

void storm_tree_make(const struct storm_tree *t, const char *dir, const char *name)
{
	auto_free char *root = path_join(dir, name);
	auto_free uint8_t *p = malloc(FILE_BYTES_MAX);
	auto_free uint8_t *old = malloc(FILE_BYTES_MAX);
	char at[64];
	char text[16];

	(void)snprintf(at, sizeof(at), "%s.at", name);
	auto_free char *at_path = path_join(dir, at);
	int from = storm_tree_step(dir, name);
	if (!p || !old)
		harness_die("no memory for a tree");
	(void)unlink(at_path);
	if (from < 0 && file_exists(dir, name))
		tmpdir_remove(strdup(root));
	if (from < 0 && mkdir(root, 0755) < 0)
		harness_die("creating '%s': %s", root, strerror(errno));
	write_text(root, "root", "a tree");
	for (unsigned i = 0; i < t->files; i++)
		make_file(t, root, i, from, p, old);
	(void)snprintf(text, sizeof(text), "%u", t->step);
	write_text(dir, at, text);
}

/* ---- comparing ---- */

static bool differs(const char *path, const char *why)
{
	(void)fprintf(stderr, "'%s': %s\n", path, why);
	return false;
}

static bool file_is(const char *path, const uint8_t *p, size_t n, uint8_t *room)
{
	auto_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return differs(path, "is not there");
	if ((size_t)st.st_size != n)
		return differs(path, "has another size");
	if (fd_pread_full(fd, room, n, 0) != (ssize_t)n)
		return differs(path, "cannot be read");
	return memcmp(p, room, n) == 0 || differs(path, "has other bytes");
}

/* Regular files below a directory of two levels. */
static size_t count_all(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *x;
	size_t n = 0;

	while (d && (x = readdir(d))) {
		if (x->d_name[0] == '.')
			continue;
		auto_free char *below = path_join(path, x->d_name);
		n += x->d_type == DT_DIR ? count_all(below) : 1;
	}
	if (d)
		(void)closedir(d);
	return n;
}

bool storm_tree_is(const struct storm_tree *t, const char *path)
{
	auto_free uint8_t *p = malloc(FILE_BYTES_MAX);
	auto_free uint8_t *room = malloc(FILE_BYTES_MAX);
	size_t there = 1; /* "root" */
	bool same = true;

	if (!p || !room)
		harness_die("no memory for a tree");
	for (unsigned i = 0; i < t->files; i++) {
		char name[256];

		if (!is_present(t, i, t->step))
			continue;
		there++;
		path_of(i, name);
		auto_free char *file = path_join(path, name);
		size_t n = content_of(t, i, t->step, p);
		if (!file_is(file, p, n, room))
			same = false;
	}
	if (count_all(path) != there)
		same = differs(path, "has another number of files");
	return same;
}
