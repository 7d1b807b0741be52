/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-catalog comply: volumes against rules. */
#include <fcntl.h>
#include <string.h>

#include "catalog/cmd_report.h"
#include "catalog/comply.h"
#include "common/fd.h"
#include "common/html.h"
#include "common/json.h"
#include "common/now.h"

#define PAGE_MAX (64 * MIB)
#define PAGE_ROWS 2000 /* of those that pass; all others are there as far as there is room */

static const struct verb_option comply_options[] = {
	CMD_REPORT_OPTIONS,
	{ "rules", "FILE", "what is asked for: ComplianceRules as YAML or JSON (needed)",
	  OPT_RULES },
	{ NULL, NULL, NULL, 0 },
};

static struct cmd_report_options options;

static const struct table_column columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT },
	{ "rule", "RULE", TABLE_TEXT },
	{ "requirement", "REQUIREMENT", TABLE_TEXT },
	{ "state", "STATE", TABLE_TEXT },
	{ "wanted", "WANTED", TABLE_TEXT },
	{ "got", "GOT", TABLE_TEXT },
	{ "why", "WHY", TABLE_TEXT },
	{ "evidence", NULL, TABLE_TEXT },
	{ "excepted_until", NULL, TABLE_TIME },
	{ "excepted_by", NULL, TABLE_TEXT },
	{ "exception", NULL, TABLE_TEXT },
	{ "iso27001", NULL, TABLE_TEXT },
	{ "soc2", NULL, TABLE_TEXT },
	{ "nist80053", NULL, TABLE_TEXT },
	{ "pci", NULL, TABLE_TEXT },
	{ "hipaa", NULL, TABLE_TEXT },
	{ "gdpr", NULL, TABLE_TEXT },
};

static int add_row(void *arg, const struct comply_row *x, struct err *e)
{
	const struct comply_kind *k = &comply_kinds[x->what];
	const char *const frameworks[] = { k->iso27001, k->soc2,  k->nist80053,
		                           k->pci,      k->hipaa, k->gdpr };
	struct table *t = arg;

	(void)e;
	table_row(t);
	table_text(t, x->volume);
	table_text(t, x->set);
	table_text(t, k->name);
	table_text(t, comply_state_name(x->state));
	table_text(t, x->wanted);
	table_text(t, x->got);
	table_text(t, *x->why ? x->why : NULL);
	table_text(t, *x->evidence ? x->evidence : NULL);
	table_number(t, x->exception ? x->exception->until_ns : 0);
	table_text(t, x->exception ? x->exception->approver : NULL);
	table_text(t, x->exception ? x->exception->reason : NULL);
	for (size_t i = 0; i < ARRAY_LEN(frameworks); i++)
		table_text(t, *frameworks[i] ? frameworks[i] : NULL);
	return 0;
}

static int print(const struct verb_common *common, struct catalog *c, const struct comply_rules *r,
                 const struct report_params *p, struct comply_result *ret, struct err *e)
{
	auto_json json_t *head = json_pack("{s:s, s:s, s:s, s:s}", "rules", r->name, "as_of",
	                                   now_rfc3339(p->as_of_ns).s, "from",
	                                   now_rfc3339(p->from_ns).s, "to",
	                                   now_rfc3339(p->to_ns).s);
	auto_table struct table *t = table_new("aksdr/compliance/v1", columns, ARRAY_LEN(columns),
	                                       common->output, e);

	if (!t)
		return -1;
	if (!head)
		return err_set(e, ERR_NOMEM, "no memory for the head of an answer");
	table_guard(t);
	table_stream(t, stdout, head);
	return comply_run(c, r, p, add_row, t, ret, e) < 0 ? -1 : table_print(t, stdout, head, e);
}

/* ---- as a page ---- */

struct page {
	struct buf b;
	uint64_t passed, left_out;
};

static int count_row(void *arg, const struct comply_row *x, struct err *e)
{
	(void)arg;
	(void)x;
	(void)e;
	return 0;
}

static int put_row(void *arg, const struct comply_row *x, struct err *e)
{
	static const char *const classes[] = { "good", "bad", "warn", "warn" };
	const struct comply_kind *k = &comply_kinds[x->what];
	struct page *page = arg;
	struct buf *b = &page->b;
	char text[2 * COMPLY_TEXT_MAX + 64];

	if (x->state == COMPLY_PASS && page->passed++ >= PAGE_ROWS) {
		page->left_out++;
		return 0;
	}
	html_row_begin(b);
	html_head_cell(b, x->volume);
	html_cell(b, NULL, false, x->set);
	html_cell(b, NULL, false, k->name);
	html_cell(b, classes[x->state], false, comply_state_name(x->state));
	html_cell(b, NULL, false, x->wanted);
	html_cell(b, NULL, false, x->got);
	(void)snprintf(text, sizeof(text), "%s", x->why);
	if (x->exception)
		(void)snprintf(text, sizeof(text), "%.200s; excepted until %s by %.200s: %.100s",
		               x->why, now_day(x->exception->until_ns).s, x->exception->approver,
		               x->exception->reason);
	html_cell(b, *text ? "w" : NULL, false, text);
	html_cell(b, NULL, false, x->evidence);
	(void)snprintf(text, sizeof(text), "ISO 27001 %s; SOC 2 %s; NIST 800-53 %s", k->iso27001,
	               k->soc2, k->nist80053);
	html_cell(b, "soft w", false, text);
	html_row_end(b);
	return buf_check(b, "the page", e);
}

