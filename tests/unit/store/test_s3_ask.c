/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to S3: how they are signed and addressed, and what each answer means. */
#include "tests/unit/store/s3_kit.h"

#include "store/s3_impl.h"

static void test_s3_ask_send__signs_and_addresses(void **state)
{
	(void)state;
	s3_kit_open("");
	s3_kit_says({ 204, NULL, NULL });
	ok(store_delete(kit.store, "a/b", e));
	s3_kit_asked(0, "DELETE /bucket/p/a/b",
	             "x-amz-content-sha256: "
	             "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n");
	s3_kit_asked(0, "DELETE /bucket/p/a/b", "authorization: AWS4-HMAC-SHA256 Credential=AKID/");
	s3_kit_asked(0, "DELETE /bucket/p/a/b",
	             "/eu-west-3/s3/aws4_request, "
	             "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=");
	assert_null(strstr(kit.asked[0].headers, "secret"));
}

static void test_s3_ask_send__sends_the_token_of_a_session(void **state)
{
	(void)state;
	(void)setenv("AWS_SESSION_TOKEN", "to/ken", 1);
	s3_kit_open("");
	(void)unsetenv("AWS_SESSION_TOKEN");
	s3_kit_says({ 204, NULL, NULL });
	ok(store_delete(kit.store, "k", e));
	s3_kit_asked(0, "DELETE /bucket/p/k", "x-amz-security-token: to/ken\n");
	s3_kit_asked(0, "DELETE /bucket/p/k",
	             "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, ");
}

enum what { PUT, GET, HEAD, LIST, DEL };

static int nothing(void *arg, const struct store_item *item, struct err *e)
{
	(void)arg;
	(void)item;
	(void)e;
	return 0;
}

static int call(enum what what, struct err *e)
{
	struct store_stat st;
	char byte;

	switch (what) {
	case PUT:
		return put_text(kit.store, "k", "1", e);
	case GET:
		return store_get(kit.store, "k", 0, &byte, 1, e);
	case HEAD:
		return store_head(kit.store, "k", &st, e);
	case LIST:
		return store_list(kit.store, "", NULL, nothing, NULL, e);
	case DEL:
		break;
	}
	return store_delete(kit.store, "k", e);
}

