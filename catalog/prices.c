/* SPDX-License-Identifier: Apache-2.0 */
/* See prices.h. */
#include "catalog/prices.h"

#include <fcntl.h>
#include <math.h>

#include "common/fields.h"
#include "common/yaml.h"

#define PRICE_MAX 1e6
#define COPIES_MAX 100
#define CURRENCY_MAX 16

static int price(const struct fields *f, const char *key, double *ret, struct err *e)
{
	const json_t *x = f->o ? json_object_get(f->o, key) : NULL;
	const double v = json_number_value(x);

	if (!x || json_is_null(x))
		return 0;
	if (!json_is_number(x) || !isfinite(v) || v < 0 || v > PRICE_MAX)
		return fields_bad(f, key, e, "expected a number from 0 to %.0f", PRICE_MAX);
	*ret = v;
	return 0;
}

int prices_read(const json_t *document, struct report_prices *ret, struct err *e)
{
	static const char *const known[] = { "currency", "storageGibMonth", "readGib", "copies",
		                             NULL };
	struct report_prices p = { .copies = 1 };
	struct fields f;

	if (fields_of(&f, document, "", known, e) < 0 || fields_need(&f, "currency", e) < 0 ||
	    fields_text(&f, "currency", 1, CURRENCY_MAX, &p.currency, e) < 0 ||
	    fields_need(&f, "storageGibMonth", e) < 0 ||
	    price(&f, "storageGibMonth", &p.storage_gib_month, e) < 0 ||
	    price(&f, "readGib", &p.read_gib, e) < 0 ||
	    fields_number(&f, "copies", 1, COPIES_MAX, &p.copies, e) < 0)
		return -1;
	*ret = p;
	return 0;
}

int prices_load(const char *path, struct report_prices *ret, json_t **ret_document, struct err *e)
{
	auto_json json_t *o = yaml_load(path, e);

	if (!o)
		return err_wrap(e, "the prices '%s'", path);
	if (prices_read(o, ret, e) < 0)
		return err_wrap(e, "prices '%s'", path);
	*ret_document = STEAL(&o);
	return 0;
}
