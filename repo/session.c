/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions. A name is made of random bytes, so a marker never meets another
 * one; a commit key can be taken by whoever fences the session. A put whose
 * answer was lost may meet itself, so what stands there is compared before
 * anybody is called fenced.
 */
#include "repo/session.h"

#include <string.h>
#include <unistd.h>

#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "common/secret.h"

#define SCHEMA "aksdr/session/v1"
#define ENVELOPE_MAX 256 /* bytes of an envelope around its plain text */

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

/* True when the object under this key is exactly b. */
static bool stands_already(const struct repo *r, const char *key_name, const struct buf *b)
{
	CLEANUP(buf_clear) struct buf there = BUF_INIT(b->len);
	struct err ignored = ERR_INIT;

	return store_get_all(r->store, key_name, &there, &ignored) == 0 && there.len == b->len &&
	       memcmp(there.data, b->data, b->len) == 0;
}

static int put(const struct repo *r, const char *key_name, const struct buf *b, struct err *e)
{
	struct iovec iov = { .iov_base = b->data, .iov_len = b->len };

	if (store_put(r->store, key_name, &iov, 1, e) == 0)
		return 0;
	if (e->class != ERR_EXISTS || !stands_already(r, key_name, b))
		return -1;
	*e = (struct err)ERR_INIT;
	return 0;
}

static int marker(const struct repo *r, const char *session, int64_t now_ns, struct buf *b,
                  struct err *e)
{
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(FORMAT_POINT_MAX);
	char key_name[128];
	char host[256] = "";

	(void)gethostname(host, sizeof(host) - 1);
	auto_json json_t *host_text = json_string(host);
	auto_json json_t *o = json_pack("{s:s, s:s, s:I, s:O}", "schema", SCHEMA, "session",
	                                session, "started_ns", (json_int_t)now_ns, "host",
	                                host_text ? host_text : json_null());
	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for a session marker");
	if (json_write(o, &plain, e) < 0)
		return -1;
	(void)snprintf(key_name, sizeof(key_name), "sess/%s", session);
	return seal(r, FORMAT_KIND_SESSION, key_name, &plain, b, e);
}

int session_begin(const struct repo *r, const struct point_volume *v, char ret_session[96],
                  struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FORMAT_POINT_MAX + ENVELOPE_MAX);
	int64_t now_ns = now_wall_ns();
	uint8_t random[16];
	char random_hex[33];
	char voltag[17];
	char session[96];
	char key_name[128];

	if (point_voltag(r->keys, v, voltag, e) < 0)
		return -1;
	secret_random(random, sizeof(random));
	hex_encode(random_hex, random, sizeof(random));
	(void)snprintf(session, sizeof(session), "%s/%s-%s", now_day(now_ns).s, voltag, random_hex);
	if (!point_session_valid(session))
		return err_set(e, ERR_INVALID, "the clock says %s; set it", now_day(now_ns).s);
	(void)snprintf(key_name, sizeof(key_name), "sess/%s", session);
	if (marker(r, session, now_ns, &b, e) < 0 || put(r, key_name, &b, e) < 0)
		return err_wrap(e, "registering the session");
	memcpy(ret_session, session, sizeof(session));
	return 0;
}

int session_commit(const struct repo *r, struct point *p, struct err *e)
{
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(FORMAT_POINT_MAX);
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FORMAT_POINT_MAX + ENVELOPE_MAX);
	char key_name[128];

	(void)snprintf(key_name, sizeof(key_name), "commit/%s", p->session);
	if (point_encode(p, &plain, e) < 0 ||
	    seal(r, FORMAT_KIND_POINT, key_name, &plain, &b, e) < 0)
		return err_wrap(e, "writing the restore point");
	if (put(r, key_name, &b, e) < 0) {
		if (e->class == ERR_EXISTS)
			return err_set(e, ERR_BUSY,
			               "this session was fenced: '%s' was taken by "
			               "another; start the backup again, what it uploaded is used",
			               key_name);
		return err_wrap(e, "committing the restore point");
	}
	crypt_sha256(p->hash, b.data, b.len);
	memcpy(p->signer, r->keys->signer_id, sizeof(p->signer));
	return 0;
}
