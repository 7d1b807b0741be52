/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree is walked, which needs its own packs, and the packs of its contents
 * are gathered; then they are looked for in the store's listing, which is in
 * the same order. A pack that is missing may be one that a collection has
 * copied elsewhere: then a check of the repository at its lowest level tells,
 * which takes longer.
 */
#include "repo/whole.h"

#include <string.h>

#include "common/cancel.h"
#include "repo/absent.h"
#include "repo/check.h"
#include "repo/tree.h"

#define SORT_AT 65536 /* packs, doubles among them, before they are put in order */

struct look {
	const struct repo *r;
	struct pack_list packs;
	size_t sort_at;
	size_t found; /* packs of the list that were listed, from its beginning on */
};

static void look_clear(struct look *l)
{
	pack_list_clear(&l->packs);
}

static int need(struct look *l, const struct chunk_ref *ref, struct err *e)
{
	const struct pack_name *last = l->packs.n ? &l->packs.v[l->packs.n - 1] : NULL;

	/* Neighbours lie in the same pack. */
	if (last && last->kind == ref->kind && memcmp(last->id, ref->pack, sizeof(last->id)) == 0)
		return 0;
	if (l->packs.n >= l->sort_at) {
		pack_list_sort(&l->packs);
		l->sort_at = 2 * l->packs.n > SORT_AT ? 2 * l->packs.n : SORT_AT;
	}
	return pack_list_add(&l->packs, ref->kind, ref->pack, e);
}

static int need_node(void *arg, const struct chunk_ref *ref, unsigned level, struct err *e)
{
	(void)level;
	return need(arg, ref, e);
}

static int gather(struct look *l, const struct point *p, struct err *e)
{
	auto_tree struct tree *t = NULL;
	const struct record *record;
	struct leaf *leaf;

	if (tree_open(l->r, p, &t, e) < 0 || tree_each_node(t, need_node, l, e) < 0 ||
	    tree_seek(t, NULL, 0, e) < 0)
		return -1;
	for (;;) {
		if (cancel_check(l->r->cancel, e) < 0 || tree_next(t, &record, &leaf, e) < 0)
			return -1;
		if (!record)
			break;
		/* Once for each leaf, at its first record. */
		for (size_t i = 0; record == leaf->records && i < leaf->nchunks; i++)
			if (need(l, &leaf->chunks[i], e) < 0)
				return -1;
	}
	pack_list_sort(&l->packs);
	return 0;
}

/* Stops at the first pack that the listing has passed without naming it. */
static int take_listed(void *arg, const struct store_item *item, struct err *e)
{
	struct look *l = arg;
	struct pack_name name;

	(void)e;
	if (pack_key_parse(item->key, name.id, &name.kind) < 0)
		return 0;
	if (l->found == l->packs.n || l->packs.v[l->found].kind != name.kind)
		return 1;
	int order = memcmp(name.id, l->packs.v[l->found].id, sizeof(name.id));
	l->found += order == 0;
	return order > 0;
}

/* The packs of one kind are all listed. */
static int list_kind(struct look *l, const char *prefix, uint8_t kind, bool *ret_all, struct err *e)
{
	if (l->found < l->packs.n && l->packs.v[l->found].kind == kind &&
	    store_list(l->r->store, prefix, NULL, take_listed, l, e) < 0)
		return -1;
	*ret_all = l->found == l->packs.n || l->packs.v[l->found].kind != kind;
	return 0;
}

struct hurt {
	const char *session;
	bool seen;
};

static int see_hurt(void *arg, const struct check_hurt *h, struct err *e)
{
	struct hurt *x = arg;

	(void)e;
	x->seen |= strcmp(h->session, x->session) == 0;
	return 0;
}

static int by_check(const struct repo *r, const struct point *p, bool *ret_whole, struct err *e)
{
	struct hurt hurt = { .session = p->session };
	const struct check_params params = { .hurt_max = UINT64_MAX,
		                             .hurt = see_hurt,
		                             .arg = &hurt };
	struct check_result result;

	if (check_run(r, &params, &result, e) < 0)
		return -1;
	*ret_whole = !hurt.seen;
	return 0;
}

int whole_look(const struct repo *r, const struct point *p, bool *ret_whole, struct err *e)
{
	CLEANUP(look_clear) struct look l = { .r = r, .sort_at = SORT_AT };
	struct err why = ERR_INIT;
	bool all = false;

	*ret_whole = false;
	if (gather(&l, p, &why) < 0) {
		/* A part of the tree that is not there, or not as it was. */
		if (why.class == ERR_NOT_FOUND || why.class == ERR_CORRUPT)
			return 0;
		*e = why;
		return -1;
	}
	_Static_assert(CHUNK_DATA < CHUNK_NODE, "data packs come first in the list");
	if (list_kind(&l, "pack/", CHUNK_DATA, &all, e) < 0 ||
	    (all && list_kind(&l, "meta/", CHUNK_NODE, &all, e) < 0))
		return -1;
	if (all) {
		*ret_whole = true;
		return 0;
	}
	return by_check(r, p, ret_whole, e);
}
