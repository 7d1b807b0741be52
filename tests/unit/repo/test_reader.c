/* SPDX-License-Identifier: Apache-2.0 */
/* Reading chunks: what is asked of the store, what is delivered, and what damage does. */
#include "repo/reader.h"

#include "common/hex.h"
#include "tests/unit/repo/shelf.h"

/* What was delivered. */
struct delivered {
	struct shelf *shelf;
	pthread_mutex_t lock;
	unsigned count[SHELF_MAX]; /* guarded by lock */
	unsigned exact;            /* guarded by lock; deliveries with the right bytes */
	struct err why[SHELF_MAX]; /* guarded by lock; class NONE: it came */
	unsigned fail_at;          /* this delivery, counted from 1, ends the reading; 0: none */
	unsigned all;              /* guarded by lock */
};

static int deliver(void *ctx, struct reader_want *w, const uint8_t *plain, size_t n,
                   const struct err *why, struct err *e)
{
	struct delivered *s = ctx;
	unsigned i = (unsigned)(uintptr_t)w->arg;
	bool exact = false;

	if (plain) {
		auto_free uint8_t *want = shelf_content(i);

		exact = n == shelf_bytes(i) && memcmp(plain, want, n) == 0;
	}
	pthread_mutex_lock(&s->lock);
	s->count[i]++;
	s->exact += exact;
	if (why)
		s->why[i] = *why;
	bool stop = ++s->all == s->fail_at;
	pthread_mutex_unlock(&s->lock);
	return stop ? err_set(e, ERR_QUOTA, "the disk of this test is full") : 0;
}

static struct reader *open_reader(struct shelf *s, struct delivered *seen,
                                  struct reader_params params)
{
	struct reader *r = NULL;

	*seen = (struct delivered){ .shelf = s, .lock = PTHREAD_MUTEX_INITIALIZER };
	if (!params.threads)
		params.threads = 3;
	ok(reader_open(&s->reading, &params, deliver, seen, &r, e));
	return r;
}

static void submit(struct shelf *s, struct reader *r, unsigned from, unsigned to)
{
	auto_free struct reader_want *wants = calloc(to - from, sizeof(*wants));

	assert_non_null(wants);
	/* backwards: the reader sorts */
	for (unsigned i = from; i < to; i++)
		wants[to - 1 - i] = (struct reader_want){ .ref = s->refs[i],
			                                  .arg = (void *)(uintptr_t)i };
	ok(reader_submit(r, s->domain, wants, to - from, e));
}

/* Reads chunks [from, to) of the shelf. */
static void read_some(struct shelf *s, struct delivered *seen, unsigned from, unsigned to)
{
	struct reader *r = open_reader(s, seen, (struct reader_params){ 0 });

	submit(s, r, from, to);
	ok(reader_drain(r, e));
	reader_free(r);
}

static void assert_all_once(const struct delivered *seen, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(seen->count[i], 1);
		assert_int_equal(seen->why[i].class, ERR_NONE);
	}
	assert_int_equal(seen->exact, n);
}

/* ---- what is delivered, and how it is asked for ---- */

static void test_reader_submit__delivers_every_chunk_once(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;

	(void)state;
	shelf_init(&s, 200, 40);
	read_some(&s, &seen, 0, 200);
	assert_all_once(&seen, 200);
}

static void test_reader_submit__works_with_a_store_far_away(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;

	(void)state;
	shelf_init(&s, 200, 40);
	shelf_far(&s);
	read_some(&s, &seen, 0, 200);
	assert_all_once(&seen, 200);
}

static void test_reader_submit__far_away_one_read_brings_a_pack_with_its_header(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;

	(void)state;
	shelf_init(&s, 30, 30);
	shelf_far(&s);
	read_some(&s, &seen, 0, 30);
	assert_all_once(&seen, 30);
	/* The trailer with its signature is not asked for: ids are computed instead. */
	assert_int_equal(atomic_load(&s.gets), 1);
}

