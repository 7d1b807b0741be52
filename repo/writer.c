/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backup: sets the stages up, joins the source with the previous tree,
 * builds the new tree, and commits. See writer.h for the picture and
 * writer_impl.h for what flows between the stages.
 */
#include "repo/writer.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/hex.h"
#include "common/now.h"
#include "repo/adopt.h"
#include "repo/expiry.h"
#include "repo/fence.h"
#include "repo/probe.h"
#include "repo/session.h"
#include "repo/single.h"
#include "repo/writer_impl.h"

#define PAGE_CACHE_DEFAULT (2 * (uint64_t)GIB)
#define LEVEL_DEFAULT 3

int job_fail(struct job *j, const struct err *e)
{
	sealer_fail(j->sealer, e);
	return -1;
}

void job_problem(struct job *j, const struct entry *n, enum entry_state state, const char *why)
{
	struct point *p = j->point;
	char text[128] = "";

	if (state == ENTRY_GONE && j->params->still) {
		state = ENTRY_UNREADABLE;
		why = "vanished from a view that nobody may change";
	}
	(void)pthread_mutex_lock(&j->lock);
	switch (state) {
	case ENTRY_GONE:
		p->gone++;
		break;
	case ENTRY_CHANGED:
		p->changed++;
		why = "changed while it was read";
		break;
	case ENTRY_OK:
	case ENTRY_UNREADABLE:
		p->unreadable++;
		if (!why)
			why = strerror_r(n->os, text, sizeof(text));
		break;
	}
	if (state != ENTRY_GONE)
		(void)point_problem_add(p, n->path, n->path_len, why);
	(void)pthread_mutex_unlock(&j->lock);
	if (j->params->counts && state != ENTRY_GONE)
		atomic_fetch_add(&j->params->counts->errors, 1);
}

void job_beat(struct job *j)
{
	if (!j->params->dry_run)
		session_pulse(&j->pulse);
}

/* Uploaders call it when new segments are on the store: a fenced session need not go on. */
static int checkpoint(void *arg, struct err *e)
{
	struct job *j = arg;
	enum session_end end;

	if (session_look(j->repo, j->point->session, &end, e) < 0)
		return -1;
	if (end == SESSION_OPEN)
		return 0;
	return err_set(e, ERR_BUSY,
	               "this session was fenced: 'commit/%s' was taken by another; start it again, "
	               "what it uploaded is used",
	               j->point->session);
}

/* ---- links ---- */

static size_t link_slot(const struct job *j, uint64_t ino)
{
	return (ino * UINT64_C(0x9e3779b97f4a7c15)) >> 20 & (j->links_cap - 1);
}

static int links_grow(struct job *j, struct err *e)
{
	size_t cap = j->links_cap ? 2 * j->links_cap : 256;
	struct link **old = j->links;
	size_t n = j->links_cap;

	j->links = calloc(cap, sizeof(struct link *));
	if (!j->links) {
		j->links = old;
		return err_set(e, ERR_NOMEM, "no memory for hard links");
	}
	j->links_cap = cap;
	for (size_t i = 0; i < n; i++)
		for (struct link *l = old[i], *next; l; l = next) {
			size_t at = link_slot(j, l->ino);

			next = l->next;
			l->next = j->links[at];
			j->links[at] = l;
		}
	free(old);
	return 0;
}

static void link_free(struct link *l)
{
	free(l->path);
	free(l);
}

static bool link_is(const struct link *l, const struct entry_stat *st)
{
	return l->ino == st->ino && l->type == (st->mode & S_IFMT) && l->size == st->size &&
	       l->mtime.s == st->mtime.s && l->mtime.ns == st->mtime.ns;
}

/*
 * The file's entry, made when this is its first name: about 150 bytes for a file with several
 * names. A number whose file looks different by now may be that of a new file (numbers are given
 * again at once): that starts an entry of its own, and no name gets the content of another file.
 */
static int link_of(struct job *j, struct item *it, bool *ret_first, struct err *e)
{
	const struct entry *n = it->n;

	if (j->nlinks >= j->links_cap && links_grow(j, e) < 0)
		return -1;
	size_t at = link_slot(j, n->st.ino);
	struct link *l;
	for (l = j->links[at]; l && !link_is(l, &n->st); l = l->next)
		it->apart |= l->ino == n->st.ino;
	*ret_first = !l;
	if (!l) {
		l = calloc(1, sizeof(*l));
		if (!l || !(l->path = malloc(n->path_len + 1))) {
			free(l);
			return err_set(e, ERR_NOMEM, "no memory for hard links");
		}
		memcpy(l->path, n->path, n->path_len);
		l->path_len = n->path_len;
		l->ino = n->st.ino;
		l->type = n->st.mode & S_IFMT;
		l->size = n->st.size;
		l->mtime = n->st.mtime;
		l->next = j->links[at];
		j->links[at] = l;
		j->nlinks++;
	} else {
		it->apart = false;
	}
	it->link = l;
	return 0;
}

