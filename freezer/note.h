/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the next start needs to thaw, should all processes of a freeze be killed at
 * once: the text of a note (snapshot/journal.h), written before the freeze, and what
 * is done about one that nobody owns any more.
 *
 * The first line is the boot's id: a freeze does not outlive its kernel. Then a line for each
 * file system: "MAJOR:MINOR MAJOR:MINOR UUID", as struct mount_fs has them, "-" for no uuid.
 */
#ifndef AKSDR_FREEZER_NOTE_H
#define AKSDR_FREEZER_NOTE_H

#include "snapshot/freezer.h"
#include "snapshot/mount.h"

#define NOTE_DRIVER "freeze"
#define NOTE_BOOT_MAX 64

struct note {
	char boot[NOTE_BOOT_MAX + 1];
	struct mount_fs fs[FREEZER_FDS_MAX];
	size_t n;
};

/* The id of this boot, into ret (NOTE_BOOT_MAX + 1 bytes). */
MUST_CHECK int note_boot(char *ret, struct err *e);

void note_put(struct buf *b, const struct note *n);

/* ERR_FORMAT: it is none. */
MUST_CHECK int note_parse(const char *text, struct note *ret, struct err *e);

/*
 * Thaws what the text names and is frozen; the clean function of journal_each(), arg a
 * struct note_thawed.
 *   ERR_NOT_FOUND  one of them is not mounted here
 */
struct note_thawed {
	size_t n;            /* file systems that were frozen */
	char points[4][128]; /* where the first of them are mounted */
};
MUST_CHECK int note_thaw(void *arg, const char *driver, const char *text, struct err *e);

#endif
