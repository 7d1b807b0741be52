/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adding agents and recipients, removing recipients, rules, upgrading: what
 * each means for who reads and writes, and that each can be stopped anywhere.
 */
#include "repo/rekey.h"

#include <sys/stat.h>

#include "repo/expiry.h"
#include "repo/gc.h"
#include "tests/harness/fault_kit.h"
#include "tests/harness/keys_kit.h"

#define HOUR_NS ((int64_t)3600 * 1000000000)

static const struct kit_content small = {
	.volume = "v", .domain = "d", .n = 1, .files = 3, .bytes = 3000, .seed = 5
};

/* The number of slots of the data packs that are in the store, each the same. */
static size_t slots(const struct kit *k)
{
	struct kit_names names;
	size_t all = 0;

	kit_list(k, "pack/", &names);
	for (size_t i = 0; i < names.n; i++) {
		size_t n;
		auto_free uint8_t *p = kit_get(k, names.keys[i], &n);
		size_t nslots = p[FORMAT_PACK_FIXED_BYTES] | (size_t)p[FORMAT_PACK_FIXED_BYTES + 1]
		                                                     << 8;

		assert_true(all == 0 || all == nslots);
		all = nslots;
	}
	return all;
}

/* ---- agents ---- */

static void test_rekey_add_agent__the_new_key_writes_and_all_read_it(void **state)
{
	auto_kit struct kit k = kit_new();
	struct repo *old_agent = kit_open(&k, "agent.key");
	struct repo *node = kit_add_agent(&k, "node-7");
	struct kit_content c = small;

	(void)state;
	assert_int_equal(node->params.revision, 2);
	assert_memory_not_equal(node->keys->signer_id, k.agent->keys->signer_id, 8);
	auto_kit_point struct point a = kit_backup_by(&k, node, &c);
	assert_int_equal(a.config, 2);
	/* One that was opened before does not know the new key. */
	CLEANUP(point_clear) struct point ignored = { 0 };
	fails_saying(ERR_DENIED, "does not know", repo_point(old_agent, a.session, &ignored, e));
	kit_reopen(&k);
	c.n = 2;
	auto_kit_point struct point b = kit_backup(&k, &c);
	kit_assert_readable(k.recovery, &a, &small);
	assert_int_equal(kit_check(k.recovery, 4, NULL).points, 2);
	auto_free char *path = kit_key_path(&k, "node-7.key");
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	repo_free(node);
	repo_free(old_agent);
}

static void test_rekey_add_agent__names_and_files_are_never_taken_twice(void **state)
{
	char long_name[KEY_NAME_MAX + 1] = "";
	const char *const bad[] = { "", "a b", "-x", "../x", "0123456789abcdef", long_name };
	auto_kit struct kit k = kit_new();
	auto_free char *path = kit_key_path(&k, "node.key");
	auto_free char *agent = kit_key_path(&k, "agent.key");
	auto_free char *audit = kit_key_path(&k, "audit.key");
	auto_free char *recovery = kit_key_path(&k, "recovery.key");
	auto_free char *dir = path_join(k.dir, "keys");
	struct rekey_result result;

	(void)state;
	memset(long_name, 'x', KEY_NAME_MAX);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		fails(ERR_INVALID, rekey_add_agent(k.recovery, bad[i], path, false, &result, e));
	fails_saying(ERR_EXISTS, "there is a key 'agent' already",
	             rekey_add_agent(k.recovery, "agent", path, false, &result, e));
	fails_saying(ERR_EXISTS, "has another name already: 'agent'",
	             rekey_add_agent(k.recovery, "node", agent, false, &result, e));
	fails_saying(ERR_EXISTS, "is there already",
	             rekey_add_agent(k.recovery, "node", audit, false, &result, e));
	fails_saying(ERR_EXISTS, "is there already",
	             rekey_add_recipient(k.recovery, "spare", recovery, NULL, false, &result, e));
	fails_saying(ERR_EXISTS, "there is a recipient 'recovery' already",
	             rekey_add_recipient(k.recovery, "recovery", path, NULL, false, &result, e));
	write_text(dir, "node.key", "precious");
	fails_saying(ERR_EXISTS, "is there already",
	             rekey_add_agent(k.recovery, "node", path, false, &result, e));
	auto_free char *text = read_file(dir, "node.key", NULL);
	assert_string_equal(text, "precious");
	assert_int_equal(kit_count(&k, "ctl/"), 0);
}

