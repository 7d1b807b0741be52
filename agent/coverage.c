/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of volumes, pods and sets a few words each are kept, sorted by "namespace/claim", so that a claim
 * is joined with its volume and its workload by halving. Volumes of pods are items at once; those
 * of one workload with one name become one.
 */
#include "agent/coverage.h"

#include <ctype.h>
#include <string.h>

#include "kube/pod.h"
#include "snapshot/csi_objects.h"

#define SETTLE_ITEMS 65536 /* so many volumes of pods are joined before there are more */

struct fact {           /* of the claim that key names */
	char *key;      /* "namespace/claim"; of a set: "namespace/TEMPLATE-SET" */
	char *text;     /* of a pod: the workload; of a volume: its driver; of a set: its name */
	uint64_t bytes; /* of a volume */
};

struct facts {
	struct fact *v;
	size_t n, cap;
};

struct template
{
	char *ns, *set, *name, *class;
	json_t *labels, *annotations; /* as its claims will have them */
	uint64_t bytes;
	int64_t start, replicas;
};

struct coverage {
	struct facts users, volumes, makers;
	struct template *templates;
	size_t ntemplates, cap;
	struct inventory items; /* of pods, and volumes without a claim; not judged yet */
	struct err why;         /* the first failure */
};

/* ---- keeping ---- */

static void facts_clear(struct facts *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->v[i].key);
		free(f->v[i].text);
	}
	free(f->v);
}

struct coverage *coverage_new(void)
{
	return calloc(1, sizeof(struct coverage));
}

void coverage_free(struct coverage *c)
{
	if (!c)
		return;
	facts_clear(&c->users);
	facts_clear(&c->volumes);
	facts_clear(&c->makers);
	for (size_t i = 0; i < c->ntemplates; i++) {
		free(c->templates[i].ns);
		free(c->templates[i].set);
		free(c->templates[i].name);
		free(c->templates[i].class);
		json_decref(c->templates[i].labels);
		json_decref(c->templates[i].annotations);
	}
	free(c->templates);
	inventory_clear(&c->items);
	free(c);
}

static void no_memory(struct coverage *c)
{
	if (c->why.class == ERR_NONE)
		(void)err_set(&c->why, ERR_NOMEM, "no memory for what holds data in the cluster");
}

static bool grow(void **v, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return true;
	const size_t more = *cap ? 2 * *cap : 64;
	void *bigger = reallocarray(*v, more, size);

	if (!bigger)
		return false;
	*v = bigger;
	*cap = more;
	return true;
}

static void keep(struct coverage *c, struct facts *f, const char *ns, const char *name,
                 const char *text, uint64_t bytes)
{
	struct fact fact = { .text = strdup(text), .bytes = bytes };
	void *v = f->v;

	if (asprintf(&fact.key, "%s/%s", ns, name) < 0)
		fact.key = NULL;
	const bool grown = grow(&v, f->n, &f->cap, sizeof(*f->v));
	f->v = v;
	if (fact.key && fact.text && grown) {
		f->v[f->n++] = fact;
		return;
	}
	free(fact.key);
	free(fact.text);
	no_memory(c);
}

static int fact_cmp(const void *va, const void *vb)
{
	const struct fact *a = va;
	const struct fact *b = vb;
	const int by = strcmp(a->key, b->key);

	return by != 0 ? by : strcmp(a->text, b->text);
}

static void sort(struct facts *f)
{
	if (f->n > 1)
		qsort(f->v, f->n, sizeof(*f->v), fact_cmp);
}

