/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials for S3. They lie in locked memory; a request is signed while the
 * lock is held, so nobody sees them change. The exchange at the token service
 * runs without the lock: who has credentials that still hold goes on with them.
 */
#include "store/s3_auth.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#include "common/fd.h"
#include "common/later.h"
#include "common/now.h"
#include "common/secret.h"
#include "common/url.h"
#include "store/traffic.h"
#include "store/xml.h"

#define NS_PER_S INT64_C(1000000000)
#define BEFORE_END_NS (300 * NS_PER_S) /* renewed so long before their end */
#define LAST_USE_NS (30 * NS_PER_S)    /* not used so shortly before their end */
#define AGAIN_NS (30 * NS_PER_S) /* after an exchange that failed; also, what is newer is new */
#define TOKEN_FILE_MAX (64 * KIB)
#define BODY_MAX (256 * KIB)

struct held {
	int64_t got_ns;
	int64_t due_ns;     /* to be renewed */
	int64_t expires_ns; /* INT64_MAX: never */
	char id[256];
	char secret[1024];
	char token[12 * 1024]; /* "": none */
};

struct s3_auth {
	struct http *http;
	/* of a web identity; NULL: the keys are given */
	char *file;
	char *role;
	char *session;
	char *endpoint;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct held *held; /* guarded by lock; secret memory, NULL: none yet */
	bool refused;      /* guarded by lock: the service does not take them any more */
	bool renewing;     /* guarded by lock: a thread is at it */
};

int64_t s3_auth_due_ns(int64_t got_ns, int64_t expires_ns)
{
	if (expires_ns <= got_ns)
		return got_ns;
	int64_t half = got_ns + (expires_ns - got_ns) / 2;
	int64_t late = expires_ns - BEFORE_END_NS;

	/* those of a short life would be due before half of it */
	return late > got_ns && late < half ? late : half;
}

/* false: it does not fit */
static bool copy(char *ret, size_t max, const char *text)
{
	size_t n = strlen(text);

	if (n >= max)
		return false;
	memcpy(ret, text, n + 1);
	return true;
}

static int hold(const char *id, const char *secret, const char *token, struct held **ret,
                struct err *e)
{
	auto_secret struct held *h = secret_new(sizeof(*h));

	if (!h)
		return err_set(e, ERR_NOMEM, "no locked memory for credentials");
	if (!copy(h->id, sizeof(h->id), id) || !copy(h->secret, sizeof(h->secret), secret) ||
	    !copy(h->token, sizeof(h->token), token))
		return err_set(e, ERR_FORMAT,
		               "credentials for S3 are longer than any that are known");
	*ret = STEAL(&h);
	return 0;
}

static int take_given(struct s3_auth *a, const struct place *p, const char *id, struct err *e)
{
	const char *secret = place_setting(p, "AWS_SECRET_ACCESS_KEY");
	const char *token = place_setting(p, "AWS_SESSION_TOKEN");

	if (!secret)
		return err_set(e, ERR_INVALID,
		               "AWS_ACCESS_KEY_ID is set for '%s', but AWS_SECRET_ACCESS_KEY "
		               "is not",
		               p->plain);
	if (hold(id, secret, token ? token : "", &a->held, e) < 0)
		return -1;
	a->held->due_ns = INT64_MAX;
	a->held->expires_ns = INT64_MAX;
	return 0;
}

static int take_identity(struct s3_auth *a, const struct place *p, const char *file,
                         const char *region, struct err *e)
{
	const char *role = place_setting(p, "AWS_ROLE_ARN");
	const char *session = place_setting(p, "AWS_ROLE_SESSION_NAME");
	const char *endpoint = place_setting(p, "AWS_ENDPOINT_URL_STS");
	const char *china = strncmp(region, "cn-", 3) == 0 ? ".cn" : "";

	if (!role)
		return err_set(e, ERR_INVALID,
		               "AWS_WEB_IDENTITY_TOKEN_FILE is set for '%s', but AWS_ROLE_ARN "
		               "is not",
		               p->plain);
	if (endpoint && !http_url_allowed(endpoint))
		return err_set(e, ERR_INVALID,
		               "AWS_ENDPOINT_URL_STS is no https: URL; a token is not sent without "
		               "TLS");
	a->file = strdup(file);
	a->role = strdup(role);
	a->session = strdup(session ? session : "aksdr");
	if (endpoint)
		a->endpoint = strdup(endpoint);
	else if (asprintf(&a->endpoint, "https://sts.%s.amazonaws.com%s", region, china) < 0)
		a->endpoint = NULL;
	if (!a->file || !a->role || !a->session || !a->endpoint)
		return err_set(e, ERR_NOMEM, "no memory for credentials");
	return 0;
}

