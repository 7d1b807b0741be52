/* SPDX-License-Identifier: Apache-2.0 */
/* What reports there are: titles, and what their columns mean. Statements: catalog/report/. */
#include "catalog/report.h"
#include "catalog/sql.gen.h"

static const struct report_column coverage_columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT, false, "cluster/namespace/name" },
	{ "cluster", "CLUSTER", TABLE_TEXT, true, "'' for volumes outside of a cluster" },
	{ "namespace", "NAMESPACE", TABLE_TEXT, true, "of the claim" },
	{ "state", "STATE", TABLE_TEXT, false,
	  "protected; late: the newest point is older than the target; exposed: "
	  "nothing could be restored; excluded: somebody said so" },
	{ "reason", "WHY", TABLE_TEXT, false, "why it is late or exposed" },
	{ "points", "POINTS", TABLE_NUMBER, false, "that could be restored" },
	{ "newest", "NEWEST", TABLE_TIME, false, "freeze time of the newest of them" },
	{ "age_ms", "AGE", TABLE_DURATION, false, "from that until the time of the report" },
	{ "target_ms", "TARGET", TABLE_DURATION, true, "as given, else what the policy asks for" },
	{ "policy", "POLICY", TABLE_TEXT, false, "by the inventory of the cluster" },
	{ "geo_age_ms", "GEO AGE", TABLE_DURATION, false,
	  "the same of the newest that was in the second region" },
	{ "verified", "VERIFIED", TABLE_TIME, false,
	  "freeze time of the newest that a check of everything found whole" },
	{ "tested", "TESTED", TABLE_TIME, false,
	  "when a drill last restored the volume and read it back" },
	{ "consistency", "CONSISTENCY", TABLE_TEXT, true, "of the newest" },
	{ "session", "SESSION", TABLE_TEXT, true, "of the newest: its evidence" },
};

static const struct report_column rpo_columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT, false, "cluster/namespace/name" },
	{ "state", "STATE", TABLE_TEXT, false, "met, missed, or there is no target, or no point" },
	{ "newest", "NEWEST", TABLE_TIME, false, "freeze time of the newest point" },
	{ "age_ms", "AGE", TABLE_DURATION, false, "its age" },
	{ "worst_ms", "WORST", TABLE_DURATION, false,
	  "the age of the newest point at its highest in the period" },
	{ "worst_at", "AT", TABLE_TIME, false, "when that was" },
	{ "late_ms", "LATE", TABLE_DURATION, false,
	  "how long the target was missed in the period" },
	{ "met_percent", "MET %", TABLE_TEXT, false,
	  "share of the time, since the first point, in which the target was met" },
	{ "geo_age_ms", "GEO AGE", TABLE_DURATION, false,
	  "age of the newest point that was in the second region" },
	{ "verified_age_ms", "VERIFIED AGE", TABLE_DURATION, false,
	  "age of the newest point that a check of everything found whole" },
	{ "target_ms", "TARGET", TABLE_DURATION, true, "as given" },
	{ "session", "SESSION", TABLE_TEXT, true, "of the newest point" },
};
static const struct report_chart rpo_chart = {
	REPORT_LINE, "Highest age of the newest point of any volume, by day, in hours",
	catalog_report_chart_rpo
};

static const struct report_column gaps_columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT, false, "cluster/namespace/name" },
	{ "state", "STATE", TABLE_TEXT, false, "ended: a point came; open: none has come" },
	{ "since", "SINCE", TABLE_TIME, false, "freeze time of the point before" },
	{ "until", "UNTIL", TABLE_TIME, false,
	  "receipt of the next point, or the end of the period" },
	{ "length_ms", "LENGTH", TABLE_DURATION, false, "between them" },
	{ "over_ms", "OVER", TABLE_DURATION, false, "by how much it was too long" },
};
static const struct report_chart gaps_chart = {
	REPORT_BARS, "How old the newest point became before the next one came: how often",
	catalog_report_chart_gaps
};

