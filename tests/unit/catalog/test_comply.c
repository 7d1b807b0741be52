/* SPDX-License-Identifier: Apache-2.0 */
/* Rules: what they may say, and what follows of them. All volumes: tests/cli/reports.sh. */
#include "catalog/comply.h"

#include "common/yaml.h"
#include "tests/unit/catalog/catalog_kit.h"

#define S ((int64_t)1000000000)
#define NOW_NS (KIT_EPOCH_NS + 1000 * S)
#define HEAD                                                                          \
	"apiVersion: aksdr.io/v1alpha1\nkind: ComplianceRules\nmetadata: {name: r}\n" \
	"spec:\n"
#define RULES "  rules:\n  - name: x\n"

static int read_text(const char *text, struct comply_rules **ret, struct err *e)
{
	auto_json json_t *o = yaml_parse("rules", text, strlen(text), e);

	return o ? comply_read(o, ret, e) : -1;
}

static void assert_bad(const char *text, const char *says)
{
	struct comply_rules *r = NULL;

	fails_saying(ERR_INVALID, says, read_text(text, &r, e));
	assert_null(r);
}

static void test_comply_read__names_the_place_of_a_mistake(void **state)
{
	(void)state;
	assert_bad("kind: Policy\napiVersion: v1\n", "it is no ComplianceRules of aksdr.io");
	assert_bad("apiVersion: aksdr.io/v1alpha1\nkind: ComplianceRules\n", "metadata.name");
	assert_bad(HEAD "  rules: []\n", "spec.rules: there is none");
	assert_bad(HEAD "  rule: []\n", "spec");
	assert_bad(HEAD "  rules:\n  - require: {rpo: 1h}\n", "spec.rules[0].name");
	assert_bad(HEAD RULES, "spec.rules[0].require: is missing");
	assert_bad(HEAD RULES "    require: {rpo: 0s}\n", "spec.rules[0].require.rpo");
	assert_bad(HEAD RULES "    require: {rop: 1h}\n", "is 'rpo' meant");
	assert_bad(HEAD RULES "    require: {consistency: good}\n", "require.consistency");
	assert_bad(HEAD RULES "    require: {deletionSigners: 3}\n", "require.deletionSigners");
	assert_bad(HEAD RULES "    select: {volumes: ['']}\n    require: {rpo: 1h}\n", "volumes");
	assert_bad(HEAD RULES "    require: {rpo: 1h}\n  exceptions:\n  - {volume: a}\n",
	           "spec.exceptions[0].requirement: is missing");
	assert_bad(HEAD RULES "    require: {rpo: 1h}\n  exceptions:\n"
	                      "  - {volume: a, requirement: rop, until: 2026-01-01, reason: r, "
	                      "approver: a}\n",
	           "'rop' is no requirement");
	assert_bad(HEAD RULES "    require: {rpo: 1h}\n  exceptions:\n"
	                      "  - {volume: a, requirement: rpo, until: soon, reason: r, approver: "
	                      "a}\n",
	           "spec.exceptions[0].until");
}

/* A volume of which everything is known and well. */
static struct comply_facts facts(void)
{
	return (struct comply_facts){
		.volume = "c1/ns/web",
		.cluster = "c1",
		.namespace = "ns",
		.name = "web",
		.session = "S",
		.consistency = "filesystem",
		.signer = "k",
		.check_run = "c",
		.drill_run = "d",
		.frozen_ns = NOW_NS - 100 * S,
		.worst_ns = 200 * S,
		.geo_frozen_ns = NOW_NS - 150 * S,
		.geo_known = true,
		.verified_frozen_ns = NOW_NS - 400 * S,
		.checked_ns = NOW_NS - 300 * S,
		.tested_ns = NOW_NS - 500 * S,
		.oldest_ns = NOW_NS - 900 * S,
		.key_ns = NOW_NS - 600 * S,
		.points = 7,
		.signers = 1,
		.locks = { .points = 3 },
		.looked_ns = NOW_NS - 50 * S,
	};
}

