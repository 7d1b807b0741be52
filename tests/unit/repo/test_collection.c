/* SPDX-License-Identifier: Apache-2.0 */
/* The objects of a collection and marks of damage: their state, what they hold, and lies. */
#include "repo/collection.h"

#include "common/json.h"
#include "tests/unit/repo/note_kit.h"

#define S1 "2026-11-22/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"
#define S2 "2026-11-23/03fa41b2c19de077-6a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"

#define PART(p) (1U << (p))

#define auto_list CLEANUP(collection_list_clear)

/* Pack number n, of kind n % 2. */
static struct pack_name pack_of(unsigned n)
{
	struct pack_name p = { .kind = n % 2 ? CHUNK_NODE : CHUNK_DATA };

	fill_random(n, p.id, sizeof(p.id));
	return p;
}

static void add_pack(struct collection_list *l, unsigned n)
{
	struct pack_name p = pack_of(n);

	ok(pack_list_add(&l->packs, p.kind, p.id, e));
}

static bool has_pack(const struct pack_list *l, unsigned n)
{
	struct pack_name p = pack_of(n);

	return pack_list_has(l, p.kind, p.id);
}

static void put_part(const struct kit *k, uint64_t n, enum collection_part part)
{
	const struct collection_list none = { 0 };

	ok(collection_put(k->agent, n, part, &none, NULL, e));
}

static void put_parts(const struct kit *k, uint64_t n, unsigned parts)
{
	for (unsigned i = 0; i < COLLECTION_PARTS; i++) {
		if (parts & PART(i))
			put_part(k, n, i);
	}
}

static struct collection_state state_of(const struct kit *k)
{
	struct collection_state s;

	memset(&s, 0xff, sizeof(s));
	ok(collection_state(k->audit, &s, e));
	return s;
}

/* ---- names of sessions ---- */

static void test_session_names__sorted_and_each_once(void **state)
{
	CLEANUP(session_names_clear) struct session_names l = { 0 };
	char name[POINT_SESSION_LEN + 1];

	(void)state;
	session_names_sort(&l);
	assert_false(session_names_has(&l, S1));
	for (unsigned i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "2026-11-22/03fa41b2c19de077-%032x",
		               i * 7 % 100 * 2);
		ok(session_names_add(&l, name, e));
	}
	session_names_sort(&l);
	assert_int_equal(l.n, 100);
	for (unsigned i = 0; i < 200; i++) {
		(void)snprintf(name, sizeof(name), "2026-11-22/03fa41b2c19de077-%032x", i);
		assert_int_equal(session_names_has(&l, name), i % 2 == 0);
		if (i % 2 == 0)
			assert_string_equal(l.v[i / 2], name);
	}
	session_names_clear(&l);
	assert_int_equal(l.n, 0);
	assert_false(session_names_has(&l, name));
}

/* ---- state ---- */

static void test_collection_key__of_each_part(void **state)
{
	static const char *const want[COLLECTION_PARTS] = {
		[COLLECTION_CONDEMN] = "ctl/gc/00000001/condemn",
		[COLLECTION_SESSIONS] = "ctl/gc/00000001/sessions",
		[COLLECTION_FINAL] = "ctl/gc/00000001/final",
		[COLLECTION_FINALS] = "ctl/gc/00000001/finals",
		[COLLECTION_LIVE] = "ctl/gc/00000001/live",
		[COLLECTION_DONE] = "ctl/gc/00000001/done",
	};
	char key[64];

	(void)state;
	for (unsigned i = 0; i < COLLECTION_PARTS; i++) {
		collection_key(1, i, key);
		assert_string_equal(key, want[i]);
	}
	collection_key(12345678, COLLECTION_DONE, key);
	assert_string_equal(key, "ctl/gc/12345678/done");
}

static void test_collection_state__of_none(void **state)
{
	auto_kit struct kit k = kit_new();
	struct collection_state s = state_of(&k);

	(void)state;
	assert_int_equal(s.done, 0);
	assert_int_equal(s.finals, 0);
	assert_false(s.done_live);
	assert_int_equal(s.open, 0);
	assert_int_equal(s.open_parts, 0);
	assert_int_equal(s.open_received_ns, 0);
}