/* ---- groups ---- */

static void batch_unref(struct job *j, struct batch_ref *b)
{
	if (atomic_fetch_sub(&b->refs, 1) > 1)
		return;
	j->source->ops->batch_free(j->source, b->batch);
	free(b);
}

void group_free(struct group *g)
{
	struct job *j;

	if (!g)
		return;
	j = g->job;
	for (size_t i = 0; i < g->n; i++)
		entry_detail_clear(&g->items[i].detail);
	for (size_t i = 0; i < g->nleaves; i++)
		leaf_unref(g->leaves[i]);
	if (g->data) {
		(void)pthread_mutex_lock(&j->lock);
		j->free_data[j->nfree_data++] = g->data;
		(void)pthread_mutex_unlock(&j->lock);
	}
	batch_unref(j, g->batch);
	free(g->leaves);
	free(g);
}

static struct group *group_new(struct job *j, struct batch_ref *b, size_t max, struct err *e)
{
	struct group *g = calloc(1, sizeof(*g) + max * sizeof(struct item));

	/* A group's entries lie in few leaves; at worst each in one of its own. */
	if (!g || !(g->leaves = calloc(max, sizeof(struct leaf *)))) {
		free(g);
		(void)err_set(e, ERR_NOMEM, "no memory for reading ahead");
		return NULL;
	}
	g->job = j;
	g->batch = b;
	atomic_fetch_add(&b->refs, 1);
	return g;
}

/* A buffer for the group's small contents: recycled, as many as groups can be under way. */
static int group_data(struct group *g, struct err *e)
{
	struct job *j = g->job;

	(void)pthread_mutex_lock(&j->lock);
	if (j->nfree_data)
		g->data = j->free_data[--j->nfree_data];
	(void)pthread_mutex_unlock(&j->lock);
	if (!g->data)
		g->data = malloc(GROUP_DATA);
	return g->data ? 0 : err_set(e, ERR_NOMEM, "no memory for reading ahead");
}

static int group_hold(struct group *g, struct item *it, struct leaf *l)
{
	it->leaf = l;
	if (g->nleaves == 0 || g->leaves[g->nleaves - 1] != l)
		g->leaves[g->nleaves++] = leaf_ref(l);
	return 0;
}

/* ---- join ---- */

/* Moves the old tree on to the first entry that is not before the path. */
static int old_at(struct job *j, const struct entry *n, struct err *e)
{
	while (!j->old_ended) {
		if (j->old && !j->old->position) {
			int c = source_path_cmp(j->old->path, j->old->path_len, n->path,
			                        n->path_len);

			if (c >= 0)
				return 0;
		}
		if (tree_next(j->join_tree, &j->old, &j->old_leaf, e) < 0) {
			/* What cannot be read cannot be reused; the backup goes on and heals it. */
			if (e->class == ERR_CANCELLED || e->class == ERR_NOMEM)
				return -1;
			*e = (struct err)ERR_INIT;
			j->old = NULL;
			if (!tree_skip_damaged(j->join_tree))
				j->old_ended = true;
			continue;
		}
		if (!j->old)
			j->old_ended = true;
	}
	return 0;
}

/*
 * Which chunks of a leaf hold little that is still wanted: small files that
 * share them are better written anew. Judged by the stretch of the chunk that
 * this leaf uses, because its neighbours may use the rest.
 */
static bool chunk_is_sparse(struct job *j, size_t chunk)
{
	struct leaf *l = j->old_leaf;

	if (j->density_leaf != l) {
		struct {
			uint64_t used, from, to;
		} *u = calloc(l->nchunks + 1, sizeof(*u));
		bool *sparse = reallocarray(j->sparse_chunks, l->nchunks + 1, sizeof(bool));

		if (sparse)
			j->sparse_chunks = sparse;
		if (!u || !sparse) {
			free(u);
			return false;
		}
		for (size_t i = 0; i < l->nrecords; i++)
			for (size_t k = 0; k < l->records[i].nextents; k++) {
				const struct extent *x = &l->records[i].extents[k];

				if (x->chunk < 0)
					continue;
				if (u[x->chunk].used == 0 || x->off < u[x->chunk].from)
					u[x->chunk].from = x->off;
				if (x->off + x->len > u[x->chunk].to)
					u[x->chunk].to = x->off + x->len;
				u[x->chunk].used += x->len;
			}
		for (size_t c = 0; c < l->nchunks; c++)
			sparse[c] = u[c].to - u[c].from > PAYLOAD_MIN &&
			            u[c].used < (u[c].to - u[c].from) / 2;
		free(u);
		leaf_unref(j->density_leaf);
		j->density_leaf = leaf_ref(l);
	}
	return j->sparse_chunks[chunk];
}

