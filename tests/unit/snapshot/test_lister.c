/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The traversal alone, on one thread: what put() does happens at a known
 * place of the walk, so a test can change the tree under its feet.
 */
#include "snapshot/lister.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "tests/harness/harness.h"

ssize_t __real_getdents64(int fd, void *buffer, size_t n);
ssize_t __wrap_getdents64(int fd, void *buffer, size_t n);

/* What a file system may do to us. */
static struct {
	bool no_types; /* every type is DT_UNKNOWN */
	int fail_at;   /* this call fails, counted down; 0: none */
	int os;
} play;

ssize_t __wrap_getdents64(int fd, void *buffer, size_t n)
{
	if (play.fail_at > 0 && --play.fail_at == 0) {
		errno = play.os;
		return -1;
	}
	ssize_t got = __real_getdents64(fd, buffer, n);
	for (ssize_t at = 0; play.no_types && at < got;) {
		struct dirent64 *d = (void *)((char *)buffer + at);

		d->d_type = DT_UNKNOWN;
		at += d->d_reclen;
	}
	return got;
}

enum { SEEN_MAX = 4000 };

struct trial {
	struct source source;
	struct below below;
	struct batch_pool pool;
	struct match *match;
	atomic_bool stop;
	struct lister_params p;
	char dir[128];

	/* what came out: "path state", one a line */
	char *seen[SEEN_MAX];
	int os[SEEN_MAX];
	size_t n, groups, largest, mounts;
	size_t most_dirs;
	size_t refuse_after; /* groups taken before put() says false; 0: never */
	void (*act)(struct trial *t, const char *path);
};

static bool put(void *arg, struct lister_group *take_g)
{
	struct trial *t = arg;
	bool more = !t->refuse_after || t->groups < t->refuse_after;

	size_t dirs = atomic_load(&t->pool.dirs);
	if (dirs > t->most_dirs)
		t->most_dirs = dirs;
	if (!more)
		return false;
	t->groups++;
	assert_true(take_g->n > 0);
	if (take_g->n > t->largest)
		t->largest = take_g->n;
	for (size_t i = 0; i < take_g->n; i++) {
		struct batch *b = &take_g->batches[i]->pub;

		assert_true(b->n > 0);
		for (size_t j = 0; j < b->n; j++) {
			static const char marks[] = { ' ', 'G', 'U', 'C' };
			const struct entry *n = &b->entries[j];

			assert_true(t->n < SEEN_MAX);
			t->os[t->n] = n->os;
			if (asprintf(&t->seen[t->n++], "%c%s", marks[n->state], n->path) < 0)
				harness_die("no memory");
			if (t->act)
				t->act(t, n->path);
		}
	}
	lister_group_free(take_g);
	return true;
}

static void mounted(void *arg, const char *path)
{
	struct trial *t = arg;

	(void)path;
	t->mounts++;
}

static void begin(struct trial *t, const char *dir)
{
	memset(t, 0, sizeof(*t));
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(below_init(&t->below, fd, false), 0);
	batch_pool_init(&t->pool, &t->source);
	(void)snprintf(t->dir, sizeof(t->dir), "%s", dir);
	t->p = (struct lister_params){
		.below = &t->below,
		.pool = &t->pool,
		.root = batch_dir_new(&t->pool, fd),
		.what = t->dir,
		.path_max = 1000,
		.open_max = 64,
		.batches_max = LISTER_BATCHES,
		.stop = &t->stop,
		.put = put,
		.mount = mounted,
		.arg = t,
	};
}

static void end(struct trial *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->seen[i]);
	batch_dir_unref(t->p.root);
	assert_int_equal(atomic_load(&t->pool.dirs), 0);
	batch_pool_clear(&t->pool);
	match_free(t->match);
}

static void assert_seen(const struct trial *t, const char *const *want, size_t n)
{
	for (size_t i = 0; i < n && i < t->n; i++)
		assert_string_equal(t->seen[i], want[i]);
	assert_int_equal(t->n, n);
}

