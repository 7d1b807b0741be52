/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to S3: put together, signed, sent, and what its answer means.
 * The service's own code counts more than the status ("Error Responses" of the
 * S3 API reference); answers to HEAD have no body, so there the status has to do.
 */
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "common/later.h"
#include "common/now.h"
#include "common/num.h"
#include "store/driver.h"
#include "store/s3_impl.h"
#include "store/xml.h"

#define NS_PER_S INT64_C(1000000000)

/* ---- what an answer means ---- */

static const struct {
	const char *code;
	enum err_class class;
	const char *text;
} codes[] = {
	{ "PreconditionFailed", ERR_EXISTS, "the key is taken" },
	{ "ConditionalRequestConflict", ERR_RETRY, "the key is being written by another one" },
	{ "OperationAborted", ERR_RETRY, "another operation on the object is under way" },
	{ "NoSuchKey", ERR_NOT_FOUND, "no such object" },
	{ "NoSuchVersion", ERR_NOT_FOUND, "no such object" },
	{ "NoSuchUpload", ERR_RETRY, "the upload was aborted by somebody else" },
	{ "InvalidRange", ERR_CORRUPT, "the object ends before the range that was asked for" },
	{ "InvalidObjectState", ERR_UNSUPPORTED,
	  "it is in an archive class; bring it back first (aws s3api restore-object, which takes "
	  "hours)" },
	{ "SlowDown", ERR_RETRY, "the service asks for fewer requests" },
	{ "ServiceUnavailable", ERR_RETRY, "the service is busy" },
	{ "InternalError", ERR_RETRY, "the service has failed" },
	{ "RequestTimeout", ERR_RETRY, "the service waited too long for the request" },
	{ "IncompleteBody", ERR_RETRY, "the upload was cut on its way" },
	{ "BadDigest", ERR_RETRY, "the upload was damaged on its way" },
	{ "XAmzContentSHA256Mismatch", ERR_RETRY, "the upload was damaged on its way" },
	{ "XAmzContentChecksumMismatch", ERR_RETRY, "the upload was damaged on its way" },
	{ "EntityTooLarge", ERR_TOO_BIG, "the service takes no object of this size" },
	{ "QuotaExceeded", ERR_QUOTA, "the bucket's quota is used up" },
	{ "XMinioStorageFull", ERR_QUOTA, "the service has no space left" },
	{ "ObjectLocked", ERR_BUSY, "a retention period or a legal hold keeps it" },
	{ "InvalidAccessKeyId", ERR_DENIED,
	  "the service does not know the access key; is it of this service, and not deleted?" },
	{ "SignatureDoesNotMatch", ERR_DENIED,
	  "the signature is not accepted: the secret key is another one's, or something on the way "
	  "changes requests" },
	{ "ExpiredToken", ERR_DENIED, "the session's token has expired; get a new one" },
	{ "InvalidToken", ERR_DENIED, "the session's token is not accepted; get a new one" },
	{ "TokenRefreshRequired", ERR_DENIED, "the session's token has expired; get a new one" },
	{ "AllAccessDisabled", ERR_DENIED, "all access to the bucket is disabled" },
	{ "AccountProblem", ERR_DENIED, "the account has a problem, which its owner can see" },
	{ "InvalidStorageClass", ERR_INVALID,
	  "the service has no such storage class; mend the parameter 'class' of the store's URL" },
	/* a server that keeps objects as files */
	{ "ObjectParentIsFile", ERR_INVALID, "a part of the key's path is an object itself" },
	{ "ExistingObjectIsDirectory", ERR_INVALID, "there are objects below the key" },
};

/* What a policy must allow for a call. */
static const char *right_of(const struct s3 *s, enum store_call call)
{
	switch (call) {
	case CALL_PUT:
		return s->base.lock_s ? "s3:PutObject and s3:PutObjectRetention" : "s3:PutObject";
	case CALL_DELETE:
		return "s3:DeleteObject";
	case CALL_LOCK:
		return "s3:GetObject, s3:GetObjectRetention and s3:PutObjectRetention";
	case CALL_LIST:
		return "s3:ListBucket";
	case CALL_GET:
	case CALL_HEAD:
		break;
	}
	/* without the second one an object that is not there is refused, too */
	return "s3:GetObject and s3:ListBucket";
}

