/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A repository as a whole: made, opened, and its commits, found by listing.
 * The order of restore points comes from what is inside them, so finding the
 * newest opens every commit of its volume.
 */
#include "repo/repo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/secret.h"
#include "repo/commits.h"
#include "repo/crypt.h"
#include "repo/fence.h"
#include "repo/living.h"
#include "repo/note.h"
#include "repo/reseal.h"
#include "repo/revoke.h"
#include "repo/rollback.h"
#include "repo/session.h"
#include "repo/trail.h"

#define CUT_MIN_BYTES (256 * KIB)
#define CUT_AVG_BYTES MIB
#define CUT_MAX_BYTES (4 * MIB)
/* docs/PERFORMANCE.md, "Distant stores", says why. */
#define PACK_BYTES_LOCAL (16 * MIB)
#define PACK_BYTES_REMOTE (40 * MIB)

#define COMMIT_PREFIX "commit/"

/* A repo with what only this file needs. */
struct opened {
	struct repo r;
	struct store *owned_store;
	atomic_uint more; /* references but for the first */
};

struct repo *repo_ref(struct repo *r)
{
	struct opened *o = (struct opened *)(void *)r; /* its first member */

	(void)atomic_fetch_add(&o->more, 1);
	return r;
}

void repo_free(struct repo *r)
{
	struct opened *o = (struct opened *)(void *)r; /* its first member */

	if (!r || atomic_fetch_sub(&o->more, 1) > 0)
		return;
	keys_free(r->keys);
	config_clear(&r->config);
	reseal_free(r->reseal);
	fence_free(r->fences);
	store_free(o->owned_store);
	free(o);
}

/* ---- init ---- */

/* Key files that were written, to take back. */
struct key_files {
	int dir;
	bool dir_made;
	const char *path;
	const char *written[3];
	size_t n;
};

static void key_files_undo(const struct key_files *f)
{
	for (size_t i = 0; i < f->n; i++)
		(void)unlinkat(f->dir, f->written[i], 0);
	if (f->dir_made)
		(void)rmdir(f->path);
}

static int key_file_write(struct key_files *f, const struct keys *k, const char *name,
                          const char *passphrase, struct err *e)
{
	auto_free char *path = NULL;

	if (asprintf(&path, "%s/%s", f->path, name) < 0) {
		path = NULL;
		return err_set(e, ERR_NOMEM, "no memory for a path");
	}
	if (keys_save(k, path, passphrase, e) < 0) {
		if (e->class == ERR_EXISTS)
			return err_set(e, ERR_EXISTS,
			               "'%s' is there already and is never replaced: "
			               "give another directory",
			               path);
		return -1;
	}
	f->written[f->n++] = name;
	return 0;
}

static int init_in(struct store *store, struct key_files *f, const char *passphrase,
                   bool single_writer, struct err *e)
{
	CLEANUP(buf_clear) struct buf config = BUF_INIT(CONFIG_OBJECT_MAX);
	const struct repo_params params = {
		.cipher = crypt_best_cipher(),
		.cut_min = CUT_MIN_BYTES,
		.cut_avg = CUT_AVG_BYTES,
		.cut_max = CUT_MAX_BYTES,
		.pack_bytes = store->caps & STORE_CAP_LOCAL ? PACK_BYTES_LOCAL : PACK_BYTES_REMOTE,
		.features = FORMAT_FEATURES,
		.single_writer = single_writer,
	};
	auto_keys struct keys *recovery = NULL;
	auto_keys struct keys *agent = NULL;
	auto_keys struct keys *audit = NULL;

	/* The keys are on disk before there is anything that needs them. */
	if (keys_generate(&recovery, &agent, &audit, e) < 0 ||
	    config_encode(recovery, &params, &config, e) < 0 ||
	    key_file_write(f, recovery, "recovery.key", passphrase, e) < 0 ||
	    key_file_write(f, agent, "agent.key", NULL, e) < 0 ||
	    key_file_write(f, audit, "audit.key", NULL, e) < 0)
		return -1;
	return config_put(store, &params, &config, e);
}

static int init(struct store *store, const char *keys_dir, const char *passphrase,
                bool single_writer, struct err *e)
{
	struct key_files f = { .dir = -1, .path = keys_dir };
	struct store_stat st;

	if (store_head(store, CONFIG_KEY, &st, e) == 0)
		return err_set(e, ERR_EXISTS,
		               "'%s' holds a repository already; give another place, "
		               "or use its own keys",
		               store->url);
	if (e->class != ERR_NOT_FOUND)
		return err_wrap(e, "looking for a repository in '%s'", store->url);
	*e = (struct err)ERR_INIT;
	if (mkdir(keys_dir, 0700) == 0)
		f.dir_made = true;
	else if (errno != EEXIST)
		return err_sys(e, errno, "creating the directory '%s' for the keys", keys_dir);
	auto_close int dir = open(keys_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, errno, "opening the directory '%s' for the keys", keys_dir);
	f.dir = dir;
	if (init_in(store, &f, passphrase, single_writer, e) < 0) {
		key_files_undo(&f);
		return err_wrap(e, "creating the repository");
	}
	return 0;
}

