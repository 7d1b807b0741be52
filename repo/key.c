/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key files and what is derived from them. A file is read into locked memory
 * and taken apart there, line by line, by one table of names: each line must
 * be known, belong to the kind of key and stand once.
 */
#include "repo/key.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/now.h"
#include "common/num.h"

#define FILE_MAX_BYTES (64 * KIB)
#define PASSPHRASE_MAX_BYTES 1024
#define SEED_BYTES 32

#define WRAP_AAD_LABEL "aksdr recovery key"
#define WRAP_NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define WRAP_PLAIN_MAX (2 * SEED_BYTES) /* the secret and, in a key that has it, the admin's seed */
#define WRAPPED_BYTES(plain) (WRAP_NONCE_BYTES + (plain) + FORMAT_TAG_BYTES)
#define WRAPPED_MAX WRAPPED_BYTES(WRAP_PLAIN_MAX)

/* What a file may ask for: more would be a way to use up a machine. */
#define KDF_OPS_MAX 64
#define KDF_MEM_MAX GIB

static const char *const kind_names[] = {
	[KEY_RECOVERY] = "recovery",
	[KEY_AGENT] = "agent",
	[KEY_AUDIT] = "audit",
};

/* ---- derivation ---- */

void key_kdf(uint8_t out[32], const uint8_t key[32], const char *label, const void *context,
             size_t context_len)
{
	crypto_generichash_state state;

	(void)crypto_generichash_init(&state, key, 32, 32);
	(void)crypto_generichash_update(&state, (const uint8_t *)label, strlen(label) + 1);
	if (context_len > 0)
		(void)crypto_generichash_update(&state, context, context_len);
	(void)crypto_generichash_final(&state, out, 32);
	secret_wipe(&state, sizeof(state));
}

static void public_id(uint8_t ret[8], const char *label, const uint8_t public[32])
{
	crypto_generichash_state state;
	uint8_t sum[32];

	(void)crypto_generichash_init(&state, NULL, 0, sizeof(sum));
	(void)crypto_generichash_update(&state, (const uint8_t *)label, strlen(label));
	(void)crypto_generichash_update(&state, public, 32);
	(void)crypto_generichash_final(&state, sum, sizeof(sum));
	memcpy(ret, sum, 8);
}

void key_signer_id(uint8_t ret[8], const uint8_t public[32])
{
	public_id(ret, "signer", public);
}

bool key_signer_is_admin(const struct keys *k, const uint8_t signer[FORMAT_SIGNER_BYTES])
{
	uint8_t admin[FORMAT_SIGNER_BYTES];

	key_signer_id(admin, k->admin_public);
	return memcmp(signer, admin, sizeof(admin)) == 0;
}

void key_recipient_id(uint8_t ret[8], const uint8_t public[32])
{
	public_id(ret, "recipient", public);
}

void keys_set_rs(struct keys *k, const uint8_t rs[32])
{
	memcpy(k->s->rs, rs, sizeof(k->s->rs));
	key_kdf(k->s->mm, k->s->rs, "aksdr metadata", k->repo, sizeof(k->repo));
	key_kdf(k->s->cm, k->s->rs, "aksdr content", k->repo, sizeof(k->repo));
	k->has_rs = true;
	k->has_mm = true;
}

/* UTF-8 without control characters, 1 .. 127 bytes. */
static bool domain_name_valid(const char *name)
{
	const uint8_t *at = (const uint8_t *)name;
	size_t len = strlen(name);

	if (len == 0 || len >= sizeof(((struct domain_keys *)0)->name))
		return false;
	while (*at) {
		size_t more = *at < 0x80                  ? 0
		              : *at >= 0xc2 && *at < 0xe0 ? 1
		              : *at >= 0xe0 && *at < 0xf0 ? 2
		                                          : 3;

		if (*at < 0x20 || *at == 0x7f || (*at >= 0x80 && *at < 0xc2) || *at > 0xf4)
			return false;
		/* overlong forms, surrogates, C1 controls and what is above U+10FFFF */
		if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) ||
		    (*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f) ||
		    (*at == 0xc2 && at[1] < 0xa0))
			return false;
		for (at++; more > 0; more--, at++) {
			if ((*at & 0xc0) != 0x80)
				return false;
		}
	}
	return true;
}

int keys_domain(const struct keys *k, const char *domain, struct domain_keys **ret, struct err *e)
{
	uint8_t tag[32];
	size_t len = strlen(domain);

	if (!domain_name_valid(domain))
		return err_set(e, ERR_INVALID,
		               "'%s' is no name for a dedup domain; use 1 to %zu printable bytes",
		               domain, sizeof((*ret)->name) - 1);
	if (!k->has_mm)
		return err_set(e, ERR_DENIED,
		               "the %s key has no metadata key yet: the "
		               "repository's config was not opened",
		               kind_names[k->kind]);
	struct domain_keys *d = secret_new(sizeof(*d));
	if (!d)
		return err_set(e, ERR_NOMEM, "no locked memory for the keys of domain '%s'",
		               domain);
	memcpy(d->name, domain, len + 1);
	key_kdf(d->meta, k->s->mm, "tree", domain, len);
	key_kdf(d->node, k->s->mm, "node id", domain, len);
	key_kdf(d->foot, k->s->mm, "footer", domain, len);
	key_kdf(d->scrub, k->s->mm, "scrub", domain, len);
	key_kdf(tag, k->s->mm, "domain tag", domain, len);
	memcpy(d->tag, tag, sizeof(d->tag));
	hex_encode(d->tag_hex, d->tag, sizeof(d->tag));
	d->has_content = k->has_rs && k->kind != KEY_AUDIT;
	if (d->has_content) {
		key_kdf(d->id, k->s->cm, "chunk id", domain, len);
		key_kdf(d->cut, k->s->cm, "cut", domain, len);
	}
	*ret = d;
	return 0;
}

