/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects that the config names by their hash: lists of what counts of a
 * revoked signer (repo/revoke.h) and of a fence (repo/fence.h). What has the
 * hash is the object, wherever it comes from, so a copy in the state directory
 * is as good as the store's.
 */
#ifndef AKSDR_REPO_NAMED_H
#define AKSDR_REPO_NAMED_H

#include "common/buf.h"
#include "common/err.h"
#include "repo/repo.h"

#define NAMED_FILE_MAX 64

/* The name of the copy in the state directory; prefix: of all such files of one kind. */
void named_file(const struct key_list *l, const char *prefix, char ret[NAMED_FILE_MAX]);

/*
 * The object, from the state directory (but of a local store) or from the store. *ret_news (may be
 * NULL) becomes true when a copy was put into the state directory.
 *   ERR_NOT_FOUND, ERR_TOO_BIG, or the store's
 *   ERR_CORRUPT  what is there has another hash
 */
MUST_CHECK int named_get(const struct repo *r, const struct key_list *l, const char *prefix,
                         struct buf *ret, bool *ret_news, struct err *e);

/*
 * Puts a note with a list under a new name below the store's prefix, and appends {`object`, `hash`}
 * to the array `names`, for the config. o and list are borrowed.
 */
MUST_CHECK int named_put(const struct repo *r, char kind, const char *prefix, const json_t *o,
                         const struct buf *list, json_t *names, struct err *e);

#endif
