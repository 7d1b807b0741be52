/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index and the packs by name: segments are opened and compared with the
 * list of packs, and what is not where a tree says is looked for in them.
 */
#include <errno.h>
#include <string.h>

#include "common/fd.h"
#include "repo/check_impl.h"

/* ---- the index ---- */

static int take_segment(void *arg, const struct store_item *item, struct err *e)
{
	struct check *ck = arg;
	const char *tag = item->key + strlen("idx/");
	const char *slash = strchr(tag, '/');
	struct check_segment s = {
		.size = item->st.size,
		.domain = UINT16_MAX,
		.state = SEGMENT_VOID,
	};
	char session[96];

	if (slash && segment_session(slash + 1, session))
		s.state = (uint8_t)view_segment(&ck->view.commits, &ck->markers, session);

	for (size_t i = 0; i < ck->ndomains; i++) {
		size_t n = strlen(ck->domains[i].keys->tag_hex);

		if (strncmp(tag, ck->domains[i].keys->tag_hex, n) == 0 && tag[n] == '/')
			s.domain = (uint16_t)i;
	}
	s.key = strdup(item->key);
	if (!s.key ||
	    check_push(&ck->segments, &ck->nsegments, &ck->segments_cap, sizeof(s), &s, e) < 0) {
		free(s.key);
		return err_set(e, ERR_NOMEM, "no memory for the list of index segments");
	}
	return 0;
}

/* The segment's plain text and its view. 1: it is damaged, *why says how. */
static int open_segment(struct check *ck, const struct check_segment *s, struct buf *plain,
                        struct segment_view *ret, struct err *why, struct err *e)
{
	const struct repo *r = ck->repo;

	if (cancel_check(r->cancel, e) < 0)
		return -1;
	if (segment_fetch(r->store, r->keys, ck->domains[s->domain].keys, s->key, plain, ret,
	                  why) == 0) {
		atomic_fetch_add_explicit(&ck->bytes_read, plain->len, memory_order_relaxed);
		atomic_fetch_add_explicit(&ck->objects, 1, memory_order_relaxed);
		return 0;
	}
	if (why->class == ERR_NOT_FOUND)
		atomic_store(&ck->stale, true); /* merged by a collection, meanwhile */
	if (check_is_finding(why))
		return 1;
	*e = *why;
	return -1;
}

/* Every chunk that the segment tells of the pack is marked as damaged: nobody relies on them. */
static bool all_marked(const struct check *ck, const struct segment_view *v, uint32_t pack)
{
	for (uint32_t i = 0; i < v->nentries; i++) {
		struct chunk_ref ref;

		if (segment_view_ref(v, i, &ref) == pack &&
		    !check_place_marked(ck, ref.kind, ref.pack, ref.off))
			return false;
	}
	return true;
}

static void name_missing(struct check *ck, const struct segment_view *v, uint32_t number,
                         const struct segment_pack *p)
{
	char name[PACK_KEY_MAX];

	/* What a collection takes away is no loss. */
	if (pack_list_has(&ck->view.absent.packs, p->kind, p->id))
		return;
	if (ck->view.absent.nplaces > 0 && all_marked(ck, v, number)) {
		atomic_fetch_add_explicit(&ck->known_damaged, 1, memory_order_relaxed);
		return;
	}
	pack_key_name(name, p->id, p->kind);
	check_find(ck, CHECK_MISSING, name, 0,
	           "not in the store; no restore point needs it, but the index names it, and a "
	           "later backup would rely on it");
}

/* Packs that the segment names are there, and as long as it says. */
static void compare_packs(struct check *ck, const struct check_segment *s,
                          const struct segment_view *v)
{
	for (uint32_t i = 0; i < v->npacks; i++) {
		struct segment_pack p;
		char name[PACK_KEY_MAX];

		segment_view_pack(v, i, &p);
		struct check_listed *x = check_listed_find(ck, p.kind, p.id);
		/* Nobody relies on what a fenced session wrote. */
		bool counts = s->state != SEGMENT_VOID;
		if (!x) {
			if (counts)
				name_missing(ck, v, i, &p);
			continue;
		}
		(void)pthread_mutex_lock(&ck->lock);
		if (counts)
			x->named = CHECK_NAMED;
		else if (x->named == CHECK_UNNAMED)
			x->named = CHECK_NAMED_IN_VAIN;
		if (counts)
			x->index_len = p.len > UINT32_MAX ? UINT32_MAX : (uint32_t)p.len;
		(void)pthread_mutex_unlock(&ck->lock);
		if (!counts || x->len == p.len)
			continue;
		pack_key_name(name, p.id, p.kind);
		check_find(ck, CHECK_SIZE, name, 0, "%u bytes long, the index says %llu", x->len,
		           (unsigned long long)p.len);
	}
}

