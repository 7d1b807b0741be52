/* SPDX-License-Identifier: Apache-2.0 */
/* Markers, beats, commits and aborts: what is put, who may, and what a taken key means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "common/json.h"
#include "repo/crypt.h"
#include "repo/session.h"
#include "tests/unit/repo/note_kit.h"
#include "tests/unit/repo/repo_fixture.h"

static const struct made sample = { "west", "shop", "data", 1, 1795341846000000000, NULL };

static void test_session_begin__puts_a_sealed_marker(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	const struct point_volume v = { .cluster = "west", .namespace = "shop", .name = "data" };
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(MIB);
	char session[96];
	char key_name[128];
	char tag[17];
	uint8_t key[32];
	uint8_t signer[8];
	const char *text;
	size_t n;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(session_begin(r, &v, "test", session, &e), 0);
	assert_true(point_session_valid(session));
	assert_int_equal(point_voltag(r->keys, &v, tag, &e), 0);
	assert_memory_equal(session + POINT_SESSION_VOLTAG, tag, 16);
	(void)snprintf(key_name, sizeof(key_name), "sess/%s", session);
	auto_free uint8_t *object = object_get(f.store, key_name, &n);
	assert_int_equal(keys_point_key(r->keys, key, &e), 0);
	assert_int_equal(crypt_object_open(r->keys, 'S', key, key_name, object, n, &plain, signer,
	                                   &e),
	                 0);
	auto_json json_t *o = json_parse("marker", plain.data, plain.len, &e);
	assert_non_null(o);
	assert_int_equal(json_get_str(o, "marker", "schema", &text, &e), 0);
	assert_string_equal(text, "aksdr/session/v1");
	assert_int_equal(json_get_str(o, "marker", "session", &text, &e), 0);
	assert_string_equal(text, session);
	assert_true(json_is_integer(json_object_get(o, "started_ns")));
}

static void test_session_begin__each_has_a_name_of_its_own(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	const struct point_volume v = { .name = "data" };
	char a[96];
	char b[96];
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(session_begin(r, &v, "test", a, &e), 0);
	assert_int_equal(session_begin(r, &v, "test", b, &e), 0);
	assert_string_not_equal(a, b);
	assert_int_equal(object_count(f.store, "sess/"), 2);
}

static void test_session_begin__an_auditor_may_not(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "audit.key", NULL);
	const struct point_volume v = { .name = "data" };
	char session[96];
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(session_begin(r, &v, "test", session, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
	assert_int_equal(object_count(f.store, ""), 1); /* the config */
}

static void test_session_commit__the_point_is_there(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	CLEANUP(point_clear) struct point p = { 0 };
	CLEANUP(point_clear) struct point q = { 0 };
	char key_name[128];
	uint8_t sum[32];
	size_t n;
	struct err e = ERR_INIT;

	(void)state;
	made_point(r, &sample, &p);
	assert_int_equal(session_commit(r, &p, &e), 0);
	(void)snprintf(key_name, sizeof(key_name), "commit/%s", p.session);
	auto_free uint8_t *object = object_get(f.store, key_name, &n);
	crypt_sha256(sum, object, n);
	assert_memory_equal(sum, p.hash, 32);
	assert_memory_equal(p.signer, r->keys->signer_id, 8);
	assert_int_equal(repo_point(r, p.session, &q, &e), 0);
	assert_memory_equal(q.hash, p.hash, 32);
	assert_memory_equal(q.signer, p.signer, 8);
	assert_int_equal(q.sequence, 1);
	assert_true(q.received_ns > 0);
}

static void test_session_commit__a_taken_key_means_fenced(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	CLEANUP(point_clear) struct point p = { 0 };
	char key_name[128];
	struct err e = ERR_INIT;

	(void)state;
	made_point(r, &sample, &p);
	(void)snprintf(key_name, sizeof(key_name), "commit/%s", p.session);
	object_set(f.store, key_name, "fence", 5);
	assert_int_equal(session_commit(r, &p, &e), -1);
	assert_int_equal(e.class, ERR_BUSY);
	assert_non_null(strstr(e.msg, "fenced"));
}

struct lose {
	const char *prefix;
	unsigned left; /* puts that are applied, and whose answer is lost */
};

