/* SPDX-License-Identifier: Apache-2.0 */
/* See html.h. The policy allows the one style by its hash, so that no text can bring another. */
#include "common/html.h"

#include <sodium.h>
#include <string.h>

#include "common/hex.h"
#include "common/text.h"

static const char style[] =
	":root{color-scheme:light dark;--fg:#1b1f24;--bg:#fff;--soft:#57606a;--line:#d0d7de;"
	"--box:#f6f8fa;--good:#116329;--warn:#7d4e00;--bad:#a40e26;--a:#0550ae;--b:#8250df;"
	"--fill:#2da44e;--rest:#cf222e;--part:#bf8700}\n"
	"@media (prefers-color-scheme:dark){:root{--fg:#e6edf3;--bg:#0d1117;--soft:#9198a1;"
	"--line:#3d444d;--box:#151b23;--good:#56d364;--warn:#e3b341;--bad:#ff7b72;--a:#79c0ff;"
	"--b:#d2a8ff;--fill:#3fb950;--rest:#f85149;--part:#d29922}}\n"
	"*{box-sizing:border-box}\n"
	"body{font:1rem/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);"
	"max-width:76rem;margin:0 auto;padding:1rem;overflow-wrap:break-word}\n"
	"h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0}"
	"h2{font-size:1.25rem;margin:2.5rem 0 .25rem;padding-top:.75rem;"
	"border-top:1px solid var(--line)}h3{font-size:1rem;margin:1.5rem 0 .25rem}\n"
	"p{margin:.25rem 0 .75rem;max-width:48rem}a{color:var(--a)}\n"
	".good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}"
	".soft{color:var(--soft)}\n"
	".skip{position:absolute;left:-100vw;background:var(--bg);padding:.5rem}"
	".skip:focus{left:.5rem;top:.5rem;z-index:2}\n"
	"nav ul{list-style:none;margin:1rem 0;padding:0;display:flex;flex-wrap:wrap;"
	"gap:.25rem 1rem}nav a{display:inline-block;padding:.25rem 0}\n"
	".scroll{overflow-x:auto;margin:.5rem 0 1rem}"
	".scroll:focus-visible,a:focus-visible,summary:focus-visible{outline:.15rem solid "
	"var(--a);outline-offset:.1rem}\n"
	"table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\n"
	"caption{text-align:left;color:var(--soft);padding:.25rem 0}\n"
	"th,td{border-bottom:1px solid var(--line);padding:.3rem .6rem;text-align:left;"
	"vertical-align:top;min-width:4.5rem;max-width:22rem}\n"
	"thead th{background:var(--box);font-weight:600}tbody th{font-weight:500}\n"
	"td.n,th.n{text-align:right;white-space:nowrap}"
	"td.t{white-space:nowrap}td.w{min-width:14rem}\n"
	"pre{white-space:pre-wrap;overflow-wrap:anywhere;border-left:.25rem solid var(--line);"
	"margin:.25rem 0;padding-left:.5rem}\n"
	"dl.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(9rem,1fr));"
	"gap:.5rem;margin:.75rem 0}dl.cards div{background:var(--box);border:1px solid "
	"var(--line);border-radius:.4rem;padding:.5rem .75rem}"
	"dl.cards dt{color:var(--soft);font-size:.875rem}"
	"dl.cards dd{margin:0;font-size:1.3rem;font-weight:600;line-height:1.3}\n"
	"figure{margin:1rem 0;max-width:48rem}figcaption{color:var(--soft);margin-bottom:.25rem}"
	"svg{display:block;width:100%;height:auto}svg text{fill:var(--soft);font:12px "
	"system-ui,sans-serif}.grid{stroke:var(--line)}.line{fill:none;stroke:var(--a);"
	"stroke-width:2}.line2{fill:none;stroke:var(--b);stroke-width:2;stroke-dasharray:5 3}"
	".bar{fill:var(--a)}.s0{fill:var(--fill)}.s1{fill:var(--part)}.s2{fill:var(--rest)}"
	".s3{fill:var(--line)}\n"
	"details{margin:.25rem 0 1rem}summary{cursor:pointer;color:var(--soft);"
	"padding:.25rem 0}\n"
	/* Tables of a dozen columns need the long side. */
	"@page{size:A4 landscape;margin:12mm}\n"
	"@media print{:root{--fg:#000;--bg:#fff;--soft:#444;--line:#999;--box:#fff;--good:#000;"
	"--warn:#000;--bad:#000;--a:#0550ae;--b:#8250df}body{font-size:8.5pt;max-width:none;"
	"padding:0}.scroll{overflow:visible}.skip,nav{display:none}tr,figure,dl.cards div"
	"{break-inside:avoid}h2,h3,caption{break-after:avoid}thead{display:table-header-group}"
	"th,td{min-width:4.2rem;padding:.15rem .3rem;overflow-wrap:anywhere}"
	"tbody th{min-width:8rem}td.w{min-width:9rem}td.n,th.n{min-width:0}}\n";

struct html_csp html_csp(void)
{
	uint8_t hash[crypto_hash_sha256_BYTES];
	char text[4 * (sizeof(hash) + 2) / 3 + 1];
	struct html_csp ret;

