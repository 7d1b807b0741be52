/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target is known to be exactly another point, the base: both trees are
 * walked side by side, what they share is passed over without being read, and
 * only what differs is looked at in the target. So the work is in proportion to
 * what changed, whatever the size of the volume.
 *
 * Files are changed where they are, with all their names: a further name that
 * has not changed follows the first one. What has become of another type, and a
 * name that has become a file of its own, is removed and made anew. Each
 * directory that is gone into gets its metadata in the end, since what changes
 * in it moves its times.
 *
 * Nobody can look at all of the target for this to be true, but what is looked
 * at is: a file has the size and time that the base says, an entry that is new
 * is not there yet. What is not so ends the restore.
 */
#include <errno.h>
#include <string.h>

#include "restore/differ.h"
#include "restore/restore_impl.h"

#define LOST_FOUND "lost+found"
#define NODES_BYTES (12 * MIB) /* of decoded nodes of trees */

static const char advice[] = "; run again without --base, so that all of it is compared";

/* The next record of one of the two trees, until it is done with. */
struct ahead_of {
	struct tree *tree;
	const struct record *r; /* NULL: the end */
	struct leaf *leaf;      /* holds r */
	bool has;
};

struct base {
	struct ahead_of old, new;
	struct tree *aux; /* of the old point, for looking up; opened when needed */
	/* Of the content of old.r so much was compared: */
	size_t extent;
	uint64_t used;   /* bytes of this extent */
	bool skipped;    /* nodes were passed over before the next records */
	struct buf gone; /* directory that was removed, with what the base has below it */
	bool any_gone;
};

void base_free(struct base *b)
{
	if (!b)
		return;
	leaf_unref(b->old.leaf);
	leaf_unref(b->new.leaf);
	tree_free(b->old.tree);
	tree_free(b->aux);
	buf_clear(&b->gone);
	free(b);
}

/* ---- what is not as it should be ---- */

int base_not_so(const struct restore *x, const char *path, size_t len, const char *why,
                struct err *e)
{
	return err_set(e, ERR_CORRUPT,
	               "'%.*s' is not as point %.8s has it, which the target should be: %s%s",
	               (int)len, path, x->params->base->id, why, advice);
}

/* A coarse file system keeps whole seconds. */
static bool same_time(const struct timestamp *is, const struct timestamp *was)
{
	return is->s == was->s && (is->ns == was->ns || is->ns == 0);
}

int base_check(const struct restore *x, const struct rfile *f, struct err *e)
{
	const struct target_file *t = &f->file;
	const struct entry_stat *was = &x->old->st;
	const char *why = NULL;

	if (!t->existing)
		why = "it was not there";
	else if (x->target->ops->whole ? t->old_size < was->size : t->old_size != was->size)
		why = "its size is another";
	else if (!x->target->ops->whole && !same_time(&t->old_mtime, &was->mtime))
		why = "it was changed at another time";
	else if (!x->target->ops->whole && t->old_links > was->nlink)
		why = "it has more names";
	return why ? base_not_so(x, f->rec->path, f->rec->path_len, why, e) : 0;
}

int base_entered(struct restore *x, const struct record *r, bool expected, struct err *e)
{
	if (r->fsflags & META_PINS)
		x->pins = true;
	if (x->frames[x->nframes - 1].existing == expected ||
	    (x->dir_len == sizeof(LOST_FOUND) - 1 && strcmp(x->dir, LOST_FOUND) == 0))
		return 0;
	return base_not_so(x, x->dir, x->dir_len,
	                   expected ? "the directory was not there"
	                            : "there is a directory already",
	                   e);
}

/* The base could not be read: the point itself may be whole. */
static int base_wrap(const struct restore *x, struct err *e)
{
	if (restore_is_loss(e))
		e->class = ERR_CORRUPT;
	return err_wrap(e, "reading point %.8s (without --base it is not needed)",
	                x->params->base->id);
}

/* ---- records ---- */

static void done_with(struct ahead_of *a)
{
	a->has = false;
}

static int pull(struct ahead_of *a, struct err *e)
{
	struct leaf *leaf;

	if (a->has)
		return 0;
	if (tree_next(a->tree, &a->r, &leaf, e) < 0)
		return -1;
	leaf_unref(a->leaf);
	a->leaf = a->r ? leaf_ref(leaf) : NULL;
	a->has = true;
	return 0;
}

static int pull_old(const struct restore *x, struct err *e)
{
	struct base *b = x->base;

	if (b->old.has)
		return 0;
	b->extent = 0;
	b->used = 0;
	return pull(&b->old, e) < 0 ? base_wrap(x, e) : 0;
}

