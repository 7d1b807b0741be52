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

#define LABELS_MAX 2

/*
 * ?1 is the time. The first columns are the values of the labels, the last one is the sample's;
 * NULL: there is none. What a label may be is bounded by what it is, and by FAMILY_SAMPLES_MAX.
 */
static const struct family {
	const char *name, *help;
	enum metric_kind kind;
	const char *labels[LABELS_MAX];
	const char *sql;
} families[] = {
	{ "aksdr_catalog_synced_timestamp_seconds",
	  "When a sync last came to its end.",
	  METRIC_GAUGE,
	  { NULL },
	  "SELECT synced_ns / 1000000000 FROM repository WHERE ?1" },
	{ "aksdr_catalog_anomalies",
	  "Anomalies that are not resolved.",
	  METRIC_GAUGE,
	  { NULL },
	  "SELECT count(*) FROM anomalies WHERE resolved_ns IS NULL AND ?1" },
	{ "aksdr_catalog_volumes",
	  "Volumes that have restore points, or had.",
	  METRIC_GAUGE,
	  { NULL },
	  "SELECT count(*) FROM volumes WHERE ?1" },
	{ "aksdr_catalog_holds",
	  "Holds that are not released.",
	  METRIC_GAUGE,
	  { NULL },
	  "SELECT count(*) FROM holds WHERE released IS NULL AND ?1" },
	{ "aksdr_catalog_points",
	  "Restore points by what became of them.",
	  METRIC_GAUGE,
	  { "state" },
	  "SELECT CASE WHEN gone_at_ns IS NULL"
	  " THEN coalesce(expiry, CASE WHEN incomplete_ns IS NULL THEN 'present'"
	  "                            ELSE 'incomplete' END)"
	  " WHEN expired_ns IS NOT NULL THEN 'deleted'"
	  " WHEN revoked_ns IS NOT NULL THEN 'revoked' ELSE 'lost' END, count(*)"
	  " FROM points WHERE ?1 GROUP BY 1 ORDER BY 1" },
	{ "aksdr_catalog_uploaded_bytes",
	  "Bytes that the restore points which are there added to the store.",
	  METRIC_GAUGE,
	  { NULL },
	  "SELECT coalesce(sum(bytes_stored), 0) FROM points WHERE ended_ns IS NULL AND ?1" },
	{ "aksdr_checks_total",
	  "Checks that were run.",
	  METRIC_COUNTER,
	  { "level" },
	  "SELECT level, count(*) FROM checks WHERE ?1 GROUP BY 1 ORDER BY 1" },
	{ "aksdr_check_timestamp_seconds",
	  "When the last check of this level ended.",
	  METRIC_GAUGE,
	  { "level" },
	  "SELECT level, max(finished_ns) / 1e9 FROM checks WHERE ?1 GROUP BY 1 ORDER BY 1" },
	/* A bare column beside max() is of the row that has it. */
	{ "aksdr_check_duration_seconds",
	  "How long the last check of this level took.",
	  METRIC_GAUGE,
	  { "level" },
	  "SELECT level, took FROM (SELECT level, max(0, finished_ns - started_ns) / 1e9 AS took,"
	  " max(finished_ns) FROM checks WHERE ?1 GROUP BY level ORDER BY level)" },
	{ "aksdr_check_problems",
	  "Problems that the last check of this level found.",
	  METRIC_GAUGE,
	  { "level" },
	  "SELECT level, problems FROM (SELECT level, problems, max(finished_ns) FROM checks"
	  " WHERE ?1 GROUP BY level ORDER BY level)" },
	{ "aksdr_check_hurt_points",
	  "Restore points that are hurt by them.",
	  METRIC_GAUGE,
	  { "level" },
	  "SELECT level, hurt_points FROM (SELECT level, hurt_points, max(finished_ns) FROM checks"
	  " WHERE ?1 GROUP BY level ORDER BY level)" },
	{ "aksdr_check_objects",
	  "Objects of the store that the last check of this level saw.",
	  METRIC_GAUGE,
	  { "level" },
	  "SELECT level, objects FROM (SELECT level, objects, max(finished_ns) FROM checks"
	  " WHERE ?1 GROUP BY level ORDER BY level)" },
	{ "aksdr_check_read_bytes",
	  "Bytes that the last check of this level read of the store.",
	  METRIC_GAUGE,
	  { "level" },
	  "SELECT level, bytes FROM (SELECT level, bytes, max(finished_ns) FROM checks"
	  " WHERE ?1 GROUP BY level ORDER BY level)" },
	{ "aksdr_geo_known",
	  "1: it is known how far the second region is; 0: it could not be told.",
	  METRIC_GAUGE,
	  { NULL },
	  "SELECT kind <> 'unknown' FROM cuts WHERE ?1 ORDER BY id DESC LIMIT 1" },
	{ "aksdr_geo_cut_timestamp_seconds",
	  "What the store received until then is in the second region.",
	  METRIC_GAUGE,
	  { NULL },
	  "SELECT cut_ns / 1e9 FROM cuts WHERE kind <> 'unknown' AND ?1 ORDER BY id DESC LIMIT 1" },
	{ "aksdr_geo_cut_observed_timestamp_seconds",
	  "When that was last found out.",
	  METRIC_GAUGE,
	  { NULL },
	  "SELECT observed_ns / 1e9 FROM cuts WHERE kind <> 'unknown' AND ?1"
	  " ORDER BY id DESC LIMIT 1" },
	{ "aksdr_geo_lag_seconds",
	  "How far the second region was behind the store then.",
	  METRIC_GAUGE,
	  { NULL },
	  "SELECT max(0, coalesce(at_ns, observed_ns) - cut_ns) / 1e9 FROM cuts"
	  " WHERE kind <> 'unknown' AND ?1 ORDER BY id DESC LIMIT 1" },
	{ "aksdr_geo_behind_objects",
	  "Objects that were known to lack in the second region then.",
	  METRIC_GAUGE,
	  { NULL },
	  "SELECT behind FROM cuts WHERE kind <> 'unknown' AND ?1 ORDER BY id DESC LIMIT 1" },
	{ "aksdr_fences",
	  "Fences of sites that stand.",
	  METRIC_GAUGE,
	  { NULL },
	  "SELECT count(*) FROM fences WHERE lifted_epoch IS NULL AND ?1" },
	{ "aksdr_lock_look_timestamp_seconds",
	  "When the store was last asked for the locks of all restore points.",
	  METRIC_GAUGE,
	  { NULL },
	  "SELECT observed_ns / 1e9 FROM lock_looks WHERE all_points AND ?1"
	  " ORDER BY id DESC LIMIT 1" },
	{ "aksdr_points_not_locked",
	  "Restore points that could be deleted before their time then, or parts of them.",
	  METRIC_GAUGE,
	  { NULL },
	  "SELECT points - locked - over FROM lock_looks WHERE all_points AND ?1"
	  " ORDER BY id DESC LIMIT 1" },
	{ "aksdr_key_since_timestamp_seconds",
	  "Since when a key that counts has been in use: the first restore point of a signer that"
	  " the catalog has seen, the first sync that saw who can read.",
	  METRIC_GAUGE,
	  { "role", "name" },
	  "SELECT 'recipient', name, min(seen_ns) / 1e9 FROM recipients"
	  " WHERE gone_ns IS NULL AND ?1 GROUP BY 2"
	  " UNION ALL SELECT 'signer', s.name, min(p.since_ns) / 1e9 FROM signers s"
	  " JOIN (SELECT signer, min(received_ns) AS since_ns FROM points GROUP BY 1) p"
	  " ON p.signer = s.signer WHERE s.revoked_ns IS NULL GROUP BY 2 ORDER BY 1, 2" },
	{ "aksdr_gc_reclaimable_bytes",
	  "Bytes that expired restore points added to the store which no collection has taken yet;"
	  " what others share of them stays.",
	  METRIC_GAUGE,
	  { NULL },
	  "SELECT coalesce(sum(bytes_stored), 0) FROM points WHERE expired_ns IS NOT NULL"
	  " AND gone_at_ns IS NULL AND ?1" },
	{ "aksdr_inventory_timestamp_seconds",
	  "When the store received the newest inventory of the cluster.",
	  METRIC_GAUGE,
	  { "cluster" },
	  "SELECT cluster, max(received_ns) / 1e9 "
	  "FROM inventories WHERE ?1 GROUP BY 1 ORDER BY 1" },
	{ "aksdr_unprotected_volumes",
	  "What holds data in the cluster and is exposed, by its kind: claims, volumes of pods and"
	  " others.",
	  METRIC_GAUGE,
	  { "cluster", "kind" },
	  "SELECT cluster, kind, sum(CASE state WHEN 'exposed' THEN count ELSE 0 END)"
	  " FROM inventory WHERE until_ns IS NULL AND ?1 GROUP BY 1, 2 ORDER BY 1, 2" },
	{ "aksdr_volumes_without_points",
	  "Claims of the cluster that a policy protects for a day or more, and that have no restore"
	  " point.",
	  METRIC_GAUGE,
	  { "cluster" },
	  "SELECT i.cluster, sum(i.state = 'protected' AND i.from_ns < ?1 - 86400000000000"
	  " AND NOT EXISTS (SELECT 1 FROM volumes v JOIN points p ON p.voltag = v.voltag"
	  " WHERE v.cluster = i.cluster AND v.namespace = i.namespace AND v.name = i.name"
	  " AND p.ended_ns IS NULL)) FROM inventory i WHERE i.until_ns IS NULL"
	  " AND i.kind = 'claim' GROUP BY 1 ORDER BY 1" },
	{ "aksdr_drill_timestamp_seconds",
	  "When the last drill of the plan that ended began.",
	  METRIC_GAUGE,
	  { "plan" },
	  "SELECT plan, max(began_ns) / 1e9 FROM drills WHERE ?1 GROUP BY 1 ORDER BY 1" },
	{ "aksdr_drill_passed",
	  "Whether that drill passed.",
	  METRIC_GAUGE,
	  { "plan" },
	  "SELECT plan, passed FROM (SELECT plan, passed AND NOT damaged AS passed, max(began_ns)"
	  " FROM drills WHERE ?1 GROUP BY plan ORDER BY plan)" },
	{ "aksdr_drill_passed_timestamp_seconds",
	  "When the last drill of the plan that passed began.",
	  METRIC_GAUGE,
	  { "plan" },
	  "SELECT plan, max(began_ns) / 1e9 FROM drills WHERE passed AND NOT damaged AND ?1"
	  " GROUP BY 1 ORDER BY 1" },
	{ "aksdr_drill_rto_seconds",
	  "From the begin of the last drill of the plan to its last check.",
	  METRIC_GAUGE,
	  { "plan" },
	  "SELECT plan, rto FROM (SELECT plan, rto_ms / 1e3 AS rto, max(began_ns)"
	  " FROM drills WHERE ?1 GROUP BY plan ORDER BY plan)" },
	{ "aksdr_drill_rto_target_seconds",
	  "That the plan asked for then.",
	  METRIC_GAUGE,
	  { "plan" },
	  "SELECT plan, rto FROM (SELECT plan, rto_target_s AS rto, max(began_ns)"
	  " FROM drills WHERE ?1 GROUP BY plan ORDER BY plan)" },
};

