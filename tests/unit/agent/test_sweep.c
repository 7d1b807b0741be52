/* SPDX-License-Identifier: Apache-2.0 */
/* What a Lease names is left to a run where there is one, or will be. */
#include "agent/sweep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/yaml.h"

#define NOW INT64_C(1795737600) /* 2026-11-27T00:00:00Z */

static struct world *w;
static json_t *lease;

static json_t *object(const char *text)
{
	struct err e = ERR_INIT;
	json_t *j = yaml_parse("test", text, strlen(text), &e);

	if (!j)
		fail_msg("%s", e.msg);
	return j;
}

static void put(enum world_kind kind, const char *text)
{
	auto_json json_t *j = object(text);

	world_put(w, kind, j, NOW);
}

static void claim(const char *uid, const char *annotations)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
	               "{metadata: {namespace: shop, name: db, uid: %s, annotations: {%s}}, "
	               "status: {phase: Bound}}",
	               uid, annotations);
	put(WORLD_CLAIMS, text);
}

/* The Lease, seen to change so long ago. */
static void seen(const char *holder, int64_t ago_s)
{
	char text[512];

	(void)snprintf(text, sizeof(text),
	               "{metadata: {namespace: aksdr, name: aksdr-v-1, annotations: "
	               "{aksdr.io/claim: shop/db, aksdr.io/claim-uid: u1}}, spec: "
	               "{holderIdentity: '%s', leaseDurationSeconds: 15}}",
	               holder);
	json_decref(lease);
	lease = object(text);
	world_gone(w, WORLD_LEASES, "aksdr", "aksdr-v-1");
	world_put(w, WORLD_LEASES, lease, NOW - ago_s);
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	w = world_new("aksdr", NULL, &e);
	if (!w)
		return -1;
	put(WORLD_POLICIES, "{metadata: {namespace: aksdr, name: all}, spec: {selector: {}, "
	                    "schedule: {cron: '@daily'}}}");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	json_decref(lease);
	lease = NULL;
	world_free(w);
	return 0;
}

static bool leaves(void)
{
	return sweep_leaves(w, lease, NOW);
}

static void test_sweep_leaves__to_the_next_run_of_a_claim(void **state)
{
	(void)state;
	claim("u1", "");
	seen("", 3600);
	assert_true(leaves());
}

static void test_sweep_leaves__nothing_where_there_will_be_no_run(void **state)
{
	(void)state;
	seen("", 3600);
	assert_false(leaves()); /* the claim is gone */
	claim("u2", "");
	assert_false(leaves()); /* another one has its name */
	claim("u1", "aksdr.io/paused: 'true'");
	assert_false(leaves());
	claim("u1", "aksdr.io/protect: 'false'");
	assert_false(leaves());
	claim("u1", "");
	world_gone(w, WORLD_POLICIES, "aksdr", "all");
	assert_false(leaves());
}

static void test_sweep_leaves__to_a_run_that_goes_on(void **state)
{
	(void)state;
	seen("node1-x", 5);
	assert_true(leaves());
	seen("node1-x", 599); /* it has died, and a moment may pass until that is sure */
	assert_true(leaves());
	seen("node1-x", 600);
	assert_false(leaves());
}

static void test_sweep_leaves__what_is_not_known(void **state)
{
	(void)state;
	seen("", 3600);
	world_gone(w, WORLD_LEASES, "aksdr", "aksdr-v-1");
	assert_true(leaves());
	json_decref(lease);
	lease = object("{metadata: {namespace: aksdr, name: aksdr-v-1}}");
	world_put(w, WORLD_LEASES, lease, NOW - 3600);
	assert_true(leaves()); /* it does not say of which claim it is */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_sweep_leaves__to_the_next_run_of_a_claim),
		T(test_sweep_leaves__nothing_where_there_will_be_no_run),
		T(test_sweep_leaves__to_a_run_that_goes_on),
		T(test_sweep_leaves__what_is_not_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
