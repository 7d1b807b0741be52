/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-catalog retain, retain simulate: restore points go by policy. */
#include <fcntl.h>
#include <string.h>

#include "catalog/cmd.h"
#include "catalog/find.h"
#include "catalog/retain_plan.h"
#include "catalog/simulate.h"
#include "catalog/sync.h"
#include "common/fd.h"
#include "common/now.h"
#include "common/num.h"

#define NAME "options" /* of the policy that the options are */
#define NS_PER_S 1000000000
#define DAY_S 86400

enum {
	OPT_CATALOG = 256,
	OPT_POLICY,
	OPT_VOLUME,
	OPT_LAST,
	OPT_HOURLY,
	OPT_DAILY,
	OPT_WEEKLY,
	OPT_MONTHLY,
	OPT_YEARLY,
	OPT_WITHIN,
	OPT_FLOOR_POINTS,
	OPT_FLOOR_AGE,
	OPT_MAX_SHARE,
	OPT_ALL,
	OPT_THREADS,
	OPT_BACKUPS,
	OPT_RUNS,
	OPT_START,
	OPT_LENGTH
};

#define POLICY_OPTIONS                                                                         \
	{ "policy", "FILE", "policies and the volumes that they are for (docs/OPERATIONS.md)", \
	  OPT_POLICY },                                                                        \
		{ "keep-last", "N", "keep the newest so many; all: every one", OPT_LAST },     \
		{ "keep-hourly", "N", "keep the newest one of each of so many hours",          \
		  OPT_HOURLY },                                                                \
		{ "keep-daily", "N", "... of so many days", OPT_DAILY },                       \
		{ "keep-weekly", "N", "... of so many ISO weeks", OPT_WEEKLY },                \
		{ "keep-monthly", "N", "... of so many months", OPT_MONTHLY },                 \
		{ "keep-yearly", "N", "... of so many years", OPT_YEARLY },                    \
		{ "keep-within", "DURATION",                                                   \
		  "keep what is so much older than the newest, at most", OPT_WITHIN },         \
		{ "floor-points", "N",                                                         \
		  "keep the newest so many, and as many verified ones, whatever else is said " \
		  "(default 3)",                                                               \
		  OPT_FLOOR_POINTS },                                                          \
	{                                                                                      \
		"floor-age", "DURATION", "keep what is so young, whatever else is said",       \
			OPT_FLOOR_AGE                                                          \
	}

static const struct verb_option retain_options[] = {
	POLICY_OPTIONS,
	{ "volume", "NAME", "only this volume: its name, or the end of it behind a '/'",
	  OPT_VOLUME },
	{ "max-share", "PERCENT",
	  "refuse when more of a volume's points, and more than 10, would go (default 50)",
	  OPT_MAX_SHARE },
	{ "all", NULL, "tell of the points that stay, too", OPT_ALL },
	{ "catalog", "FILE", "the catalog file (default: in the state directory)", OPT_CATALOG },
	{ "threads", "N", "commits fetched at once (default 8)", OPT_THREADS },
	{ NULL, NULL, NULL, 0 },
};

static const struct verb_option simulate_options[] = {
	POLICY_OPTIONS,
	{ "volume", "NAME", "the volume whose policy is meant, where the file has several",
	  OPT_VOLUME },
	{ "backups", "TIMES", "when backups are made: a period (4h), or cron ('0 */4 * * *')",
	  OPT_BACKUPS },
	{ "runs", "TIMES", "when retention runs (default: daily at 00:00)", OPT_RUNS },
	{ "start", "TIME", "the beginning (default: today at 00:00)", OPT_START },
	{ "for", "DURATION", "how long (default 365d)", OPT_LENGTH },
	{ "all", NULL, "tell of every run, not only of the points at the end", OPT_ALL },
	{ NULL, NULL, NULL, 0 },
};

struct retain_state {
	struct cmd_options common;
	const char *file;
	struct retain_policy policy; /* of the options */
	bool given;                  /* one of its rules */
	unsigned share;
	bool all;
	const char *backups, *runs;
	int64_t start_ns, length_s;
};

static struct retain_state options = {
	.policy = { .name = NAME, .floor_points = RETAIN_FLOOR_DEFAULT },
	.share = RETAIN_PLAN_SHARE_DEFAULT,
	.length_s = (int64_t)365 * DAY_S,
};

/* ---- options ---- */

static int set_count(struct retain_state *o, const char *what, const char *value, uint32_t *ret,
                     struct err *e)
{
	uint64_t n = RETAIN_ALL;

