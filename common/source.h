/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream between what reads a volume (snapshot/) and what stores it
 * (repo/): the two know this page and not each other.
 *
 * A source hands out batches of entries in one fixed order: depth first, the
 * names of a directory sorted by their bytes, a directory right before its
 * children. The order of full paths is that of comparing their bytes with '/'
 * counting as lower than every other byte (source_path_cmp()). The root
 * itself comes first, with the empty path. A batch holds entries of one
 * directory only, as stat knows them; what costs more (extended attributes,
 * link target, flags, content) is asked for entry by entry with load() and
 * open(), from any thread, and only for entries that changed.
 *
 * A block device or image is a source with one entry: the root itself, of
 * type regular file (S_IFREG), `block` set, content in aligned blocks.
 */
#ifndef AKSDR_COMMON_SOURCE_H
#define AKSDR_COMMON_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/err.h"

#define SOURCE_BATCH_MAX 256 /* entries in a batch */
/* Encoded bytes of an entry's attributes; more is an error of the entry. */
#define SOURCE_XATTRS_MAX (512 * KIB)

struct timestamp {
	int64_t s;
	uint32_t ns;
};

/* What stat knows. */
struct entry_stat {
	uint32_t mode; /* type and permissions, as st_mode */
	uint32_t uid, gid;
	uint32_t nlink;
	uint32_t rdev_major, rdev_minor; /* devices only, else 0 */
	uint64_t ino;
	uint64_t size; /* regular files: bytes; else 0 */
	struct timestamp mtime, ctime;
};

/* What costs more than stat. Zeroed means: none of it. */
struct entry_detail {
	uint8_t *link; /* target of a symbolic link, no NUL */
	size_t link_len;
	uint8_t *xattrs; /* encoded, see source_xattr_*; sorted by name */
	size_t xattrs_len;
	uint32_t fsflags; /* FS_*_FL of FS_IOC_GETFLAGS that can be restored; 0 else */
	uint32_t projid;
};

enum entry_state {
	ENTRY_OK = 0,
	ENTRY_GONE,       /* vanished between listing and reading: left out, counted */
	ENTRY_UNREADABLE, /* could not be read: left out, listed, the backup is partial */
	ENTRY_CHANGED     /* changed while it was read, after all retries: stored, marked */
};

struct entry {
	/* relative to the root, no leading '/', "" is the root; any bytes but NUL */
	const char *path;
	size_t path_len;
	const char *name; /* last component, inside path */
	struct entry_stat st;
	enum entry_state state;
	int os;     /* errno for UNREADABLE */
	bool block; /* content is cut in aligned blocks (image, block device) */
	void *priv; /* the source's own */
};

struct source;

struct batch {
	struct source *source;
	struct entry entries[SOURCE_BATCH_MAX];
	size_t n;
	/* what follows belongs to the source */
	void *priv;
};

/* The content of one entry, open for reading. Reads may come from any one thread at a time. */
struct content;

struct source_ops {
	const char *name;
	/*
	 * The next batch, or *ret NULL at the end. Blocks. One caller. A batch
	 * stays valid until batch_free, whatever is called in between; any
	 * number may be held (each holds at most one descriptor).
	 */
	int (*next)(struct source *s, struct batch **ret, struct err *e);
	void (*batch_free)(struct source *s, struct batch *b);
	/* Fills detail (clear with entry_detail_clear). Thread-safe. Errors as of err_sys. */
	int (*load)(struct source *s, struct entry *n, struct entry_detail *ret, struct err *e);
	/* Opens the content of a regular file; n->st then is of the descriptor. Thread-safe. */
	int (*open)(struct source *s, struct entry *n, struct content **ret, struct err *e);
	/*
	 * The next data range at or after off: [*ret_start, *ret_end), both
	 * <= size; *ret_start == size when only a hole is left.
	 */
	int (*data)(struct content *c, uint64_t off, uint64_t *ret_start, uint64_t *ret_end,
	            struct err *e);
	/*
	 * The next range at or after off whose bytes may differ from those in the earlier view that
	 * the source was opened with as its base; as data(). Outside of such ranges the content,
	 * holes included, is that of what the base has at the same path, which counts only where
	 * that has the same inode number (or both are block volumes). *ret_known false: nothing
	 * is known of this content, all of it may differ; the answer is the same for each off.
	 * Where it fails, all from off on counts as changed. NULL: the source has no base.
	 */
	int (*changed)(struct content *c, uint64_t off, bool *ret_known, uint64_t *ret_start,
	               uint64_t *ret_end, struct err *e);
	/* Exactly n bytes or up to the end of file: returns bytes read, -1 with e. */
	int64_t (*read)(struct content *c, void *p, size_t n, uint64_t off, struct err *e);
	/* Closes. *ret_changed: the file's stat, now *ret_st, is not what open() saw. */
	int (*close)(struct content *c, struct entry_stat *ret_st, bool *ret_changed,
	             struct err *e);
	void (*free)(struct source *s);
};

struct source {
	const struct source_ops *ops;
};

void entry_detail_clear(struct entry_detail *d);

/* Order of paths: bytes, with '/' lowest and the end of a path lower still. */
int source_path_cmp(const char *a, size_t a_len, const char *b, size_t b_len);

/*
 * Extended attributes as one run of bytes: for each, sorted by name, uvar
 * name length, name, uvar value length, value.
 */
int source_xattr_put(struct buf *b, const char *name, const void *value, size_t n);
/* Next attribute at *pos; false at the end or when malformed (*ret_bad set). */
bool source_xattr_next(const uint8_t *xattrs, size_t len, size_t *pos, const char **ret_name,
                       size_t *ret_name_len, const uint8_t **ret_value, size_t *ret_value_len,
                       bool *ret_bad);

#endif
