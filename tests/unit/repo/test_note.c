/* SPDX-License-Identifier: Apache-2.0 */
/* Notes: what is put comes back to all key files, exactly or with the right class of error. */
#include "repo/note.h"

#include "common/hex.h"
#include "common/json.h"
#include "tests/unit/repo/note_kit.h"

#define KEY "ctl/test/one"
#define KIND 'T'

static json_t *sample(void)
{
	json_t *o = json_pack("{s:s, s:s, s:I}", "schema", "aksdr/test/v1", "text", "a \"b\" \\ c",
	                      "number", (json_int_t)7);

	assert_non_null(o);
	return o;
}

static void put_sample(const struct repo *r, const char *key)
{
	auto_json json_t *o = sample();

	ok(note_put(r, KIND, key, o, NULL, e));
}

static enum err_class class_of(const struct repo *r, const char *key)
{
	auto_json json_t *o = NULL;
	struct err e = ERR_INIT;

	if (note_get(r, KIND, key, &o, NULL, &e) == 0)
		return ERR_NONE;
	assert_null(o);
	assert_true(strlen(e.msg) > 10);
	return e.class;
}

/* ---- putting and reading ---- */

static void test_note_put__all_key_files_read_it_and_see_who_signed(void **state)
{
	auto_kit struct kit k = kit_new();
	const struct repo *const writers[] = { k.agent, k.recovery };
	const struct repo *const readers[] = { k.agent, k.recovery, k.audit };
	static const char *const keys[] = { "ctl/test/one", "ctl/test/two" };

	(void)state;
	for (size_t w = 0; w < ARRAY_LEN(writers); w++) {
		CLEANUP(buf_clear) struct buf object = BUF_INIT(MIB);
		auto_json json_t *o = sample();

		ok(note_put(writers[w], KIND, keys[w], o, &object, e));
		assert_content(k.store, keys[w], object.data, object.len);
		for (size_t r = 0; r < ARRAY_LEN(readers); r++) {
			auto_json json_t *got = NULL;
			auto_json json_t *opened = NULL;
			uint8_t signer[8];

			ok(note_get(readers[r], KIND, keys[w], &got, signer, e));
			assert_true(json_equal(got, o));
			assert_memory_equal(signer, writers[w]->keys->signer_id, 8);
			ok(note_open(readers[r], KIND, keys[w], object.data, object.len, &opened,
			             NULL, e));
			assert_true(json_equal(opened, o));
		}
	}
}

static void test_note_put__the_text_cannot_be_seen(void **state)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(MIB);
	auto_kit struct kit k = kit_new();
	auto_json json_t *o = sample();

	(void)state;
	ok(note_put(k.agent, KIND, KEY, o, &object, e));
	assert_null(memmem(object.data, object.len, "aksdr/test", 10));
	assert_null(memmem(object.data, object.len, "number", 6));
}

static void test_note_put__who_cannot_sign_is_denied(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_json json_t *o = sample();
	CLEANUP(buf_clear) struct buf list = BUF_INIT(16);
	uint64_t number;

	(void)state;
	fails(ERR_DENIED, note_put(k.audit, KIND, KEY, o, NULL, e));
	fails(ERR_DENIED, note_put_list(k.audit, KIND, KEY, o, &list, e));
	fails(ERR_DENIED, note_put_numbered(k.audit, KIND, "ctl/test", 1, o, &number, e));
	assert_int_equal(note_kit_count(&k, "ctl/"), 0);
}

static void test_note_put__a_taken_key_is_told_and_what_stands_stays(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_json json_t *o = sample();
	size_t n;

	(void)state;
	put_sample(k.agent, KEY);
	auto_free uint8_t *before = kit_get(&k, KEY, &n);
	/* the same text, and yet another object */
	fails(ERR_EXISTS, note_put(k.agent, KIND, KEY, o, NULL, e));
	fails(ERR_EXISTS, note_put(k.recovery, KIND, KEY, o, NULL, e));
	assert_content(k.store, KEY, before, n);
}