int repo_init(struct store *store, const char *keys_dir, const char *passphrase, struct err *e)
{
	return init(store, keys_dir, passphrase, false, e);
}

int repo_init_single(struct store *store, const char *keys_dir, const char *passphrase,
                     struct err *e)
{
	return init(store, keys_dir, passphrase, true, e);
}

/* ---- open ---- */

static int state_make(struct repo *r, const char *state, struct err *e)
{
	char hex[2 * FORMAT_REPO_ID_BYTES + 1];
	struct stat st;

	hex_encode(hex, r->keys->repo, sizeof(r->keys->repo));
	int n = snprintf(r->state, sizeof(r->state), "%s/%s", state, hex);
	/* names of files in it follow */
	if (n < 0 || (size_t)n >= sizeof(r->state) - 128)
		return err_set(e, ERR_INVALID, "the name of the state directory '%s' is too long",
		               state);
	if (fd_make_dirs(r->state) < 0 || stat(r->state, &st) < 0)
		return err_sys(e, errno,
		               "creating the state directory '%s' (give another by "
		               "--state)",
		               r->state);
	if (!S_ISDIR(st.st_mode))
		return err_sys(e, ENOTDIR,
		               "creating the state directory '%s' (give another by "
		               "--state)",
		               r->state);
	return 0;
}

static int opening(const struct repo *r, struct err *e)
{
	return err_wrap(e, "opening the repository in '%s'", r->store->url);
}

static int config_open(struct repo *r, struct err *e)
{
	/* Its sentences for a place without a repository say all there is to say. */
	if (config_load(r->store, r->keys, &r->config, e) < 0)
		return e->class == ERR_NOT_FOUND ? -1 : opening(r, e);
	return config_apply(&r->config, r->keys, &r->params, e) < 0 ? opening(r, e) : 0;
}

int repo_open(struct store *store, struct keys *take_keys, const char *state,
              const struct cancel *cancel, struct repo **ret, struct err *e)
{
	struct opened *o = calloc(1, sizeof(*o));

	if (!o) {
		keys_free(take_keys);
		return err_set(e, ERR_NOMEM, "no memory for a repository");
	}
	auto_repo struct repo *r = &o->r;
	r->store = store;
	r->keys = take_keys;
	r->cancel = cancel;
	r->reseal = r->keys->has_recovery ? reseal_new() : NULL;
	if (r->keys->has_recovery && !r->reseal)
		return err_set(e, ERR_NOMEM, "no memory for a repository");
	if (config_open(r, e) < 0 || (state && *state && state_make(r, state, e) < 0))
		return -1;
	/* A second region may be behind what was seen of the first. */
	if (!store_away(store) &&
	    rollback_check(r->state, r->config.revision, r->config.hash, e) < 0)
		return -1;
	if (revoke_load(r, e) < 0 || fence_load(r, e) < 0)
		return -1;
	*ret = STEAL(&r);
	return 0;
}

int repo_change(struct repo *r, const json_t *json, uint16_t features, struct err *e)
{
	struct config next;

	if (config_put_next(r->store, r->keys, &r->config, json, features, &next, e) < 0)
		return -1;
	config_clear(&r->config);
	r->config = next;
	return config_apply(&r->config, r->keys, &r->params, e) < 0 ||
	                       rollback_check(r->state, next.revision, next.hash, e) < 0 ||
	                       revoke_load(r, e) < 0
	               ? -1
	               : fence_load(r, e);
}

int repo_open_url(const char *url, unsigned store_flags, const char *key_path,
                  const char *passphrase_file, const char *state, const struct cancel *cancel,
                  struct repo **ret, struct err *e)
{
	auto_keys struct keys *keys = NULL;
	struct repo *r = NULL;

	auto_store struct store *store = store_open_cancel(url, store_flags, cancel, e);
	if (!store)
		return err_wrap(e, "opening the store");
	if (keys_load(key_path, passphrase_file, &keys, e) < 0 ||
	    repo_open(store, STEAL(&keys), state, cancel, &r, e) < 0)
		return -1;
	((struct opened *)(void *)r)->owned_store = STEAL(&store);
	if (trail_opened(r, url, e) < 0) {
		repo_free(r);
		return -1;
	}
	*ret = r;
	return 0;
}

/* ---- points ---- */

