/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may write. Stores that cannot keep writers apart: many writers refuse
 * them, a single writer uses them, and a second session beside an open one is
 * refused. Keys that are revoked while a backup runs.
 */
#include "tests/harness/fault_kit.h"
#include "tests/harness/keys_kit.h"

#include "repo/probe.h"
#include "repo/single.h"
#include "repo/view.h"
#include "repo/writer.h"
#include "snapshot/walk.h"

/* A store whose puts replace what is there. */
struct sloppy {
	struct store base;
	struct store *inner; /* owned */
};

static int sloppy_put(struct store *s, const char *key, const struct iovec *iov, int niov,
                      struct err *e)
{
	struct store *inner = ((struct sloppy *)s)->inner;

	return store_delete(inner, key, e) < 0 ? -1 : store_put(inner, key, iov, niov, e);
}

static int sloppy_get(struct store *s, const char *key, uint64_t off, void *p, size_t n,
                      struct err *e)
{
	return store_get(((struct sloppy *)s)->inner, key, off, p, n, e);
}

static int sloppy_head(struct store *s, const char *key, struct store_stat *ret, struct err *e)
{
	return store_head(((struct sloppy *)s)->inner, key, ret, e);
}

static int sloppy_list(struct store *s, const char *prefix, const char *after,
                       int (*each)(void *arg, const struct store_item *item, struct err *e),
                       void *arg, struct err *e)
{
	return store_list(((struct sloppy *)s)->inner, prefix, after, each, arg, e);
}

static int sloppy_delete(struct store *s, const char *key, struct err *e)
{
	return store_delete(((struct sloppy *)s)->inner, key, e);
}

static void sloppy_free(struct store *s)
{
	store_free(((struct sloppy *)s)->inner);
	free(s->url);
	free(s);
}

static struct store *sloppy_new(void)
{
	static const struct store_ops ops = {
		.name = "sloppy",
		.put = sloppy_put,
		.get = sloppy_get,
		.head = sloppy_head,
		.list = sloppy_list,
		.del = sloppy_delete,
		.free = sloppy_free,
	};
	struct sloppy *s = calloc(1, sizeof(*s));
	struct err err = ERR_INIT;

	assert_non_null(s);
	s->inner = store_mem_new(&err);
	assert_non_null(s->inner);
	s->base = (struct store){ .ops = &ops, .caps = s->inner->caps, .url = strdup("sloppy:") };
	return &s->base;
}

/* A kit in single-writer mode, in such a store. */
static struct kit single_new(void)
{
	struct kit k = { .dir = tmpdir_new(), .store = sloppy_new() };
	auto_free char *keys_dir = path_join(k.dir, "keys");

	ok(secret_init(e));
	ok(repo_init_single(k.store, keys_dir, NULL, e));
	kit_open_key(&k, "recovery.key", &k.recovery);
	kit_open_key(&k, "agent.key", &k.agent);
	kit_open_key(&k, "audit.key", &k.audit);
	return k;
}

static int back_up(const struct kit *k, const struct repo *r, const char *name, bool take_over,
                   struct err *e)
{
	auto_free char *src = path_join(k->dir, "src");
	struct point_volume v = kit_volume("", name);
	struct point p = { 0 };
	const struct writer_params params = {
		.volume = &v,
		.domain = "d",
		.consistency = "fuzzy",
		.driver = "live",
		.threads = 1,
		.retries = 1,
		.take_over = take_over,
	};

	write_text(k->dir, "src/file", "content");
	struct source *source = walk_open(src, NULL, e);
	if (!source)
		return -1;
	int rc = writer_backup(r, source, &params, &p, e);
	source->ops->free(source);
	point_clear(&p);
	return rc;
}

static enum session_end how_ended(const struct kit *k, const char *session)
{
	enum session_end end = SESSION_OPEN;

	ok(session_look(k->agent, session, &end, e));
	return end;
}

static unsigned open_sessions(const struct kit *k)
{
	CLEANUP(marker_list_clear) struct marker_list markers = { 0 };
	unsigned n = 0;

	ok(marker_list_load(k->store, &markers, e));
	for (size_t i = 0; i < markers.n; i++)
		n += how_ended(k, markers.v[i].session) == SESSION_OPEN;
	return n;
}

