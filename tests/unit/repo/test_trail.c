/* SPDX-License-Identifier: Apache-2.0 */
/* From acts to records: which are put, which wait, and what is refused without one. */
#include "repo/trail.h"

#include "repo/audit_writer.h"
#include "tests/unit/repo/audit_kit.h"

struct bench {
	char *dir;
	char *url;
	char *keys;
	char *state;
	struct act act;
};

static void clean_bench(struct bench *b)
{
	act_set_current(NULL);
	tmpdir_remove(b->dir);
	free(b->url);
	free(b->keys);
	free(b->state);
}
#define auto_bench CLEANUP(clean_bench)

static struct bench bench_new(void)
{
	struct bench b = { .dir = tmpdir_new() };

	assert_true(asprintf(&b.url, "file://%s/store", b.dir) > 0);
	b.keys = path_join(b.dir, "keys");
	b.state = path_join(b.dir, "state");
	ok(secret_init(e));
	auto_store struct store *s = NULL;
	ok((s = store_open(b.url, STORE_CREATE, e)) ? 0 : -1);
	ok(repo_init(s, b.keys, NULL, e));
	return b;
}

static void begin(struct bench *b, const char *name, unsigned flags)
{
	act_init(&b->act, name, flags);
	b->act.store = b->url;
	act_set_current(&b->act);
}

static int open_with(const struct bench *b, const char *key, unsigned flags, const char *state,
                     struct repo **ret, struct err *e)
{
	auto_free char *path = path_join(b->keys, key);

	return repo_open_url(b->url, flags, path, NULL, state, NULL, ret, e);
}

static void end(const struct bench *b, const struct err *why)
{
	const struct verb_common common = { .store = b->url };

	trail_acted(&common, why);
	act_set_current(NULL);
}

static void act_once(struct bench *b, const char *key, const char *state, const struct err *why)
{
	struct repo *r = NULL;

	ok(open_with(b, key, 0, state, &r, e));
	repo_free(r);
	end(b, why);
}

static struct audit_kit_trail told(const struct bench *b)
{
	auto_repo struct repo *r = NULL;

	ok(open_with(b, "audit.key", STORE_READONLY, "", &r, e));
	return audit_kit_read(r);
}

static void test_trail_acted__puts_one_record_of_an_act_at_once(void **state)
{
	auto_bench struct bench b = bench_new();
	struct err failed = ERR_INIT;

	(void)state;
	begin(&b, "gc", 0);
	act_once(&b, "agent.key", b.state, NULL);
	(void)err_set(&failed, ERR_BUSY, "somebody else collects");
	begin(&b, "lock", 0);
	act_once(&b, "recovery.key", "", &failed);
	assert_int_equal(told(&b).records, 2);
	assert_int_equal(told(&b).chains, 2);
}

static void test_trail_acted__lets_wait_what_another_object_shows(void **state)
{
	auto_bench struct bench b = bench_new();
	struct err failed = ERR_INIT;

	(void)state;
	begin(&b, "backup", ACT_WAITS);
	act_once(&b, "agent.key", b.state, NULL);
	assert_int_equal(told(&b).records, 0);
	(void)err_set(&failed, ERR_IO, "the disk is broken");
	begin(&b, "backup", ACT_WAITS);
	act_once(&b, "agent.key", b.state, &failed);
	assert_string_equal(told(&b).text, "backup backup ");
	begin(&b, "backup", ACT_WAITS);
	act_once(&b, "agent.key", "", NULL);
	assert_int_equal(told(&b).records, 3);
}

static void test_trail_acted__records_reading_when_it_is_asked_for(void **state)
{
	auto_bench struct bench b = bench_new();

	(void)state;
	begin(&b, "list", ACT_READS);
	act_once(&b, "agent.key", b.state, NULL);
	assert_int_equal(told(&b).records, 0);
	begin(&b, "list", ACT_READS);
	b.act.reads_too = true;
	struct repo *r = NULL;
	ok(open_with(&b, "agent.key", STORE_READONLY, b.state, &r, e));
	repo_free(r);
	end(&b, NULL);
	assert_string_equal(told(&b).text, "list ");
}

static void test_trail_opened__records_what_takes_long_when_it_begins(void **state)
{
	auto_bench struct bench b = bench_new();
	struct repo *r = NULL;

	(void)state;
	begin(&b, "mount", ACT_LONG);
	ok(open_with(&b, "recovery.key", 0, b.state, &r, e));
	assert_string_equal(told(&b).text, "mount ");
	repo_free(r);
	end(&b, NULL);
	assert_string_equal(told(&b).text, "mount | mount ");
}

static void test_trail_opened__refuses_what_cannot_be_recorded(void **state)
{
	auto_bench struct bench b = bench_new();
	struct repo *r = NULL;
	struct err why = ERR_INIT;

	(void)state;
	begin(&b, "restore", 0);
	b.act.required = true;
	assert_int_equal(open_with(&b, "audit.key", 0, b.state, &r, &why), -1);
	assert_int_equal(why.class, ERR_DENIED);
	assert_null(r);
	write_text(b.dir, "store/audit", "in the way");
	why = (struct err)ERR_INIT;
	assert_int_equal(open_with(&b, "agent.key", 0, "", &r, &why), -1);
	assert_non_null(strstr(why.msg, "--audit required"));
	b.act.required = false;
	ok(open_with(&b, "agent.key", 0, "", &r, e));
	repo_free(r);
	end(&b, NULL);
}

static void test_trail_opened__passes_over_other_stores_and_keys_that_do_not_sign(void **state)
{
	auto_bench struct bench b = bench_new();
	struct repo *r = NULL;

	(void)state;
	begin(&b, "check", 0);
	b.act.store = "file:///another";
	ok(open_with(&b, "agent.key", 0, b.state, &r, e));
	repo_free(r);
	end(&b, NULL);
	begin(&b, "check", 0);
	act_once(&b, "audit.key", b.state, NULL);
	assert_int_equal(told(&b).records, 0);
}

static void test_trail_flush__puts_what_has_waited(void **state)
{
	auto_bench struct bench b = bench_new();
	struct repo *r = NULL;
	struct act a;

	(void)state;
	act_init(&a, "backup", ACT_WAITS);
	a.began_ns -= (int64_t)(TRAIL_WAIT_S + 1) * 1000000000;
	ok(open_with(&b, "agent.key", STORE_READONLY, b.state, &r, e));
	auto_json json_t *o = audit_kit_record(r, "backup", 1);
	assert_int_equal(json_object_set_new(o, "at_ns", json_integer(a.began_ns)), 0);
	ok(audit_writer_spool(r, o, e));
	trail_flush(r, b.url);
	assert_int_equal(told(&b).records, 1);
	a.began_ns = now_wall_ns();
	trail_put(r, &a, NULL);
	assert_int_equal(told(&b).records, 1);
	repo_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trail_acted__puts_one_record_of_an_act_at_once),
		cmocka_unit_test(test_trail_acted__lets_wait_what_another_object_shows),
		cmocka_unit_test(test_trail_acted__records_reading_when_it_is_asked_for),
		cmocka_unit_test(test_trail_opened__records_what_takes_long_when_it_begins),
		cmocka_unit_test(test_trail_opened__refuses_what_cannot_be_recorded),
		cmocka_unit_test(
			test_trail_opened__passes_over_other_stores_and_keys_that_do_not_sign),
		cmocka_unit_test(test_trail_flush__puts_what_has_waited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
