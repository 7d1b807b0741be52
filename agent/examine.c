/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See examine.h. All names begin with one random id, so that two that examine
 * a store do not meet, and are noted before they are used: whatever happens,
 * the end knows what may be there. Nothing large is written before it is known
 * whether it can be deleted again.
 */
#include "agent/examine.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "common/now.h"
#include "common/secret.h"
#include "common/team.h"

#define STREAMS 16
#define NAMES_MAX 256
#define KEY_BYTES 64
#define HEAD_BYTES 8 /* of an object: what tells it from others */
#define SMALL_BYTES KIB
#define RANGE_BYTES (64 * KIB)
#define SINGLE_FIRST_BYTES (256 * KIB)
#define SINGLE_BYTES (4 * MIB)
#define SHARE_BYTES (3 * MIB)
#define PHASE_S 5 /* of moving with one stream, and about of moving with many */
#define FAST_NS 300000000
#define NS_PER_S INT64_C(1000000000)
#define LOCK_NS (120 * NS_PER_S) /* of the object that tries it out */

static const char rights_group[] = "rights", promises_group[] = "guarantees",
		  regions_group[] = "second region", speed_group[] = "speed";

/* Names of small objects, in the order of bytes that lists must have. */
static const char *const small_names[] = { "0", "0a", "1", "a-b", "a.b", "a0", "b", "z" };
#define SMALLS ARRAY_LEN(small_names)

struct made {
	char key[KEY_BYTES];
	size_t bytes;
	bool gone;   /* deleted, or never there */
	bool kept;   /* by a lock, for a while */
	bool absent; /* it was never there */
};

struct run {
	const struct examine *x;
	struct examine_figures *f;
	const char *url;
	char prefix[KEY_BYTES / 2]; /* "probe/ID-" */
	uint8_t *noise;             /* SINGLE_BYTES that do not compress */
	struct made made[NAMES_MAX];
	size_t nmade;
	uint64_t excused; /* requests that failed because the service lacks something */
	bool uncertain;   /* a create of a name that is taken failed for another reason */
	bool remote;      /* there is a service that gets requests */
	struct err why[STORE_RIGHTS]; /* what each right's trial failed with */
};

static bool may(const struct run *r, enum store_right right)
{
	return r->why[right].class == ERR_NONE;
}

static void tell(const struct run *r, const char *group, const char *check,
                 const struct doctor_verdict *v)
{
	r->x->tell(r->x->arg, group, check, v);
}

/* Notes an object that is about to be made. There is always room: see NAMES_MAX. */
static struct made *note(struct run *r, const char *name, size_t bytes)
{
	struct made *m = &r->made[r->nmade];

	if (r->nmade + 1 < NAMES_MAX)
		r->nmade++;
	*m = (struct made){ .bytes = bytes };
	(void)snprintf(m->key, sizeof(m->key), "%s%s", r->prefix, name);
	return m;
}

/* The bytes of an object: a number, then noise. */
static int put(const struct run *r, struct store *s, const char *key, uint64_t number, size_t bytes,
               struct err *e)
{
	const struct iovec iov[] = { { &number, HEAD_BYTES }, { r->noise, bytes - HEAD_BYTES } };

	return store_put(s, key, iov, ARRAY_LEN(iov), e);
}

static bool is_same(const struct run *r, const uint8_t *p, uint64_t number, size_t bytes)
{
	return memcmp(p, &number, HEAD_BYTES) == 0 &&
	       memcmp(p + HEAD_BYTES, r->noise, bytes - HEAD_BYTES) == 0;
}

/* ---- rights ---- */

static int end_list(void *arg, const struct store_item *item, struct err *e)
{
	(void)arg;
	(void)item;
	(void)e;
	return 1;
}

/* A read of what is not there, which only asks for an answer. */
static int ask(struct store *s, const char *key, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	struct err why;

	if (store_get_all(s, key, &b, &why) == 0 || why.class == ERR_NOT_FOUND)
		return 0;
	*e = why;
	return -1;
}

