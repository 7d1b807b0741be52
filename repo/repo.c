/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A repository as a whole: its config, made once and signed by the admin key,
 * and its commits, found by listing. The order of restore points comes from
 * what is inside them, so finding the newest opens every commit of its volume.
 */
#include "repo/repo.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "common/rd.h"
#include "common/secret.h"
#include "repo/commits.h"
#include "repo/crypt.h"
#include "repo/living.h"
#include "repo/note.h"
#include "repo/session.h"

#define CONFIG_KEY "config"
#define CONFIG_SCHEMA "aksdr/config/v1"
#define CONFIG_SIGN_LABEL "aksdr config" /* its NUL is signed too */
#define CONFIG_OBJECT_MAX (FORMAT_CONFIG_MAX + FORMAT_HEAD_BYTES + 4 + FORMAT_SIGNATURE_BYTES)
#define SEALED_RS_BYTES (32 + crypto_box_SEALBYTES)

#define CUT_FUNCTION "gear64"
#define CUT_MIN_BYTES (256 * KIB)
#define CUT_AVG_BYTES MIB
#define CUT_MAX_BYTES (4 * MIB)
#define CUT_LEAST_BYTES (4 * KIB)
#define PACK_BYTES (16 * MIB)
#define PACK_LEAST_BYTES MIB

#define COMMIT_PREFIX "commit/"

/* A repo with what only this file needs. */
struct opened {
	struct repo r;
	struct store *owned_store;
};

void repo_free(struct repo *r)
{
	struct opened *o = (struct opened *)(void *)r; /* its first member */

	if (!r)
		return;
	keys_free(r->keys);
	store_free(o->owned_store);
	free(o);
}

