/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collection: what goes, what stays, what is copied, what it waits for, and
 * what stops it. Wherever it is stopped, the next call goes on to the same end.
 */
#include "repo/gc.h"

#include <stdatomic.h>

#include "repo/check.h"
#include "repo/collection.h"
#include "repo/expiry.h"
#include "repo/view.h"
#include "tests/harness/keys_kit.h"

#define HOUR_NS ((int64_t)3600 * 1000000000)

/* Without delays: what nothing needs goes at once, and nobody is waited for. */
static const struct gc_params eager = {
	.fence_after_ns = -HOUR_NS,
	.young_ns = -HOUR_NS,
	.repack_percent = GC_REPACK_DEFAULT,
	.share_percent = GC_SHARE_DEFAULT,
	.threads = 2,
};

static struct gc_result collect_with(const struct kit *k, const struct gc_params *p)
{
	struct gc_result r;

	ok(gc_run(k->agent, p, &r, e));
	return r;
}

static struct gc_result collect(const struct kit *k)
{
	return collect_with(k, &eager);
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

static int print_problem(void *arg, const struct check_problem *p, struct err *e)
{
	(void)arg;
	(void)e;
	print_error("%s %s: %s\n", check_what_name(p->what), p->object, p->text);
	return 0;
}

/* Everything can be read, down to the content; returns how many points there are. */
static uint64_t assert_clean(const struct kit *k)
{
	const struct check_params p = { .level = 4, .threads = 2, .problem = print_problem };
	struct check_result r;

	ok(check_run(k->recovery, &p, &r, e));
	assert_int_equal(r.problems, 0);
	assert_int_equal(r.hurt_entries, 0);
	return r.points;
}

/* Two points of a volume; the second has the first half of the first's files. */
static void two(const struct kit *k, struct point *first, struct point *second)
{
	struct kit_content c = {
		.volume = "v", .domain = "d", .n = 1, .files = 40, .bytes = 9000, .seed = 1
	};

	*first = kit_backup(k, &c);
	c.n = 2;
	c.previous = first;
	c.files = c.from = 20;
	*second = kit_backup(k, &c);
}

/* ---- what goes ---- */

static void test_gc_run__finds_nothing_to_do(void **state)
{
	auto_kit struct kit k = kit_new();
	struct gc_result r = collect(&k);

	(void)state;
	assert_int_equal(r.outcome, GC_NOTHING);
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	two(&k, &first, &second);
	r = collect(&k);
	assert_int_equal(r.outcome, GC_NOTHING);
	assert_int_equal(r.points, 2);
	assert_int_equal(r.condemned.packs, 0);
	assert_int_equal(r.garbage.packs, 0);
	assert_int_equal(count(&k, "ctl/"), 0);
	assert_int_equal(assert_clean(&k), 2);
}

static void test_gc_run__deletes_what_no_point_needs(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	const struct kit_content dead = { .volume = "w",
		                          .domain = "d",
		                          .n = 3,
		                          .files = 5,
		                          .bytes = 5000,
		                          .seed = 900,
		                          .unfinished = true };

	(void)state;
	two(&k, &first, &second);
	size_t packs = count(&k, "pack/");
	auto_kit_point struct point third = kit_backup(&k, &dead);
	assert_int_equal(count(&k, "pack/"), packs + 1);

	struct gc_result r = collect(&k);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.generation, 1);
	assert_int_equal(r.sessions_fenced, 1);
	assert_int_equal(r.deleted.packs, 1);
	assert_true(r.deleted.bytes > 25000);
	assert_int_equal(count(&k, "pack/"), packs);
	assert_int_equal(assert_clean(&k), 2);
	assert_int_equal(collect(&k).outcome, GC_NOTHING);
}

static void test_gc_run__leaves_young_packs_alone(void **state)
{
	auto_kit struct kit k = kit_new();
	struct gc_params p = eager;
	const struct kit_content dead = { .volume = "w",
		                          .domain = "d",
		                          .n = 3,
		                          .files = 5,
		                          .bytes = 5000,
		                          .seed = 900,
		                          .unfinished = true };

	(void)state;
	auto_kit_point struct point third = kit_backup(&k, &dead);
	p.young_ns = HOUR_NS;
	struct gc_result r = collect_with(&k, &p);
	assert_int_equal(r.outcome, GC_NOTHING);
	assert_int_equal(r.garbage.packs, 1);
	assert_int_equal(r.young.packs, 1);
	assert_int_equal(count(&k, "pack/"), 1);
}

static void test_gc_run__takes_expired_points_and_what_only_they_need(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	struct kit_content other = {
		.volume = "w", .domain = "d", .n = 5, .files = 9, .bytes = 3000, .seed = 77
	};

	(void)state;
	two(&k, &first, &second);
	auto_kit_point struct point third = kit_backup(&k, &other);
	expire(&k, third.session);
	struct gc_result r = collect(&k);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.points_expired, 1);
	assert_int_equal(r.points_deleted, 1);
	assert_int_equal(r.deleted.packs, 2);      /* data and tree */
	assert_int_equal(count(&k, "commit/"), 2); /* of the collection none, since no segment is */
	assert_int_equal(assert_clean(&k), 2);
	assert_int_equal(collect(&k).outcome, GC_NOTHING);
}

