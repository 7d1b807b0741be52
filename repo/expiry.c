/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See expiry.h. Statements are numbered notes; what does not open says
 * nothing, so damage keeps points alive and never ends one.
 */
#include "repo/expiry.h"

#include <string.h>

#include "common/json.h"
#include "common/now.h"
#include "repo/collection.h"
#include "repo/session.h"

#define TOMB "tomb"
#define HOLD "hold"
#define PIN "pin"
#define TOMB_SCHEMA "aksdr/tombstone/v1"
#define HOLD_SCHEMA "aksdr/hold/v1"
#define PIN_SCHEMA "aksdr/pin/v1"
#define TOMB_POINTS_BYTES (FORMAT_POINT_MAX - 64 * KIB) /* the rest is for everything else */

const char *expiry_state_name(enum expiry_state s)
{
	static const char *const names[] = {
		[EXPIRY_LIVE] = "live",     [EXPIRY_PROPOSED] = "proposed", [EXPIRY_HELD] = "held",
		[EXPIRY_PINNED] = "pinned", [EXPIRY_EXPIRED] = "expired",
	};

	return names[s];
}

/* ---- reading ---- */

static int grow(void **v, size_t n, size_t *cap, size_t size, struct err *e)
{
	if (n < *cap)
		return 0;
	size_t more = *cap ? 2 * *cap : 16;
	void *p = reallocarray(*v, more, size);
	if (!p)
		return err_set(e, ERR_NOMEM, "no memory for %zu statements", more);
	*v = p;
	*cap = more;
	return 0;
}

static int copy_text(const json_t *o, const char *what, const char *key, char *ret, size_t max,
                     struct err *e)
{
	const char *text;

	if (json_get_str(o, what, key, &text, e) < 0)
		return -1;
	(void)snprintf(ret, max, "%s", text);
	return 0;
}

static int actor_of(const json_t *o, const char *what, struct note_actor *ret, struct err *e)
{
	const json_t *by = json_object_get(o, "by");

	*ret = (struct note_actor){ 0 };
	return copy_text(by, what, "user", ret->user, sizeof(ret->user), e) < 0 ||
	                       copy_text(by, what, "host", ret->host, sizeof(ret->host), e) < 0
	               ? -1
	               : 0;
}

static int take_point(struct expiry *x, const struct expiry_act *act, const json_t *item,
                      struct err *e)
{
	struct expiry_tomb t = { .number = act->number, .received_ns = act->received_ns };
	void *v = x->tombs;
	const char *session;
	const char *why;

	if (json_get_str(item, "tombstone: .points", "session", &session, e) < 0 ||
	    json_get_str(item, "tombstone: .points", "why", &why, e) < 0)
		return -1;
	if (!point_session_valid(session))
		return err_set(e, ERR_FORMAT, "tombstone: .points: no name of a session");
	if (grow(&v, x->ntombs, &x->tombs_cap, sizeof(*x->tombs), e) < 0)
		return -1;
	x->tombs = v;
	memcpy(t.session, session, sizeof(t.session));
	memcpy(t.signer, act->signer, sizeof(t.signer));
	t.why = strdup(why);
	if (!t.why)
		return err_set(e, ERR_NOMEM, "no memory for a tombstone");
	x->tombs[x->ntombs++] = t;
	return 0;
}

