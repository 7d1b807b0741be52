/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole walk, with its threads, over trees that were made for it: order,
 * names, depth, width, what cannot be read, what changes meanwhile, what must
 * not be entered.
 */
#include "snapshot/walk.h"

#include <errno.h>
#include <grp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "common/fd.h"
#include "snapshot/order.h"
#include "tests/harness/syshook.h"
#include "tests/unit/snapshot/mounts.h"

static bool can_mount;

/*
 * A directory for many files: in memory where this process may mount, because
 * a busy disk takes its time. Given back by big_remove().
 */
static char *big_new(void)
{
	char *dir = tmpdir_new();

	if (can_mount && mount("none", dir, "tmpfs", 0, "size=1g,mode=0755") < 0)
		harness_die("mounting '%s': %s", dir, strerror(errno));
	return dir;
}

static void big_remove(char *const *dir)
{
	if (can_mount && *dir)
		(void)umount2(*dir, MNT_DETACH);
	tmpdir_remove(*dir);
}
#define auto_bigdir CLEANUP(big_remove)

/* ---- a walk as a list ---- */

struct seen {
	char *path;
	size_t len;
	struct entry_stat st;
	enum entry_state state;
	int os;
};

struct seen_list {
	struct seen *v;
	size_t n, cap;
};

static void seen_clear(struct seen_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].path);
	free(l->v);
	*l = (struct seen_list){ 0 };
}

static void seen_add(struct seen_list *l, const struct entry *n)
{
	if (l->n == l->cap) {
		l->cap = l->cap * 2 + 64;
		l->v = reallocarray(l->v, l->cap, sizeof(*l->v));
		if (!l->v)
			harness_die("no memory");
	}
	char *path = malloc(n->path_len + 1);
	if (!path)
		harness_die("no memory");
	memcpy(path, n->path, n->path_len + 1);
	l->v[l->n++] = (struct seen){ path, n->path_len, n->st, n->state, n->os };
}

static const struct seen *find(const struct seen_list *l, const char *path)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].path, path) == 0)
			return &l->v[i];
	return NULL;
}

static const struct seen *must_find(const struct seen_list *l, const char *path)
{
	const struct seen *s = find(l, path);

	if (!s)
		fail_msg("'%s' is missing", path);
	return s;
}

/* Length of the path of the directory that n is in. */
static size_t dir_len(const struct entry *n)
{
	return (size_t)(n->name - n->path);
}

static void check_batch(const struct batch *b)
{
	assert_in_range(b->n, 1, SOURCE_BATCH_MAX);
	for (size_t i = 0; i < b->n; i++) {
		const struct entry *n = &b->entries[i];

		assert_int_equal(strlen(n->path), n->path_len);
		assert_ptr_equal(n->name + strlen(n->name), n->path + n->path_len);
		assert_int_equal(dir_len(n), dir_len(&b->entries[0]));
		assert_memory_equal(n->path, b->entries[0].path, dir_len(n));
		assert_false(n->block);
	}
}

static struct source *must_walk(const char *dir, const struct walk_params *p)
{
	struct err e = ERR_INIT;
	struct source *s = walk_open(dir, p, &e);

	if (!s)
		fail_msg("%s", e.msg);
	return s;
}

static struct batch *must_next(struct source *s)
{
	struct err e = ERR_INIT;
	struct batch *b;

	if (s->ops->next(s, &b, &e) < 0)
		fail_msg("%s", e.msg);
	return b;
}

/* All that is left of a walk; order and shape of batches are checked. */
static void take_rest(struct source *s, struct seen_list *l)
{
	for (struct batch *b; (b = must_next(s));) {
		check_batch(b);
		for (size_t i = 0; i < b->n; i++) {
			seen_add(l, &b->entries[i]);
			if (l->n < 2)
				continue;
			const struct seen *x = &l->v[l->n - 2], *y = &l->v[l->n - 1];
			if (source_path_cmp(x->path, x->len, y->path, y->len) >= 0)
				fail_msg("'%s' came before '%s'", x->path, y->path);
		}
		s->ops->batch_free(s, b);
	}
}

static void walk_all(const char *dir, const struct walk_params *p, struct seen_list *l)
{
	struct source *s = must_walk(dir, p);

	take_rest(s, l);
	s->ops->free(s);
}

static void assert_paths(const struct seen_list *l, const char *const *want, size_t n)
{
	for (size_t i = 0; i < n && i < l->n; i++)
		assert_string_equal(l->v[i].path, want[i]);
	assert_int_equal(l->n, n);
}

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		harness_die("opening '%s': %s", path, strerror(errno));
	return fd;
}

/* ---- random trees ---- */

struct tree {
	uint64_t seed;
	struct seen_list made; /* paths alone */
};

static uint64_t draw(struct tree *t, uint64_t below)
{
	uint64_t v;

	fill_random(t->seed++, &v, sizeof(v));
	return v % below;
}

/* A name that is new in dir: short over few letters, or any bytes up to the longest. */
static size_t draw_name(struct tree *t, char name[256])
{
	static const char few[] = { 'a', 'b', '.', '-', '\n', '\x01', '\xff' };
	size_t len = draw(t, 20) == 0 ? 255 : 1 + draw(t, draw(t, 2) ? 3 : 12);
	bool any = draw(t, 3) == 0;

	for (size_t i = 0; i < len; i++) {
		char c = any ? (char)(1 + draw(t, 255)) : few[draw(t, sizeof(few))];

		name[i] = c == '/' ? '0' : c;
	}
	name[len] = '\0';
	return len;
}

