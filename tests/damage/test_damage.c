/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The damage campaign (docs/RELIABILITY.md). Every object of a repository is
 * flipped, cut, extended, zeroed, deleted, exchanged and replayed, and
 * tests/harness/damage_judge.h says what must hold then. A change that no check
 * tells of must be on the list below, of what is harmless by design or can only
 * be noticed from outside; and what is on the list must not be told, so that
 * the list stays true.
 *
 *   TEST_SEED=N         the seed; else 1: other ones are for `make torture-damage`
 *   DAMAGE_ROUNDS=N     so many repositories, each with every case; else a part of the cases of
 *                       one: some 1,000, and 350 when TEST_SIZE is small
 *   DAMAGE_CASE=O:H:A   only this one, as it was printed
 *   DAMAGE_TABLE=FILE   where the table is written to, in Markdown
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/num.h"
#include "common/secret.h"
#include "tests/harness/damage_judge.h"
#include "tests/harness/damage_mutate.h"
#include "tests/harness/harness.h"
#include "tests/harness/storm_store.h"

#define TRIES_MAX 20   /* worlds, until one has every kind of object */
#define SMALL_CASES 70 /* and one of each kind and change */
#define FULL_CASES 700
#define BOTH_LEGS (DAMAGE_LEG_COLLECT | DAMAGE_LEG_REPAIR)

/* ---- what no check tells of ---- */

enum effect {
	EFFECT_DELETED,
	EFFECT_REPLACED, /* other bytes, as many */
	EFFECT_RESIZED,  /* more or fewer */
	EFFECT_ABORTED,  /* a commit has the length of an abort, and is none */
	EFFECT_PADDING   /* a bit of what stands for nothing */
};

enum expected {
	TOLD,
	HARMLESS,
	ELSEWHERE /* what is lost shows only to who remembers it; tests/damage/test_rollback.c */
};

static enum expected deleted(enum damage_kind kind)
{
	switch (kind) {
	case DAMAGE_EXPIRED:     /* of an expired point any part may be gone */
	case DAMAGE_MARKER:      /* a collection takes it away */
	case DAMAGE_MARKER_OPEN: /* the session is fenced at once, and not after six hours */
	case DAMAGE_MERGED:      /* collections merge again what nobody's segments say */
	case DAMAGE_BEAT:        /* the same, later */
	case DAMAGE_INDEX_OPEN:  /* the session stores again what it does not find */
	case DAMAGE_CONDEMNED:   /* it is about to be deleted */
	case DAMAGE_MARKED:      /* the same */
	case DAMAGE_CONDEMN:     /* the generation begins anew */
	case DAMAGE_SESSIONS:    /* they are listed again */
	case DAMAGE_FINALS:      /* each `final` says the same */
	case DAMAGE_MARK:        /* another repair finds it out again */
	case DAMAGE_RECORD:      /* the packs count as verified earlier, or never */
	case DAMAGE_RESEAL:      /* 'key reseal' writes it again; who needs it is told */
	case DAMAGE_NEWEST_TOMB: /* the point lives again */
	case DAMAGE_NEWEST_HOLD: /* a release: the hold that it made void holds again */
		return HARMLESS;
	case DAMAGE_HEAD:  /* nothing follows it: to the store's reader it never was */
	case DAMAGE_ABORT: /* the session may commit after all; its point is judged then */
	case DAMAGE_LIVE:  /* a guard of the next collection is gone */
	case DAMAGE_PIN:   /* the point that it keeps is an expired one */
		return ELSEWHERE;
	default:
		return TOLD;
	}
}

static enum expected expect(enum damage_kind kind, enum effect effect)
{
	if (effect == EFFECT_PADDING)
		return HARMLESS;
	if (effect == EFFECT_DELETED)
		return deleted(kind);
	/* What a mark has told is not told again; what the index says of the length is. */
	return (kind == DAMAGE_EXPIRED && effect != EFFECT_ABORTED) ||
	                       (kind == DAMAGE_MARKED && effect == EFFECT_REPLACED)
	               ? HARMLESS
	               : TOLD;
}

