/* SPDX-License-Identifier: Apache-2.0 */
/* See audit_sync.h. A batch is one transaction, so that one which is there is there as a whole. */
#include "catalog/audit_sync.h"

#include <string.h>

#include "catalog/row.h"
#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "repo/audit_anchor.h"
#include "repo/crypt.h"

#define DAY_NS ((int64_t)86400 * 1000000000)
#define FULL_EVERY_NS (7 * DAY_NS)

struct sync {
	struct catalog *c;
	const struct repo *r;
	int64_t now_ns;
	sqlite3_stmt *known;
	struct audit_sync_result result;
};

static void bind_hash(sqlite3_stmt *s, int at, const uint8_t hash[AUDIT_HASH_BYTES])
{
	catalog_bind_hex(s, at, hash, AUDIT_HASH_BYTES);
}

/* ---- batches ---- */

static int add_record(struct catalog *c, sqlite3_stmt *s, const struct audit_batch *b, size_t i,
                      struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(AUDIT_RECORD_MAX);
	CLEANUP(buf_clear) struct buf objects = BUF_INIT(AUDIT_RECORD_MAX);
	const json_t *o = json_array_get(b->records, i);
	struct audit_record r;

	if (audit_record_read(o, "a record", &r, e) < 0 || json_write(o, &text, e) < 0 ||
	    json_write(json_object_get(o, "objects"), &objects, e) < 0)
		return -1;
	const char *const texts[] = { r.why,     audit_record_result_name(r.result),
		                      r.error,   r.run,
		                      r.signer,  r.user,
		                      r.host,    r.program,
		                      r.version, r.account,
		                      r.pod };
	catalog_bind_text(s, 1, b->after.writer);
	catalog_bind_u64(s, 2, b->before.records + i + 1);
	catalog_bind_u64(s, 3, b->after.number);
	catalog_bind_text(s, 4, r.id);
	(void)sqlite3_bind_int64(s, 5, r.at_ns);
	(void)sqlite3_bind_int64(s, 6, r.took_ms);
	catalog_bind_text(s, 7, r.act);
	catalog_bind_text(s, 8, buf_cstr(&objects));
	catalog_bind_u64(s, 9, r.object_count);
	for (size_t k = 0; k < ARRAY_LEN(texts); k++)
		catalog_bind_text(s, 10 + (int)k, texts[k]);
	catalog_bind_text(s, 21, buf_cstr(&text));
	(void)sqlite3_bind_int(s, 22, r.status);
	catalog_bind_text(s, 23, r.nobjects ? r.objects[0] : "");
	return catalog_run(c, s, e);
}

static int add_batch(struct sync *x, const struct audit_batch *b, const uint8_t signer[8],
                     const uint8_t object_hash[32], int64_t received_ns, struct err *e)
{
	CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };

	if (catalog_tx_begin(&tx, x->c, e) < 0)
		return -1;
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		x->c,
		"INSERT INTO audit_batches (writer, number, first, records, before, after,"
		" continues_writer, continues_number, continues_hash, signer, object_hash,"
		" received_ns) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
		e);
	auto_stmt sqlite3_stmt *add = catalog_prepare(
		x->c,
		"INSERT INTO audit (writer, place, number, id, at_ns, took_ms, act, objects,"
		" object_count, why, result, error, run, signer, user, host, program, version,"
		" account, pod, record, status, object) "
		"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
		" ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)",
		e);
	if (!s || !add)
		return -1;
	catalog_bind_text(s, 1, b->after.writer);
	catalog_bind_u64(s, 2, b->after.number);
	catalog_bind_u64(s, 3, b->before.records + 1);
	catalog_bind_u64(s, 4, b->n);
	bind_hash(s, 5, b->before.hash);
	bind_hash(s, 6, b->after.hash);
	if (b->continues.writer[0]) {
		catalog_bind_text(s, 7, b->continues.writer);
		catalog_bind_u64(s, 8, b->continues.number);
		bind_hash(s, 9, b->continues.hash);
	}
	catalog_bind_hex(s, 10, signer, FORMAT_SIGNER_BYTES);
	bind_hash(s, 11, object_hash);
	(void)sqlite3_bind_int64(s, 12, received_ns);
	if (catalog_run(x->c, s, e) < 0)
		return -1;
	for (size_t i = 0; i < b->n; i++) {
		if (add_record(x->c, add, b, i, e) < 0)
			return -1;
	}
	return catalog_tx_commit(&tx, e);
}

