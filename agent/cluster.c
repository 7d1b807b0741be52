/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rights come first: where one is missing that a later check needs, that check says so too, and
 * all others are made. What there is none of in the cluster has a remedy that is a command.
 */
#include "agent/cluster.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kube/review.h"
#include "snapshot/csi_class.h"

#define CRDS "helm show crds CHART | kubectl apply --server-side -f -"

static struct doctor_verdict advised(struct doctor_verdict v, const char *fmt, ...)
	PRINTF_LIKE(2, 3);
static struct doctor_verdict advised(struct doctor_verdict v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(v.remedy, sizeof(v.remedy), fmt, ap);
	va_end(ap);
	return v;
}

static void tell(const struct cluster_examine *x, const char *check, struct doctor_verdict v)
{
	x->tell(x->arg, CLUSTER_GROUP, check, &v);
}

/* Errors that end all checks; others are told, and the next one is made. */
static bool ends(const struct err *e)
{
	return e->class == ERR_NOMEM || e->class == ERR_CANCELLED;
}

/* ---- rights ---- */

struct doctor_verdict cluster_judge_missing(const struct rights_rule *rule, const char *verb,
                                            const char *ns)
{
	struct doctor_verdict v;
	const char *dot = rule->group[0] ? "." : "";

	if (ns)
		v = doctor_say(DOCTOR_FAILED, "may not %s %s%s%s in the namespace '%s'", verb,
		               rule->resource, dot, rule->group, ns);
	else
		v = doctor_say(DOCTOR_FAILED, "may not %s %s%s%s in the cluster", verb,
		               rule->resource, dot, rule->group);
	if (rule->where == RIGHTS_HOOKS)
		return advised(v, "%s; give it by the chart's rbac.hooks", rule->lost);
	if (rule->where == RIGHTS_PAGE)
		return advised(v, "%s; the chart's page.enabled gives it", rule->lost);
	return advised(v, "%s; the chart gives it, unless rbac.create is off", rule->lost);
}

struct tally {
	unsigned asked, missing;
};

struct asked_rule {
	const struct cluster_examine *x;
	const struct rights_rule *rule;
	const char *ns;
};

static void missing(void *arg, const char *verb)
{
	const struct asked_rule *a = arg;

	tell(a->x, "right", cluster_judge_missing(a->rule, verb, a->ns));
}

/* All verbs of a rule in one namespace, or in the cluster. */
static int ask_rule(const struct cluster_examine *x, const struct rights_rule *rule, const char *ns,
                    struct tally *t, struct err *e)
{
	struct asked_rule a = { x, rule, ns };
	const struct review_verbs r = { .group = rule->group,
		                        .resource = rule->resource,
		                        .verbs = rule->verbs,
		                        .ns = ns,
		                        .missing = missing,
		                        .arg = &a };
	unsigned asked, lacking;

	if (review_self_verbs(x->kube, &r, &asked, &lacking, e) < 0)
		return -1;
	t->asked += asked;
	t->missing += lacking;
	return 0;
}

static int ask_hooks(const struct cluster_examine *x, const struct rights_rule *rule,
                     struct tally *t, struct err *e)
{
	for (size_t i = 0; i < x->nhooks; i++) {
		const char *ns = strcmp(x->hooks[i], "all") == 0 ? NULL : x->hooks[i];

		if (ask_rule(x, rule, ns, t, e) < 0)
			return -1;
	}
	return 0;
}

static int ask_rights(const struct cluster_examine *x, struct tally *t, struct err *e)
{
	size_t n;
	const struct rights_rule *rules = rights_rules(&n);

	for (size_t i = 0; i < n; i++) {
		if (rules[i].where == RIGHTS_PAGE && !x->page)
			continue;
		int rc = rules[i].where == RIGHTS_HOOKS
		                 ? ask_hooks(x, &rules[i], t, e)
		                 : ask_rule(x, &rules[i],
		                            rules[i].where == RIGHTS_OWN ? x->ns : NULL, t, e);

		if (rc < 0)
			return -1;
	}
	return 0;
}

static int tell_rights(const struct cluster_examine *x, struct err *e)
{
	struct tally t = { 0, 0 };
	struct err why = ERR_INIT;

	if (ask_rights(x, &t, &why) < 0) {
		tell(x, "rights", doctor_say(DOCTOR_FAILED, "%s", why.msg));
		return ends(&why) ? (*e = why, -1) : 0;
	}
	if (t.missing == 0)
		tell(x, "rights", doctor_say(DOCTOR_OK, "all %u are given", t.asked));
	else
		tell(x, "rights",
		     advised(doctor_say(DOCTOR_FAILED, "%u of %u are missing", t.missing, t.asked),
		             "see above"));
	return 0;
}

/* ---- what there is ---- */

