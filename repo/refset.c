/* SPDX-License-Identifier: Apache-2.0 */
/* See refset.h: an external sort by pack, and groups of what one pack has. */
#include "repo/refset.h"

#include <string.h>

#include "common/runs.h"

struct refset {
	struct runs *runs;
};

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

static void join_items(void *kept, const void *same)
{
	struct refset_item *k = kept;
	const struct refset_item *s = same;

	k->flags |= s->flags;
	if (s->until_s > k->until_s)
		k->until_s = s->until_s;
}

static const struct runs_type items = {
	.size = sizeof(struct refset_item),
	.cmp = item_cmp,
	.join = join_items,
};

struct refset *refset_new(const char *scratch_dir)
{
	struct refset *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->runs = runs_new(&items, scratch_dir);
	if (s->runs)
		return s;
	free(s);
	return NULL;
}

void refset_free(struct refset *s)
{
	if (!s)
		return;
	runs_free(s->runs);
	free(s);
}

int refset_add(struct refset *s, const struct refset_item *v, size_t n, struct err *e)
{
	return runs_add(s->runs, v, n, e);
}

bool refset_empty(const struct refset *s)
{
	return runs_empty(s->runs);
}

int refset_rewind(struct refset *s, struct err *e)
{
	return runs_rewind(s->runs, e);
}

bool refset_peek(const struct refset *s, uint8_t *ret_kind, uint8_t ret_pack[FORMAT_PACK_ID_BYTES])
{
	const struct refset_item *x = runs_peek(s->runs);

	if (!x)
		return false;
	*ret_kind = x->ref.kind;
	memcpy(ret_pack, x->ref.pack, FORMAT_PACK_ID_BYTES);
	return true;
}

void refset_group_clear(struct refset_group *g)
{
	free(g->items);
	*g = (struct refset_group){ 0 };
}

int refset_take(struct refset *s, struct refset_group *g, struct err *e)
{
	const struct refset_item *x;

	g->n = 0;
	while ((x = runs_peek(s->runs)) &&
	       (g->n == 0 || refset_pack_cmp(g->items[0].ref.kind, g->items[0].ref.pack,
	                                     x->ref.kind, x->ref.pack) == 0)) {
		if (g->n == g->cap) {
			size_t cap = g->cap ? g->cap * 2 : 64;
			struct refset_item *v = reallocarray(g->items, cap, sizeof(*v));

			if (!v)
				return err_set(e, ERR_NOMEM,
				               "no memory for %zu references of a pack", cap);
			g->items = v;
			g->cap = cap;
		}
		g->items[g->n++] = *(const struct refset_item *)runs_next(s->runs);
	}
	return 0;
}