static bool same_path(const struct record *a, const struct record *b)
{
	return source_path_cmp(a->path, a->path_len, b->path, b->path_len) == 0;
}

/* What the old record has of the file of r was compared: what follows may be the same in both. */
static void settle(struct base *b, const struct record *r)
{
	if (b->old.has && b->old.r && b->extent == b->old.r->nextents && same_path(b->old.r, r))
		done_with(&b->old);
}

/* The first record of a file that r, of this tree, is a further part of. */
static int first_of(const struct restore *x, struct tree **aux, const struct point *p,
                    const struct record *r, const struct record **ret, struct leaf **ret_leaf,
                    struct err *e)
{
	if (!*aux) {
		if (tree_open(x->repo, p, aux, e) < 0)
			return -1;
		tree_use_cache(*aux, x->nodes);
	}
	if (tree_lookup(*aux, r->path, r->path_len, ret, ret_leaf, e) < 0)
		return -1;
	return S_ISREG((*ret)->st.mode) && !((*ret)->flags & RECORD_HARDLINK)
	               ? 0
	               : err_set(e, ERR_FORMAT, "'%.*s' has parts and is no file", (int)r->path_len,
	                         r->path);
}

/* ---- contents ---- */

static bool same_place(const struct leaf *leaf, const struct extent *old, uint64_t used,
                       const struct extent *n, const struct chunk_ref *ref, uint64_t done)
{
	if (!ref || old->chunk < 0)
		return !ref && old->chunk == n->chunk;
	return old->off + used == n->off + done &&
	       memcmp(leaf->chunks[old->chunk].id, ref->id, sizeof(ref->id)) == 0;
}

int base_stretch(struct restore *x, const struct record *r, const struct extent *n,
                 const struct chunk_ref *ref, uint64_t off, uint64_t done, uint64_t *ret_len,
                 bool *ret_same, struct err *e)
{
	struct base *b = x->base;

	*ret_len = n->len - done;
	*ret_same = false;
	for (;;) {
		settle(b, r);
		if (pull_old(x, e) < 0)
			return -1;
		/* The file was shorter. */
		if (!b->old.r || !same_path(b->old.r, r))
			return 0;
		if (b->extent < b->old.r->nextents)
			break;
	}
	if (b->extent == 0 && b->used == 0 && b->old.r->position != off) {
		(void)err_set(e, ERR_FORMAT, "the list of the parts of '%.*s' has a gap",
		              (int)r->path_len, r->path);
		return base_wrap(x, e);
	}
	const struct extent *old = &b->old.r->extents[b->extent];
	if (*ret_len > old->len - b->used)
		*ret_len = old->len - b->used;
	*ret_same = same_place(b->old.leaf, old, b->used, n, ref, done);
	b->used += *ret_len;
	if (b->used == old->len) {
		b->extent++;
		b->used = 0;
	}
	return 0;
}

static void clean_leaf(struct leaf *const *l)
{
	leaf_unref(*l);
}

/* A part of a file that is under way, or whose records before it are the same in both. */
static int do_part(struct restore *x, struct err *e)
{
	struct base *b = x->base;
	const struct record *r = b->new.r;
	const struct record *first;
	struct leaf *leaf;

	if (x->cur && same_path(x->cur->rec, r)) {
		if (b->skipped)
			fill_pass(x, r->position);
		return fill_more(x, r, b->new.leaf, e);
	}
	if (b->skipped)
		fill_pass(x, UINT64_MAX);
	if (fill_end(x, e) < 0 || pull_old(x, e) < 0)
		return -1;
	if (b->old.r && b->old.r->position == r->position && same_path(b->old.r, r) &&
	    differ_same_extents(b->old.leaf, b->old.r, b->new.leaf, r)) {
		done_with(&b->old);
		return 0;
	}
	if (first_of(x, &b->aux, x->params->base, r, &x->old, &leaf, e) < 0)
		return base_wrap(x, e);
	if (first_of(x, &x->aux, x->point, r, &first, &leaf, e) < 0)
		return -1;
	/* What goes into its directory looks up as well. */
	CLEANUP(clean_leaf) struct leaf *held = leaf_ref(leaf);
	static const struct target_parent none = { .path = "" };
	struct target_place at = { .dir = &none, .name = "" };
	if (!x->target->ops->whole) {
		if (restore_go(x, r->path, r->path_len, e) < 0)
			return -1;
		at.dir = window_dir(x->now, r->path, path_parent_len(r->path, r->path_len),
		                    &x->next_id);
		at.name = path_name(first->path, first->path_len);
		if (!at.dir)
			return restore_no_memory(e);
	}
	if (fill_from(x, &at, first, held, r->position, e) < 0)
		return -1;
	return fill_more(x, r, b->new.leaf, e);
}

