/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notes: small sealed and signed objects (docs/FORMAT.md 5) whose plain text
 * is JSON, with a list behind it or not: session markers, commits,
 * tombstones, holds, what a collection decided. One way to put and to read
 * all of them.
 */
#ifndef AKSDR_REPO_NOTE_H
#define AKSDR_REPO_NOTE_H

#include <jansson.h>

#include "common/buf.h"
#include "common/err.h"
#include "repo/repo.h"

#define NOTE_KEY_MAX 160
#define NOTE_LIST_MAX (64 * MIB) /* of a note with a list, in all */
#define NOTE_ENVELOPE_BYTES 124  /* around the plain text */

/*
 * Seals o as the object `key` of this kind and puts it. A put whose answer was lost may meet
 * itself: the same bytes there are success. ret_object, when not NULL, gets the object.
 *   ERR_EXISTS  the key is taken by another object
 *   ERR_DENIED  this key file cannot sign
 */
MUST_CHECK int note_put(const struct repo *r, char kind, const char *key, const json_t *o,
                        struct buf *ret_object, struct err *e);

/* The same with a list of bytes behind the JSON (docs/FORMAT.md 12). */
MUST_CHECK int note_put_list(const struct repo *r, char kind, const char *key, const json_t *o,
                             const struct buf *list, struct err *e);

/*
 * Seals, padded with spaces so that the object has exactly `bytes` bytes (0: as it is).
 */
MUST_CHECK int note_seal(const struct repo *r, char kind, const char *key, const json_t *o,
                         size_t bytes, struct buf *ret, struct err *e);

/* Seals with a list of bytes behind the JSON. */
MUST_CHECK int note_seal_list(const struct repo *r, char kind, const char *key, const json_t *o,
                              const struct buf *list, struct buf *ret, struct err *e);

/* Puts an object that is sealed already; as note_put(). */
MUST_CHECK int note_put_sealed(const struct repo *r, const char *key, const struct buf *object,
                               struct err *e);

/*
 * Reads and opens a note; what names it in messages about its JSON. ret_signer may be NULL.
 *   ERR_NOT_FOUND, ERR_CORRUPT, ERR_DENIED, ERR_FORMAT, ERR_TOO_BIG, or the store's
 */
MUST_CHECK int note_get(const struct repo *r, char kind, const char *key, json_t **ret,
                        uint8_t ret_signer[FORMAT_SIGNER_BYTES], struct err *e);
MUST_CHECK int note_get_list(const struct repo *r, char kind, const char *key, json_t **ret,
                             struct buf *ret_list, uint8_t ret_signer[FORMAT_SIGNER_BYTES],
                             struct err *e);

/* The same for bytes that are at hand. */
MUST_CHECK int note_open_list(const struct repo *r, char kind, const char *key, const uint8_t *p,
                              size_t n, json_t **ret, struct buf *ret_list,
                              uint8_t ret_signer[FORMAT_SIGNER_BYTES], struct err *e);
MUST_CHECK int note_open(const struct repo *r, char kind, const char *key, const uint8_t *p,
                         size_t n, json_t **ret, uint8_t ret_signer[FORMAT_SIGNER_BYTES],
                         struct err *e);

/* ERR_FORMAT unless o's schema is this one. */
MUST_CHECK int note_schema(const json_t *o, const char *what, const char *schema, struct err *e);

/* True for an error that is about the object itself, and not about the way to it. */
bool note_is_bad(const struct err *e);

/* Where notes lie, but for commits: below a prefix all are of one kind, with a list or without. */
struct note_place {
	const char *prefix;
	char kind;
	bool list;
};
#define NOTE_PLACES 14
extern const struct note_place note_places[NOTE_PLACES];

/* "PREFIX/DAY/RANDOM" with 32 random digits. */
void note_new_key(const char *prefix, char ret[NOTE_KEY_MAX]);
/* True for "DAY/RANDOM". */
bool note_name_valid(const char *name);

#define NOTE_NUMBER_MAX 99999999
/*
 * Notes that are numbered: "PREFIX/00000001" and so on, each number once. Puts
 * under the first number from `first` on that is free.
 */
MUST_CHECK int note_put_numbered(const struct repo *r, char kind, const char *prefix,
                                 uint64_t first, const json_t *o, uint64_t *ret_number,
                                 struct err *e);
void note_number_key(const char *prefix, uint64_t n, char ret[NOTE_KEY_MAX]);
/* The number that a name below the prefix is; false: none. */
bool note_number(const char *name, uint64_t *ret);

/* Who acts: the user's name (or number) and the host, for records. */
struct note_actor {
	char user[128];
	char host[256];
};
void note_actor(struct note_actor *ret);

#endif
