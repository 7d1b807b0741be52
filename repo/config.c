/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See config.h. Plain text, so that a reader with a key file alone can begin.
 * A revision is looked for from the highest number down: an object that the
 * admin did not sign for its number is passed over, so that nobody can lock
 * others out by putting one. That a store hides the newest is noticed by who
 * remembers it (repo/rollback.h) and by restore points, which name theirs.
 */
#include "repo/config.h"

#include <sodium.h>
#include <string.h>

#include "common/act.h"
#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "common/rd.h"
#include "common/secret.h"
#include "repo/crypt.h"
#include "repo/note.h"

#define CONFIG_SCHEMA "aksdr/config/v1"
#define CONFIG_SIGN_LABEL "aksdr config" /* its NUL is signed too */
#define SEALED_RS_BYTES (32 + crypto_box_SEALBYTES)
#define REVISION_MAX 99999999
#define NUMBERS_KEPT 1024 /* of the highest, which are looked at */
#define PREFIX CONFIG_REVISIONS "/"

#define CUT_FUNCTION "gear64"
#define CUT_LEAST_BYTES (4 * KIB)
#define PACK_LEAST_BYTES MIB

void config_clear(struct config *c)
{
	json_decref(c->json);
	*c = (struct config){ 0 };
}

void config_key(uint64_t revision, char ret[32])
{
	char key[NOTE_KEY_MAX];

	if (revision <= 1) {
		memcpy(ret, CONFIG_KEY, sizeof(CONFIG_KEY));
		return;
	}
	note_number_key(CONFIG_REVISIONS, revision, key);
	(void)snprintf(ret, 32, "%.31s", key);
}

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

json_t *config_recipient_json(const struct keys *admin, const uint8_t public[32], const char *name,
                              struct err *e)
{
	uint8_t sealed[SEALED_RS_BYTES];

	if (crypto_box_seal(sealed, admin->s->rs, 32, public) != 0) {
		(void)err_set(e, ERR_INVALID, "%s is no X25519 public key", hex_of32(public).s);
		return NULL;
	}
	json_t *o = json_pack("{s:o, s:o, s:s}", "public", hex_json(public, 32), "secret",
	                      base64_json(sealed, sizeof(sealed)), "name", name);
	if (!o)
		(void)err_set(e, ERR_NOMEM, "no memory for the config");
	return o;
}

json_t *config_signer_json(const uint8_t public[32], const char *name, struct err *e)
{
	json_t *o = json_pack("{s:o, s:s}", "public", hex_json(public, 32), "name", name);

	if (!o)
		(void)err_set(e, ERR_NOMEM, "no memory for the config");
	return o;
}

int config_member(const json_t *array, const uint8_t public[32])
{
	struct err ignored = ERR_INIT;
	uint8_t key[32];

	for (size_t i = 0; i < json_array_size(array); i++) {
		if (json_get_hex(json_array_get(array, i), "config", "public", key, sizeof(key),
		                 &ignored) == 0 &&
		    memcmp(key, public, sizeof(key)) == 0)
			return (int)i;
	}
	return -1;
}

/* Appends what was made for it; NULL: e is set. */
static int append(json_t *array, json_t *take_item, struct err *e)
{
	if (!take_item)
		return -1;
	return json_array_append_new(array, take_item) < 0
	               ? err_set(e, ERR_NOMEM, "no memory for the config")
	               : 0;
}

