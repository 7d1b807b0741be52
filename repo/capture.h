/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a restore point says of how its view came to be: the window in which the volume stood
 * still, what hooks did and told, what is not in the view, what names the view to a later one, and
 * what became of a driver's list of changes. The member `capture` of a point (docs/FORMAT.md 9):
 * facts for people and for the next backup, which no restore depends on.
 */
#ifndef AKSDR_REPO_CAPTURE_H
#define AKSDR_REPO_CAPTURE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define CAPTURE_HOOKS_MAX 64
#define CAPTURE_FACTS_MAX 64
#define CAPTURE_NOTES_MAX 256
/* Bytes of texts, without the NUL. */
#define CAPTURE_COMMAND_MAX 1024
#define CAPTURE_OUTPUT_MAX 8192
#define CAPTURE_NOTE_MAX 1024
#define CAPTURE_FALLBACK_MAX 1024
#define CAPTURE_FACT_NAME_MAX 64
#define CAPTURE_FACT_VALUE_MAX 256
#define CAPTURE_TOKEN_MAX 255

/* A command that was run before or after the moment. */
struct capture_hook {
	bool post;     /* after the moment; else before it */
	char *command; /* as text; owned */
	int exit;      /* status it ended with; 0 also when a signal ended it */
	int signal;    /* that ended it; 0: none */
	bool timed_out;
	int64_t started_ns; /* since 1970 */
	uint64_t ms;        /* that it ran */
	char *output;       /* the end of it, as text; owned; NULL: none */
	uint64_t cut_bytes; /* of its beginning that are not here */
};

/* Something that a hook told: a recovery position. */
struct capture_fact {
	char name[CAPTURE_FACT_NAME_MAX + 1]; /* of a-z, 0-9, '.', '-'; not empty */
	char value[CAPTURE_FACT_VALUE_MAX + 1];
};

/* What a driver said had changed since an earlier view, and what came of it. */
struct capture_changes {
	char base_session[96];   /* of the point whose view was the base; "": none was used */
	uint64_t claimed_bytes;  /* that may have changed, by the driver */
	uint64_t skipped_bytes;  /* taken from that point unread */
	bool compared;           /* everything was read, and the claims checked */
	uint64_t compared_bytes; /* said to be unchanged, and compared */
	uint64_t wrong_bytes;    /* of those: they had changed all the same */
	uint64_t unread_points;  /* made in a row from lists, up to this one, uncompared */
	bool distrusted;         /* the volume's newest comparison found wrong bytes */
};

/* All zero: nothing is known. */
struct point_capture {
	int64_t asked_ns, frozen_ns, thawed_ns; /* the window; all 0: there was none */
	char moment[8]; /* of a set of volumes: "one", or "window": within it; "": of no set */
	struct capture_hook *hooks;
	size_t nhooks;
	struct capture_fact *facts;
	size_t nfacts;
	char **notes; /* sentences: what is not in the view */
	size_t nnotes;
	char *fallback;                    /* why a better driver was not used; NULL: it was */
	char token[CAPTURE_TOKEN_MAX + 1]; /* printable ASCII: names the view to a later one */
	struct capture_changes changes;
	json_t *claim; /* what the cluster said of it, as claim_check() takes it; NULL: no claim */
};

void capture_clear(struct point_capture *c);

/* True for a name that a fact may have. */
bool capture_fact_name_valid(const char *name);

/*
 * Add a copy of a hook, a fact, a note, or set the reason of a fallback. Texts may be any bytes:
 * what is no text is written as \xNN; what is over the limit is cut, of an output the beginning.
 * What there are enough of, and a fact without a valid name, is left out. The value of a fact
 * of the same name is replaced.
 *   ERR_NOMEM
 */
MUST_CHECK int capture_add_hook(struct point_capture *c, const struct capture_hook *hook,
                                struct err *e);
MUST_CHECK int capture_add_fact(struct point_capture *c, const char *name, const char *value,
                                struct err *e);
MUST_CHECK int capture_add_note(struct point_capture *c, const char *note, struct err *e);
MUST_CHECK int capture_set_fallback(struct point_capture *c, const char *why, struct err *e);

/*
 * A copy that fits into a point whatever `from` is: texts as above, and outputs shortened further
 * until all of it is at most a quarter of FORMAT_POINT_MAX as JSON. cut_bytes tells.
 *   ERR_INVALID  the token or the moment is none
 *   ERR_NOMEM, and what claim_check() says of a claim
 */
MUST_CHECK int capture_copy(const struct point_capture *from, struct point_capture *ret,
                            struct err *e);

/* Adds the member `capture` to a point's JSON, unless nothing is known. -1: no memory, no text. */
MUST_CHECK int capture_put(const struct point_capture *c, json_t *point);

/* From a point's JSON; all zero when there is none. ERR_FORMAT names what makes no sense. */
MUST_CHECK int capture_get(const json_t *point, struct point_capture *ret, struct err *e);

#endif
