/* SPDX-License-Identifier: Apache-2.0 */
/* See reverse.h. */
#include "restore/reverse.h"

#include <string.h>

static int no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "no memory for a plan");
}

static const json_t *member(const struct recipe *r, const char *key)
{
	return json_object_get(json_object_get(r->document, "spec"), key);
}

/* Of two that became the same one the first is taken. */
static json_t *back(const struct recipe_pairs *pairs)
{
	json_t *list = json_array();

	for (size_t i = 0; i < pairs->n; i++) {
		bool there = false;

		for (size_t j = 0; j < i; j++)
			there |= strcmp(pairs->v[j].to, pairs->v[i].to) == 0;
		if (!there &&
		    json_array_append_new(list, json_pack("{s:s, s:s}", "from", pairs->v[i].to,
		                                          "to", pairs->v[i].from)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *mappings(const struct recipe *r)
{
	static const char *const keys[RECIPE_MAPS] = { "namespaces", "storageClasses", "regions",
		                                       "zones",      "registries",     NULL };
	json_t *o = json_object();

	for (size_t i = 0; i < RECIPE_MAPS; i++) {
		if (keys[i] && json_object_set_new(o, keys[i], back(&r->maps[i])) < 0) {
			json_decref(o);
			return NULL;
		}
	}
	return o;
}

/* By name, as they are called at the secondary. */
static int volumes(const struct recipe *r, const struct picks *went, json_t **ret, struct err *e)
{
	auto_json json_t *list = json_array();

	if (went->n > RECIPE_VOLUMES_MAX)
		return err_set(
			e, ERR_TOO_BIG,
			"namespaces are mapped, and the plan has %zu volumes of %d at most that "
			"can go back so: divide it",
			went->n, RECIPE_VOLUMES_MAX);
	for (size_t i = 0; i < went->n; i++) {
		const struct point_volume *v = &went->v[i].volume;
		const char *ns = recipe_mapped(r, RECIPE_NAMESPACES, v->namespace);

		if (json_array_append_new(list, json_sprintf("%s/%s", ns, v->name)) < 0)
			return no_memory(e);
	}
	*ret = json_pack("{s:O}", "volumes", list);
	return *ret ? 0 : no_memory(e);
}

int reverse_recipe(const struct recipe *r, const struct picks *went, json_t **ret, struct err *e)
{
	static const char *const kept[] = { "rpo", "rto" };
	const bool mapped = r->maps[RECIPE_NAMESPACES].n > 0;
	auto_json json_t *selector = NULL;

	if (!*r->secondary.cluster)
		return err_set(e, ERR_INVALID, "the plan '%s' names no secondary to go back from",
		               r->name);
	if (mapped && volumes(r, went, &selector, e) < 0)
		return -1;
	if (!mapped)
		selector = json_deep_copy(member(r, "selector"));
	/* What the second region has does not matter: the first one must be there to go back. */
	auto_json json_t *spec = json_pack("{s:s, s:{s:s}, s:{s:s}, s:O, s:o, s:{s:b}}", "mode",
	                                   recipe_mode_name(r->mode), "primary", "cluster",
	                                   r->secondary.cluster, "secondary", "cluster",
	                                   r->primary.cluster, "selector", selector, "mappings",
	                                   mappings(r), "point", "geoDurable", 0);
	int bad = !spec;
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		if (member(r, kept[i]))
			bad |= json_object_set(spec, kept[i],
			                       (json_t *)(uintptr_t)member(r, kept[i]));
	}
	/* Stages name volumes as they were called at the primary. */
	if (!mapped && member(r, "stages"))
		bad |= json_object_set_new(spec, "stages", json_deep_copy(member(r, "stages")));
	*ret = bad ? NULL
	           : json_pack("{s:s, s:s, s:{s:s, s:s}, s:O}", "apiVersion", RECIPE_API, "kind",
	                       RECIPE_KIND, "metadata", "name", r->name, "namespace", r->ns, "spec",
	                       spec);
	return *ret ? 0 : no_memory(e);
}