static void run(struct trial *t)
{
	struct err e = ERR_INIT;

	if (lister_run(&t->p, &e) < 0)
		fail_msg("%s", e.msg);
}

/* a/b/c/d/e with a sibling before and after on each level. */
static void make_nested(const char *dir)
{
	static const char *const files[] = { "0",       "a/0",   "a/b/0", "a/b/c/0", "a/b/c/d/e",
		                             "a/b/c/z", "a/b/z", "a/z",   "z" };

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		write_text(dir, files[i], "x");
}

static const char *const nested[] = { " ",        " 0",     " a",       " a/0",     " a/b",
	                              " a/b/0",   " a/b/c", " a/b/c/0", " a/b/c/d", " a/b/c/d/e",
	                              " a/b/c/z", " a/b/z", " a/z",     " z" };

static void test_lister_run__goes_depth_first_in_the_order_of_bytes(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct trial t;

	(void)state;
	make_nested(dir);
	begin(&t, dir);
	run(&t);
	assert_seen(&t, nested, ARRAY_LEN(nested));
	assert_int_equal(t.groups, 1);
	end(&t);
}

static void test_lister_run__few_descriptors_are_enough_for_any_depth(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct trial t;

	(void)state;
	make_nested(dir);
	for (size_t open_max = 1; open_max <= 3; open_max++) {
		for (int kernel = 0; kernel < 2; kernel++) {
			begin(&t, dir);
			t.p.open_max = open_max;
			t.p.batches_max = 1;
			if (kernel == 0)
				t.below.openat2 = false;
			run(&t);
			assert_seen(&t, nested, ARRAY_LEN(nested));
			assert_int_equal(t.largest, 1);
			/* the root, those on the way, and the one whose batch is being put */
			assert_in_range(t.most_dirs, 1, open_max + 2);
			end(&t);
		}
	}
}

/* Nothing is left to do in the directories on the way back up, so none of them is opened again. */
static void test_lister_run__goes_from_one_deep_chain_to_the_next(void **state)
{
	enum { DEPTH = 40 };
	auto_tmpdir char *dir = tmpdir_new();
	char path[2 * DEPTH + 4];
	struct trial t;

	(void)state;
	for (int chain = 0; chain < 3; chain++) {
		size_t len = 0;

		for (int i = 0; i < DEPTH; i++) {
			path[len++] = (char)('a' + chain);
			path[len++] = '/';
		}
		path[len++] = 'f';
		path[len] = '\0';
		write_text(dir, path, "x");
	}
	for (size_t open_max = 1; open_max <= 3; open_max++) {
		begin(&t, dir);
		t.p.open_max = open_max;
		run(&t);
		assert_int_equal(t.n, 1 + 3 * (DEPTH + 1));
		assert_string_equal(t.seen[t.n - 1] + 1, path);
		end(&t);
	}
}

static void test_lister_run__directories_with_long_paths_are_not_entered(void **state)
{
	static const char *const want[] = { " ",      " 0",     " a",     " a/0", " a/b",
		                            " a/b/0", "Ua/b/c", " a/b/z", " a/z", " z" };
	auto_tmpdir char *dir = tmpdir_new();
	struct trial t;

	(void)state;
	make_nested(dir);
	begin(&t, dir);
	t.p.path_max = 3;
	run(&t);
	assert_seen(&t, want, ARRAY_LEN(want));
	assert_int_equal(t.os[6], ENAMETOOLONG);
	end(&t);
}

static void test_lister_run__ends_when_nobody_wants_more(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct trial t;

	(void)state;
	make_nested(dir);
	for (size_t n = 1; n < 10; n++) {
		begin(&t, dir);
		t.p.batches_max = 1;
		t.refuse_after = n;
		run(&t);
		assert_int_equal(t.groups, n);
		end(&t);
	}
	begin(&t, dir);
	atomic_store(&t.stop, true);
	run(&t);
	assert_int_equal(t.groups, 0);
	end(&t);
}

