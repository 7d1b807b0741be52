/* SPDX-License-Identifier: Apache-2.0 */
/* The driver, and a blob service that answers by a script of the test. */
#include "store/azure.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/now.h"
#include "store/place.h"
#include "store/traffic.h"
#include "tests/harness/harness.h"
#include "tests/harness/http_server.h"
#include "tests/harness/store_kit.h"

#define SECRET "s3cr3t"
#define KEY "czNjcjN0" /* SECRET */
#define DATE "Date: Sun, 22 Nov 2026 10:04:05 GMT\r\n"
#define ERROR(code) \
	"<?xml version=\"1.0\"?><Error><Code>" code "</Code><Message>words</Message></Error>"

struct reply {
	int status;
	const char *headers; /* NULL: none */
	const char *body;    /* NULL: none */
};

struct world {
	struct http_server *server;
	char url[256];
	char authority[64];
	/* answers, one after the other; the last one is for all further requests */
	const struct reply *replies;
	unsigned nreplies;
	/* what was asked */
	struct http_seen *seen;
	char *bodies[16];
	unsigned n, tokens;
};

static struct world w;

static int answer(void *arg, const struct http_seen *q, struct buf *reply)
{
	(void)arg;
	if (strstr(q->target, "/oauth2/")) {
		char json[64];

		(void)snprintf(json, sizeof(json), "{\"access_token\":\"t%u\",\"expires_in\":3600}",
		               ++w.tokens);
		http_reply(reply, 200, "", json, strlen(json));
		return 0;
	}
	if (w.n == 16)
		harness_die("too many requests");
	const struct reply *r = &w.replies[w.n < w.nreplies ? w.n : w.nreplies - 1];
	w.seen[w.n] = *q;
	w.bodies[w.n] = calloc(1, q->body_len + 1);
	assert_non_null(w.bodies[w.n]);
	memcpy(w.bodies[w.n], q->body, q->body_len);
	w.n++;
	if (r->status < 0)
		return -1;
	const char *body = r->body ? r->body : "";
	http_reply(reply, r->status, r->headers ? r->headers : "", body,
	           strcmp(q->method, "HEAD") == 0 ? 0 : strlen(body));
	return 0;
}

static int setup(void **state)
{
	static const char *const names[] = {
		"AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID",   "AZURE_TENANT_ID",
		"AZURE_STORAGE_SAS_TOKEN",    "AZURE_STORAGE_KEY", "AZURE_STORAGE_CONNECTION_STRING"
	};

	(void)state;
	w = (struct world){ .seen = calloc(16, sizeof(*w.seen)) };
	w.server = http_server_start(answer, NULL);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unsetenv(names[i]);
	setenv("AZURE_STORAGE_KEY", KEY, 1);
	(void)snprintf(w.authority, sizeof(w.authority), "http://127.0.0.1:%u",
	               http_server_port(w.server));
	(void)snprintf(w.url, sizeof(w.url), "azure://acct1/data/pre?endpoint=%s/acct1",
	               w.authority);
	return 0;
}

/* What the server's threads wrote is seen from here on, also of a connection that they reset. */
static void settle(void)
{
	(void)http_server_requests(w.server);
}

static void forget(void)
{
	if (w.server)
		settle();
	for (unsigned i = 0; i < w.n; i++)
		free(w.bodies[i]);
	w.n = 0;
}

static int teardown(void **state)
{
	(void)state;
	http_server_stop(w.server);
	w.server = NULL;
	forget();
	free(w.seen);
	return 0;
}

/* The driver alone, without retry. */
static struct store *opened(const char *more, unsigned flags)
{
	char url[1024];
	struct err e = ERR_INIT;

	(void)snprintf(url, sizeof(url), "%s%s", w.url, more);
	struct store *s = store_azure_open(url, flags, NULL, &e);
	if (!s)
		fail_msg("%s: %s", url, e.msg);
	return s;
}

static void refused(const char *url, const char *text)
{
	struct err e = ERR_INIT;
	auto_store struct store *s = store_azure_open(url, 0, NULL, &e);

	if (s || e.class != ERR_INVALID || !strstr(e.msg, text) || strstr(e.msg, SECRET))
		fail_msg("%s: %s: %s", url, err_class_name(e.class), e.msg);
}

#define script(...)                                                     \
	do {                                                            \
		static const struct reply replies_[] = { __VA_ARGS__ }; \
		settle();                                               \
		w.replies = replies_;                                   \
		w.nreplies = ARRAY_LEN(replies_);                       \
	} while (0)

static void assert_header(unsigned i, const char *name, const char *expected)
{
	char value[512];

	assert_true(i < w.n);
	http_seen_header(&w.seen[i], name, value, sizeof(value));
	assert_string_equal(value, expected);
}

static void assert_asked(unsigned i, const char *method, const char *target)
{
	assert_true(i < w.n);
	assert_string_equal(w.seen[i].method, method);
	assert_string_equal(w.seen[i].target, target);
}

