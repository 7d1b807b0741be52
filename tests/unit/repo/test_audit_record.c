/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the audit trail: what they hold, what they refuse, and their hashes. */
#include "repo/audit_record.h"

#include "tests/unit/repo/audit_kit.h"

static void test_audit_record_json__comes_back_as_it_was(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_json json_t *o = audit_kit_record(k.agent, "gc", 7);
	struct audit_record r;

	(void)state;
	ok(audit_record_read(o, "it", &r, e));
	assert_string_equal(r.id, "00000000000000000000000000000007");
	assert_int_equal(r.at_ns, KIT_EPOCH_NS + 7);
	assert_int_equal(r.took_ms, 12);
	assert_string_equal(r.act, "gc");
	assert_int_equal(r.nobjects, 1);
	assert_string_equal(r.objects[0], "shop/orders");
	assert_int_equal(r.object_count, 1);
	assert_string_equal(r.why, "because");
	assert_int_equal(r.result, AUDIT_DONE);
	assert_string_equal(r.user, "root");
	assert_string_equal(r.host, "node-1");
	assert_string_equal(r.program, "aksdr-agent");
	assert_string_equal(r.account, "");
}

static void test_audit_record_json__cuts_texts_and_makes_them_one_line(void **state)
{
	static char longer[3000];
	static const char *const signer = "0011223344556677";
	struct audit_record x = { .act = "x", .why = longer, .signer = signer, .nobjects = 40 };
	struct audit_record r;

	(void)state;
	memset(longer, 'y', sizeof(longer) - 1);
	longer[3] = '\n';
	(void)snprintf(x.id, sizeof(x.id), "%032x", 1);
	for (size_t i = 0; i < AUDIT_OBJECTS_MAX; i++)
		x.objects[i] = longer;
	x.object_count = 40;
	auto_json json_t *o = NULL;
	ok((o = audit_record_json(&x, e)) ? 0 : -1);
	ok(audit_record_read(o, "it", &r, e));
	assert_int_equal(strlen(r.why), AUDIT_TEXT_MAX);
	assert_null(strchr(r.why, '\n'));
	assert_int_equal(r.nobjects, AUDIT_OBJECTS_MAX);
	assert_int_equal(r.object_count, 40);
	assert_int_equal(strlen(r.objects[31]), AUDIT_OBJECT_MAX);
	uint8_t hash[32];
	ok(audit_record_hash(hash, o, hash, e));
}

static void test_audit_record_result_of__follows_the_exit_status(void **state)
{
	(void)state;
	assert_string_equal(audit_record_result_name(audit_record_result_of(0)), "done");
	assert_string_equal(audit_record_result_name(audit_record_result_of(3)), "partly");
	assert_string_equal(audit_record_result_name(audit_record_result_of(130)), "cancelled");
	assert_string_equal(audit_record_result_name(audit_record_result_of(6)), "failed");
}

static void test_audit_record_read__refuses_each_member_that_is_not_right(void **state)
{
	static const struct {
		const char *member, *json;
	} wrong[] = {
		{ "schema", "\"aksdr/audit/v2\"" },
		{ "id", "\"1\"" },
		{ "id", "\"0000000000000000000000000000000G\"" },
		{ "at_ns", "\"x\"" },
		{ "took_ms", "1.5" },
		{ "act", "\"\"" },
		{ "act", "3" },
		{ "objects", "{}" },
		{ "objects", "[1]" },
		{ "objects", "[\"a\",\"b\"]" },
		{ "object_count", "0" },
		{ "why", "null" },
		{ "result", "\"fine\"" },
		{ "status", "256" },
		{ "status", "-1" },
		{ "error", "[]" },
		{ "run", "\"abc\"" },
		{ "who", "[]" },
		{ "who", "{}" },
	};
	auto_kit struct kit k = kit_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		auto_json json_t *o = audit_kit_record(k.agent, "gc", 7);
		struct audit_record r;
		struct err why = ERR_INIT;
		json_t *v = json_loads(wrong[i].json, JSON_DECODE_ANY, NULL);

		assert_int_equal(json_object_set_new(o, wrong[i].member, v), 0);
		assert_int_equal(audit_record_read(o, "it", &r, &why), -1);
		assert_int_equal(why.class, ERR_FORMAT);
		assert_int_equal(json_object_del(o, wrong[i].member), 0);
		why = (struct err)ERR_INIT;
		assert_int_equal(audit_record_read(o, "it", &r, &why), -1);
		assert_int_equal(why.class, ERR_FORMAT);
	}
}

static void test_audit_record_hash__is_of_the_canonical_text_and_what_came_before(void **state)
{
	static const char text[] = "{\"a\":1,\"b\":\"x\"}";
	uint8_t before[32] = { 0 };
	uint8_t one[32];
	uint8_t two[32];
	auto_json json_t *o = json_pack("{ss si}", "b", "x", "a", 1);

	(void)state;
	ok(audit_record_hash(before, o, one, e));
	audit_record_hash_text(before, text, strlen(text), two);
	assert_memory_equal(one, two, 32);
	/* printf 'aksdr audit record\0' + 32 zero bytes + the text, by sha256sum */
	assert_string_equal(hex_of32(one).s,
	                    "4f3c38ea8f15fe0a5bbab26cfe5163042d9a3f248f4fd129ebbdea1a6baf6683");
	before[0] = 1;
	ok(audit_record_hash(before, o, two, e));
	assert_memory_not_equal(one, two, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_audit_record_json__comes_back_as_it_was),
		cmocka_unit_test(test_audit_record_json__cuts_texts_and_makes_them_one_line),
		cmocka_unit_test(test_audit_record_result_of__follows_the_exit_status),
		cmocka_unit_test(test_audit_record_read__refuses_each_member_that_is_not_right),
		cmocka_unit_test(
			test_audit_record_hash__is_of_the_canonical_text_and_what_came_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
