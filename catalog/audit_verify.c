/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See audit_verify.h. Rows are read in the order of the chains, so that memory does not grow with
 * the trail.
 */
#include "catalog/audit_verify.h"

#include <fcntl.h>
#include <string.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/json.h"
#include "common/num.h"
#include "repo/audit_anchor.h"
#include "repo/crypt.h"

#define SEEN_FILE "audit-seen" /* in the state directory: "RECORDS HEAD" */
#define SEEN_MAX 256

static const char *const names[AUDIT_FINDINGS] = {
	[AUDIT_EDITED] = "edited",      [AUDIT_CUT] = "cut",
	[AUDIT_FORKED] = "forked",      [AUDIT_UNREAD] = "unread",
	[AUDIT_ROLLED] = "rolled back", [AUDIT_CHANGED] = "changed",
	[AUDIT_GONE] = "gone",          [AUDIT_TWICE] = "twice",
};

const char *audit_verify_kind_name(enum audit_finding_kind kind)
{
	return names[kind];
}

struct verify {
	struct catalog *c;
	const struct audit_verify_params *p;
	struct audit_verify_result r;
	sqlite3_stmt *records; /* of one batch, by place */
};

static int find(struct verify *v, struct audit_finding f, struct err *e)
{
	v->r.findings += f.kind != AUDIT_TWICE;
	return v->p->found(v->p->arg, &f, e);
}

/* ---- records ---- */

/* Column of the row and member of the record, of `who` from WHO_FROM on. */
static const struct column {
	const char *name;
	int at;
} texts[] = {
	{ "act", 3 },     { "why", 5 },      { "result", 6 },   { "error", 7 },  { "run", 8 },
	{ "id", 9 },      { "signer", 10 },  { "user", 11 },    { "host", 12 },  { "program", 13 },
	{ "version", 14 }, { "account", 15 }, { "pod", 16 },
}, numbers[] = {
	{ "at_ns", 1 },
	{ "took_ms", 2 },
	{ "status", 17 },
	{ "object_count", 18 },
};
#define WHO_FROM 6

#define RECORD_COLUMNS                                                                          \
	"place, at_ns, took_ms, act, objects, why, result, error, run, id, signer, user, host," \
	" program, version, account, pod, status, object_count, record, object"
#define RECORD_TEXT 19

/* Whether the columns of the row say what its text says. */
static bool row_fits(sqlite3_stmt *s, const json_t *o)
{
	CLEANUP(buf_clear) struct buf objects = BUF_INIT(AUDIT_RECORD_MAX);
	const json_t *who = json_object_get(o, "who");
	struct err ignored = ERR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const char *said = json_string_value(
			json_object_get(i < WHO_FROM ? o : who, texts[i].name));
		if (!said || strcmp(said, catalog_text(s, texts[i].at)) != 0)
			return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		if (json_integer_value(json_object_get(o, numbers[i].name)) !=
		    sqlite3_column_int64(s, numbers[i].at))
			return false;
	}
	const char *first = json_string_value(json_array_get(json_object_get(o, "objects"), 0));
	return strcmp(first ? first : "", catalog_text(s, RECORD_TEXT + 1)) == 0 &&
	       json_write(json_object_get(o, "objects"), &objects, &ignored) == 0 &&
	       strcmp(buf_cstr(&objects), catalog_text(s, 4)) == 0;
}

static bool record_fits(sqlite3_stmt *s)
{
	const char *text = catalog_text(s, RECORD_TEXT);
	struct err ignored = ERR_INIT;
	struct audit_record r;

	auto_json json_t *o = json_parse("a record", text, strlen(text), &ignored);
	return o && audit_record_read(o, "a record", &r, &ignored) == 0 && row_fits(s, o);
}

/* A batch of a chain, as its row has it. */
struct row {
	/* With room for what is too long, which is none. */
	char writer[AUDIT_WRITER_LEN + 8];
	uint64_t number, first, n;
	char before[72], after[72];
	char cont_writer[AUDIT_WRITER_LEN + 8];
	uint64_t cont_number;
	char cont_hash[72];
	int64_t received_ns;
};