/* ---- opening ---- */

static void test_open__names_that_azure_does_not_have(void **state)
{
	(void)state;
	refused("azure://ab/data", "'ab' is no storage account");
	refused("azure://Account/data", "is no storage account");
	refused("azure://acct1", "azure://ACCOUNT/CONTAINER");
	refused("azure://acct1/ab", "'ab' is no container");
	refused("azure://acct1/Data", "is no container");
	refused("azure://acct1/-data", "is no container");
	refused("azure://acct1/data-", "is no container");
	refused("azure://acct1/da--ta", "is no container");
	refused("azure://acct1/data/Pre", "the prefix 'Pre' is none");
	refused("azure://acct1/data/.a", "is none");
}

static void test_open__parameters_that_make_no_sense(void **state)
{
	(void)state;
	refused("azure://acct1/data?tier=warm", "tier=warm is none of hot, cool, cold");
	refused("azure://acct1/data?tier=archive", "which is no restore");
	refused("azure://acct1/data?lock=soon", "'lock'");
	refused("azure://acct1/data?lock=1d&lock-mode=open", "neither unlocked nor locked");
	refused("azure://acct1/data?block=1KiB", "below 64 KiB");
	refused("azure://acct1/data?block=5000MiB", "'block'");
	refused("azure://acct1/data?region=us", "'region' is no parameter");
	refused("azure://acct1/data?ca=/nowhere/ca.pem", "/nowhere/ca.pem");
}

static void test_open__addresses(void **state)
{
	(void)state;
	refused("azure://acct1/data?endpoint=http://example.com", "must begin with https://");
	refused("azure://acct1/data?endpoint=ftp://example.com", "must begin with https://");
	refused("azure://acct1/data?endpoint=https://example.com/%3F" SECRET, "more in it than");
	refused("azure://acct1/data?endpoint=" SECRET "%40host", "more in it than");
	refused("azure://acct1/data?secondary=http://example.com", "must begin with https://");
	refused("azure://acct1/data?secondary=ftp://example.com", "'ftp:' are not known");
	setenv("AZURE_STORAGE_CONNECTION_STRING",
	       "AccountKey=" KEY ";BlobEndpoint=http://example.com", 1);
	unsetenv("AZURE_STORAGE_KEY");
	refused("azure://acct1/data", "must begin with https://");
	setenv("AZURE_STORAGE_CONNECTION_STRING",
	       "AccountKey=" KEY ";BlobSecondaryEndpoint=http://example.com", 1);
	refused("azure://acct1/data", "must begin with https://");
}

static void test_open__makes_no_request_and_has_no_secret_in_its_url(void **state)
{
	(void)state;
	auto_store struct store *s = opened("&tier=cool", 0);
	assert_string_equal(s->url, "azure://acct1/data/pre");
	assert_true(s->caps & STORE_CAP_SECONDARY);
	auto_store struct store *alone = opened("&secondary=none", 0);
	assert_false(alone->caps & STORE_CAP_SECONDARY);
	assert_int_equal(http_server_requests(w.server), 0);
}

/* ---- what is sent ---- */

static void test_put__creates_and_never_replaces(void **state)
{
	(void)state;
	script({ 201, DATE, NULL });
	auto_store struct store *s = opened("", 0);
	ok(put_text(s, "a/b", "123456789", e));
	assert_asked(0, "PUT", "/acct1/data/pre/a/b");
	assert_header(0, "if-none-match", "*");
	assert_header(0, "x-ms-blob-type", "BlockBlob");
	assert_header(0, "x-ms-version", "2021-12-02");
	assert_header(0, "content-type", "application/octet-stream");
	assert_header(0, "content-length", "9");
	assert_header(0, "x-ms-content-crc64", "iJh5CoYUi64="); /* AE8B14860A799888, little */
	assert_header(0, "x-ms-access-tier", "");
	assert_header(0, "x-ms-immutability-policy-mode", "");
	assert_header(0, "expect", "");
	assert_string_equal(w.bodies[0], "123456789");
	ok(put_text(s, "empty", "", e));
	assert_header(1, "content-length", "0");
	assert_header(1, "x-ms-content-crc64", "AAAAAAAAAAA=");
}

static void test_put__a_tier_is_of_packs(void **state)
{
	(void)state;
	script({ 201, NULL, NULL });
	auto_store struct store *s = opened("&tier=cold", 0);
	ok(put_text(s, "pack/ab/cd", "x", e));
	ok(put_text(s, "commit/ab", "x", e));
	ok(put_text(s, "packs", "x", e));
	assert_header(0, "x-ms-access-tier", "Cold");
	assert_header(1, "x-ms-access-tier", "");
	assert_header(2, "x-ms-access-tier", "");
}

/* Seconds from now to a date of HTTP. */
static int64_t from_now_s(const char *text)
{
	int64_t ns = 0;

	ok(now_http_parse(text, &ns, e));
	return (ns - now_wall_ns()) / 1000000000;
}

