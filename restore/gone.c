/* SPDX-License-Identifier: Apache-2.0 */
/* See gone.h. */
#include "restore/gone.h"

#include <stdlib.h>
#include <string.h>

#include "common/now.h"

void gone_clear(struct gone *g)
{
	inventory_clear(&g->inventory);
	*g = (struct gone){ .known = false };
}

struct record {
	char key[NOTE_KEY_MAX];
	int64_t received_ns;
};

struct records {
	struct record *v; /* owned */
	size_t n, cap;
};

static void clear(struct records *l)
{
	free(l->v);
}

static int take(void *arg, const char *key, int64_t received_ns, struct err *e)
{
	struct records *l = arg;

	if (l->n == l->cap) {
		const size_t cap = l->cap ? 2 * l->cap : 64;
		struct record *v = reallocarray(l->v, cap, sizeof(*v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for the names of inventories");
		l->v = v;
		l->cap = cap;
	}
	struct record *r = &l->v[l->n++];
	(void)snprintf(r->key, sizeof(r->key), "%s", key);
	r->received_ns = received_ns;
	return 0;
}

static int newest_first(const void *va, const void *vb)
{
	const struct record *a = va, *b = vb;

	if (a->received_ns != b->received_ns)
		return a->received_ns < b->received_ns ? 1 : -1;
	return strcmp(b->key, a->key);
}

int gone_find(const struct repo *r, const char *cluster, struct gone *g, struct err *e)
{
	CLEANUP(clear) struct records l = { .n = 0 };

	if (inventory_list(r, take, &l, e) < 0)
		return -1;
	if (l.n > 1)
		qsort(l.v, l.n, sizeof(*l.v), newest_first);
	for (size_t i = 0; i < l.n && i < GONE_READ_MAX && !g->known; i++) {
		CLEANUP(inventory_clear) struct inventory v = { .n = 0 };
		struct err why = ERR_INIT;

		if (inventory_get(r, l.v[i].key, l.v[i].received_ns, &v, &why) < 0) {
			/* A check tells of one that does not open. */
			if (note_is_bad(&why))
				continue;
			*e = why;
			return -1;
		}
		if (strcmp(v.cluster, cluster) != 0)
			continue;
		/* What had no room in it would look as if it were gone. */
		if (v.omitted > 0)
			return 0;
		g->inventory = v;
		v = (struct inventory){ .n = 0 };
		g->known = true;
	}
	return 0;
}

/* By kind, namespace and name, as inventory_settle() sorts. */
static int cmp_claim(const struct inventory_item *a, const struct pick *k)
{
	if (a->kind != INVENTORY_CLAIM)
		return a->kind < INVENTORY_CLAIM ? -1 : 1;
	const int ns = strcmp(a->texts[INVENTORY_NS], k->volume.namespace);

	return ns != 0 ? ns : strcmp(a->texts[INVENTORY_NAME], k->volume.name);
}

bool gone_is(const struct gone *g, const struct pick *k)
{
	const struct inventory *v = &g->inventory;
	size_t low = 0, high = v->n;

	if (!g->known || v->received_ns <= k->received_ns || v->at_ns <= k->newest_ns)
		return false;
	while (low < high) {
		const size_t mid = low + (high - low) / 2;
		const int cmp = cmp_claim(&v->v[mid], k);

		if (cmp == 0)
			return false;
		if (cmp < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return true;
}

void gone_tell(const struct gone *g, const struct plan *p, struct findings *l)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct pick *k = p->items[i].pick;

		if (!gone_is(g, k))
			continue;
		struct finding *f = finding_add(l, FINDING_WARNING, "ClaimGone", "%s/%s",
		                                k->volume.namespace, k->volume.name);
		finding_what(f,
		             "the claim was no longer in '%s' when that was looked through, at %s; "
		             "its newest point is of %s",
		             g->inventory.cluster, now_rfc3339(g->inventory.at_ns).s,
		             now_rfc3339(k->newest_ns).s);
		finding_remedy(f, "name it in the selector's excludeVolumes, unless it is wanted");
	}
}
