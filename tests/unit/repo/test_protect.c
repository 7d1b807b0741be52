/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks of a restore point and of all that it needs: extended where older
 * objects are used again, told where they are not, and no hindrance to a
 * collection.
 */
#include "repo/protect.h"

#include "repo/check.h"
#include "repo/expiry.h"
#include "repo/gc.h"
#include "tests/harness/keys_kit.h"

#define DAY_S INT64_C(86400)
#define DAY_NS KIT_DAY_NS
#define HOUR_NS ((int64_t)3600 * 1000000000)
#define LOCK_S (30 * DAY_S)
#define T0 KIT_EPOCH_NS

/* A store that locks what it gets for 30 days, at the beginning of day 0. */
static struct store *locking(void)
{
	struct store *s = NULL;

	ok((s = store_mem_new(e)) ? 0 : -1);
	store_mem_set_now(s, T0);
	store_mem_set_lock(s, LOCK_S);
	return s;
}

static const struct kit_content first_content = {
	.volume = "v", .domain = "d", .n = 1, .files = 8, .bytes = 3000, .seed = 1
};

/* Has all that the first has. */
static struct kit_content again(const struct point *previous, unsigned n)
{
	struct kit_content c = first_content;

	c.n = n;
	c.from = 8;
	c.files = 9;
	c.previous = previous;
	return c;
}

struct told {
	struct protect_point v[8];
	char sessions[8][POINT_SESSION_LEN + 1];
	size_t n;
};

static int take(void *arg, const struct protect_point *p, struct err *e)
{
	struct told *t = arg;

	(void)e;
	assert_true(t->n < ARRAY_LEN(t->v));
	(void)snprintf(t->sessions[t->n], sizeof(t->sessions[0]), "%s", p->session);
	t->v[t->n++] = *p;
	return 0;
}

static struct protect_point told_of(const struct told *t, const char *session)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->sessions[i], session) == 0)
			return t->v[i];
	fail_msg("nothing was told of '%s'", session);
	return (struct protect_point){ 0 };
}

static struct protect_params on_day(unsigned day)
{
	return (struct protect_params){
		.lock_s = LOCK_S, .margin_s = 5 * DAY_S, .now_ns = T0 + day * DAY_NS, .threads = 2
	};
}

static struct protect_result protect_with(const struct kit *k, const struct protect_params *p)
{
	struct protect_result r;

	ok(protect_run(k->agent, p, &r, e));
	return r;
}

static struct protect_result protect(const struct kit *k, unsigned day, struct told *t)
{
	struct protect_params p = on_day(day);

	p.point = t ? take : NULL;
	p.arg = t;
	return protect_with(k, &p);
}

static int64_t locked_until(const struct kit *k, const char *key)
{
	struct store_stat st;

	ok(store_head(k->store, key, &st, e));
	return st.locked_until_ns;
}

/* Somebody with the right to delete: as many objects go as the store lets go. */
static size_t attack(const struct kit *k, const char *prefix)
{
	struct kit_names names = { .n = 0 };
	size_t gone = 0;

	kit_list(k, prefix, &names);
	for (size_t i = 0; i < names.n; i++) {
		struct err why = ERR_INIT;

		if (store_delete(k->store, names.keys[i], &why) == 0)
			gone++;
		else
			assert_int_equal(why.class, ERR_BUSY);
	}
	return gone;
}

static uint64_t hurt_entries(const struct kit *k)
{
	const struct check_params p = { .level = 4, .threads = 2 };
	struct check_result r;

	ok(check_run(k->recovery, &p, &r, e));
	return r.hurt_entries;
}

static void assert_opens(const struct kit *k, const char *session)
{
	auto_kit_point struct point p = { 0 };

	ok(repo_point(k->recovery, session, &p, e));
}

static char *first_key(const struct kit *k, const char *prefix)
{
	struct kit_names names = { .n = 0 };
	char *key;

	kit_list(k, prefix, &names);
	assert_true(names.n > 0);
	key = strdup(names.keys[0]);
	assert_non_null(key);
	return key;
}

/* ---- the promise ---- */

