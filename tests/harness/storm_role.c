/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See storm_role.h. Each life of a process has its own clock and weather. What
 * a program may say because of the weather is expected; what it says of damage
 * or of lies is not, since there is none.
 */
#include "tests/harness/storm_role.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "repo/check.h"
#include "repo/commits.h"
#include "repo/expiry.h"
#include "tests/harness/harness.h"
#include "tests/harness/storm_clock.h"

#define EXPIRE_MAX 40 /* points that are looked at for one tombstone */
#define MS_NS ((int64_t)1000000)
#define YEAR_NS ((int64_t)365 * 86400 * 1000000000)

struct actor {
	const struct storm_world *w;
	const struct storm_role *role;
	char name[32]; /* of the role: its state and its source are called so */
	char who[48];  /* of this life of it */
	uint64_t seed;
	uint64_t numbers; /* random numbers drawn so far */
	struct storm_door door;
};

static uint64_t draw(struct actor *a)
{
	return storm_mix(a->seed ^ storm_mix(a->numbers++));
}

/* A number below n. */
static unsigned pick(struct actor *a, unsigned n)
{
	return (unsigned)(draw(a) % n);
}

static bool stopped(const struct actor *a)
{
	return atomic_load(&a->w->shared->stop);
}

static void nap(struct actor *a, unsigned most_ms)
{
	unsigned us = pick(a, most_ms * 1000 + 1);
	struct timespec t = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L };

	(void)nanosleep(&t, NULL); /* lint: allow nanosleep: roles work at random times */
}

/* What the weather explains. */
static bool is_weather(const struct actor *a, const struct err *e)
{
	return e->class == ERR_RETRY || e->class == ERR_IO || e->class == ERR_QUOTA ||
	       e->class == ERR_EXISTS || (e->class == ERR_DENIED && a->role->refused);
}

static void count(atomic_uint *n)
{
	(void)atomic_fetch_add(n, 1);
}

/* ---- writers ---- */

static unsigned next_step(struct actor *a)
{
	auto_free char *src = path_join(a->w->dir, "src");
	int at = storm_tree_step(src, a->name);

	return at < 0 || pick(a, 8) == 0 ? pick(a, STORM_STEPS) : ((unsigned)at + 1) % STORM_STEPS;
}

static void write_once(struct actor *a)
{
	CLEANUP(point_clear) struct point p = { 0 };
	struct storm_tree t = { .seed = a->w->seed,
		                .volume = a->role->volume,
		                .step = next_step(a),
		                .files = a->w->files };
	struct err e = ERR_INIT;
	char set[33];

	auto_free char *src = path_join(a->w->dir, "src");
	storm_tree_make(&t, src, a->name);
	storm_set_of(t.volume, t.step, set);
	storm_note(a->w, a->who, "try %s", set);
	if (storm_backup(a->w, &a->door, a->name, &t, set, &p, &e) == 0) {
		storm_note(a->w, a->who, "ok %s %s", set, p.session);
		count(&a->w->shared->commits);
		if (p.unreadable || p.changed || p.gone)
			storm_bad(a->w, a->who, "a tree that nobody changes was not read whole");
		return;
	}
	storm_note(a->w, a->who, "no %s %s: %s", set, err_class_name(e.class), e.msg);
	count(e.class == ERR_BUSY ? &a->w->shared->fenced : &a->w->shared->failed);
	if (!is_weather(a, &e) && e.class != ERR_BUSY)
		storm_bad(a->w, a->who, "a backup fails: %s: %s", err_class_name(e.class), e.msg);
}

static void writer(struct actor *a)
{
	while (!stopped(a)) {
		write_once(a);
		nap(a, pick(a, 4) ? 30 : 400);
	}
}

/* ---- collectors ---- */

