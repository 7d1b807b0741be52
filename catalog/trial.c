/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clean.h"
#include "common/fd.h"
#include "common/text.h"

#define PROGRAM "aksdr-restore"
#define FDS_MAX 16        /* open at once while a directory is removed */
#define SAID_MAX 4096     /* of what the program wrote last */
#define INTEGRITY 5       /* its exit status: stored bytes are not what was written */
#define IN_PART 3         /* something is missing, and was listed */
#define NOT_FOUND_THERE 4 /* the point is gone */

extern char **environ;

/* The program beside this one. Caller frees. */
static int find_program(char **ret, struct err *e)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return err_sys(e, errno, "finding the directory of this program");
	self[n] = '\0';
	char *slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	if (asprintf(ret, "%s/" PROGRAM, self) < 0) {
		*ret = NULL;
		return err_set(e, ERR_NOMEM, "no memory for a path");
	}
	if (access(*ret, X_OK) == 0)
		return 0;
	int os = errno;
	(void)err_sys(e, os, "level 5 restores by '%s'", *ret);
	free(*ret);
	*ret = NULL;
	return -1;
}

/* ---- the scratch directory ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	(void)type;
	return remove(path);
}

/* A directory may have come without the right to empty it. */
static int open_up(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	if (type == FTW_D || type == FTW_DNR)
		(void)chmod(path, 0700);
	return 0;
}

static int remove_tree(const char *dir, struct err *e)
{
	(void)nftw(dir, open_up, FDS_MAX, FTW_PHYS | FTW_MOUNT);
	if (nftw(dir, remove_one, FDS_MAX, FTW_PHYS | FTW_DEPTH | FTW_MOUNT) < 0)
		return err_sys(e, errno, "removing '%s'", dir);
	return 0;
}

/* ---- the program ---- */

struct child {
	pid_t pid;
	int pidfd;
	int said; /* its standard error */
};

static int start(const struct trial *t, const char *program, const char *point, const char *target,
                 struct child *ret, struct err *e)
{
	const struct verb_common *c = t->common;
	const char *argv[] = { PROGRAM,    "volume",  point,     "--target", target,
		               "--verify", "--quiet", "--store", c->store,   "--key",
		               c->key,     "--state", c->state,  NULL,       NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;

	/* Owners need root's rights; a trial by somebody else is of the content. */
	if (geteuid() != 0)
		argv[ARRAY_LEN(argv) - 2] = "--no-owner";
	int os = posix_spawn_file_actions_init(&actions);
	if (os != 0)
		return err_sys(e, os, "starting '%s'", program);
	os = posix_spawnattr_init(&attr);
	if (os != 0) {
		(void)posix_spawn_file_actions_destroy(&actions);
		return err_sys(e, os, "starting '%s'", program);
	}
	(void)sigemptyset(&none);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	/* A group of its own: who is interrupted is this program, which ends the other. */
	(void)posix_spawnattr_setpgroup(&attr, 0);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	os = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (os == 0)
		os = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null",
		                                      O_WRONLY, 0);
	if (os == 0)
		os = posix_spawn_file_actions_adddup2(&actions, ret->said, STDERR_FILENO);
	if (os == 0)
		os = posix_spawn(&ret->pid, program, &actions, &attr,
		                 (char *const *)(uintptr_t)argv, environ);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&actions);
	return os != 0 ? err_sys(e, os, "starting '%s'", program) : 0;
}

/* Waits for the program; ends it when the check is cancelled. */
static int wait_for(const struct trial *t, const struct child *c, int *ret_status, struct err *e)
{
	struct pollfd fds[2] = {
		{ .fd = c->pidfd, .events = POLLIN },
		{ .fd = t->cancel ? t->cancel->fd : -1, .events = POLLIN },
	};
	bool stopped = false;

	while (c->pidfd >= 0 && !(fds[0].revents & POLLIN)) {
		if (poll(fds, stopped ? 1 : 2, -1) < 0 && errno != EINTR)
			break; /* then it is waited for without being asked to stop */
		if (!stopped && cancel_requested(t->cancel)) {
			(void)kill(c->pid, SIGTERM);
			stopped = true;
		}
	}
	while (waitpid(c->pid, ret_status, 0) < 0) {
		if (errno != EINTR)
			return err_sys(e, errno, "waiting for '" PROGRAM "'");
	}
	return cancel_check(t->cancel, e);
}

