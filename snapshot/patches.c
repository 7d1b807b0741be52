/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept is a row of heads, each followed by its bytes if it has
 * any: first one with the size of a file, then its ranges.
 */
#include "snapshot/patches.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "common/now.h"
#include "common/num.h"
#include "snapshot/fiemap.h"

#define PIECE_BYTES (256 * KIB)
#define MEMORY (8 * MIB)     /* of what is kept, before it goes to a file */
#define BLOCK_MAX (64 * KIB) /* of a file system */

enum what { FILE_SIZE, RANGE_DATA, RANGE_HOLE };

struct head {
	uint64_t ino;
	uint64_t off; /* FILE_SIZE: the size */
	uint64_t len;
	uint64_t what;
};

int patches_open(struct patches *ret, const char *scratch_dir, uint64_t max_bytes, struct err *e)
{
	*ret = PATCHES_NONE;
	ret->max_bytes = max_bytes;
	ret->until_ns = INT64_MAX;
	if (spill_open(&ret->kept, scratch_dir, MEMORY, e) < 0)
		return -1;
	ret->piece = malloc(PIECE_BYTES);
	if (!ret->piece)
		return err_set(e, ERR_NOMEM, "no memory to copy what changes");
	return 0;
}

void patches_close(struct patches *p)
{
	spill_close(&p->kept);
	free(p->piece);
	*p = PATCHES_NONE;
}

static int put(struct patches *p, const void *bytes, size_t n, const char *name, struct err *e)
{
	if (p->max_bytes - p->kept.len < n) {
		struct num_text max = num_bytes_text(p->max_bytes);

		return err_set(e, ERR_TOO_BIG,
		               "over %s have changed since the first copy, with '%s'; they cannot "
		               "be kept aside while nobody may write",
		               max.s, name);
	}
	return spill_add(&p->kept, bytes, n, e);
}

static int put_head(struct patches *p, struct head h, const char *name, struct err *e)
{
	return put(p, &h, sizeof(h), name, e);
}

static int in_time(const struct patches *p, struct err *e)
{
	if (now_mono_ns() < p->until_ns)
		return 0;
	return err_set(e, ERR_RETRY,
	               "too much has changed since the first copy to be kept aside before the file "
	               "system has to be thawed");
}

static int put_data(struct patches *p, uint64_t ino, int from, uint64_t off, uint64_t end,
                    const char *name, struct err *e)
{
	while (off < end) {
		size_t want = end - off < PIECE_BYTES ? (size_t)(end - off) : PIECE_BYTES;
		ssize_t n = fd_pread_full(from, p->piece, want, off);

		if (n < 0)
			return err_sys(e, errno, "reading '%s'", name);
		if ((size_t)n < want)
			return err_set(e, ERR_BUSY, "'%s' changes although nobody may write to it",
			               name);
		if (in_time(p, e) < 0)
			return -1;
		const struct head h = { .ino = ino, .off = off, .len = want, .what = RANGE_DATA };
		if (put_head(p, h, name, e) < 0 || put(p, p->piece, want, name, e) < 0)
			return -1;
		off += want;
	}
	return 0;
}

int patches_note(struct patches *p, uint64_t ino, int from, int clone, uint64_t size,
                 const char *name, struct err *e)
{
	struct fiemap_reader a, b;
	struct stat st = { 0 };
	uint64_t end;
	bool hole;

	if (clone >= 0 && fstat(clone, &st) < 0)
		return err_sys(e, errno, "looking at the copy of '%s'", name);
	const struct head h = { .ino = ino, .off = size, .what = FILE_SIZE };
	if (in_time(p, e) < 0 || put_head(p, h, name, e) < 0)
		return -1;
	fiemap_open(&a, from, size);
	fiemap_open(&b, clone, (uint64_t)st.st_size);
	for (uint64_t off = 0; off < size; off = end) {
		if (fiemap_differ(&a, &b, &off, &end, &hole) < 0)
			return err_sys(e, errno, "asking where '%s' lies on the disk", name);
		const struct head none = { .ino = ino,
			                   .off = off,
			                   .len = end - off + (end == size ? BLOCK_MAX : 0),
			                   .what = RANGE_HOLE };
		if (off == size)
			break;
		/* a hole that ends in the middle of the last block would only be zeros there */
		if ((hole ? put_head(p, none, name, e)
		          : put_data(p, ino, from, off, end, name, e)) < 0)
			return -1;
	}
	return 0;
}

/* ---- afterwards ---- */

static int apply(struct patches *p, const struct head *h, uint64_t at, int to, struct err *e)
{
	int rc = 0;

	if (h->what == RANGE_DATA) {
		if (spill_read(&p->kept, p->piece, (size_t)h->len, at, e) < 0)
			return -1;
		rc = fd_pwrite_full(to, p->piece, (size_t)h->len, h->off);
	} else if (h->what == RANGE_HOLE) {
		rc = fallocate(to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)h->off,
		               (off_t)h->len);
	} else {
		rc = ftruncate(to, (off_t)h->off);
	}
	if (rc < 0)
		return err_sys(e, errno, "bringing the copy of inode %" PRIu64 " up to date",
		               h->ino);
	return 0;
}

int patches_apply(struct patches *p, const struct copies *c, struct err *e)
{
	auto_close int to = -1;
	struct head h;

	for (uint64_t at = 0; at < p->kept.len;) {
		if (spill_read(&p->kept, &h, sizeof(h), at, e) < 0)
			return -1;
		at += sizeof(h);
		if (h.what == FILE_SIZE) {
			clean_close(&to);
			to = copies_open(c, h.ino, O_WRONLY | O_CREAT);
			if (to < 0)
				return err_sys(e, errno, "opening the copy of inode %" PRIu64,
				               h.ino);
		}
		if (apply(p, &h, at, to, e) < 0)
			return -1;
		if (h.what == RANGE_DATA)
			at += h.len;
	}
	return 0;
}
