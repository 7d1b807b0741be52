/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing the catalog up to date: only what is new is fetched, and nothing is missed. */
#include "catalog/sync.h"

#include "tests/harness/fence_kit.h"
#include "tests/unit/catalog/catalog_kit.h"

/* A repository, a catalog of it, and a look at what is asked of the store. */
struct world {
	struct kit k;
	struct catalog *c;
	_Atomic unsigned gets;    /* of commits */
	_Atomic unsigned fail_at; /* the get of a commit that fails, from 1; 0: none */
	enum store_fault fault;   /* how it fails */
};

static enum store_fault watch(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct world *w = arg;

	(void)n;
	if (call != CALL_GET || strncmp(key, "commit/", 7) != 0)
		return FAULT_NONE;
	return ++w->gets == w->fail_at ? w->fault : FAULT_NONE;
}

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->fault = FAULT_FAIL;
	w->k = kit_new();
	auto_free char *path = path_join(w->k.dir, "catalog.db");
	ok((w->k.store = store_fault_new(w->k.store, watch, w, e)) ? 0 : -1);
	w->k.recovery->store = w->k.agent->store = w->k.audit->store = w->k.store;
	ok(catalog_open(path, CATALOG_WRITE, &w->c, e));
}

static void world_clear(struct world *w)
{
	catalog_free(w->c);
	kit_clear(&w->k);
}
#define auto_world CLEANUP(world_clear)

static struct sync_result catch_up(struct world *w)
{
	const struct sync_params p = { .now_ns = KIT_NOW_NS, .threads = 3 };
	struct sync_result r;

	w->gets = 0;
	ok(sync_run(w->c, w->k.audit, &p, &r, e));
	return r;
}

#define ANOMALIES                                                                             \
	"SELECT kind, substr(object, 8, 10), substr(other, 8, 10), v.volume FROM anomalies a" \
	" LEFT JOIN volumes v USING (voltag) WHERE resolved_ns IS NULL ORDER BY object, kind"

static void commit_key(char ret[128], const struct point *p)
{
	(void)snprintf(ret, 128, "commit/%.100s", p->session);
}

static void remove_commit(struct world *w, const struct point *p)
{
	char key[128];

	commit_key(key, p);
	kit_remove(&w->k, key);
}

/* ---- what is new ---- */

static void test_sync_run__empty_store_gives_an_empty_catalog(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	struct sync_result r = catch_up(&w);
	assert_int_equal(r.listed + r.added + r.gone + r.bad + r.open, 0);
	assert_rows(w.c, "SELECT count(*), (SELECT synced_ns FROM repository) FROM points",
	            "0|1881705600000000000\n");
}