static bool same_time(const struct timestamp *a, const struct timestamp *b)
{
	return a->s == b->s && a->ns == b->ns;
}

/* Whether this session may refer to all chunks of the record. */
static bool all_known(const struct record *r, const struct leaf *leaf)
{
	for (size_t i = 0; i < r->nextents; i++) {
		if (r->extents[i].chunk >= 0 && chunk_absent(&leaf->chunks[r->extents[i].chunk]))
			return false;
	}
	return true;
}

/* Whether the old record's content and details still hold. */
static bool unchanged(struct job *j, const struct entry *n, const struct record *old)
{
	const struct entry_stat *a = &n->st, *b = &old->st;

	if (j->params->force || (old->flags & (RECORD_CHANGED | RECORD_HARDLINK)) ||
	    !all_known(old, j->old_leaf))
		return false;
	if ((a->mode & S_IFMT) != (b->mode & S_IFMT) || a->ino != b->ino ||
	    !same_time(&a->mtime, &b->mtime) || (S_ISREG(a->mode) && a->size != b->size))
		return false;
	if (!j->params->ignore_ctime && !same_time(&a->ctime, &b->ctime))
		return false;
	/* The entry of a large file is on its way before it is known that the rest was read. */
	if ((old->flags & RECORD_CONTINUED) &&
	    point_problem_has(&j->previous, n->path, n->path_len))
		return false;
	/* A time in the file's own last granule may hide a later change of the same granule. */
	return S_ISREG(a->mode) || S_ISDIR(a->mode) || S_ISLNK(a->mode) || a->mode == b->mode;
}

/* What to do with one entry. Small contents are read ahead as long as the group has room. */
static int decide(struct job *j, struct group *g, struct item *it, struct err *e)
{
	struct entry *n = it->n;
	const struct record *old = NULL;
	bool first = true;

	if (n->state != ENTRY_OK && !(n->state == ENTRY_UNREADABLE && S_ISDIR(n->st.mode))) {
		it->action = DO_SKIP;
		return 0;
	}
	if (n->path_len > FORMAT_PATH_MAX) {
		it->action = DO_SKIP;
		(void)err_set(&it->why, ERR_TOO_BIG, "the path is over %d bytes long",
		              FORMAT_PATH_MAX);
		return 0;
	}
	if (n->state == ENTRY_UNREADABLE)
		job_problem(j, n, ENTRY_UNREADABLE, NULL);
	if (n->st.nlink > 1 && !S_ISDIR(n->st.mode) && !n->block) {
		if (link_of(j, it, &first, e) < 0)
			return -1;
		if (!first) {
			it->action = DO_LINK;
			return 0;
		}
	}
	if (j->join_tree) {
		if (old_at(j, n, e) < 0)
			return -1;
		if (!j->old_ended &&
		    source_path_cmp(j->old->path, j->old->path_len, n->path, n->path_len) == 0) {
			old = j->old;
			it->old = old;
			(void)group_hold(g, it, j->old_leaf);
		}
	}
	if (old && unchanged(j, n, old)) {
		bool small = S_ISREG(n->st.mode) && n->st.size < SMALL_FILE && old->nextents == 1 &&
		             old->extents[0].chunk >= 0;

		/* Without ctime, attributes and rights may have changed unseen. */
		if (!(small && chunk_is_sparse(j, (size_t)old->extents[0].chunk)) &&
		    !(j->params->ignore_ctime && !S_ISREG(n->st.mode))) {
			it->action = DO_REUSE;
			return 0;
		}
	}
	if (!S_ISREG(n->st.mode)) {
		it->action = DO_STAT;
	} else if (n->block || n->st.size >= SMALL_FILE) {
		it->action = DO_BIG;
	} else {
		it->action = DO_SMALL;
		g->planned += n->st.size;
	}
	return 0;
}

static int send_group(struct job *j, struct group *g, struct err *e)
{
	bool read = false, small = false;

	for (size_t i = 0; i < g->n; i++) {
		read |= g->items[i].action == DO_STAT || g->items[i].action == DO_SMALL;
		small |= g->items[i].action == DO_SMALL;
	}
	/* Also for files that were empty when they were listed: they may have grown. */
	if (small && group_data(g, e) < 0) {
		group_free(g);
		return -1;
	}
	g->done = !read;
	/* The assembler may free the group as soon as it is done, so it is queued first. */
	if (!queue_push(&j->groups, g)) {
		group_free(g);
		return err_set(e, ERR_CANCELLED, "the backup has failed elsewhere");
	}
	if (read && !sealer_task(j->sealer, writer_read_group, g))
		return err_set(e, ERR_CANCELLED, "the backup has failed elsewhere");
	return 0;
}