int keys_point_key(const struct keys *k, uint8_t ret[32], struct err *e)
{
	if (!k->has_mm)
		return err_set(e, ERR_DENIED,
		               "the %s key has no metadata key yet: the "
		               "repository's config was not opened",
		               kind_names[k->kind]);
	key_kdf(ret, k->s->mm, "point", NULL, 0);
	return 0;
}

const struct key_signer *keys_signer(const struct keys *k, const uint8_t id[8])
{
	const struct key_signer *found = NULL;

	for (size_t i = 0; i < k->nsigners; i++) {
		if (memcmp(k->signers[i].id, id, 8) == 0 && (!found || k->signers[i].revoked))
			found = &k->signers[i];
	}
	return found;
}

bool keys_any_revoked(const struct keys *k)
{
	for (size_t i = 0; i < k->nsigners; i++) {
		if (k->signers[i].revoked && !k->signers[i].closing)
			return true;
	}
	return false;
}

bool keys_revocations(const struct keys *k, uint8_t ret[32])
{
	crypto_generichash_state state;

	if (!keys_any_revoked(k))
		return false;
	(void)crypto_generichash_init(&state, NULL, 0, 32);
	for (size_t i = 0; i < k->nsigners; i++) {
		const struct key_signer *s = &k->signers[i];

		if (!s->revoked || s->closing)
			continue;
		(void)crypto_generichash_update(&state, s->public, sizeof(s->public));
		for (size_t n = 0; n < s->nlists; n++)
			(void)crypto_generichash_update(&state, s->lists[n].hash,
			                                sizeof(s->lists[n].hash));
	}
	(void)crypto_generichash_final(&state, ret, 32);
	return true;
}

static int hash_cmp(const void *a, const void *b)
{
	return memcmp(a, b, 32);
}

int keys_accept(const struct key_signer *s, const uint8_t hash[32], const char *what, struct err *e)
{
	if (s->closing)
		return 0;
	if (s->lost)
		return err_set(
			e, ERR_CORRUPT,
			"'%s' is signed by key '%s', which was revoked, and the list of what "
			"counts of it ('%s') does not open: put that back from a copy, or make "
			"another one (aksdr-catalog key revoke)",
			what, s->name, s->nlists ? s->lists[0].object : "");
	if (s->naccepted > 0 &&
	    bsearch(hash, s->accepted, s->naccepted, sizeof(*s->accepted), hash_cmp))
		return 0;
	(void)err_set(e, ERR_DENIED,
	              "'%s' does not count: it is signed by key '%s', which was revoked on %s, and "
	              "is not among what counted then",
	              what, s->name, now_rfc3339(s->revoked_ns).s);
	e->os = EKEYREVOKED;
	return -1;
}

bool key_is_void(const struct err *e)
{
	return e->os == EKEYREVOKED || e->os == EKEYEXPIRED;
}

const uint8_t *keys_signer_public(const struct keys *k, const uint8_t id[8])
{
	const struct key_signer *s = keys_signer(k, id);
	uint8_t admin[8];

	if (s)
		return s->public;
	key_signer_id(admin, k->admin_public);
	return memcmp(admin, id, 8) == 0 ? k->admin_public : NULL;
}

/* ---- making and freeing ---- */

static struct keys *keys_new(enum key_kind kind, struct err *e)
{
	struct keys *k = calloc(1, sizeof(*k));

	if (k)
		k->s = secret_new(sizeof(*k->s));
	if (!k || !k->s) {
		keys_free(k);
		(void)err_set(e, ERR_NOMEM, "no locked memory for keys");
		return NULL;
	}
	k->kind = kind;
	return k;
}

void keys_set_signers(struct keys *k, struct key_signer *take_v, size_t n)
{
	for (size_t i = 0; i < k->nsigners; i++) {
		struct key_signer *s = &k->signers[i];

		if (s->accepted)
			(void)munmap(s->accepted, s->accepted_bytes);
		free(s->lists);
	}
	free(k->signers);
	k->signers = take_v;
	k->nsigners = n;
}

void keys_free(struct keys *k)
{
	if (!k)
		return;
	keys_set_signers(k, NULL, 0);
	secret_free(k->s);
	free(k);
}

/* From sign_seed: what signing needs. */
static void keys_expand_sign(struct keys *k)
{
	(void)crypto_sign_seed_keypair(k->sign_public, k->s->sign_secret, k->s->sign_seed);
	key_signer_id(k->signer_id, k->sign_public);
	k->has_sign = true;
	if (k->kind == KEY_RECOVERY)
		memcpy(k->admin_public, k->sign_public, sizeof(k->admin_public));
}

