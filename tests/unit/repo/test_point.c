/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restore points as JSON: what is written comes back, and what makes no sense is refused by
 * name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/json.h"
#include "repo/point.h"
#include "tests/unit/repo/fixture.h"

#define SESSION "2026-11-22/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"
#define OLDER "2026-11-21/03fa41b2c19de077-00112233445566778899aabbccddeeff"

/* A point with every field set. */
static struct point sample(void)
{
	struct point p = {
		.session = SESSION,
		.id = "5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c",
		.set = "000102030405060708090a0b0c0d0e0f",
		.volume = { .name = "data-db-0",
		            .cluster = "west",
		            .namespace = "shop",
		            .uid = "6f1c2f0e-7d0a-4b59-9a3c-2f8f6f6a0001",
		            .block = true },
		.domain = "west/shop",
		.sequence = 12,
		.previous_session = OLDER,
		.previous_hash = { 1, 2, 3 },
		.started_ns = 1795341845123456789,
		.frozen_ns = 1795341846000000000,
		.finished_ns = 1795341900000000001,
		.consistency = "application",
		.driver = "btrfs",
		.root = { .id = { 9, 8, 7 },
		          .pack = { 6, 5 },
		          .off = 158,
		          .stored = 1000,
		          .plain = 4000,
		          .counter = 77,
		          .key = 1,
		          .compression = COMPRESSION_ZSTD,
		          .kind = CHUNK_NODE },
		.levels = 3,
		.files = 31000,
		.directories = 2500,
		.others = 12,
		.bytes_logical = 9007199254740993, /* more than a double can hold */
		.bytes_read = 1000,
		.bytes_new = 900,
		.bytes_stored = 400,
		.unreadable = 2,
		.changed = 1,
		.gone = 3,
		.host = "node-7",
		.agent = "aksdr 0.1.0",
		.epoch = 4,
		.config = 3,
	};

	p.index = calloc(2, sizeof(*p.index));
	if (!p.index)
		harness_die("no memory");
	p.index[p.nindex++] = strdup("idx/b5ded8e72cee3ec3/" SESSION "-0000");
	p.index[p.nindex++] = strdup("idx/b5ded8e72cee3ec3/" SESSION "-0001");
	if (point_problem_add(&p, "etc/shadow", 10, "Permission denied") < 0 ||
	    point_problem_add(&p, "odd\n\xff\\x", 7, "gone") < 0)
		harness_die("no memory");
	return p;
}

/* JSON text of a point, NUL-terminated; the caller frees. */
static char *text_of(const struct point *p)
{
	struct buf b = BUF_INIT(FORMAT_POINT_MAX);
	struct err e = ERR_INIT;
	size_t n;

	if (point_encode(p, &b, &e) < 0)
		fail_msg("%s", e.msg);
	(void)buf_u8(&b, 0);
	return (char *)buf_steal(&b, &n);
}

