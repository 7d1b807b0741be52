/* SPDX-License-Identifier: Apache-2.0 */
/* See damage_world.h. */
#include "tests/harness/damage_world.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/json.h"
#include "common/secret.h"
#include "repo/collection.h"
#include "repo/commits.h"
#include "repo/expiry.h"
#include "repo/frame.h"
#include "repo/rekey.h"
#include "repo/reseal.h"
#include "repo/revoke.h"
#include "repo/session.h"
#include "repo/writer.h"
#include "snapshot/walk.h"
#include "tests/harness/harness.h"

#define HOUR_NS ((int64_t)3600 * 1000000000)
#define PACK_BYTES ((uint32_t)(256 * KIB))
#define CUT_MIN ((uint32_t)(4 * KIB))
#define CUT_AVG ((uint32_t)(16 * KIB))
#define CUT_MAX ((uint32_t)(64 * KIB))
#define FILES 9
#define LARGE_BYTES ((size_t)(300 * KIB + 100)) /* no whole pages: cut by content */

const struct gc_params damage_eager = {
	.fence_after_ns = -HOUR_NS,
	.young_ns = -HOUR_NS,
	.repack_percent = GC_REPACK_DEFAULT,
	.share_percent = 100,
	.threads = 1,
};

const char *const damage_kind_names[DAMAGE_KINDS] = {
	[DAMAGE_CONFIG] = "config",
	[DAMAGE_REVISION] = "config revision, older",
	[DAMAGE_NEWEST_REVISION] = "config revision, newest",
	[DAMAGE_REVOKED] = "list of a revoked key",
	[DAMAGE_RESEAL] = "re-sealed keys",
	[DAMAGE_POINT] = "restore point, followed",
	[DAMAGE_HEAD] = "restore point, newest",
	[DAMAGE_EXPIRED] = "restore point, expired",
	[DAMAGE_COPIES] = "maintenance commit, copies",
	[DAMAGE_MERGED] = "maintenance commit, merged index",
	[DAMAGE_ABORT] = "abort",
	[DAMAGE_MARKER] = "marker, session ended",
	[DAMAGE_MARKER_OPEN] = "marker, session open",
	[DAMAGE_BEAT] = "beat",
	[DAMAGE_INDEX] = "index segment, settled",
	[DAMAGE_INDEX_OPEN] = "index segment, other",
	[DAMAGE_PACK] = "pack of data",
	[DAMAGE_NODES] = "pack of tree nodes",
	[DAMAGE_SPARE] = "pack, with copies elsewhere",
	[DAMAGE_CONDEMNED] = "pack, condemned",
	[DAMAGE_MARKED] = "pack, condemned and marked",
	[DAMAGE_CONDEMN] = "gc condemn, open",
	[DAMAGE_SESSIONS] = "gc sessions, open",
	[DAMAGE_FINAL] = "gc final",
	[DAMAGE_FINALS] = "gc finals",
	[DAMAGE_LIVE] = "gc live",
	[DAMAGE_DONE] = "gc done",
	[DAMAGE_MARK] = "mark of damage",
	[DAMAGE_TOMB] = "tombstone, older",
	[DAMAGE_NEWEST_TOMB] = "tombstone, newest",
	[DAMAGE_HOLD] = "hold, older",
	[DAMAGE_NEWEST_HOLD] = "hold, newest (a release)",
	[DAMAGE_PIN] = "pin",
	[DAMAGE_RECORD] = "record of a check",
};

/* Ends the program unless the call, which takes e, works. */
#define must(call)                                            \
	do {                                                  \
		struct err e_ = ERR_INIT;                     \
		struct err *e = &e_;                          \
		if ((call) < 0)                               \
			harness_die("%s: %s", #call, e_.msg); \
	} while (0)

/* ---- sources ---- */

static char *source_path(const struct damage_world *w, unsigned volume, unsigned state)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "src/%u-%u", volume, state);
	return path_join(w->dir, name);
}

