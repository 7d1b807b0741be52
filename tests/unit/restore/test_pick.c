/* SPDX-License-Identifier: Apache-2.0 */
/* Which points a plan restores: by time, consistency, the second region, and sets. */
#include "restore/pick.h"

#include "tests/harness/repo_kit.h"

static struct store_cut cut;
static bool away;

static int cut_of_test(struct store *s, int64_t since_ns, struct store_cut *ret, struct err *e)
{
	(void)s;
	(void)since_ns;
	(void)e;
	*ret = cut;
	return 0;
}

static bool away_of_test(struct store *s)
{
	(void)s;
	return away;
}

/* The store, but for what it says of its second region, and of where it is. */
static void set_region(struct kit *k, unsigned caps)
{
	static struct store_ops own; /* the store outlives its test's other variables */
	struct store_ops *ops = &own;

	own = *k->store->ops;
	ops->cut = cut_of_test;
	ops->away = away_of_test;
	k->store->ops = ops;
	k->store->caps = (k->store->caps & ~(unsigned)STORE_CAP_LOCAL) | caps;
	cut = (struct store_cut){ .kind = CUT_NONE };
	away = false;
}

struct made {
	const char *volume;
	unsigned n; /* of the session, and the day */
	char set;   /* digit of the set; 0: alone */
	const char *consistency;
	const char *tier; /* label of the claim */
};

static void make(const struct kit *k, const struct made *m)
{
	const struct point_volume v = kit_volume("shop", m->volume);
	CLEANUP(point_clear)
	struct point p = { .volume = v, .sequence = m->n, .levels = 1, .bytes_logical = m->n };

	kit_session(k, &v, m->n, p.session);
	memcpy(p.id, p.session + POINT_SESSION_RANDOM, sizeof(p.id));
	memset(p.set, m->set ? m->set : '0', 32);
	if (m->set)
		(void)snprintf(p.capture.moment, sizeof(p.capture.moment), "one");
	else
		memcpy(p.set, p.id, sizeof(p.set));
	(void)snprintf(p.domain, sizeof(p.domain), "d");
	(void)snprintf(p.consistency, sizeof(p.consistency), "%s",
	               m->consistency ? m->consistency : "crash");
	(void)snprintf(p.driver, sizeof(p.driver), "test");
	if (m->tier)
		p.capture.claim = json_pack("{s:{s:s}}", "labels", "tier", m->tier);
	p.root = (struct chunk_ref){ .stored = 17, .plain = 1, .kind = CHUNK_NODE };
	p.started_ns = p.frozen_ns = p.finished_ns = KIT_EPOCH_NS + m->n * KIT_DAY_NS;
	ok(session_commit(k->agent, &p, e));
}

static const struct recipe_select all = { .namespaces = { .n = 0 } };

/* Which number of the volume is picked; 0: none. */
static unsigned picked(const struct picks *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->v[i].volume.name, name) == 0)
			return p->v[i].session[0] ? (unsigned)p->v[i].sequence : 0;
	}
	fail_msg("there is no '%s'", name);
	return 0;
}

static void test_picks_make__the_newest_of_each_that_fits(void **state)
{
	static const struct made made[] = {
		{ "a", 1, 0, NULL, NULL },    { "a", 2, 0, NULL, "data" },
		{ "a", 3, 0, "fuzzy", NULL }, { "b", 1, 0, "crash", "data" },
		{ "b", 5, 0, NULL, "web" },
	};
	auto_kit struct kit k = kit_new();
	CLEANUP(picks_clear) struct picks p = { .n = 0 };
	struct pick_params params = { .select = &all, .cluster = "c1" };
	struct err why = ERR_INIT;

	(void)state;
	for (int local = 0; local < 2; local++) {
		if (local == 0) {
			for (size_t i = 0; i < ARRAY_LEN(made); i++)
				make(&k, &made[i]);
			/* of another cluster */
			struct point_volume other = kit_volume("shop", "c");
			other.cluster[1] = '2';
			auto_kit_point struct point q = kit_commit(&k, &other, 1, NULL);
		}
		set_region(&k, local ? STORE_CAP_LOCAL : 0);
		params.consistency = 0;
		params.as_of_ns = 0;
		ok(picks_make(k.recovery, &params, &p, e));
		assert_int_equal(p.n, 2);
		assert_int_equal(picked(&p, "a"), 3);
		assert_int_equal(picked(&p, "b"), 5);
		assert_false(p.away);
		assert_string_equal(json_string_value(
					    json_object_get(json_object_get(p.v[1].claim, "labels"),
		                                            "tier")),
		                    "web");
		picks_clear(&p);

		params.consistency = 1;
		ok(picks_make(k.recovery, &params, &p, e));
		assert_int_equal(picked(&p, "a"), 2);
		assert_int_equal(p.v[0].passed[PICK_LESS], 1);
		assert_true(p.v[0].newest_ns == KIT_EPOCH_NS + 3 * KIT_DAY_NS);
		assert_true(p.v[0].frozen_ns == KIT_EPOCH_NS + 2 * KIT_DAY_NS);
		assert_int_equal(p.v[0].bytes, 2);
		picks_clear(&p);

		params.as_of_ns = KIT_EPOCH_NS + KIT_DAY_NS;
		ok(picks_make(k.recovery, &params, &p, e));
		assert_int_equal(picked(&p, "a"), 1);
		assert_int_equal(picked(&p, "b"), 1);
		assert_int_equal(p.v[1].passed[PICK_LATER], 1);
		picks_clear(&p);

		params.as_of_ns = KIT_EPOCH_NS;
		ok(picks_make(k.recovery, &params, &p, e));
		assert_int_equal(picked(&p, "a"), 0);
		assert_int_equal(p.n, 2);
		picks_clear(&p);
	}
	params.cluster = "none";
	assert_int_equal(picks_make(k.recovery, &params, &p, &why), -1);
	assert_int_equal(why.class, ERR_NOT_FOUND);
}

