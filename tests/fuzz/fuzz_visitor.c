/* SPDX-License-Identifier: Apache-2.0 */
/* Authorization and Host of anybody: a token is of its characters alone, a host is ours or not. */
#include <strings.h>

#include "common/visitor.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char token[VISITOR_TOKEN_MAX];
	struct err e = ERR_INIT;

	auto_free char *text = fuzz_text(data, size);
	if (visitor_token(text, token, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID) | FUZZ_CLASS(ERR_TOO_BIG));
	} else {
		char header[VISITOR_TOKEN_MAX + 8];
		const size_t n = strlen(token);

		holds(n > 0 && n < sizeof(token));
		for (size_t i = 0; i < n; i++)
			holds(token[i] > ' ' && token[i] < 0x7f && token[i] != '"');
		/* It is the same as a bearer token. */
		(void)snprintf(header, sizeof(header), "Bearer %s", token);
		works(visitor_token(header, token, &e));
		holds(strcmp(header + 7, token) == 0);
	}
	const bool ours = visitor_host(text, NULL);
	/* Further names take nothing away, and a name that is given is one. */
	if (ours)
		holds(visitor_host(text, "other.example"));
	if (!ours && visitor_host(text, "other.example"))
		holds(strncasecmp(text, "other.example", 13) == 0);
	return 0;
}