static int join_batch(struct job *j, struct batch *batch, struct err *e)
{
	struct batch_ref *b = malloc(sizeof(*b));
	struct group *g = NULL;
	int rc = 0;

	if (!b) {
		j->source->ops->batch_free(j->source, batch);
		return err_set(e, ERR_NOMEM, "no memory for reading ahead");
	}
	b->batch = batch;
	atomic_init(&b->refs, 1);
	for (size_t i = 0; rc == 0 && i < batch->n; i++) {
		struct entry *n = &batch->entries[i];
		bool small = S_ISREG(n->st.mode) && n->st.size < SMALL_FILE;

		if (g && small && g->planned + n->st.size > GROUP_DATA) {
			rc = send_group(j, STEAL(&g), e);
			if (rc < 0)
				break;
		}
		if (!g && !(g = group_new(j, b, batch->n - i, e))) {
			rc = -1;
			break;
		}
		g->items[g->n].n = n;
		rc = decide(j, g, &g->items[g->n], e);
		g->n++;
	}
	if (g && rc == 0)
		rc = send_group(j, STEAL(&g), e);
	if (g)
		group_free(g);
	batch_unref(j, b);
	return rc;
}

static void *join_main(void *arg)
{
	struct job *j = arg;
	struct err e = ERR_INIT;
	struct batch *batch;
	int rc = 0;

	(void)prctl(PR_SET_NAME, "join");
	while (rc == 0) {
		job_beat(j);
		rc = cancel_check(j->repo->cancel, &e);
		if (rc == 0)
			rc = j->source->ops->next(j->source, &batch, &e);
		if (rc == 0 && !batch)
			break;
		if (rc == 0)
			rc = join_batch(j, batch, &e);
	}
	if (rc < 0)
		sealer_fail(j->sealer, &e);
	queue_close(&j->groups);
	return NULL;
}

static void *assemble_main(void *arg)
{
	struct job *j = arg;
	struct err e = ERR_INIT;

	(void)prctl(PR_SET_NAME, "assemble");
	if (writer_assemble(j, &e) < 0)
		sealer_fail(j->sealer, &e);
	queue_close(&j->spans);
	return NULL;
}

/* ---- tree ---- */

static int build_span(struct job *j, struct span *s, struct err *e)
{
	for (size_t i = 0; i < s->n; i++) {
		struct wrecord *w = &s->records[i];

		for (size_t k = 0; k < w->npending; k++)
			if (!sealer_wait(j->sealer, w->pending[k]))
				return sealer_error(j->sealer, e);
		if (tree_builder_add(j->builder, &w->r, w->list, w->base, e) < 0)
			return -1;
	}
	return 0;
}

static void *tree_main(void *arg)
{
	struct job *j = arg;
	struct err e = ERR_INIT;
	struct span *s;
	bool any = false;

	(void)prctl(PR_SET_NAME, "tree");
	while ((s = queue_pop(&j->spans))) {
		atomic_fetch_sub(&j->spans_waiting, 1);
		if (!sealer_failed(j->sealer) && build_span(j, s, &e) < 0)
			sealer_fail(j->sealer, &e);
		any = true;
		span_free(s);
	}
	if (any && !sealer_failed(j->sealer) &&
	    tree_builder_finish(j->builder, &j->point->root, &j->point->levels, &e) < 0)
		sealer_fail(j->sealer, &e);
	return NULL;
}

/* ---- the job ---- */

static void wake_all(void *arg)
{
	struct job *j = arg;

	queue_close(&j->groups);
	queue_close(&j->spans);
	(void)pthread_mutex_lock(&j->lock);
	(void)pthread_cond_broadcast(&j->group_done);
	(void)pthread_mutex_unlock(&j->lock);
}

/*
 * A store that shows an older state than this machine has made: the new point
 * names what it should follow, so that the chain goes on over what was expired,
 * and a gap can be seen by everyone.
 */
static int look_back(struct job *j, struct err *e)
{
	CLEANUP(expiry_clear) struct expiry x = { 0 };
	const struct local *l = &j->local;
	struct point *to = j->point;

	if (!l->head[0] || commit_list_find(&j->view.commits, l->head) ||
	    (j->has_previous && j->previous.sequence >= l->sequence))
		return 0;
	/* One that was expired, and taken away by a collection, is not missed. */
	if (expiry_load(j->repo, 0, &x, e) < 0)
		return err_wrap(e, "looking whether the previous restore point was expired");
	to->previous_missing = !expiry_is_gone(&x, l->head);
	to->sequence = l->sequence + 1;
	(void)snprintf(to->previous_session, sizeof(to->previous_session), "%s", l->head);
	memcpy(to->previous_hash, l->hash, sizeof(to->previous_hash));
	return 0;
}