static void test_note_put_sealed__meets_itself(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	auto_kit struct kit k = kit_new();
	auto_json json_t *o = sample();

	(void)state;
	ok(note_seal(k.agent, KIND, KEY, o, 0, &b, e));
	for (int i = 0; i < 3; i++)
		ok(note_put_sealed(k.agent, KEY, &b, e));
	/* one that differs in its last byte, is longer, or shorter */
	kit_flip(&k, KEY, -1);
	fails(ERR_EXISTS, note_put_sealed(k.agent, KEY, &b, e));
	kit_replace(&k, KEY, b.data, b.len - 1);
	fails(ERR_EXISTS, note_put_sealed(k.agent, KEY, &b, e));
	(void)buf_u8(&b, 0);
	kit_replace(&k, KEY, b.data, b.len);
	b.len--;
	fails(ERR_EXISTS, note_put_sealed(k.agent, KEY, &b, e));
}

static void test_note_put_sealed__what_cannot_be_compared_is_another(void **state)
{
	struct trouble t = { .call = CALL_GET, .fault = FAULT_FAIL, .times = 1 };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	auto_kit struct kit k = kit_new();
	auto_json json_t *o = sample();

	(void)state;
	ok(note_seal(k.agent, KIND, KEY, o, 0, &b, e));
	ok(note_put_sealed(k.agent, KEY, &b, e));
	kit_trouble(&k, &t);
	fails(ERR_EXISTS, note_put_sealed(k.agent, KEY, &b, e));
	ok(note_put_sealed(k.agent, KEY, &b, e));
}

static void no_wait(void *arg, int64_t ms)
{
	(void)arg;
	(void)ms;
}

static void test_note_put__an_answer_that_was_lost_is_no_failure(void **state)
{
	const struct store_retry_params params = {
		.budget_ms = 10000, .first_ms = 1, .longest_ms = 1, .wait_ms = no_wait
	};
	struct trouble t = { .call = CALL_PUT, .fault = FAULT_APPLIED_LOST, .times = 1 };
	auto_kit struct kit k = kit_new();
	auto_json json_t *o = sample();
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	uint64_t number = 0;
	struct err err = ERR_INIT;

	(void)state;
	ok(note_seal(k.agent, KIND, KEY, o, 0, &b, e));
	kit_trouble(&k, &t);
	/* without anybody who tries again: the next try finds it */
	fails(ERR_RETRY, note_put_sealed(k.agent, KEY, &b, e));
	assert_content(k.store, KEY, b.data, b.len);
	ok(note_put_sealed(k.agent, KEY, &b, e));

	kit_use_store(&k, store_retry_new(k.store, &params, &err));
	t.calls = 0;
	ok(note_put(k.agent, KIND, "ctl/test/two", o, NULL, e));
	assert_int_equal(t.calls, 2);
	/* and a number is not taken twice */
	t.calls = 0;
	ok(note_put_numbered(k.agent, KIND, "ctl/numbers", 1, o, &number, e));
	assert_int_equal(t.calls, 2);
	assert_int_equal(number, 1);
	assert_int_equal(note_kit_count(&k, "ctl/numbers/"), 1);
}

static void test_note_put__the_stores_failure_is_told(void **state)
{
	struct trouble t = { .call = CALL_PUT, .fault = FAULT_QUOTA, .times = 100 };
	auto_kit struct kit k = kit_new();
	auto_json json_t *o = sample();
	uint64_t number;

	(void)state;
	kit_trouble(&k, &t);
	fails(ERR_QUOTA, note_put(k.agent, KIND, KEY, o, NULL, e));
	fails(ERR_QUOTA, note_put_numbered(k.agent, KIND, "ctl/n", 1, o, &number, e));
	assert_int_equal(t.calls, 2);
}

static void test_note_put__nothing_to_put_is_short_memory(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(buf_clear) struct buf list = BUF_INIT(16);

	(void)state;
	/* what json_pack() gives then */
	fails(ERR_NOMEM, note_put(k.agent, KIND, KEY, NULL, NULL, e));
	fails(ERR_NOMEM, note_put_list(k.agent, KIND, KEY, NULL, &list, e));
}

/* ---- of a given length ---- */