static const char bytes_help[] =
	"Of the newest restore point of the volume: sum of sizes (logical), read for it, new of"
	" that (changed) and not (deduped), added to the store (uploaded).";
#define BYTES(sql, of)                                                            \
	{                                                                         \
		"aksdr_volume_bytes", bytes_help, METRIC_GAUGE, FOLD_SUM, sql, of \
	}

/* What becomes of the values of volumes without samples of their own: the worst, or the sum. */
enum fold { FOLD_MAX, FOLD_MIN, FOLD_SUM, FOLD_AGE /* of the oldest; the SQL tells its moment */ };

/*
 * Of a volume v: n is its newest point that can be restored, g the newest of these in the second
 * region, a what there is of all its points; ?1 is the time. NULL: no sample.
 */
static const struct column {
	const char *name, *help;
	enum metric_kind kind;
	enum fold fold;
	const char *sql;
	const char *of; /* value of a further label, `kind`; NULL: none. Of one family in a row. */
} columns[] = {
	{ "aksdr_volume_rpo_seconds", "Age of what the newest restore point of the volume holds.",
	  METRIC_GAUGE, FOLD_AGE, "n.frozen_ns / 1e9", NULL },
	{ "aksdr_volume_geo_rpo_seconds",
	  "Age of what the newest restore point of the volume holds that is in the second region.",
	  METRIC_GAUGE, FOLD_AGE, "CASE WHEN a.geo THEN g.frozen_ns / 1e9 END", NULL },
	{ "aksdr_volume_geo_waiting_points",
	  "Restore points of the volume that are not known to be in the second region.",
	  METRIC_GAUGE, FOLD_SUM, "CASE WHEN a.geo THEN a.waiting END", NULL },

	{ "aksdr_volume_rpo_target_seconds",
	  "How old it may become by the policy of the volume's claim; no sample: as old as it may.",
	  METRIC_GAUGE, FOLD_MIN,
	  "(SELECT nullif(i.rpo_s, 0) FROM inventory i "
	  "WHERE i.until_ns IS NULL AND i.kind = 'claim'"
	  " AND i.cluster = v.cluster AND i.namespace = v.namespace AND i.name = v.name LIMIT 1)",
	  NULL },
	{ "aksdr_volume_last_success_timestamp_seconds",
	  "The moment that the newest restore point of the volume holds.", METRIC_GAUGE, FOLD_MIN,
	  "n.frozen_ns / 1e9", NULL },
	{ "aksdr_volume_last_finished_timestamp_seconds", "When the backup that made it ended.",
	  METRIC_GAUGE, FOLD_MIN, "n.finished_ns / 1e9", NULL },
	{ "aksdr_volume_last_duration_seconds", "How long that backup took.", METRIC_GAUGE,
	  FOLD_MAX, "max(0, n.finished_ns - n.started_ns) / 1e9", NULL },
	{ "aksdr_volume_last_freeze_seconds",
	  "How long the volume stood still for it; no sample: it did not.", METRIC_GAUGE, FOLD_MAX,
	  "n.freeze_ms / 1e3", NULL },
	BYTES("n.bytes_logical", "logical"),
	BYTES("n.bytes_read", "read"),
	BYTES("n.bytes_new", "changed"),
	BYTES("n.bytes_stored", "uploaded"),
	BYTES("max(0, n.bytes_read - n.bytes_new)", "deduped"),
	{ "aksdr_volume_last_entries", "Files, directories and others in it.", METRIC_GAUGE,
	  FOLD_SUM, "n.files + n.directories + n.others", NULL },
	{ "aksdr_volume_last_unreadable_entries", "Entries that could not be read: not in it.",
	  METRIC_GAUGE, FOLD_SUM, "n.unreadable", NULL },
	{ "aksdr_volume_last_changed_entries", "Entries that changed while they were read: torn.",
	  METRIC_GAUGE, FOLD_SUM, "n.changed", NULL },
	{ "aksdr_volume_last_partial", "1: something is not in it.", METRIC_GAUGE, FOLD_MAX,
	  "n.unreadable > 0", NULL },
	{ "aksdr_volume_last_fuzzy", "1: it is of no single moment.", METRIC_GAUGE, FOLD_MAX,
	  "n.consistency = 'fuzzy'", NULL },
	{ "aksdr_volume_last_fallback", "1: a better way to take it was not to be had.",
	  METRIC_GAUGE, FOLD_MAX, "n.fallback IS NOT NULL", NULL },
	{ "aksdr_volume_last_failed_hooks", "Commands of it that failed.", METRIC_GAUGE, FOLD_SUM,
	  "n.hooks_failed", NULL },

	{ "aksdr_volume_points", "Restore points of the volume that can be restored.", METRIC_GAUGE,
	  FOLD_SUM, "a.points", NULL },
	{ "aksdr_volume_oldest_timestamp_seconds", "The moment that the oldest of them holds.",
	  METRIC_GAUGE, FOLD_MIN, "a.oldest_ns / 1e9", NULL },
	{ "aksdr_volume_lost_points",
	  "Restore points that are missing from the store, and no reconciliation accepted it.",
	  METRIC_GAUGE, FOLD_SUM, "a.lost", NULL },
	{ "aksdr_volume_anomalies", "Anomalies of the volume that are not resolved.", METRIC_GAUGE,
	  FOLD_SUM,
	  "(SELECT count(*) FROM anomalies x WHERE x.voltag = v.voltag"
	  " AND x.resolved_ns IS NULL)",
	  NULL },
	{ "aksdr_volume_last_verified_timestamp_seconds",
	  "When the last check that read everything and found nothing wrong began, if it saw a"
	  " restore point of the volume.",
	  METRIC_GAUGE, FOLD_MIN, "CASE WHEN a.verified_ns IS NOT NULL THEN a.check_ns / 1e9 END",
	  NULL },
	{ "aksdr_volume_verified_timestamp_seconds",
	  "The moment that the newest restore point holds which that check saw.", METRIC_GAUGE,
	  FOLD_MIN, "a.verified_ns / 1e9", NULL },
	{ "aksdr_volume_last_drill_timestamp_seconds",
	  "When the last drill began that read the volume back and found it as it was.",
	  METRIC_GAUGE, FOLD_MIN,
	  "(SELECT max(d.began_ns) / 1e9 FROM drill_volumes x JOIN drills d ON d.run = x.run"
	  " WHERE x.volume = v.volume AND x.restored AND x.verified AND NOT x.damaged)",
	  NULL },
	{ "aksdr_volume_geo_timestamp_seconds",
	  "The moment that the newest restore point in the second region holds.", METRIC_GAUGE,
	  FOLD_MIN, "CASE WHEN a.geo THEN g.frozen_ns / 1e9 END", NULL },
	{ "aksdr_volume_geo_lag_seconds",
	  "From that to the moment of the newest restore point: what a failover loses of it.",
	  METRIC_GAUGE, FOLD_MAX,
	  "CASE WHEN a.geo THEN max(0, n.frozen_ns - g.frozen_ns) / 1e9 END", NULL },

	{ "aksdr_volume_points_made_total", "Restore points that were ever seen of the volume.",
	  METRIC_COUNTER, FOLD_SUM, "a.made", NULL },
	{ "aksdr_volume_read_bytes_total", "Bytes that were read for them.", METRIC_COUNTER,
	  FOLD_SUM, "a.bytes_read", NULL },
	{ "aksdr_volume_uploaded_bytes_total", "Bytes that they added to the store.",
	  METRIC_COUNTER, FOLD_SUM, "a.bytes_stored", NULL },
	{ "aksdr_volume_duration_seconds_total", "How long their backups took.", METRIC_COUNTER,
	  FOLD_SUM, "a.took_ns / 1e9", NULL },
};