static enum store_fault lose_answers(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct lose *l = arg;

	(void)n;
	if (call != CALL_PUT || l->left == 0 || strncmp(key, l->prefix, strlen(l->prefix)) != 0)
		return FAULT_NONE;
	l->left--;
	return FAULT_APPLIED_LOST;
}

/* No waiting between tries. */
static void no_wait(void *arg, int64_t ms)
{
	(void)arg;
	(void)ms;
}

static void test_session__lost_answers_are_not_taken_for_fences(void **state)
{
	const struct store_retry_params params = {
		.budget_ms = 10000, .first_ms = 1, .longest_ms = 1, .wait_ms = no_wait
	};
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	struct lose lose = { .prefix = "sess/", .left = 1 };
	CLEANUP(point_clear) struct point p = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	f.store = store_fault_new(f.store, lose_answers, &lose, &e);
	assert_non_null(f.store);
	f.store = store_retry_new(f.store, &params, &e);
	assert_non_null(f.store);
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	made_point(r, &sample, &p); /* begins a session */
	assert_int_equal(lose.left, 0);
	lose = (struct lose){ .prefix = "commit/", .left = 1 };
	assert_int_equal(session_commit(r, &p, &e), 0);
	assert_int_equal(lose.left, 0);
	assert_int_equal(object_count(f.store, "sess/"), 1);
	assert_int_equal(object_count(f.store, "commit/"), 1);
}

