/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Charts as inline SVG, for a page of common/html.h: a line by time, bars, one bar of shares. Each
 * has its numbers beside it as a table, for who does not see it. Pure.
 */
#ifndef AKSDR_CATALOG_CHART_H
#define AKSDR_CATALOG_CHART_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

#define CHART_POINTS_MAX 4000

struct chart_point {
	char label[48]; /* of a bar or a share */
	int64_t at_ns;  /* of a point of a line */
	double value;   /* not negative */
	bool none;      /* there is no value: the line has a gap */
};

/* n up to CHART_POINTS_MAX; nothing is put for 0. title: with the unit. */
void chart_line(struct buf *b, const char *title, const struct chart_point *v, size_t n);
void chart_bars(struct buf *b, const char *title, const struct chart_point *v, size_t n);
/* class of each: 0 good, 1 so so, 2 bad, 3 neither. */
void chart_shares(struct buf *b, const char *title, const struct chart_point *v,
                  const unsigned *class, size_t n);

#endif
