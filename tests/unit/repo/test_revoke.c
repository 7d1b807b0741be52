/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Revoking a signer. A thief has the agent key "node" and the right to write
 * to the store: nothing of what it puts there after the revocation counts, and
 * everything from before comes back as it was.
 */
#include "repo/revoke.h"

#include <sodium.h>
#include <sys/stat.h>

#include "common/hex.h"
#include "common/now.h"
#include "common/json.h"
#include "repo/collection.h"
#include "repo/expiry.h"
#include "repo/gc.h"
#include "repo/note.h"
#include "repo/view.h"
#include "tests/harness/fault_kit.h"
#include "tests/harness/keys_kit.h"

#define HOUR_NS ((int64_t)3600 * 1000000000)

/* Without delays, and with what was accepted. */
static const struct gc_params eager = {
	.fence_after_ns = -HOUR_NS,
	.young_ns = -HOUR_NS,
	.repack_percent = GC_REPACK_DEFAULT,
	.accept_loss = true,
	.threads = 2,
};

static struct kit_content content(unsigned n)
{
	return (struct kit_content){
		.volume = "v", .domain = "d", .n = n, .files = 4, .bytes = 3000, .seed = n * 100
	};
}

/* A repository with an agent "node" beside the usual one, and points of both. */
struct world {
	struct kit k;
	struct repo *node; /* its config is the one from before the revocation */
	struct kit_content mine_c, node_c;
	struct point mine, nodes;
};

static struct world world_new(void)
{
	struct world w = { .k = kit_new(), .mine_c = content(1), .node_c = content(2) };

	w.node = kit_add_agent(&w.k, "node");
	kit_reopen(&w.k);
	w.mine = kit_backup(&w.k, &w.mine_c);
	w.node_c.volume = "w";
	w.nodes = kit_backup_by(&w.k, w.node, &w.node_c);
	return w;
}

static void world_clear(struct world *w)
{
	point_clear(&w->mine);
	point_clear(&w->nodes);
	repo_free(w->node);
	kit_clear(&w->k);
}
#define auto_world CLEANUP(world_clear)

static void assert_both_read(struct world *w)
{
	kit_assert_readable(w->k.recovery, &w->mine, &w->mine_c);
	kit_assert_readable(w->k.recovery, &w->nodes, &w->node_c);
}

static int count_point(void *arg, const struct point *p, struct err *e)
{
	(void)p;
	(void)e;
	(*(unsigned *)arg)++;
	return 0;
}

static unsigned count_points(const struct repo *r)
{
	unsigned n = 0;

	ok(repo_points(r, NULL, count_point, NULL, &n, e));
	return n;
}

static int64_t received_ns(const struct kit *k, const struct point *p)
{
	struct store_stat st;
	char key[NOTE_KEY_MAX];

	(void)snprintf(key, sizeof(key), "commit/%.100s", p->session);
	ok(store_head(k->store, key, &st, e));
	return st.received_ns;
}

/* ---- what counts ---- */

static void test_revoke_run__what_was_signed_before_counts(void **state)
{
	auto_world struct world w = world_new();
	struct revoke_result r = kit_revoke(&w.k, "node", 0);
	struct keys *keys = NULL;
	struct repo *again = NULL;

	(void)state;
	assert_string_equal(r.name, "node");
	assert_int_equal(r.points_accepted, 1);
	assert_int_equal(r.rejected, 0);
	assert_false(r.again);
	assert_int_equal(r.accepted, 3); /* commit, marker, segment */
	assert_int_equal(r.revision, 4);
	kit_reopen(&w.k);
	assert_int_equal(count_points(w.k.audit), 2);
	assert_both_read(&w);
	struct check_result c = kit_check(w.k.recovery, 4, NULL);
	assert_int_equal(c.points, 2);
	assert_int_equal(c.revoked, 0);

	auto_free char *path = kit_key_path(&w.k, "node.key");
	ok(keys_load(path, NULL, &keys, e));
	fails_saying(ERR_DENIED, "this agent key, 'node', was revoked on 20",
	             repo_open(w.k.store, keys, NULL, NULL, &again, e));
}

