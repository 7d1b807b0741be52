/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: what parses is written, parses again as the same value and is written the same again. */
#include "common/json.h"
#include "tests/fuzz/fuzz.h"

#define FORMAT FUZZ_CLASS(ERR_FORMAT)

/* Each getter takes a member of its type, and refuses with the member's name. */
static void members(const json_t *o)
{
	static const char *const keys[] = { "a", "schema", "n" };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const json_t *v = json_object_get(o, keys[i]);
		uint8_t bytes[3] = { 0, 0, 0xa5 };
		const char *s = NULL;
		uint64_t u = 7;
		int64_t n = 7;
		bool b = false;
		struct err e = ERR_INIT;

		if (json_get_str(o, "x", keys[i], &s, &e) < 0)
			fuzz_refused(&e, FORMAT);
		holds((s != NULL) == json_is_string(v));
		if (json_get_i64(o, "x", keys[i], &n, &e) == 0)
			holds(json_is_integer(v) && n == json_integer_value(v));
		else
			fuzz_refused(&e, FORMAT);
		if (json_get_u64(o, "x: .y", keys[i], &u, &e) == 0)
			holds(u <= INT64_MAX && (int64_t)u == n);
		else
			fuzz_refused(&e, FORMAT);
		if (json_get_bool(o, "x", keys[i], &b, &e) == 0)
			holds(json_is_boolean(v) && b == json_is_true(v));
		if (json_get_hex(o, "x", keys[i], bytes, 2, &e) == 0)
			holds(s && strlen(s) == 4);
		holds(bytes[2] == 0xa5);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(buf_clear) struct buf once = BUF_INIT(8 * MIB);
	CLEANUP(buf_clear) struct buf twice = BUF_INIT(8 * MIB);
	struct err e = ERR_INIT;

	if (size > 64 * KIB)
		return 0;
	auto_json json_t *j = json_parse("fuzz", data, size, &e);
	if (!j) {
		fuzz_refused(&e, FORMAT);
		return 0;
	}
	members(j);
	works(json_write(j, &once, &e));
	auto_json json_t *again = json_parse("fuzz", once.data, once.len, &e);
	holds(again);
	works(json_write(again, &twice, &e));
	holds(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
	return 0;
}
