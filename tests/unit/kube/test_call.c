/* SPDX-License-Identifier: Apache-2.0 */
/* Paths, and what an answer that refuses is called. */
#include "kube/call.h"

#include <errno.h>
#include <string.h>

#include "tests/harness/store_kit.h"

static void test_path__is_of_group_namespace_and_name(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1000);

	(void)state;
	call_path(&b, &kube_pod, "a", "b/../c", "log");
	assert_string_equal(buf_cstr(&b), "/api/v1/namespaces/a/pods/b%2F..%2Fc/log");
	buf_reset(&b);
	call_path(&b, &kube_pv, "ignored", NULL, NULL);
	call_query(&b, "labelSelector", "a=b,c in (d)");
	call_query(&b, "none", "");
	call_query(&b, "limit", "1");
	assert_string_equal(
		buf_cstr(&b),
		"/api/v1/persistentvolumes?labelSelector=a%3Db%2Cc%20in%20%28d%29&limit=1");
	buf_reset(&b);
	call_path(&b, &kube_snapshot, NULL, NULL, NULL);
	assert_string_equal(buf_cstr(&b), "/apis/snapshot.storage.k8s.io/v1/volumesnapshots");
}

static void test_refused__has_the_class_of_what_may_be_done(void **state)
{
	static const struct {
		int status;
		const char *text;
		enum err_class class;
		int os;
		int64_t wait_ms;
	} cases[] = {
		{ 401, "", ERR_DENIED, 0, 0 },
		{ 403, "{\"kind\":\"Status\",\"code\":403,\"message\":\"exceeded quota: x\"}",
		  ERR_QUOTA, 0, 0 },
		{ 403, "{\"kind\":\"Status\",\"code\":403,\"message\":\"no\"}", ERR_DENIED, 0, 0 },
		{ 404, "{\"kind\":\"Status\",\"code\":404,\"details\":{\"name\":\"x\"}}",
		  ERR_NOT_FOUND, 0, 0 },
		{ 404, "{\"kind\":\"Status\",\"code\":404,\"details\":{}}", ERR_NOT_FOUND, ENOTSUP,
		  0 },
		{ 404, "404 page not found\n", ERR_NOT_FOUND, ENOTSUP, 0 },
		{ 409, "{\"kind\":\"Status\",\"code\":409,\"reason\":\"AlreadyExists\"}",
		  ERR_EXISTS, 0, 0 },
		{ 409, "{\"kind\":\"Status\",\"code\":409,\"reason\":\"Conflict\"}", ERR_BUSY, 0,
		  0 },
		{ 410, "", ERR_RETRY, ESTALE, 0 },
		{ 413, "", ERR_TOO_BIG, 0, 0 },
		{ 415, "", ERR_UNSUPPORTED, 0, 0 },
		{ 422, "{\"kind\":\"Status\",\"message\":\"spec.x: wrong\"}", ERR_INVALID, 0, 0 },
		{ 429, "{\"kind\":\"Status\",\"code\":429,\"details\":{\"retryAfterSeconds\":3}}",
		  ERR_RETRY, 0, 3000 },
		{ 500, "<html>", ERR_RETRY, 0, 2000 },
		{ 504, "{\"kind\":\"Status\"", ERR_RETRY, 0, 2000 },
		{ 302, "elsewhere", ERR_FORMAT, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(call_refused(cases[i].status, 2000, cases[i].text,
		                              strlen(cases[i].text), &e),
		                 -1);
		assert_int_equal(e.class, cases[i].class);
		assert_int_equal(e.os, cases[i].os);
		if (cases[i].class == ERR_RETRY)
			assert_int_equal(e.wait_ms, cases[i].wait_ms ? cases[i].wait_ms : 2000);
		else
			assert_int_equal(e.wait_ms, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path__is_of_group_namespace_and_name),
		cmocka_unit_test(test_refused__has_the_class_of_what_may_be_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
