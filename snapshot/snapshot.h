/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a volume to a readable view of it, of one moment where the driver can.
 * Each driver is one way; callers go by capability bits and by consistency,
 * never by the names of drivers. docs/SNAPSHOTS.md has the picture: prepare,
 * capture (while frozen, where the driver wants that), finish, and a view
 * that stays readable until snapshot_release().
 */
#ifndef AKSDR_SNAPSHOT_SNAPSHOT_H
#define AKSDR_SNAPSHOT_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/source.h"
#include "snapshot/freezer.h"
#include "snapshot/journal.h"
#include "snapshot/walk.h"

struct csi_run;

#define SNAPSHOT_SET_MAX 64
#define SNAPSHOT_TOKEN_MAX 256 /* bytes of a token with its NUL; printable ASCII */
#define SNAPSHOT_NOTES_MAX 256
#define SNAPSHOT_COPY_MAX (256 * MIB) /* what the freeze driver copies, unless told otherwise */

enum snapshot_caps {
	SNAP_CAP_ATOMIC = 1 << 0,   /* the whole view is of one moment */
	SNAP_CAP_WRITABLE = 1 << 1, /* the view can be written to without touching the volume */
	SNAP_CAP_DIFF = 1 << 2,     /* can say what changed since an earlier view */
	SNAP_CAP_NEEDS_PRIVILEGE = 1 << 3, /* does not work for an ordinary user */
	SNAP_CAP_FREEZE = 1 << 4           /* capture() is called while the file system is frozen */
};

/* How far the content of a view belongs together; higher is better. */
enum snapshot_consistency {
	SNAP_FUZZY,      /* read live: files may be torn and of different moments */
	SNAP_CRASH,      /* one moment, as after a power cut */
	SNAP_FILESYSTEM, /* one moment, with the file system frozen */
	SNAP_APPLICATION /* as filesystem, and hooks had the application write out its state */
};

/* "fuzzy", "crash", "filesystem", "application": as catalogs and reports have it. */
const char *snapshot_consistency_name(enum snapshot_consistency c);

/* What drivers need from outside. Borrowed; all zero is fine where nothing is made. */
struct snapshot_env {
	struct journal *journal; /* of what is made; NULL: only drivers that make nothing work */
	const char *scratch_dir; /* for copies, on another file system than the volumes */
	const char *freezer; /* socket of a freezer that runs; NULL: one is started when needed */
	uint64_t copy_max_bytes; /* of the freeze driver; 0: SNAPSHOT_COPY_MAX */
	unsigned freeze_max_ms;  /* longest freeze; 0: FREEZER_DEADLINE_MS */
	bool keep_no_base; /* views of committed points go too: the next one knows no differences */
	struct csi_run *cluster; /* whose claims origins "pvc:NAMESPACE/NAME" are; NULL: none */
};

/* When a volume stood still; ns since 1970. All 0: it did not. */
struct snapshot_window {
	int64_t asked_ns;  /* the freeze was asked for */
	int64_t frozen_ns; /* and was there */
	int64_t thawed_ns; /* the file system could be written to again */
};

struct snapshot;

struct snapshot_ops {
	const char *name;
	unsigned caps;                         /* snapshot_caps */
	enum snapshot_consistency consistency; /* that it gives without hooks, at best */
	/*
	 * 1: works for the volume at path; 0: does not, and e says why (the class
	 * counts for nothing); -1 with e: the path cannot be looked at. Makes nothing.
	 */
	int (*supports)(const struct snapshot_env *env, const char *path, struct err *e);
	/* What takes long and has nothing to do with the moment. s->origin is open. May be NULL. */
	int (*prepare)(struct snapshot *s, struct err *e);
	/*
	 * The moment: sets freeze_ns, and may lower consistency. With SNAP_CAP_FREEZE the
	 * file system of origin_fd is frozen: whoever writes to it waits until the thaw,
	 * so nothing on it may be written, and it must come to an end long before the deadline.
	 */
	int (*capture)(struct snapshot *s, struct err *e);
	/* After the thaw: fills path, fd and block; token and notes where there are any. */
	int (*finish)(struct snapshot *s, struct err *e);
	/* Gives up whatever the steps made. Called once, after any of them failed too. */
	int (*release)(struct snapshot *s, struct err *e);
	/*
	 * The view as a source, where it is not just the walk of path (or its blocks). May be
	 * NULL. base is the token of an earlier view whose content the reader has, or NULL: with
	 * SNAP_CAP_DIFF the source then tells by its changed() what may differ. A base that is
	 * not known (any more) is no error: everything counts as changed.
	 */
	struct source *(*source)(const struct snapshot *s, const struct walk_params *params,
	                         const char *base, struct err *e);
	/* As snapshot_is_empty(), where path is not the view itself. May be NULL. */
	int (*is_empty)(const struct snapshot *s, bool *ret_empty, struct err *e);
	/* Removes what the text of a note in the journal names; 0 also when it is not there. */
	int (*clean)(const char *text, struct err *e);
};

