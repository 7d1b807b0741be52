/* SPDX-License-Identifier: Apache-2.0 */
/* Documents of object stores: pages of listings, short answers, errors, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "store/xml.h"
#include "tests/harness/syshook.h"

#define S INT64_C(1000000000)

static const char azure_page[] =
	"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?>"
	"<EnumerationResults ServiceEndpoint=\"https://a.blob.core.windows.net/\" "
	"ContainerName=\"c\"><Prefix>p/</Prefix><MaxResults>3</MaxResults><Blobs>"
	"<Blob><Name>p/commit/a-1</Name><Properties><Creation-Time>Thu, 26 Nov 2026 10:00:00 "
	"GMT</Creation-Time><Last-Modified>Sun, 22 Nov 2026 10:04:05 GMT</Last-Modified>"
	"<Etag>0x8</Etag><Content-Length>1234</Content-Length><Content-MD5 /></Properties>"
	"<OrMetadata /></Blob>"
	"<Blob><Name Encoded=\"true\">p%2Fconfig</Name><Properties><Content-Length>0"
	"</Content-Length><Last-Modified>Thu, 01 Jan 1970 00:00:00 GMT</Last-Modified>"
	"</Properties></Blob>"
	"<Blob><Name>p/pack</Name><Properties><ResourceType>directory</ResourceType>"
	"<Content-Length>0</Content-Length><Last-Modified>Sun, 22 Nov 2026 10:04:05 GMT"
	"</Last-Modified></Properties></Blob>"
	"<Blob><Name>p/pack/&#x30;1</Name><Properties><ResourceType>file</ResourceType>"
	"<Content-Length>4294967296</Content-Length><Last-Modified>Sun, 22 Nov 2026 10:04:06 GMT"
	"</Last-Modified></Properties></Blob>"
	"</Blobs><NextMarker>2!88!MDAw-&amp;</NextMarker></EnumerationResults>";

static const char s3_page[] =
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	"<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n"
	"  <Name>b</Name><Prefix>p/</Prefix><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys>\n"
	"  <IsTruncated>true</IsTruncated>\n"
	"  <Contents><Key>p%2Fa+b</Key><LastModified>2026-11-22T10:04:05.000Z</LastModified>"
	"<ETag>&quot;x&quot;</ETag><Size>1</Size></Contents>\n"
	"  <Contents><Key>p/%63onfig</Key><LastModified>2026-11-22T10:04:05.250Z</LastModified>"
	"<Owner><ID>1</ID></Owner><Size>17</Size><StorageClass>STANDARD</StorageClass></Contents>\n"
	"  <Contents><Key>p/pack/01</Key><LastModified>2026-11-22T10:04:06Z</LastModified>"
	"<Size>18</Size></Contents>\n"
	"  <EncodingType>url</EncodingType>\n"
	"  <NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM="
	"</NextContinuationToken>\n</ListBucketResult>\n";

/* The whole text in pieces of `step` bytes, and its end. */
static int read_all(struct xml *x, const char *text, size_t step, struct err *e)
{
	size_t n = strlen(text);

	for (size_t at = 0; at < n; at += step)
		if (xml_feed(x, text + at, n - at < step ? n - at : step, e) < 0)
			return -1;
	return xml_end(x, e);
}

static void item_is(struct xml *x, const char *key, uint64_t size, int64_t received_ns)
{
	struct store_item item;
	struct err e = ERR_INIT;

	if (xml_next(x, &item, &e) != 1)
		fail_msg("no item, '%s' expected: %s", key, e.msg);
	assert_string_equal(item.key, key);
	assert_int_equal(item.st.size, size);
	assert_int_equal(item.st.received_ns, received_ns);
}

static void no_item(struct xml *x)
{
	struct store_item item;
	struct err e = ERR_INIT;

	assert_int_equal(xml_next(x, &item, &e), 0);
	assert_int_equal(xml_next(x, &item, &e), 0);
}