/* Whatever a key signs, put by one who has stolen it. */
static void plunder(struct world *w, struct point *ret)
{
	const struct expiry_point p = { .session = w->mine.session, .why = "theft" };
	struct kit_content c = content(7);
	struct point_volume v = { 0 };
	struct collection_list none = { 0 };
	struct place place = { .off = w->mine.root.off };
	char session[96];
	uint64_t number;

	/* a point of the honest volume, newer than its newest */
	c.seed = w->mine_c.seed + 5000;
	*ret = kit_backup_by(&w->k, w->node, &c);
	ok(expiry_put_tomb(w->node, "", &p, 1, &number, e));
	ok(expiry_put_hold(w->node, w->nodes.session, NULL, "mine", "a thief", &number, e));
	(void)snprintf(v.name, sizeof(v.name), "v");
	ok(session_begin(w->node, &v, "d", session, e));
	ok(collection_put(w->node, 1, COLLECTION_CONDEMN, &none, NULL, e));
	ok(collection_put(w->node, 1, COLLECTION_FINAL, &none, NULL, e));
	ok(collection_put(w->node, 9, COLLECTION_DONE, &none, NULL, e));
	place.pack.kind = CHUNK_NODE;
	memcpy(place.pack.id, w->mine.root.pack, sizeof(place.pack.id));
	memcpy(place.id, w->mine.root.id, sizeof(place.id));
	ok(damage_put(w->node, &place, 1, e));
	ok(put_text(w->k.store, "ctl/config/00000099", "a config of my own", e));
}

static void test_revoke_run__nothing_that_a_thief_puts_later_counts(void **state)
{
	auto_world struct world w = world_new();
	struct point stolen;
	struct collection_state cs;

	(void)state;
	(void)kit_revoke(&w.k, "node", 0);
	plunder(&w, &stolen);
	kit_reopen(&w.k);
	assert_int_equal(w.k.agent->params.revision, 4);

	/* no commit: not listed, not the newest, not by its name */
	assert_int_equal(count_points(w.k.audit), 2);
	CLEANUP(point_clear) struct point latest = { 0 };
	ok(repo_latest(w.k.agent, &w.mine.volume, NULL, &latest, e));
	assert_string_equal(latest.session, w.mine.session);
	CLEANUP(point_clear) struct point none = { 0 };
	fails_saying(ERR_DENIED, "does not count: it is signed by key 'node', which was revoked",
	             repo_point(w.k.audit, stolen.session, &none, e));

	/* no statement */
	CLEANUP(expiry_clear) struct expiry x = { 0 };
	ok(expiry_now(w.k.agent, &x, e));
	assert_int_equal(x.bad, 0);
	assert_int_equal(x.missing, 0);
	assert_int_equal(x.revoked, 2);
	assert_int_equal(expiry_of(&x, w.mine.session), EXPIRY_LIVE);
	assert_null(expiry_held_by(&x, w.nodes.session));

	/* no collection, and no damage */
	ok(collection_state(w.k.agent, &cs, e));
	assert_int_equal(cs.open, 0);
	assert_int_equal(cs.done, 0);
	CLEANUP(view_clear) struct view view = { 0 };
	ok(view_load(w.k.agent, &view, e));
	assert_int_equal(view.absent.nplaces, 0);

	/* no segment */
	struct domain_keys *d = NULL;
	struct index *index = NULL;
	struct chunk_ref found;
	ok(keys_domain(w.k.agent->keys, "d", &d, e));
	ok(index_open(w.k.store, w.k.agent->keys, d, NULL, &view, NULL, &index, e));
	assert_false(index_lookup(index, stolen.root.id, &found));
	assert_true(index_lookup(index, w.nodes.root.id, &found));
	assert_int_equal(index_damaged(index), 1);
	index_free(index);
	secret_free(d);

	assert_both_read(&w);
	struct kit_findings f;
	struct check_result c = kit_check(w.k.recovery, 4, &f);
	assert_int_equal(c.points, 2);
	/* commit, marker twice, segment, tombstone, hold, three of a collection, damage */
	assert_int_equal(c.revoked, 10);
	assert_non_null(strstr(f.text, "mismatch ctl/config/00000099: is not signed"));
	assert_int_equal(c.problems, 1);
	point_clear(&stolen);
}

