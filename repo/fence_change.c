/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fence_change.h. The order is what makes it right: first everybody can
 * see that the site is fenced, then the points are listed. A writer commits
 * and then looks at the config; so it sees the fence, or its point is in the
 * list. Points of other sites are in the list too: nobody asks for them there,
 * and to tell them apart every one would have to be opened.
 */
#include "repo/fence_change.h"

#include <string.h>

#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "repo/commits.h"
#include "repo/named.h"
#include "repo/note.h"
#include "repo/repo.h"

#define PART_IDS ((size_t)1000000) /* of one list */

static int no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "no memory for the config");
}

static int check_admin(const struct repo *r, struct err *e)
{
	if (r->keys->kind == KEY_RECOVERY && r->keys->has_sign)
		return 0;
	return err_set(e, ERR_DENIED,
	               "fencing a site takes the recovery key that init made; this key file has no "
	               "admin key");
}

static int check_text(const char *text, const char *what, bool required, struct err *e)
{
	auto_json json_t *o = json_string(text ? text : "");

	if (required && (!text || !*text))
		return err_set(e, ERR_INVALID, "say %s: it stands in the record of the fence",
		               what);
	if (text && (!o || strlen(text) >= FENCE_REASON_MAX))
		return err_set(e, ERR_INVALID, "%s is too long, or no UTF-8", what);
	return 0;
}

static int check_order(const struct repo *r, const struct fence_order *order, struct err *e)
{
	if (check_admin(r, e) < 0 || check_text(order->reason, "the reason", true, e) < 0 ||
	    check_text(order->successor, "the successor", false, e) < 0)
		return -1;
	if (order->n == 0 || order->n > FENCE_TARGETS_MAX)
		return err_set(e, ERR_INVALID,
		               "say what is fenced: 1 to %d volumes, namespaces or "
		               "clusters",
		               FENCE_TARGETS_MAX);
	return 0;
}

/* ---- what a fence is of ---- */

struct tags {
	uint8_t (*v)[FENCE_TAG_BYTES];
	size_t n;
};

static void tags_clear(struct tags *t)
{
	free(t->v);
}

static int tags_of(const struct repo *r, const struct fence_order *order, struct tags *ret,
                   struct err *e)
{
	ret->v = calloc(order->n, sizeof(*ret->v));
	if (!ret->v)
		return no_memory(e);
	for (; ret->n < order->n; ret->n++) {
		const struct fence_target *t = &order->targets[ret->n];

		if (fence_tag(r->keys, &t->volume, t->depth, ret->v[ret->n], e) < 0)
			return -1;
	}
	return 0;
}

static bool has_tag(uint8_t (*v)[FENCE_TAG_BYTES], size_t n, const uint8_t tag[FENCE_TAG_BYTES])
{
	for (size_t i = 0; i < n; i++) {
		if (memcmp(v[i], tag, FENCE_TAG_BYTES) == 0)
			return true;
	}
	return false;
}

static bool same_tags(const struct fence *f, const struct tags *t)
{
	for (size_t i = 0; i < t->n; i++) {
		if (!has_tag(f->tags, f->ntags, t->v[i]))
			return false;
	}
	for (size_t i = 0; i < f->ntags; i++) {
		if (!has_tag(t->v, t->n, f->tags[i]))
			return false;
	}
	return true;
}

/* The place of the fence of exactly these that is not lifted; -1: there is none. */
static int standing(const struct repo *r, const struct tags *t)
{
	const struct fence *f;

	for (size_t i = 0; (f = fence_at(r, i)); i++) {
		if (!f->lifted && same_tags(f, t))
			return (int)i;
	}
	return -1;
}

/* ---- parts ---- */

static json_t *targets_json(const struct fence_order *order)
{
	auto_json json_t *a = json_array();

	for (size_t i = 0; a && i < order->n; i++) {
		const struct fence_target *t = &order->targets[i];
		const struct point_volume *v = &t->volume;
		json_t *o = json_pack("{s:s, s:s*, s:s*}", "cluster", v->cluster, "namespace",
		                      t->depth >= FENCE_NAMESPACE ? v->namespace : NULL, "name",
		                      t->depth >= FENCE_VOLUME ? v->name : NULL);

		if (json_array_append_new(a, o) < 0)
			return NULL;
	}
	return STEAL(&a);
}

