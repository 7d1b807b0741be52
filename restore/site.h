/* SPDX-License-Identifier: Apache-2.0 */
/* Names of sites as people write them: CLUSTER[/NAMESPACE[/NAME]]. Pure. */
#ifndef AKSDR_RESTORE_SITE_H
#define AKSDR_RESTORE_SITE_H

#include <jansson.h>

#include "common/buf.h"
#include "common/err.h"
#include "repo/fence_change.h"

/* ERR_INVALID: it names nothing, or a part is empty in the wrong place, or too long. */
MUST_CHECK int site_parse(const char *text, struct fence_target *ret, struct err *e);

/* Appends the names of `volumes` of the facts of a fence (docs/FORMAT.md 16), with commas. */
void site_names(const json_t *volumes, struct buf *b);

#endif