/* What does not open is told, and does not hold the others up. */
static int note_unread(struct sync *x, const char *object, const struct err *why, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		x->c,
		"INSERT INTO audit_unread (object, found_ns, detail) VALUES (?1, ?2, ?3)"
		" ON CONFLICT DO UPDATE SET detail = excluded.detail",
		e);

	if (!s)
		return -1;
	catalog_bind_text(s, 1, object);
	(void)sqlite3_bind_int64(s, 2, x->now_ns);
	catalog_bind_text(s, 3, why->msg);
	x->result.unread++;
	return catalog_run(x->c, s, e);
}

static int take_batch(void *arg, const struct store_item *item, struct err *e)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(FORMAT_POINT_MAX + NOTE_ENVELOPE_BYTES);
	struct sync *x = arg;
	char writer[AUDIT_WRITER_LEN + 1];
	auto_json json_t *o = NULL;
	struct audit_batch b;
	struct err why = ERR_INIT;
	uint8_t signer[FORMAT_SIGNER_BYTES];
	uint8_t hash[32];
	uint64_t number;

	if (cancel_check(x->r->cancel, e) < 0)
		return -1;
	if (!audit_batch_key_parse(item->key, writer, &number))
		return 0;
	(void)sqlite3_reset(x->known);
	catalog_bind_text(x->known, 1, writer);
	catalog_bind_u64(x->known, 2, number);
	int rc = catalog_step(x->c, x->known, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (store_get_all(x->r->store, item->key, &object, &why) < 0 ||
	    note_open(x->r, FORMAT_KIND_AUDIT, item->key, object.data, object.len, &o, signer,
	              &why) < 0 ||
	    audit_batch_read(o, item->key, &b, &why) < 0) {
		if (note_is_bad(&why))
			return note_unread(x, item->key, &why, e);
		*e = why;
		return err_wrap(e, "reading '%s'", item->key);
	}
	crypt_sha256(hash, object.data, object.len);
	if (add_batch(x, &b, signer, hash, item->st.received_ns, e) < 0)
		return -1;
	x->result.batches++;
	x->result.records += b.n;
	return 0;
}

/* Where listing begins, and whether that is the start. */
static int begin_at(struct sync *x, char ret[STORE_KEY_MAX], bool *ret_full, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(x->c, "SELECT at_ns, full_ns FROM audit_sync",
	                                            e);
	int rc = s ? catalog_step(x->c, s, e) : -1;

	if (rc < 0)
		return -1;
	*ret_full = rc == 0 || x->now_ns - sqlite3_column_int64(s, 1) >= FULL_EVERY_NS ||
	            x->now_ns < sqlite3_column_int64(s, 0);
	ret[0] = '\0';
	if (!*ret_full)
		(void)snprintf(ret, STORE_KEY_MAX, AUDIT_PREFIX "%.10s",
		               now_day(sqlite3_column_int64(s, 0) - 2 * DAY_NS).s);
	return 0;
}

static int sync_batches(struct sync *x, struct err *e)
{
	char after[STORE_KEY_MAX];
	bool full;

	if (begin_at(x, after, &full, e) < 0)
		return -1;
	auto_stmt sqlite3_stmt *known =
		catalog_prepare(x->c,
	                        "SELECT 1 FROM audit_batches WHERE writer = ?1 AND number = ?2", e);
	auto_stmt sqlite3_stmt *done = catalog_prepare(
		x->c,
		full ? "INSERT INTO audit_sync (one, at_ns, full_ns) VALUES (1, ?1, ?1)"
		       " ON CONFLICT DO UPDATE SET at_ns = ?1, full_ns = ?1"
		     : "UPDATE audit_sync SET at_ns = ?1",
		e);
	if (!known || !done || (full && catalog_exec(x->c, "DELETE FROM audit_unread", e) < 0))
		return -1;
	x->known = known;
	if (store_list(x->r->store, AUDIT_PREFIX, after, take_batch, x, e) < 0)
		return err_wrap(e, "taking over the audit trail");
	(void)sqlite3_bind_int64(done, 1, x->now_ns);
	return catalog_run(x->c, done, e);
}