static void test_reader_submit__reads_over_small_gaps(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;

	(void)state;
	shelf_init(&s, 30, 30);
	shelf_far(&s);
	struct reader *r = open_reader(&s, &seen, (struct reader_params){ 0 });
	struct reader_want wants[15];
	for (unsigned i = 0; i < 15; i++)
		wants[i] = (struct reader_want){ .ref = s.refs[2 * i],
			                         .arg = (void *)(uintptr_t)(2 * i) };
	ok(reader_submit(r, s.domain, wants, 15, e));
	ok(reader_drain(r, e));
	assert_int_equal(seen.exact, 15);
	assert_int_equal(atomic_load(&s.gets), 1);
	reader_free(r);
}

static void test_reader_submit__does_not_read_over_large_gaps(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;

	(void)state;
	shelf_init(&s, 100, 100); /* about 2.9 MB in one pack */
	shelf_far(&s);
	struct reader *r = open_reader(&s, &seen, (struct reader_params){ 0 });
	const struct reader_want wants[2] = {
		{ .ref = s.refs[0] },
		{ .ref = s.refs[99], .arg = (void *)(uintptr_t)99 },
	};
	ok(reader_submit(r, s.domain, wants, 2, e));
	ok(reader_drain(r, e));
	assert_int_equal(seen.exact, 2);
	/* two ranges; the header came with one of them, or was read before that */
	assert_in_range(atomic_load(&s.gets), 2, 3);
	reader_free(r);
}

static void test_reader_submit__delivers_a_chunk_as_often_as_it_is_wanted(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;

	(void)state;
	shelf_init(&s, 3, 3);
	struct reader *r = open_reader(&s, &seen, (struct reader_params){ 0 });
	const struct reader_want wants[4] = {
		{ .ref = s.refs[0] },
		{ .ref = s.refs[0] },
		{ .ref = s.refs[0] },
		{ .ref = s.refs[0] },
	};
	ok(reader_submit(r, s.domain, wants, 4, e));
	ok(reader_drain(r, e));
	assert_int_equal(seen.count[0], 4);
	assert_int_equal(seen.exact, 4);
	reader_free(r);
}

static void test_reader_submit__takes_more_while_earlier_ones_are_under_way(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;

	(void)state;
	shelf_init(&s, 300, 50);
	for (int far = 0; far < 2; far++) {
		if (far)
			shelf_far(&s);
		/* less than one range of it at a time, so submitting waits again and again */
		struct reader *r = open_reader(&s, &seen,
		                               (struct reader_params){ .memory = 64 * KIB,
		                                                       .inflight = 4 });

		for (unsigned i = 0; i < 300; i += 30)
			submit(&s, r, i, i + 30);
		ok(reader_drain(r, e));
		assert_all_once(&seen, 300);
		reader_free(r);
	}
}

static void test_reader_submit__counts_what_it_fetches(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;
	_Atomic uint64_t fetched = 0;

	(void)state;
	shelf_init(&s, 1, 1);
	struct reader *r = open_reader(&s, &seen, (struct reader_params){ .fetched = &fetched });
	submit(&s, r, 0, 1);
	ok(reader_drain(r, e));
	assert_int_equal(atomic_load(&fetched), s.refs[0].stored);
	reader_free(r);

	/* from afar with what is before the chunk, for the key */
	shelf_far(&s);
	atomic_store(&fetched, 0);
	r = open_reader(&s, &seen, (struct reader_params){ .fetched = &fetched });
	submit(&s, r, 0, 1);
	ok(reader_drain(r, e));
	assert_int_equal(atomic_load(&fetched), s.refs[0].off + s.refs[0].stored);
	reader_free(r);
}

static void test_reader_submit__refuses_a_place_that_cannot_be(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;

	(void)state;
	shelf_init(&s, 1, 1);
	struct reader *r = open_reader(&s, &seen, (struct reader_params){ 0 });
	for (int i = 0; i < 4; i++) {
		struct reader_want w = { .ref = s.refs[0] };

		if (i == 0)
			w.ref.plain = 0;
		else if (i == 1)
			w.ref.plain = FORMAT_CHUNK_MAX + 1;
		else if (i == 2)
			w.ref.stored = FORMAT_TAG_BYTES;
		else
			w.ref.off = (uint32_t)FORMAT_PACK_MAX - 10;
		fails_saying(ERR_FORMAT, "cannot be", reader_submit(r, s.domain, &w, 1, e));
	}
	reader_free(r);
	assert_int_equal(seen.all, 0);
}

