/* SPDX-License-Identifier: Apache-2.0 */
/*
 * List, then watch from its version on; the version moves with each event, so that a stream that
 * ends is taken up where it was. Of what was told as there, only uid, namespace and name are kept,
 * to tell after another list what has gone meanwhile.
 */
#include "kube/watch.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/now.h"
#include "kube/call.h"
#include "kube/kube_impl.h"
#include "kube/watch_impl.h"

#define STREAM_S 240 /* the server ends a stream after that, and up to a minute more */
/*
 * Where nothing happens a server may send nothing at all: bookmarks are sent as it likes, and none
 * of a kind that has not changed since it began. That the other side is gone the kernel finds out
 * sooner (common/http.c); this is for one that forgets to end a stream.
 */
#define STALL_MS ((STREAM_S + STREAM_S / 4 + 30) * 1000)
#define SHORT_NS (1000000000LL) /* a stream that ends sooner and with nothing is a failure too */

struct watch {
	struct watch_params p;
	struct cancel stop;
	pthread_t thread;
	char *version; /* where to go on; NULL: with a list */
	json_t *known; /* uid -> "ns/name" of what was told */
	json_t *fresh; /* the same of a list that is running */
	struct buf rest;
	unsigned failed; /* tries in a row */
	bool trouble;    /* was told */
	bool gone;       /* the version is too old */
	bool moved;      /* the stream brought something */
};

/* ---- lines ---- */

static int type_of(const char *word, enum watch_type *ret)
{
	static const struct {
		const char *word;
		enum watch_type type;
	} types[] = { { "ADDED", WATCH_PUT },
		      { "MODIFIED", WATCH_PUT },
		      { "DELETED", WATCH_GONE },
		      { "BOOKMARK", WATCH_BOOKMARK },
		      { "ERROR", WATCH_ERROR } };

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (strcmp(types[i].word, word) == 0) {
			*ret = types[i].type;
			return 0;
		}
	}
	return -1;
}

static int line(const uint8_t *p, size_t n,
                int (*each)(void *arg, enum watch_type type, const json_t *object, struct err *e),
                void *arg, struct err *e)
{
	enum watch_type type;

	if (n == 0 || (n == 1 && *p == '\r'))
		return 0;
	auto_json json_t *j = json_parse("an event of a watch", p, n, e);
	if (!j)
		return -1;
	const json_t *object = json_object_get(j, "object");
	if (type_of(kube_text_at(j, "type"), &type) < 0 || !json_is_object(object))
		return err_set(e, ERR_FORMAT, "an event of a watch has no type and object");
	return each(arg, type, object, e);
}

int watch_feed(struct buf *rest, const void *p, size_t n,
               int (*each)(void *arg, enum watch_type type, const json_t *object, struct err *e),
               void *arg, struct err *e)
{
	const uint8_t *at = p;
	const uint8_t *end;

	while (n > 0 && (end = memchr(at, '\n', n))) {
		size_t m = (size_t)(end - at);
		int rc;

		if (rest->len == 0) {
			rc = line(at, m, each, arg, e);
		} else {
			(void)buf_put(rest, at, m);
			if (buf_check(rest, "an event of a watch", e) < 0)
				return -1;
			rc = line(rest->data, rest->len, each, arg, e);
			buf_reset(rest);
		}
		if (rc < 0)
			return -1;
		at += m + 1;
		n -= m + 1;
	}
	(void)buf_put(rest, at, n);
	return buf_check(rest, "an event of a watch", e);
}

/* ---- what is known ---- */

static void put(struct watch *w, const json_t *object)
{
	const char *ns = kube_text_at(object, "metadata.namespace");
	const char *name = kube_text_at(object, "metadata.name");
	const char *uid = kube_text_at(object, "metadata.uid");

	/*
	 * For want of memory nothing is noted: then it is not told as gone after another list,
	 * which is what a process without memory can do.
	 */
	(void)json_object_set_new(w->known, uid, json_sprintf("%s/%s", ns, name));
	if (w->fresh)
		(void)json_object_set_new(w->fresh, uid, json_true());
	w->p.put(w->p.arg, object);
}

static void gone(struct watch *w, const char *uid, const char *path)
{
	const char *slash = strchr(path, '/');
	auto_free char *ns = strndup(path, (size_t)(slash - path));

	if (ns)
		w->p.gone(w->p.arg, ns, slash + 1, uid);
}

/* After a list: what is known and not in it. */
static void tell_gone(struct watch *w)
{
	const char *uid;
	json_t *path;
	void *next;

	json_object_foreach_safe(w->known, next, uid, path) {
		if (json_object_get(w->fresh, uid))
			continue;
		gone(w, uid, json_string_value(path));
		(void)json_object_del(w->known, uid);
	}
}

static int listed(void *arg, const json_t *object, struct err *e)
{
	struct watch *w = arg;

	if (cancel_check(&w->stop, e) < 0)
		return -1;
	put(w, object);
	return 0;
}

static void again(void *arg)
{
	struct watch *w = arg;

	(void)json_object_clear(w->fresh);
}

static int list(struct watch *w, struct err *e)
{
	const struct call_list how = {
		.each = listed, .again = again, .arg = w, .once = true, .cancel = &w->stop
	};
	CLEANUP(clean_json) json_t *fresh = json_object();

	if (!fresh)
		return err_set(e, ERR_NOMEM, "no memory for a list");
	w->fresh = fresh;
	int rc = call_list(w->p.kube, w->p.kind, &w->p.select, &how, &w->version, e);
	if (rc == 0)
		tell_gone(w);
	w->fresh = NULL;
	return rc;
}

/* ---- the stream ---- */

static void works(struct watch *w)
{
	if (w->trouble && w->p.trouble)
		w->p.trouble(w->p.arg, NULL);
	w->trouble = false;
}

