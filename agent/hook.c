/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hook is started by posix_spawn and waited for by one poll over its two pipes, its pidfd and the
 * cancel. The command's end is the end of the wait: of its output what is in the pipes by then is
 * still taken, so that a background process that holds on to them costs nothing.
 */
#include "agent/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/hook_said.h"
#include "common/now.h"
#include "common/spawn.h"

#define READ_BYTES (64 * KIB)
#define NAME_SHOWN 100 /* characters of the command in a message */

enum { OUT, ERR, PROCESS, CANCEL, FDS };

enum hook_state {
	RUNNING,
	ASKED, /* SIGTERM was sent */
	KILLED
};

struct run {
	const struct hook *hook;
	struct hook_result *ret;
	char name[NAME_SHOWN + 8];
	pid_t pid;
	int pipes[2];  /* reading ends of its output and of its errors */
	int writes[2]; /* the other ends, until it has them */
	int pidfd;
	bool ended;

	struct hook_said said;
	uint8_t chunk[READ_BYTES];
};

const char *hook_phase_name(enum hook_phase phase)
{
	return phase == HOOK_PRE ? "pre" : "post";
}

const char *hook_name(const struct hook *h)
{
	return h->name ? h->name : h->line ? h->line : h->argv[0];
}

/* ---- what it says ---- */

/* Reads once, at most `max` bytes. False: nothing more will come. */
static bool take(struct run *u, int which, size_t max, size_t *ret_n)
{
	ssize_t n = read(u->pipes[which], u->chunk, max < READ_BYTES ? max : READ_BYTES);

	*ret_n = n > 0 ? (size_t)n : 0;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	hook_said_take(&u->said, which == OUT, u->chunk, (size_t)n);
	return true;
}

/* What is in the pipe now, and not what somebody goes on to write. */
static void take_rest(struct run *u, int which)
{
	int there = 0;

	if (ioctl(u->pipes[which], FIONREAD, &there) < 0)
		return;
	for (size_t left = (size_t)there, n; left > 0; left -= n) {
		if (!take(u, which, left, &n) || n == 0)
			break;
	}
}

/* ---- starting it ---- */

static bool is_secret(const char *var)
{
	static const char *const dropped[] = {
		"AKSDR_KEY=",
		"AKSDR_PASSPHRASE_FILE=",
		"AZURE_",
		"AWS_",
		/* those that a hook gets anew */
		"AKSDR_HOOK=",
		"AKSDR_SET=",
		"AKSDR_VOLUMES=",
		"AKSDR_RESULT=",
	};

	for (size_t i = 0; i < ARRAY_LEN(dropped); i++)
		if (strncmp(var, dropped[i], strlen(dropped[i])) == 0)
			return true;
	return false;
}

static bool is_given(const char *var, const struct hook_var *vars, size_t nvars)
{
	for (size_t i = 0; i < nvars; i++) {
		size_t n = strlen(vars[i].name);

		if (strncmp(var, vars[i].name, n) == 0 && var[n] == '=')
			return true;
	}
	return false;
}

static void free_env(char **env)
{
	for (char **at = env; at && *at; at++)
		free(*at);
	free(env);
}

static void clean_env(char ***env)
{
	free_env(*env);
}

static int make_env(const struct run *u, const struct hook_var *vars, size_t nvars, char ***ret,
                    struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < nvars; i++)
		if (!vars[i].name[0] || strchr(vars[i].name, '='))
			return err_set(e, ERR_INVALID, "'%s' is no name for a variable of a hook",
			               vars[i].name);
	for (char **at = environ; at && *at; at++)
		n++;
	CLEANUP(clean_env) char **env = calloc(n + nvars + 2, sizeof(*env));
	if (!env)
		return err_set(e, ERR_NOMEM, "no memory for the environment of a hook");
	n = 0;
	for (char **at = environ; at && *at; at++) {
		if (is_secret(*at) || is_given(*at, vars, nvars))
			continue;
		env[n] = strdup(*at);
		if (!env[n++])
			return err_set(e, ERR_NOMEM, "no memory for the environment of a hook");
	}
	for (size_t i = 0; i <= nvars; i++) {
		int made = i < nvars ? asprintf(&env[n], "%s=%s", vars[i].name, vars[i].value)
		                     : asprintf(&env[n], "AKSDR_HOOK=%s",
		                                hook_phase_name(u->hook->phase));

		if (made < 0) {
			env[n] = NULL;
			return err_set(e, ERR_NOMEM, "no memory for the environment of a hook");
		}
		n++;
	}
	*ret = STEAL(&env);
	return 0;
}