static void test_run__an_attacker_cannot_hurt_a_point_before_its_time(void **state)
{
	auto_kit struct kit k = kit_new_in(locking());

	(void)state;
	auto_kit_point struct point a = kit_backup(&k, &first_content);
	store_mem_set_now(k.store, T0 + 10 * DAY_NS);
	const struct kit_content c = again(&a, 2);
	auto_kit_point struct point b = kit_backup(&k, &c);

	struct told t = { .n = 0 };
	struct protect_result r = protect(&k, 10, &t);
	assert_int_equal(r.points, 2);
	assert_int_equal(r.covered, 2);
	assert_true(r.too_short > 0);
	assert_int_equal(r.extended, r.too_short);
	assert_int_equal(r.missing, 0);
	assert_int_equal(r.unreadable, 0);
	assert_int_equal(told_of(&t, b.session).wanted_ns, T0 + 40 * DAY_NS);
	assert_int_equal(told_of(&t, b.session).safe_ns, T0 + 40 * DAY_NS);
	assert_int_equal(told_of(&t, a.session).safe_ns, T0 + 30 * DAY_NS);

	store_mem_set_now(k.store, T0 + 40 * DAY_NS - HOUR_NS);
	assert_true(attack(&k, "") > 0); /* markers, and the first point's own */
	assert_int_equal(hurt_entries(&k), 0);
	assert_opens(&k, b.session);
}

/* What the locks of uploads alone are worth: the reason for all this. */
static void test_run__without_it_a_point_dies_with_the_packs_that_it_uses_again(void **state)
{
	auto_kit struct kit k = kit_new_in(locking());

	(void)state;
	auto_kit_point struct point a = kit_backup(&k, &first_content);
	store_mem_set_now(k.store, T0 + 10 * DAY_NS);
	const struct kit_content c = again(&a, 2);
	auto_kit_point struct point b = kit_backup(&k, &c);

	store_mem_set_now(k.store, T0 + 35 * DAY_NS);
	assert_int_equal(attack(&k, "pack/"), 1);
	assert_true(hurt_entries(&k) > 0);
}

static void test_run__finds_nothing_to_extend_until_the_margin_is_used_up(void **state)
{
	auto_kit struct kit k = kit_new_in(locking());

	(void)state;
	auto_kit_point struct point a = kit_backup(&k, &first_content);
	auto_free char *pack = first_key(&k, "pack/");
	store_mem_set_now(k.store, T0 + 10 * DAY_NS);
	const struct kit_content second = again(&a, 2);
	auto_kit_point struct point b = kit_backup(&k, &second);
	assert_true(protect(&k, 10, NULL).extended > 0);
	struct protect_result r = protect(&k, 10, NULL);
	assert_int_equal(r.too_short, 0);
	assert_int_equal(r.extended, 0);
	assert_int_equal(r.covered, 2);

	/* A point of the day after lies within the margin; one of six days later does not. */
	store_mem_set_now(k.store, T0 + 11 * DAY_NS);
	struct kit_content third = again(&b, 3);
	third.from = third.files;
	auto_kit_point struct point p3 = kit_backup(&k, &third);
	(void)protect(&k, 11, NULL);
	assert_int_equal(locked_until(&k, pack), T0 + 45 * DAY_NS);
	store_mem_set_now(k.store, T0 + 16 * DAY_NS);
	third.n = 4;
	auto_kit_point struct point p4 = kit_backup(&k, &third);
	(void)protect(&k, 16, NULL);
	assert_int_equal(locked_until(&k, pack), T0 + 51 * DAY_NS);
}

static void test_run__points_whose_time_is_over_are_left_alone(void **state)
{
	auto_kit struct kit k = kit_new_in(locking());

	(void)state;
	auto_kit_point struct point a = kit_backup(&k, &first_content);
	struct protect_result r = protect(&k, 31, NULL);
	assert_int_equal(r.points, 1);
	assert_int_equal(r.over, 1);
	assert_int_equal(r.objects, 0);
	assert_int_equal(r.extended, 0);
}

static void test_run__what_a_collection_has_moved_is_locked_where_it_is(void **state)
{
	auto_kit struct kit k = kit_new_in(locking());
	struct kit_content moved = first_content;

	(void)state;
	moved.moved = true;
	auto_kit_point struct point a = kit_backup(&k, &moved);
	store_mem_set_now(k.store, T0 + 1 * DAY_NS);
	struct protect_params p = on_day(1);
	p.lock_s = 60 * DAY_S;
	struct protect_result r = protect_with(&k, &p);
	assert_int_equal(r.covered, 1);
	auto_free char *pack = first_key(&k, "pack/");
	auto_free char *meta = first_key(&k, "meta/");
	auto_free char *idx = first_key(&k, "idx/");
	assert_int_equal(locked_until(&k, pack), T0 + 65 * DAY_NS);
	assert_int_equal(locked_until(&k, meta), T0 + 65 * DAY_NS);
	assert_int_equal(locked_until(&k, idx), T0 + 65 * DAY_NS);
	assert_int_equal(locked_until(&k, "config"), T0 + 65 * DAY_NS);
}

