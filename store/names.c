/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest names of many. They collect in one run of bytes; at twice
 * `keep` they are sorted, the upper half goes, and what is above the rest is
 * refused from then on. So each name costs O(log keep) compares at most, and
 * one that is refused a single one.
 */
#include "store/names.h"

#include <string.h>

void names_clear(struct names *s)
{
	free(s->text);
	free(s->at);
	*s = (struct names)NAMES_INIT(s->keep);
}

void names_reset(struct names *s)
{
	s->more = false;
	s->text_len = 0;
	s->n = 0;
}

size_t names_count(const struct names *s)
{
	return s->n;
}

const char *names_get(const struct names *s, size_t i)
{
	return s->text + s->at[i];
}

static int compare(const void *a, const void *b, void *text)
{
	const char *base = text;

	return strcmp(base + *(const size_t *)a, base + *(const size_t *)b);
}

int names_sort(struct names *s)
{
	if (s->n == 0)
		return 0;
	qsort_r(s->at, s->n, sizeof(s->at[0]), compare, s->text);
	size_t unique = 1;
	for (size_t i = 1; i < s->n; i++)
		if (compare(&s->at[i], &s->at[unique - 1], s->text) != 0)
			s->at[unique++] = s->at[i];
	s->n = unique;
	if (s->n <= s->keep)
		return 0;

	char *text = malloc(s->text_cap);
	if (!text)
		return -1;
	size_t len = 0;
	for (size_t i = 0; i < s->keep; i++) {
		const char *name = names_get(s, i);
		size_t n = strlen(name) + 1;

		memcpy(text + len, name, n);
		s->at[i] = len;
		len += n;
	}
	free(s->text);
	s->text = text;
	s->text_len = len;
	s->n = s->keep;
	s->more = true;
	const char *last = names_get(s, s->n - 1);
	memcpy(s->bound, last, strlen(last) + 1);
	return 0;
}

static int reserve(struct names *s, size_t bytes)
{
	if (s->text_cap - s->text_len < bytes) {
		size_t cap = s->text_cap ? s->text_cap * 2 : 4096;
		char *text = realloc(s->text, cap);

		if (!text)
			return -1;
		s->text = text;
		s->text_cap = cap;
	}
	if (s->n == s->at_cap) {
		size_t cap = s->at_cap ? s->at_cap * 2 : 64;
		size_t *at = reallocarray(s->at, cap, sizeof(size_t));

		if (!at)
			return -1;
		s->at = at;
		s->at_cap = cap;
	}
	return 0;
}

int names_add(struct names *s, const char *name, bool dir)
{
	size_t n = strlen(name);
	char text[NAMES_MAX + 1];

	memcpy(text, name, n);
	if (dir)
		text[n++] = '/';
	text[n++] = '\0';
	if (s->more && strcmp(text, s->bound) > 0)
		return 0;
	if (reserve(s, n) < 0)
		return -1;
	memcpy(s->text + s->text_len, text, n);
	s->at[s->n++] = s->text_len;
	s->text_len += n;
	return s->n >= 2 * s->keep ? names_sort(s) : 0;
}