static void assert_same_point(const struct point *a, const struct point *b)
{
	assert_string_equal(a->session, b->session);
	assert_string_equal(a->id, b->id);
	assert_string_equal(a->set, b->set);
	assert_string_equal(a->volume.name, b->volume.name);
	assert_string_equal(a->volume.cluster, b->volume.cluster);
	assert_string_equal(a->volume.namespace, b->volume.namespace);
	assert_string_equal(a->volume.uid, b->volume.uid);
	assert_int_equal(a->volume.block, b->volume.block);
	assert_string_equal(a->domain, b->domain);
	assert_int_equal(a->sequence, b->sequence);
	assert_string_equal(a->previous_session, b->previous_session);
	assert_memory_equal(a->previous_hash, b->previous_hash, 32);
	assert_int_equal(a->started_ns, b->started_ns);
	assert_int_equal(a->frozen_ns, b->frozen_ns);
	assert_int_equal(a->finished_ns, b->finished_ns);
	assert_string_equal(a->consistency, b->consistency);
	assert_string_equal(a->driver, b->driver);
	assert_memory_equal(a->root.id, b->root.id, 32);
	assert_memory_equal(a->root.pack, b->root.pack, 16);
	assert_int_equal(a->root.off, b->root.off);
	assert_int_equal(a->root.stored, b->root.stored);
	assert_int_equal(a->root.plain, b->root.plain);
	assert_int_equal(a->root.counter, b->root.counter);
	assert_int_equal(a->root.key, b->root.key);
	assert_int_equal(a->root.compression, b->root.compression);
	assert_int_equal(a->root.kind, b->root.kind);
	assert_int_equal(a->levels, b->levels);
	assert_int_equal(a->nindex, b->nindex);
	for (size_t i = 0; i < a->nindex; i++)
		assert_string_equal(a->index[i], b->index[i]);
	assert_int_equal(a->files, b->files);
	assert_int_equal(a->directories, b->directories);
	assert_int_equal(a->others, b->others);
	assert_int_equal(a->bytes_logical, b->bytes_logical);
	assert_int_equal(a->bytes_read, b->bytes_read);
	assert_int_equal(a->bytes_new, b->bytes_new);
	assert_int_equal(a->bytes_stored, b->bytes_stored);
	assert_int_equal(a->unreadable, b->unreadable);
	assert_int_equal(a->changed, b->changed);
	assert_int_equal(a->gone, b->gone);
	assert_int_equal(a->nproblems, b->nproblems);
	for (size_t i = 0; i < a->nproblems; i++) {
		assert_string_equal(a->problems[i].path, b->problems[i].path);
		assert_string_equal(a->problems[i].why, b->problems[i].why);
	}
	assert_string_equal(a->host, b->host);
	assert_string_equal(a->agent, b->agent);
	assert_int_equal(a->epoch, b->epoch);
	assert_int_equal(a->config, b->config);
}

static void test_point_encode__everything_comes_back(void **state)
{
	CLEANUP(point_clear) struct point p = sample();
	CLEANUP(point_clear) struct point q = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	auto_free char *text = text_of(&p);
	assert_int_equal(point_decode((const uint8_t *)text, strlen(text), &q, &e), 0);
	assert_same_point(&p, &q);
}

static void test_point_encode__tells_of_the_view(void **state)
{
	CLEANUP(point_clear) struct point p = sample();
	CLEANUP(point_clear) struct point q = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	p.capture.asked_ns = 5;
	memcpy(p.capture.token, "token", 6);
	assert_int_equal(capture_add_note(&p.capture, "not all", &e), 0);
	auto_free char *text = text_of(&p);
	assert_non_null(strstr(text, "\"capture\":{\"notes\":[\"not all\"],\"token\":\"token\","
	                             "\"window\":{\"asked_ns\":5,\"frozen_ns\":0,"
	                             "\"thawed_ns\":0}},"));
	assert_int_equal(point_decode((const uint8_t *)text, strlen(text), &q, &e), 0);
	assert_same_point(&p, &q);
	assert_string_equal(q.capture.token, "token");
	assert_int_equal(q.capture.nnotes, 1);
}

static void test_point_encode__first_point_has_no_previous(void **state)
{
	CLEANUP(point_clear) struct point p = sample();
	CLEANUP(point_clear) struct point q = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	p.previous_session[0] = '\0';
	memset(p.previous_hash, 0, 32);
	p.volume.block = false;
	auto_free char *text = text_of(&p);
	assert_non_null(strstr(text, "\"previous\":null"));
	assert_non_null(strstr(text, "\"kind\":\"filesystem\""));
	assert_int_equal(point_decode((const uint8_t *)text, strlen(text), &q, &e), 0);
	assert_same_point(&p, &q);
}

