/* SPDX-License-Identifier: Apache-2.0 */
/* Restore plans: what is taken is within its limits and can be asked; what is not says its field. */
#include "restore/recipe.h"

#include "common/yaml.h"
#include "tests/fuzz/fuzz.h"

static void check(const struct recipe *r)
{
	static const char volume[] = "data-0";

	holds(r->name && *r->primary.cluster && strcmp(r->primary.cluster, r->secondary.cluster));
	holds(r->nstages <= RECIPE_STAGES_MAX && r->nsizes <= RECIPE_SIZES_MAX);
	holds(recipe_stage_of(r, "shop", volume, NULL) <= r->nstages);
	holds(recipe_size_of(r, "shop", volume, 1 << 30) >= 1 << 30);
	for (size_t i = 0; i < RECIPE_MAPS; i++)
		holds(*recipe_mapped(r, (enum recipe_map)i, "a"));
	for (size_t i = 0; i < r->nstages; i++) {
		for (size_t j = 0; j < r->stages[i].ngates; j++) {
			const struct recipe_gate *g = &r->stages[i].gates[j];

			holds((g->kind == RECIPE_COMMAND) == (g->command.n > 0));
		}
	}
	(void)recipe_selects(&r->select, "shop", volume, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	auto_recipe struct recipe *r = NULL;

	if (size > 16 * KIB)
		return 0;
	auto_json json_t *document = yaml_parse("fuzz", data, size, &e);
	if (!document)
		return 0;
	if (recipe_read(document, "aksdr", &r, &e) < 0)
		fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID));
	else
		check(r);
	return 0;
}
