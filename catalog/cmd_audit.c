/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-catalog audit list, export, verify, head, anchor. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "catalog/audit_cef.h"
#include "catalog/audit_sync.h"
#include "catalog/audit_verify.h"
#include "catalog/cmd.h"
#include "common/json.h"
#include "common/now.h"
#include "repo/audit_record.h"

enum { OPT_CATALOG = 256, OPT_ACT, OPT_USER, OPT_OBJECT, OPT_FROM, OPT_TO, OPT_FORMAT, OPT_HEAD };

static struct {
	struct cmd_options common; /* catalog */
	const char *act, *user, *object, *head;
	int64_t from_ns, to_ns; /* 0: not given */
	bool cef;
} opts;

#define CATALOG_OPTION                                                                   \
	{                                                                                \
		"catalog", "FILE", "the catalog file (default: in the state directory)", \
			OPT_CATALOG                                                      \
	}
#define FILTER_OPTIONS                                                                         \
	{ "act", "NAME", "only this act, as backup or gc", OPT_ACT },                          \
		{ "user", "NAME", "only what this user did", OPT_USER },                       \
		{ "object", "TEXT", "only of objects whose name has this in it", OPT_OBJECT }, \
		{ "from", "TIME", "only what began at or after this time", OPT_FROM },         \
	{                                                                                      \
		"to", "TIME", "only what began at or before this time", OPT_TO                 \
	}

static const struct verb_option list_options[] = { CATALOG_OPTION, FILTER_OPTIONS, { 0 } };
static const struct verb_option export_options[] = {
	CATALOG_OPTION,
	FILTER_OPTIONS,
	{ "format", "jsonl|cef", "a line of JSON each (default), or of the Common Event Format",
	  OPT_FORMAT },
	{ 0 },
};
static const struct verb_option verify_options[] = {
	CATALOG_OPTION,
	{ "head", "NUMBER-HASH", "an anchor that was noted elsewhere, as 'audit head' told it",
	  OPT_HEAD },
	{ 0 },
};
static const struct verb_option head_options[] = { CATALOG_OPTION, { 0 } };

static int set(void *state, int key, const char *value, struct err *e)
{
	(void)state;
	switch (key) {
	case OPT_CATALOG:
		opts.common.catalog = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--catalog needs the name of a file");
	case OPT_ACT:
		opts.act = value;
		return 0;
	case OPT_USER:
		opts.user = value;
		return 0;
	case OPT_OBJECT:
		opts.object = value;
		return 0;
	case OPT_FROM:
		return now_parse(value, &opts.from_ns, e) < 0 ? err_wrap(e, "--from") : 0;
	case OPT_TO:
		return now_parse(value, &opts.to_ns, e) < 0 ? err_wrap(e, "--to") : 0;
	case OPT_FORMAT:
		opts.cef = strcmp(value, "cef") == 0;
		return 0;
	default:
		opts.head = value;
		return 0;
	}
}

/* ---- list, export ---- */

/* The records that the filters leave, in the order of time; columns first, then the filters. */
#define FILTERED                                                                    \
	" FROM v_audit v JOIN audit a ON a.writer = v.writer AND a.place = v.place" \
	" WHERE (?1 IS NULL OR a.act = ?1) AND (?2 IS NULL OR a.user = ?2)"         \
	" AND (?3 IS NULL OR EXISTS (SELECT 1 FROM json_each(a.objects) o WHERE"    \
	" instr(o.value, ?3) > 0)) AND a.at_ns >= ?4 AND a.at_ns <= ?5"             \
	" ORDER BY a.at_ns, a.writer, a.place"

static sqlite3_stmt *filtered(struct catalog *c, const char *sql, struct err *e)
{
	sqlite3_stmt *s = catalog_prepare(c, sql, e);

	if (!s)
		return NULL;
	catalog_bind_text_or_null(s, 1, opts.act);
	catalog_bind_text_or_null(s, 2, opts.user);
	catalog_bind_text_or_null(s, 3, opts.object);
	(void)sqlite3_bind_int64(s, 4, opts.from_ns ? opts.from_ns : INT64_MIN);
	(void)sqlite3_bind_int64(s, 5, opts.to_ns ? opts.to_ns : INT64_MAX);
	return s;
}