static int spawn(struct run *u, const char *const *argv, char *const *env)
{
	const struct spawn s = {
		.program = argv[0],
		.argv = argv,
		.env = (const char *const *)env,
		.out = u->writes[OUT],
		.err = u->writes[ERR],
		.third = -1,
		.session = true,
	};

	return spawn_start(&s, &u->pid);
}

static int open_pipe(struct run *u, int which)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	u->pipes[which] = fds[0];
	u->writes[which] = fds[1];
	/* Its own end stays as programs expect it. */
	return fcntl(fds[0], F_SETFL, O_NONBLOCK);
}

static void close_writes(struct run *u)
{
	for (int i = OUT; i <= ERR; i++) {
		clean_close(&u->writes[i]);
		u->writes[i] = -1;
	}
}

static int start(struct run *u, const struct hook_var *vars, size_t nvars, struct err *e)
{
	const struct hook *h = u->hook;
	const char *const by_shell[] = { "/bin/sh", "-c", h->line, NULL };
	const char *const *argv = h->line ? by_shell : h->argv;
	CLEANUP(clean_env) char **env = NULL;

	if (make_env(u, vars, nvars, &env, e) < 0)
		return -1;
	if (open_pipe(u, OUT) < 0 || open_pipe(u, ERR) < 0)
		return err_sys(e, errno, "making a pipe for the %s hook '%s'",
		               hook_phase_name(h->phase), u->name);
	int os = spawn(u, argv, env);
	close_writes(u);
	if (os == ENOENT || os == ENOTDIR)
		return err_set(e, ERR_NOT_FOUND,
		               "the %s hook '%s' was not started: there is no program '%.100s' (or "
		               "no interpreter for it); give its full path",
		               hook_phase_name(h->phase), u->name, argv[0]);
	if (os == EACCES || os == ENOEXEC)
		return err_set(e, ERR_DENIED,
		               "the %s hook '%s' was not started: '%.100s' is not executable%s",
		               hook_phase_name(h->phase), u->name, argv[0],
		               os == EACCES ? "; chmod +x it" : ": it has no '#!' line");
	if (os != 0)
		return err_sys(e, os, "starting the %s hook '%s'", hook_phase_name(h->phase),
		               u->name);
	u->ret->started = true;
	return 0;
}

/* ---- waiting for it ---- */

static int ms_until(int64_t until_ns)
{
	int64_t left = until_ns - now_mono_ns();

	return left <= 0 ? 0 : (int)((left + 999999) / 1000000);
}

/* Until it has ended, or until it cannot be ended. */
static void watch(struct run *u, struct cancel *cancel)
{
	const struct hook *h = u->hook;
	bool heeds = h->phase == HOOK_PRE && cancel;
	unsigned limit_ms = h->timeout_ms ? h->timeout_ms : HOOK_TIMEOUT_MS;
	int64_t grace_ns = (int64_t)(h->grace_ms ? h->grace_ms : HOOK_GRACE_MS) * 1000000;
	struct pollfd fds[FDS] = {
		{ .fd = u->pipes[OUT], .events = POLLIN },
		{ .fd = u->pipes[ERR], .events = POLLIN },
		{ .fd = u->pidfd, .events = POLLIN },
		{ .fd = heeds ? cancel->fd : -1, .events = POLLIN },
	};
	enum hook_state state = RUNNING;

	if (limit_ms > HOOK_TIMEOUT_MAX_MS)
		limit_ms = HOOK_TIMEOUT_MAX_MS;
	int64_t until_ns = now_mono_ns() + (int64_t)limit_ms * 1000000;
	for (;;) {
		size_t n;

		if (poll(fds, FDS, ms_until(until_ns)) < 0) {
			for (int i = 0; i < FDS; i++)
				fds[i].revents = 0;
		}
		for (int i = OUT; i <= ERR; i++)
			if (fds[i].revents && !take(u, i, READ_BYTES, &n))
				fds[i].fd = -1;
		if (fds[PROCESS].revents) {
			u->ended = true;
			fds[PROCESS].fd = -1;
		}
		if (u->ended && (state != ASKED || (fds[OUT].fd < 0 && fds[ERR].fd < 0)))
			break;
		bool over = now_mono_ns() >= until_ns;
		if (state == RUNNING && (over || (heeds && cancel_requested(cancel)))) {
			u->ret->timed_out = over;
			u->ret->cancelled = !over;
			(void)kill(-u->pid, SIGTERM);
			state = ASKED;
			fds[CANCEL].fd = -1;
		} else if (state == ASKED && over) {
			(void)kill(-u->pid, SIGKILL);
			state = KILLED;
			if (u->ended)
				break;
		} else if (over) {
			break; /* what waits for a dead disk cannot even be killed */
		} else {
			continue;
		}
		until_ns = now_mono_ns() + grace_ns;
	}
	/* Before it is waited for: until then nobody else can get the number of the group. */
	if (state == ASKED)
		(void)kill(-u->pid, SIGKILL);
	for (int i = OUT; i <= ERR; i++)
		if (fds[i].fd >= 0)
			take_rest(u, i);
}

