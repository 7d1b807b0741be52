/* SPDX-License-Identifier: Apache-2.0 */
/* repo/single.c: one session at a time, by looking for others. */
#include "repo/single.h"

#include "repo/session.h"
#include "tests/harness/repo_kit.h"

static void begin(const struct kit *k, char ret[96])
{
	ok(session_begin_maintenance(k->agent, "index", ret, e));
}

static void test_single_check__an_open_session_is_refused_and_named(void **state)
{
	auto_kit struct kit k = kit_new();
	char session[96];

	(void)state;
	ok(single_check(k.agent, NULL, false, e));
	begin(&k, session);
	fails_saying(ERR_BUSY, session, single_check(k.agent, NULL, false, e));
	fails_saying(ERR_BUSY, "single writer at a time; let it end, or, when it is dead",
	             single_check(k.agent, "", false, e));
	/* Its own is none beside it. */
	ok(single_check(k.agent, session, false, e));
}

static void test_single_check__one_that_has_ended_is_in_nobodys_way(void **state)
{
	auto_kit struct kit k = kit_new();
	char session[96];

	(void)state;
	begin(&k, session);
	ok(session_commit_index(k.agent, session, "index", NULL, 0, e));
	ok(single_check(k.agent, NULL, false, e));
}

static void test_single_check__taking_over_fences_all_others(void **state)
{
	auto_kit struct kit k = kit_new();
	char own[96];
	char others[2][96];
	enum session_end end;

	(void)state;
	begin(&k, own);
	begin(&k, others[0]);
	begin(&k, others[1]);
	ok(single_check(k.agent, own, true, e));
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		ok(session_look(k.agent, others[i], &end, e));
		assert_int_equal(end, SESSION_ABORTED);
	}
	ok(session_look(k.agent, own, &end, e));
	assert_int_equal(end, SESSION_OPEN);
	ok(single_check(k.agent, own, false, e));
}

static void test_single_check__a_marker_that_does_not_open_is_a_session_all_the_same(void **state)
{
	auto_kit struct kit k = kit_new();
	char session[96];
	char key[128];

	(void)state;
	begin(&k, session);
	(void)snprintf(key, sizeof(key), "sess/%s", session);
	kit_flip(&k, key, 60);
	fails_saying(ERR_BUSY, "of host '?'", single_check(k.agent, NULL, false, e));
}

static void test_single_fence__leaves_what_has_ended(void **state)
{
	auto_kit struct kit k = kit_new();
	char session[96];
	enum session_end end;

	(void)state;
	begin(&k, session);
	ok(session_commit_index(k.agent, session, "index", NULL, 0, e));
	ok(single_fence(k.agent, session, "a test", e));
	ok(session_look(k.agent, session, &end, e));
	assert_int_equal(end, SESSION_COMMITTED);
	begin(&k, session);
	ok(single_fence(k.agent, session, "a test", e));
	ok(single_fence(k.agent, session, "a test", e));
	ok(session_look(k.agent, session, &end, e));
	assert_int_equal(end, SESSION_ABORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_single_check__an_open_session_is_refused_and_named),
		cmocka_unit_test(test_single_check__one_that_has_ended_is_in_nobodys_way),
		cmocka_unit_test(test_single_check__taking_over_fences_all_others),
		cmocka_unit_test(
			test_single_check__a_marker_that_does_not_open_is_a_session_all_the_same),
		cmocka_unit_test(test_single_fence__leaves_what_has_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