static void test_put__a_lock_is_by_the_clock_of_the_service(void **state)
{
	char until[64];
	char date[64];

	(void)state;
	/* the service's clock is an hour ahead */
	(void)snprintf(date, sizeof(date), "Date: %s\r\n",
	               now_http(now_wall_ns() + INT64_C(3600) * 1000000000).s);
	const struct reply replies[] = { { 201, date, NULL } };
	w.replies = replies;
	w.nreplies = 1;
	auto_store struct store *s = opened("&lock=2d&lock-mode=locked&legal-hold=on", 0);
	ok(put_text(s, "a", "x", e));
	ok(put_text(s, "b", "x", e));
	assert_header(0, "x-ms-legal-hold", "true");
	assert_header(0, "x-ms-immutability-policy-mode", "locked");
	http_seen_header(&w.seen[0], "x-ms-immutability-policy-until-date", until, sizeof(until));
	assert_in_range(from_now_s(until), 176400 - 600, 176400); /* two days and an hour */
	http_seen_header(&w.seen[1], "x-ms-immutability-policy-until-date", until, sizeof(until));
	assert_in_range(from_now_s(until), 180000 - 600, 180001);
}

static void test_put__a_large_object_goes_up_in_blocks(void **state)
{
	enum { N = 150 * 1024 };
	auto_free uint8_t *p = malloc(N);
	char id[3][64];

	(void)state;
	script({ 201, NULL, NULL });
	memset(p, 'x', N);
	auto_store struct store *s = opened("&block=64KiB&tier=hot&lock=1d", 0);
	ok(put_bytes(s, "pack/a", p, 64 * 1024, e)); /* as large as a block: whole */
	assert_int_equal(w.n, 1);
	forget();
	ok(put_bytes(s, "pack/a", p, N, e));
	assert_int_equal(w.n, 4);
	for (unsigned i = 0; i < 3; i++) {
		const char *at = "/acct1/data/pre/pack/a?blockid=";

		assert_memory_equal(w.seen[i].target, at, strlen(at));
		assert_non_null(strstr(w.seen[i].target, "&comp=block"));
		(void)snprintf(id[i], sizeof(id[i]), "%.*s",
		               (int)strcspn(w.seen[i].target + strlen(at), "&"),
		               w.seen[i].target + strlen(at));
		assert_true(place_unescape(id[i]));
		assert_header(i, "if-none-match", "");
		assert_header(i, "x-ms-access-tier", "");
		assert_header(i, "content-length", i < 2 ? "65536" : "22528");
		assert_int_equal(strlen(id[i]), 16);
	}
	assert_string_not_equal(id[0], id[1]);
	assert_string_not_equal(id[1], id[2]);
	assert_asked(3, "PUT", "/acct1/data/pre/pack/a?comp=blocklist");
	assert_header(3, "if-none-match", "*");
	assert_header(3, "x-ms-access-tier", "Hot");
	assert_header(3, "x-ms-immutability-policy-mode", "unlocked");
	/* the order of the list is that of the blocks: ids end in their numbers */
	assert_non_null(strstr(w.bodies[3], "AAAA</Latest><Latest>"));
	assert_non_null(strstr(w.bodies[3], "AAAC</Latest></BlockList>"));
}

static void test_put__a_block_that_fails_ends_it(void **state)
{
	auto_free uint8_t *p = calloc(1, 150 * 1024);

	(void)state;
	script({ 201, NULL, NULL }, { 503, NULL, ERROR("ServerBusy") });
	auto_store struct store *s = opened("&block=64KiB", 0);
	fails_saying(ERR_RETRY, "uploading block 1: the service is busy",
	             put_bytes(s, "a", p, 150 * 1024, e));
	assert_int_equal(w.n, 2);
}

static void test_put__two_uploads_share_no_block(void **state)
{
	auto_free uint8_t *p = calloc(1, 65537);

	(void)state;
	script({ 201, NULL, NULL });
	auto_store struct store *s = opened("&block=64KiB", 0);
	ok(put_bytes(s, "a", p, 65537, e));
	ok(put_bytes(s, "a", p, 65537, e));
	assert_string_not_equal(w.seen[0].target, w.seen[3].target);
}

static void test_get__asks_for_a_part(void **state)
{
	char p[4] = "";

	(void)state;
	script({ 206, NULL, "cde" }, { 206, NULL, "cd" }, { 206, NULL, "cdef" },
	       { 200, NULL, "abc" }, { 416, NULL, ERROR("InvalidRange") }, { 416, NULL, NULL });
	auto_store struct store *s = opened("", 0);
	ok(store_get(s, "a", 2, p, 3, e));
	assert_string_equal(p, "cde");
	assert_header(0, "x-ms-range", "bytes=2-4");
	assert_header(0, "range", "");
	fails_saying(ERR_CORRUPT, "ends at byte 4, before 5", store_get(s, "a", 2, p, 3, e));
	fails_saying(ERR_CORRUPT, "more than the 3 bytes", store_get(s, "a", 2, p, 3, e));
	fails_saying(ERR_IO, "proxy", store_get(s, "a", 2, p, 3, e));
	fails_saying(ERR_CORRUPT, "ends before the range", store_get(s, "a", 2, p, 3, e));
	fails_saying(ERR_CORRUPT, "ends before the range", store_get(s, "a", 2, p, 3, e));
}

