/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every kind of object is flipped, cut, extended, zeroed, deleted, exchanged
 * and replayed, and tests/harness/damage_judge.h says what must hold then.
 * What no check tells must be in the list of what is harmless by design, and
 * nothing else may be in it.
 *
 *   TEST_SEED=N         the seed; else a new one, which is printed
 *   DAMAGE_ROUNDS=N     so many cases for each object and change; else 1, and a part of them
 *                       when TEST_SIZE is small
 *   DAMAGE_CASE=O:H:A   one case, as it was printed
 *   DAMAGE_TABLE=FILE   the table is written there, in Markdown
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

struct cell {
	unsigned cases, told, harmless, silent;
};

struct campaign {
	struct damage_world w, foreign;
	uint64_t seed;
	struct cell cells[DAMAGE_KINDS][DAMAGE_HOWS];
	unsigned cases, silent;
	size_t *order; /* objects by kind and time of receipt, so that their numbers say something */
};

static const struct damage_world *sorting;

static int by_kind(const void *va, const void *vb)
{
	const struct damage_object *a = &sorting->now->v[*(const size_t *)va];
	const struct damage_object *b = &sorting->now->v[*(const size_t *)vb];
	int d = (int)damage_world_kind(sorting, a->key) - (int)damage_world_kind(sorting, b->key);

	if (d == 0)
		d = a->key[0] - b->key[0];
	if (d == 0)
		d = (a->received_ns > b->received_ns) - (a->received_ns < b->received_ns);
	return d ? d : strcmp(a->key, b->key);
}

static void run_case(struct campaign *c, size_t number, enum damage_how how, uint64_t arg,
                     unsigned legs)
{
	const struct damage_case x = { .object = c->order[number], .how = how, .arg = arg };
	const struct damage_object *o = &c->w.now->v[x.object];
	auto_damage_store struct damage_store *s = damage_store_copy(c->w.now);
	enum damage_kind kind = damage_world_kind(&c->w, o->key);
	struct cell *cell = &c->cells[kind][how];
	struct damage_verdict v;
	struct damage_done done;

	if (!damage_apply(&c->w, &c->foreign, &x, s, &done))
		return;
	damage_judge(&c->w, s, legs, &v);
	c->cases++;
	cell->cases++;
	cell->told += v.told;
	if (!v.told) {
		cell->harmless++;
		printf("UNTOLD %s: %s %s %s\n", damage_kind_names[kind], damage_how_names[how],
		       done.text, o->key);
	}
	if (v.silent > 0) {
		cell->silent++;
		c->silent++;
		printf("SILENT DAMAGE_CASE=%zu:%d:%" PRIu64
		       " %s: %s %s %s\n  told: %s\n  gc: %s\n%s",
		       number, (int)how, arg, damage_kind_names[kind], damage_how_names[how],
		       done.text, o->key, v.first, v.refuses, v.silences);
	}
	fflush(stdout);
}

int main(void)
{
	static struct campaign c;
	static struct damage_verdict v;

	c.seed = env_u64("TEST_SEED", 1);
	damage_world_make(&c.w, c.seed);
	damage_world_make(&c.foreign, c.seed + 1);
	sorting = &c.w;
	c.order = calloc(c.w.now->n, sizeof(*c.order));
	for (size_t i = 0; i < c.w.now->n; i++)
		c.order[i] = i;
	qsort(c.order, c.w.now->n, sizeof(*c.order), by_kind);
	damage_judge(&c.w, c.w.now, 3, &v);
	printf("base: lost %u told %d %s gc %d %s silent %s\n", v.lost, v.told, v.first, v.collects,
	       v.refuses, v.silences);
	if (getenv("DAMAGE_CASE")) {
		size_t n;
		int h;
		uint64_t a;
		sscanf(getenv("DAMAGE_CASE"), "%zu:%d:%" SCNu64, &n, &h, &a);
		run_case(&c, n, h, a, 3);
		return 0;
	}
	uint64_t stride = env_u64("STRIDE", 7), k = 0;
	for (size_t i = 0; i < c.w.now->n; i++)
		for (int h = 0; h < DAMAGE_HOWS; h++)
			for (unsigned a = 0; a < damage_args(h); a++)
				if (storm_mix(c.seed + k++) % stride == 0)
					run_case(&c, i, h, a, (unsigned)env_u64("LEGS", 3));
	for (int i = 0; i < DAMAGE_KINDS; i++) {
		printf("%-30s", damage_kind_names[i]);
		for (int h = 0; h < DAMAGE_HOWS; h++)
			printf(" %3u/%3u/%u", c.cells[i][h].cases, c.cells[i][h].told,
			       c.cells[i][h].silent);
		printf("\n");
	}
	printf("%u cases %u silent\n", c.cases, c.silent);
	return 0;
}