/* Puts the facts for people; *ret: what the config says of them. */
static int put_facts(const struct repo *r, const struct fence_order *order, const char *what,
                     uint64_t epoch, json_t **ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf none = BUF_INIT(1);
	struct note_actor by;

	note_actor(&by);
	auto_json json_t *names = json_array();
	auto_json json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:o, s:s, s:s, s:{s:s, s:s}, s:i}",
	                                "schema", FENCE_SCHEMA, "what", what, "epoch",
	                                (json_int_t)epoch, "at_ns", (json_int_t)now_wall_ns(),
	                                "volumes", targets_json(order), "reason", order->reason,
	                                "successor", order->successor ? order->successor : "", "by",
	                                "user", by.user, "host", by.host, "points", 0);
	if (!o || !names)
		return err_set(e, ERR_INVALID, "a name is no UTF-8, or there is no memory for it");
	if (named_put(r, FORMAT_KIND_FENCE, FENCE_PREFIX, o, &none, names, e) < 0)
		return err_wrap(e, "putting the record of a fence");
	*ret = json_incref(json_array_get(names, 0));
	return 0;
}

/* ---- raising ---- */

static json_t *scope_json(const struct tags *t)
{
	auto_json json_t *a = json_array();

	for (size_t i = 0; a && i < t->n; i++) {
		char text[2 * FENCE_TAG_BYTES + 1];

		hex_encode(text, t->v[i], FENCE_TAG_BYTES);
		if (json_array_append_new(a, json_string(text)) < 0)
			return NULL;
	}
	return STEAL(&a);
}

/* A revision in which the site is fenced, and nobody says yet what counts of it. */
static int announce(struct repo *r, const struct fence_order *order, const struct tags *t,
                    struct err *e)
{
	uint64_t epoch = fence_epoch(r) + 1;
	auto_json json_t *facts = NULL;
	auto_json json_t *o = json_deep_copy(r->config.json);
	json_t *fences = json_object_get(o, "fences");

	if (json_array_size(fences) >= FENCES_MAX)
		return err_set(e, ERR_TOO_BIG,
		               "there are %d fences already, and no more fit; go on with a new "
		               "repository",
		               FENCES_MAX);
	if (put_facts(r, order, "fence", epoch, &facts, e) < 0)
		return -1;
	if (o && !fences) {
		fences = json_array();
		(void)json_object_set_new(o, "fences", fences);
	}
	json_t *entry = json_pack("{s:I, s:I, s:O, s:o}", "epoch", (json_int_t)epoch, "at_ns",
	                          (json_int_t)now_wall_ns(), "record", facts, "scope",
	                          scope_json(t));
	if (!o || json_array_append_new(fences, entry) < 0 ||
	    json_object_set_new(o, "epoch", json_integer((json_int_t)epoch)) < 0)
		return no_memory(e);
	return repo_change(r, o, r->config.features | FORMAT_FEATURE_FENCES, e);
}

/* Ids of the points, in the order of their sessions. */
static int add_id(struct buf *list, const char *session, struct err *e)
{
	uint8_t id[FENCE_ID_BYTES];

	if (hex_decode(id, sizeof(id), session + POINT_SESSION_RANDOM) < 0)
		return err_set(e, ERR_BUG, "'%s' has no id", session);
	(void)buf_put(list, id, sizeof(id));
	return buf_check(list, "a list of restore points", e);
}

static int put_list(const struct repo *r, uint64_t epoch, struct buf *list, json_t *names,
                    struct err *e)
{
	auto_json json_t *o = json_pack("{s:s, s:s, s:I, s:I}", "schema", FENCE_SCHEMA, "what",
	                                "points", "epoch", (json_int_t)epoch, "points",
	                                (json_int_t)(list->len / FENCE_ID_BYTES));

