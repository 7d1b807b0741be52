/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key files and derivation. Derived values come from Python's hashlib, the
 * wrapped key and public keys from PyNaCl.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <pty.h>
#include <sys/stat.h>

#include "common/hex.h"
#include "tests/unit/repo/fixture.h"

#define REPO "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
#define RS "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="     /* 00 01 .. 1f */
#define SECRET "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=" /* 40 41 .. 5f */
#define ADMIN "YGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn8="  /* 60 61 .. 7f */
#define METADATA "F2h96FKmdagFflwFn9uN8cGUVYpr7GSK/LFpF5w6isc="
#define SECRET_PUBLIC "79a631eede1bf9c98f12032cdeadd0e7a079398fc786b88cc846ec89af85a51a"
#define ADMIN_PUBLIC "174553b456dddfc6908ecab1c101fe6ab21e2baa0617795b7d43a63482993fd5"
#define SALT "000102030405060708090a0b0c0d0e0f"
/* by "correct horse", one pass of 8 KiB */
#define WRAPPED                                                                                   \
	"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXY5cUxBQ7l9F03qh9lHVgW6j1G9VUs5Fk7ITFN+/8UQ66Kx+FG6SdtS5" \
	"+nPX719iZMURuzOJ8SLnGwLnKc7aQ+/kr9N66+FiDTOg6ASkhDIc="

static const char recovery_text[] = "aksdr recovery key 1\nrepository: " REPO "\nsecret: " SECRET
				    "\nadmin: " ADMIN "\n";
static const char wrapped_text[] = "aksdr recovery key 1\nrepository: " REPO
				   "\nkdf: argon2id 1 8192\nsalt: " SALT "\nwrapped: " WRAPPED "\n";
static const char agent_text[] = "aksdr agent key 1\nrepository: " REPO "\nsecret: " RS
				 "\nsign: " ADMIN "\nadmin-public: " ADMIN_PUBLIC
				 "\nrecipient: " SECRET_PUBLIC "\n";
static const char audit_text[] = "aksdr audit key 1\nrepository: " REPO "\nmetadata: " METADATA
				 "\nadmin-public: " ADMIN_PUBLIC "\n";

static void assert_hex(const void *p, size_t n, const char *want)
{
	char got[256];

	assert_true(2 * n < sizeof(got));
	hex_encode(got, p, n);
	assert_string_equal(got, want);
}

/* NULL with *e, or the keys. */
static struct keys *parse(const char *text, const char *passphrase, struct err *e)
{
	struct keys *k = NULL;
	bool needs;

	if (keys_parse((const uint8_t *)text, strlen(text), passphrase, &k, &needs, e) < 0)
		return NULL;
	return k;
}

/* The same for a text that is good. */
static struct keys *parsed(const char *text, const char *passphrase)
{
	struct err e = ERR_INIT;
	struct keys *k = parse(text, passphrase, &e);

	if (!k)
		harness_die("%s", e.msg);
	return k;
}

/* ---- derivation ---- */

static void test_key_kdf__tree_of_keys_is_what_the_format_says(void **state)
{
	struct err e = ERR_INIT;
	uint8_t key[32];

	(void)state;
	auto_keys struct keys *k = parsed(agent_text, NULL);
	assert_true(k->has_rs && k->has_mm);
	assert_hex(k->s->mm, 32,
	           "17687de852a675a8057e5c059fdb8df1c194558a6bec648afcb169179c3a8ac7");
	assert_hex(k->s->cm, 32,
	           "82a7932f9128d7616e1e1413a37391d44308ca1e3c18552c4017342d8f6a1ace");
	assert_int_equal(keys_point_key(k, key, &e), 0);
	assert_hex(key, 32, "fe057b790f6a748fcb0aee7a25e74071f33e359bf61555ba2e9fb3cf7c3ed0bc");
}

static void test_keys_domain__keys_are_what_the_format_says(void **state)
{
	struct domain_keys *d = NULL;
	struct err e = ERR_INIT;

	(void)state;
	auto_keys struct keys *k = parsed(agent_text, NULL);
	assert_int_equal(keys_domain(k, "prod/shop", &d, &e), 0);
	assert_string_equal(d->name, "prod/shop");
	assert_hex(d->meta, 32, "e1684ce0b53006d213ae0003ca8e01e30faf0e714279bb004d4050e21e4cbb53");
	assert_hex(d->node, 32, "990a77fd37b7c6c37bbf1a2b2fd3e6c5d4dba62d5226a0202baa22f8fa50223d");
	assert_hex(d->foot, 32, "a4258226401e4048a275ddb7a9ad0621e7f1e83194130fae22363cdf5dbfe580");
	assert_hex(d->scrub, 32,
	           "05bf382b92c91f034e42cfa87499e2e07a2dd870afdeb823456999be7c376980");
	assert_hex(d->id, 32, "11cfcc16540851a0418c5896f75af4f796fd0e61f1e7addbab336655eb155126");
	assert_hex(d->cut, 32, "6840213d2c1d8fef32adbb87c0c6f06c4cbd670c3a263b1123a8b5f045552859");
	assert_string_equal(d->tag_hex, "b5ded8e72cee3ec3");
	assert_true(d->has_content);
	secret_free(d);
}