static void try_rights(struct run *r)
{
	struct store *s = r->x->store;
	uint8_t bytes[SMALL_BYTES];
	struct made *keep = note(r, "first", sizeof(bytes));
	struct made *drop = note(r, "dropped", sizeof(bytes));

	keep->gone = put(r, s, keep->key, 0, sizeof(bytes), &r->why[RIGHT_CREATE]) < 0;
	/* A failure without a clear answer may have left it there. */
	keep->gone &= r->why[RIGHT_CREATE].class == ERR_DENIED;
	keep->absent = keep->gone;
	drop->gone = drop->absent = keep->gone;
	if (may(r, RIGHT_CREATE)) {
		struct err why;

		drop->gone = put(r, s, drop->key, 0, sizeof(bytes), &why) < 0;
		(void)!store_get(s, keep->key, 0, bytes, sizeof(bytes), &r->why[RIGHT_READ]);
	} else {
		(void)!ask(s, drop->key, &r->why[RIGHT_READ]);
	}
	(void)!store_list(s, r->prefix, NULL, end_list, NULL, &r->why[RIGHT_LIST]);
	drop->gone |= store_delete(s, drop->key, &r->why[RIGHT_DELETE]) == 0;
}

/* True: all is refused, and for one and the same reason, which no single right can mend. */
static bool refused(const struct run *r)
{
	const char *cause = doctor_cause(r->why[RIGHT_LIST].msg, r->url);

	for (enum store_right i = RIGHT_CREATE; i <= RIGHT_DELETE; i++)
		if (r->why[i].class != ERR_DENIED ||
		    strcmp(doctor_cause(r->why[i].msg, r->url), cause) != 0)
			return false;
	return true;
}

/* False: nothing else can be seen. */
static bool tell_rights(struct run *r)
{
	static const char *const names[] = { "create", "read", "list", "delete" };
	struct doctor_verdict v;

	if (refused(r)) {
		v = doctor_say(DOCTOR_FAILED, "%s", doctor_cause(r->why[RIGHT_LIST].msg, r->url));
		tell(r, rights_group, "credentials", &v);
		v = doctor_say(DOCTOR_NONE, "the other checks need credentials that are accepted");
		tell(r, rights_group, "all else", &v);
		return false;
	}
	if (r->remote) {
		v = doctor_judge_end(store_ends(r->x->store), now_wall_ns());
		tell(r, rights_group, "credentials", &v);
	}
	for (enum store_right i = RIGHT_CREATE; i <= RIGHT_DELETE; i++) {
		v = doctor_judge_right(i, &r->why[i], store_right(r->x->store, i), r->url);
		tell(r, rights_group, names[i], &v);
	}
	return true;
}

/* What is stored here is deletable a moment later, whatever comes of it. */
static void try_lock(struct run *r)
{
	const struct examine *x = r->x;
	struct doctor_lock l = { .asked = x->lock, .put = ERR_INIT, .del = ERR_INIT };
	struct made *m = note(r, "locked", SMALL_BYTES);
	struct store_stat st;
	struct err why = ERR_INIT;

	m->gone = put(r, x->locking, m->key, 0, SMALL_BYTES, &l.put) < 0;
	/* Short-lived names are not locked by themselves. The time is one of the store's clock. */
	if (!m->gone && store_head(x->locking, m->key, &st, &l.put) == 0)
		(void)!store_lock(x->locking, m->key, st.received_ns + LOCK_NS, &l.put);
	if (!m->gone && store_head(x->locking, m->key, &st, &why) == 0)
		l.locked_until_ns = st.locked_until_ns;
	if (!m->gone && store_delete(x->locking, m->key, &l.del) == 0) {
		why = (struct err)ERR_INIT;
		l.deleted = store_head(x->locking, m->key, &st, &why) < 0 &&
		            why.class == ERR_NOT_FOUND;
		m->gone = l.deleted && l.locked_until_ns == 0;
	}
	/* With S3 another delete would only hide it again. */
	m->kept = !m->gone;
	struct doctor_verdict v = doctor_judge_lock(&l, store_right(x->store, RIGHT_LOCK), r->url);
	tell(r, rights_group, "lock", &v);
}

/* ---- what the store guarantees ---- */

static void try_create_only(struct run *r)
{
	struct err why = ERR_INIT, read = ERR_INIT;
	const char *key = r->made[0].key;
	uint8_t bytes[SMALL_BYTES];
	bool kept = put(r, r->x->store, key, 1, sizeof(bytes), &why) < 0;
	struct doctor_verdict v;

	r->uncertain = kept && why.class != ERR_EXISTS;
	if (r->uncertain)
		v = doctor_say(DOCTOR_FAILED, "%s", doctor_cause(why.msg, r->url));
	else if (store_get(r->x->store, key, 0, bytes, sizeof(bytes), &read) < 0)
		v = doctor_say(DOCTOR_FAILED, "%s", doctor_cause(read.msg, r->url));
	else if (kept && is_same(r, bytes, 0, sizeof(bytes)))
		v = doctor_say(DOCTOR_OK, "a name that is taken stays as it is");
	else
		v = doctor_say(r->x->single_writer ? DOCTOR_WARNING : DOCTOR_FAILED,
		               "the store lets an object be overwritten%s",
		               r->x->single_writer ? "; the repository has one writer"
		                                   : ": only one writer may use it");
	tell(r, promises_group, "create-only", &v);
}

