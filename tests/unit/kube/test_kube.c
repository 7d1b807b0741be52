/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that meet with faults: throttled, cut, refused, answered with garbage. */
#include "kube/kube.h"

#include "tests/harness/kube_kit.h"

#define STATUS(code, reason) \
	"{\"kind\":\"Status\",\"code\":" #code ",\"reason\":\"" reason "\",\"message\":\"said\"}"

static void test_get__repeats_what_may_work_later(void **state)
{
	static const struct kit_answer script[] = {
		{ .how = KIT_RESET },
		{ .how = KIT_CUT, .body = "{\"kind\":" },
		{ .status = 503 },
		{ .status = 429,
		  .headers = "Retry-After: 1\r\n",
		  .body = STATUS(429, "TooManyRequests") },
		{ .body = "{\"metadata\":{\"name\":\"p\"}}" },
	};
	json_t *o = NULL;

	(void)state;
	PLAY(script);
	ok(kube_get(kit.kube, &kube_pod, "a", "p", &o, e));
	assert_string_equal(kube_text_at(o, "metadata.name"), "p");
	json_decref(o);
	assert_int_equal(kube_counted(kit.kube).requests, 5);
	assert_int_equal(kube_counted(kit.kube).throttled, 1);
	assert_string_equal(kit.auth, "Bearer first");
}

static void test_get__gives_up_when_the_server_wants_more_than_the_budget(void **state)
{
	static const struct kit_answer script[] = {
		{ .status = 429, .headers = "Retry-After: 3000\r\n", .body = STATUS(429, "X") },
	};

	(void)state;
	PLAY(script);
	fails_saying(ERR_RETRY, "Pod 'a/p': gave up after 1 tries",
	             kube_get(kit.kube, &kube_pod, "a", "p", NULL, e));
}

static void test_get__garbage_is_told(void **state)
{
	static const struct kit_answer script[] = { { .body = "{\"kind\": <html>" } };
	json_t *o = NULL;

	(void)state;
	PLAY(script);
	fails_saying(ERR_FORMAT, "line 1 column", kube_get(kit.kube, &kube_pod, "a", "p", &o, e));
	assert_null(o);
}

/* More than is taken of one answer. */
static int huge(void *arg, const struct http_seen *q, struct buf *reply)
{
	static char blanks[1 << 20];

	(void)arg;
	(void)q;
	memset(blanks, ' ', sizeof(blanks));
	reply->max = 66 * MIB;
	(void)buf_printf(reply, "HTTP/1.1 200 X\r\nContent-Length: %zu\r\n\r\n", 65 * MIB);
	for (int i = 0; i < 65; i++)
		(void)buf_put(reply, blanks, sizeof(blanks));
	return 1;
}

static void test_get__bounds_an_answer(void **state)
{
	json_t *o = NULL;

	(void)state;
	kit.own = huge;
	fails_saying(ERR_TOO_BIG, "limit", kube_get(kit.kube, &kube_pod, "a", "p", &o, e));
	assert_null(o);
}

static void test_get__names_that_lead_elsewhere_are_refused(void **state)
{
	(void)state;
	fails(ERR_INVALID, kube_get(kit.kube, &kube_pod, "a", "", NULL, e));
	fails(ERR_INVALID, kube_get(kit.kube, &kube_pod, "a", "..", NULL, e));
	fails(ERR_INVALID, kube_get(kit.kube, &kube_pod, NULL, "x", NULL, e));
	assert_int_equal(http_server_requests(kit.server), 0);
}

