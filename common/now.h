/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wall and monotonic time, and texts in UTC: RFC 3339, and the dates of HTTP. Nothing about safety
 * is decided by time.
 */
#ifndef AKSDR_COMMON_NOW_H
#define AKSDR_COMMON_NOW_H

#include <stdint.h>

#include "common/err.h"

int64_t now_wall_ns(void); /* since 1970-01-01 UTC */
int64_t now_mono_ns(void);

struct now_text {
	char s[40];
};
struct now_text now_rfc3339(int64_t wall_ns); /* "2026-11-22T10:04:05.123Z" */
struct now_text now_day(int64_t wall_ns);     /* "2026-11-22" */

/* RFC 3339 with Z or an offset, a space for T allowed; or a date alone (its first instant, UTC). */
MUST_CHECK int now_parse(const char *text, int64_t *ret_wall_ns, struct err *e);

/* The date of HTTP (RFC 9110, 5.6.7; RFC 1123): "Sun, 22 Nov 2026 10:04:05 GMT". */
struct now_text now_http(int64_t wall_ns);

/* That form alone; the name of the day must be one, not the right one. ERR_INVALID. */
MUST_CHECK int now_http_parse(const char *text, int64_t *ret_wall_ns, struct err *e);

#endif
