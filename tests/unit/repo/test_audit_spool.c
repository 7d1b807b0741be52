/* SPDX-License-Identifier: Apache-2.0 */
/* Records on their way: durable, in order, bounded, and damage is counted. */
#include "repo/audit_spool.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "tests/unit/repo/audit_kit.h"

static const uint8_t none[32];

static struct audit_spool open_in(const char *dir)
{
	struct audit_spool s = AUDIT_SPOOL_NONE;

	ok(audit_spool_open(dir, &s, e));
	return s;
}

static void add(const struct kit *k, struct audit_spool *s, unsigned n)
{
	auto_json json_t *o = audit_kit_record(k->agent, "backup", n);

	ok(audit_spool_add(s, o, e));
}

static void assert_takes(struct audit_spool *s, const uint8_t done[32], size_t records,
                         uint64_t damaged, uint8_t ret_hash[32])
{
	CLEANUP(audit_spool_file_clear) struct audit_spool_file f = { .number = 0 };

	ok(audit_spool_take(s, done, &f, e));
	assert_int_equal(json_array_size(f.records), records);
	assert_int_equal(f.damaged, damaged);
	assert_int_equal(f.number > 0, records + damaged > 0);
	if (ret_hash)
		memcpy(ret_hash, f.hash, 32);
}

static void test_audit_spool_take__closes_a_file_and_later_records_go_to_another(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_audit_spool struct audit_spool s = open_in(k.dir);
	uint8_t hash[32];

	(void)state;
	assert_takes(&s, none, 0, 0, NULL);
	add(&k, &s, 1);
	add(&k, &s, 2);
	assert_takes(&s, none, 2, 0, hash);
	add(&k, &s, 3);
	/* It was not put: the same again. */
	assert_takes(&s, none, 2, 0, NULL);
	/* It was, but nobody came to remove it. */
	assert_takes(&s, hash, 1, 0, NULL);
	assert_takes(&s, none, 1, 0, hash);
	assert_takes(&s, hash, 0, 0, NULL);
	add(&k, &s, 4);
	assert_takes(&s, hash, 1, 0, NULL);
}

static void test_audit_spool_take__passes_over_what_was_not_acknowledged(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_audit_spool struct audit_spool s = open_in(k.dir);
	size_t n;

	(void)state;
	add(&k, &s, 1);
	auto_free char *text = read_file(k.dir, "audit/records-00000001", &n);
	for (size_t cut = 0; cut < n; cut += 7) {
		write_file(k.dir, "audit/records-00000001", text, cut);
		add(&k, &s, 2);
		auto_free char *now = read_file(k.dir, "audit/records-00000001", NULL);
		json_t *records = NULL;
		uint64_t damaged;

		ok(audit_spool_parse((const uint8_t *)now, strlen(now), &records, &damaged, e));
		assert_int_equal(json_array_size(records), 1);
		assert_int_equal(damaged, 0);
		json_decref(records);
	}
}

static void test_audit_spool_take__counts_lines_that_are_damaged(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_audit_spool struct audit_spool s = open_in(k.dir);
	int64_t oldest;
	bool full;

	(void)state;
	add(&k, &s, 1);
	add(&k, &s, 2);
	auto_free char *text = read_file(k.dir, "audit/records-00000001", NULL);
	text[40] ^= 1;
	write_text(k.dir, "audit/records-00000001", text);
	assert_takes(&s, none, 1, 1, NULL);
	write_text(k.dir, "audit/records-00000001", "rubbish\n");
	ok(audit_spool_look(&s, &oldest, &full, e));
	assert_int_not_equal(oldest, 0);
	assert_takes(&s, none, 0, 1, NULL);
}

static void test_audit_spool_look__tells_the_oldest(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_audit_spool struct audit_spool s = open_in(k.dir);
	int64_t oldest = 1;
	bool full;

	(void)state;
	ok(audit_spool_look(&s, &oldest, &full, e));
	assert_int_equal(oldest, 0);
	assert_false(full);
	add(&k, &s, 5);
	add(&k, &s, 6);
	ok(audit_spool_look(&s, &oldest, &full, e));
	assert_int_equal(oldest, KIT_EPOCH_NS + 5);
	assert_false(full);
	for (unsigned i = 0; i < AUDIT_SPOOL_FILE_RECORDS / 2; i++)
		add(&k, &s, i);
	ok(audit_spool_look(&s, &oldest, &full, e));
	assert_true(full);
}

static void test_audit_spool_add__refuses_more_than_may_wait(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_audit_spool struct audit_spool s = open_in(k.dir);
	auto_json json_t *o = audit_kit_record(k.agent, "backup", 1);
	static char filler[AUDIT_SPOOL_FILE_BYTES];
	struct err why = ERR_INIT;
	char name[64];

	(void)state;
	memset(filler, '\n', sizeof(filler));
	for (unsigned i = 1; i <= AUDIT_SPOOL_FILES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "audit/records-%08u", i);
		write_file(k.dir, name, filler, sizeof(filler));
	}
	assert_int_equal(audit_spool_add(&s, o, &why), -1);
	assert_int_equal(why.class, ERR_QUOTA);
}

static void test_audit_spool_open__says_what_is_in_the_way(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct audit_spool s = AUDIT_SPOOL_NONE;
	struct err why = ERR_INIT;

	(void)state;
	write_text(dir, "audit", "a file");
	assert_int_equal(audit_spool_open(dir, &s, &why), -1);
	assert_non_null(strstr(why.msg, "audit"));
	assert_int_equal(s.dir, -1);
}

#define WRITERS 8
#define EACH 100

static void test_audit_spool_add__of_many_processes_loses_none(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_audit_spool struct audit_spool s = open_in(k.dir);
	bool seen[WRITERS * EACH] = { false };
	size_t n = 0;

	(void)state;
	for (unsigned p = 0; p < WRITERS; p++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			struct audit_spool own = open_in(k.dir);

			for (unsigned i = 0; i < EACH; i++)
				add(&k, &own, p * EACH + i);
			_exit(0);
		}
	}
	for (unsigned p = 0; p < WRITERS; p++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	for (;;) {
		CLEANUP(audit_spool_file_clear) struct audit_spool_file f = { .number = 0 };

		ok(audit_spool_take(&s, none, &f, e));
		if (f.number == 0)
			break;
		assert_int_equal(f.damaged, 0);
		for (size_t i = 0; i < json_array_size(f.records); i++) {
			struct audit_record r;

			ok(audit_record_read(json_array_get(f.records, i), "it", &r, e));
			size_t id = (size_t)(r.at_ns - KIT_EPOCH_NS);
			assert_false(seen[id]);
			seen[id] = true;
			n++;
		}
		audit_spool_drop(&s, f.number);
	}
	assert_int_equal(n, WRITERS * EACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_audit_spool_take__closes_a_file_and_later_records_go_to_another),
		cmocka_unit_test(test_audit_spool_take__passes_over_what_was_not_acknowledged),
		cmocka_unit_test(test_audit_spool_take__counts_lines_that_are_damaged),
		cmocka_unit_test(test_audit_spool_look__tells_the_oldest),
		cmocka_unit_test(test_audit_spool_add__refuses_more_than_may_wait),
		cmocka_unit_test(test_audit_spool_open__says_what_is_in_the_way),
		cmocka_unit_test(test_audit_spool_add__of_many_processes_loses_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
