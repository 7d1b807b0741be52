/* SPDX-License-Identifier: Apache-2.0 */
/* Times of runs; see the header for what holds. */
#include "agent/sched.h"

#include <sodium.h>
#include <string.h>

#define LOOK_BACK_S (INT64_C(8) * 366 * 86400) /* 29 February may be missing in one year of four */

int64_t sched_share(const char *key, int64_t jitter_s)
{
	/* Fixed: it spreads, and hides nothing. */
	static const uint8_t hash_key[crypto_shorthash_KEYBYTES] = "aksdr/jitter";
	uint8_t hash[crypto_shorthash_BYTES];
	uint64_t v = 0;

	if (jitter_s <= 0)
		return 0;
	(void)crypto_shorthash(hash, (const uint8_t *)key, strlen(key), hash_key);
	for (size_t i = 0; i < sizeof(hash); i++)
		v = v << 8 | hash[i];
	return (int64_t)(v % (uint64_t)jitter_s);
}

int64_t sched_slot(const struct cron *c, const struct zone *z, int64_t at_s)
{
	int64_t low = at_s;
	int64_t found = SCHED_NONE;

	/* Windows that double, until one has a firing in it. */
	for (int64_t back = 60; found < 0 || found > at_s; back *= 2) {
		if (back > 2 * LOOK_BACK_S)
			return SCHED_NONE;
		low = at_s - back;
		found = cron_next_in(c, z, low);
		if (found < 0)
			return SCHED_NONE;
	}
	/* Behind low there is one up to at_s, behind high none. */
	for (int64_t high = at_s; high - found > 1;) {
		const int64_t mid = found + (high - found) / 2;
		const int64_t next = cron_next_in(c, z, mid);

		if (next >= 0 && next <= at_s)
			found = next;
		else
			high = mid;
	}
	const int64_t last = cron_next_in(c, z, found);
	return last >= 0 && last <= at_s ? last : found;
}

static int64_t retry_s(unsigned failures)
{
	int64_t s = SCHED_RETRY_S;

	while (--failures > 0 && s < SCHED_RETRY_MAX_S)
		s *= 2;
	return s < SCHED_RETRY_MAX_S ? s : SCHED_RETRY_MAX_S;
}

/* When the slot behind this one comes, with the share. */
static int64_t start_behind(const struct sched_rule *r, int64_t slot_s)
{
	const int64_t next = cron_next_in(r->cron, r->zone, slot_s);

	return next < 0 ? SCHED_NEVER : next + sched_share(r->key, r->jitter_s);
}

/*
 * The slot that has come and has no point, and since when; or, with SCHED_NONE, when one comes.
 * Of a volume without any point also since_s is one, so that it need not wait for a firing.
 */
static int64_t open_slot(const struct sched_rule *r, const struct sched_record *last, int64_t now_s,
                         int64_t *ret_at_s)
{
	const int64_t share = sched_share(r->key, r->jitter_s);
	const int64_t slot = sched_slot(r->cron, r->zone, now_s - share);

	*ret_at_s = slot + share;
	if (last->done_s == SCHED_NONE) {
		if (slot > last->since_s)
			return slot;
		/* one in the future: the clock was ahead */
		*ret_at_s = last->since_s > now_s ? now_s : last->since_s + share;
		return last->since_s;
	}
	if (slot > last->done_s)
		return slot;
	if (slot != SCHED_NONE && last->done_s > now_s &&
	    last->done_s > cron_next_in(r->cron, r->zone, slot))
		return slot;
	*ret_at_s = start_behind(r, last->done_s);
	return SCHED_NONE;
}

struct sched_verdict sched_due(const struct sched_rule *r, const struct sched_record *last,
                               int64_t now_s)
{
	struct sched_verdict v = { .slot_s = SCHED_NONE, .at_s = SCHED_NEVER };

	if (last->running)
		return v;
	const int64_t slot = open_slot(r, last, now_s, &v.at_s);
	if (slot == SCHED_NONE)
		return v;
	if (last->failures > 0 && last->tried_s == slot && last->ended_s <= now_s) {
		const int64_t again = last->ended_s + retry_s(last->failures);
		const int64_t most = start_behind(r, slot);

		v.at_s = again < most ? again : most;
	}
	v.due = v.at_s <= now_s;
	v.slot_s = v.due ? slot : SCHED_NONE;
	return v;
}

/* ---- what runs next ---- */

static int order(const struct sched_item *a, const struct sched_item *b)
{
	if (a->slot_s != b->slot_s)
		return a->slot_s < b->slot_s ? -1 : 1;
	const int by_set = strcmp(a->set, b->set);
	return by_set != 0 ? by_set : strcmp(a->uid, b->uid);
}

static bool together(const struct sched_item *a, const struct sched_item *b)
{
	return *a->set && strcmp(a->set, b->set) == 0;
}

static bool taken(const size_t *picked, size_t n, size_t i)
{
	for (size_t j = 0; j < n; j++) {
		if (picked[j] == i)
			return true;
	}
	return false;
}

size_t sched_pick(const struct sched_item *items, size_t n, size_t limit, size_t *ret)
{
	size_t running = 0;
	size_t picked = 0;

	for (size_t i = 0; i < n; i++)
		running += items[i].running;
	for (;;) {
		size_t head = SIZE_MAX;
		size_t members = 0;

		for (size_t i = 0; i < n; i++) {
			if (!items[i].running && !taken(ret, picked, i) &&
			    (head == SIZE_MAX || order(&items[i], &items[head]) < 0))
				head = i;
		}
		if (head == SIZE_MAX)
			return picked;
		for (size_t i = 0; i < n; i++) {
			const bool fits = i == head || together(&items[head], &items[i]);

			if (fits && !items[i].running && !taken(ret, picked, i))
				ret[picked + members++] = i;
		}
		const size_t busy = running + picked;
		if (busy + members > limit && !(busy == 0 && limit > 0))
			return picked;
		picked += members;
	}
}
