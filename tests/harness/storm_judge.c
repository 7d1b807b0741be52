/* SPDX-License-Identifier: Apache-2.0 */
/* See storm_judge.h. */
#include "tests/harness/storm_judge.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "repo/check.h"
#include "repo/commits.h"
#include "repo/expiry.h"
#include "tests/harness/harness.h"

#define WHO "judge"
#define SOME_POINTS 8 /* restored when not all are */
#define ROUNDS_MAX 8  /* of collections, until nothing is left to do */

/* A restore point as the book has it. */
struct entry {
	char set[33];
	char session[96]; /* "" : it was not told */
};

struct wish { /* about a session */
	char session[96];
	bool tomb_asked, tomb_told; /* a tombstone was to be put; was said to stand */
	bool hold_asked;
	uint64_t hold; /* that was confirmed and not asked to be released; 0: none */
};

struct judge {
	const struct storm_world *w;
	unsigned flags;
	struct storm_door door;
	struct entry *entries;
	size_t nentries;
	struct wish *wishes;
	size_t nwishes;
	struct point *points; /* that are in the store */
	size_t npoints;
	struct expiry expiry;
	struct storm_verdict verdict;
};

static void *grow(void *v, size_t n, size_t size)
{
	/* Powers of two from 64 on. */
	if (n != 0 && (n < 64 || (n & (n - 1))))
		return v;
	v = reallocarray(v, n ? 2 * n : 64, size);
	if (!v)
		harness_die("no memory for the judge");
	return v;
}

/* ---- the book ---- */

static struct wish *wish_of(struct judge *j, const char *session)
{
	for (size_t i = 0; i < j->nwishes; i++) {
		if (strcmp(j->wishes[i].session, session) == 0)
			return &j->wishes[i];
	}
	j->wishes = grow(j->wishes, j->nwishes, sizeof(*j->wishes));
	struct wish *x = &j->wishes[j->nwishes++];
	*x = (struct wish){ 0 };
	(void)snprintf(x->session, sizeof(x->session), "%s", session);
	return x;
}

static void take_try(struct judge *j, const char *set)
{
	j->entries = grow(j->entries, j->nentries, sizeof(*j->entries));
	struct entry *x = &j->entries[j->nentries++];
	*x = (struct entry){ 0 };
	(void)snprintf(x->set, sizeof(x->set), "%s", set);
	j->verdict.tried++;
}

static struct entry *entry_of(const struct judge *j, const char *set)
{
	for (size_t i = j->nentries; i-- > 0;) {
		if (strcmp(j->entries[i].set, set) == 0)
			return &j->entries[i];
	}
	return NULL;
}

static void free_hold(struct judge *j, uint64_t number)
{
	for (size_t i = 0; i < j->nwishes; i++) {
		if (j->wishes[i].hold == number)
			j->wishes[i].hold = 0;
	}
}

static void take_line(struct judge *j, const char *line)
{
	char verb[16];
	char a[128] = "";
	char b[128] = "";

	if (sscanf(line, "%*s %*s %15s %127s %127s", verb, a, b) < 1)
		return;
	if (strcmp(verb, "try") == 0) {
		take_try(j, a);
	} else if (strcmp(verb, "ok") == 0) {
		struct entry *x = entry_of(j, a);

		if (x)
			(void)snprintf(x->session, sizeof(x->session), "%.95s", b);
		j->verdict.acknowledged++;
	} else if (strcmp(verb, "tomb?") == 0) {
		wish_of(j, a)->tomb_asked = true;
	} else if (strcmp(verb, "tomb!") == 0) {
		wish_of(j, a)->tomb_told = true;
	} else if (strcmp(verb, "hold?") == 0) {
		wish_of(j, a)->hold_asked = true;
	} else if (strcmp(verb, "hold!") == 0) {
		wish_of(j, a)->hold = strtoull(b, NULL, 10);
	} else if (strcmp(verb, "free?") == 0) {
		free_hold(j, strtoull(a, NULL, 10));
	}
}

static void read_book(struct judge *j)
{
	auto_free char *text = read_file(j->w->dir, "book", NULL);
	char *rest = text;

	for (const char *line; (line = strsep(&rest, "\n"));)
		take_line(j, line);
}

/* ---- the store ---- */

static int take_point(void *arg, const struct point *p, struct err *e)
{
	struct judge *j = arg;

	j->points = grow(j->points, j->npoints, sizeof(*j->points));
	return repo_point(j->door.agent, p->session, &j->points[j->npoints++], e);
}

