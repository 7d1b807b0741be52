/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cluster said of a claim and its volume when that was backed up: the member `claim` of
 * a point's `capture` (docs/FORMAT.md 9). For whoever makes the claim anew elsewhere: class, size,
 * zones, labels, and the images of the pods that used it. Facts: no restore depends on them.
 */
#ifndef AKSDR_REPO_CLAIM_H
#define AKSDR_REPO_CLAIM_H

#include <jansson.h>
#include <stdint.h>

#include "common/err.h"
#include "common/num.h"

#define CLAIM_MAX (32 * KIB) /* bytes of all of it, as JSON without spaces */
#define CLAIM_MODES_MAX 4
#define CLAIM_ZONES_MAX 16
#define CLAIM_OWNERS_MAX 4
#define CLAIM_IMAGES_MAX 32
#define CLAIM_WORD_MAX 512 /* bytes of a text, but for values of annotations */

/*
 * Whether it is what a point may say of a claim. Members that are not known here are no mistake.
 *   ERR_FORMAT   names the member that makes no sense
 *   ERR_TOO_BIG  it is over CLAIM_MAX
 */
MUST_CHECK int claim_check(const json_t *claim, struct err *e);

/* A text of it, as `storage_class`, `driver`; "" when it is not there. Borrowed. */
const char *claim_text(const json_t *claim, const char *member);

/* Bytes of the volume; 0: not known. */
uint64_t claim_size(const json_t *claim);

/* The texts of a list of it, as `zones`, with ", " between them; what does not fit is left out. */
void claim_join(const json_t *claim, const char *member, char *ret, size_t max);

#endif