static void make_random(struct tree *t, int dir, const char *path, unsigned depth)
{
	size_t want = draw(t, depth == 0 ? 30 : 10);
	char name[256], full[6 * 256];

	for (size_t i = 0; i < want; i++) {
		size_t len = draw_name(t, name);

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
		    faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		int n = snprintf(full, sizeof(full), "%s%s%s", path, *path ? "/" : "", name);
		struct entry e = { .path = full, .path_len = (size_t)n };
		uint64_t kind = draw(t, 10);
		int rc = 0;
		(void)len;

		seen_add(&t->made, &e);
		if (kind < 4 && depth < 4) {
			rc = mkdirat(dir, name, 0755);
			if (rc == 0) {
				auto_close int sub = openat(dir, name,
				                            O_RDONLY | O_DIRECTORY | O_CLOEXEC);

				make_random(t, sub, full, depth + 1);
			}
		} else if (kind < 5) {
			rc = symlinkat("no/where", dir, name);
		} else if (kind < 6) {
			rc = mkfifoat(dir, name, 0600);
		} else {
			auto_close int fd = openat(dir, name,
			                           O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

			rc = fd < 0 ? -1 : fd_write_full(fd, name, (size_t)draw(t, 2));
		}
		if (rc < 0)
			harness_die("creating something: %s", strerror(errno));
	}
}

static int by_path(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	return source_path_cmp(x->path, x->len, y->path, y->len);
}

static void assert_stat(const char *dir, const struct seen *s)
{
	auto_free char *path = path_join(dir, s->path);
	struct stat st;

	assert_int_equal(s->state, ENTRY_OK);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(s->st.mode, st.st_mode);
	assert_int_equal(s->st.uid, st.st_uid);
	assert_int_equal(s->st.gid, st.st_gid);
	assert_int_equal(s->st.nlink, st.st_nlink);
	assert_int_equal(s->st.ino, st.st_ino);
	assert_int_equal(s->st.size, S_ISREG(st.st_mode) ? st.st_size : 0);
	assert_int_equal(s->st.mtime.s, st.st_mtim.tv_sec);
	assert_int_equal(s->st.mtime.ns, st.st_mtim.tv_nsec);
	assert_int_equal(s->st.ctime.s, st.st_ctim.tv_sec);
	assert_int_equal(s->st.ctime.ns, st.st_ctim.tv_nsec);
}

static void test_walk__random_trees_come_whole_and_in_order(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 24; seed++) {
		/* half of them in memory, half on whatever the disk has */
		CLEANUP(big_remove) char *big = seed % 2 ? big_new() : NULL;
		CLEANUP(clean_tmpdir) char *small = seed % 2 ? NULL : tmpdir_new();
		const char *dir = big ? big : small;
		struct tree t = { .seed = seed << 32 };
		struct entry root = { .path = "" };
		const struct walk_params p = { .stat_threads = (unsigned)(seed % 5) };
		CLEANUP(seen_clear) struct seen_list got = { 0 };
		auto_close int fd = open_dir(dir);

		seen_add(&t.made, &root);
		make_random(&t, fd, "", 0);
		qsort(t.made.v, t.made.n, sizeof(*t.made.v), by_path);
		walk_all(dir, &p, &got);
		for (size_t i = 0; i < t.made.n && i < got.n; i++) {
			assert_string_equal(got.v[i].path, t.made.v[i].path);
			assert_stat(dir, &got.v[i]);
		}
		assert_int_equal(got.n, t.made.n);
		seen_clear(&t.made);
	}
}

/* ---- names, depth, width ---- */

