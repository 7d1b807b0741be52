/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer's run against the repository: registered first, committed last,
 * by create-only objects (docs/FORMAT.md 2, 9, 10).
 */
#ifndef AKSDR_REPO_SESSION_H
#define AKSDR_REPO_SESSION_H

#include "common/err.h"
#include "repo/point.h"
#include "repo/repo.h"

/*
 * PUTs sess/S for a new S = DAY/VOLTAG-RANDOM and fills ret_session
 * ("2026-11-22/...") with it. ERR_DENIED when the key cannot sign.
 */
MUST_CHECK int session_begin(const struct repo *r, const struct point_volume *v,
                             char ret_session[96], struct err *e);

/*
 * Commits: create-only PUT of commit/S with p->session as S; fills p->hash,
 * p->signer. ERR_BUSY "fenced" when the key is taken by another object.
 */
MUST_CHECK int session_commit(const struct repo *r, struct point *p, struct err *e);

#endif
