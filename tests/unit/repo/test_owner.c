/* SPDX-License-Identifier: Apache-2.0 */
/* Who serves a plan: the newest record of the admin, and nothing else. */
#include "repo/owner.h"

#include "tests/harness/fence_kit.h"
#include "tests/unit/repo/note_kit.h"

static struct owner order(const char *cluster)
{
	struct owner o = { .plan = "shop", .reason = "region down" };

	(void)snprintf(o.cluster, sizeof(o.cluster), "%s", cluster);
	return o;
}

static struct chain opened(const struct repo *r)
{
	struct chain c;

	ok(owner_open(r, "shop", &c, e));
	return c;
}

static struct owner newest(const struct repo *r)
{
	struct chain c = opened(r);
	struct owner o = { 0 };

	ok(owner_newest(r, &c, &o, e));
	return o;
}

static void change(const struct repo *r, const char *cluster)
{
	struct chain c = opened(r);
	struct owner before = { 0 };
	struct owner o = order(cluster);

	ok(owner_newest(r, &c, &before, e));
	ok(owner_change(r, &c, &o, e));
}

static void test_owner_newest__none_at_first_then_the_last_for_all_keys(void **state)
{
	auto_kit struct kit k = kit_new();
	const struct fence_target site = kit_site("we", NULL, NULL);

	(void)state;
	assert_int_equal(newest(k.audit).n, 0);
	(void)kit_fence(&k, &site);
	kit_reopen(&k);
	change(k.recovery, "ne");
	change(k.recovery, "we");
	const struct repo *const readers[] = { k.audit, k.agent, k.recovery };
	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		struct owner o = newest(readers[i]);

		assert_int_equal(o.n, 2);
		assert_string_equal(o.cluster, "we");
		assert_string_equal(o.plan, "shop");
		assert_string_equal(o.reason, "region down");
		assert_string_equal(o.run, "");
		assert_int_equal(o.epoch, 1);
		assert_true(o.at_ns > 0 && o.actor.user[0]);
	}
}

static void test_owner_newest__keeps_what_it_knows_when_nothing_came(void **state)
{
	auto_kit struct kit k = kit_new();
	struct chain c = opened(k.audit);
	struct owner o = { 0 };

	(void)state;
	change(k.recovery, "ne");
	ok(owner_newest(k.audit, &c, &o, e));
	ok(owner_newest(k.audit, &c, &o, e));
	assert_string_equal(o.cluster, "ne");
	change(k.recovery, "we");
	ok(owner_newest(k.audit, &c, &o, e));
	assert_string_equal(o.cluster, "we");
	assert_int_equal(o.n, 2);
}

static void put_as(const struct repo *r, uint64_t n, const char *json)
{
	struct chain c = opened(r);
	char key[NOTE_KEY_MAX];

	note_number_key(c.prefix, n, key);
	note_kit_text(r, FORMAT_KIND_OWNER, key, json);
}

#define BY ",\"actor\":{\"user\":\"u\",\"host\":\"h\"}}"
#define RECORD(plan, cluster, run)                                                          \
	"{\"schema\":\"aksdr/owner/v1\",\"plan\":\"" plan "\",\"cluster\":\"" cluster "\"," \
	"\"run\":\"" run "\",\"reason\":\"r\",\"at_ns\":1,\"epoch\":0" BY

static void test_owner_newest__only_the_admin_is_heard(void **state)
{
	auto_kit struct kit k = kit_new();

	(void)state;
	change(k.recovery, "ne");
	put_as(k.agent, 2, RECORD("shop", "we", ""));
	put_as(k.agent, 3, "{}");
	assert_string_equal(newest(k.audit).cluster, "ne");
	/* They have their numbers all the same. */
	change(k.recovery, "xe");
	assert_int_equal(newest(k.audit).n, 4);
}