static void keys_expand_recovery(struct keys *k)
{
	(void)crypto_scalarmult_base(k->recovery_public, k->s->recovery);
	k->has_recovery = true;
}

static void keys_add_recipient(struct keys *k, const uint8_t public[32], const char *name)
{
	struct key_recipient *r = &k->recipients[k->nrecipients++];

	memcpy(r->public, public, sizeof(r->public));
	key_recipient_id(r->id, public);
	(void)snprintf(r->name, sizeof(r->name), "%s", name);
}

/* What the three keys of one repository share; signer is the agent. */
static int keys_join(struct keys *k, const struct keys *recovery, const struct keys *agent,
                     struct err *e)
{
	k->signers = calloc(1, sizeof(*k->signers));
	if (!k->signers)
		return err_set(e, ERR_NOMEM, "no memory for keys");
	k->nsigners = 1;
	memcpy(k->signers[0].public, agent->sign_public, 32);
	memcpy(k->signers[0].id, agent->signer_id, 8);
	memcpy(k->signers[0].name, "agent", sizeof("agent"));
	memcpy(k->repo, recovery->repo, sizeof(k->repo));
	memcpy(k->admin_public, recovery->admin_public, sizeof(k->admin_public));
	keys_add_recipient(k, recovery->recovery_public, "recovery");
	return 0;
}

int keys_generate(struct keys **ret_recovery, struct keys **ret_agent, struct keys **ret_audit,
                  struct err *e)
{
	auto_secret uint8_t *rs = secret_new(32);
	auto_keys struct keys *recovery = keys_new(KEY_RECOVERY, e);
	auto_keys struct keys *agent = recovery ? keys_new(KEY_AGENT, e) : NULL;
	auto_keys struct keys *audit = agent ? keys_new(KEY_AUDIT, e) : NULL;

	if (!audit)
		return -1;
	if (!rs)
		return err_set(e, ERR_NOMEM, "no locked memory for keys");
	secret_random(recovery->repo, sizeof(recovery->repo));
	secret_random(recovery->s->recovery, sizeof(recovery->s->recovery));
	keys_expand_recovery(recovery);
	secret_random(recovery->s->sign_seed, SEED_BYTES);
	keys_expand_sign(recovery);
	secret_random(agent->s->sign_seed, SEED_BYTES);
	keys_expand_sign(agent);
	if (keys_join(recovery, recovery, agent, e) < 0 ||
	    keys_join(agent, recovery, agent, e) < 0 || keys_join(audit, recovery, agent, e) < 0)
		return -1;
	secret_random(rs, 32);
	keys_set_rs(recovery, rs);
	keys_set_rs(agent, rs);
	keys_set_rs(audit, rs);
	*ret_recovery = STEAL(&recovery);
	*ret_agent = STEAL(&agent);
	*ret_audit = STEAL(&audit);
	return 0;
}

int keys_new_agent(const struct keys *admin, struct keys **ret, struct err *e)
{
	auto_keys struct keys *k = keys_new(KEY_AGENT, e);

	if (!k)
		return -1;
	if (!admin->has_rs)
		return err_set(e, ERR_BUG, "the config was not opened");
	memcpy(k->repo, admin->repo, sizeof(k->repo));
	memcpy(k->admin_public, admin->admin_public, sizeof(k->admin_public));
	for (size_t i = 0; i < admin->nrecipients; i++)
		keys_add_recipient(k, admin->recipients[i].public, admin->recipients[i].name);
	keys_set_rs(k, admin->s->rs);
	secret_random(k->s->sign_seed, SEED_BYTES);
	keys_expand_sign(k);
	*ret = STEAL(&k);
	return 0;
}

int keys_new_recovery(const struct keys *admin, struct keys **ret, struct err *e)
{
	auto_keys struct keys *k = keys_new(KEY_RECOVERY, e);

	if (!k)
		return -1;
	memcpy(k->repo, admin->repo, sizeof(k->repo));
	memcpy(k->admin_public, admin->admin_public, sizeof(k->admin_public));
	secret_random(k->s->recovery, sizeof(k->s->recovery));
	keys_expand_recovery(k);
	*ret = STEAL(&k);
	return 0;
}

/* ---- text form: reading ---- */

enum line {
	LINE_REPOSITORY,
	LINE_SECRET,
	LINE_ADMIN,
	LINE_SIGN,
	LINE_METADATA,
	LINE_ADMIN_PUBLIC,
	LINE_RECIPIENT,
	LINE_KDF,
	LINE_SALT,
	LINE_WRAPPED,
	LINES
};

#define IN(kind) (1U << (kind))