static void test_rekey__a_dry_run_writes_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_free char *path = kit_key_path(&k, "node.key");
	auto_free char *dir = path_join(k.dir, "keys");
	struct rekey_result result;
	struct repo *spare = kit_add_recipient(&k, "spare");
	struct repo *node = kit_add_agent(&k, "node-1");

	(void)state;
	kit_reopen(&k);
	size_t files = count_files(dir);
	ok(rekey_add_agent(k.recovery, "node", path, true, &result, e));
	ok(rekey_add_recipient(k.recovery, "other", path, NULL, true, &result, e));
	ok(rekey_remove_recipient(k.recovery, "spare", true, &result, e));
	ok(rekey_require_signatures(k.recovery, 2, true, &result, e));
	ok(rekey_upgrade(k.recovery, true, &result, e));
	assert_true(result.already);
	assert_int_equal(count_files(dir), files);
	assert_int_equal(kit_count(&k, "ctl/config/"), 2);
	repo_free(node);
	repo_free(spare);
}

static void test_rekey__takes_the_admin_key(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_free char *path = kit_key_path(&k, "node.key");
	struct repo *spare = kit_add_recipient(&k, "spare");
	struct repo *const others[] = { k.agent, k.audit, spare };
	struct rekey_result result;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		fails(ERR_DENIED, rekey_add_agent(others[i], "n", path, false, &result, e));
		fails(ERR_DENIED,
		      rekey_add_recipient(others[i], "n", path, NULL, false, &result, e));
		fails(ERR_DENIED, rekey_remove_recipient(others[i], "spare", false, &result, e));
		fails(ERR_DENIED, rekey_require_signatures(others[i], 2, false, &result, e));
		fails(ERR_DENIED, rekey_upgrade(others[i], false, &result, e));
	}
	assert_false(file_exists(k.dir, "keys/node.key"));
	repo_free(spare);
}

/* ---- recipients ---- */

static void test_rekey_add_recipient__new_packs_are_for_both(void **state)
{
	auto_kit struct kit k = kit_new();
	struct repo *spare = kit_add_recipient(&k, "spare");

	(void)state;
	assert_true(spare->keys->has_rs && !spare->keys->has_sign);
	assert_int_equal(spare->keys->nrecipients, 2);
	/* The agent's key file is as it was; it goes by the config. */
	kit_reopen(&k);
	assert_int_equal(k.agent->keys->nrecipients, 2);
	auto_kit_point struct point p = kit_backup(&k, &small);
	assert_int_equal(slots(&k), 2);
	kit_assert_readable(spare, &p, &small);
	kit_assert_readable(k.recovery, &p, &small);
	assert_int_equal(kit_check(spare, 4, NULL).points, 1);
	repo_free(spare);
}

static void test_rekey_add_recipient__packs_from_before_are_not_for_it(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point p = kit_backup(&k, &small);
	struct repo *spare = kit_add_recipient(&k, "spare");
	struct kit_reading x = kit_read(spare, &p, &small);

	(void)state;
	assert_int_equal(x.good, 0);
	assert_int_equal(x.why, ERR_DENIED);
	repo_free(spare);
}

static void test_rekey_remove_recipient__later_packs_are_not_for_it(void **state)
{
	auto_kit struct kit k = kit_new();
	struct repo *spare = kit_add_recipient(&k, "spare");
	struct rekey_result result;
	struct keys *keys = NULL;
	struct repo *r = NULL;

	(void)state;
	kit_reopen(&k);
	fails_saying(ERR_INVALID, "is the admin's own",
	             rekey_remove_recipient(k.recovery, "recovery", false, &result, e));
	fails_saying(ERR_NOT_FOUND, "there is 'recovery', 'spare'",
	             rekey_remove_recipient(k.recovery, "spar", false, &result, e));
	ok(rekey_remove_recipient(k.recovery, "spare", false, &result, e));
	kit_reopen(&k);
	auto_kit_point struct point p = kit_backup(&k, &small);
	assert_int_equal(slots(&k), 1);
	/* What was open before reads what it could; it cannot open the repository anew. */
	assert_int_equal(kit_read(spare, &p, &small).good, 0);
	auto_free char *path = kit_key_path(&k, "spare.key");
	ok(keys_load(path, NULL, &keys, e));
	fails_saying(ERR_DENIED, "is no recipient of the repository",
	             repo_open(k.store, keys, NULL, NULL, &r, e));
	repo_free(spare);
}

/* ---- rules ---- */