static void test_gc_run__copies_what_is_left_of_packs_with_garbage(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point first;
	auto_kit_point struct point second;

	(void)state;
	two(&k, &first, &second);
	/* The first point's second half goes; the first half lies in the same pack. */
	expire(&k, first.session);
	struct gc_result r = collect(&k);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.sparse.packs, 1);
	assert_int_equal(r.repacked.packs, 1);
	assert_int_equal(r.deleted.packs, 2); /* the pack of data, and the first point's tree */
	assert_int_equal(assert_clean(&k), 1);
	assert_int_equal(collect(&k).outcome, GC_NOTHING);

	/* What was moved is found again: it is not stored twice. */
	const struct kit_content again = { .volume = "v",
		                           .domain = "d",
		                           .n = 9,
		                           .files = 20,
		                           .bytes = 9000,
		                           .seed = 1,
		                           .from = 20,
		                           .previous = &second };
	auto_kit_point struct point third = kit_backup(&k, &again);
	assert_int_equal(assert_clean(&k), 2);
	assert_int_equal(collect(&k).outcome, GC_NOTHING);
}

static void test_gc_run__held_points_stay(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	uint64_t number;

	(void)state;
	two(&k, &first, &second);
	ok(expiry_put_hold(k.agent, first.session, NULL, "a dispute", "Ada", &number, e));
	expire(&k, first.session);
	struct gc_result r = collect(&k);
	assert_int_equal(r.outcome, GC_NOTHING);
	assert_int_equal(r.points, 2);
	ok(expiry_put_release(k.agent, number, "settled", "Ada", &number, e));
	r = collect(&k);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.points_deleted, 1);
	assert_int_equal(assert_clean(&k), 1);
}

/* Once a collection has seen a hold and left the point, no other one can take it. */
static void test_gc_run__a_hold_that_came_late_is_in_time_for_the_next(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	char pin[NOTE_KEY_MAX];
	uint64_t number;

	(void)state;
	two(&k, &first, &second);
	expire(&k, first.session);
	fails(ERR_NOT_FOUND,
	      expiry_put_hold(k.agent, first.session, NULL, "a dispute", "Ada", &number, e));
	fails(ERR_NOT_FOUND, expiry_pin(k.agent, first.session, pin, e));
	/* something has to go, else no collection says what it saw */
	expire(&k, second.session);
	assert_int_equal(collect(&k).outcome, GC_DONE);
	ok(expiry_pin(k.agent, first.session, pin, e));
	ok(expiry_put_hold(k.agent, first.session, NULL, "a dispute", "Ada", &number, e));
	fails(ERR_NOT_FOUND,
	      expiry_put_hold(k.agent, second.session, NULL, "a dispute", "Ada", &number, e));
	assert_int_equal(assert_clean(&k), 1);
}

struct latecomer {
	const struct kit *k;
	const char *session;
	bool came;
};

static enum store_fault hold_before_final(void *arg, uint64_t n, enum store_call call,
                                          const char *key)
{
	struct latecomer *l = arg;
	uint64_t number;

	(void)n;
	if (l->session && call == CALL_PUT && strstr(key, "/final") && !l->came) {
		l->came = true;
		fails(ERR_NOT_FOUND, expiry_put_hold(l->k->agent, l->session, NULL, "a dispute",
		                                     "Ada", &number, e));
	}
	return FAULT_NONE;
}

/* That a hold stands does not make a loss of what a collection took before it. */
static void test_gc_run__takes_what_is_held_too_late(void **state)
{
	struct latecomer l = { 0 };
	struct err err = ERR_INIT;
	auto_kit struct kit k = kit_new_in(
		store_fault_new(store_mem_new(&err), hold_before_final, &l, &err));
	auto_kit_point struct point first;
	auto_kit_point struct point second;

	(void)state;
	two(&k, &first, &second);
	expire(&k, first.session);
	l = (struct latecomer){ .k = &k, .session = first.session };
	assert_int_equal(collect(&k).points_deleted, 1);
	assert_true(l.came);
	assert_int_equal(assert_clean(&k), 1);
	assert_int_equal(collect(&k).outcome, GC_NOTHING);
}

struct meanwhile {
	const struct kit *k;
	unsigned n; /* of the last point that was made */
	unsigned times;
	char session[96]; /* that is to be taken; "" : none */
};

/* Before a check looks at points one is made; before it looks at the index, it is taken. */
static enum store_fault take_meanwhile(void *arg, uint64_t call_n, enum store_call call,
                                       const char *key)
{
	struct meanwhile *m = arg;
	unsigned times = m->times;

	(void)call_n;
	if (times == 0 || call != CALL_LIST)
		return FAULT_NONE;
	m->times = 0; /* not in what is called here */
	if (strcmp(key, "commit/") == 0 && !m->session[0]) {
		const struct kit_content c = { .volume = "w",
			                       .domain = "d",
			                       .n = ++m->n,
			                       .files = 5,
			                       .bytes = 2000,
			                       .seed = 1000 * m->n };
		auto_kit_point struct point p = kit_backup(m->k, &c);
		memcpy(m->session, p.session, sizeof(m->session));
	} else if (strcmp(key, "idx/") == 0 && m->session[0]) {
		expire(m->k, m->session);
		(void)collect(m->k);
		m->session[0] = '\0';
		times--;
	}
	m->times = times;
	return FAULT_NONE;
}

static enum store_fault take_before_commits(void *arg, uint64_t call_n, enum store_call call,
                                            const char *key)
{
	struct meanwhile *m = arg;

	(void)call_n;
	if (m->times == 0 || call != CALL_LIST || strcmp(key, "commit/") != 0)
		return FAULT_NONE;
	m->times = 0;
	expire(m->k, m->session);
	(void)collect(m->k);
	return FAULT_NONE;
}

