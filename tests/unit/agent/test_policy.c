/* SPDX-License-Identifier: Apache-2.0 */
/* Policies: what is read, what is refused and by which field. tests/kube/policies.sh has the API
 * server judge the same documents. */
#include "agent/policy.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/yaml.h"
#include "tests/harness/harness.h"

static const char *source_dir(void)
{
	const char *dir = getenv("SRC");

	return dir ? dir : ".";
}

static struct policy *read_text(const char *text)
{
	struct err e = ERR_INIT;
	struct policy *p = NULL;
	auto_json json_t *document = yaml_parse("test", text, strlen(text), &e);

	if (!document || policy_read(document, NULL, "aksdr", &p, &e) < 0)
		fail_msg("%s", e.msg);
	return p;
}

#define HEAD \
	"apiVersion: aksdr.io/v1alpha1\nkind: BackupPolicy\nmetadata: {name: p, namespace: shop}\n"

static void test_policy_read__least_has_these_defaults(void **state)
{
	auto_policy struct policy *p = read_text(
		"apiVersion: aksdr.io/v1alpha1\nkind: BackupPolicy\nmetadata: {name: p}\n"
		"spec: {selector: {}, schedule: {cron: '0 2 * * *'}}\n");

	(void)state;
	assert_string_equal(p->invalid, "");
	assert_string_equal(p->ns, "aksdr");
	assert_string_equal(p->name, "p");
	assert_false(p->paused || p->retains || p->skip_caches || p->allow_empty);
	assert_int_equal(p->priority, 0);
	assert_string_equal(p->cron_text, "0 2 * * *");
	assert_null(p->zone);
	assert_int_equal(p->jitter_s, 0);
	assert_int_equal(p->rpo_s, 0);
	assert_int_equal(p->want, SNAP_CRASH);
	assert_int_equal(p->on_less, POLICY_LESS_RECORD);
	assert_int_equal(p->nhooks, 0);
	assert_string_equal(p->driver, "auto");
	assert_string_equal(p->snapshot_class, "");
	assert_int_equal(p->freeze_timeout_s, 0);
	assert_int_equal(p->reader, POLICY_READ_AUTO);
	assert_int_equal(p->full_every, 10);
	assert_int_equal(p->bandwidth_bytes_s, 0);
	assert_string_equal(p->domain, "");
	assert_int_equal(p->nsets, 0);
	assert_string_equal(p->set_label, "");
}

