/* SPDX-License-Identifier: Apache-2.0 */
/* See owner.h. The name of a plan is in the store's names as a keyed tag only. */
#include "repo/owner.h"

#include <string.h>

#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "repo/fence.h"
#include "repo/repo.h"

#define TAG_BYTES 8
#define LABEL_MAX 63

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

int owner_check_plan(const char *plan, struct err *e)
{
	size_t n = strlen(plan);
	size_t label = 0;

	for (size_t i = 0; i <= n && n < OWNER_PLAN_MAX; i++) {
		/* A label begins and ends with a letter or digit. */
		bool ends = plan[i] == '.' || plan[i] == '\0';

		if (ends ? label == 0 || plan[i - 1] == '-'
		         : !is_alnum(plan[i]) && (plan[i] != '-' || label == 0))
			break;
		label = ends ? 0 : label + 1;
		if (label > LABEL_MAX)
			break;
		if (i == n)
			return 0;
	}
	return err_set(e, ERR_INVALID,
	               "'%.100s' is no name of a plan: those have small letters, digits, '-' and "
	               "'.'",
	               plan);
}

static int plan_prefix(const struct keys *k, const char *plan, char ret[NOTE_KEY_MAX],
                       struct err *e)
{
	uint8_t tag[32];
	char hex[2 * TAG_BYTES + 1];

	if (!k->has_mm)
		return err_set(e, ERR_DENIED, "this key has no metadata key");
	key_kdf(tag, k->s->mm, "plan tag", plan, strlen(plan));
	hex_encode(hex, tag, TAG_BYTES);
	(void)snprintf(ret, NOTE_KEY_MAX, "%s/%s", OWNER_PREFIX, hex);
	return 0;
}

int owner_open(const struct repo *r, const char *plan, struct chain *ret, struct err *e)
{
	char prefix[NOTE_KEY_MAX];

	if (owner_check_plan(plan, e) < 0 || plan_prefix(r->keys, plan, prefix, e) < 0)
		return -1;
	chain_init(ret, FORMAT_KIND_OWNER, prefix);
	return 0;
}

/* ---- reading ---- */

static int decode(const json_t *o, struct owner *ret, struct err *e)
{
	const json_t *actor = json_object_get(o, "actor");
	uint8_t run[16];

	if (note_schema(o, "owner", OWNER_SCHEMA, e) < 0 ||
	    json_get_text(o, "owner", "plan", ret->plan, sizeof(ret->plan), e) < 0 ||
	    json_get_text(o, "owner", "cluster", ret->cluster, sizeof(ret->cluster), e) < 0 ||
	    json_get_text(o, "owner", "run", ret->run, sizeof(ret->run), e) < 0 ||
	    json_get_text(o, "owner", "reason", ret->reason, sizeof(ret->reason), e) < 0 ||
	    json_get_i64(o, "owner", "at_ns", &ret->at_ns, e) < 0 ||
	    json_get_u64(o, "owner", "epoch", &ret->epoch, e) < 0 ||
	    json_get_text(actor, "owner", "user", ret->actor.user, sizeof(ret->actor.user), e) <
	            0 ||
	    json_get_text(actor, "owner", "host", ret->actor.host, sizeof(ret->actor.host), e) < 0)
		return -1;
	if (!ret->cluster[0] || (ret->run[0] && hex_decode(run, sizeof(run), ret->run) < 0))
		return err_set(e, ERR_FORMAT, "owner: no cluster, or no name of a run");
	return 0;
}

int owner_decode(const struct repo *r, const char *tag, const json_t *record, struct owner *o,
                 struct err *e)
{
	char prefix[NOTE_KEY_MAX];

	if (decode(record, o, e) < 0 || plan_prefix(r->keys, o->plan, prefix, e) < 0)
		return err_wrap(e, OWNER_PREFIX "/%s, record %llu", tag, (unsigned long long)o->n);
	if (strcmp(prefix + strlen(OWNER_PREFIX "/"), tag) != 0)
		return err_set(e, ERR_FORMAT,
		               OWNER_PREFIX "/%s, record %llu: it is of another plan, '%s'", tag,
		               (unsigned long long)o->n, o->plan);
	return 0;
}

struct newest {
	const struct repo *r;
	const struct chain *c;
	struct owner *o;
};

static int take(void *arg, uint64_t n, const json_t *record,
                const uint8_t signer[FORMAT_SIGNER_BYTES], struct err *e)
{
	const struct newest *x = arg;
	struct owner o = { .n = n };

	if (!key_signer_is_admin(x->r->keys, signer))
		return 0;
	if (owner_decode(x->r, x->c->prefix + strlen(OWNER_PREFIX "/"), record, &o, e) < 0)
		return -1;
	*x->o = o;
	return 0;
}

int owner_newest(const struct repo *r, struct chain *c, struct owner *o, struct err *e)
{
	struct newest x = { .r = r, .c = c, .o = o };

	if (chain_read(r, c, take, &x, e) < 0)
		return err_wrap(e, "reading who serves the plan");
	return 0;
}

/* ---- changing ---- */

static int check(const struct repo *r, const struct owner *o, struct err *e)
{
	if (r->keys->kind != KEY_RECOVERY || !r->keys->has_sign)
		return err_set(e, ERR_DENIED,
		               "saying who serves a plan takes the recovery key that init made; "
		               "this key file has no admin key");
	if (owner_check_plan(o->plan, e) < 0)
		return -1;
	if (!o->cluster[0])
		return err_set(e, ERR_INVALID, "say which cluster serves the plan from now on");
	if (!o->reason[0])
		return err_set(e, ERR_INVALID, "say the reason: it stands in the record");
	return 0;
}

int owner_change(const struct repo *r, struct chain *c, struct owner *o, struct err *e)
{
	struct owner next = *o;

	if (check(r, o, e) < 0)
		return -1;
	note_actor(&next.actor);
	next.at_ns = now_wall_ns();
	next.epoch = fence_epoch(r);
	next.n = c->next;
	auto_json json_t *record = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:{s:s, s:s}}",
	                                     "schema", OWNER_SCHEMA, "plan", next.plan, "cluster",
	                                     next.cluster, "run", next.run, "reason", next.reason,
	                                     "at_ns", (json_int_t)next.at_ns, "epoch",
	                                     (json_int_t)next.epoch, "actor", "user",
	                                     next.actor.user, "host", next.actor.host);
	if (!record)
		return err_set(e, ERR_INVALID, "a name is no UTF-8, or there is no memory for it");
	if (chain_add(r, c, record, e) < 0)
		return err_wrap(e, "saying who serves plan '%s'", next.plan);
	*o = next;
	return 0;
}