static const struct {
	const char *name;
	unsigned kinds; /* IN(kind) of those it may stand in */
} lines[LINES] = {
	[LINE_REPOSITORY] = { "repository", IN(KEY_RECOVERY) | IN(KEY_AGENT) | IN(KEY_AUDIT) },
	[LINE_SECRET] = { "secret", IN(KEY_RECOVERY) | IN(KEY_AGENT) },
	[LINE_ADMIN] = { "admin", IN(KEY_RECOVERY) },
	[LINE_SIGN] = { "sign", IN(KEY_AGENT) },
	[LINE_METADATA] = { "metadata", IN(KEY_AUDIT) },
	[LINE_ADMIN_PUBLIC] = { "admin-public", IN(KEY_RECOVERY) | IN(KEY_AGENT) | IN(KEY_AUDIT) },
	[LINE_RECIPIENT] = { "recipient", IN(KEY_AGENT) },
	[LINE_KDF] = { "kdf", IN(KEY_RECOVERY) },
	[LINE_SALT] = { "salt", IN(KEY_RECOVERY) },
	[LINE_WRAPPED] = { "wrapped", IN(KEY_RECOVERY) },
};

/* A key file taken apart; in locked memory. */
struct key_text {
	bool have[LINES];
	struct keys *keys; /* borrowed: gets what needs no passphrase */
	uint8_t rs[32];
	uint64_t kdf_ops, kdf_mem;
	uint8_t salt[crypto_pwhash_SALTBYTES];
	uint8_t wrapped[WRAPPED_MAX];
	size_t wrapped_plain; /* bytes inside */
};

/* "argon2id OPS MEMBYTES" */
static int parse_kdf(char *value, struct key_text *t)
{
	struct err ignored = ERR_INIT;
	char *ops = strchr(value, ' ');
	char *mem = ops ? strchr(ops + 1, ' ') : NULL;

	if (!mem || strncmp(value, "argon2id ", 9) != 0)
		return -1;
	*mem = '\0';
	if (num_u64("passes", ops + 1, crypto_pwhash_argon2id_OPSLIMIT_MIN, KDF_OPS_MAX,
	            &t->kdf_ops, &ignored) < 0 ||
	    num_u64("memory", mem + 1, crypto_pwhash_argon2id_MEMLIMIT_MIN, KDF_MEM_MAX,
	            &t->kdf_mem, &ignored) < 0)
		return -1;
	return 0;
}

/* Takes one value. 0, or -1 when it is malformed. */
static int parse_value(enum line line, char *value, struct key_text *t)
{
	struct keys *k = t->keys;
	uint8_t public[32];

	switch (line) {
	case LINE_REPOSITORY:
		return hex_decode(k->repo, sizeof(k->repo), value);
	case LINE_SECRET:
		return base64_decode(k->kind == KEY_AGENT ? t->rs : k->s->recovery, 32, value);
	case LINE_ADMIN:
	case LINE_SIGN:
		return base64_decode(k->s->sign_seed, SEED_BYTES, value);
	case LINE_METADATA:
		return base64_decode(k->s->mm, sizeof(k->s->mm), value);
	case LINE_ADMIN_PUBLIC:
		return hex_decode(k->admin_public, sizeof(k->admin_public), value);
	case LINE_RECIPIENT:
		if (k->nrecipients == KEY_RECIPIENTS_MAX ||
		    hex_decode(public, sizeof(public), value) < 0)
			return -1;
		keys_add_recipient(k, public, "");
		return 0;
	case LINE_KDF:
		return parse_kdf(value, t);
	case LINE_SALT:
		return hex_decode(t->salt, sizeof(t->salt), value);
	case LINE_WRAPPED:
		for (t->wrapped_plain = WRAP_PLAIN_MAX; t->wrapped_plain > 0;
		     t->wrapped_plain -= SEED_BYTES) {
			if (base64_decode(t->wrapped, WRAPPED_BYTES(t->wrapped_plain), value) == 0)
				return 0;
		}
		return -1;
	case LINES:
		break;
	}
	return -1;
}

static enum line line_of(const char *name)
{
	unsigned i = 0;

	while (i < LINES && strcmp(lines[i].name, name) != 0)
		i++;
	return (enum line)i;
}

static int parse_line(char *text, unsigned number, struct key_text *t, struct err *e)
{
	const char *kind = kind_names[t->keys->kind];
	char *colon = strstr(text, ": ");

	if (!colon)
		return err_set(e, ERR_FORMAT, "line %u of the key file is not 'name: value'",
		               number);
	*colon = '\0';
	enum line line = line_of(text);
	if (line == LINES)
		return err_set(e, ERR_FORMAT, "line %u of the key file has an unknown name",
		               number);
	if (!(lines[line].kinds & IN(t->keys->kind)))
		return err_set(e, ERR_FORMAT, "line %u: '%s' does not belong into an %s key file",
		               number, text, kind);
	if (t->have[line] && line != LINE_RECIPIENT)
		return err_set(e, ERR_FORMAT, "line %u: '%s' stands twice", number, text);
	if (parse_value(line, colon + 2, t) < 0)
		return err_set(e, ERR_FORMAT, "line %u: the value of '%s' is malformed", number,
		               text);
	t->have[line] = true;
	return 0;
}

