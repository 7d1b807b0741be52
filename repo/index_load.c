/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings the local tables up to date with the store: tables that cover a
 * segment that is gone or void are dropped, segments that no table covers are
 * fetched by a few threads. The directory is read before the store is listed, so that
 * what another process adds meanwhile is not taken for something that is gone.
 * Segments of sessions that did not end are never kept: they may become void.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/now.h"
#include "repo/index_impl.h"
#include "repo/point.h"

#define NAME_BYTES 96
#define THREADS_MAX 8
#define INFLIGHT_MAX (32 * MIB) /* bytes of segments being fetched */
#define MEMORY_MAX (16 * MIB)   /* bytes of tables before they go to a file */
#define STALE_S (24 * 60 * 60)  /* age of a temporary file that nobody is writing */

/* A segment that the store lists. */
struct segment {
	char name[NAME_BYTES]; /* below idx/DTAG/ */
	uint64_t size;
	bool tentative; /* of a session that did not end */
	bool covered;   /* by a local table */
};

struct loader {
	struct store *store;
	const struct keys *keys;
	const struct domain_keys *domain;
	const struct index_keys *k;
	int dir;
	const struct cancel *cancel;
	char prefix[32]; /* "idx/DTAG/" */
	struct segment *segments;
	size_t n, cap;
	struct index_tables *ts, *tentative; /* guarded by lock while threads run */
	struct index_names_list *voids;
	pthread_mutex_t lock;
	pthread_cond_t less;   /* inflight shrank, or failed */
	size_t next;           /* guarded by lock */
	uint64_t inflight;     /* guarded by lock; bytes */
	uint64_t memory_bytes; /* guarded by lock; in tables without a file */
	size_t damaged;        /* guarded by lock */
	bool failed;           /* guarded by lock */
	struct err why;        /* guarded by lock: of the first failure */
};

static int list_item(void *arg, const struct store_item *item, struct err *e)
{
	struct loader *l = arg;
	const char *name = item->key + strlen(l->prefix);
	char session[96];

	if (!segment_session(name, session)) {
		l->damaged++;
		return 0;
	}
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct segment *segments = reallocarray(l->segments, cap, sizeof(*segments));

		if (!segments)
			return err_set(e, ERR_NOMEM, "no memory for a list of %zu index segments",
			               cap);
		l->segments = segments;
		l->cap = cap;
	}
	struct segment *s = &l->segments[l->n++];
	*s = (struct segment){ .size = item->st.size };
	memcpy(s->name, name, strlen(name) + 1);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct segment *)a)->name, ((const struct segment *)b)->name);
}

static int note_void(struct index_names_list *l, const char *name, struct err *e)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 16;
		char **v = reallocarray(l->v, cap, sizeof(char *));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for a list of index segments");
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n] = strdup(name);
	if (!l->v[l->n])
		return err_set(e, ERR_NOMEM, "no memory for a list of index segments");
	l->n++;
	return 0;
}

/* Drops the segments that are void for the view. */
static int apply_view(struct loader *l, const struct view *view, struct err *e)
{
	CLEANUP(marker_list_clear) struct marker_list markers = { 0 };
	bool listed = false;
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct segment *s = &l->segments[i];
		char session[96];

		(void)segment_session(s->name, session);
		enum segment_state state = view_segment(&view->commits, NULL, session);
		/* Mostly all have ended, and nobody asks who is at work. */
		if (state == SEGMENT_TENTATIVE && !listed) {
			if (marker_list_load(l->store, &markers, e) < 0)
				return -1;
			listed = true;
		}
		if (state == SEGMENT_TENTATIVE)
			state = view_segment(&view->commits, &markers, session);
		if (state == SEGMENT_VOID) {
			if (note_void(l->voids, s->name, e) < 0)
				return -1;
			continue;
		}
		s->tentative = state == SEGMENT_TENTATIVE;
		l->segments[kept++] = *s;
	}
	l->n = kept;
	return 0;
}

/* ---- what is there already ---- */

static void remove_if_stale(int dir, const char *file)
{
	struct stat st;

	if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_mtime + STALE_S < now_wall_ns() / 1000000000)
		(void)unlinkat(dir, file, 0);
}

