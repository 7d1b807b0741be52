/* SPDX-License-Identifier: Apache-2.0 */
/* Journals of runs: what is added comes back, and all runs are listed by their first record. */
#include "repo/run_log.h"

#include "common/json.h"
#include "tests/harness/fault_kit.h"
#include "tests/unit/repo/note_kit.h"

struct listed {
	char text[1024];
	unsigned n, stop_at;
};

static int take_run(void *arg, const char run[RUN_LOG_ID], const struct run_entry *first,
                    const json_t *record, struct err *e)
{
	struct listed *l = arg;
	size_t at = strlen(l->text);

	(void)e;
	assert_true(json_is_object(record));
	assert_true(first->at_ns > 0 && first->user[0]);
	(void)snprintf(l->text + at, sizeof(l->text) - at, "%.4s %s %s %s\n", run, first->kind,
	               first->plan, first->step);
	return ++l->n == l->stop_at;
}

static int take_step(void *arg, uint64_t n, const json_t *record, const uint8_t signer[8],
                     struct err *e)
{
	char *text = arg;
	size_t at = strlen(text);
	struct run_entry x;

	(void)signer;
	if (run_log_entry(record, "it", &x, e) < 0)
		return -1;
	(void)snprintf(text + at, 256 - at, "%llu %s %lld\n", (unsigned long long)n, x.step,
	               json_integer_value(json_object_get(record, "bytes")));
	return 0;
}

static struct chain opened(const char *run)
{
	struct chain c;

	ok(run_log_open(run, &c, e));
	return c;
}

#define RUN_A "aaaa0000000000000000000000000001"
#define RUN_B "bbbb0000000000000000000000000002"

static void test_run_log_add__steps_come_back_in_order_with_what_they_say(void **state)
{
	auto_kit struct kit k = kit_new();
	struct chain c = opened(RUN_A);
	auto_json json_t *more = json_pack("{s:i, s:s, s:s}", "bytes", 7, "step", "not this",
	                                   "schema", "nor this");
	char text[256] = "";

	(void)state;
	ok(run_log_add(k.recovery, &c, "failover", "shop", "begin", NULL, e));
	ok(run_log_add(k.recovery, &c, "failover", "shop", "restored", more, e));
	assert_string_equal(json_string_value(json_object_get(more, "step")), "not this");
	c = opened(RUN_A);
	ok(chain_read(k.audit, &c, take_step, text, e));
	assert_string_equal(text, "1 begin 0\n2 restored 7\n");
}

static void test_run_log_add__refuses_what_could_not_be_read(void **state)
{
	auto_kit struct kit k = kit_new();
	struct chain c = opened(RUN_A);
	char step[RUN_LOG_STEP_MAX + 1];

	(void)state;
	memset(step, 'x', sizeof(step) - 1);
	step[sizeof(step) - 1] = '\0';
	fails(ERR_INVALID, run_log_add(k.agent, &c, "other", "shop", "begin", NULL, e));
	fails(ERR_INVALID, run_log_add(k.agent, &c, "drill", "shop", "", NULL, e));
	fails(ERR_INVALID, run_log_add(k.agent, &c, "drill", "shop", step, NULL, e));
	fails_saying(ERR_INVALID, "no UTF-8",
	             run_log_add(k.agent, &c, "drill", "\xff", "begin", NULL, e));
	fails(ERR_DENIED, run_log_add(k.audit, &c, "drill", "shop", "begin", NULL, e));
	assert_int_equal(c.next, 1);
}

static void test_run_log_open__only_names_of_runs(void **state)
{
	char run[RUN_LOG_ID];
	char other[RUN_LOG_ID];
	struct chain c;

	(void)state;
	run_log_new(run);
	run_log_new(other);
	assert_string_not_equal(run, other);
	ok(run_log_open(run, &c, e));
	fails(ERR_INVALID, run_log_open("", &c, e));
	fails(ERR_INVALID, run_log_open("AAAA0000000000000000000000000001", &c, e));
	fails(ERR_INVALID, run_log_open(RUN_A "0", &c, e));
	fails(ERR_INVALID, run_log_open("../" RUN_A, &c, e));
}

static void test_run_log_list__tells_each_run_once(void **state)
{
	auto_kit struct kit k = kit_new();
	struct chain a = opened(RUN_A);
	struct chain b = opened(RUN_B);
	struct listed l = { .n = 0 };

	(void)state;
	ok(run_log_list(k.audit, take_run, &l, e));
	assert_int_equal(l.n, 0);
	ok(run_log_add(k.agent, &b, "drill", "shop", "begin", NULL, e));
	ok(run_log_add(k.agent, &b, "drill", "shop", "end", NULL, e));
	ok(run_log_add(k.agent, &a, "restore", "", "begin", NULL, e));
	ok(put_text(k.store, "ctl/run/readme", "x", e));
	ok(put_text(k.store, "ctl/run/" RUN_A "/x", "x", e));
	ok(run_log_list(k.audit, take_run, &l, e));
	assert_string_equal(l.text, "aaaa restore  begin\nbbbb drill shop begin\n");
	/* The first that is there stands for a run whose first record was lost. */
	kit_remove(&k, "ctl/run/" RUN_B "/00000001");
	l = (struct listed){ .n = 0 };
	ok(run_log_list(k.audit, take_run, &l, e));
	assert_string_equal(l.text, "aaaa restore  begin\nbbbb drill shop end\n");
	l = (struct listed){ .stop_at = 1 };
	ok(run_log_list(k.audit, take_run, &l, e));
	assert_int_equal(l.n, 1);
}

static void test_run_log_list__passes_over_what_is_no_record(void **state)
{
	auto_kit struct kit k = kit_new();
	struct listed l = { .n = 0 };

	(void)state;
	note_kit_text(k.agent, FORMAT_KIND_RUN, "ctl/run/" RUN_A "/00000001", "{}");
	ok(put_text(k.store, "ctl/run/" RUN_B "/00000001", "garbage", e));
	ok(run_log_list(k.audit, take_run, &l, e));
	assert_int_equal(l.n, 0);
}

static void test_run_log_list__the_store_fails_and_so_does_it(void **state)
{
	auto_kit struct kit k = kit_new();
	struct chain a = opened(RUN_A);
	struct listed l = { .n = 0 };

	(void)state;
	ok(run_log_add(k.agent, &a, "restore", "", "begin", NULL, e));
	for (uint64_t n = 0; n < 2; n++) {
		auto_store struct store *s = fault_store(k.store, n, FAULT_FAIL, FAULT_FAIL, NULL);
		struct repo r = *k.audit;

		r.store = s;
		fails(ERR_RETRY, run_log_list(&r, take_run, &l, e));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run_log_add__steps_come_back_in_order_with_what_they_say),
		cmocka_unit_test(test_run_log_add__refuses_what_could_not_be_read),
		cmocka_unit_test(test_run_log_open__only_names_of_runs),
		cmocka_unit_test(test_run_log_list__tells_each_run_once),
		cmocka_unit_test(test_run_log_list__passes_over_what_is_no_record),
		cmocka_unit_test(test_run_log_list__the_store_fails_and_so_does_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
