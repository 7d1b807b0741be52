/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-catalog expire, hold, release: statements about single restore points, and volumes. */
#include <string.h>

#include "catalog/cmd.h"
#include "common/num.h"
#include "repo/expiry.h"

enum { OPT_REASON = 256, OPT_NAME };

static const struct verb_option expire_options[] = {
	{ "reason", "TEXT", "why; required", OPT_REASON },
	{ NULL, NULL, NULL, 0 },
};

static const struct verb_option hold_options[] = {
	{ "reason", "TEXT", "why, such as a file number; required", OPT_REASON },
	{ "name", "TEXT", "who ordered it; required", OPT_NAME },
	{ NULL, NULL, NULL, 0 },
};

static struct statement_options {
	const char *reason, *name;
} options;

static int set(void *state, int key, const char *value, struct err *e)
{
	struct statement_options *o = state;

	(void)e;
	if (key == OPT_REASON)
		o->reason = value;
	else
		o->name = value;
	return 0;
}

static int need(const char *value, const char *option, struct err *e)
{
	if (value && *value)
		return 0;
	return err_set(e, ERR_INVALID, "%s is missing: it stays in the record for auditors",
	               option);
}

/* ---- expire ---- */

static const struct table_column expire_columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT },
	{ "point", "POINT", TABLE_TEXT },
	{ "state", "STATE", TABLE_TEXT },
	{ "session", NULL, TABLE_TEXT },
};

/* What a text means: a point that is there, or the session of one that was lost. */
struct target {
	char session[POINT_SESSION_LEN + 1];
	char volume[3 * POINT_NAME_MAX + 3];
};

static int find_target(const struct repo *r, const char *text, struct target *ret, struct err *e)
{
	CLEANUP(point_clear) struct point p = { 0 };

	*ret = (struct target){ 0 };
	if (point_session_valid(text)) {
		(void)snprintf(ret->session, sizeof(ret->session), "%s", text);
		return 0;
	}
	if (!strchr(text, '@'))
		return err_set(e, ERR_INVALID,
		               "'%s' is a volume: name a point of it, as %s@ID, or %s@latest", text,
		               text, text);
	if (repo_find(r, text, &p, e) < 0)
		return -1;
	memcpy(ret->session, p.session, POINT_SESSION_LEN);
	(void)snprintf(ret->volume, sizeof(ret->volume), "%s%s%s%s%s", p.volume.cluster,
	               p.volume.cluster[0] ? "/" : "", p.volume.namespace,
	               p.volume.namespace[0] ? "/" : "", p.volume.name);
	return 0;
}

