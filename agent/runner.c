/* SPDX-License-Identifier: Apache-2.0 */
/* Processes, their output, and their ends. */
#include "agent/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "agent/given.h"
#include "common/fd.h"
#include "common/now.h"
#include "common/num.h"
#include "common/spawn.h"

#define ARGS_MAX 64 /* before the claims */
#define LIMITS 2    /* variables of bandwidth */

struct run {
	pid_t pid;   /* 0: free */
	int process; /* a descriptor of it */
	int out;     /* what it says; -1: it has said all */
	int result;  /* a file in memory: what it tells us alone */
	struct buf said;
	char *names[RUNNER_NAMES_MAX];
	size_t n;
	int64_t slot_s, began_s;
	bool cancelled;
};

struct runner {
	const struct runner_params *p;
	struct run runs[RUNNER_MAX];
};

struct runner *runner_new(const struct runner_params *params, struct err *e)
{
	struct runner *r = calloc(1, sizeof(*r));

	if (!r) {
		(void)err_set(e, ERR_NOMEM, "no memory for runs");
		return NULL;
	}
	r->p = params;
	return r;
}

static void run_clear(struct run *x)
{
	if (x->pid != 0) {
		(void)close(x->process);
		(void)close(x->result);
		if (x->out >= 0)
			(void)close(x->out);
	}
	for (size_t i = 0; i < x->n; i++)
		free(x->names[i]);
	buf_clear(&x->said);
	*x = (struct run){ .pid = 0 };
}

void runner_free(struct runner *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < RUNNER_MAX; i++)
		run_clear(&r->runs[i]);
	free(r);
}

/* ---- starting ---- */

/* A file in memory with the document, at its beginning, for nobody else. -1 with e. */
static int document_fd(const json_t *policy, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4 * MIB);
	auto_close int fd = memfd_create("policy", MFD_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno, "making a file for the policy");
	if (json_write(policy, &b, e) < 0)
		return -1;
	if (fd_pwrite_full(fd, b.data, b.len, 0) < 0)
		return err_sys(e, errno, "writing the policy");
	return steal_fd(&fd);
}

/* Whether the variable of `set`, as "NAME=...", is the one of `var`. */
static bool same_name(const char *set, const char *var)
{
	const size_t n = strcspn(set, "=") + 1;

	return strncmp(set, var, n) == 0;
}

static bool replaced(const struct runner *r, const char *const *limits, const char *var)
{
	for (size_t i = 0; r->p->env && r->p->env[i]; i++) {
		if (same_name(r->p->env[i], var))
			return true;
	}
	for (size_t i = 0; limits && i < LIMITS; i++) {
		if (same_name(limits[i], var))
			return true;
	}
	return false;
}

/* Ours, with what is replaced. The array is to be freed; limits may be NULL. */
static const char **environment(const struct runner *r, const char *const *limits)
{
	size_t n = 0;
	size_t more = 0;

	while (environ[n])
		n++;
	while (r->p->env && r->p->env[more])
		more++;
	const char **env = calloc(n + more + LIMITS + 1, sizeof(char *));
	size_t k = 0;
	for (size_t i = 0; env && i < n; i++) {
		if (!replaced(r, limits, environ[i]))
			env[k++] = environ[i];
	}
	for (size_t i = 0; env && i < more; i++)
		env[k++] = r->p->env[i];
	for (size_t i = 0; env && limits && i < LIMITS; i++)
		env[k++] = limits[i];
	return env;
}

/* Bytes a second for this run: its share of the node, or less where its policy says so. */
static uint64_t share(const struct runner *r, const struct runner_job *job)
{
	const unsigned parts = r->p->concurrency ? r->p->concurrency : 1;
	uint64_t most = r->p->bandwidth_bytes_s / parts * job->n;

	if (most > r->p->bandwidth_bytes_s)
		most = r->p->bandwidth_bytes_s;
	if (most == 0 || (job->bandwidth_bytes_s > 0 && job->bandwidth_bytes_s < most))
		return job->bandwidth_bytes_s;
	return most;
}

