/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What counts of a site that was fenced, whatever its writers know and do:
 * points of before, late ones, and those that are made when it was given back.
 */
#include "repo/fence.h"

#include <sys/stat.h>

#include "common/json.h"
#include "repo/config.h"
#include "repo/gc.h"
#include "repo/note.h"
#include "tests/harness/fence_kit.h"

#define C1 kit_site("c1", NULL, NULL)

/* ---- of what a fence is ---- */

static void test_fence_covers__clusters_namespaces_and_volumes(void **state)
{
	static const struct {
		struct {
			const char *cluster, *namespace, *name;
		} site, volume;
		bool covered;
	} rows[] = {
		{ { "c1", NULL, NULL }, { "c1", "shop", "data" }, true },
		{ { "c1", NULL, NULL }, { "c2", "shop", "data" }, false },
		{ { "", NULL, NULL }, { "", "", "data" }, true },
		{ { "", NULL, NULL }, { "c1", "shop", "data" }, false },
		{ { "c1", "shop", NULL }, { "c1", "shop", "data" }, true },
		{ { "c1", "shop", NULL }, { "c1", "shop2", "data" }, false },
		{ { "c1", "shop", NULL }, { "c2", "shop", "data" }, false },
		{ { "c1", "shop", "data" }, { "c1", "shop", "data" }, true },
		{ { "c1", "shop", "data" }, { "c1", "shop", "logs" }, false },
		{ { "c1shop", NULL, NULL }, { "c1", "shop", "data" }, false },
	};
	auto_kit struct kit k = kit_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fence_target t = kit_site(rows[i].site.cluster, rows[i].site.namespace,
		                                 rows[i].site.name);
		struct fence_target v = kit_site(rows[i].volume.cluster, rows[i].volume.namespace,
		                                 rows[i].volume.name);
		uint8_t tag[1][FENCE_TAG_BYTES];
		const struct fence f = { .tags = tag, .ntags = 1 };
		struct fence_tags tags;

		ok(fence_tag(k.audit->keys, &t.volume, t.depth, tag[0], e));
		ok(fence_tags(k.audit->keys, &v.volume, &tags, e));
		assert_int_equal(fence_covers(&f, &tags), rows[i].covered);
	}
}

/* ---- what counts ---- */

static void test_fence_judge__points_of_before_count_and_later_ones_do_not(void **state)
{
	auto_kit struct kit k = kit_new();
	struct point_volume mine = kit_volume("shop", "data");
	struct point_volume other = mine;
	auto_kit_point struct point before = kit_commit(&k, &mine, 1, NULL);
	struct fence_target site = C1;

	(void)state;
	(void)snprintf(other.cluster, sizeof(other.cluster), "c2");
	struct fence_result r = kit_fence(&k, &site);
	assert_int_equal(r.epoch, 1);
	assert_int_equal(r.points, 1);
	assert_false(r.already);
	assert_true(kit_counts(&k, before.session));
	auto_kit_point struct point late = kit_commit(&k, &mine, 2, &before);
	auto_kit_point struct point theirs = kit_commit(&k, &other, 3, NULL);
	assert_false(kit_counts(&k, late.session));
	assert_true(kit_counts(&k, theirs.session));
	kit_reopen(&k);
	auto_kit_point struct point p = { 0 };
	struct err why = ERR_INIT;
	assert_int_equal(repo_point(k.audit, late.session, &p, &why), -1);
	assert_true(fence_is_late(&why));
	assert_non_null(strstr(why.msg, "does not count: its site was fenced on 20"));
}

static void test_fence_judge__what_a_writer_says_of_its_epoch_does_not_help(void **state)
{
	auto_kit struct kit k = kit_new();
	struct point_volume v = kit_volume("shop", "data");
	struct fence_target site = C1;

	(void)state;
	(void)kit_fence(&k, &site);
	/* Whoever knew of the fence has no more right to write than who did not. */
	for (unsigned epoch = 0; epoch < 5; epoch++) {
		auto_kit_point struct point p = kit_commit_knowing(&k, &v, epoch + 1, epoch);

		assert_false(kit_counts(&k, p.session));
	}
}

