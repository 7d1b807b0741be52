/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XML that object stores answer with: pages of listings, short documents,
 * errors. A table says which elements count (struct xml_path); everything else
 * is passed over. The document comes in pieces of any size, is never held as
 * a whole, and is bounded: depth, lengths of texts, bytes of a page. Doctypes
 * are refused, so there are no entities but those of XML itself.
 *
 * The items of a page are kept compactly until they are asked for, since the
 * caller of a list may take its time, and the connection is not to wait for it.
 *
 *     struct xml *x = xml_new(&xml_s3_list, "prefix/", e);
 *     rq.sink = xml_sink, rq.arg = x;          one request
 *     xml_end(x, e);                           the document is complete
 *     while (xml_next(x, &item, e) > 0) ...
 *     next = xml_text(x, XML_NEXT);
 *     xml_reset(x);                            the next page
 */
#ifndef AKSDR_STORE_XML_H
#define AKSDR_STORE_XML_H

#include <stdbool.h>
#include <stdint.h>

#include "common/http.h"
#include "store/store.h"

/* What an element means. */
enum xml_what {
	XML_ITEM,   /* its end makes an item of the three within; all three must be there */
	XML_KEY,    /* with Encoded="true" it is percent-encoded */
	XML_SIZE,   /* decimal */
	XML_TIME,   /* RFC 1123 or RFC 3339 */
	XML_FOLDER, /* "directory": what it is within is no object, and left out */
	XML_TEXT    /* a text of its own, enum xml_text says which */
};

/* Texts that are kept. */
enum xml_text {
	XML_NEXT,     /* where the next page goes on; "" or none: this is the last */
	XML_MORE,     /* "true": this is not the last page */
	XML_ENCODING, /* "url": the keys of this page are percent-encoded */
	XML_CODE,     /* of an error */
	XML_MESSAGE,
	XML_REGION,
	XML_STATUS, /* of the second region */
	XML_SYNCED, /* when it was last known to have everything */
	XML_UPLOAD, /* name of a multipart upload */
	XML_KEY_ID, /* credentials */
	XML_SECRET,
	XML_TOKEN,
	XML_EXPIRES,
	XML_TEXTS
};

struct xml_path {
	const char *path; /* names from the root, joined by '/', no longer than XML_PATH_MAX */
	enum xml_what what;
	enum xml_text text; /* XML_TEXT */
};

/* A kind of document. A root that no path begins with is refused. */
struct xml_form {
	const char *name; /* for messages: "a listing" */
	const struct xml_path *paths;
	unsigned n;
};

extern const struct xml_form xml_azure_list;  /* List Blobs */
extern const struct xml_form xml_azure_stats; /* Get Blob Service Stats */
extern const struct xml_form xml_s3_list;     /* ListObjectsV2 */
extern const struct xml_form xml_s3_upload;   /* the answers to multipart uploads, errors too */
extern const struct xml_form xml_sts;         /* AssumeRoleWithWebIdentity */
extern const struct xml_form xml_errors;      /* Error of both, ErrorResponse of STS */

#define XML_PATH_MAX 128
#define XML_DEPTH_MAX 16
#define XML_TEXT_MAX ((size_t)16 * 1024)
#define XML_PAGE_MAX ((size_t)16 << 20)     /* bytes of names and the like in one page */
#define XML_DOCUMENT_MAX ((size_t)64 << 20) /* bytes of one document */

struct xml;

/*
 * strip (borrowed, may be NULL) is taken off the front of keys; one that does not begin with it
 * or that is no key of ours belongs to others and is left out. ERR_NOMEM.
 */
MUST_CHECK struct xml *xml_new(const struct xml_form *form, const char *strip, struct err *e);
void xml_free(struct xml *x); /* texts are wiped: some are credentials */
static inline void clean_xml(struct xml *const *x)
{
	xml_free(*x);
}
#define auto_xml CLEANUP(clean_xml)

/* The next bytes. ERR_FORMAT, ERR_TOO_BIG, ERR_NOMEM; after a failure only reset and free. */
MUST_CHECK int xml_feed(struct xml *x, const void *p, size_t n, struct err *e);

/* The same as the sink of a request; arg: the struct xml. */
int xml_sink(void *arg, const struct http_answer *a, const void *p, size_t n, struct err *e);

/* All bytes were fed. ERR_FORMAT: the document is not complete. */
MUST_CHECK int xml_end(struct xml *x, struct err *e);

/* A text of the document, or NULL. Valid until reset or free. */
const char *xml_text(const struct xml *x, enum xml_text which);

/*
 * The next item of the page: 1, or 0 at its end. Keys ascend, from page to page too.
 *   ERR_UNSUPPORTED  the server lists in another order than that of bytes
 */
MUST_CHECK int xml_next(struct xml *x, struct store_item *ret, struct err *e);

/* Forgets the document; the order of keys goes on. */
void xml_reset(struct xml *x);

/* What an error answer says: for people, without control characters; "" where it says nothing. */
struct xml_error {
	char code[64];
	char message[192];
	char region[64];
};

/* Makes the best of n bytes that may be cut, or no XML at all. */
struct xml_error xml_error_of(const char *text, size_t n);

#endif
