/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classes, zones, snapshots, images, store and key. A finding is of what has to be put right, not
 * of each volume that it hurts: these are counted, and the first one is named.
 */
#include "restore/preflight_judge.h"

#include <string.h>

#include "common/now.h"
#include "common/num.h"
#include "snapshot/csi_class.h"

#define DEFAULT_CLASS "storageclass.kubernetes.io/is-default-class"
#define ZONE "topology.kubernetes.io/zone"
#define LAG_WARN_NS (INT64_C(3600) * 1000000000)

static const char *name_of(const json_t *o)
{
	return kube_text_at(o, "metadata.name");
}

/* ---- classes ---- */

static bool is_default(const json_t *class)
{
	const char *v = json_string_value(
		json_object_get(kube_at(class, "metadata.annotations"), DEFAULT_CLASS));

	return v && strcmp(v, "true") == 0;
}

/* As the API server chooses: of several the newest, of as old ones the first by name. */
static const json_t *default_class(const struct preflight_facts *f, size_t *ret_n)
{
	const json_t *best = NULL;
	size_t i, n = 0;
	json_t *class;

	json_array_foreach(f->lists[FACTS_CLASSES], i, class) {
		if (!is_default(class))
			continue;
		n++;
		int c = best ? strcmp(kube_text_at(class, "metadata.creationTimestamp"),
		                      kube_text_at(best, "metadata.creationTimestamp"))
		             : 1;
		if (c > 0 || (c == 0 && strcmp(name_of(class), name_of(best)) < 0))
			best = class;
	}
	*ret_n = n;
	return best;
}

const json_t *preflight_judge_class(const struct preflight_facts *f,
                                    const struct preflight_volume *v)
{
	size_t n;

	return *v->storage_class ? preflight_facts_find(f, FACTS_CLASSES, NULL, v->storage_class)
	                         : default_class(f, &n);
}

/* Whether volume i is the first one of its class. */
static bool first_of_class(const struct preflight_params *p, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(p->volumes[k].storage_class, p->volumes[i].storage_class) == 0)
			return false;
	return true;
}

static size_t count_class(const struct preflight_params *p, const char *class)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += strcmp(p->volumes[i].storage_class, class) == 0;
	return n;
}

/* "3 volumes, as shop/orders" */
struct who {
	char s[600];
};
static struct who who(const struct preflight_volume *v, size_t n)
{
	struct who w;

	if (n == 1)
		(void)snprintf(w.s, sizeof(w.s), "%.253s/%.253s", v->ns, v->name);
	else
		(void)snprintf(w.s, sizeof(w.s), "%zu volumes, as %.253s/%.253s", n, v->ns,
		               v->name);
	return w;
}

/* Drivers that took over what was in the tree of Kubernetes; and what a driver cannot do. */
static const struct {
	const char *old, *driver;
	bool file; /* it makes file shares: many writers, and no blocks */
} drivers[] = {
	{ "kubernetes.io/azure-disk", "disk.csi.azure.com", false },
	{ "kubernetes.io/azure-file", "file.csi.azure.com", true },
	{ "kubernetes.io/aws-ebs", "ebs.csi.aws.com", false },
	{ "kubernetes.io/gce-pd", "pd.csi.storage.gke.io", false },
	{ "", "efs.csi.aws.com", true },
	{ "", "filestore.csi.storage.gke.io", true },
	{ "", "nfs.csi.k8s.io", true },
};

static const char *driver_of(const json_t *class)
{
	const char *provisioner = kube_text_at(class, "provisioner");

	for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
		if (strcmp(provisioner, drivers[i].old) == 0)
			return drivers[i].driver;
	return provisioner;
}

static bool has_mode(const struct preflight_volume *v, const char *mode)
{
	for (size_t i = 0; i < v->naccess_modes; i++)
		if (strcmp(v->access_modes[i], mode) == 0)
			return true;
	return false;
}

