/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sorted arrays of small objects: a list comes in order, so that filling one is appending, and what
 * changes later is found by halving.
 */
#include "agent/world.h"

#include <string.h>

#include "common/now.h"
#include "kube/kube.h"
#include "kube/pod.h"
#include "snapshot/csi_objects.h"

#define LEASE_LASTS_S 15 /* where a Lease says nothing */
#define LEASE_LASTS_MAX_S 3600

/* What of annotations decides something; the rest is not kept. */
static const char *const ours[] = { "aksdr.io/protect", "aksdr.io/policy", "aksdr.io/paused" };

/* ---- shelves ---- */

/* Where the object is, or would be: *ret_there. */
static size_t find(const struct world_shelf *s, const char *ns, const char *name, bool *ret_there)
{
	size_t low = 0;
	size_t high = s->n;

	*ret_there = false;
	while (low < high) {
		const size_t mid = low + (high - low) / 2;
		int by = strcmp(s->v[mid]->ns, ns);

		if (by == 0)
			by = strcmp(s->v[mid]->name, name);
		if (by == 0) {
			*ret_there = true;
			return mid;
		}
		if (by < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void *at(const struct world *w, enum world_kind kind, const char *ns, const char *name)
{
	bool there;
	const size_t i = find(&w->shelves[kind], ns, name, &there);

	return there ? w->shelves[kind].v[i] : NULL;
}

static const size_t sizes[WORLD_KINDS] = {
	[WORLD_CLAIMS] = sizeof(struct world_claim),
	[WORLD_NAMESPACES] = sizeof(struct world_scope),
	[WORLD_CLASSES] = sizeof(struct world_scope),
	[WORLD_POLICIES] = sizeof(struct world_policy),
	[WORLD_PODS] = sizeof(struct world_pod),
	[WORLD_AGENTS] = sizeof(struct world_pod),
	[WORLD_LEASES] = sizeof(struct world_lease),
};

static bool make_room(struct world_shelf *s)
{
	if (s->n < s->cap)
		return true;
	const size_t cap = s->cap ? 2 * s->cap : 16;
	struct world_key **v = reallocarray(s->v, cap, sizeof(struct world_key *));

	if (!v)
		return false;
	s->v = v;
	s->cap = cap;
	return true;
}

/* The object of that name, which is made when it is not there. NULL: no memory. */
static void *place(struct world *w, enum world_kind kind, const char *ns, const char *name)
{
	struct world_shelf *s = &w->shelves[kind];
	bool there;
	const size_t i = find(s, ns, name, &there);

	if (there)
		return s->v[i];
	struct world_key *k = make_room(s) ? calloc(1, sizes[kind]) : NULL;
	if (k) {
		k->ns = strdup(ns);
		k->name = strdup(name);
	}
	if (!k || !k->ns || !k->name) {
		if (k) {
			free(k->ns);
			free(k->name);
		}
		free(k);
		w->nomem = true;
		return NULL;
	}
	memmove(&s->v[i + 1], &s->v[i], (s->n - i) * sizeof(struct world_key *));
	s->v[i] = k;
	s->n++;
	return k;
}

/* ---- members ---- */

static int64_t time_at(const json_t *object, const char *path, int64_t otherwise)
{
	int64_t ns;
	struct err e;

	return now_parse(kube_text_at(object, path), &ns, &e) == 0 ? ns / 1000000000 : otherwise;
}

/* Replaces a text. */
static void keep_text(struct world *w, char **text, const char *value)
{
	char *copy;

	if (*text && strcmp(*text, value) == 0)
		return;
	copy = strdup(value);
	w->nomem = w->nomem || !copy;
	free(*text);
	*text = copy;
}

static void keep_json(json_t **to, json_t *take_value)
{
	if (json_object_size(take_value) == 0) {
		json_decref(take_value);
		take_value = NULL;
	}
	json_decref(*to);
	*to = take_value;
}

static void keep_labels(json_t **to, const json_t *object)
{
	keep_json(to, json_copy((json_t *)(uintptr_t)kube_at(object, "metadata.labels")));
}

static void keep_annotations(struct world *w, json_t **to, const json_t *object)
{
	const json_t *all = kube_at(object, "metadata.annotations");
	json_t *kept = json_object();

	w->nomem = w->nomem || !kept;
	for (size_t i = 0; kept && i < ARRAY_LEN(ours); i++) {
		json_t *value = json_object_get(all, ours[i]);

		if (value && json_object_set(kept, ours[i], value) < 0)
			w->nomem = true;
	}
	keep_json(to, kept);
}

/* ---- kinds ---- */

static void plan_forget(struct world_plan *p)
{
	p->rules = 0;
}

static uint64_t bytes_of(const json_t *claim)
{
	const char *has = kube_text_at(claim, "status.capacity.storage");
	const int64_t bytes = csi_objects_bytes(
		*has ? has : kube_text_at(claim, "spec.resources.requests.storage"));

	return bytes > 0 ? (uint64_t)bytes : 0;
}

static void put_claim(struct world *w, struct world_claim *c, const json_t *object)
{
	const char *uid = kube_text_at(object, "metadata.uid");
	const json_t *annotations = kube_at(object, "metadata.annotations");
	const json_t *cancel = json_object_get(annotations, "aksdr.io/cancel");
	int64_t ns;
	struct err e;

	if (strcmp(c->uid, uid) != 0) {
		free(c->plan.set);
		free(c->plan.own_why);
		c->plan = (struct world_plan){ .running = c->plan.running };
		(void)snprintf(c->uid, sizeof(c->uid), "%s", uid);
		c->lease = claim_record_lease(c->uid);
	}
	keep_text(w, &c->class, kube_text_at(object, "spec.storageClassName"));
	c->bound = strcmp(kube_text_at(object, "status.phase"), "Bound") == 0;
	c->bytes = bytes_of(object);
	c->leaving = *kube_text_at(object, "metadata.deletionTimestamp") != '\0';
	c->created_s = time_at(object, "metadata.creationTimestamp", 0);
	c->cancel_s = 0;
	if (json_is_string(cancel) && now_parse(json_string_value(cancel), &ns, &e) == 0)
		c->cancel_s = ns / 1000000000;
	keep_labels(&c->labels, object);
	keep_annotations(w, &c->annotations, object);
	plan_forget(&c->plan);
}

/* As json_equal(), where NULL is a value. */
static bool same(const json_t *a, const json_t *b)
{
	return a == b || json_equal(a, b);
}

static void put_scope(struct world *w, struct world_scope *s, const json_t *object)
{
	auto_json json_t *labels = json_incref(s->labels);
	auto_json json_t *annotations = json_incref(s->annotations);
	const bool known = s->known;

	keep_labels(&s->labels, object);
	keep_annotations(w, &s->annotations, object);
	s->known = true;
	/* All claims are judged again by this, so only for what decides. */
	if (!known || !same(labels, s->labels) || !same(annotations, s->annotations))
		w->rules++;
}

/* The parts of a policy that its author wrote: items of a list have no kind. */
static json_t *document_of(const json_t *object)
{
	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:O?}", "apiVersion", POLICY_API, "kind",
	                 POLICY_KIND, "metadata", "name", kube_text_at(object, "metadata.name"),
	                 "namespace", kube_text_at(object, "metadata.namespace"), "spec",
	                 kube_at(object, "spec"));
}

static void list_policies(struct world *w)
{
	const struct world_shelf *s = &w->shelves[WORLD_POLICIES];

	free(w->list.items);
	w->list = (struct policy_list){ .items = calloc(s->n + 1, sizeof(struct policy *)) };
	w->nomem = w->nomem || !w->list.items;
	for (size_t i = 0; w->list.items && i < s->n; i++) {
		const struct world_policy *p = (const struct world_policy *)s->v[i];

		if (p->policy)
			w->list.items[w->list.n++] = p->policy;
	}
	w->rules++;
}

static void put_policy(struct world *w, struct world_policy *p, const json_t *object)
{
	const int64_t generation = kube_number_at(object, "metadata.generation", 0);
	const bool same = p->policy && generation == p->generation && generation > 0 && p->uid &&
	                  strcmp(p->uid, kube_text_at(object, "metadata.uid")) == 0;
	struct policy *policy = NULL;
	struct err e;

	json_decref(p->status);
	p->status = json_deep_copy(kube_at(object, "status"));
	if (same) /* only its status has changed */
		return;
	auto_json json_t *document = document_of(object);
	if (!document || policy_read(document, w->zones, w->agent_ns, &policy, &e) < 0)
		w->nomem = w->nomem || !document || e.class == ERR_NOMEM;
	keep_text(w, &p->uid, kube_text_at(object, "metadata.uid"));
	p->created_s = time_at(object, "metadata.creationTimestamp", 0);
	p->generation = generation;
	struct policy *before = p->policy;
	p->policy = policy;
	list_policies(w);
	policy_free(before);
}

static void pod_forget(struct world_pod *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->claims[i]);
	free(p->claims);
	p->claims = NULL;
	p->n = 0;
}

