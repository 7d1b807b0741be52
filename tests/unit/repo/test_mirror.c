/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copy of a repository: it is one at every moment, whatever stops the copying and whatever
 * goes on in the source; nothing in it is written over; and what only one of them has is told.
 */
#include "repo/mirror.h"

#include <sched.h>
#include <stdatomic.h>

#include "repo/check.h"
#include "repo/expiry.h"
#include "repo/gc.h"
#include "tests/harness/keys_kit.h"

#define OWNER "ctl/owner/0123456789abcdef/0000000" /* and a digit */
#define JOURNAL "ctl/run/aaaa0000000000000000000000000001/00000001"
#define HOUR_NS ((int64_t)3600 * 1000000000)

static const struct gc_params eager = {
	.fence_after_ns = -HOUR_NS,
	.young_ns = -HOUR_NS,
	.repack_percent = GC_REPACK_DEFAULT,
	.share_percent = 100,
	.threads = 2,
};

static struct store *mem(void)
{
	struct store *s = NULL;

	ok((s = store_mem_new(e)) ? 0 : -1);
	return s;
}

static void expire(const struct kit *k, const struct point *p)
{
	const struct expiry_point x = { .session = p->session, .why = "a test" };
	uint64_t number;

	ok(expiry_put_tomb(k->agent, "", &x, 1, &number, e));
}

static void collect(const struct kit *k)
{
	struct gc_result r;

	ok(gc_run(k->agent, &eager, &r, e));
	assert_int_equal(r.outcome, GC_DONE);
}

/* Point n of a volume; from 2 on with half of the files of the first. */
static struct point backup(const struct kit *k, unsigned n, const struct point *previous)
{
	const struct kit_content c = { .volume = "v",
		                       .domain = "d",
		                       .n = n,
		                       .files = n == 1 ? 40 : 20,
		                       .bytes = 9000,
		                       .seed = 1,
		                       .from = n == 1 ? 0 : 20,
		                       .previous = previous };

	return kit_backup(k, &c);
}

static size_t count(struct store *s, const char *prefix)
{
	const struct kit k = { .store = s };
	struct kit_names names;

	kit_list(&k, prefix, &names);
	return names.n;
}

static int print_problem(void *arg, const struct check_problem *p, struct err *e)
{
	(void)arg;
	(void)e;
	print_error("%s %s: %s\n", check_what_name(p->what), p->object, p->text);
	return 0;
}

/* The copy is a repository, and every point that it shows is whole; returns how many it shows. */
static uint64_t assert_whole(const struct kit *k, struct store *copy)
{
	const struct check_params p = { .level = 4, .threads = 2, .problem = print_problem };
	struct kit there = { .dir = k->dir, .store = copy };
	struct check_result r;
	auto_repo struct repo *repo = kit_open(&there, "recovery.key");

	ok(check_run(repo, &p, &r, e));
	assert_int_equal(r.problems, 0);
	assert_int_equal(r.hurt_entries, 0);
	return r.points;
}

/* ---- what is told ---- */

struct told {
	struct buf text;
};

static int take_told(void *arg, enum mirror_what what, const char *key, const char *text,
                     struct err *e)
{
	struct told *t = arg;

	(void)e;
	assert_true(strlen(text) > 10);
	return buf_printf(&t->text, "%s %.12s\n", mirror_what_name(what), key);
}

#define TOLD_INIT                       \
	{                               \
		.text = BUF_INIT(65536) \
	}

static void told_clear(struct told *t)
{
	buf_clear(&t->text);
}

static struct mirror_result mirror_with(struct store *from, struct store *to,
                                        const struct mirror_params *p)
{
	struct mirror_result r;

	ok(mirror_run(from, to, p, &r, e));
	return r;
}

static struct mirror_result mirror(const struct kit *k, struct store *to)
{
	const struct mirror_params p = { .parallel = 2 };

	return mirror_with(k->store, to, &p);
}

/* ---- copying ---- */

