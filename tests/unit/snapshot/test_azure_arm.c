/* SPDX-License-Identifier: Apache-2.0 */
/* The resource manager, as it answers and as it may. */
#include "snapshot/azure_arm.h"

#include "common/secret.h"
#include "tests/harness/azure_kit.h"

static int setup(void **state)
{
	(void)state;
	azure_kit_start();
	(void)azure_kit_add("one", 64 * KIB, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	azure_kit_stop();
	return 0;
}

static void access_begins(const char *signature)
{
	auto_azure_arm struct azure_arm *a = azure_kit_arm();
	auto_secret char *sas = NULL;

	ok(azure_arm_begin_access(a, azure_kit_id("one"), &sas, e));
	assert_true(strncmp(sas, azure_kit.url, strlen(azure_kit.url)) == 0);
	assert_non_null(strstr(sas, signature));
	assert_true(azure_kit.snapshots[0].open);
	ok(azure_arm_end_access(a, azure_kit_id("one"), e));
	assert_false(azure_kit.snapshots[0].open);
}

static void access_fails(enum err_class class, const char *text)
{
	auto_azure_arm struct azure_arm *a = azure_kit_arm();
	struct err e = ERR_INIT;
	char *sas = NULL;

	assert_int_equal(azure_arm_begin_access(a, azure_kit_id("one"), &sas, &e), -1);
	assert_null(sas);
	azure_kit_refused(&e, class, text);
}

/* ---- pure ---- */

static void test_cloud__follows_the_authority(void **state)
{
	(void)state;
	assert_string_equal(azure_arm_cloud(NULL), "https://management.azure.com");
	assert_string_equal(azure_arm_cloud("https://login.microsoftonline.com/"),
	                    "https://management.azure.com");
	assert_string_equal(azure_arm_cloud("https://login.chinacloudapi.cn/"),
	                    "https://management.chinacloudapi.cn");
	assert_string_equal(azure_arm_cloud("https://login.partner.microsoftonline.cn"),
	                    "https://management.chinacloudapi.cn");
	assert_string_equal(azure_arm_cloud("https://login.microsoftonline.us/"),
	                    "https://management.usgovcloudapi.net");
}

static void test_is_snapshot__takes_names_and_nothing_that_leads_elsewhere(void **state)
{
	static const char *const others[] = {
		"",
		"/",
		"snapshot-1",
		"/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/snapshots/",
		"/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/d",
		"/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/snapshots/a/b",
		"/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/snapshots/a?x=y",
		"/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/snapshots/a%2f",
		"/subscriptions/s/resourceGroups/../providers/Microsoft.Compute/snapshots/a",
		"/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/snapshots/..",
		"/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/snapshots/a",
		"/subscriptions//resourceGroups/g/providers/Microsoft.Compute/snapshots/a",
		"//evil/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/snapshots/a",
		"/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/snapshots/a\r\nb",
	};

	(void)state;
	assert_true(azure_arm_is_snapshot(azure_kit_id("snapshot-0a1b")));
	assert_true(azure_arm_is_snapshot("/SUBSCRIPTIONS/s/resourcegroups/MC_a-b.c_(d)/providers/"
	                                  "microsoft.compute/Snapshots/local_x.y"));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (azure_arm_is_snapshot(others[i]))
			fail_msg("accepted: %s", others[i]);
}

static void test_parse_snapshot__what_is_not_told_has_no_effect(void **state)
{
	static const char least[] = "{\"properties\":{\"diskSizeBytes\":1024,\"timeCreated\":"
				    "\"1970-01-01T00:00:01Z\"}}";
	static const char more[] = "{\"properties\":{\"diskSizeBytes\":1024,\"timeCreated\":"
				   "\"1970-01-01T00:00:01.5Z\",\"incremental\":true,"
				   "\"completionPercent\":99.5,\"creationData\":"
				   "{\"logicalSectorSize\":4096,\"sourceUniqueId\":\"d\"}}}";
	struct azure_snapshot s;

	(void)state;
	ok(azure_arm_parse_snapshot(least, strlen(least), &s, e));
	assert_int_equal(s.bytes, 1024);
	assert_int_equal(s.created_ns, 1000000000);
	assert_false(s.incremental);
	assert_true(s.complete);
	assert_int_equal(s.sector_bytes, 512);
	assert_string_equal(s.family, "");
	ok(azure_arm_parse_snapshot(more, strlen(more), &s, e));
	assert_true(s.incremental);
	assert_false(s.complete);
	assert_int_equal(s.sector_bytes, 4096);
	assert_string_equal(s.disk, "d");
}

static void test_parse_snapshot__what_makes_no_sense_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{",
		"{}",
		"{\"properties\":[]}",
		"{\"properties\":{\"diskSizeBytes\":1024}}",
		"{\"properties\":{\"diskSizeBytes\":1024,\"timeCreated\":\"soon\"}}",
		"{\"properties\":{\"diskSizeBytes\":0,\"timeCreated\":\"1970-01-01T00:00:01Z\"}}",
		"{\"properties\":{\"diskSizeBytes\":7,\"timeCreated\":\"1970-01-01T00:00:01Z\"}}",
		"{\"properties\":{\"diskSizeBytes\":\"1024\",\"timeCreated\":"
		"\"1970-01-01T00:00:01Z\"}}",
		"{\"properties\":{\"diskSizeBytes\":9223372036854775296,\"timeCreated\":"
		"\"1970-01-01T00:00:01Z\"}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct err e = ERR_INIT;
		struct azure_snapshot s;

		if (azure_arm_parse_snapshot(texts[i], strlen(texts[i]), &s, &e) != -1 ||
		    e.class != ERR_FORMAT)
			fail_msg("%s: %s", texts[i], e.msg);
	}
}

