/* SPDX-License-Identifier: Apache-2.0 */
/* See standby_table.h. */
#include "restore/standby_table.h"

#include <string.h>

#include "common/metric.h"
#include "restore/filler_objects.h"

#define NS_PER_S INT64_C(1000000000)

void standby_table_clear(struct standby_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->v[i]);
	free(t->v);
	t->v = NULL;
	t->n = 0;
}

struct standby_volume *standby_table_get(struct standby_table *t, const char *ns, const char *name)
{
	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(t->v[i]->ns, ns) == 0 && strcmp(t->v[i]->name, name) == 0)
			return t->v[i];
	}
	struct standby_volume **list = reallocarray(t->v, t->n + 1,
	                                            sizeof(struct standby_volume *));
	struct standby_volume *v = calloc(1, sizeof(*v));
	if (list)
		t->v = list;
	if (!list || !v) {
		free(v);
		return NULL;
	}
	(void)snprintf(v->ns, sizeof(v->ns), "%s", ns);
	(void)snprintf(v->name, sizeof(v->name), "%s", name);
	t->v[t->n++] = v;
	return v;
}

/* ---- what there is ---- */

void standby_table_begin(struct standby_table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		for (unsigned c = 0; c < t->copies; c++)
			t->v[i]->copies[c].seen = false;
	}
}

void standby_table_end(struct standby_table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		for (unsigned c = 0; c < t->copies; c++) {
			struct standby_copy *k = &t->v[i]->copies[c];

			if (!k->seen && !k->busy)
				*k = (struct standby_copy){ .there = false };
		}
	}
}

int standby_table_claim(struct standby_table *t, unsigned copy, const json_t *claim,
                        struct standby_copy **ret_copy, struct err *e)
{
	const char *its = filler_objects_note(claim, FILLER_FOR);
	const char *slash = strchr(its, '/');
	char ns[KUBE_NAME_MAX + 1];
	struct err ignored = ERR_INIT;
	struct filled f;

	*ret_copy = NULL;
	if (!slash || (size_t)(slash - its) >= sizeof(ns) || strlen(slash) > KUBE_NAME_MAX)
		return 0;
	(void)snprintf(ns, sizeof(ns), "%.*s", (int)(slash - its), its);
	struct standby_volume *v = standby_table_get(t, ns, slash + 1);
	if (!v)
		return err_set(e, ERR_NOMEM, "no memory for volumes that stand by");
	struct standby_copy *k = &v->copies[copy];
	k->seen = true;
	if (k->busy)
		return 0;
	const bool mixed = *filler_objects_note(claim, FILLER_APPLYING);
	const char *point = mixed ? "" : filler_objects_note(claim, FILLER_POINT);
	const bool same = strcmp(k->point, point) == 0;
	const int64_t at_ns = same ? k->at_ns : 0;
	*k = (struct standby_copy){ .there = true, .mixed = mixed, .seen = true, .at_ns = at_ns };
	k->taken_over = *filler_objects_note(claim, FILLER_TAKEN);
	(void)snprintf(k->point, sizeof(k->point), "%s", point);
	if (*point && filled_read(filler_objects_note(claim, FILLER_RESULT), &f, &ignored) == 0)
		k->gaps = f.gaps;
	*ret_copy = k;
	return 0;
}

static int by_plan(const void *a, const void *b)
{
	const struct standby_volume *x = *(struct standby_volume *const *)a;
	const struct standby_volume *y = *(struct standby_volume *const *)b;

	if (x->planned != y->planned)
		return x->planned ? -1 : 1;
	if (x->planned)
		return (x->item > y->item) - (x->item < y->item);
	const int c = strcmp(x->ns, y->ns);
	return c ? c : strcmp(x->name, y->name);
}

static bool is_known(const struct standby_table *t, const struct standby_volume *v)
{
	bool known = v->planned;

	for (unsigned c = 0; c < t->copies; c++)
		known |= v->copies[c].there || v->copies[c].busy;
	return known;
}