/* From hash to hash along the records of a batch. */
static int check_records(struct verify *v, const struct row *b, struct err *e)
{
	struct audit_finding f = { .writer = b->writer,
		                   .number = b->number,
		                   .at_ns = b->received_ns };
	uint8_t hash[AUDIT_HASH_BYTES];
	uint64_t n = 0;
	bool told = false;
	int rc;

	if (hex_decode(hash, sizeof(hash), b->before) < 0)
		memset(hash, 0, sizeof(hash));
	(void)sqlite3_reset(v->records);
	catalog_bind_text(v->records, 1, b->writer);
	catalog_bind_u64(v->records, 2, b->number);
	while ((rc = catalog_step(v->c, v->records, e)) > 0) {
		const char *text = catalog_text(v->records, RECORD_TEXT);
		const uint64_t place = (uint64_t)sqlite3_column_int64(v->records, 0);

		audit_record_hash_text(hash, text, strlen(text), hash);
		f.place = place;
		f.at_ns = sqlite3_column_int64(v->records, 1);
		if (place != b->first + n) {
			f.kind = AUDIT_CUT;
			f.text = "a record before this one is missing in the copy: 'rebuild' makes "
				 "it anew from the store";
		} else if (!record_fits(v->records)) {
			f.kind = AUDIT_EDITED;
			f.text = "the row does not say what the record says: the copy was edited";
		} else {
			f.text = NULL;
		}
		if (f.text && !told && find(v, f, e) < 0)
			return -1;
		told |= f.text != NULL;
		n++;
	}
	if (rc < 0)
		return -1;
	v->r.records += n;
	f.place = 0;
	f.at_ns = b->received_ns;
	if (!told && n != b->n) {
		f.kind = AUDIT_CUT;
		f.text = "the copy has more or fewer records of this batch than it was put with";
	} else if (!told && strcmp(hex_of32(hash).s, b->after) != 0) {
		f.kind = AUDIT_EDITED;
		f.text = "its records, or hashes, are not those that it was put with: the copy was "
			 "edited";
	} else {
		return 0;
	}
	return find(v, f, e);
}

/* ---- chains ---- */

static void take_text(char *ret, size_t max, sqlite3_stmt *s, int at)
{
	(void)snprintf(ret, max, "%s", catalog_text(s, at));
}

static void take_row(sqlite3_stmt *s, struct row *b)
{
	*b = (struct row){ .number = (uint64_t)sqlite3_column_int64(s, 1),
		           .first = (uint64_t)sqlite3_column_int64(s, 2),
		           .n = (uint64_t)sqlite3_column_int64(s, 3),
		           .cont_number = (uint64_t)sqlite3_column_int64(s, 7),
		           .received_ns = sqlite3_column_int64(s, 9) };
	take_text(b->writer, sizeof(b->writer), s, 0);
	take_text(b->before, sizeof(b->before), s, 4);
	take_text(b->after, sizeof(b->after), s, 5);
	take_text(b->cont_writer, sizeof(b->cont_writer), s, 6);
	take_text(b->cont_hash, sizeof(b->cont_hash), s, 8);
}

static bool begins_well(const struct row *b)
{
	struct audit_head continues = { .number = b->cont_number };
	struct audit_head begin;

	if (b->cont_writer[0] &&
	    hex_decode(continues.hash, sizeof(continues.hash), b->cont_hash) < 0)
		return false;
	audit_batch_begin(b->writer, &continues, &begin);
	return b->first == 1 && strcmp(hex_of32(begin.hash).s, b->before) == 0;
}

/* b behind a; another writer's: b is the first that is known of it. */
static int check_link(struct verify *v, const struct row *a, const struct row *b, struct err *e)
{
	const bool same = strcmp(a->writer, b->writer) == 0;
	const uint64_t next = same ? a->number + 1 : 1;
	struct audit_finding f = { .writer = b->writer,
		                   .number = b->number,
		                   .at_ns = b->received_ns };

	v->r.writers += !same;
	if (b->number != next) {
		f.kind = AUDIT_CUT;
		f.number = next;
		f.text = "batches from this one on are missing before the next that is there";
	} else if (next == 1 ? !begins_well(b)
	                     : b->cont_writer[0] || strcmp(a->after, b->before) != 0 ||
	                               b->first != a->first + a->n) {
		f.kind = AUDIT_EDITED;
		f.text = "it does not follow the one before it";
	} else {
		return 0;
	}
	return find(v, f, e);
}

