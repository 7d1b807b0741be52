/* SPDX-License-Identifier: Apache-2.0 */
/* See collection.h. All of these objects are notes with a list; the lists are sorted. */
#include "repo/collection.h"

#include <string.h>

#include "common/act.h"
#include "common/json.h"
#include "common/now.h"
#include "common/rd.h"
#include "repo/note.h"

#define CTL "ctl/"
#define GC CTL "gc/"
#define DAMAGE CTL "damage/"
#define LIST_SCHEMA "aksdr/collection/v1"
#define DAMAGE_SCHEMA "aksdr/damage/v1"
#define SESSIONS_MAX 1000000
#define PLACE_BYTES (FORMAT_PACK_NAME_BYTES + 4 + FORMAT_ID_BYTES)
#define LOOKS_MAX 3
#define PLACES_MAX 1000000

static const char *const part_names[COLLECTION_PARTS] = {
	[COLLECTION_CONDEMN] = "condemn", [COLLECTION_SESSIONS] = "sessions",
	[COLLECTION_FINAL] = "final",     [COLLECTION_FINALS] = "finals",
	[COLLECTION_LIVE] = "live",       [COLLECTION_DONE] = "done",
};

/* ---- names of sessions ---- */

int session_names_add(struct session_names *l, const char *session, struct err *e)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		void *v = reallocarray(l->v, cap, sizeof(*l->v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for a list of %zu sessions", cap);
		l->v = v;
		l->cap = cap;
	}
	(void)snprintf(l->v[l->n++], sizeof(*l->v), "%s", session);
	return 0;
}

static int name_cmp(const void *a, const void *b)
{
	return strcmp(a, b);
}

void session_names_sort(struct session_names *l)
{
	size_t kept = 0;

	if (l->n == 0)
		return;
	qsort(l->v, l->n, sizeof(*l->v), name_cmp);
	for (size_t i = 0; i < l->n; i++) {
		if (kept > 0 && strcmp(l->v[kept - 1], l->v[i]) == 0)
			continue;
		if (kept != i)
			memcpy(l->v[kept], l->v[i], sizeof(*l->v));
		kept++;
	}
	l->n = kept;
}

bool session_names_has(const struct session_names *l, const char *session)
{
	return l->n > 0 && bsearch(session, l->v, l->n, sizeof(*l->v), name_cmp) != NULL;
}

void session_names_clear(struct session_names *l)
{
	free(l->v);
	*l = (struct session_names){ 0 };
}

void collection_list_clear(struct collection_list *l)
{
	pack_list_clear(&l->packs);
	session_names_clear(&l->sessions);
}

/* ---- marks of damage ---- */

/* The places of one mark appended to a. */
static int mark_read(const struct repo *r, const char *key, struct absent *a, struct err *e)
{
	CLEANUP(buf_clear) struct buf list = BUF_INIT(NOTE_LIST_MAX);
	auto_json json_t *o = NULL;
	uint64_t n;

	if (note_get_list(r, FORMAT_KIND_DAMAGE, key, &o, &list, NULL, e) < 0 ||
	    note_schema(o, key, DAMAGE_SCHEMA, e) < 0 || json_get_u64(o, key, "places", &n, e) < 0)
		return -1;
	if (n > PLACES_MAX || list.len != n * PLACE_BYTES)
		return err_set(e, ERR_FORMAT, "'%s' does not add up", key);
	struct rd rd = rd_of(list.data, list.len);
	for (uint64_t i = 0; i < n; i++) {
		struct place p;

		p.pack.kind = rd_u8(&rd);
		rd_copy(&rd, p.pack.id, sizeof(p.pack.id));
		p.off = rd_u32(&rd);
		rd_copy(&rd, p.id, sizeof(p.id));
		if (p.pack.kind > CHUNK_NODE)
			return err_set(e, ERR_FORMAT, "'%s': a place of kind %u", key, p.pack.kind);
		if (absent_add_place(a, &p, e) < 0)
			return -1;
	}
	return 0;
}

struct marks {
	const struct repo *r;
	struct absent *a;
	int (*each)(void *arg, const char *key, const struct place *places, size_t n,
	            struct err *e);
	void *arg;
};

static int take_mark(void *arg, const struct store_item *item, struct err *e)
{
	const struct marks *m = arg;
	size_t before = m->a->nplaces;
	struct err why = ERR_INIT;

	if (!note_name_valid(item->key + strlen(DAMAGE)))
		return 0;
	if (mark_read(m->r, item->key, m->a, &why) < 0) {
		/* A mark that does not open marks nothing; check tells of it. */
		m->a->nplaces = before;
		if (note_is_bad(&why))
			return 0;
		*e = why;
		return -1;
	}
	/* A mark of no place, with none before it, has no array. */
	const struct place *places = m->a->places ? m->a->places + before : NULL;
	return m->each ? m->each(m->arg, item->key, places, m->a->nplaces - before, e) : 0;
}