	(void)crypto_hash_sha256(hash, (const unsigned char *)style, sizeof(style) - 1);
	(void)base64_encode(text, sizeof(text), hash, sizeof(hash));
	(void)snprintf(ret.s, sizeof(ret.s),
	               "default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; "
	               "form-action 'none'",
	               text);
	return ret;
}

static const char *entity(char c)
{
	switch (c) {
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '&':
		return "&amp;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

static void put(struct buf *b, const char *text, bool lines)
{
	char step[TEXT_STEP_MAX];
	size_t n;

	while (*text) {
		const char *as = lines && *text == '\n' ? "\n" : entity(*text);

		if (as) {
			(void)buf_str(b, as);
			text++;
		} else if ((n = text_step(&text, TEXT_LINE, step)) > 0) {
			(void)buf_put(b, step, n);
		}
	}
}

void html_text(struct buf *b, const char *text)
{
	put(b, text, false);
}

void html_lines(struct buf *b, const char *text)
{
	put(b, text, true);
}

/* <TAG class="class"> */
static void open_tag(struct buf *b, const char *tag, const char *class)
{
	if (class)
		(void)buf_printf(b, "<%s class=\"%s\">", tag, class);
	else
		(void)buf_printf(b, "<%s>", tag);
}

void html_element(struct buf *b, const char *tag, const char *class, const char *text)
{
	open_tag(b, tag, class);
	html_text(b, text);
	(void)buf_printf(b, "</%s>\n", tag);
}

/* ---- the page ---- */

void html_page_begin(struct buf *b, const char *title)
{
	(void)buf_printf(b,
	                 "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	                 "<meta http-equiv=\"Content-Security-Policy\" content=\"%s\">\n"
	                 "<meta name=\"viewport\" content=\"width=device-width, "
	                 "initial-scale=1\">\n<title>",
	                 html_csp().s);
	html_text(b, title);
	(void)buf_printf(b,
	                 "</title>\n<style>%s</style>\n</head>\n<body>\n"
	                 "<a class=\"skip\" href=\"#main\">Skip to the content</a>\n"
	                 "<main id=\"main\">\n",
	                 style);
}

void html_page_end(struct buf *b)
{
	(void)buf_str(b, "</main>\n</body>\n</html>\n");
}

void html_links(struct buf *b, const char *label, const struct html_link *links, size_t n)
{
	(void)buf_str(b, "<nav aria-label=\"");
	html_text(b, label);
	(void)buf_str(b, "\"><ul>\n");
	for (size_t i = 0; i < n; i++) {
		(void)buf_str(b, "<li><a href=\"");
		html_text(b, links[i].href);
		(void)buf_str(b, "\">");
		html_text(b, links[i].text);
		(void)buf_str(b, "</a></li>\n");
	}
	(void)buf_str(b, "</ul></nav>\n");
}

/* ---- tables ---- */

void html_table_begin(struct buf *b, const char *caption, const struct html_column *columns,
                      size_t n)
{
	(void)buf_str(b, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"");
	html_text(b, caption);
	(void)buf_str(b, "\">\n<table>\n<caption>");
	html_text(b, caption);
	(void)buf_str(b, n > 0 ? "</caption>\n<thead><tr>" : "</caption>\n");
	for (size_t i = 0; i < n; i++) {
		(void)buf_printf(b, "<th scope=\"col\"%s", columns[i].right ? " class=\"n\"" : "");
		if (columns[i].help) {
			(void)buf_str(b, " title=\"");
			html_text(b, columns[i].help);
			(void)buf_str(b, "\"");
		}
		(void)buf_str(b, ">");
		html_text(b, columns[i].title);
		(void)buf_str(b, "</th>");
	}
	(void)buf_str(b, n > 0 ? "</tr></thead>\n<tbody>\n" : "<tbody>\n");
}

void html_table_end(struct buf *b)
{
	(void)buf_str(b, "</tbody>\n</table>\n</div>\n");
}

void html_row_begin(struct buf *b)
{
	(void)buf_str(b, "<tr>");
}

void html_row_end(struct buf *b)
{
	(void)buf_str(b, "</tr>\n");
}

void html_head_cell(struct buf *b, const char *text)
{
	(void)buf_str(b, "<th scope=\"row\">");
	html_text(b, text);
	(void)buf_str(b, "</th>");
}

void html_cell(struct buf *b, const char *class, bool right, const char *text)
{
	(void)buf_printf(b, "<td%s%s%s%s%s>", right || class ? " class=\"" : "", right ? "n" : "",
	                 right && class ? " " : "", class ? class : "", right || class ? "\"" : "");
	html_text(b, text);
	(void)buf_str(b, "</td>");
}

/* ---- cards ---- */

void html_cards_begin(struct buf *b)
{
	(void)buf_str(b, "<dl class=\"cards\">\n");
}

void html_card(struct buf *b, const char *name, const char *class, const char *value)
{
	(void)buf_str(b, "<div><dt>");
	html_text(b, name);
	(void)buf_str(b, "</dt>");
	open_tag(b, "dd", class);
	html_text(b, value);
	(void)buf_str(b, "</dd></div>\n");
}

void html_cards_end(struct buf *b)
{
	(void)buf_str(b, "</dl>\n");
}
