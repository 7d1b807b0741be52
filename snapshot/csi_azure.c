/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VolumeSnapshot that is kept has the role `base` and the uid of its claim as labels, and no run,
 * so that no sweep takes it for what a dead one has left. The claim is its owner: it goes with the
 * claim, and its data with it. To take it away it gets the
 * role of a source again, which csi_drop() removes with the data.
 */
#include "snapshot/csi_azure.h"

#include <string.h>

#include "common/log.h"
#include "snapshot/azure_disk.h"
#include "snapshot/csi_objects.h"

#define DRIVER "disk.csi.azure.com"
#define LABEL_UID "aksdr.io/claim-uid"

bool csi_azure_is(const struct csi_claim *c)
{
	return c->volume && strcmp(kube_text_at(c->volume, "spec.csi.driver"), DRIVER) == 0;
}

/* ---- the view ---- */

static struct azure_disk *open_disk(const struct snapshot *s, const struct csi_run *run,
                                    const char *content, char **ret_handle, struct err *e)
{
	auto_json json_t *o = NULL;

	if (kube_get(run->kube, &kube_snapshot_content, NULL, content, &o, e) < 0)
		return NULL;
	const char *handle = kube_text_at(o, "status.snapshotHandle");
	if (!azure_arm_is_snapshot(handle)) {
		err_set(e, ERR_UNSUPPORTED, "the handle of '%s' is no snapshot of a managed disk",
		        content);
		return NULL;
	}
	*ret_handle = strdup(handle);
	if (!*ret_handle) {
		err_set(e, ERR_NOMEM, "no memory for a name");
		return NULL;
	}
	return azure_disk_open(run->azure, s->env->journal, handle, e);
}

int csi_azure_open(struct snapshot *s, const struct csi_run *run, struct csi_claim *c,
                   const char *content, struct err *e)
{
	auto_free char *handle = NULL;
	struct err why = ERR_INIT;

	if (!run->azure || !csi_azure_is(c))
		return 0;
	if (!c->block && !run->azure_raw) {
		snapshot_note(s, "changed ranges of the disk are not used: the volume has a file "
		                 "system, of which they tell nothing");
		return 0;
	}
	c->azure = open_disk(s, run, content, &handle, &why);
	if (!c->azure) {
		if (why.class == ERR_CANCELLED || why.class == ERR_NOMEM) {
			*e = why;
			return -1;
		}
		snapshot_note(s, "changed ranges of the disk are not used: %s", why.msg);
		return 0;
	}
	/* A name that is too long is no token: then all is read each time. */
	if (strlen(handle) < sizeof(s->token))
		memcpy(s->token, handle, strlen(handle) + 1);
	s->block = true;
	s->path = STEAL(&handle);
	return 1;
}

struct source *csi_azure_source(const struct snapshot *s, const struct walk_params *params,
                                const char *base, struct err *e)
{
	const struct csi_claim *c = s->priv;
	struct err why = ERR_INIT;

	(void)params;
	if (!c->azure) {
		err_set(e, ERR_BUG, "the view of '%.300s' is for a pod to read", s->origin);
		return NULL;
	}
	if (base && azure_disk_compare(c->azure, base, &why) < 0)
		log_debug("all of a disk is read", LOG_S("volume", s->origin),
		          LOG_S("why", why.msg));
	return azure_disk_source(c->azure, e);
}

/* ---- bases ---- */

static int set_role(const struct csi_run *run, const char *ns, const char *name, const char *role,
                    struct err *e)
{
	auto_json json_t *patch = json_pack("{s:{s:{s:s}}}", "metadata", "labels", CSI_LABEL_ROLE,
	                                    role);

	if (!patch)
		return err_set(e, ERR_NOMEM, "no memory for a patch");
	return kube_patch(run->kube, &kube_snapshot, ns, name, NULL, KUBE_MERGE, patch, NULL, e);
}

/* When the claim goes, the cluster removes it; then nobody of ours is there to have its data go. */
static int let_data_go(const struct csi_run *run, const struct csi_claim *c, struct err *e)
{
	auto_json json_t *patch = json_pack("{s:{s:s}}", "spec", "deletionPolicy", "Delete");
	auto_json json_t *snapshot = NULL;

	if (!patch)
		return err_set(e, ERR_NOMEM, "no memory for a patch");
	if (kube_get(run->kube, &kube_snapshot, c->ns, c->base, &snapshot, e) < 0)
		return -1;
	return kube_patch(run->kube, &kube_snapshot_content, NULL,
	                  kube_text_at(snapshot, "status.boundVolumeSnapshotContentName"), NULL,
	                  KUBE_MERGE, patch, NULL, e);
}

