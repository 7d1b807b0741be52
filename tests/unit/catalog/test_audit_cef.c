/* SPDX-License-Identifier: Apache-2.0 */
/* The Common Event Format: what is escaped where, and what is left out. */
#include "catalog/audit_cef.h"

#include "tests/harness/store_kit.h"

static void test_audit_cef_put__escapes_header_and_values(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * KIB);
	struct audit_record r = {
		.id = "00000000000000000000000000000001",
		.at_ns = 1795305600123456789,
		.took_ms = 12,
		.act = "re|store",
		.objects = { "a=b", "c\\d" },
		.nobjects = 2,
		.object_count = 5,
		.why = "x=y | z",
		.result = AUDIT_DONE,
		.error = "",
		.user = "root",
		.host = "n1",
		.program = "aksdr|restore",
		.version = "1\\2",
		.account = "",
		.pod = "ns/pod",
		.run = "",
	};

	(void)state;
	audit_cef_put(&b, &r, "agent", "W/3");
	assert_string_equal(
		buf_cstr(&b),
		"CEF:0|aksdr|aksdr\\|restore|1\\\\2|re\\|store|re\\|store done|3|rt=1795305600123 "
		"start=1795305600123 end=1795305600135 externalId=00000000000000000000000000000001 "
		"act=re|store outcome=done suser=root shost=n1 "
		"reason=x\\=y | z cn1Label=exitStatus "
		"cn1=0 cs1Label=objects cs1=a\\=b, c\\\\d, and 3 more cs3Label=pod cs3=ns/pod "
		"cs5Label=signedBy cs5=agent cs6Label=chain cs6=W/3\n");
}

static void test_audit_cef_put__ranks_what_failed_and_what_opens_data(void **state)
{
	static const struct {
		const char *act;
		enum audit_result result;
		const char *part;
	} all[] = {
		{ "list", AUDIT_DONE, "|3|" },   { "gc", AUDIT_DONE, "|5|" },
		{ "list", AUDIT_FAILED, "|6|" }, { "backup", AUDIT_PARTLY, "|5|" },
		{ "export", AUDIT_DONE, "|5|" }, { "backup", AUDIT_BEGUN, "|3|" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * KIB);
		struct audit_record r = { .act = all[i].act,
			                  .result = all[i].result,
			                  .why = "two\nlines",
			                  .error = "",
			                  .user = "",
			                  .host = "",
			                  .program = "",
			                  .version = "",
			                  .account = "",
			                  .pod = "",
			                  .run = "" };

		audit_cef_put(&b, &r, "", "");
		assert_non_null(strstr(buf_cstr(&b), all[i].part));
		assert_non_null(strstr(buf_cstr(&b), "reason=two\\nlines "));
		assert_ptr_equal(strchr(buf_cstr(&b), '\n'), (char *)b.data + b.len - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_audit_cef_put__escapes_header_and_values),
		cmocka_unit_test(test_audit_cef_put__ranks_what_failed_and_what_opens_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
