/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that a store lists, with lengths and times. Each line of the input is
 * an object: KEY [SIZE [SECONDS]]; what is no key is left out, and no object
 * has any content. Whatever the names are, lists of sessions, the state of the
 * collection, statements and the index come out in order or are refused.
 */
#include "common/num.h"
#include "repo/check.h"
#include "repo/commits.h"
#include "repo/expiry.h"
#include "repo/index.h"
#include "repo/segment.h"
#include "repo/session.h"
#include "repo/view.h"
#include "tests/fuzz/fuzz_repo.h"

#define ITEMS_MAX 64
#define RECEIVED_MAX_S UINT64_C(7258118400) /* what store.h allows: the year 2200 */

/* A store that has these names. */
struct names_store {
	struct store base;
	struct store_item items[ITEMS_MAX];
	size_t n;
};

static const struct store_item *find(const struct names_store *s, const char *key)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->items[i].key, key) == 0)
			return &s->items[i];
	}
	return NULL;
}

static int names_put(struct store *s, const char *key, const struct iovec *iov, int niov,
                     struct err *e)
{
	(void)s;
	(void)key;
	(void)iov;
	(void)niov;
	return err_set(e, ERR_DENIED, "this store is read only");
}

static int names_get(struct store *s, const char *key, uint64_t off, void *p, size_t n,
                     struct err *e)
{
	(void)off;
	(void)p;
	(void)n;
	if (find((const struct names_store *)s, key))
		return err_set(e, ERR_CORRUPT, "the object ends early");
	return err_set(e, ERR_NOT_FOUND, "no such object");
}

static int names_head(struct store *s, const char *key, struct store_stat *ret, struct err *e)
{
	const struct store_item *x = find((const struct names_store *)s, key);

	if (!x)
		return err_set(e, ERR_NOT_FOUND, "no such object");
	*ret = x->st;
	return 0;
}

static int names_list(struct store *s, const char *prefix, const char *after,
                      int (*each)(void *arg, const struct store_item *item, struct err *e),
                      void *arg, struct err *e)
{
	const struct names_store *x = (const struct names_store *)s;

	for (size_t i = 0; i < x->n; i++) {
		if (strncmp(x->items[i].key, prefix, strlen(prefix)) != 0 ||
		    strcmp(x->items[i].key, after) <= 0)
			continue;
		int rc = each(arg, &x->items[i], e);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
	}
	return 0;
}

static int names_delete(struct store *s, const char *key, struct err *e)
{
	(void)s;
	(void)key;
	return err_set(e, ERR_DENIED, "this store is read only");
}

static void names_free(struct store *s)
{
	(void)s;
}

static const struct store_ops ops = {
	.name = "names",
	.put = names_put,
	.get = names_get,
	.head = names_head,
	.list = names_list,
	.del = names_delete,
	.free = names_free,
};

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct store_item *)a)->key, ((const struct store_item *)b)->key);
}

static void take_line(struct names_store *s, char *line)
{
	struct store_item *x = &s->items[s->n];
	struct err ignored = ERR_INIT;
	uint64_t received_s = 0;
	const char *key = strsep(&line, " ");
	const char *size = strsep(&line, " ");

	*x = (struct store_item){ 0 };
	if (!store_key_valid(key) || find(s, key))
		return;
	memcpy(x->key, key, strlen(key) + 1);
	if (size && num_u64("size", size, 0, UINT64_MAX, &x->st.size, &ignored) < 0)
		x->st.size = strlen(size);
	if (line && num_u64("time", line, 0, RECEIVED_MAX_S, &received_s, &ignored) < 0)
		received_s = RECEIVED_MAX_S;
	x->st.received_ns = (int64_t)received_s * 1000000000;
	s->n++;
}