/* ---- config ---- */

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
static int config_encode(const struct keys *recovery, const struct repo_params *p, struct buf *b,
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

/* ---- init ---- */

/* Key files that were written, to take back. */
struct key_files {
	int dir;
	bool dir_made;
	const char *path;
	const char *written[3];
	size_t n;
};

static void key_files_undo(const struct key_files *f)
{
	for (size_t i = 0; i < f->n; i++)
		(void)unlinkat(f->dir, f->written[i], 0);
	if (f->dir_made)
		(void)rmdir(f->path);
}

static int key_file_write(struct key_files *f, const struct keys *k, const char *name,
                          const char *passphrase, struct err *e)
{
	auto_free char *path = NULL;

	if (asprintf(&path, "%s/%s", f->path, name) < 0) {
		path = NULL;
		return err_set(e, ERR_NOMEM, "no memory for a path");
	}
	if (keys_save(k, path, passphrase, e) < 0) {
		if (e->class == ERR_EXISTS)
			return err_set(e, ERR_EXISTS,
			               "'%s' is there already and is never replaced: "
			               "give another directory",
			               path);
		return -1;
	}
	f->written[f->n++] = name;
	return 0;
}

/* True when the config that stands in the store is exactly b. */
static bool config_stands(struct store *store, const struct buf *b)
{
	CLEANUP(buf_clear) struct buf there = BUF_INIT(CONFIG_OBJECT_MAX);
	struct err ignored = ERR_INIT;

	return store_get_all(store, CONFIG_KEY, &there, &ignored) == 0 && there.len == b->len &&
	       memcmp(there.data, b->data, b->len) == 0;
}

/* The put, and a second one that must be refused. */
static int config_put(struct store *store, const struct buf *b, struct err *e)
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

static int init_in(struct store *store, struct key_files *f, const char *passphrase, struct err *e)
{
	CLEANUP(buf_clear) struct buf config = BUF_INIT(CONFIG_OBJECT_MAX);
	const struct repo_params params = {
		.cipher = crypt_best_cipher(),
		.cut_min = CUT_MIN_BYTES,
		.cut_avg = CUT_AVG_BYTES,
		.cut_max = CUT_MAX_BYTES,
		.pack_bytes = PACK_BYTES,
		.features = FORMAT_FEATURES,
	};
	auto_keys struct keys *recovery = NULL;
	auto_keys struct keys *agent = NULL;
	auto_keys struct keys *audit = NULL;

	/* The keys are on disk before there is anything that needs them. */
	if (keys_generate(&recovery, &agent, &audit, e) < 0 ||
	    config_encode(recovery, &params, &config, e) < 0 ||
	    key_file_write(f, recovery, "recovery.key", passphrase, e) < 0 ||
	    key_file_write(f, agent, "agent.key", NULL, e) < 0 ||
	    key_file_write(f, audit, "audit.key", NULL, e) < 0)
		return -1;
	return config_put(store, &config, e);
}

int repo_init(struct store *store, const char *keys_dir, const char *passphrase, struct err *e)
{
	struct key_files f = { .dir = -1, .path = keys_dir };
	struct store_stat st;

	if (store_head(store, CONFIG_KEY, &st, e) == 0)
		return err_set(e, ERR_EXISTS,
		               "'%s' holds a repository already; give another place, "
		               "or use its own keys",
		               store->url);
	if (e->class != ERR_NOT_FOUND)
		return err_wrap(e, "looking for a repository in '%s'", store->url);
	*e = (struct err)ERR_INIT;
	if (mkdir(keys_dir, 0700) == 0)
		f.dir_made = true;
	else if (errno != EEXIST)
		return err_sys(e, errno, "creating the directory '%s' for the keys", keys_dir);
	auto_close int dir = open(keys_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, errno, "opening the directory '%s' for the keys", keys_dir);
	f.dir = dir;
	if (init_in(store, &f, passphrase, e) < 0) {
		key_files_undo(&f);
		return err_wrap(e, "creating the repository");
	}
	return 0;
}

/* ---- open ---- */

/* mkdir -p; those that are made have mode 0700. 0, or -1 with errno. */
static int make_dirs(char *path)
{
	for (char *s = path + 1; (s = strchr(s, '/')); s++) {
		*s = '\0';
		int r = mkdir(path, 0700);
		int os = errno;
		*s = '/';
		if (r < 0 && os != EEXIST) {
			errno = os;
			return -1;
		}
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

static int state_make(struct repo *r, const char *state, struct err *e)
{
	char hex[2 * FORMAT_REPO_ID_BYTES + 1];
	struct stat st;

	hex_encode(hex, r->keys->repo, sizeof(r->keys->repo));
	int n = snprintf(r->state, sizeof(r->state), "%s/%s", state, hex);
	/* names of files in it follow */
	if (n < 0 || (size_t)n >= sizeof(r->state) - 128)
		return err_set(e, ERR_INVALID, "the name of the state directory '%s' is too long",
		               state);
	if (make_dirs(r->state) < 0 || stat(r->state, &st) < 0)
		return err_sys(e, errno,
		               "creating the state directory '%s' (give another by "
		               "--state)",
		               r->state);
	if (!S_ISDIR(st.st_mode))
		return err_sys(e, ENOTDIR,
		               "creating the state directory '%s' (give another by "
		               "--state)",
		               r->state);
	return 0;
}

static int config_load(struct repo *r, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CONFIG_OBJECT_MAX);

	if (store_get_all(r->store, CONFIG_KEY, &b, e) < 0) {
		if (e->class == ERR_NOT_FOUND)
			return err_set(e, ERR_NOT_FOUND,
			               "there is no repository in '%s'; check the "
			               "URL, or make one with aksdr-agent init",
			               r->store->url);
		if (e->class == ERR_TOO_BIG)
			return err_set(e, ERR_FORMAT,
			               "'config' in '%s' is not the config of a "
			               "repository: it is too big",
			               r->store->url);
		return err_wrap(e, "reading the config of the repository");
	}
	if (config_decode(b.data, b.len, r->keys, &r->params, e) < 0)
		return err_wrap(e, "opening the repository in '%s'", r->store->url);
	return 0;
}

int repo_open(struct store *store, struct keys *take_keys, const char *state,
              const struct cancel *cancel, struct repo **ret, struct err *e)
{
	struct opened *o = calloc(1, sizeof(*o));

	if (!o) {
		keys_free(take_keys);
		return err_set(e, ERR_NOMEM, "no memory for a repository");
	}
	auto_repo struct repo *r = &o->r;
	r->store = store;
	r->keys = take_keys;
	r->cancel = cancel;
	if (config_load(r, e) < 0 || (state && *state && state_make(r, state, e) < 0))
		return -1;
	*ret = STEAL(&r);
	return 0;
}

int repo_open_url(const char *url, unsigned store_flags, const char *key_path,
                  const char *passphrase_file, const char *state, const struct cancel *cancel,
                  struct repo **ret, struct err *e)
{
	auto_keys struct keys *keys = NULL;
	struct repo *r = NULL;

	auto_store struct store *store = store_open_cancel(url, store_flags, cancel, e);
	if (!store)
		return err_wrap(e, "opening the store");
	if (keys_load(key_path, passphrase_file, &keys, e) < 0 ||
	    repo_open(store, STEAL(&keys), state, cancel, &r, e) < 0)
		return -1;
	((struct opened *)(void *)r)->owned_store = STEAL(&store);
	*ret = r;
	return 0;
}

/* ---- points ---- */

int repo_point_at(const struct repo *r, const char *session, int64_t received_ns, struct point *ret,
                  struct err *e)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(FORMAT_POINT_MAX + NOTE_ENVELOPE_BYTES);
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(FORMAT_POINT_MAX);
	CLEANUP(point_clear) struct point p = { 0 };
	char key_name[128];
	char voltag[17];
	uint8_t signer[8];

	(void)snprintf(key_name, sizeof(key_name), COMMIT_PREFIX "%s", session);
	auto_secret uint8_t *key = secret_new(32);
	if (!key)
		return err_set(e, ERR_NOMEM, "no locked memory for a key");
	if (keys_point_key(r->keys, key, e) < 0)
		return -1;
	if (store_get_all(r->store, key_name, &object, e) < 0) {
		if (e->class == ERR_TOO_BIG)
			return err_set(e, ERR_FORMAT, "'%s' is too big for a restore point",
			               key_name);
		return -1;
	}
	if (crypt_object_open(r->keys, FORMAT_KIND_POINT, key, key_name, object.data, object.len,
	                      &plain, signer, e) < 0)
		return -1;
	if (point_decode(plain.data, plain.len, &p, e) < 0)
		return err_wrap(e, "'%s'", key_name);
	if (point_voltag(r->keys, &p.volume, voltag, e) < 0)
		return -1;
	if (strcmp(p.session, session) != 0 ||
	    strncmp(voltag, session + POINT_SESSION_VOLTAG, 16) != 0)
		return err_set(e, ERR_CORRUPT, "'%s' holds a restore point of another name",
		               key_name);
	crypt_sha256(p.hash, object.data, object.len);
	memcpy(p.signer, signer, sizeof(p.signer));
	p.received_ns = received_ns;
	*ret = p;
	p = (struct point){ 0 };
	return 0;
}

int repo_point(const struct repo *r, const char *session, struct point *ret, struct err *e)
{
	struct store_stat st;
	char key_name[128];

	if (!point_session_valid(session))
		return err_set(e, ERR_NOT_FOUND, "'%s' is no name of a restore point", session);
	(void)snprintf(key_name, sizeof(key_name), COMMIT_PREFIX "%s", session);
	if (store_head(r->store, key_name, &st, e) < 0) {
		if (e->class == ERR_NOT_FOUND)
			return err_set(e, ERR_NOT_FOUND, "there is no restore point '%s'", session);
		return -1;
	}
	return repo_point_at(r, session, st.received_ns, ret, e);
}

/* One walk over the commits. */
struct points_walk {
	const struct repo *r;
	const char *voltag;
	int (*each)(void *arg, const struct point *p, struct err *e);
	int (*bad)(void *arg, const char *key, const struct err *why, struct err *e);
	void *arg;
};

/* What is wrong with the object itself, and not with the way to it. */
static bool is_of_object(const struct err *e)
{
	return e->class == ERR_CORRUPT || e->class == ERR_FORMAT || e->class == ERR_DENIED ||
	       e->class == ERR_NOT_FOUND;
}

static int points_item(const struct points_walk *w, const struct commit_item *c, struct err *e)
{
	CLEANUP(point_clear) struct point p = { 0 };
	struct err why = ERR_INIT;
	char key[128];

	if (cancel_check(w->r->cancel, e) < 0)
		return -1;
	if (c->kind == COMMIT_MAINTENANCE ||
	    (w->voltag && strncmp(c->session + POINT_SESSION_VOLTAG, w->voltag, 16) != 0))
		return 0;
	int rc = c->kind == COMMIT_ABORT
	                 ? session_abort_verify(w->r, c->session, &why)
	                 : repo_point_at(w->r, c->session, c->received_ns, &p, &why);
	if (rc == 0)
		return c->kind == COMMIT_ABORT ? 0 : w->each(w->arg, &p, e);
	(void)snprintf(key, sizeof(key), COMMIT_PREFIX "%s", c->session);
	if (w->bad && is_of_object(&why))
		return w->bad(w->arg, key, &why, e);
	*e = why;
	return -1;
}

int repo_points(const struct repo *r, const char *voltag,
                int (*each)(void *arg, const struct point *p, struct err *e),
                int (*bad)(void *arg, const char *key, const struct err *why, struct err *e),
                void *arg, struct err *e)
{
	struct points_walk w = {
		.r = r,
		.voltag = voltag,
		.each = each,
		.bad = bad,
		.arg = arg,
	};

	CLEANUP(living_clear) struct living l = { 0 };

	if (living_load(r, &l, e) < 0)
		return -1;
	for (size_t i = 0; i < l.commits.n; i++) {
		const struct commit_item *c = &l.commits.v[i];

		if (living_is(&l, c->session) && points_item(&w, c, e) < 0)
			return -1;
	}
	return 0;
}