static void test_mirror_run__makes_a_repository_that_is_whole(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_store struct store *copy = mem();
	auto_kit_point struct point first = backup(&k, 1, NULL);
	auto_kit_point struct point second = backup(&k, 2, &first);
	struct mirror_result r = mirror(&k, copy);

	(void)state;
	assert_int_equal(r.points, 2);
	assert_int_equal(r.rounds, 1);
	assert_int_equal(r.there + r.conflicts + r.damaged + r.surplus + r.foreign, 0);
	assert_int_equal(r.copied,
	                 count(k.store, "") - count(k.store, "sess/") - count(k.store, "probe/"));
	assert_int_equal(count(copy, "sess/") + count(copy, "probe/"), 0);
	assert_int_equal(count(copy, ""), r.copied);
	assert_int_equal(assert_whole(&k, copy), 2);

	struct mirror_result again = mirror(&k, copy);
	assert_int_equal(again.copied, 0);
	assert_int_equal(again.there, r.copied);
	assert_int_equal(again.there_bytes, r.copied_bytes);
	auto_kit_point struct point third = backup(&k, 3, &second);
	assert_int_equal(mirror(&k, copy).points, 1);
	assert_int_equal(assert_whole(&k, copy), 3);
}

static void test_mirror_run__needs_little_memory_and_can_read_back(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_store struct store *copy = mem();
	auto_kit_point struct point first = backup(&k, 1, NULL);
	struct progress_counts counts = { 0 };
	const struct mirror_params p = {
		.parallel = 8, .memory = 1, .verify = true, .counts = &counts
	};
	struct mirror_result r = mirror_with(k.store, copy, &p);

	(void)state;
	assert_int_equal(r.conflicts, 0);
	assert_int_equal(counts.bytes_total, r.copied_bytes);
	assert_int_equal(counts.bytes_done, r.copied_bytes);
	assert_int_equal(counts.files_total, r.copied);
	assert_int_equal(counts.files_done, r.copied);
	assert_int_equal(assert_whole(&k, copy), 1);
}

static void test_mirror_run__dry_run_counts_and_writes_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_store struct store *copy = mem();
	auto_kit_point struct point first = backup(&k, 1, NULL);
	const struct mirror_params p = { .dry_run = true };
	struct mirror_result dry = mirror_with(k.store, copy, &p);

	(void)state;
	assert_int_equal(count(copy, ""), 0);
	struct mirror_result r = mirror(&k, copy);
	assert_int_equal(dry.copied, r.copied);
	assert_int_equal(dry.copied_bytes, r.copied_bytes);
	assert_int_equal(dry.points, 1);
}

static void test_mirror_run__copies_what_a_later_version_may_have(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_store struct store *copy = mem();
	char name[200];

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ok(put_text(k.store, "later/kind", "of object", e));
	ok(put_text(k.store, name, "too long a name", e));
	struct mirror_result r = mirror(&k, copy);
	assert_int_equal(r.foreign, 1);
	assert_text(copy, "later/kind", "of object");
}

/* ---- stopped ---- */

/* Fails every put from number `left` on. */
struct stop {
	_Atomic long left;
};

static enum store_fault stop_puts(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct stop *s = arg;

	(void)n;
	(void)key;
	return call == CALL_PUT && atomic_fetch_sub(&s->left, 1) <= 0 ? FAULT_DENIED : FAULT_NONE;
}

/* Points that were expired, moved and collected; and one that is expired and not collected. */
static void long_life(struct kit *k)
{
	auto_kit_point struct point first = backup(k, 1, NULL);
	auto_kit_point struct point second = backup(k, 2, &first);
	auto_kit_point struct point third = backup(k, 3, &second);

	expire(k, &first);
	collect(k);
	auto_kit_point struct point fourth = backup(k, 4, &third);
	expire(k, &second);
	repo_free(kit_add_agent(k, "other"));
	kit_reopen(k);
}

static void test_mirror_run__stopped_at_any_put_leaves_a_repository(void **state)
{
	auto_kit struct kit k = kit_new();
	const struct mirror_params p = { .parallel = 1 };
	bool done = false;

	(void)state;
	long_life(&k);
	for (long n = 0; !done; n++) {
		auto_store struct store *copy = mem();
		struct stop stop = { .left = n };
		struct err err = ERR_INIT;
		struct mirror_result r;
		auto_store struct store *failing = store_fault_new(copy, stop_puts, &stop, &err);

		assert_non_null(failing);
		copy = NULL; /* the wrapper owns it */
		done = mirror_run(k.store, failing, &p, &r, &err) == 0;
		if (!done)
			assert_int_equal(err.class, ERR_DENIED);
		stop.left = 1000;
		if (count(failing, "config") > 0)
			(void)assert_whole(&k, failing);
		else
			assert_int_equal(count(failing, "ctl/config/"), 0);
		(void)mirror_with(k.store, failing, &p);
		assert_int_equal(assert_whole(&k, failing), 2);
	}
}

