/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums over the volumes of a class or a namespace against what is left. In the tool's namespace all
 * volumes are claims for a while, before they are handed over: as many as movers run, and more.
 */
#include "restore/preflight_room.h"

#include <string.h>

#include "common/num.h"
#include "restore/filler.h"
#include "snapshot/csi_objects.h"

#define OF_CLASS ".storageclass.storage.k8s.io/"
#define ENFORCE "pod-security.kubernetes.io/enforce"

static uint64_t sum(uint64_t a, uint64_t b)
{
	uint64_t c;

	return __builtin_add_overflow(a, b, &c) ? UINT64_MAX : c;
}

static const char *class_name(const struct preflight_facts *f, const struct preflight_volume *v)
{
	const json_t *class = *v->storage_class ? NULL : preflight_judge_class(f, v);

	return class ? kube_text_at(class, "metadata.name") : v->storage_class;
}

/* ---- capacity ---- */

/* What a driver says of a class, all segments together. */
struct room {
	size_t segments;
	uint64_t most_bytes, all_bytes; /* of one volume; of all: at most */
};
static struct room room_of(const struct preflight_facts *f, const char *class)
{
	struct room r = { 0, 0, 0 };
	size_t i;
	json_t *o;

	json_array_foreach(f->lists[FACTS_CAPACITIES], i, o) {
		int64_t all = csi_objects_bytes(kube_text_at(o, "capacity"));
		int64_t most = csi_objects_bytes(kube_text_at(o, "maximumVolumeSize"));

		if (strcmp(kube_text_at(o, "storageClassName"), class) != 0)
			continue;
		r.segments++;
		/* Of a segment without figures the driver says no more than that it is there. */
		if (all < 0 && most < 0)
			all = INT64_MAX;
		if (most < 0)
			most = all;
		if (all < 0)
			all = INT64_MAX;
		if ((uint64_t)most > r.most_bytes)
			r.most_bytes = (uint64_t)most;
		r.all_bytes = sum(r.all_bytes, (uint64_t)all);
	}
	return r;
}

static void judge_room(const struct preflight_params *p, const struct preflight_facts *f,
                       const char *class, struct findings *l)
{
	struct room r = room_of(f, class);
	uint64_t wanted = 0;
	struct finding *x;

	if (r.segments == 0) {
		x = finding_add(l, FINDING_WARNING, "CapacityUnknown", "StorageClass %s", class);
		finding_what(x, "its driver tells how much room it has, and tells of none for this "
		                "class: pods with its volumes are not scheduled");
		finding_remedy(x, "look at the driver's CSIStorageCapacity objects");
		return;
	}
	for (size_t i = 0; i < p->n; i++) {
		const struct preflight_volume *v = &p->volumes[i];

		if (strcmp(class_name(f, v), class) != 0)
			continue;
		wanted = sum(wanted, v->size_bytes);
		if (v->size_bytes <= r.most_bytes)
			continue;
		x = finding_add(l, FINDING_BLOCK, "VolumeTooLarge", "%s/%s", v->ns, v->name);
		finding_what(x,
		             "it wants %s, and the class '%.200s' makes volumes of %s at most "
		             "now",
		             num_bytes_text(v->size_bytes).s, class,
		             num_bytes_text(r.most_bytes).s);
		finding_remedy(x, "add storage, or name another class in the plan's "
		                  "mappings.storageClasses");
	}
	if (wanted <= r.all_bytes)
		return;
	x = finding_add(l, FINDING_BLOCK, "CapacityShort", "StorageClass %s", class);
	finding_what(x, "the volumes want %s together, and it has %s", num_bytes_text(wanted).s,
	             num_bytes_text(r.all_bytes).s);
	finding_remedy(x, "add storage, or name another class for some in the plan's "
	                  "mappings.storageClasses");
}

void preflight_room_capacity(const struct preflight_params *p, const struct preflight_facts *f,
                             struct findings *l)
{
	size_t i;
	json_t *class;

	if (!f->lists[FACTS_CAPACITIES])
		return;
	json_array_foreach(f->lists[FACTS_CLASSES], i, class) {
		const char *name = kube_text_at(class, "metadata.name");
		const json_t *driver = preflight_facts_find(f, FACTS_DRIVERS, NULL,
		                                            kube_text_at(class, "provisioner"));
		bool used = false;

		for (size_t k = 0; k < p->n && !used; k++)
			used = strcmp(class_name(f, &p->volumes[k]), name) == 0;
		/* Others may publish figures, too, which nobody goes by. */
		if (used && kube_true_at(driver, "spec.storageCapacity"))
			judge_room(p, f, name, l);
	}
}

/* ---- quotas ---- */

/* What a plan wants of a namespace. */
struct want {
	uint64_t claims, bytes, largest;
};
static struct want want_of(const struct preflight_params *p, const struct preflight_facts *f,
                           const char *ns, const char *class)
{
	struct want w = { 0, 0, 0 };

	for (size_t i = 0; i < p->n; i++) {
		const struct preflight_volume *v = &p->volumes[i];

		/* ns NULL: of all namespaces together. */
		if ((ns && strcmp(v->ns, ns) != 0) ||
		    (class && strcmp(class_name(f, v), class) != 0))
			continue;
		w.claims++;
		w.bytes = sum(w.bytes, v->size_bytes);
		if (v->size_bytes > w.largest)
			w.largest = v->size_bytes;
	}
	return w;
}

