/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of store/store.h as one suite, run over every driver and
 * wrapper and over stacks of them. What differs between them is in the table
 * of fixtures at the end; no test asks which store it has.
 *
 * With CONTRACT_URL it runs over that store instead, each test below a prefix
 * of its own that nothing removes. CONTRACT_TRAITS says how its server differs
 * (words, see traits_of), CONTRACT_PAGE how many objects a page of its listings
 * has. The scripts beside this file start servers for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "common/now.h"
#include "common/num.h"
#include "store/store.h"
#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"
#include "tests/harness/syshook.h"

/* What becomes of a key that lies below another one, or above. */
enum below {
	BELOW_INVALID = 0, /* refused with ERR_INVALID */
	BELOW_KEPT,        /* both are kept */
	BELOW_UNKNOWN      /* the server has rules of its own; not tried */
};

struct fixture {
	const char *name;
	/* Makes both handles; they are the same store, and may be the same handle. */
	void (*make)(struct fixture *f);
	syshook_fn *hook; /* what the system lacks; NULL: nothing */
	bool readonly;    /* reader refuses to write */
	bool syncs;       /* for real; elsewhere they would cost minutes on a busy disk */
	bool remote;      /* each request costs a round trip: not thousands of them */
	enum below below;
	/*
	 * The server lists paths, component by component: as if '/' were the smallest
	 * character, and with rules of its own for what is no path.
	 */
	bool by_component;
	unsigned page; /* objects of a page of a listing */
	/* of a running test */
	char *dir;
	struct store *writer;
	struct store *reader;
	atomic_int_least64_t now_ms; /* of the virtual clock of retry */
};

static int fixture_hook(void *arg, enum syshook_call call, int flags)
{
	const struct fixture *f = arg;

	if (!f->syncs && (call == HOOK_FSYNC || call == HOOK_FDATASYNC))
		return SYSHOOK_SHORT;
	return f->hook ? f->hook(NULL, call, flags) : 0;
}

static int fixture_setup(void **state)
{
	struct fixture *f = *state;

	f->dir = tmpdir_new();
	f->now_ms = 0;
	f->make(f);
	syshook_set(fixture_hook, f);
	return 0;
}

static int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	syshook_set(NULL, NULL);
	store_free(f->reader);
	if (f->writer != f->reader)
		store_free(f->writer);
	f->writer = NULL;
	f->reader = NULL;
	tmpdir_remove(f->dir);
	return 0;
}

/* ---- the suite ---- */

static void test_put__is_read_back(void **state)
{
	struct fixture *f = *state;

	ok(put_text(f->writer, "config", "hello", e));
	assert_text(f->reader, "config", "hello");
	ok(put_text(f->writer, "pack/00/0123456789abcdef", "deep", e));
	assert_text(f->reader, "pack/00/0123456789abcdef", "deep");
}

static void test_put__never_overwrites(void **state)
{
	struct fixture *f = *state;

	ok(put_text(f->writer, "a/b", "first", e));
	fails(ERR_EXISTS, put_text(f->writer, "a/b", "second", e));
	fails(ERR_EXISTS, put_text(f->writer, "a/b", "", e));
	assert_text(f->reader, "a/b", "first");
}

static void test_put__an_empty_object_is_an_object(void **state)
{
	struct fixture *f = *state;
	char c = 'x';

	ok(store_put(f->writer, "empty", NULL, 0, e));
	assert_content(f->reader, "empty", "", 0);
	ok(store_get(f->reader, "empty", 0, &c, 0, e));
	assert_int_equal(c, 'x');
	fails(ERR_EXISTS, put_text(f->writer, "empty", "x", e));
	fails(ERR_CORRUPT, store_get(f->reader, "empty", 0, &c, 1, e));
}

static void test_put__takes_many_pieces(void **state)
{
	struct fixture *f = *state;
	enum { PIECES = 3000 };
	static struct iovec iov[PIECES];
	static uint8_t bytes[PIECES * 7];
	size_t n = 0;

	fill_random(1, bytes, sizeof(bytes));
	for (size_t i = 0; i < PIECES; i++) {
		size_t len = i % 8; /* some are empty */

		iov[i] = (struct iovec){ .iov_base = len ? bytes + n : NULL, .iov_len = len };
		n += len;
	}
	ok(store_put(f->writer, "pieces", iov, PIECES, e));
	assert_content(f->reader, "pieces", bytes, n);
}

static void test_put__takes_a_big_object(void **state)
{
	struct fixture *f = *state;
	const size_t n = 9 * MIB + 12345;
	auto_free uint8_t *bytes = malloc(n);

	assert_non_null(bytes);
	fill_random(2, bytes, n);
	struct iovec iov[2] = {
		{ .iov_base = bytes, .iov_len = 5 * MIB },
		{ .iov_base = bytes + 5 * MIB, .iov_len = n - 5 * MIB },
	};
	ok(store_put(f->writer, "pack/big", iov, 2, e));
	assert_content(f->reader, "pack/big", bytes, n);
}

