/* SPDX-License-Identifier: Apache-2.0 */
/* Taking over what a fenced run uploaded: only of its volume, and only what is really there. */
#include "repo/adopt.h"

#include "tests/unit/repo/note_kit.h"

#define PACK_LEN ((size_t)70000)
#define EACH 5 /* chunks of a pack */

static const struct point_volume volume = { .name = "data" };
static const struct point_volume other_volume = { .name = "other" };

/* Chunk number n, of pack n / EACH. Odd packs are of nodes. */
static struct chunk_ref ref_of(unsigned n)
{
	struct chunk_ref r = { .kind = n / EACH % 2 ? CHUNK_NODE : CHUNK_DATA };

	fill_random(n, r.id, sizeof(r.id));
	fill_random(1000000 + n / EACH, r.pack, sizeof(r.pack));
	r.off = 1000 + n % EACH * 5000;
	r.plain = 4000;
	r.stored = r.plain + FORMAT_TAG_BYTES;
	r.counter = n % EACH;
	return r;
}

static uint64_t pack_len(void *arg, const uint8_t pack[16])
{
	(void)arg;
	(void)pack;
	return PACK_LEN;
}

static void pack_key_of(unsigned pack, char ret[PACK_KEY_MAX])
{
	struct chunk_ref r = ref_of(pack * EACH);

	pack_key_name(ret, r.pack, r.kind);
}

static void put_pack(const struct kit *k, unsigned pack, size_t len)
{
	auto_free uint8_t *p = calloc(1, len);
	char key[PACK_KEY_MAX];

	assert_non_null(p);
	pack_key_of(pack, key);
	ok(put_bytes(k->store, key, p, len, e));
}

static void put_refs(const struct kit *k, const struct domain_keys *domain, const char *session,
                     struct segment_refs *l)
{
	char **names = NULL;
	size_t n = 0;

	ok(segment_refs_write(k->store, k->agent->keys, domain, session, l, pack_len, NULL, NULL,
	                      &names, &n, e));
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

/* A segment of the session, with the packs from..to. */
static void put_segment(const struct kit *k, const struct domain_keys *domain, const char *session,
                        unsigned from, unsigned to)
{
	CLEANUP(segment_refs_clear) struct segment_refs l = { 0 };

	for (unsigned n = from * EACH; n < to * EACH; n++) {
		struct chunk_ref r = ref_of(n);

		segment_refs_add(&l, &r);
	}
	put_refs(k, domain, session, &l);
}

static void fence(const struct kit *k, const char *session)
{
	enum session_end end;

	ok(session_abort(k->agent, session, "test", &end, e));
	assert_int_equal(end, SESSION_ABORTED);
}

/* A repository in which session 1 of the volume was fenced after it had uploaded packs. */
struct world {
	struct kit k;
	struct domain_keys *domain;
	char fenced[96];
	/* of the session that adopts */
	char session[96];
	struct view view;
	struct index *index;
	struct segment_writer *to;
	uint64_t adopted;
};

static void world_end(struct world *w)
{
	segment_writer_free(w->to);
	index_free(w->index);
	view_clear(&w->view);
	w->to = NULL;
	w->index = NULL;
	w->view = (struct view){ 0 };
}

static void world_clear(struct world *w)
{
	world_end(w);
	secret_free(w->domain);
	kit_clear(&w->k);
}
#define auto_world CLEANUP(world_clear)

static struct world world_new(unsigned packs)
{
	struct world w = { .k = kit_new() };