static void test_get__no_bytes_are_asked_of_the_size(void **state)
{
	char p[1];

	(void)state;
	/* an answer to HEAD has the length of what it is about, and no body */
	script({ 200, NULL, NULL });
	auto_store struct store *s = opened("", 0);
	ok(store_get(s, "a", 0, p, 0, e));
	assert_asked(0, "HEAD", "/acct1/data/pre/a");
	fails_saying(ERR_CORRUPT, "has 0 bytes only", store_get(s, "a", 1, p, 0, e));
	fails_saying(ERR_CORRUPT, "has 0 bytes only", store_get(s, "a", UINT64_MAX, p, 1, e));
}

static void test_get_all__has_a_limit(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(5);

	(void)state;
	script({ 200, NULL, "abc" });
	auto_store struct store *s = opened("", 0);
	ok(store_get_all(s, "a", &b, e));
	assert_header(0, "x-ms-range", "");
	fails(ERR_TOO_BIG, store_get_all(s, "a", &b, e));
	assert_int_equal(b.len, 3);
}

static void test_head__tells_size_and_time(void **state)
{
	struct store_stat st;

	(void)state;
	script({ 200, "Last-Modified: Sun, 22 Nov 2026 10:04:05 GMT\r\n", NULL },
	       { 404, "x-ms-error-code: BlobNotFound\r\n", NULL }, { 404, NULL, NULL },
	       { 404, "x-ms-error-code: ContainerNotFound\r\n", NULL });
	auto_store struct store *s = opened("", 0);
	ok(store_head(s, "a", &st, e));
	assert_int_equal(st.size, 0);
	assert_int_equal(st.received_ns, INT64_C(1795341845000000000));
	fails(ERR_NOT_FOUND, store_head(s, "a", &st, e));
	fails(ERR_NOT_FOUND, store_head(s, "a", &st, e));
	fails_saying(ERR_IO, "the account has no container 'data'; create it, or mend the URL",
	             store_head(s, "a", &st, e));
}

static void test_delete__what_is_not_there_is_deleted(void **state)
{
	(void)state;
	script({ 202, NULL, NULL }, { 404, NULL, ERROR("BlobNotFound") },
	       { 404, NULL, ERROR("ContainerNotFound") },
	       { 409, NULL, ERROR("BlobImmutableDueToPolicy") },
	       { 409, NULL, ERROR("SnapshotsPresent") });
	auto_store struct store *s = opened("", 0);
	ok(store_delete(s, "a", e));
	assert_asked(0, "DELETE", "/acct1/data/pre/a");
	ok(store_delete(s, "a", e));
	fails(ERR_IO, store_delete(s, "a", e));
	fails_saying(ERR_BUSY, "legal hold", store_delete(s, "a", e));
	fails_saying(ERR_BUSY, "snapshots", store_delete(s, "a", e));
}

/* ---- lists ---- */

#define BLOB(name, size)                                                                  \
	"<Blob><Name>" name                                                               \
	"</Name><Properties><Last-Modified>Sun, 22 Nov 2026 10:04:05 GMT</Last-Modified>" \
	"<Content-Length>" size "</Content-Length></Properties></Blob>"
#define PAGE(blobs, next)                                                             \
	"<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs>" blobs \
	"</Blobs><NextMarker>" next "</NextMarker></EnumerationResults>"

static void test_list__goes_on_over_empty_pages(void **state)
{
	(void)state;
	script({ 200, NULL, PAGE("", "m/1 &amp;") },
	       { 200, NULL, PAGE(BLOB("pre/a/1", "1") BLOB("pre/a/2", "22"), "m2") },
	       { 200, NULL, PAGE("", "m3") }, { 200, NULL, PAGE(BLOB("pre/a/3", "0"), "") });
	auto_store struct store *s = opened("", 0);
	assert_list(s, "a/", NULL, "a/1=1 a/2=22 a/3=0");
	assert_int_equal(w.n, 4);
	assert_asked(0, "GET",
	             "/acct1/data?comp=list&maxresults=5000&prefix=pre%2Fa%2F&restype=container");
	assert_asked(1, "GET",
	             "/acct1/data?comp=list&marker=m%2F1%20%26&maxresults=5000&prefix=pre%2Fa%2F"
	             "&restype=container");
	forget();
	assert_list(s, "a/", "a/2", "a/3=0");
}

static void test_list__ends_where_the_caller_ends_it(void **state)
{
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;

	(void)state;
	script({ 200, NULL, PAGE(BLOB("pre/a", "1") BLOB("pre/b", "1"), "m") });
	auto_store struct store *s = opened("", 0);
	l.stop_at = 1;
	ok(store_list(s, "", NULL, see, &l, e));
	assert_int_equal(w.n, 1);
	l.fail_at = 2;
	fails_saying(ERR_BUSY, "not wanted by the test", store_list(s, "", NULL, see, &l, e));
}

