/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests that lock objects at Azure and S3, and what their answers mean.
 * The service is scripted: it shows one object with a lock, and answers the
 * request that extends it as a case wants.
 */
#include <stdlib.h>

#include "tests/harness/http_server.h"
#include "tests/harness/store_kit.h"

#define S INT64_C(1000000000)
#define NOON (INT64_C(1795348800) * S) /* 2026-11-22T12:00:00Z */
#define DAY (86400 * S)

static struct world {
	struct http_server *server;
	struct store *s;
	/* what is answered */
	const char *lock; /* headers of the object */
	int status;       /* of the request that extends */
	const char *headers, *body;
	int head_status;
	/* what was seen of that request */
	unsigned extensions, puts;
	char target[256], sent[512], headers_seen[4096];
} w;

static void copy_header(const struct http_seen *q, const char *name)
{
	char value[256];
	size_t n = strlen(w.headers_seen);

	http_seen_header(q, name, value, sizeof(value));
	(void)snprintf(w.headers_seen + n, sizeof(w.headers_seen) - n, "%s=%s;", name, value);
}

static int answer(void *arg, const struct http_seen *q, struct buf *reply)
{
	static const char *const names[] = {
		"x-ms-immutability-policy-until-date",
		"x-ms-immutability-policy-mode",
		"x-amz-object-lock-mode",
		"x-amz-checksum-crc64nvme",
		"x-amz-object-lock-retain-until-date",
	};
	bool extends = strstr(q->target, "comp=immutabilityPolicies") ||
	               strstr(q->target, "?retention");

	(void)arg;
	if (strcmp(q->method, "HEAD") == 0) {
		char lines[1024];

		(void)snprintf(lines, sizeof(lines),
		               "Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT\r\n%s", w.lock);
		http_reply(reply, w.head_status ? w.head_status : 200, w.head_status ? "" : lines,
		           "", 0);
		return 0;
	}
	w.headers_seen[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		copy_header(q, names[i]);
	if (!extends) {
		w.puts++;
		http_reply(reply, strstr(w.s->url, "azure") ? 201 : 200, "", "", 0);
		return 0;
	}
	w.extensions++;
	(void)snprintf(w.target, sizeof(w.target), "%.250s", q->target);
	(void)snprintf(w.sent, sizeof(w.sent), "%.*s", (int)(q->body_len < 500 ? q->body_len : 500),
	               (const char *)q->body);
	http_reply(reply, w.status, w.headers ? w.headers : "", w.body ? w.body : "",
	           w.body ? strlen(w.body) : 0);
	return 0;
}

/* params: "" or "&NAME=VALUE..." */
static void open_service(const char *place, const char *path, const char *params)
{
	struct err why = ERR_INIT;
	char url[256];

	(void)snprintf(url, sizeof(url), "%s?endpoint=http://127.0.0.1:%u%s%s", place,
	               http_server_port(w.server), path, params);
	w.s = store_open(url, 0, &why);
	if (!w.s)
		fail_msg("%s", why.msg);
}

static int setup(void **state)
{
	(void)state;
	w = (struct world){ .lock = "", .status = 200 };
	w.server = http_server_start(answer, NULL);
	assert_int_equal(setenv("AZURE_STORAGE_KEY", "a2V5", 1), 0);
	assert_int_equal(setenv("AWS_ACCESS_KEY_ID", "id", 1), 0);
	assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "secret", 1), 0);
	assert_int_equal(setenv("AKSDR_RETRY", "1s/1", 1), 0);
	assert_int_equal(setenv("no_proxy", "127.0.0.1", 1), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_free(w.s);
	http_server_stop(w.server);
	return 0;
}

#define AZURE "azure://acct/cont", "/acct&secondary=none"
#define S3 "s3://bucket", ""

static int64_t until(const char *key)
{
	struct store_stat st;

	ok(store_head(w.s, key, &st, e));
	return st.locked_until_ns;
}

static void saw(const char *text)
{
	if (!strstr(w.headers_seen, text))
		fail_msg("not '%s' in '%s'", text, w.headers_seen);
}

/* ---- Azure ---- */

#define AZURE_LOCK(day, mode)                                                    \
	"x-ms-immutability-policy-until-date: " day " Nov 2026 12:00:00 GMT\r\n" \
	"x-ms-immutability-policy-mode: " mode "\r\n"

