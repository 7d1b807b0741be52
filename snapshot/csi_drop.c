/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing what views are made of. It is asked for everything at once, and looked at until it is
 * gone: what appears late, as the content of a snapshot that was not made yet, is met then.
 *
 * The data of a snapshot goes with the source alone, and a volume only with the clone that it was
 * made for: whatever the policies of classes say, both are set to Delete for these, and for no
 * others. Another name of a volume (a twin) never takes it along.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/now.h"
#include "snapshot/csi.h"
#include "snapshot/csi_objects.h"

#define LOOK_MS 200

static const struct kube_kind *const kinds[] = { &kube_pod, &kube_pvc, &kube_pv, &kube_snapshot,
	                                         &kube_snapshot_content };

struct name {
	const struct kube_kind *kind;
	char ns[KUBE_NAME_MAX + 1], name[KUBE_NAME_MAX + 1];
};

/* "PLURAL/NS/NAME" or "PLURAL/NAME" of what we make: false for anything else. */
static bool parse(const char *text, struct name *ret)
{
	const char *slash = text ? strchr(text, '/') : NULL;

	*ret = (struct name){ .kind = NULL };
	for (size_t i = 0; slash && i < ARRAY_LEN(kinds); i++)
		if (strncmp(text, kinds[i]->plural, (size_t)(slash - text)) == 0 &&
		    !kinds[i]->plural[slash - text])
			ret->kind = kinds[i];
	if (!ret->kind)
		return false;
	text = slash + 1;
	if (!ret->kind->cluster) {
		slash = strchr(text, '/');
		if (!slash || slash == text || (size_t)(slash - text) > KUBE_NAME_MAX)
			return false;
		memcpy(ret->ns, text, (size_t)(slash - text));
		text = slash + 1;
	}
	if (strncmp(text, "aksdr-", 6) != 0 || strchr(text, '/') || strlen(text) > KUBE_NAME_MAX)
		return false;
	memcpy(ret->name, text, strlen(text));
	return true;
}

static const char *label(const json_t *o, const char *name)
{
	const char *v = json_string_value(json_object_get(kube_at(o, "metadata.labels"), name));

	return v ? v : "";
}

static bool has_role(const json_t *o, const char *role)
{
	return strcmp(label(o, CSI_LABEL_ROLE), role) == 0;
}

/* Sets a member of the object's spec to "Delete". One that is gone is fine. */
static int let_go(struct kube *k, const struct kube_kind *kind, const char *name,
                  const char *member, struct err *e)
{
	auto_json json_t *patch = json_pack("{s:{s:s}}", "spec", member, "Delete");
	struct err why = ERR_INIT;

	if (!patch)
		return err_set(e, ERR_NOMEM, "no memory for a patch");
	if (kube_patch(k, kind, NULL, name, NULL, KUBE_MERGE, patch, NULL, &why) == 0 ||
	    why.class == ERR_NOT_FOUND)
		return 0;
	*e = why;
	return -1;
}

/* What a clone's class keeps would stay for ever. */
static int let_volume_go(struct kube *k, const json_t *clone, struct err *e)
{
	const char *volume = kube_text_at(clone, "spec.volumeName");
	auto_json json_t *pv = NULL;
	struct err why = ERR_INIT;

	if (!*volume)
		return 0;
	if (kube_get(k, &kube_pv, NULL, volume, &pv, &why) < 0) {
		if (why.class == ERR_NOT_FOUND)
			return 0;
		*e = why;
		return -1;
	}
	if (strcmp(kube_text_at(pv, "spec.persistentVolumeReclaimPolicy"), "Delete") == 0 ||
	    strcmp(kube_text_at(pv, "spec.claimRef.uid"), kube_text_at(clone, "metadata.uid")) != 0)
		return 0;
	return let_go(k, &kube_pv, volume, "persistentVolumeReclaimPolicy", e);
}