static void collect_once(struct actor *a)
{
	static const int64_t fences[] = { -3600000, 0, 300, 1000, 3000 };
	struct gc_params p = storm_eager;
	struct gc_result r;
	struct err e = ERR_INIT;

	p.fence_after_ns = fences[pick(a, 5)] * MS_NS;
	p.repack_percent = pick(a, 4) ? GC_REPACK_DEFAULT : 0;
	p.repack_bytes = pick(a, 4) ? 0 : MIB;
	if (gc_run(a->door.agent, &p, &r, &e) == 0) {
		storm_note(a->w, a->who, "gc %s %llu", gc_outcome_name(r.outcome),
		           (unsigned long long)r.generation);
		count(r.outcome == GC_WAITING ? &a->w->shared->waits : &a->w->shared->collections);
		return;
	}
	storm_note(a->w, a->who, "gc- %s: %s", err_class_name(e.class), e.msg);
	/* Fenced by the other collector, or its objects came to an end under it. */
	if (!is_weather(a, &e) && e.class != ERR_BUSY && !a->role->hidden)
		storm_bad(a->w, a->who, "a collection fails: %s: %s", err_class_name(e.class),
		          e.msg);
}

static void collector(struct actor *a)
{
	while (!stopped(a)) {
		collect_once(a);
		nap(a, pick(a, 3) ? 100 : 1000);
	}
}

/* ---- points ---- */

/* Some of the restore points that are in the list, at most n of them. Returns how many. */
static unsigned some_points(struct actor *a, unsigned n, char ret[][96])
{
	CLEANUP(commit_list_clear) struct commit_list l = { 0 };
	struct err e = ERR_INIT;
	size_t there = 0;
	unsigned got = 0;

	if (commit_list_load(a->door.store, &l, &e) < 0)
		return 0;
	for (size_t i = 0; i < l.n; i++) {
		if (l.v[i].kind == COMMIT_POINT)
			l.v[there++] = l.v[i];
	}
	for (; there > 0 && got < n; got++) {
		size_t i = pick(a, (unsigned)there);

		(void)snprintf(ret[got], 96, "%s", l.v[i].session);
		l.v[i] = l.v[--there];
	}
	return got;
}

/* So many that some twenty stay. */
static void expire_some(struct actor *a)
{
	char sessions[EXPIRE_MAX][96];
	struct expiry_point points[EXPIRE_MAX];
	struct err e = ERR_INIT;
	uint64_t number;

	unsigned n = some_points(a, EXPIRE_MAX, sessions);
	if (n < EXPIRE_MAX)
		return;
	n = 1 + pick(a, EXPIRE_MAX - 20);
	for (unsigned i = 0; i < n; i++) {
		points[i] = (struct expiry_point){ .session = sessions[i], .why = "a storm" };
		storm_note(a->w, a->who, "tomb? %s", sessions[i]);
	}
	if (expiry_put_tomb(a->door.agent, "storm", points, n, &number, &e) < 0) {
		storm_note(a->w, a->who, "tomb- %s: %s", err_class_name(e.class), e.msg);
		if (!is_weather(a, &e))
			storm_bad(a->w, a->who, "a tombstone fails: %s", e.msg);
		return;
	}
	count(&a->w->shared->tombs);
	for (unsigned i = 0; i < n; i++)
		storm_note(a->w, a->who, "tomb! %s %llu", sessions[i], (unsigned long long)number);
}

static void hold_one(struct actor *a, uint64_t *ret_number)
{
	char session[96];
	struct err e = ERR_INIT;

	if (some_points(a, 1, &session) == 0)
		return;
	storm_note(a->w, a->who, "hold? %s", session);
	if (expiry_put_hold(a->door.agent, session, NULL, "a storm", "a sailor", ret_number, &e) ==
	    0) {
		count(&a->w->shared->holds);
		storm_note(a->w, a->who, "hold! %s %llu", session, (unsigned long long)*ret_number);
		return;
	}
	storm_note(a->w, a->who, "hold- %s: %s", err_class_name(e.class), e.msg);
	if (!is_weather(a, &e) && e.class != ERR_NOT_FOUND)
		storm_bad(a->w, a->who, "a hold fails: %s", e.msg);
}

static void release(struct actor *a, uint64_t *number)
{
	struct err e = ERR_INIT;
	uint64_t by;

	if (*number == 0)
		return;
	storm_note(a->w, a->who, "free? %llu", (unsigned long long)*number);
	if (expiry_put_release(a->door.agent, *number, "a storm", "a sailor", &by, &e) == 0)
		storm_note(a->w, a->who, "free! %llu", (unsigned long long)*number);
	else if (!is_weather(a, &e) && e.class != ERR_NOT_FOUND)
		storm_bad(a->w, a->who, "a release fails: %s", e.msg);
	*number = 0;
}

