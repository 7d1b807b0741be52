/* SPDX-License-Identifier: Apache-2.0 */
/* Restore plans as they are written: what they say, and each mistake by its path. */
#include "restore/recipe.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/yaml.h"
#include "tests/harness/harness.h"

#define HEAD "apiVersion: aksdr.io/v1alpha1\nkind: RestorePlan\nmetadata: {name: shop}\nspec:\n"
#define LEAST HEAD " mode: hot/cold\n primary: {cluster: we}\n selector: {}\n"

static const char full[] = HEAD
	" mode: hot/warm\n"
	" primary: {cluster: we, region: westeurope}\n"
	" secondary: {cluster: ne}\n"
	" selector:\n"
	"  namespaces: [shop, 'shop-*']\n"
	"  excludeVolumes: ['*/cache-*']\n"
	"  claimSelector: {matchLabels: {tier: data}}\n"
	" point: {asOf: '2026-11-22T10:00:00Z', geoDurable: false, consistency: crash}\n"
	" mappings:\n"
	"  namespaces: [{from: shop, to: shop2}]\n"
	"  storageClasses: [{from: premium, to: standard}]\n"
	"  zones: [{from: we-1, to: ne-1}]\n"
	"  accessModes: [{from: ReadWriteMany, to: ReadWriteOnce}]\n"
	"  sizes:\n"
	"   - {volumes: ['shop/orders-*'], percent: 120}\n"
	"   - {least: 4Gi}\n"
	" stages:\n"
	"  - {name: db, selector: {volumes: ['shop/orders-*']}}\n"
	"  - name: rest\n"
	"    selector: {namespaces: [shop]}\n"
	"    gates:\n"
	"     - {name: up, kind: approval, timeout: 1d}\n"
	"     - {name: ask, kind: command, command: [sh, -c, 'exit 0'],\n"
	"        pod: {namespace: shop, selector: 'app=db,!old', container: main}}\n"
	"     - {name: migrated, kind: job, job: {namespace: shop, name: migrate-1}}\n"
	"    hooks:\n"
	"     - {name: answers, kind: http, \n"
	"        http: {url: 'https://shop.example/', codes: [200, 204]}}\n"
	"     - {name: local, kind: http, http: {url: 'http://127.0.0.1:1/'}}\n"
	" rpo: 1h\n"
	" rto: 4h\n"
	" standby: {copies: 2}\n"
	" drill: {cron: '0 5 * * sun', timeZone: Europe/Berlin, namespacePrefix: try-,\n"
	"  check: {image: 'a/b:1', command: [/check], timeout: 5m}}\n";

static struct recipe *read_text(const char *text, struct err *e)
{
	auto_json json_t *j = yaml_parse("test", text, strlen(text), e);
	struct recipe *r = NULL;

	if (!j)
		fail_msg("%s", e->msg);
	return recipe_read(j, "aksdr", &r, e) == 0 ? r : NULL;
}

