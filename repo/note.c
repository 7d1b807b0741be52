/* SPDX-License-Identifier: Apache-2.0 */
/* See note.h. Notes are encrypted by K_point: all key files can read them, the store cannot. */
#include "repo/note.h"

#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "common/act.h"
#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "common/rd.h"
#include "common/secret.h"
#include "repo/crypt.h"

#define SMALL_MAX (FORMAT_POINT_MAX + NOTE_ENVELOPE_BYTES)

static int seal(const struct repo *r, char kind, const char *key_name, const struct buf *plain,
                struct buf *out, struct err *e)
{
	auto_secret uint8_t *key = secret_new(32);

	if (!key)
		return err_set(e, ERR_NOMEM, "no locked memory for a key");
	if (keys_point_key(r->keys, key, e) < 0)
		return -1;
	return crypt_object_seal(r->keys, kind, key, key_name, plain->data, plain->len, out, e);
}

static int unseal(const struct repo *r, char kind, const char *key_name, const uint8_t *p, size_t n,
                  struct buf *ret, uint8_t signer[FORMAT_SIGNER_BYTES], struct err *e)
{
	uint8_t ignored[FORMAT_SIGNER_BYTES];
	auto_secret uint8_t *key = secret_new(32);

	if (!key)
		return err_set(e, ERR_NOMEM, "no locked memory for a key");
	if (keys_point_key(r->keys, key, e) < 0)
		return -1;
	return crypt_object_open(r->keys, kind, key, key_name, p, n, ret, signer ? signer : ignored,
	                         e);
}

/* True when the object under this key is exactly b. */
static bool stands_already(const struct repo *r, const char *key_name, const struct buf *b)
{
	CLEANUP(buf_clear) struct buf there = BUF_INIT(b->len);
	struct err ignored = ERR_INIT;

	return store_get_all(r->store, key_name, &there, &ignored) == 0 && there.len == b->len &&
	       memcmp(there.data, b->data, b->len) == 0;
}

int note_put_sealed(const struct repo *r, const char *key, const struct buf *b, struct err *e)
{
	struct iovec iov = { .iov_base = b->data, .iov_len = b->len };
	struct err why = ERR_INIT;

	if (store_put(r->store, key, &iov, 1, &why) == 0)
		return 0;
	if (why.class == ERR_EXISTS && stands_already(r, key, b))
		return 0;
	*e = why;
	return -1;
}

int note_seal(const struct repo *r, char kind, const char *key, const json_t *o, size_t bytes,
              struct buf *ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(FORMAT_POINT_MAX);

	if (json_write(o, &plain, e) < 0)
		return -1;
	if (bytes > 0 && plain.len + NOTE_ENVELOPE_BYTES > bytes)
		return err_set(e, ERR_BUG, "a note of %zu bytes does not fit into %zu", plain.len,
		               bytes);
	while (plain.len + NOTE_ENVELOPE_BYTES < bytes && buf_u8(&plain, ' ') == 0)
		;
	if (buf_check(&plain, "a note", e) < 0)
		return -1;
	if (seal(r, kind, key, &plain, ret, e) < 0)
		return -1;
	/* Who lists commits tells an abort by its length. */
	return bytes == 0 || ret->len == bytes
	               ? 0
	               : err_set(e, ERR_BUG, "a note of %zu bytes has %zu", bytes, ret->len);
}

int note_put(const struct repo *r, char kind, const char *key, const json_t *o,
             struct buf *ret_object, struct err *e)
{
	CLEANUP(buf_clear) struct buf own = BUF_INIT(SMALL_MAX);
	struct buf *object = ret_object ? ret_object : &own;

	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for '%s'", key);
	if (note_seal(r, kind, key, o, 0, object, e) < 0)
		return -1;
	return note_put_sealed(r, key, object, e);
}

