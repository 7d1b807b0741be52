/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exclude patterns: a line each, the last line is a path. The answer is the
 * one of the rules of snapshot/match.h, written down without any cleverness.
 */
#include <fnmatch.h>

#include "snapshot/match.h"
#include "tests/fuzz/fuzz.h"

#define PATTERNS_MAX 8
#define PARTS_MAX 16

struct parts {
	char *at[PARTS_MAX + 2];
	size_t n;
};

static bool split(char *text, struct parts *ret)
{
	for (char *rest = text, *part; (part = strsep(&rest, "/"));) {
		if (ret->n == PARTS_MAX || strlen(part) > 255)
			return false;
		ret->at[ret->n++] = part;
	}
	return true;
}

/* Whether each end of the pattern fits each end of the path, the shortest first. */
static bool fits(const struct parts *pattern, const struct parts *path)
{
	bool ends[PARTS_MAX + 3][PARTS_MAX + 3] = { { false } };

	ends[pattern->n][path->n] = true;
	for (size_t i = pattern->n; i-- > 0;) {
		bool deep = strcmp(pattern->at[i], "**") == 0;

		for (size_t k = path->n + 1; k-- > 0;) {
			if (deep)
				ends[i][k] = ends[i + 1][k] || ends[i][k + 1];
			else
				ends[i][k] = k < path->n && ends[i + 1][k + 1] &&
				             fnmatch(pattern->at[i], path->at[k], 0) == 0;
		}
	}
	return ends[0][0];
}

/* Whether one pattern, which is well-formed, fits; -1: too many parts to say. */
static int fits_one(const char *text, const char *path, bool is_dir)
{
	struct parts pattern = { 0 };
	struct parts names = { 0 };
	static char deep[] = "**";
	static char any[] = "*";
	auto_free char *p = strdup(text + (*text == '!'));
	auto_free char *q = strdup(path);

	holds(p && q);
	size_t len = strlen(p);
	bool dirs = p[len - 1] == '/';
	if (dirs)
		p[--len] = '\0';
	bool rooted = strchr(p, '/') != NULL;
	if (!rooted)
		pattern.at[pattern.n++] = deep;
	if (!split(p + (*p == '/'), &pattern) || !split(q, &names))
		return -1;
	/* what is below, not the directory itself */
	if (strcmp(pattern.at[pattern.n - 1], "**") == 0)
		pattern.at[pattern.n++] = any;
	return (!dirs || is_dir) && fits(&pattern, &names);
}

static bool path_valid(const char *path)
{
	size_t n = strlen(path);

	return n > 0 && path[0] != '/' && path[n - 1] != '/' && !strstr(path, "//");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *lines[PATTERNS_MAX + 1];
	const uint8_t *line;
	size_t len;
	size_t n = 0;
	bool known = true;
	struct err e = ERR_INIT;

	if (size > 2 * KIB)
		return 0;
	while (n < ARRAY_LEN(lines) && fuzz_piece(&data, &size, '\n', &line, &len))
		lines[n++] = fuzz_text(line, len);
	const char *path = n > 0 ? lines[n - 1] : "";
	size_t npatterns = n > 0 ? n - 1 : 0;
	struct match *m = match_new((const char *const *)lines, npatterns, &e);
	if (!m)
		fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID));
	for (int is_dir = 0; m && path_valid(path) && is_dir < 2; is_dir++) {
		bool out = match_path(m, path, is_dir);
		bool wanted = false;

		for (size_t i = 0; i < npatterns; i++) {
			int one = fits_one(lines[i], path, is_dir);

			known &= one >= 0;
			if (one > 0)
				wanted = *lines[i] != '!';
		}
		holds(!known || out == wanted);
	}
	match_free(m);
	for (size_t i = 0; i < n; i++)
		free(lines[i]);
	return 0;
}
