/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 of two messages at once, for CPUs with SHA instructions. One message
 * leaves the unit idle for half the time, because each instruction waits for
 * the one before it; the pages of a chunk are independent, so two can share
 * it. Everything else about hashing stays with libcrypto.
 */
#ifndef AKSDR_REPO_SHA256PAIR_H
#define AKSDR_REPO_SHA256PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether this CPU can. */
bool sha256pair_supported(void);

/*
 * Takes n blocks of 64 bytes of each message into its state (eight words, as
 * FIPS 180-4 6.2.2 has them). Only when sha256pair_supported().
 */
void sha256pair_blocks(uint32_t state_a[8], const uint8_t *a, uint32_t state_b[8], const uint8_t *b,
                       size_t n);

#endif
