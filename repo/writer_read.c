/* SPDX-License-Identifier: Apache-2.0 */
/* The reading stage: details and contents of small files that changed, by the pool. */
#include <string.h>

#include "repo/writer_impl.h"

/* Left out: why it could not be read is told in order, by the assembler. */
static void give_up(struct item *it, const struct err *why)
{
	it->action = DO_SKIP;
	it->why = *why;
	entry_detail_clear(&it->detail);
}

int writer_read_small(struct job *j, struct item *it, size_t room, struct err *e)
{
	const struct source_ops *ops = j->source->ops;
	struct content *c;
	struct entry_stat st;
	bool changed = true;

	for (unsigned try = 0; changed && try <= j->params->retries; try++) {
		entry_detail_clear(&it->detail);
		if (ops->open(j->source, it->n, &c, e) < 0)
			return -1;
		int rc = 0;
		bool grown = it->n->st.size > room;
		it->len = grown ? 0 : (size_t)it->n->st.size;
		if (ops->load(j->source, it->n, &it->detail, e) < 0)
			rc = -1;
		for (size_t at = 0; rc == 0 && at < it->len;) {
			int64_t n = ops->read(c, it->data + at, it->len - at, at, e);

			if (n < 0)
				rc = -1;
			else if (n == 0)
				it->len = at;
			else
				at += (size_t)n;
		}
		struct err ignored = ERR_INIT;
		if (ops->close(c, &st, &changed, rc < 0 ? &ignored : e) < 0)
			rc = -1;
		if (rc < 0)
			return -1;
		if (grown)
			return 1;
	}
	it->changed = changed;
	it->n->st.size = it->len;
	return 0;
}

static void read_item(struct group *g, struct item *it, size_t *used)
{
	struct job *j = g->job;
	struct err e = ERR_INIT;

	if (it->action == DO_STAT) {
		if (j->source->ops->load(j->source, it->n, &it->detail, &e) == 0)
			return;
		/* A directory that cannot be listed was told already; what stat knows is kept. */
		if (it->n->state == ENTRY_UNREADABLE)
			entry_detail_clear(&it->detail);
		else
			give_up(it, &e);
		return;
	}
	if (it->action != DO_SMALL)
		return;
	/*
	 * What the file was when it was listed is what the join planned for; a little growth
	 * fits too.
	 */
	size_t room = GROUP_DATA - *used;
	it->data = g->data + *used;
	int rc = writer_read_small(j, it, room < SMALL_FILE ? room : SMALL_FILE, &e);
	if (rc < 0)
		give_up(it, &e);
	else if (rc > 0)
		it->action = DO_BIG;
	else
		*used += it->len;
}

void writer_read_group(void *group)
{
	struct group *g = group;
	struct job *j = g->job;
	size_t used = 0;

	for (size_t i = 0; i < g->n && !sealer_failed(j->sealer); i++)
		read_item(g, &g->items[i], &used);
	(void)pthread_mutex_lock(&j->lock);
	g->done = true;
	(void)pthread_cond_broadcast(&j->group_done);
	(void)pthread_mutex_unlock(&j->lock);
}
