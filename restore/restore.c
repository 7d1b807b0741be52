/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking a point's tree: directories are made on the way down, what is in
 * them goes to windows, and they are left, in the order of the walk, once what
 * is below them is done. Hard links wait as well, for the file that they link
 * to. Flags that forbid changes come in a second walk, if there are any.
 */
#include "restore/restore.h"

#include <limits.h>
#include <string.h>

#include "common/now.h"
#include "repo/crypt.h"
#include "restore/restore_impl.h"

/* ---- paths ---- */

int restore_path(char *path, struct err *e)
{
	char *to = path;

	for (const char *s = path; *s;) {
		size_t n = strcspn(s, "/");

		if (n == 2 && s[0] == '.' && s[1] == '.')
			return err_set(e, ERR_INVALID,
			               "'..' means nothing in the paths of a volume");
		if (n > 0 && !(n == 1 && s[0] == '.')) {
			if (to != path)
				*to++ = '/';
			memmove(to, s, n);
			to += n;
		}
		s += n;
		s += strspn(s, "/");
	}
	*to = '\0';
	return 0;
}

/* Length of the directory part: "a/b/c" gives 3, "a" and "" give 0. */
size_t path_parent_len(const char *path, size_t len)
{
	while (len > 0 && path[len - 1] != '/')
		len--;
	return len > 0 ? len - 1 : 0;
}

const char *path_name(const char *path, size_t len)
{
	while (len > 0 && path[len - 1] != '/')
		len--;
	return path + len;
}

/* True when path is dir or lies below it. */
bool path_within(const char *path, size_t len, const char *dir, size_t dir_len)
{
	return len >= dir_len && memcmp(path, dir, dir_len) == 0 &&
	       (dir_len == 0 || len == dir_len || path[dir_len] == '/');
}

/* Is the path, which is no directory, part of what is restored? */
bool restore_selected(const struct restore *x, const char *path, size_t len)
{
	if (x->params->select)
		return select_has(x->params->select, path, len, false);
	for (size_t i = 0; i < x->params->npaths; i++) {
		const char *p = x->params->paths[i];

		if (path_within(path, len, p, strlen(p)))
			return true;
	}
	return x->params->npaths == 0;
}

int restore_no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "no memory for restoring");
}

int restore_open_aux(struct restore *x, struct err *e)
{
	if (x->aux)
		return 0;
	if (tree_open(x->repo, x->point, &x->aux, e) < 0)
		return -1;
	if (x->nodes)
		tree_use_cache(x->aux, x->nodes);
	return 0;
}

int restore_later(struct restore *x, struct later *l, struct err *e)
{
	struct err why = ERR_INIT;

	if (l->kind == LATER_LEAVE)
		return dirs_leave(x, l, e);
	if (x->target->ops->link(x->target, &x->worker, &l->place, &l->to, &why) == 0) {
		atomic_fetch_add(&x->report->hardlinks, 1);
		restore_progress(x, 0, 1);
		return 0;
	}
	/* What it links to was not in the point, or in a part of it that is lost. */
	if (why.class == ERR_NOT_FOUND && x->params->on_corrupt == CORRUPT_SKIP) {
		report_gap(x->report, GAP_ENTRY, l->rec->path, l->rec->path_len, NULL, 0, 0, 0,
		           why.msg);
		return 0;
	}
	*e = why;
	if (why.class == ERR_NOT_FOUND)
		e->class = ERR_CORRUPT;
	return -1;
}

/* ---- entries ---- */

int restore_entry(struct restore *x, const struct record *r, struct leaf *leaf, struct err *e)
{
	bool made = false;

	if (r->flags & RECORD_CHANGED)
		report_changed(x->report, r->path, r->path_len);
	if (r->fsflags & META_PINS)
		x->pins = true;
	if (r->flags & RECORD_HARDLINK)
		return links_add(x, r, leaf, e);
	const struct target_parent *dir =
		window_dir(x->now, r->path, path_parent_len(r->path, r->path_len), &x->next_id);
	if (!dir)
		return restore_no_memory(e);
	const struct target_place at = { .dir = dir, .name = path_name(r->path, r->path_len) };
	if (S_ISREG(r->st.mode))
		return fill_file(x, &at, r, leaf, e);
	if (!x->compare && x->target->ops->make(x->target, &x->worker, &at, r, &made, e) < 0)
		return -1;
	if (S_ISLNK(r->st.mode))
		atomic_fetch_add(&x->report->symlinks, 1);
	else if (made || x->compare)
		atomic_fetch_add(&x->report->others, 1);
	restore_progress(x, 0, 1);
	return 0;
}

