/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One look at a gate is a request or a few, and says open, or why not. What may be otherwise later
 * (nothing is there yet, nobody answers, a command fails) is waited for; what only a person can
 * change ends it.
 */
#include "restore/gate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/http.h"
#include "common/log.h"
#include "common/now.h"
#include "common/num.h"
#include "kube/exec.h"
#include "restore/filler.h"

#define EVERY_MS 5000
#define COMMAND_MS 60000 /* that a command may take */
#define SAID_MAX 200     /* of the end of what it says */
#define PODS_MAX 1000
#define CONFIG_MAPS_MAX 1000

static const struct kube_kind job_kind = { "batch", "v1", "jobs", "Job", false };

/* What a look saw: 1 open, 0 closed, with why. */
struct look {
	const struct gate_params *p;
	const struct recipe_gate *g;
	int64_t timeout_ms; /* that a command may take; 0: COMMAND_MS */
	char why[GATE_WHY_MAX];
};

static int closed(struct look *l, const char *fmt, ...) PRINTF_LIKE(2, 3);
static int closed(struct look *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(l->why, sizeof(l->why), fmt, ap);
	va_end(ap);
	return 0;
}

/* An error that may be gone later closes; else it is one. */
static int failed(struct look *l, const struct err *why, struct err *e)
{
	if (why->class == ERR_RETRY || why->class == ERR_NOT_FOUND || why->class == ERR_IO)
		return closed(l, "%.500s", why->msg);
	*e = *why;
	return -1;
}

/* ---- approvals ---- */

static bool is_run(const char *text, size_t n, const char *run)
{
	return n >= GATE_RUN_LEAST && n <= strlen(run) && strncmp(text, run, n) == 0;
}

static bool word_is(const char *word, size_t n, const char *run, const char *stage,
                    const char *gate)
{
	const char *slash = memchr(word, '/', n);
	char rest[160];

	if (!slash || !is_run(word, (size_t)(slash - word), run))
		return false;
	const int want = snprintf(rest, sizeof(rest), "%s/%s", stage, gate);
	const size_t have = n - (size_t)(slash + 1 - word);
	return want > 0 && (size_t)want < sizeof(rest) && have == (size_t)want &&
	       memcmp(slash + 1, rest, have) == 0;
}

bool gate_is_approved(const char *words, const char *run, const char *stage, const char *gate)
{
	while (*words) {
		size_t n = strcspn(words, ", \t\n");

		if (word_is(words, n, run, stage, gate))
			return true;
		words += n;
		words += strspn(words, ", \t\n");
	}
	return false;
}

struct approvals {
	const struct look *l;
	bool found;
	size_t n;
};

static int take_approval(void *arg, const json_t *o, struct err *e)
{
	struct approvals *a = arg;
	const struct gate_params *p = a->l->p;
	const char *run = kube_text_at(o, "data.run"), *gate = kube_text_at(o, "data.gate");
	char want[160];

	if (++a->n > CONFIG_MAPS_MAX)
		return err_set(e, ERR_TOO_BIG, "there are more than %d approvals in '%s'",
		               CONFIG_MAPS_MAX, p->ns);
	(void)snprintf(want, sizeof(want), "%s/%s", p->stage, a->l->g->name);
	a->found |= is_run(run, strlen(run), p->run) && strcmp(gate, want) == 0;
	return 0;
}

static int look_for_approval(struct look *l, struct err *e)
{
	const struct gate_params *p = l->p;
	const struct kube_select select = { .ns = p->ns,
		                            .labels = FILLER_LABEL_ROLE "=" GATE_ROLE };
	struct approvals a = { .l = l };
	auto_json json_t *plan = NULL;
	struct err why = ERR_INIT;

	if (kube_get(p->kube, &kube_plan, p->plan_ns, p->plan, &plan, &why) == 0) {
		const char *words = json_string_value(
			json_object_get(kube_at(plan, "metadata.annotations"), GATE_APPROVE));

		if (words && gate_is_approved(words, p->run, p->stage, l->g->name))
			return 1;
	} else if (why.class != ERR_NOT_FOUND && why.class != ERR_DENIED) {
		return failed(l, &why, e);
	}
	why = ERR_INIT;
	if (kube_list(p->kube, &kube_config_map, &select, take_approval, &a, NULL, &why) < 0)
		return failed(l, &why, e);
	return a.found ? 1
	               : closed(l, "nobody has approved it: aksdr-restore approve %.8s %s/%s",
	                        p->run, p->stage, l->g->name);
}

