/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restore points as JSON. Reading is strict about what the rest of the program
 * relies on (names, places, counts) and lenient about the rest: unknown
 * members are passed over and optional ones may be missing or null.
 */
#include "repo/point.h"

#include <assert.h>
#include <string.h>

#include "common/hex.h"
#include "common/json.h"
#include "common/text.h"

#define SCHEMA "aksdr/point/v1"
#define PROBLEMS_TEXT_MAX (FORMAT_POINT_MAX / 2) /* as JSON; the rest is for everything else */
#define INDEX_MAX 65536

static const char *const consistencies[] = { "application", "filesystem", "crash", "fuzzy" };

void point_clear(struct point *p)
{
	for (size_t i = 0; i < p->nindex; i++)
		free(p->index[i]);
	free(p->index);
	for (size_t i = 0; i < p->nproblems; i++) {
		free(p->problems[i].path);
		free(p->problems[i].why);
	}
	free(p->problems);
	capture_clear(&p->capture);
	*p = (struct point){ 0 };
}

bool point_session_valid(const char *s)
{
	static const char form[] = "dddd-dd-dd/hhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh";

	static_assert(sizeof(form) - 1 == POINT_SESSION_LEN,
	              "the form has the length of a session");
	for (size_t i = 0; i < POINT_SESSION_LEN; i++, s++) {
		bool digit = *s >= '0' && *s <= '9';
		bool ok = form[i] == 'd'   ? digit
		          : form[i] == 'h' ? digit || (*s >= 'a' && *s <= 'f')
		                           : *s == form[i];
		if (!ok)
			return false;
	}
	return *s == '\0';
}

int point_voltag(const struct keys *k, const struct point_volume *v, char ret[17], struct err *e)
{
	const char *const parts[] = { v->cluster, v->namespace, v->name };
	uint8_t context[3 * POINT_NAME_MAX];
	uint8_t tag[32];
	size_t n = 0;

	if (!k->has_mm)
		return err_set(e, ERR_DENIED,
		               "this key has no metadata key: the repository's "
		               "config was not opened");
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		size_t len = strlen(parts[i]) + 1;

		memcpy(context + n, parts[i], len);
		n += len;
	}
	key_kdf(tag, k->s->mm, "volume tag", context, n - 1);
	hex_encode(ret, tag, 8);
	return 0;
}

int point_cmp(const struct point *a, const struct point *b)
{
	if (a->sequence != b->sequence)
		return a->sequence < b->sequence ? -1 : 1;
	if (a->received_ns != b->received_ns)
		return a->received_ns < b->received_ns ? -1 : 1;
	return strcmp(a->session, b->session);
}

/* ---- problems ---- */

static char *escape_path(const char *path, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	char *ret = malloc(4 * len + 1);
	char *at = ret;

	if (!ret)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)path[i];

		if (c >= 0x20 && c < 0x7f && c != '\\') {
			*at++ = (char)c;
			continue;
		}
		*at++ = '\\';
		*at++ = 'x';
		*at++ = digits[c >> 4];
		*at++ = digits[c & 15];
	}
	*at = '\0';
	return ret;
}

/* Bytes of a text in JSON, at most. */
static size_t json_len(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += (uint8_t)*s < 0x20 ? 6 : *s == '"' || *s == '\\' ? 2 : 1;
	return n;
}

static size_t problem_len(const struct point_problem *x)
{
	return json_len(x->path) + json_len(x->why) + sizeof("{\"path\":\"\",\"why\":\"\"},");
}

