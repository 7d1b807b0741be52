/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local copies of tree packs, for remote stores: trees are read over and over
 * (each backup reads the one before, each collection all of them), and are
 * small. What lies there is authenticated like what comes from the store.
 */
#ifndef AKSDR_REPO_META_CACHE_H
#define AKSDR_REPO_META_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "repo/repo.h"

/*
 * A descriptor of the pack's local copy, which is fetched when it is missing; -1: there is none,
 * and the store has to be asked (a local store, no state directory, a full disk, no such pack).
 */
int meta_cache_open(const struct repo *r, const uint8_t id[FORMAT_PACK_ID_BYTES]);

/* Keeps a pack that was just stored, as far as that goes: the next run begins by reading it. */
void meta_cache_keep(const struct repo *r, const uint8_t id[FORMAT_PACK_ID_BYTES], const uint8_t *p,
                     size_t n);

/* Drops the copy: it is damaged, or the pack is gone. */
void meta_cache_forget(const struct repo *r, const uint8_t id[FORMAT_PACK_ID_BYTES]);

#endif