static void read_points(struct judge *j)
{
	struct err e = ERR_INIT;

	for (size_t i = 0; i < j->npoints; i++)
		point_clear(&j->points[i]);
	j->npoints = 0;
	expiry_clear(&j->expiry);
	if (repo_points(j->door.agent, NULL, take_point, NULL, j, &e) < 0 ||
	    expiry_now(j->door.agent, &j->expiry, &e) < 0)
		storm_bad(j->w, WHO, "the points cannot be listed: %s", e.msg);
	if (j->expiry.missing || j->expiry.bad)
		storm_bad(j->w, WHO, "%" PRIu64 " statements are missing, %" PRIu64 " do not open",
		          j->expiry.missing, j->expiry.bad);
	j->verdict.points = (unsigned)j->npoints;
}

static const struct point *find_point(const struct judge *j, const char *session)
{
	for (size_t i = 0; i < j->npoints; i++) {
		if (strcmp(j->points[i].session, session) == 0)
			return &j->points[i];
	}
	return NULL;
}

static bool is_live(const struct judge *j, const struct point *p)
{
	return !expiry_is_gone(&j->expiry, p->session);
}

/* What was acknowledged is there, unless somebody wanted it to go. */
static void judge_acknowledged(struct judge *j)
{
	for (size_t i = 0; i < j->nentries; i++) {
		const struct entry *x = &j->entries[i];
		const struct point *p = x->session[0] ? find_point(j, x->session) : NULL;
		const struct wish *wish = x->session[0] ? wish_of(j, x->session) : NULL;

		if (!wish)
			continue;
		if (p && strcmp(p->set, x->set) != 0)
			storm_bad(j->w, WHO, "'%s' is not what was acknowledged", x->session);
		if (wish->hold && (!p || !is_live(j, p)))
			storm_bad(j->w, WHO, "'%s' was held by %" PRIu64 " and is gone", x->session,
			          wish->hold);
		if (!wish->tomb_asked && (!p || !is_live(j, p)))
			storm_bad(j->w, WHO, "'%s' was acknowledged and is gone", x->session);
	}
}

/* What is there was tried, once; and what was expired does not live again. */
static void judge_points(struct judge *j)
{
	j->verdict.unknown = j->verdict.expired = 0;
	for (size_t i = 0; i < j->npoints; i++) {
		const struct point *p = &j->points[i];
		const struct entry *x = entry_of(j, p->set);
		const struct wish *wish = wish_of(j, p->session);

		if (!x)
			storm_bad(j->w, WHO, "nobody has tried to make '%s'", p->session);
		if (x->session[0] && strcmp(x->session, p->session) != 0)
			storm_bad(j->w, WHO, "'%s' and '%s' are of one attempt", p->session,
			          x->session);
		j->verdict.unknown += !x->session[0];
		j->verdict.expired += !is_live(j, p);
		if (wish->tomb_told && !wish->hold_asked &&
		    expiry_of(&j->expiry, p->session) == EXPIRY_LIVE)
			storm_bad(j->w, WHO, "'%s' was expired and lives again", p->session);
	}
}

static void restore_points(struct judge *j)
{
	size_t step = j->flags & STORM_JUDGE_ALL ? 1 : 1 + j->npoints / SOME_POINTS;

	for (size_t i = 0; i < j->npoints; i += step) {
		const struct point *p = &j->points[i];
		struct err e = ERR_INIT;

		if (!is_live(j, p))
			continue;
		int rc = storm_restore(j->w, &j->door, WHO, p, &e);
		if (rc <= 0)
			storm_bad(j->w, WHO, "'%s' does not come back: %s", p->session,
			          rc < 0 ? e.msg : "it is another tree");
	}
}

static int take_problem(void *arg, const struct check_problem *p, struct err *e)
{
	const struct judge *j = arg;

	(void)e;
	storm_note(j->w, WHO, "problem %s '%s': %s", check_what_name(p->what), p->object, p->text);
	(void)fprintf(stderr, "%s '%s': %s\n", check_what_name(p->what), p->object, p->text);
	return 0;
}

static void check(struct judge *j, const char *when)
{
	const struct check_params p = {
		.level = 4, .threads = 2, .problem = take_problem, .arg = j
	};
	struct check_result r;
	struct err e = ERR_INIT;

	if (check_run(j->door.recovery, &p, &r, &e) < 0)
		storm_bad(j->w, WHO, "a check fails %s: %s", when, e.msg);
	if (r.problems)
		storm_bad(j->w, WHO, "a check finds %" PRIu64 " problems %s", r.problems, when);
}

/* ---- what comes next ---- */

