/* SPDX-License-Identifier: Apache-2.0 */
/* See report_html.h. Colours follow from words of the column `state`, which stand there, too. */
#include "catalog/report_html.h"

#include <errno.h>
#include <string.h>

#include "catalog/chart.h"
#include "common/html.h"
#include "common/now.h"
#include "common/num.h"

#define PAGE_PART_MAX (4 * MIB) /* that is put together before it is written */
#define STATES_MAX 16
#define COLUMNS_MAX 32
#define LONG_TEXT 24 /* bytes; beyond them a cell is wide */

/* ---- words ---- */

enum { CLASS_GOOD, CLASS_WARN, CLASS_BAD, CLASS_NONE };

static unsigned class_of(const char *state)
{
	static const struct {
		const char *word;
		unsigned class;
	} words[] = {
		{ "protected", CLASS_GOOD }, { "late", CLASS_WARN },
		{ "exposed", CLASS_BAD },    { "met", CLASS_GOOD },
		{ "missed", CLASS_BAD },     { "no point", CLASS_BAD },
		{ "ok", CLASS_GOOD },        { "partly", CLASS_WARN },
		{ "fenced", CLASS_WARN },    { "none", CLASS_BAD },
		{ "verified", CLASS_GOOD },  { "old", CLASS_WARN },
		{ "never", CLASS_BAD },      { "failed", CLASS_BAD },
		{ "damaged", CLASS_BAD },    { "whole", CLASS_GOOD },
		{ "missing", CLASS_BAD },    { "changed", CLASS_BAD },
		{ "in use", CLASS_GOOD },    { "unused", CLASS_WARN },
		{ "revoked", CLASS_WARN },   { "present", CLASS_GOOD },
		{ "gone", CLASS_WARN },      { "bad", CLASS_BAD },
		{ "warn", CLASS_WARN },      { "open", CLASS_BAD },
		{ "ended", CLASS_WARN },     { "held", CLASS_WARN },
		{ "proposed", CLASS_WARN },  { "pass", CLASS_GOOD },
		{ "fail", CLASS_BAD },       { "unknown", CLASS_WARN },
		{ "excepted", CLASS_WARN },  { "not read back", CLASS_WARN },
		{ "excluded", CLASS_WARN },
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp(words[i].word, state) == 0)
			return words[i].class;
	}
	return CLASS_NONE;
}

static const char *class_name(unsigned class)
{
	static const char *const names[] = { "good", "warn", "bad", NULL };

	return names[class];
}

/* "FIRST WORDS" as a heading of a page has it: "First words". */
static void heading(const char *title, char ret[48])
{
	size_t i = 0;

	for (; title[i] && i < 47; i++) {
		/* what has no small letters is a short form, or the first word */
		bool keep = i == 0 || (strncmp(title, "RTO", 3) == 0 && i < 3) ||
		            strncmp(title, "UID", 3) == 0;
		ret[i] = !keep && title[i] >= 'A' && title[i] <= 'Z' ? (char)(title[i] + 32)
		                                                     : title[i];
	}
	ret[i] = '\0';
}

/* ---- writing ---- */

struct page {
	struct catalog *c;
	const struct report_params *p;
	const struct report *report;
	struct buf b;
	FILE *f;
	const struct html_link *up; /* or NULL */
	uint64_t rows, limit;
	bool more;
	struct chart_point *points; /* CHART_POINTS_MAX */
	unsigned classes[STATES_MAX];
	size_t n;
};

static int flush(struct page *x, struct err *e)
{
	if (buf_check(&x->b, "a part of the page", e) < 0)
		return -1;
	if (fwrite(x->b.data, 1, x->b.len, x->f) != x->b.len)
		return err_sys(e, errno, "writing the page");
	buf_reset(&x->b);
	return 0;
}

static void put_value(struct buf *b, const struct report_column *col, sqlite3_stmt *row, int i)
{
	const bool right = col->kind == TABLE_NUMBER || col->kind == TABLE_BYTES ||
	                   col->kind == TABLE_DURATION;
	const int64_t v = sqlite3_column_int64(row, i);
	const char *class = NULL;
	char text[32];

	if (sqlite3_column_type(row, i) == SQLITE_NULL) {
		html_cell(b, "soft", right, "–");
		return;
	}
	if (sqlite3_column_type(row, i) != SQLITE_INTEGER) {
		const char *s = catalog_text(row, i);

		if (strcmp(col->name, "state") == 0)
			class = class_name(class_of(s));
		else if (strlen(s) > LONG_TEXT)
			class = "w";
		html_cell(b, class, right, s);
		return;
	}
	switch (col->kind) {
	case TABLE_BYTES:
		html_cell(b, NULL, true, num_bytes_text((uint64_t)v).s);
		return;
	case TABLE_DURATION:
		html_cell(b, NULL, true, num_duration_text(v / 1000).s);
		return;
	case TABLE_TIME:
		(void)snprintf(text, sizeof(text), "%.10s %.5s", now_rfc3339(v).s,
		               now_rfc3339(v).s + strlen("2026-11-22T"));
		html_cell(b, "t", false, text);
		return;
	default:
		(void)snprintf(text, sizeof(text), "%lld", (long long)v);
		html_cell(b, NULL, right, text);
		return;
	}
}

