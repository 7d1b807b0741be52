/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages for people: one file that needs nothing else. No script, no picture, nothing from a
 * network; light and dark, for a phone, a desk and A4 paper; to be read aloud, too. Everything is
 * appended to a buffer, whose failure is sticky. Texts of anybody are escaped here, so what is
 * given is plain text; what is called `class` or `id` is a literal of ours.
 *
 * Classes that the style knows: "good", "bad", "warn" and "soft" colour a text (and say nothing
 * alone: a word stands beside them); "t" is a time, "w" a long text in a cell; "cards" is a list of
 * numbers; "scroll" a box that scrolls.
 */
#ifndef AKSDR_COMMON_HTML_H
#define AKSDR_COMMON_HTML_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

/* What a browser may do for such a page; for the head of an HTTP answer, too. */
struct html_csp {
	char s[192];
};
struct html_csp html_csp(void);

/* In one line, without markup and without control characters. */
void html_text(struct buf *b, const char *text);
/* The same, but ends of lines stay: for <pre>. */
void html_lines(struct buf *b, const char *text);

/* From <!DOCTYPE> to <main>; a link at the top leads to it. */
void html_page_begin(struct buf *b, const char *title);
void html_page_end(struct buf *b);

struct html_link {
	const char *href; /* a literal of ours, or made of them */
	const char *text;
};
/* Links side by side, under a label that is read aloud; they are left out on paper. */
void html_links(struct buf *b, const char *label, const struct html_link *links, size_t n);

/* <TAG class>text</TAG>; class may be NULL. */
void html_element(struct buf *b, const char *tag, const char *class, const char *text);

struct html_column {
	const char *title;
	const char *help; /* shown by a pointer that rests; NULL: none */
	bool right;       /* numbers */
};

/* A table in a box that scrolls where it is too wide; the caption names both. n 0: no heading. */
void html_table_begin(struct buf *b, const char *caption, const struct html_column *columns,
                      size_t n);
void html_table_end(struct buf *b);
void html_row_begin(struct buf *b);
void html_row_end(struct buf *b);
void html_head_cell(struct buf *b, const char *text); /* the cell that names its row */
/* class: of the text, or NULL. right: as its column. */
void html_cell(struct buf *b, const char *class, bool right, const char *text);

/* Numbers side by side: begin, cards, end. class as above, of the number. */
void html_cards_begin(struct buf *b);
void html_card(struct buf *b, const char *name, const char *class, const char *value);
void html_cards_end(struct buf *b);

#endif
