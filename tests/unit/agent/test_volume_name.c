/* SPDX-License-Identifier: Apache-2.0 */
/* Names of volumes as people and clusters say them, and their domains. */
#include "agent/volume_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/clean.h"

static const struct volume_place at = { .cluster = "c1", .namespace = "shop", .uid = "u1" };
static struct point_volume volumes[4];
static const char *paths[4];

static void refused(const char *first, const char *second, const char *want)
{
	const char *const args[] = { first, second };
	struct err e = ERR_INIT;

	assert_int_equal(volume_name_parse(args, second ? 2 : 1, &at, volumes, paths, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	if (!strstr(e.msg, want))
		fail_msg("'%s' is not in '%s'", want, e.msg);
}

static void test_volume_name_parse__takes_names_places_and_paths(void **state)
{
	static const char *const args[] = { "data=/srv/a=b", "log=/var/log" };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(volume_name_parse(args, 2, &at, volumes, paths, &e), 0);
	assert_string_equal(volumes[0].name, "data");
	assert_string_equal(volumes[0].cluster, "c1");
	assert_string_equal(volumes[0].namespace, "shop");
	assert_string_equal(volumes[0].uid, "u1");
	assert_string_equal(paths[0], "/srv/a=b");
	assert_string_equal(volumes[1].name, "log");
	assert_string_equal(paths[1], "/var/log");
}

static void test_volume_name_parse__refuses_what_is_no_name(void **state)
{
	char large[300];

	(void)state;
	memset(large, 'x', sizeof(large));
	memcpy(large + 290, "=/a", 4);
	refused("data", NULL, "'data' is not of the form NAME=PATH");
	refused("=/a", NULL, "NAME=PATH");
	refused("data=", NULL, "NAME=PATH");
	refused("a/b=/a", NULL, "has a '/' in it");
	refused("a@b=/a", NULL, "the volume name 'a@b' has a control character or '@' in it");
	refused("a\nb=/a", NULL, "control character");
	refused(large, NULL, "bytes long");
	refused("data=/a", "data=/b", "two volumes are called 'data'");
}

static void test_volume_name_claim__has_its_own_place(void **state)
{
	char ns[] = "prod", name[] = "db", odd[] = "d\tb";
	struct csi_claim c = { .ns = ns, .name = name, .uid = "u2" };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(volume_name_claim(&c, &at, &volumes[0], &e), 0);
	assert_string_equal(volumes[0].name, "db");
	assert_string_equal(volumes[0].cluster, "c1");
	assert_string_equal(volumes[0].namespace, "prod");
	assert_string_equal(volumes[0].uid, "u2");
	c.name = odd;
	assert_int_equal(volume_name_claim(&c, &at, &volumes[0], &e), -1);
}

static const char *domain(const char *cluster, const char *ns, const char *said)
{
	static char buffer[VOLUME_DOMAIN_MAX];
	const struct volume_place place = { .domain = said };
	struct point_volume v = { .name = "v" };
	struct err e = ERR_INIT;
	const char *ret;

	(void)snprintf(v.cluster, sizeof(v.cluster), "%s", cluster);
	(void)snprintf(v.namespace, sizeof(v.namespace), "%s", ns);
	if (volume_name_domain(&v, &place, buffer, &ret, &e) < 0)
		fail_msg("%s", e.msg);
	return ret;
}

static void test_volume_name_domain__is_the_place_unless_it_is_said(void **state)
{
	(void)state;
	assert_string_equal(domain("c1", "shop", NULL), "c1/shop");
	assert_string_equal(domain("c1", "", NULL), "c1");
	assert_string_equal(domain("", "shop", NULL), "shop");
	assert_string_equal(domain("", "", NULL), "default");
	assert_string_equal(domain("c1", "shop", "all"), "all");
}

static void test_volume_name_domain__of_a_long_place_must_be_said(void **state)
{
	const struct volume_place place = { .domain = NULL };
	char buffer[VOLUME_DOMAIN_MAX];
	struct point_volume v = { .name = "v" };
	struct err e = ERR_INIT;
	const char *ret;

	(void)state;
	memset(v.cluster, 'c', sizeof(v.cluster) - 1);
	memset(v.namespace, 'n', sizeof(v.namespace) - 1);
	assert_int_equal(volume_name_domain(&v, &place, buffer, &ret, &e), -1);
	assert_non_null(strstr(e.msg, "pass --domain"));
}

static void test_volume_name_are_claims__all_or_none(void **state)
{
	static const char *const claims[] = { "pvc:a/b", "pvc:a/c" };
	static const char *const both[] = { "pvc:a/b", "data=/a" };
	struct err e = ERR_INIT;
	bool ret;

	(void)state;
	assert_int_equal(volume_name_are_claims(claims, 2, 2, &ret, &e), 0);
	assert_true(ret);
	assert_int_equal(volume_name_are_claims(both + 1, 1, 2, &ret, &e), 0);
	assert_false(ret);
	assert_int_equal(volume_name_are_claims(both, 2, 2, &ret, &e), -1);
	assert_non_null(strstr(e.msg, "'pvc:a/b' and 'data=/a'"));
	assert_int_equal(volume_name_are_claims(claims, 2, 1, &ret, &e), -1);
	assert_non_null(strstr(e.msg, "there are more than 1 volumes in one call"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_volume_name_parse__takes_names_places_and_paths),
		cmocka_unit_test(test_volume_name_parse__refuses_what_is_no_name),
		cmocka_unit_test(test_volume_name_claim__has_its_own_place),
		cmocka_unit_test(test_volume_name_domain__is_the_place_unless_it_is_said),
		cmocka_unit_test(test_volume_name_domain__of_a_long_place_must_be_said),
		cmocka_unit_test(test_volume_name_are_claims__all_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
