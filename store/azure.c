/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block blobs of Azure Storage, by its REST interface (reference: "Blob
 * service REST API" of learn.microsoft.com). An object is one blob, stored by
 * one Put Blob that creates and never replaces, with a CRC-64 that the service
 * checks. Only what is larger than a block goes up in several, which become
 * the blob all at once by the list of them, under the same condition.
 *
 * The first status that matters is the service's own code (x-ms-error-code):
 * the table below says what each means and what to do about it.
 */
#include "store/azure.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/crc64.h"
#include "common/hex.h"
#include "common/http.h"
#include "common/later.h"
#include "common/now.h"
#include "common/num.h"
#include "common/secret.h"
#include "store/azure_auth.h"
#include "store/driver.h"
#include "store/lock.h"
#include "store/place.h"
#include "store/traffic.h"
#include "store/wire.h"
#include "store/xml.h"

#define API \
	"2021-12-02" /* versions, immutability, the cold tier; every cloud and emulator has it */
#define SUFFIX "core.windows.net"
#define BLOCK_BYTES ((uint64_t)256 << 20)
#define BLOCK_LEAST ((uint64_t)64 << 10)
#define BLOCKS_MAX 50000
#define PAGE_ITEMS "5000"
#define SKEW_MAX_S 900 /* the service takes no request that is older */
#define PACKS "pack/"
#define UNTIL "x-ms-immutability-policy-until-date"
#define NS_PER_S INT64_C(1000000000)
#define FAIL_OVER_MS 5000 /* to connect, for those who can go elsewhere */

struct azure {
	struct store base;
	struct place place;
	struct http *http;
	struct azure_auth *auth;
	char *container; /* borrowed from place.rest, which it is cut off */
	const char *prefix;
	char *primary, *secondary; /* base URLs of the service; secondary NULL: there is none */
	bool derived;              /* the secondary's is only supposed, by the primary's */
	const char *at;            /* the one of them that this store asks */
	const char *api, *tier, *lock_mode;
	bool legal_hold;
	uint64_t block_bytes;
	atomic_int_least64_t ahead_s; /* the service's clock before ours, as last heard */
};

static const char *const params[] = { "endpoint", "suffix",      "secondary",  "tier",
	                              "lock",     "lock-mode",   "legal-hold", "ca",
	                              "proxy",    "credentials", "auth",       "api",
	                              "block",    NULL };

static int no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "no memory for a request");
}

/* ---- what an answer means ---- */

/* What a role or a signature must allow for a call. */
struct right {
	const char *role;
	const char *letter; /* of a shared access signature */
};

static struct right right_of(enum store_call call)
{
	switch (call) {
	case CALL_PUT:
		return (struct right){ "Storage Blob Data Contributor",
			               "c (create) and w (write)" };
	case CALL_DELETE:
		return (struct right){ "Storage Blob Data Contributor", "d (delete)" };
	case CALL_LOCK:
		return (struct right){ "Storage Blob Data Owner", "i (set immutability policy)" };
	case CALL_LIST:
		return (struct right){ "Storage Blob Data Reader", "l (list)" };
	case CALL_GET:
	case CALL_HEAD:
		break;
	}
	return (struct right){ "Storage Blob Data Reader", "r (read)" };
}

/* The clock is the first thing to look at when a signature is not accepted. */
static bool clock_is_off(const struct http_answer *a, struct err *e)
{
	int64_t off_s = now_wall_ns() / 1000000000 - a->date_s;

	if (!a->date_s || (off_s < SKEW_MAX_S && off_s > -SKEW_MAX_S))
		return false;
	err_set(e, ERR_DENIED,
	        "this machine's clock is %s %s the service's, which takes no request that is more "
	        "than 15 minutes off; set the clock",
	        num_duration_text(off_s < 0 ? -off_s : off_s).s, off_s < 0 ? "behind" : "ahead of");
	return true;
}

/* A shared access signature, as it says itself. */
static int64_t end_of(const struct azure *s)
{
	const char *expiry = azure_auth_expiry(s->auth);
	int64_t end_ns;
	struct err ignored;

	return azure_auth_kind(s->auth) == AZURE_SAS && expiry &&
	                       now_parse(expiry, &end_ns, &ignored) == 0
	               ? end_ns
	               : 0;
}

static bool has_ended(const struct azure *s, struct err *e)
{
	const int64_t end_ns = end_of(s);

	if (end_ns == 0 || end_ns >= now_wall_ns())
		return false;
	err_set(e, ERR_DENIED, "the shared access signature ended at %.40s; make a new one",
	        azure_auth_expiry(s->auth));
	return true;
}

static int not_authenticated(const struct azure *s, const struct http_answer *a, struct err *e)
{
	if (clock_is_off(a, e) || has_ended(s, e))
		return -1;
	switch (azure_auth_kind(s->auth)) {
	case AZURE_SAS:
		return err_set(e, ERR_DENIED,
		               "the shared access signature is not accepted: it is for another "
		               "container or account, or its key was changed; make a new one");
	case AZURE_KEY:
		return err_set(e, ERR_DENIED,
		               "the account key is not accepted: it is another account's, or was "
		               "changed; take the present one into AZURE_STORAGE_KEY");
	case AZURE_WORKLOAD:
	case AZURE_IMDS:
		break;
	}
	return err_set(e, ERR_DENIED,
	               "the token of %s is not accepted; is it of the account's tenant?",
	               azure_auth_who(s->auth));
}