/* A pod of ours reads views; that it has a claim says nothing of who should back it up. */
static bool is_ours(const json_t *object)
{
	const json_t *labels = kube_at(object, "metadata.labels");
	const char *by = json_string_value(json_object_get(labels, "app.kubernetes.io/managed-by"));

	return by && strcmp(by, "aksdr") == 0;
}

static void put_pod(struct world *w, struct world_pod *p, const json_t *object)
{
	const json_t *volumes = kube_at(object, "spec.volumes");
	const size_t n = json_array_size(volumes);
	char name[KUBE_NAME_MAX + 1];

	pod_forget(p);
	w->pods++;
	if (pod_is_over(object) || is_ours(object) || n == 0)
		return;
	p->claims = calloc(n, sizeof(char *));
	for (size_t i = 0; p->claims && i < n; i++) {
		if (!pod_volume_claim(object, json_array_get(volumes, i), name))
			continue;
		p->claims[p->n] = strdup(name);
		if (p->claims[p->n])
			p->n++;
		else
			w->nomem = true;
	}
	w->nomem = w->nomem || !p->claims;
}

static void list_nodes(struct world *w)
{
	const struct world_shelf *s = &w->shelves[WORLD_AGENTS];

	free(w->nodes);
	w->nodes = calloc(s->n + 1, sizeof(char *));
	w->nnodes = 0;
	w->nomem = w->nomem || !w->nodes;
	for (size_t i = 0; w->nodes && i < s->n; i++) {
		const struct world_pod *p = (const struct world_pod *)s->v[i];

		if (p->ready && p->node && *p->node)
			w->nodes[w->nnodes++] = p->node;
	}
	w->pods++;
}

