/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of what is kept in notes: notes as no program of ours writes
 * them, a signer whom the repository does not know, and a store that fails
 * when it is told to.
 */
#ifndef AKSDR_TESTS_UNIT_REPO_NOTE_KIT_H
#define AKSDR_TESTS_UNIT_REPO_NOTE_KIT_H

#include "tests/harness/repo_kit.h"

#include <sodium.h>

#include "repo/note.h"

/* ---- notes ---- */

/* Seals these bytes with r's keys and puts them in the place of what is at key. */
static inline void note_kit_put(const struct repo *r, char kind, const char *key, const void *p,
                                size_t n)
{
	CLEANUP(buf_clear) struct buf sealed = BUF_INIT(64 * MIB + KIB);
	uint8_t point_key[32];

	ok(keys_point_key(r->keys, point_key, e));
	ok(crypt_object_seal(r->keys, kind, point_key, key, p, n, &sealed, e));
	ok(store_delete(r->store, key, e));
	ok(put_bytes(r->store, key, sealed.data, sealed.len, e));
}

static inline void note_kit_text(const struct repo *r, char kind, const char *key, const char *json)
{
	note_kit_put(r, kind, key, json, strlen(json));
}

/* The form of a note with a list: how long the JSON is, the JSON, the list. */
static inline void note_kit_list(const struct repo *r, char kind, const char *key, const char *json,
                                 const void *list, size_t n)
{
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(64 * MIB);

	assert_int_equal(buf_u32(&plain, (uint32_t)strlen(json)), 0);
	assert_int_equal(buf_str(&plain, json), 0);
	assert_int_equal(buf_put(&plain, list, n), 0);
	note_kit_put(r, kind, key, plain.data, plain.len);
}

static inline size_t note_kit_count(const struct kit *k, const char *prefix)
{
	static struct kit_names names;

	kit_list(k, prefix, &names);
	return names.n;
}

/* ---- a signer whom nobody knows ---- */

struct stranger {
	struct repo repo; /* as the one it was made from, but it signs with a key of its own */
	struct keys keys;
	struct key_secrets secrets;
};

static inline void stranger_init(struct stranger *s, const struct repo *r)
{
	s->repo = *r;
	s->keys = *r->keys;
	s->secrets = *r->keys->s;
	s->keys.s = &s->secrets;
	s->repo.keys = &s->keys;
	assert_int_equal(crypto_sign_keypair(s->keys.sign_public, s->secrets.sign_secret), 0);
	key_signer_id(s->keys.signer_id, s->keys.sign_public);
}

/* ---- a store that fails ---- */

struct trouble {
	enum store_call call;
	const char *prefix; /* of the key, or of the list's prefix; NULL: any */
	enum store_fault fault;
	unsigned skip;  /* calls that go well before */
	unsigned times; /* how often it fails then */
	unsigned calls; /* such calls so far */
};

static inline enum store_fault trouble_decide(void *arg, uint64_t n, enum store_call call,
                                              const char *key)
{
	struct trouble *t = arg;

	(void)n;
	if (call != t->call || (t->prefix && strncmp(key, t->prefix, strlen(t->prefix)) != 0))
		return FAULT_NONE;
	t->calls++;
	if (t->calls <= t->skip || t->calls > t->skip + t->times)
		return FAULT_NONE;
	return t->fault;
}

/* Puts another store between the repositories of the kit and their store. */
static inline void kit_use_store(struct kit *k, struct store *take_store)
{
	assert_non_null(take_store);
	k->store = take_store;
	k->recovery->store = take_store;
	k->agent->store = take_store;
	k->audit->store = take_store;
}

/* From now on the plan is asked; it is borrowed and may be changed at any time. */
static inline void kit_trouble(struct kit *k, struct trouble *t)
{
	struct err err = ERR_INIT;

	kit_use_store(k, store_fault_new(k->store, trouble_decide, t, &err));
}

#endif