static void test_note_seal__pads_to_exactly_so_many_bytes(void **state)
{
	auto_kit struct kit k = kit_new();
	unsigned fit = 0;
	char text[600];

	(void)state;
	for (size_t n = 0; n<500; n += n> 340 && n < 380 ? 1 : 20) {
		CLEANUP(buf_clear) struct buf b = BUF_INIT(KIB);
		auto_json json_t *got = NULL;
		struct err err = ERR_INIT;

		memset(text, 'x', n);
		text[n] = '\0';
		auto_json json_t *o = json_pack("{s:s}", "text", text);
		assert_non_null(o);
		/* {"text":"…"} has 11 bytes besides */
		bool fits = n + 11 + NOTE_ENVELOPE_BYTES <= FORMAT_ABORT_BYTES;
		int rc = note_seal(k.agent, KIND, KEY, o, FORMAT_ABORT_BYTES, &b, &err);
		assert_int_equal(rc, fits ? 0 : -1);
		if (rc < 0) {
			assert_int_equal(err.class, ERR_BUG);
			continue;
		}
		fit++;
		assert_int_equal(b.len, FORMAT_ABORT_BYTES);
		ok(note_open(k.audit, KIND, KEY, b.data, b.len, &got, NULL, e));
		assert_true(json_equal(got, o));
	}
	assert_true(fit > 30);
}

static void test_note_seal__the_envelope_has_its_length(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	auto_kit struct kit k = kit_new();
	auto_json json_t *o = json_pack("{s:s}", "text", "12345");

	(void)state;
	ok(note_seal(k.agent, KIND, KEY, o, 0, &b, e));
	assert_int_equal(b.len, 16 + NOTE_ENVELOPE_BYTES);
}

static void test_note_seal__what_is_too_big_is_refused(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_free char *text = malloc(FORMAT_POINT_MAX + 1);

	(void)state;
	assert_non_null(text);
	memset(text, 'x', FORMAT_POINT_MAX);
	text[FORMAT_POINT_MAX] = '\0';
	auto_json json_t *o = json_pack("{s:s}", "text", text);
	assert_non_null(o);
	fails(ERR_TOO_BIG, note_put(k.agent, KIND, KEY, o, NULL, e));
	assert_int_equal(note_kit_count(&k, "ctl/"), 0);
}

/* ---- what is not right ---- */

static void test_note_get__one_that_is_not_there(void **state)
{
	auto_kit struct kit k = kit_new();

	(void)state;
	assert_int_equal(class_of(k.audit, KEY), ERR_NOT_FOUND);
}

static void test_note_get__every_flipped_bit_is_found(void **state)
{
	auto_kit struct kit k = kit_new();
	size_t n;

	(void)state;
	put_sample(k.agent, KEY);
	auto_free uint8_t *good = kit_get(&k, KEY, &n);
	auto_free uint8_t *bad = malloc(n);
	assert_non_null(bad);
	for (size_t i = 0; i < n; i++) {
		enum err_class want = i < 8       ? ERR_FORMAT
		                      : i < 8 + 8 ? ERR_DENIED /* another signer */
		                                  : ERR_CORRUPT;
		auto_json json_t *o = NULL;
		struct err e = ERR_INIT;

		memcpy(bad, good, n);
		bad[i] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(note_open(k.audit, KIND, KEY, bad, n, &o, NULL, &e), -1);
		assert_int_equal(e.class, want);
		assert_true(note_is_bad(&e));
	}
	for (size_t len = 0; len < n; len++) {
		auto_json json_t *o = NULL;
		struct err e = ERR_INIT;

		assert_int_equal(note_open(k.audit, KIND, KEY, good, len, &o, NULL, &e), -1);
		assert_int_equal(e.class, len < 8 ? ERR_FORMAT : ERR_CORRUPT);
	}
}

static void test_note_get__what_was_moved_does_not_open(void **state)
{
	auto_kit struct kit k = kit_new();

	(void)state;
	put_sample(k.agent, KEY);
	put_sample(k.agent, "ctl/test/two");
	kit_swap(&k, KEY, "ctl/test/two");
	assert_int_equal(class_of(k.audit, KEY), ERR_CORRUPT);
	assert_int_equal(class_of(k.audit, "ctl/test/two"), ERR_CORRUPT);
	kit_swap(&k, KEY, "ctl/test/two");
	assert_int_equal(class_of(k.audit, KEY), ERR_NONE);
}