static void test_sync_run__takes_over_every_field_of_a_point(void **state)
{
	auto_world struct world w;
	struct point_volume v = kit_volume("shop", "orders");
	struct point p = { .volume = v };
	char segment_a[] = "idx/0011223344556677/a-0000";
	char segment_b[] = "idx/0011223344556677/a-0001";
	char *index[] = { segment_a, segment_b };
	char path_a[] = "dir/\\xff";
	char why_a[] = "Permission denied";
	struct point_problem problem = { .path = path_a, .why = why_a };

	(void)state;
	world_init(&w);
	(void)snprintf(p.volume.uid, sizeof(p.volume.uid), "uid-1");
	p.volume.block = true;
	kit_session(&w.k, &v, 3, p.session);
	memcpy(p.id, p.session + POINT_SESSION_RANDOM, sizeof(p.id));
	(void)snprintf(p.set, sizeof(p.set), "00112233445566778899aabbccddeeff");
	(void)snprintf(p.domain, sizeof(p.domain), "dom");
	(void)snprintf(p.consistency, sizeof(p.consistency), "application");
	(void)snprintf(p.driver, sizeof(p.driver), "csi");
	(void)snprintf(p.host, sizeof(p.host), "node-7");
	(void)snprintf(p.agent, sizeof(p.agent), "aksdr 9");
	kit_session(&w.k, &v, 2, p.previous_session);
	memset(p.previous_hash, 0xab, sizeof(p.previous_hash));
	p.sequence = 3;
	p.started_ns = 101;
	p.frozen_ns = 102;
	p.finished_ns = 103;
	memset(p.root.id, 0x11, sizeof(p.root.id));
	memset(p.root.pack, 0x22, sizeof(p.root.pack));
	p.root.off = 201;
	p.root.stored = 202;
	p.root.plain = 203;
	p.root.counter = 204;
	p.root.key = 5;
	p.root.compression = COMPRESSION_ZSTD;
	p.root.kind = CHUNK_NODE;
	p.levels = 2;
	p.files = 301;
	p.directories = 302;
	p.others = 303;
	p.bytes_logical = (uint64_t)1 << 62;
	p.bytes_read = 402;
	p.bytes_new = 403;
	p.bytes_stored = 404;
	p.unreadable = 501;
	p.changed = 502;
	p.gone = 503;
	p.epoch = 6;
	p.index = index;
	p.nindex = 2;
	p.problems = &problem;
	p.nproblems = 1;
	ok(session_commit(w.k.agent, &p, e));
	struct sync_result r = catch_up(&w);
	assert_int_equal(r.added, 1);

	assert_rows(
		w.c,
		"SELECT volume, cluster, namespace, name, kind, volume_uid, domain, set_id, "
		"sequence,"
		" previous_session LIKE '2026-11-24/%', substr(previous_hash, 1, 6), consistency,"
		" driver, files, directories, others, bytes_logical, bytes_read, bytes_new,"
		" bytes_stored, unreadable, changed, vanished, state, host, agent, epoch,"
		" signer_name, started_ns, frozen_ns, finished_ns, gone_at_ns FROM v_points",
		"c1/shop/orders|c1|shop|orders|block|uid-1|dom|00112233445566778899aabbccddeeff|3"
		"|1|ababab|application|csi|301|302|303|4611686018427387904|402|403|404|501|502|503"
		"|present|node-7|aksdr 9|6|agent|101|102|103|\n");
	assert_rows(w.c,
	            "SELECT substr(root_id, 1, 4), substr(root_pack, 1, 4), root_offset, "
	            "root_stored,"
	            " root_plain, root_counter, root_key, root_compression, levels, length(hash),"
	            " received_ns > 1500000000000000000 FROM points",
	            "1111|2222|201|202|203|204|5|1|2|64|1\n");
	assert_rows(w.c, "SELECT n, key FROM point_segments ORDER BY n",
	            "0|idx/0011223344556677/a-0000\n1|idx/0011223344556677/a-0001\n");
	assert_rows(w.c, "SELECT n, path, why FROM point_problems",
	            "0|dir/\\xff|Permission denied\n");
	assert_rows(w.c, "SELECT name FROM signers ORDER BY name", "admin\nagent\n");
}

static void test_sync_run__fetches_only_commits_that_it_does_not_know(void **state)
{
	auto_world struct world w;
	const struct point_volume v = kit_volume("", "data");
	struct point p = { 0 };

	(void)state;
	world_init(&w);
	for (unsigned i = 1; i <= 5; i++)
		p = kit_commit(&w.k, &v, i, i > 1 ? &p : NULL);
	struct sync_result r = catch_up(&w);
	assert_int_equal(r.listed, 5);
	assert_int_equal(r.added, 5);
	assert_int_equal(w.gets, 5);

	r = catch_up(&w);
	assert_int_equal(r.listed, 5);
	assert_int_equal(r.added, 0);
	assert_int_equal(w.gets, 0);

	p = kit_commit(&w.k, &v, 6, &p);
	r = catch_up(&w);
	assert_int_equal(r.added, 1);
	assert_int_equal(w.gets, 1);
	assert_int_equal(r.open, 0);
}