struct race {
	struct run *r;
	const char *key;
	struct team_tasks tasks;
	atomic_uint won;
	atomic_uint lost;
	atomic_uint winner; /* the last one */
};

static int race_one(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct race *race = arg;
	struct err why;
	size_t number;

	(void)i;
	(void)stop;
	(void)e;
	while (team_take(&race->tasks, &number)) {
		why = (struct err)ERR_INIT;
		if (put(race->r, race->r->x->store, race->key, number, SMALL_BYTES, &why) == 0) {
			atomic_fetch_add(&race->won, 1);
			atomic_store(&race->winner, (unsigned)number);
		} else if (why.class == ERR_EXISTS) {
			atomic_fetch_add(&race->lost, 1);
		}
	}
	return 0;
}

static void try_races(struct run *r)
{
	struct doctor_race result = { .racers = STREAMS, .rounds = r->x->quick ? 2 : 4 };
	uint8_t bytes[SMALL_BYTES];
	char name[16];

	if (r->uncertain)
		return;
	for (unsigned i = 0; i < result.rounds && !cancel_requested(r->x->cancel); i++) {
		struct err why = ERR_INIT;
		(void)snprintf(name, sizeof(name), "race-%u", i);
		struct race race = { .r = r,
			             .key = note(r, name, SMALL_BYTES)->key,
			             .tasks = { .n = STREAMS } };

		(void)!team_run(STREAMS, "race", race_one, &race, &why);
		if (race.won > 1)
			result.many++;
		else if (race.won == 1 && race.lost == STREAMS - 1 &&
		         store_get(r->x->store, race.key, 0, bytes, sizeof(bytes), &why) == 0 &&
		         is_same(r, bytes, race.winner, sizeof(bytes)))
			result.single++;
		else
			result.other++;
	}
	struct doctor_verdict v = doctor_judge_race(&result, r->x->single_writer);
	tell(r, promises_group, "one of 16 creates", &v);
}

/* A list of the small objects, from the name `from` on. */
struct listing {
	const struct run *r;
	size_t next; /* the lowest of small_names that may come */
	struct doctor_list seen;
};

static int see(void *arg, const struct store_item *item, struct err *e)
{
	struct listing *l = arg;
	size_t n = strlen(l->r->prefix);

	(void)e;
	if (strncmp(item->key, l->r->prefix, n) != 0)
		return 0;
	for (size_t i = 0; i < SMALLS; i++) {
		if (strcmp(item->key + n, small_names[i]) != 0)
			continue;
		if (i < l->next)
			l->seen.disorder = true;
		else
			l->next = i + 1;
		l->seen.found++;
		return 0;
	}
	return 0;
}

/* The number of items after `after`, NULL for all, that are among those wanted. */
static int list_smalls(struct run *r, size_t first, struct doctor_list *ret, struct err *e)
{
	char after[KEY_BYTES];
	struct listing l = { .r = r, .seen = { .wanted = (unsigned)(SMALLS - first) } };

	(void)snprintf(after, sizeof(after), "%s%s", r->prefix,
	               first > 0 ? small_names[first - 1] : "");
	if (store_list(r->x->store, r->prefix, first > 0 ? after : NULL, see, &l, e) < 0)
		return -1;
	if (l.seen.found > l.seen.wanted) {
		l.seen.foreign = l.seen.found - l.seen.wanted;
		l.seen.found = l.seen.wanted;
	}
	*ret = l.seen;
	return 0;
}

