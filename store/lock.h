/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which objects are put with a lock, and until when. A store knows nothing of
 * what its objects are for: it goes by their names, as docs/STORES.md tells.
 */
#ifndef AKSDR_STORE_LOCK_H
#define AKSDR_STORE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

/* False for those that are there to be deleted soon. Pure. */
bool lock_applies(const char *key);

/*
 * Until when an object is locked that is put now, with the parameter `lock`: an hour more than
 * that, so that it serves an object that names it and comes somewhat later. Seconds since 1970.
 * Pure.
 */
int64_t lock_until_s(int64_t now_s, int64_t lock_s);

#endif
