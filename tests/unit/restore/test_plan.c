/* SPDX-License-Identifier: Apache-2.0 */
/* A plan as it can be run: what claims become, in which order, how long, and what is told of it. */
#include "restore/plan.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/yaml.h"

#define S INT64_C(1000000000)
#define NOW (1795305600 * S)

static const char written[] =
	"apiVersion: aksdr.io/v1alpha1\nkind: RestorePlan\nmetadata: {name: shop}\nspec:\n"
	" mode: hot/cold\n"
	" primary: {cluster: we}\n"
	" selector: {}\n"
	" mappings:\n"
	"  namespaces: [{from: shop, to: shop2}]\n"
	"  storageClasses: [{from: premium, to: standard}]\n"
	"  regions: [{from: westeurope, to: northeurope}]\n"
	"  zones: [{from: westeurope-2, to: northeurope-9}]\n"
	"  registries: [{from: we.example.com, to: ne.example.com}]\n"
	"  accessModes: [{from: ReadWriteMany, to: ReadWriteOnce}]\n"
	"  sizes: [{volumes: [shop/orders], percent: 150}]\n"
	" stages: [{name: first, selector: {volumes: ['*/web']}}]\n"
	" rpo: 1h\n"
	" rto: 1m\n";

struct world {
	struct recipe *recipe;
	struct pick picks[4];
	struct picks all;
	struct plan plan;
	struct findings found;
};

static void set_pick(struct pick *k, const char *ns, const char *name, int64_t age_s,
                     const char *claim)
{
	struct err e = ERR_INIT;

	*k = (struct pick){ .bytes = 1000, .files = 3, .frozen_ns = NOW - age_s * S };
	k->newest_ns = k->frozen_ns;
	(void)snprintf(k->volume.cluster, sizeof(k->volume.cluster), "we");
	(void)snprintf(k->volume.namespace, sizeof(k->volume.namespace), "%s", ns);
	(void)snprintf(k->volume.name, sizeof(k->volume.name), "%s", name);
	(void)snprintf(k->session, sizeof(k->session), "2026-11-22/0123456789abcdef-%032d", 1);
	if (claim) {
		k->claim = yaml_parse("claim", claim, strlen(claim), &e);
		assert_non_null(k->claim);
	}
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct err e = ERR_INIT;

	assert_non_null(w);
	auto_json json_t *j = yaml_parse("plan", written, strlen(written), &e);
	if (recipe_read(j, "aksdr", &w->recipe, &e) < 0)
		fail_msg("%s", e.msg);
	set_pick(&w->picks[0], "data", "db", 7200,
	         "{storage_class: fast, size_bytes: 1073741824, access_modes: [ReadWriteMany, "
	         "ReadWriteOnce], zones: [westeurope-1, westeurope-2, elsewhere-1], "
	         "images: ['we.example.com/db@sha256:1', plain]}");
	set_pick(&w->picks[1], "shop", "orders", 60, "{storage_class: premium, size_bytes: 1000}");
	set_pick(&w->picks[2], "shop", "web", 30, NULL);
	w->all = (struct picks){ .v = w->picks, .n = 3 };
	w->found = FINDINGS_INIT;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	plan_clear(&w->plan);
	finding_clear(&w->found);
	for (size_t i = 0; i < ARRAY_LEN(w->picks); i++)
		json_decref(w->picks[i].claim);
	recipe_free(w->recipe);
	free(w);
	return 0;
}

static void make(struct world *w, const struct plan_rates *rates)
{
	struct err e = ERR_INIT;

	plan_clear(&w->plan);
	finding_clear(&w->found);
	if (plan_make(w->recipe, &w->all, rates, NOW, 0, &w->plan, &w->found, &e) < 0)
		fail_msg("%s", e.msg);
}

static bool found(const struct world *w, const char *code)
{
	for (size_t i = 0; i < w->found.n; i++) {
		if (strcmp(w->found.list[i].code, code) == 0)
			return true;
	}
	return false;
}