/* The account's firewall says so; emulators say it of credentials as well. */
static int not_let_in(const struct azure *s, const struct http_answer *a, struct err *e)
{
	if (clock_is_off(a, e) || has_ended(s, e))
		return -1;
	return err_set(e, ERR_DENIED,
	               "the account refuses this network or %s: look at its firewall and "
	               "private endpoints, and whether %s",
	               azure_auth_who(s->auth),
	               azure_auth_kind(s->auth) == AZURE_KEY
	                       ? "the key is this account's present one"
	               : azure_auth_kind(s->auth) == AZURE_SAS
	                       ? "the signature is for blobs of this container"
	                       : "it has a role on the container");
}

static int not_allowed(const struct azure *s, enum store_call call, struct err *e)
{
	struct right right = right_of(call);

	if (azure_auth_kind(s->auth) == AZURE_SAS)
		return err_set(e, ERR_DENIED,
		               "the shared access signature lacks the right %s; make one that has "
		               "it",
		               right.letter);
	return err_set(e, ERR_DENIED,
	               "%s has not the right to do it; assign the role '%s' on the container '%s'",
	               azure_auth_who(s->auth), right.role, s->container);
}

static const struct {
	const char *code;
	enum err_class class;
	const char *text;
} codes[] = {
	{ "BlobAlreadyExists", ERR_EXISTS, "the key is taken" },
	{ "UnauthorizedBlobOverwrite", ERR_EXISTS, "the key is taken" },
	{ "ConditionNotMet", ERR_EXISTS, "the key is taken" },
	{ "BlobNotFound", ERR_NOT_FOUND, "no such object" },
	{ "ResourceNotFound", ERR_NOT_FOUND, "no such object" },
	{ "InvalidRange", ERR_CORRUPT, "the object ends before the range that was asked for" },
	{ "BlobImmutableDueToPolicy", ERR_BUSY, "an immutability policy or a legal hold keeps it" },
	{ "SnapshotsPresent", ERR_BUSY, "it has snapshots, which are to be deleted first" },
	{ "BlobArchived", ERR_UNSUPPORTED,
	  "it is in the archive tier; bring it back first (az storage blob set-tier --tier Hot, "
	  "which takes hours)" },
	{ "BlobBeingRehydrated", ERR_RETRY, "it is on its way back from the archive tier" },
	{ "ContainerBeingDeleted", ERR_RETRY, "the container is being deleted" },
	{ "ServerBusy", ERR_RETRY, "the service is busy" },
	{ "Crc64Mismatch", ERR_RETRY, "the upload was damaged on its way" },
	{ "Md5Mismatch", ERR_RETRY, "the upload was damaged on its way" },
	{ "RequestBodyTooLarge", ERR_TOO_BIG, "the service takes no object of this size" },
	{ "KeyBasedAuthenticationNotPermitted", ERR_DENIED,
	  "the account allows no account keys; use a workload's identity" },
	{ "AccountIsDisabled", ERR_DENIED, "the storage account is disabled" },
	{ "AuthorizationSourceIPMismatch", ERR_DENIED,
	  "the shared access signature is for other addresses than this machine's" },
	{ "WriteOperationNotSupportedOnSecondary", ERR_UNSUPPORTED,
	  "the second region cannot be written" },
	{ "FeatureNotSupported", ERR_UNSUPPORTED, "the service has no such feature" },
	{ "PublicAccessNotPermitted", ERR_DENIED,
	  "the account allows no requests without credentials" },
};

/* The service's own word for what is wrong, "" when it says none. */
static const char *code_of(const struct http_answer *a, const struct xml_error *error)
{
	const char *code = http_header(a, "x-ms-error-code");

	return code ? code : error->code;
}

