/* SPDX-License-Identifier: Apache-2.0 */
/* See pod_hook.h. */
#include "agent/pod_hook.h"

#include <stdio.h>
#include <string.h>

#include "agent/hook_said.h"
#include "common/json.h"
#include "common/now.h"
#include "kube/exec.h"
#include "repo/capture.h"

/* Of the end of its output: a mover gets all of it as one argument, which has 128 KiB at most. */
#define OUTPUT_MAX 1024

/* One command in one pod. */
struct pod_hook {
	struct kube *k;
	char *ns, *pod;
	const char *container; /* of the policy; NULL: the first one */
	const char **argv;
	char *name; /* "NAMESPACE/POD: program argument ..." */
};

/* ---- which pods ---- */

static const char *text_at(const json_t *object, const char *a, const char *b)
{
	const char *s = json_string_value(json_object_get(json_object_get(object, a), b));

	return s ? s : "";
}

/* A generic ephemeral volume has a claim of the name POD-VOLUME. */
static bool is_ephemeral(const json_t *pod, const json_t *volume, const char *claim)
{
	const char *name = text_at(pod, "metadata", "name");
	const char *of = json_string_value(json_object_get(volume, "name"));
	size_t n = strlen(name);

	return of && json_object_get(volume, "ephemeral") && strncmp(claim, name, n) == 0 &&
	       claim[n] == '-' && strcmp(claim + n + 1, of) == 0;
}

bool pod_hook_uses(const json_t *pod, const char *claim)
{
	const json_t *volumes = json_object_get(json_object_get(pod, "spec"), "volumes");
	const json_t *v;
	size_t i;

	json_array_foreach(volumes, i, v)
		if (strcmp(text_at(v, "persistentVolumeClaim", "claimName"), claim) == 0 ||
		    is_ephemeral(pod, v, claim))
			return true;
	return false;
}

static bool is_running(const json_t *pod)
{
	return strcmp(text_at(pod, "status", "phase"), "Running") == 0 &&
	       !json_object_get(json_object_get(pod, "metadata"), "deletionTimestamp");
}

struct search {
	const char *const *claims;
	size_t nclaims;
	json_t *pods; /* {name: labels} */
};

static int keep_user(void *arg, const json_t *pod, struct err *e)
{
	struct search *s = arg;
	const char *name = text_at(pod, "metadata", "name");
	json_t *labels = json_object_get(json_object_get(pod, "metadata"), "labels");
	bool uses = false;

	for (size_t i = 0; i < s->nclaims && !uses; i++)
		uses = pod_hook_uses(pod, s->claims[i]);
	if (!uses || !*name || !is_running(pod))
		return 0;
	json_t *kept = labels ? json_incref(labels) : json_object();
	if (json_object_set_new(s->pods, name, kept) < 0)
		return err_set(e, ERR_NOMEM, "no memory for the pods that use a claim");
	return 0;
}

/* ---- one command ---- */

static void take(void *arg, bool err, const void *p, size_t n)
{
	struct hook_said *s = arg;

	hook_said_take(s, !err, p, n);
}

/* Keeps the end of the output, from a whole character on. */
static void shorten(struct hook_result *r)
{
	size_t cut = r->output_len > OUTPUT_MAX ? r->output_len - OUTPUT_MAX : 0;

	while (cut > 0 && ((unsigned char)r->output[cut] & 0xc0) == 0x80)
		cut++;
	r->output_len -= cut;
	memmove(r->output, r->output + cut, r->output_len + 1);
}

static int judge(const struct hook *h, int status, const struct hook_result *r, struct err *e)
{
	char said[HOOK_SAID_SHOWN];

	if (status == 0)
		return 0;
	hook_said_last_line(r, said);
	return err_set(e, ERR_IO, "the %s hook '%s' ended with status %d%s",
	               hook_phase_name(h->phase), h->name, status, said);
}

static int run(const struct hook *h, struct cancel *cancel, struct hook_result *ret, struct err *e)
{
	const struct pod_hook *p = h->arg;
	auto_free struct hook_said *s = calloc(1, sizeof(*s));
	int status = -1;

	if (!s)
		return err_set(e, ERR_NOMEM, "no memory for the output of a hook");
	s->ret = ret;
	const struct exec_params params = {
		.ns = p->ns,
		.pod = p->pod,
		.container = p->container,
		.argv = p->argv,
		.timeout_ms = h->timeout_ms ? h->timeout_ms : HOOK_TIMEOUT_MS,
		.output = take,
		.arg = s,
		.cancel = h->phase == HOOK_PRE ? cancel : NULL,
	};
	int64_t start_ns = now_mono_ns();
	int rc = exec_run(p->k, &params, &status, e);
	ret->duration_ns = now_mono_ns() - start_ns;
	ret->started = rc == 0 || ret->written > 0;
	ret->timed_out = rc < 0 && e->class == ERR_IO;
	ret->cancelled = rc < 0 && e->class == ERR_CANCELLED;
	struct err kept = ERR_INIT;
	if (hook_said_end(s, &kept) < 0) {
		if (rc == 0)
			*e = kept;
		return -1;
	}
	if (rc < 0)
		return err_wrap(e, "the %s hook '%s'", hook_phase_name(h->phase), h->name);
	ret->status = status;
	rc = judge(h, status, ret, e);
	shorten(ret);
	return rc;
}

