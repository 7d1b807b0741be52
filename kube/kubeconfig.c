/* SPDX-License-Identifier: Apache-2.0 */
/* Looks up context, cluster and user, and takes from them what is known; no file is read. */
#include "kube/kubeconfig.h"

#include <string.h>

#include "common/hex.h"
#include "common/secret.h"
#include "common/yaml.h"

static void wipe(char *text)
{
	if (text)
		secret_wipe(text, strlen(text));
	free(text);
}

void kubeconfig_clear(struct kubeconfig *c)
{
	free(c->server);
	free(c->proxy);
	free(c->ns);
	free(c->ca);
	free(c->ca_file);
	free(c->cert);
	free(c->cert_file);
	wipe(c->key);
	free(c->key_file);
	wipe(c->token);
	free(c->token_file);
	free(c->dir);
	json_decref(c->exec);
	*c = (struct kubeconfig){ 0 };
}

static int nomem(struct err *e)
{
	return err_set(e, ERR_NOMEM, "no memory for a kubeconfig");
}

static int copy(char **ret, const char *text, struct err *e)
{
	*ret = strdup(text);
	return *ret ? 0 : nomem(e);
}

/* The member of the entry of that name in a list of the file, as "cluster" in "clusters". */
static const json_t *entry(const json_t *root, const char *what, const char *list, const char *name,
                           const char *member, struct err *e)
{
	const json_t *all = json_object_get(root, list);
	const json_t *one;
	size_t i;

	json_array_foreach(all, i, one) {
		const char *have = json_string_value(json_object_get(one, "name"));

		if (have && strcmp(have, name) == 0) {
			const json_t *o = json_object_get(one, member);

			if (json_is_object(o))
				return o;
			(void)err_set(e, ERR_FORMAT, "%s: %s '%s' has no '%s'", what, list, name,
			              member);
			return NULL;
		}
	}
	(void)err_set(e, ERR_NOT_FOUND, "%s: there is no '%s' in its %s", what, name, list);
	return NULL;
}

/* A text, where there is one that is not empty: 0 with *ret NULL otherwise. */
static int text(const json_t *o, const char *what, const char *key, char **ret, struct err *e)
{
	const json_t *v = json_object_get(o, key);

	if (!v || json_is_null(v))
		return 0;
	if (!json_is_string(v))
		return err_set(e, ERR_FORMAT, "%s: '%s' is no text; a number needs quotes", what,
		               key);
	return *json_string_value(v) ? copy(ret, json_string_value(v), e) : 0;
}

static int path(const json_t *o, const char *what, const char *key, const char *dir, char **ret,
                struct err *e)
{
	auto_free char *name = NULL;

	if (text(o, what, key, &name, e) < 0)
		return -1;
	if (!name || *name == '/') {
		*ret = STEAL(&name);
		return 0;
	}
	return asprintf(ret, "%s/%s", dir, name) < 0 ? nomem(e) : 0;
}

/* Base64, in which blanks and ends of lines do not count, of a text. */
static int decoded(const json_t *o, const char *what, const char *key, char **ret, struct err *e)
{
	auto_free char *in = NULL;
	size_t n = 0;

	if (text(o, what, key, &in, e) < 0)
		return -1;
	if (!in)
		return 0;
	for (const char *s = in; *s; s++)
		if (!strchr(" \t\r\n", *s))
			in[n++] = *s;
	in[n] = '\0';
	size_t len = base64_size(in);
	char *out = calloc(1, len == SIZE_MAX ? 1 : len + 1);
	if (!out) {
		wipe(STEAL(&in));
		return nomem(e);
	}
	bool bad = len == SIZE_MAX || len == 0 || base64_decode(out, len, in) < 0 ||
	           memchr(out, '\0', len);
	wipe(STEAL(&in));
	if (bad) {
		wipe(out);
		return err_set(e, ERR_FORMAT, "%s: '%s' is no text in base64", what, key);
	}
	*ret = out;
	return 0;
}

static bool given(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return v && !json_is_null(v) && !json_is_false(v) &&
	       !(json_is_string(v) && !*json_string_value(v));
}

/* What is set and not done here is told, not passed over. */
static int no(const json_t *o, const char *what, const char *const *keys, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (given(o, keys[i]))
			return err_set(e, ERR_UNSUPPORTED, "%s: '%s' is not supported here", what,
			               keys[i]);
	return 0;
}

/* No control character or blank gets into a URL or a header. */
static bool clean(const char *s)
{
	for (; s && *s; s++)
		if ((unsigned char)*s <= 0x20 || *s == 0x7f)
			return false;
	return true;
}