/* An answer that is no success. Returns -1. */
static int explain(const struct azure *s, enum store_call call, bool secondary,
                   const struct http_answer *a, struct err *e)
{
	struct xml_error error = xml_error_of(a->text, a->text_len);
	const char *code = code_of(a, &error);

	/* What is kept is there. */
	if (call == CALL_PUT && strcmp(code, "BlobImmutableDueToPolicy") == 0)
		return err_set(e, ERR_EXISTS, "the key is taken");
	if (secondary && strcmp(code, "InsufficientAccountPermissions") == 0)
		return err_set(e, ERR_UNSUPPORTED,
		               "the account's second region cannot be read: its replication is "
		               "neither RA-GRS nor RA-GZRS");
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		if (strcmp(code, codes[i].code) == 0) {
			err_set(e, codes[i].class, "%s", codes[i].text);
			e->wait_ms = a->wait_ms;
			return -1;
		}
	}
	if (strcmp(code, "ContainerNotFound") == 0)
		return err_set(e, ERR_IO,
		               "the account has no container '%s'; create it, or mend the URL",
		               s->container);
	if (strcmp(code, "AuthorizationPermissionMismatch") == 0 ||
	    strcmp(code, "AuthorizationProtocolMismatch") == 0 ||
	    strcmp(code, "AuthorizationResourceTypeMismatch") == 0)
		return not_allowed(s, call, e);
	if (strcmp(code, "AuthorizationFailure") == 0)
		return not_let_in(s, a, e);
	if (strcmp(code, "AuthenticationFailed") == 0 || a->status == 401)
		return not_authenticated(s, a, e);
	if (strcmp(code, "InvalidHeaderValue") == 0 &&
	    (strstr(a->text, "x-ms-version") || strstr(a->text, s->api)))
		return err_set(e, ERR_UNSUPPORTED,
		               "the service does not know version %s of its interface; name an "
		               "older one by the parameter 'api'",
		               s->api);
	if (call == CALL_LOCK && (a->status == 400 || a->status == 409 || a->status == 501))
		return err_set(e, ERR_UNSUPPORTED,
		               "the container '%s' takes no locks (status %d, %.60s): versions and "
		               "immutability by version must be enabled on it",
		               s->container, a->status, code);
	switch (a->status) {
	case 404:
		return err_set(e, ERR_NOT_FOUND, "no such object");
	case 416:
		return err_set(e, ERR_CORRUPT,
		               "the object ends before the range that was asked for");
	case 403:
		if (!*code)
			return not_allowed(s, call, e);
		break;
	default:
		if (later_is(a->status))
			return later_set(e, a, "the service answered with status %d%s%.60s",
			                 a->status, *code ? ", " : "", code);
		break;
	}
	return err_set(e, a->status == 403 ? ERR_DENIED : ERR_IO,
	               "the service answered with status %d%s%.60s%s%.200s", a->status,
	               *code ? ", " : "", code, error.message[0] ? ": " : "", error.message);
}

/* ---- requests ---- */

struct ask {
	struct azure *s;
	enum store_call call;
	bool secondary; /* it goes to the second region */
	struct wire w;
	struct http_request rq;
	struct http_answer answer;
};

static void ask_free(struct ask *x)
{
	if (x)
		wire_clear(&x->w);
	free(x);
}

static inline void clean_ask(struct ask *const *x)
{
	ask_free(*x);
}

/* A request for the object key, or (NULL) for the container. */
static struct ask *ask_new(struct azure *s, enum store_call call, const char *method,
                           const char *key, struct err *e)
{
	struct ask *x = malloc(sizeof(*x));

	if (!x) {
		(void)no_memory(e);
		return NULL;
	}
	x->s = s;
	x->call = call;
	x->secondary = s->at == s->secondary;
	x->rq = (struct http_request){ .op = call, .method = method, .niov = -1 };
	wire_init(&x->w, method, s->at);
	wire_path(&x->w, s->container);
	if (key && *s->prefix)
		wire_path(&x->w, s->prefix);
	if (key)
		wire_path(&x->w, key);
	wire_header(&x->w, "x-ms-version", "%s", s->api);
	return x;
}

static bool token_refused(const struct http_answer *a)
{
	struct xml_error error = xml_error_of(a->text, a->text_len);

	return a->status == 401 || strcmp(code_of(a, &error), "AuthenticationFailed") == 0;
}

/* Sends it. 0: a success, whose answer is in x. A token that is refused is replaced once. */
static int ask_send(struct ask *x, struct err *e)
{
	struct azure *s = x->s;
	uint64_t bytes = x->rq.niov > 0 ? store_iov_bytes(x->rq.iov, x->rq.niov) : 0;

	for (unsigned try = 0;; try++) {
		const char *query;
		int64_t now_ns = now_wall_ns();

		wire_header(&x->w, "x-ms-date", "%s", now_http(now_ns).s);
		if (azure_auth_apply(s->auth, &x->w, bytes, &query, e) < 0 ||
		    wire_send(&x->w, s->http, query, &x->rq, &x->answer, e) < 0)
			return -1;
		if (x->answer.date_s)
			atomic_store_explicit(&s->ahead_s,
			                      x->answer.date_s - now_wall_ns() / 1000000000,
			                      memory_order_relaxed);
		if (x->answer.status / 100 == 2)
			return 0;
		if (!token_refused(&x->answer) || try > 0 || !azure_auth_rejected(s->auth, &x->w))
			return explain(s, x->call, x->secondary, &x->answer, e);
		wire_header_drop(&x->w, "authorization");
		wire_header_drop(&x->w, "x-ms-date");
	}
}

/* The time that a header says; 0: it says none. */
static int64_t time_of(const struct http_answer *a, const char *name)
{
	const char *text = http_header(a, name);
	struct err ignored;
	int64_t ns;

	return text && now_http_parse(text, &ns, &ignored) == 0 && ns > 0 ? ns : 0;
}

/* A policy that was locked for good; another one may still be taken away by who has the right. */
static bool is_locked(const struct http_answer *a)
{
	const char *mode = http_header(a, "x-ms-immutability-policy-mode");

	return mode && strcasecmp(mode, "locked") == 0;
}