/* Some files are the same in every state, some in every volume. */
static void make_source(const struct damage_world *w, unsigned volume, unsigned state)
{
	auto_free uint8_t *p = malloc(LARGE_BYTES);
	auto_free char *root = source_path(w, volume, state);
	char name[64];

	if (!p)
		harness_die("no memory for a source");
	for (unsigned i = 0; i < FILES; i++) {
		size_t n = 500 + i * 2500;

		fill_random(w->seed + i + (i % 3 ? 100 * (volume + 1) : 0) +
		                    (i % 3 == 1 ? 10000 * (state + 1) : 0),
		            p, n);
		(void)snprintf(name, sizeof(name), "src/%u-%u/d%u/f%u", volume, state, i % 2, i);
		write_file(w->dir, name, p, n);
	}
	fill_random(w->seed + 50 + volume, p, LARGE_BYTES);
	fill_random(w->seed + 60 + state, p + 40000, 5000);
	(void)snprintf(name, sizeof(name), "src/%u-%u/large", volume, state);
	write_file(w->dir, name, p, LARGE_BYTES);
	/* So much of its own that the pack is copied when the first point goes. */
	if (volume == 0 && state == 0) {
		fill_random(w->seed + 70, p, LARGE_BYTES);
		write_file(w->dir, "src/0-0/extra", p, LARGE_BYTES);
	}
	auto_free char *link = path_join(root, "link");
	if (symlink("d0/f0", link) < 0)
		harness_die("'%s': %s", link, strerror(errno));
}

struct damage_digest damage_world_digest(const struct damage_world *w, unsigned volume,
                                         unsigned state)
{
	auto_free char *path = source_path(w, volume, state);

	return damage_digest_of(path);
}

/* ---- doors ---- */

int damage_world_open(const struct damage_world *w, struct damage_store *s, const char *key,
                      const char *state, struct repo **ret, struct err *e)
{
	struct keys *k = NULL;
	struct repo *r = NULL;
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/keys/%s.key", w->dir, key);
	if (keys_load(path, NULL, &k, e) < 0 || repo_open(&s->base, k, state, NULL, &r, e) < 0)
		return -1;
	r->params.pack_bytes = PACK_BYTES;
	r->params.cut_min = CUT_MIN;
	r->params.cut_avg = CUT_AVG;
	r->params.cut_max = CUT_MAX;
	*ret = r;
	return 0;
}

struct point_volume damage_world_volume(unsigned volume)
{
	struct point_volume v = { 0 };

	(void)snprintf(v.name, sizeof(v.name), "volume-%u", volume);
	return v;
}

int damage_world_backup(const struct damage_world *w, const struct repo *r, unsigned volume,
                        unsigned state, struct point *ret, struct err *e)
{
	const struct point_volume v = damage_world_volume(volume);
	auto_free char *path = source_path(w, volume, state);
	const struct walk_params walk = { .stat_threads = 1 };
	struct source *source = walk_open(path, &walk, e);
	const struct writer_params p = {
		.volume = &v,
		.domain = volume == DAMAGE_VOLUMES - 1 ? "other" : "shared",
		.consistency = "fuzzy",
		.driver = "live",
		.threads = 1,
		.retries = 1,
	};

	if (!source)
		return -1;
	int rc = writer_backup(r, source, &p, ret, e);
	source->ops->free(source);
	if (rc == 0 && (ret->unreadable || ret->changed || ret->gone)) {
		point_clear(ret);
		*ret = (struct point){ 0 };
		return err_set(e, ERR_BUG, "a source that nobody changes was not read whole");
	}
	return rc;
}

/* ---- making ---- */

struct maker {
	struct damage_world *w;
	struct repo *agent, *second, *recovery;
};

static struct repo *open_as(const struct damage_world *w, const char *key)
{
	struct repo *r = NULL;

	must(damage_world_open(w, w->now, key, NULL, &r, e));
	return r;
}

/* All handles go by the newest config. */
static void reopen(struct maker *m)
{
	repo_free(m->agent);
	repo_free(m->recovery);
	m->agent = open_as(m->w, "agent");
	m->recovery = open_as(m->w, "recovery");
}

/* A new point; returns its number in the world. */
static unsigned back_up(struct maker *m, struct repo *r, unsigned volume, unsigned state)
{
	CLEANUP(point_clear) struct point p = { 0 };
	struct damage_world *w = m->w;
	auto_free char *path = source_path(w, volume, state);

	if (access(path, F_OK) < 0)
		make_source(w, volume, state);
	must(damage_world_backup(w, r, volume, state, &p, e));
	struct damage_point *to = &w->points[w->npoints];
	*to = (struct damage_point){ .volume = volume,
		                     .live = true,
		                     .digest = damage_world_digest(w, volume, state) };
	memcpy(to->session, p.session, sizeof(to->session));
	return w->npoints++;
}