static json_t *first_json(const struct keys *k, const struct repo_params *p, struct err *e)
{
	auto_json json_t *recipients = json_array();
	auto_json json_t *signers = json_array();

	for (size_t i = 0; i < k->nrecipients; i++) {
		const struct key_recipient *r = &k->recipients[i];

		if (append(recipients, config_recipient_json(k, r->public, r->name, e), e) < 0)
			return NULL;
	}
	for (size_t i = 0; i < k->nsigners; i++) {
		const struct key_signer *s = &k->signers[i];

		if (append(signers, config_signer_json(s->public, s->name, e), e) < 0)
			return NULL;
	}
	auto_json json_t *o = json_pack(
		"{s:s, s:o, s:I, s:i, s:i, s:{s:s, s:i, s:i, s:i}, s:i, s:i, s:i, s:O, s:O}",
		"schema", CONFIG_SCHEMA, "repository", hex_json(k->repo, sizeof(k->repo)),
		"created_ns", (json_int_t)now_wall_ns(), "hash", HASH_SHA256_TREE, "cipher",
		p->cipher, "cut", "function", CUT_FUNCTION, "min", (int)p->cut_min, "avg",
		(int)p->cut_avg, "max", (int)p->cut_max, "block", (int)FORMAT_BLOCK_BYTES, "page",
		FORMAT_PAGE_BYTES, "pack", (int)p->pack_bytes, "recipients", recipients, "signers",
		signers);
	if (o && p->single_writer && json_object_set_new(o, "writers", json_string("single")) < 0)
		json_decref(STEAL(&o));
	if (!o)
		(void)err_set(e, ERR_NOMEM, "no memory for the config");
	return STEAL(&o);
}

/* The object, signed. */
static int encode(const struct keys *admin, const json_t *o, uint16_t features, struct buf *b,
                  struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(FORMAT_CONFIG_MAX);
	CLEANUP(buf_clear) struct buf message = BUF_INIT(2 * FORMAT_CONFIG_MAX);
	uint8_t signature[FORMAT_SIGNATURE_BYTES];

	if (json_write(o, &text, e) < 0)
		return -1;
	(void)buf_put(&message, CONFIG_SIGN_LABEL, sizeof(CONFIG_SIGN_LABEL));
	(void)buf_put(&message, FORMAT_MAGIC, 4);
	(void)buf_u8(&message, FORMAT_KIND_CONFIG);
	(void)buf_u8(&message, FORMAT_VERSION);
	(void)buf_u16(&message, features);
	(void)buf_u32(&message, (uint32_t)text.len);
	(void)buf_put(&message, text.data, text.len);
	if (buf_check(&message, "the config", e) < 0)
		return -1;
	(void)crypto_sign_detached(signature, NULL, message.data, message.len,
	                           admin->s->sign_secret);
	(void)buf_put(b, message.data + sizeof(CONFIG_SIGN_LABEL),
	              message.len - sizeof(CONFIG_SIGN_LABEL));
	(void)buf_put(b, signature, sizeof(signature));
	return buf_check(b, "the config", e);
}

int config_encode(const struct keys *recovery, const struct repo_params *p, struct buf *b,
                  struct err *e)
{
	auto_json json_t *o = first_json(recovery, p, e);

	return o ? encode(recovery, o, p->features, b, e) : -1;
}

/* ---- one object ---- */

/* The JSON inside a config object; the signature is not looked at. */
static json_t *config_json(const char *key, const uint8_t *p, size_t n, uint16_t *ret_features,
                           struct err *e)
{
	struct rd rd = rd_of(p, n);

