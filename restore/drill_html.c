/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See drill_html.h. Tables with captions and scopes, and words beside colours: it can be read
 * aloud.
 */
#include "restore/drill_html.h"

#include <stdio.h>

#include "common/clean.h"
#include "common/html.h"
#include "common/now.h"
#include "common/num.h"

static void put_row(struct buf *b, const char *name, const char *value)
{
	html_row_begin(b);
	html_head_cell(b, name);
	html_cell(b, NULL, false, value);
	html_row_end(b);
}

static void put_target(struct buf *b, const char *name, int64_t achieved_s, int64_t target_s)
{
	const bool known = achieved_s >= 0;
	const bool met = known && achieved_s <= target_s;

	html_row_begin(b);
	html_head_cell(b, name);
	html_cell(b, NULL, true, known ? num_duration_text(achieved_s).s : "unknown");
	html_cell(b, NULL, true, target_s > 0 ? num_duration_text(target_s).s : "none");
	if (target_s > 0)
		html_cell(b, met ? "good" : "bad", false, met ? "met" : "missed");
	else
		html_cell(b, "soft", false, "no target");
	html_row_end(b);
}

static void put_summary(const struct drill_report *r, struct buf *b)
{
	static const struct html_column targets[] = {
		{ .title = "Objective" },
		{ .title = "Achieved", .right = true },
		{ .title = "Target", .right = true },
		{ .title = "Result" },
	};

	(void)buf_printf(b, "<h1>Drill of plan ‘");
	html_text(b, r->plan);
	(void)buf_printf(b, "’: <span class=\"%s\">%s</span></h1>\n", r->passed ? "good" : "bad",
	                 r->passed ? "passed" : "not passed");
	if (r->nwhys > 0)
		(void)buf_str(b, "<ul class=\"bad\">\n");
	for (size_t i = 0; i < r->nwhys; i++)
		html_element(b, "li", NULL, r->whys[i]);
	if (r->nwhys > 0)
		(void)buf_str(b, "</ul>\n");
	html_table_begin(b, "Which drill this is", NULL, 0);
	put_row(b, "Began", now_rfc3339(r->began_ns).s);
	put_row(b, "Ended", now_rfc3339(r->ended_ns).s);
	put_row(b, "From the points of", r->from);
	put_row(b, "Restored into", r->to);
	put_row(b, "Data", num_bytes_text(r->bytes).s);
	put_row(b, "Run", r->run);
	put_row(b, "By", r->user);
	put_row(b, "On", r->host);
	put_row(b, "Version", r->version);
	html_table_end(b);
	html_element(b, "h2", NULL, "Targets");
	html_table_begin(b, "What was achieved, and what the plan asks for", targets,
	                 ARRAY_LEN(targets));
	put_target(b, "RPO: age of the oldest point", r->age_s, r->rpo_s);
	/* Part of a second counts. */
	put_target(b, "RTO: from the begin to the last check",
	           (int64_t)r->took_s + (r->took_s > (double)(int64_t)r->took_s), r->rto_s);
	html_table_end(b);
}

static void put_phases(const struct drill_report *r, struct buf *b)
{
	static const struct html_column columns[] = {
		{ .title = "Phase" },
		{ .title = "Began" },
		{ .title = "Seconds", .right = true },
	};
	char seconds[32];

	html_element(b, "h2", NULL, "Phases");
	html_table_begin(b, "How the time was spent", columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < r->nphases; i++) {
		(void)snprintf(seconds, sizeof(seconds), "%.1f", r->phases[i].seconds);
		html_row_begin(b);
		html_head_cell(b, r->phases[i].name);
		html_cell(b, NULL, false, now_rfc3339(r->phases[i].began_ns).s);
		html_cell(b, NULL, true, seconds);
		html_row_end(b);
	}
	html_table_end(b);
}

static void put_volume(const struct drill_report *r, const struct drill_volume *v, struct buf *b)
{
	const bool good = v->restored && v->verified && !v->damaged;
	char text[32];

	html_row_begin(b);
	html_head_cell(b, v->volume);
	(void)buf_printf(b, "<td class=\"%s\">%s", good ? "good" : "bad",
	                 good           ? "verified"
	                 : v->damaged   ? "damaged"
	                 : !v->restored ? "missing"
	                                : "not read back");
	if (*v->why) {
		(void)buf_str(b, ": ");
		html_text(b, v->why);
	}
	(void)buf_str(b, "</td>");
	html_cell(b, NULL, false, v->claim);
	(void)buf_str(b, "<td>");
	html_text(b, v->point);
	if (v->frozen_ns != 0)
		(void)buf_printf(b, "<br>%s", now_rfc3339(v->frozen_ns).s);
	(void)buf_str(b, "</td>");
	html_cell(b, NULL, true,
	          v->frozen_ns != 0 ? num_duration_text((r->began_ns - v->frozen_ns) / 1000000000).s
	                            : "–");
	html_cell(b, NULL, true, num_bytes_text(v->bytes).s);
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)v->files);
	html_cell(b, NULL, true, text);
	(void)snprintf(text, sizeof(text), "%.1f", v->seconds);
	html_cell(b, NULL, true, text);
	html_row_end(b);
}

static void put_volumes(const struct drill_report *r, struct buf *b)
{
	static const struct html_column columns[] = {
		{ .title = "Volume" },
		{ .title = "Result" },
		{ .title = "Restored to" },
		{ .title = "Point" },
		{ .title = "Age", .right = true },
		{ .title = "Data", .right = true },
		{ .title = "Files", .right = true },
		{ .title = "Seconds", .right = true },
	};

	html_element(b, "h2", NULL, "Volumes");
	html_table_begin(b,
	                 "What was restored; verified: read back from the volume, every hash as "
	                 "in the point",
	                 columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < r->nvolumes; i++)
		put_volume(r, &r->volumes[i], b);
	html_table_end(b);
	if (r->left_out > 0)
		(void)buf_printf(b, "<p>%zu more volumes are left out.</p>\n", r->left_out);
}

static void put_checks(const struct drill_report *r, struct buf *b)
{
	(void)buf_str(b, "<h2>Checks</h2>\n");
	if (r->nchecks == 0)
		(void)buf_str(b, r->check_wanted
		                         ? "<p class=\"bad\">The check was not run.</p>\n"
		                         : "<p class=\"soft\">The plan has no check.</p>\n");
	for (size_t i = 0; i < r->nchecks; i++) {
		const struct drill_check *c = &r->checks[i];

		(void)buf_str(b, "<h3>");
		html_text(b, c->ns);
		(void)buf_printf(b, ": <span class=\"%s\">%s</span> (%.1f s)</h3>\n",
		                 c->passed ? "good" : "bad", c->passed ? "passed" : "not passed",
		                 c->seconds);
		if (*c->why)
			html_element(b, "p", NULL, c->why);
		if (*c->said) {
			(void)buf_str(b, "<pre>");
			html_lines(b, c->said);
			(void)buf_str(b, "</pre>\n");
		}
	}
}

void drill_html_put(const struct drill_report *r, struct buf *b)
{
	char title[DRILL_TEXT_MAX + 64];

	(void)snprintf(title, sizeof(title), "Drill of %.*s, %s: %s", DRILL_TEXT_MAX, r->plan,
	               now_day(r->began_ns).s, r->passed ? "passed" : "not passed");
	html_page_begin(b, title);
	put_summary(r, b);
	put_phases(r, b);
	put_volumes(r, b);
	put_checks(r, b);
	html_page_end(b);
}
