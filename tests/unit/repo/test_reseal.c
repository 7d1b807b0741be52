/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing data keys anew: what a new recipient can read then, after a repack
 * too, what is done once only, and whose objects are believed.
 */
#include "repo/reseal.h"

#include <sodium.h>

#include "common/hex.h"
#include "common/json.h"

#include "repo/expiry.h"
#include "repo/gc.h"
#include "repo/note.h"
#include "tests/harness/fault_kit.h"
#include "tests/harness/keys_kit.h"

#define HOUR_NS ((int64_t)3600 * 1000000000)

static struct kit_content content(unsigned n)
{
	return (struct kit_content){
		.volume = "v", .domain = "d", .n = n, .files = 4, .bytes = 3000, .seed = n * 100
	};
}

/* n points of as many packs, made before the recipient "spare" is added. */
static void old_points(struct kit *k, struct point *points, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct kit_content c = content(i + 1);

		points[i] = kit_backup(k, &c);
	}
	repo_free(kit_add_recipient(k, "spare"));
	kit_reopen(k);
}

static void clear_points(struct point *points, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		point_clear(&points[i]);
}

static struct reseal_result reseal_with(const struct kit *k, size_t entries_max, bool dry_run)
{
	const struct reseal_params p = {
		.to = "spare", .threads = 2, .entries_max = entries_max, .dry_run = dry_run
	};
	struct reseal_result r;

	ok(reseal_run(k->recovery, &p, &r, e));
	return r;
}

/* The new recipient alone, with no memory of before, reads everything. */
static void assert_spare_reads(struct kit *k, const struct point *points, unsigned n)
{
	struct repo *spare = kit_open(k, "spare.key");

	for (unsigned i = 0; i < n; i++) {
		const struct kit_content c = content(i + 1);

		kit_assert_readable(spare, &points[i], &c);
	}
	assert_int_equal(kit_check(spare, 4, NULL).points, n);
	repo_free(spare);
}

static void test_reseal_run__opens_packs_from_before(void **state)
{
	auto_kit struct kit k = kit_new();
	struct point p[3];

	(void)state;
	old_points(&k, p, 3);
	struct reseal_result r = reseal_with(&k, 0, true);
	assert_int_equal(r.packs, 3);
	assert_int_equal(r.sealed, 3);
	assert_int_equal(r.objects, 0);
	assert_int_equal(kit_count(&k, "reseal/"), 0);
	r = reseal_with(&k, 0, false);
	assert_int_equal(r.sealed, 3);
	assert_int_equal(r.present, 0);
	assert_int_equal(r.objects, 1);
	assert_int_equal(r.bad_packs, 0);
	assert_spare_reads(&k, p, 3);
	/* done once */
	r = reseal_with(&k, 0, false);
	assert_int_equal(r.sealed, 0);
	assert_int_equal(r.present, 3);
	assert_int_equal(kit_count(&k, "reseal/"), 1);
	clear_points(p, 3);
}

static void test_reseal_run__packs_of_after_need_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	struct point p[2];

	(void)state;
	old_points(&k, p, 1);
	const struct kit_content c = content(2);
	p[1] = kit_backup(&k, &c);
	struct reseal_result r = reseal_with(&k, 0, false);
	assert_int_equal(r.packs, 2);
	assert_int_equal(r.present, 1);
	assert_int_equal(r.sealed, 1);
	assert_spare_reads(&k, p, 2);
	clear_points(p, 2);
}

static void test_reseal_run__objects_are_limited_and_sorted(void **state)
{
	auto_kit struct kit k = kit_new();
	struct kit_names names;
	struct point p[7];

	(void)state;
	old_points(&k, p, 7);
	struct reseal_result r = reseal_with(&k, 3, false);
	assert_int_equal(r.objects, 3);
	kit_list(&k, "reseal/", &names);
	assert_int_equal(names.n, 3);
	for (size_t i = 0; i < names.n; i++) {
		CLEANUP(buf_clear) struct buf list = BUF_INIT(MIB);
		auto_json json_t *o = NULL;

		ok(note_get_list(k.audit, FORMAT_KIND_RESEAL, names.keys[i], &o, &list, NULL, e));
		assert_true(list.len == 3 * FORMAT_RESEAL_BYTES || list.len == FORMAT_RESEAL_BYTES);
		assert_true(reseal_list_valid(list.data, list.len));
	}
	assert_spare_reads(&k, p, 7);
	clear_points(p, 7);
}