static int open_tomb(const struct repo *r, struct expiry *x, const char *key, uint64_t number,
                     int64_t received_ns, struct err *e)
{
	struct expiry_act act = { .number = number, .received_ns = received_ns };
	auto_json json_t *o = NULL;
	void *v = x->acts;
	const char *policy;

	if (note_get(r, FORMAT_KIND_TOMB, key, &o, act.signer, e) < 0 ||
	    note_schema(o, "tombstone", TOMB_SCHEMA, e) < 0 ||
	    json_get_i64(o, "tombstone", "at_ns", &act.at_ns, e) < 0 ||
	    json_get_str(o, "tombstone", "policy", &policy, e) < 0 ||
	    actor_of(o, "tombstone", &act.by, e) < 0)
		return -1;
	(void)snprintf(act.policy, sizeof(act.policy), "%s", policy);
	const json_t *points = json_object_get(o, "points");
	act.points = json_array_size(points);
	if (!json_is_array(points) || act.points > EXPIRY_POINTS_MAX)
		return err_set(e, ERR_FORMAT, "tombstone: .points: expected a list of at most %d",
		               EXPIRY_POINTS_MAX);
	if (grow(&v, x->nacts, &x->acts_cap, sizeof(*x->acts), e) < 0)
		return -1;
	x->acts = v;
	size_t before = x->ntombs;
	for (size_t i = 0; i < act.points; i++) {
		if (take_point(x, &act, json_array_get(points, i), e) < 0) {
			while (x->ntombs > before)
				free(x->tombs[--x->ntombs].why);
			return -1;
		}
	}
	x->acts[x->nacts++] = act;
	return 0;
}

struct walk {
	const struct repo *r;
	struct expiry *x;
	uint64_t next; /* number that comes next if none is missing */
};

/* The number of a statement; what is missing before it is counted. false: it is none. */
static bool number_of(struct walk *w, const char *key, const char *prefix, uint64_t *ret)
{
	if (!note_number(key + strlen(prefix) + 1, ret))
		return false;
	if (*ret > w->next)
		w->x->missing += *ret - w->next;
	w->next = *ret + 1;
	return true;
}

/* What a revoked key says is known to say nothing; of the rest nobody knows what it said. */
static void count_bad(struct expiry *x, const struct err *why)
{
	if (key_is_void(why))
		x->revoked++;
	else
		x->bad++;
}

static int take_tomb(void *arg, const struct store_item *item, struct err *e)
{
	struct walk *w = arg;
	struct err why = ERR_INIT;
	uint64_t n;

	if (!number_of(w, item->key, TOMB, &n))
		return 0;
	w->x->last_tomb = n;
	if (open_tomb(w->r, w->x, item->key, n, item->st.received_ns, &why) == 0)
		return 0;
	if (note_is_bad(&why)) {
		count_bad(w->x, &why);
		return 0;
	}
	*e = why;
	return -1;
}

static struct expiry_hold *hold_find(const struct expiry *x, uint64_t number)
{
	for (size_t i = 0; i < x->nholds; i++) {
		if (x->holds[i].number == number)
			return &x->holds[i];
	}
	return NULL;
}

static int volume_of(const json_t *o, struct expiry_hold *h, struct err *e)
{
	const json_t *v = json_object_get(o, "volume");

	return copy_text(v, "hold: .volume", "name", h->volume.name, sizeof(h->volume.name), e) <
	                               0 ||
	                       copy_text(v, "hold: .volume", "namespace", h->volume.namespace,
	                                 sizeof(h->volume.namespace), e) < 0 ||
	                       copy_text(v, "hold: .volume", "cluster", h->volume.cluster,
	                                 sizeof(h->volume.cluster), e) < 0
	               ? -1
	               : 0;
}

/* A release counts once for each signer. */
static int take_release(struct expiry *x, const json_t *o, const struct expiry_hold *by,
                        struct err *e)
{
	uint64_t number;

	if (json_get_u64(o, "hold", "releases", &number, e) < 0)
		return -1;
	struct expiry_hold *h = hold_find(x, number);
	if (!h)
		return 0; /* of one that does not open */
	if (h->releases > 0 &&
	    memcmp(h->release_signer, by->signer, sizeof(h->release_signer)) == 0)
		return 0;
	if (h->releases++ == 0)
		memcpy(h->release_signer, by->signer, sizeof(h->release_signer));
	if (h->releases < x->signatures || h->released)
		return 0;
	h->released = by->number;
	memcpy(h->release_reason, by->reason, sizeof(h->release_reason));
	memcpy(h->release_name, by->name, sizeof(h->release_name));
	return 0;
}

