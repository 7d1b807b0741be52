/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions. A name is made of random bytes, so a marker never meets another
 * one; a commit key can be taken by whoever fences the session. A put whose
 * answer was lost may meet itself, so what stands there is compared before
 * anybody is called fenced (repo/note.c).
 */
#include "repo/session.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "common/num.h"
#include "common/secret.h"
#include "common/text.h"
#include "repo/note.h"

#define MARKER_SCHEMA "aksdr/session/v1"
#define BEAT_SCHEMA "aksdr/beat/v1"
#define ABORT_SCHEMA "aksdr/abort/v1"
#define MAINTENANCE_SCHEMA "aksdr/maintenance/v1"
#define MAINTENANCE_TAG "0000000000000000" /* no volume's */
#define SEGMENTS_MAX 1000000
#define WHY_MAX 100 /* bytes of the reason in an abort */

static json_t *host_json(void)
{
	char host[256] = "";

	if (gethostname(host, sizeof(host) - 1) < 0)
		host[0] = '\0';
	json_t *text = json_string(host);
	return text ? text : json_null();
}

static void key_of(const char *prefix, const char *session, char ret[NOTE_KEY_MAX])
{
	(void)snprintf(ret, NOTE_KEY_MAX, "%s/%s", prefix, session);
}

/* A marker for a new name with this tag. */
static int begin(const struct repo *r, const char *voltag, const char *member, const char *value,
                 char ret_session[96], struct err *e)
{
	int64_t now_ns = now_wall_ns();
	uint8_t random[16];
	char random_hex[33];
	char session[96];
	char key[NOTE_KEY_MAX];

	secret_random(random, sizeof(random));
	hex_encode(random_hex, random, sizeof(random));
	(void)snprintf(session, sizeof(session), "%s/%s-%s", now_day(now_ns).s, voltag, random_hex);
	if (!point_session_valid(session))
		return err_set(e, ERR_INVALID, "the clock says %s; set it", now_day(now_ns).s);
	key_of("sess", session, key);
	auto_json json_t *o = json_pack("{s:s, s:s, s:I, s:o, s:s}", "schema", MARKER_SCHEMA,
	                                "session", session, "started_ns", (json_int_t)now_ns,
	                                "host", host_json(), member, value);
	if (note_put(r, FORMAT_KIND_SESSION, key, o, NULL, e) < 0)
		return err_wrap(e, "registering the session");
	memcpy(ret_session, session, sizeof(session));
	return 0;
}

int session_begin(const struct repo *r, const struct point_volume *v, const char *domain,
                  char ret_session[96], struct err *e)
{
	char voltag[17];

	if (point_voltag(r->keys, v, voltag, e) < 0)
		return -1;
	return begin(r, voltag, "domain", domain, ret_session, e);
}

int session_begin_maintenance(const struct repo *r, const char *what, char ret_session[96],
                              struct err *e)
{
	return begin(r, MAINTENANCE_TAG, "what", what, ret_session, e);
}

bool session_is_maintenance(const char *session)
{
	return strlen(session) > POINT_SESSION_RANDOM &&
	       strncmp(session + POINT_SESSION_VOLTAG, MAINTENANCE_TAG, strlen(MAINTENANCE_TAG)) ==
	               0;
}

int session_beat(const struct repo *r, const char *session, unsigned n, struct err *e)
{
	char key[NOTE_KEY_MAX];
	struct err why = ERR_INIT;

	(void)snprintf(key, sizeof(key), "sess/%s-%04u", session, n);
	auto_json json_t *o = json_pack("{s:s, s:s, s:I}", "schema", BEAT_SCHEMA, "session",
	                                session, "at_ns", (json_int_t)now_wall_ns());
	if (note_put(r, FORMAT_KIND_SESSION, key, o, NULL, &why) == 0 || why.class == ERR_EXISTS)
		return 0;
	*e = why;
	return err_wrap(e, "telling that the session lives");
}

#define PULSE_NS ((int64_t)60 * 60 * 1000000000)

void session_pulse_start(struct session_pulse *p, const struct repo *r, const char *session,
                         unsigned beats, bool due)
{
	p->repo = r;
	(void)snprintf(p->session, sizeof(p->session), "%s", session);
	atomic_store(&p->beats, beats);
	atomic_store(&p->at_ns, now_mono_ns() - (due ? PULSE_NS : 0));
}

void session_pulse(struct session_pulse *p)
{
	int64_t now_ns = now_mono_ns();
	int64_t at_ns = atomic_load(&p->at_ns);
	struct err ignored = ERR_INIT;

	if (now_ns - at_ns < PULSE_NS || !atomic_compare_exchange_strong(&p->at_ns, &at_ns, now_ns))
		return;
	(void)!session_beat(p->repo, p->session, atomic_fetch_add(&p->beats, 1) + 1, &ignored);
}

