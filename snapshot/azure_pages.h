/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists of pages that a managed disk's snapshot answers with (Get Page Ranges of the blob
 * service): which are there, and which were written or cleared since an earlier snapshot. A list
 * comes in documents, each in pieces of any size; nothing of a document counts before its end.
 *
 *     azure_pages_feed(p, ...)              as often as there is something
 *     azure_pages_end(p, &marker, e)        the document is whole; marker: there is another one
 *     azure_pages_ranges(p, size, ...)      after the last one
 */
#ifndef AKSDR_SNAPSHOT_AZURE_PAGES_H
#define AKSDR_SNAPSHOT_AZURE_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/http.h"
#include "snapshot/ranges.h"

#define AZURE_PAGES_MAX (4 * 1048576)             /* ranges in one list */
#define AZURE_PAGES_DOCUMENT_MAX (256 * MIB)      /* bytes of one document */
#define AZURE_PAGES_MARKER_MAX 1024               /* bytes of a marker */
#define AZURE_PAGES_END_MAX (UINT64_C(128) << 40) /* no disk has more bytes */
#define AZURE_PAGES_BYTES 512                     /* of a page */

struct azure_pages;

MUST_CHECK struct azure_pages *azure_pages_new(struct err *e); /* ERR_NOMEM */
void azure_pages_free(struct azure_pages *p);
static inline void clean_azure_pages(struct azure_pages *const *p)
{
	azure_pages_free(*p);
}
#define auto_azure_pages CLEANUP(clean_azure_pages)

/* The next bytes. ERR_FORMAT, ERR_TOO_BIG, ERR_NOMEM; then only again and free make sense. */
MUST_CHECK int azure_pages_feed(struct azure_pages *p, const void *bytes, size_t n, struct err *e);

/* The same as the sink of a request; arg: the struct azure_pages. */
int azure_pages_sink(void *arg, const struct http_answer *a, const void *bytes, size_t n,
                     struct err *e);

/* Forgets the document that was begun: it comes once more. */
void azure_pages_again(struct azure_pages *p);

/*
 * All bytes of the document were fed. *ret_marker: where the next one goes on, "": there is none;
 * borrowed until the next end or free.
 *   ERR_FORMAT  the document is not whole, or its marker is that of the one before
 */
MUST_CHECK int azure_pages_end(struct azure_pages *p, const char **ret_marker, struct err *e);

/*
 * What the whole documents said, in order, joined, and cut at size: the ranges that hold data, and
 * with `cleared` also those that hold nothing any more. Owned by the caller. ERR_NOMEM.
 */
MUST_CHECK int azure_pages_ranges(struct azure_pages *p, uint64_t size, bool cleared,
                                  struct ranges **ret, struct err *e);

#endif