static void test_rekey_require_signatures__needs_as_many_agents(void **state)
{
	auto_kit struct kit k = kit_new();
	struct rekey_result result;

	(void)state;
	fails_saying(ERR_INVALID, "by 1 agent key; add one first",
	             rekey_require_signatures(k.recovery, 2, false, &result, e));
	fails(ERR_INVALID, rekey_require_signatures(k.recovery, 0, false, &result, e));
	fails(ERR_INVALID, rekey_require_signatures(k.recovery, 3, false, &result, e));
	struct repo *node = kit_add_agent(&k, "second");
	kit_reopen(&k);
	ok(rekey_require_signatures(k.recovery, 2, false, &result, e));
	assert_false(result.already);
	ok(rekey_require_signatures(k.recovery, 2, false, &result, e));
	assert_true(result.already);
	assert_int_equal(result.revision, 3);
	repo_free(node);
}

static void expire_by(struct repo *r, const char *session)
{
	const struct expiry_point p = { .session = session, .why = "a test" };
	uint64_t number;

	ok(expiry_put_tomb(r, "", &p, 1, &number, e));
}

static struct gc_result collect(struct repo *r)
{
	const struct gc_params p = {
		.fence_after_ns = -HOUR_NS, .young_ns = -HOUR_NS, .share_percent = 0, .threads = 2
	};
	struct gc_result result;

	ok(gc_run(r, &p, &result, e));
	return result;
}

static void test_two_persons_expire_and_release_together(void **state)
{
	auto_kit struct kit k = kit_new();
	struct kit_content c = small;
	struct rekey_result result;
	uint64_t hold;
	uint64_t number;

	(void)state;
	repo_free(kit_add_agent(&k, "second"));
	kit_reopen(&k);
	ok(rekey_require_signatures(k.recovery, 2, false, &result, e));
	kit_reopen(&k);
	struct repo *second = kit_open(&k, "second.key");
	auto_kit_point struct point held = kit_backup(&k, &c);
	c.n = 2;
	c.seed = 900;
	c.volume = "w";
	auto_kit_point struct point other = kit_backup(&k, &c);
	ok(expiry_put_hold(k.agent, held.session, NULL, "a dispute", "Ada", &hold, e));

	/* One person, however often, is one. */
	expire_by(k.agent, other.session);
	expire_by(k.agent, other.session);
	struct gc_result r = collect(k.agent);
	assert_int_equal(r.outcome, GC_NOTHING);
	assert_int_equal(r.points, 2);
	expire_by(second, other.session);
	expire_by(k.agent, held.session);
	expire_by(second, held.session);
	r = collect(second);
	assert_int_equal(r.points_expired, 1);
	assert_int_equal(r.points, 1);
	kit_assert_readable(k.recovery, &held, &small);

	ok(expiry_put_release(k.agent, hold, "settled", "Ada", &number, e));
	r = collect(k.agent);
	assert_int_equal(r.points, 1);
	ok(expiry_put_release(second, hold, "settled", "Bob", &number, e));
	r = collect(k.agent);
	assert_int_equal(r.points, 0);
	assert_int_equal(kit_count(&k, "pack/"), 0);
	repo_free(second);
}

/* A repository as programs of before made it. */
static struct kit old_kit(void)
{
	struct kit k = kit_new();
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CONFIG_OBJECT_MAX);
	struct repo_params p = k.recovery->params;

	p.features = 0;
	ok(config_encode(k.recovery->keys, &p, &b, e));
	kit_replace(&k, "config", b.data, b.len);
	kit_reopen(&k);
	return k;
}

static void test_rekey_upgrade__lets_collections_in(void **state)
{
	auto_kit struct kit k = old_kit();
	const struct gc_params p = { .threads = 1 };
	struct rekey_result result;
	struct gc_result ignored;

	(void)state;
	assert_int_equal(k.agent->params.features, 0);
	fails_saying(ERR_UNSUPPORTED, "aksdr-catalog upgrade", gc_run(k.agent, &p, &ignored, e));
	ok(rekey_upgrade(k.recovery, false, &result, e));
	assert_false(result.already);
	kit_reopen(&k);
	assert_int_equal(k.agent->params.features, FORMAT_FEATURES);
	ok(gc_run(k.agent, &p, &ignored, e));
	ok(rekey_upgrade(k.recovery, false, &result, e));
	assert_true(result.already);
	assert_int_equal(kit_count(&k, "ctl/config/"), 1);
}

/* ---- stopped anywhere ---- */

struct change {
	const char *name;
	int (*run)(struct repo *r, const char *path, struct rekey_result *ret, struct err *e);
	void (*verify)(struct kit *k);
};

static int add_agent(struct repo *r, const char *path, struct rekey_result *ret, struct err *e)
{
	return rekey_add_agent(r, "node", path, false, ret, e);
}

static int add_recipient(struct repo *r, const char *path, struct rekey_result *ret, struct err *e)
{
	return rekey_add_recipient(r, "node", path, "pass", false, ret, e);
}

