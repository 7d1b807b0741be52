/* SPDX-License-Identifier: Apache-2.0 */
/* Rules and prices: what is taken is within its limits, what is not says its field. */
#include "catalog/comply.h"

#include <string.h>

#include "catalog/prices.h"
#include "common/yaml.h"
#include "tests/fuzz/fuzz.h"

static void check(const struct comply_rules *r)
{
	static const struct comply_facts f = { .volume = "c/n/v",
		                               .cluster = "c",
		                               .namespace = "n",
		                               .name = "v",
		                               .session = "s",
		                               .consistency = "crash",
		                               .signer = "k",
		                               .check_run = "",
		                               .drill_run = "",
		                               .frozen_ns = 1 };

	holds(*r->name && r->nsets > 0 && r->nsets <= COMPLY_SETS_MAX);
	holds(r->nexceptions <= COMPLY_EXCEPTIONS_MAX);
	for (size_t i = 0; i < r->nsets; i++) {
		(void)comply_selects(&r->sets[i], &f);
		for (unsigned w = 0; w < COMPLY_WHATS; w++) {
			struct comply_row row;

			holds(r->sets[i].wants[w] >= 0);
			if (r->sets[i].wants[w] == 0)
				continue;
			comply_judge(r, &r->sets[i], w, &f, INT64_C(1795305600000000000), &row);
			holds((row.state == COMPLY_EXCEPTED) == (row.exception != NULL));
			holds((row.state == COMPLY_PASS) == !*row.why);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	auto_comply_rules struct comply_rules *r = NULL;
	struct report_prices prices;

	if (size > 16 * KIB)
		return 0;
	auto_json json_t *document = yaml_parse("fuzz", data, size, &e);
	if (!document)
		return 0;
	if (comply_read(document, &r, &e) < 0)
		fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID));
	else
		check(r);
	struct err why = ERR_INIT;
	if (prices_read(document, &prices, &why) < 0)
		fuzz_refused(&why, FUZZ_CLASS(ERR_INVALID));
	else
		holds(prices.currency && prices.storage_gib_month >= 0 && prices.copies > 0);
	return 0;
}
