/* SPDX-License-Identifier: Apache-2.0 */
/* See standing_html.h. A colour stands beside a word, never alone. */
#include "catalog/standing_html.h"

#include "common/now.h"
#include "common/num.h"

static const char *const classes[] = {
	[STANDING_OK] = "good",
	[STANDING_ATTENTION] = "warn",
	[STANDING_DAMAGE] = "bad",
};

static void put_cards(const struct standing_answer *a, struct buf *b)
{
	static const char *const names[] = { "in order", "need attention", "damage" };
	size_t counts[ARRAY_LEN(names)] = { 0 };
	char number[24];

	for (size_t i = 0; i < a->n; i++)
		counts[a->v[i].level]++;
	html_cards_begin(b);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(number, sizeof(number), "%zu", counts[i]);
		html_card(b, names[i], counts[i] > 0 ? classes[i] : "soft", number);
	}
	html_cards_end(b);
}

static void put_synced(int64_t synced_ns, int64_t now_ns, struct buf *b)
{
	const int64_t age_s = (now_ns - synced_ns) / 1000000000;
	char text[160];

	if (synced_ns == 0)
		(void)snprintf(text, sizeof(text),
		               "The catalog was never brought up to the store.");
	else
		(void)snprintf(text, sizeof(text),
		               "The catalog was brought up to the store %s ago, at %s.",
		               num_duration_text(age_s > 0 ? age_s : 0).s,
		               now_rfc3339(synced_ns).s);
	html_element(b, "p", "soft", text);
}

void standing_html(const struct standing_answer *a, int64_t now_ns,
                   const struct standing_html_more *more, struct buf *b)
{
	static const struct html_column columns[] = {
		{ "Area", NULL, false },
		{ "Level", "ok, attention or damage", false },
		{ "What", NULL, false },
	};
	char at[80];

	(void)snprintf(at, sizeof(at), "As of %s", now_rfc3339(now_ns).s);
	html_page_begin(b, "Am I safe?");
	html_element(b, "h1", NULL, "Am I safe?");
	html_element(b, "p", classes[a->level], a->verdict);
	html_element(b, "p", "soft", at);
	if (more)
		put_synced(more->synced_ns, now_ns, b);
	put_cards(a, b);
	html_table_begin(b, "What the verdict follows from", columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < a->n; i++) {
		const struct standing_finding *f = &a->v[i];

		html_row_begin(b);
		html_head_cell(b, f->area);
		html_cell(b, classes[f->level], false, standing_levels[f->level]);
		html_cell(b, NULL, false, f->text);
		html_row_end(b);
	}
	html_table_end(b);
	if (more)
		html_links(b, "Reports", more->links, more->nlinks);
	html_page_end(b);
}