static void test_revoke_run__a_collection_goes_on_beside_a_thief(void **state)
{
	auto_world struct world w = world_new();
	struct point stolen;
	struct gc_result r;

	(void)state;
	(void)kit_revoke(&w.k, "node", 0);
	plunder(&w, &stolen);
	kit_reopen(&w.k);
	/* What was put beside the config is somebody's to look at. */
	struct gc_params p = eager;
	p.accept_loss = false;
	fails_saying(ERR_CORRUPT, "not signed by the admin key", gc_run(w.k.agent, &p, &r, e));
	kit_remove(&w.k, "ctl/config/00000099");
	kit_reopen(&w.k);
	/* A mistake can be undone for some days. */
	fails_saying(ERR_CORRUPT, "whose key was revoked do not count (1 of them",
	             gc_run(w.k.agent, &p, &r, e));
	/* The thief's session is waited for by nobody. */
	p.accept_loss = true;
	p.fence_after_ns = 100 * HOUR_NS;
	ok(gc_run(w.k.agent, &p, &r, e));
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.generation, 1);
	assert_int_equal(r.sessions_waiting, 0);
	assert_int_equal(r.sessions_fenced, 1);
	assert_int_equal(r.points, 2);
	assert_int_equal(r.points_revoked, 1);
	assert_int_equal(r.deleted.packs, 2); /* the thief's, of data and of its tree */
	assert_both_read(&w);
	struct check_result c = kit_check(w.k.recovery, 4, NULL);
	assert_int_equal(c.points, 2);
	/* The commit stays, as evidence. */
	assert_true(received_ns(&w.k, &stolen) > 0);
	ok(gc_run(w.k.agent, &p, &r, e));
	assert_int_equal(r.outcome, GC_NOTHING);
	/* After some days it needs no word. */
	p.accept_loss = false;
	for (size_t i = 0; i < w.k.agent->keys->nsigners; i++)
		w.k.agent->keys->signers[i].revoked_ns -= REVOKE_GRACE_NS;
	ok(gc_run(w.k.agent, &p, &r, e));
	point_clear(&stolen);
}

static void test_revoke_run__up_to_a_time(void **state)
{
	auto_world struct world w = world_new();
	struct kit_content c = content(5);

	(void)state;
	c.volume = "w";
	c.previous = &w.nodes;
	auto_kit_point struct point late = kit_backup_by(&w.k, w.node, &c);
	struct revoke_result r = kit_revoke(&w.k, "node", received_ns(&w.k, &late));
	assert_int_equal(r.points_accepted, 1);
	assert_int_equal(r.points_rejected, 1);
	assert_int_equal(r.rejected, 1); /* marker and segment came before it */
	kit_reopen(&w.k);
	assert_int_equal(count_points(w.k.audit), 2);
	assert_both_read(&w);
	/* Too early; it can be said anew. */
	struct revoke_params p = { .name = "node" };
	fails_saying(ERR_INVALID, "to say anew what counts of it, say up to what time",
	             revoke_run(w.k.recovery, &p, &r, e));
	r = kit_revoke(&w.k, "node", received_ns(&w.k, &late) + 1);
	assert_true(r.again);
	assert_int_equal(r.points_accepted, 2);
	assert_int_equal(r.revision, 5);
	kit_reopen(&w.k);
	assert_int_equal(count_points(w.k.audit), 3);
	kit_assert_readable(w.k.recovery, &late, &c);
	p.before_ns = INT64_MAX;
	fails_saying(ERR_INVALID, "has not come yet", revoke_run(w.k.recovery, &p, &r, e));
}

