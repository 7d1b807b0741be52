/* SPDX-License-Identifier: Apache-2.0 */
/* See checked.h. Notes with a list of packs; ages are merged by sorting. */
#include "repo/checked.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/json.h"
#include "common/runs.h"
#include "common/secret.h"
#include "repo/refset.h"

#define PREFIX "check/"
#define SCHEMA "aksdr/checked/v1"
#define LEVEL_MAX 9

void checked_new_run(char ret[33])
{
	uint8_t random[16];

	secret_random(random, sizeof(random));
	hex_encode(ret, random, sizeof(random));
}

int checked_put(const struct repo *r, const struct checked *x, struct pack_list *packs,
                struct err *e)
{
	CLEANUP(buf_clear) struct buf list = BUF_INIT(NOTE_LIST_MAX);
	struct note_actor by;
	char key[NOTE_KEY_MAX];

	note_actor(&by);
	pack_list_sort(packs);
	auto_json json_t *o = json_pack(
		"{s:s, s:s, s:i, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
		"s:s, s:s}",
		"schema", SCHEMA, "run", x->run, "level", (int)x->level, "ended", x->ended, "all",
		x->all, "started_ns", (json_int_t)x->started_ns, "finished_ns",
		(json_int_t)x->finished_ns, "points", (json_int_t)x->points, "objects",
		(json_int_t)x->objects, "bytes_read", (json_int_t)x->bytes_read, "problems",
		(json_int_t)x->problems, "hurt_points", (json_int_t)x->hurt_points, "hurt_entries",
		(json_int_t)x->hurt_entries, "packs_verified", (json_int_t)x->packs_verified,
		"bytes_verified", (json_int_t)x->bytes_verified, "packs", (json_int_t)packs->n,
		"user", by.user, "host", by.host);
	if (!o || (x->damaged && json_object_set_new(o, "damaged", json_true()) < 0))
		return err_set(e, ERR_NOMEM, "no memory for the record of a check");
	if (packs->n > CHECKED_PACKS_MAX)
		return err_set(e, ERR_BUG, "%zu packs are too many for one record", packs->n);
	if (pack_list_encode(packs, &list, e) < 0)
		return -1;
	note_new_key("check", key);
	if (note_put_list(r, FORMAT_KIND_CHECKED, key, o, &list, e) < 0)
		return err_wrap(e, "putting the record of a check");
	return 0;
}

/* ---- reading ---- */

