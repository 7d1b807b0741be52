/* SPDX-License-Identifier: Apache-2.0 */
/* Batches: names, chains, and that each byte of one counts. */
#include "repo/audit_batch.h"

#include "tests/unit/repo/audit_kit.h"

#define WRITER "2026-11-22-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"
#define OTHER "2026-11-23-6a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"
static const struct audit_head nobody;

static json_t *two_records(const struct repo *r)
{
	json_t *v = json_array();

	assert_int_equal(json_array_append_new(v, audit_kit_record(r, "backup", 1)), 0);
	assert_int_equal(json_array_append_new(v, audit_kit_record(r, "gc", 2)), 0);
	return v;
}

static json_t *batch(const struct repo *r, const struct audit_head *before,
                     const struct audit_head *continues, struct audit_head *after)
{
	auto_json json_t *records = two_records(r);
	json_t *o = NULL;

	ok((o = audit_batch_json(before, continues, records, after, e)) ? 0 : -1);
	return o;
}

static void test_audit_batch_key__is_read_back(void **state)
{
	static const char *const wrong[] = {
		"audit/",
		"audit/" WRITER,
		"audit/" WRITER "/1",
		"audit/" WRITER "/00000000",
		"audit/" WRITER "x/00000001",
		"audit/2026-11-22/5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c/00000001",
		"audio/" WRITER "/00000001",
		"audit/2026-11-22-5A0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c/00000001",
	};
	char key[NOTE_KEY_MAX];
	char writer[AUDIT_WRITER_LEN + 1];
	uint64_t n;

	(void)state;
	audit_batch_key(WRITER, 12, key);
	assert_string_equal(key, "audit/" WRITER "/00000012");
	assert_true(audit_batch_key_parse(key, writer, &n));
	assert_string_equal(writer, WRITER);
	assert_int_equal(n, 12);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_false(audit_batch_key_parse(wrong[i], writer, &n));
	audit_batch_writer_new(KIT_EPOCH_NS, writer);
	assert_true(audit_batch_writer_valid(writer));
	assert_int_equal(strncmp(writer, "2026-11-22-", 11), 0);
}

static void test_audit_batch_read__follows_chains_and_what_they_continue(void **state)
{
	auto_kit struct kit k = kit_new();
	struct audit_head begin, first, second, next, third;
	struct audit_batch b;

	(void)state;
	audit_batch_begin(WRITER, &nobody, &begin);
	auto_json json_t *one = batch(k.agent, &begin, &nobody, &first);
	auto_json json_t *two = batch(k.agent, &first, &nobody, &second);
	ok(audit_batch_read(one, "audit/" WRITER "/00000001", &b, e));
	assert_true(audit_batch_follows(&begin, &b));
	assert_int_equal(b.n, 2);
	assert_memory_equal(&b.after, &first, sizeof(first));
	ok(audit_batch_read(two, "audit/" WRITER "/00000002", &b, e));
	assert_true(audit_batch_follows(&first, &b));
	assert_false(audit_batch_follows(&begin, &b));
	assert_int_equal(b.after.records, 4);
	audit_batch_begin(OTHER, &second, &next);
	auto_json json_t *three = batch(k.agent, &next, &second, &third);
	ok(audit_batch_read(three, "audit/" OTHER "/00000001", &b, e));
	assert_memory_equal(&b.continues, &second, sizeof(second));
	assert_true(audit_batch_follows(&next, &b));
	assert_false(audit_batch_follows(&second, &b));
}

