/* SPDX-License-Identifier: Apache-2.0 */
/* See claim_leases.h. */
#include "agent/claim_leases.h"

#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/now.h"

#define BUDGET_MS 30000 /* of one request: an API server that is restarted comes back */
#define LOOK_ONCE_MS 1
#define INTENTS_MAX (64 * KIB)
#define SECOND_NS INT64_C(1000000000)

/* ---- taking them ---- */

/* Nobody else has this name, not even we in an earlier life. */
static void name_holder(const struct claim_leases *c, const struct claim_leases_params *p,
                        char *ret, size_t max)
{
	char host[65] = "";

	(void)gethostname(host, sizeof(host) - 1);
	(void)snprintf(ret, max, "%.200s-%s", p->node && *p->node ? p->node : host, c->run.id);
}

static int take(struct claim_leases *c, const struct claim_leases_params *p, size_t i,
                struct err *e)
{
	const struct csi_claim *claim = &c->run.claims[i];
	const struct claim_lease name = claim_record_lease(claim->uid);
	auto_json json_t *labels = json_pack("{s:s, s:s}", "app.kubernetes.io/managed-by", "aksdr",
	                                     CLAIM_LABEL, "true");
	char holder[256];
	auto_free char *held_by = NULL;

	if (!labels)
		return err_set(e, ERR_NOMEM, "no memory for a lease");
	name_holder(c, p, holder, sizeof(holder));
	const struct lease_params lease = {
		.kube = c->kube,
		.ns = c->run.ns,
		.name = name.s,
		.holder = holder,
		.labels = labels,
		.on_loss = p->cancel,
		.cancel = p->cancel,
	};
	c->held[i].lease = lease_take(&lease, &held_by, e);
	if (c->held[i].lease)
		return 0;
	if (e->class == ERR_BUSY)
		return err_set(e, ERR_BUSY, "the claim '%s/%s' is being backed up by '%.200s'",
		               claim->ns, claim->name, held_by ? held_by : "somebody else");
	return -1;
}

/* What the Lease names is removed; what cannot be stays named. */
static void remove_left(struct claim_leases *c, size_t i)
{
	const json_t *notes = lease_notes(c->held[i].lease);
	const char *text = json_string_value(json_object_get(notes, CLAIM_INTENTS));
	struct err why = ERR_INIT;

	if (!text || !*text)
		return;
	auto_json json_t *left = json_parse("intents", text, strlen(text), &why);
	if (left && csi_drop(c->kube, left, c->run.gone_ms, &why) == 0) {
		log_info("removed what an earlier run left",
		         LOG_S("volume", c->run.claims[i].name));
		return;
	}
	log_warn("what an earlier run left could not be removed",
	         LOG_S("volume", c->run.claims[i].name), LOG_S("why", why.msg));
	if (json_is_array(left))
		(void)json_array_extend(c->held[i].names, left);
}

static int add_intents(json_t *notes, const json_t *names, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(INTENTS_MAX);

	if (json_array_size(names) > 0 && json_write(names, &b, e) < 0)
		return err_wrap(e, "naming what is made");
	json_t *text = b.len ? json_stringn(buf_cstr(&b), b.len) : json_null();
	if (json_object_set_new(notes, CLAIM_INTENTS, text) < 0)
		return err_set(e, ERR_NOMEM, "no memory for names");
	return 0;
}

/* The record and the names go to the Lease. */
static int note(struct claim_leases *c, size_t i, struct err *e)
{
	auto_json json_t *notes = claim_record_write(&c->held[i].record);

	if (!notes)
		return err_set(e, ERR_NOMEM, "no memory for a record");
	if (add_intents(notes, c->held[i].names, e) < 0)
		return -1;
	return lease_note(c->held[i].lease, notes, e);
}

static int begin(struct claim_leases *c, const struct claim_leases_params *p, size_t i,
                 struct err *e)
{
	const struct csi_claim *claim = &c->run.claims[i];
	struct claim_leases_held *h = &c->held[i];
	const int64_t now_s = now_wall_ns() / SECOND_NS;

	h->names = json_array();
	if (!h->names)
		return err_set(e, ERR_NOMEM, "no memory for names");
	remove_left(c, i);
	claim_record_read(lease_notes(h->lease), &h->record);
	(void)snprintf(h->record.claim, sizeof(h->record.claim), "%s/%s", claim->ns, claim->name);
	(void)snprintf(h->record.uid, sizeof(h->record.uid), "%s", claim->uid);
	claim_record_begin(&h->record, p->slot_s == SCHED_NONE ? now_s : p->slot_s, now_s);
	if (csi_names(&c->run, claim, h->names, e) < 0)
		return -1;
	return note(c, i, e);
}