static int cluster(const json_t *o, const char *what, struct kubeconfig *c, struct err *e)
{
	static const char *const refused[] = { "tls-server-name" };

	if (given(o, "insecure-skip-tls-verify"))
		return err_set(e, ERR_UNSUPPORTED,
		               "%s: 'insecure-skip-tls-verify' is refused: anybody on the way "
		               "could read the token; name the CA by certificate-authority",
		               what);
	if (no(o, what, refused, ARRAY_LEN(refused), e) < 0 ||
	    text(o, what, "server", &c->server, e) < 0 ||
	    text(o, what, "proxy-url", &c->proxy, e) < 0 ||
	    decoded(o, what, "certificate-authority-data", &c->ca, e) < 0 ||
	    path(o, what, "certificate-authority", c->dir, &c->ca_file, e) < 0)
		return -1;
	if (!c->server || !clean(c->server) || !clean(c->proxy))
		return err_set(e, ERR_FORMAT, "%s: the cluster has no server's URL", what);
	for (size_t n = strlen(c->server); n > 0 && c->server[n - 1] == '/'; n--)
		c->server[n - 1] = '\0';
	return 0;
}

static int user(const json_t *o, const char *what, struct kubeconfig *c, struct err *e)
{
	static const char *const refused[] = { "username", "password", "auth-provider",
		                               "as",       "as-uid",   "as-groups" };
	const json_t *exec = json_object_get(o, "exec");

	if (no(o, what, refused, ARRAY_LEN(refused), e) < 0 ||
	    text(o, what, "token", &c->token, e) < 0 ||
	    path(o, what, "tokenFile", c->dir, &c->token_file, e) < 0 ||
	    decoded(o, what, "client-certificate-data", &c->cert, e) < 0 ||
	    path(o, what, "client-certificate", c->dir, &c->cert_file, e) < 0 ||
	    decoded(o, what, "client-key-data", &c->key, e) < 0 ||
	    path(o, what, "client-key", c->dir, &c->key_file, e) < 0)
		return -1;
	if ((c->cert || c->cert_file) != (c->key || c->key_file))
		return err_set(e, ERR_FORMAT, "%s: certificate and key of a user go together",
		               what);
	if (!clean(c->token))
		return err_set(e, ERR_FORMAT, "%s: the token has blanks in it", what);
	if (!exec || json_is_null(exec))
		return 0;
	if (!json_is_string(json_object_get(exec, "command")))
		return err_set(e, ERR_FORMAT, "%s: 'exec' has no command", what);
	c->exec = json_deep_copy(exec);
	return c->exec ? 0 : nomem(e);
}

static int parse(const json_t *root, const char *what, const char *context, struct kubeconfig *c,
                 struct err *e)
{
	const char *const current = json_string_value(json_object_get(root, "current-context"));
	const char *cluster_name;
	const json_t *o;

	if (!context)
		context = current && *current ? current : NULL;
	if (!context)
		return err_set(e, ERR_NOT_FOUND, "%s: it has no current context; name one", what);
	const json_t *ctx = entry(root, what, "contexts", context, "context", e);
	if (!ctx || text(ctx, what, "namespace", &c->ns, e) < 0 ||
	    json_get_str(ctx, what, "cluster", &cluster_name, e) < 0)
		return -1;
	if (!(o = entry(root, what, "clusters", cluster_name, "cluster", e)) ||
	    cluster(o, what, c, e) < 0)
		return -1;
	/* A context without a user is nobody in particular. */
	if (!given(ctx, "user"))
		return 0;
	const char *user_name;
	if (json_get_str(ctx, what, "user", &user_name, e) < 0 ||
	    !(o = entry(root, what, "users", user_name, "user", e)))
		return -1;
	return user(o, what, c, e);
}

int kubeconfig_parse(const char *what, const void *p, size_t n, const char *dir,
                     const char *context, struct kubeconfig *ret, struct err *e)
{
	CLEANUP(kubeconfig_clear) struct kubeconfig c = { 0 };
	auto_json json_t *root = yaml_parse(what, p, n, e);

	if (!root || copy(&c.dir, dir, e) < 0 || parse(root, what, context, &c, e) < 0)
		return -1;
	*ret = c;
	c = (struct kubeconfig){ 0 };
	return 0;
}

int kubeconfig_in_pod(const char *dir, const char *host, const char *port, struct kubeconfig *ret,
                      struct err *e)
{
	CLEANUP(kubeconfig_clear) struct kubeconfig c = { 0 };
	bool v6 = strchr(host, ':') && *host != '[';

	if (!clean(host) || !clean(port))
		return err_set(e, ERR_INVALID,
		               "KUBERNETES_SERVICE_HOST and _PORT are not an address and a port");
	if (asprintf(&c.server, "https://%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port) <
	            0 ||
	    asprintf(&c.token_file, "%s/token", dir) < 0 ||
	    asprintf(&c.ca_file, "%s/ca.crt", dir) < 0 || !(c.dir = strdup(dir)))
		return nomem(e);
	*ret = c;
	c = (struct kubeconfig){ 0 };
	return 0;
}