int gate_approve(struct kube *k, const char *ns, const char *run, const char *gate, struct err *e)
{
	static const char name_chars[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	const char *slash = strchr(gate, '/');
	const size_t digits = strspn(run, "0123456789abcdef");
	char name[160], at[40];

	if (digits < GATE_RUN_LEAST || run[digits] || digits > 32)
		return err_set(e, ERR_INVALID,
		               "'%.64s' is no run: give the first %d digits of its name or more",
		               run, GATE_RUN_LEAST);
	if (!slash || slash == gate || !slash[1] || strlen(gate) > 127 ||
	    strspn(gate, name_chars) != (size_t)(slash - gate) ||
	    slash[1 + strspn(slash + 1, name_chars)])
		return err_set(e, ERR_INVALID, "'%.160s' is no gate: it is named STAGE/GATE", gate);
	(void)snprintf(name, sizeof(name), "aksdr-approve-%.8s-%.*s.%s", run, (int)(slash - gate),
	               gate, slash + 1);
	(void)snprintf(at, sizeof(at), "%s", now_rfc3339(now_wall_ns()).s);
	auto_json json_t *o = json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s}}, s:{s:s, s:s, s:s}}",
	                                "apiVersion", "v1", "kind", "ConfigMap", "metadata", "name",
	                                name, "namespace", ns, "labels", FILLER_LABEL_ROLE,
	                                GATE_ROLE, "data", "run", run, "gate", gate, "at", at);
	struct err why = ERR_INIT;
	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for an approval");
	if (kube_create(k, &kube_config_map, ns, o, NULL, &why) == 0 || why.class == ERR_EXISTS)
		return 0;
	*e = why;
	return err_wrap(e, "approving '%s'", gate);
}

struct forgetting {
	const char *run;
	json_t *names;
};

static int take_name(void *arg, const json_t *o, struct err *e)
{
	struct forgetting *f = arg;
	const char *run = kube_text_at(o, "data.run");

	if (!is_run(run, strlen(run), f->run) || json_array_size(f->names) == CONFIG_MAPS_MAX)
		return 0;
	return json_array_append_new(f->names, json_string(kube_text_at(o, "metadata.name"))) < 0
	               ? err_set(e, ERR_NOMEM, "no memory for approvals")
	               : 0;
}

int gate_forget(struct kube *k, const char *ns, const char *run, struct err *e)
{
	const struct kube_select select = { .ns = ns, .labels = FILLER_LABEL_ROLE "=" GATE_ROLE };
	auto_json json_t *names = json_array();
	struct forgetting f = { run, names };
	size_t i;
	json_t *name;

	if (!names)
		return err_set(e, ERR_NOMEM, "no memory for approvals");
	if (kube_list(k, &kube_config_map, &select, take_name, &f, NULL, e) < 0)
		return err_wrap(e, "taking approvals away");
	json_array_foreach(names, i, name) {
		if (kube_delete(k, &kube_config_map, ns, json_string_value(name), NULL, e) < 0)
			return err_wrap(e, "taking approvals away");
	}
	return 0;
}

/* ---- commands ---- */

static bool is_ready(const json_t *pod)
{
	size_t i;
	json_t *c;

	if (strcmp(kube_text_at(pod, "status.phase"), "Running") != 0 ||
	    *kube_text_at(pod, "metadata.deletionTimestamp"))
		return false;
	json_array_foreach(kube_at(pod, "status.conditions"), i, c) {
		if (strcmp(kube_text_at(c, "type"), "Ready") == 0)
			return strcmp(kube_text_at(c, "status"), "True") == 0;
	}
	return false;
}