static void test_collection_state__follows_the_steps(void **state)
{
	static const enum collection_part steps[] = { COLLECTION_CONDEMN, COLLECTION_SESSIONS,
		                                      COLLECTION_FINAL, COLLECTION_FINALS,
		                                      COLLECTION_LIVE };
	auto_kit struct kit k = kit_new();
	struct store_stat st;
	char key[64];

	(void)state;
	for (uint64_t n = 1; n <= 3; n++) {
		unsigned parts = 0;

		for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
			if (n == 2 && steps[i] == COLLECTION_FINALS)
				continue; /* only every so often */
			put_part(&k, n, steps[i]);
			parts |= PART(steps[i]);
			struct collection_state s = state_of(&k);
			assert_int_equal(s.done, n - 1);
			assert_int_equal(s.open, n);
			assert_int_equal(s.open_parts, parts);
			collection_key(n, COLLECTION_CONDEMN, key);
			ok(store_head(k.store, key, &st, e));
			assert_int_equal(s.open_received_ns, st.received_ns);
			assert_int_equal(s.finals, n == 1 ? 0 : 1);
			assert_int_equal(s.done_live, n > 1);
		}
		put_part(&k, n, COLLECTION_DONE);
		struct collection_state s = state_of(&k);
		assert_int_equal(s.done, n);
		assert_int_equal(s.finals, n == 3 ? 3 : 1);
		assert_true(s.done_live);
		assert_int_equal(s.open, 0);
		assert_int_equal(s.open_parts, 0);
		assert_int_equal(s.open_received_ns, 0);
	}
	/* what is of no use any more goes: the newest that is done stays so */
	for (uint64_t n = 1; n <= 3; n++) {
		for (size_t i = 0; i < 2; i++) {
			collection_key(n, steps[i], key);
			kit_remove(&k, key);
		}
	}
	assert_int_equal(state_of(&k).done, 3);
	assert_int_equal(state_of(&k).open, 0);
	/* and an object that comes back changes nothing */
	put_part(&k, 3, COLLECTION_CONDEMN);
	put_part(&k, 1, COLLECTION_CONDEMN);
	assert_int_equal(state_of(&k).done, 3);
	assert_int_equal(state_of(&k).open, 0);
}

static void test_collection_state__without_its_condemn(void **state)
{
	auto_kit struct kit k = kit_new();

	(void)state;
	put_parts(&k, 1, PART(COLLECTION_CONDEMN) | PART(COLLECTION_DONE));
	put_parts(&k, 2, PART(COLLECTION_SESSIONS) | PART(COLLECTION_FINAL));
	struct collection_state s = state_of(&k);
	assert_int_equal(s.open, 2);
	assert_int_equal(s.open_parts, PART(COLLECTION_SESSIONS) | PART(COLLECTION_FINAL));
	assert_int_equal(s.open_received_ns, 0);
}

static void test_collection_state__a_done_that_is_lost_is_a_contradiction(void **state)
{
	auto_kit struct kit k = kit_new();
	struct collection_state s;

	(void)state;
	put_parts(&k, 1, PART(COLLECTION_FINAL) | PART(COLLECTION_DONE));
	put_parts(&k, 2, PART(COLLECTION_FINAL) | PART(COLLECTION_DONE));
	put_parts(&k, 3, PART(COLLECTION_CONDEMN));
	ok(collection_state(k.audit, &s, e));
	kit_remove(&k, "ctl/gc/00000002/done");
	fails_saying(ERR_CORRUPT, "ctl/gc/00000002/done", collection_state(k.audit, &s, e));
	kit_remove(&k, "ctl/gc/00000001/done");
	fails_saying(ERR_CORRUPT, "ctl/gc/00000001/done", collection_state(k.audit, &s, e));
}