/* The put of one point takes its time, in which others may come, and fails then. */
struct late {
	char key[STORE_KEY_MAX + 1];
	atomic_uint others; /* points that were put meanwhile */
};

static enum store_fault fail_late(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct late *l = arg;

	(void)n;
	if (call != CALL_PUT || strncmp(key, "commit/", 7) != 0)
		return FAULT_NONE;
	if (strcmp(key, l->key) != 0) {
		atomic_fetch_add(&l->others, 1);
		return FAULT_NONE;
	}
	const unsigned before = atomic_load(&l->others);
	for (unsigned i = 0; i < 20000 && atomic_load(&l->others) == before; i++)
		(void)sched_yield();
	return FAULT_DENIED;
}

/* A point that follows one that is not there would look as if that had been lost. */
static void test_mirror_run__points_of_a_volume_come_one_after_the_other(void **state)
{
	auto_kit struct kit k = kit_new();
	const struct mirror_params p = { .parallel = 8 };
	auto_store struct store *copy = mem();
	struct point points[6];
	struct late late = { .others = 0 };
	struct err err = ERR_INIT;
	struct mirror_result r;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(points); i++)
		points[i] = backup(&k, i + 1, i > 0 ? &points[i - 1] : NULL);
	(void)snprintf(late.key, sizeof(late.key), "commit/%s", points[1].session);
	auto_store struct store *failing = store_fault_new(copy, fail_late, &late, &err);
	assert_non_null(failing);
	copy = NULL; /* the wrapper owns it */
	assert_int_equal(mirror_run(k.store, failing, &p, &r, &err), -1);
	assert_int_equal(err.class, ERR_DENIED);
	assert_int_equal(count(failing, "commit/"), 1);
	late.key[0] = '\0';
	(void)mirror_with(k.store, failing, &p);
	assert_int_equal(count(failing, "commit/"), ARRAY_LEN(points));
	for (unsigned i = 0; i < ARRAY_LEN(points); i++)
		point_clear(&points[i]);
}

/* ---- while others are at work ---- */

/* In the source something happens when the first pack is read. */
struct meanwhile {
	struct kit *k;
	struct store *inner;
	const struct point *expire;
	atomic_int times; /* that it is to happen */
	bool inside;
};

static enum store_fault collect_meanwhile(void *arg, uint64_t n, enum store_call call,
                                          const char *key)
{
	struct meanwhile *w = arg;

	(void)n;
	if (call != CALL_GET || strncmp(key, "pack/", 5) != 0 ||
	    atomic_fetch_sub(&w->times, 1) <= 0)
		return FAULT_NONE;
	expire(w->k, w->expire);
	collect(w->k);
	return FAULT_NONE;
}

static void test_mirror_run__begins_again_when_a_collection_was_at_work(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_store struct store *copy = mem();
	auto_kit_point struct point first = backup(&k, 1, NULL);
	auto_kit_point struct point second = backup(&k, 2, &first);
	struct meanwhile w = { .k = &k, .expire = &first, .times = 1 };
	const struct mirror_params p = { .parallel = 1 };
	struct err err = ERR_INIT;
	struct store *real = k.store;

	(void)state;
	auto_store struct store *watched = store_fault_new(real, collect_meanwhile, &w, &err);
	assert_non_null(watched);
	struct mirror_result r = mirror_with(watched, copy, &p);
	assert_int_equal(r.rounds, 2);
	assert_int_equal(assert_whole(&k, copy), 1);
	k.store = NULL; /* freed with its wrapper */
}

