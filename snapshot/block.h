/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block device or the image of one as a source: a single entry, the root,
 * with the content in aligned blocks.
 */
#ifndef AKSDR_SNAPSHOT_BLOCK_H
#define AKSDR_SNAPSHOT_BLOCK_H

#include "common/source.h"
#include "snapshot/ranges.h"

/*
 * Opens a block device, or a regular file as an image (holes are told by
 * data()). drop_cache: its pages leave the cache after reading. The entry of
 * a device has the time of this call as its times, because the device's own
 * tell nothing of its content: it always looks changed.
 *   ERR_NOT_FOUND  there is no such path
 *   ERR_INVALID    it is neither a block device nor a regular file
 *   ERR_DENIED, ERR_NOMEM, ERR_IO
 */
MUST_CHECK struct source *block_open(const char *path, bool drop_cache, struct err *e);

/*
 * The same with a base: the source tells by changed() that nothing but these ranges may differ from
 * it. They are owned, also on failure.
 */
MUST_CHECK struct source *block_open_changed(const char *path, bool drop_cache,
                                             struct ranges *take_ranges, struct err *e);

/* Size in bytes of a block device or image open at fd. 0, or -1 with errno. */
MUST_CHECK int block_size(int fd, uint64_t *ret_bytes);

#endif