const json_t *gate_choose_pod(const json_t *pods)
{
	const json_t *best = NULL;
	size_t i;
	json_t *pod;

	json_array_foreach(pods, i, pod) {
		if (is_ready(pod) && (!best || strcmp(kube_text_at(pod, "metadata.name"),
		                                      kube_text_at(best, "metadata.name")) < 0))
			best = pod;
	}
	return best;
}

static int take_pod(void *arg, const json_t *pod, struct err *e)
{
	json_t *pods = arg;

	if (json_array_size(pods) == PODS_MAX)
		return err_set(e, ERR_TOO_BIG, "more than %d pods have the labels of a gate",
		               PODS_MAX);
	return json_array_append_new(pods, json_deep_copy(pod)) < 0
	               ? err_set(e, ERR_NOMEM, "no memory for pods")
	               : 0;
}

/* The end of what a command says. */
struct said {
	char text[SAID_MAX + 1];
	size_t n;
};

static void take_said(void *arg, bool err, const void *p, size_t n)
{
	struct said *s = arg;
	const char *at = p;

	(void)err;
	if (n >= SAID_MAX) {
		at += n - SAID_MAX;
		n = SAID_MAX;
		s->n = 0;
	}
	if (s->n + n > SAID_MAX) {
		size_t over = s->n + n - SAID_MAX;

		memmove(s->text, s->text + over, s->n - over);
		s->n -= over;
	}
	memcpy(s->text + s->n, at, n);
	s->n += n;
	s->text[s->n] = '\0';
}

/* Its last line, without what terminals obey. */
static const char *last_line(struct said *s)
{
	while (s->n > 0 && (s->text[s->n - 1] == '\n' || s->text[s->n - 1] == '\r'))
		s->text[--s->n] = '\0';
	char *line = memrchr(s->text, '\n', s->n);
	line = line ? line + 1 : s->text;
	for (uint8_t *c = (uint8_t *)line; *c; c++)
		*c = *c < 0x20 || *c >= 0x7f ? '?' : *c;
	return line;
}

static int look_at_command(struct look *l, struct err *e)
{
	const struct recipe_gate *g = l->g;
	const struct kube_select select = { .ns = g->ns, .labels = g->selector };
	auto_json json_t *pods = json_array();
	auto_free const char **argv = calloc(g->command.n + 1, sizeof(*argv));
	struct said said = { .n = 0 };
	struct err why = ERR_INIT;
	int status = -1;

	if (!pods || !argv)
		return err_set(e, ERR_NOMEM, "no memory for a gate");
	if (kube_list(l->p->kube, &kube_pod, &select, take_pod, pods, NULL, &why) < 0)
		return failed(l, &why, e);
	const json_t *pod = gate_choose_pod(pods);
	if (!pod)
		return closed(l, "no pod of '%s' in '%s' is ready", g->selector, g->ns);
	for (size_t i = 0; i < g->command.n; i++)
		argv[i] = g->command.v[i];
	const struct exec_params x = {
		.ns = g->ns,
		.pod = kube_text_at(pod, "metadata.name"),
		.container = g->container,
		.argv = argv,
		.timeout_ms = l->timeout_ms > 0 && l->timeout_ms < COMMAND_MS ? l->timeout_ms
		                                                              : COMMAND_MS,
		.output = take_said,
		.arg = &said,
		.cancel = l->p->cancel,
	};
	if (exec_run(l->p->kube, &x, &status, &why) < 0)
		return failed(l, &why, e);
	if (status == 0)
		return 1;
	const char *line = last_line(&said);
	return closed(l, "in the pod '%s/%s' it ends with status %d%s%s", g->ns, x.pod, status,
	              *line ? ": " : "", line);
}

/* ---- jobs ---- */

int gate_judge_job(const json_t *job, struct err *e)
{
	size_t i;
	json_t *c;

	json_array_foreach(kube_at(job, "status.conditions"), i, c) {
		const char *type = kube_text_at(c, "type");

		if (strcmp(kube_text_at(c, "status"), "True") != 0)
			continue;
		if (strcmp(type, "Complete") == 0)
			return 1;
		if (strcmp(type, "Failed") == 0)
			return err_set(e, ERR_IO, "the Job '%s' has failed: %.300s",
			               kube_text_at(job, "metadata.name"),
			               kube_text_at(c, "message"));
	}
	return 0;
}