static int require_two(struct repo *r, const char *path, struct rekey_result *ret, struct err *e)
{
	(void)path;
	return rekey_require_signatures(r, 2, false, ret, e);
}

static int upgrade(struct repo *r, const char *path, struct rekey_result *ret, struct err *e)
{
	(void)path;
	return rekey_upgrade(r, false, ret, e);
}

/* Gone after the first time, so the second one need not find it. */
static int remove_spare(struct repo *r, const char *path, struct rekey_result *ret, struct err *e)
{
	struct err ignored = ERR_INIT;

	(void)path;
	if (!rekey_recipient(r->keys, "spare", &ignored)) {
		*ret = (struct rekey_result){ .already = true };
		return 0;
	}
	return rekey_remove_recipient(r, "spare", false, ret, e);
}

static void verify_agent(struct kit *k)
{
	struct repo *node = kit_open(k, "node.key");

	assert_int_equal(node->keys->nsigners, 3);
	auto_kit_point struct point p = kit_backup_by(k, node, &small);
	repo_free(node);
}

static void verify_recipient(struct kit *k)
{
	auto_free char *path = kit_key_path(k, "node.key");
	struct keys *keys = NULL;
	struct repo *r = NULL;

	ok(keys_open(path, "pass", &keys, e));
	ok(repo_open(k->store, keys, NULL, NULL, &r, e));
	assert_int_equal(r->keys->nrecipients, 3);
	repo_free(r);
}

static void verify_two(struct kit *k)
{
	assert_int_equal(k->agent->params.signatures, 2);
}

static void verify_features(struct kit *k)
{
	assert_int_equal(k->agent->params.features, FORMAT_FEATURES);
}

static void verify_removed(struct kit *k)
{
	assert_int_equal(k->agent->keys->nrecipients, 1);
}

static const struct change changes[] = {
	{ "add-agent", add_agent, verify_agent },
	{ "add-recipient", add_recipient, verify_recipient },
	{ "remove-recipient", remove_spare, verify_removed },
	{ "require-signatures", require_two, verify_two },
	{ "upgrade", upgrade, verify_features },
};

/* One change dies at the Nth call of the store, before or after that was applied. */
static bool die_at(const struct change *c, uint64_t at, enum store_fault how)
{
	auto_kit struct kit k = old_kit();
	auto_free char *path = kit_key_path(&k, "node.key");
	struct fault_lent *lent;
	struct rekey_result result;
	struct err why = ERR_INIT;

	repo_free(kit_add_agent(&k, "second"));
	repo_free(kit_add_recipient(&k, "spare"));
	kit_reopen(&k);
	auto_store struct store *s = fault_store(k.store, at, how, FAULT_FAIL, &lent);
	k.recovery->store = s;
	(void)!c->run(k.recovery, path, &result, &why);
	k.recovery->store = k.store;
	bool died = atomic_load(&lent->calls) > at;

	kit_reopen(&k);
	ok(c->run(k.recovery, path, &result, e));
	kit_reopen(&k);
	c->verify(&k);
	/* and once more it is no change */
	uint64_t revision = k.recovery->params.revision;
	ok(c->run(k.recovery, path, &result, e));
	assert_true(result.already);
	assert_int_equal(k.recovery->params.revision, revision);
	(void)kit_check(k.audit, 2, NULL);
	return died;
}

static void test_rekey__each_change_can_die_at_each_call(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		for (uint64_t at = 0; die_at(&changes[i], at, FAULT_FAIL); at++)
			assert_true(at < 30);
		for (uint64_t at = 0; die_at(&changes[i], at, FAULT_APPLIED_LOST); at++)
			assert_true(at < 30);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rekey_add_agent__the_new_key_writes_and_all_read_it),
		cmocka_unit_test(test_rekey_add_agent__names_and_files_are_never_taken_twice),
		cmocka_unit_test(test_rekey__a_dry_run_writes_nothing),
		cmocka_unit_test(test_rekey__takes_the_admin_key),
		cmocka_unit_test(test_rekey_add_recipient__new_packs_are_for_both),
		cmocka_unit_test(test_rekey_add_recipient__packs_from_before_are_not_for_it),
		cmocka_unit_test(test_rekey_remove_recipient__later_packs_are_not_for_it),
		cmocka_unit_test(test_rekey_require_signatures__needs_as_many_agents),
		cmocka_unit_test(test_two_persons_expire_and_release_together),
		cmocka_unit_test(test_rekey_upgrade__lets_collections_in),
		cmocka_unit_test(test_rekey__each_change_can_die_at_each_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
