/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store in memory that can be copied at once and changed behind the back of
 * whoever uses it: what a store does that loses, damages or exchanges objects.
 * Copies share the bytes of objects, so that one for each of thousands of cases
 * costs nothing. A helper that fails ends the program.
 */
#ifndef AKSDR_TESTS_DAMAGE_STORE_H
#define AKSDR_TESTS_DAMAGE_STORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/* The bytes of an object; shared, never changed. */
struct damage_bytes {
	atomic_uint refs;
	size_t n;
	uint8_t data[];
};

struct damage_object {
	char *key; /* owned */
	int64_t received_ns;
	struct damage_bytes *bytes; /* a reference */
};

struct damage_store {
	struct store base;
	pthread_mutex_t lock;
	struct damage_object *v; /* guarded by lock; by key */
	size_t n, cap;
};

struct damage_store *damage_store_new(void);
struct damage_store *damage_store_copy(struct damage_store *from);
static inline void clean_damage_store(struct damage_store *const *s)
{
	if (*s)
		store_free(&(*s)->base);
}
#define auto_damage_store CLEANUP(clean_damage_store)

/* An object, or NULL. Valid as long as nobody else changes the store. */
const struct damage_object *damage_store_find(const struct damage_store *s, const char *key);

/* Other bytes for an object, which may be new; its time of receipt stays. */
void damage_store_set(struct damage_store *s, const char *key, const void *p, size_t n);

/* Forgets an object, which need not be there. */
void damage_store_remove(struct damage_store *s, const char *key);

/* Exchanges the bytes of two objects. */
void damage_store_swap(struct damage_store *s, const char *a, const char *b);

/* All below the prefix is as it is in `from`: what is not there goes. */
void damage_store_take(struct damage_store *s, const struct damage_store *from, const char *prefix);

#endif
