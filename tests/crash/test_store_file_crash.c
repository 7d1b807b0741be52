/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process dies by SIGKILL while the file driver works: right before each
 * system call of an operation, in every way that the driver has to write, and
 * at any moment with several threads. What a later process finds: each object
 * is absent or whole, what was acknowledged is there, and what was left under
 * way is never listed and goes away in time.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/fd.h"
#include "common/now.h"
#include "common/num.h"
#include "store/store.h"
#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"
#include "tests/harness/syshook.h"

#define NEW_BYTES 300000

static uint8_t new_bytes[NEW_BYTES];

enum mode { MODE_TMPFILE, MODE_LINK, MODE_RENAME, MODES };

struct step {
	const char *dir;
	const char *key;
	enum mode mode;
	bool del;     /* else put */
	unsigned nth; /* call that is not reached */
	unsigned count;
};

static int kill_self(void *arg, enum syshook_call call, int flags)
{
	struct step *s = arg;

	if (s->count++ == s->nth)
		(void)kill(getpid(), SIGKILL);
	if (s->mode != MODE_TMPFILE && call == HOOK_OPENAT && (flags & O_TMPFILE) == O_TMPFILE)
		return EOPNOTSUPP;
	return s->mode == MODE_RENAME && call == HOOK_LINKAT ? EPERM : 0;
}

/* In a process of its own. */
static int do_step(void *arg)
{
	struct step *s = arg;
	struct iovec iov[2] = { { new_bytes, 100000 }, { new_bytes + 100000, NEW_BYTES - 100000 } };
	struct err e = ERR_INIT;
	struct store *store = store_file_open(s->dir, 0, &e);

	if (!store)
		return 1;
	syshook_set(kill_self, s);
	int r = s->del ? store_delete(store, s->key, &e) : store_put(store, s->key, iov, 2, &e);
	syshook_set(NULL, NULL);
	store_free(store);
	return r < 0 ? 2 : 0;
}

static struct store *reopen(const char *dir)
{
	struct err e = ERR_INIT;
	struct store *s = store_file_open(dir, 0, &e);

	if (!s)
		fail_msg("%s", e.msg);
	return s;
}

/* Makes what lies in .tmp two days old. Returns how many files that is. */
static size_t age_tmp(const char *dir)
{
	auto_free char *tmp = path_join(dir, ".tmp");
	int64_t at_s = now_wall_ns() / 1000000000 - 2 * 86400;
	const struct timespec times[2] = { { at_s, 0 }, { at_s, 0 } };
	const struct dirent *n;
	size_t files = 0;

	DIR *d = opendir(tmp);
	if (!d)
		return 0;
	while ((n = readdir(d))) {
		if (n->d_name[0] == '.')
			continue;
		assert_int_equal(utimensat(dirfd(d), n->d_name, times, 0), 0);
		files++;
	}
	(void)closedir(d);
	return files;
}

/* What must hold after a step that died or not; `left` counts files left in .tmp. */
static void check(const struct step *step, bool died, unsigned *left)
{
	auto_store struct store *s = reopen(step->dir);
	struct store_stat st;
	struct err why = ERR_INIT;
	bool there = store_head(s, step->key, &st, &why) == 0;
	struct iovec all = { new_bytes, NEW_BYTES };
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;

	assert_true(there || why.class == ERR_NOT_FOUND);
	if (!died)
		assert_true(there != step->del);
	if (there)
		assert_content(s, step->key, new_bytes, NEW_BYTES);
	ok(store_list(s, "", NULL, see, &l, e));
	assert_int_equal(l.count, 1 + there);
	assert_text(s, "pack/old", "old");

	/* the next process does it again, and cleans up */
	size_t files = age_tmp(step->dir);
	*left += files > 0;
	assert_true(died || files == 0);
	auto_store struct store *next = reopen(step->dir);
	assert_int_equal(age_tmp(step->dir), 0);
	if (there)
		fails(ERR_EXISTS, store_put(next, step->key, &all, 1, e));
	else
		ok(store_put(next, step->key, &all, 1, e));
	assert_content(next, step->key, new_bytes, NEW_BYTES);
}

/* Kills the operation before each of its calls. Returns how many it has. */
static unsigned kill_each(struct step step, unsigned *left)
{
	for (;; step.nth++) {
		auto_tmpdir char *dir = tmpdir_new();

		write_text(dir, "pack/old", "old");
		if (step.del)
			write_file(dir, step.key, new_bytes, NEW_BYTES);
		step.dir = dir;
		step.count = 0;
		CLEANUP(harness_run_clear) struct harness_run r = harness_run(do_step, &step);
		bool died = r.status == 128 + SIGKILL;
		if (!died)
			assert_int_equal(r.status, 0);
		check(&step, died, left);
		if (!died)
			return step.nth;
	}
}