struct beats {
	unsigned last;
	bool marker;
};

static int take_beat(void *arg, const struct store_item *item, struct err *e)
{
	struct beats *b = arg;
	const char *number = item->key + strlen("sess/") + POINT_SESSION_LEN;
	struct err ignored = ERR_INIT;
	uint64_t n;

	(void)e;
	if (!*number)
		b->marker = true;
	else if (*number == '-' && num_u64("beat", number + 1, 1, UINT_MAX, &n, &ignored) == 0 &&
	         n > b->last)
		b->last = (unsigned)n;
	return 0;
}

int session_last_beat(const struct repo *r, const char *session, unsigned *ret, bool *ret_marker,
                      struct err *e)
{
	struct beats b = { 0 };
	char key[NOTE_KEY_MAX];

	key_of("sess", session, key);
	if (store_list(r->store, key, NULL, take_beat, &b, e) < 0)
		return err_wrap(e, "looking for session '%s'", session);
	*ret = b.last;
	*ret_marker = b.marker;
	return 0;
}

static int fenced(const char *key, struct err *e)
{
	return err_set(e, ERR_BUSY,
	               "this session was fenced: '%s' was taken by another; start it again, "
	               "what it uploaded is used",
	               key);
}

int session_commit(const struct repo *r, struct point *p, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FORMAT_POINT_MAX + NOTE_ENVELOPE_BYTES);
	char key[NOTE_KEY_MAX];

	key_of("commit", p->session, key);
	auto_json json_t *o = point_json(p, e);
	if (!o || note_seal(r, FORMAT_KIND_POINT, key, o, 0, &b, e) < 0)
		return err_wrap(e, "writing the restore point");
	if (b.len == FORMAT_ABORT_BYTES) {
		buf_reset(&b);
		if (note_seal(r, FORMAT_KIND_POINT, key, o, FORMAT_ABORT_BYTES + 1, &b, e) < 0)
			return err_wrap(e, "writing the restore point");
	}
	if (note_put_sealed(r, key, &b, e) < 0)
		return e->class == ERR_EXISTS ? fenced(key, e)
		                              : err_wrap(e, "committing the restore point");
	crypt_sha256(p->hash, b.data, b.len);
	memcpy(p->signer, r->keys->signer_id, sizeof(p->signer));
	return 0;
}

int session_commit_index(const struct repo *r, const char *session, const char *what,
                         char *const *segments, size_t n, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FORMAT_POINT_MAX + NOTE_ENVELOPE_BYTES);
	char key[NOTE_KEY_MAX];
	json_t *names = json_array();

	auto_json json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:o, s:o}", "schema",
	                                MAINTENANCE_SCHEMA, "session", session, "what", what,
	                                "finished_ns", (json_int_t)now_wall_ns(), "host",
	                                host_json(), "index", names);
	for (size_t i = 0; o && i < n; i++) {
		if (json_array_append_new(names, json_string(segments[i])) < 0)
			return err_set(e, ERR_NOMEM, "no memory for the commit of the index");
	}
	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for the commit of the index");
	key_of("commit", session, key);
	if (note_seal(r, FORMAT_KIND_MAINTENANCE, key, o, 0, &b, e) < 0)
		return err_wrap(e, "committing the index");
	if (b.len == FORMAT_ABORT_BYTES) {
		buf_reset(&b);
		if (note_seal(r, FORMAT_KIND_MAINTENANCE, key, o, FORMAT_ABORT_BYTES + 1, &b, e) <
		    0)
			return err_wrap(e, "committing the index");
	}
	if (note_put_sealed(r, key, &b, e) < 0)
		return e->class == ERR_EXISTS ? fenced(key, e)
		                              : err_wrap(e, "committing the index");
	return 0;
}

int session_look(const struct repo *r, const char *session, enum session_end *ret, struct err *e)
{
	struct store_stat st;
	struct err why = ERR_INIT;
	char key[NOTE_KEY_MAX];

	key_of("commit", session, key);
	if (store_head(r->store, key, &st, &why) < 0) {
		if (why.class != ERR_NOT_FOUND) {
			*e = why;
			return -1;
		}
		*ret = SESSION_OPEN;
		return 0;
	}
	*ret = st.size == FORMAT_ABORT_BYTES ? SESSION_ABORTED : SESSION_COMMITTED;
	return 0;
}