struct snapshot {
	const struct snapshot_ops *ops;
	const struct snapshot_env *env;
	char *origin;  /* the volume as it was named; owned */
	int origin_fd; /* O_PATH descriptor of it; owned */
	/* The view: a directory, device or image file; or what source() makes one of. Owned. */
	char *path;
	int fd;      /* O_PATH descriptor that keeps the view in place; owned */
	bool block;  /* the view is a device or image */
	bool freeze; /* capture() while frozen: SNAP_CAP_FREEZE, unless prepare clears it */
	/*
	 * Set by the caller before the release: a restore point has this view, so that a driver
	 * with SNAP_CAP_DIFF keeps what its token needs, in place of what it kept before.
	 */
	bool committed;
	enum snapshot_consistency consistency;
	int64_t freeze_ns; /* the moment the view is of, ns since 1970; of a live read: its start */
	struct snapshot_window window;
	/* Names this view to a later one: "" when the driver knows no differences. */
	char token[SNAPSHOT_TOKEN_MAX];
	/* What is not in the view and should be known: sentences; owned. */
	char *notes[SNAPSHOT_NOTES_MAX];
	size_t nnotes, notes_total; /* kept, and met */
	void *priv;                 /* the driver's own */
};

/*
 * The drivers, best first: the order in which the automatic choice tries
 * them. NULL at the end.
 */
const struct snapshot_ops *const *snapshot_drivers(void);

/* The same for claims of a cluster ("pvc:NAMESPACE/NAME" for a path). */
const struct snapshot_ops *const *snapshot_claim_drivers(void);

/* What reads the volume at path as it is, when nothing better works. */
const struct snapshot_ops *snapshot_fallback(const char *path);

/*
 * The driver of this name; for "auto" or NULL the best one that works for the
 * volume at path.
 *   ERR_NOT_FOUND    there is no such path
 *   ERR_INVALID      unknown name; path is nothing that can be backed up
 *   ERR_UNSUPPORTED  the named driver does not work for this volume, and why
 */
MUST_CHECK const struct snapshot_ops *snapshot_choose(const struct snapshot_env *env,
                                                      const char *name, const char *path,
                                                      struct err *e);

/*
 * The best driver, as snapshot_choose() of "auto", and why those before it do not work, as a
 * clause each into refusals, cut where `max` bytes with the NUL do not hold it (max 0: not wanted).
 */
MUST_CHECK const struct snapshot_ops *snapshot_choose_best(const struct snapshot_env *env,
                                                           const char *path, char *refusals,
                                                           size_t max, struct err *e);

/*
 * Prepares a snapshot of the volume at path: a directory, a block device or an
 * image file. env must outlive it. Errors as snapshot_choose(), and what the driver meets.
 */
MUST_CHECK struct snapshot *snapshot_prepare(const struct snapshot_env *env,
                                             const struct snapshot_ops *driver, const char *path,
                                             struct err *e);

/*
 * The moment of n prepared snapshots of one env, at most SNAPSHOT_SET_MAX: freezes the file
 * systems of those that want it, together, captures all, and thaws. Each gets the window; one
 * that is frozen is of the moment when it began. One that makes a snapshot by itself of a
 * file system that others want frozen comes before, since it would wait for the thaw.
 * errs has one place for each, ERR_INIT before; an error there spoils that one alone. -1: at
 * least one failed; whatever happened, nothing is frozen afterwards.
 *   ERR_RETRY  in errs: thawed at the deadline, before all was captured
 */
MUST_CHECK int snapshot_capture(struct snapshot *const *set, size_t n, struct err *errs);

/*
 * Whether n captured views are all of one moment: all but one were frozen together, and that
 * one was taken meanwhile or frozen too.
 */
bool snapshot_one_moment(const struct snapshot *const *set, size_t n);

/* Makes the view of a captured snapshot readable. */
MUST_CHECK int snapshot_finish(struct snapshot *s, struct err *e);

/* The three steps for one volume. */
MUST_CHECK struct snapshot *snapshot_take(const struct snapshot_env *env,
                                          const struct snapshot_ops *driver, const char *path,
                                          struct err *e);

/*
 * The view as a stream of entries: a walk of a directory (params as in
 * walk_open()), or the blocks of a device or image (params->drop_cache
 * counts). base: the token of an earlier view, or NULL (struct snapshot_ops.source).
 * The source must be freed before the snapshot is released.
 */
MUST_CHECK struct source *snapshot_source(const struct snapshot *s,
                                          const struct walk_params *params, const char *base,
                                          struct err *e);

/* Whether there is nothing in the view: a directory without entries, an image of no bytes. */
MUST_CHECK int snapshot_is_empty(const struct snapshot *s, bool *ret_empty, struct err *e);

/* For drivers: adds a sentence to the notes. */
void snapshot_note(struct snapshot *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Removes the view, unless it is kept as a base (s->committed), and frees s in any case; -1 with e:
 * something is left over. NULL is fine.
 */
MUST_CHECK int snapshot_release(struct snapshot *take_s, struct err *e);

/*
 * Removes what notes of the journal name whose owners are gone. *ret_removed: how many. What
 * cannot be removed keeps its note; the first error is in e.
 */
MUST_CHECK int snapshot_reconcile(struct journal *j, size_t *ret_removed, struct err *e);

extern const struct snapshot_ops snapshot_btrfs;
extern const struct snapshot_ops snapshot_lvm_thin;
extern const struct snapshot_ops snapshot_reflink;
extern const struct snapshot_ops snapshot_freeze;
extern const struct snapshot_ops snapshot_live;
/* Of claims. Their path is the name of a claim in the agent's namespace that has the view. */
extern const struct snapshot_ops snapshot_csi;
extern const struct snapshot_ops snapshot_claim;

#endif
