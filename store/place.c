/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs of object stores. What a URL may not hold is said without repeating
 * it: who writes a secret there by mistake shall not find it in a log.
 */
#include "store/place.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "common/secret.h"

#define URL_MAX 4096
#define SETTINGS_MAX (64 * 1024)

/* Names of parameters that people would try, and that are secrets. */
static const char *const secrets[] = { "sig", "key",        "secret",      "password",  "token",
	                               "sas", "accountkey", "account-key", "secret-key" };
#define NAME_MAX_SHOWN 20

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool place_unescape(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		if (*p != '%') {
			*to++ = *p;
			continue;
		}
		int high = nibble(p[1]);
		int low = high < 0 ? -1 : nibble(p[2]);
		if (low < 0 || (high == 0 && low == 0))
			return false;
		*to++ = (char)(high << 4 | low);
		p += 2;
	}
	*to = '\0';
	return true;
}

void place_clear(struct place *p)
{
	free(p->plain);
	free(p->host);
	free(p->rest);
	for (unsigned i = 0; i < p->nparams; i++) {
		free(p->params[i].name);
		free(p->params[i].value);
	}
	secret_free(p->settings);
	*p = (struct place){ 0 };
}

const char *place_param(const struct place *p, const char *name)
{
	for (unsigned i = 0; i < p->nparams; i++)
		if (strcmp(p->params[i].name, name) == 0)
			return p->params[i].value;
	return NULL;
}

const char *place_setting(const struct place *p, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = p->settings; at && *at; at += strlen(at) + 1)
		if (strncmp(at, name, n) == 0 && at[n] == '=')
			return at[n + 1] ? at + n + 1 : NULL;
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

/* ---- the file of settings ---- */

/* Lines of text become "NAME=VALUE\0"...; in place. ERR_FORMAT names the line. */
static int split_lines(char *text, const char *path, struct err *e)
{
	char *to = text;
	unsigned number = 0;

	for (char *line = text; *line;) {
		char *end = strchrnul(line, '\n');
		char *next = *end ? end + 1 : end;

		number++;
		while (end > line && isspace((unsigned char)end[-1]))
			end--;
		*end = '\0';
		while (isspace((unsigned char)*line))
			line++;
		size_t name = strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
		if (*line && *line != '#') {
			if (name == 0 || line[name] != '=')
				return err_set(e, ERR_FORMAT,
				               "line %u of '%s' is not NAME=VALUE, a comment or "
				               "empty",
				               number, path);
			size_t len = strlen(line);
			memmove(to, line, len + 1);
			to += len + 1;
		}
		line = next;
	}
	*to = '\0';
	return 0;
}

static int read_settings(const char *path, char **ret, struct err *e)
{
	auto_secret char *text = secret_new(SETTINGS_MAX + 2);
	struct stat st;

	if (!text)
		return err_set(e, ERR_NOMEM, "no locked memory for '%s'", path);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "opening the credentials '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "the credentials '%s' are no regular file", path);
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return err_set(e, ERR_DENIED,
		               "the credentials '%s' may be read by others than their owner; run "
		               "chmod 600",
		               path);
	ssize_t n = fd_read_full(fd, text, SETTINGS_MAX + 1);
	if (n < 0)
		return err_sys(e, errno, "reading the credentials '%s'", path);
	if (n > SETTINGS_MAX || memchr(text, '\0', (size_t)n))
		return err_set(e, ERR_FORMAT, "the credentials '%s' are no text of up to %d bytes",
		               path, SETTINGS_MAX);
	text[n] = '\0';
	text[n + 1] = '\0';
	if (split_lines(text, path, e) < 0)
		return -1;
	*ret = STEAL(&text);
	return 0;
}

/* ---- the URL ---- */

/* True when a field of a query "a=b&c=d" has the name of a secret. */
static bool has_secret(const char *query)
{
	for (const char *at = query; *at; at += strcspn(at, "&"), at += *at == '&') {
		size_t n = strcspn(at, "=&");

		for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
			if (strncasecmp(at, secrets[i], n) == 0 && !secrets[i][n])
				return true;
	}
	return false;
}

/* True when a value is a URL with "user:password@", or with a secret in its own query. */
static bool value_has_secret(const char *value)
{
	const char *host = strstr(value, "://");
	const char *query = strchr(value, '?');

	return host && (memchr(host + 3, '@', strcspn(host + 3, "/?#")) ||
	                (query && has_secret(query + 1)));
}