static void test_collection_state__a_generation_that_is_missing_is_a_contradiction(void **state)
{
	auto_kit struct kit k = kit_new();
	struct collection_state s;

	(void)state;
	/* `final` and `done` stay for ever, so 2 was there */
	put_parts(&k, 1, PART(COLLECTION_FINAL) | PART(COLLECTION_DONE));
	put_parts(&k, 3, PART(COLLECTION_CONDEMN));
	fails_saying(ERR_CORRUPT, "00000002", collection_state(k.audit, &s, e));
	put_part(&k, 3, COLLECTION_DONE);
	fails_saying(ERR_CORRUPT, "00000002", collection_state(k.audit, &s, e));
	kit_remove(&k, "ctl/gc/00000001/final");
	kit_remove(&k, "ctl/gc/00000001/done");
	fails_saying(ERR_CORRUPT, "00000001", collection_state(k.audit, &s, e));
}

static void test_collection_state__other_keys_say_nothing(void **state)
{
	static const char *const keys[] = {
		"ctl/gc/readme",          "ctl/gc/0/done",
		"ctl/gc/00000000/done",   "ctl/gc/0000007/done",
		"ctl/gc/x0000007/done",   "ctl/gc/000000000000000000000007/done",
		"ctl/gc/00000007/other",  "ctl/gc/00000008/done2",
		"ctl/gc/00000009/done/x",
	};
	auto_kit struct kit k = kit_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		ok(put_text(k.store, keys[i], "x", e));
	assert_int_equal(state_of(&k).done, 0);
	assert_int_equal(state_of(&k).open, 0);
	put_parts(&k, 1, PART(COLLECTION_CONDEMN));
	assert_int_equal(state_of(&k).open, 1);
	assert_int_equal(state_of(&k).open_parts, PART(COLLECTION_CONDEMN));
}

static void test_collection_state__a_store_that_does_not_list_is_an_error(void **state)
{
	struct trouble t = { .call = CALL_LIST, .fault = FAULT_FAIL, .times = 1 };
	auto_kit struct kit k = kit_new();
	struct collection_state s;

	(void)state;
	kit_trouble(&k, &t);
	fails(ERR_RETRY, collection_state(k.audit, &s, e));
	assert_int_equal(t.calls, 1);
	ok(collection_state(k.audit, &s, e));
	assert_int_equal(t.calls, 2); /* one LIST each */
}

/* ---- lists ---- */

static void test_collection_put__comes_back_sorted(void **state)
{
	auto_list struct collection_list l = { 0 };
	auto_kit struct kit k = kit_new();
	auto_json json_t *what = json_pack("{s:i}", "tombs", 7);

	(void)state;
	for (unsigned n = 100; n > 0; n--)
		add_pack(&l, n);
	add_pack(&l, 50);
	ok(session_names_add(&l.sessions, S2, e));
	ok(session_names_add(&l.sessions, S1, e));
	ok(session_names_add(&l.sessions, S2, e));
	for (unsigned part = 0; part < COLLECTION_PARTS; part++) {
		auto_list struct collection_list got = { 0 };
		auto_json json_t *got_what = NULL;

		ok(collection_put(k.agent, 3, part, &l, part % 2 ? what : NULL, e));
		ok(collection_get(k.audit, 3, part, &got, &got_what, e));
		assert_int_equal(got.packs.n, 100);
		for (unsigned n = 0; n <= 101; n++)
			assert_int_equal(has_pack(&got.packs, n), n > 0 && n <= 100);
		assert_int_equal(got.sessions.n, 2);
		assert_true(session_names_has(&got.sessions, S1));
		assert_true(session_names_has(&got.sessions, S2));
		if (part % 2)
			assert_true(json_equal(got_what, what));
		else
			assert_null(got_what);
	}
	auto_list struct collection_list again = { 0 };
	ok(collection_get(k.audit, 3, COLLECTION_DONE, &again, NULL, e));
	assert_int_equal(again.packs.n, 100);
}

static void test_collection_put__an_empty_one(void **state)
{
	auto_list struct collection_list got = { 0 };
	auto_kit struct kit k = kit_new();

	(void)state;
	put_part(&k, 1, COLLECTION_FINAL);
	ok(collection_get(k.audit, 1, COLLECTION_FINAL, &got, NULL, e));
	assert_int_equal(got.packs.n, 0);
	assert_int_equal(got.sessions.n, 0);
}

