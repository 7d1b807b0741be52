/* SPDX-License-Identifier: Apache-2.0 */
/* A repository in memory with its key files, for tests of repo.c and what stands on it. */
#ifndef AKSDR_TESTS_UNIT_REPO_REPO_FIXTURE_H
#define AKSDR_TESTS_UNIT_REPO_REPO_FIXTURE_H

#include "repo/repo.h"
#include "repo/session.h"
#include "tests/unit/repo/fixture.h"

struct repo_fixture {
	char *dir; /* holds recovery.key, agent.key, audit.key */
	struct store *store;
};

static inline struct repo_fixture repo_fixture_new(void)
{
	struct repo_fixture f = { .dir = tmpdir_new() };
	struct err e = ERR_INIT;

	if (secret_init(&e) < 0)
		harness_die("%s", e.msg);
	f.store = store_mem_new(&e);
	if (!f.store || repo_init(f.store, f.dir, NULL, &e) < 0)
		harness_die("%s", e.msg);
	return f;
}

static inline void repo_fixture_clear(struct repo_fixture *f)
{
	store_free(f->store);
	tmpdir_remove(f->dir);
}
#define auto_repo_fixture CLEANUP(repo_fixture_clear)

/* Keys of a file in the fixture's directory. */
static inline struct keys *load_keys(const struct repo_fixture *f, const char *name)
{
	auto_free char *path = path_join(f->dir, name);
	struct keys *k = NULL;
	struct err e = ERR_INIT;

	if (keys_load(path, NULL, &k, &e) < 0)
		harness_die("%s", e.msg);
	return k;
}

static inline struct repo *open_repo(const struct repo_fixture *f, const char *key_name,
                                     const char *state)
{
	struct repo *r = NULL;
	struct err e = ERR_INIT;

	if (repo_open(f->store, load_keys(f, key_name), state, NULL, &r, &e) < 0)
		harness_die("%s", e.msg);
	return r;
}

/* What a committed point of a test is made of. */
struct made {
	const char *cluster, *namespace, *name;
	uint64_t sequence;
	int64_t frozen_ns;
	const char *session; /* NULL: a new one of today */
};

/* Fills p as for m, ready to be committed. The root is no real one. */
static inline void made_point(const struct repo *r, const struct made *m, struct point *p)
{
	struct err e = ERR_INIT;

	*p = (struct point){
		.domain = "test",
		.sequence = m->sequence,
		.started_ns = m->frozen_ns,
		.frozen_ns = m->frozen_ns,
		.finished_ns = m->frozen_ns,
		.consistency = "crash",
		.root = { .off = 158, .stored = 116, .plain = 100, .kind = CHUNK_NODE },
		.levels = 1,
	};
	(void)snprintf(p->volume.cluster, sizeof(p->volume.cluster), "%s", m->cluster);
	(void)snprintf(p->volume.namespace, sizeof(p->volume.namespace), "%s", m->namespace);
	(void)snprintf(p->volume.name, sizeof(p->volume.name), "%s", m->name);
	if (!m->session && session_begin(r, &p->volume, "test", p->session, &e) < 0)
		harness_die("%s", e.msg);
	if (m->session)
		(void)snprintf(p->session, sizeof(p->session), "%s", m->session);
	(void)snprintf(p->id, sizeof(p->id), "%s", p->session + POINT_SESSION_RANDOM);
}

/* Commits it; its session is in ret (96 bytes) when that is not NULL. */
static inline void make_point(const struct repo *r, const struct made *m, char *ret_session)
{
	struct point p;
	struct err e = ERR_INIT;

	made_point(r, m, &p);
	if (session_commit(r, &p, &e) < 0)
		harness_die("%s", e.msg);
	if (ret_session)
		memcpy(ret_session, p.session, sizeof(p.session));
}

/* Session name on a day: RANDOM is the number. */
static inline void session_on(const struct repo *r, const struct made *m, const char *day,
                              unsigned random, char ret[96])
{
	struct point_volume v = { 0 };
	struct err e = ERR_INIT;
	char tag[17];

	(void)snprintf(v.cluster, sizeof(v.cluster), "%s", m->cluster);
	(void)snprintf(v.namespace, sizeof(v.namespace), "%s", m->namespace);
	(void)snprintf(v.name, sizeof(v.name), "%s", m->name);
	if (point_voltag(r->keys, &v, tag, &e) < 0)
		harness_die("%s", e.msg);
	(void)snprintf(ret, 96, "%s/%s-%08x%024x", day, tag, random, random);
}

#endif
