/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Label selectors as Kubernetes has them: as an object (matchLabels, matchExpressions) and as a
 * line ("a=b,c in (d,e),!f"). Rules:
 * https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
 */
#ifndef AKSDR_COMMON_SELECTOR_H
#define AKSDR_COMMON_SELECTOR_H

#include <stdbool.h>

#include "common/fields.h"

#define SELECTOR_RULES_MAX 64
#define SELECTOR_VALUES_MAX 64 /* of a rule */
#define SELECTOR_KEY_MAX 317   /* bytes: a prefix of 253, '/', a name of 63 */
#define SELECTOR_VALUE_MAX 63

enum selector_op { SELECTOR_IN, SELECTOR_NOT_IN, SELECTOR_EXISTS, SELECTOR_DOES_NOT_EXIST };

struct selector_rule {
	char *key;
	enum selector_op op;
	char **values;
	size_t n;
};

/* Without rules it fits everything. Owns all. */
struct selector {
	struct selector_rule *rules;
	size_t n;
};
void selector_clear(struct selector *s);

/* The member of f, which may be missing. ERR_INVALID with its path, ERR_NOMEM. */
MUST_CHECK int selector_in(const struct fields *f, const char *key, struct selector *ret,
                           struct err *e);

/*
 * A line: terms with commas between them, of key=value (or ==), key!=value, key in (a,b), key
 * notin (a,b), key, !key. ERR_INVALID names what and the term; ERR_NOMEM.
 */
MUST_CHECK int selector_parse(const char *what, const char *text, struct selector *ret,
                              struct err *e);

/* labels: an object of texts, or NULL. NotIn (and !=) also fits where there is no such label. */
bool selector_fits(const struct selector *s, const json_t *labels);

/* Whether it may be the key of a label or an annotation. */
bool selector_key_ok(const char *key);

#endif