static void test_azure__tells_until_when_a_blob_is_locked(void **state)
{
	(void)state;
	open_service(AZURE, "");
	assert_true(w.s->caps & STORE_CAP_OBJECT_LOCK);
	assert_int_equal(w.s->lock_s, 0);
	assert_int_equal(until("a"), 0);
	w.lock = AZURE_LOCK("Mon, 23", "Unlocked");
	assert_int_equal(until("a"), NOON + DAY);
	w.lock = "x-ms-immutability-policy-until-date: soon\r\n";
	assert_int_equal(until("a"), 0);
}

static void test_azure__extends_a_policy_in_the_mode_of_the_url(void **state)
{
	(void)state;
	open_service(AZURE, "&lock=1d&lock-mode=locked");
	assert_int_equal(w.s->lock_s, 86400);
	w.lock = AZURE_LOCK("Mon, 23", "Unlocked");
	ok(store_lock(w.s, "a", NOON + 2 * DAY, e));
	assert_string_equal(w.target, "/acct/cont/a?comp=immutabilityPolicies");
	saw("until-date=Tue, 24 Nov 2026 12:00:00 GMT;");
	saw("policy-mode=locked;");
}

static void test_azure__keeps_the_mode_of_a_policy_that_was_locked_for_good(void **state)
{
	(void)state;
	open_service(AZURE, "");
	w.lock = AZURE_LOCK("Mon, 23", "Locked");
	ok(store_lock(w.s, "a", NOON + 2 * DAY - 1, e));
	saw("until-date=Tue, 24 Nov 2026 12:00:00 GMT;");
	saw("policy-mode=locked;");
	w.lock = "";
	ok(store_lock(w.s, "a", NOON + DAY, e));
	saw("policy-mode=unlocked;");
}

static void test_azure__leaves_a_policy_that_is_long_enough(void **state)
{
	(void)state;
	open_service(AZURE, "");
	w.lock = AZURE_LOCK("Mon, 23", "Unlocked");
	ok(store_lock(w.s, "a", NOON + DAY, e));
	ok(store_lock(w.s, "a", NOON, e));
	assert_int_equal(w.extensions, 0);
}

static void test_azure__says_what_keeps_it_from_locking(void **state)
{
	(void)state;
	open_service(AZURE, "");
	w.head_status = 404;
	fails(ERR_NOT_FOUND, store_lock(w.s, "a", NOON, e));
	w.head_status = 0;
	w.status = 409;
	w.headers = "x-ms-error-code: SomethingOfVersions\r\n";
	fails_saying(ERR_UNSUPPORTED, "immutability by version must be enabled",
	             store_lock(w.s, "a", NOON, e));
	w.headers = "x-ms-error-code: BlobImmutableDueToPolicy\r\n";
	fails(ERR_BUSY, store_lock(w.s, "a", NOON, e));
	w.status = 501;
	w.headers = "";
	fails(ERR_UNSUPPORTED, store_lock(w.s, "a", NOON, e));
	w.status = 403;
	w.headers = "x-ms-error-code: AuthorizationPermissionMismatch\r\n";
	fails_saying(ERR_DENIED, "Storage Blob Data Owner", store_lock(w.s, "a", NOON, e));
	w.status = 503;
	w.headers = "x-ms-error-code: ServerBusy\r\n";
	fails(ERR_RETRY, store_lock(w.s, "a", NOON, e));
}

static void test_azure__puts_short_lived_objects_without_a_lock(void **state)
{
	(void)state;
	open_service(AZURE, "&lock=1d");
	ok(put_text(w.s, "sess/a", "x", e));
	saw("until-date=;");
	saw("policy-mode=;");
	ok(put_text(w.s, "commit/a", "x", e));
	saw("policy-mode=unlocked;");
	assert_int_equal(w.puts, 2);
}

/* ---- S3 ---- */

#define S3_LOCK(time, mode)                                 \
	"x-amz-object-lock-retain-until-date: " time "\r\n" \
	"x-amz-object-lock-mode: " mode "\r\n"
#define RETENTION(mode, time)                                                      \
	"<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>" mode \
	"</Mode><RetainUntilDate>" time "</RetainUntilDate></Retention>"

