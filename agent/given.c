/* SPDX-License-Identifier: Apache-2.0 */
/* See given.h. */
#include "agent/given.h"

#include <string.h>

#include "store/traffic.h"

/* ---- the view ---- */

json_t *given_write(const struct moment_volume *v, struct err *e)
{
	const struct snapshot *s = v->snapshot;
	auto_json json_t *o = json_pack("{s:s, s:s, s:I, s:I}", "driver", s->ops->name,
	                                "consistency", snapshot_consistency_name(s->consistency),
	                                "frozen_ns", (json_int_t)s->freeze_ns, "epoch",
	                                (json_int_t)v->epoch);

	if (!o || capture_put(&v->capture, o) < 0) {
		(void)err_set(e, ERR_NOMEM, "no memory for what is known of a view");
		return NULL;
	}
	return STEAL(&o);
}

static int given_supports(const struct snapshot_env *env, const char *path, struct err *e)
{
	return snapshot_live.supports(env, path, e);
}

static int given_capture(struct snapshot *s, struct err *e)
{
	return snapshot_live.capture(s, e);
}

static int given_finish(struct snapshot *s, struct err *e)
{
	return snapshot_live.finish(s, e);
}

static int given_release(struct snapshot *s, struct err *e)
{
	return snapshot_live.release(s, e);
}

/* Whoever made the view has it, and gives it up; here it is a path. */
static const struct snapshot_ops still = {
	.name = "csi",
	.caps = SNAP_CAP_ATOMIC,
	.consistency = SNAP_CRASH,
	.supports = given_supports,
	.capture = given_capture,
	.finish = given_finish,
	.release = given_release,
};
static const struct snapshot_ops moving = {
	.name = "claim",
	.consistency = SNAP_FUZZY,
	.supports = given_supports,
	.capture = given_capture,
	.finish = given_finish,
	.release = given_release,
};

static int consistency_of(const char *name, enum snapshot_consistency *ret, struct err *e)
{
	for (int c = SNAP_FUZZY; c <= SNAP_APPLICATION; c++)
		if (strcmp(name, snapshot_consistency_name((enum snapshot_consistency)c)) == 0) {
			*ret = (enum snapshot_consistency)c;
			return 0;
		}
	return err_set(e, ERR_FORMAT, "a view: .consistency: '%.40s' is none", name);
}

int given_read(const char *text, const struct snapshot_env *env, struct moment_volume *v,
               struct err *e)
{
	auto_json json_t *o = json_parse("a view", text, strlen(text), e);
	enum snapshot_consistency consistency = SNAP_FUZZY;
	const char *driver, *name;
	int64_t frozen_ns;

	if (!o || json_get_str(o, "a view", "driver", &driver, e) < 0 ||
	    json_get_str(o, "a view", "consistency", &name, e) < 0 ||
	    json_get_i64(o, "a view", "frozen_ns", &frozen_ns, e) < 0 ||
	    json_get_u64(o, "a view", "epoch", &v->epoch, e) < 0 ||
	    consistency_of(name, &consistency, e) < 0)
		return -1;
	const bool is_still = strcmp(driver, still.name) == 0;
	if (!is_still && strcmp(driver, moving.name) != 0)
		return err_set(e, ERR_FORMAT, "a view: .driver: '%.40s' is none", driver);
	if (capture_get(o, &v->capture, e) < 0)
		return err_wrap(e, "a view");
	v->snapshot = snapshot_take(env, is_still ? &still : &moving, v->path, e);
	if (!v->snapshot)
		return -1;
	v->snapshot->consistency = consistency;
	v->snapshot->freeze_ns = frozen_ns;
	return 0;
}

/* ---- the result ---- */

static json_t *numbers_of(const struct point *p)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
	                 "sequence", (json_int_t)p->sequence, "started_ns",
	                 (json_int_t)p->started_ns, "frozen_ns", (json_int_t)p->frozen_ns,
	                 "finished_ns", (json_int_t)p->finished_ns, "files", (json_int_t)p->files,
	                 "directories", (json_int_t)p->directories, "others", (json_int_t)p->others,
	                 "bytes_logical", (json_int_t)p->bytes_logical, "bytes_read",
	                 (json_int_t)p->bytes_read, "bytes_new", (json_int_t)p->bytes_new,
	                 "bytes_stored", (json_int_t)p->bytes_stored, "unreadable",
	                 (json_int_t)p->unreadable, "changed", (json_int_t)p->changed);
}

