/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run and its journal: what was done is known by whoever opens it next, who takes it over stops
 * the one before, and an agent's word says nothing. Fences go up, and are lifted for the cluster
 * that goes on.
 */
#include "restore/run.h"
#include "restore/reverse.h"

#include "common/yaml.h"
#include "tests/harness/fence_kit.h"

static struct recipe *plan_of(const char *more)
{
	char text[1024];
	struct err e = ERR_INIT;
	struct recipe *r = NULL;

	(void)snprintf(text, sizeof(text),
	               "apiVersion: aksdr.io/v1alpha1\n"
	               "kind: RestorePlan\n"
	               "metadata: {name: shop}\n"
	               "spec:\n"
	               " mode: hot/cold\n"
	               " primary: {cluster: c1}\n"
	               " secondary: {cluster: c2}\n"
	               "%s",
	               more);
	auto_json json_t *j = yaml_parse("plan", text, strlen(text), &e);
	if (recipe_read(j, "aksdr", &r, &e) < 0)
		fail_msg("%s", e.msg);
	return r;
}

static void begin(struct kit *k, struct run *ret)
{
	auto_recipe struct recipe *r = plan_of(" selector: {namespaces: [shop]}\n");
	const struct run_begin b = {
		.kind = RUN_FAILOVER, .recipe = r, .to = "c2", .ns = "aksdr", .newest = true
	};

	ok(run_begin(k->recovery, &b, ret, e));
}

static int find(struct kit *k, struct run *ret)
{
	struct err why = ERR_INIT;
	int rc = run_find(k->recovery, NULL, "aksdr", RUN_FAILOVER, "shop", ret, &why);

	if (rc < 0)
		fail_msg("%s", why.msg);
	return rc;
}

static void test_run__is_found_with_what_it_has_done(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(run_clear) struct run r = { .repo = NULL };
	CLEANUP(run_clear) struct run again = { .repo = NULL };
	CLEANUP(picks_clear) struct picks p = { .n = 0 };
	CLEANUP(picks_clear) struct picks same = { .n = 0 };
	struct kit_content c = {
		.volume = "a", .namespace = "shop", .domain = "d", .n = 1, .files = 2, .bytes = 100
	};
	auto_kit_point struct point one = kit_backup(&k, &c);
	CLEANUP(run_clear) struct run none = { .repo = NULL };

	(void)state;
	assert_int_equal(find(&k, &none), 0);
	begin(&k, &r);
	ok(run_choose(&r, &p, e));
	assert_int_equal(p.n, 1);
	auto_json json_t *gate = json_pack("{s:s}", "gate", "first/up");
	ok(run_step(&r, "gate", gate, e));
	/* a newer point does not change what was chosen */
	c.n = 2;
	c.previous = &one;
	auto_kit_point struct point two = kit_backup(&k, &c);
	assert_int_equal(find(&k, &again), 1);
	assert_string_equal(again.history.run, r.history.run);
	assert_string_equal(again.to, "c2");
	assert_string_equal(again.ns, "aksdr");
	assert_string_equal(again.recipe->ns, "aksdr");
	assert_true(again.newest);
	assert_true(again.chosen);
	assert_false(again.fenced);
	assert_false(again.promoted);
	assert_non_null(json_object_get(again.gates, "first/up"));
	ok(run_choose(&again, &same, e));
	assert_int_equal(same.n, 1);
	assert_string_equal(same.v[0].id, p.v[0].id);
	assert_int_equal(same.v[0].sequence, 1);
}

static void test_run_take_over__stops_the_one_before(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(run_clear) struct run mine = { .repo = NULL };
	CLEANUP(run_clear) struct run theirs = { .repo = NULL };
	struct err why = ERR_INIT;

	(void)state;
	begin(&k, &mine);
	assert_int_equal(find(&k, &theirs), 1);
	ok(run_take_over(&theirs, e));
	assert_int_equal(run_step(&mine, "gate", NULL, &why), -1);
	assert_int_equal(why.class, ERR_BUSY);
	ok(run_step(&theirs, "end", NULL, e));
	CLEANUP(run_clear) struct run none = { .repo = NULL };
	assert_int_equal(find(&k, &none), 0);
}

static void test_run__an_agent_s_word_says_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(run_clear) struct run r = { .repo = NULL };
	CLEANUP(run_clear) struct run again = { .repo = NULL };
	auto_json json_t *lie =
		json_pack("{s:[s]}", "sessions",
	                  "2026-11-22/0123456789abcdef-00000000000000000000000000000001");
	struct chain c;

	(void)state;
	begin(&k, &r);
	ok(run_log_open(r.history.run, &c, e));
	c.next = 2;
	ok(run_log_add(k.agent, &c, RUN_FAILOVER, "shop", "choose", lie, e));
	ok(run_log_open("ffffffffffffffffffffffffffffffff", &c, e));
	ok(run_log_add(k.agent, &c, RUN_FAILOVER, "shop", "begin", lie, e));
	assert_int_equal(find(&k, &again), 1);
	assert_string_equal(again.history.run, r.history.run);
	assert_false(again.chosen);
}

static size_t standing(const struct repo *r)
{
	const struct fence *f;
	size_t n = 0;

	for (size_t i = 0; (f = fence_at(r, i)); i++)
		n += f->lifted == 0;
	return n;
}

