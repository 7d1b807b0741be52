/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Nth call to the store fails, for every N, in every way a store can
 * fail. Whatever happens, a backup that says it is committed restores, one
 * that failed says why, and the points from before are whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/fd.h"
#include "repo/reader.h"
#include "repo/repo.h"
#include "repo/tree.h"
#include "repo/writer.h"
#include "snapshot/walk.h"
#include "tests/harness/harness.h"

struct plan {
	uint64_t at;
	enum store_fault fault;
	uint64_t calls;
	bool armed;
};

static enum store_fault decide(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct plan *p = arg;

	(void)n;
	(void)call;
	(void)key;
	if (!p->armed)
		return FAULT_NONE;
	return p->calls++ == p->at ? p->fault : FAULT_NONE;
}

struct world {
	char *dir;
	struct store *mem; /* kept open: the bytes live as long */
	struct plan plan;
	char *agent, *recovery;
};

static void make_source(const char *dir, unsigned generation)
{
	auto_free uint8_t *big = malloc(MIB);
	char name[32];

	fill_random(5, big, MIB);
	fill_random(generation, big + 65536, 4096);
	write_file(dir, "src/big", big, MIB);
	for (unsigned i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "src/d%u/f%u", i % 4, i);
		write_file(dir, name, big + 100 * i, 100 * i + (i == generation));
	}
}

/* The repository over the memory store, with faults as planned. */
static struct repo *open_repo(struct world *w, const char *key, struct store **ret_store,
                              struct err *e)
{
	struct keys *k = NULL;
	struct repo *r = NULL;
	struct store *s = store_open("mem:faults", 0, e);

	*ret_store = s ? store_fault_new(s, decide, &w->plan, e) : NULL;
	if (!*ret_store || keys_load(key, NULL, &k, e) < 0 ||
	    repo_open(*ret_store, k, NULL, NULL, &r, e) < 0) {
		store_free(*ret_store);
		*ret_store = NULL;
		return NULL;
	}
	return r;
}

static int backup(struct world *w, struct point *ret, struct err *e)
{
	static const struct point_volume volume = { .name = "v" };
	struct store *store;
	struct repo *r = open_repo(w, w->agent, &store, e);
	int rc = -1;

	if (!r)
		return -1;
	auto_free char *src = path_join(w->dir, "src");
	struct source *source = walk_open(src, NULL, e);
	if (source) {
		struct writer_params p = {
			.volume = &volume,
			.domain = "d",
			.consistency = "fuzzy",
			.driver = "live",
			.verify_encode = true,
			.threads = 2,
			.retries = 1,
		};
		rc = writer_backup(r, source, &p, ret, e);
		source->ops->free(source);
	}
	repo_free(r);
	store_free(store);
	return rc;
}

struct totals {
	uint64_t bytes;
	bool damaged;
};

static int take_chunk(void *ctx, struct reader_want *want, const uint8_t *plain, size_t n,
                      const struct err *why, struct err *e)
{
	struct totals *t = ctx;

	(void)want;
	(void)why;
	(void)e;
	if (plain)
		__atomic_add_fetch(&t->bytes, n, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&t->damaged, true, __ATOMIC_RELAXED);
	return 0;
}

struct every {
	struct repo *r;
	unsigned points;
	bool damaged;
};

/* Reads every chunk of one point. */
static int read_point(void *arg, const struct point *p, struct err *e)
{
	struct every *all = arg;
	struct totals t = { 0 };
	struct domain_keys *domain;
	struct reader_params rp = { .threads = 2, .rehash = true };
	struct reader *reader;
	struct tree *tree;
	const struct record *rec;
	struct leaf *leaf, *last = NULL;

	assert_int_equal(keys_domain(all->r->keys, p->domain, &domain, e), 0);
	assert_int_equal(reader_open(all->r, &rp, take_chunk, &t, &reader, e), 0);
	assert_int_equal(tree_open(all->r, p, &tree, e), 0);
	for (;;) {
		if (tree_next(tree, &rec, &leaf, e) < 0) {
			*e = (struct err)ERR_INIT;
			t.damaged = true;
			break;
		}
		if (!rec)
			break;
		if (leaf == last)
			continue;
		last = leaf;
		for (size_t i = 0; i < leaf->nchunks; i++) {
			struct reader_want want = { .ref = leaf->chunks[i] };

			assert_int_equal(reader_submit(reader, domain, &want, 1, e), 0);
		}
	}
	assert_int_equal(reader_drain(reader, e), 0);
	reader_free(reader);
	tree_free(tree);
	secret_free(domain);
	all->points++;
	all->damaged |= t.damaged;
	return 0;
}