static void put_agent(struct world *w, struct world_pod *p, const json_t *object)
{
	const json_t *conditions = kube_at(object, "status.conditions");
	const char *node = kube_text_at(object, "spec.nodeName");
	bool ready = false;

	for (size_t i = 0; i < json_array_size(conditions); i++) {
		const json_t *c = json_array_get(conditions, i);

		if (strcmp(kube_text_at(c, "type"), "Ready") == 0)
			ready = strcmp(kube_text_at(c, "status"), "True") == 0;
	}
	ready = ready && !*kube_text_at(object, "metadata.deletionTimestamp");
	if (p->node && strcmp(p->node, node) == 0 && p->ready == ready)
		return;
	p->ready = ready;
	keep_text(w, &p->node, node);
	list_nodes(w);
}

static void lease_moved(struct world *w, const char *claim)
{
	const char *slash = strchr(claim, '/');
	char ns[64];

	if (!slash || (size_t)(slash - claim) >= sizeof(ns))
		return;
	(void)snprintf(ns, sizeof(ns), "%.*s", (int)(slash - claim), claim);
	struct world_claim *c = world_claim(w, ns, slash + 1);
	if (c)
		plan_forget(&c->plan);
}

static void put_lease(struct world *w, struct world_lease *l, const json_t *object, int64_t now_s)
{
	const char *version = kube_text_at(object, "metadata.resourceVersion");
	const int64_t lasts_s = kube_number_at(object, "spec.leaseDurationSeconds", LEASE_LASTS_S);
	struct claim_record r;

	if (l->version && *version && strcmp(l->version, version) == 0)
		return; /* a new list: it is not younger for that */
	claim_record_read(kube_at(object, "metadata.annotations"), &r);
	keep_text(w, &l->version, version);
	l->has_holder = *kube_text_at(object, "spec.holderIdentity") != '\0';
	l->lasts_s = lasts_s > 0 && lasts_s <= LEASE_LASTS_MAX_S ? lasts_s : LEASE_LASTS_S;
	l->changed_s = now_s;
	l->held = claim_record_sched(&r, 0, true);
	l->free = claim_record_sched(&r, 0, false);
	l->ended_s = r.ended_s;
	l->success_s = r.success_s;
	l->outcome = r.outcome;
	keep_text(w, &l->message, r.message);
	lease_moved(w, r.claim);
}

