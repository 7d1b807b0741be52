/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of aksdr-catalog: main.c has their table and parses the options, cmd_*.c run them. */
#ifndef AKSDR_CATALOG_CMD_H
#define AKSDR_CATALOG_CMD_H

#include <jansson.h>

#include "catalog/catalog.h"
#include "common/verb.h"
#include "repo/check.h"
#include "repo/repo.h"

/* What the options say; of one verb only some are set. */
struct cmd_options {
	const char *catalog; /* NULL: the default place */
	const char *volume;
	int64_t since_ns, until_ns; /* 0: not given */
	int64_t as_of_ns;           /* 0: now */
	bool gone;
	uint64_t limit;
	int64_t timeout_ms;
	unsigned threads;
	const char *mirror;  /* URL of a copy, or NULL */
	const char *metrics; /* file, or NULL */
};

/* Opens the repository that the common options name, for reading only. */
MUST_CHECK int cmd_repo(const struct verb_common *common, struct repo **ret, struct err *e);

/* The same for writing: ERR_DENIED when the key cannot sign. */
MUST_CHECK int cmd_repo_write(const struct verb_common *common, struct repo **ret, struct err *e);

/* The catalog file for a repository that is open. Caller frees. */
MUST_CHECK int cmd_catalog_path(const struct cmd_options *o, const struct repo *r, char **ret,
                                struct err *e);

/* Opens the catalog for reading, without the store. */
MUST_CHECK int cmd_catalog(const struct cmd_options *o, const struct verb_common *common,
                           struct catalog **ret, struct err *e);

extern const struct verb cmd_check, cmd_expire, cmd_gc, cmd_hold, cmd_lock, cmd_mirror,
	cmd_mirror_verify, cmd_reconcile, cmd_release, cmd_repair, cmd_report, cmd_sample,
	cmd_comply, cmd_retain, cmd_retain_simulate, cmd_status, cmd_upgrade, cmd_watch;
extern const struct verb cmd_audit_anchor, cmd_audit_export, cmd_audit_head, cmd_audit_list,
	cmd_audit_verify;
extern const struct verb cmd_key_list, cmd_key_add_agent, cmd_key_add_recipient,
	cmd_key_remove_recipient, cmd_key_reseal, cmd_key_revoke, cmd_key_require_signatures,
	cmd_key_passphrase;

/* Appends a path that is hurt to a JSON array, as check and repair tell it. */
MUST_CHECK int cmd_check_add_hurt(json_t *list, const struct check_hurt *h, struct err *e);

int cmd_sync(void *state, const struct verb_common *common, int argc, char **argv, struct err *e);
int cmd_rebuild(void *state, const struct verb_common *common, int argc, char **argv,
                struct err *e);
int cmd_list(void *state, const struct verb_common *common, int argc, char **argv, struct err *e);
int cmd_show(void *state, const struct verb_common *common, int argc, char **argv, struct err *e);
int cmd_query(void *state, const struct verb_common *common, int argc, char **argv, struct err *e);

#endif
