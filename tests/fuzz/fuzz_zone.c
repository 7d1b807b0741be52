/* SPDX-License-Identifier: Apache-2.0 */
/* Files of time zones: the spans of what is taken meet each other, as far as one can look. */
#include "common/zone.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int64_t starts[] = { INT64_MIN, -2208988800, 0, 1795305600, 40000000000 };
	struct err e = ERR_INIT;
	struct zone *z = NULL;

	if (zone_parse("Fuzz/Zone", data, size, &z, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT));
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		struct zone_span s = zone_at(z, starts[i]);

		holds(s.offset_s >= -ZONE_OFFSET_MAX && s.offset_s <= ZONE_OFFSET_MAX);
		for (int j = 0; j < 20 && s.to_s != INT64_MAX && s.to_s < INT64_C(1) << 50; j++) {
			const struct zone_span next = zone_at(z, s.to_s);

			holds(next.from_s == s.to_s && next.to_s > next.from_s);
			s = next;
		}
	}
	zone_free(z);
	return 0;
}
