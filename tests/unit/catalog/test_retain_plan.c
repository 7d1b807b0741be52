/* SPDX-License-Identifier: Apache-2.0 */
/* What retention would do to the points of a catalog, what it refuses, and what it puts. */
#include "catalog/retain_plan.h"

#include "tests/unit/catalog/catalog_kit.h"

#define POINTS 24
#define GOLD                                                                                 \
	"{\"schema\": \"aksdr/retention/v1\", \"policies\": ["                               \
	"{\"name\": \"gold\", \"volumes\": [\"orders\"], \"keep\": {\"last\": 2}, "          \
	"\"floor\": {\"points\": 1}},"                                                       \
	"{\"name\": \"rest\", \"volumes\": [\"users\"], \"keep\": {\"last\": 1}, \"floor\":" \
	" {\"points\": 1}}]}"

struct world {
	struct kit k;
	char *dir;
	struct catalog *c;
	struct retain_policies policies;
	struct expiry x;
	struct retain_plan plan;
	struct point_volume orders, users;
};

static void add_points(const struct world *w, const struct point_volume *v, unsigned n)
{
	struct point last = { 0 };

	for (unsigned i = 1; i <= n; i++) {
		struct point p = kit_commit(&w->k, v, i, i > 1 ? &last : NULL);

		point_clear(&last);
		last = p;
	}
	point_clear(&last);
}

static void world_init(struct world *w, unsigned orders, unsigned users)
{
	*w = (struct world){
		.k = kit_new(),
		.dir = tmpdir_new(),
		.orders = kit_volume("shop", "orders"),
		.users = kit_volume("shop", "users"),
	};
	struct point_volume other = kit_volume("shop", "other");

	w->c = kit_catalog(w->dir, "catalog.db");
	add_points(w, &w->orders, orders);
	add_points(w, &w->users, users);
	add_points(w, &other, 4);
	ok(retain_policies_parse("test", (const uint8_t *)GOLD, strlen(GOLD), &w->policies, e));
}

static void world_clear(struct world *w)
{
	retain_plan_clear(&w->plan);
	expiry_clear(&w->x);
	retain_policies_clear(&w->policies);
	catalog_free(w->c);
	tmpdir_remove(w->dir);
	kit_clear(&w->k);
}
#define auto_world CLEANUP(world_clear)

/* The plan of what is there now, for the signer of r. */
static const struct retain_plan *plan(struct world *w, const struct repo *r)
{
	(void)kit_sync(&w->k, w->c);
	expiry_clear(&w->x);
	retain_plan_clear(&w->plan);
	ok(expiry_now(w->k.audit, &w->x, e));
	ok(retain_plan_make(w->c, &w->x, &w->policies, NULL, r->keys->signer_id, &w->plan, e));
	return &w->plan;
}

/* What becomes of a volume's points, oldest first: a letter each. */
static void assert_plan(const struct retain_plan *p, const char *volume, const char *expected)
{
	char text[POINTS + 1] = "";
	size_t n = 0;

	for (size_t i = 0; i < p->npoints; i++) {
		if (strcmp(p->volumes[p->points[i].volume].name, volume) == 0)
			text[n++] = retain_plan_action_name(
				p->points[i].action)[p->points[i].action == RETAIN_PLAN_EXPIRED];
	}
	assert_string_equal(text, expected);
}

static const struct retain_plan_point *point_of(const struct retain_plan *p, const char *volume,
                                                uint64_t sequence)
{
	for (size_t i = 0; i < p->npoints; i++) {
		if (p->points[i].sequence == sequence &&
		    strcmp(p->volumes[p->points[i].volume].name, volume) == 0)
			return &p->points[i];
	}
	fail_msg("there is no point %llu of %s", (unsigned long long)sequence, volume);
	return NULL;
}

static void test_retain_plan_make__each_volume_by_its_policy(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w, 5, 3);
	const struct retain_plan *p = plan(&w, w.k.agent);
	assert_int_equal(p->nvolumes, 3);
	assert_plan(p, "c1/shop/orders", "eeekk");
	assert_plan(p, "c1/shop/users", "eek");
	assert_plan(p, "c1/shop/other", "kkkk");
	assert_string_equal(point_of(p, "c1/shop/orders", 1)->why.s, "no rule keeps it");
	assert_non_null(strstr(point_of(p, "c1/shop/orders", 4)->why.s, "last 2"));
	/* one volume alone */
	char voltag[17];
	ok(point_voltag(w.k.agent->keys, &w.users, voltag, e));
	CLEANUP(retain_plan_clear) struct retain_plan one = { 0 };
	ok(retain_plan_make(w.c, &w.x, &w.policies, voltag, w.k.agent->keys->signer_id, &one, e));
	assert_int_equal(one.npoints, 3);
}

static void test_retain_plan_make__holds_and_pins_keep(void **state)
{
	auto_world struct world w;
	char pin[NOTE_KEY_MAX];
	uint64_t n;

	(void)state;
	world_init(&w, 5, 3);
	const struct retain_plan *p = plan(&w, w.k.agent);
	ok(expiry_pin(w.k.agent, point_of(p, "c1/shop/orders", 2)->session, pin, e));
	ok(expiry_put_hold(w.k.agent, NULL, &w.users, "why", "Ada", &n, e));
	p = plan(&w, w.k.agent);
	assert_plan(p, "c1/shop/orders", "ekekk");
	assert_plan(p, "c1/shop/users", "kkk");
	assert_non_null(strstr(point_of(p, "c1/shop/users", 1)->why.s, "hold"));
}