static int not_allowed(const struct s3 *s, enum store_call call, const char *message, struct err *e)
{
	const char *bucket = s->place.host;

	if (call == CALL_DELETE && (strcasestr(message, "lock") || strcasestr(message, "WORM")))
		return err_set(e, ERR_BUSY, "a retention period or a legal hold keeps it: %s",
		               message);
	return err_set(e, ERR_DENIED,
	               "the credentials have no right to do it: a policy must allow %s on the "
	               "bucket '%s'%s%s",
	               right_of(s, call), bucket,
	               *message            ? "; the service says: "
	               : call == CALL_HEAD ? "; or they are not accepted at all, which no answer "
	                                     "to a HEAD says"
	                                   : "",
	               message);
}

static int off_clock(const struct http_answer *a, struct err *e)
{
	int64_t now_ns = now_wall_ns();

	if (!a->date_s)
		return err_set(e, ERR_DENIED,
		               "this machine's clock says %s, which is too far from the service's; "
		               "set the clock",
		               now_rfc3339(now_ns).s);
	return err_set(e, ERR_DENIED,
	               "this machine's clock says %s, and the service's %s, which is more than the "
	               "15 minutes that it bears; set the clock",
	               now_rfc3339(now_ns).s, now_rfc3339(a->date_s * NS_PER_S).s);
}

/* The bucket is elsewhere: redirects are not followed, since they need another signature. */
static bool other_region(const struct s3 *s, const struct http_answer *a, const char *code,
                         const char *region, struct err *e)
{
	const char *right = http_header(a, "x-amz-bucket-region");

	if (!right || !*right)
		right = region;
	bool redirect = a->status == 301 || a->status == 307 || a->status == 308 ||
	                strcmp(code, "AuthorizationHeaderMalformed") == 0 ||
	                strcmp(code, "IllegalLocationConstraintException") == 0;
	if (!redirect)
		return false;
	if (*right && strcmp(right, s->region) != 0)
		err_set(e, ERR_INVALID,
		        "the bucket '%s' is in the region '%.60s', and was looked for in '%s'; add "
		        "region=%.60s to the store's URL",
		        s->place.host, right, s->region, right);
	else if (*right && a->status == 307)
		err_set(e, ERR_RETRY, "the service does not know a new bucket everywhere yet");
	else
		err_set(e, ERR_INVALID,
		        "the bucket '%s' is not in the region '%s' or not at this address; mend "
		        "the parameters 'region' and 'endpoint' of the store's URL",
		        s->place.host, s->region);
	return true;
}

static int by_status(const struct s3 *s, enum store_call call, const struct http_answer *a,
                     const char *code, const char *message, struct err *e)
{
	switch (a->status) {
	case 304: /* so said an early server instead of 412 */
	case 412:
		if (call == CALL_PUT)
			return err_set(e, ERR_EXISTS, "the key is taken");
		break;
	case 401:
	case 403:
		if (!*code)
			return not_allowed(s, call, message, e);
		break;
	case 404:
		/* with a code it is something else that is missing: an account, an upload */
		if (!*code && (call == CALL_GET || call == CALL_HEAD))
			return err_set(e, ERR_NOT_FOUND, "no such object");
		break;
	case 416:
		return err_set(e, ERR_CORRUPT,
		               "the object ends before the range that was asked for");
	case 507:
		return err_set(e, ERR_QUOTA, "the service has no space left");
	default:
		break;
	}
	if (later_is(a->status))
		return later_set(e, a, "the service answered with status %d%s%s%s%s", a->status,
		                 *code ? ", " : "", code, *message ? ": " : "", message);
	enum err_class class = a->status == 401 || a->status == 403 ? ERR_DENIED
	                       : a->status == 501                   ? ERR_UNSUPPORTED
	                                                            : ERR_IO;
	return err_set(e, class, "the service answered with status %d%s%s%s%s", a->status,
	               *code ? ", " : "", code, *message ? ": " : "", message);
}