/* ret_mode (may be NULL): the mode that a longer policy must have. */
static int head(struct azure *s, const char *key, struct store_stat *ret, const char **ret_mode,
                struct err *e)
{
	CLEANUP(clean_ask) struct ask *x = ask_new(s, CALL_HEAD, "HEAD", key, e);
	uint64_t size;

	if (!x || ask_send(x, e) < 0)
		return -1;
	const char *length = http_header(&x->answer, "content-length");
	if (!length || num_u64("Content-Length", length, 0, INT64_MAX, &size, e) < 0)
		return err_set(e, ERR_RETRY, "the service does not tell the object's size");
	*ret = (struct store_stat){ .size = size,
		                    .received_ns = time_of(&x->answer, "last-modified"),
		                    .locked_until_ns = time_of(&x->answer, UNTIL) };
	if (ret_mode)
		*ret_mode = is_locked(&x->answer) ? "locked" : s->lock_mode;
	return 0;
}

static int azure_head(struct store *base, const char *key, struct store_stat *ret, struct err *e)
{
	return head((struct azure *)base, key, ret, NULL, e);
}

static int azure_get(struct store *base, const char *key, uint64_t off, void *p, size_t n,
                     struct err *e)
{
	struct azure *s = (struct azure *)base;
	struct http_fill fill = { .p = p, .n = n };

	if (n == 0 || off > INT64_MAX - n) {
		struct store_stat st;

		if (azure_head(base, key, &st, e) < 0)
			return -1;
		if (n == 0 && off <= st.size)
			return 0;
		return err_set(e, ERR_CORRUPT, "the object has %llu bytes only",
		               (unsigned long long)st.size);
	}
	CLEANUP(clean_ask) struct ask *x = ask_new(s, CALL_GET, "GET", key, e);
	if (!x)
		return -1;
	wire_header(&x->w, "x-ms-range", "bytes=%llu-%llu", (unsigned long long)off,
	            (unsigned long long)(off + n - 1));
	x->rq.sink = http_sink_fill;
	x->rq.arg = &fill;
	if (ask_send(x, e) < 0)
		return -1;
	if (x->answer.status != 206)
		return err_set(e, ERR_IO,
		               "the service answered with status %d where a part was asked for; a "
		               "proxy may have taken the range away",
		               x->answer.status);
	if (fill.got < n)
		return err_set(e, ERR_CORRUPT, "the object ends at byte %llu, before %llu",
		               (unsigned long long)(off + fill.got), (unsigned long long)(off + n));
	return 0;
}

static int azure_get_all(struct store *base, const char *key, struct buf *b, struct err *e)
{
	struct azure *s = (struct azure *)base;
	CLEANUP(clean_ask) struct ask *x = ask_new(s, CALL_GET, "GET", key, e);

	if (!x)
		return -1;
	x->rq.sink = http_sink_buf;
	x->rq.arg = b;
	return ask_send(x, e);
}

static int azure_del(struct store *base, const char *key, struct err *e)
{
	struct azure *s = (struct azure *)base;
	CLEANUP(clean_ask) struct ask *x = ask_new(s, CALL_DELETE, "DELETE", key, e);
	struct err why;

	if (!x)
		return -1;
	if (ask_send(x, &why) == 0 || why.class == ERR_NOT_FOUND)
		return 0;
	*e = why;
	return -1;
}

/* ---- storing ---- */

static uint64_t crc_of(const struct iovec *iov, int niov)
{
	uint64_t crc = CRC64_INIT;

	for (int i = 0; i < niov; i++)
		crc = crc64_update(crc, iov[i].iov_base, iov[i].iov_len);
	return crc;
}

static void add_crc(struct wire *w, const struct iovec *iov, int niov)
{
	wire_header(w, "x-ms-content-crc64", "%s", crc64_little(crc_of(iov, niov)).s);
}

static void add_lock(struct ask *x, int64_t until_ns, const char *mode)
{
	wire_header(&x->w, UNTIL, "%s", now_http(until_ns).s);
	wire_header(&x->w, "x-ms-immutability-policy-mode", "%s", mode);
}

/* What the blob shall be: created only, in a tier, kept for a while. */
static void add_properties(struct ask *x, const char *key)
{
	const struct azure *s = x->s;

	wire_header(&x->w, "if-none-match", "*");
	if (s->tier && strncmp(key, PACKS, sizeof(PACKS) - 1) == 0)
		wire_header(&x->w, "x-ms-access-tier", "%s", s->tier);
	if (s->base.lock_s > 0 && lock_applies(key)) {
		int64_t now_s = now_wall_ns() / NS_PER_S +
		                atomic_load_explicit(&s->ahead_s, memory_order_relaxed);

		add_lock(x, lock_until_s(now_s, s->base.lock_s) * NS_PER_S, s->lock_mode);
	}
	if (s->legal_hold && lock_applies(key))
		wire_header(&x->w, "x-ms-legal-hold", "true");
}

static int put_block(struct azure *s, const char *key, const char *id, const struct iovec *iov,
                     int niov, struct err *e)
{
	CLEANUP(clean_ask) struct ask *x = ask_new(s, CALL_PUT, "PUT", key, e);

	if (!x)
		return -1;
	wire_query(&x->w, "comp", "block");
	wire_query(&x->w, "blockid", id);
	add_crc(&x->w, iov, niov);
	x->rq.iov = iov;
	x->rq.niov = niov;
	return ask_send(x, e);
}