static int open_previous(struct job *j, struct err *e)
{
	struct err why = ERR_INIT;

	if (repo_latest(j->repo, j->params->volume, &j->view.commits, &j->previous, &why) == 0) {
		j->has_previous = true;
	} else if (why.class != ERR_NOT_FOUND) {
		*e = why;
		return -1;
	}
	if (look_back(j, e) < 0)
		return -1;
	/* Another domain has other ids: nothing of it can be shared. */
	if (!j->has_previous || strcmp(j->previous.domain, j->params->domain) != 0)
		return 0;
	if (tree_open(j->repo, &j->previous, &j->join_tree, e) < 0 ||
	    tree_open(j->repo, &j->previous, &j->big_tree, e) < 0)
		return err_wrap(e, "opening the previous restore point");
	/* A point whose view has no name is nobody's base. */
	j->based = j->params->base_session && j->source->ops->changed &&
	           j->previous.capture.token[0] &&
	           strcmp(j->params->base_session, j->previous.session) == 0;
	return 0;
}

/* Whether the session of a run that died can be gone on with. */
static int can_continue(struct job *j, const char *voltag, unsigned *ret_beats, bool *ret,
                        struct err *e)
{
	const char *session = j->local.session;
	struct session_info info;
	struct err ignored = ERR_INIT;
	enum session_end end;
	bool marker;

	*ret = false;
	if (!session[0] || strncmp(session + POINT_SESSION_VOLTAG, voltag, 16) != 0)
		return 0;
	if (session_look(j->repo, session, &end, e) < 0 ||
	    session_last_beat(j->repo, session, ret_beats, &marker, e) < 0)
		return -1;
	*ret = end == SESSION_OPEN && marker &&
	       session_info(j->repo, session, &info, &ignored) == 0 &&
	       strcmp(info.domain, j->params->domain) == 0;
	return 0;
}

/* Registers a session. In single-writer mode it must be the only one. */
static int begin_session(struct job *j, struct err *e)
{
	char session[96];
	struct err ignored = ERR_INIT;

	if (session_begin(j->repo, j->params->volume, j->params->domain, session, e) < 0)
		return err_wrap(e, "registering the session");
	/* One that began at the same time sees this one, as this one sees it. */
	if (j->single && single_check(j->repo, session, j->params->take_over, e) < 0) {
		(void)!single_fence(j->repo, session, "another is open", &ignored);
		return -1;
	}
	memcpy(j->point->session, session, sizeof(j->point->session));
	return 0;
}

/* Goes on under the session of a run that died, or registers a new one. */
static int open_session(struct job *j, const char *voltag, struct err *e)
{
	unsigned beats = 0;
	bool go_on;

	if (j->params->dry_run)
		return 0;
	local_open(j->repo, voltag, &j->local);
	if (probe_writer(j->repo, &j->single, e) < 0 ||
	    can_continue(j, voltag, &beats, &go_on, e) < 0)
		return -1;
	if (j->single &&
	    single_check(j->repo, go_on ? j->local.session : NULL, j->params->take_over, e) < 0)
		return -1;
	if (go_on) {
		memcpy(j->point->session, j->local.session, sizeof(j->point->session));
		/* It may have been silent for long. */
		session_pulse_start(&j->pulse, j->repo, j->point->session, beats, true);
		job_beat(j);
		return 0;
	}
	if (begin_session(j, e) < 0)
		return -1;
	session_pulse_start(&j->pulse, j->repo, j->point->session, 0, false);
	memcpy(j->local.session, j->point->session, sizeof(j->local.session));
	local_save(&j->local);
	return 0;
}

/* What the session may rely on, in the order of docs/CONCURRENCY.md. */
static int open_view(struct job *j, struct err *e)
{
	const struct repo *r = j->repo;
	char voltag[17];
	uint64_t adopted;

	if (point_voltag(r->keys, j->params->volume, voltag, e) < 0 ||
	    open_session(j, voltag, e) < 0 || view_load(r, &j->view, e) < 0 ||
	    open_previous(j, e) < 0 ||
	    index_open_lazily(r->store, r->keys, j->domain, r->state[0] ? r->state : NULL, &j->view,
	                      r->cancel, &j->index, e) < 0)
		return -1;
	if (j->join_tree) {
		tree_use_index(j->join_tree, j->index);
		tree_use_index(j->big_tree, j->index);
	}
	if (j->params->dry_run)
		return 0;
	const struct segment_writer_params p = {
		.store = r->store,
		.keys = r->keys,
		.domain = j->domain,
		.session = j->point->session,
		.learned = index_learned,
		.arg = j->index,
	};
	if (segment_writer_new(&p, &j->segments, e) < 0)
		return -1;
	return adopt_run(r, j->domain, &j->view, j->index, j->segments, voltag, &adopted, e);
}

