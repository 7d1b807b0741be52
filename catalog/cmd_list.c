/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-catalog list: restore points, and what else the catalog knows. */
#include <string.h>

#include "catalog/cmd.h"
#include "catalog/find.h"
#include "common/now.h"

#define NS_PER_MS 1000000

/* ---- points ---- */

static const struct table_column point_columns[] = {
	{ "point", NULL, TABLE_TEXT },
	{ "short", "POINT", TABLE_TEXT },
	{ "volume", "VOLUME", TABLE_TEXT },
	{ "cluster", NULL, TABLE_TEXT },
	{ "namespace", NULL, TABLE_TEXT },
	{ "name", NULL, TABLE_TEXT },
	{ "kind", NULL, TABLE_TEXT },
	{ "sequence", "NO", TABLE_NUMBER },
	{ "frozen", "FROZEN", TABLE_TIME },
	{ "received", NULL, TABLE_TIME },
	{ "consistency", "CONSISTENCY", TABLE_TEXT },
	{ "files", "FILES", TABLE_NUMBER },
	{ "bytes_logical", "SIZE", TABLE_BYTES },
	{ "bytes_new", "NEW", TABLE_BYTES },
	{ "bytes_stored", "STORED", TABLE_BYTES },
	{ "problems", "PROBLEMS", TABLE_NUMBER },
	{ "state", "STATE", TABLE_TEXT },
	{ "geo", "GEO", TABLE_TEXT },
	{ "geo_since", NULL, TABLE_TIME },
	{ "set", NULL, TABLE_TEXT },
	{ "session", NULL, TABLE_TEXT },
};

static const char point_rows[] =
	"SELECT p.point, substr(p.point, 1, 8), v.volume, v.cluster, v.namespace, v.name, p.kind,"
	" p.sequence, p.frozen_ns, p.received_ns, p.consistency, p.files, p.bytes_logical, "
	"p.bytes_new,"
	" p.bytes_stored, p.unreadable + p.changed,"
	" CASE WHEN p.ended_ns IS NULL OR p.ended_ns > ?4"
	" THEN CASE p.expiry WHEN 'held' THEN 'held' WHEN 'proposed' THEN 'proposed'"
	" ELSE CASE WHEN p.incomplete_ns IS NULL THEN 'present' ELSE 'incomplete' END END"
	" WHEN p.expired_ns IS NULL AND p.revoked_ns IS NOT NULL THEN 'revoked'"
	" WHEN p.expired_ns IS NULL THEN 'lost'"
	" WHEN p.gone_at_ns IS NULL OR p.gone_at_ns > ?4 THEN 'expired' ELSE 'deleted' END,"
	" CASE WHEN p.geo_ns IS NOT NULL THEN 'yes'"
	" ELSE (SELECT CASE kind WHEN 'unknown' THEN 'unknown' ELSE 'no' END FROM cuts"
	" ORDER BY id DESC LIMIT 1) END, p.geo_ns, p.set_id, p.session"
	" FROM points p JOIN volumes v ON v.voltag = p.voltag"
	" WHERE (?1 IS NULL OR p.voltag = ?1) AND p.frozen_ns >= ?2 AND p.frozen_ns <= ?3"
	" AND p.received_ns <= ?4 AND (?5 OR p.ended_ns IS NULL OR p.ended_ns > ?4)"
	" ORDER BY v.volume, p.voltag, p.sequence, p.received_ns, p.session";

/* ---- volumes ---- */

static const struct table_column volume_columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT },
	{ "cluster", NULL, TABLE_TEXT },
	{ "namespace", NULL, TABLE_TEXT },
	{ "name", NULL, TABLE_TEXT },
	{ "kind", "KIND", TABLE_TEXT },
	{ "points", "POINTS", TABLE_NUMBER },
	{ "newest_point", NULL, TABLE_TEXT },
	{ "newest_short", "NEWEST", TABLE_TEXT },
	{ "newest_frozen", "FROZEN", TABLE_TIME },
	{ "age_ms", "AGE", TABLE_DURATION },
	{ "consistency", "CONSISTENCY", TABLE_TEXT },
	{ "bytes_logical", "SIZE", TABLE_BYTES },
	{ "bytes_stored", "STORED", TABLE_BYTES },
	{ "problems", "PROBLEMS", TABLE_NUMBER },
	{ "newest_session", NULL, TABLE_TEXT },
};

/* At ?2, by what the index points_by_volume has. */
#define ALIVE                                         \
	"(p.expired_ns IS NULL OR p.expired_ns > ?2)" \
	" AND (p.gone_at_ns IS NULL OR p.gone_at_ns > ?2)"