static void test_note_get__one_of_another_kind(void **state)
{
	auto_kit struct kit k = kit_new();

	(void)state;
	note_kit_text(k.agent, 'H', KEY, "{}");
	assert_int_equal(class_of(k.audit, KEY), ERR_FORMAT);
}

static void test_note_get__a_stranger_signed_it(void **state)
{
	auto_kit struct kit k = kit_new();
	struct stranger s;

	(void)state;
	stranger_init(&s, k.agent);
	put_sample(&s.repo, KEY);
	assert_int_equal(class_of(k.audit, KEY), ERR_DENIED);
}

static void test_note_get__one_of_another_repository(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit struct kit other = kit_new();
	size_t n;

	(void)state;
	put_sample(other.agent, KEY);
	auto_free uint8_t *p = kit_get(&other, KEY, &n);
	ok(put_bytes(k.store, KEY, p, n, e));
	assert_int_equal(class_of(k.audit, KEY), ERR_DENIED);
}

static void test_note_get__text_that_is_no_json(void **state)
{
	static const char *const texts[] = { "",     "{",
		                             "{} x", "{\"a\":1,\"a\":2}",
		                             "\xff", "{\"a\":\"\xc3\"}" };
	auto_kit struct kit k = kit_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		note_kit_text(k.agent, KIND, KEY, texts[i]);
		assert_int_equal(class_of(k.audit, KEY), ERR_FORMAT);
	}
}

static void test_note_get__over_the_limit_is_not_fetched(void **state)
{
	struct trouble t = { .call = CALL_GET };
	const size_t n = FORMAT_POINT_MAX + NOTE_ENVELOPE_BYTES + 1;
	auto_free uint8_t *p = calloc(1, n);
	auto_kit struct kit k = kit_new();

	(void)state;
	assert_non_null(p);
	ok(put_bytes(k.store, KEY, p, n, e));
	kit_trouble(&k, &t);
	assert_int_equal(class_of(k.audit, KEY), ERR_TOO_BIG);
	assert_int_equal(t.calls, 0);
}

static void test_note_get__the_stores_failure_is_told(void **state)
{
	struct trouble t = { .call = CALL_GET, .fault = FAULT_FAIL, .times = 1 };
	auto_kit struct kit k = kit_new();

	(void)state;
	put_sample(k.agent, KEY);
	kit_trouble(&k, &t);
	assert_int_equal(class_of(k.audit, KEY), ERR_RETRY);
	assert_int_equal(class_of(k.audit, KEY), ERR_NONE);
}

/* ---- with a list ---- */

static enum err_class list_class(const struct repo *r, const char *key, struct buf *list)
{
	auto_json json_t *o = NULL;
	struct err e = ERR_INIT;

	if (note_get_list(r, KIND, key, &o, list, NULL, &e) == 0)
		return ERR_NONE;
	assert_null(o);
	return e.class;
}

static void test_note_put_list__comes_back(void **state)
{
	static const size_t lens[] = { 0, 1, 17, 100000 };
	auto_kit struct kit k = kit_new();
	auto_json json_t *o = sample();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		CLEANUP(buf_clear) struct buf list = BUF_INIT(MIB);
		CLEANUP(buf_clear) struct buf got_list = BUF_INIT(MIB);
		auto_json json_t *got = NULL;
		char key[64];
		uint8_t signer[8];

		(void)snprintf(key, sizeof(key), "ctl/test/%zu", i);
		(void)buf_zero(&list, lens[i]);
		fill_random(i, list.data, list.len);
		ok(note_put_list(k.agent, KIND, key, o, &list, e));
		ok(note_get_list(k.audit, KIND, key, &got, &got_list, signer, e));
		assert_true(json_equal(got, o));
		assert_memory_equal(signer, k.agent->keys->signer_id, 8);
		assert_int_equal(got_list.len, lens[i]);
		if (lens[i] > 0)
			assert_memory_equal(got_list.data, list.data, lens[i]);
		fails(ERR_EXISTS, note_put_list(k.agent, KIND, key, o, &list, e));
	}
}