static void test_session_commit__names_that_are_no_text_are_refused(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	CLEANUP(point_clear) struct point p = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	made_point(r, &sample, &p);
	p.volume.name[0] = '\xff';
	assert_int_equal(session_commit(r, &p, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_int_equal(object_count(f.store, "commit/"), 0);
}

/* ---- what a marker says ---- */

static const struct point_volume volume = { .cluster = "west",
	                                    .namespace = "shop",
	                                    .name = "data" };

static void begin(const struct kit *k, char ret_session[96])
{
	ok(session_begin(k->agent, &volume, "gold", ret_session, e));
}

static void key_of(const char *prefix, const char *session, char ret[NOTE_KEY_MAX])
{
	(void)snprintf(ret, NOTE_KEY_MAX, "%s/%s", prefix, session);
}

static void test_session_info__tells_the_domain(void **state)
{
	auto_kit struct kit k = kit_new();
	struct session_info info;
	char session[96];
	int64_t before = now_wall_ns();

	(void)state;
	begin(&k, session);
	ok(session_info(k.audit, session, &info, e));
	assert_string_equal(info.domain, "gold");
	assert_true(info.host[0]);
	assert_true(info.started_ns >= before && info.started_ns <= now_wall_ns());
}

static void test_session_info__a_marker_that_names_no_domain(void **state)
{
	auto_kit struct kit k = kit_new();
	struct session_info info;
	char session[96];
	char key[NOTE_KEY_MAX];

	(void)state;
	kit_session(&k, &volume, 1, session);
	key_of("sess", session, key);
	note_kit_text(k.agent, 'S', key, "{\"schema\":\"aksdr/session/v1\",\"started_ns\":5}");
	ok(session_info(k.audit, session, &info, e));
	assert_string_equal(info.domain, "");
	assert_string_equal(info.host, "");
	assert_int_equal(info.started_ns, 5);
}

static void test_session_info__markers_that_are_not_right(void **state)
{
	auto_kit struct kit k = kit_new();
	struct session_info info;
	char session[96];
	char key[NOTE_KEY_MAX];

	(void)state;
	kit_session(&k, &volume, 1, session);
	key_of("sess", session, key);
	fails(ERR_NOT_FOUND, session_info(k.audit, session, &info, e));
	note_kit_text(k.agent, 'S', key, "{\"schema\":\"aksdr/session/v2\",\"started_ns\":5}");
	fails(ERR_FORMAT, session_info(k.audit, session, &info, e));
	note_kit_text(k.agent, 'S', key, "{\"schema\":\"aksdr/session/v1\"}");
	fails(ERR_FORMAT, session_info(k.audit, session, &info, e));
	note_kit_text(k.agent, 'R', key, "{\"schema\":\"aksdr/session/v1\",\"started_ns\":5}");
	fails(ERR_FORMAT, session_info(k.audit, session, &info, e));
	note_kit_text(k.agent, 'S', key, "{\"schema\":\"aksdr/session/v1\",\"started_ns\":5}");
	kit_flip(&k, key, -1);
	fails(ERR_CORRUPT, session_info(k.audit, session, &info, e));
}

/* ---- maintenance ---- */

static void test_session_begin_maintenance__is_known_by_its_name(void **state)
{
	auto_kit struct kit k = kit_new();
	struct session_info info;
	char maintenance[96];
	char backup[96];

	(void)state;
	ok(session_begin_maintenance(k.agent, "index", maintenance, e));
	begin(&k, backup);
	assert_true(point_session_valid(maintenance));
	assert_true(session_is_maintenance(maintenance));
	assert_false(session_is_maintenance(backup));
	assert_false(session_is_maintenance(""));
	assert_false(session_is_maintenance("2026-11-22/0000000000000000"));
	ok(session_info(k.audit, maintenance, &info, e));
	assert_string_equal(info.domain, "");
	fails(ERR_DENIED, session_begin_maintenance(k.audit, "index", maintenance, e));
}

static void names_free(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

static void test_session_commit_index__its_segments_come_back(void **state)
{
	char one[] = "idx/0123456789abcdef/2026-11-22/x-0000";
	char two[] = "idx/0123456789abcdef/2026-11-22/x-0001";
	char *const segments[] = { one, two };
	auto_kit struct kit k = kit_new();

	(void)state;
	for (size_t n = 0; n <= 2; n++) {
		char **names = NULL;
		size_t nnames = 7;
		enum session_end end;
		char session[96];

		ok(session_begin_maintenance(k.agent, "index", session, e));
		ok(session_commit_index(k.agent, session, "index", segments, n, e));
		ok(session_look(k.audit, session, &end, e));
		assert_int_equal(end, SESSION_COMMITTED);
		ok(session_segments(k.audit, session, &names, &nnames, e));
		assert_int_equal(nnames, n);
		for (size_t i = 0; i < n; i++)
			assert_string_equal(names[i], segments[i]);
		names_free(names, nnames);
		fails_saying(ERR_BUSY, "fenced",
		             session_commit_index(k.agent, session, "index", segments, n, e));
	}
	fails(ERR_DENIED, session_commit_index(k.audit, "x", "index", segments, 1, e));
}

static void test_session_commit_index__never_has_the_length_of_an_abort(void **state)
{
	auto_kit struct kit k = kit_new();
	char what[256];
	unsigned near = 0;
	char session[96];
	char key[NOTE_KEY_MAX];

	(void)state;
	for (size_t n = 0; n < 255; n++) {
		struct store_stat st;
		char **names = NULL;
		size_t nnames = 0;
		enum session_end end;

		memset(what, 'x', n);
		what[n] = '\0';
		(void)snprintf(session, sizeof(session), "2026-11-22/0000000000000000-%032zx", n);
		ok(session_commit_index(k.agent, session, what, NULL, 0, e));
		key_of("commit", session, key);
		ok(store_head(k.store, key, &st, e));
		near += st.size > 500 && st.size < 520;
		assert_int_not_equal(st.size, FORMAT_ABORT_BYTES);
		ok(session_look(k.audit, session, &end, e));
		assert_int_equal(end, SESSION_COMMITTED);
		ok(session_segments(k.audit, session, &names, &nnames, e));
		names_free(names, nnames);
	}
	assert_true(near > 15); /* the length was met on the way */
}

static void test_session_segments__commits_that_are_not_right(void **state)
{
	static const char *const bad[] = {
		"{\"schema\":\"aksdr/maintenance/v2\",\"index\":[]}",
		"{\"index\":[]}",
		"{\"schema\":\"aksdr/maintenance/v1\"}",
		"{\"schema\":\"aksdr/maintenance/v1\",\"index\":{}}",
		"{\"schema\":\"aksdr/maintenance/v1\",\"index\":[7]}",
		"{\"schema\":\"aksdr/maintenance/v1\",\"index\":[\"idx/a\",\"\"]}",
		"{\"schema\":\"aksdr/maintenance/v1\",\"index\":[\"idx/a\",\"../etc\"]}",
		"{\"schema\":\"aksdr/maintenance/v1\",\"index\":[\"IDX\"]}",
	};
	auto_kit struct kit k = kit_new();
	char **names = NULL;
	size_t n = 0;
	char session[96];
	char key[NOTE_KEY_MAX];
	enum session_end end;

	(void)state;
	kit_session(&k, &volume, 1, session);
	key_of("commit", session, key);
	fails(ERR_NOT_FOUND, session_segments(k.audit, session, &names, &n, e));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		note_kit_text(k.agent, 'N', key, bad[i]);
		fails(ERR_FORMAT, session_segments(k.audit, session, &names, &n, e));
	}
	/* an abort is none */
	kit_remove(&k, key);
	ok(session_abort(k.agent, session, "test", &end, e));
	fails(ERR_FORMAT, session_segments(k.audit, session, &names, &n, e));
	assert_null(names);
}

/* ---- beats ---- */

static void test_session_beat__the_last_one_is_found(void **state)
{
	auto_kit struct kit k = kit_new();
	char session[96];
	char other[96];
	unsigned last = 99;
	bool marker = false;

	(void)state;
	begin(&k, session);
	begin(&k, other);
	ok(session_last_beat(k.audit, session, &last, &marker, e));
	assert_int_equal(last, 0);
	assert_true(marker);
	for (unsigned n = 1; n <= 11; n++)
		ok(session_beat(k.agent, session, n, e));
	ok(session_beat(k.agent, other, 20, e));
	ok(session_last_beat(k.audit, session, &last, &marker, e));
	assert_int_equal(last, 11);
	assert_true(marker);
	ok(session_beat(k.agent, session, 12345, e));
	ok(session_beat(k.agent, session, 9999, e)); /* listed after it */
	ok(session_last_beat(k.audit, session, &last, &marker, e));
	assert_int_equal(last, 12345);
}

static void test_session_beat__one_that_is_there_is_fine(void **state)
{
	auto_kit struct kit k = kit_new();
	char session[96];

	(void)state;
	begin(&k, session);
	ok(session_beat(k.agent, session, 1, e));
	ok(session_beat(k.agent, session, 1, e));
	ok(session_beat(k.recovery, session, 1, e));
	assert_int_equal(note_kit_count(&k, "sess/"), 2);
	fails(ERR_DENIED, session_beat(k.audit, session, 2, e));
}

static void test_session_beat__a_store_that_refuses_is_an_error(void **state)
{
	struct trouble t = { .call = CALL_PUT, .fault = FAULT_QUOTA, .times = 1 };
	auto_kit struct kit k = kit_new();
	char session[96];

	(void)state;
	begin(&k, session);
	kit_trouble(&k, &t);
	fails(ERR_QUOTA, session_beat(k.agent, session, 1, e));
	ok(session_beat(k.agent, session, 1, e));
}

/* ---- the pulse ---- */

static unsigned last_beat(const struct kit *k, const char *session)
{
	unsigned last = 99;
	bool marker;

	ok(session_last_beat(k->agent, session, &last, &marker, e));
	return last;
}

static void test_session_pulse__beats_once_when_it_is_due(void **state)
{
	auto_kit struct kit k = kit_new();
	struct session_pulse p;
	char session[96];

	(void)state;
	begin(&k, session);
	session_pulse_start(&p, k.agent, session, 0, false);
	session_pulse(&p);
	assert_int_equal(last_beat(&k, session), 0);
	session_pulse_start(&p, k.agent, session, 2, true);
	session_pulse(&p);
	assert_int_equal(last_beat(&k, session), 3);
	session_pulse(&p);
	assert_int_equal(last_beat(&k, session), 3);
	assert_int_equal(note_kit_count(&k, "sess/"), 2);
}

static void test_session_pulse__goes_on_where_a_beat_could_not_be_put(void **state)
{
	struct trouble t = { .call = CALL_PUT, .fault = FAULT_DENIED, .times = 1 };
	auto_kit struct kit k = kit_new();
	struct session_pulse p;
	char session[96];

	(void)state;
	begin(&k, session);
	kit_trouble(&k, &t);
	session_pulse_start(&p, k.agent, session, 0, true);
	session_pulse(&p);
	assert_int_equal(t.calls, 1);
	assert_int_equal(last_beat(&k, session), 0);
	/* An hour later the next one has the next number. */
	session_pulse_start(&p, k.agent, session, atomic_load(&p.beats), true);
	session_pulse(&p);
	assert_int_equal(last_beat(&k, session), 2);
}

static void *pulse_often(void *arg)
{
	for (unsigned i = 0; i < 100; i++)
		session_pulse(arg);
	return NULL;
}

static void test_session_pulse__beats_once_for_many_threads(void **state)
{
	auto_kit struct kit k = kit_new();
	struct session_pulse p;
	pthread_t threads[4];
	char session[96];

	(void)state;
	begin(&k, session);
	session_pulse_start(&p, k.agent, session, 0, true);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, pulse_often, &p), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(last_beat(&k, session), 1);
	assert_int_equal(note_kit_count(&k, "sess/"), 2);
}

static void test_session_last_beat__without_a_marker(void **state)
{
	struct trouble t = { .call = CALL_LIST, .fault = FAULT_FAIL, .times = 1 };
	auto_kit struct kit k = kit_new();
	char session[96];
	char key[NOTE_KEY_MAX];
	unsigned last = 99;
	bool marker = true;

	(void)state;
	begin(&k, session);
	key_of("sess", session, key);
	kit_remove(&k, key);
	ok(session_last_beat(k.audit, session, &last, &marker, e));
	assert_int_equal(last, 0);
	assert_false(marker);
	ok(session_beat(k.agent, session, 3, e));
	ok(session_last_beat(k.audit, session, &last, &marker, e));
	assert_int_equal(last, 3);
	assert_false(marker);
	kit_trouble(&k, &t);
	fails(ERR_RETRY, session_last_beat(k.audit, session, &last, &marker, e));
}

/* ---- ends ---- */

static void commit(const struct kit *k, const char *session)
{
	auto_kit_point struct point p = { 0 };
	struct made m = sample;

	m.session = session;
	made_point(k->agent, &m, &p);
	ok(session_commit(k->agent, &p, e));
}

static void test_session_abort__fences_and_is_told_by_its_length(void **state)
{
	char letters[301]; /* longer than there is room for */
	char slashes[301]; /* each of them two in JSON */
	const char *const whys[] = { "", "no sign of life", letters, slashes };
	auto_kit struct kit k = kit_new();

	(void)state;
	memset(letters, 'x', sizeof(letters));
	memset(slashes, '\\', sizeof(slashes));
	letters[300] = slashes[300] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(whys); i++) {
		enum session_end end = SESSION_OPEN;
		char session[96];
		char key[NOTE_KEY_MAX];
		struct store_stat st;

		begin(&k, session);
		ok(session_look(k.audit, session, &end, e));
		assert_int_equal(end, SESSION_OPEN);
		ok(session_abort(k.agent, session, whys[i], &end, e));
		assert_int_equal(end, SESSION_ABORTED);
		key_of("commit", session, key);
		ok(store_head(k.store, key, &st, e));
		assert_int_equal(st.size, FORMAT_ABORT_BYTES);
		ok(session_abort_verify(k.audit, session, e));
		end = SESSION_OPEN;
		ok(session_look(k.audit, session, &end, e));
		assert_int_equal(end, SESSION_ABORTED);
	}
}

