/* SPDX-License-Identifier: Apache-2.0 */
/* Making and opening repositories, and going over their points. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sodium.h>
#include <sys/stat.h>

#include "common/json.h"
#include "repo/crypt.h"
#include "tests/unit/repo/repo_fixture.h"

static struct store *mem_store(void)
{
	struct err e = ERR_INIT;
	struct store *s = store_mem_new(&e);

	if (!s || secret_init(&e) < 0)
		harness_die("%s", e.msg);
	return s;
}

static mode_t mode_of(const char *dir, const char *name)
{
	auto_free char *path = path_join(dir, name);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

/* ---- init ---- */

static void test_repo_init__makes_a_config_and_three_key_files(void **state)
{
	auto_store struct store *s = mem_store();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *keys = path_join(dir, "keys");
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(repo_init(s, keys, NULL, &e), 0);
	assert_int_equal(mode_of(dir, "keys"), 0700);
	assert_int_equal(count_files(keys), 3);
	assert_int_equal(mode_of(keys, "recovery.key"), 0600);
	assert_int_equal(mode_of(keys, "agent.key"), 0600);
	assert_int_equal(mode_of(keys, "audit.key"), 0600);
	assert_int_equal(object_count(s, ""), 1);
	assert_int_equal(object_count(s, "config"), 1);
}

static void test_repo_init__each_key_opens_it_as_far_as_it_may(void **state)
{
	static const struct {
		const char *name;
		bool rs, content, sign;
	} cases[] = {
		{ "recovery.key", true, true, true },
		{ "agent.key", true, true, true },
		{ "audit.key", false, false, false },
	};
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	uint8_t first[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_repo struct repo *r = open_repo(&f, cases[i].name, NULL);
		struct domain_keys *d = NULL;
		struct err e = ERR_INIT;

		assert_int_equal(r->keys->has_rs, cases[i].rs);
		assert_int_equal(r->keys->has_sign, cases[i].sign);
		assert_int_equal(r->keys->nrecipients, 1);
		assert_int_equal(r->keys->nsigners, 1);
		assert_string_equal(r->keys->signers[0].name, "agent");
		assert_int_equal(keys_domain(r->keys, "d", &d, &e), 0);
		assert_int_equal(d->has_content, cases[i].content);
		if (i == 0)
			memcpy(first, d->foot, sizeof(first));
		assert_memory_equal(first, d->foot, sizeof(first));
		secret_free(d);
		assert_int_equal(r->params.cipher, crypt_best_cipher());
		assert_int_equal(r->params.cut_min, 256 * KIB);
		assert_int_equal(r->params.cut_avg, MIB);
		assert_int_equal(r->params.cut_max, 4 * MIB);
		assert_int_equal(r->params.pack_bytes, 40 * MIB);
		assert_string_equal(r->state, "");
	}
}

static void test_repo_init__a_passphrase_wraps_the_recovery_key_only(void **state)
{
	auto_store struct store *s = mem_store();
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(repo_init(s, dir, "a passphrase", &e), 0);
	auto_free char *recovery = read_file(dir, "recovery.key", NULL);
	auto_free char *agent = read_file(dir, "agent.key", NULL);
	assert_non_null(strstr(recovery, "wrapped: "));
	assert_null(strstr(recovery, "secret: "));
	assert_non_null(strstr(agent, "secret: "));
}

static void test_repo_init__never_touches_a_repository_that_is_there(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *keys = path_join(dir, "keys");
	size_t n;
	size_t m;
	struct err e = ERR_INIT;

	(void)state;
	auto_free uint8_t *before = object_get(f.store, "config", &n);
	assert_int_equal(repo_init(f.store, keys, NULL, &e), -1);
	assert_int_equal(e.class, ERR_EXISTS);
	assert_false(file_exists(dir, "keys"));
	auto_free uint8_t *after = object_get(f.store, "config", &m);
	assert_int_equal(n, m);
	assert_memory_equal(before, after, n);
}

