/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-catalog key …, upgrade: who may read and sign, and by which rules (docs/KEYS.md). */
#include <string.h>

#include "catalog/cmd.h"
#include "common/cancel.h"
#include "common/hex.h"
#include "common/json.h"
#include "common/log.h"
#include "common/now.h"
#include "common/num.h"
#include "repo/rekey.h"
#include "repo/reseal.h"
#include "repo/revoke.h"

enum {
	OPT_OUT = 256,
	OPT_WRAP,
	OPT_NEW_FILE,
	OPT_UNWRAP,
	OPT_TO,
	OPT_BEFORE,
	OPT_LOSS,
	OPT_THREADS
};

#define OUT_OPTION                                                                          \
	{                                                                                   \
		"out", "FILE", "where the new key goes (required); never replaced", OPT_OUT \
	}
#define NEW_FILE_OPTION                                                                   \
	{                                                                                 \
		"new-passphrase-file", "FILE",                                            \
			"wrap the key by the passphrase in FILE (one line)", OPT_NEW_FILE \
	}
#define THREADS_OPTION                                                                  \
	{                                                                               \
		"threads", "N", "at once (default: two a CPU, at most 16)", OPT_THREADS \
	}

static const struct verb_option agent_options[] = {
	OUT_OPTION,
	{ NULL, NULL, NULL, 0 },
};

static const struct verb_option recipient_options[] = {
	OUT_OPTION,
	NEW_FILE_OPTION,
	{ "wrap", NULL, "wrap the key by a passphrase that is asked for on the terminal",
	  OPT_WRAP },
	{ NULL, NULL, NULL, 0 },
};

static const struct verb_option reseal_options[] = {
	{ "to", "NAME", "the recipient, by name or id (required)", OPT_TO },
	THREADS_OPTION,
	{ NULL, NULL, NULL, 0 },
};

static const struct verb_option revoke_options[] = {
	{ "accept-before", "TIME", "what the store received before this time counts (default: now)",
	  OPT_BEFORE },
	{ "accept-loss", NULL, "go on although restore points are missing that were there",
	  OPT_LOSS },
	THREADS_OPTION,
	{ NULL, NULL, NULL, 0 },
};

static const struct verb_option passphrase_options[] = {
	NEW_FILE_OPTION,
	{ "unwrap", NULL, "leave the key without a passphrase", OPT_UNWRAP },
	{ NULL, NULL, NULL, 0 },
};

static struct key_options {
	const char *out, *new_file, *to;
	bool wrap, unwrap, accept_loss;
	int64_t before_ns;
	unsigned threads;
} options;

static int set(void *state, int key, const char *value, struct err *e)
{
	struct key_options *o = state;
	uint64_t n = 0;
	int rc = 0;

	switch (key) {
	case OPT_OUT:
		o->out = value;
		return 0;
	case OPT_WRAP:
		o->wrap = true;
		return 0;
	case OPT_NEW_FILE:
		o->new_file = value;
		return 0;
	case OPT_UNWRAP:
		o->unwrap = true;
		return 0;
	case OPT_TO:
		o->to = value;
		return 0;
	case OPT_BEFORE:
		rc = now_parse(value, &o->before_ns, e);
		return rc < 0 ? err_wrap(e, "--accept-before") : 0;
	case OPT_LOSS:
		o->accept_loss = true;
		return 0;
	case OPT_THREADS:
		rc = num_u64("--threads", value, 1, 16, &n, e);
		o->threads = (unsigned)n;
		return rc;
	default:
		return err_set(e, ERR_BUG, "option %d has no meaning", key);
	}
}

static int need(const char *value, const char *option, struct err *e)
{
	return value && *value ? 0 : err_set(e, ERR_INVALID, "%s is missing", option);
}

/* For writing, unless it is a dry run; whether the key may is said by what is called then. */
static int open_repo(const struct verb_common *common, struct repo **ret, struct err *e)
{
	return repo_open_url(common->store, common->dry_run ? STORE_READONLY : 0, common->key,
	                     common->passphrase_file, common->state, cancel_on_signals(), ret, e);
}

