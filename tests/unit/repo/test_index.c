/* SPDX-License-Identifier: Apache-2.0 */
/* The index: segments, local tables, claims, and what damage does to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/fd.h"
#include "repo/crypt.h"
#include "repo/index.h"
#include "repo/view.h"
#include "tests/harness/segment_kit.h"
#include "tests/unit/repo/fixture.h"

#define SESSION_A "2026-11-22/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"
#define SESSION_B "2026-11-23/03fa41b2c19de077-6b0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"
#define PACK_LEN (32 * MIB)

/* Chunk number n of pack n / 100: everything follows from n. */
static struct chunk_ref ref_of(uint32_t n)
{
	struct chunk_ref r = { 0 };

	fill_random(n, r.id, sizeof(r.id));
	fill_random(1000000 + n / 100, r.pack, sizeof(r.pack));
	r.off = 1000 + n % 100 * 5000;
	r.plain = 4000 + n % 100;
	r.stored = r.plain + FORMAT_TAG_BYTES;
	r.counter = n % 100;
	return r;
}

static bool same_ref(const struct chunk_ref *a, const struct chunk_ref *b)
{
	return memcmp(a->id, b->id, 32) == 0 && memcmp(a->pack, b->pack, 16) == 0 &&
	       a->off == b->off && a->stored == b->stored && a->plain == b->plain &&
	       a->counter == b->counter && a->key == b->key && a->compression == b->compression &&
	       a->kind == b->kind;
}

static uint64_t pack_len(void *arg, const uint8_t pack[16])
{
	(void)arg;
	(void)pack;
	return PACK_LEN;
}

/* What was added since the last segments were written. */
static struct segment_refs added;

static struct index *open_index(const struct fixture *f, const char *state_dir)
{
	struct index *x = NULL;
	struct err e = ERR_INIT;

	segment_refs_clear(&added);
	if (index_open(f->store, f->agent, f->domain, state_dir, NULL, NULL, &x, &e) < 0)
		fail_msg("%s", e.msg);
	return x;
}

static void clean_index(struct index *const *x)
{
	index_free(*x);
}
#define auto_index CLEANUP(clean_index)

static void add_ref(struct index *x, const struct chunk_ref *r)
{
	index_add(x, r);
	segment_refs_add(&added, r);
}

/* Claims and adds the chunks from..to. */
static void add_refs(struct index *x, uint32_t from, uint32_t to)
{
	for (uint32_t n = from; n < to; n++) {
		struct chunk_ref r = ref_of(n);
		struct chunk_ref got;

		assert_true(index_claim(x, r.id, &got));
		add_ref(x, &r);
	}
}

struct names {
	char **names;
	size_t n;
};

static void names_clear(struct names *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->names[i]);
	free(s->names);
}

static int try_write(const struct fixture *f, struct index *x, const char *session, struct names *s,
                     struct err *e)
{
	int rc = segment_refs_write(f->store, f->agent, f->domain, session, &added, pack_len, NULL,
	                            x, &s->names, &s->n, e);

	segment_refs_clear(&added);
	return rc;
}

static void write_index(const struct fixture *f, struct index *x, const char *session,
                        struct names *s)
{
	struct err e = ERR_INIT;

	if (try_write(f, x, session, s, &e) < 0)
		fail_msg("%s", e.msg);
}

/* A session of its own that stores the chunks from..to. */
static void write_session(const struct fixture *f, const char *state_dir, const char *session,
                          uint32_t from, uint32_t to)
{
	CLEANUP(names_clear) struct names names = { 0 };
	auto_index struct index *x = open_index(f, state_dir);

	add_refs(x, from, to);
	write_index(f, x, session, &names);
}

static void assert_found(struct index *x, uint32_t from, uint32_t to)
{
	for (uint32_t n = from; n < to; n++) {
		struct chunk_ref want = ref_of(n);
		struct chunk_ref got;

		assert_true(index_lookup(x, want.id, &got));
		assert_true(same_ref(&want, &got));
	}
}

static size_t found_count(struct index *x, uint32_t from, uint32_t to)
{
	size_t found = 0;

	for (uint32_t n = from; n < to; n++) {
		struct chunk_ref want = ref_of(n);
		struct chunk_ref got;

		if (!index_lookup(x, want.id, &got))
			continue;
		assert_true(same_ref(&want, &got)); /* damage may hide an entry, never change it */
		found++;
	}
	return found;
}

/* ---- this session ---- */

static void test_index_claim__first_stores_and_later_ones_find_it(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_index struct index *x = open_index(&f, NULL);
	struct chunk_ref r = ref_of(7);
	struct chunk_ref got;

	(void)state;
	assert_false(index_lookup(x, r.id, &got));
	assert_true(index_claim(x, r.id, &got));
	assert_false(index_lookup(x, r.id, &got)); /* not stored yet */
	index_add(x, &r);
	assert_true(index_lookup(x, r.id, &got));
	assert_true(same_ref(&r, &got));
	memset(&got, 0, sizeof(got));
	assert_false(index_claim(x, r.id, &got));
	assert_true(same_ref(&r, &got));
}

static void test_index_claim__id_may_lie_in_the_result(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_index struct index *x = open_index(&f, NULL);
	struct chunk_ref r = ref_of(7);
	struct chunk_ref got = { 0 };

	(void)state;
	add_refs(x, 0, 20);
	memcpy(got.id, r.id, sizeof(got.id));
	assert_false(index_claim(x, got.id, &got));
	assert_true(same_ref(&r, &got));
}

static void test_index_abandon__the_next_claim_gets_it(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_index struct index *x = open_index(&f, NULL);
	struct chunk_ref r = ref_of(7);
	struct chunk_ref got;

	(void)state;
	assert_true(index_claim(x, r.id, &got));
	index_abandon(x, r.id);
	assert_false(index_lookup(x, r.id, &got));
	assert_true(index_claim(x, r.id, &got));
	index_add(x, &r);
	assert_true(index_lookup(x, r.id, &got));
}

static void test_index_abandon__many_times_does_not_fill_the_table(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_index struct index *x = open_index(&f, NULL);

	(void)state;
	add_refs(x, 0, 100);
	for (uint32_t n = 1000; n < 11000; n++) {
		struct chunk_ref r = ref_of(n);
		struct chunk_ref got;

		assert_true(index_claim(x, r.id, &got));
		index_abandon(x, r.id);
	}
	assert_found(x, 0, 100);
	assert_int_equal(found_count(x, 1000, 11000), 0);
}

struct race {
	struct index *x;
	pthread_barrier_t start;
	atomic_uint claims;
	uint32_t n;
};

static void *race_claim(void *arg)
{
	struct race *r = arg;

	(void)pthread_barrier_wait(&r->start);
	for (uint32_t n = 0; n < r->n; n++) {
		struct chunk_ref want = ref_of(n);
		struct chunk_ref got;

		if (index_claim(r->x, want.id, &got)) {
			atomic_fetch_add(&r->claims, 1);
			/* every third is given up once, by whoever had it first */
			if (n % 3 == 0 && atomic_load(&r->claims) % 2 == 0) {
				index_abandon(r->x, want.id);
				if (!index_claim(r->x, want.id, &got))
					continue;
			}
			index_add(r->x, &want);
		} else if (!same_ref(&want, &got)) {
			abort();
		}
	}
	return NULL;
}