static void judge_driver(const struct preflight_params *p, const struct preflight_facts *f,
                         const json_t *class, size_t first, struct findings *l)
{
	const char *driver = driver_of(class);
	struct finding *x;

	if (strcmp(driver, "kubernetes.io/no-provisioner") == 0) {
		x = finding_add(l, FINDING_BLOCK, "ClassMakesNoVolumes", "StorageClass %s",
		                name_of(class));
		finding_what(x, "it has no provisioner, so that no volumes are made for claims");
		finding_remedy(x, "name another class in the plan's mappings.storageClasses");
		return;
	}
	if (f->lists[FACTS_DRIVERS] && !preflight_facts_find(f, FACTS_DRIVERS, NULL, driver)) {
		x = finding_add(l, FINDING_WARNING, "CSIDriverMissing", "StorageClass %s",
		                name_of(class));
		finding_what(x, "there is no CSIDriver '%.200s', which %.250s would need", driver,
		             who(&p->volumes[first],
		                 count_class(p, p->volumes[first].storage_class))
		                     .s);
		finding_remedy(x, "install the driver, unless its provisioner needs no CSIDriver");
	}
	if (strcmp(kube_text_at(class, "reclaimPolicy"), "Retain") != 0) {
		x = finding_add(l, FINDING_NOTE, "ReclaimDelete", "StorageClass %s",
		                name_of(class));
		finding_what(x, "who deletes a claim of it deletes the volume, too");
	}
}

/* What this driver cannot make. */
static void judge_volume(const struct preflight_volume *v, const json_t *class, struct findings *l)
{
	const char *driver = driver_of(class);
	struct finding *x;

	for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
		if (strcmp(drivers[i].driver, driver) != 0)
			continue;
		if (drivers[i].file && v->block) {
			x = finding_add(l, FINDING_BLOCK, "BlockUnsupported", "%s/%s", v->ns,
			                v->name);
			finding_what(x,
			             "it is a block volume, and the driver '%s' of the class "
			             "'%.200s' makes file systems",
			             driver, name_of(class));
			finding_remedy(x, "name another class in the plan's "
			                  "mappings.storageClasses");
		} else if (!drivers[i].file && !v->block &&
		           (has_mode(v, "ReadWriteMany") || has_mode(v, "ReadOnlyMany"))) {
			x = finding_add(l, FINDING_BLOCK, "AccessModeUnsupported", "%s/%s", v->ns,
			                v->name);
			finding_what(x,
			             "it is for several nodes at once, and the driver '%s' of "
			             "the class '%.200s' makes volumes for one",
			             driver, name_of(class));
			finding_remedy(x, "name another class in the plan's "
			                  "mappings.storageClasses, or another mode in "
			                  "mappings.accessModes");
		}
		return;
	}
}

static void judge_missing(const struct preflight_params *p, size_t first, struct findings *l)
{
	const struct preflight_volume *v = &p->volumes[first];
	const char *class = v->storage_class;
	struct finding *x;

	if (*class) {
		x = finding_add(l, FINDING_BLOCK, "StorageClassMissing", "StorageClass %s", class);
		finding_what(x, "it is not there, and wanted by %.450s",
		             who(v, count_class(p, class)).s);
		finding_remedy(x, "make it, or say in the plan's mappings.storageClasses what it "
		                  "becomes");
		return;
	}
	x = finding_add(l, FINDING_BLOCK, "DefaultClassMissing", "StorageClass");
	finding_what(x, "the cluster has no default class, which is wanted by %.400s",
	             who(v, count_class(p, class)).s);
	finding_remedy(x, "annotate a class with " DEFAULT_CLASS "=true");
}

void preflight_judge_classes(const struct preflight_params *p, const struct preflight_facts *f,
                             struct findings *l)
{
	size_t defaults;