struct wait_for {
	struct delivered *seen;
	unsigned n;
};

static bool has_seen(void *arg)
{
	const struct wait_for *w = arg;

	pthread_mutex_lock(&w->seen->lock);
	bool done = w->seen->all >= w->n;
	pthread_mutex_unlock(&w->seen->lock);
	return done;
}

static void test_reader_wait__returns_when_the_condition_holds(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;

	(void)state;
	shelf_init(&s, 60, 20);
	struct reader *r = open_reader(&s, &seen, (struct reader_params){ 0 });
	struct wait_for w = { .seen = &seen, .n = 60 };
	submit(&s, r, 0, 60);
	ok(reader_wait(r, has_seen, &w, e));
	assert_all_once(&seen, 60);
	reader_free(r);
}

/* ---- damage ---- */

static void flip(struct shelf *s, unsigned i, uint32_t at)
{
	char name[PACK_KEY_MAX];

	pack_key_name(name, s->refs[i].pack, s->refs[i].kind);
	kit_flip(&s->kit, name, s->refs[i].off + at);
}

static void test_reader_submit__one_damaged_chunk_costs_only_itself(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;

	(void)state;
	shelf_init(&s, 20, 10);
	flip(&s, 4, 100);
	for (int far = 0; far < 2; far++) {
		if (far)
			shelf_far(&s);
		read_some(&s, &seen, 0, 20);
		assert_int_equal(seen.exact, 19);
		assert_int_equal(seen.count[4], 1);
		assert_int_equal(seen.why[4].class, ERR_CORRUPT);
		assert_non_null(strstr(seen.why[4].msg, "is damaged"));
		assert_non_null(strstr(seen.why[4].msg, hex_of32(s.refs[4].id).s));
	}
}

static void test_reader_submit__reads_again_what_was_hurt_on_its_way(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;

	(void)state;
	shelf_init(&s, 10, 10);
	shelf_disturb(&s, FAULT_FLIP, 1, &s.refs[0]);
	read_some(&s, &seen, 0, 10);
	assert_int_equal(atomic_load(&s.faults), 0);
	assert_all_once(&seen, 10);
}

static void test_reader_submit__finds_chunks_of_a_pack_that_is_gone(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;
	struct chunk_ref moved[20];
	char name[PACK_KEY_MAX];

	(void)state;
	shelf_init(&s, 40, 20);
	shelf_copy(&s, 0, 20, moved);
	shelf_index(&s, 'a', moved, 20);
	pack_key_name(name, s.refs[0].pack, CHUNK_DATA);
	kit_remove(&s.kit, name);
	for (int far = 0; far < 2; far++) {
		if (far)
			shelf_far(&s);
		read_some(&s, &seen, 0, 40);
		assert_all_once(&seen, 40);
	}
}

static void test_reader_submit__finds_every_copy_of_a_damaged_chunk(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;
	struct chunk_ref second[10], third[10];
	char name[PACK_KEY_MAX];

	(void)state;
	shelf_init(&s, 10, 10);
	shelf_copy(&s, 0, 10, second);
	shelf_copy(&s, 0, 10, third);
	/* whichever of the three the index names first, two of them are damaged */
	shelf_index(&s, 'a', s.refs, 10);
	shelf_index(&s, 'b', second, 10);
	shelf_index(&s, 'c', third, 10);
	flip(&s, 3, 5);
	pack_key_name(name, second[3].pack, CHUNK_DATA);
	kit_flip(&s.kit, name, second[3].off + 5);
	read_some(&s, &seen, 0, 10);
	assert_all_once(&seen, 10);
}

static void test_reader_submit__says_when_a_pack_is_gone_for_good(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;
	char name[PACK_KEY_MAX];

	(void)state;
	shelf_init(&s, 20, 10);
	pack_key_name(name, s.refs[10].pack, CHUNK_DATA);
	kit_remove(&s.kit, name);
	read_some(&s, &seen, 0, 20);
	assert_int_equal(seen.exact, 10);
	for (unsigned i = 10; i < 20; i++) {
		assert_int_equal(seen.count[i], 1);
		assert_int_equal(seen.why[i].class, ERR_NOT_FOUND);
	}
}

