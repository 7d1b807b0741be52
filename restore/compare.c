/* SPDX-License-Identifier: Apache-2.0 */
/* See compare.h: both files are walked along side by side, cut where either has a boundary. */
#include "restore/compare.h"

#include <string.h>

#include "restore/along.h"

/* One of the two, and what is left of its present stretch. */
struct side {
	struct along at;
	struct span left; /* len 0: the next is to be got */
	bool end;
};

struct comparing {
	struct side a, b;
	compare_range_fn *range;
	void *arg;
	uint64_t from, to; /* a range that may go on; empty: none */
	uint64_t bytes;
};

static int side_fill(struct side *s, struct err *e)
{
	if (s->left.len > 0 || s->end)
		return 0;
	int more = along_next(&s->at, &s->left, e);

	if (more < 0)
		return -1;
	s->end = more == 0;
	if (s->end)
		s->left.len = 0;
	return 0;
}

static void side_pass(struct side *s, uint64_t n)
{
	s->left.off += n;
	s->left.len -= n;
	if (s->left.data)
		s->left.chunk_off += (uint32_t)n;
}

static int flush(struct comparing *c, struct err *e)
{
	uint64_t len = c->to - c->from;

	if (len == 0)
		return 0;
	c->bytes += len;
	return c->range ? c->range(c->arg, c->from, len, e) : 0;
}

/* [off, end) differs. */
static int differ(struct comparing *c, uint64_t off, uint64_t end, uint64_t size, struct err *e)
{
	off -= off % COMPARE_PAGE;
	if (end % COMPARE_PAGE && COMPARE_PAGE - end % COMPARE_PAGE <= size - end)
		end += COMPARE_PAGE - end % COMPARE_PAGE;
	else if (end % COMPARE_PAGE)
		end = size;
	if (c->to > c->from && off <= c->to) {
		c->to = end > c->to ? end : c->to;
		return 0;
	}
	if (flush(c, e) < 0)
		return -1;
	c->from = off;
	c->to = end;
	return 0;
}

/* The bytes of a stretch, NULL: zeros. *ret_chunk is to be put back. */
static int side_bytes(struct side *s, struct chunk **ret_chunk, const uint8_t **ret, struct err *e)
{
	const struct browse *b = s->at.t.browse;
	const uint8_t *plain;

	*ret = NULL;
	*ret_chunk = NULL;
	if (!s->left.data)
		return 0;
	if (chunks_get(b->shared.chunks, b->domain, &s->left.ref, ret_chunk, &plain, e) < 0)
		return -1;
	*ret = plain + s->left.chunk_off;
	return 0;
}

static bool same_piece(const uint8_t *x, const uint8_t *y, size_t n)
{
	const uint8_t *p = x ? x : y;

	if (x && y)
		return memcmp(x, y, n) == 0;
	return !p || n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* n bytes of both, of which at least one is data. */
static int compare_bytes(struct comparing *c, uint64_t n, uint64_t size, struct err *e)
{
	const struct browse *b = c->a.at.t.browse;
	struct chunk *ka = NULL;
	struct chunk *kb = NULL;
	const uint8_t *x;
	const uint8_t *y;
	uint64_t off = c->a.left.off;
	int rc = 0;

	if (!b->shared.chunks)
		return differ(c, off, off + n, size, e);
	if (side_bytes(&c->a, &ka, &x, e) < 0 || side_bytes(&c->b, &kb, &y, e) < 0)
		rc = -1;
	for (uint64_t at = 0; rc == 0 && at < n;) {
		uint64_t len = COMPARE_PAGE - (off + at) % COMPARE_PAGE;

		if (len > n - at)
			len = n - at;
		if (!same_piece(x ? x + at : NULL, y ? y + at : NULL, len))
			rc = differ(c, off + at, off + at + len, size, e);
		at += len;
	}
	if (ka)
		chunks_put(b->shared.chunks, ka);
	if (kb)
		chunks_put(c->b.at.t.browse->shared.chunks, kb);
	return rc;
}

static bool same_place(const struct span *a, const struct span *b)
{
	if (!a->data && !b->data)
		return true;
	return a->data && b->data && a->chunk_off == b->chunk_off && a->ref.plain == b->ref.plain &&
	       memcmp(a->ref.id, b->ref.id, sizeof(a->ref.id)) == 0;
}

static int run(struct comparing *c, struct err *e)
{
	const uint64_t size = c->a.at.size > c->b.at.size ? c->a.at.size : c->b.at.size;

	for (;;) {
		if (cancel_check(c->a.at.t.browse->shared.repo->cancel, e) < 0 ||
		    side_fill(&c->a, e) < 0 || side_fill(&c->b, e) < 0)
			return -1;
		if (c->a.end || c->b.end)
			break;
		const uint64_t n = c->a.left.len < c->b.left.len ? c->a.left.len : c->b.left.len;
		if (!same_place(&c->a.left, &c->b.left) && compare_bytes(c, n, size, e) < 0)
			return -1;
		side_pass(&c->a, n);
		side_pass(&c->b, n);
	}
	const uint64_t common = c->a.at.size < c->b.at.size ? c->a.at.size : c->b.at.size;
	if (common < size && differ(c, common, size, size, e) < 0)
		return -1;
	return flush(c, e);
}

int compare_files(const struct compare_file *a, const struct compare_file *b,
                  compare_range_fn *range, void *arg, uint64_t *ret_bytes, struct err *e)
{
	struct comparing c = {
		.a.at = ALONG(a->point),
		.b.at = ALONG(b->point),
		.range = range,
		.arg = arg,
	};
	int rc = -1;

	if (along_begin(&c.a.at, a->number, 0, e) == 0 &&
	    along_begin(&c.b.at, b->number, 0, e) == 0)
		rc = run(&c, e);
	along_clear(&c.a.at);
	along_clear(&c.b.at);
	*ret_bytes = c.bytes;
	return rc;
}
