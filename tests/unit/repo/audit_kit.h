/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the audit trail, and what of it is in a store. */
#ifndef AKSDR_TESTS_UNIT_REPO_AUDIT_KIT_H
#define AKSDR_TESTS_UNIT_REPO_AUDIT_KIT_H

#include "tests/unit/repo/note_kit.h"

#include "common/hex.h"
#include "common/json.h"
#include "repo/audit_batch.h"

/* A record of this act; n makes its id. */
static inline json_t *audit_kit_record(const struct repo *r, const char *act, unsigned n)
{
	char signer[2 * FORMAT_SIGNER_BYTES + 1];
	struct audit_record x = {
		.at_ns = KIT_EPOCH_NS + n,
		.took_ms = 12,
		.act = act,
		.objects = { "shop/orders" },
		.nobjects = 1,
		.why = "because",
		.result = AUDIT_DONE,
		.error = "",
		.signer = signer,
		.user = "root",
		.host = "node-1",
		.program = "aksdr-agent",
		.version = "1.2.3",
		.run = "",
	};
	json_t *o = NULL;

	(void)snprintf(x.id, sizeof(x.id), "%032x", n);
	hex_encode(signer, r->keys->signer_id, FORMAT_SIGNER_BYTES);
	ok((o = audit_record_json(&x, e)) ? 0 : -1);
	return o;
}

/* What is told of the trail: "act act | act", a stroke between batches, a dot between chains. */
struct audit_kit_trail {
	const struct repo *r;
	char text[4096];
	struct audit_head place;
	size_t records, chains, batches;
};

static inline void audit_kit_say(struct audit_kit_trail *t, const char *text)
{
	size_t at = strlen(t->text);

	(void)snprintf(t->text + at, sizeof(t->text) - at, "%s", text);
}

static inline int audit_kit_take(void *arg, const struct store_item *item, struct err *e)
{
	struct audit_kit_trail *t = arg;
	struct audit_batch b;
	auto_json json_t *o = NULL;

	if (note_get(t->r, FORMAT_KIND_AUDIT, item->key, &o, NULL, e) < 0 ||
	    audit_batch_read(o, item->key, &b, e) < 0)
		return -1;
	if (strcmp(t->place.writer, b.before.writer) != 0) {
		audit_batch_begin(b.before.writer, &b.continues, &t->place);
		t->chains++;
		if (t->text[0])
			audit_kit_say(t, ". ");
	} else {
		audit_kit_say(t, "| ");
	}
	assert_true(audit_batch_follows(&t->place, &b));
	t->place = b.after;
	t->batches++;
	t->records += b.n;
	for (size_t i = 0; i < b.n && t->records < 100; i++) {
		struct audit_record x;

		assert_int_equal(audit_record_read(json_array_get(b.records, i), "it", &x, e), 0);
		audit_kit_say(t, x.act);
		audit_kit_say(t, " ");
	}
	return 0;
}

/* All of it, each batch behind the one before it. */
static inline struct audit_kit_trail audit_kit_read(const struct repo *r)
{
	struct audit_kit_trail t = { .r = r };

	ok(store_list(r->store, AUDIT_PREFIX, NULL, audit_kit_take, &t, e));
	return t;
}

#endif