int given_result_write(const struct point *p, const struct err *why, const struct store_traffic *t,
                       struct buf *b, struct err *e)
{
	auto_json json_t *o = p ? numbers_of(p) : json_object();
	int bad = json_object_set_new(o, "traffic", traffic_to_json(t));

	if (p) {
		bad |= json_object_set_new(o, "session", json_string(p->session));
		bad |= json_object_set_new(o, "id", json_string(p->id));
		bad |= json_object_set_new(o, "set", json_string(p->set));
		bad |= json_object_set_new(o, "consistency", json_string(p->consistency));
		bad |= json_object_set_new(o, "driver", json_string(p->driver));
	} else if (why && result_put_why(o, why, e) < 0) {
		return -1;
	}
	if (!o || bad)
		return err_set(e, ERR_NOMEM, "no memory for a result");
	return json_write(o, b, e);
}

static int text_of(const json_t *o, const char *key, char *ret, size_t max, struct err *e)
{
	const char *text;

	if (json_get_str(o, "a result", key, &text, e) < 0)
		return -1;
	int n = snprintf(ret, max, "%s", text);
	if (n < 0 || (size_t)n >= max)
		return err_set(e, ERR_FORMAT, "a result: .%s is too long", key);
	return 0;
}

/* Its members; what is not there is an error. */
static int point_of(const json_t *o, struct point *ret, struct err *e)
{
	static const char what[] = "a result";

	if (text_of(o, "session", ret->session, sizeof(ret->session), e) < 0 ||
	    text_of(o, "id", ret->id, sizeof(ret->id), e) < 0 ||
	    text_of(o, "set", ret->set, sizeof(ret->set), e) < 0 ||
	    text_of(o, "consistency", ret->consistency, sizeof(ret->consistency), e) < 0 ||
	    text_of(o, "driver", ret->driver, sizeof(ret->driver), e) < 0 ||
	    json_get_u64(o, what, "sequence", &ret->sequence, e) < 0 ||
	    json_get_i64(o, what, "started_ns", &ret->started_ns, e) < 0 ||
	    json_get_i64(o, what, "frozen_ns", &ret->frozen_ns, e) < 0 ||
	    json_get_i64(o, what, "finished_ns", &ret->finished_ns, e) < 0 ||
	    json_get_u64(o, what, "files", &ret->files, e) < 0 ||
	    json_get_u64(o, what, "directories", &ret->directories, e) < 0 ||
	    json_get_u64(o, what, "others", &ret->others, e) < 0 ||
	    json_get_u64(o, what, "bytes_logical", &ret->bytes_logical, e) < 0 ||
	    json_get_u64(o, what, "bytes_read", &ret->bytes_read, e) < 0 ||
	    json_get_u64(o, what, "bytes_new", &ret->bytes_new, e) < 0 ||
	    json_get_u64(o, what, "bytes_stored", &ret->bytes_stored, e) < 0 ||
	    json_get_u64(o, what, "unreadable", &ret->unreadable, e) < 0 ||
	    json_get_u64(o, what, "changed", &ret->changed, e) < 0)
		return -1;
	if (!point_session_valid(ret->session))
		return err_set(e, ERR_FORMAT, "a result: .session is none");
	return 0;
}

/* The object, of which ret_traffic is taken. NULL with e. */
static json_t *parse_result(const char *text, struct store_traffic *ret_traffic, struct err *e)
{
	auto_json json_t *o = json_parse("a result", text, strlen(text), e);

	*ret_traffic = (struct store_traffic){ 0 };
	if (!o || traffic_from_json(json_object_get(o, "traffic"), "a result", ret_traffic, e) < 0)
		return NULL;
	return STEAL(&o);
}

int given_result_read(const char *text, struct point *ret, struct store_traffic *ret_traffic,
                      struct err *e)
{
	auto_json json_t *o = parse_result(text, ret_traffic, e);

	if (!o || result_says_why(o, e))
		return -1;
	memset(ret, 0, sizeof(*ret));
	return point_of(o, ret, e);
}

bool given_end_read(const char *text, struct store_traffic *ret_traffic, struct err *ret_why)
{
	auto_json json_t *o = parse_result(text, ret_traffic, ret_why);

	return !o || result_says_why(o, ret_why);
}
