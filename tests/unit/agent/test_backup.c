/* SPDX-License-Identifier: Apache-2.0 */
/* A backup call on real directories and a real repository: what is made, printed and told. */
#include "agent/backup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/given.h"
#include "common/secret.h"
#include "store/traffic.h"
#include "tests/harness/harness.h"

static struct backup_options o;
static struct backup b;
static struct verb_common common;
static char *dir;
static char url[512];
static char *key, *state_dir, *a_dir, *b_dir;
static struct err why;

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	dir = tmpdir_new();
	auto_free char *store = path_join(dir, "store");
	auto_free char *keys = path_join(dir, "keys");
	key = path_join(keys, "agent.key");
	state_dir = path_join(dir, "state");
	a_dir = path_join(dir, "a");
	b_dir = path_join(dir, "b");
	(void)snprintf(url, sizeof(url), "file://%s", store);
	struct store *s = secret_init(&e) < 0 ? NULL : store_open(url, STORE_CREATE, &e);
	if (!s || repo_init(s, keys, NULL, &e) < 0)
		fail_msg("%s", e.msg);
	store_free(s);
	write_text(dir, "a/one", "1");
	write_text(dir, "b/two", "22");
	o = (struct backup_options)BACKUP_OPTIONS(o);
	o.driver = "live";
	o.job.set = "0123456789abcdef0123456789abcdef";
	common = (struct verb_common){ .store = url,
		                       .key = key,
		                       .state = state_dir,
		                       .output = OUTPUT_JSON,
		                       .progress = PROGRESS_NEVER };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(key);
	free(state_dir);
	free(a_dir);
	free(b_dir);
	tmpdir_remove(dir);
	return 0;
}

/* In a process of its own, for what it prints; what b has is seen by the check alone. */
static int (*check)(int rc);

static int in_child(void *arg)
{
	(void)arg;
	memset(&b, 0, sizeof(b));
	b.common = &common;
	b.options = &o;
	b.n = 2;
	b.paths[0] = a_dir;
	b.paths[1] = b_dir;
	(void)snprintf(b.volumes[0].name, sizeof(b.volumes[0].name), "a");
	(void)snprintf(b.volumes[1].name, sizeof(b.volumes[1].name), "b");
	o.job.domain = "d";
	backup_options_end(&o, false);
	return check(backup_run(&b, &why));
}

static void checked(const char *says)
{
	auto_run struct harness_run r = harness_run(in_child, NULL);

	if (r.status != 0)
		fail_msg("status %d: %s", r.status, r.err);
	if (!strstr(r.out, says) && !strstr(r.err, says))
		fail_msg("'%s' is not in '%s' or '%s'", says, r.out, r.err);
}

/* The child's exit status: the number of the line that does not hold. */
#define HOLDS(x)                                   \
	do {                                       \
		if (!(x))                          \
			return __LINE__ % 250 + 1; \
	} while (0)

static int both(int rc)
{
	HOLDS(rc == 0 && b.done == 2 && !b.failed);
	HOLDS(strcmp(b.last.volume.name, "b") == 0);
	HOLDS(*b.sessions[0] && strcmp(b.sessions[0], b.sessions[1]) != 0);
	HOLDS(strcmp(b.last.set, o.job.set) == 0);
	return 0;
}

static void test_backup_run__makes_a_point_of_each(void **state)
{
	(void)state;
	check = both;
	checked("\"volume\": \"b\"");
}

static int first_failed(int rc)
{
	HOLDS(rc < 0 && why.class == ERR_PARTIAL && b.done == 1 && b.failed);
	HOLDS(strstr(why.msg, "volume 'a'"));
	HOLDS(strcmp(b.last.volume.name, "b") == 0);
	return 0;
}

static void test_backup_run__one_that_fails_leaves_the_others(void **state)
{
	(void)state;
	tmpdir_remove(strdup(a_dir));
	check = first_failed;
	checked("volume not backed up");
}

