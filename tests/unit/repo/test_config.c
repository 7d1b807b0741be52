/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Revisions of the config: which one counts, what others put beside them, what
 * two admins at the same time see, and the chain.
 */
#include "repo/config.h"

#include <sodium.h>

#include "common/json.h"
#include "repo/check.h"
#include "repo/gc.h"
#include "repo/note.h"
#include "tests/harness/fault_kit.h"
#include "tests/harness/repo_kit.h"

/* The newest revision, loaded by the admin. */
static struct config load(const struct kit *k)
{
	struct config c = { 0 };

	ok(config_load(k->store, k->recovery->keys, &c, e));
	return c;
}

/* A further revision with another number of signatures. */
static struct config put_next(const struct kit *k, const struct config *before, int signatures)
{
	struct config next = { 0 };
	auto_json json_t *o = json_deep_copy(before->json);

	assert_int_equal(json_object_set_new(o, "destroy_signatures", json_integer(signatures)), 0);
	ok(config_put_next(k->store, k->recovery->keys, before, o, before->features, &next, e));
	return next;
}

static void put_and_forget(const struct kit *k, int signatures)
{
	CLEANUP(config_clear) struct config before = load(k);
	struct config next = put_next(k, &before, signatures);

	config_clear(&next);
}

static void copy_object(const struct kit *k, const char *from, const char *to)
{
	size_t n;
	auto_free uint8_t *p = kit_get(k, from, &n);

	ok(put_bytes(k->store, to, p, n, e));
}

struct bads {
	char text[2000];
};

static int take_bad(void *arg, const char *key, const char *text, struct err *e)
{
	struct bads *b = arg;
	size_t n = strlen(b->text);

	(void)e;
	(void)snprintf(b->text + n, sizeof(b->text) - n, "%s %s\n", key, text);
	return 0;
}

static struct bads chain(const struct kit *k)
{
	struct bads b = { "" };

	ok(config_chain(k->store, k->audit->keys, take_bad, &b, e));
	return b;
}

/* ---- which counts ---- */

static void test_config_load__the_newest_revision_counts(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(config_clear) struct config first = load(&k);
	struct repo *r = NULL;

	(void)state;
	assert_int_equal(first.revision, 1);
	assert_int_equal(k.agent->params.revision, 1);
	assert_int_equal(k.agent->params.signatures, 1);
	assert_false(k.agent->params.single_writer);
	assert_string_equal(k.agent->keys->recipients[0].name, "recovery");
	for (int i = 2; i < 5; i++)
		put_and_forget(&k, 1 + i % 2);
	CLEANUP(config_clear) struct config last = load(&k);
	assert_int_equal(last.revision, 4);
	assert_string_equal(chain(&k).text, "");

	kit_open_key(&k, "agent.key", &r);
	assert_int_equal(r->params.revision, 4);
	assert_int_equal(r->params.signatures, 1);
	assert_int_equal(r->params.foreign, 0);
	repo_free(r);
}

static void test_config_load__what_the_admin_did_not_sign_does_not_count(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(buf_clear) struct buf forged = BUF_INIT(CONFIG_OBJECT_MAX);
	uint8_t signature[64];

	(void)state;
	put_and_forget(&k, 2);
	/* an agent's signature over a config that is well-formed */
	size_t n;
	auto_free uint8_t *p = kit_get(&k, "ctl/config/00000002", &n);
	assert_int_equal(buf_put(&forged, "aksdr config", 13), 0);
	(void)buf_put(&forged, p, n - 64);
	(void)crypto_sign_detached(signature, NULL, forged.data, forged.len,
	                           k.agent->keys->s->sign_secret);
	memcpy(p + n - 64, signature, 64);
	ok(put_bytes(k.store, "ctl/config/00000003", p, n, e));
	ok(put_text(k.store, "ctl/config/00000004", "nonsense", e));
	ok(put_text(k.store, "ctl/config/99999999", "", e));
	/* replays of what the admin has signed under other numbers */
	copy_object(&k, "config", "ctl/config/00000005");
	copy_object(&k, "ctl/config/00000002", "ctl/config/00000006");
	auto_free uint8_t *big = calloc(1, 2 * MIB);
	ok(put_bytes(k.store, "ctl/config/00000007", big, 2 * MIB, e));

	CLEANUP(config_clear) struct config c = load(&k);
	assert_int_equal(c.revision, 2);
	assert_int_equal(c.foreign, 6);
	struct bads b = chain(&k);
	assert_non_null(strstr(b.text, "ctl/config/00000003 is not signed by the admin"));
	assert_non_null(strstr(b.text, "ctl/config/00000004 is not signed by the admin"));
	assert_non_null(strstr(b.text, "ctl/config/00000005 is a copy of another revision"));
	assert_non_null(strstr(b.text, "ctl/config/00000006 is a copy of another revision"));
	assert_non_null(strstr(b.text, "ctl/config/00000007 is not the config"));
	assert_non_null(strstr(b.text, "ctl/config/99999999 is not signed"));

	/* The next one takes the lowest number that is free. */
	CLEANUP(config_clear) struct config next = put_next(&k, &c, 1);
	assert_int_equal(next.revision, 8);
	CLEANUP(config_clear) struct config now = load(&k);
	assert_int_equal(now.revision, 8);
	assert_int_equal(now.foreign, 1);
}