static void test_sync_run__many_points_of_many_volumes(void **state)
{
	auto_world struct world w;
	struct progress_counts counts = { 0 };
	const struct sync_params params = { .now_ns = KIT_NOW_NS, .counts = &counts };
	struct sync_result r;

	(void)state;
	world_init(&w);
	for (unsigned i = 0; i < 300; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "v%u", i % 7);
		const struct point_volume v = kit_volume("ns", name);
		auto_kit_point struct point p = kit_commit_as(&w.k, &v, i + 1, 1, NULL);
	}
	ok(sync_run(w.c, w.k.audit, &params, &r, e));
	assert_int_equal(r.added, 300);
	assert_int_equal(counts.files_total, 300);
	assert_int_equal(counts.files_done, 300);
	assert_rows(w.c, "SELECT volume, points FROM v_volume_status ORDER BY volume LIMIT 2",
	            "c1/ns/v0|43\nc1/ns/v1|43\n");
	/* all but the first of each volume say that they are the first */
	assert_int_equal(r.open, 293);
}

/* ---- what is gone ---- */

static void test_sync_run__points_that_are_gone_are_marked_and_come_back(void **state)
{
	auto_world struct world w;
	const struct point_volume v = kit_volume("", "data");
	char key[128];
	size_t n;

	(void)state;
	world_init(&w);
	auto_kit_point struct point a = kit_commit(&w.k, &v, 1, NULL);
	auto_kit_point struct point b = kit_commit(&w.k, &v, 2, &a);
	auto_kit_point struct point c = kit_commit(&w.k, &v, 3, &b);
	(void)catch_up(&w);
	commit_key(key, &b);
	auto_free uint8_t *object = kit_get(&w.k, key, &n);
	kit_remove(&w.k, key);
	struct sync_result r = catch_up(&w);
	assert_int_equal(r.gone, 1);
	assert_int_equal(r.found, 2);
	assert_int_equal(r.open, 2);
	assert_rows(w.c, "SELECT sequence, gone_at_ns FROM points ORDER BY sequence",
	            "1|\n2|1881705600000000000\n3|\n");
	assert_rows(w.c, ANOMALIES, "lost|2026-11-24||data\ngap|2026-11-25|2026-11-24|data\n");
	assert_rows(w.c, "SELECT state FROM v_points ORDER BY sequence",
	            "present\nlost\npresent\n");
	assert_rows(w.c, "SELECT points FROM v_volume_status", "2\n");

	r = catch_up(&w);
	assert_int_equal(r.gone, 0);
	assert_int_equal(r.found, 0);
	assert_int_equal(r.open, 2);

	ok(put_bytes(w.k.store, key, object, n, e));
	r = catch_up(&w);
	assert_int_equal(r.returned, 1);
	assert_int_equal(r.added, 0);
	assert_int_equal(r.resolved, 2);
	assert_int_equal(r.open, 0);
	assert_rows(w.c, "SELECT count(*) FROM points WHERE gone_at_ns IS NULL", "3\n");
	assert_rows(w.c, "SELECT DISTINCT resolved_ns FROM anomalies", "1881705600000000000\n");
}

static void test_sync_run__all_gone_is_seen_at_both_ends_of_the_list(void **state)
{
	auto_world struct world w;
	const struct point_volume v = kit_volume("", "data");

	(void)state;
	world_init(&w);
	auto_kit_point struct point a = kit_commit(&w.k, &v, 1, NULL);
	auto_kit_point struct point b = kit_commit(&w.k, &v, 2, &a);
	auto_kit_point struct point c = kit_commit(&w.k, &v, 3, &b);
	(void)catch_up(&w);
	remove_commit(&w, &a);
	remove_commit(&w, &c);
	struct sync_result r = catch_up(&w);
	assert_int_equal(r.gone, 2);
	remove_commit(&w, &b);
	r = catch_up(&w);
	assert_int_equal(r.gone, 1);
	assert_int_equal(r.open,
	                 3); /* lost, all; nothing is left that could miss its predecessor */
	assert_rows(w.c, "SELECT DISTINCT kind FROM v_anomalies", "lost\n");
	assert_rows(w.c, "SELECT points, newest_point FROM v_volume_status", "0|\n");
}

