/* SPDX-License-Identifier: Apache-2.0 */
/* Index segments: what is written is what is read, and hostile bytes are refused. */
#include "repo/segment.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/unit/repo/note_kit.h"
#include "tests/unit/repo/fixture.h"

#define SESSION "2026-11-22/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"
#define PACK_LEN ((uint64_t)32 * MIB)

/* Chunk number n, of pack n / 10. */
static struct chunk_ref ref_of(uint32_t n)
{
	struct chunk_ref r = { 0 };

	fill_random(n, r.id, sizeof(r.id));
	fill_random(1000000 + n / 10, r.pack, sizeof(r.pack));
	r.off = 1000 + n % 10 * 5000;
	r.plain = 4000 + n % 10;
	r.stored = r.plain + FORMAT_TAG_BYTES;
	r.counter = n % 10;
	return r;
}

static struct segment_pack pack_of(uint32_t number)
{
	struct segment_pack p = { .kind = CHUNK_DATA, .len = PACK_LEN };

	fill_random(1000000 + number, p.id, sizeof(p.id));
	return p;
}

static bool same_ref(const struct chunk_ref *a, const struct chunk_ref *b)
{
	return memcmp(a->id, b->id, 32) == 0 && memcmp(a->pack, b->pack, 16) == 0 &&
	       a->off == b->off && a->stored == b->stored && a->plain == b->plain &&
	       a->counter == b->counter && a->key == b->key && a->compression == b->compression &&
	       a->kind == b->kind;
}

/* What a writer told of its segments. */
struct learned {
	char names[16][96];
	uint32_t entries[16];
	size_t n;
};

static void learn(void *arg, const char *name, const struct segment_view *v)
{
	struct learned *l = arg;

	assert_true(l->n < ARRAY_LEN(l->names));
	(void)snprintf(l->names[l->n], sizeof(l->names[0]), "%s", name);
	l->entries[l->n++] = v->nentries;
}

static struct segment_writer *writer(const struct fixture *f, size_t entries_max, struct learned *l)
{
	const struct segment_writer_params p = {
		.store = f->store,
		.keys = f->agent,
		.domain = f->domain,
		.session = SESSION,
		.entries_max = entries_max,
		.learned = l ? learn : NULL,
		.arg = l,
	};
	struct segment_writer *w = NULL;

	ok(segment_writer_new(&p, &w, e));
	return w;
}

/* Adds the first n chunks of a pack. */
static void add_pack(struct segment_writer *w, uint32_t number, size_t n)
{
	struct segment_pack pack = pack_of(number);
	struct chunk_ref refs[10];

	for (uint32_t i = 0; i < n; i++)
		refs[i] = ref_of(number * 10 + i);
	ok(segment_add(w, &pack, refs, n, e));
}

static void key_of(const struct fixture *f, unsigned number, char ret[STORE_KEY_MAX + 1])
{
	(void)snprintf(ret, STORE_KEY_MAX + 1, "idx/%s/" SESSION "-%04u", f->domain->tag_hex,
	               number);
}

/* Opens a segment. Clear b after use of the view. */
static struct segment_view fetch(const struct fixture *f, unsigned number, struct buf *b)
{
	struct segment_view v;
	char key[STORE_KEY_MAX + 1];

	key_of(f, number, key);
	*b = BUF_INIT(SEGMENT_PLAIN_MAX);
	ok(segment_fetch(f->store, f->audit, f->domain, key, b, &v, e));
	return v;
}

static size_t pack_number(const struct segment_view *v, uint32_t number)
{
	struct segment_pack want = pack_of(number);

	for (uint32_t i = 0; i < v->npacks; i++) {
		struct segment_pack p;

		segment_view_pack(v, i, &p);
		if (memcmp(p.id, want.id, sizeof(p.id)) == 0) {
			assert_int_equal(p.len, PACK_LEN);
			return i;
		}
	}
	return SIZE_MAX;
}

static bool has_chunk(const struct segment_view *v, const struct chunk_ref *want)
{
	for (uint32_t i = 0; i < v->nentries; i++) {
		struct chunk_ref r;

		segment_view_ref(v, i, &r);
		if (same_ref(&r, want))
			return true;
	}
	return false;
}