int note_seal_list(const struct repo *r, char kind, const char *key, const json_t *o,
                   const struct buf *list, struct buf *ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(FORMAT_POINT_MAX);
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(NOTE_LIST_MAX);

	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for '%s'", key);
	if (json_write(o, &text, e) < 0)
		return -1;
	(void)buf_reserve(&plain, 4 + text.len + list->len);
	(void)buf_u32(&plain, (uint32_t)text.len);
	(void)buf_put(&plain, text.data, text.len);
	(void)buf_put(&plain, list->data, list->len);
	return buf_check(&plain, "a list", e) < 0 ? -1 : seal(r, kind, key, &plain, ret, e);
}

int note_put_list(const struct repo *r, char kind, const char *key, const json_t *o,
                  const struct buf *list, struct err *e)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(NOTE_LIST_MAX + NOTE_ENVELOPE_BYTES);

	if (note_seal_list(r, kind, key, o, list, &object, e) < 0)
		return -1;
	return note_put_sealed(r, key, &object, e);
}

int note_open(const struct repo *r, char kind, const char *key, const uint8_t *p, size_t n,
              json_t **ret, uint8_t ret_signer[FORMAT_SIGNER_BYTES], struct err *e)
{
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(FORMAT_POINT_MAX);

	if (unseal(r, kind, key, p, n, &plain, ret_signer, e) < 0)
		return -1;
	*ret = json_parse(key, plain.data, plain.len, e);
	return *ret ? 0 : -1;
}

int note_get(const struct repo *r, char kind, const char *key, json_t **ret,
             uint8_t ret_signer[FORMAT_SIGNER_BYTES], struct err *e)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(SMALL_MAX);

	if (store_get_all(r->store, key, &object, e) < 0)
		return -1;
	return note_open(r, kind, key, object.data, object.len, ret, ret_signer, e);
}

int note_open_list(const struct repo *r, char kind, const char *key, const uint8_t *p, size_t len,
                   json_t **ret, struct buf *ret_list, uint8_t ret_signer[FORMAT_SIGNER_BYTES],
                   struct err *e)
{
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(NOTE_LIST_MAX);

	if (unseal(r, kind, key, p, len, &plain, ret_signer, e) < 0)
		return -1;
	struct rd rd = rd_of(plain.data, plain.len);
	size_t n = rd_u32(&rd);
	const uint8_t *text = n <= FORMAT_POINT_MAX ? rd_take(&rd, n) : NULL;
	if (!text || !rd_ok(&rd))
		return err_set(e, ERR_FORMAT, "'%s' does not add up", key);
	auto_json json_t *o = json_parse(key, text, n, e);
	if (!o)
		return -1;
	n = rd_left(&rd);
	if (n > 0)
		(void)buf_put(ret_list, rd_take(&rd, n), n);
	if (buf_check(ret_list, key, e) < 0)
		return -1;
	*ret = STEAL(&o);
	return 0;
}

int note_get_list(const struct repo *r, char kind, const char *key, json_t **ret,
                  struct buf *ret_list, uint8_t ret_signer[FORMAT_SIGNER_BYTES], struct err *e)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(NOTE_LIST_MAX + NOTE_ENVELOPE_BYTES);

	if (store_get_all(r->store, key, &object, e) < 0)
		return -1;
	return note_open_list(r, kind, key, object.data, object.len, ret, ret_list, ret_signer, e);
}

int note_schema(const json_t *o, const char *what, const char *schema, struct err *e)
{
	const char *text;

	if (json_get_str(o, what, "schema", &text, e) < 0)
		return -1;
	if (strcmp(text, schema) == 0)
		return 0;
	return err_set(e, ERR_FORMAT, "%s: schema '%s' is unknown here; use a newer program", what,
	               text);
}

bool note_is_bad(const struct err *e)
{
	return e->class == ERR_CORRUPT || e->class == ERR_FORMAT || e->class == ERR_DENIED ||
	       e->class == ERR_NOT_FOUND || e->class == ERR_TOO_BIG;
}

/* ---- names ---- */

