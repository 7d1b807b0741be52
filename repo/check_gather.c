/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What there is by name: the state of the collection, commits, and statements
 * of expiry are read first, then session markers, the index and the packs are
 * listed. Writers go the other way, so that whatever a commit names was there
 * before it.
 */
#include <string.h>

#include "common/json.h"
#include "repo/check_impl.h"
#include "repo/crypt.h"
#include "repo/finals.h"
#include "repo/living.h"
#include "repo/note.h"
#include "repo/owner.h"
#include "repo/run_log.h"
#include "repo/session.h"

#define DOMAINS_MAX UINT16_MAX

/* ---- restore points ---- */

/* The domain's number, or -1 with e. ck->lock is held. */
static int domain_number(struct check *ck, const char *name, struct err *e)
{
	struct check_domain d = { 0 };

	for (size_t i = 0; i < ck->ndomains; i++) {
		if (strcmp(ck->domains[i].keys->name, name) == 0)
			return (int)i;
	}
	if (ck->ndomains == DOMAINS_MAX)
		return err_set(e, ERR_TOO_BIG, "more than %u dedup domains", DOMAINS_MAX);
	if (keys_domain(ck->repo->keys, name, &d.keys, e) < 0)
		return -1;
	crypt_hasher_init(&d.node, d.keys->node);
	if (d.keys->has_content)
		crypt_hasher_init(&d.id, d.keys->id);
	if (check_push(&ck->domains, &ck->ndomains, &ck->domains_cap, sizeof(d), &d, e) < 0) {
		secret_wipe(&d.id, sizeof(d.id));
		secret_wipe(&d.node, sizeof(d.node));
		secret_free(d.keys);
		return -1;
	}
	return (int)ck->ndomains - 1;
}

static char *volume_label(const struct point_volume *v)
{
	char *label = NULL;

	if (asprintf(&label, "%s%s%s%s%s", v->cluster, v->cluster[0] ? "/" : "", v->namespace,
	             v->namespace[0] ? "/" : "", v->name) < 0)
		return NULL;
	return label;
}

/* Notes what the check needs of a restore point. */
static int take_point_locked(struct check *ck, const struct point *p, unsigned domain,
                             struct err *e)
{
	struct check_point c = {
		.session = strdup(p->session),
		.volume = volume_label(&p->volume),
		.root = p->root,
		.entries = p->files + p->directories + p->others,
		.levels = p->levels,
		.domain = (uint16_t)domain,
	};

	c.root.kind = CHUNK_NODE;
	/* One that was missing when the point was made has been told of since then. */
	if (p->previous_session[0] && !p->previous_missing)
		c.previous = strdup(p->previous_session);
	if (!c.session || !c.volume ||
	    (p->previous_session[0] && !p->previous_missing && !c.previous) ||
	    check_push(&ck->points, &ck->npoints, &ck->points_cap, sizeof(c), &c, e) < 0) {
		free(c.session);
		free(c.volume);
		free(c.previous);
		return err_set(e, ERR_NOMEM, "no memory for the list of restore points");
	}
	return 0;
}

/* What is wrong with a commit becomes a finding. 0, or -1 when why is none. */
static int commit_bad(struct check *ck, const char *key, const char *what, const struct err *why,
                      struct err *e)
{
	if (key_is_void(why)) {
		atomic_fetch_add_explicit(&ck->revoked, 1, memory_order_relaxed);
		return 0;
	}
	if (!check_is_finding(why) && why->class != ERR_INVALID) {
		*e = *why;
		return -1;
	}
	if (why->class == ERR_NOT_FOUND)
		atomic_store(&ck->stale, true);
	check_find(ck, check_what_of(why), key, 0, "%s: %s", what, why->msg);
	return 0;
}

/* The store must show the config that points were made under. */
static void note_config_locked(struct check *ck, const struct point *p)
{
	if (p->config < ck->config ||
	    (p->config == ck->config && strcmp(p->session, ck->config_session) >= 0))
		return;
	ck->config = p->config;
	memcpy(ck->config_session, p->session, sizeof(ck->config_session));
}

static bool is_gone(const struct check *ck, const char *session)
{
	return expiry_is_gone(&ck->expiry, session) || session_names_has(&ck->gone, session);
}