static void test_run__only_named_points_are_locked_longer(void **state)
{
	auto_kit struct kit k = kit_new_in(locking());
	struct kit_content other = first_content;

	(void)state;
	auto_kit_point struct point a = kit_backup(&k, &first_content);
	auto_free char *pack = first_key(&k, "pack/");
	other.volume = "w";
	other.seed = 500;
	other.n = 2;
	auto_kit_point struct point b = kit_backup(&k, &other);
	const char *const sessions[] = { a.session };
	struct protect_params p = on_day(0);
	struct told t = { .n = 0 };
	p.sessions = sessions;
	p.nsessions = 1;
	p.lock_s = 365 * DAY_S;
	p.point = take;
	p.arg = &t;
	assert_int_equal(protect_with(&k, &p).points, 1);
	assert_int_equal(t.n, 1);
	assert_string_equal(t.sessions[0], a.session);
	assert_int_equal(locked_until(&k, pack), T0 + 370 * DAY_NS);
	char key[NOTE_KEY_MAX];
	(void)snprintf(key, sizeof(key), "commit/%s", b.session);
	assert_int_equal(locked_until(&k, key), T0 + 30 * DAY_NS + HOUR_NS);
}

static void test_run__a_name_that_is_no_point_is_an_error(void **state)
{
	auto_kit struct kit k = kit_new_in(locking());
	const char *const sessions[] = {
		"2026-11-22/0123456789abcdef-0123456789abcdef0123456789abcdef"
	};
	struct protect_params p = on_day(0);
	struct protect_result r;

	(void)state;
	p.sessions = sessions;
	p.nsessions = 1;
	fails(ERR_NOT_FOUND, protect_run(k.agent, &p, &r, e));
	p.nsessions = 0;
	p.lock_s = 0;
	fails(ERR_INVALID, protect_run(k.agent, &p, &r, e));
}

static void test_run__a_repository_without_points_has_nothing_to_lock(void **state)
{
	auto_kit struct kit k = kit_new_in(locking());
	struct protect_result r = protect(&k, 0, NULL);

	(void)state;
	assert_int_equal(r.points, 0);
	assert_int_equal(r.objects, 0);
}

/* ---- what is told ---- */

static void test_run__a_dry_run_tells_until_when_each_point_is_safe(void **state)
{
	auto_kit struct kit k = kit_new_in(locking());
	struct told t = { .n = 0 };

	(void)state;
	auto_kit_point struct point a = kit_backup(&k, &first_content);
	store_mem_set_now(k.store, T0 + 10 * DAY_NS);
	const struct kit_content c = again(&a, 2);
	auto_kit_point struct point b = kit_backup(&k, &c);
	auto_free char *pack = first_key(&k, "pack/");

	struct protect_params p = on_day(10);
	p.dry_run = true;
	p.point = take;
	p.arg = &t;
	struct protect_result r = protect_with(&k, &p);
	assert_int_equal(r.extended, 0);
	assert_true(r.too_short > 0);
	assert_int_equal(r.covered, 1);
	assert_true(told_of(&t, a.session).covered);
	assert_false(told_of(&t, b.session).covered);
	/* the lock of an upload, and its hour */
	assert_int_equal(told_of(&t, b.session).safe_ns, T0 + 30 * DAY_NS + HOUR_NS);
	assert_true(locked_until(&k, pack) <= T0 + 40 * DAY_NS + HOUR_NS);
	assert_int_equal(locked_until(&k, "config"), T0 + 30 * DAY_NS + HOUR_NS);
}

static void test_run__objects_that_were_never_locked_make_a_point_unsafe(void **state)
{
	auto_kit struct kit k = kit_new();
	struct told t = { .n = 0 };

	(void)state;
	store_mem_set_now(k.store, T0);
	auto_kit_point struct point a = kit_backup(&k, &first_content);
	struct protect_params p = on_day(0);
	p.dry_run = true;
	p.point = take;
	p.arg = &t;
	assert_int_equal(protect_with(&k, &p).covered, 0);
	assert_int_equal(told_of(&t, a.session).safe_ns, 0);
	assert_int_equal(protect(&k, 0, NULL).covered, 1);
	assert_int_equal(attack(&k, "commit/"), 0);
}

