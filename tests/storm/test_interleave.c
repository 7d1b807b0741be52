/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two actors: while one of them works, the other one does something whole, at
 * each call that the first makes to the store. What a storm meets by chance is
 * gone through here one by one, and what a storm has found is kept.
 *
 *   TEST_SEED=N         which of the combinations; else the same ones every time
 *   STORM_SECONDS=N     how long combinations are tried; else 30, and 6 when TEST_SIZE is small
 *   STORM_SCENE=A,B,N   only this one, in this process: A acts, and B before his call N
 */
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/now.h"
#include "common/num.h"
#include "common/secret.h"
#include "tests/harness/harness.h"
#include "tests/harness/storm_act.h"
#include "tests/harness/storm_judge.h"

#define FILES 40
#define NEVER UINT64_MAX
#define AGAIN "make check-storm TEST=storm/test_interleave"

/* Who acts while others do. */
static const char *const firsts[] = { "collect", "back-up", "restore",   "check",   "hold",
	                              "expire",  "pin",     "turn-over", "condemn", "rotate" };
static const char *const others[] = { "collect", "condemn",        "collect-more", "back-up",
	                              "expire",  "expire-last",    "hold",         "hold-again",
	                              "pin",     "expire-collect", "turn-over" };

/* One actor, and what happens at one of his calls. */
struct play {
	struct storm_world w;
	struct storm_door first, second; /* of the two actors */
	atomic_uint_least64_t calls;     /* that the first one has made */
	uint64_t at;                     /* call before which the other one acts; NEVER */
	const struct storm_act *act, *other;
	atomic_bool armed, acted;
};

static void perform(const struct play *p, const struct storm_act *act, const struct storm_door *d,
                    const char *who)
{
	struct err e = ERR_INIT;

	if (act->run(&p->w, d, who, &e) < 0 && e.class != act->told)
		storm_bad(&p->w, who, "%s: %s: %s", act->name, err_class_name(e.class), e.msg);
}

/* ---- a play ---- */

static enum store_fault before_call(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct play *p = arg;

	(void)n;
	(void)call;
	(void)key;
	if (atomic_load(&p->armed) && atomic_fetch_add(&p->calls, 1) == p->at &&
	    !atomic_exchange(&p->acted, true))
		perform(p, p->other, &p->second, "second");
	return FAULT_NONE;
}

static void open_doors(struct play *p)
{
	struct err e = ERR_INIT;

	struct store *hooked = storm_store(&p->w, &e);
	if (hooked)
		hooked = store_fault_new(hooked, before_call, p, &e);
	if (!hooked || storm_door_open_in(&p->w, "first", hooked, &p->first, &e) < 0 ||
	    storm_door_open(&p->w, "second", "second", NULL, 0, &p->second, &e) < 0)
		harness_die("%s", e.msg);
	atomic_store(&p->armed, true);
}

static void close_doors(struct play *p)
{
	storm_door_close(&p->first);
	storm_door_close(&p->second);
}

/* In a process of its own, so that what it holds open and what it leaks is gone afterwards. */
static int play(void *arg)
{
	struct play *p = arg;

	open_doors(p);
	perform(p, p->act, &p->first, "first");
	close_doors(p);
	if (p->at == NEVER)
		(void)printf("%" PRIu64 "\n", (uint64_t)atomic_load(&p->calls));
	else
		(void)storm_judge(&p->w, STORM_JUDGE_ALL);
	return 0;
}

/* Plays in a copy of the base. Returns how many calls the first one made, when nothing happens. */
static uint64_t run(const struct play *base, const char *first, const char *other, uint64_t at)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *world = path_join(dir, "world");
	struct play p = {
		.w = base->w, .at = at, .act = storm_act_find(first), .other = storm_act_find(other)
	};

	storm_act_copy_base(base->w.dir, world);
	p.w.dir = world;
	CLEANUP(harness_run_clear) struct harness_run r = harness_run(play, &p);
	if (r.status != 0)
		fail_msg("%s, and before call %" PRIu64 " %s: status %d: %s\n"
		         "again: STORM_SCENE=%s,%s,%" PRIu64 " %s",
		         first, at, other, r.status, r.err, first, other, at, AGAIN);
	return at == NEVER ? strtoull(r.out, NULL, 10) : 0;
}

static uint64_t env_u64(const char *name, uint64_t otherwise)
{
	struct err e = ERR_INIT;
	const char *text = getenv(name);
	uint64_t n;

	return text && num_u64(name, text, 0, UINT64_MAX, &n, &e) == 0 ? n : otherwise;
}

/* One scene by its names, in this process. */
static void run_one(const struct play *base, const char *text)
{
	struct play p = { .w = base->w };
	char first[32];
	char other[32];

	if (sscanf(text, "%31[^,],%31[^,],%" SCNu64, first, other, &p.at) == 3) {
		p.act = storm_act_find(first);
		p.other = storm_act_find(other);
	}
	if (!p.act || !p.other)
		harness_die("STORM_SCENE is '%s'", text);
	assert_int_equal(play(&p), 0);
}

static void test_interleave__nobody_disturbs_anybody(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *world = path_join(dir, "world");
	struct play base = { .w = { .dir = world, .seed = 7, .files = FILES } };
	const char *size = getenv("TEST_SIZE");
	uint64_t seed = env_u64("TEST_SEED", 1);
	uint64_t calls[ARRAY_LEN(firsts)];
	uint64_t seconds = env_u64("STORM_SECONDS", size && strcmp(size, "small") == 0 ? 6 : 30);
	int64_t until_ns = now_mono_ns() + (int64_t)seconds * 1000000000;
	unsigned played = 0;

	(void)state;
	if (mkdir(world, 0700) < 0)
		harness_die("creating '%s'", world);
	storm_act_make_base(&base.w);
	if (getenv("STORM_SCENE")) {
		run_one(&base, getenv("STORM_SCENE"));
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(firsts); i++)
		calls[i] = run(&base, firsts[i], others[0], NEVER);
	for (uint64_t n = 0; now_mono_ns() < until_ns; n++, played++) {
		uint64_t r = storm_mix(seed ^ storm_mix(n));
		/* Collections and backups have most to lose. */
		size_t first = r % 2 ? r / 2 % 2 : r / 2 % ARRAY_LEN(firsts);
		size_t other = (r >> 16) % ARRAY_LEN(others);

		run(&base, firsts[first], others[other], (r >> 32) % calls[first]);
	}
	(void)printf("TEST_SEED=%" PRIu64 ": %u plays\n", seed, played);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interleave__nobody_disturbs_anybody),
	};
	struct err e = ERR_INIT;

	if (secret_init(&e) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
