/* SPDX-License-Identifier: Apache-2.0 */
/* See run_log.h. */
#include "repo/run_log.h"

#include <string.h>

#include "common/act.h"
#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "common/secret.h"
#include "repo/owner.h"
#include "repo/repo.h"

#define RUN_BYTES 16

static bool run_valid(const char *run)
{
	return strspn(run, "0123456789abcdef") == RUN_LOG_ID - 1 && !run[RUN_LOG_ID - 1];
}

void run_log_new(char ret[RUN_LOG_ID])
{
	uint8_t random[RUN_BYTES];

	secret_random(random, sizeof(random));
	hex_encode(ret, random, sizeof(random));
}

int run_log_open(const char *run, struct chain *ret, struct err *e)
{
	char prefix[NOTE_KEY_MAX];

	if (!run_valid(run))
		return err_set(e, ERR_INVALID,
		               "'%.64s' is no name of a run: those have 32 hexadecimal digits",
		               run);
	(void)snprintf(prefix, sizeof(prefix), "%s/%s", RUN_LOG_PREFIX, run);
	chain_init(ret, FORMAT_KIND_RUN, prefix);
	return 0;
}

static bool kind_known(const char *kind)
{
	static const char *const kinds[] = { "failover", "drill", "failback", "restore" };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(kinds[i], kind) == 0)
			return true;
	}
	return false;
}

int run_log_entry(const json_t *record, const char *what, struct run_entry *ret, struct err *e)
{
	const json_t *actor = json_object_get(record, "actor");
	struct run_entry x;

	if (note_schema(record, what, RUN_LOG_SCHEMA, e) < 0 ||
	    json_get_str(record, what, "kind", &x.kind, e) < 0 ||
	    json_get_str(record, what, "plan", &x.plan, e) < 0 ||
	    json_get_str(record, what, "step", &x.step, e) < 0 ||
	    json_get_i64(record, what, "at_ns", &x.at_ns, e) < 0 ||
	    json_get_str(actor, what, "user", &x.user, e) < 0 ||
	    json_get_str(actor, what, "host", &x.host, e) < 0)
		return -1;
	if (!kind_known(x.kind))
		return err_set(e, ERR_FORMAT,
		               "%s: kind '%.64s' is unknown here; use a newer program", what,
		               x.kind);
	if (strlen(x.plan) >= OWNER_PLAN_MAX || !x.step[0] || strlen(x.step) >= RUN_LOG_STEP_MAX)
		return err_set(e, ERR_FORMAT, "%s: a text that is too long, or no step", what);
	x.by_admin = false;
	*ret = x;
	return 0;
}

json_t *run_log_record(const char *kind, const char *plan, const char *step, const json_t *more,
                       struct err *e)
{
	struct note_actor by;
	struct run_entry entry;

	note_actor(&by);
	auto_json json_t *own = json_pack("{s:s, s:s, s:s, s:s, s:I, s:{s:s, s:s}}", "schema",
	                                  RUN_LOG_SCHEMA, "kind", kind, "plan", plan, "step", step,
	                                  "at_ns", (json_int_t)now_wall_ns(), "actor", "user",
	                                  by.user, "host", by.host);
	auto_json json_t *record = more ? json_copy((json_t *)(uintptr_t)more) : json_object();
	if (!own || !record || json_object_update(record, own) < 0) {
		(void)err_set(e, ERR_INVALID, "a name is no UTF-8, or there is no memory for it");
		return NULL;
	}
	/* What cannot be read again is not put. */
	if (run_log_entry(record, "journal", &entry, e) == 0)
		return STEAL(&record);
	e->class = ERR_INVALID;
	return NULL;
}

int run_log_add(const struct repo *r, struct chain *c, const char *kind, const char *plan,
                const char *step, const json_t *more, struct err *e)
{
	auto_json json_t *record = run_log_record(kind, plan, step, more, e);

	if (!record)
		return -1;
	if (chain_add(r, c, record, e) < 0)
		return err_wrap(e, "writing step '%s' into the journal of the run", step);
	act_run(c->prefix + strlen(RUN_LOG_PREFIX "/"));
	return 0;
}

/* ---- all runs ---- */

struct listing {
	const struct repo *r;
	int (*each)(void *arg, const char run[RUN_LOG_ID], const struct run_entry *first,
	            const json_t *record, struct err *e);
	void *arg;
	char run[RUN_LOG_ID]; /* that the listing is at */
};

/* The first number of each run; others of the same are passed over. */
static int take(void *arg, const struct store_item *item, struct err *e)
{
	struct listing *l = arg;
	const char *name = item->key + strlen(RUN_LOG_PREFIX "/");
	auto_json json_t *record = NULL;
	uint8_t signer[FORMAT_SIGNER_BYTES];
	struct run_entry first;
	struct err why = ERR_INIT;
	char run[RUN_LOG_ID];
	uint64_t n;

	if (cancel_check(l->r->cancel, e) < 0)
		return -1;
	(void)snprintf(run, sizeof(run), "%s", name);
	if (!run_valid(run) || name[RUN_LOG_ID - 1] != '/' || !note_number(name + RUN_LOG_ID, &n) ||
	    strcmp(run, l->run) == 0)
		return 0;
	memcpy(l->run, run, sizeof(run));
	if (note_get(l->r, FORMAT_KIND_RUN, item->key, &record, signer, &why) == 0 &&
	    run_log_entry(record, item->key, &first, &why) == 0) {
		first.by_admin = key_signer_is_admin(l->r->keys, signer);
		return l->each(l->arg, run, &first, record, e);
	}
	if (note_is_bad(&why))
		return 0;
	*e = why;
	return -1;
}

int run_log_list(const struct repo *r,
                 int (*each)(void *arg, const char run[RUN_LOG_ID], const struct run_entry *first,
                             const json_t *record, struct err *e),
                 void *arg, struct err *e)
{
	struct listing l = { .r = r, .each = each, .arg = arg };

	if (store_list(r->store, RUN_LOG_PREFIX "/", NULL, take, &l, e) < 0)
		return err_wrap(e, "listing the journals of runs");
	return 0;
}
