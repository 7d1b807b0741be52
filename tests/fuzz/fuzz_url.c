/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs of stores. What opens is what it says, and of what does not open a
 * message repeats no more than the scheme, since the rest may hold a secret:
 * but for file: and mem:, which have none, for plain paths, and for object
 * stores (fuzz_place.c).
 */
#include "store/store.h"
#include "tests/fuzz/fuzz.h"

#define SECRET "s3cr3t"

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *url = fuzz_text(data, size);
	struct err e = ERR_INIT;

	/* memory stores are kept until the process ends, so there may not be many */
	if (strncmp(url, "mem:", 4) == 0 && strlen(url) > 5 && strlen(url) < 256 + 5)
		return 0;
	auto_store struct store *s = store_open(url, STORE_READONLY, &e);
	if (s) {
		holds(begins(url, "mem:") || begins(url, "file:///") || begins(url, "azure://") ||
		      begins(url, "s3://"));
		holds(!(s->caps & STORE_CAP_WRITE) && s->url && *s->url);
		return 0;
	}
	fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID) | FUZZ_CLASS(ERR_NOT_FOUND) |
	                         FUZZ_CLASS(ERR_DENIED) | FUZZ_CLASS(ERR_TOO_BIG) |
	                         FUZZ_CLASS(ERR_FORMAT) | FUZZ_CLASS(ERR_IO));
	if (*url != '/' && !begins(url, "mem:") && !begins(url, "file:") &&
	    !begins(url, "azure:") && !begins(url, "s3:")) {
		size_t scheme = strcspn(url, ":");
		const char *secret = strstr(url, SECRET);

		holds(!secret || (size_t)(secret - url) < scheme || !strstr(e.msg, SECRET));
	}
	return 0;
}
