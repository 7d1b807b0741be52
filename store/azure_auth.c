/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exchange of a federated token is the client credentials grant with a
 * JWT assertion (RFC 7523, 2.2) at Entra's endpoint; IMDS is the machine's own
 * service at a link-local address. Both answer JSON with access_token and
 * expires_in.
 */
#include "store/azure_auth.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "common/num.h"
#include "common/secret.h"
#include "store/azure_sign.h"

#define TOKEN_MAX (32 * 1024) /* bytes of a token */
#define ANSWER_MAX (64 * 1024)
#define KEY_MAX 256
#define SAS_MAX 4096
#define IMDS_CONNECT_MS 2000 /* a machine without the service must not wait for it */
#define LEAST_LIFE_S 30      /* a token that ends sooner is not used */

#define SCOPE "https://storage.azure.com/.default"
#define RESOURCE "https://storage.azure.com/"
#define ASSERTION_TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#define IMDS "http://169.254.169.254"

struct azure_auth {
	enum azure_auth_kind kind;
	struct http *http; /* borrowed */
	struct http *imds; /* without any proxy */
	unsigned op;
	bool asked; /* for this kind, by the parameter auth */
	char *who;
	char *account, *endpoint, *secondary;
	uint8_t *key; /* locked memory */
	size_t key_bytes;
	char *sas; /* locked memory; without '?' */
	char *expiry;
	/* of tokens */
	char *token_file, *token_url, *client;
	pthread_mutex_t lock;
	char *token;               /* locked memory; guarded by lock, as the rest */
	int64_t renew_ns, ends_ns; /* of the monotonic clock; 0: there is none */
	bool ever;                 /* one was had */
	int64_t (*now_ns)(void *arg);
	void *now_arg;
};

enum azure_auth_kind azure_auth_kind(const struct azure_auth *a)
{
	return a->kind;
}

