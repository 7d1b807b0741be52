/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists of a collection, marks of damage, records of checks: JSON with a
 * list of bytes behind it. The first byte says what: 0 to 5: that part of
 * collection 1; 6: a mark of damage; 7: a record. The JSON ends at the first
 * NUL and the list follows it; with bit 3 the input is the whole plain text,
 * with bit 4 the object itself.
 */
#include "catalog/row.h"
#include "repo/checked.h"
#include "repo/collection.h"
#include "repo/note.h"
#include "repo/view.h"
#include "tests/fuzz/fuzz_catalog.h"

#define DAMAGE 6
#define DAMAGE_KEY "ctl/damage/2026-11-22/" FUZZ_RANDOM
#define CHECKED 7
#define CHECKED_KEY "check/2026-11-22/" FUZZ_RANDOM

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

/* A record that was read, and its packs. */
struct read_record {
	struct checked x;
	struct pack_list packs;
	unsigned n;
};

static int take_record(void *arg, const struct checked *x, const struct pack_list *packs,
                       struct err *e)
{
	struct read_record *r = arg;

	r->n++;
	r->x = *x;
	holds(x->packs == packs->n && packs->n <= CHECKED_PACKS_MAX && strlen(x->run) == 32);
	for (size_t i = 0; i < packs->n; i++)
		holds(pack_list_add(&r->packs, packs->v[i].kind, packs->v[i].id, e) == 0);
	return 0;
}

/* A row that cannot be would end every sync there. */
static void into_catalog(const struct checked *x)
{
	static struct catalog *c;
	CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };
	struct err e = ERR_INIT;

	if (!c)
		c = fuzz_catalog_new("catalog.db");
	works(catalog_tx_begin(&tx, c, &e));
	works(row_add_record(c, x, &e));
}

static void record(const struct repo *r)
{
	struct read_record one = { .n = 0 };
	struct read_record two = { .n = 0 };
	CLEANUP(checked_ages_clear) struct checked_ages ages = { 0 };
	struct err e = ERR_INIT;

	works(checked_each(r, NULL, take_record, &one, &e));
	works(checked_ages(r, 0, &ages, &e));
	holds(one.n <= 1 && ages.n <= one.packs.n);
	for (size_t i = 0; i < one.packs.n; i++)
		holds(checked_age_of(&ages, one.packs.v[i].kind, one.packs.v[i].id) ==
		      one.x.received_ns);
	if (one.n == 1) {
		into_catalog(&one.x);
		fuzz_empty(r->store);
		works(checked_put(r, &one.x, &one.packs, &e));
		works(checked_each(r, NULL, take_record, &two, &e));
		holds(two.n == 1 && two.packs.n == one.packs.n);
		holds(strcmp(one.x.run, two.x.run) == 0 && one.x.level == two.x.level);
		holds(one.x.ended == two.x.ended && one.x.all == two.x.all);
		holds(one.x.started_ns == two.x.started_ns && one.x.problems == two.x.problems);
	}
	pack_list_clear(&one.packs);
	pack_list_clear(&two.packs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct repo r;
	char key[64];

	if (!r.store)
		r = fuzz_repo_new();
	if (size == 0 || size > 64 * KIB)
		return 0;
	unsigned what = data[0] & 7;
	if (what == DAMAGE) {
		put(&r, data[0], FORMAT_KIND_DAMAGE, DAMAGE_KEY, data + 1, size - 1);
		damage(&r);
	} else if (what == CHECKED) {
		put(&r, data[0], FORMAT_KIND_CHECKED, CHECKED_KEY, data + 1, size - 1);
		record(&r);
	} else {
		collection_key(1, (enum collection_part)what, key);
		put(&r, data[0], FORMAT_KIND_COLLECT, key, data + 1, size - 1);
		list(&r, (enum collection_part)what);
	}
	fuzz_empty(r.store);
	return 0;
}