static void test_parse_progress__an_url_that_is_none_is_not_repeated(void **state)
{
	static const char *const texts[] = {
		"{\"accessSAS\":\"http://example.com/a?sig=" AZURE_KIT_SECRET "\"}",
		"{\"accessSAS\":\"https://example.com/" AZURE_KIT_SECRET "\"}",
		"{\"accessSAS\":\"https://example.com/a?sig=" AZURE_KIT_SECRET "\\r\\nX: y\"}",
		"{\"accessSAS\":\"file:///" AZURE_KIT_SECRET "?\"}",
		"{\"accessSAS\":\"https://e/?sig=" AZURE_KIT_SECRET "",
	};
	struct azure_arm_progress *p = malloc(sizeof(*p));

	(void)state;
	assert_non_null(p);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(azure_arm_parse_progress(200, texts[i], strlen(texts[i]), p, &e),
		                 -1);
		azure_kit_refused(&e, ERR_FORMAT, "the resource manager");
	}
	free(p);
}

/* ---- operations ---- */

static void test_begin_access__however_it_is_told(void **state)
{
	(void)state;
	access_begins("sig=" AZURE_KIT_SECRET "1");
	assert_int_equal(azure_kit_waited_ms, 0);
	azure_kit.polls = 3;
	access_begins("sig=" AZURE_KIT_SECRET "2");
	azure_kit.by_location = true;
	azure_kit_waited_ms = 0;
	access_begins("sig=" AZURE_KIT_SECRET "3");
	/* at first nothing says how long; then Retry-After does */
	assert_int_equal(azure_kit_waited_ms, 2 * (2000 + 3 * 1000));
	azure_kit.by_location = false;
	azure_kit.bare = true;
	access_begins("sig=" AZURE_KIT_SECRET "4");
	assert_int_equal(azure_kit.tokens, 4);
}

static void test_begin_access__an_operation_that_fails_says_why(void **state)
{
	(void)state;
	azure_kit.polls = 1;
	azure_kit.failure = "Failed";
	access_fails(ERR_IO, "TheCode: the message");
	azure_kit.failure = "Canceled";
	access_fails(ERR_IO, "TheCode: the message");
}

