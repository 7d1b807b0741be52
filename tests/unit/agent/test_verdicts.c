/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/verdicts.h"

#include <string.h>

#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"

#define S INT64_C(1000000000)
#define NOW (1000 * S) /* of a clock of our own */

static struct verdicts v;
static char user[VERDICTS_USER_MAX];

static enum verdict find(const char *token, int64_t now_ns)
{
	const struct verdicts_id id = verdicts_id(&v, token);

	return verdicts_find(&v, &id, now_ns, user);
}

static void put(const char *token, enum verdict verdict, const char *who, int64_t now_ns)
{
	const struct verdicts_id id = verdicts_id(&v, token);

	verdicts_put(&v, &id, verdict, who, now_ns);
}

static void test_verdicts_find__knows_what_was_put(void **state)
{
	(void)state;
	verdicts_init(&v);
	assert_int_equal(find("a", NOW), VERDICT_NONE);
	put("a", VERDICT_ALLOWED, "anna", NOW);
	put("b", VERDICT_FORBIDDEN, "bert", NOW);
	put("c", VERDICT_STRANGER, "", NOW);
	assert_int_equal(find("a", NOW), VERDICT_ALLOWED);
	assert_string_equal(user, "anna");
	assert_int_equal(find("b", NOW), VERDICT_FORBIDDEN);
	assert_string_equal(user, "bert");
	assert_int_equal(find("c", NOW), VERDICT_STRANGER);
	assert_int_equal(find("A", NOW), VERDICT_NONE);
	assert_string_equal(user, "");
}

static void test_verdicts_find__forgets(void **state)
{
	(void)state;
	verdicts_init(&v);
	put("a", VERDICT_ALLOWED, "anna", NOW);
	put("b", VERDICT_FORBIDDEN, "bert", NOW);
	put("c", VERDICT_STRANGER, "", NOW);
	assert_int_equal(find("b", NOW + 10 * S - 1), VERDICT_FORBIDDEN);
	assert_int_equal(find("b", NOW + 10 * S), VERDICT_NONE);
	assert_int_equal(find("c", NOW + 10 * S), VERDICT_NONE);
	assert_int_equal(find("a", NOW + 60 * S - 1), VERDICT_ALLOWED);
	assert_int_equal(find("a", NOW + 60 * S), VERDICT_NONE);
}

static void test_verdicts_put__takes_back_what_was_said_before(void **state)
{
	(void)state;
	verdicts_init(&v);
	put("a", VERDICT_ALLOWED, "anna", NOW);
	put("a", VERDICT_STRANGER, "", NOW + S);
	assert_int_equal(find("a", NOW + S), VERDICT_STRANGER);
	/* and nothing of the first is left behind it */
	assert_int_equal(find("a", NOW + 11 * S), VERDICT_NONE);
}

static void test_verdicts_put__has_room_for_so_many(void **state)
{
	char token[16];

	(void)state;
	verdicts_init(&v);
	put("first", VERDICT_ALLOWED, "anna", NOW);
	/* Strangers, however many, take places from each other: they end earlier. */
	for (int i = 0; i < 10 * VERDICTS_MAX; i++) {
		(void)snprintf(token, sizeof(token), "x%d", i);
		put(token, VERDICT_STRANGER, "", NOW + i);
	}
	assert_int_equal(find("first", NOW + S), VERDICT_ALLOWED);
	assert_int_equal(find("x1279", NOW + S), VERDICT_STRANGER);
	assert_int_equal(find("x0", NOW + S), VERDICT_NONE);
}

static void test_verdicts_put__cuts_a_long_name(void **state)
{
	char name[1000];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	verdicts_init(&v);
	put("a", VERDICT_ALLOWED, name, NOW);
	assert_int_equal(find("a", NOW), VERDICT_ALLOWED);
	assert_int_equal(strlen(user), VERDICTS_USER_MAX - 1);
}

static void test_verdicts_id__is_of_this_process_alone(void **state)
{
	(void)state;
	verdicts_init(&v);
	const struct verdicts_id id = verdicts_id(&v, "a");
	const struct verdicts_id same = verdicts_id(&v, "a");
	assert_memory_equal(&id, &same, sizeof(id));
	verdicts_init(&v);
	const struct verdicts_id other = verdicts_id(&v, "a");
	assert_memory_not_equal(&id, &other, sizeof(id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts_find__knows_what_was_put),
		cmocka_unit_test(test_verdicts_find__forgets),
		cmocka_unit_test(test_verdicts_put__takes_back_what_was_said_before),
		cmocka_unit_test(test_verdicts_put__has_room_for_so_many),
		cmocka_unit_test(test_verdicts_put__cuts_a_long_name),
		cmocka_unit_test(test_verdicts_id__is_of_this_process_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
