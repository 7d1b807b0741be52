/* SPDX-License-Identifier: Apache-2.0 */
/* What points that are read here and there share, for tests. */
#ifndef AKSDR_TESTS_UNIT_RESTORE_BROWSE_KIT_H
#define AKSDR_TESTS_UNIT_RESTORE_BROWSE_KIT_H

#include "tests/unit/restore/craft.h"

#include "restore/browse.h"

static inline struct browse_shared shared_new(const struct world *w)
{
	const struct chunks_params params = { .bytes = 16 * MIB, .memory = 16 * MIB, .threads = 2 };
	struct browse_shared s = { .repo = w->kit.recovery };

	s.nodes = node_cache_new(8 * MIB);
	s.trees = browse_trees_new();
	ok(chunks_open(w->kit.recovery, &params, &s.chunks, e));
	assert_true(s.nodes && s.trees);
	return s;
}

static inline void shared_clear(const struct browse_shared *s)
{
	browse_trees_free(s->trees);
	chunks_free(s->chunks);
	node_cache_free(s->nodes);
}
#define auto_shared CLEANUP(shared_clear)

static inline void clean_browse(struct browse *const *b)
{
	browse_free(*b);
}
#define auto_browse CLEANUP(clean_browse)

/* The number of the entry of this path, which is there. */
static inline struct browse_entry browse_at(struct browse *b, const char *path)
{
	struct browse_entry n = { .number = 0 };
	auto_free char *copy = strdup(path);
	char *rest = copy;
	bool found;

	ok(browse_stat(b, 0, &n, e));
	for (char *name; (name = strsep(&rest, "/"));) {
		if (!*name)
			continue;
		ok(browse_lookup(b, n.number, name, &found, &n, e));
		if (!found)
			fail_msg("there is no '%s' of '%s'", name, path);
	}
	return n;
}

#endif
