/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See journal.h. A report becomes rows by SQLite's functions of JSON: the tables are strict, so
 * that a report with a member of another type is refused as a whole.
 */
#include "catalog/journal.h"

#include <string.h>

#include "common/hex.h"
#include "common/json.h"
#include "repo/note.h"
#include "repo/owner.h"
#include "repo/run_log.h"

#define DETAIL_BYTES_MAX (64 * KIB)
#define DRILL_SCHEMA "aksdr/drill/v1"
#define NAME_BYTES_MAX 33 /* of a chain: 32 digits of a run, 16 of a plan; with a NUL */

struct record {
	char name[NAME_BYTES_MAX];
	uint64_t n;
	int64_t received_ns;
};

struct place;

struct journals {
	struct catalog *c;
	const struct repo *r;
	const struct journal_params *params;
	struct journal_result result;
	const struct place *place;
	sqlite3_stmt *known;
	struct record *fresh; /* owned */
	size_t n, cap;
};

/* One of the two kinds of chains. */
struct place {
	const char *prefix; /* without a slash at its end */
	size_t digits;      /* of the name that comes next */
	char kind;
	const char *known; /* 1 row where record ?2 of chain ?1 is known */
	/* record NULL: its signer does not count */
	int (*take)(struct journals *j, const struct record *x, const json_t *record,
	            const uint8_t signer[FORMAT_SIGNER_BYTES], struct err *e);
};

/* ---- the record of a run ---- */

/* What belongs to the step, without what all records have and without a report. NULL: nothing. */
static char *detail_of(const json_t *record)
{
	static const char *const common[] = { "schema", "kind",  "plan",  "step",
		                              "at_ns",  "actor", "report" };
	auto_json json_t *o = json_copy((json_t *)(uintptr_t)record);
	char *text;

	for (size_t i = 0; o && i < ARRAY_LEN(common); i++)
		(void)json_object_del(o, common[i]);
	if (!o || json_object_size(o) == 0)
		return NULL;
	text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	if (text && strlen(text) > DETAIL_BYTES_MAX) {
		free(text);
		return NULL;
	}
	return text;
}

/* What the end of a run says; a member that is not there, or no number, is NULL. */
static void bind_end(sqlite3_stmt *s, const json_t *record)
{
	static const char *const names[] = { "volumes", "missing", "loss_s" };
	const json_t *given_up = json_object_get(record, "given_up");

	if (json_is_boolean(given_up))
		(void)sqlite3_bind_int(s, 13, json_is_true(given_up));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const json_t *x = json_object_get(record, names[i]);

		if (json_is_integer(x))
			(void)sqlite3_bind_int64(s, 14 + (int)i, json_integer_value(x));
	}
}

static int add_step(struct journals *j, const struct record *x, const json_t *record,
                    const struct run_entry *entry, const uint8_t *signer, struct err *e)
{
	auto_free char *detail = entry ? detail_of(record) : NULL;
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(j->c,
	                        "INSERT INTO run_steps (run, n, kind, plan, step, at_ns,"
	                        " received_ns, user, host, signer, by_admin, detail, given_up,"
	                        " volumes, missing, loss_s)"
	                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
	                        " ?14, ?15, ?16)",
	                        e);

	if (!s)
		return -1;
	catalog_bind_text(s, 1, x->name);
	catalog_bind_u64(s, 2, x->n);
	(void)sqlite3_bind_int64(s, 7, x->received_ns);
	(void)sqlite3_bind_int(s, 11, entry && key_signer_is_admin(j->r->keys, signer));
	if (entry) {
		catalog_bind_text(s, 3, entry->kind);
		catalog_bind_text(s, 4, entry->plan);
		catalog_bind_text(s, 5, entry->step);
		(void)sqlite3_bind_int64(s, 6, entry->at_ns);
		catalog_bind_text(s, 8, entry->user);
		catalog_bind_text(s, 9, entry->host);
		catalog_bind_hex(s, 10, signer, FORMAT_SIGNER_BYTES);
		catalog_bind_text_or_null(s, 12, detail);
		if (strcmp(entry->step, "end") == 0)
			bind_end(s, record);
	}
	return catalog_run(j->c, s, e);
}

