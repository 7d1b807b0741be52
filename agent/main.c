/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-agent: makes repositories and backs volumes up. */
#include <malloc.h>

#include "agent/cmd.h"
#include "common/act.h"
#include "repo/trail.h"

/* What is recorded of these. `run` does nothing itself, but what retention lets go. */
static const struct verb_act acts[] = {
	{ "init", "init", 0 },
	{ "backup", "backup", ACT_WAITS | ACT_ARGS },
	{ NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
	const struct verb verbs[] = { cmd_init,      cmd_backup,    cmd_doctor,
		                      cmd_hold,      cmd_inventory, cmd_policies_check,
		                      cmd_reconcile, cmd_run,       { .name = NULL } };
	const struct verb_program program = {
		.name = "aksdr-agent",
		.summary = "back up volumes into an encrypted, deduplicated repository",
		.text = "aksdr-agent writes. It holds the agent key, with which nothing that was "
			"backed up can be "
			"read again: restoring is aksdr-restore's work and needs the recovery key.",
		.verbs = verbs,
		.acts = acts,
		.acted = trail_acted,
	};

	/*
	 * The pipeline recycles its large buffers itself. What malloc gets, of up to some
	 * hundred KiB, it shall keep: giving it back and faulting it in again costs more than
	 * the work on small files.
	 */
	(void)mallopt(M_MMAP_THRESHOLD, 4 * 1024 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 64 * 1024 * 1024);
	(void)mallopt(M_ARENA_MAX, 4);
	return verb_main(&program, argc, argv);
}
