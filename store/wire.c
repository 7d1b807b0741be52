/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests before they are signed. Whatever fails while one is put together
 * is remembered in it, so that a driver builds it in a row of plain calls and
 * learns of a failure when it sends. Texts that may be secrets are wiped.
 */
#include "store/wire.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "common/secret.h"
#include "common/url.h"

#define BASE_MAX 2048
#define PATH_MAX_BYTES (8 * KIB)
#define URL_MAX (64 * KIB)
#define HEADERS_BYTES_MAX (64 * KIB)

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

static void unfit(struct wire *w, const char *name)
{
	if (!w->unfit)
		w->unfit = name;
}

/* "https://h:443" and "http://h:80" are asked for "h". */
static void host_set(struct wire *w)
{
	const char *base = buf_cstr(&w->base);
	const char *host = strstr(base, "://");
	const char *usual = strncmp(base, "https:", 6) == 0 ? ":443" : ":80";

	host = host ? host + 3 : base;
	size_t n = strlen(host);
	size_t len = strlen(usual);
	if (n > len && strcmp(host + n - len, usual) == 0)
		n -= len;
	(void)buf_put(&w->host, host, n);
}

void wire_init(struct wire *w, const char *method, const char *base)
{
	const char *host = strstr(base, "://");
	size_t n = strcspn(host ? host + 3 : base, "/") + (host ? (size_t)(host + 3 - base) : 0);
	size_t all = strlen(base);

	while (all > n && base[all - 1] == '/')
		all--;
	*w = (struct wire){ .method = method,
		            .base = BUF_INIT(BASE_MAX),
		            .path = BUF_INIT(PATH_MAX_BYTES),
		            .host = BUF_INIT(BASE_MAX) };
	(void)buf_put(&w->base, base, n);
	(void)buf_put(&w->path, base + n, all - n);
	host_set(w);
}

void wire_clear(struct wire *w)
{
	for (unsigned i = 0; i < w->ntexts; i++) {
		secret_wipe(w->texts[i], strlen(w->texts[i]));
		free(w->texts[i]);
	}
	w->ntexts = 0;
	w->nquery = 0;
	w->nheaders = 0;
	buf_clear(&w->base);
	buf_clear(&w->path);
	buf_clear(&w->host);
}

void wire_path(struct wire *w, const char *text)
{
	(void)buf_u8(&w->path, '/');
	(void)url_encode(&w->path, text, true);
}

const char *wire_path_text(struct wire *w)
{
	return w->path.len > 0 ? buf_cstr(&w->path) : "/";
}

const char *wire_host(struct wire *w)
{
	return buf_cstr(&w->host);
}

/* take_value: from malloc, or NULL when memory was short. */
static void add(struct wire *w, struct wire_pair *pairs, unsigned *n, const char *name,
                char *take_value)
{
	if (!take_value) {
		w->nomem = true;
		return;
	}
	if (*n == WIRE_PAIRS) {
		unfit(w, name);
		secret_wipe(take_value, strlen(take_value));
		free(take_value);
		return;
	}
	assert(w->ntexts < ARRAY_LEN(w->texts));
	w->texts[w->ntexts++] = take_value;
	pairs[(*n)++] = (struct wire_pair){ name, take_value };
}

void wire_query(struct wire *w, const char *name, const char *value)
{
	add(w, w->query, &w->nquery, name, strdup(value));
}

void wire_header(struct wire *w, const char *name, const char *fmt, ...)
{
	char *value = NULL;
	va_list ap;

	/* of the exact size at once: growing memory would leave copies of a secret */
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n >= 0)
		value = malloc((size_t)n + 1);
	if (value) {
		va_start(ap, fmt);
		(void)vsnprintf(value, (size_t)n + 1, fmt, ap);
		va_end(ap);
		if (has_control(value))
			unfit(w, name);
	}
	add(w, w->headers, &w->nheaders, name, value);
}

void wire_header_drop(struct wire *w, const char *name)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->nheaders; i++)
		if (strcmp(w->headers[i].name, name) != 0)
			w->headers[n++] = w->headers[i];
	w->nheaders = n;
}

/* Insertion: there are few, and the same names keep their order. */
static void sort(struct wire_pair *v, unsigned n)
{
	for (unsigned i = 1; i < n; i++) {
		const struct wire_pair p = v[i];
		unsigned at = i;

		for (; at > 0 && strcmp(v[at - 1].name, p.name) > 0; at--)
			v[at] = v[at - 1];
		v[at] = p;
	}
}

