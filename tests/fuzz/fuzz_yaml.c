/* SPDX-License-Identifier: Apache-2.0 */
/* YAML: what is read is written as JSON, which is YAML too and reads as the same value. */
#include "common/yaml.h"
#include "tests/fuzz/fuzz.h"

static int each(void *arg, const json_t *document, size_t line, struct err *e_each)
{
	CLEANUP(buf_clear) struct buf once = BUF_INIT(8 * MIB);
	struct err e = ERR_INIT;
	size_t *last = arg;

	(void)e_each;
	holds(line > 0 && line >= *last && !json_is_null(document));
	*last = line;
	works(json_write(document, &once, &e));
	/* JSON's DEL and long keys are no YAML; all else is. */
	auto_json json_t *again = yaml_parse("again", once.data, once.len, &e);
	if (again)
		holds(json_equal(again, document));
	else
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	size_t last = 0;

	if (size > 16 * KIB)
		return 0;
	if (yaml_each("fuzz", data, size, each, &last, &e) < 0)
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT));
	return 0;
}
