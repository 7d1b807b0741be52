/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding restore points: the newest of a volume, and the one a user means.
 *
 * What orders points is inside them, so every commit of the volume has to be
 * opened once; a small file in the state directory remembers the numbers, and
 * from then on only new commits are. It is a help: what it leads to is opened
 * and compared, and when it was wrong everything is opened again. What was just
 * opened for its numbers is not read twice.
 *
 * A volume's tag is in the names of its commits. When the user's text is a
 * whole name, the tag follows from it; else one commit of each volume is
 * opened to learn what the volumes are called.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/now.h"
#include "common/num.h"
#include "repo/commits.h"
#include "repo/living.h"
#include "repo/repo.h"

#define CACHE_TITLE "aksdr points 1\n"
#define CACHE_MAX (64 * MIB)
#define CACHE_SUM_BYTES 32
#define ID_LEAST 4   /* digits of an abbreviated id */
#define LISTED_MAX 8 /* names in a message */

/* A commit as the listing and, once it is known, its inside tell. */
struct seen {
	char session[POINT_SESSION_LEN + 1];
	int64_t received_ns;
	bool known;
	bool bad;     /* it does not open */
	bool revoked; /* of those: its key was revoked, and it is known to be no point */
	uint64_t sequence;
	int64_t frozen_ns;
};

struct survey {
	const struct repo *r;
	const char *voltag;                /* NULL: all volumes */
	const struct commit_list *commits; /* NULL: they are listed */
	bool live;                         /* only points that count */
	const struct survey *from;         /* has them listed already; NULL: they are listed */
	struct seen *items;
	size_t n, cap;
	struct err why; /* why the last bad one that is not revoked is bad */
	/* the newest of those that were opened, until somebody takes it */
	struct point *opened;
};

static void survey_clear(struct survey *s)
{
	if (s->opened)
		point_clear(s->opened);
	free(s->opened);
	s->opened = NULL;
	free(s->items);
	s->items = NULL;
	s->n = 0;
	s->cap = 0;
}

static int survey_add(struct survey *s, const char *session, int64_t received_ns, struct err *e)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 64;
		struct seen *items = reallocarray(s->items, cap, sizeof(*items));

		if (!items)
			return err_set(e, ERR_NOMEM, "no memory for a list of %zu restore points",
			               cap);
		s->items = items;
		s->cap = cap;
	}
	struct seen *x = &s->items[s->n++];
	*x = (struct seen){ .received_ns = received_ns };
	memcpy(x->session, session, POINT_SESSION_LEN + 1);
	return 0;
}

static int survey_take(struct survey *s, const struct commit_list *l, const struct living *live,
                       struct err *e)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct commit_item *c = &l->v[i];

		if (c->kind != COMMIT_POINT || (live && !living_is(live, c->session)) ||
		    (s->voltag && strncmp(c->session + POINT_SESSION_VOLTAG, s->voltag, 16) != 0))
			continue;
		if (survey_add(s, c->session, c->received_ns, e) < 0)
			return -1;
	}
	return 0;
}

static int survey_copy(struct survey *s, const struct survey *from, struct err *e)
{
	for (size_t i = 0; i < from->n; i++) {
		const struct seen *x = &from->items[i];

		if (strncmp(x->session + POINT_SESSION_VOLTAG, s->voltag, 16) == 0 &&
		    survey_add(s, x->session, x->received_ns, e) < 0)
			return -1;
	}
	return 0;
}

/* Names and times of receipt of the points, by name. */
static int survey_list(struct survey *s, struct err *e)
{
	CLEANUP(commit_list_clear) struct commit_list l = { 0 };
	CLEANUP(living_clear) struct living live = { 0 };

	survey_clear(s);
	if (s->from)
		return survey_copy(s, STEAL(&s->from), e);
	if (s->commits)
		return survey_take(s, s->commits, NULL, e);
	if (s->live)
		return living_load(s->r, &live, e) < 0 ||
		                       survey_take(s, &live.commits, &live, e) < 0
		               ? -1
		               : 0;
	return commit_list_load(s->r->store, &l, e) < 0 || survey_take(s, &l, NULL, e) < 0 ? -1 : 0;
}

static int seen_cmp(const void *a, const void *b)
{
	return strcmp(((const struct seen *)a)->session, ((const struct seen *)b)->session);
}