static void free_names(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

/* ---- names ---- */

static void test_segment_session__names_of_segments(void **state)
{
	static const char *const good[] = { SESSION "-0000", SESSION "-9999", SESSION "-10000",
		                            SESSION "-123456789012345678901234567890" };
	static const char *const bad[] = {
		"",
		SESSION,
		SESSION "-",
		SESSION "-000",
		SESSION "-000x",
		SESSION "-0000/",
		SESSION "-0000-0000",
		SESSION "0-0000",
		SESSION "_0000",
		"2026-11-22/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0-0000",
		"2026-11-22/03fa41b2c19de07-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0cc-0000",
		"2026-11-22/03fa41b2c19de077-5A0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c-0000",
		SESSION "-12345678901234567890123456789012345678901234567890",
	};
	char session[96];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		memset(session, 'x', sizeof(session));
		assert_true(segment_session(good[i], session));
		assert_string_equal(session, SESSION);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (segment_session(bad[i], session))
			fail_msg("'%s' was taken", bad[i]);
	}
}

static void test_segment_ref_of__an_entry_of_a_pack(void **state)
{
	struct pack_entry x = { .off = 1,
		                .stored = 2,
		                .plain = 3,
		                .counter = 4,
		                .key = 5,
		                .compression = COMPRESSION_ZSTD,
		                .kind = CHUNK_NODE };
	uint8_t pack[16];
	struct chunk_ref r;

	(void)state;
	fill_random(1, x.id, sizeof(x.id));
	fill_random(2, pack, sizeof(pack));
	segment_ref_of(&x, pack, &r);
	assert_memory_equal(r.id, x.id, 32);
	assert_memory_equal(r.pack, pack, 16);
	assert_int_equal(r.off, 1);
	assert_int_equal(r.stored, 2);
	assert_int_equal(r.plain, 3);
	assert_int_equal(r.counter, 4);
	assert_int_equal(r.key, 5);
	assert_int_equal(r.compression, COMPRESSION_ZSTD);
	assert_int_equal(r.kind, CHUNK_NODE);
}

/* ---- writing ---- */

static void test_segment_flush__what_was_added_is_there(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(0);
	struct learned l = { 0 };
	auto_fixture struct fixture f = fixture_new();
	auto_segment_writer struct segment_writer *w = writer(&f, 0, &l);
	char **names = NULL;
	size_t n = 0;
	char key[STORE_KEY_MAX + 1];

	(void)state;
	for (uint32_t p = 0; p < 5; p++)
		add_pack(w, p, 10 - p);
	assert_int_equal(segment_pending(w), 40);
	assert_int_equal(object_count(f.store, ""), 0);
	ok(segment_flush(w, e));
	assert_int_equal(segment_pending(w), 0);
	struct segment_view v = fetch(&f, 0, &b);
	assert_int_equal(v.npacks, 5);
	assert_int_equal(v.nentries, 40);
	for (uint32_t i = 0; i < 50; i++) {
		struct chunk_ref r = ref_of(i);

		assert_int_equal(has_chunk(&v, &r), i % 10 < 10 - i / 10);
	}
	assert_int_equal(l.n, 1);
	assert_string_equal(l.names[0], SESSION "-0000");
	assert_int_equal(l.entries[0], 40);
	segment_names(w, &names, &n);
	assert_int_equal(n, 1);
	key_of(&f, 0, key);
	assert_string_equal(names[0], key);
	free_names(names, n);
}

static void test_segment_flush__nothing_pending_writes_nothing(void **state)
{
	struct learned l = { 0 };
	auto_fixture struct fixture f = fixture_new();
	auto_segment_writer struct segment_writer *w = writer(&f, 0, &l);
	struct segment_pack pack = pack_of(1);
	char **names = (char **)&names;
	size_t n = 7;

	(void)state;
	ok(segment_flush(w, e));
	ok(segment_add(w, &pack, NULL, 0, e));
	ok(segment_flush(w, e));
	assert_int_equal(object_count(f.store, ""), 0);
	assert_int_equal(l.n, 0);
	segment_names(w, &names, &n);
	assert_null(names);
	assert_int_equal(n, 0);
}