static int read_point(struct check *ck, const struct commit_item *c, const char *key, struct err *e)
{
	CLEANUP(point_clear) struct point p = { 0 };
	struct err why = ERR_INIT;
	bool gone = is_gone(ck, c->session);
	int rc = repo_point_at(ck->repo, c->session, c->received_ns, &p, &why);

	if (rc == 0) {
		atomic_fetch_add_explicit(&ck->bytes_read, c->size, memory_order_relaxed);
		(void)pthread_mutex_lock(&ck->lock);
		note_config_locked(ck, &p);
		int domain = domain_number(ck, p.domain, &why);
		rc = domain < 0 ? -1 : 0;
		/* What an expired one needs may be gone; its domain is that of segments. */
		if (rc == 0 && !gone)
			rc = take_point_locked(ck, &p, (unsigned)domain, &why);
		ck->expired += gone;
		(void)pthread_mutex_unlock(&ck->lock);
	}
	if (rc == 0 || (gone && check_is_finding(&why)))
		return 0;
	return commit_bad(ck, key, "the restore point cannot be used", &why, e);
}

static int read_maintenance(struct check *ck, const struct commit_item *c, const char *key,
                            struct err *e)
{
	struct err why = ERR_INIT;
	char **segments;
	size_t n;

	if (session_segments(ck->repo, c->session, &segments, &n, &why) < 0)
		return commit_bad(ck, key, "the record of a collection does not open", &why, e);
	for (size_t i = 0; i < n; i++)
		free(segments[i]);
	free(segments);
	return 0;
}

static int read_commit(struct check *ck, const struct commit_item *c, struct err *e)
{
	struct err why = ERR_INIT;
	char key[NOTE_KEY_MAX];

	(void)snprintf(key, sizeof(key), "commit/%s", c->session);
	if (cancel_check(ck->repo->cancel, e) < 0)
		return -1;
	atomic_fetch_add_explicit(&ck->objects, 1, memory_order_relaxed);
	if (c->kind == COMMIT_POINT)
		return read_point(ck, c, key, e);
	if (c->kind == COMMIT_MAINTENANCE)
		return read_maintenance(ck, c, key, e);
	if (session_abort_verify(ck->repo, c->session, &why) < 0)
		return commit_bad(ck, key,
		                  "neither a restore point nor the end of a fenced session", &why,
		                  e);
	return 0;
}

static int read_commits(struct check_worker *w, struct err *e)
{
	struct check *ck = w->ck;
	const struct commit_list *l = &ck->view.commits;

	while (!atomic_load(&ck->stop)) {
		(void)pthread_mutex_lock(&ck->lock);
		size_t i = ck->next++;
		(void)pthread_mutex_unlock(&ck->lock);
		if (i >= l->n)
			break;
		if (read_commit(ck, &l->v[i], e) < 0)
			return err_wrap(e, "reading 'commit/%s'", l->v[i].session);
	}
	return 0;
}

static int by_session(const void *a, const void *b)
{
	return strcmp(((const struct check_point *)a)->session,
	              ((const struct check_point *)b)->session);
}

/*
 * A point that is not listed was expired, or was lost. One that a hold or a pin keeps may have been
 * taken all the same, when they came too late: then it is named by what a collection decided.
 */
static int is_lost(const struct check *ck, const char *session, bool *ret, struct err *e)
{
	CLEANUP(session_names_clear) struct session_names wanted = { 0 };
	CLEANUP(session_names_clear) struct session_names taken = { 0 };
	const struct commit_item *c = commit_list_find(&ck->view.commits, session);
	struct collection_state s;

	*ret = !(c && c->kind == COMMIT_POINT) && !is_gone(ck, session);
	if (!*ret || expiry_of(&ck->expiry, session) <= EXPIRY_PROPOSED)
		return 0;
	/* Of the collections until now: the list of commits is younger than what was seen then. */
	if (collection_state(ck->repo, &s, e) < 0 || session_names_add(&wanted, session, e) < 0 ||
	    finals_sessions(ck->repo, &s, &wanted, &taken, e) < 0)
		return err_wrap(e, "looking which points collections took");
	*ret = taken.n == 0;
	return 0;
}

/* Points that others follow, and those that were there at the last collection, must be there. */
static int look_for_lost(struct check *ck, struct err *e)
{
	CLEANUP(collection_list_clear) struct collection_list before = { 0 };
	const struct collection_state *s = &ck->view.collection;
	struct err why = ERR_INIT;
	char key[NOTE_KEY_MAX];
	bool lost;

	for (size_t i = 0; i < ck->npoints; i++) {
		const struct check_point *p = &ck->points[i];

		if (!p->previous)
			continue;
		if (is_lost(ck, p->previous, &lost, e) < 0)
			return -1;
		if (!lost)
			continue;
		(void)snprintf(key, sizeof(key), "commit/%s", p->previous);
		check_find(ck, CHECK_MISSING, key, 0,
		           "a restore point that was not expired is gone: '%s' of the same volume "
		           "follows it",
		           p->session);
	}
	if (!s->done_live)
		return 0;
	if (collection_get(ck->repo, s->done, COLLECTION_LIVE, &before, NULL, &why) < 0) {
		collection_key(s->done, COLLECTION_LIVE, key);
		return commit_bad(ck, key, "what was live at the last collection does not open",
		                  &why, e);
	}
	for (size_t i = 0; i < before.sessions.n; i++) {
		if (is_lost(ck, before.sessions.v[i], &lost, e) < 0)
			return -1;
		if (!lost)
			continue;
		(void)snprintf(key, sizeof(key), "commit/%s", before.sessions.v[i]);
		check_find(ck, CHECK_MISSING, key, 0,
		           "a restore point that was there at the last collection is gone, and was "
		           "not expired");
	}
	return 0;
}

