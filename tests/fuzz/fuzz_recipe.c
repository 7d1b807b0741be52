/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restore plans: what is taken is within its limits and can be asked; what is not says its field.
 */
#include "restore/recipe.h"

#include "common/yaml.h"
#include "restore/request.h"
#include "tests/fuzz/fuzz.h"

static void check_gates(const struct recipe_gates *gates)
{
	holds(gates->n <= RECIPE_GATES_MAX);
	for (size_t i = 0; i < gates->n; i++) {
		const struct recipe_gate *g = &gates->v[i];

		holds(*g->name);
		holds((g->kind == RECIPE_COMMAND) == (g->command.n > 0));
		holds((g->kind == RECIPE_COMMAND) == (g->selector != NULL));
		holds((g->kind == RECIPE_JOB) == (g->job != NULL));
		holds((g->kind == RECIPE_HTTP) == (g->url != NULL && g->ncodes > 0));
		holds(g->ncodes <= RECIPE_CODES_MAX);
		for (size_t j = 0; j < g->ncodes; j++)
			holds(g->codes[j] >= 100 && g->codes[j] <= 599);
	}
}

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
		check_gates(&r->stages[i].gates);
		check_gates(&r->stages[i].hooks);
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
	/* The other document that asks for a restore. */
	struct request q;
	e = ERR_INIT;
	if (request_read(document, &q, &e) < 0)
		fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID));
	else
		holds(*q.cluster && *q.ns && *q.name && !strchr(q.ns, '/') && !strchr(q.name, '*'));
	return 0;
}