/* ---- all of it ---- */

static void item_free(enum world_kind kind, struct world_key *k)
{
	struct world_claim *c = (struct world_claim *)k;
	struct world_scope *s = (struct world_scope *)k;
	struct world_policy *p = (struct world_policy *)k;
	struct world_pod *pod = (struct world_pod *)k;
	struct world_lease *l = (struct world_lease *)k;

	switch (kind) {
	case WORLD_CLAIMS:
		free(c->class);
		free(c->plan.set);
		free(c->plan.own_why);
		json_decref(c->labels);
		json_decref(c->annotations);
		break;
	case WORLD_NAMESPACES:
	case WORLD_CLASSES:
		json_decref(s->labels);
		json_decref(s->annotations);
		break;
	case WORLD_POLICIES:
		policy_free(p->policy);
		free(p->uid);
		json_decref(p->status);
		break;
	case WORLD_PODS:
	case WORLD_AGENTS:
		pod_forget(pod);
		free(pod->node);
		break;
	case WORLD_LEASES:
		free(l->version);
		free(l->message);
		break;
	case WORLD_KINDS:
	default:
		break;
	}
	free(k->ns);
	free(k->name);
	free(k);
}

struct world *world_new(const char *agent_ns, const char *zones, struct err *e)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w) {
		(void)err_set(e, ERR_NOMEM, "no memory for what is known of the cluster");
		return NULL;
	}
	w->agent_ns = agent_ns;
	w->zones = zones;
	w->rules = 1;
	w->pods = 1;
	return w;
}

void world_free(struct world *w)
{
	if (!w)
		return;
	for (int kind = 0; kind < WORLD_KINDS; kind++) {
		for (size_t i = 0; i < w->shelves[kind].n; i++)
			item_free((enum world_kind)kind, w->shelves[kind].v[i]);
		free(w->shelves[kind].v);
	}
	free(w->list.items);
	free(w->nodes);
	free(w);
}