/* What is gone before commits are listed was expired before. */
static void test_gc_run__what_it_takes_before_a_check_looks_was_expired(void **state)
{
	struct meanwhile m = { 0 };
	struct err err = ERR_INIT;
	auto_kit struct kit k = kit_new_in(
		store_fault_new(store_mem_new(&err), take_before_commits, &m, &err));
	auto_kit_point struct point first;
	auto_kit_point struct point second;

	(void)state;
	two(&k, &first, &second);
	m = (struct meanwhile){ .k = &k, .times = 1 };
	memcpy(m.session, first.session, sizeof(m.session));
	assert_int_equal(assert_clean(&k), 1);
	assert_int_equal(m.times, 0);
}

static void test_gc_run__what_it_takes_during_a_check_is_not_lost(void **state)
{
	const struct check_params params = { .level = 2, .threads = 2, .problem = print_problem };
	struct meanwhile m = { .n = 10 };
	struct err err = ERR_INIT;
	auto_kit struct kit k = kit_new_in(
		store_fault_new(store_mem_new(&err), take_meanwhile, &m, &err));
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	struct check_result r;

	(void)state;
	two(&k, &first, &second);
	m.k = &k;
	m.times = 2;
	assert_int_equal(assert_clean(&k), 2);
	assert_int_equal(m.times, 0);
	/* when it never ends nobody can say what was lost */
	m.times = 100;
	fails_saying(ERR_BUSY, "objects were taken away", check_run(k.recovery, &params, &r, e));
	m.times = 0;
	(void)collect(&k);
	assert_int_equal(assert_clean(&k), 2);
}

static void test_gc_run__dry_run_changes_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	struct gc_params p = eager;

	(void)state;
	two(&k, &first, &second);
	expire(&k, first.session);
	size_t n = count(&k, "");
	p.dry_run = true;
	struct gc_result r = collect_with(&k, &p);
	assert_int_equal(r.outcome, GC_NOTHING);
	assert_int_equal(r.points_expired, 1);
	assert_int_equal(r.condemned.packs, 2);
	assert_int_equal(r.sparse.packs, 1);
	assert_int_equal(count(&k, ""), n);
}

/* ---- sessions ---- */

static void test_gc_run__waits_for_sessions_at_work(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	struct kit_content slow = { .volume = "v",
		                    .domain = "d",
		                    .n = 7,
		                    .files = 40,
		                    .bytes = 9000,
		                    .seed = 1,
		                    .from = 40,
		                    .uncommitted = true };
	struct gc_params p = eager;

	(void)state;
	two(&k, &first, &second);
	/* A session that relies on the second half of the first point, which goes. */
	auto_kit_point struct point third = kit_backup(&k, &slow);
	expire(&k, first.session);
	p.fence_after_ns = HOUR_NS;
	struct gc_result r = collect_with(&k, &p);
	assert_int_equal(r.outcome, GC_WAITING);
	assert_int_equal(r.sessions_waiting, 1);
	assert_true(r.wait_until_ns > r.now_ns);
	assert_int_equal(collect_with(&k, &p).outcome, GC_WAITING);
	assert_int_equal(assert_clean(&k), 1);

	/* It commits: what it relied on stays. */
	ok(session_commit(k.agent, &third, e));
	r = collect_with(&k, &p);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.sessions_fenced, 0);
	assert_int_equal(assert_clean(&k), 2);
	assert_int_equal(collect(&k).outcome, GC_NOTHING);
	assert_int_equal(assert_clean(&k), 2);
}

static void test_gc_run__fences_who_was_silent(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	struct kit_content slow = { .volume = "v",
		                    .domain = "d",
		                    .n = 7,
		                    .files = 40,
		                    .bytes = 9000,
		                    .seed = 1,
		                    .from = 40,
		                    .uncommitted = true };

	(void)state;
	two(&k, &first, &second);
	auto_kit_point struct point third = kit_backup(&k, &slow);
	expire(&k, first.session);
	struct gc_result r = collect(&k);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.sessions_fenced, 1);
	/* Too late: the store has decided. */
	fails_saying(ERR_BUSY, "fenced", session_commit(k.agent, &third, e));
	assert_int_equal(assert_clean(&k), 1);
}

/* ---- guards ---- */

static void test_gc_run__stops_where_a_point_does_not_open(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	char key[128];
	struct gc_result r;

	(void)state;
	two(&k, &first, &second);
	expire(&k, first.session);
	(void)snprintf(key, sizeof(key), "commit/%s", second.session);
	kit_flip(&k, key, 200);
	fails_saying(ERR_CORRUPT, second.session, gc_run(k.agent, &eager, &r, e));
	assert_int_equal(count(&k, "ctl/"), 0);
}

static void test_gc_run__stops_where_a_tree_does_not_open(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	struct kit_names meta;
	struct gc_result r;

	(void)state;
	two(&k, &first, &second);
	kit_list(&k, "meta/", &meta);
	kit_flip(&k, meta.keys[0], 170);
	fails_saying(ERR_CORRUPT, meta.keys[0], gc_run(k.agent, &eager, &r, e));
	assert_int_equal(count(&k, "ctl/"), 0);
}

