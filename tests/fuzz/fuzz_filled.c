/* SPDX-License-Identifier: Apache-2.0 */
/* What a mover tells of a volume that it filled: read from a pod's status. */
#include "restore/filled.h"

#include "tests/fuzz/fuzz.h"

static bool is_line(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	struct filled f;

	if (size > 16 * KIB)
		return 0;
	auto_free char *text = fuzz_text(data, size);
	if (filled_read(text, &f, &e) < 0) {
		fuzz_refused(&e, ~FUZZ_CLASS(ERR_NONE));
		holds(is_line(e.msg));
		return 0;
	}
	holds(f.npaths <= FILLED_PATHS);
	holds(f.partial == (*f.why != '\0'));
	holds(is_line(f.why));
	for (size_t i = 0; i < f.npaths; i++)
		holds(is_line(f.paths[i]) && strlen(f.paths[i]) <= FILLED_PATH_MAX);
	return 0;
}
