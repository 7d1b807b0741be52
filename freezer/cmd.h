/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of aksdr-freezer, one file each. */
#ifndef AKSDR_FREEZER_CMD_H
#define AKSDR_FREEZER_CMD_H

#include "common/verb.h"

extern const struct verb cmd_serve;

#endif