/* First line: "aksdr KIND key 1". */
static int parse_title(const char *text, enum key_kind *ret, struct err *e)
{
	char want[64];
	unsigned version = 0;
	char end;

	for (unsigned kind = 0; kind < ARRAY_LEN(kind_names); kind++) {
		(void)snprintf(want, sizeof(want), "aksdr %s key 1", kind_names[kind]);
		if (strcmp(text, want) == 0) {
			*ret = (enum key_kind)kind;
			return 0;
		}
	}
	if (sscanf(text, "aksdr %*15[a-z] key %9u%c", &version, &end) == 1 && version > 1)
		return err_set(e, ERR_FORMAT,
		               "the key file has version %u, this program knows 1; use a newer one",
		               version);
	return err_set(e, ERR_FORMAT,
	               "this is no key file: its first line is not 'aksdr recovery "
	               "key 1' or that of an agent or audit key");
}

/* What is authenticated with wrapped secrets. */
struct wrap_aad {
	uint8_t bytes[sizeof(WRAP_AAD_LABEL) - 1 + FORMAT_REPO_ID_BYTES + 32];
	size_t len;
};

/* The admin's public key follows from the seed; where that is not inside, it is bound here. */
static struct wrap_aad wrap_aad(const struct keys *k, size_t plain)
{
	struct wrap_aad a = { .len = sizeof(WRAP_AAD_LABEL) - 1 };

	memcpy(a.bytes, WRAP_AAD_LABEL, a.len);
	memcpy(a.bytes + a.len, k->repo, sizeof(k->repo));
	a.len += sizeof(k->repo);
	if (plain == WRAP_PLAIN_MAX)
		return a;
	memcpy(a.bytes + a.len, k->admin_public, sizeof(k->admin_public));
	a.len += sizeof(k->admin_public);
	return a;
}

/* Opens the wrapped secrets into t->keys. */
static int unwrap(struct key_text *t, const char *passphrase, struct err *e)
{
	struct wrap_aad aad = wrap_aad(t->keys, t->wrapped_plain);
	auto_secret uint8_t *key = secret_new(32);
	auto_secret uint8_t *plain = secret_new(WRAP_PLAIN_MAX);
	struct keys *k = t->keys;

	if (!key || !plain)
		return err_set(e, ERR_NOMEM, "no locked memory for keys");
	if (crypto_pwhash(key, 32, passphrase, strlen(passphrase), t->salt, t->kdf_ops,
	                  (size_t)t->kdf_mem, crypto_pwhash_ALG_ARGON2ID13) != 0)
		return err_set(e, ERR_NOMEM,
		               "no memory for the passphrase: its key file asks for %s",
		               num_bytes_text(t->kdf_mem).s);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL,
	                                               t->wrapped + WRAP_NONCE_BYTES,
	                                               t->wrapped_plain + FORMAT_TAG_BYTES,
	                                               aad.bytes, aad.len, t->wrapped, key) != 0)
		return err_set(e, ERR_DENIED,
		               "the passphrase is wrong, or the key file was changed");
	memcpy(k->s->recovery, plain, SEED_BYTES);
	if (t->wrapped_plain == WRAP_PLAIN_MAX)
		memcpy(k->s->sign_seed, plain + SEED_BYTES, SEED_BYTES);
	return 0;
}

static int require(const struct key_text *t, enum line line, struct err *e)
{
	if (t->have[line])
		return 0;
	return err_set(e, ERR_FORMAT, "the %s key file has no line '%s'", kind_names[t->keys->kind],
	               lines[line].name);
}

/* Either the admin's seed is in it, or the public half of that, to know the config by. */
static int check_admin(const struct key_text *t, bool wrapped, struct err *e)
{
	bool seed = wrapped ? t->wrapped_plain == WRAP_PLAIN_MAX : t->have[LINE_ADMIN];

	if (seed != t->have[LINE_ADMIN_PUBLIC])
		return 0;
	if (!seed && !wrapped)
		return require(t, LINE_ADMIN, e);
	return err_set(e, ERR_FORMAT,
	               seed ? "the key file has the admin key, and its public half too"
	                    : "the key file has no line 'admin-public'");
}

static int finish_recovery(struct key_text *t, const char *passphrase, bool *ret_needs,
                           struct err *e)
{
	bool wrapped = t->have[LINE_KDF] || t->have[LINE_SALT] || t->have[LINE_WRAPPED];

	if (wrapped) {
		if (t->have[LINE_SECRET] || t->have[LINE_ADMIN])
			return err_set(e, ERR_FORMAT,
			               "the key file has its secrets twice: wrapped "
			               "by a passphrase and plain");
		if (require(t, LINE_KDF, e) < 0 || require(t, LINE_SALT, e) < 0 ||
		    require(t, LINE_WRAPPED, e) < 0 || check_admin(t, true, e) < 0)
			return -1;
		*ret_needs = true;
		if (!passphrase)
			return err_set(e, ERR_DENIED,
			               "the key file needs its passphrase; give it "
			               "by AKSDR_PASSPHRASE_FILE or on a terminal");
		if (unwrap(t, passphrase, e) < 0)
			return -1;
	} else if (require(t, LINE_SECRET, e) < 0 || check_admin(t, false, e) < 0) {
		return -1;
	}
	keys_expand_recovery(t->keys);
	if (!t->have[LINE_ADMIN_PUBLIC])
		keys_expand_sign(t->keys);
	return 0;
}