static int open_job(struct job *j, struct err *e)
{
	const struct repo *r = j->repo;
	const struct writer_params *p = j->params;
	char dir[640];
	uint8_t key[32];
	unsigned threads = p->threads;

	if (keys_domain(r->keys, p->domain, &j->domain, e) < 0)
		return -1;
	if (r->keys->kind != KEY_AGENT || !j->domain->has_content || !r->keys->has_sign)
		return err_set(e, ERR_DENIED, "this key cannot write; backups need the agent key");
	crypt_hasher_init(&j->hasher, j->domain->id);
	chunker_init(&j->chunker, j->domain->cut, r->params.cut_min, r->params.cut_avg,
	             r->params.cut_max);
	if (fence_refuse(r, p->volume, p->epoch, e) < 0 || open_view(j, e) < 0)
		return -1;
	if (r->state[0]) {
		uint64_t cap = p->page_cache_bytes ? p->page_cache_bytes : PAGE_CACHE_DEFAULT;

		(void)snprintf(dir, sizeof(dir), "%s/pages-%s", r->state, j->domain->tag_hex);
		key_kdf(key, j->domain->id, "page cache", NULL, 0);
		j->pages = pages_open(dir, key, cap);
		secret_wipe(key, sizeof(key));
	}
	if (!threads) {
		long cpus = sysconf(_SC_NPROCESSORS_ONLN);

		threads = cpus < 1 ? 1 : cpus > 8 ? 8 : (unsigned)cpus;
	}
	struct sealer_params sp = {
		.domain = j->domain,
		.index = j->index,
		.pages = j->pages,
		.chunker = &j->chunker,
		.level = p->level ? p->level : LEVEL_DEFAULT,
		.verify = p->verify_encode,
		.dry_run = p->dry_run,
		.threads = threads,
		.counts = p->counts,
		.segments = j->segments,
		.checkpoint = checkpoint,
		.arg = j,
	};
	if (sealer_open(r, &sp, &j->sealer, e) < 0)
		return -1;
	sealer_on_failure(j->sealer, wake_all, j);
	j->sink = (struct tree_sink){ .put = sealer_put_node, .arg = j->sealer };
	j->builder = tree_builder_new(j->domain, &j->sink);
	/* Groups that wait, and those in the hands of the join, the pool and the assembler. */
	j->free_data = calloc(2 * GROUPS_MAX, sizeof(*j->free_data));
	if (!j->builder || !j->free_data || queue_init(&j->groups, GROUPS_MAX) < 0 ||
	    queue_init(&j->spans, SPANS_MAX) < 0)
		return err_set(e, ERR_NOMEM, "no memory for the pipeline");
	j->small.align = 1;
	j->pages_payload.align = FORMAT_PAGE_BYTES;
	j->pages_payload.with_pages = true;
	return 0;
}

static void close_job(struct job *j)
{
	struct group *g;
	struct span *s;
	struct err e = ERR_INIT;

	/* Whatever is left is of no use: the pool must not go on with it. */
	if (j->sealer) {
		(void)err_set(&e, ERR_CANCELLED, "the backup has ended");
		sealer_fail(j->sealer, &e);
	}
	/* Open chunks give their references back before their buffers go. */
	sealer_pending_unref(j->small.chunk);
	sealer_pending_unref(j->pages_payload.chunk);
	sealer_free(j->sealer);
	if (j->groups.ring)
		while ((g = queue_try_pop(&j->groups)))
			group_free(g);
	group_free(j->stuck);
	if (j->spans.ring)
		while ((s = queue_try_pop(&j->spans)))
			span_free(s);
	span_free(j->span);
	queue_clear(&j->groups);
	queue_clear(&j->spans);
	for (size_t i = 0; i < j->links_cap; i++)
		for (struct link *l = j->links[i], *next; l; l = next) {
			next = l->next;
			link_free(l);
		}
	free(j->links);
	for (size_t i = 0; i < j->nfree_data; i++)
		free(j->free_data[i]);
	free(j->free_data);
	leaf_unref(j->density_leaf);
	free(j->sparse_chunks);
	tree_builder_free(j->builder);
	delta_free(j->delta);
	free(j->window);
	tree_free(j->join_tree);
	tree_free(j->big_tree);
	pages_close(j->pages);
	segment_writer_free(j->segments);
	index_free(j->index);
	view_clear(&j->view);
	local_close(&j->local);
	if (j->has_previous)
		point_clear(&j->previous);
	secret_wipe(&j->hasher, sizeof(j->hasher));
	secret_wipe(&j->chunker, sizeof(j->chunker));
	secret_free(j->domain);
	(void)pthread_mutex_destroy(&j->lock);
	(void)pthread_cond_destroy(&j->group_done);
}