/* ---- the campaign ---- */

struct cell {
	unsigned cases, told, harmless, elsewhere, silent;
};

struct campaign {
	struct damage_world w, foreign;
	uint64_t seed;
	size_t *order; /* of objects: by kind, and by time of receipt */
	struct cell cells[DAMAGE_KINDS][DAMAGE_HOWS];
	struct cell all;
	unsigned followed; /* cases with all legs */
	uint64_t first_seed;
};

static struct campaign campaign;

static uint64_t env_u64(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	struct err e = ERR_INIT;
	uint64_t n;

	if (!text || !*text)
		return otherwise;
	if (num_u64(name, text, 0, UINT64_MAX, &n, &e) < 0)
		harness_die("%s", e.msg);
	return n;
}

static int by_kind(const void *va, const void *vb)
{
	const struct damage_world *w = &campaign.w;
	const struct damage_object *a = &w->now->v[*(const size_t *)va];
	const struct damage_object *b = &w->now->v[*(const size_t *)vb];
	int d = (int)damage_world_kind(w, a->key) - (int)damage_world_kind(w, b->key);

	if (d == 0)
		d = a->key[0] - b->key[0];
	if (d == 0)
		d = (a->received_ns > b->received_ns) - (a->received_ns < b->received_ns);
	return d ? d : strcmp(a->key, b->key);
}

/* A kind of which no object is there; DAMAGE_KINDS: none. */
static enum damage_kind missing_kind(const struct damage_world *w)
{
	unsigned n[DAMAGE_KINDS] = { 0 };
	unsigned kind = 0;

	for (size_t i = 0; i < w->now->n; i++)
		n[damage_world_kind(w, w->now->v[i].key)]++;
	while (kind < DAMAGE_KINDS && n[kind] > 0)
		kind++;
	return kind;
}

/*
 * Chunks go into one of two packs by chance, so that now and then a collection has nothing to
 * merge: then there is another one.
 */
static void make_world(struct campaign *c, uint64_t seed)
{
	c->seed = seed;
	damage_world_make(&c->w, seed);
	for (unsigned try = 1; try < TRIES_MAX && missing_kind(&c->w) != DAMAGE_KINDS; try++) {
		damage_world_clear(&c->w);
		damage_world_make(&c->w, seed);
	}
	damage_world_make(&c->foreign, seed + 1);
	c->order = calloc(c->w.now->n, sizeof(*c->order));
	if (!c->order)
		harness_die("no memory for the campaign");
	for (size_t i = 0; i < c->w.now->n; i++)
		c->order[i] = i;
	qsort(c->order, c->w.now->n, sizeof(*c->order), by_kind);
}

static void clear_world(struct campaign *c)
{
	damage_world_clear(&c->w);
	damage_world_clear(&c->foreign);
	free(c->order);
	c->order = NULL;
}

/* What is to be told of an object, which was changed in s. */
static enum expected expected_of(const struct campaign *c, const struct damage_store *s,
                                 const char *key)
{
	const struct damage_object *was = damage_store_find(c->w.now, key);
	const struct damage_object *is = damage_store_find(s, key);
	enum damage_kind kind = damage_world_kind(&c->w, key);
	uint64_t start;
	uint64_t end;
	size_t first = 0;

	if (!is)
		return expect(kind, EFFECT_DELETED);
	if (strncmp(key, "commit/", 7) == 0 && is->bytes->n == 512)
		return expect(kind, EFFECT_ABORTED);
	if (is->bytes->n != was->bytes->n)
		return expect(kind, EFFECT_RESIZED);
	while (first < is->bytes->n && is->bytes->data[first] == was->bytes->data[first])
		first++;
	if (damage_world_padding(&c->w, key, &start, &end) && first >= start && first < end &&
	    memcmp(is->bytes->data + end, was->bytes->data + end, is->bytes->n - end) == 0)
		return expect(kind, EFFECT_PADDING);
	return expect(kind, EFFECT_REPLACED);
}

