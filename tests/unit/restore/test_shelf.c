/* SPDX-License-Identifier: Apache-2.0 */
/* Names of volumes and points as directories. */
#include "restore/shelf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NS ((int64_t)1000000000)
#define DAY (1795305600 * NS) /* 2026-11-22 */

/* A point of volume number `tag`, made at `second` of the day. */
static void add(struct shelf *s, unsigned tag, const char *namespace, const char *name,
                unsigned sequence, int64_t second)
{
	struct point p = { .sequence = sequence, .frozen_ns = DAY + second * NS };
	struct err e = ERR_INIT;

	(void)snprintf(p.volume.name, sizeof(p.volume.name), "%s", name);
	(void)snprintf(p.volume.namespace, sizeof(p.volume.namespace), "%s", namespace);
	(void)snprintf(p.id, sizeof(p.id), "%08x%024x", sequence, tag);
	(void)snprintf(p.session, sizeof(p.session), "2026-11-22/%016x-%s", tag, p.id);
	assert_int_equal(shelf_add(s, &p, &e), 0);
}

static void test_shelf_finish__names_by_volume_and_time(void **state)
{
	struct shelf s = { 0 };

	(void)state;
	add(&s, 2, "shop", "orders", 2, 60);
	add(&s, 1, "", "data", 1, 5);
	add(&s, 2, "shop", "orders", 1, 0);
	shelf_finish(&s);
	assert_int_equal(s.nvolumes, 2);
	assert_string_equal(s.volumes[0].name, "data");
	assert_string_equal(s.volumes[1].name, "shop_orders");
	const struct shelf_volume *v = &s.volumes[shelf_volume(&s, "shop_orders")];
	assert_int_equal(v->n, 2);
	assert_string_equal(s.points[v->first].name, "2026-11-22T00:00:00.000Z");
	assert_string_equal(s.points[v->first + 1].name, "2026-11-22T00:01:00.000Z");
	assert_int_equal(v->latest, v->first + 1);
	assert_int_equal(s.points[v->latest].volume, 1);
	assert_int_equal(shelf_point(&s, v, "2026-11-22T00:01:00.000Z"), v->first + 1);
	assert_int_equal(shelf_point(&s, v, "2026-11-22T00:00:05.000Z"), -1);
	assert_int_equal(shelf_point_by_id(&s, v, "00000001"), v->first);
	assert_int_equal(shelf_point_by_id(&s, v, "000000010000000000000000000000002"), -1);
	assert_int_equal(shelf_point_by_id(&s, v, s.points[v->first].id), v->first);
	assert_int_equal(shelf_point_by_id(&s, v, "0000"), -1);
	assert_int_equal(shelf_volume(&s, "orders"), -1);
	shelf_clear(&s);
}

static void test_shelf_finish__no_two_names_are_the_same(void **state)
{
	struct shelf s = { 0 };

	(void)state;
	add(&s, 1, "", "a_b", 1, 0);
	add(&s, 2, "a", "b", 1, 0);
	add(&s, 3, "", "c", 1, 7);
	add(&s, 3, "", "c", 2, 7);
	add(&s, 3, "", "c", 3, 7);
	add(&s, 3, "", "c", 4, 8);
	shelf_finish(&s);
	assert_int_equal(s.nvolumes, 3);
	assert_string_equal(s.volumes[0].name, "a_b_0000000000000001");
	assert_string_equal(s.volumes[1].name, "a_b_0000000000000002");
	const struct shelf_volume *v = &s.volumes[2];
	assert_string_equal(s.points[v->first].name, "2026-11-22T00:00:07.000Z-00000001");
	assert_string_equal(s.points[v->first + 1].name, "2026-11-22T00:00:07.000Z-00000002");
	assert_string_equal(s.points[v->first + 2].name, "2026-11-22T00:00:07.000Z-00000003");
	assert_string_equal(s.points[v->first + 3].name, "2026-11-22T00:00:08.000Z");
	shelf_clear(&s);
}

static void test_shelf_finish__names_can_be_names_of_files(void **state)
{
	struct shelf s = { 0 };
	char longest[POINT_NAME_MAX];

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	/* a character of two bytes stands where the name is cut */
	memcpy(longest + 178, "\xc3\xa9", 2);
	add(&s, 1, "", "..", 1, 0);
	add(&s, 2, "", "srv/da\nta", 1, 0);
	add(&s, 3, "", longest, 1, 0);
	shelf_finish(&s);
	assert_int_equal(shelf_volume(&s, ".."), -1);
	assert_true(shelf_volume(&s, ".._") >= 0);
	assert_true(shelf_volume(&s, "srv_da_ta") >= 0);
	for (size_t i = 0; i < s.nvolumes; i++) {
		assert_true(strlen(s.volumes[i].name) < 200);
		assert_null(strchr(s.volumes[i].name, '/'));
		assert_null(strchr(s.volumes[i].name, '\xc3'));
	}
	shelf_clear(&s);
}

static void test_shelf_finish__the_latest_is_by_sequence(void **state)
{
	struct shelf s = { 0 };

	(void)state;
	/* the clock of the second went back */
	add(&s, 1, "", "v", 1, 100);
	add(&s, 1, "", "v", 2, 50);
	shelf_finish(&s);
	assert_int_equal(s.points[s.volumes[0].latest].sequence, 2);
	shelf_clear(&s);
	shelf_finish(&s);
	assert_int_equal(shelf_volume(&s, "v"), -1);
}

static void test_shelf_add__refuses_what_is_no_session(void **state)
{
	struct shelf s = { 0 };
	const struct point p = { .session = "nonsense" };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(shelf_add(&s, &p, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
	shelf_clear(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shelf_finish__names_by_volume_and_time),
		cmocka_unit_test(test_shelf_finish__no_two_names_are_the_same),
		cmocka_unit_test(test_shelf_finish__names_can_be_names_of_files),
		cmocka_unit_test(test_shelf_finish__the_latest_is_by_sequence),
		cmocka_unit_test(test_shelf_add__refuses_what_is_no_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