static void test_reader_submit__a_pack_cut_short_loses_what_was_cut(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;
	char name[PACK_KEY_MAX];
	size_t n;

	(void)state;
	shelf_init(&s, 10, 10);
	pack_key_name(name, s.refs[0].pack, CHUNK_DATA);
	free(kit_get(&s.kit, name, &n));
	kit_cut(&s.kit, name, n - s.refs[7].off - 10);
	read_some(&s, &seen, 0, 10);
	assert_int_equal(seen.exact, 7);
	for (unsigned i = 7; i < 10; i++)
		assert_int_equal(seen.why[i].class, ERR_CORRUPT);
}

static void test_reader_submit__notices_swapped_packs(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;
	char a[PACK_KEY_MAX], b[PACK_KEY_MAX];

	(void)state;
	shelf_init(&s, 20, 10);
	pack_key_name(a, s.refs[0].pack, CHUNK_DATA);
	pack_key_name(b, s.refs[10].pack, CHUNK_DATA);
	kit_swap(&s.kit, a, b);
	read_some(&s, &seen, 0, 20);
	assert_int_equal(seen.exact, 0);
	for (unsigned i = 0; i < 20; i++)
		assert_true(seen.why[i].class == ERR_CORRUPT || seen.why[i].class == ERR_FORMAT);
}

static void test_reader_submit__refuses_packs_of_another_domain(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;
	struct domain_keys *other = NULL;

	(void)state;
	shelf_init(&s, 1, 1);
	ok(keys_domain(s.kit.recovery->keys, "another", &other, e));
	struct reader *r = open_reader(&s, &seen, (struct reader_params){ 0 });
	const struct reader_want w = { .ref = s.refs[0] };
	ok(reader_submit(r, other, &w, 1, e));
	ok(reader_drain(r, e));
	assert_int_equal(seen.why[0].class, ERR_CORRUPT);
	assert_non_null(strstr(seen.why[0].msg, "another dedup domain"));
	reader_free(r);
	secret_free(other);
}

static void test_reader_submit__rehash_finds_a_chunk_under_the_wrong_id(void **state)
{
	auto_shelf struct shelf s;
	struct shelf_pack p;
	struct delivered seen;
	auto_free uint8_t *plain = shelf_content(0);

	(void)state;
	shelf_init(&s, 2, 2);
	/* authentic, with the content of chunk 0 under the id of chunk 1 */
	shelf_pack_begin(&s, &p);
	shelf_store(&p, plain, shelf_bytes(0), &s.refs[1]);
	s.refs[0] = s.refs[1];
	shelf_pack_end(&s, &p);

	read_some(&s, &seen, 0, 1);
	assert_int_equal(seen.exact, 1);
	struct reader *r = open_reader(&s, &seen, (struct reader_params){ .rehash = true });
	submit(&s, r, 0, 1);
	ok(reader_drain(r, e));
	assert_int_equal(seen.why[0].class, ERR_CORRUPT);
	assert_non_null(strstr(seen.why[0].msg, "holds other bytes"));
	reader_free(r);
}

static void test_reader_submit__a_key_that_nobody_signed_for_proves_nothing(void **state)
{
	auto_shelf struct shelf s;
	struct shelf_pack p;
	struct delivered seen;
	auto_free uint8_t *plain = shelf_content(0);
	char name[PACK_KEY_MAX];
	size_t n;

	(void)state;
	shelf_init(&s, 2, 2);
	/* as above, but the pack's trailer, and so its signature, is cut off */
	shelf_pack_begin(&s, &p);
	shelf_store(&p, plain, shelf_bytes(0), &s.refs[1]);
	s.refs[0] = s.refs[1];
	shelf_pack_end(&s, &p);
	pack_key_name(name, s.refs[0].pack, CHUNK_DATA);
	free(kit_get(&s.kit, name, &n));
	kit_cut(&s.kit, name, 1);

	read_some(&s, &seen, 0, 1);
	assert_int_equal(seen.exact, 0);
	assert_int_equal(seen.why[0].class, ERR_CORRUPT);
}

