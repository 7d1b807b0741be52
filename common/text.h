/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names with any bytes, made fit for a terminal, a log line or JSON. Bytes
 * that are not UTF-8 are written as \xNN everywhere.
 */
#ifndef AKSDR_COMMON_TEXT_H
#define AKSDR_COMMON_TEXT_H

#include <stddef.h>

#include "common/buf.h"

enum text_mode {
	TEXT_LINE,   /* for people: control characters as \xNN; doing it twice changes nothing */
	TEXT_QUOTED, /* inside quotes of a log line: as LINE, and \" and \\ */
	TEXT_JSON, /* inside a JSON string of a log line; the backslash of \xNN is doubled there */
	TEXT_JSON_EXACT, /* inside a JSON string of data: a backslash before an x becomes \x5c */
	TEXT_CSV_EXACT /* inside a CSV field: only what is not UTF-8, and a backslash before an x */
};

#define TEXT_STEP_MAX 8 /* bytes that one step may write */

/*
 * Escapes the next character of *s, which moves behind it, into ret; returns
 * the bytes written, 0 at the end of the text. From the EXACT forms the name
 * can be told exactly. No NUL is written.
 */
size_t text_step(const char **s, enum text_mode mode, char ret[TEXT_STEP_MAX]);

/* The whole text, escaped, appended to b. 0, or -1 as the other appends. */
int text_put(struct buf *b, const char *s, enum text_mode mode);

#endif
