/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories whose keys change, for tests: further agents and recipients, and what is read. */
#ifndef AKSDR_TESTS_KEYS_KIT_H
#define AKSDR_TESTS_KEYS_KIT_H

#include "tests/harness/repo_kit.h"

#include "repo/check.h"
#include "repo/reader.h"
#include "repo/rekey.h"
#include "repo/revoke.h"

/* The path of a key file of the kit; the caller frees. */
static inline char *kit_key_path(const struct kit *k, const char *name)
{
	auto_free char *dir = path_join(k->dir, "keys");

	return path_join(dir, name);
}

/* Opens the repository with a key file, by the config as it is now. */
static inline struct repo *kit_open(struct kit *k, const char *name)
{
	struct repo *r = NULL;

	kit_open_key(k, name, &r);
	return r;
}

/* The kit's own handles go by the newest config from then on. */
static inline void kit_reopen(struct kit *k)
{
	repo_free(k->recovery);
	repo_free(k->agent);
	repo_free(k->audit);
	kit_open_key(k, "recovery.key", &k->recovery);
	kit_open_key(k, "agent.key", &k->agent);
	kit_open_key(k, "audit.key", &k->audit);
}

/* A further agent NAME with the key file NAME.key. */
static inline struct repo *kit_add_agent(struct kit *k, const char *name)
{
	struct repo *admin = kit_open(k, "recovery.key");
	struct rekey_result result;
	char file[128];

	(void)snprintf(file, sizeof(file), "%s.key", name);
	auto_free char *path = kit_key_path(k, file);
	ok(rekey_add_agent(admin, name, path, false, &result, e));
	repo_free(admin);
	return kit_open(k, file);
}

static inline struct repo *kit_add_recipient(struct kit *k, const char *name)
{
	struct repo *admin = kit_open(k, "recovery.key");
	struct rekey_result result;
	char file[128];

	(void)snprintf(file, sizeof(file), "%s.key", name);
	auto_free char *path = kit_key_path(k, file);
	ok(rekey_add_recipient(admin, name, path, NULL, false, &result, e));
	repo_free(admin);
	return kit_open(k, file);
}

/* Revokes; before_ns 0: what is there now counts. */
static inline struct revoke_result kit_revoke(struct kit *k, const char *name, int64_t before_ns)
{
	const struct revoke_params p = { .name = name, .before_ns = before_ns, .threads = 2 };
	struct repo *admin = kit_open(k, "recovery.key");
	struct revoke_result result;

	ok(revoke_run(admin, &p, &result, e));
	repo_free(admin);
	return result;
}

/* Makes a point as kit_backup() does, by another agent. */
static inline struct point kit_backup_by(const struct kit *k, struct repo *agent,
                                         const struct kit_content *c)
{
	struct kit other = *k;

	other.agent = agent;
	return kit_backup(&other, c);
}

/* ---- what can be read ---- */

struct kit_findings {
	char text[8000];
};

static inline int kit_take_problem(void *arg, const struct check_problem *p, struct err *e)
{
	struct kit_findings *f = arg;
	size_t n = strlen(f->text);

	(void)e;
	(void)snprintf(f->text + n, sizeof(f->text) - n, "%s %s: %s\n", check_what_name(p->what),
	               p->object, p->text);
	return 0;
}

static inline struct check_result kit_check(struct repo *r, unsigned level,
                                            struct kit_findings *ret)
{
	struct kit_findings own = { "" };
	struct kit_findings *f = ret ? ret : &own;
	const struct check_params p = {
		.level = level, .threads = 2, .problem = kit_take_problem, .arg = f
	};
	struct check_result result;

	f->text[0] = '\0';
	ok(check_run(r, &p, &result, e));
	if (!ret)
		assert_string_equal(f->text, "");
	return result;
}

struct kit_reading {
	const struct kit_content *c;
	unsigned good, bad;
	enum err_class why; /* of the last bad one */
};

/* arg of a want: the number of the file. */
static inline int kit_take_chunk(void *ctx, struct reader_want *w, const uint8_t *plain, size_t n,
                                 const struct err *why, struct err *e)
{
	struct kit_reading *x = ctx;
	auto_free uint8_t *expected = malloc(x->c->bytes);
	bool same = false;

	(void)e;
	if (plain && expected) {
		fill_random(x->c->seed + (uintptr_t)w->arg, expected, x->c->bytes);
		same = n == x->c->bytes && memcmp(plain, expected, n) == 0;
	}
	__atomic_add_fetch(same ? &x->good : &x->bad, 1, __ATOMIC_RELAXED);
	if (why)
		__atomic_store_n(&x->why, why->class, __ATOMIC_RELAXED);
	return 0;
}

/* Reads all files of a point that kit_backup() made of c, and compares them. */
static inline struct kit_reading kit_read(struct repo *r, const struct point *p,
                                          const struct kit_content *c)
{
	struct kit_reading x = { .c = c };
	const struct reader_params params = { .threads = 2 };
	struct domain_keys *domain = NULL;
	struct reader *reader = NULL;
	struct tree *tree = NULL;

	ok(keys_domain(r->keys, c->domain, &domain, e));
	ok(reader_open(r, &params, kit_take_chunk, &x, &reader, e));
	ok(tree_open(r, p, &tree, e));
	for (;;) {
		const struct record *record = NULL;
		struct leaf *leaf = NULL;
		unsigned number;

		ok(tree_next(tree, &record, &leaf, e));
		if (!record)
			break;
		if (record->nextents == 0)
			continue;
		assert_int_equal(sscanf(record->path + strlen(c->prefix ? c->prefix : "f"), "%5u",
		                        &number),
		                 1);
		struct reader_want w = {
			.ref = leaf->chunks[record->extents[0].chunk],
			.arg = (void *)(uintptr_t)number,
		};
		ok(reader_submit(reader, domain, &w, 1, e));
	}
	ok(reader_drain(reader, e));
	reader_free(reader);
	tree_free(tree);
	secret_free(domain);
	return x;
}

/* All of it comes back. */
static inline void kit_assert_readable(struct repo *r, const struct point *p,
                                       const struct kit_content *c)
{
	struct kit_reading x = kit_read(r, p, c);

	assert_int_equal(x.bad, 0);
	assert_int_equal(x.good, c->files);
}

static inline size_t kit_count(const struct kit *k, const char *prefix)
{
	static struct kit_names names;

	kit_list(k, prefix, &names);
	return names.n;
}

#endif
