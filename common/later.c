/* SPDX-License-Identifier: Apache-2.0 */
/* See later.h. */
#include "common/later.h"

#include <stdarg.h>
#include <stdio.h>

bool later_is(int status)
{
	switch (status) {
	case 408: /* Request Timeout */
	case 429: /* Too Many Requests */
		return true;
	case 501: /* Not Implemented */
	case 505: /* HTTP Version Not Supported */
	case 507: /* Insufficient Storage */
		return false;
	default:
		return status >= 500 && status <= 599;
	}
}

int later_set(struct err *e, const struct http_answer *a, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)err_set(e, ERR_RETRY, "%s", text);
	e->wait_ms = a->wait_ms;
	return -1;
}