static void test_xml_next__gives_a_page_of_azure_however_it_comes(void **state)
{
	static const size_t steps[] = { 1, 2, 3, 7, 100, 100000 };
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		auto_xml struct xml *x = xml_new(&xml_azure_list, "p/", &e);

		assert_non_null(x);
		assert_int_equal(read_all(x, azure_page, steps[i], &e), 0);
		item_is(x, "commit/a-1", 1234, 1795341845 * S);
		item_is(x, "config", 0, 0);
		item_is(x, "pack/01", 4294967296, 1795341846 * S);
		no_item(x);
		assert_string_equal(xml_text(x, XML_NEXT), "2!88!MDAw-&");
		assert_null(xml_text(x, XML_MORE));
	}
}

static void test_xml_next__gives_a_page_of_s3_however_it_comes(void **state)
{
	static const size_t steps[] = { 1, 5, 100000 };
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		auto_xml struct xml *x = xml_new(&xml_s3_list, "p/", &e);

		assert_non_null(x);
		assert_int_equal(read_all(x, s3_page, steps[i], &e), 0);
		item_is(x, "config", 17, 1795341845 * S + 250000000);
		item_is(x, "pack/01", 18, 1795341846 * S);
		no_item(x);
		assert_string_equal(xml_text(x, XML_NEXT),
		                    "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=");
		assert_string_equal(xml_text(x, XML_MORE), "true");
	}
}

#define ITEM(key)                                                                      \
	"<Contents><Key>" key "</Key><Size>1</Size><LastModified>2026-11-22T10:04:05Z" \
	"</LastModified></Contents>"
#define PAGE(items) "<ListBucketResult>" items "</ListBucketResult>"

static void test_xml_next__leaves_out_what_is_not_ours(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	auto_xml struct xml *x = xml_new(&xml_s3_list, "p/", &e);
	assert_int_equal(read_all(x,
	                          PAGE(ITEM("other/key") ITEM("p/") ITEM("p/Upper") ITEM("p/a/")
	                                       ITEM("p/a b") ITEM("p/.hidden") ITEM("p") ITEM("")
	                                               ITEM("p/%63") ITEM("p/ours")),
	                          1000, &e),
	                 0);
	item_is(x, "ours", 1, 1795341845 * S);
	no_item(x);
}

static void test_xml_next__takes_keys_of_any_length_that_keys_have(void **state)
{
	char page[16 * 1024];
	char key[STORE_KEY_MAX + 2];
	struct err e = ERR_INIT;

	(void)state;
	auto_xml struct xml *x = xml_new(&xml_s3_list, NULL, &e);
	memset(key, 'a', sizeof(key));
	key[255] = '/';
	key[STORE_KEY_MAX - 2] = '/';
	key[STORE_KEY_MAX - 1] = 'b';
	key[STORE_KEY_MAX] = '\0';
	(void)snprintf(page, sizeof(page), PAGE(ITEM("%s") ITEM("%sb")), key, key);
	assert_int_equal(read_all(x, page, 1000, &e), 0);
	item_is(x, key, 1, 1795341845 * S);
	no_item(x);
}

static void test_xml_next__bounds_names_of_others(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	auto_xml struct xml *x = xml_new(&xml_s3_list, NULL, &e);
	assert_int_equal(xml_feed(x, "<ListBucketResult><Contents><Key>", 33, &e), 0);
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(xml_feed(x, "aaaaaaaa", 8, &e), 0);
	assert_int_equal(read_all(x,
	                          "</Key><Size>1</Size><LastModified>2026-11-22T10:04:05Z"
	                          "</LastModified></Contents>" ITEM("b") "</ListBucketResult>",
	                          1000, &e),
	                 0);
	item_is(x, "b", 1, 1795341845 * S);
	no_item(x);
}

static void test_xml_next__demands_the_order_of_bytes(void **state)
{
	struct store_item item;
	struct err e = ERR_INIT;

	(void)state;
	auto_xml struct xml *x = xml_new(&xml_s3_list, NULL, &e);
	assert_int_equal(read_all(x, PAGE(ITEM("a/1") ITEM("a-b")), 1000, &e), 0);
	item_is(x, "a/1", 1, 1795341845 * S);
	assert_int_equal(xml_next(x, &item, &e), -1);
	assert_int_equal(e.class, ERR_UNSUPPORTED);
	assert_string_equal(e.msg, "the server lists 'a-b' after 'a/1', which is not the order of "
	                           "bytes: it cannot be a store");
}

