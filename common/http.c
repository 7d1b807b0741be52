/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool of curl handles. Each keeps its own connections, so a handle that
 * was just used is the best to use next: the pool is a stack. What bounds the
 * requests in flight is the number of handles. A blocking call per thread
 * spreads encryption over the threads of the caller; one event loop for all
 * would do it on one core.
 */
#include "common/http.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/now.h"
#include "common/num.h"
#include "common/secret.h"

#define INFLIGHT_DEFAULT 32
#define CONNECT_MS 15000
#define STALL_MS 60000
#define BUFFER_BYTES (128L * 1024) /* of curl, each way, of a connection */
#define ADDRESS_S 30L              /* how long an address is kept */
#define KEEP_IDLE_S 30L
#define KEEP_PROBE_S 15L
#define IDLE_S 25L      /* a connection idle for longer is not used again */
#define LIFETIME_S 50L  /* nor one that is older */
#define WAIT_MAX_S 3600 /* of Retry-After; more makes no sense */

struct handle {
	CURL *curl;
	struct handle *next; /* of the idle ones */
	char error[CURL_ERROR_SIZE];
};

/* Our copies of struct http_trust. */
struct trust {
	char *ca, *cert, *key;
};

struct http {
	char *ca_file, *proxy;
	struct trust trust; /* guarded by lock */
	long connect_ms;
	int64_t stall_ms;
	const struct cancel *cancel;
	pthread_mutex_t lock;
	pthread_cond_t freed;
	struct handle *idle;
	unsigned made, inflight;
	struct http_count counts[HTTP_OPS];
};

/* One running request. */
struct transfer {
	struct http *h;
	const struct http_request *rq;
	struct http_answer *answer;
	size_t piece, off; /* of the body, sent so far */
	uint64_t sent, received;
	int64_t moved_ns; /* when the last byte went either way */
	bool headers_full, sink_failed, stalled, cancelled;
	struct err *e;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode global;

static void init_once(void)
{
	global = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int copy_text(char **ret, const char *text)
{
	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? -1 : 0;
}

static void trust_clear(struct trust *t)
{
	if (t->key)
		secret_wipe(t->key, strlen(t->key));
	free(t->ca);
	free(t->cert);
	free(t->key);
}

int http_set_trust(struct http *h, const struct http_trust *trust, struct err *e)
{
	CLEANUP(trust_clear) struct trust t = { 0 };

	if (copy_text(&t.ca, trust->ca) < 0 || copy_text(&t.cert, trust->cert) < 0 ||
	    copy_text(&t.key, trust->key) < 0)
		return err_set(e, ERR_NOMEM, "no memory for certificates");
	pthread_mutex_lock(&h->lock);
	struct trust old = h->trust;
	h->trust = t;
	pthread_mutex_unlock(&h->lock);
	t = old;
	return 0;
}

struct http *http_new(const struct http_params *params, struct err *e)
{
	auto_http struct http *h = calloc(1, sizeof(*h));

	(void)pthread_once(&once, init_once);
	if (!h || global != CURLE_OK) {
		err_set(e, ERR_NOMEM, "no memory for requests");
		return NULL;
	}
	/* On Linux these cannot fail with default attributes. */
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->freed, NULL);
	h->inflight = params->inflight ? params->inflight : INFLIGHT_DEFAULT;
	h->connect_ms = params->connect_ms ? (long)params->connect_ms : CONNECT_MS;
	h->stall_ms = params->stall_ms ? params->stall_ms : STALL_MS;
	h->cancel = params->cancel;
	if (http_set_trust(h, &params->trust, e) < 0)
		return NULL;
	if (copy_text(&h->ca_file, params->ca_file) < 0 ||
	    copy_text(&h->proxy, params->proxy) < 0) {
		err_set(e, ERR_NOMEM, "no memory for requests");
		return NULL;
	}
	if (h->ca_file && access(h->ca_file, R_OK) < 0) {
		err_sys(e, errno, "reading the CA certificates '%s'", h->ca_file);
		e->class = ERR_INVALID;
		return NULL;
	}
	return STEAL(&h);
}

static void handle_free(struct handle *x)
{
	if (!x)
		return;
	curl_easy_cleanup(x->curl);
	free(x);
}

void http_free(struct http *h)
{
	if (!h)
		return;
	while (h->idle) {
		struct handle *x = h->idle;

		h->idle = x->next;
		handle_free(x);
	}
	pthread_cond_destroy(&h->freed);
	pthread_mutex_destroy(&h->lock);
	trust_clear(&h->trust);
	free(h->ca_file);
	free(h->proxy);
	free(h);
}

/* ---- the pool ---- */

static struct handle *take(struct http *h, struct err *e)
{
	struct handle *x = NULL;

