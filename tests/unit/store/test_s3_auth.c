/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials for S3: given ones, and those of a web identity: got, kept, renewed, refused. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/fd.h"
#include "common/http.h"
#include "store/s3_auth.h"
#include "store/traffic.h"
#include "tests/harness/harness.h"
#include "tests/harness/http_server.h"
#include "tests/harness/store_kit.h"

#define S INT64_C(1000000000)
#define NOON (1795348800 * S) /* 2026-11-22T12:00:00Z */

static const char *const known[] = { "endpoint", NULL };

static struct {
	struct http_server *server;
	struct http *http;
	char *dir;
	char file[256];
	/* what the token service says, and what it was asked */
	int status;
	char answer[1024];
	char body[1024];
	char line[64];
	unsigned asked;
} w;

static int answer(void *arg, const struct http_seen *q, struct buf *reply)
{
	(void)arg;
	w.asked++;
	(void)snprintf(w.line, sizeof(w.line), "%s %.40s", q->method, q->target);
	(void)snprintf(w.body, sizeof(w.body), "%.*s", (int)q->body_len, (const char *)q->body);
	http_reply(reply, w.status, "", w.answer, strlen(w.answer));
	return 0;
}

/* It gives the key `id`, until that time. */
static void gives(const char *id, const char *expires)
{
	w.status = 200;
	(void)snprintf(w.answer, sizeof(w.answer),
	               "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>"
	               "<Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>s"
	               "</SecretAccessKey><SessionToken>token-%s</SessionToken><Expiration>%s"
	               "</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
	               "</AssumeRoleWithWebIdentityResponse>",
	               id, id, expires);
}

static void refuses(int status, const char *code)
{
	w.status = status;
	(void)snprintf(w.answer, sizeof(w.answer),
	               "<ErrorResponse><Error><Code>%s</Code><Message>because</Message></Error>"
	               "</ErrorResponse>",
	               code);
}

static void set_token(const char *text)
{
	struct err e;

	assert_int_equal(fd_create_file(AT_FDCWD, w.file, text, strlen(text), 0600, FD_REPLACE, &e),
	                 0);
}

static int setup(void **state)
{
	static const char *const settings[] = {
		"AWS_ACCESS_KEY_ID",           "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN",          "AWS_ROLE_SESSION_NAME",
		"AWS_ENDPOINT_URL_STS"
	};
	const struct http_params params = { .proxy = "" };
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		(void)unsetenv(settings[i]);
	memset(&w, 0, sizeof(w));
	w.server = http_server_start(answer, NULL);
	w.http = http_new(&params, &e);
	w.dir = tmpdir_new();
	(void)snprintf(w.file, sizeof(w.file), "%.200s/token", w.dir);
	set_token("jwt+1\n");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	http_free(w.http);
	http_server_stop(w.server);
	tmpdir_remove(w.dir);
	return 0;
}

static struct s3_auth *auth_new(const char *region, struct err *e)
{
	auto_place struct place p = { 0 };

	*e = (struct err)ERR_INIT;
	assert_int_equal(place_parse("s3://bucket", known, &p, e), 0);
	return s3_auth_new(&p, w.http, region, e);
}

static struct s3_auth *identity(void)
{
	char url[64];
	struct err e;

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", http_server_port(w.server));
	(void)setenv("AWS_WEB_IDENTITY_TOKEN_FILE", w.file, 1);
	(void)setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r", 1);
	(void)setenv("AWS_ENDPOINT_URL_STS", url, 1);
	struct s3_auth *a = auth_new("eu-west-3", &e);
	assert_non_null(a);
	return a;
}

