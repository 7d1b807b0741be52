/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restore points by the thousand, for bench/catalog: real commits, signed, each naming the one
 * before it, of trees that do not exist.
 *
 *   points STORE KEY FILE VOLUMES POINTS
 *
 * STORE is the URL of a repository, KEY its agent.key. FILE keeps where each volume's chain ended,
 * so that a second call goes on there. Volume I of VOLUMES is prod/nsN/data-I; the points go
 * around all of them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clean.h"
#include "common/now.h"
#include "common/num.h"
#include "repo/point.h"
#include "repo/repo.h"
#include "repo/session.h"

#define VOLUMES_MAX 1000000
#define POINTS_MAX 100000000

/* The end of a volume's chain. */
struct chain {
	uint64_t sequence; /* 0: there is no point */
	char session[96];
	uint8_t hash[32];
};

static int add_point(const struct repo *r, struct chain *c, uint64_t volume, struct err *e)
{
	CLEANUP(point_clear) struct point p = { .sequence = c->sequence + 1, .levels = 1 };

	(void)snprintf(p.volume.cluster, sizeof(p.volume.cluster), "prod");
	(void)snprintf(p.volume.namespace, sizeof(p.volume.namespace), "ns%llu",
	               (unsigned long long)(volume % 100));
	(void)snprintf(p.volume.name, sizeof(p.volume.name), "data-%llu",
	               (unsigned long long)volume);
	(void)snprintf(p.domain, sizeof(p.domain), "prod/ns%llu",
	               (unsigned long long)(volume % 100));
	(void)snprintf(p.consistency, sizeof(p.consistency), "crash");
	(void)snprintf(p.driver, sizeof(p.driver), "csi");
	if (c->sequence > 0) {
		(void)snprintf(p.previous_session, sizeof(p.previous_session), "%s", c->session);
		memcpy(p.previous_hash, c->hash, sizeof(p.previous_hash));
	}
	p.config = r->params.revision;
	p.started_ns = p.frozen_ns = now_wall_ns();
	p.files = 1000;
	p.directories = 10;
	p.bytes_logical = 10 * GIB;
	p.bytes_new = p.bytes_stored = MIB;
	p.root.plain = p.root.stored = 100;
	if (session_begin(r, &p.volume, p.domain, p.session, e) < 0)
		return -1;
	memcpy(p.id, p.session + POINT_SESSION_RANDOM, sizeof(p.id));
	p.finished_ns = now_wall_ns();
	if (session_commit(r, &p, e) < 0)
		return -1;
	c->sequence = p.sequence;
	(void)snprintf(c->session, sizeof(c->session), "%s", p.session);
	memcpy(c->hash, p.hash, sizeof(c->hash));
	return 0;
}

static int fill(const char *url, const char *key, const char *file, uint64_t volumes,
                uint64_t points, struct err *e)
{
	auto_free struct chain *chains = calloc(volumes, sizeof(*chains));
	struct keys *keys = NULL;
	struct repo *r = NULL;
	struct store *store = store_open(url, 0, e);

	if (!store || keys_load(key, NULL, &keys, e) < 0 ||
	    repo_open(store, keys, NULL, NULL, &r, e) < 0)
		return -1;
	if (!chains)
		return err_set(e, ERR_NOMEM, "no memory for %llu volumes",
		               (unsigned long long)volumes);
	FILE *f = fopen(file, "re");
	if (f) {
		size_t n = fread(chains, sizeof(*chains), volumes, f);
		(void)fclose(f);
		if (n != volumes)
			return err_set(e, ERR_INVALID, "'%s' is of another number of volumes",
			               file);
	}
	for (uint64_t i = 0; i < points; i++) {
		if (add_point(r, &chains[i % volumes], i % volumes, e) < 0)
			return -1;
	}
	f = fopen(file, "we");
	if (!f)
		return err_sys(e, errno, "creating '%s'", file);
	size_t n = fwrite(chains, sizeof(*chains), volumes, f);
	if (fclose(f) != 0 || n != volumes)
		return err_sys(e, errno, "writing '%s'", file);
	return 0; /* the process ends with it: the repository is not closed */
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	uint64_t volumes = 0;
	uint64_t points = 0;

	if (argc != 6) {
		fprintf(stderr, "usage: points STORE KEY FILE VOLUMES POINTS\n");
		return 2;
	}
	if (num_u64("VOLUMES", argv[4], 1, VOLUMES_MAX, &volumes, &e) < 0 ||
	    num_u64("POINTS", argv[5], 1, POINTS_MAX, &points, &e) < 0 ||
	    fill(argv[1], argv[2], argv[3], volumes, points, &e) < 0) {
		fprintf(stderr, "points: %s\n", e.msg);
		return 1;
	}
	return 0;
}
