/* SPDX-License-Identifier: Apache-2.0 */
/* A source and its copy compared: what lacks, what is different, and what follows for points. */
#include <string.h>

#include "repo/commits.h"
#include "repo/format.h"
#include "repo/mirror_impl.h"
#include "store/compare.h"

const char *mirror_point_state_name(enum mirror_point_state s)
{
	static const char *const names[] = {
		[MIRROR_POINT_COMPLETE] = "complete",
		[MIRROR_POINT_UNSURE] = "unsure",
		[MIRROR_POINT_LACKING] = "lacking",
		[MIRROR_POINT_SURPLUS] = "surplus",
	};

	return names[s];
}

struct verify {
	struct mirror *m;
	struct mirror_verified result;
	struct runs *items; /* to be read in both */
	bool read;
	int64_t oldest_ns; /* receipt of the oldest that lacks; INT64_MAX: none does */
	int (*point)(void *arg, const char *session, int64_t received_ns,
	             enum mirror_point_state state, struct err *e);
};

static void lacks(struct verify *v, const struct store_pair *p)
{
	if (p->left.received_ns < v->oldest_ns)
		v->oldest_ns = p->left.received_ns;
}

/*
 * For reading: an item of the one class that is used here, in the order of keys. Its time of
 * receipt is in `order` no more than in the listing, so that what differs is told in that order.
 */
static int to_be_read(struct verify *v, const struct store_pair *p, struct err *e)
{
	struct mirror_item item = { .size = p->left.size };

	if (!v->read || strlen(p->key) >= sizeof(item.key))
		return 0;
	(void)snprintf(item.key, sizeof(item.key), "%s", p->key);
	if (v->m->params->counts) {
		atomic_fetch_add_explicit(&v->m->params->counts->bytes_total, item.size,
		                          memory_order_relaxed);
		atomic_fetch_add_explicit(&v->m->params->counts->files_total, 1,
		                          memory_order_relaxed);
	}
	v->result.read_bytes += item.size;
	return runs_add(v->items, &item, 1, e);
}

static int take_pair(void *arg, const struct store_pair *p, struct err *e)
{
	struct verify *v = arg;

	if (cancel_check(v->m->params->cancel, e) < 0)
		return -1;
	if (store_compare_is_local(p->key))
		return 0;
	switch (p->side) {
	case SIDE_LEFT:
		v->result.missing++;
		v->result.missing_bytes += p->left.size;
		lacks(v, p);
		return mirror_say(v->m, MIRROR_MISSING, p->key, "the copy lacks it", e);
	case SIDE_RIGHT:
		v->result.surplus++;
		v->result.surplus_bytes += p->right.size;
		return mirror_say(v->m, MIRROR_SURPLUS, p->key, "only the copy has it", e);
	case SIDE_BOTH:
		break;
	}
	if (p->left.size == p->right.size) {
		v->result.same++;
		v->result.same_bytes += p->left.size;
		return to_be_read(v, p, e);
	}
	v->result.different++;
	lacks(v, p);
	return mirror_say(v->m, MIRROR_CONFLICT, p->key, "the copy has another length", e);
}

static int take_point(void *arg, const struct store_pair *p, struct err *e)
{
	struct verify *v = arg;
	const char *session = p->key + strlen(COMMITS);
	const struct store_stat *st = p->side == SIDE_RIGHT ? &p->right : &p->left;
	enum mirror_point_state s;

	if (!point_session_valid(session) || commit_kind_of(session, st->size) != COMMIT_POINT)
		return 0;
	if (p->side == SIDE_RIGHT)
		s = MIRROR_POINT_SURPLUS;
	else if (p->side == SIDE_LEFT || p->left.size != p->right.size)
		s = MIRROR_POINT_LACKING;
	else
		s = p->left.received_ns < v->oldest_ns ? MIRROR_POINT_COMPLETE
		                                       : MIRROR_POINT_UNSURE;
	v->result.points[s]++;
	return v->point ? v->point(v->m->params->arg, session, st->received_ns, s, e) : 0;
}

/* When the source received an object whose bytes differ: it lacks, as one that is not there. */
static int note_differing(struct verify *v, const char *key, struct err *e)
{
	struct store_stat st;
	struct err why = ERR_INIT;

	if (store_head(v->m->from, key, &st, &why) < 0) {
		if (why.class == ERR_NOT_FOUND)
			return 0;
		*e = why;
		return -1;
	}
	if (st.received_ns < v->oldest_ns)
		v->oldest_ns = st.received_ns;
	return 0;
}

struct teller {
	struct verify *v;
	const struct mirror_params *params; /* what the caller gave */
};

static int tell_differing(void *arg, enum mirror_what what, const char *key, const char *text,
                          struct err *e)
{
	struct teller *t = arg;

	t->v->result.different++;
	t->v->result.same--;
	if (note_differing(t->v, key, e) < 0)
		return -1;
	return t->params->tell ? t->params->tell(t->params->arg, what, key, text, e) : 0;
}

/* Reads what both have; the threads tell of what differs through tell_differing(). */
static int read_all(struct verify *v, struct err *e)
{
	const struct mirror_params *params = v->m->params;
	struct teller t = { .v = v, .params = params };
	struct mirror_params mine = *params;
	unsigned n = params->parallel ? params->parallel : MIRROR_PARALLEL_DEFAULT;

	mine.tell = tell_differing;
	mine.arg = &t;
	v->m->params = &mine;
	int rc = runs_rewind(v->items, e) < 0 ||
	                         mirror_each(v->m, v->items,
	                                     n < MIRROR_PARALLEL_MAX ? n : MIRROR_PARALLEL_MAX,
	                                     mirror_compare, e) < 0
	                 ? -1
	                 : 0;
	v->m->params = params;
	return rc;
}

int mirror_verify(struct store *from, struct store *to, const struct mirror_params *params,
                  bool read,
                  int (*point)(void *arg, const char *session, int64_t received_ns,
                               enum mirror_point_state state, struct err *e),
                  struct mirror_verified *ret, struct err *e)
{
	CLEANUP(mirror_clear) struct mirror m;
	auto_runs struct runs *items = mirror_items_new(params->scratch);
	struct verify v = {
		.m = &m, .items = items, .read = read, .oldest_ns = INT64_MAX, .point = point
	};
	struct store_cut cut;

	mirror_init(&m, from, to, params);
	if (!items)
		return err_set(e, ERR_NOMEM, "no memory for a list of objects");
	if (store_compare(from, to, "", take_pair, &v, NULL, e) < 0 ||
	    (read && read_all(&v, e) < 0) ||
	    store_compare(from, to, COMMITS, take_point, &v, NULL, e) < 0 ||
	    store_compare_cut(from, to, 0, &cut, e) < 0)
		return -1;
	v.result.cut_ns = cut.cut_ns < v.oldest_ns ? cut.cut_ns : v.oldest_ns - 1;
	*ret = v.result;
	return 0;
}
