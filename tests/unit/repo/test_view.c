/* SPDX-License-Identifier: Apache-2.0 */
/* What a session may rely on: read in order, and nothing at all when a list cannot be read. */
#include "repo/view.h"

#include "repo/session.h"
#include "tests/unit/repo/note_kit.h"

#define PART(p) (1U << (p))

#define auto_view CLEANUP(view_clear)

static const struct point_volume volume = { .name = "data" };

static struct pack_name pack_of(unsigned n)
{
	struct pack_name p = { .kind = n % 2 ? CHUNK_NODE : CHUNK_DATA };

	fill_random(n, p.id, sizeof(p.id));
	return p;
}

/* Puts a part that names one pack. */
static void put_part(const struct kit *k, uint64_t n, enum collection_part part, unsigned pack)
{
	CLEANUP(collection_list_clear) struct collection_list l = { 0 };
	struct pack_name p = pack_of(pack);

	ok(pack_list_add(&l.packs, p.kind, p.id, e));
	ok(collection_put(k->agent, n, part, &l, NULL, e));
}

static void remove_part(const struct kit *k, uint64_t n, enum collection_part part)
{
	char key[64];

	collection_key(n, part, key);
	kit_remove(k, key);
}

static bool is_absent(const struct view *v, unsigned pack)
{
	struct pack_name p = pack_of(pack);

	return pack_list_has(&v->absent.packs, p.kind, p.id);
}

/* Exactly these packs are absent. */
static void assert_absent_packs(const struct kit *k, unsigned packs)
{
	auto_view struct view v = { 0 };

	ok(view_load(k->audit, &v, e));
	for (unsigned n = 0; n < 8; n++) {
		if (is_absent(&v, n) != ((packs & 1U << n) != 0))
			fail_msg("pack %u is %sabsent", n, is_absent(&v, n) ? "" : "not ");
	}
	assert_int_equal(v.absent.packs.n, (unsigned)__builtin_popcount(packs));
}

static void test_view_load__of_a_new_repository(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_view struct view v = { 0 };

	(void)state;
	ok(view_load(k.audit, &v, e));
	assert_int_equal(v.collection.done, 0);
	assert_int_equal(v.collection.open, 0);
	assert_int_equal(v.absent.packs.n, 0);
	assert_int_equal(v.absent.nplaces, 0);
	assert_int_equal(v.commits.n, 0);
}

static void test_view_load__packs_of_the_collection_that_is_under_way(void **state)
{
	auto_kit struct kit k = kit_new();

	(void)state;
	put_part(&k, 1, COLLECTION_CONDEMN, 1);
	assert_absent_packs(&k, 1U << 1);
	put_part(&k, 1, COLLECTION_SESSIONS, 2);
	assert_absent_packs(&k, 1U << 1);
	/* the final one decides: what it released is there again */
	put_part(&k, 1, COLLECTION_FINAL, 3);
	assert_absent_packs(&k, 1U << 3);
	put_part(&k, 1, COLLECTION_LIVE, 5);
	put_part(&k, 1, COLLECTION_DONE, 6);
	/* for ever */
	assert_absent_packs(&k, 1U << 3);
	/* with the next one both count */
	put_part(&k, 2, COLLECTION_CONDEMN, 7);
	assert_absent_packs(&k, 1U << 3 | 1U << 7);
	put_part(&k, 2, COLLECTION_FINAL, 0);
	assert_absent_packs(&k, 1U << 3 | 1U << 0);
	put_part(&k, 2, COLLECTION_DONE, 6);
	assert_absent_packs(&k, 1U << 3 | 1U << 0);
}

static void test_view_load__places_that_were_found_damaged(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_view struct view v = { 0 };
	struct place places[3];

	(void)state;
	put_part(&k, 1, COLLECTION_CONDEMN, 1);
	for (unsigned i = 0; i < 3; i++) {
		places[2 - i] = (struct place){ .pack = pack_of(5 + i), .off = 100 * i };
		ok(damage_put(k.agent, &places[2 - i], 1, e));
	}
	ok(view_load(k.audit, &v, e));
	assert_true(is_absent(&v, 1));
	for (unsigned i = 0; i < 3; i++) {
		struct chunk_ref r = { .kind = pack_of(5 + i).kind, .off = 100 * i };

		memcpy(r.pack, pack_of(5 + i).id, 16);
		assert_true(absent_has(&v.absent, &r));
		r.off++;
		assert_false(absent_has(&v.absent, &r));
	}
}