/* Objects are read at the moment that they are stored; their times tell the store's clock. */
static void try_visible(struct run *r)
{
	struct store *s = r->x->store;
	uint8_t bytes[SMALL_BYTES];
	struct err why = ERR_INIT;
	struct doctor_verdict v;
	unsigned stale = 0;
	struct doctor_list all, half;
	struct store_stat st;
	size_t i;

	for (i = 0; i < SMALLS; i++) {
		const struct made *m = note(r, small_names[i], SMALL_BYTES);
		int64_t sent_ns = now_wall_ns();

		if (put(r, s, m->key, i, SMALL_BYTES, &why) < 0)
			break;
		int64_t done_ns = now_wall_ns();
		if (store_get(s, m->key, 0, bytes, sizeof(bytes), &why) < 0 ||
		    store_head(s, m->key, &st, &why) < 0) {
			if (why.class != ERR_NOT_FOUND && why.class != ERR_CORRUPT)
				break;
			stale++;
			why = (struct err)ERR_INIT;
			continue;
		}
		stale += st.size != SMALL_BYTES || !is_same(r, bytes, i, sizeof(bytes));
		if (st.received_ns > 0)
			doctor_clock_add(&r->f->clock, sent_ns, done_ns, st.received_ns);
	}
	if (i < SMALLS)
		v = doctor_say(DOCTOR_FAILED, "%s", doctor_cause(why.msg, r->url));
	else
		v = doctor_say(stale > 0 ? DOCTOR_FAILED : DOCTOR_OK,
		               stale > 0 ? "of %zu objects just written, %u are not there, or are "
		                           "not what was written"
		                         : "all %zu objects are there at once, byte for byte",
		               SMALLS, stale);
	tell(r, promises_group, "read after write", &v);
	if (i < SMALLS)
		return;
	if (list_smalls(r, 0, &all, &why) < 0 || list_smalls(r, SMALLS / 2, &half, &why) < 0)
		v = doctor_say(DOCTOR_FAILED, "%s", doctor_cause(why.msg, r->url));
	else
		v = doctor_judge_list(&all, &half);
	tell(r, promises_group, "list after write", &v);
}

static void try_ranges(struct run *r)
{
	static const struct {
		size_t off, n;
	} ranges[] = { { 0, 1 }, { 1, 4096 }, { 32768, 32768 }, { RANGE_BYTES - 1, 1 } };
	struct store *s = r->x->store;
	const struct made *m = note(r, "ranges", RANGE_BYTES);
	auto_free uint8_t *back = malloc(RANGE_BYTES);
	auto_free uint8_t *whole = calloc(1, RANGE_BYTES);
	struct err why = ERR_INIT;
	struct doctor_verdict v;
	bool wrong = false;

	if (!back || !whole)
		return;
	memcpy(whole + HEAD_BYTES, r->noise, RANGE_BYTES - HEAD_BYTES);
	int rc = put(r, s, m->key, 0, RANGE_BYTES, &why);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(ranges); i++) {
		rc = store_get(s, m->key, ranges[i].off, back, ranges[i].n, &why);
		wrong |= rc == 0 && memcmp(back, whole + ranges[i].off, ranges[i].n) != 0;
	}
	if (rc < 0) {
		v = doctor_say(DOCTOR_FAILED, "%s", doctor_cause(why.msg, r->url));
	} else if (wrong || store_get(s, m->key, RANGE_BYTES - 1, back, 2, &why) == 0) {
		v = doctor_say(DOCTOR_FAILED, "a part of an object is not what was asked for");
	} else {
		v = doctor_say(DOCTOR_OK, "parts of an object come back exactly");
	}
	tell(r, promises_group, "range reads", &v);
}

static void tell_checksum(struct run *r)
{
	struct doctor_verdict v;

	if (!r->remote)
		return;
	v = r->x->store->caps & STORE_CAP_CHECKSUM
	            ? doctor_say(DOCTOR_OK, "each upload carries one, which the service verifies")
	            : doctor_say(DOCTOR_WARNING,
	                         "the service checks no upload: what is damaged on its way is "
	                         "found by aksdr-catalog check only");
	tell(r, promises_group, "checksums", &v);
}

static void try_gone(struct run *r)
{
	struct store *s = r->x->store;
	struct doctor_list left = { 0 };
	struct err why = ERR_INIT;
	struct doctor_verdict v;
	uint8_t byte;
	unsigned still_read = 0, deleted = 0;
	int rc = 0;

	if (!may(r, RIGHT_DELETE))
		return;
	for (size_t i = 0; rc == 0 && i < r->nmade; i++) {
		struct made *m = &r->made[i];

		if (m->gone || m->kept || m->bytes != SMALL_BYTES || i == 0)
			continue;
		rc = store_delete(s, m->key, &why);
		m->gone = rc == 0;
		if (rc < 0)
			break;
		deleted++;
		struct err read = ERR_INIT;
		still_read += store_get(s, m->key, 0, &byte, 1, &read) == 0;
	}
	if (rc == 0)
		rc = list_smalls(r, 0, &left, &why);
	left.foreign += left.found;
	if (rc < 0)
		v = doctor_say(DOCTOR_WARNING, "%s", doctor_cause(why.msg, r->url));
	else
		v = doctor_judge_gone(&left, still_read, deleted);
	tell(r, promises_group, "gone after delete", &v);
}