/* Behind the last hold that is there nothing is missing, but for what a collection saw. */
static int note_seen_holds(struct check *ck, struct err *e)
{
	struct expiry_settled settled;
	struct err why = ERR_INIT;

	if (expiry_settled(ck->repo, &settled, &why) < 0) {
		/* It is told where collections are looked at. */
		if (note_is_bad(&why))
			return 0;
		*e = why;
		return -1;
	}
	if (settled.holds > ck->expiry.last_hold)
		ck->expiry.missing += settled.holds - ck->expiry.last_hold;
	return 0;
}

/* ---- collections ---- */

struct finals {
	struct check *ck;
	uint64_t next; /* generation whose `final` comes next */
};

static void tell_finals(struct finals *f, uint64_t end)
{
	char key[64];

	for (; f->next < end; f->next++) {
		collection_key(f->next, COLLECTION_FINAL, key);
		check_find(f->ck, CHECK_MISSING, key, 0,
		           "it is kept for ever, so that what was taken away is never relied on "
		           "again");
	}
}

static int take_final(void *arg, const struct store_item *item, struct err *e)
{
	struct finals *f = arg;
	enum collection_part part;
	uint64_t n;

	(void)e;
	if (!collection_key_parse(item->key, &n, &part) || part != COLLECTION_FINAL ||
	    n < f->next || n > f->ck->view.collection.done)
		return 0;
	tell_finals(f, n);
	f->next = n + 1;
	return 0;
}

/* Of each generation that is done it must be known what went. */
static int look_for_finals(struct check *ck, struct err *e)
{
	struct finals f = { .ck = ck, .next = 1 };

	if (ck->view.collection.done == 0)
		return 0;
	if (store_list(ck->repo->store, "ctl/gc/", NULL, take_final, &f, e) < 0)
		return err_wrap(e, "reading 'ctl/gc/'");
	tell_finals(&f, ck->view.collection.done + 1);
	return 0;
}

static int gather_points(struct check *ck, struct err *e)
{
	struct err why = ERR_INIT;

	if (view_load(ck->repo, &ck->view, &why) < 0) {
		if (!note_is_bad(&why)) {
			*e = why;
			return -1;
		}
		check_find(ck, CHECK_DAMAGED, "ctl/gc/", 0, "%s", why.msg);
		if (commit_list_load(ck->repo->store, &ck->view.commits, e) < 0)
			return -1;
	}
	/* After the commits: what went before they were listed was expired before. */
	if (expiry_load(ck->repo, 0, &ck->expiry, e) < 0 || note_seen_holds(ck, e) < 0)
		return -1;
	if (ck->expiry.missing > 0)
		check_find(ck, CHECK_MISSING, "tomb/", 0,
		           "%llu statements of expiry or holds are missing in the order of numbers",
		           (unsigned long long)ck->expiry.missing);
	if (ck->view.commits.foreign > 0)
		check_find(ck, CHECK_MISMATCH, "commit/", 0,
		           "%llu objects have names that no restore point has",
		           (unsigned long long)ck->view.commits.foreign);
	if (marker_list_load(ck->repo->store, &ck->markers, e) < 0 ||
	    living_gone(ck->repo, &ck->view.collection, &ck->view.commits, &ck->markers, &ck->gone,
	                e) < 0 ||
	    check_pool(ck, read_commits, 0, NULL, e) < 0)
		return -1;
	if (ck->npoints > 0)
		qsort(ck->points, ck->npoints, sizeof(*ck->points), by_session);
	return look_for_finals(ck, e) < 0 ? -1 : look_for_lost(ck, e);
}

/* ---- config ---- */

static int bad_revision(void *arg, const char *key, const char *text, struct err *e)
{
	(void)e;
	check_find(arg, CHECK_MISMATCH, key, 0, "%s", text);
	return 0;
}