static void test_gc_run__stops_where_a_pack_is_missing(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	struct kit_names packs;
	struct gc_result r;

	(void)state;
	two(&k, &first, &second);
	kit_list(&k, "pack/", &packs);
	assert_int_equal(packs.n, 1);
	kit_remove(&k, packs.keys[0]);
	fails_saying(ERR_CORRUPT, packs.keys[0], gc_run(k.agent, &eager, &r, e));
	assert_int_equal(count(&k, "ctl/"), 0);
}

/*
 * Two points of the same files. The root of the first is marked as damaged, so that the second has
 * one of its own. Their packs are named by first_meta and meta.
 */
static const struct kit_content marked_content = {
	.volume = "w", .domain = "d", .n = 1, .files = 20, .bytes = 9000, .seed = 1
};

static void mark_root(const struct kit *k, const struct point *p)
{
	struct place place = { .pack.kind = CHUNK_NODE, .off = p->root.off };

	memcpy(place.pack.id, p->root.pack, sizeof(place.pack.id));
	memcpy(place.id, p->root.id, sizeof(place.id));
	ok(damage_put(k->agent, &place, 1, e));
}

static struct point marked_and_stored_again(const struct kit *k, struct point *ret,
                                            char first_meta[PACK_KEY_MAX], char meta[PACK_KEY_MAX])
{
	struct kit_content c = marked_content;

	c.volume = "v";
	struct point first = kit_backup(k, &c);
	mark_root(k, &first);
	c.volume = "w";
	c.from = c.files;
	c.heedful = true;
	*ret = kit_backup(k, &c);
	pack_key_name(first_meta, first.root.pack, CHUNK_NODE);
	pack_key_name(meta, ret->root.pack, CHUNK_NODE);
	assert_memory_equal(first.root.id, ret->root.id, sizeof(first.root.id));
	assert_string_not_equal(first_meta, meta);
	return first;
}

static void test_gc_run__a_mark_is_of_its_place_only(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point second;
	char first_meta[PACK_KEY_MAX];
	char meta[PACK_KEY_MAX];
	struct gc_result r;

	(void)state;
	auto_kit_point struct point first = marked_and_stored_again(&k, &second, first_meta, meta);
	kit_flip(&k, first_meta, 170);
	size_t packs = count(&k, "pack/");
	kit_flip(&k, meta, 170);
	fails_saying(ERR_CORRUPT, meta, gc_run(k.agent, &eager, &r, e));
	assert_int_equal(count(&k, "pack/"), packs);
}

static void test_gc_run__a_mark_does_not_explain_that_another_pack_is_gone(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point second;
	char first_meta[PACK_KEY_MAX];
	char meta[PACK_KEY_MAX];
	struct gc_result r;

	(void)state;
	auto_kit_point struct point first = marked_and_stored_again(&k, &second, first_meta, meta);
	kit_flip(&k, first_meta, 170);
	size_t packs = count(&k, "pack/");
	kit_remove(&k, meta);
	fails_saying(ERR_CORRUPT, "not in the store", gc_run(k.agent, &eager, &r, e));
	assert_int_equal(count(&k, "pack/"), packs);
}

/* What is marked may be good all the same, and is kept where nothing else is left. */
static void test_gc_run__keeps_marked_places_that_are_the_last(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point second;
	char first_meta[PACK_KEY_MAX];
	char meta[PACK_KEY_MAX];

	(void)state;
	auto_kit_point struct point first = marked_and_stored_again(&k, &second, first_meta, meta);
	kit_flip(&k, meta, 170);
	mark_root(&k, &second);
	kit_assert_readable(k.recovery, &second, &marked_content);
	expire(&k, first.session);
	for (unsigned i = 0; i < 3; i++)
		(void)collect(&k);
	assert_int_equal(collect(&k).outcome, GC_NOTHING);
	kit_assert_readable(k.recovery, &second, &marked_content);
}

/*
 * The list of packs tells that one was cut. Where the same is elsewhere, it is that which counts,
 * though no point refers to it.
 */
static void test_gc_run__keeps_the_copy_of_what_was_cut(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point second;
	struct kit_content c = marked_content;
	char first_meta[PACK_KEY_MAX];
	char meta[PACK_KEY_MAX];

	(void)state;
	auto_kit_point struct point first = marked_and_stored_again(&k, &second, first_meta, meta);
	struct kit_names marks = { .n = 0 };
	kit_list(&k, "ctl/damage/", &marks);
	for (size_t i = 0; i < marks.n; i++)
		kit_remove(&k, marks.keys[i]);
	size_t n;
	free(kit_get(&k, first_meta, &n));
	kit_cut(&k, first_meta, n - first.root.off - 10);
	c.volume = "v";
	kit_assert_readable(k.recovery, &first, &c);
	expire(&k, second.session);
	for (unsigned i = 0; i < 4; i++)
		(void)collect(&k);
	kit_assert_readable(k.recovery, &first, &c);
}

static void test_gc_run__stops_where_a_point_is_gone(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	struct kit_content other = {
		.volume = "w", .domain = "d", .n = 5, .files = 9, .bytes = 3000, .seed = 77
	};
	struct gc_params p = eager;
	struct gc_result r;
	char key[128];

	(void)state;
	two(&k, &first, &second);
	auto_kit_point struct point third = kit_backup(&k, &other);
	expire(&k, third.session);
	assert_int_equal(collect(&k).outcome, GC_DONE);
	(void)snprintf(key, sizeof(key), "commit/%s", first.session);
	kit_remove(&k, key);
	fails_saying(ERR_CORRUPT, first.session, gc_run(k.agent, &p, &r, e));
	p.accept_loss = true;
	r = collect_with(&k, &p);
	assert_int_equal(r.outcome, GC_DONE);
	/* The loss stands in the chain of the volume until it is expired. */
	expire(&k, first.session);
	assert_int_equal(assert_clean(&k), 1);
}