static void test_view_load__commits(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_view struct view v = { 0 };
	auto_kit_point struct point p = kit_commit(&k, &volume, 1, NULL);
	enum session_end end;
	char fenced[96];
	char open[96];

	(void)state;
	kit_session(&k, &volume, 2, fenced);
	kit_session(&k, &volume, 3, open);
	kit_put_marker(&k, open);
	ok(session_abort(k.agent, fenced, "test", &end, e));
	ok(view_load(k.audit, &v, e));
	assert_int_equal(v.commits.n, 2);
	assert_int_equal(view_segment(&v.commits, NULL, p.session), SEGMENT_SETTLED);
	assert_int_equal(view_segment(&v.commits, NULL, fenced), SEGMENT_VOID);
	assert_int_equal(view_segment(&v.commits, NULL, open), SEGMENT_TENTATIVE);
}

/* ---- order ---- */

struct order {
	struct buf text;
};

static enum store_fault note_order(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct order *o = arg;

	(void)n;
	if (call == CALL_LIST || call == CALL_GET)
		(void)buf_printf(&o->text, "%s %.10s\n", call == CALL_LIST ? "list" : "get", key);
	return FAULT_NONE;
}

static void test_view_load__reads_in_the_order_of_the_protocol(void **state)
{
	struct order o = { .text = BUF_INIT(4 * KIB) };
	struct place place = { .pack = pack_of(5) };
	auto_kit struct kit k = kit_new();
	auto_view struct view v = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	put_part(&k, 1, COLLECTION_FINAL, 4);
	put_part(&k, 1, COLLECTION_DONE, 6);
	put_part(&k, 2, COLLECTION_CONDEMN, 1);
	ok(damage_put(k.agent, &place, 1, e));
	kit_use_store(&k, store_fault_new(k.store, note_order, &o, &err));
	ok(view_load(k.audit, &v, e));
	/* marks of damage and the state of the collection by one list, and commits last */
	assert_string_equal(buf_cstr(&o.text), "list ctl/\n"
	                                       "get ctl/damage\n"
	                                       "get ctl/gc/000\n"
	                                       "get ctl/gc/000\n"
	                                       "list commit/\n");
	buf_clear(&o.text);
}

/* ---- lists that cannot be read ---- */

static void test_view_load__a_list_that_does_not_open_is_corrupt(void **state)
{
	static const enum collection_part parts[] = { COLLECTION_CONDEMN, COLLECTION_FINAL };
	auto_kit struct kit k = kit_new();
	struct stranger s;

	(void)state;
	stranger_init(&s, k.agent);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const struct collection_list none = { 0 };
		struct view v = { 0 };
		char key[64];
		size_t n;

		put_part(&k, 1, parts[i], 1);
		collection_key(1, parts[i], key);
		auto_free uint8_t *good = kit_get(&k, key, &n);
		/* tampered with, of another kind, by a stranger */
		kit_flip(&k, key, -80);
		fails_saying(ERR_CORRUPT, key, view_load(k.audit, &v, e));
		kit_replace(&k, key, (const uint8_t *)"no list", 7);
		fails_saying(ERR_CORRUPT, key, view_load(k.audit, &v, e));
		kit_remove(&k, key);
		ok(collection_put(&s.repo, 1, parts[i], &none, NULL, e));
		fails_saying(ERR_CORRUPT, key, view_load(k.audit, &v, e));
		kit_replace(&k, key, good, n);
		ok(view_load(k.audit, &v, e));
		view_clear(&v);
		kit_remove(&k, key);
	}
}