/* ---- anchors ---- */

static int add_heads(struct catalog *c, uint64_t number, const json_t *heads, struct err *e)
{
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(c,
	                        "INSERT INTO audit_heads (anchor, writer, number, records, hash)"
	                        " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
	                        e);
	const json_t *o;
	size_t i;

	if (!s)
		return -1;
	catalog_bind_u64(s, 1, number);
	json_array_foreach((json_t *)(uintptr_t)heads, i, o) {
		struct audit_head h;

		if (audit_batch_head_read(o, "an anchor", &h, e) < 0)
			return -1;
		catalog_bind_text(s, 2, h.writer);
		catalog_bind_u64(s, 3, h.number);
		catalog_bind_u64(s, 4, h.records);
		bind_hash(s, 5, h.hash);
		if (catalog_run(c, s, e) < 0)
			return -1;
	}
	return 0;
}

static int take_anchor(void *arg, uint64_t n, const json_t *record,
                       const uint8_t signer[FORMAT_SIGNER_BYTES], struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(FORMAT_POINT_MAX);
	CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };
	struct sync *x = arg;
	uint8_t hash[AUDIT_HASH_BYTES];
	struct audit_anchor a;
	struct err why = ERR_INIT;
	char key[NOTE_KEY_MAX];

	note_number_key(AUDIT_ANCHOR_PREFIX, n, key);
	if (audit_anchor_read(record, key, &a, &why) < 0)
		return note_unread(x, key, &why, e);
	if (json_write(record, &text, e) < 0 || catalog_tx_begin(&tx, x->c, e) < 0)
		return -1;
	audit_anchor_hash(text.data, text.len, hash);
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		x->c,
		"INSERT INTO audit_anchors (number, at_ns, previous, hash, records, signer, user,"
		" host, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
		e);
	if (!s)
		return -1;
	catalog_bind_u64(s, 1, n);
	(void)sqlite3_bind_int64(s, 2, a.at_ns);
	bind_hash(s, 3, a.previous);
	bind_hash(s, 4, hash);
	catalog_bind_u64(s, 5, a.records);
	catalog_bind_hex(s, 6, signer, FORMAT_SIGNER_BYTES);
	catalog_bind_text(s, 7, a.user);
	catalog_bind_text(s, 8, a.host);
	catalog_bind_text(s, 9, buf_cstr(&text));
	if (catalog_run(x->c, s, e) < 0 || add_heads(x->c, n, a.heads, e) < 0)
		return -1;
	x->result.anchors++;
	return catalog_tx_commit(&tx, e);
}

/* Number and hash of the newest one that is known; 0: none. */
static int newest_anchor(struct catalog *c, uint64_t *ret_number, uint8_t ret_hash[32],
                         int64_t *ret_at_ns, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		c, "SELECT number, hash, at_ns FROM audit_anchors ORDER BY number DESC LIMIT 1", e);
	int rc = s ? catalog_step(c, s, e) : -1;

	if (rc < 0)
		return -1;
	*ret_number = rc > 0 ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
	*ret_at_ns = rc > 0 ? sqlite3_column_int64(s, 2) : 0;
	memset(ret_hash, 0, AUDIT_HASH_BYTES);
	if (rc > 0 && hex_decode(ret_hash, AUDIT_HASH_BYTES, catalog_text(s, 1)) < 0)
		return err_set(e, ERR_CORRUPT, "the copy of the audit trail is damaged");
	return 0;
}

