/* SPDX-License-Identifier: Apache-2.0 */
/* See spawn.h. */
#include "common/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <unistd.h>

static int set_up(const struct spawn *s, posix_spawn_file_actions_t *files, posix_spawnattr_t *attr)
{
	const short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	sigset_t none, all;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawnattr_setsigmask(attr, &none);
	(void)posix_spawnattr_setsigdefault(attr, &all);
	(void)posix_spawnattr_setpgroup(attr, 0);
	int os = posix_spawnattr_setflags(attr,
	                                  (short)(flags | (s->session ? POSIX_SPAWN_SETSID
	                                                              : POSIX_SPAWN_SETPGROUP)));
	if (os == 0)
		os = s->in <= 0 ? posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null",
		                                                   O_RDONLY, 0)
		                : posix_spawn_file_actions_adddup2(files, s->in, STDIN_FILENO);
	if (os == 0)
		os = s->out < 0 ? posix_spawn_file_actions_addopen(files, STDOUT_FILENO,
		                                                   "/dev/null", O_WRONLY, 0)
		                : posix_spawn_file_actions_adddup2(files, s->out, STDOUT_FILENO);
	if (os == 0 && s->err >= 0)
		os = posix_spawn_file_actions_adddup2(files, s->err, STDERR_FILENO);
	if (os == 0 && s->third >= 0)
		os = posix_spawn_file_actions_adddup2(files, s->third, STDERR_FILENO + 1);
	if (os == 0)
		os = posix_spawn_file_actions_addclosefrom_np(files,
		                                              STDERR_FILENO +
		                                                      (s->third >= 0 ? 2 : 1));
	return os;
}

int spawn_start(const struct spawn *s, pid_t *ret)
{
	char *const *env = s->env ? (char *const *)(uintptr_t)s->env : environ;
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;

	int os = posix_spawn_file_actions_init(&files);
	if (os != 0)
		return os;
	os = posix_spawnattr_init(&attr);
	if (os != 0) {
		(void)posix_spawn_file_actions_destroy(&files);
		return os;
	}
	os = set_up(s, &files, &attr);
	if (os == 0)
		os = posix_spawnp(ret, s->program, &files, &attr, (char *const *)(uintptr_t)s->argv,
		                  env);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&files);
	return os;
}