static int look_at_job(struct look *l, struct err *e)
{
	auto_json json_t *job = NULL;
	struct err why = ERR_INIT;

	if (kube_get(l->p->kube, &job_kind, l->g->ns, l->g->job, &job, &why) < 0)
		return failed(l, &why, e);
	int rc = gate_judge_job(job, e);
	return rc != 0 ? rc : closed(l, "the Job '%s/%s' is not complete", l->g->ns, l->g->job);
}

/* ---- http ---- */

static int look_at_http(struct look *l, struct err *e)
{
	const struct http_params params = {
		.inflight = 1, .connect_ms = 10000, .stall_ms = 30000, .cancel = l->p->cancel
	};
	const struct http_request rq = { .method = "GET", .url = l->g->url, .niov = -1 };
	auto_free struct http_answer *answer = malloc(sizeof(*answer));
	struct err why = ERR_INIT;

	if (!answer)
		return err_set(e, ERR_NOMEM, "no memory for a gate");
	auto_http struct http *http = http_new(&params, e);
	if (!http)
		return -1;
	if (http_do(http, &rq, answer, &why) < 0)
		return failed(l, &why, e);
	for (size_t i = 0; i < l->g->ncodes; i++)
		if (answer->status == l->g->codes[i])
			return 1;
	return closed(l, "'%.200s' answers with status %d", l->g->url, answer->status);
}

/* ---- waiting ---- */

int gate_look(const struct gate_params *p, const struct recipe_gate *g, int64_t timeout_ms,
              char why[GATE_WHY_MAX], struct err *e)
{
	struct look l = { .p = p, .g = g, .timeout_ms = timeout_ms };
	int rc;

	switch (g->kind) {
	case RECIPE_COMMAND:
		rc = look_at_command(&l, e);
		break;
	case RECIPE_JOB:
		rc = look_at_job(&l, e);
		break;
	case RECIPE_HTTP:
		rc = look_at_http(&l, e);
		break;
	case RECIPE_APPROVAL:
	default:
		rc = look_for_approval(&l, e);
	}
	(void)snprintf(why, GATE_WHY_MAX, "%s", l.why);
	return rc;
}

int gate_wait(const struct gate_params *p, const struct recipe_gate *g, struct err *e)
{
	const int64_t limit_s = g->timeout_s || g->kind == RECIPE_APPROVAL ? g->timeout_s
	                                                                   : GATE_TIMEOUT_S;
	const int64_t end_ns = now_mono_ns() + limit_s * 1000000000;
	char why[GATE_WHY_MAX], told[GATE_WHY_MAX] = "", name[160];

	(void)snprintf(name, sizeof(name), "%s/%s", p->stage, g->name);
	for (;;) {
		int64_t left_ms = limit_s ? (end_ns - now_mono_ns()) / 1000000 : 0;
		int rc = cancel_check(p->cancel, e) < 0 ? -1 : gate_look(p, g, left_ms, why, e);
		if (rc < 0)
			return err_wrap(e, "the gate '%s'", name);
		if (rc > 0)
			return 0;
		if (strcmp(why, told) != 0)
			log_info("waiting at a gate", LOG_S("gate", name), LOG_S("why", why));
		(void)snprintf(told, sizeof(told), "%s", why);
		if (limit_s && now_mono_ns() >= end_ns)
			return err_set(e, ERR_BUSY, "the gate '%s' was not open within %s: %.500s",
			               name, num_duration_text(limit_s).s, why);
		int64_t wait_ms = p->every_ms ? p->every_ms : EVERY_MS;
		if (limit_s && wait_ms > left_ms)
			wait_ms = left_ms > 0 ? left_ms : 0;
		if (cancel_wait(p->cancel, NULL, wait_ms, e) < 0)
			return err_wrap(e, "waiting at the gate '%s'", name);
	}
}