static void test_point_encode__members_have_the_names_of_the_format(void **state)
{
	CLEANUP(point_clear) struct point p = sample();

	(void)state;
	auto_free char *text = text_of(&p);
	assert_string_equal(
		text,
		"{\"agent\":\"aksdr 0.1.0\","
		"\"bytes\":{\"logical\":9007199254740993,\"new\":900,\"read\":1000,\"stored\":400},"
		"\"config\":3,\"consistency\":\"application\",\"directories\":2500,"
		"\"domain\":\"west/shop\","
		"\"driver\":\"btrfs\",\"epoch\":4,\"files\":31000,"
		"\"finished_ns\":1795341900000000001,\"frozen_ns\":1795341846000000000,"
		"\"host\":\"node-7\","
		"\"index\":[\"idx/b5ded8e72cee3ec3/" SESSION "-0000\","
		"\"idx/b5ded8e72cee3ec3/" SESSION "-0001\"],"
		"\"others\":12,\"point\":\"5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c\","
		"\"previous\":{\"hash\":"
		"\"0102030000000000000000000000000000000000000000000000000000000000\","
		"\"session\":\"" OLDER "\"},"
		"\"problems\":{\"changed\":1,\"gone\":3,\"paths\":["
		"{\"path\":\"etc/shadow\",\"why\":\"Permission denied\"},"
		"{\"path\":\"odd\\\\x0a\\\\xff\\\\x5cx\",\"why\":\"gone\"}],\"unreadable\":2},"
		"\"schema\":\"aksdr/point/v1\",\"sequence\":12,\"session\":\"" SESSION "\","
		"\"set\":\"000102030405060708090a0b0c0d0e0f\",\"started_ns\":1795341845123456789,"
		"\"tree\":{\"compression\":1,\"counter\":77,"
		"\"id\":\"0908070000000000000000000000000000000000000000000000000000000000\","
		"\"key\":1,\"levels\":3,\"offset\":158,"
		"\"pack\":\"06050000000000000000000000000000\",\"plain\":4000,\"stored\":1000},"
		"\"volume\":{\"cluster\":\"west\",\"kind\":\"block\",\"name\":\"data-db-0\","
		"\"namespace\":\"shop\",\"uid\":\"6f1c2f0e-7d0a-4b59-9a3c-2f8f6f6a0001\"}}");
}

static void test_point_encode__refuses_names_that_are_no_text(void **state)
{
	CLEANUP(point_clear) struct point p = sample();
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FORMAT_POINT_MAX);
	struct err e = ERR_INIT;

	(void)state;
	p.volume.name[0] = '\xff';
	assert_int_equal(point_encode(&p, &b, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_non_null(strstr(e.msg, "name of the volume"));
}

/* ---- decoding ---- */

/* Decodes the sample after a change of its JSON; class of the error. */
static enum err_class decode_changed(void (*change)(json_t *o), struct err *e)
{
	CLEANUP(point_clear) struct point p = sample();
	CLEANUP(point_clear) struct point q = { 0 };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FORMAT_POINT_MAX);
	auto_free char *text = text_of(&p);

	*e = (struct err)ERR_INIT;
	auto_json json_t *o = json_parse("test", text, strlen(text), e);
	if (!o)
		harness_die("%s", e->msg);
	change(o);
	if (json_write(o, &b, e) < 0)
		harness_die("%s", e->msg);
	return point_decode(b.data, b.len, &q, e) < 0 ? e->class : ERR_NONE;
}

/* The member that a path like "volume.name" names in o; *ret_key is its own name. */
static json_t *holder(json_t *o, const char *path, const char **ret_key)
{
	const char *dot = strchr(path, '.');

	*ret_key = dot ? dot + 1 : path;
	if (!dot)
		return o;
	json_t *x = json_object_getn(o, path, (size_t)(dot - path));
	assert_non_null(x);
	return x;
}

static const char *removed;

static void remove_member(json_t *o)
{
	const char *key;
	json_t *x = holder(o, removed, &key);

	assert_int_equal(json_object_del(x, key), 0);
}

static void null_member(json_t *o)
{
	const char *key;
	json_t *x = holder(o, removed, &key);

	assert_int_equal(json_object_set_new(x, key, json_null()), 0);
}

