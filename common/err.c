/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors as values. One table says for each class what the program exits
 * with, what metrics call it and whether a repetition helps. Texts come from
 * names of files and objects, so what is no printable text is written as \xNN
 * here, once, and neither a terminal nor a log line can be broken by a message.
 */
#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "common/text.h"

static const struct {
	const char *name;
	int exit_status;
	bool retry;
} classes[ERR_CLASSES] = {
	[ERR_NONE] = { "none", EXIT_OK, false },
	[ERR_NOT_FOUND] = { "not_found", EXIT_NOT_FOUND, false },
	[ERR_EXISTS] = { "exists", EXIT_FAILED, false },
	[ERR_CORRUPT] = { "corrupt", EXIT_INTEGRITY, false },
	[ERR_FORMAT] = { "format", EXIT_INTEGRITY, false },
	[ERR_DENIED] = { "denied", EXIT_FAILED, false },
	[ERR_RETRY] = { "retry", EXIT_FAILED, true },
	[ERR_QUOTA] = { "quota", EXIT_FAILED, false },
	[ERR_BUSY] = { "busy", EXIT_FENCED, false },
	[ERR_INVALID] = { "invalid", EXIT_USAGE, false },
	[ERR_UNSUPPORTED] = { "unsupported", EXIT_FAILED, false },
	[ERR_NOMEM] = { "nomem", EXIT_FAILED, false },
	[ERR_TOO_BIG] = { "too_big", EXIT_FAILED, false },
	[ERR_IO] = { "io", EXIT_FAILED, false },
	[ERR_CANCELLED] = { "cancelled", EXIT_CANCELLED, false },
	[ERR_PARTIAL] = { "partial", EXIT_PARTIAL, false },
	[ERR_BUG] = { "bug", EXIT_FAILED, false },
};

/* Bytes of text (n long) that fit into room without cutting a UTF-8 sequence. */
static size_t cut(const char *text, size_t n, size_t room)
{
	if (n <= room)
		return n;
	n = room;
	while (n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80)
		n--;
	return n;
}

/*
 * Formats into ret (room bytes with the NUL), made fit for a line; a text
 * that does not fit ends in "...". Returns its length.
 */
static size_t format(char *ret, size_t room, const char *fmt, va_list ap) PRINTF_LIKE(3, 0);
static size_t format(char *ret, size_t room, const char *fmt, va_list ap)
{
	char raw[ERR_MSG_MAX];
	char step[TEXT_STEP_MAX];
	const char *s = raw;
	size_t at = 0;
	size_t n;

	int want = vsnprintf(raw, sizeof(raw), fmt, ap);
	if (want < 0)
		raw[0] = '\0';
	bool too_long = want >= (int)sizeof(raw);
	while ((n = text_step(&s, TEXT_LINE, step)) > 0) {
		if (at + n >= room) {
			too_long = true;
			break;
		}
		memcpy(ret + at, step, n);
		at += n;
	}
	if (too_long) {
		at = cut(ret, at, room > 4 ? room - 4 : 0);
		for (int i = 0; i < 3 && at + 1 < room; i++)
			ret[at++] = '.';
	}
	ret[at] = '\0';
	return at;
}

int err_set(struct err *e, enum err_class class, const char *fmt, ...)
{
	char text[ERR_MSG_MAX]; /* the arguments may point into e->msg */
	va_list ap;

	va_start(ap, fmt);
	size_t n = format(text, sizeof(text), fmt, ap);
	va_end(ap);
	e->class = class;
	e->os = 0;
	e->wait_ms = 0;
	memcpy(e->msg, text, n + 1);
	return -1;
}

static enum err_class class_of(int os)
{
	switch (os) {
	case ENOENT:
		return ERR_NOT_FOUND;
	case EEXIST:
		return ERR_EXISTS;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_DENIED;
	case ENOSPC:
	case EDQUOT:
		return ERR_QUOTA;
	case ENOMEM:
		return ERR_NOMEM;
	case EBUSY:
		return ERR_BUSY;
	case EINTR:
	case ECANCELED:
		return ERR_CANCELLED;
	case EOPNOTSUPP:
	case ENOSYS:
		return ERR_UNSUPPORTED;
	case E2BIG:
	case EFBIG:
	case ENAMETOOLONG:
		return ERR_TOO_BIG;
	default:
		return ERR_IO;
	}
}

int err_sys(struct err *e, int os_errno, const char *fmt, ...)
{
	const char *cause = strerrordesc_np(os_errno);
	char number[32];
	char text[ERR_MSG_MAX];
	va_list ap;

	if (!cause) {
		(void)snprintf(number, sizeof(number), "error %d", os_errno);
		cause = number;
	}
	size_t cause_len = strlen(cause);
	va_start(ap, fmt);
	size_t n = format(text, sizeof(text) - 2 - cause_len, fmt, ap);
	va_end(ap);
	e->class = class_of(os_errno);
	e->os = os_errno;
	e->wait_ms = 0;
	memcpy(e->msg, text, n);
	memcpy(e->msg + n, ": ", 2);
	memcpy(e->msg + n + 2, cause, cause_len + 1);
	return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	size_t cause_len = strnlen(e->msg, sizeof(e->msg) - 1);
	size_t room = sizeof(e->msg) - 1 - cause_len; /* for the text and ": " */
	va_list ap;

	if (room < sizeof("...: "))
		return -1;
	va_start(ap, fmt);
	size_t n = format(text, room - 1, fmt, ap);
	va_end(ap);
	memmove(e->msg + n + 2, e->msg, cause_len);
	e->msg[n + 2 + cause_len] = '\0';
	memcpy(e->msg, text, n);
	memcpy(e->msg + n, ": ", 2);
	return -1;
}

int err_exit_status(const struct err *e)
{
	return (unsigned)e->class < ERR_CLASSES ? classes[e->class].exit_status : EXIT_FAILED;
}

const char *err_class_name(enum err_class class)
{
	return (unsigned)class < ERR_CLASSES ? classes[class].name : "bug";
}

bool err_may_retry(const struct err *e)
{
	return (unsigned)e->class < ERR_CLASSES && classes[e->class].retry;
}