static struct seen *survey_get(const struct survey *s, const char *session)
{
	struct seen key;

	if (s->n == 0)
		return NULL;
	(void)snprintf(key.session, sizeof(key.session), "%s", session);
	return bsearch(&key, s->items, s->n, sizeof(*s->items), seen_cmp);
}

/* ---- what is remembered ---- */

static void cache_path(const struct survey *s, char ret[600])
{
	(void)snprintf(ret, 600, "%s/points-%s", s->r->state, s->voltag);
}

static void cache_sum(uint8_t ret[CACHE_SUM_BYTES], const struct buf *b, size_t n)
{
	(void)crypto_generichash(ret, CACHE_SUM_BYTES, b->data, n, NULL, 0);
}

/* One line: session, sequence, frozen_ns. */
static void cache_line(struct survey *s, char *line)
{
	struct err ignored = ERR_INIT;
	const char *session = strsep(&line, " ");
	const char *sequence = strsep(&line, " ");
	uint64_t n;
	uint64_t frozen_ns;

	if (!sequence || !line || num_u64("sequence", sequence, 1, INT64_MAX, &n, &ignored) < 0 ||
	    num_u64("time", line, 0, INT64_MAX, &frozen_ns, &ignored) < 0)
		return;
	struct seen *x = survey_get(s, session);
	if (!x)
		return;
	x->known = true;
	x->sequence = n;
	x->frozen_ns = (int64_t)frozen_ns;
}

/* Fills in what the state directory knows; nothing when that is damaged or not there. */
static void cache_read(struct survey *s)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CACHE_MAX);
	uint8_t sum[CACHE_SUM_BYTES];
	struct err ignored = ERR_INIT;
	char path[600];

	if (!s->r->state[0])
		return;
	cache_path(s, path);
	if (fd_read_file(AT_FDCWD, path, &b, &ignored) < 0 ||
	    b.len < strlen(CACHE_TITLE) + sizeof(sum) ||
	    memcmp(b.data, CACHE_TITLE, strlen(CACHE_TITLE)) != 0)
		return;
	b.len -= sizeof(sum);
	cache_sum(sum, &b, b.len);
	if (memcmp(sum, b.data + b.len, sizeof(sum)) != 0)
		return;
	b.data[b.len] = '\0';
	char *rest = (char *)b.data + strlen(CACHE_TITLE);
	for (char *line; (line = strsep(&rest, "\n"));)
		cache_line(s, line);
}

static void cache_write(const struct survey *s)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CACHE_MAX);
	uint8_t sum[CACHE_SUM_BYTES];
	struct err ignored = ERR_INIT;
	char path[600];

	if (!s->r->state[0])
		return;
	(void)buf_str(&b, CACHE_TITLE);
	for (size_t i = 0; i < s->n; i++) {
		const struct seen *x = &s->items[i];

		if (x->known && !x->bad && x->frozen_ns >= 0)
			(void)buf_printf(&b, "%s %llu %lld\n", x->session,
			                 (unsigned long long)x->sequence, (long long)x->frozen_ns);
	}
	cache_sum(sum, &b, b.len);
	(void)buf_put(&b, sum, sizeof(sum));
	cache_path(s, path);
	/* Without it the next call takes longer; nothing else. */
	if (!b.failed &&
	    fd_create_file(AT_FDCWD, path, b.data, b.len, 0600, FD_REPLACE, &ignored) < 0)
		(void)unlink(path);
}

/* ---- the points of one volume ---- */

/* What is wrong with the object itself, and not with the way to it. */
static bool is_of_object(const struct err *e)
{
	return e->class == ERR_CORRUPT || e->class == ERR_FORMAT || e->class == ERR_DENIED ||
	       e->class == ERR_NOT_FOUND;
}

static int seen_order(const struct seen *a, const struct seen *b)
{
	if (a->sequence != b->sequence)
		return a->sequence < b->sequence ? -1 : 1;
	if (a->received_ns != b->received_ns)
		return a->received_ns < b->received_ns ? -1 : 1;
	return strcmp(a->session, b->session);
}

/* The point of x was opened; it is likely to be asked for when it is the newest. */
static int keep_newest(struct survey *s, const struct seen *x, struct point *p, struct err *e)
{
	const struct seen *have = s->opened ? survey_get(s, s->opened->session) : NULL;

	if (have && seen_order(x, have) < 0)
		return 0;
	if (!s->opened)
		s->opened = calloc(1, sizeof(*s->opened));
	else
		point_clear(s->opened);
	if (!s->opened)
		return err_set(e, ERR_NOMEM, "no memory for a restore point");
	*s->opened = *p;
	*p = (struct point){ 0 };
	return 0;
}