int restore_root(struct restore *x, const struct record *r, struct err *e)
{
	struct frame *root = &x->frames[0];

	if (!S_ISDIR(r->st.mode))
		return err_set(e, ERR_FORMAT, "the point's root is no directory");
	if (r->fsflags & META_PINS)
		x->pins = true;
	free(root->meta);
	root->meta = dir_meta_new(r);
	if (!root->meta)
		return restore_no_memory(e);
	atomic_fetch_add(&x->report->directories, 1);
	return 0;
}

int restore_go(struct restore *x, const char *path, size_t len, struct err *e)
{
	if (window_full(x->now) && fill_submit(x, e) < 0)
		return -1;
	return dirs_climb(x, path, len, e) < 0 ? -1 : dirs_enter_missing(x, path, len, e);
}

static int do_record(struct restore *x, const struct record *r, struct leaf *leaf, struct err *e)
{
	if (cancel_check(x->repo->cancel, e) < 0)
		return -1;
	if (r->position > 0)
		return fill_more(x, r, leaf, e);
	if (fill_end(x, e) < 0)
		return -1;
	if (x->target->ops->whole) {
		static const struct target_parent none = { .path = "" };
		const struct target_place at = { .dir = &none, .name = "" };

		return fill_file(x, &at, r, leaf, e);
	}
	if (r->path_len == 0)
		return restore_root(x, r, e);
	if (restore_go(x, r->path, r->path_len, e) < 0 || dirs_remember(x, r, e) < 0)
		return -1;
	if (!S_ISDIR(r->st.mode))
		return restore_entry(x, r, leaf, e);
	if (r->fsflags & META_PINS)
		x->pins = true;
	if (dirs_enter(x, r->path, r->path_len, r, e) < 0)
		return -1;
	atomic_fetch_add(&x->report->directories, 1);
	restore_progress(x, 0, 1);
	return 0;
}

/* do_record() for what is wanted of it. */
static int do_wanted(struct restore *x, const struct record *r, struct leaf *leaf, struct err *e)
{
	struct select *s = x->params->select;

	if (s && r->position == 0)
		x->unwanted = !select_has(s, r->path, r->path_len, S_ISDIR(r->st.mode));
	return x->unwanted ? 0 : do_record(x, r, leaf, e);
}

/* ---- the walk ---- */

typedef int record_fn(struct restore *x, const struct record *r, struct leaf *leaf, struct err *e);

/* Where the walk is, for saying what a damaged node may have held. */
struct walk {
	char *last; /* path of the last record */
	size_t last_len, last_cap;
	bool open; /* nodes were skipped since */
	struct err why;
};

static void walk_clear(struct walk *w)
{
	free(w->last);
}

static int walk_at(struct walk *w, const struct record *r, struct err *e)
{
	if (r->path_len + 1 > w->last_cap) {
		size_t cap = 2 * (r->path_len + 64);
		char *p = realloc(w->last, cap);

		if (!p)
			return restore_no_memory(e);
		w->last = p;
		w->last_cap = cap;
	}
	memcpy(w->last, r->path, r->path_len);
	w->last[r->path_len] = '\0';
	w->last_len = r->path_len;
	return 0;
}

static void walk_gap(struct restore *x, struct walk *w, const char *until, size_t until_len)
{
	if (!w->open)
		return;
	report_gap(x->report, GAP_TREE, w->last ? w->last : "", w->last_len, until, until_len, 0, 0,
	           w->why.msg);
	w->open = false;
}

/* A node could not be read. 0: go on behind it, 1: nothing is behind it, -1: the end. */
static int walk_damage(struct restore *x, struct walk *w, const struct err *why, struct err *e)
{
	bool skip = x->params->on_corrupt == CORRUPT_SKIP && restore_is_loss(why);
	bool more = skip && tree_skip_damaged(x->tree);

	if (!skip || (!more && !w->last)) {
		*e = *why;
		if (restore_is_loss(why))
			e->class = ERR_CORRUPT;
		if (!w->last)
			return err_wrap(e, "reading the point's tree");
		return err_wrap(e, "reading the point's tree after '%.*s'", (int)w->last_len,
		                w->last);
	}
	w->open = x->damaged = true;
	w->why = *why;
	return more ? 0 : 1;
}

