/* SPDX-License-Identifier: Apache-2.0 */
/* A walk along the content of a file of a point: stretches of data and holes, in their order. */
#ifndef AKSDR_RESTORE_ALONG_H
#define AKSDR_RESTORE_ALONG_H

#include "restore/browse_impl.h"

/* A stretch of a file. */
struct span {
	bool data; /* else a hole, or zeros */
	bool hole;
	struct chunk_ref ref; /* of data */
	uint32_t chunk_off;
	uint64_t off, len; /* in the file */
};

/* A walk along a file's content. */
struct along {
	struct browse_tree t;
	const struct record *r; /* valid while the tree stays where it is */
	struct leaf *leaf;
	size_t i;      /* next extent */
	uint64_t at;   /* where it begins */
	uint64_t size; /* of the file */
	char *path;    /* of the file */
	size_t path_len;
};
#define ALONG(b) ((struct along){ .t = BROWSE_TREE(b) })
void along_clear(struct along *a);
#define auto_along CLEANUP(along_clear)

/* Goes to the stretch that byte `off` is in; a->size is the file's. ERR_INVALID: it is no file. */
MUST_CHECK int along_begin(struct along *a, uint64_t number, uint64_t off, struct err *e);

/* The next stretch, which is as long as in the tree. 1; 0: the end of the file; -1. */
MUST_CHECK int along_next(struct along *a, struct span *ret, struct err *e);

/* The parts of the file do not fit together: ERR_FORMAT. Always -1. */
int along_broken(const struct along *a, struct err *e);

/* Cuts a stretch to [off, end). false: it lies before. */
bool along_cut(struct span *s, uint64_t off, uint64_t end);

#endif
