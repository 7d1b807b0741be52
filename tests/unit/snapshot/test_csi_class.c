/* SPDX-License-Identifier: Apache-2.0 */
/* Which VolumeSnapshotClass: the labelled, the default, the only one, or the one that is named. */
#include "snapshot/csi_class.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/json.h"

static json_t *classes;

static void add(const char *name, const char *driver, const char *use, const char *is_default)
{
	json_t *o = json_pack("{s:s, s:{s:s, s:{s:s*}, s:{s:s*}}}", "driver", driver, "metadata",
	                      "name", name, "labels", "aksdr.io/use", use, "annotations",
	                      "snapshot.storage.kubernetes.io/is-default-class", is_default);

	assert_int_equal(json_array_append_new(classes, o), 0);
}

static int setup(void **state)
{
	(void)state;
	classes = json_array();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	json_decref(classes);
	return 0;
}

static void is(const char *wanted, const char *named)
{
	struct err e = ERR_INIT;
	const char *got = csi_class_choose(classes, "d", named, &e);

	if (!got)
		fail_msg("%s", e.msg);
	assert_string_equal(got, wanted);
}

static void is_none(enum err_class class, const char *named, const char *says)
{
	struct err e = ERR_INIT;

	assert_null(csi_class_choose(classes, "d", named, &e));
	assert_int_equal(e.class, class);
	assert_non_null(strstr(e.msg, says));
}

static void test_choose__the_labelled_then_the_default_then_the_only_one(void **state)
{
	(void)state;
	add("other", "x", "true", "true");
	add("c", "d", NULL, NULL);
	is("c", NULL);
	add("b", "d", NULL, "true");
	is("b", "");
	add("a", "d", "true", NULL);
	is("a", NULL);
}

static void test_choose__of_equals_the_first_by_name(void **state)
{
	(void)state;
	add("b", "d", "true", NULL);
	add("a", "d", "true", NULL);
	is("a", NULL);
}

static void test_choose__several_without_a_mark_are_none(void **state)
{
	(void)state;
	is_none(ERR_UNSUPPORTED, NULL, "there is no VolumeSnapshotClass of the driver 'd'");
	add("b", "d", "false", "false");
	add("a", "d", NULL, NULL);
	is_none(ERR_UNSUPPORTED, NULL, "there are 2");
}

static void test_choose__the_named_one_must_be_of_the_driver(void **state)
{
	(void)state;
	add("b", "d", NULL, NULL);
	add("a", "x", "true", "true");
	is("b", "b");
	is_none(ERR_INVALID, "a", "is of the driver 'x'");
	is_none(ERR_INVALID, "c", "there is no VolumeSnapshotClass 'c'");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_choose__the_labelled_then_the_default_then_the_only_one),
		CASE(test_choose__of_equals_the_first_by_name),
		CASE(test_choose__several_without_a_mark_are_none),
		CASE(test_choose__the_named_one_must_be_of_the_driver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