static void test_segment_writer__splits_when_there_are_enough(void **state)
{
	struct learned l = { 0 };
	auto_fixture struct fixture f = fixture_new();
	auto_segment_writer struct segment_writer *w = writer(&f, 25, &l);
	char **names = NULL;
	size_t n = 0;

	(void)state;
	for (uint32_t p = 0; p < 7; p++)
		add_pack(w, p, 10);
	/* a pack is not split */
	assert_int_equal(l.n, 2);
	assert_int_equal(segment_pending(w), 10);
	ok(segment_flush(w, e));
	assert_int_equal(l.n, 3);
	for (unsigned i = 0; i < 3; i++) {
		CLEANUP(buf_clear) struct buf b = BUF_INIT(0);
		struct segment_view v = fetch(&f, i, &b);

		assert_int_equal(v.npacks, i < 2 ? 3 : 1);
		assert_int_equal(v.nentries, i < 2 ? 30 : 10);
		for (uint32_t p = 0; p < 7; p++)
			assert_int_equal(pack_number(&v, p) != SIZE_MAX, p / 3 == i);
	}
	segment_names(w, &names, &n);
	assert_int_equal(n, 3);
	free_names(names, n);
	/* what was handed over does not come again */
	add_pack(w, 9, 1);
	ok(segment_flush(w, e));
	segment_names(w, &names, &n);
	assert_int_equal(n, 1);
	assert_true(strlen(names[0]) > 5);
	assert_string_equal(names[0] + strlen(names[0]) - 5, "-0003");
	free_names(names, n);
}

static void test_segment_writer__numbers_of_an_earlier_run_are_passed_over(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(0);
	struct learned l = { 0 };
	auto_fixture struct fixture f = fixture_new();
	auto_segment_writer struct segment_writer *w = writer(&f, 0, &l);
	char key[STORE_KEY_MAX + 1];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		key_of(&f, i, key);
		object_set(f.store, key, "taken", 5);
	}
	add_pack(w, 1, 10);
	ok(segment_flush(w, e));
	assert_int_equal(l.n, 1);
	assert_string_equal(l.names[0], SESSION "-0003");
	assert_int_equal(fetch(&f, 3, &b).nentries, 10);
	for (unsigned i = 0; i < 3; i++) {
		key_of(&f, i, key);
		assert_text(f.store, key, "taken");
	}
}

static void test_segment_add__of_one_id_the_smaller_pack_stays(void **state)
{
	auto_fixture struct fixture f = fixture_new();

	(void)state;
	for (int order = 0; order < 2; order++) {
		CLEANUP(buf_clear) struct buf b = BUF_INIT(0);
		auto_segment_writer struct segment_writer *w = writer(&f, 0, NULL);
		struct segment_pack packs[2] = { pack_of(1), pack_of(2) };
		struct chunk_ref refs[2] = { ref_of(10), ref_of(20) };
		struct chunk_ref got;

		memset(packs[0].id, 0x11, 16);
		memset(packs[1].id, 0x22, 16);
		memcpy(refs[1].id, refs[0].id, 32);
		for (size_t i = 0; i < 2; i++)
			memcpy(refs[i].pack, packs[i].id, 16);
		for (size_t i = 0; i < 2; i++) {
			size_t at = order ? 1 - i : i;

			ok(segment_add(w, &packs[at], &refs[at], 1, e));
		}
		ok(segment_flush(w, e));
		struct segment_view v = fetch(&f, (unsigned)order, &b);
		assert_int_equal(v.nentries, 1);
		segment_view_ref(&v, 0, &got);
		assert_true(same_ref(&got, &refs[0]));
	}
}

static void test_segment_add__a_pack_in_parts_is_named_once(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(0);
	auto_fixture struct fixture f = fixture_new();
	auto_segment_writer struct segment_writer *w = writer(&f, 0, NULL);
	struct segment_pack pack = pack_of(1);

	(void)state;
	for (uint32_t i = 0; i < 10; i++) {
		struct chunk_ref r = ref_of(10 + i);

		ok(segment_add(w, &pack, &r, 1, e));
	}
	ok(segment_flush(w, e));
	struct segment_view v = fetch(&f, 0, &b);
	assert_int_equal(v.npacks, 1);
	assert_int_equal(v.nentries, 10);
}