/* Opens what is not known yet. */
static int survey_open(struct survey *s, bool use_cache, struct err *e)
{
	bool news = false;

	if (survey_list(s, e) < 0)
		return -1;
	if (use_cache)
		cache_read(s);
	for (size_t i = 0; i < s->n; i++) {
		CLEANUP(point_clear) struct point p = { 0 };
		struct seen *x = &s->items[i];
		struct err why = ERR_INIT;

		if (x->known)
			continue;
		if (cancel_check(s->r->cancel, e) < 0)
			return -1;
		news = true;
		x->known = true;
		if (repo_point_at(s->r, x->session, x->received_ns, &p, &why) == 0) {
			x->sequence = p.sequence;
			x->frozen_ns = p.frozen_ns;
			if (keep_newest(s, x, &p, e) < 0)
				return -1;
			continue;
		}
		if (!is_of_object(&why)) {
			*e = why;
			return -1;
		}
		x->bad = true;
		x->revoked = key_is_void(&why);
		if (!x->revoked)
			s->why = why;
	}
	if (news)
		cache_write(s);
	return 0;
}

static const struct seen *newest(const struct survey *s)
{
	const struct seen *best = NULL;

	for (size_t i = 0; i < s->n; i++) {
		const struct seen *x = &s->items[i];

		if (!x->bad && (!best || seen_order(x, best) > 0))
			best = x;
	}
	return best;
}

static const struct seen *newest_at(const struct survey *s, int64_t time_ns)
{
	const struct seen *best = NULL;

	for (size_t i = 0; i < s->n; i++) {
		const struct seen *x = &s->items[i];

		/* Times are shown in milliseconds, and a time that was shown finds its point. */
		if (x->bad || x->frozen_ns - x->frozen_ns % 1000000 > time_ns)
			continue;
		if (!best || x->frozen_ns > best->frozen_ns ||
		    (x->frozen_ns == best->frozen_ns && seen_order(x, best) > 0))
			best = x;
	}
	return best;
}

/* The point of x, when it is still what the survey says. 1: it is not. */
static int open_seen(struct survey *s, const struct seen *x, struct point *ret, struct err *e)
{
	struct err why = ERR_INIT;
	struct point p;

	if (s->opened && strcmp(s->opened->session, x->session) == 0) {
		*ret = *s->opened;
		free(STEAL(&s->opened));
		return 0;
	}
	if (repo_point_at(s->r, x->session, x->received_ns, &p, &why) < 0) {
		if (is_of_object(&why))
			return 1;
		*e = why;
		return -1;
	}
	if (p.sequence != x->sequence || p.frozen_ns != x->frozen_ns) {
		point_clear(&p);
		return 1;
	}
	*ret = p;
	return 0;
}

int repo_latest(const struct repo *r, const struct point_volume *v,
                const struct commit_list *commits, struct point *ret, struct err *e)
{
	CLEANUP(survey_clear) struct survey s = { .r = r, .commits = commits };
	char voltag[17];

	if (point_voltag(r->keys, v, voltag, e) < 0)
		return -1;
	s.voltag = voltag;
	for (int round = 0; round < 2; round++) {
		if (survey_open(&s, round == 0, e) < 0)
			return -1;
		const struct seen *best = newest(&s);
		if (!best)
			break;
		int got = open_seen(&s, best, ret, e);
		if (got <= 0)
			return got;
	}
	return err_set(e, ERR_NOT_FOUND, "there is no restore point of volume '%s'", v->name);
}

/* ---- volumes by name ---- */

/* "cluster/namespace/name" without the parts that are empty. */
struct label {
	char s[3 * POINT_NAME_MAX];
};

static struct label label_of(const struct point_volume *v)
{
	struct label l;

	(void)snprintf(l.s, sizeof(l.s), "%s%s%s%s%s", v->cluster, v->cluster[0] ? "/" : "",
	               v->namespace, v->namespace[0] ? "/" : "", v->name);
	return l;
}