static void test_put__an_object_over_the_limit_is_too_big(void **state)
{
	struct fixture *f = *state;
	char c = 0;
	struct iovec iov[3] = {
		{ .iov_base = &c, .iov_len = 1 },
		{ .iov_base = &c, .iov_len = (size_t)STORE_OBJECT_MAX },
		{ .iov_base = &c, .iov_len = SIZE_MAX },
	};

	fails(ERR_TOO_BIG, store_put(f->writer, "big", iov, 2, e));
	fails(ERR_TOO_BIG, store_put(f->writer, "big", iov, 3, e));
	assert_absent(f->reader, "big");
}

static void test_put__a_key_below_another_is_refused_or_kept(void **state)
{
	struct fixture *f = *state;

	ok(put_text(f->writer, "a/b/c", "1", e));
	switch (f->below) {
	case BELOW_INVALID:
		fails(ERR_INVALID, put_text(f->writer, "a/b", "2", e));
		fails(ERR_INVALID, put_text(f->writer, "a", "2", e));
		fails(ERR_INVALID, put_text(f->writer, "a/b/c/d", "2", e));
		fails(ERR_INVALID, put_text(f->writer, "a/b/c/d/e", "2", e));
		assert_absent(f->reader, "a/b");
		assert_absent(f->reader, "a/b/c/d");
		break;
	case BELOW_KEPT:
		ok(put_text(f->writer, "a/b", "22", e));
		ok(put_text(f->writer, "a/b/c/d", "333", e));
		fails(ERR_EXISTS, put_text(f->writer, "a/b", "2", e));
		assert_text(f->reader, "a/b/c", "1");
		assert_text(f->reader, "a/b", "22");
		assert_text(f->reader, "a/b/c/d", "333");
		assert_absent(f->reader, "a");
		assert_list(f->reader, "", "", "a/b=2 a/b/c=1 a/b/c/d=3");
		ok(store_delete(f->writer, "a/b", e));
		ok(store_delete(f->writer, "a/b/c/d", e));
		break;
	case BELOW_UNKNOWN:
		break;
	}
	ok(put_text(f->writer, "a/b/cd", "3", e));
	assert_list(f->reader, "", "", "a/b/c=1 a/b/cd=1");
}

static void test_keys__the_longest_ones_work(void **state)
{
	struct fixture *f = *state;
	char key[STORE_KEY_MAX + 1];
	char other[STORE_KEY_MAX + 1];

	memset(key, 'k', STORE_KEY_MAX);
	key[STORE_KEY_MAX] = '\0';
	key[255] = '/';
	key[511 - 1] = '/';
	memcpy(other, key, sizeof(key));
	other[STORE_KEY_MAX - 1] = 'j';
	ok(put_text(f->writer, key, "long", e));
	ok(put_text(f->writer, other, "other", e));
	assert_text(f->reader, key, "long");
	assert_text(f->reader, other, "other");

	CLEANUP(seen_clear) struct seen l = SEEN_INIT;
	ok(store_list(f->reader, other, NULL, see, &l, e));
	assert_int_equal(l.count, 1);
	ok(store_list(f->reader, "kk", other, see, &l, e));
	assert_int_equal(l.count, 2);
	ok(store_delete(f->writer, key, e));
	assert_absent(f->writer, key);
}

static void test_keys__bad_ones_are_refused_by_every_call(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = {
		"",   "/",     "/a",   "a/",     "a//b", ".",      "..",    "../a",        "a/../b",
		"A",  "a b",   "a\\b", "a\n",    "\xc3", "a:b",    ".tmp",  ".tmp/x",      "a/.b",
		"a*", "a/./b", "~",    "tmp/~1", "a%2f", "-/../-", "a\x7f", "config/.../b"
	};
	struct store_stat st;
	char c;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(buf_clear) struct buf b = BUF_INIT(100);

		fails(ERR_INVALID, put_text(f->writer, bad[i], "x", e));
		fails(ERR_INVALID, store_get(f->reader, bad[i], 0, &c, 1, e));
		fails(ERR_INVALID, store_get_all(f->reader, bad[i], &b, e));
		fails(ERR_INVALID, store_head(f->reader, bad[i], &st, e));
		fails(ERR_INVALID, store_delete(f->writer, bad[i], e));
	}
	assert_list(f->reader, "", "", "");
}

static void test_get__reads_any_range(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[5000];
	uint8_t got[5000];

	fill_random(3, bytes, sizeof(bytes));
	const size_t step = f->remote ? 1111 : 333;

	ok(put_bytes(f->writer, "r", bytes, sizeof(bytes), e));
	for (size_t off = 0; off <= sizeof(bytes); off += step) {
		for (size_t n = 0; off + n <= sizeof(bytes); n += 777) {
			memset(got, 0xaa, sizeof(got));
			ok(store_get(f->reader, "r", off, got, n, e));
			assert_memory_equal(got, bytes + off, n);
			if (n < sizeof(got))
				assert_int_equal(got[n], 0xaa);
		}
	}
	ok(store_get(f->reader, "r", sizeof(bytes), got, 0, e));
}