static const struct table_column list_columns[] = {
	{ "at", "AT", TABLE_TIME },         { "act", "ACT", TABLE_TEXT },
	{ "object", "OBJECT", TABLE_TEXT }, { "object_count", NULL, TABLE_NUMBER },
	{ "result", "RESULT", TABLE_TEXT }, { "status", NULL, TABLE_NUMBER },
	{ "error", NULL, TABLE_TEXT },      { "user", "USER", TABLE_TEXT },
	{ "host", "HOST", TABLE_TEXT },     { "why", "WHY", TABLE_TEXT },
	{ "took", "TOOK", TABLE_DURATION }, { "program", NULL, TABLE_TEXT },
	{ "version", NULL, TABLE_TEXT },    { "account", NULL, TABLE_TEXT },
	{ "pod", NULL, TABLE_TEXT },        { "run", NULL, TABLE_TEXT },
	{ "signer", NULL, TABLE_TEXT },     { "signer_name", NULL, TABLE_TEXT },
	{ "received", NULL, TABLE_TIME },   { "chain", NULL, TABLE_TEXT },
	{ "id", NULL, TABLE_TEXT },
};

static int list(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	auto_catalog struct catalog *c = NULL;
	int rc;

	(void)state;
	(void)argc;
	(void)argv;
	if (cmd_catalog(&opts.common, common, &c, e) < 0)
		return -1;
	auto_table struct table *t = table_new("aksdr/audit-list/v1", list_columns,
	                                       ARRAY_LEN(list_columns), common->output, e);
	auto_stmt sqlite3_stmt *s = filtered(
		c,
		"SELECT a.at_ns, a.act, v.object, a.object_count, a.result, a.status, a.error,"
		" a.user, a.host, a.why, a.took_ms, a.program, a.version, a.account, a.pod, a.run,"
		" v.signer, v.signer_name, v.received_ns, "
		"a.writer || '/' || a.place, a.id" FILTERED,
		e);
	if (!t || !s)
		return -1;
	while ((rc = catalog_step(c, s, e)) > 0) {
		table_row(t);
		for (size_t i = 0; i < ARRAY_LEN(list_columns); i++) {
			if (list_columns[i].kind == TABLE_TEXT)
				table_text(t, catalog_text(s, (int)i));
			else
				table_number(t, sqlite3_column_int64(s, (int)i));
		}
	}
	return rc < 0 ? -1 : table_print(t, stdout, NULL, e);
}