static void expire(struct maker *m, unsigned number, bool lives)
{
	struct damage_point *p = &m->w->points[number];
	const struct expiry_point one = { .session = p->session, .why = "a test" };
	uint64_t ret;

	must(expiry_put_tomb(m->agent, "test", &one, 1, &ret, e));
	p->live = lives;
}

static void keep_past(struct damage_world *w)
{
	w->past[w->npast++] = damage_store_copy(w->now);
}

/* A backup that dies before its commit; what it was to be called is in ret. */
static void die_before_commit(struct maker *m, unsigned state, char ret[96])
{
	CLEANUP(point_clear) struct point p = { 0 };
	char key[128];

	make_source(m->w, 0, state);
	must(damage_world_backup(m->w, m->agent, 0, state, &p, e));
	(void)snprintf(key, sizeof(key), "commit/%s", p.session);
	damage_store_remove(m->w->now, key);
	memcpy(ret, p.session, 96);
}

/* The first chunk of a pack that an index segment of the volume's newest point names. */
static void mark_damage(struct maker *m)
{
	CLEANUP(point_clear) struct point p = { 0 };
	struct place place = { .pack.kind = CHUNK_NODE };

	must(repo_point(m->recovery, m->w->points[m->w->npoints - 1].session, &p, e));
	memcpy(place.pack.id, p.root.pack, sizeof(place.pack.id));
	memcpy(place.id, p.root.id, sizeof(place.id));
	place.off = p.root.off;
	m->w->marked = place.pack;
	must(damage_put(m->agent, &place, 1, e));
}

static void check(struct maker *m, unsigned level)
{
	const struct check_params p = { .level = level, .threads = 1, .record = true };
	struct check_result r;

	must(check_run(m->agent, &p, &r, e));
	if (!r.recorded)
		harness_die("the record of a check: %s", r.unrecorded.msg);
}

/* A check that finds a pack damaged, and says so in its record. */
static void check_damaged(struct maker *m)
{
	struct damage_store *s = m->w->now;
	struct damage_store *whole = damage_store_copy(s);
	size_t i = 0;

	while (strncmp(s->v[i].key, "pack/", 5) != 0)
		i++;
	auto_free char *key = strdup(s->v[i].key);
	size_t n = s->v[i].bytes->n;
	auto_free uint8_t *p = malloc(n);
	if (!key || !p)
		harness_die("no memory for a pack");
	memcpy(p, s->v[i].bytes->data, n);
	p[400] ^= 1;
	damage_store_set(s, key, p, n);
	check(m, 3);
	damage_store_take(s, whole, key);
	store_free(&whole->base);
}

static void add_keys(struct maker *m)
{
	const struct reseal_params reseal = { .to = "other", .threads = 1 };
	struct reseal_result sealed;
	struct rekey_result result;

	auto_free char *second = path_join(m->w->dir, "keys/second.key");
	auto_free char *other = path_join(m->w->dir, "keys/other.key");
	must(rekey_add_agent(m->recovery, "second", second, false, &result, e));
	must(rekey_add_recipient(m->recovery, "other", other, NULL, false, &result, e));
	must(reseal_run(m->recovery, &reseal, &sealed, e));
	if (sealed.objects == 0)
		harness_die("nothing was re-sealed");
	reopen(m);
	m->second = open_as(m->w, "second");
}

static void collect(struct maker *m, const struct gc_params *p, enum gc_outcome wanted)
{
	struct gc_result r;

	must(gc_run(m->agent, p, &r, e));
	if (r.outcome != wanted)
		harness_die("a collection ends with '%s'", gc_outcome_name(r.outcome));
}

static void first_collection(struct maker *m)
{
	CLEANUP(collection_list_clear) struct collection_list final = { 0 };

	collect(m, &damage_eager, GC_DONE);
	/* The list that is written every so often. */
	must(collection_get(m->agent, 1, COLLECTION_FINAL, &final, NULL, e));
	session_names_clear(&final.sessions);
	must(collection_put(m->agent, 1, COLLECTION_FINALS, &final, NULL, e));
}

static void revoke_second(struct maker *m)
{
	const struct revoke_params p = { .name = "second", .threads = 1 };
	struct revoke_result r;

	must(revoke_run(m->recovery, &p, &r, e));
	reopen(m);
}

