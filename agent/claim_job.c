/* SPDX-License-Identifier: Apache-2.0 */
/* See claim_job.h. */
#include "agent/claim_job.h"

#include <string.h>

#include "agent/given.h"
#include "agent/holder.h"
#include "agent/mover.h"
#include "kube/pod.h"

#define VIEW_MAX (120 * KIB) /* of one argument; the kernel's MAX_ARG_STRLEN is 128 KiB */

/* ---- arguments ---- */

static int add(json_t *args, const char *option, const char *value)
{
	if (!value || !*value)
		return 0;
	return json_array_append_new(args, json_string(option)) |
	       json_array_append_new(args, json_string(value));
}

static int add_flag(json_t *args, bool on, const char *option)
{
	return on ? json_array_append_new(args, json_string(option)) : 0;
}

/* The kernel takes arguments of a length: of much that hooks said only the status is told. */
static void shorten(json_t *known)
{
	json_t *hooks = json_object_get(json_object_get(known, "capture"), "hooks");

	if (json_dumpb(known, NULL, 0, JSON_COMPACT) < VIEW_MAX / 2)
		return;
	for (size_t i = 0; i < json_array_size(hooks); i++)
		(void)json_object_set_new(json_array_get(hooks, i), "output", json_string(""));
}

json_t *claim_job_args(const struct claim_job *j, struct err *e)
{
	const struct job_params *p = j->job;
	auto_json json_t *known = given_write(j->view, e);
	CLEANUP(buf_clear) struct buf view = BUF_INIT(VIEW_MAX);
	auto_json json_t *args = json_pack("[s, s]", "backup", "--quiet");
	char text[32];

	if (!known)
		return NULL;
	shorten(known);
	if (json_write(known, &view, e) < 0) {
		(void)err_wrap(e, "what is known of a view");
		return NULL;
	}
	int bad = add(args, "--view", buf_cstr(&view));
	bad |= add(args, "--result", WORKER_RESULT);
	bad |= add(args, "--cluster", p->volume.cluster);
	bad |= add(args, "--namespace", p->volume.namespace);
	bad |= add(args, "--uid", p->volume.uid);
	bad |= add(args, "--domain", p->domain);
	bad |= add(args, "--set", p->set);
	for (size_t i = 0; i < p->nexcludes; i++)
		bad |= add(args, "--exclude", p->excludes[i]);
	bad |= add_flag(args, p->skip_caches, "--skip-caches");
	bad |= add_flag(args, p->allow_empty, "--allow-empty");
	bad |= add_flag(args, p->force, "--force");
	bad |= add_flag(args, p->take_over, "--take-over");
	bad |= add_flag(args, !p->verify_encode, "--no-verify-encode");
	if (p->level) {
		(void)snprintf(text, sizeof(text), "%d", p->level);
		bad |= add(args, "--level", text);
	}
	if (p->threads) {
		(void)snprintf(text, sizeof(text), "%u", p->threads);
		bad |= add(args, "--threads", text);
	}
	bad |= json_array_append_new(args,
	                             json_sprintf("%s=%s", p->volume.name,
	                                          j->claim->block ? MOVER_DEVICE : MOVER_VIEW));
	if (!bad)
		return STEAL(&args);
	(void)err_set(e, ERR_NOMEM, "no memory for a mover's arguments");
	return NULL;
}

/* ---- where it is read ---- */

struct find {
	const struct claim_job *job;
	char node[KUBE_NAME_MAX + 1]; /* where it is in use; "": any node will do */
	bool here;                    /* in use at our own node */
};

static int look_at(void *arg, const json_t *pod, struct err *e)
{
	const char *node = kube_text_at(pod, "spec.nodeName");
	struct find *f = arg;

	(void)e;
	if (pod_is_over(pod) || !pod_uses(pod, f->job->claim->name))
		return 0;
	(void)snprintf(f->node, sizeof(f->node), "%s", node);
	f->here |= f->job->node && strcmp(node, f->job->node) == 0;
	return 0;
}

/* Whether the view is the volume itself, and one node has that at a time. */
static bool is_of_one_node(const struct claim_job *j)
{
	const json_t *modes = kube_at(j->claim->volume, "spec.accessModes");

	if (j->view->snapshot->ops->caps & SNAP_CAP_ATOMIC)
		return false;
	for (size_t i = 0; i < json_array_size(modes); i++) {
		const char *mode = json_string_value(json_array_get(modes, i));

		if (mode && strcmp(mode, "ReadWriteOnce") != 0)
			return false;
	}
	return true;
}

