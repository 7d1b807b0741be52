/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-restore promote: says which cluster serves a plan from now on, by hand. */
#include <string.h>

#include "common/cancel.h"
#include "common/log.h"
#include "repo/fence.h"
#include "repo/owner.h"
#include "restore/cmd.h"

enum { OPT_CLUSTER = 256, OPT_REASON };

static const struct verb_option promote_options[] = {
	{ "cluster", "NAME", "that serves the plan from now on (required)", OPT_CLUSTER },
	{ "reason", "TEXT", "why, for the record (required)", OPT_REASON },
	{ NULL, NULL, NULL, 0 },
};

static struct promote_options {
	const char *cluster, *reason;
} options;

static int set(void *state, int key, const char *value, struct err *e)
{
	struct promote_options *o = state;

	(void)e;
	*(key == OPT_CLUSTER ? &o->cluster : &o->reason) = value;
	return 0;
}

static int take_text(char *ret, size_t max, const char *text, const char *option, struct err *e)
{
	if (!text || !*text)
		return err_set(e, ERR_INVALID, "%s is missing", option);
	if (strlen(text) >= max)
		return err_set(e, ERR_INVALID, "%s: at most %zu bytes", option, max - 1);
	memcpy(ret, text, strlen(text) + 1);
	return 0;
}

/* The fence that stands against the cluster; NULL: there is none. */
static int standing(const struct repo *r, const char *cluster, const struct fence **ret,
                    struct err *e)
{
	struct point_volume v = { .name = "" };

	(void)snprintf(v.cluster, sizeof(v.cluster), "%s", cluster);
	return fence_over(r, &v, fence_epoch(r), ret, e);
}

/* It would be told that it serves the plan, and would answer that it does not. */
static int refuse_fenced(const struct repo *r, const struct owner *next, struct err *e)
{
	const struct fence *f;

	if (standing(r, next->cluster, &f, e) < 0)
		return -1;
	return f ? err_set(e, ERR_BUSY,
	                   "cluster '%s' is fenced (epoch %llu): give it back before, or name "
	                   "another one (aksdr-restore fences, unfence)",
	                   next->cluster, (unsigned long long)f->epoch)
	         : 0;
}

static int warn_unfenced(const struct repo *r, const struct owner *before, const struct owner *next,
                         struct err *e)
{
	const struct fence *f;

	if (before->n == 0 || strcmp(before->cluster, next->cluster) == 0)
		return 0;
	if (standing(r, before->cluster, &f, e) < 0)
		return -1;
	if (!f)
		log_warn("the cluster that served the plan is not fenced: what it backs up still "
		         "counts",
		         LOG_S("cluster", before->cluster));
	return 0;
}

static const struct table_column columns[] = {
	{ "plan", "PLAN", TABLE_TEXT },     { "cluster", "CLUSTER", TABLE_TEXT },
	{ "before", "BEFORE", TABLE_TEXT }, { "state", "STATE", TABLE_TEXT },
	{ "record", NULL, TABLE_NUMBER },   { "epoch", NULL, TABLE_NUMBER },
};

static int print(const struct verb_common *common, const struct owner *before,
                 const struct owner *now, const char *state, struct err *e)
{
	auto_table struct table *t = table_new("aksdr/promote/v1", columns, ARRAY_LEN(columns),
	                                       common->output, e);

	if (!t)
		return -1;
	table_row(t);
	table_text(t, now->plan);
	table_text(t, now->cluster);
	table_text(t, before->n ? before->cluster : NULL);
	table_text(t, state);
	table_number(t, (int64_t)now->n);
	table_number(t, (int64_t)now->epoch);
	return table_print(t, stdout, NULL, e);
}

/* For writing: a record must be where both sides look, so never in a copy that is read only. */
static int open_plan(const struct verb_common *common, const char *plan, struct repo **ret,
                     struct chain *ret_chain, struct owner *ret_before, struct err *e)
{
	auto_repo struct repo *r = NULL;

	if (repo_open_url(common->store, common->dry_run ? STORE_READONLY : 0, common->key,
	                  common->passphrase_file, common->state, cancel_on_signals(), &r, e) < 0 ||
	    owner_open(r, plan, ret_chain, e) < 0 || owner_newest(r, ret_chain, ret_before, e) < 0)
		return -1;
	*ret = STEAL(&r);
	return 0;
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	const struct promote_options *o = state;
	auto_repo struct repo *r = NULL;
	struct owner before = { .n = 0 };
	struct owner next = { .n = 0 };
	struct chain chain;

	(void)argc;
	if (owner_check_plan(argv[0], e) < 0 ||
	    take_text(next.plan, sizeof(next.plan), argv[0], "PLAN", e) < 0 ||
	    take_text(next.cluster, sizeof(next.cluster), o->cluster, "--cluster", e) < 0 ||
	    take_text(next.reason, sizeof(next.reason), o->reason, "--reason", e) < 0 ||
	    open_plan(common, next.plan, &r, &chain, &before, e) < 0 ||
	    refuse_fenced(r, &next, e) < 0)
		return -1;
	/* A record from before a fence that was raised since does not let its cluster serve. */
	if (before.n > 0 && strcmp(before.cluster, next.cluster) == 0 &&
	    before.epoch == fence_epoch(r))
		return print(common, &before, &before, "was so before", e);
	if (warn_unfenced(r, &before, &next, e) < 0)
		return -1;
	next.n = chain.next;
	next.epoch = fence_epoch(r);
	if (common->dry_run)
		return print(common, &before, &next, "would be promoted", e);
	return owner_change(r, &chain, &next, e) < 0 ? -1
	                                             : print(common, &before, &next, "promoted", e);
}

const struct verb cmd_promote = {
	.name = "promote",
	.args = "PLAN",
	.summary = "say which cluster serves a plan from now on",
	.text = "For who has restored by hand: 'serve' answers 200 for the plan at that cluster "
		"from then on, within a second, and 503 at every other one. Fence the cluster "
		"that served it before, and promote when all is restored and verified; after a "
		"way back, give that cluster back and then promote it.\n\n"
		"It takes the recovery key that init made. Of two who promote at the same "
		"moment one is told to look again.",
	.examples = "aksdr-restore promote shop --key recovery.key --cluster prod-ne --reason "
		    "'region down'",
	.options = promote_options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.min_args = 1,
	.max_args = 1,
	.set = set,
	.run = run,
	.state = &options,
};