static void test_retain_plan_put__what_goes_is_expired_by_its_policy(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w, 5, 3);
	ok(retain_plan_put(w.k.agent, plan(&w, w.k.agent), e));
	(void)kit_sync(&w.k, w.c);
	assert_rows(w.c,
	            "SELECT volume, policy, count(*) FROM v_deletions GROUP BY volume, policy"
	            " ORDER BY volume",
	            "c1/shop/orders|gold|3\nc1/shop/users|rest|2\n");
	/* It is done: there is nothing more to do. */
	const struct retain_plan *p = plan(&w, w.k.agent);
	assert_plan(p, "c1/shop/orders", "xxxkk");
	uint64_t last = w.x.last_tomb;
	ok(retain_plan_put(w.k.agent, p, e));
	(void)plan(&w, w.k.agent);
	assert_int_equal(w.x.last_tomb, last);
}

static void test_retain_plan_make__waits_for_the_second_signer(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w, 4, 1);
	w.k.audit->params.signatures = 2;
	ok(retain_plan_put(w.k.agent, plan(&w, w.k.agent), e));
	assert_plan(plan(&w, w.k.agent), "c1/shop/orders", "ppkk");
	/* For the other one there is something to do. */
	assert_plan(plan(&w, w.k.recovery), "c1/shop/orders", "eekk");
	ok(retain_plan_put(w.k.recovery, plan(&w, w.k.recovery), e));
	assert_plan(plan(&w, w.k.agent), "c1/shop/orders", "xxkk");
}

static void test_retain_plan_move__takes_what_goes_and_nothing_else(void **state)
{
	CLEANUP(retain_plan_clear) struct retain_plan all = { 0 };
	auto_world struct world w;

	(void)state;
	world_init(&w, 5, 3);
	(void)plan(&w, w.k.agent);
	ok(retain_plan_move(&all, &w.plan, e));
	assert_int_equal(w.plan.npoints, 0);
	assert_int_equal(w.plan.nvolumes, 0);
	assert_int_equal(all.nvolumes, 2); /* of 'other' nothing goes */
	assert_plan(&all, "c1/shop/orders", "eee");
	assert_plan(&all, "c1/shop/users", "ee");
	ok(retain_plan_put(w.k.agent, &all, e));
	const struct retain_plan *after = plan(&w, w.k.agent);
	assert_plan(after, "c1/shop/orders", "xxxkk");
	assert_plan(after, "c1/shop/users", "xxk");
	ok(retain_plan_move(&all, &w.plan, e));
	assert_int_equal(all.npoints, 5);
}

static void test_retain_plan_make__holds_that_are_missing_stop_it(void **state)
{
	CLEANUP(retain_plan_clear) struct retain_plan none = { 0 };
	auto_world struct world w;

	(void)state;
	world_init(&w, 2, 1);
	(void)plan(&w, w.k.agent);
	w.x.bad_holds = 1;
	fails_saying(ERR_CORRUPT, "1 holds are missing or do not open",
	             retain_plan_make(w.c, &w.x, &w.policies, NULL, w.k.agent->keys->signer_id,
	                              &none, e));
}

static void test_retain_plan_check_share__refuses_what_would_be_a_surprise(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w, POINTS, 11);
	const struct retain_plan *p = plan(&w, w.k.agent);
	fails(ERR_INVALID, retain_plan_check_share(p, 50, e));
	fails(ERR_INVALID, retain_plan_check_share(p, 91, e));
	ok(retain_plan_check_share(p, 92, e)); /* 22 of 24 */
	ok(retain_plan_check_share(p, 100, e));
	/* A few may always go. */
	auto_world struct world few;
	world_init(&few, 12, 3);
	ok(retain_plan_check_share(plan(&few, few.k.agent), 1, e));
}

static void test_retain_plan_make__a_point_that_is_not_whole_protects_nothing(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w, 4, 0);
	(void)kit_sync(&w.k, w.c);
	ok(catalog_exec(w.c,
	                "UPDATE points SET incomplete_ns = 1 WHERE sequence = 4 AND voltag ="
	                " (SELECT voltag FROM volumes WHERE name = 'orders')",
	                e));
	/* The two newest of the three that are whole stay; the fourth is left to people. */
	assert_plan(plan(&w, w.k.agent), "c1/shop/orders", "ekk");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_retain_plan_make__each_volume_by_its_policy),
		cmocka_unit_test(test_retain_plan_make__holds_and_pins_keep),
		cmocka_unit_test(test_retain_plan_put__what_goes_is_expired_by_its_policy),
		cmocka_unit_test(test_retain_plan_make__waits_for_the_second_signer),
		cmocka_unit_test(test_retain_plan_move__takes_what_goes_and_nothing_else),
		cmocka_unit_test(test_retain_plan_make__holds_that_are_missing_stop_it),
		cmocka_unit_test(test_retain_plan_check_share__refuses_what_would_be_a_surprise),
		cmocka_unit_test(test_retain_plan_make__a_point_that_is_not_whole_protects_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