static void test_index_claim__threads_that_want_the_same_get_one_place(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_index struct index *x = open_index(&f, NULL);
	struct race r = { .x = x, .n = 2000 };
	pthread_t threads[4];

	(void)state;
	assert_int_equal(pthread_barrier_init(&r.start, NULL, ARRAY_LEN(threads)), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, race_claim, &r), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	(void)pthread_barrier_destroy(&r.start);
	assert_true(atomic_load(&r.claims) >= r.n);
	assert_found(x, 0, r.n);
}

static void test_index_claim__a_waiting_thread_gets_what_is_abandoned(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_index struct index *x = open_index(&f, NULL);
	struct race r = { .x = x, .n = 1 };
	struct chunk_ref want = ref_of(0);
	struct chunk_ref got;
	pthread_t thread;

	(void)state;
	assert_true(index_claim(x, want.id, &got));
	assert_int_equal(pthread_barrier_init(&r.start, NULL, 2), 0);
	assert_int_equal(pthread_create(&thread, NULL, race_claim, &r), 0);
	(void)pthread_barrier_wait(&r.start);
	index_abandon(x, want.id);
	assert_int_equal(pthread_join(thread, NULL), 0);
	(void)pthread_barrier_destroy(&r.start);
	assert_found(x, 0, 1);
}

static void test_index_add__what_was_not_claimed_is_found(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_index struct index *x = open_index(&f, NULL);
	struct chunk_ref r = ref_of(3);

	(void)state;
	index_add(x, &r);
	assert_found(x, 3, 4);
}

/* ---- segments ---- */

static void test_index_write__nothing_new_writes_nothing(void **state)
{
	CLEANUP(names_clear) struct names names = { 0 };
	auto_fixture struct fixture f = fixture_new();
	auto_index struct index *x = open_index(&f, NULL);

	(void)state;
	write_index(&f, x, SESSION_A, &names);
	assert_int_equal(names.n, 0);
	assert_int_equal(object_count(f.store, ""), 0);
}

static void test_index_write__the_next_session_finds_everything(void **state)
{
	CLEANUP(names_clear) struct names names = { 0 };
	auto_fixture struct fixture f = fixture_new();
	auto_index struct index *x = open_index(&f, NULL);
	char want[128];

	(void)state;
	add_refs(x, 0, 5000);
	write_index(&f, x, SESSION_A, &names);
	assert_int_equal(names.n, 1);
	(void)snprintf(want, sizeof(want), "idx/%s/" SESSION_A "-0000", f.domain->tag_hex);
	assert_string_equal(names.names[0], want);
	assert_found(x, 0, 5000);

	auto_index struct index *y = open_index(&f, NULL);
	assert_found(y, 0, 5000);
	assert_int_equal(found_count(y, 5000, 6000), 0);
	assert_int_equal(index_damaged(y), 0);
}

static void test_index_write__node_packs_and_compression_come_back(void **state)
{
	CLEANUP(names_clear) struct names names = { 0 };
	auto_fixture struct fixture f = fixture_new();
	auto_index struct index *x = open_index(&f, NULL);
	struct chunk_ref data = ref_of(1);
	struct chunk_ref node = ref_of(201);
	struct chunk_ref got;

	(void)state;
	data.compression = COMPRESSION_ZSTD;
	data.stored = 700;
	data.key = 5;
	node.kind = CHUNK_NODE;
	add_ref(x, &data);
	add_ref(x, &node);
	write_index(&f, x, SESSION_A, &names);
	auto_index struct index *y = open_index(&f, NULL);
	assert_true(index_lookup(y, data.id, &got));
	assert_true(same_ref(&data, &got));
	assert_true(index_lookup(y, node.id, &got));
	assert_true(same_ref(&node, &got));
}

static void test_index_write__splits_and_spills_what_is_large(void **state)
{
	CLEANUP(names_clear) struct names names = { 0 };
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_index struct index *x = open_index(&f, dir);
	const uint32_t n = 300000; /* over two runs and four segments */

	(void)state;
	add_refs(x, 0, n);
	assert_found(x, 0, n);
	write_index(&f, x, SESSION_A, &names);
	assert_int_equal(names.n, 5);
	auto_index struct index *y = open_index(&f, dir);
	assert_found(y, 0, n);
	assert_int_equal(found_count(y, n, n + 1000), 0);
}

static void test_index_write__refuses_what_no_reader_would_take(void **state)
{
	CLEANUP(names_clear) struct names names = { 0 };
	auto_fixture struct fixture f = fixture_new();
	auto_index struct index *x = open_index(&f, NULL);
	struct chunk_ref r = ref_of(1);
	struct err e = ERR_INIT;

	(void)state;
	r.off = PACK_LEN; /* behind the end of its pack */
	add_ref(x, &r);
	assert_int_equal(try_write(&f, x, SESSION_A, &names, &e), -1);
	assert_int_equal(e.class, ERR_BUG);
	assert_int_equal(object_count(f.store, ""), 0);
}

