/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See mount_tree.h. The upper bits of a number say which point: 0 is the only
 * one, or, of all points, none; then the lower bits are kind and index of what
 * is above the points. In a point they are the number of the entry and 1.
 */
#include "restore/mount_tree.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define POINT_SHIFT 40
#define LOW_MASK (BROWSE_NUMBERS - 1)
#define KIND_SHIFT 36
#define INDEX_MASK (((uint64_t)1 << KIND_SHIFT) - 1)
#define IMAGE_NUMBER 1 /* of the file, in the directory that stands for a block volume */
#define POINTS_MAX ((size_t)1 << 23)

enum upper_kind { UPPER_ROOT, UPPER_VOLUME, UPPER_LATEST, UPPER_ID };

struct mounted {
	_Atomic(struct browse *) browse; /* NULL: nobody went there yet; set with `lock` held */
	bool block;
	int64_t frozen_ns;
};

struct mount_tree {
	struct mount_tree_params params;
	struct mounted *points;
	size_t npoints;
	pthread_mutex_t lock; /* of opening points */
	uid_t uid;            /* owner of what is above the points */
	gid_t gid;
};

int mount_tree_new(const struct mount_tree_params *params, struct mount_tree **ret, struct err *e)
{
	struct mount_tree *t = calloc(1, sizeof(*t));
	const struct shelf *s = params->shelf;
	size_t n = s ? s->npoints : 1;

	if (t)
		t->points = calloc(n > 0 ? n : 1, sizeof(*t->points));
	if (!t || !t->points) {
		free(t);
		return err_set(e, ERR_NOMEM, "no memory for %zu restore points", n);
	}
	(void)pthread_mutex_init(&t->lock, NULL);
	t->params = *params;
	t->npoints = n;
	t->uid = geteuid();
	t->gid = getegid();
	for (size_t i = 0; s && i < n; i++) {
		t->points[i].block = s->points[i].block;
		t->points[i].frozen_ns = s->points[i].frozen_ns;
	}
	struct browse *only = NULL;
	if (n > POINTS_MAX) {
		(void)err_set(e, ERR_TOO_BIG,
		              "there are over %zu restore points; mount one of them", POINTS_MAX);
	} else if (s || browse_open(params->shared, params->point, &only, e) == 0) {
		if (only) {
			t->points[0].block = params->point->volume.block;
			t->points[0].frozen_ns = params->point->frozen_ns;
			atomic_store(&t->points[0].browse, only);
		}
		*ret = t;
		return 0;
	}
	mount_tree_free(t);
	return -1;
}

void mount_tree_free(struct mount_tree *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->npoints; i++)
		browse_free(atomic_load(&t->points[i].browse));
	(void)pthread_mutex_destroy(&t->lock);
	free(t->points);
	free(t);
}

/* ---- numbers ---- */

/* A number, taken apart. */
struct place {
	bool upper;
	enum upper_kind kind; /* of what is above the points */
	size_t index;         /* of the volume; of the point, for UPPER_ID and in a point */
	uint64_t number;      /* in the point */
};

static uint64_t point_id(const struct mount_tree *t, size_t point, uint64_t number)
{
	uint64_t slot = t->params.shelf ? point + 1 : 0;

	return slot << POINT_SHIFT | (number + 1);
}

static uint64_t upper_id(enum upper_kind kind, size_t index)
{
	return kind == UPPER_ROOT ? MOUNT_ROOT : (uint64_t)kind << KIND_SHIFT | index;
}

static int place_of(const struct mount_tree *t, uint64_t id, struct place *ret, struct err *e)
{
	uint64_t slot = id >> POINT_SHIFT;
	uint64_t low = id & LOW_MASK;
	const struct shelf *s = t->params.shelf;

	*ret = (struct place){ .upper = s && slot == 0 };
	if (ret->upper) {
		ret->kind = (enum upper_kind)(low >> KIND_SHIFT);
		ret->index = (size_t)(low & INDEX_MASK);
		if (ret->kind == UPPER_ROOT ? ret->index == MOUNT_ROOT
		    : ret->kind == UPPER_ID ? ret->index < s->npoints
		                            : ret->kind < UPPER_ID && ret->index < s->nvolumes)
			return 0;
	} else {
		ret->index = (size_t)(s ? slot - 1 : slot);
		ret->number = low - 1;
		if (low > 0 && ret->index < t->npoints)
			return 0;
	}
	return err_set(e, ERR_FORMAT, "%llu is no number of an entry", (unsigned long long)id);
}

/* ---- points ---- */

