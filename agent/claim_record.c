/* SPDX-License-Identifier: Apache-2.0 */
/* See claim_record.h. */
#include "agent/claim_record.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "common/num.h"

#define SECOND_NS INT64_C(1000000000)
#define FAILURES_MAX 1000000
#define INTENT_MAX 640 /* bytes of one: two names, a plural, and what is between */

/* The list of intents is short: at most so many names of each of some volumes. */
#define INTENTS_MAX 4096

static const char *const outcomes[] = {
	[CLAIM_NONE] = "",         [CLAIM_SUCCEEDED] = "succeeded", [CLAIM_PARTIAL] = "partial",
	[CLAIM_FAILED] = "failed", [CLAIM_CANCELLED] = "cancelled",
};

const char *claim_record_outcome(enum claim_outcome outcome)
{
	return outcomes[outcome];
}

struct claim_lease claim_record_lease(const char *uid)
{
	uint8_t hash[crypto_hash_sha256_BYTES];
	struct claim_lease l = { "aksdr-v-" };

	(void)crypto_hash_sha256(hash, (const uint8_t *)uid, strlen(uid));
	hex_encode(l.s + strlen(l.s), hash, 8);
	return l;
}

/* ---- reading ---- */

static const char *text_of(const json_t *annotations, const char *key)
{
	const char *text = json_string_value(json_object_get(annotations, key));

	return text ? text : "";
}

static void read_text(const json_t *annotations, const char *key, char *ret, size_t max)
{
	auto_json json_t *cut = json_text(text_of(annotations, key), max - 1);
	const char *text = json_string_value(cut);

	(void)snprintf(ret, max, "%s", text ? text : "");
}

static int64_t read_time(const json_t *annotations, const char *key)
{
	const char *text = text_of(annotations, key);
	struct err e = ERR_INIT;
	int64_t ns;

	if (!*text || now_parse(text, &ns, &e) < 0 || ns < 0)
		return SCHED_NONE;
	return ns / SECOND_NS;
}

void claim_record_read(const json_t *annotations, struct claim_record *ret)
{
	const char *outcome = text_of(annotations, "aksdr.io/outcome");
	struct err e = ERR_INIT;
	uint64_t failures = 0;

	memset(ret, 0, sizeof(*ret));
	read_text(annotations, "aksdr.io/claim", ret->claim, sizeof(ret->claim));
	read_text(annotations, "aksdr.io/claim-uid", ret->uid, sizeof(ret->uid));
	read_text(annotations, "aksdr.io/point", ret->point, sizeof(ret->point));
	read_text(annotations, "aksdr.io/consistency", ret->consistency, sizeof(ret->consistency));
	read_text(annotations, "aksdr.io/message", ret->message, sizeof(ret->message));
	ret->slot_s = read_time(annotations, "aksdr.io/slot");
	ret->begun_s = read_time(annotations, "aksdr.io/begun");
	ret->ended_s = read_time(annotations, "aksdr.io/ended");
	ret->done_s = read_time(annotations, "aksdr.io/last-success-slot");
	ret->success_s = read_time(annotations, "aksdr.io/last-success");
	for (size_t i = 1; i < ARRAY_LEN(outcomes); i++)
		if (strcmp(outcome, outcomes[i]) == 0)
			ret->outcome = (enum claim_outcome)i;
	if (num_u64("failures", text_of(annotations, "aksdr.io/failures"), 0, FAILURES_MAX,
	            &failures, &e) == 0)
		ret->failures = (unsigned)failures;
}

/* ---- writing ---- */

static int put_text(json_t *o, const char *key, const char *text)
{
	return json_object_set_new(o, key, *text ? json_string(text) : json_null());
}

static int put_time(json_t *o, const char *key, int64_t s)
{
	if (s < 0)
		return json_object_set_new(o, key, json_null());
	return put_text(o, key, now_rfc3339(s * SECOND_NS).s);
}

