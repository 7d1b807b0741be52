/* SPDX-License-Identifier: Apache-2.0 */
/* Finding restore points: order, what is remembered, names, ids and times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/repo/repo_fixture.h"

#define SECOND INT64_C(1000000000)
#define T0 (INT64_C(1795341600) * SECOND) /* 2026-11-22T10:00:00Z */

static const struct point_volume data_volume = { .cluster = "west",
	                                         .namespace = "shop",
	                                         .name = "data" };

/* Commits m on a day; RANDOM is the number. */
static void make_on(const struct repo *r, struct made m, const char *day, unsigned random)
{
	char session[96];

	session_on(r, &m, day, random, session);
	m.session = session;
	make_point(r, &m, NULL);
}

static struct made data(uint64_t sequence, int64_t frozen_ns)
{
	return (struct made){ "west", "shop", "data", sequence, frozen_ns, NULL };
}

/* Key of the commit of m. */
static void key_on(const struct repo *r, struct made m, const char *day, unsigned random,
                   char ret[128])
{
	char session[96];

	session_on(r, &m, day, random, session);
	(void)snprintf(ret, 128, "commit/%s", session);
}

/* Gets that reach the store. */
struct gets {
	unsigned n;
	enum store_fault fault;
};

static enum store_fault count_gets(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct gets *g = arg;

	(void)n;
	if (call != CALL_GET || strncmp(key, "commit/", 7) != 0)
		return FAULT_NONE;
	g->n++;
	return g->fault;
}

/* ---- the newest ---- */

