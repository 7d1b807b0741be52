/* SPDX-License-Identifier: Apache-2.0 */
/* The order of hooks and views, and what becomes of a set when one of them fails. */
#include "agent/moment.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/fd.h"
#include "common/secret.h"
#include "tests/harness/harness.h"

/* A set of two directories that are read live, and a file that hooks write to. */
struct world {
	char *dir;
	char *paths[2];
	struct snapshot_env env;
	struct moment_params params;
	struct moment_volume volumes[2];
	struct hook hooks[8];
	char lines[8][512];
	struct moment m;
};

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->dir = tmpdir_new();
	for (size_t i = 0; i < 2; i++) {
		w->paths[i] = path_join(w->dir, i ? "b" : "a");
		assert_int_equal(mkdir(w->paths[i], 0755), 0);
		w->volumes[i] = (struct moment_volume){ .name = i ? "b" : "a",
			                                .path = w->paths[i] };
	}
	w->params = (struct moment_params){ .env = &w->env,
		                            .driver = "auto",
		                            .set = "00112233445566778899aabbccddeeff",
		                            .hooks = w->hooks };
}

static void world_clear(struct world *w)
{
	moment_end(&w->m);
	free(w->paths[0]);
	free(w->paths[1]);
	tmpdir_remove(w->dir);
}
#define auto_world CLEANUP(world_clear)

/* A hook that notes that it ran, and with what status it ends. */
static void add_hook(struct world *w, enum hook_phase phase, const char *word, int status,
                     enum hook_on_error on_error)
{
	size_t i = w->params.nhooks++;

	(void)snprintf(w->lines[i], sizeof(w->lines[i]),
	               "echo %s $AKSDR_HOOK $AKSDR_VOLUMES $AKSDR_RESULT >>%s/said; exit %d", word,
	               w->dir, status);
	w->hooks[i] = (struct hook){ .phase = phase, .line = w->lines[i], .on_error = on_error };
}

static void assert_said(const struct world *w, const char *expected)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * KIB);
	auto_free char *path = path_join(w->dir, "said");
	struct err e = ERR_INIT;

	assert_int_equal(fd_read_file(AT_FDCWD, path, &b, &e), 0);
	assert_string_equal(buf_cstr(&b), expected);
}

static void test_moment_take__hooks_enclose_the_moment_and_their_words_are_kept(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	add_hook(&w, HOOK_PRE, "one", 0, HOOK_FAIL);
	add_hook(&w, HOOK_POST, "two", 0, HOOK_FAIL);
	w.hooks[2] = (struct hook){ .phase = HOOK_PRE,
		                    .line = "echo aksdr-fact position 0/3A; echo done" };
	w.params.nhooks++;
	moment_take(&w.m, &w.params, w.volumes, 2);
	assert_said(&w, "one pre a b\ntwo post a b captured\n");
	for (size_t i = 0; i < 2; i++) {
		const struct point_capture *c = &w.volumes[i].capture;

		assert_non_null(w.volumes[i].snapshot);
		assert_int_equal(c->nhooks, 3);
		assert_false(c->hooks[0].post);
		assert_string_equal(c->hooks[0].command, w.lines[0]);
		assert_non_null(strstr(c->hooks[1].output, "done"));
		assert_true(c->hooks[2].post);
		assert_int_equal(c->nfacts, 1);
		assert_string_equal(c->facts[0].name, "position");
		assert_string_equal(c->facts[0].value, "0/3A");
		/* Whatever hooks did: what is read live is of no moment. */
		assert_int_equal(w.volumes[i].snapshot->consistency, SNAP_FUZZY);
		assert_string_equal(c->moment, "window");
		assert_non_null(strstr(c->fallback, "not btrfs: "));
	}
}

static void test_moment_take__a_hook_that_must_not_fail_keeps_views_from_being_taken(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	add_hook(&w, HOOK_PRE, "one", 3, HOOK_FAIL);
	add_hook(&w, HOOK_PRE, "never", 0, HOOK_FAIL);
	add_hook(&w, HOOK_POST, "two", 0, HOOK_FAIL);
	moment_take(&w.m, &w.params, w.volumes, 2);
	assert_said(&w, "one pre a b\ntwo post a b failed\n");
	for (size_t i = 0; i < 2; i++) {
		assert_null(w.volumes[i].snapshot);
		assert_non_null(strstr(w.volumes[i].why.msg, "pre hook 'echo one"));
	}
}

static void test_moment_take__a_hook_that_may_fail_costs_the_label_alone(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	add_hook(&w, HOOK_PRE, "one", 3, HOOK_CONTINUE);
	moment_take(&w.m, &w.params, w.volumes, 2);
	assert_false(w.m.hooked);
	assert_non_null(w.volumes[0].snapshot);
	assert_int_equal(w.volumes[0].capture.hooks[0].exit, 3);
}

