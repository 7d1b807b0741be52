/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restore points: what decodes can be written, comes back as the same text, and
 * goes into a catalog.
 */
#include "catalog/row.h"
#include "repo/point.h"
#include "tests/fuzz/fuzz_catalog.h"

/* A row that cannot be would end every sync there. */
static void into_catalog(const struct point *p)
{
	static struct catalog *c;
	CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };
	struct err e = ERR_INIT;

	if (!c)
		c = fuzz_catalog_new("catalog.db");
	works(catalog_tx_begin(&tx, c, &e));
	int added = row_add_point(c, p, "0123456789abcdef", &e);
	if (added < 0)
		(void)fprintf(stderr, "%s\n", e.msg);
	holds(added == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(buf_clear) struct buf once = BUF_INIT(4 * FORMAT_POINT_MAX);
	CLEANUP(buf_clear) struct buf twice = BUF_INIT(4 * FORMAT_POINT_MAX);
	CLEANUP(point_clear) struct point p = { 0 };
	CLEANUP(point_clear) struct point q = { 0 };
	struct err e = ERR_INIT;

	if (point_decode(data, size, &p, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT));
		return 0;
	}
	into_catalog(&p);
	works(point_encode(&p, &once, &e));
	if (once.len > FORMAT_POINT_MAX)
		return 0; /* other escapes may make it longer */
	works(point_decode(once.data, once.len, &q, &e));
	works(point_encode(&q, &twice, &e));
	holds(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
	holds(point_session_valid(p.session) && p.sequence > 0 && p.volume.name[0] && p.domain[0]);
	holds(p.nproblems <= POINT_PROBLEMS_MAX && p.levels >= 1 && p.levels <= FORMAT_LEVELS_MAX);
	return 0;
}
