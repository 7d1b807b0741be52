/* SPDX-License-Identifier: Apache-2.0 */
/* What the device mapper does not know; the rest needs one, and is in tests/lvm. */
#include "snapshot/dm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/sysmacros.h>
#include <cmocka.h>

static void test_dm_uuid__other_devices_have_none(void **state)
{
	char uuid[DM_UUID_LEN] = "x";

	(void)state;
	dm_uuid(makedev(1, 3), uuid);
	assert_string_equal(uuid, "");
}

static void test_dm_get__no_such_device(void **state)
{
	struct dm_info info;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(dm_get(makedev(4095, 77), NULL, DM_TABLE, &info, &e), -1);
	assert_true(e.class == ERR_UNSUPPORTED || e.class == ERR_NOT_FOUND ||
	            e.class == ERR_DENIED);
	assert_int_equal(dm_get(0, "no-such-uuid", DM_STATUS, &info, &e), -1);
	assert_int_equal(dm_message(makedev(4095, 77), "release_metadata_snap", &e), -1);
}

static void test_dm_message__a_long_one_is_refused(void **state)
{
	char message[8192];
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = 'x';
	message[sizeof(message) - 1] = '\0';
	assert_int_equal(dm_message(makedev(4095, 77), message, &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dm_uuid__other_devices_have_none),
		cmocka_unit_test(test_dm_get__no_such_device),
		cmocka_unit_test(test_dm_message__a_long_one_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
