/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who serves a plan, as it is told: by records and fences, from memory, and never by itself
 * back.
 */
#include "restore/serve.h"

#include "tests/harness/fence_kit.h"
#include "tests/unit/repo/note_kit.h"

#define HOUR_NS ((int64_t)3600 * 1000000000)

/* ---- the decision ---- */

static void test_serve_decide__primary_serves_until_a_record_names_another(void **state)
{
	struct serve_facts f = { .plan = "shop", .cluster = "we", .primary = "we" };
	char line[ERR_MSG_MAX];

	(void)state;
	assert_true(serve_decide(&f, line));
	assert_string_equal(line, "plan 'shop' is served by 'we'");
	f.cluster = "ne";
	assert_false(serve_decide(&f, line));
	assert_string_equal(line, "plan 'shop' is served by its primary 'we', and not by 'ne'");
	f.owner = (struct owner){ .n = 1, .cluster = "ne", .at_ns = HOUR_NS };
	assert_true(serve_decide(&f, line));
	f.cluster = "we";
	assert_false(serve_decide(&f, line));
	assert_string_equal(line, "plan 'shop' is served by 'ne' since 1970-01-01T01:00:00.000Z, "
	                          "and not by 'we'");
}

static void test_serve_decide__names_the_namespace_that_was_fenced(void **state)
{
	struct serve_facts f = { .plan = "shop",
		                 .cluster = "we",
		                 .primary = "we",
		                 .fenced_ns = HOUR_NS,
		                 .fenced = "db" };
	char line[ERR_MSG_MAX];

	(void)state;
	assert_false(serve_decide(&f, line));
	assert_non_null(strstr(line, "namespace 'db' of cluster 'we' was fenced on 1970-01-01T01"));
}

static void test_serve_decide__never_while_a_fence_stands_against_it(void **state)
{
	struct serve_facts f = {
		.plan = "shop", .cluster = "we", .primary = "we", .fenced_ns = HOUR_NS
	};
	char line[ERR_MSG_MAX];

	(void)state;
	assert_false(serve_decide(&f, line));
	assert_non_null(strstr(line, "cluster 'we' was fenced on 1970-01-01T01:00:00.000Z"));
	f.owner = (struct owner){ .n = 1, .cluster = "we" };
	assert_false(serve_decide(&f, line));
	/* Who is not meant is told so first. */
	f.owner = (struct owner){ .n = 1, .cluster = "ne" };
	assert_false(serve_decide(&f, line));
	assert_non_null(strstr(line, "is served by 'ne'"));
}

/* ---- the look-out ---- */

/* A repository in a directory, and both sides of the plan "shop". */
struct world {
	struct kit k;
	char *url, *key, *dir;
	int64_t now_ns;
	struct serve *we, *ne;
};

static int64_t clock_of(void *arg)
{
	return ((const struct world *)arg)->now_ns;
}

static struct serve *side(struct world *w, const char *cluster, int64_t max_age_s)
{
	static const struct serve_plan plans[] = {
		{ .name = "shop",
		  .primary = "we",
		  .namespaces = { "shop", "shop-db" },
		  .nnamespaces = 2 },
		{ .name = "other", .primary = "ne" },
	};
	const struct serve_params p = {
		.cluster = cluster,
		.plans = plans,
		.nplans = 2,
		.store = w->url,
		.key = w->key,
		.state = "",
		.max_age_s = max_age_s,
		.now_ns = clock_of,
		.arg = w,
	};
	struct serve *s = NULL;

	ok(serve_new(&p, &s, e));
	return s;
}

static void world_init(struct world *w)
{
	struct store *store = NULL;

	*w = (struct world){ .now_ns = HOUR_NS };
	w->dir = tmpdir_new();
	auto_free char *path = path_join(w->dir, "store");
	assert_true(asprintf(&w->url, "file://%s", path) > 0);
	ok((store = store_open(w->url, STORE_CREATE, e)) ? 0 : -1);
	w->k = kit_new_in(store);
	w->key = kit_key_path(&w->k, "audit.key");
	w->we = side(w, "we", 0);
	w->ne = side(w, "ne", 0);
}

static void world_clear(struct world *w)
{
	serve_free(w->we);
	serve_free(w->ne);
	free(w->url);
	free(w->key);
	kit_clear(&w->k);
	tmpdir_remove(w->dir);
}

static unsigned asked(struct serve *s, const char *path)
{
	char line[ERR_MSG_MAX] = "";
	unsigned status = serve_path(s, path, line);

	assert_true(status == 0 ? !line[0] : strlen(line) > 10);
	return status;
}

/* Both look, and this is what they answer: "200 503". */
static void assert_sides(struct world *w, const char *wanted)
{
	char got[32];

	ok(serve_look(w->we, e));
	ok(serve_look(w->ne, e));
	(void)snprintf(got, sizeof(got), "%u %u", asked(w->we, "/traffic/shop"),
	               asked(w->ne, "/traffic/shop"));
	assert_string_equal(got, wanted);
}