/* As much of a reason as there is room for: one line of whole characters, whatever it was. */
static void shorten_why(const char *why, char ret[WHY_MAX + 1])
{
	char step[TEXT_STEP_MAX];
	size_t at = 0;
	size_t n;

	while ((n = text_step(&why, TEXT_LINE, step)) > 0 && at + n <= WHY_MAX) {
		memcpy(ret + at, step, n);
		at += n;
	}
	ret[at] = '\0';
}

int session_abort(const struct repo *r, const char *session, const char *why, enum session_end *ret,
                  struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(2 * FORMAT_ABORT_BYTES);
	struct err put = ERR_INIT;
	char key[NOTE_KEY_MAX];
	char short_why[WHY_MAX + 1];

	key_of("commit", session, key);
	shorten_why(why, short_why);
	auto_json json_t *o = json_pack("{s:s, s:s, s:s, s:I}", "schema", ABORT_SCHEMA, "session",
	                                session, "why", short_why, "at_ns",
	                                (json_int_t)now_wall_ns());
	if (!o)
		return err_set(e, ERR_NOMEM, "no memory to fence a session");
	if (note_seal(r, FORMAT_KIND_ABORT, key, o, FORMAT_ABORT_BYTES, &b, e) < 0)
		return err_wrap(e, "fencing session '%s'", session);
	if (note_put_sealed(r, key, &b, &put) == 0) {
		*ret = SESSION_ABORTED;
		return 0;
	}
	if (put.class != ERR_EXISTS) {
		*e = put;
		return err_wrap(e, "fencing session '%s'", session);
	}
	if (session_look(r, session, ret, e) < 0)
		return err_wrap(e, "fencing session '%s'", session);
	if (*ret == SESSION_OPEN)
		return err_set(e, ERR_RETRY,
		               "the store says that '%s' is taken, and that it is not there", key);
	return 0;
}

int session_abort_verify(const struct repo *r, const char *session, struct err *e)
{
	auto_json json_t *o = NULL;
	char key[NOTE_KEY_MAX];
	const char *text;

	key_of("commit", session, key);
	if (note_get(r, FORMAT_KIND_ABORT, key, &o, NULL, e) < 0 ||
	    note_schema(o, "abort", ABORT_SCHEMA, e) < 0 ||
	    json_get_str(o, "abort", "session", &text, e) < 0)
		return -1;
	if (strcmp(text, session) != 0)
		return err_set(e, ERR_CORRUPT, "'%s' aborts another session", key);
	return 0;
}

int session_info(const struct repo *r, const char *session, struct session_info *ret, struct err *e)
{
	auto_json json_t *o = NULL;
	char key[NOTE_KEY_MAX];
	const char *text;

	*ret = (struct session_info){ 0 };
	key_of("sess", session, key);
	if (note_get(r, FORMAT_KIND_SESSION, key, &o, ret->signer, e) < 0 ||
	    note_schema(o, "session", MARKER_SCHEMA, e) < 0 ||
	    json_get_i64(o, "session", "started_ns", &ret->started_ns, e) < 0)
		return -1;
	text = json_string_value(json_object_get(o, "domain"));
	(void)snprintf(ret->domain, sizeof(ret->domain), "%s", text ? text : "");
	text = json_string_value(json_object_get(o, "host"));
	(void)snprintf(ret->host, sizeof(ret->host), "%s", text ? text : "");
	return 0;
}

static void free_names(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

int session_segments(const struct repo *r, const char *session, char ***ret, size_t *ret_n,
                     struct err *e)
{
	auto_json json_t *o = NULL;
	char key[NOTE_KEY_MAX];

	key_of("commit", session, key);
	if (note_get(r, FORMAT_KIND_MAINTENANCE, key, &o, NULL, e) < 0 ||
	    note_schema(o, "maintenance", MAINTENANCE_SCHEMA, e) < 0)
		return -1;
	const json_t *a = json_object_get(o, "index");
	size_t n = json_array_size(a);
	if (!json_is_array(a) || n > SEGMENTS_MAX)
		return err_set(e, ERR_FORMAT, "maintenance: .index: expected a list of segments");
	char **names = calloc(n ? n : 1, sizeof(char *));
	if (!names)
		return err_set(e, ERR_NOMEM, "no memory for the names of index segments");
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(a, i));

		if (!text || !store_key_valid(text)) {
			free_names(names, i);
			return err_set(e, ERR_FORMAT, "maintenance: .index: no key of a segment");
		}
		names[i] = strdup(text);
		if (!names[i]) {
			free_names(names, i);
			return err_set(e, ERR_NOMEM, "no memory for the names of index segments");
		}
	}
	*ret = names;
	*ret_n = n;
	return 0;
}