static void test_session_abort__any_reason_will_do(void **state)
{
	auto_kit struct kit k = kit_new();
	char why[301];

	(void)state;
	/* characters of two bytes, cut at every place; then what is no text, or none of one line */
	for (size_t i = 0; i < 5; i++) {
		enum session_end end = SESSION_OPEN;
		char session[96];

		memset(why, i == 2 ? '\xff' : i == 3 ? '\n' : '\x01', sizeof(why));
		for (size_t at = i; i < 2 && at + 1 < sizeof(why); at += 2)
			memcpy(why + at, "\xc3\xa4", 2);
		if (i == 1)
			why[0] = 'x';
		why[sizeof(why) - 1] = '\0';
		begin(&k, session);
		ok(session_abort(k.agent, session, why, &end, e));
		assert_int_equal(end, SESSION_ABORTED);
		ok(session_abort_verify(k.audit, session, e));
	}
}

static void test_session_abort__comes_too_late_for_a_commit(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point p = { 0 };
	enum session_end end = SESSION_OPEN;
	char session[96];

	(void)state;
	begin(&k, session);
	commit(&k, session);
	ok(session_abort(k.agent, session, "test", &end, e));
	assert_int_equal(end, SESSION_COMMITTED);
	ok(repo_point(k.audit, session, &p, e));
	fails(ERR_FORMAT, session_abort_verify(k.audit, session, e));
}