/* True when text is the label, or its end after a '/'. */
static bool label_matches(const struct label *l, const char *text)
{
	size_t n = strlen(l->s);
	size_t m = strlen(text);

	return m > 0 && m <= n && strcmp(l->s + n - m, text) == 0 &&
	       (m == n || l->s[n - m - 1] == '/');
}

struct volumes {
	const struct repo *r;
	struct survey all;
	struct volume_seen {
		char voltag[17];
		struct point_volume v;
	} * items;
	size_t n;
	bool loaded;
	size_t unknown; /* volumes of which no commit opens */
};

static void volumes_clear(struct volumes *vs)
{
	survey_clear(&vs->all);
	free(vs->items);
}

static bool has_voltag(const struct volumes *vs, const char *voltag)
{
	for (size_t i = 0; i < vs->all.n; i++) {
		if (strncmp(vs->all.items[i].session + POINT_SESSION_VOLTAG, voltag, 16) == 0)
			return true;
	}
	return false;
}

static int by_voltag(const void *a, const void *b)
{
	const struct seen *x = a;
	const struct seen *y = b;

	int order = strncmp(x->session + POINT_SESSION_VOLTAG, y->session + POINT_SESSION_VOLTAG,
	                    16);
	return order ? order : strcmp(x->session, y->session);
}

/* The volume of the commits from..to (of one tag), from the last of them that opens. */
static int volume_learn(struct volumes *vs, size_t from, size_t to, struct err *e)
{
	for (size_t i = to; i > from; i--) {
		CLEANUP(point_clear) struct point p = { 0 };
		const struct seen *x = &vs->all.items[i - 1];
		struct err why = ERR_INIT;

		if (cancel_check(vs->r->cancel, e) < 0)
			return -1;
		if (repo_point_at(vs->r, x->session, x->received_ns, &p, &why) < 0) {
			if (is_of_object(&why))
				continue;
			*e = why;
			return -1;
		}
		struct volume_seen *v = &vs->items[vs->n++];
		memcpy(v->voltag, x->session + POINT_SESSION_VOLTAG, 16);
		v->voltag[16] = '\0';
		v->v = p.volume;
		return 0;
	}
	vs->unknown++;
	return 0;
}

static int volumes_load(struct volumes *vs, struct err *e)
{
	struct seen *items = vs->all.items;
	size_t tags = 0;

	if (vs->loaded)
		return 0;
	vs->loaded = true;
	if (vs->all.n > 0)
		qsort(items, vs->all.n, sizeof(*items), by_voltag);
	for (size_t i = 0; i < vs->all.n; i++)
		tags += i == 0 || strncmp(items[i].session + POINT_SESSION_VOLTAG,
		                          items[i - 1].session + POINT_SESSION_VOLTAG, 16) != 0;
	vs->items = calloc(tags ? tags : 1, sizeof(*vs->items));
	if (!vs->items)
		return err_set(e, ERR_NOMEM, "no memory for a list of %zu volumes", tags);
	for (size_t from = 0, to; from < vs->all.n; from = to) {
		for (to = from + 1; to < vs->all.n; to++) {
			if (strncmp(items[to].session + POINT_SESSION_VOLTAG,
			            items[from].session + POINT_SESSION_VOLTAG, 16) != 0)
				break;
		}
		if (volume_learn(vs, from, to, e) < 0)
			return -1;
	}
	return 0;
}

/* Adds a volume's name to a list in a message; "..." when there are too many. */
static void list_label(struct buf *b, const char *label, size_t *n)
{
	if (*n <= LISTED_MAX)
		(void)buf_printf(b, "%s%s", *n ? ", " : "", *n == LISTED_MAX ? "..." : label);
	(*n)++;
}

/* The tag of the volume whose whole name text is. 1, or 0 when there is none, or -1. */
static int find_whole(const struct volumes *vs, const char *text, char ret_voltag[17],
                      struct err *e)
{
	struct point_volume v = { 0 };