	pthread_mutex_lock(&h->lock);
	while (!h->idle && h->made == h->inflight)
		pthread_cond_wait(&h->freed, &h->lock);
	if (h->idle) {
		x = h->idle;
		h->idle = x->next;
	} else {
		h->made++;
	}
	pthread_mutex_unlock(&h->lock);
	if (x)
		return x;
	x = calloc(1, sizeof(*x));
	if (x && (x->curl = curl_easy_init()))
		return x;
	free(x);
	pthread_mutex_lock(&h->lock);
	h->made--;
	pthread_cond_signal(&h->freed);
	pthread_mutex_unlock(&h->lock);
	err_set(e, ERR_NOMEM, "no memory for a request");
	return NULL;
}

static void give_back(struct http *h, struct handle *x)
{
	/* Options are forgotten, connections are not. */
	curl_easy_reset(x->curl);
	pthread_mutex_lock(&h->lock);
	x->next = h->idle;
	h->idle = x;
	pthread_cond_signal(&h->freed);
	pthread_mutex_unlock(&h->lock);
}

/* ---- callbacks of curl ---- */

static size_t on_send(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t room = size * n;
	size_t done = 0;

	while (done < room && t->piece < (size_t)t->rq->niov) {
		const struct iovec *v = &t->rq->iov[t->piece];
		size_t m = v->iov_len - t->off < room - done ? v->iov_len - t->off : room - done;

		if (m > 0)
			memcpy(p + done, (const uint8_t *)v->iov_base + t->off, m);
		done += m;
		t->off += m;
		if (t->off == v->iov_len) {
			t->piece++;
			t->off = 0;
		}
	}
	t->sent += done;
	t->moved_ns = now_mono_ns();
	return done;
}

/*
 * A kept connection broke before an answer came, and curl would send the body again by itself.
 * But the request may have been applied, and then the answer to the second one is another: who
 * repeats must know that it is a repetition.
 */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	(void)arg;
	(void)offset;
	(void)origin;
	return CURL_SEEKFUNC_FAIL;
}

static void keep_header(struct transfer *t, const char *line, size_t n)
{
	struct http_answer *a = t->answer;
	const char *colon = memchr(line, ':', n);

	if (!colon || colon == line)
		return;
	size_t name = (size_t)(colon - line);
	const char *value = colon + 1;
	while (value < line + n && (*value == ' ' || *value == '\t'))
		value++;
	size_t len = (size_t)(line + n - value);
	while (len > 0 && isspace((unsigned char)value[len - 1]))
		len--;
	if (memchr(line, '\0', n) || name + len + 2 > sizeof(a->headers) - a->headers_len) {
		t->headers_full = true;
		return;
	}
	char *to = a->headers + a->headers_len;
	for (size_t i = 0; i < name; i++)
		to[i] = (char)tolower((unsigned char)line[i]);
	to[name] = '\0';
	memcpy(to + name + 1, value, len);
	to[name + 1 + len] = '\0';
	a->headers_len += name + len + 2;
}