static void test_repo_find__passes_over_points_that_do_not_count(void **state)
{
	auto_world struct world w = world_new();
	struct kit_content c = content(5);
	char text[64];

	(void)state;
	c.volume = "w";
	c.previous = &w.nodes;
	auto_kit_point struct point late = kit_backup_by(&w.k, w.node, &c);
	/* The state directory knows it as one that counts. */
	auto_kit_point struct point found = { 0 };
	ok(repo_find(w.k.audit, "w", &found, e));
	assert_string_equal(found.session, late.session);
	point_clear(&found);
	(void)kit_revoke(&w.k, "node", received_ns(&w.k, &late));
	kit_reopen(&w.k);
	ok(repo_find(w.k.audit, "w", &found, e));
	assert_string_equal(found.session, w.nodes.session);
	point_clear(&found);
	(void)snprintf(text, sizeof(text), "w@%s", now_rfc3339(late.frozen_ns).s);
	ok(repo_find(w.k.audit, text, &found, e));
	assert_string_equal(found.session, w.nodes.session);
	(void)snprintf(text, sizeof(text), "w@%.32s", late.session + POINT_SESSION_RANDOM);
	fails_saying(ERR_DENIED, "does not count: it is signed by key 'node'",
	             repo_find(w.k.audit, text, &found, e));
}

static void test_revoke_run__what_collections_did_counts_whenever_it_came(void **state)
{
	auto_kit struct kit k = kit_new();
	struct kit_content c = {
		.volume = "v", .domain = "d", .n = 1, .files = 40, .bytes = 9000, .seed = 1
	};
	struct gc_result collected;
	uint64_t number;

	(void)state;
	struct repo *node = kit_add_agent(&k, "node");
	kit_reopen(&k);
	auto_kit_point struct point first = kit_backup(&k, &c);
	c.n = 2;
	c.previous = &first;
	c.files = c.from = 20;
	auto_kit_point struct point second = kit_backup(&k, &c);
	const struct expiry_point going = { .session = first.session, .why = "a test" };
	ok(expiry_put_tomb(k.agent, "", &going, 1, &number, e));
	/* The node has moved what the second point needs. */
	ok(gc_run(node, &eager, &collected, e));
	assert_int_equal(collected.repacked.packs, 1);
	struct revoke_result r = kit_revoke(&k, "node", received_ns(&k, &second));
	assert_true(r.kept > 0);
	kit_reopen(&k);
	kit_assert_readable(k.recovery, &second, &c);
	(void)kit_check(k.recovery, 4, NULL);
	ok(gc_run(k.agent, &eager, &collected, e));
	kit_assert_readable(k.recovery, &second, &c);
	repo_free(node);
}

/* ---- packs ---- */

static void test_revoke_run__packs_are_vouched_for_no_more(void **state)
{
	auto_kit struct kit k = kit_new();
	struct kit_content c = content(3);

	(void)state;
	struct repo *node = kit_add_agent(&k, "node");
	kit_reopen(&k);
	/* Authentic, and not what its id says: an agent can do that. */
	c.chunk_lie = KIT_LIE_ID;
	auto_kit_point struct point p = kit_backup_by(&k, node, &c);
	k.store->caps |= STORE_CAP_LOCAL;
	struct kit_reading x = kit_read(k.recovery, &p, &c);
	assert_int_equal(x.bad, 1);
	assert_int_equal(x.why, ERR_NONE); /* it was believed */
	/* Far away ids are computed anyway, instead of asking who vouches. */
	k.store->caps &= ~(unsigned)STORE_CAP_LOCAL;
	x = kit_read(k.recovery, &p, &c);
	assert_int_equal(x.bad, 1);
	assert_int_equal(x.why, ERR_CORRUPT);
	k.store->caps |= STORE_CAP_LOCAL;
	(void)kit_revoke(&k, "node", 0);
	kit_reopen(&k);
	x = kit_read(k.recovery, &p, &c);
	assert_int_equal(x.bad, 1);
	assert_int_equal(x.why, ERR_CORRUPT);
	assert_int_equal(x.good, 3);
	repo_free(node);
}

