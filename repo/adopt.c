/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pack that is there after this session was registered and read what is
 * absent cannot go before this session ends; so looking for it once is enough.
 */
#include "repo/adopt.h"

#include <string.h>

#include "repo/note.h"

struct adoption {
	const struct repo *r;
	const struct domain_keys *domain;
	const struct view *view;
	struct index *index;
	struct segment_writer *to;
	uint64_t packs;
	struct chunk_ref *refs; /* of one pack */
	size_t cap;
};

/* True when the pack is there as the segment says. -1: e. */
static int is_there(const struct adoption *a, const struct segment_pack *p, struct err *e)
{
	struct err why = ERR_INIT;
	char name[PACK_KEY_MAX];
	struct store_stat st;

	if (pack_list_has(&a->view->absent.packs, p->kind, p->id))
		return 0;
	pack_key_name(name, p->id, p->kind);
	if (cancel_check(a->r->cancel, e) < 0)
		return -1;
	if (store_head(a->r->store, name, &st, &why) == 0)
		return st.size == p->len;
	if (note_is_bad(&why))
		return 0;
	*e = why;
	return -1;
}

static int adopt_pack(struct adoption *a, const struct segment_view *v, uint32_t number,
                      struct err *e)
{
	struct segment_pack pack;
	size_t n = 0;

	segment_view_pack(v, number, &pack);
	int there = is_there(a, &pack, e);
	if (there <= 0)
		return there;
	for (uint32_t i = 0; i < v->nentries; i++) {
		struct chunk_ref ref;
		struct chunk_ref known;

		segment_view_ref(v, i, &ref);
		if (memcmp(ref.pack, pack.id, sizeof(ref.pack)) != 0 ||
		    absent_has(&a->view->absent, &ref) || index_lookup(a->index, ref.id, &known))
			continue;
		if (n == a->cap) {
			size_t cap = a->cap ? 2 * a->cap : 256;
			struct chunk_ref *refs = reallocarray(a->refs, cap, sizeof(*refs));

			if (!refs)
				return err_set(e, ERR_NOMEM, "no memory to adopt a pack");
			a->refs = refs;
			a->cap = cap;
		}
		a->refs[n++] = ref;
	}
	if (n == 0)
		return 0;
	if (segment_add(a->to, &pack, a->refs, n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		index_add(a->index, &a->refs[i]);
	a->packs++;
	return 0;
}

static int adopt_segment(void *arg, const char *key, struct err *e)
{
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(SEGMENT_PLAIN_MAX);
	struct adoption *a = arg;
	struct segment_view v;
	struct err why = ERR_INIT;

	if (segment_fetch(a->r->store, a->r->keys, a->domain, key, &plain, &v, &why) < 0) {
		if (note_is_bad(&why))
			return 0;
		*e = why;
		return -1;
	}
	for (uint32_t i = 0; i < v.npacks; i++) {
		if (adopt_pack(a, &v, i, e) < 0)
			return -1;
	}
	return 0;
}

struct choice {
	struct adoption *a;
	const char *voltag;
};

static int choose(void *arg, const char *name, const char *key, struct err *e)
{
	const struct choice *c = arg;
	char session[96];

	if (!segment_session(name, session) ||
	    strncmp(session + POINT_SESSION_VOLTAG, c->voltag, 16) != 0)
		return 0;
	return adopt_segment(c->a, key, e);
}

int adopt_run(const struct repo *r, const struct domain_keys *domain, const struct view *view,
              struct index *index, struct segment_writer *to, const char *voltag,
              uint64_t *ret_packs, struct err *e)
{
	struct adoption a = { .r = r, .domain = domain, .view = view, .index = index, .to = to };
	struct choice c = { .a = &a, .voltag = voltag };
	int rc = index_each_void(index, choose, &c, e);

	free(a.refs);
	*ret_packs = a.packs;
	return rc < 0 ? err_wrap(e, "taking over what an earlier run uploaded") : 0;
}