static void test_gc_run__needs_a_key_that_signs(void **state)
{
	auto_kit struct kit k = kit_new();
	struct gc_result r;

	(void)state;
	fails_saying(ERR_DENIED, "agent key", gc_run(k.audit, &eager, &r, e));
}

static void test_gc_run__refuses_to_take_too_much_at_once(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	static const char big[] = "pack/12/12345678123456781234567812345678";
	struct gc_params p = eager;
	struct gc_result r;
	struct store *store = NULL;

	(void)state;
	ok((store = store_file_open(dir, STORE_CREATE, e)) ? 0 : -1);
	auto_kit struct kit k = kit_new_in(store);
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	two(&k, &first, &second);
	ok(put_text(k.store, big, "x", e));
	auto_free char *path = path_join(dir, big);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(truncate(path, 1200 * MIB), 0);
	fails_saying(ERR_INVALID, "--max-share", gc_run(k.agent, &p, &r, e));
	assert_int_equal(count(&k, "ctl/"), 0);
	p.share_percent = 100;
	r = collect_with(&k, &p);
	assert_int_equal(r.deleted.packs, 1);
	assert_int_equal(r.deleted.bytes, 1200 * MIB);
	assert_int_equal(assert_clean(&k), 2);
}

/* ---- what the store does not give away ---- */

struct lock {
	bool armed;
	const char *key; /* NULL: every pack */
};

static enum store_fault refuse(void *arg, uint64_t n, enum store_call call, const char *key)
{
	const struct lock *l = arg;

	(void)n;
	if (!l->armed || call != CALL_DELETE || (l->key && strcmp(key, l->key) != 0) ||
	    (!l->key && strncmp(key, "pack/", 5) != 0 && strncmp(key, "meta/", 5) != 0))
		return FAULT_NONE;
	return FAULT_DENIED;
}

static void test_gc_run__comes_back_for_what_was_locked(void **state)
{
	struct lock lock = { 0 };
	struct kit_names packs;
	struct store *store = NULL;

	(void)state;
	ok((store = store_mem_new(e)) ? 0 : -1);
	ok((store = store_fault_new(store, refuse, &lock, e)) ? 0 : -1);
	auto_kit struct kit k = kit_new_in(store);
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	two(&k, &first, &second);
	kit_list(&k, "pack/", &packs);
	lock = (struct lock){ .armed = true, .key = packs.keys[0] };
	expire(&k, first.session);
	struct gc_result r = collect(&k);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.left.packs, 1);
	assert_true(r.left.bytes > 40 * 9000);
	assert_int_equal(r.deleted.packs, 1);
	assert_int_equal(count(&k, "pack/"), 2);
	assert_int_equal(assert_clean(&k), 1);

	/* It is dead although it is there: nobody relies on it. */
	CLEANUP(view_clear) struct view v = { 0 };
	ok(view_load(k.agent, &v, e));
	assert_int_equal(v.absent.packs.n, 2);
	assert_int_equal(v.dead.n, 2);
	struct kit_content again = { .volume = "v",
		                     .domain = "d",
		                     .n = 9,
		                     .files = 20,
		                     .bytes = 9000,
		                     .seed = 1,
		                     .from = 20,
		                     .previous = &second };
	auto_kit_point struct point third = kit_backup(&k, &again);

	/* The next collection gets it, without anything being decided. */
	assert_int_equal(collect(&k).left.packs, 1);
	lock.armed = false;
	r = collect(&k);
	assert_int_equal(r.outcome, GC_NOTHING);
	assert_int_equal(r.deleted.packs, 1);
	assert_int_equal(r.left.packs, 0);
	assert_int_equal(count(&k, "pack/"), 1);
	assert_int_equal(assert_clean(&k), 2);
}

static void test_gc_run__no_right_to_delete_is_an_error(void **state)
{
	struct lock lock = { 0 };
	struct store *store = NULL;
	struct gc_result r;

	(void)state;
	ok((store = store_mem_new(e)) ? 0 : -1);
	ok((store = store_fault_new(store, refuse, &lock, e)) ? 0 : -1);
	auto_kit struct kit k = kit_new_in(store);
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	two(&k, &first, &second);
	lock.armed = true;
	expire(&k, first.session);
	fails_saying(ERR_DENIED, "right to delete", gc_run(k.agent, &eager, &r, e));
	assert_clean(&k);
	lock.armed = false;
	r = collect(&k);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(assert_clean(&k), 1);
}