void standby_table_sort(struct standby_table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (is_known(t, t->v[i]))
			t->v[n++] = t->v[i];
		else
			free(t->v[i]);
	}
	t->n = n;
	if (n > 1)
		qsort(t->v, n, sizeof(struct standby_volume *), by_plan);
}

/* ---- what is to be done ---- */

static bool is_whole(const struct standby_copy *k)
{
	return k->point[0] && !k->mixed;
}

static bool is_current(const struct standby_volume *v, const struct standby_copy *k)
{
	return k->taken_over || (is_whole(k) && strcmp(k->point, v->wanted) == 0);
}

/* Which copy of a volume is to be filled; -1: none. */
static int copy_of(const struct standby_table *t, const struct standby_volume *v)
{
	int oldest = -1;
	bool current = false;

	for (unsigned c = 0; c < t->copies; c++) {
		const struct standby_copy *k = &v->copies[c];

		/* One at a time: the others stay as they are. */
		if (k->busy)
			return -1;
		if (!is_whole(k) && !k->taken_over && oldest < 0)
			oldest = (int)c;
		current |= is_current(v, k);
	}
	/* One that is no point yet, or no more, comes first. */
	if (oldest >= 0 || current)
		return oldest;
	for (unsigned c = 0; c < t->copies; c++) {
		if (oldest < 0 || v->copies[c].at_ns < v->copies[oldest].at_ns)
			oldest = (int)c;
	}
	return oldest;
}

bool standby_table_next(const struct standby_table *t, int64_t mono_ns,
                        struct standby_volume **ret_v, unsigned *ret_copy)
{
	for (size_t i = 0; i < t->n; i++) {
		struct standby_volume *v = t->v[i];
		const int c = v->planned && v->wanted[0] && mono_ns >= v->not_before_ns
		                      ? copy_of(t, v)
		                      : -1;

		if (c < 0)
			continue;
		*ret_v = v;
		*ret_copy = (unsigned)c;
		return true;
	}
	return false;
}

int64_t standby_table_wake(const struct standby_table *t, int64_t mono_ns)
{
	int64_t at = INT64_MAX;

	for (size_t i = 0; i < t->n; i++) {
		const struct standby_volume *v = t->v[i];

		if (v->planned && v->wanted[0] && v->not_before_ns > mono_ns &&
		    v->not_before_ns < at && copy_of(t, v) >= 0)
			at = v->not_before_ns;
	}
	return at;
}

void standby_table_tried(struct standby_volume *v, const struct err *why, int64_t mono_ns)
{
	int64_t wait_s = STANDBY_RETRY_S;

	if (!why) {
		v->failed = 0;
		v->not_before_ns = 0;
		v->why[0] = '\0';
		return;
	}
	for (unsigned i = 0; i < v->failed && wait_s < STANDBY_RETRY_MAX_S; i++)
		wait_s *= 2;
	v->failed++;
	v->failures++;
	v->not_before_ns = mono_ns +
	                   NS_PER_S * (wait_s < STANDBY_RETRY_MAX_S ? wait_s : STANDBY_RETRY_MAX_S);
	(void)snprintf(v->why, sizeof(v->why), "%s", why->msg);
}

/* ---- what is told ---- */

const struct standby_copy *standby_table_best(const struct standby_table *t,
                                              const struct standby_volume *v)
{
	const struct standby_copy *best = NULL;

	for (unsigned c = 0; c < t->copies; c++) {
		const struct standby_copy *k = &v->copies[c];

		if (is_whole(k) && (!best || k->at_ns > best->at_ns))
			best = k;
	}
	return best;
}

int64_t standby_table_lag_s(const struct standby_table *t, const struct standby_volume *v)
{
	const struct standby_copy *best = standby_table_best(t, v);

	if (!best || !v->wanted[0])
		return -1;
	if (is_current(v, best))
		return 0;
	if (best->at_ns == 0)
		return -1;
	return v->wanted_ns > best->at_ns ? (v->wanted_ns - best->at_ns) / NS_PER_S : 0;
}

