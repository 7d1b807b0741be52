/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver `claim`: where a claim's volume can have no snapshot it is read as it is, by a pod
 * that has it under a second name, in the agent's namespace: another PersistentVolume of the same
 * volume, which is retained, and a claim that is bound to it. The view is fuzzy.
 */
#include <string.h>

#include "common/now.h"
#include "snapshot/csi.h"
#include "snapshot/csi_objects.h"

static int twin_supports(const struct snapshot_env *env, const char *origin, struct err *e)
{
	const struct csi_claim *c = env->cluster ? csi_find(env->cluster, origin) : NULL;

	if (!c)
		return err_set(e, ERR_INVALID, "'%.300s' is no claim of this run", origin);
	if (c->volume && strcmp(kube_text_at(c->claim, "status.phase"), "Bound") == 0)
		return 1;
	(void)err_set(e, ERR_UNSUPPORTED, "the claim is not bound to a volume");
	return 0;
}

static int twin_prepare(struct snapshot *s, struct err *e)
{
	struct csi_claim *c = csi_find(s->env->cluster, s->origin);

	if (!c)
		return err_set(e, ERR_BUG, "'%.300s' was not looked at", s->origin);
	s->priv = c;
	s->block = c->block;
	return 0;
}

static int twin_capture(struct snapshot *s, struct err *e)
{
	(void)e;
	s->freeze_ns = now_wall_ns();
	return 0;
}

/* The mode that lets the most nodes have it. */
static const char *mode_of(const struct csi_claim *c)
{
	static const char *const best[] = { "ReadWriteMany", "ReadOnlyMany", "ReadWriteOnce" };
	const json_t *modes = kube_at(c->volume, "spec.accessModes");

	for (size_t k = 0; k < ARRAY_LEN(best); k++)
		for (size_t i = 0; i < json_array_size(modes); i++) {
			const char *mode = json_string_value(json_array_get(modes, i));

			if (mode && strcmp(mode, best[k]) == 0)
				return best[k];
		}
	return NULL;
}

static int make(const struct csi_run *run, const struct kube_kind *kind, json_t *take_o,
                struct err *e)
{
	auto_json json_t *o = take_o;

	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for an object");
	return kube_create(run->kube, kind, kind->cluster ? NULL : run->ns, o, NULL, e);
}

static int twin_finish(struct snapshot *s, struct err *e)
{
	const struct csi_run *run = s->env->cluster;
	const struct csi_claim *c = s->priv;
	const char *mode = mode_of(c);

	if (!mode)
		return err_set(e, ERR_UNSUPPORTED,
		               "the volume of '%s' is for one pod alone (ReadWriteOncePod)",
		               s->origin);
	if (make(run, &kube_pv, csi_objects_twin(run, c, mode), e) < 0 ||
	    make(run, &kube_pvc, csi_objects_twin_claim(run, c, mode), e) < 0)
		return -1;
	s->path = strdup(c->base);
	return s->path ? 0 : err_set(e, ERR_NOMEM, "no memory for a name");
}

static int twin_release(struct snapshot *s, struct err *e)
{
	const struct csi_run *run = s->env->cluster;
	auto_json json_t *names = json_array();

	/* What is open at a node cannot be unmounted there. */
	clean_close(&s->fd);
	s->fd = -1;
	if (!s->priv)
		return 0;
	if (csi_names(run, s->priv, names, e) < 0)
		return -1;
	return csi_drop(run->kube, names, csi_gone_ms(run), e);
}

const struct snapshot_ops snapshot_claim = {
	.name = "claim",
	.caps = 0,
	.consistency = SNAP_FUZZY,
	.supports = twin_supports,
	.prepare = twin_prepare,
	.capture = twin_capture,
	.finish = twin_finish,
	.release = twin_release,
};
