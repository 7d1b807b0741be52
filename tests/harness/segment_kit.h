/* SPDX-License-Identifier: Apache-2.0 */
/* Index segments of chosen places, for tests. */
#ifndef AKSDR_TESTS_SEGMENT_KIT_H
#define AKSDR_TESTS_SEGMENT_KIT_H

#include <string.h>

#include "repo/index.h"
#include "repo/segment.h"

/* Places in the order in which they were told. */
struct segment_refs {
	struct chunk_ref *v;
	size_t n, cap;
};

static inline void segment_refs_add(struct segment_refs *l, const struct chunk_ref *ref)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 64;
		l->v = reallocarray(l->v, l->cap, sizeof(*l->v));
		if (!l->v)
			abort();
	}
	l->v[l->n++] = *ref;
}

static inline void segment_refs_clear(struct segment_refs *l)
{
	free(l->v);
	*l = (struct segment_refs){ 0 };
}

static inline int segment_refs_by_pack(const void *a, const void *b)
{
	return memcmp(((const struct chunk_ref *)a)->pack, ((const struct chunk_ref *)b)->pack,
	              FORMAT_PACK_ID_BYTES);
}

/*
 * Writes segments that have all places of l, whose order changes. pack_len says how long a pack
 * is; index, when not NULL, learns of them.
 */
static inline int segment_refs_write(struct store *store, const struct keys *keys,
                                     const struct domain_keys *domain, const char *session,
                                     struct segment_refs *l,
                                     uint64_t (*pack_len)(void *arg, const uint8_t pack[16]),
                                     void *arg, struct index *index, char ***ret_names,
                                     size_t *ret_n, struct err *e)
{
	const struct segment_writer_params p = {
		.store = store,
		.keys = keys,
		.domain = domain,
		.session = session,
		.learned = index ? index_learned : NULL,
		.arg = index,
	};
	auto_segment_writer struct segment_writer *w = NULL;

	if (segment_writer_new(&p, &w, e) < 0)
		return -1;
	if (l->n > 0)
		qsort(l->v, l->n, sizeof(*l->v), segment_refs_by_pack);
	for (size_t i = 0, end; i < l->n; i = end) {
		struct segment_pack pack = { .kind = l->v[i].kind };

		for (end = i + 1; end < l->n && segment_refs_by_pack(&l->v[i], &l->v[end]) == 0;)
			end++;
		memcpy(pack.id, l->v[i].pack, sizeof(pack.id));
		pack.len = pack_len(arg, pack.id);
		if (segment_add(w, &pack, l->v + i, end - i, e) < 0)
			return -1;
	}
	if (segment_flush(w, e) < 0)
		return -1;
	segment_names(w, ret_names, ret_n);
	return 0;
}

#endif
