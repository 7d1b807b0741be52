/* SPDX-License-Identifier: Apache-2.0 */
/* Claims of a run by their origins, the names of what is made for them, and waiting. */
#include "tests/unit/snapshot/csi_kit.h"

static void test_csi_parse__takes_names_and_nothing_else(void **state)
{
	static const char *const bad[] = { "pvc:a",    "pvc:/b",   "pvc:a/",    "pvc:a/b/c",
		                           "pvc:a/..", "pvc:A/b",  "pvc:a/b?x", "a/b",
		                           "pvc:../b", "pvc:a%/b", "pvc:" };
	auto_free char *ns = NULL;
	auto_free char *name = NULL;
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(csi_parse(bad[i], &ns, &name, &e), -1);
		assert_int_equal(e.class, ERR_INVALID);
	}
	assert_int_equal(csi_parse("pvc:shop/data-0.x", &ns, &name, &e), 0);
	assert_string_equal(ns, "shop");
	assert_string_equal(name, "data-0.x");
	assert_false(csi_is_origin("data"));
}

static void test_csi_load__what_is_not_there_or_twice(void **state)
{
	static const char *const twice[] = { "pvc:shop/data", "pvc:shop/data" };
	static const char *const none[] = { "pvc:shop/other" };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(csi_load(&run, none, 1, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	csi_clear(&run);
	assert_int_equal(csi_load(&run, twice, 2, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
}

static bool named(const json_t *names, const char *kind_and_ns)
{
	char wanted[128];

	(void)snprintf(wanted, sizeof(wanted), "%s/%s", kind_and_ns, run.claims[0].base);
	for (size_t i = 0; i < json_array_size(names); i++)
		if (strcmp(json_string_value(json_array_get(names, i)), wanted) == 0)
			return true;
	return false;
}

static void test_csi_names__are_of_all_that_may_be_made(void **state)
{
	auto_json json_t *names = json_array();
	struct err e = ERR_INIT;

	(void)state;
	load();
	assert_int_equal(csi_names(&run, &run.claims[0], names, &e), 0);
	assert_true(starts(run.claims[0].base, "aksdr-"));
	assert_true(named(names, "volumesnapshots/shop"));
	assert_true(named(names, "volumesnapshots/aksdr"));
	assert_true(named(names, "volumesnapshotcontents"));
	assert_true(named(names, "persistentvolumeclaims/aksdr"));
	assert_true(named(names, "persistentvolumes"));
	assert_true(named(names, "pods/aksdr"));
}

struct count {
	unsigned looks, until;
};

static int done(void *arg, struct err *e)
{
	struct count *c = arg;

	if (c->until == 0)
		return err_set(e, ERR_IO, "it broke");
	return ++c->looks >= c->until;
}

static void test_csi_until__looks_until_it_is_so(void **state)
{
	struct count twice = { .until = 2 }, never = { .until = 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(csi_until(&run, done, &twice, &e), 0);
	assert_int_equal(twice.looks, 2);
	assert_int_equal(csi_until(&run, done, &never, &e), -1);
	assert_string_equal(e.msg, "it broke");
}

static void test_csi_until__ends_when_it_is_cancelled(void **state)
{
	struct count long_one = { .until = 1000000 };
	struct cancel cancel;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(cancel_init(&cancel), 0);
	cancel_request(&cancel);
	run.cancel = &cancel;
	assert_int_equal(csi_until(&run, done, &long_one, &e), -1);
	assert_int_equal(e.class, ERR_CANCELLED);
	cancel_clear(&cancel);
}

static void test_csi_gone_ms__is_short_once_the_run_is_to_end(void **state)
{
	struct cancel cancel;
	struct csi_run own = { .cancel = &cancel };

	(void)state;
	assert_int_equal(cancel_init(&cancel), 0);
	assert_int_equal(csi_gone_ms(&own), CSI_GONE_MS);
	own.gone_ms = 300;
	assert_int_equal(csi_gone_ms(&own), 300);
	cancel_request(&cancel);
	assert_int_equal(csi_gone_ms(&own), 300);
	own.gone_ms = 0;
	assert_int_equal(csi_gone_ms(&own), CSI_GONE_CANCELLED_MS);
	cancel_clear(&cancel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_csi_parse__takes_names_and_nothing_else),
		CASE(test_csi_load__what_is_not_there_or_twice),
		CASE(test_csi_names__are_of_all_that_may_be_made),
		CASE(test_csi_until__looks_until_it_is_so),
		CASE(test_csi_until__ends_when_it_is_cancelled),
		CASE(test_csi_gone_ms__is_short_once_the_run_is_to_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