/* That the chain which this one continues is there, and ends where it says. */
static int check_continued(struct verify *v, const struct row *b, struct err *e)
{
	struct audit_finding f = { .writer = b->cont_writer, .number = b->cont_number };
	auto_stmt sqlite3_stmt *s = NULL;
	int rc;

	if (!b->cont_writer[0])
		return 0;
	s = catalog_prepare(v->c,
	                    "SELECT number, after FROM audit_batches WHERE writer = ?1"
	                    " AND number >= ?2 ORDER BY number LIMIT 2",
	                    e);
	if (!s)
		return -1;
	catalog_bind_text(s, 1, b->cont_writer);
	catalog_bind_u64(s, 2, b->cont_number);
	rc = catalog_step(v->c, s, e);
	if (rc < 0)
		return -1;
	if (rc == 0 || (uint64_t)sqlite3_column_int64(s, 0) != b->cont_number) {
		f.kind = AUDIT_CUT;
		f.text = "a later chain continues this batch, and it is missing";
		return find(v, f, e);
	}
	if (strcmp(catalog_text(s, 1), b->cont_hash) != 0) {
		f.kind = AUDIT_FORKED;
		f.text = "a later chain continues another batch of this number";
		return find(v, f, e);
	}
	rc = catalog_step(v->c, s, e);
	if (rc <= 0)
		return rc;
	f.kind = AUDIT_FORKED;
	f.text = "the chain goes on behind this batch, and another one continues it: a state "
		 "directory was copied, or a store went back";
	return find(v, f, e);
}

static int check_batches(struct verify *v, struct err *e)
{
	struct row a = { .number = 0 };
	struct row b;
	int rc;

	auto_stmt sqlite3_stmt *s = catalog_prepare(
		v->c,
		"SELECT writer, number, first, records, before, after, continues_writer,"
		" continues_number, continues_hash, received_ns FROM audit_batches"
		" ORDER BY writer, number",
		e);
	if (!s)
		return -1;
	while ((rc = catalog_step(v->c, s, e)) > 0) {
		take_row(s, &b);
		v->r.batches++;
		if (check_link(v, &a, &b, e) < 0 || check_continued(v, &b, e) < 0 ||
		    check_records(v, &b, e) < 0)
			return -1;
		a = b;
	}
	return rc;
}

/* Each row of a query is a finding: writer, number, place, at_ns. */
static int check_query(struct verify *v, enum audit_finding_kind kind, const char *sql,
                       const char *text, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(v->c, sql, e);
	int rc;

	if (!s)
		return -1;
	while ((rc = catalog_step(v->c, s, e)) > 0) {
		const struct audit_finding f = {
			.kind = kind,
			.writer = catalog_text(s, 0),
			.number = (uint64_t)sqlite3_column_int64(s, 1),
			.place = (uint64_t)sqlite3_column_int64(s, 2),
			.at_ns = sqlite3_column_int64(s, 3),
			.text = text ? text : catalog_text(s, 4),
		};
		if (find(v, f, e) < 0)
			return -1;
	}
	return rc;
}

static int check_strays(struct verify *v, struct err *e)
{
	return check_query(v, AUDIT_EDITED,
	                   "SELECT a.writer, a.number, a.place, a.at_ns FROM audit a WHERE NOT"
	                   " EXISTS (SELECT 1 FROM audit_batches b WHERE b.writer = a.writer"
	                   " AND b.number = a.number)",
	                   "a record of no batch: it was put into the copy", e) < 0 ||
	                       check_query(v, AUDIT_TWICE,
	                                   "SELECT writer, number, place, at_ns FROM audit WHERE id"
	                                   " IN (SELECT id FROM audit GROUP BY id HAVING count(*)"
	                                   " > 1) ORDER BY id, writer, place",
	                                   "the record is there more than once: its writer lost "
	                                   "what it knew of the store",
	                                   e) < 0 ||
	                       check_query(v, AUDIT_UNREAD,
	                                   "SELECT object, "
	                                   "0, 0, found_ns, detail FROM audit_unread",
	                                   NULL, e) < 0 ||
	                       check_query(v, AUDIT_UNREAD,
	                                   "SELECT writer, number, 0, received_ns FROM"
	                                   " audit_batches WHERE signer NOT IN (SELECT signer FROM"
	                                   " signers)",
	                                   "the copy says that a key has signed it which the "
	                                   "repository does not know",
	                                   e) < 0
	               ? -1
	               : 0;
}