static void test_walk__every_byte_can_be_in_a_name(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_close int fd = open_dir(dir);
	CLEANUP(seen_clear) struct seen_list got = { 0 };
	char longest[256];

	(void)state;
	for (int c = 1; c < 256; c++) {
		char name[4] = { 'x', (char)c, 'y' };

		if (c != '/') {
			auto_close int f = openat(fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
			assert_true(f >= 0);
		}
	}
	memset(longest, 'x', 255);
	longest[255] = '\0';
	assert_int_equal(mkdirat(fd, longest, 0755), 0);
	write_text(dir, "xxdir/sub", "s");
	walk_all(dir, NULL, &got);
	assert_int_equal(got.n, 1 + 254 + 1 + 2);
	assert_string_equal(got.v[1].path, "x\x01y");
	assert_string_equal(got.v[got.n - 1].path, "x\xffy");
	assert_int_equal(must_find(&got, longest)->len, 255);
}

enum { LEVELS = 3000 };

/* On each level a file before and one after the directory that leads down. */
static void make_deep(const char *dir)
{
	int at = open_dir(dir);

	for (int i = 0; i < LEVELS; i++) {
		static const char *const files[] = { "before", "zafter" };

		for (int j = 0; j < 2; j++) {
			int f = openat(at, files[j], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

			if (f < 0 || fd_write_full(f, files[j], 6) < 0)
				harness_die("creating a file: %s", strerror(errno));
			close(f);
		}
		if (mkdirat(at, "down", 0755) < 0)
			harness_die("creating a directory: %s", strerror(errno));
		int next = openat(at, "down", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = next;
	}
	close(at);
}

/* Level by level from the top: what is below moves up, so that no path gets long. */
static void remove_deep(const char *dir)
{
	auto_close int root = open_dir(dir);

	for (int i = 0; i < LEVELS; i++) {
		(void)unlinkat(root, "down/before", 0);
		(void)unlinkat(root, "down/zafter", 0);
		if (renameat(root, "down/down", root, "next") < 0)
			break;
		(void)unlinkat(root, "down", AT_REMOVEDIR);
		(void)renameat(root, "next", root, "down");
	}
}

/* Every entry is there, in order, can be loaded, and its content read. */
static int check_deep(const char *dir)
{
	struct err e = ERR_INIT;
	struct source *s = walk_open(dir, NULL, &e);
	size_t n = 0, files = 0, longest = 0;
	struct batch *b;
	char p[8];

	if (!s)
		return 1;
	while (s->ops->next(s, &b, &e) == 0 && b) {
		for (size_t i = 0; i < b->n; i++) {
			struct entry *x = &b->entries[i];
			CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
			struct content *c;
			struct entry_stat st;
			bool changed;

			n++;
			if (x->path_len > longest)
				longest = x->path_len;
			if (x->state != ENTRY_OK || s->ops->load(s, x, &d, &e) < 0)
				return 2;
			if (!S_ISREG(x->st.mode))
				continue;
			if (s->ops->open(s, x, &c, &e) < 0 || s->ops->read(c, p, 8, 0, &e) != 6 ||
			    memcmp(p, x->name, 6) != 0 || s->ops->close(c, &st, &changed, &e) < 0 ||
			    changed)
				return 3;
			files++;
		}
		s->ops->batch_free(s, b);
	}
	s->ops->free(s);
	return n == 1 + 3 * LEVELS && files == 2 * LEVELS && longest == 5 * (LEVELS - 1) + 6 ? 0
	                                                                                     : 4;
}

static int check_deep_with_few_descriptors(void *arg)
{
	const struct rlimit few = { .rlim_cur = 40, .rlim_max = 40 };

	if (setrlimit(RLIMIT_NOFILE, &few) < 0)
		return 77; /* as under valgrind, which keeps the hard limit to itself */
	return check_deep(arg);
}

static const char *const no_limits = "the limit of open files cannot be lowered here";

static void test_walk__three_thousand_levels_deep(void **state)
{
	auto_bigdir char *dir = big_new();
	CLEANUP(seen_clear) struct seen_list got = { 0 };

	(void)state;
	make_deep(dir);
	walk_all(dir, NULL, &got);
	assert_int_equal(got.n, 1 + 3 * LEVELS);
	int status = check_deep(dir);
	remove_deep(dir);
	assert_int_equal(status, 0);
}

static const char *walk__few_descriptors_are_enough_for_any_depth(void)
{
	auto_bigdir char *dir = big_new();

	make_deep(dir);
	auto_run struct harness_run r = harness_run(check_deep_with_few_descriptors, dir);
	remove_deep(dir);
	if (r.status == 77)
		return no_limits;
	assert_int_equal(r.status, 0);
	return NULL;
}

static void test_walk__few_descriptors_are_enough_for_any_depth(void **state)
{
	(void)state;
	left_out(walk__few_descriptors_are_enough_for_any_depth());
}

enum { WIDE = 100000 };

static void make_wide(const char *dir, int n)
{
	auto_close int fd = open_dir(dir);
	char name[32];

	for (int i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "file-%06d", (int)((int64_t)i * 7919 % n));
		int f = openat(fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (f < 0)
			harness_die("creating '%s': %s", name, strerror(errno));
		close(f);
	}
}

static void test_walk__a_hundred_thousand_entries_in_one_directory(void **state)
{
	auto_bigdir char *dir = big_new();
	char name[32];

	(void)state;
	make_wide(dir, WIDE);
	struct source *s = must_walk(dir, NULL);
	struct batch *b = must_next(s);
	assert_int_equal(b->n, 1);
	s->ops->batch_free(s, b);
	int n = 0;
	while ((b = must_next(s))) {
		check_batch(b);
		for (size_t i = 0; i < b->n; i++) {
			(void)snprintf(name, sizeof(name), "file-%06d", n++);
			assert_string_equal(b->entries[i].path, name);
			assert_int_equal(b->entries[i].state, ENTRY_OK);
			assert_true(S_ISREG(b->entries[i].st.mode));
		}
		s->ops->batch_free(s, b);
	}
	assert_int_equal(n, WIDE);
	s->ops->free(s);
}

/* More directories than may stay open: all batches are held, and only then read. */
static int read_while_holding_all(void *arg)
{
	const struct rlimit few = { .rlim_cur = 100, .rlim_max = 100 };
	struct err e = ERR_INIT;
	struct batch *held[2000];
	size_t n = 0, files = 0;

	if (setrlimit(RLIMIT_NOFILE, &few) < 0)
		return 77;
	struct source *s = walk_open(arg, NULL, &e);
	if (!s)
		return 1;
	while (s->ops->next(s, &held[n], &e) == 0 && held[n])
		n++;
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < held[i]->n; j++) {
			struct entry *x = &held[i]->entries[j];
			CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
			struct content *c;
			struct entry_stat st;
			bool changed;
			char p;

			if (x->state != ENTRY_OK || s->ops->load(s, x, &d, &e) < 0)
				return 2;
			if (!S_ISREG(x->st.mode))
				continue;
			if (s->ops->open(s, x, &c, &e) < 0 || s->ops->read(c, &p, 1, 0, &e) != 1 ||
			    s->ops->close(c, &st, &changed, &e) < 0)
				return 3;
			files++;
		}
	}
	for (size_t i = 0; i < n; i++)
		s->ops->batch_free(s, held[i]);
	s->ops->free(s);
	return files == 700 ? 0 : 4;
}

static const char *walk__batches_can_be_held_beyond_the_limit_of_descriptors(void)
{
	auto_bigdir char *dir = big_new();
	char name[32];

	for (int i = 0; i < 700; i++) {
		(void)snprintf(name, sizeof(name), "d%03d/f", i);
		write_text(dir, name, "x");
	}
	auto_run struct harness_run r = harness_run(read_while_holding_all, dir);
	if (r.status == 77)
		return no_limits;
	assert_int_equal(r.status, 0);
	return NULL;
}

static void test_walk__batches_can_be_held_beyond_the_limit_of_descriptors(void **state)
{
	(void)state;
	left_out(walk__batches_can_be_held_beyond_the_limit_of_descriptors());
}

/* ---- types and details ---- */

static void test_walk__every_type_with_what_belongs_to_it(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	CLEANUP(seen_clear) struct seen_list got = { 0 };
	auto_close int at = open_dir(dir);
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	auto_close int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool devices = mknodat(at, "chr", S_IFCHR | 0600, makedev(1, 3)) == 0 &&
	               mknodat(at, "blk", S_IFBLK | 0600, makedev(259, 1048575)) == 0;

	(void)state;
	write_text(dir, "file", "12345");
	assert_int_equal(linkat(at, "file", at, "link2", 0), 0);
	assert_int_equal(symlinkat("target", at, "sym"), 0);
	assert_int_equal(mkfifoat(at, "fifo", 0600), 0);
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/sock", at);
	assert_int_equal(bind(sock, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(mkdirat(at, "empty", 01777), 0);

	struct source *s = must_walk(dir, NULL);
	for (struct batch *b; (b = must_next(s));) {
		for (size_t i = 0; i < b->n; i++) {
			struct entry *n = &b->entries[i];
			CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
			struct err e = ERR_INIT;

			if (s->ops->load(s, n, &d, &e) < 0)
				fail_msg("%s", e.msg);
			assert_int_equal(d.link_len, S_ISLNK(n->st.mode) ? 6 : 0);
			if (d.link)
				assert_memory_equal(d.link, "target", 6);
			seen_add(&got, n);
		}
		s->ops->batch_free(s, b);
	}
	s->ops->free(s);
	for (size_t i = 0; i < got.n; i++)
		assert_stat(dir, &got.v[i]);
	assert_int_equal(got.n, devices ? 9 : 7);
	assert_int_equal(must_find(&got, "link2")->st.nlink, 2);
	assert_int_equal(must_find(&got, "link2")->st.ino, must_find(&got, "file")->st.ino);
	assert_true(S_ISSOCK(must_find(&got, "sock")->st.mode));
	assert_true(S_ISFIFO(must_find(&got, "fifo")->st.mode));
	assert_int_equal(must_find(&got, "file")->st.rdev_major, 0);
	if (devices) {
		assert_int_equal(must_find(&got, "chr")->st.rdev_major, 1);
		assert_int_equal(must_find(&got, "chr")->st.rdev_minor, 3);
		assert_int_equal(must_find(&got, "blk")->st.rdev_major, 259);
		assert_int_equal(must_find(&got, "blk")->st.rdev_minor, 1048575);
	}
}

/* The entry of this path, in a batch that the caller gives back. */
static struct entry *go_to(struct source *s, const char *path, struct batch **ret)
{
	for (struct batch *b; (b = must_next(s));) {
		for (size_t i = 0; i < b->n; i++) {
			if (strcmp(b->entries[i].path, path) == 0) {
				*ret = b;
				return &b->entries[i];
			}
		}
		s->ops->batch_free(s, b);
	}
	fail_msg("'%s' did not come", path);
	return NULL;
}

static bool has_attr(const struct entry_detail *d, const char *name)
{
	return d->xattrs && memmem(d->xattrs, d->xattrs_len, name, strlen(name));
}

static const char *walk_load__attributes_of_every_type(void)
{
	static const char *const names[] = { "dir", "fifo", "file", "sym" };
	auto_tmpdir char *dir = tmpdir_new();
	auto_close int at = open_dir(dir);
	bool can = true;

	write_text(dir, "file", "12345");
	assert_int_equal(mkdirat(at, "dir", 0755), 0);
	assert_int_equal(symlinkat("file", at, "sym"), 0);
	assert_int_equal(mkfifoat(at, "fifo", 0600), 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		auto_free char *path = path_join(dir, names[i]);
		auto_free char *attr = path_join("trusted.of", names[i]);

		can = can && lsetxattr(path, attr, "v", 1, 0) == 0;
	}
	can = can && lsetxattr(dir, "trusted.of/root", "v", 1, 0) == 0;
	if (!can)
		return "needs root and a file system with attributes";

	struct source *s = must_walk(dir, NULL);
	struct batch *b = must_next(s);
	struct err e = ERR_INIT;
	CLEANUP(entry_detail_clear) struct entry_detail root = { 0 };
	assert_int_equal(s->ops->load(s, &b->entries[0], &root, &e), 0);
	assert_true(has_attr(&root, "trusted.of/root"));
	s->ops->batch_free(s, b);
	b = must_next(s);
	assert_int_equal(b->n, ARRAY_LEN(names));
	for (size_t i = 0; i < b->n; i++) {
		CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
		auto_free char *attr = path_join("trusted.of", names[i]);

		assert_int_equal(s->ops->load(s, &b->entries[i], &d, &e), 0);
		assert_true(has_attr(&d, attr));
	}
	s->ops->batch_free(s, b);
	s->ops->free(s);
	return NULL;
}

static void test_walk_load__attributes_of_every_type(void **state)
{
	(void)state;
	left_out(walk_load__attributes_of_every_type());
}

/* With the content open, load() must not open the file again: its name may be gone. */
static void test_walk_load__shares_the_descriptor_of_open_content(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "file");
	struct err e = ERR_INIT;
	CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
	struct content *c;
	struct entry_stat st;
	struct batch *b;
	bool changed = false;

	(void)state;
	write_text(dir, "file", "12345");
	bool attrs = lsetxattr(path, "user.k", "v", 1, 0) == 0;
	struct source *s = must_walk(dir, NULL);
	struct entry *n = go_to(s, "file", &b);
	assert_int_equal(s->ops->open(s, n, &c, &e), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(s->ops->load(s, n, &d, &e), 0);
	assert_int_equal(has_attr(&d, "user.k"), attrs);
	assert_int_equal(s->ops->close(c, &st, &changed, &e), 0);
	assert_true(changed); /* its ctime: one link less */
	assert_int_equal(st.nlink, 0);
	assert_int_equal(s->ops->load(s, n, &d, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	s->ops->batch_free(s, b);
	s->ops->free(s);
}

static void test_walk_open_content__outlives_its_batch(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	struct content *c;
	struct entry_stat st;
	struct batch *b;
	bool changed = true;
	char p[8];

	(void)state;
	write_text(dir, "file", "12345");
	write_text(dir, "sub/x", "12345");
	struct source *s = must_walk(dir, NULL);
	struct entry *n = go_to(s, "file", &b);
	assert_int_equal(s->ops->open(s, n, &c, &e), 0);
	s->ops->batch_free(s, b);
	while ((b = must_next(s)))
		s->ops->batch_free(s, b);
	assert_int_equal(s->ops->read(c, p, sizeof(p), 0, &e), 5);
	assert_int_equal(s->ops->close(c, &st, &changed, &e), 0);
	assert_false(changed);
	s->ops->free(s);
}

static void test_walk_data__sparse_files_have_ranges(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "sparse");
	const struct walk_params p = { .drop_cache = true };
	struct err e = ERR_INIT;
	struct content *c;
	struct entry_stat st;
	struct batch *b;
	uint64_t start, end;
	bool changed = true;

	(void)state;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fd_pwrite_full(fd, "data", 4, 6 * MIB), 0);
	assert_int_equal(ftruncate(fd, 10 * MIB), 0);
	close(fd);
	struct source *s = must_walk(dir, &p);
	struct entry *n = go_to(s, "sparse", &b);
	assert_int_equal(s->ops->open(s, n, &c, &e), 0);
	assert_int_equal(s->ops->data(c, 0, &start, &end, &e), 0);
	assert_int_equal(start, 6 * MIB);
	assert_true(end > start && end < 7 * MIB);
	assert_int_equal(s->ops->data(c, end, &start, &end, &e), 0);
	assert_int_equal(start, 10 * MIB);
	assert_int_equal(s->ops->close(c, &st, &changed, &e), 0);
	assert_false(changed);
	s->ops->batch_free(s, b);
	s->ops->free(s);
}

static void test_walk_read__leaves_access_times_alone(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "d/file");
	auto_free char *sub = path_join(dir, "d");
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } };
	struct err e = ERR_INIT;
	struct content *c;
	struct entry_stat st;
	struct stat now;
	struct batch *b;
	bool changed;
	char p[8];

	(void)state;
	write_text(dir, "d/file", "12345");
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, sub, old, 0), 0);
	struct source *s = must_walk(dir, NULL);
	struct entry *n = go_to(s, "d/file", &b);
	assert_int_equal(s->ops->open(s, n, &c, &e), 0);
	assert_int_equal(s->ops->read(c, p, 8, 0, &e), 5);
	assert_int_equal(s->ops->close(c, &st, &changed, &e), 0);
	s->ops->batch_free(s, b);
	s->ops->free(s);
	assert_int_equal(lstat(path, &now), 0);
	assert_int_equal(now.st_atim.tv_sec, 1000);
	assert_int_equal(lstat(sub, &now), 0);
	assert_int_equal(now.st_atim.tv_sec, 1000);
}

