/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of `auths` are hosts, or URLs of them from the time of the first version of the protocol.
 * Secrets are copied into locked memory; those within the parsed text are wiped before it goes.
 */
#include "restore/auths.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/json.h"
#include "common/secret.h"

#define HOST_MAX 256

struct auths {
	struct entry {
		char host[HOST_MAX];
		char *basic, *token; /* locked memory */
		struct auths_entry told;
	} list[AUTHS_MAX];
	size_t n;
};

struct auths *auths_new(struct err *e)
{
	struct auths *a = calloc(1, sizeof(*a));

	if (!a)
		(void)err_set(e, ERR_NOMEM, "no memory for credentials of registries");
	return a;
}

/* Forgets what was added after the first n. */
static void cut(struct auths *a, size_t n)
{
	while (a->n > n) {
		struct entry *x = &a->list[--a->n];

		secret_free(x->basic);
		secret_free(x->token);
		*x = (struct entry){ .basic = NULL };
	}
}

void auths_free(struct auths *a)
{
	if (!a)
		return;
	cut(a, 0);
	free(a);
}

/* "https://index.docker.io/v1/" -> "docker.io". False: it is longer than any host. */
static bool host_of(const char *key, char ret[HOST_MAX])
{
	const char *at = strstr(key, "://");

	at = at ? at + 3 : key;
	size_t n = strcspn(at, "/");
	if (n == 0 || n >= HOST_MAX)
		return false;
	memcpy(ret, at, n);
	ret[n] = '\0';
	if (strcmp(ret, "index.docker.io") == 0 || strcmp(ret, "registry-1.docker.io") == 0)
		memcpy(ret, "docker.io", sizeof("docker.io"));
	return true;
}

/* What may stand in a header. */
static bool printable(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((uint8_t)text[i] <= ' ' || (uint8_t)text[i] >= 0x7f)
			return false;
	return true;
}

/* A member of an entry; "" where there is none. false: it is no text, or too long. */
static bool member(const json_t *o, const char *key, const char **ret)
{
	const json_t *v = json_object_get(o, key);

	*ret = v ? json_string_value(v) : "";
	return *ret && strlen(*ret) <= AUTHS_SECRET_MAX;
}

/* base64 of "USER:PASSWORD" into new locked memory. NULL: no memory. */
static char *joined(const char *user, const char *password)
{
	size_t n = strlen(user) + 1 + strlen(password), max = 4 * ((n + 2) / 3) + 1;
	auto_secret char *plain = secret_new(n + 1);
	char *ret = secret_new(max);

	if (plain && ret) {
		(void)snprintf(plain, n + 1, "%s:%s", user, password);
		(void)base64_encode(ret, max, plain, n);
		return ret;
	}
	secret_free(ret);
	return NULL;
}

/* Whether the text is base64 of something with a colon in it. */
static bool is_basic(const char *text)
{
	size_t n = base64_size(text);
	bool good = false;

	if (n == 0 || n == SIZE_MAX)
		return false;
	auto_secret char *plain = secret_new(n);
	good = plain && base64_decode(plain, n, text) == 0 && memchr(plain, ':', n);
	return good;
}

static char *copy(const char *text)
{
	char *ret = secret_new(strlen(text) + 1);

	if (ret)
		memcpy(ret, text, strlen(text) + 1);
	return ret;
}

/* Into x, whose host is set. -1 with e; 1: it says nothing. */
static int read_entry(struct entry *x, const char *what, const json_t *o, struct err *e)
{
	const char *auth, *user, *password, *token;

	if (!json_is_object(o) || !member(o, "auth", &auth) || !member(o, "username", &user) ||
	    !member(o, "password", &password) || !member(o, "identitytoken", &token) ||
	    (*auth && !is_basic(auth)) || !printable(token, strlen(token)))
		return err_set(e, ERR_FORMAT, "%s: what it has for '%s' is no user and password",
		               what, x->host);
	if (!*auth && !*user && !*token)
		return 1;
	x->basic = *auth ? copy(auth) : *user ? joined(user, password) : copy("");
	x->token = copy(token);
	x->told = (struct auths_entry){ x->basic, x->token };
	return x->basic && x->token
	               ? 0
	               : err_set(e, ERR_NOMEM, "no memory for credentials of registries");
}

