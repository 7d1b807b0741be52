/* SPDX-License-Identifier: Apache-2.0 */
/* Content of files in browse.h: from a place in a file to stretches, and from those to chunks. */
#include <string.h>

#include "restore/along.h"

#define SPANS_MAX 64 /* pieces of one read that are looked at together */

/* Up to max stretches of [off, end), which lies within the file. How many, or -1. */
static int64_t gather(struct browse *b, uint64_t number, uint64_t off, uint64_t end,
                      struct span *spans, size_t max, uint64_t *ret_size, struct err *e)
{
	auto_along struct along a = ALONG(b);
	size_t n = 0;

	if (along_begin(&a, number, off, e) < 0)
		return -1;
	*ret_size = a.size;
	if (end > a.size)
		end = a.size;
	for (uint64_t at = off; n < max && at < end;) {
		int more = along_next(&a, &spans[n], e);

		if (more < 0)
			return -1;
		if (more == 0)
			return along_broken(&a, e);
		if (along_cut(&spans[n], off, end))
			at = spans[n].off + spans[n].len, n++;
	}
	return (int64_t)n;
}

/* Asks for the chunks of the stretches, each once. */
static void fetch_spans(struct browse *b, const struct span *spans, size_t n)
{
	struct chunk_ref refs[SPANS_MAX];
	size_t nrefs = 0;

	for (size_t i = 0; i < n; i++) {
		bool known = !spans[i].data;

		/* Pieces of one chunk are neighbours, or nearly. */
		for (size_t k = nrefs; !known && k > 0 && k + 4 > nrefs; k--)
			known = memcmp(refs[k - 1].id, spans[i].ref.id, FORMAT_ID_BYTES) == 0;
		if (!known)
			refs[nrefs++] = spans[i].ref;
	}
	if (nrefs > 0)
		chunks_ahead(b->shared.chunks, b->domain, refs, nrefs);
}

static int copy_span(struct browse *b, const struct span *s, uint8_t *to, struct err *e)
{
	struct chunk *k;
	const uint8_t *plain;

	if (!s->data) {
		memset(to, 0, s->len);
		return 0;
	}
	if (chunks_get(b->shared.chunks, b->domain, &s->ref, &k, &plain, e) < 0)
		return -1;
	memcpy(to, plain + s->chunk_off, s->len);
	chunks_put(b->shared.chunks, k);
	return 0;
}

int browse_read(struct browse *b, uint64_t number, uint64_t off, void *p, size_t n, size_t *ret,
                struct err *e)
{
	struct span spans[SPANS_MAX];
	size_t done = 0;

	while (done < n) {
		uint64_t size = 0;
		uint64_t at = off + done;
		int64_t got = gather(b, number, at, off + n, spans, SPANS_MAX, &size, e);

		if (got < 0)
			return -1;
		if (got == 0)
			break;
		/* In order, so what is needed first is asked for first. */
		if (got > 1)
			fetch_spans(b, spans, (size_t)got);
		for (int64_t i = 0; i < got; i++) {
			if (copy_span(b, &spans[i], (uint8_t *)p + done, e) < 0)
				return -1;
			done += spans[i].len;
		}
	}
	*ret = done;
	return 0;
}

int browse_seek(struct browse *b, uint64_t number, uint64_t off, bool hole, bool *ret_found,
                uint64_t *ret, struct err *e)
{
	auto_along struct along a = ALONG(b);
	struct span s;
	int more;

	*ret_found = false;
	if (along_begin(&a, number, off, e) < 0)
		return -1;
	while ((more = along_next(&a, &s, e)) > 0) {
		if (cancel_check(b->shared.repo->cancel, e) < 0)
			return -1;
		if (s.hole != hole || !along_cut(&s, off, a.size))
			continue;
		*ret_found = true;
		*ret = s.off;
		return 0;
	}
	if (more < 0)
		return -1;
	*ret_found = hole;
	*ret = a.size;
	return 0;
}

void browse_fetch(struct browse *b, uint64_t number, uint64_t off, uint64_t n)
{
	struct span spans[SPANS_MAX];
	struct err ignored = ERR_INIT;
	uint64_t size = 0;

	if (n > UINT64_MAX - off)
		return;
	int64_t got = gather(b, number, off, off + n, spans, SPANS_MAX, &size, &ignored);
	if (got > 0)
		fetch_spans(b, spans, (size_t)got);
}
