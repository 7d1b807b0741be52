/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal and base64: what decodes encodes to the same text. */
#include <strings.h>

#include "common/hex.h"
#include "tests/fuzz/fuzz.h"

#define BYTES_MAX 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t bytes[BYTES_MAX + 1];
	char text[2 * BYTES_MAX + 4];

	if (size > 2 * BYTES_MAX)
		return 0;
	auto_free char *given = fuzz_text(data, size);
	size_t len = strlen(given);
	bytes[len / 2] = 0xa5;
	if (hex_decode(bytes, len / 2, given) == 0) {
		hex_encode(text, bytes, len / 2);
		holds(strcasecmp(text, given) == 0);
	}
	holds(bytes[len / 2] == 0xa5);
	for (size_t n = len / 4 * 3 > 2 ? len / 4 * 3 - 2 : 0; n <= len / 4 * 3 && n < BYTES_MAX;
	     n++) {
		bytes[n] = 0xa5;
		if (base64_decode(bytes, n, given) == 0) {
			holds(base64_encode(text, sizeof(text), bytes, n) == 0);
			holds(strcmp(text, given) == 0);
		}
		holds(bytes[n] == 0xa5);
	}
	return 0;
}