#define LOST \
	"(gone_at_ns IS NOT NULL AND expired_ns IS NULL AND revoked_ns IS NULL AND loss IS NULL)"
#define WITH_SAMPLES \
	"EXISTS (SELECT 1 FROM points WHERE voltag = v.voltag AND (ended_ns IS NULL OR " LOST "))"

/* Comes before the columns, and after them. */
static const char select_begin[] =
	"WITH chosen AS MATERIALIZED ("
	" SELECT voltag, volume, cluster, namespace, name FROM volumes v WHERE " WITH_SAMPLES
	" ORDER BY volume, voltag),"
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

#define FAMILY_SAMPLES_MAX 200

/* *dropped grows by the samples that there is no room for. */
static int put_family(struct catalog *c, const struct family *f, int64_t now_ns, struct buf *b,
                      uint64_t *dropped, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, f->sql, e);
	size_t n = 0;
	size_t nlabels = 0;
	int rc;

	if (!s)
		return -1;
	while (nlabels < LABELS_MAX && f->labels[nlabels])
		nlabels++;
	(void)sqlite3_bind_int64(s, 1, now_ns);
	while ((rc = catalog_step(c, s, e)) > 0) {
		struct metric_label labels[LABELS_MAX];
		const int value = (int)nlabels;

		if (sqlite3_column_type(s, value) == SQLITE_NULL)
			continue;
		if (n == FAMILY_SAMPLES_MAX) {
			(*dropped)++;
			continue;
		}
		for (size_t i = 0; i < nlabels; i++)
			labels[i] = (struct metric_label){ f->labels[i], catalog_text(s, (int)i) };
		if (n++ == 0)
			metric_family(b, f->name, f->kind, f->help);
		metric_sample(b, f->name, labels, nlabels, sqlite3_column_double(s, value));
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

struct metrics {
	struct buf families; /* of the repository, as text */
	struct row *v;
	size_t n, room;
	uint64_t folded; /* volumes that are in `other` */
	double other[ARRAY_LEN(columns)];
};

void metrics_free(struct metrics *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		for (size_t k = 0; k < NAMES; k++)
			free(r->v[i].names[k]);
	free(r->v);
	buf_clear(&r->families);
	free(r);
}

static double value_at(sqlite3_stmt *s, size_t column)
{
	const int at = NAMES + (int)column;

	return sqlite3_column_type(s, at) == SQLITE_NULL ? (double)NAN
	                                                 : sqlite3_column_double(s, at);
}

/* The worst of both, or the sum; what one does not have the other decides. */
static double fold(enum fold how, double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) ? b : a;
	if (how == FOLD_SUM)
		return a + b;
	return how == FOLD_MAX ? fmax(a, b) : fmin(a, b);
}

