/* SPDX-License-Identifier: Apache-2.0 */
/* See select.h. A pattern is looked for below the folders that it begins with. */
#include "restore/select.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "repo/format.h"
#include "restore/restore_impl.h"
#include "snapshot/match.h"

struct item {
	char *text;
	struct match *match; /* NULL: text is a path */
	uint64_t matched;
};

struct select {
	struct item *items;
	size_t n, cap;
	const char **roots;
	char **owned; /* the texts of roots */
	size_t nroots;
	struct buf scratch; /* a path and its parents, one after the other */
	struct buf under;   /* a directory that is wanted with all below it */
	bool is_under;      /* there is one */
};

struct select *select_new(void)
{
	struct select *s = calloc(1, sizeof(*s));

	if (s)
		s->scratch.max = s->under.max = FORMAT_PATH_MAX + 1;
	return s;
}

void select_free(struct select *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		free(s->items[i].text);
		match_free(s->items[i].match);
	}
	for (size_t i = 0; s->owned && i < s->n; i++)
		free(s->owned[i]);
	free(s->items);
	free(s->owned);
	free(s->roots);
	buf_clear(&s->scratch);
	buf_clear(&s->under);
	free(s);
}

bool select_is_pattern(const char *text)
{
	return strpbrk(text, "*?[") != NULL;
}

static int add(struct select *s, const char *text, struct match *take_match, struct err *e)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 8;
		struct item *items = reallocarray(s->items, cap, sizeof(*items));

		if (items) {
			s->items = items;
			s->cap = cap;
		}
	}
	char *copy = strdup(text);
	if (!copy || s->n == s->cap) {
		free(copy);
		match_free(take_match);
		return restore_no_memory(e);
	}
	s->items[s->n++] = (struct item){ .text = copy, .match = take_match };
	return 0;
}

int select_add_path(struct select *s, const char *path, struct err *e)
{
	return add(s, path, NULL, e);
}

int select_add_pattern(struct select *s, const char *pattern, struct err *e)
{
	/* A '!' takes things in again where patterns leave things out; here it is a letter. */
	CLEANUP(buf_clear) struct buf text = BUF_INIT(FORMAT_PATH_MAX);

	(void)buf_str(&text, *pattern == '!' ? "\\" : "");
	(void)buf_str(&text, pattern);
	if (buf_check(&text, "a pattern", e) < 0)
		return -1;
	const char *one = buf_cstr(&text);
	struct match *m = match_new(&one, 1, e);
	return m ? add(s, pattern, m, e) : -1;
}

/* The folders that a pattern begins with, as a path. One without '/' fits at any depth. */
static char *root_of(const struct item *item)
{
	const char *text = item->text + (item->match && *item->text == '/');
	size_t len = strlen(item->text);
	bool at_any_depth = !strchr(item->text, '/') || strchr(item->text, '/')[1] == '\0';

	if (!item->match)
		return strndup(item->text, len);
	size_t n = at_any_depth ? 0 : strcspn(text, "*?[\\");
	return strndup(text, path_parent_len(text, n));
}

static int by_path(const void *a, const void *b)
{
	const char *x = *(const char *const *)a;
	const char *y = *(const char *const *)b;

	return source_path_cmp(x, strlen(x), y, strlen(y));
}

int select_finish(struct select *s, struct err *e)
{
	s->owned = calloc(s->n + 1, sizeof(char *));
	s->roots = calloc(s->n + 1, sizeof(char *));
	if (!s->owned || !s->roots)
		return restore_no_memory(e);
	for (size_t i = 0; i < s->n; i++) {
		s->owned[i] = root_of(&s->items[i]);
		if (!s->owned[i])
			return restore_no_memory(e);
	}
	qsort(s->owned, s->n, sizeof(*s->owned), by_path);
	/* Without what another one holds already. */
	for (size_t i = 0; i < s->n; i++) {
		const char *last = s->nroots > 0 ? s->roots[s->nroots - 1] : NULL;

		if (!last || !path_within(s->owned[i], strlen(s->owned[i]), last, strlen(last)))
			s->roots[s->nroots++] = s->owned[i];
	}
	return 0;
}

const char *const *select_roots(const struct select *s, size_t *ret_n)
{
	*ret_n = s->nroots;
	return s->roots;
}

