/* SPDX-License-Identifier: Apache-2.0 */
/* See config.h. Plain text, so that a reader with a key file alone can begin; signed by the admin. */
#include "repo/config.h"

#include <sodium.h>
#include <string.h>

#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "common/rd.h"
#include "common/secret.h"

#define CONFIG_SCHEMA "aksdr/config/v1"
#define CONFIG_SIGN_LABEL "aksdr config" /* its NUL is signed too */
#define SEALED_RS_BYTES (32 + crypto_box_SEALBYTES)

#define CUT_FUNCTION "gear64"
#define CUT_LEAST_BYTES (4 * KIB)
#define PACK_LEAST_BYTES MIB

/* ---- writing ---- */

static json_t *base64_json(const uint8_t *p, size_t n)
{
	char text[256];

	return base64_encode(text, sizeof(text), p, n) == 0 ? json_string(text) : NULL;
}

static json_t *hex_json(const uint8_t *p, size_t n)
{
	char text[65];

	hex_encode(text, p, n);
	return json_string(text);
}

static json_t *recipients_json(const struct keys *k)
{
	uint8_t sealed[SEALED_RS_BYTES];
	json_t *a = json_array();

	for (size_t i = 0; i < k->nrecipients; i++) {
		if (crypto_box_seal(sealed, k->s->rs, 32, k->recipients[i].public) != 0 ||
		    json_array_append_new(a,
		                          json_pack("{s:o, s:o}", "public",
		                                    hex_json(k->recipients[i].public, 32), "secret",
		                                    base64_json(sealed, sizeof(sealed)))) != 0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}

static json_t *signers_json(const struct keys *k)
{
	json_t *a = json_array();

	for (size_t i = 0; i < k->nsigners; i++) {
		if (json_array_append_new(a, json_pack("{s:o, s:s}", "public",
		                                       hex_json(k->signers[i].public, 32), "name",
		                                       k->signers[i].name)) != 0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}

/* The config of a new repository, signed by the admin key of recovery. */
int config_encode(const struct keys *recovery, const struct repo_params *p, struct buf *b,
                  struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(FORMAT_CONFIG_MAX);
	CLEANUP(buf_clear) struct buf message = BUF_INIT(2 * FORMAT_CONFIG_MAX);
	uint8_t signature[FORMAT_SIGNATURE_BYTES];

	auto_json json_t *o = json_pack(
		"{s:s, s:o, s:I, s:i, s:i, s:{s:s, s:i, s:i, s:i}, s:i, s:i, s:i, s:o, s:o}",
		"schema", CONFIG_SCHEMA, "repository",
		hex_json(recovery->repo, sizeof(recovery->repo)), "created_ns",
		(json_int_t)now_wall_ns(), "hash", HASH_SHA256_TREE, "cipher", p->cipher, "cut",
		"function", CUT_FUNCTION, "min", (int)p->cut_min, "avg", (int)p->cut_avg, "max",
		(int)p->cut_max, "block", (int)FORMAT_BLOCK_BYTES, "page", FORMAT_PAGE_BYTES,
		"pack", (int)p->pack_bytes, "recipients", recipients_json(recovery), "signers",
		signers_json(recovery));
	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for the config");
	if (json_write(o, &text, e) < 0)
		return -1;
	(void)buf_put(&message, CONFIG_SIGN_LABEL, sizeof(CONFIG_SIGN_LABEL));
	(void)buf_put(&message, FORMAT_MAGIC, 4);
	(void)buf_u8(&message, FORMAT_KIND_CONFIG);
	(void)buf_u8(&message, FORMAT_VERSION);
	(void)buf_u16(&message, p->features);
	(void)buf_u32(&message, (uint32_t)text.len);
	(void)buf_put(&message, text.data, text.len);
	if (buf_check(&message, "the config", e) < 0)
		return -1;
	(void)crypto_sign_detached(signature, NULL, message.data, message.len,
	                           recovery->s->sign_secret);
	(void)buf_put(b, message.data + sizeof(CONFIG_SIGN_LABEL),
	              message.len - sizeof(CONFIG_SIGN_LABEL));
	(void)buf_put(b, signature, sizeof(signature));
	return buf_check(b, "the config", e);
}

/* The JSON inside a config object; the signature is not looked at. */
static json_t *config_json(const uint8_t *p, size_t n, uint16_t *ret_features, struct err *e)
{
	struct rd rd = rd_of(p, n);

	const uint8_t *magic = rd_take(&rd, 4);
	uint8_t kind = rd_u8(&rd);
	uint8_t version = rd_u8(&rd);
	uint16_t features = rd_u16(&rd);
	if (!rd_ok(&rd) || memcmp(magic, FORMAT_MAGIC, 4) != 0 || kind != FORMAT_KIND_CONFIG) {
		(void)err_set(e, ERR_FORMAT, "'config' is not the config of a repository");
		return NULL;
	}
	if (version != FORMAT_VERSION) {
		(void)err_set(e, ERR_FORMAT,
		              "the repository has format version %u, this program knows %u; use a "
		              "newer one",
		              version, FORMAT_VERSION);
		return NULL;
	}
	if (features & ~FORMAT_FEATURES) {
		(void)err_set(e, ERR_FORMAT,
		              "the repository needs features 0x%04x that this program lacks; use a "
		              "newer one",
		              (unsigned)(features & ~FORMAT_FEATURES));
		return NULL;
	}
	size_t len = rd_u32(&rd);
	const uint8_t *text = rd_take(&rd, len);
	(void)rd_take(&rd, FORMAT_SIGNATURE_BYTES);
	if (!rd_done(&rd) || len > FORMAT_CONFIG_MAX) {
		(void)err_set(e, ERR_CORRUPT, "the config is damaged: its %zu bytes do not add up",
		              n);
		return NULL;
	}
	*ret_features = features;
	return json_parse("config", text, len, e);
}

/* 0 when the admin key that k knows has signed it. */
static int config_verify(const uint8_t *p, size_t n, const struct keys *k, struct err *e)
{
	CLEANUP(buf_clear) struct buf message = BUF_INIT(2 * FORMAT_CONFIG_MAX);

	(void)buf_put(&message, CONFIG_SIGN_LABEL, sizeof(CONFIG_SIGN_LABEL));
	(void)buf_put(&message, p, n - FORMAT_SIGNATURE_BYTES);
	if (buf_check(&message, "the config", e) < 0)
		return -1;
	if (crypto_sign_verify_detached(p + n - FORMAT_SIGNATURE_BYTES, message.data, message.len,
	                                k->admin_public) != 0)
		return err_set(e, ERR_CORRUPT,
		               "the config is damaged or was tampered with: its "
		               "signature does not fit the admin key of this key file");
	return 0;
}

static int get_range(const json_t *o, const char *what, const char *key, uint64_t min, uint64_t max,
                     uint32_t *ret, struct err *e)
{
	uint64_t v;

	if (json_get_u64(o, what, key, &v, e) < 0)
		return -1;
	if (v < min || v > max)
		return err_set(e, ERR_FORMAT,
		               "%s.%s is %llu, this program knows %llu to %llu; use a newer one",
		               what, key, (unsigned long long)v, (unsigned long long)min,
		               (unsigned long long)max);
	*ret = (uint32_t)v;
	return 0;
}

static int config_params(const json_t *o, struct repo_params *p, struct err *e)
{
	const json_t *cut = json_object_get(o, "cut");
	const char *schema;
	const char *function;
	uint32_t v;
	uint32_t cipher = 0;

	if (json_get_str(o, "config", "schema", &schema, e) < 0 ||
	    json_get_str(cut, "config: .cut", "function", &function, e) < 0)
		return -1;
	if (strcmp(schema, CONFIG_SCHEMA) != 0)
		return err_set(e, ERR_FORMAT,
		               "the config has schema '%s', unknown here; use a "
		               "newer program",
		               schema);
	if (strcmp(function, CUT_FUNCTION) != 0)
		return err_set(e, ERR_FORMAT,
		               "the config has cut function '%s', unknown here; use "
		               "a newer program",
		               function);
	if (get_range(o, "config", "hash", HASH_SHA256_TREE, HASH_SHA256_TREE, &v, e) < 0 ||
	    get_range(o, "config", "cipher", CIPHER_AES256GCM, CIPHER_XCHACHA20, &cipher, e) < 0 ||
	    get_range(o, "config", "block", FORMAT_BLOCK_BYTES, FORMAT_BLOCK_BYTES, &v, e) < 0 ||
	    get_range(o, "config", "page", FORMAT_PAGE_BYTES, FORMAT_PAGE_BYTES, &v, e) < 0 ||
	    get_range(o, "config", "pack", PACK_LEAST_BYTES, FORMAT_PACK_MAX, &p->pack_bytes, e) <
	            0 ||
	    get_range(cut, "config: .cut", "min", CUT_LEAST_BYTES, FORMAT_CHUNK_MAX, &p->cut_min,
	              e) < 0 ||
	    get_range(cut, "config: .cut", "avg", p->cut_min, FORMAT_CHUNK_MAX, &p->cut_avg, e) <
	            0 ||
	    get_range(cut, "config: .cut", "max", p->cut_avg, FORMAT_CHUNK_MAX, &p->cut_max, e) < 0)
		return -1;
	if (p->cut_avg & (p->cut_avg - 1))
		return err_set(e, ERR_FORMAT, "config: .cut.avg is no power of two");
	p->cipher = (uint8_t)cipher;
	return 0;
}

static int config_signers(const json_t *o, struct keys *k, struct err *e)
{
	const json_t *a = json_object_get(o, "signers");
	size_t n = json_array_size(a);

	if (!json_is_array(a) || n > KEY_SIGNERS_MAX)
		return err_set(e, ERR_FORMAT, "config: .signers: expected an array of at most %d",
		               KEY_SIGNERS_MAX);
	struct key_signer *signers = calloc(n ? n : 1, sizeof(*signers));
	if (!signers)
		return err_set(e, ERR_NOMEM, "no memory for the config");
	free(k->signers);
	k->signers = signers;
	k->nsigners = 0;
	for (size_t i = 0; i < n; i++) {
		const json_t *x = json_array_get(a, i);
		struct key_signer *s = &signers[i];
		const char *name;

		if (json_get_hex(x, "config: .signers", "public", s->public, sizeof(s->public), e) <
		            0 ||
		    json_get_str(x, "config: .signers", "name", &name, e) < 0)
			return -1;
		key_signer_id(s->id, s->public);
		(void)snprintf(s->name, sizeof(s->name), "%s", name);
		k->nsigners++;
	}
	return 0;
}

/* Recipients into k; when k is one of them, the repository secret too. */
static int config_recipients(const json_t *o, struct keys *k, struct err *e)
{
	const json_t *a = json_object_get(o, "recipients");
	size_t n = json_array_size(a);
	uint8_t sealed[SEALED_RS_BYTES];
	uint8_t public[32];
	const char *text;

	if (!json_is_array(a) || n > KEY_RECIPIENTS_MAX)
		return err_set(e, ERR_FORMAT,
		               "config: .recipients: expected an array of at most %d",
		               KEY_RECIPIENTS_MAX);
	auto_secret uint8_t *rs = secret_new(32);
	if (!rs)
		return err_set(e, ERR_NOMEM, "no locked memory for keys");
	if (k->kind != KEY_AGENT)
		k->nrecipients = 0;
	for (size_t i = 0; i < n; i++) {
		const json_t *x = json_array_get(a, i);

		if (json_get_hex(x, "config: .recipients", "public", public, sizeof(public), e) <
		            0 ||
		    json_get_str(x, "config: .recipients", "secret", &text, e) < 0)
			return -1;
		if (k->kind != KEY_AGENT) {
			struct key_recipient *r = &k->recipients[k->nrecipients++];

			memcpy(r->public, public, sizeof(r->public));
			key_recipient_id(r->id, public);
		}
		if (!k->has_recovery || memcmp(public, k->recovery_public, sizeof(public)) != 0)
			continue;
		if (base64_decode(sealed, sizeof(sealed), text) < 0 ||
		    crypto_box_seal_open(rs, sealed, sizeof(sealed), k->recovery_public,
		                         k->s->recovery) != 0)
			return err_set(e, ERR_CORRUPT,
			               "the repository secret in the config does not "
			               "open with its recovery key");
		keys_set_rs(k, rs);
	}
	if (k->kind == KEY_RECOVERY && !k->has_rs)
		return err_set(e, ERR_DENIED,
		               "this recovery key is no recipient of the repository; "
		               "use one that is");
	return 0;
}

static bool is_signer(const struct keys *k)
{
	for (size_t i = 0; i < k->nsigners; i++) {
		if (memcmp(k->signers[i].public, k->sign_public, sizeof(k->sign_public)) == 0)
			return true;
	}
	return false;
}

static int config_decode(const uint8_t *p, size_t n, struct keys *k, struct repo_params *params,
                         struct err *e)
{
	uint8_t repo[FORMAT_REPO_ID_BYTES];
	struct err why = ERR_INIT;

	auto_json json_t *o = config_json(p, n, &params->features, e);
	if (!o)
		return -1;
	int verified = config_verify(p, n, k, &why);
	if (json_get_hex(o, "config", "repository", repo, sizeof(repo), e) < 0)
		return -1;
	/* Another repository's key fails on the signature too; saying so helps more. */
	if (memcmp(repo, k->repo, sizeof(repo)) != 0)
		return err_set(e, ERR_DENIED,
		               "the key is of another repository; use the key files "
		               "that were made when this one was");
	if (verified < 0) {
		*e = why;
		return -1;
	}
	if (config_params(o, params, e) < 0 || config_signers(o, k, e) < 0 ||
	    config_recipients(o, k, e) < 0)
		return -1;
	if (k->kind == KEY_AGENT && !is_signer(k))
		return err_set(e, ERR_DENIED,
		               "this agent key is no signer of the repository; use "
		               "one that is");
	return 0;
}

/* ---- in the store ---- */

/* True when the config that stands in the store is exactly b. */
static bool config_stands(struct store *store, const struct buf *b)
{
	CLEANUP(buf_clear) struct buf there = BUF_INIT(CONFIG_OBJECT_MAX);
	struct err ignored = ERR_INIT;

	return store_get_all(store, CONFIG_KEY, &there, &ignored) == 0 && there.len == b->len &&
	       memcmp(there.data, b->data, b->len) == 0;
}

/* The put, and a second one that must be refused. */
int config_put(struct store *store, const struct buf *b, struct err *e)
{
	uint8_t probe[] = "second writer"; /* other bytes: no repetition of the first put */
	struct iovec first = { .iov_base = b->data, .iov_len = b->len };
	struct iovec second = { .iov_base = probe, .iov_len = sizeof(probe) };
	struct err ignored = ERR_INIT;

	if (store_put(store, CONFIG_KEY, &first, 1, e) < 0) {
		/* The answer may have been lost after the object was made. */
		bool ours = (e->class == ERR_EXISTS || e->class == ERR_RETRY) &&
		            config_stands(store, b);

		if (e->class == ERR_EXISTS && !ours)
			return err_set(e, ERR_EXISTS,
			               "'%s' holds a repository already; give another "
			               "place, or use its own keys",
			               store->url);
		if (!ours)
			return -1;
		*e = (struct err)ERR_INIT;
	}
	if (store_put(store, CONFIG_KEY, &second, 1, e) == 0) {
		bool gone = store_delete(store, CONFIG_KEY, &ignored) == 0;

		return err_set(e, ERR_UNSUPPORTED,
		               "'%s' replaced an object that was to be created only once, so "
		               "writers would destroy each other's work; use a store with "
		               "conditional writes%s",
		               store->url,
		               gone ? "" : " (the object 'config' could not be taken away)");
	}
	if (e->class != ERR_EXISTS)
		return err_wrap(e, "probing whether '%s' creates objects only once", store->url);
	*e = (struct err)ERR_INIT;
	return 0;
}

int config_load(struct store *store, struct keys *k, struct repo_params *params, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CONFIG_OBJECT_MAX);

	if (store_get_all(store, CONFIG_KEY, &b, e) < 0) {
		if (e->class == ERR_NOT_FOUND)
			return err_set(e, ERR_NOT_FOUND,
			               "there is no repository in '%s'; check the "
			               "URL, or make one with aksdr-agent init",
			               store->url);
		if (e->class == ERR_TOO_BIG)
			return err_set(e, ERR_FORMAT,
			               "'config' in '%s' is not the config of a "
			               "repository: it is too big",
			               store->url);
		return err_wrap(e, "reading the config of the repository");
	}
	if (config_decode(b.data, b.len, k, params, e) < 0)
		return err_wrap(e, "opening the repository in '%s'", store->url);
	return 0;
}
