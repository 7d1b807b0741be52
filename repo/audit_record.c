/* SPDX-License-Identifier: Apache-2.0 */
/* See audit_record.h. The canonical text is what json_write() makes of any value. */
#include "repo/audit_record.h"

#include <sodium.h>
#include <string.h>

#include "common/json.h"
#include "repo/note.h"

static const char *const results[AUDIT_RESULTS] = {
	[AUDIT_BEGUN] = "begun",   [AUDIT_DONE] = "done",           [AUDIT_PARTLY] = "partly",
	[AUDIT_FAILED] = "failed", [AUDIT_CANCELLED] = "cancelled",
};

const char *audit_record_result_name(enum audit_result result)
{
	return results[result];
}

enum audit_result audit_record_result_of(int status)
{
	return status == EXIT_OK          ? AUDIT_DONE
	       : status == EXIT_PARTIAL   ? AUDIT_PARTLY
	       : status == EXIT_CANCELLED ? AUDIT_CANCELLED
	                                  : AUDIT_FAILED;
}

/* ---- the texts of a record ---- */

/* Texts that every record has, in `who` or beside it. */
static const struct text_member {
	const char *name;
	size_t offset; /* of the pointer in struct audit_record */
	size_t max;
} own_texts[] = {
	{ "act", offsetof(struct audit_record, act), AUDIT_ACT_MAX },
	{ "why", offsetof(struct audit_record, why), AUDIT_TEXT_MAX },
	{ "error", offsetof(struct audit_record, error), AUDIT_TEXT_MAX },
	{ "run", offsetof(struct audit_record, run), AUDIT_ID_LEN },
}, who_texts[] = {
	{ "signer", offsetof(struct audit_record, signer), 2 * FORMAT_SIGNER_BYTES },
	{ "user", offsetof(struct audit_record, user), AUDIT_NAME_MAX },
	{ "host", offsetof(struct audit_record, host), AUDIT_NAME_MAX },
	{ "program", offsetof(struct audit_record, program), AUDIT_NAME_MAX },
	{ "version", offsetof(struct audit_record, version), AUDIT_NAME_MAX },
	{ "account", offsetof(struct audit_record, account), AUDIT_NAME_MAX },
	{ "pod", offsetof(struct audit_record, pod), AUDIT_NAME_MAX },
};

static int put_texts(json_t *o, const struct audit_record *r, const struct text_member *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *text;

		memcpy(&text, (const char *)r + v[i].offset, sizeof(text));
		if (json_object_set_new(o, v[i].name, json_text(text ? text : "", v[i].max)) < 0)
			return -1;
	}
	return 0;
}

static int get_texts(const json_t *o, const char *what, struct audit_record *ret,
                     const struct text_member *v, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const char *text;

		if (json_get_str(o, what, v[i].name, &text, e) < 0)
			return -1;
		if (strlen(text) > v[i].max)
			return err_set(e, ERR_FORMAT, "%s: '%s' is longer than %zu bytes", what,
			               v[i].name, v[i].max);
		memcpy((char *)ret + v[i].offset, &text, sizeof(text));
	}
	return 0;
}

json_t *audit_record_json(const struct audit_record *r, struct err *e)
{
	const size_t n = r->nobjects < AUDIT_OBJECTS_MAX ? r->nobjects : AUDIT_OBJECTS_MAX;
	json_t *who = json_object();
	json_t *objects = json_array();
	auto_json json_t *o = json_pack("{ss ss sI sI sI ss si so so}", "schema",
	                                AUDIT_RECORD_SCHEMA, "id", r->id, "at_ns",
	                                (json_int_t)r->at_ns, "took_ms", (json_int_t)r->took_ms,
	                                "object_count",
	                                (json_int_t)(r->object_count > n ? r->object_count : n),
	                                "result", results[r->result], "status", r->status, "who",
	                                who, "objects", objects);
	bool good = o && put_texts(o, r, own_texts, ARRAY_LEN(own_texts)) == 0 &&
	            put_texts(who, r, who_texts, ARRAY_LEN(who_texts)) == 0;

	for (size_t i = 0; good && i < n; i++)
		good = json_array_append_new(objects, json_text(r->objects[i], AUDIT_OBJECT_MAX)) ==
		       0;
	if (!good) {
		(void)err_set(e, ERR_NOMEM, "no memory for a record of the audit trail");
		return NULL;
	}
	return STEAL(&o);
}