static void test_get__past_the_end_is_corrupt(void **state)
{
	struct fixture *f = *state;
	char got[16];

	ok(put_text(f->writer, "short", "12345", e));
	fails(ERR_CORRUPT, store_get(f->reader, "short", 0, got, 6, e));
	fails(ERR_CORRUPT, store_get(f->reader, "short", 5, got, 1, e));
	fails(ERR_CORRUPT, store_get(f->reader, "short", 6, got, 0, e));
	fails(ERR_CORRUPT, store_get(f->reader, "short", UINT64_MAX, got, 1, e));
	fails(ERR_CORRUPT, store_get(f->reader, "short", UINT64_MAX, got, 16, e));
	ok(store_get(f->reader, "short", 0, got, 5, e));
	assert_memory_equal(got, "12345", 5);
}

static void test_get_all__appends_within_the_cap(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_clear) struct buf b = BUF_INIT(10);

	ok(put_text(f->writer, "t", "12345", e));
	ok(store_get_all(f->reader, "t", &b, e));
	ok(store_get_all(f->reader, "t", &b, e));
	assert_int_equal(b.len, 10);
	assert_memory_equal(b.data, "1234512345", 10);
	fails(ERR_TOO_BIG, store_get_all(f->reader, "t", &b, e));
	assert_int_equal(b.len, 10);
	fails(ERR_NOT_FOUND, store_get_all(f->reader, "u", &b, e));
	assert_int_equal(b.len, 10);
}

static void test_missing__is_not_found_wherever_it_would_be(void **state)
{
	struct fixture *f = *state;

	assert_absent(f->reader, "nothing");
	assert_absent(f->reader, "no/such/thing");
	ok(put_text(f->writer, "a/b", "x", e));
	assert_absent(f->reader, "a");
	assert_absent(f->reader, "a/c");
	assert_absent(f->reader, "a/b/c");
	ok(store_delete(f->writer, "a", e));
	ok(store_delete(f->writer, "a/b/c", e));
	ok(store_delete(f->writer, "no/such/thing", e));
	assert_text(f->reader, "a/b", "x");
}

static void test_head__tells_size_and_a_plausible_time(void **state)
{
	struct fixture *f = *state;
	const int64_t day_ns = INT64_C(86400) * 1000000000;
	struct store_stat st;
	int64_t now_ns = now_wall_ns();

	ok(put_text(f->writer, "h", "123", e));
	ok(store_head(f->reader, "h", &st, e));
	assert_int_equal(st.size, 3);
	assert_true(st.received_ns > now_ns - day_ns && st.received_ns < now_ns + day_ns);
}

static int see_stat(void *arg, const struct store_item *item, struct err *e)
{
	(void)e;
	*(struct store_stat *)arg = item->st;
	return 0;
}

static void test_list__tells_what_head_tells(void **state)
{
	struct fixture *f = *state;
	struct store_stat head = { 0 };
	struct store_stat listed = { 0 };

	ok(put_text(f->writer, "x/y", "1234567", e));
	ok(store_head(f->reader, "x/y", &head, e));
	ok(store_list(f->reader, "", NULL, see_stat, &listed, e));
	assert_int_equal(listed.size, 7);
	assert_int_equal(listed.size, head.size);
	assert_true(listed.received_ns == head.received_ns);
}

static void test_list__is_in_order_of_bytes(void **state)
{
	struct fixture *f = *state;
	static const char *const keys[] = { "b",    "a/b",   "a-b",  "a.b",   "a0",
		                            "a_b",  "a/a/z", "a/a0", "a/a-z", "a-/b",
		                            "a-/-", "a/a.z", "9" };

	assert_list(f->reader, "", NULL, "");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (!f->by_component || !strpbrk(keys[i], "-."))
			ok(put_text(f->writer, keys[i], "", e));
	assert_list(
		f->reader, "", NULL,
		f->by_component
			? "9=0 a/a/z=0 a/a0=0 a/b=0 a0=0 a_b=0 b=0"
			: "9=0 a-/-=0 a-/b=0 a-b=0 a.b=0 a/a-z=0 a/a.z=0 a/a/z=0 a/a0=0 a/b=0 a0=0 "
			  "a_b=0 b=0");
}

static void test_list__takes_a_prefix_as_a_string(void **state)
{
	struct fixture *f = *state;
	static const char *const keys[] = { "commit/2026-11-21/x",
		                            "commit/2026-11-22/a",
		                            "commit/2026-11-22/b",
		                            "commit/2026-12-01/c",
		                            "commit0",
		                            "config" };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		ok(put_text(f->writer, keys[i], "1", e));
	assert_list(f->reader, "commit/2026-11-2", "",
	            "commit/2026-11-21/x=1 commit/2026-11-22/a=1 commit/2026-11-22/b=1");
	assert_list(f->reader, "commit/2026-11-22/", "",
	            "commit/2026-11-22/a=1 commit/2026-11-22/b=1");
	assert_list(f->reader, "commit/2026-11-22", "",
	            "commit/2026-11-22/a=1 commit/2026-11-22/b=1");
	assert_list(f->reader, "commit/2026-11-22/a", "", "commit/2026-11-22/a=1");
	assert_list(f->reader, "commit/2026-11-22/a/", "", "");
	assert_list(f->reader, "commit/2026-11-22/ab", "", "");
	assert_list(f->reader, "co", "commit0", "config=1");
	assert_list(f->reader, "config", "", "config=1");
	assert_list(f->reader, "config/", "", "");
	assert_list(f->reader, "no/such/place/", "", "");
	if (!f->by_component) {
		assert_list(f->reader, "/", "", "");
		assert_list(f->reader, "../", "", "");
		assert_list(f->reader, "commit//", "", "");
		assert_list(f->reader, "commit/../", "", "");
		assert_list(f->reader, ".", "", "");
	}
	assert_list(f->reader, "commit/2026-11-2", "commit/2026-11-22/a", "commit/2026-11-22/b=1");
	assert_list(f->reader, "commit/2026-11-2", "d", "");
	assert_list(f->reader, "d", "commit", "");
}