/* Block i of an upload: equally long ids, random so that two uploads never share one. */
static void block_id(char ret[32], uint64_t upload, unsigned i)
{
	uint8_t raw[12];

	memcpy(raw, &upload, sizeof(upload));
	for (unsigned k = 0; k < 4; k++)
		raw[8 + k] = (uint8_t)(i >> 8 * (3 - k));
	base64_encode(ret, 32, raw, sizeof(raw));
}

static int put_blocks(struct azure *s, const char *key, const struct iovec *iov, int niov,
                      uint64_t total, struct err *e)
{
	CLEANUP(buf_clear) struct buf list = BUF_INIT(128 * BLOCKS_MAX);
	auto_free struct iovec *part = calloc((size_t)niov, sizeof(*part));
	uint64_t block = s->block_bytes;
	uint64_t upload;
	char id[32];

	while (total / block >= BLOCKS_MAX)
		block *= 2;
	if (!part)
		return no_memory(e);
	secret_random(&upload, sizeof(upload));
	buf_printf(&list, "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
	for (uint64_t off = 0; off < total; off += block) {
		uint64_t n = total - off < block ? total - off : block;

		block_id(id, upload, (unsigned)(off / block));
		if (put_block(s, key, id, part, store_iov_slice(iov, niov, off, n, part), e) < 0)
			return err_wrap(e, "uploading block %u", (unsigned)(off / block));
		buf_printf(&list, "<Latest>%s</Latest>", id);
	}
	buf_printf(&list, "</BlockList>");
	CLEANUP(clean_ask) struct ask *x = ask_new(s, CALL_PUT, "PUT", key, e);
	if (!x || buf_check(&list, "a list of blocks", e) < 0)
		return -1;
	struct iovec body = { list.data, list.len };
	wire_query(&x->w, "comp", "blocklist");
	wire_header(&x->w, "content-type", "application/xml");
	add_crc(&x->w, &body, 1);
	add_properties(x, key);
	x->rq.iov = &body;
	x->rq.niov = 1;
	return ask_send(x, e);
}

static int azure_put(struct store *base, const char *key, const struct iovec *iov, int niov,
                     struct err *e)
{
	struct azure *s = (struct azure *)base;
	uint64_t total = store_iov_bytes(iov, niov);

	if (total > s->block_bytes)
		return put_blocks(s, key, iov, niov, total, e);
	CLEANUP(clean_ask) struct ask *x = ask_new(s, CALL_PUT, "PUT", key, e);
	if (!x)
		return -1;
	wire_header(&x->w, "x-ms-blob-type", "BlockBlob");
	wire_header(&x->w, "content-type", "application/octet-stream");
	add_crc(&x->w, iov, niov);
	add_properties(x, key);
	x->rq.iov = iov;
	x->rq.niov = niov;
	return ask_send(x, e);
}

/*
 * A policy that is not locked for good can be made shorter by the same request, so it is looked at
 * first. Two that do this at the same moment may leave the shorter one: whoever looks next sees it.
 */
static int azure_lock(struct store *base, const char *key, int64_t until_ns, struct err *e)
{
	struct azure *s = (struct azure *)base;
	int64_t until_s = (until_ns + NS_PER_S - 1) / NS_PER_S;
	struct store_stat st;
	const char *mode;

	if (head(s, key, &st, &mode, e) < 0)
		return -1;
	if (st.locked_until_ns >= until_ns)
		return 0;
	CLEANUP(clean_ask) struct ask *x = ask_new(s, CALL_LOCK, "PUT", key, e);
	if (!x)
		return -1;
	wire_query(&x->w, "comp", "immutabilityPolicies");
	add_lock(x, until_s * NS_PER_S, mode);
	x->rq.niov = 0;
	return ask_send(x, e);
}

/* ---- listing ---- */

/* One page into xml, from marker ("" for the first) on. */
static int page(struct azure *s, const char *prefix, const char *marker, struct xml *xml,
                struct err *e)
{
	CLEANUP(clean_ask) struct ask *x = ask_new(s, CALL_LIST, "GET", NULL, e);
	CLEANUP(buf_clear) struct buf full = BUF_INIT(2 * STORE_KEY_MAX + 2);

	if (!x)
		return -1;
	buf_printf(&full, "%s%s%s", s->prefix, *s->prefix ? "/" : "", prefix);
	if (buf_check(&full, "a prefix", e) < 0)
		return -1;
	wire_query(&x->w, "restype", "container");
	wire_query(&x->w, "comp", "list");
	wire_query(&x->w, "maxresults", PAGE_ITEMS);
	if (full.len > 0)
		wire_query(&x->w, "prefix", buf_cstr(&full));
	if (*marker)
		wire_query(&x->w, "marker", marker);
	x->rq.sink = xml_sink;
	x->rq.arg = xml;
	return ask_send(x, e) < 0 || xml_end(xml, e) < 0 ? -1 : 0;
}

static int azure_list(struct store *base, const char *prefix, const char *after,
                      int (*each)(void *arg, const struct store_item *item, struct err *e),
                      void *arg, struct err *e)
{
	struct azure *s = (struct azure *)base;
	CLEANUP(buf_clear) struct buf strip = BUF_INIT(STORE_KEY_MAX);
	auto_free struct store_item *item = malloc(sizeof(*item));
	auto_free char *marker = strdup("");

	buf_printf(&strip, "%s%s", s->prefix, *s->prefix ? "/" : "");
	if (!item || !marker || buf_check(&strip, "a prefix", e) < 0)
		return no_memory(e);
	auto_xml struct xml *xml = xml_new(&xml_azure_list, buf_cstr(&strip), e);
	if (!xml)
		return -1;
	do {
		int rc;

		xml_reset(xml);
		if (page(s, prefix, marker, xml, e) < 0)
			return -1;
		/* The service has no place to start from but its own markers. */
		while ((rc = xml_next(xml, item, e)) > 0) {
			if (strcmp(item->key, after) <= 0)
				continue;
			rc = each(arg, item, e);
			if (rc != 0)
				return rc < 0 ? -1 : 0;
		}
		if (rc < 0)
			return -1;
		const char *next = xml_text(xml, XML_NEXT);
		if (next && *next && strcmp(next, marker) == 0)
			return err_set(e, ERR_FORMAT,
			               "the service's listing does not go on: a page is "
			               "followed by itself");
		free(marker);
		marker = strdup(next ? next : "");
		if (!marker)
			return no_memory(e);
	} while (*marker);
	return 0;
}

/* ---- the second region ---- */

static int azure_cut(struct store *base, int64_t since_ns, struct store_cut *ret, struct err *e)
{
	struct azure *s = (struct azure *)base;
	struct err ignored;
	struct err why;

	(void)since_ns;
	*ret = (struct store_cut){ .kind = CUT_NONE };
	if (!s->secondary)
		return 0;
	auto_xml struct xml *xml = xml_new(&xml_azure_stats, NULL, e);
	CLEANUP(clean_ask) struct ask *x = xml ? ask_new(s, CALL_HEAD, "GET", NULL, e) : NULL;
	if (!x)
		return -1;
	/* The account's own, at the other address. */
	wire_clear(&x->w);
	wire_init(&x->w, "GET", s->secondary);
	wire_path(&x->w, "");
	wire_header(&x->w, "x-ms-version", "%s", s->api);
	wire_query(&x->w, "restype", "service");
	wire_query(&x->w, "comp", "stats");
	x->secondary = true;
	x->rq.sink = xml_sink;
	x->rq.arg = xml;
	if (ask_send(x, &why) < 0 || xml_end(xml, &why) < 0) {
		/* Nobody said that there is one: most accounts have none that can be read. */
		if (s->derived && why.class == ERR_UNSUPPORTED)
			return 0;
		if (s->derived && why.class == ERR_RETRY) {
			*ret = (struct store_cut){ .kind = CUT_UNKNOWN, .status = "unreachable" };
			return 0;
		}
		*e = why;
		return -1;
	}
	const char *status = xml_text(xml, XML_STATUS);
	const char *synced = xml_text(xml, XML_SYNCED);
	ret->kind = CUT_UNKNOWN;
	ret->at_ns = x->answer.date_s * 1000000000;
	(void)snprintf(ret->status, sizeof(ret->status), "%s", status ? status : "");
	/*
	 * What was written before that time is there; times of receipt are whole seconds, so one
	 * that is the same may be of a later moment.
	 */
	if (synced && now_http_parse(synced, &ret->cut_ns, &ignored) == 0) {
		ret->kind = CUT_LAST_SYNC;
		ret->cut_ns--;
	}
	return 0;
}

/* Rights and the role with the least of them: "Blob service REST API", operation by operation. */
static const char *azure_right(struct store *base, enum store_right right)
{
	static const char *const letters[STORE_RIGHTS] = {
		[RIGHT_CREATE] =
			"the permissions c (create) and w (write) in the shared access signature",
		[RIGHT_READ] = "the permission r (read) in the shared access signature",
		[RIGHT_LIST] = "the permission l (list) in the shared access signature",
		[RIGHT_DELETE] = "the permission d (delete) in the shared access signature",
		[RIGHT_LOCK] = "the permission i (immutability) in the shared access signature",
	};
	static const char *const roles[STORE_RIGHTS] = {
		[RIGHT_CREATE] = "the role 'Storage Blob Data Contributor' on the container",
		[RIGHT_READ] = "the role 'Storage Blob Data Reader' on the container",
		[RIGHT_LIST] = "the role 'Storage Blob Data Reader' on the container",
		[RIGHT_DELETE] = "the role 'Storage Blob Data Contributor' on the container",
		[RIGHT_LOCK] = "the role 'Storage Blob Data Owner' on the container",
	};

	switch (azure_auth_kind(((struct azure *)base)->auth)) {
	case AZURE_SAS:
		return letters[right];
	case AZURE_WORKLOAD:
	case AZURE_IMDS:
		return roles[right];
	case AZURE_KEY:
		break;
	}
	return NULL; /* which allows everything */
}

static int64_t azure_ends(struct store *base)
{
	return end_of((const struct azure *)base);
}

static void azure_traffic(struct store *base, struct store_traffic *ret)
{
	traffic_add(ret, ((struct azure *)base)->http);
}

static void azure_free(struct store *base)
{
	struct azure *s = (struct azure *)base;

	azure_auth_free(s->auth);
	http_free(s->http);
	free(s->container);
	free(s->primary);
	free(s->secondary);
	place_clear(&s->place);
	store_base_clear(&s->base);
	free(s);
}

static const struct store_ops azure_ops = {
	.name = "azure",
	.put = azure_put,
	.get = azure_get,
	.head = azure_head,
	.list = azure_list,
	.del = azure_del,
	.lock = azure_lock,
	.get_all = azure_get_all,
	.cut = azure_cut,
	.right = azure_right,
	.ends = azure_ends,
	.traffic = azure_traffic,
	.free = azure_free,
};

/* ---- opening ---- */

static int check_names(struct azure *s, struct err *e)
{
	const char *account = s->place.host;
	size_t n = strlen(account);

	if (n < 3 || n > 24 || account[strspn(account, "abcdefghijklmnopqrstuvwxyz0123456789")])
		return err_set(e, ERR_INVALID,
		               "'%.40s' is no storage account: those have 3 to 24 small letters "
		               "and digits",
		               account);
	const char *slash = strchrnul(s->place.rest, '/');
	s->container = strndup(s->place.rest, (size_t)(slash - s->place.rest));
	s->prefix = *slash ? slash + 1 : slash;
	if (!s->container)
		return no_memory(e);
	n = strlen(s->container);
	if (n < 3 || n > 63 ||
	    s->container[strspn(s->container, "abcdefghijklmnopqrstuvwxyz0123456789-")] ||
	    s->container[0] == '-' || s->container[n - 1] == '-' || strstr(s->container, "--"))
		return err_set(e, ERR_INVALID,
		               "an Azure store is written azure://ACCOUNT/CONTAINER[/PREFIX]; "
		               "'%.70s' is no container: those have 3 to 63 small letters, digits "
		               "and single dashes",
		               s->container);
	/* Keys of the store begin after the prefix, and are bounded with it. */
	if (*s->prefix && (!store_key_valid(s->prefix) || strlen(s->prefix) > STORE_KEY_MAX / 2))
		return err_set(e, ERR_INVALID,
		               "the prefix '%.100s' is none: it has a-z 0-9 . _ - in parts between "
		               "slashes, at most %d characters",
		               s->prefix, STORE_KEY_MAX / 2);
	return 0;
}

/*
 * The secondary's address: "ACCOUNT-secondary" where the account's name stands in the primary's.
 * There is none (NULL) where it does not.
 */
static int derive_secondary(struct azure *s, struct err *e)
{
	const char *account = s->place.host;
	const char *host = strstr(s->primary, "://") + 3;
	size_t n = strlen(account);
	const char *at = NULL;

	if (strncmp(host, account, n) == 0 && host[n] == '.')
		at = host + n;
	const char *path = strrchr(host, '/');
	if (!at && path && strcmp(path + 1, account) == 0)
		at = path + 1 + n;
	if (!at)
		return 0;
	if (asprintf(&s->secondary, "%.*s-secondary%s", (int)(at - s->primary), s->primary, at) <
	    0) {
		s->secondary = NULL;
		return no_memory(e);
	}
	s->derived = true;
	return 0;
}

/* A base URL is scheme, host, port and path. What it is instead may be a secret. */
static int check_address(const char *url, struct err *e)
{
	if (strpbrk(url, "?#@ \t\r\n"))
		return err_set(e, ERR_INVALID,
		               "the service's address has more in it than https://HOST:PORT/PATH");
	if (http_url_allowed(url))
		return 0;
	return err_set(e, ERR_INVALID,
	               "the service's address '%.100s' must begin with https:// (http:// is for "
	               "loopback addresses)",
	               url);
}

/* The URL of another store, and not the address of a service. */
static bool is_copy(const char *secondary)
{
	return strncmp(secondary, "http", 4) != 0 && strcmp(secondary, "none") != 0;
}

static int set_addresses(struct azure *s, struct err *e)
{
	const struct place *p = &s->place;
	const char *endpoint = place_param(p, "endpoint");
	const char *suffix = place_param(p, "suffix");
	const char *secondary = place_param(p, "secondary");

	if (!endpoint && !suffix)
		endpoint = azure_auth_endpoint(s->auth);
	if (endpoint) {
		s->primary = strdup(endpoint);
	} else if (asprintf(&s->primary, "https://%s.blob.%s", p->host, suffix ? suffix : SUFFIX) <
	           0) {
		s->primary = NULL;
	}
	if (!s->primary)
		return no_memory(e);
	for (size_t n = strlen(s->primary); n > 0 && s->primary[n - 1] == '/'; n--)
		s->primary[n - 1] = '\0';
	if (check_address(s->primary, e) < 0)
		return -1;
	if (secondary && strcmp(secondary, "none") == 0)
		return 0;
	if (secondary && is_copy(secondary))
		return 0; /* opened beside this one */
	if (!secondary)
		secondary = azure_auth_secondary(s->auth);
	if (!secondary)
		return derive_secondary(s, e);
	if (check_address(secondary, e) < 0)
		return -1;
	s->secondary = strdup(secondary);
	return s->secondary ? 0 : no_memory(e);
}

static int set_tier(struct azure *s, struct err *e)
{
	static const char *const tiers[][2] = { { "hot", "Hot" },
		                                { "cool", "Cool" },
		                                { "cold", "Cold" } };
	const char *tier = place_param(&s->place, "tier");

	if (!tier)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(tiers); i++)
		if (strcmp(tier, tiers[i][0]) == 0)
			s->tier = tiers[i][1];
	if (s->tier)
		return 0;
	return err_set(e, ERR_INVALID,
	               "the store's parameter tier=%.20s is none of hot, cool, cold%s", tier,
	               strcmp(tier, "archive") == 0
	                       ? ": what is in the archive tier is readable hours later, which is "
	                         "no restore"
	                       : "");
}

