/* SPDX-License-Identifier: Apache-2.0 */
/* What the catalog knows of keys: revisions, signers that were revoked, recipients. */
#include "catalog/revision.h"

#include "common/json.h"
#include "tests/unit/catalog/catalog_kit.h"

static void test_revision_sync__notes_keys_and_revisions(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_free char *path = path_join(k.dir, "catalog.db");
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");

	(void)state;
	(void)kit_sync(&k, c);
	assert_rows(c,
	            "SELECT revision, length(hash), signatures, signers, recipients FROM configs",
	            "1|64|1|1|1\n");
	assert_rows(c, "SELECT count(*), count(gone_ns), max(seen_ns) FROM recipients",
	            "1|0|1881705600000000000\n");

	/* Another revision, which a sync has not seen as the newest: its number is there. */
	auto_json json_t *json = json_deep_copy(k.recovery->config.json);
	assert_int_equal(json_object_set_new(json, "destroy_signatures", json_integer(2)), 0);
	ok(repo_change(k.recovery, json, k.recovery->config.features, e));
	ok(revision_sync(c, k.audit, KIT_NOW_NS, e));
	assert_rows(c, "SELECT revision FROM configs", "1\n");
	ok(revision_sync(c, k.recovery, KIT_NOW_NS, e));
	assert_rows(c, "SELECT revision, signatures FROM configs ORDER BY 1", "1|1\n2|2\n");
}

static void test_revision_sync__recipients_come_and_go(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_free char *path = path_join(k.dir, "catalog.db");
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	struct keys *keys = k.audit->keys;

	(void)state;
	ok(revision_sync(c, k.audit, 1000, e));
	memset(keys->recipients[1].id, 7, sizeof(keys->recipients[1].id));
	keys->nrecipients = 2;
	ok(revision_sync(c, k.audit, 2000, e));
	keys->nrecipients = 1;
	ok(revision_sync(c, k.audit, 3000, e));
	assert_rows(c, "SELECT seen_ns, gone_ns FROM recipients ORDER BY seen_ns",
	            "1000|\n2000|3000\n");
	keys->nrecipients = 2;
	ok(revision_sync(c, k.audit, 4000, e));
	assert_rows(c, "SELECT seen_ns, gone_ns FROM recipients ORDER BY seen_ns",
	            "1000|\n2000|\n");
}

static void test_revision_sync__signer_that_was_revoked(void **state)
{
	auto_kit struct kit k = kit_new();
	const struct point_volume v = kit_volume("ns", "web");
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	auto_kit_point struct point p = kit_commit(&k, &v, 1, NULL);

	(void)state;
	(void)kit_sync(&k, c);
	assert_rows(c, "SELECT name, points, revoked FROM v_signers WHERE points > 0",
	            "agent|1|\n");
	k.audit->keys->signers[0].revoked = true;
	k.audit->keys->signers[0].revoked_ns = KIT_EPOCH_NS;
	ok(revision_sync(c, k.audit, KIT_NOW_NS, e));
	assert_rows(c, "SELECT revoked FROM v_signers WHERE points > 0", "2026-11-22T00:00:00Z\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_revision_sync__notes_keys_and_revisions),
		cmocka_unit_test(test_revision_sync__recipients_come_and_go),
		cmocka_unit_test(test_revision_sync__signer_that_was_revoked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
