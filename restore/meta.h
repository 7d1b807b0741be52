/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owner, attributes, mode, flags and times of one entry, in the order in which
 * none undoes another: a change of owner drops capabilities and the set-id
 * bits, an ACL changes the group bits of the mode, everything but the last
 * step is allowed to move the times.
 *
 * What the target cannot take is counted (restore/loss.h) and never fails. A
 * file that could not be given to its owner loses its set-id bits: they would
 * give the rights of somebody else.
 */
#ifndef AKSDR_RESTORE_META_H
#define AKSDR_RESTORE_META_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "repo/tree.h"
#include "restore/loss.h"

/* Flags that forbid changes; set last of all by meta_pin(). */
#define META_PINS ((uint32_t)(0x10 | 0x20)) /* FS_IMMUTABLE_FL, FS_APPEND_FL */

/* For one run; used from any thread. */
struct meta {
	struct losses *losses; /* borrowed */
	bool no_owner;
	bool root;            /* effective user 0: rights are not asked for */
	atomic_bool no_chown; /* giving files away was refused once and is not tried again */
};
void meta_init(struct meta *m, struct losses *losses, bool no_owner);

/* What is set. path is for the list of losses. */
struct meta_subject {
	int fd;  /* open file or directory; -1: by name, which is not followed */
	int dir; /* directory of name, when fd is -1 */
	const char *name;
	const char *path;
	size_t path_len;
};

/* What is there now. */
struct meta_have {
	uint32_t uid, gid;
	uint32_t mode; /* permission bits */
	bool fresh;    /* just made: no attributes, no flags */
};

static inline struct meta_have meta_have_of(const struct stat *st)
{
	return (struct meta_have){ .uid = st->st_uid,
		                   .gid = st->st_gid,
		                   .mode = st->st_mode & 07777 };
}

/* Flags that count only for content written afterwards: right after a file is made. */
void meta_early(int fd, const struct record *r);

/* Everything but the pins. */
void meta_apply(struct meta *m, const struct meta_subject *s, const struct record *r,
                struct meta_have have);

/* The pins of an open file or directory. */
void meta_pin(struct meta *m, const struct meta_subject *s, const struct record *r);

/*
 * Takes pins, and what else hinders, off an open file or directory, so that it
 * can be changed. True when there were any.
 */
bool meta_unpin(int fd);

#endif