/* Locks of one key are refused. */
struct refusing {
	const char *key;
	enum store_fault fault;
};

static enum store_fault refuse(void *arg, uint64_t n, enum store_call call, const char *key)
{
	const struct refusing *r = arg;

	(void)n;
	return r->key && call == CALL_LOCK && strcmp(key, r->key) == 0 ? r->fault : FAULT_NONE;
}

static void test_run__what_the_store_refuses_is_told_of_the_points_that_need_it(void **state)
{
	struct refusing r = { .fault = FAULT_DENIED };
	struct err err = ERR_INIT;
	struct store *mem = store_mem_new(&err);
	auto_kit struct kit k = kit_new_in(store_fault_new(mem, refuse, &r, &err));
	struct kit_content other = first_content;
	struct told t = { .n = 0 };

	(void)state;
	store_mem_set_now(mem, T0);
	auto_kit_point struct point a = kit_backup(&k, &first_content);
	auto_free char *pack = first_key(&k, "pack/");
	other.volume = "w";
	other.seed = 500;
	other.n = 2;
	auto_kit_point struct point b = kit_backup(&k, &other);
	r.key = pack;
	struct protect_result got = protect(&k, 0, &t);
	assert_int_equal(got.covered, 1);
	assert_int_equal(got.extended, got.too_short - 1);
	assert_int_equal(got.refusal.class, ERR_DENIED);
	assert_non_null(strstr(got.refusal.msg, pack));
	assert_false(told_of(&t, a.session).covered);
	assert_int_equal(told_of(&t, a.session).safe_ns, 0);
	assert_true(told_of(&t, b.session).covered);
	/* of what all points need, every one is told */
	r.key = "config";
	t.n = 0;
	store_mem_set_now(mem, T0 + DAY_NS);
	struct protect_params p = on_day(0);
	p.lock_s = 40 * DAY_S;
	assert_int_equal(protect_with(&k, &p).covered, 0);
}

static void test_run__fails_where_the_store_cannot_lock(void **state)
{
	char *dir = tmpdir_new();
	struct store *s = NULL;

	(void)state;
	ok((s = store_file_open(dir, STORE_CREATE, e)) ? 0 : -1);
	{
		auto_kit struct kit k = kit_new_in(s);
		struct protect_params p = { .lock_s = LOCK_S };
		struct protect_result r;

		auto_kit_point struct point a = kit_backup(&k, &first_content);
		fails(ERR_UNSUPPORTED, protect_run(k.agent, &p, &r, e));
		p.dry_run = true;
		ok(protect_run(k.agent, &p, &r, e));
		assert_int_equal(r.covered, 0);
	}
	tmpdir_remove(dir);
}

static void test_run__what_does_not_open_is_counted_and_stops_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	struct kit_content other = first_content;

	(void)state;
	store_mem_set_now(k.store, T0);
	auto_kit_point struct point a = kit_backup(&k, &first_content);
	other.volume = "w";
	other.seed = 500;
	other.n = 2;
	auto_kit_point struct point b = kit_backup(&k, &other);
	char key[NOTE_KEY_MAX];
	(void)snprintf(key, sizeof(key), "commit/%s", a.session);
	kit_flip(&k, key, 300);
	struct protect_result r = protect(&k, 0, NULL);
	assert_int_equal(r.unreadable, 1);
	assert_int_equal(r.points, 1);
	assert_int_equal(r.covered, 1);

	/* a pack of contents that is gone */
	auto_free char *pack = first_key(&k, "pack/");
	auto_kit_point struct point c = kit_backup(&k, &(struct kit_content){ .volume = "x",
	                                                                      .domain = "d",
	                                                                      .n = 3,
	                                                                      .files = 1,
	                                                                      .bytes = 100,
	                                                                      .seed = 900 });
	store_mem_set_now(k.store, T0 + 100 * DAY_NS);
	kit_remove(&k, pack);
	store_mem_set_now(k.store, T0);
	r = protect(&k, 0, NULL);
	assert_true(r.unreadable > 0);
}

/* Whichever call fails, the run says so and the next one does what is left. */
struct nth {
	uint64_t at, calls;
};

static enum store_fault fail_nth(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct nth *x = arg;

	(void)n;
	(void)call;
	(void)key;
	return ++x->calls == x->at ? FAULT_FAIL : FAULT_NONE;
}

