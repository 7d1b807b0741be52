/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-restore drill: a plan is tried, and what that has shown is told. */
#include <fcntl.h>
#include <string.h>

#include "common/cancel.h"
#include "common/fd.h"
#include "common/num.h"
#include "restore/cmd.h"
#include "restore/drill.h"
#include "restore/drill_html.h"
#include "restore/scope.h"

#define PAGE_MAX (64 * MIB)

enum { OPT_KEEP = 256, OPT_HTML };

static const struct verb_option drill_options[] = {
	SCOPE_OPTIONS,
	{ "keep", NULL, "leave the namespaces as they are; the next drill takes them away",
	  OPT_KEEP },
	{ "html", "FILE", "write the report as a page, too", OPT_HTML },
	MOVERS_OPTIONS,
	{ NULL, NULL, NULL, 0 },
};

static struct drill_options {
	struct scope scope;
	const char *html;
	struct movers_options movers;
	bool keep;
} given;

static int set(void *state, int key, const char *value, struct err *e)
{
	struct drill_options *o = state;
	const int taken = scope_set(&o->scope, key, value, e);

	if (taken != 0)
		return taken < 0 ? -1 : 0;
	switch (key) {
	case OPT_KEEP:
		o->keep = true;
		return 0;
	case OPT_HTML:
		o->html = value;
		return 0;
	default:
		return movers_set(&o->movers, key, value)
		               ? 0
		               : err_set(e, ERR_BUG, "option %d has no meaning", key);
	}
}

/* ---- what is told ---- */

static const struct table_column columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT },    { "claim", "CLAIM", TABLE_TEXT },
	{ "state", "STATE", TABLE_TEXT },      { "point", "POINT", TABLE_TEXT },
	{ "frozen", "TIME", TABLE_TIME },      { "bytes", "DATA", TABLE_BYTES },
	{ "took_ms", "TOOK", TABLE_DURATION }, { "why", NULL, TABLE_TEXT },
};

static int print_table(const struct drill_report *r, const struct verb_common *common,
                       struct err *e)
{
	const bool is_table = common->output == OUTPUT_TABLE;
	auto_table struct table *t = table_new("aksdr/drill/v1", columns, ARRAY_LEN(columns),
	                                       common->output, e);

	if (!t)
		return -1;
	for (size_t i = 0; i < r->nvolumes; i++) {
		const struct drill_volume *v = &r->volumes[i];
		char id[33];

		(void)snprintf(id, sizeof(id), "%.*s", is_table ? 8 : 32, v->point);
		table_row(t);
		table_text(t, v->volume);
		table_text(t, v->claim);
		table_text(t, v->damaged     ? "damaged"
		              : !v->restored ? "missing"
		              : v->verified  ? "verified"
		                             : "not read back");
		table_text(t, id);
		table_number(t, v->frozen_ns);
		table_number(t, (int64_t)v->bytes);
		table_number(t, (int64_t)(v->seconds * 1000));
		table_text(t, *v->why ? v->why : NULL);
	}
	if (table_print(t, stdout, NULL, e) < 0)
		return -1;
	if (!is_table || common->quiet)
		return 0;
	(void)printf("\ndrill %.8s: %s; it took %s, the oldest point was %s old\n", r->run,
	             r->passed ? "passed" : "not passed", num_duration_text((int64_t)r->took_s).s,
	             r->age_s < 0 ? "nobody knows how" : num_duration_text(r->age_s).s);
	for (size_t i = 0; i < r->nwhys; i++)
		(void)printf("  %s\n", r->whys[i]);
	return 0;
}

static int print_json(const struct drill_report *r, struct err *e)
{
	auto_json json_t *o = drill_report_json(r);

	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for the report");
	return json_dumpf(o, stdout, JSON_INDENT(1)) == 0 && putchar('\n') != EOF
	               ? 0
	               : err_set(e, ERR_IO, "writing the report");
}

static int tell(const struct drill_report *r, const struct drill_options *o,
                const struct verb_common *common, struct err *e)
{
	CLEANUP(buf_clear) struct buf page = BUF_INIT(PAGE_MAX);

	if ((common->output == OUTPUT_JSON ? print_json(r, e) : print_table(r, common, e)) < 0)
		return -1;
	if (!o->html)
		return 0;
	drill_html_put(r, &page);
	return buf_check(&page, "the page of a report", e) < 0
	               ? -1
	               : fd_create_file(AT_FDCWD, o->html, page.data, page.len, 0644, FD_REPLACE,
	                                e);
}

/* ---- all of it ---- */

static int run_drill(struct drill_options *o, const struct verb_common *common, const char *plan,
                     struct err *e)
{
	auto_repo struct repo *r = NULL;
	auto_drill struct drill *d = NULL;
	struct err left = ERR_INIT;

	if (scope_open(&o->scope, plan, true, cancel_on_signals(), e) < 0 ||
	    cmd_open_contents(common, &r, e) < 0)
		return -1;
	if (common->dry_run)
		return cmd_plan_tell(&o->scope, common, r, false, e);
	const struct drill_params p = {
		.scope = &o->scope,
		.repo = r,
		.store = common->store,
		.key = common->key,
		.passphrase_file = common->passphrase_file,
		.movers = o->movers,
		.keep = o->keep,
		.progress = common->quiet ? PROGRESS_NEVER : common->progress,
		.cancel = cancel_on_signals(),
	};
	if (drill_run(&p, &d, &left, e) < 0)
		return -1;
	const struct drill_report *report = drill_result(d);
	if (tell(report, o, common, e) < 0)
		return -1;
	if (!report->passed)
		return err_set(e, report->damaged ? ERR_CORRUPT : ERR_PARTIAL,
		               "the drill of plan '%s' has not passed: %s", report->plan,
		               report->whys[0]);
	if (left.class == ERR_NONE)
		return 0;
	*e = left;
	return -1;
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	struct drill_options *o = state;
	const int rc = run_drill(o, common, argc > 0 ? argv[0] : NULL, e);

	scope_close(&o->scope);
	return rc;
}

const struct verb cmd_drill = {
	.name = "drill",
	.args = "[PLAN]",
	.summary = "try a plan: restore it into namespaces of its own, verify, check, take it away",
	.text = "choose → restore → verify → check → report. The volumes of the plan are "
		"restored as `run` does it, into namespaces whose names have the plan's prefix "
		"(drill-), out of which network policies let nothing and into which nothing. "
		"Everything is read back from the volumes and compared with the point; then the "
		"plan's check runs in a pod with all volumes of a namespace mounted: file "
		"systems at /volumes/NAME, devices at /dev/volumes/NAME. At the end all of it "
		"is taken away, whatever has happened; what a drill leaves that was killed goes "
		"at the beginning of the next one.\n\n"
		"It passes when every volume is there and was verified, every check ended with "
		"0, the oldest point is no older than the plan's rpo, and all of it took no "
		"longer than its rto. Gates are not waited for. The report is kept in the "
		"repository: see 'drills'. The exit status is 5 when data are missing or "
		"damaged, and 3 when it has not passed otherwise.\n\n"
		"Nobody is fenced, and nothing is said of who serves. Of drills of a cluster "
		"there is one at a time.",
	.examples = "aksdr-restore drill shop.yaml --key recovery.key\n"
		    "aksdr-restore drill shop.yaml --key recovery.key --html drill.html",
	.options = drill_options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.max_args = 1,
	.set = set,
	.run = run,
	.state = &given,
};