/*
 * Two agents may begin the same slot, one after the other: what the first one made while the second
 * one waited, or before it saw so, is not made again.
 */
static int check_slot(const struct claim_leases *c, const struct claim_leases_params *p,
                      struct err *e)
{
	size_t done = 0;

	for (size_t i = 0; p->slot_s != SCHED_NONE && i < c->run.n; i++) {
		struct claim_record r;

		claim_record_read(lease_notes(c->held[i].lease), &r);
		done += r.done_s == p->slot_s;
	}
	if (done == 0 || done < c->run.n)
		return 0;
	return err_set(e, ERR_BUSY, "the claim '%s/%s' was backed up for this slot already",
	               c->run.claims[0].ns, c->run.claims[0].name);
}

int claim_leases_open(struct claim_leases *c, const struct claim_leases_params *p,
                      const char *const *origins, size_t n, struct err *e)
{
	/* No token: what was made is removed when we are told to end, too. */
	const struct kube_params params = { .budget_ms = BUDGET_MS };

	c->kube = kube_open(&params, e);
	if (!c->kube)
		return err_wrap(e, "claims are of a cluster");
	c->run = (struct csi_run){
		.kube = c->kube,
		.ns = p->agent_ns ? p->agent_ns : kube_namespace(c->kube),
		.class = p->class,
		.node = p->node ? p->node : "",
		.cancel = p->cancel,
	};
	if (csi_load(&c->run, origins, n, e) < 0)
		return -1;
	c->held = calloc(n ? n : 1, sizeof(*c->held));
	if (!c->held)
		return err_set(e, ERR_NOMEM, "no memory for %zu claims", n);
	for (size_t i = 0; i < n; i++)
		if (take(c, p, i, e) < 0)
			return -1;
	if (check_slot(c, p, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (begin(c, p, i, e) < 0)
			return -1;
	return 0;
}

/* ---- ending ---- */

static enum claim_outcome outcome_of(const struct point *p, const struct err *why)
{
	if (!p)
		return why->class == ERR_CANCELLED ? CLAIM_CANCELLED : CLAIM_FAILED;
	return p->unreadable ? CLAIM_PARTIAL : CLAIM_SUCCEEDED;
}

void claim_leases_end(struct claim_leases *c, size_t i, const struct point *p,
                      const struct err *why, const char *message)
{
	struct claim_leases_held *h = &c->held[i];
	struct err e = ERR_INIT;

	if (p) {
		(void)snprintf(h->record.point, sizeof(h->record.point), "%s", p->id);
		(void)snprintf(h->record.consistency, sizeof(h->record.consistency), "%s",
		               p->consistency);
	}
	claim_record_end(&h->record, outcome_of(p, why), p ? message : why->msg,
	                 now_wall_ns() / SECOND_NS);
	/* Names stay in the Lease for as long as something of that name is there. */
	if (csi_drop(c->kube, h->names, LOOK_ONCE_MS, &e) == 0) /* the release has waited */
		(void)json_array_clear(h->names);
	else
		log_warn("what was made for a view is left over; the next run removes it",
		         LOG_S("volume", c->run.claims[i].name), LOG_S("why", e.msg));
	if (note(c, i, &e) < 0)
		log_warn("how a run ended is not told to its lease",
		         LOG_S("volume", c->run.claims[i].name), LOG_S("why", e.msg));
}

int claim_leases_check(const struct claim_leases *c, struct err *e)
{
	for (size_t i = 0; c->held && i < c->run.n; i++)
		if (c->held[i].lease && !lease_held(c->held[i].lease))
			return err_set(e, ERR_BUSY,
			               "the lease of the claim '%s/%s' was lost: somebody else "
			               "backs it up",
			               c->run.claims[i].ns, c->run.claims[i].name);
	return 0;
}

void claim_leases_close(struct claim_leases *c)
{
	for (size_t i = 0; c->held && i < c->run.n; i++) {
		lease_release(c->held[i].lease);
		json_decref(c->held[i].names);
	}
	free(STEAL(&c->held));
	csi_clear(&c->run);
	kube_close(STEAL(&c->kube));
}
