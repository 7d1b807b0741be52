/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See differ.h. A file that goes on in further records may differ in one of
 * those alone: then its first records are looked up, once.
 */
#include "restore/differ.h"

#include <string.h>

#include "repo/tree.h"
#include "restore/compare.h"
#include "restore/restore_impl.h"

const char *const differ_field_names[DIFFER_FIELDS] = { "mode",  "owner",   "mtime", "xattrs",
	                                                "flags", "project", "links" };

/* One of the two trees. */
struct walk {
	const struct differ_side *of;
	struct tree *tree;
	struct tree *aux; /* for looking up, opened when needed */
	const struct record *r;
	struct leaf *leaf; /* holds r */
	uint64_t number;
	bool has; /* r is to be looked at; NULL: the end */
};

struct differ {
	const struct repo *repo;
	struct walk old, new;
	differ_each_fn *each;
	void *arg;
	struct buf done; /* path of the last file whose content was compared */
	bool any;        /* there was one */
};

static bool same_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
	return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

unsigned differ_fields(const struct record *a, const struct record *b)
{
	const struct entry_stat *x = &a->st;
	const struct entry_stat *y = &b->st;
	unsigned f = 0;

	if ((x->mode ^ y->mode) & 07777)
		f |= DIFFER_MODE;
	if (x->uid != y->uid || x->gid != y->gid)
		f |= DIFFER_OWNER;
	if (x->mtime.s != y->mtime.s || x->mtime.ns != y->mtime.ns)
		f |= DIFFER_MTIME;
	if (!same_bytes(a->xattrs, a->xattrs_len, b->xattrs, b->xattrs_len))
		f |= DIFFER_XATTRS;
	if (a->fsflags != b->fsflags)
		f |= DIFFER_FLAGS;
	if (a->projid != b->projid)
		f |= DIFFER_PROJECT;
	if (!same_bytes(a->hardlink, a->hardlink_len, b->hardlink, b->hardlink_len))
		f |= DIFFER_LINKS;
	return f;
}

/* ---- content ---- */

bool differ_same_extents(const struct leaf *a, const struct record *x, const struct leaf *b,
                         const struct record *y)
{
	if (x->nextents != y->nextents)
		return false;
	for (size_t i = 0; i < x->nextents; i++) {
		const struct extent *p = &x->extents[i];
		const struct extent *q = &y->extents[i];

		if (p->len != q->len || p->off != q->off || (p->chunk < 0) != (q->chunk < 0))
			return false;
		if (p->chunk >= 0 &&
		    memcmp(a->chunks[p->chunk].id, b->chunks[q->chunk].id, FORMAT_ID_BYTES) != 0)
			return false;
	}
	return true;
}

static int compare_content(struct differ *d, struct differ_item *n, struct err *e)
{
	const struct record *x = n->old;
	const struct record *y = n->new;
	const struct compare_file a = { d->old.of->browse, n->old_number };
	const struct compare_file b = { d->new.of->browse, n->new_number };

	if (!S_ISREG(x->st.mode) || (x->flags | y->flags) & RECORD_HARDLINK)
		return 0;
	if (x->flags & RECORD_CONTINUED || y->flags & RECORD_CONTINUED) {
		buf_reset(&d->done);
		d->any = buf_put(&d->done, x->path, x->path_len) == 0;
	} else if (x->st.size == y->st.size &&
	           differ_same_extents(d->old.leaf, x, d->new.leaf, y)) {
		return 0;
	}
	return compare_files(&a, &b, NULL, NULL, &n->bytes, e);
}

/* Both have the entry: what differs. */
static int pair(struct differ *d, struct differ_item *n, struct err *e)
{
	const struct record *x = n->old;
	const struct record *y = n->new;

	if ((x->st.mode ^ y->st.mode) & S_IFMT) {
		n->kind = DIFFER_TYPE;
		return d->each(d->arg, n, e);
	}
	n->fields = differ_fields(x, y);
	if (compare_content(d, n, e) < 0)
		return err_wrap(e, "comparing '%.*s'", (int)x->path_len, x->path);
	bool other = n->bytes > 0 || x->st.size != y->st.size ||
	             !same_bytes(x->link, x->link_len, y->link, y->link_len) ||
	             x->st.rdev_major != y->st.rdev_major || x->st.rdev_minor != y->st.rdev_minor;
	n->kind = other ? DIFFER_CONTENT : DIFFER_META;
	return other || n->fields ? d->each(d->arg, n, e) : 0;
}

/* ---- side by side ---- */