static void fold_row(struct metrics *r, sqlite3_stmt *s)
{
	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		const double before = r->folded > 0 ? r->other[i] : (double)NAN;

		r->other[i] = fold(columns[i].fold, before, value_at(s, i));
	}
	r->folded++;
}

static int add_row(struct metrics *r, sqlite3_stmt *s)
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
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		row->values[i] = value_at(s, i);
	return 0;
}

static int read_rows(struct catalog *c, const struct metrics_params *params, struct metrics *r,
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
	while ((rc = catalog_step(c, s, e)) > 0) {
		if (r->n == (params->volumes ? params->volumes : METRICS_VOLUMES))
			fold_row(r, s);
		else if (add_row(r, s) < 0)
			return err_set(e, ERR_NOMEM, "no memory for the metrics of %zu volumes",
			               r->n);
	}
	return rc;
}

static void put_info(const struct metrics *r, struct buf *b)
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

/* last: the family that was begun last, or NULL. Returns the one that is now. */
static const char *put_column(const struct metrics *r, size_t column, int64_t now_ns,
                              const char *last, struct buf *b)
{
	const struct column *c = &columns[column];

	for (size_t i = 0; i <= r->n; i++) {
		const bool own = i < r->n;
		double value = own             ? r->v[i].values[column]
		               : r->folded > 0 ? r->other[column]
		                               : (double)NAN;
		const struct metric_label labels[] = {
			{ "volume", own ? r->v[i].names[NAME_VOLUME] : METRICS_OTHER },
			{ "kind", c->of },
		};

		if (isnan(value))
			continue;
		if (!last || strcmp(last, c->name) != 0)
			metric_family(b, c->name, c->kind, c->help);
		last = c->name;
		if (c->fold == FOLD_AGE)
			value = (double)now_ns / 1e9 - value;
		metric_sample(b, c->name, labels, c->of ? 2 : 1, value);
	}
	return last;
}

