/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of a pack, read from where it is: header, trailer, footer, in
 * mostly two requests. What the bytes mean is in pack.h.
 */
#ifndef AKSDR_REPO_FRAME_H
#define AKSDR_REPO_FRAME_H

#include "common/buf.h"
#include "common/err.h"
#include "repo/pack.h"

/* A pack in a store. */
struct frame {
	/* Reads n bytes at off; as store_get(). */
	int (*get)(void *arg, const char *name, uint64_t off, void *p, size_t n, struct err *e);
	void *arg;
	const char *name; /* of the object */
	const uint8_t *id;
	uint64_t len; /* of the object */
};

/*
 * Reads the whole header into head, whatever was there.
 *   ERR_CORRUPT, ERR_FORMAT  it is damaged, or another one's; and what get() returns
 */
MUST_CHECK int frame_header(const struct frame *f, struct buf *head, struct pack_header *ret,
                            struct err *e);

/*
 * Reads and verifies the trailer, and reads the footer; *ret_footer points into tail, which is
 * overwritten. Errors as above, and ERR_DENIED of a signer that is not known.
 */
MUST_CHECK int frame_footer(const struct frame *f, const struct keys *keys, struct buf *tail,
                            struct pack_trailer *ret, const uint8_t **ret_footer, struct err *e);

#endif
