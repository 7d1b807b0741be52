/* SPDX-License-Identifier: Apache-2.0 */
/* What is set up, in which order, and how each proves who asks. */
#include "store/azure_auth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/entra.h"
#include "common/hex.h"
#include "common/secret.h"
#include "store/azure_sign.h"

#define KEY_MAX 256
#define SAS_MAX 4096

struct azure_auth {
	enum azure_auth_kind kind;
	struct http *http; /* borrowed */
	unsigned op;
	bool asked; /* for this kind, by the parameter auth */
	char *who;
	char *account, *endpoint, *secondary;
	uint8_t *key; /* locked memory */
	size_t key_bytes;
	char *sas; /* locked memory; without '?' */
	char *expiry;
	struct entra *entra; /* NULL: another kind */
};

enum azure_auth_kind azure_auth_kind(const struct azure_auth *a)
{
	return a->kind;
}

const char *azure_auth_who(const struct azure_auth *a)
{
	return a->entra ? entra_who(a->entra) : a->who;
}

const char *azure_auth_endpoint(const struct azure_auth *a)
{
	return a->endpoint;
}

const char *azure_auth_secondary(const struct azure_auth *a)
{
	return a->secondary;
}

const char *azure_auth_expiry(const struct azure_auth *a)
{
	return a->expiry;
}

void azure_auth_free(struct azure_auth *a)
{
	if (!a)
		return;
	free(a->who);
	free(a->account);
	free(a->endpoint);
	free(a->secondary);
	secret_free(a->key);
	secret_free(a->sas);
	free(a->expiry);
	entra_free(a->entra);
	free(a);
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "no memory for credentials");
}

static int keep(char **ret, const char *text, struct err *e)
{
	free(*ret);
	*ret = strdup(text);
	return *ret ? 0 : no_memory(e);
}

/* ---- what is set up ---- */

static int take_key(struct azure_auth *a, const char *base64, struct err *e)
{
	size_t bytes = base64_size(base64);

	if (bytes == 0 || bytes > KEY_MAX)
		return err_set(e, ERR_INVALID, "the account key (AZURE_STORAGE_KEY) is no base64");
	secret_free(a->key);
	a->key = secret_new(bytes);
	if (!a->key)
		return no_memory(e);
	if (base64_decode(a->key, bytes, base64) < 0)
		return err_set(e, ERR_INVALID, "the account key (AZURE_STORAGE_KEY) is no base64");
	a->key_bytes = bytes;
	return 0;
}

/* The value of a field of a query, not decoded; its length is 0 when there is none. */
static const char *field_of(const char *query, const char *name, size_t *ret_n)
{
	size_t n = strlen(name);

	for (const char *at = query; *at; at += strcspn(at, "&"), at += *at == '&') {
		if (strncmp(at, name, n) == 0 && at[n] == '=') {
			*ret_n = strcspn(at + n + 1, "&");
			return at + n + 1;
		}
	}
	*ret_n = 0;
	return "";
}

static int take_sas(struct azure_auth *a, const char *sas, struct err *e)
{
	size_t n;

	sas += *sas == '?';
	field_of(sas, "sig", &n);
	if (n == 0 || strlen(sas) >= SAS_MAX || strpbrk(sas, " \t\r\n#"))
		return err_set(e, ERR_INVALID,
		               "the shared access signature (AZURE_STORAGE_SAS_TOKEN) is no query "
		               "with a 'sig' in it");
	secret_free(a->sas);
	a->sas = secret_new(strlen(sas) + 1);
	if (!a->sas)
		return no_memory(e);
	memcpy(a->sas, sas, strlen(sas) + 1);
	const char *end = field_of(sas, "se", &n);
	free(a->expiry);
	a->expiry = strndup(end, n);
	if (!a->expiry)
		return no_memory(e);
	if (n == 0 || !place_unescape(a->expiry)) {
		free(a->expiry);
		a->expiry = NULL;
	}
	return 0;
}

