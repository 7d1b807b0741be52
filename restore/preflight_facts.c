/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each kind is a row of a table: which members matter, which objects, and what cannot be judged
 * without it. A list of the whole cluster is taken where there is no other way; what matters of it
 * is copied, so that memory is by the plan and by nodes.
 */
#include "restore/preflight_facts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STORAGE "storage.k8s.io"
#define PATHS_MAX 8

static const struct kube_kind capacity_kind = { STORAGE, "v1", "csistoragecapacities",
	                                        "CSIStorageCapacity", false };
static const struct kube_kind quota_kind = { "", "v1", "resourcequotas", "ResourceQuota", false };

struct gathering {
	const struct preflight_params *p;
	struct preflight_facts *f;
	const struct row *row;
	json_t *list;
	json_t *seen; /* keys "NAMESPACE/NAME": a list that is begun anew tells some twice */
};

static bool in_plan(const struct preflight_params *p, const char *ns, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->volumes[i].name, name) == 0 && strcmp(p->volumes[i].ns, ns) == 0)
			return true;
	return false;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_ours(const struct gathering *g, const json_t *o)
{
	const char *name = kube_text_at(o, "metadata.name");

	return strcmp(name, g->p->ns) == 0 ||
	       bsearch(&name, g->f->namespaces, g->f->nnamespaces, sizeof(name), by_text);
}

static bool is_wanted(const struct gathering *g, const json_t *o)
{
	return in_plan(g->p, kube_text_at(o, "metadata.namespace"),
	               kube_text_at(o, "metadata.name"));
}

static bool was_wanted(const struct gathering *g, const json_t *o)
{
	return strcmp(kube_text_at(o, "status.phase"), "Released") == 0 &&
	       in_plan(g->p, kube_text_at(o, "spec.claimRef.namespace"),
	               kube_text_at(o, "spec.claimRef.name"));
}

static const struct row {
	const struct kube_kind *kind;
	bool (*wanted)(const struct gathering *g, const json_t *o); /* NULL: all */
	bool each_namespace;                                        /* a list of each */
	const char *lost;                                           /* without it */
	const char *paths[PATHS_MAX];
} rows[PREFLIGHT_KINDS] = {
	[FACTS_CLASSES] = { &kube_storage_class,
	                    NULL,
	                    false,
	                    "which storage classes there are",
	                    { "metadata.name", "metadata.annotations", "metadata.creationTimestamp",
	                      "provisioner", "reclaimPolicy", "allowedTopologies" } },
	[FACTS_DRIVERS] = { &kube_csi_driver,
	                    NULL,
	                    false,
	                    "which drivers there are",
	                    { "metadata.name", "spec.storageCapacity" } },
	[FACTS_NODES] = { &kube_node,
	                  NULL,
	                  false,
	                  "whether there are nodes, and in which zones",
	                  { "metadata.name", "metadata.labels", "spec.unschedulable",
	                    "status.conditions" } },
	[FACTS_CAPACITIES] = { &capacity_kind,
	                       NULL,
	                       false,
	                       "how much room drivers have",
	                       { "storageClassName", "capacity", "maximumVolumeSize" } },
	[FACTS_SNAPSHOTS] = { &kube_snapshot_class,
	                      NULL,
	                      false,
	                      "whether volumes can have snapshots",
	                      { "metadata.name", "metadata.annotations", "metadata.labels",
	                        "driver" } },
	[FACTS_NAMESPACES] = { &kube_namespace_kind,
	                       is_ours,
	                       false,
	                       "which namespaces there are",
	                       { "metadata.name", "metadata.labels", "metadata.deletionTimestamp",
	                         "status.phase" } },
	[FACTS_QUOTAS] = { &quota_kind,
	                   NULL,
	                   true,
	                   "what quotas allow",
	                   { "metadata.name", "metadata.namespace", "spec.scopes",
	                     "spec.scopeSelector", "status.hard", "status.used" } },
	[FACTS_CLAIMS] = { &kube_pvc,
	                   is_wanted,
	                   true,
	                   "which claims are there already",
	                   { "metadata.name", "metadata.namespace", "metadata.labels",
	                     "metadata.deletionTimestamp", "spec.volumeName", "status.phase" } },
	[FACTS_VOLUMES] = { &kube_pv,
	                    was_wanted,
	                    false,
	                    "which volumes are left from before",
	                    { "metadata.name", "spec.claimRef.namespace", "spec.claimRef.name",
	                      "spec.persistentVolumeReclaimPolicy", "status.phase" } },
};

void preflight_facts_clear(struct preflight_facts *f)
{
	for (size_t i = 0; i < PREFLIGHT_KINDS; i++)
		json_decref(f->lists[i]);
	free(f->namespaces);
	*f = (struct preflight_facts){ .namespaces = NULL };
}

/* ---- copies ---- */

/* Copies what is at path ("a.b") of from to the same place of to. -1: no memory. */
static int copy_at(json_t *to, const json_t *from, const char *path)
{
	char word[64];

	for (;;) {
		size_t n = strcspn(path, ".");
		json_t *there;

		(void)snprintf(word, sizeof(word), "%.*s", (int)n, path);
		from = json_object_get(from, word);
		if (!from)
			return 0;
		if (!path[n])
			return json_object_set_new(to, word, json_deep_copy(from));
		there = json_object_get(to, word);
		if (!there) {
			there = json_object();
			if (json_object_set_new(to, word, there) < 0)
				return -1;
		}
		to = there;
		path += n + 1;
	}
}

