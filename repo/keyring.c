/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots are searched one after the other: there are few, and a reader asks
 * only when it goes to another pack. A slot that is being filled is marked,
 * so that one thread reads the header and the others wait for it.
 */
#include "repo/keyring.h"

#include <pthread.h>
#include <string.h>

#include "repo/reseal.h"

enum slot_state { SLOT_EMPTY = 0, SLOT_OPENING, SLOT_READY };

struct slot {
	uint8_t pack[FORMAT_PACK_ID_BYTES];
	uint16_t key;
	uint8_t state;
	uint8_t cipher;
	bool is_signed;
	uint64_t used; /* tick of the last use */
};

struct keyring {
	const struct repo *repo;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a slot left SLOT_OPENING */
	struct slot *slots;     /* guarded by lock */
	uint8_t *deks;          /* guarded by lock; cap * FORMAT_DEK_BYTES, locked memory */
	size_t cap;
	bool look;     /* at signatures */
	uint64_t tick; /* guarded by lock */
};

struct keyring *keyring_new(const struct repo *r, size_t cap, bool look)
{
	struct keyring *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->repo = r;
	k->cap = cap;
	k->look = look;
	k->slots = calloc(cap, sizeof(*k->slots));
	k->deks = secret_new(cap * FORMAT_DEK_BYTES);
	(void)pthread_mutex_init(&k->lock, NULL);
	(void)pthread_cond_init(&k->changed, NULL);
	if (!k->slots || !k->deks) {
		keyring_free(k);
		return NULL;
	}
	return k;
}

void keyring_free(struct keyring *k)
{
	if (!k)
		return;
	(void)pthread_cond_destroy(&k->changed);
	(void)pthread_mutex_destroy(&k->lock);
	secret_free(k->deks);
	free(k->slots);
	free(k);
}

static struct slot *find_locked(struct keyring *k, const struct chunk_ref *ref)
{
	for (size_t i = 0; i < k->cap; i++) {
		struct slot *s = &k->slots[i];

		if (s->state != SLOT_EMPTY && s->key == ref->key &&
		    memcmp(s->pack, ref->pack, sizeof(s->pack)) == 0)
			return s;
	}
	return NULL;
}

/* An empty slot, or the one that was not used for the longest time; NULL: all are being filled. */
static struct slot *victim_locked(struct keyring *k)
{
	struct slot *old = NULL;

	for (size_t i = 0; i < k->cap; i++) {
		struct slot *s = &k->slots[i];

		if (s->state == SLOT_EMPTY)
			return s;
		if (s->state == SLOT_READY && (!old || s->used < old->used))
			old = s;
	}
	return old;
}

/* Whether a signer of this repository vouches for the header. */
static bool is_signed(const struct keyring *k, const char *name, const uint8_t id[16],
                      const uint8_t *head, size_t head_len)
{
	uint8_t tail[FORMAT_TRAILER_BYTES];
	struct err why = ERR_INIT;
	struct pack_trailer t;
	struct store_stat st;

	return store_head(k->repo->store, name, &st, &why) == 0 &&
	       st.size >= sizeof(tail) + head_len &&
	       store_get(k->repo->store, name, st.size - sizeof(tail), tail, sizeof(tail), &why) ==
	               0 &&
	       pack_trailer_decode(tail, st.size, id, k->repo->keys, &t, &why) == 0 && t.vouched &&
	       pack_header_signed(head, head_len, &t, &why) == 0;
}

/* Reads the header and opens the key, without the lock. */
static int open_key(const struct keyring *k, const struct domain_keys *domain,
                    const struct chunk_ref *ref, const uint8_t *head, size_t head_len, uint8_t *out,
                    uint8_t *ret_cipher, bool *ret_signed, struct err *e)
{
	char name[PACK_KEY_MAX];
	struct pack_header h;
	auto_free uint8_t *own = NULL;
	size_t need = PACK_HEADER_GUESS;

	pack_key_name(name, ref->pack, ref->kind);
	if (head && head_len >= need) {
		if (pack_header_decode(head, head_len, ref->pack, &h, &need, e) < 0)
			return err_wrap(e, "opening '%s'", name);
		if (need > head_len)
			head = NULL;
	} else {
		head = NULL;
	}
	while (!head) {
		size_t n = need;

		free(own);
		own = malloc(n);
		if (!own)
			return err_set(e, ERR_NOMEM, "no memory for the header of '%s'", name);
		if (store_get(k->repo->store, name, 0, own, n, e) < 0)
			return -1;
		if (pack_header_decode(own, n, ref->pack, &h, &need, e) < 0)
			return err_wrap(e, "opening '%s'", name);
		if (need <= n)
			head = own;
	}
	if (h.kind != ref->kind)
		return err_set(e, ERR_CORRUPT, "'%s' is a pack of another kind", name);
	if (memcmp(h.domain_tag, domain->tag, sizeof(h.domain_tag)) != 0)
		return err_set(e, ERR_CORRUPT, "'%s' belongs to another dedup domain", name);
	if (ref->key >= h.nkeys)
		return err_set(e, ERR_CORRUPT, "'%s' has no data key %u", name, ref->key);
	if (reseal_dek(k->repo, head, &h, ref->key, domain, out, e) < 0)
		return err_wrap(e, "opening '%s'", name);
	*ret_cipher = h.cipher;
	*ret_signed = k->look && is_signed(k, name, ref->pack, head, h.len);
	return 0;
}

int keyring_get(struct keyring *k, const struct domain_keys *domain, const struct chunk_ref *ref,
                const uint8_t *head, size_t head_len, uint8_t *out, uint8_t *ret_cipher,
                bool *ret_signed, struct err *e)
{
	struct slot *s;

	(void)pthread_mutex_lock(&k->lock);
	for (;;) {
		s = find_locked(k, ref);
		if (s && s->state == SLOT_READY) {
			s->used = ++k->tick;
			memcpy(out, k->deks + (size_t)(s - k->slots) * FORMAT_DEK_BYTES,
			       FORMAT_DEK_BYTES);
			*ret_cipher = s->cipher;
			*ret_signed = s->is_signed;
			(void)pthread_mutex_unlock(&k->lock);
			return 0;
		}
		if (!s) {
			s = victim_locked(k);
			if (s)
				break;
		}
		(void)pthread_cond_wait(&k->changed, &k->lock);
	}
	memcpy(s->pack, ref->pack, sizeof(s->pack));
	s->key = ref->key;
	s->state = SLOT_OPENING;
	(void)pthread_mutex_unlock(&k->lock);

	int r = open_key(k, domain, ref, head, head_len, out, ret_cipher, ret_signed, e);

	(void)pthread_mutex_lock(&k->lock);
	s->state = r == 0 ? SLOT_READY : SLOT_EMPTY;
	if (r == 0) {
		s->cipher = *ret_cipher;
		s->is_signed = *ret_signed;
		s->used = ++k->tick;
		memcpy(k->deks + (size_t)(s - k->slots) * FORMAT_DEK_BYTES, out, FORMAT_DEK_BYTES);
	}
	(void)pthread_cond_broadcast(&k->changed);
	(void)pthread_mutex_unlock(&k->lock);
	return r;
}

bool keyring_has(struct keyring *k, const struct chunk_ref *ref)
{
	(void)pthread_mutex_lock(&k->lock);
	bool found = find_locked(k, ref);
	(void)pthread_mutex_unlock(&k->lock);
	return found;
}
