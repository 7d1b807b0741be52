/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See revoke.h. What a signer signed is found by going through everything in
 * the store that is no pack: each of those objects names its signer in the
 * clear, at the same place.
 *
 * What a collection decided and moved counts whenever it came: packs have been
 * deleted by it, and without its part of the index nobody would find what was
 * in them.
 */
#include "repo/revoke.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "common/team.h"
#include "repo/collection.h"
#include "repo/commits.h"
#include "repo/crypt.h"
#include "repo/expiry.h"
#include "repo/named.h"
#include "repo/note.h"
#include "repo/session.h"

#define PREFIX "ctl/revoked"
#define SCHEMA "aksdr/revoked/v1"
#define CACHED "revoked-" /* files of the state directory */
#define HASH_BYTES 32
#define PART_HASHES ((size_t)1000000) /* of one list */
#define BATCH 1024                    /* objects looked at together */
#define THREADS_MAX 16
#define WHOLE_BYTES (64 * KIB) /* of an object that is read at once */
#define OBJECT_MAX (128 * MIB)
#define SIGNER_AT FORMAT_HEAD_BYTES
#define FRONT_BYTES (FORMAT_HEAD_BYTES + FORMAT_SIGNER_BYTES)

/* ---- loading ---- */

static int hash_cmp(const void *a, const void *b)
{
	return memcmp(a, b, HASH_BYTES);
}

static int no_room(const struct repo *r, struct err *e)
{
	return err_sys(e, errno, "making room for a list in '%s'",
	               r->state[0] ? r->state : "memory");
}

static const char *scratch_of(const struct repo *r)
{
	return r->state[0] ? r->state : NULL;
}

static int load_list(const struct repo *r, struct key_signer *s, const struct key_list *l,
                     bool *ret_news, struct err *e)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(NOTE_LIST_MAX + NOTE_ENVELOPE_BYTES);
	CLEANUP(buf_clear) struct buf list = BUF_INIT(NOTE_LIST_MAX);
	auto_json json_t *o = NULL;
	size_t cap = s->accepted_bytes / HASH_BYTES;
	void *v = s->accepted;

	if (named_get(r, l, CACHED, &object, ret_news, e) < 0 ||
	    note_open_list(r, FORMAT_KIND_REVOKED, l->object, object.data, object.len, &o, &list,
	                   NULL, e) < 0 ||
	    note_schema(o, l->object, SCHEMA, e) < 0)
		return -1;
	if (list.len % HASH_BYTES != 0)
		return err_set(e, ERR_FORMAT, "'%s' does not add up", l->object);
	for (size_t i = 0; i < list.len / HASH_BYTES; i++) {
		if (fd_grow_scratch(scratch_of(r), &v, s->naccepted, &cap, HASH_BYTES) < 0)
			return no_room(r, e);
		s->accepted = v;
		s->accepted_bytes = cap * HASH_BYTES;
		memcpy(s->accepted[s->naccepted++], list.data + i * HASH_BYTES, HASH_BYTES);
	}
	return 0;
}

static int load_signer(const struct repo *r, struct key_signer *s, bool *ret_news, struct err *e)
{
	for (size_t i = 0; i < s->nlists && !s->lost; i++) {
		struct err why = ERR_INIT;

		if (cancel_check(r->cancel, e) < 0)
			return -1;
		if (load_list(r, s, &s->lists[i], ret_news, &why) == 0)
			continue;
		if (!note_is_bad(&why)) {
			*e = why;
			return err_wrap(e, "reading what counts of the revoked key '%s'", s->name);
		}
		s->lost = true;
	}
	if (s->naccepted > 1)
		qsort(s->accepted, s->naccepted, HASH_BYTES, hash_cmp);
	return 0;
}

static bool is_named(const struct repo *r, const char *file)
{
	char name[NAMED_FILE_MAX];

	for (size_t i = 0; i < r->keys->nsigners; i++) {
		const struct key_signer *s = &r->keys->signers[i];

		for (size_t n = 0; n < s->nlists; n++) {
			named_file(&s->lists[n], CACHED, name);
			if (strcmp(name, file) == 0)
				return true;
		}
	}
	return false;
}

