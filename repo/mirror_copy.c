/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects on their way from one store to the other: several at once, as many
 * as there is memory for. One that is larger than all of it goes alone.
 */
#include <string.h>

#include "common/rd.h"
#include "common/team.h"
#include "repo/crypt.h"
#include "repo/format.h"
#include "repo/mirror_impl.h"
#include "repo/point.h"

#define MEMORY_DEFAULT (128 * MIB)
#define TAIL_MAGIC "AKSDTAIL"

void mirror_init(struct mirror *m, struct store *from, struct store *to,
                 const struct mirror_params *params)
{
	*m = (struct mirror){ .from = from, .to = to, .params = params };
	(void)pthread_mutex_init(&m->lock, NULL);
	(void)pthread_cond_init(&m->room, NULL);
}

void mirror_clear(struct mirror *m)
{
	(void)pthread_cond_destroy(&m->room);
	(void)pthread_mutex_destroy(&m->lock);
}

int mirror_say(struct mirror *m, enum mirror_what what, const char *key, const char *text,
               struct err *e)
{
	if (!m->params->tell)
		return 0;
	(void)pthread_mutex_lock(&m->lock);
	int rc = m->params->tell(m->params->arg, what, key, text, e);
	(void)pthread_mutex_unlock(&m->lock);
	return rc;
}

/* ---- memory ---- */

struct piece {
	struct mirror *m;
	uint8_t *data;
	uint64_t size;
};

static int piece_take(struct piece *p, struct mirror *m, uint64_t size, struct err *e)
{
	uint64_t all = m->params->memory ? m->params->memory : MEMORY_DEFAULT;

	(void)pthread_mutex_lock(&m->lock);
	while (m->held > 0 && (size > all || m->held > all - size))
		(void)pthread_cond_wait(&m->room, &m->lock);
	m->held += size;
	(void)pthread_mutex_unlock(&m->lock);
	*p = (struct piece){ .m = m, .size = size };
	p->data = malloc(size ? size : 1);
	return p->data ? 0
	               : err_set(e, ERR_NOMEM, "no memory for an object of %llu bytes",
	                         (unsigned long long)size);
}

static void piece_clear(struct piece *p)
{
	if (!p->m)
		return;
	free(p->data);
	(void)pthread_mutex_lock(&p->m->lock);
	p->m->held -= p->size;
	(void)pthread_cond_broadcast(&p->m->room);
	(void)pthread_mutex_unlock(&p->m->lock);
}

/* ---- one object ---- */

/*
 * Whether a pack's header and footer are those that its trailer tells: which needs no key, and
 * shows a pack that was cut off or changed there.
 */
static bool pack_is_whole(const uint8_t *p, uint64_t n)
{
	uint8_t sum[32];

	if (n < FORMAT_TRAILER_BYTES)
		return false;
	const uint8_t *trailer = p + n - FORMAT_TRAILER_BYTES;
	struct rd rd = rd_of(trailer, FORMAT_TRAILER_BYTES);
	uint64_t footer_off = rd_u64(&rd);
	uint32_t footer_len = rd_u32(&rd);
	uint32_t header_len = rd_u32(&rd);
	const uint8_t *header_sum = rd_take(&rd, sizeof(sum));
	const uint8_t *footer_sum = rd_take(&rd, sizeof(sum));
	uint64_t body = n - FORMAT_TRAILER_BYTES;
	if (memcmp(p + n - strlen(TAIL_MAGIC), TAIL_MAGIC, strlen(TAIL_MAGIC)) != 0 ||
	    header_len > footer_off || footer_off > body || footer_len != body - footer_off)
		return false;
	crypt_sha256(sum, p, header_len);
	if (memcmp(sum, header_sum, sizeof(sum)) != 0)
		return false;
	crypt_sha256(sum, p + footer_off, footer_len);
	return memcmp(sum, footer_sum, sizeof(sum)) == 0;
}

static void count_copied(struct mirror *m, const struct mirror_item *item)
{
	struct progress_counts *c = m->params->counts;

	(void)pthread_mutex_lock(&m->lock);
	m->result.copied++;
	m->result.copied_bytes += item->size;
	m->result.points += item->class == MIRROR_POINTS;
	(void)pthread_mutex_unlock(&m->lock);
	if (c)
		atomic_fetch_add_explicit(&c->bytes_stored, item->size, memory_order_relaxed);
}