static void test_list__a_prefix_that_no_key_has_is_invalid(void **state)
{
	struct fixture *f = *state;
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;
	char key[STORE_KEY_MAX + 2];

	memset(key, 'a', sizeof(key));
	key[sizeof(key) - 1] = '\0';
	fails(ERR_INVALID, store_list(f->reader, "Commit/", NULL, see, &l, e));
	fails(ERR_INVALID, store_list(f->reader, "a\n", NULL, see, &l, e));
	fails(ERR_INVALID, store_list(f->reader, key, NULL, see, &l, e));
	key[STORE_KEY_MAX] = '\0';
	ok(store_list(f->reader, key, NULL, see, &l, e));
	assert_int_equal(l.count, 0);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* One is a directory on the path of the other. */
static bool one_below_other(const char *a, const char *b)
{
	size_t n = strlen(a);
	size_t m = strlen(b);

	return strncmp(a, b, n < m ? n : m) == 0 && (n < m ? b[n] : a[m]) == '/';
}

/* The same question to a sorted array and to the store, for all pairs of prefix and after. */
static void test_list__agrees_with_a_model(void **state)
{
	struct fixture *f = *state;
	enum { KEYS = 60, LEN = 24 };
	/* The last two are smaller than '/'. */
	static const char letters[] = "ab/0_-.";
	const size_t nletters = sizeof(letters) - (f->by_component ? 3 : 1);
	const size_t step = f->remote ? 7 : 1;
	static char keys[KEYS][LEN];
	size_t n = 0;
	uint8_t random[LEN];

	for (uint64_t seed = 100; n < KEYS; seed++) {
		char *key = keys[n];
		struct err e = ERR_INIT;
		size_t len;

		fill_random(seed, random, sizeof(random));
		len = 1 + random[LEN - 1] % 7;
		for (size_t i = 0; i < len; i++)
			key[i] = letters[random[i] % nletters];
		key[len] = '\0';
		bool known = false;
		for (size_t i = 0; i < n; i++)
			known = known || strcmp(keys[i], key) == 0 ||
			        (f->below == BELOW_UNKNOWN && one_below_other(keys[i], key));
		if (known || !store_key_valid(key))
			continue;
		if (put_text(f->writer, key, "", &e) == 0)
			n++;
		else if (f->below != BELOW_INVALID ||
		         e.class != ERR_INVALID) /* below another one */
			fail_msg("%s: %s", key, e.msg);
	}
	qsort(keys, KEYS, LEN, by_bytes);
	for (size_t p = 0; p <= KEYS; p += step) {
		for (size_t a = 0; a <= KEYS; a += step + p % 5) {
			CLEANUP(buf_clear) struct buf want = BUF_INIT(64 * KIB);
			char prefix[LEN] = "";
			const char *after = a == KEYS ? "" : keys[a];

			if (p < KEYS)
				memcpy(prefix, keys[p], strlen(keys[p]) / (1 + a % 3));
			for (size_t i = 0; i < KEYS; i++)
				if (strncmp(keys[i], prefix, strlen(prefix)) == 0 &&
				    strcmp(keys[i], after) > 0)
					buf_printf(&want, "%s%s=0", want.len ? " " : "", keys[i]);
			assert_list(f->reader, prefix, after, buf_cstr(&want));
		}
	}
}

static void test_list__after_may_be_any_text(void **state)
{
	struct fixture *f = *state;

	ok(put_text(f->writer, "a/1", "", e));
	ok(put_text(f->writer, "a/2", "", e));
	ok(put_text(f->writer, "b", "", e));
	assert_list(f->reader, "", "a/1~", "a/2=0 b=0");
	if (!f->by_component) {
		assert_list(f->reader, "", "a/", "a/1=0 a/2=0 b=0");
		assert_list(f->reader, "", "a", "a/1=0 a/2=0 b=0");
		assert_list(f->reader, "", "\xff", "");
	}
	assert_list(f->reader, "", "a0", "b=0");
	assert_list(f->reader, "", "Z", "a/1=0 a/2=0 b=0");
}

#define PUTTERS 8

struct putter {
	struct fixture *f;
	unsigned from;
	unsigned to;
	bool failed;
};

static void *put_numbered(void *arg)
{
	struct putter *p = arg;
	char key[32];
	struct err e;

	for (unsigned i = p->from; i < p->to; i++) {
		(void)snprintf(key, sizeof(key), "many/%u/%06u", i % 3, i);
		if (store_put(p->f->writer, key, NULL, 0, &e) < 0)
			p->failed = true;
	}
	return NULL;
}

struct ascending {
	unsigned n;
	char last[STORE_KEY_MAX + 1];
};

static int see_ascending(void *arg, const struct store_item *item, struct err *e)
{
	struct ascending *a = arg;

	if (strcmp(item->key, a->last) <= 0)
		return err_set(e, ERR_CORRUPT, "'%s' comes after '%s'", item->key, a->last);
	memcpy(a->last, item->key, sizeof(a->last));
	a->n++;
	return 0;
}

static void assert_ascending(struct store *s, const char *prefix, const char *after, unsigned n)
{
	struct ascending a = { 0 };

	ok(store_list(s, prefix, after, see_ascending, &a, e));
	assert_int_equal(a.n, n);
}

static void test_list__goes_over_pages(void **state)
{
	struct fixture *f = *state;
	const unsigned page = f->page ? f->page : 30;
	const unsigned n = page + page / 10;
	struct putter putters[PUTTERS];
	pthread_t threads[PUTTERS];

	for (unsigned i = 0; i < PUTTERS; i++) {
		putters[i] = (struct putter){ .f = f,
			                      .from = n * i / PUTTERS,
			                      .to = n * (i + 1) / PUTTERS };
		assert_int_equal(pthread_create(&threads[i], NULL, put_numbered, &putters[i]), 0);
	}
	for (unsigned i = 0; i < PUTTERS; i++) {
		pthread_join(threads[i], NULL);
		assert_false(putters[i].failed);
	}
	assert_ascending(f->reader, "", NULL, n);
	assert_ascending(f->reader, "many/", "many/0/000000", n - 1);
	assert_ascending(f->reader, "many/1/", NULL, (n + 1) / 3);
}

static void test_list__ends_when_told(void **state)
{
	struct fixture *f = *state;
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;

	l.stop_at = 2;
	ok(put_text(f->writer, "a", "", e));
	ok(put_text(f->writer, "b/1", "", e));
	ok(put_text(f->writer, "b/2", "", e));
	ok(put_text(f->writer, "c", "", e));
	ok(store_list(f->reader, "", NULL, see, &l, e));
	assert_string_equal(buf_cstr(&l.text), "a=0 b/1=0");
}

static void test_list__fails_as_its_callback_does(void **state)
{
	struct fixture *f = *state;
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;
	struct err why = ERR_INIT;

	l.fail_at = 2;
	ok(put_text(f->writer, "a", "", e));
	ok(put_text(f->writer, "b/1", "", e));
	ok(put_text(f->writer, "b/2", "", e));
	assert_int_equal(store_list(f->reader, "", NULL, see, &l, &why), -1);
	assert_int_equal(why.class, ERR_BUSY);
	assert_string_equal(why.msg, "this item is not wanted by the test");
	assert_int_equal(l.count, 2);
	assert_string_equal(buf_cstr(&l.text), "a=0");
}

static void test_list__its_callback_may_delete(void **state)
{
	struct fixture *f = *state;
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;

	l.s = f->writer;
	ok(put_text(f->writer, "a", "", e));
	ok(put_text(f->writer, "b/1", "", e));
	ok(put_text(f->writer, "b/2", "", e));
	ok(put_text(f->writer, "c", "", e));
	ok(store_list(f->reader, "", NULL, see, &l, e));
	assert_string_equal(buf_cstr(&l.text), "a=0 b/1=0 b/2=0 c=0");
	assert_list(f->reader, "", NULL, "");
}

static void test_delete__is_idempotent_and_frees_the_key(void **state)
{
	struct fixture *f = *state;

	ok(put_text(f->writer, "d/x", "old", e));
	ok(put_text(f->writer, "d/y", "stays", e));
	assert_text(f->writer, "d/x", "old");
	ok(store_delete(f->writer, "d/x", e));
	assert_absent(f->writer, "d/x");
	assert_list(f->reader, "", NULL, "d/y=5");
	ok(store_delete(f->writer, "d/x", e));
	ok(put_text(f->writer, "d/x", "newer", e));
	assert_text(f->writer, "d/x", "newer");
	assert_text(f->reader, "d/y", "stays");
}

static void test_errors__name_object_and_store(void **state)
{
	struct fixture *f = *state;
	struct err why = ERR_INIT;
	char c;

	assert_int_equal(store_get(f->reader, "pack/aa/missing", 0, &c, 1, &why), -1);
	assert_non_null(strstr(why.msg, "'pack/aa/missing'"));
	assert_non_null(strstr(why.msg, f->reader->url));
	ok(put_text(f->writer, "pack/aa/there", "x", e));
	assert_int_equal(put_text(f->writer, "pack/aa/there", "y", &why), -1);
	assert_non_null(strstr(why.msg, "'pack/aa/there'"));
	assert_non_null(strstr(why.msg, "the key is taken"));
}

static void test_caps__tell_the_truth(void **state)
{
	struct fixture *f = *state;

	assert_true(f->writer->caps & STORE_CAP_CONDITIONAL_PUT);
	assert_true(f->writer->caps & STORE_CAP_WRITE);
	assert_int_equal(!(f->reader->caps & STORE_CAP_WRITE), f->readonly);
	if (f->readonly) {
		ok(put_text(f->writer, "a", "x", e));
		fails(ERR_DENIED, put_text(f->reader, "b", "x", e));
		fails(ERR_DENIED, store_delete(f->reader, "a", e));
		assert_list(f->writer, "", NULL, "a=1");
	}
}

/* ---- threads ---- */

#define THREADS 8
#define ROUNDS 12

struct racer {
	struct fixture *f;
	pthread_barrier_t *start;
	unsigned id;
	unsigned won;
	bool failed;
};

/* All threads put the same keys at the same time, and others of their own. */
static void *race(void *arg)
{
	struct racer *r = arg;
	char key[64];
	char text[64];
	struct err e;
	char c;

	for (unsigned i = 0; i < ROUNDS; i++) {
		(void)snprintf(text, sizeof(text), "%u-%u", r->id, i);
		struct iovec one = { .iov_base = text, .iov_len = strlen(text) };

		pthread_barrier_wait(r->start);
		(void)snprintf(key, sizeof(key), "race/%u/shared", i);
		if (store_put(r->f->writer, key, &one, 1, &e) == 0)
			r->won++;
		else if (e.class != ERR_EXISTS)
			r->failed = true;
		if (store_get(r->f->reader, key, 0, &c, 1, &e) < 0)
			r->failed = true;
		(void)snprintf(key, sizeof(key), "race/%u/own-%u", i, r->id);
		if (store_put(r->f->writer, key, &one, 1, &e) < 0 ||
		    store_get(r->f->reader, key, 0, &c, 1, &e) < 0 ||
		    (r->id % 2 && store_delete(r->f->writer, key, &e) < 0))
			r->failed = true;
	}
	return NULL;
}

static void test_threads__one_put_of_a_key_wins(void **state)
{
	struct fixture *f = *state;
	struct racer racers[THREADS];
	pthread_t threads[THREADS];
	pthread_barrier_t start;
	unsigned won = 0;
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;

	assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		racers[i] = (struct racer){ .f = f, .start = &start, .id = i };
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_false(racers[i].failed);
		won += racers[i].won;
	}
	pthread_barrier_destroy(&start);
	assert_int_equal(won, ROUNDS);
	ok(store_list(f->reader, "", NULL, see, &l, e));
	assert_int_equal(l.count, ROUNDS * (1 + THREADS / 2));
}

