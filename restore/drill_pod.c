/* SPDX-License-Identifier: Apache-2.0 */
/* See drill_pod.h. */
#include "restore/drill_pod.h"

#include <string.h>

#include "common/now.h"
#include "common/text.h"
#include "kube/worker.h"
#include "restore/drill_room.h"
#include "restore/filler.h"

#define LOG_BYTES 8192
#define MOUNTS "/volumes"
#define DEVICES "/dev/volumes"

static int64_t timeout_s(const struct drill_pod_params *p)
{
	return p->timeout_s > 0 ? p->timeout_s : DRILL_POD_TIMEOUT_S;
}

/* One volume, and where the container has it. */
static int add_claim(const struct drill_pod_claim *c, size_t i, json_t *volumes, json_t *mounts,
                     json_t *devices)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "v%zu", i);
	return json_array_append_new(volumes, json_pack("{s:s, s:{s:s}}", "name", name,
	                                                "persistentVolumeClaim", "claimName",
	                                                c->name)) < 0 ||
	                       (c->block
	                                ? json_array_append_new(devices,
	                                                        json_pack("{s:s, s:s+}", "name",
	                                                                  name, "devicePath",
	                                                                  DEVICES "/", c->name))
	                                : json_array_append_new(mounts,
	                                                        json_pack("{s:s, s:s+}", "name",
	                                                                  name, "mountPath",
	                                                                  MOUNTS "/", c->name))) < 0
	               ? -1
	               : 0;
}

json_t *drill_pod_object(const struct drill_pod_params *p)
{
	auto_json json_t *command = json_array();
	auto_json json_t *volumes = json_array();
	auto_json json_t *mounts = json_array();
	auto_json json_t *devices = json_array();
	int bad = !command || !volumes || !mounts || !devices;

	for (size_t i = 0; i < p->command->n && !bad; i++)
		bad = json_array_append_new(command, json_string(p->command->v[i]));
	for (size_t i = 0; i < p->nclaims && !bad; i++)
		bad = add_claim(&p->claims[i], i, volumes, mounts, devices);
	return bad ? NULL
	           : json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s, s:s, s:s}}, s:{s:s, s:b, s:b, s:I, "
	                       "s:i, "
	                       "s:{s:{s:s}}, s:O, s:[{s:s, s:s, s:O, s:O, s:O, s:{s:b}, s:[{s:s, "
	                       "s:s}, "
	                       "{s:s, s:s}]}]}}",
	                       "apiVersion", "v1", "kind", "Pod", "metadata", "name", DRILL_POD,
	                       "namespace", p->ns, "labels", "app.kubernetes.io/managed-by",
	                       "aksdr", FILLER_LABEL_RUN, p->run, FILLER_LABEL_ROLE, DRILL_ROLE,
	                       "spec", "restartPolicy", "Never", "automountServiceAccountToken", 0,
	                       "enableServiceLinks", 0, "activeDeadlineSeconds",
	                       (json_int_t)(timeout_s(p) + DRILL_POD_START_S),
	                       "terminationGracePeriodSeconds", 5, "securityContext",
	                       "seccompProfile", "type", "RuntimeDefault", "volumes", volumes,
	                       "containers", "name", "check", "image", p->image, "command", command,
	                       "volumeMounts", mounts, "volumeDevices", devices, "securityContext",
	                       "allowPrivilegeEscalation", 0, "env", "name", "AKSDR_PLAN", "value",
	                       p->plan, "name", "AKSDR_RUN", "value", p->run);
}

/* ---- what came of it ---- */

static const json_t *container_of(const json_t *pod)
{
	return json_array_get(kube_at(pod, "status.containerStatuses"), 0);
}

int drill_pod_state(const json_t *pod, struct drill_pod_result *ret)
{
	const char *phase = kube_text_at(pod, "status.phase");
	const json_t *c = container_of(pod);
	const json_t *end = kube_at(c, "state.terminated");
	const char *reason = kube_text_at(pod, "status.reason");

	if (strcmp(phase, "Succeeded") == 0) {
		ret->passed = true;
		ret->why[0] = '\0';
		return 1;
	}
	if (strcmp(phase, "Failed") != 0)
		return 0;
	ret->passed = false;
	if (*reason)
		(void)snprintf(ret->why, sizeof(ret->why), "%.100s: %.300s", reason,
		               kube_text_at(pod, "status.message"));
	else if (end)
		(void)snprintf(ret->why, sizeof(ret->why), "it ended with status %lld (%.100s)",
		               (long long)kube_number_at(end, "exitCode", -1),
		               kube_text_at(end, "reason"));
	else
		(void)snprintf(ret->why, sizeof(ret->why), "it was ended, and nobody says why");
	return 1;
}