static void test_repo_latest__goes_by_sequence_not_by_day(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	CLEANUP(point_clear) struct point p = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(repo_latest(r, &data_volume, NULL, &p, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	make_on(r, data(2, T0), "2026-01-01", 1); /* a clock that was behind */
	make_on(r, data(1, T0), "2026-11-22", 2);
	make_on(r, (struct made){ "west", "shop", "logs", 9, T0, NULL }, "2026-11-23", 3);
	assert_int_equal(repo_latest(r, &data_volume, NULL, &p, &e), 0);
	assert_int_equal(p.sequence, 2);
}

static void test_repo_latest__only_new_commits_are_opened(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	struct gets gets = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	f.store = store_fault_new(f.store, count_gets, &gets, &e);
	assert_non_null(f.store);
	auto_repo struct repo *r = open_repo(&f, "agent.key", dir);
	for (unsigned i = 1; i <= 20; i++)
		make_on(r, data(i, T0 + i), "2026-11-22", i);
	for (unsigned round = 0; round < 3; round++) {
		CLEANUP(point_clear) struct point p = { 0 };

		gets.n = 0;
		assert_int_equal(repo_latest(r, &data_volume, NULL, &p, &e), 0);
		assert_int_equal(p.sequence, 20 + round);
		/* each is read once: at first all, then the new one */
		assert_int_equal(gets.n, round == 0 ? 20 : 1);
		make_on(r, data(21 + round, T0 + 100), "2026-11-22", 21 + round);
	}
}

static void test_repo_latest__works_without_a_state_directory(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "audit.key", NULL);
	auto_repo struct repo *agent = open_repo(&f, "agent.key", NULL);
	struct err e = ERR_INIT;

	(void)state;
	for (unsigned i = 1; i <= 3; i++) {
		CLEANUP(point_clear) struct point p = { 0 };

		make_on(agent, data(i, T0 + i), "2026-11-22", i);
		assert_int_equal(repo_latest(r, &data_volume, NULL, &p, &e), 0);
		assert_int_equal(p.sequence, i);
	}
}

/* The file that remembers, below dir. */
static char *cache_name(const struct repo *r)
{
	char tag[17];
	char *path = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(point_voltag(r->keys, &data_volume, tag, &e), 0);
	assert_true(asprintf(&path, "%s/points-%s", r->state, tag) > 0);
	return path;
}

static void test_repo_latest__damaged_memory_is_not_believed(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", dir);
	auto_free char *path = cache_name(r);
	struct err e = ERR_INIT;
	size_t n;

	(void)state;
	for (unsigned i = 1; i <= 3; i++)
		make_on(r, data(i, T0 + i), "2026-11-22", i);
	CLEANUP(point_clear) struct point first = { 0 };
	assert_int_equal(repo_latest(r, &data_volume, NULL, &first, &e), 0);
	auto_free char *good = read_file("", path, &n);
	for (size_t i = 0; i <= n; i++) {
		CLEANUP(point_clear) struct point p = { 0 };
		auto_free char *bad = malloc(n);

		assert_non_null(bad);
		memcpy(bad, good, n);
		if (i < n)
			bad[i] ^= 1;
		write_file("", path, bad, i < n ? n : n / 2); /* at last, half of it */
		assert_int_equal(repo_latest(r, &data_volume, NULL, &p, &e), 0);
		assert_int_equal(p.sequence, 3);
	}
}

static void test_repo_latest__a_memory_that_is_wrong_is_made_anew(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", dir);
	CLEANUP(point_clear) struct point p = { 0 };
	CLEANUP(point_clear) struct point q = { 0 };
	char key[128];
	struct err e = ERR_INIT;

	(void)state;
	make_on(r, data(1, T0), "2026-11-22", 1);
	make_on(r, data(5, T0), "2026-11-22", 2);
	assert_int_equal(repo_latest(r, &data_volume, NULL, &p, &e), 0);
	assert_int_equal(p.sequence, 5);
	/* the same name with another content: what no honest store does */
	key_on(r, data(5, T0), "2026-11-22", 2, key);
	object_delete(f.store, key);
	make_on(r, data(4, T0), "2026-11-22", 2);
	assert_int_equal(repo_latest(r, &data_volume, NULL, &q, &e), 0);
	assert_int_equal(q.sequence, 4);
}

static void test_repo_latest__deleted_points_are_forgotten(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", dir);
	CLEANUP(point_clear) struct point p = { 0 };
	CLEANUP(point_clear) struct point q = { 0 };
	char key[128];
	struct err e = ERR_INIT;

	(void)state;
	make_on(r, data(1, T0), "2026-11-22", 1);
	make_on(r, data(2, T0), "2026-11-22", 2);
	assert_int_equal(repo_latest(r, &data_volume, NULL, &p, &e), 0);
	key_on(r, data(2, T0), "2026-11-22", 2, key);
	object_delete(f.store, key);
	assert_int_equal(repo_latest(r, &data_volume, NULL, &q, &e), 0);
	assert_int_equal(q.sequence, 1);
}

static void test_repo_latest__passes_over_commits_that_do_not_open(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	CLEANUP(point_clear) struct point p = { 0 };
	char key[128];
	struct err e = ERR_INIT;

	(void)state;
	make_on(r, data(1, T0), "2026-11-22", 1);
	key_on(r, data(2, T0), "2026-11-22", 2, key);
	object_set(f.store, key, "junk", 4);
	assert_int_equal(repo_latest(r, &data_volume, NULL, &p, &e), 0);
	assert_int_equal(p.sequence, 1);
}

static void test_repo_latest__a_store_that_fails_is_an_error(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	struct gets gets = { 0 };
	struct point p;
	struct err e = ERR_INIT;

	(void)state;
	f.store = store_fault_new(f.store, count_gets, &gets, &e);
	assert_non_null(f.store);
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	make_on(r, data(1, T0), "2026-11-22", 1);
	gets.fault = FAULT_FAIL;
	assert_int_equal(repo_latest(r, &data_volume, NULL, &p, &e), -1);
	assert_int_equal(e.class, ERR_RETRY);
	e = (struct err)ERR_INIT;
	assert_int_equal(repo_find(r, "data", &p, &e), -1);
	assert_int_equal(e.class, ERR_RETRY);
}

/* ---- what a text names ---- */

/* Sequence of the point that the text names; 0 with *e. */
static uint64_t find(const struct repo *r, const char *text, struct err *e)
{
	CLEANUP(point_clear) struct point p = { 0 };

	*e = (struct err)ERR_INIT;
	return repo_find(r, text, &p, e) < 0 ? 0 : p.sequence;
}

static void test_repo_find__names_as_far_as_needed(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "recovery.key", NULL);
	auto_repo struct repo *agent = open_repo(&f, "agent.key", NULL);
	struct err e;

	(void)state;
	make_on(agent, (struct made){ "west", "shop", "data", 1, T0, NULL }, "2026-11-22", 1);
	make_on(agent, (struct made){ "west", "bank", "data", 2, T0, NULL }, "2026-11-22", 2);
	make_on(agent, (struct made){ "east", "bank", "data", 3, T0, NULL }, "2026-11-22", 3);
	make_on(agent, (struct made){ "west", "bank", "logs", 4, T0, NULL }, "2026-11-22", 4);
	make_on(agent, (struct made){ "", "", "home", 5, T0, NULL }, "2026-11-22", 5);
	make_on(agent, (struct made){ "", "", "mail@work", 6, T0, NULL }, "2026-11-22", 6);
	make_on(agent, (struct made){ "", "", "srv/www", 7, T0, NULL }, "2026-11-22", 7);
	assert_int_equal(find(r, "logs", &e), 4);
	assert_int_equal(find(r, "bank/logs", &e), 4);
	assert_int_equal(find(r, "west/bank/logs", &e), 4);
	assert_int_equal(find(r, "shop/data", &e), 1);
	assert_int_equal(find(r, "west/shop/data", &e), 1);
	assert_int_equal(find(r, "east/bank/data", &e), 3);
	assert_int_equal(find(r, "home", &e), 5);
	assert_int_equal(find(r, "mail@work", &e), 6);
	assert_int_equal(find(r, "mail@work@latest", &e), 6);
	assert_int_equal(find(r, "srv/www", &e), 7);
	assert_int_equal(find(r, "www", &e), 7);

	assert_int_equal(find(r, "data", &e), 0);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "ambiguous"));
	assert_non_null(strstr(e.msg, "west/shop/data"));
	assert_non_null(strstr(e.msg, "east/bank/data"));
	assert_int_equal(find(r, "bank/data", &e), 0);
	assert_null(strstr(e.msg, "west/shop/data"));
	assert_int_equal(find(r, "ata", &e), 0);
	assert_non_null(strstr(e.msg, "there is no volume 'ata'"));
	assert_non_null(strstr(e.msg, "west/bank/logs"));
	assert_int_equal(find(r, "west/shop/logs", &e), 0);
	assert_int_equal(find(r, "", &e), 0);
	assert_int_equal(e.class, ERR_INVALID);
	assert_int_equal(find(r, "@latest", &e), 0);
	assert_int_equal(e.class, ERR_NOT_FOUND);
}