/* The first one of that key, so that several pods of one claim always tell the same. */
static const struct fact *find(const struct facts *f, const char *ns, const char *name)
{
	char key[64 + KUBE_NAME_MAX + 2];
	size_t low = 0;
	size_t high = f->n;

	(void)snprintf(key, sizeof(key), "%.63s/%.253s", ns, name);
	while (low < high) {
		const size_t mid = low + (high - low) / 2;

		if (strcmp(f->v[mid].key, key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < f->n && strcmp(f->v[low].key, key) == 0 ? &f->v[low] : NULL;
}

/* ---- members ---- */

static uint64_t bytes_at(const json_t *object, const char *path)
{
	const char *quantity = kube_text_at(object, path);
	const int64_t bytes = *quantity ? csi_objects_bytes(quantity) : 0;

	return bytes > 0 ? (uint64_t)bytes : 0;
}

static bool opted_out(const json_t *annotations)
{
	const char *says = json_string_value(json_object_get(annotations, "aksdr.io/protect"));

	return says && strcmp(says, "false") == 0;
}

static bool is_ours(const json_t *labels)
{
	const char *by = json_string_value(json_object_get(labels, "app.kubernetes.io/managed-by"));

	return by && strcmp(by, "aksdr") == 0 && json_object_get(labels, "aksdr.io/run");
}

static bool among(const char *word, const char *const *words)
{
	for (; *words; words++) {
		if (strcmp(word, *words) == 0)
			return true;
	}
	return false;
}

/*
 * The workload of a pod, "Deployment/web". A ReplicaSet is named DEPLOYMENT-HASH, with the hash as
 * a label of its pods; a Job of a CronJob has minutes since 1970 at its end
 * (https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#job-name).
 */
static void workload(const json_t *pod, char ret[INVENTORY_TEXT_MAX + 1])
{
	const json_t *owners = kube_at(pod, "metadata.ownerReferences");
	const char *hash = json_string_value(
		json_object_get(kube_at(pod, "metadata.labels"), "pod-template-hash"));
	const char *kind = "Pod";
	const char *name = kube_text_at(pod, "metadata.name");

	for (size_t i = 0; i < json_array_size(owners); i++) {
		const json_t *o = json_array_get(owners, i);

		if (!kube_true_at(o, "controller"))
			continue;
		kind = kube_text_at(o, "kind");
		name = kube_text_at(o, "name");
	}
	const char *dash = strrchr(name, '-');
	size_t n = dash ? (size_t)(dash - name) : 0;
	if (dash && strcmp(kind, "ReplicaSet") == 0 && hash && strcmp(dash + 1, hash) == 0)
		kind = "Deployment";
	else if (dash && strcmp(kind, "Job") == 0 && strspn(dash + 1, "0123456789") >= 8 &&
	         dash[1 + strspn(dash + 1, "0123456789")] == '\0')
		kind = "CronJob";
	else
		n = strlen(name);
	(void)snprintf(ret, INVENTORY_TEXT_MAX + 1, "%.100s/%.*s", kind, (int)n, name);
}

/* ---- pods ---- */

/* Members of a volume that hold nothing but what the cluster has elsewhere. */
static const char *const no_data[] = { "name",        "configMap", "secret", "projected",
	                               "downwardAPI", "image",     NULL };

/* What is below these is the kernel's, or sockets of programs. */
static bool is_of_the_system(const char *path)
{
	static const char *const roots[] = { "/proc", "/sys", "/dev", "/run", "/var/run", NULL };

	for (const char *const *r = roots; *r; r++) {
		const size_t n = strlen(*r);

		if (strncmp(path, *r, n) == 0 && (path[n] == '/' || path[n] == '\0'))
			return true;
	}
	return false;
}

static void judge_host_path(const json_t *path, struct inventory_item *item)
{
	static const char *const types[] = { "Socket", "CharDevice", NULL };

	item->kind = INVENTORY_HOST_PATH;
	item->texts[INVENTORY_WHY] =
		"a directory of a node is not backed up: move the data to a claim";
	if (is_of_the_system(kube_text_at(path, "path")) ||
	    among(kube_text_at(path, "type"), types)) {
		item->state = INVENTORY_EXCLUDED;
		item->reason = INVENTORY_BY_NATURE;
		item->texts[INVENTORY_WHY] = "a part of the node's system";
	}
}

static void judge_empty_dir(const json_t *dir, struct inventory_item *item)
{
	item->kind = INVENTORY_EMPTY_DIR;
	item->bytes = bytes_at(dir, "sizeLimit");
	item->texts[INVENTORY_WHY] = "it goes with its pod: move what must last to a claim";
	if (strcmp(kube_text_at(dir, "medium"), "Memory") == 0) {
		item->state = INVENTORY_EXCLUDED;
		item->reason = INVENTORY_BY_NATURE;
		item->texts[INVENTORY_WHY] = "it is in memory";
	}
}

static void judge_inline(const char *member, const json_t *o, struct inventory_item *item)
{
	item->kind = INVENTORY_INLINE;
	item->texts[INVENTORY_DRIVER] = member;
	if (strcmp(member, "csi") == 0)
		item->texts[INVENTORY_DRIVER] = kube_text_at(o, "driver");
	item->texts[INVENTORY_WHY] = "a volume that a pod names itself is not backed up: "
				     "put a claim in its place";
}

/* A volume of a pod that is no claim. */
static void put_pod_volume(struct coverage *c, const json_t *pod, const json_t *volume,
                           const char *owner)
{
	struct inventory_item item = {
		.state = INVENTORY_EXPOSED,
		.reason = INVENTORY_UNPROTECTABLE,
		.count = 1,
		.texts = { [INVENTORY_NS] = kube_text_at(pod, "metadata.namespace"),
		           [INVENTORY_NAME] = kube_text_at(volume, "name"),
		           [INVENTORY_OWNER] = owner },
	};
	const char *member;
	const json_t *o;
	bool found = false;

	json_object_foreach((json_t *)(uintptr_t)volume, member, o) {
		if (among(member, no_data))
			continue;
		found = true;
		if (strcmp(member, "emptyDir") == 0)
			judge_empty_dir(o, &item);
		else if (strcmp(member, "hostPath") == 0)
			judge_host_path(o, &item);
		else
			judge_inline(member, o, &item);
	}
	if (!found)
		return;
	if (item.state == INVENTORY_EXPOSED && opted_out(kube_at(pod, "metadata.annotations"))) {
		item.state = INVENTORY_EXCLUDED;
		item.reason = INVENTORY_BY_OPT_OUT;
		item.texts[INVENTORY_WHY] =
			"left out by the annotation aksdr.io/protect on its pod";
	}
	struct err *e = &c->why;
	if (c->why.class != ERR_NONE || inventory_add(&c->items, &item, e) < 0)
		return;
	if (c->items.n % SETTLE_ITEMS == 0 && inventory_settle(&c->items, SETTLE_ITEMS, e) < 0)
		return;
}

static void put_pod(struct coverage *c, const json_t *pod)
{
	const json_t *volumes = kube_at(pod, "spec.volumes");
	char owner[INVENTORY_TEXT_MAX + 1];
	char claim[KUBE_NAME_MAX + 1];

	if (pod_is_over(pod) || is_ours(kube_at(pod, "metadata.labels")))
		return;
	workload(pod, owner);
	for (size_t i = 0; i < json_array_size(volumes); i++) {
		const json_t *v = json_array_get(volumes, i);

		if (pod_volume_claim(pod, v, claim))
			keep(c, &c->users, kube_text_at(pod, "metadata.namespace"), claim, owner,
			     0);
		else
			put_pod_volume(c, pod, v, owner);
	}
}

/* ---- volumes ---- */

/* The driver of a volume, or the member that says what it is. */
static const char *driver_of(const json_t *volume)
{
	static const char *const others[] = { "capacity",
		                              "accessModes",
		                              "claimRef",
		                              "persistentVolumeReclaimPolicy",
		                              "storageClassName",
		                              "mountOptions",
		                              "volumeMode",
		                              "nodeAffinity",
		                              "volumeAttributesClassName",
		                              NULL };
	const char *driver = kube_text_at(volume, "spec.csi.driver");
	const char *member;
	json_t *o;

	if (*driver)
		return driver;
	json_object_foreach((json_t *)(uintptr_t)kube_at(volume, "spec"), member, o) {
		if (json_is_object(o) && !among(member, others))
			return member;
	}
	return "";
}

static void put_volume(struct coverage *c, const json_t *v)
{
	const char *ns = kube_text_at(v, "spec.claimRef.namespace");
	const char *claim = kube_text_at(v, "spec.claimRef.name");
	const char *phase = kube_text_at(v, "status.phase");
	const uint64_t bytes = bytes_at(v, "spec.capacity.storage");
	const char *driver = driver_of(v);
	char why[INVENTORY_TEXT_MAX];

	if (is_ours(kube_at(v, "metadata.labels")))
		return;
	if (strcmp(phase, "Bound") == 0) {
		keep(c, &c->volumes, ns, claim, driver, bytes);
		return;
	}
	if (*claim)
		(void)snprintf(why, sizeof(why),
		               "it was of the claim '%.63s/%.253s', and is of none now (%.40s)", ns,
		               claim, phase);
	else
		(void)snprintf(why, sizeof(why), "no claim has it (%.40s)", phase);
	const struct inventory_item item = {
		.kind = INVENTORY_VOLUME,
		.state = INVENTORY_EXPOSED,
		.reason = INVENTORY_UNCLAIMED,
		.bytes = bytes,
		.count = 1,
		.texts = { [INVENTORY_NAME] = kube_text_at(v, "metadata.name"),
		           [INVENTORY_CLASS] = kube_text_at(v, "spec.storageClassName"),
		           [INVENTORY_DRIVER] = driver,
		           [INVENTORY_WHY] = why },
	};
	if (c->why.class == ERR_NONE && inventory_add(&c->items, &item, &c->why) < 0)
		return;
}

/* ---- StatefulSets ---- */

static bool merge(json_t *to, const json_t *from)
{
	return !from || json_object_update(to, (json_t *)(uintptr_t)from) == 0;
}

static void put_template(struct coverage *c, const json_t *set, const json_t *from)
{
	const char *ns = kube_text_at(set, "metadata.namespace");
	const char *name = kube_text_at(set, "metadata.name");
	void *v = c->templates;
	const bool grown = grow(&v, c->ntemplates, &c->cap, sizeof(*c->templates));
	char made[KUBE_NAME_MAX + 1];
	char owner[INVENTORY_TEXT_MAX];

	c->templates = v;
	if (!grown) {
		no_memory(c);
		return;
	}
	struct template *t = &c->templates[c->ntemplates++];
	*t = (struct template){
		.ns = strdup(ns),
		.set = strdup(name),
		.name = strdup(kube_text_at(from, "metadata.name")),
		.class = strdup(kube_text_at(from, "spec.storageClassName")),
		.labels = json_object(),
		.annotations = json_object(),
		.bytes = bytes_at(from, "spec.resources.requests.storage"),
		.start = kube_number_at(set, "spec.ordinals.start", 0),
		.replicas = kube_number_at(set, "spec.replicas", 1),
	};
	if (!t->ns || !t->set || !t->name || !t->class ||
	    !merge(t->labels, kube_at(from, "metadata.labels")) ||
	    /* The set's own labels come on top: getPersistentVolumeClaims() of the controller. */
	    !merge(t->labels, kube_at(set, "spec.selector.matchLabels")) ||
	    !merge(t->annotations, kube_at(from, "metadata.annotations"))) {
		no_memory(c);
		return;
	}
	(void)snprintf(owner, sizeof(owner), "StatefulSet/%s", name);
	if (snprintf(made, sizeof(made), "%s-%s", t->name, name) < (int)sizeof(made))
		keep(c, &c->makers, ns, made, owner, 0);
}

static void put_set(struct coverage *c, const json_t *set)
{
	const json_t *templates = kube_at(set, "spec.volumeClaimTemplates");

	for (size_t i = 0; i < json_array_size(templates); i++)
		put_template(c, set, json_array_get(templates, i));
}

void coverage_put(struct coverage *c, enum coverage_kind kind, const json_t *object)
{
	switch (kind) {
	case COVERAGE_VOLUME:
		put_volume(c, object);
		break;
	case COVERAGE_POD:
		put_pod(c, object);
		break;
	case COVERAGE_SET:
	default:
		put_set(c, object);
		break;
	}
}

/* ---- judging ---- */

struct judged {
	struct policy_choice choice;
	char policy[2 * POLICY_NAME_MAX + 2];
	char why[INVENTORY_TEXT_MAX + 1];
};

/* What a policy means for a claim of this kind. */
static void judge(const struct world *w, const struct world_claim *claim,
                  struct inventory_item *item, struct judged *j)
{
	static const struct {
		enum inventory_state state;
		enum inventory_reason reason;
	} means[] = {
		[POLICY_PROTECTED] = { INVENTORY_PROTECTED, INVENTORY_BY_POLICY },
		[POLICY_PAUSED] = { INVENTORY_EXPOSED, INVENTORY_PAUSED },
		[POLICY_EXCLUDED] = { INVENTORY_EXCLUDED, INVENTORY_BY_OPT_OUT },
		[POLICY_NONE] = { INVENTORY_EXPOSED, INVENTORY_NO_POLICY },
		[POLICY_INVALID] = { INVENTORY_EXPOSED, INVENTORY_INVALID },
	};
	const struct policy_claim view = world_view(w, claim);

	j->choice = policy_choose(&w->list, w->agent_ns, &view);
	j->policy[0] = '\0';
	if (j->choice.policy)
		(void)snprintf(j->policy, sizeof(j->policy), "%s/%s", j->choice.policy->ns,
		               j->choice.policy->name);
	(void)snprintf(j->why, sizeof(j->why), "%.400s%s", j->choice.why,
	               claim->bound || item->kind != INVENTORY_CLAIM ? ""
	                                                             : "; it has no volume yet");
	item->state = means[j->choice.verdict].state;
	item->reason = means[j->choice.verdict].reason;
	if (j->choice.policy)
		item->rpo_s = (uint64_t)j->choice.policy->rpo_s;
	item->texts[INVENTORY_POLICY] = j->policy;
	item->texts[INVENTORY_WHY] = j->why;
}

/* Who uses a claim, or will: its pods, else the set that made it by a template. */
static const char *owner_of(const struct coverage *c, const struct world_key *k)
{
	const struct fact *user = find(&c->users, k->ns, k->name);
	const char *dash = strrchr(k->name, '-');
	char made[KUBE_NAME_MAX + 1];

	if (user)
		return user->text;
	if (!dash || !dash[1] || dash[1 + strspn(dash + 1, "0123456789")] != '\0')
		return "";
	(void)snprintf(made, sizeof(made), "%.*s", (int)(dash - k->name), k->name);
	user = find(&c->makers, k->ns, made);
	return user ? user->text : "";
}

static int add_claims(const struct coverage *c, const struct world *w, struct inventory *ret,
                      struct err *e)
{
	const struct world_shelf *s = &w->shelves[WORLD_CLAIMS];

	for (size_t i = 0; i < s->n; i++) {
		const struct world_claim *claim = (const struct world_claim *)s->v[i];
		const struct world_key *k = &claim->key;
		const struct fact *volume = find(&c->volumes, k->ns, k->name);
		struct inventory_item item = {
			.kind = INVENTORY_CLAIM,
			.bytes = volume && volume->bytes > 0 ? volume->bytes : claim->bytes,
			.count = 1,
			.texts = { [INVENTORY_NS] = k->ns,
			           [INVENTORY_NAME] = k->name,
			           [INVENTORY_OWNER] = owner_of(c, k),
			           [INVENTORY_CLASS] = claim->class,
			           [INVENTORY_DRIVER] = volume ? volume->text : NULL },
		};
		struct judged j;

		if (is_ours(claim->labels))
			continue;
		judge(w, claim, &item, &j);
		if (inventory_add(ret, &item, e) < 0)
			return -1;
	}
	return 0;
}

/* Claims of a template that are not there yet; *ret_first: the name of one. */
static uint64_t to_come(const struct world *w, const struct template *t,
                        char ret_first[KUBE_NAME_MAX + 1])
{
	char name[KUBE_NAME_MAX + 1];
	uint64_t n = 0;

	for (int64_t i = 0; i < t->replicas && i < COVERAGE_REPLICAS_MAX; i++) {
		if (snprintf(name, sizeof(name), "%s-%s-%lld", t->name, t->set,
		             (long long)(t->start + i)) >= (int)sizeof(name) ||
		    world_claim(w, t->ns, name))
			continue;
		if (n++ == 0)
			memcpy(ret_first, name, sizeof(name));
	}
	return n;
}

static int add_templates(const struct coverage *c, const struct world *w, struct inventory *ret,
                         struct err *e)
{
	for (size_t i = 0; i < c->ntemplates; i++) {
		const struct template *t = &c->templates[i];
		char name[KUBE_NAME_MAX + 1] = "";
		char owner[INVENTORY_TEXT_MAX];
		const uint64_t n = to_come(w, t, name);
		const struct world_claim claim = { .key = { .ns = t->ns, .name = name },
			                           .class = t->class,
			                           .labels = t->labels,
			                           .annotations = t->annotations };
		struct inventory_item item = {
			.kind = INVENTORY_TEMPLATE,
			.bytes = t->bytes,
			.count = n,
			.texts = { [INVENTORY_NS] = t->ns,
			           [INVENTORY_NAME] = t->name,
			           [INVENTORY_OWNER] = owner,
			           [INVENTORY_CLASS] = t->class },
		};
		struct judged j;

		if (n == 0)
			continue;
		(void)snprintf(owner, sizeof(owner), "StatefulSet/%s", t->set);
		judge(w, &claim, &item, &j);
		if (inventory_add(ret, &item, e) < 0)
			return -1;
	}
	return 0;
}

/* What pods have besides claims, of which their namespace may say that it does not count. */
static int add_items(const struct coverage *c, const struct world *w, struct inventory *ret,
                     struct err *e)
{
	char none[] = "";

	for (size_t i = 0; i < c->items.n; i++) {
		struct inventory_item item = c->items.v[i];
		const struct world_claim any = {
			.key = { .ns = (char *)(uintptr_t)item.texts[INVENTORY_NS], .name = none }
		};
		const struct policy_claim view = world_view(w, &any);

		if (item.reason == INVENTORY_UNPROTECTABLE && opted_out(view.ns_annotations)) {
			item.state = INVENTORY_EXCLUDED;
			item.reason = INVENTORY_BY_OPT_OUT;
			item.texts[INVENTORY_WHY] =
				"left out by the annotation aksdr.io/protect on "
				"its namespace";
		}
		if (inventory_add(ret, &item, e) < 0)
			return -1;
	}
	return 0;
}

int coverage_make(struct coverage *c, const struct world *w, struct inventory *ret, struct err *e)
{
	if (c->why.class != ERR_NONE) {
		*e = c->why;
		return -1;
	}
	sort(&c->users);
	sort(&c->volumes);
	sort(&c->makers);
	if (add_claims(c, w, ret, e) < 0 || add_templates(c, w, ret, e) < 0 ||
	    add_items(c, w, ret, e) < 0)
		return -1;
	return inventory_settle(ret, INVENTORY_ITEMS_MAX, e);
}