static void test_moment_take__a_hook_behind_the_moment_that_fails_spoils_it(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	add_hook(&w, HOOK_POST, "one", 1, HOOK_FAIL);
	add_hook(&w, HOOK_POST, "two", 0, HOOK_FAIL);
	moment_take(&w.m, &w.params, w.volumes, 2);
	assert_said(&w, "one post a b captured\ntwo post a b captured\n");
	assert_null(w.volumes[0].snapshot);
	assert_null(w.volumes[1].snapshot);
	assert_int_equal(w.volumes[0].why.class, ERR_IO);
}

static void test_moment_posts__wait_where_a_live_read_was_asked_for(void **state)
{
	auto_world struct world w;
	struct err e = ERR_INIT;

	(void)state;
	world_init(&w);
	w.params.driver = "live";
	add_hook(&w, HOOK_PRE, "one", 0, HOOK_FAIL);
	add_hook(&w, HOOK_POST, "two", 0, HOOK_FAIL);
	moment_take(&w.m, &w.params, w.volumes, 2);
	assert_said(&w, "one pre a b\n");
	moment_release(&w.volumes[0], true);
	assert_int_equal(moment_posts(&w.m, 1, &e), 0);
	assert_int_equal(moment_posts(&w.m, 1, &e), 0); /* once */
	assert_said(&w, "one pre a b\ntwo post a b captured\n");
	assert_int_equal(w.volumes[0].capture.nhooks, 1);
	assert_int_equal(w.volumes[1].capture.nhooks, 2);
}

static void test_moment_end__runs_the_hooks_that_are_due(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	w.params.driver = "live";
	add_hook(&w, HOOK_POST, "two", 1, HOOK_FAIL);
	moment_take(&w.m, &w.params, w.volumes, 2);
	moment_end(&w.m);
	assert_said(&w, "two post a b captured\n");
}

static void test_moment_take__one_volume_that_is_not_there_leaves_the_other(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	w.volumes[0].path = "/nonexistent/volume";
	add_hook(&w, HOOK_PRE, "one", 0, HOOK_FAIL);
	moment_take(&w.m, &w.params, w.volumes, 2);
	assert_null(w.volumes[0].snapshot);
	assert_int_equal(w.volumes[0].why.class, ERR_NOT_FOUND);
	assert_non_null(w.volumes[1].snapshot);
}

static void test_moment_take__without_any_volume_no_hook_runs(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	w.volumes[0].path = w.volumes[1].path = "/nonexistent/volume";
	add_hook(&w, HOOK_PRE, "one", 0, HOOK_FAIL);
	add_hook(&w, HOOK_POST, "two", 0, HOOK_FAIL);
	moment_take(&w.m, &w.params, w.volumes, 2);
	moment_end(&w.m);
	assert_false(file_exists(w.dir, "said"));
}

static void test_moment_take__a_directory_is_no_mount_point(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	w.params.require_mount = true;
	moment_take(&w.m, &w.params, w.volumes, 2);
	assert_null(w.volumes[0].snapshot);
	assert_int_equal(w.volumes[0].why.class, ERR_NOT_FOUND);
}

static void test_moment_take__a_named_driver_that_does_not_work_is_an_error(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	w.params.driver = "reflink"; /* there is no journal to note anything in */
	moment_take(&w.m, &w.params, w.volumes, 2);
	assert_null(w.volumes[0].snapshot);
	assert_int_equal(w.volumes[0].why.class, ERR_UNSUPPORTED);
}

static void test_moment_take__cancelled_before_anything(void **state)
{
	auto_world struct world w;
	struct cancel c;

	(void)state;
	world_init(&w);
	assert_int_equal(cancel_init(&c), 0);
	cancel_request(&c);
	w.params.cancel = &c;
	moment_take(&w.m, &w.params, w.volumes, 2);
	assert_null(w.volumes[0].snapshot);
	assert_int_equal(w.volumes[1].why.class, ERR_CANCELLED);
	w.params.cancel = NULL;
	cancel_clear(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_moment_take__hooks_enclose_the_moment_and_their_words_are_kept),
		cmocka_unit_test(
			test_moment_take__a_hook_that_must_not_fail_keeps_views_from_being_taken),
		cmocka_unit_test(test_moment_take__a_hook_that_may_fail_costs_the_label_alone),
		cmocka_unit_test(test_moment_take__a_hook_behind_the_moment_that_fails_spoils_it),
		cmocka_unit_test(test_moment_posts__wait_where_a_live_read_was_asked_for),
		cmocka_unit_test(test_moment_end__runs_the_hooks_that_are_due),
		cmocka_unit_test(test_moment_take__one_volume_that_is_not_there_leaves_the_other),
		cmocka_unit_test(test_moment_take__without_any_volume_no_hook_runs),
		cmocka_unit_test(test_moment_take__a_directory_is_no_mount_point),
		cmocka_unit_test(test_moment_take__a_named_driver_that_does_not_work_is_an_error),
		cmocka_unit_test(test_moment_take__cancelled_before_anything),
	};
	struct err e = ERR_INIT;

	if (secret_init(&e) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