/* ---- fixtures ---- */

static struct store *need(struct store *s, const struct err *e)
{
	if (!s)
		harness_die("no store: %s", e->msg);
	return s;
}

static struct store *new_file(const struct fixture *f)
{
	struct err e;

	return need(store_file_open(f->dir, 0, &e), &e);
}

static struct store *new_mem(void)
{
	struct err e;

	return need(store_mem_new(&e), &e);
}

/* A new named memory store for each test; some tests need two handles. */
static const char *new_mem_url(void)
{
	static char url[64];
	static unsigned n;

	(void)snprintf(url, sizeof(url), "mem:contract-%u", n++);
	return url;
}

static struct store *new_open(const char *url, unsigned flags)
{
	struct err e;

	return need(store_open(url, flags, &e), &e);
}

static void both(struct fixture *f, struct store *s)
{
	f->writer = s;
	f->reader = s;
}

static void make_file(struct fixture *f)
{
	both(f, new_file(f));
}

static void make_file_twice(struct fixture *f)
{
	f->writer = new_file(f);
	f->reader = new_file(f);
}

static int without_tmpfile(void *arg, enum syshook_call call, int flags)
{
	(void)arg;
	return call == HOOK_OPENAT && (flags & O_TMPFILE) == O_TMPFILE ? EOPNOTSUPP : 0;
}

