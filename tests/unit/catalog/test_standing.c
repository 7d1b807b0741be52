/* SPDX-License-Identifier: Apache-2.0 */
/* "Am I safe?": the answer to what the catalog knows, and how it is told. */
#include "catalog/standing.h"

#include "common/json.h"
#include "tests/unit/catalog/catalog_kit.h"

#define HOUR_NS (3600 * INT64_C(1000000000))
#define DAY_NS (24 * HOUR_NS)
#define NOW (1000 * DAY_NS)

/* All is well. */
static struct standing good(void)
{
	return (struct standing){
		.synced_ns = NOW - HOUR_NS,
		.volumes = 3,
		.oldest = { .name = "c1/shop/orders", .age_s = 3600 },
		.clusters = 1,
		.inventory_ns = NOW - HOUR_NS,
		.protected_ = 3,
		.verified_ns = NOW - DAY_NS,
		.check_level = 3,
		.drills = { { .plan = "shop", .began_ns = NOW - DAY_NS, .passed = true } },
		.ndrills = 1,
		.recipients = 1,
		.signers = 2,
	};
}

static void assert_answer(const struct standing *s, enum standing_level level, const char *text)
{
	struct standing_answer a;
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * KIB);

	standing_judge(s, NOW, &a);
	standing_print(&a, false, &b);
	assert_int_equal(a.level, level);
	if (!strstr(buf_cstr(&b), text))
		fail_msg("'%s' is not in:\n%s", text, buf_cstr(&b));
}

static void test_standing_judge__all_is_well(void **state)
{
	const struct standing s = good();

	(void)state;
	assert_answer(&s, STANDING_OK, "SAFE: nothing needs attention\n");
	assert_answer(&s, STANDING_OK, "3 volumes; the worst is c1/shop/orders");
}

static void test_standing_judge__each_thing_that_needs_attention(void **state)
{
	static const struct {
		size_t offset; /* of a count, which is made 2 */
		enum standing_level level;
		const char *text;
	} cases[] = {
		{ offsetof(struct standing, late), STANDING_ATTENTION, "2 of 3 volumes are late" },
		{ offsetof(struct standing, without_points), STANDING_ATTENTION,
		  "2 claims have had a policy for a day" },
		{ offsetof(struct standing, partial), STANDING_ATTENTION, "lack files" },
		{ offsetof(struct standing, fuzzy), STANDING_OK, "of no single moment" },
		{ offsetof(struct standing, exposed), STANDING_ATTENTION,
		  "2 claims or volumes are exposed" },
		{ offsetof(struct standing, problems), STANDING_DAMAGE, "found 2 problems" },
		{ offsetof(struct standing, lost), STANDING_DAMAGE, "2 restore points are gone" },
		{ offsetof(struct standing, anomalies), STANDING_ATTENTION, "2 anomalies" },
		{ offsetof(struct standing, fences), STANDING_OK,
		  "2 fences stand; the newest, since " },
		{ offsetof(struct standing, unlocked), STANDING_ATTENTION,
		  "2 restore points, or parts of them, could be deleted" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct standing s = good();

		*(int64_t *)(void *)((char *)&s + cases[i].offset) = 2;
		assert_answer(&s, cases[i].level, cases[i].text);
	}
}

static void test_standing_judge__what_is_old_or_was_never_done(void **state)
{
	struct standing s = good();

	(void)state;
	s.synced_ns = 0;
	assert_answer(&s, STANDING_ATTENTION, "it was never synchronised");
	s.synced_ns = NOW - 3 * HOUR_NS;
	assert_answer(&s, STANDING_ATTENTION, "it was synchronised 3h00m ago");
	s = good();
	s.volumes = 0;
	assert_answer(&s, STANDING_ATTENTION, "there is no restore point at all");
	s = good();
	s.verified_ns = 0;
	assert_answer(&s, STANDING_ATTENTION, "no check has ever read everything");
	s.verified_ns = NOW - 36 * DAY_NS;
	assert_answer(&s, STANDING_ATTENTION, "everything was read back");
	s = good();
	s.inventory_ns = NOW - 2 * DAY_NS;
	assert_answer(&s, STANDING_ATTENTION, "the inventory of a cluster is");
	s = good();
	s.clusters = 0;
	assert_answer(&s, STANDING_OK, "SAFE");
}

static void test_standing_judge__the_second_region(void **state)
{
	struct standing s = good();

	(void)state;
	assert_answer(&s, STANDING_OK, "no second region was ever seen");
	s.geo = true;
	assert_answer(&s, STANDING_ATTENTION, "could not be learnt");
	s.geo_known = true;
	s.geo_oldest = (struct standing_worst){ .name = "v", .age_s = 7200 };
	assert_answer(&s, STANDING_OK, "a failover now would cost at most 2h00m (v)");
	s.geo_oldest.age_s = 90000;
	assert_answer(&s, STANDING_ATTENTION, "a failover now would cost");
	s.geo_missing = 1;
	assert_answer(&s, STANDING_ATTENTION, "of 1 volumes nothing is known");
}

static void test_standing_judge__drills_and_open_runs(void **state)
{
	struct standing s = good();

	(void)state;
	s.drills[0].passed = false;
	assert_answer(&s, STANDING_ATTENTION, "did not pass");
	s.drills[0].damaged = true;
	assert_answer(&s, STANDING_DAMAGE, "found damage");
	s = good();
	s.drills[0].began_ns = NOW - 101 * DAY_NS;
	assert_answer(&s, STANDING_ATTENTION, "passed");
	s = good();
	s.nopen = 1;
	s.open[0] = (struct standing_plan){ .plan = "shop", .began_ns = NOW - HOUR_NS };
	assert_answer(&s, STANDING_ATTENTION, "of the plan shop began 1h00m ago and has not ended");
	assert_answer(&s, STANDING_ATTENTION, "ATTENTION: 1 thing needs you\n");
}

static void test_standing_print__a_name_does_not_reach_the_terminal_as_a_command(void **state)
{
	struct standing s = good();
	struct standing_answer a;
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * KIB);

	(void)state;
	(void)snprintf(s.oldest.name, sizeof(s.oldest.name), "x\033[2J");
	standing_judge(&s, NOW, &a);
	standing_print(&a, false, &b);
	assert_null(strchr(buf_cstr(&b), '\033'));
	buf_reset(&b);
	standing_print(&a, true, &b);
	assert_non_null(strstr(buf_cstr(&b), "\033[32mSAFE"));
	assert_null(strstr(buf_cstr(&b), "\033[2J"));
}