/* Opens the tables of the directory; what is damaged is taken away. */
static int open_tables(struct loader *l, struct err *e)
{
	int fd = l->dir < 0 ? -1 : openat(l->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *x;
	int r = 0;

	if (!d) {
		int os = errno;
		clean_close(&fd);
		return l->dir < 0 ? 0 : err_sys(e, os, "reading the local index");
	}
	while (r == 0 && (x = readdir(d))) {
		if (strncmp(x->d_name, ".tmp-", 5) == 0)
			remove_if_stale(l->dir, x->d_name);
		if (x->d_name[0] == '.')
			continue;
		struct index_table *t = index_table_open(l->k, l->dir, x->d_name);
		if (!t)
			(void)unlinkat(l->dir, x->d_name, 0);
		else if (index_tables_add(l->ts, t) < 0)
			r = err_set(e, ERR_NOMEM, "no memory for the index");
	}
	(void)closedir(d);
	return r;
}

/* The listed segment of the line at *at, which moves behind it; NULL: it is not listed. */
static struct segment *next_name(struct loader *l, const char **at, const char *end)
{
	struct segment key;
	const char *line_end = memchr(*at, '\n', (size_t)(end - *at));
	size_t n = (size_t)(line_end - *at); /* a table's names end in a line end */
	const char *line = *at;

	*at = line_end + 1;
	if (n >= NAME_BYTES || l->n == 0)
		return NULL;
	memcpy(key.name, line, n);
	key.name[n] = '\0';
	return bsearch(&key, l->segments, l->n, sizeof(key), by_name);
}

/* True when the store has all segments of t, settled, and t has one that no other table covers. */
static bool table_useful(struct loader *l, const struct index_table *t)
{
	const char *end = t->names + t->names_len;
	bool news = false;

	for (const char *at = t->names; at < end;) {
		const struct segment *s = next_name(l, &at, end);

		if (!s || s->tentative)
			return false;
		news |= !s->covered;
	}
	if (!news)
		return false;
	for (const char *at = t->names; at < end;)
		next_name(l, &at, end)->covered = true;
	return true;
}

static int by_names_desc(const void *a, const void *b)
{
	const struct index_table *x = *(struct index_table *const *)a;
	const struct index_table *y = *(struct index_table *const *)b;

	return (x->nnames < y->nnames) - (x->nnames > y->nnames);
}

static void keep_useful(struct loader *l)
{
	struct index_tables *ts = l->ts;
	size_t kept = 0;

	if (ts->n > 1)
		qsort(ts->t, ts->n, sizeof(struct index_table *), by_names_desc);
	for (size_t i = 0; i < ts->n; i++) {
		if (table_useful(l, ts->t[i])) {
			ts->t[kept++] = ts->t[i];
			continue;
		}
		index_table_remove(ts->t[i]);
		index_table_free(ts->t[i]);
	}
	ts->n = kept;
}

/* ---- fetching ---- */

/* 0: *ret is its table; 1: gone or damaged (*ret_damaged); -1. */
static int fetch(const struct loader *l, const char *name, struct index_table **ret,
                 bool *ret_damaged, struct err *e)
{
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(SEGMENT_PLAIN_MAX);
	struct segment_view v;
	struct err why = ERR_INIT;
	char key[STORE_KEY_MAX + 1];

	*ret_damaged = false;
	(void)snprintf(key, sizeof(key), "%s%s", l->prefix, name);
	if (segment_fetch(l->store, l->keys, l->domain, key, &plain, &v, &why) < 0) {
		*ret_damaged = why.class == ERR_CORRUPT || why.class == ERR_FORMAT ||
		               why.class == ERR_TOO_BIG;
		if (*ret_damaged || why.class == ERR_NOT_FOUND)
			return 1;
		*e = why;
		return err_wrap(e, "reading the index");
	}
	*ret = index_table_new(l->k, name, &v);
	return *ret ? 0 : err_set(e, ERR_NOMEM, "no memory for the index");
}

static void fail_locked(struct loader *l, const struct err *e)
{
	if (!l->failed)
		l->why = *e;
	l->failed = true;
	(void)pthread_cond_broadcast(&l->less);
}

static void take_locked(struct loader *l, struct index_table *take_t, bool tentative)
{
	struct err e = ERR_INIT;

	l->memory_bytes += tentative ? 0 : take_t->len;
	if (index_tables_add(tentative ? l->tentative : l->ts, take_t) < 0) {
		(void)err_set(&e, ERR_NOMEM, "no memory for the index");
		fail_locked(l, &e);
		return;
	}
	if (l->dir >= 0 && l->memory_bytes > MEMORY_MAX) {
		index_tables_compact(l->ts, l->k, l->dir);
		l->memory_bytes = 0;
	}
}

/* The next segment to fetch, counted as in flight; NULL at the end. */
static const struct segment *next_locked(struct loader *l)
{
	struct err e = ERR_INIT;

	while (l->next < l->n && l->segments[l->next].covered)
		l->next++;
	if (cancel_check(l->cancel, &e) < 0)
		fail_locked(l, &e);
	if (l->next == l->n || l->failed)
		return NULL;
	const struct segment *s = &l->segments[l->next++];
	while (!l->failed && l->inflight > 0 && l->inflight + s->size > INFLIGHT_MAX)
		(void)pthread_cond_wait(&l->less, &l->lock);
	if (l->failed)
		return NULL;
	l->inflight += s->size;
	return s;
}

static void *fetch_all(void *arg)
{
	struct loader *l = arg;
	const struct segment *s;

	(void)pthread_mutex_lock(&l->lock);
	while ((s = next_locked(l))) {
		struct err e = ERR_INIT;
		struct index_table *t = NULL;
		bool damaged;

		(void)pthread_mutex_unlock(&l->lock);
		int r = fetch(l, s->name, &t, &damaged, &e);
		(void)pthread_mutex_lock(&l->lock);
		l->inflight -= s->size;
		(void)pthread_cond_broadcast(&l->less);
		l->damaged += damaged;
		if (r < 0)
			fail_locked(l, &e);
		else if (r == 0)
			take_locked(l, t, s->tentative);
	}
	(void)pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* Fetches what no table covers; this thread works too. */
static int fetch_missing(struct loader *l, struct err *e)
{
	pthread_t threads[THREADS_MAX];
	size_t missing = 0;
	unsigned running = 0;

	for (size_t i = 0; i < l->n; i++)
		missing += !l->segments[i].covered;
	while (running + 1 < missing && running + 1 < THREADS_MAX) {
		if (pthread_create(&threads[running], NULL, fetch_all, l) != 0)
			break; /* fewer will do */
		(void)pthread_setname_np(threads[running++], "index-load");
	}
	(void)fetch_all(l);
	while (running > 0)
		(void)pthread_join(threads[--running], NULL);
	if (!l->failed)
		return 0;
	*e = l->why;
	return -1;
}

static int load(struct loader *l, const struct view *view, struct err *e)
{
	if (open_tables(l, e) < 0)
		return -1;
	if (store_list(l->store, l->prefix, NULL, list_item, l, e) < 0)
		return err_wrap(e, "listing the index");
	if (view && apply_view(l, view, e) < 0)
		return -1;
	if (l->n > 1)
		qsort(l->segments, l->n, sizeof(*l->segments), by_name);
	keep_useful(l);
	if (fetch_missing(l, e) < 0)
		return -1;
	index_tables_compact(l->ts, l->k, l->dir);
	return 0;
}

/* True when all sessions that the table has segments of have committed. */
static bool is_settled(const struct index_table *t, const struct view *view)
{
	const char *end = t->names + t->names_len;

	for (const char *at = t->names; at < end;) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)(line_end - at); /* a table's names end in a line end */
		char name[NAME_BYTES];
		char session[96];

		if (n >= sizeof(name))
			return false;
		memcpy(name, at, n);
		name[n] = '\0';
		if (!segment_session(name, session) ||
		    view_segment(&view->commits, NULL, session) != SEGMENT_SETTLED)
			return false;
		at = line_end + 1;
	}
	return true;
}

