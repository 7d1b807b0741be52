/* SPDX-License-Identifier: Apache-2.0 */
/* See audit_anchor.h. */
#include "repo/audit_anchor.h"

#include <sodium.h>
#include <string.h>

#include "common/hex.h"
#include "common/json.h"

void audit_anchor_open(struct chain *ret)
{
	chain_init(ret, FORMAT_KIND_ANCHOR, AUDIT_ANCHOR_PREFIX);
}

json_t *audit_anchor_json(const uint8_t previous[AUDIT_HASH_BYTES], uint64_t records,
                          const json_t *heads, int64_t now_ns, struct err *e)
{
	struct note_actor by;
	struct audit_anchor x;

	note_actor(&by);
	auto_json json_t *o = json_pack("{ss sI sI ss s{ss ss} sO}", "schema", AUDIT_ANCHOR_SCHEMA,
	                                "at_ns", (json_int_t)now_ns, "records", (json_int_t)records,
	                                "previous", hex_of32(previous).s, "actor", "user", by.user,
	                                "host", by.host, "heads", heads);
	if (!o) {
		(void)err_set(e, ERR_NOMEM, "no memory for an anchor of the audit trail");
		return NULL;
	}
	/* What cannot be read again is not put. */
	return audit_anchor_read(o, "an anchor", &x, e) < 0 ? NULL : STEAL(&o);
}

int audit_anchor_read(const json_t *o, const char *what, struct audit_anchor *ret, struct err *e)
{
	struct audit_anchor x = { .heads = json_object_get(o, "heads") };
	const json_t *actor = json_object_get(o, "actor");
	const json_t *head;
	struct audit_head h;
	size_t i;

	if (note_schema(o, what, AUDIT_ANCHOR_SCHEMA, e) < 0 ||
	    json_get_i64(o, what, "at_ns", &x.at_ns, e) < 0 ||
	    json_get_u64(o, what, "records", &x.records, e) < 0 ||
	    json_get_hex(o, what, "previous", x.previous, sizeof(x.previous), e) < 0 ||
	    json_get_str(actor, what, "user", &x.user, e) < 0 ||
	    json_get_str(actor, what, "host", &x.host, e) < 0)
		return -1;
	if (!json_is_array(x.heads) || json_array_size(x.heads) > AUDIT_ANCHOR_HEADS_MAX ||
	    strlen(x.user) > AUDIT_NAME_MAX || strlen(x.host) > AUDIT_NAME_MAX)
		return err_set(e, ERR_FORMAT, "%s: 'heads' or 'actor' is none", what);
	json_array_foreach((json_t *)(uintptr_t)x.heads, i, head) {
		if (audit_batch_head_read(head, what, &h, e) < 0)
			return -1;
	}
	*ret = x;
	return 0;
}

static const char domain[] = "aksdr audit anchor"; /* with its NUL */

void audit_anchor_hash(const void *text, size_t n, uint8_t ret[AUDIT_HASH_BYTES])
{
	crypto_hash_sha256_state s;

	(void)crypto_hash_sha256_init(&s);
	(void)crypto_hash_sha256_update(&s, (const uint8_t *)domain, sizeof(domain));
	(void)crypto_hash_sha256_update(&s, text, n);
	(void)crypto_hash_sha256_final(&s, ret);
}