/* A line of JSON: the record as it is, and where it stands. */
static int put_json(json_t *o, sqlite3_stmt *s, struct buf *line, struct err *e)
{
	json_t *at = json_pack("{ss sI ss ss sI}", "writer", catalog_text(s, 1), "place",
	                       (json_int_t)sqlite3_column_int64(s, 2), "signer", catalog_text(s, 3),
	                       "signer_name", catalog_text(s, 4), "received_ns",
	                       (json_int_t)sqlite3_column_int64(s, 5));

	if (json_object_set_new(o, "chain", at) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a record");
	if (json_write(o, line, e) < 0)
		return -1;
	(void)buf_u8(line, '\n');
	return 0;
}

static int put_line(sqlite3_stmt *s, struct buf *line, struct err *e)
{
	const char *text = catalog_text(s, 0);
	char chain[128];
	struct audit_record r;

	auto_json json_t *o = json_parse("a record of the copy", text, strlen(text), e);
	if (!o || audit_record_read(o, "a record of the copy", &r, e) < 0)
		return err_wrap(e, "'audit verify' tells what is wrong");
	buf_reset(line);
	if (!opts.cef)
		return put_json(o, s, line, e);
	(void)snprintf(chain, sizeof(chain), "%.60s/%lld", catalog_text(s, 1),
	               (long long)sqlite3_column_int64(s, 2));
	audit_cef_put(line, &r, catalog_text(s, 4)[0] ? catalog_text(s, 4) : catalog_text(s, 3),
	              chain);
	return buf_check(line, "a record", e);
}

static int export(void *state, const struct verb_common *common, int argc, char **argv,
                  struct err *e)
{
	CLEANUP(buf_clear) struct buf line = BUF_INIT((size_t)4 * AUDIT_RECORD_MAX);
	auto_catalog struct catalog *c = NULL;
	int rc;

	(void)state;
	(void)argc;
	(void)argv;
	if (cmd_catalog(&opts.common, common, &c, e) < 0)
		return -1;
	auto_stmt sqlite3_stmt *s = filtered(c,
	                                     "SELECT a.record, a.writer, a.place, "
	                                     "v.signer, v.signer_name, v.received_ns" FILTERED,
	                                     e);
	if (!s)
		return -1;
	while ((rc = catalog_step(c, s, e)) > 0) {
		if (put_line(s, &line, e) < 0)
			return -1;
		if (fwrite(line.data, 1, line.len, stdout) != line.len)
			return err_sys(e, errno, "writing to standard output");
	}
	return rc;
}

/* ---- verify ---- */

static const struct table_column find_columns[] = {
	{ "kind", "FINDING", TABLE_TEXT },   { "writer", "WRITER", TABLE_TEXT },
	{ "number", "BATCH", TABLE_NUMBER }, { "place", "RECORD", TABLE_NUMBER },
	{ "at", "AT", TABLE_TIME },          { "text", "WHAT", TABLE_TEXT },
};

static int found(void *arg, const struct audit_finding *f, struct err *e)
{
	struct table *t = arg;

	(void)e;
	table_row(t);
	table_text(t, audit_verify_kind_name(f->kind));
	table_text(t, f->writer[0] ? f->writer : f->number ? "anchor" : "");
	table_number(t, (int64_t)f->number);
	table_number(t, (int64_t)f->place);
	table_number(t, f->at_ns);
	table_text(t, f->text);
	return 0;
}

static int tell(const struct verb_common *common, struct table *t,
                const struct audit_verify_result *r, struct err *e)
{
	auto_json json_t *extra =
		json_pack("{sI sI sI sI sI sI sI}", "records", (json_int_t)r->records, "batches",
	                  (json_int_t)r->batches, "writers", (json_int_t)r->writers, "anchors",
	                  (json_int_t)r->anchors, "findings", (json_int_t)r->findings,
	                  "not_anchored", (json_int_t)r->later, "not_synchronised",
	                  (json_int_t)r->unsynced);

	if (!extra)
		return err_set(e, ERR_NOMEM, "no memory for the answer");
	if (common->output == OUTPUT_TABLE)
		(void)printf("%llu records in %llu batches of %llu chains, %llu anchors; %llu "
		             "records since the newest anchor\n",
		             (unsigned long long)r->records, (unsigned long long)r->batches,
		             (unsigned long long)r->writers, (unsigned long long)r->anchors,
		             (unsigned long long)r->later);
	if (common->output == OUTPUT_TABLE && r->unsynced > 0)
		(void)printf("the store has %llu batches that the copy has not yet: 'sync' takes "
		             "them over\n",
		             (unsigned long long)r->unsynced);
	return common->output == OUTPUT_TABLE && r->findings == 0
	               ? 0
	               : table_print(t, stdout, extra, e);
}

static int verify(void *state, const struct verb_common *common, int argc, char **argv,
                  struct err *e)
{
	auto_catalog struct catalog *c = NULL;
	auto_repo struct repo *r = NULL;
	auto_free char *path = NULL;
	struct audit_verify_result result = { .records = 0 };
	char dir[PATH_MAX] = "";

	(void)state;
	(void)argc;
	(void)argv;
	if (common->store && common->key && cmd_repo(common, &r, e) < 0)
		return -1;
	if (catalog_path(opts.common.catalog, common->state, common->key, &path, e) < 0 ||
	    catalog_open(path, CATALOG_READ, &c, e) < 0)
		return -1;
	/* What was seen is remembered beside the catalog of the state directory. */
	if (!opts.common.catalog) {
		(void)snprintf(dir, sizeof(dir), "%s", path);
		char *slash = strrchr(dir, '/');
		if (slash)
			*slash = '\0';
	}
	auto_table struct table *t = table_new("aksdr/audit-verify/v1", find_columns,
	                                       ARRAY_LEN(find_columns), common->output, e);
	const struct audit_verify_params params = {
		.repo = r,
		.head = opts.head,
		.state = dir,
		.found = found,
		.arg = t,
	};
	if (!t || audit_verify(c, &params, &result, e) < 0 || tell(common, t, &result, e) < 0)
		return -1;
	if (result.findings == 0)
		return 0;
	return err_set(e, ERR_CORRUPT,
	               "the audit trail is not whole: %llu %s; compare with the store, with a "
	               "second copy, and with heads that were noted elsewhere",
	               (unsigned long long)result.findings,
	               result.findings == 1 ? "finding" : "findings");
}

static int head(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	auto_catalog struct catalog *c = NULL;
	char text[AUDIT_HEAD_MAX];

	(void)state;
	(void)argc;
	(void)argv;
	if (cmd_catalog(&opts.common, common, &c, e) < 0 || audit_verify_head(c, text, e) < 0)
		return -1;
	if (common->output == OUTPUT_JSON)
		(void)printf("{\"schema\": \"aksdr/audit-head/v1\", \"head\": \"%s\"}\n", text);
	else
		(void)printf("%s\n", text);
	return 0;
}

static int anchor(void *state, const struct verb_common *common, int argc, char **argv,
                  struct err *e)
{
	auto_catalog struct catalog *c = NULL;
	auto_repo struct repo *r = NULL;
	auto_free char *path = NULL;
	char text[AUDIT_HEAD_MAX] = "";
	uint64_t number;

	(void)state;
	(void)argc;
	(void)argv;
	if (cmd_repo_write(common, &r, e) < 0 || cmd_catalog_path(&opts.common, r, &path, e) < 0 ||
	    catalog_open(path, CATALOG_WRITE, &c, e) < 0 ||
	    audit_sync_anchor(c, r, now_wall_ns(), &number, e) < 0)
		return -1;
	if (number == 0)
		log_info("nothing was recorded since the newest anchor");
	if (audit_verify_head(c, text, e) < 0)
		return number == 0 ? err_set(e, ERR_NOT_FOUND, "nothing was recorded yet") : -1;
	if (common->output == OUTPUT_JSON)
		(void)printf("{\"schema\": \"aksdr/audit-head/v1\", \"head\": \"%s\"}\n", text);
	else
		(void)printf("%s\n", text);
	return 0;
}

const struct verb cmd_audit_list = {
	.name = "audit list",
	.summary = "what was done, by whom and why",
	.text = "Reads the catalog's copy of the audit trail: 'sync' first to see what is new.",
	.examples = "aksdr-catalog audit list --from 2026-11-01 --act restore",
	.options = list_options,
	.set = set,
	.run = list,
};

const struct verb cmd_audit_export = {
	.name = "audit export",
	.summary = "the audit trail for another system, a line a record",
	.text = "As JSON lines, the records as they are with their place in the trail, or in the "
		"Common Event Format, CEF:0, which systems that watch over security read.",
	.examples = "aksdr-catalog audit export --format cef --from 2026-11-22 | logger -t aksdr",
	.options = export_options,
	.set = set,
	.run = export,
};

const struct verb cmd_audit_verify = {
	.name = "audit verify",
	.summary = "is the audit trail whole?",
	.text = "Follows each chain of the catalog's copy from hash to hash, and compares it with "
		"what anchors, later chains and this machine know. With --store and --key the "
		"store is compared, too, object by object: that needs any key, an audit key will "
		"do. Exit status 5 when something was edited, cut, forked, or went back.\n"
		"\n"
		"Who can write both to the store and to the copy, and has a key that signs, can "
		"leave out what was never anchored: note 'audit head' elsewhere, and give it by "
		"--head.",
	.examples = "aksdr-catalog audit verify\n"
		    "aksdr-catalog audit verify --store file:///backup --key audit.key",
	.options = verify_options,
	.set = set,
	.run = verify,
};

const struct verb cmd_audit_head = {
	.name = "audit head",
	.summary = "what stands for the whole trail so far, to be noted elsewhere",
	.text = "Number and hash of the newest anchor. 'audit verify --head' finds out later "
		"whether the trail still has it.",
	.options = head_options,
	.set = set,
	.run = head,
};

const struct verb cmd_audit_anchor = {
	.name = "audit anchor",
	.summary = "sign where all chains are now",
	.text = "Brings the copy up to date, puts an anchor when anything was recorded since the "
		"newest one, and tells the newest as 'audit head' does. A daemon that leads does "
		"so once a day.",
	.options = head_options,
	.flags = VERB_STORE | VERB_KEY,
	.set = set,
	.run = anchor,
};