void world_put(struct world *w, enum world_kind kind, const json_t *object, int64_t now_s)
{
	const char *name = kube_text_at(object, "metadata.name");
	void *item = *name ? place(w, kind, kube_text_at(object, "metadata.namespace"), name)
	                   : NULL;

	if (!item)
		return;
	switch (kind) {
	case WORLD_CLAIMS:
		put_claim(w, item, object);
		break;
	case WORLD_NAMESPACES:
	case WORLD_CLASSES:
		put_scope(w, item, object);
		break;
	case WORLD_POLICIES:
		put_policy(w, item, object);
		break;
	case WORLD_PODS:
		put_pod(w, item, object);
		break;
	case WORLD_AGENTS:
		put_agent(w, item, object);
		break;
	case WORLD_LEASES:
		put_lease(w, item, object, now_s);
		break;
	case WORLD_KINDS:
	default:
		break;
	}
}

/* Of a Lease that is gone nothing tells any more whose it was: the few that have a record look. */
static void lease_gone(struct world *w, const char *name)
{
	const struct world_shelf *s = &w->shelves[WORLD_CLAIMS];

	for (size_t i = 0; i < s->n; i++) {
		struct world_claim *c = (struct world_claim *)s->v[i];

		if (strcmp(c->lease.s, name) == 0)
			plan_forget(&c->plan);
	}
}

void world_gone(struct world *w, enum world_kind kind, const char *ns, const char *name)
{
	struct world_shelf *s = &w->shelves[kind];
	bool there;
	const size_t i = find(s, ns, name, &there);

	if (!there)
		return;
	struct world_key *k = s->v[i];
	memmove(&s->v[i], &s->v[i + 1], (s->n - i - 1) * sizeof(struct world_key *));
	s->n--;
	if (kind == WORLD_POLICIES)
		list_policies(w);
	else if (kind == WORLD_AGENTS)
		list_nodes(w);
	else if (kind == WORLD_PODS)
		w->pods++;
	else if (kind == WORLD_NAMESPACES || kind == WORLD_CLASSES)
		w->rules++;
	else if (kind == WORLD_LEASES)
		lease_gone(w, name);
	item_free(kind, k);
}

void world_synced(struct world *w, enum world_kind kind)
{
	w->synced[kind] = true;
}

bool world_ready(const struct world *w)
{
	for (int kind = 0; kind < WORLD_KINDS; kind++) {
		if (!w->synced[kind])
			return false;
	}
	return true;
}

struct world_claim *world_claim(const struct world *w, const char *ns, const char *name)
{
	return at(w, WORLD_CLAIMS, ns, name);
}

const struct world_lease *world_lease(const struct world *w, const char *name)
{
	return at(w, WORLD_LEASES, w->agent_ns, name);
}

const struct world_lease *world_lease_of(const struct world *w, const struct world_claim *c)
{
	return world_lease(w, c->lease.s);
}

const struct world_policy *world_policy_of(const struct world *w, const struct policy *p)
{
	return at(w, WORLD_POLICIES, p->ns, p->name);
}

struct policy_claim world_view(const struct world *w, const struct world_claim *c)
{
	const struct world_scope *ns = at(w, WORLD_NAMESPACES, "", c->key.ns);
	const struct world_scope *class = at(w, WORLD_CLASSES, "", c->class ? c->class : "");

	return (struct policy_claim){
		.ns = c->key.ns,
		.name = c->key.name,
		.storage_class = c->class,
		.labels = c->labels,
		.annotations = c->annotations,
		.ns_labels = ns ? ns->labels : NULL,
		.ns_annotations = ns ? ns->annotations : NULL,
		.class_annotations = class ? class->annotations : NULL,
	};
}

bool world_uses(const struct world *w, const char *ns, const char *claim)
{
	const struct world_shelf *s = &w->shelves[WORLD_PODS];

	for (size_t i = 0; i < s->n; i++) {
		const struct world_pod *p = (const struct world_pod *)s->v[i];

		for (size_t j = 0; strcmp(p->key.ns, ns) == 0 && j < p->n; j++) {
			if (strcmp(p->claims[j], claim) == 0)
				return true;
		}
	}
	return false;
}

bool world_lease_held(const struct world_lease *l, int64_t now_s)
{
	return l->has_holder && now_s - l->changed_s <= l->lasts_s;
}