static const char *id_text(const uint8_t id[8], char ret[17])
{
	static const uint8_t none[8];

	hex_encode(ret, id, 8);
	return memcmp(id, none, sizeof(none)) == 0 ? NULL : ret;
}

/* ---- one change ---- */

static const struct table_column change_columns[] = {
	{ "change", "CHANGE", TABLE_TEXT },
	{ "name", "NAME", TABLE_TEXT },
	{ "id", "ID", TABLE_TEXT },
	{ "result", "RESULT", TABLE_TEXT },
	{ "revision", "REVISION", TABLE_NUMBER },
};

/* advice: what to do next; not told again when it was so before. */
static int tell_change(const struct verb_common *common, const char *change, const char *name,
                       const struct rekey_result *r, const char *advice, struct err *e)
{
	auto_table struct table *t = table_new("aksdr/key/v1", change_columns,
	                                       ARRAY_LEN(change_columns), common->output, e);
	char id[17];

	if (!t)
		return -1;
	table_row(t);
	table_text(t, change);
	table_text(t, name);
	table_text(t, id_text(r->id, id));
	table_text(t, r->already ? "was so before" : common->dry_run ? "would be done" : "done");
	table_number(t, (int64_t)r->revision);
	if (table_print(t, stdout, NULL, e) < 0)
		return -1;
	if (r->taken_up && !common->quiet)
		(void)fprintf(stderr, "the key file of an earlier run was taken up\n");
	if (advice && !common->quiet && !r->already)
		(void)fprintf(stderr, "%s\n", advice);
	return 0;
}

static int run_add_agent(void *state, const struct verb_common *common, int argc, char **argv,
                         struct err *e)
{
	const struct key_options *o = state;
	auto_repo struct repo *r = NULL;
	struct rekey_result result;

	(void)argc;
	if (need(o->out, "--out", e) < 0 || open_repo(common, &r, e) < 0 ||
	    rekey_add_agent(r, argv[0], o->out, common->dry_run, &result, e) < 0)
		return -1;
	return tell_change(common, "add-agent", argv[0], &result, NULL, e);
}

/* The passphrase for a new or another key file; *ret stays NULL when it is to have none. */
static int new_passphrase(const struct key_options *o, bool ask, char **ret, struct err *e)
{
	if (!o->new_file && !ask)
		return 0;
	return keys_passphrase(o->new_file, "new passphrase", true, ret, e);
}

static int run_add_recipient(void *state, const struct verb_common *common, int argc, char **argv,
                             struct err *e)
{
	const struct key_options *o = state;
	auto_secret char *passphrase = NULL;
	auto_repo struct repo *r = NULL;
	struct rekey_result result;
	char advice[256];

	(void)argc;
	if (need(o->out, "--out", e) < 0 || open_repo(common, &r, e) < 0 ||
	    new_passphrase(o, o->wrap, &passphrase, e) < 0 ||
	    rekey_add_recipient(r, argv[0], o->out, passphrase, common->dry_run, &result, e) < 0)
		return -1;
	(void)snprintf(advice, sizeof(advice),
	               "packs of before do not open with it until 'key reseal --to %s' was run",
	               argv[0]);
	return tell_change(common, "add-recipient", argv[0], &result, advice, e);
}

static int run_remove_recipient(void *state, const struct verb_common *common, int argc,
                                char **argv, struct err *e)
{
	auto_repo struct repo *r = NULL;
	struct rekey_result result;

	(void)state;
	(void)argc;
	if (open_repo(common, &r, e) < 0 ||
	    rekey_remove_recipient(r, argv[0], common->dry_run, &result, e) < 0)
		return -1;
	return tell_change(common, "remove-recipient", argv[0], &result,
	                   "what this key could read so far it can read for ever", e);
}

static int run_require(void *state, const struct verb_common *common, int argc, char **argv,
                       struct err *e)
{
	auto_repo struct repo *r = NULL;
	struct rekey_result result;
	uint64_t n;

	(void)state;
	(void)argc;
	if (num_u64("the number of signatures", argv[0], 1, CONFIG_SIGNATURES_MAX, &n, e) < 0 ||
	    open_repo(common, &r, e) < 0 ||
	    rekey_require_signatures(r, (unsigned)n, common->dry_run, &result, e) < 0)
		return -1;
	return tell_change(common, "require-signatures", argv[0], &result, NULL, e);
}

