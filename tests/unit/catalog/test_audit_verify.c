/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit trail is whole, or where it is not is said: thousands of changes to the copy, one at a
 * time, and to the store.
 */
#include "catalog/audit_verify.h"

#include "catalog/audit_sync.h"
#include "repo/audit_anchor.h"
#include "repo/audit_writer.h"
#include "tests/unit/catalog/catalog_kit.h"
#include "tests/unit/repo/audit_kit.h"

#define STATES 3
#define FLUSHES 4
#define EACH 2
#define ROWS (STATES * FLUSHES * EACH)

struct world {
	struct kit k;
	struct catalog *c;
	struct repo writers[STATES];
};

static void world_clear(struct world *w)
{
	catalog_free(w->c);
	kit_clear(&w->k);
}

/* Chains are named by the days of the real clock. */
static struct sync_result sync_now(const struct kit *k, struct catalog *c)
{
	const struct sync_params p = { .now_ns = now_wall_ns() };
	struct sync_result r;

	ok(sync_run(c, k->audit, &p, &r, e));
	return r;
}

static void record(struct world *w, unsigned i, unsigned n)
{
	auto_json json_t *o = audit_kit_record(&w->writers[i], n % 2 ? "backup" : "gc", n);

	ok(audit_writer_spool(&w->writers[i], o, e));
}

static uint64_t anchor(struct world *w)
{
	uint64_t n;

	ok(audit_sync_anchor(w->c, w->k.agent, now_wall_ns(), &n, e));
	return n;
}

/* Three writers, one of which lost what it knew and goes on with another chain; two anchors. */
static void world_init(struct world *w)
{
	unsigned n = 0;

	*w = (struct world){ .k = kit_new() };
	w->c = kit_catalog(w->k.dir, "catalog.db");
	(void)sync_now(&w->k, w->c);
	for (unsigned f = 0; f < FLUSHES; f++) {
		for (unsigned i = 0; i < STATES; i++) {
			w->writers[i] = *w->k.agent;
			(void)snprintf(w->writers[i].state, sizeof(w->writers[i].state), "%s/s%u",
			               w->k.dir, i);
			for (unsigned r = 0; r < EACH; r++)
				record(w, i, ++n);
			ok(audit_writer_flush(&w->writers[i], e));
		}
		if (f % 2)
			assert_int_equal(anchor(w), f / 2 + 1);
	}
}

/* Does state 0 again what it did, from before: a fork of its chain. */
static void fork_chain(struct world *w)
{
	auto_free char *head = read_file(w->writers[0].state, "audit/head", NULL);

	record(w, 0, 500);
	ok(audit_writer_flush(&w->writers[0], e));
	write_text(w->writers[0].state, "audit/head", head);
	record(w, 0, 501);
	ok(audit_writer_flush(&w->writers[0], e));
}

/* ---- what is found ---- */

struct finds {
	size_t n;
	unsigned kinds; /* bits */
	char writer[64];
	uint64_t number, place; /* of the first */
};

static int take(void *arg, const struct audit_finding *f, struct err *e)
{
	struct finds *x = arg;

	(void)e;
	assert_true(f->text && f->text[0]);
	if (x->n++ == 0) {
		(void)snprintf(x->writer, sizeof(x->writer), "%s", f->writer);
		x->number = f->number;
		x->place = f->place;
	}
	x->kinds |= 1U << f->kind;
	return 0;
}

static struct finds verify_with(struct world *w, bool store, const char *head)
{
	struct finds x = { .n = 0 };
	const struct audit_verify_params p = { .repo = store ? w->k.audit : NULL,
		                               .head = head,
		                               .state = w->k.dir,
		                               .found = take,
		                               .arg = &x };
	struct audit_verify_result r;

	ok(audit_verify(w->c, &p, &r, e));
	return x;
}

static void sql(struct world *w, const char *text)
{
	ok(catalog_exec(w->c, text, e));
}