static void test_picks_make__points_of_a_set_count_together(void **state)
{
	/* The last set of "a" is not complete in the second region; "c" steps back with "b". */
	static const struct made made[] = {
		{ "a", 1, '1', NULL, NULL }, { "b", 1, '1', NULL, NULL },
		{ "c", 1, '2', NULL, NULL }, { "b", 2, '3', NULL, NULL },
		{ "c", 2, '3', NULL, NULL }, { "a", 3, '4', NULL, NULL },
		{ "b", 3, '4', NULL, NULL }, { "d", 1, 0, NULL, NULL },
	};
	auto_kit struct kit k = kit_new();
	CLEANUP(picks_clear) struct picks p = { .n = 0 };
	struct pick_params params = { .select = &all, .cluster = "c1", .geo = true, .threads = 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(made); i++)
		make(&k, &made[i]);
	set_region(&k, 0);
	ok(picks_make(k.recovery, &params, &p, e));
	assert_int_equal(picked(&p, "a"), 3);
	assert_int_equal(picked(&p, "b"), 3);
	assert_int_equal(picked(&p, "c"), 2);
	assert_false(p.v[0].apart);
	assert_true(p.v[2].apart);
	assert_false(p.v[3].apart);
	picks_clear(&p);

	/* Consistency of one of them steps both back. */
	struct made less = { "a", 4, '5', "fuzzy", NULL };
	make(&k, &less);
	less = (struct made){ "b", 4, '5', NULL, NULL };
	make(&k, &less);
	params.consistency = 1;
	ok(picks_make(k.recovery, &params, &p, e));
	assert_int_equal(picked(&p, "a"), 3);
	assert_int_equal(picked(&p, "b"), 3);
	assert_int_equal(p.v[1].passed[PICK_SET], 1);
	assert_int_equal(p.v[0].passed[PICK_LESS], 1);
	picks_clear(&p);

	/*
	 * And in a chain: at an early time b's set 3 counts, and c's; without c's both step back.
	 */
	params.as_of_ns = KIT_EPOCH_NS + 2 * KIT_DAY_NS;
	ok(picks_make(k.recovery, &params, &p, e));
	assert_int_equal(picked(&p, "a"), 1);
	assert_int_equal(picked(&p, "b"), 2);
	assert_true(p.v[0].apart);
}

