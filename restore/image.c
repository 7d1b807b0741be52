/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the right: a digest behind "@", then a tag behind the last ":" that no "/" follows. The
 * first component is a host when it cannot be a name of Docker Hub: it has a dot or a colon, or is
 * localhost.
 */
#include "restore/image.h"

#include <stdio.h>
#include <string.h>

#include "common/clean.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define TAG_MAX 128

static int is_none(const char *text, const char *why, struct err *e)
{
	return err_set(e, ERR_INVALID, "'%.200s' is no name of an image: %s", text, why);
}

bool image_is_digest(const char *text)
{
	static const struct {
		const char *name;
		size_t digits;
	} kinds[] = { { "sha256:", 64 }, { "sha512:", 128 } };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t n = strlen(kinds[i].name);

		if (strncmp(text, kinds[i].name, n) == 0)
			return strspn(text + n, DIGITS "abcdef") == kinds[i].digits &&
			       !text[n + kinds[i].digits];
	}
	return false;
}

/* A host, with a port or without: what may stand in a URL as it is. */
static bool is_host(const char *host)
{
	const char *port = strchr(host, ':');
	size_t n = port ? (size_t)(port - host) : strlen(host);

	if (n == 0 || strspn(host, LOWER UPPER DIGITS ".-") != n || host[0] == '-' ||
	    host[0] == '.')
		return false;
	if (!port)
		return true;
	size_t digits = strspn(port + 1, DIGITS);
	return digits > 0 && digits <= 5 && !port[1 + digits];
}

/* Lower-case letters and digits, with one dot, one or two underscores or any dashes between. */
static bool is_component(const char *p, size_t n)
{
	size_t word, joint;

	for (size_t at = 0; at < n; at += word + joint) {
		word = strspn(p + at, LOWER DIGITS);
		joint = 0;
		if (word == 0)
			return false;
		if (at + word >= n)
			return at + word == n;
		const char *s = p + at + word;
		joint = *s == '-' ? strspn(s, "-") : *s == '.' ? 1 : strspn(s, "_");
		if (joint == 0 || (*s == '_' && joint > 2) || at + word + joint >= n)
			return false;
	}
	return false;
}

static bool is_repository(const char *name)
{
	for (;;) {
		size_t n = strcspn(name, "/");

		if (!is_component(name, n))
			return false;
		if (!name[n])
			return true;
		name += n + 1;
	}
}

static bool is_tag(const char *tag)
{
	size_t n = strspn(tag, LOWER UPPER DIGITS "_.-");

	return n > 0 && n <= TAG_MAX && !tag[n] && tag[0] != '.' && tag[0] != '-';
}

/* Splits what is before the digest into host, repository and tag (NULL: none). Changes name. */
static int split(const char *text, char *name, struct image *i, const char **ret_tag, struct err *e)
{
	char *slash = strrchr(name, '/');
	char *tag = strrchr(slash ? slash : name, ':');
	char *first = strchr(name, '/');
	size_t n = first ? (size_t)(first - name) : 0;
	bool hub = !first || (!memchr(name, '.', n) && !memchr(name, ':', n) &&
	                      strncmp(name, "localhost/", 10) != 0);

	if (tag)
		*tag++ = '\0';
	*ret_tag = tag;
	const char *repository = hub ? name : first + 1;
	if (!hub && n >= sizeof(i->host))
		return is_none(text, "its host is too long", e);
	(void)snprintf(i->host, sizeof(i->host), "%.*s", hub ? 9 : (int)n,
	               hub ? "docker.io" : name);
	if (strcmp(i->host, "index.docker.io") == 0)
		(void)snprintf(i->host, sizeof(i->host), "docker.io");
	if (!is_host(i->host))
		return is_none(text, "its host is none", e);
	const char *library = strcmp(i->host, "docker.io") == 0 && !strchr(repository, '/')
	                              ? "library/"
	                              : "";
	int len = snprintf(i->repository, sizeof(i->repository), "%s%s", library, repository);
	if (len < 0 || (size_t)len >= sizeof(i->repository))
		return is_none(text, "it is longer than 255 bytes", e);
	return is_repository(i->repository)
	               ? 0
	               : is_none(text, "it has characters that no repository has", e);
}

int image_parse(const char *text, struct image *ret, struct err *e)
{
	struct image i = { .digest = false };
	char name[IMAGE_MAX];
	const char *tag;
	/* How dockershim wrote what it had pulled. */
	const char *from = strncmp(text, "docker-pullable://", 18) == 0 ? text + 18 : text;

	if (strlen(from) >= sizeof(name))
		return is_none(text, "it is too long", e);
	(void)snprintf(name, sizeof(name), "%s", from);
	char *digest = strchr(name, '@');
	if (digest)
		*digest++ = '\0';
	if (digest && !image_is_digest(digest))
		return is_none(text, "what is behind the @ is no digest of sha256 or sha512", e);
	if (image_is_digest(name))
		return is_none(text, "it is a digest alone, and no registry is known for it", e);
	if (split(text, name, &i, &tag, e) < 0)
		return -1;
	if (tag && !is_tag(tag))
		return is_none(text, "what is behind the : is no tag", e);
	i.digest = digest != NULL;
	(void)snprintf(i.reference, sizeof(i.reference), "%s",
	               digest ? digest : (tag ? tag : "latest"));
	*ret = i;
	return 0;
}