bool index_load_known(const struct index_keys *k, int dir, const struct view *view,
                      struct index_tables *ts)
{
	struct loader l = { .k = k, .dir = dir, .ts = ts };
	struct err ignored = ERR_INIT;
	bool good = open_tables(&l, &ignored) == 0;

	for (size_t i = 0; good && i < ts->n; i++)
		good = is_settled(ts->t[i], view);
	if (!good)
		index_tables_clear(ts);
	return good;
}

int index_load(struct store *store, const struct keys *keys, const struct domain_keys *domain,
               const struct index_keys *k, int dir, const struct view *view,
               const struct cancel *cancel, struct index_tables *ts, struct index_tables *tentative,
               struct index_names_list *voids, size_t *ret_damaged, struct err *e)
{
	struct loader l = {
		.store = store,
		.keys = keys,
		.domain = domain,
		.k = k,
		.dir = dir,
		.cancel = cancel,
		.ts = ts,
		.tentative = tentative,
		.voids = voids,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.less = PTHREAD_COND_INITIALIZER,
	};

	(void)snprintf(l.prefix, sizeof(l.prefix), "idx/%s/", domain->tag_hex);
	int r = load(&l, view, e);
	free(l.segments);
	(void)pthread_cond_destroy(&l.less);
	(void)pthread_mutex_destroy(&l.lock);
	if (r == 0)
		*ret_damaged = l.damaged;
	return r;
}