static void test_fence_judge__who_knows_that_it_was_given_back_makes_points_that_count(void **state)
{
	auto_kit struct kit k = kit_new();
	struct point_volume v = kit_volume("shop", "data");
	auto_kit_point struct point before = kit_commit(&k, &v, 1, NULL);
	struct fence_target site = C1;

	(void)state;
	(void)kit_fence(&k, &site);
	auto_kit_point struct point late = kit_commit_knowing(&k, &v, 2, 0);
	assert_int_equal(kit_lift(&k, &site).epoch, 2);
	/* It slept through all of this. */
	auto_kit_point struct point zombie = kit_commit_knowing(&k, &v, 3, 0);
	auto_kit_point struct point heedless = kit_commit_knowing(&k, &v, 4, 1);
	auto_kit_point struct point back = kit_commit_knowing(&k, &v, 5, 2);
	assert_true(kit_counts(&k, before.session));
	assert_false(kit_counts(&k, late.session));
	assert_false(kit_counts(&k, zombie.session));
	assert_false(kit_counts(&k, heedless.session));
	assert_true(kit_counts(&k, back.session));

	/* A second failover changes nothing of what the first one decided. */
	assert_int_equal(kit_fence(&k, &site).epoch, 3);
	auto_kit_point struct point later = kit_commit_knowing(&k, &v, 6, 2);
	assert_true(kit_counts(&k, before.session));
	assert_false(kit_counts(&k, late.session));
	assert_false(kit_counts(&k, zombie.session));
	assert_true(kit_counts(&k, back.session));
	assert_false(kit_counts(&k, later.session));
}

static unsigned count_points(const struct repo *r, const char *name)
{
	CLEANUP(point_clear) struct point p = { 0 };
	struct err ignored = ERR_INIT;

	return repo_find(r, name, &p, &ignored) == 0 ? (unsigned)p.sequence : 0;
}

static void test_repo_find__passes_over_points_of_a_fenced_site(void **state)
{
	auto_kit struct kit k = kit_new();
	struct point_volume v = kit_volume("shop", "data");
	auto_kit_point struct point before = kit_commit(&k, &v, 1, NULL);
	struct fence_target site = kit_site("c1", "shop", NULL);

	(void)state;
	(void)kit_fence(&k, &site);
	auto_kit_point struct point late = kit_commit(&k, &v, 2, &before);
	kit_reopen(&k);
	assert_int_equal(count_points(k.audit, "data"), 1);
}

static void test_fence_judge__a_lost_list_is_no_verdict(void **state)
{
	auto_kit struct kit k = kit_new();
	struct point_volume v = kit_volume("shop", "data");
	struct point_volume other = v;
	auto_kit_point struct point before = kit_commit(&k, &v, 1, NULL);
	auto_kit_point struct point p = { 0 };
	struct fence_target site = C1;

	(void)state;
	(void)snprintf(other.cluster, sizeof(other.cluster), "c2");
	auto_kit_point struct point theirs = kit_commit(&k, &other, 2, NULL);
	(void)kit_fence(&k, &site);
	kit_reopen(&k);
	ok(store_delete(k.store, fence_at(k.audit, 0)->lists[0].object, e));
	fails_saying(ERR_CORRUPT, "does not open: put that back",
	             repo_point(k.audit, before.session, &p, e));
	/* Nobody asks for it who has nothing to do with that site. */
	ok(repo_point(k.audit, theirs.session, &p, e));
}

/* ---- what the config may say ---- */

