/* SPDX-License-Identifier: Apache-2.0 */
/* Restore points: what decodes can be written, and comes back as the same text. */
#include <stdlib.h>
#include <string.h>

#include "repo/point.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(buf_clear) struct buf once = BUF_INIT(4 * FORMAT_POINT_MAX);
	CLEANUP(buf_clear) struct buf twice = BUF_INIT(4 * FORMAT_POINT_MAX);
	CLEANUP(point_clear) struct point p = { 0 };
	CLEANUP(point_clear) struct point q = { 0 };
	struct err e = ERR_INIT;

	if (point_decode(data, size, &p, &e) < 0) {
		if (e.class != ERR_FORMAT)
			abort();
		return 0;
	}
	if (point_encode(&p, &once, &e) < 0)
		abort();
	if (once.len > FORMAT_POINT_MAX)
		return 0; /* other escapes may make it longer */
	if (point_decode(once.data, once.len, &q, &e) < 0 || point_encode(&q, &twice, &e) < 0 ||
	    once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0)
		abort();
	return 0;
}
