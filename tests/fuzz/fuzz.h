/* SPDX-License-Identifier: Apache-2.0 */
/* What fuzz targets share: properties that must hold, errors that must make sense, texts, files. */
#ifndef AKSDR_TESTS_FUZZ_FUZZ_H
#define AKSDR_TESTS_FUZZ_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clean.h"
#include "common/err.h"
#include "tests/harness/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process, and so the run, unless x is true. */
#define holds(x) ((x) ? (void)0 : fuzz_broken(#x, __FILE__, __LINE__))

static inline void fuzz_broken(const char *what, const char *file, int line)
{
	(void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

/* The same of a call that must succeed: its error is told. */
#define works(call) ((call) == 0 ? (void)0 : fuzz_failed(&e, #call, __FILE__, __LINE__))

static inline void fuzz_failed(const struct err *e, const char *what, const char *file, int line)
{
	(void)fprintf(stderr, "%s: %s\n", err_class_name(e->class), e->msg);
	fuzz_broken(what, file, line);
}

#define FUZZ_CLASS(class) (1U << (class))
/* What an object from outside may be refused as. */
#define FUZZ_BAD (FUZZ_CLASS(ERR_FORMAT) | FUZZ_CLASS(ERR_CORRUPT) | FUZZ_CLASS(ERR_DENIED))

/* An error is of one of these classes, and says something that fits a line. */
static inline void fuzz_refused(const struct err *e, unsigned classes)
{
	size_t n = strnlen(e->msg, sizeof(e->msg));

	if (!(classes >> e->class & 1))
		(void)fprintf(stderr, "%s: %s\n", err_class_name(e->class), e->msg);
	holds(classes >> e->class & 1);
	holds(n > 0 && n < sizeof(e->msg));
	for (size_t i = 0; i < n; i++)
		holds((uint8_t)e->msg[i] >= 0x20 && e->msg[i] != 0x7f);
}

/* The bytes up to the first NUL as a text; the caller frees. */
static inline char *fuzz_text(const uint8_t *p, size_t n)
{
	char *text = malloc(n + 1);

	holds(text);
	if (n > 0)
		memcpy(text, p, n);
	text[n] = '\0';
	return text;
}

/* Takes the next piece of the input, up to a byte `end` or the end of all. false: there is none. */
static inline bool fuzz_piece(const uint8_t **p, size_t *n, uint8_t end, const uint8_t **ret,
                              size_t *ret_n)
{
	if (*n == 0)
		return false;
	const uint8_t *stop = memchr(*p, end, *n);
	*ret = *p;
	*ret_n = stop ? (size_t)(stop - *p) : *n;
	size_t used = *ret_n + (stop != NULL);
	*p += used;
	*n -= used;
	return true;
}

static char *fuzz_dir_made;

static inline void fuzz_dir_remove(void)
{
	tmpdir_remove(fuzz_dir_made);
	fuzz_dir_made = NULL;
}

/* The target's own directory, removed at the end of the process. */
static inline const char *fuzz_dir(void)
{
	if (!fuzz_dir_made) {
		fuzz_dir_made = tmpdir_new();
		(void)atexit(fuzz_dir_remove);
	}
	return fuzz_dir_made;
}

#endif