static void test_gc_run__locked_segments_are_replaced_once(void **state)
{
	struct lock lock = { 0 };
	struct kit_names segments;
	struct store *store = NULL;
	struct gc_params p = eager;

	(void)state;
	ok((store = store_mem_new(e)) ? 0 : -1);
	ok((store = store_fault_new(store, refuse, &lock, e)) ? 0 : -1);
	auto_kit struct kit k = kit_new_in(store);
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	struct kit_content other = {
		.volume = "w", .domain = "d", .n = 5, .files = 9, .bytes = 3000, .seed = 77
	};
	two(&k, &first, &second);
	kit_list(&k, "idx/", &segments);
	assert_int_equal(segments.n, 2);
	lock = (struct lock){ .armed = true, .key = segments.keys[0] };
	/* The pack of data stays, the tree goes: both are in the first segment. */
	p.repack_percent = 0;
	expire(&k, first.session);
	struct gc_result r = collect_with(&k, &p);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.segments_written, 1);
	assert_int_equal(count(&k, "idx/"), 3); /* of two points, and merged */
	assert_int_equal(assert_clean(&k), 1);

	/* The next one tries to delete it again, and writes nothing for its sake. */
	auto_kit_point struct point third = kit_backup(&k, &other);
	expire(&k, third.session);
	r = collect_with(&k, &p);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.segments_written, 0);
	assert_int_equal(count(&k, "idx/"), 3);
	lock.armed = false;
	auto_kit_point struct point fourth = kit_backup(&k, &(struct kit_content){ .volume = "w",
	                                                                           .domain = "d",
	                                                                           .n = 6,
	                                                                           .files = 9,
	                                                                           .bytes = 3000,
	                                                                           .seed = 99 });
	expire(&k, fourth.session);
	r = collect_with(&k, &p);
	assert_int_equal(count(&k, "idx/"), 2);
	assert_int_equal(assert_clean(&k), 1);
}

static void test_gc_run__points_that_the_store_keeps_stay_expired(void **state)
{
	struct lock lock = { 0 };
	struct store *store = NULL;
	char key[128];
	uint64_t number;

	(void)state;
	ok((store = store_mem_new(e)) ? 0 : -1);
	ok((store = store_fault_new(store, refuse, &lock, e)) ? 0 : -1);
	auto_kit struct kit k = kit_new_in(store);
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	two(&k, &first, &second);
	(void)snprintf(key, sizeof(key), "commit/%s", first.session);
	lock = (struct lock){ .armed = true, .key = key };
	expire(&k, first.session);
	struct gc_result r = collect(&k);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.points_deleted, 0);
	assert_int_equal(assert_clean(&k), 1);
	/* A hold that comes now comes too late, and brings nothing back. */
	fails(ERR_NOT_FOUND,
	      expiry_put_hold(k.agent, first.session, NULL, "why", "Ada", &number, e));
	assert_int_equal(collect(&k).points, 1);
	lock.armed = false;
	r = collect(&k);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.points_deleted, 1);
}

static void test_gc_run__points_whose_marker_the_store_keeps_stay_expired(void **state)
{
	struct lock lock = { 0 };
	struct store *store = NULL;
	char key[128];
	char commit_key[128];
	size_t n;

	(void)state;
	ok((store = store_mem_new(e)) ? 0 : -1);
	ok((store = store_fault_new(store, refuse, &lock, e)) ? 0 : -1);
	auto_kit struct kit k = kit_new_in(store);
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	two(&k, &first, &second);
	(void)snprintf(key, sizeof(key), "sess/%s", first.session);
	(void)snprintf(commit_key, sizeof(commit_key), "commit/%s", first.session);
	auto_free uint8_t *commit = kit_get(&k, commit_key, &n);
	lock = (struct lock){ .armed = true, .key = key };
	expire(&k, first.session);
	/* Without its commit the marker would make a late put of it look like a new point. */
	struct gc_result r = collect(&k);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.points_deleted, 0);
	fails(ERR_EXISTS, put_bytes(k.store, commit_key, commit, n, e));
	assert_int_equal(assert_clean(&k), 1);
	assert_int_equal(collect(&k).points, 1);
	lock.armed = false;
	r = collect(&k);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.points_deleted, 1);
	assert_absent(k.store, key);
	ok(put_bytes(k.store, commit_key, commit, n, e));
	assert_int_equal(assert_clean(&k), 1);
	assert_int_equal(collect(&k).points, 1);
}

static void test_gc_run__what_comes_back_from_the_dead_is_deleted_again(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	struct kit_names packs;
	struct kit_names segments;
	char key[128];
	size_t n;
	size_t npack;
	size_t nsegment;

	(void)state;
	two(&k, &first, &second);
	kit_list(&k, "pack/", &packs);
	kit_list(&k, "idx/", &segments);
	(void)snprintf(key, sizeof(key), "commit/%s", first.session);
	auto_free uint8_t *commit = kit_get(&k, key, &n);
	auto_free uint8_t *pack = kit_get(&k, packs.keys[0], &npack);
	auto_free uint8_t *segment = kit_get(&k, segments.keys[0], &nsegment);
	expire(&k, first.session);
	assert_int_equal(collect(&k).outcome, GC_DONE);
	assert_absent(k.store, key);

	/* Puts that were on their way for a very long time. */
	ok(put_bytes(k.store, key, commit, n, e));
	ok(put_bytes(k.store, packs.keys[0], pack, npack, e));
	ok(put_bytes(k.store, segments.keys[0], segment, nsegment, e));
	assert_int_equal(assert_clean(&k), 1);
	struct gc_result r = collect(&k);
	assert_int_equal(r.points, 1);
	assert_int_equal(r.deleted.packs, 1);
	assert_absent(k.store, key);
	assert_absent(k.store, packs.keys[0]);
	assert_int_equal(assert_clean(&k), 1);
}

/* ---- the index ---- */