static int finish(struct key_text *t, const char *passphrase, bool *ret_needs, struct err *e)
{
	if (require(t, LINE_REPOSITORY, e) < 0)
		return -1;
	switch (t->keys->kind) {
	case KEY_RECOVERY:
		return finish_recovery(t, passphrase, ret_needs, e);
	case KEY_AGENT:
		if (require(t, LINE_SECRET, e) < 0 || require(t, LINE_SIGN, e) < 0 ||
		    require(t, LINE_ADMIN_PUBLIC, e) < 0 || require(t, LINE_RECIPIENT, e) < 0)
			return -1;
		keys_set_rs(t->keys, t->rs);
		keys_expand_sign(t->keys);
		return 0;
	case KEY_AUDIT:
		if (require(t, LINE_METADATA, e) < 0 || require(t, LINE_ADMIN_PUBLIC, e) < 0)
			return -1;
		t->keys->has_mm = true;
		return 0;
	}
	return err_set(e, ERR_BUG, "a key of no kind");
}

int keys_parse(const uint8_t *text, size_t n, const char *passphrase, struct keys **ret,
               bool *ret_needs_passphrase, struct err *e)
{
	enum key_kind kind = KEY_AUDIT;
	unsigned number = 1;
	bool needs = false;

	*ret_needs_passphrase = false;
	if (n > FILE_MAX_BYTES)
		return err_set(e, ERR_FORMAT, "this is no key file: %zu bytes are too many", n);
	if (n == 0 || text[n - 1] != '\n' || memchr(text, 0, n))
		return err_set(e, ERR_FORMAT, "this is no key file, or its end is missing");
	auto_secret char *copy = secret_new(n + 1);
	auto_secret struct key_text *t = secret_new(sizeof(*t));
	if (!copy || !t)
		return err_set(e, ERR_NOMEM, "no locked memory for keys");
	memcpy(copy, text, n);
	copy[n - 1] = '\0';
	char *rest = copy;
	if (parse_title(strsep(&rest, "\n"), &kind, e) < 0)
		return -1;
	auto_keys struct keys *k = keys_new(kind, e);
	if (!k)
		return -1;
	t->keys = k;
	while (rest) {
		if (parse_line(strsep(&rest, "\n"), ++number, t, e) < 0)
			return -1;
	}
	int r = finish(t, passphrase, &needs, e);
	*ret_needs_passphrase = needs;
	if (r < 0)
		return -1;
	*ret = STEAL(&k);
	return 0;
}

/* ---- text form: writing ---- */

/* A text in locked memory. */
struct secret_text {
	char *s;
	size_t len;
};

static void add(struct secret_text *t, const char *name, const char *value)
{
	int n = snprintf(t->s + t->len, FILE_MAX_BYTES - t->len, "%s: %s\n", name, value);

	assert(n > 0 && (size_t)n < FILE_MAX_BYTES - t->len);
	t->len += (size_t)n;
}

static void add_hex(struct secret_text *t, const char *name, const uint8_t *p, size_t n)
{
	char text[65];

	assert(n <= 32);
	hex_encode(text, p, n);
	add(t, name, text);
}

static void add_base64(struct secret_text *t, const char *name, const uint8_t *p, size_t n)
{
	char text[256];

	int r = base64_encode(text, sizeof(text), p, n);
	assert(r == 0);
	(void)r;
	add(t, name, text);
	secret_wipe(text, sizeof(text));
}

static int add_wrapped(struct secret_text *t, const struct keys *k, const char *passphrase,
                       struct err *e)
{
	const uint64_t ops = crypto_pwhash_argon2id_OPSLIMIT_MODERATE;
	const size_t mem = crypto_pwhash_argon2id_MEMLIMIT_MODERATE;
	const size_t n = k->has_sign ? WRAP_PLAIN_MAX : SEED_BYTES;
	struct wrap_aad aad = wrap_aad(k, n);
	uint8_t salt[crypto_pwhash_SALTBYTES];
	uint8_t wrapped[WRAPPED_MAX];
	char kdf[64];
	auto_secret uint8_t *key = secret_new(32);
	auto_secret uint8_t *plain = secret_new(WRAP_PLAIN_MAX);

	if (!key || !plain)
		return err_set(e, ERR_NOMEM, "no locked memory for keys");
	secret_random(salt, sizeof(salt));
	secret_random(wrapped, WRAP_NONCE_BYTES);
	if (crypto_pwhash(key, 32, passphrase, strlen(passphrase), salt, ops, mem,
	                  crypto_pwhash_ALG_ARGON2ID13) != 0)
		return err_set(e, ERR_NOMEM, "no memory for the passphrase: it takes %s",
		               num_bytes_text(mem).s);
	memcpy(plain, k->s->recovery, SEED_BYTES);
	if (k->has_sign)
		memcpy(plain + SEED_BYTES, k->s->sign_seed, SEED_BYTES);
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(wrapped + WRAP_NONCE_BYTES, NULL, plain, n,
	                                                 aad.bytes, aad.len, NULL, wrapped, key);
	(void)snprintf(kdf, sizeof(kdf), "argon2id %llu %zu", (unsigned long long)ops, mem);
	add(t, lines[LINE_KDF].name, kdf);
	add_hex(t, lines[LINE_SALT].name, salt, sizeof(salt));
	add_base64(t, lines[LINE_WRAPPED].name, wrapped, WRAPPED_BYTES(n));
	return 0;
}