static void begin(struct world *w)
{
	sql(w, "BEGIN; DROP TRIGGER audit_batches_stay; DROP TRIGGER audit_stay;"
	       " DROP TRIGGER audit_anchors_stay; DROP TRIGGER audit_heads_stay;"
	       " DROP TRIGGER audit_batches_fixed; DROP TRIGGER audit_fixed;"
	       " DROP TRIGGER audit_anchors_fixed; DROP TRIGGER audit_heads_fixed;"
	       " PRAGMA defer_foreign_keys = ON; PRAGMA ignore_check_constraints = ON");
}

static void end(struct world *w)
{
	sql(w, "ROLLBACK; PRAGMA ignore_check_constraints = OFF");
}

static int64_t number_of(struct world *w, const char *text)
{
	struct err why = ERR_INIT;
	auto_stmt sqlite3_stmt *s = catalog_prepare(w->c, text, &why);

	assert_non_null(s);
	assert_int_equal(catalog_step(w->c, s, &why), 1);
	return sqlite3_column_int64(s, 0);
}

/* Changes one row, and what is found must be of that writer, unless anchors tell. */
static void change(struct world *w, const char *text, const char *writer, bool store)
{
	begin(w);
	sql(w, text);
	/* A key that is taken already. */
	const bool done = sqlite3_changes(w->c->db) > 0;
	struct finds x = verify_with(w, store, NULL);
	end(w);
	if (!done && strncmp(text, "UPDATE OR IGNORE", 16) == 0)
		return;
	if (x.n == 0)
		fail_msg("nothing was found: %s", text);
	if (writer && x.writer[0] && strcmp(x.writer, writer) != 0)
		fail_msg("'%s' is said, and not '%s': %s", x.writer, writer, text);
}

struct edits {
	struct world *w;
	unsigned n;
};

/* Each column of each row of a table, but for some, changed in several ways. */
static void edit_columns(struct edits *x, const char *table, const char *except, bool store)
{
	static const char *const ways[] = {
		"CASE typeof(%1$s) WHEN 'integer' THEN %1$s + 1 "
		"WHEN 'null' THEN NULL ELSE %1$s || "
		"'x' END",
		"CASE typeof(%1$s) WHEN 'integer' THEN %1$s + 1000 WHEN 'null' THEN NULL "
		"ELSE 'y' || "
		"substr(%1$s, 2) END",
	};
	struct err why = ERR_INIT;
	const char *key = strcmp(table, "audit") == 0           ? "writer, place"
	                  : strcmp(table, "audit_heads") == 0   ? "anchor, writer"
	                  : strcmp(table, "audit_anchors") == 0 ? "number, number"
	                                                        : "writer, number";
	char query[2048];
	char expr[512];

	(void)snprintf(query, sizeof(query),
	               "SELECT name FROM pragma_table_info('%s') WHERE instr('%s', ' ' || name || "
	               "' ') = 0",
	               table, except);
	auto_stmt sqlite3_stmt *columns = catalog_prepare(x->w->c, query, &why);
	assert_non_null(columns);
	char names[32][32];
	size_t n = 0;
	while (catalog_step(x->w->c, columns, &why) > 0)
		(void)snprintf(names[n++], sizeof(names[0]), "%s", catalog_text(columns, 0));
	(void)sqlite3_reset(columns);
	(void)snprintf(query, sizeof(query), "SELECT count(*) FROM %s", table);
	int64_t rows = number_of(x->w, query);
	for (int64_t row = 0; row < rows; row++) {
		for (size_t i = 0; i < n; i++) {
			for (size_t k = 0; k < ARRAY_LEN(ways); k++) {
				/* What is not there stays so. */
				(void)snprintf(
					query, sizeof(query),
					"SELECT typeof(%s) = 'null' FROM %s LIMIT 1 OFFSET %lld",
					names[i], table, (long long)row);
				if (number_of(x->w, query))
					continue;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
				(void)snprintf(expr, sizeof(expr), ways[k], names[i]);
#pragma GCC diagnostic pop
				(void)snprintf(
					query, sizeof(query),
					"UPDATE OR IGNORE %s SET %s = %s WHERE (%s) = (SELECT %s "
					"FROM %s LIMIT 1 OFFSET %lld)",
					table, names[i], expr, key, key, table, (long long)row);
				change(x->w, query, NULL, store);
				x->n++;
			}
		}
	}
}

