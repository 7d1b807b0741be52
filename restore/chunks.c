/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See chunks.h. A chunk is loading, ready or bad. It becomes one of the two
 * latter in the thread of the reader that delivers it, and whoever waits for
 * it is woken by reader_wait(), which also ends when the reader does. A bad
 * one is out of the table at once, so that the next who asks tries again; it
 * lives on for those who wait for it.
 */
#include "restore/chunks.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/team.h"

#define SLOTS 8192 /* a power of two */
#define THREADS_MAX 4U
#define WANTS_MAX 64 /* of one call */

enum chunk_state { CHUNK_LOADING, CHUNK_READY, CHUNK_BAD };

struct chunk {
	struct chunks *owner;
	struct chunk *next_in_slot;  /* guarded by lock */
	struct chunk *newer, *older; /* guarded by lock */
	uint8_t id[FORMAT_ID_BYTES];
	uint32_t plain;
	unsigned pins;     /* guarded by lock: who holds it or waits for it */
	bool listed;       /* guarded by lock: it is in the table */
	_Atomic int state; /* enum chunk_state; what follows is set before it leaves LOADING */
	uint8_t *data;     /* when ready */
	struct err *why;   /* when bad; NULL: no memory for it */
};

struct chunks {
	struct reader *reader;
	size_t max, ahead_max;
	pthread_mutex_t lock;
	struct chunk *slots[SLOTS];    /* guarded by lock */
	struct chunk *newest, *oldest; /* guarded by lock */
	size_t bytes;                  /* guarded by lock; of all that are listed */
	size_t loading;                /* guarded by lock; of those that are on their way */
};

/* ---- the table ---- */

static struct chunk **slot_of(struct chunks *c, const uint8_t id[FORMAT_ID_BYTES])
{
	uint32_t at;

	/* Ids are as good as random. */
	memcpy(&at, id, sizeof(at));
	return &c->slots[at & (SLOTS - 1)];
}

static void by_use_remove(struct chunks *c, struct chunk *k)
{
	*(k->newer ? &k->newer->older : &c->newest) = k->older;
	*(k->older ? &k->older->newer : &c->oldest) = k->newer;
	k->newer = k->older = NULL;
}

static void by_use_add(struct chunks *c, struct chunk *k)
{
	k->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = k;
	c->newest = k;
}

static void chunk_free(struct chunk *k)
{
	free(k->data);
	free(k->why);
	free(k);
}

/* Nobody finds it any more; it goes when nobody holds it. */
static void unlist_locked(struct chunks *c, struct chunk *k)
{
	struct chunk **at = slot_of(c, k->id);

	while (*at != k)
		at = &(*at)->next_in_slot;
	*at = k->next_in_slot;
	by_use_remove(c, k);
	c->bytes -= k->plain;
	k->listed = false;
	if (k->pins == 0)
		chunk_free(k);
}

/* Lets chunks go that nobody holds, until n bytes more fit. false: they do not. */
static bool make_room_locked(struct chunks *c, size_t n)
{
	for (struct chunk *k = c->oldest, *newer; k && c->bytes + n > c->max; k = newer) {
		newer = k->newer;
		if (k->pins == 0 && atomic_load(&k->state) == CHUNK_READY)
			unlist_locked(c, k);
	}
	return c->bytes + n <= c->max;
}

/* The chunk, as the one used last; NULL when it is not here. */
static struct chunk *find_locked(struct chunks *c, const struct chunk_ref *ref)
{
	struct chunk *k = *slot_of(c, ref->id);

	while (k && (k->plain != ref->plain || memcmp(k->id, ref->id, sizeof(k->id)) != 0))
		k = k->next_in_slot;
	if (k && k != c->newest) {
		by_use_remove(c, k);
		by_use_add(c, k);
	}
	return k;
}

/* A new one, loading, or NULL: no memory. */
static struct chunk *add_locked(struct chunks *c, const struct chunk_ref *ref)
{
	struct chunk *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->owner = c;
	k->plain = ref->plain;
	memcpy(k->id, ref->id, sizeof(k->id));
	k->listed = true;
	k->next_in_slot = *slot_of(c, ref->id);
	*slot_of(c, ref->id) = k;
	by_use_add(c, k);
	c->bytes += k->plain;
	c->loading += k->plain;
	return k;
}

/* ---- what comes from the reader ---- */