static int end(struct run *u, struct err *e)
{
	int status;

	if (!u->ended)
		return 0;
	while (waitpid(u->pid, &status, 0) < 0) {
		if (errno != EINTR)
			return err_sys(e, errno, "waiting for the %s hook '%s'",
			               hook_phase_name(u->hook->phase), u->name);
	}
	if (WIFEXITED(status))
		u->ret->status = WEXITSTATUS(status);
	else if (WIFSIGNALED(status))
		u->ret->signal = WTERMSIG(status);
	return 0;
}

static int judge(const struct run *u, struct cancel *cancel, struct err *e)
{
	const struct hook_result *r = u->ret;
	const struct hook *h = u->hook;
	const char *phase = hook_phase_name(h->phase);
	unsigned limit_ms = h->timeout_ms ? h->timeout_ms : HOOK_TIMEOUT_MS;
	char said[HOOK_SAID_SHOWN];

	if (r->cancelled) {
		if (cancel_check(cancel, e) < 0)
			return err_wrap(e, "the %s hook '%s' was ended", phase, u->name);
	}
	hook_said_last_line(r, said);
	if (!u->ended)
		return err_set(e, ERR_IO,
		               "the %s hook '%s' did not end within %u.%03u s, and not when it was "
		               "killed: process %ld waits for a disk or a mount%s",
		               phase, u->name, limit_ms / 1000, limit_ms % 1000, (long)u->pid,
		               said);
	if (r->timed_out)
		return err_set(e, ERR_IO,
		               "the %s hook '%s' did not end within %u.%03u s and was killed; if "
		               "it needs longer, raise --hook-timeout%s",
		               phase, u->name, limit_ms / 1000, limit_ms % 1000, said);
	if (r->signal)
		return err_set(e, ERR_IO, "the %s hook '%s' was ended by signal %d (%s)%s", phase,
		               u->name, r->signal, strsignal(r->signal), said);
	if (r->status != 0)
		return err_set(e, ERR_IO, "the %s hook '%s' ended with status %d%s", phase, u->name,
		               r->status, said);
	return 0;
}

static void free_run(struct run *const *p)
{
	struct run *u = *p;

	if (!u)
		return;
	close_writes(u);
	clean_close(&u->pipes[OUT]);
	clean_close(&u->pipes[ERR]);
	clean_close(&u->pidfd);
	free(u);
}

static int run_started(struct run *u, struct cancel *cancel, struct err *e)
{
	int64_t start_ns = now_mono_ns();

	u->pidfd = (int)syscall(SYS_pidfd_open, u->pid, 0);
	if (u->pidfd < 0) {
		int os = errno;

		/* It is not left alone with nobody to see its end. */
		(void)kill(-u->pid, SIGKILL);
		u->ended = true;
		if (end(u, e) < 0)
			return -1;
		return err_sys(e, os, "watching the %s hook '%s' (pidfd_open, Linux 5.3)",
		               hook_phase_name(u->hook->phase), u->name);
	}
	watch(u, cancel);
	u->ret->duration_ns = now_mono_ns() - start_ns;
	if (end(u, e) < 0 || hook_said_end(&u->said, e) < 0)
		return -1;
	return judge(u, cancel, e);
}

int hook_run(const struct hook *h, const struct hook_var *vars, size_t nvars, struct cancel *cancel,
             struct hook_result *ret, struct err *e)
{
	memset(ret, 0, sizeof(*ret));
	ret->status = -1;
	if (h->run)
		return h->run(h, cancel, ret, e);
	if (!h->line && (!h->argv || !h->argv[0]))
		return err_set(e, ERR_INVALID, "the %s hook has no command",
		               hook_phase_name(h->phase));
	CLEANUP(free_run) struct run *u = calloc(1, sizeof(*u));
	if (!u)
		return err_set(e, ERR_NOMEM, "no memory for a hook");
	u->hook = h;
	u->ret = ret;
	u->said.ret = ret;
	u->pidfd = u->pipes[OUT] = u->pipes[ERR] = u->writes[OUT] = u->writes[ERR] = -1;
	hook_said_one_line(u->name, sizeof(u->name), hook_name(h));
	if (start(u, vars, nvars, e) < 0)
		return -1;
	return run_started(u, cancel, e);
}