static int set_rest(struct azure *s, struct err *e)
{
	const struct place *p = &s->place;
	const char *lock = place_param(p, "lock");
	const char *mode = place_param(p, "lock-mode");
	const char *hold = place_param(p, "legal-hold");
	const char *block = place_param(p, "block");

	s->api = place_param(p, "api") ? place_param(p, "api") : API;
	s->lock_mode = mode ? mode : "unlocked";
	if (hold && strcmp(hold, "on") != 0)
		return err_set(e, ERR_INVALID, "the store's parameter legal-hold=%.20s is not 'on'",
		               hold);
	s->legal_hold = hold;
	if (strcmp(s->lock_mode, "unlocked") != 0 && strcmp(s->lock_mode, "locked") != 0)
		return err_set(e, ERR_INVALID,
		               "the store's parameter lock-mode=%.20s is neither unlocked nor "
		               "locked",
		               s->lock_mode);
	if (lock && num_duration("the store's parameter 'lock'", lock, &s->base.lock_s, e) < 0)
		return -1;
	s->block_bytes = BLOCK_BYTES;
	if (block && num_size("the store's parameter 'block'", block, (uint64_t)4000 << 20,
	                      &s->block_bytes, e) < 0)
		return -1;
	if (s->block_bytes < BLOCK_LEAST)
		return err_set(e, ERR_INVALID, "the store's parameter 'block' is below 64 KiB");
	return set_tier(s, e);
}