static void test_standing_changed__is_about_levels(void **state)
{
	struct standing s = good();
	struct standing_answer a, b;
	CLEANUP(buf_clear) struct buf line = BUF_INIT(64 * KIB);

	(void)state;
	standing_judge(&s, NOW, &a);
	assert_true(standing_changed(&a, NULL));
	s.oldest.age_s++;
	standing_judge(&s, NOW, &b);
	assert_false(standing_changed(&b, &a));
	s.late = 1;
	standing_judge(&s, NOW, &b);
	assert_true(standing_changed(&b, &a));
	standing_line(&b, &line);
	assert_non_null(strstr(buf_cstr(&line), "ATTENTION: 1 thing needs you; backups: 1 of 3"));
}

static void test_standing_status__is_the_exit_status(void **state)
{
	struct standing_answer a = { .level = STANDING_OK, .verdict = "x" };
	struct err why = ERR_INIT;

	(void)state;
	ok(standing_status(&a, e));
	a.level = STANDING_ATTENTION;
	assert_int_equal(standing_status(&a, &why), -1);
	assert_int_equal(err_exit_status(&why), 3);
	a.level = STANDING_DAMAGE;
	assert_int_equal(standing_status(&a, &why), -1);
	assert_int_equal(err_exit_status(&why), 5);
}

static void test_standing_read__of_a_catalog(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	const struct point_volume v = kit_volume("shop", "orders");
	const struct point_volume w = kit_volume("shop", "young");
	struct standing s;

	(void)state;
	ok(standing_read(c, KIT_NOW_NS, &s, e));
	assert_int_equal(s.volumes, 0);
	assert_int_equal(s.check_level, -1);
	auto_kit_point struct point first = kit_commit(&k, &v, 1, NULL);
	auto_kit_point struct point second = kit_commit(&k, &w, 2, NULL);
	(void)kit_sync(&k, c);
	ok(catalog_exec(
		c,
		"INSERT INTO inventories VALUES ('o', 'c1', 5, 7, '', '', '', 4, 0, '');"
		"INSERT INTO inventory (cluster, kind, namespace, name, owner, class, driver,"
		" bytes, count, state, reason, policy, rpo_s, why, from_ns) VALUES"
		" ('c1', 'claim', 'shop', 'young', '', '', '', 0, 1, 'protected', 'policy', 'p',"
		" 864000, '', 5),"
		" ('c1', 'claim', 'shop', 'late', '', '', '', 0, 1, 'protected', 'policy', 'p', 0,"
		" '', 5),"
		" ('c1', 'claim', 'shop', 'bare', '', '', '', 0, 1, 'exposed', 'no-policy', '', 0,"
		" '', 5),"
		" ('c1', 'emptyDir', 'shop', 'tmp', '', '', '', 0, 7, 'exposed', 'kind', '', 0,"
		" '', 5)",
		e));
	ok(standing_read(c, first.frozen_ns + 3 * KIT_DAY_NS, &s, e));
	assert_int_equal(s.volumes, 2);
	assert_int_equal(s.late, 1); /* the other one may be so old */
	assert_string_equal(s.oldest_late.name, "c1/shop/orders");
	assert_int_equal(s.oldest_late.age_s, 3 * 86400);
	assert_int_equal(s.inventory_ns, 7);
	assert_int_equal(s.clusters, 1);
	assert_int_equal(s.protected_, 2);
	assert_int_equal(s.exposed, 1);
	assert_int_equal(s.exposed_other, 7);
	assert_string_equal(s.exposed_name, "shop/bare");
	assert_int_equal(s.without_points, 1);
	assert_int_equal(s.signers, 2);
	assert_false(s.geo);
}

static void test_standing_json__has_every_finding(void **state)
{
	const struct standing s = good();
	struct standing_answer a;

	(void)state;
	standing_judge(&s, NOW, &a);
	auto_json json_t *o = standing_json(&a, 42);
	assert_non_null(o);
	assert_string_equal(json_string_value(json_object_get(o, "schema")), "aksdr/status/v1");
	assert_string_equal(json_string_value(json_object_get(o, "level")), "ok");
	assert_int_equal(json_array_size(json_object_get(o, "findings")), a.n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_standing_judge__all_is_well),
		cmocka_unit_test(test_standing_judge__each_thing_that_needs_attention),
		cmocka_unit_test(test_standing_judge__what_is_old_or_was_never_done),
		cmocka_unit_test(test_standing_judge__the_second_region),
		cmocka_unit_test(test_standing_judge__drills_and_open_runs),
		cmocka_unit_test(
			test_standing_print__a_name_does_not_reach_the_terminal_as_a_command),
		cmocka_unit_test(test_standing_changed__is_about_levels),
		cmocka_unit_test(test_standing_status__is_the_exit_status),
		cmocka_unit_test(test_standing_read__of_a_catalog),
		cmocka_unit_test(test_standing_json__has_every_finding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
