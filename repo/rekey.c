/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See rekey.h. A key file is on disk before the config names it, and stays
 * there whatever happens then: nobody could make it again, and the answer of a
 * store that failed does not say what it did.
 */
#include "repo/rekey.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/hex.h"
#include "common/json.h"

#define ID_DIGITS 16

static int check_admin(const struct repo *r, struct err *e)
{
	const struct keys *k = r->keys;

	if (k->kind == KEY_RECOVERY && k->has_sign)
		return 0;
	return err_set(e, ERR_DENIED,
	               "changing keys takes the recovery key that init made; this key file has no "
	               "admin key");
}

/* Letters, digits, '.', '_' and '-': a name is typed, and stands in messages. */
static int check_name(const char *name, struct err *e)
{
	size_t n = strspn(name,
	                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	if (n == 0 || name[n] || n >= KEY_NAME_MAX || *name == '-')
		return err_set(e, ERR_INVALID,
		               "'%.80s' is no name for a key; use 1 to %d letters, digits, '.', "
		               "'_' and '-'",
		               name, KEY_NAME_MAX - 1);
	if (n == ID_DIGITS && strspn(name, "0123456789abcdefABCDEF") == n)
		return err_set(e, ERR_INVALID, "'%s' could be the id of a key; use another name",
		               name);
	return 0;
}

static struct rekey_result result_of(const struct repo *r, bool already, const uint8_t id[8])
{
	struct rekey_result x = { .revision = r->config.revision, .already = already };

	if (id)
		memcpy(x.id, id, sizeof(x.id));
	return x;
}

/* Appends to an array of the config, and puts that. */
static int put_member(struct repo *r, const char *array, json_t *take_member, struct err *e)
{
	auto_json json_t *member = take_member;
	auto_json json_t *o = json_deep_copy(r->config.json);

	if (!member)
		return -1;
	if (!o || json_array_append(json_object_get(o, array), member) < 0)
		return err_set(e, ERR_NOMEM, "no memory for the config");
	return repo_change(r, o, r->config.features, e);
}

/* ---- key files ---- */

/* The key in the file that an earlier call may have written; *ret stays NULL without one. */
static int load_own(const struct repo *r, const char *path, const char *passphrase,
                    enum key_kind kind, struct keys **ret, struct err *e)
{
	struct err why = ERR_INIT;
	auto_keys struct keys *k = NULL;

	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	if (keys_open(path, passphrase, &k, &why) < 0 || k->kind != kind ||
	    memcmp(k->repo, r->keys->repo, sizeof(k->repo)) != 0 ||
	    (kind == KEY_RECOVERY && k->has_sign))
		return err_set(e, ERR_EXISTS,
		               "'%s' is there already, is not a key that an earlier run has made "
		               "for this, and is never replaced: give another name",
		               path);
	*ret = STEAL(&k);
	return 0;
}

/* ---- agents ---- */

static const struct key_signer *signer_named(const struct keys *k, const char *name)
{
	for (size_t i = 0; i < k->nsigners; i++) {
		if (strcmp(k->signers[i].name, name) == 0)
			return &k->signers[i];
	}
	return NULL;
}

static int taken(const char *what, const char *name, struct err *e)
{
	return err_set(e, ERR_EXISTS, "there is %s '%s' already, or was; give another name", what,
	               name);
}

int rekey_add_agent(struct repo *r, const char *name, const char *out, bool dry_run,
                    struct rekey_result *ret, struct err *e)
{
	auto_keys struct keys *k = NULL;

	if (check_admin(r, e) < 0 || check_name(name, e) < 0)
		return -1;
	const struct key_signer *same = signer_named(r->keys, name);
	if (load_own(r, out, NULL, KEY_AGENT, &k, e) < 0)
		return -1;
	if (same && k && !same->revoked && memcmp(same->public, k->sign_public, 32) == 0) {
		*ret = result_of(r, true, k->signer_id);
		return 0;
	}
	if (same)
		return taken("a key", name, e);
	if (k && keys_signer(r->keys, k->signer_id))
		return err_set(e, ERR_EXISTS, "the key in '%s' has another name already: '%s'", out,
		               keys_signer(r->keys, k->signer_id)->name);
	if (r->keys->nsigners >= KEY_SIGNERS_MAX)
		return err_set(e, ERR_TOO_BIG, "a repository has at most %d keys that sign",
		               KEY_SIGNERS_MAX);
	if (dry_run) {
		*ret = result_of(r, false, k ? k->signer_id : NULL);
		return 0;
	}
	bool taken_up = k;
	if (!k && (keys_new_agent(r->keys, &k, e) < 0 || keys_save(k, out, NULL, e) < 0))
		return -1;
	if (put_member(r, "signers", config_signer_json(k->sign_public, name, e), e) < 0)
		return err_wrap(e, "naming the key in '%s' (run it again)", out);
	*ret = result_of(r, false, k->signer_id);
	ret->taken_up = taken_up;
	return 0;
}

/* ---- recipients ---- */

/* How a recipient is called: its name, or its id where the config has none. */
static const char *name_of(const struct key_recipient *x, char id[ID_DIGITS + 1])
{
	hex_encode(id, x->id, sizeof(x->id));
	return x->name[0] ? x->name : id;
}

const struct key_recipient *rekey_recipient(const struct keys *k, const char *name, struct err *e)
{
	CLEANUP(buf_clear) struct buf names = BUF_INIT(400);
	char id[ID_DIGITS + 1];

	for (size_t i = 0; i < k->nrecipients; i++) {
		const struct key_recipient *x = &k->recipients[i];
		const char *its = name_of(x, id);

		if (strcmp(its, name) == 0 || strcasecmp(id, name) == 0)
			return x;
		if (names.len < 300)
			(void)buf_printf(&names, "%s'%s'", names.len ? ", " : "", its);
	}
	(void)err_set(e, ERR_NOT_FOUND, "there is no recipient '%.64s'; there is %s", name,
	              names.len ? buf_cstr(&names) : "none");
	return NULL;
}

int rekey_add_recipient(struct repo *r, const char *name, const char *out, const char *passphrase,
                        bool dry_run, struct rekey_result *ret, struct err *e)
{
	struct err ignored = ERR_INIT;
	auto_keys struct keys *k = NULL;
	uint8_t id[8];

	if (check_admin(r, e) < 0 || check_name(name, e) < 0)
		return -1;
	const struct key_recipient *same = rekey_recipient(r->keys, name, &ignored);
	if (load_own(r, out, passphrase, KEY_RECOVERY, &k, e) < 0)
		return -1;
	if (k)
		key_recipient_id(id, k->recovery_public);
	if (same && k && memcmp(same->public, k->recovery_public, 32) == 0) {
		*ret = result_of(r, true, id);
		return 0;
	}
	if (same)
		return taken("a recipient", name, e);
	if (r->keys->nrecipients >= KEY_RECIPIENTS_MAX)
		return err_set(e, ERR_TOO_BIG, "a repository has at most %d recipients",
		               KEY_RECIPIENTS_MAX);
	if (dry_run) {
		*ret = result_of(r, false, k ? id : NULL);
		return 0;
	}
	bool taken_up = k;
	if (!k && (keys_new_recovery(r->keys, &k, e) < 0 || keys_save(k, out, passphrase, e) < 0))
		return -1;
	key_recipient_id(id, k->recovery_public);
	if (put_member(r, "recipients", config_recipient_json(r->keys, k->recovery_public, name, e),
	               e) < 0)
		return err_wrap(e, "naming the key in '%s' (run it again)", out);
	*ret = result_of(r, false, id);
	ret->taken_up = taken_up;
	return 0;
}

int rekey_remove_recipient(struct repo *r, const char *name, bool dry_run, struct rekey_result *ret,
                           struct err *e)
{
	if (check_admin(r, e) < 0)
		return -1;
	const struct key_recipient *x = rekey_recipient(r->keys, name, e);
	if (!x)
		return -1;
	if (memcmp(x->public, r->keys->recovery_public, sizeof(x->public)) == 0)
		return err_set(e, ERR_INVALID,
		               "recipient '%s' is the admin's own: without it nobody could change "
		               "keys any more",
		               name);
	auto_json json_t *o = json_deep_copy(r->config.json);
	json_t *a = json_object_get(o, "recipients");
	int at = config_member(a, x->public);
	uint8_t id[8];
	memcpy(id, x->id, sizeof(id));
	if (!o || at < 0 || json_array_remove(a, (size_t)at) < 0)
		return err_set(e, ERR_NOMEM, "no memory for the config");
	if (!dry_run && repo_change(r, o, r->config.features, e) < 0)
		return err_wrap(e, "removing recipient '%s'", name);
	*ret = result_of(r, false, id);
	return 0;
}

/* ---- rules ---- */

static unsigned count_agents(const struct keys *k)
{
	unsigned n = 0;

	for (size_t i = 0; i < k->nsigners; i++)
		n += !k->signers[i].revoked;
	return n;
}

int rekey_require_signatures(struct repo *r, unsigned n, bool dry_run, struct rekey_result *ret,
                             struct err *e)
{
	if (check_admin(r, e) < 0)
		return -1;
	if (n < 1 || n > CONFIG_SIGNATURES_MAX)
		return err_set(e, ERR_INVALID, "%u signatures cannot be required; it is 1 or %d", n,
		               CONFIG_SIGNATURES_MAX);
	if (n > count_agents(r->keys))
		return err_set(e, ERR_INVALID,
		               "%u signatures cannot be given by %u agent key%s; add one first "
		               "(key add-agent)",
		               n, count_agents(r->keys), count_agents(r->keys) == 1 ? "" : "s");
	if (n == r->params.signatures) {
		*ret = result_of(r, true, NULL);
		return 0;
	}
	auto_json json_t *o = json_deep_copy(r->config.json);
	if (!o || json_object_set_new(o, "destroy_signatures", json_integer(n)) < 0)
		return err_set(e, ERR_NOMEM, "no memory for the config");
	if (!dry_run && repo_change(r, o, r->config.features, e) < 0)
		return -1;
	*ret = result_of(r, false, NULL);
	return 0;
}

int rekey_upgrade(struct repo *r, bool dry_run, struct rekey_result *ret, struct err *e)
{
	if (check_admin(r, e) < 0)
		return -1;
	bool already = (r->config.features & FORMAT_FEATURES) == FORMAT_FEATURES;
	if (!already && !dry_run &&
	    repo_change(r, r->config.json, r->config.features | FORMAT_FEATURES, e) < 0)
		return err_wrap(e, "upgrading the repository");
	*ret = result_of(r, already, NULL);
	return 0;
}