/* Does something name this very entry? mark: all that do count it. */
static bool names(struct select *s, const char *path, size_t len, bool is_dir, bool mark)
{
	bool any = false;

	buf_reset(&s->scratch);
	if (buf_put(&s->scratch, path, len) < 0)
		return false;
	const char *text = buf_cstr(&s->scratch);
	for (size_t i = 0; i < s->n && (mark || !any); i++) {
		struct item *n = &s->items[i];
		bool fits = n->match ? len > 0 && match_path(n->match, text, is_dir)
		                     : strcmp(n->text, text) == 0;

		any |= fits;
		n->matched += fits && mark;
	}
	return any;
}

enum fit { FIT_NO, FIT_BELOW, FIT_ITSELF };

static enum fit fit_of(struct select *s, const char *path, size_t len, bool is_dir, bool mark)
{
	enum fit fit = names(s, path, len, is_dir, mark) ? FIT_ITSELF : FIT_NO;
	size_t top = len;

	if (fit == FIT_NO && s->is_under && len > s->under.len &&
	    path_within(path, len, (const char *)s->under.data, s->under.len))
		return FIT_BELOW;
	while (fit == FIT_NO && top > 0) {
		top = path_parent_len(path, top);
		if (names(s, path, top, true, false))
			fit = FIT_BELOW;
	}
	if (fit == FIT_BELOW || (fit == FIT_ITSELF && is_dir)) {
		/* What comes next is likely to be below it, too. */
		buf_reset(&s->under);
		s->is_under = buf_put(&s->under, path, top) == 0;
	}
	return fit;
}

bool select_has(struct select *s, const char *path, size_t len, bool is_dir)
{
	return fit_of(s, path, len, is_dir, false) != FIT_NO;
}

/* ---- counting ---- */

struct scan {
	struct select *s;
	struct tree *t;
	const struct cancel *cancel;
	struct select_counts counts;
	bool damaged;
	struct err why; /* of the first damage */
};

static void count(struct scan *x, const struct record *r)
{
	enum fit fit = FIT_NO;

	if (r->position == 0)
		fit = fit_of(x->s, r->path, r->path_len, S_ISDIR(r->st.mode), true);
	if (fit == FIT_NO)
		return;
	x->counts.matched += fit == FIT_ITSELF;
	x->counts.entries++;
	if (!(r->flags & RECORD_HARDLINK))
		x->counts.bytes += r->st.size;
}

static int scan_root(struct scan *x, const char *root, struct err *e)
{
	size_t len = strlen(root);
	bool seek = true;

	for (;;) {
		const struct record *r = NULL;
		struct leaf *leaf;
		struct err why = ERR_INIT;

		if (cancel_check(x->cancel, e) < 0)
			return -1;
		if ((!seek || tree_seek(x->t, root, len, &why) == 0) &&
		    tree_next(x->t, &r, &leaf, &why) == 0) {
			seek = false;
			if (!r)
				return 0;
			if (path_within(r->path, r->path_len, root, len))
				count(x, r);
			else if (source_path_cmp(r->path, r->path_len, root, len) > 0)
				return 0;
			continue;
		}
		seek = false;
		if (!restore_is_loss(&why)) {
			*e = why;
			return -1;
		}
		if (!x->damaged)
			x->why = why;
		x->damaged = true;
		if (!tree_skip_damaged(x->t))
			return 0;
	}
}

int select_scan(struct select *s, struct tree *t, const struct cancel *cancel,
                struct select_counts *ret, struct err *e)
{
	struct scan x = { .s = s, .t = t, .cancel = cancel };

	for (size_t i = 0; i < s->n; i++)
		s->items[i].matched = 0;
	for (size_t i = 0; i < s->nroots; i++) {
		if (scan_root(&x, s->roots[i], e) < 0)
			return -1;
	}
	for (size_t i = 0; i < s->n; i++) {
		if (s->items[i].matched > 0 || x.damaged)
			continue;
		if (!s->items[i].match)
			return err_set(e, ERR_NOT_FOUND, "there is no '%s' in this restore point",
			               s->items[i].text);
		return err_set(e, ERR_NOT_FOUND, "nothing in this restore point fits '%s'",
		               s->items[i].text);
	}
	if (x.counts.matched == 0) {
		*e = x.why;
		return err_wrap(e, "looking for what is wanted");
	}
	*ret = x.counts;
	return 0;
}
