/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See drill_html.h. Tables with captions and scopes, and words beside colours: it can be read
 * aloud.
 */
#include "restore/drill_html.h"

#include <string.h>

#include "common/now.h"
#include "common/num.h"
#include "common/text.h"

static const char head[] =
	"<style>\n"
	":root{color-scheme:light dark;--fg:#1b1f24;--bg:#fff;--soft:#57606a;--line:#d0d7de;"
	"--good:#116329;--bad:#a40e26}\n"
	"@media (prefers-color-scheme:dark){:root{--fg:#e6edf3;--bg:#0d1117;--soft:#9198a1;"
	"--line:#3d444d;--good:#56d364;--bad:#ff7b72}}\n"
	"body{font:1rem/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);"
	"max-width:72rem;margin:0 auto;padding:1rem}\n"
	"h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}\n"
	".good{color:var(--good)}.bad{color:var(--bad)}.soft{color:var(--soft)}\n"
	".scroll{overflow-x:auto}\n"
	"table{border-collapse:collapse;width:100%}\n"
	"caption{text-align:left;color:var(--soft)}\n"
	"th,td{border-bottom:1px solid var(--line);padding:.25rem .5rem;text-align:left;"
	"vertical-align:top;overflow-wrap:anywhere}\n"
	"td.n,th.n{text-align:right;white-space:nowrap}\n"
	"pre{white-space:pre-wrap;overflow-wrap:anywhere;border-left:.25rem solid var(--line);"
	"margin:.25rem 0;padding-left:.5rem}\n"
	"@page{size:A4;margin:15mm}\n"
	"@media print{:root{--fg:#000;--bg:#fff;--soft:#444;--line:#999;--good:#000;--bad:#000}"
	"body{font-size:9pt;max-width:none;padding:0}.scroll{overflow:visible}"
	"tr{break-inside:avoid}thead{display:table-header-group}}\n"
	"</style>\n";

/* Text of anybody: no control characters but those of lines, and nothing that is markup. */
static void put_text(struct buf *b, const char *text, bool lines)
{
	char step[TEXT_STEP_MAX];
	size_t n;

	while (*text) {
		if (lines && *text == '\n') {
			(void)buf_u8(b, '\n');
			text++;
			continue;
		}
		const char *entity = *text == '<'    ? "&lt;"
		                     : *text == '>'  ? "&gt;"
		                     : *text == '&'  ? "&amp;"
		                     : *text == '"'  ? "&quot;"
		                     : *text == '\'' ? "&#39;"
		                                     : NULL;
		if (entity) {
			(void)buf_str(b, entity);
			text++;
		} else if ((n = text_step(&text, TEXT_LINE, step)) > 0) {
			(void)buf_put(b, step, n);
		}
	}
}

static void put_row(struct buf *b, const char *name, const char *value)
{
	(void)buf_printf(b, "<tr><th scope=\"row\">%s</th><td>", name);
	put_text(b, value, false);
	(void)buf_str(b, "</td></tr>\n");
}

static void put_target(struct buf *b, const char *name, int64_t achieved_s, int64_t target_s)
{
	const bool known = achieved_s >= 0;
	const bool met = known && achieved_s <= target_s;

	(void)buf_printf(b, "<tr><th scope=\"row\">%s</th><td class=\"n\">%s</td>", name,
	                 known ? num_duration_text(achieved_s).s : "unknown");
	if (target_s > 0)
		(void)buf_printf(b, "<td class=\"n\">%s</td><td class=\"%s\">%s</td></tr>\n",
		                 num_duration_text(target_s).s, met ? "good" : "bad",
		                 met ? "met" : "missed");
	else
		(void)buf_str(b,
		              "<td class=\"n\">none</td><td class=\"soft\">no target</td></tr>\n");
}

static void put_summary(const struct drill_report *r, struct buf *b)
{
	(void)buf_printf(b, "<h1>Drill of plan ‘");
	put_text(b, r->plan, false);
	(void)buf_printf(b, "’: <span class=\"%s\">%s</span></h1>\n", r->passed ? "good" : "bad",
	                 r->passed ? "passed" : "not passed");
	if (r->nwhys > 0)
		(void)buf_str(b, "<ul class=\"bad\">\n");
	for (size_t i = 0; i < r->nwhys; i++) {
		(void)buf_str(b, "<li>");
		put_text(b, r->whys[i], false);
		(void)buf_str(b, "</li>\n");
	}
	if (r->nwhys > 0)
		(void)buf_str(b, "</ul>\n");
	(void)buf_str(b, "<table>\n<caption>Which drill this is</caption>\n<tbody>\n");
	put_row(b, "Began", now_rfc3339(r->began_ns).s);
	put_row(b, "Ended", now_rfc3339(r->ended_ns).s);
	put_row(b, "From the points of", r->from);
	put_row(b, "Restored into", r->to);
	put_row(b, "Data", num_bytes_text(r->bytes).s);
	put_row(b, "Run", r->run);
	put_row(b, "By", r->user);
	put_row(b, "On", r->host);
	put_row(b, "Version", r->version);
	(void)buf_str(b, "</tbody>\n</table>\n<h2>Targets</h2>\n<table>\n"
	                 "<caption>What was achieved, and what the plan asks for</caption>\n"
	                 "<thead><tr><th scope=\"col\">Objective</th><th scope=\"col\" "
	                 "class=\"n\">Achieved</th><th scope=\"col\" class=\"n\">Target</th>"
	                 "<th scope=\"col\">Result</th></tr></thead>\n<tbody>\n");
	put_target(b, "RPO: age of the oldest point", r->age_s, r->rpo_s);
	/* Part of a second counts. */
	put_target(b, "RTO: from the begin to the last check",
	           (int64_t)r->took_s + (r->took_s > (double)(int64_t)r->took_s), r->rto_s);
	(void)buf_str(b, "</tbody>\n</table>\n");
}

