/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: watches keep what is known of the cluster fresh, the planner says what to begin, and
 * each run is a process of its own (agent/runner.h). It never reads a volume itself.
 */
#ifndef AKSDR_AGENT_RUN_H
#define AKSDR_AGENT_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cancel.h"
#include "common/err.h"

#define RUN_CONCURRENCY 2
#define RUN_LISTEN "9760"

struct run_params {
	const char *node, *ns, *pod; /* ours */
	const char *cluster;         /* "" */
	const char *instance;        /* of the installation, as its pods are labelled; NULL: any */
	const char *policies; /* directory of policies instead of those in the cluster; NULL */
	const char *listen;   /* as struct status_params; "": no status server */
	/* As the options; NULL: no page, no more names, the API server's own. */
	const char *page, *page_hosts, *page_audience;
	const char *mover_template, *kubelet_dir; /* or NULL */
	bool secondary;                           /* begins nothing */
	bool no_locks;                            /* extends none: somebody else does */
	unsigned concurrency;
	uint64_t bandwidth_bytes_s; /* of all runs; 0: no limit */

	const char *store, *key, *passphrase_file, *state;
	struct cancel *cancel; /* begin nothing any more, end what runs, and return */
};

/*
 * Runs until it is cancelled, which is no failure.
 *   ERR_NOT_FOUND  there is no cluster here
 *   ERR_DENIED, ERR_FORMAT, ERR_CORRUPT  the key does not open the repository
 * and what else the start needs. What fails later is told and tried again.
 */
MUST_CHECK int run_daemon(const struct run_params *params, struct err *e);

#endif