static void test_reseal_run__survives_a_repack(void **state)
{
	const struct gc_params gc = { .fence_after_ns = -HOUR_NS,
		                      .young_ns = -HOUR_NS,
		                      .repack_percent = GC_REPACK_DEFAULT,
		                      .threads = 2 };
	auto_kit struct kit k = kit_new();
	struct kit_content c = {
		.volume = "v", .domain = "d", .n = 1, .files = 40, .bytes = 9000, .seed = 1
	};
	struct gc_result collected;
	uint64_t number;

	(void)state;
	/* The second point has the first half of the first's files, which are in one pack. */
	auto_kit_point struct point first = kit_backup(&k, &c);
	c.n = 2;
	c.previous = &first;
	c.files = c.from = 20;
	auto_kit_point struct point second = kit_backup(&k, &c);
	repo_free(kit_add_recipient(&k, "spare"));
	kit_reopen(&k);
	assert_int_equal(reseal_with(&k, 0, false).sealed, 1);
	const struct expiry_point going = { .session = first.session, .why = "a test" };
	ok(expiry_put_tomb(k.agent, "", &going, 1, &number, e));
	ok(gc_run(k.agent, &gc, &collected, e));
	assert_int_equal(collected.repacked.packs, 1);
	assert_true(collected.deleted.packs > 0);

	struct repo *spare = kit_open(&k, "spare.key");
	kit_assert_readable(spare, &second, &c);
	assert_int_equal(kit_check(spare, 4, NULL).points, 1);
	/* The key is in another pack now, and known all the same. */
	struct reseal_result r = reseal_with(&k, 0, false);
	assert_int_equal(r.sealed, 0);
	assert_int_equal(r.present, 1);
	repo_free(spare);
}

static void test_reseal_run__takes_the_admin_key_and_a_recipient(void **state)
{
	auto_kit struct kit k = kit_new();
	struct reseal_params p = { .to = "spare" };
	struct reseal_result r;

	(void)state;
	struct repo *spare = kit_add_recipient(&k, "spare");
	kit_reopen(&k);
	fails_saying(ERR_DENIED, "has no admin key to sign with", reseal_run(spare, &p, &r, e));
	fails_saying(ERR_DENIED, "opens no pack", reseal_run(k.agent, &p, &r, e));
	p.to = "nobody";
	fails_saying(ERR_NOT_FOUND, "there is 'recovery', 'spare'",
	             reseal_run(k.recovery, &p, &r, e));
	repo_free(spare);
}

static void test_reseal_run__packs_that_do_not_open_are_counted(void **state)
{
	auto_kit struct kit k = kit_new();
	struct kit_names names;
	struct point p[3];

	(void)state;
	old_points(&k, p, 3);
	kit_list(&k, "pack/", &names);
	kit_flip(&k, names.keys[0], 2);                             /* its head */
	kit_flip(&k, names.keys[1], FORMAT_PACK_FIXED_BYTES + 100); /* its sealed key */
	ok(put_text(k.store, "pack/zz/other", "not a pack", e));
	struct reseal_result r = reseal_with(&k, 0, false);
	assert_int_equal(r.packs, 3);
	assert_int_equal(r.sealed, 1);
	assert_int_equal(r.bad_packs, 2);
	assert_true(strcmp(r.bad, names.keys[0]) == 0 || strcmp(r.bad, names.keys[1]) == 0);
	clear_points(p, 3);
}

static void test_reseal_run__can_die_at_each_call_and_goes_on(void **state)
{
	bool died = true;

	(void)state;
	for (uint64_t at = 0; died; at++) {
		auto_kit struct kit k = kit_new();
		const struct reseal_params params = { .to = "spare",
			                              .threads = 1,
			                              .entries_max = 2 };
		struct reseal_result ignored;
		struct fault_lent *lent;
		struct err why = ERR_INIT;
		struct point p[5];

		assert_true(at < 40);
		old_points(&k, p, 5);
		auto_store struct store *s = fault_store(k.store, at,
		                                         at % 2 ? FAULT_APPLIED_LOST : FAULT_FAIL,
		                                         FAULT_FAIL, &lent);
		k.recovery->store = s;
		(void)!reseal_run(k.recovery, &params, &ignored, &why);
		k.recovery->store = k.store;
		died = atomic_load(&lent->calls) > at;
		struct reseal_result r = reseal_with(&k, 2, false);
		assert_int_equal(r.sealed + r.present, 5);
		assert_spare_reads(&k, p, 5);
		assert_int_equal(reseal_with(&k, 2, false).sealed, 0);
		clear_points(p, 5);
	}
}

/* ---- whose objects are believed ---- */