static void count(struct cell *cell, enum expected is, bool silent)
{
	cell->cases++;
	cell->told += is == TOLD;
	cell->harmless += is == HARMLESS;
	cell->elsewhere += is == ELSEWHERE;
	cell->silent += silent;
}

/* False: there is no such case. */
static bool run_case(struct campaign *c, size_t number, enum damage_how how, uint64_t arg,
                     unsigned legs)
{
	const struct damage_case x = { .object = c->order[number], .how = how, .arg = arg };
	const struct damage_object *o = &c->w.now->v[x.object];
	auto_damage_store struct damage_store *s = damage_store_copy(c->w.now);
	enum damage_kind kind = damage_world_kind(&c->w, o->key);
	struct damage_verdict v;
	struct damage_done done;

	if (!damage_apply(&c->w, &c->foreign, &x, s, &done))
		return false;
	c->followed += legs != 0;
	enum expected expected = expected_of(c, s, o->key);
	/* Of two that were exchanged it is enough when one is told. */
	bool swapped = how == DAMAGE_SWAP_SAME || how == DAMAGE_SWAP_OTHER;
	if (swapped && expected_of(c, s, done.other) == TOLD)
		expected = TOLD;
	/* What is missing or too short shows in a list: a collection takes the other place. */
	bool twice = (kind == DAMAGE_SPARE && how != DAMAGE_CUT && how != DAMAGE_DELETE) ||
	             (swapped && done.with == DAMAGE_SPARE);
	legs |= (expected == ELSEWHERE ? DAMAGE_UNSEEN : 0) | (twice ? DAMAGE_TWICE : 0);
	damage_judge(&c->w, s, legs, &v);
	bool silent = v.silent > 0 || v.told != (expected == TOLD);
	count(&c->cells[kind][how], v.told ? TOLD : expected, silent);
	count(&c->all, v.told ? TOLD : expected, silent);
	if (silent)
		print_error("TEST_SEED=%" PRIu64 " DAMAGE_CASE=%zu:%d:%" PRIu64 ": %s, %s %s\n"
		            "  '%s'\n  the check %s, the list says that it does%s\n"
		            "  the collection %s %s\n%s",
		            c->seed, number, (int)how, arg, damage_kind_names[kind],
		            damage_how_names[how], done.text, o->key,
		            v.told ? v.first : "tells nothing", expected == TOLD ? "" : " not",
		            v.collects ? "works" : "refuses:", v.refuses, v.silences);
	return true;
}

/* Each case once; wanted: about so many (0: all), with the first of each kind and change. */
static void run_world(struct campaign *c, uint64_t wanted)
{
	uint64_t all = 0;
	uint64_t at = 0;

	for (unsigned how = 0; how < DAMAGE_HOWS; how++)
		all += (uint64_t)damage_args(how) * c->w.now->n;
	for (size_t i = 0; i < c->w.now->n; i++) {
		enum damage_kind kind = damage_world_kind(&c->w, c->w.now->v[c->order[i]].key);

		for (unsigned how = 0; how < DAMAGE_HOWS; how++) {
			bool first = c->cells[kind][how].cases == 0;

			for (unsigned n = damage_args(how), k = 0; k < n; k++) {
				uint64_t draw = storm_mix(c->seed ^ storm_mix(at++));
				/* What is at random differs from seed to seed. */
				uint64_t arg = k + 8 < n || how != DAMAGE_FLIP ? k : n + draw;
				bool chosen = wanted == 0 || wanted >= all || draw % all < wanted ||
				              (first && k == 0);

				/* With all that follows for every tenth of them. */
				bool legs = draw / all % 10 == 0;
				if (chosen)
					(void)run_case(c, i, how, arg, legs ? BOTH_LEGS : 0);
			}
		}
	}
}

/* ---- the table ---- */