	ok(keys_domain(w.k.agent->keys, "d", &w.domain, e));
	kit_session(&w.k, &volume, 1, w.fenced);
	kit_session(&w.k, &volume, 2, w.session);
	for (unsigned i = 0; i < packs; i++)
		put_pack(&w.k, i, PACK_LEN);
	if (packs > 0)
		put_segment(&w.k, w.domain, w.fenced, 0, packs);
	fence(&w.k, w.fenced);
	return w;
}

/* The session that adopts has read what there is. */
static void world_begin(struct world *w)
{
	const struct segment_writer_params p = { .store = w->k.store,
		                                 .keys = w->k.agent->keys,
		                                 .domain = w->domain,
		                                 .session = w->session };

	world_end(w);
	ok(view_load(w->k.agent, &w->view, e));
	ok(index_open(w->k.store, w->k.agent->keys, w->domain, NULL, &w->view, NULL, &w->index, e));
	ok(segment_writer_new(&p, &w->to, e));
	w->adopted = 99;
}

static int adopt(struct world *w, struct err *e)
{
	char voltag[17];

	if (point_voltag(w->k.agent->keys, &volume, voltag, e) < 0)
		return -1;
	return adopt_run(w->k.agent, w->domain, &w->view, w->index, w->to, voltag, &w->adopted, e);
}

static bool is_known(struct world *w, unsigned n)
{
	struct chunk_ref want = ref_of(n);
	struct chunk_ref got;

	if (!index_lookup(w->index, want.id, &got))
		return false;
	assert_memory_equal(got.pack, want.pack, sizeof(want.pack));
	assert_int_equal(got.off, want.off);
	return true;
}

/* Begins and adopts: exactly the chunks that should() names are known then, and are written. */
static void assert_adopts(struct world *w, uint64_t packs, bool (*should)(unsigned n))
{
	size_t chunks = 0;

	world_begin(w);
	for (unsigned n = 0; n < 100; n++)
		assert_false(is_known(w, n));
	ok(adopt(w, e));
	assert_int_equal(w->adopted, packs);
	for (unsigned n = 0; n < 100; n++) {
		if (is_known(w, n) != should(n))
			fail_msg("chunk %u is %sknown", n, should(n) ? "not " : "");
		chunks += should(n);
	}
	assert_int_equal(segment_pending(w->to), chunks);
	ok(segment_flush(w->to, e));
	/* Once this session has committed, everybody finds them. */
	char key[NOTE_KEY_MAX];
	(void)snprintf(key, sizeof(key), "commit/%s", w->session);
	note_kit_text(w->k.agent, 'R', key, "{}");
	world_begin(w);
	for (unsigned n = 0; n < 100; n++)
		assert_int_equal(is_known(w, n), should(n));
}

static bool below_20(unsigned n)
{
	return n < 20;
}

static bool none(unsigned n)
{
	(void)n;
	return false;
}

/* ---- what is taken ---- */

static void test_adopt_run__all_that_is_there(void **state)
{
	auto_world struct world w = world_new(4);

	(void)state;
	assert_adopts(&w, 4, below_20);
}

static void test_adopt_run__nothing_is_there(void **state)
{
	auto_world struct world w = world_new(0);

	(void)state;
	assert_adopts(&w, 0, none);
}

static void test_adopt_run__of_several_segments_and_sessions(void **state)
{
	auto_world struct world w = world_new(2);
	char again[96];

	(void)state;
	kit_session(&w.k, &volume, 3, again);
	for (unsigned i = 2; i < 4; i++)
		put_pack(&w.k, i, PACK_LEN);
	put_segment(&w.k, w.domain, again, 2, 3);
	put_segment(&w.k, w.domain, again, 3, 4);
	put_segment(&w.k, w.domain, again, 0, 2); /* it had adopted them too */
	fence(&w.k, again);
	assert_adopts(&w, 4, below_20);
}

static void test_adopt_run__of_sessions_that_are_gone(void **state)
{
	auto_world struct world w = world_new(0);
	char gone[96];

	(void)state;
	/* neither marker nor commit: void as well */
	kit_session(&w.k, &volume, 4, gone);
	for (unsigned i = 0; i < 4; i++)
		put_pack(&w.k, i, PACK_LEN);
	put_segment(&w.k, w.domain, gone, 0, 4);
	assert_adopts(&w, 4, below_20);
}

/* ---- what is not ---- */

static void test_adopt_run__not_of_another_volume_or_domain(void **state)
{
	auto_world struct world w = world_new(4);
	struct domain_keys *other_domain = NULL;
	char other[96];
	char maintenance[96];

	(void)state;
	for (unsigned i = 4; i < 7; i++)
		put_pack(&w.k, i, PACK_LEN);
	kit_session(&w.k, &other_volume, 1, other);
	put_segment(&w.k, w.domain, other, 4, 5);
	fence(&w.k, other);
	ok(session_begin_maintenance(w.k.agent, "index", maintenance, e));
	put_segment(&w.k, w.domain, maintenance, 5, 6);
	fence(&w.k, maintenance);
	ok(keys_domain(w.k.agent->keys, "e", &other_domain, e));
	put_segment(&w.k, other_domain, w.fenced, 6, 7);
	secret_free(other_domain);
	assert_adopts(&w, 4, below_20);
}

static void test_adopt_run__not_of_a_session_at_work(void **state)
{
	auto_world struct world w = world_new(0);
	char at_work[96];

	(void)state;
	kit_session(&w.k, &volume, 3, at_work);
	kit_put_marker(&w.k, at_work);
	put_pack(&w.k, 0, PACK_LEN);
	put_segment(&w.k, w.domain, at_work, 0, 1);
	world_begin(&w);
	assert_true(is_known(&w, 0)); /* it is found as it is */
	ok(adopt(&w, e));
	assert_int_equal(w.adopted, 0);
	assert_int_equal(segment_pending(w.to), 0);
}

static bool not_pack_1_and_2(unsigned n)
{
	return n < 20 && n / EACH != 1 && n / EACH != 2;
}

static void test_adopt_run__packs_that_are_missing_or_of_another_length(void **state)
{
	auto_world struct world w = world_new(4);
	char key[PACK_KEY_MAX];

	(void)state;
	pack_key_of(1, key);
	kit_remove(&w.k, key);
	pack_key_of(2, key);
	kit_cut(&w.k, key, 1);
	assert_adopts(&w, 2, not_pack_1_and_2);
}

static void test_adopt_run__packs_that_a_collection_has_named(void **state)
{
	auto_world struct world w = world_new(4);
	CLEANUP(collection_list_clear) struct collection_list l = { 0 };

	(void)state;
	/* they are still there, but somebody may be about to delete them */
	for (unsigned i = 1; i <= 2; i++) {
		struct chunk_ref r = ref_of(i * EACH);

		ok(pack_list_add(&l.packs, r.kind, r.pack, e));
	}
	ok(collection_put(w.k.agent, 1, COLLECTION_CONDEMN, &l, NULL, e));
	assert_adopts(&w, 2, not_pack_1_and_2);
}

static bool not_chunk_7(unsigned n)
{
	return n < 20 && n != 7;
}

static void test_adopt_run__places_that_are_damaged(void **state)
{
	auto_world struct world w = world_new(4);
	struct chunk_ref r = ref_of(7);
	struct place p = { .pack = { .kind = r.kind }, .off = r.off };

	(void)state;
	memcpy(p.pack.id, r.pack, sizeof(p.pack.id));
	memcpy(p.id, r.id, sizeof(p.id));
	ok(damage_put(w.k.agent, &p, 1, e));
	assert_adopts(&w, 4, not_chunk_7);
}

static void test_adopt_run__what_is_known_already(void **state)
{
	auto_world struct world w = world_new(3);
	auto_kit_point struct point p = kit_commit(&w.k, &volume, 5, NULL);
	CLEANUP(segment_refs_clear) struct segment_refs l = { 0 };

	(void)state;
	/* all of pack 0, and chunk 5 of pack 1, have settled places elsewhere */
	for (unsigned n = 0; n < 6; n++) {
		struct chunk_ref r = ref_of(n);

		memset(r.pack, 0x11, sizeof(r.pack));
		r.kind = CHUNK_DATA;
		segment_refs_add(&l, &r);
	}
	put_refs(&w.k, w.domain, p.session, &l);
	world_begin(&w);
	ok(adopt(&w, e));
	assert_int_equal(w.adopted, 2);
	assert_int_equal(segment_pending(w.to), 9);
	for (unsigned n = 0; n < 15; n++) {
		struct chunk_ref want = ref_of(n);
		struct chunk_ref got;

		assert_true(index_lookup(w.index, want.id, &got));
		assert_int_equal(memcmp(got.pack, want.pack, 16) == 0, n >= 6);
	}
	/* a second time there is nothing left to do */
	ok(adopt(&w, e));
	assert_int_equal(w.adopted, 0);
	assert_int_equal(segment_pending(w.to), 9);
}

static void test_adopt_run__a_segment_that_does_not_open_is_passed_over(void **state)
{
	auto_world struct world w = world_new(4);
	char gone[96];
	char key[STORE_KEY_MAX + 1];

	(void)state;
	kit_session(&w.k, &volume, 4, gone);
	put_pack(&w.k, 5, PACK_LEN);
	put_segment(&w.k, w.domain, gone, 5, 6);
	(void)snprintf(key, sizeof(key), "idx/%s/%s-0000", w.domain->tag_hex, gone);
	kit_flip(&w.k, key, 200);
	(void)snprintf(key, sizeof(key), "idx/%s/%s-0001", w.domain->tag_hex, w.fenced);
	ok(put_text(w.k.store, key, "no segment", e));
	(void)snprintf(key, sizeof(key), "idx/%s/stranger", w.domain->tag_hex);
	ok(put_text(w.k.store, key, "no segment", e));
	assert_adopts(&w, 4, below_20);
}

static void test_adopt_run__a_segment_that_goes_meanwhile_is_passed_over(void **state)
{
	auto_world struct world w = world_new(4);
	static struct kit_names names;

	(void)state;
	world_begin(&w);
	kit_list(&w.k, "idx/", &names);
	for (size_t i = 0; i < names.n; i++)
		kit_remove(&w.k, names.keys[i]);
	ok(adopt(&w, e));
	assert_int_equal(w.adopted, 0);
}

/* ---- failures ---- */

static void test_adopt_run__the_stores_failure_is_told(void **state)
{
	static const struct trouble plans[] = {
		{ .call = CALL_GET, .prefix = "idx/", .fault = FAULT_FAIL, .times = 1 },
		{ .call = CALL_HEAD, .prefix = "pack/", .fault = FAULT_FAIL, .times = 1 },
		{ .call = CALL_HEAD, .prefix = "meta", .fault = FAULT_FAIL, .skip = 1, .times = 1 },
	};
	struct trouble t = { 0 };
	auto_world struct world w = world_new(4);

	(void)state;
	kit_trouble(&w.k, &t);
	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		world_begin(&w);
		t = plans[i];
		fails(ERR_RETRY, adopt(&w, e));
		t = (struct trouble){ 0 };
		ok(adopt(&w, e));
		for (unsigned n = 0; n < 20; n++)
			assert_true(is_known(&w, n));
	}
}

