/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What there is by name: commits are read first, then session markers and the
 * index, then packs are listed. Writers go the other way, so that whatever a
 * commit names was there before it.
 */
#include <string.h>

#include "repo/check_impl.h"
#include "repo/crypt.h"

#define MARKER_MAX FORMAT_POINT_MAX
#define DOMAINS_MAX UINT16_MAX

static int get_all(struct check *ck, const char *key, struct buf *b, struct err *e)
{
	if (cancel_check(ck->repo->cancel, e) < 0 || store_get_all(ck->repo->store, key, b, e) < 0)
		return -1;
	atomic_fetch_add_explicit(&ck->bytes_read, b->len, memory_order_relaxed);
	atomic_fetch_add_explicit(&ck->objects, 1, memory_order_relaxed);
	return 0;
}

/* ---- restore points ---- */

/* The domain's number, or -1 with e. ck->lock is held. */
static int domain_number(struct check *ck, const char *name, struct err *e)
{
	struct check_domain d = { 0 };

	for (size_t i = 0; i < ck->ndomains; i++) {
		if (strcmp(ck->domains[i].keys->name, name) == 0)
			return (int)i;
	}
	if (ck->ndomains == DOMAINS_MAX)
		return err_set(e, ERR_TOO_BIG, "more than %u dedup domains", DOMAINS_MAX);
	if (keys_domain(ck->repo->keys, name, &d.keys, e) < 0)
		return -1;
	crypt_hasher_init(&d.node, d.keys->node);
	if (d.keys->has_content)
		crypt_hasher_init(&d.id, d.keys->id);
	if (check_push(&ck->domains, &ck->ndomains, &ck->domains_cap, sizeof(d), &d, e) < 0) {
		secret_wipe(&d.id, sizeof(d.id));
		secret_wipe(&d.node, sizeof(d.node));
		secret_free(d.keys);
		return -1;
	}
	return (int)ck->ndomains - 1;
}

static char *volume_label(const struct point_volume *v)
{
	char *label = NULL;

	if (asprintf(&label, "%s%s%s%s%s", v->cluster, v->cluster[0] ? "/" : "", v->namespace,
	             v->namespace[0] ? "/" : "", v->name) < 0)
		return NULL;
	return label;
}

/* Notes what the check needs of a restore point. */
static int take_point_locked(struct check *ck, const struct point *p, unsigned domain,
                             struct err *e)
{
	struct check_point c = {
		.session = strdup(p->session),
		.volume = volume_label(&p->volume),
		.root = p->root,
		.entries = p->files + p->directories + p->others,
		.levels = p->levels,
		.domain = (uint16_t)domain,
	};

	c.root.kind = CHUNK_NODE;
	if (!c.session || !c.volume ||
	    check_push(&ck->points, &ck->npoints, &ck->points_cap, sizeof(c), &c, e) < 0) {
		free(c.session);
		free(c.volume);
		return err_set(e, ERR_NOMEM, "no memory for the list of restore points");
	}
	for (size_t i = 0; i < p->nindex; i++) {
		char *name = strdup(p->index[i]);

		if (!name || check_push(&ck->wanted_segments, &ck->nwanted, &ck->wanted_cap,
		                        sizeof(name), &name, e) < 0) {
			free(name);
			return err_set(e, ERR_NOMEM, "no memory for the list of index segments");
		}
	}
	return 0;
}

static int read_commit(struct check *ck, const struct check_commit *c, struct err *e)
{
	CLEANUP(point_clear) struct point p = { 0 };
	struct err why = ERR_INIT;
	const char *session = c->key + strlen("commit/");
	int rc;

	if (cancel_check(ck->repo->cancel, e) < 0)
		return -1;
	atomic_fetch_add_explicit(&ck->objects, 1, memory_order_relaxed);
	if (!point_session_valid(session))
		rc = err_set(&why, ERR_FORMAT, "its name is not that of a restore point");
	else
		rc = repo_point_at(ck->repo, session, c->received_ns, &p, &why);
	if (rc == 0) {
		atomic_fetch_add_explicit(&ck->bytes_read, c->size, memory_order_relaxed);
		(void)pthread_mutex_lock(&ck->lock);
		int domain = domain_number(ck, p.domain, &why);
		rc = domain < 0 ? -1 : take_point_locked(ck, &p, (unsigned)domain, &why);
		(void)pthread_mutex_unlock(&ck->lock);
	}
	if (rc == 0)
		return 0;
	if (!check_is_finding(&why) && why.class != ERR_INVALID) {
		*e = why;
		return -1;
	}
	check_find(ck, check_what_of(&why), c->key, 0, "the restore point cannot be used: %s",
	           why.msg);
	return 0;
}