/* A segment of a maintenance session comes between the two looks of each round. */
static enum store_fault merge_meanwhile(void *arg, uint64_t n, enum store_call call,
                                        const char *key)
{
	struct meanwhile *w = arg;
	char name[128];

	if (call != CALL_LIST || strcmp(key, "tomb/") == 0 || strcmp(key, "hold/") != 0)
		return FAULT_NONE;
	(void)snprintf(name, sizeof(name),
	               "idx/0123456789abcdef/2026-11-22/0000000000000000-%032x-0000", (unsigned)n);
	ok(put_text(w->inner, name, "a segment", e));
	return FAULT_NONE;
}

static void test_mirror_run__gives_up_when_collections_never_stop(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_store struct store *copy = mem();
	auto_kit_point struct point first = backup(&k, 1, NULL);
	struct meanwhile w = { .inner = k.store };
	const struct mirror_params p = { .parallel = 1 };
	struct mirror_result r;
	struct err err = ERR_INIT;

	(void)state;
	auto_store struct store *watched = store_fault_new(k.store, merge_meanwhile, &w, &err);
	fails_saying(ERR_RETRY, "collections went on", mirror_run(watched, copy, &p, &r, e));
	assert_true(count(copy, "pack/") > 0);
	assert_int_equal(count(copy, "commit/"), 0);
	k.store = NULL;
}

static void test_mirror_run__leaves_out_what_a_collection_has_not_decided(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_store struct store *copy = mem();

	(void)state;
	ok(put_text(k.store, "ctl/gc/00000001/condemn", "a list", e));
	ok(put_text(k.store, "ctl/gc/00000001/sessions", "a list", e));
	(void)mirror(&k, copy);
	assert_int_equal(count(copy, "ctl/gc/"), 0);
	ok(put_text(k.store, "ctl/gc/00000001/final", "a list", e));
	(void)mirror(&k, copy);
	assert_int_equal(count(copy, "ctl/gc/"), 1);
	assert_text(copy, "ctl/gc/00000001/final", "a list");
}

/* ---- what does not fit ---- */

static void first_of(const struct kit *k, const char *prefix, char ret[STORE_KEY_MAX + 1])
{
	struct kit_names names;

	kit_list(k, prefix, &names);
	assert_true(names.n > 0);
	memcpy(ret, names.keys[0], STORE_KEY_MAX + 1);
}

static void test_mirror_run__tells_a_conflict_and_changes_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_store struct store *copy = mem();
	auto_kit_point struct point first = backup(&k, 1, NULL);
	CLEANUP(told_clear) struct told told = TOLD_INIT;
	const struct mirror_params p = { .tell = take_told, .arg = &told };
	char pack[STORE_KEY_MAX + 1];

	(void)state;
	first_of(&k, "pack/", pack);
	ok(put_text(copy, pack, "something else", e));
	struct mirror_result r = mirror_with(k.store, copy, &p);
	assert_int_equal(r.conflicts, 1);
	assert_int_equal(r.points, 1);
	assert_text(copy, pack, "something else");
	assert_memory_equal(buf_cstr(&told.text), "conflict pack/", 14);
}

static enum store_fault flip_first_pack(void *arg, uint64_t n, enum store_call call,
                                        const char *key)
{
	(void)arg;
	(void)n;
	return call == CALL_PUT && strncmp(key, "pack/", 5) == 0 ? FAULT_FLIP : FAULT_NONE;
}

static void test_mirror_run__reading_back_finds_what_the_store_changed(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point first = backup(&k, 1, NULL);
	struct err err = ERR_INIT;
	auto_store struct store *copy = store_fault_new(mem(), flip_first_pack, NULL, &err);
	CLEANUP(told_clear) struct told told = TOLD_INIT;
	const struct mirror_params p = { .verify = true, .tell = take_told, .arg = &told };

	(void)state;
	assert_int_equal(mirror_with(k.store, copy, &p).conflicts, 1);
	assert_memory_equal(buf_cstr(&told.text), "conflict pack/", 14);
}