static void test_keys_domain__an_auditor_gets_no_content_keys(void **state)
{
	static const uint8_t zeros[32];
	struct domain_keys *d = NULL;
	struct err e = ERR_INIT;

	(void)state;
	auto_keys struct keys *k = parsed(audit_text, NULL);
	assert_false(k->has_rs);
	assert_int_equal(keys_domain(k, "prod/shop", &d, &e), 0);
	assert_hex(d->meta, 32, "e1684ce0b53006d213ae0003ca8e01e30faf0e714279bb004d4050e21e4cbb53");
	assert_false(d->has_content);
	assert_memory_equal(d->id, zeros, 32);
	assert_memory_equal(d->cut, zeros, 32);
	secret_free(d);
}

static void test_keys_domain__refuses_odd_names(void **state)
{
	static const char *const bad[] = {
		"",
		"a\nb",
		"a\x7f",
		"\xff",
		"\xc0\xaf",
		"\xed\xa0\x80",
		"\xf4\x90\x80\x80",
		"\xc2\x80",
		"\xe2\x82",
		"caf\xc3",
		"\xe0\x80\xaf",
		"\xf0\x80\x80\xaf",
	};
	static const char *const good[] = { "a", "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x92\xbe",
		                            "\xc2\xa0" };
	auto_fixture struct fixture f = fixture_new();
	struct domain_keys *d = NULL;
	char name[129];
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		e = (struct err)ERR_INIT;
		if (keys_domain(f.agent, bad[i], &d, &e) == 0)
			fail_msg("name %zu was taken", i);
		assert_int_equal(e.class, ERR_INVALID);
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(keys_domain(f.agent, good[i], &d, &e), 0);
		secret_free(d);
	}
	memset(name, 'x', sizeof(name));
	name[128] = '\0';
	assert_int_equal(keys_domain(f.agent, name, &d, &e), -1);
	name[127] = '\0';
	assert_int_equal(keys_domain(f.agent, name, &d, &e), 0);
	secret_free(d);
}

