/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sites that are fenced, for tests: orders by cluster, points that know an epoch, and backups of a
 * volume that is nothing but its root, during which something may happen.
 */
#ifndef AKSDR_TESTS_FENCE_KIT_H
#define AKSDR_TESTS_FENCE_KIT_H

#include "tests/harness/fault_kit.h"
#include "tests/harness/keys_kit.h"

#include "common/progress.h"
#include "common/source.h"
#include "repo/fence_change.h"
#include "repo/writer.h"

static inline struct fence_target kit_site(const char *cluster, const char *namespace,
                                           const char *name)
{
	struct fence_target t = { .depth = name        ? FENCE_VOLUME
		                           : namespace ? FENCE_NAMESPACE
		                                       : FENCE_CLUSTER };

	(void)snprintf(t.volume.cluster, sizeof(t.volume.cluster), "%s", cluster);
	(void)snprintf(t.volume.namespace, sizeof(t.volume.namespace), "%s",
	               namespace ? namespace : "");
	(void)snprintf(t.volume.name, sizeof(t.volume.name), "%s", name ? name : "");
	return t;
}

static inline struct fence_order kit_order(const struct fence_target *t)
{
	return (struct fence_order){
		.targets = t, .n = 1, .reason = "region down", .successor = "c2"
	};
}

/* By a handle of its own; the kit's go by the config from before until kit_reopen(). */
static inline struct fence_result kit_fence(struct kit *k, const struct fence_target *t)
{
	const struct fence_order order = kit_order(t);
	struct repo *admin = kit_open(k, "recovery.key");
	struct fence_result ret;

	ok(fence_raise(admin, &order, &ret, e));
	repo_free(admin);
	return ret;
}

static inline struct fence_result kit_lift(struct kit *k, const struct fence_target *t)
{
	const struct fence_order order = kit_order(t);
	struct repo *admin = kit_open(k, "recovery.key");
	struct fence_result ret;

	ok(fence_lift(admin, &order, &ret, e));
	repo_free(admin);
	return ret;
}

/* Point number n of a volume, by a writer that knew this epoch. */
static inline struct point kit_commit_knowing(const struct kit *k, const struct point_volume *v,
                                              unsigned n, uint64_t epoch)
{
	struct point p = { .volume = *v, .sequence = n, .levels = 1, .epoch = epoch, .config = 1 };

	kit_session(k, v, n, p.session);
	memcpy(p.id, p.session + POINT_SESSION_RANDOM, sizeof(p.id));
	(void)snprintf(p.domain, sizeof(p.domain), "d");
	(void)snprintf(p.consistency, sizeof(p.consistency), "crash");
	(void)snprintf(p.driver, sizeof(p.driver), "test");
	p.root = (struct chunk_ref){ .stored = 17, .plain = 1, .kind = CHUNK_NODE };
	p.started_ns = p.frozen_ns = p.finished_ns = KIT_EPOCH_NS + n * KIT_DAY_NS;
	ok(session_commit(k->agent, &p, e));
	return p;
}

/* Whether a point counts, for who opens the repository now. */
static inline bool kit_counts(struct kit *k, const char *session)
{
	CLEANUP(point_clear) struct point p = { 0 };
	struct repo *r = kit_open(k, "audit.key");
	struct err why = ERR_INIT;
	int rc = repo_point(r, session, &p, &why);

	repo_free(r);
	if (rc < 0 && !key_is_void(&why))
		fail_msg("%s", why.msg);
	return rc == 0;
}

/* ---- backups ---- */

struct kit_root {
	struct source source;
	bool told;
};

static inline int kit_root_next(struct source *s, struct batch **ret, struct err *e)
{
	struct kit_root *f = (struct kit_root *)(void *)s;

	(void)e;
	*ret = NULL;
	if (f->told)
		return 0;
	f->told = true;
	struct batch *b = calloc(1, sizeof(*b));
	assert_non_null(b);
	b->source = s;
	b->n = 1;
	b->entries[0] = (struct entry){ .path = "",
		                        .name = "",
		                        .st = { .mode = S_IFDIR | 0700, .nlink = 2 } };
	*ret = b;
	return 0;
}

static inline void kit_root_batch_free(struct source *s, struct batch *b)
{
	(void)s;
	free(b);
}

static inline int kit_root_load(struct source *s, struct entry *n, struct entry_detail *ret,
                                struct err *e)
{
	(void)s;
	(void)n;
	(void)e;
	*ret = (struct entry_detail){ 0 };
	return 0;
}

/* Backs v up; meanwhile, when not NULL, is called when all was read and nothing is committed. */
static inline int kit_write(const struct repo *r, const struct point_volume *v,
                            int (*meanwhile)(void *arg, struct err *e), void *arg,
                            struct point *ret, struct err *e)
{
	static const struct source_ops ops = {
		.name = "root",
		.next = kit_root_next,
		.batch_free = kit_root_batch_free,
		.load = kit_root_load,
	};
	struct kit_root f = { .source = { .ops = &ops } };
	struct progress_counts counts = { 0 };
	const struct writer_params params = {
		.volume = v,
		.domain = "d",
		.consistency = "fuzzy",
		.driver = "test",
		.epoch = fence_epoch(r),
		.threads = 1,
		.counts = &counts,
		.all_read = meanwhile,
		.arg = arg,
	};

	return writer_backup(r, &f.source, &params, ret, e);
}

#endif