int point_problem_add(struct point *p, const char *path, size_t path_len, const char *why)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(64 * KIB);
	struct point_problem x;
	size_t sum = 0;

	if (p->nproblems >= POINT_PROBLEMS_MAX)
		return 0;
	struct point_problem *more = reallocarray(p->problems, p->nproblems + 1, sizeof(*more));
	if (!more)
		return -1;
	p->problems = more;
	x.path = escape_path(path, path_len);
	x.why = text_put(&text, why, TEXT_LINE) == 0 ? strdup(buf_cstr(&text)) : NULL;
	if (!x.path || !x.why) {
		free(x.path);
		free(x.why);
		return -1;
	}
	for (size_t i = 0; i < p->nproblems; i++)
		sum += problem_len(&p->problems[i]);
	if (sum + problem_len(&x) > PROBLEMS_TEXT_MAX) {
		free(x.path);
		free(x.why);
		return 0;
	}
	p->problems[p->nproblems++] = x;
	return 0;
}

bool point_problem_has(const struct point *p, const char *path, size_t path_len)
{
	if (p->unreadable == 0 && p->changed == 0)
		return false;
	if (p->nproblems < p->unreadable || p->nproblems - p->unreadable < p->changed)
		return true;
	auto_free char *text = escape_path(path, path_len);
	for (size_t i = 0; text && i < p->nproblems; i++) {
		if (strcmp(p->problems[i].path, text) == 0)
			return true;
	}
	return !text;
}

/* ---- writing ---- */

/* Text in a JSON object; a failure is counted in *bad. */
static void set_text(json_t *o, const char *key, const char *text, int *bad)
{
	*bad |= json_object_set_new(o, key, json_string(text));
}

static void set_u64(json_t *o, const char *key, uint64_t v, int *bad)
{
	*bad |= json_object_set_new(o, key, v <= INT64_MAX ? json_integer((json_int_t)v) : NULL);
}

static void set_i64(json_t *o, const char *key, int64_t v, int *bad)
{
	*bad |= json_object_set_new(o, key, json_integer(v));
}

static void set_hex(json_t *o, const char *key, const uint8_t *p, size_t n, int *bad)
{
	char text[65];

	hex_encode(text, p, n);
	set_text(o, key, text, bad);
}

/* A new object as a member of o; borrowed. */
static json_t *set_object(json_t *o, const char *key, int *bad)
{
	json_t *v = json_object();

	*bad |= json_object_set_new(o, key, v);
	return v;
}

static json_t *set_array(json_t *o, const char *key, int *bad)
{
	json_t *v = json_array();

	*bad |= json_object_set_new(o, key, v);
	return v;
}

static void put_volume(json_t *o, const struct point_volume *v, int *bad)
{
	json_t *x = set_object(o, "volume", bad);

	set_text(x, "name", v->name, bad);
	set_text(x, "cluster", v->cluster, bad);
	set_text(x, "namespace", v->namespace, bad);
	set_text(x, "uid", v->uid, bad);
	set_text(x, "kind", v->block ? "block" : "filesystem", bad);
}

static void put_tree(json_t *o, const struct chunk_ref *root, uint32_t levels, int *bad)
{
	json_t *x = set_object(o, "tree", bad);

	set_hex(x, "id", root->id, sizeof(root->id), bad);
	set_hex(x, "pack", root->pack, sizeof(root->pack), bad);
	set_u64(x, "offset", root->off, bad);
	set_u64(x, "stored", root->stored, bad);
	set_u64(x, "plain", root->plain, bad);
	set_u64(x, "counter", root->counter, bad);
	set_u64(x, "key", root->key, bad);
	set_u64(x, "compression", root->compression, bad);
	set_u64(x, "levels", levels, bad);
}

static void put_problems(json_t *o, const struct point *p, int *bad)
{
	json_t *x = set_object(o, "problems", bad);

	set_u64(x, "unreadable", p->unreadable, bad);
	set_u64(x, "changed", p->changed, bad);
	set_u64(x, "gone", p->gone, bad);
	json_t *paths = set_array(x, "paths", bad);
	for (size_t i = 0; i < p->nproblems; i++) {
		json_t *item = json_object();

		set_text(item, "path", p->problems[i].path, bad);
		set_text(item, "why", p->problems[i].why, bad);
		*bad |= json_array_append_new(paths, item);
	}
}