/* Of "HTTP/1.1 200 OK"; 0: there is none. */
static int status_of(const char *line, size_t n)
{
	const char *space = memchr(line, ' ', n);
	int status = 0;

	if (!space || line + n - space < 4)
		return 0;
	for (int i = 1; i <= 3; i++) {
		if (space[i] < '0' || space[i] > '9')
			return 0;
		status = 10 * status + (space[i] - '0');
	}
	return status;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * n;

	t->moved_ns = now_mono_ns();
	if (len > 5 && memcmp(p, "HTTP/", 5) == 0) {
		/* After "100 Continue", or the proxy's answer, comes another one. */
		t->answer->headers_len = 0;
		t->answer->status = status_of(p, len);
		return len;
	}
	keep_header(t, p, len);
	/* The empty line behind them. */
	if (len <= 2 && t->rq->began && t->answer->status / 100 == 2)
		t->rq->began(t->rq->arg, t->answer);
	return len;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	struct http_answer *a = t->answer;
	size_t len = size * n;

	t->received += len;
	t->moved_ns = now_mono_ns();
	if (a->status / 100 != 2) {
		if (t->rq->text) {
			size_t left = t->rq->text->max - t->rq->text->len;

			(void)buf_put(t->rq->text, p, len < left ? len : left);
			return len;
		}
		size_t room = sizeof(a->text) - 1 - a->text_len;
		size_t m = len < room ? len : room;

		memcpy(a->text + a->text_len, p, m);
		a->text_len += m;
		a->text[a->text_len] = '\0';
		return len;
	}
	if (!t->rq->sink)
		return len;
	if (t->rq->sink(t->rq->arg, a, p, len, t->e) < 0) {
		t->sink_failed = true;
		return 0;
	}
	return len;
}

static int64_t stall_ms(const struct transfer *t)
{
	return t->rq->stall_ms ? t->rq->stall_ms : t->h->stall_ms;
}

/* Called about once a second at least. */
static int on_progress(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal,
                       curl_off_t ulnow)
{
	struct transfer *t = arg;

	(void)dltotal;
	(void)dlnow;
	(void)ultotal;
	(void)ulnow;
	t->cancelled = cancel_requested(t->h->cancel) || cancel_requested(t->rq->cancel);
	t->stalled = now_mono_ns() - t->moved_ns > stall_ms(t) * 1000000;
	return t->cancelled || t->stalled;
}

/* ---- one request ---- */

/* Host and port of the URL, for messages. */
struct where {
	char s[160];
};

static struct where where_of(const char *url)
{
	struct where w;
	const char *host = strstr(url, "://");

	host = host ? host + 3 : url;
	size_t n = strcspn(host, "/?#");
	for (size_t i = 0; i < n; i++)
		if (host[i] == '@') /* user:password@ */
			return (struct where){ "the server" };
	if (n >= sizeof(w.s))
		n = sizeof(w.s) - 1;
	memcpy(w.s, host, n);
	w.s[n] = '\0';
	return w;
}

/* Plain HTTP never leaves the machine; the address of a cloud's metadata service is part of it. */
bool http_url_allowed(const char *url)
{
	static const char *const loopback[] = { "127.", "localhost", "[::1]", "169.254.169.254" };

	if (strncmp(url, "https://", 8) == 0)
		return true;
	if (strncmp(url, "http://", 7) != 0)
		return false;
	const char *host = url + 7;
	size_t n = strcspn(host, "/?#");
	if (memchr(host, '@', n))
		return false;
	if (strncmp(host, loopback[0], 4) == 0)
		return strspn(host, "0123456789.") == strcspn(host, ":/?#");
	for (size_t i = 1; i < ARRAY_LEN(loopback); i++) {
		size_t len = strlen(loopback[i]);

		if (strncmp(host, loopback[i], len) == 0 && strchr(":/?#", host[len]))
			return true;
	}
	return false;
}

static struct curl_slist *append(struct curl_slist *list, const char *line, bool *bad)
{
	struct curl_slist *more = curl_slist_append(list, line);

	*bad |= !more;
	return more ? more : list;
}

static struct curl_slist *headers_of(const struct http_request *rq, bool *bad)
{
	struct curl_slist *list = NULL;
	bool type = false;

	for (unsigned i = 0; i < rq->nheaders; i++) {
		list = append(list, rq->headers[i], bad);
		type |= strncasecmp(rq->headers[i], "content-type:", 13) == 0;
	}
	/* curl would add a type that no signature knows, and wait for "100 Continue". */
	if (!type)
		list = append(list, "Content-Type:", bad);
	list = append(list, "Accept:", bad);
	return append(list, "Expect:", bad);
}

static void set_body(CURL *c, struct transfer *t)
{
	const struct http_request *rq = t->rq;
	curl_off_t bytes = 0;

	if (strcmp(rq->method, "HEAD") == 0) {
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
		return;
	}
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, rq->method);
	if (rq->niov < 0)
		return;
	for (int i = 0; i < rq->niov; i++)
		bytes += (curl_off_t)rq->iov[i].iov_len;
	/*
	 * Without a body there is nothing to be asked for again: only a new connection is never
	 * left.
	 */
	if (bytes == 0)
		curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, bytes);
	curl_easy_setopt(c, CURLOPT_READFUNCTION, on_send);
	curl_easy_setopt(c, CURLOPT_READDATA, t);
	curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
	curl_easy_setopt(c, CURLOPT_SEEKDATA, t);
}

