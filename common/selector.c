/* SPDX-License-Identifier: Apache-2.0 */
/* Both forms become the same list of rules, all of which must hold. */
#include "common/selector.h"

#include <ctype.h>
#include <string.h>

static const char *const op_names[] = { "In", "NotIn", "Exists", "DoesNotExist", NULL };

void selector_clear(struct selector *s)
{
	for (size_t i = 0; i < s->n; i++) {
		for (size_t j = 0; j < s->rules[i].n; j++)
			free(s->rules[i].values[j]);
		free(s->rules[i].values);
		free(s->rules[i].key);
	}
	free(s->rules);
	*s = (struct selector){ .n = 0 };
}

/* Of letters, digits and what is in `inner`, which stands neither first nor last. */
static bool word_ok(const char *s, size_t n, const char *inner)
{
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)s[i]) && (i == 0 || i + 1 == n || !strchr(inner, s[i])))
			return false;
	}
	return n > 0;
}

bool selector_key_ok(const char *key)
{
	const char *slash = strchr(key, '/');
	const char *name = slash ? slash + 1 : key;

	if (slash) {
		if (slash - key > 253 || !word_ok(key, (size_t)(slash - key), "-."))
			return false;
		for (const char *s = key; s < slash; s++) {
			if (isupper((unsigned char)*s) ||
			    (*s == '.' && !isalnum((unsigned char)s[1])) ||
			    (*s == '.' && !isalnum((unsigned char)s[-1])))
				return false;
		}
	}
	return strlen(name) <= 63 && word_ok(name, strlen(name), "-_.");
}

static bool value_ok(const char *value)
{
	return !*value ||
	       (strlen(value) <= SELECTOR_VALUE_MAX && word_ok(value, strlen(value), "-_."));
}

static int add_value(struct selector_rule *r, const char *value)
{
	char **more = reallocarray(r->values, r->n + 1, sizeof(*more));

	if (!more)
		return -1;
	r->values = more;
	r->values[r->n] = strdup(value);
	if (!r->values[r->n])
		return -1;
	r->n++;
	return 0;
}

/* A new rule at the end of s, or NULL: no memory. */
static struct selector_rule *add_rule(struct selector *s, const char *key, enum selector_op op)
{
	struct selector_rule *more = reallocarray(s->rules, s->n + 1, sizeof(*more));

	if (!more)
		return NULL;
	s->rules = more;
	struct selector_rule *r = &more[s->n];
	*r = (struct selector_rule){ .key = strdup(key), .op = op };
	if (!r->key)
		return NULL;
	s->n++;
	return r;
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "no memory for a label selector");
}

/* ---- the object ---- */

static int read_labels(const struct fields *f, struct selector *s, struct err *e)
{
	json_t *labels = json_object_get(f->o, "matchLabels");
	const char *key;
	json_t *v;

	if (!labels || json_is_null(labels))
		return 0;
	if (!json_is_object(labels))
		return fields_bad(f, "matchLabels", e, "expected an object");
	json_object_foreach(labels, key, v) {
		const char *text = json_string_value(v);

		if (s->n == SELECTOR_RULES_MAX)
			return fields_bad(f, "matchLabels", e, "has more than %d labels",
			                  SELECTOR_RULES_MAX);
		if (!selector_key_ok(key))
			return fields_bad(f, "matchLabels", e, "'%.80s' is no key of a label", key);
		if (!text || !value_ok(text))
			return fields_bad(f, "matchLabels", e,
			                  "the value of '%s' is none of a label", key);
		struct selector_rule *r = add_rule(s, key, SELECTOR_IN);
		if (!r || add_value(r, text) < 0)
			return no_memory(e);
	}
	return 0;
}

static int read_expression(const struct fields *f, struct selector *s, struct err *e)
{
	const json_t *list;
	const char *key = "";
	unsigned op = 0;

	if (fields_need(f, "key", e) < 0 ||
	    fields_text(f, "key", 1, SELECTOR_KEY_MAX, &key, e) < 0 ||
	    fields_need(f, "operator", e) < 0 ||
	    fields_choice(f, "operator", op_names, &op, e) < 0 ||
	    fields_list(f, "values", SELECTOR_VALUES_MAX, &list, e) < 0)
		return -1;
	if (!selector_key_ok(key))
		return fields_bad(f, "key", e, "'%.80s' is no key of a label", key);
	const bool takes = op == SELECTOR_IN || op == SELECTOR_NOT_IN;
	if (takes != (json_array_size(list) > 0))
		return fields_bad(f, "values", e,
		                  takes ? "the operator %s needs values"
		                        : "the operator %s has none",
		                  op_names[op]);
	struct selector_rule *r = add_rule(s, key, (enum selector_op)op);
	if (!r)
		return no_memory(e);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		char at[32];

		(void)snprintf(at, sizeof(at), "values[%zu]", i);
		if (!text || !value_ok(text))
			return fields_bad(f, at, e, "expected the value of a label");
		if (add_value(r, text) < 0)
			return no_memory(e);
	}
	return 0;
}

