/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs of object stores. What is taken is taken apart without a loss, and has only parameters that
 * are known; of a parameter that is refused no value is repeated.
 */
#include "store/place.h"

#include "tests/fuzz/fuzz.h"

#define SECRET "s3cr3t"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const known[] = { "endpoint", "tier", "lock", "ca", NULL };
	auto_free char *url = fuzz_text(data, size);
	auto_free char *text = strdup(url);
	auto_place struct place p = { 0 };
	struct err e = ERR_INIT;
	unsigned n = 0;

	holds(text);
	if (place_unescape(text))
		holds(strlen(text) <= strlen(url));
	if (place_parse(url, known, &p, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID));
		/* names and the plain part of a URL may be repeated, a value never */
		const char *value = strchr(url, '=');
		holds(!value || !strstr(value, SECRET) || strstr(url, SECRET) < value ||
		      !strstr(e.msg, SECRET) || strstr(e.msg, "is no parameter that"));
		return 0;
	}
	size_t plain = strcspn(url, "?");
	holds(strncmp(url, p.plain, strlen(p.plain)) == 0 && strlen(p.plain) <= plain);
	holds(*p.host && !strchr(p.host, '/'));
	holds(p.rest[0] != '/' && (!*p.rest || p.rest[strlen(p.rest) - 1] != '/'));
	holds(!p.settings);
	for (size_t i = 0; known[i]; i++)
		n += place_param(&p, known[i]) != NULL;
	holds(n == p.nparams);
	for (unsigned i = 0; i < p.nparams; i++)
		holds(*p.params[i].value);
	return 0;
}