/* ---- what does not fit ---- */

static void test_sync_run__successor_that_arrives_first_is_a_gap_until_the_other_comes(void **state)
{
	auto_world struct world w;
	const struct point_volume v = kit_volume("", "data");
	char key[128];
	size_t n;

	(void)state;
	world_init(&w);
	auto_kit_point struct point a = kit_commit(&w.k, &v, 1, NULL);
	auto_kit_point struct point b = kit_commit(&w.k, &v, 2, &a);
	commit_key(key, &a);
	auto_free uint8_t *object = kit_get(&w.k, key, &n);
	kit_remove(&w.k, key);
	struct sync_result r = catch_up(&w);
	assert_int_equal(r.added, 1);
	assert_rows(w.c, ANOMALIES, "gap|2026-11-24|2026-11-23|data\n");
	ok(put_bytes(w.k.store, key, object, n, e));
	r = catch_up(&w);
	assert_int_equal(r.added, 1);
	assert_int_equal(r.resolved, 1);
	assert_rows(w.c, ANOMALIES, "");
}

static void test_sync_run__two_points_after_one_are_a_fork(void **state)
{
	auto_world struct world w;
	const struct point_volume v = kit_volume("", "data");

	(void)state;
	world_init(&w);
	auto_kit_point struct point a = kit_commit(&w.k, &v, 1, NULL);
	auto_kit_point struct point b = kit_commit(&w.k, &v, 2, &a);
	auto_kit_point struct point c = kit_commit_as(&w.k, &v, 9, 2, &a);
	struct sync_result r = catch_up(&w);
	assert_int_equal(r.open, 1);
	assert_rows(w.c, ANOMALIES, "fork|2026-12-01|2026-11-24|data\n");
}

static void test_sync_run__replaced_commit_is_a_fork(void **state)
{
	auto_world struct world w;
	const struct point_volume v = kit_volume("", "data");

	(void)state;
	world_init(&w);
	auto_kit_point struct point a = kit_commit(&w.k, &v, 1, NULL);
	auto_kit_point struct point b = kit_commit(&w.k, &v, 2, &a);
	/* the same name and content, signed anew: another object */
	remove_commit(&w, &a);
	auto_kit_point struct point again = kit_commit(&w.k, &v, 1, NULL);
	(void)catch_up(&w);
	assert_rows(w.c, ANOMALIES, "fork|2026-11-24|2026-11-23|data\n");
}

static void test_sync_run__commits_that_do_not_open_are_told_by_kind(void **state)
{
	auto_world struct world w;
	const struct point_volume v = kit_volume("", "data");
	char key[128];

	(void)state;
	world_init(&w);
	auto_kit_point struct point a = kit_commit(&w.k, &v, 1, NULL);
	auto_kit_point struct point b = kit_commit(&w.k, &v, 2, &a);
	auto_kit_point struct point c = kit_commit(&w.k, &v, 3, &b);
	commit_key(key, &c);
	kit_flip(&w.k, key, -1); /* its signature */
	ok(put_text(w.k.store, "commit/readme", "no commit", e));
	struct sync_result r = catch_up(&w);
	assert_int_equal(r.listed, 4);
	assert_int_equal(r.added, 2);
	assert_int_equal(r.bad, 2);
	assert_int_equal(r.found, 2);
	assert_rows(w.c,
	            "SELECT kind, substr(object, 1, 17), voltag IS NULL FROM anomalies ORDER BY "
	            "kind",
	            "bad_signature|commit/2026-11-25|0\nunreadable|commit/readme|1\n");

	/* they are tried again, and told once */
	r = catch_up(&w);
	assert_int_equal(r.bad, 2);
	assert_int_equal(r.found, 0);
	assert_int_equal(r.open, 2);

	/* what is mended or removed is no longer so */
	kit_flip(&w.k, key, -1);
	kit_remove(&w.k, "commit/readme");
	r = catch_up(&w);
	assert_int_equal(r.added, 1);
	assert_int_equal(r.resolved, 2);
	assert_int_equal(r.open, 0);
	assert_rows(w.c, "SELECT count(*) FROM anomalies", "2\n");
}