static void expirer(struct actor *a)
{
	uint64_t hold = 0;

	while (!stopped(a)) {
		if (pick(a, 4))
			expire_some(a);
		else if (hold)
			release(a, &hold);
		else
			hold_one(a, &hold);
		nap(a, 300);
	}
}

/* ---- restorers ---- */

/* Whether the book says that somebody wanted the point to go. */
static bool was_expired(const struct actor *a, const char *session)
{
	char line[128];

	auto_free char *book = read_file(a->w->dir, "book", NULL);
	(void)snprintf(line, sizeof(line), "tomb? %s\n", session);
	return strstr(book, line) != NULL;
}

static void restore_once(struct actor *a)
{
	CLEANUP(point_clear) struct point p = { 0 };
	char session[96];
	char pin[NOTE_KEY_MAX];
	struct err e = ERR_INIT;

	if (some_points(a, 1, &session) == 0)
		return;
	bool pinned = expiry_pin(a->door.agent, session, pin, &e) == 0;
	if (!pinned && !is_weather(a, &e) && e.class != ERR_NOT_FOUND)
		storm_bad(a->w, a->who, "a pin fails: %s", e.msg);
	storm_note(a->w, a->who, "restore %s %s", session, pinned ? "pinned" : "");
	e = (struct err)ERR_INIT;
	int rc = repo_point(a->door.recovery, session, &p, &e);
	if (rc == 0)
		rc = storm_restore(a->w, &a->door, a->name, &p, &e);
	if (rc > 0)
		count(&a->w->shared->restores);
	if (rc == 0)
		storm_bad(a->w, a->who, "'%s' comes back wrong", session);
	/*
	 * One that was not pinned may go while it is read, once it is expired. One that a
	 * collection has taken may be there again for a while, when its commit is put twice.
	 */
	if (rc < 0 && pinned && !is_weather(a, &e) && !was_expired(a, session))
		storm_bad(a->w, a->who, "'%s' does not come back: %s: %s", session,
		          err_class_name(e.class), e.msg);
	storm_note(a->w, a->who, "restored %s %d %s", session, rc, rc < 0 ? e.msg : "");
	if (pinned && pick(a, 8)) /* else it is left behind */
		(void)!expiry_unpin(a->door.agent, pin, &e);
}

static void restorer(struct actor *a)
{
	while (!stopped(a)) {
		restore_once(a);
		nap(a, 200);
	}
}

/* ---- checkers ---- */

static int take_problem(void *arg, const struct check_problem *p, struct err *e)
{
	const struct actor *a = arg;

	(void)e;
	storm_note(a->w, a->who, "problem %s '%s': %s", check_what_name(p->what), p->object,
	           p->text);
	return 0;
}

static void check_once(struct actor *a)
{
	const unsigned level = pick(a, CHECK_LEVEL_MAX + 1);
	const struct check_params p = { .level = level,
		                        .threads = 2,
		                        .record = level < 4 && pick(a, 2),
		                        .problem = take_problem,
		                        .arg = a };
	struct check_result r;
	struct err e = ERR_INIT;

	storm_note(a->w, a->who, "check %u", level);
	if (check_run(level < 4 ? a->door.agent : a->door.recovery, &p, &r, &e) < 0) {
		storm_note(a->w, a->who, "check- %s: %s", err_class_name(e.class), e.msg);
		if (!is_weather(a, &e) && e.class != ERR_BUSY)
			storm_bad(a->w, a->who, "a check fails: %s: %s", err_class_name(e.class),
			          e.msg);
		return;
	}
	count(&a->w->shared->checks);
	/* Objects that the store did not give are problems of the weather. */
	if (r.problems > 0 && !a->role->hidden)
		storm_bad(a->w, a->who, "a check of level %u finds %llu problems", level,
		          (unsigned long long)r.problems);
}

static void checker(struct actor *a)
{
	while (!stopped(a)) {
		check_once(a);
		nap(a, 1000);
	}
}

/* ---- late calls ---- */

static void applier(struct actor *a)
{
	auto_free char *late = path_join(a->w->dir, "late");

	while (!stopped(a)) {
		(void)storm_late_apply(a->door.store, late, false, -1);
		nap(a, 10);
	}
}

/* ---- a life ---- */