static void test_view_load__a_final_that_does_not_open_is_covered_by_its_condemn(void **state)
{
	auto_kit struct kit k = kit_new();
	char key[64];

	(void)state;
	put_part(&k, 1, COLLECTION_CONDEMN, 1);
	put_part(&k, 1, COLLECTION_FINAL, 1);
	collection_key(1, COLLECTION_FINAL, key);
	kit_flip(&k, key, -80);
	assert_absent_packs(&k, 1U << 1);
	/* Once it is done, that is the second line of defence only. */
	put_part(&k, 1, COLLECTION_DONE, 6);
	assert_absent_packs(&k, 0);
}

static void test_view_load__a_list_over_all_limits_is_corrupt(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_free uint8_t *p = calloc(1, NOTE_LIST_MAX + NOTE_ENVELOPE_BYTES + 1);
	struct iovec iov = { .iov_base = p, .iov_len = NOTE_LIST_MAX + NOTE_ENVELOPE_BYTES + 1 };
	struct view v = { 0 };

	(void)state;
	assert_non_null(p);
	ok(store_put(k.store, "ctl/gc/00000001/condemn", &iov, 1, e));
	fails_saying(ERR_CORRUPT, "ctl/gc/00000001/condemn", view_load(k.audit, &v, e));
}

static void test_view_load__a_contradiction_is_corrupt(void **state)
{
	auto_kit struct kit k = kit_new();
	struct view v = { 0 };

	(void)state;
	put_part(&k, 1, COLLECTION_FINAL, 1);
	put_part(&k, 2, COLLECTION_CONDEMN, 2);
	fails(ERR_CORRUPT, view_load(k.audit, &v, e));
}

static void test_view_load__a_list_that_went_meanwhile_is_read_again(void **state)
{
	struct trouble t = { .call = CALL_GET, .prefix = "ctl/gc/", .fault = FAULT_GONE };
	auto_kit struct kit k = kit_new();
	struct view v = { 0 };

	(void)state;
	put_part(&k, 1, COLLECTION_CONDEMN, 1);
	kit_trouble(&k, &t);
	for (unsigned times = 1; times <= 4; times++) {
		t.calls = 0;
		t.times = times;
		ok(view_load(k.audit, &v, e));
		assert_true(is_absent(&v, 1));
		assert_int_equal(v.absent.packs.n, 1);
		view_clear(&v);
	}
	/* but not for ever */
	t.calls = 0;
	t.times = UINT_MAX;
	v = (struct view){ 0 };
	fails(ERR_NOT_FOUND, view_load(k.audit, &v, e));
	assert_true(t.calls < 100);
}

/* The collection comes to its end between the list and the read of what is condemned. */
struct ending {
	const struct kit *k;
	bool ended;
};

static enum store_fault end_it(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct ending *x = arg;

	(void)n;
	if (call == CALL_HEAD && strstr(key, "condemn") && !x->ended) {
		x->ended = true;
		put_part(x->k, 1, COLLECTION_FINAL, 2);
		put_part(x->k, 1, COLLECTION_DONE, 4);
		remove_part(x->k, 1, COLLECTION_CONDEMN);
	}
	return FAULT_NONE;
}

static void test_view_load__a_collection_that_ends_meanwhile(void **state)
{
	auto_kit struct kit k = kit_new();
	struct ending x = { .k = &k };
	struct err err = ERR_INIT;

	(void)state;
	put_part(&k, 1, COLLECTION_CONDEMN, 1);
	kit_use_store(&k, store_fault_new(k.store, end_it, &x, &err));
	assert_absent_packs(&k, 1U << 2);
	assert_true(x.ended);
}