static void test_adopt_run__can_be_cancelled(void **state)
{
	auto_world struct world w = world_new(4);
	struct cancel cancel;

	(void)state;
	world_begin(&w);
	assert_int_equal(cancel_init(&cancel), 0);
	w.k.agent->cancel = &cancel;
	cancel_request(&cancel);
	fails(ERR_CANCELLED, adopt(&w, e));
	cancel_clear(&cancel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adopt_run__all_that_is_there),
		cmocka_unit_test(test_adopt_run__nothing_is_there),
		cmocka_unit_test(test_adopt_run__of_several_segments_and_sessions),
		cmocka_unit_test(test_adopt_run__of_sessions_that_are_gone),
		cmocka_unit_test(test_adopt_run__not_of_another_volume_or_domain),
		cmocka_unit_test(test_adopt_run__not_of_a_session_at_work),
		cmocka_unit_test(test_adopt_run__packs_that_are_missing_or_of_another_length),
		cmocka_unit_test(test_adopt_run__packs_that_a_collection_has_named),
		cmocka_unit_test(test_adopt_run__places_that_are_damaged),
		cmocka_unit_test(test_adopt_run__what_is_known_already),
		cmocka_unit_test(test_adopt_run__a_segment_that_does_not_open_is_passed_over),
		cmocka_unit_test(test_adopt_run__a_segment_that_goes_meanwhile_is_passed_over),
		cmocka_unit_test(test_adopt_run__the_stores_failure_is_told),
		cmocka_unit_test(test_adopt_run__can_be_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
