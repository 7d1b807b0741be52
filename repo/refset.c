/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items are appended to the last run; a full run is sorted and freed of
 * doubles, and what then is still more than half full is left alone and
 * followed by a new one. Reading merges: the items of one pack lie together
 * in every run.
 */
#include "repo/refset.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "common/fd.h"

#define FIRST_BYTES (128 * KIB) /* of the first run, which is in memory */
#define RUN_BYTES (16 * MIB)    /* of the others */

struct run {
	struct refset_item *v;
	size_t bytes; /* that are mapped */
	size_t n, cap;
	size_t at; /* next to read */
};

struct refset {
	pthread_mutex_t lock;
	char *dir;
	struct run *runs; /* guarded by lock while filling */
	size_t nruns, cap;
};

struct refset *refset_new(const char *scratch_dir)
{
	struct refset *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	if (scratch_dir) {
		s->dir = strdup(scratch_dir);
		if (!s->dir) {
			free(s);
			return NULL;
		}
	}
	(void)pthread_mutex_init(&s->lock, NULL);
	return s;
}

void refset_free(struct refset *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->nruns; i++)
		(void)munmap(s->runs[i].v, s->runs[i].bytes);
	free(s->runs);
	free(s->dir);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

int refset_pack_cmp(uint8_t kind_a, const uint8_t *pack_a, uint8_t kind_b, const uint8_t *pack_b)
{
	if (kind_a != kind_b)
		return kind_a < kind_b ? -1 : 1;
	return memcmp(pack_a, pack_b, FORMAT_PACK_ID_BYTES);
}

#define BY_NUMBER(a, b)                            \
	do {                                       \
		if ((a) != (b))                    \
			return (a) < (b) ? -1 : 1; \
	} while (0)

/* By pack, then offset, then whatever else tells two items apart. */
static int item_cmp(const void *va, const void *vb)
{
	const struct refset_item *a = va;
	const struct refset_item *b = vb;
	int d = refset_pack_cmp(a->ref.kind, a->ref.pack, b->ref.kind, b->ref.pack);

	if (d != 0)
		return d;
	BY_NUMBER(a->ref.off, b->ref.off);
	d = memcmp(a->ref.id, b->ref.id, sizeof(a->ref.id));
	if (d != 0)
		return d;
	BY_NUMBER(a->ref.stored, b->ref.stored);
	BY_NUMBER(a->ref.plain, b->ref.plain);
	BY_NUMBER(a->ref.counter, b->ref.counter);
	BY_NUMBER(a->ref.key, b->ref.key);
	BY_NUMBER(a->ref.compression, b->ref.compression);
	BY_NUMBER(a->domain, b->domain);
	return 0;
}

/* Sorts and joins doubles, whose flags add up. Returns how many are left. */
static size_t settle(struct refset_item *v, size_t n)
{
	size_t kept = 0;

	if (n == 0)
		return 0;
	qsort(v, n, sizeof(*v), item_cmp);
	for (size_t i = 1; i < n; i++) {
		if (item_cmp(&v[kept], &v[i]) == 0)
			v[kept].flags |= v[i].flags;
		else
			v[++kept] = v[i];
	}
	return kept + 1;
}

/* A run with room for at least one item, or NULL with errno. */
static struct run *open_run(struct refset *s)
{
	struct run *last = s->nruns ? &s->runs[s->nruns - 1] : NULL;

	if (last && last->n == last->cap) {
		last->n = settle(last->v, last->n);
		if (last->n > last->cap / 2)
			last = NULL;
	}
	if (last)
		return last;
	if (s->nruns == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 8;
		struct run *runs = reallocarray(s->runs, cap, sizeof(*runs));

		if (!runs)
			return NULL;
		s->runs = runs;
		s->cap = cap;
	}
	last = s->runs + s->nruns;
	*last = (struct run){ .bytes = s->nruns ? RUN_BYTES : FIRST_BYTES };
	last->cap = last->bytes / sizeof(*last->v);
	last->v = fd_map_scratch(s->nruns ? s->dir : NULL, last->bytes);
	if (!last->v)
		return NULL;
	s->nruns++;
	return last;
}

int refset_add(struct refset *s, const struct refset_item *items, size_t n, struct err *e)
{
	int rc = 0;

	(void)pthread_mutex_lock(&s->lock);
	while (n > 0) {
		struct run *r = open_run(s);

		if (!r) {
			rc = err_sys(e, errno, "making room for references in '%s'",
			             s->dir ? s->dir : "memory");
			break;
		}
		size_t take = r->cap - r->n < n ? r->cap - r->n : n;
		memcpy(r->v + r->n, items, take * sizeof(*items));
		r->n += take;
		items += take;
		n -= take;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return rc;
}

bool refset_empty(const struct refset *s)
{
	return s->nruns == 0;
}

void refset_rewind(struct refset *s)
{
	for (size_t i = 0; i < s->nruns; i++) {
		struct run *r = &s->runs[i];

		r->n = settle(r->v, r->n);
		r->at = 0;
	}
}

/* The run whose next item is the first of all, or NULL. */
static struct run *first_run(const struct refset *s)
{
	struct run *first = NULL;

	for (size_t i = 0; i < s->nruns; i++) {
		struct run *r = &s->runs[i];

		if (r->at < r->n &&
		    (!first || refset_pack_cmp(r->v[r->at].ref.kind, r->v[r->at].ref.pack,
		                               first->v[first->at].ref.kind,
		                               first->v[first->at].ref.pack) < 0))
			first = r;
	}
	return first;
}

bool refset_peek(const struct refset *s, uint8_t *ret_kind, uint8_t ret_pack[FORMAT_PACK_ID_BYTES])
{
	const struct run *r = first_run(s);

	if (!r)
		return false;
	*ret_kind = r->v[r->at].ref.kind;
	memcpy(ret_pack, r->v[r->at].ref.pack, FORMAT_PACK_ID_BYTES);
	return true;
}

void refset_group_clear(struct refset_group *g)
{
	free(g->items);
	*g = (struct refset_group){ 0 };
}

int refset_take(struct refset *s, struct refset_group *g, struct err *e)
{
	uint8_t kind;
	uint8_t pack[FORMAT_PACK_ID_BYTES];

	g->n = 0;
	if (!refset_peek(s, &kind, pack))
		return 0;
	for (size_t i = 0; i < s->nruns; i++) {
		struct run *r = &s->runs[i];
		size_t end = r->at;

		while (end < r->n &&
		       refset_pack_cmp(kind, pack, r->v[end].ref.kind, r->v[end].ref.pack) == 0)
			end++;
		if (end == r->at)
			continue;
		if (g->cap - g->n < end - r->at) {
			size_t cap = (g->n + end - r->at) * 2;
			struct refset_item *items = reallocarray(g->items, cap, sizeof(*items));

			if (!items)
				return err_set(e, ERR_NOMEM,
				               "no memory for %zu references of a pack", cap);
			g->items = items;
			g->cap = cap;
		}
		memcpy(g->items + g->n, r->v + r->at, (end - r->at) * sizeof(*g->items));
		g->n += end - r->at;
		r->at = end;
	}
	g->n = settle(g->items, g->n);
	return 0;
}