/* The last line that it wrote, without its name in front. */
static void last_line(int fd, char *ret)
{
	char text[SAID_MAX + 1];
	struct stat st;
	char step[TEXT_STEP_MAX];
	size_t len = 0;
	size_t n;

	ret[0] = '\0';
	if (fstat(fd, &st) < 0)
		return;
	off_t from = st.st_size > SAID_MAX ? st.st_size - SAID_MAX : 0;
	ssize_t got = pread(fd, text, SAID_MAX, from);
	if (got <= 0)
		return;
	while (got > 0 && text[got - 1] == '\n')
		got--;
	text[got] = '\0';
	const char *line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	if (strncmp(line, PROGRAM ": ", strlen(PROGRAM ": ")) == 0)
		line += strlen(PROGRAM ": ");
	while ((n = text_step(&line, TEXT_LINE, step)) > 0 && len + n < ERR_MSG_MAX) {
		memcpy(ret + len, step, n);
		len += n;
	}
	ret[len] = '\0';
}

/* What the end of the program says of the point. */
static int judge(int status, int said, char *ret_why, struct err *e)
{
	char line[ERR_MSG_MAX];

	ret_why[0] = '\0';
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	last_line(said, line);
	if (!WIFEXITED(status))
		return err_set(e, ERR_IO, "'" PROGRAM "' was ended by signal %d",
		               WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	int code = WEXITSTATUS(status);
	if (code != INTEGRITY && code != IN_PART && code != NOT_FOUND_THERE)
		return err_set(e, ERR_IO, "'" PROGRAM "' could not try it (exit status %d): %s",
		               code, line);
	(void)snprintf(ret_why, ERR_MSG_MAX, "%s", line[0] ? line : "it does not say why");
	return 0;
}

static int try_in(const struct trial *t, const char *program, const char *point, const char *dir,
                  char *ret_why, struct err *e)
{
	auto_free char *target = NULL;
	auto_close int said = memfd_create("said", MFD_CLOEXEC);
	auto_close int pidfd = -1;
	int status = 0;

	if (said < 0)
		return err_sys(e, errno, "making a file in memory");
	if (asprintf(&target, "%s/volume", dir) < 0) {
		target = NULL;
		return err_set(e, ERR_NOMEM, "no memory for a path");
	}
	struct child c = { .said = said };
	if (start(t, program, point, target, &c, e) < 0)
		return -1;
	pidfd = (int)syscall(SYS_pidfd_open, c.pid, 0);
	c.pidfd = pidfd;
	if (wait_for(t, &c, &status, e) < 0)
		return -1;
	return judge(status, said, ret_why, e);
}

int trial_restore(const struct trial *t, const char *point, char *ret_why, struct err *e)
{
	auto_free char *program = NULL;
	auto_free char *dir = NULL;
	struct err second = ERR_INIT;

	if (find_program(&program, e) < 0)
		return -1;
	if (asprintf(&dir, "%s/aksdr-trial-XXXXXX", t->scratch) < 0) {
		dir = NULL;
		return err_set(e, ERR_NOMEM, "no memory for a path");
	}
	if (!mkdtemp(dir))
		return err_sys(e, errno, "making a directory in '%s'", t->scratch);
	int rc = try_in(t, program, point, dir, ret_why, e);
	if (remove_tree(dir, rc < 0 ? &second : e) < 0)
		return -1;
	return rc < 0 ? err_wrap(e, "restoring '%s' on trial", point) : 0;
}