void wire_sort(struct wire *w)
{
	sort(w->query, w->nquery);
	sort(w->headers, w->nheaders);
}

const char *wire_header_get(const struct wire *w, const char *name)
{
	for (unsigned i = 0; i < w->nheaders; i++)
		if (strcmp(w->headers[i].name, name) == 0)
			return w->headers[i].value;
	return NULL;
}

int wire_check(const struct wire *w, struct err *e)
{
	if (w->nomem)
		return err_set(e, ERR_NOMEM, "no memory for a request");
	if (buf_check(&w->base, "the address of a request", e) < 0 ||
	    buf_check(&w->host, "the host of a request", e) < 0 ||
	    buf_check(&w->path, "the path of a request", e) < 0)
		return -1;
	if (!w->unfit)
		return 0;
	/* the value may be a secret */
	const char *value = wire_header_get(w, w->unfit);
	if (value && has_control(value))
		return err_set(e, ERR_INVALID,
		               "the value of the header '%s' has a control character, so it cannot "
		               "be sent",
		               w->unfit);
	return err_set(e, ERR_TOO_BIG, "a request has more than %d headers or parameters: '%s'",
	               WIRE_PAIRS, w->unfit);
}

int wire_query_text(const struct wire *w, struct buf *b)
{
	for (unsigned i = 0; i < w->nquery; i++) {
		if (i > 0)
			(void)buf_u8(b, '&');
		(void)url_encode(b, w->query[i].name, false);
		(void)buf_u8(b, '=');
		(void)url_encode(b, w->query[i].value, false);
	}
	return b->failed ? -1 : 0;
}

/* Bytes that were secrets in part; wiped before they are given back. */
static void clean_wiped(struct buf *b)
{
	if (b->data)
		secret_wipe(b->data, b->cap);
	buf_clear(b);
}

static int url_of(const struct wire *w, const char *rest, struct buf *ret, struct err *e)
{
	size_t most = w->base.len + w->path.len + strlen(rest) + 4;

	for (unsigned i = 0; i < w->nquery; i++)
		most += 3 * (strlen(w->query[i].name) + strlen(w->query[i].value)) + 2;
	(void)buf_reserve(ret, most);
	(void)buf_put(ret, w->base.data, w->base.len);
	if (w->path.len > 0)
		(void)buf_put(ret, w->path.data, w->path.len);
	else
		(void)buf_u8(ret, '/');
	if (w->nquery > 0)
		(void)buf_u8(ret, '?');
	(void)wire_query_text(w, ret);
	if (*rest)
		(void)buf_u8(ret, w->nquery > 0 ? '&' : '?');
	(void)buf_str(ret, rest);
	(void)buf_u8(ret, '\0');
	return buf_check(ret, "the URL of a request", e);
}

/* "name: value\0" each; at: where each begins. */
static int headers_of(const struct wire *w, struct buf *ret, size_t at[WIRE_PAIRS], struct err *e)
{
	size_t all = 0;

	for (unsigned i = 0; i < w->nheaders; i++)
		all += strlen(w->headers[i].name) + strlen(w->headers[i].value) + 3;
	(void)buf_reserve(ret, all);
	for (unsigned i = 0; i < w->nheaders; i++) {
		at[i] = ret->len;
		(void)buf_str(ret, w->headers[i].name);
		(void)buf_put(ret, ": ", 2);
		(void)buf_str(ret, w->headers[i].value);
		(void)buf_u8(ret, '\0');
	}
	return buf_check(ret, "the headers of a request", e);
}

int wire_send(const struct wire *w, struct http *h, const char *rest, struct http_request *rq,
              struct http_answer *ret, struct err *e)
{
	CLEANUP(clean_wiped) struct buf url = BUF_INIT(URL_MAX);
	CLEANUP(clean_wiped) struct buf text = BUF_INIT(HEADERS_BYTES_MAX);
	const char *headers[WIRE_PAIRS];
	size_t at[WIRE_PAIRS] = { 0 };

	if (wire_check(w, e) < 0 || url_of(w, rest ? rest : "", &url, e) < 0 ||
	    headers_of(w, &text, at, e) < 0)
		return -1;
	for (unsigned i = 0; i < w->nheaders; i++)
		headers[i] = (const char *)text.data + at[i];
	rq->method = w->method;
	rq->url = (const char *)url.data;
	rq->headers = headers;
	rq->nheaders = w->nheaders;
	int r = http_do(h, rq, ret, e);
	rq->url = NULL;
	rq->headers = NULL;
	rq->nheaders = 0;
	return r;
}
