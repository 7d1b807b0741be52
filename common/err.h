/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error of a call, as a value on the caller's stack: nothing to free, it
 * works when memory is short, and threads never share one.
 *
 * A function that can fail returns 0 or -1 (or a pointer and NULL), is
 * MUST_CHECK, and takes `struct err *e` last: never NULL, untouched on
 * success. Each layer wraps once with what it was doing: "writing pack 'x':
 * creating 'x.tmp': No space left on device".
 */
#ifndef AKSDR_COMMON_ERR_H
#define AKSDR_COMMON_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clean.h"

enum err_class {
	ERR_NONE = 0,
	ERR_NOT_FOUND,   /* the named thing is not there, or the name is ambiguous */
	ERR_EXISTS,      /* create-only found the name taken */
	ERR_CORRUPT,     /* bytes differ from what was authenticated */
	ERR_FORMAT,      /* bytes do not parse, or are of a version unknown here */
	ERR_DENIED,      /* rights or keys are missing or wrong */
	ERR_RETRY,       /* throttled or unreachable; the same call may work later */
	ERR_QUOTA,       /* no space left, quota reached */
	ERR_BUSY,        /* held by somebody else; fenced */
	ERR_INVALID,     /* a value given by the user makes no sense */
	ERR_UNSUPPORTED, /* this kernel, store or build cannot do it */
	ERR_NOMEM,
	ERR_TOO_BIG, /* over a stated limit */
	ERR_IO,      /* the operating system failed */
	ERR_CANCELLED,
	ERR_PARTIAL, /* done, but for the things that were listed */
	ERR_BUG,     /* an invariant does not hold */
	ERR_CLASSES
};

/* Exit statuses of all programs. */
enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_PARTIAL = 3,
	EXIT_NOT_FOUND = 4,
	EXIT_INTEGRITY = 5,
	EXIT_FENCED = 6,
	EXIT_CANCELLED = 130
};

#define ERR_MSG_MAX 768

struct err {
	enum err_class class;
	int os;                /* errno of the cause, or 0 */
	int64_t wait_ms;       /* ERR_RETRY: not to be tried again sooner; 0: not known */
	char msg[ERR_MSG_MAX]; /* one sentence, no full stop, no newline */
};

#define ERR_INIT ((struct err){ .class = ERR_NONE })

/* Sets class and text. Always returns -1, so that `return err_set(...)` reads well. */
int err_set(struct err *e, enum err_class class, const char *fmt, ...) PRINTF_LIKE(3, 4);

/*
 * Sets the text followed by ": " and the description of os_errno; the class
 * follows from os_errno (ENOENT NOT_FOUND, EEXIST EXISTS, EACCES/EPERM/EROFS
 * DENIED, ENOSPC/EDQUOT QUOTA, ENOMEM NOMEM, EBUSY BUSY, EINTR/ECANCELED
 * CANCELLED, EOPNOTSUPP/ENOSYS UNSUPPORTED, E2BIG/EFBIG/ENAMETOOLONG TOO_BIG,
 * else IO). Always returns -1.
 */
int err_sys(struct err *e, int os_errno, const char *fmt, ...) PRINTF_LIKE(3, 4);

/*
 * Puts "text: " before the message; class and errno stay. When there is no
 * room the new text is shortened, never the cause. Always returns -1.
 */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The exit status a program ends with for this error; e->class NONE gives 0. */
int err_exit_status(const struct err *e);

/* A stable lower-case word for metrics and JSON: "not_found", "corrupt", ... */
const char *err_class_name(enum err_class class);

/* True when the same call may succeed later without anyone changing anything. */
bool err_may_retry(const struct err *e);

#endif
