/* SPDX-License-Identifier: Apache-2.0 */
/* The external sort: nothing gets lost, doubles become one, and it is in order at any size. */
#include "common/runs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#include "tests/harness/harness.h"
#include "tests/harness/syshook.h"

#define FIRST_BYTES (128 * KIB) /* of the run that is always in memory */

static bool disk_is_full;

int __real_fallocate(int fd, int mode, off_t off, off_t n);
int __wrap_fallocate(int fd, int mode, off_t off, off_t n);
int __wrap_fallocate(int fd, int mode, off_t off, off_t n)
{
	if (!disk_is_full)
		return __real_fallocate(fd, mode, off, n);
	errno = ENOSPC;
	return -1;
}

/* ---- small records ---- */

struct small {
	uint64_t key;
	uint64_t count; /* of those that were joined */
};

static int small_cmp(const void *va, const void *vb)
{
	const struct small *a = va;
	const struct small *b = vb;

	return (a->key > b->key) - (a->key < b->key);
}

static void small_join(void *kept, const void *same)
{
	((struct small *)kept)->count += ((const struct small *)same)->count;
}

static const struct runs_type smalls = { .size = sizeof(struct small),
	                                 .cmp = small_cmp,
	                                 .join = small_join };
static const struct runs_type unjoined = { .size = sizeof(struct small), .cmp = small_cmp };

