/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-catalog report, sample; and the options that comply has, too. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "catalog/cmd_report.h"
#include "catalog/prices.h"
#include "catalog/report_html.h"
#include "common/fd.h"
#include "common/json.h"
#include "common/now.h"
#include "common/num.h"

#define PAGE_ROWS_MAX 10000
#define SAMPLE_MAX 100000
#define SAMPLE_POINTS 25
#define TARGET_MAX_S ((int64_t)3000000000)

static const struct verb_option report_options[] = {
	CMD_REPORT_OPTIONS,
	{ "target", "DURATION", "what is asked for, as 1h or 90d: an age, by the report",
	  OPT_TARGET },
	{ "policy", "NAME", "only what was done by this policy", OPT_POLICY },
	{ "prices", "FILE", "what storage costs, for the report cost", OPT_PRICES },
	{ "limit", "N", "at most so many rows (default: all; of a page: 1000 of each report)",
	  OPT_LIMIT },
	{ NULL, NULL, NULL, 0 },
};

static const struct verb_option sample_options[] = {
	CMD_REPORT_OPTIONS,
	{ "n", "N", "so many points (default 25)", OPT_N },
	{ "seed", "TEXT", "what the choice follows from; write it down beforehand (needed)",
	  OPT_SEED },
	{ NULL, NULL, NULL, 0 },
};

static struct cmd_report_options options;

static int set_time(const char *name, const char *value, int64_t *ret, struct err *e)
{
	if (now_parse(value, ret, e) < 0)
		return err_wrap(e, "%s", name);
	return *ret > 0 ? 0 : err_set(e, ERR_INVALID, "%s: '%s' is before 1970", name, value);
}

int cmd_report_set(void *state, int key, const char *value, struct err *e)
{
	struct cmd_report_options *o = state;

	switch (key) {
	case OPT_CATALOG:
		o->common.catalog = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--catalog needs the name of a file");
	case OPT_AS_OF:
		return set_time("--as-of", value, &o->common.as_of_ns, e);
	case OPT_FROM:
		return set_time("--from", value, &o->from_ns, e);
	case OPT_TO:
		return set_time("--to", value, &o->to_ns, e);
	case OPT_TARGET:
		if (num_duration("--target", value, &o->target_s, e) < 0)
			return -1;
		return o->target_s > 0 && o->target_s <= TARGET_MAX_S
		               ? 0
		               : err_set(e, ERR_INVALID, "--target '%s' is no age", value);
	case OPT_CLUSTER:
		o->cluster = value;
		return 0;
	case OPT_NAMESPACE:
		o->namespace = value;
		return 0;
	case OPT_VOLUME:
		o->volume = value;
		return 0;
	case OPT_POLICY:
		o->policy = value;
		return 0;
	case OPT_PRICES:
		o->prices = value;
		return 0;
	case OPT_HTML:
		o->html = value;
		return 0;
	case OPT_RULES:
		o->rules = value;
		return 0;
	case OPT_SEED:
		o->seed = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--seed is empty");
	case OPT_N:
		return num_u64("--n", value, 1, SAMPLE_MAX, &o->n, e);
	default:
		return num_u64("--limit", value, 1, INT64_MAX, &o->limit, e);
	}
}

/* ---- what there is ---- */

static int print_list(const struct verb_common *common, struct err *e)
{
	static const struct table_column columns[] = {
		{ "report", "REPORT", TABLE_TEXT },
		{ "title", NULL, TABLE_TEXT },
		{ "text", "ANSWERS", TABLE_TEXT },
	};
	auto_table struct table *t = table_new("aksdr/report-list/v1", columns, ARRAY_LEN(columns),
	                                       common->output, e);

	if (!t)
		return -1;
	for (size_t i = 0; i < report_count; i++) {
		table_row(t);
		table_text(t, report_all[i].name);
		table_text(t, report_all[i].title);
		table_text(t, report_all[i].text);
	}
	return table_print(t, stdout, NULL, e);
}

/* ---- parameters ---- */