static int run_upgrade(void *state, const struct verb_common *common, int argc, char **argv,
                       struct err *e)
{
	auto_repo struct repo *r = NULL;
	struct rekey_result result;

	(void)state;
	(void)argc;
	(void)argv;
	if (open_repo(common, &r, e) < 0 || rekey_upgrade(r, common->dry_run, &result, e) < 0)
		return -1;
	return tell_change(common, "upgrade", NULL, &result, NULL, e);
}

/* ---- re-seal ---- */

static const struct table_column reseal_columns[] = {
	{ "recipient", "RECIPIENT", TABLE_TEXT },   { "packs", "PACKS", TABLE_NUMBER },
	{ "present", "KEYS BEFORE", TABLE_NUMBER }, { "sealed", "SEALED", TABLE_NUMBER },
	{ "objects", "OBJECTS", TABLE_NUMBER },     { "bad_packs", "BAD PACKS", TABLE_NUMBER },
};

static int run_reseal(void *state, const struct verb_common *common, int argc, char **argv,
                      struct err *e)
{
	const struct key_options *o = state;
	auto_repo struct repo *r = NULL;
	struct progress_counts counts = { 0 };
	struct reseal_result result;
	const struct reseal_params params = {
		.to = o->to,
		.dry_run = common->dry_run,
		.threads = o->threads,
		.counts = &counts,
	};

	(void)argc;
	(void)argv;
	if (need(o->to, "--to", e) < 0 || open_repo(common, &r, e) < 0)
		return -1;
	struct progress *p = progress_start("sealing keys of packs", common->progress, &counts);
	int rc = reseal_run(r, &params, &result, e);
	progress_stop(p);
	if (rc < 0)
		return -1;
	auto_table struct table *t = table_new("aksdr/reseal/v1", reseal_columns,
	                                       ARRAY_LEN(reseal_columns), common->output, e);
	if (!t)
		return -1;
	table_row(t);
	table_text(t, o->to);
	table_number(t, (int64_t)result.packs);
	table_number(t, (int64_t)result.present);
	table_number(t, (int64_t)result.sealed);
	table_number(t, (int64_t)result.objects);
	table_number(t, (int64_t)result.bad_packs);
	if (table_print(t, stdout, NULL, e) < 0)
		return -1;
	if (result.bad_packs == 0)
		return 0;
	return err_set(e, ERR_CORRUPT,
	               "%llu packs do not open with this key, so their keys could not be sealed "
	               "anew; one is '%s' ('check' says more)",
	               (unsigned long long)result.bad_packs, result.bad);
}

/* ---- revoke ---- */

static const struct table_column revoke_columns[] = {
	{ "name", "KEY", TABLE_TEXT },
	{ "id", "ID", TABLE_TEXT },
	{ "result", "RESULT", TABLE_TEXT },
	{ "revision", "REVISION", TABLE_NUMBER },
	{ "points_accepted", "POINTS THAT COUNT", TABLE_NUMBER },
	{ "points_rejected", "THAT DO NOT", TABLE_NUMBER },
	{ "accepted", "OBJECTS THAT COUNT", TABLE_NUMBER },
	{ "rejected", "THAT DO NOT", TABLE_NUMBER },
	{ "kept", NULL, TABLE_NUMBER },
};

static int take_rejected(void *arg, const char *session, int64_t received_ns, struct err *e)
{
	(void)arg;
	(void)e;
	log_warn("restore point does not count", LOG_S("session", session),
	         LOG_S("received", now_rfc3339(received_ns).s));
	return 0;
}

static int run_revoke(void *state, const struct verb_common *common, int argc, char **argv,
                      struct err *e)
{
	const struct key_options *o = state;
	auto_repo struct repo *r = NULL;
	struct progress_counts counts = { 0 };
	struct revoke_result result;
	const struct revoke_params params = {
		.name = argv[0],
		.before_ns = o->before_ns,
		.accept_loss = o->accept_loss,
		.dry_run = common->dry_run,
		.threads = o->threads,
		.counts = &counts,
		.rejected = take_rejected,
	};
	char id[17];

