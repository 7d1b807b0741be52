/* SPDX-License-Identifier: Apache-2.0 */
/* See storm_act.h. */
#include "tests/harness/storm_act.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/check.h"
#include "repo/commits.h"
#include "repo/expiry.h"
#include "repo/rekey.h"
#include "repo/reseal.h"
#include "repo/revoke.h"
#include "tests/harness/harness.h"

#define DAY_NS ((int64_t)86400 * 1000000000)

#define ACT(name)                                                                                 \
	static int name(const struct storm_world *w, const struct storm_door *d, const char *who, \
	                struct err *e)

/* ---- backups ---- */

static int back_up_as(const struct storm_world *w, const struct storm_door *d, const char *who,
                      unsigned volume, unsigned step, struct err *e)
{
	CLEANUP(point_clear) struct point point = { 0 };
	const struct storm_tree t = {
		.seed = w->seed, .volume = volume, .step = step, .files = w->files
	};
	char name[64];
	char set[33];

	auto_free char *src = path_join(w->dir, "src");
	(void)snprintf(name, sizeof(name), "%s-%u", who, volume);
	storm_tree_make(&t, src, name);
	storm_set_of(volume, step, set);
	storm_note(w, who, "try %s", set);
	if (storm_backup(w, d, name, &t, set, &point, e) < 0)
		return -1;
	storm_note(w, who, "ok %s %s", set, point.session);
	return 0;
}

ACT(back_up)
{
	return back_up_as(w, d, who, 0, 7, e);
}

/* Of the volume of which a session is left over in the state STORM_ACT_DEAD. */
ACT(back_up_one)
{
	return back_up_as(w, d, who, 1, 20, e);
}

/* ---- collections ---- */

ACT(collect)
{
	struct gc_result r;

	(void)who;
	(void)w;
	return gc_run(d->agent, &storm_eager, &r, e);
}

/* Begins a collection, which waits where somebody is at work. */
ACT(condemn)
{
	struct gc_params patient = storm_eager;
	struct gc_result r;

	(void)who;
	(void)w;
	patient.fence_after_ns = DAY_NS;
	return gc_run(d->agent, &patient, &r, e);
}

/* ---- points ---- */

/* The session of point number n in the list, from its end when it is negative. 0: none. */
static int nth_point(const struct storm_door *d, int n, char ret[96], struct err *e)
{
	CLEANUP(commit_list_clear) struct commit_list l = { 0 };
	int there = 0;

	if (commit_list_load(d->store, &l, e) < 0)
		return -1;
	for (size_t i = 0; i < l.n; i++) {
		if (l.v[i].kind == COMMIT_POINT)
			l.v[there++] = l.v[i];
	}
	if (n < 0)
		n += there;
	if (n < 0 || n >= there)
		return 0;
	(void)snprintf(ret, 96, "%s", l.v[n].session);
	return 1;
}

static int expire_nth(const struct storm_world *w, const struct storm_door *d, const char *who,
                      int n, struct err *e)
{
	struct expiry_point x = { .why = "a test" };
	char session[96];
	uint64_t number;

	int rc = nth_point(d, n, session, e);
	if (rc <= 0)
		return rc;
	x.session = session;
	storm_note(w, who, "tomb? %s", session);
	if (expiry_put_tomb(d->agent, "", &x, 1, &number, e) < 0)
		return -1;
	storm_note(w, who, "tomb! %s %" PRIu64, session, number);
	return 0;
}

ACT(expire)
{
	return expire_nth(w, d, who, 0, e);
}

ACT(expire_last)
{
	return expire_nth(w, d, who, -1, e);
}

ACT(hold)
{
	char session[96];
	uint64_t number;

	int rc = nth_point(d, 0, session, e);
	if (rc <= 0)
		return rc;
	storm_note(w, who, "hold? %s", session);
	if (expiry_put_hold(d->agent, session, NULL, "a test", "a tester", &number, e) < 0)
		return -1;
	storm_note(w, who, "hold! %s %" PRIu64, session, number);
	return 0;
}