/* ---- reading ---- */

static int read_objects(const json_t *o, const char *what, struct audit_record *ret, struct err *e)
{
	const json_t *objects = json_object_get(o, "objects");
	size_t n = json_array_size(objects);

	if (json_get_u64(o, what, "object_count", &ret->object_count, e) < 0)
		return -1;
	if (!json_is_array(objects) || n > AUDIT_OBJECTS_MAX || n > ret->object_count)
		return err_set(e, ERR_FORMAT, "%s: 'objects' is no list of at most %d names", what,
		               AUDIT_OBJECTS_MAX);
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(objects, i));

		if (!text || strlen(text) > AUDIT_OBJECT_MAX)
			return err_set(e, ERR_FORMAT, "%s: 'objects' has what is no name", what);
		ret->objects[i] = text;
	}
	ret->nobjects = n;
	return 0;
}

static int read_result(const json_t *o, const char *what, struct audit_record *ret, struct err *e)
{
	const char *text;
	uint64_t status;
	size_t i = 0;

	if (json_get_str(o, what, "result", &text, e) < 0 ||
	    json_get_u64(o, what, "status", &status, e) < 0)
		return -1;
	while (i < AUDIT_RESULTS && strcmp(text, results[i]) != 0)
		i++;
	if (i == AUDIT_RESULTS || status > 255)
		return err_set(e, ERR_FORMAT, "%s: its result is unknown here", what);
	ret->result = (enum audit_result)i;
	ret->status = (int)status;
	return 0;
}

static bool is_hex(const char *text, size_t len)
{
	return strlen(text) == len && strspn(text, "0123456789abcdef") == len;
}

int audit_record_read(const json_t *o, const char *what, struct audit_record *ret, struct err *e)
{
	struct audit_record r = { .nobjects = 0 };
	const json_t *who = json_object_get(o, "who");
	const char *id;

	if (!json_is_object(o) || !json_is_object(who))
		return err_set(e, ERR_FORMAT, "%s: it is no record of an act", what);
	if (note_schema(o, what, AUDIT_RECORD_SCHEMA, e) < 0 ||
	    json_get_str(o, what, "id", &id, e) < 0 ||
	    json_get_i64(o, what, "at_ns", &r.at_ns, e) < 0 ||
	    json_get_i64(o, what, "took_ms", &r.took_ms, e) < 0 ||
	    get_texts(o, what, &r, own_texts, ARRAY_LEN(own_texts), e) < 0 ||
	    get_texts(who, what, &r, who_texts, ARRAY_LEN(who_texts), e) < 0 ||
	    read_objects(o, what, &r, e) < 0 || read_result(o, what, &r, e) < 0)
		return -1;
	if (!is_hex(id, AUDIT_ID_LEN) || !*r.act || !is_hex(r.signer, 2 * FORMAT_SIGNER_BYTES) ||
	    (*r.run && !is_hex(r.run, AUDIT_ID_LEN)))
		return err_set(e, ERR_FORMAT, "%s: 'id', 'act', 'run' or 'signer' is none", what);
	memcpy(r.id, id, sizeof(r.id));
	*ret = r;
	return 0;
}

/* ---- hashes ---- */

static const char domain[] = "aksdr audit record"; /* with its NUL */

void audit_record_hash_text(const uint8_t before[AUDIT_HASH_BYTES], const void *text, size_t n,
                            uint8_t ret[AUDIT_HASH_BYTES])
{
	crypto_hash_sha256_state h;

	(void)crypto_hash_sha256_init(&h);
	(void)crypto_hash_sha256_update(&h, (const uint8_t *)domain, sizeof(domain));
	(void)crypto_hash_sha256_update(&h, before, AUDIT_HASH_BYTES);
	(void)crypto_hash_sha256_update(&h, text, n);
	(void)crypto_hash_sha256_final(&h, ret);
}

int audit_record_hash(const uint8_t before[AUDIT_HASH_BYTES], const json_t *o,
                      uint8_t ret[AUDIT_HASH_BYTES], struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(AUDIT_RECORD_MAX);

	if (json_write(o, &text, e) < 0)
		return err_wrap(e, "a record of the audit trail");
	audit_record_hash_text(before, text.data, text.len, ret);
	return 0;
}