static void test_list__a_listing_that_makes_no_sense(void **state)
{
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;

	(void)state;
	script({ 200, NULL, PAGE("", "m") }, { 200, NULL, PAGE("", "m") },
	       { 200, NULL, "<EnumerationResults><Blobs>" }, { 200, NULL, "<html></html>" },
	       { 200, NULL, PAGE(BLOB("pre/b", "1") BLOB("pre/a", "1"), "") },
	       { 404, NULL, ERROR("ContainerNotFound") });
	auto_store struct store *s = opened("", 0);
	fails_saying(ERR_FORMAT, "does not go on", store_list(s, "", NULL, see, &l, e));
	fails(ERR_FORMAT, store_list(s, "", NULL, see, &l, e));
	fails(ERR_FORMAT, store_list(s, "", NULL, see, &l, e));
	fails(ERR_UNSUPPORTED, store_list(s, "", NULL, see, &l, e));
	fails_saying(ERR_IO, "no container 'data'", store_list(s, "", NULL, see, &l, e));
}

/* ---- what answers mean ---- */

static void test_put__each_refusal_has_its_class_and_sentence(void **state)
{
	static const struct {
		int status;
		const char *code;
		enum err_class class;
		const char *text;
	} table[] = {
		{ 409, "BlobAlreadyExists", ERR_EXISTS, "the key is taken" },
		{ 412, "ConditionNotMet", ERR_EXISTS, "the key is taken" },
		{ 403, "UnauthorizedBlobOverwrite", ERR_EXISTS, "the key is taken" },
		{ 409, "BlobImmutableDueToPolicy", ERR_EXISTS, "the key is taken" },
		{ 409, "BlobArchived", ERR_UNSUPPORTED, "az storage blob set-tier" },
		{ 409, "BlobBeingRehydrated", ERR_RETRY, "on its way back" },
		{ 404, "ContainerNotFound", ERR_IO, "no container 'data'" },
		{ 409, "ContainerBeingDeleted", ERR_RETRY, "being deleted" },
		{ 503, "ServerBusy", ERR_RETRY, "the service is busy" },
		{ 500, "OperationTimedOut", ERR_RETRY, "status 500, OperationTimedOut" },
		{ 500, "InternalError", ERR_RETRY, "status 500, InternalError" },
		{ 408, "", ERR_RETRY, "status 408" },
		{ 429, "", ERR_RETRY, "status 429" },
		{ 502, "", ERR_RETRY, "status 502" },
		{ 504, "", ERR_RETRY, "status 504" },
		{ 501, "NotImplemented", ERR_IO, "status 501, NotImplemented: words" },
		{ 500, "FeatureNotSupported", ERR_UNSUPPORTED, "no such feature" },
		{ 400, "Crc64Mismatch", ERR_RETRY, "damaged on its way" },
		{ 400, "Md5Mismatch", ERR_RETRY, "damaged on its way" },
		{ 413, "RequestBodyTooLarge", ERR_TOO_BIG, "no object of this size" },
		{ 400, "InvalidInput", ERR_IO, "status 400, InvalidInput: words" },
		{ 403, "AuthorizationFailure", ERR_DENIED,
		  "refuses this network or the account key: look at its firewall" },
		{ 403, "AuthorizationPermissionMismatch", ERR_DENIED,
		  "assign the role 'Storage Blob Data Contributor' on the container 'data'" },
		{ 403, "AuthenticationFailed", ERR_DENIED, "the account key is not accepted" },
		{ 403, "KeyBasedAuthenticationNotPermitted", ERR_DENIED, "no account keys" },
		{ 403, "AuthorizationSourceIPMismatch", ERR_DENIED, "other addresses" },
		{ 403, "AccountIsDisabled", ERR_DENIED, "is disabled" },
		{ 403, "InsufficientAccountPermissions", ERR_DENIED,
		  "status 403, InsufficientAccountPermissions: words" },
		{ 403, "WriteOperationNotSupportedOnSecondary", ERR_UNSUPPORTED,
		  "cannot be written" },
		{ 403, "", ERR_DENIED, "has not the right to do it" },
		{ 403, "RequestRefusedByOrder", ERR_DENIED, "RequestRefusedByOrder: words" },
		{ 409, "PublicAccessNotPermitted", ERR_DENIED, "without credentials" },
		{ 401, "NoAuthenticationInformation", ERR_DENIED, "is not accepted" },
		{ 302, "", ERR_IO, "status 302" },
	};

	(void)state;
	auto_store struct store *s = opened("", 0);
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		char header[128] = "";
		char body[256];
		struct err e = ERR_INIT;

		/* By the header for one half of them, by the body for the other. */
		if (*table[i].code && i % 2)
			(void)snprintf(header, sizeof(header), "x-ms-error-code: %s\r\n",
			               table[i].code);
		(void)snprintf(body, sizeof(body), ERROR("%s"), table[i].code);
		const struct reply replies[] = { { table[i].status, header, body } };
		w.replies = replies;
		w.nreplies = 1;
		forget();
		if (put_text(s, "a", "x", &e) != -1 || e.class != table[i].class ||
		    !strstr(e.msg, table[i].text) || strstr(e.msg, KEY))
			fail_msg("%d %s: %s: %s", table[i].status, table[i].code,
			         err_class_name(e.class), e.msg);
		assert_non_null(strstr(e.msg, "storing object 'a' in 'azure://acct1/data/pre'"));
		assert_int_equal(w.n, 1);
	}
}