static int gather_config(struct check *ck, struct err *e)
{
	const struct repo *r = ck->repo;
	char key[32];

	if (ck->config > r->params.revision) {
		config_key(ck->config, key);
		check_find(ck, CHECK_MISSING, key, 0,
		           "restore point '%s' was made under this revision of the config, and the "
		           "newest that the store shows is %llu: it hides or lost what was changed "
		           "of the keys",
		           ck->config_session, (unsigned long long)r->params.revision);
	}
	for (size_t i = 0; i < r->keys->nsigners; i++) {
		const struct key_signer *s = &r->keys->signers[i];

		if (s->lost)
			check_find(
				ck, CHECK_DAMAGED, s->nlists ? s->lists[0].object : "ctl/revoked/",
				0,
				"what counts of the revoked key '%s' cannot be read, so nobody can "
				"say whether what it signed does; 'key revoke' makes another list",
				s->name);
	}
	return config_chain(r->store, r->keys, bad_revision, ck, e);
}

/* ---- notes ---- */

struct note_ctx {
	struct check *ck;
	const struct note_place *place;
};

static int open_note(void *arg, const struct store_item *item, struct err *e)
{
	CLEANUP(buf_clear) struct buf list = BUF_INIT(NOTE_LIST_MAX);
	const struct note_ctx *c = arg;
	const struct repo *r = c->ck->repo;
	auto_json json_t *o = NULL;
	struct err why = ERR_INIT;
	const char kind = c->place->kind;

	if (cancel_check(r->cancel, e) < 0)
		return -1;
	int rc = c->place->list ? note_get_list(r, kind, item->key, &o, &list, NULL, &why)
	                        : note_get(r, kind, item->key, &o, NULL, &why);
	atomic_fetch_add_explicit(&c->ck->objects, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&c->ck->bytes_read, item->st.size, memory_order_relaxed);
	/* These come and go at any time. */
	if (rc == 0 || why.class == ERR_NOT_FOUND)
		return 0;
	return commit_bad(c->ck, item->key, "it does not open", &why, e);
}

static int gather_notes(struct check *ck, struct err *e)
{
	for (size_t i = 0; i < NOTE_PLACES; i++) {
		const struct note_place *p = &note_places[i];
		struct note_ctx c = { .ck = ck, .place = p };

		if (ck->params->level < 2 && !(ck->expiry.bad > 0 && strcmp(p->prefix, "sess/")))
			continue;
		if (store_list(ck->repo->store, p->prefix, NULL, open_note, &c, e) < 0)
			return err_wrap(e, "reading '%s'", p->prefix);
	}
	return 0;
}

/* ---- chains ---- */

struct chains {
	struct check *ck;
	char prefix[NOTE_KEY_MAX]; /* of the chain that the listing is at */
	uint64_t next;             /* number that comes */
};

/* Of each chain all numbers must be there (repo/chain.h); the first that is not is named. */
static int take_link(void *arg, const struct store_item *item, struct err *e)
{
	struct chains *x = arg;
	const char *name = strrchr(item->key, '/') + 1;
	size_t len = (size_t)(name - item->key) - 1;
	char key[NOTE_KEY_MAX];
	uint64_t n;

	if (cancel_check(x->ck->repo->cancel, e) < 0)
		return -1;
	if (!note_number(name, &n) || len >= sizeof(x->prefix))
		return 0;
	if (strncmp(x->prefix, item->key, len) != 0 || x->prefix[len]) {
		(void)snprintf(x->prefix, sizeof(x->prefix), "%.*s", (int)len, item->key);
		x->next = 1;
	}
	if (n > x->next) {
		note_number_key(x->prefix, x->next, key);
		check_find(x->ck, CHECK_MISSING, key, 0,
		           "%llu records are gone that '%s' follows: they stay for ever",
		           (unsigned long long)(n - x->next), item->key);
	}
	x->next = n + 1;
	return 0;
}

static int look_for_links(struct check *ck, struct err *e)
{
	static const char *const prefixes[] = { OWNER_PREFIX "/", RUN_LOG_PREFIX "/" };

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		struct chains x = { .ck = ck };

		if (store_list(ck->repo->store, prefixes[i], NULL, take_link, &x, e) < 0)
			return err_wrap(e, "reading '%s'", prefixes[i]);
	}
	return 0;
}

static void count_open(struct check *ck, struct check_result *result)
{
	result->open_sessions = 0;
	for (size_t i = 0; i < ck->markers.n; i++)
		result->open_sessions += !commit_list_find(&ck->view.commits,
		                                           ck->markers.v[i].session);
}

/* ---- all of it ---- */

int check_gather(struct check *ck, struct check_result *result, struct err *e)
{
	if (gather_points(ck, e) < 0 || gather_config(ck, e) < 0 || gather_notes(ck, e) < 0 ||
	    look_for_links(ck, e) < 0)
		return -1;
	count_open(ck, result);
	return check_index(ck, result, e);
}