/* Both sides of a plan that went, came back, and goes again; and another plan's fence between. */
static void test_run_fence__is_lifted_by_the_plan_that_raised_it(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(run_clear) struct run went = { .repo = NULL };
	CLEANUP(run_clear) struct run back = { .repo = NULL };
	CLEANUP(run_clear) struct run again = { .repo = NULL };
	CLEANUP(picks_clear) struct picks p = { .n = 0 };
	CLEANUP(picks_clear) struct picks q = { .n = 0 };
	auto_recipe struct recipe *plan = plan_of(" selector: {namespaces: [shop]}\n");
	const struct point_volume here = kit_volume("shop", "a");
	struct point_volume there = here;
	const struct fence_target foreign = kit_site("c2", "web", NULL);
	auto_json json_t *document = NULL;
	auto_recipe struct recipe *reversed = NULL;

	(void)state;
	there.cluster[1] = '2';
	auto_kit_point struct point one = kit_commit(&k, &here, 1, NULL);
	auto_kit_point struct point two = kit_commit(&k, &there, 1, NULL);
	begin(&k, &went);
	ok(run_choose(&went, &p, e));
	ok(run_fence(&went, &p, "region down", e));
	assert_true(went.fenced);
	assert_int_equal(went.epoch, 1);
	ok(run_fence(&went, &p, "region down", e));
	assert_int_equal(standing(k.recovery), 1);
	ok(run_step(&went, "end", NULL, e));

	/* somebody else's volumes at the other cluster went over */
	(void)kit_fence(&k, &foreign);
	struct repo *fresh = kit_open(&k, "recovery.key");
	ok(reverse_recipe(plan, &p, &document, e));
	ok(recipe_read(document, "aksdr", &reversed, e));
	const struct run_begin b = {
		.kind = RUN_FAILBACK, .recipe = reversed, .to = "c1", .ns = "aksdr"
	};
	ok(run_begin(fresh, &b, &back, e));
	ok(run_pick(&back, false, &q, e));
	assert_string_equal(q.v[0].volume.cluster, "c2");
	ok(run_fence(&back, &q, "region is back", e));
	assert_int_equal(standing(fresh), 3);
	ok(run_unfence(&back, "region is back", e));
	assert_int_equal(standing(fresh), 2);
	ok(run_unfence(&back, "region is back", e));
	assert_int_equal(standing(fresh), 2);
	ok(run_step(&back, "end", NULL, e));

	/* and once more: its own fence is lifted, the other plan's stands */
	const struct run_begin c = {
		.kind = RUN_FAILOVER, .recipe = plan, .to = "c2", .ns = "aksdr"
	};
	ok(run_begin(fresh, &c, &again, e));
	ok(run_unfence(&again, "region down again", e));
	assert_int_equal(standing(fresh), 1);
	again.repo = back.repo = NULL;
	repo_free(fresh);
}

static void test_run_promote__is_written_once(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(run_clear) struct run r = { .repo = NULL };
	struct owner o = { .n = 0 };
	struct chain c;

	(void)state;
	begin(&k, &r);
	ok(run_promote(&r, "region down", e));
	/* killed before the journal knew */
	r.promoted = false;
	ok(run_promote(&r, "region down", e));
	ok(owner_open(k.audit, "shop", &c, e));
	ok(owner_newest(k.audit, &c, &o, e));
	assert_int_equal(o.n, 1);
	assert_string_equal(o.cluster, "c2");
	assert_string_equal(o.run, r.history.run);
}

static void test_run_targets__as_little_as_the_plan_moves(void **state)
{
	struct pick v[3];
	const struct picks p = { .v = v, .n = 3 };
	const struct {
		const char *selector;
		size_t n;
		enum fence_depth depth;
	} table[] = {
		{ " selector: {}\n", 1, FENCE_CLUSTER },
		{ " selector: {namespaces: ['*']}\n", 2, FENCE_NAMESPACE },
		{ " selector: {excludeNamespaces: [kube-system]}\n", 2, FENCE_NAMESPACE },
		{ " selector: {volumes: ['*/*']}\n", 3, FENCE_VOLUME },
		{ " selector: {excludeVolumes: ['x/y']}\n", 3, FENCE_VOLUME },
		{ " selector: {claimSelector: {matchLabels: {a: b}}}\n", 3, FENCE_VOLUME },
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		v[i] = (struct pick){ .volume = kit_volume(i < 2 ? "shop" : "web", "x") };
		v[i].volume.name[0] = (char)('a' + i);
	}
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		auto_recipe struct recipe *r = plan_of(table[i].selector);
		auto_free struct fence_target *targets = NULL;
		size_t n = 0;

		ok(run_targets(r, &p, &targets, &n, e));
		assert_int_equal(n, table[i].n);
		assert_int_equal(targets[0].depth, table[i].depth);
		assert_string_equal(targets[0].volume.cluster, "c1");
		assert_string_equal(targets[0].volume.namespace,
		                    table[i].depth == FENCE_CLUSTER ? "" : "shop");
		assert_string_equal(targets[0].volume.name,
		                    table[i].depth == FENCE_VOLUME ? "a" : "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run__is_found_with_what_it_has_done),
		cmocka_unit_test(test_run_take_over__stops_the_one_before),
		cmocka_unit_test(test_run__an_agent_s_word_says_nothing),
		cmocka_unit_test(test_run_fence__is_lifted_by_the_plan_that_raised_it),
		cmocka_unit_test(test_run_promote__is_written_once),
		cmocka_unit_test(test_run_targets__as_little_as_the_plan_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
