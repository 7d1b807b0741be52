/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names with any bytes, made fit for people, logs, JSON and CSV: what comes
 * out is UTF-8 without control characters, and of the exact forms the name can
 * be told again.
 */
#include "common/json.h"
#include "common/text.h"
#include "tests/fuzz/fuzz.h"

static const char *escaped(struct buf *b, const char *text, enum text_mode mode)
{
	holds(text_put(b, text, mode) == 0);
	const char *s = buf_cstr(b);
	for (const char *at = s; *at; at++)
		holds(mode == TEXT_CSV_EXACT || ((uint8_t)*at >= 0x20 && *at != 0x7f));
	return s;
}

/* Undoes \xNN. */
static size_t unescape(const char *s, uint8_t *ret)
{
	size_t n = 0;

	while (*s) {
		unsigned v = 0;

		if (s[0] != '\\' || s[1] != 'x') {
			ret[n++] = (uint8_t)*s++;
			continue;
		}
		holds(sscanf(s + 2, "%2x", &v) == 1);
		ret[n++] = (uint8_t)v;
		s += 4;
	}
	return n;
}

static void exact(const char *text, const char *form)
{
	auto_free uint8_t *back = malloc(strlen(form) + 1);

	holds(back);
	holds(unescape(form, back) == strlen(text) && memcmp(back, text, strlen(text)) == 0);
}

/* The text of a JSON string. */
static void json(const char *text, enum text_mode mode)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	struct err e = ERR_INIT;

	(void)buf_u8(&b, '[');
	(void)buf_u8(&b, '"');
	(void)escaped(&b, text, mode);
	(void)buf_str(&b, "\"]");
	auto_json json_t *j = json_parse("text", b.data, b.len, &e);
	const char *s = json_string_value(json_array_get(j, 0));
	holds(s);
	if (mode == TEXT_JSON_EXACT)
		exact(text, s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(buf_clear) struct buf once = BUF_INIT(MIB);
	CLEANUP(buf_clear) struct buf twice = BUF_INIT(MIB);
	CLEANUP(buf_clear) struct buf quoted = BUF_INIT(MIB);
	CLEANUP(buf_clear) struct buf csv = BUF_INIT(MIB);
	auto_free char *text = fuzz_text(data, size);

	if (size > 32 * KIB)
		return 0;
	const char *line = escaped(&once, text, TEXT_LINE);
	holds(strcmp(escaped(&twice, line, TEXT_LINE), line) == 0);
	(void)escaped(&quoted, text, TEXT_QUOTED);
	exact(text, escaped(&csv, text, TEXT_CSV_EXACT));
	json(text, TEXT_JSON);
	json(text, TEXT_JSON_EXACT);
	return 0;
}