/* Copies of lists that nobody names any more. */
static void drop_old(const struct repo *r)
{
	DIR *d = opendir(r->state);

	for (const struct dirent *x; d && (x = readdir(d));) {
		if (strncmp(x->d_name, CACHED, strlen(CACHED)) == 0 && !is_named(r, x->d_name))
			(void)unlinkat(dirfd(d), x->d_name, 0);
	}
	if (d)
		(void)closedir(d);
}

int revoke_load(struct repo *r, struct err *e)
{
	bool news = false;

	for (size_t i = 0; i < r->keys->nsigners; i++) {
		if (load_signer(r, &r->keys->signers[i], &news, e) < 0)
			return -1;
	}
	if (news)
		drop_old(r);
	return 0;
}

/* ---- what a signer has signed ---- */

struct gather {
	const struct repo *r;
	const struct revoke_params *p;
	struct revoke_result *result;
	uint8_t id[FORMAT_SIGNER_BYTES];
	char jump[STORE_KEY_MAX + 1]; /* where the list goes on */
	struct store_item *items;     /* BATCH of them */
	size_t n;
	struct team_tasks tasks;
	pthread_mutex_t lock;
	uint8_t (*hashes)[HASH_BYTES]; /* guarded by lock; scratch memory */
	size_t nhashes, cap;
};

static void gather_clear(struct gather *g)
{
	if (g->hashes)
		(void)munmap(g->hashes, g->cap * HASH_BYTES);
	free(g->items);
	(void)pthread_mutex_destroy(&g->lock);
}

/* The session whose object this is: below sess/, commit/ or idx/DTAG/. false: none's. */
static bool session_of(const char *key, char ret[POINT_SESSION_LEN + 1])
{
	const char *name = NULL;

	if (strncmp(key, "sess/", 5) == 0)
		name = key + 5;
	else if (strncmp(key, "commit/", 7) == 0)
		name = key + 7;
	else if (strncmp(key, "idx/", 4) == 0 && strchr(key + 4, '/'))
		name = strchr(key + 4, '/') + 1;
	if (!name)
		return false;
	(void)snprintf(ret, POINT_SESSION_LEN + 1, "%s", name);
	return point_session_valid(ret);
}

static bool is_collection(const char *key)
{
	char session[POINT_SESSION_LEN + 1];

	return strncmp(key, "ctl/gc/", 7) == 0 ||
	       (session_of(key, session) && session_is_maintenance(session));
}

/* The session of a restore point's commit; NULL: it is none. */
static const char *point_of(const struct store_item *x)
{
	const char *session = x->key + strlen("commit/");

	return strncmp(x->key, "commit/", strlen("commit/")) == 0 &&
	                       x->st.size != FORMAT_ABORT_BYTES && point_session_valid(session) &&
	                       !session_is_maintenance(session)
	               ? session
	               : NULL;
}

static int take_locked(struct gather *g, const struct store_item *x, const struct buf *object,
                       struct err *e)
{
	struct revoke_result *ret = g->result;
	bool in_time = g->p->before_ns == 0 || x->st.received_ns < g->p->before_ns;
	const char *point = point_of(x);
	void *v = g->hashes;

	if (!in_time && !is_collection(x->key)) {
		ret->rejected++;
		ret->points_rejected += point != NULL;
		return point && g->p->rejected
		               ? g->p->rejected(g->p->arg, point, x->st.received_ns, e)
		               : 0;
	}
	if (fd_grow_scratch(scratch_of(g->r), &v, g->nhashes, &g->cap, HASH_BYTES) < 0)
		return no_room(g->r, e);
	g->hashes = v;
	crypt_sha256(g->hashes[g->nhashes++], object->data, object->len);
	ret->accepted++;
	ret->points_accepted += point != NULL;
	ret->kept += !in_time;
	return 0;
}

/* Whether the object is this signer's; its bytes are in b then. -1: e. */
static int read_own(const struct gather *g, const struct store_item *x, struct buf *b,
                    struct err *e)
{
	struct store *s = g->r->store;