static int keep(void *arg, const json_t *object, struct err *e)
{
	json_t *list = arg;

	/* A copy: what is borrowed is const, and a reference would not be. */
	if (json_array_append_new(list, json_deep_copy(object)) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a list of objects");
	return 0;
}

/* All objects of a kind in a new array. */
static json_t *all_of(const struct cluster_examine *x, const struct kube_kind *kind, struct err *e)
{
	const struct kube_select everything = { .ns = NULL };
	auto_json json_t *list = json_array();

	if (!list) {
		err_set(e, ERR_NOMEM, "no memory for a list of objects");
		return NULL;
	}
	return kube_list(x->kube, kind, &everything, keep, list, NULL, e) < 0 ? NULL : STEAL(&list);
}

static void tell_server(const struct cluster_examine *x, bool *ret_there)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(64 * KIB);
	struct err why = ERR_INIT;

	*ret_there = kube_text(x->kube, "/version", &text, &why) == 0;
	if (!*ret_there) {
		tell(x, "API server",
		     advised(doctor_say(DOCTOR_FAILED, "%s", why.msg),
		             "the network policy of the chart lets agents reach "
		             "networkPolicy.apiPorts; is the server at another port?"));
		return;
	}
	auto_json json_t *version = json_loadb((const char *)text.data, text.len, 0, NULL);
	const char *git = kube_text_at(version, "gitVersion");
	tell(x, "API server",
	     doctor_say(DOCTOR_OK, "%s; we are in the namespace '%s'", *git ? git : "answers",
	                x->ns));
}

struct doctor_verdict cluster_judge_policies(size_t policies)
{
	if (policies == 0)
		return advised(doctor_say(DOCTOR_WARNING, "there is none, so nothing is backed up"),
		               "apply a BackupPolicy, or name some in the chart's policies");
	return doctor_say(DOCTOR_OK, "%zu", policies);
}

static int tell_policies(const struct cluster_examine *x, struct err *e)
{
	struct err why = ERR_INIT;
	auto_json json_t *policies = all_of(x, &kube_policy, &why);

	if (policies) {
		tell(x, "policies", cluster_judge_policies(json_array_size(policies)));
		return 0;
	}
	if (ends(&why)) {
		*e = why;
		return -1;
	}
	struct doctor_verdict v = doctor_say(DOCTOR_FAILED, "%s", why.msg);
	if (why.os == ENOTSUP)
		v = advised(doctor_say(DOCTOR_FAILED, "the cluster does not know BackupPolicy"),
		            "%s", CRDS);
	tell(x, "policies", v);
	return 0;
}

/* ---- snapshots ---- */

struct doctor_verdict cluster_judge_driver(const char *driver, const json_t *classes)
{
	struct err why = ERR_INIT;
	const char *class = csi_class_choose(classes, driver, NULL, &why);

	if (class)
		return doctor_say(DOCTOR_OK, "snapshots by the class '%s'", class);
	return advised(doctor_say(DOCTOR_WARNING,
	                          "%s: its volumes are read while others write to them, and "
	                          "their points are fuzzy",
	                          why.msg),
	               "where the driver has snapshots, make a VolumeSnapshotClass (the chart's "
	               "snapshotClasses), or label one of several aksdr.io/use=true");
}

/* Each driver once, by the StorageClasses. */
static void tell_drivers(const struct cluster_examine *x, const json_t *storage,
                         const json_t *classes)
{
	for (size_t i = 0; i < json_array_size(storage); i++) {
		const json_t *class = json_array_get(storage, i);
		const char *driver = kube_text_at(class, "provisioner");
		char check[128];
		bool told = false;

		for (size_t k = 0; k < i && !told; k++)
			told = strcmp(kube_text_at(json_array_get(storage, k), "provisioner"),
			              driver) == 0;
		if (told || !*driver)
			continue;
		(void)snprintf(check, sizeof(check), "driver %s", driver);
		tell(x, check, cluster_judge_driver(driver, classes));
	}
}

static int tell_snapshots(const struct cluster_examine *x, struct err *e)
{
	struct err why = ERR_INIT;
	auto_json json_t *classes = all_of(x, &kube_snapshot_class, &why);
	auto_json json_t *storage = classes ? all_of(x, &kube_storage_class, &why) : NULL;

	if (storage) {
		tell_drivers(x, storage, classes);
		return 0;
	}
	if (ends(&why)) {
		*e = why;
		return -1;
	}
	struct doctor_verdict v = doctor_say(DOCTOR_FAILED, "%s", why.msg);
	if (why.os == ENOTSUP)
		v = advised(doctor_say(DOCTOR_WARNING,
		                       "the cluster does not know VolumeSnapshots: all volumes are "
		                       "read while others write to them, and their points are "
		                       "fuzzy"),
		            "install the snapshot controller and its CRDs; on AKS: az aks update "
		            "--enable-snapshot-controller");
	tell(x, "snapshots", v);
	return 0;
}

int cluster_examine(const struct cluster_examine *x, struct err *e)
{
	bool there = false;

	tell_server(x, &there);
	if (!there)
		return 0;
	if (tell_rights(x, e) < 0 || tell_policies(x, e) < 0)
		return -1;
	return tell_snapshots(x, e);
}