static void test_gc_run__merges_small_segments(void **state)
{
	auto_kit struct kit k = kit_new();
	struct gc_params p = eager;

	(void)state;
	for (unsigned i = 0; i < 70; i++) {
		const struct kit_content c = { .volume = i % 2 ? "v" : "w",
			                       .domain = "d",
			                       .n = i + 1,
			                       .files = 2,
			                       .bytes = 100,
			                       .seed = 10 * i };
		auto_kit_point struct point point = kit_backup(&k, &c);
	}
	assert_int_equal(count(&k, "idx/"), 70);
	p.threads = 1;
	struct gc_result r = collect_with(&k, &p);
	assert_int_equal(r.outcome, GC_DONE);
	assert_true(r.segments_deleted >= 70);
	assert_true(count(&k, "idx/") <= 3);
	/* So are packs that hold hardly anything. */
	assert_int_equal(count(&k, "pack/"), 1);
	assert_int_equal(count(&k, "meta/"), 1);
	assert_int_equal(assert_clean(&k), 70);
	assert_int_equal(collect(&k).outcome, GC_NOTHING);
}

static void test_gc_run__what_a_fenced_session_left_is_for_all_in_the_end(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	struct kit_content c = { .volume = "w",
		                 .domain = "d",
		                 .n = 7,
		                 .files = 12,
		                 .bytes = 4000,
		                 .seed = 500,
		                 .uncommitted = true };

	(void)state;
	two(&k, &first, &second);
	auto_kit_point struct point fenced = kit_backup(&k, &c);
	/* Another session relied on it while it was at work. */
	c.n = 8;
	c.from = c.files;
	c.uncommitted = false;
	auto_kit_point struct point other = kit_backup(&k, &c);
	expire(&k, first.session);
	struct gc_result r = collect(&k);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.sessions_fenced, 1);
	assert_int_equal(assert_clean(&k), 2);
	expire(&k, second.session);
	assert_int_equal(collect(&k).outcome, GC_DONE);
	assert_int_equal(assert_clean(&k), 1);
	assert_int_equal(collect(&k).outcome, GC_NOTHING);
	assert_int_equal(assert_clean(&k), 1);
}

static void test_gc_run__copies_no_more_than_it_may(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	struct gc_params p = eager;

	(void)state;
	two(&k, &first, &second);
	expire(&k, first.session);
	p.repack_bytes = 1000;
	struct gc_result r = collect_with(&k, &p);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.sparse.packs, 1);
	assert_int_equal(r.repacked.packs, 0);
	assert_int_equal(r.deleted.packs, 1); /* the first tree */
	p.repack_bytes = MIB;
	r = collect_with(&k, &p);
	assert_int_equal(r.repacked.packs, 1);
	assert_int_equal(assert_clean(&k), 1);
}

static void test_gc_run__keeps_domains_apart(void **state)
{
	auto_kit struct kit k = kit_new();
	struct kit_content c = {
		.volume = "v", .domain = "one", .n = 1, .files = 30, .bytes = 9000, .seed = 1
	};

	(void)state;
	auto_kit_point struct point a = kit_backup(&k, &c);
	c.domain = "two";
	c.volume = "w";
	c.n = 2;
	auto_kit_point struct point b = kit_backup(&k, &c);
	c.n = 3;
	c.files = c.from = 10;
	c.previous = &b;
	auto_kit_point struct point d = kit_backup(&k, &c);
	expire(&k, b.session);
	struct gc_result r = collect(&k);
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.repacked.packs, 1);
	assert_int_equal(assert_clean(&k), 2);
	expire(&k, a.session);
	assert_int_equal(collect(&k).outcome, GC_DONE);
	assert_int_equal(assert_clean(&k), 1);
	assert_int_equal(count(&k, "pack/"), 1);
}

static void test_gc_run__leaves_nothing_behind(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	struct kit_names ctl;

	(void)state;
	two(&k, &first, &second);
	ok(session_beat(k.agent, first.session, 1, e));
	expire(&k, first.session);
	expire(&k, second.session);
	assert_int_equal(collect(&k).outcome, GC_DONE);
	assert_int_equal(count(&k, "sess/"), 0);
	assert_int_equal(count(&k, "commit/"), 0);
	assert_int_equal(count(&k, "idx/"), 0);
	assert_int_equal(count(&k, "pack/"), 0);
	assert_int_equal(count(&k, "meta/"), 0);
	assert_int_equal(count(&k, "probe/"), 0);
	kit_list(&k, "ctl/", &ctl);
	assert_int_equal(ctl.n, 3);
	assert_string_equal(ctl.keys[0], "ctl/gc/00000001/done");
	assert_string_equal(ctl.keys[1], "ctl/gc/00000001/final");
	assert_string_equal(ctl.keys[2], "ctl/gc/00000001/live");
	/* Evidence stays. */
	assert_int_equal(count(&k, "tomb/"), 2);
}

/* ---- wherever it stops ---- */

/* The store works until a call of one of these kinds, and then never again. */
struct outage {
	bool armed;
	unsigned calls; /* 1 << enum store_call: kinds that count */
	bool applied;   /* the call at which it begins is applied, and its answer lost */
	uint64_t at;
	_Atomic uint64_t seen;
};

static enum store_fault decide(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct outage *o = arg;

	(void)n;
	(void)key;
	if (!o->armed || (atomic_load(&o->seen) < o->at && !(o->calls & (1U << call))))
		return FAULT_NONE;
	uint64_t seen = atomic_fetch_add(&o->seen, 1);
	if (seen < o->at)
		return FAULT_NONE;
	return o->applied && seen == o->at ? FAULT_APPLIED_LOST : FAULT_FAIL;
}