static void move_a(struct trial *t, const char *path)
{
	if (strcmp(path, "a/b/c/d/e") == 0) {
		auto_free char *from = path_join(t->dir, "a");
		auto_free char *to = path_join(t->dir, "moved");

		assert_int_equal(rename(from, to), 0);
	}
}

/* The directories on the way are opened again by path, and are not there any more. */
static void test_lister_run__what_is_moved_away_meanwhile_is_gone(void **state)
{
	static const char *const want[] = { " ",        " 0",         " a",       " a/0",
		                            " a/b",     " a/b/0",     " a/b/c",   " a/b/c/0",
		                            " a/b/c/d", " a/b/c/d/e", "Ga/b/c/z", "Ga/b/z",
		                            "Ga/z",     " z" };
	auto_tmpdir char *dir = tmpdir_new();
	struct trial t;

	(void)state;
	make_nested(dir);
	begin(&t, dir);
	t.p.open_max = 1;
	t.p.batches_max = 1;
	t.act = move_a;
	run(&t);
	assert_seen(&t, want, ARRAY_LEN(want));
	end(&t);
}

static void move_a_and_link(struct trial *t, const char *path)
{
	move_a(t, path);
	if (strcmp(path, "a/b/c/d/e") == 0) {
		auto_free char *from = path_join(t->dir, "a");

		assert_int_equal(symlink("moved", from), 0);
	}
}

static void test_lister_run__a_link_put_in_the_way_is_not_followed(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct trial t;

	(void)state;
	for (int kernel = 0; kernel < 2; kernel++) {
		auto_free char *sub = path_join(dir, kernel ? "y" : "x");

		assert_int_equal(mkdir(sub, 0755), 0);
		make_nested(sub);
		begin(&t, sub);
		t.p.open_max = 1;
		t.p.batches_max = 1;
		t.act = move_a_and_link;
		if (!kernel)
			t.below.openat2 = false;
		run(&t);
		assert_string_equal(t.seen[10], "Ga/b/c/z");
		assert_string_equal(t.seen[12], "Ga/z");
		assert_string_equal(t.seen[13], " z");
		end(&t);
	}
}

static void remove_next(struct trial *t, const char *path)
{
	auto_free char *sub = path_join(t->dir, "b");
	auto_free char *sub_file = path_join(t->dir, "b/x");

	if (strcmp(path, "a/x") == 0) {
		assert_int_equal(unlink(sub_file), 0);
		assert_int_equal(rmdir(sub), 0);
	}
}

static void replace_next(struct trial *t, const char *path)
{
	remove_next(t, path);
	if (strcmp(path, "a/x") == 0)
		write_text(t->dir, "b", "a file now");
}

static void test_lister_run__a_directory_that_vanishes_after_listing_is_gone(void **state)
{
	static const char *const want[] = { " ", " a", " a/x", "Gb", " c" };
	auto_tmpdir char *dir = tmpdir_new();
	struct trial t;

	(void)state;
	write_text(dir, "a/x", "x");
	write_text(dir, "b/x", "x");
	write_text(dir, "c", "x");
	begin(&t, dir);
	t.p.batches_max = 1;
	t.act = remove_next;
	run(&t);
	assert_seen(&t, want, ARRAY_LEN(want));
	end(&t);
}

/* Whoever stats it finds a file. */
static void test_lister_run__a_directory_that_became_a_file_is_left_to_stat(void **state)
{
	static const char *const want[] = { " ", " a", " a/x", " b", " c" };
	auto_tmpdir char *dir = tmpdir_new();
	struct trial t;

	(void)state;
	write_text(dir, "a/x", "x");
	write_text(dir, "b/x", "x");
	write_text(dir, "c", "x");
	begin(&t, dir);
	t.p.batches_max = 1;
	t.act = replace_next;
	run(&t);
	assert_seen(&t, want, ARRAY_LEN(want));
	end(&t);
}

