/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of the daemon: each is this program again, as `backup`, in a process of its own, so that
 * what goes wrong in one is that of one. It gets the policy on its standard input; what it says to
 * people goes where ours goes, and what it says to programs is kept. What it could not tell its
 * claims it tells us (--result, agent/given.h). One thread.
 */
#ifndef AKSDR_AGENT_RUNNER_H
#define AKSDR_AGENT_RUNNER_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/json.h"
#include "store/store.h"

#define RUNNER_MAX 64               /* runs at once */
#define RUNNER_OUTPUT_MAX (1 * MIB) /* kept of what one says to programs */
#define RUNNER_NAMES_MAX 16         /* claims of one run */

struct runner;

struct runner_params {
	const char *program;        /* NULL: this one. Argument 0 is "aksdr-agent" */
	const char *const *args;    /* of every run, behind "backup"; ends with NULL */
	const char *const *env;     /* "NAME=VALUE" that are set, or replaced; ends with NULL */
	unsigned concurrency;       /* volumes at once: what bandwidth is divided by */
	uint64_t bandwidth_bytes_s; /* of all runs together, each way; 0: no limit */
};

/* params and what it points to is borrowed until runner_free(). */
MUST_CHECK struct runner *runner_new(const struct runner_params *params, struct err *e);
/* Runs that are not over are left to themselves. */
void runner_free(struct runner *r);
static inline void clean_runner(struct runner *const *r)
{
	runner_free(*r);
}
#define auto_runner CLEANUP(clean_runner)

struct runner_job {
	const char *names[RUNNER_NAMES_MAX]; /* "NAMESPACE/NAME" */
	size_t n;
	int64_t slot_s;
	uint64_t bandwidth_bytes_s; /* the policy's; 0: no limit of its own */
	const json_t *policy;       /* document */
};

/*
 * Starts it; texts and document are copied. ERR_BUSY: RUNNER_MAX run. ERR_NOMEM, ERR_IO: it cannot
 * be started.
 */
MUST_CHECK int runner_start(struct runner *r, const struct runner_job *job, int64_t now_s,
                            struct err *e);

/* How one ended. Borrowed until the callback returns. */
struct runner_end {
	const char *const *names;
	size_t n;
	int64_t slot_s;
	int status; /* exit status; -1: it was ended by `signal` */
	int signal;
	const char *why;              /* it failed, and its claims were not told; or NULL */
	bool cancelled;               /* we asked it to end */
	size_t points;                /* that it has told of */
	struct store_traffic traffic; /* as far as it has told */
};

/* Descriptors that runner_step() is to be called for, at most max; returns how many. */
size_t runner_poll(const struct runner *r, struct pollfd *fds, size_t max);
/* Takes what there is, and tells of each that has ended. Does not block. */
void runner_step(struct runner *r, void (*ended)(void *arg, const struct runner_end *end),
                 void *arg);

size_t runner_running(const struct runner *r);
/* Asks the run of this claim to end when it began before that time; true: it did. */
bool runner_cancel(struct runner *r, const char *name, int64_t before_s);
/* Asks all of them. */
void runner_cancel_all(struct runner *r);

#endif
