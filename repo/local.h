/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine remembers of a volume that it backs up: the session that is
 * under way, so that a run that died is continued and not left behind, and
 * the last point that it made, so that a store which shows an older state is
 * noticed. In the state directory; losing it costs these two, and no safety.
 */
#ifndef AKSDR_REPO_LOCAL_H
#define AKSDR_REPO_LOCAL_H

#include <stdbool.h>
#include <stdint.h>

#include "repo/repo.h"

struct local {
	int lock;          /* held while a run is under way; -1: another run has it, or no state */
	char path[640];    /* "" : nothing is remembered */
	char session[96];  /* of a run that did not end; "" : none */
	char head[96];     /* session of the newest point made here; "" : none */
	uint64_t sequence; /* of head */
	uint8_t hash[32];  /* of head's commit */
};

/* Reads what is remembered of the volume; with another run under way nothing is. Never fails. */
void local_open(const struct repo *r, const char *voltag, struct local *ret);
void local_close(struct local *l);

/*
 * Forgets the session, durably: it is about to be committed. The put may be applied although its
 * answer is lost, and then the name must never be used again.
 *   ERR_IO and others  the note may still be there after a crash
 */
MUST_CHECK int local_forget(struct local *l, struct err *e);

/* Notes the session ("" : none is under way) and what else is set, best effort. */
void local_save(const struct local *l);

#endif
