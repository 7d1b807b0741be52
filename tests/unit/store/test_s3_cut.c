/* SPDX-License-Identifier: Apache-2.0 */
/* How far a bucket's replication is, by what its objects say of themselves. */
#include "tests/unit/store/s3_kit.h"

#define S INT64_C(1000000000)
#define NOON (1795348800 * S) /* 2026-11-22T12:00:00Z */

/* What the service has: three objects, and what each says. */
static struct {
	int rule_status;
	const char *rule_body;
	const char *replication[3]; /* of a, b, c; NULL: nothing; "-": it is not there any more */
	int head_status;            /* of all; 0: as usual */
	unsigned heads;
} service;

static int answer(void *arg, const struct http_seen *q, struct buf *reply)
{
	static const char page[] =
		"<ListBucketResult><Contents><Key>p/a</Key><Size>1</Size><LastModified>"
		"2026-11-22T11:00:00.700Z</LastModified></Contents><Contents><Key>p/b</Key>"
		"<Size>1</Size><LastModified>2026-11-22T11:30:00.000Z</LastModified></Contents>"
		"<Contents><Key>p/c</Key><Size>1</Size><LastModified>2026-11-22T11:45:00.000Z"
		"</LastModified></Contents></ListBucketResult>";
	char header[128] = "";

	(void)arg;
	if (strstr(q->target, "?replication=")) {
		http_reply(reply, service.rule_status, "Date: Sun, 22 Nov 2026 12:00:00 GMT\r\n",
		           service.rule_body, strlen(service.rule_body));
		return 0;
	}
	if (strstr(q->target, "list-type=2")) {
		http_reply(reply, 200, "", page, strlen(page));
		return 0;
	}
	size_t n = strlen(q->target);
	const char *status = service.replication[q->target[n - 1] - 'a'];
	service.heads++;
	if (status)
		(void)snprintf(header, sizeof(header), "x-amz-replication-status: %s\r\n", status);
	int code = service.head_status                  ? service.head_status
	           : status && strcmp(status, "-") == 0 ? 404
	                                                : 200;
	http_reply(reply, code, header, "", 0);
	return 0;
}

static int setup(void **state)
{
	char url[128];
	struct err e = ERR_INIT;

	(void)state;
	(void)setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
	(void)setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	(void)setenv("no_proxy", "127.0.0.1", 1);
	memset(&service, 0, sizeof(service));
	service.rule_status = 200;
	service.rule_body = "<ReplicationConfiguration/>";
	kit = (struct s3_kit){ .server = http_server_start(answer, NULL) };
	(void)snprintf(url, sizeof(url), "s3://bucket/p?endpoint=http://127.0.0.1:%u",
	               http_server_port(kit.server));
	kit.store = store_s3_open(url, 0, NULL, &e);
	assert_non_null(kit.store);
	return 0;
}

static struct store_cut cut_of(const char *a, const char *b, const char *c, int64_t since_ns)
{
	struct store_cut cut;

	service.replication[0] = a;
	service.replication[1] = b;
	service.replication[2] = c;
	service.heads = 0;
	ok(store_cut(kit.store, since_ns, &cut, e));
	return cut;
}

static void test_s3_cut__is_now_when_all_are_there(void **state)
{
	(void)state;
	struct store_cut cut = cut_of("COMPLETED", "REPLICA", "COMPLETED", 0);
	assert_int_equal(cut.kind, CUT_REPLICATION);
	assert_int_equal(cut.cut_ns, NOON - 1);
	assert_int_equal(cut.at_ns, NOON);
	assert_int_equal(cut.behind, 0);
	assert_string_equal(cut.status, "COMPLETED");
	assert_int_equal(service.heads, 3);
}

static void test_s3_cut__is_before_the_oldest_that_lacks(void **state)
{
	(void)state;
	struct store_cut cut = cut_of("COMPLETED", "PENDING", "FAILED", 0);
	assert_int_equal(cut.cut_ns, NOON - 1800 * S - 1);
	assert_int_equal(cut.behind, 2);
	assert_string_equal(cut.status, "FAILED");
	/* what was stored before there was a rule lacks, and all of its second is in doubt */
	cut = cut_of(NULL, "COMPLETED", "PENDING", 0);
	assert_int_equal(cut.cut_ns, NOON - 3600 * S - 1);
	assert_int_equal(cut.behind, 2);
	assert_string_equal(cut.status, "PENDING");
}

static void test_s3_cut__asks_only_what_is_not_known_to_be_there(void **state)
{
	(void)state;
	struct store_cut cut = cut_of("FAILED", "COMPLETED", "PENDING", NOON - 3600 * S);
	assert_int_equal(service.heads, 2);
	assert_int_equal(cut.cut_ns, NOON - 900 * S - 1);
	assert_int_equal(cut.behind, 1);
}

static void test_s3_cut__passes_over_what_was_deleted_meanwhile(void **state)
{
	(void)state;
	struct store_cut cut = cut_of("COMPLETED", "-", "COMPLETED", 0);
	assert_int_equal(cut.behind, 0);
	assert_int_equal(cut.cut_ns, NOON - 1);
}

static void test_s3_cut__is_none_without_a_rule(void **state)
{
	static const struct {
		int status;
		const char *body;
	} cases[] = {
		{ 404, S3_ERROR("ReplicationConfigurationNotFoundError", "none") },
		{ 501, S3_ERROR("NotImplemented", "") },
		{ 405, S3_ERROR("MethodNotAllowed", "") },
		{ 400, S3_ERROR("InvalidRequest", "") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		service.rule_status = cases[i].status;
		service.rule_body = cases[i].body;
		struct store_cut cut = cut_of("COMPLETED", "COMPLETED", "COMPLETED", 0);
		assert_int_equal(cut.kind, CUT_NONE);
		assert_int_equal(service.heads, 0);
	}
}

static void test_s3_cut__without_the_right_to_see_the_rule_objects_decide(void **state)
{
	(void)state;
	service.rule_status = 403;
	service.rule_body = S3_ERROR("AccessDenied", "");
	assert_int_equal(cut_of(NULL, NULL, NULL, 0).kind, CUT_NONE);
	struct store_cut cut = cut_of(NULL, NULL, "COMPLETED", 0);
	assert_int_equal(cut.kind, CUT_REPLICATION);
	assert_int_equal(cut.behind, 2);
}

static void test_s3_cut__fails_when_the_service_does(void **state)
{
	struct store_cut cut;

	(void)state;
	service.rule_status = 503;
	service.rule_body = "";
	fails_saying(ERR_RETRY, "503", store_cut(kit.store, 0, &cut, e));
	service.rule_status = 404;
	service.rule_body = S3_ERROR("NoSuchBucket", "");
	fails_saying(ERR_IO, "no bucket", store_cut(kit.store, 0, &cut, e));
	service.rule_status = 200;
	service.head_status = 500;
	fails_saying(ERR_RETRY, "500", store_cut(kit.store, 0, &cut, e));
}

#define CUT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, s3_kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CUT_TEST(test_s3_cut__is_now_when_all_are_there),
		CUT_TEST(test_s3_cut__is_before_the_oldest_that_lacks),
		CUT_TEST(test_s3_cut__asks_only_what_is_not_known_to_be_there),
		CUT_TEST(test_s3_cut__passes_over_what_was_deleted_meanwhile),
		CUT_TEST(test_s3_cut__is_none_without_a_rule),
		CUT_TEST(test_s3_cut__without_the_right_to_see_the_rule_objects_decide),
		CUT_TEST(test_s3_cut__fails_when_the_service_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
