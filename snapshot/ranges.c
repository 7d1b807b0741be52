/* SPDX-License-Identifier: Apache-2.0 */
/* An array that grows at its end, and a binary search in it. */
#include "snapshot/ranges.h"

#include <assert.h>

struct ranges *ranges_new(void)
{
	return calloc(1, sizeof(struct ranges));
}

void ranges_free(struct ranges *r)
{
	if (!r)
		return;
	free(r->v);
	free(r);
}

int ranges_add(struct ranges *r, uint64_t start, uint64_t end)
{
	struct range *last = r->n > 0 ? &r->v[r->n - 1] : NULL;

	if (start >= end)
		return 0;
	assert(!last || start >= last->start);
	if (last && start <= last->end) {
		last->end = end > last->end ? end : last->end;
		return 0;
	}
	if (r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 16;
		struct range *v = reallocarray(r->v, cap, sizeof(*v));

		if (!v)
			return -1;
		r->v = v;
		r->cap = cap;
	}
	r->v[r->n++] = (struct range){ .start = start, .end = end };
	return 0;
}

int ranges_add_tail(struct ranges *r, uint64_t start, uint64_t end)
{
	while (r->n > 0 && r->v[r->n - 1].start >= start)
		r->n--;
	if (r->n > 0 && r->v[r->n - 1].end > start)
		r->v[r->n - 1].end = start;
	return ranges_add(r, start, end);
}

uint64_t ranges_bytes(const struct ranges *r)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < r->n; i++)
		sum += r->v[i].end - r->v[i].start;
	return sum;
}

void ranges_next(const struct ranges *r, uint64_t off, uint64_t size, uint64_t *ret_start,
                 uint64_t *ret_end)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r->v[mid].end > off)
			high = mid;
		else
			low = mid + 1;
	}
	*ret_start = *ret_end = size;
	if (low == r->n || r->v[low].start >= size || off >= size)
		return;
	*ret_start = r->v[low].start > off ? r->v[low].start : off;
	*ret_end = r->v[low].end < size ? r->v[low].end : size;
}
