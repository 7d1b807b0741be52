/* SPDX-License-Identifier: Apache-2.0 */
/* Which copy of which volume is filled next, and what is told of them. */
#include "restore/standby_table.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/metric.h"
#include "tests/harness/harness.h"

#define S INT64_C(1000000000)

static void clean_table_of(struct standby_table *t)
{
	standby_table_clear(t);
}
#define auto_standby_table CLEANUP(clean_table_of)

/* A volume of the plan that wants a point. */
static struct standby_volume *want(struct standby_table *t, const char *name, size_t item,
                                   const char *point, int64_t at_s)
{
	struct standby_volume *v = standby_table_get(t, "shop", name);

	assert_non_null(v);
	v->planned = true;
	v->item = item;
	(void)snprintf(v->wanted, sizeof(v->wanted), "%s", point);
	v->wanted_ns = at_s * S;
	return v;
}

static void hold(struct standby_volume *v, unsigned copy, const char *point, int64_t at_s)
{
	v->copies[copy] = (struct standby_copy){ .there = true, .at_ns = at_s * S };
	(void)snprintf(v->copies[copy].point, sizeof(v->copies[copy].point), "%s", point);
}

/* "NAME/COPY" of what is next, "-": nothing. */
static const char *next(const struct standby_table *t, int64_t mono_ns)
{
	static char text[300];
	struct standby_volume *v;
	unsigned copy;

	if (!standby_table_next(t, mono_ns, &v, &copy))
		return "-";
	(void)snprintf(text, sizeof(text), "%s/%u", v->name, copy);
	return text;
}

static void test_standby_table_next__what_is_not_current_in_the_plans_order(void **state)
{
	auto_standby_table struct standby_table t = { .copies = 1 };
	struct standby_volume *b = want(&t, "b", 1, "p2", 20);
	struct standby_volume *a = want(&t, "a", 0, "p2", 20);

	(void)state;
	standby_table_sort(&t);
	assert_string_equal(next(&t, 0), "a/0");
	a->copies[0].busy = true;
	assert_string_equal(next(&t, 0), "b/0");
	hold(b, 0, "p1", 10);
	assert_string_equal(next(&t, 0), "b/0");
	hold(b, 0, "p2", 20);
	assert_string_equal(next(&t, 0), "-");
	b->copies[0].mixed = true;
	assert_string_equal(next(&t, 0), "b/0");
	b->wanted[0] = '\0'; /* no point of it can be used */
	assert_string_equal(next(&t, 0), "-");
}

static void test_standby_table_next__one_copy_stays_whole(void **state)
{
	auto_standby_table struct standby_table t = { .copies = 2 };
	struct standby_volume *v = want(&t, "v", 0, "p1", 10);

	(void)state;
	assert_string_equal(next(&t, 0), "v/0");
	v->copies[0].busy = true;
	assert_string_equal(next(&t, 0), "-"); /* one at a time */
	hold(v, 0, "p1", 10);
	assert_string_equal(next(&t, 0), "v/1");
	hold(v, 1, "p1", 10);
	assert_string_equal(next(&t, 0), "-");
	/* Of two that are whole the older one goes on. */
	want(&t, "v", 0, "p2", 20);
	assert_string_equal(next(&t, 0), "v/0");
	hold(v, 0, "p2", 20);
	assert_string_equal(next(&t, 0), "-");
	want(&t, "v", 0, "p3", 30);
	assert_string_equal(next(&t, 0), "v/1");
	/* What was interrupted comes first, so the other one is left alone. */
	v->copies[1].mixed = true;
	v->copies[1].point[0] = '\0';
	assert_string_equal(next(&t, 0), "v/1");
	hold(v, 1, "p3", 30);
	want(&t, "v", 0, "p4", 40);
	v->copies[0].mixed = true;
	assert_string_equal(next(&t, 0), "v/0");
}

static void test_standby_table_tried__waits_longer_after_each_failure(void **state)
{
	auto_standby_table struct standby_table t = { .copies = 1 };
	struct standby_volume *v = want(&t, "v", 0, "p1", 10);
	struct err why = ERR_INIT;

	(void)state;
	(void)err_set(&why, ERR_RETRY, "the mover was evicted");
	assert_true(standby_table_wake(&t, 0) == INT64_MAX);
	standby_table_tried(v, &why, 100 * S);
	assert_string_equal(v->why, "the mover was evicted");
	assert_string_equal(next(&t, 100 * S), "-");
	assert_true(standby_table_wake(&t, 100 * S) == 160 * S);
	assert_string_equal(next(&t, 160 * S), "v/0");
	standby_table_tried(v, &why, 160 * S);
	assert_true(standby_table_wake(&t, 160 * S) == 280 * S);
	for (int i = 0; i < 100; i++)
		standby_table_tried(v, &why, 0);
	assert_true(standby_table_wake(&t, 0) == 3600 * S);
	assert_int_equal(v->failures, 102);
	standby_table_tried(v, NULL, 0);
	assert_string_equal(next(&t, 0), "v/0");
	assert_string_equal(v->why, "");
}

