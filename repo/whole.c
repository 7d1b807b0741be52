/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree is walked, which needs its nodes, and the pack of each chunk of its contents is looked
 * for in the listing. One that is missing may have been taken by a collection, which has put the
 * chunk elsewhere: then the index is asked, and the first chunk that is nowhere ends the look.
 */
#include "repo/whole.h"

#include <pthread.h>
#include <string.h>

#include "common/cancel.h"
#include "common/secret.h"
#include "repo/absent.h"
#include "repo/moved.h"
#include "repo/tree.h"

struct domain {
	struct domain *next;
	struct domain_keys *keys; /* secret */
	struct moved *moved;
};

struct whole {
	const struct repo *r;
	struct pack_list packs; /* sorted, and read-only */
	pthread_mutex_t lock;
	struct domain *domains; /* guarded by lock; they stay */
};

/* ---- what is there ---- */

static int take_listed(void *arg, const struct store_item *item, struct err *e)
{
	struct whole *w = arg;
	struct pack_name name;

	if (pack_key_parse(item->key, name.id, &name.kind) < 0)
		return 0;
	return pack_list_add(&w->packs, name.kind, name.id, e);
}

int whole_new(const struct repo *r, struct whole **ret, struct err *e)
{
	auto_whole struct whole *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(e, ERR_NOMEM, "no memory for a list of packs");
	w->r = r;
	(void)pthread_mutex_init(&w->lock, NULL);
	if (store_list(r->store, "pack/", NULL, take_listed, w, e) < 0 ||
	    store_list(r->store, "meta/", NULL, take_listed, w, e) < 0)
		return -1;
	pack_list_sort(&w->packs);
	*ret = STEAL(&w);
	return 0;
}

void whole_free(struct whole *w)
{
	if (!w)
		return;
	for (struct domain *d = w->domains, *next; d; d = next) {
		next = d->next;
		moved_free(d->moved);
		secret_free(d->keys);
		free(d);
	}
	pack_list_clear(&w->packs);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}

/* Where a collection has moved chunks of a domain. NULL with e. */
static struct moved *moved_of(struct whole *w, const char *name, struct err *e)
{
	struct domain *d;

	(void)pthread_mutex_lock(&w->lock);
	for (d = w->domains; d && strcmp(d->keys->name, name) != 0; d = d->next)
		;
	if (!d) {
		struct domain_keys *keys = NULL;
		int rc = keys_domain(w->r->keys, name, &keys, e);

		d = rc < 0 ? NULL : calloc(1, sizeof(*d));
		if (d)
			d->moved = moved_new(w->r, keys);
		if (d && d->moved) {
			d->keys = keys;
			d->next = w->domains;
			w->domains = d;
		} else {
			if (rc == 0)
				(void)err_set(e, ERR_NOMEM, "no memory for an index");
			secret_free(keys);
			free(d);
			d = NULL;
		}
	}
	(void)pthread_mutex_unlock(&w->lock);
	return d ? d->moved : NULL;
}

/* ---- one point ---- */

struct look {
	struct whole *w;
	const struct point *p;
	struct moved *moved;   /* borrowed; NULL: not needed yet */
	struct pack_name last; /* that is there: neighbours lie in the same pack */
	bool any;              /* there is a last one */
};

static bool is_last(const struct look *l, const struct chunk_ref *ref)
{
	return l->any && l->last.kind == ref->kind &&
	       memcmp(l->last.id, ref->pack, sizeof(l->last.id)) == 0;
}

static void remember(struct look *l, const struct chunk_ref *ref)
{
	l->last.kind = ref->kind;
	memcpy(l->last.id, ref->pack, sizeof(l->last.id));
	l->any = true;
}

/* 1: its pack is there; 0: not. A pack that a collection has made since was not listed. */
static int is_there(struct look *l, const struct chunk_ref *ref, bool ask, struct err *e)
{
	char key[PACK_KEY_MAX];
	struct store_stat st;

	if (is_last(l, ref))
		return 1;
	if (!pack_list_has(&l->w->packs, ref->kind, ref->pack)) {
		if (!ask)
			return 0;
		pack_key_name(key, ref->pack, ref->kind);
		if (store_head(l->w->r->store, key, &st, e) < 0)
			return e->class == ERR_NOT_FOUND ? 0 : -1;
	}
	remember(l, ref);
	return 1;
}

/* The same of a chunk, wherever it is. */
static int find_chunk(struct look *l, const struct chunk_ref *ref, struct err *e)
{
	struct moved_ask ask = { 0 };
	int more;
	int rc = is_there(l, ref, false, e);

	if (rc != 0)
		return rc;
	if (!l->moved && !(l->moved = moved_of(l->w, l->p->domain, e)))
		return -1;
	while ((more = moved_ask(l->moved, ref, &ask, e)) > 0) {
		for (size_t i = 0; i < ask.n; i++) {
			rc = is_there(l, &ask.places[i], true, e);
			if (rc != 0)
				return rc;
		}
	}
	return more;
}

/* 1: all of it is there; 0: something is not. */
static int walk(struct look *l, struct err *e)
{
	auto_tree struct tree *t = NULL;
	const struct record *record;
	struct leaf *leaf;

	if (tree_open(l->w->r, l->p, &t, e) < 0 || tree_seek(t, NULL, 0, e) < 0)
		return -1;
	for (;;) {
		if (cancel_check(l->w->r->cancel, e) < 0 || tree_next(t, &record, &leaf, e) < 0)
			return -1;
		if (!record)
			return 1;
		/* Once for each leaf, at its first record. */
		for (size_t i = 0; record == leaf->records && i < leaf->nchunks; i++) {
			const int rc = find_chunk(l, &leaf->chunks[i], e);

			if (rc <= 0)
				return rc;
		}
	}
}

int whole_point(struct whole *w, const struct point *p, bool *ret_whole, struct err *e)
{
	struct look l = { .w = w, .p = p };
	struct err why = ERR_INIT;
	const int rc = walk(&l, &why);

	*ret_whole = rc == 1;
	/* A part of the tree, or of the index, that is not there, or not as it was. */
	if (rc >= 0 || why.class == ERR_NOT_FOUND || why.class == ERR_CORRUPT)
		return 0;
	*e = why;
	return -1;
}

int whole_look(const struct repo *r, const struct point *p, bool *ret_whole, struct err *e)
{
	auto_whole struct whole *w = NULL;

	return whole_new(r, &w, e) < 0 ? -1 : whole_point(w, p, ret_whole, e);
}
