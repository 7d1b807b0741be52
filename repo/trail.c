/* SPDX-License-Identifier: Apache-2.0 */
/* See trail.h. */
#include "repo/trail.h"

#include <string.h>

#include "common/hex.h"
#include "common/json.h"
#include "common/log.h"
#include "common/now.h"
#include "repo/audit_who.h"
#include "repo/audit_writer.h"

static struct repo *held;    /* what the current act works on; a reference */
static const char *held_url; /* of its store, as it was given */

/* ---- records ---- */

static json_t *record_of(const struct repo *r, struct act *a, enum audit_result result,
                         const struct err *why, struct err *e)
{
	char signer[2 * FORMAT_SIGNER_BYTES + 1];
	char name[AUDIT_ACT_MAX + 1];
	uint8_t id[AUDIT_ID_LEN / 2];
	struct audit_who who;
	struct audit_record x = {
		.at_ns = a->began_ns,
		.act = name,
		.result = result,
		.status = why ? err_exit_status(why) : EXIT_OK,
		.error = why ? why->msg : "",
		.signer = signer,
		.user = who.actor.user,
		.host = who.actor.host,
		.program = a->program,
		.version = a->version,
		.account = who.account,
		.pod = who.pod,
	};

	audit_who(&who);
	secret_random(id, sizeof(id));
	hex_encode(x.id, id, sizeof(id));
	hex_encode(signer, r->keys->signer_id, FORMAT_SIGNER_BYTES);
	(void)snprintf(name, sizeof(name), "%s", a->name);
	x.took_ms = (now_mono_ns() - a->began_mono_ns) / 1000000;
	(void)pthread_mutex_lock(&a->lock);
	x.why = a->why;
	x.run = a->run;
	for (size_t i = 0; i < a->nobjects && i < AUDIT_OBJECTS_MAX; i++)
		x.objects[x.nobjects++] = a->objects[i];
	x.object_count = a->count;
	json_t *o = audit_record_json(&x, e);
	(void)pthread_mutex_unlock(&a->lock);
	return o;
}

/* ---- putting ---- */

struct way {
	struct repo repo;    /* as the one that was opened, with a store that can be written */
	struct store *owned; /* NULL: it is that one's */
};

static void way_close(struct way *w)
{
	store_free(w->owned);
}

/*
 * A way into the store. While a second region answers there is none: trying would take as long as
 * trying takes.
 */
static int way_open(const struct repo *r, const char *url, struct way *ret, struct err *e)
{
	const bool cancelled = cancel_requested(r->cancel);

	*ret = (struct way){ .repo = *r };
	if (store_away(r->store))
		return err_set(e, ERR_RETRY,
		               "the store cannot be written now: another region answers");
	if ((r->store->caps & STORE_CAP_WRITE) && !cancelled)
		return 0;
	ret->owned = store_open_cancel(url, 0, cancelled ? NULL : r->cancel, e);
	if (!ret->owned)
		return -1;
	ret->repo.store = ret->owned;
	if (cancelled)
		ret->repo.cancel = NULL;
	return 0;
}

/* Spools and puts. *ret_kept: it waits where it cannot get lost. */
static int put(const struct repo *r, const json_t *record, bool wait, const struct err *why,
               bool *ret_kept, struct err *e)
{
	struct err unkept = ERR_INIT;

	*ret_kept = r->state[0] && audit_writer_spool(r, record, &unkept) == 0;
	/* Who wants this to end, or has waited for the store, is not made to wait for it. */
	if (*ret_kept && (cancel_requested(r->cancel) || (why && err_may_retry(why))))
		return 0;
	CLEANUP(way_close) struct way w = { .owned = NULL };
	if (*ret_kept && wait) {
		int due = audit_writer_due(r, TRAIL_WAIT_S, e);
		if (due <= 0)
			return due;
	}
	if (way_open(r, held_url ? held_url : r->store->url, &w, e) < 0)
		return -1;
	return *ret_kept ? audit_writer_flush(&w.repo, e)
	                 : audit_writer_put_alone(&w.repo, record, e);
}

