/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressed chunks. The first three bytes say how: the length that the frame
 * (what follows) is to expand to, or the level at which what follows is
 * compressed and expanded again.
 */
#include "repo/compress.h"
#include "repo/format.h"
#include "tests/fuzz/fuzz.h"

#define FRAME_MAX (64 * KIB)

static void expand(struct compress *z, const uint8_t *p, size_t n, size_t plain)
{
	auto_free uint8_t *out = malloc(plain + 1);

	holds(out);
	out[plain] = 0xa5;
	(void)compress_expand(z, p, n, out, plain);
	holds(out[plain] == 0xa5);
}

static void there_and_back(struct compress *z, int level, const uint8_t *p, size_t n)
{
	size_t cap = compress_bound(n);
	auto_free uint8_t *frame = malloc(cap);
	auto_free uint8_t *back = malloc(n);

	holds(frame && back);
	size_t len = compress_chunk(z, level, p, n, frame, cap);
	holds(len < n || len == 0);
	if (len == 0)
		return;
	holds(compress_expand(z, frame, len, back, n) == 0 && memcmp(back, p, n) == 0);
	holds(compress_expand(z, frame, len, back, n - 1) < 0);
	holds(compress_expand(z, frame, len - 1, back, n) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct compress *z;

	if (!z)
		z = compress_new();
	holds(z);
	if (size < 4 || size > FRAME_MAX)
		return 0;
	if (data[2] & 1)
		there_and_back(z, data[0] % 6, data + 3, size - 3);
	else
		expand(z, data + 3, size - 3, (size_t)(data[0] | data[1] << 8) + 1);
	return 0;
}