static int64_t left_of(const json_t *quota, const char *resource)
{
	const char *hard = json_string_value(
		json_object_get(kube_at(quota, "status.hard"), resource));
	const char *used = json_string_value(
		json_object_get(kube_at(quota, "status.used"), resource));
	int64_t most = hard ? csi_objects_bytes(hard) : -1;
	int64_t taken = used ? csi_objects_bytes(used) : 0;

	return most < 0 ? INT64_MAX : most > taken ? most - (taken > 0 ? taken : 0) : 0;
}

static struct finding *short_of(const json_t *quota, enum finding_severity severity,
                                struct findings *l)
{
	return finding_add(l, severity, "QuotaShort", "ResourceQuota %s/%s",
	                   kube_text_at(quota, "metadata.namespace"),
	                   kube_text_at(quota, "metadata.name"));
}

/*
 * One resource. least: without so much nothing at all goes; in the tool's namespace what is wanted
 * is there one after the other, so more than that is a warning.
 */
static void judge_left(const json_t *quota, const char *resource, bool bytes, uint64_t wanted,
                       uint64_t least, struct findings *l)
{
	int64_t left = left_of(quota, resource);
	struct finding *x;

	if (wanted <= (uint64_t)left)
		return;
	x = short_of(quota, least <= (uint64_t)left ? FINDING_WARNING : FINDING_BLOCK, l);
	if (bytes)
		finding_what(x, "of %.200s the plan wants %s, and %s are left", resource,
		             num_bytes_text(wanted).s, num_bytes_text((uint64_t)left).s);
	else
		finding_what(x, "of %.200s the plan wants %llu, and %lld are left", resource,
		             (unsigned long long)wanted, (long long)left);
	finding_remedy(x, "%s",
	               least <= (uint64_t)left
	                       ? "raise it: until then fewer volumes are restored at once"
	                       : "raise it, or restore to another namespace");
}

/* Of each class that is named: "CLASS.storageclass.storage.k8s.io/requests.storage", and claims. */
static void judge_classes(const struct preflight_params *p, const struct preflight_facts *f,
                          const json_t *quota, const char *ns, struct findings *l)
{
	const char *resource;
	json_t *ignored;

	/* the macro wants a pointer to what it does not change */
	json_object_foreach((json_t *)(uintptr_t)kube_at(quota, "status.hard"), resource, ignored) {
		const char *at = strstr(resource, OF_CLASS);
		char class[KUBE_NAME_MAX + 1];

		if (!at || (size_t)(at - resource) >= sizeof(class))
			continue;
		(void)snprintf(class, sizeof(class), "%.*s", (int)(at - resource), resource);
		const struct want w = want_of(p, f, ns, class);
		const char *what = at + strlen(OF_CLASS);
		if (strcmp(what, "requests.storage") == 0)
			judge_left(quota, resource, true, w.bytes, ns ? w.bytes : w.largest, l);
		else if (strcmp(what, "persistentvolumeclaims") == 0)
			judge_left(quota, resource, false, w.claims, ns ? w.claims : w.claims > 0,
			           l);
	}
}

/* Movers: one at least; of cpu and memory no more is known than that nothing is left. */
static void judge_movers(const struct preflight_params *p, const json_t *quota, struct findings *l)
{
	static const char *const resources[] = { "requests.cpu", "requests.memory",
		                                 "limits.cpu",   "limits.memory",
		                                 "cpu",          "memory" };
	uint64_t movers = p->n < 4 ? p->n : 4;

	if (json_array_size(kube_at(quota, "spec.scopes")) > 0 ||
	    kube_at(quota, "spec.scopeSelector"))
		return;
	judge_left(quota, "pods", false, movers, movers > 0, l);
	judge_left(quota, "count/pods", false, movers, movers > 0, l);
	for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
		if (left_of(quota, resources[i]) > 0)
			continue;
		struct finding *x = short_of(quota, FINDING_BLOCK, l);

		finding_what(x, "of %s nothing is left, so that no mover can run", resources[i]);
		finding_remedy(x, "raise it");
	}
}

void preflight_room_quotas(const struct preflight_params *p, const struct preflight_facts *f,
                           struct findings *l)
{
	size_t i;
	json_t *quota;

	json_array_foreach(f->lists[FACTS_QUOTAS], i, quota) {
		const char *at = kube_text_at(quota, "metadata.namespace");
		const bool own = strcmp(at, p->ns) == 0;
		const char *ns = own ? NULL : at;
		const struct want w = want_of(p, f, ns, NULL);

		judge_left(quota, "requests.storage", true, w.bytes, ns ? w.bytes : w.largest, l);
		judge_left(quota, "persistentvolumeclaims", false, w.claims,
		           ns ? w.claims : w.claims > 0, l);
		judge_left(quota, "count/persistentvolumeclaims", false, w.claims,
		           ns ? w.claims : w.claims > 0, l);
		judge_classes(p, f, quota, ns, l);
		if (own)
			judge_movers(p, quota, l);
	}
}