static int put_row(void *arg, sqlite3_stmt *row, struct err *e)
{
	struct page *x = arg;

	if (x->limit > 0 && x->rows == x->limit) {
		x->more = true;
		return 1;
	}
	x->rows++;
	html_row_begin(&x->b);
	for (int i = 0; i < (int)x->report->ncolumns; i++) {
		const struct report_column *col = &x->report->columns[i];

		if (col->wide)
			continue;
		if (strcmp(col->name, "volume") == 0 && sqlite3_column_type(row, i) != SQLITE_NULL)
			html_head_cell(&x->b, catalog_text(row, i));
		else
			put_value(&x->b, col, row, i);
	}
	html_row_end(&x->b);
	return flush(x, e);
}

/* ---- above the table ---- */

static int take_state(void *arg, sqlite3_stmt *row, struct err *e)
{
	struct page *x = arg;
	struct chart_point *v = &x->points[x->n];

	(void)e;
	if (x->n == STATES_MAX)
		return 1;
	*v = (struct chart_point){ .value = sqlite3_column_double(row, 1) };
	(void)snprintf(v->label, sizeof(v->label), "%s", catalog_text(row, 0));
	x->classes[x->n++] = class_of(v->label);
	return 0;
}

static int take_point(void *arg, sqlite3_stmt *row, struct err *e)
{
	struct page *x = arg;
	struct chart_point *v = &x->points[x->n];

	(void)e;
	if (x->n == CHART_POINTS_MAX)
		return 1;
	*v = (struct chart_point){ .value = sqlite3_column_double(row, 1),
		                   .none = sqlite3_column_type(row, 1) == SQLITE_NULL };
	if (sqlite3_column_type(row, 0) == SQLITE_INTEGER)
		v->at_ns = sqlite3_column_int64(row, 0);
	else
		(void)snprintf(v->label, sizeof(v->label), "%s", catalog_text(row, 0));
	if (!(v->value >= 0))
		v->value = 0;
	x->n++;
	return 0;
}

static int put_states(struct page *x, struct err *e)
{
	char text[32];

	x->n = 0;
	if (!report_has_state(x->report))
		return 0;
	if (report_states(x->c, x->report, x->p, take_state, x, e) < 0)
		return -1;
	if (x->n == 0)
		return 0;
	html_cards_begin(&x->b);
	for (size_t i = 0; i < x->n; i++) {
		(void)snprintf(text, sizeof(text), "%.0f", x->points[i].value);
		html_card(&x->b, x->points[i].label, class_name(x->classes[i]), text);
	}
	html_cards_end(&x->b);
	chart_shares(&x->b, "How many of each state", x->points, x->classes, x->n);
	return 0;
}

static int put_chart(struct page *x, struct err *e)
{
	const struct report_chart *chart = x->report->chart;

	x->n = 0;
	if (!chart)
		return 0;
	if (report_each(x->c, chart->sql, x->p, take_point, x, e) < 0)
		return -1;
	if (chart->kind == REPORT_LINE)
		chart_line(&x->b, chart->title, x->points, x->n);
	else
		chart_bars(&x->b, chart->title, x->points, x->n);
	return 0;
}

static void put_help(struct page *x)
{
	char title[48];

	(void)buf_str(&x->b, "<details><summary>What the columns mean</summary>\n<ul>\n");
	for (size_t i = 0; i < x->report->ncolumns; i++) {
		const struct report_column *col = &x->report->columns[i];

		if (!col->help || col->wide)
			continue;
		heading(col->title, title);
		(void)buf_str(&x->b, "<li><b>");
		html_text(&x->b, title);
		(void)buf_str(&x->b, "</b>: ");
		html_text(&x->b, col->help);
		(void)buf_str(&x->b, "</li>\n");
	}
	(void)buf_str(&x->b, "</ul>\n</details>\n");
}

/* What a table on a terminal leaves out is left out here, too. */
static void put_table_head(struct page *x)
{
	struct html_column columns[COLUMNS_MAX];
	char titles[COLUMNS_MAX][48];
	size_t n = 0;

	for (size_t i = 0; i < x->report->ncolumns; i++) {
		const struct report_column *col = &x->report->columns[i];

		if (col->wide)
			continue;
		heading(col->title, titles[n]);
		columns[n] = (struct html_column){
			.title = titles[n],
			.help = col->help,
			.right = col->kind == TABLE_NUMBER || col->kind == TABLE_BYTES ||
			         col->kind == TABLE_DURATION,
		};
		n++;
	}
	html_table_begin(&x->b, x->report->title, columns, n);
}