static void test_revoke_run__packs_are_never_repacked(void **state)
{
	auto_kit struct kit k = kit_new();
	struct kit_content c = {
		.volume = "v", .domain = "d", .n = 1, .files = 40, .bytes = 9000, .seed = 1
	};
	struct gc_result r;
	uint64_t number;

	(void)state;
	struct repo *node = kit_add_agent(&k, "node");
	kit_reopen(&k);
	auto_kit_point struct point first = kit_backup_by(&k, node, &c);
	c.n = 2;
	c.previous = &first;
	c.files = c.from = 20;
	auto_kit_point struct point second = kit_backup(&k, &c);
	(void)kit_revoke(&k, "node", 0);
	kit_reopen(&k);
	const struct expiry_point going = { .session = first.session, .why = "a test" };
	ok(expiry_put_tomb(k.agent, "", &going, 1, &number, e));
	ok(gc_run(k.agent, &eager, &r, e));
	assert_int_equal(r.sparse.packs, 1);
	assert_int_equal(r.repacked.packs, 0);
	assert_int_equal(kit_count(&k, "pack/"), 1);
	kit_assert_readable(k.recovery, &second, &c);
	repo_free(node);
}

/* ---- memories ---- */

static void test_revoke_run__a_local_index_forgets_what_it_was_told(void **state)
{
	auto_world struct world w = world_new();
	auto_tmpdir char *dir = tmpdir_new();
	struct domain_keys *d = NULL;
	struct chunk_ref found;

	(void)state;
	ok(keys_domain(w.k.agent->keys, "d", &d, e));
	for (int i = 0; i < 2; i++) {
		struct index *x = NULL;

		if (i == 1) {
			/* before its first object */
			(void)kit_revoke(&w.k, "node", received_ns(&w.k, &w.mine));
			kit_reopen(&w.k);
		}
		ok(index_open(w.k.store, w.k.agent->keys, d, dir, NULL, NULL, &x, e));
		assert_int_equal(index_lookup(x, w.nodes.root.id, &found), i == 0);
		assert_true(index_lookup(x, w.mine.root.id, &found));
		index_free(x);
	}
	secret_free(d);
}

static void test_revoke_load__lists_are_kept_locally_for_a_store_far_away(void **state)
{
	auto_world struct world w = world_new();
	auto_tmpdir char *dir = tmpdir_new();
	struct kit_names names;

	(void)state;
	(void)kit_revoke(&w.k, "node", 0);
	kit_list(&w.k, "ctl/revoked/", &names);
	assert_int_equal(names.n, 1);
	for (int i = 0; i < 3; i++) {
		auto_free char *path = kit_key_path(&w.k, "audit.key");
		struct keys *keys = NULL;
		struct repo *r = NULL;

		ok(keys_load(path, NULL, &keys, e));
		auto_store struct store *far = fault_store(w.k.store, UINT64_MAX, FAULT_NONE,
		                                           FAULT_NONE, NULL);
		far->caps &= ~(unsigned)STORE_CAP_LOCAL;
		ok(repo_open(far, keys, dir, NULL, &r, e));
		if (i == 0)
			kit_remove(&w.k, names.keys[0]); /* from here on the copy serves */
		assert_int_equal(count_points(r), 2);
		repo_free(r);
	}
	/* A copy that was changed is none. */
	kit_reopen(&w.k);
	CLEANUP(point_clear) struct point p = { 0 };
	fails_saying(ERR_CORRUPT, "the list of what counts of it",
	             repo_point(w.k.audit, w.nodes.session, &p, e));
}

static void test_revoke_load__a_lost_list_is_no_verdict(void **state)
{
	auto_world struct world w = world_new();
	struct kit_names names;
	struct gc_result r;

	(void)state;
	(void)kit_revoke(&w.k, "node", 0);
	kit_list(&w.k, "ctl/revoked/", &names);
	kit_flip(&w.k, names.keys[0], 100);
	kit_reopen(&w.k);
	/* Others' points come back; nobody says anything of the node's, and nothing is taken. */
	kit_assert_readable(w.k.recovery, &w.mine, &w.mine_c);
	CLEANUP(point_clear) struct point p = { 0 };
	fails_saying(ERR_CORRUPT, "does not open: put that back from a copy",
	             repo_point(w.k.audit, w.nodes.session, &p, e));
	fails_saying(ERR_CORRUPT, "the list of what counts of the revoked key 'node'",
	             gc_run(w.k.agent, &eager, &r, e));
	struct kit_findings f;
	(void)kit_check(w.k.audit, 0, &f);
	assert_non_null(strstr(f.text, "what counts of the revoked key 'node' cannot be read"));
	/* The way out. */
	(void)kit_revoke(&w.k, "node", received_ns(&w.k, &w.nodes) + 1);
	kit_reopen(&w.k);
	assert_int_equal(count_points(w.k.audit), 2);
	assert_both_read(&w);
}