static int open_hold(const struct repo *r, struct expiry *x, const char *key, uint64_t number,
                     int64_t received_ns, struct err *e)
{
	struct expiry_hold h = { .number = number, .received_ns = received_ns };
	auto_json json_t *o = NULL;
	void *v = x->holds;

	if (note_get(r, FORMAT_KIND_HOLD, key, &o, h.signer, e) < 0 ||
	    note_schema(o, "hold", HOLD_SCHEMA, e) < 0 ||
	    json_get_i64(o, "hold", "at_ns", &h.at_ns, e) < 0 ||
	    copy_text(o, "hold", "reason", h.reason, sizeof(h.reason), e) < 0 ||
	    copy_text(o, "hold", "name", h.name, sizeof(h.name), e) < 0 ||
	    actor_of(o, "hold", &h.by, e) < 0)
		return -1;
	if (json_object_get(o, "releases"))
		return take_release(x, o, &h, e);
	if (json_object_get(o, "session")) {
		if (copy_text(o, "hold", "session", h.session, sizeof(h.session), e) < 0)
			return -1;
		if (!point_session_valid(h.session))
			return err_set(e, ERR_FORMAT, "hold: .session: no name of a session");
	} else if (volume_of(o, &h, e) < 0 || point_voltag(r->keys, &h.volume, h.voltag, e) < 0) {
		return -1;
	}
	if (grow(&v, x->nholds, &x->holds_cap, sizeof(*x->holds), e) < 0)
		return -1;
	x->holds = v;
	x->holds[x->nholds++] = h;
	return 0;
}

static int take_hold(void *arg, const struct store_item *item, struct err *e)
{
	struct walk *w = arg;
	struct err why = ERR_INIT;
	uint64_t n;

	if (!number_of(w, item->key, HOLD, &n))
		return 0;
	w->x->last_hold = n;
	if (open_hold(w->r, w->x, item->key, n, item->st.received_ns, &why) == 0)
		return 0;
	if (note_is_bad(&why)) {
		w->x->bad_holds += !key_is_void(&why);
		count_bad(w->x, &why);
		return 0;
	}
	*e = why;
	return -1;
}

static int take_pin(void *arg, const struct store_item *item, struct err *e)
{
	struct walk *w = arg;
	struct expiry *x = w->x;
	struct expiry_pin p = { .received_ns = item->st.received_ns };
	auto_json json_t *o = NULL;
	struct err why = ERR_INIT;
	void *v = x->pins;

	if (!note_name_valid(item->key + strlen(PIN) + 1) || strlen(item->key) >= sizeof(p.key))
		return 0;
	(void)snprintf(p.key, sizeof(p.key), "%s", item->key);
	if (note_get(w->r, FORMAT_KIND_PIN, item->key, &o, NULL, &why) < 0 ||
	    note_schema(o, "pin", PIN_SCHEMA, &why) < 0 ||
	    copy_text(o, "pin", "session", p.session, sizeof(p.session), &why) < 0) {
		/* One that ends just now, or is damaged. */
		if (note_is_bad(&why))
			return 0;
		*e = why;
		return -1;
	}
	if (grow(&v, x->npins, &x->pins_cap, sizeof(*x->pins), e) < 0)
		return -1;
	x->pins = v;
	x->pins[x->npins++] = p;
	return 0;
}

static int tomb_cmp(const void *va, const void *vb)
{
	const struct expiry_tomb *a = va;
	const struct expiry_tomb *b = vb;
	int d = strcmp(a->session, b->session);

	if (d == 0)
		d = memcmp(a->signer, b->signer, sizeof(a->signer));
	return d ? d : (a->number > b->number) - (a->number < b->number);
}

/* of: holds and pins are wanted only where a tombstone names this point (any, when it is ""). */
static int load(const struct repo *r, uint64_t after, const char *of, struct expiry *x,
                struct err *e)
{
	struct walk tombs = { .r = r, .x = x, .next = after + 1 };
	struct walk holds = { .r = r, .x = x, .next = 1 };
	char last[NOTE_KEY_MAX] = "";

