/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which restore points are no longer wanted: tombstones, and what stands
 * against them, holds and pins (docs/CONCURRENCY.md; FORMAT.md 13). All are
 * signed statements in the store; which points to expire is decided elsewhere.
 */
#ifndef AKSDR_REPO_EXPIRY_H
#define AKSDR_REPO_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/note.h"
#include "repo/point.h"
#include "repo/repo.h"

#define EXPIRY_POINTS_MAX 10000                         /* of one tombstone */
#define EXPIRY_TEXT_MAX 256                             /* bytes of a reason or a name */
#define EXPIRY_PIN_NS ((int64_t)7 * 86400 * 1000000000) /* a pin that is older counts no more */

enum expiry_state {
	EXPIRY_LIVE,
	EXPIRY_PROPOSED, /* tombstones of fewer signers than needed name it: it lives */
	EXPIRY_HELD,     /* it would be expired, but is held: it lives */
	EXPIRY_PINNED,   /* the same, by a restore that runs */
	EXPIRY_EXPIRED
};
const char *expiry_state_name(enum expiry_state s); /* "live", "proposed", … */

struct expiry_tomb {
	char session[POINT_SESSION_LEN + 1];
	uint64_t number; /* of the tombstone */
	int64_t received_ns;
	uint8_t signer[FORMAT_SIGNER_BYTES];
	char *why; /* owned */
};

/* A tombstone as a whole, for records. */
struct expiry_act {
	uint64_t number;
	int64_t at_ns, received_ns;
	char policy[64];
	struct note_actor by;
	uint8_t signer[FORMAT_SIGNER_BYTES];
	uint64_t points;
};

struct expiry_hold {
	uint64_t number;
	char session[POINT_SESSION_LEN + 1]; /* of one point; "": of a volume */
	char voltag[17];
	struct point_volume volume; /* of the volume */
	char reason[EXPIRY_TEXT_MAX], name[EXPIRY_TEXT_MAX];
	struct note_actor by;
	int64_t at_ns, received_ns;
	uint8_t signer[FORMAT_SIGNER_BYTES];
	uint64_t released; /* number of the release that made it void; 0: it holds */
	char release_reason[EXPIRY_TEXT_MAX], release_name[EXPIRY_TEXT_MAX];
	unsigned releases;                           /* signers that released it, at most 2 */
	uint8_t release_signer[FORMAT_SIGNER_BYTES]; /* the first of them */
};

struct expiry_pin {
	char key[NOTE_KEY_MAX];
	char session[POINT_SESSION_LEN + 1];
	int64_t received_ns;
};

/* All statements, read in the order that makes a confirmed hold visible: tombstones first. */
struct expiry {
	unsigned signatures;       /* signers that a tombstone needs */
	struct expiry_tomb *tombs; /* by session, signer, number */
	size_t ntombs, tombs_cap;
	struct expiry_act *acts; /* by number */
	size_t nacts, acts_cap;
	struct expiry_hold *holds; /* by number */
	size_t nholds, holds_cap;
	struct expiry_pin *pins;
	size_t npins, pins_cap;
	uint64_t first_tomb;           /* number of the first that was looked for */
	uint64_t last_tomb, last_hold; /* highest numbers seen; 0: none */
	uint64_t missing; /* numbers that are not there: the store lost or hides them */
	uint64_t bad;     /* statements that do not open */
	uint64_t revoked; /* statements that do not count, since their signer was revoked */
	uint64_t missing_holds, bad_holds; /* of those: holds */
	/* pins that were received EXPIRY_PIN_NS before do not count; 0: all do */
	int64_t now_ns;
};

/*
 * Reads the statements. after: tombstones up to this number are left out (what the newest
 * collection has settled: expiry_settled()).
 */
MUST_CHECK int expiry_load(const struct repo *r, uint64_t after, struct expiry *ret, struct err *e);
void expiry_clear(struct expiry *x);

/* What the newest collection says; zeros where it says nothing. */
struct expiry_settled {
	uint64_t tombs; /* tombstones up to this number name only points that are gone */
	uint64_t holds; /* highest number that it saw */
};
MUST_CHECK int expiry_settled(const struct repo *r, struct expiry_settled *ret, struct err *e);

/*
 * expiry_settled() and expiry_load(); holds that the collection saw, and that are gone, are
 * missing.
 */
MUST_CHECK int expiry_now(const struct repo *r, struct expiry *ret, struct err *e);

struct collection_state;

/*
 * What says whether points are gone, for who only reads: s is the state of the collection, read
 * before. Holds and pins, which only matter to points that a tombstone names, are listed only when
 * one names this session (NULL: any); without them expiry_of() is right for this session (all).
 */
MUST_CHECK int expiry_for_readers(const struct repo *r, const struct collection_state *s,
                                  const char *session, struct expiry *ret, struct err *e);

enum expiry_state expiry_of(const struct expiry *x, const char *session);
static inline bool expiry_is_gone(const struct expiry *x, const char *session)
{
	return expiry_of(x, session) == EXPIRY_EXPIRED;
}

/* The tombstones of a point: the first of *ret_n that follow each other. NULL: none. */
const struct expiry_tomb *expiry_tombs(const struct expiry *x, const char *session, size_t *ret_n);
/* A hold that keeps the point. NULL: none. */
const struct expiry_hold *expiry_held_by(const struct expiry *x, const char *session);

/* ---- making statements ---- */

struct expiry_point {
	const char *session;
	const char *why;
};

/*
 * Puts tombstones for the points, as many objects as it takes. policy: its name, or "". Of a
 * reason EXPIRY_TEXT_MAX - 1 bytes are kept.
 *   ERR_DENIED   this key file cannot sign
 *   ERR_INVALID  a session's name is none, or a text is not UTF-8: nothing is put
 */
MUST_CHECK int expiry_put_tomb(const struct repo *r, const char *policy,
                               const struct expiry_point *points, size_t n, uint64_t *ret_number,
                               struct err *e);

/*
 * Holds a point (session) or all points of a volume (v; session NULL). reason and name are
 * required. For points that are expired already the hold may come too late, unless another one
 * stood before the tombstone, or the newest collection has seen another one and left the point:
 *   ERR_NOT_FOUND  the point, or some of the volume, are expired; the hold stands, for the others
 *   ERR_INVALID    the session's name is none, or a text is missing, too long or not UTF-8
 */
MUST_CHECK int expiry_put_hold(const struct repo *r, const char *session,
                               const struct point_volume *v, const char *reason, const char *name,
                               uint64_t *ret_number, struct err *e);
MUST_CHECK int expiry_put_release(const struct repo *r, uint64_t hold, const char *reason,
                                  const char *name, uint64_t *ret_number, struct err *e);

/*
 * Pins a point for a restore: ret_key is for expiry_unpin(). ERR_NOT_FOUND: it is expired, also
 * when a hold that may have come too late keeps it, and may go at any time.
 */
MUST_CHECK int expiry_pin(const struct repo *r, const char *session, char ret_key[NOTE_KEY_MAX],
                          struct err *e);
MUST_CHECK int expiry_unpin(const struct repo *r, const char *key, struct err *e);

#endif
