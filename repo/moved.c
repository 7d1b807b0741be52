/* SPDX-License-Identifier: Apache-2.0 */
/* See moved.h. Older indexes stay until the end: other threads may be asking them. */
#include "repo/moved.h"

#include <pthread.h>
#include <string.h>

#include "repo/collection.h"

#define OPENED_MAX 64 /* times; then the last one has to do */

struct moved {
	const struct repo *repo;
	const struct domain_keys *domain;
	pthread_mutex_t lock;
	struct index *opened[OPENED_MAX]; /* guarded by lock; the last one counts */
	unsigned n;                       /* guarded by lock */
	struct collection_state at;       /* guarded by lock: before the last one was opened */
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

void moved_free(struct moved *m)
{
	if (!m)
		return;
	for (unsigned i = 0; i < m->n; i++)
		index_free(m->opened[i]);
	(void)pthread_mutex_destroy(&m->lock);
	free(m);
}

static int open_locked(struct moved *m, const struct collection_state *now, struct err *e)
{
	const struct repo *r = m->repo;

	if (index_open(r->store, r->keys, m->domain, r->state[0] ? r->state : NULL, NULL, r->cancel,
	               &m->opened[m->n], e) < 0)
		return -1;
	m->n++;
	m->at = *now;
	return 0;
}

/* While one is being finished, segments take the place of others. */
static bool is_moving(const struct collection_state *s)
{
	return s->open_parts & 1U << COLLECTION_FINAL;
}

/* An index that is newer than the one that was asked, when there is any reason for one. */
static int renew_locked(struct moved *m, unsigned asked, struct err *e)
{
	struct collection_state now;

	if (asked < m->n)
		return 1;
	if (asked == OPENED_MAX)
		return 0;
	if (collection_state(m->repo, &now, e) < 0)
		return -1;
	if (asked > 0 && !is_moving(&m->at) && now.done == m->at.done && now.open == m->at.open &&
	    now.open_parts == m->at.open_parts)
		return 0;
	return open_locked(m, &now, e) < 0 ? -1 : 1;
}

static bool same_place(const struct chunk_ref *a, const struct chunk_ref *b)
{
	return a->kind == b->kind && a->off == b->off &&
	       memcmp(a->pack, b->pack, sizeof(a->pack)) == 0;
}

int moved_ask(struct moved *m, const struct chunk_ref *ref, struct moved_ask *ask, struct err *e)
{
	(void)pthread_mutex_lock(&m->lock);
	int rc = renew_locked(m, ask->version, e);
	struct index *x = rc > 0 ? m->opened[m->n - 1] : NULL;
	ask->version = m->n;
	(void)pthread_mutex_unlock(&m->lock);
	ask->n = 0;
	if (rc <= 0)
		return rc < 0 ? err_wrap(e, "looking for where a chunk has been moved to") : 0;
	size_t n = index_places(x, ref->id, ask->places, MOVED_PLACES_MAX);
	for (size_t i = 0; i < n; i++) {
		if (ask->places[i].kind == ref->kind && ask->places[i].plain == ref->plain &&
		    !same_place(&ask->places[i], ref))
			ask->places[ask->n++] = ask->places[i];
	}
	return 1;
}