static int spawn(const struct runner *r, const struct runner_job *job, const char *const *argv,
                 int in, int out, int result, pid_t *ret, struct err *e)
{
	const uint64_t rate = share(r, job);
	char up[64], down[64];
	const char *const limits[LIMITS] = { up, down };

	(void)snprintf(up, sizeof(up), "AKSDR_LIMIT_UPLOAD=%llu", (unsigned long long)rate);
	(void)snprintf(down, sizeof(down), "AKSDR_LIMIT_DOWNLOAD=%llu", (unsigned long long)rate);
	auto_free const char **env = environment(r, rate > 0 ? limits : NULL);
	if (!env)
		return err_set(e, ERR_NOMEM, "no memory for the environment of a run");
	const struct spawn s = {
		.program = r->p->program ? r->p->program : "/proc/self/exe",
		.argv = argv,
		.env = env,
		.in = in,
		.out = out,
		.err = -1,
		.third = result,
	};
	const int os = spawn_start(&s, ret);
	return os == 0 ? 0 : err_sys(e, os, "starting a run");
}

/* Arguments of a run; texts of names are those of x, slot is a buffer. */
static int arguments(const struct runner *r, const struct run *x, const char *slot,
                     char (*volumes)[512], const char **argv, struct err *e)
{
	size_t n = 0;

	argv[n++] = "aksdr-agent";
	argv[n++] = "backup";
	for (size_t i = 0; r->p->args && r->p->args[i]; i++) {
		if (n + 7 > ARGS_MAX)
			return err_set(e, ERR_BUG, "a run has too many arguments");
		argv[n++] = r->p->args[i];
	}
	argv[n++] = "--result";
	argv[n++] = "/dev/fd/3";
	argv[n++] = "--policy";
	argv[n++] = "-";
	argv[n++] = "--slot";
	argv[n++] = slot;
	for (size_t i = 0; i < x->n; i++) {
		(void)snprintf(volumes[i], sizeof(volumes[i]), "pvc:%s", x->names[i]);
		argv[n++] = volumes[i];
	}
	argv[n] = NULL;
	return 0;
}

static int process_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* Starts the process of x, whose names are there. */
static int start(const struct runner *r, const struct runner_job *job, struct run *x, struct err *e)
{
	const char *argv[ARGS_MAX + RUNNER_NAMES_MAX + 1];
	char volumes[RUNNER_NAMES_MAX][512];
	const struct now_text slot = now_rfc3339(job->slot_s * 1000000000);
	int ends[2];
	pid_t pid;

	if (arguments(r, x, slot.s, volumes, argv, e) < 0)
		return -1;
	auto_close int in = document_fd(job->policy, e);
	if (in < 0)
		return -1;
	auto_close int result = memfd_create("result", MFD_CLOEXEC);
	if (result < 0)
		return err_sys(e, errno, "making a file for the result of a run");
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "making a pipe for a run");
	auto_close int from = ends[0];
	auto_close int to = ends[1];
	if (fcntl(from, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(e, errno, "setting up a pipe for a run");
	if (spawn(r, job, argv, in, to, result, &pid, e) < 0)
		return -1;
	x->process = process_open(pid);
	if (x->process < 0) {
		(void)err_sys(e, errno, "looking after a run");
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return -1;
	}
	x->pid = pid;
	x->out = steal_fd(&from);
	x->result = steal_fd(&result);
	return 0;
}

int runner_start(struct runner *r, const struct runner_job *job, int64_t now_s, struct err *e)
{
	struct run *x = NULL;

	for (size_t i = 0; i < RUNNER_MAX && !x; i++) {
		if (r->runs[i].pid == 0)
			x = &r->runs[i];
	}
	if (!x)
		return err_set(e, ERR_BUSY, "%d runs are under way already", RUNNER_MAX);
	*x = (struct run){ .said = BUF_INIT(RUNNER_OUTPUT_MAX),
		           .slot_s = job->slot_s,
		           .began_s = now_s };
	bool good = job->n <= RUNNER_NAMES_MAX;
	while (good && x->n < job->n) {
		x->names[x->n] = strdup(job->names[x->n]);
		good = x->names[x->n] != NULL;
		x->n += good;
	}
	if (!good)
		(void)err_set(e, ERR_NOMEM, "no memory for a run");
	if (!good || start(r, job, x, e) < 0) {
		run_clear(x);
		return -1;
	}
	return 0;
}

/* ---- what it says, and how it ends ---- */

size_t runner_poll(const struct runner *r, struct pollfd *fds, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < RUNNER_MAX; i++) {
		const struct run *x = &r->runs[i];

		if (x->pid == 0)
			continue;
		if (n < max)
			fds[n++] = (struct pollfd){ .fd = x->process, .events = POLLIN };
		if (x->out >= 0 && n < max)
			fds[n++] = (struct pollfd){ .fd = x->out, .events = POLLIN };
	}
	return n;
}