static void test_policy_read__all_fields(void **state)
{
	auto_policy struct policy *p = read_text(
		HEAD
		"spec:\n"
		"  paused: true\n"
		"  priority: -7\n"
		"  selector:\n"
		"    namespaces: [shop, 'web-*']\n"
		"    excludeClaims: [cache]\n"
		"    storageClasses: [managed-csi]\n"
		"    claimSelector: {matchLabels: {tier: gold}}\n"
		"  schedule: {cron: '@daily', timeZone: Asia/Kolkata, jitter: 1h30m}\n"
		"  rpo: 26h\n"
		"  retention: {keepLast: 1, keepHourly: 2, keepDaily: 3, keepWeekly: 4,\n"
		"    keepMonthly: 5, keepYearly: 6, keepWithin: 2d, floor: {points: 9, age: 1w}}\n"
		"  consistency: {want: application, onLess: fail}\n"
		"  hooks:\n"
		"  - {name: one, phase: pre, podSelector: {matchLabels: {app: db}},\n"
		"     container: db,\n"
		"     command: [sh, -c, 'a'], timeout: 2m, onError: continue}\n"
		"  - {phase: post, command: [x]}\n"
		"  snapshot: {driver: csi, class: fast, freezeTimeout: 20s, reader: mover,\n"
		"    changedBlocks: true, fullEvery: 5}\n"
		"  bandwidth: 40Mi\n"
		"  domain: shop\n"
		"  sets: [[a, b], [c, d]]\n"
		"  exclude: ['*.tmp']\n"
		"  skipCaches: true\n"
		"  allowEmpty: true\n");

	(void)state;
	assert_string_equal(p->invalid, "");
	assert_true(p->paused && p->selects && p->skip_caches && p->allow_empty && p->retains);
	assert_int_equal(p->priority, -7);
	assert_int_equal(p->select.namespaces.n, 2);
	assert_string_equal(p->select.namespaces.v[1], "web-*");
	assert_string_equal(p->select.not_claims.v[0], "cache");
	assert_string_equal(p->select.classes.v[0], "managed-csi");
	assert_int_equal(p->select.claim_labels.n, 1);
	assert_string_equal(zone_name(p->zone), "Asia/Kolkata");
	assert_int_equal(p->jitter_s, 5400);
	assert_int_equal(p->rpo_s, 93600);
	assert_int_equal(p->retention.last, 1);
	assert_int_equal(p->retention.hourly, 2);
	assert_int_equal(p->retention.daily, 3);
	assert_int_equal(p->retention.weekly, 4);
	assert_int_equal(p->retention.monthly, 5);
	assert_int_equal(p->retention.yearly, 6);
	assert_int_equal(p->retention.within_s, 172800);
	assert_int_equal(p->retention.floor_points, 9);
	assert_int_equal(p->retention.floor_s, 604800);
	assert_string_equal(p->retention.name, "p");
	assert_int_equal(p->want, SNAP_APPLICATION);
	assert_int_equal(p->on_less, POLICY_LESS_FAIL);
	assert_int_equal(p->nhooks, 2);
	assert_string_equal(p->hooks[0].name, "one");
	assert_string_equal(p->hooks[0].container, "db");
	assert_string_equal(p->hooks[0].command.v[2], "a");
	assert_int_equal(p->hooks[0].command.n, 3);
	assert_int_equal(p->hooks[0].timeout_s, 120);
	assert_int_equal(p->hooks[0].pods.n, 1);
	assert_true(p->hooks[0].go_on && !p->hooks[0].post);
	assert_true(!p->hooks[1].go_on && p->hooks[1].post);
	assert_int_equal(p->hooks[1].timeout_s, 30);
	assert_string_equal(p->driver, "csi");
	assert_string_equal(p->snapshot_class, "fast");
	assert_int_equal(p->freeze_timeout_s, 20);
	assert_int_equal(p->reader, POLICY_READ_MOVER);
	assert_true(p->changed_blocks);
	assert_int_equal(p->full_every, 5);
	assert_int_equal(p->bandwidth_bytes_s, 41943040);
	assert_string_equal(p->domain, "shop");
	assert_int_equal(p->nsets, 2);
	assert_string_equal(p->sets[1].v[1], "d");
	assert_string_equal(p->exclude.v[0], "*.tmp");
}

