/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists of a collection, and marks of damage: JSON with a list of bytes
 * behind it. The first byte says what: 0 to 5: that part of collection 1; 6: a
 * mark of damage. The JSON ends at the first NUL and the list follows it; with
 * bit 3 the input is the whole plain text, with bit 4 the object itself.
 */
#include "repo/collection.h"
#include "repo/note.h"
#include "repo/view.h"
#include "tests/fuzz/fuzz_repo.h"

#define DAMAGE 6
#define DAMAGE_KEY "ctl/damage/2026-11-22/" FUZZ_RANDOM

static void put(const struct repo *r, uint8_t how, char kind, const char *key, const uint8_t *p,
                size_t n)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(n + 4);
	const uint8_t *json;
	size_t len = 0;

	if (how & 16) {
		fuzz_put(r, key, p, n);
	} else if (how & 8) {
		fuzz_put_sealed(r, kind, key, p, n);
	} else {
		(void)fuzz_piece(&p, &n, 0, &json, &len);
		(void)buf_u32(&b, (uint32_t)len);
		(void)(len > 0 && buf_put(&b, json, len));
		(void)(n > 0 && buf_put(&b, p, n));
		holds(!b.failed);
		fuzz_put_sealed(r, kind, key, b.data, b.len);
	}
}

static void check_list(const struct collection_list *l)
{
	for (size_t i = 0; i < l->packs.n; i++) {
		holds(l->packs.v[i].kind <= CHUNK_NODE);
		holds(pack_list_has(&l->packs, l->packs.v[i].kind, l->packs.v[i].id));
	}
	for (size_t i = 0; i < l->sessions.n; i++) {
		holds(point_session_valid(l->sessions.v[i]));
		holds(i == 0 || strcmp(l->sessions.v[i - 1], l->sessions.v[i]) < 0);
		holds(session_names_has(&l->sessions, l->sessions.v[i]));
	}
}

static void list(const struct repo *r, enum collection_part part)
{
	CLEANUP(collection_list_clear) struct collection_list l = { 0 };
	CLEANUP(collection_list_clear) struct collection_list again = { 0 };
	CLEANUP(view_clear) struct view view = { 0 };
	json_t *what = NULL;
	json_t *same = NULL;
	struct collection_state s;
	struct err e = ERR_INIT;

	works(collection_state(r, &s, &e));
	holds(part == COLLECTION_DONE ? s.done == 1 && s.open == 0
	                              : s.done == 0 && s.open == 1 && s.open_parts == 1U << part);
	int opens = collection_get(r, 1, part, &l, &what, &e);
	if (opens < 0)
		fuzz_refused(&e, FUZZ_BAD);
	e = ERR_INIT;
	if (view_load(r, &view, &e) < 0)
		fuzz_refused(&e, FUZZ_CLASS(ERR_CORRUPT));
	if (part == COLLECTION_CONDEMN || part == COLLECTION_FINAL)
		holds((e.class == ERR_NONE) == (opens == 0));
	if (opens < 0) {
		holds(l.packs.n == 0 && l.sessions.n == 0 && !what);
		return;
	}
	check_list(&l);
	fuzz_empty(r->store);
	works(collection_put(r, 1, part, &l, what, &e));
	works(collection_get(r, 1, part, &again, &same, &e));
	holds(json_equal(what, same) || (!what && !same));
	holds(l.packs.n == again.packs.n && l.sessions.n == again.sessions.n);
	for (size_t i = 0; i < l.packs.n; i++)
		holds(pack_list_has(&again.packs, l.packs.v[i].kind, l.packs.v[i].id));
	for (size_t i = 0; i < l.sessions.n; i++)
		holds(strcmp(l.sessions.v[i], again.sessions.v[i]) == 0);
	json_decref(what);
	json_decref(same);
}

struct told {
	unsigned marks;
	size_t n;
};

static int each(void *arg, const char *key, const struct place *places, size_t n, struct err *e)
{
	struct told *t = arg;

	(void)e;
	t->marks++;
	t->n = n;
	holds(strcmp(key, DAMAGE_KEY) == 0);
	for (size_t i = 0; i < n; i++)
		holds(places[i].pack.kind <= CHUNK_NODE);
	return 0;
}

static void damage(const struct repo *r)
{
	CLEANUP(absent_clear) struct absent a = { 0 };
	CLEANUP(absent_clear) struct absent b = { 0 };
	struct told t = { 0 };
	struct err e = ERR_INIT;

	holds(damage_load(r, &a, each, &t, &e) == 0 && t.marks <= 1 && t.n == a.nplaces);
	if (a.nplaces == 0)
		return;
	fuzz_empty(r->store);
	works(damage_put(r, a.places, a.nplaces, &e));
	holds(damage_load(r, &b, NULL, NULL, &e) == 0 && b.nplaces == a.nplaces);
	absent_sort(&a);
	absent_sort(&b);
	holds(a.nplaces == b.nplaces);
	for (size_t i = 0; i < a.nplaces; i++) {
		struct chunk_ref ref = { .kind = a.places[i].pack.kind, .off = a.places[i].off };

		memcpy(ref.pack, a.places[i].pack.id, sizeof(ref.pack));
		memcpy(ref.id, a.places[i].id, sizeof(ref.id));
		holds(absent_has(&b, &ref));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct repo r;
	char key[64];

	if (!r.store)
		r = fuzz_repo_new();
	if (size == 0 || size > 64 * KIB || (data[0] & 7) > DAMAGE)
		return 0;
	if ((data[0] & 7) == DAMAGE) {
		put(&r, data[0], FORMAT_KIND_DAMAGE, DAMAGE_KEY, data + 1, size - 1);
		damage(&r);
	} else {
		enum collection_part part = (enum collection_part)(data[0] & 7);

		collection_key(1, part, key);
		put(&r, data[0], FORMAT_KIND_COLLECT, key, data + 1, size - 1);
		list(&r, part);
	}
	fuzz_empty(r.store);
	return 0;
}