static void test_repo_find__a_whole_name_wins_over_an_end(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	struct err e;

	(void)state;
	make_on(r, (struct made){ "west", "shop", "data", 1, T0, NULL }, "2026-11-22", 1);
	make_on(r, (struct made){ "", "", "data", 2, T0, NULL }, "2026-11-22", 2);
	assert_int_equal(find(r, "data", &e), 2);
	assert_int_equal(find(r, "shop/data", &e), 1);
}

static void test_repo_find__an_empty_repository_says_so(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	struct err e;

	(void)state;
	assert_int_equal(find(r, "data", &e), 0);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "no restore point yet"));
}

static void test_repo_find__latest_ids_and_times(void **state)
{
	static const struct {
		const char *text;
		uint64_t sequence; /* 0: an error that says … */
		const char *says;
	} cases[] = {
		{ "data", 3, NULL },
		{ "data@latest", 3, NULL },
		{ "data@00abcdef", 1, NULL },
		{ "data@00AB", 1, NULL },
		{ "data@00abcdef000000000000000000abcdef", 1, NULL },
		{ "data@00ac0000", 2, NULL },
		{ "data@00a", 0, "at least 4 digits" },
		{ "data@00ff", 0, "00abcdef (2026-11-22T10:00:00" },
		{ "data@00abcdef000000000000000000abcdef0", 0, "latest" },
		{ "data@2026-11-22T10:00:00Z", 1, NULL },
		{ "data@2026-11-22T09:59:59Z", 0, "at or before" },
		{ "data@2026-11-22T10:59:59Z", 1, NULL },
		{ "data@2026-11-22 11:00:00Z", 2, NULL },
		{ "data@2026-11-22T12:30:00+01:00", 2, NULL },
		{ "data@2026-12-01", 3, NULL },
		{ "data@yesterday", 0, "latest" },
		{ "data@", 0, "latest" },
	};
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_repo struct repo *agent = open_repo(&f, "agent.key", NULL);

	(void)state;
	make_on(agent, data(1, T0), "2026-11-22", 0xabcdef);
	make_on(agent, data(2, T0 + 3600 * SECOND), "2026-11-22", 0xac0000);
	make_on(agent, data(3, T0 + 7200 * SECOND), "2026-11-22", 0xad0000);
	for (int round = 0; round < 2; round++) {
		auto_repo struct repo *r = open_repo(&f, "recovery.key", dir);

		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			struct err e;

			if (find(r, cases[i].text, &e) != cases[i].sequence ||
			    (cases[i].says && !strstr(e.msg, cases[i].says)))
				fail_msg("'%s': '%s'", cases[i].text, e.msg);
		}
	}
}

