/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two actors: while one of them works, the other one does something whole, at
 * each call that the first makes to the store. What a storm meets by chance is
 * gone through here one by one, and what a storm has found is kept.
 *
 *   TEST_SEED=N     which of the combinations; else the same ones every time
 *   STORM_SECONDS=N how long combinations are tried; else 25
 *   STORM_SCENE=A.B.N  only this one, in this process: A acts, and B before his call N
 */
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/now.h"
#include "common/num.h"
#include "common/secret.h"
#include "repo/check.h"
#include "repo/commits.h"
#include "repo/expiry.h"
#include "tests/harness/harness.h"
#include "tests/harness/storm_judge.h"

#define FILES 40
#define NEVER UINT64_MAX

struct play;
typedef void act(struct play *p, const char *who);

/* One actor, and what happens at one of his calls. */
struct play {
	struct storm_world w;
	struct storm_door first, second; /* of the two actors */
	atomic_uint_least64_t calls;     /* that the first one has made */
	uint64_t at;                     /* call before which the other one acts; NEVER */
	act *other;
	atomic_bool armed, acted;
};

/* ---- what they do ---- */

static const struct storm_door *door_of(const struct play *p, const char *who)
{
	return strcmp(who, "first") == 0 ? &p->first : &p->second;
}

static void back_up_as(struct play *p, const char *who, unsigned volume, unsigned step)
{
	CLEANUP(point_clear) struct point point = { 0 };
	const struct storm_tree t = {
		.seed = p->w.seed, .volume = volume, .step = step, .files = p->w.files
	};
	struct err e = ERR_INIT;
	char name[64];
	char set[33];

	auto_free char *src = path_join(p->w.dir, "src");
	(void)snprintf(name, sizeof(name), "%s-%u", who, volume);
	storm_tree_make(&t, src, name);
	storm_set_of(volume, step, set);
	storm_note(&p->w, who, "try %s", set);
	if (storm_backup(&p->w, door_of(p, who), name, &t, set, &point, &e) == 0)
		storm_note(&p->w, who, "ok %s %s", set, point.session);
	else if (e.class != ERR_BUSY)
		storm_bad(&p->w, who, "a backup fails: %s: %s", err_class_name(e.class), e.msg);
}

static void back_up(struct play *p, const char *who)
{
	back_up_as(p, who, 0, 7);
}

static void collect(struct play *p, const char *who)
{
	struct gc_result r;
	struct err e = ERR_INIT;

	if (gc_run(door_of(p, who)->agent, &storm_eager, &r, &e) < 0 && e.class != ERR_BUSY)
		storm_bad(&p->w, who, "a collection fails: %s: %s", err_class_name(e.class), e.msg);
}

/* Begins a collection, which waits where somebody is at work. */
static void condemn(struct play *p, const char *who)
{
	struct gc_params patient = storm_eager;
	struct gc_result r;
	struct err e = ERR_INIT;

	patient.fence_after_ns = (int64_t)86400 * 1000000000;
	if (gc_run(door_of(p, who)->agent, &patient, &r, &e) < 0 && e.class != ERR_BUSY)
		storm_bad(&p->w, who, "a collection fails: %s: %s", err_class_name(e.class), e.msg);
}

/* The session of point number n in the list, from its end when it is negative. False: none. */
static bool nth_point(const struct play *p, const char *who, int n, char ret[96])
{
	CLEANUP(commit_list_clear) struct commit_list l = { 0 };
	struct err e = ERR_INIT;
	int there = 0;

	if (commit_list_load(door_of(p, who)->store, &l, &e) < 0)
		storm_bad(&p->w, who, "%s", e.msg);
	for (size_t i = 0; i < l.n; i++) {
		if (l.v[i].kind == COMMIT_POINT)
			l.v[there++] = l.v[i];
	}
	if (n < 0)
		n += there;
	if (n < 0 || n >= there)
		return false;
	(void)snprintf(ret, 96, "%s", l.v[n].session);
	return true;
}

static void expire_nth(struct play *p, const char *who, int n)
{
	struct expiry_point x = { .why = "a test" };
	struct err e = ERR_INIT;
	char session[96];
	uint64_t number;

	if (!nth_point(p, who, n, session))
		return;
	x.session = session;
	storm_note(&p->w, who, "tomb? %s", session);
	if (expiry_put_tomb(door_of(p, who)->agent, "", &x, 1, &number, &e) < 0)
		storm_bad(&p->w, who, "a tombstone fails: %s", e.msg);
	storm_note(&p->w, who, "tomb! %s %" PRIu64, session, number);
}

static void expire_first(struct play *p, const char *who)
{
	expire_nth(p, who, 0);
}

static void expire_last(struct play *p, const char *who)
{
	expire_nth(p, who, -1);
}

