/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See moved.h. First what counts is asked, then what counts since a collection
 * has gone on, and in the end every segment there is: whatever opens and has the
 * id is the chunk. Older indexes stay until the end: other threads may be asking
 * them.
 */
#include "repo/moved.h"

#include <pthread.h>
#include <string.h>

#include "common/now.h"
#include "repo/view.h"

#define LOOKS_MAX 100 /* whether a collection has gone on; more of them only once in LOOK_MS */
#define LOOK_MS 1000

struct opened {
	struct opened *older;
	struct collection_state at; /* before it was opened */
	struct view view;
	struct index *index;
};

struct moved {
	const struct repo *repo;
	const struct domain_keys *domain;
	pthread_mutex_t lock;
	struct opened *newest; /* guarded by lock, as what follows */
	unsigned version;      /* of it */
	struct index *any;
	unsigned looks;
	int64_t looked_ms;
};

struct moved *moved_new(const struct repo *repo, const struct domain_keys *domain)
{
	struct moved *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->repo = repo;
	m->domain = domain;
	(void)pthread_mutex_init(&m->lock, NULL);
	return m;
}

static void opened_free(struct opened *x)
{
	if (!x)
		return;
	index_free(x->index);
	view_clear(&x->view);
	free(x);
}

static void clean_opened(struct opened *const *x)
{
	opened_free(*x);
}

void moved_free(struct moved *m)
{
	if (!m)
		return;
	for (struct opened *x = m->newest, *older; x; x = older) {
		older = x->older;
		opened_free(x);
	}
	index_free(m->any);
	(void)pthread_mutex_destroy(&m->lock);
	free(m);
}

static int open_index(const struct moved *m, const struct view *view, struct index **ret,
                      struct err *e)
{
	const struct repo *r = m->repo;

	return index_open(r->store, r->keys, m->domain, r->state[0] ? r->state : NULL, view,
	                  r->cancel, ret, e);
}

static int open_locked(struct moved *m, struct err *e)
{
	CLEANUP(clean_opened) struct opened *x = calloc(1, sizeof(*x));
	struct err ignored = ERR_INIT;

	if (!x)
		return err_set(e, ERR_NOMEM, "no memory for an index");
	/* Where the state of the collection does not open, all segments are as good as any. */
	(void)!collection_state(m->repo, &x->at, &ignored);
	bool viewed = view_load(m->repo, &x->view, &ignored) == 0;
	if (open_index(m, viewed ? &x->view : NULL, &x->index, e) < 0)
		return -1;
	x->older = m->newest;
	m->newest = STEAL(&x);
	m->version++;
	return 0;
}

/* Whether a collection has gone on. While one is being finished, segments replace others. */
static bool is_older_locked(struct moved *m, struct moved_ask *ask)
{
	const struct collection_state *then = &m->newest->at;
	struct collection_state now;
	struct err ignored = ERR_INIT;
	int64_t now_ms = now_mono_ns() / 1000000;

	/* Of a repository that has lost much, each chunk would cost a list. */
	if (m->looks >= LOOKS_MAX && now_ms - m->looked_ms < LOOK_MS)
		return false;
	m->looks++;
	m->looked_ms = now_ms;
	if (m->version >= LOOKS_MAX || collection_state(m->repo, &now, &ignored) < 0)
		return false;
	if (now.done != then->done || now.open != then->open || now.open_parts != then->open_parts)
		return true;
	bool replacing = !ask->renewed && then->open_parts & 1U << COLLECTION_FINAL;
	ask->renewed |= replacing;
	return replacing;
}

/* The index to be asked next. NULL: none is left, or e. */
static struct index *next_locked(struct moved *m, struct moved_ask *ask, struct err *e)
{
	if (!ask->asked_any && ask->version == m->version &&
	    (m->version == 0 || is_older_locked(m, ask)) && open_locked(m, e) < 0)
		return NULL;
	if (!ask->asked_any && ask->version < m->version) {
		ask->version = m->version;
		return m->newest->index;
	}
	if (ask->asked_any)
		return NULL;
	ask->asked_any = true;
	if (!m->any && open_index(m, NULL, &m->any, e) < 0)
		m->any = NULL;
	return m->any;
}

static bool same_place(const struct chunk_ref *a, const struct chunk_ref *b)
{
	return a->kind == b->kind && a->off == b->off &&
	       memcmp(a->pack, b->pack, sizeof(a->pack)) == 0;
}

int moved_ask(struct moved *m, const struct chunk_ref *ref, struct moved_ask *ask, struct err *e)
{
	struct err why = ERR_INIT;

	(void)pthread_mutex_lock(&m->lock);
	struct index *x = next_locked(m, ask, &why);
	(void)pthread_mutex_unlock(&m->lock);
	ask->n = 0;
	if (!x && why.class != ERR_NONE) {
		*e = why;
		return err_wrap(e, "looking for where a chunk has been moved to");
	}
	size_t n = x ? index_places(x, ref->id, ask->places, MOVED_PLACES_MAX) : 0;
	for (size_t i = 0; i < n; i++) {
		if (ask->places[i].kind == ref->kind && ask->places[i].plain == ref->plain &&
		    !same_place(&ask->places[i], ref))
			ask->places[ask->n++] = ask->places[i];
	}
	return x ? 1 : 0;
}