static void listen_to(struct run *x)
{
	uint8_t some[16 * KIB];

	while (x->out >= 0) {
		const ssize_t n = read(x->out, some, sizeof(some));

		if (n > 0) {
			/* What is over the limit is lost, and then its end is no JSON. */
			(void)buf_put(&x->said, some, (size_t)n);
		} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			(void)close(x->out);
			x->out = -1;
		} else if (errno == EAGAIN) {
			return;
		}
	}
}

/* Rows of its table that have a point. */
static size_t points_of(struct run *x)
{
	struct err e;
	size_t n = 0;

	if (x->said.len == 0 || x->said.failed)
		return 0;
	auto_json json_t *said = json_parse("a run", x->said.data, x->said.len, &e);
	const json_t *items = json_object_get(said, "items");
	for (size_t i = 0; i < json_array_size(items); i++)
		n += json_is_string(json_object_get(json_array_get(items, i), "point"));
	return n;
}

/* Whether it has told us why it failed, into e; and what it asked of the store. */
static bool told_us(const struct run *x, struct store_traffic *ret_traffic, struct err *e)
{
	char text[RESULT_MAX + 1];
	const ssize_t n = pread(x->result, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = '\0';
	return given_end_read(text, ret_traffic, e);
}

static void tell_end(struct run *x, int status,
                     void (*ended)(void *arg, const struct runner_end *end), void *arg)
{
	const bool exited = WIFEXITED(status);
	struct store_traffic traffic = { 0 };
	struct err why = ERR_INIT;

	listen_to(x);
	const bool told = told_us(x, &traffic, &why);
	const struct runner_end end = {
		.names = (const char *const *)x->names,
		.n = x->n,
		.slot_s = x->slot_s,
		.status = exited ? WEXITSTATUS(status) : -1,
		.signal = exited ? 0 : WTERMSIG(status),
		.why = told ? why.msg : NULL,
		.cancelled = x->cancelled,
		.points = points_of(x),
		.traffic = traffic,
	};
	ended(arg, &end);
	run_clear(x);
}

void runner_step(struct runner *r, void (*ended)(void *arg, const struct runner_end *end),
                 void *arg)
{
	for (size_t i = 0; i < RUNNER_MAX; i++) {
		struct run *x = &r->runs[i];
		int status;

		if (x->pid == 0)
			continue;
		listen_to(x);
		if (waitpid(x->pid, &status, WNOHANG) == x->pid)
			tell_end(x, status, ended, arg);
	}
}

size_t runner_running(const struct runner *r)
{
	size_t n = 0;

	for (size_t i = 0; i < RUNNER_MAX; i++)
		n += r->runs[i].pid != 0;
	return n;
}

static void cancel(struct run *x)
{
	if (x->cancelled)
		return;
	x->cancelled = true;
	(void)kill(x->pid, SIGTERM);
}

bool runner_cancel(struct runner *r, const char *name, int64_t before_s)
{
	for (size_t i = 0; i < RUNNER_MAX; i++) {
		struct run *x = &r->runs[i];

		for (size_t k = 0; x->pid != 0 && !x->cancelled && k < x->n; k++) {
			if (strcmp(x->names[k], name) == 0 && x->began_s < before_s) {
				cancel(x);
				return true;
			}
		}
	}
	return false;
}

void runner_cancel_all(struct runner *r)
{
	for (size_t i = 0; i < RUNNER_MAX; i++) {
		if (r->runs[i].pid != 0)
			cancel(&r->runs[i]);
	}
}