static const struct report_column success_columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT, false, "cluster/namespace/name" },
	{ "state", "STATE", TABLE_TEXT, false,
	  "ok; partly: points with entries or hooks that failed; fenced: sessions "
	  "without a point; none" },
	{ "points", "POINTS", TABLE_NUMBER, false, "that came" },
	{ "whole", "WHOLE", TABLE_NUMBER, false, "without anything left out, torn or failed" },
	{ "partly", "PARTLY", TABLE_NUMBER, false, "the others" },
	{ "fenced", "FENCED", TABLE_NUMBER, false, "sessions that ended without a point" },
	{ "whole_percent", "WHOLE %", TABLE_TEXT, false, "of points and fenced sessions" },
	{ "unreadable", "UNREADABLE", TABLE_NUMBER, false, "entries that were left out" },
	{ "changed", "TORN", TABLE_NUMBER, false, "entries that kept changing" },
	{ "hooks_failed", "HOOKS FAILED", TABLE_NUMBER, false, "commands before and after" },
	{ "took_ms", "TOOK", TABLE_DURATION, false, "from start to end, on average" },
	{ "longest_ms", "LONGEST", TABLE_DURATION, true, "from start to end, at most" },
};
static const struct report_chart success_chart = { REPORT_LINE, "Points that came, by day",
	                                           catalog_report_chart_success };

static const struct report_column restore_tests_columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT, false, "cluster/namespace/name" },
	{ "state", "STATE", TABLE_TEXT, false,
	  "verified; old: longer ago than the target; never; failed, damaged, not "
	  "read back: the last drill" },
	{ "last", "LAST DRILL", TABLE_TIME, false, "that it was in" },
	{ "verified", "VERIFIED", TABLE_TIME, false,
	  "the last that read it back and found it as it was" },
	{ "age_ms", "AGE", TABLE_DURATION, false, "since then" },
	{ "plan", "PLAN", TABLE_TEXT, false, "of the last drill" },
	{ "point", "POINT", TABLE_TEXT, true, "that was restored" },
	{ "frozen", "FROZEN", TABLE_TIME, true, "its freeze time" },
	{ "took_ms", "TOOK", TABLE_DURATION, false, "to restore this volume" },
	{ "rto_ms", "RTO", TABLE_DURATION, false, "of the whole drill, until its last check" },
	{ "rto_target_ms", "RTO TARGET", TABLE_DURATION, true, "that the plan asks for" },
	{ "why", "WHY", TABLE_TEXT, false, "what was wrong" },
	{ "run", "RUN", TABLE_TEXT, true, "of the last drill: its evidence" },
	{ "verified_run", "VERIFIED RUN", TABLE_TEXT, true, "of the drill that verified it" },
};

static const struct report_column retention_columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT, false, "cluster/namespace/name" },
	{ "points", "POINTS", TABLE_NUMBER, false, "that could be restored" },
	{ "oldest", "OLDEST", TABLE_TIME, false, "freeze time" },
	{ "newest", "NEWEST", TABLE_TIME, false, "freeze time" },
	{ "day", "24 H", TABLE_NUMBER, false, "frozen within a day" },
	{ "week", "7 D", TABLE_NUMBER, false, "within 7 days" },
	{ "month", "31 D", TABLE_NUMBER, false, "within 31 days" },
	{ "year", "366 D", TABLE_NUMBER, false, "within 366 days" },
	{ "expired", "EXPIRED", TABLE_NUMBER, false, "in the period, by tombstones" },
	{ "lost", "LOST", TABLE_NUMBER, false, "in the period, without one" },
	{ "holds", "HOLDS", TABLE_NUMBER, false, "on the volume or its points" },
	{ "bytes_stored", "STORED", TABLE_BYTES, false, "that its points added to the store" },
};