static void test_sync_run__commit_of_a_later_format_is_unreadable(void **state)
{
	auto_world struct world w;
	const struct point_volume v = kit_volume("", "data");
	char key[128];
	size_t n;

	(void)state;
	world_init(&w);
	auto_kit_point struct point a = kit_commit(&w.k, &v, 1, NULL);
	commit_key(key, &a);
	auto_free uint8_t *object = kit_get(&w.k, key, &n);
	object[5] = 2; /* the version */
	kit_replace(&w.k, key, object, n);
	struct sync_result r = catch_up(&w);
	assert_int_equal(r.bad, 1);
	assert_rows(w.c, "SELECT kind FROM anomalies", "unreadable\n");
}

static void test_sync_run__commit_of_another_repository_is_told(void **state)
{
	auto_world struct world w;
	auto_kit struct kit other = kit_new();
	const struct point_volume v = kit_volume("", "data");
	char key[128];
	size_t n;

	(void)state;
	world_init(&w);
	auto_kit_point struct point a = kit_commit(&other, &v, 1, NULL);
	commit_key(key, &a);
	auto_free uint8_t *object = kit_get(&other, key, &n);
	ok(put_bytes(w.k.store, key, object, n, e));
	struct sync_result r = catch_up(&w);
	assert_int_equal(r.bad, 1);
	assert_rows(w.c, "SELECT kind FROM anomalies", "bad_signature\n");
}

static void test_sync_run__config_that_points_name_and_the_store_hides_is_told(void **state)
{
	static const char open[] =
		"SELECT kind, object, other, detail LIKE '%made under it%shows is 1' FROM anomalies"
		" WHERE resolved_ns IS NULL ORDER BY object";
	auto_world struct world w;
	const struct point_volume v = kit_volume("", "data");

	(void)state;
	world_init(&w);
	auto_kit_point struct point a = kit_commit(&w.k, &v, 1, NULL);
	w.k.agent->params.revision = 3;
	auto_kit_point struct point b = kit_commit(&w.k, &v, 2, &a);
	auto_kit_point struct point c = kit_commit(&w.k, &v, 3, &b);
	w.k.agent->params.revision = 5;
	auto_kit_point struct point d = kit_commit(&w.k, &v, 4, &c);
	struct sync_result r = catch_up(&w);
	assert_int_equal(r.added, 4);
	assert_int_equal(r.found, 2);
	assert_rows(w.c, open,
	            "unreadable|ctl/config/00000003||1\nunreadable|ctl/config/00000005||1\n");
	/* The points are not looked at again, and it stays so until the store shows it. */
	r = catch_up(&w);
	assert_int_equal(r.found + r.resolved, 0);
	assert_int_equal(r.open, 2);
	w.k.audit->params.revision = 3;
	r = catch_up(&w);
	assert_int_equal(r.resolved, 1);
	assert_rows(w.c, open, "unreadable|ctl/config/00000005||1\n");
	w.k.audit->params.revision = 6;
	r = catch_up(&w);
	assert_int_equal(r.resolved, 1);
	assert_int_equal(r.open, 0);
}

