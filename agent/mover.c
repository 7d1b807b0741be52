/* SPDX-License-Identifier: Apache-2.0 */
/* See mover.h. */
#include "agent/mover.h"

#include <string.h>

#include "agent/given.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/now.h"
#include "common/yaml.h"
#include "snapshot/csi_objects.h"

#include <fcntl.h>

#define LOG_MAX (64 * KIB) /* of the end of its log */
#define LOG_EVERY_NS INT64_C(10000000000)
#define VIEW "aksdr-view"

/* ---- the template ---- */

static json_t *container_of(json_t *spec)
{
	json_t *containers = json_object_get(spec, "containers");

	for (size_t i = 0; i < json_array_size(containers); i++) {
		json_t *c = json_array_get(containers, i);
		const char *name = json_string_value(json_object_get(c, "name"));

		if (name && strcmp(name, MOVER_CONTAINER) == 0)
			return c;
	}
	return NULL;
}

json_t *mover_template(const char *path, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(YAML_BYTES_MAX);

	if (fd_read_file(AT_FDCWD, path, &b, e) < 0) {
		(void)err_wrap(e, "the template of movers");
		return NULL;
	}
	auto_json json_t *t = yaml_parse(path, b.data, b.len, e);
	if (!t)
		return NULL;
	if (container_of(json_object_get(t, "spec")))
		return STEAL(&t);
	(void)err_set(e, ERR_INVALID,
	              "the template of movers '%s' has no container '" MOVER_CONTAINER
	              "' in its spec",
	              path);
	return NULL;
}

/* ---- the pod ---- */

/* The member, made when it is missing. */
static json_t *member(json_t *o, const char *key, bool array)
{
	json_t *v = json_object_get(o, key);

	if (array ? json_is_array(v) : json_is_object(v))
		return v;
	v = array ? json_array() : json_object();
	return json_object_set_new(o, key, v) == 0 ? v : NULL;
}

static int put_metadata(json_t *pod, const struct mover_params *p)
{
	json_t *meta = member(pod, "metadata", false);
	auto_json json_t *labels = csi_objects_labels(p->run, "mover");
	char of[2 * KUBE_NAME_MAX + 2];

	(void)snprintf(of, sizeof(of), "%s/%s", p->claim->ns, p->claim->name);
	int bad = json_object_set_new(meta, "name", json_string(p->claim->base));
	bad |= json_object_set_new(meta, "namespace", json_string(p->run->ns));
	bad |= json_object_update(member(meta, "labels", false), labels);
	bad |= json_object_set_new(member(meta, "annotations", false), "aksdr.io/claim",
	                           json_string(of));
	return bad;
}

static int put_view(json_t *spec, json_t *container, const struct mover_params *p)
{
	const bool block = p->claim->block;
	json_t *volume = json_pack("{s:s, s:{s:s, s:b}}", "name", VIEW, "persistentVolumeClaim",
	                           "claimName", p->claim->base, "readOnly", !p->writable && !block);
	json_t *mount = block ? json_pack("{s:s, s:s}", "name", VIEW, "devicePath", MOVER_DEVICE)
	                      : json_pack("{s:s, s:s, s:b}", "name", VIEW, "mountPath", MOVER_VIEW,
	                                  "readOnly", 1);

	int bad = json_array_append_new(member(spec, "volumes", true), volume);
	return bad | json_array_append_new(member(container,
	                                          block ? "volumeDevices" : "volumeMounts", true),
	                                   mount);
}