static void print_table(const struct campaign *c, FILE *to)
{
	(void)fprintf(to, "| object |");
	for (unsigned how = 0; how < DAMAGE_HOWS; how++)
		(void)fprintf(to, " %s |", damage_how_names[how]);
	(void)fprintf(to, "\n|---|");
	for (unsigned how = 0; how < DAMAGE_HOWS; how++)
		(void)fprintf(to, "---|");
	for (unsigned kind = 0; kind < DAMAGE_KINDS; kind++) {
		(void)fprintf(to, "\n| %s |", damage_kind_names[kind]);
		for (unsigned how = 0; how < DAMAGE_HOWS; how++) {
			const struct cell *x = &c->cells[kind][how];

			if (x->cases == 0)
				(void)fprintf(to, " – |");
			else if (x->told == x->cases)
				(void)fprintf(to, " %u |", x->told);
			else if (x->told == 0)
				(void)fprintf(to, " %u%s |", x->cases, x->elsewhere ? " m" : " h");
			else
				(void)fprintf(to, " %u, %u h |", x->told, x->harmless);
		}
	}
	(void)fprintf(to, "\n");
}

static void print_totals(const struct campaign *c, FILE *to)
{
	(void)fprintf(to,
	              "TEST_SEED=%" PRIu64 ": %u cases, %u with all that follows: %u told, %u "
	              "harmless by design, %u seen elsewhere, %u silent\n",
	              c->first_seed, c->all.cases, c->followed, c->all.told, c->all.harmless,
	              c->all.elsewhere, c->all.silent);
}

static void tell(const struct campaign *c)
{
	const char *path = getenv("DAMAGE_TABLE");

	print_totals(c, stdout);
	if (!path || !*path)
		return;
	FILE *f = fopen(path, "we");
	if (!f)
		harness_die("'%s' cannot be written", path);
	print_table(c, f);
	print_totals(c, f);
	if (fclose(f) != 0)
		harness_die("'%s' cannot be written", path);
}

/* ---- the tests ---- */

static void test_damage__world_is_whole_before(void **state)
{
	struct damage_verdict v;

	(void)state;
	damage_judge(&campaign.w, campaign.w.now, BOTH_LEGS, &v);
	assert_string_equal(v.silences, "");
	assert_string_equal(v.first, "");
	assert_string_equal(v.refuses, "");
	assert_int_equal(v.lost, 0);
	assert_false(v.told);
	assert_true(v.collects);
}

static void test_damage__world_has_every_kind_of_object(void **state)
{
	enum damage_kind kind = missing_kind(&campaign.w);

	(void)state;
	if (kind != DAMAGE_KINDS)
		fail_msg("there is no '%s'", damage_kind_names[kind]);
}

static void test_damage__is_told_or_harmless_and_never_silent(void **state)
{
	const char *one = getenv("DAMAGE_CASE");
	const char *size = getenv("TEST_SIZE");
	uint64_t rounds = env_u64("DAMAGE_ROUNDS", 0);
	size_t number;
	int how;
	uint64_t arg;

	(void)state;
	if (one && *one) {
		if (sscanf(one, "%zu:%d:%" SCNu64, &number, &how, &arg) != 3 ||
		    number >= campaign.w.now->n || how < 0 || how >= DAMAGE_HOWS)
			fail_msg("DAMAGE_CASE=%s is no case", one);
		(void)run_case(&campaign, number, (enum damage_how)how, arg, BOTH_LEGS);
	} else if (rounds == 0) {
		run_world(&campaign, size && strcmp(size, "small") == 0 ? SMALL_CASES : FULL_CASES);
	} else {
		run_world(&campaign, 0);
		for (uint64_t i = 1; i < rounds; i++) {
			clear_world(&campaign);
			make_world(&campaign, campaign.seed + 2);
			run_world(&campaign, 0);
		}
	}
	tell(&campaign);
	assert_int_equal(campaign.all.silent, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damage__world_is_whole_before),
		cmocka_unit_test(test_damage__world_has_every_kind_of_object),
		cmocka_unit_test(test_damage__is_told_or_harmless_and_never_silent),
	};
	struct err e = ERR_INIT;

	if (secret_init(&e) < 0)
		harness_die("%s", e.msg);
	make_world(&campaign, env_u64("TEST_SEED", 1));
	campaign.first_seed = campaign.seed;
	(void)printf("TEST_SEED=%" PRIu64 "\n", campaign.seed);
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	clear_world(&campaign);
	return rc;
}