static void test_repo_find__ids_that_begin_alike_are_ambiguous(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	struct err e;

	(void)state;
	make_on(r, data(1, T0), "2026-11-22", 0xabcd01);
	make_on(r, data(2, T0), "2026-11-22", 0xabcd02);
	assert_int_equal(find(r, "data@00abcd", &e), 0);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "00abcd01"));
	assert_non_null(strstr(e.msg, "00abcd02"));
	assert_int_equal(find(r, "data@00abcd02", &e), 2);
}

static void test_repo_find__equal_times_go_by_sequence(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	struct err e;

	(void)state;
	make_on(r, data(2, T0), "2026-11-22", 1);
	make_on(r, data(1, T0), "2026-11-22", 2);
	assert_int_equal(find(r, "data@2026-11-22T10:00:00Z", &e), 2);
}

static void test_repo_find__never_takes_an_older_point_for_the_newest(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	char key[128];
	struct err e;

	(void)state;
	make_on(r, data(1, T0), "2026-11-20", 1);
	make_on(r, data(2, T0 + 1), "2026-11-22", 2);
	/* damage of an older one does not matter */
	key_on(r, data(1, T0), "2026-11-20", 1, key);
	object_set(f.store, key, "junk", 4);
	assert_int_equal(find(r, "data", &e), 2);
	/* that of a newer one does: the user has to choose */
	key_on(r, data(3, T0), "2026-11-23", 3, key);
	object_set(f.store, key, "junk", 4);
	assert_int_equal(find(r, "data", &e), 0);
	assert_int_equal(e.class, ERR_CORRUPT);
	assert_non_null(strstr(e.msg, "data@00000002"));
	assert_int_equal(find(r, "data@00000002", &e), 2);
	assert_int_equal(find(r, "data@00000003", &e), 0);
	assert_int_equal(e.class, ERR_FORMAT);
}