static int encode(struct secret_text *t, const struct keys *k, const char *passphrase,
                  struct err *e)
{
	int n = snprintf(t->s, FILE_MAX_BYTES, "aksdr %s key 1\n", kind_names[k->kind]);

	t->len = (size_t)n;
	add_hex(t, lines[LINE_REPOSITORY].name, k->repo, sizeof(k->repo));
	switch (k->kind) {
	case KEY_RECOVERY:
		if (passphrase && !k->has_sign)
			add_hex(t, lines[LINE_ADMIN_PUBLIC].name, k->admin_public, 32);
		if (passphrase)
			return add_wrapped(t, k, passphrase, e);
		add_base64(t, lines[LINE_SECRET].name, k->s->recovery, 32);
		if (k->has_sign)
			add_base64(t, lines[LINE_ADMIN].name, k->s->sign_seed, SEED_BYTES);
		else
			add_hex(t, lines[LINE_ADMIN_PUBLIC].name, k->admin_public, 32);
		return 0;
	case KEY_AGENT:
		add_base64(t, lines[LINE_SECRET].name, k->s->rs, 32);
		add_base64(t, lines[LINE_SIGN].name, k->s->sign_seed, SEED_BYTES);
		add_hex(t, lines[LINE_ADMIN_PUBLIC].name, k->admin_public, 32);
		for (size_t i = 0; i < k->nrecipients; i++)
			add_hex(t, lines[LINE_RECIPIENT].name, k->recipients[i].public, 32);
		return 0;
	case KEY_AUDIT:
		add_base64(t, lines[LINE_METADATA].name, k->s->mm, 32);
		add_hex(t, lines[LINE_ADMIN_PUBLIC].name, k->admin_public, 32);
		return 0;
	}
	return err_set(e, ERR_BUG, "a key of no kind");
}

/* The text of the key file into t, whose memory holds FILE_MAX_BYTES. */
static int encode_for(struct secret_text *t, const struct keys *k, const char *passphrase,
                      struct err *e)
{
	if (!t->s)
		return err_set(e, ERR_NOMEM, "no locked memory for keys");
	if (passphrase && k->kind != KEY_RECOVERY)
		return err_set(e, ERR_INVALID,
		               "only a recovery key can be wrapped by a passphrase");
	if (passphrase && (!*passphrase || strlen(passphrase) >= PASSPHRASE_MAX_BYTES))
		return err_set(e, ERR_INVALID, "a passphrase has 1 to %d bytes",
		               PASSPHRASE_MAX_BYTES - 1);
	return encode(t, k, passphrase, e);
}

int keys_save(const struct keys *k, const char *path, const char *passphrase, struct err *e)
{
	auto_secret char *memory = secret_new(FILE_MAX_BYTES);
	struct secret_text t = { .s = memory };

	if (encode_for(&t, k, passphrase, e) < 0 ||
	    fd_create_file(AT_FDCWD, path, t.s, t.len, 0600, FD_EXCL, e) < 0)
		return err_wrap(e, "writing the key file '%s'", path);
	return 0;
}

static bool same_secrets(const struct keys *a, const struct keys *b)
{
	return a->kind == b->kind && a->has_sign == b->has_sign &&
	       memcmp(a->repo, b->repo, sizeof(a->repo)) == 0 &&
	       memcmp(a->admin_public, b->admin_public, sizeof(a->admin_public)) == 0 &&
	       sodium_memcmp(a->s->recovery, b->s->recovery, sizeof(a->s->recovery)) == 0 &&
	       sodium_memcmp(a->s->sign_seed, b->s->sign_seed, sizeof(a->s->sign_seed)) == 0;
}

int keys_replace(const struct keys *k, const char *path, const char *passphrase, struct err *e)
{
	auto_secret char *memory = secret_new(FILE_MAX_BYTES);
	struct secret_text t = { .s = memory };
	auto_keys struct keys *back = NULL;
	bool needs;

	/* What takes the place of the old one must open, whatever this machine's memory is like. */
	if (encode_for(&t, k, passphrase, e) < 0 ||
	    keys_parse((const uint8_t *)t.s, t.len, passphrase, &back, &needs, e) < 0)
		return err_wrap(e, "writing the key file '%s'", path);
	if (!same_secrets(k, back))
		return err_set(e, ERR_BUG,
		               "the new key file does not hold what '%s' holds; that "
		               "stays",
		               path);
	return fd_create_file(AT_FDCWD, path, t.s, t.len, 0600, FD_REPLACE, e) < 0
	               ? err_wrap(e, "writing the key file '%s'", path)
	               : 0;
}

/* ---- files and passphrases ---- */