static void test_index_write__a_store_that_refuses_is_an_error(void **state)
{
	CLEANUP(names_clear) struct names names = { 0 };
	auto_fixture struct fixture f = fixture_new();
	struct err e = ERR_INIT;

	(void)state;
	f.store = store_readonly_new(f.store, &e);
	assert_non_null(f.store);
	auto_index struct index *x = open_index(&f, NULL);
	add_refs(x, 0, 10);
	assert_int_equal(try_write(&f, x, SESSION_A, &names, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
}

/* ---- local tables ---- */

static char *table_dir(const struct fixture *f, const char *state_dir)
{
	auto_free char *idx = path_join(state_dir, "idx");

	return path_join(idx, f->domain->tag_hex);
}

struct gets {
	unsigned n; /* fetched objects */
};

static enum store_fault count_gets(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct gets *g = arg;

	(void)n;
	(void)key;
	__atomic_fetch_add(&g->n, call == CALL_GET, __ATOMIC_RELAXED);
	return FAULT_NONE;
}

static void test_index_open__own_segments_are_not_fetched_again(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	struct gets gets = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	write_session(&f, dir, SESSION_A, 0, 1000);
	f.store = store_fault_new(f.store, count_gets, &gets, &e);
	assert_non_null(f.store);
	auto_index struct index *x = open_index(&f, dir);
	assert_found(x, 0, 1000);
	assert_int_equal(gets.n, 0);
}

static void test_index_open__fetches_what_others_wrote_once(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	struct gets gets = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	write_session(&f, NULL, SESSION_A, 0, 1000);
	write_session(&f, NULL, SESSION_B, 1000, 1500);
	f.store = store_fault_new(f.store, count_gets, &gets, &e);
	assert_non_null(f.store);
	for (int round = 0; round < 2; round++) {
		auto_index struct index *x = open_index(&f, dir);
		assert_found(x, 0, 1500);
		if (round == 0)
			assert_true(gets.n > 0);
		else
			assert_int_equal(gets.n, 0);
		gets.n = 0;
	}
}

static void test_index_open__many_sessions_become_few_tables(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *tables = table_dir(&f, dir);
	char session[96];

	(void)state;
	for (uint32_t n = 0; n < 40; n++) {
		(void)snprintf(session, sizeof(session), "2026-11-22/03fa41b2c19de077-%032x", n);
		write_session(&f, n % 2 ? dir : NULL, session, n * 10, n * 10 + 10);
	}
	auto_index struct index *x = open_index(&f, dir);
	assert_found(x, 0, 400);
	assert_int_equal(object_count(f.store, "idx/"), 40);
	assert_true(count_files(tables) <= 6);
}

static void test_index_open__segments_gone_from_the_store_are_forgotten(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	char key[128];

	(void)state;
	write_session(&f, NULL, SESSION_A, 0, 100);
	write_session(&f, NULL, SESSION_B, 100, 200);
	index_free(open_index(&f, dir)); /* one table of both */
	(void)snprintf(key, sizeof(key), "idx/%s/" SESSION_A "-0000", f.domain->tag_hex);
	object_delete(f.store, key);
	auto_index struct index *x = open_index(&f, dir);
	assert_int_equal(found_count(x, 0, 100), 0);
	assert_found(x, 100, 200);
}

static void test_index_open__other_domains_are_not_seen(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	struct err e = ERR_INIT;

	(void)state;
	write_session(&f, NULL, SESSION_A, 0, 100);
	secret_free(f.domain);
	assert_int_equal(keys_domain(f.agent, "another", &f.domain, &e), 0);
	auto_index struct index *x = open_index(&f, NULL);
	assert_int_equal(found_count(x, 0, 100), 0);
}

static void test_index_open__state_directory_that_is_missing_is_an_error(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *missing = path_join(dir, "missing");
	struct index *x = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(index_open(f.store, f.agent, f.domain, missing, NULL, NULL, &x, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, missing));
}

/* The path of the only file in the directory of tables. */
static char *only_table(const char *tables)
{
	DIR *d = opendir(tables);
	const struct dirent *x;
	char *path = NULL;

	assert_int_equal(count_files(tables), 1);
	assert_non_null(d);
	while ((x = readdir(d))) {
		if (x->d_name[0] != '.')
			path = path_join(tables, x->d_name);
	}
	(void)closedir(d);
	assert_non_null(path);
	return path;
}

static void test_index_open__damaged_tables_never_give_wrong_places(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *tables = table_dir(&f, dir);
	size_t n;

	(void)state;
	write_session(&f, dir, SESSION_A, 90, 110); /* of two packs */
	auto_free char *path = only_table(tables);
	auto_free char *good = read_file("", path, &n);
	auto_free char *bad = malloc(n);
	assert_non_null(bad);
	for (size_t i = 0; i < n; i++) {
		memcpy(bad, good, n);
		bad[i] ^= 1;
		write_file("", path, bad, n);
		auto_index struct index *x = open_index(&f, dir);
		/* It checks what it finds. A bad pack id hides the half. */
		assert_true(found_count(x, 90, 110) >= 10 - 2);
		index_free(STEAL(&x));
		auto_free char *again = only_table(tables);
		if (strcmp(again, path) != 0)
			assert_int_equal(unlink(again), 0); /* it was made anew */
	}
}

static void test_index_open__a_damaged_head_is_fetched_again(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *tables = table_dir(&f, dir);

	(void)state;
	write_session(&f, dir, SESSION_A, 0, 40);
	for (int how = 0; how < 3; how++) {
		auto_free char *path = only_table(tables);
		size_t n;
		auto_free char *bytes = read_file("", path, &n);

		if (how == 0)
			bytes[70] ^= 1; /* in a name */
		write_file("", path, bytes, how == 1 ? n - 64 : how == 2 ? 10 : n);
		auto_index struct index *x = open_index(&f, dir);
		assert_found(x, 0, 40);
	}
}

static void test_index_open__tables_of_another_key_are_dropped(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_fixture struct fixture g = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *tables = table_dir(&g, dir);

	(void)state;
	write_session(&f, dir, SESSION_A, 0, 40);
	auto_free char *from = table_dir(&f, dir);
	assert_int_equal(rename(from, tables), 0);
	auto_index struct index *x = open_index(&g, dir);
	assert_int_equal(found_count(x, 0, 40), 0);
	assert_int_equal(count_files(tables), 0);
}

/* ---- damage on the store ---- */

static void test_index_open__damaged_segments_are_left_out_and_counted(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	char key[128];
	size_t n;

	(void)state;
	write_session(&f, NULL, SESSION_A, 0, 5);
	write_session(&f, NULL, SESSION_B, 5, 10);
	(void)snprintf(key, sizeof(key), "idx/%s/" SESSION_A "-0000", f.domain->tag_hex);
	auto_free uint8_t *good = object_get(f.store, key, &n);
	auto_free uint8_t *bad = malloc(n);
	assert_non_null(bad);
	for (size_t i = 0; i < n; i++) {
		memcpy(bad, good, n);
		bad[i] ^= 0x10;
		object_set(f.store, key, bad, n);
		auto_index struct index *x = open_index(&f, NULL);
		assert_int_equal(index_damaged(x), 1);
		assert_int_equal(found_count(x, 0, 5), 0);
		assert_found(x, 5, 10);
	}
	for (size_t len = 0; len < n; len += 7) {
		object_set(f.store, key, good, len);
		auto_index struct index *x = open_index(&f, NULL);
		assert_int_equal(index_damaged(x), 1);
	}
}

static void test_index_open__a_segment_under_another_name_is_damaged(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	char from[128];
	char to[128];
	size_t n;

	(void)state;
	write_session(&f, NULL, SESSION_A, 0, 5);
	(void)snprintf(from, sizeof(from), "idx/%s/" SESSION_A "-0000", f.domain->tag_hex);
	(void)snprintf(to, sizeof(to), "idx/%s/" SESSION_B "-0000", f.domain->tag_hex);
	auto_free uint8_t *bytes = object_get(f.store, from, &n);
	object_delete(f.store, from);
	object_set(f.store, to, bytes, n);
	(void)snprintf(to, sizeof(to), "idx/%s/stranger", f.domain->tag_hex);
	object_set(f.store, to, bytes, n);
	auto_index struct index *x = open_index(&f, NULL);
	assert_int_equal(index_damaged(x), 2);
	assert_int_equal(found_count(x, 0, 5), 0);
}

static enum store_fault fail_gets(void *arg, uint64_t n, enum store_call call, const char *key)
{
	(void)n;
	(void)key;
	return call == CALL_GET ? *(const enum store_fault *)arg : FAULT_NONE;
}

static void test_index_open__a_store_that_does_not_answer_is_an_error(void **state)
{
	static const struct {
		enum store_fault fault;
		enum err_class class; /* ERR_NONE: the segment is left out */
		size_t damaged;
	} cases[] = {
		{ FAULT_FAIL, ERR_RETRY, 0 },
		{ FAULT_DENIED, ERR_DENIED, 0 },
		{ FAULT_GONE, ERR_NONE, 0 },
		{ FAULT_TRUNCATE, ERR_NONE, 20 },
	};
	auto_fixture struct fixture f = fixture_new();
	enum store_fault fault = FAULT_NONE;
	char session[96];
	struct err e = ERR_INIT;

	(void)state;
	for (uint32_t n = 0; n < 20; n++) {
		(void)snprintf(session, sizeof(session), "2026-11-22/03fa41b2c19de077-%032x", n);
		write_session(&f, NULL, session, n * 10, n * 10 + 10);
	}
	f.store = store_fault_new(f.store, fail_gets, &fault, &e);
	assert_non_null(f.store);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_index struct index *x = NULL;

		fault = cases[i].fault;
		e = (struct err)ERR_INIT;
		int r = index_open(f.store, f.agent, f.domain, NULL, NULL, NULL, &x, &e);
		assert_int_equal(e.class, cases[i].class);
		assert_int_equal(r, cases[i].class ? -1 : 0);
		if (r == 0)
			assert_int_equal(index_damaged(x), cases[i].damaged);
	}
}

static void test_index_open__can_be_cancelled(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	struct cancel cancel;
	struct index *x = NULL;
	struct err e = ERR_INIT;

	(void)state;
	write_session(&f, NULL, SESSION_A, 0, 5);
	assert_int_equal(cancel_init(&cancel), 0);
	cancel_request(&cancel);
	assert_int_equal(index_open(f.store, f.agent, f.domain, NULL, NULL, &cancel, &x, &e), -1);
	assert_int_equal(e.class, ERR_CANCELLED);
	cancel_clear(&cancel);
}

/* ---- every entry ---- */

static void test_index_places__gives_doubles_too(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	CLEANUP(names_clear) struct names first = { 0 };
	CLEANUP(names_clear) struct names second = { 0 };
	struct chunk_ref places[4];
	struct chunk_ref copy = ref_of(5);
	struct chunk_ref got;

	(void)state;
	auto_index struct index *a = open_index(&f, NULL);
	auto_index struct index *b = open_index(&f, NULL); /* does not know of a's */
	add_refs(a, 0, 300);
	write_index(&f, a, SESSION_A, &first);
	memset(copy.pack, 0, sizeof(copy.pack));
	add_ref(b, &copy);
	write_index(&f, b, SESSION_B, &second);
	auto_index struct index *x = open_index(&f, NULL);
	assert_int_equal(index_places(x, ref_of(5).id, places, 4), 2);
	assert_int_equal(index_places(x, ref_of(5).id, places, 1), 1);
	assert_int_equal(index_places(x, ref_of(6).id, places, 4), 1);
	assert_int_equal(index_places(x, ref_of(300).id, places, 4), 0);
	/* one that looks up gets the smallest pack id, whatever the order of tables */
	assert_true(index_lookup(x, copy.id, &got));
	assert_memory_equal(got.pack, copy.pack, sizeof(copy.pack));
	/* but who is there already may stay */
	got = ref_of(5);
	assert_true(index_locate(x, &got));
	assert_memory_equal(got.pack, ref_of(5).pack, sizeof(got.pack));
}

/* ---- as a session sees it ---- */

#define SESSION_C "2026-11-24/03fa41b2c19de077-7c0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"
#define SESSION_D "2026-11-25/03fa41b2c19de077-8d0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"

/* A look at lists needs no content: an end is told by its length. */
static void put_commit(const struct fixture *f, const char *session, bool fenced)
{
	char key[128];
	uint8_t bytes[FORMAT_ABORT_BYTES] = { 0 };

	(void)snprintf(key, sizeof(key), "commit/%s", session);
	object_set(f->store, key, bytes, fenced ? sizeof(bytes) : 100);
}

static void put_marker(const struct fixture *f, const char *session)
{
	char key[128];

	(void)snprintf(key, sizeof(key), "sess/%s", session);
	object_set(f->store, key, "marker", 6);
}

static void absent_pack(struct view *v, uint32_t n)
{
	struct chunk_ref r = ref_of(n);
	struct err e = ERR_INIT;

	assert_int_equal(pack_list_add(&v->absent.packs, r.kind, r.pack, &e), 0);
	absent_sort(&v->absent);
}

static void absent_place(struct view *v, const struct chunk_ref *r)
{
	struct place p = { .pack = { .kind = r->kind }, .off = r->off };
	struct err e = ERR_INIT;

	memcpy(p.pack.id, r->pack, sizeof(p.pack.id));
	memcpy(p.id, r->id, sizeof(p.id));
	assert_int_equal(absent_add_place(&v->absent, &p, &e), 0);
	absent_sort(&v->absent);
}

#define auto_view CLEANUP(view_clear)

/* What is listed now; nothing is absent. */
static struct view look(const struct fixture *f)
{
	struct view v = { 0 };
	struct err e = ERR_INIT;

	if (commit_list_load(f->store, &v.commits, &e) < 0)
		fail_msg("%s", e.msg);
	return v;
}

static int try_open_with(const struct fixture *f, const char *state_dir, const struct view *v,
                         struct index **ret, struct err *e)
{
	return index_open(f->store, f->agent, f->domain, state_dir, v, NULL, ret, e);
}

static struct index *open_with(const struct fixture *f, const char *state_dir, const struct view *v)
{
	struct index *x = NULL;
	struct err e = ERR_INIT;

	segment_refs_clear(&added);
	if (try_open_with(f, state_dir, v, &x, &e) < 0)
		fail_msg("%s", e.msg);
	return x;
}

/* A settled, B tentative, C fenced, D unknown: of 10 chunks each, in this order. */
static void write_four(const struct fixture *f, const char *state_dir)
{
	write_session(f, state_dir, SESSION_A, 0, 10);
	write_session(f, state_dir, SESSION_B, 10, 20);
	write_session(f, state_dir, SESSION_C, 20, 30);
	write_session(f, state_dir, SESSION_D, 30, 40);
	put_marker(f, SESSION_A);
	put_marker(f, SESSION_B);
	put_marker(f, SESSION_C);
	put_commit(f, SESSION_A, false);
	put_commit(f, SESSION_C, true);
}

static void test_index_open__a_session_sees_settled_and_tentative_segments(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	const char *const dirs[] = { NULL, dir, dir };

	(void)state;
	write_four(&f, NULL);
	auto_view struct view v = look(&f);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		auto_index struct index *x = open_with(&f, dirs[i], &v);

		assert_found(x, 0, 20);
		assert_int_equal(found_count(x, 20, 40), 0);
		assert_int_equal(index_damaged(x), 0);
	}
	/* whoever has no view sees whatever there is */
	auto_index struct index *x = open_index(&f, NULL);
	assert_found(x, 0, 40);
}