/* ---- entries ---- */

/* The present entry of the old point is below a directory that was removed. */
static bool is_gone(const struct base *b, const struct record *r)
{
	return b->any_gone &&
	       path_within(r->path, r->path_len, (const char *)b->gone.data, b->gone.len);
}

/* Removes what the old record names, with all below it; its directory is entered. */
static int take_away(struct restore *x, const struct record *old, struct err *e)
{
	struct base *b = x->base;
	const struct target_parent *dir = window_dir(x->now, old->path,
	                                             path_parent_len(old->path, old->path_len),
	                                             &x->next_id);

	if (!dir)
		return restore_no_memory(e);
	const struct target_place at = { .dir = dir, .name = path_name(old->path, old->path_len) };
	if (x->target->ops->remove(x->target, &x->worker, &at, e) < 0)
		return -1;
	if (!S_ISDIR(old->st.mode))
		return 0;
	buf_reset(&b->gone);
	if (buf_put(&b->gone, old->path, old->path_len) < 0)
		return restore_no_memory(e);
	b->any_gone = true;
	return 0;
}

/* Only the base has it. */
static int do_removed(struct restore *x, const struct record *old, struct err *e)
{
	if (is_gone(x->base, old) ||
	    (old->path_len == sizeof(LOST_FOUND) - 1 && strcmp(old->path, LOST_FOUND) == 0))
		return 0;
	if (restore_go(x, old->path, old->path_len, e) < 0 || take_away(x, old, e) < 0)
		return -1;
	x->report->deleted++;
	return 0;
}

/* Makes an entry or goes into a directory; what was in the way is gone, its directory entered. */
static int make(struct restore *x, const struct record *r, struct leaf *leaf, bool existing,
                struct err *e)
{
	if (!S_ISDIR(r->st.mode))
		return restore_entry(x, r, leaf, e);
	if (dirs_enter(x, r->path, r->path_len, r, e) < 0 || base_entered(x, r, existing, e) < 0)
		return -1;
	atomic_fetch_add(&x->report->directories, 1);
	restore_progress(x, 0, 1);
	return 0;
}

static bool same_stat(const struct entry_stat *a, const struct entry_stat *b)
{
	return a->mode == b->mode && a->ino == b->ino && a->size == b->size &&
	       a->mtime.s == b->mtime.s && a->mtime.ns == b->mtime.ns && a->ctime.s == b->ctime.s &&
	       a->ctime.ns == b->ctime.ns && a->rdev_major == b->rdev_major &&
	       a->rdev_minor == b->rdev_minor;
}

static bool same_link(const struct record *a, const struct record *b)
{
	return a->link_len == b->link_len &&
	       (a->link_len == 0 || memcmp(a->link, b->link, a->link_len) == 0);
}

static bool same_device(const struct record *a, const struct record *b)
{
	return a->st.rdev_major == b->st.rdev_major && a->st.rdev_minor == b->st.rdev_minor;
}

/* Nothing of it is to be restored. */
static bool same_entry(const struct base *b)
{
	const struct record *x = b->old.r;
	const struct record *y = b->new.r;

	if (differ_fields(x, y))
		return false;
	/* A further name: the file that it is one of may be another now. */
	if (y->flags & RECORD_HARDLINK)
		return same_stat(&x->st, &y->st);
	if (S_ISREG(y->st.mode))
		return x->st.size == y->st.size &&
		       differ_same_extents(b->old.leaf, x, b->new.leaf, y);
	return same_link(x, y) && same_device(x, y);
}

/* Can what is there become the new entry? */
static bool can_change(const struct record *x, const struct record *y)
{
	if ((x->st.mode ^ y->st.mode) & S_IFMT || (x->flags ^ y->flags) & RECORD_HARDLINK)
		return false;
	/* The target of a link and the number of a device cannot be changed. */
	return y->flags & RECORD_HARDLINK || S_ISREG(y->st.mode) ||
	       (same_link(x, y) && same_device(x, y));
}

/* Both have it. */
static int do_both(struct restore *x, struct err *e)
{
	struct base *b = x->base;
	const struct record *old = b->old.r;
	const struct record *new = b->new.r;

	if (same_entry(b))
		return 0;
	if (x->target->ops->whole) {
		static const struct target_parent none = { .path = "" };
		const struct target_place at = { .dir = &none, .name = "" };

		x->old = old;
		return fill_file(x, &at, new, b->new.leaf, e);
	}
	if (new->path_len == 0)
		return 0; /* it is done in any case */
	if (restore_go(x, new->path, new->path_len, e) < 0)
		return -1;
	const bool change = can_change(old, new);
	if (!change && take_away(x, old, e) < 0)
		return -1;
	x->old = change && S_ISREG(new->st.mode) && !(new->flags &RECORD_HARDLINK) ? old : NULL;
	return make(x, new, b->new.leaf, change, e);
}