static void test_xml_next__demands_the_order_from_page_to_page(void **state)
{
	struct store_item item;
	struct err e = ERR_INIT;

	(void)state;
	auto_xml struct xml *x = xml_new(&xml_s3_list, NULL, &e);
	assert_int_equal(read_all(x, PAGE(ITEM("c")), 1000, &e), 0);
	item_is(x, "c", 1, 1795341845 * S);
	xml_reset(x);
	assert_int_equal(read_all(x, PAGE(ITEM("c")), 1000, &e), 0);
	assert_int_equal(xml_next(x, &item, &e), -1);
	assert_int_equal(e.class, ERR_UNSUPPORTED);
}

static void test_xml_text__gives_short_documents(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	auto_xml struct xml *stats = xml_new(&xml_azure_stats, NULL, &e);
	assert_int_equal(read_all(stats,
	                          "<StorageServiceStats><GeoReplication><Status>live</Status>"
	                          "<LastSyncTime>Sun, 22 Nov 2026 10:04:05 GMT</LastSyncTime>"
	                          "</GeoReplication></StorageServiceStats>",
	                          11, &e),
	                 0);
	assert_string_equal(xml_text(stats, XML_STATUS), "live");
	assert_string_equal(xml_text(stats, XML_SYNCED), "Sun, 22 Nov 2026 10:04:05 GMT");
	xml_reset(stats);
	assert_null(xml_text(stats, XML_STATUS));
	assert_int_equal(read_all(stats,
	                          "<StorageServiceStats><GeoReplication><Status>bootstrap</Status>"
	                          "<LastSyncTime /></GeoReplication></StorageServiceStats>",
	                          11, &e),
	                 0);
	assert_string_equal(xml_text(stats, XML_STATUS), "bootstrap");
	assert_string_equal(xml_text(stats, XML_SYNCED), "");

	auto_xml struct xml *sts = xml_new(&xml_sts, NULL, &e);
	assert_int_equal(
		read_all(sts,
	                 "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/"
	                 "doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult><Audience>a</Audience>"
	                 "<Credentials><SessionToken>T/+=</SessionToken><SecretAccessKey>S"
	                 "</SecretAccessKey><Expiration>2026-11-22T11:04:05Z</Expiration>"
	                 "<AccessKeyId>ASIA</AccessKeyId></Credentials>"
	                 "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
	                 13, &e),
		0);
	assert_string_equal(xml_text(sts, XML_KEY_ID), "ASIA");
	assert_string_equal(xml_text(sts, XML_SECRET), "S");
	assert_string_equal(xml_text(sts, XML_TOKEN), "T/+=");
	assert_string_equal(xml_text(sts, XML_EXPIRES), "2026-11-22T11:04:05Z");

	auto_xml struct xml *upload = xml_new(&xml_s3_upload, NULL, &e);
	assert_int_equal(read_all(upload,
	                          "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key>"
	                          "<UploadId>u.1</UploadId></InitiateMultipartUploadResult>",
	                          13, &e),
	                 0);
	assert_string_equal(xml_text(upload, XML_UPLOAD), "u.1");
	xml_reset(upload);
	assert_int_equal(read_all(upload, "<Error><Code>InternalError</Code></Error>", 13, &e), 0);
	assert_string_equal(xml_text(upload, XML_CODE), "InternalError");
}