static void put_previous(json_t *o, const struct point *p, int *bad)
{
	if (!p->previous_session[0]) {
		*bad |= json_object_set_new(o, "previous", json_null());
		return;
	}
	json_t *x = set_object(o, "previous", bad);
	set_text(x, "session", p->previous_session, bad);
	set_hex(x, "hash", p->previous_hash, sizeof(p->previous_hash), bad);
	if (p->previous_missing)
		*bad |= json_object_set_new(x, "missing", json_true());
}

static void put_counts(json_t *o, const struct point *p, int *bad)
{
	set_u64(o, "files", p->files, bad);
	set_u64(o, "directories", p->directories, bad);
	set_u64(o, "others", p->others, bad);
	json_t *x = set_object(o, "bytes", bad);
	set_u64(x, "logical", p->bytes_logical, bad);
	set_u64(x, "read", p->bytes_read, bad);
	set_u64(x, "new", p->bytes_new, bad);
	set_u64(x, "stored", p->bytes_stored, bad);
}

static void put_point(json_t *o, const struct point *p, int *bad)
{
	set_text(o, "schema", SCHEMA, bad);
	set_text(o, "point", p->id, bad);
	set_text(o, "session", p->session, bad);
	set_text(o, "set", p->set, bad);
	put_volume(o, &p->volume, bad);
	set_text(o, "domain", p->domain, bad);
	set_u64(o, "sequence", p->sequence, bad);
	put_previous(o, p, bad);
	set_i64(o, "started_ns", p->started_ns, bad);
	set_i64(o, "frozen_ns", p->frozen_ns, bad);
	set_i64(o, "finished_ns", p->finished_ns, bad);
	set_text(o, "consistency", p->consistency, bad);
	set_text(o, "driver", p->driver, bad);
	put_tree(o, &p->root, p->levels, bad);
	json_t *index = set_array(o, "index", bad);
	for (size_t i = 0; i < p->nindex; i++)
		*bad |= json_array_append_new(index, json_string(p->index[i]));
	put_counts(o, p, bad);
	put_problems(o, p, bad);
	set_text(o, "host", p->host, bad);
	set_text(o, "agent", p->agent, bad);
	set_u64(o, "epoch", p->epoch, bad);
	if (p->config > 0)
		set_u64(o, "config", p->config, bad);
	*bad |= capture_put(&p->capture, o);
}

/* Which of the texts that come from outside is not UTF-8; else memory was short. */
static int encode_failed(const struct point *p, struct err *e)
{
	const struct {
		const char *what, *text;
	} texts[] = {
		{ "name of the volume", p->volume.name },
		{ "cluster", p->volume.cluster },
		{ "namespace", p->volume.namespace },
		{ "UID of the volume", p->volume.uid },
		{ "dedup domain", p->domain },
		{ "name of the host", p->host },
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		auto_json json_t *checked = json_string(texts[i].text);
		auto_json json_t *unchecked = json_string_nocheck(texts[i].text);

		if (!checked && unchecked)
			return err_set(e, ERR_INVALID, "the %s '%s' is not UTF-8 text",
			               texts[i].what, texts[i].text);
	}
	return err_set(e, ERR_NOMEM, "no memory to write a restore point");
}

json_t *point_json(const struct point *p, struct err *e)
{
	auto_json json_t *o = json_object();
	int bad = 0;

	put_point(o, p, &bad);
	if (!bad)
		return STEAL(&o);
	(void)encode_failed(p, e);
	return NULL;
}

int point_encode(const struct point *p, struct buf *b, struct err *e)
{
	auto_json json_t *o = point_json(p, e);

	return o ? json_write(o, b, e) : -1;
}

/* ---- reading ---- */

#define WHAT "restore point"

static int refuse(const char *member, const char *why, struct err *e)
{
	return err_set(e, ERR_FORMAT, WHAT ": .%s: %s", member, why);
}

/* The member, or NULL when it is missing or null. */
static const json_t *optional(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return v && !json_is_null(v) ? v : NULL;
}

