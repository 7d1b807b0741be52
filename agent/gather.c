/* SPDX-License-Identifier: Apache-2.0 */
/* See gather.h. */
#include "agent/gather.h"

#include "common/now.h"

struct into {
	struct world *world;
	enum world_kind kind;
	struct coverage *coverage;
	enum coverage_kind part;
};

static int put_world(void *arg, const json_t *object, struct err *e)
{
	const struct into *to = arg;

	world_put(to->world, to->kind, object, now_wall_ns() / 1000000000);
	return to->world->nomem
	               ? err_set(e, ERR_NOMEM, "no memory for what is known of the cluster")
	               : 0;
}

static int put_coverage(void *arg, const json_t *object, struct err *e)
{
	const struct into *to = arg;

	(void)e; /* told when the coverage is made */
	coverage_put(to->coverage, to->part, object);
	return 0;
}

int gather_policies(const char *dir, struct world *w, struct err *e)
{
	CLEANUP(policy_list_clear) struct policy_list l = { .n = 0 };

	if (policy_load_dir(dir, NULL, w->agent_ns, &l, e) < 0)
		return -1;
	for (size_t i = 0; i < l.n; i++) {
		auto_json json_t *o = json_deep_copy(l.items[i]->document);
		json_t *ns = json_string(l.items[i]->ns);

		if (!o || json_object_set_new(json_object_get(o, "metadata"), "namespace", ns) < 0)
			return err_set(e, ERR_NOMEM, "no memory for policies");
		world_put(w, WORLD_POLICIES, o, now_wall_ns() / 1000000000);
	}
	world_synced(w, WORLD_POLICIES);
	return 0;
}

int gather_world(struct kube *k, const char *policies, struct world *w, struct err *e)
{
	static const struct {
		enum world_kind kind;
		const struct kube_kind *as;
	} kinds[] = {
		{ WORLD_NAMESPACES, &kube_namespace_kind },
		{ WORLD_CLASSES, &kube_storage_class },
		{ WORLD_POLICIES, &kube_policy },
		{ WORLD_CLAIMS, &kube_pvc },
	};
	const struct kube_select all = { .ns = NULL };

	if (policies && gather_policies(policies, w, e) < 0)
		return err_wrap(e, "policies in '%s'", policies);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct into to = { .world = w, .kind = kinds[i].kind };

		if (policies && kinds[i].kind == WORLD_POLICIES)
			continue;
		if (kube_list(k, kinds[i].as, &all, put_world, &to, NULL, e) < 0)
			return -1;
	}
	return 0;
}

int gather_coverage(struct kube *k, struct coverage *c, struct err *e)
{
	static const struct {
		enum coverage_kind part;
		const struct kube_kind *as;
	} kinds[] = {
		{ COVERAGE_VOLUME, &kube_pv },
		{ COVERAGE_POD, &kube_pod },
		{ COVERAGE_SET, &kube_stateful_set },
	};
	const struct kube_select all = { .ns = NULL };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct into to = { .coverage = c, .part = kinds[i].part };

		if (kube_list(k, kinds[i].as, &all, put_coverage, &to, NULL, e) < 0)
			return -1;
	}
	return 0;
}