static int open_point(struct mount_tree *t, size_t i, struct browse **ret, struct err *e)
{
	CLEANUP(point_clear) struct point p = { 0 };
	struct mounted *m = &t->points[i];
	int rc = 0;

	*ret = atomic_load(&m->browse);
	if (*ret)
		return 0;
	(void)pthread_mutex_lock(&t->lock);
	*ret = atomic_load(&m->browse);
	if (!*ret) {
		rc = t->params.open_point(t->params.arg, &t->params.shelf->points[i], &p, e);
		if (rc == 0)
			rc = browse_open(t->params.shared, &p, ret, e);
		if (rc == 0)
			atomic_store(&m->browse, *ret);
	}
	(void)pthread_mutex_unlock(&t->lock);
	return rc;
}

int mount_tree_entry(struct mount_tree *t, uint64_t id, struct browse **ret, uint64_t *ret_number,
                     struct err *e)
{
	struct place at;

	*ret = NULL;
	if (place_of(t, id, &at, e) < 0)
		return -1;
	if (at.upper || (t->points[at.index].block && at.number != IMAGE_NUMBER))
		return 0;
	*ret_number = t->points[at.index].block ? 0 : at.number;
	return open_point(t, at.index, ret, e);
}

/* The number that an entry of a point is shown by. */
static uint64_t entry_id(const struct mount_tree *t, size_t point, uint64_t number)
{
	return point_id(t, point, t->points[point].block ? IMAGE_NUMBER : number);
}

/* ---- what is above ---- */

static void made_up(const struct mount_tree *t, uint64_t id, mode_t mode, int64_t time_ns,
                    struct stat *ret)
{
	const struct timespec at = { time_ns / 1000000000, time_ns % 1000000000 };

	*ret = (struct stat){
		.st_ino = id,
		.st_mode = mode,
		.st_nlink = S_ISDIR(mode) ? 2 : 1,
		.st_uid = t->uid,
		.st_gid = t->gid,
		.st_blksize = 4096,
		.st_atim = at,
		.st_mtim = at,
		.st_ctim = at,
	};
}

/* What a link above the points leads to, in its directory. */
static const char *link_target(const struct shelf *s, const struct place *at)
{
	return s->points[at->kind == UPPER_LATEST ? s->volumes[at->index].latest : at->index].name;
}

static void upper_stat(const struct mount_tree *t, uint64_t id, const struct place *at,
                       struct stat *ret)
{
	const struct shelf *s = t->params.shelf;

	if (at->kind == UPPER_ROOT) {
		made_up(t, id, S_IFDIR | 0555, 0, ret);
	} else if (at->kind == UPPER_VOLUME) {
		made_up(t, id, S_IFDIR | 0555, s->points[s->volumes[at->index].latest].frozen_ns,
		        ret);
	} else {
		made_up(t, id, S_IFLNK | 0777, 0, ret);
		ret->st_size = (off_t)strlen(link_target(s, at));
	}
}

int mount_tree_stat(struct mount_tree *t, uint64_t id, struct stat *ret, struct err *e)
{
	struct browse_entry n;
	struct browse *b;
	struct place at;

	if (place_of(t, id, &at, e) < 0)
		return -1;
	if (at.upper) {
		upper_stat(t, id, &at, ret);
		return 0;
	}
	if (mount_tree_entry(t, id, &b, &n.number, e) < 0)
		return -1;
	if (!b) {
		made_up(t, id, S_IFDIR | 0555, t->points[at.index].frozen_ns, ret);
		return 0;
	}
	if (browse_stat(b, n.number, &n, e) < 0)
		return -1;
	*ret = n.st;
	ret->st_ino = id;
	return 0;
}

/* ---- looking up ---- */

/* The number of a name above the points; 0: there is none. */
static uint64_t upper_lookup(const struct mount_tree *t, const struct place *dir, const char *name)
{
	const struct shelf *s = t->params.shelf;
	int64_t i;

	if (dir->kind == UPPER_ROOT) {
		i = shelf_volume(s, name);
		return i < 0 ? 0 : upper_id(UPPER_VOLUME, (size_t)i);
	}
	if (dir->kind != UPPER_VOLUME)
		return 0;
	const struct shelf_volume *v = &s->volumes[dir->index];
	if (strcmp(name, "latest") == 0)
		return upper_id(UPPER_LATEST, dir->index);
	i = shelf_point(s, v, name);
	if (i >= 0)
		return point_id(t, (size_t)i, 0);
	i = shelf_point_by_id(s, v, name);
	return i < 0 ? 0 : upper_id(UPPER_ID, (size_t)i);
}

int mount_tree_lookup(struct mount_tree *t, uint64_t dir, const char *name, bool *ret_found,
                      struct stat *ret, struct err *e)
{
	struct browse_entry n;
	struct browse *b;
	struct place at;

