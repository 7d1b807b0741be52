/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See metrics.h. What is of the repository is one statement a family. What is
 * of volumes is one statement in all, because it looks at every point; its rows
 * are kept, since the text wants them by family.
 */
#include "catalog/metrics.h"

#include <math.h>
#include <string.h>

#include "common/metric.h"

/* ?1 is the time. With a label the first column is its value. The last column; NULL: no sample. */
static const struct family {
	const char *name, *help;
	enum metric_kind kind;
	const char *label;
	const char *sql;
} families[] = {
	{ "aksdr_catalog_synced_timestamp_seconds", "When a sync last came to its end.",
	  METRIC_GAUGE, NULL, "SELECT synced_ns / 1000000000 FROM repository WHERE ?1" },
	{ "aksdr_catalog_anomalies", "Anomalies that are not resolved.", METRIC_GAUGE, NULL,
	  "SELECT count(*) FROM anomalies WHERE resolved_ns IS NULL AND ?1" },
	{ "aksdr_catalog_volumes", "Volumes that have restore points, or had.", METRIC_GAUGE, NULL,
	  "SELECT count(*) FROM volumes WHERE ?1" },
	{ "aksdr_catalog_holds", "Holds that are not released.", METRIC_GAUGE, NULL,
	  "SELECT count(*) FROM holds WHERE released IS NULL AND ?1" },
	{ "aksdr_catalog_points", "Restore points by what became of them.", METRIC_GAUGE, "state",
	  "SELECT CASE WHEN gone_at_ns IS NULL"
	  " THEN coalesce(expiry, CASE WHEN incomplete_ns IS NULL THEN 'present'"
	  "                            ELSE 'incomplete' END)"
	  " WHEN expired_ns IS NOT NULL THEN 'deleted'"
	  " WHEN revoked_ns IS NOT NULL THEN 'revoked' ELSE 'lost' END, count(*)"
	  " FROM points WHERE ?1 GROUP BY 1 ORDER BY 1" },
	{ "aksdr_catalog_uploaded_bytes",
	  "Bytes that the restore points which are there added to the store.", METRIC_GAUGE, NULL,
	  "SELECT coalesce(sum(bytes_stored), 0) FROM points WHERE ended_ns IS NULL AND ?1" },
	{ "aksdr_checks_total", "Checks that were run.", METRIC_COUNTER, "level",
	  "SELECT level, count(*) FROM checks WHERE ?1 GROUP BY 1 ORDER BY 1" },
	{ "aksdr_check_timestamp_seconds", "When the last check of this level ended.", METRIC_GAUGE,
	  "level",
	  "SELECT level, max(finished_ns) / 1e9 FROM checks WHERE ?1 GROUP BY 1 ORDER BY 1" },
	/* A bare column beside max() is of the row that has it. */
	{ "aksdr_check_duration_seconds", "How long the last check of this level took.",
	  METRIC_GAUGE, "level",
	  "SELECT level, took FROM (SELECT level, max(0, finished_ns - started_ns) / 1e9 AS took,"
	  " max(finished_ns) FROM checks WHERE ?1 GROUP BY level ORDER BY level)" },
	{ "aksdr_check_problems", "Problems that the last check of this level found.", METRIC_GAUGE,
	  "level",
	  "SELECT level, problems FROM (SELECT level, problems, max(finished_ns) FROM checks"
	  " WHERE ?1 GROUP BY level ORDER BY level)" },
	{ "aksdr_check_hurt_points", "Restore points that are hurt by them.", METRIC_GAUGE, "level",
	  "SELECT level, hurt_points FROM (SELECT level, hurt_points, max(finished_ns) FROM checks"
	  " WHERE ?1 GROUP BY level ORDER BY level)" },
	{ "aksdr_check_objects", "Objects of the store that the last check of this level saw.",
	  METRIC_GAUGE, "level",
	  "SELECT level, objects FROM (SELECT level, objects, max(finished_ns) FROM checks"
	  " WHERE ?1 GROUP BY level ORDER BY level)" },
	{ "aksdr_check_read_bytes", "Bytes that the last check of this level read of the store.",
	  METRIC_GAUGE, "level",
	  "SELECT level, bytes FROM (SELECT level, bytes, max(finished_ns) FROM checks"
	  " WHERE ?1 GROUP BY level ORDER BY level)" },
	{ "aksdr_geo_known",
	  "1: it is known how far the second region is; 0: it could not be told.", METRIC_GAUGE,
	  NULL, "SELECT kind <> 'unknown' FROM cuts WHERE ?1 ORDER BY id DESC LIMIT 1" },
	{ "aksdr_geo_cut_timestamp_seconds",
	  "What the store received until then is in the second region.", METRIC_GAUGE, NULL,
	  "SELECT cut_ns / 1e9 FROM cuts WHERE kind <> 'unknown' AND ?1 ORDER BY id DESC LIMIT 1" },
	{ "aksdr_geo_cut_observed_timestamp_seconds", "When that was last found out.", METRIC_GAUGE,
	  NULL,
	  "SELECT observed_ns / 1e9 FROM cuts WHERE kind <> 'unknown' AND ?1"
	  " ORDER BY id DESC LIMIT 1" },
	{ "aksdr_geo_lag_seconds", "How far the second region was behind the store then.",
	  METRIC_GAUGE, NULL,
	  "SELECT max(0, coalesce(at_ns, observed_ns) - cut_ns) / 1e9 FROM cuts"
	  " WHERE kind <> 'unknown' AND ?1 ORDER BY id DESC LIMIT 1" },
	{ "aksdr_geo_behind_objects", "Objects that were known to lack in the second region then.",
	  METRIC_GAUGE, NULL,
	  "SELECT behind FROM cuts WHERE kind <> 'unknown' AND ?1 ORDER BY id DESC LIMIT 1" },
};

