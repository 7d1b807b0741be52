/* SPDX-License-Identifier: Apache-2.0 */
/* The escapes of URLs. */
#ifndef AKSDR_COMMON_URL_H
#define AKSDR_COMMON_URL_H

#include <stdbool.h>

#include "common/buf.h"

/*
 * Appends the text with the percent-encoding of RFC 3986: all but letters, digits and - . _ ~
 * becomes %XX in capitals; slashes stay when `slashes`. 0, or -1 as buf_put().
 */
int url_encode(struct buf *b, const char *text, bool slashes);

#endif