/* ?1: the run, ?2: the report, ?3: the signer. */
static const char *const report_sql[] = {
	"INSERT INTO drills (run, plan, version, from_cluster, to_cluster, began_ns, ended_ns,"
	" rpo_target_s, rto_target_s, rpo_s, rto_ms, bytes, left_out, check_wanted, passed,"
	" damaged, why, user, host, signer)"
	" SELECT ?1, o->>'plan', o->>'version', o->>'from', o->>'to', o->>'began_ns',"
	" o->>'ended_ns', nullif(o->>'$.targets.rpo_s', 0), nullif(o->>'$.targets.rto_s', 0),"
	" nullif(o->>'$.achieved.rpo_s', -1),"
	" CAST(round(1000 * (o->>'$.achieved.rto_s')) AS INTEGER), o->>'bytes', o->>'left_out',"
	" o->>'check_wanted', o->>'passed', o->>'damaged',"
	" (SELECT group_concat(value, '; ') FROM json_each(o, '$.why')), o->>'$.actor.user',"
	" o->>'$.actor.host', ?3 FROM (SELECT ?2 AS o)",
	"INSERT INTO drill_phases (run, n, name, began_ns, ms)"
	" SELECT ?1, key, value->>'name', value->>'began_ns',"
	" CAST(round(1000 * (value->>'seconds')) AS INTEGER)"
	" FROM json_each(?2, '$.phases') WHERE ?3 IS NOT NULL",
	"INSERT INTO drill_volumes (run, n, volume, claim, point, frozen_ns, bytes, files,"
	" fetched_bytes, gaps, ms, restored, verified, damaged, why)"
	" SELECT ?1, key, value->>'volume', value->>'claim', nullif(value->>'point', ''),"
	" nullif(value->>'frozen_ns', 0), value->>'bytes', value->>'files',"
	" value->>'fetched_bytes', value->>'gaps',"
	" CAST(round(1000 * (value->>'seconds')) AS INTEGER), value->>'restored',"
	" value->>'verified', value->>'damaged', nullif(value->>'why', '')"
	" FROM json_each(?2, '$.volumes') WHERE ?3 IS NOT NULL",
	"INSERT INTO drill_checks (run, n, namespace, passed, ms, why, said)"
	" SELECT ?1, key, value->>'namespace', value->>'passed',"
	" CAST(round(1000 * (value->>'seconds')) AS INTEGER), nullif(value->>'why', ''),"
	" value->>'said' FROM json_each(?2, '$.checks') WHERE ?3 IS NOT NULL",
};

/* -1: e; what SQLite makes of a report that is none is ERR_FORMAT. */
static int add_report(struct journals *j, const struct record *x, const json_t *report,
                      const uint8_t *signer, struct err *e)
{
	auto_free char *text = json_dumps(report, JSON_COMPACT);

	if (note_schema(report, "drill", DRILL_SCHEMA, e) < 0)
		return -1;
	if (!text)
		return err_set(e, ERR_NOMEM, "no memory for the report of a drill");
	for (size_t i = 0; i < ARRAY_LEN(report_sql); i++) {
		auto_stmt sqlite3_stmt *s = catalog_prepare(j->c, report_sql[i], e);

		if (!s)
			return -1;
		catalog_bind_text(s, 1, x->name);
		catalog_bind_text(s, 2, text);
		catalog_bind_hex(s, 3, signer, FORMAT_SIGNER_BYTES);
		int rc = sqlite3_step(s) & 0xff;
		if (rc == SQLITE_CONSTRAINT || rc == SQLITE_ERROR || rc == SQLITE_MISMATCH)
			return err_set(e, ERR_FORMAT, "the report of a drill: %s",
			               sqlite3_errmsg(j->c->db));
		if (rc != SQLITE_DONE)
			return catalog_error(j->c, rc, "writing to", e);
	}
	j->result.drills++;
	return 0;
}

static int take_step(struct journals *j, const struct record *x, const json_t *record,
                     const uint8_t signer[FORMAT_SIGNER_BYTES], struct err *e)
{
	const json_t *report = json_object_get(record, "report");
	struct run_entry entry;

	if (!record)
		return add_step(j, x, NULL, NULL, signer, e);
	if (run_log_entry(record, "journal", &entry, e) < 0 ||
	    add_step(j, x, record, &entry, signer, e) < 0)
		return -1;
	return report && strcmp(entry.kind, "drill") == 0 && strcmp(entry.step, "end") == 0 &&
	                       key_signer_is_admin(j->r->keys, signer)
	               ? add_report(j, x, report, signer, e)
	               : 0;
}

/* ---- who serves a plan ---- */

static int take_owner(struct journals *j, const struct record *x, const json_t *record,
                      const uint8_t signer[FORMAT_SIGNER_BYTES], struct err *e)
{
	struct owner o = { .n = x->n };
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		j->c,
		"INSERT INTO owners (plantag, n, plan, cluster, run, reason, at_ns, epoch,"
		" received_ns, user, host, signer, by_admin)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
		e);

	if (!s || (record && owner_decode(j->r, x->name, record, &o, e) < 0))
		return -1;
	catalog_bind_text(s, 1, x->name);
	catalog_bind_u64(s, 2, x->n);
	(void)sqlite3_bind_int64(s, 9, x->received_ns);
	(void)sqlite3_bind_int(s, 13, record && key_signer_is_admin(j->r->keys, signer));
	if (record) {
		catalog_bind_text(s, 3, o.plan);
		catalog_bind_text(s, 4, o.cluster);
		catalog_bind_text_or_null(s, 5, o.run);
		catalog_bind_text(s, 6, o.reason);
		(void)sqlite3_bind_int64(s, 7, o.at_ns);
		catalog_bind_u64(s, 8, o.epoch);
		catalog_bind_text(s, 10, o.actor.user);
		catalog_bind_text(s, 11, o.actor.host);
		catalog_bind_hex(s, 12, signer, FORMAT_SIGNER_BYTES);
	}
	return catalog_run(j->c, s, e);
}