static void test_config_load__a_revision_of_a_later_program_is_not_passed_over(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(config_clear) struct config first = load(&k);
	CLEANUP(config_clear) struct config next = { 0 };
	CLEANUP(config_clear) struct config again = { 0 };

	(void)state;
	/* Who puts it looks at what stands afterwards, and does not understand it either. */
	fails(ERR_FORMAT,
	      config_put_next(k.store, k.recovery->keys, &first, first.json, 0x8001, &next, e));
	fails_saying(ERR_FORMAT, "features 0x8000",
	             config_load(k.store, k.recovery->keys, &again, e));
}

static void test_config_load__a_store_full_of_nonsense_is_named(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(config_clear) struct config c = { 0 };

	(void)state;
	for (unsigned i = 2; i < 1030; i++) {
		char key[32];

		config_key(i, key);
		ok(put_text(k.store, key, "x", e));
	}
	fails_saying(ERR_CORRUPT, "somebody fills the store",
	             config_load(k.store, k.recovery->keys, &c, e));
}

static void test_config_load__the_first_one_may_be_lost_when_there_are_others(void **state)
{
	auto_kit struct kit k = kit_new();

	(void)state;
	put_and_forget(&k, 2);
	kit_remove(&k, "config");
	CLEANUP(config_clear) struct config c = load(&k);
	assert_int_equal(c.revision, 2);
	assert_non_null(strstr(chain(&k).text, "config the first revision of the config is gone"));
	/* and a later one in its place is none */
	copy_object(&k, "ctl/config/00000002", "config");
	assert_non_null(strstr(chain(&k).text, "config 'config' is revision 2"));
	kit_remove(&k, "ctl/config/00000002");
	CLEANUP(config_clear) struct config none = { 0 };
	fails_saying(ERR_CORRUPT, "is revision 2 of the config under another name",
	             config_load(k.store, k.recovery->keys, &none, e));
}

static void test_config_load__faults_of_the_store_are_errors(void **state)
{
	auto_kit struct kit k = kit_new();
	struct config c;

	(void)state;
	put_and_forget(&k, 2);
	for (unsigned i = 0; i < 2; i++) {
		auto_store struct store *s = fault_store(k.store, i, FAULT_FAIL, FAULT_NONE, NULL);

		fails(ERR_RETRY, config_load(s, k.recovery->keys, &c, e));
	}
}

/* ---- putting ---- */

static void test_config_put_next__the_second_of_two_is_told(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(config_clear) struct config first = load(&k);
	CLEANUP(config_clear) struct config mine = put_next(&k, &first, 2);
	CLEANUP(config_clear) struct config other = { 0 };

	(void)state;
	assert_int_equal(mine.revision, 2);
	fails_saying(ERR_BUSY, "changed by somebody else meanwhile (revision 2",
	             config_put_next(k.store, k.recovery->keys, &first, first.json, 1, &other, e));
	CLEANUP(config_clear) struct config now = load(&k);
	assert_memory_equal(now.hash, mine.hash, 32);
}

static void test_config_put_next__takes_the_admin_key(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(config_clear) struct config first = load(&k);
	struct config c;

	(void)state;
	fails_saying(ERR_DENIED, "takes the recovery key that init made",
	             config_put_next(k.store, k.agent->keys, &first, first.json, 1, &c, e));
	fails_saying(ERR_DENIED, "takes the recovery key that init made",
	             config_put_next(k.store, k.audit->keys, &first, first.json, 1, &c, e));
}

static void test_config_put_next__every_fault_leaves_a_whole_chain(void **state)
{
	static const enum store_fault faults[] = { FAULT_FAIL, FAULT_APPLIED_LOST, FAULT_DENIED };

	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(faults); f++) {
		for (unsigned at = 0; at < 8; at++) {
			auto_kit struct kit k = kit_new();
			CLEANUP(config_clear) struct config first = load(&k);
			auto_store struct store *s = fault_store(k.store, at, faults[f], FAULT_NONE,
			                                         NULL);
			struct config c = { 0 };
			struct err e = ERR_INIT;
			int rc = config_put_next(s, k.recovery->keys, &first, first.json, 1, &c,
			                         &e);

			CLEANUP(config_clear) struct config now = load(&k);
			if (rc == 0)
				assert_memory_equal(now.hash, c.hash, 32);
			else
				assert_true(now.revision <= 2);
			config_clear(&c);
			assert_string_equal(chain(&k).text, "");
		}
	}
}