	const uint8_t *magic = rd_take(&rd, 4);
	uint8_t kind = rd_u8(&rd);
	uint8_t version = rd_u8(&rd);
	uint16_t features = rd_u16(&rd);
	if (!rd_ok(&rd) || memcmp(magic, FORMAT_MAGIC, 4) != 0 || kind != FORMAT_KIND_CONFIG) {
		(void)err_set(e, ERR_FORMAT, "'%s' is not the config of a repository", key);
		return NULL;
	}
	if (version != FORMAT_VERSION) {
		(void)err_set(e, ERR_FORMAT,
		              "the repository has format version %u, this program knows %u; use a "
		              "newer one",
		              version, FORMAT_VERSION);
		return NULL;
	}
	if (features & ~FORMAT_FEATURES_KNOWN) {
		(void)err_set(e, ERR_FORMAT,
		              "the repository needs features 0x%04x that this program lacks; use a "
		              "newer one",
		              (unsigned)(features & ~FORMAT_FEATURES_KNOWN));
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

/* True when the admin key that k knows has signed it; false also without memory for that: e. */
static bool is_signed(const uint8_t *p, size_t n, const struct keys *k, struct err *e)
{
	CLEANUP(buf_clear) struct buf message = BUF_INIT(2 * FORMAT_CONFIG_MAX);

	if (n < FORMAT_SIGNATURE_BYTES)
		return false;
	(void)buf_put(&message, CONFIG_SIGN_LABEL, sizeof(CONFIG_SIGN_LABEL));
	(void)buf_put(&message, p, n - FORMAT_SIGNATURE_BYTES);
	if (buf_check(&message, "the config", e) < 0)
		return false;
	return crypto_sign_verify_detached(p + n - FORMAT_SIGNATURE_BYTES, message.data,
	                                   message.len, k->admin_public) == 0;
}

static int revision_of(const json_t *o, uint64_t *ret, struct err *e)
{
	*ret = 1;
	return json_object_get(o, "revision") ? json_get_u64(o, "config", "revision", ret, e) : 0;
}

static int open_first(const uint8_t *p, size_t n, const struct keys *k, struct config *ret,
                      struct err *e)
{
	uint8_t repo[FORMAT_REPO_ID_BYTES];
	struct err why = ERR_INIT;
	struct config c = { 0 };

	auto_json json_t *o = config_json(CONFIG_KEY, p, n, &c.features, e);
	if (!o)
		return -1;
	bool authentic = is_signed(p, n, k, &why);
	if (json_get_hex(o, "config", "repository", repo, sizeof(repo), e) < 0 ||
	    revision_of(o, &c.revision, e) < 0)
		return -1;
	/* Another repository's key fails on the signature too; saying so helps more. */
	if (memcmp(repo, k->repo, sizeof(repo)) != 0)
		return err_set(e, ERR_DENIED,
		               "the key is of another repository; use the key files "
		               "that were made when this one was");
	if (!authentic && why.class != ERR_NONE) {
		*e = why;
		return -1;
	}
	if (!authentic)
		return err_set(e, ERR_CORRUPT,
		               "the config is damaged or was tampered with: its "
		               "signature does not fit the admin key of this key file");
	if (c.revision != 1)
		return err_set(e, ERR_CORRUPT,
		               "'%s' is revision %llu of the config under another "
		               "name",
		               CONFIG_KEY, (unsigned long long)c.revision);
	crypt_sha256(c.hash, p, n);
	c.json = STEAL(&o);
	*ret = c;
	return 0;
}

/* A later revision. 1: it does not count; *ret_why (a literal) says why. */
static int open_next(const char *key, uint64_t revision, const uint8_t *p, size_t n,
                     const struct keys *k, struct config *ret, const char **ret_why, struct err *e)
{
	struct err why = ERR_INIT;
	struct config c = { 0 };

	if (!is_signed(p, n, k, &why)) {
		*ret_why = "is not signed by the admin key of this repository, and does not count";
		*e = why.class == ERR_NONE ? *e : why;
		return why.class == ERR_NONE ? 1 : -1;
	}
	/* The admin has signed it, so what is not understood here may matter. */
	auto_json json_t *o = config_json(key, p, n, &c.features, e);
	if (!o || revision_of(o, &c.revision, e) < 0)
		return -1;
	if (c.revision != revision) {
		*ret_why = "is a copy of another revision, and does not count";
		return 1;
	}
	crypt_sha256(c.hash, p, n);
	c.json = STEAL(&o);
	*ret = c;
	return 0;
}

/* ---- the newest ---- */

/* The highest numbers that are taken, in the order of their list. */
struct numbers {
	uint64_t v[NUMBERS_KEPT]; /* a ring */
	size_t n;                 /* listed */
};

static int take_number(void *arg, const struct store_item *item, struct err *e)
{
	struct numbers *x = arg;
	uint64_t number;

	(void)e;
	if (note_number(item->key + strlen(PREFIX), &number) && number > 1)
		x->v[x->n++ % NUMBERS_KEPT] = number;
	return 0;
}

static int list_numbers(struct store *store, uint64_t after, struct numbers *ret, struct err *e)
{
	char last[32] = "";

	ret->n = 0;
	if (after > 1)
		config_key(after, last);
	return store_list(store, PREFIX, last, take_number, ret, e) < 0
	               ? err_wrap(e, "listing the revisions of the config")
	               : 0;
}

/* Fetches and opens revision `number`. 1: it does not count, or is gone. */
static int fetch_next(struct store *store, uint64_t number, const struct keys *k,
                      struct config *ret, const char **ret_why, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CONFIG_OBJECT_MAX);
	struct err why = ERR_INIT;
	char key[32];

	config_key(number, key);
	if (store_get_all(store, key, &b, &why) < 0) {
		*ret_why = "is not the config of a repository: it is too big";
		if (why.class == ERR_NOT_FOUND || why.class == ERR_TOO_BIG)
			return 1;
		*e = why;
		return err_wrap(e, "reading '%s'", key);
	}
	return open_next(key, number, b.data, b.len, k, ret, ret_why, e);
}

/* The newest of the numbers that counts. 1: none does. */
static int newest_of(struct store *store, const struct numbers *x, const struct keys *k,
                     struct config *ret, struct err *e)
{
	size_t kept = x->n < NUMBERS_KEPT ? x->n : NUMBERS_KEPT;
	const char *ignored;

