/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-restore fence, unfence, accept, fences: who may still make points that count. */
#include <string.h>

#include "common/cancel.h"
#include "common/json.h"
#include "repo/commits.h"
#include "repo/fence_change.h"
#include "restore/cmd.h"
#include "restore/site.h"

enum { OPT_REASON = 256, OPT_SUCCESSOR, OPT_LATE };

static const struct verb_option fence_options[] = {
	{ "reason", "TEXT", "why, for the record (required)", OPT_REASON },
	{ "successor", "NAME", "the cluster or site that goes on", OPT_SUCCESSOR },
	{ NULL, NULL, NULL, 0 },
};

static const struct verb_option unfence_options[] = {
	{ "reason", "TEXT", "why, for the record (required)", OPT_REASON },
	{ NULL, NULL, NULL, 0 },
};

static const struct verb_option fences_options[] = {
	{ "late", NULL, "list the restore points that do not count, instead", OPT_LATE },
	{ NULL, NULL, NULL, 0 },
};

static struct fence_options {
	const char *reason, *successor;
	bool late;
} options;

static int set(void *state, int key, const char *value, struct err *e)
{
	struct fence_options *o = state;

	switch (key) {
	case OPT_REASON:
		o->reason = value;
		return 0;
	case OPT_SUCCESSOR:
		o->successor = value;
		return 0;
	case OPT_LATE:
		o->late = true;
		return 0;
	default:
		return err_set(e, ERR_BUG, "option %d has no meaning", key);
	}
}

/* For writing: a fence must be where the agents look, so never in a copy that is read only. */
static int open_repo(const struct verb_common *common, struct repo **ret, struct err *e)
{
	return repo_open_url(common->store, common->dry_run ? STORE_READONLY : 0, common->key,
	                     common->passphrase_file, common->state, cancel_on_signals(), ret, e);
}

/* ---- one change ---- */

static const struct table_column change_columns[] = {
	{ "epoch", "EPOCH", TABLE_NUMBER },
	{ "revision", "REVISION", TABLE_NUMBER },
	{ "state", "STATE", TABLE_TEXT },
	{ "points", "POINTS", TABLE_NUMBER },
};

/* done: what became of it; would: the same of a dry run. points: they are known. */
static int print_change(const struct verb_common *common, const char *schema,
                        const struct fence_result *result, const char *done, const char *would,
                        bool points, struct err *e)
{
	auto_table struct table *t = table_new(schema, change_columns, ARRAY_LEN(change_columns),
	                                       common->output, e);

	if (!t)
		return -1;
	table_row(t);
	table_number(t, (int64_t)result->epoch);
	table_number(t, (int64_t)result->revision);
	table_text(t, result->already ? "was so before" : common->dry_run ? would : done);
	if (points && !result->already && !common->dry_run)
		table_number(t, (int64_t)result->points);
	else
		table_null(t);
	return table_print(t, stdout, NULL, e);
}

typedef int change_fn(struct repo *r, const struct fence_order *order, struct fence_result *ret,
                      struct err *e);

/* Opens the repository, and has the sites that are named fenced or given back. */
static int change(const struct verb_common *common, int argc, char **argv, change_fn *fn,
                  struct fence_result *ret, struct err *e)
{
	auto_free struct fence_target *targets = calloc((size_t)argc, sizeof(*targets));
	auto_repo struct repo *r = NULL;
	const struct fence_order order = {
		.targets = targets,
		.n = (size_t)argc,
		.reason = options.reason,
		.successor = options.successor,
		.dry_run = common->dry_run,
	};

	if (!targets)
		return err_set(e, ERR_NOMEM, "no memory for %d names", argc);
	for (int i = 0; i < argc; i++) {
		if (site_parse(argv[i], &targets[i], e) < 0)
			return -1;
	}
	if (!options.reason || !*options.reason)
		return err_set(e, ERR_INVALID, "--reason is missing");
	return open_repo(common, &r, e) < 0 ? -1 : fn(r, &order, ret, e);
}

static int run_fence(void *state, const struct verb_common *common, int argc, char **argv,
                     struct err *e)
{
	struct fence_result result;

