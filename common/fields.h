/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of a document that a person wrote, strictly: what is unknown, missing or of another type
 * is ERR_INVALID with the path as the person sees it, "spec.schedule.cron: expected a string". An
 * optional member that is not there (or null, as the API server has it) leaves *ret as it was.
 * Texts are borrowed from the document.
 */
#ifndef AKSDR_COMMON_FIELDS_H
#define AKSDR_COMMON_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/json.h"

struct fields {
	const json_t *o; /* an object, or NULL: all members are missing */
	char path[192];  /* "" for the document itself; cut where it is longer */
};

/* o: an object without other members than those (an unknown one names the nearest), or NULL. */
MUST_CHECK int fields_of(struct fields *ret, const json_t *o, const char *path,
                         const char *const *known, struct err *e); /* known ends with NULL */
/* The same for a member, which may be missing: then ret->o is NULL. */
MUST_CHECK int fields_in(struct fields *ret, const struct fields *f, const char *key,
                         const char *const *known, struct err *e);

/* "PATH.key: why". Always returns -1. */
int fields_bad(const struct fields *f, const char *key, struct err *e, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

bool fields_has(const struct fields *f, const char *key);
MUST_CHECK int fields_need(const struct fields *f, const char *key, struct err *e);
/* Of min to max bytes, without control characters. */
MUST_CHECK int fields_text(const struct fields *f, const char *key, size_t min, size_t max,
                           const char **ret, struct err *e);
MUST_CHECK int fields_bool(const struct fields *f, const char *key, bool *ret, struct err *e);
MUST_CHECK int fields_number(const struct fields *f, const char *key, int64_t min, int64_t max,
                             int64_t *ret, struct err *e);
/* As num_duration(). */
MUST_CHECK int fields_duration(const struct fields *f, const char *key, int64_t min_s,
                               int64_t max_s, int64_t *ret_s, struct err *e);
/* One of the names, which end with NULL; its number. */
MUST_CHECK int fields_choice(const struct fields *f, const char *key, const char *const *names,
                             unsigned *ret, struct err *e);
/* An array of at most max items; NULL when missing. */
MUST_CHECK int fields_list(const struct fields *f, const char *key, size_t max, const json_t **ret,
                           struct err *e);

/* Texts, each not empty, no two the same. The array is the caller's, the texts are borrowed. */
struct fields_texts {
	const char **v;
	size_t n;
};
MUST_CHECK int fields_texts(const struct fields *f, const char *key, size_t max, size_t max_bytes,
                            struct fields_texts *ret, struct err *e);
void fields_texts_clear(struct fields_texts *t);

/* The words of a command: any texts, alike and empty ones too, but for the first. At least one. */
#define FIELDS_WORD_MAX (16 * KIB)
MUST_CHECK int fields_words(const struct fields *f, const char *key, size_t max,
                            struct fields_texts *ret, struct err *e);

/* Whether a name fits: one of `only` (none: any), and none of `except`, patterns of fnmatch(). */
bool fields_fit(const struct fields_texts *only, const struct fields_texts *except,
                const char *name);

#endif