static void test_begin_access__what_is_refused_has_its_class(void **state)
{
	static const struct {
		int status;
		enum err_class class;
		const char *text;
	} table[] = {
		{ 400, ERR_UNSUPPORTED, "TheCode: the message" },
		{ 403, ERR_DENIED, "'Disk Snapshot Contributor'" },
		{ 404, ERR_NOT_FOUND, "no such snapshot" },
		{ 409, ERR_BUSY, "TheCode: the message" },
		{ 418, ERR_IO, "status 418" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		azure_kit.arm_status = table[i].status;
		access_fails(table[i].class, table[i].text);
	}
}

static void test_begin_access__the_token_goes_to_no_other_address(void **state)
{
	char almost[128];

	(void)state;
	azure_kit.elsewhere = "http://127.0.0.1:1";
	access_fails(ERR_FORMAT, "another address than its own");
	(void)snprintf(almost, sizeof(almost), "%s.example.com", azure_kit.url);
	azure_kit.elsewhere = almost;
	access_fails(ERR_FORMAT, "another address than its own");
}

static void test_begin_access__of_another_resource_is_no_request(void **state)
{
	auto_azure_arm struct azure_arm *a = azure_kit_arm();
	struct err e = ERR_INIT;
	char *sas = NULL;

	(void)state;
	assert_int_equal(azure_arm_begin_access(a, "/subscriptions/../x", &sas, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_int_equal(azure_kit.asked, 0);
}

static void test_end_access__of_what_is_gone_is_fine(void **state)
{
	auto_azure_arm struct azure_arm *a = azure_kit_arm();

	(void)state;
	ok(azure_arm_end_access(a, azure_kit_id("one"), e));
	ok(azure_arm_end_access(a, azure_kit_id("none"), e));
}

static void test_snapshot__is_asked_for_again_while_it_is_busy(void **state)
{
	auto_azure_arm struct azure_arm *a = azure_kit_arm();
	struct azure_snapshot s;

	(void)state;
	azure_kit.busy = 3;
	ok(azure_arm_snapshot(a, azure_kit_id("one"), &s, e));
	assert_int_equal(s.bytes, 64 * KIB);
	assert_true(s.incremental);
	assert_string_equal(s.family, "the-family");
	assert_true(azure_kit_waited_ms >= 3 * 7000);
}

static void test_snapshot__a_token_that_is_refused_is_replaced_once(void **state)
{
	auto_azure_arm struct azure_arm *a = azure_kit_arm();
	struct err e = ERR_INIT;
	struct azure_snapshot s;

	(void)state;
	azure_kit.refused_tokens = 1;
	assert_int_equal(azure_arm_snapshot(a, azure_kit_id("one"), &s, &e), 0);
	assert_int_equal(azure_kit.tokens, 2);
	azure_kit.refused_tokens = 9;
	assert_int_equal(azure_arm_snapshot(a, azure_kit_id("one"), &s, &e), -1);
	azure_kit_refused(&e, ERR_DENIED, "does not accept the machine's identity");
	assert_int_equal(azure_kit.tokens, 3);
}

static void test_new__an_address_in_clear_is_refused(void **state)
{
	const struct azure_arm_params p = { .url = "http://management.example.com" };
	struct err e = ERR_INIT;

	(void)state;
	assert_null(azure_arm_new(&p, &e));
	azure_kit_refused(&e, ERR_INVALID, "must be by https");
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cloud__follows_the_authority),
		cmocka_unit_test(test_is_snapshot__takes_names_and_nothing_that_leads_elsewhere),
		cmocka_unit_test(test_parse_snapshot__what_is_not_told_has_no_effect),
		cmocka_unit_test(test_parse_snapshot__what_makes_no_sense_is_refused),
		cmocka_unit_test(test_parse_progress__an_url_that_is_none_is_not_repeated),
		in_world(test_begin_access__however_it_is_told),
		in_world(test_begin_access__an_operation_that_fails_says_why),
		in_world(test_begin_access__what_is_refused_has_its_class),
		in_world(test_begin_access__the_token_goes_to_no_other_address),
		in_world(test_begin_access__of_another_resource_is_no_request),
		in_world(test_end_access__of_what_is_gone_is_fine),
		in_world(test_snapshot__is_asked_for_again_while_it_is_busy),
		in_world(test_snapshot__a_token_that_is_refused_is_replaced_once),
		in_world(test_new__an_address_in_clear_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