static json_t *claim_of(const char *its, const char *point, const char *applying, const char *taken)
{
	json_t *o = json_pack("{s:{s:{s:s, s:s*, s:s*, s:s*}}}", "metadata", "annotations",
	                      "aksdr.io/for", its, "aksdr.io/point", point, "aksdr.io/applying",
	                      applying, "aksdr.io/taken", taken);

	assert_non_null(o);
	return o;
}

static struct standby_copy *tell(struct standby_table *t, const char *its, const char *point,
                                 const char *applying, const char *taken)
{
	auto_json json_t *o = claim_of(its, point, applying, taken);
	struct standby_copy *k = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(standby_table_claim(t, 0, o, &k, &e), 0);
	return k;
}

static void test_standby_table_claim__says_what_it_has(void **state)
{
	auto_standby_table struct standby_table t = { .copies = 1 };
	char longer[400];

	(void)state;
	standby_table_begin(&t);
	assert_string_equal(tell(&t, "shop/a", "p1", NULL, NULL)->point, "p1");
	assert_string_equal(tell(&t, "shop/b", "p1", "p2", NULL)->point, "");
	assert_true(tell(&t, "shop/c", NULL, NULL, NULL)->there);
	assert_true(tell(&t, "shop/d", "p1", NULL, "a run")->taken_over);
	/* None of ours. */
	assert_null(tell(&t, "shop", "p1", NULL, NULL));
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	longer[300] = '/';
	assert_null(tell(&t, longer, "p1", NULL, NULL));
	standby_table_end(&t);
	assert_int_equal(t.n, 4);

	/* Its moment stays known while the point is the same; what is not told is not there. */
	t.v[0]->copies[0].at_ns = 7;
	t.v[1]->copies[0].busy = true;
	standby_table_begin(&t);
	assert_int_equal(tell(&t, "shop/a", "p1", NULL, NULL)->at_ns, 7);
	standby_table_end(&t);
	standby_table_begin(&t);
	assert_int_equal(tell(&t, "shop/a", "p3", NULL, NULL)->at_ns, 0);
	standby_table_end(&t);
	standby_table_sort(&t);
	assert_int_equal(t.n, 2); /* and the one that we are at */
}

static void test_standby_table_lag_s__of_the_best_copy(void **state)
{
	auto_standby_table struct standby_table t = { .copies = 2 };
	struct standby_volume *v = want(&t, "v", 0, "p3", 30);

	(void)state;
	assert_int_equal(standby_table_lag_s(&t, v), -1);
	assert_string_equal(standby_table_state(&t, v), "empty");
	hold(v, 0, "p1", 10);
	assert_int_equal(standby_table_lag_s(&t, v), 20);
	assert_string_equal(standby_table_state(&t, v), "behind");
	hold(v, 1, "p2", 20);
	v->copies[0].busy = true;
	assert_int_equal(standby_table_lag_s(&t, v), 10);
	assert_string_equal(standby_table_state(&t, v), "applying");
	hold(v, 0, "p3", 30);
	assert_int_equal(standby_table_lag_s(&t, v), 0);
	assert_string_equal(standby_table_state(&t, v), "current");
	hold(v, 0, "p0", 0);
	hold(v, 1, "", 0);
	assert_int_equal(standby_table_lag_s(&t, v), -1); /* nobody knows when it was */
	v->wanted[0] = '\0';
	assert_string_equal(standby_table_state(&t, v), "blocked");
	v->planned = false;
	assert_string_equal(standby_table_state(&t, v), "not planned");
	v->copies[0].taken_over = true;
	assert_string_equal(standby_table_state(&t, v), "taken over");
}

static void test_standby_table_metrics__tell_of_each_volume(void **state)
{
	auto_standby_table struct standby_table t = { .copies = 1 };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(METRIC_TEXT_MAX);
	struct standby_volume *v = want(&t, "v", 0, "p2", 30);

	(void)state;
	want(&t, "empty", 1, "p2", 30);
	hold(v, 0, "p1", 10);
	v->fetched = 77;
	standby_table_metrics(&t, "plan", &b);
	const char *text = buf_cstr(&b);
	assert_non_null(strstr(text, "aksdr_standby_lag_seconds{plan=\"plan\",namespace=\"shop\","
	                             "claim=\"v\"} 20\n"));
	assert_null(strstr(text, "aksdr_standby_lag_seconds{plan=\"plan\",namespace=\"shop\","
	                         "claim=\"empty\"}"));
	assert_non_null(strstr(text, "aksdr_standby_whole{plan=\"plan\",namespace=\"shop\","
	                             "claim=\"empty\"} 0\n"));
	assert_non_null(strstr(text, "aksdr_standby_fetched_bytes_total{plan=\"plan\","
	                             "namespace=\"shop\",claim=\"v\"} 77\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_standby_table_next__what_is_not_current_in_the_plans_order),
		cmocka_unit_test(test_standby_table_next__one_copy_stays_whole),
		cmocka_unit_test(test_standby_table_tried__waits_longer_after_each_failure),
		cmocka_unit_test(test_standby_table_claim__says_what_it_has),
		cmocka_unit_test(test_standby_table_lag_s__of_the_best_copy),
		cmocka_unit_test(test_standby_table_metrics__tell_of_each_volume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