static const char volume_rows[] =
	"SELECT v.volume, v.cluster, v.namespace, v.name, n.kind,"
	" (SELECT count(*) FROM points p WHERE p.voltag = v.voltag AND p.received_ns <= ?2"
	"  AND " ALIVE "), n.point, substr(n.point, 1, 8), n.frozen_ns,"
	" (?3 - n.frozen_ns) / 1000000, n.consistency, n.bytes_logical,"
	" (SELECT coalesce(sum(p.bytes_stored), 0) FROM points p WHERE p.voltag = v.voltag"
	"  AND p.received_ns <= ?2 AND " ALIVE "), n.unreadable + n.changed, n.session"
	" FROM volumes v LEFT JOIN points n ON n.rowid = (SELECT p.rowid FROM points p"
	"  WHERE p.voltag = v.voltag AND p.received_ns <= ?2 AND " ALIVE
	"  ORDER BY p.sequence DESC, p.received_ns DESC, p.session DESC LIMIT 1)"
	" WHERE (?1 IS NULL OR v.voltag = ?1)"
	" AND EXISTS (SELECT 1 FROM points p WHERE p.voltag = v.voltag AND p.received_ns <= ?2)"
	" ORDER BY v.volume, v.voltag";

/* ---- anomalies, checks ---- */

static const struct table_column anomaly_columns[] = {
	{ "kind", "KIND", TABLE_TEXT },         { "object", "OBJECT", TABLE_TEXT },
	{ "other", "OTHER", TABLE_TEXT },       { "volume", "VOLUME", TABLE_TEXT },
	{ "detail", "DETAIL", TABLE_TEXT },     { "found", "FOUND", TABLE_TIME },
	{ "resolved", "RESOLVED", TABLE_TIME },
};

static const char anomaly_rows[] =
	"SELECT a.kind, a.object, nullif(a.other, ''), v.volume, a.detail, a.found_ns, "
	"a.resolved_ns"
	" FROM anomalies a LEFT JOIN volumes v ON v.voltag = a.voltag"
	" WHERE (?1 IS NULL OR a.voltag = ?1) AND a.found_ns <= ?2"
	" AND (?3 OR a.resolved_ns IS NULL OR a.resolved_ns > ?2)"
	" ORDER BY a.object, a.kind, a.other, a.found_ns";

static const struct table_column check_columns[] = {
	{ "id", "CHECK", TABLE_NUMBER },
	{ "level", "LEVEL", TABLE_NUMBER },
	{ "started", "STARTED", TABLE_TIME },
	{ "took_ms", "TOOK", TABLE_DURATION },
	{ "key_kind", "KEY", TABLE_TEXT },
	{ "points", "POINTS", TABLE_NUMBER },
	{ "objects", "OBJECTS", TABLE_NUMBER },
	{ "bytes", "READ", TABLE_BYTES },
	{ "packs_verified", "VERIFIED", TABLE_NUMBER },
	{ "host", "HOST", TABLE_TEXT },
	{ "problems", "PROBLEMS", TABLE_NUMBER },
	{ "verdict", "VERDICT", TABLE_TEXT },
};

static const char check_rows[] =
	"SELECT id, level, started_ns, (finished_ns - started_ns) / 1000000, key_kind, points, "
	"objects,"
	" bytes, packs_verified, host, problems,"
	" CASE WHEN problems = 0 THEN 'ok' ELSE 'damaged' END"
	" FROM checks WHERE started_ns <= ?1 ORDER BY id";

/* ---- holds, deletions ---- */

static const struct table_column hold_columns[] = {
	{ "number", "HOLD", TABLE_NUMBER },         { "volume", "VOLUME", TABLE_TEXT },
	{ "short", "POINT", TABLE_TEXT },           { "reason", "REASON", TABLE_TEXT },
	{ "ordered_by", "ORDERED BY", TABLE_TEXT }, { "received", "SINCE", TABLE_TIME },
	{ "state", "STATE", TABLE_TEXT },           { "release_reason", NULL, TABLE_TEXT },
	{ "release_by", NULL, TABLE_TEXT },         { "session", NULL, TABLE_TEXT },
};

static const char hold_rows[] =
	"SELECT number, volume, substr(session, 29, 8), reason, ordered_by, received_ns, state,"
	" release_reason, release_by, session FROM v_holds"
	" WHERE (?1 IS NULL OR voltag = ?1) AND received_ns <= ?2 AND (?3 OR state = 'holds')"
	" ORDER BY number";

static const struct table_column deletion_columns[] = {
	{ "tombstone", "TOMBSTONE", TABLE_NUMBER },
	{ "volume", "VOLUME", TABLE_TEXT },
	{ "short", "POINT", TABLE_TEXT },
	{ "received", "EXPIRED", TABLE_TIME },
	{ "gone", "GONE", TABLE_TIME },
	{ "policy", "POLICY", TABLE_TEXT },
	{ "why", "WHY", TABLE_TEXT },
	{ "user", "USER", TABLE_TEXT },
	{ "host", "HOST", TABLE_TEXT },
	{ "signer_name", "KEY", TABLE_TEXT },
	{ "expiry", NULL, TABLE_TEXT },
	{ "session", NULL, TABLE_TEXT },
};