	if (strcmp(value, "all") != 0 && num_u64(what, value, 1, RETAIN_COUNT_MAX, &n, e) < 0)
		return -1;
	*ret = (uint32_t)n;
	o->given = true;
	return 0;
}

static int set_age(const char *what, const char *value, int64_t *ret_s, struct err *e)
{
	if (num_duration(what, value, ret_s, e) < 0)
		return -1;
	if (*ret_s <= 0 || *ret_s > (int64_t)36525 * DAY_S)
		return err_set(e, ERR_INVALID, "%s '%s' is no age of up to a hundred years", what,
		               value);
	return 0;
}

static int set_rule(struct retain_state *o, int key, const char *value, struct err *e)
{
	struct retain_policy *p = &o->policy;
	uint64_t n = 0;
	int rc = 0;

	switch (key) {
	case OPT_LAST:
		return set_count(o, "--keep-last", value, &p->last, e);
	case OPT_HOURLY:
		return set_count(o, "--keep-hourly", value, &p->hourly, e);
	case OPT_DAILY:
		return set_count(o, "--keep-daily", value, &p->daily, e);
	case OPT_WEEKLY:
		return set_count(o, "--keep-weekly", value, &p->weekly, e);
	case OPT_MONTHLY:
		return set_count(o, "--keep-monthly", value, &p->monthly, e);
	case OPT_YEARLY:
		return set_count(o, "--keep-yearly", value, &p->yearly, e);
	case OPT_WITHIN:
		o->given = true;
		return set_age("--keep-within", value, &p->within_s, e);
	case OPT_FLOOR_POINTS:
		rc = num_u64("--floor-points", value, 1, RETAIN_COUNT_MAX, &n, e);
		p->floor_points = (uint32_t)n;
		return rc;
	case OPT_FLOOR_AGE:
		return set_age("--floor-age", value, &p->floor_s, e);
	default:
		return err_set(e, ERR_BUG, "option %d has no meaning", key);
	}
}

static int set(void *state, int key, const char *value, struct err *e)
{
	struct retain_state *o = state;
	uint64_t n = 0;
	int rc = 0;

	switch (key) {
	case OPT_CATALOG:
		o->common.catalog = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--catalog needs the name of a file");
	case OPT_POLICY:
		o->file = value;
		return 0;
	case OPT_VOLUME:
		o->common.volume = value;
		return 0;
	case OPT_MAX_SHARE:
		rc = num_u64("--max-share", value, 1, 100, &n, e);
		o->share = (unsigned)n;
		return rc;
	case OPT_ALL:
		o->all = true;
		return 0;
	case OPT_THREADS:
		rc = num_u64("--threads", value, 1, 64, &n, e);
		o->common.threads = (unsigned)n;
		return rc;
	case OPT_BACKUPS:
		o->backups = value;
		return 0;
	case OPT_RUNS:
		o->runs = value;
		return 0;
	case OPT_START:
		rc = now_parse(value, &o->start_ns, e);
		return rc < 0 ? err_wrap(e, "--start") : 0;
	case OPT_LENGTH:
		return set_age("--for", value, &o->length_s, e);
	default:
		return set_rule(o, key, value, e);
	}
}

/* ---- policies ---- */

/* One policy, for all volumes. */
static int policies_of_options(const struct retain_state *o, struct retain_policies *ret,
                               struct err *e)
{
	CLEANUP(retain_policies_clear) struct retain_policies set = { 0 };

	set.items = calloc(1, sizeof(*set.items));
	if (!set.items)
		return err_set(e, ERR_NOMEM, "no memory for a policy");
	set.n = 1;
	set.items[0].policy = o->policy;
	set.items[0].patterns = calloc(1, sizeof(char *));
	if (set.items[0].patterns)
		set.items[0].patterns[0] = strdup("*");
	if (!set.items[0].patterns || !set.items[0].patterns[0])
		return err_set(e, ERR_NOMEM, "no memory for a policy");
	set.items[0].npatterns = 1;
	*ret = set;
	set = (struct retain_policies){ 0 };
	return 0;
}

static int load_policies(const struct retain_state *o, struct retain_policies *ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(RETAIN_TEXT_MAX);

	if (o->file && o->given)
		return err_set(e, ERR_INVALID,
		               "--policy and --keep options exclude each other: put the rules into "
		               "the file");
	if (!o->file && !o->given)
		return err_set(e, ERR_INVALID,
		               "nothing says what to keep: give --policy FILE, or --keep options");
	if (!o->file)
		return policies_of_options(o, ret, e);
	if (fd_read_file(AT_FDCWD, o->file, &text, e) < 0)
		return err_wrap(e, "reading the policies");
	return retain_policies_parse(o->file, text.data, text.len, ret, e);
}

