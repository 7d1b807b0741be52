/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exchange of a federated token is the client credentials grant with a
 * JWT assertion (RFC 7523, 2.2) at Entra's endpoint; IMDS is the machine's own
 * service at a link-local address. Both answer JSON with access_token and
 * expires_in.
 */
#include "common/entra.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/fd.h"
#include "common/json.h"
#include "common/later.h"
#include "common/now.h"
#include "common/num.h"
#include "common/secret.h"
#include "common/url.h"

#define ANSWER_MAX (64 * KIB)
#define IMDS_CONNECT_MS 2000 /* a machine without the service must not wait for it */
#define LEAST_LIFE_S 30      /* a token that ends sooner is not used */
#define ASSERTION_TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#define BEARER "Bearer "
#define IMDS "http://169.254.169.254"

struct entra {
	bool machine;
	struct http *http; /* borrowed */
	struct http *imds; /* without any proxy */
	unsigned op;
	char *who, *resource, *absent;
	char *token_file, *token_url, *client;
	pthread_mutex_t lock;
	char *token;               /* locked memory; guarded by lock, as the rest */
	int64_t renew_ns, ends_ns; /* of the monotonic clock; 0: there is none */
	bool ever;                 /* one was had */
	int64_t (*now_ns)(void *arg);
	void *now_arg;
};

const char *entra_who(const struct entra *x)
{
	return x->who;
}

