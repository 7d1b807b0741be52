/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is given back all at once: what one decoded node or one batch of records needs. */
#ifndef AKSDR_REPO_ARENA_H
#define AKSDR_REPO_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/clean.h"

struct arena_block {
	struct arena_block *next;
	size_t used, cap;
	_Alignas(16) uint8_t data[];
};

struct arena {
	struct arena_block *head;
	size_t bytes; /* handed out */
	bool failed;  /* there was no memory for something */
};

/* n bytes, aligned for any type, or NULL. n == 0 gives a valid pointer. */
static inline void *arena_alloc(struct arena *a, size_t n)
{
	struct arena_block *b = a->head;

	n = (n + 15) & ~(size_t)15;
	if (!b || b->cap - b->used < n) {
		size_t cap = n > 32 * KIB ? n : 32 * KIB;

		b = malloc(sizeof(*b) + cap);
		if (!b) {
			a->failed = true;
			return NULL;
		}
		b->next = a->head;
		b->used = 0;
		b->cap = cap;
		a->head = b;
	}
	void *p = b->data + b->used;
	b->used += n;
	a->bytes += n;
	return p;
}

static inline void *arena_copy(struct arena *a, const void *p, size_t n)
{
	void *to = arena_alloc(a, n);

	if (to && n)
		memcpy(to, p, n);
	return to;
}

/* Keeps one block, so that a recycled arena allocates nothing. */
static inline void arena_reset(struct arena *a)
{
	struct arena_block *keep = NULL;

	for (struct arena_block *b = a->head, *next; b; b = next) {
		next = b->next;
		if (!keep && b->cap == 32 * KIB)
			keep = b;
		else
			free(b);
	}
	if (keep) {
		keep->next = NULL;
		keep->used = 0;
	}
	a->head = keep;
	a->bytes = 0;
	a->failed = false;
}

static inline void arena_clear(struct arena *a)
{
	for (struct arena_block *b = a->head, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	a->head = NULL;
	a->bytes = 0;
	a->failed = false;
}

#endif