/* The clock of the store may be ahead of ours: what was received is not in the future. */
static int times(const struct cmd_report_options *o, struct catalog *c, struct report_params *p,
                 struct err *e)
{
	p->as_of_ns = o->common.as_of_ns;
	if (p->as_of_ns == 0) {
		const int64_t now_ns = now_wall_ns();

		if (report_newest(c, &p->as_of_ns, e) < 0)
			return -1;
		if (now_ns > p->as_of_ns)
			p->as_of_ns = now_ns;
	}
	p->to_ns = o->to_ns ? o->to_ns : p->as_of_ns;
	p->from_ns = o->from_ns                    ? o->from_ns
	             : p->to_ns > REPORT_PERIOD_NS ? p->to_ns - REPORT_PERIOD_NS
	                                           : 0;
	if (p->to_ns > p->as_of_ns)
		return err_set(e, ERR_INVALID,
		               "the period ends after the time of the report: what comes then is "
		               "not known");
	if (p->from_ns >= p->to_ns)
		return err_set(e, ERR_INVALID, "the period ends before it begins");
	return 0;
}

int cmd_report_params(const struct cmd_report_options *o, struct catalog *c,
                      struct report_params *ret, struct err *e)
{
	struct report_params p = {
		.target_s = o->target_s,
		.cluster = o->cluster,
		.namespace = o->namespace,
		.volume = o->volume,
		.policy = o->policy,
		.seed = o->seed,
		.n = o->n ? (int64_t)o->n : SAMPLE_POINTS,
		.prices = ret->prices,
		.cancel = cancel_on_signals(),
	};

	if (times(o, c, &p, e) < 0)
		return -1;
	*ret = p;
	return 0;
}

static int choose(const struct cmd_report_options *o, const char *name, const struct report **ret,
                  size_t *ret_n, struct err *e)
{
	size_t n = 0;

	if (strcmp(name, "all") != 0) {
		*ret_n = 1;
		return report_find(name, &ret[0], e);
	}
	for (size_t i = 0; i < report_count; i++) {
		if (o->prices || !(report_all[i].uses & REPORT_USES_PRICES))
			ret[n++] = &report_all[i];
	}
	*ret_n = n;
	return 0;
}

static int check_uses(const struct cmd_report_options *o, const struct report *const *r, size_t n,
                      struct err *e)
{
	unsigned uses = 0;

	for (size_t i = 0; i < n; i++)
		uses |= r[i]->uses;
	if (o->target_s && !(uses & REPORT_USES_TARGET))
		return err_set(e, ERR_INVALID, "--target has no meaning for '%s'", r[0]->name);
	if ((o->from_ns || o->to_ns) && !(uses & REPORT_USES_PERIOD))
		return err_set(e, ERR_INVALID, "--from and --to have no meaning for '%s'",
		               r[0]->name);
	if (o->policy && !(uses & REPORT_USES_POLICY))
		return err_set(e, ERR_INVALID, "--policy has no meaning for '%s'", r[0]->name);
	if (o->prices && !(uses & REPORT_USES_PRICES))
		return err_set(e, ERR_INVALID, "--prices has no meaning for '%s'", r[0]->name);
	if (!o->prices && n == 1 && (uses & REPORT_USES_PRICES))
		return err_set(e, ERR_INVALID, "'%s' needs --prices: docs/REPORTS.md has the form",
		               r[0]->name);
	return 0;
}

/* ---- telling ---- */

static int write_page(const struct cmd_report_options *o, struct catalog *c,
                      const struct report *const *r, size_t n, const struct report_params *p,
                      struct err *e)
{
	auto_free char *text = NULL;
	const struct report_html_how how = { .limit = o->limit ? o->limit : REPORT_PAGE_ROWS };
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return err_set(e, ERR_NOMEM, "no memory for a page");
	int rc = report_html_print(c, r, n, p, &how, f, e);
	if (fclose(f) != 0 && rc == 0)
		return err_set(e, ERR_NOMEM, "no memory for a page");
	return rc < 0 ? -1 : fd_create_file(AT_FDCWD, o->html, text, len, 0644, FD_REPLACE, e);
}

