/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trial restores: level 5 of a check. A restore point is restored by
 * aksdr-restore, which stands beside this program, into a scratch directory,
 * read back and compared, and removed again: the way that counts in the end.
 */
#ifndef AKSDR_CATALOG_TRIAL_H
#define AKSDR_CATALOG_TRIAL_H

#include "common/cancel.h"
#include "common/err.h"
#include "common/verb.h"

struct trial {
	const struct verb_common *common; /* store, key and state */
	const char *scratch;              /* an existing directory with room for a volume */
	const struct cancel *cancel;      /* may be NULL */
};

/*
 * Restores the point ("cluster/namespace/name@ID" or as repo_find() takes it). 0: it was restored
 * in full and compared, or *ret_why (of ERR_MSG_MAX bytes) says why not; "" when all is well. -1:
 * it could not be tried: ERR_CANCELLED, ERR_NOMEM, ERR_IO, ERR_NOT_FOUND without the program.
 * Nothing stays in the scratch directory.
 */
MUST_CHECK int trial_restore(const struct trial *t, const char *point, char *ret_why,
                             struct err *e);

#endif