json_t *claim_record_write(const struct claim_record *r)
{
	auto_json json_t *o = json_object();
	char failures[16];

	(void)snprintf(failures, sizeof(failures), "%u", r->failures);
	int bad = put_text(o, "aksdr.io/claim", r->claim);
	bad |= put_text(o, "aksdr.io/claim-uid", r->uid);
	bad |= put_time(o, "aksdr.io/slot", r->slot_s);
	bad |= put_time(o, "aksdr.io/begun", r->begun_s);
	bad |= put_time(o, "aksdr.io/ended", r->ended_s);
	bad |= put_text(o, "aksdr.io/outcome", outcomes[r->outcome]);
	bad |= put_text(o, "aksdr.io/failures", r->failures ? failures : "");
	bad |= put_time(o, "aksdr.io/last-success-slot", r->done_s);
	bad |= put_time(o, "aksdr.io/last-success", r->success_s);
	bad |= put_text(o, "aksdr.io/point", r->point);
	bad |= put_text(o, "aksdr.io/consistency", r->consistency);
	bad |= put_text(o, "aksdr.io/message", r->message);
	return o && !bad ? STEAL(&o) : NULL;
}

/* ---- runs ---- */

static bool died(const struct claim_record *r)
{
	return r->begun_s != SCHED_NONE && r->outcome == CLAIM_NONE;
}

static unsigned one_more(unsigned failures)
{
	return failures < FAILURES_MAX ? failures + 1 : failures;
}

void claim_record_begin(struct claim_record *r, int64_t slot_s, int64_t now_s)
{
	/* Who begins has the Lease: one before that has not ended is dead. */
	if (died(r))
		r->failures = one_more(r->failures);
	r->slot_s = slot_s;
	r->begun_s = now_s;
	r->ended_s = SCHED_NONE;
	r->outcome = CLAIM_NONE;
	r->message[0] = '\0';
}

void claim_record_end(struct claim_record *r, enum claim_outcome outcome, const char *message,
                      int64_t now_s)
{
	auto_json json_t *cut = json_text(message ? message : "", CLAIM_MESSAGE_MAX);
	const char *text = json_string_value(cut);

	r->outcome = outcome;
	r->ended_s = now_s;
	(void)snprintf(r->message, sizeof(r->message), "%s", text ? text : "");
	if (outcome == CLAIM_SUCCEEDED || outcome == CLAIM_PARTIAL) {
		r->failures = 0;
		r->done_s = r->slot_s;
		r->success_s = now_s;
	} else {
		r->failures = one_more(r->failures);
	}
}

struct sched_record claim_record_sched(const struct claim_record *r, int64_t since_s, bool held)
{
	struct sched_record s = {
		.since_s = since_s,
		.done_s = r->done_s,
		.tried_s = SCHED_NONE,
		.ended_s = SCHED_NONE,
		.failures = r->failures,
		.running = held && died(r),
	};

	if (r->begun_s == SCHED_NONE || s.running)
		return s;
	if (died(r)) {
		s.failures = one_more(s.failures);
		s.tried_s = r->slot_s;
		s.ended_s = r->begun_s;
	} else if (r->outcome == CLAIM_FAILED || r->outcome == CLAIM_CANCELLED) {
		s.tried_s = r->slot_s;
		s.ended_s = r->ended_s;
	}
	return s;
}

/* ---- intents ---- */

int claim_record_intent(const char *plural, const char *ns, const char *name, char *ret, size_t max)
{
	const bool in_ns = ns && *ns;
	int n = snprintf(ret, max, "%s/%s%s%s", plural, in_ns ? ns : "", in_ns ? "/" : "", name);

	return n >= 0 && (size_t)n < max ? 0 : -1;
}

bool claim_record_names(const json_t *annotations, const char *plural, const char *ns,
                        const char *name)
{
	const char *text = text_of(annotations, CLAIM_INTENTS);
	char wanted[INTENT_MAX];
	struct err e = ERR_INIT;

	if (!*text || claim_record_intent(plural, ns, name, wanted, sizeof(wanted)) < 0)
		return false;
	auto_json json_t *list = json_parse("intents", text, strlen(text), &e);
	for (size_t i = 0; i < json_array_size(list) && i < INTENTS_MAX; i++) {
		const char *one = json_string_value(json_array_get(list, i));

		if (one && strcmp(one, wanted) == 0)
			return true;
	}
	return false;
}