/*
 * Of a volume v: n is its newest point that can be restored, g the newest of these in the second
 * region, a what there is of all its points; ?1 is the time. NULL: no sample.
 */
static const struct column {
	const char *name, *help;
	enum metric_kind kind;
	const char *sql;
} columns[] = {
	{ "aksdr_rpo_seconds", "Age of what the newest restore point of the volume holds.",
	  METRIC_GAUGE, "(?1 - n.frozen_ns) / 1e9" },
	{ "aksdr_geo_rpo_seconds",
	  "Age of what the newest restore point of the volume holds that is in the second region.",
	  METRIC_GAUGE, "CASE WHEN a.geo THEN (?1 - g.frozen_ns) / 1e9 END" },
	{ "aksdr_geo_waiting_points",
	  "Restore points of the volume that are not known to be in the second region.",
	  METRIC_GAUGE, "CASE WHEN a.geo THEN a.waiting END" },

	{ "aksdr_volume_last_success_timestamp_seconds",
	  "The moment that the newest restore point of the volume holds.", METRIC_GAUGE,
	  "n.frozen_ns / 1e9" },
	{ "aksdr_volume_last_finished_timestamp_seconds", "When the backup that made it ended.",
	  METRIC_GAUGE, "n.finished_ns / 1e9" },
	{ "aksdr_volume_last_duration_seconds", "How long that backup took.", METRIC_GAUGE,
	  "max(0, n.finished_ns - n.started_ns) / 1e9" },
	{ "aksdr_volume_last_freeze_seconds",
	  "How long the volume stood still for it; no sample: it did not.", METRIC_GAUGE,
	  "n.freeze_ms / 1e3" },
	{ "aksdr_volume_last_logical_bytes", "Sum of the sizes in it.", METRIC_GAUGE,
	  "n.bytes_logical" },
	{ "aksdr_volume_last_read_bytes", "Bytes that were read for it.", METRIC_GAUGE,
	  "n.bytes_read" },
	{ "aksdr_volume_last_new_bytes",
	  "Bytes of these that the repository did not have, before compression.", METRIC_GAUGE,
	  "n.bytes_new" },
	{ "aksdr_volume_last_uploaded_bytes", "Bytes that it added to the store.", METRIC_GAUGE,
	  "n.bytes_stored" },
	{ "aksdr_volume_last_entries", "Files, directories and others in it.", METRIC_GAUGE,
	  "n.files + n.directories + n.others" },
	{ "aksdr_volume_last_unreadable_entries", "Entries that could not be read: not in it.",
	  METRIC_GAUGE, "n.unreadable" },
	{ "aksdr_volume_last_changed_entries", "Entries that changed while they were read: torn.",
	  METRIC_GAUGE, "n.changed" },
	{ "aksdr_volume_last_partial", "1: something is not in it.", METRIC_GAUGE,
	  "n.unreadable > 0" },
	{ "aksdr_volume_last_fuzzy", "1: it is of no single moment.", METRIC_GAUGE,
	  "n.consistency = 'fuzzy'" },
	{ "aksdr_volume_last_fallback", "1: a better way to take it was not to be had.",
	  METRIC_GAUGE, "n.fallback IS NOT NULL" },
	{ "aksdr_volume_last_failed_hooks", "Commands of it that failed.", METRIC_GAUGE,
	  "n.hooks_failed" },

	{ "aksdr_volume_points", "Restore points of the volume that can be restored.", METRIC_GAUGE,
	  "a.points" },
	{ "aksdr_volume_oldest_timestamp_seconds", "The moment that the oldest of them holds.",
	  METRIC_GAUGE, "a.oldest_ns / 1e9" },
	{ "aksdr_volume_lost_points",
	  "Restore points that are missing from the store, and no reconciliation accepted it.",
	  METRIC_GAUGE, "a.lost" },
	{ "aksdr_volume_anomalies", "Anomalies of the volume that are not resolved.", METRIC_GAUGE,
	  "(SELECT count(*) FROM anomalies x WHERE x.voltag = v.voltag"
	  " AND x.resolved_ns IS NULL)" },
	{ "aksdr_volume_last_verified_timestamp_seconds",
	  "When the last check that read everything and found nothing wrong began, if it saw a"
	  " restore point of the volume.",
	  METRIC_GAUGE, "CASE WHEN a.verified_ns IS NOT NULL THEN a.check_ns / 1e9 END" },
	{ "aksdr_volume_verified_timestamp_seconds",
	  "The moment that the newest restore point holds which that check saw.", METRIC_GAUGE,
	  "a.verified_ns / 1e9" },
	{ "aksdr_volume_geo_timestamp_seconds",
	  "The moment that the newest restore point in the second region holds.", METRIC_GAUGE,
	  "CASE WHEN a.geo THEN g.frozen_ns / 1e9 END" },
	{ "aksdr_volume_geo_lag_seconds",
	  "From that to the moment of the newest restore point: what a failover loses of it.",
	  METRIC_GAUGE, "CASE WHEN a.geo THEN max(0, n.frozen_ns - g.frozen_ns) / 1e9 END" },

	{ "aksdr_volume_points_made_total", "Restore points that were ever seen of the volume.",
	  METRIC_COUNTER, "a.made" },
	{ "aksdr_volume_read_bytes_total", "Bytes that were read for them.", METRIC_COUNTER,
	  "a.bytes_read" },
	{ "aksdr_volume_uploaded_bytes_total", "Bytes that they added to the store.",
	  METRIC_COUNTER, "a.bytes_stored" },
	{ "aksdr_volume_duration_seconds_total", "How long their backups took.", METRIC_COUNTER,
	  "a.took_ns / 1e9" },
};