/* ---- at the same time ---- */

static void test_revoke_run__a_collection_that_goes_by_the_old_config_stops(void **state)
{
	auto_world struct world w = world_new();
	const struct expiry_point going = { .session = w.nodes.session, .why = "a test" };
	struct gc_result r;
	uint64_t number;

	(void)state;
	ok(expiry_put_tomb(w.k.agent, "", &going, 1, &number, e));
	(void)kit_revoke(&w.k, "node", 0);
	size_t packs = kit_count(&w.k, "pack/") + kit_count(&w.k, "meta/");
	struct repo *const old[] = { w.k.agent, w.node };
	for (size_t i = 0; i < ARRAY_LEN(old); i++) {
		fails_saying(ERR_BUSY, "keys of this repository have changed meanwhile",
		             gc_run(old[i], &eager, &r, e));
		assert_int_equal(kit_count(&w.k, "pack/") + kit_count(&w.k, "meta/"), packs);
		assert_int_equal(kit_count(&w.k, "commit/"), 2);
	}
	kit_reopen(&w.k);
	ok(gc_run(w.k.agent, &eager, &r, e));
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.points_deleted, 1);
	kit_assert_readable(w.k.recovery, &w.mine, &w.mine_c);
}

/* Another collector has taken `condemn` for one of the revoked key, which it was not any more. */
static enum store_fault take_condemn(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct kit *k = arg;

	(void)n;
	if (call == CALL_PUT && strcmp(key, "ctl/gc/00000001/sessions") == 0)
		kit_remove(k, "ctl/gc/00000001/condemn");
	return FAULT_NONE;
}

static void test_gc_run__takes_nothing_that_sessions_have_not_seen_condemned(void **state)
{
	auto_world struct world w = world_new();
	const struct expiry_point going = { .session = w.nodes.session, .why = "a test" };
	struct gc_result r;
	struct err err = ERR_INIT;
	uint64_t number;

	(void)state;
	(void)kit_revoke(&w.k, "node", 0);
	kit_reopen(&w.k);
	ok(expiry_put_tomb(w.k.agent, "", &going, 1, &number, e));
	size_t packs = kit_count(&w.k, "pack/") + kit_count(&w.k, "meta/");
	struct store *lent = fault_store(w.k.store, UINT64_MAX, FAULT_NONE, FAULT_NONE, NULL);
	auto_store struct store *s = store_fault_new(lent, take_condemn, &w.k, &err);
	w.k.agent->store = s;
	ok(gc_run(w.k.agent, &eager, &r, e));
	w.k.agent->store = w.k.store;
	/* The first generation has ended without taking a pack, and the next one took them. */
	assert_int_equal(r.outcome, GC_DONE);
	assert_int_equal(r.generation, 2);
	CLEANUP(collection_list_clear) struct collection_list l = { 0 };
	ok(collection_get(w.k.agent, 1, COLLECTION_FINAL, &l, NULL, e));
	assert_int_equal(l.packs.n, 0);
	assert_int_equal(kit_count(&w.k, "pack/") + kit_count(&w.k, "meta/"), packs - 2);
	kit_assert_readable(w.k.recovery, &w.mine, &w.mine_c);
}