static void test_policy_read__says_what_is_wrong_in_a_sentence(void **state)
{
	static const struct {
		const char *spec, *want;
	} cases[] = {
		{ "{selector: {}, schedule: {cron: '0 2 * *'}}",
		  "spec.schedule.cron: cron expression '0 2 * *' has 4 fields instead of 5: "
		  "minute, hour, day of month, month, day of week" },
		{ "{selector: {}, schedule: {cron: '@daily', timezone: UTC}}",
		  "spec.schedule.timezone: there is no such field; is 'timeZone' meant?" },
		{ "{selector: {}, schedule: {cron: '@daily'}, rpo: daily}",
		  "spec.rpo: duration 'daily' is not a duration; write numbers with units s m h "
		  "d w, as in 1h30m" },
		{ "{selector: {}, schedule: {cron: '@daily'}, snapshot: {driver: zfs}}",
		  "spec.snapshot.driver: 'zfs' is none of auto, csi, btrfs, lvm-thin, reflink, "
		  "freeze, live" },
		{ "{selector: {claims: [a, '']}, schedule: {cron: '@daily'}}",
		  "spec.selector.claims[1]: is empty" },
		{ "[]", "spec: expected an object" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[512];
		struct err e = ERR_INIT;

		(void)snprintf(text, sizeof(text), HEAD "spec: %s\n", cases[i].spec);
		auto_policy struct policy *p = read_text(text);
		assert_string_equal(p->invalid, cases[i].want);
		assert_int_equal(policy_check(p, &e), -1);
		assert_int_equal(e.class, ERR_INVALID);
		assert_non_null(strstr(e.msg, "policy 'shop/p': spec"));
	}
}

static void test_policy_read__with_a_mistake_still_knows_its_claims(void **state)
{
	static const struct policy_claim claim = { .ns = "shop", .name = "data" };
	auto_policy struct policy *late = read_text(
		HEAD "spec: {selector: {claims: [data]}, schedule: {}, huh: 1}\n");
	auto_policy struct policy *early = read_text(HEAD "spec: {selector: {claims: data}}\n");

	(void)state;
	assert_true(late->invalid[0] && late->selects && policy_selects(late, "aksdr", &claim));
	assert_true(early->invalid[0] && !early->selects);
	assert_false(policy_selects(early, "aksdr", &claim));
}

static void test_policy_read__is_of_this_kind_and_version(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "kind: Pod", "kind: 'Pod' is no BackupPolicy" },
		{ "[]", "kind: '' is no BackupPolicy" },
		{ "{kind: BackupPolicy, apiVersion: v1}",
		  "apiVersion: 'v1' is not aksdr.io/v1alpha1" },
		{ "{kind: BackupPolicy, apiVersion: aksdr.io/v1alpha1}", "metadata: is missing" },
		{ "{kind: BackupPolicy, apiVersion: aksdr.io/v1alpha1, metadata: {}}",
		  "metadata.name: is missing" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		struct policy *p = NULL;
		auto_json json_t *d = yaml_parse("test", cases[i].text, strlen(cases[i].text), &e);

		assert_non_null(d);
		assert_int_equal(policy_read(d, NULL, "aksdr", &p, &e), -1);
		assert_int_equal(e.class, ERR_INVALID);
		assert_non_null(strstr(e.msg, cases[i].want));
	}
}

/* ---- the documents that the API server judges too ---- */

struct seen {
	size_t n;
	bool good;
};

static int judge(void *arg, const json_t *document, size_t line, struct err *e)
{
	struct seen *seen = arg;
	struct policy *p = NULL;

	if (policy_read(document, NULL, "aksdr", &p, e) < 0)
		return -1;
	const json_t *notes = json_object_get(json_object_get(document, "metadata"), "annotations");
	const char *field = json_string_value(json_object_get(notes, "field"));
	if (seen->good && p->invalid[0])
		fail_msg("line %zu: %s", line, p->invalid);
	if (!seen->good) {
		assert_non_null(field);
		const size_t n = strlen(field);

		if (strncmp(p->invalid, field, n) != 0 || p->invalid[n] != ':')
			fail_msg("line %zu: '%s' is not about %s", line, p->invalid, field);
	}
	seen->n++;
	policy_free(p);
	return 0;
}

static size_t judged(const char *name, bool good)
{
	struct seen seen = { .good = good };
	struct err e = ERR_INIT;
	size_t n;
	auto_free char *text = read_file(source_dir(), name, &n);

	if (yaml_each(name, text, n, judge, &seen, &e) < 0)
		fail_msg("%s", e.msg);
	return seen.n;
}

static void test_policy_read__agrees_with_the_table(void **state)
{
	(void)state;
	assert_int_equal(judged("tests/kube/policies-good.yaml", true), 20);
	assert_int_equal(judged("tests/kube/policies-bad.yaml", false), 69);
}

static void test_policy_read__takes_the_examples(void **state)
{
	(void)state;
	assert_int_equal(judged("helm/aksdr/examples/policies.yaml", true), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policy_read__least_has_these_defaults),
		cmocka_unit_test(test_policy_read__all_fields),
		cmocka_unit_test(test_policy_read__says_what_is_wrong_in_a_sentence),
		cmocka_unit_test(test_policy_read__with_a_mistake_still_knows_its_claims),
		cmocka_unit_test(test_policy_read__is_of_this_kind_and_version),
		cmocka_unit_test(test_policy_read__agrees_with_the_table),
		cmocka_unit_test(test_policy_read__takes_the_examples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