static void test_audit_verify__finds_nothing_in_what_is_whole(void **state)
{
	CLEANUP(world_clear) struct world w;
	char head[AUDIT_HEAD_MAX];

	(void)state;
	world_init(&w);
	assert_int_equal(verify_with(&w, false, NULL).n, 0);
	assert_int_equal(verify_with(&w, true, NULL).n, 0);
	ok(audit_verify_head(w.c, head, e));
	assert_int_equal(verify_with(&w, false, head).n, 0);
	head[3] = head[3] == '0' ? '1' : '0';
	assert_int_equal(verify_with(&w, false, head).kinds, 1U << AUDIT_ROLLED);
	assert_rows(w.c, "SELECT count(*), count(DISTINCT writer) FROM audit", "24|3\n");
	assert_rows(w.c,
	            "SELECT act, object, why, user, result FROM v_audit WHERE id ="
	            " '00000000000000000000000000000001'",
	            "backup|shop/orders|because|root|done\n");
}

static void test_audit_verify__finds_each_column_of_the_copy_that_is_edited(void **state)
{
	CLEANUP(world_clear) struct world w;
	struct edits x = { .w = &w };

	(void)state;
	world_init(&w);
	edit_columns(&x, "audit", " ", false);
	edit_columns(&x, "audit_batches", " signer object_hash received_ns ", false);
	edit_columns(&x, "audit_anchors", " signer ", false);
	edit_columns(&x, "audit_heads", " ", false);
	assert_true(x.n > 1000);
	change(&w, "UPDATE audit_batches SET object_hash = 'x' || substr(object_hash, 2)", NULL,
	       true);
	change(&w, "UPDATE audit_batches SET signer = '0000000000000000'", NULL, false);
	change(&w,
	       "INSERT INTO signers (signer, public, name) VALUES ('0000000000000000',"
	       " '0000000000000000000000000000000000000000000000000000000000000000', 'x');"
	       " UPDATE audit_batches SET signer = '0000000000000000'",
	       NULL, true);
}

static void test_audit_verify__finds_each_row_of_the_copy_that_is_gone_swapped_or_more(void **state)
{
	CLEANUP(world_clear) struct world w;
	char query[512];

	(void)state;
	world_init(&w);
	for (unsigned row = 0; row < ROWS; row++) {
		(void)snprintf(query, sizeof(query),
		               "DELETE FROM audit WHERE (writer, place) = "
		               "(SELECT writer, place FROM "
		               "audit LIMIT 1 OFFSET %u)",
		               row);
		change(&w, query, NULL, false);
		(void)snprintf(
			query, sizeof(query),
			"INSERT INTO audit SELECT writer, place + 1000, number, id, at_ns, "
			"took_ms, act, object, objects, object_count, why, result, status, "
			"error, run, signer, user, host, program, version, account, pod, record "
			"FROM audit LIMIT 1 OFFSET %u",
			row);
		change(&w, query, NULL, false);
		if (row % EACH == EACH - 1)
			continue;
		(void)snprintf(
			query, sizeof(query),
			"CREATE TEMP TABLE t AS SELECT * FROM audit LIMIT 2 OFFSET %u; DELETE "
			"FROM audit WHERE (writer, place) IN (SELECT writer, place FROM t); "
			"UPDATE t SET place = (SELECT min(place) + max(place) FROM t) - place; "
			"INSERT INTO audit SELECT * FROM t",
			row);
		change(&w, query, NULL, false);
	}
	for (unsigned row = 0; row < 12; row++) {
		/* a batch with all that is in it, alone, and with all behind it */
		(void)snprintf(
			query, sizeof(query),
			"CREATE TEMP TABLE t AS SELECT writer, number FROM audit_batches LIMIT 1 "
			"OFFSET %u; DELETE FROM audit WHERE (writer, number) IN t; DELETE FROM "
			"audit_batches WHERE (writer, number) IN t",
			row);
		change(&w, query, NULL, false);
		(void)snprintf(
			query, sizeof(query),
			"CREATE TEMP TABLE t AS SELECT b.writer, b.number FROM audit_batches b, "
			"(SELECT * FROM audit_batches LIMIT 1 OFFSET %u) x WHERE b.writer = "
			"x.writer AND b.number >= x.number; DELETE FROM audit WHERE (writer, "
			"number) IN t; DELETE FROM audit_batches WHERE (writer, number) IN t",
			row);
		change(&w, query, NULL, false);
	}
	change(&w, "DELETE FROM audit; DELETE FROM audit_batches", NULL, false);
	assert_int_equal(verify_with(&w, false, NULL).n, 0);
	change(&w,
	       "DELETE FROM audit_heads WHERE anchor = 2; DELETE FROM audit_anchors WHERE"
	       " number = 2",
	       NULL, true);
	change(&w,
	       "DELETE FROM audit_heads WHERE anchor = 1; DELETE FROM audit_anchors WHERE"
	       " number = 1",
	       NULL, false);
}