	(void)state;
	return change(common, argc, argv, fence_raise, &result, e) < 0
	               ? -1
	               : print_change(common, "aksdr/fence/v1", &result, "fenced",
	                              "would be fenced", true, e);
}

static int run_unfence(void *state, const struct verb_common *common, int argc, char **argv,
                       struct err *e)
{
	struct fence_result result;

	(void)state;
	return change(common, argc, argv, fence_lift, &result, e) < 0
	               ? -1
	               : print_change(common, "aksdr/unfence/v1", &result, "given back",
	                              "would be given back", false, e);
}

static int run_accept(void *state, const struct verb_common *common, int argc, char **argv,
                      struct err *e)
{
	auto_repo struct repo *r = NULL;
	struct fence_result result;

	(void)state;
	if (open_repo(common, &r, e) < 0 || fence_accept(r, (const char *const *)argv, (size_t)argc,
	                                                 common->dry_run, &result, e) < 0)
		return -1;
	return print_change(common, "aksdr/accept/v1", &result, "accepted", "would be accepted",
	                    true, e);
}

/* ---- what there is ---- */

static const struct table_column fences_columns[] = {
	{ "epoch", "EPOCH", TABLE_NUMBER },     { "of", "OF", TABLE_TEXT },
	{ "state", "STATE", TABLE_TEXT },       { "fenced", "FENCED", TABLE_TIME },
	{ "lifted", "GIVEN BACK", TABLE_TIME }, { "successor", "SUCCESSOR", TABLE_TEXT },
	{ "reason", "REASON", TABLE_TEXT },     { "user", "USER", TABLE_TEXT },
	{ "host", NULL, TABLE_TEXT },           { "lifted_epoch", NULL, TABLE_NUMBER },
	{ "lifted_reason", NULL, TABLE_TEXT },
};

static const char *text_of(const json_t *o, const char *member)
{
	const char *text = json_string_value(json_object_get(o, member));

	return text && *text ? text : NULL;
}

static int put_fence(const struct repo *r, const struct fence *f, struct table *t, struct err *e)
{
	CLEANUP(buf_clear) struct buf of = BUF_INIT(MIB);
	auto_json json_t *facts = NULL;
	auto_json json_t *lift = NULL;

	/* That they are lost does not matter to what counts. */
	if (fence_facts_left(r, &f->record, &facts, e) < 0 ||
	    fence_facts_left(r, &f->lift_record, &lift, e) < 0)
		return -1;
	const json_t *by = json_object_get(facts, "by");
	site_names(json_object_get(facts, "volumes"), &of);
	table_row(t);
	table_number(t, (int64_t)f->epoch);
	table_text(t, of.len ? buf_cstr(&of) : NULL);
	table_text(t, f->lifted ? "given back" : f->closing ? "incomplete" : "fenced");
	table_number(t, f->at_ns);
	table_number(t, f->lifted_ns);
	table_text(t, text_of(facts, "successor"));
	table_text(t, text_of(facts, "reason"));
	table_text(t, text_of(by, "user"));
	table_text(t, text_of(by, "host"));
	if (f->lifted)
		table_number(t, (int64_t)f->lifted);
	else
		table_null(t);
	table_text(t, text_of(lift, "reason"));
	return 0;
}

static int list_fences(const struct repo *r, const struct verb_common *common, struct err *e)
{
	const struct fence *f;
	auto_table struct table *t = table_new("aksdr/fences/v1", fences_columns,
	                                       ARRAY_LEN(fences_columns), common->output, e);

	if (!t)
		return -1;
	for (size_t i = 0; (f = fence_at(r, i)); i++) {
		if (put_fence(r, f, t, e) < 0)
			return -1;
	}
	auto_json json_t *extra = json_pack("{s:I}", "epoch", (json_int_t)fence_epoch(r));
	return table_print(t, stdout, extra, e);
}

static const struct table_column late_columns[] = {
	{ "session", "SESSION", TABLE_TEXT },
	{ "received", "RECEIVED", TABLE_TIME },
	{ "why", "WHY", TABLE_TEXT },
};