static int sync_anchors(struct sync *x, struct chain *chain, struct err *e)
{
	uint8_t hash[AUDIT_HASH_BYTES];
	uint64_t number;
	int64_t at_ns;

	if (newest_anchor(x->c, &number, hash, &at_ns, e) < 0)
		return -1;
	audit_anchor_open(chain);
	chain->next = number + 1;
	/* The chain is asked for the next one alone: a gap is found by verifying. */
	chain->listed = number > 0;
	return chain_read(x->r, chain, take_anchor, x, e);
}

/* ---- for the others ---- */

static int run(struct sync *x, struct chain *chain, struct err *e)
{
	return row_bind_repository(x->c, x->r->keys, e) < 0 || sync_batches(x, e) < 0
	               ? -1
	               : sync_anchors(x, chain, e);
}

int audit_sync(struct catalog *c, const struct repo *r, int64_t now_ns,
               struct audit_sync_result *ret, struct err *e)
{
	struct sync x = { .c = c, .r = r, .now_ns = now_ns };
	struct chain chain;

	if (run(&x, &chain, e) < 0)
		return -1;
	*ret = x.result;
	return 0;
}

/* Heads of the chains that are further than any anchor says. */
static json_t *grown(struct catalog *c, uint64_t *ret_records, struct err *e)
{
	auto_json json_t *heads = json_array();
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		c,
		"SELECT b.writer, max(b.number), b.first + b.records - 1, b.after,"
		" (SELECT count(*) FROM audit) FROM audit_batches b GROUP BY b.writer"
		" HAVING max(b.number) > coalesce((SELECT max(h.number) FROM audit_heads h"
		" WHERE h.writer = b.writer), 0) ORDER BY b.writer LIMIT ?1",
		e);
	int rc;

	if (!s)
		return NULL;
	(void)sqlite3_bind_int(s, 1, AUDIT_ANCHOR_HEADS_MAX);
	while ((rc = catalog_step(c, s, e)) > 0) {
		struct audit_head h = { .number = (uint64_t)sqlite3_column_int64(s, 1),
			                .records = (uint64_t)sqlite3_column_int64(s, 2) };

		(void)snprintf(h.writer, sizeof(h.writer), "%.*s", AUDIT_WRITER_LEN,
		               catalog_text(s, 0));
		if (hex_decode(h.hash, sizeof(h.hash), catalog_text(s, 3)) < 0) {
			(void)err_set(e, ERR_CORRUPT, "the copy of the audit trail is damaged");
			return NULL;
		}
		*ret_records = (uint64_t)sqlite3_column_int64(s, 4);
		if (json_array_append_new(heads, audit_batch_head_json(&h)) < 0) {
			(void)err_set(e, ERR_NOMEM, "no memory for an anchor");
			return NULL;
		}
	}
	return rc < 0 ? NULL : STEAL(&heads);
}

int audit_sync_anchor(struct catalog *c, const struct repo *r, int64_t now_ns, uint64_t *ret_number,
                      struct err *e)
{
	struct sync x = { .c = c, .r = r, .now_ns = now_ns };
	uint8_t previous[AUDIT_HASH_BYTES];
	uint64_t number, records = 0;
	struct chain chain;
	int64_t at_ns;

	*ret_number = 0;
	if (run(&x, &chain, e) < 0 || newest_anchor(c, &number, previous, &at_ns, e) < 0)
		return -1;
	auto_json json_t *heads = grown(c, &records, e);
	if (!heads)
		return -1;
	if (json_array_size(heads) == 0)
		return 0;
	auto_json json_t *o = audit_anchor_json(previous, records, heads, now_ns, e);
	if (!o || chain_add(r, &chain, o, e) < 0)
		return -1;
	number = chain.next - 1;
	if (sync_anchors(&x, &chain, e) < 0)
		return -1;
	*ret_number = number;
	return 0;
}

int audit_sync_anchored(struct catalog *c, int64_t *ret_ns, struct err *e)
{
	uint8_t hash[AUDIT_HASH_BYTES];
	uint64_t number;

	return newest_anchor(c, &number, hash, ret_ns, e);
}