	for (size_t i = 0; i < kept; i++) {
		uint64_t number = x->v[(x->n - 1 - i) % NUMBERS_KEPT];
		int rc = fetch_next(store, number, k, ret, &ignored, e);

		if (rc == 0)
			ret->foreign = i;
		if (rc <= 0)
			return rc;
	}
	if (x->n > kept)
		return err_set(e, ERR_CORRUPT,
		               "the last %zu objects below '%s' are not signed by the admin key: "
		               "somebody fills the store; take the right to write from them, and "
		               "delete what they put there",
		               kept, PREFIX);
	return 1;
}

static int load_first(struct store *store, const struct keys *k, struct config *ret, struct err *e)
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
	return open_first(b.data, b.len, k, ret, e);
}

int config_load(struct store *store, const struct keys *k, struct config *ret, struct err *e)
{
	auto_free struct numbers *x = calloc(1, sizeof(*x));

	if (!x)
		return err_set(e, ERR_NOMEM, "no memory for the config");
	if (list_numbers(store, 0, x, e) < 0)
		return -1;
	int rc = newest_of(store, x, k, ret, e);
	if (rc <= 0)
		return rc;
	if (load_first(store, k, ret, e) < 0)
		return -1;
	ret->foreign = x->n;
	return 0;
}

int config_newer(struct store *store, const struct keys *k, uint64_t revision, struct config *ret,
                 struct err *e)
{
	auto_free struct numbers *x = calloc(1, sizeof(*x));

	if (!x)
		return err_set(e, ERR_NOMEM, "no memory for the config");
	return list_numbers(store, revision, x, e) < 0 ? -1 : newest_of(store, x, k, ret, e);
}

int config_still(struct store *store, const struct keys *k, uint64_t revision, struct err *e)
{
	CLEANUP(config_clear) struct config c = { 0 };
	int rc = config_newer(store, k, revision, &c, e);

	if (rc == 0)
		return err_set(e, ERR_BUSY,
		               "the keys of this repository have changed meanwhile (revision %llu "
		               "of the config); run it again",
		               (unsigned long long)c.revision);
	return rc < 0 ? -1 : 0;
}

bool config_revokes(const struct config *c, const uint8_t public[32])
{
	return config_member(json_object_get(c->json, "revoked"), public) >= 0;
}

/* ---- putting ---- */

/* True when the object that stands in the store is exactly b. */
static bool stands(struct store *store, const char *key, const struct buf *b)
{
	CLEANUP(buf_clear) struct buf there = BUF_INIT(CONFIG_OBJECT_MAX);
	struct err ignored = ERR_INIT;

	return store_get_all(store, key, &there, &ignored) == 0 && there.len == b->len &&
	       memcmp(there.data, b->data, b->len) == 0;
}