/* ---- keys, stores and callers that fail ---- */

static void test_reader_submit__an_agent_key_reads_no_data(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;

	(void)state;
	shelf_init(&s, 5, 5);
	s.reading.keys = s.kit.agent->keys;
	read_some(&s, &seen, 0, 5);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(seen.why[i].class, ERR_DENIED);
}

static void test_reader_submit__hands_the_error_of_the_store_on(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;

	(void)state;
	shelf_init(&s, 20, 10);
	for (int far = 0; far < 2; far++) {
		if (far)
			shelf_far(&s);
		shelf_disturb(&s, FAULT_FAIL, 1000, &s.refs[10]);
		read_some(&s, &seen, 0, 20);
		assert_int_equal(seen.exact, 10);
		for (unsigned i = 10; i < 20; i++)
			assert_int_equal(seen.why[i].class, ERR_RETRY);
	}
}

static void test_reader_drain__gives_the_error_of_a_delivery(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;

	(void)state;
	shelf_init(&s, 100, 10);
	for (int far = 0; far < 2; far++) {
		if (far)
			shelf_far(&s);
		struct reader *r = open_reader(&s, &seen, (struct reader_params){ 0 });
		struct wait_for never = { .seen = &seen, .n = 1000 };

		seen.fail_at = 7;
		/* the first call that meets it may be this one already */
		struct err early = ERR_INIT;
		for (unsigned i = 0; i < 100 && early.class == ERR_NONE; i++) {
			const struct reader_want one = { .ref = s.refs[i],
				                         .arg = (void *)(uintptr_t)i };

			if (reader_submit(r, s.domain, &one, 1, &early) < 0)
				assert_int_equal(early.class, ERR_QUOTA);
		}
		fails_saying(ERR_QUOTA, "disk of this test", reader_drain(r, e));
		fails_saying(ERR_QUOTA, "disk of this test", reader_wait(r, has_seen, &never, e));
		const struct reader_want w = { .ref = s.refs[0] };
		fails_saying(ERR_QUOTA, "disk of this test", reader_submit(r, s.domain, &w, 1, e));
		reader_free(r);
		assert_true(seen.all < 100);
	}
}

static void test_reader_drain__ends_when_cancelled(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;
	struct cancel cancel;

	(void)state;
	shelf_init(&s, 20, 5);
	assert_int_equal(cancel_init(&cancel), 0);
	s.reading.cancel = &cancel;
	for (int far = 0; far < 2; far++) {
		if (far)
			shelf_far(&s);
		struct reader *r = open_reader(&s, &seen, (struct reader_params){ 0 });
		struct err err = ERR_INIT;

		cancel_request(&cancel);
		auto_free struct reader_want *wants = calloc(20, sizeof(*wants));
		for (unsigned i = 0; i < 20; i++)
			wants[i] = (struct reader_want){ .ref = s.refs[i],
				                         .arg = (void *)(uintptr_t)i };
		/* either may meet it first */
		if (reader_submit(r, s.domain, wants, 20, &err) == 0)
			assert_int_equal(reader_drain(r, &err), -1);
		assert_int_equal(err.class, ERR_CANCELLED);
		reader_free(r);
	}
	cancel_clear(&cancel);
}

static void test_reader_free__ends_what_is_under_way(void **state)
{
	auto_shelf struct shelf s;
	struct delivered seen;

	(void)state;
	shelf_init(&s, 200, 10);
	for (int far = 0; far < 2; far++) {
		if (far)
			shelf_far(&s);
		struct reader *r = open_reader(&s, &seen, (struct reader_params){ 0 });

		submit(&s, r, 0, 200);
		reader_free(r);
	}
	reader_free(NULL);
}

/* ---- one at a time ---- */