static void test_sync_run__points_of_a_revoked_key_that_do_not_count_are_gone(void **state)
{
	auto_world struct world w;
	const struct point_volume v = kit_volume("", "data");
	uint8_t accepted[1][32];

	(void)state;
	world_init(&w);
	auto_kit_point struct point a = kit_commit(&w.k, &v, 1, NULL);
	auto_kit_point struct point b = kit_commit(&w.k, &v, 2, &a);
	assert_int_equal(catch_up(&w).added, 2);
	struct key_signer *s = &w.k.audit->keys->signers[0];
	memcpy(accepted[0], a.hash, 32);
	s->revoked = true;
	s->accepted = accepted;
	s->naccepted = 1;
	auto_kit_point struct point c = kit_commit(&w.k, &v, 3, &b);
	for (unsigned i = 0; i < 2; i++) {
		struct sync_result r = catch_up(&w);
		assert_int_equal(r.gone, i == 0);
		assert_int_equal(r.returned, 0);
		assert_int_equal(r.bad, 2); /* one that counted, one that never did */
		assert_int_equal(r.added, 0);
		assert_rows(w.c, "SELECT sequence, state FROM v_points ORDER BY sequence",
		            "1|present\n2|revoked\n");
		assert_int_equal(r.lost, 0);
		assert_rows(w.c,
		            "SELECT kind, detail LIKE '%revoked%' FROM anomalies"
		            " WHERE resolved_ns IS NULL",
		            "bad_signature|1\nbad_signature|1\n");
	}
	/* Somebody says anew what counts. */
	s->revoked = false;
	struct sync_result r = catch_up(&w);
	assert_int_equal(r.returned, 1);
	assert_int_equal(r.added, 1);
	assert_int_equal(r.open, 0);
	s->accepted = NULL;
}

static void test_sync_run__points_that_came_after_their_site_was_fenced_are_told(void **state)
{
	auto_world struct world w;
	const struct point_volume v = kit_volume("shop", "data");
	struct fence_target site = kit_site("c1", NULL, NULL);
	char key[128];
	size_t n;

	(void)state;
	world_init(&w);
	auto_kit_point struct point a = kit_commit(&w.k, &v, 1, NULL);
	auto_kit_point struct point b = kit_commit(&w.k, &v, 2, &a);
	assert_int_equal(catch_up(&w).added, 2);
	/* The store does not show the second one when the site is fenced, and the third is late. */
	(void)snprintf(key, sizeof(key), "commit/%.100s", b.session);
	auto_free uint8_t *kept = kit_get(&w.k, key, &n);
	ok(store_delete(w.k.store, key, e));
	(void)kit_fence(&w.k, &site);
	ok(put_bytes(w.k.store, key, kept, n, e));
	auto_kit_point struct point c = kit_commit(&w.k, &v, 3, &b);
	kit_reopen(&w.k);
	for (unsigned i = 0; i < 2; i++) {
		struct sync_result r = catch_up(&w);
		assert_int_equal(r.gone, i == 0);
		assert_int_equal(r.added, 0);
		assert_int_equal(r.bad, 2);
		assert_int_equal(r.lost, 0);
		assert_rows(w.c, "SELECT sequence, state FROM v_points ORDER BY sequence",
		            "1|present\n2|revoked\n");
		assert_rows(w.c,
		            "SELECT count(*) FROM anomalies WHERE resolved_ns IS NULL"
		            " AND detail LIKE '%fenced%'",
		            "2\n");
		assert_rows(w.c, "SELECT kind FROM anomalies WHERE detail LIKE '%was fenced on%'",
		            "unreadable\n");
	}
	/* They are taken after all. */
	const char *sessions[] = { b.session, c.session };
	struct fence_result result;
	ok(fence_accept(w.k.recovery, sessions, 2, false, &result, e));
	kit_reopen(&w.k);
	struct sync_result r = catch_up(&w);
	assert_int_equal(r.returned, 1);
	assert_int_equal(r.added, 1);
	assert_int_equal(r.open, 0);
}

static void test_sync_run__anomaly_that_comes_again_is_another_row(void **state)
{
	auto_world struct world w;
	const struct point_volume v = kit_volume("", "data");
	char key[128];
	size_t n;

	(void)state;
	world_init(&w);
	auto_kit_point struct point a = kit_commit(&w.k, &v, 1, NULL);
	auto_kit_point struct point b = kit_commit(&w.k, &v, 2, &a);
	commit_key(key, &a);
	auto_free uint8_t *object = kit_get(&w.k, key, &n);
	for (unsigned i = 0; i < 2; i++) {
		kit_remove(&w.k, key);
		(void)catch_up(&w);
		ok(put_bytes(w.k.store, key, object, n, e));
		(void)catch_up(&w);
	}
	assert_rows(w.c, "SELECT kind, resolved_ns IS NULL FROM anomalies WHERE kind = 'gap'",
	            "gap|0\ngap|0\n");
}