static void test_picks_make__what_is_not_all_there_is_passed_over(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(picks_clear) struct picks p = { .n = 0 };
	struct pick_params params = { .select = &all, .cluster = "c1", .whole = true };
	struct kit_names had = { .n = 0 };
	struct kit_names now = { .n = 0 };
	struct kit_content c = {
		.volume = "a", .namespace = "shop", .domain = "d", .n = 1, .files = 4, .bytes = 1000
	};

	(void)state;
	auto_kit_point struct point one = kit_backup(&k, &c);
	kit_list(&k, "pack/", &had);
	c.n = 2;
	c.seed = 77;
	c.previous = &one;
	auto_kit_point struct point two = kit_backup(&k, &c);
	set_region(&k, 0);
	ok(picks_make(k.recovery, &params, &p, e));
	assert_int_equal(picked(&p, "a"), 2);
	picks_clear(&p);
	/* The account was failed over before the packs of the second one had come there. */
	kit_list(&k, "pack/", &now);
	for (unsigned i = 0; i < now.n; i++) {
		bool old = false;

		for (unsigned j = 0; j < had.n; j++)
			old |= strcmp(now.keys[i], had.keys[j]) == 0;
		if (!old)
			kit_remove(&k, now.keys[i]);
	}
	ok(picks_make(k.recovery, &params, &p, e));
	assert_int_equal(picked(&p, "a"), 1);
	assert_int_equal(p.v[0].passed[PICK_LACKS], 1);
	picks_clear(&p);
	/* Nor does a cut say anything of it: it is one of before. */
	cut = (struct store_cut){ .kind = CUT_LAST_SYNC, .cut_ns = INT64_MAX };
	params.geo = true;
	ok(picks_make(k.recovery, &params, &p, e));
	assert_int_equal(picked(&p, "a"), 1);
	picks_clear(&p);
	params.whole = false;
	ok(picks_make(k.recovery, &params, &p, e));
	assert_int_equal(picked(&p, "a"), 2);
}

static void test_picks_make__the_second_region_counts(void **state)
{
	static const struct made made[] = { { "a", 1, 0, NULL, NULL }, { "a", 2, 0, NULL, NULL } };
	auto_kit struct kit k = kit_new();
	CLEANUP(picks_clear) struct picks p = { .n = 0 };
	struct pick_params params = { .select = &all, .cluster = "c1", .geo = true };
	struct store_stat st;
	char key[128];

	(void)state;
	make(&k, &made[0]);
	make(&k, &made[1]);
	set_region(&k, 0);
	ok(picks_make(k.recovery, &params, &p, e));
	(void)snprintf(key, sizeof(key), "commit/%s", p.v[0].session);
	ok(store_head(k.store, key, &st, e));
	picks_clear(&p);

	cut = (struct store_cut){ .kind = CUT_LAST_SYNC, .cut_ns = st.received_ns - 1 };
	ok(picks_make(k.recovery, &params, &p, e));
	assert_true(picked(&p, "a") < 2);
	assert_true(p.v[0].passed[PICK_INCOMPLETE] > 0);
	picks_clear(&p);
	/* While the first region answers, its newest may be wanted. */
	params.geo = false;
	ok(picks_make(k.recovery, &params, &p, e));
	assert_int_equal(picked(&p, "a"), 2);
	picks_clear(&p);
	/* Else what the second has counts alone: packs of these points are nowhere. */
	away = true;
	ok(picks_make(k.recovery, &params, &p, e));
	assert_true(p.away);
	assert_true(picked(&p, "a") < 2);
	picks_clear(&p);
	cut.cut_ns = st.received_ns;
	ok(picks_make(k.recovery, &params, &p, e));
	assert_int_equal(picked(&p, "a"), 2);
	picks_clear(&p);
	/* Nothing is known of it: all count while the first one answers. */
	away = false;
	params.geo = true;
	cut = (struct store_cut){ .kind = CUT_UNKNOWN };
	ok(picks_make(k.recovery, &params, &p, e));
	assert_int_equal(picked(&p, "a"), 2);
}

static void test_picks_make__a_damaged_one_is_passed_over(void **state)
{
	static const struct made made[] = { { "a", 1, 0, NULL, NULL }, { "a", 2, 0, NULL, NULL } };
	auto_kit struct kit k = kit_new();
	CLEANUP(picks_clear) struct picks p = { .n = 0 };
	const struct pick_params params = { .select = &all, .cluster = "c1" };
	struct iovec junk = { .iov_base = (char[5000]){ "AKSDR" }, .iov_len = 5000 };
	char key[128];

	(void)state;
	make(&k, &made[0]);
	make(&k, &made[1]);
	set_region(&k, STORE_CAP_LOCAL);
	ok(picks_make(k.recovery, &params, &p, e));
	(void)snprintf(key, sizeof(key), "commit/%s", p.v[0].session);
	picks_clear(&p);
	ok(store_delete(k.store, key, e));
	ok(store_put(k.store, key, &junk, 1, e));
	ok(picks_make(k.recovery, &params, &p, e));
	assert_int_equal(picked(&p, "a"), 1);
	assert_int_equal(p.v[0].passed[PICK_DAMAGED], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_picks_make__the_newest_of_each_that_fits),
		cmocka_unit_test(test_picks_make__points_of_a_set_count_together),
		cmocka_unit_test(test_picks_make__what_is_not_all_there_is_passed_over),
		cmocka_unit_test(test_picks_make__the_second_region_counts),
		cmocka_unit_test(test_picks_make__a_damaged_one_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
