/* SPDX-License-Identifier: Apache-2.0 */
/* See absent.h. Both lists are mostly empty, so asking costs two comparisons. */
#include "repo/absent.h"

#include <string.h>

static int pack_cmp(const void *va, const void *vb)
{
	const struct pack_name *a = va;
	const struct pack_name *b = vb;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return memcmp(a->id, b->id, sizeof(a->id));
}

int pack_list_add(struct pack_list *l, uint8_t kind, const uint8_t *id, struct err *e)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct pack_name *v = reallocarray(l->v, cap, sizeof(*v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for a list of %zu packs", cap);
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n].kind = kind;
	memcpy(l->v[l->n++].id, id, FORMAT_PACK_ID_BYTES);
	return 0;
}

void pack_list_sort(struct pack_list *l)
{
	size_t kept = 0;

	if (l->n == 0)
		return;
	qsort(l->v, l->n, sizeof(*l->v), pack_cmp);
	for (size_t i = 0; i < l->n; i++) {
		if (kept == 0 || pack_cmp(&l->v[kept - 1], &l->v[i]) != 0)
			l->v[kept++] = l->v[i];
	}
	l->n = kept;
}

bool pack_list_has(const struct pack_list *l, uint8_t kind, const uint8_t *id)
{
	struct pack_name key = { .kind = kind };

	if (l->n == 0)
		return false;
	memcpy(key.id, id, sizeof(key.id));
	return bsearch(&key, l->v, l->n, sizeof(key), pack_cmp) != NULL;
}

void pack_list_clear(struct pack_list *l)
{
	free(l->v);
	*l = (struct pack_list){ 0 };
}

int pack_list_encode(const struct pack_list *l, struct buf *b, struct err *e)
{
	(void)buf_reserve(b, l->n * FORMAT_PACK_NAME_BYTES);
	for (size_t i = 0; i < l->n; i++) {
		(void)buf_u8(b, l->v[i].kind);
		(void)buf_put(b, l->v[i].id, sizeof(l->v[i].id));
	}
	return buf_check(b, "a list of packs", e);
}

int pack_list_decode(struct pack_list *l, const uint8_t *p, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++, p += FORMAT_PACK_NAME_BYTES) {
		if (p[0] > CHUNK_NODE)
			return err_set(e, ERR_FORMAT, "pack %zu of a list is of kind %u", i, p[0]);
		if (pack_list_add(l, p[0], p + 1, e) < 0)
			return -1;
	}
	return 0;
}

static int place_cmp(const void *va, const void *vb)
{
	const struct place *a = va;
	const struct place *b = vb;
	int d = pack_cmp(&a->pack, &b->pack);

	return d ? d : (a->off > b->off) - (a->off < b->off);
}

int absent_place_cmp(const void *va, const void *vb)
{
	const struct place *a = va;
	const struct place *b = vb;
	int d = place_cmp(a, b);

	return d ? d : memcmp(a->id, b->id, sizeof(a->id));
}

int absent_add_place(struct absent *a, const struct place *p, struct err *e)
{
	if (a->nplaces == a->places_cap) {
		size_t cap = a->places_cap ? 2 * a->places_cap : 16;
		struct place *v = reallocarray(a->places, cap, sizeof(*v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for a list of %zu places", cap);
		a->places = v;
		a->places_cap = cap;
	}
	a->places[a->nplaces++] = *p;
	return 0;
}

void absent_sort(struct absent *a)
{
	pack_list_sort(&a->packs);
	if (a->nplaces > 1)
		qsort(a->places, a->nplaces, sizeof(*a->places), place_cmp);
}

bool absent_has(const struct absent *a, const struct chunk_ref *ref)
{
	return pack_list_has(&a->packs, ref->kind, ref->pack) || absent_has_place(a, ref);
}

bool absent_has_place(const struct absent *a, const struct chunk_ref *ref)
{
	struct place key = { .pack = { .kind = ref->kind }, .off = ref->off };

	if (a->nplaces == 0)
		return false;
	memcpy(key.pack.id, ref->pack, sizeof(key.pack.id));
	return bsearch(&key, a->places, a->nplaces, sizeof(key), place_cmp) != NULL;
}

void absent_clear(struct absent *a)
{
	pack_list_clear(&a->packs);
	free(a->places);
	*a = (struct absent){ 0 };
}
