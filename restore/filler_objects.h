/* SPDX-License-Identifier: Apache-2.0 */
/* Within restore/filler: objects as they are sent to the API server, and what theirs say. Pure. */
#ifndef AKSDR_RESTORE_FILLER_OBJECTS_H
#define AKSDR_RESTORE_FILLER_OBJECTS_H

#include "restore/filler.h"

/* All of these: NULL: no memory. The caller decrefs. */
json_t *filler_objects_labels(const struct filler *f);
json_t *filler_objects_staging(const struct filler *f, const struct filler_claim *c,
                               const char *name);
/* The claim that is wanted, bound to a volume by name; result: of the mover, or NULL. */
json_t *filler_objects_target(const struct filler *f, const struct filler_claim *c,
                              const char *volume, const char *result);
/* Annotations (NULL: removed), as a patch of metadata. Ends with NULL. */
json_t *filler_objects_notes(const char *key, ...);
/* Makes a patch count only for the object as it is. -1: no memory. */
int filler_objects_only(json_t *patch, const json_t *object);

/*
 * Arguments of the mover. held: the point that the claim of ours has as a whole, "" when nothing is
 * known of it; fresh: it is new and empty.
 */
json_t *filler_objects_args(const struct filler_claim *c, const char *held, bool fresh);

/* An annotation or a label of an object; "" when it has none. */
const char *filler_objects_note(const json_t *o, const char *key);
const char *filler_objects_label(const json_t *o, const char *key);
/* Is a claim of ours exactly the point that it names, so that what differs from it will do? */
bool filler_objects_is_whole(const json_t *claim);
/* Whether an object is of this run. */
bool filler_objects_is_ours(const struct filler *f, const json_t *o);

/* Numbers of a line of progress in a mover's log (JSON): true when it is one. */
bool filler_objects_progress(const char *line, uint64_t *ret_done, uint64_t *ret_total);

#endif