static void test_index_open__only_settled_segments_are_kept(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *tables = table_dir(&f, dir);
	struct gets gets = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	write_four(&f, NULL);
	auto_view struct view v = look(&f);
	index_free(open_with(&f, dir, &v));
	assert_int_equal(count_files(tables), 1);
	f.store = store_fault_new(f.store, count_gets, &gets, &e);
	assert_non_null(f.store);
	/* the tentative one is fetched each time; void ones never are */
	auto_index struct index *x = open_with(&f, dir, &v);
	assert_int_equal(gets.n, 1);
	assert_found(x, 0, 20);
}

static void test_index_open__what_was_kept_becomes_void(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *tables = table_dir(&f, dir);

	(void)state;
	/* a reader without a view has kept all of them, as one table or as its writer's own */
	for (int how = 0; how < 2; how++) {
		write_four(&f, how ? dir : NULL);
		if (how == 0)
			index_free(open_index(&f, dir));
		assert_true(count_files(tables) > 0);
		auto_view struct view v = look(&f);
		auto_index struct index *x = open_with(&f, dir, &v);
		assert_found(x, 0, 20);
		assert_int_equal(found_count(x, 20, 40), 0);
		struct chunk_ref got;
		assert_true(index_settled(x, ref_of(5).id, NULL, NULL, &got));
		assert_false(index_settled(x, ref_of(15).id, NULL, NULL, &got));
		index_free(STEAL(&x));
		/* the one at work is fenced after all */
		put_commit(&f, SESSION_B, true);
		auto_view struct view later = look(&f);
		x = open_with(&f, dir, &later);
		assert_found(x, 0, 10);
		assert_int_equal(found_count(x, 10, 40), 0);
		object_delete(f.store, "commit/" SESSION_B);
		object_delete(f.store, "commit/" SESSION_A);
		object_delete(f.store, "commit/" SESSION_C);
		char key[128];
		static const char *const sessions[] = { SESSION_A, SESSION_B, SESSION_C,
			                                SESSION_D };
		for (size_t i = 0; i < ARRAY_LEN(sessions); i++) {
			(void)snprintf(key, sizeof(key), "idx/%s/%s-0000", f.domain->tag_hex,
			               sessions[i]);
			object_delete(f.store, key);
		}
	}
}