static int read_commits(struct check_worker *w, struct err *e)
{
	struct check *ck = w->ck;

	while (!atomic_load(&ck->stop)) {
		(void)pthread_mutex_lock(&ck->lock);
		size_t i = ck->next++;
		(void)pthread_mutex_unlock(&ck->lock);
		if (i >= ck->ncommits)
			break;
		if (read_commit(ck, &ck->commits[i], e) < 0)
			return err_wrap(e, "reading '%s'", ck->commits[i].key);
	}
	return 0;
}

static int take_commit(void *arg, const struct store_item *item, struct err *e)
{
	struct check *ck = arg;
	struct check_commit c = { .key = strdup(item->key),
		                  .received_ns = item->st.received_ns,
		                  .size = item->st.size };

	if (!c.key ||
	    check_push(&ck->commits, &ck->ncommits, &ck->commits_cap, sizeof(c), &c, e) < 0) {
		free(c.key);
		return err_set(e, ERR_NOMEM, "no memory for the list of restore points");
	}
	return 0;
}

static int by_session(const void *a, const void *b)
{
	return strcmp(((const struct check_point *)a)->session,
	              ((const struct check_point *)b)->session);
}

static int gather_commits(struct check *ck, struct err *e)
{
	if (store_list(ck->repo->store, "commit/", NULL, take_commit, ck, e) < 0)
		return err_wrap(e, "listing the restore points");
	if (check_pool(ck, read_commits, 0, NULL, e) < 0)
		return -1;
	if (ck->npoints > 0)
		qsort(ck->points, ck->npoints, sizeof(*ck->points), by_session);
	return 0;
}

/* ---- session markers ---- */