static int put_spec(json_t *pod, const struct mover_params *p)
{
	json_t *spec = json_object_get(pod, "spec");
	json_t *container = container_of(spec);

	int bad = json_object_set_new(spec, "restartPolicy", json_string("Never"));
	bad |= json_object_set_new(spec, "automountServiceAccountToken", json_false());
	bad |= json_object_set_new(spec, "enableServiceLinks", json_false());
	bad |= json_object_set_new(container, "args", json_deep_copy(p->args));
	bad |= json_object_set_new(container, "terminationMessagePath", json_string(MOVER_RESULT));
	bad |= json_object_set_new(container, "terminationMessagePolicy", json_string("File"));
	/* Of two of one name the later one counts. */
	if (json_array_size(p->env) > 0)
		bad |= json_array_extend(member(container, "env", true),
		                         (json_t *)(uintptr_t)p->env);
	/* By the scheduler, which looks whether the node takes it. */
	if (p->node)
		bad |= json_object_set_new(member(member(spec, "affinity", false), "nodeAffinity",
		                                  false),
		                           "requiredDuringSchedulingIgnoredDuringExecution",
		                           json_pack("{s:[{s:[{s:s, s:s, s:[s]}]}]}",
		                                     "nodeSelectorTerms", "matchFields", "key",
		                                     "metadata.name", "operator", "In", "values",
		                                     p->node));
	return bad | put_view(spec, container, p);
}

json_t *mover_pod(const struct mover_params *p, struct err *e)
{
	auto_json json_t *pod = json_object();
	auto_json json_t *t = json_deep_copy(p->template);

	if (!container_of(json_object_get(t, "spec"))) {
		(void)err_set(e, ERR_INVALID, "the template of movers has no container '%s'",
		              MOVER_CONTAINER);
		return NULL;
	}
	int bad = json_object_set_new(pod, "apiVersion", json_string("v1"));
	bad |= json_object_set_new(pod, "kind", json_string("Pod"));
	if (json_object_get(t, "metadata"))
		bad |= json_object_set(pod, "metadata", json_object_get(t, "metadata"));
	bad |= json_object_set(pod, "spec", json_object_get(t, "spec"));
	bad |= put_metadata(pod, p) | put_spec(pod, p);
	if (!bad)
		return STEAL(&pod);
	(void)err_set(e, ERR_NOMEM, "no memory for a mover");
	return NULL;
}

/* ---- its state ---- */

static const json_t *status_of(const json_t *pod)
{
	const json_t *all = kube_at(pod, "status.containerStatuses");

	for (size_t i = 0; i < json_array_size(all); i++) {
		const json_t *s = json_array_get(all, i);

		if (strcmp(kube_text_at(s, "name"), MOVER_CONTAINER) == 0)
			return s;
	}
	return NULL;
}

/* Why a pod has no node, or its container does not begin. */
static const char *waits_for(const json_t *pod, const json_t *status)
{
	const json_t *conditions = kube_at(pod, "status.conditions");
	const char *text = kube_text_at(status, "state.waiting.message");

	if (!*text)
		text = kube_text_at(status, "state.waiting.reason");
	for (size_t i = 0; !*text && i < json_array_size(conditions); i++) {
		const json_t *c = json_array_get(conditions, i);

		if (strcmp(kube_text_at(c, "status"), "False") == 0)
			text = kube_text_at(c, "message");
	}
	return *text ? text : "it was not begun";
}

int mover_state(const json_t *pod, const char **ret_result, const char **ret_waits, struct err *e)
{
	const char *phase = kube_text_at(pod, "status.phase");
	const json_t *status = status_of(pod);
	const json_t *end = kube_at(status, "state.terminated");

	*ret_waits = "";
	if (end) {
		*ret_result = kube_text_at(end, "message");
		/* Of a container that never began the message is the kubelet's. */
		if (**ret_result == '{')
			return 1;
		return err_set(e, ERR_IO,
		               "the mover ended with status %lld%s%.100s and no result%s%.300s",
		               (long long)kube_number_at(end, "exitCode", -1),
		               *kube_text_at(end, "reason") ? ", " : "",
		               kube_text_at(end, "reason"), **ret_result ? ": " : "", *ret_result);
	}
	if (strcmp(phase, "Failed") == 0 || strcmp(phase, "Succeeded") == 0)
		return err_set(e, ERR_RETRY, "the mover was taken away: %.100s %.300s",
		               kube_text_at(pod, "status.reason"),
		               kube_text_at(pod, "status.message"));
	if (*kube_text_at(pod, "metadata.deletionTimestamp"))
		return err_set(e, ERR_RETRY, "the mover was deleted");
	if (!kube_at(status, "state.running"))
		*ret_waits = waits_for(pod, status);
	return 0;
}

