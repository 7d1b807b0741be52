/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Get Page Ranges and Get Blob (https://learn.microsoft.com/rest/api/storageservices). The URL with
 * its signature is what gives access: it is in locked memory, and no message has any of it. It
 * serves for some hours; when it is refused later, another one is got, once.
 */
#include "snapshot/azure_blob.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/later.h"
#include "common/secret.h"
#include "common/url.h"
#include "store/xml.h"

#define DRIVER "csi" /* in the journal: whose clean() ends access that was left */
#define VERSION "x-ms-version: 2020-10-02"    /* the first one whose lists have markers */
#define URL_MAX (AZURE_ARM_SAS_MAX + 4 * KIB) /* with what is appended to it */
#define DOCUMENTS_MAX (AZURE_PAGES_MAX / 4)   /* of one list */

struct azure_blob {
	struct azure_arm *arm;     /* borrowed */
	struct journal_note *note; /* NULL: there is no journal */
	char *id;
	pthread_mutex_t lock;
	char *sas;      /* locked memory; guarded by lock, as the rest */
	unsigned round; /* counts the URLs */
	bool served;    /* the one at hand has been good for something */
};

static void destroy(struct azure_blob *b)
{
	secret_free(b->sas);
	free(b->id);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

int azure_blob_close(struct azure_blob *b, struct err *e)
{
	int rc;

	if (!b)
		return 0;
	rc = azure_arm_end_access(b->arm, b->id, e);
	if (rc == 0)
		rc = journal_done(b->note, e);
	else if (b->note)
		journal_leave(b->note);
	destroy(b);
	return rc;
}

struct azure_blob *azure_blob_open(struct azure_arm *a, struct journal *j, const char *id,
                                   struct err *e)
{
	char text[sizeof(AZURE_BLOB_NOTE) + AZURE_ARM_ID_MAX];
	struct azure_blob *b = calloc(1, sizeof(*b));

	if (!b || !(b->id = strdup(id))) {
		free(b);
		err_set(e, ERR_NOMEM, "no memory for the snapshot '%s'", id);
		return NULL;
	}
	b->arm = a;
	/* On Linux it cannot fail with default attributes. */
	pthread_mutex_init(&b->lock, NULL);
	(void)snprintf(text, sizeof(text), AZURE_BLOB_NOTE "%s", id);
	if (j && !(b->note = journal_add(j, DRIVER, text, e))) {
		destroy(b);
		return NULL;
	}
	if (azure_arm_begin_access(a, id, &b->sas, e) < 0) {
		struct err ignored = ERR_INIT;

		/* It may have been given all the same. */
		(void)!azure_blob_close(b, &ignored);
		return NULL;
	}
	return b;
}

/* ---- requests ---- */

static void clean_wiped(struct buf *b)
{
	if (b->data)
		secret_wipe(b->data, b->cap);
	buf_clear(b);
}

/* The URL as it is now, and its number. */
static unsigned url_of(struct azure_blob *b, struct buf *to)
{
	pthread_mutex_lock(&b->lock);
	unsigned round = b->round;
	(void)buf_str(to, b->sas);
	pthread_mutex_unlock(&b->lock);
	return round;
}

/* The URL of that number was refused. 0: there is another one; -1: or there is none. */
static int renew(struct azure_blob *b, unsigned round, struct err *e)
{
	int rc = 0;

	pthread_mutex_lock(&b->lock);
	if (b->round == round) {
		struct err why = ERR_INIT;
		char *sas = NULL;

		/* One that was never good is not refused because its time is up. */
		rc = b->served ? azure_arm_end_access(b->arm, b->id, &why) : -1;
		if (rc == 0)
			rc = azure_arm_begin_access(b->arm, b->id, &sas, &why);
		if (rc == 0) {
			secret_free(b->sas);
			b->sas = sas;
			b->round++;
			b->served = false;
		} else if (why.class != ERR_NONE) {
			*e = why;
		}
	}
	pthread_mutex_unlock(&b->lock);
	return rc;
}

static void note_served(struct azure_blob *b, unsigned round)
{
	pthread_mutex_lock(&b->lock);
	if (b->round == round)
		b->served = true;
	pthread_mutex_unlock(&b->lock);
}

static int refused(const struct http_answer *a, struct err *e)
{
	const struct xml_error x = xml_error_of(a->text, a->text_len);
	const char *code = http_header(a, "x-ms-error-code");

	if (!code)
		code = x.code;
	switch (a->status) {
	case 403:
		return err_set(e, ERR_DENIED,
		               "the bytes of the snapshot may not be read from here, status 403 "
		               "%.60s; look at its network access",
		               code);
	case 404:
		return err_set(e, ERR_NOT_FOUND, "the bytes of the snapshot are gone");
	case 400:
	case 409:
	case 412:
		return err_set(e, ERR_UNSUPPORTED,
		               "the snapshot's service answered with status %d %.60s: %.150s",
		               a->status, code, x.message);
	default:
		if (later_is(a->status))
			return later_set(e, a,
			                 "the snapshot's service answered with status %d %.60s",
			                 a->status, code);
		return err_set(e, ERR_IO, "the snapshot's service answered with status %d %.60s",
		               a->status, code);
	}
}

struct ask {
	struct azure_blob *b;
	const char *query; /* appended to the URL */
	const char *const *headers;
	unsigned nheaders;
	int status; /* that is wanted */
	int (*sink)(void *arg, const struct http_answer *a, const void *p, size_t n, struct err *e);
	void *arg;
	void (*anew)(void *arg);                                             /* before each try */
	int (*check)(void *arg, const struct http_answer *a, struct err *e); /* of an answer */
	struct http_answer answer;
};

static int ask_once(struct ask *x, unsigned *ret_round, struct err *e)
{
	CLEANUP(clean_wiped) struct buf url = BUF_INIT(URL_MAX);
	struct http_request rq = {
		.method = "GET",
		.headers = x->headers,
		.nheaders = x->nheaders,
		.niov = -1,
		.sink = x->sink,
		.arg = x->arg,
	};

	x->answer.status = 0;
	x->anew(x->arg);
	*ret_round = url_of(x->b, &url);
	(void)buf_str(&url, x->query);
	if (buf_check(&url, "the snapshot's URL", e) < 0)
		return -1;
	rq.url = buf_cstr(&url);
	if (azure_arm_send(x->b->arm, &rq, &x->answer, e) < 0)
		return -1;
	if (x->answer.status != x->status)
		return x->answer.status / 100 == 2
		               ? err_set(e, ERR_FORMAT,
		                         "the snapshot's service answered with status %d, and not "
		                         "%d",
		                         x->answer.status, x->status)
		               : refused(&x->answer, e);
	return x->check(x->arg, &x->answer, e);
}

/* Until it is answered, or there is nothing more to try. */
static int ask(struct ask *x, struct err *e)
{
	struct azure_arm_tries tries = { 0 };

	for (;;) {
		struct err why = ERR_INIT;
		unsigned round;

		if (ask_once(x, &round, &why) == 0) {
			note_served(x->b, round);
			return 0;
		}
		if (why.class == ERR_DENIED && x->answer.status == 403 &&
		    renew(x->b, round, &why) == 0)
			continue;
		if (why.class != ERR_RETRY || azure_arm_again(x->b->arm, &tries, &why) < 0) {
			*e = why;
			return -1;
		}
	}
}

/* ---- lists ---- */

struct listing {
	struct azure_pages *pages;
	const char *marker;
};

static void list_anew(void *arg)
{
	struct listing *l = arg;

	azure_pages_again(l->pages);
}

static int list_sink(void *arg, const struct http_answer *a, const void *p, size_t n, struct err *e)
{
	struct listing *l = arg;

	return azure_pages_sink(l->pages, a, p, n, e);
}

static int list_check(void *arg, const struct http_answer *a, struct err *e)
{
	struct listing *l = arg;

	(void)a;
	return azure_pages_end(l->pages, &l->marker, e);
}

/* All documents of a list; the marker of one is in the query of the next. */
static int list(struct ask *x, struct listing *l, struct err *e)
{
	CLEANUP(buf_clear) struct buf query = BUF_INIT(4 * KIB);

	for (size_t i = 0; i < DOCUMENTS_MAX; i++) {
		buf_reset(&query);
		(void)buf_str(&query, "&comp=pagelist");
		if (*l->marker) {
			(void)buf_str(&query, "&marker=");
			(void)url_encode(&query, l->marker, false);
		}
		if (buf_check(&query, "a list of pages", e) < 0)
			return -1;
		x->query = buf_cstr(&query);
		if (ask(x, e) < 0)
			return -1;
		if (!*l->marker)
			return 0;
	}
	return err_set(e, ERR_TOO_BIG, "a list of pages has more than %d parts", DOCUMENTS_MAX);
}

int azure_blob_pages(struct azure_blob *b, struct azure_blob *since, struct azure_pages **ret,
                     struct err *e)
{
	CLEANUP(clean_wiped) struct buf previous = BUF_INIT(URL_MAX);
	auto_azure_pages struct azure_pages *pages = azure_pages_new(e);
	auto_free struct ask *x = calloc(1, sizeof(*x));
	struct listing l = { .pages = pages, .marker = "" };

	if (!pages || !x)
		return err_set(e, ERR_NOMEM, "no memory for a list of pages");
	if (since) {
		(void)buf_str(&previous, "x-ms-previous-snapshot-url: ");
		(void)url_of(since, &previous);
		if (buf_check(&previous, "the snapshot's URL", e) < 0)
			return -1;
	}
	const char *const headers[] = { VERSION, buf_cstr(&previous) };
	*x = (struct ask){
		.b = b,
		.headers = headers,
		.nheaders = since ? 2 : 1,
		.status = 200,
		.sink = list_sink,
		.arg = &l,
		.anew = list_anew,
		.check = list_check,
	};
	if (list(x, &l, e) < 0)
		return err_wrap(e, since ? "finding what changed" : "finding what is there");
	*ret = STEAL(&pages);
	return 0;
}

/* ---- bytes ---- */

struct reading {
	struct http_fill fill;
	uint64_t off;
};

static void read_anew(void *arg)
{
	struct reading *r = arg;

	r->fill.got = 0;
}

static int read_sink(void *arg, const struct http_answer *a, const void *p, size_t n, struct err *e)
{
	struct reading *r = arg;

	return http_sink_fill(&r->fill, a, p, n, e);
}

static int read_check(void *arg, const struct http_answer *a, struct err *e)
{
	const struct reading *r = arg;
	const char *range = http_header(a, "content-range");
	char want[64];

	(void)snprintf(want, sizeof(want), "bytes %" PRIu64 "-%" PRIu64 "/", r->off,
	               r->off + r->fill.n - 1);
	if (!range || strncmp(range, want, strlen(want)) != 0)
		return err_set(e, ERR_FORMAT,
		               "the snapshot's service answered with other bytes than those that "
		               "were asked for");
	if (r->fill.got < r->fill.n)
		return err_set(e, ERR_RETRY, "the snapshot's service sent %zu of %zu bytes",
		               r->fill.got, r->fill.n);
	return 0;
}

int azure_blob_read(struct azure_blob *b, void *p, size_t n, uint64_t off, struct err *e)
{
	auto_free struct ask *x = calloc(1, sizeof(*x));
	struct reading r = { .fill = { .p = p, .n = n }, .off = off };
	char range[80];

	if (n == 0)
		return 0;
	if (!x)
		return err_set(e, ERR_NOMEM, "no memory to read a snapshot");
	(void)snprintf(range, sizeof(range), "x-ms-range: bytes=%" PRIu64 "-%" PRIu64, off,
	               off + n - 1);
	const char *const headers[] = { VERSION, range };
	*x = (struct ask){
		.b = b,
		.query = "",
		.headers = headers,
		.nheaders = 2,
		.status = 206,
		.sink = read_sink,
		.arg = &r,
		.anew = read_anew,
		.check = read_check,
	};
	return ask(x, e);
}
