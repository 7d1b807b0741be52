/* SPDX-License-Identifier: Apache-2.0 */
/* See moment.h. */
#include "agent/moment.h"

#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/now.h"
#include "snapshot/mount.h"

/* ---- hooks ---- */

static char *join_names(const struct moment *m)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * KIB);

	for (size_t i = 0; i < m->n; i++)
		if (buf_printf(&b, "%s%s", i ? " " : "", m->volumes[i].name) < 0)
			return NULL;
	const char *names = buf_cstr(&b);
	return names ? strdup(names) : NULL;
}

/* What the hook did and said, into the captures of volumes from `from` on. */
static void keep(struct moment *m, size_t from, const struct hook *h, struct hook_result *r,
                 int64_t started_ns)
{
	auto_free char *command = strdup(hook_name(h));
	struct capture_hook x = {
		.post = h->phase == HOOK_POST,
		.command = command,
		.exit = r->status < 0 ? 0 : r->status,
		.signal = r->signal,
		.timed_out = r->timed_out,
		.started_ns = started_ns,
		.ms = (uint64_t)(r->duration_ns / 1000000),
		.output = r->output_len ? r->output : NULL,
		.cut_bytes = r->written > r->output_len ? r->written - r->output_len : 0,
	};
	struct err e = ERR_INIT;

	if (!command)
		return;
	for (size_t i = from; i < m->n; i++) {
		struct point_capture *c = &m->volumes[i].capture;
		int rc = capture_add_hook(c, &x, &e);

		for (size_t k = 0; rc == 0 && k < r->nfacts; k++)
			rc = capture_add_fact(c, r->facts[k].name, r->facts[k].value, &e);
		if (rc < 0)
			log_warn("what a hook said is not kept",
			         LOG_S("volume", m->volumes[i].name), LOG_S("why", e.msg));
	}
}

static int run_one(struct moment *m, size_t from, const struct hook *h, struct err *e)
{
	auto_free char *names = join_names(m);
	auto_free struct hook_result *r = calloc(1, sizeof(*r));
	const struct hook_var vars[] = {
		{ "AKSDR_SET", m->params->set },
		{ "AKSDR_VOLUMES", names },
		{ "AKSDR_RESULT", m->captured ? "captured" : "failed" },
	};

	if (!names || !r)
		return err_set(e, ERR_NOMEM, "no memory for a hook");
	int64_t started_ns = now_wall_ns();
	int rc = hook_run(h, vars, h->phase == HOOK_POST ? 3 : 2, m->params->cancel, r, e);
	keep(m, from, h, r, started_ns);
	if (rc == 0 || h->on_error == HOOK_FAIL || e->class == ERR_CANCELLED)
		return rc;
	log_warn("a hook failed; the backup goes on", LOG_S("hook", hook_name(h)),
	         LOG_S("why", e->msg));
	m->hooked = false;
	return 0;
}

static int run_pres(struct moment *m, struct err *e)
{
	const struct moment_params *p = m->params;

	for (size_t i = 0; i < p->nhooks; i++) {
		if (p->hooks[i].phase != HOOK_PRE)
			continue;
		m->hooked = true;
		break;
	}
	for (size_t i = 0; i < p->nhooks; i++) {
		struct err why = ERR_INIT;

		if (p->hooks[i].phase != HOOK_PRE)
			continue;
		if (run_one(m, 0, &p->hooks[i], &why) < 0) {
			*e = why;
			return -1;
		}
	}
	return 0;
}

int moment_posts(struct moment *m, size_t from, struct err *e)
{
	const struct moment_params *p = m->params;
	int rc = 0;

	if (!m->posts_due)
		return 0;
	m->posts_due = false;
	for (size_t i = 0; i < p->nhooks; i++) {
		struct err why = ERR_INIT;

		if (p->hooks[i].phase == HOOK_POST && run_one(m, from, &p->hooks[i], &why) < 0 &&
		    rc == 0) {
			*e = why;
			rc = -1;
		}
	}
	return rc;
}

/* ---- views ---- */

static bool is_auto(const struct moment *m)
{
	return !m->params->driver || strcmp(m->params->driver, "auto") == 0;
}

static void give_up(struct moment_volume *v)
{
	struct err why = ERR_INIT;

	if (v->snapshot && snapshot_release(STEAL(&v->snapshot), &why) < 0)
		log_warn("what a snapshot made is left over; 'aksdr-agent reconcile' removes it",
		         LOG_S("volume", v->name), LOG_S("why", why.msg));
}

/* The volume fails, or under auto is read as it is. */
static void fall_back(struct moment *m, struct moment_volume *v, const struct err *why)
{
	struct err e = ERR_INIT;

	give_up(v);
	v->why = *why;
	if (!is_auto(m) || why->class == ERR_CANCELLED)
		return;
	v->snapshot = snapshot_take(m->params->env, snapshot_fallback(v->path), v->path, &e);
	if (!v->snapshot || capture_set_fallback(&v->capture, why->msg, &e) < 0) {
		give_up(v);
		v->why = e;
		return;
	}
	v->why = ERR_INIT;
	log_warn("no snapshot could be taken: the volume is read while it changes",
	         LOG_S("volume", v->name), LOG_S("why", why->msg));
}

/* By itself; what is read live because nothing better works says why. */
static const struct snapshot_ops *choose_best(const struct moment *m, struct moment_volume *v,
                                              struct err *e)
{
	char refusals[CAPTURE_FALLBACK_MAX];
	struct err unkept = ERR_INIT;

