/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts that are signed and signatures, as azure-storage-blob 12.31.1 makes them for the key of the
 * bytes 0 to 63; and the example of "Authorize with Shared Key" of the REST reference.
 */
#include "store/azure_sign.h"

#include "tests/harness/store_kit.h"

#define DATE "Sun, 22 Nov 2026 10:04:05 GMT"

static struct wire request(const char *method, const char *base, const char *path)
{
	struct wire w;

	wire_init(&w, method, base);
	wire_path(&w, path);
	wire_header(&w, "x-ms-version", "2021-12-02");
	wire_header(&w, "x-ms-date", DATE);
	return w;
}

static void assert_signed(struct wire *w, uint64_t bytes, const char *text, const char *mac)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4096);
	uint8_t key[64];
	char expected[128];

	for (uint8_t i = 0; i < sizeof(key); i++)
		key[i] = i;
	(void)snprintf(expected, sizeof(expected), "SharedKey acct1:%s", mac);
	ok(azure_sign(w, "acct1", key, sizeof(key), bytes, e));
	assert_string_equal(wire_header_get(w, "authorization"), expected);
	wire_header_drop(w, "authorization");
	azure_sign_text(w, "acct1", bytes, &b);
	assert_string_equal(buf_cstr(&b), text);
}

static void test_sign__an_upload(void **state)
{
	auto_wire struct wire w = request("PUT", "https://acct1.blob.core.windows.net",
	                                  "data/pack/ab/cd");

	(void)state;
	wire_header(&w, "x-ms-blob-type", "BlockBlob");
	wire_header(&w, "if-none-match", "*");
	wire_header(&w, "content-type", "application/octet-stream");
	wire_header(&w, "x-ms-content-crc64", "AAECAwQFBgc=");
	assert_signed(&w, 5,
	              "PUT\n\n\n5\n\napplication/octet-stream\n\n\n\n*\n\n\n"
	              "x-ms-blob-type:BlockBlob\nx-ms-content-crc64:AAECAwQFBgc=\n"
	              "x-ms-date:" DATE "\nx-ms-version:2021-12-02\n/acct1/data/pack/ab/cd",
	              "lfu08ZARGamFDh6rbF8Y3VQUAxgpT5i5QyF3wi1uavg=");
}

static void test_sign__a_query_is_sorted_and_not_encoded(void **state)
{
	auto_wire struct wire w = request("GET", "https://acct1.blob.core.windows.net", "data");

	(void)state;
	wire_query(&w, "restype", "container");
	wire_query(&w, "comp", "list");
	wire_query(&w, "maxresults", "5000");
	wire_query(&w, "prefix", "a/b c");
	wire_query(&w, "marker", "2!x==");
	assert_signed(&w, 0,
	              "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:" DATE
	              "\nx-ms-version:2021-12-02\n/acct1/data\ncomp:list\nmarker:2!x==\n"
	              "maxresults:5000\nprefix:a/b c\nrestype:container",
	              "d18ji0ltqBZXDDg7BQwOdhtCyKe5KW1YEGJHY6NCBdk=");
}

static void test_sign__a_length_of_0_is_signed_as_empty(void **state)
{
	auto_wire struct wire w = request("PUT", "https://acct1.blob.core.windows.net",
	                                  "data/empty");

	(void)state;
	wire_header(&w, "x-ms-blob-type", "BlockBlob");
	assert_signed(&w, 0,
	              "PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-blob-type:BlockBlob\nx-ms-date:" DATE
	              "\nx-ms-version:2021-12-02\n/acct1/data/empty",
	              "2uJm7KTHoxELF5qX8/LI3yoeeiVe8EaWj7aMBN+hfGs=");
}

static void test_sign__the_second_region_is_signed_with_the_accounts_own_name(void **state)
{
	auto_wire struct wire w = request("GET", "https://acct1-secondary.blob.core.windows.net",
	                                  "");

	(void)state;
	wire_query(&w, "restype", "service");
	wire_query(&w, "comp", "stats");
	assert_signed(&w, 0,
	              "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:" DATE
	              "\nx-ms-version:2021-12-02\n/acct1/\ncomp:stats\nrestype:service",
	              "Jjl3BN+DzieQTji4pwhd5IskfkK2/ag8xznOBmtFepM=");
}

static void test_sign__a_path_is_signed_as_sent_below_an_emulators(void **state)
{
	auto_wire struct wire w = request("HEAD", "http://127.0.0.1:10000/acct1", "data/a+b");

	(void)state;
	assert_signed(&w, 0,
	              "HEAD\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:" DATE
	              "\nx-ms-version:2021-12-02\n/acct1/acct1/data/a%2Bb",
	              "dPalO1gied37efcfjJikoEaUzKaVhvsLPdksJ7ik8I8=");
}

static void test_sign_text__the_example_of_the_reference(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4096);
	auto_wire struct wire w;

	(void)state;
	wire_init(&w, "GET", "https://myaccount.blob.core.windows.net");
	wire_path(&w, "mycontainer");
	wire_header(&w, "x-ms-version", "2015-02-21");
	wire_header(&w, "x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT");
	wire_query(&w, "restype", "container");
	wire_query(&w, "comp", "metadata");
	wire_query(&w, "timeout", "20");
	wire_sort(&w);
	azure_sign_text(&w, "myaccount", 0, &b);
	assert_string_equal(buf_cstr(&b), "GET\n\n\n\n\n\n\n\n\n\n\n\n"
	                                  "x-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\n"
	                                  "x-ms-version:2015-02-21\n"
	                                  "/myaccount/mycontainer\ncomp:metadata\n"
	                                  "restype:container\ntimeout:20");
}

static void test_sign__what_cannot_be_sent_is_not_signed(void **state)
{
	auto_wire struct wire w = request("GET", "https://acct1.blob.core.windows.net", "data");

	(void)state;
	wire_header(&w, "x-ms-access-tier", "Hot\r\nx-ms-evil: 1");
	fails(ERR_INVALID, azure_sign(&w, "acct1", (const uint8_t *)"k", 1, 0, e));
	assert_null(wire_header_get(&w, "authorization"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sign__an_upload),
		cmocka_unit_test(test_sign__a_query_is_sorted_and_not_encoded),
		cmocka_unit_test(test_sign__a_length_of_0_is_signed_as_empty),
		cmocka_unit_test(test_sign__the_second_region_is_signed_with_the_accounts_own_name),
		cmocka_unit_test(test_sign__a_path_is_signed_as_sent_below_an_emulators),
		cmocka_unit_test(test_sign_text__the_example_of_the_reference),
		cmocka_unit_test(test_sign__what_cannot_be_sent_is_not_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
