/* SPDX-License-Identifier: Apache-2.0 */
/* Stores in S3: what URLs mean and which are refused, reads, pages of listings. */
#include "tests/unit/store/s3_kit.h"

#include "store/driver.h"
#include "store/s3_impl.h"

#define S INT64_C(1000000000)

static struct store *open_at(const char *url, struct err *e)
{
	*e = (struct err)ERR_INIT;
	return store_s3_open(url, 0, NULL, e);
}

static void test_store_s3_open__knows_where_the_service_is(void **state)
{
	static const struct {
		const char *url, *service;
		bool path_style;
		const char *region;
	} cases[] = {
		{ "s3://bucket", "https://bucket.s3.eu-west-3.amazonaws.com", false, "eu-west-3" },
		{ "s3://bucket/p?region=us-west-2", "https://bucket.s3.us-west-2.amazonaws.com",
		  false, "us-west-2" },
		{ "s3://bucket?region=cn-north-1", "https://bucket.s3.cn-north-1.amazonaws.com.cn",
		  false, "cn-north-1" },
		{ "s3://bucket?style=path", "https://s3.eu-west-3.amazonaws.com", true,
		  "eu-west-3" },
		/* a certificate for *.s3... is none for a name with more dots */
		{ "s3://my.bucket", "https://s3.eu-west-3.amazonaws.com", true, "eu-west-3" },
		{ "s3://bucket?endpoint=https://s3.example:8443", "https://s3.example:8443", true,
		  "eu-west-3" },
		{ "s3://bucket?endpoint=https://s3.example&style=host", "https://bucket.s3.example",
		  false, "eu-west-3" },
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_store struct store *s = open_at(cases[i].url, &e);

		if (!s)
			fail_msg("%s: %s", cases[i].url, e.msg);
		assert_string_equal(((struct s3 *)s)->service, cases[i].service);
		assert_int_equal(((struct s3 *)s)->path_style, cases[i].path_style);
		assert_string_equal(((struct s3 *)s)->region, cases[i].region);
		assert_true(((struct s3 *)s)->tls);
	}
	(void)unsetenv("AWS_REGION");
	auto_store struct store *s = open_at("s3://bucket", &e);
	assert_non_null(s);
	assert_string_equal(((struct s3 *)s)->region, "us-east-1");
}