ACT(pin)
{
	char session[96];
	char key[NOTE_KEY_MAX];

	(void)who;
	(void)w;
	int rc = nth_point(d, 0, session, e);
	return rc <= 0 ? rc : expiry_pin(d->agent, session, key, e);
}

/* ---- several ---- */

static int all_of(const struct storm_world *w, const struct storm_door *d, const char *who,
                  const struct storm_act *acts, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct err why = ERR_INIT;

		if (acts[i].run(w, d, who, &why) < 0 && why.class != acts[i].told) {
			*e = why;
			return err_wrap(e, "%s", acts[i].name);
		}
	}
	return 0;
}

/* A hold that is told to come too late, one that finds it there; and a pin before both. */
ACT(hold_again)
{
	static const struct storm_act acts[] = { { "pin", ERR_NOT_FOUND, pin },
		                                 { "hold", ERR_NOT_FOUND, hold },
		                                 { "hold", ERR_NOT_FOUND, hold } };

	return all_of(w, d, who, acts, ARRAY_LEN(acts), e);
}

ACT(expire_collect)
{
	static const struct storm_act acts[] = { { "expire", ERR_NONE, expire },
		                                 { "collect", ERR_BUSY, collect } };

	return all_of(w, d, who, acts, ARRAY_LEN(acts), e);
}

/* The collection that was open, another one, and a third that is left open. */
ACT(collect_more)
{
	static const struct storm_act acts[] = { { "collect", ERR_BUSY, collect },
		                                 { "expire", ERR_NONE, expire },
		                                 { "collect", ERR_BUSY, collect },
		                                 { "expire", ERR_NONE, expire },
		                                 { "condemn", ERR_BUSY, condemn } };

	return all_of(w, d, who, acts, ARRAY_LEN(acts), e);
}

/* A new point that takes what was garbage into use, and old ones that make more of it. */
ACT(turn_over)
{
	static const struct storm_act acts[] = { { "expire", ERR_NONE, expire },
		                                 { "collect", ERR_BUSY, collect } };

	return back_up_as(w, d, who, 0, 1, e) < 0 || all_of(w, d, who, acts, ARRAY_LEN(acts), e) < 0
	               ? -1
	               : back_up_as(w, d, who, 1, 1, e);
}

/* Begins while a collection waits for others, which does not know of it. */
ACT(condemn_back_up)
{
	static const struct storm_act acts[] = { { "condemn", ERR_BUSY, condemn } };

	return all_of(w, d, who, acts, ARRAY_LEN(acts), e) < 0 ? -1 : back_up(w, d, who, e);
}