/* ---- clock and second region ---- */

static int64_t store_time(const struct run *r)
{
	return now_wall_ns() + (r->f->clock.lo_ns + r->f->clock.hi_ns) / 2;
}

static uint64_t failed_requests(struct store *s)
{
	struct store_traffic t = store_traffic(s);
	uint64_t n = 0;

	for (unsigned i = 0; i < STORE_TRAFFIC_OPS; i++)
		n += t.ops[i].failures;
	return n;
}

static void try_second(struct run *r)
{
	struct store *s = r->x->store;
	struct err why = ERR_INIT;
	struct doctor_verdict v;
	struct store_cut cut;
	char key[KEY_BYTES];
	uint8_t byte;

	uint64_t failures = failed_requests(s);
	if (store_cut(s, 0, &cut, &why) == 0)
		v = doctor_judge_cut(&cut, store_time(r), &r->f->lag_ns);
	else
		v = doctor_judge_no_cut(&why, r->url);
	/* A service that knows of no replication may say so by a failure. */
	r->excused += failed_requests(s) - failures;
	tell(r, regions_group, "second region", &v);
	if (!r->x->second || (why.class == ERR_NONE && cut.kind == CUT_NONE) ||
	    why.class == ERR_RETRY || why.class == ERR_UNSUPPORTED)
		return;
	why = (struct err)ERR_INIT;
	(void)snprintf(key, sizeof(key), "%snever", r->prefix);
	int64_t start_ns = now_mono_ns();
	int rc = ask(r->x->second, key, &why);
	int64_t took_ms = (now_mono_ns() - start_ns) / 1000000;
	struct err missing = ERR_INIT;
	if (rc < 0) {
		v = doctor_say(DOCTOR_WARNING, "%s", doctor_cause(why.msg, r->x->second->url));
		(void)snprintf(v.remedy, sizeof(v.remedy),
		               "restores from there would not work: it takes the same rights as "
		               "the first region");
	} else {
		bool there = may(r, RIGHT_CREATE) &&
		             store_get(r->x->second, r->made[0].key, 0, &byte, 1, &missing) == 0;

		v = doctor_say(DOCTOR_OK, "answers in %lld ms%s", (long long)took_ms,
		               there                  ? "; what was just written is there already"
		               : may(r, RIGHT_CREATE) ? "; what was just written is not there yet"
		                                      : "");
	}
	tell(r, regions_group, "reads from there", &v);
}

static void tell_clock(struct run *r)
{
	struct doctor_verdict v = doctor_judge_clock(&r->f->clock);

	tell(r, promises_group, "clock", &v);
}

/* ---- speed ---- */

static void try_latency(struct run *r)
{
	int64_t ns[24];
	size_t n = r->x->quick ? 8 : ARRAY_LEN(ns);
	uint8_t bytes[SMALL_BYTES];
	struct err why = ERR_INIT;
	struct doctor_verdict v;

	for (size_t i = 0; i < n; i++) {
		int64_t start_ns = now_mono_ns();

		if (store_get(r->x->store, r->made[0].key, 0, bytes, sizeof(bytes), &why) < 0) {
			v = doctor_say(DOCTOR_FAILED, "%s", doctor_cause(why.msg, r->url));
			tell(r, speed_group, "latency", &v);
			return;
		}
		ns[i] = now_mono_ns() - start_ns;
	}
	r->f->latency = doctor_spread_of(ns, n);
	v = doctor_judge_latency(&r->f->latency, n);
	tell(r, speed_group, "latency", &v);
}

/* Objects that are moved: made[first] and those after it. */
struct move {
	struct run *r;
	bool up;
	size_t first, n;
	struct team_tasks tasks;
	struct progress_counts *counts;
};

static int move_one(struct move *m, size_t i, uint8_t *back, struct err *e)
{
	struct run *r = m->r;
	const struct made *o = &r->made[m->first + i];

	if (cancel_check(r->x->cancel, e) < 0)
		return -1;
	if (m->up && put(r, r->x->store, o->key, i, o->bytes, e) < 0)
		return -1;
	if (!m->up && store_get(r->x->store, o->key, 0, back, o->bytes, e) < 0)
		return -1;
	if (!m->up && !is_same(r, back, i, o->bytes))
		return err_set(e, ERR_CORRUPT, "an object does not come back as it was written");
	atomic_fetch_add_explicit(&m->counts->bytes_done, o->bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->counts->files_done, 1, memory_order_relaxed);
	return 0;
}