static void test_reader_chunk__gives_the_bytes(void **state)
{
	auto_shelf struct shelf s;
	struct reader *r = NULL;
	const struct reader_params params = { 0 };

	(void)state;
	shelf_init(&s, 10, 5);
	ok(reader_open(&s.reading, &params, NULL, NULL, &r, e));
	for (unsigned i = 0; i < 10; i++) {
		auto_free uint8_t *got = calloc(1, shelf_bytes(i));
		auto_free uint8_t *want = shelf_content(i);

		ok(reader_chunk(r, s.domain, &s.refs[i], got, e));
		assert_memory_equal(got, want, shelf_bytes(i));
	}
	reader_free(r);
}

static void test_reader_chunk__tries_again_and_elsewhere(void **state)
{
	auto_shelf struct shelf s;
	struct reader *r = NULL;
	const struct reader_params params = { 0 };
	struct chunk_ref moved[5];
	auto_free uint8_t *got = calloc(1, 50000);

	(void)state;
	shelf_init(&s, 5, 5);
	ok(reader_open(&s.reading, &params, NULL, NULL, &r, e));
	ok(reader_chunk(r, s.domain, &s.refs[0], got, e));
	shelf_disturb(&s, FAULT_FLIP, 1, NULL);
	ok(reader_chunk(r, s.domain, &s.refs[1], got, e));
	reader_free(r);
	r = NULL;

	flip(&s, 2, 9);
	ok(reader_open(&s.reading, &params, NULL, NULL, &r, e));
	fails_saying(ERR_CORRUPT, "is damaged", reader_chunk(r, s.domain, &s.refs[2], got, e));
	reader_free(r);
	r = NULL;

	shelf_copy(&s, 0, 5, moved);
	shelf_index(&s, 'a', moved, 5);
	ok(reader_open(&s.reading, &params, NULL, NULL, &r, e));
	ok(reader_chunk(r, s.domain, &s.refs[2], got, e));
	auto_free uint8_t *want = shelf_content(2);
	assert_memory_equal(got, want, shelf_bytes(2));
	reader_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reader_submit__delivers_every_chunk_once),
		cmocka_unit_test(test_reader_submit__works_with_a_store_far_away),
		cmocka_unit_test(
			test_reader_submit__far_away_one_read_brings_a_pack_with_its_header),
		cmocka_unit_test(test_reader_submit__reads_over_small_gaps),
		cmocka_unit_test(test_reader_submit__does_not_read_over_large_gaps),
		cmocka_unit_test(test_reader_submit__delivers_a_chunk_as_often_as_it_is_wanted),
		cmocka_unit_test(test_reader_submit__takes_more_while_earlier_ones_are_under_way),
		cmocka_unit_test(test_reader_submit__counts_what_it_fetches),
		cmocka_unit_test(test_reader_submit__refuses_a_place_that_cannot_be),
		cmocka_unit_test(test_reader_wait__returns_when_the_condition_holds),
		cmocka_unit_test(test_reader_submit__one_damaged_chunk_costs_only_itself),
		cmocka_unit_test(test_reader_submit__reads_again_what_was_hurt_on_its_way),
		cmocka_unit_test(test_reader_submit__finds_chunks_of_a_pack_that_is_gone),
		cmocka_unit_test(test_reader_submit__finds_every_copy_of_a_damaged_chunk),
		cmocka_unit_test(test_reader_submit__says_when_a_pack_is_gone_for_good),
		cmocka_unit_test(test_reader_submit__a_pack_cut_short_loses_what_was_cut),
		cmocka_unit_test(test_reader_submit__notices_swapped_packs),
		cmocka_unit_test(test_reader_submit__refuses_packs_of_another_domain),
		cmocka_unit_test(test_reader_submit__rehash_finds_a_chunk_under_the_wrong_id),
		cmocka_unit_test(test_reader_submit__a_key_that_nobody_signed_for_proves_nothing),
		cmocka_unit_test(test_reader_submit__an_agent_key_reads_no_data),
		cmocka_unit_test(test_reader_submit__hands_the_error_of_the_store_on),
		cmocka_unit_test(test_reader_drain__gives_the_error_of_a_delivery),
		cmocka_unit_test(test_reader_drain__ends_when_cancelled),
		cmocka_unit_test(test_reader_free__ends_what_is_under_way),
		cmocka_unit_test(test_reader_chunk__gives_the_bytes),
		cmocka_unit_test(test_reader_chunk__tries_again_and_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