static void test_run__a_call_that_fails_ends_it_and_the_next_run_goes_on(void **state)
{
	struct nth x = { 0 };
	struct err err = ERR_INIT;
	struct store *mem = store_mem_new(&err);
	auto_kit struct kit k = kit_new_in(store_fault_new(mem, fail_nth, &x, &err));
	struct protect_params p = on_day(0);
	struct protect_result r;
	bool done = false;

	(void)state;
	store_mem_set_now(mem, T0);
	auto_kit_point struct point a = kit_backup(&k, &first_content);
	for (unsigned at = 1; !done; at++) {
		struct err why = ERR_INIT;

		x = (struct nth){ .at = at };
		p.lock_s = LOCK_S + at * 10 * DAY_S;
		done = protect_run(k.agent, &p, &r, &why) == 0;
		if (!done)
			assert_int_equal(why.class, ERR_RETRY);
		else
			assert_true(x.calls < at);
	}
	assert_int_equal(r.covered, 1);
}

/* ---- collections ---- */

static const struct gc_params eager = {
	.fence_after_ns = -HOUR_NS,
	.young_ns = -HOUR_NS,
	.repack_percent = GC_REPACK_DEFAULT,
	.threads = 2,
};

static struct gc_result collect(const struct kit *k)
{
	struct gc_result r;

	ok(gc_run(k->agent, &eager, &r, e));
	return r;
}

static size_t count(const struct kit *k, const char *prefix)
{
	struct kit_names names;

	kit_list(k, prefix, &names);
	return names.n;
}

static void expire(const struct kit *k, const char *session)
{
	const struct expiry_point p = { .session = session, .why = "a test" };
	uint64_t number;

	ok(expiry_put_tomb(k->agent, "", &p, 1, &number, e));
}

static void test_gc__what_is_locked_waits_and_goes_later(void **state)
{
	auto_kit struct kit k = kit_new_in(locking());
	struct kit_content other = first_content;

	(void)state;
	auto_kit_point struct point a = kit_backup(&k, &first_content);
	other.volume = "w";
	other.seed = 500;
	other.n = 2;
	auto_kit_point struct point b = kit_backup(&k, &other);
	expire(&k, a.session);
	struct gc_result r = collect(&k);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.deleted.packs, 0);
	assert_int_equal(r.points_deleted, 0);
	assert_int_equal(r.left.packs, 2);
	assert_int_equal(r.left_until_ns, T0 + 30 * DAY_NS + HOUR_NS);
	assert_int_equal(count(&k, "pack/"), 2);
	assert_int_equal(count(&k, "commit/2026-11-23/"), 1);
	/* markers are not locked */
	assert_int_equal(count(&k, "sess/"), 0);
	assert_int_equal(hurt_entries(&k), 0);

	/* Nothing of it is locked again. */
	store_mem_set_now(k.store, T0 + 20 * DAY_NS);
	struct protect_result p = protect(&k, 20, NULL);
	assert_int_equal(p.points, 1);
	r = collect(&k);
	assert_int_equal(r.left.packs, 2);
	assert_int_equal(r.left_until_ns, T0 + 30 * DAY_NS + HOUR_NS);

	store_mem_set_now(k.store, T0 + 31 * DAY_NS);
	r = collect(&k);
	assert_int_equal(r.deleted.packs, 2);
	assert_int_equal(r.left.packs, 0);
	assert_int_equal(r.left_until_ns, 0);
	assert_int_equal(count(&k, "pack/"), 1);
	/* The point goes with the next generation, which one that has something to do begins. */
	assert_int_equal(hurt_entries(&k), 0);
}

static void test_gc__packs_that_were_copied_stay_until_their_lock_ends(void **state)
{
	auto_kit struct kit k = kit_new_in(locking());
	struct kit_content c = {
		.volume = "v", .domain = "d", .n = 1, .files = 40, .bytes = 9000, .seed = 1
	};

	(void)state;
	auto_kit_point struct point a = kit_backup(&k, &c);
	c.n = 2;
	c.previous = &a;
	c.files = c.from = 20;
	auto_kit_point struct point b = kit_backup(&k, &c);
	expire(&k, a.session);
	struct gc_result r = collect(&k);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.repacked.packs, 1);
	assert_int_equal(r.deleted.packs, 0);
	assert_int_equal(r.left.packs, 2); /* what was copied, and the first point's tree */

	/* What it was copied to is what the second point needs from now on. */
	store_mem_set_now(k.store, T0 + 10 * DAY_NS);
	struct protect_params p = on_day(10);
	p.lock_s = 60 * DAY_S;
	assert_int_equal(protect_with(&k, &p).covered, 1);
	store_mem_set_now(k.store, T0 + 40 * DAY_NS);
	assert_int_equal(collect(&k).left.packs, 0);
	(void)attack(&k, "");
	assert_int_equal(hurt_entries(&k), 0);
	assert_opens(&k, b.session);
}

