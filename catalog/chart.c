/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See chart.h. Coordinates have one digit behind the point, so that the same numbers give the same
 * bytes; colours are classes of the page's style, since its policy allows no style of an element.
 */
#include "catalog/chart.h"

#include <math.h>
#include <stdio.h>

#include "common/html.h"
#include "common/now.h"

#define WIDTH 720
#define HEIGHT 220
#define LEFT 56
#define RIGHT 12
#define TOP 12
#define BOTTOM 28
#define PLOT_W (WIDTH - LEFT - RIGHT)
#define PLOT_H (HEIGHT - TOP - BOTTOM)

struct number {
	char s[32];
};

/* For people: three digits at least, no more behind the point than say something. */
static struct number number(double v)
{
	struct number ret;

	(void)snprintf(ret.s, sizeof(ret.s), v == floor(v) && v < 1e15 ? "%.0f" : "%.2f", v);
	return ret;
}

/* The least of 1, 2, 5 times a power of ten that is not below v. */
static double round_up(double v)
{
	double power;

	if (!(v > 0))
		return 1;
	power = pow(10, floor(log10(v)));
	return v <= power       ? power
	       : v <= 2 * power ? 2 * power
	       : v <= 5 * power ? 5 * power
	                        : 10 * power;
}

static double highest(const struct chart_point *v, size_t n)
{
	double max = 0;

	for (size_t i = 0; i < n; i++) {
		if (!v[i].none && v[i].value > max)
			max = v[i].value;
	}
	return round_up(max);
}

static void begin(struct buf *b, const char *title, int height)
{
	(void)buf_str(b, "<figure>\n<figcaption>");
	html_text(b, title);
	(void)buf_printf(b, "</figcaption>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"",
	                 WIDTH, height);
	html_text(b, title);
	(void)buf_str(b, "\">\n");
}

/* The numbers of what was drawn. */
static void end(struct buf *b, const char *title, const struct chart_point *v, size_t n)
{
	static const struct html_column columns[] = { { .title = "What" },
		                                      { .title = "How much", .right = true } };
	char caption[160];

	(void)snprintf(caption, sizeof(caption), "%.140s: numbers", title);
	(void)buf_str(b, "</svg>\n<details><summary>The numbers</summary>\n");
	html_table_begin(b, caption, columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < n; i++) {
		html_row_begin(b);
		html_head_cell(b, v[i].label[0] ? v[i].label : now_day(v[i].at_ns).s);
		html_cell(b, NULL, true, v[i].none ? "–" : number(v[i].value).s);
		html_row_end(b);
	}
	html_table_end(b);
	(void)buf_str(b, "</details>\n</figure>\n");
}

/* Lines across with their values. */
static void put_grid(struct buf *b, double max)
{
	for (int i = 0; i <= 4; i++) {
		const double y = TOP + PLOT_H - PLOT_H * i / 4.0;

		(void)buf_printf(b,
		                 "<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" "
		                 "y2=\"%.1f\"/>"
		                 "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
		                 LEFT, y, WIDTH - RIGHT, y, LEFT - 6, y + 4, number(max * i / 4).s);
	}
}

void chart_line(struct buf *b, const char *title, const struct chart_point *v, size_t n)
{
	const double max = highest(v, n);
	bool drawn = false;

	if (n == 0 || n > CHART_POINTS_MAX)
		return;
	const double span = n > 1 ? (double)(v[n - 1].at_ns - v[0].at_ns) : 0;
	begin(b, title, HEIGHT);
	put_grid(b, max);
	(void)buf_str(b, "<path class=\"line\" d=\"");
	for (size_t i = 0; i < n; i++) {
		const double at = span > 0 ? (double)(v[i].at_ns - v[0].at_ns) / span : 0.5;
		const double x = LEFT + PLOT_W * at;
		const double y = TOP + PLOT_H - PLOT_H * (v[i].value / max);

		if (v[i].none) {
			drawn = false;
			continue;
		}
		/* one that stands alone is a short stroke */
		(void)buf_printf(b, drawn ? "L%.1f %.1f" : "M%.1f %.1fh.1", x, y);
		drawn = true;
	}
	(void)buf_str(b, "\"/>\n");
	for (size_t k = 0; k < 3; k++) {
		static const char *const anchors[] = { "start", "middle", "end" };
		const size_t i = k * (n - 1) / 2;

		if (k > 0 && n < 3)
			break;
		(void)buf_printf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\">%s</text>\n",
		                 LEFT + PLOT_W * (int)k / 2, HEIGHT - 8, anchors[k],
		                 now_day(v[i].at_ns).s);
	}
	end(b, title, v, n);
}

void chart_bars(struct buf *b, const char *title, const struct chart_point *v, size_t n)
{
	const double max = highest(v, n);

	if (n == 0 || n > CHART_POINTS_MAX)
		return;
	begin(b, title, HEIGHT);
	put_grid(b, max);
	for (size_t i = 0; i < n; i++) {
		const double each = (double)PLOT_W / (double)n;
		const double height = v[i].none ? 0 : PLOT_H * (v[i].value / max);

		(void)buf_printf(b,
		                 "<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
		                 "height=\"%.1f\"/>\n",
		                 LEFT + each * ((double)i + 0.15), TOP + PLOT_H - height,
		                 each * 0.7, height);
		(void)buf_printf(b, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">",
		                 LEFT + each * ((double)i + 0.5), HEIGHT - 8);
		html_text(b, v[i].label);
		(void)buf_str(b, "</text>\n");
	}
	end(b, title, v, n);
}

void chart_shares(struct buf *b, const char *title, const struct chart_point *v,
                  const unsigned *class, size_t n)
{
	double sum = 0;
	double x = 0;

	for (size_t i = 0; i < n; i++)
		sum += v[i].value;
	if (n == 0 || n > CHART_POINTS_MAX || !(sum > 0))
		return;
	begin(b, title, 28);
	for (size_t i = 0; i < n; i++) {
		const double width = WIDTH * (v[i].value / sum);

		(void)buf_printf(b,
		                 "<rect class=\"s%u\" x=\"%.1f\" y=\"2\" width=\"%.1f\" "
		                 "height=\"24\"/>\n",
		                 class[i] & 3, x, width);
		x += width;
	}
	end(b, title, v, n);
}