static void promote(struct world *w, const char *cluster)
{
	struct owner o = { .plan = "shop", .reason = "test" };
	struct owner before = { .n = 0 };
	struct chain c;

	kit_reopen(&w->k);
	(void)snprintf(o.cluster, sizeof(o.cluster), "%s", cluster);
	ok(owner_open(w->k.recovery, "shop", &c, e));
	ok(owner_newest(w->k.recovery, &c, &before, e));
	ok(owner_change(w->k.recovery, &c, &o, e));
}

static void test_serve_look__traffic_moves_at_the_promotion_and_never_back_by_itself(void **state)
{
	CLEANUP(world_clear) struct world w;
	const struct fence_target we = kit_site("we", NULL, NULL);
	const struct fence_target ne = kit_site("ne", NULL, NULL);

	(void)state;
	world_init(&w);
	assert_sides(&w, "200 503");
	(void)kit_fence(&w.k, &we);
	assert_sides(&w, "503 503");
	promote(&w, "ne");
	assert_sides(&w, "503 200");
	/* Given back, and even named by a record from before: nothing moves. */
	(void)kit_lift(&w.k, &we);
	assert_sides(&w, "503 200");
	(void)kit_fence(&w.k, &ne);
	assert_sides(&w, "503 503");
	promote(&w, "we");
	assert_sides(&w, "200 503");
	(void)kit_lift(&w.k, &ne);
	assert_sides(&w, "200 503");
}

static void test_serve_look__fence_that_was_lifted_keeps_its_cluster_out(void **state)
{
	CLEANUP(world_clear) struct world w;
	const struct fence_target we = kit_site("we", NULL, NULL);

	(void)state;
	world_init(&w);
	(void)kit_fence(&w.k, &we);
	(void)kit_lift(&w.k, &we);
	assert_sides(&w, "503 503");
	promote(&w, "we");
	assert_sides(&w, "200 503");
	(void)kit_fence(&w.k, &we);
	(void)kit_lift(&w.k, &we);
	assert_sides(&w, "503 503");
	/* A program that begins now says the same. */
	serve_free(w.we);
	w.we = side(&w, "we", 0);
	assert_sides(&w, "503 503");
}

static void test_serve_look__fence_of_others_or_of_parts_changes_nothing(void **state)
{
	CLEANUP(world_clear) struct world w;
	const struct fence_target part = kit_site("we", "crm", NULL);
	const struct fence_target other = kit_site("xe", NULL, NULL);

	(void)state;
	world_init(&w);
	(void)kit_fence(&w.k, &part);
	(void)kit_fence(&w.k, &other);
	assert_sides(&w, "200 503");
}

static void test_serve_look__fence_of_a_namespace_of_the_plan_counts(void **state)
{
	CLEANUP(world_clear) struct world w;
	const struct fence_target part = kit_site("we", "shop-db", NULL);

	(void)state;
	world_init(&w);
	(void)kit_fence(&w.k, &part);
	assert_sides(&w, "503 503");
	(void)kit_lift(&w.k, &part);
	assert_sides(&w, "503 503");
	promote(&w, "we");
	assert_sides(&w, "200 503");
}

static void test_serve_path__plans_that_are_given_and_no_others(void **state)
{
	CLEANUP(world_clear) struct world w;

	(void)state;
	world_init(&w);
	ok(serve_look(w.ne, e));
	assert_int_equal(asked(w.ne, "/traffic/other"), 200);
	assert_int_equal(asked(w.ne, "/traffic/shop"), 503);
	assert_int_equal(asked(w.ne, "/traffic/none"), 404);
	assert_int_equal(asked(w.ne, "/traffic/"), 404);
	assert_int_equal(asked(w.ne, "/traffic/other/x"), 404);
	assert_int_equal(asked(w.ne, "/traffic"), 0);
	assert_int_equal(asked(w.ne, "/"), 0);
}

/* ---- a store that is not there ---- */

static void test_serve_look__nobody_serves_until_the_store_was_read(void **state)
{
	CLEANUP(world_clear) struct world w;
	char missing[64];
	struct err why = ERR_INIT;

	(void)state;
	world_init(&w);
	assert_int_equal(asked(w.we, "/traffic/shop"), 503);
	assert_int_equal(asked(w.we, "/traffic/none"), 404);
	fails_saying(ERR_BUSY, "not read yet", serve_ready(w.we, e));
	(void)snprintf(missing, sizeof(missing), "file:///does/not/exist");
	char *url = w.url;
	w.url = missing;
	auto_serve struct serve *s = side(&w, "we", 0);
	w.url = url;
	for (int i = 0; i < 2; i++)
		assert_int_equal(serve_look(s, &why), -1);
	assert_int_equal(asked(s, "/traffic/shop"), 503);
	ok(serve_look(w.we, e));
	ok(serve_ready(w.we, e));
	assert_int_equal(asked(w.we, "/traffic/shop"), 200);
}

/* Something stands in the place of the next record that nobody can read. */
static void spoil(struct world *w, char key[NOTE_KEY_MAX])
{
	struct chain c;

	ok(owner_open(w->k.audit, "shop", &c, e));
	note_number_key(c.prefix, 1, key);
	ok(put_text(w->k.store, key, "not a record", e));
}