static int move_some(void *arg, unsigned thread, const atomic_bool *stop, struct err *e)
{
	struct move *m = arg;
	auto_free uint8_t *back = m->up ? NULL : malloc(SINGLE_BYTES);
	size_t i;

	(void)thread;
	if (!m->up && !back)
		return err_set(e, ERR_NOMEM, "no memory for an object");
	while (!atomic_load(stop) && team_take(&m->tasks, &i))
		if (move_one(m, i, back, e) < 0)
			return -1;
	return 0;
}

/* Many at once: the objects are noted already. */
static int move_many(struct run *r, bool up, size_t first, size_t n, struct progress_counts *counts,
                     struct doctor_rate *ret, struct err *e)
{
	struct move m = {
		.r = r, .up = up, .first = first, .n = n, .tasks = { .n = n }, .counts = counts
	};
	int64_t start_ns = now_mono_ns();

	if (team_run(STREAMS, up ? "upload" : "download", move_some, &m, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		ret->bytes += r->made[first + i].bytes;
	ret->ns = now_mono_ns() - start_ns;
	return 0;
}

/*
 * One after the other, larger ones as long as that is quick; the rate is that
 * of the largest. *ret_n objects were made.
 */
static int upload_single(struct run *r, uint64_t max_bytes, struct progress_counts *counts,
                         size_t *ret_n, struct doctor_rate *ret, struct err *e)
{
	struct move m = { .r = r, .up = true, .first = r->nmade, .counts = counts };
	int64_t end_ns = now_mono_ns() + PHASE_S * NS_PER_S;
	size_t bytes = SINGLE_FIRST_BYTES;
	uint64_t total = 0;
	char name[16];
	size_t n = 0;

	*ret = (struct doctor_rate){ 0 };
	do {
		(void)snprintf(name, sizeof(name), "up-%zu", n);
		(void)note(r, name, bytes);
		int64_t start_ns = now_mono_ns();
		if (move_one(&m, n, NULL, e) < 0)
			return -1;
		int64_t took_ns = now_mono_ns() - start_ns;
		n++;
		total += bytes;
		ret->bytes += bytes;
		ret->ns += took_ns;
		if (bytes < SINGLE_BYTES && took_ns < FAST_NS && total + 2 * bytes <= max_bytes) {
			bytes *= 2;
			*ret = (struct doctor_rate){ 0 };
		}
	} while (total + bytes <= max_bytes && now_mono_ns() < end_ns);
	/* The largest were just begun with: the one before must do. */
	if (ret->ns == 0)
		*ret = (struct doctor_rate){ .bytes = total, .ns = PHASE_S * NS_PER_S };
	*ret_n = n;
	return 0;
}

static int download_single(struct run *r, size_t first, size_t n, struct progress_counts *counts,
                           struct doctor_rate *ret, struct err *e)
{
	struct move m = { .r = r, .first = first, .counts = counts };
	int64_t end_ns = now_mono_ns() + PHASE_S * NS_PER_S;
	auto_free uint8_t *back = malloc(SINGLE_BYTES);
	size_t largest = r->made[first + n - 1].bytes;

	*ret = (struct doctor_rate){ 0 };
	if (!back)
		return err_set(e, ERR_NOMEM, "no memory for an object");
	/* From the largest on: there may be no time for all. */
	for (size_t i = n; i-- > 0 && now_mono_ns() < end_ns;) {
		if (r->made[first + i].bytes != largest)
			break;
		int64_t start_ns = now_mono_ns();
		if (move_one(&m, i, back, e) < 0)
			return -1;
		ret->ns += now_mono_ns() - start_ns;
		ret->bytes += largest;
	}
	return 0;
}

/* What may be written: little, where it would stay, or as a version that nobody sees. */
static uint64_t single_limit(const struct run *r)
{
	if (!may(r, RIGHT_DELETE))
		return 512 * KIB;
	return r->x->quick || r->x->locking ? 2 * MIB : 16 * MIB;
}

static size_t share_limit(const struct run *r)
{
	if (!may(r, RIGHT_DELETE))
		return 96 * KIB;
	return r->x->quick || r->x->locking ? 384 * KIB : SHARE_BYTES;
}

static void tell_rate(struct run *r, bool up, int rc, const struct err *why)
{
	struct examine_figures *f = r->f;
	struct doctor_verdict v = up ? doctor_judge_rate(f->up_one, f->up_many, STREAMS, true)
	                             : doctor_judge_rate(f->down_one, f->down_many, STREAMS, false);

	if (rc < 0)
		v = doctor_say(DOCTOR_FAILED, "%s", doctor_cause(why->msg, r->url));
	tell(r, speed_group, up ? "upload" : "download", &v);
}

static void try_rates(struct run *r)
{
	struct examine_figures *f = r->f;
	struct progress_counts counts = { 0 };
	struct err why = ERR_INIT;
	size_t singles = r->nmade, nsingles = 0;
	char name[16];

	counts.bytes_total = single_limit(r) + STREAMS * share_limit(r);
	struct progress *p = progress_start("measuring uploads", r->x->progress, &counts);
	int rc = upload_single(r, single_limit(r), &counts, &nsingles, &f->up_one, &why);
	size_t many = r->nmade;
	size_t share = doctor_share(doctor_rate_of(f->up_one), STREAMS, PHASE_S, share_limit(r));
	for (size_t i = 0; rc == 0 && i < STREAMS; i++) {
		(void)snprintf(name, sizeof(name), "many-%zu", i);
		(void)note(r, name, share);
	}
	if (rc == 0)
		rc = move_many(r, true, many, STREAMS, &counts, &f->up_many, &why);
	progress_stop(p);
	tell_rate(r, true, rc, &why);
	if (rc < 0)
		return;
	counts.bytes_done = counts.files_done = 0;
	p = progress_start("measuring downloads", r->x->progress, &counts);
	rc = download_single(r, singles, nsingles, &counts, &f->down_one, &why);
	if (rc == 0)
		rc = move_many(r, false, many, STREAMS, &counts, &f->down_many, &why);
	progress_stop(p);
	tell_rate(r, false, rc, &why);
}

static void tell_requests(struct run *r)
{
	struct store_traffic t = store_traffic(r->x->store);
	uint64_t all = 0, throttled = 0, failures = failed_requests(r->x->store) - r->excused;
	struct doctor_verdict v = { .result = DOCTOR_OK };
	char parts[256] = "";
	size_t n = 0;

	for (unsigned i = 0; i < STORE_TRAFFIC_OPS; i++) {
		all += t.ops[i].requests;
		throttled += t.ops[i].throttled;
		if (t.ops[i].requests > 0 && n < sizeof(parts))
			n += (size_t)snprintf(parts + n, sizeof(parts) - n, "%s%llu %s",
			                      n > 0 ? ", " : "",
			                      (unsigned long long)t.ops[i].requests,
			                      store_traffic_name(i));
	}
	if (all == 0)
		return;
	v = doctor_say(failures > 0 ? DOCTOR_WARNING : DOCTOR_OK, "%llu: %s%s",
	               (unsigned long long)all, parts, failures > 0 ? "" : "; none failed");
	if (failures > 0) {
		n = strlen(v.detail);
		(void)snprintf(v.detail + n, sizeof(v.detail) - n,
		               "; %llu got no answer or a refusal for now (%llu of them: come "
		               "later), and were repeated",
		               (unsigned long long)failures, (unsigned long long)throttled);
		(void)snprintf(v.remedy, sizeof(v.remedy), "%s",
		               throttled > 0 ? "the service throttles: raise its limits, or ask "
		                               "less with AKSDR_LIMIT_REQUESTS"
		                             : "the network loses connections: look at it");
	}
	tell(r, speed_group, "requests", &v);
}

/* ---- the end ---- */

struct sweep {
	struct run *r;
	struct team_tasks tasks;
};

static int sweep_some(void *arg, unsigned thread, const atomic_bool *stop, struct err *e)
{
	struct sweep *w = arg;
	size_t i;

	(void)thread;
	(void)stop;
	(void)e;
	while (team_take(&w->tasks, &i)) {
		struct made *m = &w->r->made[i];
		struct err why;

		if (!m->gone && !m->kept)
			m->gone = store_delete(w->r->x->sweep, m->key, &why) == 0;
	}
	return 0;
}

static void sweep(struct run *r, bool say)
{
	static const char versions[] = "; where versions are kept, those of what was deleted stay "
				       "until a rule of the container (bucket) removes them";
	struct sweep w = { .r = r, .tasks = { .n = r->nmade } };
	unsigned was = 0;
	struct err why;
	struct doctor_verdict v;

	if (may(r, RIGHT_DELETE))
		(void)!team_run(STREAMS, "sweep", sweep_some, &w, &why);
	for (size_t i = 0; i < r->nmade; i++) {
		r->f->left += !r->made[i].gone;
		r->f->left_bytes += r->made[i].gone ? 0 : r->made[i].bytes;
	}
	for (size_t i = 0; i < r->nmade; i++)
		was += !r->made[i].absent;
	if (!say || was == 0)
		return;
	if (r->f->left == 0)
		v = doctor_say(DOCTOR_OK, "nothing: all %u objects are deleted again%s", was,
		               r->x->locking ? versions : "");
	else
		v = doctor_say(DOCTOR_OK,
		               "%u object%s, %llu KiB, under %s*; aksdr-catalog gc removes what "
		               "is older than a day%s",
		               r->f->left, r->f->left == 1 ? "" : "s",
		               (unsigned long long)(r->f->left_bytes + 1023) / 1024, r->prefix,
		               r->x->locking ? versions : "");
	tell(r, speed_group, "left behind", &v);
}

/* ---- all of it ---- */

/* False: the store does not answer, which is told. */
static bool try_answer(struct run *r)
{
	struct store *s = r->x->store;
	struct err why = ERR_INIT;
	struct doctor_verdict v;
	char key[KEY_BYTES];

	(void)snprintf(key, sizeof(key), "%snever", r->prefix);
	int64_t start_ns = now_mono_ns();
	int rc = ask(s, key, &why);
	int64_t mid_ns = now_mono_ns();
	if (rc < 0 && why.class != ERR_DENIED) {
		v = doctor_say(DOCTOR_FAILED, "%s", doctor_cause(why.msg, r->url));
		tell(r, rights_group, "answer", &v);
		v = doctor_say(DOCTOR_NONE, "the other checks need an answer");
		tell(r, rights_group, "all else", &v);
		return false;
	}
	why = (struct err)ERR_INIT;
	(void)!ask(s, key, &why);
	r->f->first_ns = mid_ns - start_ns;
	r->remote = store_requests(s) > 0;
	v = doctor_judge_answer(r->f->first_ns, now_mono_ns() - mid_ns, r->remote);
	tell(r, rights_group, "answer", &v);
	return true;
}

static void (*const steps[])(struct run *r) = {
	try_create_only, try_races,  try_visible, try_ranges,  tell_checksum,
	try_gone,        tell_clock, try_second,  try_latency, try_rates,
};

/* Without the right to write or read, or to list, little is left to see. */
static bool usable(const struct run *r)
{
	return may(r, RIGHT_CREATE) && may(r, RIGHT_READ) && may(r, RIGHT_LIST);
}

int examine_store(const struct examine *x, struct examine_figures *ret, struct err *e)
{
	auto_free struct run *r = calloc(1, sizeof(*r));
	auto_free uint8_t *noise = malloc(SINGLE_BYTES);
	uint8_t id[8];
	char hex[17];

	*ret = (struct examine_figures){ .lag_ns = -1 };
	if (!r || !noise)
		return err_set(e, ERR_NOMEM, "no memory to examine a store");
	r->x = x;
	r->f = ret;
	r->url = x->store->url;
	r->noise = noise;
	secret_random(id, sizeof(id));
	secret_random(noise, SINGLE_BYTES);
	hex_encode(hex, id, sizeof(id));
	(void)snprintf(r->prefix, sizeof(r->prefix), "probe/%s-", hex);
	for (size_t i = 0; i < STORE_RIGHTS; i++)
		r->why[i] = (struct err)ERR_INIT;
	if (cancel_check(x->cancel, e) < 0)
		return -1;
	if (!try_answer(r))
		return cancel_check(x->cancel, e);
	try_rights(r);
	if (!cancel_requested(x->cancel) && !tell_rights(r))
		return 0;
	if (x->locking && may(r, RIGHT_CREATE) && !cancel_requested(x->cancel))
		try_lock(r);
	if (usable(r)) {
		for (size_t i = 0; i < ARRAY_LEN(steps) && !cancel_requested(x->cancel); i++)
			steps[i](r);
	} else if (!cancel_requested(x->cancel)) {
		struct doctor_verdict v = doctor_say(DOCTOR_NONE, "they need the rights above");

		tell(r, promises_group, "guarantees", &v);
		try_second(r);
		tell(r, speed_group, "speed", &v);
	}
	if (!cancel_requested(x->cancel))
		tell_requests(r);
	sweep(r, !cancel_requested(x->cancel));
	if (cancel_check(x->cancel, e) < 0)
		return ret->left > 0
		               ? err_wrap(e, "%u objects stay under %s*", ret->left, r->prefix)
		               : -1;
	return 0;
}