	(void)argc;
	if (open_repo(common, &r, e) < 0)
		return -1;
	struct progress *p = progress_start("looking who has signed what", common->progress,
	                                    &counts);
	int rc = revoke_run(r, &params, &result, e);
	progress_stop(p);
	if (rc < 0)
		return -1;
	auto_table struct table *t = table_new("aksdr/revoke/v1", revoke_columns,
	                                       ARRAY_LEN(revoke_columns), common->output, e);
	if (!t)
		return -1;
	table_row(t);
	table_text(t, result.name);
	table_text(t, id_text(result.id, id));
	table_text(t, common->dry_run ? "would be revoked"
	              : result.again  ? "revoked anew"
	                              : "revoked");
	if (common->dry_run)
		table_null(t);
	else
		table_number(t, (int64_t)result.revision);
	table_number(t, (int64_t)result.points_accepted);
	table_number(t, (int64_t)result.points_rejected);
	table_number(t, (int64_t)result.accepted);
	table_number(t, (int64_t)result.rejected);
	table_number(t, (int64_t)result.kept);
	return table_print(t, stdout, NULL, e);
}

/* ---- passphrase ---- */

static int run_passphrase(void *state, const struct verb_common *common, int argc, char **argv,
                          struct err *e)
{
	const struct key_options *o = state;
	auto_secret char *passphrase = NULL;
	auto_keys struct keys *k = NULL;

	(void)argc;
	if (o->unwrap && o->new_file)
		return err_set(e, ERR_INVALID,
		               "--unwrap and --new-passphrase-file do not go together");
	if (keys_load(argv[0], common->passphrase_file, &k, e) < 0)
		return -1;
	if (k->kind != KEY_RECOVERY)
		return err_set(e, ERR_INVALID,
		               "'%s' is no recovery key: only those have a passphrase, since "
		               "others "
		               "are used where nobody could type one",
		               argv[0]);
	if (!o->unwrap && new_passphrase(o, true, &passphrase, e) < 0)
		return -1;
	if (keys_replace(k, argv[0], passphrase, e) < 0)
		return -1;
	if (!common->quiet)
		(void)fprintf(stderr, "'%s' %s; copies of it elsewhere are as they were\n", argv[0],
		              o->unwrap ? "has no passphrase now" : "is wrapped anew");
	return 0;
}

/* ---- list ---- */

static const struct table_column key_columns[] = {
	{ "kind", "KIND", TABLE_TEXT },       { "name", "NAME", TABLE_TEXT },
	{ "id", "ID", TABLE_TEXT },           { "state", "STATE", TABLE_TEXT },
	{ "revoked", "REVOKED", TABLE_TIME }, { "accepted", "OBJECTS THAT COUNT", TABLE_NUMBER },
	{ "this", "THIS KEY", TABLE_BOOL },
};

static void put_key(struct table *t, const char *kind, const char *name, const uint8_t id[8],
                    const char *state, bool this)
{
	char hex[17];

	table_row(t);
	table_text(t, kind);
	table_text(t, name[0] ? name : NULL);
	table_text(t, id_text(id, hex));
	table_text(t, state);
	table_null(t);
	table_null(t);
	table_number(t, this);
}

static void put_signer(struct table *t, const struct key_signer *s, bool this)
{
	char hex[17];

	table_row(t);
	table_text(t, "agent");
	table_text(t, s->name);
	table_text(t, id_text(s->id, hex));
	table_text(t, !s->revoked  ? "in use"
	              : s->lost    ? "revoked; its list is lost"
	              : s->closing ? "being revoked"
	                           : "revoked");
	table_number(t, s->revoked_ns);
	if (s->revoked && !s->closing && !s->lost)
		table_number(t, (int64_t)s->naccepted);
	else
		table_null(t);
	table_number(t, this);
}

static int run_list(void *state, const struct verb_common *common, int argc, char **argv,
                    struct err *e)
{
	auto_repo struct repo *r = NULL;
	uint8_t admin[8];