static void count_done(struct mirror *m, const struct mirror_item *item)
{
	struct progress_counts *c = m->params->counts;

	if (!c)
		return;
	atomic_fetch_add_explicit(&c->bytes_done, item->size, memory_order_relaxed);
	atomic_fetch_add_explicit(&c->files_done, 1, memory_order_relaxed);
}

static int conflict(struct mirror *m, const char *key, const char *text, struct err *e)
{
	(void)pthread_mutex_lock(&m->lock);
	m->result.conflicts++;
	(void)pthread_mutex_unlock(&m->lock);
	return mirror_say(m, MIRROR_CONFLICT, key, text, e);
}

/* What stands there was put by another copying, or is something else. */
static int settle_taken(struct mirror *m, const struct mirror_item *item, const uint8_t *data,
                        struct err *e)
{
	CLEANUP(buf_clear) struct buf there = BUF_INIT(item->size);
	struct err why = ERR_INIT;

	if (store_get_all(m->to, item->key, &there, &why) == 0 && there.len == item->size &&
	    memcmp(there.data, data, there.len) == 0)
		return 0;
	if (why.class != ERR_NONE && why.class != ERR_TOO_BIG) {
		*e = why;
		return -1;
	}
	return conflict(m, item->key, "the copy has another object of this name", e);
}

static int read_back(struct mirror *m, const struct mirror_item *item, const uint8_t *data,
                     uint8_t *again, struct err *e)
{
	if (store_get(m->to, item->key, 0, again, item->size, e) < 0)
		return err_wrap(e, "reading it back");
	if (memcmp(data, again, item->size) == 0)
		return 0;
	return conflict(m, item->key, "what the copy gives back is not what was put", e);
}

static int put(struct mirror *m, const struct mirror_item *item, uint8_t *data, struct err *e)
{
	struct iovec iov = { .iov_base = data, .iov_len = item->size };
	struct err why = ERR_INIT;

	if (store_put(m->to, item->key, &iov, 1, &why) < 0) {
		if (why.class == ERR_EXISTS)
			return settle_taken(m, item, data, e);
		*e = why;
		return -1;
	}
	count_copied(m, item);
	return m->params->verify ? read_back(m, item, data, data + item->size, e) : 0;
}

/* It is gone: a collection took it since it was listed. */
static int note_vanished(struct mirror *m)
{
	(void)pthread_mutex_lock(&m->lock);
	m->vanished = true;
	(void)pthread_mutex_unlock(&m->lock);
	return 0;
}

static int note_damaged(struct mirror *m, const char *key, const char *text, struct err *e)
{
	(void)pthread_mutex_lock(&m->lock);
	m->result.damaged++;
	(void)pthread_mutex_unlock(&m->lock);
	return mirror_say(m, MIRROR_DAMAGED, key, text, e);
}

int mirror_copy(struct mirror *m, const struct mirror_item *item, struct err *e)
{
	CLEANUP(piece_clear) struct piece p = { 0 };
	struct err why = ERR_INIT;

	if (cancel_check(m->params->cancel, e) < 0 ||
	    piece_take(&p, m, item->size * (m->params->verify ? 2 : 1), e) < 0)
		return -1;
	if (store_get(m->from, item->key, 0, p.data, item->size, &why) < 0) {
		if (why.class == ERR_NOT_FOUND)
			return note_vanished(m);
		if (why.class == ERR_CORRUPT)
			return note_damaged(m, item->key, "is shorter than the store lists it", e);
		*e = why;
		return -1;
	}
	if (item->class == MIRROR_PACKS && !pack_is_whole(p.data, item->size))
		return note_damaged(m, item->key,
		                    "its header or footer is not what its trailer says", e);
	if (put(m, item, p.data, e) < 0)
		return err_wrap(e, "copying '%s'", item->key);
	count_done(m, item);
	return 0;
}

int mirror_same(struct mirror *m, const char *key, uint64_t size, bool *ret, struct err *e)
{
	CLEANUP(piece_clear) struct piece p = { 0 };

	if (piece_take(&p, m, 2 * size, e) < 0 || store_get(m->from, key, 0, p.data, size, e) < 0 ||
	    store_get(m->to, key, 0, p.data + size, size, e) < 0)
		return -1;
	*ret = memcmp(p.data, p.data + size, size) == 0;
	return 0;
}