	buf_reset(b);
	if (x->st.size < FRONT_BYTES || x->st.size > OBJECT_MAX)
		return 0;
	if (x->st.size > WHOLE_BYTES) {
		uint8_t front[FRONT_BYTES];

		if (store_get(s, x->key, 0, front, sizeof(front), e) < 0)
			return -1;
		if (memcmp(front, FORMAT_MAGIC, 4) != 0 ||
		    memcmp(front + SIGNER_AT, g->id, sizeof(g->id)) != 0)
			return 0;
	}
	if (store_get_all(s, x->key, b, e) < 0)
		return -1;
	return b->len >= FRONT_BYTES && memcmp(b->data, FORMAT_MAGIC, 4) == 0 &&
	       memcmp(b->data + SIGNER_AT, g->id, sizeof(g->id)) == 0;
}

static int look_at(struct gather *g, const struct store_item *x, struct buf *b, struct err *e)
{
	struct err why = ERR_INIT;

	if (cancel_check(g->r->cancel, e) < 0)
		return -1;
	int own = read_own(g, x, b, &why);
	if (own < 0 && why.class == ERR_NOT_FOUND)
		return 0; /* these come and go */
	if (own < 0) {
		*e = why;
		return err_wrap(e, "looking who has signed '%s'", x->key);
	}
	if (g->p->counts)
		atomic_fetch_add_explicit(&g->p->counts->files_done, 1, memory_order_relaxed);
	if (!own)
		return 0;
	(void)pthread_mutex_lock(&g->lock);
	int rc = take_locked(g, x, b, e);
	(void)pthread_mutex_unlock(&g->lock);
	return rc;
}

static int look_at_some(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(OBJECT_MAX);
	struct gather *g = arg;
	size_t at;

	(void)i;
	while (!atomic_load(stop) && team_take(&g->tasks, &at)) {
		if (look_at(g, &g->items[at], &b, e) < 0)
			return -1;
	}
	return 0;
}

static int flush_batch(struct gather *g, struct err *e)
{
	g->tasks = (struct team_tasks){ .n = g->n };
	g->n = 0;
	return g->tasks.n == 0 ? 0
	                       : team_run(team_size(g->p->threads, THREADS_MAX), "revoke",
	                                  look_at_some, g, e);
}

/* Packs are vouched for or not, and never listed; the rest of these the admin signs alone. */
static const char *const passed_over[] = {
	"ctl/config/", "ctl/fence/", "ctl/owner/", "ctl/revoked/",
	"meta/",       "pack/",      "probe/",     "reseal/",
};

static int take_item(void *arg, const struct store_item *item, struct err *e)
{
	struct gather *g = arg;

	for (size_t i = 0; i < ARRAY_LEN(passed_over); i++) {
		size_t n = strlen(passed_over[i]);

		if (strncmp(item->key, passed_over[i], n) != 0)
			continue;
		/* The first key behind all of these: '0' follows '/'. */
		(void)snprintf(g->jump, sizeof(g->jump), "%.*s0", (int)n - 1, passed_over[i]);
		return 1;
	}
	g->items[g->n++] = *item;
	return g->n == BATCH ? flush_batch(g, e) : 0;
}

/* Hashes of all that counts of what the signer has signed, sorted, each once. */
static int gather_run(struct gather *g, struct err *e)
{
	char after[STORE_KEY_MAX + 1];
	size_t kept = 0;

	g->items = calloc(BATCH, sizeof(*g->items));
	if (!g->items)
		return err_set(e, ERR_NOMEM, "no memory for a list of objects");
	do {
		memcpy(after, g->jump, sizeof(after));
		g->jump[0] = '\0';
		if (store_list(g->r->store, "", after, take_item, g, e) < 0)
			return err_wrap(e, "listing what is in the store");
	} while (g->jump[0]);
	if (flush_batch(g, e) < 0)
		return -1;
	if (g->nhashes > 1)
		qsort(g->hashes, g->nhashes, HASH_BYTES, hash_cmp);
	for (size_t i = 0; i < g->nhashes; i++) {
		if (kept == 0 || memcmp(g->hashes[kept - 1], g->hashes[i], HASH_BYTES) != 0)
			memmove(g->hashes[kept++], g->hashes[i], HASH_BYTES);
	}
	g->nhashes = kept;
	return 0;
}