static void next_backup(struct judge *j, unsigned volume)
{
	CLEANUP(point_clear) struct point p = { 0 };
	struct storm_tree t = { .seed = j->w->seed,
		                .volume = volume,
		                .step = (unsigned)(storm_mix(j->nentries + volume) % STORM_STEPS),
		                .files = j->w->files };
	struct err e = ERR_INIT;
	char name[32];
	char set[33];

	auto_free char *src = path_join(j->w->dir, "src");
	(void)snprintf(name, sizeof(name), WHO "-%u", volume);
	storm_tree_make(&t, src, name);
	storm_set_of(volume, t.step, set);
	storm_note(j->w, WHO, "try %s", set);
	take_try(j, set);
	if (storm_backup(j->w, &j->door, name, &t, set, &p, &e) < 0)
		storm_bad(j->w, WHO, "the next backup of volume %u fails: %s: %s", volume,
		          err_class_name(e.class), e.msg);
	storm_note(j->w, WHO, "ok %s %s", set, p.session);
	(void)snprintf(entry_of(j, set)->session, sizeof(j->entries->session), "%s", p.session);
	int rc = storm_restore(j->w, &j->door, WHO, &p, &e);
	if (rc <= 0)
		storm_bad(j->w, WHO, "what was backed up just now does not come back: %s",
		          rc < 0 ? e.msg : "it is another tree");
}

/* Until there is nothing left to do. */
static void collect(struct judge *j)
{
	for (unsigned round = 0; round < ROUNDS_MAX; round++) {
		struct gc_result r;
		struct err e = ERR_INIT;

		if (gc_run(j->door.agent, &storm_eager, &r, &e) < 0) {
			if (j->flags & STORM_JUDGE_FOUND && e.class == ERR_CORRUPT)
				return;
			storm_bad(j->w, WHO, "a collection fails: %s: %s", err_class_name(e.class),
			          e.msg);
		}
		storm_note(j->w, WHO, "gc %s %" PRIu64, gc_outcome_name(r.outcome), r.generation);
		if (r.outcome == GC_NOTHING)
			return;
		if (r.outcome == GC_WAITING)
			storm_bad(j->w, WHO, "a collection waits, and nobody is at work");
	}
	storm_bad(j->w, WHO, "collections come to no end");
}

/* ---- how much is left ---- */

struct space {
	uint64_t bytes, sessions, probes, segments;
};

static int take_space(void *arg, const struct store_item *item, struct err *e)
{
	struct space *s = arg;

	(void)e;
	if (strncmp(item->key, "pack/", 5) == 0 || strncmp(item->key, "meta/", 5) == 0)
		s->bytes += item->st.size;
	/* A beat that came late, after its marker went, goes when it is a day old. */
	s->sessions += strncmp(item->key, "sess/", 5) == 0 &&
	               strlen(item->key) == 5 + POINT_SESSION_LEN;
	s->probes += strncmp(item->key, "probe/", 6) == 0;
	s->segments += strncmp(item->key, "idx/", 4) == 0;
	return 0;
}

static struct space space_of(const struct judge *j, struct store *store)
{
	struct space s = { 0 };
	struct err e = ERR_INIT;

	if (store_list(store, "", NULL, take_space, &s, &e) < 0)
		storm_bad(j->w, WHO, "the store cannot be listed: %s", e.msg);
	return s;
}

/* What a new repository with the same trees would need. */
static uint64_t fresh_bytes(const struct judge *j)
{
	auto_free char *dir = path_join(j->w->dir, "fresh");
	struct storm_world w = *j->w;
	struct judge fresh = { .w = &w };
	struct err e = ERR_INIT;

	if (mkdir(dir, 0700) < 0)
		harness_die("creating '%s'", dir);
	w.dir = dir;
	storm_world_make(&w);
	if (storm_door_open(&w, WHO, WHO, NULL, 0, &fresh.door, &e) < 0)
		storm_bad(j->w, WHO, "%s", e.msg);
	auto_free char *src = path_join(dir, "src");
	for (size_t i = 0; i < j->npoints; i++) {
		CLEANUP(point_clear) struct point p = { 0 };
		struct storm_tree t;
		char name[32];

		if (!is_live(j, &j->points[i]) || !storm_tree_of_set(&w, j->points[i].set, &t))
			continue;
		(void)snprintf(name, sizeof(name), "%zu", i);
		storm_tree_make(&t, src, name);
		if (storm_backup(&w, &fresh.door, name, &t, j->points[i].set, &p, &e) < 0)
			storm_bad(j->w, WHO, "%s", e.msg);
	}
	uint64_t bytes = space_of(&fresh, fresh.door.store).bytes;
	storm_door_close(&fresh.door);
	return bytes;
}