	if (!f->lists[FACTS_CLASSES])
		return;
	const json_t *usual = default_class(f, &defaults);
	for (size_t i = 0; i < p->n; i++) {
		const struct preflight_volume *v = &p->volumes[i];
		const json_t *class = preflight_judge_class(f, v);

		if (!class && first_of_class(p, i))
			judge_missing(p, i, l);
		if (!class)
			continue;
		if (first_of_class(p, i))
			judge_driver(p, f, class, i, l);
		judge_volume(v, class, l);
		if (!*v->storage_class && defaults > 1 && first_of_class(p, i)) {
			struct finding *x = finding_add(l, FINDING_WARNING, "SeveralDefaultClasses",
			                                "StorageClass %s", name_of(usual));

			finding_what(x,
			             "%zu classes are the default one; claims get this one, "
			             "since it is the newest",
			             defaults);
			finding_remedy(x, "leave " DEFAULT_CLASS "=true at one of them");
		}
	}
}

/* ---- zones and nodes ---- */

static bool is_ready(const json_t *node)
{
	size_t i;
	json_t *c;

	if (kube_true_at(node, "spec.unschedulable"))
		return false;
	json_array_foreach(kube_at(node, "status.conditions"), i, c) {
		if (strcmp(kube_text_at(c, "type"), "Ready") == 0)
			return strcmp(kube_text_at(c, "status"), "True") == 0;
	}
	return false;
}

/* A label of a node; what is a zone in the words of a driver is one in those of Kubernetes, too. */
static const char *label_of(const json_t *node, const char *key)
{
	const json_t *labels = kube_at(node, "metadata.labels");
	const char *v = json_string_value(json_object_get(labels, key));
	size_t n = strlen(key);

	if (!v && n > 5 && strcmp(key + n - 5, "/zone") == 0)
		v = json_string_value(json_object_get(labels, ZONE));
	return v ? v : "";
}

static bool is_among(const json_t *texts, const char *text)
{
	size_t i;
	json_t *v;

	json_array_foreach(texts, i, v) {
		if (json_is_string(v) && strcmp(json_string_value(v), text) == 0)
			return true;
	}
	return false;
}

static bool term_fits(const json_t *term, const json_t *node)
{
	size_t i;
	json_t *x;

	json_array_foreach(json_object_get(term, "matchLabelExpressions"), i, x) {
		if (!is_among(json_object_get(x, "values"), label_of(node, kube_text_at(x, "key"))))
			return false;
	}
	return true;
}

/* Whether volumes of the class can be where this node is. */
static bool class_fits(const json_t *class, const json_t *node)
{
	const json_t *terms = json_object_get(class, "allowedTopologies");
	size_t i;
	json_t *term;

	if (json_array_size(terms) == 0)
		return true;
	json_array_foreach(terms, i, term) {
		if (term_fits(term, node))
			return true;
	}
	return false;
}

/* Whether the node is in one of the zones that a volume must be in. */
static bool zone_fits(const struct preflight_volume *v, const json_t *node)
{
	for (size_t i = 0; i < v->nzones; i++)
		if (strcmp(label_of(node, ZONE), v->zones[i]) == 0)
			return true;
	return v->nzones == 0;
}

/* Ready nodes that are in a zone of the volume, and of them those that the class allows. */
struct fit {
	size_t zone, both, class;
};
static struct fit fit_of(const struct preflight_facts *f, const struct preflight_volume *v,
                         const json_t *class)
{
	struct fit n = { 0, 0, 0 };
	size_t i;
	json_t *node;

	json_array_foreach(f->lists[FACTS_NODES], i, node) {
		if (!is_ready(node))
			continue;
		bool zone = zone_fits(v, node), allowed = !class || class_fits(class, node);
		n.zone += zone;
		n.class += allowed;
		n.both += zone && allowed;
	}
	return n;
}

/* "northeurope-1 or northeurope-2" */
static void join_zones(const struct preflight_volume *v, char *ret, size_t max)
{
	size_t at = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < v->nzones && at < max; i++) {
		int n = snprintf(ret + at, max - at, "%s%.100s", i ? " or " : "", v->zones[i]);

		at += n > 0 ? (size_t)n : 0;
	}
}

static void judge_zone(const struct preflight_facts *f, const struct preflight_volume *v,
                       struct findings *l)
{
	const json_t *class = preflight_judge_class(f, v);
	struct fit n = fit_of(f, v, class);
	char zones[320];
	struct finding *x;

