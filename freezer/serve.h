/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of the freezer: clients and their freezes, as docs/SNAPSHOTS.md has
 * them. One thread, which never does anything that waits for a file system;
 * that is for the processes of freezer/hold.h.
 */
#ifndef AKSDR_FREEZER_SERVE_H
#define AKSDR_FREEZER_SERVE_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/cancel.h"
#include "snapshot/journal.h"

#define SERVE_CLIENTS_MAX 32
#define SERVE_FREEZES_MAX 64 /* with those that go on after their client has left */

struct serve_params {
	int listener;  /* takes clients; -1: there is just the one */
	int client;    /* a connected one, owned by serve_run() then; -1: none */
	uid_t allowed; /* may connect beside root and the freezer's own user */
	bool has_allowed;
	struct journal *journal; /* where notes go; its file system is never frozen */
	const char *notes;       /* its directory */
	const char *socket;      /* path of the listener, or NULL */
	const struct cancel *cancel;
};

/*
 * Runs until it is cancelled, or, without a listener, until the client leaves. Whatever
 * was frozen is thawed then (or will be, by its own processes, where the kernel does not
 * let go yet). Logs what was not as it was asked for, but nothing while a file system is frozen.
 */
MUST_CHECK int serve_run(const struct serve_params *p, struct err *e);

/* Greets with an error and hangs up: what a client gets that the freezer cannot serve. */
void serve_refuse(int take_client, const struct err *why);

#endif