static int without_links(void *arg, enum syshook_call call, int flags)
{
	return call == HOOK_LINKAT ? EPERM : without_tmpfile(arg, call, flags);
}

/* O_TMPFILE works, but what it made cannot be linked: no capability, and no /proc. */
static int without_linking_unnamed(void *arg, enum syshook_call call, int flags)
{
	(void)arg;
	return call == HOOK_LINKAT && flags != 0 ? ENOENT : 0;
}

static int without_empty_path(void *arg, enum syshook_call call, int flags)
{
	(void)arg;
	return call == HOOK_LINKAT && (flags & AT_EMPTY_PATH) ? ENOENT : 0;
}

static int without_d_type(void *arg, enum syshook_call call, int flags)
{
	(void)arg;
	(void)flags;
	return call == HOOK_READDIR ? SYSHOOK_SHORT : 0;
}

static int with_short_transfers(void *arg, enum syshook_call call, int flags)
{
	(void)arg;
	(void)flags;
	return call == HOOK_WRITEV || call == HOOK_PREAD ? SYSHOOK_SHORT : 0;
}

static void make_file_url(struct fixture *f)
{
	auto_free char *url = NULL;

	if (asprintf(&url, "file://%s/", f->dir) < 0)
		harness_die("no memory");
	both(f, new_open(url, 0));
}