static void test_mirror_run__does_not_copy_a_pack_that_is_not_whole(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point first = backup(&k, 1, NULL);
	static const int64_t places[] = { 0, -1, -100, -200 };
	char pack[STORE_KEY_MAX + 1];

	(void)state;
	first_of(&k, "pack/", pack);
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		auto_store struct store *copy = mem();
		CLEANUP(told_clear) struct told told = TOLD_INIT;
		const struct mirror_params p = { .tell = take_told, .arg = &told };

		kit_flip(&k, pack, places[i]);
		assert_int_equal(mirror_with(k.store, copy, &p).damaged, 1);
		assert_memory_equal(buf_cstr(&told.text), "damaged pack/", 13);
		assert_int_equal(count(copy, "pack/"), count(k.store, "pack/") - 1);
		kit_flip(&k, pack, places[i]);
		assert_int_equal(mirror_with(k.store, copy, &p).damaged, 0);
		assert_int_equal(assert_whole(&k, copy), 1);
	}
}

static void test_mirror_run__refuses_what_is_no_mirror_of_the_source(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit struct kit other = kit_new();
	auto_store struct store *empty = mem();
	auto_store struct store *copy = mem();
	const struct mirror_params p = { 0 };
	const struct mirror_params back = { .back = true };
	struct mirror_result r;

	(void)state;
	fails_saying(ERR_NOT_FOUND, "no repository", mirror_run(empty, copy, &p, &r, e));
	fails_saying(ERR_INVALID, "another repository",
	             mirror_run(k.store, other.store, &p, &r, e));
	(void)mirror(&k, copy);
	ok(put_text(copy, "sess/2026-11-22/x", "somebody", e));
	fails_saying(ERR_BUSY, "somebody writes there", mirror_run(k.store, copy, &p, &r, e));
	ok(mirror_run(k.store, copy, &back, &r, e));
}

static void test_mirror_run__refuses_two_that_went_their_own_ways(void **state)
{
	static const char *const keys[] = { "tomb/00000001", "hold/00000001", "ctl/config/00000002",
		                            "ctl/gc/00000001/final", OWNER "1" };
	const struct mirror_params back = { .back = true };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		auto_kit struct kit k = kit_new();
		auto_store struct store *copy = mem();
		struct mirror_result r;

		(void)mirror(&k, copy);
		ok(put_text(copy, keys[i], "one statement", e));
		fails_saying(ERR_CORRUPT, keys[i], mirror_run(k.store, copy, &back, &r, e));
		ok(put_text(k.store, keys[i], "two statement", e));
		fails_saying(ERR_CORRUPT, keys[i], mirror_run(k.store, copy, &back, &r, e));
		kit_remove(&k, keys[i]);
		ok(put_text(k.store, keys[i], "one statement", e));
		ok(mirror_run(k.store, copy, &back, &r, e));
	}
}

/* Who serves a plan comes last: nobody is told so before the fence that it came with is there. */
static void test_mirror_run__runs_and_owners_come_behind_the_config(void **state)
{
	auto_kit struct kit k = kit_new();
	const struct mirror_params p = { .parallel = 1 };
	struct stop stop = { .left = 0 };
	auto_store struct store *copy = NULL;
	struct mirror_result r;
	bool done = false;

	(void)state;
	repo_free(kit_add_agent(&k, "other"));
	ok(put_text(k.store, OWNER "1", "one", e));
	ok(put_text(k.store, OWNER "2", "two", e));
	ok(put_text(k.store, JOURNAL, "step", e));
	ok((copy = store_fault_new(mem(), stop_puts, &stop, e)) ? 0 : -1);
	while (!done) {
		struct err err = ERR_INIT;

		stop.left = 1;
		done = mirror_run(k.store, copy, &p, &r, &err) == 0;
		if (count(copy, OWNER "1") > 0) {
			assert_int_equal(count(copy, "ctl/config/00000002"), 1);
			assert_int_equal(count(copy, JOURNAL), 1);
		}
		if (count(copy, OWNER "2") > 0)
			assert_int_equal(count(copy, OWNER "1"), 1);
	}
	assert_int_equal(count(copy, OWNER), 2);
}

/* A drill from a copy writes its journal there; that is no surplus. */
static void test_mirror_run__a_journal_of_the_copy_stays(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_store struct store *copy = mem();
	const struct mirror_params p = { .deletions = k.audit };

	(void)state;
	(void)mirror(&k, copy);
	ok(put_text(copy, JOURNAL, "step", e));
	struct mirror_result r = mirror_with(k.store, copy, &p);
	assert_int_equal(r.surplus, 0);
	assert_int_equal(r.deleted, 0);
	assert_text(copy, JOURNAL, "step");
}