static void test_xml_feed__refuses_what_is_no_such_document(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "", "the answer is no XML that a listing could be: no element found at its "
		      "byte -1" },
		{ "<html><body>no</body></html>", "the answer is 'html' and not a listing" },
		{ "<List/>", "the answer is 'List' and not a listing" },
		{ "<ListBucketResult>", "the answer is no XML that a listing could be: no element "
		                        "found at its byte 18" },
		{ "<ListBucketResult></Contents>", "the answer is no XML that a listing could be: "
		                                   "mismatched tag at its byte 20" },
		{ "<!DOCTYPE a [<!ENTITY b \"c\">]><ListBucketResult>&b;</ListBucketResult>",
		  "a listing has a document type, which no store sends" },
		{ "<!DOCTYPE a SYSTEM \"http://127.0.0.1/\"><ListBucketResult/>",
		  "a listing has a document type, which no store sends" },
		{ PAGE("<Contents><Size>1</Size><LastModified>2026-11-22</LastModified>"
		       "</Contents>"),
		  "a listing has an object without name" },
		{ PAGE("<Contents><Key>a</Key><LastModified>2026-11-22</LastModified></Contents>"),
		  "a listing has an object without size" },
		{ PAGE("<Contents><Key>a</Key><Size>1</Size></Contents>"),
		  "a listing has an object without time" },
		{ PAGE("<Contents><Size>-1</Size></Contents>"),
		  "a listing has '-1' where the size of an object should be" },
		{ PAGE("<Contents><Size>9223372036854775808</Size></Contents>"),
		  "a listing has '9223372036854775808' where the size of an object should be" },
		{ PAGE("<Contents><LastModified>soon</LastModified></Contents>"),
		  "a listing has 'soon' where the time of an object should be" },
		{ PAGE("<Contents><LastModified>1969-12-31</LastModified></Contents>"),
		  "a listing has '1969-12-31' where the time of an object should be" },
		{ PAGE("<Contents><LastModified>2201-01-01</LastModified></Contents>"),
		  "a listing has '2201-01-01' where the time of an object should be" },
		{ PAGE("<Contents><Key>a<b/></Key></Contents>"),
		  "a listing has an element 'b' where there can be none" },
		{ PAGE("<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>"),
		  "a listing has an element 'a' where there can be none" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = ERR_INIT;

		auto_xml struct xml *x = xml_new(&xml_s3_list, NULL, &e);
		assert_int_equal(read_all(x, bad[i].text, 1000, &e), -1);
		assert_int_equal(e.class, ERR_FORMAT);
		assert_string_equal(e.msg, bad[i].why);
		/* and it stays so */
		assert_int_equal(xml_feed(x, " ", 1, &e), -1);
		assert_int_equal(xml_end(x, &e), -1);
		/* until it is reset */
		xml_reset(x);
		assert_int_equal(read_all(x, PAGE(ITEM("a")), 1000, &e), 0);
		item_is(x, "a", 1, 1795341845 * S);
	}
}