static void test_segment_add_all__only_packs_that_stay(void **state)
{
	static const bool stays[] = { true, false, true };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(0);
	auto_fixture struct fixture f = fixture_new();
	auto_segment_writer struct segment_writer *w = writer(&f, 0, NULL);
	struct segment_pack packs[] = { pack_of(0), pack_of(1), pack_of(2) };
	struct chunk_ref refs[] = { ref_of(21), ref_of(3), ref_of(20), ref_of(0) };

	(void)state;
	ok(segment_add_all(w, packs, stays, 3, refs, 4, e));
	assert_int_equal(segment_pending(w), 4);
	ok(segment_flush(w, e));
	struct segment_view v = fetch(&f, 0, &b);
	assert_int_equal(v.npacks, 2);
	assert_true(pack_number(&v, 0) != SIZE_MAX);
	assert_true(pack_number(&v, 1) == SIZE_MAX);
	assert_true(pack_number(&v, 2) != SIZE_MAX);
	assert_int_equal(v.nentries, 4);
	for (size_t i = 0; i < 4; i++)
		assert_true(has_chunk(&v, &refs[i]));
	/* without a choice all stay */
	struct chunk_ref one = ref_of(11);
	ok(segment_add_all(w, packs, NULL, 3, &one, 1, e));
	ok(segment_flush(w, e));
	buf_clear(&b);
	v = fetch(&f, 1, &b);
	assert_int_equal(v.npacks, 3);
}

static void test_segment_flush__refuses_what_no_reader_would_take(void **state)
{
	struct learned l = { 0 };
	auto_fixture struct fixture f = fixture_new();
	struct segment_pack pack = pack_of(0);

	(void)state;
	for (int i = 0; i < 5; i++) {
		auto_segment_writer struct segment_writer *w = writer(&f, 0, &l);
		struct segment_pack p = pack;
		struct chunk_ref r = ref_of(0);

		if (i == 0)
			r.pack[0] ^= 1; /* of a pack that nobody told */
		if (i == 1)
			r.off = PACK_LEN; /* behind its end */
		if (i == 2)
			r.plain = FORMAT_CHUNK_MAX + 1;
		if (i == 3)
			r.kind = CHUNK_NODE; /* in a data pack */
		if (i == 4)
			p.len = FORMAT_PACK_MAX + 1;
		ok(segment_add(w, &p, &r, 1, e));
		fails(ERR_BUG, segment_flush(w, e));
	}
	assert_int_equal(l.n, 0);
	assert_int_equal(object_count(f.store, ""), 0);
}

static void test_segment_flush__a_store_that_refuses_loses_nothing(void **state)
{
	struct trouble t = { .call = CALL_PUT, .fault = FAULT_QUOTA, .times = 2 };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(0);
	struct learned l = { 0 };
	auto_fixture struct fixture f = fixture_new();
	struct segment_pack pack = pack_of(2);
	struct chunk_ref r = ref_of(20);
	char **names = NULL;
	size_t n = 0;
	struct err err = ERR_INIT;

	(void)state;
	f.store = store_fault_new(f.store, trouble_decide, &t, &err);
	assert_non_null(f.store);
	auto_segment_writer struct segment_writer *w = writer(&f, 11, &l);
	add_pack(w, 1, 10);
	fails(ERR_QUOTA, segment_add(w, &pack, &r, 1, e)); /* there are enough now */
	fails(ERR_QUOTA, segment_flush(w, e));
	assert_int_equal(l.n, 0);
	assert_int_equal(segment_pending(w), 11);
	ok(segment_flush(w, e));
	assert_int_equal(segment_pending(w), 0);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.entries[0], 11);
	segment_names(w, &names, &n);
	assert_int_equal(n, 1);
	struct segment_view v;
	b = BUF_INIT(SEGMENT_PLAIN_MAX);
	ok(segment_fetch(f.store, f.agent, f.domain, names[0], &b, &v, e));
	assert_true(has_chunk(&v, &r));
	free_names(names, n);
}

static void test_segment_writer__who_cannot_sign_is_denied(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	const struct segment_writer_params p = {
		.store = f.store, .keys = f.audit, .domain = f.domain, .session = SESSION
	};
	auto_segment_writer struct segment_writer *w = NULL;

	(void)state;
	ok(segment_writer_new(&p, &w, e));
	add_pack(w, 1, 10);
	fails(ERR_DENIED, segment_flush(w, e));
	assert_int_equal(object_count(f.store, ""), 0);
}

