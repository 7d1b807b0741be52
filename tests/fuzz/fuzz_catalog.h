/* SPDX-License-Identifier: Apache-2.0 */
/* A repository with some restore points, and the catalog of it, for targets that ask for them. */
#ifndef AKSDR_TESTS_FUZZ_FUZZ_CATALOG_H
#define AKSDR_TESTS_FUZZ_FUZZ_CATALOG_H

#include "catalog/catalog.h"
#include "catalog/sync.h"
#include "repo/session.h"
#include "tests/fuzz/fuzz_repo.h"

#define FUZZ_POINTS 5

/* An empty catalog in the target's own directory, open for writing. */
static inline struct catalog *fuzz_catalog_new(const char *name)
{
	auto_free char *path = path_join(fuzz_dir(), name);
	struct catalog *c = NULL;
	struct err e = ERR_INIT;

	works(catalog_open(path, CATALOG_WRITE, &c, &e));
	return c;
}

/* Point number n of a volume; its id begins with four times the number's digit. */
static inline void fuzz_commit(const struct repo *r, const struct point_volume *v, unsigned n)
{
	struct point_problem problem = { .path = (char *)(uintptr_t) "a/\\xff",
		                         .why = (char *)(uintptr_t) "it went away" };
	struct point p = {
		.volume = *v,
		.domain = "d",
		.sequence = n,
		.consistency = "crash",
		.driver = "live",
		.levels = 1,
		.root = { .stored = 17, .plain = 1, .kind = CHUNK_NODE },
		.started_ns = INT64_C(1795305600000000000) + n * INT64_C(3600000000000),
		.frozen_ns = INT64_C(1795305600000000000) + n * INT64_C(3600000000000),
		.finished_ns = INT64_C(1795305601000000000) + n * INT64_C(3600000000000),
		.files = n,
		.bytes_logical = n * MIB,
		.problems = &problem,
		.nproblems = n & 1,
	};
	char voltag[17];
	struct err e = ERR_INIT;

	works(point_voltag(r->keys, v, voltag, &e));
	(void)snprintf(p.session, sizeof(p.session), "2026-11-22/%s-%u%u%u%u%028u", voltag, n, n, n,
	               n, 7);
	memcpy(p.id, p.session + POINT_SESSION_RANDOM, sizeof(p.id));
	works(session_commit(r, &p, &e));
}

static inline struct repo fuzz_points(void)
{
	static const struct point_volume volumes[] = {
		{ .name = "v" },
		{ .name = "v", .namespace = "shop", .cluster = "c" },
		{ .name = "orders@home", .namespace = "shop", .cluster = "c" },
	};
	struct repo r = fuzz_repo_new();

	/* A sync asks when it came; what it says was read when the repository was opened. */
	fuzz_put(&r, CONFIG_KEY, "", 0);
	for (unsigned n = 1; n <= FUZZ_POINTS; n++)
		fuzz_commit(&r, &volumes[n % ARRAY_LEN(volumes)], n);
	return r;
}

/* The catalog of r in a file of the target's own directory; the caller frees the path. */
static inline char *fuzz_catalog(const struct repo *r)
{
	const struct sync_params params = { .now_ns = INT64_C(1795400000000000000), .threads = 1 };
	char *path = path_join(fuzz_dir(), "catalog.db");
	struct catalog *c;
	struct sync_result result;
	struct err e = ERR_INIT;

	works(catalog_open(path, CATALOG_WRITE, &c, &e));
	works(sync_run(c, r, &params, &result, &e));
	holds(result.added == FUZZ_POINTS);
	/* one file, that can be copied */
	works(catalog_exec(c, "PRAGMA journal_mode = DELETE; VACUUM", &e));
	catalog_free(c);
	return path;
}

#endif
