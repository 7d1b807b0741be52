/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of aksdr-agent, one file each. */
#ifndef AKSDR_AGENT_CMD_H
#define AKSDR_AGENT_CMD_H

#include "common/verb.h"

extern const struct verb cmd_backup, cmd_doctor, cmd_hold, cmd_init, cmd_inventory,
	cmd_policies_check, cmd_reconcile, cmd_run;

#endif