/* A re-seal object for "spare" by this signer. */
static void put_list(struct repo *by, const struct repo *spare, const void *p, size_t n)
{
	CLEANUP(buf_clear) struct buf list = BUF_INIT(MIB);
	char prefix[64];
	char hex[17];
	char key[NOTE_KEY_MAX];
	uint8_t id[8];

	key_recipient_id(id, spare->keys->recovery_public);
	hex_encode(hex, id, sizeof(id));
	(void)snprintf(prefix, sizeof(prefix), "reseal/%s", hex);
	note_new_key(prefix, key);
	auto_json json_t *o = json_pack("{s:s}", "schema", "aksdr/reseal/v1");
	assert_int_equal(buf_put(&list, p, n), 0);
	ok(note_put_list(by, FORMAT_KIND_RESEAL, key, o, &list, e));
}

static void test_reseal_dek__nonsense_beside_the_true_entry_does_no_harm(void **state)
{
	auto_kit struct kit k = kit_new();
	struct kit_names names;
	struct point p[1];

	(void)state;
	old_points(&k, p, 1);
	struct repo *spare = kit_open(&k, "spare.key");
	kit_list(&k, "pack/", &names);
	size_t n;
	auto_free uint8_t *pack = kit_get(&k, names.keys[0], &n);
	/* The commitment of the pack's key with something else sealed; by the admin even. */
	uint8_t entry[FORMAT_RESEAL_BYTES] = { 0 };
	memcpy(entry, pack + FORMAT_PACK_FIXED_BYTES + 2, 32);
	put_list(k.recovery, spare, entry, sizeof(entry));
	uint8_t other[FORMAT_DEK_BYTES] = { 7 };
	assert_int_equal(crypto_box_seal(entry + 32, other, sizeof(other),
	                                 spare->keys->recovery_public),
	                 0);
	put_list(k.recovery, spare, entry, sizeof(entry));
	put_list(k.recovery, spare, entry, sizeof(entry) - 1);
	const struct kit_content c = content(1);
	struct kit_reading x = kit_read(spare, &p[0], &c);
	assert_int_equal(x.good, 0);
	assert_int_equal(x.why, ERR_DENIED);
	/*
	 * The admin's own list has the commitment, so it is taken for done. An object that is not
	 * the admin's is none.
	 */
	kit_list(&k, "reseal/", &names);
	for (size_t i = 0; i < names.n; i++)
		kit_remove(&k, names.keys[i]);
	put_list(k.agent, spare, entry, sizeof(entry));
	assert_int_equal(reseal_with(&k, 0, false).sealed, 1);
	assert_spare_reads(&k, p, 1);
	clear_points(p, 1);
	repo_free(spare);
}

static void test_reseal_list_valid__what_is_in_order(void **state)
{
	uint8_t two[2 * FORMAT_RESEAL_BYTES] = { 0 };
	auto_free uint8_t *many = calloc(RESEAL_ENTRIES_MAX + 1, FORMAT_RESEAL_BYTES);

	(void)state;
	assert_non_null(many);
	assert_true(reseal_list_valid(two, 0));
	assert_true(reseal_list_valid(two, FORMAT_RESEAL_BYTES));
	assert_false(reseal_list_valid(two, sizeof(two))); /* the same twice */
	two[0] = 1;
	assert_false(reseal_list_valid(two, sizeof(two)));
	two[FORMAT_RESEAL_BYTES] = 2;
	assert_true(reseal_list_valid(two, sizeof(two)));
	assert_false(reseal_list_valid(two, sizeof(two) - 1));
	for (size_t i = 0; i <= RESEAL_ENTRIES_MAX; i++) {
		many[i * FORMAT_RESEAL_BYTES] = (uint8_t)(i >> 16);
		many[i * FORMAT_RESEAL_BYTES + 1] = (uint8_t)(i >> 8);
		many[i * FORMAT_RESEAL_BYTES + 2] = (uint8_t)i;
	}
	assert_true(reseal_list_valid(many, (size_t)RESEAL_ENTRIES_MAX * FORMAT_RESEAL_BYTES));
	assert_false(
		reseal_list_valid(many, ((size_t)RESEAL_ENTRIES_MAX + 1) * FORMAT_RESEAL_BYTES));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reseal_run__opens_packs_from_before),
		cmocka_unit_test(test_reseal_run__packs_of_after_need_nothing),
		cmocka_unit_test(test_reseal_run__objects_are_limited_and_sorted),
		cmocka_unit_test(test_reseal_run__survives_a_repack),
		cmocka_unit_test(test_reseal_run__takes_the_admin_key_and_a_recipient),
		cmocka_unit_test(test_reseal_run__packs_that_do_not_open_are_counted),
		cmocka_unit_test(test_reseal_run__can_die_at_each_call_and_goes_on),
		cmocka_unit_test(test_reseal_dek__nonsense_beside_the_true_entry_does_no_harm),
		cmocka_unit_test(test_reseal_list_valid__what_is_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
