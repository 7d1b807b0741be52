/* SPDX-License-Identifier: Apache-2.0 */
/* Prices as a person writes them. */
#include "catalog/prices.h"

#include "common/json.h"
#include "common/yaml.h"
#include "tests/harness/store_kit.h"

static int read_text(const char *text, struct report_prices *ret, struct err *e)
{
	auto_json json_t *o = yaml_parse("prices", text, strlen(text), e);

	return o && prices_read(o, ret, e) < 0 ? err_wrap(e, "prices 'p.yaml'") : o ? 0 : -1;
}

static void test_prices_read__takes_what_is_there(void **state)
{
	static const char text[] =
		"currency: EUR\nstorageGibMonth: 0.0184\nreadGib: 1\ncopies: 2\n";
	auto_json json_t *o = NULL;
	struct report_prices p;
	struct err why = ERR_INIT;

	(void)state;
	o = yaml_parse("prices", text, sizeof(text) - 1, &why);
	ok(prices_read(o, &p, e));
	assert_string_equal(p.currency, "EUR");
	assert_true(p.storage_gib_month == 0.0184);
	assert_true(p.read_gib == 1.0);
	assert_int_equal(p.copies, 2);
}

static void test_prices_read__names_what_is_wrong(void **state)
{
	struct report_prices p;

	(void)state;
	fails_saying(ERR_INVALID, "currency", read_text("storageGibMonth: 1\n", &p, e));
	fails_saying(ERR_INVALID, "storageGibMonth", read_text("currency: EUR\n", &p, e));
	fails_saying(ERR_INVALID, "expected a number from 0",
	             read_text("currency: EUR\nstorageGibMonth: -1\n", &p, e));
	fails_saying(ERR_INVALID, "expected a number from 0",
	             read_text("currency: EUR\nstorageGibMonth: '1'\n", &p, e));
	fails_saying(ERR_INVALID, "copies",
	             read_text("currency: EUR\nstorageGibMonth: 1\ncopies: 0\n", &p, e));
	fails_saying(ERR_INVALID, "readGib",
	             read_text("currency: EUR\nstorageGibMonth: 1\nreadGb: 0\n", &p, e));
	fails(ERR_INVALID, read_text("[]", &p, e));
}

static void test_prices_load__file_that_is_not_there(void **state)
{
	auto_json json_t *o = NULL;
	struct report_prices p;

	(void)state;
	fails(ERR_NOT_FOUND, prices_load("/nothing/here", &p, &o, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prices_read__takes_what_is_there),
		cmocka_unit_test(test_prices_read__names_what_is_wrong),
		cmocka_unit_test(test_prices_load__file_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