/* Runs the stages to their end. */
static int run(struct job *j, struct err *e)
{
	static void *(*const mains[])(void *) = { join_main, assemble_main, tree_main };
	pthread_t threads[ARRAY_LEN(mains)];
	size_t n = 0;

	for (; n < ARRAY_LEN(mains); n++)
		if (pthread_create(&threads[n], NULL, mains[n], j) != 0) {
			(void)err_set(e, ERR_NOMEM, "no thread for the pipeline");
			(void)job_fail(j, e);
			break;
		}
	for (size_t i = 0; i < n; i++)
		(void)pthread_join(threads[i], NULL);
	return sealer_finish(j->sealer, e);
}

/* What became of the source's claims, and whether such lists are to be believed. */
static void fill_changes(const struct job *j, struct capture_changes *ret)
{
	const struct capture_changes *before = &j->previous.capture.changes;

	*ret = (struct capture_changes){ 0 };
	if (j->has_previous)
		ret->distrusted = before->distrusted;
	if (!j->based)
		return;
	*ret = j->changes;
	memcpy(ret->base_session, j->previous.session, sizeof(ret->base_session));
	ret->compared = j->params->compare;
	ret->unread_points = ret->compared || j->params->force ? 0 : before->unread_points + 1;
	ret->distrusted = ret->compared_bytes ? ret->wrong_bytes > 0 : before->distrusted;
}

static int fill_point(struct job *j, struct err *e)
{
	const struct writer_params *p = j->params;
	struct point *to = j->point;
	struct sealer_totals totals;
	uint8_t random[16];

	sealer_totals(j->sealer, &totals);
	to->volume = *p->volume;
	(void)snprintf(to->domain, sizeof(to->domain), "%s", p->domain);
	(void)snprintf(to->consistency, sizeof(to->consistency), "%s", p->consistency);
	(void)snprintf(to->driver, sizeof(to->driver), "%s", p->driver);
	(void)snprintf(to->agent, sizeof(to->agent), "aksdr %s", AKSDR_VERSION);
	if (gethostname(to->host, sizeof(to->host) - 1) < 0)
		to->host[0] = '\0';
	if (p->set) {
		(void)snprintf(to->set, sizeof(to->set), "%s", p->set);
	} else {
		secret_random(random, sizeof(random));
		hex_encode(to->set, random, sizeof(random));
	}
	const char *id = strrchr(to->session, '-');
	(void)snprintf(to->id, sizeof(to->id), "%s", id ? id + 1 : "");
	if ((p->all_read && p->all_read(p->arg, e) < 0) ||
	    (p->capture && capture_copy(p->capture, &to->capture, e) < 0))
		return -1;
	fill_changes(j, &to->capture.changes);
	to->frozen_ns = p->frozen_ns ? p->frozen_ns : to->started_ns;
	to->finished_ns = now_wall_ns();
	to->config = j->repo->params.revision;
	to->epoch = p->epoch;
	if (!j->has_previous && !to->previous_session[0])
		to->sequence = 1;
	if (j->has_previous && !to->previous_session[0]) {
		to->sequence = j->previous.sequence + 1;
		(void)snprintf(to->previous_session, sizeof(to->previous_session), "%s",
		               j->previous.session);
		memcpy(to->previous_hash, j->previous.hash, sizeof(to->previous_hash));
	}
	to->bytes_read = atomic_load(&j->bytes_read);
	to->bytes_new = totals.new_bytes;
	to->bytes_stored = totals.stored_bytes;
	if (p->dry_run)
		return 0;
	if (segment_flush(j->segments, e) < 0)
		return -1;
	segment_names(j->segments, &to->index, &to->nindex);
	return 0;
}

/* Remembers how it ended. A fenced session is over; a run that failed can be gone on with. */
static void remember(struct job *j, int rc, const struct err *e)
{
	struct local *l = &j->local;
	const struct point *p = j->point;

	/* One that was refused before it began leaves what an earlier run has left. */
	if (j->params->dry_run || (rc < 0 && (e->class != ERR_BUSY || !p->session[0])))
		return;
	l->session[0] = '\0';
	if (rc == 0) {
		(void)snprintf(l->head, sizeof(l->head), "%s", p->session);
		l->sequence = p->sequence;
		memcpy(l->hash, p->hash, sizeof(l->hash));
	}
	local_save(l);
}

/*
 * A run that fails leaves what it uploaded findable, when it can: the packs
 * that are on the store get a segment, and the next run uses them. Where there
 * is one writer at a time, its session is not left open for others to trip over.
 */
static void leave_findable(struct job *j, const struct err *why)
{
	struct err ignored = ERR_INIT;

	if (why->class == ERR_BUSY || why->class == ERR_DENIED)
		return;
	if (j->segments)
		(void)!segment_flush(j->segments, &ignored);
	if (!j->single || !j->point->session[0] ||
	    single_fence(j->repo, j->point->session, "the run failed", &ignored) < 0)
		return;
	j->local.session[0] = '\0';
	local_save(&j->local);
}