int mirror_compare(struct mirror *m, const struct mirror_item *item, struct err *e)
{
	struct err why = ERR_INIT;
	bool same = false;

	if (cancel_check(m->params->cancel, e) < 0)
		return -1;
	if (mirror_same(m, item->key, item->size, &same, &why) < 0) {
		if (why.class == ERR_NOT_FOUND)
			return note_vanished(m);
		if (why.class != ERR_CORRUPT && why.class != ERR_IO) {
			*e = why;
			return -1;
		}
		return conflict(m, item->key, why.msg, e);
	}
	count_done(m, item);
	return same ? 0 : conflict(m, item->key, "the content differs", e);
}

/* ---- many ---- */

#define VOLUME_AT (sizeof(COMMITS) - 1 + POINT_SESSION_VOLTAG) /* in the key of a point */
#define VOLUME_LEN (POINT_SESSION_RANDOM - 1 - POINT_SESSION_VOLTAG)

struct crew {
	struct mirror *m;
	struct runs *items;
	mirror_act *act;
	pthread_mutex_t lock; /* of what follows, and of items */
	pthread_cond_t moved; /* somebody is done with an item */
	uint8_t class;
	bool failed;
	/* The volumes of the points that are being copied, one of each worker; "": none. */
	char volumes[MIRROR_PARALLEL_MAX][VOLUME_LEN + 1];
};

/*
 * A point counts as following the one before it, which must be in the copy by then: of a volume
 * one after the other, whatever the number of workers.
 */
static bool must_wait(const struct crew *c, const struct mirror_item *item)
{
	if (item->class != MIRROR_POINTS)
		return false;
	for (size_t i = 0; i < MIRROR_PARALLEL_MAX; i++)
		if (strncmp(c->volumes[i], item->key + VOLUME_AT, VOLUME_LEN) == 0)
			return true;
	return false;
}

static bool crew_take(struct crew *c, unsigned worker, struct mirror_item *ret)
{
	const struct mirror_item *next;

	(void)pthread_mutex_lock(&c->lock);
	while (!c->failed && (next = runs_peek(c->items)) && next->class == c->class &&
	       must_wait(c, next))
		(void)pthread_cond_wait(&c->moved, &c->lock);
	bool is = !c->failed && next && next->class == c->class;
	if (is) {
		*ret = *next;
		if (ret->class == MIRROR_POINTS)
			memcpy(c->volumes[worker], ret->key + VOLUME_AT, VOLUME_LEN);
		(void)runs_next(c->items);
	}
	(void)pthread_mutex_unlock(&c->lock);
	return is;
}

static void crew_done(struct crew *c, unsigned worker, bool failed)
{
	(void)pthread_mutex_lock(&c->lock);
	c->volumes[worker][0] = '\0';
	c->failed |= failed;
	(void)pthread_cond_broadcast(&c->moved);
	(void)pthread_mutex_unlock(&c->lock);
}

static int crew_work(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct crew *c = arg;
	struct mirror_item item;

	while (!atomic_load(stop) && crew_take(c, i, &item)) {
		int rc = c->act(c->m, &item, e);

		crew_done(c, i, rc < 0);
		if (rc < 0)
			return -1;
	}
	return 0;
}

int mirror_each(struct mirror *m, struct runs *items, unsigned threads, mirror_act *act,
                struct err *e)
{
	const struct mirror_item *first = runs_peek(items);

	if (!first)
		return 0;
	struct crew c = { .m = m, .items = items, .act = act, .class = first->class };
	(void)pthread_mutex_init(&c.lock, NULL);
	(void)pthread_cond_init(&c.moved, NULL);
	int rc = team_run(threads, "mirror", crew_work, &c, e);
	(void)pthread_cond_destroy(&c.moved);
	(void)pthread_mutex_destroy(&c.lock);
	return rc;
}

static int item_cmp(const void *a, const void *b)
{
	const struct mirror_item *x = a;
	const struct mirror_item *y = b;

	if (x->class != y->class)
		return x->class < y->class ? -1 : 1;
	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return strcmp(x->key, y->key);
}

struct runs *mirror_items_new(const char *scratch)
{
	static const struct runs_type type = { .size = sizeof(struct mirror_item),
		                               .cmp = item_cmp };

	return runs_new(&type, scratch);
}
