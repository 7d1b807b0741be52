/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list with commas both between challenges and between the parameters of one: a word that no "="
 * follows begins the next challenge.
 */
#include "restore/challenge.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define SPACE " \t"
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"

/* A value, quoted or not, into ret; *ok: it fits, and ends. Returns what is behind it. */
static const char *value(const char *p, char *ret, size_t max, bool *ok)
{
	size_t n = 0;
	bool quoted = *p == '"';

	for (p += quoted; *p && (quoted ? *p != '"' : !strchr("," SPACE, *p)); p++) {
		if (quoted && *p == '\\' && p[1])
			p++;
		if (n + 1 < max)
			ret[n] = *p;
		n++;
	}
	*ok = n + 1 <= max && (!quoted || *p == '"');
	ret[*ok ? n : 0] = '\0';
	return p + (quoted && *p == '"');
}

static bool is(const char *p, size_t n, const char *word)
{
	return n == strlen(word) && strncasecmp(p, word, n) == 0;
}

/* The parameter at p, if there is one, into c. NULL: there is none. */
static const char *parameter(const char *p, struct challenge *c, bool *bad)
{
	size_t n = strspn(p, NAME_CHARS);
	const char *at = p + n + strspn(p + n, SPACE);
	char other[1];
	bool ok = true;

	/* What stands alone, with "=" at its end or not, is a token68. */
	if (n == 0 || *at != '=')
		return NULL;
	at += 1 + strspn(at + 1, SPACE);
	if (is(p, n, "realm"))
		at = value(at, c->realm, sizeof(c->realm), &ok);
	else if (is(p, n, "service"))
		at = value(at, c->service, sizeof(c->service), &ok);
	else
		return value(at, other, sizeof(other), &ok);
	*bad |= !ok;
	return at;
}

/* The challenge at p; returns what is behind it. */
static const char *one(const char *p, struct challenge *ret)
{
	struct challenge c = { .kind = CHALLENGE_NONE };
	size_t n = strspn(p, NAME_CHARS);
	bool bad = n == 0;

	if (is(p, n, "bearer"))
		c.kind = CHALLENGE_BEARER;
	else if (is(p, n, "basic"))
		c.kind = CHALLENGE_BASIC;
	p += n;
	for (;;) {
		p += strspn(p, "," SPACE);
		const char *next = parameter(p, &c, &bad);
		if (!next)
			break;
		p = next;
	}
	if (bad || (c.kind == CHALLENGE_BEARER && !c.realm[0]))
		c.kind = CHALLENGE_NONE;
	*ret = c;
	return p;
}

struct challenge challenge_parse(const char *header)
{
	struct challenge best = { .kind = CHALLENGE_NONE };

	for (const char *p = header; *p;) {
		struct challenge c;
		const char *next = one(p, &c);

		if (c.kind > best.kind)
			best = c;
		if (next == p) /* a character that nothing begins with */
			break;
		p = next;
	}
	return best;
}