/* ---- state ---- */

void collection_key(uint64_t n, enum collection_part part, char ret[64])
{
	(void)snprintf(ret, 64, GC "%08llu/%s", (unsigned long long)n, part_names[part]);
}

bool collection_key_parse(const char *key, uint64_t *ret_n, enum collection_part *ret_part)
{
	const char *name = key + strlen(GC);
	const char *slash = strncmp(key, GC, strlen(GC)) == 0 ? strchr(name, '/') : NULL;
	char number[16] = "";

	if (!slash || slash - name >= (ptrdiff_t)sizeof(number))
		return false;
	memcpy(number, name, (size_t)(slash - name));
	if (!note_number(number, ret_n))
		return false;
	for (unsigned i = 0; i < COLLECTION_PARTS; i++) {
		if (strcmp(slash + 1, part_names[i]) == 0) {
			*ret_part = i;
			return true;
		}
	}
	return false;
}

/* Objects of one generation. */
struct generation {
	uint64_t n;
	unsigned parts;      /* 1 << enum collection_part */
	int64_t received_ns; /* of its condemn */
};

/* In order of their numbers. */
struct generations {
	struct generation *v;
	size_t n, cap;
};

static void generations_clear(struct generations *l)
{
	free(l->v);
}

/* The last one of the list, made when it is another number. NULL: no memory. */
static struct generation *generation_of(struct generations *l, uint64_t n)
{
	if (l->n > 0 && l->v[l->n - 1].n == n)
		return &l->v[l->n - 1];
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct generation *v = reallocarray(l->v, cap, sizeof(*v));

		if (!v)
			return NULL;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n] = (struct generation){ .n = n };
	return &l->v[l->n++];
}

static int take_part(void *arg, const struct store_item *item, struct err *e)
{
	struct generations *l = arg;
	enum collection_part which;
	uint64_t n;

	if (!collection_key_parse(item->key, &n, &which))
		return 0;
	struct generation *g = generation_of(l, n);
	if (!g)
		return err_set(e, ERR_NOMEM, "no memory for a list of collections");
	g->parts |= 1U << which;
	if (which == COLLECTION_CONDEMN)
		g->received_ns = item->st.received_ns;
	return 0;
}

/* Whether the object is one of a revoked key, and does not count. */
static int is_void(const struct repo *r, uint64_t n, enum collection_part part, bool *ret,
                   struct err *e)
{
	CLEANUP(buf_clear) struct buf list = BUF_INIT(NOTE_LIST_MAX);
	auto_json json_t *o = NULL;
	struct err why = ERR_INIT;
	char key[64];

	collection_key(n, part, key);
	*ret = false;
	if (note_get_list(r, FORMAT_KIND_COLLECT, key, &o, &list, NULL, &why) == 0)
		return 0;
	*ret = key_is_void(&why);
	if (note_is_bad(&why))
		return 0; /* who goes by it will see */
	*e = why;
	return -1;
}

/*
 * Where a key was revoked, its objects may stand in the place of those of a
 * collection. Takes them out, from the newest generation down to one that is
 * done; each(), when not NULL, is told of them.
 */
static int judge(const struct repo *r, struct generations *l,
                 int (*each)(void *arg, const char *key, struct err *e), void *arg, struct err *e)
{
	if (!keys_any_revoked(r->keys))
		return 0;
	for (size_t i = l->n; i-- > 0;) {
		struct generation *g = &l->v[i];

		for (unsigned part = 0; part < COLLECTION_PARTS; part++) {
			bool void_part = false;
			char key[64];

			if (!(g->parts & 1U << part))
				continue;
			if (is_void(r, g->n, part, &void_part, e) < 0)
				return -1;
			if (!void_part)
				continue;
			g->parts &= ~(1U << part);
			collection_key(g->n, part, key);
			if (each && each(arg, key, e) < 0)
				return -1;
		}
		if (g->parts & 1U << COLLECTION_DONE)
			break;
	}
	return 0;
}

static int list_generations(const struct repo *r, struct generations *l, struct err *e)
{
	return store_list(r->store, GC, NULL, take_part, l, e) < 0
	               ? err_wrap(e, "reading the state of the collection")
	               : 0;
}

/* What one list tells of all that is below ctl/. */
struct ctl {
	struct generations *generations;
	struct marks marks;
};

