/* SPDX-License-Identifier: Apache-2.0 */
/* Chains: numbers, gaps, and who comes second. */
#include "repo/chain.h"

#include "common/json.h"
#include "tests/harness/fault_kit.h"
#include "tests/harness/keys_kit.h"
#include "tests/unit/repo/note_kit.h"

#define PREFIX "ctl/run/00000000000000000000000000000001"

struct got {
	char text[256];
	uint8_t signer[8];
	uint64_t fail_at;
};

static int take(void *arg, uint64_t n, const json_t *record, const uint8_t signer[8], struct err *e)
{
	struct got *g = arg;
	size_t at = strlen(g->text);

	if (n == g->fail_at)
		return err_set(e, ERR_INVALID, "the reader does not want it");
	(void)snprintf(g->text + at, sizeof(g->text) - at, "%llu%s ", (unsigned long long)n,
	               json_string_value(json_object_get(record, "text")));
	memcpy(g->signer, signer, 8);
	return 0;
}

static struct chain new_chain(void)
{
	struct chain c;

	chain_init(&c, FORMAT_KIND_RUN, PREFIX);
	return c;
}

static void add(const struct repo *r, struct chain *c, const char *text)
{
	auto_json json_t *o = json_pack("{s:s}", "text", text);

	ok(chain_add(r, c, o, e));
}

static int try_add(const struct repo *r, struct chain *c, const char *text, struct err *e)
{
	auto_json json_t *o = json_pack("{s:s}", "text", text);

	return chain_add(r, c, o, e);
}

static void assert_reads(const struct repo *r, struct chain *c, const char *text)
{
	struct got g = { .fail_at = 0 };

	ok(chain_read(r, c, take, &g, e));
	assert_string_equal(g.text, text);
}

static void test_chain_read__tells_records_in_order_and_later_what_came_since(void **state)
{
	auto_kit struct kit k = kit_new();
	struct chain mine = new_chain();
	struct chain theirs = new_chain();
	struct got g = { .fail_at = 0 };

	(void)state;
	assert_reads(k.audit, &mine, "");
	assert_int_equal(mine.next, 1);
	add(k.agent, &theirs, "a");
	add(k.agent, &theirs, "b");
	assert_reads(k.audit, &mine, "1a 2b ");
	assert_int_equal(mine.next, 3);
	assert_reads(k.audit, &mine, "");
	add(k.recovery, &theirs, "c");
	ok(chain_read(k.audit, &mine, take, &g, e));
	assert_string_equal(g.text, "3c ");
	assert_memory_equal(g.signer, k.recovery->keys->signer_id, 8);
	assert_int_equal(mine.missing, 0);
}

static void test_chain_read__asks_for_one_object_when_nothing_came(void **state)
{
	auto_kit struct kit k = kit_new();
	struct chain c = new_chain();
	struct fault_lent *lent;
	auto_store struct store *s = fault_store(k.store, UINT64_MAX, FAULT_NONE, FAULT_NONE,
	                                         &lent);
	struct repo counted = *k.audit;

	(void)state;
	add(k.agent, &c, "a");
	c = new_chain();
	counted.store = s;
	assert_reads(&counted, &c, "1a ");
	unsigned long long before = lent->calls;
	assert_reads(&counted, &c, "");
	assert_int_equal(lent->calls - before, 1);
}

static void test_chain_read__goes_past_a_gap_and_counts_it(void **state)
{
	auto_kit struct kit k = kit_new();
	struct chain c = new_chain();

	(void)state;
	for (const char *t = "abcde"; *t; t++)
		add(k.agent, &c, (char[]){ *t, '\0' });
	kit_remove(&k, PREFIX "/00000001");
	kit_remove(&k, PREFIX "/00000003");
	kit_remove(&k, PREFIX "/00000004");
	ok(put_text(k.store, PREFIX "/readme", "no number", e));
	c = new_chain();
	assert_reads(k.audit, &c, "2b 5e ");
	assert_int_equal(c.missing, 3);
	assert_int_equal(c.next, 6);
}

static void test_chain_read__of_a_revoked_signer_says_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	struct chain c = new_chain();
	struct repo *other = kit_add_agent(&k, "other");

	(void)state;
	kit_reopen(&k);
	add(k.agent, &c, "a");
	(void)kit_revoke(&k, "other", 0);
	add(other, &c, "b");
	repo_free(other);
	kit_reopen(&k);
	add(k.agent, &c, "c");
	c = new_chain();
	assert_reads(k.audit, &c, "1a 3c ");
	assert_int_equal(c.missing, 0);
}