/* The put; an answer that was lost after the object was made is success. */
static int put_once(struct store *store, const char *key, const struct buf *b, struct err *e)
{
	struct iovec iov = { .iov_base = b->data, .iov_len = b->len };
	struct err why = ERR_INIT;

	if (store_put(store, key, &iov, 1, &why) == 0 ||
	    ((why.class == ERR_EXISTS || why.class == ERR_RETRY) && stands(store, key, b)))
		return 0;
	*e = why;
	return -1;
}

int config_put(struct store *store, const struct repo_params *p, const struct buf *b, struct err *e)
{
	uint8_t probe[] = "second writer"; /* other bytes: no repetition of the first put */
	struct iovec second = { .iov_base = probe, .iov_len = sizeof(probe) };
	struct err ignored = ERR_INIT;

	if (put_once(store, CONFIG_KEY, b, e) < 0) {
		if (e->class == ERR_EXISTS)
			return err_set(e, ERR_EXISTS,
			               "'%s' holds a repository already; give another "
			               "place, or use its own keys",
			               store->url);
		return -1;
	}
	if (p->single_writer)
		return 0;
	if (store_put(store, CONFIG_KEY, &second, 1, e) == 0) {
		bool gone = store_delete(store, CONFIG_KEY, &ignored) == 0;

		return err_set(e, ERR_UNSUPPORTED,
		               "'%s' replaced an object that was to be created only once, so "
		               "writers would destroy each other's work; use a store with "
		               "conditional writes, or one writer at a time (--single-writer)%s",
		               store->url,
		               gone ? "" : " (the object 'config' could not be taken away)");
	}
	if (e->class != ERR_EXISTS)
		return err_wrap(e, "probing whether '%s' creates objects only once", store->url);
	*e = (struct err)ERR_INIT;
	return 0;
}

static int overtaken(uint64_t revision, struct err *e)
{
	return err_set(e, ERR_BUSY,
	               "the keys of this repository were changed by somebody else meanwhile "
	               "(revision %llu of the config); look at what stands ('key list'), and run "
	               "it again",
	               (unsigned long long)revision);
}

/* The lowest number above `after` that is free, as the list tells. */
static uint64_t free_number(const struct numbers *x, uint64_t after)
{
	size_t kept = x->n < NUMBERS_KEPT ? x->n : NUMBERS_KEPT;
	uint64_t number = after + 1;

	for (size_t i = kept; i-- > 0;)
		number += x->v[(x->n - 1 - i) % NUMBERS_KEPT] == number;
	return number;
}

/* Puts it as revision `number`. 1: the number is taken by an object that does not count. */
static int put_as(struct store *store, const struct keys *admin, const struct config *before,
                  const json_t *json, uint16_t features, uint64_t number, struct config *ret,
                  struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CONFIG_OBJECT_MAX);
	CLEANUP(config_clear) struct config other = { 0 };
	struct err why = ERR_INIT;
	const char *ignored;
	char key[32];

	auto_json json_t *o = json_deep_copy(json);
	if (!o || json_object_set_new(o, "revision", json_integer((json_int_t)number)) < 0 ||
	    json_object_set_new(o, "previous", hex_json(before->hash, 32)) < 0)
		return err_set(e, ERR_NOMEM, "no memory for the config");
	if (encode(admin, o, features, &b, e) < 0)
		return -1;
	config_key(number, key);
	if (put_once(store, key, &b, &why) == 0) {
		*ret = (struct config){ .revision = number, .features = features };
		crypt_sha256(ret->hash, b.data, b.len);
		ret->json = STEAL(&o);
		return 0;
	}
	if (why.class != ERR_EXISTS) {
		*e = why;
		return err_wrap(e, "putting revision %llu of the config",
		                (unsigned long long)number);
	}
	int rc = fetch_next(store, number, admin, &other, &ignored, e);
	return rc == 0 ? overtaken(number, e) : rc;
}