/* ---- running it ---- */

struct wait {
	const struct mover_params *p;
	int64_t since_ns; /* when it began to wait */
	json_t *pod;      /* owned */
	const char *result;
	char told[64];   /* time of the last line of its log that we have told */
	int64_t told_ns; /* when that was looked for */
};

static void clean_wait(struct wait *w)
{
	json_decref(w->pod);
}

/* Says a line of its log in ours, unless that was done: each begins with its time. */
static void tell_line(struct wait *w, char *line)
{
	char *text = strchr(line, ' ');

	if (!text || (size_t)(text - line) >= sizeof(w->told))
		return;
	*text++ = '\0';
	if (strcmp(line, w->told) <= 0)
		return;
	(void)snprintf(w->told, sizeof(w->told), "%s", line);
	if (*text)
		log_info("a mover says", LOG_S("volume", w->p->claim->name), LOG_S("line", text));
}

/* What it said since the last time, so that it is where people look. */
static void tell_log(struct wait *w)
{
	CLEANUP(buf_clear) struct buf path = BUF_INIT(4 * KIB);
	CLEANUP(buf_clear) struct buf text = BUF_INIT(LOG_MAX);
	struct err why = ERR_INIT;

	w->told_ns = now_mono_ns();
	if (buf_printf(&path, "/api/v1/namespaces/%s/pods/%s/log?container=%s&timestamps=true%s%s",
	               w->p->run->ns, w->p->claim->base, MOVER_CONTAINER,
	               *w->told ? "&sinceTime=" : "", w->told) < 0 ||
	    kube_text(w->p->run->kube, buf_cstr(&path), &text, &why) < 0) {
		log_debug("the log of a mover could not be read", LOG_S("why", why.msg));
		return;
	}
	auto_free char *copy = buf_cstr(&text) ? strdup(buf_cstr(&text)) : NULL;
	char *line, *rest = copy;

	while ((line = strsep(&rest, "\n")))
		tell_line(w, line);
}

static int look(void *arg, struct err *e)
{
	struct wait *w = arg;
	const struct csi_run *run = w->p->run;
	const int64_t limit_ms = run->stuck_ms ? run->stuck_ms : CSI_STUCK_MS;
	const char *waits;
	struct err why = ERR_INIT;

	json_decref(w->pod);
	w->pod = NULL;
	if (kube_get(run->kube, &kube_pod, run->ns, w->p->claim->base, &w->pod, &why) < 0) {
		*e = why;
		if (why.class == ERR_NOT_FOUND)
			return err_set(e, ERR_RETRY, "the mover '%s/%s' was deleted", run->ns,
			               w->p->claim->base);
		return -1;
	}
	int rc = mover_state(w->pod, &w->result, &waits, e);
	if (rc != 0 || (!*waits && now_mono_ns() - w->told_ns > LOG_EVERY_NS))
		tell_log(w);
	if (rc != 0 || !*waits)
		return rc;
	if (now_mono_ns() - w->since_ns < limit_ms * 1000000)
		return 0;
	return err_set(e, ERR_RETRY, "the mover '%s/%s' did not begin within %llds: %.400s",
	               run->ns, w->p->claim->base, (long long)(limit_ms / 1000), waits);
}

int mover_run(const struct mover_params *p, struct point *ret, uint64_t *ret_requests,
              struct err *e)
{
	CLEANUP(clean_wait) struct wait w = { .p = p, .since_ns = now_mono_ns() };
	auto_json json_t *pod = mover_pod(p, e);

	if (!pod || kube_create(p->run->kube, &kube_pod, p->run->ns, pod, NULL, e) < 0)
		return -1;
	int rc = csi_until(p->run, look, &w, e);
	if (rc < 0)
		return err_wrap(e, "reading the view by a mover");
	return given_result_read(w.result, ret, ret_requests, e);
}
