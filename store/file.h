/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the file driver. A key is a path below the root directory, whose
 * descriptor is held; everything is opened beneath it and no symbolic link is
 * followed. No key has a component that begins with a dot, so ".tmp" in the
 * root is free for uploads under way, and what other programs hide there is
 * not seen as an object.
 */
#ifndef AKSDR_STORE_FILE_H
#define AKSDR_STORE_FILE_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/stat.h>

#include "store/driver.h"
#include "store/fdcache.h"

#define FILE_TMP_DIR ".tmp"
#define FILE_SYNCED_SLOTS 1024
#define FILE_IDLE_MS 60000 /* an object that was not read for so long is not kept open */

struct file_store {
	struct store base;
	int root;        /* O_RDONLY | O_DIRECTORY */
	bool root_links; /* its count of links was not 0 when it was opened, so 0 means removed */
	char *dir;       /* its path as given, for messages */
	struct fdcache *objects;
	uint64_t tmp_salt;         /* of this handle: makes names in .tmp unique */
	atomic_uint_least64_t tmp; /* files made in .tmp */
	atomic_bool no_tmpfile;    /* seen: no O_TMPFILE here, or no link to such a file */
	atomic_bool no_link;       /* seen: no hard links here */
	/*
	 * Hashes of directories whose own entry is known to be durable; a hash
	 * lives in the slot of its low bits, 0 is empty. A hash that was pushed
	 * out costs one fsync more.
	 */
	atomic_uint_least64_t synced[FILE_SYNCED_SLOTS];
};

static inline struct file_store *file_of(struct store *s)
{
	return (struct file_store *)s;
}

/* The time of receipt of a file; a time that cannot be is the nearest one that store.h allows. */
static inline int64_t file_received_ns(const struct stat *st)
{
	const int64_t last_s = INT64_C(7258118400); /* 2200-01-01 */
	int64_t s = st->st_mtim.tv_sec;

	if (s < 0 || s >= last_s)
		return s < 0 ? 0 : last_s * 1000000000;
	return s * 1000000000 + st->st_mtim.tv_nsec;
}

/*
 * e from an errno: "what: why", with words on what to do where that is known.
 * A root that was removed is told as such, whatever the errno. Returns -1.
 */
int file_fail(const struct file_store *f, int os, const char *what, struct err *e);

/*
 * e for a lookup that found nothing (ENOENT and the like): ERR_NOT_FOUND, or
 * ERR_IO when the whole store is gone, because then nothing is known of any
 * object. Returns -1.
 */
int file_fail_missing(const struct file_store *f, struct err *e);

/* True for an errno of an open that means that there is no such path. */
bool file_missing(int os);

/* True when the root directory was removed. */
bool file_root_gone(const struct file_store *f);

/* 0, or -1 with ERR_IO: the root directory was removed. */
MUST_CHECK int file_check_root(const struct file_store *f, struct err *e);

/* The operations of the other files; as in struct store_ops. */
int file_put(struct store *s, const char *key, const struct iovec *iov, int niov, struct err *e);
int file_list(struct store *s, const char *prefix, const char *after,
              int (*each)(void *arg, const struct store_item *item, struct err *e), void *arg,
              struct err *e);

/* Removes from .tmp what uploads left that died more than a day before now_ns. Best effort. */
void file_clean_tmp(struct file_store *f, int64_t now_ns);

#endif