static void test_note_put_list__over_the_limit_is_refused(void **state)
{
	CLEANUP(buf_clear) struct buf list = BUF_INIT(NOTE_LIST_MAX);
	auto_kit struct kit k = kit_new();
	auto_json json_t *o = sample();

	(void)state;
	list.data = calloc(1, NOTE_LIST_MAX); /* never touched, so it costs nothing */
	assert_non_null(list.data);
	list.cap = list.len = NOTE_LIST_MAX;
	fails(ERR_TOO_BIG, note_put_list(k.agent, KIND, KEY, o, &list, e));
	assert_int_equal(note_kit_count(&k, "ctl/"), 0);
}

static void test_note_get_list__what_does_not_add_up(void **state)
{
	static const struct {
		const char *p;
		size_t n;
	} cases[] = {
		{ "", 0 },
		{ "\0\0\0", 3 },
		{ "\0\0\0\0", 4 },   /* no JSON at all */
		{ "\3\0\0\0{}", 6 }, /* it ends too early */
		{ "\xff\xff\xff\xff{}", 6 },
		{ "\1\0\0\0{}", 6 }, /* half of it is the list */
		{ "\0\0\0\x80{}", 6 },
	};
	auto_kit struct kit k = kit_new();
	CLEANUP(buf_clear) struct buf list = BUF_INIT(64);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		note_kit_put(k.agent, KIND, KEY, cases[i].p, cases[i].n);
		assert_int_equal(list_class(k.audit, KEY, &list), ERR_FORMAT);
	}
	note_kit_list(k.agent, KIND, KEY, "{}", "ab", 2);
	assert_int_equal(list_class(k.audit, KEY, &list), ERR_NONE);
	assert_int_equal(list.len, 2);
	assert_memory_equal(list.data, "ab", 2);
}

static void test_note_get_list__more_than_the_caller_takes_is_refused(void **state)
{
	uint8_t bytes[100] = { 0 };
	auto_kit struct kit k = kit_new();
	CLEANUP(buf_clear) struct buf list = BUF_INIT(99);
	CLEANUP(buf_clear) struct buf fits = BUF_INIT(100);

	(void)state;
	note_kit_list(k.agent, KIND, KEY, "{}", bytes, sizeof(bytes));
	assert_int_equal(list_class(k.audit, KEY, &list), ERR_TOO_BIG);
	assert_int_equal(list_class(k.audit, KEY, &fits), ERR_NONE);
}

static void test_note_get_list__tampered_moved_or_foreign(void **state)
{
	auto_kit struct kit k = kit_new();
	struct stranger s;
	CLEANUP(buf_clear) struct buf list = BUF_INIT(64);

	(void)state;
	assert_int_equal(list_class(k.audit, KEY, &list), ERR_NOT_FOUND);
	note_kit_list(k.agent, KIND, KEY, "{}", "abcd", 4);
	note_kit_list(k.agent, KIND, "ctl/test/two", "{}", "efgh", 4);
	kit_swap(&k, KEY, "ctl/test/two");
	assert_int_equal(list_class(k.audit, KEY, &list), ERR_CORRUPT);
	kit_swap(&k, KEY, "ctl/test/two");
	kit_flip(&k, KEY, -1);
	assert_int_equal(list_class(k.audit, KEY, &list), ERR_CORRUPT);
	kit_flip(&k, KEY, -1);
	kit_cut(&k, KEY, 1);
	assert_int_equal(list_class(k.audit, KEY, &list), ERR_CORRUPT);
	stranger_init(&s, k.agent);
	note_kit_list(&s.repo, KIND, KEY, "{}", "abcd", 4);
	assert_int_equal(list_class(k.audit, KEY, &list), ERR_DENIED);
	note_kit_list(k.agent, 'H', KEY, "{}", "abcd", 4);
	assert_int_equal(list_class(k.audit, KEY, &list), ERR_FORMAT);
	assert_int_equal(list.len, 0);
}

