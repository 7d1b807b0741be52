/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads to S3: what they carry, in one piece and in parts, and what becomes of failures. */
#include "tests/unit/store/s3_kit.h"

#include "common/now.h"

#define PART ((size_t)5 << 20)

static void test_s3_put__creates_with_a_checksum(void **state)
{
	(void)state;
	s3_kit_open("");
	s3_kit_says({ 200, NULL, NULL });
	ok(put_text(kit.store, "pack/k", "123456789", e));
	s3_kit_asked(0, "PUT /bucket/p/pack/k", "if-none-match: *\n");
	s3_kit_asked(0, "PUT /bucket/p/pack/k", "x-amz-checksum-crc64nvme: rosUhgp5mIg=\n");
	s3_kit_asked(0, "PUT /bucket/p/pack/k", "content-type: application/octet-stream\n");
	/* without TLS the payload is signed */
	s3_kit_asked(0, "PUT /bucket/p/pack/k",
	             "x-amz-content-sha256: "
	             "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225\n");
	assert_string_equal(kit.asked[0].body, "123456789");
	assert_null(strstr(kit.asked[0].headers, "x-amz-object-lock"));
	assert_null(strstr(kit.asked[0].headers, "x-amz-storage-class"));
}

static void test_s3_put__takes_another_checksum_or_none(void **state)
{
	(void)state;
	s3_kit_open("&checksum=sha256");
	s3_kit_says({ 200, NULL, NULL });
	ok(put_text(kit.store, "k", "123456789", e));
	s3_kit_asked(0, "PUT /bucket/p/k",
	             "x-amz-checksum-sha256: FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=\n");
	s3_kit_open("&checksum=none");
	s3_kit_says({ 200, NULL, NULL });
	ok(put_text(kit.store, "k", "123456789", e));
	assert_null(strstr(kit.asked[0].headers, "x-amz-checksum"));
}

static void test_s3_put__class_is_for_packs_and_lock_for_all(void **state)
{
	(void)state;
	s3_kit_open("&class=STANDARD_IA&lock=24h&lock-mode=compliance&legal-hold=on");
	/* the time of the lock is by the service's clock, once it is known, and an hour more */
	s3_kit_says({ 200, "Date: Sun, 22 Nov 2026 10:04:05 GMT\r\n", NULL },
	            { 200, "Date: Sun, 22 Nov 2026 10:04:05 GMT\r\n", NULL });
	ok(put_text(kit.store, "pack/k", "1", e));
	ok(put_text(kit.store, "config", "1", e));
	s3_kit_asked(0, "PUT /bucket/p/pack/k", "x-amz-storage-class: STANDARD_IA\n");
	s3_kit_asked(1, "PUT /bucket/p/config", "x-amz-object-lock-mode: COMPLIANCE\n");
	s3_kit_asked(1, "PUT /bucket/p/config", "x-amz-object-lock-legal-hold: ON\n");
	s3_kit_asked(1, "PUT /bucket/p/config",
	             "x-amz-object-lock-retain-until-date: 2026-11-23T11:04:");
	assert_null(strstr(kit.asked[1].headers, "x-amz-storage-class"));
}

static void test_s3_put__a_conflict_is_settled_by_looking(void **state)
{
	(void)state;
	s3_kit_open("");
	s3_kit_says({ 409, NULL, S3_ERROR("ConditionalRequestConflict", "") }, { 200, NULL, "x" });
	fails_saying(ERR_EXISTS, "the key is taken", put_text(kit.store, "k", "1", e));
	s3_kit_asked(1, "HEAD /bucket/p/k", NULL);
	s3_kit_says({ 409, NULL, S3_ERROR("ConditionalRequestConflict", "") }, { 404, NULL, NULL });
	fails_saying(ERR_RETRY, "being written by another one", put_text(kit.store, "k", "1", e));
	assert_int_equal(kit.nasked, 2);
}

/* An object of one part and a byte more, in pieces that do not end where the part does. */
static int put_big(struct err *e)
{
	size_t n = PART + 1;
	auto_free uint8_t *bytes = calloc(1, n);
	int r;

	assert_non_null(bytes);
	bytes[n - 1] = 'z';
	struct iovec iov[] = { { bytes, 1000 }, { bytes + 1000, n - 1000 } };
	r = store_put(kit.store, "pack/k", iov, 2, e);
	return r;
}

#define UPLOAD                                                                    \
	{                                                                         \
		200, NULL,                                                        \
			"<InitiateMultipartUploadResult><UploadId>u/1</UploadId>" \
			"</InitiateMultipartUploadResult>"                        \
	}
#define DONE                                                                \
	{                                                                   \
		200, NULL,                                                  \
			"<CompleteMultipartUploadResult><ETag>\"e\"</ETag>" \
			"</CompleteMultipartUploadResult>"                  \
	}