const char *standby_table_state(const struct standby_table *t, const struct standby_volume *v)
{
	const struct standby_copy *best = standby_table_best(t, v);
	bool busy = false;
	bool taken_over = false;

	for (unsigned c = 0; c < t->copies; c++) {
		busy |= v->copies[c].busy;
		taken_over |= v->copies[c].taken_over;
	}
	if (taken_over)
		return "taken over";
	if (!v->planned)
		return "not planned";
	if (!v->wanted[0])
		return "blocked";
	if (best && is_current(v, best))
		return "current";
	if (busy)
		return "applying";
	return best ? "behind" : "empty";
}

struct family {
	const char *name;
	enum metric_kind kind;
	const char *help;
};

enum {
	FAMILY_LAG,
	FAMILY_HELD,
	FAMILY_WANTED,
	FAMILY_WHOLE,
	FAMILY_GAPS,
	FAMILY_APPLIED,
	FAMILY_FAILURES,
	FAMILY_FETCHED,
	FAMILY_WRITTEN,
	FAMILIES
};
static const struct family families[FAMILIES] = {
	[FAMILY_LAG] = { "aksdr_standby_lag_seconds", METRIC_GAUGE,
	                 "How far a standby is behind the newest point that could be restored." },
	[FAMILY_HELD] = { "aksdr_standby_held_timestamp_seconds", METRIC_GAUGE,
	                  "Moment of the point that a standby has." },
	[FAMILY_WANTED] = { "aksdr_standby_newest_timestamp_seconds", METRIC_GAUGE,
	                    "Moment of the newest point that could be restored." },
	[FAMILY_WHOLE] = { "aksdr_standby_whole", METRIC_GAUGE,
	                   "1 when the standby has one point as a whole, else 0." },
	[FAMILY_GAPS] = { "aksdr_standby_gaps", METRIC_GAUGE,
	                  "Places that are missing in what a standby has." },
	[FAMILY_APPLIED] = { "aksdr_standby_applied_total", METRIC_COUNTER,
	                     "Points that were put into standbys." },
	[FAMILY_FAILURES] = { "aksdr_standby_failures_total", METRIC_COUNTER,
	                      "Tries that failed." },
	[FAMILY_FETCHED] = { "aksdr_standby_fetched_bytes_total", METRIC_COUNTER,
	                     "Bytes that were read from the store." },
	[FAMILY_WRITTEN] = { "aksdr_standby_written_bytes_total", METRIC_COUNTER,
	                     "Bytes of content that were written to standbys." },
};

/* The value of a volume; false: there is none. */
static bool value_of(const struct standby_table *t, const struct standby_volume *v, int family,
                     double *ret)
{
	const struct standby_copy *best = standby_table_best(t, v);
	const int64_t lag_s = standby_table_lag_s(t, v);

	switch (family) {
	case FAMILY_LAG:
		*ret = (double)lag_s;
		return lag_s >= 0;
	case FAMILY_HELD:
		*ret = best ? (double)best->at_ns / 1e9 : 0;
		return best && best->at_ns > 0;
	case FAMILY_WANTED:
		*ret = (double)v->wanted_ns / 1e9;
		return v->wanted[0];
	case FAMILY_WHOLE:
		*ret = best && best->gaps == 0;
		return true;
	case FAMILY_GAPS:
		*ret = best ? (double)best->gaps : 0;
		return best;
	case FAMILY_APPLIED:
		*ret = (double)v->applied;
		return true;
	case FAMILY_FAILURES:
		*ret = (double)v->failures;
		return true;
	case FAMILY_FETCHED:
		*ret = (double)v->fetched;
		return true;
	default:
		*ret = (double)v->written;
		return true;
	}
}

void standby_table_metrics(const struct standby_table *t, const char *plan, struct buf *b)
{
	for (int f = 0; f < FAMILIES; f++) {
		metric_family(b, families[f].name, families[f].kind, families[f].help);
		for (size_t i = 0; i < t->n; i++) {
			const struct standby_volume *v = t->v[i];
			const struct metric_label labels[] = { { "plan", plan },
				                               { "namespace", v->ns },
				                               { "claim", v->name } };
			double value;

			if (value_of(t, v, f, &value))
				metric_sample(b, families[f].name, labels, ARRAY_LEN(labels),
				              value);
		}
	}
}
