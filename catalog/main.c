/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-catalog: which restore points exist, and whether they are sound. */
#include <malloc.h>
#include <string.h>

#include "catalog/cmd.h"
#include "common/act.h"
#include "common/cancel.h"
#include "common/now.h"
#include "common/num.h"
#include "repo/trail.h"

enum {
	OPT_CATALOG = 256,
	OPT_VOLUME,
	OPT_SINCE,
	OPT_UNTIL,
	OPT_AS_OF,
	OPT_GONE,
	OPT_LIMIT,
	OPT_TIMEOUT,
	OPT_THREADS,
	OPT_MIRROR,
	OPT_METRICS
};

#define CATALOG_OPTION                                                                   \
	{                                                                                \
		"catalog", "FILE", "the catalog file (default: in the state directory)", \
			OPT_CATALOG                                                      \
	}

static const struct verb_option sync_options[] = {
	CATALOG_OPTION,
	{ "threads", "N", "commits fetched at once (default 8)", OPT_THREADS },
	{ "mirror", "URL", "the copy that 'mirror' keeps: what it has is in a second region, too",
	  OPT_MIRROR },
	{ "metrics", "FILE", "write metrics for Prometheus' textfile collector", OPT_METRICS },
	{ 0 },
};

static const struct verb_option list_options[] = {
	CATALOG_OPTION,
	{ "volume", "NAME", "only this volume: its name, or the end of it behind a '/'",
	  OPT_VOLUME },
	{ "since", "TIME", "only points frozen at or after this time", OPT_SINCE },
	{ "until", "TIME", "only points frozen at or before this time", OPT_UNTIL },
	{ "as-of", "TIME", "what was there at this time", OPT_AS_OF },
	{ "gone", NULL, "also points that are expired or gone, anomalies and holds that ended",
	  OPT_GONE },
	{ 0 },
};

static const struct verb_option show_options[] = {
	CATALOG_OPTION,
	{ 0 },
};

static const struct verb_option query_options[] = {
	CATALOG_OPTION,
	{ "limit", "N", "at most so many rows (default: all)", OPT_LIMIT },
	{ "timeout", "DURATION", "give up after this time, as 30s or 2m (default: 5m)",
	  OPT_TIMEOUT },
	{ 0 },
};

static int set(void *state, int key, const char *value, struct err *e)
{
	struct cmd_options *o = state;
	uint64_t n = 0;
	int64_t s = 0;
	int rc = 0;

	switch (key) {
	case OPT_CATALOG:
		o->catalog = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--catalog needs the name of a file");
	case OPT_VOLUME:
		o->volume = value;
		return 0;
	case OPT_SINCE:
		rc = now_parse(value, &o->since_ns, e);
		return rc < 0 ? err_wrap(e, "--since") : 0;
	case OPT_UNTIL:
		rc = now_parse(value, &o->until_ns, e);
		return rc < 0 ? err_wrap(e, "--until") : 0;
	case OPT_AS_OF:
		rc = now_parse(value, &o->as_of_ns, e);
		return rc < 0 ? err_wrap(e, "--as-of") : 0;
	case OPT_GONE:
		o->gone = true;
		return 0;
	case OPT_LIMIT:
		return num_u64("--limit", value, 1, INT64_MAX, &o->limit, e);
	case OPT_TIMEOUT:
		rc = num_duration("--timeout", value, &s, e);
		if (rc == 0 && (s <= 0 || s > INT64_MAX / 1000000000))
			rc = err_set(e, ERR_INVALID, "--timeout '%s' is no time to wait", value);
		o->timeout_ms = s * 1000;
		return rc;
	case OPT_THREADS:
		rc = num_u64("--threads", value, 1, 64, &n, e);
		o->threads = (unsigned)n;
		return rc;
	case OPT_MIRROR:
		o->mirror = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--mirror is empty");
	case OPT_METRICS:
		o->metrics = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--metrics needs the name of a file");
	default:
		return err_set(e, ERR_BUG, "option %d has no meaning", key);
	}
}

int cmd_repo(const struct verb_common *common, struct repo **ret, struct err *e)
{
	return repo_open_url(common->store, STORE_READONLY, common->key, common->passphrase_file,
	                     common->state, cancel_on_signals(), ret, e);
}