/* Text of the member into ret; "" when it may be missing and is. */
static int get_text(const json_t *o, const char *what, const char *key, bool required, char *ret,
                    size_t ret_max, struct err *e)
{
	const char *text = "";

	if ((required || optional(o, key)) && json_get_str(o, what, key, &text, e) < 0)
		return -1;
	size_t n = strlen(text);
	if (n >= ret_max)
		return err_set(e, ERR_FORMAT, "%s: .%s: longer than %zu bytes", what, key,
		               ret_max - 1);
	memcpy(ret, text, n + 1);
	return 0;
}

/* A count; 0 when it is missing. */
static int get_count(const json_t *o, const char *what, const char *key, uint64_t *ret,
                     struct err *e)
{
	*ret = 0;
	return optional(o, key) ? json_get_u64(o, what, key, ret, e) : 0;
}

/* A number from a tree's REF. */
static int get_u32(const json_t *o, const char *key, uint64_t min, uint64_t max, uint32_t *ret,
                   struct err *e)
{
	uint64_t v;

	if (json_get_u64(o, WHAT ": .tree", key, &v, e) < 0)
		return -1;
	if (v < min || v > max)
		return err_set(e, ERR_FORMAT, WHAT ": .tree.%s: %llu is out of range", key,
		               (unsigned long long)v);
	*ret = (uint32_t)v;
	return 0;
}

static int get_tree(const json_t *o, struct point *p, struct err *e)
{
	const json_t *x = json_object_get(o, "tree");
	struct chunk_ref *r = &p->root;
	uint32_t key = 0;
	uint32_t compression = 0;

	if (!json_is_object(x))
		return refuse("tree", "expected an object", e);
	if (json_get_hex(x, WHAT ": .tree", "id", r->id, sizeof(r->id), e) < 0 ||
	    json_get_hex(x, WHAT ": .tree", "pack", r->pack, sizeof(r->pack), e) < 0 ||
	    get_u32(x, "offset", 0, FORMAT_PACK_MAX, &r->off, e) < 0 ||
	    get_u32(x, "stored", FORMAT_TAG_BYTES + 1, FORMAT_CHUNK_MAX + FORMAT_TAG_BYTES,
	            &r->stored, e) < 0 ||
	    get_u32(x, "plain", 1, FORMAT_CHUNK_MAX, &r->plain, e) < 0 ||
	    get_u32(x, "counter", 0, UINT32_MAX, &r->counter, e) < 0 ||
	    get_u32(x, "key", 0, FORMAT_KEYS_MAX - 1, &key, e) < 0 ||
	    get_u32(x, "compression", 0, COMPRESSION_ZSTD, &compression, e) < 0 ||
	    get_u32(x, "levels", 1, FORMAT_LEVELS_MAX, &p->levels, e) < 0)
		return -1;
	r->key = (uint16_t)key;
	r->compression = (uint8_t)compression;
	r->kind = CHUNK_NODE;
	return 0;
}

static int get_volume(const json_t *o, struct point_volume *v, struct err *e)
{
	const json_t *x = json_object_get(o, "volume");
	char kind[16];

	if (!json_is_object(x))
		return refuse("volume", "expected an object", e);
	if (get_text(x, WHAT ": .volume", "name", true, v->name, sizeof(v->name), e) < 0 ||
	    get_text(x, WHAT ": .volume", "cluster", false, v->cluster, sizeof(v->cluster), e) <
	            0 ||
	    get_text(x, WHAT ": .volume", "namespace", false, v->namespace, sizeof(v->namespace),
	             e) < 0 ||
	    get_text(x, WHAT ": .volume", "uid", false, v->uid, sizeof(v->uid), e) < 0 ||
	    get_text(x, WHAT ": .volume", "kind", true, kind, sizeof(kind), e) < 0)
		return -1;
	v->block = strcmp(kind, "block") == 0;
	if (!v->block && strcmp(kind, "filesystem") != 0)
		return refuse("volume.kind", "neither filesystem nor block", e);
	return v->name[0] ? 0 : refuse("volume.name", "empty", e);
}