static int read_all(struct auths *a, const char *what, const json_t *all, struct err *e)
{
	const char *key;
	json_t *o;

	/* the macro wants a pointer to what it does not change */
	json_object_foreach((json_t *)(uintptr_t)all, key, o) {
		struct entry x = { .basic = NULL };

		if (!host_of(key, x.host))
			return err_set(e, ERR_FORMAT, "%s: '%.200s' in it is no registry", what,
			               key);
		if (auths_find(a, x.host))
			continue;
		if (a->n == AUTHS_MAX)
			return err_set(e, ERR_TOO_BIG, "%s: there are more than %d registries",
			               what, AUTHS_MAX);
		int rc = read_entry(&x, what, o, e);
		if (rc != 0) {
			secret_free(x.basic);
			secret_free(x.token);
			if (rc < 0)
				return -1;
			continue;
		}
		a->list[a->n++] = x;
	}
	return 0;
}

/* jansson's own copies go with the document; it is no place for a secret. */
static void wipe(const json_t *all)
{
	static const char *const secrets[] = { "auth", "password", "identitytoken" };
	const char *key;
	json_t *o;

	json_object_foreach((json_t *)(uintptr_t)all, key, o) {
		for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
			const char *text = json_string_value(json_object_get(o, secrets[i]));

			if (text)
				secret_wipe((void *)(uintptr_t)text, strlen(text));
		}
	}
}

int auths_add(struct auths *a, const char *what, const void *text, size_t n, struct err *e)
{
	size_t before = a->n;
	struct err why = ERR_INIT;

	if (n > AUTHS_BYTES_MAX)
		return err_set(e, ERR_TOO_BIG, "%s is over %zu bytes", what, AUTHS_BYTES_MAX);
	auto_json json_t *j = json_parse(what, text, n, &why);
	if (!j && why.class == ERR_NOMEM)
		return err_set(e, ERR_NOMEM, "no memory to read %s", what);
	/* What the parser says of a text that is none may quote a secret. */
	if (!json_is_object(j))
		return err_set(e, ERR_FORMAT, "%s is no JSON object", what);
	const json_t *all = json_object_get(j, "auths");
	if (all && !json_is_object(all))
		return err_set(e, ERR_FORMAT, "%s: 'auths' is no object", what);
	int rc = read_all(a, what, all, e);
	wipe(all);
	if (rc < 0)
		cut(a, before);
	return rc;
}

int auths_load(struct auths *a, const char *path, struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(AUTHS_BYTES_MAX);
	auto_free char *usual = NULL;
	struct err why = ERR_INIT;
	const char *dir = getenv("DOCKER_CONFIG");
	const char *home = getenv("HOME");

	if (!path && !(dir && *dir) && !(home && *home))
		return 0;
	if (!path && asprintf(&usual, "%s%s/config.json", dir && *dir ? dir : home,
	                      dir && *dir ? "" : "/.docker") < 0) {
		usual = NULL;
		return err_set(e, ERR_NOMEM, "no memory for the name of a file");
	}
	const char *name = path ? path : usual;
	int rc = fd_read_file(AT_FDCWD, name, &text, &why);
	if (rc == 0)
		rc = auths_add(a, name, text.data, text.len, &why);
	else if (!path && why.class == ERR_NOT_FOUND)
		rc = 0;
	else
		(void)err_wrap(&why, "reading credentials of registries");
	if (text.data)
		secret_wipe(text.data, text.cap);
	if (rc < 0)
		*e = why;
	return rc;
}

const struct auths_entry *auths_find(const struct auths *a, const char *host)
{
	for (size_t i = 0; i < a->n; i++)
		if (strcasecmp(a->list[i].host, host) == 0)
			return &a->list[i].told;
	return NULL;
}