static const char deletion_rows[] =
	"SELECT tombstone, volume, substr(session, 29, 8), received_ns, gone_at_ns, policy, why,"
	" user, host, signer_name, expiry, session FROM v_deletions"
	" WHERE (?1 IS NULL OR voltag = ?1) AND received_ns <= ?2 AND ?3 IS NOT NULL"
	" ORDER BY tombstone, session";

/* ---- the second region ---- */

static const struct table_column geo_columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT },
	{ "newest_frozen", "NEWEST", TABLE_TIME },
	{ "geo_frozen", "IN BOTH REGIONS", TABLE_TIME },
	{ "geo_rpo_ms", "AGE", TABLE_DURATION },
	{ "lag_ms", "BEHIND", TABLE_DURATION },
	{ "waiting", "WAITING", TABLE_NUMBER },
	{ "newest_session", NULL, TABLE_TEXT },
	{ "geo_session", NULL, TABLE_TEXT },
};

static const char geo_rows[] =
	"SELECT volume, newest_frozen_ns, geo_frozen_ns, (?4 - geo_frozen_ns) / 1000000,"
	" max(0, newest_frozen_ns - geo_frozen_ns) / 1000000, waiting, newest_session, geo_session"
	" FROM v_geo WHERE (?1 IS NULL OR voltag = ?1) AND ?2 AND ?3 IS NOT NULL"
	" ORDER BY volume, voltag";

static const struct table_column cut_columns[] = {
	{ "id", "NO", TABLE_NUMBER },        { "observed", "OBSERVED", TABLE_TIME },
	{ "kind", "KIND", TABLE_TEXT },      { "cut", "IN BOTH REGIONS UNTIL", TABLE_TIME },
	{ "lag_ms", "LAG", TABLE_DURATION }, { "behind", "BEHIND", TABLE_NUMBER },
	{ "status", "STATUS", TABLE_TEXT },  { "at", NULL, TABLE_TIME },
};

static const char cut_rows[] =
	"SELECT id, observed_ns, kind, cut_ns, CASE WHEN kind = 'unknown' THEN NULL"
	" ELSE max(0, coalesce(at_ns, observed_ns) - cut_ns) / 1000000 END, behind, status, at_ns"
	" FROM cuts WHERE observed_ns <= ?1 ORDER BY id";

/* ---- what holds data ---- */

static const struct table_column coverage_columns[] = {
	{ "cluster", NULL, TABLE_TEXT },          { "kind", "KIND", TABLE_TEXT },
	{ "namespace", "NAMESPACE", TABLE_TEXT }, { "name", "NAME", TABLE_TEXT },
	{ "owner", "OWNER", TABLE_TEXT },         { "class", NULL, TABLE_TEXT },
	{ "driver", NULL, TABLE_TEXT },           { "bytes", "SIZE", TABLE_BYTES },
	{ "count", "COUNT", TABLE_NUMBER },       { "state", "STATE", TABLE_TEXT },
	{ "reason", NULL, TABLE_TEXT },           { "policy", NULL, TABLE_TEXT },
	{ "since", "SINCE", TABLE_TIME },         { "why", "WHY", TABLE_TEXT },
};

static const char coverage_rows[] =
	"SELECT cluster, kind, namespace, name, owner, class, driver, nullif(bytes, 0), count,"
	" state, reason, policy, from_ns, why FROM inventory"
	" WHERE from_ns <= ?1 AND (until_ns IS NULL OR ?1 < until_ns)"
	" ORDER BY CASE state WHEN 'exposed' THEN 0 WHEN 'excluded' THEN 1 ELSE 2 END,"
	" cluster, kind, namespace, name, owner";

/* Fills the table with the rows of a statement, whose columns are those of the table. */
static int fill(struct catalog *c, sqlite3_stmt *s, struct table *t, struct err *e)
{
	int n = sqlite3_column_count(s);
	int rc;

	while ((rc = catalog_step(c, s, e)) > 0) {
		table_row(t);
		for (int i = 0; i < n; i++) {
			switch (sqlite3_column_type(s, i)) {
			case SQLITE_NULL:
				table_null(t);
				break;
			case SQLITE_INTEGER:
				table_number(t, sqlite3_column_int64(s, i));
				break;
			default:
				table_text(t, catalog_text(s, i));
				break;
			}
		}
	}
	return rc;
}

/* What can be listed. */
struct listing {
	const char *name, *schema, *sql;
	const struct table_column *columns;
	size_t ncolumns;
};