static void test_many_writers_refuse_a_store_that_replaces_objects(void **state)
{
	auto_kit struct kit k = kit_new();
	struct store *sloppy = sloppy_new();
	struct repo r;

	(void)state;
	/* The repository moved to such a store. */
	size_t n;
	auto_free uint8_t *config = kit_get(&k, "config", &n);
	ok(put_bytes(sloppy, "config", config, n, e));
	r = *k.agent;
	r.store = sloppy;
	fails_saying(ERR_UNSUPPORTED, "replaced an object", back_up(&k, &r, "v", false, e));
	assert_list(sloppy, "sess/", NULL, "");
	/* What init refuses says what there is to do. */
	auto_free char *keys = path_join(k.dir, "other");
	struct store *fresh = sloppy_new();
	fails_saying(ERR_UNSUPPORTED, "--single-writer", repo_init(fresh, keys, NULL, e));
	assert_false(file_exists(k.dir, "other"));
	store_free(fresh);
	store_free(sloppy);
}

static void test_a_single_writer_uses_it(void **state)
{
	auto_kit struct kit k = single_new();

	(void)state;
	assert_true(k.agent->params.single_writer);
	assert_true(k.audit->params.single_writer);
	ok(back_up(&k, k.agent, "v", false, e));
	ok(back_up(&k, k.agent, "v", false, e));
	ok(back_up(&k, k.agent, "w", false, e));
	assert_int_equal(open_sessions(&k), 0);
	/* nothing was tried out */
	assert_list(k.store, "probe/", NULL, "");
}

static void test_a_session_beside_an_open_one_is_refused(void **state)
{
	auto_kit struct kit k = single_new();
	const struct point_volume v = kit_volume("", "other");
	char session[96];
	char says[256];
	char host[64] = "";

	(void)state;
	ok(session_begin(k.agent, &v, "d", session, e));
	(void)gethostname(host, sizeof(host) - 1);
	(void)snprintf(says, sizeof(says), "session '%.60s' of host '%.50s' is open since 20",
	               session, host);
	fails_saying(ERR_BUSY, says, back_up(&k, k.agent, "v", false, e));
	fails_saying(ERR_BUSY, "--take-over", back_up(&k, k.agent, "v", false, e));
	assert_int_equal(open_sessions(&k), 1);
	assert_int_equal(how_ended(&k, session), SESSION_OPEN);

	ok(back_up(&k, k.agent, "v", true, e));
	assert_int_equal(how_ended(&k, session), SESSION_ABORTED);
	ok(back_up(&k, k.agent, "v", false, e));
}

static void test_an_end_is_not_put_over(void **state)
{
	auto_kit struct kit k = single_new();
	const struct point_volume v = kit_volume("", "v");
	auto_kit_point struct point p = kit_commit(&k, &v, 1, NULL);

	(void)state;
	kit_put_marker(&k, p.session);
	ok(single_fence(k.agent, p.session, "a test", e));
	assert_int_equal(how_ended(&k, p.session), SESSION_COMMITTED);
	ok(single_check(k.agent, NULL, true, e));
	assert_int_equal(how_ended(&k, p.session), SESSION_COMMITTED);
}

static void test_a_run_that_fails_leaves_no_session_open(void **state)
{
	auto_kit struct kit k = single_new();
	unsigned failed = 0;

	(void)state;
	for (uint64_t at = 0; at < 40; at++) {
		auto_store struct store *s = fault_store(k.store, at, FAULT_QUOTA, FAULT_NONE,
		                                         NULL);
		struct repo r = *k.agent;
		struct err e = ERR_INIT;

		r.store = s;
		int rc = back_up(&k, &r, "v", false, &e);
		failed += rc < 0;
		assert_int_equal(open_sessions(&k), 0);
	}
	assert_true(failed > 5);
	ok(back_up(&k, k.agent, "v", false, e));
}

static void test_a_key_that_is_revoked_while_it_writes_is_told(void **state)
{
	auto_kit struct kit k = kit_new();
	struct repo *node = kit_add_agent(&k, "node");

	(void)state;
	ok(back_up(&k, node, "v", false, e));
	/* Another key is of no concern. */
	repo_free(kit_add_agent(&k, "other"));
	(void)kit_revoke(&k, "other", 0);
	ok(back_up(&k, node, "v", false, e));
	(void)kit_revoke(&k, "node", 0);
	fails_saying(ERR_DENIED, "was revoked while the backup ran",
	             back_up(&k, node, "v", false, e));
	kit_reopen(&k);
	struct check_result r = kit_check(k.recovery, 4, NULL);
	assert_int_equal(r.points, 2);
	assert_true(r.revoked > 0);
	repo_free(node);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_writers_refuse_a_store_that_replaces_objects),
		cmocka_unit_test(test_a_single_writer_uses_it),
		cmocka_unit_test(test_a_session_beside_an_open_one_is_refused),
		cmocka_unit_test(test_an_end_is_not_put_over),
		cmocka_unit_test(test_a_run_that_fails_leaves_no_session_open),
		cmocka_unit_test(test_a_key_that_is_revoked_while_it_writes_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