struct marker_ctx {
	struct check *ck;
	char **keys; /* level 2 and up */
	size_t n, cap;
	uint64_t open;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool has_point(const struct check *ck, const char *session)
{
	size_t lo = 0;
	size_t hi = ck->npoints;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int d = strcmp(ck->points[mid].session, session);

		if (d == 0)
			return true;
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static int take_marker(void *arg, const struct store_item *item, struct err *e)
{
	struct marker_ctx *m = arg;

	m->open += !has_point(m->ck, item->key + strlen("sess/"));
	if (m->ck->params->level < 2)
		return 0;
	char *key = strdup(item->key);
	if (!key || check_push(&m->keys, &m->n, &m->cap, sizeof(key), &key, e) < 0) {
		free(key);
		return err_set(e, ERR_NOMEM, "no memory for the list of sessions");
	}
	return 0;
}

static int open_marker(struct check *ck, const char *key, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MARKER_MAX);
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(MARKER_MAX);
	struct err why = ERR_INIT;
	uint8_t signer[FORMAT_SIGNER_BYTES];

	if (get_all(ck, key, &b, &why) == 0 &&
	    crypt_object_open(ck->repo->keys, FORMAT_KIND_SESSION, ck->point_key, key, b.data,
	                      b.len, &plain, signer, &why) == 0)
		return 0;
	if (!check_is_finding(&why)) {
		*e = why;
		return -1;
	}
	check_find(ck, check_what_of(&why), key, 0, "the session marker does not open: %s",
	           why.msg);
	return 0;
}

static int gather_markers(struct check *ck, struct check_result *result, struct err *e)
{
	struct marker_ctx m = { .ck = ck };
	int rc = store_list(ck->repo->store, "sess/", NULL, take_marker, &m, e);

	for (size_t i = 0; i < m.n; i++) {
		if (rc == 0)
			rc = open_marker(ck, m.keys[i], e);
		free(m.keys[i]);
	}
	free(m.keys);
	result->open_sessions = m.open;
	return rc;
}

/* ---- the index ---- */

static int take_segment(void *arg, const struct store_item *item, struct err *e)
{
	struct check *ck = arg;
	const char *tag = item->key + strlen("idx/");
	struct check_segment s = { .domain = UINT16_MAX };

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
	if (check_is_finding(why))
		return 1;
	*e = *why;
	return -1;
}

static int note_segment(struct check_worker *w, const struct check_segment *s,
                        const struct segment_view *v, struct err *e)
{
	struct check *ck = w->ck;
	struct refset_item batch[64];
	size_t n = 0;
	int rc = 0;

	(void)pthread_mutex_lock(&ck->lock);
	for (uint32_t i = 0; rc == 0 && i < v->npacks; i++) {
		struct segment_pack pack;
		struct check_indexed x;

		segment_view_pack(v, i, &pack);
		x.kind = pack.kind;
		x.len = pack.len;
		memcpy(x.id, pack.id, sizeof(x.id));
		rc = check_push(&ck->indexed, &ck->nindexed, &ck->indexed_cap, sizeof(x), &x, e);
	}
	(void)pthread_mutex_unlock(&ck->lock);
	if (ck->params->level < 2)
		return rc;
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

static int read_segments(struct check_worker *w, struct err *e)
{
	struct check *ck = w->ck;

	while (!atomic_load(&ck->stop)) {
		CLEANUP(buf_clear) struct buf plain = BUF_INIT(SEGMENT_PLAIN_MAX);
		struct err why = ERR_INIT;
		struct segment_view v;

		(void)pthread_mutex_lock(&ck->lock);
		size_t i = ck->next++;
		(void)pthread_mutex_unlock(&ck->lock);
		if (i >= ck->nsegments)
			break;
		if (ck->segments[i].domain == UINT16_MAX)
			continue;
		int rc = open_segment(ck, &ck->segments[i], &plain, &v, &why, e);
		if (rc < 0 || (rc == 0 && note_segment(w, &ck->segments[i], &v, e) < 0))
			return -1;
		if (rc > 0)
			check_find(ck, check_what_of(&why), ck->segments[i].key, 0,
			           "the index segment does not open; it can be made again from the "
			           "packs: %s",
			           why.msg);
		else
			atomic_fetch_add_explicit(&ck->segments_read, 1, memory_order_relaxed);
	}
	return 0;
}

/* Segments that commits name must be there. */
static void compare_segments(struct check *ck)
{
	size_t k = 0;

	if (ck->nwanted > 0)
		qsort(ck->wanted_segments, ck->nwanted, sizeof(char *), by_text);
	for (size_t i = 0; i < ck->nwanted; i++) {
		while (k < ck->nsegments && strcmp(ck->segments[k].key, ck->wanted_segments[i]) < 0)
			k++;
		if (k == ck->nsegments || strcmp(ck->segments[k].key, ck->wanted_segments[i]) != 0)
			check_find(ck, CHECK_MISSING, ck->wanted_segments[i], 0,
			           "a restore point names it; it can be made again from the packs");
	}
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

int check_resolve(struct check *ck, struct refset *into, struct err *e)
{
	size_t left = ck->nlost;

	for (size_t i = 0; left > 0 && i < ck->nsegments; i++) {
		CLEANUP(buf_clear) struct buf plain = BUF_INIT(SEGMENT_PLAIN_MAX);
		struct err why = ERR_INIT;
		struct segment_view v;

		if (ck->segments[i].domain == UINT16_MAX)
			continue;
		int rc = open_segment(ck, &ck->segments[i], &plain, &v, &why, e);
		if (rc < 0)
			return -1;
		for (size_t k = 0; rc == 0 && k < ck->nlost; k++) {
			struct refset_item *l = &ck->lost[k];
			struct chunk_ref at;

			if ((l->flags & REFSET_MOVED) || l->domain != ck->segments[i].domain ||
			    !segment_find(&v, l->ref.id, &at) || at.kind != l->ref.kind ||
			    at.plain != l->ref.plain || !check_listed_find(ck, at.kind, at.pack))
				continue;
			l->ref = at;
			l->flags |= REFSET_MOVED;
			left--;
		}
	}
	size_t kept = 0;
	for (size_t k = 0; k < ck->nlost; k++) {
		if (!(ck->lost[k].flags & REFSET_MOVED))
			ck->lost[kept++] = ck->lost[k];
		else if (refset_add(into, &ck->lost[k], 1, e) < 0)
			return -1;
	}
	if (kept > 0)
		qsort(ck->lost, kept, sizeof(*ck->lost), lost_by_pack);
	for (size_t k = 0; k < kept;) {
		char name[PACK_KEY_MAX];
		size_t end = k;

		for (; end < kept &&
		       refset_pack_cmp(ck->lost[k].ref.kind, ck->lost[k].ref.pack,
		                       ck->lost[end].ref.kind, ck->lost[end].ref.pack) == 0;
		     end++)
			check_hurts(ck, &ck->lost[end]);
		pack_key_name(name, ck->lost[k].ref.pack, ck->lost[k].ref.kind);
		check_find(ck, CHECK_MISSING, name, end - k,
		           "not in the store; %zu %s of restore points are lost", end - k,
		           ck->lost[k].ref.kind == CHUNK_NODE ? "tree nodes" : "chunks");
		k = end;
	}
	ck->nlost = 0;
	check_settle(ck);
	return 0;
}

/* ---- packs by name ---- */

struct list_ctx {
	struct check *ck;
	uint64_t foreign, bytes;
};

static int take_pack(void *arg, const struct store_item *item, struct err *e)
{
	struct list_ctx *l = arg;
	struct check *ck = l->ck;
	struct check_listed x = { .len = item->st.size };

	if (cancel_check(ck->repo->cancel, e) < 0)
		return -1;
	if (pack_key_parse(item->key, x.id, &x.kind) < 0) {
		l->foreign++;
		return 0;
	}
	l->bytes += x.len;
	return check_push(&ck->listed, &ck->nlisted, &ck->listed_cap, sizeof(x), &x, e);
}

static int listed_cmp(const void *va, const void *vb)
{
	const struct check_listed *a = va;
	const struct check_listed *b = vb;

	return refset_pack_cmp(a->kind, a->id, b->kind, b->id);
}

static int indexed_cmp(const void *va, const void *vb)
{
	const struct check_indexed *a = va;
	const struct check_indexed *b = vb;
	int d = refset_pack_cmp(a->kind, a->id, b->kind, b->id);

	return d ? d : (a->len > b->len) - (a->len < b->len);
}

static void compare_packs(struct check *ck)
{
	size_t k = 0;

	if (ck->nindexed > 0)
		qsort(ck->indexed, ck->nindexed, sizeof(*ck->indexed), indexed_cmp);
	for (size_t i = 0; i < ck->nindexed; i++) {
		const struct check_indexed *x = &ck->indexed[i];
		char name[PACK_KEY_MAX];
		int d = 1;

		pack_key_name(name, x->id, x->kind);
		while (k < ck->nlisted && (d = refset_pack_cmp(ck->listed[k].kind, ck->listed[k].id,
		                                               x->kind, x->id)) < 0)
			k++;
		if (k == ck->nlisted || d != 0) {
			check_find(ck, CHECK_MISSING, name, 0,
			           "not in the store; no restore point needs it, but the index "
			           "names it, "
			           "and a later backup would rely on it");
			continue;
		}
		ck->listed[k].indexed = true;
		ck->listed[k].index_len = x->len;
		if (ck->listed[k].len != x->len)
			check_find(ck, CHECK_SIZE, name, 0, "%llu bytes long, the index says %llu",
			           (unsigned long long)ck->listed[k].len,
			           (unsigned long long)x->len);
	}
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
	if (ck->nlisted > 0)
		qsort(ck->listed, ck->nlisted, sizeof(*ck->listed), listed_cmp);
	if (ck->params->counts) {
		atomic_store(&ck->params->counts->files_total, ck->nlisted);
		atomic_store(&ck->params->counts->bytes_total,
		             ck->params->level >= 3 ? l.bytes : 0);
	}
	return 0;
}

int check_gather(struct check *ck, struct check_result *result, struct err *e)
{
	if (gather_commits(ck, e) < 0)
		return -1;
	if (gather_markers(ck, result, e) < 0)
		return err_wrap(e, "reading the session markers");
	if (store_list(ck->repo->store, "idx/", NULL, take_segment, ck, e) < 0)
		return err_wrap(e, "listing the index");
	compare_segments(ck);
	if (check_pool(ck, read_segments, 0, NULL, e) < 0)
		return err_wrap(e, "reading the index");
	if (list_packs(ck, result, e) < 0)
		return -1;
	compare_packs(ck);
	return 0;
}