static void test_put__killed_before_each_call(void **state)
{
	static const char *const keys[] = { "pack/new", "p/q/new", "new" };

	(void)state;
	for (enum mode mode = 0; mode < MODES; mode++) {
		unsigned left = 0;

		for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
			struct step step = { .key = keys[i], .mode = mode };

			/* at least: open, write, sync, link, sync, sync */
			assert_true(kill_each(step, &left) >= 6);
		}
		/* Only files with a name can be left, and then some are, or this proves nothing. */
		assert_int_equal(left > 0, mode != MODE_TMPFILE);
	}
}

static void test_delete__killed_before_each_call(void **state)
{
	struct step step = { .key = "pack/new", .del = true };
	unsigned left = 0;

	(void)state;
	assert_true(kill_each(step, &left) >= 1);
}

/* ---- at any moment ---- */

#define THREADS 4
#define OBJECTS 200 /* of each thread; more than it gets to */
#define OBJECT_MAX 60000

static void key_of(uint64_t id, char ret[32])
{
	(void)snprintf(ret, 32, "r/%" PRIu64 "/%" PRIu64, id / OBJECTS, id % OBJECTS);
}

static size_t content_of(uint64_t id, uint8_t ret[OBJECT_MAX])
{
	size_t n = id * 7919 % OBJECT_MAX;

	fill_random(id + 1, ret, n);
	return n;
}

struct putter {
	struct store *store;
	uint64_t thread;
	int acknowledge; /* gets the number of each object that is stored */
};

static void *put_on(void *arg)
{
	struct putter *p = arg;
	uint8_t *bytes = malloc(OBJECT_MAX);
	struct err e = ERR_INIT;
	char key[32];

	for (uint64_t i = 0; bytes && i < OBJECTS; i++) {
		uint64_t id = p->thread * OBJECTS + i;
		struct iovec one = { .iov_base = bytes, .iov_len = content_of(id, bytes) };

		key_of(id, key);
		if (store_put(p->store, key, &one, 1, &e) < 0)
			break;
		/* at once up to PIPE_BUF */
		if (fd_write_full(p->acknowledge, &id, sizeof(id)) < 0)
			break;
	}
	free(bytes);
	return NULL;
}

/* The child: puts until it is killed. */
static void put_until_killed(const char *dir, int acknowledge)
{
	struct putter putters[THREADS];
	pthread_t threads[THREADS];
	struct err e = ERR_INIT;
	struct store *s = store_file_open(dir, 0, &e);

	for (uint64_t i = 0; s && i < THREADS; i++) {
		putters[i] = (struct putter){ s, i, acknowledge };
		if (pthread_create(&threads[i], NULL, put_on, &putters[i]) != 0)
			_exit(1);
	}
	for (unsigned i = 0; s && i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	_exit(1); /* it was to be killed long before */
}

static void check_objects(const char *dir, const bool stored[THREADS * OBJECTS])
{
	auto_store struct store *s = reopen(dir);
	auto_free uint8_t *bytes = malloc(OBJECT_MAX);
	size_t there = 0;
	char key[32];
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;

	assert_non_null(bytes);
	for (uint64_t id = 0; id < THREADS * OBJECTS; id++) {
		struct store_stat st;
		struct err why = ERR_INIT;

		key_of(id, key);
		if (store_head(s, key, &st, &why) < 0) {
			assert_int_equal(why.class, ERR_NOT_FOUND);
			assert_false(stored[id]);
			continue;
		}
		there++;
		size_t n = content_of(id, bytes);
		assert_content(s, key, bytes, n);
	}
	ok(store_list(s, "", NULL, see, &l, e));
	assert_int_equal(l.count, there);
}

/* Kills after `acknowledged` puts, and looks at what is there. */
static void kill_after(unsigned acknowledged)
{
	auto_tmpdir char *dir = tmpdir_new();
	static bool stored[THREADS * OBJECTS];
	int ends[2];
	int status;
	uint64_t id;

	memset(stored, 0, sizeof(stored));
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(ends[0]);
		put_until_killed(dir, ends[1]);
	}
	(void)close(ends[1]);
	for (unsigned i = 0; fd_read_full(ends[0], &id, sizeof(id)) == sizeof(id); i++) {
		assert_true(id < THREADS * OBJECTS);
		stored[id] = true;
		if (i == acknowledged)
			assert_int_equal(kill(pid, SIGKILL), 0);
	}
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	check_objects(dir, stored);
}

static void test_put__killed_at_any_moment(void **state)
{
	const char *text = getenv("TEST_SEED");
	struct err e = ERR_INIT;
	uint64_t seed = 1;
	uint16_t after[12];

	(void)state;
	if (text)
		assert_int_equal(num_u64("TEST_SEED", text, 0, UINT64_MAX, &seed, &e), 0);
	fill_random(seed, after, sizeof(after));
	for (size_t i = 0; i < ARRAY_LEN(after); i++)
		kill_after(after[i] % 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put__killed_before_each_call),
		cmocka_unit_test(test_delete__killed_before_each_call),
		cmocka_unit_test(test_put__killed_at_any_moment),
	};

	fill_random(42, new_bytes, sizeof(new_bytes));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