static void test_segment_writer__what_was_not_flushed_is_dropped(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	struct segment_writer *w = writer(&f, 0, NULL);

	(void)state;
	add_pack(w, 1, 10);
	segment_writer_free(w);
	assert_int_equal(object_count(f.store, ""), 0);
	segment_writer_free(NULL);
}

#define THREADS 4
#define PACKS_EACH 30

struct adder {
	struct segment_writer *w;
	uint32_t first;
	bool ok;
};

static void *add_some(void *arg)
{
	struct adder *a = arg;
	struct err e = ERR_INIT;

	a->ok = true;
	for (uint32_t p = a->first; p < a->first + PACKS_EACH; p++) {
		struct segment_pack pack = pack_of(p);
		struct chunk_ref refs[10];

		for (uint32_t i = 0; i < 10; i++)
			refs[i] = ref_of(p * 10 + i);
		a->ok &= segment_add(a->w, &pack, refs, 10, &e) == 0;
		if (p % 11 == 0)
			a->ok &= segment_flush(a->w, &e) == 0;
		(void)segment_pending(a->w);
	}
	return NULL;
}

static void test_segment_add__threads_lose_nothing(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_segment_writer struct segment_writer *w = writer(&f, 70, NULL);
	struct adder adders[THREADS];
	pthread_t threads[THREADS];
	unsigned seen[THREADS * PACKS_EACH] = { 0 };
	size_t entries = 0;
	char **names = NULL;
	size_t n = 0;

	(void)state;
	for (uint32_t i = 0; i < THREADS; i++) {
		adders[i] = (struct adder){ .w = w, .first = i * PACKS_EACH };
		assert_int_equal(pthread_create(&threads[i], NULL, add_some, &adders[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(adders[i].ok);
	}
	ok(segment_flush(w, e));
	segment_names(w, &names, &n);
	assert_int_equal(object_count(f.store, "idx/"), n);
	for (size_t i = 0; i < n; i++) {
		CLEANUP(buf_clear) struct buf b = BUF_INIT(SEGMENT_PLAIN_MAX);
		struct segment_view v;

		ok(segment_fetch(f.store, f.agent, f.domain, names[i], &b, &v, e));
		entries += v.nentries;
		for (uint32_t p = 0; p < ARRAY_LEN(seen); p++)
			seen[p] += pack_number(&v, p) != SIZE_MAX;
	}
	assert_int_equal(entries, THREADS * PACKS_EACH * 10);
	for (size_t p = 0; p < ARRAY_LEN(seen); p++)
		assert_int_equal(seen[p], 1);
	free_names(names, n);
}

/* ---- fetching ---- */

static enum err_class fetch_class(const struct fixture *f, const struct keys *keys, const char *key)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(SEGMENT_PLAIN_MAX);
	struct segment_view v;
	struct err e = ERR_INIT;

	if (segment_fetch(f->store, keys, f->domain, key, &b, &v, &e) == 0)
		return ERR_NONE;
	return e.class;
}

static void test_segment_fetch__damage_and_strangers_are_corrupt(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_segment_writer struct segment_writer *w = writer(&f, 10, NULL);
	struct domain_keys *other = NULL;
	CLEANUP(buf_clear) struct buf strange = BUF_INIT(MIB);
	char key[STORE_KEY_MAX + 1];
	char second[STORE_KEY_MAX + 1];
	size_t n;

	(void)state;
	key_of(&f, 0, key);
	key_of(&f, 1, second);
	assert_int_equal(fetch_class(&f, f.agent, key), ERR_NOT_FOUND);
	add_pack(w, 0, 10);
	add_pack(w, 1, 10);
	assert_int_equal(fetch_class(&f, f.agent, key), ERR_NONE);
	assert_int_equal(fetch_class(&f, f.recovery, key), ERR_NONE);
	assert_int_equal(fetch_class(&f, f.audit, key), ERR_NONE);
	auto_free uint8_t *good = object_get(f.store, key, &n);
	auto_free uint8_t *bad = malloc(n);
	assert_non_null(bad);
	for (size_t at = 0; at < n; at += 5) {
		memcpy(bad, good, n);
		bad[at] ^= 0x40;
		object_set(f.store, key, bad, n);
		assert_int_equal(fetch_class(&f, f.agent, key), at < 8 ? ERR_FORMAT : ERR_CORRUPT);
	}
	/* the place of another one */
	auto_free uint8_t *moved = object_get(f.store, second, &n);
	object_set(f.store, key, moved, n);
	assert_int_equal(fetch_class(&f, f.agent, key), ERR_CORRUPT);
	/* of another domain */
	ok(keys_domain(f.agent, "other", &other, e));
	ok(crypt_object_seal(f.agent, 'I', other->foot, key, "\0\0\0\0\0\0\0\0", 8, &strange, e));
	object_set(f.store, key, strange.data, strange.len);
	assert_int_equal(fetch_class(&f, f.agent, key), ERR_CORRUPT);
	secret_free(other);
	/* by a signer whom nobody knows: that is not the store's refusal */
	struct repo as_repo = { .keys = f.agent };
	struct stranger s;
	stranger_init(&s, &as_repo);
	buf_reset(&strange);
	ok(crypt_object_seal(&s.keys, 'I', f.domain->foot, key, "\0\0\0\0\0\0\0\0", 8, &strange,
	                     e));
	object_set(f.store, key, strange.data, strange.len);
	assert_int_equal(fetch_class(&f, f.agent, key), ERR_CORRUPT);
	/* well sealed, and no segment */
	buf_reset(&strange);
	ok(crypt_object_seal(f.agent, 'I', f.domain->foot, key, "\0\0\0\0\0\0\0", 7, &strange, e));
	object_set(f.store, key, strange.data, strange.len);
	assert_int_equal(fetch_class(&f, f.agent, key), ERR_FORMAT);
}

static void test_segment_fetch__the_stores_failure_is_told(void **state)
{
	struct trouble t = { .call = CALL_GET, .fault = FAULT_DENIED, .times = 1 };
	auto_fixture struct fixture f = fixture_new();
	char key[STORE_KEY_MAX + 1];
	struct err err = ERR_INIT;

	(void)state;
	f.store = store_fault_new(f.store, trouble_decide, &t, &err);
	assert_non_null(f.store);
	auto_segment_writer struct segment_writer *w = writer(&f, 10, NULL);
	add_pack(w, 0, 10);
	key_of(&f, 0, key);
	assert_int_equal(fetch_class(&f, f.agent, key), ERR_DENIED);
	assert_int_equal(fetch_class(&f, f.agent, key), ERR_NONE);
}

/* ---- hostile bytes ---- */

/* A plain segment of a data pack and a node pack with n entries. */
static void plain_segment(struct buf *b, uint32_t n)
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
	(void)buf_u32(b, n);
	memset(id + 16, 1, 16); /* what lies behind the packs looks like a long one */
	for (uint32_t i = 0; i < n; i++) {
		id[0] = (uint8_t)(0x10 + i);
		(void)buf_put(b, id, 32);
		(void)buf_u32(b, i % 2);               /* pack */
		(void)buf_u32(b, i < 2 ? 784 : 67688); /* offset */
		(void)buf_u32(b, 1016);                /* stored */
		(void)buf_u32(b, 1000);                /* plain */
		(void)buf_u32(b, i);                   /* counter */
		(void)buf_u16(b, 0);                   /* key */
		(void)buf_u8(b, COMPRESSION_NONE);
		(void)buf_u8(b, i % 2 ? CHUNK_NODE : CHUNK_DATA);
	}
	assert_false(b->failed);
}

/* Of the pack; 0: the segment does not name it. */
static uint64_t owner_len(const struct segment_view *v, const uint8_t pack[16])
{
	for (uint32_t i = 0; i < v->npacks; i++) {
		struct segment_pack p;

		segment_view_pack(v, i, &p);
		if (memcmp(p.id, pack, sizeof(p.id)) == 0)
			return p.len;
	}
	return 0;
}

/* What was taken is within all bounds. */
static void assert_bounds(const struct segment_view *v)
{
	uint8_t last[32];

	for (uint32_t i = 0; i < v->npacks; i++) {
		struct segment_pack p;

		segment_view_pack(v, i, &p);
		assert_true(p.kind <= CHUNK_NODE && p.len <= FORMAT_PACK_MAX);
	}
	for (uint32_t i = 0; i < v->nentries; i++) {
		struct chunk_ref r;

		segment_view_ref(v, i, &r);
		assert_true(r.plain > 0 && r.plain <= FORMAT_CHUNK_MAX);
		assert_true(r.stored > FORMAT_TAG_BYTES && r.stored <= r.plain + FORMAT_TAG_BYTES);
		assert_true(r.off >= FORMAT_PACK_FIXED_BYTES);
		assert_true((uint64_t)r.off + r.stored + FORMAT_TRAILER_BYTES <=
		            owner_len(v, r.pack));
		assert_true(r.key < FORMAT_KEYS_MAX && r.compression <= COMPRESSION_ZSTD &&
		            r.kind <= CHUNK_NODE);
		assert_true(i == 0 || memcmp(last, r.id, sizeof(last)) < 0);
		memcpy(last, r.id, sizeof(last));
	}
}

static void test_segment_decode__nothing_at_all_is_a_segment(void **state)
{
	static const uint8_t zeros[8];
	struct segment_view v;

	(void)state;
	ok(segment_decode(zeros, 8, &v, e));
	assert_int_equal(v.npacks, 0);
	assert_int_equal(v.nentries, 0);
	fails(ERR_FORMAT, segment_decode(zeros, 7, &v, e));
	fails(ERR_FORMAT, segment_decode(NULL, 0, &v, e));
}

/* 1: it was taken, and is within bounds. */
static unsigned try_decode(const uint8_t *p, size_t n)
{
	struct segment_view v;
	struct err err = ERR_INIT;

	if (segment_decode(p, n, &v, &err) < 0) {
		assert_int_equal(err.class, ERR_FORMAT);
		return 0;
	}
	assert_bounds(&v);
	return 1;
}

static void test_segment_decode__any_change_is_refused_or_within_bounds(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4 * KIB);
	size_t taken = 0;
	size_t tried = 0;

	(void)state;
	plain_segment(&b, 4);
	for (size_t at = 0; at < b.len; at++) {
		uint8_t keep = b.data[at];

		for (unsigned byte = 0; byte < 256; byte++, tried++) {
			b.data[at] = (uint8_t)byte;
			taken += try_decode(b.data, b.len);
		}
		b.data[at] = keep;
	}
	auto_free uint8_t *p = malloc(b.len);
	assert_non_null(p);
	for (uint64_t seed = 0; seed < 20000; seed++, tried++) {
		uint64_t random[4];

		fill_random(seed, random, sizeof(random));
		memcpy(p, b.data, b.len);
		for (size_t i = 0; i < 3; i++)
			p[random[i] % b.len] = (uint8_t)(random[3] >> (8 * i));
		taken += try_decode(p, b.len);
	}
	/* both happen: ids and counters are free, the rest is not */
	assert_true(taken > tried / 10 && taken < tried / 10 * 9);
}