int config_put_next(struct store *store, const struct keys *admin, const struct config *before,
                    const json_t *json, uint16_t features, struct config *ret, struct err *e)
{
	char key[32];
	CLEANUP(config_clear) struct config put = { 0 };
	CLEANUP(config_clear) struct config now = { 0 };
	auto_free struct numbers *x = calloc(1, sizeof(*x));
	int rc = 1;

	if (!x)
		return err_set(e, ERR_NOMEM, "no memory for the config");
	if (!admin->has_sign ||
	    memcmp(admin->sign_public, admin->admin_public, sizeof(admin->admin_public)) != 0)
		return err_set(e, ERR_DENIED,
		               "changing keys takes the recovery key that init made; this key file "
		               "has no admin key");
	if (list_numbers(store, before->revision, x, e) < 0)
		return -1;
	rc = newest_of(store, x, admin, &now, e);
	if (rc <= 0)
		return rc < 0 ? -1 : overtaken(now.revision, e);
	for (uint64_t n = free_number(x, before->revision); rc > 0 && n <= REVISION_MAX; n++)
		rc = put_as(store, admin, before, json, features, n, &put, e);
	if (rc > 0)
		return err_set(e, ERR_TOO_BIG, "there are no numbers left below '%s'", PREFIX);
	/* One that did not see the other may have taken a higher number at the same time. */
	if (rc < 0 || config_load(store, admin, &now, e) < 0)
		return -1;
	if (now.revision != put.revision)
		return overtaken(now.revision, e);
	config_key(put.revision, key);
	act_object("%s", key);
	put.foreign = now.foreign;
	*ret = put;
	put = (struct config){ 0 };
	return 0;
}

/* ---- the chain ---- */

struct chain {
	struct store *store;
	const struct keys *k;
	int (*bad)(void *arg, const char *key, const char *text, struct err *e);
	void *arg;
	bool has_last;
	uint8_t last[32]; /* hash of the revision before */
};

static int chain_item(void *arg, const struct store_item *item, struct err *e)
{
	CLEANUP(config_clear) struct config c = { 0 };
	struct chain *x = arg;
	uint8_t previous[32];
	const char *text = "has a name that no revision of the config has";
	struct err why = ERR_INIT;
	uint64_t number;

	if (!note_number(item->key + strlen(PREFIX), &number) || number < 2)
		return x->bad(x->arg, item->key, text, e);
	int rc = fetch_next(x->store, number, x->k, &c, &text, &why);
	if (rc < 0 && !note_is_bad(&why)) {
		*e = why;
		return -1;
	}
	if (rc != 0)
		return x->bad(x->arg, item->key, rc < 0 ? why.msg : text, e);
	bool named = json_get_hex(c.json, "config", "previous", previous, sizeof(previous), &why) ==
	             0;
	bool fits = named && (!x->has_last || memcmp(previous, x->last, sizeof(previous)) == 0);
	memcpy(x->last, c.hash, sizeof(x->last));
	x->has_last = true;
	text = "does not follow the revision of the config before it: that is gone, or exchanged";
	return fits ? 0 : x->bad(x->arg, item->key, text, e);
}

int config_chain(struct store *store, const struct keys *k,
                 int (*bad)(void *arg, const char *key, const char *text, struct err *e), void *arg,
                 struct err *e)
{
	struct chain x = { .store = store, .k = k, .bad = bad, .arg = arg };
	CLEANUP(config_clear) struct config first = { 0 };
	struct err why = ERR_INIT;

	if (load_first(store, k, &first, &why) == 0) {
		memcpy(x.last, first.hash, sizeof(x.last));
		x.has_last = true;
	} else if (!note_is_bad(&why)) {
		*e = why;
		return -1;
	} else if (bad(arg, CONFIG_KEY,
	               why.class == ERR_NOT_FOUND ? "the first revision of the config is gone"
	                                          : why.msg,
	               e) < 0) {
		return -1;
	}
	return store_list(store, PREFIX, NULL, chain_item, &x, e);
}

/* ---- what it says ---- */

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

