/* SPDX-License-Identifier: Apache-2.0 */
/* See scope.h. */
#include "restore/scope.h"

#include <string.h>

#include "common/log.h"
#include "common/now.h"
#include "common/num.h"

#define ADHOC "restore" /* name of what is no plan */

static int add(struct scope_texts *t, const char *value, bool pair, struct err *e)
{
	const char *eq = strchr(value, '=');

	if (pair && (!eq || eq == value || !eq[1]))
		return err_set(e, ERR_INVALID, "'%s' is not of the form OLD=NEW", value);
	if (t->n == SCOPE_LIST_MAX)
		return err_set(e, ERR_INVALID, "an option is there more than %d times",
		               SCOPE_LIST_MAX);
	t->v[t->n++] = value;
	return 1;
}

int scope_set(struct scope *s, int key, const char *value, struct err *e)
{
	uint64_t n;

	switch (key) {
	case SCOPE_OPT_FROM:
		s->from = value;
		return 1;
	case SCOPE_OPT_NAMESPACES:
		return add(&s->namespaces, value, false, e);
	case SCOPE_OPT_VOLUMES:
		return add(&s->volumes, value, false, e);
	case SCOPE_OPT_MAP_NAMESPACE:
		return add(&s->map_namespaces, value, true, e);
	case SCOPE_OPT_MAP_CLASS:
		return add(&s->map_classes, value, true, e);
	case SCOPE_OPT_AS_OF:
		s->as_of = value;
		return now_parse(value, &s->as_of_ns, e) < 0 ? -1 : 1;
	case SCOPE_OPT_NEWEST:
		s->newest = true;
		return 1;
	case SCOPE_OPT_KUBECONFIG:
		s->kubeconfig = value;
		return 1;
	case SCOPE_OPT_CONTEXT:
		s->context = value;
		return 1;
	case SCOPE_OPT_NAMESPACE:
		s->ns = value;
		return 1;
	case SCOPE_OPT_MOVERS:
		if (num_u64("--movers", value, 1, 64, &n, e) < 0)
			return -1;
		s->movers = (unsigned)n;
		return 1;
	default:
		return 0;
	}
}

/* ---- the plan ---- */

static json_t *texts_of(const struct scope_texts *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->n; i++)
		(void)json_array_append_new(list, json_string(t->v[i]));
	return list;
}

static json_t *pairs_of(const struct scope_texts *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->n; i++) {
		const char *eq = strchr(t->v[i], '=');

		(void)json_array_append_new(list, json_pack("{s:s%, s:s}", "from", t->v[i],
		                                            (size_t)(eq - t->v[i]), "to", eq + 1));
	}
	return list;
}

/* As somebody would have written it. */
static int adhoc(struct scope *s, struct err *e)
{
	auto_json json_t *o =
		json_pack("{s:s, s:s, s:{s:s}, s:{s:s, s:{s:s}, s:{s:o, s:o}, s:{s:o, s:o}}}",
	                  "apiVersion", RECIPE_API, "kind", RECIPE_KIND, "metadata", "name", ADHOC,
	                  "spec", "mode", "hot/cold", "primary", "cluster", s->from, "selector",
	                  "namespaces", texts_of(&s->namespaces), "volumes", texts_of(&s->volumes),
	                  "mappings", "namespaces", pairs_of(&s->map_namespaces), "storageClasses",
	                  pairs_of(&s->map_classes));

	if (!o)
		return err_set(e, ERR_INVALID,
		               "an option is no text, or there is no memory for a plan");
	return recipe_read(o, s->ns, &s->recipe, e);
}

static bool is_file(const char *plan)
{
	const char *dot = strrchr(plan, '.');

	return strchr(plan, '/') ||
	       (dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 ||
	                strcmp(dot, ".json") == 0));
}

static int from_cluster(struct scope *s, const char *plan, struct err *e)
{
	auto_json json_t *o = NULL;

	if (!s->kube)
		return err_set(e, ERR_NOT_FOUND,
		               "without a cluster the plan '%s' is to be a file: write it as "
		               "'./%s'",
		               plan, plan);
	if (kube_get(s->kube, &kube_plan, s->ns, plan, &o, e) < 0)
		return -1;
	return recipe_read(o, s->ns, &s->recipe, e);
}

static int read_plan(struct scope *s, const char *plan, struct err *e)
{
	const bool options = s->from || s->namespaces.n || s->volumes.n || s->map_namespaces.n ||
	                     s->map_classes.n;

	if (plan && options)
		return err_set(e, ERR_INVALID,
		               "give either a plan, or --from and what is to be restored of it");
	if (plan)
		return is_file(plan) ? recipe_load(plan, NULL, s->ns, &s->recipe, e)
		                     : from_cluster(s, plan, e);
	if (!s->from)
		return err_set(e, ERR_INVALID,
		               "name a plan (a file, or a RestorePlan of the cluster), or the "
		               "cluster to restore from by --from");
	return adhoc(s, e);
}

int scope_again(const struct scope *s, const char *plan, struct recipe **ret, struct err *e)
{
	struct scope now = *s;

	now.recipe = NULL;
	if (read_plan(&now, plan, e) < 0)
		return -1;
	if (strcmp(now.recipe->name, s->recipe->name) != 0) {
		(void)err_set(e, ERR_INVALID, "the plan '%s' is called '%s' now", s->recipe->name,
		              now.recipe->name);
		recipe_free(now.recipe);
		return -1;
	}
	*ret = now.recipe;
	return 0;
}

int scope_open(struct scope *s, const char *plan, bool need_kube, const struct cancel *cancel,
               struct err *e)
{
	const struct kube_params params = { .kubeconfig = s->kubeconfig,
		                            .context = s->context,
		                            .cancel = cancel };
	struct err why = ERR_INIT;

	if (!s->ns)
		s->ns = SCOPE_NAMESPACE;
	s->kube = kube_open(&params, &why);
	if (!s->kube && (need_kube || s->kubeconfig || s->context)) {
		*e = why;
		return -1;
	}
	if (!s->kube)
		log_debug("there is no cluster", LOG_S("why", why.msg));
	if (read_plan(s, plan, e) < 0)
		return -1;
	if (!s->as_of)
		s->as_of_ns = s->recipe->as_of_ns;
	return 0;
}

void scope_close(struct scope *s)
{
	recipe_free(s->recipe);
	s->recipe = NULL;
	kube_close(s->kube);
	s->kube = NULL;
}

int scope_pick(const struct scope *s, const struct repo *r, bool whole, struct picks *ret,
               struct err *e)
{
	const struct pick_params p = {
		.select = &s->recipe->select,
		.cluster = s->recipe->primary.cluster,
		.as_of_ns = s->as_of_ns,
		.consistency = s->recipe->consistency,
		.geo = s->recipe->geo && !s->newest,
		.whole = whole,
	};

	return picks_make(r, &p, ret, e);
}