static void test_segment_decode__counts_that_would_overflow(void **state)
{
	static const uint32_t counts[] = { FORMAT_ENTRIES_MAX + 1, 0x04924924, 0x08000000,
		                           0x80000000, UINT32_MAX };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4 * KIB);
	struct segment_view v;

	(void)state;
	plain_segment(&b, 3);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		const size_t places[] = { 0, 4 + 2 * FORMAT_INDEX_PACK_BYTES };

		for (size_t at = 0; at < ARRAY_LEN(places); at++) {
			uint8_t keep[4];

			memcpy(keep, b.data + places[at], 4);
			for (size_t byte = 0; byte < 4; byte++)
				b.data[places[at] + byte] = (uint8_t)(counts[i] >> (8 * byte));
			fails(ERR_FORMAT, segment_decode(b.data, b.len, &v, e));
			memcpy(b.data + places[at], keep, 4);
		}
	}
	ok(segment_decode(b.data, b.len, &v, e));
}

/* Merging what was merged before must not make segments that grow each time. */
static void test_segment_writer__segments_stay_below_twice_the_size(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	struct learned l = { 0 };

	(void)state;
	{
		auto_segment_writer struct segment_writer *w = writer(&f, 10, &l);
		static const uint32_t steps[] = { 9, 10, 19, 2, 19 }; /* entries, of packs of 1 */
		uint32_t next = 0;

		for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
			struct segment_pack packs[20];
			struct chunk_ref refs[20];

			for (uint32_t k = 0; k < steps[i]; k++, next++) {
				packs[k] = pack_of(next);
				refs[k] = ref_of(next * 10);
			}
			ok(segment_add_all(w, packs, NULL, steps[i], refs, steps[i], e));
		}
		ok(segment_flush(w, e));
	}
	assert_int_equal(l.n, 4);
	assert_int_equal(l.entries[0], 19);
	assert_int_equal(l.entries[1], 19);
	assert_int_equal(l.entries[2], 2);
	assert_int_equal(l.entries[3], 19);
}