/* Before the first collection, which takes the points 0 and 1. */
static void make_first_part(struct maker *m)
{
	unsigned held;
	uint64_t n;
	const struct point_volume last = damage_world_volume(2);

	unsigned a = back_up(m, m->agent, 0, 0);
	unsigned b = back_up(m, m->agent, 1, 0);
	held = back_up(m, m->agent, 0, 1);
	(void)back_up(m, m->agent, 2, 0);
	add_keys(m);
	(void)back_up(m, m->second, 1, 1);
	keep_past(m->w);
	check(m, 3);
	must(expiry_put_hold(m->agent, m->w->points[held].session, NULL, "a case", "a judge", &n,
	                     e));
	must(expiry_put_hold(m->agent, NULL, &last, "a case", "a judge", &n, e));
	expire(m, a, false);
	expire(m, b, false);
	expire(m, held, true);
	(void)back_up(m, m->agent, 0, 2);
	first_collection(m);
	keep_past(m->w);
}

static void make_second_part(struct maker *m)
{
	CLEANUP(collection_list_clear) struct collection_list condemned = { 0 };
	struct gc_params patient = damage_eager;
	enum session_end end;
	char fenced[96];
	char open[96];
	char pin[NOTE_KEY_MAX];
	uint64_t n;

	(void)back_up(m, m->second, 1, 2);
	revoke_second(m);
	unsigned pinned = back_up(m, m->agent, 1, 3);
	(void)back_up(m, m->agent, 1, 4);
	unsigned old = back_up(m, m->agent, 2, 1);
	mark_damage(m);
	(void)back_up(m, m->agent, 2, 1);
	must(expiry_put_release(m->agent, 2, "over", "a judge", &n, e));
	must(expiry_pin(m->agent, m->w->points[pinned].session, pin, e));
	m->w->points[pinned].pinned = true;
	expire(m, pinned, true);
	expire(m, old, false);
	die_before_commit(m, 10, fenced);
	must(session_abort(m->agent, fenced, "a test", &end, e));
	die_before_commit(m, 11, open);
	must(session_beat(m->agent, open, 1, e));
	keep_past(m->w);
	patient.fence_after_ns = HOUR_NS;
	collect(m, &patient, GC_WAITING);
	must(collection_get(m->agent, 2, COLLECTION_CONDEMN, &condemned, NULL, e));
	for (size_t i = 0; i < condemned.packs.n; i++)
		must(pack_list_add(&m->w->condemned, condemned.packs.v[i].kind,
		                   condemned.packs.v[i].id, e));
	must(session_beat(m->agent, open, 2, e));
	check_damaged(m);
	check(m, 3);
	(void)back_up(m, m->agent, 0, 3);
}

/* ---- which packs are needed ---- */

