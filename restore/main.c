/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-restore: finds restore points and brings them back. */
#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/act.h"
#include "repo/trail.h"
#include "restore/cmd.h"

/* A restore keeps some hundred files open; the usual soft limit is near that. */
static void raise_files(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur >= 65536)
		return;
	l.rlim_cur = l.rlim_max < 65536 ? l.rlim_max : 65536;
	(void)setrlimit(RLIMIT_NOFILE, &l);
}

/* What is recorded of these verbs, and what only when reading is to be. */
static const struct verb_act acts[] = {
	{ "volume", "restore", ACT_ARG },
	{ "get", "restore-files", ACT_ARG },
	{ "export", "export", ACT_ARG },
	{ "mount", "mount", ACT_LONG | ACT_ARG },
	{ "run", "restore-plan", ACT_LONG },
	{ "failover", "failover", ACT_LONG },
	{ "failback", "failback", ACT_LONG },
	{ "standby", "standby", ACT_LONG },
	{ "drill", "drill", ACT_LONG },
	{ "approve", "approve", ACT_OPENS | ACT_ARGS },
	{ "populate", "populate", ACT_LONG },
	{ "promote", "promote", ACT_ARGS },
	{ "fence", "fence", ACT_ARGS },
	{ "unfence", "unfence", ACT_ARGS },
	{ "accept", "accept", ACT_ARGS },
	{ "points", "list", ACT_READS | ACT_ARGS },
	{ "show", "show", ACT_READS | ACT_ARG },
	{ "ls", "list-files", ACT_READS | ACT_ARG },
	{ "diff", "compare", ACT_READS | ACT_ARG },
	{ "plan", "plan", ACT_READS },
	{ "drills", "list", ACT_READS },
	{ "fences", "list", ACT_READS },
	{ NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
	const struct verb verbs[] = {
		cmd_points,  cmd_show,   cmd_ls,      cmd_get,     cmd_export,   cmd_diff,
		cmd_mount,   cmd_volume, cmd_plan,    cmd_run,     cmd_failover, cmd_failback,
		cmd_standby, cmd_drill,  cmd_drills,  cmd_approve, cmd_populate, cmd_promote,
		cmd_serve,   cmd_fence,  cmd_unfence, cmd_accept,  cmd_fences,   { .name = NULL },
	};
	const struct verb_program program = {
		.name = "aksdr-restore",
		.summary = "find restore points and bring volumes back",
		.text = "aksdr-restore needs two things: the store's URL and the recovery key. But "
			"for fencing a site and promoting another it changes nothing in the "
			"store, and leaves no more than a note that a point is being read, where "
			"the key may put one. All that it reads is authenticated: what it "
			"restores is exactly what was backed up, or it says what is missing.",
		.verbs = verbs,
		.acts = acts,
		.acted = trail_acted,
	};

	/* Modes are given to the calls that make files, and are meant exactly. */
	(void)umask(0);
	raise_files();
	/*
	 * Nodes of the tree come and go; giving their memory back each time costs more than it
	 * saves.
	 */
	(void)mallopt(M_MMAP_THRESHOLD, 4 * 1024 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 32 * 1024 * 1024);
	(void)mallopt(M_ARENA_MAX, 4);
	return verb_main(&program, argc, argv);
}