	x->signatures = r->params.signatures ? r->params.signatures : 1;
	x->first_tomb = after + 1;
	x->last_tomb = after;
	if (after > 0)
		note_number_key(TOMB, after, last);
	if (store_list(r->store, TOMB "/", last, take_tomb, &tombs, e) < 0)
		return -1;
	if (x->ntombs > 1)
		qsort(x->tombs, x->ntombs, sizeof(*x->tombs), tomb_cmp);
	size_t named = x->ntombs;
	if (of && *of)
		(void)expiry_tombs(x, of, &named);
	if (of && named == 0)
		return 0;
	uint64_t missing_tombs = x->missing;
	if (store_list(r->store, HOLD "/", NULL, take_hold, &holds, e) < 0 ||
	    store_list(r->store, PIN "/", NULL, take_pin, &holds, e) < 0)
		return -1;
	x->missing_holds = x->missing - missing_tombs;
	return 0;
}

static int load_into(const struct repo *r, uint64_t after, const char *of, struct expiry *ret,
                     struct err *e)
{
	CLEANUP(expiry_clear) struct expiry x = { 0 };

	if (load(r, after, of, &x, e) < 0)
		return err_wrap(e, "reading which restore points are expired");
	*ret = x;
	x = (struct expiry){ 0 };
	return 0;
}

int expiry_load(const struct repo *r, uint64_t after, struct expiry *ret, struct err *e)
{
	return load_into(r, after, NULL, ret, e);
}

void expiry_clear(struct expiry *x)
{
	for (size_t i = 0; i < x->ntombs; i++)
		free(x->tombs[i].why);
	free(x->tombs);
	free(x->acts);
	free(x->holds);
	free(x->pins);
	*x = (struct expiry){ 0 };
}

static int settled_by(const struct repo *r, uint64_t done, struct expiry_settled *ret,
                      struct err *e)
{
	CLEANUP(collection_list_clear) struct collection_list l = { 0 };
	auto_json json_t *what = NULL;
	struct err why = ERR_INIT;

	*ret = (struct expiry_settled){ 0 };
	if (done == 0)
		return 0;
	if (collection_get(r, done, COLLECTION_DONE, &l, &what, &why) < 0 ||
	    json_get_u64(what, "collection", "tombs", &ret->tombs, &why) < 0 ||
	    json_get_u64(what, "collection", "holds", &ret->holds, &why) < 0) {
		/* One that does not open saves nobody anything. */
		*ret = (struct expiry_settled){ 0 };
		if (note_is_bad(&why))
			return 0;
		*e = why;
		return err_wrap(e, "reading what collection %llu has done",
		                (unsigned long long)done);
	}
	return 0;
}

int expiry_settled(const struct repo *r, struct expiry_settled *ret, struct err *e)
{
	struct collection_state s;

	if (collection_state(r, &s, e) < 0)
		return -1;
	return settled_by(r, s.done, ret, e);
}

int expiry_now(const struct repo *r, struct expiry *ret, struct err *e)
{
	struct expiry_settled settled;

	if (expiry_settled(r, &settled, e) < 0 || expiry_load(r, settled.tombs, ret, e) < 0)
		return -1;
	if (ret->last_hold < settled.holds) {
		ret->missing += settled.holds - ret->last_hold;
		ret->missing_holds += settled.holds - ret->last_hold;
	}
	return 0;
}

int expiry_for_readers(const struct repo *r, const struct collection_state *s, const char *session,
                       struct expiry *ret, struct err *e)
{
	struct expiry_settled settled;

	return settled_by(r, s->done, &settled, e) < 0 ||
	                       load_into(r, settled.tombs, session ? session : "", ret, e) < 0
	               ? -1
	               : 0;
}

/* ---- asking ---- */