static void add_small(struct runs *r, uint64_t key)
{
	const struct small x = { .key = key, .count = 1 };
	struct err e = ERR_INIT;

	if (runs_add(r, &x, 1, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(e.class, ERR_NONE);
}

static void rewind_all(struct runs *r)
{
	struct err e = ERR_INIT;

	if (runs_rewind(r, &e) < 0)
		fail_msg("%s", e.msg);
}

/* ---- large ones, so that few fill a run ---- */

#define LARGE_BYTES ((size_t)32 * KIB)

struct large {
	uint64_t key;
	uint64_t count;
	uint8_t rest[LARGE_BYTES - 16]; /* follows from the key */
};

static const struct runs_type larges = { .size = sizeof(struct large),
	                                 .cmp = small_cmp,
	                                 .join = small_join };

static void large_of(uint64_t key, struct large *ret)
{
	ret->key = key;
	ret->count = 1;
	memset(ret->rest, (int)(key % 251), sizeof(ret->rest));
}

static bool is_whole(const struct large *x)
{
	return x->rest[0] == x->key % 251 && x->rest[sizeof(x->rest) / 2] == x->key % 251 &&
	       x->rest[sizeof(x->rest) - 1] == x->key % 251;
}

#define KEYS 1500

/* What must come out: how often each key was added. */
struct model {
	uint64_t counts[KEYS];
};

static void add_larges(struct runs *r, struct model *m, uint64_t seed, size_t n)
{
	auto_free struct large *batch = malloc(7 * sizeof(*batch));

	assert_non_null(batch);
	while (n > 0) {
		uint64_t random[8];
		size_t some;
		struct err e = ERR_INIT;

		fill_random(seed++, random, sizeof(random));
		some = 1 + random[7] % 7;
		if (some > n)
			some = n;
		for (size_t i = 0; i < some; i++) {
			large_of(random[i] % KEYS, &batch[i]);
			m->counts[random[i] % KEYS]++;
		}
		if (runs_add(r, batch, some, &e) < 0)
			fail_msg("%s", e.msg);
		n -= some;
	}
}

/* Reads all, peeking before each, and compares. */
static void assert_model(struct runs *r, const struct model *m)
{
	rewind_all(r);
	for (uint64_t key = 0; key < KEYS; key++) {
		if (m->counts[key] == 0)
			continue;
		const struct large *seen = runs_peek(r);
		assert_non_null(seen);
		assert_int_equal(seen->key, key);
		assert_ptr_equal(runs_peek(r), seen);
		const struct large *x = runs_next(r);
		assert_non_null(x);
		assert_int_equal(x->key, key);
		assert_int_equal(x->count, m->counts[key]);
		assert_true(is_whole(x));
	}
	assert_null(runs_peek(r));
	assert_null(runs_next(r));
	assert_null(runs_next(r));
}

/* ---- tests ---- */

static void test_runs__an_empty_one_has_nothing(void **state)
{
	auto_runs struct runs *r = runs_new(&smalls, NULL);
	struct err e = ERR_INIT;

	(void)state;
	assert_non_null(r);
	assert_int_equal(runs_add(r, NULL, 0, &e), 0);
	assert_true(runs_empty(r));
	assert_int_equal(runs_bytes(r), 0);
	assert_null(runs_peek(r));
	assert_null(runs_next(r));
	rewind_all(r);
	assert_null(runs_peek(r));
	assert_null(runs_next(r));
	runs_free(NULL);
}

static void test_runs__come_in_order_and_once(void **state)
{
	static const uint64_t keys[] = { 9, 3, 7, 3, 0, UINT64_MAX, 7, 7, 1 };
	static const struct small want[] = {
		{ 0, 1 }, { 1, 1 }, { 3, 2 }, { 7, 3 }, { 9, 1 }, { UINT64_MAX, 1 },
	};
	auto_runs struct runs *r = runs_new(&smalls, NULL);

	(void)state;
	assert_non_null(r);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		add_small(r, keys[i]);
	assert_false(runs_empty(r));
	for (int round = 0; round < 3; round++) {
		rewind_all(r);
		for (size_t i = 0; i < ARRAY_LEN(want); i++) {
			const struct small *x = runs_next(r);

			assert_non_null(x);
			assert_int_equal(x->key, want[i].key);
			assert_int_equal(x->count, want[i].count);
		}
		assert_null(runs_next(r));
	}
	/* from the middle */
	rewind_all(r);
	assert_int_equal(((const struct small *)runs_next(r))->key, 0);
	assert_int_equal(((const struct small *)runs_next(r))->key, 1);
	rewind_all(r);
	assert_int_equal(((const struct small *)runs_peek(r))->key, 0);
}

static void test_runs_next__what_it_gave_stays_while_peeking(void **state)
{
	auto_runs struct runs *r = runs_new(&smalls, NULL);

	(void)state;
	assert_non_null(r);
	add_small(r, 2);
	add_small(r, 1);
	rewind_all(r);
	const struct small *x = runs_next(r);
	assert_int_equal(((const struct small *)runs_peek(r))->key, 2);
	assert_int_equal(x->key, 1);
}

static void test_runs__without_join_one_of_the_doubles_stays(void **state)
{
	auto_runs struct runs *r = runs_new(&unjoined, NULL);

	(void)state;
	assert_non_null(r);
	for (uint64_t i = 0; i < 20000; i++)
		add_small(r, i % 9000); /* within the first run and beyond it */
	rewind_all(r);
	for (uint64_t i = 0; i < 9000; i++) {
		const struct small *x = runs_next(r);

		assert_non_null(x);
		assert_int_equal(x->key, i);
		assert_int_equal(x->count, 1);
	}
	assert_null(runs_next(r));
}

static void test_runs__doubles_take_no_more_memory(void **state)
{
	auto_runs struct runs *r = runs_new(&smalls, NULL);

	(void)state;
	assert_non_null(r);
	for (uint64_t i = 0; i < 100000; i++)
		add_small(r, i % 3000);
	assert_int_equal(runs_bytes(r), FIRST_BYTES);
	rewind_all(r);
	for (uint64_t i = 0; i < 3000; i++)
		assert_int_equal(((const struct small *)runs_next(r))->count, 33 + (i < 1000));
	assert_null(runs_next(r));
}

static void many_runs(const char *scratch_dir)
{
	auto_runs struct runs *r = runs_new(&larges, scratch_dir);
	auto_free struct model *m = calloc(1, sizeof(*m));

	assert_non_null(r);
	assert_non_null(m);
	add_larges(r, m, 1, 2000);
	/* one run in memory, and at least two others of 16 MiB */
	assert_true(runs_bytes(r) >= FIRST_BYTES + 32 * MIB);
	if (scratch_dir)
		assert_int_equal(count_files(scratch_dir), 0); /* nothing is left by a crash */
	assert_model(r, m);
	assert_model(r, m);
	/* reading came to its end, so there may be more */
	add_larges(r, m, 100000, 30);
	assert_model(r, m);
}

static void test_runs__many_in_memory(void **state)
{
	(void)state;
	many_runs(NULL);
}

static void test_runs__many_on_disk(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();

	(void)state;
	many_runs(dir);
	assert_int_equal(count_files(dir), 0);
}

/* Adds until it fails; what was in before can still be read, and is all there is or a prefix. */
static void fill_until_it_fails(struct runs *r, enum err_class class, const char *says)
{
	auto_free struct large *x = malloc(sizeof(*x));
	struct err e = ERR_INIT;
	uint64_t n = 0;

	assert_non_null(x);
	do {
		large_of(n, x);
		n++;
	} while (n < 100 && runs_add(r, x, 1, &e) == 0);
	assert_int_equal(n, 1 + FIRST_BYTES / LARGE_BYTES);
	assert_int_equal(e.class, class);
	if (!strstr(e.msg, says))
		fail_msg("'%s' does not say '%s'", e.msg, says);
	rewind_all(r);
	for (uint64_t key = 0; key + 1 < n; key++) {
		const struct large *got = runs_next(r);

		assert_non_null(got);
		assert_int_equal(got->key, key);
		assert_true(is_whole(got));
	}
	assert_null(runs_next(r));
}

static void test_runs_add__a_scratch_directory_that_is_gone_is_an_error(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *missing = path_join(dir, "missing");
	auto_runs struct runs *r = runs_new(&larges, missing);

	(void)state;
	assert_non_null(r);
	fill_until_it_fails(r, ERR_NOT_FOUND, missing);
}

static void test_runs_add__a_full_disk_is_an_error(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_runs struct runs *r = runs_new(&larges, dir);
	struct err e = ERR_INIT;

	(void)state;
	assert_non_null(r);
	disk_is_full = true;
	fill_until_it_fails(r, ERR_QUOTA, dir);
	disk_is_full = false;
	assert_int_equal(count_files(dir), 0);
	/* with room again it goes on */
	auto_free struct large *x = malloc(sizeof(*x));
	assert_non_null(x);
	large_of(1000, x);
	assert_int_equal(runs_add(r, x, 1, &e), 0);
	rewind_all(r);
	uint64_t n = 0;
	for (const struct large *got; (got = runs_next(r)); n++)
		assert_int_equal(got->key, n < 4 ? n : 1000);
	assert_int_equal(n, 5);
}

#define THREADS 4
#define EACH 5000

struct adder {
	struct runs *r;
	uint64_t number;
	bool ok;
};

static void *add_some(void *arg)
{
	struct adder *a = arg;

	a->ok = true;
	for (uint64_t i = 0; i < EACH; i += 5) {
		struct small batch[5];
		struct err e = ERR_INIT;

		/* half of the keys are this thread's, half all threads have */
		for (uint64_t n = 0; n < 5; n++)
			batch[n] = (struct small){
				.key = (i + n) * 8 + ((i + n) % 2 ? a->number : 7), .count = 1
			};
		a->ok &= runs_add(a->r, batch, 5, &e) == 0;
	}
	return NULL;
}

static void test_runs_add__threads_lose_nothing(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_runs struct runs *r = runs_new(&smalls, dir);
	struct adder adders[THREADS];
	pthread_t threads[THREADS];

	(void)state;
	assert_non_null(r);
	for (uint64_t i = 0; i < THREADS; i++) {
		adders[i] = (struct adder){ .r = r, .number = i };
		assert_int_equal(pthread_create(&threads[i], NULL, add_some, &adders[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(adders[i].ok);
	}
	rewind_all(r);
	uint64_t last = 0;
	uint64_t n = 0;
	uint64_t sum = 0;
	for (const struct small *x; (x = runs_next(r)); n++) {
		assert_true(n == 0 || x->key > last);
		assert_int_equal(x->count, x->key % 8 == 7 ? THREADS : 1);
		last = x->key;
		sum += x->count;
	}
	assert_int_equal(n, EACH / 2 + EACH / 2 * THREADS);
	assert_int_equal(sum, EACH * THREADS);
}

/* ---- short memory ---- */

static int fail_from = -1; /* allocations that still work; -1: all */

static int no_memory(void *arg, enum syshook_call call, int flags)
{
	(void)arg;
	(void)flags;
	if (call != HOOK_ALLOC || fail_from < 0)
		return 0;
	return fail_from == 0 ? ENOMEM : (fail_from--, 0);
}

static void test_runs__short_memory_is_told(void **state)
{
	struct runs *r;
	struct err e = ERR_INIT;

	(void)state;
	syshook_set(no_memory, NULL);
	for (int n = 0;; n++) {
		fail_from = n;
		r = runs_new(&smalls, "/tmp");
		if (r)
			break;
	}
	fail_from = 0;
	const struct small x = { .key = 5, .count = 1 };
	assert_int_equal(runs_add(r, &x, 1, &e), -1);
	assert_int_equal(e.class, ERR_NOMEM);
	fail_from = -1;
	add_small(r, 5);
	fail_from = 0;
	e = (struct err)ERR_INIT;
	assert_int_equal(runs_rewind(r, &e), -1);
	assert_int_equal(e.class, ERR_NOMEM);
	fail_from = -1;
	rewind_all(r);
	assert_int_equal(((const struct small *)runs_next(r))->key, 5);
	assert_null(runs_next(r));
	syshook_set(NULL, NULL);
	runs_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs__an_empty_one_has_nothing),
		cmocka_unit_test(test_runs__come_in_order_and_once),
		cmocka_unit_test(test_runs_next__what_it_gave_stays_while_peeking),
		cmocka_unit_test(test_runs__without_join_one_of_the_doubles_stays),
		cmocka_unit_test(test_runs__doubles_take_no_more_memory),
		cmocka_unit_test(test_runs__many_in_memory),
		cmocka_unit_test(test_runs__many_on_disk),
		cmocka_unit_test(test_runs_add__a_scratch_directory_that_is_gone_is_an_error),
		cmocka_unit_test(test_runs_add__a_full_disk_is_an_error),
		cmocka_unit_test(test_runs_add__threads_lose_nothing),
		cmocka_unit_test(test_runs__short_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