static int all_failed(int rc)
{
	HOLDS(rc < 0 && why.class == ERR_NOT_FOUND && b.done == 0);
	return 0;
}

static void test_backup_run__without_any_point_the_first_reason_counts(void **state)
{
	(void)state;
	tmpdir_remove(strdup(a_dir));
	tmpdir_remove(strdup(b_dir));
	check = all_failed;
	checked("volume not backed up");
}

static int told(int rc)
{
	struct err e = ERR_INIT;
	struct store_traffic t;
	struct point p;

	HOLDS(rc == 0 && backup_tell_result(&b, &why, &e) == 0);
	auto_free char *text = read_file(dir, "result", NULL);
	HOLDS(given_result_read(text, &p, &t, &e) == 0);
	HOLDS(strcmp(p.id, b.last.id) == 0);
	HOLDS(traffic_requests(&t) == traffic_requests(&b.traffic));
	return 0;
}

static void test_backup_tell_result__of_the_last_point(void **state)
{
	auto_free char *path = path_join(dir, "result");

	(void)state;
	o.given_result = path;
	check = told;
	checked("");
}

static int told_why(int rc)
{
	struct err e = ERR_INIT;
	struct store_traffic t;
	struct point p;

	HOLDS(rc < 0 && backup_tell_result(&b, &why, &e) == 0);
	auto_free char *text = read_file(dir, "result", NULL);
	HOLDS(given_result_read(text, &p, &t, &e) < 0 && e.class == why.class);
	return 0;
}

static int told_traffic(int rc)
{
	struct store_traffic t;
	struct err e = ERR_INIT;
	struct point p;

	HOLDS(rc == 0 && backup_tell_result(&b, NULL, &e) == 0);
	auto_free char *text = read_file(dir, "result", NULL);
	HOLDS(!given_end_read(text, &t, &e) && given_result_read(text, &p, &t, &e) < 0);
	return 0;
}

static void test_backup_tell_result__of_claims_that_know_it_is_no_point(void **state)
{
	auto_free char *path = path_join(dir, "result");

	(void)state;
	o.given_result = path;
	check = told_traffic;
	checked("");
}

static void test_backup_tell_result__or_why_there_is_none(void **state)
{
	auto_free char *path = path_join(dir, "result");

	(void)state;
	tmpdir_remove(strdup(a_dir));
	tmpdir_remove(strdup(b_dir));
	o.given_result = path;
	check = told_why;
	checked("");
}

static int unlockable(int rc)
{
	HOLDS(rc < 0 && why.class == ERR_INVALID && b.done == 0);
	HOLDS(strstr(why.msg, "--extend-locks needs a store that locks"));
	return 0;
}

static void test_backup_run__locks_are_asked_of_stores_that_have_them(void **state)
{
	(void)state;
	o.extend_locks = true;
	check = unlockable;
	checked("");
}

static int wrote_metrics(int rc)
{
	HOLDS(rc == 0);
	auto_free char *text = read_file(dir, "metrics.prom", NULL);
	HOLDS(strstr(text, "aksdr_store_requests"));
	return 0;
}

static void test_backup_run__writes_metrics_of_the_store(void **state)
{
	auto_free char *path = path_join(dir, "metrics.prom");

	(void)state;
	o.metrics = path;
	check = wrote_metrics;
	checked("");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_backup_run__makes_a_point_of_each),
		CASE(test_backup_run__one_that_fails_leaves_the_others),
		CASE(test_backup_run__without_any_point_the_first_reason_counts),
		CASE(test_backup_tell_result__of_the_last_point),
		CASE(test_backup_tell_result__of_claims_that_know_it_is_no_point),
		CASE(test_backup_tell_result__or_why_there_is_none),
		CASE(test_backup_run__locks_are_asked_of_stores_that_have_them),
		CASE(test_backup_run__writes_metrics_of_the_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