/* ---- is everything there ---- */

/*
 * What the store hides now would not count later. What was live at the last
 * collection is known, and must be there.
 */
static int check_listed(const struct repo *r, struct err *e)
{
	CLEANUP(commit_list_clear) struct commit_list commits = { 0 };
	CLEANUP(collection_list_clear) struct collection_list live = { 0 };
	CLEANUP(expiry_clear) struct expiry x = { 0 };
	struct collection_state s;

	if (collection_state(r, &s, e) < 0)
		return -1;
	if (!s.done_live)
		return 0;
	if (collection_get(r, s.done, COLLECTION_LIVE, &live, NULL, e) < 0 ||
	    expiry_load(r, 0, &x, e) < 0 || commit_list_load(r->store, &commits, e) < 0)
		return err_wrap(e, "looking whether all restore points are there");
	for (size_t i = 0; i < live.sessions.n; i++) {
		const char *session = live.sessions.v[i];

		if (commit_list_find(&commits, session) || expiry_is_gone(&x, session))
			continue;
		return err_set(e, ERR_CORRUPT,
		               "the store lacks restore point '%s', which was there at the last "
		               "collection: what it hides now would not count later; look into "
		               "that ('check'), or accept the loss (--accept-loss)",
		               session);
	}
	return 0;
}

/* ---- revoking ---- */

static int unknown(const struct keys *k, const char *name, struct err *e)
{
	CLEANUP(buf_clear) struct buf names = BUF_INIT(400);

	for (size_t i = 0; i < k->nsigners; i++) {
		if (!k->signers[i].revoked && names.len < 300)
			(void)buf_printf(&names, "%s'%s'", names.len ? ", " : "",
			                 k->signers[i].name);
	}
	return err_set(e, ERR_NOT_FOUND, "there is no key '%.64s' that signs; there is %s", name,
	               names.len ? buf_cstr(&names) : "none");
}

static const struct key_signer *find(const struct keys *k, const char *name)
{
	const struct key_signer *found = NULL;
	uint8_t id[8];
	bool by_id = hex_decode(id, sizeof(id), name) == 0;

	for (size_t i = 0; i < k->nsigners; i++) {
		const struct key_signer *s = &k->signers[i];

		if ((strcmp(s->name, name) == 0 || (by_id && memcmp(s->id, id, sizeof(id)) == 0)) &&
		    (!found || found->revoked))
			found = s;
	}
	return found;
}

/* A revision in which the signer is revoked, and nobody says yet what counts of it. */
static int announce(struct repo *r, const struct key_signer *s, struct err *e)
{
	auto_json json_t *o = json_deep_copy(r->config.json);
	json_t *signers = json_object_get(o, "signers");
	json_t *revoked = json_object_get(o, "revoked");
	json_t *entry;

	if (o && !revoked) {
		revoked = json_array();
		(void)json_object_set_new(o, "revoked", revoked);
	}
	int at = config_member(signers, s->public);
	entry = json_pack("{s:s, s:s, s:I}", "public", hex_of32(s->public).s, "name", s->name,
	                  "at_ns", (json_int_t)now_wall_ns());
	if (!o || at < 0 || json_array_append_new(revoked, entry) < 0 ||
	    json_array_remove(signers, (size_t)at) < 0)
		return err_set(e, ERR_NOMEM, "no memory for the config");
	return repo_change(r, o, r->config.features, e);
}

/* When the store received the newest revision: its time, not this machine's. */
static int64_t store_time(const struct repo *r)
{
	struct err ignored = ERR_INIT;
	struct store_stat st;
	char key[32];

	config_key(r->config.revision, key);
	return store_head(r->store, key, &st, &ignored) == 0 ? st.received_ns : now_wall_ns();
}