static int event(void *arg, enum watch_type type, const json_t *object, struct err *e)
{
	struct watch *w = arg;
	const char *version = kube_text_at(object, "metadata.resourceVersion");

	if (cancel_check(&w->stop, e) < 0)
		return -1;
	if (type == WATCH_ERROR) {
		(void)call_status(object, 500, e);
		w->gone = e->os == CALL_GONE;
		return err_wrap(e, "the stream of a watch");
	}
	if (type == WATCH_PUT) {
		put(w, object);
	} else if (type == WATCH_GONE) {
		const char *uid = kube_text_at(object, "metadata.uid");

		w->p.gone(w->p.arg, kube_text_at(object, "metadata.namespace"),
		          kube_text_at(object, "metadata.name"), uid);
		(void)json_object_del(w->known, uid);
	}
	w->moved = true;
	char *copy = *version ? strdup(version) : NULL;
	if (!copy)
		return err_set(e, ERR_FORMAT, "an event of a watch has no version");
	free(w->version);
	w->version = copy;
	return 0;
}

static int bytes(void *arg, const struct http_answer *a, const void *p, size_t n, struct err *e)
{
	struct watch *w = arg;

	(void)a;
	return watch_feed(&w->rest, p, n, event, w, e);
}

static void stream_began(void *arg)
{
	works(arg);
}

/* Until it ends: 0; or -1 with what went wrong. */
static int stream(struct watch *w, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CALL_PATH_MAX);
	int64_t start_ns = now_mono_ns();
	char seconds[16];

	(void)snprintf(seconds, sizeof(seconds), "%u",
	               (unsigned)(STREAM_S + call_random() % (STREAM_S / 4)));
	call_path(&b, w->p.kind, w->p.select.ns, NULL, NULL);
	call_select(&b, &w->p.select);
	call_query(&b, "watch", "true");
	call_query(&b, "allowWatchBookmarks", "true");
	call_query(&b, "resourceVersion", w->version);
	call_query(&b, "timeoutSeconds", seconds);
	if (buf_check(&b, "the path of a watch", e) < 0)
		return -1;
	struct call c = { .method = "GET",
		          .path = buf_cstr(&b),
		          .sink = bytes,
		          .began = stream_began,
		          .arg = w,
		          .stall_ms = STALL_MS,
		          .once = true,
		          .cancel = &w->stop };
	buf_reset(&w->rest);
	w->gone = w->moved = false;
	int rc = call_do(w->p.kube, &c, e);
	if (rc < 0) {
		w->gone |= e->os == CALL_GONE;
		return err_wrap(e, "watching %s", w->p.kind->plural);
	}
	/* A server that ends each stream at once is not asked without a pause. */
	if (!w->moved && now_mono_ns() - start_ns < SHORT_NS)
		return err_set(e, ERR_RETRY, "watching %s: the stream ended at once",
		               w->p.kind->plural);
	return 0;
}

/* ---- the thread ---- */

static int step(struct watch *w, struct err *e)
{
	if (w->version)
		return stream(w, e);
	if (list(w, e) < 0)
		return -1;
	works(w);
	w->p.synced(w->p.arg);
	return 0;
}

/* Before the next try: the more have failed the longer, drawn anew each time. */
static int pause_after(struct watch *w)
{
	static const struct backoff schedule = { INT64_MAX, 500, 30000 };
	struct err e;

	return cancel_wait(&w->stop, w->p.kube->cancel,
	                   backoff_wait_ms(&schedule, w->failed, 0, call_random()), &e);
}

static void *run(void *arg)
{
	struct watch *w = arg;

	while (!cancel_requested(&w->stop) && !cancel_requested(w->p.kube->cancel)) {
		struct err e = ERR_INIT;
		bool streaming = w->version != NULL;

		if (step(w, &e) == 0) {
			w->failed = 0;
			continue;
		}
		if (e.class == ERR_CANCELLED)
			continue;
		/* What came shows that it works; a list that is needed again is no trouble. */
		w->failed = w->moved && streaming ? 1 : w->failed + 1;
		w->moved = false;
		if (w->gone) {
			free(STEAL(&w->version));
			w->gone = false;
		} else if (e.class == ERR_FORMAT || e.class == ERR_TOO_BIG) {
			/* Whatever stands there would stand there again. */
			free(STEAL(&w->version));
		}
		if (e.os != CALL_GONE) {
			w->trouble = true;
			if (w->p.trouble)
				w->p.trouble(w->p.arg, &e);
		}
		if (pause_after(w) < 0)
			break;
	}
	return NULL;
}

static void watch_free(struct watch *w)
{
	cancel_clear(&w->stop);
	free(w->version);
	json_decref(w->known);
	buf_clear(&w->rest);
	free(w);
}

struct watch *watch_start(const struct watch_params *params, struct err *e)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w || cancel_init(&w->stop) < 0) {
		free(w);
		(void)err_set(e, ERR_NOMEM, "no memory to watch %s", params->kind->plural);
		return NULL;
	}
	w->p = *params;
	w->rest = BUF_INIT(WATCH_LINE_MAX);
	w->known = json_object();
	if (!w->known) {
		(void)err_set(e, ERR_NOMEM, "no memory to watch %s", params->kind->plural);
	} else {
		int os = pthread_create(&w->thread, NULL, run, w);

		if (os == 0) {
			(void)pthread_setname_np(w->thread, "watch");
			return w;
		}
		(void)err_sys(e, os, "starting a thread to watch %s", params->kind->plural);
	}
	watch_free(w);
	return NULL;
}

void watch_stop(struct watch *w)
{
	if (!w)
		return;
	cancel_request(&w->stop);
	(void)pthread_join(w->thread, NULL);
	watch_free(w);
}