static void test_fence_load__refuses_what_makes_no_sense(void **state)
{
#define FENCE(epoch, more)                                                               \
	"{\"epoch\":" epoch ",\"at_ns\":1,\"scope\":[\"0011223344556677\"],\"record\":{" \
	"\"object\":\"ctl/fence/x\",\"hash\":\"" HASH "\"}" more "}"
#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define LIFT(epoch)                                                                        \
	",\"lifted\":{\"epoch\":" epoch ",\"at_ns\":2,\"record\":{\"object\":\"ctl/fence/" \
	"y\",\"hash\":\"" HASH "\"}}"
	static const struct {
		const char *json, *why; /* NULL: it is taken */
	} rows[] = {
		{ "{}", NULL },
		{ "{\"epoch\":3,\"fences\":[" FENCE("1", "") "," FENCE("2", LIFT("3")) "]}", NULL },
		{ "{\"epoch\":1,\"fences\":7}", "expected an array" },
		{ "{\"fences\":[" FENCE("1", "") "]}", "out of order" },
		{ "{\"epoch\":2,\"fences\":[" FENCE("2", "") "," FENCE("2", "") "]}",
		  "out of order" },
		{ "{\"epoch\":2,\"fences\":[" FENCE("1", LIFT("3")) "]}", "out of order" },
		{ "{\"epoch\":2,\"fences\":[" FENCE("2", LIFT("2")) "]}", "not after the fence" },
		{ "{\"epoch\":1,\"fences\":[{\"epoch\":1,\"at_ns\":1,\"scope\":[\"00\"],"
		  "\"record\":{\"object\":\"ctl/x\",\"hash\":\"" HASH "\"}}]}",
		  "no tag" },
		{ "{\"epoch\":1,\"fences\":[{\"epoch\":1,\"at_ns\":1,\"scope\":[],"
		  "\"record\":{\"object\":\"ctl/x\",\"hash\":\"" HASH "\"}}]}",
		  "scope" },
		{ "{\"epoch\":1,\"fences\":[{\"epoch\":1,\"at_ns\":1,"
		  "\"scope\":[\"0011223344556677\"]}]}",
		  "object" },
	};
	auto_kit struct kit k = kit_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *was = k.audit->config.json;
		struct err why = ERR_INIT;

		k.audit->config.json = json_loads(rows[i].json, 0, NULL);
		assert_non_null(k.audit->config.json);
		int rc = fence_load(k.audit, &why);
		json_decref(k.audit->config.json);
		k.audit->config.json = was;
		assert_int_equal(rc, rows[i].why ? -1 : 0);
		if (rows[i].why && !strstr(why.msg, rows[i].why))
			fail_msg("%zu: %s", i, why.msg);
	}
}

/* ---- writers ---- */

static void test_writer_backup__a_fenced_site_begins_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	struct point_volume v = kit_volume("shop", "data");
	struct fence_target site = C1;
	struct point p;
	struct err why = ERR_INIT;

	(void)state;
	(void)kit_fence(&k, &site);
	kit_reopen(&k);
	assert_int_equal(kit_write(k.agent, &v, NULL, NULL, &p, &why), -1);
	assert_true(fence_is(&why));
	assert_int_equal(err_exit_status(&why), EXIT_FENCED);
	assert_non_null(strstr(why.msg, "'c1/shop/data' is fenced since 2"));
	assert_non_null(strstr(why.msg, "belongs to 'c2' now (region down)"));
	struct kit_names names = { .n = 0 };
	ok(store_list(k.store, "sess/", NULL, kit_take_name, &names, e));
	assert_int_equal(names.n, 0);
	(void)kit_lift(&k, &site);
	kit_reopen(&k);
	ok(kit_write(k.agent, &v, NULL, NULL, &p, e));
	assert_int_equal(p.epoch, 2);
	assert_true(kit_counts(&k, p.session));
	point_clear(&p);
}

struct meanwhile {
	struct kit *k;
	struct fence_target site;
	bool lift; /* and given back again */
};

static int fence_meanwhile(void *arg, struct err *e)
{
	struct meanwhile *m = arg;

	(void)e;
	(void)kit_fence(m->k, &m->site);
	if (m->lift)
		(void)kit_lift(m->k, &m->site);
	return 0;
}