static void test_owner_newest__refuses_what_is_no_record_of_this_plan(void **state)
{
	static const struct {
		const char *json, *says;
	} cases[] = {
		{ "{}", "schema" },
		{ "{\"schema\":\"aksdr/owner/v2\"}", "newer program" },
		{ RECORD("shop", "", ""), "no cluster" },
		{ RECORD("shop", "we", "12"), "name of a run" },
		{ RECORD("other", "we", ""), "another plan, 'other'" },
		{ "{\"schema\":\"aksdr/owner/v1\",\"plan\":\"shop\",\"cluster\":\"we\"}", "run" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_kit struct kit k = kit_new();
		struct chain c = opened(k.audit);
		struct owner o = { 0 };

		put_as(k.recovery, 1, cases[i].json);
		fails_saying(ERR_FORMAT, cases[i].says, owner_newest(k.audit, &c, &o, e));
		assert_int_equal(o.n, 0);
	}
}

static void test_owner_newest__texts_have_limits(void **state)
{
	auto_kit struct kit k = kit_new();
	struct chain c = opened(k.audit);
	struct owner o = { 0 };
	char reason[OWNER_REASON_MAX + 1];
	char json[1024];

	(void)state;
	memset(reason, 'x', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	(void)snprintf(json, sizeof(json),
	               "{\"schema\":\"aksdr/owner/v1\",\"plan\":\"shop\",\"cluster\":\"we\","
	               "\"run\":\"\",\"reason\":\"%s\",\"at_ns\":1,\"epoch\":0" BY,
	               reason);
	put_as(k.recovery, 1, json);
	fails_saying(ERR_FORMAT, "reason is too long", owner_newest(k.audit, &c, &o, e));
}

static void test_owner_change__of_two_at_once_one_is_told(void **state)
{
	auto_kit struct kit k = kit_new();
	struct chain one = opened(k.recovery);
	struct chain two = opened(k.recovery);
	struct owner a = order("ne");
	struct owner b = order("we");

	(void)state;
	ok(owner_change(k.recovery, &one, &a, e));
	assert_int_equal(a.n, 1);
	fails(ERR_BUSY, owner_change(k.recovery, &two, &b, e));
	assert_int_equal(b.n, 0);
	assert_string_equal(newest(k.audit).cluster, "ne");
}

static void test_owner_change__takes_the_admin_a_cluster_and_a_reason(void **state)
{
	auto_kit struct kit k = kit_new();
	struct repo *reader = kit_add_recipient(&k, "second");
	struct chain c = opened(k.recovery);
	struct owner o = order("ne");

	(void)state;
	fails_saying(ERR_DENIED, "recovery key that init made", owner_change(k.agent, &c, &o, e));
	fails(ERR_DENIED, owner_change(k.audit, &c, &o, e));
	fails(ERR_DENIED, owner_change(reader, &c, &o, e));
	repo_free(reader);
	o.reason[0] = '\0';
	fails_saying(ERR_INVALID, "say the reason", owner_change(k.recovery, &c, &o, e));
	o = order("");
	fails_saying(ERR_INVALID, "which cluster", owner_change(k.recovery, &c, &o, e));
	o = order("ne\xff");
	fails_saying(ERR_INVALID, "no UTF-8", owner_change(k.recovery, &c, &o, e));
	o = order("ne");
	o.plan[0] = '\0';
	fails(ERR_INVALID, owner_change(k.recovery, &c, &o, e));
	assert_int_equal(note_kit_count(&k, "ctl/owner/"), 0);
}

static void test_owner_check_plan__names_as_kubernetes_has_them(void **state)
{
	static const char *const good[] = { "shop", "a", "shop-1", "1", "a.b-c.d" };
	static const char *const bad[] = { "",     "Shop", "-a",  "a-",   ".a",  "a.",
		                           "a..b", "a_b",  "a/b", "a-.b", "a b", "\xc3\xa4" };
	char name[300];
	struct chain c;
	auto_kit struct kit k = kit_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		ok(owner_check_plan(good[i], e));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		fails_saying(ERR_INVALID, "no name of a plan", owner_check_plan(bad[i], e));
	memset(name, 'a', sizeof(name));
	for (size_t i = 63; i < 253; i += 64)
		name[i] = '.';
	name[253] = '\0';
	ok(owner_check_plan(name, e));
	name[253] = 'a';
	name[254] = '\0';
	fails(ERR_INVALID, owner_check_plan(name, e));
	memset(name, 'a', 64);
	name[64] = '\0';
	fails(ERR_INVALID, owner_check_plan(name, e));
	fails(ERR_INVALID, owner_open(k.audit, "A", &c, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owner_newest__none_at_first_then_the_last_for_all_keys),
		cmocka_unit_test(test_owner_newest__keeps_what_it_knows_when_nothing_came),
		cmocka_unit_test(test_owner_newest__only_the_admin_is_heard),
		cmocka_unit_test(test_owner_newest__refuses_what_is_no_record_of_this_plan),
		cmocka_unit_test(test_owner_newest__texts_have_limits),
		cmocka_unit_test(test_owner_change__of_two_at_once_one_is_told),
		cmocka_unit_test(test_owner_change__takes_the_admin_a_cluster_and_a_reason),
		cmocka_unit_test(test_owner_check_plan__names_as_kubernetes_has_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