static void hold_first(struct play *p, const char *who)
{
	struct err e = ERR_INIT;
	char session[96];
	uint64_t number;

	if (!nth_point(p, who, 0, session))
		return;
	storm_note(&p->w, who, "hold? %s", session);
	if (expiry_put_hold(door_of(p, who)->agent, session, NULL, "a test", "a tester", &number,
	                    &e) == 0)
		storm_note(&p->w, who, "hold! %s %" PRIu64, session, number);
	else if (e.class != ERR_NOT_FOUND)
		storm_bad(&p->w, who, "a hold fails: %s", e.msg);
}

static void pin_first(struct play *p, const char *who)
{
	struct err e = ERR_INIT;
	char session[96];
	char key[NOTE_KEY_MAX];

	if (nth_point(p, who, 0, session) &&
	    expiry_pin(door_of(p, who)->agent, session, key, &e) < 0 && e.class != ERR_NOT_FOUND)
		storm_bad(&p->w, who, "a pin fails: %s", e.msg);
}

/* A hold that is told to come too late, one that finds it there; and a pin before both. */
static void hold_again(struct play *p, const char *who)
{
	pin_first(p, who);
	hold_first(p, who);
	hold_first(p, who);
}

static void expire_collect(struct play *p, const char *who)
{
	expire_first(p, who);
	collect(p, who);
}

/* The collection that was open, another one, and a third that is left open. */
static void collect_more(struct play *p, const char *who)
{
	collect(p, who);
	expire_first(p, who);
	collect(p, who);
	expire_first(p, who);
	condemn(p, who);
}

/* A new point that takes what was garbage into use, and old ones that make more of it. */
static void turn_over(struct play *p, const char *who)
{
	back_up_as(p, who, 0, 1);
	expire_first(p, who);
	collect(p, who);
	back_up_as(p, who, 1, 1);
}

static void restore(struct play *p, const char *who)
{
	CLEANUP(point_clear) struct point point = { 0 };
	const struct storm_door *d = door_of(p, who);
	struct err e = ERR_INIT;
	char session[96];
	char pin[NOTE_KEY_MAX];

	/* The last one: nobody expires it here, or the pin came first. */
	if (!nth_point(p, who, -1, session))
		return;
	bool pinned = expiry_pin(d->agent, session, pin, &e) == 0;
	e = (struct err)ERR_INIT;
	int rc = repo_point(d->recovery, session, &point, &e);
	if (rc == 0)
		rc = storm_restore(&p->w, d, who, &point, &e);
	if (rc == 0 || (rc < 0 && pinned))
		storm_bad(&p->w, who, "'%s' does not come back: %s", session,
		          rc < 0 ? e.msg : "it is another tree");
	if (pinned && expiry_unpin(d->agent, pin, &e) < 0)
		storm_bad(&p->w, who, "%s", e.msg);
}

static int take_problem(void *arg, const struct check_problem *x, struct err *e)
{
	const struct play *p = arg;

	(void)e;
	storm_note(&p->w, "check", "%s '%s': %s", check_what_name(x->what), x->object, x->text);
	return 0;
}

static void check(struct play *p, const char *who)
{
	const struct check_params params = {
		.level = 4, .threads = 2, .problem = take_problem, .arg = p
	};
	struct check_result r;
	struct err e = ERR_INIT;

	if (check_run(door_of(p, who)->recovery, &params, &r, &e) < 0)
		storm_bad(&p->w, who, "a check fails: %s", e.msg);
	if (r.problems > 0)
		storm_bad(&p->w, who, "a check finds %" PRIu64 " problems", r.problems);
}

static const struct {
	const char *name;
	act *act;
} firsts[] = {
	{ "collect", collect }, { "back up", back_up },     { "restore", restore },
	{ "check", check },     { "hold", hold_first },     { "expire", expire_first },
	{ "pin", pin_first },   { "turn over", turn_over },
}, others[] = {
	{ "collect", collect },
	{ "condemn", condemn },
	{ "collect more", collect_more },
	{ "back up", back_up },
	{ "expire the first", expire_first },
	{ "expire the last", expire_last },
	{ "hold", hold_first },
	{ "hold again", hold_again },
	{ "pin", pin_first },
	{ "expire and collect", expire_collect },
	{ "turn over", turn_over },
};

/* ---- the play ---- */