static int record(const struct repo *r, struct act *a, enum audit_result result,
                  const struct err *why, bool *ret_kept, struct err *e)
{
	const bool wait = (a->flags & ACT_WAITS) && result == AUDIT_DONE;

	auto_json json_t *o = record_of(r, a, result, why, e);
	return o ? put(r, o, wait, why, ret_kept, e) : -1;
}

/* It did not begin after all. Best effort: that it began waits in the same place. */
static void record_refusal(const struct repo *r, struct act *a, const struct err *why)
{
	struct err ignored = ERR_INIT;

	auto_json json_t *o = record_of(r, a, AUDIT_FAILED, why, &ignored);
	if (!o || audit_writer_spool(r, o, &ignored) < 0)
		log_debug("a refusal is not recorded", LOG_S("why", ignored.msg));
}

static void tell(const char *act, bool kept, const struct err *e)
{
	log_warn("an act is not in the audit trail of the store", LOG_S("act", act),
	         LOG_S("record", kept ? "waits in the state directory" : "is lost"),
	         LOG_S("why", e->msg));
}

/* ---- acts ---- */

static bool wanted(const struct act *a)
{
	return !(a->flags & ACT_READS) || a->reads_too;
}

int trail_opened(struct repo *r, const char *url, struct err *e)
{
	struct act *a = act_current();
	struct err why = ERR_INIT;
	bool kept = false;

	if (!a || held || !wanted(a) || !a->store || strcmp(url, a->store) != 0)
		return 0;
	held_url = url;
	if (a->required && !r->keys->has_sign)
		return err_set(e, ERR_DENIED,
		               "'--audit required': this key cannot sign records "
		               "of the audit trail");
	if (r->keys->has_sign && (a->required || (a->flags & ACT_LONG)) &&
	    record(r, a, AUDIT_BEGUN, NULL, &kept, &why) < 0) {
		if (a->required) {
			if (kept)
				record_refusal(r, a, &why);
			*e = why;
			return err_wrap(e, "'--audit required': recording that '%s' begins",
			                a->name);
		}
		tell(a->name, kept, &why);
	}
	held = repo_ref(r);
	return 0;
}

void trail_put(const struct repo *r, struct act *a, const struct err *why)
{
	struct err e = ERR_INIT;
	bool kept = false;

	if (!r->keys->has_sign) {
		log_debug("an act is not recorded: the key cannot sign", LOG_S("act", a->name));
		return;
	}
	if (record(r, a, audit_record_result_of(why ? err_exit_status(why) : EXIT_OK), why, &kept,
	           &e) == 0)
		return;
	/* Who failed is told of that; what waits is put with the next act that can. */
	if (why && kept)
		log_debug("an act's record waits", LOG_S("act", a->name), LOG_S("why", e.msg));
	else
		tell(a->name, kept, &e);
}

void trail_acted(const struct verb_common *common, const struct err *why)
{
	struct act *a = act_current();
	auto_repo struct repo *r = STEAL(&held);
	struct err ignored = ERR_INIT;

	if (!a || !wanted(a)) {
		held_url = NULL;
		return;
	}
	/* A verb that has looked at a copy, or at two stores. */
	if (!r && (a->flags & ACT_OPENS) && common->store && common->key) {
		act_set_current(NULL);
		if (repo_open_url(common->store, 0, common->key, common->passphrase_file,
		                  common->state, cancel_on_signals(), &r, &ignored) < 0)
			log_debug("an act is not recorded", LOG_S("why", ignored.msg));
	}
	if (r)
		trail_put(r, a, why);
	held_url = NULL;
}

void trail_flush(const struct repo *r, const char *url)
{
	CLEANUP(way_close) struct way w = { .owned = NULL };
	struct err e = ERR_INIT;

	if (!r->keys->has_sign || !r->state[0])
		return;
	int due = audit_writer_due(r, TRAIL_WAIT_S, &e);
	if (due == 0)
		return;
	if (due < 0 || way_open(r, url, &w, &e) < 0 || audit_writer_flush(&w.repo, &e) < 0)
		log_warn("records of the audit trail wait in the state directory",
		         LOG_S("why", e.msg));
}