static const struct report_column immutability_columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT, false, "cluster/namespace/name" },
	{ "state", "STATE", TABLE_TEXT, false,
	  "whole; missing: points are gone without a statement; changed: what is "
	  "there does not fit" },
	{ "points", "POINTS", TABLE_NUMBER, false, "that were ever seen" },
	{ "present", "PRESENT", TABLE_NUMBER, false, "that could be restored" },
	{ "expired", "EXPIRED", TABLE_NUMBER, false, "by signed statements" },
	{ "lost", "LOST", TABLE_NUMBER, false, "gone without one" },
	{ "revoked", "REVOKED", TABLE_NUMBER, false, "of a key that counts no more" },
	{ "missing", "GAPS", TABLE_NUMBER, false, "open anomalies: gaps, losses" },
	{ "changed", "CHANGED", TABLE_NUMBER, false,
	  "open anomalies: forks, bad signatures, unreadable" },
	{ "locked", "LOCKED", TABLE_NUMBER, false,
	  "of those present: the store lets nobody delete them" },
	{ "locked_until", "LOCKED UNTIL", TABLE_TIME, false, "the last of them" },
	{ "looked", "LOOKED AT", TABLE_TIME, false,
	  "when `lock` last asked the store for all locks" },
	{ "holds", "HOLDS", TABLE_NUMBER, false, "in force" },
	{ "signatures", "SIGNERS", TABLE_NUMBER, false,
	  "that must agree before anything is expired" },
};

static const struct report_column keys_columns[] = {
	{ "role", "ROLE", TABLE_TEXT, false,
	  "admin, signer (writes points) or recipient (reads data)" },
	{ "name", "NAME", TABLE_TEXT, false, "by the config" },
	{ "state", "STATE", TABLE_TEXT, false,
	  "in use, unused, old (first used or seen longer ago than the target), "
	  "revoked, removed" },
	{ "first", "SINCE", TABLE_TIME, false,
	  "first point that it signed; of a recipient: when it was first seen" },
	{ "last", "LAST USED", TABLE_TIME, false, "last point that it signed" },
	{ "age_ms", "AGE", TABLE_DURATION, false, "since then" },
	{ "points", "POINTS", TABLE_NUMBER, false, "that it signed" },
	{ "ended", "ENDED", TABLE_TIME, false, "when it was revoked or removed" },
	{ "key", "KEY", TABLE_TEXT, false, "its id" },
};

static const struct report_column deletions_columns[] = {
	{ "received", "WHEN", TABLE_TIME, false, "the store received the statement" },
	{ "volume", "VOLUME", TABLE_TEXT, false, "cluster/namespace/name" },
	{ "point", "POINT", TABLE_TEXT, true, "its id" },
	{ "state", "STATE", TABLE_TEXT, false,
	  "expired, deleted, held, proposed (it takes more signers), expired later; lost or "
	  "revoked: gone, and not expired" },
	{ "why", "WHY", TABLE_TEXT, false, "as the statement says" },
	{ "policy", "POLICY", TABLE_TEXT, false, "that it was by" },
	{ "user", "USER", TABLE_TEXT, false, "who said it" },
	{ "host", "HOST", TABLE_TEXT, true, "where" },
	{ "signer", "SIGNER", TABLE_TEXT, false, "the key" },
	{ "signers", "SIGNERS", TABLE_NUMBER, false, "that have said so of this point" },
	{ "frozen", "FROZEN", TABLE_TIME, false, "freeze time of the point" },
	{ "gone", "GONE", TABLE_TIME, true, "when it was found to be no longer in the store" },
	{ "tombstone", "NO", TABLE_NUMBER, true, "number of the statement" },
	{ "session", "SESSION", TABLE_TEXT, true, "of the point" },
};