static enum store_fault before_call(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct play *p = arg;

	(void)n;
	(void)call;
	(void)key;
	if (atomic_load(&p->armed) && atomic_fetch_add(&p->calls, 1) == p->at &&
	    !atomic_exchange(&p->acted, true))
		p->other(p, "second");
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

/* A session that uploads something and dies. */
static enum store_fault die_late(void *arg, uint64_t n, enum store_call call, const char *key)
{
	bool *dead = arg;

	(void)n;
	*dead |= call == CALL_PUT && strncmp(key, "commit/", 7) == 0;
	return *dead ? FAULT_FAIL : FAULT_NONE;
}

static void leave_dead_session(struct play *p)
{
	CLEANUP(point_clear) struct point point = { 0 };
	const struct storm_tree t = {
		.seed = p->w.seed, .volume = 1, .step = 20, .files = p->w.files
	};
	struct storm_door d;
	struct err e = ERR_INIT;
	bool dead = false;
	char set[33];

	struct store *store = storm_store(&p->w, &e);
	if (store)
		store = store_fault_new(store, die_late, &dead, &e);
	if (!store || storm_door_open_in(&p->w, "dead", store, &d, &e) < 0)
		harness_die("%s", e.msg);
	auto_free char *src = path_join(p->w.dir, "src");
	storm_tree_make(&t, src, "dead");
	storm_set_of(1, 20, set);
	storm_note(&p->w, "dead", "try %s", set);
	if (storm_backup(&p->w, &d, "dead", &t, set, &point, &e) == 0)
		harness_die("a backup that was to fail did not");
	storm_door_close(&d);
}

/*
 * Three volumes, a collection that is done, an expired point, packs of which half is
 * garbage, and a session that did not end.
 */
static void make_base(struct play *p)
{
	storm_world_make(&p->w);
	p->at = NEVER;
	open_doors(p);
	for (unsigned v = 0; v < STORM_VOLUMES; v++)
		back_up_as(p, "second", v, 0);
	back_up_as(p, "second", 0, 3);
	expire_first(p, "second");
	collect(p, "second");
	for (unsigned step = 5; step < 30; step += 12)
		back_up_as(p, "second", 0, step);
	expire_first(p, "second");
	leave_dead_session(p);
	close_doors(p);
}

struct scene {
	struct play *p;
	size_t first;
};

/* In a process of its own, so that what it holds open and what it leaks is gone afterwards. */
static int play(void *arg)
{
	const struct scene *s = arg;
	struct play *p = s->p;

	open_doors(p);
	firsts[s->first].act(p, "first");
	close_doors(p);
	if (p->at == NEVER) {
		(void)printf("%" PRIu64 "\n", (uint64_t)atomic_load(&p->calls));
		return 0;
	}
	(void)storm_judge(&p->w, STORM_JUDGE_ALL);
	return 0;
}

static void copy_base(const char *base, const char *dir)
{
	char command[2048];

	(void)snprintf(command, sizeof(command), "cp -a '%s' '%s'", base, dir);
	if (system(command) != 0)
		harness_die("copying '%s'", base);
}

/* Plays in a copy of the base. Returns how many calls the first one made, when nothing happens. */
static uint64_t run(const char *base, const struct play *like, size_t first, size_t other,
                    uint64_t at)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *world = path_join(dir, "world");
	struct play p = { .w = like->w, .at = at, .other = others[other].act };
	struct scene s = { .p = &p, .first = first };

	copy_base(base, world);
	p.w.dir = world;
	CLEANUP(harness_run_clear) struct harness_run r = harness_run(play, &s);
	if (r.status != 0)
		fail_msg("%s, and before call %" PRIu64 " %s: status %d: %s", firsts[first].name,
		         at, others[other].name, r.status, r.err);
	return at == NEVER ? strtoull(r.out, NULL, 10) : 0;
}

static uint64_t env_u64(const char *name, uint64_t otherwise)
{
	struct err e = ERR_INIT;
	const char *text = getenv(name);
	uint64_t n;

	return text && num_u64(name, text, 0, UINT64_MAX, &n, &e) == 0 ? n : otherwise;
}

/* One scene by its numbers. */
static void run_one(const struct play *base, const char *text)
{
	struct play p = { .w = base->w };
	struct scene s = { .p = &p };
	size_t other;

	if (sscanf(text, "%zu.%zu.%" SCNu64, &s.first, &other, &p.at) != 3 ||
	    s.first >= ARRAY_LEN(firsts) || other >= ARRAY_LEN(others))
		harness_die("STORM_SCENE is '%s'", text);
	p.other = others[other].act;
	assert_int_equal(play(&s), 0);
}

static void test_interleave__nobody_disturbs_anybody(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct play base = { .w = { .dir = dir, .seed = 7, .files = FILES } };
	const char *size = getenv("TEST_SIZE");
	uint64_t seed = env_u64("TEST_SEED", 1);
	uint64_t calls[ARRAY_LEN(firsts)];
	int64_t until_ns = now_mono_ns();
	unsigned played = 0;

	(void)state;
	until_ns += (int64_t)env_u64("STORM_SECONDS", size && strcmp(size, "small") == 0 ? 5 : 25) *
	            1000000000;
	make_base(&base);
	if (getenv("STORM_SCENE")) {
		run_one(&base, getenv("STORM_SCENE"));
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(firsts); i++)
		calls[i] = run(dir, &base, i, 0, NEVER);
	for (uint64_t n = 0; now_mono_ns() < until_ns; n++, played++) {
		uint64_t r = storm_mix(seed ^ storm_mix(n));
		/* Collections and backups have most to lose. */
		size_t first = r % 2 ? r / 2 % 2 : r / 2 % ARRAY_LEN(firsts);
		size_t other = (r >> 16) % ARRAY_LEN(others);

		run(dir, &base, first, other, (r >> 32) % calls[first]);
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
