/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journals of runs, where they can be kept: in the repository (repo/run_log.h), signed by the
 * admin, which others' records do not count as; or, where that cannot be written (the second region
 * alone answers, or the key only reads), in the cluster that is restored to, as ConfigMaps of the
 * tool's namespace, each made once. Who acts on a run adds to it; when somebody else has done so
 * meanwhile, nothing is added.
 */
#ifndef AKSDR_RESTORE_HISTORY_H
#define AKSDR_RESTORE_HISTORY_H

#include "kube/kube.h"
#include "repo/run_log.h"

struct history {
	const struct repo *repo;
	struct chain chain; /* of the repository */
	struct kube *kube;  /* of the cluster; NULL: it is in the repository */
	char ns[KUBE_NAME_MAX + 1];
	char run[RUN_LOG_ID];
	uint64_t next; /* in the cluster: number of the record that comes */
};

/* Whether the repository can have journals: by an admin's key, and where it can be written. */
bool history_fits_repository(const struct repo *r);

/* kube NULL: in the repository. ERR_INVALID: no name of a run. */
MUST_CHECK int history_open(const struct repo *r, struct kube *k, const char *ns, const char *run,
                            struct history *ret, struct err *e);

/* Records that count from where it was read to, in order. Errors of chain_read(), kube_list(). */
MUST_CHECK int history_read(struct history *j,
                            int (*each)(void *arg, uint64_t n, const struct run_entry *entry,
                                        const json_t *record, struct err *e),
                            void *arg, struct err *e);

/* Errors of run_log_add(): ERR_BUSY: somebody else has added to it. */
MUST_CHECK int history_add(struct history *j, const char *kind, const char *plan, const char *step,
                           const json_t *more, struct err *e);

/*
 * Every run with its first record: of the repository, and, with a kube, of the cluster. 1 from each
 * ends it.
 */
MUST_CHECK int history_list(const struct repo *r, struct kube *k, const char *ns,
                            int (*each)(void *arg, const char *run, bool in_cluster,
                                        const struct run_entry *first, struct err *e),
                            void *arg, struct err *e);

#endif