	const struct snapshot_ops *driver = snapshot_choose_best(m->params->env, v->path, refusals,
	                                                         sizeof(refusals), e);
	if (driver && !(driver->caps & SNAP_CAP_ATOMIC) &&
	    capture_set_fallback(&v->capture, refusals, &unkept) < 0)
		log_warn("why a volume is read live is not kept", LOG_S("volume", v->name),
		         LOG_S("why", unkept.msg));
	return driver;
}

/* *ret_volume: there is a volume that could be read in another way. */
static int prepare_one(struct moment *m, struct moment_volume *v, bool *ret_volume, struct err *e)
{
	const struct moment_params *p = m->params;
	const struct snapshot_ops *driver = is_auto(m) ? choose_best(m, v, e)
	                                               : snapshot_choose(p->env, p->driver, v->path,
	                                                                 e);

	*ret_volume = driver != NULL;
	if (driver)
		v->snapshot = snapshot_prepare(p->env, driver, v->path, e);
	return v->snapshot ? 0 : -1;
}

static void prepare_all(struct moment *m)
{
	for (size_t i = 0; i < m->n; i++) {
		struct moment_volume *v = &m->volumes[i];
		struct err why = ERR_INIT;
		bool volume;

		if (cancel_check(m->params->cancel, &v->why) < 0 ||
		    (m->params->require_mount && mount_require(v->path, &v->why) < 0))
			continue;
		if (prepare_one(m, v, &volume, &why) == 0)
			continue;
		if (volume)
			fall_back(m, v, &why);
		else
			v->why = why;
	}
}

/* Whether the application must stay as the hooks made it while the volumes are read. */
static bool must_hold(const struct moment *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->volumes[i].snapshot && !is_auto(m) &&
		    !(m->volumes[i].snapshot->ops->caps & SNAP_CAP_ATOMIC))
			return true;
	return false;
}

static void fail_all(struct moment *m, const struct err *why)
{
	for (size_t i = 0; i < m->n; i++) {
		if (!m->volumes[i].snapshot)
			continue;
		give_up(&m->volumes[i]);
		m->volumes[i].why = *why;
	}
}

static void capture_all(struct moment *m)
{
	struct snapshot *set[SNAPSHOT_SET_MAX] = { NULL };
	struct moment_volume *of[SNAPSHOT_SET_MAX];
	struct err errs[SNAPSHOT_SET_MAX];
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		if (!m->volumes[i].snapshot)
			continue;
		of[n] = &m->volumes[i];
		errs[n] = ERR_INIT;
		set[n++] = m->volumes[i].snapshot;
	}
	if (snapshot_capture(set, n, errs) == 0) {
		m->captured = n > 0;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (errs[i].class == ERR_NONE)
			m->captured = true;
		else
			fall_back(m, of[i], &errs[i]);
	}
}

static void describe(struct moment *m, struct moment_volume *v, const char *word)
{
	const struct snapshot *s = v->snapshot;
	struct point_capture *c = &v->capture;
	struct err e = ERR_INIT;
	int rc = 0;

	c->asked_ns = s->window.asked_ns;
	c->frozen_ns = s->window.frozen_ns;
	c->thawed_ns = s->window.thawed_ns;
	(void)snprintf(c->moment, sizeof(c->moment), "%s", word);
	(void)snprintf(c->token, sizeof(c->token), "%s", s->token);
	for (size_t i = 0; rc == 0 && i < s->nnotes; i++)
		rc = capture_add_note(c, s->notes[i], &e);
	if (rc < 0)
		log_warn("not all that is to be known of a view is kept", LOG_S("volume", v->name),
		         LOG_S("why", e.msg));
	if (m->hooked && (s->ops->caps & SNAP_CAP_ATOMIC))
		v->snapshot->consistency = SNAP_APPLICATION;
}

static void finish_all(struct moment *m)
{
	const struct snapshot *set[SNAPSHOT_SET_MAX] = { NULL };
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		struct moment_volume *v = &m->volumes[i];
		struct err why = ERR_INIT;

		/* One that was fallen back to is ready. */
		if (v->snapshot && !v->snapshot->path && snapshot_finish(v->snapshot, &why) < 0)
			fall_back(m, v, &why);
		if (v->snapshot)
			set[n++] = v->snapshot;
	}
	const char *word = m->n < 2 ? "" : snapshot_one_moment(set, n) ? "one" : "window";
	for (size_t i = 0; i < m->n; i++)
		if (m->volumes[i].snapshot)
			describe(m, &m->volumes[i], word);
}

void moment_take(struct moment *m, const struct moment_params *params,
                 struct moment_volume *volumes, size_t n)
{
	struct err why = ERR_INIT;

	*m = (struct moment){ .params = params, .volumes = volumes, .n = n };
	for (size_t i = 0; i < n; i++)
		volumes[i].why = ERR_INIT;
	prepare_all(m);
	size_t ready = 0;
	for (size_t i = 0; i < n; i++)
		ready += volumes[i].snapshot != NULL;
	if (ready == 0)
		return;
	m->posts_due = true;
	if (run_pres(m, &why) < 0)
		fail_all(m, &why);
	else
		capture_all(m);
	why = ERR_INIT;
	if (!must_hold(m) && moment_posts(m, 0, &why) < 0)
		fail_all(m, &why);
	finish_all(m);
}

void moment_release(struct moment_volume *v, bool committed)
{
	if (!v->snapshot)
		return;
	v->snapshot->committed = committed;
	give_up(v);
}

void moment_end(struct moment *m)
{
	struct err why = ERR_INIT;

	if (m->params && moment_posts(m, m->n, &why) < 0)
		log_warn("a hook failed", LOG_S("why", why.msg));
	for (size_t i = 0; i < m->n; i++) {
		moment_release(&m->volumes[i], false);
		capture_clear(&m->volumes[i].capture);
	}
	m->n = 0;
}