	join_zones(v, zones, sizeof(zones));
	if (n.zone == 0) {
		x = finding_add(l, FINDING_BLOCK, "ZoneMissing", "%s/%s", v->ns, v->name);
		finding_what(x, "it must be in the zone %s, and no node that is ready is there",
		             zones);
		finding_remedy(x, "add nodes there, or say in the plan's mappings.zones which zone "
		                  "it becomes");
	} else if (n.class == 0) {
		x = finding_add(l, FINDING_BLOCK, "ClassNotHere", "StorageClass %s",
		                name_of(class));
		finding_what(x,
		             "its allowedTopologies fit no node that is ready; %.253s/%.100s "
		             "wants it",
		             v->ns, v->name);
		finding_remedy(x, "name another class in the plan's mappings.storageClasses");
	} else if (n.both == 0) {
		x = finding_add(l, FINDING_BLOCK, "ZoneNotAllowed", "%s/%s", v->ns, v->name);
		finding_what(x, "the class '%.150s' makes no volumes in the zone %.300s",
		             name_of(class), zones);
		finding_remedy(x, "name another class in the plan's mappings.storageClasses, or "
		                  "another zone in mappings.zones");
	}
}

void preflight_judge_zones(const struct preflight_params *p, const struct preflight_facts *f,
                           struct findings *l)
{
	const struct preflight_volume anywhere = { .nzones = 0 };

	if (!f->lists[FACTS_NODES])
		return;
	if (fit_of(f, &anywhere, NULL).zone == 0) {
		struct finding *x = finding_add(l, FINDING_BLOCK, "NoNodes", "Nodes");

		finding_what(x, "of %zu nodes none is ready and takes pods",
		             json_array_size(f->lists[FACTS_NODES]));
		finding_remedy(x, "start or uncordon some: movers run there");
		return;
	}
	for (size_t i = 0; i < p->n; i++)
		judge_zone(f, &p->volumes[i], l);
}

/* ---- snapshots ---- */

void preflight_judge_snapshots(const struct preflight_params *p, const struct preflight_facts *f,
                               struct findings *l)
{
	struct finding *x;

	if (f->unknown[FACTS_SNAPSHOTS]) {
		x = finding_add(l, FINDING_WARNING, "SnapshotsUnknown", "VolumeSnapshotClasses");
		finding_what(x, "the cluster does not know snapshots: backups that follow would "
		                "be fuzzy");
		finding_remedy(x, "install the snapshot controller and its CRDs; on AKS: az aks "
		                  "update --enable-snapshot-controller");
		return;
	}
	if (!f->lists[FACTS_SNAPSHOTS] || !f->lists[FACTS_CLASSES])
		return;
	for (size_t i = 0; i < p->n; i++) {
		const json_t *class = preflight_judge_class(f, &p->volumes[i]);
		struct err why = ERR_INIT;

		if (!class || !first_of_class(p, i) ||
		    csi_class_choose(f->lists[FACTS_SNAPSHOTS], driver_of(class), NULL, &why))
			continue;
		x = finding_add(l, FINDING_WARNING, "SnapshotClassMissing", "StorageClass %s",
		                name_of(class));
		finding_what(x, "backups of its volumes that follow would be fuzzy: %.400s",
		             why.msg);
		finding_remedy(x, "make a VolumeSnapshotClass (the chart's snapshotClasses), or "
		                  "label one of several aksdr.io/use=true");
	}
}

/* ---- images ---- */

