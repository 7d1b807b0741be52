/* SPDX-License-Identifier: Apache-2.0 */
/* Anchors: what they hold, what they refuse, and their hash. */
#include "repo/audit_anchor.h"

#include "tests/unit/repo/audit_kit.h"

static const uint8_t none[32];

static json_t *anchor(size_t heads)
{
	struct audit_head h = { .writer = "2026-11-22-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c",
		                .number = 3,
		                .records = 7 };
	auto_json json_t *v = json_array();
	json_t *o = NULL;

	for (size_t i = 0; i < heads; i++)
		assert_int_equal(json_array_append_new(v, audit_batch_head_json(&h)), 0);
	ok((o = audit_anchor_json(none, 7, v, KIT_EPOCH_NS, e)) ? 0 : -1);
	return o;
}

static void test_audit_anchor_json__comes_back_as_it_was(void **state)
{
	auto_json json_t *o = anchor(2);
	struct audit_anchor a;
	uint8_t hash[32];

	(void)state;
	ok(audit_anchor_read(o, "it", &a, e));
	assert_int_equal(a.records, 7);
	assert_int_equal(a.at_ns, KIT_EPOCH_NS);
	assert_int_equal(json_array_size(a.heads), 2);
	assert_memory_equal(a.previous, none, 32);
	/* printf 'aksdr audit anchor\0abc' | sha256sum */
	audit_anchor_hash("abc", 3, hash);
	assert_string_equal(hex_of32(hash).s,
	                    "12ac2aba47e96f1ddd1bbf1ceac77ba07b4dd177b7391619d33e379816b4a314");
}

static void test_audit_anchor_read__refuses_each_member_that_is_not_right(void **state)
{
	static const struct {
		const char *member, *json;
	} wrong[] = {
		{ "schema", "\"x\"" }, { "at_ns", "null" },
		{ "records", "-1" },   { "previous", "\"00\"" },
		{ "actor", "{}" },     { "heads", "{}" },
		{ "heads", "[1]" },    { "heads", "[{\"writer\": \"x\"}]" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		auto_json json_t *o = anchor(1);
		struct audit_anchor a;
		struct err why = ERR_INIT;

		assert_int_equal(json_object_set_new(o, wrong[i].member,
		                                     json_loads(wrong[i].json, JSON_DECODE_ANY,
		                                                NULL)),
		                 0);
		assert_int_equal(audit_anchor_read(o, "it", &a, &why), -1);
		assert_int_equal(why.class, ERR_FORMAT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_audit_anchor_json__comes_back_as_it_was),
		cmocka_unit_test(test_audit_anchor_read__refuses_each_member_that_is_not_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