/* The revocation was announced, and the list is still to be made. */
static void announce(struct world *w)
{
	struct repo *admin = kit_open(&w->k, "recovery.key");
	const struct revoke_params p = { .name = "node", .threads = 1 };
	struct revoke_result r;
	struct err why = ERR_INIT;

	for (uint64_t at = 0; kit_count(&w->k, "ctl/config/") < 2; at++) {
		auto_store struct store *s = fault_store(w->k.store, at, FAULT_APPLIED_LOST,
		                                         FAULT_FAIL, NULL);

		admin->store = s;
		assert_int_equal(revoke_run(admin, &p, &r, &why), -1);
		admin->store = w->k.store;
		assert_true(at < 20);
	}
	repo_free(admin);
	kit_reopen(&w->k);
	assert_true(keys_signer(w->k.agent->keys, w->node->keys->signer_id)->closing);
}

static void test_revoke_run__between_announcement_and_list(void **state)
{
	auto_world struct world w = world_new();
	struct kit_content c = content(5);
	struct keys *keys = NULL;
	struct repo *again = NULL;
	struct gc_result r;

	(void)state;
	announce(&w);
	/* All counts as before, and nothing is taken away; the key itself opens nothing more. */
	assert_int_equal(count_points(w.k.audit), 2);
	assert_both_read(&w);
	fails_saying(ERR_BUSY, "is being revoked", gc_run(w.k.agent, &eager, &r, e));
	auto_free char *path = kit_key_path(&w.k, "node.key");
	ok(keys_load(path, NULL, &keys, e));
	fails_saying(ERR_DENIED, "was revoked", repo_open(w.k.store, keys, NULL, NULL, &again, e));
	/* What a run that was under way commits is in the list. */
	auto_kit_point struct point p = kit_backup_by(&w.k, w.node, &c);
	struct revoke_result result = kit_revoke(&w.k, "node", 0);
	assert_int_equal(result.points_accepted, 2);
	assert_false(result.again);
	kit_reopen(&w.k);
	assert_int_equal(count_points(w.k.audit), 3);
	kit_assert_readable(w.k.recovery, &p, &c);
	ok(gc_run(w.k.agent, &eager, &r, e));
}

static void test_revoke_run__can_die_at_each_call_and_is_finished(void **state)
{
	bool died = true;

	(void)state;
	for (uint64_t at = 0; died; at++) {
		auto_world struct world w = world_new();
		const struct revoke_params p = { .name = "node", .threads = 1 };
		struct repo *admin = kit_open(&w.k, "recovery.key");
		struct fault_lent *lent;
		struct revoke_result r;
		struct err why = ERR_INIT;

		assert_true(at < 60);
		auto_store struct store *s = fault_store(w.k.store, at,
		                                         at % 2 ? FAULT_APPLIED_LOST : FAULT_FAIL,
		                                         FAULT_FAIL, &lent);
		admin->store = s;
		int rc = revoke_run(admin, &p, &r, &why);
		admin->store = w.k.store;
		died = atomic_load(&lent->calls) > at;
		repo_free(admin);
		assert_true(died || rc == 0);
		kit_reopen(&w.k);
		assert_int_equal(count_points(w.k.audit), 2);
		const struct key_signer *x = keys_signer(w.k.audit->keys, w.node->keys->signer_id);
		if (!x->revoked || x->closing) {
			(void)kit_revoke(&w.k, "node", 0);
			kit_reopen(&w.k);
		}
		x = keys_signer(w.k.audit->keys, w.node->keys->signer_id);
		assert_true(x->revoked && !x->closing && !x->lost);
		assert_int_equal(count_points(w.k.audit), 2);
		assert_both_read(&w);
		(void)kit_check(w.k.audit, 2, NULL);
	}
}

/* ---- what it refuses ---- */

static void test_revoke_run__says_what_there_is(void **state)
{
	auto_world struct world w = world_new();
	struct revoke_params p = { .name = "nod" };
	struct revoke_result r;
	char id[17];

	(void)state;
	fails_saying(ERR_NOT_FOUND, "there is no key 'nod' that signs; there is 'agent', 'node'",
	             revoke_run(w.k.recovery, &p, &r, e));
	p.name = "node";
	fails_saying(ERR_DENIED, "takes the recovery key", revoke_run(w.k.agent, &p, &r, e));
	/* anybody may look what it would do */
	p.dry_run = true;
	ok(revoke_run(w.k.audit, &p, &r, e));
	assert_int_equal(r.points_accepted, 1);
	assert_int_equal(r.revision, 0);
	assert_int_equal(kit_count(&w.k, "ctl/config/"), 1);
	assert_int_equal(kit_count(&w.k, "ctl/revoked/"), 0);
	p.dry_run = false;
	hex_encode(id, w.node->keys->signer_id, 8);
	p.name = id;
	ok(revoke_run(w.k.recovery, &p, &r, e));
	assert_string_equal(r.name, "node");
}

