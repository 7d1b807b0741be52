/* SPDX-License-Identifier: Apache-2.0 */
/* The way of records into the store: each in one batch, whatever dies in between. */
#include "repo/audit_writer.h"

#include <sys/wait.h>

#include "repo/audit_spool.h"
#include "tests/harness/fault_kit.h"
#include "tests/unit/repo/audit_kit.h"

/* The agent with a state directory below the kit's. */
static struct repo with_state(const struct kit *k)
{
	struct repo r = *k->agent;

	(void)snprintf(r.state, sizeof(r.state), "%s", k->dir);
	return r;
}

static void spool(const struct repo *r, const char *act, unsigned n)
{
	auto_json json_t *o = audit_kit_record(r, act, n);

	ok(audit_writer_spool(r, o, e));
}

static void flush(const struct repo *r)
{
	ok(audit_writer_flush(r, e));
}

static void test_audit_writer_flush__puts_one_batch_of_all_that_waits(void **state)
{
	auto_kit struct kit k = kit_new();
	struct repo r = with_state(&k);

	(void)state;
	spool(&r, "init", 1);
	spool(&r, "backup", 2);
	flush(&r);
	flush(&r);
	spool(&r, "gc", 3);
	flush(&r);
	struct audit_kit_trail t = audit_kit_read(k.audit);
	assert_string_equal(t.text, "init backup | gc ");
}

static void test_audit_writer_flush__needs_a_key_that_signs_and_a_place(void **state)
{
	auto_kit struct kit k = kit_new();
	struct repo r = with_state(&k);
	struct err why = ERR_INIT;

	(void)state;
	r.keys = k.audit->keys;
	assert_int_equal(audit_writer_flush(&r, &why), -1);
	assert_int_equal(why.class, ERR_DENIED);
	auto_json json_t *o = audit_kit_record(k.agent, "gc", 1);
	assert_int_equal(audit_writer_put_alone(&r, o, &why), -1);
	assert_int_equal(why.class, ERR_DENIED);
	assert_int_equal(audit_writer_spool(k.agent, o, &why), -1);
	assert_int_equal(why.class, ERR_UNSUPPORTED);
	assert_int_equal(audit_writer_flush(k.agent, &why), -1);
	assert_int_equal(why.class, ERR_UNSUPPORTED);
	assert_int_equal(audit_writer_due(k.agent, 60, &why), -1);
}

static void test_audit_writer_put_alone__makes_a_chain_of_one(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_json json_t *o = audit_kit_record(k.agent, "restore", 1);

	(void)state;
	ok(audit_writer_put_alone(k.recovery, o, e));
	ok(audit_writer_put_alone(k.agent, o, e));
	struct audit_kit_trail t = audit_kit_read(k.audit);
	assert_string_equal(t.text, "restore . restore ");
}

static void test_audit_writer_due__tells_when_it_is_time(void **state)
{
	auto_kit struct kit k = kit_new();
	struct repo r = with_state(&k);

	(void)state;
	spool(&r, "backup", 1);
	int64_t age_s = (now_wall_ns() - KIT_EPOCH_NS) / 1000000000;
	struct err why = ERR_INIT;
	assert_int_equal(audit_writer_due(&r, age_s + 1000, &why), 0);
	assert_int_equal(audit_writer_due(&r, age_s - 1000, &why), 1);
	flush(&r);
	assert_int_equal(audit_writer_due(&r, 0, &why), 0);
}

static void test_audit_writer_flush__keeps_what_cannot_be_put(void **state)
{
	auto_kit struct kit k = kit_new();
	struct trouble t = { .call = CALL_PUT, .prefix = "audit/", .fault = FAULT_FAIL };

	t.times = 2;
	struct err why = ERR_INIT;

	(void)state;
	kit_trouble(&k, &t);
	struct repo r = with_state(&k);
	spool(&r, "backup", 1);
	assert_int_equal(audit_writer_flush(&r, &why), -1);
	assert_int_equal(why.class, ERR_RETRY);
	spool(&r, "gc", 2);
	assert_int_equal(audit_writer_flush(&r, &why), -1);
	flush(&r);
	assert_string_equal(audit_kit_read(k.audit).text, "backup | gc ");
}