static void test_s3_explain__gives_each_answer_its_class_and_a_sentence(void **state)
{
	static const struct {
		enum what what;
		struct s3_reply reply;
		enum err_class class;
		const char *text;
	} cases[] = {
		{ PUT, { 412, NULL, S3_ERROR("PreconditionFailed", "") }, ERR_EXISTS, "taken" },
		{ PUT, { 304, NULL, NULL }, ERR_EXISTS, "taken" },
		{ GET, { 404, NULL, S3_ERROR("NoSuchKey", "") }, ERR_NOT_FOUND, "no such object" },
		{ HEAD, { 404, NULL, NULL }, ERR_NOT_FOUND, "no such object" },
		{ GET, { 404, NULL, S3_ERROR("XNoSuchUser", "who") }, ERR_IO, "XNoSuchUser: who" },
		{ GET, { 404, NULL, S3_ERROR("NoSuchBucket", "") }, ERR_IO, "no bucket 'bucket'" },
		{ LIST, { 404, NULL, S3_ERROR("NoSuchBucket", "") }, ERR_IO, "no bucket 'bucket'" },
		{ LIST, { 404, NULL, NULL }, ERR_IO, "status 404" },
		{ GET, { 416, NULL, S3_ERROR("InvalidRange", "") }, ERR_CORRUPT, "ends before" },
		{ GET, { 416, NULL, NULL }, ERR_CORRUPT, "ends before" },
		{ PUT,
		  { 403, NULL, S3_ERROR("AccessDenied", "no") },
		  ERR_DENIED,
		  "must allow s3:PutObject on the bucket 'bucket'; the service says: no" },
		{ GET,
		  { 403, NULL, S3_ERROR("AccessDenied", "") },
		  ERR_DENIED,
		  "s3:GetObject and s3:ListBucket" },
		{ HEAD, { 403, NULL, NULL }, ERR_DENIED, "which no answer to a HEAD says" },
		{ LIST, { 403, NULL, S3_ERROR("AccessDenied", "") }, ERR_DENIED, "s3:ListBucket" },
		{ DEL, { 403, NULL, S3_ERROR("AccessDenied", "") }, ERR_DENIED, "s3:DeleteObject" },
		{ DEL,
		  { 403, NULL, S3_ERROR("AccessDenied", "protected by object lock") },
		  ERR_BUSY,
		  "a retention period or a legal hold keeps it" },
		{ DEL, { 400, NULL, S3_ERROR("ObjectLocked", "WORM") }, ERR_BUSY, "keeps it" },
		{ GET,
		  { 403, NULL, S3_ERROR("InvalidObjectState", "") },
		  ERR_UNSUPPORTED,
		  "archive class" },
		{ LIST,
		  { 403, NULL, S3_ERROR("InvalidAccessKeyId", "") },
		  ERR_DENIED,
		  "does not know the access key" },
		{ LIST,
		  { 403, NULL, S3_ERROR("SignatureDoesNotMatch", "") },
		  ERR_DENIED,
		  "the secret key is another one's" },
		{ LIST,
		  { 400, NULL, S3_ERROR("ExpiredToken", "") },
		  ERR_DENIED,
		  "token has expired" },
		{ LIST,
		  { 403, "Date: Sun, 22 Nov 2026 10:04:05 GMT\r\n",
		    S3_ERROR("RequestTimeTooSkewed", "") },
		  ERR_DENIED,
		  "and the service's 2026-11-22T10:04:05.000Z" },
		{ LIST,
		  { 403, NULL, S3_ERROR("RequestTimeTooSkewed", "") },
		  ERR_DENIED,
		  "set the clock" },
		{ PUT,
		  { 503, "Retry-After: 7\r\n", S3_ERROR("SlowDown", "") },
		  ERR_RETRY,
		  "fewer requests" },
		{ PUT, { 500, NULL, S3_ERROR("InternalError", "") }, ERR_RETRY, "has failed" },
		{ PUT, { 503, NULL, "<html>" }, ERR_RETRY, "status 503" },
		{ PUT, { 429, NULL, NULL }, ERR_RETRY, "status 429" },
		{ PUT, { 408, NULL, NULL }, ERR_RETRY, "status 408" },
		{ PUT, { 400, NULL, S3_ERROR("RequestTimeout", "") }, ERR_RETRY, "too long" },
		{ PUT, { 400, NULL, S3_ERROR("BadDigest", "") }, ERR_RETRY, "damaged" },
		{ PUT,
		  { 400, NULL, S3_ERROR("InvalidRequest", "Checksum type unknown") },
		  ERR_UNSUPPORTED,
		  "the parameter 'checksum'" },
		{ PUT,
		  { 400, NULL, S3_ERROR("InvalidRequest", "other") },
		  ERR_IO,
		  "status 400, InvalidRequest: other" },
		{ PUT,
		  { 501, NULL, S3_ERROR("NotImplemented", "a header") },
		  ERR_UNSUPPORTED,
		  "NotImplemented: a header" },
		{ PUT, { 400, NULL, S3_ERROR("EntityTooLarge", "") }, ERR_TOO_BIG, "size" },
		{ PUT, { 403, NULL, S3_ERROR("QuotaExceeded", "") }, ERR_QUOTA, "quota" },
		{ PUT, { 507, NULL, NULL }, ERR_QUOTA, "no space left" },
		{ PUT, { 400, NULL, S3_ERROR("InvalidStorageClass", "") }, ERR_INVALID, "'class'" },
		{ PUT, { 409, NULL, S3_ERROR("ObjectParentIsFile", "") }, ERR_INVALID, "path" },
		{ LIST,
		  { 301, "x-amz-bucket-region: us-west-2\r\n", S3_ERROR("PermanentRedirect", "") },
		  ERR_INVALID,
		  "is in the region 'us-west-2', and was looked for in 'eu-west-3'; add "
		  "region=us-west-2" },
		{ HEAD,
		  { 301, "x-amz-bucket-region: us-west-2\r\n", NULL },
		  ERR_INVALID,
		  "add region=us-west-2" },
		{ LIST,
		  { 400, NULL,
		    "<Error><Code>AuthorizationHeaderMalformed</Code><Region>ap-south-1</Region>"
		    "</Error>" },
		  ERR_INVALID,
		  "add region=ap-south-1" },
		{ LIST,
		  { 307, "x-amz-bucket-region: eu-west-3\r\n", NULL },
		  ERR_RETRY,
		  "a new bucket" },
		{ LIST, { 301, NULL, NULL }, ERR_INVALID, "'region' and 'endpoint'" },
		{ GET, { 418, NULL, NULL }, ERR_IO, "status 418" },
		{ GET, { 401, NULL, NULL }, ERR_DENIED, "s3:GetObject" },
		{ GET, { 0, NULL, NULL }, ERR_RETRY, "127.0.0.1" },
	};

	(void)state;
	s3_kit_open("");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;

		kit.replies = &cases[i].reply;
		kit.nreplies = 1;
		kit.replied = 0;
		if (call(cases[i].what, &e) == 0 || e.class != cases[i].class ||
		    !strstr(e.msg, cases[i].text))
			fail_msg("case %zu: %s: %s", i, err_class_name(e.class), e.msg);
		if (strcmp(cases[i].text, "fewer requests") == 0)
			assert_int_equal(e.wait_ms, 7000);
	}
}

static void test_s3_explain__names_what_a_lock_needs(void **state)
{
	(void)state;
	s3_kit_open("&lock=1h");
	s3_kit_says({ 400, NULL, S3_ERROR("InvalidRequest", "no ObjectLockConfiguration") },
	            { 403, NULL, S3_ERROR("AccessDenied", "") });
	fails_saying(ERR_INVALID, "the bucket 'bucket' has no object lock",
	             put_text(kit.store, "k", "1", e));
	fails_saying(ERR_DENIED, "s3:PutObject and s3:PutObjectRetention",
	             put_text(kit.store, "k", "1", e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		S3_TEST(test_s3_ask_send__signs_and_addresses),
		S3_TEST(test_s3_ask_send__sends_the_token_of_a_session),
		S3_TEST(test_s3_explain__gives_each_answer_its_class_and_a_sentence),
		S3_TEST(test_s3_explain__names_what_a_lock_needs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
