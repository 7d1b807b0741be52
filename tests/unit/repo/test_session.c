/* SPDX-License-Identifier: Apache-2.0 */
/* Markers and commits: what is put, who may, and what a taken key means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/json.h"
#include "repo/crypt.h"
#include "repo/session.h"
#include "tests/unit/repo/repo_fixture.h"

static const struct made sample = { "west", "shop", "data", 1, 1795341846000000000, NULL };

static void test_session_begin__puts_a_sealed_marker(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	const struct point_volume v = { .cluster = "west", .namespace = "shop", .name = "data" };
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(MIB);
	char session[96];
	char key_name[128];
	char tag[17];
	uint8_t key[32];
	uint8_t signer[8];
	const char *text;
	size_t n;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(session_begin(r, &v, "test", session, &e), 0);
	assert_true(point_session_valid(session));
	assert_int_equal(point_voltag(r->keys, &v, tag, &e), 0);
	assert_memory_equal(session + POINT_SESSION_VOLTAG, tag, 16);
	(void)snprintf(key_name, sizeof(key_name), "sess/%s", session);
	auto_free uint8_t *object = object_get(f.store, key_name, &n);
	assert_int_equal(keys_point_key(r->keys, key, &e), 0);
	assert_int_equal(crypt_object_open(r->keys, 'S', key, key_name, object, n, &plain, signer,
	                                   &e),
	                 0);
	auto_json json_t *o = json_parse("marker", plain.data, plain.len, &e);
	assert_non_null(o);
	assert_int_equal(json_get_str(o, "marker", "schema", &text, &e), 0);
	assert_string_equal(text, "aksdr/session/v1");
	assert_int_equal(json_get_str(o, "marker", "session", &text, &e), 0);
	assert_string_equal(text, session);
	assert_true(json_is_integer(json_object_get(o, "started_ns")));
}

static void test_session_begin__each_has_a_name_of_its_own(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	const struct point_volume v = { .name = "data" };
	char a[96];
	char b[96];
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(session_begin(r, &v, "test", a, &e), 0);
	assert_int_equal(session_begin(r, &v, "test", b, &e), 0);
	assert_string_not_equal(a, b);
	assert_int_equal(object_count(f.store, "sess/"), 2);
}

static void test_session_begin__an_auditor_may_not(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "audit.key", NULL);
	const struct point_volume v = { .name = "data" };
	char session[96];
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(session_begin(r, &v, "test", session, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
	assert_int_equal(object_count(f.store, ""), 1); /* the config */
}

static void test_session_commit__the_point_is_there(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	CLEANUP(point_clear) struct point p = { 0 };
	CLEANUP(point_clear) struct point q = { 0 };
	char key_name[128];
	uint8_t sum[32];
	size_t n;
	struct err e = ERR_INIT;

	(void)state;
	made_point(r, &sample, &p);
	assert_int_equal(session_commit(r, &p, &e), 0);
	(void)snprintf(key_name, sizeof(key_name), "commit/%s", p.session);
	auto_free uint8_t *object = object_get(f.store, key_name, &n);
	crypt_sha256(sum, object, n);
	assert_memory_equal(sum, p.hash, 32);
	assert_memory_equal(p.signer, r->keys->signer_id, 8);
	assert_int_equal(repo_point(r, p.session, &q, &e), 0);
	assert_memory_equal(q.hash, p.hash, 32);
	assert_memory_equal(q.signer, p.signer, 8);
	assert_int_equal(q.sequence, 1);
	assert_true(q.received_ns > 0);
}

static void test_session_commit__a_taken_key_means_fenced(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	CLEANUP(point_clear) struct point p = { 0 };
	char key_name[128];
	struct err e = ERR_INIT;

	(void)state;
	made_point(r, &sample, &p);
	(void)snprintf(key_name, sizeof(key_name), "commit/%s", p.session);
	object_set(f.store, key_name, "fence", 5);
	assert_int_equal(session_commit(r, &p, &e), -1);
	assert_int_equal(e.class, ERR_BUSY);
	assert_non_null(strstr(e.msg, "fenced"));
}

struct lose {
	const char *prefix;
	unsigned left; /* puts that are applied, and whose answer is lost */
};

static enum store_fault lose_answers(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct lose *l = arg;

	(void)n;
	if (call != CALL_PUT || l->left == 0 || strncmp(key, l->prefix, strlen(l->prefix)) != 0)
		return FAULT_NONE;
	l->left--;
	return FAULT_APPLIED_LOST;
}

/* No waiting between tries. */
static void no_wait(void *arg, int64_t ms)
{
	(void)arg;
	(void)ms;
}

static void test_session__lost_answers_are_not_taken_for_fences(void **state)
{
	const struct store_retry_params params = {
		.budget_ms = 10000, .first_ms = 1, .longest_ms = 1, .wait_ms = no_wait
	};
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	struct lose lose = { .prefix = "sess/", .left = 1 };
	CLEANUP(point_clear) struct point p = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	f.store = store_fault_new(f.store, lose_answers, &lose, &e);
	assert_non_null(f.store);
	f.store = store_retry_new(f.store, &params, &e);
	assert_non_null(f.store);
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	made_point(r, &sample, &p); /* begins a session */
	assert_int_equal(lose.left, 0);
	lose = (struct lose){ .prefix = "commit/", .left = 1 };
	assert_int_equal(session_commit(r, &p, &e), 0);
	assert_int_equal(lose.left, 0);
	assert_int_equal(object_count(f.store, "sess/"), 1);
	assert_int_equal(object_count(f.store, "commit/"), 1);
}

static void test_session_commit__names_that_are_no_text_are_refused(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	CLEANUP(point_clear) struct point p = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	made_point(r, &sample, &p);
	p.volume.name[0] = '\xff';
	assert_int_equal(session_commit(r, &p, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_int_equal(object_count(f.store, "commit/"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_begin__puts_a_sealed_marker),
		cmocka_unit_test(test_session_begin__each_has_a_name_of_its_own),
		cmocka_unit_test(test_session_begin__an_auditor_may_not),
		cmocka_unit_test(test_session_commit__the_point_is_there),
		cmocka_unit_test(test_session_commit__a_taken_key_means_fenced),
		cmocka_unit_test(test_session__lost_answers_are_not_taken_for_fences),
		cmocka_unit_test(test_session_commit__names_that_are_no_text_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