/* Words and numbers that came later than the first configs. */
static int apply_rules(const json_t *o, struct repo_params *p, struct err *e)
{
	const char *writers = "many";
	uint32_t signatures = 1;

	if (json_object_get(o, "destroy_signatures") &&
	    get_range(o, "config", "destroy_signatures", 1, CONFIG_SIGNATURES_MAX, &signatures, e) <
	            0)
		return -1;
	if (json_object_get(o, "writers") && json_get_str(o, "config", "writers", &writers, e) < 0)
		return -1;
	if (strcmp(writers, "many") != 0 && strcmp(writers, "single") != 0)
		return err_set(e, ERR_FORMAT,
		               "the config has writers '%s', unknown here; use a newer program",
		               writers);
	p->signatures = signatures;
	p->single_writer = strcmp(writers, "single") == 0;
	return 0;
}

static int apply_params(const json_t *o, struct repo_params *p, struct err *e)
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
	return apply_rules(o, p, e);
}

/* An array of at most max members; one that may be missing is none then. */
static int get_array(const json_t *o, const char *key, bool required, size_t max,
                     const json_t **ret, struct err *e)
{
	const json_t *a = json_object_get(o, key);

	*ret = a;
	if ((!a && !required) || (json_is_array(a) && json_array_size(a) <= max))
		return 0;
	return err_set(e, ERR_FORMAT, "config: .%s: expected an array of at most %zu", key, max);
}

static int get_name(const json_t *x, const char *what, char *ret, size_t ret_max, struct err *e)
{
	const char *name;

	if (json_get_str(x, what, "name", &name, e) < 0)
		return -1;
	(void)snprintf(ret, ret_max, "%s", name);
	return 0;
}

static int get_signer(const json_t *x, const char *what, struct key_signer *s, struct err *e)
{
	if (json_get_hex(x, what, "public", s->public, sizeof(s->public), e) < 0 ||
	    get_name(x, what, s->name, sizeof(s->name), e) < 0)
		return -1;
	key_signer_id(s->id, s->public);
	return 0;
}

/* One of the objects that it names. */
static int get_named(const json_t *x, const char *what, struct key_list *ret, struct err *e)
{
	const char *object;

	if (json_get_str(x, what, "object", &object, e) < 0 ||
	    json_get_hex(x, what, "hash", ret->hash, sizeof(ret->hash), e) < 0)
		return -1;
	if (strlen(object) >= sizeof(ret->object) || !store_key_valid(object))
		return err_set(e, ERR_FORMAT, "%s: no name of an object", what);
	memcpy(ret->object, object, strlen(object) + 1);
	return 0;
}

int config_named(const json_t *o, const char *what, const char *key, struct key_list *ret,
                 struct err *e)
{
	return get_named(json_object_get(o, key), what, ret, e);
}

int config_accepted(const json_t *o, const char *what, struct key_list **ret, size_t *ret_n,
                    bool *ret_closing, struct err *e)
{
	const json_t *a;

	if (get_array(o, "accepted", false, KEY_LISTS_MAX, &a, e) < 0)
		return -1;
	size_t n = json_array_size(a);
	auto_free struct key_list *v = calloc(n ? n : 1, sizeof(*v));
	if (!v)
		return err_set(e, ERR_NOMEM, "no memory for the config");
	for (size_t i = 0; i < n; i++) {
		if (get_named(json_array_get(a, i), what, &v[i], e) < 0)
			return -1;
	}
	*ret_closing = !a;
	*ret_n = n;
	*ret = STEAL(&v);
	return 0;
}

