/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The annotations of a Lease, which others may write too: what makes no sense counts as missing,
 * and what is taken is within its limits and is written as it was read.
 */
#include "agent/claim_record.h"

#include "common/json.h"
#include "tests/fuzz/fuzz.h"

static void check_time(int64_t s)
{
	holds(s == SCHED_NONE || s >= 0);
}

static void check(const struct claim_record *r)
{
	auto_json json_t *o = claim_record_write(r);
	struct claim_record again;

	check_time(r->slot_s);
	check_time(r->begun_s);
	check_time(r->ended_s);
	check_time(r->done_s);
	check_time(r->success_s);
	holds(strlen(r->message) <= CLAIM_MESSAGE_MAX);
	holds(o);
	claim_record_read(o, &again);
	holds(strcmp(again.claim, r->claim) == 0 && strcmp(again.uid, r->uid) == 0);
	holds(strcmp(again.message, r->message) == 0 && again.outcome == r->outcome);
	holds(again.slot_s == r->slot_s && again.success_s == r->success_s);
	holds(again.failures == r->failures);
	(void)claim_record_sched(r, 0, true);
	(void)claim_record_sched(r, 0, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct claim_record r;
	struct err e = ERR_INIT;

	if (size > 64 * KIB)
		return 0;
	auto_json json_t *o = json_parse("annotations", data, size, &e);
	if (!o)
		return 0;
	claim_record_read(o, &r);
	check(&r);
	(void)claim_record_names(o, "pods", "aksdr", "aksdr-1-0");
	claim_record_begin(&r, 1795305600, 1795305601);
	check(&r);
	claim_record_end(&r, CLAIM_FAILED, "why", 1795305602);
	holds(r.failures > 0);
	check(&r);
	return 0;
}
