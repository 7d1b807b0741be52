/* SPDX-License-Identifier: Apache-2.0 */
/* See visitor.h. */
#include "common/visitor.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "common/clean.h"
#include "common/hex.h"
#include "common/secret.h"

#define HOST_MAX 254 /* of a name of DNS, with its NUL */

/* ---- tokens ---- */

/* 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=" */
static bool is_token(const char *text, size_t n)
{
	static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~+/";
	size_t i = 0;

	while (i < n && text[i] != '\0' && strchr(chars, text[i]))
		i++;
	const size_t word = i;
	while (i < n && text[i] == '=')
		i++;
	return word > 0 && i == n;
}

static int take(const char *text, size_t n, char *ret, struct err *e)
{
	if (n >= VISITOR_TOKEN_MAX)
		return err_set(e, ERR_TOO_BIG, "the token is too long");
	if (!is_token(text, n))
		return err_set(e, ERR_INVALID, "what is given as a token is none");
	memcpy(ret, text, n);
	ret[n] = '\0';
	return 0;
}

/* Everything behind the first colon: a user name has none. */
static int take_password(const char *base64, char *ret, struct err *e)
{
	const size_t n = base64_size(base64);

	if (n == SIZE_MAX)
		return err_set(e, ERR_INVALID, "the user name and the token are no base64");
	if (n > 2 * (size_t)VISITOR_TOKEN_MAX)
		return err_set(e, ERR_TOO_BIG, "the token is too long");
	auto_secret char *text = secret_new(n + 1);
	if (!text)
		return err_set(e, ERR_NOMEM, "no memory for a token");
	if (base64_decode(text, n, base64) < 0)
		return err_set(e, ERR_INVALID, "the user name and the token are no base64");
	const char *colon = memchr(text, ':', n);
	if (!colon)
		return err_set(e, ERR_INVALID, "there is a user name, and no token behind it");
	colon++;
	return take(colon, n - (size_t)(colon - text), ret, e);
}

/* What follows the name of a scheme and blanks; NULL: it is another one. */
static const char *behind(const char *text, const char *scheme)
{
	const size_t n = strlen(scheme);

	if (strncasecmp(text, scheme, n) != 0 || text[n] != ' ')
		return NULL;
	return text + n + strspn(text + n, " ");
}

int visitor_token(const char *authorization, char *ret, struct err *e)
{
	const char *bearer = behind(authorization, "Bearer");
	const char *basic = behind(authorization, "Basic");

	if (bearer)
		return take(bearer, strlen(bearer), ret, e);
	if (basic)
		return take_password(basic, ret, e);
	return err_set(e, ERR_INVALID, "there is neither a bearer token, nor a user name with one");
}

/* ---- hosts ---- */

/* Nothing, or ":" and a port. */
static bool is_port(const char *text)
{
	const size_t digits = *text == ':' ? strspn(text + 1, "0123456789") : 0;

	return *text == '\0' || (digits >= 1 && digits <= 5 && text[1 + digits] == '\0');
}

static bool is_listed(const char *name, const char *names)
{
	static const char between[] = ", ";

	while (names && *(names += strspn(names, between))) {
		const size_t n = strcspn(names, between);

		if (strlen(name) == n && strncasecmp(name, names, n) == 0)
			return true;
		names += n;
	}
	return false;
}

bool visitor_host(const char *host, const char *names)
{
	struct in_addr v4;
	char name[HOST_MAX];
	const size_t n = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

	if (n == 0 || n >= sizeof(name) || n > strlen(host) || !is_port(host + n))
		return false;
	memcpy(name, host, n);
	name[n] = '\0';
	if (strcasecmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0)
		return true;
	if (inet_pton(AF_INET, name, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127)
		return true;
	return is_listed(name, names);
}
