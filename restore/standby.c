/* SPDX-License-Identifier: Apache-2.0 */
/* See standby.h. */
#include "restore/standby.h"

#include <pthread.h>
#include <string.h>

#include "common/log.h"
#include "common/metric.h"
#include "common/now.h"
#include "restore/filler_objects.h"

/* What one look found; lives as long as somebody fills by it. */
struct found {
	unsigned refs; /* guarded by the standby's lock */
	struct recipe *recipe;
	struct picks picks;
	struct plan plan;
};

struct standby {
	struct standby_params params;
	char runs[STANDBY_COPIES_MAX][RUN_LOG_ID];
	struct filler fillers[STANDBY_COPIES_MAX];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock: */
	struct standby_table table;
	struct found *found; /* of the last look that went well; NULL: there was none */
	bool stop, once;
	uint64_t looks, failed_looks;
	int64_t looked_ns; /* by the wall clock; 0: never */
};

int standby_new(const struct standby_params *params, struct standby **ret, struct err *e)
{
	struct standby *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (!s)
		return err_set(e, ERR_NOMEM, "no memory for a standby");
	s->params = *params;
	s->table.copies = params->copies;
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	for (unsigned c = 0; c < params->copies; c++) {
		standby_run_of(params->plan, c, s->runs[c]);
		s->fillers[c] = (struct filler){
			.kube = params->kube,
			.ns = params->ns,
			.run = s->runs[c],
			.role = STANDBY_ROLE,
			.yields = true,
			.template = params->template,
			.env = params->env,
			.stuck_ms = params->stuck_ms,
			.cancel = params->cancel,
		};
	}
	*ret = s;
	return 0;
}

static void found_unref_locked(struct found *f)
{
	if (!f || --f->refs > 0)
		return;
	plan_clear(&f->plan);
	picks_clear(&f->picks);
	recipe_free(f->recipe);
	free(f);
}