/* ---- side by side ---- */

/* <0: the base's entry comes first; 0: both have it. */
static int order(const struct base *b)
{
	if (!b->old.r || !b->new.r)
		return b->old.r ? -1 : 1;
	return source_path_cmp(b->old.r->path, b->old.r->path_len, b->new.r->path,
	                       b->new.r->path_len);
}

/* One record of one of the two, or of both. */
static int step(struct restore *x, struct err *e)
{
	struct base *b = x->base;
	int rc;

	if (b->new.r && b->new.r->position > 0) {
		rc = do_part(x, e);
		settle(b, b->new.r);
		done_with(&b->new);
		return rc;
	}
	/* What is left of the file's old content has no place in the new one. */
	if (b->old.has && b->old.r && (b->old.r->position > 0 || b->extent > 0 || b->used > 0)) {
		done_with(&b->old);
		return 0;
	}
	if (b->skipped)
		fill_pass(x, UINT64_MAX);
	if (fill_end(x, e) < 0 || pull_old(x, e) < 0)
		return -1;
	/* A part of a file that was passed over so far. */
	if (b->old.r && b->old.r->position > 0)
		return 0;
	const int c = order(b);
	const struct record *first = c < 0 ? b->old.r : b->new.r;
	if (c != 0 && (first->path_len == 0 || x->target->ops->whole))
		return err_set(e, ERR_FORMAT, "the roots of the two points are not alike");
	if (c < 0) {
		rc = do_removed(x, b->old.r, e);
	} else if (c > 0) {
		rc = restore_go(x, b->new.r->path, b->new.r->path_len, e) < 0
		             ? -1
		             : make(x, b->new.r, b->new.leaf, false, e);
	} else {
		rc = do_both(x, e);
	}
	/* Of both: it has parts to come, or comparing has gone on to the next entry already. */
	if (c == 0 && x->cur && x->cur->based)
		settle(b, b->new.r);
	else if (c < 0 || (c == 0 && b->old.r && same_path(b->old.r, b->new.r)))
		done_with(&b->old);
	if (c >= 0)
		done_with(&b->new);
	return rc;
}

static int walk(struct restore *x, struct err *e)
{
	struct base *b = x->base;

	for (;;) {
		if (cancel_check(x->repo->cancel, e) < 0)
			return -1;
		/* Nothing is held back of either: what comes next in both may be the same. */
		if (!b->new.has) {
			b->skipped = false;
			if (!b->old.has &&
			    tree_skip_same(b->old.tree, b->new.tree, &b->skipped, e) < 0)
				return -1;
			if (pull(&b->new, e) < 0)
				return -1;
		}
		x->old = NULL;
		if (!b->new.r && pull_old(x, e) < 0)
			return -1;
		if (!b->new.r && !b->old.r) {
			if (b->skipped)
				fill_pass(x, UINT64_MAX);
			return 0;
		}
		if (step(x, e) < 0)
			return -1;
	}
}

/* The root is always left with its metadata, since anything in it may change. */
static int enter_root(struct restore *x, struct err *e)
{
	const struct record *r;
	struct leaf *leaf;

	if (x->target->ops->whole)
		return 0;
	if (restore_open_aux(x, e) < 0 || tree_lookup(x->aux, "", 0, &r, &leaf, e) < 0)
		return -1;
	return restore_root(x, r, e);
}

int base_run(struct restore *x, struct err *e)
{
	struct base *b = calloc(1, sizeof(*b));

	if (!b)
		return restore_no_memory(e);
	x->base = b;
	/* What directories say is near the entries that are looked at. */
	x->nodes = node_cache_new(NODES_BYTES);
	if (!x->nodes)
		return restore_no_memory(e);
	tree_use_cache(x->tree, x->nodes);
	b->gone = BUF_INIT(FORMAT_PATH_MAX);
	b->new.tree = x->tree;
	if (tree_open(x->repo, x->params->base, &b->old.tree, e) < 0)
		return base_wrap(x, e);
	tree_use_cache(b->old.tree, x->nodes);
	return enter_root(x, e) < 0 ? -1 : walk(x, e);
}

int base_explain(struct err *e)
{
	const struct err why = *e;

	if (why.class != ERR_NOT_FOUND && why.class != ERR_EXISTS && why.os != ENOTDIR &&
	    why.os != ELOOP)
		return -1;
	return err_set(e, ERR_CORRUPT, "%.*s%s", ERR_MSG_MAX - (int)sizeof(advice), why.msg,
	               advice);
}