static int take_ctl(void *arg, const struct store_item *item, struct err *e)
{
	struct ctl *c = arg;

	if (strncmp(item->key, GC, strlen(GC)) == 0)
		return take_part(c->generations, item, e);
	return strncmp(item->key, DAMAGE, strlen(DAMAGE)) == 0 ? take_mark(&c->marks, item, e) : 0;
}

static int list_all(const struct repo *r, struct generations *l, struct absent *a, struct err *e)
{
	struct ctl c = { .generations = l, .marks = { .r = r, .a = a } };

	a->nplaces = 0; /* of a look before */
	return store_list(r->store, CTL, NULL, take_ctl, &c, e) < 0
	               ? err_wrap(e, "reading the state of the collection and the marks of damage")
	               : 0;
}

/* One look. marks: as for collection_state_and_marks(). */
static int look(const struct repo *r, struct collection_state *ret, struct absent *marks,
                struct err *e)
{
	CLEANUP(generations_clear) struct generations l = { 0 };
	struct collection_state s = { 0 };

	if ((marks ? list_all(r, &l, marks, e) : list_generations(r, &l, e)) < 0 ||
	    judge(r, &l, NULL, NULL, e) < 0)
		return -1;
	for (size_t i = 0; i < l.n; i++) {
		const struct generation *g = &l.v[i];

		if (!g->parts)
			continue;
		/* What comes after a generation that is not done cannot have begun. */
		if (g->n != s.done + 1)
			return err_set(e, ERR_CORRUPT,
			               "collection %llu has begun and %llu is not done: the store "
			               "lost or hides '%s%08llu/done'",
			               (unsigned long long)g->n, (unsigned long long)s.done + 1, GC,
			               (unsigned long long)s.done + 1);
		if (g->parts & 1U << COLLECTION_DONE) {
			s.done = g->n;
			if (g->parts & 1U << COLLECTION_FINALS)
				s.finals = g->n;
			s.done_live = g->parts & 1U << COLLECTION_LIVE;
		} else {
			s.open = g->n;
			s.open_parts = g->parts;
			s.open_received_ns = g->received_ns;
		}
	}
	*ret = s;
	return 0;
}

static int look_again(const struct repo *r, struct collection_state *ret, struct absent *marks,
                      struct err *e)
{
	for (unsigned try = 1;; try++) {
		struct err why = ERR_INIT;

		if (look(r, ret, marks, &why) == 0)
			return 0;
		/* A list takes its time: a collection may have come to its end behind its back. */
		if (why.class == ERR_CORRUPT && try < LOOKS_MAX)
			continue;
		*e = why;
		return -1;
	}
}

int collection_state(const struct repo *r, struct collection_state *ret, struct err *e)
{
	return look_again(r, ret, NULL, e);
}

int collection_state_and_marks(const struct repo *r, struct collection_state *ret,
                               struct absent *marks, struct err *e)
{
	return look_again(r, ret, marks, e);
}

static int drop_void(void *arg, const char *key, struct err *e)
{
	const struct repo *r = arg;

	return store_delete(r->store, key, e) < 0
	               ? err_wrap(e,
	                          "'%s' was put by a key that is revoked, and stands in the way "
	                          "of collections; somebody with the right to delete must remove "
	                          "it",
	                          key)
	               : 0;
}

int collection_drop_voids(const struct repo *r, struct err *e)
{
	CLEANUP(generations_clear) struct generations l = { 0 };

	if (!keys_any_revoked(r->keys))
		return 0;
	return list_generations(r, &l, e) < 0 ||
	                       judge(r, &l, drop_void, (void *)(uintptr_t)r, e) < 0
	               ? -1
	               : 0;
}

/* ---- lists ---- */

int collection_put(const struct repo *r, uint64_t n, enum collection_part part,
                   const struct collection_list *l, const json_t *what, struct err *e)
{
	CLEANUP(buf_clear) struct buf list = BUF_INIT(NOTE_LIST_MAX);
	char key[64];

	auto_json json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "schema", LIST_SCHEMA,
	                                "part", part_names[part], "generation", (json_int_t)n,
	                                "packs", (json_int_t)l->packs.n, "sessions",
	                                (json_int_t)l->sessions.n, "at_ns",
	                                (json_int_t)now_wall_ns());
	if (!o || (what && json_object_set(o, "what", (json_t *)(uintptr_t)what) < 0))
		return err_set(e, ERR_NOMEM, "no memory for the state of the collection");
	if (pack_list_encode(&l->packs, &list, e) < 0)
		return -1;
	for (size_t i = 0; i < l->sessions.n; i++)
		(void)buf_printf(&list, "%s\n", l->sessions.v[i]);
	collection_key(n, part, key);
	if (buf_check(&list, key, e) < 0)
		return -1;
	if (note_put_list(r, FORMAT_KIND_COLLECT, key, o, &list, e) < 0)
		return -1;
	act_object("%s", key);
	return 0;
}

