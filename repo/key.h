/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: the three key files, what is derived from them (docs/FORMAT.md 3),
 * and signing. Secrets live in locked memory. A `struct keys` is made once
 * and then read-only, so it may be used from any thread.
 */
#ifndef AKSDR_REPO_KEY_H
#define AKSDR_REPO_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/secret.h"
#include "repo/format.h"

enum key_kind { KEY_RECOVERY, KEY_AGENT, KEY_AUDIT };

#define KEY_RECIPIENTS_MAX 32
#define KEY_SIGNERS_MAX 1024 /* and as many that are revoked */
#define KEY_LISTS_MAX 64     /* objects that say what counts of a revoked signer */
#define KEY_NAME_MAX 64

/* An object that lists what a revoked signer signed and still counts. */
struct key_list {
	char object[128]; /* its key in the store */
	uint8_t hash[32]; /* SHA-256 of it */
};

struct keys {
	enum key_kind kind;
	uint8_t repo[FORMAT_REPO_ID_BYTES];
	uint8_t admin_public[32];
	/* locked memory; which members are set follows from kind: */
	struct key_secrets {
		uint8_t rs[32];          /* agent; recovery once the config is opened */
		uint8_t mm[32];          /* all, recovery once the config is opened */
		uint8_t cm[32];          /* agent; recovery once the config is opened */
		uint8_t recovery[32];    /* X25519 secret: recovery */
		uint8_t sign_seed[32];   /* Ed25519: agent: its own; recovery: admin, if any */
		uint8_t sign_secret[64]; /* expanded */
	} * s;
	bool has_rs, has_mm, has_recovery, has_sign;
	uint8_t sign_public[32];
	uint8_t signer_id[FORMAT_SIGNER_BYTES];
	uint8_t recovery_public[32]; /* recovery */
	struct key_recipient {
		uint8_t public[32];
		uint8_t id[8];
		char name[KEY_NAME_MAX]; /* "" where the config has none */
	} recipients[KEY_RECIPIENTS_MAX];
	size_t nrecipients; /* from the config; before it is opened an agent's from the file */
	struct key_signer {
		uint8_t public[32];
		uint8_t id[8];
		char name[KEY_NAME_MAX];
		bool revoked; /* what it signs counts no more, but for what is accepted */
		bool closing; /* of those: what is accepted is not yet said; all counts */
		bool lost;    /* of those: the list cannot be had, and nobody can say what counts */
		int64_t revoked_ns;
		struct key_list *lists; /* owned */
		size_t nlists;
		/* SHA-256 of the objects that count, sorted; scratch memory of this many bytes */
		uint8_t (*accepted)[32];
		size_t naccepted, accepted_bytes;
	} * signers; /* from the config, set by repo_open() */
	size_t nsigners;
};

void keys_free(struct keys *k);
static inline void clean_keys(struct keys *const *k)
{
	keys_free(*k);
}
#define auto_keys CLEANUP(clean_keys)

/*
 * Makes the keys of a new repository: a recovery key, an agent key and an
 * audit key that belong together, all with has_rs and has_mm.
 */
MUST_CHECK int keys_generate(struct keys **ret_recovery, struct keys **ret_agent,
                             struct keys **ret_audit, struct err *e);

/*
 * Makes further keys of the repository that admin (a recovery key that has
 * opened its config) is of: an agent key that signs with a key of its own, and
 * a recovery key that reads data and signs nothing. Neither is of any use until
 * the config names it.
 */
MUST_CHECK int keys_new_agent(const struct keys *admin, struct keys **ret, struct err *e);
MUST_CHECK int keys_new_recovery(const struct keys *admin, struct keys **ret, struct err *e);

/*
 * Reads a key file. passphrase_file may be NULL; a wrapped recovery key asks
 * for it: from the file, else on the terminal when stdin is one, else ERR_DENIED.
 *   ERR_NOT_FOUND   no such file
 *   ERR_FORMAT      no key file, or a line that does not belong; the line is named, never its value
 *   ERR_DENIED      wrong passphrase; or others can use the file (mode & 037: a group may read,
 *                   because Kubernetes mounts secrets so for a pod with an fsGroup)
 */