/* ---- things that change meanwhile ---- */

/*
 * The first batches of a wide directory prove that it was listed; entries
 * behind the window of batches in flight have not been stat'ed yet.
 */
enum { MEANWHILE = 256 * (ORDER_CAP + 12) };

static void meanwhile(void (*change)(int at), struct seen_list *got)
{
	auto_bigdir char *dir = big_new();
	auto_close int at = open_dir(dir);

	make_wide(dir, MEANWHILE);
	write_text(dir, "z1", "a file");
	write_text(dir, "z2/x", "in a directory");
	write_text(dir, "z3", "a file");
	struct source *s = must_walk(dir, NULL);
	for (int i = 0; i < 2; i++) {
		struct batch *b = must_next(s);

		s->ops->batch_free(s, b);
	}
	change(at);
	take_rest(s, got);
	s->ops->free(s);
}

static void remove_two(int at)
{
	assert_int_equal(unlinkat(at, "z1", 0), 0);
	assert_int_equal(unlinkat(at, "z2/x", 0), 0);
	assert_int_equal(unlinkat(at, "z2", AT_REMOVEDIR), 0);
}

static void test_walk__what_vanishes_is_gone(void **state)
{
	CLEANUP(seen_clear) struct seen_list got = { 0 };

	(void)state;
	meanwhile(remove_two, &got);
	assert_int_equal(must_find(&got, "z1")->state, ENTRY_GONE);
	assert_int_equal(must_find(&got, "z2")->state, ENTRY_GONE);
	assert_int_equal(must_find(&got, "z3")->state, ENTRY_OK);
	assert_null(find(&got, "z2/x"));
}

