/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP answers that say "later": which ones do, and what becomes of them. All that speaks HTTP here
 * goes by this, so that the same trouble is repeated everywhere and its wait obeyed.
 */
#ifndef AKSDR_COMMON_LATER_H
#define AKSDR_COMMON_LATER_H

#include <stdbool.h>

#include "common/http.h"

/*
 * Whether the same request may work later without anyone changing anything: 408 and 429, and what
 * is the server's fault (5xx) but for what it says that it never does or has no room for: 501, 505,
 * 507. RFC 9110 15.5.9 and 15.6, RFC 6585 4, RFC 4918 11.5. Pure.
 */
bool later_is(int status);

/* ERR_RETRY with this text, and the wait that the answer asks for (Retry-After). Returns -1. */
int later_set(struct err *e, const struct http_answer *a, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