static void test_collection_put__what_stands_first_stays(void **state)
{
	auto_list struct collection_list l = { 0 };
	auto_list struct collection_list got = { 0 };
	const struct collection_list none = { 0 };
	auto_kit struct kit k = kit_new();

	(void)state;
	add_pack(&l, 1);
	ok(collection_put(k.agent, 1, COLLECTION_FINAL, &l, NULL, e));
	fails(ERR_EXISTS, collection_put(k.agent, 1, COLLECTION_FINAL, &none, NULL, e));
	fails(ERR_EXISTS, collection_put(k.agent, 1, COLLECTION_FINAL, &l, NULL, e));
	ok(collection_get(k.audit, 1, COLLECTION_FINAL, &got, NULL, e));
	assert_int_equal(got.packs.n, 1);
	fails(ERR_DENIED, collection_put(k.audit, 1, COLLECTION_DONE, &l, NULL, e));
}

static enum err_class get_class(const struct kit *k, uint64_t n, enum collection_part part)
{
	auto_list struct collection_list l = { 0 };
	auto_json json_t *what = NULL;
	struct err e = ERR_INIT;

	if (collection_get(k->audit, n, part, &l, &what, &e) == 0)
		return ERR_NONE;
	assert_null(what);
	assert_int_equal(l.packs.n + l.sessions.n, 0);
	return e.class;
}

/* A list as a program of ours would not write it. */
static void put_list(const struct kit *k, const char *part, int64_t generation, int64_t packs,
                     int64_t sessions, const void *list, size_t n)
{
	char json[256];

	(void)snprintf(json, sizeof(json),
	               "{\"schema\":\"aksdr/collection/v1\",\"part\":\"%s\",\"generation\":%lld,"
	               "\"packs\":%lld,\"sessions\":%lld}",
	               part, (long long)generation, (long long)packs, (long long)sessions);
	note_kit_list(k->agent, 'G', "ctl/gc/00000001/final", json, list, n);
}

static void test_collection_get__lists_that_do_not_add_up(void **state)
{
	static const struct {
		int64_t packs, sessions;
		size_t n;
		enum err_class class;
	} cases[] = {
		{ 1, 1, 17 + 61, ERR_NONE },
		{ 1, 1, 17 + 60, ERR_FORMAT },
		{ 1, 1, 17 + 62, ERR_FORMAT },
		{ 1, 0, 17 + 61, ERR_FORMAT },
		{ 2, 1, 17 + 61, ERR_FORMAT },
		{ 0, 1, 17 + 61, ERR_FORMAT },
		{ -1, 1, 17 + 61, ERR_FORMAT },
		{ 1, -1, 17 + 61, ERR_FORMAT },
		{ INT64_MAX, 1, 17 + 61, ERR_FORMAT },
		{ 1, INT64_MAX, 17 + 61, ERR_FORMAT },
		/* sums that come out right modulo 2^64 */
		{ 8680820740569200761, 0, 9, ERR_FORMAT },
		{ 0, 5745707170499696405, 1, ERR_FORMAT },
	};
	uint8_t list[17 + 62] = { 0 };
	auto_kit struct kit k = kit_new();

	(void)state;
	memcpy(list + 17, S1 "\n", 61);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		put_list(&k, "final", 1, cases[i].packs, cases[i].sessions, list, cases[i].n);
		assert_int_equal(get_class(&k, 1, COLLECTION_FINAL), cases[i].class);
	}
}

static void test_collection_get__content_that_makes_no_sense(void **state)
{
	static const size_t places[] = { 0, 17, 17 + 10, 17 + 27, 17 + 59, 17 + 60 };
	uint8_t list[17 + 61] = { 0 };
	auto_kit struct kit k = kit_new();

	(void)state;
	memcpy(list + 17, S1 "\n", 61);
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		uint8_t keep = list[places[i]];

		list[places[i]] = 2;
		put_list(&k, "final", 1, 1, 1, list, sizeof(list));
		assert_int_equal(get_class(&k, 1, COLLECTION_FINAL), ERR_FORMAT);
		list[places[i]] = keep;
	}
	put_list(&k, "final", 1, 1, 1, list, sizeof(list));
	assert_int_equal(get_class(&k, 1, COLLECTION_FINAL), ERR_NONE);
}