/* ---- retain ---- */

static const struct table_column point_columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT },    { "short", "POINT", TABLE_TEXT },
	{ "sequence", "NO", TABLE_NUMBER },    { "frozen", "FROZEN", TABLE_TIME },
	{ "received", NULL, TABLE_TIME },      { "action", "ACTION", TABLE_TEXT },
	{ "why", "WHY", TABLE_TEXT },          { "policy", NULL, TABLE_TEXT },
	{ "bytes_stored", NULL, TABLE_BYTES }, { "session", NULL, TABLE_TEXT },
};

static int tell_plan(const struct verb_common *common, const struct retain_plan *p, bool all,
                     struct err *e)
{
	auto_table struct table *t = table_new("aksdr/retain/v1", point_columns,
	                                       ARRAY_LEN(point_columns), common->output, e);
	char id[9] = "";
	bool any = false;

	if (!t)
		return -1;
	for (size_t i = 0; i < p->npoints; i++) {
		const struct retain_plan_point *x = &p->points[i];
		const struct retain_plan_volume *v = &p->volumes[x->volume];

		if (!all && x->action != RETAIN_PLAN_EXPIRE && x->action != RETAIN_PLAN_PROPOSED)
			continue;
		any = true;
		(void)snprintf(id, sizeof(id), "%.8s", x->session + POINT_SESSION_RANDOM);
		table_row(t);
		table_text(t, v->name);
		table_text(t, id);
		table_number(t, (int64_t)x->sequence);
		table_number(t, x->frozen_ns);
		table_number(t, x->received_ns);
		table_text(t, retain_plan_action_name(x->action));
		table_text(t, x->why.s);
		table_text(t, v->policy ? v->policy->name : NULL);
		table_number(t, (int64_t)x->bytes_stored);
		table_text(t, x->session);
	}
	return any || common->output != OUTPUT_TABLE ? table_print(t, stdout, NULL, e) : 0;
}

static void tell_sum(const struct verb_common *common, const struct retain_plan *p)
{
	size_t n[4] = { 0 };
	size_t without = 0;

	for (size_t i = 0; i < p->npoints; i++)
		n[p->points[i].action]++;
	for (size_t i = 0; i < p->nvolumes; i++)
		without += !p->volumes[i].policy;
	if (common->quiet)
		return;
	fprintf(stderr, "%s%zu restore points expire%s, %zu stay", common->dry_run ? "would: " : "",
	        n[RETAIN_PLAN_EXPIRE], common->dry_run ? "" : "d", n[RETAIN_PLAN_KEEP]);
	if (n[RETAIN_PLAN_PROPOSED] > 0)
		fprintf(stderr, ", %zu wait for another signer", n[RETAIN_PLAN_PROPOSED]);
	if (n[RETAIN_PLAN_EXPIRED] > 0)
		fprintf(stderr, ", %zu were expired before", n[RETAIN_PLAN_EXPIRED]);
	if (without > 0)
		fprintf(stderr, "; %zu volumes have no policy and lose nothing", without);
	fputc('\n', stderr);
}

/* The catalog learns of what was just put. */
static int sync_again(const struct retain_state *o, const struct repo *r, struct catalog *c,
                      struct err *e)
{
	struct sync_result ignored;
	const struct sync_params params = { .now_ns = now_wall_ns(), .threads = o->common.threads };

	return sync_run(c, r, &params, &ignored, e);
}

static int sync_first(const struct retain_state *o, const struct verb_common *common,
                      const struct repo *r, struct catalog **ret, struct err *e)
{
	auto_free char *path = NULL;
	struct progress_counts counts = { 0 };
	struct sync_result ignored;
	const struct sync_params params = {
		.now_ns = now_wall_ns(),
		.threads = o->common.threads,
		.counts = &counts,
	};

	if (cmd_catalog_path(&o->common, r, &path, e) < 0 ||
	    catalog_open(path, CATALOG_WRITE, ret, e) < 0)
		return -1;
	struct progress *p = progress_start("synchronising the catalog", common->progress, &counts);
	int rc = sync_run(*ret, r, &params, &ignored, e);
	progress_stop(p);
	return rc;
}