/* ---- schemas and classes ---- */

static void test_note_schema__must_be_the_one(void **state)
{
	auto_json json_t *good = json_pack("{s:s}", "schema", "aksdr/test/v1");
	auto_json json_t *later = json_pack("{s:s}", "schema", "aksdr/test/v2");
	auto_json json_t *none = json_pack("{s:i}", "schema", 1);
	auto_json json_t *array = json_array();

	(void)state;
	ok(note_schema(good, "test", "aksdr/test/v1", e));
	fails_saying(ERR_FORMAT, "aksdr/test/v2", note_schema(later, "test", "aksdr/test/v1", e));
	fails(ERR_FORMAT, note_schema(none, "test", "aksdr/test/v1", e));
	fails(ERR_FORMAT, note_schema(array, "test", "aksdr/test/v1", e));
}

static void test_note_is_bad__tells_the_object_from_the_way_to_it(void **state)
{
	static const enum err_class bad[] = { ERR_NOT_FOUND, ERR_CORRUPT, ERR_FORMAT, ERR_DENIED,
		                              ERR_TOO_BIG };

	(void)state;
	for (int class = 0; class < ERR_CLASSES; class ++) {
		struct err e = { .class = (enum err_class) class };
		bool want = false;

		for (size_t i = 0; i < ARRAY_LEN(bad); i++)
			want |= bad[i] == e.class;
		assert_int_equal(note_is_bad(&e), want);
	}
}

/* ---- names ---- */

static void test_note_new_key__is_a_day_and_never_the_same(void **state)
{
	char a[NOTE_KEY_MAX];
	char b[NOTE_KEY_MAX];

	(void)state;
	note_new_key("ctl/damage", a);
	note_new_key("ctl/damage", b);
	assert_string_not_equal(a, b);
	assert_int_equal(strncmp(a, "ctl/damage/", 11), 0);
	assert_true(note_name_valid(a + 11));
	assert_true(store_key_valid(a));
}

static void test_note_name_valid__refuses_other_names(void **state)
{
	static const char good[] = "2026-11-22/0123456789abcdef0123456789abcdef";
	static const char *const bad[] = {
		"",
		"2026-11-22",
		"2026-11-22/",
		"2026-11-22/0123456789abcdef0123456789abcde",
		"2026-11-22/0123456789abcdef0123456789abcdef0",
		"2026-11-22/0123456789abcdef0123456789abcdeg",
		"2026-11-22/0123456789ABCDEF0123456789abcdef",
		"2026-11-2x/0123456789abcdef0123456789abcdef",
		"2026_11-22/0123456789abcdef0123456789abcdef",
		"2026-11-22-0123456789abcdef0123456789abcdef",
		"/2026-11-22/0123456789abcdef0123456789abcdef",
	};

	(void)state;
	assert_true(note_name_valid(good));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (note_name_valid(bad[i]))
			fail_msg("'%s' was taken", bad[i]);
	}
}

