/* SPDX-License-Identifier: Apache-2.0 */
/* See view.h. */
#include "repo/view.h"

#include <string.h>

#include "repo/finals.h"
#include "repo/note.h"

#define TRIES_MAX 5

/* Packs of one list of a generation. 1: added; 0: the list does not open, *why; -1: e. */
static int add_list(const struct repo *r, uint64_t n, enum collection_part part,
                    struct pack_list *ret, struct err *why, struct err *e)
{
	CLEANUP(collection_list_clear) struct collection_list l = { 0 };
	char key[64];

	*why = (struct err)ERR_INIT;
	if (collection_get(r, n, part, &l, NULL, why) < 0) {
		if (why->class != ERR_NOT_FOUND && note_is_bad(why))
			return 0;
		*e = *why;
		collection_key(n, part, key);
		return err_wrap(e, "reading '%s'", key);
	}
	for (size_t i = 0; i < l.packs.n; i++) {
		if (pack_list_add(ret, l.packs.v[i].kind, l.packs.v[i].id, e) < 0)
			return -1;
	}
	return 1;
}

/* Where neither of the lists opens that would say what a generation takes. */
static int cannot_rely(uint64_t n, const struct err *why, struct err *e)
{
	*e = *why;
	err_wrap(e,
	         "the state of collection %llu cannot be relied on (aksdr-catalog gc gives it up)",
	         (unsigned long long)n);
	e->class = ERR_CORRUPT;
	return -1;
}

/* `final`, or while there is none, or it does not open, `condemn`, which has all of that. */
static int load_open(const struct repo *r, struct view *v, struct err *e)
{
	const struct collection_state *s = &v->collection;
	struct err why = ERR_INIT;
	int rc = 0;

	if (s->open_parts & 1U << COLLECTION_FINAL)
		rc = add_list(r, s->open, COLLECTION_FINAL, &v->absent.packs, &why, e);
	if (rc == 0 && (s->open_parts & 1U << COLLECTION_CONDEMN))
		rc = add_list(r, s->open, COLLECTION_CONDEMN, &v->absent.packs, &why, e);
	if (rc == 0 && (s->open_parts & (1U << COLLECTION_FINAL | 1U << COLLECTION_CONDEMN)))
		return cannot_rely(s->open, &why, e);
	return rc < 0 ? -1 : 0;
}

/* What was in a `final` once is dead, whatever has become of it. */
static int load_dead(const struct repo *r, struct view *v, struct err *e)
{
	if (finals_load(r, &v->collection, &v->dead, NULL, e) < 0)
		return -1;
	for (size_t i = 0; i < v->dead.n; i++) {
		if (pack_list_add(&v->absent.packs, v->dead.v[i].kind, v->dead.v[i].id, e) < 0)
			return -1;
	}
	return 0;
}

static int load(const struct repo *r, struct view *v, struct err *e)
{
	if (collection_state_and_marks(r, &v->collection, &v->absent, e) < 0 ||
	    load_open(r, v, e) < 0 || load_dead(r, v, e) < 0)
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
	pack_list_clear(&v->dead);
	commit_list_clear(&v->commits);
}

enum segment_state view_segment(const struct commit_list *commits,
                                const struct marker_list *markers, const char *session)
{
	const struct commit_item *c = commit_list_find(commits, session);

	if (c)
		return c->kind == COMMIT_ABORT ? SEGMENT_VOID : SEGMENT_SETTLED;
	return !markers || marker_list_find(markers, session) ? SEGMENT_TENTATIVE : SEGMENT_VOID;
}