/*
 * What has changed of the config since the repository was opened: before the commit, so that a
 * site that was fenced does not make what will not count, and behind it, so that nobody is told
 * that a point was made that does not: who revokes or fences lists the points after it is said.
 */
static int still_counts(const struct job *j, bool committed, struct err *e)
{
	CLEANUP(config_clear) struct config newer = { 0 };
	const struct repo *r = j->repo;
	int rc = config_newer(r->store, r->keys, r->params.revision, &newer, e);

	if (rc != 0)
		return rc < 0 ? err_wrap(e, "looking whether this site may still write") : 0;
	if (fence_recheck(r, &newer, j->point, committed, e) < 0)
		return -1;
	if (!committed || !config_revokes(&newer, r->keys->sign_public))
		return 0;
	return err_set(e, ERR_DENIED,
	               "this agent key was revoked while the backup ran: restore point '%s' was "
	               "made, and will not count; run it again with a new key file",
	               j->point->session);
}

/* A session that may not commit any more is ended, so that nobody has to wait for it. */
static int may_commit(const struct job *j, struct err *e)
{
	struct err ignored = ERR_INIT;
	enum session_end end;

	if (still_counts(j, false, e) == 0)
		return 0;
	if (fence_is(e))
		(void)!session_abort(j->repo, j->point->session, "its site was fenced", &end,
		                     &ignored);
	return -1;
}

/* The newest point that this machine made of the volume, or that there is; -1: none. */
static int previous_point(const struct repo *r, const struct point_volume *volume,
                          struct point *ret, struct err *e)
{
	CLEANUP(commit_list_clear) struct commit_list commits = { 0 };
	struct local l;
	struct err why = ERR_INIT;
	char voltag[17];

	if (point_voltag(r->keys, volume, voltag, e) < 0)
		return -1;
	local_open(r, voltag, &l);
	bool known = l.head[0] && repo_point(r, l.head, ret, &why) == 0;
	local_close(&l);
	if (known)
		return 0;
	return commit_list_load(r->store, &commits, e) < 0
	               ? -1
	               : repo_latest(r, volume, &commits, ret, e);
}

int writer_previous(const struct repo *r, const struct point_volume *volume, const char *domain,
                    struct writer_previous *ret, struct err *e)
{
	CLEANUP(point_clear) struct point p = { 0 };
	struct writer_previous found = { 0 };
	struct err why = ERR_INIT;

	if (previous_point(r, volume, &p, &why) < 0) {
		if (why.class != ERR_NOT_FOUND) {
			*e = why;
			return err_wrap(e, "looking for the previous restore point");
		}
		*ret = found;
		return 0;
	}
	found.distrusted = p.capture.changes.distrusted;
	found.unread_points = p.capture.changes.unread_points;
	if (strcmp(p.domain, domain) == 0) {
		memcpy(found.session, p.session, sizeof(found.session));
		memcpy(found.token, p.capture.token, sizeof(found.token));
		memcpy(found.driver, p.driver, sizeof(found.driver));
	}
	*ret = found;
	return 0;
}

int writer_backup(const struct repo *r, struct source *source, const struct writer_params *params,
                  struct point *ret, struct err *e)
{
	auto_point struct point *p = calloc(1, sizeof(*p));
	struct job j = {
		.repo = r, .params = params, .source = source, .point = p, .local = { .lock = -1 }
	};
	int rc;

	if (!p)
		return err_set(e, ERR_NOMEM, "no memory for a restore point");
	(void)pthread_mutex_init(&j.lock, NULL);
	(void)pthread_cond_init(&j.group_done, NULL);
	p->started_ns = now_wall_ns();
	rc = open_job(&j, e);
	if (rc == 0)
		rc = run(&j, e);
	if (rc == 0 && p->levels == 0)
		rc = p->nproblems > 0
		             ? err_set(e, ERR_IO, "nothing was read: %.500s", p->problems[0].why)
		             : err_set(e, ERR_INVALID, "the source has no root: nothing was read");
	if (rc == 0)
		rc = fill_point(&j, e);
	if (rc == 0 && !params->dry_run)
		rc = may_commit(&j, e);
	if (rc == 0 && !params->dry_run)
		rc = local_forget(&j.local, e);
	if (rc == 0 && !params->dry_run)
		rc = session_commit(r, p, e);
	if (rc == 0 && !params->dry_run)
		index_committed(j.index, p->session);
	if (rc == 0 && !params->dry_run)
		rc = still_counts(&j, true, e);
	if (rc < 0)
		leave_findable(&j, e);
	remember(&j, rc, e);
	close_job(&j);
	if (rc < 0)
		return -1;
	*ret = *p;
	memset(p, 0, sizeof(*p));
	return 0;
}
