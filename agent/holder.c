/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See holder.h. The places are those that kubelets have used since there are CSI drivers:
 * pods/UID/volumes/PLUGIN/PV[/mount], and pods/UID/volumeDevices/PLUGIN/PV for block devices.
 */
#include "agent/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/now.h"
#include "snapshot/mount.h"

int holder_path(const char *dir, const char *pod_uid, const json_t *pv, bool block, struct buf *b,
                struct err *e)
{
	const char *name = kube_text_at(pv, "metadata.name");
	const bool csi = kube_at(pv, "spec.csi");
	const bool nfs = kube_at(pv, "spec.nfs");
	int rc;

	if (!csi && !(nfs && !block))
		return err_set(e, ERR_UNSUPPORTED,
		               "the volume '%.200s' is of a kind whose place at a node is not "
		               "known; "
		               "use a mover",
		               name);
	if (!*name || strchr(name, '/') || !*pod_uid || strchr(pod_uid, '/'))
		return err_set(e, ERR_FORMAT, "a pod or a volume has no name");
	if (block)
		rc = buf_printf(b, "%s/pods/%s/volumeDevices/kubernetes.io~csi/%s", dir, pod_uid,
		                name);
	else
		rc = buf_printf(b, "%s/pods/%s/volumes/kubernetes.io~%s/%s%s", dir, pod_uid,
		                csi ? "csi" : "nfs", name, csi ? "/mount" : "");
	return rc < 0 ? err_set(e, ERR_TOO_BIG, "the place of a volume is too long") : 0;
}

json_t *holder_template(const struct csi_run *run, const char *pod, struct err *e)
{
	auto_json json_t *own = NULL;

	if (!pod || !*pod) {
		(void)err_set(e, ERR_UNSUPPORTED,
		              "a pod is to hold the view, and of which image is not known: pass "
		              "--mover-template, or set POD_NAME");
		return NULL;
	}
	if (kube_get(run->kube, &kube_pod, run->ns, pod, &own, e) < 0)
		return NULL;
	const json_t *first = json_array_get(kube_at(own, "spec.containers"), 0);
	json_t *t = json_pack("{s:{s:[{s:s, s:s, s:s*}], s:O*}}", "spec", "containers", "name",
	                      WORKER_CONTAINER, "image", kube_text_at(first, "image"),
	                      "imagePullPolicy",
	                      json_string_value(json_object_get(first, "imagePullPolicy")),
	                      "imagePullSecrets", kube_at(own, "spec.imagePullSecrets"));
	if (!t)
		(void)err_set(e, ERR_NOMEM, "no memory for a pod");
	return t;
}

struct wait {
	const struct mover_params *p;
	int64_t since_ns;
	json_t *pod; /* owned */
};

static void clean_wait(struct wait *w)
{
	json_decref(w->pod);
}

static int look(void *arg, struct err *e)
{
	struct wait *w = arg;
	const struct csi_run *run = w->p->run;
	const int64_t limit_ms = run->stuck_ms ? run->stuck_ms : CSI_STUCK_MS;
	const char *result = "", *waits;

	json_decref(w->pod);
	w->pod = NULL;
	if (kube_get(run->kube, &kube_pod, run->ns, w->p->claim->base, &w->pod, e) < 0)
		return -1;
	int rc = worker_state(w->pod, &result, &waits, e);
	if (rc < 0)
		return -1;
	if (rc > 0)
		return err_set(e, ERR_IO, "the pod that holds the view ended: %.400s", result);
	if (!*waits)
		return 1;
	if (now_mono_ns() - w->since_ns < limit_ms * 1000000)
		return 0;
	return err_set(e, ERR_RETRY, "the pod '%s/%s' did not begin within %llds: %.400s", run->ns,
	               w->p->claim->base, (long long)(limit_ms / 1000), waits);
}

static int open_view(struct snapshot *s, const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_sys(
			e, errno,
			"looking for the view in the kubelet's directory (--kubelet-dir): '%s'",
			path);
	if (!s->block && mount_require(path, e) < 0)
		return -1;
	if (s->block && !S_ISBLK(st.st_mode))
		return err_set(e, ERR_INVALID, "'%s' is no block device", path);
	char *copy = strdup(path);
	int fd = open(path, O_PATH | O_CLOEXEC);
	if (!copy || fd < 0) {
		free(copy);
		return err_sys(e, copy ? errno : ENOMEM, "opening '%s'", path);
	}
	free(s->path);
	s->path = copy;
	s->fd = fd;
	return 0;
}

int holder_open(const struct mover_params *p, const char *dir, struct snapshot *s, struct err *e)
{
	CLEANUP(clean_wait) struct wait w = { .p = p, .since_ns = now_mono_ns() };
	CLEANUP(buf_clear) struct buf path = BUF_INIT(4 * KIB);
	const struct csi_run *run = p->run;
	auto_json json_t *args = json_pack("[s]", "hold");
	auto_json json_t *claim = NULL;
	auto_json json_t *pv = NULL;
	struct mover_params own = *p;

	own.args = args;
	auto_json json_t *pod = mover_pod(&own, e);
	if (!pod || kube_create(run->kube, &kube_pod, run->ns, pod, NULL, e) < 0 ||
	    csi_until(run, look, &w, e) < 0)
		return err_wrap(e, "holding the view at this node");
	if (kube_get(run->kube, &kube_pvc, run->ns, p->claim->base, &claim, e) < 0 ||
	    kube_get(run->kube, &kube_pv, NULL, kube_text_at(claim, "spec.volumeName"), &pv, e) < 0)
		return -1;
	if (holder_path(dir, kube_text_at(w.pod, "metadata.uid"), pv, s->block, &path, e) < 0)
		return -1;
	return open_view(s, buf_cstr(&path), e);
}
