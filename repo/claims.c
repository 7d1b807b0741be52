/* SPDX-License-Identifier: Apache-2.0 */
/* See claims.h. */
#include "repo/claims.h"

/* The first claim that ends behind off, whatever the source says. false: it knows nothing. */
static bool ask(struct claims *c, uint64_t off)
{
	struct err ignored = ERR_INIT;
	struct claims_range r = { off, c->size };
	uint64_t start = off;
	uint64_t end = c->size;
	bool known = false;

	if (c->ops->changed(c->content, off, &known, &start, &end, &ignored) < 0)
		known = false;
	if (known && start >= c->size)
		r.start = r.end = c->size;
	else if (known && end > start && end > off)
		r = (struct claims_range){ start > off ? start : off,
			                   end < c->size ? end : c->size };
	c->at = r;
	c->bytes += r.end - r.start;
	return known;
}

bool claims_begin(struct claims *c, const struct source_ops *ops, struct content *content,
                  uint64_t size)
{
	*c = (struct claims){ .ops = ops, .content = content, .size = size };
	return ops->changed && ask(c, 0);
}

void claims_move(struct claims *c, uint64_t off)
{
	while (c->at.end <= off && c->at.start < c->size && off < c->size)
		(void)ask(c, off);
}

size_t claims_window(struct claims *c, uint64_t from, uint64_t to,
                     struct claims_range ret[CLAIMS_MAX])
{
	uint64_t at = from;
	size_t n = 0;
	bool too_many = false;

	while (at < to && !too_many) {
		claims_move(c, at);
		if (c->at.start >= to)
			break;
		uint64_t start = c->at.start - c->at.start % FORMAT_PAGE_BYTES;
		uint64_t end = c->at.end < to ? c->at.end : to;

		at = end;
		end += (FORMAT_PAGE_BYTES - end % FORMAT_PAGE_BYTES) % FORMAT_PAGE_BYTES;
		start = start > from ? start : from;
		end = end < to ? end : to;
		if (n && start <= ret[n - 1].end)
			ret[n - 1].end = end;
		else if (n < CLAIMS_MAX)
			ret[n++] = (struct claims_range){ start, end };
		else
			too_many = true;
	}
	if (!too_many)
		return n;
	ret[0] = (struct claims_range){ from, to };
	return 1;
}

void claims_compare(struct claims *c, struct delta *d, const uint8_t *p, uint64_t n, uint64_t avail,
                    uint64_t off)
{
	uint64_t at = c->compared_to > off ? c->compared_to : off;

	while (at < off + n && at < c->size) {
		uint64_t len;

		claims_move(c, at);
		if (c->at.start <= at) {
			at = c->at.end;
			continue;
		}
		enum delta_same is = delta_compare(d, p ? p + (at - off) : NULL, off + avail - at,
		                                   at, &len);
		if (is != DELTA_UNKNOWN && len <= c->at.start - at) {
			c->compared_bytes += len;
			c->wrong_bytes += is == DELTA_DIFFERS ? len : 0;
		} else if (p == NULL && is == DELTA_SAME) {
			/* A long hole that a claim ends. */
			len = c->at.start - at;
			c->compared_bytes += len;
		}
		at = len < UINT64_MAX - at ? at + len : UINT64_MAX;
	}
	c->compared_to = at;
}

void claims_end(struct claims *c)
{
	while (c->at.start < c->size && c->at.end < c->size)
		(void)ask(c, c->at.end);
}
