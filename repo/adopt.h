/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs of fenced sessions of the same volume: what they uploaded is still
 * there until a collection takes it, and need not be uploaded again.
 */
#ifndef AKSDR_REPO_ADOPT_H
#define AKSDR_REPO_ADOPT_H

#include "repo/index.h"
#include "repo/repo.h"
#include "repo/segment.h"
#include "repo/view.h"

/*
 * Takes the packs that the void segments of this volume and domain name, and that are in the store
 * and not absent, into the index and into this session's own segments. *ret_packs: how many.
 * A segment that does not open is passed over.
 */
MUST_CHECK int adopt_run(const struct repo *r, const struct domain_keys *domain,
                         const struct view *view, struct index *index, struct segment_writer *to,
                         const char *voltag, uint64_t *ret_packs, struct err *e);

#endif
