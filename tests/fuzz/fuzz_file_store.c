/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories as file stores, with whatever names and times are in them. Each
 * line of the input is a file: SECONDS PATH, or, with '+' for the number, a
 * directory. What is listed are objects, in order, and each can be had.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/num.h"
#include "store/store.h"
#include "tests/fuzz/fuzz.h"

#define FILES_MAX 24

/* Opens a directory at dir, made when it is missing. */
static int enter(int dir, const char *name)
{
	(void)mkdirat(dir, name, 0700);
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Makes a file, or a directory, with the folders on its path; what cannot be is left out. */
static void make(const char *root, char *path, bool is_dir, int64_t time_s)
{
	const struct timespec times[2] = { { .tv_sec = time_s }, { .tv_sec = time_s } };
	int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *name = strsep(&path, "/");

	while (dir >= 0 && (path || is_dir)) {
		int next = strcmp(name, "..") == 0 ? -1 : enter(dir, name);

		(void)close(dir);
		dir = next;
		if (!path)
			break;
		name = strsep(&path, "/");
	}
	if (dir < 0)
		return;
	if (!is_dir) {
		int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		                0600);

		if (fd >= 0 && write(fd, "content", 7) == 7)
			(void)futimens(fd, times);
		if (fd >= 0)
			(void)close(fd);
	}
	(void)close(dir);
}

/* "-12 a/b": a file of that time; "+ a/b": a directory. */
static void take_line(const char *root, char *line)
{
	struct err ignored = ERR_INIT;
	uint64_t n = 0;
	char *number = strsep(&line, " ");

	if (!line || !*line)
		return;
	bool before = *number == '-';
	bool is_dir = *number == '+';
	(void)!num_u64("time", number + before, 0, INT64_MAX, &n, &ignored);
	make(root, line, is_dir, before ? -(int64_t)n : (int64_t)n);
}

struct listed {
	struct store *store;
	const char *prefix;
	char last[STORE_KEY_MAX + 1];
	size_t n;
};

static int each(void *arg, const struct store_item *item, struct err *e)
{
	struct listed *l = arg;
	struct store_stat st;
	char content[7];

	holds(store_key_valid(item->key) && strcmp(l->last, item->key) < 0);
	holds(strncmp(item->key, l->prefix, strlen(l->prefix)) == 0);
	holds(item->st.size == sizeof(content) && item->st.received_ns >= 0);
	holds(item->st.received_ns <= INT64_C(7258118400) * 1000000000);
	memcpy(l->last, item->key, sizeof(l->last));
	l->n++;
	holds(store_head(l->store, item->key, &st, e) == 0);
	holds(st.size == item->st.size && st.received_ns == item->st.received_ns);
	holds(store_get(l->store, item->key, 0, content, sizeof(content), e) == 0);
	holds(memcmp(content, "content", sizeof(content)) == 0);
	return 0;
}

/* How many objects there are below a prefix, after a key. */
static size_t list(struct store *s, const char *prefix, const char *after)
{
	struct listed l = { .store = s, .prefix = prefix };
	struct err e = ERR_INIT;

	works(store_list(s, prefix, after, each, &l, &e));
	holds(l.n == 0 || strcmp(l.last, after) > 0);
	return l.n;
}

static int count_after(void *arg, const struct store_item *item, struct err *e)
{
	struct listed *l = arg;

	(void)e;
	l->n += strncmp(item->key, l->prefix, strlen(l->prefix)) == 0 &&
	        strcmp(item->key, l->last) > 0;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *root = path_join(fuzz_dir(), "store");
	struct listed wanted = { .prefix = "a", .last = "a/b" };
	const uint8_t *line;
	size_t n;
	struct err e = ERR_INIT;

	holds(mkdir(root, 0700) == 0);
	for (size_t i = 0; i < FILES_MAX && fuzz_piece(&data, &size, '\n', &line, &n); i++) {
		auto_free char *text = fuzz_text(line, n);

		take_line(root, text);
	}
	struct store *s = store_file_open(root, 0, &e);
	holds(s);
	size_t all = list(s, "", "");
	works(store_list(s, "", NULL, count_after, &wanted, &e));
	holds(list(s, "a", "a/b") == wanted.n);
	holds(list(s, "a/", "") <= all);
	store_free(s);
	tmpdir_remove(STEAL(&root));
	return 0;
}