/* Something of everything: an expired point, a pack to be copied, a session to be fenced. */
static void mixed(const struct kit *k)
{
	auto_kit_point struct point first;
	auto_kit_point struct point second;
	const struct kit_content slow = { .volume = "w",
		                          .domain = "d",
		                          .n = 7,
		                          .files = 12,
		                          .bytes = 4000,
		                          .seed = 500,
		                          .uncommitted = true };

	two(k, &first, &second);
	auto_kit_point struct point third = kit_backup(k, &slow);
	expire(k, first.session);
}

/* One outage after the other, each at the next call, until the collection gets through. */
static void each_outage(unsigned calls, bool applied)
{
	bool dead = true;

	for (uint64_t at = 0; dead; at++) {
		struct outage o = { .calls = calls, .applied = applied, .at = at };
		struct store *store = NULL;
		struct gc_result r;
		struct err why = ERR_INIT;

		ok((store = store_mem_new(e)) ? 0 : -1);
		ok((store = store_fault_new(store, decide, &o, e)) ? 0 : -1);
		auto_kit struct kit k = kit_new_in(store);
		mixed(&k);
		o.armed = true;
		dead = gc_run(k.agent, &eager, &r, &why) < 0;
		o.armed = false;
		if (dead && why.class != ERR_RETRY)
			fail_msg("outage %llu: %s: %s", (unsigned long long)at,
			         err_class_name(why.class), why.msg);
		assert_clean(&k);
		for (unsigned i = 0; i < 4 && collect(&k).outcome != GC_NOTHING; i++)
			assert_int_equal(assert_clean(&k), 1);
		assert_int_equal(collect(&k).outcome, GC_NOTHING);
		assert_int_equal(assert_clean(&k), 1);
		assert_int_equal(count(&k, "pack/"), 1);
		assert_int_equal(count(&k, "meta/"), 1);
		assert_true(dead || at > 10);
	}
}

static void test_gc_run__goes_on_after_any_write_that_failed(void **state)
{
	(void)state;
	each_outage(1U << CALL_PUT | 1U << CALL_DELETE, false);
}

static void test_gc_run__goes_on_after_any_write_whose_answer_was_lost(void **state)
{
	(void)state;
	each_outage(1U << CALL_PUT | 1U << CALL_DELETE, true);
}

static void test_gc_run__goes_on_after_any_read_that_failed(void **state)
{
	(void)state;
	each_outage(1U << CALL_GET | 1U << CALL_LIST | 1U << CALL_HEAD, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gc_run__finds_nothing_to_do),
		cmocka_unit_test(test_gc_run__deletes_what_no_point_needs),
		cmocka_unit_test(test_gc_run__leaves_young_packs_alone),
		cmocka_unit_test(test_gc_run__takes_expired_points_and_what_only_they_need),
		cmocka_unit_test(test_gc_run__copies_what_is_left_of_packs_with_garbage),
		cmocka_unit_test(test_gc_run__held_points_stay),
		cmocka_unit_test(test_gc_run__a_hold_that_came_late_is_in_time_for_the_next),
		cmocka_unit_test(test_gc_run__takes_what_is_held_too_late),
		cmocka_unit_test(test_gc_run__what_it_takes_before_a_check_looks_was_expired),
		cmocka_unit_test(test_gc_run__what_it_takes_during_a_check_is_not_lost),
		cmocka_unit_test(test_gc_run__dry_run_changes_nothing),
		cmocka_unit_test(test_gc_run__waits_for_sessions_at_work),
		cmocka_unit_test(test_gc_run__fences_who_was_silent),
		cmocka_unit_test(test_gc_run__stops_where_a_point_does_not_open),
		cmocka_unit_test(test_gc_run__stops_where_a_tree_does_not_open),
		cmocka_unit_test(test_gc_run__stops_where_a_pack_is_missing),
		cmocka_unit_test(test_gc_run__a_mark_is_of_its_place_only),
		cmocka_unit_test(test_gc_run__a_mark_does_not_explain_that_another_pack_is_gone),
		cmocka_unit_test(test_gc_run__keeps_marked_places_that_are_the_last),
		cmocka_unit_test(test_gc_run__keeps_the_copy_of_what_was_cut),
		cmocka_unit_test(test_gc_run__stops_where_a_point_is_gone),
		cmocka_unit_test(test_gc_run__needs_a_key_that_signs),
		cmocka_unit_test(test_gc_run__refuses_to_take_too_much_at_once),
		cmocka_unit_test(test_gc_run__comes_back_for_what_was_locked),
		cmocka_unit_test(test_gc_run__no_right_to_delete_is_an_error),
		cmocka_unit_test(test_gc_run__locked_segments_are_replaced_once),
		cmocka_unit_test(test_gc_run__points_that_the_store_keeps_stay_expired),
		cmocka_unit_test(test_gc_run__points_whose_marker_the_store_keeps_stay_expired),
		cmocka_unit_test(test_gc_run__what_comes_back_from_the_dead_is_deleted_again),
		cmocka_unit_test(test_gc_run__merges_small_segments),
		cmocka_unit_test(test_gc_run__what_a_fenced_session_left_is_for_all_in_the_end),
		cmocka_unit_test(test_gc_run__copies_no_more_than_it_may),
		cmocka_unit_test(test_gc_run__keeps_domains_apart),
		cmocka_unit_test(test_gc_run__leaves_nothing_behind),
		cmocka_unit_test(test_gc_run__goes_on_after_any_write_that_failed),
		cmocka_unit_test(test_gc_run__goes_on_after_any_write_whose_answer_was_lost),
		cmocka_unit_test(test_gc_run__goes_on_after_any_read_that_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