static int get_previous(const json_t *o, struct point *p, struct err *e)
{
	const json_t *x = optional(o, "previous");

	if (!x)
		return 0;
	if (get_text(x, WHAT ": .previous", "session", true, p->previous_session,
	             sizeof(p->previous_session), e) < 0 ||
	    json_get_hex(x, WHAT ": .previous", "hash", p->previous_hash, sizeof(p->previous_hash),
	                 e) < 0)
		return -1;
	p->previous_missing = json_is_true(json_object_get(x, "missing"));
	return point_session_valid(p->previous_session)
	               ? 0
	               : refuse("previous.session", "no session name", e);
}

static int get_index(const json_t *o, struct point *p, struct err *e)
{
	const json_t *x = optional(o, "index");
	size_t n = json_array_size(x);

	if (x && !json_is_array(x))
		return refuse("index", "expected an array", e);
	if (n == 0)
		return 0;
	if (n > INDEX_MAX)
		return refuse("index", "too many segments", e);
	p->index = calloc(n, sizeof(*p->index));
	if (!p->index)
		return err_set(e, ERR_NOMEM, "no memory for a restore point");
	for (; p->nindex < n; p->nindex++) {
		const char *key = json_string_value(json_array_get(x, p->nindex));

		if (!key || strncmp(key, "idx/", 4) != 0 || !store_key_valid(key))
			return refuse("index", "no key of an index segment", e);
		p->index[p->nindex] = strdup(key);
		if (!p->index[p->nindex])
			return err_set(e, ERR_NOMEM, "no memory for a restore point");
	}
	return 0;
}

static int get_counts(const json_t *o, struct point *p, struct err *e)
{
	const json_t *x = optional(o, "bytes");

	if (get_count(o, WHAT, "files", &p->files, e) < 0 ||
	    get_count(o, WHAT, "directories", &p->directories, e) < 0 ||
	    get_count(o, WHAT, "others", &p->others, e) < 0 ||
	    get_count(o, WHAT, "epoch", &p->epoch, e) < 0 ||
	    get_count(o, WHAT, "config", &p->config, e) < 0)
		return -1;
	if (!x)
		return 0;
	if (!json_is_object(x))
		return refuse("bytes", "expected an object", e);
	if (get_count(x, WHAT ": .bytes", "logical", &p->bytes_logical, e) < 0 ||
	    get_count(x, WHAT ": .bytes", "read", &p->bytes_read, e) < 0 ||
	    get_count(x, WHAT ": .bytes", "new", &p->bytes_new, e) < 0 ||
	    get_count(x, WHAT ": .bytes", "stored", &p->bytes_stored, e) < 0)
		return -1;
	return 0;
}

static int get_problem_paths(const json_t *paths, struct point *p, struct err *e)
{
	size_t n = json_array_size(paths);

	if (paths && !json_is_array(paths))
		return refuse("problems.paths", "expected an array", e);
	if (n > POINT_PROBLEMS_MAX)
		return refuse("problems.paths", "too many", e);
	if (n == 0)
		return 0;
	p->problems = calloc(n, sizeof(*p->problems));
	if (!p->problems)
		return err_set(e, ERR_NOMEM, "no memory for a restore point");
	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_array_get(paths, i);
		struct point_problem *x = &p->problems[i];
		const char *path;
		const char *why;

		if (json_get_str(item, WHAT ": .problems.paths", "path", &path, e) < 0 ||
		    json_get_str(item, WHAT ": .problems.paths", "why", &why, e) < 0)
			return -1;
		p->nproblems++;
		x->path = strdup(path);
		x->why = strdup(why);
		if (!x->path || !x->why)
			return err_set(e, ERR_NOMEM, "no memory for a restore point");
	}
	return 0;
}

