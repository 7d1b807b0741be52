/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes as Kubernetes writes them, and the size that a clone asks for. test_csi.c has the rest. */
#include "snapshot/csi_objects.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_csi_objects_bytes__of_quantities(void **state)
{
	(void)state;
	assert_int_equal(csi_objects_bytes("0"), 0);
	assert_int_equal(csi_objects_bytes("67108864"), 67108864);
	assert_int_equal(csi_objects_bytes("64Mi"), 67108864);
	assert_int_equal(csi_objects_bytes("1.5Gi"), 1610612736);
	assert_int_equal(csi_objects_bytes("10G"), 10000000000);
	assert_int_equal(csi_objects_bytes("1e3"), 1000);
	assert_int_equal(csi_objects_bytes("1500m"), 2);
	assert_int_equal(csi_objects_bytes("2Ki"), 2048);
	assert_int_equal(csi_objects_bytes("1E"), 1000000000000000000);
}

static void test_csi_objects_bytes__of_what_is_none(void **state)
{
	static const char *const bad[] = { "", "-1", "Gi", "1GiB", "1 Gi", "x", "9Ei", "+1", ".5" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(csi_objects_bytes(bad[i]), -1);
}

static void test_csi_objects_clone__is_as_large_as_the_larger_one(void **state)
{
	char ns[] = "shop", name[] = "data";
	const struct csi_run run = { .ns = "aksdr", .id = "1" };
	auto_json json_t *claim = json_pack("{s:{s:{s:s}}, s:{s:{s:{s:s}}}}", "status", "capacity",
	                                    "storage", "2Gi", "spec", "resources", "requests",
	                                    "storage", "1Gi");
	auto_json json_t *volume = json_pack("{s:{s:s}}", "spec", "storageClassName", "disk");
	const struct csi_claim c = {
		.ns = ns, .name = name, .claim = claim, .volume = volume, .base = "aksdr-1-0"
	};
	static const struct {
		const char *restore, *size;
	} cases[] = {
		{ "1Gi", "2Gi" }, { "3Gi", "3Gi" }, { "", "2Gi" }, { "2147483649", "2147483649" }
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_json json_t *o = csi_objects_clone(&run, &c, cases[i].restore);

		assert_string_equal(kube_text_at(o, "spec.resources.requests.storage"),
		                    cases[i].size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_csi_objects_bytes__of_quantities),
		cmocka_unit_test(test_csi_objects_bytes__of_what_is_none),
		cmocka_unit_test(test_csi_objects_clone__is_as_large_as_the_larger_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