const struct note_place note_places[NOTE_PLACES] = {
	{ "check/", FORMAT_KIND_CHECKED, true },
	{ "ctl/audit/", FORMAT_KIND_ANCHOR, false },
	{ "ctl/damage/", FORMAT_KIND_DAMAGE, true },
	{ "ctl/fence/", FORMAT_KIND_FENCE, true },
	{ "ctl/gc/", FORMAT_KIND_COLLECT, true },
	{ "ctl/inventory/", FORMAT_KIND_INVENTORY, true },
	{ "ctl/owner/", FORMAT_KIND_OWNER, false },
	{ "ctl/revoked/", FORMAT_KIND_REVOKED, true },
	{ "ctl/run/", FORMAT_KIND_RUN, false },
	{ "hold/", FORMAT_KIND_HOLD, false },
	{ "pin/", FORMAT_KIND_PIN, false },
	{ "reseal/", FORMAT_KIND_RESEAL, true },
	{ "sess/", FORMAT_KIND_SESSION, false },
	{ "tomb/", FORMAT_KIND_TOMB, false },
};

#define NUMBER_DIGITS 8

bool note_name_valid(const char *name)
{
	static const char form[] = "dddd-dd-dd/hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh";

	for (size_t i = 0; form[i]; i++) {
		bool digit = name[i] >= '0' && name[i] <= '9';
		bool hex = digit || (name[i] >= 'a' && name[i] <= 'f');

		if (form[i] == 'd' ? !digit : form[i] == 'h' ? !hex : name[i] != form[i])
			return false;
	}
	return name[sizeof(form) - 1] == '\0';
}

void note_new_key(const char *prefix, char ret[NOTE_KEY_MAX])
{
	uint8_t random[16];
	char hex[33];

	secret_random(random, sizeof(random));
	hex_encode(hex, random, sizeof(random));
	(void)snprintf(ret, NOTE_KEY_MAX, "%s/%.10s/%s", prefix, now_day(now_wall_ns()).s, hex);
}

bool note_number(const char *name, uint64_t *ret)
{
	uint64_t n = 0;
	size_t len = strspn(name, "0123456789");

	if (len != NUMBER_DIGITS || name[len])
		return false;
	for (size_t i = 0; i < len; i++)
		n = 10 * n + (uint64_t)(name[i] - '0');
	*ret = n;
	return n > 0;
}

void note_number_key(const char *prefix, uint64_t n, char ret[NOTE_KEY_MAX])
{
	(void)snprintf(ret, NOTE_KEY_MAX, "%s/%0*llu", prefix, NUMBER_DIGITS,
	               (unsigned long long)n);
}

int note_put_numbered(const struct repo *r, char kind, const char *prefix, uint64_t first,
                      const json_t *o, uint64_t *ret_number, struct err *e)
{
	char key[NOTE_KEY_MAX];

	for (uint64_t n = first; n <= NOTE_NUMBER_MAX; n++) {
		struct err why = ERR_INIT;

		note_number_key(prefix, n, key);
		if (note_put(r, kind, key, o, NULL, &why) == 0) {
			act_object("%s", key);
			*ret_number = n;
			return 0;
		}
		if (why.class != ERR_EXISTS) {
			*e = why;
			return -1;
		}
	}
	return err_set(e, ERR_TOO_BIG, "there are no numbers left below '%s'", prefix);
}

/* ---- who ---- */

/* Names of users and hosts are what somebody typed: as text, one line. */
static void keep_text(const char *from, char *ret, size_t max)
{
	auto_json json_t *text = json_text(from, max - 1);

	(void)snprintf(ret, max, "%s", text ? json_string_value(text) : "");
}

void note_actor(struct note_actor *ret)
{
	char host[HOST_NAME_MAX + 1] = "";
	struct passwd pw;
	struct passwd *found = NULL;
	char mem[1024];

	*ret = (struct note_actor){ 0 };
	if (getpwuid_r(geteuid(), &pw, mem, sizeof(mem), &found) == 0 && found)
		keep_text(found->pw_name, ret->user, sizeof(ret->user));
	else
		(void)snprintf(ret->user, sizeof(ret->user), "uid %u", (unsigned)geteuid());
	if (gethostname(host, sizeof(host) - 1) == 0)
		keep_text(host, ret->host, sizeof(ret->host));
}