	if (strlen(text) >= 3 * POINT_NAME_MAX)
		return 0;
	if (strlen(text) < sizeof(v.name)) {
		(void)snprintf(v.name, sizeof(v.name), "%s", text);
		if (point_voltag(vs->r->keys, &v, ret_voltag, e) < 0)
			return -1;
		if (has_voltag(vs, ret_voltag))
			return 1;
	}
	const char *first = strchr(text, '/');
	const char *second = first ? strchr(first + 1, '/') : NULL;
	if (!second || strlen(second + 1) >= sizeof(v.name) ||
	    (size_t)(first - text) >= sizeof(v.cluster) ||
	    (size_t)(second - first - 1) >= sizeof(v.namespace))
		return 0;
	v = (struct point_volume){ 0 };
	memcpy(v.cluster, text, (size_t)(first - text));
	memcpy(v.namespace, first + 1, (size_t)(second - first - 1));
	(void)snprintf(v.name, sizeof(v.name), "%s", second + 1);
	if (point_voltag(vs->r->keys, &v, ret_voltag, e) < 0)
		return -1;
	return has_voltag(vs, ret_voltag);
}

/* The same for the end of a name. 1, 0, or -1: ambiguous, among others. */
static int find_end(struct volumes *vs, const char *text, char ret_voltag[17], struct err *e)
{
	CLEANUP(buf_clear) struct buf names = BUF_INIT(4 * KIB);
	size_t n = 0;

	if (volumes_load(vs, e) < 0)
		return -1;
	for (size_t i = 0; i < vs->n; i++) {
		struct label l = label_of(&vs->items[i].v);

		if (!label_matches(&l, text))
			continue;
		memcpy(ret_voltag, vs->items[i].voltag, 17);
		list_label(&names, l.s, &n);
	}
	if (n <= 1)
		return (int)n;
	return err_set(e, ERR_NOT_FOUND, "'%s' is ambiguous: there are %s; name one of them", text,
	               buf_cstr(&names));
}

static int name_not_found(const struct volumes *vs, const char *text, struct err *e)
{
	CLEANUP(buf_clear) struct buf names = BUF_INIT(4 * KIB);
	size_t n = 0;

	if (vs->all.n == 0)
		return err_set(e, ERR_NOT_FOUND,
		               "the repository in '%s' holds no restore point yet",
		               vs->r->store->url);
	for (size_t i = 0; i < vs->n; i++)
		list_label(&names, label_of(&vs->items[i].v).s, &n);
	if (vs->unknown > 0)
		(void)buf_printf(&names, "%sand %zu whose restore points cannot be opened",
		                 n ? ", " : "", vs->unknown);
	return err_set(e, ERR_NOT_FOUND, "there is no volume '%s' in the repository; there are: %s",
	               text, buf_cstr(&names));
}

/* ---- what the user's text names ---- */

/* The points of one volume that a message can offer: the last ones by time. */
static int offer(const struct survey *s, const char *name, const char *what, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4 * KIB);
	size_t n = 0;
	const struct seen *x = newest(s);

	while (x && n <= LISTED_MAX) {
		char text[64];
		const struct seen *next = NULL;

		(void)snprintf(text, sizeof(text), "%.8s (%s)", x->session + POINT_SESSION_RANDOM,
		               now_rfc3339(x->frozen_ns).s);
		list_label(&b, text, &n);
		for (size_t i = 0; i < s->n; i++) {
			const struct seen *y = &s->items[i];

			if (!y->bad && seen_order(y, x) < 0 && (!next || seen_order(y, next) > 0))
				next = y;
		}
		x = next;
	}
	return err_set(e, ERR_NOT_FOUND, "volume '%s' has no restore point %s; it has: %s", name,
	               what, n ? buf_cstr(&b) : "none that opens");
}

/* By the first digits of the id. */
static int find_id(const struct survey *s, const char *name, const char *id,
                   const struct seen **ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4 * KIB);
	const struct seen *found = NULL;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct seen *x = &s->items[i];

		if (strncasecmp(x->session + POINT_SESSION_RANDOM, id, strlen(id)) != 0)
			continue;
		found = x;
		list_label(&b, x->session + POINT_SESSION_RANDOM, &n);
	}
	if (n > 1)
		return err_set(e, ERR_NOT_FOUND,
		               "'%s@%s' is ambiguous: there are %s; give more digits", name, id,
		               buf_cstr(&b));
	if (!found) {
		char what[128];

		(void)snprintf(what, sizeof(what), "with the id '%.64s'", id);
		return offer(s, name, what, e);
	}
	*ret = found;
	return 0;
}

/*
 * Refuses when x may not be the point that is meant: another one, which does
 * not open, is of x's day or a later one, up to the last day that counts (NULL:
 * all do). 0 when there is none.
 */
