/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process is killed at a call to the store, before or after it was made: of a backup, one that
 * resumes, a collection that copies and deletes, one that goes on with an open one, statements
 * of expiry, keys that are added and revoked, and several of these. Then the same is done again,
 * and it is judged what is there.
 *
 *   TEST_SEED=N         which of the kills; else the same ones every time
 *   STORM_SECONDS=N     how long kills are tried; else 30, and 6 when TEST_SIZE is small
 *   STORM_KILL=A,N,W    only this one: A is killed at his call N; W is "before" or "after"
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
#define AGAIN "make check-storm TEST=storm/test_kills"

static const struct victim {
	const char *act;
	const char *state; /* NULL: a new one */
} victims[] = {
	{ "back-up", NULL }, { "back-up-one", STORM_ACT_DEAD },
	{ "collect", NULL }, { "condemn", NULL },
	{ "expire", NULL },  { "expire-collect", NULL },
	{ "hold", NULL },    { "pin", NULL },
	{ "check", NULL },   { "collect-more", NULL },
	{ "restore", NULL }, { "turn-over", NULL },
	{ "rotate", NULL },  { "dismiss", NULL },
	{ "revoke", NULL },
};

struct scene {
	struct storm_world w;
	const struct victim *victim;
	uint64_t at; /* 0: nobody is killed */
	bool after;
};

static const char *state_of(const struct scene *s)
{
	return s->victim->state ? s->victim->state : "victim";
}

static void perform(const struct scene *s, const struct storm_door *d)
{
	const struct storm_act *act = storm_act_find(s->victim->act);
	struct err e = ERR_INIT;

	if (act->run(&s->w, d, state_of(s), &e) < 0 && e.class != act->told)
		storm_bad(&s->w, state_of(s), "%s: %s: %s", act->name, err_class_name(e.class),
		          e.msg);
}

/* Is killed, or tells how many calls it made. */
static int die(void *arg)
{
	const struct scene *s = arg;
	const struct storm_plan plan = {
		.seed = 1, .trace_fd = -1, .dies_at = s->at, .dies_after = s->after
	};
	struct storm_door d;
	struct err e = ERR_INIT;

	struct store *store = storm_store(&s->w, &e);
	if (store)
		store = storm_store_new(store, &plan, &e);
	if (!store || storm_door_open_in(&s->w, state_of(s), store, &d, &e) < 0)
		harness_die("%s", e.msg);
	perform(s, &d);
	(void)printf("%" PRIu64 "\n", storm_store_calls(store));
	storm_door_close(&d);
	return 0;
}

static int go_on(void *arg)
{
	const struct scene *s = arg;
	struct storm_door d;
	struct err e = ERR_INIT;

	if (storm_door_open(&s->w, state_of(s), state_of(s), NULL, 0, &d, &e) < 0)
		storm_bad(&s->w, state_of(s), "the repository does not open: %s", e.msg);
	perform(s, &d);
	storm_door_close(&d);
	(void)storm_judge(&s->w, STORM_JUDGE_ALL);
	return 0;
}

static void found(const struct scene *s, const struct harness_run *r, const char *when)
{
	const char *how = s->after ? "after" : "before";

	fail_msg("%s killed %s call %" PRIu64 ", %s: status %d: %s\nagain: STORM_KILL=%s,%" PRIu64
	         ",%s %s",
	         s->victim->act, how, s->at, when, r->status, r->err, s->victim->act, s->at, how,
	         AGAIN);
}

/* In a copy of the base. Returns how many calls there were, when nobody is killed. */
static uint64_t run(const struct scene *base, const struct victim *victim, uint64_t at, bool after)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *world = path_join(dir, "world");
	struct scene s = { .w = base->w, .victim = victim, .at = at, .after = after };

	storm_act_copy_base(base->w.dir, world);
	s.w.dir = world;
	CLEANUP(harness_run_clear) struct harness_run r = harness_run(die, &s);
	/* Threads come to their calls in any order, so that there may be some fewer. */
	if (r.status != 0 && r.status != 128 + SIGKILL)
		found(&s, &r, "when it runs");
	if (at == 0)
		return strtoull(r.out, NULL, 10);
	CLEANUP(harness_run_clear) struct harness_run next = harness_run(go_on, &s);
	if (next.status != 0)
		found(&s, &next, "and after it");
	return 0;
}

static uint64_t env_u64(const char *name, uint64_t otherwise)
{
	struct err e = ERR_INIT;
	const char *text = getenv(name);
	uint64_t n;

	return text && num_u64(name, text, 0, UINT64_MAX, &n, &e) == 0 ? n : otherwise;
}

static void run_one(const struct scene *base, const char *text)
{
	char act[32];
	char how[8];
	uint64_t at;

	if (sscanf(text, "%31[^,],%" SCNu64 ",%7s", act, &at, how) != 3 || at == 0)
		harness_die("STORM_KILL is '%s'", text);
	for (size_t i = 0; i < ARRAY_LEN(victims); i++) {
		if (strcmp(victims[i].act, act) == 0)
			run(base, &victims[i], at, strcmp(how, "after") == 0);
	}
}

static void test_kills__lose_nothing(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *world = path_join(dir, "world");
	const struct scene base = { .w = { .dir = world, .seed = 7, .files = FILES } };
	const char *size = getenv("TEST_SIZE");
	uint64_t seed = env_u64("TEST_SEED", 1);
	uint64_t seconds = env_u64("STORM_SECONDS", size && strcmp(size, "small") == 0 ? 6 : 30);
	int64_t until_ns = now_mono_ns() + (int64_t)seconds * 1000000000;
	uint64_t calls[ARRAY_LEN(victims)];
	uint64_t all = 0;
	unsigned kills = 0;

	(void)state;
	if (mkdir(world, 0700) < 0)
		harness_die("creating '%s'", world);
	storm_act_make_base(&base.w);
	if (getenv("STORM_KILL")) {
		run_one(&base, getenv("STORM_KILL"));
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(victims); i++) {
		calls[i] = run(&base, &victims[i], 0, false);
		all += calls[i];
	}
	for (uint64_t n = 0; now_mono_ns() < until_ns; n++, kills++) {
		uint64_t r = storm_mix(seed ^ storm_mix(n));
		uint64_t at = (r >> 1) % all;
		size_t i = 0;

		/* Each call of anybody is as likely as any other. */
		for (; at >= calls[i]; i++)
			at -= calls[i];
		run(&base, &victims[i], at + 1, r & 1);
	}
	(void)printf("TEST_SEED=%" PRIu64 ": %u kills at %" PRIu64 " calls\n", seed, kills, all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kills__lose_nothing),
	};
	struct err e = ERR_INIT;

	if (secret_init(&e) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