static const struct storm_weather weathers[] = {
	{ .slow = 100, .slow_us = 500 },
	{ .slow = 500,
	  .slow_us = 2000,
	  .paged = 2000,
	  .fail = 50,
	  .lost = 50,
	  .late = 50,
	  .twice = 200,
	  .late_ms = 5000,
	  .cut = 200 },
	{ .slow = 300,
	  .slow_us = 5000,
	  .paged = 2000,
	  .fail = 150,
	  .lost = 150,
	  .taken = 50,
	  .late = 200,
	  .twice = 500,
	  .late_ms = 15000,
	  .cut = 500,
	  .outage = 5 },
	{ .slow = 200, .slow_us = 999, .paged = 999, .late = 500, .twice = 3000, .late_ms = 15000 },
	/* Everything takes long. */
	{ .slow = 3000, .slow_us = 10000, .paged = 9000, .twice = 200, .late_ms = 5000 },
};

/*
 * In one life, puts below one prefix come late or twice. A session's marker, segment and commit
 * that all come back after they were deleted are more than the protocol can tell from a session
 * at work.
 */
static const char *const delayed[] = { "pack/", "meta/", "idx/",  "sess/", "commit/",
	                               "ctl/",  "tomb/", "hold/", "pin/" };

static struct storm_weather weather_of(struct actor *a)
{
	struct storm_weather x = weathers[pick(a, ARRAY_LEN(weathers))];

	x.below = getenv("STORM_DOUBLE") ? NULL : delayed[pick(a, ARRAY_LEN(delayed))];

	/* What a check finds unreadable is no damage, but it cannot tell. */
	if (a->role->kind == STORM_CHECKER || a->role->kind == STORM_APPLIER)
		x = weathers[pick(a, 2) ? 0 : 4];
	if (a->role->hidden)
		x.hidden = 50;
	if (a->role->refused)
		x.refused = 100;
	return x;
}

static void set_clock(struct actor *a)
{
	switch (pick(a, 4)) {
	case 0:
		return;
	case 1:
		storm_clock_set(((int64_t)pick(a, 60) - 30) * YEAR_NS, 1);
		return;
	case 2:
		storm_clock_set(0, -1);
		return;
	default:
		storm_clock_set(((int64_t)pick(a, 3) - 1) * YEAR_NS / 365, 1000);
	}
}

/* The state directory: its own, or none of it is left. */
static void choose_state(struct actor *a)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "state/%s", a->name);
	auto_free char *path = path_join(a->w->dir, name);
	if (pick(a, 4) == 0 && access(path, F_OK) == 0)
		tmpdir_remove(strdup(path));
}

int storm_role_run(const struct storm_world *w, const struct storm_role *role)
{
	static const char *const names[] = {
		[STORM_WRITER] = "writer",   [STORM_COLLECTOR] = "collector",
		[STORM_EXPIRER] = "expirer", [STORM_RESTORER] = "restorer",
		[STORM_CHECKER] = "checker", [STORM_APPLIER] = "applier",
	};
	static void (*const runs[])(struct actor * a) = {
		[STORM_WRITER] = writer,   [STORM_COLLECTOR] = collector,
		[STORM_EXPIRER] = expirer, [STORM_RESTORER] = restorer,
		[STORM_CHECKER] = checker, [STORM_APPLIER] = applier,
	};
	struct actor a = { .w = w, .role = role };
	struct err e = ERR_INIT;

	(void)snprintf(a.name, sizeof(a.name), "%s-%u", names[role->kind], role->number);
	(void)snprintf(a.who, sizeof(a.who), "%s.%u", a.name, role->life);
	a.seed = storm_mix(w->seed ^ storm_mix((uint64_t)role->kind << 40 |
	                                       (uint64_t)role->number << 32 | role->life));
	choose_state(&a);
	set_clock(&a);
	struct storm_weather weather = weather_of(&a);
	while (storm_door_open(w, a.who, a.name, &weather, draw(&a), &a.door, &e) < 0) {
		if (!is_weather(&a, &e))
			storm_bad(w, a.who, "the repository does not open: %s", e.msg);
		if (stopped(&a))
			return 0;
		e = (struct err)ERR_INIT;
	}
	runs[role->kind](&a);
	storm_door_close(&a.door);
	return 0;
}