/* One NAME=VALUE of a connection string; names are in any case. */
static int take_part(struct azure_auth *a, const char *name, const char *value, struct err *e)
{
	if (strcasecmp(name, "AccountKey") == 0)
		return take_key(a, value, e);
	if (strcasecmp(name, "SharedAccessSignature") == 0)
		return take_sas(a, value, e);
	if (strcasecmp(name, "BlobEndpoint") == 0)
		return keep(&a->endpoint, value, e);
	if (strcasecmp(name, "BlobSecondaryEndpoint") == 0)
		return keep(&a->secondary, value, e);
	if (strcasecmp(name, "AccountName") == 0 && strcmp(value, a->account) != 0)
		return err_set(e, ERR_INVALID,
		               "the connection string is for the account '%.30s', and the URL for "
		               "'%s'",
		               value, a->account);
	return 0;
}

static int take_connection_string(struct azure_auth *a, const char *text, struct err *e)
{
	auto_secret char *copy = secret_new(strlen(text) + 1);
	const char *suffix = NULL;
	int rc = 0;

	if (!copy)
		return no_memory(e);
	memcpy(copy, text, strlen(text) + 1);
	char *rest = copy;
	for (char *part = strsep(&rest, ";"); part && rc == 0; part = strsep(&rest, ";")) {
		char *value = strchr(part, '=');

		if (!value)
			continue;
		*value++ = '\0';
		if (strcasecmp(part, "EndpointSuffix") == 0)
			suffix = value;
		rc = take_part(a, part, value, e);
	}
	if (rc == 0 && suffix && !a->endpoint &&
	    asprintf(&a->endpoint, "https://%s.blob.%s", a->account, suffix) < 0) {
		a->endpoint = NULL;
		return no_memory(e);
	}
	if (rc == 0 && !a->key && !a->sas)
		return err_set(e, ERR_INVALID,
		               "the connection string (AZURE_STORAGE_CONNECTION_STRING) has "
		               "neither an AccountKey nor a SharedAccessSignature");
	return rc;
}

static const char *setting(const void *place, const char *name)
{
	return place_setting(place, name);
}

/* A workload's identity or the machine's. */
static int use_entra(struct azure_auth *a, const struct place *p, struct err *e)
{
	const struct entra_params params = {
		.machine = a->kind == AZURE_IMDS,
		.resource = "https://storage.azure.com",
		.http = a->http,
		.op = a->op,
		.setting = setting,
		.arg = p,
		.absent = a->asked ? "this machine has no identity service that answers (IMDS), "
		                     "which the store's parameter auth=imds asks for"
		                   : "there are no credentials: neither workload identity nor "
		                     "AZURE_STORAGE_SAS_TOKEN, AZURE_STORAGE_KEY or "
		                     "AZURE_STORAGE_CONNECTION_STRING is set, and this machine has "
		                     "no identity service",
	};

	a->entra = entra_new(&params, e);
	return a->entra ? 0 : -1;
}

/* A connection string has the one or the other; when nothing was asked for, that is fine. */
static int take_from_string(struct azure_auth *a, const char *text, struct err *e)
{
	if (take_connection_string(a, text, e) < 0)
		return -1;
	if (a->kind == AZURE_KEY ? a->key != NULL : a->sas != NULL)
		return 0;
	if (a->asked)
		return err_set(e, ERR_INVALID,
		               "the store's parameter auth=%s wants %s, which the connection "
		               "string (AZURE_STORAGE_CONNECTION_STRING) does not have",
		               a->kind == AZURE_KEY ? "key" : "sas",
		               a->kind == AZURE_KEY ? "an AccountKey" : "a SharedAccessSignature");
	a->kind = AZURE_SAS;
	return keep(&a->who, "the shared access signature", e);
}

static int use(struct azure_auth *a, const struct place *p, enum azure_auth_kind kind,
               struct err *e)
{
	const char *key = place_setting(p, "AZURE_STORAGE_KEY");
	const char *sas = place_setting(p, "AZURE_STORAGE_SAS_TOKEN");
	const char *string = place_setting(p, "AZURE_STORAGE_CONNECTION_STRING");