/* All of it went back: nothing in the copy contradicts it, but what this machine has seen does. */
static void test_audit_verify__remembers_what_it_has_seen(void **state)
{
	CLEANUP(world_clear) struct world w;

	(void)state;
	world_init(&w);
	assert_int_equal(verify_with(&w, false, NULL).n, 0);
	change(&w,
	       "DELETE FROM audit_heads; DELETE FROM audit_anchors; DELETE FROM audit WHERE"
	       " number > 2; DELETE FROM audit_batches WHERE number > 2",
	       NULL, false);
	record(&w, 0, 900);
	ok(audit_writer_flush(&w.writers[0], e));
	(void)sync_now(&w.k, w.c);
	assert_int_equal(verify_with(&w, false, NULL).n, 0);
	/* The last batch, which no anchor stands for. */
	change(&w, "DELETE FROM audit WHERE number = 5; DELETE FROM audit_batches WHERE number = 5",
	       NULL, false);
}

static void test_audit_verify__finds_what_becomes_of_objects_in_the_store(void **state)
{
	static struct kit_names names;
	CLEANUP(world_clear) struct world w;

	(void)state;
	world_init(&w);
	kit_list(&w.k, AUDIT_PREFIX, &names);
	assert_int_equal(names.n, 12);
	for (size_t i = 0; i < names.n; i++) {
		char writer[AUDIT_WRITER_LEN + 1];
		uint64_t number;
		size_t n;
		auto_free uint8_t *p = kit_get(&w.k, names.keys[i], &n);

		assert_true(audit_batch_key_parse(names.keys[i], writer, &number));
		for (size_t at = 0; at < n; at += n / 40) {
			p[at] ^= 1;
			ok(store_delete(w.k.store, names.keys[i], e));
			ok(put_bytes(w.k.store, names.keys[i], p, n, e));
			struct finds x = verify_with(&w, true, NULL);
			assert_int_equal(x.n, 1);
			assert_string_equal(x.writer, writer);
			assert_int_equal(x.number, number);
			p[at] ^= 1;
		}
		ok(store_delete(w.k.store, names.keys[i], e));
		struct finds x = verify_with(&w, true, NULL);
		assert_int_equal(x.kinds, 1U << AUDIT_GONE);
		assert_string_equal(x.writer, writer);
		assert_int_equal(x.number, number);
		/* Another one's bytes under this name. */
		size_t other_n;
		auto_free uint8_t *q = kit_get(&w.k, names.keys[(i + 1) % names.n], &other_n);
		ok(put_bytes(w.k.store, names.keys[i], q, other_n, e));
		assert_int_equal(verify_with(&w, true, NULL).kinds, 1U << AUDIT_CHANGED);
		ok(store_delete(w.k.store, names.keys[i], e));
		ok(put_bytes(w.k.store, names.keys[i], p, n, e));
	}
}