static int note_segment(struct check *ck, const struct check_segment *s,
                        const struct segment_view *v, struct err *e)
{
	struct refset_item batch[64];
	size_t n = 0;
	int rc = 0;

	compare_packs(ck, s, v);
	if (ck->params->level < 2 || s->state == SEGMENT_VOID)
		return 0;
	for (uint32_t i = 0; rc == 0 && i < v->nentries; i++) {
		batch[n] = (struct refset_item){ .domain = s->domain, .flags = REFSET_INDEX };
		segment_view_ref(v, i, &batch[n++].ref);
		if (n == ARRAY_LEN(batch) || i + 1 == v->nentries) {
			rc = refset_add(ck->all, batch, n, e);
			n = 0;
		}
	}
	return rc;
}

static int read_segment(struct check *ck, struct check_segment *s, struct err *e)
{
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(SEGMENT_PLAIN_MAX);
	struct err why = ERR_INIT;
	struct segment_view v;
	int rc = open_segment(ck, s, &plain, &v, &why, e);

	if (rc < 0 || (rc == 0 && note_segment(ck, s, &v, e) < 0))
		return -1;
	if (rc > 0 && key_is_void(&why)) {
		atomic_fetch_add_explicit(&ck->revoked, 1, memory_order_relaxed);
	} else if (rc > 0) {
		s->damaged = true;
		check_find(ck, check_what_of(&why), s->key, 0,
		           "the index segment does not open; it can be made again from the "
		           "packs: %s",
		           why.msg);
	} else {
		atomic_fetch_add_explicit(&ck->segments_read, 1, memory_order_relaxed);
	}
	return 0;
}

static int read_segments(struct check_worker *w, struct err *e)
{
	struct check *ck = w->ck;
	int rc = 0;

	while (rc == 0 && !atomic_load(&ck->stop)) {
		(void)pthread_mutex_lock(&ck->lock);
		size_t i = ck->next++;
		(void)pthread_mutex_unlock(&ck->lock);
		if (i >= ck->nsegments)
			break;
		struct check_segment *s = &ck->segments[i];
		if (s->domain == UINT16_MAX)
			continue;
		segment_gate_enter(&ck->gate, s->size);
		rc = read_segment(ck, s, e);
		segment_gate_leave(&ck->gate, s->size);
	}
	return rc;
}

/* Binary search by id in a decoded segment. */
static bool segment_find(const struct segment_view *v, const uint8_t id[FORMAT_ID_BYTES],
                         struct chunk_ref *ret)
{
	uint32_t lo = 0;
	uint32_t hi = v->nentries;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int d = memcmp(v->entries + (size_t)mid * FORMAT_INDEX_ENTRY_BYTES, id,
		               FORMAT_ID_BYTES);

