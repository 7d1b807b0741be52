/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notes of what is about to be made outside of the state directory, so that it
 * can be removed after a crash: one small file each in a directory, written
 * and synced before the thing is made, removed after the thing is. Its
 * owner holds a lock on the file (flock) as long as it lives; a note that is not
 * locked has no owner any more.
 */
#ifndef AKSDR_SNAPSHOT_JOURNAL_H
#define AKSDR_SNAPSHOT_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define JOURNAL_TEXT_MAX 8192

struct journal;
struct journal_note;

/* Opens the directory dir, which is made (mode 0700) if missing. */
MUST_CHECK struct journal *journal_open(const char *dir, struct err *e);
void journal_close(struct journal *j); /* notes must be ended before; NULL is fine */
static inline void clean_journal(struct journal *const *j)
{
	journal_close(*j);
}
#define auto_journal CLEANUP(clean_journal)

/*
 * Notes that the driver is about to make what text names: any text without NUL that its clean()
 * understands, at most JOURNAL_TEXT_MAX bytes. Durable when it returns. Thread-safe.
 */
MUST_CHECK struct journal_note *journal_add(struct journal *j, const char *driver, const char *text,
                                            struct err *e);

/* The descriptor with the lock: whoever has a copy of it after a fork keeps the note owned. */
int journal_note_fd(const struct journal_note *n);

/* The thing is gone: removes the note. NULL is fine. */
MUST_CHECK int journal_done(struct journal_note *take_n, struct err *e);

/* The thing is still there and somebody else must see to it: the note stays, without an owner. */
void journal_leave(struct journal_note *take_n);

/*
 * Calls clean for every note whose owner is gone, which is locked meanwhile; 0: the note is
 * removed; -1 with e: it stays. A file that is no note of ours is left alone. *ret_cleaned: how
 * many notes were removed. The first error is in e, the rest goes on.
 */
MUST_CHECK int journal_each(struct journal *j,
                            int (*clean)(void *arg, const char *driver, const char *text,
                                         struct err *e),
                            void *arg, size_t *ret_cleaned, struct err *e);

#endif
