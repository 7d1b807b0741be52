/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scope-bound clean-up. An owned local is declared with one of the auto_*
 * attributes at its first use; ownership leaves the scope with STEAL().
 */
#ifndef AKSDR_COMMON_CLEAN_H
#define AKSDR_COMMON_CLEAN_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * 1024)
#define GIB ((size_t)1024 * 1024 * 1024)

/* Runs fn(&variable) when the variable leaves its scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Takes the value out of an owned variable and leaves it empty (NULL or -1). */
#define STEAL(p)                                 \
	__extension__({                          \
		__typeof__(*(p)) stolen_ = *(p); \
		*(p) = (__typeof__(*(p)))0;      \
		stolen_;                         \
	})

static inline int steal_fd(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

static inline void clean_free(void *p)
{
	free(*(void **)p);
}

static inline void clean_close(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline void clean_fclose(FILE *const *f)
{
	if (*f)
		(void)fclose(*f);
}

#define auto_free CLEANUP(clean_free)
#define auto_close CLEANUP(clean_close)
#define auto_fclose CLEANUP(clean_fclose)

#endif