static int let_data_go(struct kube *k, const json_t *source, struct err *e)
{
	const char *content = kube_text_at(source, "status.boundVolumeSnapshotContentName");

	return *content ? let_go(k, &kube_snapshot_content, content, "deletionPolicy", e) : 0;
}

/* *ret_gone: it is not there, not ours, or a base. */
static int drop_one(struct kube *k, const struct name *n, bool *ret_gone, struct err *e)
{
	const char *ns = n->kind->cluster ? NULL : n->ns;
	auto_json json_t *o = NULL;
	struct err why = ERR_INIT;

	*ret_gone = false;
	if (kube_get(k, n->kind, ns, n->name, &o, &why) < 0) {
		*ret_gone = why.class == ERR_NOT_FOUND;
		*e = why;
		return *ret_gone ? 0 : -1;
	}
	if (strcmp(label(o, "app.kubernetes.io/managed-by"), "aksdr") != 0 ||
	    has_role(o, CSI_ROLE_BASE)) {
		*ret_gone = true;
		return 0;
	}
	if (n->kind == &kube_pvc && has_role(o, CSI_ROLE_CLONE) && let_volume_go(k, o, e) < 0)
		return -1;
	if (n->kind == &kube_snapshot && has_role(o, CSI_ROLE_SOURCE) && let_data_go(k, o, e) < 0)
		return -1;
	if (*kube_text_at(o, "metadata.deletionTimestamp"))
		return 0;
	return kube_delete(k, n->kind, ns, n->name, kube_text_at(o, "metadata.uid"), e);
}

struct drop {
	struct kube *kube;
	const json_t *names;
	bool *gone;       /* of each name: it is not there, or was given up */
	size_t there;     /* the others */
	struct name left; /* one of them */
	struct err first; /* why something was given up */
};

/* One look at each. -1: the cluster cannot be asked for any of them now. */
static int look(struct drop *d, struct err *e)
{
	d->there = 0;
	for (size_t i = 0; i < json_array_size(d->names); i++) {
		struct err why = ERR_INIT;
		struct name name;

		if (d->gone[i])
			continue;
		if (!parse(json_string_value(json_array_get(d->names, i)), &name)) {
			d->gone[i] = true;
			continue;
		}
		if (drop_one(d->kube, &name, &d->gone[i], &why) < 0) {
			if (err_may_retry(&why) || why.class == ERR_CANCELLED) {
				*e = why;
				return -1;
			}
			/* This one is refused; the others are not for that. */
			if (d->first.class == ERR_NONE)
				d->first = why;
			d->gone[i] = true;
		}
		if (!d->gone[i]) {
			d->left = name;
			d->there++;
		}
	}
	return 0;
}

int csi_drop(struct kube *k, const json_t *names, int64_t gone_ms, struct err *e)
{
	const int64_t end_ns = now_mono_ns() + (gone_ms ? gone_ms : CSI_GONE_MS) * 1000000;
	auto_free bool *gone = calloc(json_array_size(names) + 1, sizeof(*gone));
	struct drop d = { .kube = k, .names = names, .gone = gone, .first = ERR_INIT };

	if (!gone)
		return err_set(e, ERR_NOMEM, "no memory for what is to be removed");
	for (;;) {
		if (look(&d, e) < 0)
			return err_wrap(e, "removing what a view was made of");
		if (d.there == 0 || now_mono_ns() >= end_ns)
			break;
		(void)poll(NULL, 0, LOOK_MS);
	}
	if (d.first.class != ERR_NONE) {
		*e = d.first;
		return err_wrap(e, "removing what a view was made of");
	}
	if (d.there == 0)
		return 0;
	return err_set(e, ERR_BUSY,
	               "the %s '%s%s%s' was deleted and is still there; see its "
	               "finalizers",
	               d.left.kind->kind, d.left.ns, *d.left.ns ? "/" : "", d.left.name);
}