static int run_retain(void *state, const struct verb_common *common, int argc, char **argv,
                      struct err *e)
{
	const struct retain_state *o = state;
	CLEANUP(retain_policies_clear) struct retain_policies policies = { 0 };
	CLEANUP(expiry_clear) struct expiry x = { 0 };
	CLEANUP(retain_plan_clear) struct retain_plan plan = { 0 };
	auto_repo struct repo *r = NULL;
	auto_catalog struct catalog *c = NULL;
	char voltag[17] = "";

	(void)argc;
	(void)argv;
	if (load_policies(o, &policies, e) < 0 ||
	    (common->dry_run ? cmd_repo(common, &r, e) : cmd_repo_write(common, &r, e)) < 0 ||
	    sync_first(o, common, r, &c, e) < 0 ||
	    (o->common.volume && find_volume(c, o->common.volume, voltag, e) < 0) ||
	    expiry_now(r, &x, e) < 0)
		return -1;
	if (retain_plan_make(c, &x, &policies, voltag[0] ? voltag : NULL, r->keys->signer_id, &plan,
	                     e) < 0)
		return -1;
	if (!common->dry_run && (retain_plan_check_share(&plan, o->share, e) < 0 ||
	                         retain_plan_put(r, &plan, e) < 0 || sync_again(o, r, c, e) < 0))
		return -1;
	if (tell_plan(common, &plan, o->all, e) < 0)
		return -1;
	tell_sum(common, &plan);
	return 0;
}

/* ---- simulate ---- */

static const struct table_column run_columns[] = {
	{ "time", "RUN", TABLE_TIME },
	{ "added", "MADE", TABLE_NUMBER },
	{ "removed", "EXPIRED", TABLE_NUMBER },
	{ "points", "LEFT", TABLE_NUMBER },
	{ "oldest_ms", "OLDEST", TABLE_DURATION },
};

static const struct table_column left_columns[] = {
	{ "time", "POINT", TABLE_TIME },
	{ "age_ms", "AGE", TABLE_DURATION },
	{ "action", "NEXT RUN", TABLE_TEXT },
	{ "why", "WHY", TABLE_TEXT },
};

struct report {
	const struct retain_policy *policy;
	struct table *t;
	bool all; /* the table is of runs; else of the points that are left */
	int64_t end_s;
	uint64_t made, most;
};

static int on_run(void *arg, const struct simulate_row *row, struct err *e)
{
	struct report *r = arg;

	(void)e;
	r->made += row->added;
	if (row->points > r->most)
		r->most = row->points;
	if (!r->all)
		return 0;
	table_row(r->t);
	table_number(r->t, row->time_s * NS_PER_S);
	table_number(r->t, (int64_t)row->added);
	table_number(r->t, (int64_t)row->removed);
	table_number(r->t, (int64_t)row->points);
	table_number(r->t, row->oldest_age_s * 1000);
	return 0;
}

static int on_left(void *arg, const struct retain_point *pt, const struct retain_verdict *v,
                   struct err *e)
{
	struct report *r = arg;

	(void)e;
	if (r->all)
		return 0;
	table_row(r->t);
	table_number(r->t, pt->received_ns);
	table_number(r->t, (r->end_s - pt->received_ns / NS_PER_S) * 1000);
	table_text(r->t, v->goes ? "expire" : "keep");
	table_text(r->t, retain_why(r->policy, pt, v).s);
	return 0;
}

/* A period, or an expression of cron. */
static int parse_times(const char *what, const char *text, struct cron *cron,
                       struct simulate_times *ret, struct err *e)
{
	struct err ignored = ERR_INIT;

	if (num_duration(what, text, &ret->period_s, &ignored) == 0 && ret->period_s > 0)
		return 0;
	ret->period_s = 0;
	if (cron_parse(cron, text, e) < 0)
		return err_wrap(e, "%s", what);
	ret->cron = cron;
	return 0;
}

static int choose_policy(const struct retain_state *o, const struct retain_policies *set,
                         const struct retain_policy **ret, struct err *e)
{
	*ret = o->common.volume ? retain_policy_for(set, o->common.volume) : &set->items[0].policy;
	if (o->common.volume && !*ret)
		return err_set(e, ERR_NOT_FOUND, "no policy of '%s' is for the volume '%s'",
		               o->file, o->common.volume);
	if (!o->common.volume && set->n != 1)
		return err_set(e, ERR_INVALID,
		               "'%s' has %zu policies: say by --volume which one is meant", o->file,
		               set->n);
	return 0;
}

