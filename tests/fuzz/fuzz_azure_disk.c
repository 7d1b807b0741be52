/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a managed disk's services answer: a byte that chooses, then a list of pages (torn by the
 * byte's rest; what is read does not depend on it), or JSON of the resource manager: of a snapshot,
 * or of an operation, whose URL is one that a signature may be sent to.
 */
#include "snapshot/azure_arm.h"
#include "snapshot/azure_pages.h"
#include "tests/fuzz/fuzz.h"

#define DISK (UINT64_C(1) << 40)

/* All that a list says, as one text in b; the class of its failure. */
static enum err_class learn(const uint8_t *p, size_t n, size_t step, struct buf *b)
{
	auto_ranges struct ranges *r = NULL;
	struct err e = ERR_INIT;
	const char *marker = NULL;
	uint64_t last = 0;

	auto_azure_pages struct azure_pages *pages = azure_pages_new(&e);
	holds(pages);
	for (size_t at = 0; at < n; at += step)
		if (azure_pages_feed(pages, p + at, n - at < step ? n - at : step, &e) < 0) {
			fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT) | FUZZ_CLASS(ERR_TOO_BIG));
			return e.class;
		}
	if (azure_pages_end(pages, &marker, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT) | FUZZ_CLASS(ERR_TOO_BIG));
		return e.class;
	}
	holds(strlen(marker) <= AZURE_PAGES_MARKER_MAX);
	(void)buf_printf(b, "%s\n", marker);
	works(azure_pages_ranges(pages, DISK, true, &r, &e));
	for (size_t i = 0; i < r->n; i++) {
		holds(r->v[i].start < r->v[i].end && r->v[i].end <= DISK);
		holds(i == 0 || r->v[i].start > last);
		holds(r->v[i].start % AZURE_PAGES_BYTES == 0);
		last = r->v[i].end;
		(void)buf_printf(b, "%llu\n", (unsigned long long)last);
	}
	return ERR_NONE;
}

static void list(const uint8_t *p, size_t n, size_t step)
{
	CLEANUP(buf_clear) struct buf whole = BUF_INIT(8 * MIB);
	CLEANUP(buf_clear) struct buf torn = BUF_INIT(8 * MIB);
	enum err_class class = learn(p, n, n + 1, &whole);

	holds(learn(p, n, step, &torn) == class);
	holds(whole.len == torn.len &&
	      (whole.len == 0 || memcmp(whole.data, torn.data, whole.len) == 0));
}

static void snapshot(const uint8_t *p, size_t n)
{
	struct azure_snapshot s;
	struct err e = ERR_INIT;

	if (azure_arm_parse_snapshot(p, n, &s, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT));
		return;
	}
	holds(s.bytes > 0 && s.bytes % 512 == 0);
	holds(s.sector_bytes > 0);
	holds(strlen(s.family) < sizeof(s.family) && strlen(s.disk) < sizeof(s.disk));
}

static void progress(int status, const uint8_t *p, size_t n)
{
	struct azure_arm_progress *a = malloc(sizeof(*a));
	struct err e = ERR_INIT;

	holds(a);
	if (azure_arm_parse_progress(status, p, n, a, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT));
	} else {
		holds(!a->sas[0] || (http_url_allowed(a->sas) && a->state == AZURE_ARM_DONE));
		for (const char *c = a->why; *c; c++)
			holds((uint8_t)*c >= 0x20 && *c != 0x7f);
	}
	free(a);
}

static void name(const uint8_t *p, size_t n)
{
	auto_free char *text = fuzz_text(p, n);

	if (azure_arm_is_snapshot(text))
		holds(text[0] == '/' && !strpbrk(text, "?#%\\ \r\n") && !strstr(text, "/.") &&
		      !strstr(text, "//"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 64 * KIB)
		return 0;
	switch (data[0] % 4) {
	case 0:
		list(data + 1, size - 1, data[0] / 4 + 1);
		break;
	case 1:
		snapshot(data + 1, size - 1);
		break;
	case 2:
		progress(data[0] & 4 ? 200 : data[0] & 8 ? 202 : 204, data + 1, size - 1);
		break;
	default:
		name(data + 1, size - 1);
		break;
	}
	return 0;
}