int repo_point_at(const struct repo *r, const char *session, int64_t received_ns, struct point *ret,
                  struct err *e)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(FORMAT_POINT_MAX + NOTE_ENVELOPE_BYTES);
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(FORMAT_POINT_MAX);
	CLEANUP(point_clear) struct point p = { 0 };
	char key_name[128];
	char voltag[17];
	uint8_t signer[8];

	(void)snprintf(key_name, sizeof(key_name), COMMIT_PREFIX "%s", session);
	auto_secret uint8_t *key = secret_new(32);
	if (!key)
		return err_set(e, ERR_NOMEM, "no locked memory for a key");
	if (keys_point_key(r->keys, key, e) < 0)
		return -1;
	if (store_get_all(r->store, key_name, &object, e) < 0) {
		if (e->class == ERR_TOO_BIG)
			return err_set(e, ERR_FORMAT, "'%s' is too big for a restore point",
			               key_name);
		return -1;
	}
	if (crypt_object_open(r->keys, FORMAT_KIND_POINT, key, key_name, object.data, object.len,
	                      &plain, signer, e) < 0)
		return -1;
	if (point_decode(plain.data, plain.len, &p, e) < 0)
		return err_wrap(e, "'%s'", key_name);
	if (point_voltag(r->keys, &p.volume, voltag, e) < 0)
		return -1;
	if (strcmp(p.session, session) != 0 ||
	    strncmp(voltag, session + POINT_SESSION_VOLTAG, 16) != 0)
		return err_set(e, ERR_CORRUPT, "'%s' holds a restore point of another name",
		               key_name);
	if (fence_judge(r, &p.volume, p.session, p.epoch, key_name, e) < 0)
		return -1;
	crypt_sha256(p.hash, object.data, object.len);
	memcpy(p.signer, signer, sizeof(p.signer));
	p.received_ns = received_ns;
	*ret = p;
	p = (struct point){ 0 };
	return 0;
}

int repo_point(const struct repo *r, const char *session, struct point *ret, struct err *e)
{
	struct store_stat st;
	char key_name[128];

	if (!point_session_valid(session))
		return err_set(e, ERR_NOT_FOUND, "'%s' is no name of a restore point", session);
	(void)snprintf(key_name, sizeof(key_name), COMMIT_PREFIX "%s", session);
	if (store_head(r->store, key_name, &st, e) < 0) {
		if (e->class == ERR_NOT_FOUND)
			return err_set(e, ERR_NOT_FOUND, "there is no restore point '%s'", session);
		return -1;
	}
	return repo_point_at(r, session, st.received_ns, ret, e);
}

/* One walk over the commits. */
struct points_walk {
	const struct repo *r;
	const char *voltag;
	int (*each)(void *arg, const struct point *p, struct err *e);
	int (*bad)(void *arg, const char *key, const struct err *why, struct err *e);
	void *arg;
};

/* What is wrong with the object itself, and not with the way to it. */
static bool is_of_object(const struct err *e)
{
	return e->class == ERR_CORRUPT || e->class == ERR_FORMAT || e->class == ERR_DENIED ||
	       e->class == ERR_NOT_FOUND;
}

static int points_item(const struct points_walk *w, const struct commit_item *c, struct err *e)
{
	CLEANUP(point_clear) struct point p = { 0 };
	struct err why = ERR_INIT;
	char key[128];

	if (cancel_check(w->r->cancel, e) < 0)
		return -1;
	if (c->kind == COMMIT_MAINTENANCE ||
	    (w->voltag && strncmp(c->session + POINT_SESSION_VOLTAG, w->voltag, 16) != 0))
		return 0;
	int rc = c->kind == COMMIT_ABORT
	                 ? session_abort_verify(w->r, c->session, &why)
	                 : repo_point_at(w->r, c->session, c->received_ns, &p, &why);
	if (rc == 0)
		return c->kind == COMMIT_ABORT ? 0 : w->each(w->arg, &p, e);
	(void)snprintf(key, sizeof(key), COMMIT_PREFIX "%s", c->session);
	if (key_is_void(&why))
		return 0;
	if (w->bad && is_of_object(&why))
		return w->bad(w->arg, key, &why, e);
	*e = why;
	return -1;
}

int repo_points(const struct repo *r, const char *voltag,
                int (*each)(void *arg, const struct point *p, struct err *e),
                int (*bad)(void *arg, const char *key, const struct err *why, struct err *e),
                void *arg, struct err *e)
{
	struct points_walk w = {
		.r = r,
		.voltag = voltag,
		.each = each,
		.bad = bad,
		.arg = arg,
	};

	CLEANUP(living_clear) struct living l = { 0 };

	if (living_load(r, &l, e) < 0)
		return -1;
	for (size_t i = 0; i < l.commits.n; i++) {
		const struct commit_item *c = &l.commits.v[i];

		if (living_is(&l, c->session) && points_item(&w, c, e) < 0)
			return -1;
	}
	return 0;
}