/* Calls fn for the records of one selected path (root NULL: of the whole tree). */
static int walk_path(struct restore *x, const char *root, record_fn *fn, struct err *e)
{
	CLEANUP(walk_clear) struct walk w = { .why = ERR_INIT };
	size_t root_len = root ? strlen(root) : 0;
	struct err why = ERR_INIT;
	bool seeking = true;

	for (;;) {
		const struct record *r = NULL;
		struct leaf *leaf = NULL;
		int rc = seeking ? tree_seek(x->tree, root, root_len, &why) : 0;

		seeking = false;
		if (rc == 0)
			rc = tree_next(x->tree, &r, &leaf, &why);
		if (rc < 0) {
			int next = walk_damage(x, &w, &why, e);

			why = (struct err)ERR_INIT;
			if (next < 0)
				return -1;
			if (next == 0)
				continue;
			r = NULL;
		}
		/* A damaged node may have put the walk before the path. */
		if (r && root && source_path_cmp(r->path, r->path_len, root, root_len) < 0)
			continue;
		if (!r || (root && !path_within(r->path, r->path_len, root, root_len))) {
			walk_gap(x, &w, r ? r->path : "", r ? r->path_len : 0);
			return 0;
		}
		walk_gap(x, &w, r->path, r->path_len);
		if (walk_at(&w, r, e) < 0)
			return -1;
		/* Kept across the call, which may send windows off and take its time. */
		leaf_ref(leaf);
		rc = fn(x, r, leaf, e);
		leaf_unref(leaf);
		if (rc < 0)
			return -1;
	}
}