static void test_repo_init__never_replaces_a_key_file(void **state)
{
	auto_store struct store *s = mem_store();
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;

	(void)state;
	write_text(dir, "agent.key", "precious");
	assert_int_equal(repo_init(s, dir, NULL, &e), -1);
	assert_int_equal(e.class, ERR_EXISTS);
	assert_non_null(strstr(e.msg, "agent.key"));
	assert_int_equal(object_count(s, ""), 0);
	assert_int_equal(count_files(dir), 1);
	auto_free char *text = read_file(dir, "agent.key", NULL);
	assert_string_equal(text, "precious");
}

static void test_repo_init__leaves_nothing_when_the_store_refuses(void **state)
{
	auto_store struct store *s = mem_store();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *keys = path_join(dir, "keys");
	struct err e = ERR_INIT;

	(void)state;
	s = store_readonly_new(s, &e);
	assert_non_null(s);
	assert_int_equal(repo_init(s, keys, NULL, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
	assert_false(file_exists(dir, "keys"));
	/* a directory that was there stays */
	assert_int_equal(mkdir(keys, 0700), 0);
	assert_int_equal(repo_init(s, keys, NULL, &e), -1);
	assert_int_equal(count_files(keys), 0);
}

static void test_repo_init__a_directory_that_cannot_be_made(void **state)
{
	auto_store struct store *s = mem_store();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *below = path_join(dir, "file/keys");
	auto_free char *missing = path_join(dir, "no/keys");
	struct err e = ERR_INIT;

	(void)state;
	write_text(dir, "file", "");
	assert_int_equal(repo_init(s, below, NULL, &e), -1);
	assert_non_null(strstr(e.msg, below));
	assert_int_equal(repo_init(s, missing, NULL, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	auto_free char *file = path_join(dir, "file");
	assert_int_equal(repo_init(s, file, NULL, &e), -1);
	assert_int_equal(object_count(s, ""), 0);
}

struct plan {
	enum store_call call;
	enum store_fault fault;
	unsigned left;
};

static enum store_fault planned(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct plan *p = arg;

	(void)n;
	(void)key;
	if (call != p->call || p->left == 0)
		return FAULT_NONE;
	p->left--;
	return p->fault;
}

static void test_repo_init__a_lost_answer_is_looked_after(void **state)
{
	struct plan plan = { CALL_PUT, FAULT_APPLIED_LOST, 1 };
	auto_store struct store *s = mem_store();
	auto_tmpdir char *dir = tmpdir_new();
	struct repo *r = NULL;
	struct err e = ERR_INIT;

	(void)state;
	s = store_fault_new(s, planned, &plan, &e);
	assert_non_null(s);
	assert_int_equal(repo_init(s, dir, NULL, &e), 0);
	assert_int_equal(plan.left, 0);
	const struct repo_fixture f = { .dir = dir, .store = s };
	r = open_repo(&f, "agent.key", NULL);
	repo_free(r);
}

static void test_repo_init__faults_of_the_store_are_errors(void **state)
{
	static const struct {
		struct plan plan;
		enum err_class class;
	} cases[] = {
		{ { CALL_HEAD, FAULT_FAIL, 1 }, ERR_RETRY },
		{ { CALL_HEAD, FAULT_DENIED, 1 }, ERR_DENIED },
		{ { CALL_PUT, FAULT_FAIL, 1 }, ERR_RETRY },
		{ { CALL_PUT, FAULT_QUOTA, 1 }, ERR_QUOTA },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct plan plan = cases[i].plan;
		auto_store struct store *s = mem_store();
		auto_tmpdir char *dir = tmpdir_new();
		struct err e = ERR_INIT;

		s = store_fault_new(s, planned, &plan, &e);
		assert_non_null(s);
		assert_int_equal(repo_init(s, dir, NULL, &e), -1);
		assert_int_equal(e.class, cases[i].class);
		assert_int_equal(count_files(dir), 0);
		assert_int_equal(object_count(s, ""), 0);
	}
}

/* A store that replaces objects: deletes before each put. */
struct careless {
	struct store base;
	struct store *inner;
};

static struct store *inner_of(struct store *s)
{
	return ((struct careless *)(void *)s)->inner;
}

static int careless_put(struct store *s, const char *key, const struct iovec *iov, int niov,
                        struct err *e)
{
	if (store_delete(inner_of(s), key, e) < 0)
		return -1;
	return store_put(inner_of(s), key, iov, niov, e);
}

static int careless_get(struct store *s, const char *key, uint64_t off, void *p, size_t n,
                        struct err *e)
{
	return store_get(inner_of(s), key, off, p, n, e);
}

static int careless_head(struct store *s, const char *key, struct store_stat *ret, struct err *e)
{
	return store_head(inner_of(s), key, ret, e);
}

static int careless_list(struct store *s, const char *prefix, const char *after,
                         int (*each)(void *arg, const struct store_item *item, struct err *e),
                         void *arg, struct err *e)
{
	return store_list(inner_of(s), prefix, after, each, arg, e);
}

static int careless_del(struct store *s, const char *key, struct err *e)
{
	return store_delete(inner_of(s), key, e);
}

static void careless_free(struct store *s)
{
	(void)s;
}

static void test_repo_init__refuses_a_store_that_replaces_objects(void **state)
{
	static const struct store_ops ops = {
		.name = "careless",
		.put = careless_put,
		.get = careless_get,
		.head = careless_head,
		.list = careless_list,
		.del = careless_del,
		.free = careless_free,
	};
	char url[] = "test:careless";
	auto_store struct store *inner = mem_store();
	auto_tmpdir char *dir = tmpdir_new();
	struct careless s = {
		.base = { .ops = &ops, .caps = STORE_CAP_WRITE, .url = url },
		.inner = inner,
	};
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(repo_init(&s.base, dir, NULL, &e), -1);
	assert_int_equal(e.class, ERR_UNSUPPORTED);
	assert_non_null(strstr(e.msg, "created only once"));
	assert_int_equal(object_count(inner, ""), 0);
	assert_int_equal(count_files(dir), 0);
}

/* ---- open ---- */

/* Class of the error when the repository is opened with a key file, or ERR_NONE. */
static enum err_class try_open(const struct repo_fixture *f, const char *key_name, struct err *e)
{
	struct repo *r = NULL;

	*e = (struct err)ERR_INIT;
	if (repo_open(f->store, load_keys(f, key_name), NULL, NULL, &r, e) < 0)
		return e->class;
	repo_free(r);
	return ERR_NONE;
}

static void test_repo_open__says_when_there_is_none(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	struct err e;

	(void)state;
	object_delete(f.store, "config");
	assert_int_equal(try_open(&f, "agent.key", &e), ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "there is no repository"));
}

static void test_repo_open__refuses_the_key_of_another_repository(void **state)
{
	static const char *const names[] = { "recovery.key", "agent.key", "audit.key" };
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo_fixture struct repo_fixture g = repo_fixture_new();
	const struct repo_fixture mixed = { .dir = f.dir, .store = g.store };
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(try_open(&mixed, names[i], &e), ERR_DENIED);
		assert_non_null(strstr(e.msg, "another repository"));
	}
}

static void test_repo_open__finds_every_flipped_bit_and_every_cut(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	size_t n;
	struct err e;

	(void)state;
	auto_free uint8_t *good = object_get(f.store, "config", &n);
	auto_free uint8_t *bad = malloc(n);
	assert_non_null(bad);
	for (size_t i = 0; i < n; i++) {
		memcpy(bad, good, n);
		bad[i] ^= (uint8_t)(1 << i % 8);
		object_set(f.store, "config", bad, n);
		enum err_class class = try_open(&f, i % 2 ? "agent.key" : "audit.key", &e);
		/* a bit in the repository's id makes it another one */
		assert_true(class == ERR_CORRUPT || class == ERR_FORMAT || class == ERR_DENIED);
	}
	for (size_t len = 0; len < n; len += 13) {
		object_set(f.store, "config", good, len);
		assert_int_not_equal(try_open(&f, "agent.key", &e), ERR_NONE);
	}
	auto_free uint8_t *big = calloc(1, 2 * MIB);
	assert_non_null(big);
	object_set(f.store, "config", big, 2 * MIB);
	assert_int_equal(try_open(&f, "agent.key", &e), ERR_FORMAT);
}

static void test_repo_open__versions_and_features_from_the_future_are_named(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	size_t n;
	struct err e;

	(void)state;
	auto_free uint8_t *p = object_get(f.store, "config", &n);
	p[5] = 9;
	object_set(f.store, "config", p, n);
	assert_int_equal(try_open(&f, "agent.key", &e), ERR_FORMAT);
	assert_non_null(strstr(e.msg, "version 9"));
	p[5] = 1;
	p[6] = 4;
	object_set(f.store, "config", p, n);
	assert_int_equal(try_open(&f, "agent.key", &e), ERR_FORMAT);
	assert_non_null(strstr(e.msg, "features 0x0004"));
}

/* Puts a config with other JSON, well signed. */
static void resign(const struct repo_fixture *f, const char *json)
{
	auto_keys struct keys *admin = load_keys(f, "recovery.key");
	CLEANUP(buf_clear) struct buf b = BUF_INIT(2 * MIB);
	uint8_t signature[64];

	(void)buf_put(&b, "aksdr config", 13);
	(void)buf_put(&b, "AKSDC\1\0\0", 8);
	(void)buf_u32(&b, (uint32_t)strlen(json));
	(void)buf_str(&b, json);
	assert_false(b.failed);
	(void)crypto_sign_detached(signature, NULL, b.data, b.len, admin->s->sign_secret);
	(void)buf_put(&b, signature, sizeof(signature));
	object_set(f->store, "config", b.data + 13, b.len - 13);
}

/* The JSON of the config. */
static json_t *config_of(const struct repo_fixture *f)
{
	size_t n;
	auto_free uint8_t *p = object_get(f->store, "config", &n);
	struct err e = ERR_INIT;

	json_t *o = json_parse("config", p + 12, n - 12 - 64, &e);
	if (!o)
		harness_die("%s", e.msg);
	return o;
}

static void test_repo_open__config_is_as_the_format_says(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_keys struct keys *recovery = load_keys(&f, "recovery.key");
	auto_json json_t *o = config_of(&f);
	uint8_t bytes[80];
	const char *text;
	uint64_t v;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(json_get_str(o, "config", "schema", &text, &e), 0);
	assert_string_equal(text, "aksdr/config/v1");
	assert_int_equal(json_get_hex(o, "config", "repository", bytes, 16, &e), 0);
	assert_memory_equal(bytes, recovery->repo, 16);
	assert_int_equal(json_get_u64(o, "config", "hash", &v, &e), 0);
	assert_int_equal(v, 1);
	assert_int_equal(json_get_u64(o, "config", "block", &v, &e), 0);
	assert_int_equal(v, 1048576);
	assert_int_equal(json_get_u64(o, "config", "page", &v, &e), 0);
	assert_int_equal(v, 4096);
	assert_true(json_is_integer(json_object_get(o, "created_ns")));
	const json_t *cut = json_object_get(o, "cut");
	assert_int_equal(json_get_str(cut, "cut", "function", &text, &e), 0);
	assert_string_equal(text, "gear64");
	const json_t *recipient = json_array_get(json_object_get(o, "recipients"), 0);
	assert_int_equal(json_get_hex(recipient, "recipients", "public", bytes, 32, &e), 0);
	assert_memory_equal(bytes, recovery->recovery_public, 32);
	assert_int_equal(json_get_str(recipient, "recipients", "secret", &text, &e), 0);
	assert_int_equal(strlen(text), 108); /* 80 bytes in base64 */
}

static void test_repo_open__refuses_signed_nonsense(void **state)
{
	static const struct {
		const char *in; /* object in the config, or "" */
		const char *key, *value, *says;
		enum err_class class;
	} cases[] = {
		{ "", "schema", "\"aksdr/config/v2\"", "schema", ERR_FORMAT },
		{ "", "hash", "2", "hash", ERR_FORMAT },
		{ "", "cipher", "0", "cipher", ERR_FORMAT },
		{ "", "cipher", "3", "cipher", ERR_FORMAT },
		{ "", "block", "4096", "block", ERR_FORMAT },
		{ "", "page", "8192", "page", ERR_FORMAT },
		{ "", "pack", "1000", "pack", ERR_FORMAT },
		{ "", "pack", "268435457", "pack", ERR_FORMAT },
		{ "", "cut", "7", "cut", ERR_FORMAT },
		{ "cut", "function", "\"rabin\"", "rabin", ERR_FORMAT },
		{ "cut", "min", "4095", "min", ERR_FORMAT },
		{ "cut", "avg", "262143", "avg", ERR_FORMAT },
		{ "cut", "avg", "262145", "power of two", ERR_FORMAT },
		{ "cut", "max", "1048575", "max", ERR_FORMAT },
		{ "cut", "max", "8388609", "max", ERR_FORMAT },
		{ "", "signers", "{}", "signers", ERR_FORMAT },
		{ "", "signers", "[1]", "signers", ERR_FORMAT },
		{ "", "signers", "[{\"public\":\"00\",\"name\":\"a\"}]", "public", ERR_FORMAT },
		{ "", "signers", "[]", "no signer", ERR_DENIED },
		{ "", "recipients", "7", "recipients", ERR_FORMAT },
		{ "", "recipients", "[{}]", "public", ERR_FORMAT },
		{ "", "repository", "\"00\"", "repository", ERR_FORMAT },
	};
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_json json_t *o = config_of(&f);
		auto_free char *before = json_dumps(o, 0);
		json_error_t why;

		json_t *v = json_loads(cases[i].value, JSON_DECODE_ANY, &why);
		assert_non_null(v);
		json_t *in = *cases[i].in ? json_object_get(o, cases[i].in) : o;
		assert_int_equal(json_object_set_new(in, cases[i].key, v), 0);
		auto_free char *after = json_dumps(o, 0);
		assert_non_null(after);
		resign(&f, after);
		if (try_open(&f, "agent.key", &e) != cases[i].class ||
		    !strstr(e.msg, cases[i].says))
			fail_msg("case %zu: class %d, '%s'", i, (int)e.class, e.msg);
		assert_non_null(before);
		resign(&f, before);
		assert_int_equal(try_open(&f, "agent.key", &e), ERR_NONE);
	}
}

static void test_repo_open__a_recovery_key_must_be_a_recipient(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_json json_t *o = config_of(&f);
	struct err e;

	(void)state;
	json_t *recipient = json_array_get(json_object_get(o, "recipients"), 0);
	auto_json json_t *secret = json_deep_copy(json_object_get(recipient, "secret"));
	assert_int_equal(json_object_set_new(recipient, "secret", json_string("AAAA")), 0);
	auto_free char *damaged = json_dumps(o, 0);
	assert_non_null(damaged);
	resign(&f, damaged);
	assert_int_equal(try_open(&f, "recovery.key", &e), ERR_CORRUPT);
	assert_int_equal(try_open(&f, "agent.key", &e), ERR_NONE);

	assert_int_equal(json_object_set(recipient, "secret", secret), 0);
	assert_int_equal(json_object_set_new(recipient, "public",
	                                     json_string("00000000000000000000000000000000"
	                                                 "00000000000000000000000000000001")),
	                 0);
	auto_free char *other = json_dumps(o, 0);
	assert_non_null(other);
	resign(&f, other);
	assert_int_equal(try_open(&f, "recovery.key", &e), ERR_DENIED);
	assert_non_null(strstr(e.msg, "no recipient"));
}

static void test_repo_open__makes_its_state_directory(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *deep = path_join(dir, "a/b");
	struct stat st;

	(void)state;
	for (int round = 0; round < 2; round++) {
		auto_repo struct repo *r = open_repo(&f, "audit.key", deep);
		char hex[33];

		for (size_t i = 0; i < 16; i++)
			(void)snprintf(hex + 2 * i, 3, "%02x", r->keys->repo[i]);
		auto_free char *want = path_join(deep, hex);
		assert_string_equal(r->state, want);
		assert_int_equal(stat(want, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0700);
	}
	auto_repo struct repo *r = open_repo(&f, "audit.key", "");
	assert_string_equal(r->state, "");
}

static void test_repo_open__a_state_directory_that_cannot_be(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *file = path_join(dir, "file");
	auto_free char *below = path_join(dir, "file/deeper");
	struct repo *r = NULL;
	char long_name[600];
	struct err e = ERR_INIT;

	(void)state;
	write_text(dir, "file", "");
	assert_int_equal(repo_open(f.store, load_keys(&f, "audit.key"), file, NULL, &r, &e), -1);
	assert_non_null(strstr(e.msg, "--state"));
	assert_int_equal(repo_open(f.store, load_keys(&f, "audit.key"), below, NULL, &r, &e), -1);
	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[0] = '/';
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(repo_open(f.store, load_keys(&f, "audit.key"), long_name, NULL, &r, &e),
	                 -1);
	assert_int_equal(e.class, ERR_INVALID);
}

static void test_repo_open_url__opens_a_directory(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *keys = path_join(dir, "keys");
	auto_free char *key = path_join(dir, "keys/agent.key");
	auto_free char *url = NULL;
	struct repo *r = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_true(asprintf(&url, "file://%s/store", dir) > 0);
	assert_int_equal(repo_open_url(url, 0, key, NULL, NULL, NULL, &r, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_int_equal(repo_open_url("ftp://x", 0, key, NULL, NULL, NULL, &r, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	auto_store struct store *s = store_open(url, STORE_CREATE, &e);
	assert_non_null(s);
	assert_int_equal(repo_init(s, keys, NULL, &e), 0);
	assert_int_equal(repo_open_url(url, 0, key, NULL, NULL, NULL, &r, &e), 0);
	assert_int_equal(r->keys->kind, KEY_AGENT);
	repo_free(r);
	assert_int_equal(repo_open_url(url, 0, "/nonexistent/key", NULL, NULL, NULL, &r, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
}

/* ---- points ---- */

static const struct made data1 = { "west", "shop", "data", 1, 1000, NULL };
static const struct made data2 = { "west", "shop", "data", 2, 2000, NULL };
static const struct made logs1 = { "west", "shop", "logs", 1, 1500, NULL };

static void test_repo_point__by_session(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *agent = open_repo(&f, "agent.key", NULL);
	char session[96];

	(void)state;
	make_point(agent, &data1, session);
	static const char *const names[] = { "recovery.key", "agent.key", "audit.key" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		auto_repo struct repo *r = open_repo(&f, names[i], NULL);
		CLEANUP(point_clear) struct point p = { 0 };
		struct err e = ERR_INIT;

		assert_int_equal(repo_point(r, session, &p, &e), 0);
		assert_string_equal(p.volume.name, "data");
		assert_int_equal(repo_point(r, "2026-11-22/x", &p, &e), -1);
		assert_int_equal(e.class, ERR_NOT_FOUND);
		assert_int_equal(
			repo_point(r,
		                   "2026-11-22/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c",
		                   &p, &e),
			-1);
		assert_int_equal(e.class, ERR_NOT_FOUND);
	}
}

static void test_repo_point__finds_every_flipped_byte(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	char session[96];
	char key[128];
	struct point p;
	size_t n;
	struct err e = ERR_INIT;

	(void)state;
	make_point(r, &data1, session);
	(void)snprintf(key, sizeof(key), "commit/%s", session);
	auto_free uint8_t *object = object_get(f.store, key, &n);
	for (size_t i = 0; i < n; i++) {
		object[i] ^= 0x20;
		object_set(f.store, key, object, n);
		assert_int_equal(repo_point(r, session, &p, &e), -1);
		assert_true(e.class == ERR_CORRUPT || e.class == ERR_FORMAT ||
		            e.class == ERR_DENIED);
		object[i] ^= 0x20;
	}
	auto_free uint8_t *big = calloc(1, 5 * MIB);
	assert_non_null(big);
	object_set(f.store, key, big, 5 * MIB);
	assert_int_equal(repo_point(r, session, &p, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
}

static void test_repo_point__a_point_under_another_name_is_refused(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	struct point p;
	struct point q;
	char session[96];
	struct err e = ERR_INIT;

	(void)state;
	/* a signer that gives its point the name of another volume's session */
	made_point(r, &data1, &p);
	(void)snprintf(p.volume.name, sizeof(p.volume.name), "logs");
	memcpy(session, p.session, sizeof(session));
	assert_int_equal(session_commit(r, &p, &e), 0);
	assert_int_equal(repo_point(r, session, &q, &e), -1);
	assert_int_equal(e.class, ERR_CORRUPT);
	assert_non_null(strstr(e.msg, "another name"));
}

struct seen {
	char names[8][32];
	uint64_t sequences[8];
	size_t n;
	size_t bad;
	enum err_class bad_class;
	size_t stop_at;
};

static int see(void *arg, const struct point *p, struct err *e)
{
	struct seen *s = arg;

	assert_true(s->n < 8);
	(void)snprintf(s->names[s->n], sizeof(s->names[0]), "%.20s", p->volume.name);
	s->sequences[s->n++] = p->sequence;
	return s->n == s->stop_at ? err_set(e, ERR_CANCELLED, "enough") : 0;
}

static int see_bad(void *arg, const char *key, const struct err *why, struct err *e)
{
	struct seen *s = arg;

	(void)e;
	assert_memory_equal(key, "commit/", 7);
	s->bad++;
	s->bad_class = why->class;
	return 0;
}

/* Three points, in order of key: data 2, logs 1, data 1. */
static void make_three(const struct repo *r, char sessions[3][96])
{
	static const char *const days[] = { "2026-01-01", "2026-02-01", "2026-03-01" };
	const struct made *const made[] = { &data2, &logs1, &data1 };

	for (unsigned i = 0; i < 3; i++) {
		struct made m = *made[i];

		session_on(r, &m, days[i], i + 1, sessions[i]);
		m.session = sessions[i];
		make_point(r, &m, NULL);
	}
}

static void test_repo_points__in_order_of_key_and_of_one_volume(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "audit.key", NULL);
	auto_repo struct repo *agent = open_repo(&f, "agent.key", NULL);
	struct seen s = { 0 };
	char sessions[3][96];
	char voltag[17] = "";
	struct err e = ERR_INIT;

	(void)state;
	make_three(agent, sessions);
	assert_int_equal(repo_points(r, NULL, see, NULL, &s, &e), 0);
	assert_int_equal(s.n, 3);
	assert_string_equal(s.names[0], "data");
	assert_string_equal(s.names[1], "logs");
	assert_string_equal(s.names[2], "data");
	assert_int_equal(s.sequences[0], 2);
	s = (struct seen){ 0 };
	memcpy(voltag, sessions[0] + POINT_SESSION_VOLTAG, 16);
	assert_int_equal(repo_points(r, voltag, see, NULL, &s, &e), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.sequences[0], 2);
	assert_int_equal(s.sequences[1], 1);
	s = (struct seen){ .stop_at = 2 };
	assert_int_equal(repo_points(r, NULL, see, NULL, &s, &e), -1);
	assert_int_equal(e.class, ERR_CANCELLED);
}

static void test_repo_points__bad_commits_are_told_or_fail(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	struct seen s = { 0 };
	char sessions[3][96];
	char key[128];
	struct err e = ERR_INIT;

	(void)state;
	make_three(r, sessions);
	(void)snprintf(key, sizeof(key), "commit/%s", sessions[1]);
	object_set(f.store, key, "junk", 4);
	object_set(f.store, "commit/2026-02-02/stranger", "junk", 4);
	assert_int_equal(repo_points(r, NULL, see, see_bad, &s, &e), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.bad, 1); /* the stranger is no commit */
	assert_int_equal(s.bad_class, ERR_FORMAT);
	s = (struct seen){ 0 };
	assert_int_equal(repo_points(r, NULL, see, NULL, &s, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
}

static void test_repo_points__a_signed_commit_over_the_limit_is_a_bad_one(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	CLEANUP(buf_clear) struct buf object = BUF_INIT(8 * MIB);
	auto_free char *plain = malloc(FORMAT_POINT_MAX + 1);
	struct seen s = { 0 };
	char sessions[3][96];
	char key[128];
	uint8_t point_key[32];
	struct err e = ERR_INIT;

	(void)state;
	make_three(r, sessions);
	(void)snprintf(key, sizeof(key), "commit/%s", sessions[1]);
	assert_non_null(plain);
	memset(plain, ' ', FORMAT_POINT_MAX + 1);
	assert_int_equal(keys_point_key(r->keys, point_key, &e), 0);
	assert_int_equal(crypt_object_seal(r->keys, FORMAT_KIND_POINT, point_key, key, plain,
	                                   FORMAT_POINT_MAX + 1, &object, &e),
	                 0);
	object_set(f.store, key, object.data, object.len);
	assert_int_equal(repo_points(r, NULL, see, see_bad, &s, &e), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.bad, 1);
	assert_int_equal(s.bad_class, ERR_FORMAT);
}

static void test_repo_points__a_store_that_fails_is_no_bad_commit(void **state)
{
	struct plan plan = { CALL_GET, FAULT_FAIL, 0 };
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	struct seen s = { 0 };
	char sessions[3][96];
	struct err e = ERR_INIT;

	(void)state;
	f.store = store_fault_new(f.store, planned, &plan, &e);
	assert_non_null(f.store);
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	make_three(r, sessions);
	plan.left = 100;
	assert_int_equal(repo_points(r, NULL, see, see_bad, &s, &e), -1);
	assert_int_equal(e.class, ERR_RETRY);
	assert_int_equal(s.bad, 0);
}

static void test_repo_points__can_be_cancelled(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *agent = open_repo(&f, "agent.key", NULL);
	struct cancel cancel;
	struct repo *r = NULL;
	struct seen s = { 0 };
	char sessions[3][96];
	struct err e = ERR_INIT;

	(void)state;
	make_three(agent, sessions);
	assert_int_equal(cancel_init(&cancel), 0);
	assert_int_equal(repo_open(f.store, load_keys(&f, "audit.key"), NULL, &cancel, &r, &e), 0);
	cancel_request(&cancel);
	assert_int_equal(repo_points(r, NULL, see, see_bad, &s, &e), -1);
	assert_int_equal(e.class, ERR_CANCELLED);
	repo_free(r);
	cancel_clear(&cancel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_repo_init__makes_a_config_and_three_key_files),
		cmocka_unit_test(test_repo_init__each_key_opens_it_as_far_as_it_may),
		cmocka_unit_test(test_repo_init__a_passphrase_wraps_the_recovery_key_only),
		cmocka_unit_test(test_repo_init__never_touches_a_repository_that_is_there),
		cmocka_unit_test(test_repo_init__never_replaces_a_key_file),
		cmocka_unit_test(test_repo_init__leaves_nothing_when_the_store_refuses),
		cmocka_unit_test(test_repo_init__a_directory_that_cannot_be_made),
		cmocka_unit_test(test_repo_init__a_lost_answer_is_looked_after),
		cmocka_unit_test(test_repo_init__faults_of_the_store_are_errors),
		cmocka_unit_test(test_repo_init__refuses_a_store_that_replaces_objects),
		cmocka_unit_test(test_repo_open__says_when_there_is_none),
		cmocka_unit_test(test_repo_open__refuses_the_key_of_another_repository),
		cmocka_unit_test(test_repo_open__finds_every_flipped_bit_and_every_cut),
		cmocka_unit_test(test_repo_open__versions_and_features_from_the_future_are_named),
		cmocka_unit_test(test_repo_open__config_is_as_the_format_says),
		cmocka_unit_test(test_repo_open__refuses_signed_nonsense),
		cmocka_unit_test(test_repo_open__a_recovery_key_must_be_a_recipient),
		cmocka_unit_test(test_repo_open__makes_its_state_directory),
		cmocka_unit_test(test_repo_open__a_state_directory_that_cannot_be),
		cmocka_unit_test(test_repo_open_url__opens_a_directory),
		cmocka_unit_test(test_repo_point__by_session),
		cmocka_unit_test(test_repo_point__finds_every_flipped_byte),
		cmocka_unit_test(test_repo_point__a_point_under_another_name_is_refused),
		cmocka_unit_test(test_repo_points__in_order_of_key_and_of_one_volume),
		cmocka_unit_test(test_repo_points__bad_commits_are_told_or_fail),
		cmocka_unit_test(test_repo_points__a_signed_commit_over_the_limit_is_a_bad_one),
		cmocka_unit_test(test_repo_points__a_store_that_fails_is_no_bad_commit),
		cmocka_unit_test(test_repo_points__can_be_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