static void test_revoke_run__a_store_that_hides_points_is_told(void **state)
{
	auto_world struct world w = world_new();
	const struct expiry_point going = { .session = w.mine.session, .why = "a test" };
	struct revoke_params p = { .name = "node", .threads = 1 };
	struct revoke_result r;
	struct gc_result collected;
	uint64_t number;
	char key[NOTE_KEY_MAX];

	(void)state;
	ok(expiry_put_tomb(w.k.agent, "", &going, 1, &number, e));
	ok(gc_run(w.k.agent, &eager, &collected, e));
	assert_int_equal(collected.outcome, GC_DONE);
	(void)snprintf(key, sizeof(key), "commit/%.100s", w.nodes.session);
	kit_remove(&w.k, key);
	kit_reopen(&w.k);
	fails_saying(ERR_CORRUPT, "what it hides now would not count later",
	             revoke_run(w.k.recovery, &p, &r, e));
	assert_int_equal(kit_count(&w.k, "ctl/config/"), 1);
	p.accept_loss = true;
	ok(revoke_run(w.k.recovery, &p, &r, e));
	assert_int_equal(r.points_accepted, 0);
}

struct rejects {
	char session[96];
	unsigned n;
};

static int take_reject(void *arg, const char *session, int64_t received, struct err *e)
{
	struct rejects *x = arg;

	(void)e;
	assert_true(received > 0);
	(void)snprintf(x->session, sizeof(x->session), "%s", session);
	x->n++;
	return 0;
}

static void test_revoke_run__names_the_points_that_will_not_count(void **state)
{
	auto_world struct world w = world_new();
	struct rejects x = { .n = 0 };
	const struct revoke_params p = {
		.name = "node",
		.before_ns = received_ns(&w.k, &w.nodes),
		.dry_run = true,
		.rejected = take_reject,
		.arg = &x,
	};
	struct revoke_result r;

	(void)state;
	ok(revoke_run(w.k.audit, &p, &r, e));
	assert_int_equal(x.n, 1);
	assert_string_equal(x.session, w.nodes.session);
	assert_int_equal(r.points_rejected, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_revoke_run__what_was_signed_before_counts),
		cmocka_unit_test(test_revoke_run__nothing_that_a_thief_puts_later_counts),
		cmocka_unit_test(test_revoke_run__a_collection_goes_on_beside_a_thief),
		cmocka_unit_test(test_revoke_run__up_to_a_time),
		cmocka_unit_test(test_repo_find__passes_over_points_that_do_not_count),
		cmocka_unit_test(test_revoke_run__what_collections_did_counts_whenever_it_came),
		cmocka_unit_test(test_revoke_run__packs_are_vouched_for_no_more),
		cmocka_unit_test(test_revoke_run__packs_are_never_repacked),
		cmocka_unit_test(test_revoke_run__a_local_index_forgets_what_it_was_told),
		cmocka_unit_test(test_revoke_load__lists_are_kept_locally_for_a_store_far_away),
		cmocka_unit_test(test_revoke_load__a_lost_list_is_no_verdict),
		cmocka_unit_test(test_revoke_run__a_collection_that_goes_by_the_old_config_stops),
		cmocka_unit_test(test_gc_run__takes_nothing_that_sessions_have_not_seen_condemned),
		cmocka_unit_test(test_revoke_run__between_announcement_and_list),
		cmocka_unit_test(test_revoke_run__can_die_at_each_call_and_is_finished),
		cmocka_unit_test(test_revoke_run__says_what_there_is),
		cmocka_unit_test(test_revoke_run__a_store_that_hides_points_is_told),
		cmocka_unit_test(test_revoke_run__names_the_points_that_will_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
