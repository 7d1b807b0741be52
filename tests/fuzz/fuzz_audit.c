/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit trail: the first byte says what the rest is: bit 0: the file of a spool; bit 2: the
 * text of an anchor; bit 3: a token that says who acts; or else a batch; bit 1: of a batch the
 * object itself, or else its plain text.
 */
#include <string.h>

#include "common/json.h"
#include "repo/audit_anchor.h"
#include "repo/audit_batch.h"
#include "repo/audit_spool.h"
#include "repo/audit_who.h"
#include "tests/fuzz/fuzz_repo.h"

#define KEY "audit/2026-11-22-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c/00000001"

static void record(const json_t *o)
{
	struct audit_record r;
	struct err e = ERR_INIT;

	works(audit_record_read(o, "it", &r, &e));
	holds(r.act[0] && strlen(r.why) <= AUDIT_TEXT_MAX && strlen(r.error) <= AUDIT_TEXT_MAX);
	holds(r.nobjects <= AUDIT_OBJECTS_MAX && r.nobjects <= r.object_count);
	for (size_t i = 0; i < r.nobjects; i++)
		holds(strlen(r.objects[i]) <= AUDIT_OBJECT_MAX);
}

static void spool(const uint8_t *p, size_t n)
{
	auto_json json_t *records = NULL;
	uint64_t damaged;
	struct err e = ERR_INIT;

	works(audit_spool_parse(p, n, &records, &damaged, &e));
	for (size_t i = 0; i < json_array_size(records); i++)
		record(json_array_get(records, i));
	holds(json_array_size(records) + damaged <= n);
}

static void anchor(const uint8_t *p, size_t n)
{
	struct audit_anchor a;
	struct err e = ERR_INIT;

	auto_json json_t *o = json_parse("it", p, n, &e);
	if (!o || audit_anchor_read(o, "it", &a, &e) < 0) {
		fuzz_refused(&e, FUZZ_BAD | FUZZ_CLASS(ERR_TOO_BIG));
		return;
	}
	holds(a.user && a.host && json_array_size(a.heads) <= AUDIT_ANCHOR_HEADS_MAX);
	/* What was read is what would be written. */
	auto_json json_t *again = audit_anchor_json(a.previous, a.records, a.heads, a.at_ns, &e);
	works(again ? audit_anchor_read(again, "it", &a, &e) : -1);
}

static void token(const uint8_t *p, size_t n)
{
	struct audit_who who = { 0 };

	audit_who_token((const char *)p, n, &who);
	holds(strlen(who.account) <= AUDIT_NAME_MAX && strlen(who.pod) <= AUDIT_NAME_MAX);
	for (const char *c = who.account; *c; c++)
		holds((unsigned char)*c >= ' ');
}

static void batch(const struct repo *r)
{
	auto_json json_t *o = NULL;
	struct audit_batch b;
	struct audit_head after;
	struct err e = ERR_INIT;

	if (note_get(r, FORMAT_KIND_AUDIT, KEY, &o, NULL, &e) < 0 ||
	    audit_batch_read(o, KEY, &b, &e) < 0) {
		fuzz_refused(&e, FUZZ_BAD | FUZZ_CLASS(ERR_TOO_BIG));
		return;
	}
	holds(b.n > 0 && b.n <= AUDIT_BATCH_RECORDS_MAX && b.after.number == 1);
	for (size_t i = 0; i < b.n; i++)
		record(json_array_get(b.records, i));
	/* What was read is what would be written. */
	auto_json json_t *again = audit_batch_json(&b.before, &b.continues, b.records, &after, &e);
	holds(!again || memcmp(after.hash, b.after.hash, sizeof(after.hash)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct repo r;

	if (!r.store)
		r = fuzz_repo_new();
	if (size == 0 || size > 64 * KIB)
		return 0;
	if (data[0] & 1) {
		spool(data + 1, size - 1);
		return 0;
	}
	if (data[0] & 4) {
		anchor(data + 1, size - 1);
		return 0;
	}
	if (data[0] & 8) {
		token(data + 1, size - 1);
		return 0;
	}
	if (data[0] & 2)
		fuzz_put(&r, KEY, data + 1, size - 1);
	else
		fuzz_put_sealed(&r, FORMAT_KIND_AUDIT, KEY, data + 1, size - 1);
	batch(&r);
	fuzz_empty(r.store);
	return 0;
}