static void swap_types(int at)
{
	remove_two(at);
	assert_int_equal(mkdirat(at, "z1", 0755), 0);
	assert_int_equal(symlinkat("z3", at, "z2"), 0);
}

/* A directory that came in place of a file was never listed; a link for a directory is one. */
static void test_walk__what_changes_its_type_is_never_half_taken(void **state)
{
	CLEANUP(seen_clear) struct seen_list got = { 0 };

	(void)state;
	meanwhile(swap_types, &got);
	assert_int_equal(must_find(&got, "z1")->state, ENTRY_GONE);
	assert_int_equal(must_find(&got, "z2")->state, ENTRY_OK);
	assert_true(S_ISLNK(must_find(&got, "z2")->st.mode));
	assert_null(find(&got, "z2/x"));
}

static void change_then_open(void (*change)(int at), enum err_class class, uint64_t size)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_close int at = open_dir(dir);
	CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
	struct err e = ERR_INIT, e2 = ERR_INIT;
	struct content *c;
	struct entry_stat st;
	struct batch *b;
	bool changed;

	write_text(dir, "f", "12345");
	write_text(dir, "other", "1234567");
	struct source *s = must_walk(dir, NULL);
	struct entry *n = go_to(s, "f", &b);
	change(at);
	if (class == ERR_NONE) {
		assert_int_equal(s->ops->load(s, n, &d, &e), 0);
		assert_int_equal(s->ops->open(s, n, &c, &e), 0);
		assert_int_equal(n->st.size, size);
		assert_int_equal(s->ops->close(c, &st, &changed, &e), 0);
		assert_false(changed);
	} else {
		assert_int_equal(s->ops->open(s, n, &c, &e), -1);
		assert_int_equal(e.class, class);
		assert_non_null(strstr(e.msg, "'f'"));
		assert_int_equal(s->ops->load(s, n, &d, &e2), -1);
		assert_int_equal(e2.class, class);
	}
	s->ops->batch_free(s, b);
	s->ops->free(s);
}

static void to_nothing(int at)
{
	assert_int_equal(unlinkat(at, "f", 0), 0);
}

static void to_fifo(int at)
{
	to_nothing(at);
	assert_int_equal(mkfifoat(at, "f", 0600), 0);
}

static void to_link(int at)
{
	to_nothing(at);
	assert_int_equal(symlinkat("other", at, "f"), 0);
}

static void to_dir(int at)
{
	to_nothing(at);
	assert_int_equal(mkdirat(at, "f", 0755), 0);
}

static void to_other(int at)
{
	assert_int_equal(renameat(at, "other", at, "f"), 0);
}

static void test_walk_open_content__a_file_that_is_none_any_more_is_gone(void **state)
{
	(void)state;
	change_then_open(to_nothing, ERR_NOT_FOUND, 0);
	change_then_open(to_fifo, ERR_NOT_FOUND, 0);
	change_then_open(to_link, ERR_NOT_FOUND, 0);
	change_then_open(to_dir, ERR_NOT_FOUND, 0);
	change_then_open(to_other, ERR_NONE, 7); /* as programs save: read as it is now */
}

