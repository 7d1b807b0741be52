/* SPDX-License-Identifier: Apache-2.0 */
/* See worker.h. */
#include "kube/worker.h"

#include <string.h>

#include "common/fd.h"
#include "common/log.h"
#include "common/now.h"
#include "common/yaml.h"

#include <fcntl.h>

#define LOG_MAX (64 * KIB) /* of the end of its log */
#define LOG_EVERY_NS INT64_C(10000000000)
#define VIEW "aksdr-view"
#define LOOK_FIRST_MS 100 /* between two looks; doubled up to */
#define LOOK_MOST_MS 2000

/* ---- the template ---- */

json_t *worker_container(json_t *spec)
{
	json_t *containers = json_object_get(spec, "containers");

	for (size_t i = 0; i < json_array_size(containers); i++) {
		json_t *c = json_array_get(containers, i);
		const char *name = json_string_value(json_object_get(c, "name"));

		if (name && strcmp(name, WORKER_CONTAINER) == 0)
			return c;
	}
	return NULL;
}

json_t *worker_template(const char *path, struct err *e)
{
	auto_json json_t *t = yaml_load(path, e);

	if (!t) {
		(void)err_wrap(e, "the template of movers");
		return NULL;
	}
	if (worker_container(json_object_get(t, "spec")))
		return STEAL(&t);
	(void)err_set(e, ERR_INVALID,
	              "the template of movers '%s' has no container '" WORKER_CONTAINER
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

static json_t *borrowed(const json_t *j)
{
	return (json_t *)(uintptr_t)j;
}

static int put_metadata(json_t *pod, const struct worker_params *p)
{
	json_t *meta = member(pod, "metadata", false);

	int bad = json_object_set_new(meta, "name", json_string(p->name));
	bad |= json_object_set_new(meta, "namespace", json_string(p->ns));
	if (p->labels)
		bad |= json_object_update(member(meta, "labels", false), borrowed(p->labels));
	if (p->annotations)
		bad |= json_object_update(member(meta, "annotations", false),
		                          borrowed(p->annotations));
	return bad;
}

static int put_view(json_t *spec, json_t *container, const struct worker_params *p)
{
	json_t *volume = json_pack("{s:s, s:{s:s, s:b}}", "name", VIEW, "persistentVolumeClaim",
	                           "claimName", p->claim, "readOnly", p->claim_readonly);
	json_t *mount = p->block ? json_pack("{s:s, s:s}", "name", VIEW, "devicePath", p->path)
	                         : json_pack("{s:s, s:s, s:b}", "name", VIEW, "mountPath", p->path,
	                                     "readOnly", p->mount_readonly);

	int bad = json_array_append_new(member(spec, "volumes", true), volume);
	return bad |
	       json_array_append_new(member(container, p->block ? "volumeDevices" : "volumeMounts",
	                                    true),
	                             mount);
}

/* By the scheduler, which looks whether the node takes it. */
static int put_place(json_t *spec, const struct worker_params *p)
{
	json_t *term;

	if (p->node)
		term = json_pack("{s:[{s:s, s:s, s:[s]}]}", "matchFields", "key", "metadata.name",
		                 "operator", "In", "values", p->node);
	else if (json_array_size(p->zones) > 0)
		term = json_pack("{s:[{s:s, s:s, s:O}]}", "matchExpressions", "key",
		                 "topology.kubernetes.io/zone", "operator", "In", "values",
		                 p->zones);
	else
		return 0;
	return json_object_set_new(member(member(spec, "affinity", false), "nodeAffinity", false),
	                           "requiredDuringSchedulingIgnoredDuringExecution",
	                           json_pack("{s:[o]}", "nodeSelectorTerms", term));
}

static int put_spec(json_t *pod, const struct worker_params *p)
{
	json_t *spec = json_object_get(pod, "spec");
	json_t *container = worker_container(spec);

	int bad = json_object_set_new(spec, "restartPolicy", json_string("Never"));
	bad |= json_object_set_new(spec, "automountServiceAccountToken", json_false());
	bad |= json_object_set_new(spec, "enableServiceLinks", json_false());
	bad |= json_object_set_new(container, "args", json_deep_copy(p->args));
	bad |= json_object_set_new(container, "terminationMessagePath", json_string(WORKER_RESULT));
	bad |= json_object_set_new(container, "terminationMessagePolicy", json_string("File"));
	/* Of two of one name the later one counts. */
	if (json_array_size(p->env) > 0)
		bad |= json_array_extend(member(container, "env", true), borrowed(p->env));
	return bad | put_place(spec, p) | put_view(spec, container, p);
}

json_t *worker_pod(const struct worker_params *p, struct err *e)
{
	auto_json json_t *pod = json_object();
	auto_json json_t *t = json_deep_copy(p->template);

	if (!worker_container(json_object_get(t, "spec"))) {
		(void)err_set(e, ERR_INVALID, "the template of movers has no container '%s'",
		              WORKER_CONTAINER);
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

		if (strcmp(kube_text_at(s, "name"), WORKER_CONTAINER) == 0)
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

int worker_state(const json_t *pod, const char **ret_result, const char **ret_waits, struct err *e)
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

/* ---- waiting for it ---- */

int worker_until(const struct cancel *cancel, int (*done)(void *arg, struct err *e), void *arg,
                 struct err *e)
{
	for (int ms = LOOK_FIRST_MS;; ms = ms < LOOK_MOST_MS / 2 ? ms * 2 : LOOK_MOST_MS) {
		if (cancel_check(cancel, e) < 0)
			return -1;
		int rc = done(arg, e);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
		if (cancel_wait(cancel, NULL, ms, e) < 0)
			return -1;
	}
}

struct wait {
	const struct worker_wait *p;
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
	if (*text && (!w->p->line || w->p->line(w->p->arg, text) == 0))
		log_info("a mover says", LOG_S("volume", w->p->what), LOG_S("line", text));
}

/* What it said since the last time, so that it is where people look. */
static void tell_log(struct wait *w)
{
	CLEANUP(buf_clear) struct buf path = BUF_INIT(4 * KIB);
	CLEANUP(buf_clear) struct buf text = BUF_INIT(LOG_MAX);
	struct err why = ERR_INIT;

	w->told_ns = now_mono_ns();
	if (buf_printf(&path, "/api/v1/namespaces/%s/pods/%s/log?container=%s&timestamps=true%s%s",
	               w->p->ns, w->p->name, WORKER_CONTAINER, *w->told ? "&sinceTime=" : "",
	               w->told) < 0 ||
	    kube_text(w->p->kube, buf_cstr(&path), &text, &why) < 0) {
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
	const struct worker_wait *p = w->p;
	const int64_t limit_ms = p->stuck_ms ? p->stuck_ms : WORKER_STUCK_MS;
	const char *waits;
	struct err why = ERR_INIT;

	json_decref(w->pod);
	w->pod = NULL;
	if (kube_get(p->kube, &kube_pod, p->ns, p->name, &w->pod, &why) < 0) {
		*e = why;
		if (why.class == ERR_NOT_FOUND)
			return err_set(e, ERR_RETRY, "the mover '%s/%s' was deleted", p->ns,
			               p->name);
		return -1;
	}
	int rc = worker_state(w->pod, &w->result, &waits, e);
	if (rc != 0 || (!*waits && now_mono_ns() - w->told_ns > LOG_EVERY_NS))
		tell_log(w);
	if (rc != 0 || !*waits)
		return rc;
	if (now_mono_ns() - w->since_ns < limit_ms * 1000000)
		return 0;
	return err_set(e, ERR_RETRY, "the mover '%s/%s' did not begin within %llds: %.400s", p->ns,
	               p->name, (long long)(limit_ms / 1000), waits);
}

int worker_wait(const struct worker_wait *p, json_t **ret_pod, const char **ret_result,
                struct err *e)
{
	CLEANUP(clean_wait) struct wait w = { .p = p, .since_ns = now_mono_ns() };

	if (worker_until(p->cancel, look, &w, e) < 0)
		return -1;
	*ret_result = w.result;
	*ret_pod = STEAL(&w.pod);
	return 0;
}