/* Expires all points but the newest of each volume, and lets go of all that is held. */
static void expire_old(struct judge *j)
{
	struct expiry_point *old = calloc(j->npoints + 1, sizeof(*old));
	struct err e = ERR_INIT;
	uint64_t number;
	size_t n = 0;

	if (!old)
		harness_die("no memory for the judge");
	for (size_t i = 0; i < j->expiry.nholds; i++) {
		if (!j->expiry.holds[i].released &&
		    expiry_put_release(j->door.agent, j->expiry.holds[i].number, "the end", WHO,
		                       &number, &e) < 0)
			storm_bad(j->w, WHO, "a hold is not released: %s", e.msg);
	}
	for (size_t i = 0; i < j->nwishes; i++)
		j->wishes[i].hold = 0;
	for (size_t i = 0; i < j->expiry.npins; i++) {
		if (expiry_unpin(j->door.agent, j->expiry.pins[i].key, &e) < 0)
			storm_bad(j->w, WHO, "a pin is not removed: %s", e.msg);
	}
	for (size_t i = 0; i < j->npoints; i++) {
		const struct point *p = &j->points[i];
		bool newest = true;

		for (size_t k = 0; k < j->npoints && newest; k++)
			newest = strcmp(p->volume.name, j->points[k].volume.name) != 0 ||
			         point_cmp(p, &j->points[k]) >= 0;
		if (newest)
			continue;
		storm_note(j->w, WHO, "tomb? %s", p->session);
		wish_of(j, p->session)->tomb_asked = true;
		old[n++] = (struct expiry_point){ .session = p->session, .why = "the end" };
	}
	if (n > 0 && expiry_put_tomb(j->door.agent, "", old, n, &number, &e) < 0)
		storm_bad(j->w, WHO, "a tombstone fails: %s", e.msg);
	free(old);
}

/* What the newest points need is there, and hardly anything else. */
static void judge_rest(struct judge *j)
{
	expire_old(j);
	collect(j);
	check(j, "at the end");
	read_points(j);
	judge_acknowledged(j);
	judge_points(j);
	restore_points(j);
	if (j->npoints > STORM_VOLUMES)
		storm_bad(j->w, WHO, "%zu points are left of %u volumes", j->npoints,
		          STORM_VOLUMES);
	struct space s = space_of(j, j->door.store);
	uint64_t fresh = fresh_bytes(j);
	storm_note(j->w, WHO, "space %" PRIu64 " of %" PRIu64, s.bytes, fresh);
	(void)printf("%" PRIu64 " KiB are left, a new repository needs %" PRIu64 "\n",
	             s.bytes / KIB, fresh / KIB);
	if (s.bytes > 2 * fresh + 512 * KIB)
		storm_bad(j->w, WHO,
		          "%" PRIu64 " bytes of packs are left where %" PRIu64 " would do", s.bytes,
		          fresh);
	if (s.sessions > 0 || s.segments > 100)
		storm_bad(j->w, WHO, "%" PRIu64 " markers and %" PRIu64 " segments are left",
		          s.sessions, s.segments);
}

/* ---- all of it ---- */

static void judge_clear(struct judge *j)
{
	for (size_t i = 0; i < j->npoints; i++)
		point_clear(&j->points[i]);
	free(j->points);
	free(j->entries);
	free(j->wishes);
	expiry_clear(&j->expiry);
	storm_door_close(&j->door);
}

struct storm_verdict storm_judge(const struct storm_world *w, unsigned flags)
{
	CLEANUP(judge_clear) struct judge j = { .w = w, .flags = flags };
	struct err e = ERR_INIT;

	storm_note(w, WHO, "sits down");
	if (storm_door_open(w, WHO, WHO, NULL, 0, &j.door, &e) < 0)
		storm_bad(w, WHO, "the repository does not open: %s", e.msg);
	read_book(&j);
	read_points(&j);
	judge_acknowledged(&j);
	judge_points(&j);
	restore_points(&j);
	check(&j, "when everybody stops");
	struct storm_verdict verdict = j.verdict;
	for (unsigned v = 0; v < STORM_VOLUMES; v++)
		next_backup(&j, v);
	collect(&j);
	check(&j, "after the collection");
	read_points(&j);
	judge_acknowledged(&j);
	judge_points(&j);
	restore_points(&j);
	if (flags & STORM_JUDGE_QUIET)
		judge_rest(&j);
	return verdict;
}