/* ---- both ---- */

static const struct place places[] = {
	{ .prefix = RUN_LOG_PREFIX,
	  .digits = RUN_LOG_ID - 1,
	  .kind = FORMAT_KIND_RUN,
	  .known = "SELECT 1 FROM run_steps WHERE run = ?1 AND n = ?2",
	  .take = take_step },
	{ .prefix = OWNER_PREFIX,
	  .digits = 16,
	  .kind = FORMAT_KIND_OWNER,
	  .known = "SELECT 1 FROM owners WHERE plantag = ?1 AND n = ?2",
	  .take = take_owner },
};

/* Notes a record that is listed and not known. */
static int want(void *arg, const struct store_item *item, struct err *e)
{
	struct journals *j = arg;
	const size_t digits = j->place->digits;
	const char *name = item->key + strlen(j->place->prefix) + 1;
	struct record x = { .received_ns = item->st.received_ns };

	if (cancel_check(j->r->cancel, e) < 0)
		return -1;
	if (strspn(name, "0123456789abcdef") != digits || name[digits] != '/' ||
	    !note_number(name + digits + 1, &x.n))
		return 0;
	(void)snprintf(x.name, sizeof(x.name), "%.*s", (int)digits, name);
	(void)sqlite3_reset(j->known);
	catalog_bind_text(j->known, 1, x.name);
	catalog_bind_u64(j->known, 2, x.n);
	int rc = catalog_step(j->c, j->known, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (j->n == j->cap) {
		size_t cap = j->cap ? 2 * j->cap : 64;
		void *v = reallocarray(j->fresh, cap, sizeof(*j->fresh));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for a list of %zu records", cap);
		j->fresh = v;
		j->cap = cap;
	}
	j->fresh[j->n++] = x;
	return 0;
}

/* All of a record or nothing of it. */
static int write_record(struct journals *j, const struct record *x, const json_t *record,
                        const uint8_t *signer, struct err *e)
{
	CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };

	return catalog_tx_begin(&tx, j->c, e) < 0 || j->place->take(j, x, record, signer, e) < 0 ||
	                       catalog_tx_commit(&tx, e) < 0
	               ? -1
	               : 0;
}

static int take(struct journals *j, const struct record *x, struct err *e)
{
	uint8_t signer[FORMAT_SIGNER_BYTES] = { 0 };
	char prefix[NOTE_KEY_MAX];
	char key[NOTE_KEY_MAX];
	auto_json json_t *o = NULL;
	struct err why = ERR_INIT;

	if (cancel_check(j->r->cancel, e) < 0)
		return -1;
	(void)snprintf(prefix, sizeof(prefix), "%s/%s", j->place->prefix, x->name);
	note_number_key(prefix, x->n, key);
	if (note_get(j->r, j->place->kind, key, &o, signer, &why) == 0 || key_is_void(&why)) {
		why = (struct err)ERR_INIT;
		if (write_record(j, x, o, signer, &why) == 0) {
			j->result.records++;
			return 0;
		}
	}
	/* Listed, and gone: a copy that is not up to date. The next sync asks again. */
	if (why.class == ERR_NOT_FOUND)
		return 0;
	if (note_is_bad(&why))
		return j->params->bad(j->params->arg, key, &why, e);
	*e = why;
	return err_wrap(e, "reading '%s'", key);
}

static int sync_place(struct journals *j, const struct place *place, struct err *e)
{
	char prefix[NOTE_KEY_MAX];
	auto_stmt sqlite3_stmt *known = catalog_prepare(j->c, place->known, e);

	if (!known)
		return -1;
	j->place = place;
	j->known = known;
	j->n = 0;
	(void)snprintf(prefix, sizeof(prefix), "%s/", place->prefix);
	if (store_list(j->r->store, prefix, NULL, want, j, e) < 0)
		return err_wrap(e, "listing '%s'", prefix);
	(void)sqlite3_reset(known); /* or it holds what is read now */
	for (size_t i = 0; i < j->n; i++) {
		if (take(j, &j->fresh[i], e) < 0)
			return -1;
	}
	return 0;
}

int journal_sync(struct catalog *c, const struct repo *r, const struct journal_params *params,
                 struct journal_result *ret, struct err *e)
{
	struct journals j = { .c = c, .r = r, .params = params };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(places); i++)
		rc = sync_place(&j, &places[i], e);
	free(j.fresh);
	*ret = j.result;
	return rc;
}