/* One region of an account. */
static struct azure *open_one(const char *url, unsigned flags, bool secondary,
                              const struct cancel *cancel, struct err *e)
{
	struct azure *s = calloc(1, sizeof(*s));
	unsigned caps = STORE_CAP_CONDITIONAL_PUT | STORE_CAP_OBJECT_LOCK | STORE_CAP_CHECKSUM |
	                STORE_CAP_WRITE;

	if (!s) {
		(void)no_memory(e);
		return NULL;
	}
	auto_store struct store *owned = &s->base;
	s->base.ops = &azure_ops;
	if (place_parse(url, params, &s->place, e) < 0 ||
	    store_base_init(&s->base, &azure_ops, caps, "", s->place.plain, e) < 0)
		return NULL;
	const struct http_params http = { .ca_file = place_param(&s->place, "ca"),
		                          .proxy = place_param(&s->place, "proxy"),
		                          .connect_ms = flags & STORE_FAIL_OVER ? FAIL_OVER_MS : 0,
		                          .cancel = cancel };
	s->http = http_new(&http, e);
	if (!s->http || azure_auth_new(&s->place, s->http, TRAFFIC_AUTH, &s->auth, e) < 0 ||
	    check_names(s, e) < 0 || set_addresses(s, e) < 0 || set_rest(s, e) < 0)
		return NULL;
	if (s->secondary)
		s->base.caps |= STORE_CAP_SECONDARY;
	s->at = secondary ? s->secondary : s->primary;
	(void)STEAL(&owned);
	return s;
}

struct store *store_azure_open(const char *url, unsigned flags, const struct cancel *cancel,
                               struct err *e)
{
	struct azure *first = open_one(url, flags, false, cancel, e);

	if (!first)
		return NULL;
	auto_store struct store *s = &first->base;
	const char *other = place_param(&first->place, "secondary");
	bool copy = other && is_copy(other);
	if (flags & STORE_SECOND) {
		if (copy)
			return store_open_driver(other, STORE_READONLY, cancel, e);
		if (first->secondary) {
			struct azure *second = open_one(url, flags, true, cancel, e);

			return second ? store_readonly_new(&second->base, e) : NULL;
		}
		err_set(e, ERR_UNSUPPORTED, "'%s' has no second region", s->url);
		return NULL;
	}
	if (copy || (flags & STORE_FAIL_OVER && first->secondary)) {
		struct store *second = copy ? store_open_driver(other, flags | STORE_READONLY,
		                                                cancel, e)
		                            : (struct store *)open_one(url, flags, true, cancel, e);

		if (!second)
			return NULL;
		s = store_geo_new(STEAL(&s), second, flags, copy, e);
	}
	if (s && flags & STORE_READONLY)
		return store_readonly_new(STEAL(&s), e);
	return STEAL(&s);
}