const struct expiry_tomb *expiry_tombs(const struct expiry *x, const char *session, size_t *ret_n)
{
	size_t lo = 0;
	size_t hi = x->ntombs;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(x->tombs[mid].session, session) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret_n = 0;
	while (lo + *ret_n < x->ntombs && strcmp(x->tombs[lo + *ret_n].session, session) == 0)
		(*ret_n)++;
	return *ret_n ? &x->tombs[lo] : NULL;
}

static bool holds(const struct expiry_hold *h, const char *session)
{
	if (h->released)
		return false;
	return h->session[0] ? strcmp(h->session, session) == 0
	                     : strncmp(session + POINT_SESSION_VOLTAG, h->voltag, 16) == 0;
}

const struct expiry_hold *expiry_held_by(const struct expiry *x, const char *session)
{
	for (size_t i = 0; i < x->nholds; i++) {
		if (holds(&x->holds[i], session))
			return &x->holds[i];
	}
	return NULL;
}

enum expiry_state expiry_of(const struct expiry *x, const char *session)
{
	size_t n;
	const struct expiry_tomb *t = expiry_tombs(x, session, &n);
	unsigned signers = 0;

	for (size_t i = 0; i < n; i++)
		signers += i == 0 || memcmp(t[i - 1].signer, t[i].signer, sizeof(t->signer)) != 0;
	if (signers == 0)
		return EXPIRY_LIVE;
	if (signers < x->signatures)
		return EXPIRY_PROPOSED;
	if (expiry_held_by(x, session))
		return EXPIRY_HELD;
	for (size_t i = 0; i < x->npins; i++) {
		if (strcmp(x->pins[i].session, session) == 0 &&
		    (x->now_ns == 0 || x->pins[i].received_ns + EXPIRY_PIN_NS > x->now_ns))
			return EXPIRY_PINNED;
	}
	return EXPIRY_EXPIRED;
}

/* ---- making statements ---- */

static json_t *actor_json(void)
{
	struct note_actor a;

	note_actor(&a);
	return json_pack("{s:s, s:s}", "user", a.user, "host", a.host);
}

/* The number after the last statement of this prefix. */
struct last {
	size_t prefix_len;
	uint64_t number;
};

static int take_last(void *arg, const struct store_item *item, struct err *e)
{
	struct last *l = arg;
	uint64_t n;

	(void)e;
	if (note_number(item->key + l->prefix_len, &n))
		l->number = n;
	return 0;
}

static int next_number(const struct repo *r, const char *prefix, uint64_t *ret, struct err *e)
{
	struct last l = { .prefix_len = strlen(prefix) + 1 };
	char list[16];

	(void)snprintf(list, sizeof(list), "%s/", prefix);
	if (store_list(r->store, list, NULL, take_last, &l, e) < 0)
		return -1;
	*ret = l.number + 1;
	return 0;
}

/*
 * False: it is no UTF-8, and no JSON can hold it. Short memory looks the same, so what was refused
 * is asked twice, and else told by whoever needs the text.
 */
static bool is_text(const char *s)
{
	auto_json json_t *checked = json_string(s);
	auto_json json_t *unchecked = checked ? NULL : json_string_nocheck(s);
	auto_json json_t *again = unchecked ? json_string(s) : NULL;

	return checked || !unchecked || again;
}

/* A statement that does not open would stop every collection, so none is made. */
static int check_session(const char *session, struct err *e)
{
	return point_session_valid(session)
	               ? 0
	               : err_set(e, ERR_INVALID, "'%s' is no name of a restore point", session);
}

static int check_points(const char *policy, const struct expiry_point *points, size_t n,
                        struct err *e)
{
	if (!is_text(policy))
		return err_set(e, ERR_INVALID, "the name of the policy is not UTF-8 text");
	for (size_t i = 0; i < n; i++) {
		if (check_session(points[i].session, e) < 0)
			return -1;
		if (!is_text(points[i].why))
			return err_set(e, ERR_INVALID,
			               "the reason why '%s' expires is not UTF-8 text",
			               points[i].session);
	}
	return 0;
}