static void test_xml_feed__bounds_texts_and_documents(void **state)
{
	static char much[XML_TEXT_MAX + 1];
	struct err e = ERR_INIT;

	(void)state;
	memset(much, 'a', sizeof(much));
	auto_xml struct xml *x = xml_new(&xml_s3_list, NULL, &e);
	assert_int_equal(xml_feed(x, "<ListBucketResult><NextContinuationToken>", 41, &e), 0);
	assert_int_equal(xml_feed(x, much, sizeof(much), &e), 0);
	assert_int_equal(xml_feed(x, "</NextContinuationToken>", 24, &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
	assert_string_equal(e.msg, "a listing has a text of more than 16384 bytes in "
	                           "'ListBucketResult/NextContinuationToken'");
	xml_reset(x);
	assert_int_equal(xml_feed(x, "<ListBucketResult>", 18, &e), 0);
	int r = 0;
	size_t fed = 18;
	memset(much, ' ', sizeof(much));
	while (r == 0 && fed < 2 * XML_DOCUMENT_MAX) {
		r = xml_feed(x, much, sizeof(much), &e);
		fed += r == 0 ? sizeof(much) : 0;
	}
	assert_int_equal(r, -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
	assert_true(fed <= XML_DOCUMENT_MAX);
}

static void test_xml_feed__passes_over_deep_paths_of_others(void **state)
{
	struct err e = ERR_INIT;
	char text[2048];
	char name[200];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[199] = '\0';
	auto_xml struct xml *x = xml_new(&xml_s3_list, NULL, &e);
	(void)snprintf(text, sizeof(text),
	               "<ListBucketResult><%s><Contents><Key>a</Key></Contents></%s>" ITEM(
			       "b") "</ListBucketResult>",
	               name, name);
	assert_int_equal(read_all(x, text, 1000, &e), 0);
	item_is(x, "b", 1, 1795341845 * S);
	no_item(x);
}

static void error_is(const char *text, const char *code, const char *message, const char *region)
{
	const struct xml_error got = xml_error_of(text, strlen(text));

	assert_string_equal(got.code, code);
	assert_string_equal(got.message, message);
	assert_string_equal(got.region, region);
}

static void test_xml_error_of__makes_the_best_of_it(void **state)
{
	(void)state;
	error_is("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Access Denied"
	         "</Message><RequestId>1</RequestId></Error>",
	         "AccessDenied", "Access Denied", "");
	error_is("<Error><Code>AuthorizationHeaderMalformed</Code><Message>a &lt;b&gt;</Message>"
	         "<Region>eu-west-1</Region></Error>",
	         "AuthorizationHeaderMalformed", "a <b>", "eu-west-1");
	/* Azure puts more lines behind it, which are for its own people */
	error_is("\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>BlobNotFound"
	         "</Code><Message>The specified\tblob does not exist.\nRequestId:1\n</Message>"
	         "</Error>",
	         "BlobNotFound", "The specified blob does not exist.", "");
	error_is("<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>"
	         "<Type>Sender</Type><Code>ExpiredTokenException</Code><Message>expired</Message>"
	         "</Error></ErrorResponse>",
	         "ExpiredTokenException", "expired", "");
	/* cut, or something else */
	error_is("<Error><Code>SlowDown</Code><Message>Reduce", "SlowDown", "", "");
	error_is("<html>", "", "", "");
	error_is("{}", "", "", "");
	error_is("", "", "", "");
}

static void test_xml_error_of__cuts_between_characters(void **state)
{
	char text[1024] = "<Error><Message>a";
	struct xml_error got;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		memcpy(text + 17 + 2 * (size_t)i, "\xc3\xa9", 2);
	memcpy(text + 217, "</Message></Error>", 19);
	got = xml_error_of(text, strlen(text));
	/* one and 95 characters of two bytes are 191, and all that fits */
	assert_int_equal(strlen(got.message), 191);
	memmove(text + 16, text + 17, strlen(text + 17) + 1);
	got = xml_error_of(text, strlen(text));
	assert_int_equal(strlen(got.message), 190);
	assert_memory_equal(got.message + 188, "\xc3\xa9", 3);
}

static int fail_at;

static int fail_from(void *arg, enum syshook_call call, int flags)
{
	(void)arg;
	(void)flags;
	return call == HOOK_ALLOC && fail_at-- <= 0 ? ENOMEM : 0;
}

static void test_xml_feed__no_memory_is_told(void **state)
{
	unsigned failures = 0;
	int r = -1;

	(void)state;
	for (int at = 0; r < 0; at++) {
		struct err e = ERR_INIT;

		fail_at = at;
		syshook_set(fail_from, NULL);
		auto_xml struct xml *x = xml_new(&xml_s3_list, "p/", &e);
		r = x ? read_all(x, s3_page, 1000, &e) : -1;
		syshook_set(NULL, NULL);
		if (r < 0) {
			assert_int_equal(e.class, ERR_NOMEM);
			failures++;
		}
	}
	assert_true(failures >= 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xml_next__gives_a_page_of_azure_however_it_comes),
		cmocka_unit_test(test_xml_next__gives_a_page_of_s3_however_it_comes),
		cmocka_unit_test(test_xml_next__leaves_out_what_is_not_ours),
		cmocka_unit_test(test_xml_next__takes_keys_of_any_length_that_keys_have),
		cmocka_unit_test(test_xml_next__bounds_names_of_others),
		cmocka_unit_test(test_xml_next__demands_the_order_of_bytes),
		cmocka_unit_test(test_xml_next__demands_the_order_from_page_to_page),
		cmocka_unit_test(test_xml_text__gives_short_documents),
		cmocka_unit_test(test_xml_feed__refuses_what_is_no_such_document),
		cmocka_unit_test(test_xml_feed__bounds_texts_and_documents),
		cmocka_unit_test(test_xml_feed__passes_over_deep_paths_of_others),
		cmocka_unit_test(test_xml_error_of__makes_the_best_of_it),
		cmocka_unit_test(test_xml_error_of__cuts_between_characters),
		cmocka_unit_test(test_xml_feed__no_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
