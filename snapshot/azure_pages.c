/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By expat: PageList has PageRange and ClearRange, each with a Start and an End that is still part
 * of it, and a NextMarker
 * (https://learn.microsoft.com/rest/api/storageservices/get-page-ranges). In which order the ranges
 * come is not promised, so they are gathered and sorted.
 */
#include "snapshot/azure_pages.h"

#include <expat.h>
#include <stdlib.h>
#include <string.h>

#include "common/num.h"

#define DEPTH_MAX 8
#define SIZE_TEXT_MAX 20

enum in { IN_OTHER, IN_LIST, IN_RANGE, IN_START, IN_END, IN_MARKER };
enum { HAVE_START = 1, HAVE_END = 2 };

struct page_range {
	uint64_t start, end;
	bool cleared;
};

struct azure_pages {
	XML_Parser xml;
	uint64_t fed;
	struct err *e; /* of the call that feeds */
	bool failed;
	enum in in[DEPTH_MAX + 1]; /* of the elements that are open */
	unsigned depth;
	char text[AZURE_PAGES_MARKER_MAX + 1]; /* of the element that is open */
	size_t text_len;
	struct page_range range; /* that is open */
	unsigned have;
	struct page_range *v;
	size_t n, cap;
	size_t whole; /* of these: in documents that are whole */
	char marker[AZURE_PAGES_MARKER_MAX + 1], previous[AZURE_PAGES_MARKER_MAX + 1];
};

#define FAIL(p, class, ...)                                  \
	do {                                                 \
		if (!(p)->failed)                            \
			err_set((p)->e, class, __VA_ARGS__); \
		(p)->failed = true;                          \
		(void)XML_StopParser((p)->xml, XML_FALSE);   \
	} while (0)

static enum in enter(const struct azure_pages *p, const char *name)
{
	enum in outer = p->depth > 0 ? p->in[p->depth - 1] : IN_OTHER;

	if (p->depth == 0)
		return strcmp(name, "PageList") == 0 ? IN_LIST : IN_OTHER;
	if (outer == IN_LIST && (strcmp(name, "PageRange") == 0 || strcmp(name, "ClearRange") == 0))
		return IN_RANGE;
	if (outer == IN_LIST && strcmp(name, "NextMarker") == 0)
		return IN_MARKER;
	if (outer == IN_RANGE && strcmp(name, "Start") == 0)
		return IN_START;
	if (outer == IN_RANGE && strcmp(name, "End") == 0)
		return IN_END;
	return IN_OTHER;
}

static void XMLCALL on_start(void *arg, const char *name, const char **attributes)
{
	struct azure_pages *p = arg;

	(void)attributes;
	if (p->failed)
		return;
	enum in in = enter(p, name);
	if (p->depth == 0 && in != IN_LIST) {
		FAIL(p, ERR_FORMAT, "the answer is '%.40s' and not a list of pages", name);
		return;
	}
	if (p->depth == DEPTH_MAX) {
		FAIL(p, ERR_FORMAT, "the list of pages has elements in %d elements", DEPTH_MAX);
		return;
	}
	p->in[p->depth++] = in;
	p->text_len = 0;
	if (in == IN_RANGE) {
		p->range = (struct page_range){ .cleared = *name == 'C' };
		p->have = 0;
	}
}

static void XMLCALL on_text(void *arg, const char *text, int len)
{
	struct azure_pages *p = arg;
	enum in in = p->depth > 0 ? p->in[p->depth - 1] : IN_OTHER;
	size_t max = in == IN_MARKER ? AZURE_PAGES_MARKER_MAX : SIZE_TEXT_MAX;

	if (p->failed || (in != IN_START && in != IN_END && in != IN_MARKER))
		return;
	if ((size_t)len > max - p->text_len) {
		FAIL(p, ERR_FORMAT, "the list of pages has a text of more than %zu bytes", max);
		return;
	}
	memcpy(p->text + p->text_len, text, (size_t)len);
	p->text_len += (size_t)len;
}

static void take_offset(struct azure_pages *p, uint64_t *ret, unsigned have)
{
	struct err why = ERR_INIT;

	if (num_u64("offset", p->text, 0, AZURE_PAGES_END_MAX, ret, &why) < 0) {
		FAIL(p, ERR_FORMAT, "the list of pages has '%.20s' where an offset should be",
		     p->text);
		return;
	}
	p->have |= have;
}

static bool grow(struct azure_pages *p)
{
	size_t cap = p->cap ? 2 * p->cap : 64;
	struct page_range *v = realloc(p->v, cap * sizeof(*v));

	if (!v)
		return false;
	p->v = v;
	p->cap = cap;
	return true;
}

static void take_range(struct azure_pages *p)
{
	if (p->have != (HAVE_START | HAVE_END) || p->range.start > p->range.end ||
	    p->range.start % AZURE_PAGES_BYTES != 0 ||
	    (p->range.end + 1) % AZURE_PAGES_BYTES != 0) {
		FAIL(p, ERR_FORMAT, "the list of pages has a range that is none");
		return;
	}
	if (p->n == AZURE_PAGES_MAX) {
		FAIL(p, ERR_TOO_BIG, "the list of pages has more than %d ranges", AZURE_PAGES_MAX);
		return;
	}
	if (p->n == p->cap && !grow(p)) {
		FAIL(p, ERR_NOMEM, "no memory for a list of pages");
		return;
	}
	p->range.end++;
	p->v[p->n++] = p->range;
}

static void XMLCALL on_end(void *arg, const char *name)
{
	struct azure_pages *p = arg;

	(void)name;
	if (p->failed)
		return;
	p->text[p->text_len] = '\0';
	switch (p->in[--p->depth]) {
	case IN_START:
		take_offset(p, &p->range.start, HAVE_START);
		break;
	case IN_END:
		take_offset(p, &p->range.end, HAVE_END);
		break;
	case IN_RANGE:
		take_range(p);
		break;
	case IN_MARKER:
		memcpy(p->marker, p->text, p->text_len + 1);
		break;
	case IN_LIST:
	case IN_OTHER:
		break;
	}
	p->text_len = 0;
}

static void XMLCALL on_doctype(void *arg, const char *name, const char *system, const char *public,
                               int subset)
{
	struct azure_pages *p = arg;

	(void)name;
	(void)system;
	(void)public;
	(void)subset;
	FAIL(p, ERR_FORMAT, "the list of pages has a document type, which no service sends");
}

void azure_pages_again(struct azure_pages *p)
{
	(void)XML_ParserReset(p->xml, NULL);
	XML_SetUserData(p->xml, p);
	XML_SetElementHandler(p->xml, on_start, on_end);
	XML_SetCharacterDataHandler(p->xml, on_text);
	XML_SetStartDoctypeDeclHandler(p->xml, on_doctype);
	p->fed = 0;
	p->failed = false;
	p->depth = 0;
	p->text_len = 0;
	p->n = p->whole;
	p->marker[0] = '\0';
}

struct azure_pages *azure_pages_new(struct err *e)
{
	auto_azure_pages struct azure_pages *p = calloc(1, sizeof(*p));

	if (p)
		p->xml = XML_ParserCreate(NULL);
	if (!p || !p->xml) {
		err_set(e, ERR_NOMEM, "no memory for a list of pages");
		return NULL;
	}
	azure_pages_again(p);
	return STEAL(&p);
}

void azure_pages_free(struct azure_pages *p)
{
	if (!p)
		return;
	if (p->xml)
		XML_ParserFree(p->xml);
	free(p->v);
	free(p);
}

static int parse(struct azure_pages *p, const void *bytes, size_t n, bool last, struct err *e)
{
	if (p->failed)
		return err_set(e, ERR_FORMAT, "the list of pages could not be read before");
	p->e = e;
	enum XML_Status status = XML_Parse(p->xml, bytes, (int)n, last);
	p->e = NULL;
	if (p->failed)
		return -1;
	if (status == XML_STATUS_OK)
		return 0;
	p->failed = true;
	if (XML_GetErrorCode(p->xml) == XML_ERROR_NO_MEMORY)
		return err_set(e, ERR_NOMEM, "no memory for a list of pages");
	return err_set(e, ERR_FORMAT, "the list of pages is no whole XML: %s",
	               XML_ErrorString(XML_GetErrorCode(p->xml)));
}

int azure_pages_feed(struct azure_pages *p, const void *bytes, size_t n, struct err *e)
{
	const uint8_t *at = bytes;

	if (n > AZURE_PAGES_DOCUMENT_MAX - p->fed) {
		p->failed = true;
		return err_set(e, ERR_TOO_BIG, "a list of pages is of more than %zu bytes",
		               (size_t)AZURE_PAGES_DOCUMENT_MAX);
	}
	p->fed += n;
	while (n > 0) {
		size_t step = n < MIB ? n : MIB;

		if (parse(p, at, step, false, e) < 0)
			return -1;
		at += step;
		n -= step;
	}
	return 0;
}

int azure_pages_sink(void *arg, const struct http_answer *a, const void *bytes, size_t n,
                     struct err *e)
{
	(void)a;
	return azure_pages_feed(arg, bytes, n, e);
}

int azure_pages_end(struct azure_pages *p, const char **ret_marker, struct err *e)
{
	if (parse(p, "", 0, true, e) < 0)
		return -1;
	if (p->marker[0] && strcmp(p->marker, p->previous) == 0)
		return err_set(e, ERR_FORMAT, "the list of pages goes on where it went on before");
	memcpy(p->previous, p->marker, sizeof(p->previous));
	p->whole = p->n;
	azure_pages_again(p);
	*ret_marker = p->previous;
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct page_range *x = a;
	const struct page_range *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

int azure_pages_ranges(struct azure_pages *p, uint64_t size, bool cleared, struct ranges **ret,
                       struct err *e)
{
	auto_ranges struct ranges *r = ranges_new();
	bool full = !r;

	p->n = p->whole;
	if (p->n > 0)
		qsort(p->v, p->n, sizeof(*p->v), by_start);
	for (size_t i = 0; i < p->n && !full; i++) {
		uint64_t end = p->v[i].end < size ? p->v[i].end : size;

		if (p->v[i].start < end && (cleared || !p->v[i].cleared))
			full = ranges_add(r, p->v[i].start, end) < 0;
	}
	if (full)
		return err_set(e, ERR_NOMEM, "no memory for a list of pages");
	*ret = STEAL(&r);
	return 0;
}