static void test_point_decode__members_are_required_or_not(void **state)
{
	static const struct {
		const char *member;
		bool required;
	} members[] = {
		{ "schema", true },
		{ "session", true },
		{ "point", true },
		{ "set", false },
		{ "volume", true },
		{ "volume.name", true },
		{ "volume.kind", true },
		{ "volume.cluster", false },
		{ "volume.namespace", false },
		{ "volume.uid", false },
		{ "domain", true },
		{ "sequence", true },
		{ "previous", false },
		{ "previous.session", true },
		{ "previous.hash", true },
		{ "started_ns", true },
		{ "frozen_ns", true },
		{ "finished_ns", true },
		{ "consistency", true },
		{ "driver", false },
		{ "tree", true },
		{ "tree.id", true },
		{ "tree.pack", true },
		{ "tree.offset", true },
		{ "tree.stored", true },
		{ "tree.plain", true },
		{ "tree.counter", true },
		{ "tree.key", true },
		{ "tree.compression", true },
		{ "tree.levels", true },
		{ "index", false },
		{ "files", false },
		{ "directories", false },
		{ "others", false },
		{ "bytes", false },
		{ "bytes.logical", false },
		{ "bytes.read", false },
		{ "bytes.new", false },
		{ "bytes.stored", false },
		{ "problems", false },
		{ "problems.unreadable", false },
		{ "problems.paths", false },
		{ "host", false },
		{ "agent", false },
		{ "epoch", false },
		{ "config", false },
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		enum err_class want = members[i].required ? ERR_FORMAT : ERR_NONE;

		removed = members[i].member;
		if (decode_changed(remove_member, &e) != want ||
		    decode_changed(null_member, &e) != want)
			fail_msg("member '%s': '%s'", removed, e.msg);
		if (want) {
			const char *last = strrchr(removed, '.');
			assert_non_null(strstr(e.msg, last ? last + 1 : removed));
		}
	}
}

static const char *set_path;
static const char *set_json;

static void set_member(json_t *o)
{
	const char *key;
	json_t *x = holder(o, set_path, &key);
	json_error_t why;
	json_t *v = json_loads(set_json, JSON_DECODE_ANY, &why);

	assert_non_null(v);
	assert_int_equal(json_object_set_new(x, key, v), 0);
}

static void test_point_decode__refuses_values_that_make_no_sense(void **state)
{
	static const struct {
		const char *member, *value;
	} cases[] = {
		{ "schema", "\"aksdr/point/v2\"" },
		{ "session", "\"2026-11-22/03fa41b2c19de077\"" },
		{ "session", "\"" OLDER "\"" }, /* not that of the id */
		{ "session", "12" },
		{ "point", "\"5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0d\"" },
		{ "set", "\"xyz\"" },
		{ "set", "\"0001020304050607\"" },
		{ "volume", "\"data\"" },
		{ "volume.name", "\"\"" },
		{ "volume.kind", "\"tape\"" },
		{ "volume.uid", "7" },
		{ "domain", "\"\"" },
		{ "sequence", "0" },
		{ "sequence", "-1" },
		{ "sequence", "1.5" },
		{ "sequence", "\"1\"" },
		{ "previous", "\"" OLDER "\"" },
		{ "previous.session", "\"yesterday\"" },
		{ "previous.hash", "\"00\"" },
		{ "started_ns", "1e9" },
		{ "consistency", "\"perfect\"" },
		{ "tree", "[]" },
		{ "tree.id", "\"0908\"" },
		{ "tree.offset", "268435457" },
		{ "tree.stored", "16" },
		{ "tree.stored", "8388625" },
		{ "tree.plain", "0" },
		{ "tree.plain", "8388609" },
		{ "tree.counter", "4294967296" },
		{ "tree.key", "4096" },
		{ "tree.compression", "2" },
		{ "tree.levels", "0" },
		{ "tree.levels", "17" },
		{ "index", "{}" },
		{ "index", "[1]" },
		{ "index", "[\"pack/ab/cd\"]" },
		{ "index", "[\"idx/../config\"]" },
		{ "index", "[\"idx/ABC\"]" },
		{ "files", "-1" },
		{ "bytes", "7" },
		{ "bytes.read", "-1" },
		{ "problems", "7" },
		{ "problems.gone", "\"3\"" },
		{ "problems.paths", "{}" },
		{ "problems.paths", "[\"a\"]" },
		{ "problems.paths", "[{\"path\":\"a\"}]" },
		{ "problems.paths", "[{\"path\":\"a\",\"why\":\"b\"},{\"path\":1,\"why\":\"b\"}]" },
		{ "host", "[]" },
		{ "epoch", "-1" },
		{ "config", "\"2\"" },
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		set_path = cases[i].member;
		set_json = cases[i].value;
		if (decode_changed(set_member, &e) != ERR_FORMAT)
			fail_msg("'%s' = %s was taken", set_path, set_json);
	}
}