static void test_note_number__and_back(void **state)
{
	static const uint64_t numbers[] = { 1, 9, 10, 12345678, 99999999 };
	static const char *const bad[] = { "",         "1",         "0000001",  "000000001",
		                           "00000000", "0000000x",  "+0000001", " 0000001",
		                           "0000001 ", "00000001/", "-0000001" };
	char key[NOTE_KEY_MAX];
	uint64_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		note_number_key("tomb", numbers[i], key);
		assert_int_equal(strncmp(key, "tomb/", 5), 0);
		assert_true(note_number(key + 5, &n));
		assert_int_equal(n, numbers[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (note_number(bad[i], &n))
			fail_msg("'%s' was taken", bad[i]);
	}
}

static void test_note_put_numbered__takes_the_first_that_is_free(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_json json_t *o = sample();
	uint64_t n = 0;

	(void)state;
	put_sample(k.agent, "ctl/n/00000002");
	put_sample(k.recovery, "ctl/n/00000003");
	ok(note_put_numbered(k.agent, KIND, "ctl/n", 2, o, &n, e));
	assert_int_equal(n, 4);
	assert_int_equal(class_of(k.audit, "ctl/n/00000004"), ERR_NONE);
	ok(note_put_numbered(k.agent, KIND, "ctl/n", 1, o, &n, e));
	assert_int_equal(n, 1);
	ok(note_put_numbered(k.agent, KIND, "ctl/n", 1, o, &n, e));
	assert_int_equal(n, 5);
}

static void test_note_put_numbered__the_numbers_come_to_an_end(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_json json_t *o = sample();
	uint64_t n = 0;

	(void)state;
	ok(note_put_numbered(k.agent, KIND, "ctl/n", 99999999, o, &n, e));
	assert_int_equal(n, 99999999);
	n = 7;
	fails(ERR_TOO_BIG, note_put_numbered(k.agent, KIND, "ctl/n", 99999999, o, &n, e));
	fails(ERR_TOO_BIG, note_put_numbered(k.agent, KIND, "ctl/n", 100000000, o, &n, e));
	assert_int_equal(n, 7);
	assert_int_equal(note_kit_count(&k, "ctl/n/"), 1);
}

static void test_note_actor__is_somebody_somewhere(void **state)
{
	struct note_actor a;

	(void)state;
	memset(&a, 0xff, sizeof(a));
	note_actor(&a);
	auto_json json_t *o = json_pack("{s:s, s:s}", "user", a.user, "host", a.host);
	assert_non_null(o); /* both are text */
	assert_true(a.user[0]);
	assert_true(a.host[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_note_put__all_key_files_read_it_and_see_who_signed),
		cmocka_unit_test(test_note_put__the_text_cannot_be_seen),
		cmocka_unit_test(test_note_put__who_cannot_sign_is_denied),
		cmocka_unit_test(test_note_put__a_taken_key_is_told_and_what_stands_stays),
		cmocka_unit_test(test_note_put_sealed__meets_itself),
		cmocka_unit_test(test_note_put_sealed__what_cannot_be_compared_is_another),
		cmocka_unit_test(test_note_put__an_answer_that_was_lost_is_no_failure),
		cmocka_unit_test(test_note_put__the_stores_failure_is_told),
		cmocka_unit_test(test_note_put__nothing_to_put_is_short_memory),
		cmocka_unit_test(test_note_seal__pads_to_exactly_so_many_bytes),
		cmocka_unit_test(test_note_seal__the_envelope_has_its_length),
		cmocka_unit_test(test_note_seal__what_is_too_big_is_refused),
		cmocka_unit_test(test_note_get__one_that_is_not_there),
		cmocka_unit_test(test_note_get__every_flipped_bit_is_found),
		cmocka_unit_test(test_note_get__what_was_moved_does_not_open),
		cmocka_unit_test(test_note_get__one_of_another_kind),
		cmocka_unit_test(test_note_get__a_stranger_signed_it),
		cmocka_unit_test(test_note_get__one_of_another_repository),
		cmocka_unit_test(test_note_get__text_that_is_no_json),
		cmocka_unit_test(test_note_get__over_the_limit_is_not_fetched),
		cmocka_unit_test(test_note_get__the_stores_failure_is_told),
		cmocka_unit_test(test_note_put_list__comes_back),
		cmocka_unit_test(test_note_put_list__over_the_limit_is_refused),
		cmocka_unit_test(test_note_get_list__what_does_not_add_up),
		cmocka_unit_test(test_note_get_list__more_than_the_caller_takes_is_refused),
		cmocka_unit_test(test_note_get_list__tampered_moved_or_foreign),
		cmocka_unit_test(test_note_schema__must_be_the_one),
		cmocka_unit_test(test_note_is_bad__tells_the_object_from_the_way_to_it),
		cmocka_unit_test(test_note_new_key__is_a_day_and_never_the_same),
		cmocka_unit_test(test_note_name_valid__refuses_other_names),
		cmocka_unit_test(test_note_number__and_back),
		cmocka_unit_test(test_note_put_numbered__takes_the_first_that_is_free),
		cmocka_unit_test(test_note_put_numbered__the_numbers_come_to_an_end),
		cmocka_unit_test(test_note_actor__is_somebody_somewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
