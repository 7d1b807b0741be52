/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for keys: locked against swapping, left out of core dumps, guarded
 * on both sides and wiped when freed (sodium_malloc). secret_init() runs
 * once per program, before threads; it also forbids core dumps
 * (PR_SET_DUMPABLE 0, RLIMIT_CORE 0).
 */
#ifndef AKSDR_COMMON_SECRET_H
#define AKSDR_COMMON_SECRET_H

#include <stdint.h>

#include "common/clean.h"
#include "common/err.h"

/* Starts libsodium. 0, or -1 with ERR_BUG. Idempotent. */
MUST_CHECK int secret_init(struct err *e);

/* n zeroed bytes (locked when RLIMIT_MEMLOCK allows), or NULL. */
void *secret_new(size_t n);
void secret_free(void *p); /* wipes; NULL is fine */

static inline void clean_secret(void *p)
{
	secret_free(*(void **)p);
}

#define auto_secret CLEANUP(clean_secret)

/* Overwrites in a way the compiler keeps. */
void secret_wipe(void *p, size_t n);

/* Fills with random bytes from the kernel's generator. */
void secret_random(void *p, size_t n);

#endif