static void test_store_s3_open__refuses_what_makes_no_sense(void **state)
{
	static const struct {
		const char *url, *text;
	} cases[] = {
		{ "s3://b", "is no bucket" },
		{ "s3://Bucket", "is no bucket" },
		{ "s3://-bucket", "is no bucket" },
		{ "s3://my..data", "is no bucket" },
		{ "s3://bucket/.p", "the prefix '.p' is none" },
		{ "s3://bucket/P", "the prefix 'P' is none" },
		{ "s3://bucket?style=virtual", "style=virtual" },
		{ "s3://bucket?region=a/b", "is no region" },
		{ "s3://bucket?endpoint=http://s3.example", "must begin with https:" },
		{ "s3://bucket?class=GLACIER", "no restore" },
		{ "s3://bucket?class=DEEP_ARCHIVE", "no restore" },
		{ "s3://bucket?class=standard", "is no storage class" },
		{ "s3://bucket?lock=soon", "lock" },
		{ "s3://bucket?lock=1h&lock-mode=locked", "lock-mode=locked" },
		{ "s3://bucket?lock=1h&checksum=none", "exclude each other" },
		{ "s3://bucket?checksum=md5", "checksum=md5" },
		{ "s3://bucket?part=1Mi", "below 5 MiB" },
		{ "s3://bucket?part=6Gi", "part" },
		{ "s3://bucket?tier=cool", "no parameter" },
		{ "s3://bucket?secret=1", "has a secret in it" },
		{ "s3://bucket?ca=/no/such/file", "CA certificates" },
		{ "s3://bucket?secondary=ftp://x", "second region" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e;

		if (open_at(cases[i].url, &e) || e.class != ERR_INVALID ||
		    !strstr(e.msg, cases[i].text))
			fail_msg("%s: %s", cases[i].url, e.msg);
	}
}

static void test_store_s3_open__tells_what_it_can(void **state)
{
	struct err why;

	(void)state;
	auto_store struct store *s = open_at("s3://bucket", &why);
	assert_int_equal(s->caps, STORE_CAP_CONDITIONAL_PUT | STORE_CAP_OBJECT_LOCK |
	                                  STORE_CAP_WRITE | STORE_CAP_CHECKSUM);
	assert_string_equal(s->url, "s3://bucket");
	auto_store struct store *none = open_at("s3://bucket?checksum=none", &why);
	assert_false(none->caps & STORE_CAP_CHECKSUM);
	auto_store struct store *r = store_s3_open("s3://bucket", STORE_READONLY, NULL, &why);
	assert_false(r->caps & STORE_CAP_WRITE);
	fails_saying(ERR_DENIED, "", store_delete(r, "k", e));
}

static void test_store_s3_open__takes_another_store_as_the_second_region(void **state)
{
	struct err e;

	(void)state;
	auto_store struct store *s = open_at("s3://bucket?secondary=mem%3Aseconds3", &e);
	if (!s)
		fail_msg("%s", e.msg);
	assert_string_not_equal(s->ops->name, "s3");
	auto_store struct store *none = open_at("s3://bucket?secondary=none", &e);
	assert_string_equal(none->ops->name, "s3");
}

static void test_s3_get__asks_for_the_range(void **state)
{
	char got[4] = "";

	(void)state;
	s3_kit_open("");
	s3_kit_says({ 206, NULL, "bcd" });
	ok(store_get(kit.store, "k", 1, got, 3, e));
	assert_string_equal(got, "bcd");
	s3_kit_asked(0, "GET /bucket/p/k", "range: bytes=1-3\n");
	s3_kit_says({ 206, NULL, "bc" });
	fails_saying(ERR_CORRUPT, "ends at byte 3, before 4",
	             store_get(kit.store, "k", 1, got, 3, e));
	s3_kit_says({ 206, NULL, "bcde" });
	fails(ERR_CORRUPT, store_get(kit.store, "k", 1, got, 3, e));
	s3_kit_says({ 200, NULL, "abc" });
	fails_saying(ERR_UNSUPPORTED, "whole object", store_get(kit.store, "k", 0, got, 3, e));
}

static void test_s3_get__no_bytes_are_a_head(void **state)
{
	char got;

	(void)state;
	s3_kit_open("");
	s3_kit_says({ 200, NULL, "abc" });
	ok(store_get(kit.store, "k", 3, &got, 0, e));
	s3_kit_asked(0, "HEAD /bucket/p/k", NULL);
	s3_kit_says({ 200, NULL, "abc" });
	fails_saying(ERR_CORRUPT, "3 bytes only", store_get(kit.store, "k", 4, &got, 0, e));
	s3_kit_says({ 404, NULL, NULL });
	fails(ERR_NOT_FOUND, store_get(kit.store, "k", 0, &got, 0, e));
	s3_kit_says({ 200, NULL, "abc" });
	fails(ERR_CORRUPT, store_get(kit.store, "k", UINT64_MAX, &got, 1, e));
}

static void test_s3_head__tells_size_and_time(void **state)
{
	struct store_stat st;

	(void)state;
	s3_kit_open("");
	s3_kit_says({ 200, "Last-Modified: Sun, 22 Nov 2026 10:04:05 GMT\r\n", "abcde" });
	ok(store_head(kit.store, "k", &st, e));
	assert_int_equal(st.size, 5);
	assert_int_equal(st.received_ns, 1795341845 * S);
}

static void test_s3_del__of_what_is_not_there_is_success(void **state)
{
	(void)state;
	s3_kit_open("");
	s3_kit_says({ 404, NULL, S3_ERROR("NoSuchKey", "") });
	ok(store_delete(kit.store, "k", e));
	s3_kit_says({ 404, NULL, S3_ERROR("NoSuchBucket", "") });
	fails(ERR_IO, store_delete(kit.store, "k", e));
}

#define ITEM(key)                                                                          \
	"<Contents><Key>p/" key "</Key><Size>1</Size><LastModified>2026-11-22T10:04:05.9Z" \
	"</LastModified></Contents>"
#define PAGE(more, items) "<ListBucketResult>" more items "</ListBucketResult>"
#define MORE(token) \
	"<IsTruncated>true</IsTruncated><NextContinuationToken>" token "</NextContinuationToken>"

static int gather(void *arg, const struct store_item *item, struct err *e)
{
	(void)e;
	assert_int_equal(item->st.received_ns, 1795341845 * S);
	(void)buf_printf(arg, "%s ", item->key);
	return strcmp(item->key, "stop") == 0;
}

static void listed(const char *prefix, const char *after, const char *want)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4096);

	ok(store_list(kit.store, prefix, after, gather, &b, e));
	assert_string_equal(buf_cstr(&b), want);
}

static void test_s3_list__goes_from_page_to_page(void **state)
{
	(void)state;
	s3_kit_open("");
	s3_kit_says({ 200, NULL, PAGE(MORE("t/1"), ITEM("a") ITEM("b")) },
	            { 200, NULL, PAGE(MORE("t2"), "") },
	            { 200, NULL, PAGE("<IsTruncated>false</IsTruncated>", ITEM("c")) });
	listed("", NULL, "a b c ");
	s3_kit_asked(0, "GET /bucket?encoding-type=url&list-type=2&prefix=p%2F", NULL);
	s3_kit_asked(1,
	             "GET /bucket?continuation-token=t%2F1&encoding-type=url&list-type=2&"
	             "prefix=p%2F",
	             NULL);
	s3_kit_asked(2,
	             "GET /bucket?continuation-token=t2&encoding-type=url&list-type=2&prefix=p%2F",
	             NULL);
}