	(void)state;
	(void)argc;
	(void)argv;
	if (cmd_repo(common, &r, e) < 0)
		return -1;
	const struct keys *k = r->keys;
	const bool old = (r->config.features & FORMAT_FEATURES) != FORMAT_FEATURES;
	const char *writers = r->params.single_writer ? "single" : "many";
	auto_table struct table *t = table_new("aksdr/keys/v1", key_columns, ARRAY_LEN(key_columns),
	                                       common->output, e);
	auto_json json_t *extra = json_pack("{s:I, s:s, s:i, s:b}", "revision",
	                                    (json_int_t)r->params.revision, "writers", writers,
	                                    "destroy_signatures", (int)r->params.signatures,
	                                    "needs_upgrade", old);
	if (!t || !extra)
		return t ? err_set(e, ERR_NOMEM, "no memory for the list of keys") : -1;
	key_signer_id(admin, k->admin_public);
	put_key(t, "admin", "", admin, "in use", k->has_sign && k->kind == KEY_RECOVERY);
	for (size_t i = 0; i < k->nrecipients; i++) {
		const struct key_recipient *x = &k->recipients[i];

		put_key(t, "recipient", x->name, x->id, "in use",
		        k->has_recovery &&
		                memcmp(x->public, k->recovery_public, sizeof(x->public)) == 0);
	}
	for (size_t i = 0; i < k->nsigners; i++) {
		const struct key_signer *s = &k->signers[i];

		put_signer(t, s,
		           k->kind == KEY_AGENT &&
		                   memcmp(s->public, k->sign_public, sizeof(s->public)) == 0);
	}
	if (table_print(t, stdout, extra, e) < 0)
		return -1;
	if (common->quiet || common->output != OUTPUT_TABLE)
		return 0;
	(void)fprintf(stderr,
	              "revision %llu of the config; %s writer%s; %u signature%s to expire%s\n",
	              (unsigned long long)r->params.revision, writers,
	              r->params.single_writer ? "" : "s", r->params.signatures,
	              r->params.signatures == 1 ? "" : "s",
	              old ? "; of an old version: 'upgrade' lets collections run" : "");
	return 0;
}

/* ---- the verbs ---- */

const struct verb cmd_key_list = {
	.name = "key list",
	.summary = "who may read and sign",
	.text = "Recipients can read what is backed up; agents sign what they write; the "
		"admin key, which is in the recovery key that 'init' made, signs changes of "
		"both. Any key file will do. Below the list: the revision of the config, and the "
		"rules that it has.",
	.examples = "aksdr-catalog key list --store file:///backup --key audit.key",
	.flags = VERB_STORE | VERB_KEY,
	.run = run_list,
};

const struct verb cmd_key_add_agent = {
	.name = "key add-agent",
	.args = "NAME",
	.summary = "make an agent key with a signing key of its own",
	.text = "One for each node, so that one of them can be revoked and the others go "
		"on; and one for each person or job that expires restore points, where that "
		"takes two. The new key writes backups and reads no contents. A run that was "
		"stopped is run again with the same NAME and FILE.",
	.examples = "aksdr-catalog key add-agent --key recovery.key node-7 --out node-7.key",
	.options = agent_options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.min_args = 1,
	.max_args = 1,
	.set = set,
	.run = run_add_agent,
	.state = &options,
};

const struct verb cmd_key_add_recipient = {
	.name = "key add-recipient",
	.args = "NAME",
	.summary = "make another recovery key",
	.text = "It reads everything that is backed up from now on, and signs nothing. "
		"Backups that run at this moment are still without it; what was backed up before "
		"opens once 'key reseal' was run. The passphrase of the key that --key names is "
		"read as always (AKSDR_PASSPHRASE_FILE, or the terminal).",
	.examples = "aksdr-catalog key add-recipient --key recovery.key site-b --out site-b.key "
		    "--wrap",
	.options = recipient_options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.min_args = 1,
	.max_args = 1,
	.set = set,
	.run = run_add_recipient,
	.state = &options,
};