/* ---- hooks ---- */

static void clear_one(struct pod_hook *p)
{
	free(p->ns);
	free(p->pod);
	free(p->argv);
	free(p->name);
}

void pod_hook_clear(struct pod_hooks *h)
{
	for (size_t i = 0; i < h->n; i++)
		clear_one(&h->pods[i]);
	free(h->hooks);
	free(h->pods);
	free(h->unused);
	*h = (struct pod_hooks){ 0 };
}

static char *name_of(const char *ns, const char *pod, const struct fields_texts *command)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CAPTURE_COMMAND_MAX * 8);
	char line[CAPTURE_COMMAND_MAX];

	(void)buf_printf(&b, "%s/%s:", ns, pod); /* what does not fit is left out */
	for (size_t i = 0; i < command->n; i++)
		if (buf_printf(&b, " %s", command->v[i]) < 0)
			break;
	const char *whole = b.failed ? NULL : buf_cstr(&b);
	hook_said_one_line(line, sizeof(line), whole ? whole : pod);
	return strdup(line);
}

static int add(struct kube *k, const struct policy_hook *h, const char *ns, const char *pod,
               struct pod_hooks *ret, struct err *e)
{
	struct pod_hook *p = &ret->pods[ret->n];

	*p = (struct pod_hook){
		.k = k,
		.ns = strdup(ns),
		.pod = strdup(pod),
		.container = *h->container ? h->container : NULL,
		.argv = calloc(h->command.n + 1, sizeof(*p->argv)),
		.name = name_of(ns, pod, &h->command),
	};
	if (!p->ns || !p->pod || !p->argv || !p->name) {
		clear_one(p);
		return err_set(e, ERR_NOMEM, "no memory for the hooks of a policy");
	}
	for (size_t i = 0; i < h->command.n; i++)
		p->argv[i] = h->command.v[i];
	ret->hooks[ret->n++] = (struct hook){
		.phase = h->post ? HOOK_POST : HOOK_PRE,
		.run = run,
		.arg = p,
		.name = p->name,
		.timeout_ms = (unsigned)(h->timeout_s * 1000),
		.on_error = h->go_on ? HOOK_CONTINUE : HOOK_FAIL,
	};
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Each hook with each pod that it is for. */
static int pair(struct kube *k, const struct policy *p, const char *ns, json_t *pods, size_t max,
                struct pod_hooks *ret, struct err *e)
{
	size_t npods = json_object_size(pods);
	auto_free const char **names = calloc(npods + 1, sizeof(*names));
	size_t n = 0, unused = 0;

	ret->hooks = calloc(max, sizeof(*ret->hooks));
	ret->pods = calloc(max, sizeof(*ret->pods));
	if (!names || !ret->hooks || !ret->pods)
		return err_set(e, ERR_NOMEM, "no memory for the hooks of a policy");
	for (void *at = json_object_iter(pods); at; at = json_object_iter_next(pods, at))
		names[n++] = json_object_iter_key(at);
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < p->nhooks; i++) {
		size_t before = ret->n;

		for (size_t j = 0; j < n; j++) {
			if (!selector_fits(&p->hooks[i].pods, json_object_get(pods, names[j])))
				continue;
			if (ret->n == max)
				return err_set(e, ERR_TOO_BIG,
				               "the hooks of policy %s/%s are for more than %zu "
				               "commands in pods of namespace '%s'; give them a "
				               "podSelector",
				               p->ns, p->name, max, ns);
			if (add(k, &p->hooks[i], ns, names[j], ret, e) < 0)
				return -1;
		}
		unused += ret->n == before;
	}
	if (unused > 0 &&
	    asprintf(&ret->unused,
	             "%zu of %zu hooks of policy %s/%s had no running pod that uses the claim",
	             unused, p->nhooks, p->ns, p->name) < 0) {
		ret->unused = NULL;
		return err_set(e, ERR_NOMEM, "no memory for the hooks of a policy");
	}
	return 0;
}

int pod_hook_find(struct kube *k, const struct policy *p, const char *ns, const char *const *claims,
                  size_t nclaims, size_t max, struct pod_hooks *ret, struct err *e)
{
	const struct kube_select select = { .ns = ns };

	*ret = (struct pod_hooks){ 0 };
	if (p->nhooks == 0)
		return 0;
	auto_json json_t *pods = json_object();
	struct search s = { .claims = claims, .nclaims = nclaims, .pods = pods };
	if (!pods)
		return err_set(e, ERR_NOMEM, "no memory for the pods that use a claim");
	if (kube_list(k, &kube_pod, &select, keep_user, &s, NULL, e) < 0)
		return err_wrap(e, "finding the pods for hooks of policy %s/%s", p->ns, p->name);
	return pair(k, p, ns, pods, max, ret, e);
}