/* ---- when it is interrupted ---- */

static void test_sync_run__interrupted_one_goes_on_and_judges_all(void **state)
{
	auto_world struct world w;
	const struct sync_params p = { .now_ns = KIT_NOW_NS, .threads = 1 };
	struct sync_result r;

	(void)state;
	world_init(&w);
	/* more points than one transaction holds, each volume with a gap */
	for (unsigned i = 0; i < 700; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "v%u", i);
		const struct point_volume v = kit_volume("", name);
		auto_kit_point struct point x = kit_commit_as(&w.k, &v, i + 1, 2, NULL);
	}
	w.fail_at = 650;
	fails(ERR_RETRY, sync_run(w.c, w.k.audit, &p, &r, e));
	assert_rows(w.c, "SELECT count(*), (SELECT count(*) FROM unjudged) FROM points",
	            "500|500\n");
	assert_rows(w.c, "SELECT synced_ns FROM repository", "\n");
	w.fail_at = 0;
	r = catch_up(&w);
	assert_int_equal(r.added, 200);
	assert_int_equal(w.gets, 200);
	assert_int_equal(r.open, 700);
	assert_rows(w.c, "SELECT count(*) FROM unjudged", "0\n");
}

static void test_sync_run__commit_that_goes_while_it_is_fetched_is_none(void **state)
{
	auto_world struct world w;
	const struct point_volume v = kit_volume("", "data");

	(void)state;
	world_init(&w);
	auto_kit_point struct point a = kit_commit(&w.k, &v, 1, NULL);
	w.fail_at = 1;
	w.fault = FAULT_GONE;
	struct sync_result r = catch_up(&w);
	assert_int_equal(r.listed, 1);
	assert_int_equal(r.added + r.bad + r.open, 0);
	w.fail_at = 0;
	r = catch_up(&w);
	assert_int_equal(r.added, 1);
}

static void test_sync_run__can_be_cancelled(void **state)
{
	auto_world struct world w;
	const struct point_volume v = kit_volume("", "data");
	const struct sync_params p = { .now_ns = KIT_NOW_NS };
	struct sync_result r;
	struct cancel cancel;
	struct err why = ERR_INIT;

	(void)state;
	world_init(&w);
	auto_kit_point struct point a = kit_commit(&w.k, &v, 1, NULL);
	assert_int_equal(cancel_init(&cancel), 0);
	cancel_request(&cancel);
	w.k.audit->cancel = &cancel;
	assert_int_equal(sync_run(w.c, w.k.audit, &p, &r, &why), -1);
	assert_int_equal(why.class, ERR_CANCELLED);
	cancel_clear(&cancel);
}

static void test_sync_run__catalog_of_another_repository_is_refused(void **state)
{
	auto_world struct world w;
	auto_kit struct kit other = kit_new();
	const struct sync_params p = { .now_ns = KIT_NOW_NS };
	struct sync_result r;

	(void)state;
	world_init(&w);
	(void)catch_up(&w);
	fails_saying(ERR_INVALID, "the store holds", sync_run(w.c, other.audit, &p, &r, e));
}

/* ---- views ---- */