/* Bytes of a point in a tombstone. */
static size_t point_bytes(const struct expiry_point *p)
{
	size_t n = POINT_SESSION_LEN + sizeof("{\"session\":\"\",\"why\":\"\"},");

	for (const char *s = p->why; *s; s++)
		n += (uint8_t)*s < 0x20 ? 6 : *s == '"' || *s == '\\' ? 2 : 1;
	return n;
}

/* How many of the points fit into one tombstone; at least 1. */
static size_t points_that_fit(const struct expiry_point *points, size_t n)
{
	size_t bytes = 0;
	size_t fit = 0;

	while (fit < n && fit < EXPIRY_POINTS_MAX) {
		bytes += point_bytes(&points[fit]);
		if (fit > 0 && bytes > TOMB_POINTS_BYTES)
			break;
		fit++;
	}
	return fit;
}

int expiry_put_tomb(const struct repo *r, const char *policy, const struct expiry_point *points,
                    size_t n, uint64_t *ret_number, struct err *e)
{
	uint64_t number;

	if (check_points(policy, points, n, e) < 0)
		return -1;
	if (next_number(r, TOMB, &number, e) < 0)
		return err_wrap(e, "expiring restore points");
	for (size_t at = 0; at < n;) {
		size_t end = at + points_that_fit(points + at, n - at);
		json_t *list = json_array();
		auto_json json_t *o = json_pack("{s:s, s:I, s:s, s:o, s:o}", "schema", TOMB_SCHEMA,
		                                "at_ns", (json_int_t)now_wall_ns(), "policy",
		                                policy, "by", actor_json(), "points", list);

		for (; o && at < end; at++) {
			json_t *item = json_pack("{s:s, s:o}", "session", points[at].session, "why",
			                         json_text(points[at].why, EXPIRY_TEXT_MAX - 1));

			if (json_array_append_new(list, item) < 0)
				return err_set(e, ERR_NOMEM, "no memory for a tombstone");
		}
		if (!o)
			return err_set(e, ERR_NOMEM, "no memory for a tombstone");
		if (note_put_numbered(r, FORMAT_KIND_TOMB, TOMB, number, o, &number, e) < 0)
			return err_wrap(e, "expiring restore points");
		*ret_number = number++;
	}
	return 0;
}

static int check_texts(const char *reason, const char *name, struct err *e)
{
	if (!reason || !*reason || !name || !*name)
		return err_set(e, ERR_INVALID,
		               "a hold needs a reason and the name of who ordered it");
	if (strlen(reason) >= EXPIRY_TEXT_MAX || strlen(name) >= EXPIRY_TEXT_MAX)
		return err_set(e, ERR_INVALID, "a reason and a name have at most %d bytes",
		               EXPIRY_TEXT_MAX - 1);
	if (!is_text(reason) || !is_text(name))
		return err_set(e, ERR_INVALID, "a reason and a name are UTF-8 text");
	return 0;
}

static json_t *hold_json(const char *reason, const char *name)
{
	return json_pack("{s:s, s:I, s:s, s:s, s:o}", "schema", HOLD_SCHEMA, "at_ns",
	                 (json_int_t)now_wall_ns(), "reason", reason, "name", name, "by",
	                 actor_json());
}

/* What the newest collection saw and left. */
struct seen {
	uint64_t holds; /* highest number */
	struct session_names live;
};

static void seen_clear(struct seen *s)
{
	session_names_clear(&s->live);
}

static int seen_by(const struct repo *r, const struct collection_state *s, struct seen *ret,
                   struct err *e)
{
	CLEANUP(collection_list_clear) struct collection_list l = { 0 };
	struct expiry_settled settled;
	struct err why = ERR_INIT;

	if (!s->done_live)
		return 0;
	/* Of the same collection: a later one may have seen the hold and taken the point. */
	if (settled_by(r, s->done, &settled, e) < 0)
		return -1;
	if (collection_get(r, s->done, COLLECTION_LIVE, &l, NULL, &why) < 0) {
		/* One that does not open, or that the next collection took, says nothing. */
		if (note_is_bad(&why))
			return 0;
		*e = why;
		return -1;
	}
	ret->holds = settled.holds;
	ret->live = l.sessions;
	l.sessions = (struct session_names){ 0 };
	return 0;
}

