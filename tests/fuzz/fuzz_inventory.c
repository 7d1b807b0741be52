/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inventories: the items of a record as text, and objects of an API server that become items. The
 * first byte says which; behind it objects are lines of JSON.
 */
#include "agent/coverage.h"

#include <string.h>

#include "common/json.h"
#include "tests/fuzz/fuzz.h"

/* What is taken is written as it was, but for members that nobody knows, and read again. */
static void read_items(const uint8_t *p, size_t n)
{
	CLEANUP(inventory_clear) struct inventory v = { .n = 0 };
	CLEANUP(inventory_clear) struct inventory again = { .n = 0 };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(INVENTORY_PLAIN_MAX);
	struct err e = ERR_INIT;

	if (inventory_decode("items", p, n, &v, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT));
		return;
	}
	works(inventory_encode(&v, &b, &e));
	works(inventory_settle(&v, INVENTORY_ITEMS_MAX, &e));
	if (inventory_decode("again", b.data, b.len, &again, &e) == 0)
		holds(again.n == v.n);
}

static void read_objects(const uint8_t *p, size_t n)
{
	CLEANUP(inventory_clear) struct inventory v = { .n = 0 };
	struct err e = ERR_INIT;
	auto_world struct world *w = world_new("aksdr", NULL, &e);
	auto_coverage struct coverage *c = coverage_new();

	holds(w && c);
	for (unsigned i = 0; n > 0; i++) {
		const uint8_t *end = memchr(p, '\n', n);
		const size_t line = end ? (size_t)(end - p) : n;
		struct err why = ERR_INIT;
		auto_json json_t *o = json_parse("object", p, line, &why);

		if (o && i % 4 == 3)
			world_put(w, WORLD_CLAIMS, o, 1);
		else if (o)
			coverage_put(c, (enum coverage_kind)(i % 4), o);
		p += end ? line + 1 : line;
		n -= end ? line + 1 : line;
	}
	works(coverage_make(c, w, &v, &e));
	holds(strlen(v.digest) == 64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 1)
		read_objects(data + 1, size - 1);
	else
		read_items(data + 1, size - 1);
	return 0;
}