static void test_lister_run__groups_are_whole_at_the_set_number_of_entries(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	char name[32];
	struct trial t;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "d/%04d", i);
		write_text(dir, name, "");
	}
	begin(&t, dir);
	run(&t);
	assert_int_equal(t.n, 1002);
	assert_in_range(t.groups, 1002 / (LISTER_ENTRIES + SOURCE_BATCH_MAX), 1002 / 256 + 1);
	end(&t);
}

static void test_lister_run__excludes_cut_whole_branches(void **state)
{
	static const char *const patterns[] = { "/a/b/", "z" };
	static const char *const want[] = { " ", " 0", " a", " a/0" };
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	struct trial t;

	(void)state;
	make_nested(dir);
	begin(&t, dir);
	t.match = match_new(patterns, ARRAY_LEN(patterns), &e);
	assert_non_null(t.match);
	t.p.match = t.match;
	run(&t);
	assert_seen(&t, want, ARRAY_LEN(want));
	end(&t);
}

static void test_lister_run__caches_keep_their_tag_alone(void **state)
{
	static const char tag[] = "Signature: 8a477f597d28d172789f06886806bc55\n# a comment\n";
	static const char *const want[] = {
		" ",        " cache", " cache/CACHEDIR.TAG", " false", " false/CACHEDIR.TAG",
		" false/x", " odd",   " odd/CACHEDIR.TAG",   " odd/x"
	};
	auto_tmpdir char *dir = tmpdir_new();
	struct trial t;

	(void)state;
	write_text(dir, "cache/CACHEDIR.TAG", tag);
	write_text(dir, "cache/sub/x", "x");
	write_text(dir, "cache/x", "x");
	write_text(dir, "false/CACHEDIR.TAG", "Signature: something else of the same length....");
	write_text(dir, "false/x", "x");
	write_text(dir, "odd/x", "x");
	auto_free char *odd = path_join(dir, "odd/CACHEDIR.TAG");
	assert_int_equal(mkfifo(odd, 0600), 0);
	begin(&t, dir);
	t.p.skip_caches = true;
	run(&t);
	assert_seen(&t, want, ARRAY_LEN(want));
	end(&t);

	begin(&t, dir);
	run(&t);
	assert_int_equal(t.n, ARRAY_LEN(want) + 3);
	end(&t);
}

/* No more files than are open now; in a child, because the limit is the process's own. */
static int allow_no_more(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return -1;
	r.rlim_cur = 3;
	return setrlimit(RLIMIT_NOFILE, &r);
}

static int out_of_descriptors(void *arg)
{
	struct err e = ERR_INIT;
	struct trial t;

	begin(&t, arg);
	if (allow_no_more() < 0 || lister_run(&t.p, &e) == 0)
		return 1;
	end(&t);
	return e.os == EMFILE ? 0 : 2;
}

static void test_lister_run__says_when_descriptors_run_out(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();

	(void)state;
	make_nested(dir);
	auto_run struct harness_run r = harness_run(out_of_descriptors, dir);
	assert_int_equal(r.status, 0);
}

static void close_limit(struct trial *t, const char *path)
{
	(void)t;
	if (strcmp(path, "0") == 0 && allow_no_more() < 0)
		harness_die("lowering the limit of open files: %s", strerror(errno));
}

static int out_of_descriptors_below(void *arg)
{
	struct err e = ERR_INIT;
	struct trial t;

	begin(&t, arg);
	t.p.batches_max = 1;
	t.act = close_limit;
	if (lister_run(&t.p, &e) == 0)
		return 1;
	end(&t);
	return e.os == EMFILE && strstr(e.msg, "needs more open files; raise the limit") ? 0 : 2;
}

static void test_lister_run__says_when_descriptors_run_out_below(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();

	(void)state;
	make_nested(dir);
	auto_run struct harness_run r = harness_run(out_of_descriptors_below, dir);
	assert_int_equal(r.status, 0);
}