static int seen_load(const struct repo *r, struct seen *ret, struct err *e)
{
	struct collection_state s;

	return collection_state(r, &s, e) < 0 ? -1 : seen_by(r, &s, ret, e);
}

/*
 * Whether a hold keeps the point from every collection: it stood before the tombstones, so whoever
 * sees them sees it; or the newest collection has seen it and left the point, so that nobody who
 * looked earlier can still decide. Any other may have come too late for one that is under way.
 */
static bool is_kept(const struct expiry *x, const struct seen *seen, const char *session)
{
	size_t n;
	const struct expiry_tomb *t = expiry_tombs(x, session, &n);
	int64_t first_ns = INT64_MAX;

	for (size_t i = 0; i < n; i++)
		first_ns = t[i].received_ns < first_ns ? t[i].received_ns : first_ns;
	for (size_t i = 0; i < x->nholds; i++) {
		const struct expiry_hold *h = &x->holds[i];

		if (holds(h, session) &&
		    (h->received_ns < first_ns ||
		     (h->number <= seen->holds && session_names_has(&seen->live, session))))
			return true;
	}
	return false;
}

/* Of how many points of what the hold is of it may come too late. */
static size_t too_late(const struct expiry *x, const struct seen *seen, const char *session,
                       const char *voltag)
{
	size_t n = 0;

	for (size_t i = 0; i < x->ntombs; i++) {
		const char *s = x->tombs[i].session;

		if ((session ? strcmp(s, session) == 0
		             : strncmp(s + POINT_SESSION_VOLTAG, voltag, 16) == 0) &&
		    (i == 0 || strcmp(x->tombs[i - 1].session, s) != 0) &&
		    expiry_of(x, s) != EXPIRY_PROPOSED && !is_kept(x, seen, s))
			n++;
	}
	return n;
}

/*
 * Puts the hold o; then looks whether it came in time: a tombstone that comes later than this look
 * is seen together with the hold.
 */
static int put_hold(const struct repo *r, const json_t *o, const char *session, const char *voltag,
                    uint64_t *ret_number, struct err *e)
{
	CLEANUP(expiry_clear) struct expiry x = { 0 };
	CLEANUP(seen_clear) struct seen seen = { 0 };
	enum session_end end = SESSION_OPEN;
	uint64_t number;

	if (next_number(r, HOLD, &number, e) < 0 ||
	    note_put_numbered(r, FORMAT_KIND_HOLD, HOLD, number, o, ret_number, e) < 0)
		return err_wrap(e, "placing the hold");
	if (!session && !voltag)
		return 0;
	if (expiry_now(r, &x, e) < 0 || seen_load(r, &seen, e) < 0)
		return err_wrap(e, "looking whether the hold came in time");
	/* Of what was expired long ago no tombstone is read, but the commit is gone. */
	if (session && session_look(r, session, &end, e) < 0)
		return err_wrap(e, "looking whether the hold came in time");
	size_t late = too_late(&x, &seen, session, voltag);
	if (late == 0 && (!session || end == SESSION_COMMITTED))
		return 0;
	return session ? err_set(e, ERR_NOT_FOUND,
	                         "restore point '%s' is expired: hold %llu may have come too late "
	                         "to keep it",
	                         session, (unsigned long long)*ret_number)
	               : err_set(e, ERR_NOT_FOUND,
	                         "%zu restore points of the volume are expired: hold %llu keeps "
	                         "the others, and may have come too late for those",
	                         late, (unsigned long long)*ret_number);
}