void drill_pod_tail(const char *text, char *ret, size_t max)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(LOG_BYTES * (size_t)TEXT_STEP_MAX);
	char step[TEXT_STEP_MAX];

	ret[0] = '\0';
	for (const char *s = text; *s;) {
		if (*s == '\n' || *s == '\t') {
			(void)buf_u8(&b, (uint8_t)*s++);
			continue;
		}
		const size_t k = text_step(&s, TEXT_LINE, step);
		(void)buf_put(&b, step, k);
	}
	if (b.failed || b.len == 0)
		return;
	size_t from = b.len < max ? 0 : b.len - max + 1;
	const uint8_t *line = from > 0 ? memchr(b.data + from, '\n', b.len - from) : NULL;
	if (line && line + 1 < b.data + b.len)
		from = (size_t)(line + 1 - b.data);
	/* Not from the middle of a character. */
	while (from < b.len && (b.data[from] & 0xc0) == 0x80)
		from++;
	memcpy(ret, b.data + from, b.len - from);
	ret[b.len - from] = '\0';
}

/* ---- running ---- */

struct waiting {
	const struct drill_pod_params *p;
	struct drill_pod_result *ret;
	int64_t began_ns;   /* when we began to wait */
	int64_t running_ns; /* when it was first seen to run; 0: it was not */
};

static const char *waits_for(const json_t *pod)
{
	const char *text = kube_text_at(container_of(pod), "state.waiting.message");
	const json_t *conditions = kube_at(pod, "status.conditions");

	if (*text)
		return text;
	for (size_t i = 0; i < json_array_size(conditions); i++) {
		const json_t *c = json_array_get(conditions, i);

		if (strcmp(kube_text_at(c, "status"), "False") == 0 && *kube_text_at(c, "message"))
			return kube_text_at(c, "message");
	}
	return kube_text_at(container_of(pod), "state.waiting.reason");
}

static int look(void *arg, struct err *e)
{
	struct waiting *w = arg;
	struct drill_pod_result *ret = w->ret;
	auto_json json_t *pod = NULL;
	const int64_t now_ns = now_mono_ns();
	struct err why = ERR_INIT;

	if (kube_get(w->p->kube, &kube_pod, w->p->ns, DRILL_POD, &pod, &why) < 0) {
		if (why.class != ERR_NOT_FOUND) {
			*e = why;
			return -1;
		}
		(void)snprintf(ret->why, sizeof(ret->why), "its pod was taken away");
		return 1;
	}
	if (drill_pod_state(pod, ret) > 0)
		return 1;
	if (strcmp(kube_text_at(pod, "status.phase"), "Running") == 0) {
		if (w->running_ns == 0)
			w->running_ns = now_ns;
		if (now_ns - w->running_ns < timeout_s(w->p) * 1000000000)
			return 0;
		(void)snprintf(ret->why, sizeof(ret->why), "it did not end within %lld s",
		               (long long)timeout_s(w->p));
		return 1;
	}
	if (now_ns - w->began_ns < DRILL_POD_START_S * INT64_C(1000000000))
		return 0;
	(void)snprintf(ret->why, sizeof(ret->why), "it did not begin within %d s: %.300s",
	               DRILL_POD_START_S, waits_for(pod));
	return 1;
}

/* That its output cannot be had is no failure of the check. */
static void keep_output(const struct drill_pod_params *p, struct drill_pod_result *ret)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(LOG_BYTES);
	struct err ignored = ERR_INIT;
	char path[2 * KUBE_NAME_MAX + 128];

	(void)snprintf(path, sizeof(path),
	               "/api/v1/namespaces/%s/pods/" DRILL_POD "/log?tailLines=100", p->ns);
	if (kube_text(p->kube, path, &b, &ignored) == 0)
		drill_pod_tail(buf_cstr(&b), ret->said, sizeof(ret->said));
}

int drill_pod_run(const struct drill_pod_params *p, struct drill_pod_result *ret, struct err *e)
{
	struct waiting w = { .p = p, .ret = ret, .began_ns = now_mono_ns() };
	auto_json json_t *pod = drill_pod_object(p);

	*ret = (struct drill_pod_result){ .passed = false };
	if (!pod)
		return err_set(e, ERR_NOMEM, "no memory for the check of a drill");
	if (kube_create(p->kube, &kube_pod, p->ns, pod, NULL, e) < 0 ||
	    worker_until(p->cancel, look, &w, e) < 0)
		return err_wrap(e, "running the check in '%s'", p->ns);
	ret->seconds = (double)(now_mono_ns() - w.began_ns) / 1e9;
	keep_output(p, ret);
	return 0;
}
