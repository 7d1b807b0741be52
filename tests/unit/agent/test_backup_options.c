/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy says counts where no option has said it. */
#include "agent/backup_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SPEC                                                                                      \
	"{apiVersion: aksdr.io/v1alpha1, kind: BackupPolicy, metadata: {name: p, namespace: n}, " \
	"spec: {selector: {}, schedule: {cron: '@daily'}, domain: d, exclude: [tmp, '*.o'], "     \
	"skipCaches: true, bandwidth: 1Mi, consistency: {want: filesystem, onLess: fail}, "       \
	"snapshot: {driver: csi, class: fast, freezeTimeout: 20s, reader: node, changedBlocks: "  \
	"true, fullEvery: 3}}}"

static struct policy_list policies;

static const struct policy *load(const char *text)
{
	struct err e = ERR_INIT;

	policy_list_clear(&policies);
	if (policy_load_text("p", text, strlen(text), NULL, "n", &policies, &e) < 0)
		fail_msg("%s", e.msg);
	return policies.items[0];
}

static int teardown(void **state)
{
	(void)state;
	policy_list_clear(&policies);
	unsetenv("AKSDR_LIMIT_UPLOAD");
	unsetenv("AKSDR_LIMIT_DOWNLOAD");
	return 0;
}

static void apply(struct backup_options *o, const struct policy *p)
{
	struct err e = ERR_INIT;

	if (backup_options_policy(o, p, &e) < 0)
		fail_msg("%s", e.msg);
}

static void test_backup_options_policy__says_what_no_option_says(void **state)
{
	static struct backup_options o = BACKUP_OPTIONS(o);

	(void)state;
	apply(&o, load(SPEC));
	assert_string_equal(o.driver, "csi");
	assert_string_equal(o.leases.class, "fast");
	assert_string_equal(o.place.domain, "d");
	assert_int_equal(o.reader, POLICY_READ_NODE);
	assert_int_equal(o.env.freeze_max_ms, 20000);
	assert_int_equal(o.job.nexcludes, 2);
	assert_string_equal(o.job.excludes[1], "*.o");
	assert_true(o.job.skip_caches && o.job.changed_blocks && !o.job.allow_empty);
	assert_int_equal(o.job.full_every, 3);
	assert_int_equal(o.want, SNAP_FILESYSTEM);
	assert_true(o.strict);
	assert_string_equal(getenv("AKSDR_LIMIT_UPLOAD"), "1048576");
	assert_string_equal(getenv("AKSDR_LIMIT_DOWNLOAD"), "1048576");
}

static void test_backup_options_policy__leaves_what_options_say(void **state)
{
	static struct backup_options o = BACKUP_OPTIONS(o);
	struct err e = ERR_INIT;

	(void)state;
	setenv("AKSDR_LIMIT_UPLOAD", "7", 1);
	o.driver = "claim";
	o.leases.class = "slow";
	o.place.domain = "own";
	o.reader = POLICY_READ_MOVER;
	o.env.freeze_max_ms = 5;
	assert_int_equal(backup_options_exclude(&o, "mine", &e), 0);
	apply(&o, load(SPEC));
	assert_string_equal(o.driver, "claim");
	assert_string_equal(o.leases.class, "slow");
	assert_string_equal(o.place.domain, "own");
	assert_int_equal(o.reader, POLICY_READ_MOVER);
	assert_int_equal(o.env.freeze_max_ms, 5);
	assert_int_equal(o.job.nexcludes, 3);
	assert_string_equal(o.job.excludes[0], "mine");
	assert_string_equal(getenv("AKSDR_LIMIT_UPLOAD"), "7");
}

static void test_backup_options_policy__with_a_mistake_is_refused(void **state)
{
	static struct backup_options o = BACKUP_OPTIONS(o);
	struct err e = ERR_INIT;

	(void)state;
	const struct policy *p = load("{apiVersion: aksdr.io/v1alpha1, kind: BackupPolicy, "
	                              "metadata: {name: p}, spec: {selector: {}}}");
	assert_int_equal(backup_options_policy(&o, p, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_non_null(strstr(e.msg, "spec.schedule"));
}

static void test_backup_options__have_limits(void **state)
{
	static struct backup_options o = BACKUP_OPTIONS(o);
	struct err e = ERR_INIT;

	(void)state;
	for (int i = 0; i < BACKUP_EXCLUDES_MAX; i++)
		assert_int_equal(backup_options_exclude(&o, "x", &e), 0);
	assert_int_equal(backup_options_exclude(&o, "x", &e), -1);
	assert_non_null(strstr(e.msg, "more than 256 patterns"));
	for (int i = 0; i < MOMENT_HOOKS_MAX; i++)
		assert_int_equal(backup_options_hook(&o, HOOK_PRE, "true", &e), 0);
	assert_int_equal(backup_options_hook(&o, HOOK_POST, "true", &e), -1);
	assert_non_null(strstr(e.msg, "more than 64 commands"));
}

static void test_backup_options_end__each_hook_gets_the_same_limits(void **state)
{
	static struct backup_options o = BACKUP_OPTIONS(o);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(backup_options_hook(&o, HOOK_PRE, "a", &e), 0);
	o.hook_timeout_ms = 1500;
	o.on_hook_error = HOOK_CONTINUE;
	assert_int_equal(backup_options_hook(&o, HOOK_POST, "b", &e), 0);
	o.job.set = "s";
	backup_options_end(&o, false);
	assert_int_equal(o.moment.nhooks, 2);
	assert_int_equal(o.moment.hooks[0].timeout_ms, 1500);
	assert_int_equal(o.moment.hooks[1].on_error, HOOK_CONTINUE);
	assert_string_equal(o.moment.driver, "auto");
	assert_string_equal(o.moment.set, "s");
}

static void test_backup_options_end__dry_nothing_is_run(void **state)
{
	static struct backup_options o = BACKUP_OPTIONS(o);
	struct err e = ERR_INIT;

	(void)state;
	o.driver = "btrfs";
	assert_int_equal(backup_options_hook(&o, HOOK_PRE, "a", &e), 0);
	backup_options_end(&o, true);
	assert_int_equal(o.moment.nhooks, 0);
	assert_string_equal(o.moment.driver, "live");
	assert_true(o.job.dry_run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_backup_options_policy__says_what_no_option_says,
		                          teardown),
		cmocka_unit_test_teardown(test_backup_options_policy__leaves_what_options_say,
		                          teardown),
		cmocka_unit_test_teardown(test_backup_options_policy__with_a_mistake_is_refused,
		                          teardown),
		cmocka_unit_test(test_backup_options__have_limits),
		cmocka_unit_test(test_backup_options_end__each_hook_gets_the_same_limits),
		cmocka_unit_test(test_backup_options_end__dry_nothing_is_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