static void test_get__rights_to_read_are_told(void **state)
{
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;
	char p[1];

	(void)state;
	script({ 403, NULL, ERROR("AuthorizationPermissionMismatch") });
	auto_store struct store *s = opened("", 0);
	fails_saying(ERR_DENIED, "'Storage Blob Data Reader'", store_get(s, "a", 0, p, 1, e));
	setenv("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=" SECRET, 1);
	auto_store struct store *sas = opened("", 0);
	fails_saying(ERR_DENIED, "lacks the right r (read)", store_get(sas, "a", 0, p, 1, e));
	fails_saying(ERR_DENIED, "lacks the right l (list)", store_list(sas, "", NULL, see, &l, e));
	fails_saying(ERR_DENIED, "lacks the right d (delete)", store_delete(sas, "a", e));
	fails_saying(ERR_DENIED, "lacks the right c (create) and w (write)",
	             put_text(sas, "a", "x", e));
}

static void test_get__a_signature_that_has_ended_says_when(void **state)
{
	char p[1];

	(void)state;
	script({ 403, NULL, ERROR("AuthenticationFailed") },
	       { 403, NULL, ERROR("AuthorizationFailure") },
	       { 403, NULL, ERROR("AuthenticationFailed") });
	setenv("AZURE_STORAGE_SAS_TOKEN", "se=2020-01-02T03%3A04%3A05Z&sig=" SECRET, 1);
	auto_store struct store *ended = opened("", 0);
	assert_int_equal(store_ends(ended), INT64_C(1577934245) * 1000000000);
	fails_saying(ERR_DENIED, "ended at 2020-01-02T03:04:05Z; make a new one",
	             store_get(ended, "a", 0, p, 1, e));
	fails_saying(ERR_DENIED, "ended at 2020-01-02", store_get(ended, "a", 0, p, 1, e));
	assert_asked(0, "GET", "/acct1/data/pre/a?se=2020-01-02T03%3A04%3A05Z&sig=" SECRET);
	assert_header(0, "authorization", "");
	setenv("AZURE_STORAGE_SAS_TOKEN", "se=2199-01-02&sig=" SECRET, 1);
	auto_store struct store *wrong = opened("", 0);
	assert_int_equal(store_ends(wrong), INT64_C(7226668800) * 1000000000);
	fails_saying(ERR_DENIED, "for another container or account",
	             store_get(wrong, "a", 0, p, 1, e));
}

static void test_get__a_clock_that_is_off_is_told_first(void **state)
{
	char date[2][64];
	char p[1];

	(void)state;
	(void)snprintf(date[0], sizeof(date[0]), "Date: %s\r\n",
	               now_http(now_wall_ns() + INT64_C(1205) * 1000000000).s);
	(void)snprintf(date[1], sizeof(date[1]), "Date: %s\r\n",
	               now_http(now_wall_ns() - INT64_C(1205) * 1000000000).s);
	const struct reply replies[] = { { 403, date[0], ERROR("AuthenticationFailed") },
		                         { 403, date[1], ERROR("AuthenticationFailed") } };
	w.replies = replies;
	w.nreplies = 2;
	auto_store struct store *s = opened("", 0);
	fails_saying(ERR_DENIED, "this machine's clock is 20m", store_get(s, "a", 0, p, 1, e));
	fails_saying(ERR_DENIED, "ahead of the service's", store_get(s, "a", 0, p, 1, e));
}

static void test_get__retry_after_is_handed_on(void **state)
{
	struct err e = ERR_INIT;
	char p[1];

	(void)state;
	script({ 503, "Retry-After: 7\r\n", ERROR("ServerBusy") },
	       { 429, "Retry-After: 8\r\n", NULL });
	auto_store struct store *s = opened("", 0);
	assert_int_equal(store_get(s, "a", 0, p, 1, &e), -1);
	assert_int_equal(e.class, ERR_RETRY);
	assert_int_equal(e.wait_ms, 7000);
	assert_int_equal(store_get(s, "a", 0, p, 1, &e), -1);
	assert_int_equal(e.wait_ms, 8000);
}

static void test_get__an_answer_that_breaks_off_may_come_later(void **state)
{
	char p[1];

	(void)state;
	script({ -1, NULL, NULL });
	auto_store struct store *s = opened("", 0);
	fails_saying(ERR_RETRY, "127.0.0.1", store_get(s, "a", 0, p, 1, e));
}