/* What came in its place is not what was listed: its attributes are not the link's. */
static void test_walk_load__a_link_that_a_file_replaced_has_none_of_its_attributes(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_close int at = open_dir(dir);
	CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
	struct err e = ERR_INIT;
	struct batch *b;

	(void)state;
	assert_int_equal(mkfifoat(at, "f", 0600), 0);
	write_text(dir, "other", "x");
	struct source *s = must_walk(dir, NULL);
	struct entry *n = go_to(s, "f", &b);
	to_other(at);
	assert_int_equal(s->ops->load(s, n, &d, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_null(d.xattrs);
	s->ops->batch_free(s, b);
	s->ops->free(s);
}

static void test_walk_load__a_link_or_fifo_that_is_none_any_more_is_gone(void **state)
{
	static const char *const names[] = { "fifo", "sym" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		auto_tmpdir char *dir = tmpdir_new();
		auto_close int at = open_dir(dir);
		struct entry_detail d = { 0 };
		struct err e = ERR_INIT;
		struct batch *b;

		assert_int_equal(symlinkat("x", at, "sym"), 0);
		assert_int_equal(mkfifoat(at, "fifo", 0600), 0);
		struct source *s = must_walk(dir, NULL);
		struct entry *n = go_to(s, names[i], &b);
		assert_int_equal(unlinkat(at, names[i], 0), 0);
		assert_int_equal(s->ops->load(s, n, &d, &e), -1);
		assert_int_equal(e.class, ERR_NOT_FOUND);
		s->ops->batch_free(s, b);
		s->ops->free(s);
	}
}

/* ---- what may not be read ---- */

static int become_nobody(const char *dir)
{
	return chdir(dir) == 0 && setgroups(0, NULL) == 0 && setgid(65534) == 0 &&
	                       setuid(65534) == 0
	               ? 0
	               : -1;
}

static int expect(const struct seen_list *got, const char *path, enum entry_state state, int os)
{
	const struct seen *s = find(got, path);

	if (s && s->state == state && s->os == os)
		return 0;
	fprintf(stderr, "%s: %s, state %d, errno %d\n", path, s ? "there" : "missing",
	        s ? (int)s->state : -1, s ? s->os : 0);
	return 1;
}

static int walk_as_nobody(void *arg)
{
	struct err e = ERR_INIT;
	struct seen_list got = { 0 };
	int bad = 0;

	if (become_nobody(arg) < 0)
		return 77;
	struct source *s = walk_open(".", NULL, &e);
	if (!s)
		return 1;
	for (struct batch *b; s->ops->next(s, &b, &e) == 0 && b;) {
		for (size_t i = 0; i < b->n; i++) {
			struct entry *n = &b->entries[i];
			struct content *c;

			seen_add(&got, n);
			if (strcmp(n->path, "file") == 0 &&
			    (s->ops->open(s, n, &c, &e) == 0 || e.class != ERR_DENIED ||
			     e.os != EACCES))
				bad++;
		}
		s->ops->batch_free(s, b);
	}
	s->ops->free(s);
	bad += expect(&got, "closed", ENTRY_UNREADABLE, EACCES);
	bad += expect(&got, "file", ENTRY_OK, 0); /* its stat is nobody's secret */
	bad += expect(&got, "listable", ENTRY_OK, 0);
	bad += expect(&got, "listable/f", ENTRY_UNREADABLE, EACCES);
	bad += expect(&got, "listable/sub", ENTRY_UNREADABLE, EACCES);
	bad += expect(&got, "open/f", ENTRY_OK, 0);
	bad += find(&got, "closed/f") != NULL;
	bad += got.n != 8;
	seen_clear(&got);
	return bad;
}

static int open_as_nobody(void *arg)
{
	struct err e = ERR_INIT;
	bool empty;

	if (become_nobody(arg) < 0)
		return 77;
	if (walk_open("closed", NULL, &e) || e.class != ERR_DENIED)
		return 1;
	if (walk_is_empty("closed", &empty, &e) == 0 || e.class != ERR_DENIED)
		return 2;
	return 0;
}

static void make_closed(const char *dir)
{
	auto_close int at = open_dir(dir);

	write_text(dir, "closed/f", "x");
	write_text(dir, "file", "x");
	write_text(dir, "listable/f", "x");
	write_text(dir, "listable/sub/f", "x");
	write_text(dir, "open/f", "x");
	assert_int_equal(fchmod(at, 0755), 0);
	assert_int_equal(fchmodat(at, "closed", 0, 0), 0);
	assert_int_equal(fchmodat(at, "file", 0, 0), 0);
	assert_int_equal(fchmodat(at, "listable", 0744, 0), 0);
}

static const char *walk__what_may_not_be_read_is_told_and_the_rest_goes_on(void)
{
	auto_tmpdir char *dir = tmpdir_new();

	if (geteuid() != 0)
		return "only root can become somebody else";
	make_closed(dir);
	auto_run struct harness_run r = harness_run(walk_as_nobody, dir);
	if (r.status != 0)
		fail_msg("%d differences: %s", r.status, r.err);
	auto_run struct harness_run o = harness_run(open_as_nobody, dir);
	assert_int_equal(o.status, 0);
	return NULL;
}

static void test_walk__what_may_not_be_read_is_told_and_the_rest_goes_on(void **state)
{
	(void)state;
	left_out(walk__what_may_not_be_read_is_told_and_the_rest_goes_on());
}

/* ---- borders ---- */

static void make_mounts(const char *dir)
{
	auto_free char *tmpfs = path_join(dir, "m-tmpfs");
	auto_free char *bind = path_join(dir, "m-bind");
	auto_free char *file = path_join(dir, "m-file");
	auto_free char *real = path_join(dir, "real");
	auto_free char *real_file = path_join(dir, "real/f");

	write_text(dir, "real/f", "x");
	write_text(dir, "m-file", "covered");
	write_text(dir, "m-bind/covered", "x");
	assert_int_equal(mkdir(tmpfs, 0755), 0);
	assert_int_equal(mount("none", tmpfs, "tmpfs", 0, "size=64k,mode=0751"), 0);
	write_text(tmpfs, "inside", "x");
	assert_int_equal(mount(real, bind, "none", MS_BIND, NULL), 0);
	assert_int_equal(mount(real_file, file, "none", MS_BIND, NULL), 0);
}

static const char *walk__mounts_are_borders_unless_asked_otherwise(void)
{
	static const char *const inside[] = { "", "m-bind", "m-tmpfs", "real", "real/f" };
	static const char *const across[] = { "",        "m-bind",         "m-bind/f", "m-file",
		                              "m-tmpfs", "m-tmpfs/inside", "real",     "real/f" };
	const struct walk_params cross = { .cross_mounts = true };
	auto_tmpdir char *dir = tmpdir_new();
	CLEANUP(seen_clear) struct seen_list one = { 0 };
	CLEANUP(seen_clear) struct seen_list all = { 0 };
	const char *const *names;
	size_t total;

	if (!can_mount)
		return "this process may not mount";
	make_mounts(dir);
	struct source *s = must_walk(dir, NULL);
	for (struct batch *b; (b = must_next(s));) {
		for (size_t i = 0; i < b->n; i++) {
			CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
			struct err e = ERR_INIT;

			seen_add(&one, &b->entries[i]);
			assert_int_equal(s->ops->load(s, &b->entries[i], &d, &e), 0);
		}
		s->ops->batch_free(s, b);
	}
	assert_paths(&one, inside, ARRAY_LEN(inside));
	assert_int_equal(must_find(&one, "m-tmpfs")->st.mode, S_IFDIR | 0751);
	assert_int_equal(walk_mounts(s, &names, &total), 3);
	assert_int_equal(total, 3);
	unsigned known = 0;
	for (size_t i = 0; i < 3; i++)
		known |= strcmp(names[i], "m-bind") == 0    ? 1U
		         : strcmp(names[i], "m-tmpfs") == 0 ? 2U
		         : strcmp(names[i], "m-file") == 0  ? 4U
		                                            : 8U;
	assert_int_equal(known, 7);
	s->ops->free(s);

	s = must_walk(dir, &cross);
	take_rest(s, &all);
	assert_paths(&all, across, ARRAY_LEN(across));
	assert_int_equal(walk_mounts(s, &names, &total), 0);
	s->ops->free(s);

	/* the two names of one inode on two mounts are one inode still */
	assert_int_equal(must_find(&all, "m-bind/f")->st.ino, must_find(&all, "real/f")->st.ino);
	mounts_undo(dir, "m-file");
	mounts_undo(dir, "m-bind");
	mounts_undo(dir, "m-tmpfs");
	return NULL;
}

static void test_walk__mounts_are_borders_unless_asked_otherwise(void **state)
{
	(void)state;
	left_out(walk__mounts_are_borders_unless_asked_otherwise());
}

static void test_walk__links_lead_nowhere_but_at_the_end_of_the_root(void **state)
{
	static const char *const want[] = { "", "abs", "dots", "in", "sub", "sub/f" };
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *root = path_join(dir, "root");
	auto_free char *by_link = path_join(dir, "by-link");
	CLEANUP(seen_clear) struct seen_list got = { 0 };
	auto_close int at = -1;

	(void)state;
	write_text(dir, "root/sub/f", "x");
	write_text(dir, "outside/secret", "x");
	at = open_dir(root);
	assert_int_equal(symlinkat("/", at, "abs"), 0);
	assert_int_equal(symlinkat("../outside", at, "dots"), 0);
	assert_int_equal(symlinkat("sub", at, "in"), 0);
	assert_int_equal(symlink("root", by_link), 0);
	walk_all(by_link, NULL, &got);
	assert_paths(&got, want, ARRAY_LEN(want));
}

static void test_walk__excludes_and_caches(void **state)
{
	static const char *const patterns[] = { "*.tmp", "/build/", "!keep.tmp" };
	static const char *const want[] = { "",           "a", "a/build",       "a/build/x",
		                            "a/keep.tmp", "c", "c/CACHEDIR.TAG" };
	const struct walk_params p = { .excludes = patterns,
		                       .nexcludes = ARRAY_LEN(patterns),
		                       .skip_caches = true };
	auto_tmpdir char *dir = tmpdir_new();
	CLEANUP(seen_clear) struct seen_list got = { 0 };

	(void)state;
	write_text(dir, "a/x.tmp", "x");
	write_text(dir, "a/keep.tmp", "x");
	write_text(dir, "a/build/x", "x");
	write_text(dir, "build/x", "x");
	write_text(dir, "c/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55");
	write_text(dir, "c/data", "x");
	walk_all(dir, &p, &got);
	assert_paths(&got, want, ARRAY_LEN(want));
}

/* ---- beginning and ending ---- */

static void test_walk_open__refuses_what_cannot_be_walked(void **state)
{
	static const char *const bad_pattern[] = { "a//b" };
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *none = path_join(dir, "none");
	auto_free char *file = path_join(dir, "file");
	const struct walk_params many = { .stat_threads = WALK_THREADS_MAX + 1 };
	const struct walk_params pattern = { .excludes = bad_pattern, .nexcludes = 1 };
	struct err e = ERR_INIT;

	(void)state;
	write_text(dir, "file", "x");
	assert_null(walk_open(none, NULL, &e));
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "does not exist; check its path"));
	assert_null(walk_open(file, NULL, &e));
	assert_int_equal(e.class, ERR_INVALID);
	assert_null(walk_open(dir, &many, &e));
	assert_int_equal(e.class, ERR_INVALID);
	assert_null(walk_open(dir, &pattern, &e));
	assert_int_equal(e.class, ERR_INVALID);
	assert_non_null(strstr(e.msg, "'a//b'"));
}