int s3_explain(const struct s3 *s, enum store_call call, const struct http_answer *a,
               const char *code, const char *message, const char *region, struct err *e)
{
	const char *bucket = s->place.host;

	if (other_region(s, a, code, region, e))
		return -1;
	if (strcmp(code, "RequestTimeTooSkewed") == 0)
		return off_clock(a, e);
	if (strcmp(code, "AccessDenied") == 0)
		return not_allowed(s, call, message, e);
	/* of another class than a missing object, which may mean something to who asked */
	if (strcmp(code, "NoSuchBucket") == 0)
		return err_set(e, ERR_IO,
		               "there is no bucket '%s'; create it (versions and object lock can "
		               "be chosen then), or mend the URL",
		               bucket);
	if (((s->base.lock_s && call == CALL_PUT) || call == CALL_LOCK) && a->status == 400 &&
	    (strcasestr(message, "object lock") || strcasestr(message, "ObjectLock")))
		return err_set(e, call == CALL_LOCK ? ERR_UNSUPPORTED : ERR_INVALID,
		               "the bucket '%s' has no object lock: make another one that has it, "
		               "or leave the parameter 'lock' of the store's URL out: %s",
		               bucket, message);
	if (s->checksum != S3_NO_CHECKSUM && call == CALL_PUT &&
	    (a->status == 400 || a->status == 501) && strcasestr(message, "checksum"))
		return err_set(e, ERR_UNSUPPORTED,
		               "the service does not take the checksum: %s; choose another one by "
		               "the parameter 'checksum' of the store's URL (sha256, none)",
		               message);
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (strcmp(code, codes[i].code) == 0)
			return err_set(e, codes[i].class, "%s", codes[i].text);
	return by_status(s, call, a, code, message, e);
}

/* ---- the request ---- */

void s3_ask_free(struct s3_ask *x)
{
	if (x)
		wire_clear(&x->w);
	free(x);
}

struct s3_ask *s3_ask_new(struct s3 *s, enum store_call call, const char *method, const char *key,
                          struct err *e)
{
	struct s3_ask *x = malloc(sizeof(*x));

	if (!x) {
		(void)s3_no_memory(e);
		return NULL;
	}
	x->s = s;
	x->call = call;
	x->rq = (struct http_request){ .op = call, .niov = -1 };
	x->answer.text_len = 0;
	x->payload[0] = '\0';
	x->code[0] = '\0';
	wire_init(&x->w, method, s->service);
	if (s->path_style)
		wire_path(&x->w, s->place.host);
	else if (!key)
		wire_path(&x->w, "");
	if (key && *s->place.rest)
		wire_path(&x->w, s->place.rest);
	if (key)
		wire_path(&x->w, key);
	return x;
}

/* Over TLS the payload needs no signature of its own. */
static int payload_of(struct s3_ask *x, const char **ret, struct err *e)
{
	uint8_t hash[32];

	if (!x->payload[0] && x->s->tls) {
		*ret = S3_SIGN_UNSIGNED;
		return 0;
	}
	if (!x->payload[0]) {
		if (s3_sign_hash(x->rq.iov, x->rq.niov, hash, e) < 0)
			return -1;
		hex_encode(x->payload, hash, sizeof(hash));
	}
	*ret = x->payload;
	return 0;
}

/* HEAD has no body to say it in. */
static bool may_have_expired(const struct s3_ask *x)
{
	static const char *const expired[] = { "ExpiredToken", "InvalidToken",
		                               "TokenRefreshRequired" };

	for (size_t i = 0; i < ARRAY_LEN(expired); i++)
		if (strcmp(x->code, expired[i]) == 0)
			return true;
	return !x->code[0] && (x->answer.status == 400 || x->answer.status == 403);
}

int s3_ask_send(struct s3_ask *x, struct err *e)
{
	struct s3 *s = x->s;
	const char *payload;

	if (payload_of(x, &payload, e) < 0)
		return -1;
	for (unsigned try = 0;; try++) {
		const struct s3_scope scope = { s->region, "s3", now_wall_ns() };

		if (s3_auth_sign(s->auth, &x->w, &scope, payload, e) < 0 ||
		    wire_send(&x->w, s->http, NULL, &x->rq, &x->answer, e) < 0)
			return -1;
		if (x->answer.date_s)
			atomic_store_explicit(&s->ahead_s,
			                      x->answer.date_s - now_wall_ns() / NS_PER_S,
			                      memory_order_relaxed);
		if (x->answer.status / 100 == 2)
			return 0;
		const struct xml_error error = xml_error_of(x->answer.text, x->answer.text_len);
		memcpy(x->code, error.code, sizeof(x->code));
		if (try > 0 || !may_have_expired(x) || !s3_auth_renew(s->auth, now_wall_ns())) {
			(void)s3_explain(s, x->call, &x->answer, x->code, error.message,
			                 error.region, e);
			if (e->class == ERR_RETRY)
				e->wait_ms = x->answer.wait_ms;
			return -1;
		}
		wire_header_drop(&x->w, "authorization");
		wire_header_drop(&x->w, "x-amz-date");
		wire_header_drop(&x->w, "x-amz-security-token");
	}
}