/* ---- deletions ---- */

static void test_mirror_run__deletes_what_a_collection_took(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_store struct store *copy = mem();
	auto_kit_point struct point first = backup(&k, 1, NULL);
	auto_kit_point struct point second = backup(&k, 2, &first);
	const struct mirror_params p = { .deletions = k.audit };
	const struct mirror_params dry = { .deletions = k.audit, .dry_run = true };

	(void)state;
	(void)mirror(&k, copy);
	expire(&k, &first);
	collect(&k);
	struct mirror_result r = mirror(&k, copy);
	assert_true(r.surplus >= 3);
	assert_int_equal(r.surplus_points, 1);
	assert_int_equal(assert_whole(&k, copy), 1);
	size_t before = count(copy, "");
	struct mirror_result would = mirror_with(k.store, copy, &dry);
	assert_int_equal(would.deleted, r.surplus);
	assert_int_equal(count(copy, ""), before);
	struct mirror_result did = mirror_with(k.store, copy, &p);
	assert_int_equal(did.deleted, r.surplus);
	assert_int_equal(did.deleted_bytes, would.deleted_bytes);
	assert_int_equal(did.surplus, 0);
	assert_int_equal(count(copy, "commit/"), count(k.store, "commit/"));
	assert_int_equal(count(copy, "pack/"), count(k.store, "pack/"));
	assert_int_equal(assert_whole(&k, copy), 1);
}

static void test_mirror_run__keeps_what_the_source_lost(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_store struct store *copy = mem();
	auto_kit_point struct point first = backup(&k, 1, NULL);
	CLEANUP(told_clear) struct told told = TOLD_INIT;
	const struct mirror_params p = { .deletions = k.audit, .tell = take_told, .arg = &told };
	char pack[STORE_KEY_MAX + 1];
	char commit[STORE_KEY_MAX + 1];

	(void)state;
	(void)mirror(&k, copy);
	first_of(&k, "pack/", pack);
	first_of(&k, "commit/", commit);
	kit_remove(&k, pack);
	kit_remove(&k, commit);
	struct mirror_result r = mirror_with(k.store, copy, &p);
	assert_int_equal(r.deleted, 0);
	assert_int_equal(r.surplus, 2);
	assert_non_null(strstr(buf_cstr(&told.text), "surplus pack/"));
	assert_non_null(strstr(buf_cstr(&told.text), "surplus commit/"));
	assert_int_equal(assert_whole(&k, copy), 1);
}

static void test_mirror_run__back_names_points_that_only_the_other_has(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_store struct store *copy = mem();
	auto_kit_point struct point first = backup(&k, 1, NULL);
	CLEANUP(told_clear) struct told told = TOLD_INIT;
	const struct mirror_params p = { .back = true, .tell = take_told, .arg = &told };

	(void)state;
	(void)mirror(&k, copy);
	auto_kit_point struct point lost = backup(&k, 2, &first);
	struct mirror_result r = mirror_with(copy, k.store, &p);
	assert_int_equal(r.surplus_points, 1);
	assert_string_equal(buf_cstr(&told.text), "surplus commit/2026-\n");
	assert_int_equal(assert_whole(&k, k.store), 2);
}

/* ---- comparing ---- */

static int take_state(void *arg, const char *session, int64_t received_ns,
                      enum mirror_point_state s, struct err *e)
{
	(void)e;
	(void)arg;
	assert_int_equal(strlen(session), POINT_SESSION_LEN);
	assert_true(received_ns > 0);
	print_message("%s %s\n", session, mirror_point_state_name(s));
	return 0;
}