static void test_views__history_tells_the_state_at_any_time(void **state)
{
	auto_world struct world w;
	const struct point_volume v = kit_volume("", "data");

	(void)state;
	world_init(&w);
	auto_kit_point struct point a = kit_commit(&w.k, &v, 1, NULL);
	auto_kit_point struct point b = kit_commit(&w.k, &v, 2, &a);
	(void)catch_up(&w);
	/* as if received at 1000 and 2000; the first one gone at 3000 */
	ok(catalog_exec(w.c,
	                "DROP TRIGGER points_fixed;"
	                "UPDATE points SET received_ns = sequence * 1000;"
	                "UPDATE points SET gone_at_ns = 3000 WHERE sequence = 1",
	                e));
#define AT(t)                                                                          \
	"SELECT points, bytes_stored, substr(newest_session, 1, 10),"                  \
	" newest_frozen_ns / 86400000000000 FROM v_volume_history WHERE from_ns <= " t \
	" AND (until_ns IS NULL OR " t " < until_ns)"
	assert_rows(w.c, AT("999"), "");
	assert_rows(w.c, AT("1000"), "1|1000|2026-11-23|20780\n");
	assert_rows(w.c, AT("1999"), "1|1000|2026-11-23|20780\n");
	assert_rows(w.c, AT("2500"), "2|2000|2026-11-24|20781\n");
	assert_rows(w.c, AT("3000"), "1|1000|2026-11-24|20781\n");
	assert_rows(w.c, AT("9000000000000000000"), "1|1000|2026-11-24|20781\n");
}

static void test_views__rpo_is_the_gap_between_freeze_times_of_a_volume(void **state)
{
	auto_world struct world w;
	const struct point_volume v = kit_volume("", "data");
	const struct point_volume other = kit_volume("", "other");

	(void)state;
	world_init(&w);
	auto_kit_point struct point a = kit_commit(&w.k, &v, 1, NULL);
	auto_kit_point struct point x = kit_commit(&w.k, &other, 2, NULL);
	auto_kit_point struct point b = kit_commit_as(&w.k, &v, 4, 2, &a);
	(void)catch_up(&w);
	assert_rows(w.c, "SELECT volume, sequence, gap_s FROM v_rpo ORDER BY volume, sequence",
	            "data|1|\ndata|2|259200\nother|2|\n");
	assert_rows(w.c,
	            "SELECT volume, points, newest_frozen, bytes_stored, anomalies"
	            " FROM v_volume_status ORDER BY volume",
	            "data|2|2026-11-26T00:00:00Z|2000|0\nother|1|2026-11-24T00:00:00Z|1000|1\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sync_run__empty_store_gives_an_empty_catalog),
		cmocka_unit_test(test_sync_run__takes_over_every_field_of_a_point),
		cmocka_unit_test(test_sync_run__fetches_only_commits_that_it_does_not_know),
		cmocka_unit_test(test_sync_run__many_points_of_many_volumes),
		cmocka_unit_test(test_sync_run__points_that_are_gone_are_marked_and_come_back),
		cmocka_unit_test(test_sync_run__all_gone_is_seen_at_both_ends_of_the_list),
		cmocka_unit_test(
			test_sync_run__successor_that_arrives_first_is_a_gap_until_the_other_comes),
		cmocka_unit_test(test_sync_run__two_points_after_one_are_a_fork),
		cmocka_unit_test(test_sync_run__replaced_commit_is_a_fork),
		cmocka_unit_test(test_sync_run__commits_that_do_not_open_are_told_by_kind),
		cmocka_unit_test(test_sync_run__commit_of_a_later_format_is_unreadable),
		cmocka_unit_test(test_sync_run__commit_of_another_repository_is_told),
		cmocka_unit_test(
			test_sync_run__config_that_points_name_and_the_store_hides_is_told),
		cmocka_unit_test(test_sync_run__points_of_a_revoked_key_that_do_not_count_are_gone),
		cmocka_unit_test(
			test_sync_run__points_that_came_after_their_site_was_fenced_are_told),
		cmocka_unit_test(test_sync_run__anomaly_that_comes_again_is_another_row),
		cmocka_unit_test(test_sync_run__interrupted_one_goes_on_and_judges_all),
		cmocka_unit_test(test_sync_run__commit_that_goes_while_it_is_fetched_is_none),
		cmocka_unit_test(test_sync_run__can_be_cancelled),
		cmocka_unit_test(test_sync_run__catalog_of_another_repository_is_refused),
		cmocka_unit_test(test_views__history_tells_the_state_at_any_time),
		cmocka_unit_test(test_views__rpo_is_the_gap_between_freeze_times_of_a_volume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