/* The whole file in locked memory, at most FILE_MAX_BYTES. */
static int read_secret_file(const char *path, bool key_file, char **ret, size_t *ret_n,
                            struct err *e)
{
	struct stat st;
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	auto_secret char *text = secret_new(FILE_MAX_BYTES + 1);

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "opening '%s'", path);
	if (!text)
		return err_set(e, ERR_NOMEM, "no locked memory to read '%s'", path);
	if (key_file && S_ISREG(st.st_mode) && (st.st_mode & 037))
		return err_set(e, ERR_DENIED,
		               "'%s' can be read or changed by others (mode %04o); "
		               "run chmod 600 on it",
		               path, (unsigned)st.st_mode & 07777);
	ssize_t n = fd_read_full(fd, text, FILE_MAX_BYTES + 1);
	if (n < 0)
		return err_sys(e, errno, "reading '%s'", path);
	if ((size_t)n > FILE_MAX_BYTES)
		return err_set(e, ERR_FORMAT,
		               "'%s' has over %zu bytes and is no key or "
		               "passphrase file",
		               path, FILE_MAX_BYTES);
	*ret = STEAL(&text);
	*ret_n = (size_t)n;
	return 0;
}

/* The first line, without its end, checked. text has room for a NUL behind its n bytes. */
static int passphrase_line(char *text, size_t n, const char *where, struct err *e)
{
	char *end = memchr(text, '\n', n);
	size_t len = end ? (size_t)(end - text) : n;

	if (end && len + 1 != n)
		return err_set(e, ERR_INVALID, "%s has more than one line", where);
	if (len > 0 && text[len - 1] == '\r')
		len--;
	if (len == 0 || len >= PASSPHRASE_MAX_BYTES || memchr(text, 0, len))
		return err_set(e, ERR_INVALID, "%s holds no passphrase: 1 to %d bytes in one line",
		               where, PASSPHRASE_MAX_BYTES - 1);
	text[len] = '\0';
	return 0;
}

static int passphrase_from_file(const char *path, char **ret, struct err *e)
{
	auto_secret char *text = NULL;
	size_t n;

	if (read_secret_file(path, false, &text, &n, e) < 0)
		return err_wrap(e, "reading the passphrase");
	if (passphrase_line(text, n, path, e) < 0)
		return -1;
	*ret = STEAL(&text);
	return 0;
}

/* Asks on the terminal that is stdin, with echo off. */
static int passphrase_from_terminal(const char *what, char **ret, struct err *e)
{
	auto_secret char *text = secret_new(PASSPHRASE_MAX_BYTES + 2);
	struct termios before;
	struct termios quiet;

	if (!text)
		return err_set(e, ERR_NOMEM, "no locked memory for a passphrase");
	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return err_sys(e, errno, "asking for the passphrase");
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_lflag |= ECHONL | ICANON;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) < 0)
		return err_sys(e, errno, "asking for the passphrase");
	fprintf(stderr, "%s: ", what);
	(void)fflush(stderr);
	ssize_t n = read(STDIN_FILENO, text, PASSPHRASE_MAX_BYTES + 1);
	int os = errno;
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	if (n < 0)
		return err_sys(e, os, "reading the passphrase");
	if (passphrase_line(text, (size_t)n, "the answer", e) < 0)
		return -1;
	*ret = STEAL(&text);
	return 0;
}

int keys_passphrase(const char *file, const char *what, bool is_new, char **ret, struct err *e)
{
	auto_secret char *once = NULL;
	auto_secret char *twice = NULL;

	if (file)
		return passphrase_from_file(file, ret, e);
	if (!isatty(STDIN_FILENO))
		return err_set(e, ERR_DENIED, "no %s was given, and there is no terminal to ask on",
		               what);
	if (passphrase_from_terminal(what, &once, e) < 0 ||
	    (is_new && passphrase_from_terminal("the same again", &twice, e) < 0))
		return -1;
	if (is_new && strcmp(once, twice) != 0)
		return err_set(e, ERR_INVALID, "the two answers differ");
	*ret = STEAL(&once);
	return 0;
}

int keys_load(const char *path, const char *passphrase_file, struct keys **ret, struct err *e)
{
	auto_secret char *text = NULL;
	auto_secret char *passphrase = NULL;
	char what[512];
	bool needs;
	size_t n;

	if (read_secret_file(path, true, &text, &n, e) < 0)
		return err_wrap(e, "reading the key");
	if (keys_parse((const uint8_t *)text, n, NULL, ret, &needs, e) == 0)
		return 0;
	if (!needs || (!passphrase_file && !isatty(STDIN_FILENO)))
		return err_wrap(e, "key file '%s'", path);
	*e = (struct err)ERR_INIT;
	(void)snprintf(what, sizeof(what), "passphrase of '%s'", path);
	if (keys_passphrase(passphrase_file, what, false, &passphrase, e) < 0)
		return err_wrap(e, "key file '%s'", path);
	if (keys_parse((const uint8_t *)text, n, passphrase, ret, &needs, e) < 0)
		return err_wrap(e, "key file '%s'", path);
	return 0;
}

int keys_open(const char *path, const char *passphrase, struct keys **ret, struct err *e)
{
	auto_secret char *text = NULL;
	bool needs;
	size_t n;

	if (read_secret_file(path, true, &text, &n, e) < 0)
		return err_wrap(e, "reading the key");
	return keys_parse((const uint8_t *)text, n, passphrase, ret, &needs, e) < 0
	               ? err_wrap(e, "key file '%s'", path)
	               : 0;
}