static void settle(struct chunk *k, uint8_t *take_data, const struct err *why)
{
	struct chunks *c = k->owner;
	struct err *copy = why ? malloc(sizeof(*copy)) : NULL;

	if (copy)
		*copy = *why;
	(void)pthread_mutex_lock(&c->lock);
	k->data = take_data;
	k->why = copy;
	c->loading -= k->plain;
	atomic_store(&k->state, take_data ? CHUNK_READY : CHUNK_BAD);
	if (!take_data)
		unlist_locked(c, k);
	(void)pthread_mutex_unlock(&c->lock);
}

static int deliver(void *ctx, struct reader_want *w, const uint8_t *plain, size_t n,
                   const struct err *why, struct err *e)
{
	uint8_t *data = plain ? malloc(n) : NULL;

	(void)ctx;
	(void)e;
	if (data)
		memcpy(data, plain, n);
	settle(w->arg, data, why);
	return 0;
}

int chunks_open(const struct repo *r, const struct chunks_params *params, struct chunks **ret,
                struct err *e)
{
	struct chunks *c = calloc(1, sizeof(*c));
	const struct reader_params how = {
		.threads = team_size(params->threads, THREADS_MAX),
		.memory = params->memory,
	};

	if (!c)
		return err_set(e, ERR_NOMEM, "no memory for reading");
	c->max = params->bytes;
	c->ahead_max = params->bytes / 2;
	(void)pthread_mutex_init(&c->lock, NULL);
	if (reader_open(r, &how, deliver, c, &c->reader, e) < 0) {
		chunks_free(c);
		return -1;
	}
	*ret = c;
	return 0;
}

void chunks_free(struct chunks *c)
{
	if (!c)
		return;
	reader_free(c->reader);
	while (c->oldest)
		unlist_locked(c, c->oldest);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

size_t chunks_ahead_max(const struct chunks *c)
{
	return c->ahead_max;
}

/* ---- getting ---- */

static bool is_settled(void *arg)
{
	return atomic_load(&((struct chunk *)arg)->state) != CHUNK_LOADING;
}

void chunks_put(struct chunks *c, struct chunk *take_chunk)
{
	struct chunk *k = take_chunk;

	(void)pthread_mutex_lock(&c->lock);
	if (--k->pins == 0 && !k->listed)
		chunk_free(k);
	(void)pthread_mutex_unlock(&c->lock);
}

/* One by one, so that what is refused is known: it is never delivered. */
static void submit(struct chunks *c, const struct domain_keys *domain,
                   const struct reader_want *wants, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct err why = ERR_INIT;

		if (reader_submit(c->reader, domain, &wants[i], 1, &why) == 0)
			continue;
		settle(wants[i].arg, NULL, &why);
		reader_wake(c->reader);
	}
}

int chunks_get(struct chunks *c, const struct domain_keys *domain, const struct chunk_ref *ref,
               struct chunk **ret, const uint8_t **ret_plain, struct err *e)
{
	struct reader_want want = { .ref = *ref };

	(void)pthread_mutex_lock(&c->lock);
	struct chunk *k = find_locked(c, ref);
	if (!k) {
		(void)make_room_locked(c, ref->plain);
		want.arg = k = add_locked(c, ref);
	}
	if (k)
		k->pins++;
	(void)pthread_mutex_unlock(&c->lock);
	if (!k)
		return err_set(e, ERR_NOMEM, "no memory for a chunk");
	if (want.arg)
		submit(c, domain, &want, 1);
	if (!is_settled(k) && reader_wait(c->reader, is_settled, k, e) < 0) {
		chunks_put(c, k);
		return -1;
	}
	if (atomic_load(&k->state) == CHUNK_BAD) {
		if (k->why)
			*e = *k->why;
		else
			(void)err_set(e, ERR_NOMEM, "no memory for a chunk of %u bytes", k->plain);
		chunks_put(c, k);
		return -1;
	}
	*ret = k;
	*ret_plain = k->data;
	return 0;
}

void chunks_ahead(struct chunks *c, const struct domain_keys *domain, const struct chunk_ref *refs,
                  size_t n)
{
	struct reader_want wants[WANTS_MAX];
	size_t nwants = 0;

	(void)pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < n && nwants < WANTS_MAX; i++) {
		if (find_locked(c, &refs[i]))
			continue;
		if (c->loading + refs[i].plain > c->ahead_max ||
		    !make_room_locked(c, refs[i].plain))
			break;
		struct chunk *k = add_locked(c, &refs[i]);
		if (!k)
			break;
		wants[nwants++] = (struct reader_want){ .ref = refs[i], .arg = k };
	}
	(void)pthread_mutex_unlock(&c->lock);
	submit(c, domain, wants, nwants);
}
