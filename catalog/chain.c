/* SPDX-License-Identifier: Apache-2.0 */
/* The chain of a volume: points are looked up by session in a sorted copy of the list. */
#include "catalog/chain.h"

#include <string.h>

const char *chain_kind_name(enum chain_kind kind)
{
	return kind == CHAIN_GAP ? "gap" : "fork";
}

static bool is_first(const struct chain_point *p)
{
	return !p->previous || !*p->previous;
}

static int by_session(const void *a, const void *b)
{
	return strcmp((*(const struct chain_point *const *)a)->session,
	              (*(const struct chain_point *const *)b)->session);
}

/* By predecessor, then in the order of the points. */
static int by_previous(const void *va, const void *vb)
{
	const struct chain_point *a = *(const struct chain_point *const *)va;
	const struct chain_point *b = *(const struct chain_point *const *)vb;
	int d = strcmp(is_first(a) ? "" : a->previous, is_first(b) ? "" : b->previous);

	return d ? d : (a > b) - (a < b);
}

/* What each point needs to know of the others. */
struct chain {
	const struct chain_point **by_session;
	const struct chain_point **by_previous;
	size_t n, nprevious;
};

static const struct chain_point *find(const struct chain *c, const char *session)
{
	const struct chain_point key = { .session = session };
	const struct chain_point *k = &key;
	const struct chain_point **found = bsearch(&k, c->by_session, c->n, sizeof(*c->by_session),
	                                           by_session);

	return found ? *found : NULL;
}

/* The first point with the same predecessor, when it is another one; else NULL. */
static const struct chain_point *rival(const struct chain *c, const struct chain_point *p)
{
	const char *previous = is_first(p) ? "" : p->previous;
	size_t lo = 0;
	size_t hi = c->nprevious;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct chain_point *m = c->by_previous[mid];

		if (strcmp(is_first(m) ? "" : m->previous, previous) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < c->nprevious && c->by_previous[lo] != p ? c->by_previous[lo] : NULL;
}

/* What is wrong with one point; false: nothing. */
static bool judge(const struct chain *c, const struct chain_point *p, struct chain_anomaly *ret)
{
	const struct chain_point *other = rival(c, p);

	*ret = (struct chain_anomaly){ .point = p, .kind = CHAIN_FORK, .other = "" };
	if (other) {
		ret->other = other->session;
		ret->text = is_first(p) ? "a second first point of its volume"
		                        : "follows the same point as another one";
		return true;
	}
	if (is_first(p)) {
		ret->kind = CHAIN_GAP;
		ret->text = "is not number 1 of its volume, and names no point before it";
		return p->sequence != 1;
	}
	ret->other = p->previous;
	other = find(c, p->previous);
	if (!other) {
		ret->kind = CHAIN_GAP;
		ret->text =
			p->previous_missing
				? "the point before it is not in the store, and was not when it "
				  "was made"
				: "the point before it is not in the store";
		return true;
	}
	if (other->unknown)
		return false;
	if (strcmp(other->hash, p->previous_hash ? p->previous_hash : "") != 0) {
		ret->text = "the point before it has been replaced by another one";
		return true;
	}
	ret->kind = p->sequence > other->sequence ? CHAIN_GAP : CHAIN_FORK;
	ret->text = "its number is not the next after that of the point before it";
	return p->sequence != other->sequence + 1;
}

int chain_check(const struct chain_point *points, size_t n,
                int (*each)(void *arg, const struct chain_anomaly *a, struct err *e), void *arg,
                struct err *e)
{
	auto_free const struct chain_point **sessions = calloc(n + 1, sizeof(*sessions));
	auto_free const struct chain_point **previous = calloc(n + 1, sizeof(*previous));
	struct chain c = { .by_session = sessions, .by_previous = previous };
	struct chain_anomaly a;

	if (!sessions || !previous)
		return err_set(e, ERR_NOMEM, "no memory for the points of a volume");
	for (size_t i = 0; i < n; i++) {
		if (!points[i].gone || points[i].expired)
			sessions[c.n++] = &points[i];
		/* A branch that was expired and is gone is no fork. */
		if (!points[i].gone && !points[i].unknown)
			previous[c.nprevious++] = &points[i];
	}
	qsort(sessions, c.n, sizeof(*sessions), by_session);
	qsort(previous, c.nprevious, sizeof(*previous), by_previous);
	for (size_t i = 0; i < n; i++) {
		if (!points[i].gone && !points[i].expired && judge(&c, &points[i], &a) &&
		    each(arg, &a, e) < 0)
			return -1;
	}
	return 0;
}