/* ---- anchors ---- */

static bool anchor_fits(sqlite3_stmt *s)
{
	const char *text = catalog_text(s, 5);
	struct err ignored = ERR_INIT;
	struct audit_anchor a;

	auto_json json_t *o = json_parse("an anchor", text, strlen(text), &ignored);
	return o && audit_anchor_read(o, "an anchor", &a, &ignored) == 0 &&
	       a.at_ns == sqlite3_column_int64(s, 1) &&
	       strcmp(hex_of32(a.previous).s, catalog_text(s, 2)) == 0 &&
	       a.records == (uint64_t)sqlite3_column_int64(s, 4) &&
	       strcmp(a.user, catalog_text(s, 6)) == 0 && strcmp(a.host, catalog_text(s, 7)) == 0;
}

/* How many heads of an anchor are not in the table as its text has them, or are too many there. */
static int wrong_heads(struct verify *v, uint64_t number, int64_t *ret, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		v->c,
		"WITH said AS (SELECT json_extract(h.value, '$.writer') AS writer,"
		" json_extract(h.value, '$.number') AS number, json_extract(h.value, '$.records')"
		" AS records, json_extract(h.value, '$.hash') AS hash FROM audit_anchors a,"
		" json_each(a.record, '$.heads') h WHERE a.number = ?1 AND json_valid(a.record)),"
		" kept AS (SELECT writer, number, records, hash FROM audit_heads WHERE anchor = ?1)"
		" SELECT (SELECT count(*) FROM (SELECT * FROM said EXCEPT SELECT * FROM kept)) +"
		" (SELECT count(*) FROM (SELECT * FROM kept EXCEPT SELECT * FROM said))",
		e);

	if (!s)
		return -1;
	catalog_bind_u64(s, 1, number);
	if (catalog_step(v->c, s, e) < 0)
		return -1;
	*ret = sqlite3_column_int64(s, 0);
	return 0;
}

static int check_anchor(struct verify *v, sqlite3_stmt *s, uint64_t next, const char *previous,
                        struct err *e)
{
	const char *text = catalog_text(s, 5);
	struct audit_finding f = { .writer = "",
		                   .number = (uint64_t)sqlite3_column_int64(s, 0),
		                   .at_ns = sqlite3_column_int64(s, 1) };
	uint8_t hash[AUDIT_HASH_BYTES];
	int64_t wrong;

	audit_anchor_hash(text, strlen(text), hash);
	if (f.number != next) {
		f.kind = AUDIT_CUT;
		f.text = "an anchor before this one is missing";
	} else if (strcmp(hex_of32(hash).s, catalog_text(s, 3)) != 0 || !anchor_fits(s)) {
		f.kind = AUDIT_EDITED;
		f.text = "the anchor is not what its hash is of: the copy was edited";
	} else if (strcmp(catalog_text(s, 2), previous) != 0) {
		f.kind = AUDIT_FORKED;
		f.text = "the anchor does not follow the one before it";
	} else if (wrong_heads(v, f.number, &wrong, e) < 0) {
		return -1;
	} else if (wrong > 0) {
		f.kind = AUDIT_EDITED;
		f.text = "the copy's table of what this anchor says was edited";
	} else {
		return 0;
	}
	return find(v, f, e);
}