/* Signs a request at that time; id gets the key that it was signed with. */
static int sign_at(struct s3_auth *a, int64_t now_ns, char id[64], struct err *e)
{
	const struct s3_scope scope = { "eu-west-3", "s3", now_ns };
	auto_wire struct wire r;

	wire_init(&r, "GET", "https://h");
	if (s3_auth_sign(a, &r, &scope, S3_SIGN_UNSIGNED, e) < 0)
		return -1;
	const char *credential = strstr(wire_header_get(&r, "authorization"), "Credential=") + 11;
	const char *token = wire_header_get(&r, "x-amz-security-token");
	(void)snprintf(id, 64, "%.*s %s", (int)strcspn(credential, "/"), credential,
	               token ? token : "-");
	return 0;
}

static void signed_by(struct s3_auth *a, int64_t now_ns, const char *want)
{
	char id[64];

	ok(sign_at(a, now_ns, id, e));
	assert_string_equal(id, want);
}

static void test_s3_auth_new__takes_given_keys(void **state)
{
	struct err e;

	(void)state;
	(void)setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
	(void)setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
	auto_s3_auth struct s3_auth *a = auth_new("eu-west-3", &e);
	signed_by(a, NOON, "AKID -");
	(void)setenv("AWS_SESSION_TOKEN", "T", 1);
	auto_s3_auth struct s3_auth *b = auth_new("eu-west-3", &e);
	signed_by(b, NOON, "AKID T");
	/* others cannot be had */
	assert_false(s3_auth_renew(b, NOON + 3600 * S));
	signed_by(b, NOON, "AKID T");
	assert_int_equal(w.asked, 0);
}

static void test_s3_auth_new__says_what_lacks(void **state)
{
	struct err e;

	(void)state;
	assert_null(auth_new("eu-west-3", &e));
	assert_int_equal(e.class, ERR_DENIED);
	assert_non_null(strstr(e.msg, "there are no credentials for 's3://bucket'"));
	(void)setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
	assert_null(auth_new("eu-west-3", &e));
	assert_int_equal(e.class, ERR_INVALID);
	(void)unsetenv("AWS_ACCESS_KEY_ID");
	(void)setenv("AWS_WEB_IDENTITY_TOKEN_FILE", w.file, 1);
	assert_null(auth_new("eu-west-3", &e));
	assert_int_equal(e.class, ERR_INVALID);
	(void)setenv("AWS_ROLE_ARN", "arn", 1);
	(void)setenv("AWS_ENDPOINT_URL_STS", "http://sts.example", 1);
	assert_null(auth_new("eu-west-3", &e));
	assert_int_equal(e.class, ERR_INVALID);
	assert_non_null(strstr(e.msg, "TLS"));
}

static void test_s3_auth_sign__exchanges_the_token_of_the_file(void **state)
{
	(void)state;
	auto_s3_auth struct s3_auth *a = identity();
	gives("A1", "2026-11-22T13:00:00Z");
	signed_by(a, NOON, "A1 token-A1");
	assert_string_equal(w.line, "POST /");
	assert_string_equal(w.body,
	                    "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&"
	                    "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=aksdr&"
	                    "WebIdentityToken=jwt%2B1");
	/* up to half of its life it is kept */
	gives("A2", "2026-11-22T14:00:00Z");
	set_token("jwt2");
	signed_by(a, NOON + 1799 * S, "A1 token-A1");
	assert_int_equal(w.asked, 1);
	signed_by(a, NOON + 1800 * S, "A2 token-A2");
	assert_non_null(strstr(w.body, "WebIdentityToken=jwt2"));
	assert_int_equal(w.asked, 2);
	assert_int_equal(http_counted(w.http, TRAFFIC_AUTH).requests, 2);
}

static void test_s3_auth_sign__goes_on_with_the_old_while_new_cannot_be_had(void **state)
{
	char id[64];

	(void)state;
	auto_s3_auth struct s3_auth *a = identity();
	gives("A1", "2026-11-22T13:00:00Z");
	signed_by(a, NOON, "A1 token-A1");
	refuses(503, "ServiceUnavailable");
	signed_by(a, NOON + 1800 * S, "A1 token-A1");
	/* and does not ask each time */
	signed_by(a, NOON + 1801 * S, "A1 token-A1");
	assert_int_equal(w.asked, 2);
	signed_by(a, NOON + 1830 * S, "A1 token-A1");
	assert_int_equal(w.asked, 3);
	/* until they end */
	fails_saying(ERR_RETRY, "busy: 503 ServiceUnavailable", sign_at(a, NOON + 3590 * S, id, e));
	gives("A2", "2026-11-22T14:00:00Z");
	signed_by(a, NOON + 3591 * S, "A2 token-A2");
}