static void test_lister_run__types_are_found_out_where_the_listing_has_none(void **state)
{
	static const char *const patterns[] = { "z", "a/0/", "c/" };
	static const char *const want[] = { " ", " 0", " a", " a/0", " a/b", " a/b/0" };
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	struct trial t;

	(void)state;
	make_nested(dir);
	play.no_types = true;
	begin(&t, dir);
	run(&t);
	assert_seen(&t, nested, ARRAY_LEN(nested));
	end(&t);

	begin(&t, dir);
	t.match = match_new(patterns, ARRAY_LEN(patterns), &e);
	assert_non_null(t.match);
	t.p.match = t.match;
	run(&t);
	assert_seen(&t, want, ARRAY_LEN(want));
	end(&t);
	play.no_types = false;
}

/* Half a directory is none: the entry says so, and what was read of it is forgotten. */
static void test_lister_run__a_listing_that_fails_half_way_leaves_the_directory_out(void **state)
{
	static const char *const want[] = { " ", " 0", "Ua", " z" };
	static const char *const gone[] = { " ", " 0", "Ga", " z" };
	auto_tmpdir char *dir = tmpdir_new();
	struct trial t;

	(void)state;
	make_nested(dir);
	for (int call = 3; call <= 4; call++) { /* two for the root, then the two for a */
		begin(&t, dir);
		play.fail_at = call;
		play.os = EIO;
		run(&t);
		assert_seen(&t, want, ARRAY_LEN(want));
		assert_int_equal(t.os[2], EIO);
		end(&t);
	}
	begin(&t, dir);
	play.fail_at = 3;
	play.os = ENOENT; /* as of a directory that was removed meanwhile */
	run(&t);
	assert_seen(&t, gone, ARRAY_LEN(gone));
	end(&t);
}

static void test_lister_run__without_the_list_of_the_root_there_is_no_walk(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	struct trial t;

	(void)state;
	make_nested(dir);
	begin(&t, dir);
	play.fail_at = 2;
	play.os = EIO;
	assert_int_equal(lister_run(&t.p, &e), -1);
	assert_int_equal(e.class, ERR_IO);
	assert_non_null(strstr(e.msg, "listing '"));
	assert_int_equal(t.n, 0);
	end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lister_run__goes_depth_first_in_the_order_of_bytes),
		cmocka_unit_test(test_lister_run__few_descriptors_are_enough_for_any_depth),
		cmocka_unit_test(test_lister_run__goes_from_one_deep_chain_to_the_next),
		cmocka_unit_test(test_lister_run__directories_with_long_paths_are_not_entered),
		cmocka_unit_test(test_lister_run__ends_when_nobody_wants_more),
		cmocka_unit_test(test_lister_run__what_is_moved_away_meanwhile_is_gone),
		cmocka_unit_test(test_lister_run__a_link_put_in_the_way_is_not_followed),
		cmocka_unit_test(test_lister_run__a_directory_that_vanishes_after_listing_is_gone),
		cmocka_unit_test(test_lister_run__a_directory_that_became_a_file_is_left_to_stat),
		cmocka_unit_test(test_lister_run__groups_are_whole_at_the_set_number_of_entries),
		cmocka_unit_test(test_lister_run__excludes_cut_whole_branches),
		cmocka_unit_test(test_lister_run__caches_keep_their_tag_alone),
		cmocka_unit_test(test_lister_run__says_when_descriptors_run_out),
		cmocka_unit_test(test_lister_run__says_when_descriptors_run_out_below),
		cmocka_unit_test(test_lister_run__types_are_found_out_where_the_listing_has_none),
		cmocka_unit_test(
			test_lister_run__a_listing_that_fails_half_way_leaves_the_directory_out),
		cmocka_unit_test(test_lister_run__without_the_list_of_the_root_there_is_no_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