static void test_plan_make__maps_what_is_different_there(void **state)
{
	struct world *w = *state;

	make(w, &(struct plan_rates){ .movers = 1 });
	assert_int_equal(w->plan.n, 3);
	/* by stage, what no stage names comes last */
	const struct plan_item *web = &w->plan.items[0];
	const struct plan_item *db = &w->plan.items[1];
	const struct plan_item *orders = &w->plan.items[2];

	assert_string_equal(plan_stage_name(&w->plan, web->stage), "first");
	assert_string_equal(web->name, "web");
	assert_string_equal(web->ns, "shop2");
	assert_string_equal(web->storage_class, "");
	assert_int_equal(web->nmodes, 1);
	assert_true(web->size_bytes == 64 * MIB);
	assert_true(found(w, "ClaimUnknown"));

	assert_string_equal(plan_stage_name(&w->plan, db->stage), "");
	assert_string_equal(db->ns, "data");
	assert_string_equal(db->storage_class, "fast");
	assert_true(db->size_bytes == GIB);
	assert_int_equal(db->nmodes, 1);
	assert_string_equal(db->modes[0], "ReadWriteOnce");
	assert_int_equal(db->nzones, 2);
	assert_string_equal(db->zones[0], "northeurope-1");
	assert_string_equal(db->zones[1], "northeurope-9");
	assert_int_equal(db->nimages, 2);
	assert_string_equal(db->images[0], "ne.example.com/db@sha256:1");
	assert_string_equal(db->images[1], "plain");

	assert_string_equal(orders->storage_class, "standard");
	assert_true(orders->size_bytes == 1500);
	assert_int_equal(orders->loss_s, 60);
}

static void test_plan_make__tells_of_its_targets(void **state)
{
	struct world *w = *state;
	const struct plan_rates rates = {
		.mover_bytes_s = 10, .start_s = 10, .hand_over_s = 5, .movers = 2
	};

	make(w, &rates);
	assert_int_equal(w->plan.loss_s, 7200);
	assert_true(w->plan.bytes == 3000);
	/* one of the first stage, and two beside each other: 115 s each */
	assert_true(w->plan.seconds > 229 && w->plan.seconds < 231);
	assert_true(found(w, "RpoMissed"));
	assert_true(found(w, "RtoMissed"));
	make(w, &(struct plan_rates){ .mover_bytes_s = 10, .start_s = 15, .movers = 1 });
	assert_true(w->plan.seconds > 344 && w->plan.seconds < 346);
	make(w, &(struct plan_rates){ .mover_bytes_s = 1e9, .all_bytes_s = 10, .movers = 9 });
	assert_true(w->plan.seconds > 299 && w->plan.seconds < 301);
	make(w, &(struct plan_rates){ .start_s = 10 });
	assert_true(w->plan.seconds <= 0);
	assert_false(found(w, "RtoMissed"));
}

static void test_plan_make__tells_what_is_in_the_way(void **state)
{
	struct world *w = *state;

	w->picks[0].session[0] = '\0';
	w->picks[0].passed[PICK_INCOMPLETE] = 2;
	w->picks[1].passed[PICK_SET] = 1;
	w->picks[1].newest_ns = NOW;
	w->picks[1].apart = true;
	w->all.unknown = 1;
	make(w, &(struct plan_rates){ .movers = 1 });
	assert_int_equal(w->plan.blocked, 1);
	assert_true(found(w, "NoPoint"));
	assert_true(found(w, "NewerPointsPassedOver"));
	assert_true(found(w, "NotOneMoment"));
	assert_true(found(w, "UnknownVolumes"));
	assert_true(found(w, "NoSecondRegion"));
	assert_int_equal(w->plan.loss_s, 60);
	w->all.cut.kind = CUT_UNKNOWN;
	make(w, &(struct plan_rates){ .movers = 1 });
	assert_true(found(w, "SecondRegionUnknown"));
	assert_false(found(w, "NoSecondRegion"));
}

static void test_plan_make__two_that_would_be_one_are_blocked(void **state)
{
	struct world *w = *state;

	set_pick(&w->picks[3], "shop2", "orders", 1, NULL);
	w->all.n = 4;
	make(w, &(struct plan_rates){ .movers = 1 });
	assert_true(found(w, "SameTarget"));
	assert_int_equal(w->plan.blocked, 2);
	assert_true(w->plan.bytes == 2000);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_plan_make__maps_what_is_different_there),
		CASE(test_plan_make__tells_of_its_targets),
		CASE(test_plan_make__tells_what_is_in_the_way),
		CASE(test_plan_make__two_that_would_be_one_are_blocked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
