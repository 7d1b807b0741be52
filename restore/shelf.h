/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of all points of all volumes, as directories: a volume by its name
 * (with namespace and cluster where it has them, joined by '_', which names in
 * a cluster cannot hold), a point by its time. Names are made so that they can
 * be names of files and no two are the same. Pure.
 */
#ifndef AKSDR_RESTORE_SHELF_H
#define AKSDR_RESTORE_SHELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/point.h"

#define SHELF_NAME_MAX 200 /* bytes, with the NUL */

struct shelf_point {
	char name[48]; /* "2026-11-22T10:04:05.123Z", with "-ID" where two have the same time */
	char id[33];
	char session[POINT_SESSION_LEN + 1];
	uint64_t sequence;
	int64_t frozen_ns, received_ns;
	bool block;
	size_t volume; /* of volumes[] */
};

struct shelf_volume {
	char name[SHELF_NAME_MAX];
	char voltag[17];
	size_t first, n; /* its points: points[first .. first + n), the oldest first */
	size_t latest;   /* of points[], by point_cmp() */
};

struct shelf {
	struct shelf_point *points; /* by volume and time */
	size_t npoints, points_cap;
	struct shelf_volume *volumes; /* by name */
	size_t nvolumes, volumes_cap;
};
void shelf_clear(struct shelf *s);

/* Takes note of a point. Then shelf_finish(), once, and the names can be used. */
MUST_CHECK int shelf_add(struct shelf *s, const struct point *p, struct err *e);
void shelf_finish(struct shelf *s);

/*
 * Index of the volume of this name; of a volume's point by its name, or by its id (8 or all
 * digits). -1: there is none.
 */
int64_t shelf_volume(const struct shelf *s, const char *name);
int64_t shelf_point(const struct shelf *s, const struct shelf_volume *v, const char *name);
int64_t shelf_point_by_id(const struct shelf *s, const struct shelf_volume *v, const char *id);

#endif