static void test_session_abort__the_fenced_one_cannot_commit(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point p = { 0 };
	struct made m = sample;
	enum session_end end = SESSION_OPEN;
	char session[96];

	(void)state;
	begin(&k, session);
	ok(session_abort(k.recovery, session, "test", &end, e));
	/* another fence finds it so */
	end = SESSION_OPEN;
	ok(session_abort(k.agent, session, "other", &end, e));
	assert_int_equal(end, SESSION_ABORTED);
	m.session = session;
	made_point(k.agent, &m, &p);
	fails_saying(ERR_BUSY, "fenced", session_commit(k.agent, &p, e));
	fails_saying(ERR_BUSY, "fenced",
	             session_commit_index(k.agent, session, "index", NULL, 0, e));
	ok(session_look(k.audit, session, &end, e));
	assert_int_equal(end, SESSION_ABORTED);
	fails(ERR_FORMAT, repo_point(k.audit, session, &p, e));
}

static void test_session_abort__an_auditor_may_not(void **state)
{
	auto_kit struct kit k = kit_new();
	enum session_end end = SESSION_OPEN;
	char session[96];

	(void)state;
	begin(&k, session);
	fails(ERR_DENIED, session_abort(k.audit, session, "test", &end, e));
	assert_int_equal(note_kit_count(&k, "commit/"), 0);
}