static void test_create__finds_what_it_made_when_the_answer_was_lost(void **state)
{
	static char mine[512];
	static struct kit_answer script[] = {
		{ .how = KIT_RESET },
		{ .status = 409, .body = STATUS(409, "AlreadyExists") },
		{ .body = mine },
	};
	auto_json json_t *o = json_pack("{s:{s:s}}", "metadata", "name", "p");
	json_t *made = NULL;

	(void)state;
	/* The mark is only known when it is sent: the first answer comes from somebody else's. */
	(void)snprintf(mine, sizeof(mine),
	               "{\"metadata\":{\"name\":\"p\",\"annotations\":"
	               "{\"aksdr.io/made-by\":\"other\"}}}");
	PLAY(script);
	fails_saying(ERR_EXISTS, "creating Pod 'a/p'",
	             kube_create(kit.kube, &kube_pod, "a", o, &made, e));
	assert_null(made);
	assert_non_null(strstr(kit.body, "aksdr.io/made-by"));
	assert_string_equal(kit_log(), "POST /api/v1/namespaces/a/pods?fieldManager=aksdr\n"
	                               "POST /api/v1/namespaces/a/pods?fieldManager=aksdr\n"
	                               "GET /api/v1/namespaces/a/pods/p\n");
}

/* Does what it is asked and loses the first answer. */
static int lossy(void *arg, const struct http_seen *q, struct buf *reply)
{
	static unsigned made;
	static char object[4096];

	(void)arg;
	if (strcmp(q->method, "GET") == 0) {
		http_reply(reply, 200, "", object, strlen(object));
		made = 0;
		return 0;
	}
	if (made++ > 0) {
		static const char taken[] = STATUS(409, "AlreadyExists");

		http_reply(reply, 409, "", taken, strlen(taken));
		return 0;
	}
	(void)snprintf(object, sizeof(object), "%.*s", (int)q->body_len, (const char *)q->body);
	return -1;
}

static void test_create__a_repetition_that_finds_its_own_is_no_error(void **state)
{
	auto_json json_t *o = json_pack("{s:{s:s}}", "metadata", "name", "p");
	json_t *made = NULL;

	(void)state;
	kit.own = lossy;
	ok(kube_create(kit.kube, &kube_pod, "a", o, &made, e));
	assert_string_equal(kube_text_at(made, "metadata.name"), "p");
	json_decref(made);
	assert_null(kube_at(o, "metadata.annotations"));
}

static void test_delete__what_is_not_there_is_no_error(void **state)
{
	static const struct kit_answer script[] = {
		{ .status = 404,
		  .body = "{\"kind\":\"Status\",\"code\":404,\"details\":{\"name\":\"p\"}}" },
		{ .status = 409,
		  .body = "{\"kind\":\"Status\",\"code\":409,"
		          "\"message\":\"Precondition failed: UID\"}" },
		{ .status = 404, .body = "404 page not found" },
	};

	(void)state;
	PLAY(script);
	ok(kube_delete(kit.kube, &kube_pod, "a", "p", NULL, e));
	ok(kube_delete(kit.kube, &kube_pod, "a", "p", "u", e));
	assert_non_null(strstr(kit.body, "\"preconditions\":{\"uid\":\"u\"}"));
	fails_saying(ERR_NOT_FOUND, "not known there",
	             kube_delete(kit.kube, &kube_policy, "a", "p", NULL, e));
}

static void test_patch__says_how_by_its_type(void **state)
{
	static const struct kit_answer script[] = { { .body = "{}" } };
	auto_json json_t *o = json_object();

	(void)state;
	PLAY(script);
	ok(kube_patch(kit.kube, &kube_policy, "a", "p", "status", KUBE_APPLY, o, NULL, e));
	assert_string_equal(kit.type, "application/apply-patch+yaml");
	assert_string_equal(kit_log(),
	                    "PATCH /apis/aksdr.io/v1alpha1/namespaces/a/backuppolicies/p/"
	                    "status?fieldManager=aksdr&force=true\n");
}

/* ---- lists ---- */

#define PAGE(name, next)                                                                  \
	"{\"metadata\":{\"resourceVersion\":\"7\",\"continue\":\"" next "\"},\"items\":[" \
	"{\"metadata\":{\"name\":\"" name "\"}}]}"

static int collect(void *arg, const json_t *object, struct err *e)
{
	struct buf *b = arg;

	(void)e;
	(void)buf_printf(b, "%s ", kube_text_at(object, "metadata.name"));
	return 0;
}