static void test_config_still__a_later_revision_stops_who_goes_by_an_older_one(void **state)
{
	auto_kit struct kit k = kit_new();

	(void)state;
	ok(config_still(k.store, k.agent->keys, 1, e));
	ok(put_text(k.store, "ctl/config/00000002", "nonsense", e));
	ok(config_still(k.store, k.agent->keys, 1, e));
	put_and_forget(&k, 2);
	fails_saying(ERR_BUSY, "(revision 3 of the config); run it again",
	             config_still(k.store, k.agent->keys, 1, e));
	ok(config_still(k.store, k.agent->keys, 3, e));
}

/* ---- the chain ---- */

static void test_config_chain__a_revision_that_is_gone_shows(void **state)
{
	auto_kit struct kit k = kit_new();

	(void)state;
	for (int i = 0; i < 3; i++)
		put_and_forget(&k, 1 + i % 2);
	kit_remove(&k, "ctl/config/00000003");
	assert_string_equal(chain(&k).text,
	                    "ctl/config/00000004 does not follow the revision of the config before "
	                    "it: that is gone, or exchanged\n");
	ok(put_text(k.store, "ctl/config/other", "x", e));
	assert_non_null(strstr(chain(&k).text, "ctl/config/other has a name that no revision"));
}

struct found {
	char text[4000];
};

static int take_problem(void *arg, const struct check_problem *p, struct err *e)
{
	struct found *f = arg;
	size_t n = strlen(f->text);

	(void)e;
	(void)snprintf(f->text + n, sizeof(f->text) - n, "%s %s: %s\n", check_what_name(p->what),
	               p->object, p->text);
	return 0;
}

static struct found check(const struct kit *k, const struct repo *r)
{
	struct found f = { "" };
	const struct check_params p = { .threads = 1, .problem = take_problem, .arg = &f };
	struct check_result result;

	(void)k;
	ok(check_run(r, &p, &result, e));
	return f;
}

/* A backup by this repository's handle, with content. */
static struct point back_up(struct kit *k, struct repo *agent, unsigned n)
{
	const struct kit_content c = {
		.volume = "v", .domain = "d", .n = n, .files = 2, .bytes = 100, .seed = n
	};
	struct repo *own = k->agent;

	k->agent = agent;
	struct point p = kit_backup(k, &c);
	k->agent = own;
	return p;
}

static void test_config__a_hidden_revision_is_noticed_by_points_that_name_it(void **state)
{
	auto_kit struct kit k = kit_new();
	const struct gc_params gc = { .threads = 1 };
	struct gc_result ignored;
	struct repo *later = NULL;

	(void)state;
	assert_string_equal(check(&k, k.audit).text, "");
	put_and_forget(&k, 2);
	kit_open_key(&k, "agent.key", &later);
	auto_kit_point struct point p = back_up(&k, later, 1);
	assert_int_equal(p.config, 2);
	assert_string_equal(check(&k, later).text, "");
	kit_remove(&k, "ctl/config/00000002");
	struct found f = check(&k, k.audit);
	assert_non_null(strstr(f.text, "missing ctl/config/00000002: restore point '"));
	assert_non_null(strstr(f.text, "the newest that the store shows is 1"));
	fails_saying(ERR_CORRUPT, "nobody can say which keys count",
	             gc_run(k.agent, &gc, &ignored, e));
	repo_free(later);
}

static void test_config__a_machine_that_has_seen_more_refuses_a_store_that_shows_less(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_free char *dir = path_join(k.dir, "keys");
	auto_free char *path = path_join(dir, "agent.key");
	auto_free char *local = path_join(k.dir, "state");
	size_t n;

	(void)state;
	put_and_forget(&k, 2);
	auto_free uint8_t *second = kit_get(&k, "ctl/config/00000002", &n);
	for (unsigned i = 0; i < 4; i++) {
		struct keys *keys = NULL;
		struct repo *r = NULL;

		ok(keys_load(path, NULL, &keys, e));
		switch (i) {
		case 1: /* hidden */
			kit_remove(&k, "ctl/config/00000002");
			break;
		case 2: /* or exchanged */
			ok(put_text(k.store, "ctl/config/00000002", "nonsense", e));
			break;
		case 3: /* it is back */
			kit_replace(&k, "ctl/config/00000002", second, n);
			break;
		default:
			break;
		}
		if (i == 1 || i == 2) {
			fails_saying(ERR_CORRUPT, "this machine has seen revision 2",
			             repo_open(k.store, keys, local, NULL, &r, e));
			continue;
		}
		ok(repo_open(k.store, keys, local, NULL, &r, e));
		assert_int_equal(r->params.signatures, 2);
		repo_free(r);
	}
}