static void test_session_abort__an_answer_that_was_lost(void **state)
{
	struct trouble t = { .call = CALL_PUT, .fault = FAULT_APPLIED_LOST, .times = 1 };
	auto_kit struct kit k = kit_new();
	enum session_end end = SESSION_OPEN;
	char session[96];

	(void)state;
	begin(&k, session);
	kit_trouble(&k, &t);
	fails(ERR_RETRY, session_abort(k.agent, session, "test", &end, e));
	ok(session_abort(k.agent, session, "test", &end, e));
	assert_int_equal(end, SESSION_ABORTED);
	ok(session_abort_verify(k.audit, session, e));
}

static void test_session_abort__a_store_that_contradicts_itself_is_asked_again(void **state)
{
	struct trouble t = {
		.call = CALL_HEAD, .prefix = "commit/", .fault = FAULT_GONE, .times = 2
	};
	auto_kit struct kit k = kit_new();
	enum session_end end = SESSION_OPEN;
	char session[96];

	(void)state;
	begin(&k, session);
	commit(&k, session);
	kit_trouble(&k, &t);
	/*
	 * Taken, and not there: nobody may believe that it did not commit. The first HEAD is
	 * of who compares.
	 */
	fails(ERR_RETRY, session_abort(k.agent, session, "test", &end, e));
	ok(session_abort(k.agent, session, "test", &end, e));
	assert_int_equal(end, SESSION_COMMITTED);
	t = (struct trouble){ .call = CALL_HEAD, .fault = FAULT_DENIED, .times = 1 };
	fails(ERR_DENIED, session_look(k.agent, session, &end, e));
}