static const struct report_column inventory_columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT, false, "cluster/namespace/name" },
	{ "cluster", "CLUSTER", TABLE_TEXT, true, NULL },
	{ "namespace", "NAMESPACE", TABLE_TEXT, true, NULL },
	{ "name", "NAME", TABLE_TEXT, true, NULL },
	{ "state", "STATE", TABLE_TEXT, false,
	  "present: there are points; gone: there are none that could be restored" },
	{ "kind", "KIND", TABLE_TEXT, false, "filesystem or block" },
	{ "driver", "DRIVER", TABLE_TEXT, false, "how the newest was frozen" },
	{ "consistency", "CONSISTENCY", TABLE_TEXT, false, "of the newest" },
	{ "domain", "DOMAIN", TABLE_TEXT, true, "within which chunks are shared" },
	{ "bytes_logical", "SIZE", TABLE_BYTES, false, "of the newest" },
	{ "files", "FILES", TABLE_NUMBER, false, "of the newest" },
	{ "points", "POINTS", TABLE_NUMBER, false, "that were ever seen" },
	{ "first", "FIRST", TABLE_TIME, false, "freeze time of the first" },
	{ "newest", "NEWEST", TABLE_TIME, false, "freeze time of the newest" },
	{ "host", "HOST", TABLE_TEXT, true, "that made it" },
	{ "agent", "AGENT", TABLE_TEXT, true, "and its version" },
	{ "volume_uid", "UID", TABLE_TEXT, true, "of the claim" },
};

static const struct report_column exceptions_columns[] = {
	{ "kind", "KIND", TABLE_TEXT, false, "of exception" },
	{ "state", "STATE", TABLE_TEXT, false, "bad, or warn" },
	{ "volume", "VOLUME", TABLE_TEXT, false, "cluster/namespace/name" },
	{ "object", "OBJECT", TABLE_TEXT, true, "what it is about" },
	{ "since", "SINCE", TABLE_TIME, false, "when it was found, or frozen" },
	{ "detail", "DETAIL", TABLE_TEXT, false, NULL },
};

static const struct report_column capacity_columns[] = {
	{ "cluster", "CLUSTER", TABLE_TEXT, false, NULL },
	{ "namespace", "NAMESPACE", TABLE_TEXT, false, NULL },
	{ "volumes", "VOLUMES", TABLE_NUMBER, false, NULL },
	{ "points", "POINTS", TABLE_NUMBER, false, "that could be restored" },
	{ "bytes_logical", "SIZE", TABLE_BYTES, false, "of the newest points" },
	{ "bytes_points", "OF ALL POINTS", TABLE_BYTES, false, "sum of the sizes of all points" },
	{ "bytes_new", "NEW", TABLE_BYTES, true, "in chunks that were not there before" },
	{ "bytes_stored", "STORED", TABLE_BYTES, false, "that they added to the store" },
	{ "ratio", "RATIO", TABLE_TEXT, false,
	  "sum of sizes to stored: deduplication and compression" },
	{ "compression", "COMPRESSION", TABLE_TEXT, true, "new bytes to stored" },
	{ "bytes_added", "ADDED", TABLE_BYTES, false, "in the period" },
	{ "bytes_added_day", "A DAY", TABLE_BYTES, false, "on average" },
};
static const struct report_chart capacity_chart = { REPORT_LINE,
	                                            "Stored by points that were there, by day, GiB",
	                                            catalog_report_chart_capacity };

static const struct report_column cost_columns[] = {
	{ "cluster", "CLUSTER", TABLE_TEXT, false, NULL },
	{ "namespace", "NAMESPACE", TABLE_TEXT, false, NULL },
	{ "points", "POINTS", TABLE_NUMBER, false, "that could be restored" },
	{ "bytes_stored", "STORED", TABLE_BYTES, false, "that they added to the store" },
	{ "bytes_added", "ADDED", TABLE_BYTES, false, "in the period" },
	{ "month", "A MONTH", TABLE_TEXT, false, "for what is stored, all copies" },
	{ "year", "A YEAR", TABLE_TEXT, false, "the same for twelve months" },
	{ "restore", "RESTORE", TABLE_TEXT, false, "for reading all of it once" },
	{ "currency", "CURRENCY", TABLE_TEXT, false, "as given" },
};