const char *azure_auth_who(const struct azure_auth *a)
{
	return a->who;
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
	http_free(a->imds);
	free(a->who);
	free(a->account);
	free(a->endpoint);
	free(a->secondary);
	secret_free(a->key);
	secret_free(a->sas);
	free(a->expiry);
	free(a->token_file);
	free(a->token_url);
	free(a->client);
	secret_free(a->token);
	pthread_mutex_destroy(&a->lock);
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
	size_t n = strlen(base64);
	size_t bytes = n / 4 * 3;

	if (n > 0 && base64[n - 1] == '=')
		bytes--;
	if (n > 1 && base64[n - 2] == '=')
		bytes--;
	if (n == 0 || n % 4 != 0 || n > KEY_MAX)
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

static int use_workload(struct azure_auth *a, const struct place *p, struct err *e)
{
	const char *file = place_setting(p, "AZURE_FEDERATED_TOKEN_FILE");
	const char *client = place_setting(p, "AZURE_CLIENT_ID");
	const char *tenant = place_setting(p, "AZURE_TENANT_ID");
	const char *authority = place_setting(p, "AZURE_AUTHORITY_HOST");
	CLEANUP(buf_clear) struct buf url = BUF_INIT(2048);

	if (!client || !tenant)
		return err_set(e, ERR_INVALID,
		               "AZURE_FEDERATED_TOKEN_FILE is set, and %s is not: the workload "
		               "identity webhook sets both where the service account has the "
		               "annotation azure.workload.identity/client-id",
		               client ? "AZURE_TENANT_ID" : "AZURE_CLIENT_ID");
	if (!authority)
		authority = "https://login.microsoftonline.com/";
	size_t n = strlen(authority);
	while (n > 0 && authority[n - 1] == '/')
		n--;
	buf_printf(&url, "%.*s/", (int)n, authority);
	wire_encode(&url, tenant, false);
	buf_printf(&url, "/oauth2/v2.0/token");
	if (buf_check(&url, "the address for tokens", e) < 0 ||
	    keep(&a->token_url, buf_cstr(&url), e) < 0 || keep(&a->token_file, file, e) < 0 ||
	    keep(&a->client, client, e) < 0)
		return -1;
	if (asprintf(&a->who, "the identity '%s'", client) < 0) {
		a->who = NULL;
		return no_memory(e);
	}
	return 0;
}

static int use_imds(struct azure_auth *a, const struct place *p, struct err *e)
{
	const struct http_params params = { .inflight = 1,
		                            .proxy = "",
		                            .connect_ms = IMDS_CONNECT_MS };
	const char *host = place_setting(p, "AZURE_POD_IDENTITY_AUTHORITY_HOST");
	const char *client = place_setting(p, "AZURE_CLIENT_ID");
	CLEANUP(buf_clear) struct buf url = BUF_INIT(2048);

	if (!host)
		host = IMDS;
	size_t n = strlen(host);
	while (n > 0 && host[n - 1] == '/')
		n--;
	buf_printf(&url,
	           "%.*s/metadata/identity/oauth2/token?api-version=2018-02-01&resource=", (int)n,
	           host);
	wire_encode(&url, RESOURCE, false);
	if (client) {
		buf_printf(&url, "&client_id=");
		wire_encode(&url, client, false);
	}
	a->imds = http_new(&params, e);
	if (!a->imds || buf_check(&url, "the address for tokens", e) < 0 ||
	    keep(&a->token_url, buf_cstr(&url), e) < 0)
		return -1;
	if (asprintf(&a->who, "the machine's identity%s%s", client ? " " : "",
	             client ? client : "") < 0) {
		a->who = NULL;
		return no_memory(e);
	}
	return 0;
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
		return use_workload(a, p, e);
	case AZURE_IMDS:
		return use_imds(a, p, e);
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

static int64_t now_of_machine(void *arg)
{
	(void)arg;
	return now_mono_ns();
}

void azure_auth_clock(struct azure_auth *a, int64_t (*now_ns)(void *arg), void *arg)
{
	a->now_ns = now_ns;
	a->now_arg = arg;
}

int azure_auth_new(const struct place *p, struct http *h, unsigned op, struct azure_auth **ret,
                   struct err *e)
{
	struct azure_auth *a = calloc(1, sizeof(*a));

	if (!a)
		return no_memory(e);
	/* On Linux it cannot fail with default attributes. */
	pthread_mutex_init(&a->lock, NULL);
	a->http = h;
	a->op = op;
	a->now_ns = now_of_machine;
	if (keep(&a->account, p->host, e) < 0 || choose(a, p, e) < 0) {
		azure_auth_free(a);
		return -1;
	}
	*ret = a;
	return 0;
}

/* ---- tokens ---- */

#define FEDERATE                                                                      \
	"each cluster has an issuer of its own: add a federated credential for this " \
	"cluster's issuer and this service account to the identity"

/* What Entra's error codes mean for who has set this up. */
static const struct {
	const char *code;
	const char *remedy;
} entra[] = {
	{ "AADSTS700212", "the token is for another audience; with identity bindings the direct "
	                  "exchange is not possible, so use workload identity" },
	{ "AADSTS700211", FEDERATE },
	{ "AADSTS700213", FEDERATE },
	{ "AADSTS70021", FEDERATE },
	{ "AADSTS700024", "the projected token is not valid now; look at this machine's clock" },
	{ "AADSTS700016", "AZURE_CLIENT_ID is no identity of this tenant" },
	{ "AADSTS900023",
	  "AZURE_TENANT_ID is no tenant of this cloud; look at AZURE_AUTHORITY_HOST" },
	{ "AADSTS90002",
	  "AZURE_TENANT_ID is no tenant of this cloud; look at AZURE_AUTHORITY_HOST" },
};

/* Says what an answer without a token is about. */
static int refused(const struct azure_auth *a, const struct http_answer *answer, struct err *e)
{
	struct err ignored;
	const char *text = "";
	const char *remedy = "look at the identity's set-up";

	if (answer->status == 429 || answer->status >= 500 || answer->status == 408 ||
	    (a->imds && (answer->status == 404 || answer->status == 410))) {
		err_set(e, ERR_RETRY, "the service that gives tokens answered with status %d",
		        answer->status);
		e->wait_ms = answer->wait_ms;
		return -1;
	}
	auto_json json_t *j = json_parse("the answer", answer->text, answer->text_len, &ignored);
	if (j && json_get_str(j, "the answer", "error_description", &text, &ignored) < 0)
		text = "";
	for (size_t i = 0; i < ARRAY_LEN(entra); i++) {
		size_t n = strlen(entra[i].code);

		if (strncmp(text, entra[i].code, n) == 0 && (text[n] < '0' || text[n] > '9')) {
			remedy = entra[i].remedy;
			break;
		}
	}
	int n = 0;
	while (n < 160 && (unsigned char)text[n] >= 0x20 && text[n] != 0x7f)
		n++;
	return err_set(e, ERR_DENIED, "%s gets no token, status %d%s%.*s: %s", a->who,
	               answer->status, n > 0 ? ", " : "", n, text, remedy);
}

static int form(const struct azure_auth *a, struct buf *ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf file = BUF_INIT(TOKEN_MAX);

	if (fd_read_file(AT_FDCWD, a->token_file, &file, e) < 0)
		return err_wrap(e, "reading the federated token '%s'", a->token_file);
	char *jwt = (char *)(uintptr_t)buf_cstr(&file);
	jwt[strcspn(jwt, " \t\r\n")] = '\0';
	if (!*jwt)
		return err_set(e, ERR_DENIED, "the federated token '%s' is empty", a->token_file);
	buf_printf(ret, "grant_type=client_credentials&client_assertion_type=");
	wire_encode(ret, ASSERTION_TYPE, false);
	buf_printf(ret, "&client_id=");
	wire_encode(ret, a->client, false);
	buf_printf(ret, "&scope=");
	wire_encode(ret, SCOPE, false);
	buf_printf(ret, "&client_assertion=");
	wire_encode(ret, jwt, false);
	secret_wipe(file.data, file.cap);
	return buf_check(ret, "the request for a token", e);
}

static int ask(struct azure_auth *a, struct buf *ret, struct http_answer *answer, struct err *e)
{
	CLEANUP(buf_clear) struct buf body = BUF_INIT(4 * TOKEN_MAX);
	static const char *const metadata[] = { "Metadata: true" };
	static const char *const type[] = { "Content-Type: application/x-www-form-urlencoded" };
	struct http_request rq = {
		.op = a->op, .url = a->token_url, .sink = http_sink_buf, .arg = ret
	};
	struct iovec iov;

	if (a->kind == AZURE_IMDS) {
		rq.method = "GET";
		rq.headers = metadata;
		rq.nheaders = 1;
		rq.niov = -1;
		return http_do(a->imds, &rq, answer, e);
	}
	if (form(a, &body, e) < 0)
		return -1;
	iov = (struct iovec){ body.data, body.len };
	rq.method = "POST";
	rq.headers = type;
	rq.nheaders = 1;
	rq.iov = &iov;
	rq.niov = 1;
	int rc = http_do(a->http, &rq, answer, e);
	secret_wipe(body.data, body.cap);
	return rc;
}

/* expires_in is a number at Entra and a string at IMDS. */
static int life_of(const json_t *j, uint64_t *ret_s, struct err *e)
{
	const char *text;

	if (json_is_string(json_object_get(j, "expires_in")))
		return json_get_str(j, "the token", "expires_in", &text, e) < 0
		               ? -1
		               : num_u64("expires_in", text, 0, 1 << 30, ret_s, e);
	return json_get_u64(j, "the token", "expires_in", ret_s, e);
}

static bool printable(const char *text)
{
	while (*text > ' ' && *text < 0x7f)
		text++;
	return !*text;
}

static int fetch_locked(struct azure_auth *a, struct err *e)
{
	CLEANUP(buf_clear) struct buf body = BUF_INIT(ANSWER_MAX);
	auto_free struct http_answer *answer = malloc(sizeof(*answer));
	const char *token;
	uint64_t life_s = 0;
	struct err why;

	if (!answer)
		return no_memory(e);
	if (ask(a, &body, answer, e) < 0) {
		if (a->kind != AZURE_IMDS || e->class != ERR_RETRY || a->ever)
			return -1;
		if (a->asked)
			return err_set(e, ERR_DENIED,
			               "this machine has no identity service that answers (IMDS), "
			               "which the store's parameter auth=imds asks for");
		return err_set(e, ERR_DENIED,
		               "there are no credentials: neither workload identity nor "
		               "AZURE_STORAGE_SAS_TOKEN, AZURE_STORAGE_KEY or "
		               "AZURE_STORAGE_CONNECTION_STRING is set, and this machine has no "
		               "identity service");
	}
	if (answer->status != 200)
		return refused(a, answer, e);
	/* What the parser says of a text that is none may quote a token. */
	auto_json json_t *j = json_parse("the token", body.data, body.len, &why);
	if (body.data)
		secret_wipe(body.data, body.cap);
	if (!j)
		return err_set(e, why.class == ERR_NOMEM ? ERR_NOMEM : ERR_FORMAT,
		               "the service that gives tokens to %s answered with no JSON", a->who);
	if (json_get_str(j, "the token", "access_token", &token, e) < 0 ||
	    life_of(j, &life_s, e) < 0)
		return -1;
	if (!*token || strlen(token) >= TOKEN_MAX || !printable(token))
		return err_set(e, ERR_FORMAT, "the token of %s is none", a->who);
	secret_free(a->token);
	a->token = secret_new(strlen(token) + 1);
	if (!a->token)
		return no_memory(e);
	memcpy(a->token, token, strlen(token) + 1);
	int64_t now_ns = a->now_ns(a->now_arg);
	if (life_s > 1 << 30)
		life_s = 1 << 30;
	a->ends_ns = now_ns + ((int64_t)life_s - LEAST_LIFE_S) * 1000000000;
	a->renew_ns = now_ns + (int64_t)life_s * 500000000;
	a->ever = true;
	return 0;
}

/* The lock is held while a token is fetched: who comes meanwhile needs it as well. */
static int add_token(struct azure_auth *a, struct wire *w, struct err *e)
{
	int rc = 0;

	pthread_mutex_lock(&a->lock);
	int64_t now_ns = a->now_ns(a->now_arg);
	if (!a->token || now_ns >= a->renew_ns) {
		struct err why;

		rc = fetch_locked(a, &why);
		/* The old one serves as long as it is valid; the next try is in a while. */
		if (rc < 0 && a->token && now_ns < a->ends_ns) {
			a->renew_ns = now_ns + INT64_C(10) * 1000000000;
			rc = 0;
		}
		if (rc < 0)
			*e = why;
	}
	if (rc == 0)
		wire_header(w, "authorization", "Bearer %s", a->token);
	pthread_mutex_unlock(&a->lock);
	return rc;
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
	if (add_token(a, w, e) < 0)
		return err_wrap(e, "getting a token");
	return wire_check(w, e);
}

bool azure_auth_rejected(struct azure_auth *a, const struct wire *w)
{
	const char *sent = wire_header_get(w, "authorization");
	static const char bearer[] = "Bearer ";

	if (a->kind != AZURE_WORKLOAD && a->kind != AZURE_IMDS)
		return false;
	pthread_mutex_lock(&a->lock);
	/* Another thread may have got a new one meanwhile. */
	if (a->token && sent && strncmp(sent, bearer, sizeof(bearer) - 1) == 0 &&
	    strcmp(sent + sizeof(bearer) - 1, a->token) == 0) {
		secret_free(a->token);
		a->token = NULL;
	}
	pthread_mutex_unlock(&a->lock);
	return true;
}