/* Puts the lists; ret (an array) gets what the config says of them. */
static int put_lists(struct gather *g, json_t *ret, struct err *e)
{
	if (g->nhashes / PART_HASHES >= KEY_LISTS_MAX)
		return err_set(e, ERR_TOO_BIG, "%zu objects are too many for lists of what counts",
		               g->nhashes);
	for (size_t at = 0; at < g->nhashes; at += PART_HASHES) {
		CLEANUP(buf_clear) struct buf list = BUF_INIT(NOTE_LIST_MAX);
		size_t n = g->nhashes - at < PART_HASHES ? g->nhashes - at : PART_HASHES;
		char id[2 * FORMAT_SIGNER_BYTES + 1];

		hex_encode(id, g->id, sizeof(g->id));
		auto_json json_t *o = json_pack("{s:s, s:s, s:I}", "schema", SCHEMA, "signer", id,
		                                "objects", (json_int_t)n);
		(void)buf_put(&list, g->hashes[at], n * HASH_BYTES);
		if (!o || buf_check(&list, "a list", e) < 0)
			return o ? -1 : err_set(e, ERR_NOMEM, "no memory for a list");
		if (named_put(g->r, FORMAT_KIND_REVOKED, PREFIX, o, &list, ret, e) < 0)
			return err_wrap(e, "putting the list of what counts");
	}
	return 0;
}

/* The revision that says what counts. */
static int settle(struct repo *r, const uint8_t public[32], int64_t at_ns, json_t *lists,
                  struct err *e)
{
	auto_json json_t *o = json_deep_copy(r->config.json);
	json_t *revoked = json_object_get(o, "revoked");
	int at = config_member(revoked, public);
	json_t *entry = at < 0 ? NULL : json_array_get(revoked, (size_t)at);

	if (!entry || json_object_set(entry, "accepted", lists) < 0 ||
	    json_object_set_new(entry, "at_ns", json_integer(at_ns)) < 0)
		return err_set(e, ERR_NOMEM, "no memory for the config");
	return repo_change(r, o, r->config.features, e);
}

static int check_params(const struct repo *r, const struct revoke_params *p,
                        const struct key_signer *s, struct err *e)
{
	if (!p->dry_run && (!r->keys->has_sign || r->keys->kind != KEY_RECOVERY))
		return err_set(e, ERR_DENIED,
		               "revoking a key takes the recovery key that init made; this key "
		               "file has no admin key");
	if (!s)
		return unknown(r->keys, p->name, e);
	if (p->before_ns > now_wall_ns())
		return err_set(e, ERR_INVALID, "%s has not come yet; give a time that has passed",
		               now_rfc3339(p->before_ns).s);
	if (s->revoked && !s->closing && p->before_ns == 0)
		return err_set(e, ERR_INVALID,
		               "key '%s' was revoked on %s; to say anew what counts of it, say up "
		               "to what time (--accept-before)",
		               s->name, now_rfc3339(s->revoked_ns).s);
	return 0;
}

int revoke_run(struct repo *r, const struct revoke_params *params, struct revoke_result *ret,
               struct err *e)
{
	struct revoke_result result = { 0 };
	CLEANUP(gather_clear)
	struct gather g = {
		.r = r, .p = params, .result = &result, .lock = PTHREAD_MUTEX_INITIALIZER
	};
	const struct key_signer *s = find(r->keys, params->name);
	auto_json json_t *lists = json_array();
	uint8_t public[32];

	if (check_params(r, params, s, e) < 0 || (!params->accept_loss && check_listed(r, e) < 0))
		return -1;
	memcpy(g.id, s->id, sizeof(g.id));
	memcpy(public, s->public, sizeof(public));
	memcpy(result.id, s->id, sizeof(result.id));
	memcpy(result.name, s->name, sizeof(result.name));
	result.again = s->revoked && !s->closing;
	int64_t at_ns = s->revoked_ns;
	/* From here on s is gone: the keys are those of another config. */
	if (!params->dry_run && !s->revoked && announce(r, s, e) < 0)
		return -1;
	if (!params->dry_run && !result.again)
		at_ns = store_time(r);
	if (gather_run(&g, e) < 0)
		return -1;
	if (!params->dry_run &&
	    (put_lists(&g, lists, e) < 0 || settle(r, public, at_ns, lists, e) < 0))
		return err_wrap(e, "revoking key '%s' (run it again)", result.name);
	result.revision = params->dry_run ? 0 : r->config.revision;
	*ret = result;
	return 0;
}