static void test_chain_read__what_does_not_open_is_an_error_that_names_it(void **state)
{
	auto_kit struct kit k = kit_new();
	struct chain c = new_chain();
	struct got g = { .fail_at = 0 };

	(void)state;
	add(k.agent, &c, "a");
	add(k.agent, &c, "b");
	kit_flip(&k, PREFIX "/00000002", -1);
	c = new_chain();
	fails_saying(ERR_CORRUPT, PREFIX "/00000002", chain_read(k.audit, &c, take, &g, e));
	/* It is asked for again. */
	assert_int_equal(c.next, 2);
	kit_flip(&k, PREFIX "/00000002", -1);
	assert_reads(k.audit, &c, "2b ");
}

static void test_chain_read__fails_as_its_reader_does_and_as_the_store_does(void **state)
{
	auto_kit struct kit k = kit_new();
	struct chain c = new_chain();
	struct got g = { .fail_at = 2 };

	(void)state;
	add(k.agent, &c, "a");
	add(k.agent, &c, "b");
	c = new_chain();
	fails_saying(ERR_INVALID, "does not want it", chain_read(k.audit, &c, take, &g, e));
	for (uint64_t n = 0; n < 3; n++) {
		auto_store struct store *s = fault_store(k.store, n, FAULT_FAIL, FAULT_FAIL, NULL);
		struct repo r = *k.audit;

		r.store = s;
		c = new_chain();
		g = (struct got){ .fail_at = 0 };
		fails(ERR_RETRY, chain_read(&r, &c, take, &g, e));
	}
}

static void test_chain_add__second_one_is_told_and_adds_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	struct chain one = new_chain();
	struct chain two = new_chain();

	(void)state;
	add(k.agent, &one, "a");
	fails_saying(ERR_BUSY, "somebody else", try_add(k.recovery, &two, "b", e));
	assert_int_equal(two.next, 1);
	assert_reads(k.recovery, &two, "1a ");
	add(k.recovery, &two, "b");
	fails(ERR_BUSY, try_add(k.agent, &one, "c", e));
}

static void no_wait(void *arg, int64_t ms)
{
	(void)arg;
	(void)ms;
}

/* The put is done, and its answer is lost: the next try of the store meets its own object. */
static void test_chain_add__answer_that_was_lost_is_success(void **state)
{
	const struct store_retry_params params = {
		.budget_ms = 10000, .first_ms = 1, .longest_ms = 1, .wait_ms = no_wait
	};
	struct trouble t = { .call = CALL_PUT, .fault = FAULT_APPLIED_LOST, .times = 1 };
	auto_kit struct kit k = kit_new();
	struct chain c = new_chain();
	struct err err = ERR_INIT;

	(void)state;
	kit_trouble(&k, &t);
	fails(ERR_RETRY, try_add(k.agent, &c, "a", e));
	/* Nobody said whether it is there: it is, and who reads on finds it. */
	assert_int_equal(c.next, 1);
	assert_reads(k.agent, &c, "1a ");
	kit_use_store(&k, store_retry_new(k.store, &params, &err));
	t.calls = 0;
	add(k.agent, &c, "b");
	assert_int_equal(t.calls, 2);
	c = new_chain();
	assert_reads(k.audit, &c, "1a 2b ");
}

static void test_chain_add__auditor_cannot_and_numbers_end(void **state)
{
	auto_kit struct kit k = kit_new();
	struct chain c = new_chain();

	(void)state;
	fails(ERR_DENIED, try_add(k.audit, &c, "a", e));
	c.next = NOTE_NUMBER_MAX;
	add(k.agent, &c, "last");
	fails_saying(ERR_TOO_BIG, "no numbers left", try_add(k.agent, &c, "a", e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain_read__tells_records_in_order_and_later_what_came_since),
		cmocka_unit_test(test_chain_read__asks_for_one_object_when_nothing_came),
		cmocka_unit_test(test_chain_read__goes_past_a_gap_and_counts_it),
		cmocka_unit_test(test_chain_read__of_a_revoked_signer_says_nothing),
		cmocka_unit_test(test_chain_read__what_does_not_open_is_an_error_that_names_it),
		cmocka_unit_test(test_chain_read__fails_as_its_reader_does_and_as_the_store_does),
		cmocka_unit_test(test_chain_add__second_one_is_told_and_adds_nothing),
		cmocka_unit_test(test_chain_add__answer_that_was_lost_is_success),
		cmocka_unit_test(test_chain_add__auditor_cannot_and_numbers_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