static struct comply_row judged(const char *exception, enum comply_what what, int64_t want,
                                const struct comply_facts *f)
{
	const struct comply_exception x = { .volume = "c1/*",
		                            .what = exception ? exception : "",
		                            .until_ns = NOW_NS + 1 };
	const struct comply_rules r = { .exceptions = (struct comply_exception *)(uintptr_t)&x,
		                        .nexceptions = exception != NULL };
	struct comply_set s = { .name = "x" };
	struct comply_row row;

	s.wants[what] = want;
	comply_judge(&r, &s, what, f, NOW_NS, &row);
	row.exception = NULL;
	return row;
}

static void test_comply_judge__at_the_limit_passes_and_beyond_fails(void **state)
{
	/* what is just enough, and what the facts have */
	static const struct {
		enum comply_what what;
		int64_t enough, too_much;
		const char *evidence;
	} all[] = {
		{ COMPLY_RPO, 200, 199, "point S" },      { COMPLY_GEO_RPO, 150, 149, "point S" },
		{ COMPLY_VERIFIED, 300, 299, "check c" }, { COMPLY_TESTED, 500, 499, "run d" },
		{ COMPLY_KEEP_POINTS, 7, 8, "point S" },  { COMPLY_KEEP_FOR, 900, 901, "point S" },
		{ COMPLY_CONSISTENCY, 2, 3, "point S" },  { COMPLY_SIGNERS, 1, 2, "config" },
		{ COMPLY_KEY_AGE, 600, 599, "key k" },
	};
	const struct comply_facts f = facts();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		const struct comply_row good = judged(NULL, all[i].what, all[i].enough, &f);
		const struct comply_row bad = judged(NULL, all[i].what, all[i].too_much, &f);

		if (good.state != COMPLY_PASS || bad.state != COMPLY_FAIL)
			fail_msg("%s: %s, %s", comply_kinds[all[i].what].name,
			         comply_state_name(good.state), comply_state_name(bad.state));
		assert_string_equal(good.evidence, all[i].evidence);
		assert_string_equal(good.why, "");
		assert_true(strlen(bad.why) > 10);
		assert_true(*bad.wanted && *bad.got);
	}
}

static void test_comply_judge__what_never_was_fails_and_what_nobody_knows_is_unknown(void **state)
{
	struct comply_facts f = facts();

	(void)state;
	f.geo_frozen_ns = f.verified_frozen_ns = f.tested_ns = f.signers = 0;
	f.check_run = f.drill_run = "";
	assert_int_equal(judged(NULL, COMPLY_GEO_RPO, 900, &f).state, COMPLY_FAIL);
	assert_int_equal(judged(NULL, COMPLY_VERIFIED, 900, &f).state, COMPLY_FAIL);
	assert_int_equal(judged(NULL, COMPLY_TESTED, 900, &f).state, COMPLY_FAIL);
	assert_string_equal(judged(NULL, COMPLY_TESTED, 900, &f).got, "never");
	assert_int_equal(judged(NULL, COMPLY_SIGNERS, 1, &f).state, COMPLY_UNKNOWN);
	f.geo_known = false;
	assert_int_equal(judged(NULL, COMPLY_GEO_RPO, 900, &f).state, COMPLY_UNKNOWN);
	f.locks.unasked = 1;
	assert_int_equal(judged(NULL, COMPLY_LOCKED_FOR, 60, &f).state, COMPLY_UNKNOWN);
	assert_string_equal(judged(NULL, COMPLY_LOCKED_FOR, 60, &f).got, "2 of 3 points");
	f.locks.short_ = 1;
	assert_int_equal(judged(NULL, COMPLY_LOCKED_FOR, 60, &f).state, COMPLY_FAIL);
	f.locks = (struct comply_locks){ .points = 3 };
	assert_int_equal(judged(NULL, COMPLY_LOCKED_FOR, 60, &f).state, COMPLY_PASS);
	assert_non_null(strstr(judged(NULL, COMPLY_LOCKED_FOR, 60, &f).evidence, "look of 20"));
	f.looked_ns = 0;
	assert_string_equal(judged(NULL, COMPLY_LOCKED_FOR, 60, &f).evidence, "no look");
	f.session = "";
	for (unsigned w = 0; w < COMPLY_WHATS; w++)
		assert_int_equal(judged(NULL, w, 1, &f).state, COMPLY_FAIL);
}