static void test_recipe_read__gives_all_that_is_said(void **state)
{
	struct err e = ERR_INIT;
	auto_recipe struct recipe *r = read_text(full, &e);
	auto_json json_t *labels = json_pack("{s:s}", "tier", "data");

	(void)state;
	if (!r)
		fail_msg("%s", e.msg);
	assert_string_equal(r->ns, "aksdr");
	assert_string_equal(r->name, "shop");
	assert_string_equal(recipe_mode_name(r->mode), "hot/warm");
	assert_string_equal(r->primary.region, "westeurope");
	assert_string_equal(r->secondary.cluster, "ne");
	assert_string_equal(r->secondary.region, "");
	assert_true(r->as_of_ns == INT64_C(1795341600000000000));
	assert_false(r->geo);
	assert_int_equal(r->consistency, 1);
	assert_int_equal(r->rpo_s, 3600);
	assert_int_equal(r->rto_s, 14400);
	assert_int_equal(r->nstages, 2);
	assert_int_equal(r->stages[1].gates.n, 3);
	assert_int_equal(r->stages[1].gates.v[0].timeout_s, 86400);
	assert_int_equal(r->stages[1].gates.v[1].kind, RECIPE_COMMAND);
	assert_string_equal(r->stages[1].gates.v[1].command.v[2], "exit 0");
	assert_string_equal(r->stages[1].gates.v[1].ns, "shop");
	assert_string_equal(r->stages[1].gates.v[1].selector, "app=db,!old");
	assert_string_equal(r->stages[1].gates.v[1].container, "main");
	assert_int_equal(r->stages[1].gates.v[2].kind, RECIPE_JOB);
	assert_string_equal(r->stages[1].gates.v[2].job, "migrate-1");
	assert_int_equal(r->stages[1].hooks.n, 2);
	assert_int_equal(r->stages[1].hooks.v[0].codes[1], 204);
	assert_int_equal(r->stages[1].hooks.v[1].codes[0], 200);
	assert_int_equal(r->stages[1].hooks.v[1].ncodes, 1);
	assert_string_equal(r->drill.prefix, "try-");
	assert_int_equal(r->copies, 2);
	assert_string_equal(r->drill.command.v[0], "/check");

	assert_true(recipe_selects(&r->select, "shop", "orders-1", labels));
	assert_true(recipe_selects(&r->select, "shop-b", "x", labels));
	assert_false(recipe_selects(&r->select, "shop", "cache-1", labels));
	assert_false(recipe_selects(&r->select, "shopping", "x", labels));
	assert_false(recipe_selects(&r->select, "shop", "orders-1", NULL));

	assert_string_equal(recipe_mapped(r, RECIPE_NAMESPACES, "shop"), "shop2");
	assert_string_equal(recipe_mapped(r, RECIPE_NAMESPACES, "shop-b"), "shop-b");
	assert_string_equal(recipe_mapped(r, RECIPE_CLASSES, "premium"), "standard");
	assert_string_equal(recipe_mapped(r, RECIPE_MODES, "ReadWriteMany"), "ReadWriteOnce");
	assert_string_equal(recipe_mapped(r, RECIPE_REGIONS, "x"), "x");

	assert_true(recipe_size_of(r, "shop", "orders-1", 1000) == 1200);
	assert_true(recipe_size_of(r, "shop", "orders-1", 999) == 1198);
	assert_true(recipe_size_of(r, "shop", "x", 1000) == 4 * GIB);
	assert_true(recipe_size_of(r, "shop", "x", 5 * GIB) == 5 * GIB);

	assert_int_equal(recipe_stage_of(r, "shop", "orders-1", NULL), 0);
	assert_int_equal(recipe_stage_of(r, "shop", "x", NULL), 1);
	assert_int_equal(recipe_stage_of(r, "shop-b", "x", NULL), 2);
}

static void test_recipe_read__has_defaults(void **state)
{
	struct err e = ERR_INIT;
	auto_recipe struct recipe *r = read_text(LEAST, &e);

	(void)state;
	if (!r)
		fail_msg("%s", e.msg);
	assert_true(r->geo);
	assert_true(r->as_of_ns == 0);
	assert_string_equal(r->secondary.cluster, "");
	assert_string_equal(r->drill.cron, "");
	assert_int_equal(r->copies, 1);
	assert_string_equal(r->drill.image, "");
	assert_true(recipe_size_of(r, "a", "b", 7) == 7);
	assert_int_equal(recipe_stage_of(r, "a", "b", NULL), 0);
	assert_true(recipe_selects(&r->select, "any", "any", NULL));
}

static void refuses(const char *text, const char *want)
{
	struct err e = ERR_INIT;
	auto_recipe struct recipe *r = read_text(text, &e);

	if (r || e.class != ERR_INVALID || !strstr(e.msg, want))
		fail_msg("wanted '%s', got '%s'", want, r ? "a plan" : e.msg);
}