static int lines_decode(struct session_names *l, const uint8_t *p, size_t n, struct err *e)
{
	char name[POINT_SESSION_LEN + 1];

	for (size_t i = 0; i < n; i++, p += sizeof(name)) {
		memcpy(name, p, POINT_SESSION_LEN);
		name[POINT_SESSION_LEN] = '\0';
		if (p[POINT_SESSION_LEN] != '\n' || !point_session_valid(name))
			return err_set(e, ERR_FORMAT, "line %zu is no name of a session", i);
		if (session_names_add(l, name, e) < 0)
			return -1;
	}
	return 0;
}

int collection_get(const struct repo *r, uint64_t n, enum collection_part part,
                   struct collection_list *ret, json_t **ret_what, struct err *e)
{
	CLEANUP(buf_clear) struct buf list = BUF_INIT(NOTE_LIST_MAX);
	CLEANUP(collection_list_clear) struct collection_list l = { 0 };
	auto_json json_t *o = NULL;
	char key[64];
	const char *text;
	uint64_t packs;
	uint64_t sessions;
	uint64_t generation;

	collection_key(n, part, key);
	if (note_get_list(r, FORMAT_KIND_COLLECT, key, &o, &list, NULL, e) < 0 ||
	    note_schema(o, key, LIST_SCHEMA, e) < 0 || json_get_str(o, key, "part", &text, e) < 0 ||
	    json_get_u64(o, key, "generation", &generation, e) < 0 ||
	    json_get_u64(o, key, "packs", &packs, e) < 0 ||
	    json_get_u64(o, key, "sessions", &sessions, e) < 0)
		return -1;
	if (generation != n || strcmp(text, part_names[part]) != 0)
		return err_set(e, ERR_CORRUPT, "'%s' is part of another collection", key);
	if (packs > NOTE_LIST_MAX / FORMAT_PACK_NAME_BYTES || sessions > SESSIONS_MAX ||
	    list.len != packs * FORMAT_PACK_NAME_BYTES + sessions * (POINT_SESSION_LEN + 1))
		return err_set(e, ERR_FORMAT, "'%s' does not add up", key);
	if (pack_list_decode(&l.packs, list.data, (size_t)packs, e) < 0 ||
	    lines_decode(&l.sessions, list.data ? list.data + packs * FORMAT_PACK_NAME_BYTES : NULL,
	                 (size_t)sessions, e) < 0)
		return err_wrap(e, "'%s'", key);
	pack_list_sort(&l.packs);
	session_names_sort(&l.sessions);
	if (ret_what)
		*ret_what = json_incref(json_object_get(o, "what"));
	*ret = l;
	l = (struct collection_list){ 0 };
	return 0;
}

/* ---- marks of damage: making and listing ---- */

int damage_put(const struct repo *r, const struct place *places, size_t n, struct err *e)
{
	CLEANUP(buf_clear) struct buf list = BUF_INIT(NOTE_LIST_MAX);
	char key[NOTE_KEY_MAX];

	if (n > PLACES_MAX)
		return err_set(e, ERR_TOO_BIG, "%zu damaged places are too many for one mark", n);
	auto_json json_t *o = json_pack("{s:s, s:I, s:I}", "schema", DAMAGE_SCHEMA, "places",
	                                (json_int_t)n, "at_ns", (json_int_t)now_wall_ns());
	for (size_t i = 0; i < n; i++) {
		(void)buf_u8(&list, places[i].pack.kind);
		(void)buf_put(&list, places[i].pack.id, sizeof(places[i].pack.id));
		(void)buf_u32(&list, places[i].off);
		(void)buf_put(&list, places[i].id, sizeof(places[i].id));
	}
	if (buf_check(&list, "a mark of damage", e) < 0)
		return -1;
	note_new_key("ctl/damage", key);
	if (note_put_list(r, FORMAT_KIND_DAMAGE, key, o, &list, e) < 0)
		return err_wrap(e, "marking what is damaged");
	return 0;
}

int damage_load(const struct repo *r, struct absent *a,
                int (*each)(void *arg, const char *key, const struct place *places, size_t n,
                            struct err *e),
                void *arg, struct err *e)
{
	struct marks m = { .r = r, .a = a, .each = each, .arg = arg };

	if (store_list(r->store, DAMAGE, NULL, take_mark, &m, e) < 0)
		return err_wrap(e, "reading the marks of damage");
	return 0;
}
