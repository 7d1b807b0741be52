/* SPDX-License-Identifier: Apache-2.0 */
/* A plan the other way round: what went from the primary to the secondary goes back. Pure. */
#ifndef AKSDR_RESTORE_REVERSE_H
#define AKSDR_RESTORE_REVERSE_H

#include "restore/pick.h"
#include "restore/recipe.h"

/*
 * The document of the reversed plan, of the same name: sides and mappings change places, sizes stay
 * as they have become. Where namespaces are mapped, the volumes are those that the plan has
 * restored: `went` has them, as they were called at the primary. The caller decrefs *ret.
 *   ERR_INVALID  the plan names no secondary
 *   ERR_TOO_BIG  namespaces are mapped, and there are more than RECIPE_VOLUMES_MAX volumes
 */
MUST_CHECK int reverse_recipe(const struct recipe *r, const struct picks *went, json_t **ret,
                              struct err *e);

#endif