static void test_audit_writer_flush__takes_an_answer_that_was_lost_for_what_it_is(void **state)
{
	auto_kit struct kit k = kit_new();
	struct trouble t = {
		.call = CALL_PUT, .prefix = "audit/", .fault = FAULT_APPLIED_LOST, .times = 1
	};
	struct err why = ERR_INIT;

	(void)state;
	kit_trouble(&k, &t);
	struct repo r = with_state(&k);
	spool(&r, "backup", 1);
	assert_int_equal(audit_writer_flush(&r, &why), -1);
	flush(&r);
	spool(&r, "gc", 2);
	flush(&r);
	assert_string_equal(audit_kit_read(k.audit).text, "backup | gc ");
}

static void test_audit_writer_flush__with_a_copied_state_begins_a_chain_that_names_it(void **state)
{
	auto_kit struct kit k = kit_new();
	struct repo r = with_state(&k);

	(void)state;
	spool(&r, "one", 1);
	flush(&r);
	auto_free char *head = read_file(k.dir, "audit/head", NULL);
	spool(&r, "two", 2);
	flush(&r);
	write_text(k.dir, "audit/head", head);
	spool(&r, "three", 3);
	flush(&r);
	spool(&r, "four", 4);
	flush(&r);
	struct audit_kit_trail t = audit_kit_read(k.audit);
	assert_int_equal(t.chains, 2);
	assert_int_equal(t.records, 4);
	write_text(k.dir, "audit/head", "rubbish");
	spool(&r, "five", 5);
	flush(&r);
	t = audit_kit_read(k.audit);
	assert_int_equal(t.chains, 3);
	assert_int_equal(t.records, 5);
}

static void test_audit_writer_flush__tells_of_records_that_were_damaged(void **state)
{
	auto_kit struct kit k = kit_new();
	struct repo r = with_state(&k);

	(void)state;
	spool(&r, "one", 1);
	auto_free char *text = read_file(k.dir, "audit/records-00000001", NULL);
	text[60] ^= 1;
	write_text(k.dir, "audit/records-00000001", text);
	spool(&r, "two", 2);
	flush(&r);
	assert_string_equal(audit_kit_read(k.audit).text, "two audit-spool ");
}

static void test_audit_writer_flush__of_many_processes_makes_one_chain(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *url = NULL;
	struct store *store = NULL;

	(void)state;
	assert_true(asprintf(&url, "file://%s/store", dir) > 0);
	ok((store = store_open(url, STORE_CREATE, e)) ? 0 : -1);
	auto_kit struct kit k = kit_new_in(store);
	struct repo r = with_state(&k);
	for (unsigned p = 0; p < 8; p++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			for (unsigned i = 0; i < 100; i++) {
				spool(&r, "backup", p * 100 + i);
				if (i % 9 == p)
					flush(&r);
			}
			_exit(0);
		}
	}
	for (unsigned p = 0; p < 8; p++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	flush(&r);
	struct audit_kit_trail t = audit_kit_read(k.audit);
	assert_int_equal(t.chains, 1);
	assert_int_equal(t.records, 800);
	assert_true(t.batches > 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_audit_writer_flush__puts_one_batch_of_all_that_waits),
		cmocka_unit_test(test_audit_writer_flush__needs_a_key_that_signs_and_a_place),
		cmocka_unit_test(test_audit_writer_put_alone__makes_a_chain_of_one),
		cmocka_unit_test(test_audit_writer_due__tells_when_it_is_time),
		cmocka_unit_test(test_audit_writer_flush__keeps_what_cannot_be_put),
		cmocka_unit_test(
			test_audit_writer_flush__takes_an_answer_that_was_lost_for_what_it_is),
		cmocka_unit_test(
			test_audit_writer_flush__with_a_copied_state_begins_a_chain_that_names_it),
		cmocka_unit_test(test_audit_writer_flush__tells_of_records_that_were_damaged),
		cmocka_unit_test(test_audit_writer_flush__of_many_processes_makes_one_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