static void sessions(const struct repo *r)
{
	CLEANUP(commit_list_clear) struct commit_list commits = { 0 };
	CLEANUP(marker_list_clear) struct marker_list markers = { 0 };
	struct err e = ERR_INIT;

	works(commit_list_load(r->store, &commits, &e));
	for (size_t i = 0; i < commits.n; i++) {
		const struct commit_item *c = &commits.v[i];
		enum session_end end;
		struct point p = { 0 };

		holds(point_session_valid(c->session));
		holds(i == 0 || strcmp(c[-1].session, c->session) < 0);
		holds(commit_list_find(&commits, c->session) == c);
		works(session_look(r, c->session, &end, &e));
		holds(end == (c->kind == COMMIT_ABORT ? SESSION_ABORTED : SESSION_COMMITTED));
		if (repo_point(r, c->session, &p, &e) < 0)
			fuzz_refused(&e, FUZZ_BAD);
		e = ERR_INIT;
	}
	works(marker_list_load(r->store, &markers, &e));
	for (size_t i = 0; i < markers.n; i++) {
		const struct marker_item *m = &markers.v[i];
		unsigned last;
		bool there;

		holds(point_session_valid(m->session) && m->alive_ns >= m->received_ns);
		holds(i == 0 || strcmp(m[-1].session, m->session) < 0);
		holds(marker_list_find(&markers, m->session) == m);
		works(session_last_beat(r, m->session, &last, &there, &e));
		holds(there && last >= m->last_beat);
		enum segment_state state = view_segment(&commits, &markers, m->session);
		holds(state != SEGMENT_VOID || commit_list_find(&commits, m->session));
	}
}

static void statements(const struct repo *r)
{
	CLEANUP(expiry_clear) struct expiry x = { 0 };
	struct collection_state s;
	struct err e = ERR_INIT;

	works(expiry_load(r, 0, &x, &e));
	holds(x.ntombs == 0 && x.nholds == 0 && x.npins == 0);
	x.now_ns = (int64_t)RECEIVED_MAX_S * 1000000000;
	holds(expiry_of(&x, FUZZ_SESSION) == EXPIRY_LIVE);
	if (collection_state(r, &s, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_CORRUPT));
		return;
	}
	holds(!s.open || s.open > s.done);
	holds(s.open ? s.open_parts != 0 : s.open_parts == 0);
	holds(s.finals <= s.done && (s.done || !s.done_live));
}

static int each_void(void *arg, const char *name, const char *key, struct err *e)
{
	char session[96];

	(void)arg;
	(void)e;
	holds(segment_session(name, session) && point_session_valid(session));
	holds(store_key_valid(key));
	return 0;
}

static void segments(const struct repo *r, const struct domain_keys *domain)
{
	CLEANUP(view_clear) struct view view = { 0 };
	struct index *x = NULL;
	struct chunk_ref ref;
	struct err e = ERR_INIT;
	static const uint8_t id[32] = { 1 };

	if (view_load(r, &view, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_CORRUPT));
		return;
	}
	works(index_open(r->store, r->keys, domain, NULL, &view, NULL, &x, &e));
	holds(!index_lookup(x, id, &ref));
	works(index_each_void(x, each_void, NULL, &e));
	index_free(x);
}

static int problem(void *arg, const struct check_problem *p, struct err *e)
{
	(void)e;
	++*(uint64_t *)arg;
	holds(*p->object && *p->text && *check_what_name(p->what));
	return 0;
}

static void check(const struct repo *r, unsigned level)
{
	uint64_t told = 0;
	const struct check_params params = {
		.level = level, .threads = 1, .problem = problem, .arg = &told
	};
	struct check_result result;
	struct err e = ERR_INIT;

	if (check_run(r, &params, &result, &e) < 0)
		/* A list that is another one each time looks like collections at work. */
		fuzz_refused(&e, FUZZ_CLASS(ERR_CORRUPT) | FUZZ_CLASS(ERR_BUSY));
	else
		holds(result.points == 0 && result.problems == told);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char url[] = "names:";
	static struct names_store s = { .base = { .ops = &ops, .url = url } };
	static struct repo r;
	static struct domain_keys *domain;
	const uint8_t *line;
	size_t n;
	struct point p = { 0 };
	struct err e = ERR_INIT;

	if (!r.store) {
		r = fuzz_repo_new();
		store_free(r.store);
		r.store = &s.base;
		domain = fuzz_domain(r.keys);
	}
	s.n = 0;
	while (s.n < ITEMS_MAX && fuzz_piece(&data, &size, '\n', &line, &n)) {
		auto_free char *text = fuzz_text(line, n);

		take_line(&s, text);
	}
	qsort(s.items, s.n, sizeof(s.items[0]), by_key);
	sessions(&r);
	statements(&r);
	segments(&r, domain);
	if ((s.n & 3) == 0)
		check(&r, s.n >> 2 & 1);
	holds(repo_find(&r, FUZZ_VOLUME, &p, &e) < 0);
	fuzz_refused(&e, FUZZ_BAD | FUZZ_CLASS(ERR_NOT_FOUND));
	return 0;
}