static int take(void *arg, const json_t *o, struct err *e)
{
	struct gathering *g = arg;
	const struct row *row = g->row;
	char key[2 * KUBE_NAME_MAX + 2];

	if (row->wanted && !row->wanted(g, o))
		return 0;
	(void)snprintf(key, sizeof(key), "%s/%s", kube_text_at(o, "metadata.namespace"),
	               kube_text_at(o, "metadata.name"));
	if (json_object_get(g->seen, key))
		return 0;
	if (json_object_set_new(g->seen, key, json_true()) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a list of objects");
	if (json_array_size(g->list) == PREFLIGHT_OBJECTS_MAX)
		return err_set(e, ERR_TOO_BIG, "there are more than %d", PREFLIGHT_OBJECTS_MAX);
	json_t *copy = json_object();
	for (size_t i = 0; i < PATHS_MAX && row->paths[i]; i++) {
		if (!copy || copy_at(copy, o, row->paths[i]) < 0) {
			json_decref(copy);
			copy = NULL;
		}
	}
	return json_array_append_new(g->list, copy) < 0
	               ? err_set(e, ERR_NOMEM, "no memory for a list of objects")
	               : 0;
}

/* ---- lists ---- */

static int list(struct gathering *g, struct err *e)
{
	struct kube_select select = { .ns = NULL };
	size_t i = 0;

	if (!g->row->each_namespace)
		return kube_list(g->p->kube, g->row->kind, &select, take, g, NULL, e);
	for (; i < g->f->nnamespaces; i++) {
		select.ns = g->f->namespaces[i];
		if (kube_list(g->p->kube, g->row->kind, &select, take, g, NULL, e) < 0)
			return -1;
	}
	/* Quotas of the tool's namespace count, too. */
	select.ns = g->p->ns;
	if (bsearch(&select.ns, g->f->namespaces, g->f->nnamespaces, sizeof(select.ns), by_text))
		return 0;
	return kube_list(g->p->kube, g->row->kind, &select, take, g, NULL, e);
}

/* One kind. -1: none can be had, or no memory. */
static int gather(struct gathering *g, enum preflight_kind kind, struct findings *l, struct err *e)
{
	struct err why = ERR_INIT;

	g->row = &rows[kind];
	g->list = json_array();
	if (!g->list)
		return err_set(e, ERR_NOMEM, "no memory for a list of objects");
	g->seen = json_object();
	int rc = list(g, &why);
	json_decref(STEAL(&g->seen));
	if (rc == 0) {
		g->f->lists[kind] = STEAL(&g->list);
		return 0;
	}
	json_decref(STEAL(&g->list));
	if (why.class == ERR_NOMEM || why.class == ERR_CANCELLED || why.class == ERR_RETRY) {
		*e = why;
		return -1;
	}
	g->f->unknown[kind] = why.os == ENOTSUP;
	if (g->f->unknown[kind])
		return 0;
	struct finding *f = finding_add(l, FINDING_WARNING, "NotLooked", "%s",
	                                g->row->kind->plural);
	finding_what(f, "it is not known %s: %.380s", g->row->lost, why.msg);
	if (why.class == ERR_DENIED)
		finding_remedy(f, "give who runs this the right to list %s", g->row->kind->plural);
	return 0;
}

static int find_namespaces(const struct preflight_params *p, struct preflight_facts *f,
                           struct err *e)
{
	size_t n = 0;

	f->namespaces = calloc(p->n + 1, sizeof(*f->namespaces));
	if (!f->namespaces)
		return err_set(e, ERR_NOMEM, "no memory for %zu namespaces", p->n);
	for (size_t i = 0; i < p->n; i++)
		f->namespaces[i] = p->volumes[i].ns;
	qsort(f->namespaces, p->n, sizeof(*f->namespaces), by_text);
	for (size_t i = 0; i < p->n; i++)
		if (n == 0 || strcmp(f->namespaces[n - 1], f->namespaces[i]) != 0)
			f->namespaces[n++] = f->namespaces[i];
	f->nnamespaces = n;
	return 0;
}

int preflight_facts_gather(const struct preflight_params *p, struct preflight_facts *ret,
                           struct findings *l, struct err *e)
{
	auto_facts struct preflight_facts f = { .namespaces = NULL };
	struct gathering g = { .p = p, .f = &f };

	if (find_namespaces(p, &f, e) < 0)
		return -1;
	for (int i = 0; i < PREFLIGHT_KINDS; i++)
		if (gather(&g, (enum preflight_kind)i, l, e) < 0)
			return err_wrap(e, "looking at the cluster");
	*ret = f;
	f = (struct preflight_facts){ .namespaces = NULL };
	return 0;
}

const json_t *preflight_facts_find(const struct preflight_facts *f, enum preflight_kind kind,
                                   const char *ns, const char *name)
{
	size_t i;
	json_t *o;

	json_array_foreach(f->lists[kind], i, o) {
		if (strcmp(kube_text_at(o, "metadata.name"), name) == 0 &&
		    (!ns || strcmp(kube_text_at(o, "metadata.namespace"), ns) == 0))
			return o;
	}
	return NULL;
}