static void put_dropped(uint64_t dropped, struct buf *b)
{
	metric_family(b, "aksdr_metrics_dropped", METRIC_GAUGE,
	              "What has no samples of its own, because there is too much: volumes, which"
	              " are in the sample '" METRICS_OTHER "', and plans and clusters.");
	metric_sample(b, "aksdr_metrics_dropped", NULL, 0, (double)dropped);
}

/* ---- all ---- */

static int load(struct catalog *c, const struct metrics_params *params, struct metrics *m,
                struct err *e)
{
	/* One state of the catalog, though a sync may be writing to it; only for reading. */
	CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };
	uint64_t dropped = 0;

	if (catalog_exec(c, "BEGIN", e) < 0)
		return -1;
	tx.c = c;
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		if (put_family(c, &families[i], params->now_ns, &m->families, &dropped, e) < 0)
			return err_wrap(e, "'%s'", families[i].name);
	if (read_rows(c, params, m, e) < 0)
		return err_wrap(e, "volumes");
	put_dropped(dropped + m->folded, &m->families);
	return buf_check(&m->families, "the text of the metrics", e);
}

int metrics_load(struct catalog *c, const struct metrics_params *params, struct metrics **ret,
                 struct err *e)
{
	struct metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return err_set(e, ERR_NOMEM, "no memory for metrics");
	m->families = BUF_INIT(METRIC_TEXT_MAX);
	if (load(c, params, m, e) < 0) {
		metrics_free(m);
		return err_wrap(e, "making metrics of the catalog");
	}
	*ret = m;
	return 0;
}

void metrics_print(const struct metrics *m, int64_t now_ns, struct buf *b)
{
	const char *family = NULL;

	(void)buf_put(b, m->families.data, m->families.len);
	if (m->n > 0)
		put_info(m, b);
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		family = put_column(m, i, now_ns, family, b);
}

int metrics_put(struct catalog *c, const struct metrics_params *params, struct buf *b,
                struct err *e)
{
	struct metrics *m;

	if (metrics_load(c, params, &m, e) < 0)
		return -1;
	metrics_print(m, params->now_ns, b);
	metrics_free(m);
	return 0;
}