static int decode(const json_t *o, const char *what, struct checked *x, struct err *e)
{
	uint64_t level;
	const struct {
		const char *name;
		uint64_t *to;
	} numbers[] = {
		{ "level", &level },
		{ "points", &x->points },
		{ "objects", &x->objects },
		{ "bytes_read", &x->bytes_read },
		{ "problems", &x->problems },
		{ "hurt_points", &x->hurt_points },
		{ "hurt_entries", &x->hurt_entries },
		{ "packs_verified", &x->packs_verified },
		{ "bytes_verified", &x->bytes_verified },
		{ "packs", &x->packs },
	};
	uint8_t run[16];

	if (note_schema(o, what, SCHEMA, e) < 0 ||
	    json_get_hex(o, what, "run", run, sizeof(run), e) < 0 ||
	    json_get_bool(o, what, "ended", &x->ended, e) < 0 ||
	    json_get_bool(o, what, "all", &x->all, e) < 0 ||
	    (json_object_get(o, "damaged") &&
	     json_get_bool(o, what, "damaged", &x->damaged, e) < 0) ||
	    json_get_i64(o, what, "started_ns", &x->started_ns, e) < 0 ||
	    json_get_i64(o, what, "finished_ns", &x->finished_ns, e) < 0 ||
	    json_get_text(o, what, "user", x->by.user, sizeof(x->by.user), e) < 0 ||
	    json_get_text(o, what, "host", x->by.host, sizeof(x->by.host), e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		if (json_get_u64(o, what, numbers[i].name, numbers[i].to, e) < 0)
			return -1;
	}
	if (level > LEVEL_MAX || x->packs > CHECKED_PACKS_MAX)
		return err_set(e, ERR_FORMAT, "%s: level %llu, %llu packs", what,
		               (unsigned long long)level, (unsigned long long)x->packs);
	x->level = (unsigned)level;
	hex_encode(x->run, run, sizeof(run));
	return 0;
}

struct reading {
	const struct repo *r;
	int (*want)(void *arg, const char *key, struct err *e);
	int (*each)(void *arg, const struct checked *record, const struct pack_list *packs,
	            struct err *e);
	void *arg;
};

static int read_record(const struct repo *r, const char *key, struct checked *x,
                       struct pack_list *packs, struct err *e)
{
	CLEANUP(buf_clear) struct buf list = BUF_INIT(CHECKED_PACKS_MAX * FORMAT_PACK_NAME_BYTES);
	auto_json json_t *o = NULL;

	if (note_get_list(r, FORMAT_KIND_CHECKED, key, &o, &list, x->signer, e) < 0 ||
	    decode(o, key, x, e) < 0)
		return -1;
	if (list.len != x->packs * FORMAT_PACK_NAME_BYTES)
		return err_set(e, ERR_FORMAT, "'%s' does not add up", key);
	return pack_list_decode(packs, list.data, (size_t)x->packs, e);
}

static int take_record(void *arg, const struct store_item *item, struct err *e)
{
	CLEANUP(pack_list_clear) struct pack_list packs = { 0 };
	const struct reading *x = arg;
	struct checked record = { .received_ns = item->st.received_ns };
	struct err why = ERR_INIT;

	if (cancel_check(x->r->cancel, e) < 0)
		return -1;
	if (!note_name_valid(item->key + strlen(PREFIX)))
		return 0;
	int wanted = x->want ? x->want(x->arg, item->key, e) : 1;
	if (wanted <= 0)
		return wanted;
	(void)snprintf(record.key, sizeof(record.key), "%.*s", NOTE_KEY_MAX - 1, item->key);
	if (read_record(x->r, item->key, &record, &packs, &why) < 0) {
		if (note_is_bad(&why))
			return 0;
		*e = why;
		return -1;
	}
	return x->each(x->arg, &record, &packs, e);
}

int checked_each(const struct repo *r, int (*want)(void *arg, const char *key, struct err *e),
                 int (*each)(void *arg, const struct checked *record, const struct pack_list *packs,
                             struct err *e),
                 void *arg, struct err *e)
{
	struct reading x = { .r = r, .want = want, .each = each, .arg = arg };

	if (store_list(r->store, PREFIX, NULL, take_record, &x, e) < 0)
		return err_wrap(e, "reading the records of checks");
	return 0;
}

/* ---- ages ---- */

static int age_cmp(const void *va, const void *vb)
{
	const struct checked_age *a = va;
	const struct checked_age *b = vb;

	return refset_pack_cmp(a->pack.kind, a->pack.id, b->pack.kind, b->pack.id);
}

/* The newest counts; of two of the same time the one that says damaged. */
static void age_join(void *kept, const void *same)
{
	struct checked_age *k = kept;
	const struct checked_age *s = same;
	int64_t tk = k->at_ns < 0 ? -k->at_ns : k->at_ns;
	int64_t ts = s->at_ns < 0 ? -s->at_ns : s->at_ns;

	if (ts > tk || (ts == tk && s->at_ns < k->at_ns))
		k->at_ns = s->at_ns;
}

static const struct runs_type age_type = {
	.size = sizeof(struct checked_age),
	.cmp = age_cmp,
	.join = age_join,
};

struct gathering {
	const char *scratch;
	unsigned level;
	struct checked_ages *a;
	struct runs *runs;
};

static int gather(void *arg, const struct checked *x, const struct pack_list *packs, struct err *e)
{
	struct gathering *g = arg;
	struct checked_ages *a = g->a;

	if (x->level < g->level && !x->damaged)
		return 0;
	if (x->all && !x->damaged && x->started_ns >= a->open_started_ns) {
		(void)snprintf(a->open_run, sizeof(a->open_run), "%s", x->run);
		a->open_started_ns = x->started_ns;
		if (x->ended)
			a->open_run[0] = '\0';
	}
	for (size_t i = 0; i < packs->n; i++) {
		const struct checked_age age = {
			.pack = packs->v[i],
			.at_ns = x->damaged ? -x->received_ns : x->received_ns,
		};

		if (runs_add(g->runs, &age, 1, e) < 0)
			return -1;
	}
	return 0;
}

/* In order, each pack once. */
static int settle(struct gathering *g, struct err *e)
{
	struct checked_ages *a = g->a;
	const struct checked_age *age;

	if (runs_rewind(g->runs, e) < 0)
		return -1;
	while ((age = runs_next(g->runs))) {
		void *v = a->v;

		if (fd_grow_scratch(g->scratch, &v, a->n, &a->cap, sizeof(*a->v)) < 0)
			return err_sys(e, errno, "making room for the ages of packs");
		a->v = v;
		a->v[a->n++] = *age;
	}
	return 0;
}

int checked_ages(const struct repo *r, unsigned level, struct checked_ages *ret, struct err *e)
{
	CLEANUP(checked_ages_clear) struct checked_ages a = { 0 };
	const char *scratch = r->state[0] ? r->state : NULL;
	auto_runs struct runs *runs = runs_new(&age_type, scratch);
	struct gathering g = { .scratch = scratch, .level = level, .a = &a, .runs = runs };

	if (!runs)
		return err_set(e, ERR_NOMEM, "no memory for the ages of packs");
	if (checked_each(r, NULL, gather, &g, e) < 0 || settle(&g, e) < 0)
		return -1;
	*ret = a;
	a = (struct checked_ages){ 0 };
	return 0;
}

void checked_ages_clear(struct checked_ages *a)
{
	if (a->v)
		(void)munmap(a->v, a->cap * sizeof(*a->v));
	*a = (struct checked_ages){ 0 };
}

int64_t checked_age_of(const struct checked_ages *a, uint8_t kind,
                       const uint8_t id[FORMAT_PACK_ID_BYTES])
{
	size_t lo = 0;
	size_t hi = a->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct checked_age *x = &a->v[mid];
		int d = refset_pack_cmp(x->pack.kind, x->pack.id, kind, id);

		if (d == 0)
			return x->at_ns < 0 ? 0 : x->at_ns;
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return 0;
}
