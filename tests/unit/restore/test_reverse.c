/* SPDX-License-Identifier: Apache-2.0 */
/* A plan the other way round: sides, mappings and volumes; and back again it is what it was. */
#include "restore/reverse.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/yaml.h"

#define HEAD                                                                                \
	"apiVersion: aksdr.io/v1alpha1\nkind: RestorePlan\nmetadata: {name: shop}\nspec:\n" \
	" mode: hot/warm\n primary: {cluster: we}\n"

static struct recipe *read_text(const char *text)
{
	struct err e = ERR_INIT;
	struct recipe *r = NULL;
	auto_json json_t *j = yaml_parse("plan", text, strlen(text), &e);

	if (recipe_read(j, "aksdr", &r, &e) < 0)
		fail_msg("%s", e.msg);
	return r;
}

static struct recipe *reversed(const struct recipe *r, const struct picks *went)
{
	struct err e = ERR_INIT;
	struct recipe *back = NULL;
	auto_json json_t *document = NULL;

	if (reverse_recipe(r, went, &document, &e) < 0 ||
	    recipe_read(document, "aksdr", &back, &e) < 0)
		fail_msg("%s", e.msg);
	return back;
}

static void test_reverse_recipe__changes_sides_and_mappings(void **state)
{
	auto_recipe struct recipe *r = read_text(
		HEAD " secondary: {cluster: ne}\n"
		     " selector: {namespaces: ['shop-*']}\n"
		     " mappings:\n"
		     "  storageClasses: [{from: a, to: x}, {from: b, to: x}]\n"
		     "  zones: [{from: we-1, to: ne-1}]\n"
		     "  sizes: [{percent: 200}]\n"
		     " stages: [{name: one, selector: {}}]\n"
		     " rto: 4h\n");
	const struct picks none = { .n = 0 };
	auto_recipe struct recipe *back = reversed(r, &none);

	(void)state;
	assert_string_equal(back->name, "shop");
	assert_string_equal(back->primary.cluster, "ne");
	assert_string_equal(back->secondary.cluster, "we");
	assert_string_equal(recipe_mapped(back, RECIPE_CLASSES, "x"), "a");
	assert_string_equal(recipe_mapped(back, RECIPE_ZONES, "ne-1"), "we-1");
	assert_true(recipe_selects(&back->select, "shop-1", "v", NULL));
	assert_false(recipe_selects(&back->select, "web", "v", NULL));
	/* a volume does not grow each time that it goes */
	assert_true(recipe_size_of(back, "shop-1", "v", 10) == 10);
	assert_int_equal(back->nstages, 1);
	assert_int_equal(back->rto_s, 14400);
	assert_false(back->geo);
	auto_recipe struct recipe *again = reversed(back, &none);
	assert_string_equal(again->primary.cluster, "we");
	assert_string_equal(recipe_mapped(again, RECIPE_CLASSES, "a"), "x");
}

static void test_reverse_recipe__names_volumes_where_namespaces_were_mapped(void **state)
{
	auto_recipe struct recipe *r = read_text(
		HEAD " secondary: {cluster: ne}\n"
		     " selector: {namespaces: [shop, web]}\n"
		     " mappings: {namespaces: [{from: shop, to: shop2}]}\n"
		     " stages: [{name: one, selector: {volumes: [shop/a]}}]\n");
	struct pick v[2] = { { .volume = { .namespace = "shop", .name = "a" } },
		             { .volume = { .namespace = "web", .name = "b" } } };
	const struct picks went = { .v = v, .n = 2 };
	auto_recipe struct recipe *back = reversed(r, &went);

	(void)state;
	assert_true(recipe_selects(&back->select, "shop2", "a", NULL));
	assert_true(recipe_selects(&back->select, "web", "b", NULL));
	assert_false(recipe_selects(&back->select, "shop2", "c", NULL));
	assert_false(recipe_selects(&back->select, "shop", "a", NULL));
	assert_string_equal(recipe_mapped(back, RECIPE_NAMESPACES, "shop2"), "shop");
	assert_int_equal(back->nstages, 0);
}

static void test_reverse_recipe__refuses_what_has_no_way_back(void **state)
{
	auto_recipe struct recipe *r = read_text(HEAD " selector: {}\n");
	auto_recipe struct recipe *mapped = read_text(
		HEAD " secondary: {cluster: ne}\n selector: {}\n"
		     " mappings: {namespaces: [{from: a, to: b}]}\n");
	const struct picks none = { .n = 0 };
	const struct picks many = { .n = RECIPE_VOLUMES_MAX + 1 };
	struct err e = ERR_INIT;
	json_t *document = NULL;

	(void)state;
	assert_int_equal(reverse_recipe(r, &none, &document, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_int_equal(reverse_recipe(mapped, &many, &document, &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reverse_recipe__changes_sides_and_mappings),
		cmocka_unit_test(test_reverse_recipe__names_volumes_where_namespaces_were_mapped),
		cmocka_unit_test(test_reverse_recipe__refuses_what_has_no_way_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