		if (d == 0) {
			segment_view_ref(v, mid, ret);
			return true;
		}
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static int lost_by_pack(const void *va, const void *vb)
{
	const struct refset_item *a = va;
	const struct refset_item *b = vb;
	int d = refset_pack_cmp(a->ref.kind, a->ref.pack, b->ref.kind, b->ref.pack);

	if (d == 0)
		d = (a->ref.off > b->ref.off) - (a->ref.off < b->ref.off);
	return d;
}

/* Places that the segment knows of what is lost; the smallest pack counts. */
static void look_in(struct check *ck, const struct check_segment *s, const struct segment_view *v)
{
	for (size_t k = 0; k < ck->nlost; k++) {
		struct refset_item *l = &ck->lost[k];
		struct chunk_ref at;

		if (l->domain != s->domain || !segment_find(v, l->ref.id, &at) ||
		    at.kind != l->ref.kind || at.plain != l->ref.plain ||
		    !check_place_good(ck, &at) ||
		    ((l->flags & REFSET_MOVED) &&
		     memcmp(at.pack, l->ref.pack, sizeof(at.pack)) >= 0))
			continue;
		l->ref = at;
		l->flags |= REFSET_MOVED;
	}
}

/* Tells what is lost, pack by pack; n items, sorted. */
static void tell_lost(struct check *ck, size_t n)
{
	for (size_t k = 0, end; k < n; k = end) {
		const struct chunk_ref *ref = &ck->lost[k].ref;
		const char *what = ref->kind == CHUNK_NODE ? "tree nodes" : "chunks";
		char name[PACK_KEY_MAX];

		for (end = k;
		     end < n && refset_pack_cmp(ref->kind, ref->pack, ck->lost[end].ref.kind,
		                                ck->lost[end].ref.pack) == 0;
		     end++)
			check_hurts(ck, &ck->lost[end]);
		pack_key_name(name, ref->pack, ref->kind);
		if (check_listed_find(ck, ref->kind, ref->pack))
			check_find(ck, CHECK_DAMAGED, name, end - k,
			           "%zu %s of restore points are marked as damaged, and stored "
			           "nowhere else",
			           end - k, what);
		else
			check_find(ck, CHECK_MISSING, name, end - k,
			           "not in the store; %zu %s of restore points are lost", end - k,
			           what);
	}
}

int check_resolve(struct check *ck, struct refset *into, struct err *e)
{
	for (size_t i = 0; ck->nlost > 0 && i < ck->nsegments; i++) {
		CLEANUP(buf_clear) struct buf plain = BUF_INIT(SEGMENT_PLAIN_MAX);
		const struct check_segment *s = &ck->segments[i];
		struct err why = ERR_INIT;
		struct segment_view v;

		if (s->domain == UINT16_MAX || s->state != SEGMENT_SETTLED)
			continue;
		int rc = open_segment(ck, s, &plain, &v, &why, e);
		if (rc < 0)
			return -1;
		if (rc == 0)
			look_in(ck, s, &v);
	}
	size_t kept = 0;
	for (size_t k = 0; k < ck->nlost; k++) {
		struct refset_item *l = &ck->lost[k];
		const struct chunk_ref *ref = &l->ref;

		/* Named by a collection, and needed all the same: it will be released. */
		if (!(l->flags & REFSET_MOVED) && check_listed_find(ck, ref->kind, ref->pack) &&
		    !check_place_marked(ck, ref->kind, ref->pack, ref->off))
			l->flags |= REFSET_MOVED;
		if (!(l->flags & REFSET_MOVED))
			ck->lost[kept++] = *l;
		else if (refset_add(into, l, 1, e) < 0)
			return -1;
	}
	if (kept > 0)
		qsort(ck->lost, kept, sizeof(*ck->lost), lost_by_pack);
	tell_lost(ck, kept);
	ck->nlost = 0;
	check_settle(ck);
	return 0;
}

/* ---- packs by name ---- */

struct list_ctx {
	struct check *ck;
	uint64_t foreign, bytes;
	bool unsorted;
};

static int listed_cmp(const void *va, const void *vb)
{
	const struct check_listed *a = va;
	const struct check_listed *b = vb;

	return refset_pack_cmp(a->kind, a->id, b->kind, b->id);
}

static int take_pack(void *arg, const struct store_item *item, struct err *e)
{
	struct list_ctx *l = arg;
	struct check *ck = l->ck;
	struct check_listed x = { 0 };
	void *v = ck->listed;

	if (cancel_check(ck->repo->cancel, e) < 0)
		return -1;
	if (pack_key_parse(item->key, x.id, &x.kind) < 0) {
		l->foreign++;
		return 0;
	}
	x.len = item->st.size > UINT32_MAX ? UINT32_MAX : (uint32_t)item->st.size;
	l->bytes += item->st.size;
	if (fd_grow_scratch(ck->scratch, &v, ck->nlisted, &ck->listed_cap, sizeof(x)) < 0)
		return err_sys(e, errno, "making room for a list of packs in '%s'",
		               ck->scratch ? ck->scratch : "memory");
	ck->listed = v;
	if (ck->nlisted > 0 && listed_cmp(&ck->listed[ck->nlisted - 1], &x) > 0)
		l->unsorted = true;
	ck->listed[ck->nlisted++] = x;
	return 0;
}

static int list_packs(struct check *ck, struct check_result *result, struct err *e)
{
	struct list_ctx l = { .ck = ck };

	if (store_list(ck->repo->store, "pack/", NULL, take_pack, &l, e) < 0)
		return err_wrap(e, "listing packs");
	result->packs = ck->nlisted;
	if (store_list(ck->repo->store, "meta/", NULL, take_pack, &l, e) < 0)
		return err_wrap(e, "listing tree packs");
	result->node_packs = ck->nlisted - result->packs;
	result->foreign = l.foreign;
	result->pack_bytes = l.bytes;
	/* Lists come in this order; sorting would take as much memory as the list has. */
	if (l.unsorted)
		qsort(ck->listed, ck->nlisted, sizeof(*ck->listed), listed_cmp);
	if (ck->params->counts) {
		atomic_store(&ck->params->counts->files_total, ck->nlisted);
	}
	return 0;
}

int check_index(struct check *ck, struct check_result *result, struct err *e)
{
	if (store_list(ck->repo->store, "idx/", NULL, take_segment, ck, e) < 0)
		return err_wrap(e, "listing the index");
	if (list_packs(ck, result, e) < 0 || check_choose(ck, result, e) < 0)
		return -1;
	if (check_pool(ck, read_segments, 0, NULL, e) < 0)
		return err_wrap(e, "reading the index");
	return 0;
}