static void set_blob(CURL *c, CURLoption option, char *text)
{
	struct curl_blob blob = { .data = text, .len = strlen(text), .flags = CURL_BLOB_COPY };

	curl_easy_setopt(c, option, &blob);
}

static void set_trust(struct http *h, CURL *c)
{
	pthread_mutex_lock(&h->lock);
	if (h->trust.ca) {
		set_blob(c, CURLOPT_CAINFO_BLOB, h->trust.ca);
	} else if (h->ca_file) {
		curl_easy_setopt(c, CURLOPT_CAINFO, h->ca_file);
	}
	if (h->trust.ca || h->ca_file)
		curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	if (h->trust.cert && h->trust.key) {
		set_blob(c, CURLOPT_SSLCERT_BLOB, h->trust.cert);
		set_blob(c, CURLOPT_SSLKEY_BLOB, h->trust.key);
	}
	pthread_mutex_unlock(&h->lock);
}

/* How a server is reached and known. */
static void set_server(struct http *h, struct handle *x, const char *url)
{
	CURL *c = x->curl;

	x->error[0] = '\0';
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, x->error);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	/* A peer that is gone is found out within three minutes, by nine probes. */
	curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPIDLE, KEEP_IDLE_S);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPINTVL, KEEP_PROBE_S);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, h->connect_ms);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	set_trust(h, c);
	/* What is sent in clear never leaves the machine, whatever proxy there is. */
	if (strncmp(url, "http:", 5) == 0)
		curl_easy_setopt(c, CURLOPT_PROXY, "");
	else if (h->proxy)
		curl_easy_setopt(c, CURLOPT_PROXY, h->proxy);
}

static void set_options(struct handle *x, struct transfer *t, struct curl_slist *headers)
{
	CURL *c = x->curl;

	set_server(t->h, x, t->rq->url);
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "aksdr");
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_DNS_CACHE_TIMEOUT, ADDRESS_S);
	curl_easy_setopt(c, CURLOPT_MAXAGE_CONN, IDLE_S);
	curl_easy_setopt(c, CURLOPT_MAXLIFETIME_CONN, LIFETIME_S);
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
	curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_BYTES);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
	set_body(c, t);
}

/* What curl failed with. */
static int refuse(struct where at, CURLcode code, const char *detail, struct err *e)
{
	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return err_set(e, ERR_DENIED,
		               "the certificate of %s is not accepted: %s; name its CA's file by "
		               "the parameter 'ca'",
		               at.s, detail);
	case CURLE_SSL_CERTPROBLEM:
		return err_set(e, ERR_DENIED, "our certificate for %s is of no use: %s", at.s,
		               detail);
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return err_set(e, ERR_INVALID, "the address of %s is no URL", at.s);
	case CURLE_OUT_OF_MEMORY:
		return err_set(e, ERR_NOMEM, "no memory for a request to %s", at.s);
	case CURLE_COULDNT_RESOLVE_HOST:
		return err_set(e, ERR_RETRY, "the name %s is not known to DNS, or DNS is away",
		               at.s);
	default:
		return err_set(e, ERR_RETRY, "%s: %s", at.s, detail);
	}
}

/* Says what became of the transfer. */
static int judge(struct transfer *t, CURLcode code, const char *detail, struct err *e)
{
	struct where at = where_of(t->rq->url);

	if (t->sink_failed)
		return -1;
	if (t->cancelled)
		return err_set(e, ERR_CANCELLED, "cancelled");
	if (t->stalled)
		return err_set(e, ERR_RETRY, "%s sent and took nothing for %lld s", at.s,
		               (long long)(stall_ms(t) / 1000));
	if (t->headers_full)
		return err_set(e, ERR_RETRY, "%s answered with headers that are too long", at.s);
	if (code != CURLE_OK)
		return refuse(at, code, detail, e);
	if (t->answer->status)
		return 0;
	return err_set(e, ERR_RETRY, "%s answered with no status", at.s);
}