/* JSON has all of them in one object, each as it is alone. */
static int print(const struct cmd_report_options *o, const struct verb_common *common,
                 struct catalog *c, const struct report *const *r, size_t n,
                 const struct report_params *p, struct err *e)
{
	const bool json = common->output == OUTPUT_JSON;
	bool more = false;

	if (n > 1 && common->output == OUTPUT_CSV)
		return err_set(e, ERR_INVALID,
		               "CSV has one kind of row: choose one report, or JSON, or --html");
	if (n > 1 && json &&
	    fputs("{\"schema\": \"aksdr/reports/v1\",\n \"reports\": [\n", stdout) == EOF)
		return err_sys(e, errno, "writing the output");
	for (size_t i = 0; i < n; i++) {
		bool cut = false;

		if (n > 1 && ((json && i > 0 && fputs(",\n", stdout) == EOF) ||
		              (!json && printf("%s%s\n", i ? "\n" : "", r[i]->title) < 0)))
			return err_sys(e, errno, "writing the output");
		if (report_print(c, r[i], p, common->output, o->limit, stdout, &cut, e) < 0)
			return err_wrap(e, "report '%s'", r[i]->name);
		more = more || cut;
	}
	if (n > 1 && json && fputs("]}\n", stdout) == EOF)
		return err_sys(e, errno, "writing the output");
	if (more)
		log_warn("there are more rows than --limit allows", LOG_U("rows", o->limit));
	return 0;
}

static int tell(const struct cmd_report_options *o, const struct verb_common *common,
                const struct report *const *reports, size_t n, struct err *e)
{
	auto_json json_t *document = NULL;
	auto_catalog struct catalog *c = NULL;
	struct report_params p = { .n = 0 };

	if (o->html && o->limit > PAGE_ROWS_MAX)
		return err_set(e, ERR_INVALID, "a page has at most %d rows of a report",
		               PAGE_ROWS_MAX);
	if ((o->prices && prices_load(o->prices, &p.prices, &document, e) < 0) ||
	    cmd_catalog(&o->common, common, &c, e) < 0 || cmd_report_params(o, c, &p, e) < 0)
		return -1;
	return o->html ? write_page(o, c, reports, n, &p, e)
	               : print(o, common, c, reports, n, &p, e);
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	const struct cmd_report_options *o = state;
	const struct report *reports[REPORTS_MAX];
	size_t n = 0;

	if (argc == 0)
		return print_list(common, e);
	if (choose(o, argv[0], reports, &n, e) < 0 || check_uses(o, reports, n, e) < 0)
		return -1;
	return tell(o, common, reports, n, e);
}

static int run_sample(void *state, const struct verb_common *common, int argc, char **argv,
                      struct err *e)
{
	const struct cmd_report_options *o = state;
	const struct report *r = &report_sample;

	(void)argc;
	(void)argv;
	if (!o->seed)
		return err_set(e, ERR_INVALID,
		               "--seed is needed: choose it before you look, and write it down");
	return tell(o, common, &r, 1, e);
}

const struct verb cmd_report = {
	.name = "report",
	.args = "[NAME|all]",
	.summary = "answer what auditors ask: coverage, recovery points, restore tests, keys, ...",
	.text = "Without a name it lists the reports. What a report says follows from the catalog "
		"and from the options alone: with --as-of the same call gives the same bytes. "
		"All times are UTC. 'sync' first to see what is new in the store.\n"
		"\n"
		"--html writes one page that needs nothing else, with charts; 'all' has every "
		"report. In CSV a text that a spreadsheet would take for a formula has an "
		"apostrophe in front.",
	.examples = "aksdr-catalog report coverage --target 24h\n"
		    "aksdr-catalog report rpo --target 1h --from 2026-10-01 --to 2026-11-01 "
		    "--output csv\n"
		    "aksdr-catalog report all --as-of 2026-11-22 --html november.html",
	.options = report_options,
	.max_args = 1,
	.set = cmd_report_set,
	.run = run,
	.state = &options,
};

const struct verb cmd_sample = {
	.name = "sample",
	.summary = "choose restore points for an auditor, so that others choose the same",
	.text = "Of the points that came in the period: each volume gives one, then each another, "
		"until there are enough; which ones follows from --seed alone, and "
		"docs/REPORTS.md says how, so that somebody else can do it again without this "
		"program. Each comes with its proof: hash and signer, what came of it, the check "
		"that read it, the drill that restored it, the policy that expired it.",
	.examples = "aksdr-catalog sample --n 25 --seed 'audit 2026' --from 2026-01-01 "
		    "--to 2026-07-01 --output csv",
	.options = sample_options,
	.set = cmd_report_set,
	.run = run_sample,
	.state = &options,
};