int expiry_put_hold(const struct repo *r, const char *session, const struct point_volume *v,
                    const char *reason, const char *name, uint64_t *ret_number, struct err *e)
{
	char voltag[17] = "";

	if (check_texts(reason, name, e) < 0 || (session && check_session(session, e) < 0) ||
	    (!session && point_voltag(r->keys, v, voltag, e) < 0))
		return -1;
	if (!session && (!is_text(v->name) || !is_text(v->namespace) || !is_text(v->cluster)))
		return err_set(e, ERR_INVALID, "the name of the volume is not UTF-8 text");
	auto_json json_t *o = hold_json(reason, name);
	int bad = !o;
	if (!bad && session)
		bad = json_object_set_new(o, "session", json_string(session));
	else if (!bad)
		bad = json_object_set_new(o, "volume",
		                          json_pack("{s:s, s:s, s:s}", "name", v->name, "namespace",
		                                    v->namespace, "cluster", v->cluster));
	if (bad)
		return err_set(e, ERR_NOMEM, "no memory for a hold");
	return put_hold(r, o, session, session ? NULL : voltag, ret_number, e);
}

int expiry_put_release(const struct repo *r, uint64_t hold, const char *reason, const char *name,
                       uint64_t *ret_number, struct err *e)
{
	CLEANUP(expiry_clear) struct expiry x = { 0 };

	if (check_texts(reason, name, e) < 0 || expiry_now(r, &x, e) < 0)
		return -1;
	const struct expiry_hold *h = hold_find(&x, hold);
	if (!h)
		return err_set(e, ERR_NOT_FOUND, "there is no hold %llu", (unsigned long long)hold);
	if (h->released)
		return err_set(e, ERR_NOT_FOUND, "hold %llu was released already",
		               (unsigned long long)hold);
	auto_json json_t *o = hold_json(reason, name);
	if (!o || json_object_set_new(o, "releases", json_integer((json_int_t)hold)) < 0)
		return err_set(e, ERR_NOMEM, "no memory to release a hold");
	return put_hold(r, o, NULL, NULL, ret_number, e);
}

/*
 * After the pin was put: whether the point may go while it is read. A state that is older than the
 * tombstones only makes more of them be read, and fewer holds count for sure.
 */
static int look_pinned(const struct repo *r, const char *session, bool *ret, struct err *e)
{
	CLEANUP(expiry_clear) struct expiry x = { 0 };
	CLEANUP(seen_clear) struct seen seen = { 0 };
	struct collection_state at;
	enum session_end end;

	if (collection_state(r, &at, e) < 0 || expiry_for_readers(r, &at, session, &x, e) < 0)
		return -1;
	enum expiry_state s = expiry_of(&x, session);
	if ((s == EXPIRY_HELD && seen_by(r, &at, &seen, e) < 0) ||
	    session_look(r, session, &end, e) < 0)
		return -1;
	bool expired = s == EXPIRY_PINNED || s == EXPIRY_EXPIRED ||
	               (s == EXPIRY_HELD && !is_kept(&x, &seen, session));
	*ret = end != SESSION_COMMITTED || expired;
	return 0;
}

int expiry_pin(const struct repo *r, const char *session, char ret_key[NOTE_KEY_MAX], struct err *e)
{
	struct note_actor a;
	struct err ignored = ERR_INIT;
	bool expired;

	note_actor(&a);
	note_new_key(PIN, ret_key);
	auto_json json_t *o = json_pack("{s:s, s:s, s:I, s:s}", "schema", PIN_SCHEMA, "session",
	                                session, "at_ns", (json_int_t)now_wall_ns(), "host",
	                                a.host);
	if (note_put(r, FORMAT_KIND_PIN, ret_key, o, NULL, e) < 0)
		return err_wrap(e, "pinning restore point '%s'", session);
	if (look_pinned(r, session, &expired, e) < 0)
		return -1;
	if (!expired)
		return 0;
	/* It would keep something for a week that nobody relies on. */
	(void)!store_delete(r->store, ret_key, &ignored);
	return err_set(e, ERR_NOT_FOUND,
	               "restore point '%s' is expired and may go while it is read", session);
}

int expiry_unpin(const struct repo *r, const char *key, struct err *e)
{
	return store_delete(r->store, key, e);
}