static void test_get__a_version_that_the_service_does_not_know(void **state)
{
	char p[1];

	(void)state;
	script({ 400, NULL,
	         "<Error><Code>InvalidHeaderValue</Code><Message>The value for one of the HTTP "
	         "headers is not in the correct format.</Message><HeaderName>x-ms-version"
	         "</HeaderName></Error>" },
	       { 400, NULL,
	         "<Error><Code>InvalidHeaderValue</Code><Message>The API version 2030-01-01 is not "
	         "supported by Azurite.</Message></Error>" },
	       { 400, NULL,
	         "<Error><Code>InvalidHeaderValue</Code><Message>words</Message></Error>" });
	auto_store struct store *s = opened("&api=2030-01-01", 0);
	fails_saying(ERR_UNSUPPORTED, "does not know version 2030-01-01",
	             store_get(s, "a", 0, p, 1, e));
	fails_saying(ERR_UNSUPPORTED, "name an older one by the parameter 'api'",
	             store_get(s, "a", 0, p, 1, e));
	fails_saying(ERR_IO, "InvalidHeaderValue: words", store_get(s, "a", 0, p, 1, e));
	assert_header(0, "x-ms-version", "2030-01-01");
}

/* ---- tokens ---- */

static char *workload(void)
{
	char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "token");

	write_text(dir, "token", SECRET);
	setenv("AZURE_FEDERATED_TOKEN_FILE", path, 1);
	setenv("AZURE_CLIENT_ID", "c", 1);
	setenv("AZURE_TENANT_ID", "t", 1);
	setenv("AZURE_AUTHORITY_HOST", w.authority, 1);
	return dir;
}

static void test_put__a_token_that_is_refused_is_replaced_once(void **state)
{
	auto_tmpdir char *dir = workload();

	(void)state;
	script({ 401, NULL, ERROR("InvalidAuthenticationInfo") }, { 201, NULL, NULL },
	       { 403, NULL, ERROR("AuthenticationFailed") }, { 201, NULL, NULL },
	       { 401, NULL, ERROR("InvalidAuthenticationInfo") });
	auto_store struct store *s = opened("", 0);
	ok(put_text(s, "a", "body", e));
	assert_int_equal(w.n, 2);
	assert_header(0, "authorization", "Bearer t1");
	assert_header(1, "authorization", "Bearer t2");
	assert_string_equal(w.bodies[1], "body");
	ok(put_text(s, "b", "body", e));
	assert_header(3, "authorization", "Bearer t3");
	fails_saying(ERR_DENIED, "the token of the identity 'c' is not accepted",
	             put_text(s, "c", "body", e));
	assert_int_equal(w.n, 6);
	assert_int_equal(w.tokens, 4);
	assert_int_equal(store_traffic(s).ops[TRAFFIC_AUTH].requests, 4);
	assert_int_equal(store_traffic(s).ops[CALL_PUT].requests, 6);
}

static void test_put__a_role_that_is_missing_is_named(void **state)
{
	auto_tmpdir char *dir = workload();

	(void)state;
	script({ 403, NULL, ERROR("AuthorizationPermissionMismatch") });
	auto_store struct store *s = opened("", 0);
	fails_saying(ERR_DENIED,
	             "the identity 'c' has not the right to do it; assign the role 'Storage Blob "
	             "Data Contributor' on the container 'data'",
	             put_text(s, "a", "x", e));
	assert_int_equal(w.n, 1);
}

/* ---- the second region ---- */

#define STATS(status, synced)                                                         \
	"<?xml version=\"1.0\"?><StorageServiceStats><GeoReplication><Status>" status \
	"</Status><LastSyncTime>" synced "</LastSyncTime></GeoReplication></StorageServiceStats>"

static void test_cut__is_what_the_service_says(void **state)
{
	struct store_cut cut;

	(void)state;
	script({ 200, "Date: Sun, 22 Nov 2026 10:05:05 GMT\r\n",
	         STATS("live", "Sun, 22 Nov 2026 10:04:05 GMT") },
	       { 200, NULL, STATS("bootstrap", "") }, { 200, NULL, STATS("unavailable", "") });
	auto_store struct store *s = opened("", 0);
	ok(store_cut(s, 0, &cut, e));
	assert_asked(0, "GET", "/acct1-secondary/?comp=stats&restype=service");
	assert_int_equal(cut.kind, CUT_LAST_SYNC);
	assert_int_equal(cut.cut_ns, INT64_C(1795341844999999999));
	assert_int_equal(cut.at_ns, INT64_C(1795341905000000000));
	assert_string_equal(cut.status, "live");
	ok(store_cut(s, 0, &cut, e));
	assert_int_equal(cut.kind, CUT_UNKNOWN);
	assert_int_equal(cut.cut_ns, 0);
	assert_string_equal(cut.status, "bootstrap");
	ok(store_cut(s, 0, &cut, e));
	assert_string_equal(cut.status, "unavailable");
}