void entra_free(struct entra *x)
{
	if (!x)
		return;
	http_free(x->imds);
	free(x->who);
	free(x->resource);
	free(x->absent);
	free(x->token_file);
	free(x->token_url);
	free(x->client);
	secret_free(x->token);
	pthread_mutex_destroy(&x->lock);
	free(x);
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

static const char *setting(const struct entra_params *p, const char *name)
{
	if (p->setting)
		return p->setting(p->arg, name);
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

bool entra_has_workload(const struct entra_params *p)
{
	return setting(p, "AZURE_FEDERATED_TOKEN_FILE") != NULL;
}

static size_t without_slashes(const char *url)
{
	size_t n = strlen(url);

	while (n > 0 && url[n - 1] == '/')
		n--;
	return n;
}

static int use_workload(struct entra *x, const struct entra_params *p, struct err *e)
{
	const char *file = setting(p, "AZURE_FEDERATED_TOKEN_FILE");
	const char *client = setting(p, "AZURE_CLIENT_ID");
	const char *tenant = setting(p, "AZURE_TENANT_ID");
	const char *authority = setting(p, "AZURE_AUTHORITY_HOST");
	CLEANUP(buf_clear) struct buf url = BUF_INIT(2048);

	if (!file)
		return err_set(e, ERR_INVALID, "AZURE_FEDERATED_TOKEN_FILE is not set");
	if (!client || !tenant)
		return err_set(e, ERR_INVALID,
		               "AZURE_FEDERATED_TOKEN_FILE is set, and %s is not: the workload "
		               "identity webhook sets both where the service account has the "
		               "annotation azure.workload.identity/client-id",
		               client ? "AZURE_TENANT_ID" : "AZURE_CLIENT_ID");
	if (!authority)
		authority = "https://login.microsoftonline.com/";
	(void)buf_printf(&url, "%.*s/", (int)without_slashes(authority), authority);
	(void)url_encode(&url, tenant, false);
	(void)buf_str(&url, "/oauth2/v2.0/token");
	if (buf_check(&url, "the address for tokens", e) < 0 ||
	    keep(&x->token_url, buf_cstr(&url), e) < 0 || keep(&x->token_file, file, e) < 0 ||
	    keep(&x->client, client, e) < 0)
		return -1;
	if (asprintf(&x->who, "the identity '%s'", client) < 0) {
		x->who = NULL;
		return no_memory(e);
	}
	return 0;
}

static int use_machine(struct entra *x, const struct entra_params *p, struct err *e)
{
	const struct http_params params = { .inflight = 1,
		                            .proxy = "",
		                            .connect_ms = IMDS_CONNECT_MS };
	const char *host = setting(p, "AZURE_POD_IDENTITY_AUTHORITY_HOST");
	const char *client = setting(p, "AZURE_CLIENT_ID");
	CLEANUP(buf_clear) struct buf url = BUF_INIT(2048);

	if (!host)
		host = IMDS;
	(void)buf_printf(&url,
	                 "%.*s/metadata/identity/oauth2/token?api-version=2018-02-01&resource=",
	                 (int)without_slashes(host), host);
	(void)url_encode(&url, x->resource, false);
	(void)buf_str(&url, "%2F");
	if (client) {
		(void)buf_str(&url, "&client_id=");
		(void)url_encode(&url, client, false);
	}
	x->imds = http_new(&params, e);
	if (!x->imds || buf_check(&url, "the address for tokens", e) < 0 ||
	    keep(&x->token_url, buf_cstr(&url), e) < 0)
		return -1;
	if (asprintf(&x->who, "the machine's identity%s%s", client ? " " : "",
	             client ? client : "") < 0) {
		x->who = NULL;
		return no_memory(e);
	}
	return 0;
}

static int64_t now_of_machine(void *arg)
{
	(void)arg;
	return now_mono_ns();
}

void entra_clock(struct entra *x, int64_t (*now_ns)(void *arg), void *arg)
{
	x->now_ns = now_ns;
	x->now_arg = arg;
}

struct entra *entra_new(const struct entra_params *p, struct err *e)
{
	struct entra *x = calloc(1, sizeof(*x));

	if (!x) {
		(void)no_memory(e);
		return NULL;
	}
	/* On Linux it cannot fail with default attributes. */
	pthread_mutex_init(&x->lock, NULL);
	x->machine = p->machine;
	x->http = p->http;
	x->op = p->op;
	x->now_ns = now_of_machine;
	if (keep(&x->resource, p->resource, e) < 0 ||
	    (p->absent && keep(&x->absent, p->absent, e) < 0) ||
	    (p->machine ? use_machine(x, p, e) : use_workload(x, p, e)) < 0) {
		entra_free(x);
		return NULL;
	}
	return x;
}

/* ---- tokens ---- */

#define FEDERATE                                                                      \
	"each cluster has an issuer of its own: add a federated credential for this " \
	"cluster's issuer and this service account to the identity"

/* What Entra's error codes mean for who has set this up. */
static const struct {
	const char *code;
	const char *remedy;
} codes[] = {
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
static int refused(const struct entra *x, const struct http_answer *answer, struct err *e)
{
	struct err ignored;
	const char *text = "";
	const char *remedy = "look at the identity's set-up";

	if (later_is(answer->status) ||
	    (x->imds && (answer->status == 404 || answer->status == 410)))
		return later_set(e, answer, "the service that gives tokens answered with status %d",
		                 answer->status);
	auto_json json_t *j = json_parse("the answer", answer->text, answer->text_len, &ignored);
	if (j && json_get_str(j, "the answer", "error_description", &text, &ignored) < 0)
		text = "";
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		size_t n = strlen(codes[i].code);

		if (strncmp(text, codes[i].code, n) == 0 && (text[n] < '0' || text[n] > '9')) {
			remedy = codes[i].remedy;
			break;
		}
	}
	int n = 0;
	while (n < 160 && (unsigned char)text[n] >= 0x20 && text[n] != 0x7f)
		n++;
	return err_set(e, ERR_DENIED, "%s gets no token, status %d%s%.*s: %s", x->who,
	               answer->status, n > 0 ? ", " : "", n, text, remedy);
}

static int form(const struct entra *x, struct buf *ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf file = BUF_INIT(ENTRA_TOKEN_MAX);

	if (fd_read_file(AT_FDCWD, x->token_file, &file, e) < 0)
		return err_wrap(e, "reading the federated token '%s'", x->token_file);
	char *jwt = (char *)(uintptr_t)buf_cstr(&file);
	jwt[strcspn(jwt, " \t\r\n")] = '\0';
	if (!*jwt)
		return err_set(e, ERR_DENIED, "the federated token '%s' is empty", x->token_file);
	buf_printf(ret, "grant_type=client_credentials&client_assertion_type=");
	(void)url_encode(ret, ASSERTION_TYPE, false);
	buf_printf(ret, "&client_id=");
	(void)url_encode(ret, x->client, false);
	buf_printf(ret, "&scope=");
	(void)url_encode(ret, x->resource, false);
	(void)buf_str(ret, "%2F.default");
	buf_printf(ret, "&client_assertion=");
	(void)url_encode(ret, jwt, false);
	secret_wipe(file.data, file.cap);
	return buf_check(ret, "the request for a token", e);
}

static int ask(struct entra *x, struct buf *ret, struct http_answer *answer, struct err *e)
{
	CLEANUP(buf_clear) struct buf body = BUF_INIT(4 * ENTRA_TOKEN_MAX);
	static const char *const metadata[] = { "Metadata: true" };
	static const char *const type[] = { "Content-Type: application/x-www-form-urlencoded" };
	struct http_request rq = {
		.op = x->op, .url = x->token_url, .sink = http_sink_buf, .arg = ret
	};
	struct iovec iov;

	if (x->machine) {
		rq.method = "GET";
		rq.headers = metadata;
		rq.nheaders = 1;
		rq.niov = -1;
		return http_do(x->imds, &rq, answer, e);
	}
	if (form(x, &body, e) < 0)
		return -1;
	iov = (struct iovec){ body.data, body.len };
	rq.method = "POST";
	rq.headers = type;
	rq.nheaders = 1;
	rq.iov = &iov;
	rq.niov = 1;
	int rc = http_do(x->http, &rq, answer, e);
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

static int fetch_locked(struct entra *x, struct err *e)
{
	CLEANUP(buf_clear) struct buf body = BUF_INIT(ANSWER_MAX);
	auto_free struct http_answer *answer = malloc(sizeof(*answer));
	const char *token;
	uint64_t life_s = 0;
	struct err why;

	if (!answer)
		return no_memory(e);
	if (ask(x, &body, answer, e) < 0) {
		if (!x->machine || e->class != ERR_RETRY || x->ever)
			return -1;
		return err_set(e, ERR_DENIED, "%s",
		               x->absent ? x->absent
		                         : "this machine has no identity service that answers "
		                           "(IMDS)");
	}
	if (answer->status != 200)
		return refused(x, answer, e);
	/* What the parser says of a text that is none may quote a token. */
	auto_json json_t *j = json_parse("the token", body.data, body.len, &why);
	if (body.data)
		secret_wipe(body.data, body.cap);
	if (!j)
		return err_set(e, why.class == ERR_NOMEM ? ERR_NOMEM : ERR_FORMAT,
		               "the service that gives tokens to %s answered with no JSON", x->who);
	if (json_get_str(j, "the token", "access_token", &token, e) < 0 ||
	    life_of(j, &life_s, e) < 0)
		return -1;
	if (!*token || strlen(token) >= ENTRA_TOKEN_MAX || !printable(token))
		return err_set(e, ERR_FORMAT, "the token of %s is none", x->who);
	secret_free(x->token);
	x->token = secret_new(strlen(token) + 1);
	if (!x->token)
		return no_memory(e);
	memcpy(x->token, token, strlen(token) + 1);
	int64_t now_ns = x->now_ns(x->now_arg);
	if (life_s > 1 << 30)
		life_s = 1 << 30;
	x->ends_ns = now_ns + ((int64_t)life_s - LEAST_LIFE_S) * 1000000000;
	x->renew_ns = now_ns + (int64_t)life_s * 500000000;
	x->ever = true;
	return 0;
}

/* The lock is held while a token is fetched: who comes meanwhile needs it as well. */
int entra_bearer(struct entra *x, struct buf *b, struct err *e)
{
	int rc = 0;

	pthread_mutex_lock(&x->lock);
	int64_t now_ns = x->now_ns(x->now_arg);
	if (!x->token || now_ns >= x->renew_ns) {
		struct err why = ERR_INIT;

		rc = fetch_locked(x, &why);
		/* The old one serves as long as it is valid; the next try is in a while. */
		if (rc < 0 && x->token && now_ns < x->ends_ns) {
			x->renew_ns = now_ns + INT64_C(10) * 1000000000;
			rc = 0;
		}
		if (rc < 0)
			*e = why;
	}
	if (rc == 0)
		(void)buf_printf(b, BEARER "%s", x->token);
	pthread_mutex_unlock(&x->lock);
	return rc < 0 ? err_wrap(e, "getting a token") : buf_check(b, "a token", e);
}

void entra_rejected(struct entra *x, const char *bearer)
{
	pthread_mutex_lock(&x->lock);
	/* Another thread may have got a new one meanwhile. */
	if (x->token && strncmp(bearer, BEARER, strlen(BEARER)) == 0 &&
	    strcmp(bearer + strlen(BEARER), x->token) == 0) {
		secret_free(x->token);
		x->token = NULL;
	}
	pthread_mutex_unlock(&x->lock);
}
