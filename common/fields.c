/* SPDX-License-Identifier: Apache-2.0 */
/* Checked members with their path; see the header. */
#include "common/fields.h"

#include <fnmatch.h>
#include <string.h>

#include "common/num.h"
#include "common/verb.h"

int fields_bad(const struct fields *f, const char *key, struct err *e, const char *fmt, ...)
{
	char why[ERR_MSG_MAX / 2];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return err_set(e, ERR_INVALID, "%s%s%s: %s", f->path, *f->path && *key != '[' ? "." : "",
	               key, why);
}

/* null is what the API server leaves of a member that was taken away. */
static const json_t *member(const struct fields *f, const char *key)
{
	const json_t *v = json_object_get(f->o, key);

	return json_is_null(v) ? NULL : v;
}

int fields_of(struct fields *ret, const json_t *o, const char *path, const char *const *known,
              struct err *e)
{
	ret->o = o;
	if (path != ret->path)
		(void)snprintf(ret->path, sizeof(ret->path), "%s", path);
	if (!o)
		return 0;
	if (!json_is_object(o))
		return err_set(e, ERR_INVALID, "%s: expected an object", *path ? path : "document");
	/* jansson has no iterator for what is const; this one changes nothing */
	for (void *it = json_object_iter((json_t *)(uintptr_t)o); it;
	     it = json_object_iter_next((json_t *)(uintptr_t)o, it)) {
		const char *key = json_object_iter_key(it);
		const char *near = verb_nearest(key, known);
		size_t i = 0;

		while (known[i] && strcmp(key, known[i]) != 0)
			i++;
		if (known[i])
			continue;
		return near ? fields_bad(ret, key, e, "there is no such field; is '%s' meant?",
		                         near)
		            : fields_bad(ret, key, e, "there is no such field");
	}
	return 0;
}

int fields_in(struct fields *ret, const struct fields *f, const char *key, const char *const *known,
              struct err *e)
{
	const json_t *o = member(f, key);

	(void)snprintf(ret->path, sizeof(ret->path), "%.120s%s%.60s", f->path, *f->path ? "." : "",
	               key);
	return fields_of(ret, o, ret->path, known, e);
}

bool fields_has(const struct fields *f, const char *key)
{
	return member(f, key) != NULL;
}

int fields_need(const struct fields *f, const char *key, struct err *e)
{
	return fields_has(f, key) ? 0 : fields_bad(f, key, e, "is missing");
}

/* 0, or -1: a text that is none of min to max bytes. */
static int check_text(const struct fields *f, const char *key, const json_t *v, size_t min,
                      size_t max, struct err *e)
{
	const char *text = json_string_value(v);
	const size_t n = json_string_length(v);

	if (!text)
		return fields_bad(f, key, e, "expected a string");
	if (n < min || n > max)
		return fields_bad(f, key, e, n < min ? "is empty" : "is longer than %zu bytes",
		                  max);
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return fields_bad(f, key, e, "has a control character in it");
	}
	return 0;
}

int fields_text(const struct fields *f, const char *key, size_t min, size_t max, const char **ret,
                struct err *e)
{
	const json_t *v = member(f, key);

	if (!v)
		return 0;
	if (check_text(f, key, v, min, max, e) < 0)
		return -1;
	*ret = json_string_value(v);
	return 0;
}

int fields_bool(const struct fields *f, const char *key, bool *ret, struct err *e)
{
	const json_t *v = member(f, key);

	if (!v)
		return 0;
	if (!json_is_boolean(v))
		return fields_bad(f, key, e, "expected true or false");
	*ret = json_is_true(v);
	return 0;
}

int fields_number(const struct fields *f, const char *key, int64_t min, int64_t max, int64_t *ret,
                  struct err *e)
{
	const json_t *v = member(f, key);

	if (!v)
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
		return fields_bad(f, key, e, "expected a number from %lld to %lld", (long long)min,
		                  (long long)max);
	*ret = json_integer_value(v);
	return 0;
}

