/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions: runs that change the repository, registered first, ended by who
 * takes their commit key (docs/CONCURRENCY.md; FORMAT.md 2, 9, 10).
 */
#ifndef AKSDR_REPO_SESSION_H
#define AKSDR_REPO_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>

#include "common/err.h"
#include "repo/point.h"
#include "repo/repo.h"

/*
 * PUTs sess/S for a new S = DAY/VOLTAG-RANDOM and fills ret_session
 * ("2026-11-22/...") with it. domain is noted, so that its name is known before a point is.
 * ERR_DENIED when the key cannot sign.
 */
MUST_CHECK int session_begin(const struct repo *r, const struct point_volume *v, const char *domain,
                             char ret_session[96], struct err *e);

/* The same for a session that changes the index only; what: "repack", "index", "repair". */
MUST_CHECK int session_begin_maintenance(const struct repo *r, const char *what,
                                         char ret_session[96], struct err *e);

/* True for the name of such a session. */
bool session_is_maintenance(const char *session);

/* Beat number n (from 1) of a session: it lives. One that is there already is fine. */
MUST_CHECK int session_beat(const struct repo *r, const char *session, unsigned n, struct err *e);

/* The sign of life of a session at work: a beat every hour. */
struct session_pulse {
	const struct repo *repo;
	char session[96];
	atomic_uint beats;
	_Atomic int64_t at_ns; /* when the last one was, by the monotonic clock */
};
/* The last beat had the number `beats`, 0: there was none. due: the next one is due at once. */
void session_pulse_start(struct session_pulse *p, const struct repo *r, const char *session,
                         unsigned beats, bool due);
/*
 * Beats when it is time. That it could not is no failure: without it the session may be fenced
 * early, which costs a second run. Thread-safe.
 */
void session_pulse(struct session_pulse *p);

/* The number of the last beat of a session; 0: none. *ret_marker: the marker itself is there. */
MUST_CHECK int session_last_beat(const struct repo *r, const char *session, unsigned *ret,
                                 bool *ret_marker, struct err *e);

/*
 * Commits: create-only PUT of commit/S with p->session as S; fills p->hash,
 * p->signer. ERR_BUSY "fenced" when the key is taken by another object.
 */
MUST_CHECK int session_commit(const struct repo *r, struct point *p, struct err *e);

/* Commits a maintenance session whose segments these are. ERR_BUSY as above. */
MUST_CHECK int session_commit_index(const struct repo *r, const char *session, const char *what,
                                    char *const *segments, size_t n, struct err *e);

enum session_end { SESSION_OPEN, SESSION_COMMITTED, SESSION_ABORTED };

/* How the session ended so far. One HEAD. */
MUST_CHECK int session_look(const struct repo *r, const char *session, enum session_end *ret,
                            struct err *e);

/*
 * Fences: puts an abort as commit/S, unless something is there already. *ret
 * is what stands there: SESSION_ABORTED or SESSION_COMMITTED. why is for people.
 */
MUST_CHECK int session_abort(const struct repo *r, const char *session, const char *why,
                             enum session_end *ret, struct err *e);

/*
 * Opens commit/S as an abort. What has the length of one and does not open is damage.
 *   ERR_CORRUPT, ERR_DENIED, ERR_FORMAT, ERR_NOT_FOUND
 */
MUST_CHECK int session_abort_verify(const struct repo *r, const char *session, struct err *e);

/* Opens the marker; domain is "" for one that does not name it. */
struct session_info {
	char domain[128], host[256];
	int64_t started_ns;
	uint8_t signer[FORMAT_SIGNER_BYTES];
};
MUST_CHECK int session_info(const struct repo *r, const char *session, struct session_info *ret,
                            struct err *e);

/* Opens a maintenance commit: the keys of its segments; malloc'ed array of malloc'ed texts. */
MUST_CHECK int session_segments(const struct repo *r, const char *session, char ***ret,
                                size_t *ret_n, struct err *e);

#endif
