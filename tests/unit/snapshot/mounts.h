/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests need that not every machine allows: mounts, in a mount namespace
 * of their own, so that they are gone with the process, loop devices
 * included, however it ends; and a way to say what was left out.
 */
#ifndef AKSDR_TESTS_UNIT_SNAPSHOT_MOUNTS_H
#define AKSDR_TESTS_UNIT_SNAPSHOT_MOUNTS_H

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "tests/harness/harness.h"

extern char **environ;

/*
 * Ends a test that could not run, with the reason; NULL: it could. A test's
 * body returns the reason, so that what it made is cleaned up before.
 */
static inline void left_out(const char *why)
{
	if (!why)
		return;
	print_message("left out: %s\n", why);
	skip();
}

/* Call before threads start. false: this process may not mount. */
static inline bool mounts_private(void)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0;
}

/* Exit status of a program run without output, or -1 when there is none of this name. */
static inline int mounts_command(const char *const *argv)
{
	posix_spawn_file_actions_t actions;
	char *args[12] = { NULL };
	pid_t pid;
	int status;

	for (size_t i = 0; argv[i] && i < ARRAY_LEN(args) - 1; i++)
		args[i] = strdup(argv[i]);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	int rc = posix_spawnp(&pid, args[0], &actions, NULL, args, environ);
	posix_spawn_file_actions_destroy(&actions);
	for (size_t i = 0; i < ARRAY_LEN(args); i++)
		free(args[i]);
	if (rc != 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/*
 * A file system of its own at DIR/mnt, on a loop device: mkfs is the program
 * that makes it, with up to two options. false: not possible here.
 */
static inline bool mounts_loop(const char *dir, const char *mkfs, const char *option,
                               const char *value)
{
	auto_free char *image = path_join(dir, "image");
	auto_free char *at = path_join(dir, "mnt");
	const char *make[] = { mkfs,  "-q", option ? option : image, option ? value : NULL,
		               image, NULL };
	const char *mount_it[] = { "mount", "-o", "loop", image, at, NULL };

	int fd = open(image, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 320 * MIB) < 0)
		harness_die("creating '%s'", image);
	(void)close(fd);
	if (mkdir(at, 0755) < 0)
		harness_die("creating '%s'", at);
	return mounts_command(make) == 0 && mounts_command(mount_it) == 0;
}

static inline void mounts_undo(const char *dir, const char *name)
{
	auto_free char *at = path_join(dir, name);

	(void)umount2(at, MNT_DETACH);
}

#endif