static void test_config__objects_beside_revisions_stop_a_collection_and_are_told(void **state)
{
	auto_kit struct kit k = kit_new();
	const struct gc_params gc = { .threads = 1 };
	struct gc_result ignored;
	struct repo *r = NULL;

	(void)state;
	ok(put_text(k.store, "ctl/config/00000002", "nonsense", e));
	kit_open_key(&k, "agent.key", &r);
	assert_int_equal(r->params.foreign, 1);
	assert_non_null(strstr(check(&k, r).text, "mismatch ctl/config/00000002: is not signed"));
	fails_saying(ERR_CORRUPT, "are not signed by the admin key", gc_run(r, &gc, &ignored, e));
	repo_free(r);
}

/* ---- what it says ---- */

static void test_config_apply__refuses_signed_nonsense(void **state)
{
	static const struct {
		const char *member, *json, *says;
	} cases[] = {
		{ "destroy_signatures", "3", "is 3, this program knows 1 to 2" },
		{ "destroy_signatures", "0", "is 0, this program knows 1 to 2" },
		{ "destroy_signatures", "\"two\"", ".destroy_signatures" },
		{ "writers", "\"three\"", "writers 'three', unknown here" },
		{ "writers", "1", ".writers" },
		{ "revoked", "{}", ".revoked: expected an array" },
		{ "revoked", "[{\"public\": \"00\"}]", ".revoked" },
		{ "revoked",
		  "[{\"public\": "
		  "\"0000000000000000000000000000000000000000000000000000000000000000\","
		  " \"name\": \"x\"}]",
		  ".at_ns" },
		{ "revoked",
		  "[{\"public\": "
		  "\"0000000000000000000000000000000000000000000000000000000000000000\","
		  " \"name\": \"x\", \"at_ns\": 1, \"accepted\": [{\"object\": \"a b\", \"hash\": "
		  "\"0000000000000000000000000000000000000000000000000000000000000000\"}]}]",
		  "no name of an object" },
		{ "recipients", "[{\"public\": 1}]", ".recipients" },
	};
	auto_kit struct kit k = kit_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(config_clear) struct config c = load(&k);
		struct repo_params params = { 0 };
		json_error_t ignored;
		json_t *v = json_loads(cases[i].json, JSON_DECODE_ANY, &ignored);

		assert_non_null(v);
		assert_int_equal(json_object_set_new(c.json, cases[i].member, v), 0);
		fails_saying(ERR_FORMAT, cases[i].says,
		             config_apply(&c, k.audit->keys, &params, e));
		assert_int_equal(params.revision, 0);
	}
}

static void test_config_apply__members_of_later_programs_stay(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(config_clear) struct config first = load(&k);
	CLEANUP(config_clear) struct config next = { 0 };

	(void)state;
	assert_int_equal(json_object_set_new(first.json, "fancy", json_integer(7)), 0);
	ok(config_put_next(k.store, k.recovery->keys, &first, first.json, 1, &next, e));
	put_and_forget(&k, 2);
	CLEANUP(config_clear) struct config now = load(&k);
	assert_int_equal(json_integer_value(json_object_get(now.json, "fancy")), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_load__the_newest_revision_counts),
		cmocka_unit_test(test_config_load__what_the_admin_did_not_sign_does_not_count),
		cmocka_unit_test(
			test_config_load__a_revision_of_a_later_program_is_not_passed_over),
		cmocka_unit_test(test_config_load__a_store_full_of_nonsense_is_named),
		cmocka_unit_test(test_config_load__the_first_one_may_be_lost_when_there_are_others),
		cmocka_unit_test(test_config_load__faults_of_the_store_are_errors),
		cmocka_unit_test(test_config_put_next__the_second_of_two_is_told),
		cmocka_unit_test(test_config_put_next__takes_the_admin_key),
		cmocka_unit_test(test_config_put_next__every_fault_leaves_a_whole_chain),
		cmocka_unit_test(
			test_config_still__a_later_revision_stops_who_goes_by_an_older_one),
		cmocka_unit_test(test_config_chain__a_revision_that_is_gone_shows),
		cmocka_unit_test(test_config__a_hidden_revision_is_noticed_by_points_that_name_it),
		cmocka_unit_test(
			test_config__a_machine_that_has_seen_more_refuses_a_store_that_shows_less),
		cmocka_unit_test(
			test_config__objects_beside_revisions_stop_a_collection_and_are_told),
		cmocka_unit_test(test_config_apply__refuses_signed_nonsense),
		cmocka_unit_test(test_config_apply__members_of_later_programs_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