/* Of nodes that use it, as far as it matters who they are. */
static int find_node(const struct claim_job *j, struct find *f, struct err *e)
{
	const struct kube_select in_ns = { .ns = j->claim->ns };
	const bool one = is_of_one_node(j);

	*f = (struct find){ .job = j };
	if (!one && (j->reader != POLICY_READ_AUTO || !j->kubelet_dir))
		return 0;
	if (kube_list(j->run->kube, &kube_pod, &in_ns, look_at, f, NULL, e) < 0)
		return -1;
	if (!one)
		f->node[0] = '\0';
	return 0;
}

/*
 * By itself an agent reads what is in use at its node, where it was given the kubelet's directory:
 * in whatever zone the volume is, that node fits.
 */
static bool reads_here(const struct claim_job *j, const struct find *f)
{
	return j->reader == POLICY_READ_NODE ||
	       (j->reader == POLICY_READ_AUTO && (!j->template || (j->kubelet_dir && f->here)));
}

int claim_job_check(const struct claim_job *j, struct err *e)
{
	const struct snapshot *s = j->view->snapshot;

	if (j->strict && s->consistency < j->want)
		return err_set(e, ERR_UNSUPPORTED,
		               "the view is %s and not %s, as the policy wants%s%.400s",
		               snapshot_consistency_name(s->consistency),
		               snapshot_consistency_name(j->want),
		               j->view->capture.fallback ? ": " : "",
		               j->view->capture.fallback ? j->view->capture.fallback : "");
	return 0;
}

/* The limits that this process goes by are those of whoever works for it. */
static json_t *limits(void)
{
	static const char *const names[] = { "AKSDR_LIMIT_UPLOAD", "AKSDR_LIMIT_DOWNLOAD",
		                             "AKSDR_LIMIT_REQUESTS" };
	json_t *env = json_array();

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = getenv(names[i]);

		if (value && json_array_append_new(env, json_pack("{s:s, s:s}", "name", names[i],
		                                                  "value", value)) < 0) {
			json_decref(env);
			return NULL;
		}
	}
	return env;
}

static int by_mover(const struct claim_job *j, const struct find *f, struct point *ret,
                    struct store_traffic *moved, struct err *e)
{
	if (!j->template)
		return err_set(e, ERR_UNSUPPORTED,
		               "a mover is to read the view, and there is no template for its pod; "
		               "pass --mover-template");
	auto_json json_t *args = claim_job_args(j, e);
	auto_json json_t *env = limits();
	if (!env)
		return err_set(e, ERR_NOMEM, "no memory for a mover");
	if (!args)
		return -1;
	const struct mover_params mover = {
		.run = j->run,
		.claim = j->claim,
		.template = j->template,
		.node = *f->node ? f->node : NULL,
		.args = args,
		.env = env,
		.writable = j->view->snapshot->ops->caps & SNAP_CAP_WRITABLE,
	};
	return mover_run(&mover, ret, moved, e);
}

static int at_node(const struct claim_job *j, struct point *ret, struct err *e)
{
	auto_json json_t *own = NULL;

	if (!j->node || !*j->node)
		return err_set(e, ERR_UNSUPPORTED,
		               "the view is to be read at this node, whose name is not known; pass "
		               "--node");
	if (!j->template) {
		own = holder_template(j->run, j->pod, e);
		if (!own)
			return -1;
	}
	const struct mover_params holder = {
		.run = j->run,
		.claim = j->claim,
		.template = j->template ? j->template : own,
		.node = j->node,
		.writable = j->view->snapshot->ops->caps & SNAP_CAP_WRITABLE,
	};
	if (holder_open(&holder, j->kubelet_dir ? j->kubelet_dir : HOLDER_KUBELET,
	                j->view->snapshot, e) < 0)
		return -1;
	return job_backup(j->repo, j->job, ret, e);
}

int claim_job_run(const struct claim_job *j, struct point *ret, struct store_traffic *moved,
                  struct err *e)
{
	struct find f;

	if (claim_job_check(j, e) < 0 || find_node(j, &f, e) < 0)
		return -1;
	return reads_here(j, &f) ? at_node(j, ret, e) : by_mover(j, &f, ret, moved, e);
}