static void count(struct transfer *t, bool answered)
{
	struct http *h = t->h;
	const int status = answered ? t->answer->status : 0;
	const bool later = status == 503 || status == 429;
	struct http_count *c = &h->counts[t->rq->op % HTTP_OPS];

	pthread_mutex_lock(&h->lock);
	c->requests++;
	c->failures += !answered || status >= 500 || later;
	c->throttled += later;
	c->sent += t->sent;
	c->received += t->received;
	pthread_mutex_unlock(&h->lock);
}

/* Seconds or a date (RFC 9110, 10.2.3), in ms from the server's own clock. */
static int64_t retry_after(const struct http_answer *a)
{
	const char *text = http_header(a, "retry-after");
	struct err bad;
	uint64_t s;

	if (!text)
		return 0;
	if (num_u64("Retry-After", text, 0, UINT64_MAX, &s, &bad) < 0) {
		time_t at = curl_getdate(text, NULL);

		s = at > a->date_s && a->date_s ? (uint64_t)(at - a->date_s) : 0;
	}
	return 1000 * (int64_t)(s < WAIT_MAX_S ? s : WAIT_MAX_S);
}

static int check_url(const char *url, struct err *e)
{
	if (http_url_allowed(url))
		return 0;
	return err_set(e, ERR_INVALID,
	               "a request to %s must be by https; http is for loopback addresses",
	               where_of(url).s);
}

int http_do(struct http *h, const struct http_request *rq, struct http_answer *ret, struct err *e)
{
	struct transfer t = { .h = h, .rq = rq, .answer = ret, .e = e };
	bool nomem = false;

	ret->status = 0;
	ret->date_s = 0;
	ret->wait_ms = 0;
	ret->text_len = 0;
	ret->text[0] = '\0';
	ret->headers_len = 0;
	if (check_url(rq->url, e) < 0 || cancel_check(h->cancel, e) < 0 ||
	    cancel_check(rq->cancel, e) < 0)
		return -1;
	struct handle *x = take(h, e);
	if (!x)
		return -1;
	struct curl_slist *headers = headers_of(rq, &nomem);
	if (nomem) {
		curl_slist_free_all(headers);
		give_back(h, x);
		return err_set(e, ERR_NOMEM, "no memory for a request");
	}
	set_options(x, &t, headers);
	t.moved_ns = now_mono_ns();
	CURLcode code = curl_easy_perform(x->curl);
	int r = judge(&t, code, x->error[0] ? x->error : curl_easy_strerror(code), e);
	give_back(h, x);
	curl_slist_free_all(headers);
	count(&t, r == 0);
	if (r < 0)
		return -1;
	const char *date = http_header(ret, "date");
	time_t at = date ? curl_getdate(date, NULL) : -1;
	ret->date_s = at > 0 ? (int64_t)at : 0;
	ret->wait_ms = retry_after(ret);
	return 0;
}

/* ---- connections alone ---- */

struct http_line {
	struct handle x;
	struct where at;
	const struct cancel *cancels[2]; /* of all, and of this one; may be NULL */
};

static int on_dial(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal,
                   curl_off_t ulnow)
{
	const struct http_line *l = arg;

	(void)dltotal;
	(void)dlnow;
	(void)ultotal;
	(void)ulnow;
	return cancel_requested(l->cancels[0]) || cancel_requested(l->cancels[1]);
}

void http_hang_up(struct http_line *l)
{
	if (!l)
		return;
	curl_easy_cleanup(l->x.curl);
	free(l);
}

