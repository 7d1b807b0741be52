/* SPDX-License-Identifier: Apache-2.0 */
/* The freezer gives up what it does not need: all capabilities but one, and dumps of its memory. */
#ifndef AKSDR_FREEZER_RIGHTS_H
#define AKSDR_FREEZER_RIGHTS_H

#include <stdbool.h>

#include "common/err.h"

/* Whether CAP_SYS_ADMIN is there, without giving up anything: else ERR_DENIED. */
MUST_CHECK int rights_check(struct err *e);

/*
 * Keeps CAP_SYS_ADMIN, and with search CAP_DAC_READ_SEARCH as well if it is there, and nothing
 * else, now and in whatever would be executed; forbids new privileges, core dumps and a debugger
 * of the same user.
 *   ERR_DENIED  CAP_SYS_ADMIN is missing
 */
MUST_CHECK int rights_keep(bool search, struct err *e);

/* Has the kernel end other processes first when memory is short, where that is allowed. */
void rights_outlive(void);

#endif
