/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions as lists of the store tell them: ends by name and length, beats by their markers. */
#include "repo/commits.h"

#include "tests/harness/store_kit.h"

#define S1 "2026-11-22/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"
#define S2 "2026-11-22/03fa41b2c19de077-6a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"
#define S3 "2026-11-23/0000000000000000-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"
#define S4 "2026-11-24/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"

/* A store that lists what the test says, and has nothing. */
struct listing_store {
	struct store base;
	const struct listed {
		const char *key;
		uint64_t size;
		int64_t received_ns;
	} * items;
	size_t n;
	size_t fail_at; /* the list fails after so many; SIZE_MAX: never */
};

static int listing_list(struct store *s, const char *prefix, const char *after,
                        int (*each)(void *arg, const struct store_item *item, struct err *e),
                        void *arg, struct err *e)
{
	const struct listing_store *l = (const struct listing_store *)s;
	struct store_item item;

	assert_string_equal(after, "");
	for (size_t i = 0; i < l->n; i++) {
		if (i == l->fail_at)
			return err_set(e, ERR_RETRY, "the list ends here");
		if (strncmp(l->items[i].key, prefix, strlen(prefix)) != 0)
			continue;
		(void)snprintf(item.key, sizeof(item.key), "%s", l->items[i].key);
		item.st = (struct store_stat){ .size = l->items[i].size,
			                       .received_ns = l->items[i].received_ns };
		int r = each(arg, &item, e);
		if (r != 0)
			return r < 0 ? -1 : 0;
	}
	return 0;
}

static char listing_url[] = "listing:";

static struct listing_store listing(const struct listed *items, size_t n)
{
	static const struct store_ops ops = { .name = "listing", .list = listing_list };

	return (struct listing_store){ .base = { .ops = &ops, .url = listing_url },
		                       .items = items,
		                       .n = n,
		                       .fail_at = SIZE_MAX };
}

/* ---- commits ---- */

static const struct listed commits[] = {
	{ "commit/2026-11-22", 5, 1 },
	{ "commit/" S1, 900, 10 },
	{ "commit/" S1 "-0001", 700, 11 },
	{ "commit/" S2, FORMAT_ABORT_BYTES, 20 },
	{ "commit/" S3, 700, 30 },
	{ "commit/" S4, FORMAT_ABORT_BYTES + 1, 40 },
	{ "commit/zzz", 1, 2 },
	{ "sess/" S1, 200, 3 },
};

static void test_commit_list_load__tells_ends_by_name_and_length(void **state)
{
	struct listing_store s = listing(commits, ARRAY_LEN(commits));
	CLEANUP(commit_list_clear) struct commit_list l = { 0 };

	(void)state;
	ok(commit_list_load(&s.base, &l, e));
	assert_int_equal(l.n, 4);
	assert_int_equal(l.foreign, 3);
	assert_string_equal(l.v[0].session, S1);
	assert_int_equal(l.v[0].kind, COMMIT_POINT);
	assert_int_equal(l.v[0].size, 900);
	assert_int_equal(l.v[0].received_ns, 10);
	assert_string_equal(l.v[1].session, S2);
	assert_int_equal(l.v[1].kind, COMMIT_ABORT);
	assert_string_equal(l.v[2].session, S3);
	assert_int_equal(l.v[2].kind, COMMIT_MAINTENANCE);
	assert_string_equal(l.v[3].session, S4);
	assert_int_equal(l.v[3].kind, COMMIT_POINT);
	assert_int_equal(l.v[3].received_ns, 40);
}

static void test_commit_list_load__a_maintenance_session_can_be_fenced(void **state)
{
	static const struct listed items[] = { { "commit/" S3, FORMAT_ABORT_BYTES, 30 } };
	struct listing_store s = listing(items, 1);
	CLEANUP(commit_list_clear) struct commit_list l = { 0 };

	(void)state;
	ok(commit_list_load(&s.base, &l, e));
	assert_int_equal(l.v[0].kind, COMMIT_ABORT);
}

static void test_commit_list_find__only_what_is_there(void **state)
{
	struct listing_store s = listing(commits, ARRAY_LEN(commits));
	CLEANUP(commit_list_clear) struct commit_list l = { 0 };

	(void)state;
	assert_null(commit_list_find(&l, S1));
	ok(commit_list_load(&s.base, &l, e));
	assert_ptr_equal(commit_list_find(&l, S1), &l.v[0]);
	assert_ptr_equal(commit_list_find(&l, S2), &l.v[1]);
	assert_ptr_equal(commit_list_find(&l, S3), &l.v[2]);
	assert_ptr_equal(commit_list_find(&l, S4), &l.v[3]);
	assert_null(commit_list_find(&l, "2026-11-22"));
	assert_null(commit_list_find(&l, S1 "-0001"));
	assert_null(
		commit_list_find(&l,
	                         "2026-11-25/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"));
	assert_null(commit_list_find(&l, ""));
}

static void test_commit_list_load__many_in_a_real_store(void **state)
{
	CLEANUP(commit_list_clear) struct commit_list l = { 0 };
	struct err err = ERR_INIT;
	auto_store struct store *s = store_mem_new(&err);
	char key[128];
	const unsigned n = 300;

	(void)state;
	assert_non_null(s);
	for (unsigned i = 0; i < n; i++) {
		unsigned at = i * 7 % n; /* not in order */

		(void)snprintf(key, sizeof(key), "commit/2026-11-22/03fa41b2c19de077-%032x", at);
		ok(put_text(s, key, "x", e));
	}
	ok(commit_list_load(s, &l, e));
	assert_int_equal(l.n, n);
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(key, sizeof(key), "2026-11-22/03fa41b2c19de077-%032x", i);
		assert_string_equal(l.v[i].session, key);
		assert_ptr_equal(commit_list_find(&l, key), &l.v[i]);
		assert_true(l.v[i].received_ns > 0);
	}
}