static const struct listing listings[] = {
	{ "points", "aksdr/points/v1", point_rows, point_columns, ARRAY_LEN(point_columns) },
	{ "volumes", "aksdr/volumes/v1", volume_rows, volume_columns, ARRAY_LEN(volume_columns) },
	{ "anomalies", "aksdr/anomalies/v1", anomaly_rows, anomaly_columns,
	  ARRAY_LEN(anomaly_columns) },
	{ "checks", "aksdr/checks/v1", check_rows, check_columns, ARRAY_LEN(check_columns) },
	{ "holds", "aksdr/holds/v1", hold_rows, hold_columns, ARRAY_LEN(hold_columns) },
	{ "deletions", "aksdr/deletions/v1", deletion_rows, deletion_columns,
	  ARRAY_LEN(deletion_columns) },
	{ "geo", "aksdr/geo/v1", geo_rows, geo_columns, ARRAY_LEN(geo_columns) },
	{ "cuts", "aksdr/cuts/v1", cut_rows, cut_columns, ARRAY_LEN(cut_columns) },
	{ "coverage", "aksdr/coverage/v1", coverage_rows, coverage_columns,
	  ARRAY_LEN(coverage_columns) },
};

static bool is_of_volumes(const struct listing *l)
{
	return l->sql != check_rows && l->sql != cut_rows && l->sql != coverage_rows;
}

static void bind(const struct listing *l, const struct cmd_options *o, const char *voltag,
                 sqlite3_stmt *s)
{
	int64_t as_of_ns = o->as_of_ns ? o->as_of_ns : INT64_MAX;

	if (!is_of_volumes(l)) {
		(void)sqlite3_bind_int64(s, 1, as_of_ns);
		return;
	}
	catalog_bind_text_or_null(s, 1, voltag);
	if (l->sql == point_rows) {
		(void)sqlite3_bind_int64(s, 2, o->since_ns ? o->since_ns : INT64_MIN);
		(void)sqlite3_bind_int64(s, 3, o->until_ns ? o->until_ns : INT64_MAX);
		(void)sqlite3_bind_int64(s, 4, as_of_ns);
		(void)sqlite3_bind_int(s, 5, o->gone);
	} else if (l->sql == volume_rows) {
		/* now: by the store's clock all that was received, whatever ours says */
		(void)sqlite3_bind_int64(s, 2, o->as_of_ns ? o->as_of_ns : INT64_MAX - 1);
		(void)sqlite3_bind_int64(s, 3, o->as_of_ns ? o->as_of_ns : now_wall_ns());
	} else {
		(void)sqlite3_bind_int64(s, 2, as_of_ns);
		(void)sqlite3_bind_int(s, 3, o->gone);
		if (l->sql == geo_rows)
			(void)sqlite3_bind_int64(s, 4, now_wall_ns());
	}
}

static const struct listing *choose(const char *name, struct err *e)
{
	const char *words[ARRAY_LEN(listings) + 1] = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(listings); i++) {
		words[i] = listings[i].name;
		if (strcmp(name, listings[i].name) == 0)
			return &listings[i];
	}
	const char *near = verb_nearest(name, words);
	if (near)
		(void)err_set(e, ERR_INVALID, "'%s' cannot be listed; did you mean '%s'?", name,
		              near);
	else
		(void)err_set(e, ERR_INVALID,
		              "'%s' cannot be listed: points, volumes, anomalies, checks, holds, "
		              "deletions, geo, cuts and coverage can",
		              name);
	return NULL;
}

int cmd_list(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	const struct cmd_options *o = state;
	auto_catalog struct catalog *c = NULL;
	char voltag[17] = "";
	const struct listing *l = choose(argc > 0 ? argv[0] : "points", e);

	if (!l)
		return -1;
	if ((o->since_ns || o->until_ns) && l->sql != point_rows)
		return err_set(e, ERR_INVALID, "--since and --until are for points");
	if (o->volume && !is_of_volumes(l))
		return err_set(e, ERR_INVALID, "--volume has no meaning for %s", l->name);
	if (o->as_of_ns && l->sql == geo_rows)
		return err_set(e, ERR_INVALID,
		               "--as-of has no meaning for geo: 'list cuts' has it");
	if (cmd_catalog(o, common, &c, e) < 0 ||
	    (o->volume && find_volume(c, o->volume, voltag, e) < 0))
		return -1;
	auto_table struct table *t = table_new(l->schema, l->columns, l->ncolumns, common->output,
	                                       e);
	auto_stmt sqlite3_stmt *s = t ? catalog_prepare(c, l->sql, e) : NULL;
	if (!s)
		return -1;
	bind(l, o, voltag, s);
	return fill(c, s, t, e) < 0 ? -1 : table_print(t, stdout, NULL, e);
}