int fields_duration(const struct fields *f, const char *key, int64_t min_s, int64_t max_s,
                    int64_t *ret_s, struct err *e)
{
	const char *text = NULL;
	struct err why = ERR_INIT;
	int64_t s;

	if (fields_text(f, key, 1, 32, &text, e) < 0)
		return -1;
	if (!text)
		return 0;
	if (num_duration("duration", text, &s, &why) < 0)
		return fields_bad(f, key, e, "%s", why.msg);
	if (s < min_s || s > max_s)
		return fields_bad(f, key, e, "'%s' is not between %s and %s", text,
		                  num_duration_text(min_s).s, num_duration_text(max_s).s);
	*ret_s = s;
	return 0;
}

int fields_choice(const struct fields *f, const char *key, const char *const *names, unsigned *ret,
                  struct err *e)
{
	const char *text = NULL;
	char all[128] = "";

	if (fields_text(f, key, 0, 64, &text, e) < 0)
		return -1;
	if (!text)
		return 0;
	for (unsigned i = 0; names[i]; i++) {
		const size_t n = strlen(all);

		if (strcmp(text, names[i]) == 0) {
			*ret = i;
			return 0;
		}
		(void)snprintf(all + n, sizeof(all) - n, "%s%s", i > 0 ? ", " : "", names[i]);
	}
	return fields_bad(f, key, e, "'%s' is none of %s", text, all);
}

int fields_list(const struct fields *f, const char *key, size_t max, const json_t **ret,
                struct err *e)
{
	const json_t *v = member(f, key);

	*ret = v;
	if (v && !json_is_array(v))
		return fields_bad(f, key, e, "expected a list");
	if (v && json_array_size(v) > max)
		return fields_bad(f, key, e, "has %zu items; the limit is %zu", json_array_size(v),
		                  max);
	return 0;
}

int fields_texts(const struct fields *f, const char *key, size_t max, size_t max_bytes,
                 struct fields_texts *ret, struct err *e)
{
	const json_t *list;

	if (fields_list(f, key, max, &list, e) < 0)
		return -1;
	const size_t n = json_array_size(list);
	if (n == 0)
		return 0;
	auto_free const char **v = calloc(n, sizeof(*v));
	if (!v)
		return err_set(e, ERR_NOMEM, "no memory for %s.%s", f->path, key);
	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_array_get(list, i);
		char at[96];

		(void)snprintf(at, sizeof(at), "%.70s[%zu]", key, i);
		if (check_text(f, at, item, 1, max_bytes, e) < 0)
			return -1;
		v[i] = json_string_value(item);
		for (size_t j = 0; j < i; j++) {
			if (strcmp(v[j], v[i]) == 0)
				return fields_bad(f, at, e, "'%s' is there twice", v[i]);
		}
	}
	ret->v = STEAL(&v);
	ret->n = n;
	return 0;
}

void fields_texts_clear(struct fields_texts *t)
{
	free(t->v);
	*t = (struct fields_texts){ .n = 0 };
}

int fields_words(const struct fields *f, const char *key, size_t max, struct fields_texts *ret,
                 struct err *e)
{
	const json_t *list;

	if (fields_list(f, key, max, &list, e) < 0)
		return -1;
	const size_t n = json_array_size(list);
	if (n == 0)
		return fields_bad(f, key, e, "is empty");
	auto_free const char **v = calloc(n, sizeof(*v));
	if (!v)
		return err_set(e, ERR_NOMEM, "no memory for %s.%s", f->path, key);
	for (size_t i = 0; i < n; i++) {
		const json_t *word = json_array_get(list, i);
		char at[96];

		(void)snprintf(at, sizeof(at), "%.70s[%zu]", key, i);
		if (!json_is_string(word))
			return fields_bad(f, at, e, "expected a string");
		if (json_string_length(word) > FIELDS_WORD_MAX)
			return fields_bad(f, at, e, "is longer than %zu bytes", FIELDS_WORD_MAX);
		v[i] = json_string_value(word);
	}
	if (!*v[0])
		return fields_bad(f, key, e, "its first word, the program, is empty");
	ret->v = STEAL(&v);
	ret->n = n;
	return 0;
}

static bool among(const struct fields_texts *patterns, const char *name)
{
	for (size_t i = 0; i < patterns->n; i++) {
		if (fnmatch(patterns->v[i], name, 0) == 0)
			return true;
	}
	return false;
}

bool fields_fit(const struct fields_texts *only, const struct fields_texts *except,
                const char *name)
{
	return (only->n == 0 || among(only, name)) && !among(except, name);
}