void standby_free(struct standby *s)
{
	if (!s)
		return;
	found_unref_locked(s->found);
	standby_table_clear(&s->table);
	(void)pthread_cond_destroy(&s->changed);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

/* ---- looking ---- */

struct listing {
	struct standby *s;
	unsigned copy;
};

/* The session that a claim's mover told; "" when it did not. */
static void session_of(const json_t *claim, struct filled *ret)
{
	struct err ignored = ERR_INIT;

	if (filled_read(filler_objects_note(claim, FILLER_RESULT), ret, &ignored) < 0)
		ret->session[0] = '\0';
}

static int on_claim(void *arg, const json_t *claim, struct err *e)
{
	const struct listing *l = arg;
	struct standby *s = l->s;
	struct standby_copy *k = NULL;
	struct filled f;
	int64_t at_ns = 0;

	if (!filler_objects_is_ours(&s->fillers[l->copy], claim))
		return 0;
	(void)pthread_mutex_lock(&s->lock);
	int rc = standby_table_claim(&s->table, l->copy, claim, &k, e);
	const bool ask = rc == 0 && k && k->point[0] && k->at_ns == 0;
	(void)pthread_mutex_unlock(&s->lock);
	if (!ask)
		return rc;
	/* Asked without the lock: only this thread makes and removes volumes, so k stays. */
	session_of(claim, &f);
	if (f.session[0])
		at_ns = s->params.moment(s->params.arg, f.session);
	(void)pthread_mutex_lock(&s->lock);
	if (k->at_ns == 0)
		k->at_ns = at_ns;
	(void)pthread_mutex_unlock(&s->lock);
	return 0;
}

static int list_claims(struct standby *s, struct err *e)
{
	(void)pthread_mutex_lock(&s->lock);
	standby_table_begin(&s->table);
	(void)pthread_mutex_unlock(&s->lock);
	for (unsigned c = 0; c < s->params.copies; c++) {
		struct listing l = { s, c };
		char labels[128];
		const struct kube_select select = { .ns = s->params.ns, .labels = labels };

		(void)snprintf(labels, sizeof(labels), FILLER_LABEL_RUN "=%s", s->runs[c]);
		if (kube_list(s->params.kube, &kube_pvc, &select, on_claim, &l, NULL, e) < 0)
			return err_wrap(e, "listing the claims that stand by");
	}
	(void)pthread_mutex_lock(&s->lock);
	standby_table_end(&s->table);
	(void)pthread_mutex_unlock(&s->lock);
	return 0;
}

static int find(struct standby *s, struct found *f, struct err *e)
{
	auto_findings struct findings findings = FINDINGS_INIT;
	const struct plan_rates rates = { .movers = s->params.movers };

	if (s->params.pick(s->params.arg, &f->recipe, &f->picks, e) < 0 ||
	    plan_make(f->recipe, &f->picks, &rates, now_wall_ns(), 0, &f->plan, &findings, e) < 0)
		return -1;
	for (size_t i = 0; i < findings.n; i++)
		log_debug(findings.list[i].what, LOG_S("code", findings.list[i].code),
		          LOG_S("of", findings.list[i].object));
	return finding_check(&findings, e);
}

static int want_locked(struct standby *s, const struct plan *p, struct err *e)
{
	for (size_t i = 0; i < s->table.n; i++)
		s->table.v[i]->planned = false;
	for (size_t i = 0; i < p->n; i++) {
		const struct plan_item *item = &p->items[i];
		struct standby_volume *v = standby_table_get(&s->table, item->ns, item->name);

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for volumes that stand by");
		v->planned = true;
		v->item = i;
		/* Another point may go well where the one before did not. */
		if (strcmp(v->wanted, item->blocked ? "" : item->pick->id) != 0)
			v->not_before_ns = 0;
		(void)snprintf(v->wanted, sizeof(v->wanted), "%s",
		               item->blocked ? "" : item->pick->id);
		v->wanted_ns = item->blocked ? 0 : item->pick->frozen_ns;
		for (unsigned c = 0; c < s->table.copies; c++) {
			struct standby_copy *k = &v->copies[c];

			if (k->point[0] && strcmp(k->point, v->wanted) == 0)
				k->at_ns = v->wanted_ns;
		}
	}
	standby_table_sort(&s->table);
	return 0;
}

static void clean_found(struct found *const *f)
{
	found_unref_locked(*f);
}

static int look(struct standby *s, struct err *e)
{
	CLEANUP(clean_found) struct found *f = calloc(1, sizeof(*f));

	if (!f)
		return err_set(e, ERR_NOMEM, "no memory for a standby");
	f->refs = 1;
	if (find(s, f, e) < 0 || list_claims(s, e) < 0)
		return -1;
	(void)pthread_mutex_lock(&s->lock);
	int rc = want_locked(s, &f->plan, e);
	for (size_t i = 0; rc < 0 && i < s->table.n; i++)
		s->table.v[i]->planned = false;
	if (rc == 0) {
		struct found *before = s->found;

		s->found = STEAL(&f);
		s->looked_ns = now_wall_ns();
		found_unref_locked(before);
	}
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
	return rc;
}

int standby_look(struct standby *s, struct err *e)
{
	int rc = look(s, e);

	(void)pthread_mutex_lock(&s->lock);
	s->looks++;
	s->failed_looks += rc < 0;
	(void)pthread_mutex_unlock(&s->lock);
	if (s->params.looked)
		s->params.looked(s->params.arg);
	return rc;
}

/* ---- filling ---- */

/* What one thread is at. */
struct turn {
	struct standby_volume *v;
	unsigned copy;
	struct found *found;
	const struct plan_item *item;
};

static bool begin_locked(struct standby *s, struct turn *t)
{
	if (!s->found || !standby_table_next(&s->table, now_mono_ns(), &t->v, &t->copy))
		return false;
	t->found = s->found;
	t->found->refs++;
	t->item = &t->found->plan.items[t->v->item];
	t->v->copies[t->copy].busy = true;
	return true;
}

static void note_locked(struct standby *s, const struct turn *t, const struct stage_volume *done)
{
	struct standby_copy *k = &t->v->copies[t->copy];
	const struct filled *f = &done->filled;
	const bool new = strcmp(k->point, t->item->pick->id) != 0;

	k->busy = false;
	if (done->why.class == ERR_CANCELLED) {
		k->mixed = true;
	} else if (done->why.class == ERR_BUSY) {
		k->taken_over = true;
	} else if (!done->is_filled) {
		k->mixed = true;
		k->point[0] = '\0';
		standby_table_tried(t->v, &done->why, now_mono_ns());
	} else if (strcmp(f->point, t->item->pick->id) != 0) {
		/* Its volume was handed over: what that became of then is told. */
		k->taken_over = true;
		standby_table_tried(t->v, NULL, now_mono_ns());
	} else {
		*k = (struct standby_copy){ .there = true,
			                    .at_ns = t->item->pick->frozen_ns,
			                    .gaps = f->gaps };
		(void)snprintf(k->point, sizeof(k->point), "%s", f->point);
		standby_table_tried(t->v, f->gaps > 0 ? &done->why : NULL, now_mono_ns());
		if (new) {
			t->v->applied++;
			t->v->fetched += f->fetched;
			t->v->written += f->written;
		}
	}
	/* With --once each is tried once. */
	if (s->once && t->v->failed > 0)
		t->v->not_before_ns = INT64_MAX;
	found_unref_locked(t->found);
	(void)pthread_cond_broadcast(&s->changed);
}

/* Waits until there may be something to do. false: there is nothing more. */
static bool wait_locked(struct standby *s)
{
	const int64_t at_ns = standby_table_wake(&s->table, now_mono_ns());
	bool busy = false;

	for (size_t i = 0; i < s->table.n; i++) {
		for (unsigned c = 0; c < s->table.copies; c++)
			busy |= s->table.v[i]->copies[c].busy;
	}
	if (s->stop || (s->once && !busy))
		return false;
	if (at_ns == INT64_MAX) {
		(void)pthread_cond_wait(&s->changed, &s->lock);
		return true;
	}
	const struct timespec until = { .tv_sec = at_ns / 1000000000,
		                        .tv_nsec = at_ns % 1000000000 };
	(void)pthread_cond_timedwait(&s->changed, &s->lock, &until);
	return true;
}

static void *fill_main(void *arg)
{
	struct standby *s = arg;
	struct turn t;

	(void)pthread_mutex_lock(&s->lock);
	for (;;) {
		if (s->stop || cancel_requested(s->params.cancel))
			break;
		if (!begin_locked(s, &t)) {
			if (!wait_locked(s))
				break;
			continue;
		}
		(void)pthread_mutex_unlock(&s->lock);
		const struct stage_params p = {
			.filler = &s->fillers[t.copy],
			.prefix = "",
			.movers = 1,
			.stay = true,
		};
		struct stage_volume done = { .item = t.item };
		struct err why = ERR_INIT;

		if (stage_run(&p, &done, 1, &why) < 0)
			done.why = why;
		(void)pthread_mutex_lock(&s->lock);
		note_locked(s, &t, &done);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- all of it ---- */

struct fillers {
	pthread_t threads[STANDBY_MOVERS_MAX];
	unsigned n;
};

static void stop(struct standby *s, struct fillers *f, bool now)
{
	(void)pthread_mutex_lock(&s->lock);
	s->stop = s->stop || now;
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < f->n; i++)
		(void)pthread_join(f->threads[i], NULL);
	f->n = 0;
}

static int start(struct standby *s, struct fillers *f, struct err *e)
{
	const unsigned n = s->params.movers ? s->params.movers : PLAN_MOVERS_DEFAULT;

	for (; f->n < n && f->n < STANDBY_MOVERS_MAX; f->n++) {
		int os = pthread_create(&f->threads[f->n], NULL, fill_main, s);

		if (os != 0 && f->n == 0)
			return err_sys(e, os, "starting a thread");
		if (os != 0)
			break;
	}
	return 0;
}

static int count_lacking(struct standby *s, struct err *e)
{
	size_t lacking = 0;
	size_t n = 0;

	for (size_t i = 0; i < s->table.n; i++) {
		const struct standby_volume *v = s->table.v[i];

		n += v->planned;
		lacking += v->planned && (v->failed > 0 || standby_table_lag_s(&s->table, v) != 0);
	}
	return lacking > 0 ? err_set(e, ERR_PARTIAL,
	                             "%zu of %zu volumes do not stand by with their newest point",
	                             lacking, n)
	                   : 0;
}

static int run_once(struct standby *s, struct err *e)
{
	struct fillers f = { .n = 0 };

	s->once = true;
	if (standby_look(s, e) < 0 || start(s, &f, e) < 0)
		return -1;
	stop(s, &f, false);
	if (s->params.looked)
		s->params.looked(s->params.arg);
	return cancel_check(s->params.cancel, e) < 0 ? -1 : count_lacking(s, e);
}

int standby_run(struct standby *s, bool once, struct err *e)
{
	struct fillers f = { .n = 0 };
	bool told = false;

	if (once)
		return run_once(s, e);
	if (start(s, &f, e) < 0)
		return -1;
	do {
		struct err why = ERR_INIT;
		const bool failed = standby_look(s, &why) < 0;

		if (failed && why.class != ERR_CANCELLED)
			log_warn("the points were not looked at: what stands by stays as it is",
			         LOG_S("why", why.msg));
		else if (told && !failed)
			log_info("the points were looked at again");
		told = failed;
	} while (cancel_wait(s->params.cancel, NULL, s->params.interval_ms, e) == 0);
	stop(s, &f, true);
	if (s->params.looked)
		s->params.looked(s->params.arg);
	return -1;
}

int standby_drop(struct standby *s, size_t *ret_dropped, struct err *e)
{
	*ret_dropped = 0;
	if (list_claims(s, e) < 0)
		return -1;
	for (size_t i = 0; i < s->table.n; i++) {
		const struct standby_volume *v = s->table.v[i];

		for (unsigned c = 0; c < s->table.copies; c++) {
			if (!v->copies[c].there)
				continue;
			if (filler_drop(&s->fillers[c], v->ns, v->name, e) < 0)
				return err_wrap(e, "taking the standby of '%s/%s' away", v->ns,
				                v->name);
			(*ret_dropped)++;
		}
	}
	return 0;
}

/* ---- what is told ---- */

void standby_each(struct standby *s,
                  void (*each)(void *arg, const struct standby_table *t,
                               const struct standby_volume *v),
                  void *arg)
{
	(void)pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->table.n; i++)
		each(arg, &s->table, s->table.v[i]);
	(void)pthread_mutex_unlock(&s->lock);
}

static void metric(struct buf *b, const char *plan, const char *name, enum metric_kind kind,
                   const char *help, double value)
{
	const struct metric_label label = { "plan", plan };

	metric_family(b, name, kind, help);
	metric_sample(b, name, &label, 1, value);
}

int standby_metrics(void *standby, struct buf *b, struct err *e)
{
	struct standby *s = standby;
	const char *plan = s->params.plan;

	(void)pthread_mutex_lock(&s->lock);
	standby_table_metrics(&s->table, plan, b);
	metric(b, plan, "aksdr_standby_looks_total", METRIC_COUNTER,
	       "Looks at the points that there are.", (double)s->looks);
	metric(b, plan, "aksdr_standby_failed_looks_total", METRIC_COUNTER, "Looks that failed.",
	       (double)s->failed_looks);
	metric(b, plan, "aksdr_standby_looked_timestamp_seconds", METRIC_GAUGE,
	       "When a look went well last; 0: never.", (double)s->looked_ns / 1e9);
	(void)pthread_mutex_unlock(&s->lock);
	return buf_check(b, "the metrics", e);
}

int standby_ready(void *standby, struct err *e)
{
	struct standby *s = standby;

	(void)pthread_mutex_lock(&s->lock);
	const bool ready = s->looked_ns > 0;
	(void)pthread_mutex_unlock(&s->lock);
	return ready ? 0 : err_set(e, ERR_RETRY, "the points were not looked at yet");
}
