/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of one directory, read as a whole and sorted by their bytes.
 * Names lie in one compact run of memory; an index of 12 bytes a name is
 * what gets sorted. Above LIST_HEAP_MAX bytes both move to a file mapping that
 * the kernel can write back, so that a directory of millions of names does
 * not count against the memory of the job.
 */
#ifndef AKSDR_SNAPSHOT_LIST_H
#define AKSDR_SNAPSHOT_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clean.h"

#define LIST_HEAP_MAX (16 * MIB)
#define LIST_BUFFER (128 * KIB) /* bytes asked of one getdents64() */

/* A place in the index: the bytes of the name that are being compared, and where the name is. */
struct list_item {
	uint32_t key[2];
	uint32_t at;
};

/* Memory that grows: on the heap first, then mapped. */
struct list_run {
	void *p;
	size_t len, cap; /* bytes */
	bool mapped;
};

struct list {
	struct list_run names; /* for each: one byte of type (DT_*), the name, a NUL */
	struct list_run items;
	size_t n;
};

/* Says which names stay. type is DT_*, DT_UNKNOWN when the file system does not tell. */
struct list_filter {
	bool (*keep)(void *arg, const char *name, size_t len, unsigned char type);
	void *arg;
};

/*
 * Reads the directory open at fd from its present position to the end into
 * l, which must be zeroed or hold an earlier list (its memory is used again),
 * and sorts it. "." and ".." are left out; a name that the file system gives
 * twice counts once. filter may be NULL. buffer: LIST_BUFFER bytes, aligned
 * for 64-bit numbers. scratch_dir is for fd_map_scratch().
 * Returns 0, or -1 with errno (EFBIG: over 4 GiB of names); l is empty then.
 */
int list_read(struct list *l, int fd, const struct list_filter *filter, void *buffer,
              const char *scratch_dir);

static inline const char *list_name(const struct list *l, size_t i)
{
	return (const char *)l->names.p + ((const struct list_item *)l->items.p)[i].at;
}

static inline unsigned char list_type(const struct list *l, size_t i)
{
	return (unsigned char)list_name(l, i)[-1];
}

/* Position of a name, or l->n. */
size_t list_find(const struct list *l, const char *name);

/* Keeps name i alone. i < l->n. */
void list_keep_one(struct list *l, size_t i);

/* Forgets the names; memory of up to spare bytes is kept for the next list. */
void list_reset(struct list *l, size_t spare);

void list_clear(struct list *l);

#endif