#define LOST \
	"(gone_at_ns IS NOT NULL AND expired_ns IS NULL AND revoked_ns IS NULL AND loss IS NULL)"
#define WITH_SAMPLES \
	"EXISTS (SELECT 1 FROM points WHERE voltag = v.voltag AND (ended_ns IS NULL OR " LOST "))"

/* Comes before the columns, and after them; ?2 is how many volumes there may be. */
static const char select_begin[] =
	"WITH chosen AS MATERIALIZED ("
	" SELECT voltag, volume, cluster, namespace, name FROM volumes v WHERE " WITH_SAMPLES
	" ORDER BY volume, voltag LIMIT ?2),"
	" good AS MATERIALIZED ("
	" SELECT max(started_ns) AS at_ns, (SELECT count(*) FROM cuts) > 0 AS geo FROM checks"
	" WHERE level >= 3 AND all_packs AND problems = 0),"
	" sums AS MATERIALIZED ("
	" SELECT voltag, count(*) AS made, sum(ended_ns IS NULL) AS points,"
	" sum(bytes_read) AS bytes_read, sum(bytes_stored) AS bytes_stored,"
	" sum(max(0, finished_ns - started_ns)) AS took_ns,"
	" min(CASE WHEN ended_ns IS NULL THEN frozen_ns END) AS oldest_ns,"
	" max(CASE WHEN ended_ns IS NULL AND received_ns < at_ns THEN frozen_ns END)"
	" AS verified_ns,"
	" sum(ended_ns IS NULL AND geo_ns IS NULL) AS waiting, sum(" LOST ") AS lost,"
	" geo, at_ns AS check_ns"
	" FROM points, good WHERE voltag IN (SELECT voltag FROM chosen) GROUP BY voltag)"
	" SELECT v.volume, v.cluster, v.namespace, v.name, coalesce(n.kind, 'unknown')";