static void test_recipe_read__names_what_is_wrong(void **state)
{
	(void)state;
	refuses("{apiVersion: v1, kind: Pod}", "it is no RestorePlan");
	refuses("{apiVersion: aksdr.io/v1alpha1, kind: RestorePlan}", "metadata.name");
	refuses("apiVersion: aksdr.io/v1alpha1\nkind: RestorePlan\nmetadata: {name: a}\n",
	        "spec: is missing");
	refuses(HEAD " mode: cold\n primary: {cluster: a}\n selector: {}\n", "spec.mode: 'cold'");
	refuses(HEAD " mode: hot/cold\n selector: {}\n", "spec.primary: is missing");
	refuses(HEAD " mode: hot/cold\n primary: {}\n selector: {}\n", "spec.primary.cluster");
	refuses(HEAD " mode: hot/cold\n primary: {cluster: a}\n", "spec.selector: is missing");
	refuses(HEAD " mode: hot/hot\n primary: {cluster: a}\n selector: {}\n", "names both sides");
	refuses(LEAST " secondary: {cluster: we}\n", "is the primary itself");
	refuses(LEAST " selectors: {}\n", "is 'selector' meant?");
	refuses(LEAST " point: {asOf: yesterday}\n", "spec.point.asOf");
	refuses(LEAST " mappings: {namespaces: [{from: a}]}\n",
	        "spec.mappings.namespaces[0].to: is missing");
	refuses(LEAST " mappings: {zones: [{from: a, to: b}, {from: a, to: c}]}\n",
	        "spec.mappings.zones[1].from: 'a' is there twice");
	refuses(LEAST " mappings: {accessModes: [{from: RWO, to: ReadWriteOnce}]}\n",
	        "'RWO' is none");
	refuses(LEAST " mappings: {sizes: [{volumes: [a]}]}\n", "give least or percent");
	refuses(LEAST " mappings: {sizes: [{percent: 99}]}\n", "percent");
	refuses(LEAST " stages: [{name: a, selector: {}}, {name: a, selector: {}}]\n",
	        "spec.stages[1].name: 'a' is there twice");
	refuses(LEAST " stages: [{name: a, selector: {}, gates: [{name: g, kind: command}]}]\n",
	        "spec.stages[0].gates[0].command");
	refuses(LEAST " stages: [{name: a, selector: {}, gates: [{name: g, kind: approval, "
	              "command: [x]}]}]\n",
	        "no other has one");
#define GATE(text) LEAST " stages: [{name: a, selector: {}, gates: [{name: g, " text "}]}]\n"
	refuses(GATE("kind: command, command: [x]"), "spec.stages[0].gates[0].pod");
	refuses(GATE("kind: command, command: [x], pod: {namespace: n}"),
	        "pod.selector: is missing");
	refuses(GATE("kind: command, command: [x], pod: {namespace: n, selector: 'a b'}"),
	        "pod.selector");
	refuses(GATE("kind: job"), "gates[0].job");
	refuses(GATE("kind: job, job: {namespace: n}"), "job.name: is missing");
	refuses(GATE("kind: http, http: {url: 'http://example.com/'}"), "http.url");
	refuses(GATE("kind: http, http: {url: 'http://169.254.169.254/x'}"), "http.url");
	refuses(GATE("kind: http, http: {url: 'https://a/', codes: [20]}"), "http.codes");
	refuses(GATE("kind: approval, http: {url: 'https://a/'}"), "no other has one");
	refuses(LEAST
	        " stages: [{name: a, selector: {}, gates: [{name: g, kind: approval}], hooks: "
	        "[{name: g, kind: approval}]}]\n",
	        "hooks[0].name: 'g' is there twice");
	refuses(LEAST " standby: {copies: 3}\n", "spec.standby.copies");
	refuses(LEAST " standby: {lag: 1m}\n", "spec.standby.lag");
	refuses(LEAST " drill: {}\n", "spec.drill.cron: is missing");
	refuses(LEAST " drill: {cron: '61 * * * *'}\n", "spec.drill.cron");
	refuses(LEAST " drill: {cron: '@daily', check: {image: a, command: ['']}}\n",
	        "the program, is empty");
	refuses(LEAST " rpo: 10s\n", "spec.rpo");
}

static void test_recipe_load__finds_one_in_a_file(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "p.yaml");
	auto_recipe struct recipe *one = NULL;
	auto_recipe struct recipe *none = NULL;
	struct err e = ERR_INIT;

	(void)state;
	write_text(dir, "p.yaml",
	           "kind: ConfigMap\n---\n" LEAST "---\n" HEAD
	           " mode: hot/cold\n primary: {cluster: b}\n selector: {}\n");
	assert_int_equal(recipe_load(path, NULL, "aksdr", &none, &e), -1);
	assert_non_null(strstr(e.msg, "there are 2"));
	assert_int_equal(recipe_load(path, "other", "aksdr", &none, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	write_text(dir, "p.yaml", "kind: ConfigMap\n---\n" LEAST);
	assert_int_equal(recipe_load(path, "shop", "aksdr", &one, &e), 0);
	assert_string_equal(one->primary.cluster, "we");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recipe_read__gives_all_that_is_said),
		cmocka_unit_test(test_recipe_read__has_defaults),
		cmocka_unit_test(test_recipe_read__names_what_is_wrong),
		cmocka_unit_test(test_recipe_load__finds_one_in_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