static int refuse_secret(const struct place *p, struct err *e)
{
	return err_set(e, ERR_INVALID,
	               "the URL of '%s' has a secret in it, which would be seen by others and kept "
	               "in logs: put it into the environment or a file that the parameter "
	               "'credentials' names",
	               p->plain);
}

/* What looks like the name of a parameter is repeated; the rest may be a secret out of place. */
static int refuse_name(const struct place *p, const char *name, struct err *e)
{
	if (strlen(name) <= NAME_MAX_SHOWN &&
	    !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_")])
		return err_set(e, ERR_INVALID, "'%s' is no parameter that a store like '%s' has",
		               name, p->plain);
	return err_set(e, ERR_INVALID,
	               "the URL of '%s' has something that is no parameter of such a store",
	               p->plain);
}

/* text: "a=b&c=d"; taken apart in place. */
static int take_params(struct place *p, char *text, const char *const *known, struct err *e)
{
	char *rest = text;

	/* First of all: what follows repeats names. */
	if (has_secret(text))
		return refuse_secret(p, e);
	for (char *one = strsep(&rest, "&"); one; one = strsep(&rest, "&")) {
		char *value = strchr(one, '=');
		size_t i = 0;

		if (!*one)
			continue;
		if (value)
			*value++ = '\0';
		while (known[i] && strcmp(known[i], one) != 0)
			i++;
		if (!known[i])
			return refuse_name(p, one, e);
		if (!value || !*value || !place_unescape(value))
			return err_set(e, ERR_INVALID,
			               "the parameter '%s' of '%s' has no value, or one that is "
			               "not percent-encoded",
			               one, p->plain);
		if (value_has_secret(value))
			return refuse_secret(p, e);
		if (place_param(p, one) || p->nparams == PLACE_PARAMS)
			return err_set(e, ERR_INVALID, "the parameter '%s' of '%s' is given twice",
			               one, p->plain);
		p->params[p->nparams].name = strdup(one);
		p->params[p->nparams].value = strdup(value);
		p->nparams++; /* first: what was made is freed with p */
		if (!p->params[p->nparams - 1].name || !p->params[p->nparams - 1].value)
			return err_set(e, ERR_NOMEM, "no memory for a URL");
	}
	return 0;
}

/* A text without spaces and control characters, and none of what separates parts of URLs. */
static bool plain_text(const char *text, const char *extra)
{
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr(extra, *text))
			return false;
	return true;
}

int place_parse(const char *url, const char *const *known, struct place *ret, struct err *e)
{
	CLEANUP(place_clear) struct place p = { 0 };

	if (strlen(url) > URL_MAX)
		return err_set(e, ERR_INVALID, "the store's URL is longer than %d characters",
		               URL_MAX);
	auto_free char *copy = strdup(url);
	if (!copy)
		return err_set(e, ERR_NOMEM, "no memory for a URL");
	char *params = strchr(copy, '?');
	if (params)
		*params++ = '\0';
	char *host = strstr(copy, "://");
	if (!host || !host[3] || host[3] == '/' ||
	    strspn(copy, "abcdefghijklmnopqrstuvwxyz0123456789") != (size_t)(host - copy))
		return err_set(e, ERR_INVALID,
		               "a store's URL is written SCHEME://NAME/..., this one has no name");
	host += 3;
	if (!plain_text(host, "./_-"))
		return err_set(e, ERR_INVALID,
		               "the name and the path of a store have only letters, digits and "
		               ". _ - / in them; this URL has something else");
	size_t n = strlen(copy);
	while (n > 0 && copy[n - 1] == '/')
		copy[--n] = '\0';
	p.plain = strdup(copy);
	char *rest = strchr(host, '/');
	if (rest)
		*rest++ = '\0';
	if (rest && (strstr(rest, "//") || *rest == '/'))
		return err_set(e, ERR_INVALID, "the path in the URL of a store has an empty part");
	p.host = strdup(host);
	p.rest = strdup(rest ? rest : "");
	if (!p.plain || !p.host || !p.rest)
		return err_set(e, ERR_NOMEM, "no memory for a URL");
	if (params && take_params(&p, params, known, e) < 0)
		return -1;
	const char *file = place_param(&p, "credentials");
	if (file && read_settings(file, &p.settings, e) < 0)
		return -1;
	*ret = p;
	p = (struct place){ 0 };
	return 0;
}
