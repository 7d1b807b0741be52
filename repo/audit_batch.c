/* SPDX-License-Identifier: Apache-2.0 */
/* See audit_batch.h. */
#include "repo/audit_batch.h"

#include <sodium.h>
#include <string.h>

#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "common/secret.h"

/* ---- names ---- */

bool audit_batch_writer_valid(const char *text)
{
	static const char form[] = "dddd-dd-dd-";
	const size_t day = sizeof(form) - 1;

	if (strlen(text) != AUDIT_WRITER_LEN)
		return false;
	for (size_t i = 0; i < day; i++) {
		if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
			return false;
	}
	return strspn(text + day, "0123456789abcdef") == AUDIT_WRITER_LEN - day;
}

void audit_batch_writer_new(int64_t now_ns, char ret[AUDIT_WRITER_LEN + 1])
{
	uint8_t random[16];
	char hex[33];

	secret_random(random, sizeof(random));
	hex_encode(hex, random, sizeof(random));
	(void)snprintf(ret, AUDIT_WRITER_LEN + 1, "%.10s-%s", now_day(now_ns).s, hex);
}

void audit_batch_key(const char *writer, uint64_t number, char ret[NOTE_KEY_MAX])
{
	char prefix[NOTE_KEY_MAX];

	(void)snprintf(prefix, sizeof(prefix), AUDIT_PREFIX "%s", writer);
	note_number_key(prefix, number, ret);
}

bool audit_batch_key_parse(const char *key, char ret_writer[AUDIT_WRITER_LEN + 1],
                           uint64_t *ret_number)
{
	const size_t skip = strlen(AUDIT_PREFIX);

	if (strncmp(key, AUDIT_PREFIX, skip) != 0 || strlen(key + skip) <= AUDIT_WRITER_LEN ||
	    key[skip + AUDIT_WRITER_LEN] != '/')
		return false;
	memcpy(ret_writer, key + skip, AUDIT_WRITER_LEN);
	ret_writer[AUDIT_WRITER_LEN] = '\0';
	return audit_batch_writer_valid(ret_writer) &&
	       note_number(key + skip + AUDIT_WRITER_LEN + 1, ret_number);
}

/* ---- places in a chain ---- */

static const char domain[] = "aksdr audit chain"; /* with its NUL */

void audit_batch_begin(const char *writer, const struct audit_head *continues,
                       struct audit_head *ret)
{
	struct audit_head h = { .number = 0 };
	crypto_hash_sha256_state s;

	(void)snprintf(h.writer, sizeof(h.writer), "%s", writer);
	(void)crypto_hash_sha256_init(&s);
	(void)crypto_hash_sha256_update(&s, (const uint8_t *)domain, sizeof(domain));
	(void)crypto_hash_sha256_update(&s, (const uint8_t *)h.writer, AUDIT_WRITER_LEN);
	(void)crypto_hash_sha256_update(&s, continues->hash, AUDIT_HASH_BYTES);
	(void)crypto_hash_sha256_final(&s, h.hash);
	*ret = h;
}

json_t *audit_batch_head_json(const struct audit_head *h)
{
	return json_pack("{ss sI sI ss}", "writer", h->writer, "number", (json_int_t)h->number,
	                 "records", (json_int_t)h->records, "hash", hex_of32(h->hash).s);
}

int audit_batch_head_read(const json_t *o, const char *what, struct audit_head *ret, struct err *e)
{
	struct audit_head h = { .number = 0 };
	const char *writer;

	if (json_get_str(o, what, "writer", &writer, e) < 0 ||
	    json_get_u64(o, what, "number", &h.number, e) < 0 ||
	    json_get_u64(o, what, "records", &h.records, e) < 0 ||
	    json_get_hex(o, what, "hash", h.hash, sizeof(h.hash), e) < 0)
		return -1;
	if (!audit_batch_writer_valid(writer) || h.number > NOTE_NUMBER_MAX)
		return err_set(e, ERR_FORMAT, "%s: '%.60s' is no writer of the audit trail", what,
		               writer);
	(void)snprintf(h.writer, sizeof(h.writer), "%s", writer);
	*ret = h;
	return 0;
}

/* ---- batches ---- */

/* From hash to hash along the records; *ret_bytes is what they have. */
static int follow(const json_t *records, uint8_t hash[AUDIT_HASH_BYTES], size_t *ret_bytes,
                  struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(AUDIT_RECORD_MAX);
	const json_t *o;
	size_t bytes = 0;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)records, i, o) {
		buf_reset(&text);
		if (json_write(o, &text, e) < 0)
			return err_wrap(e, "record %zu", i + 1);
		audit_record_hash_text(hash, text.data, text.len, hash);
		bytes += text.len;
	}
	*ret_bytes = bytes;
	return 0;
}