static void test_serve_look__answers_stay_when_it_fails_and_grow_old(void **state)
{
	CLEANUP(world_clear) struct world w;
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	char key[NOTE_KEY_MAX];
	struct err why = ERR_INIT;

	(void)state;
	world_init(&w);
	serve_free(w.ne);
	w.ne = side(&w, "we", 60); /* the same side, that does not trust what is old */
	assert_sides(&w, "200 200");
	spoil(&w, key);
	w.now_ns += 60 * (HOUR_NS / 3600);
	assert_int_equal(serve_look(w.we, &why), -1);
	assert_int_equal(why.class, ERR_FORMAT);
	assert_int_equal(serve_look(w.ne, &why), -1);
	assert_int_equal(asked(w.we, "/traffic/shop"), 200);
	assert_int_equal(asked(w.ne, "/traffic/shop"), 200);
	w.now_ns++;
	assert_int_equal(asked(w.we, "/traffic/shop"), 200);
	assert_int_equal(asked(w.ne, "/traffic/shop"), 503);
	ok(serve_ready(w.ne, e));
	ok(serve_metrics(w.ne, &b, e));
	assert_non_null(strstr(buf_cstr(&b), "\naksdr_traffic_served{plan=\"shop\"} 0\n"));
	assert_non_null(strstr(buf_cstr(&b), "\naksdr_traffic_age_seconds 60"));
	assert_non_null(strstr(buf_cstr(&b), "\naksdr_traffic_failed_looks_total 1\n"));
	kit_remove(&w.k, key);
	assert_sides(&w, "200 200");
}

static void test_serve_look__what_the_admin_did_not_sign_does_not_count(void **state)
{
	CLEANUP(world_clear) struct world w;
	const struct fence_target we = kit_site("we", NULL, NULL);

	(void)state;
	world_init(&w);
	assert_sides(&w, "200 503");
	ok(put_text(w.k.store, "ctl/config/00000002", "not a config", e));
	assert_sides(&w, "200 503");
	assert_sides(&w, "200 503");
	/* The next revision goes behind it. */
	(void)kit_fence(&w.k, &we);
	assert_sides(&w, "503 503");
}

static void test_serve_metrics__count_looks_and_tell_what_was_seen(void **state)
{
	CLEANUP(world_clear) struct world w;
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	(void)state;
	world_init(&w);
	for (int i = 0; i < 3; i++)
		ok(serve_look(w.we, e));
	ok(serve_metrics(w.we, &b, e));
	assert_non_null(strstr(buf_cstr(&b), "\naksdr_traffic_looks_total 3\n"));
	assert_non_null(strstr(buf_cstr(&b), "\naksdr_traffic_record{plan=\"shop\"} 0\n"));
	assert_non_null(strstr(buf_cstr(&b), "\naksdr_traffic_epoch 0\n"));
}

static void test_serve_new__refuses_what_makes_no_sense(void **state)
{
	static const struct serve_plan twice[] = { { .name = "shop", .primary = "we" },
		                                   { .name = "shop", .primary = "ne" } };
	static const struct serve_plan bad[] = { { .name = "Shop", .primary = "we" } };
	struct serve_params p = { .cluster = "we", .plans = twice, .nplans = 2 };
	struct serve *s = NULL;

	(void)state;
	fails_saying(ERR_INVALID, "given twice", serve_new(&p, &s, e));
	p.nplans = 0;
	fails_saying(ERR_INVALID, "give the names", serve_new(&p, &s, e));
	p.nplans = 1;
	p.plans = bad;
	fails_saying(ERR_INVALID, "no name of a plan", serve_new(&p, &s, e));
	p.plans = twice;
	p.cluster = "";
	fails_saying(ERR_INVALID, "name of this cluster", serve_new(&p, &s, e));
	assert_null(s);
	serve_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serve_decide__primary_serves_until_a_record_names_another),
		cmocka_unit_test(test_serve_decide__names_the_namespace_that_was_fenced),
		cmocka_unit_test(test_serve_decide__never_while_a_fence_stands_against_it),
		cmocka_unit_test(
			test_serve_look__traffic_moves_at_the_promotion_and_never_back_by_itself),
		cmocka_unit_test(test_serve_look__fence_that_was_lifted_keeps_its_cluster_out),
		cmocka_unit_test(test_serve_look__fence_of_others_or_of_parts_changes_nothing),
		cmocka_unit_test(test_serve_look__fence_of_a_namespace_of_the_plan_counts),
		cmocka_unit_test(test_serve_path__plans_that_are_given_and_no_others),
		cmocka_unit_test(test_serve_look__nobody_serves_until_the_store_was_read),
		cmocka_unit_test(test_serve_look__answers_stay_when_it_fails_and_grow_old),
		cmocka_unit_test(test_serve_look__what_the_admin_did_not_sign_does_not_count),
		cmocka_unit_test(test_serve_metrics__count_looks_and_tell_what_was_seen),
		cmocka_unit_test(test_serve_new__refuses_what_makes_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