static void test_commit_list_load__a_list_that_ends_early_is_an_error(void **state)
{
	(void)state;
	for (size_t at = 0; at < ARRAY_LEN(commits); at++) {
		struct listing_store s = listing(commits, ARRAY_LEN(commits));
		CLEANUP(commit_list_clear) struct commit_list l = { 0 };

		s.fail_at = at;
		fails(ERR_RETRY, commit_list_load(&s.base, &l, e));
	}
}

/* ---- markers ---- */

static const struct listed markers[] = {
	{ "sess/2026-11-20/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c-0001", 1, 5 },
	{ "sess/2026-11-22", 1, 6 },
	{ "sess/" S1, 200, 10 },
	{ "sess/" S1 "-0001", 100, 20 },
	{ "sess/" S1 "-0002", 100, 50 },
	{ "sess/" S1 "-0010", 100, 30 }, /* received late, it may be older */
	{ "sess/" S2, 200, 11 },
	{ "sess/" S2 "x", 200, 99 },
	{ "sess/" S2 "0001", 200, 99 },
	{ "sess/" S3, 200, 12 },
	{ "sess/" S3 "-0007", 100, 8 },  /* the store's clock went back */
	{ "sess/" S4 "-0001", 100, 60 }, /* its marker is gone */
	{ "commit/" S1, 900, 10 },
};

static void test_marker_list_load__beats_belong_to_their_marker(void **state)
{
	struct listing_store s = listing(markers, ARRAY_LEN(markers));
	CLEANUP(marker_list_clear) struct marker_list l = { 0 };

	(void)state;
	ok(marker_list_load(&s.base, &l, e));
	assert_int_equal(l.n, 3);
	assert_string_equal(l.v[0].session, S1);
	assert_int_equal(l.v[0].last_beat, 10);
	assert_int_equal(l.v[0].received_ns, 10);
	assert_int_equal(l.v[0].alive_ns, 50);
	assert_string_equal(l.v[1].session, S2);
	assert_int_equal(l.v[1].last_beat, 0);
	assert_int_equal(l.v[1].received_ns, 11);
	assert_int_equal(l.v[1].alive_ns, 11);
	assert_string_equal(l.v[2].session, S3);
	assert_int_equal(l.v[2].last_beat, 7);
	assert_int_equal(l.v[2].received_ns, 12);
	assert_int_equal(l.v[2].alive_ns, 12);
}

static void test_marker_list_load__numbers_that_are_none_are_no_beats(void **state)
{
	static const struct listed items[] = {
		{ "sess/" S1, 200, 10 },        { "sess/" S1 "-", 1, 11 },
		{ "sess/" S1 "-0000", 1, 11 },  { "sess/" S1 "-0003", 1, 11 },
		{ "sess/" S1 "-0004x", 1, 11 }, { "sess/" S1 "-01", 1, 11 },
		{ "sess/" S1 "-x", 1, 11 },
	};
	struct listing_store s = listing(items, ARRAY_LEN(items));
	CLEANUP(marker_list_clear) struct marker_list l = { 0 };

	(void)state;
	ok(marker_list_load(&s.base, &l, e));
	assert_int_equal(l.n, 1);
	assert_int_equal(l.v[0].last_beat, 3);
}

static void test_marker_list_find__only_what_is_there(void **state)
{
	struct listing_store s = listing(markers, ARRAY_LEN(markers));
	CLEANUP(marker_list_clear) struct marker_list l = { 0 };

	(void)state;
	assert_null(marker_list_find(&l, S1));
	ok(marker_list_load(&s.base, &l, e));
	assert_ptr_equal(marker_list_find(&l, S1), &l.v[0]);
	assert_ptr_equal(marker_list_find(&l, S3), &l.v[2]);
	assert_null(marker_list_find(&l, S4)); /* beats alone are no session */
	assert_null(marker_list_find(&l, S1 "-0001"));
}

static void test_marker_list_load__a_list_that_ends_early_is_an_error(void **state)
{
	(void)state;
	for (size_t at = 0; at < ARRAY_LEN(markers); at++) {
		struct listing_store s = listing(markers, ARRAY_LEN(markers));
		CLEANUP(marker_list_clear) struct marker_list l = { 0 };

		s.fail_at = at;
		fails(ERR_RETRY, marker_list_load(&s.base, &l, e));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commit_list_load__tells_ends_by_name_and_length),
		cmocka_unit_test(test_commit_list_load__a_maintenance_session_can_be_fenced),
		cmocka_unit_test(test_commit_list_find__only_what_is_there),
		cmocka_unit_test(test_commit_list_load__many_in_a_real_store),
		cmocka_unit_test(test_commit_list_load__a_list_that_ends_early_is_an_error),
		cmocka_unit_test(test_marker_list_load__beats_belong_to_their_marker),
		cmocka_unit_test(test_marker_list_load__numbers_that_are_none_are_no_beats),
		cmocka_unit_test(test_marker_list_find__only_what_is_there),
		cmocka_unit_test(test_marker_list_load__a_list_that_ends_early_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