static void test_view_load__the_stores_failure_is_told(void **state)
{
	static const struct trouble plans[] = {
		{ .call = CALL_LIST, .prefix = "ctl/", .fault = FAULT_FAIL, .times = 1 },
		{ .call = CALL_GET, .prefix = "ctl/gc/", .fault = FAULT_FAIL, .times = 1 },
		{ .call = CALL_GET,
		  .prefix = "ctl/gc/",
		  .fault = FAULT_FAIL,
		  .skip = 1,
		  .times = 1 },
		{ .call = CALL_GET, .prefix = "ctl/damage/", .fault = FAULT_FAIL, .times = 1 },
		{ .call = CALL_LIST, .prefix = "commit/", .fault = FAULT_FAIL, .times = 1 },
	};
	struct place place = { .pack = pack_of(5) };
	struct trouble t = { 0 };
	auto_kit struct kit k = kit_new();

	(void)state;
	put_part(&k, 1, COLLECTION_FINAL, 4);
	put_part(&k, 1, COLLECTION_DONE, 6);
	put_part(&k, 2, COLLECTION_CONDEMN, 1);
	ok(damage_put(k.agent, &place, 1, e));
	kit_trouble(&k, &t);
	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		struct view v = { 0 };

		t = plans[i];
		fails(ERR_RETRY, view_load(k.audit, &v, e));
		assert_int_equal(t.calls, t.skip + 1);
		assert_int_equal(v.absent.packs.n, 0); /* nothing to clear */
		ok(view_load(k.audit, &v, e));
		view_clear(&v);
	}
}

/* ---- segments ---- */

static void test_view_segment__what_it_counts_for(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(commit_list_clear) struct commit_list commits = { 0 };
	CLEANUP(marker_list_clear) struct marker_list markers = { 0 };
	/* by number: committed, maintenance, fenced, at work, beats without a marker, unknown */
	static const enum segment_state want[] = {
		SEGMENT_SETTLED,   SEGMENT_SETTLED, SEGMENT_VOID,
		SEGMENT_TENTATIVE, SEGMENT_VOID,    SEGMENT_VOID
	};
	static const enum segment_state unmarked[] = { SEGMENT_SETTLED,   SEGMENT_SETTLED,
		                                       SEGMENT_VOID,      SEGMENT_TENTATIVE,
		                                       SEGMENT_TENTATIVE, SEGMENT_TENTATIVE };
	char sessions[6][96];
	enum session_end end;

	(void)state;
	ok(session_begin(k.agent, &volume, "d", sessions[0], e));
	ok(session_begin_maintenance(k.agent, "index", sessions[1], e));
	ok(session_begin(k.agent, &volume, "d", sessions[2], e));
	ok(session_begin(k.agent, &volume, "d", sessions[3], e));
	for (unsigned i = 4; i < 6; i++)
		kit_session(&k, &volume, i, sessions[i]);
	ok(session_beat(k.agent, sessions[4], 1, e));
	ok(session_commit_index(k.agent, sessions[1], "index", NULL, 0, e));
	ok(session_abort(k.agent, sessions[2], "test", &end, e));
	char key[NOTE_KEY_MAX];
	(void)snprintf(key, sizeof(key), "commit/%s", sessions[0]);
	note_kit_text(k.agent, 'R', key, "{}");
	ok(commit_list_load(k.store, &commits, e));
	ok(marker_list_load(k.store, &markers, e));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_int_equal(view_segment(&commits, &markers, sessions[i]), want[i]);
		assert_int_equal(view_segment(&commits, NULL, sessions[i]), unmarked[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_view_load__of_a_new_repository),
		cmocka_unit_test(test_view_load__packs_of_the_collection_that_is_under_way),
		cmocka_unit_test(test_view_load__places_that_were_found_damaged),
		cmocka_unit_test(test_view_load__commits),
		cmocka_unit_test(test_view_load__reads_in_the_order_of_the_protocol),
		cmocka_unit_test(test_view_load__a_list_that_does_not_open_is_corrupt),
		cmocka_unit_test(
			test_view_load__a_final_that_does_not_open_is_covered_by_its_condemn),
		cmocka_unit_test(test_view_load__a_list_over_all_limits_is_corrupt),
		cmocka_unit_test(test_view_load__a_contradiction_is_corrupt),
		cmocka_unit_test(test_view_load__a_list_that_went_meanwhile_is_read_again),
		cmocka_unit_test(test_view_load__a_collection_that_ends_meanwhile),
		cmocka_unit_test(test_view_load__the_stores_failure_is_told),
		cmocka_unit_test(test_view_segment__what_it_counts_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