static struct every read_all(struct world *w)
{
	struct every all = { 0 };
	struct err e = ERR_INIT;
	struct store *store;

	w->plan.armed = false;
	all.r = open_repo(w, w->recovery, &store, &e);
	assert_non_null(all.r);
	assert_int_equal(repo_points(all.r, NULL, read_point, NULL, &all, &e), 0);
	repo_free(all.r);
	store_free(store);
	return all;
}

struct copy {
	struct store *from, *to;
};

static int copy_one(void *arg, const struct store_item *item, struct err *e)
{
	struct copy *c = arg;
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * MIB);

	if (store_get_all(c->from, item->key, &b, e) < 0)
		return -1;
	struct iovec iov = { b.data, b.len };
	return store_put(c->to, item->key, &iov, 1, e);
}

static int wipe_one(void *arg, const struct store_item *item, struct err *e)
{
	return store_delete(arg, item->key, e);
}

/* Makes `to` hold exactly what `from` holds; NULL: nothing. */
static void make_like(struct store *to, struct store *from)
{
	struct err e = ERR_INIT;

	assert_int_equal(store_list(to, "", NULL, wipe_one, to, &e), 0);
	if (from)
		assert_int_equal(store_list(from, "", NULL, copy_one, &(struct copy){ from, to },
		                            &e),
		                 0);
}

/* Runs a second backup with the fault at call n. Returns false when there were fewer calls. */
static bool one(struct world *w, uint64_t n, enum store_fault fault)
{
	struct point p = { 0 };
	struct err e = ERR_INIT;

	w->plan = (struct plan){ .at = n, .fault = fault, .armed = true };
	int rc = backup(w, &p, &e);
	bool hit = w->plan.calls > n;
	w->plan.armed = false;
	if (rc == 0)
		point_clear(&p);
	else
		assert_true(e.msg[0] != '\0' && e.class != ERR_NONE);
	struct every all = read_all(w);
	/* A commit whose answer was lost may be there although the backup failed. */
	assert_in_range(all.points, 1 + (rc == 0), 2);
	assert_false(all.damaged);
	/* And the next one works whatever was left behind. */
	e = (struct err)ERR_INIT;
	assert_int_equal(backup(w, &p, &e), 0);
	point_clear(&p);
	return hit;
}

static void run(enum store_fault fault)
{
	struct world w = { .dir = tmpdir_new() };
	struct err e = ERR_INIT;
	struct point p = { 0 };
	uint64_t n = 0;

	auto_free char *keys = path_join(w.dir, "keys");
	w.agent = path_join(w.dir, "keys/agent.key");
	w.recovery = path_join(w.dir, "keys/recovery.key");
	w.mem = store_open("mem:faults", STORE_CREATE, &e);
	auto_store struct store *base = store_open("mem:base", STORE_CREATE, &e);
	assert_non_null(w.mem);
	assert_non_null(base);
	make_like(w.mem, NULL);
	assert_int_equal(repo_init(w.mem, keys, NULL, &e), 0);
	make_source(w.dir, 1);
	assert_int_equal(backup(&w, &p, &e), 0);
	point_clear(&p);
	make_like(base, w.mem);
	make_source(w.dir, 2);
	while (one(&w, n, fault)) {
		make_like(w.mem, base);
		n++;
	}
	/* Session, commits, tree, index, packs, index, commit: there are many calls. */
	assert_in_range(n, 8, 100);
	store_free(w.mem);
	free(w.agent);
	free(w.recovery);
	tmpdir_remove(w.dir);
}

static void test_backup__a_call_that_fails(void **state)
{
	(void)state;
	run(FAULT_FAIL);
}

static void test_backup__an_answer_that_is_lost(void **state)
{
	(void)state;
	run(FAULT_APPLIED_LOST);
}

static void test_backup__a_right_that_is_missing(void **state)
{
	(void)state;
	run(FAULT_DENIED);
}

static void test_backup__a_store_that_is_full(void **state)
{
	(void)state;
	run(FAULT_QUOTA);
}

static void test_backup__an_object_that_is_gone(void **state)
{
	(void)state;
	run(FAULT_GONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backup__a_call_that_fails),
		cmocka_unit_test(test_backup__an_answer_that_is_lost),
		cmocka_unit_test(test_backup__a_right_that_is_missing),
		cmocka_unit_test(test_backup__a_store_that_is_full),
		cmocka_unit_test(test_backup__an_object_that_is_gone),
	};
	struct err e = ERR_INIT;

	if (secret_init(&e) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