static void test_collection_get__part_of_another_one(void **state)
{
	static const char *const texts[] = {
		"{}",
		"{\"schema\":\"aksdr/collection/v2\",\"part\":\"final\",\"generation\":1,"
		"\"packs\":0,\"sessions\":0}",
		"{\"schema\":\"aksdr/collection/v1\",\"generation\":1,\"packs\":0,\"sessions\":0}",
		"{\"schema\":\"aksdr/collection/v1\",\"part\":\"final\",\"packs\":0,"
		"\"sessions\":0}",
		"{\"schema\":\"aksdr/collection/v1\",\"part\":\"final\",\"generation\":1,"
		"\"sessions\":0}",
		"{\"schema\":\"aksdr/collection/v1\",\"part\":\"final\",\"generation\":1,"
		"\"packs\":0}",
		"{\"schema\":\"aksdr/collection/v1\",\"part\":\"final\",\"generation\":1,"
		"\"packs\":\"0\",\"sessions\":0}",
	};
	auto_kit struct kit k = kit_new();

	(void)state;
	put_list(&k, "condemn", 1, 0, 0, "", 0);
	assert_int_equal(get_class(&k, 1, COLLECTION_FINAL), ERR_CORRUPT);
	put_list(&k, "final", 2, 0, 0, "", 0);
	assert_int_equal(get_class(&k, 1, COLLECTION_FINAL), ERR_CORRUPT);
	put_list(&k, "final", 1, 0, 0, "", 0);
	assert_int_equal(get_class(&k, 1, COLLECTION_FINAL), ERR_NONE);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		note_kit_list(k.agent, 'G', "ctl/gc/00000001/final", texts[i], "", 0);
		assert_int_equal(get_class(&k, 1, COLLECTION_FINAL), ERR_FORMAT);
	}
}

static void test_collection_get__missing_damaged_moved_or_foreign(void **state)
{
	auto_kit struct kit k = kit_new();
	const struct collection_list none = { 0 };
	struct stranger s;

	(void)state;
	assert_int_equal(get_class(&k, 1, COLLECTION_FINAL), ERR_NOT_FOUND);
	put_parts(&k, 1, PART(COLLECTION_FINAL) | PART(COLLECTION_CONDEMN));
	kit_flip(&k, "ctl/gc/00000001/final", -80);
	assert_int_equal(get_class(&k, 1, COLLECTION_FINAL), ERR_CORRUPT);
	kit_flip(&k, "ctl/gc/00000001/final", -80);
	assert_int_equal(get_class(&k, 1, COLLECTION_FINAL), ERR_NONE);
	kit_swap(&k, "ctl/gc/00000001/final", "ctl/gc/00000001/condemn");
	assert_int_equal(get_class(&k, 1, COLLECTION_FINAL), ERR_CORRUPT);
	kit_remove(&k, "ctl/gc/00000001/final");
	stranger_init(&s, k.agent);
	ok(collection_put(&s.repo, 1, COLLECTION_FINAL, &none, NULL, e));
	assert_int_equal(get_class(&k, 1, COLLECTION_FINAL), ERR_DENIED);
}

/* ---- damage ---- */

static struct place place_of(unsigned n)
{
	struct place p = { .pack = pack_of(n / 10), .off = n * 1000 };

	fill_random(5000 + n, p.id, sizeof(p.id));
	return p;
}

static bool same_place(const struct place *a, const struct place *b)
{
	return a->pack.kind == b->pack.kind && memcmp(a->pack.id, b->pack.id, 16) == 0 &&
	       a->off == b->off && memcmp(a->id, b->id, 32) == 0;
}

static void put_marks(const struct kit *k, unsigned from, unsigned to)
{
	struct place places[64];

	for (unsigned n = from; n < to; n++)
		places[n - from] = place_of(n);
	ok(damage_put(k->agent, places, to - from, e));
}

/* What each() was told. */
struct told {
	size_t marks, places;
	char key[NOTE_KEY_MAX];
	struct place first;
	size_t fail_at; /* mark at which it fails; 0: none */
};

