/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's output comes by a pipe, what it says of errors goes into a file in memory. Its end
 * is seen by a pidfd, not by the end of the pipe: a service that it started may hold on to that.
 */
#include "snapshot/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/fd.h"
#include "common/now.h"
#include "common/spawn.h"
#include "common/text.h"

#define PIECE (64 * KIB)
#define GRACE_MS 5000 /* between asking it to end and killing it */
#define SAID_MAX 4096 /* bytes of its last words that are looked at */
#define LINE_MAX_BYTES 400

struct child {
	const char *name;
	pid_t pid;
	int pidfd, out;
	int said; /* its standard error */
};

static int find(const char *name, char *ret, size_t max)
{
	static const char *const dirs[] = { "/usr/sbin", "/usr/bin", "/sbin", "/bin",
		                            "/usr/local/sbin" };

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		if (snprintf(ret, max, "%s/%s", dirs[i], name) < (int)max && access(ret, X_OK) == 0)
			return 0;
	}
	return -1;
}

bool tool_exists(const char *name)
{
	char path[256];

	return find(name, path, sizeof(path)) == 0;
}

int tool_keep(void *arg, const void *p, size_t n, struct err *e)
{
	struct buf *b = arg;

	(void)buf_put(b, p, n);
	return buf_check(b, "the output of a program", e);
}

static int spawn(const char *program, const char *const *argv, int out, int said, pid_t *ret)
{
	static const char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
		                           "TZ=UTC", "LVM_SUPPRESS_FD_WARNINGS=1", NULL };
	const struct spawn s = {
		.program = program, .argv = argv, .env = env, .out = out, .err = said, .third = -1
	};

	return spawn_start(&s, ret);
}

static int start(const struct tool *t, struct child *c, struct err *e)
{
	char program[256];
	int ends[2];

	if (find(c->name, program, sizeof(program)) < 0)
		return err_set(e, ERR_UNSUPPORTED, "the program '%s' is not installed", c->name);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "starting '%s'", c->name);
	c->out = ends[0];
	auto_close int out = ends[1];
	c->said = memfd_create("said", MFD_CLOEXEC);
	if (c->said < 0)
		return err_sys(e, errno, "starting '%s'", c->name);
	int os = spawn(program, t->argv, out, c->said, &c->pid);
	if (os != 0)
		return err_sys(e, os, "starting '%s'", c->name);
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	return 0;
}

/* Reads what is there: 1 more may come, 0 the end, -1 with e. */
static int drain(const struct tool *t, const struct child *c, struct err *e)
{
	uint8_t p[PIECE];

	ssize_t n = read(c->out, p, sizeof(p));
	if (n < 0)
		return errno == EAGAIN || errno == EINTR
		               ? 1
		               : err_sys(e, errno, "reading from '%s'", c->name);
	if (n == 0)
		return 0;
	return !t->sink || t->sink(t->arg, p, (size_t)n, e) == 0 ? 1 : -1;
}

/* How its time is going. */
struct limit {
	int64_t at_ns; /* when something is to be done next */
	bool asked, killed, late;
};

static void hurry(const struct tool *t, const struct child *c, struct limit *l)
{
	if (!l->asked) {
		(void)kill(c->pid, SIGTERM);
		l->asked = true;
	} else if (!t->patient && !l->killed) {
		(void)kill(-c->pid, SIGKILL);
		l->killed = true;
	}
	l->at_ns = now_mono_ns() + (int64_t)GRACE_MS * 1000000;
}

/* Takes its output until it has ended. What the sink refuses ends it too. -1 with e. */
static int follow(const struct tool *t, const struct child *c, struct limit *l, struct err *e)
{
	struct pollfd fds[2] = { { .fd = c->out, .events = POLLIN },
		                 { .fd = c->pidfd, .events = POLLIN } };
	int rc = 0;

	l->at_ns = now_mono_ns() + (int64_t)t->timeout_ms * 1000000;
	(void)fcntl(c->out, F_SETFL, O_NONBLOCK);
	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		int64_t left_ms = (l->at_ns - now_mono_ns()) / 1000000;

		if (left_ms <= 0) {
			l->late = true;
			hurry(t, c, l);
			continue;
		}
		if (poll(fds, 2, (int)(left_ms < 60000 ? left_ms : 60000)) < 0 && errno != EINTR)
			return err_sys(e, errno, "waiting for '%s'", c->name);
		int more = fds[0].revents ? drain(t, c, e) : 1;
		if (more < 0) {
			rc = -1;
			hurry(t, c, l);
		}
		if (more <= 0)
			fds[0].fd = -1;
		/* It has ended, and what it wrote before has been read. */
		if (fds[1].revents && !fds[0].revents)
			break;
		fds[0].revents = fds[1].revents = 0;
	}
	return rc;
}

/* The last two lines that it wrote, as one: the last one alone may only say where there is help. */
static void last_words(int fd, char ret[LINE_MAX_BYTES + 1])
{
	char text[SAID_MAX + 1];
	struct stat st;
	char step[TEXT_STEP_MAX];
	size_t len = 0, n;

	ret[0] = '\0';
	if (fstat(fd, &st) < 0)
		return;
	uint64_t from = st.st_size > SAID_MAX ? (uint64_t)st.st_size - SAID_MAX : 0;
	ssize_t got = fd_pread_full(fd, text, SAID_MAX, from);
	while (got > 0 && (text[got - 1] == '\n' || text[got - 1] == ' '))
		got--;
	if (got <= 0)
		return;
	text[got] = '\0';
	char *last = strrchr(text, '\n');
	char *line = last ? memrchr(text, '\n', (size_t)(last - text)) : NULL;
	if (last)
		*last = ' ';
	const char *at = line ? line + 1 : text;
	at += strspn(at, " ");
	while ((n = text_step(&at, TEXT_LINE, step)) > 0 && len + n <= LINE_MAX_BYTES) {
		memcpy(ret + len, step, n);
		len += n;
	}
	ret[len] = '\0';
}

static int judge(const struct tool *t, const struct child *c, const struct limit *l, int status,
                 struct err *e)
{
	char line[LINE_MAX_BYTES + 1];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (l->late)
		return err_set(e, ERR_RETRY, "'%s' took longer than %u s and was ended", c->name,
		               t->timeout_ms / 1000);
	if (!WIFEXITED(status))
		return err_set(e, ERR_IO, "'%s' was ended by signal %d", c->name,
		               WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	last_words(c->said, line);
	return err_set(e, ERR_IO, "'%s' failed with exit status %d: %s", c->name,
	               WEXITSTATUS(status), line[0] ? line : "it does not say why");
}

static void child_clear(struct child *c)
{
	clean_close(&c->pidfd);
	clean_close(&c->out);
	clean_close(&c->said);
}

int tool_run(const struct tool *t, struct err *e)
{
	CLEANUP(child_clear)
	struct child c = { .name = t->argv[0], .pidfd = -1, .out = -1, .said = -1 };
	struct limit l = { 0 };
	int status = 0;

	if (start(t, &c, e) < 0)
		return -1;
	int rc = follow(t, &c, &l, e);
	while (waitpid(c.pid, &status, 0) < 0) {
		if (errno != EINTR)
			return err_sys(e, errno, "waiting for '%s'", c.name);
	}
	return rc < 0 ? -1 : judge(t, &c, &l, status, e);
}
