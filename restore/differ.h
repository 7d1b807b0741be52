/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What two points have different: both trees side by side, without reading
 * what they share. Entries come in the order of their paths.
 */
#ifndef AKSDR_RESTORE_DIFFER_H
#define AKSDR_RESTORE_DIFFER_H

#include "restore/browse.h"

enum differ_kind {
	DIFFER_ADDED,
	DIFFER_REMOVED,
	DIFFER_TYPE,
	DIFFER_CONTENT,
	DIFFER_META,
	DIFFER_KINDS
};

/* Of metadata. */
enum {
	DIFFER_MODE = 1 << 0,
	DIFFER_OWNER = 1 << 1, /* user or group */
	DIFFER_MTIME = 1 << 2,
	DIFFER_XATTRS = 1 << 3, /* ACLs and capabilities are some */
	DIFFER_FLAGS = 1 << 4,
	DIFFER_PROJECT = 1 << 5,
	DIFFER_LINKS = 1 << 6 /* of which file it is a further name */
};
#define DIFFER_FIELDS 7
extern const char *const differ_field_names[DIFFER_FIELDS];

struct differ_item {
	enum differ_kind kind;
	unsigned fields;                 /* of metadata, also when the content differs */
	const struct record *old, *new;  /* NULL: it is not there */
	uint64_t old_number, new_number; /* for browse */
	uint64_t bytes;                  /* of content that differ */
};

struct differ_side {
	struct browse *browse;
	const struct point *point;
};

/* 0, or -1 to stop. The item is valid during the call. */
typedef int differ_each_fn(void *arg, const struct differ_item *n, struct err *e);

/* Errors as tree_next(), and as browse_read() where contents have to be compared. */
MUST_CHECK int differ_run(const struct repo *r, const struct differ_side *old,
                          const struct differ_side *new, differ_each_fn *each, void *arg,
                          struct err *e);

/* Which fields differ. Pure. */
unsigned differ_fields(const struct record *a, const struct record *b);

/*
 * Are the extents of x, of the leaf a, those of y, of b? That says so without content being read;
 * true too for what has none. Pure.
 */
bool differ_same_extents(const struct leaf *a, const struct record *x, const struct leaf *b,
                         const struct record *y);

#endif