static void make_mem(struct fixture *f)
{
	both(f, new_mem());
}

static void make_mem_url_twice(struct fixture *f)
{
	const char *url = new_mem_url();

	f->writer = new_open(url, 0);
	f->reader = new_open(url, 0);
}

static int64_t virtual_now(void *arg)
{
	return ((struct fixture *)arg)->now_ms;
}

static void virtual_wait(void *arg, int64_t ms)
{
	((struct fixture *)arg)->now_ms += ms;
}

static struct store *new_retry(struct fixture *f, struct store *take_inner)
{
	/* The clock is everybody's, so each thread waits for all: no budget is enough by chance. */
	const struct store_retry_params virtual = { .budget_ms = INT64_C(1) << 50,
		                                    .now_ms = virtual_now,
		                                    .wait_ms = virtual_wait,
		                                    .arg = f };
	struct err e;

	return need(store_retry_new(take_inner, &virtual, &e), &e);
}

static void make_retry_file(struct fixture *f)
{
	both(f, new_retry(f, new_file(f)));
}

static void make_limit_mem(struct fixture *f)
{
	struct err e;

	both(f, need(store_limit_new(new_mem(), 0, 0, 0, &e), &e));
}

static void make_limit_high(struct fixture *f)
{
	struct err e;
	const uint64_t gib = GIB;

	both(f, need(store_limit_new(new_mem(), gib, gib, 1000000, &e), &e));
}

static void make_readonly_file(struct fixture *f)
{
	struct err e;

	f->writer = new_file(f);
	f->reader = need(store_file_open(f->dir, STORE_READONLY, &e), &e);
}

static void make_readonly_mem(struct fixture *f)
{
	const char *url = new_mem_url();

	f->writer = new_open(url, 0);
	f->reader = new_open(url, STORE_READONLY);
}

static enum store_fault no_fault(void *arg, uint64_t n, enum store_call call, const char *key)
{
	(void)arg;
	(void)n;
	(void)call;
	(void)key;
	return FAULT_NONE;
}

/* Two calls of three fail, half of them after they were applied. */
static enum store_fault often(void *arg, uint64_t n, enum store_call call, const char *key)
{
	static const enum store_fault plan[] = {
		FAULT_FAIL,         FAULT_APPLIED_LOST, FAULT_NONE,
		FAULT_APPLIED_LOST, FAULT_FAIL,         FAULT_NONE
	};

	(void)arg;
	(void)call;
	(void)key;
	return plan[n % ARRAY_LEN(plan)];
}

static struct store *new_fault(struct store *take_inner, store_fault_fn *plan)
{
	struct err e;

	return need(store_fault_new(take_inner, plan, NULL, &e), &e);
}

static void make_fault_mem(struct fixture *f)
{
	both(f, new_fault(new_mem(), no_fault));
}

static void make_fault_file(struct fixture *f)
{
	both(f, new_fault(new_file(f), no_fault));
}

static void make_retry_faults_mem(struct fixture *f)
{
	both(f, new_retry(f, new_fault(new_mem(), often)));
}

static void make_retry_faults_file(struct fixture *f)
{
	both(f, new_retry(f, new_fault(new_file(f), often)));
}

/* The first region answers, so it is all that is seen. */
static void make_geo_mem(struct fixture *f)
{
	struct err e;

	both(f, need(store_geo_new(new_mem(), new_mem(), STORE_FAIL_OVER, false, &e), &e));
}

static void make_stack(struct fixture *f)
{
	struct err e;
	struct store *s = new_retry(f, new_fault(new_file(f), no_fault));

	both(f, need(store_limit_new(s, 0, 0, 0, &e), &e));
}

/* CONTRACT_URL with a new prefix at the end of its path. Freed by the caller. */
static char *new_url(void)
{
	static unsigned n;
	const char *base = getenv("CONTRACT_URL");
	size_t path = strcspn(base, "?");
	char *url;

	while (path > 0 && base[path - 1] == '/')
		path--;
	if (asprintf(&url, "%.*s/contract-%lld/%u%s", (int)path, base, (long long)getpid(), n++,
	             base + strcspn(base, "?")) < 0)
		harness_die("no memory");
	return url;
}

static void make_url(struct fixture *f)
{
	auto_free char *url = new_url();

	both(f, new_open(url, STORE_CREATE));
}

static void make_url_twice(struct fixture *f)
{
	auto_free char *url = new_url();

	f->writer = new_open(url, STORE_CREATE);
	f->reader = new_open(url, 0);
}

static void make_url_readonly(struct fixture *f)
{
	auto_free char *url = new_url();

	f->writer = new_open(url, STORE_CREATE);
	f->reader = new_open(url, STORE_READONLY);
}

static void make_url_faults(struct fixture *f)
{
	auto_free char *url = new_url();

	both(f, new_retry(f, new_fault(new_open(url, STORE_CREATE), often)));
}