static int check_anchors(struct verify *v, struct err *e)
{
	char previous[65];
	uint64_t next = 1;
	int rc;

	auto_stmt sqlite3_stmt *s =
		catalog_prepare(v->c,
	                        "SELECT number, at_ns, previous, hash, records, record, user, host"
	                        " FROM audit_anchors ORDER BY number",
	                        e);
	if (!s)
		return -1;
	memset(previous, '0', 64);
	previous[64] = '\0';
	while ((rc = catalog_step(v->c, s, e)) > 0) {
		v->r.anchors++;
		if (check_anchor(v, s, next, previous, e) < 0)
			return -1;
		next = (uint64_t)sqlite3_column_int64(s, 0) + 1;
		take_text(previous, sizeof(previous), s, 3);
	}
	if (rc < 0)
		return -1;
	return check_query(v, AUDIT_CUT,
	                   "SELECT h.writer, h.number, 0, a.at_ns FROM audit_heads h JOIN"
	                   " audit_anchors a ON a.number = h.anchor LEFT JOIN audit_batches b"
	                   " ON b.writer = h.writer AND b.number = h.number"
	                   " WHERE b.writer IS NULL ORDER BY h.anchor, h.writer",
	                   "an anchor says that this batch was there, and it is missing", e) < 0 ||
	                       check_query(v, AUDIT_FORKED,
	                                   "SELECT h.writer, "
	                                   "h.number, 0, a.at_ns FROM audit_heads h"
	                                   " JOIN audit_anchors a ON a.number = h.anchor JOIN"
	                                   " audit_batches b ON b.writer = h.writer AND b.number ="
	                                   " h.number WHERE b.after != h.hash OR b.first +"
	                                   " b.records - 1 != h.records",
	                                   "an anchor says that another batch of this number was "
	                                   "there",
	                                   e) < 0
	               ? -1
	               : 0;
}

/* ---- what was seen before ---- */

int audit_verify_head(struct catalog *c, char ret[AUDIT_HEAD_MAX], struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		c, "SELECT number, hash FROM audit_anchors ORDER BY number DESC LIMIT 1", e);
	int rc = s ? catalog_step(c, s, e) : -1;

	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND,
		               "the audit trail has no anchor yet: 'audit anchor' puts one");
	(void)snprintf(ret, AUDIT_HEAD_MAX, "%lld-%.64s", (long long)sqlite3_column_int64(s, 0),
	               catalog_text(s, 1));
	return 0;
}

/* "NUMBER-HASH": 1 when the copy has this anchor, 0 when not. */
static int has_head(struct verify *v, const char *head, struct err *e)
{
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(v->c,
	                        "SELECT 1 FROM audit_anchors WHERE number || '-' || hash = ?1", e);

	if (!s)
		return -1;
	catalog_bind_text(s, 1, head);
	return catalog_step(v->c, s, e);
}

static int head_valid(const char *head)
{
	const size_t n = strspn(head, "0123456789");

	return n > 0 && n < 10 && head[n] == '-' && strlen(head + n + 1) == 64 &&
	       strspn(head + n + 1, "0123456789abcdef") == 64;
}

static int check_head(struct verify *v, const char *head, const char *text, struct err *e)
{
	const struct audit_finding f = {
		.kind = AUDIT_ROLLED,
		.writer = "",
		.number = strtoull(head, NULL, 10),
		.text = text,
	};
	int rc = has_head(v, head, e);

	return rc < 0 ? -1 : rc > 0 ? 0 : find(v, f, e);
}

static int check_seen(struct verify *v, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(SEEN_MAX);
	auto_free char *path = NULL;
	struct err ignored = ERR_INIT;
	uint64_t records;

	if (!v->p->state || !*v->p->state)
		return 0;
	if (asprintf(&path, "%s/" SEEN_FILE, v->p->state) < 0) {
		path = NULL;
		return err_set(e, ERR_NOMEM, "no memory for a path");
	}
	/* One that is not there, or damaged, is no memory. */
	if (fd_read_file(AT_FDCWD, path, &b, &ignored) < 0 || !buf_cstr(&b)[0])
		return 0;
	char *rest = (char *)b.data;
	const char *count = strsep(&rest, " ");
	if (!rest || num_u64("records", count, 0, INT64_MAX, &records, &ignored) < 0)
		return 0;
	if (v->r.records < records) {
		const struct audit_finding f = {
			.kind = AUDIT_ROLLED,
			.writer = "",
			.text = "this machine has verified more records than the copy has now: "
				"it, or the store that it was rebuilt from, went back",
		};
		if (find(v, f, e) < 0)
			return -1;
	}
	return !head_valid(rest) ? 0
	                         : check_head(v, rest,
	                                      "this machine has seen an anchor that the copy does "
	                                      "not have: it, or the store, went back",
	                                      e);
}

