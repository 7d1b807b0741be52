/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-agent init: makes a repository and its three keys. */
#include <stdio.h>

#include "agent/cmd.h"
#include "common/json.h"
#include "common/cancel.h"
#include "repo/repo.h"
#include "repo/trail.h"

static struct {
	const char *keys;
	const char *passphrase_file;
	bool single_writer;
} opts;

static const struct verb_option options[] = {
	{ "keys", "DIR", "where recovery.key, agent.key and audit.key are written (required)",
	  256 },
	{ "passphrase-file", "FILE", "wrap the recovery key by the passphrase in FILE (one line)",
	  257 },
	{ "single-writer", NULL,
	  "for a store that cannot keep writers apart: one session at a time, kept by discipline",
	  258 },
	{ NULL, NULL, NULL, 0 },
};

static int set(void *state, int key, const char *value, struct err *e)
{
	(void)state;
	(void)e;
	if (key == 256)
		opts.keys = value;
	else if (key == 257)
		opts.passphrase_file = value;
	else
		opts.single_writer = true;
	return 0;
}

/* The first record of its audit trail. */
static void record(const struct verb_common *c, struct store *store)
{
	auto_repo struct repo *r = NULL;
	auto_free char *path = NULL;
	struct keys *keys = NULL;
	struct err why = ERR_INIT;

	if (asprintf(&path, "%s/agent.key", opts.keys) < 0) {
		path = NULL;
		return;
	}
	if (keys_load(path, NULL, &keys, &why) < 0 ||
	    repo_open(store, keys, c->state, cancel_on_signals(), &r, &why) < 0)
		log_warn("that the repository was made is not in its audit trail",
		         LOG_S("why", why.msg));
	else if (act_current())
		trail_put(r, act_current(), NULL);
}

static int run(void *state, const struct verb_common *c, int argc, char **argv, struct err *e)
{
	const char *file = opts.passphrase_file ? opts.passphrase_file : c->passphrase_file;
	auto_secret char *passphrase = NULL;

	(void)state;
	(void)argc;
	(void)argv;
	if (!opts.keys)
		return err_set(e, ERR_INVALID,
		               "init needs --keys DIR: where the three key files go");
	if (file && keys_passphrase(file, "passphrase", true, &passphrase, e) < 0)
		return -1;
	auto_store struct store *store = store_open(c->store, STORE_CREATE, e);
	if (!store)
		return -1;
	if ((opts.single_writer ? repo_init_single(store, opts.keys, passphrase, e)
	                        : repo_init(store, opts.keys, passphrase, e)) < 0)
		return -1;
	record(c, store);
	auto_json json_t *out = json_pack("{ss ss ss s{ss+ ss+ ss+}}", "schema", "aksdr/init/v1",
	                                  "store", store->url, "writers",
	                                  opts.single_writer ? "single" : "many", "keys",
	                                  "recovery", opts.keys, "/recovery.key", "agent",
	                                  opts.keys, "/agent.key", "audit", opts.keys,
	                                  "/audit.key");
	if (!out)
		return err_set(e, ERR_NOMEM, "no memory for the answer");
	if (c->output == OUTPUT_JSON) {
		(void)json_dumpf(out, stdout, JSON_INDENT(2));
		(void)putchar('\n');
	} else if (!c->quiet) {
		(void)printf(
			"made a repository in %s\n\n"
			"  %s/recovery.key  reads everything: keep it offline, in two places\n"
			"  %s/agent.key     writes backups, cannot read them back: for the nodes\n"
			"  %s/audit.key     reads what there is, not what is in it: for "
			"auditors\n\n"
			"Without recovery.key nothing can ever be restored.\n",
			store->url, opts.keys, opts.keys, opts.keys);
		if (opts.single_writer)
			(void)printf(
				"\nSINGLE WRITER: this store cannot keep writers apart, or was "
				"not asked.\nOne backup at a time, of all machines together; "
				"each of them will say so.\n");
	}
	return 0;
}

const struct verb cmd_init = {
	.name = "init",
	.args = "",
	.summary = "make a repository and its three keys",
	.text = "Makes a repository in the store, which must not hold one, and writes three key "
		"files (mode "
		"0600) into the directory of --keys: recovery.key reads data, agent.key writes "
		"backups, "
		"audit.key reads metadata. The keys are made once: nobody can make them again.\n\n"
		"It is tried out whether the store creates objects only once, which keeps writers "
		"apart. For a store that does not there is --single-writer: a second backup beside "
		"one that runs is refused, as far as that can be seen, and nobody may rely on it. "
		"The mode is for ever.",
	.examples = "aksdr-agent init --store file:///srv/backup --keys /etc/aksdr/keys",
	.options = options,
	.flags = VERB_STORE,
	.max_args = 0,
	.set = set,
	.run = run,
};