static void test_index_open__a_tentative_session_commits(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	struct gets gets = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	write_four(&f, NULL);
	put_commit(&f, SESSION_B, false);
	auto_view struct view v = look(&f);
	index_free(open_with(&f, dir, &v));
	f.store = store_fault_new(f.store, count_gets, &gets, &e);
	assert_non_null(f.store);
	auto_index struct index *x = open_with(&f, dir, &v);
	assert_found(x, 0, 20);
	assert_int_equal(gets.n, 0);
}

struct lists {
	unsigned markers; /* LISTs of sess/ */
	bool fail;
};

static enum store_fault watch_lists(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct lists *l = arg;

	(void)n;
	if (call != CALL_LIST || strcmp(key, "sess/") != 0)
		return FAULT_NONE;
	l->markers++;
	return l->fail ? FAULT_FAIL : FAULT_NONE;
}

static void test_index_open__markers_are_listed_when_it_matters(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	struct lists lists = { 0 };
	struct index *x = NULL;
	struct err e = ERR_INIT;

	(void)state;
	write_session(&f, NULL, SESSION_A, 0, 10);
	put_commit(&f, SESSION_A, false);
	f.store = store_fault_new(f.store, watch_lists, &lists, &e);
	assert_non_null(f.store);
	auto_view struct view ended = look(&f);
	index_free(open_with(&f, NULL, &ended));
	assert_int_equal(lists.markers, 0);
	write_session(&f, NULL, SESSION_B, 10, 20);
	write_session(&f, NULL, SESSION_D, 20, 30);
	put_marker(&f, SESSION_B);
	auto_view struct view v = look(&f);
	index_free(open_with(&f, NULL, &v));
	assert_int_equal(lists.markers, 1);
	/* without an answer nobody knows what counts */
	lists.fail = true;
	assert_int_equal(try_open_with(&f, NULL, &v, &x, &e), -1);
	assert_int_equal(e.class, ERR_RETRY);
	assert_null(x);
}

/* ---- opened lazily ---- */

struct idx_lists {
	unsigned n;
	bool fail;
};

static enum store_fault watch_idx(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct idx_lists *l = arg;

	(void)n;
	if (call != CALL_LIST || strncmp(key, "idx/", 4) != 0)
		return FAULT_NONE;
	l->n++;
	return l->fail ? FAULT_FAIL : FAULT_NONE;
}

static struct index *open_lazily(const struct fixture *f, const char *state_dir,
                                 const struct view *v)
{
	struct index *x = NULL;
	struct err e = ERR_INIT;

	segment_refs_clear(&added);
	if (index_open_lazily(f->store, f->agent, f->domain, state_dir, v, NULL, &x, &e) < 0)
		fail_msg("%s", e.msg);
	return x;
}

/* Opens it by what is listed now, and closes it. How often the index was listed for that. */
static unsigned lists_of_opening(const struct fixture *f, const char *dir, struct idx_lists *l)
{
	auto_view struct view v = look(f);
	unsigned before = l->n;

	index_free(open_lazily(f, dir, &v));
	return l->n - before;
}

/* A store whose lists of the index are counted, with A settled. */
static void lazy_init(struct fixture *f, const char *dir, struct idx_lists *l)
{
	struct err e = ERR_INIT;

	write_session(f, dir, SESSION_A, 0, 10);
	put_marker(f, SESSION_A);
	put_commit(f, SESSION_A, false);
	f->store = store_fault_new(f->store, watch_idx, l, &e);
	assert_non_null(f->store);
}

static void test_index_open_lazily__lists_when_an_id_is_not_found(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	struct idx_lists lists = { 0 };

	(void)state;
	lazy_init(&f, dir, &lists);
	assert_int_equal(lists_of_opening(&f, dir, &lists), 1);
	/* a segment of somebody at work is found when it is looked for */
	write_session(&f, NULL, SESSION_B, 10, 20);
	put_marker(&f, SESSION_B);
	auto_view struct view v = look(&f);
	lists.n = 0;
	auto_index struct index *x = open_lazily(&f, dir, &v);
	assert_found(x, 0, 10);
	assert_int_equal(lists.n, 0);
	assert_found(x, 10, 20);
	assert_int_equal(found_count(x, 20, 30), 0);
	add_refs(x, 20, 30);
	assert_found(x, 0, 30);
	assert_int_equal(lists.n, 1);
}

static void test_index_open_lazily__lists_when_something_has_happened(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	struct idx_lists lists = { 0 };

	(void)state;
	lazy_init(&f, dir, &lists);
	assert_int_equal(lists_of_opening(&f, dir, &lists), 1);
	assert_int_equal(lists_of_opening(&f, dir, &lists), 0);
	/* a commit, one that is gone, a generation that is done, one that is open */
	put_commit(&f, SESSION_C, true);
	assert_int_equal(lists_of_opening(&f, dir, &lists), 1);
	assert_int_equal(lists_of_opening(&f, dir, &lists), 0);
	object_delete(f.store, "commit/" SESSION_C);
	assert_int_equal(lists_of_opening(&f, dir, &lists), 1);
	auto_view struct view v = look(&f);
	v.collection.done = 1;
	lists.n = 0;
	index_free(open_lazily(&f, dir, &v));
	assert_int_equal(lists.n, 1);
	index_free(open_lazily(&f, dir, &v));
	assert_int_equal(lists.n, 1);
	v.collection.open = 2;
	index_free(open_lazily(&f, dir, &v));
	index_free(open_lazily(&f, dir, &v));
	assert_int_equal(lists.n, 3);
}

static void test_index_open_lazily__what_a_dead_run_left_is_looked_for(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	struct idx_lists lists = { 0 };

	(void)state;
	lazy_init(&f, dir, &lists);
	assert_int_equal(lists_of_opening(&f, dir, &lists), 1);
	write_session(&f, dir, SESSION_B, 10, 20); /* its table is here */
	put_marker(&f, SESSION_B);
	auto_view struct view v = look(&f);
	lists.n = 0;
	auto_index struct index *x = open_lazily(&f, dir, &v);
	assert_int_equal(lists.n, 1);
	assert_found(x, 0, 20);
}