static struct fixture fixtures[] = {
	{ .name = "file", .make = make_file, .syncs = true },
	{ .name = "file opened twice", .make = make_file_twice },
	{ .name = "file without O_TMPFILE", .make = make_file, .hook = without_tmpfile },
	{ .name = "file without O_TMPFILE and links", .make = make_file, .hook = without_links },
	{ .name = "file without links to unnamed files",
	  .make = make_file,
	  .hook = without_linking_unnamed },
	{ .name = "file without AT_EMPTY_PATH", .make = make_file, .hook = without_empty_path },
	{ .name = "file with short transfers", .make = make_file, .hook = with_short_transfers },
	{ .name = "file without d_type", .make = make_file, .hook = without_d_type },
	{ .name = "file by URL", .make = make_file_url },
	{ .name = "mem", .make = make_mem },
	{ .name = "mem by URL, opened twice", .make = make_mem_url_twice },
	{ .name = "retry(file)", .make = make_retry_file },
	{ .name = "geo(mem, mem)", .make = make_geo_mem },
	{ .name = "limit(mem), no limits", .make = make_limit_mem },
	{ .name = "limit(mem), high limits", .make = make_limit_high },
	{ .name = "readonly(file)", .make = make_readonly_file, .readonly = true },
	{ .name = "readonly(mem)", .make = make_readonly_mem, .readonly = true },
	{ .name = "fault(none)(mem)", .make = make_fault_mem },
	{ .name = "fault(none)(file)", .make = make_fault_file },
	{ .name = "retry(fault(often)(mem))", .make = make_retry_faults_mem },
	{ .name = "retry(fault(often)(file))", .make = make_retry_faults_file },
	{ .name = "limit(retry(fault(none)(file)))", .make = make_stack },
};

static struct fixture remotes[] = {
	{ .name = "by URL", .make = make_url },
	{ .name = "by URL, opened twice", .make = make_url_twice },
	{ .name = "readonly, by URL", .make = make_url_readonly, .readonly = true },
	{ .name = "retry(fault(often)), by URL", .make = make_url_faults },
};

/* What the environment says of the server. */
static void traits_of(struct fixture *f)
{
	struct err e = ERR_INIT;
	const char *words = getenv("CONTRACT_TRAITS");
	const char *page = getenv("CONTRACT_PAGE");
	uint64_t n = 0;

	f->remote = true;
	if (words && strstr(words, "below-kept"))
		f->below = BELOW_KEPT;
	if (words && strstr(words, "below-unknown"))
		f->below = BELOW_UNKNOWN;
	f->by_component = words && strstr(words, "by-component");
	if (page && num_u64("CONTRACT_PAGE", page, 1, 100000, &n, &e) < 0)
		harness_die("%s", e.msg);
	f->page = (unsigned)n;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

static int run(struct fixture *table, size_t n)
{
	int failed = 0;

	for (size_t i = 0; i < n; i++) {
		struct CMUnitTest tests[] = {
			CASE(test_put__is_read_back),
			CASE(test_put__never_overwrites),
			CASE(test_put__an_empty_object_is_an_object),
			CASE(test_put__takes_many_pieces),
			CASE(test_put__takes_a_big_object),
			CASE(test_put__an_object_over_the_limit_is_too_big),
			CASE(test_put__a_key_below_another_is_refused_or_kept),
			CASE(test_keys__the_longest_ones_work),
			CASE(test_keys__bad_ones_are_refused_by_every_call),
			CASE(test_get__reads_any_range),
			CASE(test_get__past_the_end_is_corrupt),
			CASE(test_get_all__appends_within_the_cap),
			CASE(test_missing__is_not_found_wherever_it_would_be),
			CASE(test_head__tells_size_and_a_plausible_time),
			CASE(test_list__tells_what_head_tells),
			CASE(test_list__is_in_order_of_bytes),
			CASE(test_list__takes_a_prefix_as_a_string),
			CASE(test_list__a_prefix_that_no_key_has_is_invalid),
			CASE(test_list__agrees_with_a_model),
			CASE(test_list__after_may_be_any_text),
			CASE(test_list__goes_over_pages),
			CASE(test_list__ends_when_told),
			CASE(test_list__fails_as_its_callback_does),
			CASE(test_list__its_callback_may_delete),
			CASE(test_delete__is_idempotent_and_frees_the_key),
			CASE(test_errors__name_object_and_store),
			CASE(test_caps__tell_the_truth),
			CASE(test_threads__one_put_of_a_key_wins),
		};

		for (size_t t = 0; t < ARRAY_LEN(tests); t++)
			tests[t].initial_state = &table[i];
		failed += cmocka_run_group_tests_name(table[i].name, tests, NULL, NULL);
	}
	return failed;
}

int main(void)
{
	if (!getenv("CONTRACT_URL"))
		return run(fixtures, ARRAY_LEN(fixtures)) > 0;
	for (size_t i = 0; i < ARRAY_LEN(remotes); i++)
		traits_of(&remotes[i]);
	/* Many objects are put once only. */
	for (size_t i = 1; i < ARRAY_LEN(remotes); i++)
		remotes[i].page = 0;
	return run(remotes, ARRAY_LEN(remotes)) > 0;
}
