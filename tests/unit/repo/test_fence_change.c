/* SPDX-License-Identifier: Apache-2.0 */
/* Fencing and giving back: who may, what is refused, and that it can be stopped anywhere. */
#include "repo/fence_change.h"

#include "common/json.h"
#include "repo/mirror.h"
#include "tests/harness/fence_kit.h"

#define C1 kit_site("c1", NULL, NULL)

static void test_fence_raise__is_said_once(void **state)
{
	auto_kit struct kit k = kit_new();
	struct fence_target site = C1;

	(void)state;
	struct fence_result first = kit_fence(&k, &site);
	struct fence_result second = kit_fence(&k, &site);
	assert_int_equal(first.epoch, 1);
	assert_int_equal(first.revision, 3);
	assert_true(second.already);
	assert_int_equal(second.epoch, 1);
	assert_int_equal(second.revision, 3);
	assert_false(kit_lift(&k, &site).already);
	struct fence_result again = kit_lift(&k, &site);
	assert_true(again.already);
	assert_int_equal(again.epoch, 2);
	struct fence_result anew = kit_fence(&k, &site);
	assert_int_equal(anew.epoch, 3);
}

static void test_fence_raise__leaves_facts_for_people(void **state)
{
	auto_kit struct kit k = kit_new();
	struct fence_target sites[] = { C1, kit_site("", NULL, NULL),
		                        kit_site("c3", "shop", "data") };
	const struct fence_order order = {
		.targets = sites, .n = 3, .reason = "region down", .successor = "c2"
	};
	struct fence_result result;
	auto_json json_t *facts = NULL;

	(void)state;
	ok(fence_raise(k.recovery, &order, &result, e));
	kit_reopen(&k);
	assert_int_equal(fence_epoch(k.audit), 1);
	assert_int_equal(fence_at(k.audit, 0)->ntags, 3);
	assert_null(fence_at(k.audit, 1));
	ok(fence_facts(k.audit, &fence_at(k.audit, 0)->record, &facts, e));
	assert_string_equal(json_string_value(json_object_get(facts, "reason")), "region down");
	assert_string_equal(json_string_value(json_object_get(facts, "successor")), "c2");
	auto_free char *volumes = json_dumps(json_object_get(facts, "volumes"),
	                                     JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(volumes, "[{\"cluster\":\"c1\"},{\"cluster\":\"\"},{\"cluster\":\"c3\","
	                             "\"name\":\"data\",\"namespace\":\"shop\"}]");
	/* Old programs would count what does not count. */
	assert_int_equal(k.audit->params.features & FORMAT_FEATURE_FENCES, FORMAT_FEATURE_FENCES);
	/* Names are not for the store: the config is plain text. */
	auto_free char *config = json_dumps(k.audit->config.json, 0);
	assert_null(strstr(config, "region down"));
	assert_null(strstr(config, "shop"));
}

static void test_fence_raise__takes_the_admin_key(void **state)
{
	auto_kit struct kit k = kit_new();
	struct fence_target site = C1;
	const struct fence_order order = kit_order(&site);
	struct fence_result result;
	struct repo *reader = kit_add_recipient(&k, "reader");

	(void)state;
	fails_saying(ERR_DENIED, "no admin key", fence_raise(k.agent, &order, &result, e));
	fails_saying(ERR_DENIED, "no admin key", fence_raise(k.audit, &order, &result, e));
	fails_saying(ERR_DENIED, "no admin key", fence_raise(reader, &order, &result, e));
	fails_saying(ERR_DENIED, "no admin key", fence_lift(k.agent, &order, &result, e));
	fails_saying(ERR_DENIED, "no admin key", fence_accept(k.agent, NULL, 0, false, &result, e));
	repo_free(reader);
	kit_reopen(&k);
	assert_int_equal(fence_epoch(k.audit), 0);
}

static void test_fence_raise__refuses_what_says_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	struct fence_target site = C1;
	struct fence_order order = kit_order(&site);
	struct fence_result result;
	char text[FENCE_REASON_MAX + 1];

	(void)state;
	order.reason = "";
	fails_saying(ERR_INVALID, "say the reason", fence_raise(k.recovery, &order, &result, e));
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	order.reason = text;
	fails_saying(ERR_INVALID, "too long", fence_raise(k.recovery, &order, &result, e));
	order.reason = "\xff";
	fails_saying(ERR_INVALID, "UTF-8", fence_raise(k.recovery, &order, &result, e));
	order.reason = "r";
	order.successor = text;
	fails_saying(ERR_INVALID, "successor", fence_raise(k.recovery, &order, &result, e));
	order.successor = NULL;
	order.n = 0;
	fails_saying(ERR_INVALID, "say what is fenced",
	             fence_raise(k.recovery, &order, &result, e));
	assert_int_equal(fence_epoch(k.recovery), 0);
}