int cmd_repo_write(const struct verb_common *common, struct repo **ret, struct err *e)
{
	auto_repo struct repo *r = NULL;

	if (repo_open_url(common->store, 0, common->key, common->passphrase_file, common->state,
	                  cancel_on_signals(), &r, e) < 0)
		return -1;
	if (!r->keys->has_sign)
		return err_set(e, ERR_DENIED, "'%s' cannot sign: use an agent key", common->key);
	*ret = STEAL(&r);
	return 0;
}

int cmd_catalog_path(const struct cmd_options *o, const struct repo *r, char **ret, struct err *e)
{
	char *path = NULL;

	if (!o->catalog && !r->state[0])
		return err_set(e, ERR_INVALID,
		               "without a state directory there is no place for the catalog: "
		               "name one by --catalog");
	if ((o->catalog ? asprintf(&path, "%s", o->catalog)
	                : asprintf(&path, "%s/%s", r->state, CATALOG_FILE)) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a path");
	*ret = path;
	return 0;
}

int cmd_catalog(const struct cmd_options *o, const struct verb_common *common, struct catalog **ret,
                struct err *e)
{
	auto_free char *path = NULL;

	if (catalog_path(o->catalog, common->state, common->key, &path, e) < 0)
		return -1;
	return catalog_open(path, CATALOG_READ, ret, e);
}

static struct cmd_options options;

/* Verbs of the catalog; those of the repository have files of their own. */
static const struct verb readers[] = {
	{
		.name = "sync",
		.summary = "bring the catalog up to what the store has",
		.text = "Lists the restore points of the store and fetches those that the catalog "
			"does "
			"not know. Points that are no longer there are marked as gone. Each "
			"volume's "
			"chain of points is looked through: a point that is missing, was replaced "
			"or "
			"was written twice is an anomaly, as is a commit that does not open; new "
			"ones "
			"are told as warnings, and 'list anomalies' shows all.\n"
			"\n"
			"Where the store has a second region, or --mirror names a copy, it is "
			"noted "
			"how far that is, and which restore points are in it: 'list geo', 'list "
			"cuts'. "
			"That nothing can be learned of it is told, and no failure.\n"
			"\n"
			"Any key file will do; nothing is written to the store.",
		.examples = "aksdr-catalog sync --store file:///backup --key audit.key",
		.options = sync_options,
		.flags = VERB_STORE | VERB_KEY,
		.set = set,
		.run = cmd_sync,
		.state = &options,
	},
	{
		.name = "rebuild",
		.summary = "make the catalog anew from the store",
		.text = "Writes a new catalog file beside the old one, from the store alone, and "
			"puts it in its place when it is whole. Results of checks and looks at "
			"locks are taken over where the old file can be read; points that had "
			"gone from the store before are forgotten.",
		.options = sync_options,
		.flags = VERB_STORE | VERB_KEY,
		.set = set,
		.run = cmd_rebuild,
		.state = &options,
	},
	{
		.name = "list",
		.args = "[WHAT]",
		.summary = "list restore points (default), or what else the catalog knows",
		.text = "WHAT is points, volumes, "
			"anomalies, checks, holds, deletions, geo, cuts or "
			"coverage (what holds data in clusters, and whether it is protected).\n"
			"\n"
			"Reads the catalog only: 'sync' first to see what is new in the store. "
			"The catalog "
			"is found by --catalog, or by the repository that --key names, or it is "
			"the only "
			"one in the state directory.\n"
			"\n"
			"For volumes the age is that of the newest freeze time at --as-of, or "
			"now: the "
			"recovery point objective that is achieved.",
		.examples = "aksdr-catalog list\n"
			    "aksdr-catalog list volumes --as-of 2026-11-22T00:00:00Z --output csv\n"
			    "aksdr-catalog list --volume shop/orders --since 2026-11-01",
		.options = list_options,
		.max_args = 1,
		.set = set,
		.run = cmd_list,
		.state = &options,
	},
	{
		.name = "show",
		.args = "POINT...",
		.summary = "all that is known of restore points",
		.text = "POINT is an id or at least 4 digits of it, NAME for the newest of a "
			"volume, "
			"NAME@ID, or NAME@TIME for the newest at or before a time. Reads the "
			"catalog only.",
		.examples = "aksdr-catalog show shop/orders\n"
			    "aksdr-catalog show 5a0c --output json",
		.options = show_options,
		.min_args = 1,
		.max_args = ~0u,
		.set = set,
		.run = cmd_show,
		.state = &options,
	},
	{
		.name = "query",
		.args = "SQL",
		.summary = "ask the catalog by SQL, reading only",
		.text = "One SELECT of SQLite's dialect on the tables and views of the catalog; "
			"docs/CATALOG.md describes them. Nothing can be written: the file is "
			"opened for "
			"reading, and all but reading is refused.",
		.examples =
			"aksdr-catalog query \"SELECT volume, points, age_s FROM "
			"v_volume_status\"\n"
			"aksdr-catalog query \"SELECT name, sql FROM sqlite_schema\" --output json",
		.options = query_options,
		.min_args = 1,
		.max_args = 1,
		.set = set,
		.run = cmd_query,
		.state = &options,
	},
	{ 0 },
};

/* What is recorded of these verbs, and what only when reading is to be. */
static const struct verb_act acts[] = {
	{ "check", "check", 0 },
	{ "repair", "repair", 0 },
	{ "mirror", "mirror", ACT_OPENS | ACT_ARGS },
	{ "reconcile", "reconcile", 0 },
	{ "retain", "retain", 0 },
	{ "expire", "expire", ACT_ARGS },
	{ "hold", "hold", ACT_ARG },
	{ "release", "release", ACT_ARGS },
	{ "lock", "lock", 0 },
	{ "gc", "gc", 0 },
	{ "key add-agent", "key-add-agent", ACT_ARGS },
	{ "key revoke", "key-revoke", ACT_ARGS },
	{ "key add-recipient", "key-add-recipient", ACT_ARGS },
	{ "key reseal", "key-reseal", 0 },
	{ "key remove-recipient", "key-remove-recipient", ACT_ARGS },
	{ "key require-signatures", "key-require-signatures", ACT_ARGS },
	{ "key passphrase", "key-passphrase", ACT_OPENS },
	{ "upgrade", "upgrade", 0 },
	{ "list", "list", ACT_READS | ACT_OPENS | ACT_ARGS },
	{ "show", "show", ACT_READS | ACT_OPENS | ACT_ARGS },
	{ "query", "query", ACT_READS | ACT_OPENS },
	{ "report", "report", ACT_READS | ACT_OPENS | ACT_ARG },
	{ "sample", "sample", ACT_READS | ACT_OPENS },
	{ "comply", "comply", ACT_READS | ACT_OPENS },
	{ "status", "status", ACT_READS | ACT_OPENS },
	{ "key list", "key-list", ACT_READS },
	{ "audit list", "audit-list", ACT_READS | ACT_OPENS },
	{ "audit export", "audit-export", ACT_READS | ACT_OPENS },
	{ NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
	const struct verb others[] = {
		cmd_status,
		cmd_watch,
		cmd_report,
		cmd_comply,
		cmd_sample,
		cmd_check,
		cmd_repair,
		cmd_mirror,
		cmd_mirror_verify,
		cmd_reconcile,
		cmd_retain,
		cmd_retain_simulate,
		cmd_expire,
		cmd_hold,
		cmd_release,
		cmd_lock,
		cmd_gc,
		cmd_key_list,
		cmd_key_add_agent,
		cmd_key_revoke,
		cmd_key_add_recipient,
		cmd_key_reseal,
		cmd_key_remove_recipient,
		cmd_key_passphrase,
		cmd_key_require_signatures,
		cmd_upgrade,
		cmd_audit_list,
		cmd_audit_export,
		cmd_audit_verify,
		cmd_audit_head,
		cmd_audit_anchor,
	};
	struct verb verbs[ARRAY_LEN(readers) + ARRAY_LEN(others)]; /* the last one ends it */
	const struct verb_program program = {
		.name = "aksdr-catalog",
		.summary = "which restore points exist, and whether they are sound",
		.text = "The catalog is a local SQLite file that is made from a repository's "
			"store. The "
			"store is the truth: the file can be deleted, and made again at any time. "
			"An audit "
			"key is enough for everything but level 4 of 'check'.",
		.verbs = verbs,
		.acts = acts,
		.acted = trail_acted,
	};

	memcpy(verbs, readers, sizeof(readers));
	memcpy(verbs + ARRAY_LEN(readers) - 1, others, sizeof(others));
	verbs[ARRAY_LEN(verbs) - 1] = (struct verb){ 0 };
	/*
	 * Index segments come and go by megabytes, in several threads: malloc, which would adapt to
	 * that and keep some for each of them, is to give them back.
	 */
	(void)mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024);
	(void)mallopt(M_ARENA_MAX, 4);
	return verb_main(&program, argc, argv);
}