static int text_cmp(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* A pack is needed when without it a live point does not come back. */
static void find_needed(struct damage_world *w)
{
	for (size_t i = 0; i < w->now->n; i++) {
		const char *key = w->now->v[i].key;
		auto_repo struct repo *r = NULL;
		bool needed = false;

		if (strncmp(key, "pack/", 5) != 0 && strncmp(key, "meta/", 5) != 0)
			continue;
		auto_damage_store struct damage_store *s = damage_store_copy(w->now);
		damage_store_remove(s, key);
		must(damage_world_open(w, s, "recovery", NULL, &r, e));
		for (unsigned k = 0; k < w->npoints && !needed; k++) {
			CLEANUP(point_clear) struct point p = { 0 };
			struct damage_digest d;
			struct err why = ERR_INIT;

			if (!w->points[k].live)
				continue;
			must(repo_point(r, w->points[k].session, &p, e));
			needed = damage_restore(r, &p, &d, &why) < 0;
		}
		if (!needed)
			continue;
		w->needed = reallocarray(w->needed, w->needed_count + 1, sizeof(*w->needed));
		if (!w->needed)
			harness_die("no memory for a list");
		(void)snprintf(w->needed[w->needed_count++], sizeof(*w->needed), "%s", key);
	}
	qsort(w->needed, w->needed_count, sizeof(*w->needed), text_cmp);
}

void damage_world_make(struct damage_world *w, uint64_t seed)
{
	struct maker m = { .w = w };

	*w = (struct damage_world){ .dir = tmpdir_new(), .seed = seed, .now = damage_store_new() };
	must(secret_init(e));
	auto_free char *keys = path_join(w->dir, "keys");
	must(repo_init(&w->now->base, keys, NULL, e));
	reopen(&m);
	make_first_part(&m);
	make_second_part(&m);
	repo_free(m.agent);
	repo_free(m.second);
	repo_free(m.recovery);
	find_needed(w);
}

void damage_world_clear(struct damage_world *w)
{
	store_free(&w->now->base);
	for (unsigned i = 0; i < w->npast; i++)
		store_free(&w->past[i]->base);
	free(w->needed);
	pack_list_clear(&w->condemned);
	tmpdir_remove(w->dir);
}

/* ---- kinds ---- */

static bool begins(const char *key, const char *prefix)
{
	return strncmp(key, prefix, strlen(prefix)) == 0;
}

/* No other key with the prefix comes after it. */
static bool is_newest(const struct damage_world *w, const char *key, const char *prefix)
{
	const char *last = "";

	for (size_t i = 0; i < w->now->n; i++) {
		if (begins(w->now->v[i].key, prefix))
			last = w->now->v[i].key;
	}
	return strcmp(key, last) == 0;
}

static const struct damage_object *commit_of(const struct damage_world *w, const char *session)
{
	char key[128];

	(void)snprintf(key, sizeof(key), "commit/%s", session);
	return damage_store_find(w->now, key);
}

static enum damage_kind kind_of_maintenance(const struct damage_world *w, const char *session)
{
	auto_repo struct repo *r = NULL;
	auto_json json_t *o = NULL;
	char key[128];

	(void)snprintf(key, sizeof(key), "commit/%s", session);
	must(damage_world_open(w, w->now, "audit", NULL, &r, e));
	must(note_get(r, FORMAT_KIND_MAINTENANCE, key, &o, NULL, e));
	return strcmp(json_string_value(json_object_get(o, "what")), "repack") == 0 ? DAMAGE_COPIES
	                                                                            : DAMAGE_MERGED;
}

static enum damage_kind kind_of_commit(const struct damage_world *w, const char *session)
{
	switch (commit_kind_of(session, commit_of(w, session)->bytes->n)) {
	case COMMIT_ABORT:
		return DAMAGE_ABORT;
	case COMMIT_MAINTENANCE:
		return kind_of_maintenance(w, session);
	case COMMIT_POINT:
		break;
	}
	for (unsigned i = 0; i < w->npoints; i++) {
		bool newest = true;

		if (strcmp(w->points[i].session, session) != 0)
			continue;
		for (unsigned k = i + 1; k < w->npoints; k++)
			newest &= w->points[k].volume != w->points[i].volume;
		if (!w->points[i].live)
			return DAMAGE_EXPIRED;
		return newest ? DAMAGE_HEAD : DAMAGE_POINT;
	}
	return DAMAGE_EXPIRED;
}

/* rest: "DAY/VOLTAG-RANDOM" and more. */
static bool has_ended(const struct damage_world *w, const char *rest, bool *ret_abort)
{
	char session[POINT_SESSION_LEN + 1];

	(void)snprintf(session, sizeof(session), "%s", rest);
	const struct damage_object *o = commit_of(w, session);
	*ret_abort = o && commit_kind_of(session, o->bytes->n) == COMMIT_ABORT;
	return o != NULL;
}

static enum damage_kind kind_of_part(const char *key)
{
	static const enum damage_kind kinds[COLLECTION_PARTS] = {
		[COLLECTION_CONDEMN] = DAMAGE_CONDEMN, [COLLECTION_SESSIONS] = DAMAGE_SESSIONS,
		[COLLECTION_FINAL] = DAMAGE_FINAL,     [COLLECTION_FINALS] = DAMAGE_FINALS,
		[COLLECTION_LIVE] = DAMAGE_LIVE,       [COLLECTION_DONE] = DAMAGE_DONE,
	};
	enum collection_part part;
	uint64_t n;

	if (!collection_key_parse(key, &n, &part))
		harness_die("'%s' is no part of a collection", key);
	return kinds[part];
}

static enum damage_kind kind_of_pack(const struct damage_world *w, const char *key)
{
	struct pack_name p;

	if (w->needed_count > 0 &&
	    bsearch(key, w->needed, w->needed_count, sizeof(*w->needed), text_cmp))
		return begins(key, "pack/") ? DAMAGE_PACK : DAMAGE_NODES;
	if (pack_key_parse(key, p.id, &p.kind) < 0 || !pack_list_has(&w->condemned, p.kind, p.id))
		return DAMAGE_SPARE;
	return p.kind == w->marked.kind && memcmp(p.id, w->marked.id, sizeof(p.id)) == 0
	               ? DAMAGE_MARKED
	               : DAMAGE_CONDEMNED;
}

enum damage_kind damage_world_kind(const struct damage_world *w, const char *key)
{
	bool aborted;

	if (strcmp(key, "config") == 0)
		return DAMAGE_CONFIG;
	if (begins(key, "ctl/config/"))
		return is_newest(w, key, "ctl/config/") ? DAMAGE_NEWEST_REVISION : DAMAGE_REVISION;
	if (begins(key, "ctl/revoked/"))
		return DAMAGE_REVOKED;
	if (begins(key, "ctl/damage/"))
		return DAMAGE_MARK;
	if (begins(key, "ctl/gc/"))
		return kind_of_part(key);
	if (begins(key, "reseal/"))
		return DAMAGE_RESEAL;
	if (begins(key, "commit/"))
		return kind_of_commit(w, key + strlen("commit/"));
	if (begins(key, "sess/")) {
		if (strlen(key) > strlen("sess/") + POINT_SESSION_LEN)
			return DAMAGE_BEAT;
		return has_ended(w, key + strlen("sess/"), &aborted) ? DAMAGE_MARKER
		                                                     : DAMAGE_MARKER_OPEN;
	}
	if (begins(key, "idx/"))
		return has_ended(w, strchr(key + strlen("idx/"), '/') + 1, &aborted) && !aborted
		               ? DAMAGE_INDEX
		               : DAMAGE_INDEX_OPEN;
	if (begins(key, "pack/") || begins(key, "meta/"))
		return kind_of_pack(w, key);
	if (begins(key, "tomb/"))
		return is_newest(w, key, "tomb/") ? DAMAGE_NEWEST_TOMB : DAMAGE_TOMB;
	if (begins(key, "hold/"))
		return is_newest(w, key, "hold/") ? DAMAGE_NEWEST_HOLD : DAMAGE_HOLD;
	if (begins(key, "pin/"))
		return DAMAGE_PIN;
	if (begins(key, "check/"))
		return DAMAGE_RECORD;
	harness_die("'%s' is of no kind that is known here", key);
}

/* ---- packs ---- */

static int get_whole(void *arg, const char *name, uint64_t off, void *p, size_t n, struct err *e)
{
	const struct damage_bytes *b = arg;

	(void)name;
	if (off > b->n || n > b->n - off)
		return err_set(e, ERR_CORRUPT, "a pack of the world is damaged");
	memcpy(p, b->data + off, n);
	return 0;
}

bool damage_world_padding(const struct damage_world *w, const char *key, uint64_t *ret_start,
                          uint64_t *ret_end)
{
	static const char *const domains[] = { "shared", "other" };
	CLEANUP(buf_clear) struct buf head = BUF_INIT(FORMAT_PACK_MAX);
	CLEANUP(buf_clear) struct buf tail = BUF_INIT(FORMAT_PACK_MAX);
	auto_repo struct repo *r = NULL;
	struct pack_name pack;
	struct pack_header h;
	struct pack_trailer t;
	const uint8_t *footer = NULL;

	if (pack_key_parse(key, pack.id, &pack.kind) < 0)
		return false;
	const struct damage_bytes *b = damage_store_find(w->now, key)->bytes;
	const struct frame f = { .get = get_whole,
		                 .arg = (void *)(uintptr_t)b,
		                 .name = key,
		                 .id = pack.id,
		                 .len = b->n };
	must(damage_world_open(w, w->now, "audit", NULL, &r, e));
	must(frame_header(&f, &head, &h, e));
	must(frame_footer(&f, r->keys, &tail, &t, &footer, e));
	*ret_start = h.len;
	*ret_end = t.footer_off;
	for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
		auto_free struct pack_entry *entries = NULL;
		struct domain_keys *domain = NULL;
		struct err why = ERR_INIT;
		size_t n = 0;

		must(keys_domain(r->keys, domains[i], &domain, e));
		if (pack_footer_decode(footer, t.footer_len, &t, pack.id, r->keys, domain, &entries,
		                       &n, &why) == 0 &&
		    n > 0)
			*ret_start = entries[n - 1].off + (uint64_t)entries[n - 1].stored;
		secret_free(domain);
	}
	return true;
}