static void test_walk_free__early_stops_everything(void **state)
{
	auto_bigdir char *dir = big_new();

	(void)state;
	make_wide(dir, MEANWHILE);
	for (unsigned batches = 0; batches < 4; batches++) {
		for (unsigned threads = 1; threads < 4; threads++) {
			const struct walk_params p = { .stat_threads = threads };
			struct source *s = must_walk(dir, &p);

			for (unsigned i = 0; i < batches; i++)
				s->ops->batch_free(s, must_next(s));
			s->ops->free(s);
		}
	}
}

static void test_walk_next__stays_at_the_end(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();

	(void)state;
	struct source *s = must_walk(dir, NULL);
	struct batch *b = must_next(s);
	assert_int_equal(b->n, 1);
	assert_string_equal(b->entries[0].path, "");
	assert_true(S_ISDIR(b->entries[0].st.mode));
	s->ops->batch_free(s, b);
	for (int i = 0; i < 3; i++)
		assert_null(must_next(s));
	s->ops->free(s);
}

static void test_walk_is_empty__counts_all_but_the_dots_and_views(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *file = path_join(dir, ".f");
	struct err e = ERR_INIT;
	bool empty = false;

	(void)state;
	assert_int_equal(walk_is_empty(dir, &empty, &e), 0);
	assert_true(empty);
	write_text(dir, ".aksdr-view-00112233445566778899aabbccddeeff/f", "");
	assert_int_equal(walk_is_empty(dir, &empty, &e), 0);
	assert_true(empty);
	write_text(dir, ".f", "");
	assert_int_equal(walk_is_empty(dir, &empty, &e), 0);
	assert_false(empty);
	assert_int_equal(walk_is_empty(file, &empty, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
}

/* ---- memory that fails ---- */

struct failing {
	atomic_uint calls;
	unsigned at;
};

static int fail_at(void *arg, enum syshook_call call, int flags)
{
	struct failing *f = arg;

	(void)flags;
	return call == HOOK_ALLOC && atomic_fetch_add(&f->calls, 1) == f->at ? ENOMEM : 0;
}

/* 0: whole; 1: a clean error. Does not allocate itself. */
static int walk_quietly(const char *dir, size_t *ret_entries)
{
	static const char *const patterns[] = { "never" };
	const struct walk_params p = { .stat_threads = 1, .excludes = patterns, .nexcludes = 1 };
	struct err e = ERR_INIT;
	struct source *s = walk_open(dir, &p, &e);
	int rc = 0;

	*ret_entries = 0;
	if (!s) {
		assert_int_equal(e.class, ERR_NOMEM);
		return 1;
	}
	for (struct batch *b;;) {
		if (s->ops->next(s, &b, &e) < 0) {
			assert_int_equal(e.class, ERR_NOMEM);
			rc = 1;
			break;
		}
		if (!b)
			break;
		for (size_t i = 0; i < b->n; i++) {
			struct entry *n = &b->entries[i];
			CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
			struct content *c;
			struct entry_stat st;
			bool changed;

			(*ret_entries)++;
			assert_int_equal(n->state, ENTRY_OK);
			if (S_ISREG(n->st.mode)) {
				if (s->ops->open(s, n, &c, &e) < 0) {
					assert_int_equal(e.class, ERR_NOMEM);
					rc = 1;
					continue;
				}
				assert_int_equal(s->ops->close(c, &st, &changed, &e), 0);
			}
			if (s->ops->load(s, n, &d, &e) < 0) {
				assert_int_equal(e.class, ERR_NOMEM);
				rc = 1;
			}
		}
		s->ops->batch_free(s, b);
	}
	s->ops->free(s);
	return rc;
}

static void test_walk__each_failing_allocation_is_a_clean_error(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *file = path_join(dir, "a/f");
	auto_free char *sym = path_join(dir, "a/sym");
	size_t entries, failures = 0;
	bool reached = true;

	(void)state;
	write_text(dir, "a/f", "x");
	write_text(dir, "a/b/c/f", "x");
	write_text(dir, "z", "x");
	assert_int_equal(symlink("target", sym), 0);
	(void)lsetxattr(file, "user.k", "v", 1, 0);
	for (unsigned at = 0; reached; at++) {
		struct failing f = { .at = at };

		syshook_set(fail_at, &f);
		int rc = walk_quietly(dir, &entries);
		syshook_set(NULL, NULL);
		reached = atomic_load(&f.calls) > at;
		if (reached && rc != 0)
			failures++;
		else
			assert_int_equal(entries, 8);
	}
	assert_true(failures > 10);
}

/* In a child, in a namespace of its own: /proc is covered by something empty. */
static int load_without_proc(void *arg)
{
	struct err e = ERR_INIT;
	struct entry_detail d = { 0 };
	int rc = 3;

	if (!mounts_private() || mount("none", "/proc", "tmpfs", 0, NULL) < 0)
		return 77;
	struct source *s = walk_open(arg, NULL, &e);
	if (!s)
		return 1;
	for (struct batch *b; s->ops->next(s, &b, &e) == 0 && b;) {
		for (size_t i = 0; i < b->n; i++) {
			struct entry *n = &b->entries[i];

			if (S_ISLNK(n->st.mode))
				rc = s->ops->load(s, n, &d, &e) < 0 && e.class == ERR_UNSUPPORTED &&
				                     strstr(e.msg, "needs /proc")
				             ? 0
				             : 2;
		}
		s->ops->batch_free(s, b);
	}
	s->ops->free(s);
	return rc;
}

static const char *walk_load__says_that_links_need_proc(void)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *sym = path_join(dir, "sym");

	if (!can_mount)
		return "this process may not mount";
	assert_int_equal(symlink("target", sym), 0);
	auto_run struct harness_run r = harness_run(load_without_proc, dir);
	assert_int_equal(r.status, 0);
	return NULL;
}

static void test_walk_load__says_that_links_need_proc(void **state)
{
	(void)state;
	left_out(walk_load__says_that_links_need_proc());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk__random_trees_come_whole_and_in_order),
		cmocka_unit_test(test_walk__every_byte_can_be_in_a_name),
		cmocka_unit_test(test_walk__three_thousand_levels_deep),
		cmocka_unit_test(test_walk__few_descriptors_are_enough_for_any_depth),
		cmocka_unit_test(test_walk__a_hundred_thousand_entries_in_one_directory),
		cmocka_unit_test(test_walk__batches_can_be_held_beyond_the_limit_of_descriptors),
		cmocka_unit_test(test_walk__every_type_with_what_belongs_to_it),
		cmocka_unit_test(test_walk_load__attributes_of_every_type),
		cmocka_unit_test(test_walk_load__shares_the_descriptor_of_open_content),
		cmocka_unit_test(test_walk_open_content__outlives_its_batch),
		cmocka_unit_test(test_walk_data__sparse_files_have_ranges),
		cmocka_unit_test(test_walk_read__leaves_access_times_alone),
		cmocka_unit_test(test_walk__what_vanishes_is_gone),
		cmocka_unit_test(test_walk__what_changes_its_type_is_never_half_taken),
		cmocka_unit_test(test_walk_open_content__a_file_that_is_none_any_more_is_gone),
		cmocka_unit_test(
			test_walk_load__a_link_that_a_file_replaced_has_none_of_its_attributes),
		cmocka_unit_test(test_walk_load__a_link_or_fifo_that_is_none_any_more_is_gone),
		cmocka_unit_test(test_walk__what_may_not_be_read_is_told_and_the_rest_goes_on),
		cmocka_unit_test(test_walk__mounts_are_borders_unless_asked_otherwise),
		cmocka_unit_test(test_walk__links_lead_nowhere_but_at_the_end_of_the_root),
		cmocka_unit_test(test_walk__excludes_and_caches),
		cmocka_unit_test(test_walk_open__refuses_what_cannot_be_walked),
		cmocka_unit_test(test_walk_free__early_stops_everything),
		cmocka_unit_test(test_walk_next__stays_at_the_end),
		cmocka_unit_test(test_walk_is_empty__counts_all_but_the_dots_and_views),
		cmocka_unit_test(test_walk__each_failing_allocation_is_a_clean_error),
		cmocka_unit_test(test_walk_load__says_that_links_need_proc),
	};

	can_mount = mounts_private();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