static void test_repo_find__never_takes_an_older_point_for_the_one_of_a_time(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	const int64_t day = 24 * 3600 * SECOND;
	char key[128];
	struct err e;

	(void)state;
	make_on(r, data(1, T0 - 4 * day), "2026-11-18", 1);
	make_on(r, data(2, T0), "2026-11-22", 2);
	key_on(r, data(3, T0), "2026-11-20", 3, key);
	object_set(f.store, key, "junk", 4);
	assert_int_equal(find(r, "data@2026-11-22T10:00:00Z", &e), 2);
	assert_int_equal(find(r, "data@2026-11-19", &e), 1);
	assert_int_equal(find(r, "data@2026-11-21", &e), 0);
	assert_int_equal(e.class, ERR_CORRUPT);
	assert_non_null(strstr(e.msg, "data@00000001"));
	assert_int_equal(find(r, "data@2026-11-17", &e), 0);
	assert_int_equal(e.class, ERR_NOT_FOUND);
}

static void test_repo_find__a_volume_with_nothing_but_damage(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	char key[128];
	struct err e;

	(void)state;
	key_on(r, data(1, T0), "2026-11-22", 1, key);
	object_set(f.store, key, "junk", 4);
	assert_int_equal(find(r, "west/shop/data", &e), 0);
	assert_int_equal(e.class, ERR_CORRUPT);
	assert_int_equal(find(r, "data", &e), 0);
	assert_non_null(strstr(e.msg, "cannot be opened"));
}

static void test_repo_find__many_names_are_cut_short_in_messages(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	char name[16];
	struct err e;

	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		(void)snprintf(name, sizeof(name), "volume-%u", i);
		make_on(r, (struct made){ "", "", name, 1, T0, NULL }, "2026-11-22", i);
	}
	assert_int_equal(find(r, "other", &e), 0);
	assert_non_null(strstr(e.msg, "..."));
	assert_true(strlen(e.msg) < 300);
}

static void test_repo_find__can_be_cancelled(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *agent = open_repo(&f, "agent.key", NULL);
	struct cancel cancel;
	struct repo *r = NULL;
	struct err e = ERR_INIT;

	(void)state;
	make_on(agent, data(1, T0), "2026-11-22", 1);
	assert_int_equal(cancel_init(&cancel), 0);
	assert_int_equal(repo_open(f.store, load_keys(&f, "audit.key"), NULL, &cancel, &r, &e), 0);
	cancel_request(&cancel);
	assert_int_equal(find(r, "data", &e), 0);
	assert_int_equal(e.class, ERR_CANCELLED);
	assert_int_equal(find(r, "west/shop/data", &e), 0);
	assert_int_equal(e.class, ERR_CANCELLED);
	repo_free(r);
	cancel_clear(&cancel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_repo_latest__goes_by_sequence_not_by_day),
		cmocka_unit_test(test_repo_latest__only_new_commits_are_opened),
		cmocka_unit_test(test_repo_latest__works_without_a_state_directory),
		cmocka_unit_test(test_repo_latest__damaged_memory_is_not_believed),
		cmocka_unit_test(test_repo_latest__a_memory_that_is_wrong_is_made_anew),
		cmocka_unit_test(test_repo_latest__deleted_points_are_forgotten),
		cmocka_unit_test(test_repo_latest__passes_over_commits_that_do_not_open),
		cmocka_unit_test(test_repo_latest__a_store_that_fails_is_an_error),
		cmocka_unit_test(test_repo_find__names_as_far_as_needed),
		cmocka_unit_test(test_repo_find__a_whole_name_wins_over_an_end),
		cmocka_unit_test(test_repo_find__an_empty_repository_says_so),
		cmocka_unit_test(test_repo_find__latest_ids_and_times),
		cmocka_unit_test(test_repo_find__ids_that_begin_alike_are_ambiguous),
		cmocka_unit_test(test_repo_find__equal_times_go_by_sequence),
		cmocka_unit_test(test_repo_find__never_takes_an_older_point_for_the_newest),
		cmocka_unit_test(test_repo_find__never_takes_an_older_point_for_the_one_of_a_time),
		cmocka_unit_test(test_repo_find__a_volume_with_nothing_but_damage),
		cmocka_unit_test(test_repo_find__many_names_are_cut_short_in_messages),
		cmocka_unit_test(test_repo_find__can_be_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
