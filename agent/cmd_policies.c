/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-agent policies check: what policies in files say, before they are applied. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/cmd.h"
#include "agent/policy.h"
#include "common/now.h"
#include "common/num.h"

#define FIRINGS 3

enum { OPT_NAMESPACE = 256, OPT_FROM };

static const char *namespace_of_agent = "aksdr";
static int64_t from_s = -1;

static const struct verb_option options[] = {
	{ "namespace", "NAME", "the agent's namespace, of policies that name none; default aksdr",
	  OPT_NAMESPACE },
	{ "from", "TIME", "tell the firings after this time; default: now", OPT_FROM },
	{ NULL, NULL, NULL, 0 },
};

static int set(void *state, int key, const char *value, struct err *e)
{
	int64_t ns;

	(void)state;
	if (key == OPT_NAMESPACE) {
		namespace_of_agent = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--namespace needs a name");
	}
	if (now_parse(value, &ns, e) < 0)
		return err_wrap(e, "--from");
	from_s = ns / 1000000000;
	return 0;
}

static const struct table_column columns[] = {
	{ "policy", "POLICY", TABLE_TEXT },  { "result", "RESULT", TABLE_TEXT },
	{ "cron", "SCHEDULE", TABLE_TEXT },  { "time_zone", "ZONE", TABLE_TEXT },
	{ "next_1", "NEXT", TABLE_TEXT },    { "next_2", "THEN", TABLE_TEXT },
	{ "next_3", "THEN", TABLE_TEXT },    { "jitter_ms", "WITHIN", TABLE_DURATION },
	{ "rpo_ms", "RPO", TABLE_DURATION }, { "consistency", "CONSISTENCY", TABLE_TEXT },
	{ "keeps", "KEEPS", TABLE_TEXT },    { "paused", NULL, TABLE_BOOL },
	{ "priority", NULL, TABLE_NUMBER },  { "mistake", "MISTAKE", TABLE_TEXT },
};

static void tell_firings(struct table *t, const struct policy *p)
{
	int64_t at = from_s >= 0 ? from_s : now_wall_ns() / 1000000000;

	for (int i = 0; i < FIRINGS; i++) {
		const int64_t next = at < 0 ? -1 : cron_next_in(&p->cron, p->zone, at);

		table_text(t, next < 0 ? NULL : zone_text(p->zone, next).s);
		at = next;
	}
}

static void tell_retention(struct table *t, const struct retain_policy *r)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(512);
	static const char *const names[] = { "last",   "hourly",  "daily",
		                             "weekly", "monthly", "yearly" };
	const uint32_t counts[ARRAY_LEN(names)] = { r->last,   r->hourly,  r->daily,
		                                    r->weekly, r->monthly, r->yearly };

	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		if (counts[i] > 0)
			(void)buf_printf(&b, "%s%s %u", b.len ? ", " : "", names[i], counts[i]);
	}
	if (r->within_s > 0)
		(void)buf_printf(&b, "%swithin %s", b.len ? ", " : "",
		                 num_duration_text(r->within_s).s);
	table_text(t, buf_cstr(&b));
}

static void tell(struct table *t, const struct policy *p)
{
	char name[2 * POLICY_NAME_MAX];

	(void)snprintf(name, sizeof(name), "%s/%s", p->ns, p->name);
	table_row(t);
	table_text(t, name);
	if (p->invalid[0]) {
		table_text(t, "invalid");
		for (size_t i = 2; i + 1 < ARRAY_LEN(columns); i++)
			table_null(t);
		table_text(t, p->invalid);
		return;
	}
	table_text(t, p->paused ? "paused" : "ok");
	table_text(t, p->cron_text);
	table_text(t, zone_name(p->zone));
	tell_firings(t, p);
	table_number(t, p->jitter_s * 1000);
	if (p->rpo_s > 0)
		table_number(t, p->rpo_s * 1000);
	else
		table_null(t);
	table_text(t, snapshot_consistency_name(p->want));
	if (p->retains)
		tell_retention(t, &p->retention);
	else
		table_text(t, "everything");
	table_number(t, p->paused);
	table_number(t, p->priority);
	table_null(t);
}

static int load(const char *path, struct policy_list *l, struct err *e)
{
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return policy_load_dir(path, NULL, namespace_of_agent, l, e);
	return policy_load_file(path, NULL, namespace_of_agent, l, e);
}

static int run(void *state, const struct verb_common *c, int argc, char **argv, struct err *e)
{
	CLEANUP(policy_list_clear) struct policy_list l = { .n = 0 };
	struct err first = ERR_INIT;
	struct err later = ERR_INIT;
	size_t mistakes = 0;

	(void)state;
	for (int i = 0; i < argc; i++) {
		if (load(argv[i], &l, e) < 0)
			return -1;
	}
	auto_table struct table *t = table_new("aksdr/policies/v1", columns, ARRAY_LEN(columns),
	                                       c->output, e);
	if (!t)
		return -1;
	for (size_t i = 0; i < l.n; i++) {
		tell(t, l.items[i]);
		if (policy_check(l.items[i], mistakes > 0 ? &later : &first) < 0)
			mistakes++;
	}
	if (table_print(t, stdout, NULL, e) < 0)
		return -1;
	if (mistakes == 0)
		return 0;
	*e = first;
	return mistakes == 1 ? -1 : err_wrap(e, "%zu policies have a mistake, first", mistakes);
}

const struct verb cmd_policies_check = {
	.name = "policies check",
	.args = "FILE|DIRECTORY...",
	.summary = "tell what policies in files say, before they are applied",
	.text = "Reads BackupPolicies (YAML or JSON, any number to a file; of a directory all "
		"files that end in .yaml, .yml or .json) as the agent does, and tells of each its "
		"next "
		"three firings by its own clocks, within what time after them claims begin "
		"(jitter), and what is kept; or the first mistake, by its field. What the API "
		"server cannot see is seen here too: time zones that do not exist, schedules that "
		"never fire. RestorePlans in the files are left out.\n\n"
		"The exit status is 2 when a policy has a mistake.",
	.examples = "aksdr-agent policies check policies.yaml\n"
		    "aksdr-agent policies check --from 2027-03-27 --output json policies/",
	.options = options,
	.flags = VERB_LOCAL,
	.min_args = 1,
	.max_args = ~0u,
	.set = set,
	.run = run,
};