static void test_audit_verify__finds_a_store_that_went_back_and_a_new_copy_of_it(void **state)
{
	static struct kit_names names;
	CLEANUP(world_clear) struct world w;

	(void)state;
	world_init(&w);
	/* The end of one chain: the store, and a copy made anew, contradict the anchors. */
	kit_list(&w.k, AUDIT_PREFIX, &names);
	ok(store_delete(w.k.store, names.keys[names.n - 1], e));
	auto_catalog struct catalog *anew = kit_catalog(w.k.dir, "anew.db");
	(void)sync_now(&w.k, anew);
	struct catalog *old = w.c;
	w.c = anew;
	struct finds x = verify_with(&w, false, NULL);
	w.c = old;
	assert_int_equal(x.kinds, 1U << AUDIT_CUT);
	assert_int_equal(x.number, 4);
	/* All chains and anchors: what was noted elsewhere tells. */
	char head[AUDIT_HEAD_MAX];
	ok(audit_verify_head(w.c, head, e));
	assert_int_equal(verify_with(&w, true, NULL).kinds, 1U << AUDIT_GONE);
}

static void test_audit_verify__tells_a_chain_that_goes_on_twice(void **state)
{
	CLEANUP(world_clear) struct world w;

	(void)state;
	world_init(&w);
	fork_chain(&w);
	(void)sync_now(&w.k, w.c);
	struct finds x = verify_with(&w, false, NULL);
	assert_int_equal(x.kinds, 1U << AUDIT_FORKED);
	assert_int_equal(x.number, 4);
}

static void test_audit_verify__tells_of_a_signer_that_nobody_knows(void **state)
{
	CLEANUP(world_clear) struct world w;
	struct stranger s;

	(void)state;
	world_init(&w);
	stranger_init(&s, w.k.agent);
	auto_json json_t *o = audit_kit_record(&s.repo, "gc", 1);
	ok(audit_writer_put_alone(&s.repo, o, e));
	struct sync_result r = sync_now(&w.k, w.c);
	assert_int_equal(r.audit.unread, 1);
	assert_int_equal(verify_with(&w, false, NULL).kinds, 1U << AUDIT_UNREAD);
}

static void test_audit_verify__tells_records_that_came_twice_without_alarm(void **state)
{
	CLEANUP(world_clear) struct world w;
	struct audit_verify_result r;
	struct finds x = { .n = 0 };
	const struct audit_verify_params p = { .found = take, .arg = &x };

	(void)state;
	world_init(&w);
	auto_json json_t *o = audit_kit_record(w.k.agent, "backup", 1);
	ok(audit_writer_put_alone(w.k.agent, o, e));
	(void)sync_now(&w.k, w.c);
	ok(audit_verify(w.c, &p, &r, e));
	assert_int_equal(x.kinds, 1U << AUDIT_TWICE);
	assert_int_equal(r.findings, 0);
	assert_int_equal(r.later, 1);
	struct err why = ERR_INIT;
	const struct audit_verify_params wrong = { .found = take, .arg = &x, .head = "7" };
	assert_int_equal(audit_verify(w.c, &wrong, &r, &why), -1);
	assert_int_equal(why.class, ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_audit_verify__finds_nothing_in_what_is_whole),
		cmocka_unit_test(test_audit_verify__finds_each_column_of_the_copy_that_is_edited),
		cmocka_unit_test(
			test_audit_verify__finds_each_row_of_the_copy_that_is_gone_swapped_or_more),
		cmocka_unit_test(test_audit_verify__remembers_what_it_has_seen),
		cmocka_unit_test(test_audit_verify__finds_what_becomes_of_objects_in_the_store),
		cmocka_unit_test(
			test_audit_verify__finds_a_store_that_went_back_and_a_new_copy_of_it),
		cmocka_unit_test(test_audit_verify__tells_a_chain_that_goes_on_twice),
		cmocka_unit_test(test_audit_verify__tells_of_a_signer_that_nobody_knows),
		cmocka_unit_test(test_audit_verify__tells_records_that_came_twice_without_alarm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