static void test_s3_list__ends_when_told(void **state)
{
	(void)state;
	s3_kit_open("");
	s3_kit_says({ 200, NULL, PAGE(MORE("t"), ITEM("a") ITEM("stop") ITEM("z")) });
	listed("", NULL, "a stop ");
	assert_int_equal(kit.nasked, 1);
}

static void test_s3_list__begins_a_little_earlier_and_leaves_that_out(void **state)
{
	(void)state;
	s3_kit_open("");
	s3_kit_says({ 200, NULL, PAGE("", ITEM("x/a1") ITEM("x/a2") ITEM("x/a3")) });
	listed("x/", "x/a2", "x/a3 ");
	s3_kit_asked(0,
	             "GET /bucket?encoding-type=url&list-type=2&prefix=p%2Fx%2F&"
	             "start-after=p%2Fx%2Fa",
	             NULL);
	/* what ends with a slash is no name of a directory */
	s3_kit_says({ 200, NULL, PAGE("", ITEM("x/a1")) });
	listed("", "x/", "x/a1 ");
	s3_kit_asked(0,
	             "GET /bucket?encoding-type=url&list-type=2&prefix=p%2F&start-after=p%2Fx%2F",
	             NULL);
	/* "x/" would be passed over with "x", and is behind "x-." */
	s3_kit_says({ 200, NULL, PAGE("", ITEM("x-.") ITEM("x/1")) });
	listed("", "x-.", "x/1 ");
	s3_kit_asked(0, "GET /bucket?encoding-type=url&list-type=2&prefix=p%2F", NULL);
}

static void test_s3_list__asks_nothing_that_cannot_be(void **state)
{
	(void)state;
	s3_kit_open("");
	s3_kit_says({ 200, NULL, PAGE("", ITEM("b/1")) });
	listed("b/", "c", "");
	assert_int_equal(kit.nasked, 0);
	/* before the prefix: from its beginning */
	listed("b/", "a", "b/1 ");
	s3_kit_asked(0, "GET /bucket?encoding-type=url&list-type=2&prefix=p%2Fb%2F", NULL);
	/* a server that takes "b//" for "b/" */
	s3_kit_says({ 200, NULL, PAGE("", ITEM("b/1")) });
	listed("b//", NULL, "");
}

static void test_s3_list__refuses_what_is_no_listing(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4096);

	(void)state;
	s3_kit_open("");
	s3_kit_says({ 200, NULL, PAGE("", ITEM("a/1") ITEM("a-")) });
	fails_saying(ERR_UNSUPPORTED, "not the order of bytes",
	             store_list(kit.store, "", NULL, gather, &b, e));
	s3_kit_says({ 200, NULL, PAGE("<IsTruncated>true</IsTruncated>", ITEM("a")) });
	fails_saying(ERR_FORMAT, "where a listing goes on",
	             store_list(kit.store, "", NULL, gather, &b, e));
	s3_kit_says({ 200, NULL, "<html></html>" });
	fails_saying(ERR_FORMAT, "not a listing", store_list(kit.store, "", NULL, gather, &b, e));
	s3_kit_says({ 200, NULL, "<ListBucketResult>" });
	fails_saying(ERR_FORMAT, "no XML", store_list(kit.store, "", NULL, gather, &b, e));
}

static void test_s3_traffic__counts_by_call(void **state)
{
	(void)state;
	s3_kit_open("");
	s3_kit_says({ 200, NULL, NULL }, { 503, NULL, NULL });
	ok(put_text(kit.store, "k", "12345", e));
	fails(ERR_RETRY, store_delete(kit.store, "k", e));
	struct store_traffic t = store_traffic(kit.store);
	assert_int_equal(t.ops[CALL_PUT].requests, 1);
	assert_int_equal(t.ops[CALL_PUT].sent_bytes, 5);
	assert_int_equal(t.ops[CALL_DELETE].failures, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		S3_TEST(test_store_s3_open__knows_where_the_service_is),
		S3_TEST(test_store_s3_open__refuses_what_makes_no_sense),
		S3_TEST(test_store_s3_open__tells_what_it_can),
		S3_TEST(test_store_s3_open__takes_another_store_as_the_second_region),
		S3_TEST(test_s3_get__asks_for_the_range),
		S3_TEST(test_s3_get__no_bytes_are_a_head),
		S3_TEST(test_s3_head__tells_size_and_time),
		S3_TEST(test_s3_del__of_what_is_not_there_is_success),
		S3_TEST(test_s3_list__goes_from_page_to_page),
		S3_TEST(test_s3_list__ends_when_told),
		S3_TEST(test_s3_list__begins_a_little_earlier_and_leaves_that_out),
		S3_TEST(test_s3_list__asks_nothing_that_cannot_be),
		S3_TEST(test_s3_list__refuses_what_is_no_listing),
		S3_TEST(test_s3_traffic__counts_by_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