static void test_index_committed__the_next_run_need_not_list(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	CLEANUP(names_clear) struct names names = { 0 };
	struct idx_lists lists = { 0 };

	(void)state;
	lazy_init(&f, dir, &lists);
	auto_view struct view before = look(&f);
	auto_index struct index *x = open_lazily(&f, dir, &before);
	add_refs(x, 10, 20);
	write_index(&f, x, SESSION_B, &names);
	put_commit(&f, SESSION_B, false);
	index_committed(x, SESSION_B);
	lists.n = 0;
	auto_view struct view v = look(&f);
	auto_index struct index *y = open_lazily(&f, dir, &v);
	assert_found(y, 0, 20);
	assert_int_equal(lists.n, 0);
	/* and not after one that somebody else has made meanwhile */
	put_commit(&f, SESSION_D, false);
	index_committed(y, SESSION_C);
	assert_int_equal(lists_of_opening(&f, dir, &lists), 1);
}

static void test_index_open_lazily__a_list_that_fails_finds_nothing(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	struct idx_lists lists = { 0 };

	(void)state;
	lazy_init(&f, dir, &lists);
	assert_int_equal(lists_of_opening(&f, dir, &lists), 1);
	lists = (struct idx_lists){ .fail = true };
	auto_view struct view v = look(&f);
	auto_index struct index *x = open_lazily(&f, dir, &v);
	assert_int_equal(found_count(x, 10, 20), 0);
	assert_found(x, 0, 10);
	add_refs(x, 10, 20);
	assert_int_equal(lists.n, 1);
	/* nothing is remembered of it */
	put_commit(&f, SESSION_C, true);
	index_committed(x, SESSION_C);
	lists.fail = false;
	assert_int_equal(lists_of_opening(&f, dir, &lists), 1);
}

static void test_index_open_lazily__what_has_something_to_tell_is_listed_each_time(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	struct idx_lists lists = { 0 };

	(void)state;
	lazy_init(&f, dir, &lists);
	/* a void segment may be adopted */
	write_session(&f, NULL, SESSION_C, 20, 30);
	put_commit(&f, SESSION_C, true);
	assert_int_equal(lists_of_opening(&f, dir, &lists), 1);
	assert_int_equal(lists_of_opening(&f, dir, &lists), 1);
	/* near by, a list costs nothing */
	auto_fixture struct fixture near = fixture_new();
	auto_tmpdir char *near_dir = tmpdir_new();
	lazy_init(&near, near_dir, &lists);
	near.store->caps |= STORE_CAP_LOCAL;
	assert_int_equal(lists_of_opening(&near, near_dir, &lists), 1);
	assert_int_equal(lists_of_opening(&near, near_dir, &lists), 1);
}

static void test_index_lookup__what_is_absent_is_not_there(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	struct chunk_ref r = ref_of(7);
	struct chunk_ref got;

	(void)state;
	/* packs 0 (settled) and 1 (tentative) of 100 chunks each */
	write_session(&f, NULL, SESSION_A, 0, 100);
	write_session(&f, NULL, SESSION_B, 100, 200);
	put_commit(&f, SESSION_A, false);
	put_marker(&f, SESSION_B);
	auto_view struct view v = look(&f);
	auto_index struct index *x = open_with(&f, NULL, &v);
	assert_found(x, 0, 200);
	absent_place(&v, &r);
	assert_int_equal(found_count(x, 0, 200), 199);
	assert_false(index_lookup(x, r.id, &got));
	got = r;
	assert_false(index_locate(x, &got));
	assert_true(index_claim(x, r.id, &got)); /* so it is stored again */
	index_abandon(x, r.id);
	absent_pack(&v, 150);
	assert_int_equal(found_count(x, 0, 100), 99);
	assert_int_equal(found_count(x, 100, 200), 0);
	absent_pack(&v, 50);
	assert_int_equal(found_count(x, 0, 200), 0);
	/* what this session has stored itself is there */
	struct chunk_ref again = ref_of(7);
	memset(again.pack, 0x77, sizeof(again.pack));
	assert_true(index_claim(x, again.id, &got));
	index_add(x, &again);
	assert_true(index_lookup(x, again.id, &got));
	assert_true(same_ref(&got, &again));
}

/* Writes one chunk at another place, in a session of its own. */
static void write_copy(const struct fixture *f, const char *session, uint32_t n, uint8_t pack,
                       struct chunk_ref *ret)
{
	CLEANUP(names_clear) struct names names = { 0 };
	auto_index struct index *x = open_index(f, NULL);

	*ret = ref_of(n);
	memset(ret->pack, pack, sizeof(ret->pack));
	add_ref(x, ret);
	write_index(f, x, session, &names);
}

static bool not_in(void *arg, const struct chunk_ref *ref)
{
	return memcmp(ref->pack, arg, sizeof(ref->pack)) != 0;
}

static void test_index_settled__the_smallest_usable_place_of_committed_sessions(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	struct chunk_ref a, b, c, d, own, got;

	(void)state;
	write_copy(&f, SESSION_C, 5, 0x30, &c);
	write_copy(&f, SESSION_A, 5, 0x20, &a);
	write_copy(&f, SESSION_B, 5, 0x10, &b);
	write_copy(&f, SESSION_D, 5, 0x08, &d);
	put_commit(&f, SESSION_A, false);
	put_commit(&f, SESSION_C, false);
	put_marker(&f, SESSION_B);
	put_commit(&f, SESSION_D, true);
	auto_view struct view v = look(&f);
	auto_index struct index *x = open_with(&f, NULL, &v);
	own = c;
	memset(own.pack, 0x01, sizeof(own.pack));
	index_add(x, &own);

	/* a lookup takes the tentative one; what is settled is not it */
	assert_true(index_lookup(x, a.id, &got));
	assert_true(same_ref(&got, &b));
	assert_true(index_settled(x, a.id, NULL, NULL, &got));
	assert_true(same_ref(&got, &a));
	assert_true(index_settled(x, a.id, not_in, a.pack, &got));
	assert_true(same_ref(&got, &c));
	assert_true(index_settled(x, a.id, not_in, b.pack, &got));
	assert_true(same_ref(&got, &a));
	/* the id may lie in the result */
	got = d;
	assert_true(index_settled(x, got.id, NULL, NULL, &got));
	assert_true(same_ref(&got, &a));
	/* absent ones are none */
	absent_place(&v, &a);
	assert_true(index_settled(x, a.id, NULL, NULL, &got));
	assert_true(same_ref(&got, &c));
	got = own;
	assert_false(index_settled(x, a.id, not_in, c.pack, &got));
	assert_true(same_ref(&got, &own)); /* untouched */
	absent_place(&v, &c);
	assert_false(index_settled(x, a.id, NULL, NULL, &got));
	assert_false(index_settled(x, ref_of(6).id, NULL, NULL, &got));
}