static int tell(void *arg, const char *key, const struct place *places, size_t n, struct err *e)
{
	struct told *t = arg;

	t->marks++;
	t->places += n;
	(void)snprintf(t->key, sizeof(t->key), "%s", key);
	if (n > 0)
		t->first = places[0];
	return t->marks == t->fail_at ? err_set(e, ERR_BUSY, "this mark is not wanted") : 0;
}

static void test_damage_put__all_places_come_back(void **state)
{
	CLEANUP(absent_clear) struct absent a = { 0 };
	auto_kit struct kit k = kit_new();
	struct told told = { 0 };

	(void)state;
	ok(damage_load(k.audit, &a, tell, &told, e));
	assert_int_equal(told.marks, 0);
	put_marks(&k, 0, 1);
	ok(damage_load(k.audit, &a, tell, &told, e));
	assert_int_equal(told.marks, 1);
	assert_int_equal(told.places, 1);
	assert_int_equal(strncmp(told.key, "ctl/damage/", 11), 0);
	assert_true(note_name_valid(told.key + 11));
	struct place want = place_of(0);
	assert_true(same_place(&told.first, &want));
	assert_true(same_place(&a.places[0], &want));
	absent_clear(&a);

	put_marks(&k, 1, 60);
	ok(damage_load(k.audit, &a, NULL, NULL, e));
	assert_int_equal(a.nplaces, 60);
	absent_sort(&a);
	for (unsigned n = 0; n < 70; n++) {
		struct place p = place_of(n);
		struct chunk_ref r = { .kind = p.pack.kind, .off = p.off };

		memcpy(r.pack, p.pack.id, 16);
		assert_int_equal(absent_has(&a, &r), n < 60);
	}
}

static void test_damage_put__nothing_marks_nothing(void **state)
{
	CLEANUP(absent_clear) struct absent a = { 0 };
	auto_kit struct kit k = kit_new();
	struct told told = { 0 };

	(void)state;
	ok(damage_put(k.agent, NULL, 0, e));
	ok(damage_load(k.audit, &a, tell, &told, e));
	assert_int_equal(told.marks, 1);
	assert_int_equal(told.places, 0);
	assert_int_equal(a.nplaces, 0);
}

static void test_damage_put__refuses_what_cannot_be_read(void **state)
{
	auto_kit struct kit k = kit_new();
	struct place p = place_of(1);

	(void)state;
	fails(ERR_TOO_BIG, damage_put(k.agent, &p, 1000001, e));
	fails(ERR_DENIED, damage_put(k.audit, &p, 1, e));
	assert_int_equal(note_kit_count(&k, "ctl/"), 0);
}

/* A mark as a program of ours would not write it. */
static void put_mark(const struct repo *r, const char *json, const void *list, size_t n)
{
	char key[NOTE_KEY_MAX];

	note_new_key("ctl/damage", key);
	note_kit_list(r, 'D', key, json, list, n);
}

static void test_damage_load__marks_that_do_not_open_mark_nothing(void **state)
{
	static const char good[] = "{\"schema\":\"aksdr/damage/v1\",\"places\":2}";
	CLEANUP(absent_clear) struct absent a = { 0 };
	auto_kit struct kit k = kit_new();
	struct trouble t = {
		.call = CALL_HEAD, .prefix = "ctl/damage/readme", .fault = FAULT_FAIL, .times = 1
	};
	struct told told = { 0 };
	struct stranger s;
	uint8_t list[2 * 53] = { 0 };

	(void)state;
	put_marks(&k, 0, 1);
	put_mark(k.agent, good, list, sizeof(list) - 1);
	put_mark(k.agent, "{\"schema\":\"aksdr/damage/v1\",\"places\":1}", list, sizeof(list));
	put_mark(k.agent, "{\"schema\":\"aksdr/damage/v1\",\"places\":-1}", list, sizeof(list));
	put_mark(k.agent, "{\"schema\":\"aksdr/damage/v1\"}", list, sizeof(list));
	put_mark(k.agent, "{\"schema\":\"aksdr/damage/v2\",\"places\":2}", list, sizeof(list));
	put_mark(k.agent, "{\"schema\":\"aksdr/damage/v1\",\"places\":2436362424829563421}", list,
	         1);
	list[53] = 2; /* the second one is of no kind: nor does the first count */
	put_mark(k.agent, good, list, sizeof(list));
	list[53] = 0;
	stranger_init(&s, k.agent);
	put_mark(&s.repo, good, list, sizeof(list));
	ok(put_text(k.store, "ctl/damage/2026-11-22/00000000000000000000000000000000", "x", e));
	ok(put_text(k.store, "ctl/damage/readme", "x", e)); /* not even looked at */
	put_marks(&k, 1, 3);
	kit_trouble(&k, &t);
	ok(damage_load(k.audit, &a, tell, &told, e));
	assert_int_equal(told.marks, 2);
	assert_int_equal(told.places, 3);
	assert_int_equal(a.nplaces, 3);
	put_mark(k.agent, good, list, sizeof(list));
	ok(damage_load(k.audit, &a, NULL, NULL, e));
	assert_int_equal(a.nplaces, 3 + 5);
}