static const char select_end[] =
	" FROM chosen v JOIN sums a ON a.voltag = v.voltag"
	" LEFT JOIN points n ON n.session = (SELECT session FROM points"
	" WHERE voltag = v.voltag AND ended_ns IS NULL"
	" ORDER BY sequence DESC, received_ns DESC, session DESC LIMIT 1)"
	" LEFT JOIN points g ON g.session = (SELECT session FROM points"
	" WHERE voltag = v.voltag AND ended_ns IS NULL AND geo_ns IS NOT NULL"
	" ORDER BY sequence DESC, received_ns DESC, session DESC LIMIT 1)"
	" ORDER BY v.volume, v.voltag";

static int put_family(struct catalog *c, const struct family *f, int64_t now_ns, struct buf *b,
                      struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, f->sql, e);
	bool begun = false;
	int rc;

	if (!s)
		return -1;
	(void)sqlite3_bind_int64(s, 1, now_ns);
	while ((rc = catalog_step(c, s, e)) > 0) {
		const struct metric_label label = { f->label, catalog_text(s, 0) };
		bool labelled = f->label != NULL;

		if (sqlite3_column_type(s, labelled) == SQLITE_NULL)
			continue;
		if (!begun)
			metric_family(b, f->name, f->kind, f->help);
		begun = true;
		metric_sample(b, f->name, &label, labelled, sqlite3_column_double(s, labelled));
	}
	return rc;
}

/* ---- volumes ---- */

enum { NAME_VOLUME, NAME_CLUSTER, NAME_NAMESPACE, NAME_NAME, NAME_KIND, NAMES };
static const char *const name_labels[NAMES] = { "volume", "cluster", "namespace", "name", "kind" };

struct row {
	char *names[NAMES];
	double values[ARRAY_LEN(columns)]; /* NAN: none */
};

struct rows {
	struct row *v;
	size_t n, room;
};

static void rows_clear(struct rows *r)
{
	for (size_t i = 0; i < r->n; i++)
		for (size_t k = 0; k < NAMES; k++)
			free(r->v[i].names[k]);
	free(r->v);
}

static int add_row(struct rows *r, sqlite3_stmt *s)
{
	if (r->n == r->room) {
		size_t room = r->room ? 2 * r->room : 64;
		struct row *v = reallocarray(r->v, room, sizeof(*v));

		if (!v)
			return -1;
		r->v = v;
		r->room = room;
	}
	struct row *row = &r->v[r->n++];
	memset(row, 0, sizeof(*row));
	for (int i = 0; i < NAMES; i++) {
		row->names[i] = strdup(catalog_text(s, i));
		if (!row->names[i])
			return -1;
	}
	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		int at = NAMES + (int)i;

		row->values[i] = sqlite3_column_type(s, at) == SQLITE_NULL
		                         ? (double)NAN
		                         : sqlite3_column_double(s, at);
	}
	return 0;
}

