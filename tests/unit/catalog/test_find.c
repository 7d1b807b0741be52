/* SPDX-License-Identifier: Apache-2.0 */
/* Names and what they mean. */
#include "catalog/find.h"

#include "tests/unit/catalog/catalog_kit.h"

/* data (points 1, 2, 3 on days 1, 2, 3), ns/data (4), ns/web (5), "odd@name" (6). */
struct world {
	struct kit k;
	struct catalog *c;
};

static void world_init(struct world *w)
{
	const struct point_volume data = kit_volume("", "data");
	const struct point_volume ns_data = kit_volume("ns", "data");
	const struct point_volume web = kit_volume("ns", "web");
	const struct point_volume odd = kit_volume("", "odd@name");
	struct point p = { 0 };

	w->k = kit_new();
	for (unsigned n = 1; n <= 3; n++)
		p = kit_commit(&w->k, &data, n, n > 1 ? &p : NULL);
	p = kit_commit_as(&w->k, &ns_data, 4, 1, NULL);
	p = kit_commit_as(&w->k, &web, 5, 1, NULL);
	p = kit_commit_as(&w->k, &odd, 6, 1, NULL);
	w->c = kit_catalog(w->k.dir, "catalog.db");
	(void)kit_sync(&w->k, w->c);
}

static void world_clear(struct world *w)
{
	catalog_free(w->c);
	kit_clear(&w->k);
}
#define auto_world CLEANUP(world_clear)

/* text means the point of day n after 2026-11-22. */
static void assert_point(struct world *w, const char *text, unsigned n)
{
	char session[POINT_SESSION_LEN + 1];
	char id[9];

	ok(find_point(w->c, text, session, e));
	(void)snprintf(id, sizeof(id), "%08x", 0xa0000000 + n);
	if (strncmp(session + POINT_SESSION_RANDOM, id, 8) != 0)
		fail_msg("'%s' gives %s", text, session);
}

static void test_find_volume__whole_name_or_its_end(void **state)
{
	auto_world struct world w;
	char a[17];
	char b[17];

	(void)state;
	world_init(&w);
	ok(find_volume(w.c, "web", a, e));
	ok(find_volume(w.c, "ns/web", b, e));
	assert_string_equal(a, b);
	ok(find_volume(w.c, "c1/ns/web", b, e));
	assert_string_equal(a, b);
	/* a whole name wins over the end of another */
	ok(find_volume(w.c, "data", a, e));
	ok(find_volume(w.c, "ns/data", b, e));
	assert_string_not_equal(a, b);
	ok(find_volume(w.c, "odd@name", a, e));
	fails_saying(ERR_NOT_FOUND, "there are: c1/ns/data, c1/ns/web, data, odd@name",
	             find_volume(w.c, "eb", a, e));
	fails_saying(ERR_NOT_FOUND, "there is no volume ''", find_volume(w.c, "", a, e));
	fails(ERR_NOT_FOUND, find_volume(w.c, "s/web", a, e));
	fails(ERR_NOT_FOUND, find_volume(w.c, "%", a, e));
}

static void test_find_volume__ambiguous_end_lists_the_volumes(void **state)
{
	auto_world struct world w;
	const struct point_volume other = kit_volume("zz", "web");
	char a[17];

	(void)state;
	world_init(&w);
	auto_kit_point struct point p = kit_commit_as(&w.k, &other, 7, 1, NULL);
	(void)kit_sync(&w.k, w.c);
	fails_saying(ERR_NOT_FOUND, "'web' is ambiguous: there are c1/ns/web, c1/zz/web",
	             find_volume(w.c, "web", a, e));
}

static void test_find_volume__empty_catalog_says_so(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	char a[17];

	(void)state;
	fails_saying(ERR_NOT_FOUND, "knows no restore point yet", find_volume(c, "x", a, e));
}

static void test_find_point__forms_that_a_point_has(void **state)
{
	auto_world struct world w;
	const struct point_volume data = kit_volume("", "data");
	char session[96];

	(void)state;
	world_init(&w);
	kit_session(&w.k, &data, 2, session);
	assert_point(&w, session, 2);
	assert_point(&w, session + POINT_SESSION_RANDOM, 2);
	assert_point(&w, "a0000002", 2);
	assert_point(&w, "A0000002", 2);
	assert_point(&w, "data", 3);
	assert_point(&w, "data@latest", 3);
	assert_point(&w, "data@a0000001", 1);
	assert_point(&w, "data@2026-11-23", 1);
	assert_point(&w, "data@2026-11-24T12:00:00Z", 2);
	assert_point(&w, "data@2030-01-01", 3);
	assert_point(&w, "ns/data", 4);
	assert_point(&w, "c1/ns/data@latest", 4);
	assert_point(&w, "web", 5);
	assert_point(&w, "odd@name", 6);
	assert_point(&w, "odd@name@latest", 6);
}

static void test_find_point__what_there_is_not(void **state)
{
	auto_world struct world w;
	const struct point_volume data = kit_volume("", "data");
	char session[96];

	(void)state;
	world_init(&w);
	fails_saying(ERR_NOT_FOUND, "no volume 'nothing'", find_point(w.c, "nothing", session, e));
	fails_saying(ERR_NOT_FOUND, "no volume 'nothing'",
	             find_point(w.c, "nothing@latest", session, e));
	fails_saying(ERR_NOT_FOUND, "list --volume data",
	             find_point(w.c, "data@2026-11-22", session, e));
	fails_saying(ERR_NOT_FOUND, "list --volume data",
	             find_point(w.c, "data@a0000004", session, e));
	fails_saying(ERR_INVALID, "'yesterday' names no restore point",
	             find_point(w.c, "data@yesterday", session, e));
	fails_saying(ERR_NOT_FOUND, "no volume 'abcdef'", find_point(w.c, "abcdef", session, e));
	fails_saying(ERR_NOT_FOUND, "give more digits", find_point(w.c, "a0000", session, e));
	fails_saying(ERR_NOT_FOUND, "give more digits", find_point(w.c, "data@a0000", session, e));
	kit_session(&w.k, &data, 9, session);
	fails_saying(ERR_NOT_FOUND, "in the catalog", find_point(w.c, session, session, e));
}

static void test_find_point__gone_points_are_no_latest_but_have_their_id(void **state)
{
	auto_world struct world w;
	const struct point_volume data = kit_volume("", "data");
	char session[96];
	char key[128];

	(void)state;
	world_init(&w);
	kit_session(&w.k, &data, 3, session);
	(void)snprintf(key, sizeof(key), "commit/%s", session);
	kit_remove(&w.k, key);
	(void)kit_sync(&w.k, w.c);
	assert_point(&w, "data", 2);
	assert_point(&w, "data@2030-01-01", 2);
	assert_point(&w, "a0000003", 3);
	assert_point(&w, session, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find_volume__whole_name_or_its_end),
		cmocka_unit_test(test_find_volume__ambiguous_end_lists_the_volumes),
		cmocka_unit_test(test_find_volume__empty_catalog_says_so),
		cmocka_unit_test(test_find_point__forms_that_a_point_has),
		cmocka_unit_test(test_find_point__what_there_is_not),
		cmocka_unit_test(test_find_point__gone_points_are_no_latest_but_have_their_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