/* Best effort: a state directory that cannot be written is no reason to fail. */
static void remember(struct verify *v)
{
	char text[SEEN_MAX];
	char head[AUDIT_HEAD_MAX] = "";
	auto_free char *path = NULL;
	struct err ignored = ERR_INIT;

	if (!v->p->state || !*v->p->state || asprintf(&path, "%s/" SEEN_FILE, v->p->state) < 0)
		return;
	if (audit_verify_head(v->c, head, &ignored) < 0)
		head[0] = '\0';
	int n = snprintf(text, sizeof(text), "%llu %s", (unsigned long long)v->r.records, head);
	(void)!fd_create_file(AT_FDCWD, path, text, (size_t)n, 0600, FD_REPLACE, &ignored);
}

/* ---- the store ---- */

struct compare {
	struct verify *v;
	sqlite3_stmt *known; /* object_hash and received_ns of a batch */
	sqlite3_stmt *see;   /* notes that the store has it */
};

static int look_at(struct verify *v, const struct store_item *item, const char *writer,
                   uint64_t number, const char *hash_of_copy, const char *signer_of_copy,
                   struct err *e)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(FORMAT_POINT_MAX + NOTE_ENVELOPE_BYTES);
	auto_json json_t *o = NULL;
	struct audit_batch b;
	struct err why = ERR_INIT;
	struct audit_finding f = { .kind = AUDIT_UNREAD,
		                   .writer = writer,
		                   .number = number,
		                   .at_ns = item->st.received_ns };
	uint8_t signer[FORMAT_SIGNER_BYTES];
	char signer_hex[2 * FORMAT_SIGNER_BYTES + 1];
	uint8_t hash[32];

	if (store_get_all(v->p->repo->store, item->key, &object, &why) == 0) {
		crypt_sha256(hash, object.data, object.len);
		if (strcmp(hex_of32(hash).s, hash_of_copy) != 0) {
			f.kind = AUDIT_CHANGED;
			f.text = "the store has other bytes than those that the copy was made of";
			return find(v, f, e);
		}
		if (note_open(v->p->repo, FORMAT_KIND_AUDIT, item->key, object.data, object.len, &o,
		              signer, &why) == 0 &&
		    audit_batch_read(o, item->key, &b, &why) == 0) {
			hex_encode(signer_hex, signer, sizeof(signer));
			if (strcmp(signer_hex, signer_of_copy) == 0)
				return 0;
			f.kind = AUDIT_EDITED;
			f.text = "the copy names another signer than the object has";
			return find(v, f, e);
		}
	}
	if (!note_is_bad(&why)) {
		*e = why;
		return err_wrap(e, "reading '%s'", item->key);
	}
	f.text = why.msg;
	return find(v, f, e);
}

static int take_object(void *arg, const struct store_item *item, struct err *e)
{
	struct compare *x = arg;
	char writer[AUDIT_WRITER_LEN + 1];
	char hash[65];
	char signer[2 * FORMAT_SIGNER_BYTES + 1];
	uint64_t number;

	if (cancel_check(x->v->p->repo->cancel, e) < 0)
		return -1;
	if (!audit_batch_key_parse(item->key, writer, &number))
		return 0;
	(void)sqlite3_reset(x->known);
	catalog_bind_text(x->known, 1, writer);
	catalog_bind_u64(x->known, 2, number);
	int rc = catalog_step(x->v->c, x->known, e);
	if (rc < 0)
		return -1;
	if (rc == 0) {
		x->v->r.unsynced++;
		return 0;
	}
	take_text(hash, sizeof(hash), x->known, 0);
	take_text(signer, sizeof(signer), x->known, 1);
	catalog_bind_text(x->see, 1, writer);
	catalog_bind_u64(x->see, 2, number);
	return catalog_run(x->v->c, x->see, e) < 0
	               ? -1
	               : look_at(x->v, item, writer, number, hash, signer, e);
}

static int take_anchor(void *arg, uint64_t n, const json_t *record,
                       const uint8_t signer[FORMAT_SIGNER_BYTES], struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(FORMAT_POINT_MAX);
	struct compare *x = arg;
	struct audit_finding f = { .kind = AUDIT_CHANGED, .writer = "", .number = n };
	uint8_t hash[AUDIT_HASH_BYTES];

	(void)signer;
	if (json_write(record, &text, e) < 0)
		return -1;
	audit_anchor_hash(text.data, text.len, hash);
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(x->v->c, "SELECT hash, at_ns FROM audit_anchors WHERE number = ?1",
	                        e);
	if (!s)
		return -1;
	catalog_bind_u64(s, 1, n);
	int rc = catalog_step(x->v->c, s, e);
	if (rc <= 0)
		return rc;
	catalog_bind_text(x->see, 1, "");
	catalog_bind_u64(x->see, 2, n);
	if (catalog_run(x->v->c, x->see, e) < 0)
		return -1;
	if (strcmp(hex_of32(hash).s, catalog_text(s, 0)) == 0)
		return 0;
	f.at_ns = sqlite3_column_int64(s, 1);
	f.text = "the store has another anchor than the one that the copy has";
	return find(x->v, f, e);
}