static int run_simulate(void *state, const struct verb_common *common, int argc, char **argv,
                        struct err *e)
{
	const struct retain_state *o = state;
	CLEANUP(retain_policies_clear) struct retain_policies policies = { 0 };
	const int64_t today_s = now_wall_ns() / NS_PER_S / DAY_S * DAY_S;
	struct simulate_plan plan = {
		.start_s = o->start_ns ? o->start_ns / NS_PER_S : today_s,
		.length_s = o->length_s,
	};
	struct cron cron[2];

	(void)argc;
	(void)argv;
	if (!o->backups)
		return err_set(e, ERR_INVALID,
		               "nothing says when backups are made: give --backups, as 4h or "
		               "'0 */4 * * *'");
	if (load_policies(o, &policies, e) < 0 ||
	    choose_policy(o, &policies, &plan.policy, e) < 0 ||
	    parse_times("--backups", o->backups, &cron[0], &plan.backups, e) < 0 ||
	    (o->runs && parse_times("--runs", o->runs, &cron[1], &plan.retention, e) < 0))
		return -1;
	auto_table struct table *t = o->all ? table_new("aksdr/retain-runs/v1", run_columns,
	                                                ARRAY_LEN(run_columns), common->output, e)
	                                    : table_new("aksdr/retain-simulate/v1", left_columns,
	                                                ARRAY_LEN(left_columns), common->output, e);
	if (!t)
		return -1;
	struct report report = {
		.policy = plan.policy,
		.t = t,
		.all = o->all,
		.end_s = plan.start_s + plan.length_s,
	};
	const struct simulate_report to = { .row = on_run, .left = on_left, .arg = &report };
	if (simulate_run(&plan, &to, e) < 0)
		return -1;
	if (table_print(t, stdout, NULL, e) < 0)
		return -1;
	if (!common->quiet)
		fprintf(stderr, "%llu points were made in %s, at most %llu were there at once\n",
		        (unsigned long long)report.made, num_duration_text(plan.length_s).s,
		        (unsigned long long)report.most);
	return 0;
}

/* ---- the verbs ---- */

#define RULES_TEXT                                                                                 \
	"Each rule keeps points by itself; what one of them keeps stays. Hourly, daily, weekly, "  \
	"monthly and yearly rules keep the newest point of each of so many hours (days, ISO "      \
	"weeks, months, years of UTC), the newest ones that have any. Ages are counted back from " \
	"the newest point, so that a volume whose backups stopped loses nothing. Times are those " \
	"of receipt by the store: no client's clock decides anything."

const struct verb cmd_retain = {
	.name = "retain",
	.summary = "expire restore points by policy",
	.text = "Brings the catalog up to date, decides for each volume which of its points stay, "
		"and puts tombstones for the others into the store. Their data goes with the next "
		"'gc'; until then nothing is lost, and afterwards tombstones stay as evidence of "
		"what went, when, why and by whose key.\n"
		"\n" RULES_TEXT "\n"
		"\n"
		"The floor keeps the newest points, as many that a check or a drill has verified, "
		"and what is young, whatever the rules say. Points that are held or that a "
		"restore reads stay. --dry-run shows what would go and why; 'retain simulate' "
		"shows what a policy comes to over a year.\n"
		"\n"
		"Where the repository asks for two signers ('key require-signatures'), a point "
		"expires once 'retain' or 'expire' was run with two different keys.",
	.examples = "aksdr-catalog retain --key agent.key --keep-daily 7 "
		    "--keep-monthly 12 --dry-run --all\n"
		    "aksdr-catalog retain --key agent.key --policy "
		    "policies.json",
	.options = retain_options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.set = set,
	.run = run_retain,
	.state = &options,
};

const struct verb cmd_retain_simulate = {
	.name = "retain simulate",
	.summary = "what a policy keeps over time, without a repository",
	.text = "Makes backups of one volume as a schedule would, runs retention as often as it "
		"would, and tells which points are left at the end and why, or with --all what "
		"each run did.\n"
		"\n" RULES_TEXT,
	.examples = "aksdr-catalog retain simulate --keep-hourly 24 --keep-daily 7 --backups 1h "
		    "--for 400d\n"
		    "aksdr-catalog retain simulate --policy policies.json --volume shop/orders "
		    "--backups 4h --all",
	.options = simulate_options,
	.flags = VERB_LOCAL,
	.set = set,
	.run = run_simulate,
	.state = &options,
};