const struct verb cmd_key_remove_recipient = {
	.name = "key remove-recipient",
	.args = "NAME",
	.summary = "seal nothing new to a recovery key",
	.text = "What is backed up from now on does not open with that key (its name, or "
		"id). What it could read before it can read for ever: whoever had the key may "
		"have copied the data, or the keys of packs. Take its access to the store away, "
		"too.",
	.examples = "aksdr-catalog key remove-recipient --key recovery.key site-b",
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.min_args = 1,
	.max_args = 1,
	.set = set,
	.run = run_remove_recipient,
	.state = &options,
};

const struct verb cmd_key_reseal = {
	.name = "key reseal",
	.summary = "let a recovery key read what was backed up before it",
	.text = "Seals the key of each pack that the recipient cannot open yet to it. Only "
		"headers of packs are read, no data. It can be stopped and run again: it does "
		"what is missing. --key is the recovery key that 'init' made. Exit status 5: "
		"some packs are damaged, or do not open with this key; all others were done.",
	.examples = "aksdr-catalog key reseal --key recovery.key --to site-b",
	.options = reseal_options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.set = set,
	.run = run_reseal,
	.state = &options,
};

const struct verb cmd_key_revoke = {
	.name = "key revoke",
	.args = "NAME",
	.summary = "let nothing more count that an agent key signs",
	.text = "For a node that was stolen, or is no longer there. What the store has of "
		"that key when this runs goes on to count; with --accept-before only what the "
		"store had received before that time: restore points of after it are named, and "
		"are offered no more. What only they need is collected 7 days later at the "
		"earliest, so that a mistake can be undone: run it again with another time.\n\n"
		"First take its access to the store away. The revoked key still reads metadata "
		"(names, sizes, times) of all that it can fetch: that secret is one for the "
		"whole repository. Contents were never readable with it. Contents that it wrote "
		"are hashed again whenever they are read, and never copied by a collection.\n\n"
		"It can be stopped and run again.",
	.examples = "aksdr-catalog key revoke --key recovery.key node-7 --dry-run\n"
		    "aksdr-catalog key revoke --key recovery.key node-7 --accept-before 2026-11-20",
	.options = revoke_options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.min_args = 1,
	.max_args = 1,
	.set = set,
	.run = run_revoke,
	.state = &options,
};

const struct verb cmd_key_require_signatures = {
	.name = "key require-signatures",
	.args = "1|2",
	.summary = "let one or two keys agree before anything expires",
	.text = "With 2, a restore point is expired only when tombstones by two different "
		"keys name it, and a hold ends when it was released by two: what one key alone "
		"has said is 'proposed'. Give two people, or a job and a person, an agent key "
		"each. Going back to 1 takes the admin key, as this does.",
	.examples = "aksdr-catalog key require-signatures --key recovery.key 2",
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.min_args = 1,
	.max_args = 1,
	.set = set,
	.run = run_require,
	.state = &options,
};

const struct verb cmd_key_passphrase = {
	.name = "key passphrase",
	.args = "FILE",
	.summary = "change the passphrase of a recovery key",
	.text = "Wraps the key in FILE by a new passphrase, from --new-passphrase-file or "
		"asked for on the terminal; the old one, when there is one, is read from the "
		"file that AKSDR_PASSPHRASE_FILE names, or asked for. The new file is read back "
		"before it takes the old one's place. No store is touched, and copies of the old "
		"file still open with the old passphrase: find them, and wipe them.",
	.examples = "aksdr-catalog key passphrase recovery.key",
	.options = passphrase_options,
	.flags = VERB_LOCAL,
	.min_args = 1,
	.max_args = 1,
	.set = set,
	.run = run_passphrase,
	.state = &options,
};

const struct verb cmd_upgrade = {
	.name = "upgrade",
	.summary = "let a repository of an old version be collected",
	.text = "Programs of before collections existed would rely on packs that a "
		"collection takes away. A repository that they may still write to is therefore "
		"not collected until this was run; from then on they refuse it. Update all nodes "
		"first. --key is the recovery key that 'init' made. Nothing else changes, and "
		"there is no way back.",
	.examples = "aksdr-catalog upgrade --store file:///backup --key recovery.key",
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.run = run_upgrade,
};