static void test_s3__tells_until_when_an_object_is_locked(void **state)
{
	(void)state;
	open_service(S3, "");
	assert_int_equal(until("a"), 0);
	w.lock = S3_LOCK("2026-11-23T12:00:00Z", "GOVERNANCE");
	assert_int_equal(until("a"), NOON + DAY);
	w.lock = S3_LOCK("2026-11-23T12:00:00.000Z", "GOVERNANCE");
	assert_int_equal(until("a"), NOON + DAY);
}

static void test_s3__extends_a_retention(void **state)
{
	(void)state;
	open_service(S3, "&lock=1d");
	assert_int_equal(w.s->lock_s, 86400);
	w.lock = S3_LOCK("2026-11-23T12:00:00Z", "GOVERNANCE");
	ok(store_lock(w.s, "a", NOON + 2 * DAY - 1, e));
	assert_string_equal(w.target, "/bucket/a?retention=");
	assert_string_equal(w.sent, RETENTION("GOVERNANCE", "2026-11-24T12:00:00.000Z"));
	assert_null(strstr(w.headers_seen, "crc64nvme=;"));
	/* what is under the stricter mode stays so */
	w.lock = S3_LOCK("2026-11-23T12:00:00Z", "COMPLIANCE");
	ok(store_lock(w.s, "a", NOON + 2 * DAY, e));
	assert_string_equal(w.sent, RETENTION("COMPLIANCE", "2026-11-24T12:00:00.000Z"));
}

static void test_s3__leaves_a_retention_that_is_long_enough(void **state)
{
	(void)state;
	open_service(S3, "");
	w.lock = S3_LOCK("2026-11-23T12:00:00Z", "GOVERNANCE");
	ok(store_lock(w.s, "a", NOON + DAY, e));
	assert_int_equal(w.extensions, 0);
}

static void test_s3__says_what_keeps_it_from_locking(void **state)
{
	(void)state;
	open_service(S3, "");
	w.status = 400;
	w.body = "<Error><Code>InvalidRequest</Code><Message>Bucket is missing Object Lock "
		 "Configuration</Message></Error>";
	fails_saying(ERR_UNSUPPORTED, "the bucket 'bucket' has no object lock",
	             store_lock(w.s, "a", NOON, e));
	w.status = 403;
	w.body = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
	fails_saying(ERR_DENIED, "s3:PutObjectRetention", store_lock(w.s, "a", NOON, e));
	w.head_status = 404;
	fails(ERR_NOT_FOUND, store_lock(w.s, "a", NOON, e));
}

static void test_s3__takes_no_lock_without_a_checksum(void **state)
{
	(void)state;
	open_service(S3, "&checksum=none");
	fails_saying(ERR_INVALID, "checksum=none", store_lock(w.s, "a", NOON, e));
	assert_int_equal(w.extensions, 0);
}

static void test_s3__puts_short_lived_objects_without_a_lock(void **state)
{
	(void)state;
	open_service(S3, "&lock=1d&lock-mode=compliance");
	ok(put_text(w.s, "probe/a", "x", e));
	saw("x-amz-object-lock-mode=;");
	saw("retain-until-date=;");
	ok(put_text(w.s, "pack/a", "x", e));
	saw("x-amz-object-lock-mode=COMPLIANCE;");
	assert_int_equal(w.puts, 2);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_azure__tells_until_when_a_blob_is_locked),
		CASE(test_azure__extends_a_policy_in_the_mode_of_the_url),
		CASE(test_azure__keeps_the_mode_of_a_policy_that_was_locked_for_good),
		CASE(test_azure__leaves_a_policy_that_is_long_enough),
		CASE(test_azure__says_what_keeps_it_from_locking),
		CASE(test_azure__puts_short_lived_objects_without_a_lock),
		CASE(test_s3__tells_until_when_an_object_is_locked),
		CASE(test_s3__extends_a_retention),
		CASE(test_s3__leaves_a_retention_that_is_long_enough),
		CASE(test_s3__says_what_keeps_it_from_locking),
		CASE(test_s3__takes_no_lock_without_a_checksum),
		CASE(test_s3__puts_short_lived_objects_without_a_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