/* ---- namespaces ---- */

static bool is_going(const json_t *o)
{
	return *kube_text_at(o, "metadata.deletionTimestamp") ||
	       strcmp(kube_text_at(o, "status.phase"), "Terminating") == 0;
}

static void judge_own(const struct preflight_params *p, const struct preflight_facts *f,
                      struct findings *l)
{
	const json_t *o = preflight_facts_find(f, FACTS_NAMESPACES, NULL, p->ns);
	const char *level = json_string_value(
		json_object_get(kube_at(o, "metadata.labels"), ENFORCE));
	struct finding *x;

	if (!o) {
		x = finding_add(l, FINDING_BLOCK, "NamespaceMissing", "Namespace %s", p->ns);
		finding_what(x, "claims and movers of the restore would be there, and it is not");
		finding_remedy(x, "install the chart there, or name the namespace where it is");
	} else if (level && strcmp(level, "restricted") == 0) {
		x = finding_add(l, FINDING_BLOCK, "PodSecurityRestricted", "Namespace %s", p->ns);
		finding_what(x, "it enforces the level 'restricted', under which a mover cannot "
		                "give files their owners");
		finding_remedy(x, "kubectl label --overwrite namespace %.200s " ENFORCE "=baseline",
		               p->ns);
	}
}

void preflight_room_namespaces(const struct preflight_params *p, const struct preflight_facts *f,
                               struct findings *l)
{
	struct finding *x;

	if (!f->lists[FACTS_NAMESPACES])
		return;
	judge_own(p, f, l);
	for (size_t i = 0; i < f->nnamespaces; i++) {
		const char *ns = f->namespaces[i];
		const json_t *o = preflight_facts_find(f, FACTS_NAMESPACES, NULL, ns);

		if (o && is_going(o)) {
			x = finding_add(l, FINDING_BLOCK, "NamespaceGoing", "Namespace %s", ns);
			finding_what(x, "it is being deleted");
			finding_remedy(x, "wait until it is gone, or say in the plan's "
			                  "mappings.namespaces what it becomes");
		} else if (!o && strcmp(ns, p->ns) != 0) {
			x = finding_add(l, FINDING_NOTE, "NamespaceNew", "Namespace %s", ns);
			finding_what(x, "it is not there, and will be made");
		}
	}
}

/* ---- names ---- */

static bool is_of_run(const struct preflight_params *p, const json_t *claim)
{
	const char *run = json_string_value(
		json_object_get(kube_at(claim, "metadata.labels"), FILLER_LABEL_RUN));

	return p->run && run && strcmp(run, p->run) == 0;
}

static void judge_claim(const struct preflight_params *p, const json_t *claim, struct findings *l)
{
	const char *phase = kube_text_at(claim, "status.phase");
	const char *run = json_string_value(
		json_object_get(kube_at(claim, "metadata.labels"), FILLER_LABEL_RUN));
	const char *ns = kube_text_at(claim, "metadata.namespace");
	const char *name = kube_text_at(claim, "metadata.name");
	struct finding *x;

	if (is_of_run(p, claim))
		return;
	x = finding_add(l, FINDING_BLOCK, "ClaimExists", "%s/%s", ns, name);
	if (is_going(claim)) {
		finding_what(x, "a claim of that name is being deleted");
		finding_remedy(x, "wait until it is gone: a pod that uses it holds it");
	} else if (run) {
		finding_what(x, "a claim of that name is there, from the run %.32s", run);
		finding_remedy(x, "go on with that run; or delete the claim, and with it what was "
		                  "written since");
	} else if (strcmp(phase, "Pending") == 0) {
		finding_what(x, "a claim of that name waits for a volume");
		finding_remedy(x, "take it out of what deploys there until the restore is done, "
		                  "and delete it: nothing is in it");
	} else {
		finding_what(x, "a claim of that name is there, and has the volume '%.250s'",
		             kube_text_at(claim, "spec.volumeName"));
		finding_remedy(x, "delete it if nothing in it is wanted, or say in the plan's "
		                  "mappings.namespaces where to restore to");
	}
}

void preflight_room_names(const struct preflight_params *p, const struct preflight_facts *f,
                          struct findings *l)
{
	size_t i;
	json_t *o;

	json_array_foreach(f->lists[FACTS_CLAIMS], i, o)
		judge_claim(p, o, l);
	json_array_foreach(f->lists[FACTS_VOLUMES], i, o) {
		struct finding *x = finding_add(l, FINDING_NOTE, "VolumeReleased",
		                                "PersistentVolume %s",
		                                kube_text_at(o, "metadata.name"));

		finding_what(x,
		             "it was %.150s/%.150s before, and is kept; the restore makes a new "
		             "one",
		             kube_text_at(o, "spec.claimRef.namespace"),
		             kube_text_at(o, "spec.claimRef.name"));
	}
}