	a->kind = kind;
	switch (kind) {
	case AZURE_WORKLOAD:
	case AZURE_IMDS:
		return use_entra(a, p, e);
	case AZURE_SAS:
		if (keep(&a->who, "the shared access signature", e) < 0)
			return -1;
		return sas ? take_sas(a, sas, e) : take_from_string(a, string, e);
	case AZURE_KEY:
		if (keep(&a->who, "the account key", e) < 0)
			return -1;
		return key ? take_key(a, key, e) : take_from_string(a, string, e);
	}
	return err_set(e, ERR_BUG, "no such way to authenticate");
}

/* What is set up, in the order of docs/STORES.md. */
static int choose(struct azure_auth *a, const struct place *p, struct err *e)
{
	static const char *const names[] = {
		[AZURE_WORKLOAD] = "workload",
		[AZURE_SAS] = "sas",
		[AZURE_KEY] = "key",
		[AZURE_IMDS] = "imds",
	};
	bool string = place_setting(p, "AZURE_STORAGE_CONNECTION_STRING") != NULL;
	const bool there[] = {
		[AZURE_WORKLOAD] = place_setting(p, "AZURE_FEDERATED_TOKEN_FILE") != NULL,
		[AZURE_SAS] = place_setting(p, "AZURE_STORAGE_SAS_TOKEN") != NULL,
		[AZURE_KEY] = place_setting(p, "AZURE_STORAGE_KEY") != NULL || string,
		[AZURE_IMDS] = true,
	};
	const char *only = place_param(p, "auth");

	a->asked = only != NULL;
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (only && strcmp(only, names[i]) != 0)
			continue;
		if (there[i] || (i == AZURE_SAS && only && string))
			return use(a, p, (enum azure_auth_kind)i, e);
		if (only)
			return err_set(e, ERR_INVALID,
			               "the store's parameter auth=%s wants %s, which is not set",
			               only,
			               i == AZURE_WORKLOAD ? "AZURE_FEDERATED_TOKEN_FILE"
			               : i == AZURE_SAS    ? "AZURE_STORAGE_SAS_TOKEN"
			                                   : "AZURE_STORAGE_KEY");
	}
	return err_set(e, ERR_INVALID,
	               "the store's parameter auth=%.20s is none of workload, sas, key, imds",
	               only ? only : "");
}

void azure_auth_clock(struct azure_auth *a, int64_t (*now_ns)(void *arg), void *arg)
{
	if (a->entra)
		entra_clock(a->entra, now_ns, arg);
}

int azure_auth_new(const struct place *p, struct http *h, unsigned op, struct azure_auth **ret,
                   struct err *e)
{
	struct azure_auth *a = calloc(1, sizeof(*a));

	if (!a)
		return no_memory(e);
	a->http = h;
	a->op = op;
	if (keep(&a->account, p->host, e) < 0 || choose(a, p, e) < 0) {
		azure_auth_free(a);
		return -1;
	}
	*ret = a;
	return 0;
}

static void clean_bearer(struct buf *b)
{
	if (b->data)
		secret_wipe(b->data, b->cap);
	buf_clear(b);
}

int azure_auth_apply(struct azure_auth *a, struct wire *w, uint64_t body_bytes,
                     const char **ret_query, struct err *e)
{
	*ret_query = a->kind == AZURE_SAS ? a->sas : "";
	switch (a->kind) {
	case AZURE_SAS:
		return wire_check(w, e);
	case AZURE_KEY:
		return azure_sign(w, a->account, a->key, a->key_bytes, body_bytes, e);
	case AZURE_WORKLOAD:
	case AZURE_IMDS:
		break;
	}
	CLEANUP(clean_bearer) struct buf bearer = BUF_INIT(ENTRA_TOKEN_MAX + 16);
	if (entra_bearer(a->entra, &bearer, e) < 0)
		return -1;
	wire_header(w, "authorization", "%s", buf_cstr(&bearer));
	return wire_check(w, e);
}

bool azure_auth_rejected(struct azure_auth *a, const struct wire *w)
{
	const char *sent = wire_header_get(w, "authorization");

	if (!a->entra)
		return false;
	if (sent)
		entra_rejected(a->entra, sent);
	return true;
}