static void test_fence_lift__names_what_stands(void **state)
{
	auto_kit struct kit k = kit_new();
	struct fence_target site = C1;
	struct fence_target part = kit_site("c1", "shop", NULL);
	const struct fence_order order = kit_order(&part);
	struct fence_result result;

	(void)state;
	fails_saying(ERR_NOT_FOUND, "epochs: none", fence_lift(k.recovery, &order, &result, e));
	(void)kit_fence(&k, &site);
	kit_reopen(&k);
	fails_saying(ERR_NOT_FOUND, "epochs: 1 ", fence_lift(k.recovery, &order, &result, e));
}

static void test_fence_raise__a_dry_run_writes_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	struct fence_target site = C1;
	struct fence_order order = kit_order(&site);
	struct fence_result result;

	(void)state;
	order.dry_run = true;
	ok(fence_raise(k.recovery, &order, &result, e));
	assert_int_equal(result.epoch, 1);
	assert_int_equal(kit_count(&k, "ctl/"), 0);
	(void)kit_fence(&k, &site);
	size_t n = kit_count(&k, "ctl/");
	kit_reopen(&k);
	ok(fence_lift(k.recovery, &order, &result, e));
	assert_int_equal(result.epoch, 2);
	assert_int_equal(kit_count(&k, "ctl/"), n);
}

static void test_fence_raise__two_at_once_are_told(void **state)
{
	auto_kit struct kit k = kit_new();
	struct fence_target site = C1;
	const struct fence_order order = kit_order(&site);
	struct repo *other = kit_open(&k, "recovery.key");
	struct fence_result result;

	(void)state;
	(void)kit_fence(&k, &site);
	fails_saying(ERR_BUSY, "changed by somebody else", fence_raise(other, &order, &result, e));
	repo_free(other);
}

/* ---- late points ---- */

static void test_fence_accept__a_late_point_counts_after_all(void **state)
{
	auto_kit struct kit k = kit_new();
	struct point_volume v = kit_volume("shop", "data");
	auto_kit_point struct point before = kit_commit(&k, &v, 1, NULL);
	struct fence_target site = C1;
	struct fence_target part = kit_site("c1", "shop", NULL);
	struct fence_result result;

	(void)state;
	(void)kit_fence(&k, &site);
	(void)kit_fence(&k, &part);
	auto_kit_point struct point late = kit_commit(&k, &v, 2, &before);
	auto_kit_point struct point later = kit_commit(&k, &v, 3, &late);
	const char *sessions[] = { late.session };
	kit_reopen(&k);
	ok(fence_accept(k.recovery, sessions, 1, true, &result, e));
	assert_false(kit_counts(&k, late.session));
	ok(fence_accept(k.recovery, sessions, 1, false, &result, e));
	assert_true(kit_counts(&k, before.session));
	assert_true(kit_counts(&k, late.session));
	assert_false(kit_counts(&k, later.session));
	sessions[0] = "2026-11-22/0011223344556677-00112233445566778899aabbccddeeff";
	fails_saying(ERR_NOT_FOUND, "there is no restore point",
	             fence_accept(k.recovery, sessions, 1, false, &result, e));
}