static void test_list__goes_from_page_to_page(void **state)
{
	static const struct kit_answer script[] = {
		{ .body = PAGE("a", "x/y") },
		{ .body = PAGE("b", "") },
	};
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100);
	const struct kube_select select = { .labels = "l=1" };
	auto_free char *version = NULL;

	(void)state;
	PLAY(script);
	ok(kube_list(kit.kube, &kube_pod, &select, collect, &b, &version, e));
	assert_string_equal(buf_cstr(&b), "a b ");
	assert_string_equal(version, "7");
	assert_string_equal(kit_log(),
	                    "GET /api/v1/pods?labelSelector=l%3D1&limit=250\n"
	                    "GET /api/v1/pods?labelSelector=l%3D1&limit=250&continue=x%2Fy\n");
}

static void test_list__begins_anew_in_one_page_when_the_continuation_is_forgotten(void **state)
{
	static const struct kit_answer script[] = {
		{ .body = PAGE("a", "x") },
		{ .status = 410, .body = STATUS(410, "Expired") },
		{ .body = PAGE("b", "") },
	};
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100);
	const struct kube_select select = { .ns = NULL };

	(void)state;
	PLAY(script);
	ok(kube_list(kit.kube, &kube_pod, &select, collect, &b, NULL, e));
	assert_string_equal(buf_cstr(&b), "a b ");
	assert_string_equal(kit_log(), "GET /api/v1/pods?limit=250\n"
	                               "GET /api/v1/pods?limit=250&continue=x\n"
	                               "GET /api/v1/pods\n");
}

static void test_list__an_answer_that_is_no_list_is_told(void **state)
{
	static const struct kit_answer script[] = { { .body = "{\"items\": 1}" } };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100);
	const struct kube_select select = { .ns = "a" };

	(void)state;
	PLAY(script);
	fails_saying(ERR_FORMAT, "no list",
	             kube_list(kit.kube, &kube_pod, &select, collect, &b, NULL, e));
}

static void test_text__keeps_the_end(void **state)
{
	static const struct kit_answer script[] = { { .body = "0123456789" } };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4);

	(void)state;
	PLAY(script);
	ok(kube_text(kit.kube, "/api/v1/namespaces/a/pods/p/log", &b, e));
	assert_string_equal(buf_cstr(&b), "6789");
}

static void test_at__finds_members(void **state)
{
	auto_json json_t *o = json_pack("{s:{s:{s:s,s:i,s:b}}}", "a", "b", "t", "x", "n", 7, "y",
	                                1);

	(void)state;
	assert_string_equal(kube_text_at(o, "a.b.t"), "x");
	assert_string_equal(kube_text_at(o, "a.c.t"), "");
	assert_int_equal(kube_number_at(o, "a.b.n", 1), 7);
	assert_int_equal(kube_number_at(o, "a.b.t", 1), 1);
	assert_true(kube_true_at(o, "a.b.y"));
	assert_false(kube_true_at(NULL, "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_CASE(test_get__repeats_what_may_work_later),
		KIT_CASE(test_get__gives_up_when_the_server_wants_more_than_the_budget),
		KIT_CASE(test_get__garbage_is_told),
		KIT_CASE(test_get__bounds_an_answer),
		KIT_CASE(test_get__names_that_lead_elsewhere_are_refused),
		KIT_CASE(test_create__finds_what_it_made_when_the_answer_was_lost),
		KIT_CASE(test_create__a_repetition_that_finds_its_own_is_no_error),
		KIT_CASE(test_delete__what_is_not_there_is_no_error),
		KIT_CASE(test_patch__says_how_by_its_type),
		KIT_CASE(test_list__goes_from_page_to_page),
		KIT_CASE(test_list__begins_anew_in_one_page_when_the_continuation_is_forgotten),
		KIT_CASE(test_list__an_answer_that_is_no_list_is_told),
		KIT_CASE(test_text__keeps_the_end),
		KIT_CASE(test_at__finds_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