static void test_s3_put__larger_ones_go_up_in_parts(void **state)
{
	(void)state;
	s3_kit_open("&part=5Mi&class=ONEZONE_IA");
	s3_kit_says({ 404, NULL, NULL }, UPLOAD, { 200, "ETag: \"one\"\r\n", NULL },
	            { 200, "ETag: \"two\"\r\n", NULL }, DONE);
	ok(put_big(e));
	assert_int_equal(kit.nasked, 5);
	s3_kit_asked(0, "HEAD /bucket/p/pack/k", NULL);
	s3_kit_asked(1, "POST /bucket/p/pack/k?uploads=", "x-amz-checksum-type: FULL_OBJECT\n");
	s3_kit_asked(1, "POST /bucket/p/pack/k?uploads=", "x-amz-storage-class: ONEZONE_IA\n");
	s3_kit_asked(2, "PUT /bucket/p/pack/k?partNumber=1&uploadId=u%2F1",
	             "content-length: 5242880\n");
	s3_kit_asked(3, "PUT /bucket/p/pack/k?partNumber=2&uploadId=u%2F1",
	             "x-amz-checksum-crc64nvme: ");
	s3_kit_asked(3, "PUT /bucket/p/pack/k?partNumber=2&uploadId=u%2F1", "content-length: 1\n");
	s3_kit_asked(4, "POST /bucket/p/pack/k?uploadId=u%2F1", "if-none-match: *\n");
	assert_string_equal(kit.asked[3].body, "z");
	assert_non_null(strstr(kit.asked[4].body,
	                       "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
	                       "<ETag>\"one\"</ETag><ChecksumCRC64NVME>"));
	assert_non_null(
		strstr(kit.asked[4].body, "<PartNumber>2</PartNumber><ETag>\"two\"</ETag>"));
}

static void test_s3_put__nothing_is_sent_of_a_large_one_that_is_there(void **state)
{
	(void)state;
	s3_kit_open("&part=5Mi");
	s3_kit_says({ 200, NULL, "x" });
	fails_saying(ERR_EXISTS, "taken", put_big(e));
	assert_int_equal(kit.nasked, 1);
}

static void test_s3_put__parts_are_given_up_when_one_fails(void **state)
{
	(void)state;
	s3_kit_open("&part=5Mi");
	s3_kit_says({ 404, NULL, NULL }, UPLOAD, { 200, "ETag: \"one\"\r\n", NULL },
	            { 503, NULL, S3_ERROR("SlowDown", "") }, { 204, NULL, NULL });
	fails_saying(ERR_RETRY, "uploading part 2", put_big(e));
	s3_kit_asked(4, "DELETE /bucket/p/pack/k?uploadId=u%2F1", NULL);
	/* a part without a name */
	s3_kit_says({ 404, NULL, NULL }, UPLOAD, { 200, NULL, NULL }, { 204, NULL, NULL });
	fails_saying(ERR_FORMAT, "gave a part no name", put_big(e));
	s3_kit_asked(3, "DELETE /bucket/p/pack/k?uploadId=u%2F1", NULL);
}

static void test_s3_put__the_key_may_be_taken_before_the_end(void **state)
{
	(void)state;
	s3_kit_open("&part=5Mi&checksum=none");
	s3_kit_says({ 404, NULL, NULL }, UPLOAD, { 200, "ETag: \"one\"\r\n", NULL },
	            { 200, "ETag: \"two\"\r\n", NULL },
	            { 412, NULL, S3_ERROR("PreconditionFailed", "") }, { 204, NULL, NULL });
	fails_saying(ERR_EXISTS, "taken", put_big(e));
	s3_kit_asked(5, "DELETE /bucket/p/pack/k?uploadId=u%2F1", NULL);
	assert_null(strstr(kit.asked[4].body, "Checksum"));
}

static void test_s3_put__an_error_may_come_in_an_answer_that_began_well(void **state)
{
	(void)state;
	s3_kit_open("&part=5Mi");
	s3_kit_says({ 404, NULL, NULL }, UPLOAD, { 200, "ETag: \"one\"\r\n", NULL },
	            { 200, "ETag: \"two\"\r\n", NULL },
	            { 200, NULL, S3_ERROR("InternalError", "sorry") }, { 204, NULL, NULL });
	fails_saying(ERR_RETRY, "has failed", put_big(e));
	s3_kit_asked(5, "DELETE /bucket/p/pack/k?uploadId=u%2F1", NULL);
	/* or be no answer at all */
	s3_kit_says({ 404, NULL, NULL }, { 200, NULL, "<html></html>" });
	fails_saying(ERR_FORMAT, "the answer is 'html'", put_big(e));
	assert_int_equal(kit.nasked, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		S3_TEST(test_s3_put__creates_with_a_checksum),
		S3_TEST(test_s3_put__takes_another_checksum_or_none),
		S3_TEST(test_s3_put__class_is_for_packs_and_lock_for_all),
		S3_TEST(test_s3_put__a_conflict_is_settled_by_looking),
		S3_TEST(test_s3_put__larger_ones_go_up_in_parts),
		S3_TEST(test_s3_put__nothing_is_sent_of_a_large_one_that_is_there),
		S3_TEST(test_s3_put__parts_are_given_up_when_one_fails),
		S3_TEST(test_s3_put__the_key_may_be_taken_before_the_end),
		S3_TEST(test_s3_put__an_error_may_come_in_an_answer_that_began_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