static void put_phases(const struct drill_report *r, struct buf *b)
{
	(void)buf_str(b, "<h2>Phases</h2>\n<table>\n<caption>How the time was spent</caption>\n"
	                 "<thead><tr><th scope=\"col\">Phase</th><th scope=\"col\">Began</th>"
	                 "<th scope=\"col\" class=\"n\">Seconds</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < r->nphases; i++) {
		(void)buf_str(b, "<tr><th scope=\"row\">");
		put_text(b, r->phases[i].name, false);
		(void)buf_printf(b, "</th><td>%s</td><td class=\"n\">%.1f</td></tr>\n",
		                 now_rfc3339(r->phases[i].began_ns).s, r->phases[i].seconds);
	}
	(void)buf_str(b, "</tbody>\n</table>\n");
}

static void put_volume(const struct drill_report *r, const struct drill_volume *v, struct buf *b)
{
	const bool good = v->restored && v->verified && !v->damaged;

	(void)buf_str(b, "<tr><th scope=\"row\">");
	put_text(b, v->volume, false);
	(void)buf_printf(b, "</th><td class=\"%s\">%s", good ? "good" : "bad",
	                 good           ? "verified"
	                 : v->damaged   ? "damaged"
	                 : !v->restored ? "missing"
	                                : "not read back");
	if (*v->why) {
		(void)buf_str(b, ": ");
		put_text(b, v->why, false);
	}
	(void)buf_str(b, "</td><td>");
	put_text(b, v->claim, false);
	(void)buf_str(b, "</td><td>");
	put_text(b, v->point, false);
	if (v->frozen_ns != 0)
		(void)buf_printf(b, "<br>%s</td><td class=\"n\">%s</td>",
		                 now_rfc3339(v->frozen_ns).s,
		                 num_duration_text((r->began_ns - v->frozen_ns) / 1000000000).s);
	else
		(void)buf_str(b, "</td><td class=\"n\">–</td>");
	(void)buf_printf(b,
	                 "<td class=\"n\">%s</td><td class=\"n\">%llu</td>"
	                 "<td class=\"n\">%.1f</td></tr>\n",
	                 num_bytes_text(v->bytes).s, (unsigned long long)v->files, v->seconds);
}

static void put_volumes(const struct drill_report *r, struct buf *b)
{
	(void)buf_str(
		b,
		"<h2>Volumes</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
		"aria-label=\"Volumes\">\n<table>\n"
		"<caption>What was restored; verified: read back from the volume, every hash as "
		"in the point</caption>\n"
		"<thead><tr><th scope=\"col\">Volume</th><th scope=\"col\">Result</th>"
		"<th scope=\"col\">Restored to</th><th scope=\"col\">Point</th>"
		"<th scope=\"col\" class=\"n\">Age</th><th scope=\"col\" class=\"n\">Data</th>"
		"<th scope=\"col\" class=\"n\">Files</th><th scope=\"col\" class=\"n\">Seconds</th>"
		"</tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < r->nvolumes; i++)
		put_volume(r, &r->volumes[i], b);
	(void)buf_str(b, "</tbody>\n</table>\n</div>\n");
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
		put_text(b, c->ns, false);
		(void)buf_printf(b, ": <span class=\"%s\">%s</span> (%.1f s)</h3>\n",
		                 c->passed ? "good" : "bad", c->passed ? "passed" : "not passed",
		                 c->seconds);
		if (*c->why) {
			(void)buf_str(b, "<p>");
			put_text(b, c->why, false);
			(void)buf_str(b, "</p>\n");
		}
		if (*c->said) {
			(void)buf_str(b, "<pre>");
			put_text(b, c->said, true);
			(void)buf_str(b, "</pre>\n");
		}
	}
}

void drill_html_put(const struct drill_report *r, struct buf *b)
{
	(void)buf_str(b,
	              "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	              "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	              "<meta http-equiv=\"Content-Security-Policy\" "
	              "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>Drill "
	              "of ");
	put_text(b, r->plan, false);
	(void)buf_printf(b, ", %s: %s</title>\n", now_day(r->began_ns).s,
	                 r->passed ? "passed" : "not passed");
	(void)buf_str(b, head);
	(void)buf_str(b, "</head>\n<body>\n<main>\n");
	put_summary(r, b);
	put_phases(r, b);
	put_volumes(r, b);
	put_checks(r, b);
	(void)buf_str(b, "</main>\n</body>\n</html>\n");
}