static int put_report(struct page *x, const struct report *r, struct err *e)
{
	x->report = r;
	x->rows = 0;
	x->more = false;
	(void)buf_printf(&x->b,
	                 "<section id=\"%s\" aria-labelledby=\"%s-title\">\n"
	                 "<h2 id=\"%s-title\">",
	                 r->name, r->name, r->name);
	html_text(&x->b, r->title);
	(void)buf_str(&x->b, "</h2>\n");
	html_element(&x->b, "p", NULL, r->text);
	if (put_states(x, e) < 0 || put_chart(x, e) < 0)
		return -1;
	put_table_head(x);
	if (flush(x, e) < 0 || report_each(x->c, r->sql, x->p, put_row, x, e) < 0)
		return -1;
	html_table_end(&x->b);
	if (x->rows == 0)
		html_element(&x->b, "p", "soft", "There is nothing to tell.");
	if (x->more)
		(void)buf_printf(&x->b,
		                 "<p class=\"warn\">Only the first %llu rows are here; as CSV or "
		                 "JSON the report has all of them.</p>\n",
		                 (unsigned long long)x->rows);
	put_help(x);
	(void)buf_str(&x->b, "</section>\n");
	return flush(x, e);
}

/* ---- the page ---- */

static int put_identity(struct page *x, struct err *e)
{
	const struct report_params *p = x->p;
	auto_stmt sqlite3_stmt *s = catalog_prepare(x->c, "SELECT id, synced_ns FROM repository",
	                                            e);

	if (!s)
		return -1;
	int rc = catalog_step(x->c, s, e);
	if (rc < 0)
		return -1;
	(void)buf_str(&x->b, "<p>As of <b>");
	html_text(&x->b, now_rfc3339(p->as_of_ns).s);
	(void)buf_str(&x->b, "</b>; period from ");
	html_text(&x->b, now_rfc3339(p->from_ns).s);
	(void)buf_str(&x->b, " to ");
	html_text(&x->b, now_rfc3339(p->to_ns).s);
	if (p->target_s > 0)
		(void)buf_printf(&x->b, "; target %s", num_duration_text(p->target_s).s);
	(void)buf_str(&x->b, ". All times are UTC.");
	if (rc > 0) {
		(void)buf_str(&x->b, " Repository ");
		html_text(&x->b, catalog_text(s, 0));
		if (sqlite3_column_type(s, 1) == SQLITE_INTEGER)
			(void)buf_printf(&x->b, ", catalog synchronised %s",
			                 now_rfc3339(sqlite3_column_int64(s, 1)).s);
		(void)buf_str(&x->b, ".");
	}
	(void)buf_str(&x->b, "</p>\n");
	static const char *const names[] = { "cluster", "namespace", "volume", "policy" };
	const char *const filters[] = { p->cluster, p->namespace, p->volume, p->policy };
	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		if (!filters[i])
			continue;
		(void)buf_printf(&x->b, "<p>Only where the %s is <b>", names[i]);
		html_text(&x->b, filters[i]);
		(void)buf_str(&x->b, "</b>.</p>\n");
	}
	return 0;
}

/* Each leads to its report in this page. */
static void put_links(struct page *x, const struct report *const *reports, size_t n)
{
	struct html_link links[REPORTS_MAX];
	char href[REPORTS_MAX][64];

	n = n < REPORTS_MAX ? n : REPORTS_MAX;
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(href[i], sizeof(href[i]), "#%s", reports[i]->name);
		links[i] = (struct html_link){ .href = href[i], .text = reports[i]->title };
	}
	html_links(&x->b, "Reports", links, n);
}

static int put_page(struct page *x, const struct report *const *reports, size_t n, struct err *e)
{
	char title[96];

	(void)snprintf(title, sizeof(title), n == 1 ? "%s, as of %s" : "%s as of %s",
	               n == 1 ? reports[0]->title : "Backup reports", now_day(x->p->as_of_ns).s);
	html_page_begin(&x->b, title);
	if (x->up)
		html_links(&x->b, "Pages", x->up, 1);
	html_element(&x->b, "h1", NULL, title);
	if (put_identity(x, e) < 0)
		return -1;
	if (n > 1)
		put_links(x, reports, n);
	for (size_t i = 0; i < n; i++) {
		if (put_report(x, reports[i], e) < 0)
			return err_wrap(e, "report '%s'", reports[i]->name);
	}
	html_page_end(&x->b);
	return flush(x, e);
}

int report_html_print(struct catalog *c, const struct report *const *reports, size_t n,
                      const struct report_params *p, const struct report_html_how *how, FILE *f,
                      struct err *e)
{
	auto_free struct chart_point *points = calloc(CHART_POINTS_MAX, sizeof(*points));
	struct page x = { .c = c,
		          .p = p,
		          .b = BUF_INIT(PAGE_PART_MAX),
		          .f = f,
		          .limit = how->limit,
		          .up = how->up,
		          .points = points };

	if (!points)
		return err_set(e, ERR_NOMEM, "no memory for a chart");
	int rc = put_page(&x, reports, n, e);
	buf_clear(&x.b);
	return rc;
}