struct http_line *http_dial(struct http *h, const char *url, const struct cancel *cancel,
                            struct err *e)
{
	if (check_url(url, e) < 0 || cancel_check(h->cancel, e) < 0 || cancel_check(cancel, e) < 0)
		return NULL;
	auto_http_line struct http_line *l = calloc(1, sizeof(*l));
	if (!l || !(l->x.curl = curl_easy_init())) {
		(void)err_set(e, ERR_NOMEM, "no memory for a connection");
		return NULL;
	}
	l->at = where_of(url);
	l->cancels[0] = h->cancel;
	l->cancels[1] = cancel;
	set_server(h, &l->x, url);
	curl_easy_setopt(l->x.curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(l->x.curl, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(l->x.curl, CURLOPT_XFERINFOFUNCTION, on_dial);
	curl_easy_setopt(l->x.curl, CURLOPT_XFERINFODATA, l);
	CURLcode code = curl_easy_perform(l->x.curl);
	if (code == CURLE_OK)
		return STEAL(&l);
	if (code == CURLE_ABORTED_BY_CALLBACK)
		(void)err_set(e, ERR_CANCELLED, "cancelled");
	else
		(void)refuse(l->at, code, l->x.error[0] ? l->x.error : curl_easy_strerror(code), e);
	return NULL;
}

/* Waits until the socket can be read or written. ERR_IO: the time is over. */
static int line_wait(struct http_line *l, short events, int64_t until_ns, struct err *e)
{
	curl_socket_t fd = CURL_SOCKET_BAD;
	const struct cancel *const *c = l->cancels;

	(void)curl_easy_getinfo(l->x.curl, CURLINFO_ACTIVESOCKET, &fd);
	struct pollfd fds[] = {
		{ .fd = fd, .events = events },
		{ .fd = c[0] ? c[0]->fd : -1, .events = POLLIN },
		{ .fd = c[1] ? c[1]->fd : -1, .events = POLLIN },
	};
	int64_t left_ms = until_ns ? (until_ns - now_mono_ns()) / 1000000 : INT_MAX;

	if (left_ms <= 0)
		return err_set(e, ERR_IO, "%s did not end in time", l->at.s);
	(void)poll(fds, ARRAY_LEN(fds), left_ms < INT_MAX ? (int)left_ms + 1 : -1);
	return cancel_check(c[0], e) < 0 || cancel_check(c[1], e) < 0 ? -1 : 0;
}

int http_line_send(struct http_line *l, const void *p, size_t n, int64_t until_ns, struct err *e)
{
	for (size_t done = 0; done < n;) {
		size_t sent = 0;
		CURLcode code = curl_easy_send(l->x.curl, (const uint8_t *)p + done, n - done,
		                               &sent);

		done += sent;
		if (code == CURLE_AGAIN) {
			if (line_wait(l, POLLOUT, until_ns, e) < 0)
				return -1;
		} else if (code != CURLE_OK) {
			return refuse(l->at, code, curl_easy_strerror(code), e);
		}
	}
	return 0;
}

int http_line_recv(struct http_line *l, void *p, size_t n, int64_t until_ns, size_t *ret_n,
                   struct err *e)
{
	for (;;) {
		size_t got = 0;
		CURLcode code = curl_easy_recv(l->x.curl, p, n, &got);

		if (code == CURLE_OK) {
			*ret_n = got;
			return 0;
		}
		if (code != CURLE_AGAIN)
			return refuse(l->at, code, curl_easy_strerror(code), e);
		if (line_wait(l, POLLIN, until_ns, e) < 0)
			return -1;
	}
}

/* ---- what an answer holds ---- */

const char *http_header(const struct http_answer *a, const char *name)
{
	for (size_t at = 0; at < a->headers_len;) {
		const char *have = a->headers + at;
		const char *value = have + strlen(have) + 1;

		if (strcmp(have, name) == 0)
			return value;
		at = (size_t)(value - a->headers) + strlen(value) + 1;
	}
	return NULL;
}

int http_sink_buf(void *arg, const struct http_answer *a, const void *p, size_t n, struct err *e)
{
	struct buf *b = arg;

	(void)a;
	if (buf_put(b, p, n) == 0)
		return 0;
	if (b->nomem)
		return err_set(e, ERR_NOMEM, "no memory for an answer of %zu bytes", b->len + n);
	return err_set(e, ERR_TOO_BIG, "the answer is over the limit of %zu bytes", b->max);
}

int http_sink_fill(void *arg, const struct http_answer *a, const void *p, size_t n, struct err *e)
{
	struct http_fill *f = arg;

	(void)a;
	if (n > f->n - f->got)
		return err_set(e, ERR_CORRUPT, "the answer has more than the %zu bytes asked for",
		               f->n);
	memcpy(f->p + f->got, p, n);
	f->got += n;
	return 0;
}

struct http_count http_counted(struct http *h, unsigned op)
{
	pthread_mutex_lock(&h->lock);
	struct http_count c = h->counts[op % HTTP_OPS];
	pthread_mutex_unlock(&h->lock);
	return c;
}