	*ret_found = false;
	if (place_of(t, dir, &at, e) < 0)
		return -1;
	if (at.upper) {
		uint64_t id = upper_lookup(t, &at, name);

		*ret_found = id != 0;
		return id ? mount_tree_stat(t, id, ret, e) : 0;
	}
	if (mount_tree_entry(t, dir, &b, &n.number, e) < 0)
		return -1;
	if (!b) {
		*ret_found = strcmp(name, MOUNT_IMAGE) == 0;
		return *ret_found ? mount_tree_stat(t, entry_id(t, at.index, 0), ret, e) : 0;
	}
	if (browse_lookup(b, n.number, name, ret_found, &n, e) < 0)
		return -1;
	*ret = n.st;
	ret->st_ino = entry_id(t, at.index, n.number);
	return 0;
}

/* ---- listing ---- */

struct lister {
	const struct mount_tree *t;
	size_t point;
	mount_tree_each_fn *each;
	void *arg;
};

static bool list_one(void *arg, const char *name, size_t len, const struct browse_entry *n,
                     uint64_t next)
{
	const struct lister *l = arg;
	struct stat st = n->st;

	st.st_ino = entry_id(l->t, l->point, n->number);
	return l->each(l->arg, name, len, &st, true, next);
}

/* Names above the points, from number `from` on. */
static int upper_list(struct mount_tree *t, const struct place *dir, uint64_t from,
                      const struct lister *l, struct err *e)
{
	const struct shelf *s = t->params.shelf;
	bool volumes = dir->kind == UPPER_ROOT;
	const struct shelf_volume *v = &s->volumes[volumes ? 0 : dir->index];
	size_t n = volumes ? s->nvolumes : v->n + 1;

	if (dir->kind != UPPER_ROOT && dir->kind != UPPER_VOLUME)
		return err_set(e, ERR_INVALID, "a link is no directory");
	for (size_t i = (size_t)from; i < n; i++) {
		const char *name = "latest";
		bool full = volumes || i == v->n;
		struct stat st;

		if (full) {
			uint64_t id = upper_id(volumes ? UPPER_VOLUME : UPPER_LATEST,
			                       volumes ? i : dir->index);
			struct place at;

			if (place_of(t, id, &at, e) < 0)
				return -1;
			upper_stat(t, id, &at, &st);
			if (volumes)
				name = s->volumes[i].name;
		} else {
			/* Looking at the point's own root would open it. */
			made_up(t, point_id(t, v->first + i, 0), S_IFDIR | 0555, 0, &st);
			name = s->points[v->first + i].name;
		}
		if (!l->each(l->arg, name, strlen(name), &st, full, i + 1))
			break;
	}
	return 0;
}

int mount_tree_list(struct mount_tree *t, uint64_t dir, uint64_t from, mount_tree_each_fn *each,
                    void *arg, bool *ret_damaged, struct err *why, struct err *e)
{
	struct lister l = { .t = t, .each = each, .arg = arg };
	uint64_t number;
	struct browse *b;
	struct place at;
	struct stat st;

	*ret_damaged = false;
	if (place_of(t, dir, &at, e) < 0)
		return -1;
	l.point = at.index;
	if (at.upper)
		return upper_list(t, &at, from, &l, e);
	if (mount_tree_entry(t, dir, &b, &number, e) < 0)
		return -1;
	if (b)
		return browse_list(b, number, from, list_one, &l, ret_damaged, why, e);
	if (from > 0)
		return 0;
	if (mount_tree_stat(t, entry_id(t, at.index, 0), &st, e) < 0)
		return -1;
	(void)each(arg, MOUNT_IMAGE, strlen(MOUNT_IMAGE), &st, true, 1);
	return 0;
}

int mount_tree_link(struct mount_tree *t, uint64_t id, struct buf *to, struct err *e)
{
	uint64_t number;
	struct browse *b;
	struct place at;

	if (place_of(t, id, &at, e) < 0)
		return -1;
	if (at.upper && (at.kind == UPPER_LATEST || at.kind == UPPER_ID)) {
		(void)buf_str(to, link_target(t->params.shelf, &at));
		return buf_check(to, "a link's target", e);
	}
	if (mount_tree_entry(t, id, &b, &number, e) < 0)
		return -1;
	if (!b)
		return err_set(e, ERR_INVALID, "a directory is no symbolic link");
	return browse_link(b, number, to, e);
}

void mount_tree_path(struct mount_tree *t, uint64_t id, struct buf *to)
{
	struct err ignored = ERR_INIT;
	uint64_t number;
	struct browse *b;
	struct place at;

	if (place_of(t, id, &at, &ignored) < 0 || at.upper)
		return;
	if (t->params.shelf) {
		const struct shelf_point *p = &t->params.shelf->points[at.index];

		(void)buf_printf(to, "%s/%s/", t->params.shelf->volumes[p->volume].name, p->name);
	}
	if (mount_tree_entry(t, id, &b, &number, &ignored) < 0)
		return;
	if (t->points[at.index].block)
		(void)buf_str(to, MOUNT_IMAGE);
	else if (b && browse_path(b, number, to, &ignored) < 0)
		(void)buf_str(to, "?");
}