static void test_index_locate__stays_unless_it_is_absent(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	struct chunk_ref a, b, got;

	(void)state;
	write_copy(&f, SESSION_A, 5, 0x20, &a);
	write_copy(&f, SESSION_B, 5, 0x10, &b);
	put_commit(&f, SESSION_A, false);
	put_commit(&f, SESSION_B, false);
	auto_view struct view v = look(&f);
	auto_index struct index *x = open_with(&f, NULL, &v);
	got = a;
	assert_true(index_locate(x, &got));
	assert_true(same_ref(&got, &a));
	absent_place(&v, &a);
	got = a;
	assert_true(index_locate(x, &got));
	assert_true(same_ref(&got, &b));
	/* another length or kind is another chunk, whatever its id */
	got = a;
	got.plain++;
	assert_false(index_locate(x, &got));
	got = a;
	got.kind = CHUNK_NODE;
	assert_false(index_locate(x, &got));
	absent_place(&v, &b);
	got = a;
	assert_false(index_locate(x, &got));
	assert_true(same_ref(&got, &a));
	/* what this session has stored will do */
	index_add(x, &b);
	assert_true(index_locate(x, &got));
	assert_true(same_ref(&got, &b));
}

static void test_index_places__absent_and_tentative_ones_too(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	struct chunk_ref refs[4];
	struct chunk_ref got[8];
	static const char *const sessions[] = { SESSION_A, SESSION_B, SESSION_C, SESSION_D };

	(void)state;
	for (size_t i = 0; i < 4; i++)
		write_copy(&f, sessions[i], 5, (uint8_t)(0x10 + i), &refs[i]);
	put_commit(&f, SESSION_A, false);
	put_marker(&f, SESSION_B);
	put_commit(&f, SESSION_C, true);
	put_commit(&f, SESSION_D, false);
	auto_view struct view v = look(&f);
	absent_place(&v, &refs[0]);
	auto_index struct index *x = open_with(&f, NULL, &v);
	assert_int_equal(index_places(x, refs[0].id, got, 8), 3);
	for (size_t i = 0; i < 4; i++) {
		bool found = false;

		for (size_t at = 0; at < 3; at++)
			found |= same_ref(&got[at], &refs[i]);
		assert_int_equal(found, i != 2); /* void is nothing at all */
	}
	assert_int_equal(index_places(x, refs[0].id, got, 2), 2);
	assert_int_equal(index_places(x, refs[0].id, got, 0), 0);
	/* what this session stores is in no segment */
	index_add(x, &refs[2]);
	assert_int_equal(index_places(x, refs[0].id, got, 8), 3);
	/* one table that has it twice */
	auto_index struct index *merged = open_with(&f, dir, &v);
	assert_int_equal(index_places(merged, refs[0].id, got, 8), 3);
	memset(got, 0xee, sizeof(got));
	const struct chunk_ref untouched = got[1];
	assert_int_equal(index_places(merged, refs[0].id, got, 1), 1);
	assert_memory_equal(&got[1], &untouched, sizeof(untouched));
}

struct voids {
	char names[8][96];
	char keys[8][128];
	size_t n;
	size_t fail_at;
};

static int take_void(void *arg, const char *name, const char *key, struct err *e)
{
	struct voids *s = arg;

	assert_true(s->n < ARRAY_LEN(s->names));
	(void)snprintf(s->names[s->n], sizeof(s->names[0]), "%s", name);
	(void)snprintf(s->keys[s->n++], sizeof(s->keys[0]), "%s", key);
	return s->n == s->fail_at ? err_set(e, ERR_BUSY, "no more") : 0;
}

static void test_index_each_void__names_what_was_left_out(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	struct voids voids = { 0 };
	struct err e = ERR_INIT;
	char key[128];

	(void)state;
	write_four(&f, NULL);
	auto_view struct view v = look(&f);
	auto_index struct index *x = open_with(&f, NULL, &v);
	assert_int_equal(index_each_void(x, take_void, &voids, &e), 0);
	assert_int_equal(voids.n, 2);
	bool c_first = strcmp(voids.names[0], SESSION_C "-0000") == 0;
	assert_string_equal(voids.names[c_first ? 0 : 1], SESSION_C "-0000");
	assert_string_equal(voids.names[c_first ? 1 : 0], SESSION_D "-0000");
	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(key, sizeof(key), "idx/%s/%s", f.domain->tag_hex, voids.names[i]);
		assert_string_equal(voids.keys[i], key);
	}
	voids = (struct voids){ .fail_at = 1 };
	assert_int_equal(index_each_void(x, take_void, &voids, &e), -1);
	assert_int_equal(e.class, ERR_BUSY);
	assert_int_equal(voids.n, 1);
	/* without a view nothing is */
	auto_index struct index *all = open_index(&f, NULL);
	voids = (struct voids){ 0 };
	assert_int_equal(index_each_void(all, take_void, &voids, &e), 0);
	assert_int_equal(voids.n, 0);
}

static void test_index_learned__saves_the_next_session_a_fetch(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *tables = table_dir(&f, dir);
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(SEGMENT_PLAIN_MAX);
	struct segment_view s;
	struct gets gets = { 0 };
	char key[128];
	struct err e = ERR_INIT;

	(void)state;
	write_session(&f, NULL, SESSION_A, 0, 10);
	(void)snprintf(key, sizeof(key), "idx/%s/" SESSION_A "-0000", f.domain->tag_hex);
	assert_int_equal(segment_fetch(f.store, f.agent, f.domain, key, &plain, &s, &e), 0);
	object_delete(f.store, key);
	auto_index struct index *without = open_index(&f, NULL);
	index_learned(without, SESSION_A "-0000", &s); /* nowhere to keep it */
	auto_index struct index *x = open_index(&f, dir);
	assert_int_equal(count_files(tables), 0);
	index_learned(x, SESSION_A "-0000", &s);
	assert_int_equal(count_files(tables), 1);
	assert_int_equal(found_count(x, 0, 10), 0); /* this session knows it by what it added */

	write_session(&f, NULL, SESSION_A, 0, 10);
	put_commit(&f, SESSION_A, false);
	f.store = store_fault_new(f.store, count_gets, &gets, &e);
	assert_non_null(f.store);
	auto_view struct view v = look(&f);
	auto_index struct index *y = open_with(&f, dir, &v);
	assert_found(y, 0, 10);
	assert_int_equal(gets.n, 0);
}

/* ---- decoding ---- */

/* A segment with two packs and three entries, as docs/FORMAT.md 7 has it. */
static void plain_segment(struct buf *b)
{
	uint8_t id[32] = { 0 };

	(void)buf_u32(b, 2);
	for (uint8_t i = 0; i < 2; i++) {
		id[0] = (uint8_t)(0xa0 + i);
		(void)buf_put(b, id, 16);
		(void)buf_u64(b, 0x10d00);
		(void)buf_u8(b, i == 0 ? 'P' : 'M');
		(void)buf_zero(b, 7);
	}
	(void)buf_u32(b, 3);
	for (uint8_t i = 0; i < 3; i++) {
		id[0] = (uint8_t)(0x10 + i);
		(void)buf_put(b, id, 32);
		(void)buf_u32(b, i == 2);              /* pack */
		(void)buf_u32(b, 784 + 2000u * i);     /* offset */
		(void)buf_u32(b, i == 1 ? 516 : 1016); /* stored */
		(void)buf_u32(b, 1000);                /* plain */
		(void)buf_u32(b, 40u + i);             /* counter */
		(void)buf_u16(b, 0);                   /* key */
		(void)buf_u8(b, i == 1);               /* compression */
		(void)buf_u8(b, i == 2);               /* kind */
	}
	assert_false(b->failed);
	assert_int_equal(b->len, 4 + 2 * 32 + 4 + 3 * 56);
}

