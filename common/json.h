/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jansson with errors that name the path: "commit: .volume.name: expected a
 * string". All texts from outside are parsed with duplicate keys refused and
 * the depth bounded by jansson's own limit (2048 by default).
 */
#ifndef AKSDR_COMMON_JSON_H
#define AKSDR_COMMON_JSON_H

#include <jansson.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

static inline void clean_json(json_t *const *j)
{
	json_decref(*j);
}
#define auto_json CLEANUP(clean_json)

/* what names the document in messages. NULL with ERR_FORMAT. Caller decrefs. */
MUST_CHECK json_t *json_parse(const char *what, const void *p, size_t n, struct err *e);

/*
 * Members of an object, checked. ERR_FORMAT with the member's name when
 * missing or of another type. what may end in a path: "commit: .volume".
 */
MUST_CHECK int json_get_str(const json_t *o, const char *what, const char *key, const char **ret,
                            struct err *e); /* borrowed from o */
/* The text into ret; one that has no room in it is ERR_FORMAT, too. */
MUST_CHECK int json_get_text(const json_t *o, const char *what, const char *key, char *ret,
                             size_t max, struct err *e);
MUST_CHECK int json_get_u64(const json_t *o, const char *what, const char *key, uint64_t *ret,
                            struct err *e); /* 0 .. 2^63-1 */
MUST_CHECK int json_get_i64(const json_t *o, const char *what, const char *key, int64_t *ret,
                            struct err *e);
MUST_CHECK int json_get_bool(const json_t *o, const char *what, const char *key, bool *ret,
                             struct err *e);
MUST_CHECK int json_get_hex(const json_t *o, const char *what, const char *key, uint8_t *ret,
                            size_t n, struct err *e); /* exactly 2 n hexadecimal characters */

/*
 * A string of a text from outside, whatever its bytes are: as TEXT_LINE of common/text.h, cut to at
 * most max bytes between two characters. NULL: no memory.
 */
json_t *json_text(const char *text, size_t max);

/* Compact text with sorted keys appended to b: the same value gives the same bytes. */
MUST_CHECK int json_write(const json_t *o, struct buf *b, struct err *e);

#endif