static int refuse_if_damaged(const struct survey *s, const char *name, const struct seen *x,
                             const char *last_day, struct err *e)
{
	const size_t day = strlen("2026-11-22");

	for (size_t i = s->n; i > 0; i--) {
		const struct seen *y = &s->items[i - 1];

		if (!y->bad || y->revoked || (x && strncmp(y->session, x->session, day) < 0) ||
		    (last_day && strncmp(y->session, last_day, day) > 0))
			continue;
		return err_set(e, ERR_CORRUPT,
		               "the restore point of '%s' that is meant may be '%s', which does "
		               "not open (%s); name one that does, as %s@%.8s",
		               name, y->session, s->why.msg, name,
		               x ? x->session + POINT_SESSION_RANDOM : "ID");
	}
	return 0;
}

static int find_time(const struct survey *s, const char *name, const char *text,
                     const struct seen **ret, struct err *e)
{
	char what[128];
	int64_t time_ns;

	if (now_parse(text, &time_ns, e) < 0)
		return err_set(e, ERR_INVALID,
		               "'%s' names no restore point of '%s': use 'latest', an id of at "
		               "least %d digits, or a time such as 2026-11-22T10:04Z",
		               text, name, ID_LEAST);
	const struct seen *best = newest_at(s, time_ns);
	if (refuse_if_damaged(s, name, best, now_day(time_ns).s, e) < 0)
		return -1;
	*ret = best;
	if (best)
		return 0;
	(void)snprintf(what, sizeof(what), "at or before %s", now_rfc3339(time_ns).s);
	return offer(s, name, what, e);
}

static int find_latest(const struct survey *s, const char *name, const struct seen **ret,
                       struct err *e)
{
	const struct seen *best = newest(s);

	if (refuse_if_damaged(s, name, best, NULL, e) < 0)
		return -1;
	if (!best)
		return err_set(e, ERR_NOT_FOUND, "volume '%s' has no restore point", name);
	*ret = best;
	return 0;
}

static bool is_id(const char *text)
{
	size_t n = strlen(text);

	return n >= ID_LEAST && n <= 32 && strspn(text, "0123456789abcdefABCDEF") == n;
}

static int find_in(const struct volumes *vs, const char *voltag, const char *name,
                   const char *point, struct point *ret, struct err *e)
{
	const struct repo *r = vs->r;
	CLEANUP(survey_clear)
	struct survey s = { .r = r, .voltag = voltag, .live = true, .from = &vs->all };
	const struct seen *x = NULL;

	for (int round = 0; round < 2; round++) {
		int r_find;

		if (survey_open(&s, round == 0, e) < 0)
			return -1;
		if (!point || strcmp(point, "latest") == 0)
			r_find = find_latest(&s, name, &x, e);
		else if (is_id(point))
			r_find = find_id(&s, name, point, &x, e);
		else
			r_find = find_time(&s, name, point, &x, e);
		if (r_find < 0)
			return -1;
		int got = x->bad ? 1 : open_seen(&s, x, ret, e);
		if (got <= 0)
			return got;
	}
	return repo_point_at(r, x->session, x->received_ns, ret, e);
}

int repo_find(const struct repo *r, const char *text, struct point *ret, struct err *e)
{
	CLEANUP(volumes_clear) struct volumes vs = { .r = r, .all = { .r = r, .live = true } };
	const char *at = strrchr(text, '@');
	char voltag[17];

	if (!*text)
		return err_set(e, ERR_INVALID, "the name of a volume is missing");
	auto_free char *name = strndup(text, at ? (size_t)(at - text) : strlen(text));
	if (!name)
		return err_set(e, ERR_NOMEM, "no memory for a name");
	if (survey_list(&vs.all, e) < 0)
		return -1;
	/* A volume's name may hold an '@', so the whole text comes first. */
	int found = find_whole(&vs, text, voltag, e);
	if (found > 0)
		return find_in(&vs, voltag, text, NULL, ret, e);
	if (found == 0 && at)
		found = find_whole(&vs, name, voltag, e);
	if (found == 0 && at) {
		found = find_end(&vs, text, voltag, e);
		if (found > 0)
			return find_in(&vs, voltag, text, NULL, ret, e);
	}
	if (found == 0)
		found = find_end(&vs, name, voltag, e);
	if (found == 0)
		return name_not_found(&vs, name, e);
	if (found < 0)
		return -1;
	return find_in(&vs, voltag, name, at ? at + 1 : NULL, ret, e);
}