static void put_head(struct page *x, const struct comply_rules *r, const struct report_params *p,
                     const struct comply_result *counts)
{
	static const char *const classes[] = { "good", "bad", "warn", "warn" };
	static const struct html_column heads[] = {
		{ .title = "Volume" }, { .title = "Rule" },     { .title = "Requirement" },
		{ .title = "State" },  { .title = "Wanted" },   { .title = "Got" },
		{ .title = "Why" },    { .title = "Evidence" }, { .title = "Helps to show" },
	};
	char text[256];

	(void)snprintf(text, sizeof(text), "Compliance with %.100s as of %s", r->name,
	               now_day(p->as_of_ns).s);
	html_page_begin(&x->b, text);
	html_element(&x->b, "h1", NULL, text);
	(void)snprintf(text, sizeof(text), "As of %s; period from %s to %s. All times are UTC.",
	               now_rfc3339(p->as_of_ns).s, now_rfc3339(p->from_ns).s,
	               now_rfc3339(p->to_ns).s);
	html_element(&x->b, "p", NULL, text);
	html_element(&x->b, "p", NULL,
	             "Which requirement of a framework a row may be evidence for is a help, and no "
	             "certification.");
	html_cards_begin(&x->b);
	for (unsigned i = 0; i < 4; i++) {
		(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)counts->states[i]);
		html_card(&x->b, comply_state_name(i), counts->states[i] ? classes[i] : NULL, text);
	}
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)counts->unselected);
	html_card(&x->b, "volumes without a rule", counts->unselected ? "warn" : NULL, text);
	html_cards_end(&x->b);
	html_table_begin(&x->b, "Every volume and requirement", heads, ARRAY_LEN(heads));
}

static int write_page(struct page *x, const char *path, struct catalog *c,
                      const struct comply_rules *r, const struct report_params *p,
                      struct comply_result *ret, struct err *e)
{
	if (comply_run(c, r, p, count_row, NULL, ret, e) < 0)
		return -1;
	put_head(x, r, p, ret);
	if (comply_run(c, r, p, put_row, x, ret, e) < 0)
		return -1;
	html_table_end(&x->b);
	if (x->left_out > 0)
		(void)buf_printf(&x->b,
		                 "<p class=\"soft\">%llu rows that pass are left out; as CSV or "
		                 "JSON "
		                 "they are there.</p>\n",
		                 (unsigned long long)x->left_out);
	html_page_end(&x->b);
	if (buf_check(&x->b, "the page", e) < 0)
		return -1;
	return fd_create_file(AT_FDCWD, path, x->b.data, x->b.len, 0644, FD_REPLACE, e);
}

/* ---- the verb ---- */

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	const struct cmd_report_options *o = state;
	auto_comply_rules struct comply_rules *r = NULL;
	auto_catalog struct catalog *c = NULL;
	struct report_params p = { .n = 0 };
	struct comply_result result = { 0 };

	(void)argc;
	(void)argv;
	if (!o->rules)
		return err_set(e, ERR_INVALID, "--rules is needed: docs/REPORTS.md has the form");
	if (comply_load(o->rules, &r, e) < 0 || cmd_catalog(&o->common, common, &c, e) < 0 ||
	    cmd_report_params(o, c, &p, e) < 0)
		return -1;
	struct page page = { .b = BUF_INIT(PAGE_MAX) };
	int rc = o->html ? write_page(&page, o->html, c, r, &p, &result, e)
	                 : print(common, c, r, &p, &result, e);
	buf_clear(&page.b);
	if (rc < 0)
		return -1;
	if (result.unselected > 0)
		log_warn("no rule is about some volumes", LOG_U("volumes", result.unselected));
	const uint64_t bad = result.states[COMPLY_FAIL] + result.states[COMPLY_UNKNOWN];
	return bad == 0 ? 0
	                : err_set(e, ERR_PARTIAL,
	                          "%llu requirements are not met, and of %llu it is not known",
	                          (unsigned long long)result.states[COMPLY_FAIL],
	                          (unsigned long long)result.states[COMPLY_UNKNOWN]);
}

const struct verb cmd_comply = {
	.name = "comply",
	.summary = "judge volumes by rules, with what proves it",
	.text = "Rules say which volumes must have what: how old a point may be, in the second "
		"region too, how often points are verified and drills restore, how much is kept, "
		"how many signers a deletion takes, how old a key may be. Each volume passes or "
		"fails each requirement, with the point, check or drill that shows it; "
		"exceptions have an end and an approver. The exit status is 3 where anything "
		"fails or is not known.\n"
		"\n"
		"What is asked of recovery points must have held at every time of the period. "
		"Columns name requirements of frameworks that a row may be evidence for: a help, "
		"and no certification.",
	.examples = "aksdr-catalog comply --rules rules.yaml\n"
		    "aksdr-catalog comply --rules rules.yaml --as-of 2026-11-01 "
		    "--html october.html",
	.options = comply_options,
	.set = cmd_report_set,
	.run = run,
	.state = &options,
};