/* ---- the gate ---- */

#define GATE_BYTES ((uint64_t)32 * MIB)

struct gated {
	struct segment_gate gate;
	uint64_t bytes;          /* of each segment */
	_Atomic uint64_t inside; /* bytes */
	_Atomic bool over;
};

static void *pass_gate(void *arg)
{
	struct gated *g = arg;

	for (unsigned i = 0; i < 200; i++) {
		segment_gate_enter(&g->gate, g->bytes);
		if (atomic_fetch_add(&g->inside, g->bytes) + g->bytes >
		    (g->bytes > GATE_BYTES ? g->bytes : GATE_BYTES))
			atomic_store(&g->over, true);
		(void)sched_yield();
		atomic_fetch_sub(&g->inside, g->bytes);
		segment_gate_leave(&g->gate, g->bytes);
	}
	return NULL;
}

static void test_segment_gate__lets_through_what_fits_and_at_least_one(void **state)
{
	static const uint64_t sizes[] = { 1, 12 * MIB, 32 * MIB, 100 * MIB };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct gated g = { .gate = SEGMENT_GATE_INIT, .bytes = sizes[i] };
		pthread_t threads[6];

		for (size_t k = 0; k < ARRAY_LEN(threads); k++)
			assert_int_equal(pthread_create(&threads[k], NULL, pass_gate, &g), 0);
		for (size_t k = 0; k < ARRAY_LEN(threads); k++)
			assert_int_equal(pthread_join(threads[k], NULL), 0);
		assert_false(g.over);
		assert_int_equal(g.inside, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segment_session__names_of_segments),
		cmocka_unit_test(test_segment_ref_of__an_entry_of_a_pack),
		cmocka_unit_test(test_segment_flush__what_was_added_is_there),
		cmocka_unit_test(test_segment_flush__nothing_pending_writes_nothing),
		cmocka_unit_test(test_segment_writer__splits_when_there_are_enough),
		cmocka_unit_test(test_segment_writer__segments_stay_below_twice_the_size),
		cmocka_unit_test(test_segment_gate__lets_through_what_fits_and_at_least_one),
		cmocka_unit_test(test_segment_writer__numbers_of_an_earlier_run_are_passed_over),
		cmocka_unit_test(test_segment_add__of_one_id_the_smaller_pack_stays),
		cmocka_unit_test(test_segment_add__a_pack_in_parts_is_named_once),
		cmocka_unit_test(test_segment_add_all__only_packs_that_stay),
		cmocka_unit_test(test_segment_flush__refuses_what_no_reader_would_take),
		cmocka_unit_test(test_segment_flush__a_store_that_refuses_loses_nothing),
		cmocka_unit_test(test_segment_writer__who_cannot_sign_is_denied),
		cmocka_unit_test(test_segment_writer__what_was_not_flushed_is_dropped),
		cmocka_unit_test(test_segment_add__threads_lose_nothing),
		cmocka_unit_test(test_segment_fetch__damage_and_strangers_are_corrupt),
		cmocka_unit_test(test_segment_fetch__the_stores_failure_is_told),
		cmocka_unit_test(test_segment_decode__nothing_at_all_is_a_segment),
		cmocka_unit_test(test_segment_decode__any_change_is_refused_or_within_bounds),
		cmocka_unit_test(test_segment_decode__counts_that_would_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
