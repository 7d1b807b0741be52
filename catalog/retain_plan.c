/* SPDX-License-Identifier: Apache-2.0 */
/* See retain_plan.h. What stays is decided in retain.c. */
#include "catalog/retain_plan.h"

#include <string.h>

const char *retain_plan_action_name(enum retain_plan_action a)
{
	static const char *const names[] = { [RETAIN_PLAN_KEEP] = "keep",
		                             [RETAIN_PLAN_EXPIRE] = "expire",
		                             [RETAIN_PLAN_PROPOSED] = "proposed",
		                             [RETAIN_PLAN_EXPIRED] = "expired" };

	return names[a];
}

void retain_plan_clear(struct retain_plan *p)
{
	for (size_t i = 0; i < p->nvolumes; i++)
		free(p->volumes[i].name);
	free(p->volumes);
	free(p->points);
	*p = (struct retain_plan){ 0 };
}

static int grow(void **v, size_t n, size_t *cap, size_t size, struct err *e)
{
	if (n < *cap)
		return 0;
	size_t more = *cap ? 2 * *cap : 64;
	void *p = reallocarray(*v, more, size);
	if (!p)
		return err_set(e, ERR_NOMEM, "no memory for a list of %zu restore points", more);
	*v = p;
	*cap = more;
	return 0;
}

/* ---- making it ---- */

struct making {
	const struct expiry *x;
	const struct retain_policies *policies;
	const uint8_t *me;
	struct retain_plan *plan;
	struct retain_point *pts; /* of the volume at hand; sessions are those of the plan */
	size_t npts, pts_cap;
};

static bool is_pinned(const struct expiry *x, const char *session)
{
	for (size_t i = 0; i < x->npins; i++) {
		if (strcmp(x->pins[i].session, session) == 0)
			return true;
	}
	return false;
}

/* This key has named the point before. */
static bool is_proposed(const struct making *m, const char *session)
{
	size_t n;
	const struct expiry_tomb *t = expiry_tombs(m->x, session, &n);

	for (size_t i = 0; i < n; i++) {
		if (memcmp(t[i].signer, m->me, FORMAT_SIGNER_BYTES) == 0)
			return true;
	}
	return false;
}

static int add_volume(struct making *m, const char *name, struct err *e)
{
	struct retain_plan *p = m->plan;
	void *v = p->volumes;

	if (grow(&v, p->nvolumes, &p->volumes_cap, sizeof(*p->volumes), e) < 0)
		return -1;
	p->volumes = v;
	struct retain_plan_volume *x = &p->volumes[p->nvolumes];
	*x = (struct retain_plan_volume){ .name = strdup(name),
		                          .policy = retain_policy_for(m->policies, name) };
	if (!x->name)
		return err_set(e, ERR_NOMEM, "no memory for the name of a volume");
	p->nvolumes++;
	return 0;
}

static int add_point(struct making *m, sqlite3_stmt *row, struct err *e)
{
	struct retain_plan *p = m->plan;
	void *v = p->points;

	if (grow(&v, p->npoints, &p->points_cap, sizeof(*p->points), e) < 0)
		return -1;
	p->points = v;
	v = m->pts;
	if (grow(&v, m->npts, &m->pts_cap, sizeof(*m->pts), e) < 0)
		return -1;
	m->pts = v;
	struct retain_plan_point *x = &p->points[p->npoints++];
	*x = (struct retain_plan_point){
		.volume = p->nvolumes - 1,
		.sequence = (uint64_t)sqlite3_column_int64(row, 3),
		.received_ns = sqlite3_column_int64(row, 4),
		.frozen_ns = sqlite3_column_int64(row, 5),
		.bytes_stored = (uint64_t)sqlite3_column_int64(row, 6),
	};
	(void)snprintf(x->session, sizeof(x->session), "%s", catalog_text(row, 2));
	m->pts[m->npts++] = (struct retain_point){
		.sequence = x->sequence,
		.received_ns = x->received_ns,
		.verified = sqlite3_column_int(row, 7),
		.held = expiry_held_by(m->x, x->session),
		.pinned = is_pinned(m->x, x->session),
		.expired = expiry_is_gone(m->x, x->session),
	};
	return 0;
}

/* Judges the points of the volume that was read. */
static int end_volume(struct making *m, struct err *e)
{
	struct retain_plan *p = m->plan;

	if (m->npts == 0)
		return 0;
	struct retain_plan_point *points = p->points + p->npoints - m->npts;
	struct retain_plan_volume *volume = &p->volumes[p->nvolumes - 1];
	auto_free struct retain_verdict *v = calloc(m->npts, sizeof(*v));
	if (!v)
		return err_set(e, ERR_NOMEM, "no memory for the points of a volume");
	for (size_t i = 0; i < m->npts; i++)
		m->pts[i].session = points[i].session;
	if (retain_mark(volume->policy, m->pts, m->npts, v, e) < 0)
		return err_wrap(e, "volume '%s'", volume->name);
	for (size_t i = 0; i < m->npts; i++) {
		struct retain_plan_point *x = &points[i];

		x->why = retain_why(volume->policy, &m->pts[i], &v[i]);
		if (m->pts[i].expired)
			x->action = RETAIN_PLAN_EXPIRED;
		else if (v[i].goes)
			x->action = is_proposed(m, x->session) ? RETAIN_PLAN_PROPOSED
			                                       : RETAIN_PLAN_EXPIRE;
		volume->expire += x->action == RETAIN_PLAN_EXPIRE;
		volume->points += x->action != RETAIN_PLAN_EXPIRED;
	}
	m->npts = 0;
	return 0;
}