static void test_damage_load__a_store_that_fails_is_an_error(void **state)
{
	struct trouble t = { .call = CALL_LIST, .fault = FAULT_FAIL, .times = 1 };
	CLEANUP(absent_clear) struct absent a = { 0 };
	auto_kit struct kit k = kit_new();

	(void)state;
	put_marks(&k, 0, 3);
	kit_trouble(&k, &t);
	fails(ERR_RETRY, damage_load(k.audit, &a, NULL, NULL, e));
	t = (struct trouble){ .call = CALL_GET, .fault = FAULT_FAIL, .times = 1 };
	fails(ERR_RETRY, damage_load(k.audit, &a, NULL, NULL, e));
	/* one that is gone meanwhile marks nothing */
	t = (struct trouble){ .call = CALL_GET, .fault = FAULT_GONE, .times = 1 };
	ok(damage_load(k.audit, &a, NULL, NULL, e));
	assert_int_equal(a.nplaces, 0);
}

static void test_damage_load__ends_when_it_is_told_to(void **state)
{
	CLEANUP(absent_clear) struct absent a = { 0 };
	auto_kit struct kit k = kit_new();
	struct told told = { .fail_at = 2 };

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		put_marks(&k, i, i + 1);
	fails(ERR_BUSY, damage_load(k.audit, &a, tell, &told, e));
	assert_int_equal(told.marks, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_names__sorted_and_each_once),
		cmocka_unit_test(test_collection_key__of_each_part),
		cmocka_unit_test(test_collection_state__of_none),
		cmocka_unit_test(test_collection_state__follows_the_steps),
		cmocka_unit_test(test_collection_state__without_its_condemn),
		cmocka_unit_test(test_collection_state__a_done_that_is_lost_is_a_contradiction),
		cmocka_unit_test(
			test_collection_state__a_generation_that_is_missing_is_a_contradiction),
		cmocka_unit_test(test_collection_state__other_keys_say_nothing),
		cmocka_unit_test(test_collection_state__a_store_that_does_not_list_is_an_error),
		cmocka_unit_test(test_collection_put__comes_back_sorted),
		cmocka_unit_test(test_collection_put__an_empty_one),
		cmocka_unit_test(test_collection_put__what_stands_first_stays),
		cmocka_unit_test(test_collection_get__lists_that_do_not_add_up),
		cmocka_unit_test(test_collection_get__content_that_makes_no_sense),
		cmocka_unit_test(test_collection_get__part_of_another_one),
		cmocka_unit_test(test_collection_get__missing_damaged_moved_or_foreign),
		cmocka_unit_test(test_damage_put__all_places_come_back),
		cmocka_unit_test(test_damage_put__nothing_marks_nothing),
		cmocka_unit_test(test_damage_put__refuses_what_cannot_be_read),
		cmocka_unit_test(test_damage_load__marks_that_do_not_open_mark_nothing),
		cmocka_unit_test(test_damage_load__a_store_that_fails_is_an_error),
		cmocka_unit_test(test_damage_load__ends_when_it_is_told_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
