/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a volume to a frozen, readable view of it. Each driver is one way of
 * freezing; callers go by capability bits and by consistency, never by the
 * names of drivers. A view stays readable until snapshot_release().
 */
#ifndef AKSDR_SNAPSHOT_SNAPSHOT_H
#define AKSDR_SNAPSHOT_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/source.h"
#include "snapshot/walk.h"

enum snapshot_caps {
	SNAP_CAP_ATOMIC = 1 << 0,   /* the whole view is of one moment */
	SNAP_CAP_WRITABLE = 1 << 1, /* the view can be written to without touching the volume */
	SNAP_CAP_DIFF = 1 << 2,     /* can say what changed since an earlier view */
	SNAP_CAP_NEEDS_PRIVILEGE = 1 << 3 /* does not work for an ordinary user */
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

struct snapshot;

struct snapshot_ops {
	const char *name;
	unsigned caps;                         /* snapshot_caps */
	enum snapshot_consistency consistency; /* that it gives without hooks */
	/* 1: works for the volume at path, 0: does not, -1 with e: the path cannot be looked at. */
	int (*supports)(const char *path, struct err *e);
	/* Fills path, fd, block and freeze_ns of s, and priv as it likes. */
	int (*take)(struct snapshot *s, const char *path, struct err *e);
	/* Gives up what take() made. Called once, also when reading failed. */
	int (*release)(struct snapshot *s, struct err *e);
};

struct snapshot {
	const struct snapshot_ops *ops;
	char *path; /* the view: a directory, a block device or an image file; owned */
	int fd;     /* O_PATH descriptor that keeps the view in place; owned */
	bool block; /* the view is a device or image */
	enum snapshot_consistency consistency;
	int64_t freeze_ns; /* the moment the view is of, ns since 1970; of a live read: its start */
	void *priv;        /* the driver's own */
};

/*
 * The drivers, best first: the order in which the automatic choice tries
 * them. NULL at the end.
 */
const struct snapshot_ops *const *snapshot_drivers(void);

/*
 * The driver of this name; for "auto" or NULL the best one that works for the
 * volume at path.
 *   ERR_NOT_FOUND    there is no such path
 *   ERR_INVALID      unknown name; path is nothing that can be backed up
 *   ERR_UNSUPPORTED  the named driver does not work for this volume
 */
MUST_CHECK const struct snapshot_ops *snapshot_choose(const char *name, const char *path,
                                                      struct err *e);

/*
 * Takes a snapshot of the volume at path: a directory, a block device or an
 * image file. Errors as snapshot_choose(), and what the driver meets.
 */
MUST_CHECK struct snapshot *snapshot_take(const struct snapshot_ops *driver, const char *path,
                                          struct err *e);

/*
 * The view as a stream of entries: a walk of a directory (params as in
 * walk_open()), or the blocks of a device or image (params->drop_cache
 * counts). The source must be freed before the snapshot is released.
 */
MUST_CHECK struct source *snapshot_source(const struct snapshot *s,
                                          const struct walk_params *params, struct err *e);

/* Whether there is nothing in the view: a directory without entries, an image of no bytes. */
MUST_CHECK int snapshot_is_empty(const struct snapshot *s, bool *ret_empty, struct err *e);

/* Removes the view and frees s in any case; -1 with e: something is left over. NULL is fine. */
MUST_CHECK int snapshot_release(struct snapshot *take_s, struct err *e);

extern const struct snapshot_ops snapshot_live;

#endif