static void test_gc__never_fails_on_a_lock(void **state)
{
	auto_kit struct kit k = kit_new_in(locking());
	struct point previous = { 0 };

	(void)state;
	/* Two months of daily points, of which a week is kept, and collections. */
	char sessions[60][POINT_SESSION_LEN + 1];
	for (unsigned day = 0; day < 60; day++) {
		struct kit_content c = {
			.volume = "v", .domain = "d", .n = day + 1, .files = 4, .bytes = 2000
		};

		store_mem_set_now(k.store, T0 + day * DAY_NS);
		c.seed = 10 + (day / 4 * 4); /* four points in a row are equal */
		c.from = day % 4 ? 4 : 0;
		c.previous = day ? &previous : NULL;
		struct point p = kit_backup(&k, &c);
		point_clear(&previous);
		previous = p;
		memcpy(sessions[day], p.session, sizeof(sessions[0]));
		if (day >= 7)
			expire(&k, sessions[day - 7]);
		struct protect_result r = protect(&k, day, NULL);
		assert_int_equal(r.covered, r.points);
		assert_int_equal(r.unreadable, 0);
		struct gc_result g = collect(&k);
		assert_true(g.outcome == GC_DONE || g.outcome == GC_NOTHING);
	}
	point_clear(&previous);
	assert_int_equal(hurt_entries(&k), 0);
	/* What went out of use long ago is gone; what is locked, and the week, are left. */
	assert_true(count(&k, "pack/") <= 12);
	assert_int_equal(count(&k, "commit/2026-12-1"), 0);
	assert_int_equal(count(&k, "commit/2027-01-1"), 10);
	store_mem_set_now(k.store, T0 + 200 * DAY_NS);
	(void)collect(&k);
	expire(&k, sessions[53]);
	struct gc_result g = collect(&k);
	assert_int_equal(g.left.packs, 0);
	assert_int_equal(hurt_entries(&k), 0);
}

static void test_verdict__is_of_the_worst(void **state)
{
	struct protect_result r = { .points = 5, .covered = 5 };

	(void)state;
	ok(protect_verdict(&r, e));
	r.covered = 3;
	fails(ERR_PARTIAL, protect_verdict(&r, e));
	(void)err_set(&r.refusal, ERR_DENIED, "not for you");
	struct err why = ERR_INIT;
	assert_int_equal(protect_verdict(&r, &why), -1);
	assert_string_equal(why.msg, "2 restore points can be deleted, or parts of them, before "
	                             "their time: not for you");
	r.unreadable = 1;
	fails(ERR_CORRUPT, protect_verdict(&r, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run__an_attacker_cannot_hurt_a_point_before_its_time),
		cmocka_unit_test(
			test_run__without_it_a_point_dies_with_the_packs_that_it_uses_again),
		cmocka_unit_test(test_run__finds_nothing_to_extend_until_the_margin_is_used_up),
		cmocka_unit_test(test_run__points_whose_time_is_over_are_left_alone),
		cmocka_unit_test(test_run__what_a_collection_has_moved_is_locked_where_it_is),
		cmocka_unit_test(test_run__only_named_points_are_locked_longer),
		cmocka_unit_test(test_run__a_name_that_is_no_point_is_an_error),
		cmocka_unit_test(test_run__a_repository_without_points_has_nothing_to_lock),
		cmocka_unit_test(test_run__a_dry_run_tells_until_when_each_point_is_safe),
		cmocka_unit_test(test_run__objects_that_were_never_locked_make_a_point_unsafe),
		cmocka_unit_test(
			test_run__what_the_store_refuses_is_told_of_the_points_that_need_it),
		cmocka_unit_test(test_run__fails_where_the_store_cannot_lock),
		cmocka_unit_test(test_run__what_does_not_open_is_counted_and_stops_nothing),
		cmocka_unit_test(test_run__a_call_that_fails_ends_it_and_the_next_run_goes_on),
		cmocka_unit_test(test_gc__what_is_locked_waits_and_goes_later),
		cmocka_unit_test(test_gc__packs_that_were_copied_stay_until_their_lock_ends),
		cmocka_unit_test(test_gc__never_fails_on_a_lock),
		cmocka_unit_test(test_verdict__is_of_the_worst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
