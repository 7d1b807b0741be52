/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pattern is kept as its parts between slashes. A path is compared part by
 * part; `**` is tried with nothing first and takes one more folder each time
 * the rest does not fit. Only the last `**` met is ever gone back to, so the
 * cost is at most parts of the pattern times parts of the path.
 */
#include "snapshot/match.h"

#include <fnmatch.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

struct pattern {
	char *text; /* the parts, each with its NUL */
	char **parts;
	size_t n;
	bool again; /* '!' */
	bool dirs;  /* directories only */
};

struct match {
	struct pattern *patterns;
	size_t n;
};

static const char any_depth[] = "**";

static bool is_any_depth(const char *part)
{
	return strcmp(part, any_depth) == 0;
}

static int bad(const char *text, const char *why, struct err *e)
{
	return err_set(e, ERR_INVALID, "the pattern '%s' %s", text, why);
}

/* Fills p from text; p is freed by the caller, also on failure. */
static int parse(struct pattern *p, const char *text, struct err *e)
{
	const char *s = text;

	if (*s == '!') {
		p->again = true;
		s++;
	}
	size_t len = strlen(s);
	if (len > 0 && s[len - 1] == '/') {
		p->dirs = true;
		len--;
	}
	bool rooted = memchr(s, '/', len) != NULL;
	if (len > 0 && *s == '/') {
		s++;
		len--;
	}
	if (len == 0)
		return bad(text, "is empty; remove it", e);

	/* a pattern has at most one part a character, and two of our own */
	p->text = strndup(s, len);
	p->parts = calloc(len + 2, sizeof(*p->parts));
	if (!p->text || !p->parts)
		return err_set(e, ERR_NOMEM, "no memory for a pattern");
	static char deep[] = "**", one[] = "*";
	if (!rooted)
		p->parts[p->n++] = deep;
	for (char *rest = p->text, *part; (part = strsep(&rest, "/"));) {
		if (!*part || strcmp(part, ".") == 0 || strcmp(part, "..") == 0)
			return bad(text,
			           "has an empty, '.' or '..' part; write the path as it is "
			           "in the volume",
			           e);
		p->parts[p->n++] = part;
	}
	if (is_any_depth(p->parts[p->n - 1])) /* what is below, not the directory itself */
		p->parts[p->n++] = one;
	return 0;
}

struct match *match_new(const char *const *patterns, size_t n, struct err *e)
{
	struct match *m = calloc(1, sizeof(*m));

	if (m && n > 0)
		m->patterns = calloc(n, sizeof(*m->patterns));
	if (!m || (n > 0 && !m->patterns)) {
		match_free(m);
		err_set(e, ERR_NOMEM, "no memory for %zu patterns", n);
		return NULL;
	}
	for (; m->n < n; m->n++) {
		if (parse(&m->patterns[m->n], patterns[m->n], e) < 0) {
			m->n++;
			match_free(m);
			return NULL;
		}
	}
	return m;
}

void match_free(struct match *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++) {
		free(m->patterns[i].text);
		free(m->patterns[i].parts);
	}
	free(m->patterns);
	free(m);
}

/* Start of the part after the one at s; the end of the path when there is none. */
static const char *after(const char *s)
{
	const char *slash = strchrnul(s, '/');

	return *slash ? slash + 1 : slash;
}

static bool fits_part(const char *part, const char *s)
{
	char name[NAME_MAX + 1];
	size_t len = (size_t)(strchrnul(s, '/') - s);

	if (len > NAME_MAX)
		return false;
	memcpy(name, s, len);
	name[len] = '\0';
	return fnmatch(part, name, 0) == 0;
}

static bool fits(const struct pattern *p, const char *path)
{
	size_t i = 0, retry = SIZE_MAX;
	const char *s = path, *retry_s = NULL;

	while (*s) {
		if (i < p->n && is_any_depth(p->parts[i])) {
			retry = i++;
			retry_s = s;
		} else if (i < p->n && fits_part(p->parts[i], s)) {
			i++;
			s = after(s);
		} else if (retry != SIZE_MAX) {
			retry_s = after(retry_s);
			s = retry_s;
			i = retry + 1;
		} else {
			return false;
		}
	}
	return i == p->n;
}

bool match_path(const struct match *m, const char *path, bool is_dir)
{
	for (size_t i = m->n; i-- > 0;) {
		const struct pattern *p = &m->patterns[i];

		if ((!p->dirs || is_dir) && fits(p, path))
			return !p->again;
	}
	return false;
}