static void test_writer_backup__a_site_that_is_fenced_meanwhile_does_not_commit(void **state)
{
	(void)state;
	for (int lift = 0; lift < 2; lift++) {
		auto_kit struct kit k = kit_new();
		struct point_volume v = kit_volume("shop", "data");
		struct meanwhile m = { .k = &k, .site = C1, .lift = lift };
		struct kit_names names = { .n = 0 };
		struct point p;
		struct err why = ERR_INIT;

		assert_int_equal(kit_write(k.agent, &v, fence_meanwhile, &m, &p, &why), -1);
		/* What it has read is of before, also when the site was given back since. */
		assert_true(fence_is(&why));
		ok(store_list(k.store, "commit/", NULL, kit_take_name, &names, e));
		assert_int_equal(names.n, 1);
		enum session_end end;
		ok(session_look(k.agent, names.keys[0] + strlen("commit/"), &end, e));
		assert_int_equal(end, SESSION_ABORTED);
	}
}

/* A view that was taken before all that, and is read by who opened the repository after it. */
static void test_fence_refuse__a_view_of_before_is_refused_for_ever(void **state)
{
	auto_kit struct kit k = kit_new();
	struct point_volume v = kit_volume("shop", "data");
	struct fence_target site = C1;
	struct err why = ERR_INIT;

	(void)state;
	ok(fence_refuse(k.agent, &v, 0, e));
	(void)kit_fence(&k, &site);
	kit_reopen(&k);
	for (uint64_t epoch = 0; epoch < 3; epoch++) {
		assert_int_equal(fence_refuse(k.agent, &v, epoch, &why), -1);
		assert_true(fence_is(&why));
	}
	(void)kit_lift(&k, &site);
	kit_reopen(&k);
	assert_int_equal(fence_refuse(k.agent, &v, 0, &why), -1);
	assert_non_null(strstr(why.msg, "given back since"));
	assert_int_equal(fence_refuse(k.agent, &v, 1, &why), -1);
	ok(fence_refuse(k.agent, &v, 2, e));
}

static void test_writer_backup__another_site_is_not_hindered(void **state)
{
	auto_kit struct kit k = kit_new();
	struct point_volume v = kit_volume("shop", "data");
	struct meanwhile m = { .k = &k, .site = kit_site("c2", NULL, NULL) };
	struct point p;

	(void)state;
	ok(kit_write(k.agent, &v, fence_meanwhile, &m, &p, e));
	assert_int_equal(p.epoch, 0);
	assert_true(kit_counts(&k, p.session));
	point_clear(&p);
}

/* ---- between the look and the commit ---- */

struct race {
	struct kit *k;
	struct fence_target site;
	bool before, done; /* before the commit is put; else behind it */
};

static enum store_fault race_decide(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct race *x = arg;
	bool commit = call == CALL_PUT && strncmp(key, "commit/", 7) == 0;
	bool behind = call == CALL_LIST && strncmp(key, "ctl/config", 10) == 0;

	(void)n;
	if (commit && x->before) {
		x->before = false;
		(void)kit_fence(x->k, &x->site);
	} else if (commit) {
		x->done = true;
	} else if (behind && x->done) {
		x->done = false;
		(void)kit_fence(x->k, &x->site);
	}
	return FAULT_NONE;
}

static void race(struct kit *k, bool before, struct point *ret, struct err *ret_why, int *ret_rc)
{
	struct point_volume v = kit_volume("shop", "data");
	struct race x = { .k = k, .site = C1, .before = before };
	struct store *lent = fault_store(k->store, UINT64_MAX, FAULT_NONE, FAULT_NONE, NULL);
	auto_free char *path = kit_key_path(k, "agent.key");
	struct keys *keys = NULL;
	struct repo *agent = NULL;
	struct store *s = NULL;

	ok((s = store_fault_new(lent, race_decide, &x, e)) ? 0 : -1);
	ok(keys_load(path, NULL, &keys, e));
	ok(repo_open(s, keys, NULL, NULL, &agent, e));
	*ret_rc = kit_write(agent, &v, NULL, NULL, ret, ret_why);
	repo_free(agent);
	store_free(s);
}