	if (!o)
		return no_memory(e);
	if (named_put(r, FORMAT_KIND_FENCE, FENCE_PREFIX, o, list, names, e) < 0)
		return err_wrap(e, "putting the list of what counts");
	buf_reset(list);
	return 0;
}

/* Lists all points that there are into objects of the store. */
static int put_points(const struct repo *r, uint64_t epoch, json_t *names, uint64_t *ret_points,
                      struct err *e)
{
	CLEANUP(commit_list_clear) struct commit_list l = { 0 };
	CLEANUP(buf_clear) struct buf list = BUF_INIT(PART_IDS * FENCE_ID_BYTES);
	uint64_t points = 0;

	if (commit_list_load(r->store, &l, e) < 0)
		return -1;
	for (size_t i = 0; i < l.n; i++) {
		if (l.v[i].kind != COMMIT_POINT)
			continue;
		if (list.len == PART_IDS * FENCE_ID_BYTES &&
		    put_list(r, epoch, &list, names, e) < 0)
			return -1;
		if (add_id(&list, l.v[i].session, e) < 0)
			return -1;
		points++;
	}
	if (list.len > 0 && put_list(r, epoch, &list, names, e) < 0)
		return -1;
	if (json_array_size(names) > KEY_LISTS_MAX)
		return err_set(e, ERR_TOO_BIG, "%llu restore points are too many for lists",
		               (unsigned long long)points);
	*ret_points = points;
	return 0;
}

/* The member of a copy of the config that is fence number i. */
static json_t *entry_of(const json_t *o, int i)
{
	return json_array_get(json_object_get(o, "fences"), (size_t)i);
}

/* The revision that says what counts. */
static int settle(struct repo *r, int i, uint64_t *ret_points, struct err *e)
{
	auto_json json_t *names = json_array();
	auto_json json_t *o = json_deep_copy(r->config.json);

	if (!names || !o)
		return no_memory(e);
	if (put_points(r, fence_at(r, (size_t)i)->epoch, names, ret_points, e) < 0)
		return -1;
	if (json_object_set(entry_of(o, i), "accepted", names) < 0)
		return no_memory(e);
	return repo_change(r, o, r->config.features, e);
}

int fence_raise(struct repo *r, const struct fence_order *order, struct fence_result *ret,
                struct err *e)
{
	CLEANUP(tags_clear) struct tags t = { 0 };
	struct fence_result result = { 0 };

	if (check_order(r, order, e) < 0 || tags_of(r, order, &t, e) < 0)
		return -1;
	int i = standing(r, &t);
	if (order->dry_run || (i >= 0 && !fence_at(r, (size_t)i)->closing)) {
		result.already = i >= 0;
		result.epoch = i >= 0 ? fence_at(r, (size_t)i)->epoch : fence_epoch(r) + 1;
		result.revision = r->config.revision;
		*ret = result;
		return 0;
	}
	if (i < 0 && announce(r, order, &t, e) < 0)
		return -1;
	i = standing(r, &t);
	if (i < 0)
		return err_set(e, ERR_BUG, "the fence that was put is not there");
	if (settle(r, i, &result.points, e) < 0)
		return err_wrap(e, "completing the fence (run it again)");
	result.epoch = fence_at(r, (size_t)i)->epoch;
	result.revision = r->config.revision;
	*ret = result;
	return 0;
}

/* ---- giving back ---- */

static int no_fence(const struct repo *r, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(400);
	const struct fence *f;

	for (size_t i = 0; (f = fence_at(r, i)); i++) {
		if (!f->lifted && b.len < 300)
			(void)buf_printf(&b, "%s%llu", b.len ? ", " : "",
			                 (unsigned long long)f->epoch);
	}
	return err_set(e, ERR_NOT_FOUND,
	               "there is no fence of exactly this; those that stand have the epochs: %s "
	               "(aksdr-restore fences)",
	               b.len ? buf_cstr(&b) : "none");
}

/* Whether these were given back by the newest fence of theirs. */
static const struct fence *lifted(const struct repo *r, const struct tags *t)
{
	const struct fence *last = NULL;
	const struct fence *f;

	for (size_t i = 0; (f = fence_at(r, i)); i++) {
		if (f->lifted && same_tags(f, t))
			last = f;
	}
	return last;
}

