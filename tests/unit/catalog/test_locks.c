/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at locks in the catalog: what is new is noted, for good; one that fails leaves nothing. */
#include "catalog/locks.h"

#include "tests/unit/catalog/catalog_kit.h"

#define DAY KIT_DAY_NS
#define T0 KIT_EPOCH_NS

/* A point that was received at the beginning of a day and was to be locked for ten. */
static struct protect_point locked(const char *session, int64_t day)
{
	return (struct protect_point){
		.session = session,
		.received_ns = T0 + day * DAY,
		.wanted_ns = T0 + (day + 10) * DAY,
		.safe_ns = T0 + (day + 10) * DAY,
		.covered = true,
	};
}

static struct protect_point lasting(const char *session, int64_t day, int64_t until_ns)
{
	struct protect_point p = locked(session, day);

	p.safe_ns = until_ns;
	p.covered = false;
	return p;
}

static void look(struct catalog *c, int64_t day, const struct protect_point *v, size_t n)
{
	static const char *const one = "a";
	const struct protect_params params = { .lock_s = 864000,
		                               .sessions = &one,
		                               .nsessions = n == 1 };
	struct protect_result r = { .points = n, .objects = 9, .extended = 3, .missing = 1 };
	CLEANUP(locks_clear) struct locks l = { 0 };

	ok(locks_begin(c, T0 + day * DAY, &l, e));
	for (size_t i = 0; i < n; i++) {
		ok(locks_point(&l, &v[i], e));
		r.covered += v[i].covered;
		r.over += v[i].wanted_ns <= T0 + day * DAY;
	}
	ok(locks_end(&l, &params, &r, e));
}

#define EPOCH_S "1795305600" /* of KIT_EPOCH_NS */

static void test_locks_point__adds_what_a_look_says_new(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_catalog struct catalog *c = kit_catalog(dir, "c.db");
	struct protect_point v[] = { locked("a", 0), lasting("b", 1, T0 + 4 * DAY),
		                     lasting("c", 1, 0) };

	(void)state;
	look(c, 2, v, ARRAY_LEN(v));
	assert_rows(c, "SELECT count(*) FROM locks", "3\n");
	/* The same again: a look, and no rows. */
	look(c, 3, v, ARRAY_LEN(v));
	assert_rows(c, "SELECT count(*) FROM locks", "3\n");
	assert_rows(c,
	            "SELECT id, lock_s, points, locked, over, extended, missing, all_points FROM"
	            " lock_looks",
	            "1|864000|3|1|0|3|1|1\n2|864000|3|1|0|3|1|1\n");
	/* Extended; and one that was longer than is asked now stays known as that. */
	v[0].wanted_ns = T0 + 5 * DAY;
	v[1] = locked("b", 1);
	look(c, 4, v, ARRAY_LEN(v));
	/* The time of one is over: nothing was asked about it. */
	v[2].wanted_ns = T0 + 5 * DAY;
	v[2].safe_ns = T0 + 9 * DAY;
	look(c, 6, &v[2], 1);
	assert_rows(c,
	            "SELECT session, look, until_ns / 1000000000 - " EPOCH_S
	            ", at_least FROM locks ORDER BY 1, 2",
	            "a|1|864000|1\nb|1|345600|0\nb|3|950400|1\nc|1|-" EPOCH_S "|0\n");
	assert_rows(c, "SELECT id, points, over, all_points FROM lock_looks WHERE id > 2",
	            "3|3|0|1\n4|1|1|0\n");
}

static void test_locks_end__without_it_nothing_stays(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_catalog struct catalog *c = kit_catalog(dir, "c.db");
	const struct protect_point p = locked("a", 0);

	(void)state;
	{
		CLEANUP(locks_clear) struct locks l = { 0 };

		ok(locks_begin(c, T0, &l, e));
		ok(locks_point(&l, &p, e));
	}
	assert_rows(c, "SELECT (SELECT count(*) FROM locks), (SELECT count(*) FROM lock_looks)",
	            "0|0\n");
	look(c, 1, &p, 1);
	assert_rows(c, "SELECT count(*) FROM locks", "1\n");
}

static void test_locks__are_for_good(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_catalog struct catalog *c = kit_catalog(dir, "c.db");
	const struct protect_point p = locked("a", 0);

	(void)state;
	look(c, 1, &p, 1);
	fails_saying(ERR_BUG, "never removed", catalog_exec(c, "DELETE FROM locks", e));
	fails_saying(ERR_BUG, "never removed", catalog_exec(c, "DELETE FROM lock_looks", e));
	fails_saying(ERR_BUG, "does not change",
	             catalog_exec(c, "UPDATE locks SET until_ns = 1", e));
	fails_saying(ERR_BUG, "does not change",
	             catalog_exec(c, "UPDATE lock_looks SET locked = 1", e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_locks_point__adds_what_a_look_says_new),
		cmocka_unit_test(test_locks_end__without_it_nothing_stays),
		cmocka_unit_test(test_locks__are_for_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