json_t *audit_batch_json(const struct audit_head *before, const struct audit_head *continues,
                         const json_t *records, struct audit_head *ret_after, struct err *e)
{
	struct audit_head after = *before;
	const size_t n = json_array_size(records);
	size_t bytes;

	if (n == 0 || n > AUDIT_BATCH_RECORDS_MAX) {
		(void)err_set(e, ERR_TOO_BIG, "a batch has 1 to %d records, not %zu",
		              AUDIT_BATCH_RECORDS_MAX, n);
		return NULL;
	}
	if (follow(records, after.hash, &bytes, e) < 0)
		return NULL;
	if (bytes > AUDIT_BATCH_BYTES_MAX) {
		(void)err_set(e, ERR_TOO_BIG, "%zu bytes are too many for a batch", bytes);
		return NULL;
	}
	after.number++;
	after.records += n;
	auto_json json_t *o = json_pack("{ss ss sI sI ss ss sO}", "schema", AUDIT_BATCH_SCHEMA,
	                                "writer", after.writer, "number", (json_int_t)after.number,
	                                "first", (json_int_t)before->records + 1, "before",
	                                hex_of32(before->hash).s, "after", hex_of32(after.hash).s,
	                                "records", records);
	if (!o || (before->number == 0 && continues->writer[0] &&
	           json_object_set_new(o, "continues", audit_batch_head_json(continues)) < 0)) {
		(void)err_set(e, ERR_NOMEM, "no memory for a batch of the audit trail");
		return NULL;
	}
	*ret_after = after;
	return STEAL(&o);
}

static int wrong(const char *key, const char *why, struct err *e)
{
	return err_set(e, ERR_CORRUPT, "'%s': %s", key, why);
}

static int read_records(const json_t *o, const char *key, struct audit_batch *b, struct err *e)
{
	struct audit_record r;
	const json_t *x;
	char what[NOTE_KEY_MAX + 32];
	size_t i;

	b->records = json_object_get(o, "records");
	b->n = json_array_size(b->records);
	if (!json_is_array(b->records) || b->n == 0 || b->n > AUDIT_BATCH_RECORDS_MAX)
		return err_set(e, ERR_FORMAT, "'%s' has no list of 1 to %d records", key,
		               AUDIT_BATCH_RECORDS_MAX);
	json_array_foreach((json_t *)(uintptr_t)b->records, i, x) {
		(void)snprintf(what, sizeof(what), "'%s', record %zu", key, i + 1);
		if (audit_record_read(x, what, &r, e) < 0)
			return -1;
	}
	return 0;
}

int audit_batch_read(const json_t *o, const char *key, struct audit_batch *ret, struct err *e)
{
	char named[AUDIT_WRITER_LEN + 1];
	struct audit_batch b = { .n = 0 };
	struct audit_head begin;
	const json_t *continues = json_object_get(o, "continues");
	const char *writer;
	uint64_t number, first, said;
	uint8_t hash[AUDIT_HASH_BYTES];
	size_t bytes;

	if (!audit_batch_key_parse(key, named, &number))
		return err_set(e, ERR_FORMAT, "'%s' is no name of a batch of the audit trail", key);
	if (note_schema(o, key, AUDIT_BATCH_SCHEMA, e) < 0 ||
	    json_get_str(o, key, "writer", &writer, e) < 0 ||
	    json_get_u64(o, key, "number", &said, e) < 0 ||
	    json_get_u64(o, key, "first", &first, e) < 0 ||
	    json_get_hex(o, key, "before", b.before.hash, sizeof(hash), e) < 0 ||
	    json_get_hex(o, key, "after", b.after.hash, sizeof(hash), e) < 0 ||
	    (continues && audit_batch_head_read(continues, key, &b.continues, e) < 0) ||
	    read_records(o, key, &b, e) < 0)
		return -1;
	if (strcmp(writer, named) != 0 || said != number)
		return wrong(key, "it is the batch of another name", e);
	memcpy(b.before.writer, named, sizeof(named));
	memcpy(b.after.writer, named, sizeof(named));
	b.before.number = number - 1;
	b.after.number = number;
	if (first == 0 || first > INT64_MAX - b.n)
		return wrong(key, "the number of its first record is none", e);
	b.before.records = first - 1;
	b.after.records = first - 1 + b.n;
	audit_batch_begin(named, &b.continues, &begin);
	if (number == 1 && (first != 1 || memcmp(begin.hash, b.before.hash, sizeof(hash)) != 0))
		return wrong(key, "it does not begin as a chain of this writer begins", e);
	if (number > 1 && continues)
		return wrong(key, "only the first batch of a writer continues another one", e);
	memcpy(hash, b.before.hash, sizeof(hash));
	if (follow(b.records, hash, &bytes, e) < 0)
		return err_wrap(e, "'%s'", key);
	if (memcmp(hash, b.after.hash, sizeof(hash)) != 0)
		return wrong(key, "its records are not those that its hashes are of", e);
	*ret = b;
	return 0;
}

bool audit_batch_follows(const struct audit_head *place, const struct audit_batch *b)
{
	return strcmp(place->writer, b->before.writer) == 0 && place->number == b->before.number &&
	       place->records == b->before.records &&
	       memcmp(place->hash, b->before.hash, AUDIT_HASH_BYTES) == 0;
}