static const struct report_column sample_columns[] = {
	{ "no", "NO", TABLE_NUMBER, false, "in the order of the choice" },
	{ "volume", "VOLUME", TABLE_TEXT, false, "cluster/namespace/name" },
	{ "point", "POINT", TABLE_TEXT, false, "its id" },
	{ "state", "STATE", TABLE_TEXT, false, "present, expired, revoked, lost" },
	{ "frozen", "FROZEN", TABLE_TIME, false, "what a restore takes you back to" },
	{ "received", "RECEIVED", TABLE_TIME, false, "by the store" },
	{ "took_ms", "TOOK", TABLE_DURATION, false, "to make it" },
	{ "consistency", "CONSISTENCY", TABLE_TEXT, false,
	  "application, filesystem, crash, fuzzy" },
	{ "driver", "DRIVER", TABLE_TEXT, true, "that froze it" },
	{ "unreadable", "UNREADABLE", TABLE_NUMBER, false, "entries that were left out" },
	{ "hooks_failed", "HOOKS FAILED", TABLE_NUMBER, true, "commands before and after" },
	{ "bytes_logical", "SIZE", TABLE_BYTES, false, NULL },
	{ "geo", "SECOND REGION", TABLE_TIME, false, "when it was first found there" },
	{ "verified", "VERIFIED", TABLE_TIME, false,
	  "end of the first check of everything that began later and found nothing "
	  "wrong" },
	{ "check_run", "CHECK", TABLE_TEXT, true, "that check" },
	{ "restored", "RESTORED", TABLE_TIME, false,
	  "when a drill restored this point and read it back" },
	{ "drill_run", "DRILL RUN", TABLE_TEXT, true,
	  "of the newest drill that verified the volume" },
	{ "policy", "POLICY", TABLE_TEXT, false, "that expired it" },
	{ "why", "WHY", TABLE_TEXT, true, "as the tombstone says" },
	{ "signer", "SIGNER", TABLE_TEXT, false, "whose key signed it" },
	{ "host", "HOST", TABLE_TEXT, true, "that made it" },
	{ "hash", "HASH", TABLE_TEXT, true, "SHA-256 of the commit in the store" },
	{ "session", "SESSION", TABLE_TEXT, true, "its name in the store: commit/ and this" },
};