static void test_point_decode__refuses_what_is_too_long(void **state)
{
	static const struct {
		const char *member;
		size_t longest;
	} cases[] = {
		{ "volume.name", 255 }, { "volume.cluster", 255 }, { "volume.namespace", 255 },
		{ "volume.uid", 63 },   { "domain", 127 },         { "driver", 31 },
		{ "host", 255 },        { "agent", 63 },
	};
	char text[300];
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t n = cases[i].longest;

		set_path = cases[i].member;
		set_json = text;
		memset(text, 'x', sizeof(text));
		text[0] = '"';
		text[n + 1] = '"';
		text[n + 2] = '\0';
		assert_int_equal(decode_changed(set_member, &e), ERR_NONE);
		text[n + 1] = 'x';
		text[n + 2] = '"';
		text[n + 3] = '\0';
		assert_int_equal(decode_changed(set_member, &e), ERR_FORMAT);
	}
}

static void test_point_decode__unknown_members_are_passed_over(void **state)
{
	struct err e;

	(void)state;
	set_path = "hooks";
	set_json = "[{\"name\":\"pre\",\"status\":0}]";
	assert_int_equal(decode_changed(set_member, &e), ERR_NONE);
}

static void test_point_decode__refuses_what_is_no_json(void **state)
{
	static const char *const texts[] = { "",
		                             "x",
		                             "[]",
		                             "{}",
		                             "\"aksdr/point/v1\"",
		                             "{\"schema\":",
		                             "{\"schema\":\"aksdr/point/v1\"}" };
	struct point p;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		e = (struct err)ERR_INIT;
		assert_int_equal(point_decode((const uint8_t *)texts[i], strlen(texts[i]), &p, &e),
		                 -1);
		assert_int_equal(e.class, ERR_FORMAT);
	}
	auto_free uint8_t *big = malloc(FORMAT_POINT_MAX + 1);
	assert_non_null(big);
	memset(big, ' ', FORMAT_POINT_MAX + 1);
	assert_int_equal(point_decode(big, FORMAT_POINT_MAX + 1, &p, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
}

/* ---- problems ---- */

static void test_point_problem_add__the_first_thousand_are_kept(void **state)
{
	CLEANUP(point_clear) struct point p = { 0 };
	char path[32];

	(void)state;
	for (int i = 0; i < 1100; i++) {
		int n = snprintf(path, sizeof(path), "file-%d", i);

		assert_int_equal(point_problem_add(&p, path, (size_t)n, "gone"), 0);
	}
	assert_int_equal(p.nproblems, POINT_PROBLEMS_MAX);
	assert_string_equal(p.problems[999].path, "file-999");
}

static void test_point_problem_add__long_paths_do_not_burst_the_object(void **state)
{
	CLEANUP(point_clear) struct point p = sample();
	CLEANUP(point_clear) struct point q = { 0 };
	auto_free char *path = malloc(FORMAT_PATH_MAX);
	struct err e = ERR_INIT;

	(void)state;
	assert_non_null(path);
	memset(path, '\\', FORMAT_PATH_MAX); /* five characters each in JSON */
	for (int i = 0; i < 200; i++)
		assert_int_equal(point_problem_add(&p, path, FORMAT_PATH_MAX, "gone"), 0);
	assert_true(p.nproblems > 5 && p.nproblems < 100);
	auto_free char *text = text_of(&p);
	assert_true(strlen(text) < FORMAT_POINT_MAX);
	assert_int_equal(point_decode((const uint8_t *)text, strlen(text), &q, &e), 0);
	assert_int_equal(q.nproblems, p.nproblems);
}

static void test_point_problem_add__reasons_become_text(void **state)
{
	CLEANUP(point_clear) struct point p = sample();
	CLEANUP(point_clear) struct point q = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(point_problem_add(&p, "a", 1, "opening '\xff\x01': no"), 0);
	auto_free char *text = text_of(&p);
	assert_int_equal(point_decode((const uint8_t *)text, strlen(text), &q, &e), 0);
	assert_string_equal(q.problems[2].why, "opening '\\xff\\x01': no");
}

/* ---- names and order ---- */

static void test_point_session_valid__form(void **state)
{
	static const char *const bad[] = {
		"",
		"2026-11-22",
		"2026-11-22/03fa41b2c19de077",
		"2026-11-22/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0",
		"2026-11-22/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c0",
		"2026-11-22/03FA41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c",
		"2026-11-22/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0g",
		"2026/11/22/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c",
		"x026-11-22/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c",
	};

	(void)state;
	assert_true(point_session_valid(SESSION));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(point_session_valid(bad[i]));
}

static void test_point_voltag__is_what_the_format_says(void **state)
{
	/* RS is 00 01 .. 1f; the tags are from Python's hashlib */
	static const char key[] =
		"aksdr agent key 1\n"
		"repository: a0a1a2a3a4a5a6a7a8a9aaabacadaeaf\n"
		"secret: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
		"sign: YGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn8=\n"
		"admin-public: "
		"174553b456dddfc6908ecab1c101fe6ab21e2baa0617795b7d43a63482993fd5\n"
		"recipient: "
		"79a631eede1bf9c98f12032cdeadd0e7a079398fc786b88cc846ec89af85a51a\n";
	const struct point_volume in_cluster = { .cluster = "west",
		                                 .namespace = "shop",
		                                 .name = "data" };
	const struct point_volume alone = { .name = "data" };
	struct keys *k = NULL;
	char tag[17];
	bool needs;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(keys_parse((const uint8_t *)key, sizeof(key) - 1, NULL, &k, &needs, &e),
	                 0);
	assert_int_equal(point_voltag(k, &in_cluster, tag, &e), 0);
	assert_string_equal(tag, "81303f5427bdb2b0");
	assert_int_equal(point_voltag(k, &alone, tag, &e), 0);
	assert_string_equal(tag, "043883535e44d055");
	keys_free(k);
}

static void test_point_voltag__needs_the_metadata_key(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	const struct point_volume v = { .name = "data" };
	char tag[17];
	struct err e = ERR_INIT;

	(void)state;
	f.recovery->has_mm = false;
	assert_int_equal(point_voltag(f.recovery, &v, tag, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
}

static void test_point_cmp__sequence_then_receipt_then_session(void **state)
{
	const struct point a = { .sequence = 2, .received_ns = 10, .session = "b" };
	const struct point by_sequence = { .sequence = 3, .received_ns = 1, .session = "a" };
	const struct point by_receipt = { .sequence = 2, .received_ns = 11, .session = "a" };
	const struct point by_session = { .sequence = 2, .received_ns = 10, .session = "c" };

	(void)state;
	assert_true(point_cmp(&a, &by_sequence) < 0 && point_cmp(&by_sequence, &a) > 0);
	assert_true(point_cmp(&a, &by_receipt) < 0 && point_cmp(&by_receipt, &a) > 0);
	assert_true(point_cmp(&a, &by_session) < 0 && point_cmp(&by_session, &a) > 0);
	assert_int_equal(point_cmp(&a, &a), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_point_encode__everything_comes_back),
		cmocka_unit_test(test_point_encode__tells_of_the_view),
		cmocka_unit_test(test_point_encode__first_point_has_no_previous),
		cmocka_unit_test(test_point_encode__members_have_the_names_of_the_format),
		cmocka_unit_test(test_point_encode__refuses_names_that_are_no_text),
		cmocka_unit_test(test_point_decode__members_are_required_or_not),
		cmocka_unit_test(test_point_decode__refuses_values_that_make_no_sense),
		cmocka_unit_test(test_point_decode__refuses_what_is_too_long),
		cmocka_unit_test(test_point_decode__unknown_members_are_passed_over),
		cmocka_unit_test(test_point_decode__refuses_what_is_no_json),
		cmocka_unit_test(test_point_problem_add__the_first_thousand_are_kept),
		cmocka_unit_test(test_point_problem_add__long_paths_do_not_burst_the_object),
		cmocka_unit_test(test_point_problem_add__reasons_become_text),
		cmocka_unit_test(test_point_session_valid__form),
		cmocka_unit_test(test_point_voltag__is_what_the_format_says),
		cmocka_unit_test(test_point_voltag__needs_the_metadata_key),
		cmocka_unit_test(test_point_cmp__sequence_then_receipt_then_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