/* Several generations by one who ends only what died some time ago. */
ACT(collect_patiently)
{
	struct gc_params patient = storm_eager;
	struct gc_result r;

	(void)who;
	(void)w;
	patient.fence_after_ns = DAY_NS / 86400 / 2;
	for (unsigned i = 0; i < 3; i++) {
		if (gc_run(d->agent, &patient, &r, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- readers ---- */

ACT(restore)
{
	CLEANUP(point_clear) struct point point = { 0 };
	struct err why = ERR_INIT;
	char session[96];
	char key[NOTE_KEY_MAX];

	/* The last one: nobody expires it here, or the pin came first. */
	int rc = nth_point(d, -1, session, e);
	if (rc <= 0)
		return rc;
	bool pinned = expiry_pin(d->agent, session, key, &why) == 0;
	if (!pinned && why.class != ERR_NOT_FOUND) {
		*e = why;
		return -1;
	}
	rc = repo_point(d->recovery, session, &point, e);
	if (rc == 0)
		rc = storm_restore(w, d, who, &point, e);
	if (rc == 0)
		storm_bad(w, who, "'%s' comes back as another tree", session);
	if (rc < 0 && !pinned)
		*e = (struct err)ERR_INIT;
	if (rc < 0)
		return pinned ? -1 : 0;
	return pinned ? expiry_unpin(d->agent, key, e) : 0;
}

struct checking {
	const struct storm_world *w;
	const char *who;
};

static int take_problem(void *arg, const struct check_problem *x, struct err *e)
{
	const struct checking *c = arg;

	(void)e;
	storm_note(c->w, c->who, "%s '%s': %s", check_what_name(x->what), x->object, x->text);
	(void)fprintf(stderr, "%s '%s': %s\n", check_what_name(x->what), x->object, x->text);
	return 0;
}

ACT(check)
{
	struct checking c = { .w = w, .who = who };
	const struct check_params params = {
		.level = 4, .threads = 2, .problem = take_problem, .arg = &c
	};
	struct check_result r;

	if (check_run(d->recovery, &params, &r, e) < 0)
		return -1;
	if (r.problems > 0)
		storm_bad(w, who, "a check finds %" PRIu64 " problems", r.problems);
	return 0;
}

/* ---- keys ---- */

/* Opens with the new key, which then restores what the newest point has. */
static int restore_with(const struct storm_world *w, const struct storm_door *d, const char *who,
                        const char *path, struct err *e)
{
	CLEANUP(point_clear) struct point point = { 0 };
	struct storm_door with = *d;
	struct keys *keys = NULL;
	char session[96];

	if (nth_point(d, -1, session, e) < 0 || keys_load(path, NULL, &keys, e) < 0)
		return -1;
	auto_repo struct repo *r = NULL;
	if (repo_open(d->store, keys, NULL, NULL, &r, e) < 0)
		return -1;
	with.recovery = r;
	int rc = repo_point(r, session, &point, e);
	if (rc == 0)
		rc = storm_restore(w, &with, who, &point, e);
	if (rc == 0)
		storm_bad(w, who, "'%s' comes back as another tree, by the new key", session);
	return rc < 0 ? -1 : 0;
}

/* Somebody new may read: from now on, and what is there already. */
ACT(rotate)
{
	const struct reseal_params params = { .to = "second", .threads = 2 };
	struct rekey_result added;
	struct reseal_result sealed;
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/keys/second.key", w->dir);
	if (rekey_add_recipient(d->recovery, "second", path, NULL, false, &added, e) < 0 ||
	    reseal_run(d->recovery, &params, &sealed, e) < 0)
		return -1;
	if (sealed.bad_packs > 0)
		storm_bad(w, who, "%" PRIu64 " packs do not open, '%s' is one", sealed.bad_packs,
		          sealed.bad);
	return restore_with(w, d, who, path, e);
}

/* Somebody may no longer read what comes from now on. */
ACT(dismiss)
{
	struct rekey_result r;

	return rotate(w, d, who, e) < 0
	               ? -1
	               : rekey_remove_recipient(d->recovery, "second", false, &r, e);
}

/* A backup by another agent key. One that is being revoked, or was, makes none. */
static int back_up_with(const struct storm_world *w, const struct storm_door *d, const char *who,
                        const char *path, struct err *e)
{
	struct storm_door with = *d;
	struct keys *keys = NULL;
	struct err why = ERR_INIT;

	if (keys_load(path, NULL, &keys, e) < 0)
		return -1;
	auto_repo struct repo *r = NULL;
	if (repo_open(d->store, keys, NULL, NULL, &r, &why) == 0) {
		with.agent = r;
		if (back_up_as(w, &with, who, 2, 9, &why) == 0)
			return 0;
	}
	if (why.class == ERR_DENIED)
		return 0;
	*e = why;
	return -1;
}

/* A node gets a key of its own, backs up with it, and it is revoked. */
ACT(revoke_key)
{
	const struct revoke_params params = { .name = "spare", .threads = 2 };
	struct rekey_result added;
	struct revoke_result revoked;
	struct err why = ERR_INIT;
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/keys/spare.key", w->dir);
	/* The name is taken when an earlier run came to its revocation. */
	if (rekey_add_agent(d->recovery, "spare", path, false, &added, &why) < 0 &&
	    why.class != ERR_EXISTS) {
		*e = why;
		return -1;
	}
	why = (struct err)ERR_INIT;
	if (back_up_with(w, d, who, path, e) < 0)
		return -1;
	if (revoke_run(d->recovery, &params, &revoked, &why) == 0 || why.class == ERR_INVALID)
		return 0; /* it is, or was before */
	*e = why;
	return -1;
}

/* ---- all of them ---- */

const struct storm_act storm_act_all[] = {
	{ "collect", ERR_BUSY, collect },
	{ "back-up", ERR_BUSY, back_up },
	{ "turn-over", ERR_BUSY, turn_over },
	{ "back-up-one", ERR_BUSY, back_up_one },
	{ "collect-more", ERR_NONE, collect_more },
	{ "expire-collect", ERR_NONE, expire_collect },
	{ "condemn", ERR_BUSY, condemn },
	{ "condemn-back-up", ERR_BUSY, condemn_back_up },
	{ "collect-patiently", ERR_BUSY, collect_patiently },
	{ "hold", ERR_NOT_FOUND, hold },
	{ "hold-again", ERR_NONE, hold_again },
	{ "expire", ERR_NONE, expire },
	{ "expire-last", ERR_NONE, expire_last },
	{ "pin", ERR_NOT_FOUND, pin },
	{ "restore", ERR_NONE, restore },
	{ "check", ERR_BUSY, check },
	{ "rotate", ERR_BUSY, rotate },
	{ "dismiss", ERR_BUSY, dismiss },
	{ "revoke", ERR_BUSY, revoke_key },
};
const size_t storm_act_count = ARRAY_LEN(storm_act_all);

const struct storm_act *storm_act_find(const char *name)
{
	for (size_t i = 0; i < storm_act_count; i++) {
		if (strcmp(storm_act_all[i].name, name) == 0)
			return &storm_act_all[i];
	}
	return NULL;
}

/* ---- the repository ---- */

/* A session that uploads something and dies. */
static enum store_fault die_late(void *arg, uint64_t n, enum store_call call, const char *key)
{
	bool *dead = arg;

	(void)n;
	*dead |= call == CALL_PUT && strncmp(key, "commit/", 7) == 0;
	return *dead ? FAULT_FAIL : FAULT_NONE;
}

static void leave_session(const struct storm_world *w, const char *state, unsigned volume)
{
	struct storm_door d;
	struct err e = ERR_INIT;
	bool dead = false;

	struct store *store = storm_store(w, &e);
	if (store)
		store = store_fault_new(store, die_late, &dead, &e);
	if (!store || storm_door_open_in(w, state, store, &d, &e) < 0)
		harness_die("%s", e.msg);
	if (back_up_as(w, &d, state, volume, 20, &e) == 0)
		harness_die("a backup that was to fail did not");
	storm_door_close(&d);
}

void storm_act_make_base(const struct storm_world *w)
{
	static const char who[] = "second";
	struct storm_door d;
	struct err e = ERR_INIT;

	storm_world_make(w);
	if (storm_door_open(w, who, who, NULL, 0, &d, &e) < 0)
		harness_die("%s", e.msg);
	int rc = 0;
	for (unsigned v = 0; rc == 0 && v < STORM_VOLUMES; v++)
		rc = back_up_as(w, &d, who, v, 0, &e);
	if (rc == 0)
		rc = back_up_as(w, &d, who, 0, 3, &e);
	if (rc == 0)
		rc = expire_collect(w, &d, who, &e);
	for (unsigned step = 5; rc == 0 && step < 30; step += 12)
		rc = back_up_as(w, &d, who, 0, step, &e);
	if (rc < 0 || expire(w, &d, who, &e) < 0)
		harness_die("%s", e.msg);
	storm_door_close(&d);
	leave_session(w, "gone", 2);
	leave_session(w, STORM_ACT_DEAD, 1);
}

void storm_act_copy_base(const char *base, const char *dir)
{
	char command[2048];

	(void)snprintf(command, sizeof(command), "cp -a '%s' '%s'", base, dir);
	if (system(command) != 0)
		harness_die("copying '%s'", base);
}