static int apply_signers(const json_t *o, struct keys *k, struct err *e)
{
	const json_t *signers;
	const json_t *revoked;

	if (get_array(o, "signers", true, KEY_SIGNERS_MAX, &signers, e) < 0 ||
	    get_array(o, "revoked", false, KEY_SIGNERS_MAX, &revoked, e) < 0)
		return -1;
	size_t n = json_array_size(signers);
	size_t all = n + json_array_size(revoked);
	struct key_signer *v = calloc(all ? all : 1, sizeof(*v));
	if (!v)
		return err_set(e, ERR_NOMEM, "no memory for the config");
	keys_set_signers(k, v, 0);
	for (size_t i = 0; i < all; i++) {
		const json_t *x = i < n ? json_array_get(signers, i)
		                        : json_array_get(revoked, i - n);

		k->nsigners++;
		if (get_signer(x, i < n ? "config: .signers" : "config: .revoked", &v[i], e) < 0)
			return -1;
		if (i < n)
			continue;
		v[i].revoked = true;
		if (json_get_i64(x, "config: .revoked", "at_ns", &v[i].revoked_ns, e) < 0 ||
		    config_accepted(x, "config: .revoked.accepted", &v[i].lists, &v[i].nlists,
		                    &v[i].closing, e) < 0)
			return -1;
	}
	return 0;
}

/* The repository secret of the recovery key k, when this recipient is it. */
static int open_secret(const json_t *x, const uint8_t public[32], struct keys *k, struct err *e)
{
	uint8_t sealed[SEALED_RS_BYTES];
	const char *text;

	if (json_get_str(x, "config: .recipients", "secret", &text, e) < 0)
		return -1;
	if (!k->has_recovery || memcmp(public, k->recovery_public, 32) != 0)
		return 0;
	auto_secret uint8_t *rs = secret_new(32);
	if (!rs)
		return err_set(e, ERR_NOMEM, "no locked memory for keys");
	if (base64_decode(sealed, sizeof(sealed), text) < 0 ||
	    crypto_box_seal_open(rs, sealed, sizeof(sealed), k->recovery_public, k->s->recovery) !=
	            0)
		return err_set(e, ERR_CORRUPT,
		               "the repository secret in the config does not "
		               "open with its recovery key");
	keys_set_rs(k, rs);
	return 0;
}

static int apply_recipients(const json_t *o, struct keys *k, struct err *e)
{
	const json_t *a;

	if (get_array(o, "recipients", true, KEY_RECIPIENTS_MAX, &a, e) < 0)
		return -1;
	/* From here alone, also for agents: it is signed, and a key file may be old. */
	k->nrecipients = 0;
	for (size_t i = 0; i < json_array_size(a); i++) {
		const json_t *x = json_array_get(a, i);
		struct key_recipient *r = &k->recipients[i];

		*r = (struct key_recipient){ 0 };
		if (json_get_hex(x, "config: .recipients", "public", r->public, sizeof(r->public),
		                 e) < 0 ||
		    (json_object_get(x, "name") &&
		     get_name(x, "config: .recipients", r->name, sizeof(r->name), e) < 0) ||
		    open_secret(x, r->public, k, e) < 0)
			return -1;
		key_recipient_id(r->id, r->public);
		k->nrecipients++;
	}
	if (k->kind == KEY_RECOVERY && !k->has_rs)
		return err_set(e, ERR_DENIED,
		               "this recovery key is no recipient of the repository; "
		               "use one that is");
	return 0;
}

/* An agent key must be one that signs. */
static int check_agent(const struct keys *k, struct err *e)
{
	const struct key_signer *s = keys_signer(k, k->signer_id);

	if (s && !s->revoked)
		return 0;
	if (s)
		return err_set(e, ERR_DENIED,
		               "this agent key, '%s', was revoked on %s; ask for a new key file",
		               s->name, now_rfc3339(s->revoked_ns).s);
	return err_set(e, ERR_DENIED,
	               "this agent key is no signer of the repository; use "
	               "one that is");
}

int config_apply(const struct config *c, struct keys *k, struct repo_params *params, struct err *e)
{
	struct repo_params p = { .revision = c->revision,
		                 .features = c->features,
		                 .foreign = c->foreign };

	if (apply_params(c->json, &p, e) < 0 || apply_signers(c->json, k, e) < 0 ||
	    apply_recipients(c->json, k, e) < 0)
		return -1;
	if (k->kind == KEY_AGENT && check_agent(k, e) < 0)
		return -1;
	*params = p;
	return 0;
}