static void test_audit_batch_read__sees_every_byte_that_is_changed(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(buf_clear) struct buf text = BUF_INIT(MIB);
	struct audit_head old, begin, after;
	struct audit_batch b;
	unsigned seen = 0;

	(void)state;
	audit_batch_begin(OTHER, &nobody, &old);
	old.number = 3;
	audit_batch_begin(WRITER, &old, &begin);
	auto_json json_t *o = batch(k.agent, &begin, &old, &after);
	ok(json_write(o, &text, e));
	for (size_t i = 0; i < text.len; i++) {
		struct err why = ERR_INIT;
		uint8_t was = text.data[i];

		text.data[i] = was == '0' ? '1' : '0';
		json_t *x = json_loadb((const char *)text.data, text.len, 0, NULL);
		text.data[i] = was;
		if (!x)
			continue;
		seen++;
		/* What another chain is said to be called is bound by its hash alone. */
		bool same = audit_batch_read(x, "audit/" WRITER "/00000001", &b, &why) == 0;
		json_decref(x);
		if (same) {
			const char *at = strstr(buf_cstr(&text), "\"continues\"");
			size_t from = (size_t)(at - (const char *)text.data);

			assert_in_range(i, from, from + 240);
		}
	}
	assert_true(seen > 800);
	struct err why = ERR_INIT;
	assert_int_equal(audit_batch_read(o, "audit/" WRITER "/00000002", &b, &why), -1);
	assert_int_equal(why.class, ERR_CORRUPT);
	assert_int_equal(audit_batch_read(o, "audit/" OTHER "/00000001", &b, &why), -1);
	assert_int_equal(why.class, ERR_CORRUPT);
}

static void test_audit_batch_read__refuses_other_members_and_lists(void **state)
{
	static const struct {
		const char *member, *json;
		enum err_class class;
	} wrong[] = {
		{ "schema", "\"x\"", ERR_FORMAT },  { "writer", "1", ERR_FORMAT },
		{ "writer", "\"x\"", ERR_CORRUPT }, { "number", "2", ERR_CORRUPT },
		{ "number", "\"1\"", ERR_FORMAT },  { "first", "2", ERR_CORRUPT },
		{ "first", "0", ERR_CORRUPT },      { "before", "\"\"", ERR_FORMAT },
		{ "after", "7", ERR_FORMAT },       { "records", "[]", ERR_FORMAT },
		{ "records", "{}", ERR_FORMAT },    { "records", "[1]", ERR_FORMAT },
		{ "continues", "{}", ERR_FORMAT },  { "continues", "[]", ERR_FORMAT },
	};
	auto_kit struct kit k = kit_new();
	struct audit_head begin, after;

	(void)state;
	audit_batch_begin(WRITER, &nobody, &begin);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		auto_json json_t *o = batch(k.agent, &begin, &nobody, &after);
		struct audit_batch b;
		struct err why = ERR_INIT;

		assert_int_equal(json_object_set_new(o, wrong[i].member,
		                                     json_loads(wrong[i].json, JSON_DECODE_ANY,
		                                                NULL)),
		                 0);
		assert_int_equal(audit_batch_read(o, "audit/" WRITER "/00000001", &b, &why), -1);
		assert_int_equal(why.class, wrong[i].class);
	}
	auto_json json_t *o = batch(k.agent, &begin, &nobody, &after);
	struct audit_batch b;
	struct err why = ERR_INIT;
	assert_int_equal(audit_batch_read(o, "audit/" WRITER, &b, &why), -1);
	assert_int_equal(why.class, ERR_FORMAT);
}

static void test_audit_batch_json__refuses_none_and_too_many(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_json json_t *records = json_array();
	struct audit_head begin, after;
	struct err why = ERR_INIT;

	(void)state;
	audit_batch_begin(WRITER, &nobody, &begin);
	assert_null(audit_batch_json(&begin, &nobody, records, &after, &why));
	assert_int_equal(why.class, ERR_TOO_BIG);
	auto_json json_t *one = audit_kit_record(k.agent, "gc", 1);
	for (size_t i = 0; i <= AUDIT_BATCH_RECORDS_MAX; i++)
		assert_int_equal(json_array_append(records, one), 0);
	assert_null(audit_batch_json(&begin, &nobody, records, &after, &why));
	assert_int_equal(why.class, ERR_TOO_BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_audit_batch_key__is_read_back),
		cmocka_unit_test(test_audit_batch_read__follows_chains_and_what_they_continue),
		cmocka_unit_test(test_audit_batch_read__sees_every_byte_that_is_changed),
		cmocka_unit_test(test_audit_batch_read__refuses_other_members_and_lists),
		cmocka_unit_test(test_audit_batch_json__refuses_none_and_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