static int get_problems(const json_t *o, struct point *p, struct err *e)
{
	const json_t *x = optional(o, "problems");

	if (!x)
		return 0;
	if (!json_is_object(x))
		return refuse("problems", "expected an object", e);
	if (get_count(x, WHAT ": .problems", "unreadable", &p->unreadable, e) < 0 ||
	    get_count(x, WHAT ": .problems", "changed", &p->changed, e) < 0 ||
	    get_count(x, WHAT ": .problems", "gone", &p->gone, e) < 0)
		return -1;
	return get_problem_paths(optional(x, "paths"), p, e);
}

static int get_names(const json_t *o, struct point *p, struct err *e)
{
	uint8_t set[16];

	if (get_text(o, WHAT, "session", true, p->session, sizeof(p->session), e) < 0 ||
	    get_text(o, WHAT, "point", true, p->id, sizeof(p->id), e) < 0 ||
	    get_text(o, WHAT, "set", false, p->set, sizeof(p->set), e) < 0 ||
	    get_text(o, WHAT, "domain", true, p->domain, sizeof(p->domain), e) < 0 ||
	    get_text(o, WHAT, "consistency", true, p->consistency, sizeof(p->consistency), e) < 0 ||
	    get_text(o, WHAT, "driver", false, p->driver, sizeof(p->driver), e) < 0 ||
	    get_text(o, WHAT, "host", false, p->host, sizeof(p->host), e) < 0 ||
	    get_text(o, WHAT, "agent", false, p->agent, sizeof(p->agent), e) < 0)
		return -1;
	if (!point_session_valid(p->session))
		return refuse("session", "no session name", e);
	if (strcmp(p->id, p->session + POINT_SESSION_RANDOM) != 0)
		return refuse("point", "not the one of the session", e);
	if (p->set[0] && (strlen(p->set) != 32 || hex_decode(set, sizeof(set), p->set) < 0))
		return refuse("set", "expected 32 hexadecimal characters", e);
	if (!p->domain[0])
		return refuse("domain", "empty", e);
	for (size_t i = 0; i < ARRAY_LEN(consistencies); i++) {
		if (strcmp(p->consistency, consistencies[i]) == 0)
			return 0;
	}
	return refuse("consistency", "a word unknown here", e);
}

static int get_times(const json_t *o, struct point *p, struct err *e)
{
	if (json_get_i64(o, WHAT, "started_ns", &p->started_ns, e) < 0 ||
	    json_get_i64(o, WHAT, "frozen_ns", &p->frozen_ns, e) < 0 ||
	    json_get_i64(o, WHAT, "finished_ns", &p->finished_ns, e) < 0 ||
	    json_get_u64(o, WHAT, "sequence", &p->sequence, e) < 0)
		return -1;
	return p->sequence > 0 ? 0 : refuse("sequence", "0 is none", e);
}

int point_decode(const uint8_t *json, size_t n, struct point *ret, struct err *e)
{
	CLEANUP(point_clear) struct point p = { 0 };
	const char *schema;

	if (n > FORMAT_POINT_MAX)
		return err_set(e, ERR_FORMAT, WHAT ": over the limit of %zu bytes",
		               FORMAT_POINT_MAX);
	auto_json json_t *o = json_parse(WHAT, json, n, e);
	if (!o || json_get_str(o, WHAT, "schema", &schema, e) < 0)
		return -1;
	if (strcmp(schema, SCHEMA) != 0)
		return err_set(e, ERR_FORMAT,
		               WHAT ": schema '%s' is unknown here; use a newer program", schema);
	if (get_names(o, &p, e) < 0 || get_volume(o, &p.volume, e) < 0 || get_times(o, &p, e) < 0 ||
	    get_previous(o, &p, e) < 0 || get_tree(o, &p, e) < 0 || get_index(o, &p, e) < 0 ||
	    get_counts(o, &p, e) < 0 || get_problems(o, &p, e) < 0 ||
	    capture_get(o, &p.capture, e) < 0)
		return -1;
	*ret = p;
	p = (struct point){ 0 };
	return 0;
}