void preflight_judge_image(const char *image, const struct registry_result *r, struct findings *l)
{
	struct finding *x;

	switch (r->answer) {
	case REGISTRY_THERE:
		return;
	case REGISTRY_MISSING:
	case REGISTRY_OTHER:
		x = finding_add(l, FINDING_BLOCK,
		                r->answer == REGISTRY_MISSING ? "ImageMissing" : "ImageOther",
		                "Image %s", image);
		finding_what(x, "pods that use it cannot start: %.400s", r->why);
		finding_remedy(x, "copy it there (az acr import, or a geo-replicated registry), or "
		                  "name the secondary's registry in the plan's "
		                  "mappings.registries");
		return;
	case REGISTRY_DENIED:
		x = finding_add(l, FINDING_WARNING, "ImageNotLooked", "Image %s", image);
		finding_what(x, "%.500s", r->why);
		finding_remedy(x, "log in there (az acr login, docker login) or give "
		                  "--registry-config; what nodes pull with is not known here");
		return;
	case REGISTRY_UNKNOWN:
	default:
		x = finding_add(l, FINDING_WARNING, "ImageNotLooked", "Image %s", image);
		finding_what(x, "%.500s", r->why);
		finding_remedy(x, "look whether the nodes reach the registry");
	}
}

/* ---- key and store ---- */

void preflight_judge_key(const struct keys *k, bool fences, struct findings *l)
{
	struct finding *x;

	if (!k->has_recovery) {
		x = finding_add(l, FINDING_BLOCK, "KeyCannotRestore", "Key");
		finding_what(x, "this key reads no contents");
		finding_remedy(x, "use a recovery key");
	} else if (fences && !(k->kind == KEY_RECOVERY && k->has_sign)) {
		x = finding_add(l, FINDING_BLOCK, "KeyCannotFence", "Key");
		finding_what(x, "this recovery key reads, and cannot fence the primary");
		finding_remedy(x, "use the recovery key that `aksdr-agent init` made");
	}
}

void preflight_judge_store(bool away, const struct store_cut *cut, int64_t now_ns, bool fences,
                           struct findings *l)
{
	struct finding *x;
	int64_t lag_ns = (cut->at_ns > 0 ? cut->at_ns : now_ns) - cut->cut_ns;

	if (away) {
		x = finding_add(l, fences ? FINDING_BLOCK : FINDING_WARNING, "StoreAway", "Store");
		finding_what(x, "its first region does not answer: the second one is read, and "
		                "nothing can be written");
		finding_remedy(x, "fail the account over, or name the store that is left: a fence "
		                  "must be written");
		return;
	}
	/* The plan has said what follows of it. */
	if (finding_has(l, "NoSecondRegion") || finding_has(l, "SecondRegionUnknown"))
		return;
	if (cut->kind == CUT_NONE) {
		x = finding_add(l, FINDING_NOTE, "NoSecondRegion", "Store");
		finding_what(x, "it has no second region that is known: what it loses is lost");
	} else if (cut->kind == CUT_UNKNOWN || (cut->cut_ns == 0 && cut->behind > 0) ||
	           (cut->cut_ns == 0 && cut->kind == CUT_LAST_SYNC)) {
		x = finding_add(l, FINDING_WARNING, "SecondRegionUnknown", "Store");
		finding_what(x, "how far its second region is, is not known now");
		finding_remedy(x, "look at aksdr-agent doctor");
	} else if (cut->cut_ns > 0 && lag_ns > LAG_WARN_NS) {
		x = finding_add(l, FINDING_WARNING, "SecondRegionBehind", "Store");
		finding_what(x, "its second region has everything up to %s, which is %s ago",
		             now_rfc3339(cut->cut_ns).s, num_duration_text(lag_ns / 1000000000).s);
		finding_remedy(x, "look at the replication: usual is below 15 minutes");
	}
}

/* The next number of a version, and the dot behind it. */
static unsigned number(const char **at)
{
	unsigned n = 0;

	for (; **at >= '0' && **at <= '9'; (*at)++)
		n = n < 1000000 ? n * 10 + (unsigned)(**at - '0') : n;
	*at += **at == '.';
	return n;
}

bool preflight_judge_is_later(const char *agent, const char *ours)
{
	const char *a = strncmp(agent, "aksdr ", 6) == 0 ? agent + 6 : agent;

	for (int i = 0; i < 3; i++) {
		if (*a < '0' || *a > '9')
			return false;
		unsigned theirs = number(&a), mine = number(&ours);

		if (theirs != mine)
			return theirs > mine;
	}
	return false;
}