static void test_s3_auth_renew__gets_others_when_the_service_refuses(void **state)
{
	(void)state;
	auto_s3_auth struct s3_auth *a = identity();
	gives("A1", "2026-11-22T13:00:00Z");
	signed_by(a, NOON, "A1 token-A1");
	/* new ones that are refused are not the fault of their age */
	assert_false(s3_auth_renew(a, NOON + 1 * S));
	assert_true(s3_auth_renew(a, NOON + 60 * S));
	gives("A2", "2026-11-22T14:00:00Z");
	signed_by(a, NOON + 60 * S, "A2 token-A2");
	assert_false(s3_auth_renew(a, NOON + 61 * S));
}

static void test_s3_auth_sign__says_why_it_cannot(void **state)
{
	char id[64];

	(void)state;
	auto_s3_auth struct s3_auth *a = identity();
	refuses(400, "ExpiredTokenException");
	fails_saying(ERR_DENIED, "400 ExpiredTokenException because", sign_at(a, NOON, id, e));
	fails_saying(ERR_DENIED, "arn:aws:iam::1:role/r", sign_at(a, NOON, id, e));
	refuses(403, "AccessDenied");
	fails_saying(ERR_DENIED, "403 AccessDenied", sign_at(a, NOON, id, e));
	refuses(400, "IDPCommunicationError");
	fails_saying(ERR_RETRY, "busy", sign_at(a, NOON, id, e));
	refuses(429, "x");
	fails_saying(ERR_RETRY, "busy", sign_at(a, NOON, id, e));
	w.status = 200;
	(void)snprintf(w.answer, sizeof(w.answer), "<html></html>");
	fails_saying(ERR_FORMAT, "not credentials", sign_at(a, NOON, id, e));
	gives("A1", "soon");
	fails_saying(ERR_FORMAT, "no whole credentials", sign_at(a, NOON, id, e));
	set_token(" \n");
	fails_saying(ERR_FORMAT, "there is no token in", sign_at(a, NOON, id, e));
	assert_int_equal(unlink(w.file), 0);
	fails_saying(ERR_NOT_FOUND, "token of the web identity", sign_at(a, NOON, id, e));
}

static void test_s3_auth_due_ns__is_half_of_the_life(void **state)
{
	(void)state;
	assert_int_equal(s3_auth_due_ns(1000 * S, 4600 * S), 2800 * S);
	/* five minutes are left at least, where half of the life would leave less */
	assert_int_equal(s3_auth_due_ns(1000 * S, 1500 * S), 1200 * S);
	assert_int_equal(s3_auth_due_ns(1000 * S, 1200 * S), 1100 * S);
	assert_int_equal(s3_auth_due_ns(1000 * S, 1000 * S), 1000 * S);
	assert_int_equal(s3_auth_due_ns(1000 * S, 900 * S), 1000 * S);
}

#define AUTH_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		AUTH_TEST(test_s3_auth_new__takes_given_keys),
		AUTH_TEST(test_s3_auth_new__says_what_lacks),
		AUTH_TEST(test_s3_auth_sign__exchanges_the_token_of_the_file),
		AUTH_TEST(test_s3_auth_sign__goes_on_with_the_old_while_new_cannot_be_had),
		AUTH_TEST(test_s3_auth_renew__gets_others_when_the_service_refuses),
		AUTH_TEST(test_s3_auth_sign__says_why_it_cannot),
		AUTH_TEST(test_s3_auth_due_ns__is_half_of_the_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