static void test_mirror_verify__says_which_points_are_complete(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_store struct store *copy = mem();
	auto_kit_point struct point first = backup(&k, 1, NULL);
	const struct mirror_params p = { 0 };
	struct mirror_verified v;
	char pack[STORE_KEY_MAX + 1];
	char commit[128];

	(void)state;
	(void)mirror(&k, copy);
	ok(mirror_verify(k.store, copy, &p, true, take_state, &v, e));
	assert_int_equal(v.missing + v.different + v.surplus, 0);
	assert_int_equal(v.read_bytes, v.same_bytes);
	assert_int_equal(v.points[MIRROR_POINT_COMPLETE], 1);
	assert_true(v.cut_ns > 0);
	auto_kit_point struct point second = backup(&k, 2, &first);
	ok(mirror_verify(k.store, copy, &p, false, take_state, &v, e));
	assert_true(v.missing >= 3);
	assert_int_equal(v.points[MIRROR_POINT_COMPLETE], 1);
	assert_int_equal(v.points[MIRROR_POINT_LACKING], 1);
	(void)mirror(&k, copy);
	first_of(&k, "pack/", pack);
	(void)snprintf(commit, sizeof(commit), "commit/%.100s", second.session);
	ok(store_delete(copy, pack, e));
	kit_remove(&k, commit);
	ok(mirror_verify(k.store, copy, &p, false, NULL, &v, e));
	assert_int_equal(v.missing, 1);
	assert_int_equal(v.points[MIRROR_POINT_UNSURE], 1);
	assert_int_equal(v.points[MIRROR_POINT_SURPLUS], 1);
}

static void test_mirror_verify__reading_finds_other_bytes(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_store struct store *copy = mem();
	auto_kit_point struct point first = backup(&k, 1, NULL);
	CLEANUP(told_clear) struct told told = TOLD_INIT;
	const struct mirror_params p = { .tell = take_told, .arg = &told };
	struct kit there = { .store = copy };
	struct mirror_verified v;
	char pack[STORE_KEY_MAX + 1];

	(void)state;
	(void)mirror(&k, copy);
	first_of(&k, "pack/", pack);
	kit_flip(&there, pack, 500);
	ok(mirror_verify(k.store, copy, &p, false, NULL, &v, e));
	assert_int_equal(v.different, 0);
	ok(mirror_verify(k.store, copy, &p, true, NULL, &v, e));
	assert_int_equal(v.different, 1);
	assert_int_equal(v.points[MIRROR_POINT_UNSURE], 1);
	assert_memory_equal(buf_cstr(&told.text), "conflict pack/", 14);
	kit_cut(&there, pack, 10);
	ok(mirror_verify(k.store, copy, &p, false, NULL, &v, e));
	assert_int_equal(v.different, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mirror_run__makes_a_repository_that_is_whole),
		cmocka_unit_test(test_mirror_run__needs_little_memory_and_can_read_back),
		cmocka_unit_test(test_mirror_run__dry_run_counts_and_writes_nothing),
		cmocka_unit_test(test_mirror_run__copies_what_a_later_version_may_have),
		cmocka_unit_test(test_mirror_run__stopped_at_any_put_leaves_a_repository),
		cmocka_unit_test(test_mirror_run__points_of_a_volume_come_one_after_the_other),
		cmocka_unit_test(test_mirror_run__begins_again_when_a_collection_was_at_work),
		cmocka_unit_test(test_mirror_run__gives_up_when_collections_never_stop),
		cmocka_unit_test(test_mirror_run__leaves_out_what_a_collection_has_not_decided),
		cmocka_unit_test(test_mirror_run__tells_a_conflict_and_changes_nothing),
		cmocka_unit_test(test_mirror_run__reading_back_finds_what_the_store_changed),
		cmocka_unit_test(test_mirror_run__does_not_copy_a_pack_that_is_not_whole),
		cmocka_unit_test(test_mirror_run__refuses_what_is_no_mirror_of_the_source),
		cmocka_unit_test(test_mirror_run__refuses_two_that_went_their_own_ways),
		cmocka_unit_test(test_mirror_run__runs_and_owners_come_behind_the_config),
		cmocka_unit_test(test_mirror_run__a_journal_of_the_copy_stays),
		cmocka_unit_test(test_mirror_run__deletes_what_a_collection_took),
		cmocka_unit_test(test_mirror_run__keeps_what_the_source_lost),
		cmocka_unit_test(test_mirror_run__back_names_points_that_only_the_other_has),
		cmocka_unit_test(test_mirror_verify__says_which_points_are_complete),
		cmocka_unit_test(test_mirror_verify__reading_finds_other_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