static int keep(const struct csi_run *run, const struct csi_claim *c, struct err *e)
{
	auto_json json_t *patch = json_pack("{s:{s:{s:s, s:s, s:n}, s:[{s:s, s:s, s:s, s:s}]}}",
	                                    "metadata", "labels", CSI_LABEL_ROLE, CSI_ROLE_BASE,
	                                    LABEL_UID, c->uid, CSI_LABEL_RUN, "ownerReferences",
	                                    "apiVersion", "v1", "kind", "PersistentVolumeClaim",
	                                    "name", c->name, "uid", c->uid);

	if (!patch)
		return err_set(e, ERR_NOMEM, "no memory for a patch");
	if (let_data_go(run, c, e) < 0)
		return -1;
	return kube_patch(run->kube, &kube_snapshot, c->ns, c->base, NULL, KUBE_MERGE, patch, NULL,
	                  e);
}

struct bases {
	const struct csi_claim *claim;
	const char *keep; /* NULL: none */
	json_t *names;    /* of VolumeSnapshots; owned */
};

static int add_base(void *arg, const json_t *o, struct err *e)
{
	struct bases *b = arg;
	const char *name = kube_text_at(o, "metadata.name");
	const json_t *labels = kube_at(o, "metadata.labels");
	const char *role = json_string_value(json_object_get(labels, CSI_LABEL_ROLE));
	const char *uid = json_string_value(json_object_get(labels, LABEL_UID));

	/* That is what was asked for; a mistake there would cost somebody's snapshot. */
	if (!role || strcmp(role, CSI_ROLE_BASE) != 0 || !uid || strcmp(uid, b->claim->uid) != 0 ||
	    (b->keep && strcmp(name, b->keep) == 0))
		return 0;
	if (json_array_append_new(b->names, json_string(name)) < 0)
		return err_set(e, ERR_NOMEM, "no memory for names");
	return 0;
}

/* All bases of the claim but the one to keep. */
static int drop_bases(const struct csi_run *run, const struct csi_claim *c, const char *keep_name,
                      struct err *e)
{
	char labels[160];
	const struct kube_select select = { .ns = c->ns, .labels = labels };
	auto_json json_t *found = json_array();
	auto_json json_t *names = json_array();
	struct bases b = { .claim = c, .keep = keep_name, .names = found };
	size_t i;
	json_t *name;

	(void)snprintf(labels, sizeof(labels), CSI_LABEL_ROLE "=" CSI_ROLE_BASE "," LABEL_UID "=%s",
	               c->uid);
	if (kube_list(run->kube, &kube_snapshot, &select, add_base, &b, NULL, e) < 0)
		return -1;
	json_array_foreach(found, i, name) {
		const char *text = json_string_value(name);

		if (set_role(run, c->ns, text, CSI_ROLE_SOURCE, e) < 0)
			return -1;
		if (json_array_append_new(names, json_sprintf("%s/%s/%s", kube_snapshot.plural,
		                                              c->ns, text)) < 0)
			return err_set(e, ERR_NOMEM, "no memory for names");
	}
	return json_array_size(names) ? csi_drop(run->kube, names, csi_gone_ms(run), e) : 0;
}

int csi_azure_close(struct snapshot *s, const struct csi_run *run, struct csi_claim *c,
                    struct err *e)
{
	int rc = azure_disk_close(STEAL(&c->azure), e);

	if (!s->committed || !csi_azure_is(c))
		return rc;
	bool based = s->token[0] && !s->env->keep_no_base;
	struct err why = ERR_INIT;
	if ((based && keep(run, c, &why) < 0) ||
	    drop_bases(run, c, based ? c->base : NULL, &why) < 0) {
		*e = why;
		return err_wrap(e, "keeping a snapshot for the next backup, and no other");
	}
	return rc;
}

int csi_azure_clean(const char *text, struct err *e)
{
	const struct azure_arm_params params = { .budget_ms = 10000 };
	auto_azure_arm struct azure_arm *a = azure_arm_new(&params, e);

	return a ? azure_disk_clean(a, text, e) : -1;
}
