/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Index segments (docs/FORMAT.md 7): decoding, and writing them from packs
 * that are on the store. A segment names whole packs with the places of their
 * chunks, sorted by id.
 */
#ifndef AKSDR_REPO_SEGMENT_H
#define AKSDR_REPO_SEGMENT_H

#include <pthread.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/key.h"
#include "repo/pack.h"
#include "store/store.h"

/* Bytes of a segment's plain text, at most, and of its object. */
#define SEGMENT_PLAIN_MAX \
	(8 + FORMAT_ENTRIES_MAX * (FORMAT_INDEX_PACK_BYTES + FORMAT_INDEX_ENTRY_BYTES))
#define SEGMENT_OBJECT_MAX (SEGMENT_PLAIN_MAX + KIB)

/* A segment's plain text, validated; borrowed bytes. */
struct segment_view {
	const uint8_t *packs;   /* npacks records */
	const uint8_t *entries; /* nentries records */
	uint32_t npacks, nentries;
};

/* A pack as a segment names it. */
struct segment_pack {
	uint8_t id[FORMAT_PACK_ID_BYTES];
	uint8_t kind; /* CHUNK_DATA or CHUNK_NODE */
	uint64_t len; /* of the object */
};

/* Pure: validates everything. ERR_FORMAT. */
MUST_CHECK int segment_decode(const uint8_t *p, size_t n, struct segment_view *ret, struct err *e);
/* Returns the number of its pack. */
uint32_t segment_view_ref(const struct segment_view *v, uint32_t i, struct chunk_ref *ret);
void segment_view_pack(const struct segment_view *v, uint32_t i, struct segment_pack *ret);

/*
 * Fetches and opens the segment of this key of the domain; its plain text goes into b, whose cap
 * must be SEGMENT_PLAIN_MAX.
 *   ERR_NOT_FOUND                       it is gone
 *   ERR_CORRUPT, ERR_FORMAT, ERR_TOO_BIG  it is damaged, or of somebody else; key_is_void(): its
 *                                       signer was revoked, and it does not count
 */
MUST_CHECK int segment_fetch(struct store *store, const struct keys *keys,
                             const struct domain_keys *domain, const char *key, struct buf *b,
                             struct segment_view *ret, struct err *e);

/*
 * Lets threads that open segments wait until those under way leave room, so that their number does
 * not decide how much memory is used. One segment is always let through. bytes: of the object.
 */
struct segment_gate {
	pthread_mutex_t lock;
	pthread_cond_t left;
	uint64_t bytes; /* under way; guarded by lock */
};
#define SEGMENT_GATE_INIT                                                            \
	{                                                                            \
		.lock = PTHREAD_MUTEX_INITIALIZER, .left = PTHREAD_COND_INITIALIZER, \
	}
void segment_gate_enter(struct segment_gate *g, uint64_t bytes);
void segment_gate_leave(struct segment_gate *g, uint64_t bytes);

/* ---- writing ---- */

struct segment_writer;

struct segment_writer_params {
	struct store *store;
	const struct keys *keys;
	const struct domain_keys *domain;
	const char *session; /* "DAY/VOLTAG-RANDOM"; copied */
	size_t entries_max;  /* more are written at once as a segment; 0: 65536 */
	/* Told of each segment that is written; name is below idx/DTAG/. May be NULL. */
	void (*learned)(void *arg, const char *name, const struct segment_view *v);
	void *arg;
};

MUST_CHECK int segment_writer_new(const struct segment_writer_params *p,
                                  struct segment_writer **ret, struct err *e);
void segment_writer_free(struct segment_writer *w); /* what was not flushed is dropped */
static inline void clean_segment_writer(struct segment_writer *const *w)
{
	segment_writer_free(*w);
}
#define auto_segment_writer CLEANUP(clean_segment_writer)

/*
 * Takes note of a pack that is on the store, and of n of its entries. Of
 * entries with one id in a segment the one of the smaller pack id stays. Writes
 * a segment when there are enough. Thread-safe.
 */
MUST_CHECK int segment_add(struct segment_writer *w, const struct segment_pack *pack,
                           const struct chunk_ref *refs, size_t n, struct err *e);

/*
 * The same for several packs, of which those with stays[i] are told, and n entries of them in any
 * order.
 */
MUST_CHECK int segment_add_all(struct segment_writer *w, const struct segment_pack *packs,
                               const bool *stays, size_t npacks, const struct chunk_ref *refs,
                               size_t n, struct err *e);

/* Writes what is left as a segment; nothing when nothing is. Thread-safe. */
MUST_CHECK int segment_flush(struct segment_writer *w, struct err *e);

size_t segment_pending(struct segment_writer *w); /* entries not yet written. Thread-safe */

/* Hands over the keys of what was written: malloc'ed array of malloc'ed texts. */
void segment_names(struct segment_writer *w, char ***ret_names, size_t *ret_n);

/* Keys of what several writers of a session have written. */
struct segment_list {
	char **v; /* owned */
	size_t n;
};
void segment_list_clear(struct segment_list *l);
/* Writes what is left, and appends the keys of what this writer has written. */
MUST_CHECK int segment_finish(struct segment_writer *w, struct segment_list *l, struct err *e);

/* The entries of a finished pack as references. */
void segment_ref_of(const struct pack_entry *entry, const uint8_t pack[FORMAT_PACK_ID_BYTES],
                    struct chunk_ref *ret);

/* "DAY/VOLTAG-RANDOM" of a segment's name below idx/DTAG/; false: it is no name of one. */
bool segment_session(const char *name, char ret_session[96]);

#endif