static int read_rows(struct making *m, struct catalog *c, sqlite3_stmt *s, struct err *e)
{
	char voltag[17] = "";
	int rc;

	while ((rc = catalog_step(c, s, e)) > 0) {
		if (strcmp(voltag, catalog_text(s, 1)) != 0) {
			if (end_volume(m, e) < 0 || add_volume(m, catalog_text(s, 0), e) < 0)
				return -1;
			(void)snprintf(voltag, sizeof(voltag), "%.16s", catalog_text(s, 1));
		}
		if (add_point(m, s, e) < 0)
			return -1;
	}
	return rc < 0 ? -1 : end_volume(m, e);
}

int retain_plan_make(struct catalog *c, const struct expiry *x,
                     const struct retain_policies *policies, const char *voltag,
                     const uint8_t me[FORMAT_SIGNER_BYTES], struct retain_plan *ret, struct err *e)
{
	CLEANUP(retain_plan_clear) struct retain_plan p = { 0 };
	struct making m = { .x = x, .policies = policies, .me = me, .plan = &p };

	if (x->missing_holds > 0 || x->bad_holds > 0)
		return err_set(e, ERR_CORRUPT,
		               "%llu holds are missing or do not open: nothing expires until that "
		               "is cleared up ('list anomalies')",
		               (unsigned long long)(x->missing_holds + x->bad_holds));
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		c,
		"SELECT volume, voltag, session, sequence, received_ns, frozen_ns, bytes_stored,"
		" verified_ns IS NOT NULL FROM v_points"
		/* One that is not whole protects nothing, and is not judged either. */
		" WHERE gone_at_ns IS NULL AND incomplete_ns IS NULL"
		" AND (?1 IS NULL OR voltag = ?1)"
		" ORDER BY volume, voltag, received_ns, sequence, session",
		e);

	if (!s)
		return -1;
	catalog_bind_text_or_null(s, 1, voltag);
	int rc = read_rows(&m, c, s, e);
	free(m.pts);
	if (rc < 0)
		return -1;
	*ret = p;
	p = (struct retain_plan){ 0 };
	return 0;
}

/* ---- doing it ---- */

int retain_plan_check_share(const struct retain_plan *p, unsigned percent, struct err *e)
{
	for (size_t i = 0; i < p->nvolumes; i++) {
		const struct retain_plan_volume *v = &p->volumes[i];

		if (v->expire > RETAIN_PLAN_SHARE_FROM && v->expire * 100 > v->points * percent)
			return err_set(
				e, ERR_INVALID,
				"%zu of %zu restore points of '%s' would go at once, more than "
				"%u %%: look at 'aksdr-catalog retain --dry-run', and allow it "
				"by its --max-share 100 when that is what you want",
				v->expire, v->points, v->name, percent);
	}
	return 0;
}

/* A volume of which something goes; its name moves. */
static int move_volume(struct retain_plan *into, struct retain_plan_volume *v, struct err *e)
{
	void *volumes = into->volumes;

	if (grow(&volumes, into->nvolumes, &into->volumes_cap, sizeof(*v), e) < 0)
		return -1;
	into->volumes = volumes;
	into->volumes[into->nvolumes++] = *v;
	v->name = NULL;
	return 0;
}

static int move_point(struct retain_plan *into, const struct retain_plan_point *x, struct err *e)
{
	void *points = into->points;

	if (grow(&points, into->npoints, &into->points_cap, sizeof(*x), e) < 0)
		return -1;
	into->points = points;
	into->points[into->npoints] = *x;
	into->points[into->npoints++].volume = into->nvolumes - 1;
	return 0;
}

int retain_plan_move(struct retain_plan *into, struct retain_plan *from, struct err *e)
{
	size_t i = 0;
	int rc = 0;

	for (size_t v = 0; rc == 0 && v < from->nvolumes; v++) {
		const bool any = from->volumes[v].expire > 0;

		if (any)
			rc = move_volume(into, &from->volumes[v], e);
		for (; rc == 0 && i < from->npoints && from->points[i].volume == v; i++) {
			if (any && from->points[i].action == RETAIN_PLAN_EXPIRE)
				rc = move_point(into, &from->points[i], e);
		}
	}
	retain_plan_clear(from);
	return rc;
}

/* Points that go by one policy. */
static int put_policy(const struct repo *r, const struct retain_plan *p,
                      const struct retain_policy *policy, struct err *e)
{
	auto_free struct expiry_point *points = calloc(p->npoints, sizeof(*points));
	uint64_t number;
	size_t n = 0;

	if (!points)
		return err_set(e, ERR_NOMEM, "no memory for the points that go");
	for (size_t i = 0; i < p->npoints; i++) {
		const struct retain_plan_point *x = &p->points[i];

		if (x->action == RETAIN_PLAN_EXPIRE && p->volumes[x->volume].policy == policy)
			points[n++] = (struct expiry_point){ .session = x->session,
				                             .why = x->why.s };
	}
	return n > 0 ? expiry_put_tomb(r, policy->name, points, n, &number, e) : 0;
}

int retain_plan_put(const struct repo *r, const struct retain_plan *p, struct err *e)
{
	for (size_t i = 0; i < p->nvolumes; i++) {
		const struct retain_plan_volume *v = &p->volumes[i];
		bool first = v->expire > 0;

		/* Each policy once, at its first volume of which something goes. */
		for (size_t k = 0; first && k < i; k++)
			first = p->volumes[k].policy != v->policy || p->volumes[k].expire == 0;
		if (first && put_policy(r, p, v->policy, e) < 0)
			return -1;
	}
	return 0;
}