static void test_index_decode__gives_every_field(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(KIB);
	struct segment_view v;
	struct chunk_ref r;
	struct err e = ERR_INIT;

	(void)state;
	plain_segment(&b);
	assert_int_equal(segment_decode(b.data, b.len, &v, &e), 0);
	assert_int_equal(v.npacks, 2);
	assert_int_equal(v.nentries, 3);
	segment_view_ref(&v, 1, &r);
	assert_int_equal(r.id[0], 0x11);
	assert_int_equal(r.pack[0], 0xa0);
	assert_int_equal(r.off, 2784);
	assert_int_equal(r.stored, 516);
	assert_int_equal(r.plain, 1000);
	assert_int_equal(r.counter, 41);
	assert_int_equal(r.key, 0);
	assert_int_equal(r.compression, COMPRESSION_ZSTD);
	assert_int_equal(r.kind, CHUNK_DATA);
	segment_view_ref(&v, 2, &r);
	assert_int_equal(r.pack[0], 0xa1);
	assert_int_equal(r.kind, CHUNK_NODE);
}

static void test_index_decode__refuses_what_makes_no_sense(void **state)
{
	static const struct {
		size_t at; /* in the segment */
		uint8_t byte;
	} changes[] = {
		{ 0, 3 },                /* more packs */
		{ 3, 0xff },             /* far too many packs */
		{ 4 + 24, 'X' },         /* kind of a pack */
		{ 4 + 25, 1 },           /* zero bytes that are none */
		{ 4 + 20, 1 },           /* a pack of over 4 GiB */
		{ 4 + 18, 0 },           /* a pack shorter than its entries */
		{ 68, 2 },               /* fewer entries than bytes */
		{ 71, 0x80 },            /* far too many entries */
		{ 72, 0x11 },            /* the same id twice */
		{ 72, 0x12 },            /* ids descend */
		{ 72 + 32, 2 },          /* no such pack */
		{ 72 + 32, 1 },          /* a data chunk in a node pack */
		{ 72 + 36 + 1, 0 },      /* in the header */
		{ 72 + 36 + 2, 2 },      /* behind the pack */
		{ 72 + 40, 0xf0 },       /* stored and plain do not fit */
		{ 72 + 44 + 2, 0xff },   /* plain over the limit */
		{ 72 + 53, 0xff },       /* key over the limit */
		{ 72 + 54, 2 },          /* compression */
		{ 72 + 55, 1 },          /* kind */
		{ 72 + 55, 2 },          /* kind */
		{ 72 + 56 + 40 + 1, 9 }, /* compressed, yet longer */
	};
	CLEANUP(buf_clear) struct buf b = BUF_INIT(KIB);
	struct segment_view v;
	struct err e = ERR_INIT;

	(void)state;
	plain_segment(&b);
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		uint8_t keep = b.data[changes[i].at];

		assert_true(keep != changes[i].byte);
		b.data[changes[i].at] = changes[i].byte;
		if (segment_decode(b.data, b.len, &v, &e) == 0)
			fail_msg("change %zu was taken", i);
		assert_int_equal(e.class, ERR_FORMAT);
		b.data[changes[i].at] = keep;
	}
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(segment_decode(b.data, n, &v, &e), -1);
	(void)buf_u8(&b, 0);
	assert_int_equal(segment_decode(b.data, b.len, &v, &e), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_index_claim__first_stores_and_later_ones_find_it),
		cmocka_unit_test(test_index_claim__id_may_lie_in_the_result),
		cmocka_unit_test(test_index_abandon__the_next_claim_gets_it),
		cmocka_unit_test(test_index_abandon__many_times_does_not_fill_the_table),
		cmocka_unit_test(test_index_claim__threads_that_want_the_same_get_one_place),
		cmocka_unit_test(test_index_claim__a_waiting_thread_gets_what_is_abandoned),
		cmocka_unit_test(test_index_add__what_was_not_claimed_is_found),
		cmocka_unit_test(test_index_write__nothing_new_writes_nothing),
		cmocka_unit_test(test_index_write__the_next_session_finds_everything),
		cmocka_unit_test(test_index_write__node_packs_and_compression_come_back),
		cmocka_unit_test(test_index_write__splits_and_spills_what_is_large),
		cmocka_unit_test(test_index_write__refuses_what_no_reader_would_take),
		cmocka_unit_test(test_index_write__a_store_that_refuses_is_an_error),
		cmocka_unit_test(test_index_open__own_segments_are_not_fetched_again),
		cmocka_unit_test(test_index_open__fetches_what_others_wrote_once),
		cmocka_unit_test(test_index_open__many_sessions_become_few_tables),
		cmocka_unit_test(test_index_open__segments_gone_from_the_store_are_forgotten),
		cmocka_unit_test(test_index_open__other_domains_are_not_seen),
		cmocka_unit_test(test_index_open__state_directory_that_is_missing_is_an_error),
		cmocka_unit_test(test_index_open__damaged_tables_never_give_wrong_places),
		cmocka_unit_test(test_index_open__a_damaged_head_is_fetched_again),
		cmocka_unit_test(test_index_open__tables_of_another_key_are_dropped),
		cmocka_unit_test(test_index_open__damaged_segments_are_left_out_and_counted),
		cmocka_unit_test(test_index_open__a_segment_under_another_name_is_damaged),
		cmocka_unit_test(test_index_open__a_store_that_does_not_answer_is_an_error),
		cmocka_unit_test(test_index_open__can_be_cancelled),
		cmocka_unit_test(test_index_places__gives_doubles_too),
		cmocka_unit_test(test_index_open__a_session_sees_settled_and_tentative_segments),
		cmocka_unit_test(test_index_open__only_settled_segments_are_kept),
		cmocka_unit_test(test_index_open__what_was_kept_becomes_void),
		cmocka_unit_test(test_index_open__a_tentative_session_commits),
		cmocka_unit_test(test_index_open__markers_are_listed_when_it_matters),
		cmocka_unit_test(test_index_open_lazily__lists_when_an_id_is_not_found),
		cmocka_unit_test(test_index_open_lazily__lists_when_something_has_happened),
		cmocka_unit_test(test_index_open_lazily__what_a_dead_run_left_is_looked_for),
		cmocka_unit_test(test_index_committed__the_next_run_need_not_list),
		cmocka_unit_test(test_index_open_lazily__a_list_that_fails_finds_nothing),
		cmocka_unit_test(
			test_index_open_lazily__what_has_something_to_tell_is_listed_each_time),
		cmocka_unit_test(test_index_lookup__what_is_absent_is_not_there),
		cmocka_unit_test(
			test_index_settled__the_smallest_usable_place_of_committed_sessions),
		cmocka_unit_test(test_index_locate__stays_unless_it_is_absent),
		cmocka_unit_test(test_index_places__absent_and_tentative_ones_too),
		cmocka_unit_test(test_index_each_void__names_what_was_left_out),
		cmocka_unit_test(test_index_learned__saves_the_next_session_a_fetch),
		cmocka_unit_test(test_index_decode__gives_every_field),
		cmocka_unit_test(test_index_decode__refuses_what_makes_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