static int tell(const struct verb_common *common, const struct repo *r,
                const struct target *targets, size_t n, struct err *e)
{
	CLEANUP(expiry_clear) struct expiry x = { 0 };
	auto_table struct table *t = table_new("aksdr/expire/v1", expire_columns,
	                                       ARRAY_LEN(expire_columns), common->output, e);

	if (!t || expiry_load(r, 0, &x, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		table_row(t);
		table_text(t, targets[i].volume[0] ? targets[i].volume : NULL);
		table_text(t, targets[i].session + POINT_SESSION_RANDOM);
		table_text(t, common->dry_run
		                      ? "would expire"
		                      : expiry_state_name(expiry_of(&x, targets[i].session)));
		table_text(t, targets[i].session);
	}
	return table_print(t, stdout, NULL, e);
}

static int run_expire(void *state, const struct verb_common *common, int argc, char **argv,
                      struct err *e)
{
	const struct statement_options *o = state;
	auto_repo struct repo *r = NULL;
	auto_free struct target *targets = calloc((size_t)argc, sizeof(*targets));
	auto_free struct expiry_point *points = calloc((size_t)argc, sizeof(*points));
	uint64_t number;

	if (!targets || !points)
		return err_set(e, ERR_NOMEM, "no memory for %d restore points", argc);
	if (need(o->reason, "--reason", e) < 0 ||
	    (common->dry_run ? cmd_repo(common, &r, e) : cmd_repo_write(common, &r, e)) < 0)
		return -1;
	for (int i = 0; i < argc; i++) {
		if (find_target(r, argv[i], &targets[i], e) < 0)
			return -1;
		points[i] = (struct expiry_point){ .session = targets[i].session,
			                           .why = o->reason };
	}
	if (!common->dry_run && expiry_put_tomb(r, "", points, (size_t)argc, &number, e) < 0)
		return -1;
	return tell(common, r, targets, (size_t)argc, e);
}

const struct verb cmd_expire = {
	.name = "expire",
	.args = "POINT...",
	.summary = "expire restore points by name",
	.text = "Puts a tombstone into the store: the points are no longer offered, and their "
		"data goes with the next 'gc'. POINT is NAME@ID, NAME@TIME or NAME@latest; or the "
		"session of a point, as 'list --gone' and the catalog's anomalies have it: to say "
		"of one that was lost that it is not missed any more.\n"
		"\n"
		"A point that is held stays until the hold is released. Where the repository asks "
		"for two signers, the point is 'proposed' until 'expire' was run with another "
		"key, too.",
	.examples = "aksdr-catalog expire --key agent.key shop/orders@5a0c "
		    "--reason 'taken by mistake'",
	.options = expire_options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.min_args = 1,
	.max_args = 1000,
	.set = set,
	.run = run_expire,
	.state = &options,
};

/* ---- hold, release ---- */

static const struct table_column hold_columns[] = {
	{ "hold", "HOLD", TABLE_NUMBER },           { "volume", "VOLUME", TABLE_TEXT },
	{ "session", "RESTORE POINT", TABLE_TEXT }, { "reason", "REASON", TABLE_TEXT },
	{ "name", "ORDERED BY", TABLE_TEXT },
};

static int tell_hold(const struct verb_common *common, const struct statement_options *o,
                     uint64_t number, const char *volume, const char *session, struct err *e)
{
	auto_table struct table *t = table_new("aksdr/hold/v1", hold_columns,
	                                       ARRAY_LEN(hold_columns), common->output, e);

	if (!t)
		return -1;
	table_row(t);
	table_number(t, (int64_t)number);
	table_text(t, volume);
	table_text(t, session);
	table_text(t, o->reason);
	table_text(t, o->name);
	return table_print(t, stdout, NULL, e);
}

static int run_hold(void *state, const struct verb_common *common, int argc, char **argv,
                    struct err *e)
{
	const struct statement_options *o = state;
	CLEANUP(point_clear) struct point p = { 0 };
	auto_repo struct repo *r = NULL;
	const bool whole = !strchr(argv[0], '@');
	uint64_t number = 0;

	(void)argc;
	if (need(o->reason, "--reason", e) < 0 || need(o->name, "--name", e) < 0 ||
	    (common->dry_run ? cmd_repo(common, &r, e) : cmd_repo_write(common, &r, e)) < 0 ||
	    repo_find(r, argv[0], &p, e) < 0)
		return -1;
	if (!common->dry_run && expiry_put_hold(r, whole ? NULL : p.session, &p.volume, o->reason,
	                                        o->name, &number, e) < 0)
		return -1;
	return tell_hold(common, o, number, argv[0], whole ? NULL : p.session, e);
}

static int run_release(void *state, const struct verb_common *common, int argc, char **argv,
                       struct err *e)
{
	const struct statement_options *o = state;
	auto_repo struct repo *r = NULL;
	uint64_t hold;
	uint64_t number = 0;

	(void)argc;
	if (need(o->reason, "--reason", e) < 0 || need(o->name, "--name", e) < 0 ||
	    num_u64("the number of a hold", argv[0], 1, 99999999, &hold, e) < 0 ||
	    cmd_repo_write(common, &r, e) < 0 ||
	    expiry_put_release(r, hold, o->reason, o->name, &number, e) < 0)
		return -1;
	return tell_hold(common, o, hold, NULL, NULL, e);
}

const struct verb cmd_hold = {
	.name = "hold",
	.args = "POINT|VOLUME",
	.summary = "keep restore points whatever retention says",
	.text = "A legal hold: neither 'retain' nor 'expire' takes the point (NAME@ID, NAME@TIME, "
		"NAME@latest), or any point of the volume (NAME), away, made before or later, "
		"until the hold is released by its number. Reason and name stay in the record. "
		"When it comes too late for a point that is expired already, that is said, with "
		"exit status 4.",
	.examples = "aksdr-catalog hold --key agent.key shop/orders "
		    "--reason 'case 117' --name 'A. Lovelace'",
	.options = hold_options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.min_args = 1,
	.max_args = 1,
	.set = set,
	.run = run_hold,
	.state = &options,
};

const struct verb cmd_release = {
	.name = "release",
	.args = "NUMBER",
	.summary = "end a hold",
	.text = "NUMBER is that of the hold, as 'list holds' shows it. Where the repository asks "
		"for two signers, the hold ends once 'release' was run with two different keys.",
	.examples = "aksdr-catalog release --key agent.key 3 "
		    "--reason 'case 117 is closed' --name 'A. Lovelace'",
	.options = hold_options,
	.flags = VERB_STORE | VERB_KEY,
	.min_args = 1,
	.max_args = 1,
	.set = set,
	.run = run_release,
	.state = &options,
};