static void test_keys_domain__a_recovery_key_needs_the_config_first(void **state)
{
	struct domain_keys *d = NULL;
	struct err e = ERR_INIT;
	uint8_t key[32];

	(void)state;
	auto_keys struct keys *k = parsed(recovery_text, NULL);
	assert_int_equal(keys_domain(k, "d", &d, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
	assert_int_equal(keys_point_key(k, key, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
	memset(key, 0, sizeof(key));
	for (uint8_t i = 0; i < 32; i++)
		key[i] = i;
	keys_set_rs(k, key);
	assert_int_equal(keys_domain(k, "prod/shop", &d, &e), 0);
	assert_hex(d->id, 32, "11cfcc16540851a0418c5896f75af4f796fd0e61f1e7addbab336655eb155126");
	secret_free(d);
}

static void test_key_ids__are_what_the_format_says(void **state)
{
	uint8_t public[32];
	uint8_t id[8];

	(void)state;
	memset(public, 7, sizeof(public));
	key_signer_id(id, public);
	assert_hex(id, 8, "7ca323f30623d1ea");
	key_recipient_id(id, public);
	assert_hex(id, 8, "d43cfa729a0052da");
}

/* ---- parsing ---- */

static void test_keys_parse__recovery(void **state)
{
	(void)state;
	auto_keys struct keys *k = parsed(recovery_text, NULL);
	assert_int_equal(k->kind, KEY_RECOVERY);
	assert_hex(k->repo, 16, REPO);
	assert_true(k->has_recovery && k->has_sign);
	assert_false(k->has_rs || k->has_mm);
	assert_hex(k->recovery_public, 32, SECRET_PUBLIC);
	assert_hex(k->admin_public, 32, ADMIN_PUBLIC);
	assert_hex(k->sign_public, 32, ADMIN_PUBLIC);
	assert_ptr_equal(keys_signer_public(k, k->signer_id), k->admin_public);
}

static void test_keys_parse__agent(void **state)
{
	uint8_t id[8];

	(void)state;
	auto_keys struct keys *k = parsed(agent_text, NULL);
	assert_int_equal(k->kind, KEY_AGENT);
	assert_true(k->has_sign && !k->has_recovery);
	assert_hex(k->admin_public, 32, ADMIN_PUBLIC);
	assert_int_equal(k->nrecipients, 1);
	assert_hex(k->recipients[0].public, 32, SECRET_PUBLIC);
	key_recipient_id(id, k->recipients[0].public);
	assert_memory_equal(k->recipients[0].id, id, 8);
	memset(id, 0, sizeof(id));
	assert_null(keys_signer_public(k, id));
}

static void test_keys_parse__audit(void **state)
{
	(void)state;
	auto_keys struct keys *k = parsed(audit_text, NULL);
	assert_int_equal(k->kind, KEY_AUDIT);
	assert_true(k->has_mm && !k->has_rs && !k->has_sign && !k->has_recovery);
	assert_hex(k->s->mm, 32,
	           "17687de852a675a8057e5c059fdb8df1c194558a6bec648afcb169179c3a8ac7");
}

static void test_keys_parse__wrapped_opens_with_its_passphrase_only(void **state)
{
	struct keys *none = NULL;
	struct err e = ERR_INIT;
	bool needs = false;

	(void)state;
	auto_keys struct keys *k = parsed(wrapped_text, "correct horse");
	assert_hex(k->recovery_public, 32, SECRET_PUBLIC);
	assert_hex(k->admin_public, 32, ADMIN_PUBLIC);

	const uint8_t *text = (const uint8_t *)wrapped_text;
	assert_int_equal(keys_parse(text, sizeof(wrapped_text) - 1, NULL, &none, &needs, &e), -1);
	assert_true(needs);
	assert_int_equal(e.class, ERR_DENIED);
	assert_null(parse(wrapped_text, "correct horsf", &e));
	assert_int_equal(e.class, ERR_DENIED);
	assert_non_null(strstr(e.msg, "passphrase is wrong"));
	assert_null(parse(wrapped_text, "", &e));
	assert_int_equal(e.class, ERR_DENIED);
}

static void test_keys_parse__a_wrapped_key_is_bound_to_its_repository(void **state)
{
	auto_free char *text = strdup(wrapped_text);
	struct err e = ERR_INIT;

	(void)state;
	assert_non_null(text);
	strstr(text, REPO)[0] = 'b';
	assert_null(parse(text, "correct horse", &e));
	assert_int_equal(e.class, ERR_DENIED);
}

#define TITLE(kind) "aksdr " kind " key 1\n"
#define REPO_LINE "repository: " REPO "\n"

static void test_keys_parse__names_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "", "no key file" },
		{ "aksdr recovery key 1", "no key file" },
		{ "hello\n", "first line" },
		{ "aksdr recovery key 2\n", "version 2" },
		{ "aksdr guest key 1\n", "first line" },
		{ TITLE("recovery"), "no line 'repository'" },
		{ TITLE("recovery") REPO_LINE, "no line 'secret'" },
		{ TITLE("recovery") REPO_LINE "secret: " SECRET "\n", "no line 'admin'" },
		{ TITLE("recovery") REPO_LINE "secret: " SECRET "\nadmin: " ADMIN "\n\n",
		  "line 5" },
		{ TITLE("recovery") REPO_LINE "secret: " SECRET "\nadmin: " ADMIN "\nsalt: " SALT
		                              "\n",
		  "twice" },
		{ TITLE("recovery") REPO_LINE "kdf: argon2id 1 8192\n", "no line 'salt'" },
		{ TITLE("recovery") REPO_LINE "secret: " SECRET "\nadmin: " ADMIN
		                              "\nadmin-public: " ADMIN_PUBLIC "\n",
		  "has the admin key, and its public half too" },
		{ TITLE("recovery") REPO_LINE "kdf: argon2id 1 8192\nsalt: " SALT
		                              "\nwrapped: " WRAPPED "\nadmin-public: " ADMIN_PUBLIC
		                              "\n",
		  "has the admin key, and its public half too" },
		{ TITLE("recovery") REPO_LINE "salt: " SALT "\nwrapped: " WRAPPED "\n",
		  "no line 'kdf'" },
		{ TITLE("recovery") REPO_LINE "kdf: scrypt 1 8192\n", "'kdf' is malformed" },
		{ TITLE("recovery") REPO_LINE "kdf: argon2id 1\n", "'kdf' is malformed" },
		{ TITLE("recovery") REPO_LINE "kdf: argon2id 0 8192\n", "'kdf' is malformed" },
		{ TITLE("recovery") REPO_LINE "kdf: argon2id 65 8192\n", "'kdf' is malformed" },
		{ TITLE("recovery") REPO_LINE "kdf: argon2id 1 8191\n", "'kdf' is malformed" },
		{ TITLE("recovery") REPO_LINE "kdf: argon2id 1 1073741825\n",
		  "'kdf' is malformed" },
		{ TITLE("recovery") REPO_LINE "kdf: argon2id 1 8192 \n", "'kdf' is malformed" },
		{ TITLE("recovery") REPO_LINE REPO_LINE, "line 3: 'repository' stands twice" },
		{ TITLE("recovery") "repository: " REPO "00\n", "line 2" },
		{ TITLE("recovery") "repository: " REPO " \n", "line 2" },
		{ TITLE("recovery") "repository:" REPO "\n", "line 2 of the key file is not" },
		{ TITLE("recovery") REPO_LINE "Secret: " SECRET "\n", "line 3" },
		{ TITLE("recovery") REPO_LINE "secret: " SECRET "\r\n", "line 3" },
		{ TITLE("recovery") REPO_LINE "secret: AAAA\n", "line 3" },
		{ TITLE("recovery") REPO_LINE "metadata: " METADATA "\n", "does not belong" },
		{ TITLE("agent") REPO_LINE "secret: " RS "\nsign: " ADMIN
		                           "\nadmin-public: " ADMIN_PUBLIC "\n",
		  "no line 'recipient'" },
		{ TITLE("agent") REPO_LINE "secret: " RS "\n", "no line 'sign'" },
		{ TITLE("agent") REPO_LINE "kdf: argon2id 1 8192\n", "does not belong" },
		{ TITLE("audit") REPO_LINE "secret: " RS "\n", "does not belong" },
		{ TITLE("audit") REPO_LINE "metadata: " METADATA "\n", "no line 'admin-public'" },
		{ TITLE("audit") REPO_LINE "metadata: " METADATA "\nadmin-public: zz\n", "line 4" },
	};
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		e = (struct err)ERR_INIT;
		if (parse(cases[i].text, NULL, &e))
			fail_msg("case %zu was taken", i);
		if (e.class != ERR_FORMAT || !strstr(e.msg, cases[i].says))
			fail_msg("case %zu: class %d, '%s'", i, (int)e.class, e.msg);
		assert_null(strstr(e.msg, SECRET));
	}
}

