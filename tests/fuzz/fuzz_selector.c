/* SPDX-License-Identifier: Apache-2.0 */
/* Label selectors as a line: what is taken has rules with keys, and values where they belong. */
#include "common/selector.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[4096];
	struct err e = ERR_INIT;
	CLEANUP(selector_clear) struct selector s = { .n = 0 };

	if (size >= sizeof(text))
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if (selector_parse("selector", text, &s, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID));
		return 0;
	}
	holds(s.n <= SELECTOR_RULES_MAX);
	for (size_t i = 0; i < s.n; i++) {
		const struct selector_rule *r = &s.rules[i];

		holds(selector_key_ok(r->key) && r->n <= SELECTOR_VALUES_MAX);
		holds((r->n > 0) == (r->op == SELECTOR_IN || r->op == SELECTOR_NOT_IN));
	}
	/* Without labels, what asks for one does not fit. */
	bool asks = false;
	for (size_t i = 0; i < s.n; i++)
		asks |= s.rules[i].op == SELECTOR_IN || s.rules[i].op == SELECTOR_EXISTS;
	holds(selector_fits(&s, NULL) == !asks);
	return 0;
}
