/* SPDX-License-Identifier: Apache-2.0 */
/* See measure.h. A family is one statement: its rows are samples, with a volume or without. */
#include "catalog/measure.h"

#include "common/metric.h"

/* ?1 is the time, ?2 how many volumes there may be. The last column is the value; NULL: none. */
static const struct family {
	const char *name, *help, *sql;
	bool by_volume; /* the first column is the volume */
} families[] = {
	{ "aksdr_catalog_synced_timestamp_seconds", "When a sync last came to its end.",
	  "SELECT synced_ns / 1000000000 FROM repository WHERE ?1 AND ?2", false },
	{ "aksdr_catalog_anomalies", "Anomalies that are not resolved.",
	  "SELECT count(*) FROM anomalies WHERE resolved_ns IS NULL AND ?1 AND ?2", false },
	{ "aksdr_catalog_volumes", "Volumes that have restore points, or had.",
	  "SELECT count(*) FROM volumes WHERE ?1 AND ?2", false },
	{ "aksdr_rpo_seconds", "Age of what the newest restore point of the volume holds.",
	  "SELECT volume, (?1 - newest_frozen_ns) / 1e9 FROM v_volume_status"
	  " ORDER BY volume, voltag LIMIT ?2",
	  true },
	{ "aksdr_geo_rpo_seconds",
	  "Age of what the newest restore point of the volume holds that is in the second region.",
	  "SELECT volume, (?1 - geo_frozen_ns) / 1e9 FROM v_geo ORDER BY volume, voltag LIMIT ?2",
	  true },
	{ "aksdr_geo_waiting_points",
	  "Restore points of the volume that are not known to be in the second region.",
	  "SELECT volume, waiting FROM v_geo WHERE ?1 ORDER BY volume, voltag LIMIT ?2", true },
	{ "aksdr_geo_known",
	  "1: it is known how far the second region is; 0: it could not be told.",
	  "SELECT kind <> 'unknown' FROM cuts WHERE ?1 AND ?2 ORDER BY id DESC LIMIT 1", false },
	{ "aksdr_geo_cut_timestamp_seconds",
	  "What the store received until then is in the second region.",
	  "SELECT cut_ns / 1e9 FROM cuts WHERE kind <> 'unknown' AND ?1 AND ?2"
	  " ORDER BY id DESC LIMIT 1",
	  false },
	{ "aksdr_geo_cut_observed_timestamp_seconds", "When that was last found out.",
	  "SELECT observed_ns / 1e9 FROM cuts WHERE kind <> 'unknown' AND ?1 AND ?2"
	  " ORDER BY id DESC LIMIT 1",
	  false },
	{ "aksdr_geo_lag_seconds", "How far the second region was behind the store then.",
	  "SELECT max(0, coalesce(at_ns, observed_ns) - cut_ns) / 1e9 FROM cuts"
	  " WHERE kind <> 'unknown' AND ?1 AND ?2 ORDER BY id DESC LIMIT 1",
	  false },
	{ "aksdr_geo_behind_objects", "Objects that were known to lack in the second region then.",
	  "SELECT behind FROM cuts WHERE kind <> 'unknown' AND ?1 AND ?2 ORDER BY id DESC LIMIT 1",
	  false },
};

static int put_family(struct catalog *c, const struct family *f, int64_t now_ns, struct buf *b,
                      struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, f->sql, e);
	bool begun = false;
	int rc;

	if (!s)
		return -1;
	(void)sqlite3_bind_int64(s, 1, now_ns);
	(void)sqlite3_bind_int64(s, 2, MEASURE_VOLUMES_MAX);
	while ((rc = catalog_step(c, s, e)) > 0) {
		const struct metric_label volume = { "volume", catalog_text(s, 0) };

		if (sqlite3_column_type(s, f->by_volume) == SQLITE_NULL)
			continue;
		if (!begun)
			metric_family(b, f->name, METRIC_GAUGE, f->help);
		begun = true;
		metric_sample(b, f->name, &volume, f->by_volume,
		              sqlite3_column_double(s, f->by_volume));
	}
	return rc;
}

int measure_put(struct catalog *c, int64_t now_ns, struct buf *b, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		if (put_family(c, &families[i], now_ns, b, e) < 0)
			return err_wrap(e, "measuring '%s'", families[i].name);
	}
	return 0;
}
