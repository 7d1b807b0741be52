/* SPDX-License-Identifier: Apache-2.0 */
/* See drill_list.h. */
#include "restore/drill_list.h"

#include <stdlib.h>
#include <string.h>

#include "restore/history.h"
#include "restore/run.h"

void drill_list_clear(struct drill_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		json_decref(l->v[i].report);
	free(l->v);
	*l = (struct drill_list){ .n = 0 };
}

struct loading {
	const struct repo *r;
	const char *plan, *run;
	struct drill_list *l;
};

static int take_record(void *arg, uint64_t n, const struct run_entry *entry, const json_t *record,
                       struct err *e)
{
	struct drill_item *x = arg;

	(void)n;
	(void)e;
	if (strcmp(entry->step, "end") != 0)
		return 0;
	json_decref(x->report);
	x->report = json_incref(json_object_get(record, "report"));
	return 0;
}

static int take_run(void *arg, const char run[RUN_LOG_ID], const struct run_entry *first,
                    const json_t *record, struct err *e)
{
	struct loading *x = arg;
	struct drill_list *l = x->l;
	struct history h;

	(void)record;
	if (!first->by_admin || strcmp(first->kind, RUN_DRILL) != 0 ||
	    (x->plan && strcmp(first->plan, x->plan) != 0) ||
	    (x->run && strncmp(run, x->run, strlen(x->run)) != 0))
		return 0;
	if (l->n == DRILL_RUNS_MAX)
		return err_set(e, ERR_TOO_BIG, "there are more than %d drills: name a plan",
		               DRILL_RUNS_MAX);
	if (l->n == l->cap) {
		const size_t cap = l->cap ? 2 * l->cap : 32;
		void *v = reallocarray(l->v, cap, sizeof(*l->v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for a list of %zu drills", cap);
		l->v = v;
		l->cap = cap;
	}
	struct drill_item *item = &l->v[l->n++];
	*item = (struct drill_item){ .began_ns = first->at_ns };
	memcpy(item->run, run, sizeof(item->run));
	if (history_open(x->r, NULL, NULL, run, &h, e) < 0 ||
	    history_read(&h, take_record, item, e) < 0)
		return err_wrap(e, "reading the journal of the drill '%s'", run);
	return 0;
}

static int newest_first(const void *va, const void *vb)
{
	const struct drill_item *a = va;
	const struct drill_item *b = vb;

	return a->began_ns != b->began_ns
	               ? (a->began_ns < b->began_ns) - (a->began_ns > b->began_ns)
	               : strcmp(a->run, b->run);
}

int drill_list_load(const struct repo *r, const char *plan, const char *run, struct drill_list *ret,
                    struct err *e)
{
	CLEANUP(drill_list_clear) struct drill_list l = { .n = 0 };
	struct loading x = { .r = r, .plan = plan, .run = run, .l = &l };

	if (run_log_list(r, take_run, &x, e) < 0)
		return -1;
	if (l.n > 1)
		qsort(l.v, l.n, sizeof(*l.v), newest_first);
	*ret = l;
	l = (struct drill_list){ .n = 0 };
	return 0;
}