static int list_late(const struct repo *r, const struct verb_common *common, struct err *e)
{
	CLEANUP(commit_list_clear) struct commit_list l = { 0 };
	auto_table struct table *t = table_new("aksdr/late/v1", late_columns,
	                                       ARRAY_LEN(late_columns), common->output, e);

	if (!t || commit_list_load(r->store, &l, e) < 0)
		return -1;
	for (size_t i = 0; i < l.n; i++) {
		CLEANUP(point_clear) struct point p = { 0 };
		const struct commit_item *c = &l.v[i];
		struct err why = ERR_INIT;

		if (cancel_check(r->cancel, e) < 0)
			return -1;
		if (c->kind != COMMIT_POINT ||
		    repo_point_at(r, c->session, c->received_ns, &p, &why) == 0)
			continue;
		if (!key_is_void(&why)) {
			if (note_is_bad(&why))
				continue;
			*e = why;
			return -1;
		}
		table_row(t);
		table_text(t, c->session);
		table_number(t, c->received_ns);
		table_text(t, why.msg);
	}
	return table_print(t, stdout, NULL, e);
}

static int run_fences(void *state, const struct verb_common *common, int argc, char **argv,
                      struct err *e)
{
	const struct fence_options *o = state;
	auto_repo struct repo *r = NULL;

	(void)argc;
	(void)argv;
	if (cmd_open(common, &r, e) < 0)
		return -1;
	return o->late ? list_late(r, common, e) : list_fences(r, common, e);
}

/* ---- the verbs ---- */

#define SITES                                                                                   \
	"SITE is a CLUSTER, CLUSTER/NAMESPACE or CLUSTER/NAMESPACE/NAME. Volumes outside of a " \
	"cluster are //NAME. Several are one fence."

const struct verb cmd_fence = {
	.name = "fence",
	.args = "SITE...",
	.summary = "let nothing count any more that a site backs up from now on",
	.text = "Before a failover: whatever the agents of the old site still do, or do when they "
		"come back, their restore points of these volumes do not count from now on, and "
		"they stop (exit status 6) as soon as they look. What is in the store now goes on "
		"to count.\n\n" SITES "\n\n"
		"It takes the recovery key that init made, and can be stopped and run again.",
	.examples = "aksdr-restore fence --key recovery.key prod-we --successor prod-ne --reason "
		    "'region down'\n"
		    "aksdr-restore fence --key recovery.key prod-we/shop --reason moved --dry-run",
	.options = fence_options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.min_args = 1,
	.max_args = FENCE_TARGETS_MAX,
	.set = set,
	.run = run_fence,
	.state = &options,
};

const struct verb cmd_unfence = {
	.name = "unfence",
	.args = "SITE...",
	.summary = "let a site that was fenced back up again",
	.text = "What its agents back up from then on counts. What they made while they were "
		"fenced does not, nor does what an agent makes that has not seen this yet. The "
		"names must be those of the fence ('fences' lists them).\n\n" SITES,
	.examples = "aksdr-restore unfence --key recovery.key prod-we --reason 'failback'",
	.options = unfence_options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.min_args = 1,
	.max_args = FENCE_TARGETS_MAX,
	.set = set,
	.run = run_unfence,
	.state = &options,
};

const struct verb cmd_accept = {
	.name = "accept",
	.args = "SESSION...",
	.summary = "let restore points count that came after their site was fenced",
	.text = "For what was backed up in time and reached this store too late, such as points "
		"that a copy did not have yet. 'fences --late' lists them.",
	.examples = "aksdr-restore accept "
		    "2026-11-22/03fa41b2c19de077-5a0c7d2be4930f1a6c58d1e09b72af34",
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.min_args = 1,
	.max_args = 10000,
	.run = run_accept,
	.state = &options,
};

const struct verb cmd_fences = {
	.name = "fences",
	.summary = "list the sites that are fenced, or were",
	.text = "Any key of the repository will do.",
	.examples = "aksdr-restore fences --key audit.key",
	.options = fences_options,
	.flags = VERB_STORE | VERB_KEY,
	.set = set,
	.run = run_fences,
	.state = &options,
};