static int read_rows(struct catalog *c, const struct metrics_params *params, struct rows *r,
                     struct err *e)
{
	CLEANUP(buf_clear) struct buf sql = BUF_INIT(64 * KIB);
	int rc;

	(void)buf_str(&sql, select_begin);
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		(void)buf_printf(&sql, ", %s", columns[i].sql);
	(void)buf_str(&sql, select_end);
	if (buf_check(&sql, "a statement", e) < 0)
		return -1;
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, buf_cstr(&sql), e);
	if (!s)
		return -1;
	(void)sqlite3_bind_int64(s, 1, params->now_ns);
	(void)sqlite3_bind_int64(s, 2, params->volumes ? params->volumes : METRICS_VOLUMES);
	while ((rc = catalog_step(c, s, e)) > 0)
		if (add_row(r, s) < 0)
			return err_set(e, ERR_NOMEM, "no memory for the metrics of %zu volumes",
			               r->n);
	return rc;
}

static void put_info(const struct rows *r, struct buf *b)
{
	static const char name[] = "aksdr_volume_info";

	metric_family(b, name, METRIC_GAUGE,
	              "Always 1: what the name of the volume is made of, and its kind.");
	for (size_t i = 0; i < r->n; i++) {
		struct metric_label labels[NAMES];

		for (size_t k = 0; k < NAMES; k++)
			labels[k] = (struct metric_label){ name_labels[k], r->v[i].names[k] };
		metric_sample(b, name, labels, NAMES, 1);
	}
}

static void put_column(const struct rows *r, size_t column, struct buf *b)
{
	const struct column *c = &columns[column];
	bool begun = false;

	for (size_t i = 0; i < r->n; i++) {
		const struct row *row = &r->v[i];
		const struct metric_label volume = { "volume", row->names[NAME_VOLUME] };

		if (isnan(row->values[column]))
			continue;
		if (!begun)
			metric_family(b, c->name, c->kind, c->help);
		begun = true;
		metric_sample(b, c->name, &volume, 1, row->values[column]);
	}
}

static int put_dropped(struct catalog *c, size_t shown, struct buf *b, struct err *e)
{
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(c, "SELECT count(*) FROM volumes v WHERE " WITH_SAMPLES, e);
	int rc = s ? catalog_step(c, s, e) : -1;

	if (rc < 0)
		return -1;
	metric_family(b, "aksdr_metrics_dropped", METRIC_GAUGE,
	              "Volumes without samples of their own, because there are too many.");
	metric_sample(b, "aksdr_metrics_dropped", NULL, 0,
	              (double)(sqlite3_column_int64(s, 0) - (int64_t)shown));
	return 0;
}

/* ---- all ---- */

static int put_all(struct catalog *c, const struct metrics_params *params, struct buf *b,
                   struct err *e)
{
	CLEANUP(rows_clear) struct rows r = { .n = 0 };
	/* One state of the catalog, though a sync may be writing to it; only for reading. */
	CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };

	if (catalog_exec(c, "BEGIN", e) < 0)
		return -1;
	tx.c = c;
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		if (put_family(c, &families[i], params->now_ns, b, e) < 0)
			return err_wrap(e, "'%s'", families[i].name);
	if (read_rows(c, params, &r, e) < 0 || put_dropped(c, r.n, b, e) < 0)
		return err_wrap(e, "volumes");
	if (r.n > 0)
		put_info(&r, b);
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		put_column(&r, i, b);
	return 0;
}

int metrics_put(struct catalog *c, const struct metrics_params *params, struct buf *b,
                struct err *e)
{
	return put_all(c, params, b, e) < 0 ? err_wrap(e, "making metrics of the catalog") : 0;
}
