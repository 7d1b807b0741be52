/* SPDX-License-Identifier: Apache-2.0 */
/* What the processes of a storm do, each until it is told to stop, or killed. */
#ifndef AKSDR_TESTS_STORM_ROLE_H
#define AKSDR_TESTS_STORM_ROLE_H

#include "tests/harness/storm_world.h"

enum storm_kind {
	STORM_WRITER,
	STORM_COLLECTOR,
	STORM_EXPIRER,
	STORM_RESTORER,
	STORM_CHECKER,
	STORM_APPLIER /* of late calls */
};

struct storm_role {
	enum storm_kind kind;
	unsigned number; /* among those of its kind */
	unsigned life;   /* how often it was started before */
	unsigned volume; /* of a writer */
	bool hidden;     /* lists lack items: the store breaks its contract */
	bool refused;    /* the store refuses reads now and then */
};

/* Runs in a process of its own; returns its exit status. */
int storm_role_run(const struct storm_world *w, const struct storm_role *role);

#endif