static int walk_all(struct restore *x, record_fn *fn, struct err *e)
{
	if (x->params->npaths == 0)
		return walk_path(x, NULL, fn, e);
	for (size_t i = 0; i < x->params->npaths; i++) {
		const char *p = x->params->paths[i];

		if (walk_path(x, *p ? p : NULL, fn, e) < 0 || fill_end(x, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- flags that forbid changes ---- */

static int pin_record(struct restore *x, const struct record *r, struct leaf *leaf, struct err *e)
{
	size_t dir_len = path_parent_len(r->path, r->path_len);

	(void)leaf;
	if (x->params->select &&
	    !select_has(x->params->select, r->path, r->path_len, S_ISDIR(r->st.mode)))
		return 0;
	if (!(r->fsflags & META_PINS) || r->position > 0 || r->flags & RECORD_HARDLINK ||
	    (!S_ISREG(r->st.mode) && !S_ISDIR(r->st.mode)))
		return 0;
	auto_free char *dir = strndup(r->path, dir_len);
	if (!dir)
		return restore_no_memory(e);
	const struct target_parent d = { .id = ++x->next_id, .path = dir, .len = dir_len };
	const struct target_place at = { .dir = &d, .name = path_name(r->path, r->path_len) };
	return x->target->ops->pin(x->target, &x->worker, &at, r, e);
}

/* ---- all of it ---- */

static int check_selection(struct restore *x, struct err *e)
{
	/* Of patterns only those who went through the tree know whether they fit something. */
	for (size_t i = 0; !x->params->select && i < x->params->npaths; i++) {
		const struct record *r;
		struct leaf *leaf;
		const char *p = x->params->paths[i];
		struct err why = ERR_INIT;

		if (restore_open_aux(x, e) < 0)
			return -1;
		if (tree_lookup(x->aux, p, strlen(p), &r, &leaf, &why) < 0 &&
		    !(restore_is_loss(&why) && why.class != ERR_NOT_FOUND &&
		      x->params->on_corrupt == CORRUPT_SKIP)) {
			*e = why;
			return -1;
		}
	}
	return 0;
}

static int start(struct restore *x, struct err *e)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const struct reader_params params = {
		.threads = x->params->threads,
		.memory = x->params->memory,
		.rehash = x->params->rehash,
		.fetched = &x->report->fetched,
	};

	if (keys_domain(x->repo->keys, x->point->domain, &x->domain, e) < 0)
		return -1;
	if (x->in_place && !x->params->base) {
		if (!x->domain->has_content)
			return err_set(e, ERR_DENIED,
			               "this key file cannot compare data; use the recovery key");
		crypt_hasher_init(&x->hasher, x->domain->id);
		x->crew = crew_new(x->params->threads ? x->params->threads
		                   : cpus > 0         ? (unsigned)cpus
		                                      : 1);
		if (!x->crew)
			return restore_no_memory(e);
	}
	/* Comparing reads all of a window before anything of it is fetched. */
	x->window_bytes = (x->in_place && !x->params->base) ||
	                                  x->repo->store->caps & STORE_CAP_LOCAL
	                          ? WINDOW_PLAIN_BYTES
	                          : WINDOW_PLAIN_REMOTE;
	x->now = window_new(x->window_bytes);
	if (!x->now)
		return restore_no_memory(e);
	if (tree_open(x->repo, x->point, &x->tree, e) < 0 || check_selection(x, e) < 0)
		return -1;
	if (!x->target->ops->whole && dirs_push(x, "", 0, NULL, true, e) < 0)
		return -1;
	return reader_open(x->repo, &params, deliver_chunk, x, &x->reader, e);
}

/* The root's metadata, when parts of a point are restored as if they were all of it. */
static int give_root(struct restore *x, struct err *e)
{
	const struct record *r;
	struct leaf *leaf;
	struct err why = ERR_INIT;

	if (!x->params->root)
		return 0;
	if (restore_open_aux(x, e) < 0)
		return -1;
	if (tree_lookup(x->aux, "", 0, &r, &leaf, &why) == 0)
		return restore_root(x, r, e);
	/* The walk comes by the same damage, and tells. */
	if (restore_is_loss(&why) && x->params->on_corrupt == CORRUPT_SKIP)
		return 0;
	*e = why;
	return err_wrap(e, "reading the point's root");
}

static int walk(struct restore *x, struct err *e)
{
	if (x->params->base)
		return base_run(x, e);
	return give_root(x, e) < 0 ? -1 : walk_all(x, do_wanted, e);
}

static int run(struct restore *x, struct err *e)
{
	if (walk(x, e) < 0 || fill_end(x, e) < 0)
		return -1;
	while (x->nframes > 0) {
		if (dirs_pop(x, e) < 0)
			return -1;
	}
	if (fill_finish(x, e) < 0)
		return -1;
	if ((x->pins || atomic_load(&x->target->unpinned)) && !x->compare && x->target->ops->pin &&
	    walk_all(x, pin_record, e) < 0)
		return -1;
	return 0;
}

static void clear(struct restore *x)
{
	/* First the threads: nothing changes under what follows. */
	reader_free(x->reader);
	fill_abort(x);
	crew_free(x->crew);
	tree_free(x->tree);
	tree_free(x->aux);
	base_free(x->base);
	node_cache_free(x->nodes);
	secret_free(x->domain);
	secret_wipe(&x->hasher, sizeof(x->hasher));
	for (struct context *c = x->contexts, *next; c; c = next) {
		next = c->next;
		clean_close(&c->worker.fd);
		free(c->buf);
		free(c);
	}
	clean_close(&x->worker.fd);
	for (size_t i = 0; i < x->nframes; i++) {
		dir_meta_free(x->frames[i].meta);
		free(x->frames[i].names.hashes);
	}
	free(x->frames);
	free(x->dir);
	links_clear(x);
	(void)pthread_mutex_destroy(&x->lock);
}

int restore_run(const struct repo *r, const struct point *p, struct target *t,
                const struct restore_params *params, struct report *report, struct err *e)
{
	struct restore x = {
		.repo = r,
		.point = p,
		.target = t,
		.params = params,
		.report = report,
		.compare = t->flags & TARGET_COMPARE,
		.in_place = t->flags & (TARGET_IN_PLACE | TARGET_COMPARE),
		.worker = TARGET_WORKER_NONE,
	};
	int64_t began_ns = now_mono_ns();

	if (p->volume.block != t->ops->whole)
		return err_set(e, ERR_INVALID,
		               p->volume.block
		                       ? "the point is of a block volume and needs an image "
		                         "file or block device as target"
		                       : "the point is of a filesystem volume and needs a "
		                         "directory as target");
	x.last = &x.first;
	(void)pthread_mutex_init(&x.lock, NULL);
	int rc = start(&x, e);
	if (rc == 0) {
		rc = run(&x, e);
		if (rc < 0 && x.base)
			rc = base_explain(e);
		if (rc < 0 && !x.compare)
			err_wrap(e, "the target '%s' is incomplete", t->path);
	}
	clear(&x);
	report->took_ms += (now_mono_ns() - began_ns) / 1000000;
	return rc;
}