MUST_CHECK int keys_load(const char *path, const char *passphrase_file, struct keys **ret,
                         struct err *e);

/* The same with a passphrase at hand (NULL: none), which is never asked for. */
MUST_CHECK int keys_open(const char *path, const char *passphrase, struct keys **ret,
                         struct err *e);

/* Writes a key file, mode 0600, create-only. passphrase NULL: not wrapped (recovery only). */
MUST_CHECK int keys_save(const struct keys *k, const char *path, const char *passphrase,
                         struct err *e);

/*
 * The same in the place of a file that is there: a new file beside it, read back, and renamed over
 * it.
 */
MUST_CHECK int keys_replace(const struct keys *k, const char *path, const char *passphrase,
                            struct err *e);

/*
 * A passphrase of one line: from the file, or, when that is NULL, asked for on the terminal that
 * stdin is, twice when it is a new one. what names it in the question. Free with secret_free.
 *   ERR_INVALID  it is empty or too long, or the two answers differ
 *   ERR_DENIED   there is neither file nor terminal
 */
MUST_CHECK int keys_passphrase(const char *file, const char *what, bool is_new, char **ret,
                               struct err *e);

/* Same form, from and to memory; for keys_load, tests and fuzzing. */
MUST_CHECK int keys_parse(const uint8_t *text, size_t n, const char *passphrase, struct keys **ret,
                          bool *ret_needs_passphrase, struct err *e);

/* kdf(key, label, context) of docs/FORMAT.md 3. out 32 bytes. context may be NULL (empty). */
void key_kdf(uint8_t out[32], const uint8_t key[32], const char *label, const void *context,
             size_t context_len);

/* Sets has_rs, has_mm from RS. */
void keys_set_rs(struct keys *k, const uint8_t rs[32]);

/* What belongs to one dedup domain, in locked memory. has_content is false for auditors. */
struct domain_keys {
	char name[128];
	uint8_t meta[32], node[32], foot[32], scrub[32];
	uint8_t id[32], cut[32];
	uint8_t tag[8];
	char tag_hex[17];
	bool has_content;
};
/* ERR_DENIED when k has no metadata key; ERR_INVALID for an empty, long or non-printable name. */
MUST_CHECK int keys_domain(const struct keys *k, const char *domain, struct domain_keys **ret,
                           struct err *e); /* free with secret_free */

/* K_point. */
MUST_CHECK int keys_point_key(const struct keys *k, uint8_t ret[32], struct err *e);

/* Replaces the signers; take_v is malloc'ed, and owned from then on. */
void keys_set_signers(struct keys *k, struct key_signer *take_v, size_t n);

/*
 * Signer by id; NULL when it is not in the config. One that was revoked is found before one that
 * was not. The admin is no signer in this sense.
 */
const struct key_signer *keys_signer(const struct keys *k, const uint8_t id[8]);

/* True when some signer is revoked, but for those whose list is still to be made. */
bool keys_any_revoked(const struct keys *k);

/*
 * What follows from the revocations: another value when others are revoked, or other objects of
 * them count. false, and ret is not set: nobody is revoked.
 */
bool keys_revocations(const struct keys *k, uint8_t ret[32]);

/*
 * Whether an object counts that a revoked signer has signed; hash: SHA-256 of it, what: its name.
 *   ERR_DENIED   it does not: key_is_void() is true for that error
 *   ERR_CORRUPT  nobody can say
 */
MUST_CHECK int keys_accept(const struct key_signer *s, const uint8_t hash[32], const char *what,
                           struct err *e);

/*
 * True for an object that says nothing: its signer was revoked, or it is a point that came too
 * late (fence_is_late()). Wrapping keeps that.
 */
bool key_is_void(const struct err *e);

/*
 * Public key by id, of this repository's signers, revoked ones included, and the admin; NULL when
 * unknown.
 */
const uint8_t *keys_signer_public(const struct keys *k, const uint8_t id[8]);

void key_signer_id(uint8_t ret[8], const uint8_t public[32]);

/* Whether a signer is the repository's admin. */
bool key_signer_is_admin(const struct keys *k, const uint8_t signer[FORMAT_SIGNER_BYTES]);

void key_recipient_id(uint8_t ret[8], const uint8_t public[32]);

#endif
