/* SPDX-License-Identifier: Apache-2.0 */
/* Index segments: what decodes holds only places inside their packs, in order. */
#include <stdlib.h>
#include <string.h>

#include "repo/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct segment_view v;
	struct chunk_ref before = { 0 };
	struct err e = ERR_INIT;

	if (segment_decode(data, size, &v, &e) < 0) {
		if (e.class != ERR_FORMAT)
			abort();
		return 0;
	}
	for (uint32_t i = 0; i < v.nentries; i++) {
		struct chunk_ref r;

		segment_view_ref(&v, i, &r);
		if (r.plain == 0 || r.plain > FORMAT_CHUNK_MAX || r.stored <= FORMAT_TAG_BYTES ||
		    (uint64_t)r.off + r.stored > FORMAT_PACK_MAX)
			abort();
		if (i > 0 && memcmp(before.id, r.id, sizeof(r.id)) >= 0)
			abort();
		before = r;
	}
	return 0;
}
