/* SPDX-License-Identifier: Apache-2.0 */
/* Which volume and which restore point a user's text means, by the catalog alone. */
#ifndef AKSDR_CATALOG_FIND_H
#define AKSDR_CATALOG_FIND_H

#include "catalog/catalog.h"
#include "repo/point.h"

/*
 * The volume whose name is text, or ends with it behind a '/'.
 *   ERR_NOT_FOUND  none, or several; the message lists what there is
 */
MUST_CHECK int find_volume(struct catalog *c, const char *text, char ret_voltag[17], struct err *e);

/*
 * The restore point that text names: a session, an id (or 4 digits of it or
 * more), "NAME" or "NAME@latest" (the newest that is in the store), "NAME@ID",
 * "NAME@TIME" (the newest whose freeze time is at or before it).
 *   ERR_NOT_FOUND  none, or several
 */
MUST_CHECK int find_point(struct catalog *c, const char *text,
                          char ret_session[POINT_SESSION_LEN + 1], struct err *e);

#endif
