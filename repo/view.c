/* SPDX-License-Identifier: Apache-2.0 */
/* See view.h. */
#include "repo/view.h"

#include <string.h>

#define TRIES_MAX 5

/* Packs of one list of a generation become absent. */
static int absent_list(const struct repo *r, struct view *v, uint64_t n, enum collection_part part,
                       struct err *e)
{
	CLEANUP(collection_list_clear) struct collection_list l = { 0 };

	if (collection_get(r, n, part, &l, NULL, e) < 0) {
		char key[64];

		collection_key(n, part, key);
		if (e->class != ERR_CORRUPT && e->class != ERR_FORMAT && e->class != ERR_DENIED)
			return err_wrap(e, "reading '%s'", key);
		err_wrap(e,
		         "the state of collection %llu cannot be relied on (aksdr-catalog gc gives "
		         "it up)",
		         (unsigned long long)n);
		e->class = ERR_CORRUPT;
		return -1;
	}
	for (size_t i = 0; i < l.packs.n; i++) {
		if (pack_list_add(&v->absent.packs, l.packs.v[i].kind, l.packs.v[i].id, e) < 0)
			return -1;
	}
	return 0;
}

static int load(const struct repo *r, struct view *v, struct err *e)
{
	const struct collection_state *s = &v->collection;

	if (collection_state(r, &v->collection, e) < 0)
		return -1;
	if (s->open_parts & 1U << COLLECTION_FINAL) {
		if (absent_list(r, v, s->open, COLLECTION_FINAL, e) < 0)
			return -1;
	} else if (s->open_parts & 1U << COLLECTION_CONDEMN) {
		if (absent_list(r, v, s->open, COLLECTION_CONDEMN, e) < 0)
			return -1;
	}
	if (s->done_left && absent_list(r, v, s->done, COLLECTION_LEFT, e) < 0)
		return -1;
	if (damage_load(r, &v->absent, NULL, NULL, e) < 0)
		return -1;
	absent_sort(&v->absent);
	return commit_list_load(r->store, &v->commits, e);
}

int view_load(const struct repo *r, struct view *ret, struct err *e)
{
	for (unsigned try = 1;; try++) {
		CLEANUP(view_clear) struct view v = { 0 };
		struct err why = ERR_INIT;

		if (load(r, &v, &why) == 0) {
			*ret = v;
			v = (struct view){ 0 };
			return 0;
		}
		/* A list of a collection that came to its end meanwhile is gone. */
		if (why.class == ERR_NOT_FOUND && try < TRIES_MAX)
			continue;
		*e = why;
		return err_wrap(e, "reading the state of the repository");
	}
}

void view_clear(struct view *v)
{
	absent_clear(&v->absent);
	commit_list_clear(&v->commits);
}

enum segment_state view_segment(const struct commit_list *commits,
                                const struct marker_list *markers, const char *session,
                                int64_t received_ns)
{
	const struct commit_item *c = commit_list_find(commits, session);

	if (c)
		return c->kind == COMMIT_ABORT || received_ns > c->received_ns ? SEGMENT_VOID
		                                                               : SEGMENT_SETTLED;
	return !markers || marker_list_find(markers, session) ? SEGMENT_TENTATIVE : SEGMENT_VOID;
}