static void test_cut__an_account_without_a_readable_second_region_has_none(void **state)
{
	struct store_cut cut;
	char named[128];

	(void)state;
	script({ 403, NULL, ERROR("InsufficientAccountPermissions") });
	auto_store struct store *s = opened("", 0);
	ok(store_cut(s, 0, &cut, e));
	assert_int_equal(cut.kind, CUT_NONE);
	/* who names one is told */
	(void)snprintf(named, sizeof(named), "&secondary=%s/acct1-secondary", w.authority);
	auto_store struct store *wanted = opened(named, 0);
	fails_saying(ERR_UNSUPPORTED, "neither RA-GRS nor RA-GZRS", store_cut(wanted, 0, &cut, e));
	auto_store struct store *none = opened("&secondary=none", 0);
	forget();
	ok(store_cut(none, 0, &cut, e));
	assert_int_equal(cut.kind, CUT_NONE);
	assert_int_equal(w.n, 0);
}

static void test_cut__a_second_region_that_does_not_answer_is_unknown(void **state)
{
	struct store_cut cut;

	(void)state;
	script({ -1, NULL, NULL });
	auto_store struct store *s = opened("", 0);
	ok(store_cut(s, 0, &cut, e));
	assert_int_equal(cut.kind, CUT_UNKNOWN);
	assert_string_equal(cut.status, "unreachable");
	script({ 403, NULL, ERROR("AuthorizationPermissionMismatch") });
	forget();
	fails_saying(ERR_DENIED, "state of its second region", store_cut(s, 0, &cut, e));
}

static void test_open__reads_fall_over_to_the_accounts_secondary(void **state)
{
	char p[2] = "";

	(void)state;
	script({ 503, NULL, ERROR("ServerBusy") }, { 206, NULL, "x" },
	       { 503, NULL, ERROR("ServerBusy") }, { 404, NULL, ERROR("BlobNotFound") });
	auto_store struct store *s = opened("", STORE_FAIL_OVER | STORE_READONLY);
	ok(store_get(s, "a", 0, p, 1, e));
	assert_asked(0, "GET", "/acct1/data/pre/a");
	assert_asked(1, "GET", "/acct1-secondary/data/pre/a");
	fails_saying(ERR_RETRY, "the service is busy", store_get(s, "a", 0, p, 1, e));
	assert_int_equal(w.n, 4);
	fails(ERR_DENIED, put_text(s, "a", "x", e));
	assert_int_equal(w.n, 4);
}

static void test_open__a_copy_is_another_store(void **state)
{
	struct store_cut cut;

	(void)state;
	script({ 200, DATE, PAGE("", "") });
	auto_store struct store *s = opened("&secondary=mem%3Acopy-of-azure", 0);
	assert_true(s->caps & STORE_CAP_SECONDARY);
	ok(store_cut(s, 0, &cut, e));
	assert_int_equal(cut.kind, CUT_COMPARED);
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(test_open__names_that_azure_does_not_have),
		in_world(test_open__parameters_that_make_no_sense),
		in_world(test_open__addresses),
		in_world(test_open__makes_no_request_and_has_no_secret_in_its_url),
		in_world(test_put__creates_and_never_replaces),
		in_world(test_put__a_tier_is_of_packs),
		in_world(test_put__a_lock_is_by_the_clock_of_the_service),
		in_world(test_put__a_large_object_goes_up_in_blocks),
		in_world(test_put__a_block_that_fails_ends_it),
		in_world(test_put__two_uploads_share_no_block),
		in_world(test_get__asks_for_a_part),
		in_world(test_get__no_bytes_are_asked_of_the_size),
		in_world(test_get_all__has_a_limit),
		in_world(test_head__tells_size_and_time),
		in_world(test_delete__what_is_not_there_is_deleted),
		in_world(test_list__goes_on_over_empty_pages),
		in_world(test_list__ends_where_the_caller_ends_it),
		in_world(test_list__a_listing_that_makes_no_sense),
		in_world(test_put__each_refusal_has_its_class_and_sentence),
		in_world(test_get__rights_to_read_are_told),
		in_world(test_get__a_signature_that_has_ended_says_when),
		in_world(test_get__a_clock_that_is_off_is_told_first),
		in_world(test_get__retry_after_is_handed_on),
		in_world(test_get__an_answer_that_breaks_off_may_come_later),
		in_world(test_get__a_version_that_the_service_does_not_know),
		in_world(test_put__a_token_that_is_refused_is_replaced_once),
		in_world(test_put__a_role_that_is_missing_is_named),
		in_world(test_cut__is_what_the_service_says),
		in_world(test_cut__an_account_without_a_readable_second_region_has_none),
		in_world(test_cut__a_second_region_that_does_not_answer_is_unknown),
		in_world(test_open__reads_fall_over_to_the_accounts_secondary),
		in_world(test_open__a_copy_is_another_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