int selector_in(const struct fields *f, const char *key, struct selector *ret, struct err *e)
{
	static const char *const known[] = { "matchLabels", "matchExpressions", NULL };
	static const char *const members[] = { "key", "operator", "values", NULL };
	CLEANUP(selector_clear) struct selector s = { .n = 0 };
	struct fields in, one;
	const json_t *list;

	if (fields_in(&in, f, key, known, e) < 0 || read_labels(&in, &s, e) < 0 ||
	    fields_list(&in, "matchExpressions", SELECTOR_RULES_MAX, &list, e) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++) {
		char path[sizeof(in.path) + 48];

		(void)snprintf(path, sizeof(path), "%s.matchExpressions[%zu]", in.path, i);
		if (fields_of(&one, json_array_get(list, i), path, members, e) < 0 ||
		    read_expression(&one, &s, e) < 0)
			return -1;
	}
	*ret = s;
	s = (struct selector){ .n = 0 };
	return 0;
}

/* ---- the line ---- */

struct line {
	const char *what, *text, *at;
};

static int bad_term(const struct line *l, const char *why, struct err *e)
{
	return err_set(e, ERR_INVALID,
	               "%s '%.200s': at byte %zu %s; write it as in a=b,c in (d,e),!f", l->what,
	               l->text, (size_t)(l->at - l->text) + 1, why);
}

static void blanks(struct line *l)
{
	while (*l->at == ' ' || *l->at == '\t')
		l->at++;
}

static bool takes(struct line *l, const char *token)
{
	blanks(l);
	if (strncmp(l->at, token, strlen(token)) != 0)
		return false;
	l->at += strlen(token);
	return true;
}

/* What may be a key or a value: up to a blank or one of ",()=!". */
static bool word(struct line *l, char ret[SELECTOR_KEY_MAX + 1])
{
	blanks(l);
	const size_t n = strcspn(l->at, " \t,()=!");
	if (n > SELECTOR_KEY_MAX)
		return false;
	memcpy(ret, l->at, n);
	ret[n] = '\0';
	l->at += n;
	return true;
}

static int value(struct line *l, struct selector_rule *r, struct err *e)
{
	char text[SELECTOR_KEY_MAX + 1];

	if (r->n == SELECTOR_VALUES_MAX)
		return bad_term(l, "there are too many values", e);
	if (!word(l, text) || !value_ok(text))
		return bad_term(l, "a value ends that is none of a label", e);
	return add_value(r, text) < 0 ? no_memory(e) : 0;
}

static int term(struct line *l, struct selector *s, struct err *e)
{
	char key[SELECTOR_KEY_MAX + 1];
	char how[SELECTOR_KEY_MAX + 1] = "";
	const bool not = takes(l, "!");

	if (!word(l, key) || !selector_key_ok(key))
		return bad_term(l, "a key ends that is none of a label", e);
	struct selector_rule *r = add_rule(s, key, not ? SELECTOR_DOES_NOT_EXIST : SELECTOR_EXISTS);
	if (!r)
		return no_memory(e);
	blanks(l);
	if (not || !*l->at || *l->at == ',')
		return 0;
	if (takes(l, "!=")) {
		r->op = SELECTOR_NOT_IN;
		return value(l, r, e);
	}
	if (takes(l, "==") || takes(l, "=")) {
		r->op = SELECTOR_IN;
		return value(l, r, e);
	}
	if (!word(l, how) || (strcmp(how, "in") != 0 && strcmp(how, "notin") != 0) ||
	    !takes(l, "("))
		return bad_term(l, "= or != or in (...) or notin (...) is missing", e);
	r->op = strcmp(how, "in") == 0 ? SELECTOR_IN : SELECTOR_NOT_IN;
	do {
		if (value(l, r, e) < 0)
			return -1;
	} while (takes(l, ","));
	return takes(l, ")") ? 0 : bad_term(l, "a ) is missing", e);
}

int selector_parse(const char *what, const char *text, struct selector *ret, struct err *e)
{
	CLEANUP(selector_clear) struct selector s = { .n = 0 };
	struct line l = { what, text, text };

	blanks(&l);
	while (*l.at) {
		if (s.n == SELECTOR_RULES_MAX)
			return bad_term(&l, "there are too many terms", e);
		if (term(&l, &s, e) < 0)
			return -1;
		blanks(&l);
		if (!*l.at)
			break;
		if (!takes(&l, ","))
			return bad_term(&l, "a comma is missing", e);
		blanks(&l);
		if (!*l.at)
			return bad_term(&l, "a term is missing", e);
	}
	*ret = s;
	s = (struct selector){ .n = 0 };
	return 0;
}

/* ---- the decision ---- */

static bool rule_fits(const struct selector_rule *r, const char *label)
{
	bool among = false;

	if (r->op == SELECTOR_EXISTS || r->op == SELECTOR_DOES_NOT_EXIST)
		return (label != NULL) == (r->op == SELECTOR_EXISTS);
	for (size_t i = 0; label && i < r->n; i++)
		among |= strcmp(r->values[i], label) == 0;
	return among == (r->op == SELECTOR_IN);
}

bool selector_fits(const struct selector *s, const json_t *labels)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!rule_fits(&s->rules[i],
		               json_string_value(json_object_get(labels, s->rules[i].key))))
			return false;
	}
	return true;
}