static void test_comply_judge__exception_is_of_its_requirement_and_ends(void **state)
{
	const struct comply_facts f = facts();

	(void)state;
	assert_int_equal(judged("rpo", COMPLY_RPO, 1, &f).state, COMPLY_EXCEPTED);
	assert_int_equal(judged("*", COMPLY_RPO, 1, &f).state, COMPLY_EXCEPTED);
	assert_int_equal(judged("geoRpo", COMPLY_RPO, 1, &f).state, COMPLY_FAIL);
	/* what passes needs none */
	assert_int_equal(judged("*", COMPLY_RPO, 1000, &f).state, COMPLY_PASS);
	struct comply_exception over = { .volume = "*", .what = "*", .until_ns = NOW_NS };
	const struct comply_rules r = { .exceptions = &over, .nexceptions = 1 };
	const struct comply_set s = { .name = "x", .wants = { [COMPLY_RPO] = 1 } };
	struct comply_row row;
	comply_judge(&r, &s, COMPLY_RPO, &f, NOW_NS, &row);
	assert_int_equal(row.state, COMPLY_FAIL);
}

static void test_comply_selects__by_cluster_namespace_and_name(void **state)
{
	const struct comply_facts f = facts();
	auto_comply_rules struct comply_rules *r = NULL;

	(void)state;
	ok(read_text(HEAD
	             "  rules:\n"
	             "  - {name: a, require: {rpo: 1h}}\n"
	             "  - {name: b, select: {clusters: [c2]}, require: {rpo: 1h}}\n"
	             "  - {name: c, select: {namespaces: ['n?']}, require: {rpo: 1h}}\n"
	             "  - {name: d, select: {volumes: [web]}, require: {rpo: 1h}}\n"
	             "  - {name: e, select: {volumes: ['c1/ns/w*']}, require: {rpo: 1h}}\n"
	             "  - {name: f, select: {volumes: [we], clusters: [c1]}, require: {rpo: 1h}}\n",
	             &r, e));
	assert_int_equal(r->nsets, 6);
	for (size_t i = 0; i < r->nsets; i++) {
		if (comply_selects(&r->sets[i], &f) !=
		    (r->sets[i].name[0] != 'b' && r->sets[i].name[0] != 'f'))
			fail_msg("rule '%s'", r->sets[i].name);
	}
}

static int count(void *arg, const struct comply_row *row, struct err *e)
{
	(void)e;
	assert_string_equal(row->volume, "c1/ns/web");
	++*(unsigned *)arg;
	return 0;
}

static void test_comply_run__counts_what_no_rule_is_about(void **state)
{
	const struct point_volume web = kit_volume("ns", "web");
	const struct point_volume db = kit_volume("db", "db");
	const struct report_params p = { .as_of_ns = 2 * KIT_NOW_NS, .to_ns = 2 * KIT_NOW_NS };
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	auto_comply_rules struct comply_rules *r = NULL;
	struct comply_result result;
	unsigned n = 0;

	(void)state;
	auto_kit_point struct point a = kit_commit(&k, &web, 1, NULL);
	auto_kit_point struct point b = kit_commit_as(&k, &db, 2, 1, NULL);
	(void)kit_sync(&k, c);
	ok(read_text(HEAD "  rules:\n  - {name: a, select: {namespaces: [ns]}, require: "
	                  "{encrypted: true, keepPoints: 2}}\n",
	             &r, e));
	ok(comply_run(c, r, &p, count, &n, &result, e));
	assert_int_equal(n, 2);
	assert_int_equal(result.volumes, 2);
	assert_int_equal(result.unselected, 1);
	assert_int_equal(result.states[COMPLY_PASS], 1);
	assert_int_equal(result.states[COMPLY_FAIL], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comply_read__names_the_place_of_a_mistake),
		cmocka_unit_test(test_comply_judge__at_the_limit_passes_and_beyond_fails),
		cmocka_unit_test(
			test_comply_judge__what_never_was_fails_and_what_nobody_knows_is_unknown),
		cmocka_unit_test(test_comply_judge__exception_is_of_its_requirement_and_ends),
		cmocka_unit_test(test_comply_selects__by_cluster_namespace_and_name),
		cmocka_unit_test(test_comply_run__counts_what_no_rule_is_about),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