void s3_auth_free(struct s3_auth *a)
{
	if (!a)
		return;
	secret_free(a->held);
	free(a->file);
	free(a->role);
	free(a->session);
	free(a->endpoint);
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

struct s3_auth *s3_auth_new(const struct place *place, struct http *http, const char *region,
                            struct err *e)
{
	const char *id = place_setting(place, "AWS_ACCESS_KEY_ID");
	const char *file = place_setting(place, "AWS_WEB_IDENTITY_TOKEN_FILE");

	if (!id && !file) {
		err_set(e, ERR_DENIED,
		        "there are no credentials for '%s': set AWS_ACCESS_KEY_ID and "
		        "AWS_SECRET_ACCESS_KEY, or AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, "
		        "in the environment or in the file that the parameter 'credentials' names",
		        place->plain);
		return NULL;
	}
	struct s3_auth *made = calloc(1, sizeof(*made));
	if (!made) {
		err_set(e, ERR_NOMEM, "no memory for credentials");
		return NULL;
	}
	/* On Linux these cannot fail with default attributes. */
	pthread_mutex_init(&made->lock, NULL);
	pthread_cond_init(&made->changed, NULL);
	auto_s3_auth struct s3_auth *a = made;
	a->http = http;
	int r = id ? take_given(a, place, id, e) : take_identity(a, place, file, region, e);
	return r < 0 ? NULL : STEAL(&a);
}

/* ---- the exchange ---- */

static void clean_wiped(struct buf *b)
{
	if (b->data)
		secret_wipe(b->data, b->cap);
	buf_clear(b);
}

static void put_pair(struct buf *b, const char *name, const char *value)
{
	(void)buf_u8(b, '&');
	(void)buf_str(b, name);
	(void)buf_u8(b, '=');
	(void)url_encode(b, value, false);
}

/* The form that is sent. The file is read each time: the cluster replaces what is in it. */
static int body_of(const struct s3_auth *a, struct buf *ret, struct err *e)
{
	CLEANUP(clean_wiped) struct buf token = BUF_INIT(TOKEN_FILE_MAX);

	if (buf_reserve(&token, TOKEN_FILE_MAX) < 0 || buf_reserve(ret, BODY_MAX) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a token");
	if (fd_read_file(AT_FDCWD, a->file, &token, e) < 0)
		return err_wrap(e, "reading the token of the web identity '%s'", a->file);
	while (token.len > 0 && token.data[token.len - 1] <= ' ')
		token.len--;
	if (token.len == 0 || memchr(token.data, '\0', token.len))
		return err_set(e, ERR_FORMAT, "there is no token in '%s'", a->file);
	(void)buf_str(ret, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15");
	put_pair(ret, "RoleArn", a->role);
	put_pair(ret, "RoleSessionName", a->session);
	put_pair(ret, "WebIdentityToken", buf_cstr(&token));
	return token.failed ? buf_check(&token, "a token", e) : buf_check(ret, "a token", e);
}

static int refused(const struct s3_auth *a, const struct http_answer *answer, struct err *e)
{
	static const char *const later[] = { "IDPCommunicationError", "Throttling", "SlowDown" };
	const struct xml_error x = xml_error_of(answer->text, answer->text_len);
	bool again = later_is(answer->status);

	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		again |= strcmp(x.code, later[i]) == 0;
	if (again)
		return later_set(e, answer, "the token service is busy: %d %s %s", answer->status,
		                 x.code, x.message);
	return err_set(e, ERR_DENIED,
	               "the token service gives no credentials for the role '%s' to the identity "
	               "in '%s': %d %s %s",
	               a->role, a->file, answer->status, x.code, x.message);
}

static int take_answer(const struct xml *x, int64_t now_ns, struct held **ret, struct err *e)
{
	const char *id = xml_text(x, XML_KEY_ID);
	const char *secret = xml_text(x, XML_SECRET);
	const char *token = xml_text(x, XML_TOKEN);
	const char *expires = xml_text(x, XML_EXPIRES);
	struct err why = ERR_INIT;
	int64_t expires_ns;

	if (!id || !secret || !token || !expires || now_parse(expires, &expires_ns, &why) < 0)
		return err_set(e, ERR_FORMAT, "the token service gave no whole credentials");
	if (hold(id, secret, token, ret, e) < 0)
		return -1;
	(*ret)->got_ns = now_ns;
	(*ret)->expires_ns = expires_ns;
	(*ret)->due_ns = s3_auth_due_ns(now_ns, expires_ns);
	return 0;
}

static int exchange(struct s3_auth *a, int64_t now_ns, struct held **ret, struct err *e)
{
	CLEANUP(clean_wiped) struct buf body = BUF_INIT(BODY_MAX);
	auto_free struct http_answer *answer = malloc(sizeof(*answer));
	auto_wire struct wire w;

	wire_init(&w, "POST", a->endpoint);
	wire_path(&w, "");
	wire_header(&w, "content-type", "application/x-www-form-urlencoded");
	wire_header(&w, "accept", "text/xml");
	auto_xml struct xml *x = xml_new(&xml_sts, NULL, e);
	if (!x)
		return -1;
	if (!answer)
		return err_set(e, ERR_NOMEM, "no memory for credentials");
	if (body_of(a, &body, e) < 0)
		return -1;
	const struct iovec iov = { body.data, body.len };
	struct http_request rq = {
		.op = TRAFFIC_AUTH, .iov = &iov, .niov = 1, .sink = xml_sink, .arg = x
	};
	if (wire_send(&w, a->http, NULL, &rq, answer, e) < 0)
		return err_wrap(e, "asking the token service for credentials");
	if (answer->status != 200)
		return refused(a, answer, e);
	if (xml_end(x, e) < 0)
		return err_wrap(e, "reading the answer of the token service");
	return take_answer(x, now_ns, ret, e);
}

static int renew_locked(struct s3_auth *a, int64_t now_ns, struct err *e)
{
	struct held *got = NULL;

	a->renewing = true;
	pthread_mutex_unlock(&a->lock);
	int r = exchange(a, now_ns, &got, e);
	pthread_mutex_lock(&a->lock);
	a->renewing = false;
	if (r == 0) {
		secret_free(a->held);
		a->held = got;
		a->refused = false;
	}
	pthread_cond_broadcast(&a->changed);
	return r;
}

/* There are credentials that hold, with the lock. */
static int ready_locked(struct s3_auth *a, int64_t now_ns, struct err *e)
{
	for (;;) {
		struct err why = ERR_INIT;
		bool holds = a->held && !a->refused &&
		             (a->held->expires_ns == INT64_MAX ||
		              now_ns < a->held->expires_ns - LAST_USE_NS);

		if (holds && (now_ns < a->held->due_ns || a->renewing))
			return 0;
		if (a->renewing) {
			pthread_cond_wait(&a->changed, &a->lock);
			continue;
		}
		if (renew_locked(a, now_ns, &why) == 0)
			/* of however short a life: they are for this request */
			return 0;
		if (!holds) {
			*e = why;
			return -1;
		}
		if (a->held)
			a->held->due_ns = now_ns + AGAIN_NS;
		return 0;
	}
}

int s3_auth_sign(struct s3_auth *a, struct wire *w, const struct s3_scope *scope,
                 const char *payload, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&a->lock);
	if (a->file)
		r = ready_locked(a, scope->now_ns, e);
	if (r == 0) {
		const struct s3_keys keys = {
			.id = a->held->id,
			.secret = a->held->secret,
			.token = *a->held->token ? a->held->token : NULL,
		};

		r = s3_sign(w, &keys, scope, payload, e);
	}
	pthread_mutex_unlock(&a->lock);
	return r;
}

bool s3_auth_renew(struct s3_auth *a, int64_t now_ns)
{
	bool others = false;

	pthread_mutex_lock(&a->lock);
	if (a->file && a->held) {
		int64_t age_ns = now_ns - a->held->got_ns;

		/* new ones: the fault is elsewhere */
		others = a->refused || age_ns < 0 || age_ns > AGAIN_NS;
		a->refused |= others;
	}
	pthread_mutex_unlock(&a->lock);
	return others;
}
