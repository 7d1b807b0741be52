/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of object stores: a byte that chooses the form and where the document is torn, then the
 * document. What is read does not depend on the tear; keys are keys, and ascend.
 */
#include "store/xml.h"
#include "tests/fuzz/fuzz.h"

static const struct xml_form *const forms[] = {
	&xml_azure_list, &xml_s3_list, &xml_azure_stats, &xml_s3_upload, &xml_sts, &xml_errors,
};

/* All that can be learned of a document, as one text in b; the class of its failure. */
static enum err_class learn(const struct xml_form *form, const uint8_t *p, size_t n, size_t step,
                            struct buf *b)
{
	char last[STORE_KEY_MAX + 1] = "";
	struct store_item item;
	struct err e = ERR_INIT;
	int r = 0;

	auto_xml struct xml *x = xml_new(form, "p/", &e);
	holds(x);
	for (size_t at = 0; at < n && r == 0; at += step)
		r = xml_feed(x, p + at, n - at < step ? n - at : step, &e);
	if (r < 0 || xml_end(x, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT) | FUZZ_CLASS(ERR_TOO_BIG));
		return e.class;
	}
	for (unsigned i = 0; i < XML_TEXTS; i++) {
		const char *text = xml_text(x, i);

		if (text)
			(void)buf_printf(b, "%u=%s\n", i, text);
	}
	while ((r = xml_next(x, &item, &e)) > 0) {
		holds(store_key_valid(item.key) && strcmp(item.key, last) > 0);
		holds(item.st.received_ns >= 0);
		memcpy(last, item.key, sizeof(last));
		(void)buf_printf(b, "%s %llu %lld\n", item.key, (unsigned long long)item.st.size,
		                 (long long)item.st.received_ns);
	}
	if (r < 0)
		fuzz_refused(&e, FUZZ_CLASS(ERR_UNSUPPORTED));
	return e.class;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(buf_clear) struct buf whole = BUF_INIT(8 * MIB);
	CLEANUP(buf_clear) struct buf torn = BUF_INIT(8 * MIB);

	if (size < 1 || size > 64 * KIB)
		return 0;
	const struct xml_form *form = forms[data[0] % ARRAY_LEN(forms)];
	size_t step = data[0] / ARRAY_LEN(forms) + 1;
	enum err_class class = learn(form, data + 1, size - 1, size, &whole);
	holds(learn(form, data + 1, size - 1, step, &torn) == class);
	holds(whole.len == torn.len &&
	      (whole.len == 0 || memcmp(whole.data, torn.data, whole.len) == 0));
	const struct xml_error error = xml_error_of((const char *)data + 1, size - 1);
	for (const char *s = error.message; *s; s++)
		holds((uint8_t)*s >= 0x20 && *s != 0x7f);
	return 0;
}