static void test_writer_backup__a_commit_behind_the_fence_is_told_and_does_not_count(void **state)
{
	auto_kit struct kit k = kit_new();
	struct kit_names names = { .n = 0 };
	struct err why = ERR_INIT;
	struct point p;
	int rc;

	(void)state;
	race(&k, true, &p, &why, &rc);
	assert_int_equal(rc, -1);
	assert_true(fence_is(&why));
	assert_non_null(strstr(why.msg, "does not count"));
	ok(store_list(k.store, "commit/", NULL, kit_take_name, &names, e));
	assert_int_equal(names.n, 1);
	assert_false(kit_counts(&k, names.keys[0] + strlen("commit/")));
}

static void test_writer_backup__a_commit_before_the_fence_is_told_and_counts(void **state)
{
	auto_kit struct kit k = kit_new();
	struct err why = ERR_INIT;
	struct point p;
	int rc;

	(void)state;
	race(&k, false, &p, &why, &rc);
	if (rc < 0)
		fail_msg("%s", why.msg);
	assert_true(kit_counts(&k, p.session));
	point_clear(&p);
}

/* ---- collections ---- */

static void test_gc_run__takes_what_came_too_late_after_a_while(void **state)
{
	auto_kit struct kit k = kit_new();
	struct kit_content c = { .volume = "v", .domain = "d", .n = 1, .files = 2, .bytes = 3000 };
	auto_kit_point struct point before = kit_backup(&k, &c);
	struct fence_target site = kit_site("", NULL, NULL);
	const struct gc_params gentle = { .fence_after_ns = -1,
		                          .young_ns = -1,
		                          .repack_percent = GC_REPACK_DEFAULT,
		                          .threads = 2 };
	struct gc_params eager = gentle;
	struct gc_result result;
	struct err why = ERR_INIT;

	(void)state;
	eager.accept_loss = true;
	(void)kit_fence(&k, &site);
	struct kit_content l = {
		.volume = "v", .domain = "d", .n = 2, .files = 2, .bytes = 3000, .seed = 50
	};
	auto_kit_point struct point late = kit_backup(&k, &l);
	kit_reopen(&k);
	assert_int_equal(gc_run(k.agent, &gentle, &result, &why), -1);
	assert_non_null(strstr(why.msg, "fenced"));
	ok(gc_run(k.agent, &eager, &result, e));
	assert_int_equal(result.points, 1);
	assert_int_equal(result.points_revoked, 1);
	kit_assert_readable(k.recovery, &before, &c);
	assert_false(kit_counts(&k, late.session));
	struct check_result checked = kit_check(k.recovery, 4, NULL);
	assert_int_equal(checked.points, 1);
	assert_int_equal(checked.revoked, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fence_covers__clusters_namespaces_and_volumes),
		cmocka_unit_test(test_fence_judge__points_of_before_count_and_later_ones_do_not),
		cmocka_unit_test(test_fence_judge__what_a_writer_says_of_its_epoch_does_not_help),
		cmocka_unit_test(
			test_fence_judge__who_knows_that_it_was_given_back_makes_points_that_count),
		cmocka_unit_test(test_repo_find__passes_over_points_of_a_fenced_site),
		cmocka_unit_test(test_fence_judge__a_lost_list_is_no_verdict),
		cmocka_unit_test(test_fence_load__refuses_what_makes_no_sense),
		cmocka_unit_test(test_writer_backup__a_fenced_site_begins_nothing),
		cmocka_unit_test(
			test_writer_backup__a_site_that_is_fenced_meanwhile_does_not_commit),
		cmocka_unit_test(test_fence_refuse__a_view_of_before_is_refused_for_ever),
		cmocka_unit_test(test_writer_backup__another_site_is_not_hindered),
		cmocka_unit_test(
			test_writer_backup__a_commit_behind_the_fence_is_told_and_does_not_count),
		cmocka_unit_test(test_writer_backup__a_commit_before_the_fence_is_told_and_counts),
		cmocka_unit_test(test_gc_run__takes_what_came_too_late_after_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