const struct report report_all[] = {
	{
		.name = "coverage",
		.title = "Coverage",
		.text = "Which volumes could be restored, how old that would be, and what a "
			"cluster holds besides: by the newest record of its inventory before the "
			"time of the report. Of a cluster without such a record only volumes are "
			"here that were ever backed up.",
		.sql = catalog_report_coverage,
		.columns = coverage_columns,
		.ncolumns = ARRAY_LEN(coverage_columns),
		.uses = REPORT_USES_TARGET,
	},
	{
		.name = "rpo",
		.title = "Recovery points",
		.text = "How old the newest point is, and was at its oldest in the period: from "
			"the receipt of each point until the next one, the age of the newest "
			"freeze time.",
		.sql = catalog_report_rpo,
		.columns = rpo_columns,
		.ncolumns = ARRAY_LEN(rpo_columns),
		.chart = &rpo_chart,
		.uses = REPORT_USES_TARGET | REPORT_USES_PERIOD,
	},
	{
		.name = "gaps",
		.title = "Gaps",
		.text = "Every time in the period in which the newest point of a volume was older"
			" than the target (a day, where none is given).",
		.sql = catalog_report_gaps,
		.columns = gaps_columns,
		.ncolumns = ARRAY_LEN(gaps_columns),
		.chart = &gaps_chart,
		.uses = REPORT_USES_TARGET | REPORT_USES_PERIOD,
	},
	{
		.name = "success",
		.title = "Success of backups",
		.text = "What came of backups in the period. A backup that ended before it had "
			"anything in the store is not known here: the agent tells it.",
		.sql = catalog_report_success,
		.columns = success_columns,
		.ncolumns = ARRAY_LEN(success_columns),
		.chart = &success_chart,
		.uses = REPORT_USES_PERIOD,
	},
	{
		.name = "restore-tests",
		.title = "Restore tests",
		.text = "When each volume was last restored by a drill and read back, with every "
			"hash compared.",
		.sql = catalog_report_restore_tests,
		.columns = restore_tests_columns,
		.ncolumns = ARRAY_LEN(restore_tests_columns),
		.uses = REPORT_USES_TARGET,
	},
	{
		.name = "retention",
		.title = "Retention",
		.text = "What is kept of each volume, and what was expired in the period.",
		.sql = catalog_report_retention,
		.columns = retention_columns,
		.ncolumns = ARRAY_LEN(retention_columns),
		.uses = REPORT_USES_PERIOD,
	},
	{
		.name = "immutability",
		.title = "Immutability",
		.text = "Whether anything is missing that was there, or is not as it was written."
			" Each point names its predecessor and its hash, and every deletion is a "
			"signed statement. Until when the store lets nobody delete points is what "
			"`aksdr-catalog lock`, or the same with `--dry-run`, has found.",
		.sql = catalog_report_immutability,
		.columns = immutability_columns,
		.ncolumns = ARRAY_LEN(immutability_columns),
	},
	{
		.name = "keys",
		.title = "Keys",
		.text = "Who signs and who can read data, since when, and how much was signed. A "
			"key without a first use has none in this catalog.",
		.sql = catalog_report_keys,
		.columns = keys_columns,
		.ncolumns = ARRAY_LEN(keys_columns),
		.uses = REPORT_USES_TARGET,
	},
	{
		.name = "deletions",
		.title = "Deletions",
		.text = "Every point that somebody has said is expired, in the period: who, when,"
			" why, and what became of it.",
		.sql = catalog_report_deletions,
		.columns = deletions_columns,
		.ncolumns = ARRAY_LEN(deletions_columns),
		.uses = REPORT_USES_PERIOD | REPORT_USES_POLICY,
	},
	{
		.name = "inventory",
		.title = "Inventory",
		.text = "All volumes that were ever backed up, with what their newest point is.",
		.sql = catalog_report_inventory,
		.columns = inventory_columns,
		.ncolumns = ARRAY_LEN(inventory_columns),
	},
	{
		.name = "exceptions",
		.title = "Exceptions",
		.text = "Everything that is not as it should be and that nobody has put right: "
			"anomalies, checks and drills that failed, points that are not whole.",
		.sql = catalog_report_exceptions,
		.columns = exceptions_columns,
		.ncolumns = ARRAY_LEN(exceptions_columns),
	},
	{
		.name = "capacity",
		.title = "Capacity",
		.text = "What the points of each namespace hold. Chunks that points share are "
			"counted with the point that stored them first; that one may be expired, "
			"so sums of parts are estimates, and the whole is what was uploaded.",
		.sql = catalog_report_capacity,
		.columns = capacity_columns,
		.ncolumns = ARRAY_LEN(capacity_columns),
		.chart = &capacity_chart,
		.uses = REPORT_USES_PERIOD,
	},
	{
		.name = "cost",
		.title = "Cost",
		.text = "What storing and reading back cost by the prices that were given. "
			"Requests, transfer between regions and early deletion are not in it.",
		.sql = catalog_report_cost,
		.columns = cost_columns,
		.ncolumns = ARRAY_LEN(cost_columns),
		.uses = REPORT_USES_PERIOD | REPORT_USES_PRICES,
	},
};
const size_t report_count = ARRAY_LEN(report_all);

const struct report report_sample = {
	.name = "sample",
	.title = "Sample of restore points",
	.text = "Points that were chosen for an auditor, each with what proves it.",
	.sql = catalog_report_sample,
	.columns = sample_columns,
	.ncolumns = ARRAY_LEN(sample_columns),
	.uses = REPORT_USES_PERIOD,
};