static void test_keys_parse__a_secret_is_never_in_the_message(void **state)
{
	static const char text[] = TITLE("recovery") REPO_LINE "secret-of-mine " SECRET
							       ": x\nadmin: " ADMIN "\n";
	struct err e = ERR_INIT;

	(void)state;
	assert_null(parse(text, NULL, &e));
	assert_null(strstr(e.msg, SECRET));
}

static void test_keys_parse__nul_and_size(void **state)
{
	struct keys *k = NULL;
	struct err e = ERR_INIT;
	uint8_t text[sizeof(audit_text) - 1];
	bool needs;
	const size_t big = 64 * KIB + 1;
	auto_free uint8_t *long_text = malloc(big);

	(void)state;
	memcpy(text, audit_text, sizeof(text));
	text[30] = '\0';
	assert_int_equal(keys_parse(text, sizeof(text), NULL, &k, &needs, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
	assert_non_null(long_text);
	memset(long_text, '\n', big);
	assert_int_equal(keys_parse(long_text, big, NULL, &k, &needs, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
}

static void test_keys_parse__recipients_up_to_the_limit(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * KIB);
	struct keys *k = NULL;
	struct err e = ERR_INIT;
	bool needs;

	(void)state;
	assert_int_equal(buf_str(&b, agent_text), 0);
	for (size_t i = 1; i < KEY_RECIPIENTS_MAX; i++)
		assert_int_equal(buf_str(&b, "recipient: " SECRET_PUBLIC "\n"), 0);
	assert_int_equal(keys_parse(b.data, b.len, NULL, &k, &needs, &e), 0);
	assert_int_equal(k->nrecipients, KEY_RECIPIENTS_MAX);
	keys_free(k);
	assert_int_equal(buf_str(&b, "recipient: " SECRET_PUBLIC "\n"), 0);
	assert_int_equal(keys_parse(b.data, b.len, NULL, &k, &needs, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
}

/* ---- files ---- */

static void assert_same_keys(const struct keys *a, const struct keys *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_memory_equal(a->repo, b->repo, 16);
	assert_memory_equal(a->admin_public, b->admin_public, 32);
	assert_int_equal(a->has_sign, b->has_sign);
	if (a->has_sign)
		assert_memory_equal(a->s->sign_secret, b->s->sign_secret, 64);
	if (a->has_recovery)
		assert_memory_equal(a->s->recovery, b->s->recovery, 32);
	if (a->kind != KEY_RECOVERY)
		assert_memory_equal(a->s->mm, b->s->mm, 32);
	if (a->kind == KEY_AGENT)
		assert_memory_equal(a->s->rs, b->s->rs, 32);
}

static void test_keys_save__each_kind_comes_back(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "k");
	struct keys *const all[] = { f.recovery, f.agent, f.audit };
	struct stat st;
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		auto_keys struct keys *k = NULL;

		assert_int_equal(keys_save(all[i], path, NULL, &e), 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(keys_load(path, NULL, &k, &e), 0);
		assert_same_keys(all[i], k);
		assert_int_equal(keys_save(all[i], path, NULL, &e), -1); /* never replaced */
		assert_int_equal(e.class, ERR_EXISTS);
		assert_int_equal(unlink(path), 0);
	}
}

static void test_keys_save__a_passphrase_wraps(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "k");
	auto_free char *right = path_join(dir, "right");
	auto_free char *wrong = path_join(dir, "wrong");
	struct keys *k = NULL;
	struct err e = ERR_INIT;
	char secret[64];

	(void)state;
	assert_int_equal(keys_save(f.recovery, path, "tr\xc3\xa9s secret", &e), 0);
	auto_free char *text = read_file(dir, "k", NULL);
	assert_int_equal(base64_encode(secret, sizeof(secret), f.recovery->s->recovery, 32), 0);
	assert_null(strstr(text, secret));
	assert_non_null(strstr(text, "kdf: argon2id 3 268435456\n"));

	write_text(dir, "right", "tr\xc3\xa9s secret\r\n");
	write_text(dir, "wrong", "tres secret\n");
	assert_int_equal(keys_load(path, NULL, &k, &e), -1); /* stdin is no terminal */
	assert_int_equal(e.class, ERR_DENIED);
	assert_int_equal(keys_load(path, wrong, &k, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
	assert_non_null(strstr(e.msg, path));
	assert_int_equal(keys_load(path, right, &k, &e), 0);
	assert_same_keys(f.recovery, k);
	keys_free(k);
}

static void test_keys_save__a_passphrase_is_for_recovery_keys_and_not_empty(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "k");
	struct err e = ERR_INIT;
	char longest[1025];

	(void)state;
	assert_int_equal(keys_save(f.agent, path, "secret", &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_int_equal(keys_save(f.recovery, path, "", &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	memset(longest, 'p', sizeof(longest));
	longest[1024] = '\0';
	assert_int_equal(keys_save(f.recovery, path, longest, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_int_equal(count_files(dir), 0);
}

/* ---- recovery keys without admin key ---- */

/* The recovery key of the fixture, once its config was opened: others are made from it. */
static struct keys *new_recovery(const struct fixture *f)
{
	struct keys *k = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(keys_new_recovery(f->recovery, &k, &e), 0);
	assert_true(k->has_recovery && !k->has_sign && !k->has_rs);
	assert_memory_equal(k->admin_public, f->recovery->sign_public, 32);
	assert_memory_not_equal(k->recovery_public, f->recovery->recovery_public, 32);
	return k;
}

static void test_keys_new_recovery__comes_back_plain_and_wrapped(void **state)
{
	static const char *const passphrases[] = { NULL, "a passphrase" };
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_keys struct keys *k = new_recovery(&f);
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(passphrases); i++) {
		auto_free char *path = path_join(dir, i ? "wrapped" : "plain");
		auto_keys struct keys *back = NULL;

		assert_int_equal(keys_save(k, path, passphrases[i], &e), 0);
		assert_int_equal(keys_open(path, passphrases[i], &back, &e), 0);
		assert_true(back->has_recovery && !back->has_sign);
		assert_memory_equal(back->s->recovery, k->s->recovery, 32);
		assert_memory_equal(back->admin_public, k->admin_public, 32);
		assert_memory_equal(back->recovery_public, k->recovery_public, 32);
		auto_free char *text = read_file(dir, i ? "wrapped" : "plain", NULL);
		assert_non_null(strstr(text, "\nadmin-public: "));
		assert_null(strstr(text, "\nadmin: "));
		assert_int_equal(strstr(text, "\nsecret: ") == NULL, i == 1);
	}
}

static void test_keys_new_recovery__the_admin_is_bound_into_a_wrapped_one(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "key");
	auto_keys struct keys *k = new_recovery(&f);
	auto_keys struct keys *back = NULL;
	struct err e = ERR_INIT;
	bool needs;

	(void)state;
	assert_int_equal(keys_save(k, path, "pass", &e), 0);
	auto_free char *text = read_file(dir, "key", NULL);
	char *at = strstr(text, "admin-public: ") + strlen("admin-public: ");
	*at = *at == '0' ? '1' : '0';
	assert_int_equal(keys_parse((const uint8_t *)text, strlen(text), "pass", &back, &needs, &e),
	                 -1);
	assert_int_equal(e.class, ERR_DENIED);
	assert_null(back);
}

static void test_keys_new_agent__signs_with_a_key_of_its_own(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_keys struct keys *k = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(keys_new_agent(f.recovery, &k, &e), 0);
	assert_int_equal(k->kind, KEY_AGENT);
	assert_true(k->has_sign && k->has_rs && k->has_mm);
	assert_memory_equal(k->s->rs, f.agent->s->rs, 32);
	assert_memory_not_equal(k->sign_public, f.agent->sign_public, 32);
	assert_int_equal(k->nrecipients, 1);
	/* a key that has not opened the config knows no secret to hand on */
	auto_keys struct keys *bare = new_recovery(&f);
	auto_keys struct keys *none = NULL;
	assert_int_equal(keys_new_agent(bare, &none, &e), -1);
}

static void test_keys_replace__wraps_wraps_anew_and_unwraps(void **state)
{
	static const char *const passphrases[] = { "first", "second", NULL, "third" };
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "key");
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(keys_save(f.recovery, path, NULL, &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(passphrases); i++) {
		const char *before = i ? passphrases[i - 1] : NULL;
		auto_keys struct keys *k = NULL;
		auto_keys struct keys *back = NULL;
		struct stat st;

		assert_int_equal(keys_open(path, before, &k, &e), 0);
		assert_int_equal(keys_replace(k, path, passphrases[i], &e), 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(keys_open(path, passphrases[i], &back, &e), 0);
		assert_same_keys(f.recovery, back);
		assert_int_equal(count_files(dir), 1);
	}
}

static void test_keys_replace__leaves_the_old_file_when_it_cannot(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "key");
	auto_free char *nowhere = path_join(dir, "gone/key");
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(keys_save(f.recovery, path, NULL, &e), 0);
	auto_free char *before = read_file(dir, "key", NULL);
	assert_int_equal(keys_replace(f.recovery, path, "", &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	e = (struct err)ERR_INIT;
	assert_int_equal(keys_replace(f.agent, path, "pass", &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	e = (struct err)ERR_INIT;
	assert_int_equal(keys_replace(f.recovery, nowhere, NULL, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	auto_free char *after = read_file(dir, "key", NULL);
	assert_string_equal(before, after);
}

static void test_keys_accept__only_what_is_listed_counts(void **state)
{
	uint8_t lists[3][32] = { { 1 }, { 5 }, { 9 } };
	struct key_signer s = { .name = "node-7", .revoked = true, .revoked_ns = 1 };
	uint8_t hash[32] = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	for (uint8_t i = 0; i < 12; i++) {
		bool listed = i == 1 || i == 5 || i == 9;

		hash[0] = i;
		s.accepted = lists;
		s.naccepted = 3;
		e = (struct err)ERR_INIT;
		assert_int_equal(keys_accept(&s, hash, "commit/x", &e), listed ? 0 : -1);
		assert_int_equal(key_is_void(&e), !listed);
		if (!listed) {
			assert_int_equal(e.class, ERR_DENIED);
			assert_non_null(strstr(e.msg, "'commit/x' does not count: it is signed by "
			                              "key 'node-7', which was revoked on 1970"));
			(void)err_wrap(&e, "reading it");
			assert_true(key_is_void(&e));
		}
		s.naccepted = 0;
		e = (struct err)ERR_INIT;
		assert_int_equal(keys_accept(&s, hash, "commit/x", &e), -1);
		/* nobody has said yet; nobody can say */
		s.closing = true;
		assert_int_equal(keys_accept(&s, hash, "commit/x", &e), 0);
		s.closing = false;
		s.lost = true;
		e = (struct err)ERR_INIT;
		assert_int_equal(keys_accept(&s, hash, "commit/x", &e), -1);
		assert_int_equal(e.class, ERR_CORRUPT);
		assert_false(key_is_void(&e));
		s.lost = false;
	}
}

static void test_keys_signer__a_revoked_one_is_found_first(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	struct key_signer *v = calloc(2, sizeof(*v));

	(void)state;
	assert_non_null(v);
	v[0] = v[1] = f.audit->signers[0];
	v[1].revoked = true;
	keys_set_signers(f.audit, v, 2);
	const struct key_signer *s = keys_signer(f.audit, v[0].id);
	assert_ptr_equal(s, &v[1]);
	assert_true(keys_any_revoked(f.audit));
	uint8_t one[32];
	uint8_t two[32];
	assert_true(keys_revocations(f.audit, one));
	v[1].lists = calloc(1, sizeof(*v[1].lists));
	v[1].nlists = 1;
	assert_true(keys_revocations(f.audit, two));
	assert_memory_not_equal(one, two, 32);
	v[1].closing = true;
	assert_false(keys_any_revoked(f.audit));
	assert_false(keys_revocations(f.audit, one));
	assert_null(keys_signer(f.audit, f.recovery->signer_id));
}

static void test_keys_load__refuses_files_that_others_can_use(void **state)
{
	static const struct {
		mode_t mode;
		bool good;
	} cases[] = {
		{ 0600, true },  { 0400, true },  { 0440, true },  { 0640, true },  { 0660, false },
		{ 0644, false }, { 0604, false }, { 0602, false }, { 0610, false }, { 0601, false },
	};
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "k");
	struct keys *k = NULL;
	struct err e = ERR_INIT;

	(void)state;
	write_text(dir, "k", audit_text);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(chmod(path, cases[i].mode), 0);
		if (cases[i].good) {
			assert_int_equal(keys_load(path, NULL, &k, &e), 0);
			keys_free(k);
			continue;
		}
		assert_int_equal(keys_load(path, NULL, &k, &e), -1);
		assert_int_equal(e.class, ERR_DENIED);
		assert_non_null(strstr(e.msg, "chmod 600"));
	}
}

static void test_keys_load__files_that_are_none(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "k");
	auto_free char *big = malloc(64 * KIB + 1);
	struct keys *k = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(keys_load(path, NULL, &k, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_int_equal(keys_load(dir, NULL, &k, &e), -1);
	assert_non_null(strstr(e.msg, dir));
	assert_non_null(big);
	memset(big, 'x', 64 * KIB + 1);
	write_file(dir, "k", big, 64 * KIB + 1);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(keys_load(path, NULL, &k, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
}

static void test_keys_load__odd_passphrase_files(void **state)
{
	static const char *const texts[] = { "", "\n", "\r\n", "two\nlines\n" };
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "k");
	auto_free char *passphrase = path_join(dir, "p");
	struct keys *k = NULL;
	struct err e = ERR_INIT;

	(void)state;
	write_text(dir, "k", wrapped_text);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(keys_load(path, passphrase, &k, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		write_text(dir, "p", texts[i]);
		assert_int_equal(keys_load(path, passphrase, &k, &e), -1);
		assert_int_equal(e.class, ERR_INVALID);
	}
	write_file(dir, "p", "a\0b\n", 4);
	assert_int_equal(keys_load(path, passphrase, &k, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	write_text(dir, "p", "correct horse"); /* no line end */
	assert_int_equal(keys_load(path, passphrase, &k, &e), 0);
	keys_free(k);
}

/* ---- the terminal ---- */

/* Somebody at a terminal: waits for the question, types the answer, sees what is shown. */
struct typist {
	int terminal;
	const char *text;
	char shown[4096];
	bool asked;
};

static void *type_answer(void *arg)
{
	struct typist *t = arg;
	size_t n = 0;

	for (;;) {
		ssize_t got = read(t->terminal, t->shown + n, sizeof(t->shown) - 1 - n);

		if (got <= 0)
			return NULL; /* EIO: the other side has closed */
		n += (size_t)got;
		t->shown[n] = '\0';
		if (t->asked || !strstr(t->shown, "': "))
			continue;
		t->asked = true;
		if (write(t->terminal, t->text, strlen(t->text)) < 0)
			harness_die("typing: %s", strerror(errno));
	}
}

/* Class of the error when the key is loaded with a terminal as stdin and stderr. */
static enum err_class load_on_terminal(const char *path, struct typist *t)
{
	auto_close int in = dup(STDIN_FILENO);
	auto_close int err = dup(STDERR_FILENO);
	struct keys *k = NULL;
	struct err e = ERR_INIT;
	pthread_t thread;
	int line;

	assert_true(in >= 0 && err >= 0);
	assert_int_equal(openpty(&t->terminal, &line, NULL, NULL, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, type_answer, t), 0);
	assert_true(dup2(line, STDIN_FILENO) >= 0 && dup2(line, STDERR_FILENO) >= 0);
	int r = keys_load(path, NULL, &k, &e);
	assert_true(dup2(in, STDIN_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0);
	(void)close(line);
	assert_int_equal(pthread_join(thread, NULL), 0);
	(void)close(t->terminal);
	keys_free(k);
	return r < 0 ? e.class : ERR_NONE;
}

static void test_keys_load__asks_on_a_terminal_without_echo(void **state)
{
	static const struct {
		const char *text;
		enum err_class class;
	} cases[] = {
		{ "correct horse\n", ERR_NONE },
		{ "wrong horse\n", ERR_DENIED },
		{ "\n", ERR_INVALID },
		{ "\x04", ERR_INVALID }, /* end of file */
	};
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "k");

	(void)state;
	write_text(dir, "k", wrapped_text);
	assert_int_equal(chmod(path, 0600), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct typist t = { .text = cases[i].text };

		assert_int_equal(load_on_terminal(path, &t), cases[i].class);
		assert_true(t.asked);
		assert_non_null(strstr(t.shown, path));
		assert_null(strstr(t.shown, "horse"));
	}
}

static void test_keys_generate__belong_together(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_fixture struct fixture g = fixture_new();
	uint8_t a[32];
	uint8_t b[32];
	struct err e = ERR_INIT;

	(void)state;
	assert_memory_equal(f.recovery->repo, f.agent->repo, 16);
	assert_memory_equal(f.recovery->repo, f.audit->repo, 16);
	assert_memory_not_equal(f.recovery->repo, g.recovery->repo, 16);
	assert_int_equal(keys_point_key(f.agent, a, &e), 0);
	assert_int_equal(keys_point_key(f.audit, b, &e), 0);
	assert_memory_equal(a, b, 32);
	assert_memory_equal(f.agent->recipients[0].public, f.recovery->recovery_public, 32);
	assert_non_null(keys_signer_public(f.audit, f.agent->signer_id));
	assert_non_null(keys_signer_public(f.audit, f.recovery->signer_id));
	assert_null(keys_signer_public(f.audit, g.agent->signer_id));
	assert_memory_not_equal(f.agent->sign_public, f.recovery->sign_public, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_kdf__tree_of_keys_is_what_the_format_says),
		cmocka_unit_test(test_keys_domain__keys_are_what_the_format_says),
		cmocka_unit_test(test_keys_domain__an_auditor_gets_no_content_keys),
		cmocka_unit_test(test_keys_domain__refuses_odd_names),
		cmocka_unit_test(test_keys_domain__a_recovery_key_needs_the_config_first),
		cmocka_unit_test(test_key_ids__are_what_the_format_says),
		cmocka_unit_test(test_keys_parse__recovery),
		cmocka_unit_test(test_keys_parse__agent),
		cmocka_unit_test(test_keys_parse__audit),
		cmocka_unit_test(test_keys_parse__wrapped_opens_with_its_passphrase_only),
		cmocka_unit_test(test_keys_parse__a_wrapped_key_is_bound_to_its_repository),
		cmocka_unit_test(test_keys_parse__names_what_is_wrong),
		cmocka_unit_test(test_keys_parse__a_secret_is_never_in_the_message),
		cmocka_unit_test(test_keys_parse__nul_and_size),
		cmocka_unit_test(test_keys_parse__recipients_up_to_the_limit),
		cmocka_unit_test(test_keys_save__each_kind_comes_back),
		cmocka_unit_test(test_keys_save__a_passphrase_wraps),
		cmocka_unit_test(test_keys_save__a_passphrase_is_for_recovery_keys_and_not_empty),
		cmocka_unit_test(test_keys_new_recovery__comes_back_plain_and_wrapped),
		cmocka_unit_test(test_keys_new_recovery__the_admin_is_bound_into_a_wrapped_one),
		cmocka_unit_test(test_keys_new_agent__signs_with_a_key_of_its_own),
		cmocka_unit_test(test_keys_replace__wraps_wraps_anew_and_unwraps),
		cmocka_unit_test(test_keys_replace__leaves_the_old_file_when_it_cannot),
		cmocka_unit_test(test_keys_accept__only_what_is_listed_counts),
		cmocka_unit_test(test_keys_signer__a_revoked_one_is_found_first),
		cmocka_unit_test(test_keys_load__refuses_files_that_others_can_use),
		cmocka_unit_test(test_keys_load__files_that_are_none),
		cmocka_unit_test(test_keys_load__odd_passphrase_files),
		cmocka_unit_test(test_keys_load__asks_on_a_terminal_without_echo),
		cmocka_unit_test(test_keys_generate__belong_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