int fence_lift(struct repo *r, const struct fence_order *order, struct fence_result *ret,
               struct err *e)
{
	CLEANUP(tags_clear) struct tags t = { 0 };
	auto_json json_t *facts = NULL;
	uint64_t epoch = fence_epoch(r) + 1;

	if (check_order(r, order, e) < 0 || tags_of(r, order, &t, e) < 0)
		return -1;
	int i = standing(r, &t);
	const struct fence *before = i < 0 ? lifted(r, &t) : NULL;
	if (i < 0 && !before)
		return no_fence(r, e);
	if (before || order->dry_run) {
		*ret = (struct fence_result){ .epoch = before ? before->lifted : epoch,
			                      .revision = r->config.revision,
			                      .already = before != NULL };
		return 0;
	}
	if (fence_at(r, (size_t)i)->closing)
		return err_set(e, ERR_INVALID,
		               "the fence of epoch %llu is not complete: run 'fence' again first",
		               (unsigned long long)fence_at(r, (size_t)i)->epoch);
	if (put_facts(r, order, "lift", epoch, &facts, e) < 0)
		return -1;
	auto_json json_t *o = json_deep_copy(r->config.json);
	json_t *entry = json_pack("{s:I, s:I, s:O}", "epoch", (json_int_t)epoch, "at_ns",
	                          (json_int_t)now_wall_ns(), "record", facts);
	if (!o || json_object_set_new(entry_of(o, i), "lifted", entry) < 0 ||
	    json_object_set_new(o, "epoch", json_integer((json_int_t)epoch)) < 0)
		return no_memory(e);
	if (repo_change(r, o, r->config.features, e) < 0)
		return -1;
	*ret = (struct fence_result){ .epoch = epoch, .revision = r->config.revision };
	return 0;
}

/* ---- late points ---- */

/* Appends a list with these points to what counts of fence number i. */
static int accept_in(const struct repo *r, json_t *o, size_t i, struct buf *list, struct err *e)
{
	const struct fence *f = fence_at(r, i);
	json_t *names = json_object_get(entry_of(o, (int)i), "accepted");

	if (f->closing)
		return err_set(e, ERR_INVALID,
		               "the fence of epoch %llu is not complete: run 'fence' again first",
		               (unsigned long long)f->epoch);
	if (json_array_size(names) >= KEY_LISTS_MAX)
		return err_set(e, ERR_TOO_BIG, "the fence of epoch %llu has %d lists already",
		               (unsigned long long)f->epoch, KEY_LISTS_MAX);
	return put_list(r, f->epoch, list, names, e);
}

int fence_accept(struct repo *r, const char *const *sessions, size_t n, bool dry_run,
                 struct fence_result *ret, struct err *e)
{
	CLEANUP(commit_list_clear) struct commit_list l = { 0 };
	auto_json json_t *o = json_deep_copy(r->config.json);
	struct fence_result result = { .epoch = fence_epoch(r), .points = n };

	if (check_admin(r, e) < 0 || commit_list_load(r->store, &l, e) < 0)
		return -1;
	if (!o)
		return no_memory(e);
	for (size_t i = 0; i < n; i++) {
		const struct commit_item *c = commit_list_find(&l, sessions[i]);

		if (!c || c->kind != COMMIT_POINT)
			return err_set(e, ERR_NOT_FOUND, "there is no restore point '%s'",
			               sessions[i]);
	}
	for (size_t i = 0; !dry_run && n > 0 && fence_at(r, i); i++) {
		CLEANUP(buf_clear) struct buf list = BUF_INIT(PART_IDS * FENCE_ID_BYTES);

		for (size_t x = 0; x < n; x++) {
			if (add_id(&list, sessions[x], e) < 0)
				return -1;
		}
		if (accept_in(r, o, i, &list, e) < 0)
			return -1;
	}
	if (!dry_run && n > 0 && fence_at(r, 0) && repo_change(r, o, r->config.features, e) < 0)
		return -1;
	result.revision = r->config.revision;
	*ret = result;
	return 0;
}