static int walk_next(struct walk *w, struct err *e)
{
	struct leaf *leaf;

	if (w->has)
		return 0;
	if (tree_next(w->tree, &w->r, &leaf, e) < 0)
		return -1;
	leaf_unref(w->leaf);
	w->leaf = w->r ? leaf_ref(leaf) : NULL;
	w->number = w->r ? tree_number(w->tree) : 0;
	w->has = true;
	return 0;
}

/* The first record of the file that r is a further part of. */
static int walk_first(const struct differ *d, struct walk *w, const struct record *r,
                      struct walk *ret, struct err *e)
{
	struct leaf *leaf;

	*ret = (struct walk){ .of = w->of };
	if (!w->aux && tree_open(d->repo, w->of->point, &w->aux, e) < 0)
		return -1;
	if (tree_lookup(w->aux, r->path, r->path_len, &ret->r, &leaf, e) < 0)
		return -1;
	ret->number = tree_number(w->aux);
	return 0;
}

/* A part of a file is not the same in both, or is in one alone. */
static int part(struct differ *d, const struct record *r, struct err *e)
{
	struct walk x;
	struct walk y;

	if (d->any && same_bytes(d->done.data, d->done.len, r->path, r->path_len))
		return 0;
	/* A file that is new or gone has been told of by its first record, and is only in one. */
	struct err why = ERR_INIT;
	if (walk_first(d, &d->old, r, &x, &why) < 0 || walk_first(d, &d->new, r, &y, &why) < 0) {
		if (why.class == ERR_NOT_FOUND)
			return 0;
		*e = why;
		return -1;
	}
	if (!S_ISREG(x.r->st.mode) || !S_ISREG(y.r->st.mode))
		return 0;
	struct differ_item n = {
		.old = x.r, .new = y.r, .old_number = x.number, .new_number = y.number
	};
	return pair(d, &n, e);
}

/* <0: the old one's entry comes first; 0: both have it. */
static int order(const struct walk *a, const struct walk *b)
{
	if (!a->r || !b->r)
		return a->r ? -1 : 1;
	int c = source_path_cmp(a->r->path, a->r->path_len, b->r->path, b->r->path_len);

	return c ? c : (a->r->position > b->r->position) - (a->r->position < b->r->position);
}

static int step(struct differ *d, struct err *e)
{
	int c = order(&d->old, &d->new);
	bool old = c <= 0;
	bool new = c >= 0;
	struct differ_item n = {
		.kind = old ? DIFFER_REMOVED : DIFFER_ADDED,
		.old = old ? d->old.r : NULL,
		.new = new ? d->new.r : NULL,
		.old_number = d->old.number,
		.new_number = d->new.number,
	};
	const struct record *r = old ? d->old.r : d->new.r;

	d->old.has = d->old.has && !old;
	d->new.has = d->new.has && !new;
	if (r->position > 0)
		return old && new &&differ_same_extents(d->old.leaf, n.old, d->new.leaf, n.new)
		               ? 0
		               : part(d, r, e);
	if (old && new)
		return pair(d, &n, e);
	n.bytes = r->flags & RECORD_HARDLINK ? 0 : r->st.size;
	return d->each(d->arg, &n, e);
}

static int run(struct differ *d, struct err *e)
{
	for (;;) {
		if (cancel_check(d->repo->cancel, e) < 0)
			return -1;
		/* Nothing is held back of either: what comes next in both may be the same. */
		bool skipped;

		if (!d->old.has && !d->new.has &&
		    tree_skip_same(d->old.tree, d->new.tree, &skipped, e) < 0)
			return -1;
		if (walk_next(&d->old, e) < 0 || walk_next(&d->new, e) < 0)
			return -1;
		if (!d->old.r && !d->new.r)
			return 0;
		if (step(d, e) < 0)
			return -1;
	}
}

static void walk_clear(struct walk *w)
{
	leaf_unref(w->leaf);
	tree_free(w->tree);
	tree_free(w->aux);
}

int differ_run(const struct repo *r, const struct differ_side *old, const struct differ_side *new,
               differ_each_fn *each, void *arg, struct err *e)
{
	struct differ d = {
		.repo = r,
		.old.of = old,
		.new.of = new,
		.each = each,
		.arg = arg,
		.done = BUF_INIT(FORMAT_PATH_MAX),
	};
	int rc = -1;

	if (tree_open(r, old->point, &d.old.tree, e) == 0 &&
	    tree_open(r, new->point, &d.new.tree, e) == 0)
		rc = run(&d, e);
	walk_clear(&d.old);
	walk_clear(&d.new);
	buf_clear(&d.done);
	return rc;
}