static int check_store(struct verify *v, struct err *e)
{
	struct chain chain;

	if (catalog_exec(v->c,
	                 "CREATE TEMP TABLE IF NOT EXISTS there (writer TEXT, number INTEGER,"
	                 " PRIMARY KEY (writer, number)) WITHOUT ROWID; DELETE FROM temp.there",
	                 e) < 0)
		return -1;
	auto_stmt sqlite3_stmt *known = catalog_prepare(
		v->c,
		"SELECT object_hash, signer FROM audit_batches WHERE writer = ?1 AND number = ?2",
		e);
	auto_stmt sqlite3_stmt *see = catalog_prepare(
		v->c,
		"INSERT INTO temp.there (writer, number) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
		e);
	struct compare x = { .v = v, .known = known, .see = see };
	if (!known || !see)
		return -1;
	audit_anchor_open(&chain);
	if (store_list(v->p->repo->store, AUDIT_PREFIX, NULL, take_object, &x, e) < 0 ||
	    chain_read(v->p->repo, &chain, take_anchor, &x, e) < 0)
		return err_wrap(e, "reading the audit trail of the store");
	(void)sqlite3_reset(known);
	return check_query(v, AUDIT_GONE,
	                   "SELECT writer, number, 0, received_ns FROM audit_batches b WHERE NOT"
	                   " EXISTS (SELECT 1 FROM temp.there t WHERE t.writer = b.writer AND"
	                   " t.number = b.number)",
	                   "the store has this batch no longer: it was removed there, or the store "
	                   "went back",
	                   e) < 0 ||
	                       check_query(v, AUDIT_GONE,
	                                   "SELECT '', number, 0, at_ns FROM audit_anchors a WHERE"
	                                   " NOT EXISTS (SELECT 1 "
	                                   "FROM temp.there t WHERE t.writer ="
	                                   " '' AND t.number = a.number)",
	                                   "the store has this anchor no longer: it was removed "
	                                   "there, or the store went back",
	                                   e) < 0
	               ? -1
	               : 0;
}

/* ---- all of it ---- */

static int count_later(struct verify *v, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		v->c,
		"SELECT coalesce(sum(records), 0) FROM audit_batches b WHERE number > coalesce("
		"(SELECT max(h.number) FROM audit_heads h WHERE h.writer = b.writer), 0)",
		e);

	if (!s || catalog_step(v->c, s, e) < 0)
		return -1;
	v->r.later = (uint64_t)sqlite3_column_int64(s, 0);
	return 0;
}

int audit_verify(struct catalog *c, const struct audit_verify_params *p,
                 struct audit_verify_result *ret, struct err *e)
{
	struct verify v = { .c = c, .p = p };

	if (p->head && !head_valid(p->head))
		return err_set(e, ERR_INVALID,
		               "--head '%.100s' "
		               "is none: it is NUMBER-HASH, as 'audit head' tells it",
		               p->head);
	auto_stmt sqlite3_stmt *records =
		catalog_prepare(c,
	                        "SELECT " RECORD_COLUMNS
	                        " FROM audit WHERE writer = ?1 AND number = ?2 ORDER BY place",
	                        e);
	if (!records)
		return -1;
	v.records = records;
	if (check_batches(&v, e) < 0 || check_strays(&v, e) < 0 || check_anchors(&v, e) < 0 ||
	    (p->repo && check_store(&v, e) < 0) || check_seen(&v, e) < 0 ||
	    (p->head &&
	     check_head(&v, p->head,
	                "the copy does not have the anchor that was noted elsewhere: it, "
	                "or the store, was replaced or went back",
	                e) < 0) ||
	    count_later(&v, e) < 0)
		return -1;
	if (v.r.findings == 0)
		remember(&v);
	*ret = v.r;
	return 0;
}