static void test_session_abort_verify__what_has_the_length_and_is_none(void **state)
{
	uint8_t zeros[FORMAT_ABORT_BYTES] = { 0 };
	auto_kit struct kit k = kit_new();
	struct stranger s;
	enum session_end end = SESSION_OPEN;
	char session[96];
	char other[96];
	char key[NOTE_KEY_MAX];
	char other_key[NOTE_KEY_MAX];

	(void)state;
	begin(&k, session);
	begin(&k, other);
	key_of("commit", session, key);
	key_of("commit", other, other_key);
	fails(ERR_NOT_FOUND, session_abort_verify(k.audit, session, e));
	ok(put_bytes(k.store, key, zeros, sizeof(zeros), e));
	ok(session_look(k.audit, session, &end, e));
	assert_int_equal(end, SESSION_ABORTED);
	fails(ERR_FORMAT, session_abort_verify(k.audit, session, e));
	kit_remove(&k, key);

	ok(session_abort(k.agent, session, "test", &end, e));
	ok(session_abort(k.agent, other, "test", &end, e));
	kit_swap(&k, key, other_key);
	fails(ERR_CORRUPT, session_abort_verify(k.audit, session, e));
	kit_swap(&k, key, other_key);
	kit_flip(&k, key, 100);
	fails(ERR_CORRUPT, session_abort_verify(k.audit, session, e));

	note_kit_text(k.agent, 'X', key, "{\"schema\":\"aksdr/abort/v2\"}");
	fails(ERR_FORMAT, session_abort_verify(k.audit, session, e));
	note_kit_text(k.agent, 'X', key, "{\"schema\":\"aksdr/abort/v1\"}");
	fails(ERR_FORMAT, session_abort_verify(k.audit, session, e));
	/* signed for this key, and it says another one */
	auto_json json_t *o = json_pack("{s:s, s:s}", "schema", "aksdr/abort/v1", "session", other);
	auto_free char *text = json_dumps(o, 0);
	note_kit_text(k.agent, 'X', key, text);
	fails(ERR_CORRUPT, session_abort_verify(k.audit, session, e));

	kit_remove(&k, key);
	stranger_init(&s, k.agent);
	ok(session_abort(&s.repo, session, "test", &end, e));
	fails(ERR_DENIED, session_abort_verify(k.audit, session, e));
}

static void test_session_commit__meets_itself(void **state)
{
	struct trouble t = {
		.call = CALL_PUT, .prefix = "commit/", .fault = FAULT_APPLIED_LOST, .times = 1
	};
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point p = { 0 };
	struct made m = sample;
	enum session_end end = SESSION_OPEN;
	char session[96];

	(void)state;
	begin(&k, session);
	m.session = session;
	made_point(k.agent, &m, &p);
	kit_trouble(&k, &t);
	/* nobody tries again: the caller does not know, and whoever looks does */
	fails(ERR_RETRY, session_commit(k.agent, &p, e));
	ok(session_look(k.agent, session, &end, e));
	assert_int_equal(end, SESSION_COMMITTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_begin__puts_a_sealed_marker),
		cmocka_unit_test(test_session_begin__each_has_a_name_of_its_own),
		cmocka_unit_test(test_session_begin__an_auditor_may_not),
		cmocka_unit_test(test_session_commit__the_point_is_there),
		cmocka_unit_test(test_session_commit__a_taken_key_means_fenced),
		cmocka_unit_test(test_session__lost_answers_are_not_taken_for_fences),
		cmocka_unit_test(test_session_commit__names_that_are_no_text_are_refused),
		cmocka_unit_test(test_session_info__tells_the_domain),
		cmocka_unit_test(test_session_info__a_marker_that_names_no_domain),
		cmocka_unit_test(test_session_info__markers_that_are_not_right),
		cmocka_unit_test(test_session_begin_maintenance__is_known_by_its_name),
		cmocka_unit_test(test_session_commit_index__its_segments_come_back),
		cmocka_unit_test(test_session_commit_index__never_has_the_length_of_an_abort),
		cmocka_unit_test(test_session_segments__commits_that_are_not_right),
		cmocka_unit_test(test_session_beat__the_last_one_is_found),
		cmocka_unit_test(test_session_beat__one_that_is_there_is_fine),
		cmocka_unit_test(test_session_beat__a_store_that_refuses_is_an_error),
		cmocka_unit_test(test_session_pulse__beats_once_when_it_is_due),
		cmocka_unit_test(test_session_pulse__goes_on_where_a_beat_could_not_be_put),
		cmocka_unit_test(test_session_pulse__beats_once_for_many_threads),
		cmocka_unit_test(test_session_last_beat__without_a_marker),
		cmocka_unit_test(test_session_abort__fences_and_is_told_by_its_length),
		cmocka_unit_test(test_session_abort__any_reason_will_do),
		cmocka_unit_test(test_session_abort__comes_too_late_for_a_commit),
		cmocka_unit_test(test_session_abort__the_fenced_one_cannot_commit),
		cmocka_unit_test(test_session_abort__an_auditor_may_not),
		cmocka_unit_test(test_session_abort__an_answer_that_was_lost),
		cmocka_unit_test(
			test_session_abort__a_store_that_contradicts_itself_is_asked_again),
		cmocka_unit_test(test_session_abort_verify__what_has_the_length_and_is_none),
		cmocka_unit_test(test_session_commit__meets_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