/* ---- stopped anywhere ---- */

static void test_fence_raise__can_die_at_each_call_and_is_finished(void **state)
{
	static const enum store_fault faults[] = { FAULT_FAIL, FAULT_APPLIED_LOST };
	struct fence_target site = C1;
	const struct fence_order order = kit_order(&site);

	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(faults); f++) {
		bool died = true;

		for (uint64_t at = 0; died; at++) {
			auto_kit struct kit k = kit_new();
			struct point_volume v = kit_volume("shop", "data");
			auto_kit_point struct point before = kit_commit(&k, &v, 1, NULL);
			struct fault_lent *lent;
			struct store *s = fault_store(k.store, at, faults[f], FAULT_FAIL, &lent);
			auto_free char *path = kit_key_path(&k, "recovery.key");
			struct fence_result result;
			struct keys *keys = NULL;
			struct repo *admin = NULL;
			struct err ignored = ERR_INIT;

			ok(keys_load(path, NULL, &keys, e));
			if (repo_open(s, keys, NULL, NULL, &admin, &ignored) == 0) {
				(void)!fence_raise(admin, &order, &result, &ignored);
				repo_free(admin);
			}
			died = atomic_load(&lent->calls) > at;
			store_free(s);
			/* Whatever stands of it, what was there counts. */
			assert_true(kit_counts(&k, before.session));
			result = kit_fence(&k, &site);
			assert_int_equal(result.epoch, 1);
			assert_true(kit_counts(&k, before.session));
			auto_kit_point struct point late = kit_commit(&k, &v, 2, &before);
			assert_false(kit_counts(&k, late.session));
			(void)kit_lift(&k, &site);
			assert_false(kit_counts(&k, late.session));
		}
	}
}

/* Announced and no more: nobody of the site writes, and everything counts. */
static void test_fence_raise__between_announcement_and_list(void **state)
{
	auto_kit struct kit k = kit_new();
	struct point_volume v = kit_volume("shop", "data");
	struct fence_target site = C1;
	const struct fence_order order = kit_order(&site);
	struct fence_result result;
	struct point p;
	struct err why = ERR_INIT;

	(void)state;
	(void)kit_fence(&k, &site);
	kit_reopen(&k);
	/* Back to what was announced: the revision that names the list is taken away. */
	ok(store_delete(k.store, "ctl/config/00000003", e));
	kit_reopen(&k);
	assert_true(fence_at(k.audit, 0)->closing);
	auto_kit_point struct point late = kit_commit(&k, &v, 1, NULL);
	assert_true(kit_counts(&k, late.session));
	assert_int_equal(kit_write(k.agent, &v, NULL, NULL, &p, &why), -1);
	assert_true(fence_is(&why));
	fails_saying(ERR_INVALID, "is not complete", fence_lift(k.recovery, &order, &result, e));
	result = kit_fence(&k, &site);
	assert_false(result.already);
	assert_int_equal(result.points, 1);
	assert_true(kit_counts(&k, late.session));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fence_raise__is_said_once),
		cmocka_unit_test(test_fence_raise__leaves_facts_for_people),
		cmocka_unit_test(test_fence_raise__takes_the_admin_key),
		cmocka_unit_test(test_fence_raise__refuses_what_says_nothing),
		cmocka_unit_test(test_fence_lift__names_what_stands),
		cmocka_unit_test(test_fence_raise__a_dry_run_writes_nothing),
		cmocka_unit_test(test_fence_raise__two_at_once_are_told),
		cmocka_unit_test(test_fence_accept__a_late_point_counts_after_all),
		cmocka_unit_test(test_fence_raise__can_die_at_each_call_and_is_finished),
		cmocka_unit_test(test_fence_raise__between_announcement_and_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
